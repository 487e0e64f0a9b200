//! Which signal means what: a table, not code paths.
//!
//! The obvious program has a function per signal. Then you must read all of them to answer "what does SIGHUP do
//! while paused?". Here the signal thread translates each signal once, into a [`Request`]. Two facts are
//! about the signal itself, and stand at the end of this file: how a process that it stopped must end, and whether
//! sending it again means more. (Messages also name the signal, and `interrupts_caller_too` in `src/engine/decide.rs` looks
//! for a Ctrl-C of the terminal.)

mod names;

pub use names::{mapping, short_name, signal_named, untouchable};

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A request to a run, by a signal, a handle or the time budget.
///
/// ```
/// use bivouac::Request;
///
/// assert_eq!(Request::Checkpoint.name(), "checkpoint");
/// assert!(Request::Stop.is_end() && !Request::Pause.is_end());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Start no further task, let those in flight finish within the grace period, commit, end.
    Stop,
    /// Cancel the tasks in flight, commit the completed ones, end.
    Abort,
    /// End now, without a new checkpoint; the last one stays valid.
    Die,
    /// Close the gate: each task waits at its next yield point.
    Pause,
    /// Stop the commands, then the process, as the shell expects of Ctrl-Z.
    Suspend,
    /// Open the gate.
    Resume,
    /// Write a checkpoint now, report it, go on.
    Checkpoint,
    /// Report how far the run is.
    Status,
    /// Read the configuration again, and reopen the log file.
    Reload,
    /// Redraw the progress line: the terminal has another size.
    Redraw,
    /// Nothing.
    Ignore,
}

impl Request {
    /// Every request, for tests and for messages.
    pub const ALL: [Request; 11] = [
        Request::Stop,
        Request::Abort,
        Request::Die,
        Request::Pause,
        Request::Suspend,
        Request::Resume,
        Request::Checkpoint,
        Request::Status,
        Request::Reload,
        Request::Redraw,
        Request::Ignore,
    ];

    /// Whether it asks for an end of the run.
    pub fn is_end(self) -> bool {
        matches!(self, Request::Stop | Request::Abort | Request::Die)
    }

    /// Its name in configuration files and messages.
    pub fn name(self) -> &'static str {
        match self {
            Request::Stop => "stop",
            Request::Abort => "abort",
            Request::Die => "die",
            Request::Pause => "pause",
            Request::Suspend => "suspend",
            Request::Resume => "resume",
            Request::Checkpoint => "checkpoint",
            Request::Status => "status",
            Request::Reload => "reload",
            Request::Redraw => "redraw",
            Request::Ignore => "ignore",
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The default meaning of each signal.
///
/// `bivouac pause` sends URG. TSTP would pause the job too, but it also stops the process, and a shell takes that
/// for a Ctrl-Z: after a `continue` the job is in the background, and no key reaches it. The kernel ignores URG in
/// a process without a handler, so it can do no harm.
///
/// Batch systems send the three signals of the second group before they kill: LSF and SGE send USR2, a CPU limit
/// sends XCPU once a second, a UPS sends PWR.
///
/// A signal without a row is never blocked, and keeps its disposition, with three exceptions: SIGPIPE and SIGXFSZ are
/// ignored, and SIGCHLD gets its default action. Some signals must not be blocked: SEGV, BUS, FPE, ILL, ABRT, TRAP
/// and SYS (it costs the stack-overflow message), PROF and VTALRM (profilers), and TTIN and TTOU (a blocked TTIN turns a
/// terminal read in the background into an I/O error).
#[doc(hidden)]
pub const DEFAULTS: [(Signal, Request); 12] = [
    (Signal::SIGINT, Request::Stop),
    (Signal::SIGTERM, Request::Stop),
    (Signal::SIGHUP, Request::Stop),
    //
    (Signal::SIGUSR2, Request::Stop),
    (Signal::SIGXCPU, Request::Stop),
    (Signal::SIGPWR, Request::Stop),
    //
    (Signal::SIGQUIT, Request::Die),
    (Signal::SIGUSR1, Request::Checkpoint),
    (Signal::SIGTSTP, Request::Suspend),
    (Signal::SIGURG, Request::Pause),
    (Signal::SIGCONT, Request::Resume),
    (Signal::SIGWINCH, Request::Redraw),
];

/// The table from signal to request.
///
/// ```
/// use bivouac::{Policy, Request, Signal};
///
/// let policy = Policy::empty().with(Signal::SIGHUP, Request::Checkpoint);
/// assert!(policy.has(Signal::SIGHUP));
/// assert_eq!(policy.request(Signal::SIGTERM), Request::Ignore, "it has no row");
/// assert!(policy.signals().eq([Signal::SIGHUP]));
/// assert_eq!(Policy::default().request(Signal::SIGTERM), Request::Stop);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy(Vec<(Signal, Request)>);

impl Default for Policy {
    fn default() -> Self {
        Self(DEFAULTS.to_vec())
    }
}

impl Policy {
    /// A table without rows: no signal is touched.
    pub fn empty() -> Self {
        Self(Vec::new())
    }

    /// The same table with this row added or replaced. [`Masked::block`](crate::signals::Masked::block) refuses a
    /// row for a signal that must not be touched, such as SIGSEGV.
    #[must_use]
    pub fn with(mut self, signal: Signal, request: Request) -> Self {
        match self.0.iter_mut().find(|row| row.0 == signal) {
            Some(row) => row.1 = request,
            None => self.0.push((signal, request)),
        }
        self
    }

    /// What `signal` means; [`Request::Ignore`] without a row.
    pub fn request(&self, signal: Signal) -> Request {
        self.0.iter().find(|row| row.0 == signal).map_or(Request::Ignore, |row| row.1)
    }

    /// Whether `signal` has a row.
    pub fn has(&self, signal: Signal) -> bool {
        self.0.iter().any(|row| row.0 == signal)
    }

    /// The signals that have a row: those that are blocked in every thread but one.
    pub fn signals(&self) -> impl Iterator<Item = Signal> + '_ {
        self.0.iter().map(|row| row.0)
    }
}

/// Whether a process that `signal` stopped must die of it.
///
/// People and init systems end a process by INT, TERM or HUP, and look whether it died of just that: after `exit
/// 130` bash runs the next line of the script, after a death by SIGINT it stops. The other signals are warnings
/// of a batch system, which looks at the exit code.
#[doc(hidden)]
pub fn is_deadly(signal: Signal) -> bool {
    matches!(signal, Signal::SIGINT | Signal::SIGTERM | Signal::SIGHUP)
}

/// Whether the same signal sent again asks for more.
///
/// Only INT and TERM do: a person repeats them when nothing seems to happen. systemd sends HUP together with TERM,
/// and the kernel sends XCPU every second of CPU time until it kills.
#[doc(hidden)]
pub fn escalates(signal: Signal) -> bool {
    matches!(signal, Signal::SIGINT | Signal::SIGTERM)
}

/// One row of the policy of a running job, for display.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[doc(hidden)]
pub struct Row {
    /// Its name without `SIG`.
    pub signal: String,
    /// What it asks for.
    pub request: Request,
    /// Whether the run receives it: not if it was ignored at the start (`nohup`, `sh -c '… &'`).
    pub heard: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_can_be_replaced_and_added_and_is_never_doubled() {
        let policy =
            Policy::default().with(Signal::SIGUSR1, Request::Stop).with(Signal::SIGIO, Request::Checkpoint);
        assert_eq!(policy.request(Signal::SIGUSR1), Request::Stop);
        assert_eq!(policy.request(Signal::SIGIO), Request::Checkpoint);
        assert_eq!(policy.request(Signal::SIGALRM), Request::Ignore);
        assert_eq!(policy.signals().count(), DEFAULTS.len() + 1);
    }

    #[test]
    fn signals_that_must_stay_open_have_no_row() {
        use Signal::*;
        for signal in [
            SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT, SIGPROF, SIGVTALRM, SIGALRM, SIGTTIN,
            SIGTTOU,
        ] {
            assert!(!Policy::default().signals().any(|handled| handled == signal), "{signal}");
        }
    }
}
