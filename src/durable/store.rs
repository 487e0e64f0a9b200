//! Where a checkpoint is stored, and how one replaces another. Last chapter of the route.
//!
//! The obvious way is to write the new record over the old one. A crash in the middle then leaves half of each, and neither
//! can be trusted. So a record is replaced whole, in five steps, all in one function:
//! [`replace_record`](CheckpointStore::replace_record).
//!
//! 1. Flush the output to the device, and everything else that the record will name.
//! 2. Write the record beside the old one, under a temporary name.
//! 3. `fsync` that file.
//! 4. Rename it to `checkpoint.json`.
//! 5. `fsync` the directory.
//!
//! Only then does the commit thread report the checkpoint.
//!
//! # What is assumed of the disk
//!
//! 1. When `fsync` of a file returns, its content is durable; its *name* need not be.
//! 2. When `fsync` of a directory returns, the names in it are durable.
//! 3. A rename happens wholly or not at all.
//! 4. Without a sync, the disk may lose anything, in any order and in part.
//!
//! # What a crash leaves
//!
//! - **Before the rename**, the old record stands, and the bytes that it names are still there: nothing before the frontier
//!   is ever overwritten. The next run deletes the temporary file as soon as it has written a record of its own, and
//!   truncates the output after the last committed byte.
//! - **Between the rename and the sync of the directory**, the old or the new record stands. Each is whole, and each is
//!   true: the bytes that the new one names were durable before it was written.
//! - **After the sync of the directory**, the new record stands.
//!
//! The second case also arises when the last `fsync` *fails*: the record may be visible now and gone after a power cut. So a
//! run writes a record of its own before it removes or publishes anything.
//!
//! Every call after the first failure returns that failure. After a failed `fsync` the kernel marks the pages clean, and a
//! second `fsync` reports success although the bytes are lost.

mod ahead;
mod create;
mod journal;
mod show;

pub(crate) use create::create_state;

use crate::durable::disk::{Disk, Open};
use crate::durable::history::History;
use crate::durable::journal::Journal;
use crate::durable::record::Record;
use crate::durable::spill::Spill;
use crate::durable::state_dir::{Continuing, LARGEST_RECORD, RECORD, StateDir};
use crate::error::{Advice, Error, Kind, Result};
use crate::task::{Committed, Sink};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Where a run keeps its state.
///
/// ```
/// use bivouac::Location;
///
/// assert_eq!(Location::Directory("sums.state".into()), "sums.state".into());
/// assert_eq!(Location::Passing("tmp.state".into()).path(), Some("tmp.state".as_ref()));
/// assert_eq!(Location::Nowhere.path(), None);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Location {
    /// Nowhere: the job cannot be continued.
    #[default]
    Nowhere,
    /// In this directory, made at the start and kept.
    Directory(PathBuf),
    /// Temporary: in this directory, made at the first checkpoint and removed when the job has finished.
    Passing(PathBuf),
}

impl Location {
    /// The directory, unless the state is kept nowhere.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Location::Nowhere => None,
            Location::Directory(path) | Location::Passing(path) => Some(path),
        }
    }
}

/// Stores the checkpoints of one run. The commit thread follows one protocol, whatever the location.
pub(crate) struct CheckpointStore {
    record: Record,
    location: Location,
    disk: Arc<dyn Disk>,
    /// The directory of the location, which this run has locked. A temporary one is made on first use.
    dir: Option<StateDir>,
    journal: Option<Journal>,
    pub(crate) history: History,
    /// Results of tasks that have completed ahead of the frontier.
    spill: Spill,
    /// The command that continues the job, until the directory exists and holds it.
    continuing: Option<Continuing>,
    /// The first failure. After it nothing more is tried.
    broken: Option<Error>,
}

impl CheckpointStore {
    /// The store of a run that continues from `record`. `dir` is the directory of the location, if it exists.
    pub(crate) fn new(
        record: Record,
        location: Location,
        disk: Arc<dyn Disk>,
        dir: Option<StateDir>,
    ) -> Self {
        let spill = Spill::new(&record.run, 0);
        let (journal, history, continuing, broken) = (None, History::default(), None, None);
        Self { record, location, disk, dir, journal, history, spill, continuing, broken }
    }

    /// Adds results of an earlier run that wait on disk.
    pub(crate) fn with(self, spill: Spill) -> Self {
        Self { spill, ..self }
    }

    /// Makes a checkpoint durable: the output of `sink`, then the record that names it. `of_next` is the number
    /// of bytes that the sink has already taken of the next task. Returns the size of the record, if one is kept.
    ///
    /// # Durability
    ///
    /// When this returns, output and record survive a power cut.
    pub(crate) fn commit(&mut self, sink: &mut dyn Sink, of_next: u64) -> Result<Option<u64>> {
        self.unless_broken(|store| store.replace_record(Some((sink, of_next))))
    }

    /// Replaces the record, for a change that adds nothing to the output.
    pub(crate) fn write(&mut self) -> Result<Option<u64>> {
        self.unless_broken(|store| store.replace_record(None))
    }

    /// The five steps (see the [module](self)).
    fn replace_record(&mut self, output: Option<(&mut dyn Sink, u64)>) -> Result<Option<u64>> {
        // Is the state still ours?
        self.confirm()?;
        // 1. Flush everything that the record will name: a record must never name bytes that are not durable.
        if let Some((sink, of_next)) = output {
            self.record.output = Some(Committed { of_next, ..sink.make_durable()? });
        }
        self.open_directory()?;
        let Some(dir) = &mut self.dir else { return Ok(None) };
        if let Some(journal) = &mut self.journal {
            self.record.journal_bytes = journal.make_durable()?;
        }
        if self.spill.make_durable()? {
            dir.sync_spill()?;
        }
        self.record.ahead = self.spill.ahead();
        let bytes = next_text(&mut self.record, dir.path())?;
        // Asks the lock itself, which `confirm` does only on a network file system. Before the first record it also flushes
        // the name of the state directory.
        let (files, temporary) = dir.before_record()?;
        let path = dir.path().join(&temporary);
        let failed = |step: &'static str| {
            let path = path.clone();
            move |e: io::Error| Error::io(&path, step, &e)
        };
        // 2. Write the record under a temporary name: the old one stands until the new one is whole.
        let file = files.open(&temporary, Open::Create).map_err(failed("create"))?;
        file.truncate(0).map_err(failed("truncate"))?;
        file.write_at(&bytes, 0).map_err(failed("write"))?;
        // 3. Make its content durable before it gets its name.
        file.sync_all().map_err(failed("sync"))?;
        drop(file);
        // Asks a last time whether the state is still ours, because flushing may have taken long.
        dir.confirm_before_rename(&temporary)?;
        // 4. Replace the old record by the new one, in one instant.
        files.rename(&temporary, RECORD.as_ref()).map_err(failed("rename"))?;
        // 5. Make the name durable. Only now does the checkpoint exist.
        files.sync().map_err(failed("sync the directory of"))?;
        dir.after_record(&self.record);
        // Frees the space of results that no record names any more.
        self.spill.recorded(&mut self.dir)?;
        Ok(Some(bytes.len() as u64))
    }

    /// Runs `step`, unless an earlier step failed: then returns the error of that one.
    fn unless_broken<T>(&mut self, step: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        let done = step(self);
        self.broken = done.as_ref().err().cloned();
        done
    }

    pub(crate) fn record(&self) -> &Record {
        &self.record
    }

    pub(crate) fn record_mut(&mut self) -> &mut Record {
        &mut self.record
    }

    /// The open lock file of the state, if the state exists.
    pub(crate) fn lock_descriptor(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.dir.as_ref().and_then(StateDir::lock_descriptor)
    }

    /// Where the state is, or will be.
    pub(crate) fn place(&self) -> Option<&Path> {
        self.location.path()
    }

    pub(crate) fn is_kept(&self) -> bool {
        self.location != Location::Nowhere
    }

    fn is_passing(&self) -> bool {
        matches!(self.location, Location::Passing(_))
    }

    /// Whether the state stays when the job has finished, so that the same command finds it.
    pub(crate) fn outlives_the_job(&self) -> bool {
        matches!(self.location, Location::Directory(_)) && self.dir.is_some()
    }

    /// Moves the frontier over tasks that were committed ahead of it.
    pub(crate) fn pass_finished(&mut self) {
        self.record.frontier = self.record.finished.take_run(self.record.frontier);
    }

    /// Writes the first record of a job, before anything else of the job is made. One exception: a new temporary state
    /// has only the lock until the first checkpoint.
    pub(crate) fn write_first(&mut self) -> Result<()> {
        match &self.dir {
            Some(dir) if !self.is_passing() || dir.has_record => self.write().map(drop),
            Some(_) | None => Ok(()),
        }
    }

    /// Removes files of earlier runs that no record names. Call it only after this run has written a record
    /// of its own.
    pub(crate) fn sweep(&mut self) -> Result<()> {
        let Some(dir) = &mut self.dir else { return Ok(()) };
        dir.sweep_temporaries()?;
        dir.sweep_spill(&self.spill.segments())
    }

    /// The run failed: frees the space on disk that no record names.
    pub(crate) fn give_back(&mut self) {
        self.spill.give_back(&mut self.dir);
    }

    /// Makes the directory of the state if it does not exist: the first file is about to be written into it.
    fn open_directory(&mut self) -> Result<()> {
        if let (None, Location::Directory(path) | Location::Passing(path)) = (&self.dir, &self.location) {
            let dir = create_state(&*self.disk, path, &|| false)?;
            if dir.has_record {
                let how = "another run of this job began at the same time";
                return Err(Error::new(Kind::Busy, path.display(), how).advise(Advice::RunAgain));
            }
            self.dir = Some(dir);
            self.note_continuing();
        }
        Ok(())
    }

    /// The job cannot be continued: removes a temporary state.
    pub(crate) fn abandon(&mut self) -> Result<()> {
        if self.is_passing() && self.dir.is_some() { self.finish() } else { Ok(()) }
    }

    /// The job has finished: writes that into the record, or removes a temporary state.
    pub(crate) fn finish(&mut self) -> Result<()> {
        if !self.is_passing() {
            self.dir.as_mut().map_or(Ok(()), StateDir::remove_aids)?;
            return self.write_first();
        }
        // A network file system keeps a removed file under another name while it is open.
        self.journal = None;
        self.location = Location::Nowhere;
        self.unless_broken(|store| store.dir.take().map_or(Ok(()), |dir| dir.remove().map(drop)))
    }
}

/// The bytes of the next record.
fn next_text(record: &mut Record, state: &Path) -> Result<Vec<u8>> {
    record.seq += 1;
    record.saved_at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let bytes = record.encode()?;
    if bytes.len() as u64 > LARGEST_RECORD {
        let how = format_args!("the checkpoint would have {} bytes, more than can be read", bytes.len());
        return Err(Error::broken(state.display(), how));
    }
    Ok(bytes)
}

#[cfg(test)]
pub(crate) mod tests;
