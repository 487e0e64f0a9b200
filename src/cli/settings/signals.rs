//! The table from signal to request, with the origin of each row.

use crate::cli::args::common::TableArgs;
use crate::cli::config::Config;
use bivouac::policy::DEFAULTS;
use bivouac::{Policy, Request};
use nix::sys::signal::Signal;
use std::fs::File;

/// Where a value comes from. A later one of these wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    /// Neither an option nor the configuration.
    Default,
    /// There is a configuration to read again, and no terminal that could be closed.
    Service,
    /// The configuration file, or an environment variable.
    File,
    Option,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SignalRow {
    pub(crate) signal: Signal,
    pub(crate) request: Request,
    pub(crate) origin: Origin,
}

/// The table in force: defaults, configuration, command line.
///
/// SIGHUP has two meanings: for a program at a terminal the terminal is gone, for a service without one the
/// configuration has changed. The terminal and the configuration tell which one is meant.
pub(crate) fn signal_rows(given: &TableArgs, config: Option<&Config>, terminal: bool) -> Vec<SignalRow> {
    let row = |origin| move |(signal, request)| SignalRow { signal, request, origin };
    let mut rows: Vec<SignalRow> = DEFAULTS.into_iter().map(row(Origin::Default)).collect();
    let service = (config.is_some() && !terminal).then_some((Signal::SIGHUP, Request::Reload));
    let in_file = config.map(|config| config.signals.clone()).unwrap_or_default();
    let said = (service.into_iter().map(row(Origin::Service)))
        .chain(in_file.into_iter().map(row(Origin::File)))
        .chain(given.mappings.iter().copied().map(row(Origin::Option)));
    for new in said {
        match rows.iter_mut().find(|row| row.signal == new.signal) {
            Some(row) => *row = new,
            None => rows.push(new),
        }
    }
    rows
}

/// The policy that these rows make, without their origins.
pub(crate) fn policy(rows: &[SignalRow]) -> Policy {
    rows.iter().fold(Policy::empty(), |policy, row| policy.with(row.signal, row.request))
}

/// Whether there is a terminal whose end the kernel would report by SIGHUP. `/dev/tty` is the controlling
/// terminal of the process that opens it, independent of its standard streams.
pub(crate) fn has_terminal() -> bool {
    File::open("/dev/tty").is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(mappings: &[&str]) -> TableArgs {
        TableArgs {
            mappings: mappings.iter().map(|text| bivouac::policy::mapping(text).unwrap()).collect(),
            config: None,
        }
    }

    fn row(rows: &[SignalRow], signal: Signal) -> (Request, Origin) {
        let row = rows.iter().find(|row| row.signal == signal).unwrap();
        (row.request, row.origin)
    }

    #[test]
    fn the_command_line_beats_the_file_and_the_file_the_defaults() {
        let mut config = Config::default();
        config.signals.insert(Signal::SIGUSR1, Request::Status);
        config.signals.insert(Signal::SIGUSR2, Request::Pause);
        let rows = signal_rows(&given(&["USR2=checkpoint", "URG=resume", "URG=pause"]), Some(&config), true);
        assert_eq!(row(&rows, Signal::SIGUSR1), (Request::Status, Origin::File));
        assert_eq!(row(&rows, Signal::SIGUSR2), (Request::Checkpoint, Origin::Option));
        assert_eq!(row(&rows, Signal::SIGURG), (Request::Pause, Origin::Option), "the last one counts");
        assert_eq!(row(&rows, Signal::SIGTERM), (Request::Stop, Origin::Default));
        assert_eq!(policy(&rows).request(Signal::SIGURG), Request::Pause);
    }

    #[test]
    fn a_hangup_means_reload_only_to_a_service() {
        let hup = |config: Option<&Config>, terminal| {
            row(&signal_rows(&TableArgs::default(), config, terminal), Signal::SIGHUP)
        };
        let config = Config::default();
        assert_eq!(hup(None, false), (Request::Stop, Origin::Default));
        assert_eq!(hup(Some(&config), true), (Request::Stop, Origin::Default));
        assert_eq!(hup(Some(&config), false), (Request::Reload, Origin::Service));
        let rows = signal_rows(&given(&["HUP=stop"]), Some(&config), false);
        assert_eq!(row(&rows, Signal::SIGHUP), (Request::Stop, Origin::Option));
    }
}
