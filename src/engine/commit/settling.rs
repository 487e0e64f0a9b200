//! When a task that acts elsewhere is settled, and how the journal learns it.
//!
//! The end of an attempt comes from the worker that saw it, and the obvious thing is to write it down at
//! once. But the journal is a record there, and a record must not say that a task is done whose output
//! nobody has been given: a SIGKILL in between would lose it. So the line waits for its task: it is written
//! as the end of an attempt when another attempt follows, and as the end of the task when that is committed.

use super::{Committer, Inbox};
use crate::durable::record::Reach;
use crate::error::Result;
use crate::task::{Job, Line, Mark, Outcome};

impl<J: Job> Committer<J> {
    /// Takes the lines that are there; whether there were any.
    pub(super) fn take_lines(&mut self, inbox: &Inbox<J::Partial>) -> Result<bool> {
        let lines = inbox.lines.len();
        inbox.lines.try_iter().take(lines).try_for_each(|line| self.take_line(line))?;
        Ok(lines > 0)
    }

    /// The end of an attempt is held back where it may be the end of its task: then it is written
    /// when that is committed. If another attempt follows, it was not.
    pub(super) fn take_line(&mut self, line: Line) -> Result<()> {
        self.dirty = true;
        match (&line, self.printing) {
            (Line::Ended(end), Some(_)) if end.outcome != Outcome::Interrupted => {
                self.ends.insert(end.task, *end);
                return Ok(());
            }
            (Line::Began { task, .. }, Some(_)) => self.journal_end(*task)?,
            (Line::Listed { tasks, trace }, _) => {
                self.keep.record_mut().whole = Reach::at_end(*tasks, *trace);
            }
            (_, _) => {}
        }
        self.keep.journal(&line)
    }

    /// At the very end: nothing is shown any more, and of a run without a record nothing stays behind but its
    /// result.
    pub(super) fn leave(&mut self, is_finished: bool) {
        self.keep.hide();
        if !is_finished && !self.keep.is_kept() {
            self.sink.abandon();
        }
    }

    /// It was the end of an attempt only.
    pub(super) fn journal_end(&mut self, task: u64) -> Result<()> {
        self.ends.remove(&task).map_or(Ok(()), |end| self.keep.journal(&Line::Ended(end)))
    }

    /// The task is committed: the record says so, and the journal, where that is a record too.
    pub(super) fn count_in(&mut self, task: u64, mark: Option<Mark>) -> Result<()> {
        let record = self.keep.record_mut();
        if task == record.frontier {
            record.frontier += 1;
        } else {
            record.finished.insert(task);
        }
        if self.printing.is_none() {
            record.mark = mark.or(record.mark);
            return Ok(());
        }
        let trace = mark.map_or([0; 8], Mark::trace);
        if record.reach.is_none_or(|reach| reach.task <= task) {
            record.reach = Some(Reach { task, trace });
        }
        match self.ends.remove(&task) {
            Some(end) => {
                let of_task = mark.map_or([0; 8], Mark::of_task);
                self.keep.journal(&Line::Settled { end, trace, of_task })
            }
            None => Ok(()),
        }
    }
}
