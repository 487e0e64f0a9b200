//! Where the record goes: nowhere, into a directory that is made when it is first needed, or into
//! one that is there. So that the commit thread can follow one protocol for all of them.

use crate::durable::disk::{Disk, DiskFile, nameless, split};
use crate::durable::journal::Journal;
use crate::durable::record::{Beyond, Record};
use crate::durable::spill::Spill;
use crate::durable::spill::frame::Entry;
use crate::durable::state_dir::{Continuing, Spilled, StateDir};
use crate::durable::status_file::Live;
use crate::engine::reorder::Shelf;
use crate::error::{Error, Kind, Result};
use crate::task::Line;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// How often the directory above a state is made anew when somebody else removes it meanwhile.
const ROUNDS: usize = 10;

/// See the [module](self).
pub(crate) struct Keep {
    record: Record,
    place: Place,
    journal: Option<Journal>,
    /// Finished tasks that wait for their turn.
    spill: Spill,
    /// There are files that the next record no longer names. Removed after it; not before.
    spent: bool,
    /// Still to be noted.
    continuing: Option<Continuing>,
}

#[expect(clippy::large_enum_variant, reason = "there is one of these in a run")]
pub(crate) enum Place {
    /// The job cannot be continued.
    Nowhere,
    /// A directory that does not exist yet.
    Later { disk: Arc<dyn Disk>, path: PathBuf },
    /// A directory that we hold the lock of. `passing`: it goes when the job is finished.
    Here { dir: StateDir, passing: bool },
}

impl Place {
    /// Makes a segment for results that wait. Where no state is kept, it has no name, and the kernel removes
    /// it with the process however that ends.
    pub(crate) fn make_segment(&mut self, number: u64) -> Result<(Box<dyn DiskFile>, PathBuf)> {
        match self {
            Place::Here { dir, .. } => dir.make_segment(number),
            Place::Nowhere | Place::Later { .. } => {
                let path = std::env::temp_dir().join("(file without a name)");
                Ok((nameless().map_err(|e| Error::io(&path, "create", &e))?, path))
            }
        }
    }

    /// Removes a segment that no record names.
    pub(crate) fn remove_segment(&mut self, number: u64) -> Result<()> {
        match self {
            Place::Here { dir, .. } => dir.remove_segment(number),
            Place::Nowhere | Place::Later { .. } => Ok(()),
        }
    }
}

impl Keep {
    pub(crate) fn new(record: Record, place: Place) -> Self {
        let spill = Spill::new(&record.run, 0);
        Self { record, place, journal: None, spill, spent: false, continuing: None }
    }

    /// With what an earlier run has kept.
    pub(crate) fn with(self, spill: Spill) -> Self {
        Self { spill, ..self }
    }

    pub(crate) fn spill(&mut self) -> &mut Spill {
        &mut self.spill
    }

    pub(crate) fn record(&self) -> &Record {
        &self.record
    }

    pub(crate) fn record_mut(&mut self) -> &mut Record {
        &mut self.record
    }

    /// The open lock of the state, if there is one by now.
    pub(crate) fn lock_descriptor(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        match &self.place {
            Place::Here { dir, .. } => dir.lock_descriptor(),
            Place::Nowhere | Place::Later { .. } => None,
        }
    }

    pub(crate) fn is_kept(&self) -> bool {
        match self.place {
            Place::Nowhere => false,
            Place::Later { .. } | Place::Here { .. } => true,
        }
    }

    /// Whether a finished job leaves its state behind, so that a repeated command finds it.
    pub(crate) fn outlives_the_job(&self) -> bool {
        matches!(self.place, Place::Here { passing: false, .. })
    }

    /// Moves the frontier over tasks that were committed ahead of it.
    pub(crate) fn pass_finished(&mut self) {
        self.record.frontier = self.record.finished.take_run(self.record.frontier);
    }

    /// Replaces the record on disk; its size in bytes, if there is a place for it.
    pub(crate) fn write(&mut self) -> Result<Option<u64>> {
        self.settle_down()?;
        let Place::Here { dir, .. } = &mut self.place else { return Ok(None) };
        if let Some(journal) = &mut self.journal {
            self.record.journal_bytes = journal.make_durable()?;
        }
        self.record.seq += 1;
        self.record.saved_at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if self.spill.make_durable()? {
            dir.sync_spill()?;
        }
        self.record.ahead = self.spill.ahead();
        let size = dir.write_record(&self.record)?;
        self.spill.recorded(&mut self.place)?;
        self.remove_spent()?;
        Ok(Some(size))
    }

    fn remove_spent(&mut self) -> Result<()> {
        if !std::mem::take(&mut self.spent) {
            return Ok(());
        }
        self.sweep()
    }

    /// How much of the disk is taken by what waits.
    pub(crate) fn spilled_bytes(&self) -> u64 {
        self.spill.bytes()
    }

    /// The run is broken: what no record counts need not take room on the disk.
    pub(crate) fn give_back(&mut self) {
        self.spill.give_back(&mut self.place);
    }

    /// Appends to the journal, if the job is kept anywhere. It is made with its first line.
    pub(crate) fn journal(&mut self, line: &Line) -> Result<()> {
        self.settle_down()?;
        let Place::Here { dir, .. } = &mut self.place else { return Ok(()) };
        let journal = match self.journal.take() {
            Some(journal) => journal,
            None => dir.open_journal((&self.record.run, self.record.journal_bytes))?,
        };
        self.journal.insert(journal).append(line)
    }

    /// What is in the journal by now survives a SIGKILL.
    pub(crate) fn write_journal(&mut self) -> Result<()> {
        self.journal.as_mut().map_or(Ok(()), Journal::write)
    }

    /// Of a job that is continued: cuts off what is not whole.
    pub(crate) fn continue_journal(&mut self) -> Result<()> {
        if let (Place::Here { dir, .. }, 1..) = (&mut self.place, self.record.journal_bytes) {
            self.journal = Some(dir.open_journal((&self.record.run, self.record.journal_bytes))?);
        }
        Ok(())
    }

    /// Of a job that begins: whatever an earlier job has left is not its own.
    pub(crate) fn forget_journal(&mut self) -> Result<()> {
        match &mut self.place {
            Place::Here { dir, .. } => dir.remove_journal(),
            Place::Nowhere | Place::Later { .. } => Ok(()),
        }
    }

    /// The first record of a job: where there is a directory, it must know of the job before anything
    /// else is made. Not in a passing one that is new: all that it is for up to the first checkpoint is
    /// its lock.
    pub(crate) fn write_if_here(&mut self) -> Result<()> {
        if let Place::Here { dir, passing } = &self.place
            && (!passing || dir.has_record())
        {
            self.write()?;
        }
        Ok(())
    }

    /// Removes what runs before this one left without a record that lists it. After a record of our
    /// own is written, and not before.
    pub(crate) fn sweep(&mut self) -> Result<()> {
        match &mut self.place {
            Place::Here { dir, .. } => {
                dir.sweep_temporaries()?;
                dir.sweep_spill(&self.record.beyond, &self.spill.segments())
            }
            Place::Nowhere | Place::Later { .. } => Ok(()),
        }
    }

    /// Writes down what the run is doing, if there is a place for it. Only the commit thread knows the
    /// id of the job and what is finished beyond the frontier: on disk, and so many tasks in memory.
    ///
    /// That it cannot be written is nobody's error: nothing depends on it, and if the disk is full the
    /// next checkpoint will say so.
    pub(crate) fn show(&self, live: Live, waiting: u64) {
        if let Place::Here { dir, .. } = &self.place {
            let run = Some(self.record.run.clone());
            dir.show(&Live { run, beyond: waiting + self.spill.tasks().len(), ..live }).ok();
        }
    }

    /// The run ends: nothing is said of it any more.
    pub(crate) fn hide(&self) {
        if let Place::Here { dir, .. } = &self.place {
            dir.hide();
        }
    }

    /// Which command continues the job, for messages; noted as soon as there is a place for it.
    pub(crate) fn set_continuing(&mut self, continuing: Option<Continuing>) {
        self.continuing = continuing;
        self.note_continuing();
    }

    fn note_continuing(&mut self) {
        if let Place::Here { dir, .. } = &mut self.place
            && let Some(continuing) = self.continuing.take()
        {
            dir.set_continuing(continuing);
        }
    }

    /// Makes the directory, now that there is something to keep in it.
    fn settle_down(&mut self) -> Result<()> {
        if let Place::Later { disk, path } = &self.place {
            let dir = make_state(&**disk, path, &|| false)?;
            if dir.has_record() {
                let how = "another run of this job, which began at the same time, has left its state here";
                return Err(Error::new(Kind::Busy, path.display(), how)
                    .advise("run the same command again: it continues that one"));
            }
            self.place = Place::Here { dir, passing: true };
            self.note_continuing();
        }
        Ok(())
    }

    /// The job begins anew when it is run again: a passing state goes away.
    pub(crate) fn abandon(&mut self) -> Result<()> {
        if matches!(self.place, Place::Here { passing: true, .. }) { self.finish() } else { Ok(()) }
    }

    /// The job is finished: the record says so for good, or the state goes away.
    pub(crate) fn finish(&mut self) -> Result<()> {
        if !matches!(self.place, Place::Here { passing: true, .. }) {
            return self.write_if_here();
        }
        // What is removed while it is open leaves a name behind on a network file system.
        self.journal = None;
        if let Place::Here { dir, .. } = std::mem::replace(&mut self.place, Place::Nowhere) {
            dir.remove()?;
        }
        Ok(())
    }

    /// Where results are put that wait.
    pub(crate) fn shelf(&mut self) -> Result<Shelf<'_>> {
        self.settle_down()?;
        Ok(Shelf { spill: &mut self.spill, place: &mut self.place })
    }

    /// A finished task whose result is on disk, and whose turn it is; any, where the order does not matter.
    pub(crate) fn take_ahead(&mut self, any: bool) -> Result<Option<(u64, Entry)>> {
        let tasks = self.spill.tasks();
        let frontier = self.record.frontier;
        let task = if any { tasks.first() } else { Some(frontier).filter(|task| tasks.contains(*task)) };
        let Some(task) = task else { return Ok(None) };
        self.spill.take(task).map(|entry| entry.map(|entry| (task, entry)))
    }

    /// Takes a result that a version before 0.2 has kept. Its file goes after the next record.
    pub(crate) fn take_beyond(&mut self) -> Result<Option<(Beyond, Spilled)>> {
        let Place::Here { dir, .. } = &mut self.place else { return Ok(None) };
        let Some(beyond) = self.record.beyond.pop() else { return Ok(None) };
        let spilled = dir.read_spill(&beyond)?.ok_or_else(|| {
            Error::broken(
                format_args!("task {}", beyond.task),
                "what was kept of it has been harmed meanwhile",
            )
            .advise("run the same command again: this task is done again")
        })?;
        self.spent = true;
        Ok(Some((beyond, spilled)))
    }
}

/// Opens the state at `path` and takes its lock; makes it if it does not exist, and the directory above it:
/// a state may live below one that all of them share (`.bivouac` here).
///
/// # Race condition
///
/// Who removes the last state removes the shared directory as well, which may be just when we want to make
/// ours in it; then both are made again.
pub(crate) fn make_state(disk: &dyn Disk, path: &Path, may_wait: &dyn Fn() -> bool) -> Result<StateDir> {
    let is_missing = |path| disk.open_dir(path).is_err_and(|e| e.kind() == io::ErrorKind::NotFound);
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let mut failed = Error::broken(path.display(), "the directory of the state disappears again and again");
    for _ in 0..ROUNDS {
        if let Some(parent) = parent
            && is_missing(parent)
        {
            make_parent(disk, parent)?;
        }
        match StateDir::open_with(disk, path, true, may_wait) {
            Ok(Some(dir)) => return Ok(dir),
            Ok(None) => {}
            Err(error) if parent.is_some_and(is_missing) => failed = error,
            Err(error) => return Err(error),
        }
    }
    Err(failed)
}

fn make_parent(disk: &dyn Disk, parent: &Path) -> Result<()> {
    let Some((above, name)) = split(parent) else { return Ok(()) };
    let failed = |e: io::Error| {
        Error::io(parent, "make the directory", &e).advise("name a place for the state with --state DIR")
    };
    let above = match disk.open_dir(above) {
        // Who opens the state says so.
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened.map_err(failed)?,
    };
    match above.make_dir(name) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(failed(e)),
        Ok(()) => above.sync().map_err(failed),
    }
}
