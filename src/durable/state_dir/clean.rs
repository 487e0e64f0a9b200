//! Looking at a state from outside, and taking it away.

use super::known::{known_state, no_state};
use super::showing::live_in;
use super::{LOCK, LOCK_GONE, RECORD, SPILL, STATUS, StateDir, known, lock, read_record};
use crate::durable::disk::Disk;
use crate::durable::journal::{JOURNAL, Journal};
use crate::durable::record::{Phase, Record};
use crate::durable::status_file::StatusFile;
use crate::error::{Advice, Error, Result};
use crate::task::Line;
use std::ffi::OsString;
use std::path::Path;

/// What can be seen of a state without holding its lock.
#[derive(Clone, Debug)]
pub struct Peek {
    /// The last checkpoint.
    pub record: Option<Record>,
    /// Who holds the state, or held it last.
    pub holder: Option<super::Holder>,
    /// Whether a run holds the state at this moment.
    pub locked: bool,
    /// What the run said last of what it does. Of a run that does not hold the state any more it is
    /// there only if that run came to no orderly end.
    pub live: Option<StatusFile>,
    /// Size of the record in bytes.
    pub record_bytes: u64,
}

/// What [`clean`] did.
#[derive(Clone, Debug)]
pub struct Cleaned {
    /// The record that was removed.
    pub record: Option<Record>,
    /// Whether the directory itself is still there, without a state.
    pub stays: bool,
    /// Files in the directory that are not ours: they were left, and the directory with them.
    pub left: Vec<OsString>,
}

/// Looks at a state, whether or not a run holds it. The record is never seen half-written,
/// because a rename replaces it whole.
///
/// # Errors
///
/// [`Kind::Usage`](crate::error::Kind::Usage) when there is no state at `path`, otherwise as
/// [`StateDir::open`] and [`StateDir::read_record`].
///
/// # Race condition
///
/// A free lock is held for an instant in order to learn that it is free; a run that starts at
/// this instant tries again.
pub fn peek(disk: &dyn Disk, path: &Path) -> Result<Peek> {
    let dir = known_state(disk, path)?;
    let (locked, holder) = lock::look(&*dir, path)?;
    let record_bytes = dir.facts(RECORD.as_ref()).ok().flatten().map_or(0, |facts| facts.bytes);
    Ok(Peek { record: read_record(&*dir, path)?, holder, locked, live: live_in(&*dir, path)?, record_bytes })
}

/// Removes a state: the files that we know, and the directory if nothing else is in it. Without
/// `force`, only that of a finished job.
///
/// The unfinished output of the job is not touched: what a record says about other places is
/// never a reason to delete something there.
///
/// # Errors
///
/// [`Kind::Busy`](crate::error::Kind::Busy) when a run holds it,
/// [`Kind::Refused`](crate::error::Kind::Refused) when the job is not finished or the record is
/// damaged, [`Kind::Usage`](crate::error::Kind::Usage) when there is no state at `path`.
pub fn clean(disk: &dyn Disk, path: &Path, force: bool) -> Result<Cleaned> {
    known_state(disk, path)?;
    let state = StateDir::open(disk, path)?.ok_or_else(|| no_state(path))?;
    let record = match state.read_record() {
        Err(_) if force => None,
        read => read?,
    };
    if let (false, Some(Record { phase: Phase::Working | Phase::Finalizing { .. }, frontier, .. })) =
        (force, &record)
    {
        return Err(Error::refused(
            path.display(),
            format_args!("is the state of a job that is not finished ({frontier} tasks are committed)"),
        )
        .advise(Advice::RunAgain)
        .or(Advice::CleanByForce));
    }
    let left = state.remove()?;
    Ok(Cleaned { record, stays: disk.open_dir(path).is_ok(), left })
}

/// Whether the directory at `path` is the state of a job, so that nothing else should be written into it.
pub fn is_state(disk: &dyn Disk, path: &Path) -> bool {
    let Ok(dir) = disk.open_dir(path) else { return false };
    // Most directories are none, and this tells it at once.
    [LOCK, RECORD].iter().any(|name| known::is_there(&*dir, name))
        && known::is_state(&*dir, path).unwrap_or(false)
}

impl StateDir {
    /// Forgets everything that earlier runs left, and keeps the lock.
    ///
    /// The record goes first, and durably. A crash after that leaves spill files that no record
    /// lists, which the next run sweeps; the other way round would leave a record that lists
    /// files which are gone.
    ///
    /// # Errors
    ///
    /// As for [`before_record`](StateDir::before_record).
    ///
    /// # Durability
    ///
    /// When this returns, the old record does not come back after a power cut.
    fn discard(&mut self) -> Result<()> {
        self.touch();
        self.durably(|state| {
            state.confirm_lock()?;
            state.remove_if_there(&*state.dir, RECORD.as_ref())?;
            state.dir.sync().map_err(|e| Error::io(&state.path, "sync the directory", &e))
        })?;
        self.sweep_spill(&[], &[])
    }

    /// Opens the journal of this run, of which so many bytes are known to be there.
    pub(crate) fn open_journal(&mut self, known: (&str, u64)) -> Result<Journal> {
        self.touch();
        Journal::open(&*self.dir, &self.path, known)
    }

    /// The lines of that journal behind what is known ([`Journal::behind`]).
    pub(crate) fn journal_behind(&self, known: (&str, u64), each: &mut dyn FnMut(Line)) -> Result<()> {
        Journal::behind(&*self.dir, &self.path, known, each)
    }

    /// Removes the journal, if there is one.
    pub(crate) fn remove_journal(&mut self) -> Result<()> {
        self.touch();
        self.remove_if_there(&*self.dir, JOURNAL.as_ref())
    }

    /// Removes the state: our files, the lock last, and the directory if it is then empty.
    /// Returns the names of what is left in it.
    ///
    /// # Errors
    ///
    /// Something cannot be removed.
    pub fn remove(mut self) -> Result<Vec<OsString>> {
        self.discard()?;
        let spill = self.find_spill_dir()?;
        if spill.is_some_and(|dir| dir.list().is_ok_and(|names| names.is_empty())) {
            self.dir
                .remove_dir(SPILL.as_ref())
                .map_err(|e| Error::io(&self.path.join(SPILL), "remove", &e))?;
        }
        for name in [STATUS, JOURNAL] {
            self.remove_if_there(&*self.dir, name.as_ref())?;
        }
        self.sweep_temporaries()?;
        let list = || self.dir.list().map_err(|e| Error::io(&self.path, "list", &e));
        let left: Vec<_> = list()?.into_iter().filter(|name| name != LOCK).collect();
        // From here on another run may take this directory for its own; then it is not empty, and
        // removing it fails, which is right.
        if let Some(lock) = self.lock.take() {
            let meanwhile = self.temporary(LOCK_GONE);
            lock.remove(&*self.dir, &meanwhile)
                .map_err(|e| Error::io(&self.path.join(LOCK), "remove", &e))?;
        }
        if left.is_empty() && self.parent.remove_dir(&self.name).is_err() {
            return list();
        }
        Ok(left)
    }

    /// Removes the temporary files that runs have left which were killed. Only after a record of our own.
    ///
    /// # Errors
    ///
    /// Something cannot be removed.
    pub(crate) fn sweep_temporaries(&self) -> Result<()> {
        let names = self.dir.list().map_err(|e| Error::io(&self.path, "list", &e))?;
        names
            .into_iter()
            .filter(|name| known::is_temporary(name))
            .try_for_each(|name| self.remove_if_there(&*self.dir, &name))
    }
}
