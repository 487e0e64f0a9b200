//! What can be known of a job from outside: its lock, its record, what it says of itself, and what
//! the kernel says of its process.
//!
//! None of the four is enough. The lock tells whether a run holds the state, but not what it does.
//! What the job says of itself may be a second old, and of a process that was killed it is the last
//! thing that it said. The record tells what is safe. And that a process is suspended only the
//! kernel can tell: a suspended process says nothing.

use bivouac::disk::OsDisk;
use bivouac::record;
use bivouac::state_dir::reach::{Found, Process, find};
use bivouac::state_dir::{Peek, peek};
use bivouac::status_file::Live;
use bivouac::{Activity, Result};
use std::fmt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// Somebody else who looks at a state that nobody holds takes its lock for an instant, and a run
/// that has just taken it has not written its name yet. So a holder who cannot be found is looked
/// for a few times. If the lock then still names a process that has ended, it is held by what that
/// process left behind, to end its commands; no job runs there.
const ROUNDS: usize = 20;
const BETWEEN_ROUNDS: Duration = Duration::from_millis(10);

/// A job, seen from outside at one moment.
#[derive(Debug)]
pub(super) struct View {
    pub(super) path: PathBuf,
    pub(super) peek: Peek,
    pub(super) at: HeldBy,
}

/// Who holds the state.
#[derive(Debug)]
pub(super) enum HeldBy {
    /// Nobody.
    Nobody,
    /// A process that can be signalled.
    Here(Process),
    /// Somebody who cannot be reached from here; the text completes "the job runs …".
    Elsewhere(String),
}

/// What a job is doing, or has come to, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JobPhase {
    /// A run holds the state and has not said yet what it does.
    Starting,
    /// As it says itself.
    Active(Activity),
    /// The kernel lets none of its threads run.
    Suspended,
    /// Not running, to be continued.
    Stopped,
    /// As `Stopped`, and its last run came to no orderly end.
    Crashed,
    /// Done.
    Finished,
}

impl View {
    /// Looks at the state at `path`.
    pub(super) fn look(path: &Path) -> Result<Self> {
        let mut peek = peek(&OsDisk, path)?;
        for _ in 0..ROUNDS {
            let found = match (&peek.holder, peek.locked) {
                (_, false) => return Ok(Self::new(path, peek, HeldBy::Nobody)),
                (Some(holder), true) => find(holder)?,
                (None, true) => Found::Ended,
            };
            match found {
                Found::Process(process) => return Ok(Self::new(path, peek, HeldBy::Here(process))),
                Found::Elsewhere(place) => return Ok(Self::new(path, peek, HeldBy::Elsewhere(place))),
                Found::Ended => thread::sleep(BETWEEN_ROUNDS),
            }
            peek = bivouac::state_dir::peek(&OsDisk, path)?;
        }
        let at = match peek.holder {
            Some(_) => HeldBy::Nobody,
            None => HeldBy::Elsewhere("as a process that its lock does not name".to_string()),
        };
        Ok(Self::new(path, peek, at))
    }

    /// What is said must be said by whoever holds the state. Of a state that nobody holds it is the
    /// last word of a process that could not take it back.
    fn new(path: &Path, mut peek: Peek, at: HeldBy) -> Self {
        let holder = peek.holder.as_ref();
        let nobody = matches!(at, HeldBy::Nobody);
        peek.live = peek.live.filter(|live| nobody || holder.is_some_and(|holder| is_of(live, holder)));
        Self { path: path.to_path_buf(), peek, at }
    }

    pub(super) fn is_running(&self) -> bool {
        match self.at {
            HeldBy::Nobody => false,
            HeldBy::Here(_) | HeldBy::Elsewhere(_) => true,
        }
    }

    pub(super) fn phase(&self) -> JobPhase {
        match &self.at {
            HeldBy::Here(process) if process.is_suspended() => JobPhase::Suspended,
            HeldBy::Here(_) | HeldBy::Elsewhere(_) => {
                self.peek.live.as_ref().map_or(JobPhase::Starting, |live| JobPhase::Active(live.phase))
            }
            HeldBy::Nobody => match self.peek.record.as_ref().map(|record| record.phase) {
                Some(record::Phase::Done { .. }) => JobPhase::Finished,
                Some(record::Phase::Working | record::Phase::Finalizing { .. }) | None => {
                    if self.peek.live.is_some() { JobPhase::Crashed } else { JobPhase::Stopped }
                }
            },
        }
    }
}

/// Whether this was said by that holder.
pub(super) fn is_of(live: &Live, holder: &bivouac::state_dir::Holder) -> bool {
    live.pid == holder.pid && live.ticks == holder.ticks
}

impl fmt::Display for JobPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JobPhase::Starting => f.write_str("starting"),
            JobPhase::Active(activity) => activity.fmt(f),
            JobPhase::Suspended => f.write_str("suspended"),
            JobPhase::Stopped => f.write_str("stopped"),
            JobPhase::Crashed => f.write_str("crashed"),
            JobPhase::Finished => f.write_str("finished"),
        }
    }
}
