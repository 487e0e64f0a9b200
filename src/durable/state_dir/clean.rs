//! Reads a state without its lock, and removes a state.

use super::known::{known_state, no_state};
use super::showing::live_in;
use super::{LOCK_GONE, RECORD, SPILL, STATUS, StateDir, known, read_record};
use crate::durable::disk::{Disk, if_there};
use crate::durable::history::HISTORY;
use crate::durable::journal::{JOURNAL, Journal};
use crate::durable::lock::{self, LOCK};
use crate::durable::record::{Phase, Record};
use crate::durable::status_file::StatusFile;
use crate::error::{Advice, At, Error, Result};
use crate::task::Line;
use crate::task::source::{ACCESS_POINTS, PIECES};
use std::ffi::OsString;
use std::path::Path;

/// A state as it can be seen without holding its lock.
#[derive(Clone, Debug)]
pub struct Peek {
    /// The last checkpoint.
    pub record: Option<Record>,
    /// The process that holds the state, or held it last.
    pub holder: Option<super::Holder>,
    /// Whether a run holds the state at this moment.
    pub locked: bool,
    /// The last status. If no run holds the state, there is one only if the last run did not end in order.
    pub live: Option<StatusFile>,
    /// Size of the record in bytes.
    pub record_bytes: u64,
}

/// The things that [`clean`] did.
#[derive(Clone, Debug)]
pub struct Cleaned {
    /// The record that was removed.
    pub record: Option<Record>,
    /// Whether the directory itself is still there, without a state.
    pub stays: bool,
    /// Files in the directory that do not belong to a state. They stay, and so does the directory.
    pub left: Vec<OsString>,
}

/// Reads a state, whether or not a run holds it. The record is always whole, because a rename replaces it. Fails if there is
/// no state at `path`, and as [`StateDir::open`] and [`StateDir::read_record`] do.
///
/// # Race condition
///
/// To see whether the lock is free, this takes it for an instant. A run that starts then tries again.
pub fn peek(disk: &dyn Disk, path: &Path) -> Result<Peek> {
    let dir = known_state(disk, path)?;
    let (locked, holder) = lock::look(&*dir, path)?;
    let record_bytes = dir.facts(RECORD.as_ref()).ok().flatten().map_or(0, |facts| facts.bytes);
    Ok(Peek { record: read_record(&*dir, path)?, holder, locked, live: live_in(&*dir, path)?, record_bytes })
}

/// Removes a state that no run holds: its files, and the directory if it is then empty. Refuses an unfinished or damaged one
/// without `force`. The unfinished output of the job stays: a record is never a reason to delete a file elsewhere.
pub fn clean(disk: &dyn Disk, path: &Path, force: bool) -> Result<Cleaned> {
    known_state(disk, path)?;
    let state = StateDir::open(disk, path)?.ok_or_else(|| no_state(path))?;
    let record = match state.read_record() {
        Err(_) if force => None,
        read => read?,
    };
    if let (false, Some(Record { phase: Phase::Working | Phase::Finalizing { .. }, frontier, tasks, .. })) =
        (force, &record)
    {
        let of = tasks.map_or_else(String::new, |tasks| format!(" of {tasks}"));
        let how = format_args!("its job is not finished ({frontier}{of} committed)");
        return Err(Error::refused(path.display(), how).advise(Advice::RunAgain).or(Advice::CleanByForce));
    }
    let left = state.remove()?;
    Ok(Cleaned { record, stays: disk.open_dir(path).is_ok(), left })
}

/// Whether the directory at `path` is the state of a job; then nothing else should be written into it.
pub fn is_state(disk: &dyn Disk, path: &Path) -> bool {
    let Ok(dir) = disk.open_dir(path) else { return false };
    // Most directories are not a state, and this tells it at once.
    [LOCK, RECORD].iter().any(|name| known::is_there(&*dir, name))
        && known::is_state(&*dir, path).unwrap_or(false)
}

impl StateDir {
    /// Opens the journal of the run `known.0`, in which the record counts `known.1` bytes.
    pub(crate) fn open_journal(&mut self, known: (&str, u64)) -> Result<Journal> {
        self.touch()?;
        Journal::open(&*self.dir, &self.path, known)
    }

    /// Hands the lines after those bytes to `each` ([`Journal::after`]).
    pub(crate) fn journal_after(&self, known: (&str, u64), each: &mut dyn FnMut(Line)) -> Result<()> {
        Journal::after(&*self.dir, &self.path, known, each)
    }

    pub(crate) fn remove_journal(&mut self) -> Result<()> {
        self.touch()?;
        // No run depends on a history, nor on its removal: a line in it names the job.
        self.remove_if_there(&*self.dir, HISTORY.as_ref()).unwrap_or_default();
        self.remove_if_there(&*self.dir, JOURNAL.as_ref())
    }

    /// Removes what a job that has finished its work needs no more: access points, and the pieces of its own.
    pub(crate) fn remove_aids(&mut self) -> Result<()> {
        self.touch()?;
        self.remove_if_there(&*self.dir, ACCESS_POINTS.as_ref())?;
        let opened = if_there(self.dir.open_dir(PIECES.as_ref()));
        let Some(pieces) = opened.at(self.path.join(PIECES), "open the directory")? else { return Ok(()) };
        for name in pieces.list().at(self.path.join(PIECES), "list")? {
            self.remove_if_there(&*pieces, &Path::new(PIECES).join(name))?;
        }
        // A network file system may keep the name of a file that is still open.
        self.dir.remove_dir(PIECES.as_ref()).ok();
        Ok(())
    }

    /// Removes its files, the lock last, and the directory if it is then empty. Returns the names left in it.
    pub fn remove(mut self) -> Result<Vec<OsString>> {
        self.touch()?;
        // First the record, durably. A crash after that leaves files that no record names, and the next run
        // sweeps them. In the other order it would leave a record that names missing files.
        self.remove_if_there(&*self.dir, RECORD.as_ref())?;
        self.sync_dir()?;
        self.sweep_spill(&[])?;
        let spill = self.find_spill_dir()?;
        if spill.is_some_and(|dir| dir.list().is_ok_and(|names| names.is_empty())) {
            self.dir.remove_dir(SPILL.as_ref()).at(self.path.join(SPILL), "remove")?;
        }
        for name in [STATUS, JOURNAL, HISTORY] {
            self.remove_if_there(&*self.dir, name.as_ref())?;
        }
        self.remove_aids()?;
        self.sweep_temporaries()?;
        let list = || self.dir.list().at(&self.path, "list");
        let left: Vec<_> = list()?.into_iter().filter(|name| name != LOCK).collect();
        // From here on another run may use this directory; then it is not empty, and its removal fails.
        if let Some(lock) = self.lock.take() {
            let meanwhile = self.temporary(LOCK_GONE);
            lock.remove(&*self.dir, &meanwhile).at(self.path.join(LOCK), "remove")?;
        }
        if left.is_empty() && self.parent.remove_dir(&self.name).is_err() {
            return list();
        }
        Ok(left)
    }

    /// Removes the temporary files of runs that were killed. Call it only after this run has written a record.
    pub(crate) fn sweep_temporaries(&mut self) -> Result<()> {
        self.touch()?;
        let names = self.dir.list().at(&self.path, "list")?;
        let mut temporary = names.into_iter().filter(|name| known::is_temporary(name));
        temporary.try_for_each(|name| self.remove_if_there(&*self.dir, name.as_ref()))
    }
}
