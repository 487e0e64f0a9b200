//! A job from outside: its lock, its record, its status file, and its process as the kernel reports it.
//!
//! None of the four is enough. The lock tells whether a run holds the state, but not its activity. The status file may be a
//! second old, and after a kill it is the last one that the process wrote. The record tells what is safe. And only the
//! kernel can tell that a process is suspended: it cannot write that itself.

use bivouac::disk::OsDisk;
use bivouac::state_dir::reach::{Found, Process, find};
use bivouac::state_dir::{Peek, peek};
use bivouac::status_file::StatusFile;
use bivouac::{Activity, Result, record};
use std::fmt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// Another process that looks at a free state takes its lock for an instant, and a run that has just taken the lock
/// has not written its name yet. So a holder that cannot be found is looked for a few times. If the lock then still
/// names a process that has ended, the watcher of that process holds it, to end its commands; no job runs there.
const ROUNDS: usize = 20;
const BETWEEN_ROUNDS: Duration = Duration::from_millis(10);

/// A run that ends removes its status file before it gives the lock back. Seen in between, it looks like one that
/// starts; so these rounds wait for the lock or for a status file.
const FOR_A_STATUS: usize = 3;

#[derive(Debug)]
pub(super) struct View {
    pub(super) path: PathBuf,
    pub(super) peek: Peek,
    pub(super) at: HeldBy,
}

/// The holder of a state.
#[derive(Debug)]
pub(super) enum HeldBy {
    Free,
    /// A process that can be signalled.
    Here(Process),
    /// A process that cannot be reached from here; the text completes "the job runs …".
    Elsewhere(String),
}

/// The phase of a job, or its end, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JobPhase {
    /// A run holds the state and has no status file yet.
    Starting,
    Active(Activity),
    /// The kernel lets none of its threads run.
    Suspended,
    /// Not running, to be continued.
    Stopped,
    /// As `Stopped`, and its last run did not end in order.
    Crashed,
    Finished,
}

impl View {
    pub(super) fn look(path: &Path) -> Result<Self> {
        let mut peek = peek(&OsDisk, path)?;
        for round in 0..ROUNDS {
            let found = match (&peek.holder, peek.locked) {
                (_, false) => return Ok(Self::new(path, peek, HeldBy::Free)),
                (Some(holder), true) => find(holder)?,
                (None, true) => Found::Ended,
            };
            match found {
                Found::Process(_) if peek.live.is_none() && round < FOR_A_STATUS => {
                    thread::sleep(BETWEEN_ROUNDS);
                }
                Found::Process(process) => return Ok(Self::new(path, peek, HeldBy::Here(process))),
                Found::Elsewhere(place) => return Ok(Self::new(path, peek, HeldBy::Elsewhere(place))),
                Found::Ended => thread::sleep(BETWEEN_ROUNDS),
            }
            peek = bivouac::state_dir::peek(&OsDisk, path)?;
        }
        let at = match peek.holder {
            Some(_) => HeldBy::Free,
            None => HeldBy::Elsewhere("as a process that its lock does not name".to_string()),
        };
        Ok(Self::new(path, peek, at))
    }

    /// A status file counts only if the holder of the state wrote it. With a free state it is the last one of a
    /// process that had no time to remove it.
    fn new(path: &Path, mut peek: Peek, at: HeldBy) -> Self {
        let holder = peek.holder.as_ref();
        let is_free = matches!(at, HeldBy::Free);
        peek.live = peek.live.filter(|live| is_free || holder.is_some_and(|holder| is_of(live, holder)));
        Self { path: path.to_path_buf(), peek, at }
    }

    pub(super) fn is_running(&self) -> bool {
        !matches!(self.at, HeldBy::Free)
    }

    /// The process that holds it, if it is on this host.
    pub(super) fn process(&self) -> Option<&Process> {
        if let HeldBy::Here(process) = &self.at { Some(process) } else { None }
    }

    pub(super) fn phase(&self) -> JobPhase {
        match &self.at {
            HeldBy::Here(process) if process.is_suspended() => JobPhase::Suspended,
            HeldBy::Here(_) | HeldBy::Elsewhere(_) => {
                self.peek.live.as_ref().map_or(JobPhase::Starting, |live| JobPhase::Active(live.phase))
            }
            HeldBy::Free => match self.peek.record.as_ref().map(|record| record.phase) {
                Some(record::Phase::Done { .. }) => JobPhase::Finished,
                Some(record::Phase::Working | record::Phase::Finalizing { .. }) | None => {
                    if self.peek.live.is_some() { JobPhase::Crashed } else { JobPhase::Stopped }
                }
            },
        }
    }
}

pub(super) fn is_of(live: &StatusFile, holder: &bivouac::state_dir::Holder) -> bool {
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
