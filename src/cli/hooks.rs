//! `--on-finish`, `--on-stop`, `--on-failure`: commands that tell a person how the run has ended.
//!
//! The obvious way is a line of shell: `bivouac … ; mail …`. It hides the exit code from the service manager, it dies together
//! with bivouac of a Ctrl-C, and it must find out by itself whether the job is finished, can be continued or needs a person.
//!
//! A hook runs at the very end: the record is durable, the output has its name, the lock is free, the log is written. So it
//! may start the same job again, or remove its state. It runs at most once: not if bivouac was killed, died at once (SIGQUIT,
//! a third SIGTERM), or was never able to begin (wrong usage). Three ends are no news:
//!
//! - A job that an earlier run had finished. Otherwise a line of cron would send a mail every ten minutes.
//! - Another run holds the state. That one reports.
//! - The reader of standard output has closed it, as `| head` does: it wanted no more.
//!
//! A shard whose results are merged runs no `--on-finish`; the merge does.
//!
//! A hook that fails gets a warning, and the exit code stays that of the job. It has a limit of time ([`LIMIT`]): a mail server
//! that does not answer must hold neither a shutdown nor the next element of a queue.

use crate::cli::at_end::AtEnd;
use crate::cli::format::{percent, shell_code};
use crate::cli::report::{ReportContext, in_full, typed_again};
use crate::cli::service::Service;
use crate::cli::settings::Settings;
use crate::cli::terminal;
use crate::cli::together::Elsewhere;
use crate::jobs::quote;
use crate::jobs::text::short;
use bivouac::ending::Exit;
use bivouac::error::Kind;
use bivouac::{Ending, Location};
use nix::sys::signal::SigSet;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

/// How long a hook may take. Less than a service manager waits before it kills what is left (90 s with systemd).
const LIMIT: Duration = Duration::from_secs(30);

/// The kinds of ends that have a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Finish,
    Stop,
    Failure,
}

impl Event {
    /// The event of an ending, if it has one. A stop counts as a failure if `exit` is [`BROKEN`](bivouac::ending::BROKEN):
    /// then no task ended in this run, so `--after-warning` asked for no other run, and a person must look.
    fn of(ending: &Ending, exit: Exit, is_merged: bool) -> Option<Self> {
        match ending {
            Ending::Finished { already: true, .. } => None,
            Ending::Finished { .. } => (!is_merged).then_some(Event::Finish),
            Ending::Stopped { .. } if exit == Exit::Code(bivouac::ending::BROKEN) => Some(Event::Failure),
            Ending::Stopped { .. } => Some(Event::Stop),
            Ending::Failed { error, .. } => match error.kind() {
                Kind::Busy | Kind::OutputClosed => None,
                Kind::Interrupted => Some(Event::Stop),
                Kind::Usage | Kind::Refused | Kind::Broken | Kind::CannotStart | Kind::NoSuchCommand => {
                    Some(Event::Failure)
                }
            },
        }
    }

    fn name(self) -> &'static str {
        match self {
            Event::Finish => "finish",
            Event::Stop => "stop",
            Event::Failure => "failure",
        }
    }

    fn command(self, settings: &Settings) -> Option<&OsString> {
        match self {
            Event::Finish => settings.on_finish.value.as_ref(),
            Event::Stop => settings.on_stop.value.as_ref(),
            Event::Failure => settings.on_failure.value.as_ref(),
        }
    }
}

/// Runs the hook for this ending, if there is one. `mask` is the one with which bivouac was started.
pub(crate) fn run(
    settings: &Settings,
    (ending, exit): (&Ending, Exit),
    (context, is_merged): (ReportContext<'_>, bool),
    (mask, elsewhere): (SigSet, &Elsewhere),
) {
    let Some(event) = Event::of(ending, exit, is_merged) else { return };
    let Some(command) = event.command(settings) else { return };
    let variables = variables(event, (ending, exit), context);
    let alive = || elsewhere.service.iter().for_each(Service::is_alive);
    let failed = AtEnd { command, mask, variables, limit: Some((LIMIT, &alive)) }.run().err();
    if let Some(how) = &failed {
        let command = quote::argument(command);
        terminal::message(&format!("warning: --on-{}, {}: {how}", event.name(), short(&command)));
    }
    if let Some(log) = &elsewhere.log {
        log.hook(event.name(), failed);
    }
}

/// The environment variables of the hook. An unknown value is an empty text, so that a script with `set -u` works.
fn variables(
    event: Event,
    (ending, exit): (&Ending, Exit),
    context: ReportContext<'_>,
) -> Vec<(&'static str, OsString)> {
    let summary = ending.summary();
    let state = match context.state {
        Location::Nowhere => None,
        Location::Directory(path) | Location::Passing(path) => Some(path.as_path()),
    };
    let path = |path: Option<&Path>| {
        path.map_or_else(OsString::new, |path| {
            std::path::absolute(path).map_or_else(|_| path.into(), Into::into)
        })
    };
    let number = |number: Option<u64>| number.map_or_else(String::new, |number| number.to_string()).into();
    vec![
        ("BIVOUAC_EVENT", event.name().into()),
        ("BIVOUAC_EXIT_CODE", number(Some(shell_code(exit).into()))),
        ("BIVOUAC_OUTPUT", path(context.output)),
        ("BIVOUAC_STATE", path(state)),
        ("BIVOUAC_DONE", number(Some(summary.frontier))),
        ("BIVOUAC_TOTAL", number(summary.tasks)),
        ("BIVOUAC_SHARE", number(percent(summary.share()))),
        ("BIVOUAC_FAILED", number(Some(summary.failed))),
        ("BIVOUAC_SECONDS", number(Some(summary.worked.as_secs()))),
        ("BIVOUAC_COMMAND", typed_again(context.argv).into()),
        ("BIVOUAC_MESSAGE", in_full(ending, context).into()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use bivouac::Error;
    use bivouac::ending::{StoppedBy, Summary};

    #[test]
    fn only_news_is_an_event() {
        let summary = Summary::default;
        let finished = |already| Ending::Finished { code: 0, already, summary: summary() };
        let failed = |kind| Ending::Failed { error: Error::new(kind, "f", "is odd"), summary: summary() };
        let event = |ending: &Ending| Event::of(ending, ending.exit(), false);
        assert_eq!(event(&finished(false)), Some(Event::Finish));
        assert_eq!(Event::of(&finished(false), Exit::Code(0), true), None, "the merge reports it");
        assert_eq!(event(&finished(true)), None);
        let stopped = Ending::Stopped { by: StoppedBy::Budget, summary: summary() };
        assert_eq!(event(&stopped), Some(Event::Stop));
        assert_eq!(Event::of(&stopped, Exit::Code(4), false), Some(Event::Failure));
        for kind in [Kind::Usage, Kind::Refused, Kind::Broken, Kind::CannotStart, Kind::NoSuchCommand] {
            assert_eq!(event(&failed(kind)), Some(Event::Failure));
        }
        assert_eq!(event(&failed(Kind::Busy)), None);
        assert_eq!(event(&failed(Kind::OutputClosed)), None);
    }
}
