//! Completion: the words that a shell offers at the cursor.
//!
//! The obvious way is a script made from the definition of the command line. It knows options and words that are
//! fixed, and not what matters here: the states in this directory, the signals with the requests they may mean, the
//! commands that `each` and `pipe` can run. So the script that `bivouac completions` prints asks this program, with
//! the words typed so far, and the answer is always that of the program that is installed.

use super::args::{Cli, JobVerb, Verb};
use super::discover::states_in;
use super::parse::SETTABLE;
use super::shellwords::is_executable;
use super::state_path::BESIDE;
use super::terminal;
use bivouac::ending::{Exit, FINISHED, USAGE};
use bivouac::policy::{DEFAULTS, short_name};
use bivouac::{Error, Request, Result};
use clap::CommandFactory;
use clap_complete::engine::{CompletionCandidate, PathCompleter, ValueCompleter, complete};
use clap_complete::env::Shells;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The variable by which a script asks, with the name of its shell.
const VARIABLE: &str = "BIVOUAC_COMPLETE";

pub(crate) fn script(shell: &str) -> Result<Vec<u8>> {
    let mut script = Vec::new();
    let failed = |cause| Error::broken("completions", cause);
    let shells = Shells::builtins();
    let completer =
        shells.completer(shell).ok_or_else(|| Error::usage(shell, "is no shell that is known here"))?;
    completer.write_registration(VARIABLE, "bivouac", "bivouac", "bivouac", &mut script).map_err(failed)?;
    if shell == "bash" {
        let asks = format!("{VARIABLE}=\"bash\" \\\n");
        let tells = format!("{asks}        {LINE}=\"${{COMP_LINE:0:COMP_POINT}}\" \\\n");
        script = String::from_utf8_lossy(&script).replace(&asks, &tells).into_bytes();
    }
    Ok(script)
}

/// The variable in which bash passes its line up to the cursor. The obvious source is the words into which bash has split
/// the line. But it splits `USR2=ch` into three, and if the last of them is the `=`, it passes nothing for that.
const LINE: &str = "BIVOUAC_COMPLETE_LINE";

/// The answer to bash if its last word is only a part of the last word of the line, as with `set jobs=8`. Bash replaces its
/// own word by the answer, so the text before that part is left out.
fn answer_to_bash(words: &[OsString], cursor: usize) -> Option<Vec<u8>> {
    let line = std::env::var(LINE).ok()?;
    let mut whole = shlex::split(&line)?;
    if line.ends_with(char::is_whitespace) {
        whole.push(String::new());
    }
    let part = words.get(cursor)?.to_str()?;
    let before = whole.last()?.strip_suffix(part).filter(|before| before.ends_with(['=', ':']))?.to_string();
    let cursor = whole.len() - 1;
    let whole = as_understood(whole.into_iter().map(OsString::from).collect(), cursor);
    let here = std::env::current_dir().ok();
    let offered = complete(&mut Cli::command(), whole, cursor, here.as_deref()).ok()?;
    let rests = offered.iter().filter_map(|one| one.get_value().as_bytes().strip_prefix(before.as_bytes()));
    let separator = std::env::var("_CLAP_IFS").unwrap_or_else(|_| "\n".to_string());
    Some(rests.collect::<Vec<_>>().join(separator.as_bytes()))
}

pub(crate) fn answer(argv: &[OsString]) -> Option<Result<Exit>> {
    let shell = std::env::var_os(VARIABLE)?;
    let shells = Shells::builtins();
    let Some(completer) = shell.to_str().and_then(|shell| shells.completer(shell)) else {
        return Some(Ok(Exit::Code(USAGE)));
    };
    let words: Vec<_> = argv.iter().skip_while(|word| *word != "--").skip(1).cloned().collect();
    let cursor = std::env::var("_CLAP_COMPLETE_INDEX").ok().and_then(|index| index.parse().ok());
    let parted = cursor.filter(|_| shell == "bash").and_then(|cursor| answer_to_bash(&words, cursor));
    if let Some(text) = parted {
        return Some(terminal::result(&text).map(|()| Exit::Code(FINISHED)));
    }
    let words = as_understood(words, cursor.unwrap_or(usize::MAX));
    let mut text = Vec::new();
    let here = std::env::current_dir().ok();
    let answered = completer.write_complete(&mut Cli::command(), words, here.as_deref(), &mut text);
    let answered = answered.map_err(|cause| Error::broken("completions", cause));
    Some(answered.and_then(|()| terminal::result(&text)).map(|()| Exit::Code(FINISHED)))
}

/// The words of a line with a command in it as the library can complete them. It does not see that `pipe` has a
/// command after `--`, nor that only the first word of a command is one, and files follow. So the words before the
/// cursor become those of another line: `each` takes a command, and `count` files. There are as many of them as
/// there were, since the shell counts them.
fn as_understood(mut words: Vec<OsString>, cursor: usize) -> Vec<OsString> {
    let cursor = cursor.min(words.len().saturating_sub(1));
    let is_at_arguments = match words.get(1).and_then(|verb| verb.to_str()) {
        Some("pipe") => match words[..cursor].iter().position(|word| word == "--") {
            Some(dashes) if dashes + 1 == cursor => {
                words[1] = "each".into();
                words[2..cursor].fill("--quiet".into());
                false
            }
            dashes => dashes.is_some(),
        },
        Some("each") => Cli::read(&words[..cursor])
            .is_ok_and(|cli| matches!(cli.verb, Verb::Job(JobVerb::Each(each)) if !each.command.is_empty())),
        Some(_) | None => false,
    };
    if is_at_arguments {
        words[1] = "count".into();
        words[2..cursor].fill("--".into());
    }
    words
}

fn beginning_with(current: &OsStr, words: impl IntoIterator<Item = OsString>) -> Vec<CompletionCandidate> {
    let words = words.into_iter().filter(|word| word.as_bytes().starts_with(current.as_bytes()));
    words.map(CompletionCandidate::new).collect()
}

/// The settings that `set` changes, and the states here.
pub(crate) fn settings(current: &OsStr) -> Vec<CompletionCandidate> {
    let mut words = beginning_with(current, SETTABLE.map(|key| format!("{key}=").into()));
    words.extend(states(current));
    words
}

/// The states here, and the outputs that stand for them.
pub(crate) fn states(current: &OsStr) -> Vec<CompletionCandidate> {
    let states = states_in(Path::new("")).unwrap_or_default();
    let mut words: Vec<OsString> = Vec::new();
    for state in states {
        let name = state.into_os_string();
        words
            .extend(name.as_bytes().strip_suffix(BESIDE.as_bytes()).map(|out| OsStr::from_bytes(out).into()));
        words.push(name);
    }
    beginning_with(current, words)
}

/// A signal and a request: `USR2=checkpoint`.
pub(crate) fn mappings(current: &OsStr) -> Vec<CompletionCandidate> {
    let rows = DEFAULTS.iter().map(|(signal, _)| short_name(*signal));
    beginning_with(
        current,
        rows.flat_map(|row| Request::ALL.map(|request| format!("{row}={request}").into())),
    )
}

pub(crate) fn halts(current: &OsStr) -> Vec<CompletionCandidate> {
    beginning_with(
        current,
        ["never", "soon,fail=1", "now,fail=1", "now,success=1", "soon,done=1"].map(OsString::from),
    )
}

/// A command: a program on `PATH`, or a file.
pub(crate) fn commands(current: &OsStr) -> Vec<CompletionCandidate> {
    match current.as_bytes().contains(&b'/') {
        true => PathCompleter::any().complete(current),
        false => programs(current),
    }
}

fn programs(current: &OsStr) -> Vec<CompletionCandidate> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let entries = std::env::split_paths(&path).filter_map(|directory| directory.read_dir().ok()).flatten();
    let names: BTreeSet<OsString> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name();
            let begins_so = name.as_bytes().starts_with(current.as_bytes());
            (begins_so && is_executable(&entry.path())).then_some(name)
        })
        .collect();
    beginning_with(current, names)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is offered for the last word of a line.
    fn offered(line: &[&str]) -> Vec<String> {
        let words = as_understood(line.iter().map(OsString::from).collect(), line.len() - 1);
        let here = std::env::current_dir().unwrap();
        let offered = complete(&mut Cli::command(), words, line.len() - 1, Some(&here)).unwrap();
        offered.iter().map(|one| one.get_value().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn verbs_options_and_their_values_are_offered() {
        for (line, expected) in [
            (vec!["bivouac", "che"], "checkpoint"),
            (vec!["bivouac", "grep", "--on", "USR2=c"], "USR2=checkpoint"),
            (vec!["bivouac", "each", "--halt", "n"], "now,fail=1"),
            (vec!["bivouac", "each", "--progress", "f"], "full"),
            (vec!["bivouac", "each", "--colo"], "--color"),
            (vec!["bivouac", "completions", "z"], "zsh"),
        ] {
            assert!(offered(&line).iter().any(|one| one == expected), "{line:?}: {:?}", offered(&line));
        }
    }

    #[test]
    fn commands_are_offered_where_a_command_stands_and_files_after_it() {
        for line in [vec!["bivouac", "each", "tru"], vec!["bivouac", "pipe", "Cargo.toml", "--", "tru"]] {
            assert!(offered(&line).contains(&"true".to_string()), "{line:?}: {:?}", offered(&line));
        }
        for line in [
            vec!["bivouac", "each", "cat", "Cargo.t"],
            vec!["bivouac", "pipe", "f", "--", "cat", "Cargo.t"],
            vec!["bivouac", "count", "Cargo.t"],
        ] {
            assert_eq!(offered(&line), ["Cargo.toml"], "{line:?}");
        }
    }
}
