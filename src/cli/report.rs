//! The last paragraph: what is committed, and how to continue.
//!
//! After a stop it is printed with `--quiet` too: without it half a job would be left and no way to
//! continue. It ends with the command that continues, on its own line, ready to paste.

use crate::cli::args::{Cli, JobVerb, Verb};
use crate::cli::format::{TaskWord, percent, size, time};
use crate::cli::shards::whole_of;
use crate::cli::terminal;
use crate::jobs::complaints::Complaints;
use crate::jobs::quote;
use bivouac::ending::{StoppedBy, Summary};
use bivouac::error::Kind;
use bivouac::state_dir::Continuing;
use bivouac::{Ending, Error, Location};
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

#[derive(Clone, Copy, Debug)]
pub(crate) struct ReportContext<'a> {
    pub(crate) argv: &'a [OsString],
    pub(crate) state: &'a Location,
    pub(crate) output: Option<&'a Path>,
    pub(crate) quiet: bool,
    /// Whether the progress was shown: then the end is, too.
    pub(crate) shown: bool,
    pub(crate) word: TaskWord,
    /// Of a job whose tasks are items: the first that failed in this run.
    pub(crate) failures: Option<&'a Complaints>,
    /// Whether standard input is an input: then it must be given again, too.
    pub(crate) from_stdin: bool,
    /// Whether the next run goes on after what was printed.
    pub(crate) goes_on_printing: bool,
}

const LISTED: usize = 5;

/// A job that printed its result, and took no longer than this, says no more than `wc` does.
const AT_ONCE: Duration = Duration::from_secs(1);

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
        Ending::Finished { summary, .. } if summary.failed > 0 => {
            let failed = match context.failures {
                Some(_) => failed_items(summary, context),
                None => left_out(summary.failed, context),
            };
            Some(format!("{}, but {failed}", took(summary)))
        }
        Ending::Finished { summary, .. } if tells_the_end(summary, context) => {
            Some(format!("{}: {}", took(summary), made(summary, context)))
        }
        Ending::Finished { .. } => None,
    }
}

fn tells_the_end(summary: &Summary, context: ReportContext<'_>) -> bool {
    let is_lasting = context.output.is_some() || context.failures.is_some();
    context.shown && (is_lasting || summary.runs > 1 || summary.worked > AT_ONCE)
}

fn took(summary: &Summary) -> String {
    match summary.runs {
        0 | 1 => format!("finished in {}", time(summary.worked)),
        runs => format!("finished, the last of {runs} runs took {}", time(summary.worked)),
    }
}

/// What was made of how much.
fn made(summary: &Summary, context: ReportContext<'_>) -> String {
    let place = context.output.map(|path| format!(" in {}", path.display())).unwrap_or_default();
    format!("{}, {} of output{place}", context.word.count(summary.frontier), size(summary.output_bytes))
}

fn is_without_items(summary: &Summary, context: ReportContext<'_>) -> bool {
    context.failures.is_some() && summary.frontier == 0 && !context.quiet
}

/// How many items failed, the first of them, and what can be done about it.
fn failed_items(summary: &Summary, context: ReportContext<'_>) -> String {
    let of =
        if summary.frontier > summary.failed { format!(", of {}", summary.frontier) } else { String::new() };
    let mut text = format!("{} failed{of}", context.word.count(summary.failed));
    let first = context.failures.map(Complaints::take).unwrap_or_default();
    for failure in first.iter().take(LISTED) {
        text.push_str(&format!("\n  {}", failure.replace('\n', "\n  ")));
    }
    let listed = first.len().min(LISTED) as u64;
    if listed > 0 && summary.failed > listed {
        text.push_str(&format!("\n  … and {} more", summary.failed - listed));
    }
    text.push_str(&listed_by_log(context));
    if context.output.is_none() {
        let command = quote::shortened(&with_retry(context.argv));
        text.push_str(&format!("\n  to run them once more:\n  {command}"));
    }
    text
}

fn listed_by_log(context: ReportContext<'_>) -> String {
    match context.state {
        Location::Nowhere => String::new(),
        Location::Directory(state) | Location::Passing(state) => {
            let state = whole_of(state).unwrap_or(state);
            format!("\n  `bivouac log --failed {}` lists them", quote::argument(state.as_os_str()))
        }
    }
}

/// The command that runs failed items once more: the same with `--retry-failed`.
fn with_retry(argv: &[OsString]) -> Vec<OsString> {
    let is_there = Cli::read(argv)
        .is_ok_and(|cli| matches!(cli.verb, Verb::Job(JobVerb::Each(each)) if each.retry_failed));
    let mut argv = argv.to_vec();
    if !is_there {
        argv.insert(2.min(argv.len()), "--retry-failed".into());
    }
    argv
}

fn stopped(by: StoppedBy, summary: &Summary, context: ReportContext<'_>) -> String {
    let by = match by {
        StoppedBy::Signal(signal) | StoppedBy::Warning(signal) => format!("stopped by {signal}"),
        StoppedBy::Budget => "stopped by --max-runtime".to_string(),
        StoppedBy::Handle => "stopped on request".to_string(),
        StoppedBy::Enough { .. } => "stopped by --halt".to_string(),
    };
    let command = quote::shortened(&without_fresh(context.argv));
    if *context.state == Location::Nowhere {
        return format!(
            "{by}; this input cannot be read again, so nothing was kept, and the job starts from the beginning with\n  {command}"
        );
    }
    let at = reached(summary);
    if !context.goes_on_printing {
        let done = context.word.of(summary.frontier, summary.tasks);
        return format!(
            "{by}{at}, after {done}; what they printed cannot be taken back, so nothing was kept, and the job starts from the beginning with\n  {command}\n  (with --output OUT, or with >> into a file, it could be continued)"
        );
    }
    let append = match context.output {
        None if summary.output_bytes > 0 => ", with >> if its output went to a file",
        None | Some(_) => "",
    };
    let (standing, kept, here) = (standing(summary, context), kept(summary, context.state), here());
    let again = again(context);
    format!("{by}{at}: {standing}\n  {kept}\n  to continue{here}{append}{again}:\n  {command}")
}

/// The share that is committed: ` at 14 %, 300.0 MiB of 2.0 GiB`.
fn reached(summary: &Summary) -> String {
    let Some(percent) = percent(summary.share()) else { return String::new() };
    let of = summary.input_total.map(|total| format!(", {} of {}", size(summary.input_bytes), size(total)));
    format!(" at {percent} %{}", of.unwrap_or_default())
}

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
        return Some(context.word.worded(error));
    }
    let command = quote::shortened(&without_fresh(context.argv));
    let (standing, kept, here) = (standing(summary, context), kept(summary, context.state), here());
    let (error, at, again) = (context.word.worded(error), reached(summary), again(context));
    Some(format!("{error}\n  ended{at}: {standing}\n  {kept}\n  to continue{here}{again}:\n  {command}"))
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
    let made = made(summary, context);
    let is_shard = context.argv.iter().any(|word| word.as_encoded_bytes().starts_with(b"--shard"));
    let afresh = if is_shard { "`bivouac clean --force` gives the job up" } else { "--fresh does it again" };
    let text = format!("already finished by an earlier run: {made}; {afresh}");
    match (context.failures, summary.failed) {
        (Some(_), 1..) => format!("{text}\n  {}", failed_items(summary, context)),
        (None, failed @ 1..) => format!("{text}\n  {}", left_out(failed, context)),
        (_, 0) => text,
    }
}

fn left_out(failed: u64, context: ReportContext<'_>) -> String {
    let are = if failed == 1 { "is" } else { "are" };
    // The state of a job that printed its result is gone with its end.
    let log = match context.state {
        Location::Directory(_) => listed_by_log(context),
        Location::Nowhere | Location::Passing(_) => String::new(),
    };
    format!("{} failed and {are} left out of the output{log}", context.word.count(failed))
}

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
    text
}

/// Where it is kept, and how old and how large the checkpoint is.
fn kept(summary: &Summary, state: &Location) -> String {
    let place = match state {
        Location::Nowhere => "kept nowhere".to_string(),
        Location::Directory(path) | Location::Passing(path) => format!("kept in {}", path.display()),
    };
    match summary.checkpoint {
        Some(facts) => {
            format!("{place}; the checkpoint is {} old and {} large", time(facts.age), size(facts.size))
        }
        None if summary.frontier == 0 => "there is no checkpoint, since nothing was done".to_string(),
        None => format!("{place}; nothing was done now, and the checkpoint of the last run stays"),
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
    let Ok(mut meant) = Cli::read(argv) else { return argv.to_vec() };
    let Verb::Job(verb) = &mut meant.verb else { return argv.to_vec() };
    if !std::mem::replace(&mut verb.job_args_mut().resume.fresh, false) {
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

    fn argv(line: &str) -> Vec<OsString> {
        shlex::split(line).unwrap().into_iter().map(OsString::from).collect()
    }

    fn summary() -> Summary {
        Summary {
            frontier: 3,
            ahead: 2,
            tasks: Some(64),
            input_bytes: 3 << 20,
            input_total: Some(64 << 20),
            output_bytes: 1229,
            runs: 1,
            worked: Duration::from_millis(12_300),
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
                shown: !quiet,
                word: TaskWord::Task,
                failures: None,
                goes_on_printing: true,
                from_stdin: false,
            },
        )
    }

    fn beside() -> Location {
        Location::Directory(PathBuf::from("out.bivouac"))
    }

    #[test]
    fn after_a_stop_it_says_what_stands_and_the_command_that_continues() {
        let ending = Ending::Stopped { by: StoppedBy::Signal(Signal::SIGTERM), summary: summary() };
        let line = "bivouac grep 'a b' f --output out --fresh";
        let text = say_of(&ending, line, &beside(), true).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines[0],
            "stopped by SIGTERM at 4 %, 3.0 MiB of 64.0 MiB: 3 of 64 tasks are committed, 1.2 KiB of output, 2 more are completed ahead of them"
        );
        assert_eq!(lines[1], "  kept in out.bivouac; the checkpoint is 12.0 ms old and 700 B large");
        assert!(lines[2].starts_with("  to continue, in /") && lines[2].ends_with(':'), "{text}");
        assert_eq!(lines[3..], ["  bivouac grep 'a b' f --output out"]);
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
        let text = say_of(&broken, line, &beside(), false).unwrap();
        assert!(
            text.starts_with("out.part: cannot write\n  ended at 4 %, 3.0 MiB of 64.0 MiB: 3 of 64"),
            "{text}"
        );
        assert!(text.ends_with(&format!("\n  {line}")), "{text}");
        let refused = Ending::Failed { error: Error::refused("f", "changed"), summary: summary() };
        assert_eq!(say_of(&refused, line, &beside(), true).unwrap(), "f: changed");
        let closed = Error::new(Kind::OutputClosed, "standard output", "is closed");
        assert_eq!(
            say_of(&Ending::Failed { error: closed, summary: summary() }, line, &beside(), false),
            None
        );
    }

    #[test]
    fn the_end_is_one_line_if_the_progress_was_shown_or_something_is_left_out() {
        let done =
            |already, failed| Ending::Finished { code: 0, already, summary: Summary { failed, ..summary() } };
        let line = "bivouac count f -o out";
        assert_eq!(say_of(&done(false, 0), line, &beside(), true), None);
        let text = say_of(&done(false, 0), line, &beside(), false).unwrap();
        assert_eq!(text, "finished in 12.3 s: 3 tasks, 1.2 KiB of output in out");
        let last = Ending::Finished { code: 0, already: false, summary: Summary { runs: 3, ..summary() } };
        let text = say_of(&last, line, &beside(), false).unwrap();
        assert!(text.starts_with("finished, the last of 3 runs took 12.3 s: 3 tasks, "), "{text}");
        assert_eq!(
            say_of(&done(true, 0), line, &beside(), false).unwrap(),
            "already finished by an earlier run: 3 tasks, 1.2 KiB of output in out; --fresh does it again"
        );
        assert_eq!(say_of(&done(true, 0), line, &beside(), true), None);
        let text = say_of(&done(true, 2), line, &beside(), false).unwrap();
        let log = "left out of the output\n  `bivouac log --failed out.bivouac` lists them";
        assert!(text.ends_with(&format!("\n  2 tasks failed and are {log}")), "{text}");
        assert_eq!(
            say_of(&done(false, 1), line, &beside(), true).unwrap(),
            format!("finished in 12.3 s, but 1 task failed and is {log}")
        );
    }

    #[test]
    fn failed_items_are_run_once_more_by_the_line_that_is_printed() {
        for (line, expected) in [
            ("bivouac each -k f {} ::: a", "bivouac each --retry-failed -k f {} ::: a"),
            ("bivouac each -k --retry-failed f ::: a", "bivouac each -k --retry-failed f ::: a"),
            ("bivouac each f ::: --retry-failed", "bivouac each --retry-failed f ::: --retry-failed"),
        ] {
            assert_eq!(with_retry(&argv(line)), argv(expected), "{line}");
        }
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
