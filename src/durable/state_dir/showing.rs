//! Writes and reads `status.json` (see `durable/status_file.rs`).
//!
//! A rename replaces the file, so that a reader sees a whole one. Unlike the record it is never synced: that would cost a
//! flush a second for a text that is worthless a second later. After a power cut it may be empty or old, so nothing depends
//! on it, and a failure to write it ends no run.

use super::known::known_state;
use super::{Continuing, STATUS, STATUS_NEW, StateDir};
use crate::durable::disk::{Dir, Disk, Open, read_plain};
use crate::durable::history::History;
use crate::durable::status_file::StatusFile;
use crate::error::{At, Kind, Result};
use std::path::Path;

/// The limit of its size: it has some hundred bytes for every running task.
const LARGEST: u64 = 16 << 20;

impl StateDir {
    /// Replaces the status of the running job. Fails only if the state is not ours any more: the run needs no status.
    pub(crate) fn show(&mut self, live: &StatusFile) -> Result<()> {
        match self.confirm().and_then(|()| self.replace_status(live)) {
            Err(error) if error.kind() == Kind::Busy => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn replace_status(&mut self, live: &StatusFile) -> Result<()> {
        let (path, new) = (self.path.join(STATUS), self.temporary(STATUS_NEW));
        let write = || {
            let file = self.dir.open(&new, Open::Create)?;
            file.truncate(0)?;
            file.write_at(&serde_json::to_vec(live)?, 0)
        };
        write().at(&path, "write")?;
        self.confirm_before_rename(&new)?;
        self.dir.rename(&new, STATUS.as_ref()).at(&path, "rename")
    }

    /// Writes the lines of the history, unless the state is not ours any more.
    pub(crate) fn write_history(&mut self, history: &mut History) {
        if self.confirm().is_ok() {
            history.write(&*self.dir, &self.path);
        }
    }

    /// Removes the status at the end of a run. One that outlives its process shows that it was killed.
    pub(crate) fn hide(&mut self) {
        if self.confirm().is_err() {
            return;
        }
        for name in [STATUS.into(), self.temporary(STATUS_NEW)] {
            // The file may not exist. If it stays, a reader still learns from the lock that the run has ended.
            self.dir.remove(&name).ok();
        }
    }

    /// Stores the command that continues the job, for messages.
    pub(crate) fn set_continuing(&mut self, continuing: Continuing) {
        if let Some(lock) = &mut self.lock {
            lock.set_continuing(continuing);
        }
    }
}

/// The status of the job whose state is at `path`, if there is one. Takes no lock, and fails as [`peek`](super::peek) does.
///
/// # Race condition
///
/// It may come from a process that has died since, or from the one before: compare
/// [`StatusFile::pid`] and [`StatusFile::ticks`] with the [`Holder`](super::Holder).
pub fn read_live(disk: &dyn Disk, path: &Path) -> Result<Option<StatusFile>> {
    live_in(&*known_state(disk, path)?, path)
}

/// A damaged status counts as missing: a power cut can damage it, and a newer version may have written it.
pub(super) fn live_in(dir: &dyn Dir, path: &Path) -> Result<Option<StatusFile>> {
    Ok(read_plain(dir, path, STATUS, LARGEST)?.and_then(|text| StatusFile::read(&text)))
}
