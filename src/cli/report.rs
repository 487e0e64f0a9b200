//! The last paragraph: what is committed, and how to continue.
//!
//! After a stop it is printed with `--quiet` too: without it half a job would be left and no way to
//! continue. It ends with the command that continues, on its own line, ready to paste.

use crate::cli::args::{Cli, Verb};
use crate::cli::format::{TaskWord, size, time};
use crate::cli::terminal;
use crate::jobs::complaints::Complaints;
use crate::jobs::quote;
use crate::jobs::wording::worded;
use bivouac::ending::{StoppedBy, Summary};
use bivouac::error::Kind;
use bivouac::state_dir::Continuing;
use bivouac::{Ending, Error, Location};
use std::ffi::OsString;
use std::path::Path;

/// What a report is about, besides the ending.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReportContext<'a> {
    /// The command line as it was given.
    pub(crate) argv: &'a [OsString],
    /// Where the state is.
    pub(crate) state: &'a Location,
    /// The output file.
    pub(crate) output: Option<&'a Path>,
    pub(crate) quiet: bool,
    pub(crate) word: TaskWord,
    /// Of a job whose tasks are items: the first that failed in this run.
    pub(crate) failures: Option<&'a Complaints>,
    /// Whether standard input is an input: then it must be given again, too.
    pub(crate) from_stdin: bool,
    /// Whether the next run goes on after what was printed.
    pub(crate) goes_on_printing: bool,
}

/// How many failures are listed.
const LISTED: usize = 5;

/// Prints how a run ended, unless it just finished.
pub(crate) fn report(ending: &Ending, context: ReportContext<'_>) {
    if let Some(paragraph) = paragraph(ending, context) {
        terminal::message(&paragraph);
    }
}

fn paragraph(ending: &Ending, context: ReportContext<'_>) -> Option<String> {
    match ending {
        Ending::Stopped { by, summary } => Some(stopped(*by, summary, context)),
        Ending::Failed { error, summary } => failed(error, summary, context),
        Ending::Finished { summary, .. } if is_without_items(summary, context) => {
            Some("no items were given, so nothing was run".to_string())
        }
        Ending::Finished { already: true, summary, .. } if !context.quiet => Some(already(summary, context)),
        Ending::Finished { summary: Summary { interrupted: Some(signal), failed: 0, .. }, .. }
            if !context.quiet =>
        {
            Some(format!(
                "finished within the grace, nothing is missing; this process still dies of {signal}, to end a loop around it"
            ))
        }
        Ending::Finished { summary, .. } if summary.failed > 0 && context.failures.is_some() => {
            Some(format!("finished, but {}", failed_items(summary, context)))
        }
        Ending::Finished { summary, .. } if summary.failed > 0 => {
            Some(format!("finished, but {}", left_out(summary.failed)))
        }
        Ending::Finished { .. } => None,
    }
}

fn is_without_items(summary: &Summary, context: ReportContext<'_>) -> bool {
    context.failures.is_some() && summary.frontier == 0 && !context.quiet
}

/// How many items failed, the first of them, and what can be done about it.
fn failed_items(summary: &Summary, context: ReportContext<'_>) -> String {
    let mut text = format!("{} failed", context.word.count(summary.failed));
    let first = context.failures.map(Complaints::take).unwrap_or_default();
    for failure in first.iter().take(LISTED) {
        text.push_str(&format!("\n  {}", failure.replace('\n', "\n  ")));
    }
    let listed = first.len().min(LISTED) as u64;
    if listed > 0 && summary.failed > listed {
        text.push_str(&format!("\n  … and {} more", summary.failed - listed));
    }
    if let Location::Directory(state) | Location::Passing(state) = context.state {
        let state = quote::argument(state.as_os_str());
        text.push_str(&format!("\n  `bivouac log --failed {state}` lists them"));
        if context.output.is_none() {
            text.push_str("; the same command with --retry-failed runs them once more");
        }
    }
    text
}

fn stopped(by: StoppedBy, summary: &Summary, context: ReportContext<'_>) -> String {
    let by = match by {
        StoppedBy::Signal(signal) | StoppedBy::Warning(signal) => format!("stopped by {signal}"),
        StoppedBy::Budget => "stopped by --max-runtime".to_string(),
        StoppedBy::Handle => "stopped on request".to_string(),
    };
    let command = quote::shortened(&without_fresh(context.argv));
    if *context.state == Location::Nowhere {
        return format!(
            "{by}; this input cannot be read again, so nothing was kept, and the job starts from the beginning with\n  {command}"
        );
    }
    if !context.goes_on_printing {
        let done = context.word.of(summary.frontier, summary.tasks);
        return format!(
            "{by} after {done}; what they printed cannot be taken back, so nothing was kept, and the job starts from the beginning with\n  {command}\n  (with --output OUT, or with >> into a file, it could be continued)"
        );
    }
    let append = match context.output {
        None if summary.output_bytes > 0 => ", with >> if its output went to a file",
        None | Some(_) => "",
    };
    format!(
        "{by}; {}. To continue{}{append}{}:\n  {command}",
        standing(summary, context),
        here(),
        again(context)
    )
}

/// The error, and what is committed.
fn failed(error: &Error, summary: &Summary, context: ReportContext<'_>) -> Option<String> {
    // The reader has closed our standard output on purpose.
    if error.kind() == Kind::OutputClosed {
        return None;
    }
    let stands = error.kind() == Kind::Broken
        && summary.checkpoint.is_some()
        && *context.state != Location::Nowhere
        && context.goes_on_printing;
    if !stands {
        // Nothing was changed, or nothing was committed: the error is all there is to say.
        return Some(worded(error));
    }
    let command = quote::shortened(&without_fresh(context.argv));
    let (standing, here, again) = (standing(summary, context), here(), again(context));
    let error = worded(error);
    Some(format!("{error}\n  {standing}; to continue{here}{again}:\n  {command}"))
}

/// What else must be given again.
fn again(context: ReportContext<'_>) -> &'static str {
    match (context.from_stdin, context.failures.is_some()) {
        (true, true) => ", with the same list on standard input",
        (true, false) => ", with the same standard input",
        (false, _) => "",
    }
}

fn already(summary: &Summary, context: ReportContext<'_>) -> String {
    let place = context.output.map(|path| format!(" in {}", path.display())).unwrap_or_default();
    let tasks = context.word.count(summary.frontier);
    let text = format!(
        "already finished by an earlier run: {tasks}, {} of output{place}; --fresh does it again",
        size(summary.output_bytes)
    );
    match (context.failures, summary.failed) {
        (Some(_), 1..) => format!("{text}\n  {}", failed_items(summary, context)),
        (None, failed @ 1..) => format!("{text}\n  {}", left_out(failed)),
        (_, 0) => text,
    }
}

fn left_out(failed: u64) -> String {
    let are = if failed == 1 { "is" } else { "are" };
    format!("{} failed and {are} left out of the output", TaskWord::Task.count(failed))
}

/// What is committed, and how old and how large the checkpoint is that says so.
fn standing(summary: &Summary, context: ReportContext<'_>) -> String {
    let are = if summary.tasks.unwrap_or(summary.frontier) == 1 { "is" } else { "are" };
    let mut text = format!(
        "{} {are} committed, {} of output",
        context.word.of(summary.frontier, summary.tasks),
        size(summary.output_bytes)
    );
    if summary.ahead > 0 {
        let are = if summary.ahead == 1 { "is" } else { "are" };
        text.push_str(&format!(", {} more {are} completed ahead of them", summary.ahead));
    }
    if summary.failed > 0 {
        text.push_str(&format!(", {} failed", summary.failed));
    }
    match summary.checkpoint {
        Some(facts) => {
            let age = time(facts.age);
            text.push_str(&format!(
                "; the checkpoint is {age} old and {} large{}",
                size(facts.size),
                kept_in(context.state)
            ));
        }
        None if summary.frontier == 0 => text.push_str("; there is no checkpoint, since nothing was done"),
        None => text.push_str("; nothing was done now, and the checkpoint of the last run stays"),
    }
    text
}

fn kept_in(state: &Location) -> String {
    match state {
        Location::Nowhere => String::new(),
        Location::Directory(path) | Location::Passing(path) => format!(", in {}", path.display()),
    }
}

/// The command that continues, for the state, where other processes read it.
pub(crate) fn continuing(argv: &[OsString]) -> Continuing {
    let directory = std::env::current_dir().ok();
    Continuing {
        command: quote::command(&without_fresh(argv)),
        directory: directory.map(|directory| quote::argument(directory.as_os_str())),
    }
}

/// Where to run the command: its relative paths are relative to this directory, and the message may be read in a
/// log much later.
fn here() -> String {
    match std::env::current_dir() {
        Ok(directory) => format!(", in {}", quote::argument(directory.as_os_str())),
        Err(_) => String::new(),
    }
}

/// The command that continues: the same without `--fresh`, which would discard the state.
///
/// Only the parser knows which word `--fresh` is the option, and not the value of another option or a file
/// after `--`. So it is asked: without the right one the command line means the same, except for this.
fn without_fresh(argv: &[OsString]) -> Vec<OsString> {
    let without_option = |cli: &mut Cli| match &mut cli.verb {
        Verb::Job(verb) => std::mem::replace(&mut verb.job_args_mut().resume.fresh, false),
        Verb::Control(_)
        | Verb::Log(_)
        | Verb::Clean(_)
        | Verb::Signals(_)
        | Verb::Completions(_)
        | Verb::Man(_) => false,
    };
    let Ok(mut meant) = Cli::read(argv) else { return argv.to_vec() };
    if !without_option(&mut meant) {
        return argv.to_vec();
    }
    (0..argv.len())
        .filter(|&at| argv[at] == "--fresh")
        .map(|at| [&argv[..at], &argv[at + 1..]].concat())
        .find(|shorter| Cli::read(shorter).is_ok_and(|cli| cli == meant))
        .unwrap_or_else(|| argv.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bivouac::ending::CheckpointFacts;
    use nix::sys::signal::Signal;
    use std::path::PathBuf;
    use std::time::Duration;

    fn argv(line: &str) -> Vec<OsString> {
        shlex::split(line).unwrap().into_iter().map(OsString::from).collect()
    }

    fn summary() -> Summary {
        Summary {
            frontier: 3,
            ahead: 2,
            tasks: Some(64),
            output_bytes: 1229,
            checkpoint: Some(CheckpointFacts {
                size: 700,
                age: Duration::from_millis(12),
                took: Duration::from_millis(1),
            }),
            ..Summary::default()
        }
    }

    fn say_of(ending: &Ending, line: &str, state: &Location, quiet: bool) -> Option<String> {
        let argv = argv(line);
        paragraph(
            ending,
            ReportContext {
                argv: &argv,
                state,
                output: Some(Path::new("out")),
                quiet,
                word: TaskWord::Task,
                failures: None,
                goes_on_printing: true,
                from_stdin: false,
            },
        )
    }

    fn kept() -> Location {
        Location::Directory(PathBuf::from("out.bivouac"))
    }

    #[test]
    fn after_a_stop_it_says_what_stands_and_the_command_that_continues() {
        let ending = Ending::Stopped { by: StoppedBy::Signal(Signal::SIGTERM), summary: summary() };
        let line = "bivouac grep 'a b' f --output out --fresh";
        let text = say_of(&ending, line, &kept(), true).unwrap();
        let (said, command) = text.rsplit_once('\n').unwrap();
        let stands = "stopped by SIGTERM; 3 of 64 tasks are committed, 1.2 KiB of output, 2 more are completed ahead of them; ";
        assert!(said.starts_with(stands), "{said}");
        assert!(
            said.contains("the checkpoint is 12.0 ms old and 700 B large, in out.bivouac. To continue, in /"),
            "{said}"
        );
        assert_eq!(command, "  bivouac grep 'a b' f --output out");
    }

    #[test]
    fn a_pipe_cannot_be_continued_and_that_is_said() {
        let ending = Ending::Stopped { by: StoppedBy::Signal(Signal::SIGINT), summary: summary() };
        let text = say_of(&ending, "bivouac count -", &Location::Nowhere, false).unwrap();
        assert!(text.contains("starts from the beginning with\n  bivouac count -"), "{text}");
    }

    #[test]
    fn a_failure_says_what_stands_and_a_refusal_only_why() {
        let line = "bivouac count f -o out";
        let broken = Ending::Failed { error: Error::broken("out.part", "cannot write"), summary: summary() };
        let text = say_of(&broken, line, &kept(), false).unwrap();
        assert!(text.starts_with("out.part: cannot write\n  3 of 64 tasks are committed"), "{text}");
        assert!(text.ends_with(&format!("\n  {line}")), "{text}");
        let refused = Ending::Failed { error: Error::refused("f", "changed"), summary: summary() };
        assert_eq!(say_of(&refused, line, &kept(), true).unwrap(), "f: changed");
        let closed = Error::new(Kind::OutputClosed, "standard output", "is closed");
        assert_eq!(say_of(&Ending::Failed { error: closed, summary: summary() }, line, &kept(), false), None);
    }

    #[test]
    fn a_finished_job_is_silent_unless_it_was_finished_before_or_left_something_out() {
        let done =
            |already, failed| Ending::Finished { code: 0, already, summary: Summary { failed, ..summary() } };
        let line = "bivouac count f -o out";
        assert_eq!(say_of(&done(false, 0), line, &kept(), false), None);
        assert_eq!(
            say_of(&done(true, 0), line, &kept(), false).unwrap(),
            "already finished by an earlier run: 3 tasks, 1.2 KiB of output in out; --fresh does it again"
        );
        assert_eq!(say_of(&done(true, 0), line, &kept(), true), None);
        let text = say_of(&done(true, 2), line, &kept(), false).unwrap();
        assert!(text.ends_with("\n  2 tasks failed and are left out of the output"), "{text}");
        assert_eq!(
            say_of(&done(false, 1), line, &kept(), true).unwrap(),
            "finished, but 1 task failed and is left out of the output"
        );
    }

    #[test]
    fn only_the_option_fresh_is_taken_away() {
        for (line, expected) in [
            ("bivouac count --fresh f", "bivouac count f"),
            ("bivouac count f --fresh -- --fresh", "bivouac count f -- --fresh"),
            ("bivouac count f -- --fresh", "bivouac count f -- --fresh"),
            ("bivouac grep -e --fresh f --fresh", "bivouac grep -e --fresh f"),
            ("bivouac grep -ie --fresh f", "bivouac grep -ie --fresh f"),
            ("bivouac grep --fresh --fresh.txt", "bivouac grep --fresh --fresh.txt"),
        ] {
            assert_eq!(without_fresh(&argv(line)), argv(expected), "{line}");
        }
    }
}
