//! How tasks are counted once they are complete, and what the journal says of them.
//!
//! Most tasks are **functions of their input**. Such a task is complete when its output is in order, and the next record
//! counts it ([`InTaskOrder`]). After a crash before that record the task runs again, and gives the same bytes.
//!
//! The output of a task with **side effects** may be a by-product. Such a task waits neither for the order nor for the
//! record, since a crash in that second would repeat the effect of its command ([`TaskByTask`]). Here the journal is a
//! record. The obvious way is to write the end of an attempt as soon as the worker reports it. But a SIGKILL between that
//! line and the output would lose the output. So the line waits. It is written as the end of the task after its output was
//! handed over; and as the end of an attempt, which does not count, if another attempt follows, or at the next checkpoint:
//! the other attempt may come in an hour, or in another run.

use crate::durable::record::Reach;
use crate::durable::store::CheckpointStore;
use crate::engine::effects::{Effects, TaskOutput};
use crate::engine::reorder::Which;
use crate::error::Result;
use crate::task::{End, Line, Mark, Outcome, Sink};
use std::collections::BTreeMap;

/// A task whose output has been handed over, and that the frontier or the set of finished tasks includes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Complete {
    pub(super) task: u64,
    pub(super) is_done: bool,
    pub(super) mark: Option<Mark>,
    /// It was stored ahead of the frontier: if a record names it, the journal says how its last attempt ended.
    pub(super) was_stored: bool,
}

/// See the [module](self). The bodies here are those of a task that is a function of its input.
pub(super) trait Completion: Send {
    /// Takes a line from a worker or from the source.
    fn take_line(&mut self, line: Line, store: &mut CheckpointStore) -> Result<()> {
        store.journal(&line)
    }

    /// Notes that a task is now on disk, ahead of the frontier. The next record will name it.
    fn stored(&mut self, _task: u64) {}

    /// Notes that a record now names all tasks that are on disk.
    fn recorded(&mut self, _store: &mut CheckpointStore) -> Result<()> {
        Ok(())
    }

    /// Writes a complete task into the record and into the journal.
    fn complete(&mut self, task: Complete, store: &mut CheckpointStore) -> Result<()>;

    /// Writes to the file the journal lines that may be read by now. After that they survive a SIGKILL.
    fn write_journal(&self, _sink: &dyn Sink, store: &mut CheckpointStore) -> Result<()> {
        store.write_journal()
    }

    /// Whether the committer takes tasks as they end.
    fn is_in_any_order(&self) -> bool {
        false
    }

    /// Which tasks ahead of the frontier a checkpoint stores.
    fn stored_at_checkpoints(&self) -> Which;

    /// Whether the output is the result. If not, an interrupted job does not depend on it.
    fn output_is_result(&self) -> bool {
        true
    }
}

pub(super) fn of(effects: Effects) -> Box<dyn Completion> {
    let task_by_task =
        |any_order| Box::new(TaskByTask { any_order, ends: BTreeMap::new(), stored: Vec::new() });
    match effects {
        Effects::Pure => Box::new(InTaskOrder { stored: Which::Lasting }),
        Effects::SideEffects { output, .. } => match output {
            TaskOutput::Result => Box::new(InTaskOrder { stored: Which::Ended }),
            TaskOutput::PrintedInOrder => task_by_task(false),
            TaskOutput::PrintedAsCompleted => task_by_task(true),
        },
    }
}

/// The record alone counts; the journal is for people.
struct InTaskOrder {
    stored: Which,
}

impl Completion for InTaskOrder {
    fn complete(&mut self, task: Complete, store: &mut CheckpointStore) -> Result<()> {
        let record = store.record_mut();
        record.mark = task.mark.or(record.mark);
        Ok(())
    }

    fn stored_at_checkpoints(&self) -> Which {
        self.stored
    }
}

/// The journal counts as well.
struct TaskByTask {
    any_order: bool,
    /// How the last attempts of tasks ended that are not complete yet; `None` if the journal says it.
    ends: BTreeMap<u64, Option<End>>,
    /// Tasks that no record names yet.
    stored: Vec<u64>,
}

impl TaskByTask {
    fn attempt_ended(&mut self, task: u64, store: &mut CheckpointStore) -> Result<()> {
        self.ends.remove(&task).flatten().map_or(Ok(()), |end| store.journal(&Line::Ended(end)))
    }
}

impl Completion for TaskByTask {
    fn take_line(&mut self, line: Line, store: &mut CheckpointStore) -> Result<()> {
        match line {
            Line::Ended(end) if end.outcome != Outcome::Interrupted => {
                self.ends.insert(end.task, Some(end));
                return Ok(());
            }
            // So the attempt before this one was not the last.
            Line::Began { task, .. } => self.attempt_ended(task, store)?,
            Line::Listed { tasks, trace } => store.record_mut().whole = Reach::at_end(tasks, trace),
            Line::Of { .. } | Line::Ended(_) | Line::Settled { .. } | Line::Delivered { .. } => {}
        }
        store.journal(&line)
    }

    fn stored(&mut self, task: u64) {
        self.stored.push(task);
    }

    /// These lines must be written in this run, but after the record: a SIGKILL in between would lose the
    /// results, and the log would show a task as done that runs again.
    ///
    /// Tasks that the record does not name have ended an attempt, too, and wait for the next one, or for the reader of
    /// their output. If the run stops, this checkpoint is the last occasion.
    fn recorded(&mut self, store: &mut CheckpointStore) -> Result<()> {
        for task in std::mem::take(&mut self.stored) {
            self.attempt_ended(task, store)?;
        }
        for end in self.ends.values_mut().filter_map(Option::take) {
            store.journal(&Line::Ended(end))?;
        }
        store.write_journal()
    }

    fn complete(&mut self, complete: Complete, store: &mut CheckpointStore) -> Result<()> {
        let Complete { task, is_done, mark, was_stored } = complete;
        let trace = mark.map_or([0; 8], Mark::trace);
        let of_task = mark.map_or([0; 8], Mark::of_task);
        let record = store.record_mut();
        if !is_done {
            record.failing.insert(task);
        }
        if record.reach.is_none_or(|reach| reach.task <= task) {
            record.reach = Some(Reach { task, trace });
        }
        match self.ends.remove(&task) {
            Some(Some(end)) => store.journal(&Line::Settled { end, trace, of_task }),
            None if !was_stored => Ok(()),
            Some(None) | None => store.journal(&Line::Delivered { task, done: is_done, trace, of_task }),
        }
    }

    /// Only if the output of these tasks is safe.
    fn write_journal(&self, sink: &dyn Sink, store: &mut CheckpointStore) -> Result<()> {
        if sink.is_immediate() { store.write_journal() } else { Ok(()) }
    }

    fn is_in_any_order(&self) -> bool {
        self.any_order
    }

    fn stored_at_checkpoints(&self) -> Which {
        Which::Ended
    }

    fn output_is_result(&self) -> bool {
        false
    }
}
