//! The second fence after the lock: the record on disk must be that of this run.
//!
//! Locks may hold on one host only, and a file server may lose them. Then two runs work on one state, and neither sees an
//! error. But each run writes a record with a higher epoch before it does anything else. So the older one sees at its next
//! commit that the record is not its own, and ends. No clock is compared.

use super::StateDir;
use crate::durable::record::Record;
use crate::error::{Advice, Error, Kind, Result};

/// Whether the record on disk is compared before each commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fence {
    /// No fence: the record is not compared.
    Off,
    /// This run has written no record yet.
    Armed,
    /// The record on disk has this id and epoch.
    Closed { run: String, epoch: u64 },
}

impl StateDir {
    /// From the next record on, each one is only replaced by the run that has written it.
    pub(crate) fn arm_fence(&mut self) {
        self.fence = Fence::Armed;
    }

    pub(super) fn close_fence(&mut self, record: &Record) {
        if self.fence == Fence::Armed {
            self.fence = Fence::Closed { run: record.run.clone(), epoch: record.epoch };
        }
    }

    /// Fails if the record on disk is not the one that this run has written: another run has begun here.
    pub(super) fn confirm_record(&mut self) -> Result<()> {
        let Fence::Closed { run, epoch } = &self.fence else { return Ok(()) };
        match self.read_record() {
            Ok(Some(record)) if record.run == *run && record.epoch == *epoch => Ok(()),
            Err(error) if error.kind() == Kind::Broken => Err(error),
            Ok(_) | Err(_) => {
                let how = "another run has taken over: the record here is not of this run";
                let error = Error::new(Kind::Busy, self.path.display(), how)
                    .advise("nothing was touched after that")
                    .then(Advice::RunAgain);
                Err(self.lost.insert(error).clone())
            }
        }
    }
}
