//! What the store tells other processes about the run: its status, and the command that continues the job.

use super::CheckpointStore;
use crate::durable::state_dir::Continuing;
use crate::durable::status_file::StatusFile;
use crate::error::Result;

impl CheckpointStore {
    /// Writes the status of the run, if the directory exists. The store adds two facts: the id of the job, and how many tasks
    /// have completed ahead of the frontier. Of these, `waiting` are in memory and the others on disk.
    pub(crate) fn show(&mut self, live: StatusFile, waiting: u64) -> Result<()> {
        let Some(dir) = &mut self.dir else { return Ok(()) };
        let run = Some(self.record.run.clone());
        dir.show(&StatusFile { run, ahead: waiting + self.spill.tasks().len(), ..live })
    }

    pub(crate) fn hide(&mut self) {
        if let Some(dir) = &mut self.dir {
            dir.hide();
        }
    }

    /// Stores the command that continues the job, for messages, as soon as the directory exists.
    pub(crate) fn set_continuing(&mut self, continuing: Option<Continuing>) {
        self.continuing = continuing;
        self.note_continuing();
    }

    pub(super) fn note_continuing(&mut self) {
        if let Some(dir) = &mut self.dir
            && let Some(continuing) = self.continuing.take()
        {
            dir.set_continuing(continuing);
        }
    }
}
