//! `bivouac clean`: removes the states of finished jobs.
//!
//! Without a name it removes every finished state here. A state that it must keep is then no failure: it says
//! which, and why. With a name it does what was asked for or fails.

use crate::cli::args::verbs::CleanArgs;
use crate::cli::discover::{is_named_by_us, of_output, states_in};
use crate::cli::format::count;
use crate::cli::slurm::submission;
use crate::cli::state_path::{SHARED, remove_if_empty};
use crate::cli::terminal;
use crate::jobs::text::visible;
use crate::jobs::wording::worded;
use bivouac::disk::OsDisk;
use bivouac::ending::FINISHED;
use bivouac::error::Kind;
use bivouac::state_dir::{Cleaned, clean as clean_state};
use bivouac::{Error, Result, Shards};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Removes what is asked for, lists it on standard output, and says what is kept.
pub(crate) fn run(clean: &CleanArgs) -> Result<u8> {
    // What is removed is listed there.
    bivouac::sink::refuse_closed_stdout()?;
    let named = !clean.states.is_empty();
    let state = |name: &PathBuf| of_output(name).unwrap_or_else(|| name.clone());
    let mut states = if named { clean.states.iter().map(state).collect() } else { states_in(Path::new(""))? };
    // Whoever chose a name wanted to keep it.
    states.retain(|path| named || is_named_by_us(path));
    let swept = sweep(
        &states,
        named,
        |path| match Shards::find(path)? {
            Some(shards) => Ok(submission::clean(path, shards.clean(clean.force)?)),
            None => clean_state(&OsDisk, path, clean.force),
        },
        terminal::message,
    );
    let mut list = Vec::new();
    for Removed { path, stays } in &swept.removed {
        let path = path.display().to_string();
        let path = visible(&path);
        let line = match stays {
            false => format!("removed {path}\n"),
            true => format!("removed the state in {path}; the directory stays\n"),
        };
        list.extend_from_slice(line.as_bytes());
    }
    terminal::result(&list)?;
    remove_if_empty(Path::new(SHARED));
    swept.failure.map_or(Ok(FINISHED), Err)
}

#[derive(Debug, Default)]
struct Swept {
    removed: Vec<Removed>,
    /// The last thing that went wrong and has not been said yet.
    failure: Option<Error>,
}

#[derive(Debug, PartialEq, Eq)]
struct Removed {
    path: PathBuf,
    stays: bool,
}

/// Removes one state after the other. Prints each failure except the last one, which decides how the process ends.
fn sweep(
    states: &[PathBuf],
    named: bool,
    remove: impl Fn(&Path) -> Result<Cleaned>,
    say: impl Fn(&str),
) -> Swept {
    let (mut swept, mut kept) = (Swept::default(), BTreeMap::new());
    for path in states {
        match remove(path) {
            Ok(Cleaned { stays, left, .. }) => {
                for name in left {
                    say(&format!("{}: not ours, left", path.join(name).display()));
                }
                swept.removed.push(Removed { path: path.clone(), stays });
            }
            Err(error) if !named && matches!(error.kind(), Kind::Refused | Kind::Busy) => {
                say(&format!("kept: {}", error.sentence()));
                if let Some((_, advice)) = worded(&error).split_once("\n  ") {
                    *kept.entry(advice.to_string()).or_default() += 1;
                }
            }
            Err(error) => {
                if let Some(earlier) = swept.failure.replace(error) {
                    say(&worded(&earlier));
                }
            }
        }
    }
    // What helps is the same for each of maybe a hundred, so it is said once.
    for (advice, states) in kept {
        say(&format!("kept {}\n  {advice}", count(states, "state")));
    }
    swept
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    /// States whose names say what removing them comes to.
    fn by_name(path: &Path) -> Result<Cleaned> {
        match path.to_str().unwrap() {
            "unfinished" => Err(Error::refused("unfinished", "can be continued").advise("do that")),
            "busy" => Err(Error::new(Kind::Busy, "busy", "is in use")),
            "io" => Err(Error::broken("io", "cannot remove")),
            "shared" => Ok(Cleaned { record: None, stays: true, left: vec!["notes.txt".into()] }),
            _ => Ok(Cleaned { record: None, stays: false, left: Vec::new() }),
        }
    }

    fn removed(path: &str, stays: bool) -> Removed {
        Removed { path: path.into(), stays }
    }

    fn swept(states: &[&str], named: bool) -> (Swept, Vec<String>) {
        let said = RefCell::new(Vec::new());
        let states: Vec<_> = states.iter().map(PathBuf::from).collect();
        let swept = sweep(&states, named, by_name, |line| said.borrow_mut().push(line.to_string()));
        (swept, said.into_inner())
    }

    #[test]
    fn unasked_for_states_that_are_kept_are_named_and_no_failure() {
        let (swept, said) = swept(&["unfinished", "a", "busy", "shared", "b"], false);
        assert_eq!(swept.removed, [removed("a", false), removed("shared", true), removed("b", false)]);
        assert_eq!(swept.failure, None);
        assert_eq!(
            said,
            [
                "kept: unfinished: can be continued",
                "kept: busy: is in use",
                "shared/notes.txt: not ours, left",
                "kept 1 state\n  do that"
            ]
        );
    }

    #[test]
    fn a_state_that_was_named_is_removed_or_that_is_a_failure() {
        let (swept, said) = swept(&["unfinished", "a", "busy"], true);
        assert_eq!(swept.removed, [removed("a", false)]);
        assert_eq!(said, ["unfinished: can be continued\n  do that"]);
        assert_eq!(swept.failure.unwrap().kind(), Kind::Busy);
    }

    #[test]
    fn an_error_ends_nothing_but_decides_the_exit_code() {
        let (swept, _) = swept(&["io", "a"], false);
        assert_eq!(swept.removed, [removed("a", false)]);
        assert_eq!(swept.failure.unwrap().kind(), Kind::Broken);
    }
}
