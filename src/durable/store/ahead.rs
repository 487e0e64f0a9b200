//! Results of tasks that have completed ahead of the frontier, while they wait on disk.

use super::CheckpointStore;
use crate::durable::spill::frame::Entry;
use crate::durable::spill::{Shelf, Spill};
use crate::error::Result;

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
}
