//! The journal of the store: created with its first line, made durable with each record.

use super::CheckpointStore;
use crate::durable::journal::Journal;
use crate::error::Result;
use crate::task::Line;

impl CheckpointStore {
    /// Appends a line, if the state is kept anywhere.
    pub(crate) fn journal(&mut self, line: &Line) -> Result<()> {
        self.open_directory()?;
        let Some(dir) = &mut self.dir else { return Ok(()) };
        let journal = match self.journal.take() {
            Some(journal) => journal,
            None => dir.open_journal((&self.record.run, self.record.journal_bytes))?,
        };
        self.journal.insert(journal).append(line)
    }

    /// Hands the gathered lines to the kernel: they survive a SIGKILL.
    pub(crate) fn write_journal(&mut self) -> Result<()> {
        self.journal.as_mut().map_or(Ok(()), Journal::write)
    }

    /// For a job that is continued: opens the journal and truncates it after the last whole line.
    pub(crate) fn continue_journal(&mut self) -> Result<()> {
        if let (Some(dir), 1..) = (&mut self.dir, self.record.journal_bytes) {
            self.journal = Some(dir.open_journal((&self.record.run, self.record.journal_bytes))?);
        }
        Ok(())
    }

    /// For a job that begins: removes the journal and the history of an earlier job.
    pub(crate) fn forget_journal(&mut self) -> Result<()> {
        self.dir.as_mut().map_or(Ok(()), crate::durable::state_dir::StateDir::remove_journal)
    }
}
