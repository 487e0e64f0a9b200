//! When a task may start although a slot is free: a delay between starts, a rate, the load of the machine.
//!
//! The obvious way is a worker that sleeps before its command. But a stop would have to wake it and give its task back, and
//! a task that waits for another attempt would hold a slot. Here the supervisor keeps one task until its time, and takes no
//! other from the source. (If it took none, it would learn at the next start that the list is over: a run would end a
//! `--delay` later than its last command.) The wait is one more deadline of the loop, so signals are answered at once.

pub(super) mod memory;

use super::Supervisor;
use crate::engine::decide::Event;
use crate::engine::options::{HaltOn, Starts};
use crate::sys::machine;
use crate::task::observer::Notice;
use std::time::{Duration, Instant};

/// How often the rule checks a busy machine.
const LOOK: Duration = Duration::from_secs(1);

/// After this time in which nothing runs, a person is told why.
const SILENCE: Duration = Duration::from_secs(3);

/// After a start, a process needs a moment to show as running, and to take its memory.
const TO_SHOW: Duration = Duration::from_millis(200);

/// Starts so far, and when the next may come.
#[derive(Debug)]
pub(super) struct StartRule {
    starts: Starts,
    /// No task starts before this.
    next: Option<Instant>,
    /// When the machine was last checked, if it was not too busy.
    fitted: Option<Instant>,
    /// If it was, in which way.
    busy: Option<String>,
}

impl StartRule {
    /// A run that continues waits as if a command had just started, because one may have, in the run before.
    pub(super) fn new(starts: Starts, began: Instant, continues: bool) -> Self {
        let next = continues.then(|| began + starts.after_resume);
        Self { starts, next, fitted: None, busy: None }
    }

    /// Changes the time between two starts. If starts were not counted before, the last one may have been just now.
    pub(super) fn set_interval(&mut self, every: Duration, now: Instant) {
        if every != self.starts.every {
            let latest = now + every;
            self.next =
                if self.counts_starts() { self.next.map(|next| next.min(latest)) } else { Some(latest) };
            self.starts.every = every;
        }
    }

    /// Whether each start counts. Then no more tasks are handed out than can start at once.
    pub(super) fn counts_starts(&self) -> bool {
        self.starts != Starts::default()
    }

    pub(super) fn may_start(&self, now: Instant) -> bool {
        self.next.is_none_or(|next| next <= now) && (self.fitted.is_some() || !self.looks())
    }

    fn looks(&self) -> bool {
        self.starts.runnable.is_some() || self.starts.memory.is_some()
    }

    /// Checks the machine, if it is time for that.
    pub(super) fn look(&mut self, now: Instant) {
        let is_fresh = self.fitted.is_some_and(|then| now.saturating_duration_since(then) < LOOK);
        if !self.looks() || is_fresh || self.next.is_some_and(|next| next > now) {
            return;
        }
        let runs = self.starts.runnable.and_then(|most| {
            let is = machine::runnable().filter(|is| *is >= most)?;
            Some(format!("threads that run or want to: {is}; a start needs fewer than {most}"))
        });
        let lacks = || {
            let least = self.starts.memory?;
            let is = machine::available_memory().filter(|is| *is < least)? >> 20;
            let least = least >> 20;
            Some(format!("{is} MiB of memory are available, and a start needs {least} MiB"))
        };
        self.busy = runs.or_else(lacks);
        match self.busy {
            None => self.fitted = Some(now),
            Some(_) => (self.fitted, self.next) = (None, Some(now + LOOK)),
        }
    }

    pub(super) fn started(&mut self, now: Instant) {
        let pause = if self.looks() { self.starts.every.max(TO_SHOW) } else { self.starts.every };
        // A late start does not delay the next one.
        let due = self.next.filter(|next| *next + pause > now).unwrap_or(now);
        (self.next, self.fitted) = (Some(due + pause), None);
    }

    /// When a task may start or the machine must be checked, if that is later than `now`.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        self.next.filter(|next| *next > now)
    }
}

impl Supervisor<'_> {
    /// How many tasks may be in flight. If starts or successes are counted, no more than can run at once: a task that
    /// waits in the pool would begin before the supervisor knows how the one before it ended. (The pool knows failures.)
    pub(super) fn most_in_flight(&self) -> usize {
        let counts_ends = match self.workers.halt.map(|halt| halt.on) {
            Some(HaltOn::Succeeded | HaltOn::Done) => true,
            Some(HaltOn::Failed) | None => false,
        };
        match counts_ends || self.workers.starts.counts_starts() {
            true => self.workers.batching.jobs,
            false => self.workers.batching.limit(),
        }
    }

    /// Starts the task that waits, if there is one and its time has come.
    pub(super) fn start_the_waiting(&mut self) {
        if !self.may_assign() || !self.is_time_to_start() {
            return;
        }
        if let Some(assignment) = self.workers.waiting.take() {
            self.handle(Event::Assigned);
            self.note_start();
            self.workers.pool.assign(assignment);
        }
    }

    pub(super) fn note_start(&mut self) {
        if self.workers.starts.counts_starts() {
            self.workers.starts.started(Instant::now());
        }
    }

    /// A run in which nothing runs looks as if it hung.
    pub(super) fn say_why_nothing_starts(&mut self, now: Instant) {
        let nothing_runs = self.state.may_start() && self.state.in_flight + self.state.deferred == 0;
        let waits = nothing_runs && self.workers.waiting.is_some();
        let Some(why) = self.workers.starts.busy.as_ref().filter(|_| waits) else {
            self.view.waits_since = None;
            return;
        };
        let since = *self.view.waits_since.get_or_insert(now);
        if now.saturating_duration_since(since) >= SILENCE
            && !std::mem::replace(&mut self.view.has_said_why_it_waits, true)
        {
            self.view.observer.notice(&Notice::Waiting { why: why.clone() });
        }
    }

    /// Whether a task may start, as far as the machine and the clock are concerned.
    pub(super) fn is_time_to_start(&self) -> bool {
        !self.workers.starts.counts_starts()
            || (self.workers.starts.may_start(Instant::now()) && self.has_memory())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_keep_their_distance_and_a_late_one_does_not_delay_the_next() {
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        let starts = Starts { every: Duration::from_millis(100), ..Starts::default() };
        let mut rule = StartRule::new(starts, began, false);
        assert!(rule.may_start(at(0)));
        rule.started(at(0));
        assert!(!rule.may_start(at(99)) && rule.may_start(at(100)));
        assert_eq!(rule.next(at(50)), Some(at(100)));
        rule.started(at(130));
        assert!(!rule.may_start(at(199)) && rule.may_start(at(200)));
        // Unused starts are not saved up.
        rule.started(at(1000));
        assert!(!rule.may_start(at(1099)) && rule.may_start(at(1100)));
    }

    #[test]
    fn a_shorter_time_between_starts_counts_at_once() {
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        let starts = Starts { every: Duration::from_secs(3600), ..Starts::default() };
        let mut rule = StartRule::new(starts, began, false);
        rule.started(at(0));
        rule.set_interval(Duration::from_millis(50), at(10));
        assert!(!rule.may_start(at(59)) && rule.may_start(at(60)));
        rule.set_interval(Duration::ZERO, at(20));
        assert!(rule.may_start(at(20)) && !rule.counts_starts());
        rule.set_interval(Duration::from_millis(50), at(100));
        assert!(!rule.may_start(at(149)) && rule.may_start(at(150)));
    }

    #[test]
    fn a_run_that_continues_waits_before_its_first_start() {
        let began = Instant::now();
        let starts = Starts { after_resume: Duration::from_secs(2), ..Starts::default() };
        let rule = StartRule::new(starts, began, true);
        assert!(!rule.may_start(began) && rule.may_start(began + Duration::from_secs(2)));
        assert!(StartRule::new(starts, began, false).may_start(began));
    }

    #[test]
    fn a_busy_machine_is_checked_again() {
        let began = Instant::now();
        let busy = Starts { memory: Some(u64::MAX), ..Starts::default() };
        let mut rule = StartRule::new(busy, began, false);
        rule.look(began);
        assert!(!rule.may_start(began) && rule.next(began).is_some());
        let idle = Starts { memory: Some(1), runnable: Some(u64::MAX), ..Starts::default() };
        let mut rule = StartRule::new(idle, began, false);
        rule.look(began);
        assert!(rule.may_start(began));
    }
}
