//! How a run can end, and the number by which the rest of the world learns of it.
//!
//! Schedulers, shells and `make` see only the wait status. So finished, stopped, refused and broken must
//! differ there. The codes are part of the interface and never change their meaning.
//!
//! ```
//! use bivouac::ending::*;
//!
//! let what_to_do = |code: u8| match code {
//!     FINISHED => "nothing",
//!     FINISHED_WITH_FAILURES => "see which tasks failed",
//!     USAGE | REFUSED | CANNOT_START | NO_SUCH_COMMAND => "put it right",
//!     BROKEN | BUSY | RESUMABLE => "run it again",
//!     _ => "see what the job says of it",
//! };
//! assert_eq!(what_to_do(75), "run it again");
//! ```

use crate::error::{Error, Kind};
use nix::sys::signal::Signal;
use std::time::Duration;

/// Everything is done.
pub const FINISHED: u8 = 0;
/// Finished, but some tasks failed; for `grep`: finished, and nothing matched.
pub const FINISHED_WITH_FAILURES: u8 = 1;
/// Wrong usage; nothing was touched.
pub const USAGE: u8 = 2;
/// Refused; nothing was changed.
pub const REFUSED: u8 = 3;
/// Broke during the run; the state stands.
pub const BROKEN: u8 = 4;
/// Another run holds this state.
pub const BUSY: u8 = 5;
/// Stopped, to be continued: `EX_TEMPFAIL` of `sysexits.h`, "the user is invited to retry".
pub const RESUMABLE: u8 = 75;
/// A command of the job cannot be run, as `env` and `timeout` say it.
pub const CANNOT_START: u8 = 126;
/// A command of the job does not exist.
pub const NO_SUCH_COMMAND: u8 = 127;

/// How a run ended.
///
/// ```
/// use bivouac::ending::{RESUMABLE, Ending, Exit, StoppedBy, Summary};
/// # let place = tempfile::tempdir()?; std::env::set_current_dir(&place)?;
///
/// let run = bivouac::resumable(0..100_u64).map(|n, _| Ok(n.to_string())).write_to("digits").into_run()?;
/// run.handle().stop();
/// let ending = run.run();
/// assert!(matches!(ending, Ending::Stopped { by: StoppedBy::Handle, .. }));
/// assert_eq!(ending.exit(), Exit::Code(RESUMABLE));
/// let Summary { frontier, tasks, .. } = *ending.summary();
/// assert_eq!(tasks, Some(100));
/// assert_eq!(ending.summary().share(), (frontier, tasks));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "an ending says whether there is a result"]
pub enum Ending {
    /// The job is complete. `code` is what the job makes of its result ([`crate::Job::verdict`]),
    /// or [`FINISHED_WITH_FAILURES`] when tasks failed.
    Finished {
        /// The exit code.
        code: u8,
        /// What was done, in this run and before.
        summary: Summary,
        /// The job had been finished by an earlier run, and nothing was done now.
        already: bool,
    },
    /// The job was stopped and can be continued by the same command.
    Stopped {
        /// Who asked for it.
        by: StoppedBy,
        /// What was done, in this run and before.
        summary: Summary,
    },
    /// The run could not go on. What was committed stands.
    Failed {
        /// Why.
        error: Error,
        /// What was done, in this run and before.
        summary: Summary,
    },
}

/// Who asked a run to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoppedBy {
    /// A signal of the kind that a program dies of: INT, TERM, HUP.
    Signal(Signal),
    /// A signal that a batch system sends ahead of the kill (USR2, XCPU, PWR): ends with [`RESUMABLE`].
    Warning(Signal),
    /// The budget of [`Run::max_runtime`](crate::Run::max_runtime) is used up: ends with [`RESUMABLE`].
    Budget,
    /// The program that runs the job, through its [`crate::Handle`]: ends with [`RESUMABLE`].
    Handle,
    /// As many tasks have ended as were wanted ([`Run::halt`](crate::Run::halt)).
    Enough {
        /// The exit code.
        code: u8,
    },
}

/// What a run leaves behind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Tasks committed, by this run and those before it.
    pub frontier: u64,
    /// Finished tasks ahead of the frontier, kept for the next run.
    pub ahead: u64,
    /// Tasks in the whole job, where the source knows.
    pub tasks: Option<u64>,
    /// Bytes of input in the committed tasks.
    pub input_bytes: u64,
    /// Bytes of input in the whole job, where the source knows.
    pub input_total: Option<u64>,
    /// Bytes of output committed.
    pub output_bytes: u64,
    /// Tasks that this run alone has done, those ahead of the frontier included.
    pub by_this_run: u64,
    /// How many runs have worked on the job, this one included.
    pub runs: u64,
    /// Tasks that failed and were left out.
    pub failed: u64,
    /// The last checkpoint, if one was written.
    pub checkpoint: Option<CheckpointFacts>,
    /// The run was stopped while it waited for the lock of the state: another run does the job.
    pub waited: bool,
    /// Time spent working in this run: neither paused nor suspended.
    pub worked: Duration,
    /// The key that ended the run at a terminal (Ctrl-C), also if the job was complete by then.
    pub interrupted: Option<Signal>,
    /// The first signal of those that a program dies of (INT, TERM, HUP) that asked for an end, also if the run
    /// was ending already.
    pub deadly: Option<Signal>,
}

/// What is known of a checkpoint that is on disk.
///
/// ```
/// use bivouac::ending::CheckpointFacts;
/// # let place = tempfile::tempdir()?; std::env::set_current_dir(&place)?;
///
/// let run = bivouac::resumable(0..100_u64).map(|n, _| Ok(n.to_string())).write_to("digits").into_run()?;
/// let CheckpointFacts { size, took, .. } = run.run().summary().checkpoint.ok_or("no checkpoint")?;
/// assert!(size > 100 && !took.is_zero());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointFacts {
    /// Size of the record in bytes.
    pub size: u64,
    /// How long ago it became durable.
    pub age: Duration,
    /// How long it took to make it durable.
    pub took: Duration,
}

/// How the process ends: by a code, or by the signal that stopped it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// `exit(code)`.
    Code(u8),
    /// Death by this signal, so that the parent sees it (see [`crate::signals::die_by`]).
    Signal(Signal),
}

impl Exit {
    pub(crate) fn signal(self) -> Option<Signal> {
        if let Exit::Signal(signal) = self { Some(signal) } else { None }
    }
}

impl Summary {
    /// What is committed, and of how much: bytes of input where the whole is known, otherwise tasks.
    pub fn share(&self) -> (u64, Option<u64>) {
        match self.input_total {
            Some(_) => (self.input_bytes, self.input_total),
            None => (self.frontier, self.tasks),
        }
    }
}

impl Ending {
    /// How the process should end after this.
    pub fn exit(&self) -> Exit {
        match self {
            // The job is done, but the person at the terminal means the shell's loop around it too, and a
            // shell goes on with that unless its command dies of the signal.
            Ending::Finished { summary: Summary { interrupted: Some(signal), .. }, .. } => {
                Exit::Signal(*signal)
            }
            Ending::Finished { code, .. } => Exit::Code(*code),
            Ending::Stopped { by: StoppedBy::Signal(signal), .. } => Exit::Signal(*signal),
            Ending::Stopped { by: StoppedBy::Warning(_) | StoppedBy::Budget | StoppedBy::Handle, .. } => {
                Exit::Code(RESUMABLE)
            }
            Ending::Stopped { by: StoppedBy::Enough { code }, .. } => Exit::Code(*code),
            Ending::Failed { error, .. } => error.exit(),
        }
    }

    /// What was done.
    pub fn summary(&self) -> &Summary {
        match self {
            Ending::Finished { summary, .. }
            | Ending::Stopped { summary, .. }
            | Ending::Failed { summary, .. } => summary,
        }
    }
}

impl Error {
    /// How the process should end after this error.
    pub fn exit(&self) -> Exit {
        match self.kind() {
            Kind::Usage => Exit::Code(USAGE),
            Kind::Refused => Exit::Code(REFUSED),
            Kind::Broken => Exit::Code(BROKEN),
            Kind::Busy => Exit::Code(BUSY),
            Kind::OutputClosed => Exit::Signal(Signal::SIGPIPE),
            Kind::CannotStart => Exit::Code(CANNOT_START),
            Kind::NoSuchCommand => Exit::Code(NO_SUCH_COMMAND),
            Kind::Interrupted => self.signal().map_or(Exit::Code(RESUMABLE), Exit::Signal),
        }
    }
}
