//! Continuing after what an earlier run has written: first a look that changes nothing, then the truncation.

use super::ledger::{BLOCK, Compared, Ledger};
use super::{FileSink, SOON_READ, Stage};
use crate::durable::disk::DiskFile;
use crate::error::{Advice, At, Error, Result};
use crate::task::Committed;

impl FileSink {
    /// Looks for the output that the job can continue: the part, or the published output. Changes nothing.
    pub(super) fn look_at_part(&mut self, committed: &Committed) -> Result<Stage> {
        self.ledger = Ledger::reopen(committed).ok_or_else(|| {
            Error::refused(self.part_path.display(), "the checkpoint contradicts itself about this file")
                .advise("nothing was changed")
                .then(Advice::StartAfresh)
        })?;
        if self.facts(&self.part_name, &self.part_path)?.is_none() {
            return match committed.bytes {
                0 => Ok(Stage::Closed),
                _ if self.holds_committed()? => Ok(Stage::Published),
                _ => Err(self.harmed("is missing, and the job goes on in it")),
            };
        }
        let part = self.open_part()?;
        let length = part.facts().at(&self.part_path, "look at")?.bytes;
        if length < committed.bytes {
            let how = format!("has {length} bytes, of {} that were committed", committed.bytes);
            return Err(self.harmed(&how));
        }
        // This much is read in a few milliseconds.
        let everything = self.verify || self.ledger.bytes <= SOON_READ;
        let what = if everything { Compared::Everything } else { Compared::LastStretch };
        if !self.ledger.agrees_with(&*part, what).at(&self.part_path, "read")? {
            return Err(self.harmed("does not have the bytes that were committed"));
        }
        Ok(Stage::Writing(part))
    }

    /// Continues after what an earlier run committed.
    pub(super) fn continue_part(&mut self, committed: &Committed) -> Result<Stage> {
        let found = match self.looked_at.take() {
            Some(found) => found,
            None => self.look_at_part(committed)?,
        };
        match found {
            Stage::Closed => self.create_part().map(Stage::Writing),
            Stage::Writing(part) => self.roll_back(&*part).map(|()| Stage::Writing(part)),
            Stage::Published => Ok(Stage::Published),
        }
    }

    /// Truncates what came after the commit. The block at the cut may have been torn, so it is written again.
    /// The sync ensures that what was just read is on the disk: after a failed sync the two can differ.
    fn roll_back(&self, part: &dyn DiskFile) -> Result<()> {
        let bytes = self.ledger.bytes;
        if !self.ledger.tail.is_empty() {
            part.write_at(&self.ledger.tail, bytes / BLOCK * BLOCK).at(&self.part_path, "write")?;
        }
        part.truncate(bytes).at(&self.part_path, "truncate")?;
        part.sync_all().at(&self.part_path, "sync")?;
        self.sync_dir()
    }
}
