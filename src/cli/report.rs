//! The last messages: what is committed, and how to continue.
//!
//! After a stop they are printed with `--quiet` too: otherwise half a job would be left, and no way to continue it. The
//! last line is the command that continues, alone and ready to paste.

use crate::cli::args::{Cli, JobVerb, Verb};
use crate::cli::format::{TaskWord, percent, size, time};
use crate::cli::shards::{in_shards, whole_of};
use crate::cli::terminal::{self, Urgency};
use crate::jobs::complaints::Complaints;
use crate::jobs::quote;
use crate::jobs::wording::words;
use bivouac::ending::{StoppedBy, Summary};
use bivouac::error::{Advice, Kind};
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
    /// Whether the progress was shown. Then the end is shown too.
    pub(crate) shown: bool,
    pub(crate) word: TaskWord,
    /// The first items that failed in this run. `None`: the tasks of the job are not items.
    pub(crate) failures: Option<&'a Complaints>,
    /// Whether standard input is an input. Then it must be given again too.
    pub(crate) from_stdin: bool,
    /// Whether the next run goes on after what was printed.
    pub(crate) goes_on_printing: bool,
}

/// How many failed items are named.
const LISTED: usize = 5;

/// If a job printed its result and took no longer than this, it says no more than `wc` does.
const AT_ONCE: Duration = Duration::from_secs(1);

pub(crate) fn report(ending: &Ending, context: ReportContext<'_>) {
    let urgency = match ending {
        Ending::Failed { .. } => Urgency::Error,
        Ending::Finished { summary, .. } if summary.failed > 0 => Urgency::Warning,
        Ending::Finished { .. } | Ending::Stopped { .. } => Urgency::Info,
    };
    for message in messages(ending, context) {
        terminal::say(urgency, &message);
    }
}

/// All messages about an ending, also those that `--quiet` leaves out: the text that a hook sends.
pub(crate) fn in_full(ending: &Ending, context: ReportContext<'_>) -> String {
    messages(ending, ReportContext { quiet: false, shown: true, ..context }).join("\n")
}

/// The command that continues the job.
pub(crate) fn typed_again(argv: &[OsString]) -> String {
    quote::command(&without_fresh(argv))
}

/// The messages about an ending, each of at most two lines.
fn messages(ending: &Ending, context: ReportContext<'_>) -> Vec<String> {
    match ending {
        Ending::Stopped { by, summary } => stopped(*by, summary, context),
        Ending::Failed { error, summary } => failed(error, summary, context),
        Ending::Finished { summary, .. } if is_without_items(summary, context) => {
            vec![
                "no items were given, so nothing was run\n  they come after `:::`, from -a FILE before COMMAND, or from standard input"
                    .to_string(),
            ]
        }
        Ending::Finished { already: true, summary, .. } if !context.quiet => already(summary, context),
        Ending::Finished { summary: Summary { interrupted: Some(signal), failed: 0, .. }, .. }
            if !context.quiet =>
        {
            vec![format!("finished within the grace; it still dies of {signal}, to end a loop")]
        }
        Ending::Finished { summary, .. } if summary.failed > 0 => {
            // How long the last run took is of less use here, and the line is long.
            let finished = match summary.runs {
                0 | 1 => took(summary),
                runs => format!("finished in {runs} runs"),
            };
            with_failures(format!("{finished}, but "), summary, context)
        }
        Ending::Finished { summary, .. } if tells_the_end(summary, context) => {
            vec![format!("{}: {}", took(summary), made(summary, context))]
        }
        Ending::Finished { .. } => Vec::new(),
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

/// How many tasks are done, and how much output they made.
fn made(summary: &Summary, context: ReportContext<'_>) -> String {
    let done = context.word.count(summary.frontier);
    match (context.output, size(summary.output_bytes)) {
        (Some(path), output) => format!("{done}, {output} of output in {}", path.display()),
        (None, _) if summary.output_bytes == 0 => done,
        (None, output) => format!("{done}, {output} of output"),
    }
}

fn is_without_items(summary: &Summary, context: ReportContext<'_>) -> bool {
    context.failures.is_some() && summary.frontier == 0 && !context.quiet
}

/// The first items that failed, how many there are, and what can be done about it.
fn with_failures(before: String, summary: &Summary, context: ReportContext<'_>) -> Vec<String> {
    let failed = context.word.count(summary.failed);
    let log = match context.state {
        // The state of a job that printed its result is gone with its end.
        Location::Passing(_) if context.failures.is_none() => String::new(),
        Location::Nowhere => String::new(),
        Location::Directory(state) | Location::Passing(state) => {
            let state = whole_of(state).unwrap_or(state);
            format!("\n  `bivouac log --failed {}` lists them", quote::argument(state.as_os_str()))
        }
    };
    let Some(failures) = context.failures else {
        let are = if summary.failed == 1 { "is" } else { "are" };
        return vec![format!("{before}{failed} failed and {are} left out of the output{log}")];
    };
    let mut messages = failures.take();
    messages.truncate(LISTED);
    let more = summary.failed.saturating_sub(messages.len() as u64);
    if more > 0 && !messages.is_empty() {
        let log = if context.output.is_none() { log.as_str() } else { "" };
        messages.push(format!("… and {more} more{log}"));
    }
    let of = match summary.frontier {
        all if all > summary.failed => format!(", of {all}"),
        _ => String::new(),
    };
    messages.push(match context.output {
        None => {
            let command = quote::shortened(&with_retry(context.argv));
            format!("{before}{failed} failed{of}; once more:\n  {command}")
        }
        Some(_) => format!("{before}{failed} failed{of}{log}"),
    });
    messages
}

/// The same command with `--retry-failed`, which runs the failed items once more.
fn with_retry(argv: &[OsString]) -> Vec<OsString> {
    let is_there = Cli::read(argv)
        .is_ok_and(|cli| matches!(cli.verb, Verb::Job(JobVerb::Each(each)) if each.retry_failed));
    let mut argv = argv.to_vec();
    if !is_there {
        argv.insert(2.min(argv.len()), "--retry-failed".into());
    }
    argv
}

fn stopped(by: StoppedBy, summary: &Summary, context: ReportContext<'_>) -> Vec<String> {
    let by = match by {
        StoppedBy::Signal(signal) | StoppedBy::Warning(signal) => format!("stopped by {signal}"),
        StoppedBy::Budget => "stopped by --max-runtime".to_string(),
        StoppedBy::Handle => "stopped on request".to_string(),
        StoppedBy::Enough { .. } => "stopped by --halt".to_string(),
    };
    let command = quote::shortened(&without_fresh(context.argv));
    if *context.state == Location::Nowhere {
        let how = "nothing was kept of a pipe: the job starts from the beginning with";
        return vec![format!("{by}; {how}\n  {command}")];
    }
    let (at, done) = (reached(summary), context.word.of(summary.frontier, summary.tasks));
    if !context.goes_on_printing {
        let advice = "with --output OUT, or >> into a file, it could be continued";
        let again = format!("what was printed stands; the job starts from the beginning with\n  {command}");
        return vec![format!("{by}{at}; nothing was kept\n  {advice}"), again];
    }
    let append = match context.output {
        None if summary.output_bytes > 0 => ", with >> if its output went to a file",
        None | Some(_) => "",
    };
    let mut standing = format!("{by}{at}, {done}");
    if summary.ahead > 0 {
        standing.push_str(&format!(", {} ahead", summary.ahead));
    }
    if summary.failed > 0 {
        standing.push_str(&format!(", {} failed", summary.failed));
    }
    let (kept, here, again) = (kept(summary, context.state), here(), again(context));
    vec![format!("{standing}\n  {kept}"), format!("to continue{append}{again}{here}:\n  {command}")]
}

/// The share that is committed: ` at 14 %, 300.0 MiB of 2.0 GiB`.
fn reached(summary: &Summary) -> String {
    let Some(percent) = percent(summary.share()) else { return String::new() };
    let of = summary.input_total.map(|total| format!(", {} of {}", size(summary.input_bytes), size(total)));
    format!(" at {percent} %{}", of.unwrap_or_default())
}

/// The error, and how the job continues.
fn failed(error: &Error, summary: &Summary, context: ReportContext<'_>) -> Vec<String> {
    // The reader has closed our standard output on purpose.
    if error.kind() == Kind::OutputClosed {
        return Vec::new();
    }
    let text = match context.state {
        Location::Directory(state) if whole_of(state).is_some() => context.word.worded(&in_shards(error)),
        Location::Directory(_) | Location::Nowhere | Location::Passing(_) => context.word.worded(error),
    };
    // The last lines of the command were printed when they came. Of a job of items, others may have come in between.
    let is_quoted = |line: &&str| context.failures.is_none() && line.starts_with("  | ");
    let text = text.lines().filter(|line| !is_quoted(line)).collect::<Vec<_>>().join("\n");
    let stands = error.kind() == Kind::Broken
        && summary.checkpoint.is_some()
        && *context.state != Location::Nowhere
        && context.goes_on_printing
        && (!text.contains(words(&Advice::RunAgain)) || context.from_stdin);
    // Otherwise nothing was changed, nothing was committed, or it is said already.
    let kept = stands.then(|| {
        let (at, place) = (reached(summary), place(context.state));
        format!("ended{at}, {place}\n  {}{}", words(&Advice::RunAgain), again(context))
    });
    // If the text also has the last lines of a command, the advice becomes a message of its own.
    let (first, more) = match text.rsplit_once("\n  ") {
        Some((first, advice)) if first.contains('\n') => (first, Some(advice)),
        _ => (text.as_str(), None),
    };
    let named = context.failures.map(|failures| failures.take()).unwrap_or_default().into_iter().take(LISTED);
    named.chain([first].into_iter().chain(more).map(str::to_string)).chain(kept).collect()
}

/// Which input must be given again with the command: one that bivouac cannot open again.
fn again(context: ReportContext<'_>) -> &'static str {
    match (context.from_stdin, context.failures.is_some()) {
        (true, true) => ", with the same list on standard input",
        (true, false) => ", with the same standard input",
        (false, _) => "",
    }
}

fn already(summary: &Summary, context: ReportContext<'_>) -> Vec<String> {
    let is_shard = context.argv.iter().any(|word| word.as_encoded_bytes().starts_with(b"--shard"));
    let afresh = if is_shard { "`bivouac clean --force` gives the job up" } else { "--fresh does it again" };
    let text = format!("already finished: {}\n  {afresh}", made(summary, context));
    let failures = (summary.failed > 0).then(|| with_failures(String::new(), summary, context));
    [text].into_iter().chain(failures.into_iter().flatten()).collect()
}

fn place(state: &Location) -> String {
    match state {
        Location::Nowhere => "kept nowhere".to_string(),
        Location::Directory(path) | Location::Passing(path) => format!("kept in {}", path.display()),
    }
}

/// Where the state is kept, how much output there is, and how old and how large the checkpoint is.
fn kept(summary: &Summary, state: &Location) -> String {
    let (place, output) = (place(state), size(summary.output_bytes));
    match summary.checkpoint {
        Some(facts) => {
            let (age, large) = (time(facts.age), size(facts.size));
            format!("{place}, {output} of output; the checkpoint is {age} old, {large}")
        }
        None if summary.frontier == 0 => "there is no checkpoint, since nothing was done".to_string(),
        None => format!("{place}; nothing was done now, and the last checkpoint stays"),
    }
}

/// The command that continues, as the state keeps it for other processes.
pub(crate) fn continuing(argv: &[OsString]) -> Continuing {
    let directory = std::env::current_dir().ok();
    Continuing {
        command: typed_again(argv),
        directory: directory.map(|directory| quote::argument(directory.as_os_str())),
    }
}

/// The directory in which to run the command. Its relative paths need it, and a person may read the message much later, in
/// a log.
fn here() -> String {
    match std::env::current_dir() {
        Ok(directory) => format!(", in {}", quote::argument(directory.as_os_str())),
        Err(_) => String::new(),
    }
}

/// The same command without `--fresh`, which would discard the state.
///
/// A word `--fresh` may also be the value of an option, or a file after `--`. Only the parser can tell. So this leaves out one
/// such word at a time, and takes the first command line that means the same to the parser, except that `--fresh` is off.
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
        let said = messages(
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
        );
        (!said.is_empty()).then(|| said.join("\n"))
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
        assert_eq!(lines[0], "stopped by SIGTERM at 4 %, 3.0 MiB of 64.0 MiB, 3 of 64 tasks, 2 ahead");
        assert_eq!(
            lines[1],
            "  kept in out.bivouac, 1.2 KiB of output; the checkpoint is 12.0 ms old, 700 B"
        );
        assert!(lines[2].starts_with("to continue, in /") && lines[2].ends_with(':'), "{text}");
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
        let continues = "run the same command again: it continues";
        let ended = "ended at 4 %, 3.0 MiB of 64.0 MiB, kept in out.bivouac";
        assert_eq!(text, format!("out.part: cannot write\n{ended}\n  {continues}"));
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
            "already finished: 3 tasks, 1.2 KiB of output in out\n  --fresh does it again"
        );
        assert_eq!(say_of(&done(true, 0), line, &beside(), true), None);
        let text = say_of(&done(true, 2), line, &beside(), false).unwrap();
        let log = "left out of the output\n  `bivouac log --failed out.bivouac` lists them";
        assert!(text.ends_with(&format!("\n2 tasks failed and are {log}")), "{text}");
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
