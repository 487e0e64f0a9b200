//! Results of tasks that have completed ahead of the frontier, while they wait on disk.

use super::CheckpointStore;
use crate::durable::record::SpilledFile;
use crate::durable::spill::frame::Entry;
use crate::durable::spill::{Shelf, Spill};
use crate::durable::state_dir::Spilled;
use crate::error::{Advice, Error, Result};

impl CheckpointStore {
    pub(crate) fn spill(&mut self) -> &mut Spill {
        &mut self.spill
    }

    pub(crate) fn spilled_bytes(&self) -> u64 {
        self.spill.bytes()
    }

    /// Where results of more tasks are written.
    pub(crate) fn shelf(&mut self) -> Result<Shelf<'_>> {
        self.open_directory()?;
        Ok(Shelf { spill: &mut self.spill, dir: &mut self.dir })
    }

    /// Takes the result of the task at the frontier, if it is on disk. With `any`, takes the first result on disk.
    pub(crate) fn take_ahead(&mut self, any: bool) -> Result<Option<(u64, Entry)>> {
        let tasks = self.spill.tasks();
        let frontier = self.record.frontier;
        let task = if any { tasks.first() } else { Some(frontier).filter(|task| tasks.contains(*task)) };
        let Some(task) = task else { return Ok(None) };
        self.spill.take(task).map(|entry| entry.map(|entry| (task, entry)))
    }

    /// Takes a result that a version before 0.2 has written. Its file is removed after the next record.
    pub(crate) fn take_spilled_file(&mut self) -> Result<Option<(SpilledFile, Spilled)>> {
        let Some(dir) = &mut self.dir else { return Ok(None) };
        let Some(file) = self.record.spilled_files.pop() else { return Ok(None) };
        let spilled = dir.read_spill(&file)?.ok_or_else(|| {
            Error::broken("a task", "its result on disk was damaged while this run was working")
                .of_task(file.task)
                .advise("it must be done again")
                .then(Advice::RunAgain)
        })?;
        self.sweeps_after_record = true;
        Ok(Some((file, spilled)))
    }
}
