//! Deadlines. Time is an event like any other: when a deadline has passed, the loop handles it.

use super::Supervisor;
use super::suspension::LOOK;
use crate::engine::decide::{Asker, Event, Motion};
use crate::signals::policy::Request;
use std::time::{Duration, Instant};

/// After this time without the requested checkpoint, the supervisor reports the progress alone.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often the progress line and the clocks move.
const TICK: Duration = Duration::from_millis(100);

impl Supervisor<'_> {
    pub(super) fn next_deadline(&self) -> Instant {
        let next_look = match self.state.motion {
            Motion::Suspending => Instant::now() + LOOK,
            Motion::Running | Motion::Pausing | Motion::Paused | Motion::Suspended => self.clocks.next_tick,
        };
        let due = self.next_due().map(|left| Instant::now() + left);
        self.clocks
            .alarms
            .iter()
            .map(|(_, at)| *at)
            .chain(due)
            .chain(self.workers.starts.next(Instant::now()))
            .chain(self.next_look_at_memory())
            .fold(self.clocks.next_tick.min(next_look), Instant::min)
    }

    pub(super) fn look_at_the_clock(&mut self) {
        let now = Instant::now();
        self.clocks.catch_up(now);
        while let Some(position) = self.clocks.alarms.iter().position(|(_, at)| *at <= now) {
            let (alarm, _) = self.clocks.alarms.swap_remove(position);
            self.handle(Event::Rang(alarm));
        }
        if self.nothing_moves() {
            self.handle(Event::NothingMoves);
        }
        self.workers.starts.look(now);
        self.look_at_memory(now);
        self.take_up_due_tasks(now);
        // The commit thread may be waiting for a disk, or for the reader of the output.
        if self.view.owed.is_some_and(|since| now.saturating_duration_since(since) >= PATIENCE) {
            self.view.owed = None;
            self.say_status();
        }
        if now >= self.clocks.next_tick {
            self.clocks.next_tick = now + TICK;
            self.clocks.work.tick(now);
            self.spend_budget();
            self.warn_if_no_room();
            self.say_why_nothing_starts(now);
            self.workers.pool.children().look_after_unlisted();
            self.warn_if_watcher_ended();
            let progress = self.progress();
            self.view.observer.progress(&progress);
        }
        self.write_status_when_due(now);
    }

    fn spend_budget(&mut self) {
        if self.clocks.budget.is_some_and(|budget| self.clocks.began.elapsed() >= budget) {
            self.clocks.budget = None;
            self.ask(Request::Stop, Asker::Budget);
        }
    }
}
