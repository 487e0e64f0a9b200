//! Results of tasks that have completed ahead of the frontier: where they wait on disk for their turn.

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

    /// How much of the disk such results take.
    pub(crate) fn spilled_bytes(&self) -> u64 {
        self.spill.bytes()
    }

    /// Where the results of further tasks are put.
    pub(crate) fn shelf(&mut self) -> Result<Shelf<'_>> {
        self.open_directory()?;
        Ok(Shelf { spill: &mut self.spill, dir: &mut self.dir })
    }

    /// The task at the frontier, if its result is on disk; with `any`, the first task whose result is there.
    pub(crate) fn take_ahead(&mut self, any: bool) -> Result<Option<(u64, Entry)>> {
        let tasks = self.spill.tasks();
        let frontier = self.record.frontier;
        let task = if any { tasks.first() } else { Some(frontier).filter(|task| tasks.contains(*task)) };
        let Some(task) = task else { return Ok(None) };
        self.spill.take(task).map(|entry| entry.map(|entry| (task, entry)))
    }

    /// Takes a result that a version before 0.2 has kept. Its file goes after the next record.
    pub(crate) fn take_spilled_file(&mut self) -> Result<Option<(SpilledFile, Spilled)>> {
        let Some(dir) = &mut self.dir else { return Ok(None) };
        let Some(file) = self.record.spilled_files.pop() else { return Ok(None) };
        let spilled = dir.read_spill(&file)?.ok_or_else(|| {
            Error::broken(
                format_args!("task {}", file.task + 1),
                "what was kept of it has been harmed meanwhile",
            )
            .advise("this task is to be done again")
            .then(Advice::RunAgain)
        })?;
        self.spent = true;
        Ok(Some((file, spilled)))
    }
}
