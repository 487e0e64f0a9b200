//! `status.json`: what a running job is doing, for whoever looks at its state.
//!
//! It is replaced by rename, so that a reader sees a whole one. It is not synced, and that is the
//! difference to the record: it costs a flush to the device about once a second to make something
//! durable that is worth nothing a second later. After a power cut it may be empty or old; so
//! nothing is ever decided by it that concerns the output, and a failure to write it ends no run.

use super::known::known_state;
use super::{Continuing, STATUS, STATUS_NEW, StateDir};
use crate::durable::disk::{Dir, Disk, Open, read_plain};
use crate::durable::status_file::StatusFile;
use crate::error::Result;
use std::io;
use std::path::Path;

/// No status is longer: it has some hundred bytes for every task at work.
const LARGEST: u64 = 16 << 20;

impl StateDir {
    /// Replaces what is said of the running job.
    ///
    /// # Errors
    ///
    /// Those of the file system. The run goes on without it.
    ///
    /// # Durability
    ///
    /// None.
    pub(crate) fn show(&self, live: &StatusFile) -> io::Result<()> {
        let text = serde_json::to_vec(live)?;
        if self.is_lost {
            return Ok(());
        }
        let new = self.temporary(STATUS_NEW);
        let file = self.dir.open(&new, Open::Create)?;
        file.truncate(0)?;
        file.write_at(&text, 0)?;
        drop(file);
        self.dir.rename(&new, STATUS.as_ref())
    }

    /// Takes it away: the run ends, and in good order. What is left of it after the end of a process
    /// tells that the end was another one.
    pub(crate) fn hide(&self) {
        if self.is_lost {
            return;
        }
        for name in [STATUS.into(), self.temporary(STATUS_NEW)] {
            // It may never have been there; and who reads it asks for the lock too.
            self.dir.remove(&name).ok();
        }
    }

    /// Notes the command that continues the job, for messages.
    pub(crate) fn set_continuing(&mut self, continuing: Continuing) {
        if let Some(lock) = &mut self.lock {
            lock.set_continuing(continuing);
        }
    }
}

/// What the job whose state is at `path` says of itself, if it says anything. Takes no lock.
///
/// # Errors
///
/// As [`peek`](super::peek).
///
/// # Race condition
///
/// It may be of a process that has died since, or of the one before: compare
/// [`StatusFile::pid`] and [`StatusFile::ticks`] with the [`Holder`](super::Holder).
pub fn read_live(disk: &dyn Disk, path: &Path) -> Result<Option<StatusFile>> {
    live_in(&*known_state(disk, path)?, path)
}

/// What is damaged is not there: it may be so after a power cut, or of a newer format.
pub(super) fn live_in(dir: &dyn Dir, path: &Path) -> Result<Option<StatusFile>> {
    Ok(read_plain(dir, path, STATUS, LARGEST)?.and_then(|text| StatusFile::read(&text)))
}
