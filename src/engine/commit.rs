//! Order and durability. Fourth chapter of the route.
//!
//! One thread takes what the workers made, puts it in order, writes it, and says from time to time:
//! *up to here it is safe*. It is the only one that writes output and checkpoints, so there is an
//! order of events to argue about.
//!
//! # The protocol of a checkpoint
//!
//! 1. Write the output up to the frontier, at its place.
//! 2. Flush it to the device ([`Sink::make_durable`]).
//! 3. Replace the record: temporary name, flush, rename, flush the directory
//!    ([`CheckpointStore::commit`]).
//! 4. Only now say that the checkpoint exists.
//!
//! # Why in this order
//!
//! - *2 before 3*, or the record may name bytes that are not there. (Leave the flush out, cut the
//!   power, and the record says 846 bytes where the output has none.)
//! - *3 whole*: a crash in the middle leaves the old record or the new one, never half of one. Both
//!   are true: the bytes that the old one names are still there, since nothing is ever overwritten
//!   before the frontier.
//! - *4 last*, or an acknowledged checkpoint can be lost.
//! - What was written after the last record is garbage to the next run, which cuts it off
//!   ([`Sink::begin`]) and does the tasks again.
//!
//! # Tasks that act elsewhere
//!
//! Where the effect of a task is not its output but what its command did to the world, a task that has
//! ended must not wait for the order of the output, nor for the next record ([`Printing`]). There a task
//! is committed when it ends, what it printed is handed over, and then the journal says that it is
//! settled: in this order, so that what a resumed run passes over has been printed.
//!
//! # When something fails
//!
//! The first failed write, flush or rename ends this thread. No flush is tried again: after a failed
//! one the kernel marks the pages clean, and a second one reports success although the bytes are gone. The
//! thread says so and drops its receivers, so every worker that wants to deliver learns it. The last record stands.

mod ahead;
mod settling;
mod turn;

use ahead::Next;
pub(crate) use turn::Turn;

use crate::durable::record::Phase;
use crate::durable::status_file::Live;
use crate::durable::store::CheckpointStore;
use crate::ending::{CheckpointFacts, FINISHED_WITH_FAILURES};
use crate::engine::options::Printing;
use crate::engine::reorder::{Fate, Reorder};
use crate::error::{Error, Kind, Result};
use crate::task::outbox::{Delivery, OUTBOX};
use crate::task::stop_fd::Wake;
use crate::task::{Committed, End, Job, LastLook, Line, ListContext, Sink};
use crossbeam_channel::{Receiver, Sender, never, select};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What the supervisor asks of the commit thread.
#[derive(Debug)]
pub(crate) enum Order {
    /// A checkpoint this often from now on.
    Every(Duration),
    /// Write down what the run is doing, for other processes.
    Show(Box<Live>),
    /// A checkpoint now; `asked` by somebody who wants to read of it.
    Checkpoint { asked: bool },
    /// The last one. `listed` is the number of tasks in the job, if the source has come to its end:
    /// the job is complete when all of them are committed.
    Close { listed: Option<u64> },
}

/// What the commit thread tells the supervisor.
#[derive(Debug)]
pub(crate) enum Word {
    /// How far it is.
    Frontier(Frontier),
    /// A sentence about the inputs.
    Input(String),
    /// A checkpoint is durable.
    Checkpoint { frontier: u64, facts: CheckpointFacts, asked: bool },
    /// Something failed; this is the last word.
    Broke(Error),
    /// It has ended as it should; `finished` with this exit code, or stopped.
    Closed { finished: Option<u8> },
}

/// How far the commit thread is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Frontier {
    /// Tasks committed without a hole.
    pub(crate) tasks: u64,
    /// Tasks committed, on either side of a hole.
    pub(crate) committed: u64,
    /// Finished tasks beyond, kept for the next run. Known at the end only.
    pub(crate) beyond: u64,
    /// Bytes of output written.
    pub(crate) output_bytes: u64,
    /// Bytes on disk because they are out of order.
    pub(crate) spilled: u64,
    /// Tasks that failed.
    pub(crate) failed: u64,
}

/// The commit thread's own things.
pub(crate) struct Committer<J: Job> {
    pub(crate) job: Arc<J>,
    pub(crate) sink: Box<dyn Sink>,
    pub(crate) keep: CheckpointStore,
    pub(crate) total: J::Total,
    pub(crate) reorder: Reorder<J::Partial>,
    /// For tasks that act elsewhere.
    pub(crate) printing: Option<Printing>,
    /// None of the tasks should run twice.
    pub(crate) once: bool,
    /// What is handed over of the task whose turn it is.
    pub(crate) turn: Turn,
    /// Of tasks that are not committed yet: how their last attempt ended.
    pub(crate) ends: BTreeMap<u64, End>,
    /// At the inputs, when everything is done; and what ends it.
    pub(crate) last_look: Option<LastLook>,
    pub(crate) wake: Arc<Wake>,
    pub(crate) every: Duration,
    pub(crate) words: Sender<Word>,
    pub(crate) told: Frontier,
    pub(crate) told_at: Instant,
    pub(crate) last: Instant,
    pub(crate) dirty: bool,
    pub(crate) on_disk: Option<CheckpointFacts>,
}

/// Where the commit thread listens.
pub(crate) struct Inbox<P> {
    pub(crate) deliveries: Receiver<Delivery<P>>,
    /// One for each large piece among them; taken out when that is counted elsewhere.
    pub(crate) large_ones: Receiver<()>,
    pub(crate) lines: Receiver<Line>,
    pub(crate) nudges: Receiver<()>,
    pub(crate) orders: Receiver<Order>,
}

/// It was closed as it should be; `finished` with this exit code, or stopped.
struct Closed {
    finished: Option<u8>,
}

/// How often whoever only wants to know how far it is learns that.
const TELL: Duration = Duration::from_millis(50);

/// How long deliveries wait at the most while they keep coming.
const REST: Duration = Duration::from_millis(10);

impl<J: Job> Committer<J> {
    /// The body of the thread.
    pub(crate) fn run(mut self, inbox: Inbox<J::Partial>) {
        let words = self.words.clone();
        let result = catch_unwind(AssertUnwindSafe(|| self.work_or_give_up(&inbox)))
            .unwrap_or_else(|_| Err(Error::broken("job", "panicked while its output was put in order")));
        // Receivers first: whoever reads the last word may rely on every delivery being refused.
        drop(inbox);
        if result.is_err() {
            self.keep.give_back();
        }
        self.leave(matches!(result, Ok(Some(Closed { finished: Some(_) }))));
        let last_word = match result {
            Ok(Some(Closed { finished })) => Word::Closed { finished },
            Ok(None) => return, // The supervisor is gone; there is nobody to tell.
            Err(error) => {
                if error.kind() == Kind::OutputClosed {
                    self.forget_what_is_gone().ok(); // The error counts.
                }
                Word::Broke(error)
            }
        };
        words.send(last_word).ok();
    }

    /// A reader that takes nothing more after the end of the run has broken nothing.
    fn work_or_give_up(&mut self, inbox: &Inbox<J::Partial>) -> Result<Option<Closed>> {
        match self.work(inbox) {
            Err(error) if error.kind() == Kind::Interrupted => {
                self.give_up(inbox).map(|()| Some(Closed { finished: None }))
            }
            ended => ended,
        }
    }

    /// Until it is closed; `None` when the supervisor went away without closing it.
    ///
    /// Being woken for every delivery would take a core away from a worker each time. So after the
    /// first one this thread sleeps a moment, or until it is nudged because the box fills up, and
    /// then takes all that has come.
    fn work(&mut self, inbox: &Inbox<J::Partial>) -> Result<Option<Closed>> {
        self.adopt()?;
        let (nobody, silence) = (never(), never());
        let mut resting = false;
        loop {
            let awake = (&inbox.deliveries, &inbox.lines);
            let (deliveries, lines) = if resting { (&nobody, &silence) } else { awake };
            let patience = if resting { REST.min(self.until_due()) } else { self.until_due() };
            select! {
                recv(deliveries) -> delivery => match delivery {
                    Ok(delivery) => self.take_all(vec![delivery], inbox)?,
                    Err(_) => return Ok(None),
                },
                // That a command has begun is on record before it ends, which may be in hours.
                recv(lines) -> line => match line {
                    Ok(line) => self.take_line(line)?,
                    Err(_) => return Ok(None),
                },
                recv(inbox.nudges) -> nudge => if nudge.is_err() { return Ok(None) },
                recv(inbox.orders) -> order => match order {
                    Err(_) => return Ok(None),
                    Ok(Order::Checkpoint { asked }) => {
                        self.take_what_is_there(inbox)?;
                        self.checkpoint(asked)?;
                    }
                    Ok(Order::Every(time)) => self.every = time,
                    Ok(Order::Show(live)) => self.keep.show(*live, self.reorder.waiting()),
                    Ok(Order::Close { listed }) => {
                        self.take_what_is_there(inbox)?;
                        return self.close(listed).map(|finished| Some(Closed { finished }));
                    }
                },
                default(patience) => {}
            }
            resting = self.take_what_is_there(inbox)?;
            if self.dirty && self.until_due().is_zero() {
                self.checkpoint(false)?;
            }
        }
    }

    fn until_due(&self) -> Duration {
        if self.dirty { self.every.saturating_sub(self.last.elapsed()) } else { self.every }
    }

    /// Takes the deliveries that are there, then writes what has come into order. Whether there was
    /// anything.
    ///
    /// Workers deliver before they report, and the supervisor asks for the close after the last
    /// report: so at a close, what is there is all there is.
    fn take_what_is_there(&mut self, inbox: &Inbox<J::Partial>) -> Result<bool> {
        let before = self.told;
        let mut any = self.take_lines(inbox)?;
        // Not much more than the box holds: workers may fill it as fast as it is emptied, and the clock
        // and the orders want to be looked at. And not all at once, since until they are taken nobody counts
        // how much memory they are.
        for _ in 0..8 {
            let there: Vec<_> = inbox.deliveries.try_iter().take(OUTBOX / 4).collect();
            if there.is_empty() {
                break;
            }
            any = true;
            self.take_all(there, inbox)?;
        }
        self.advance()?;
        Ok(any || self.told != before)
    }

    /// Deliveries first come out of their channel, then the lines out of theirs, and then the lines are
    /// taken first: so of every task that is done, the line that says how it ended is there.
    fn take_all(&mut self, deliveries: Vec<Delivery<J::Partial>>, inbox: &Inbox<J::Partial>) -> Result<()> {
        self.take_lines(inbox)?;
        deliveries.into_iter().try_for_each(|delivery| {
            let is_large = delivery.is_large();
            self.dirty |= delivery.is_last();
            self.reorder.take(delivery, self.keep.spill());
            if is_large {
                inbox.large_ones.try_recv().unwrap_or_default();
            }
            if self.reorder.is_full() { self.make_room() } else { Ok(()) }
        })
    }

    /// Commits every task whose turn it is.
    fn advance(&mut self) -> Result<()> {
        while let Some(next) = self.next_ended()? {
            self.commit_task(next)?;
        }
        self.reorder.pack_those_that_wait()?;
        // Whoever looks at a running job wants to see what it does, and not at the next checkpoint only. But
        // a task that acts elsewhere must not be called settled before what it printed is safe.
        if self.printing.is_none() || self.sink.is_immediate() {
            self.keep.write_journal()?;
        }
        self.tell_frontier();
        Ok(())
    }

    /// One task goes into the output. Everything that depends on "before" happens here, in order.
    fn commit_task(&mut self, next: Next<J::Partial>) -> Result<()> {
        let Next { task, held, fate, waited } = next;
        let Self { job, sink, total, reorder, keep, turn, .. } = self;
        let sink = &mut **sink;
        reorder.drain(held, keep.spill(), |piece| turn.hand_over(sink, &job.render(total, piece)))?;
        let done = matches!(fate, Fate::Done { .. });
        let mark = match fate {
            Fate::Done { partial, mark, bytes } => {
                let mut after = Vec::new();
                turn.keep_total(sink, total)?;
                job.fold(total, partial, &mut after);
                turn.hand_over(sink, &after)?;
                keep.record_mut().input_bytes += bytes;
                mark
            }
            Fate::Failed { mark } => {
                keep.record_mut().failed += 1;
                if self.printing.is_some() {
                    keep.record_mut().failing.insert(task);
                }
                mark
            }
        };
        self.told.output_bytes += turn.end()?;
        self.dirty = true;
        self.count_in(task, mark)?;
        if !waited {
            return Ok(());
        }
        self.keep.spill().done(task);
        if self.printing.is_some() { self.journal_delivery(task, done, mark) } else { Ok(()) }
    }

    fn tell_frontier(&mut self) {
        let now = Frontier {
            tasks: self.keep.record().frontier,
            committed: self.keep.record().committed(),
            spilled: self.keep.spilled_bytes(),
            failed: self.keep.record().failed,
            ..self.told
        };
        if now == self.told {
            return;
        }
        self.told = now;
        // Where tasks are committed as they end, none waits for this; and a word wakes the supervisor.
        let is_awaited = self.printing != Some(Printing::AsTasksEnd);
        if is_awaited || self.told_at.elapsed() >= TELL {
            self.told_at = Instant::now();
            self.words.send(Word::Frontier(now)).ok();
        }
    }

    /// The protocol at the top of this file.
    fn checkpoint(&mut self, asked: bool) -> Result<()> {
        // Who asks means now, also when nothing has been done since the last one.
        if self.dirty || asked || self.on_disk.is_none() {
            let began = Instant::now();
            self.keep_what_lasts()?;
            self.keep.record_mut().total = self.turn.total(&self.total)?;
            let size = self.keep.commit(&mut *self.sink, self.turn.ahead())?;
            self.last = Instant::now();
            self.dirty = false;
            self.on_disk =
                size.map(|size| CheckpointFacts { size, age: Duration::ZERO, took: began.elapsed() });
        }
        self.words.send(Word::Frontier(self.told)).ok();
        if let Some(facts) = self.on_disk {
            let facts = CheckpointFacts { age: self.last.elapsed(), ..facts };
            let word = Word::Checkpoint { frontier: self.keep.record().committed(), facts, asked };
            self.words.send(word).ok();
        }
        Ok(())
    }

    fn close(&mut self, listed: Option<u64>) -> Result<Option<u8>> {
        self.keep.pass_finished();
        self.keep.record_mut().tasks = listed.or(self.keep.record().tasks);
        if listed == Some(self.keep.record().frontier) {
            self.look_back()?;
            return self.finish().map(Some);
        }
        self.last_record().map(|()| None)
    }

    /// Nothing is published that was made of two different inputs. Whoever stops the run meanwhile finds it
    /// as after any stop, and this is done by the next one.
    fn look_back(&mut self) -> Result<()> {
        let Some(last_look) = self.last_look.take() else { return Ok(()) };
        let sentences = last_look(&ListContext::real(&self.wake))?;
        sentences.into_iter().for_each(|sentence| {
            self.words.send(Word::Input(sentence)).ok();
        });
        Ok(())
    }

    /// The record of a job that is to be continued.
    fn last_record(&mut self) -> Result<()> {
        if self.forget_what_is_gone()? {
            return Ok(());
        }
        self.keep_what_is_beyond()?;
        self.dirty = true;
        self.checkpoint(false)?;
        self.told.beyond = self.keep.record().kept();
        self.words.send(Word::Frontier(self.told)).ok();
        Ok(())
    }

    /// What was printed to somebody who does not keep it cannot be continued, and a state that says so is of
    /// no use. Whether it is so.
    fn forget_what_is_gone(&mut self) -> Result<bool> {
        let output = Committed { bytes: self.told.output_bytes, ..Committed::default() };
        let is_gone = self.printing.is_none() && !self.sink.can_continue(&output);
        if is_gone {
            self.keep.abandon()?;
        }
        Ok(is_gone)
    }

    /// The end of the job, in steps that a crash can interrupt anywhere: the next run sees from the
    /// record how far it came, and completes it.
    fn finish(&mut self) -> Result<u8> {
        let mut rest = Vec::new();
        self.turn.keep_total(&*self.sink, &self.total)?;
        self.job.finish(&mut self.total, &mut rest);
        self.turn.hand_over(&mut *self.sink, &rest)?;
        self.told.output_bytes += self.turn.end()?;
        let code = match self.keep.record().failed {
            0 => self.job.verdict(&self.total),
            _ => FINISHED_WITH_FAILURES,
        };
        self.keep.record_mut().phase = Phase::Finalizing { code };
        self.dirty = true;
        if self.keep.outlives_the_job() {
            self.checkpoint(false)?;
        } else {
            self.sink.make_durable()?;
        }
        self.sink.publish()?;
        self.keep.record_mut().phase = Phase::Done { code };
        self.keep.finish()?;
        self.tell_frontier();
        self.words.send(Word::Frontier(self.told)).ok();
        Ok(code)
    }
}

fn value_of<T: serde::Serialize>(total: &T) -> Result<serde_json::Value> {
    serde_json::to_value(total)
        .map_err(|e| Error::broken("job", format_args!("its total cannot be written down: {e}")))
}
