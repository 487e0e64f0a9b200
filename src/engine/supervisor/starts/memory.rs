//! Commands that stand still while memory is short, so that the others can end.
//!
//! The obvious way is to pause the job. But mostly the commands themselves take the memory, and none of them would
//! ever give it back. So one always runs, the oldest, and the youngest are stopped first. The bounds are those
//! of GNU parallel: below twice the size one more stands still at each look, below the size all but one do.

use crate::engine::decide::{Course, Motion};
use crate::engine::supervisor::Supervisor;
use crate::error::Error;
use crate::sys::machine;
use crate::task::observer::Notice;
use std::time::{Duration, Instant};

/// How often memory is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// The next step with commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    None,
    /// This many may move, the oldest first.
    LeaveMoving(usize),
    WakeOne,
}

/// The rule: how much memory is available, how much is wanted, how many commands move and rest.
fn step(available: u64, least: u64, (moving, resting): (usize, usize)) -> Step {
    match (moving, resting) {
        (0, 1..) => Step::WakeOne,
        (2.., _) if available < least => Step::LeaveMoving(1),
        (2.., _) if available < least.saturating_mul(2) => Step::LeaveMoving(moving - 1),
        (_, 1..) if available >= least.saturating_mul(2) => Step::WakeOne,
        _ => Step::None,
    }
}

#[derive(Debug)]
pub(in crate::engine::supervisor) struct MemoryRule {
    /// How many bytes must be available; without it nothing is looked at.
    least: Option<u64>,
    next: Instant,
    available: u64,
    is_said: bool,
    /// Less is available, or commands rest.
    is_short: bool,
}

impl MemoryRule {
    pub(in crate::engine::supervisor) fn new(least: Option<u64>, now: Instant) -> Self {
        // Until the first look: the tasks that are listed by then must not all start.
        Self { least, next: now, available: u64::MAX, is_said: false, is_short: least.is_some() }
    }
}

impl Supervisor<'_> {
    /// Whether a command may start, as far as memory is concerned: one may always, if no other runs.
    pub(in crate::engine::supervisor) fn has_memory(&self) -> bool {
        !self.workers.memory.is_short || self.state.in_flight == 0
    }

    /// When memory is to be looked at again.
    pub(in crate::engine::supervisor) fn next_look_at_memory(&self) -> Option<Instant> {
        self.workers.memory.least.map(|_| self.workers.memory.next)
    }

    /// Looks at memory once a second, and lets a command go on as soon as the only one that moved has ended.
    pub(in crate::engine::supervisor) fn look_at_memory(&mut self, now: Instant) {
        let Some(least) = self.workers.memory.least else { return };
        let is_time = now >= self.workers.memory.next;
        if is_time {
            self.workers.memory.next = now + LOOK;
        }
        if self.state.motion != Motion::Running
            || matches!(self.state.course, Course::Aborting | Course::Ended)
        {
            return;
        }
        let children = self.workers.pool.children();
        let counts = children.moving_and_resting();
        let memory = &mut self.workers.memory;
        if is_time {
            memory.available = machine::available_memory().unwrap_or(u64::MAX);
        } else if counts.0 > 0 || counts.1 == 0 {
            return;
        }
        match step(memory.available, least, counts) {
            Step::None => {}
            Step::LeaveMoving(most) => children.rest_all_but(most),
            Step::WakeOne => children.wake_one(),
        }
        let resting = children.moving_and_resting().1;
        memory.is_short = memory.available < least || resting > 0;
        if resting > 0 && !std::mem::replace(&mut memory.is_said, true) {
            let how = format_args!("is short ({} MiB are available)", memory.available >> 20);
            let advice = "the youngest commands stand still, and go on when others have ended";
            self.view.observer.notice(&Notice::Warning(Error::broken("memory", how).advise(advice)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_always_runs_and_the_bounds_are_once_and_twice_the_size() {
        for (available, counts, expected) in [
            (300, (4, 0), Step::None),
            (199, (4, 0), Step::LeaveMoving(3)),
            (199, (2, 2), Step::LeaveMoving(1)),
            (199, (1, 3), Step::None),
            (99, (4, 0), Step::LeaveMoving(1)),
            (99, (1, 0), Step::None),
            (99, (0, 3), Step::WakeOne),
            (200, (1, 3), Step::WakeOne),
            (0, (0, 0), Step::None),
        ] {
            assert_eq!(step(available, 100, counts), expected, "{available} {counts:?}");
        }
    }
}
