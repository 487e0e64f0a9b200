//! Messages from the other threads, as events: from workers, the commit thread and the source.

use super::Supervisor;
use crate::ending::{FINISHED, FINISHED_WITH_FAILURES};
use crate::engine::commit::{Closed, CommitEvent};
use crate::engine::decide::{Event, interrupts_caller_too};
use crate::engine::options::{Halt, HaltOn};
use crate::engine::pool::{Outcome, Report};
use crate::engine::source_thread::FromSource;
use crate::error::{Advice, Error};
use crate::signals::Received;
use crate::signals::policy::{Request, is_deadly};
use crate::task::observer::Notice;
use crate::task::{Remark, Saying};
use crossbeam_channel::never;
use std::sync::atomic::Ordering;
use std::time::Instant;

impl Supervisor<'_> {
    pub(super) fn note_interrupt(&mut self, heard: &Received) {
        if interrupts_caller_too(heard.request, heard.signal, heard.sender) {
            self.reception.interrupted = Some(heard.signal);
        }
        if matches!(heard.request, Request::Stop | Request::Abort) && is_deadly(heard.signal) {
            self.reception.deadly.get_or_insert(heard.signal);
        }
    }

    pub(super) fn report(&mut self, report: Report) {
        if let Report::Ended { took: Some(took), .. } = &report {
            self.workers.batching.learn(*took);
        }
        match report {
            // It only wakes the loop, which then checks whether any task still moves.
            Report::Remark(Remark::Parked) => {}
            Report::Remark(Remark::Warned(error)) => self.view.observer.notice(&Notice::Warning(error)),
            Report::Ended { outcome: Outcome::Interrupted, .. } => self.handle(Event::TaskEnded),
            Report::Ended { outcome: Outcome::Done, .. } => {
                self.workers.successes += 1;
                self.halt_if_enough();
                self.handle(Event::TaskEnded);
            }
            Report::Ended { task, outcome: Outcome::Failed(why), .. } => {
                let task = self.workers.pool.number_of(task);
                self.view.observer.notice(&Notice::TaskFailed { task, why });
                self.workers.failures += 1;
                self.halt_if_enough();
                self.handle(Event::TaskEnded);
            }
            Report::Ended { outcome: Outcome::Deferred(deferred), .. } => self.defer(deferred),
            Report::Ended { outcome: Outcome::Fatal(error), .. } => {
                self.keep_error(error);
                self.handle(Event::TaskBroke);
            }
        }
    }

    /// Ends the run if as many tasks have ended, succeeded or failed as its options say.
    fn halt_if_enough(&mut self) {
        let (failures, successes) = (self.workers.failures, self.workers.successes);
        let count = |on| match on {
            HaltOn::Failed => failures,
            HaltOn::Succeeded => successes,
            HaltOn::Done => failures + successes,
        };
        let is_reached = |halt: &mut Halt| count(halt.on) >= halt.tasks;
        let Some(Halt { on, now, .. }) = self.workers.halt.take_if(is_reached) else { return };
        match on {
            HaltOn::Failed => {
                let failed = if failures == 1 { "has" } else { "have" };
                let how = format_args!("{failures} {failed} failed in this run");
                let error = Error::broken("the limit of failures", how);
                self.keep_error(error.advise(Advice::RunAgain).or(Advice::RetryFailed));
            }
            HaltOn::Succeeded => self.end.enough = Some(FINISHED),
            HaltOn::Done if failures == 0 => self.end.enough = Some(FINISHED),
            HaltOn::Done => self.end.enough = Some(FINISHED_WITH_FAILURES),
        }
        self.workers.pool.shared.halting.store(!now, Ordering::Relaxed);
        self.handle(Event::Halted { now });
    }

    pub(super) fn said(&mut self, saying: Saying) {
        let Saying { task, line, is_the_jobs } = saying;
        let notice = if is_the_jobs { Notice::Told { task, line } } else { Notice::Said { task, line } };
        self.view.observer.notice(&notice);
    }

    pub(super) fn commit_event(&mut self, event: CommitEvent) {
        match event {
            CommitEvent::Frontier(frontier) => self.job.frontier = frontier,
            CommitEvent::Input(sentence) => self.view.observer.notice(&Notice::Input(sentence)),
            CommitEvent::Checkpoint { frontier, facts, asked } => {
                self.job.checkpoint = Some((facts, Instant::now()));
                self.job.durable = frontier;
                let tasks = self.job.extent.tasks;
                self.view.observer.notice(&Notice::Checkpoint { frontier, tasks, facts, asked });
                if asked {
                    self.view.owed = None;
                    self.say_status();
                    self.count_checkpoint_asked();
                }
            }
            CommitEvent::Broke(error) => {
                // It replaces errors of tasks, which are consequences of it.
                self.end.error = Some(error);
                self.channels.commit_events = never();
                self.handle(Event::CommitBroke);
            }
            CommitEvent::Closed(Closed { finished }) => {
                self.end.finished = finished;
                self.channels.commit_events = never();
                self.handle(Event::Closed);
            }
        }
    }

    pub(super) fn commit_thread_vanished(&mut self) {
        self.commit_event(CommitEvent::Broke(Error::broken("commit thread", "ended without a word")));
    }

    /// The thread sends a last message before it ends, unless a source from outside the library panicked.
    pub(super) fn source_vanished(&mut self) {
        if self.job.listed.is_none() {
            let error = Error::broken("source", "panicked while it listed tasks");
            self.listed_by_source(FromSource::Failed(error));
        }
        self.channels.source = never();
    }

    /// Keeps the first error only: later ones are mostly its consequences.
    pub(super) fn keep_error(&mut self, error: Error) {
        self.end.error.get_or_insert(error);
    }
}
