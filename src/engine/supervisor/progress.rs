//! Reports of the supervisor: the progress while it runs, and how it ended.

use super::Supervisor;
use crate::ending::{CheckpointFacts, Ending, StoppedBy, Summary};
use crate::engine::decide::{Cause, Course, Motion};
use crate::error::{Advice, Error, Kind};
use crate::sync::lock;
use crate::task::Running;
use crate::task::observer::{Activity, Again, AtWork, Notice, Progress};
use nix::sys::signal::Signal;
use std::sync::atomic::Ordering;
use std::time::Instant;

impl Supervisor<'_> {
    pub(super) fn say_status(&mut self) {
        let progress = self.progress();
        self.view.observer.notice(&Notice::Status(Box::new(progress)));
    }

    pub(super) fn say_stopping(&mut self) {
        let again = match self.state.cause {
            Some(Cause::Stop(StoppedBy::Signal(Signal::SIGINT))) => Again::Key,
            Some(Cause::Stop(StoppedBy::Signal(signal))) if signal != Signal::SIGHUP => Again::Signal,
            Some(_) | None => Again::Nothing,
        };
        let in_flight = self.begun();
        let grace = self.state.rules.grace;
        self.view.observer.notice(&Notice::Stopping { grace, in_flight, again });
    }

    /// Explains idle workers: names the task that all others wait for, once for each such wait.
    pub(super) fn warn_if_no_room(&mut self) {
        // A single message may be the end of the list.
        let waits = !self.has_room() && self.channels.source.len() > 1;
        if waits && !self.view.waits_for_room {
            let taken = self.job.frontier.ahead_bytes >> 20;
            let how = format_args!("is slow, and the results after it take {taken} MiB of disk");
            let number = self.workers.pool.number_of(self.job.frontier.tasks);
            let error = Error::broken("a task", how).of_task(number);
            let error = error.advise("nothing more starts until it is done").or(Advice::LargerSpillLimit);
            self.view.observer.notice(&Notice::Warning(error));
        }
        self.view.waits_for_room = waits;
    }

    /// Once. No other watcher is started: the first was killed on purpose, and the run does not depend on it.
    pub(super) fn warn_if_watcher_ended(&mut self) {
        if self.workers.watcher.take_if(|watcher| watcher.has_ended()).is_some() {
            let error = Error::broken("watcher", "was killed")
                .advise("the job goes on; but if it is killed too, its commands are not ended");
            self.view.observer.notice(&Notice::Warning(error));
        }
    }

    pub(super) fn activity(&self) -> Activity {
        match (self.state.course, self.state.motion) {
            (Course::Working, Motion::Running) => Activity::Running,
            (Course::Working, Motion::Pausing) => Activity::Pausing,
            (Course::Working, Motion::Paused | Motion::Suspending | Motion::Suspended) => Activity::Paused,
            (Course::Stopping, _) => Activity::Stopping,
            (Course::Aborting, _) => Activity::Aborting,
            (Course::Closing | Course::Ended, _) => Activity::Finishing,
        }
    }

    pub(super) fn progress(&mut self) -> Progress {
        let now = Progress {
            phase: self.activity(),
            frontier: self.job.frontier.committed,
            tasks: self.job.extent.tasks,
            in_flight: self.begun(),
            failed: self.job.frontier.failed,
            bytes: self.job.extent.bytes_before + self.workers.pool.shared.advanced.load(Ordering::Relaxed),
            bytes_before: self.job.extent.bytes_before,
            bytes_total: self.job.extent.bytes,
            output_bytes: self.job.frontier.output_bytes,
            worked: self.clocks.work.worked,
            checkpoint: self.checkpoint_facts(),
            at_work: self.at_work(Instant::now()),
            ..Progress::default()
        };
        self.view.snapshots.estimate.see(now)
    }

    /// How many tasks have begun and not ended. More are handed out, so that no worker waits for the supervisor.
    fn begun(&self) -> usize {
        lock(&self.workers.pool.shared.running).len()
    }

    /// Tasks that have begun and not ended, and for how long, without pauses.
    pub(super) fn at_work(&self, now: Instant) -> Vec<AtWork> {
        let now = self.clocks.work.stands_at(now);
        let running = lock(&self.workers.pool.shared.running);
        let one = |(task, running): (&u64, &Running)| AtWork {
            task: self.workers.pool.number_of(*task),
            slot: running.slot,
            since: now.saturating_duration_since(running.since),
            note: running.note.clone(),
        };
        running.iter().map(one).collect()
    }

    fn checkpoint_facts(&self) -> Option<CheckpointFacts> {
        let (facts, since) = self.job.checkpoint?;
        Some(CheckpointFacts { age: facts.age + since.elapsed(), ..facts })
    }

    pub(super) fn ending(mut self) -> Ending {
        // A key may have been pressed in the last millisecond.
        while let Ok(heard) = self.channels.signals.try_recv() {
            self.note_interrupt(&heard);
        }
        self.clocks.work.tick(Instant::now());
        let summary = Summary {
            // After a failed write only the last durable record counts.
            frontier: if self.state.commit_works { self.job.frontier.committed } else { self.job.durable },
            ahead: self.job.frontier.ahead,
            tasks: self.job.extent.tasks,
            input_bytes: self.job.frontier.input_bytes,
            input_total: self.job.extent.bytes,
            output_bytes: self.job.frontier.output_bytes,
            by_this_run: (self.job.frontier.committed + self.job.frontier.ahead)
                .saturating_sub(self.job.done_before),
            runs: self.job.frontier.runs,
            failed: self.job.frontier.failed,
            checkpoint: self.checkpoint_facts(),
            waited: false,
            worked: self.clocks.work.worked,
            interrupted: self.reception.interrupted,
            deadly: self.reception.deadly,
        };
        match (self.end.finished, self.state.cause) {
            // A stop that came when nothing was left to do stopped nothing.
            (Some(code), _) => Ending::Finished { code, summary, already: false },
            (None, Some(Cause::Stop(by))) => match self.end.error {
                // The reader of the output has ended: a pager, `head`.
                Some(error) if error.kind() == Kind::OutputClosed => Ending::Failed { error, summary },
                Some(_) | None => Ending::Stopped { by, summary },
            },
            (None, Some(Cause::Broken) | None) if self.end.error.is_none() && self.end.enough.is_some() => {
                let code = self.end.enough.unwrap_or_default();
                Ending::Stopped { by: StoppedBy::Enough { code }, summary }
            }
            (None, Some(Cause::Broken) | None) => {
                let error = self.end.error.unwrap_or_else(|| Error::broken("run", "ended without a reason"));
                Ending::Failed { error, summary }
            }
        }
    }
}
