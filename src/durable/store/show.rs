//! The files by which the store informs other processes about the run: its status, its history, and the command that
//! continues the job.

use super::CheckpointStore;
use crate::durable::history::{Moment, Way};
use crate::durable::state_dir::Continuing;
use crate::durable::status_file::StatusFile;
use crate::error::Result;

impl CheckpointStore {
    /// Writes the status of the run, if the directory exists. The store adds two facts: the id of the job, and how many tasks
    /// have completed ahead of the frontier. Of these, `waiting` are in memory and the others on disk.
    pub(crate) fn show(&mut self, live: StatusFile, waiting: u64) -> Result<()> {
        let run = Some(self.record.run.clone());
        let live = StatusFile { run, ahead: waiting + self.spill.tasks().len(), ..live };
        self.history.see(&live, &self.record);
        let Some(dir) = &mut self.dir else { return Ok(()) };
        dir.show(&live)?;
        dir.write_history(&mut self.history);
        Ok(())
    }

    /// Writes a request into the history of the job.
    pub(crate) fn note(&mut self, asked: &Moment) {
        self.history.take(asked, &self.record);
        if let Some(dir) = &mut self.dir {
            dir.write_history(&mut self.history);
        }
    }

    /// The run is over: ends its history, and removes its status.
    pub(crate) fn hide(&mut self, how: Way) {
        if let Some(dir) = &mut self.dir {
            self.history.end(how, &self.record);
            dir.write_history(&mut self.history);
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
