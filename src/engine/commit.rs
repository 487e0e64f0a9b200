//! Order and durability. Fourth chapter of the route.
//!
//! The committer puts the results of the workers in order, writes them, and reports from time to time how much is safe. It
//! alone writes ordered output and the checkpoints of a run at work, so these happen in one order that can be argued about.
//! The **frontier** is the next task in order: every task before it is committed.
//!
//! It is a machine without threads and channels: [`Committer::step`] takes one [`Step`] and reports [`CommitEvent`]s through
//! a callback. The thread around it (`commit/thread.rs`) only receives and calls `step`. A test (`crash_tests.rs`) calls
//! `step` on a disk that fails at any operation.
//!
//! # The protocol of a checkpoint
//!
//! - **Write** the output up to the frontier, at its place in the file.
//! - **Flush** the output to the device ([`Sink::make_durable`]).
//! - **Replace** the record ([`CheckpointStore::commit`]). The last chapter numbers the steps of this and of the flush.
//! - **Report**, only now, that the checkpoint exists.
//!
//! # Why in this order
//!
//! - *Flush before replace*: otherwise the record may name bytes that are not on the device.
//! - *Replace as a whole*: a crash in the middle leaves the old record or the new one, never half of one. Both are true: the
//!   committer never overwrites a byte before the frontier, so the bytes that the old record names are still there.
//! - *Report last*: otherwise a crash can lose a checkpoint that was reported.
//! - The next run truncates bytes written after the last record ([`Sink::begin`]) and does their tasks again.
//!
//! # When something fails
//!
//! The first failed write, flush or rename ends the committer. It does not try a flush again: after a failed flush the
//! kernel marks the pages clean, and a second one reports success although the bytes are lost. The thread reports the error
//! and drops its receivers, so every worker learns of it. The last record stands.
//!
//! # Not in this chapter
//!
//! - `commit/ahead.rs`: tasks that completed ahead of the frontier, in memory and on disk.
//! - `commit/completion.rs`: how tasks with side effects are counted, and what the journal says of them.
//! - `commit/partial_delivery.rs`: a reader that stops reading in the middle of a task.

mod ahead;
mod completion;
mod messages;
mod partial_delivery;
mod thread;

use completion::{Complete, Completion};
pub(crate) use messages::{Closed, CommitCommand, CommitEvent, Frontier};
use partial_delivery::PartialDelivery;
pub(crate) use thread::Inbox;

use crate::durable::record::Phase;
use crate::durable::store::CheckpointStore;
use crate::ending::{CheckpointFacts, FINISHED_WITH_FAILURES};
use crate::engine::effects::Effects;
use crate::engine::reorder::{Fate, Held, Reorder, Which};
use crate::error::Result;
use crate::task::erased::AnyTotal;
use crate::task::outbox::Delivery;
use crate::task::{Line, Sink};
use std::time::{Duration, Instant};

/// One input of the committer.
pub(crate) enum Step {
    /// An attempt of a task began or ended. The line about its end comes before the task's last delivery.
    Line(Line),
    Delivery(Delivery),
    /// Nothing more has arrived for the moment: write what is in order, and take a checkpoint if it is due.
    Commit,
    Command(CommitCommand),
}

/// Checks the inputs a last time, when all tasks are done. Returns sentences about the inputs.
pub(crate) type LastLook = Box<dyn FnOnce() -> Result<Vec<String>> + Send>;

/// Receives each report of the committer, as soon as it is true.
pub(crate) type OnEvent = Box<dyn FnMut(CommitEvent) + Send>;

/// The next task to commit.
struct Next {
    task: u64,
    /// The pieces of its output, in memory or on disk.
    held: Held,
    /// Done, with its partial result, or failed.
    fate: Fate,
    /// Whether it was stored on disk because it had completed ahead of the frontier.
    was_stored: bool,
}

pub(crate) struct Committer {
    sink: Box<dyn Sink>,
    store: CheckpointStore,
    total: Box<dyn AnyTotal>,
    pub(crate) reorder: Reorder,
    completion: Box<dyn Completion>,
    /// The task at the frontier, as far as it has been handed over.
    partial: PartialDelivery,
    pub(crate) last_look: Option<LastLook>,
    on_event: OnEvent,
    /// The frontier as it was last reported, or is about to be.
    pub(crate) reported: Frontier,
    reported_at: Instant,
    /// Whether `reported` has been reported.
    pub(crate) is_reported: bool,
    /// How often a checkpoint is due.
    pub(crate) every: Duration,
    /// Something has happened since the last record.
    dirty: bool,
    /// When the last record was written.
    last: Instant,
    on_disk: Option<CheckpointFacts>,
}

impl Committer {
    /// Continues from the record in `store`, with the total that belongs to it.
    pub(crate) fn new(
        sink: Box<dyn Sink>,
        (store, total): (CheckpointStore, Box<dyn AnyTotal>),
        effects: Effects,
        on_event: OnEvent,
    ) -> Self {
        let record = store.record();
        let of_next = record.output.as_ref().map_or(0, |output| output.of_next);
        let reported = Frontier::of(record);
        Self {
            sink,
            store,
            reorder: Reorder::new(total.decoder()),
            total,
            completion: completion::of(effects),
            partial: PartialDelivery::after(of_next),
            last_look: None,
            on_event,
            reported,
            reported_at: Instant::now(),
            is_reported: true,
            every: Duration::from_secs(1),
            dirty: false,
            last: Instant::now(),
            on_disk: None,
        }
    }

    /// Takes one step; `Some` if that closed the committer. Then, or after an error, call [`end`](Self::end).
    pub(crate) fn step(&mut self, step: Step) -> Result<Option<Closed>> {
        match step {
            Step::Line(line) => {
                self.dirty = true;
                self.completion.take_line(line, &mut self.store)?;
            }
            Step::Delivery(delivery) => {
                self.dirty |= delivery.is_last();
                if delivery.takes_back() == Some(self.store.record().frontier) {
                    self.partial.take_back(&mut *self.sink)?;
                }
                self.reorder.take(delivery, self.store.spill());
                if self.reorder.is_full() {
                    self.make_room()?;
                }
            }
            Step::Commit => {
                self.advance()?;
                if self.dirty && self.due_in().is_zero() {
                    self.checkpoint(false)?;
                }
            }
            Step::Command(CommitCommand::CheckpointEvery(time)) => self.every = time,
            Step::Command(CommitCommand::ShowStatus(live)) => {
                self.store.show(*live, self.reorder.waiting())?;
            }
            Step::Command(CommitCommand::Note(asked)) => self.store.note(&asked),
            Step::Command(CommitCommand::Checkpoint { asked }) => {
                self.advance()?;
                self.checkpoint(asked)?;
            }
            Step::Command(CommitCommand::Close { listed }) => {
                self.advance()?;
                return self.close(listed).map(Some);
            }
        }
        Ok(None)
    }

    /// The time until a checkpoint is due. If nothing has happened since the last record, that is a whole interval.
    pub(crate) fn due_in(&self) -> Duration {
        if self.dirty { self.every.saturating_sub(self.last.elapsed()) } else { self.every }
    }

    /// Commits every task that is in order.
    fn advance(&mut self) -> Result<()> {
        while let Some(next) = self.next_completed()? {
            self.commit_task(next)?;
        }
        self.reorder.pack_those_that_wait()?;
        self.completion.write_journal(&*self.sink, &mut self.store)?;
        self.report_frontier();
        Ok(())
    }

    /// Puts one task into the output. Everything that depends on "before" happens here, in order.
    fn commit_task(&mut self, next: Next) -> Result<()> {
        let Next { task, held, fate, was_stored } = next;
        let Self { sink, total, reorder, store, partial: delivery, .. } = self;
        let sink = &mut **sink;
        if let Fate::Done { partial, .. } = &fate {
            total.accept(&**partial)?;
        }
        reorder.drain(held, store.spill(), |piece| delivery.hand_over(sink, &total.render(piece)))?;
        let is_done = matches!(fate, Fate::Done { .. });
        let mut after = Vec::new();
        delivery.keep_total(sink, &**total)?;
        let mark = match fate {
            Fate::Done { partial, mark, bytes } => {
                total.fold(partial, &mut after)?;
                store.record_mut().input_bytes += bytes;
                mark
            }
            Fate::Failed { mark } => {
                total.left_out(&mut after);
                store.record_mut().failed += 1;
                mark
            }
        };
        delivery.hand_over(sink, &after)?;
        self.reported.output_bytes += delivery.end(sink)?;
        self.dirty = true;
        let record = store.record_mut();
        if task == record.frontier {
            record.frontier += 1;
        } else {
            record.finished.insert(task);
        }
        if was_stored {
            store.spill().done(task);
        }
        self.completion.complete(Complete { task, is_done, mark, was_stored }, store)
    }

    /// The protocol at the top of this file; `advance` has written the output.
    fn checkpoint(&mut self, asked: bool) -> Result<()> {
        // A request counts even if nothing has happened since the last record.
        if self.dirty || asked || self.on_disk.is_none() {
            let began = Instant::now();
            self.store_ahead(self.completion.stored_at_checkpoints())?;
            self.store.record_mut().total = self.partial.total(&*self.total)?;
            let size = self.store.commit(&mut *self.sink, self.partial.delivered_before())?;
            self.completion.recorded(&mut self.store)?;
            self.sink.recorded();
            self.last = Instant::now();
            self.dirty = false;
            let (age, took) = (Duration::ZERO, began.elapsed());
            self.store.history.checkpointed(took);
            self.on_disk = size.map(|size| CheckpointFacts { size, age, took });
        }
        self.report(CommitEvent::Frontier(self.reported));
        if let Some(facts) = self.on_disk {
            let facts = CheckpointFacts { age: self.last.elapsed(), ..facts };
            self.report(CommitEvent::Checkpoint { frontier: self.store.record().committed(), facts, asked });
        }
        Ok(())
    }

    fn close(&mut self, listed: Option<u64>) -> Result<Closed> {
        self.store.pass_finished();
        self.store.record_mut().tasks = listed.or(self.store.record().tasks);
        if listed == Some(self.store.record().frontier) {
            // The output must not get its name if its inputs changed. After a stop the next run looks again.
            let sentences = self.last_look.take().map_or(Ok(Vec::new()), |look| look())?;
            sentences.into_iter().for_each(|sentence| self.report(CommitEvent::Input(sentence)));
            return self.finish().map(|code| Closed { finished: Some(code) });
        }
        self.stop()
    }

    /// Writes the record of a job that is to be continued.
    fn stop(&mut self) -> Result<Closed> {
        if !self.abandon_if_output_is_lost()? {
            self.store_ahead(Which::Ended)?;
            self.dirty = true;
            self.checkpoint(false)?;
            self.reported.ahead = self.store.record().kept();
            self.report(CommitEvent::Frontier(self.reported));
        }
        Ok(Closed { finished: None })
    }

    /// Ends the job in steps. If a crash interrupts one, the next run reads in the record how far it came.
    fn finish(&mut self) -> Result<u8> {
        let mut rest = Vec::new();
        self.partial.keep_total(&*self.sink, &*self.total)?;
        self.total.finish(&mut rest);
        self.partial.hand_over(&mut *self.sink, &rest)?;
        self.reported.output_bytes += self.partial.end(&mut *self.sink)?;
        let has_failed = self.store.record().failed > 0;
        let code = if has_failed { FINISHED_WITH_FAILURES } else { self.total.verdict() };
        self.store.record_mut().phase = Phase::Finalizing { code };
        self.dirty = true;
        if self.store.outlives_the_job() {
            self.checkpoint(false)?
        } else {
            drop(self.sink.make_durable()?)
        }
        self.store.confirm()?;
        self.sink.publish()?;
        self.store.record_mut().phase = Phase::Done { code };
        self.store.finish()?;
        self.total.hand_over();
        self.report_frontier();
        self.report(CommitEvent::Frontier(self.reported));
        Ok(code)
    }
}
