//! Names of signals and requests in options and configuration files, and the signals that cannot be mapped.
//!
//! Numbers are not accepted: SIGUSR1 is 10 on most Linux machines and 30 on others, where a script that says 10
//! would silently mean another signal.

use super::{Policy, Request};
use crate::error::{Error, Result};
use nix::sys::signal::Signal;
use std::str::FromStr;

/// The signal that is called `name`: with or without `SIG`, in upper or lower case. It must not be an [`untouchable`]
/// one; the error lists the signals that may be mapped.
#[doc(hidden)]
pub fn signal_named(name: &str) -> Result<Signal> {
    let upper = name.trim().to_ascii_uppercase();
    let short = upper.strip_prefix("SIG").unwrap_or(&upper);
    // POSIX calls it POLL, Linux IO; both names are one signal.
    let short = if short == "POLL" { "IO" } else { short };
    match Signal::from_str(&format!("SIG{short}")) {
        Ok(signal) => match untouchable(signal) {
            None => Ok(signal),
            Some(why) => Err(Error::usage(signal, format_args!("cannot be mapped: {why}")).advise(known())),
        },
        Err(_) if short.starts_with("RTM") => {
            Err(Error::usage(name, "cannot be mapped: real-time signals are left to libraries")
                .advise(known()))
        }
        Err(_) => Err(Error::usage(format_args!("'{name}'"), "is not the name of a signal").advise(known())),
    }
}

/// Parses `SIGNAL=REQUEST`. The error lists the signals, or the requests.
#[doc(hidden)]
pub fn mapping(text: &str) -> Result<(Signal, Request)> {
    let Some((signal, request)) = text.split_once('=') else {
        return Err(Error::usage(format_args!("'{text}'"), "is not SIGNAL=REQUEST").advise(format_args!(
            "write, say, USR2=checkpoint; {}; {}",
            known(),
            Request::known()
        )));
    };
    Ok((signal_named(signal)?, request.parse()?))
}

/// Signals that cannot be mapped, and why. A run never touches and never blocks them.
const UNTOUCHABLE: [(&[Signal], &str); 6] = [
    (&[Signal::SIGKILL, Signal::SIGSTOP], "the kernel lets no process handle it"),
    (
        &[
            Signal::SIGSEGV,
            Signal::SIGBUS,
            Signal::SIGFPE,
            Signal::SIGILL,
            Signal::SIGTRAP,
            Signal::SIGSYS,
            Signal::SIGABRT,
        ],
        "it reports a fault of the program",
    ),
    (&[Signal::SIGPROF, Signal::SIGVTALRM, Signal::SIGALRM], "it belongs to profilers and timers"),
    (&[Signal::SIGTTIN, Signal::SIGTTOU], "the terminal stops background processes with it"),
    (&[Signal::SIGPIPE, Signal::SIGXFSZ], "it is ignored: the write that fails ends the job"),
    (&[Signal::SIGCHLD], "it tells of child processes"),
];

/// The reason why this signal cannot be mapped; `None` if it can.
#[doc(hidden)]
pub fn untouchable(signal: Signal) -> Option<&'static str> {
    UNTOUCHABLE.into_iter().find_map(|(signals, why)| signals.contains(&signal).then_some(why))
}

/// "the signals are …", for messages.
fn known() -> String {
    let names = Signal::iterator().filter(|signal| untouchable(*signal).is_none()).map(short_name);
    format!("the signals are {}", names.collect::<Vec<_>>().join(", "))
}

/// Its name without `SIG`, as `kill -l` prints it.
#[doc(hidden)]
pub fn short_name(signal: Signal) -> &'static str {
    let name = signal.as_str();
    name.strip_prefix("SIG").unwrap_or(name)
}

impl Request {
    /// "the requests are …", for messages.
    fn known() -> String {
        format!("the requests are {}", Request::ALL.map(Request::name).join(", "))
    }
}

impl FromStr for Request {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let wanted = name.trim().to_ascii_lowercase();
        Request::ALL.into_iter().find(|request| request.name() == wanted).ok_or_else(|| {
            Error::usage(format_args!("'{name}'"), "is not a request").advise(Request::known())
        })
    }
}

impl Policy {
    /// Refuses a table with a row for a signal that cannot be mapped.
    pub(crate) fn check(&self) -> Result<()> {
        let refused = |signal, why| Err(Error::usage(signal, format_args!("cannot be mapped: {why}")));
        self.signals().try_for_each(|signal| untouchable(signal).map_or(Ok(()), |why| refused(signal, why)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::DEFAULTS;
    use super::*;

    #[test]
    fn a_signal_has_its_name_with_and_without_sig_in_any_case() {
        for name in ["USR2", "SIGUSR2", "usr2", "sigusr2", " USR2 "] {
            assert_eq!(signal_named(name).unwrap(), Signal::SIGUSR2, "{name}");
        }
        assert_eq!(signal_named("poll").unwrap(), Signal::SIGIO);
        assert_eq!(short_name(Signal::SIGUSR2), "USR2");
    }

    #[test]
    fn what_is_not_understood_is_answered_with_both_lists() {
        for (text, parts) in [
            ("USR2", ["SIGNAL=REQUEST", "USR1", "checkpoint"]),
            ("FOO=stop", ["'FOO'", "USR1", "WINCH"]),
            ("10=stop", ["'10'", "USR1", "WINCH"]),
            ("USR1=explode", ["'explode'", "checkpoint", "suspend"]),
            ("RTMIN+1=stop", ["RTMIN+1", "real-time", "USR1"]),
        ] {
            let error = mapping(text).unwrap_err().to_string();
            for part in parts {
                assert!(error.contains(part), "{text}: {error}");
            }
        }
    }

    #[test]
    fn what_must_not_be_mapped_is_refused_with_the_reason() {
        for (name, reason) in [
            ("KILL", "kernel"),
            ("STOP", "kernel"),
            ("SEGV", "fault"),
            ("ABRT", "fault"),
            ("PROF", "profilers"),
            ("TTIN", "terminal"),
            ("PIPE", "write"),
            ("CHLD", "child"),
        ] {
            let error = mapping(&format!("{name}=stop")).unwrap_err().to_string();
            assert!(error.contains(reason), "{name}: {error}");
        }
        assert!(Policy::default().with(Signal::SIGKILL, Request::Stop).check().is_err());
        assert!(Policy::default().check().is_ok());
    }

    #[test]
    fn every_request_is_read_back_from_its_name_and_every_default_may_be_mapped() {
        for request in Request::ALL {
            assert_eq!(request.name().parse::<Request>().unwrap(), request);
        }
        for (signal, _) in DEFAULTS {
            assert_eq!(untouchable(signal), None);
        }
    }
}
