//! Deferred tasks: they have left their worker and are not over, because their result is known only later, or they
//! are tried again. They take no slot. The clock of work measures their time, so it stands still during a pause.

use super::Supervisor;
use crate::engine::decide::{Course, Event, Motion};
use crate::engine::pool::{Deferred, Then};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How many there may be. Each takes a few hundred bytes: the commit thread has its output, and
/// [`Room`](crate::engine::input_memory::Room) counts its part of the input.
const MOST: usize = 2048;

/// Their times are rounded up to this, so that many come due at once.
const GRAIN: Duration = Duration::from_millis(10);

/// The deferred tasks, by the time at which they are due.
#[derive(Debug, Default)]
pub(crate) struct Deferrals {
    tasks: BTreeMap<(Duration, u64), Deferred>,
}

impl Deferrals {
    /// Takes the first one that is wanted and due at this time.
    fn take(&mut self, time: Duration, is_wanted: impl Fn(&Deferred) -> bool) -> Option<Deferred> {
        let mut due = self.tasks.iter().take_while(|((due, _), _)| *due <= time);
        let key = due.find(|(_, deferred)| is_wanted(deferred)).map(|(key, _)| *key)?;
        self.tasks.remove(&key)
    }
}

impl Supervisor<'_> {
    /// Whether there is room for another deferred task, and so for another task.
    pub(super) fn may_defer(&self) -> bool {
        self.workers.deferrals.tasks.len() < MOST
    }

    pub(super) fn defer(&mut self, deferred: Deferred) {
        self.clocks.work.tick(Instant::now());
        let due = (self.clocks.work.worked + deferred.time).as_nanos().div_ceil(GRAIN.as_nanos());
        let due = GRAIN.saturating_mul(u32::try_from(due).unwrap_or(u32::MAX));
        let is_retry = deferred.then == Then::Retry;
        self.workers.deferrals.tasks.insert((due, deferred.number), deferred);
        self.handle(Event::Deferred);
        if is_retry && self.state.course != Course::Working {
            self.give_up_retries();
        }
    }

    /// How long until the first of them is due.
    pub(super) fn next_due(&self) -> Option<Duration> {
        let may_start = self.is_time_to_start();
        let may = |deferred: &Deferred| may_start || deferred.then == Then::Conclude;
        let ((due, _), _) = self.workers.deferrals.tasks.iter().find(|(_, deferred)| may(deferred))?;
        self.may_take_up().then(|| due.saturating_sub(self.clocks.work.worked))
    }

    /// Not while the job is paused. A signal that has arrived is handled first.
    fn may_take_up(&self) -> bool {
        let moves = self.state.motion == Motion::Running || self.state.course != Course::Working;
        moves && self.channels.signals.is_empty() && self.reception.early.is_empty()
    }

    pub(super) fn take_up_due_tasks(&mut self, now: Instant) {
        if self.workers.deferrals.tasks.is_empty() || !self.may_take_up() {
            return;
        }
        self.clocks.work.tick(now);
        loop {
            let may_start = self.is_time_to_start();
            let may = |deferred: &Deferred| may_start || deferred.then == Then::Conclude;
            let Some(deferred) = self.workers.deferrals.take(self.clocks.work.worked, may) else { return };
            if deferred.then == Then::Retry {
                self.note_start();
            }
            self.take_up(deferred);
        }
    }

    /// A stop has come: the run does not wait for deferred tasks any longer.
    pub(super) fn conclude_deferred(&mut self) {
        while let Some(deferred) = self.workers.deferrals.take(Duration::MAX, |_| true) {
            self.take_up(deferred);
        }
    }

    /// After a stop no attempt may begin.
    pub(super) fn give_up_retries(&mut self) {
        let is_retry = |deferred: &Deferred| deferred.then == Then::Retry;
        while let Some(deferred) = self.workers.deferrals.take(Duration::MAX, is_retry) {
            self.handle(Event::Reassigned);
            self.workers.pool.conclude(deferred);
        }
    }

    fn take_up(&mut self, deferred: Deferred) {
        self.handle(Event::Reassigned);
        match deferred.then {
            Then::Conclude => self.workers.pool.conclude(deferred),
            Then::Retry => self.workers.pool.retry(deferred),
        }
    }
}
