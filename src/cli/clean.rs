//! `bivouac clean`: removes the states of finished jobs.
//!
//! Without a name it takes every state that is here, and then to keep one is no failure: it says
//! which, and why, and goes on. With a name it does what was asked for or fails.

use crate::cli::args::verbs::Clean;
use crate::cli::place::{BESIDE, SHARED};
use crate::cli::say;
use bivouac::ending::FINISHED;
use bivouac::error::Kind;
use bivouac::{Error, Result};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Removes what is asked for, lists it on standard output, and says what is kept.
pub(crate) fn run(clean: &Clean) -> Result<u8> {
    let named = !clean.states.is_empty();
    let states = if named { clean.states.clone() } else { states_in(Path::new(""))? };
    let outcome = sweep(&states, named, |path| remove(path, clean.force), say::line);
    let mut list = Vec::new();
    for path in &outcome.removed {
        list.extend_from_slice(b"removed ");
        list.extend_from_slice(crate::cli::human::visible(&path.display().to_string()).as_bytes());
        list.push(b'\n');
    }
    say::result(&list)?;
    remove_if_empty(Path::new(SHARED));
    outcome.failure.map_or(Ok(FINISHED), Err)
}

/// What came of it.
#[derive(Debug, Default)]
struct Outcome {
    removed: Vec<PathBuf>,
    /// The last thing that went wrong and has not been said yet.
    failure: Option<Error>,
}

/// Removes one state after the other. `remove` returns the names of what it left because it is not
/// ours. Everything that goes wrong is said, except the last, which decides how the process ends.
fn sweep(
    states: &[PathBuf],
    named: bool,
    remove: impl Fn(&Path) -> Result<Vec<OsString>>,
    say: impl Fn(&str),
) -> Outcome {
    let mut outcome = Outcome::default();
    for path in states {
        match remove(path) {
            Ok(left) => {
                for name in left {
                    say(&format!("{}: not ours, left", path.join(name).display()));
                }
                outcome.removed.push(path.clone());
            }
            Err(error) if !named && matches!(error.kind(), Kind::Refused | Kind::Busy) => {
                say(&format!("kept: {error}"))
            }
            Err(error) => {
                if let Some(earlier) = outcome.failure.replace(error) {
                    say(&earlier.to_string());
                }
            }
        }
    }
    outcome
}

/// Removes one state, and returns the names of what it left.
fn remove(path: &Path, force: bool) -> Result<Vec<OsString>> {
    bivouac::state_dir::clean(&bivouac::disk::OsDisk, path, force).map(|cleaned| cleaned.left)
}

/// All states in a directory: those below `.bivouac`, and those beside an output. Sorted.
fn states_in(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut states = subdirectories(&directory.join(SHARED))?;
    let suffix = BESIDE.as_bytes();
    states.extend(subdirectories(directory)?.into_iter().filter(|path| {
        // `.bivouac` itself is a suffix without a name in front of it.
        path.file_name().is_some_and(|name| name.as_bytes().ends_with(suffix) && name.len() > suffix.len())
    }));
    states.sort();
    Ok(states)
}

/// The directories in a directory; none if it is not there. Symlinks are not followed.
fn subdirectories(directory: &Path) -> Result<Vec<PathBuf>> {
    let to_read = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let failed = |cause: &io::Error| Error::io(to_read, "list", cause);
    let entries = match fs::read_dir(to_read) {
        Ok(entries) => entries,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => return Err(failed(&cause)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|cause| failed(&cause))?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.push(directory.join(entry.file_name()));
        }
    }
    Ok(found)
}

/// The shared directory goes with the last state in it. If it is not empty, or not there, it stays
/// as it is, and nobody needs to know.
pub(crate) fn remove_if_empty(directory: &Path) {
    fs::remove_dir(directory).ok();
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn states_are_found_below_the_shared_directory_and_beside_outputs() {
        let dir = tempfile::tempdir().unwrap();
        for name in [".bivouac/0123", "out.bivouac", "src", ".bivouac/4567", "out.bivouac/spill"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        fs::write(dir.path().join("file.bivouac"), "").unwrap();
        std::os::unix::fs::symlink("src", dir.path().join("link.bivouac")).unwrap();
        let expected: Vec<_> = [".bivouac/0123", ".bivouac/4567", "out.bivouac"]
            .iter()
            .map(|name| dir.path().join(name))
            .collect();
        assert_eq!(states_in(dir.path()).unwrap(), expected);
        let empty = tempfile::tempdir().unwrap();
        assert_eq!(states_in(empty.path()).unwrap(), Vec::<PathBuf>::new());
    }

    /// States whose names say what removing them comes to.
    fn by_name(path: &Path) -> Result<Vec<OsString>> {
        match path.to_str().unwrap() {
            "unfinished" => Err(Error::refused("unfinished", "can be continued")),
            "busy" => Err(Error::new(Kind::Busy, "busy", "is in use")),
            "io" => Err(Error::broken("io", "cannot remove")),
            "shared" => Ok(vec!["notes.txt".into()]),
            _ => Ok(Vec::new()),
        }
    }

    fn swept(states: &[&str], named: bool) -> (Outcome, Vec<String>) {
        let said = RefCell::new(Vec::new());
        let states: Vec<_> = states.iter().map(PathBuf::from).collect();
        let outcome = sweep(&states, named, by_name, |line| said.borrow_mut().push(line.to_string()));
        (outcome, said.into_inner())
    }

    #[test]
    fn unasked_for_states_that_are_kept_are_named_and_no_failure() {
        let (outcome, said) = swept(&["unfinished", "a", "busy", "shared", "b"], false);
        assert_eq!(outcome.removed, [PathBuf::from("a"), "shared".into(), "b".into()]);
        assert_eq!(outcome.failure, None);
        assert_eq!(
            said,
            [
                "kept: unfinished: can be continued",
                "kept: busy: is in use",
                "shared/notes.txt: not ours, left"
            ]
        );
    }

    #[test]
    fn a_state_that_was_named_is_removed_or_that_is_a_failure() {
        let (outcome, said) = swept(&["unfinished", "a", "busy"], true);
        assert_eq!(outcome.removed, [PathBuf::from("a")]);
        assert_eq!(said, ["unfinished: can be continued"]);
        assert_eq!(outcome.failure.unwrap().kind(), Kind::Busy);
    }

    #[test]
    fn an_error_ends_nothing_but_decides_the_exit_code() {
        let (outcome, _) = swept(&["io", "a"], false);
        assert_eq!(outcome.removed, [PathBuf::from("a")]);
        assert_eq!(outcome.failure.unwrap().kind(), Kind::Broken);
    }
}
