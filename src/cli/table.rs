//! The table from signal to request, with where each row comes from; and `bivouac signals`.

use crate::cli::args::common::Table as Given;
use crate::cli::args::verbs::Signals;
use crate::cli::config::Config;
use crate::cli::say;
use bivouac::ending::FINISHED;
use bivouac::policy::{self, DEFAULTS, escalates, is_deadly};
use bivouac::signals::is_ignored;
use bivouac::{Policy, Request, Result};
use nix::sys::signal::Signal;
use std::fs::File;

/// Where something comes from. What stands further down wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum From {
    /// Nobody said anything.
    Default,
    /// There is a configuration to read again, and no terminal that could be closed.
    Service,
    /// The configuration file.
    File,
    /// The command line.
    Option,
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) signal: Signal,
    pub(crate) request: Request,
    pub(crate) from: From,
}

/// The table in force: defaults, configuration, command line.
///
/// SIGHUP has two meanings, and which one is meant can be seen: to a program at a terminal it says
/// that the terminal is gone, to a service without one that its configuration has changed.
pub(crate) fn table(given: &Given, config: Option<&Config>, terminal: bool) -> Vec<Row> {
    let row = |from| move |(signal, request)| Row { signal, request, from };
    let mut rows: Vec<Row> = DEFAULTS.into_iter().map(row(From::Default)).collect();
    let service = (config.is_some() && !terminal).then_some((Signal::SIGHUP, Request::Reload));
    let in_file = config.map(|config| config.signals.clone()).unwrap_or_default();
    let said = (service.into_iter().map(row(From::Service)))
        .chain(in_file.into_iter().map(row(From::File)))
        .chain(given.mappings.iter().copied().map(row(From::Option)));
    for new in said {
        match rows.iter_mut().find(|row| row.signal == new.signal) {
            Some(row) => *row = new,
            None => rows.push(new),
        }
    }
    rows
}

/// The same table without the question where it comes from.
pub(crate) fn policy(rows: &[Row]) -> Policy {
    rows.iter().fold(Policy::empty(), |policy, row| policy.with(row.signal, row.request))
}

/// Whether there is a terminal whose end would be told by SIGHUP. `/dev/tty` is the controlling
/// terminal of whoever opens it, wherever the standard streams go.
pub(crate) fn has_terminal() -> bool {
    File::open("/dev/tty").is_ok()
}

/// `bivouac signals`.
pub(crate) fn run(signals: &Signals) -> Result<u8> {
    let config = signals.table.config.as_deref().map(Config::read).transpose()?;
    let rows = table(&signals.table, config.as_ref(), has_terminal());
    let file = signals.table.config.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
    say::result(print(&rows, &crate::cli::human::visible(&file), is_ignored).as_bytes())?;
    Ok(FINISHED)
}

fn print(rows: &[Row], file: &str, is_ignored: impl Fn(Signal) -> bool) -> String {
    let mut text = format!("{:<8}{:<12}{:<18}NOTE\n", "SIGNAL", "REQUEST", "FROM");
    for row in rows {
        let from = match row.from {
            From::Default => "default",
            From::Service => "--config, no tty",
            From::File => file,
            From::Option => "--on",
        };
        let note = if is_ignored(row.signal) { "found ignored, and stays so" } else { note(*row) };
        let line = format!("{:<8}{:<12}{from:<18}{note}", policy::short_name(row.signal), row.request.name());
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.push_str("\nPIPE and XFSZ are ignored: the write that fails is the event, and ends the job.\n");
    text.push_str("No other signal is touched, or blocked.\n");
    text
}

/// What else there is to know of a row.
fn note(row: Row) -> &'static str {
    match row.request {
        Request::Stop if escalates(row.signal) => "again: abort; a third time: die at once",
        Request::Stop if is_deadly(row.signal) => "never more than that",
        Request::Stop => "ends with 75; repeats are ignored",
        Request::Die => "no new checkpoint; the last one stands",
        Request::Checkpoint => "and a line of status",
        Request::Suspend => "as the shell expects of Ctrl-Z",
        Request::Resume => "never cancels a stop",
        Request::Reload => "and the log file is opened anew",
        Request::Abort | Request::Pause | Request::Status | Request::Redraw | Request::Ignore => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(mappings: &[&str]) -> Given {
        Given { mappings: mappings.iter().map(|text| policy::mapping(text).unwrap()).collect(), config: None }
    }

    fn row(rows: &[Row], signal: Signal) -> (Request, From) {
        let row = rows.iter().find(|row| row.signal == signal).unwrap();
        (row.request, row.from)
    }

    #[test]
    fn the_command_line_beats_the_file_and_the_file_the_defaults() {
        let mut config = Config::default();
        config.signals.insert(Signal::SIGUSR1, Request::Status);
        config.signals.insert(Signal::SIGUSR2, Request::Pause);
        let rows = table(&given(&["USR2=checkpoint", "URG=resume", "URG=pause"]), Some(&config), true);
        assert_eq!(row(&rows, Signal::SIGUSR1), (Request::Status, From::File));
        assert_eq!(row(&rows, Signal::SIGUSR2), (Request::Checkpoint, From::Option));
        assert_eq!(row(&rows, Signal::SIGURG), (Request::Pause, From::Option), "the last one counts");
        assert_eq!(row(&rows, Signal::SIGTERM), (Request::Stop, From::Default));
        assert_eq!(policy(&rows).request(Signal::SIGURG), Request::Pause);
    }

    #[test]
    fn a_hangup_means_reload_only_to_a_service() {
        let hup = |config: Option<&Config>, terminal| {
            row(&table(&Given::default(), config, terminal), Signal::SIGHUP)
        };
        let config = Config::default();
        assert_eq!(hup(None, false), (Request::Stop, From::Default));
        assert_eq!(hup(Some(&config), true), (Request::Stop, From::Default));
        assert_eq!(hup(Some(&config), false), (Request::Reload, From::Service));
        let rows = table(&given(&["HUP=stop"]), Some(&config), false);
        assert_eq!(row(&rows, Signal::SIGHUP), (Request::Stop, From::Option));
    }

    #[test]
    fn the_printed_table_says_where_each_row_comes_from() {
        let rows = table(&given(&["USR2=checkpoint"]), None, true);
        let text = print(&rows, "", |signal| signal == Signal::SIGINT);
        assert!(text.contains("USR2    checkpoint  --on              and a line of status\n"), "{text}");
        assert!(text.contains("INT     stop        default           found ignored"), "{text}");
        assert_eq!(text.lines().count(), 1 + DEFAULTS.len() + 3);
    }
}
