//! Children that stand still because memory is short.
//!
//! They are stopped by SIGSTOP, each group by itself, and a pause of the job does not change that: when it ends, they
//! stay as they are. A child that is told to end is continued, since a stopped process acts on no signal.

use super::{Child, Children, tell};
use crate::sync::lock;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use std::time::{Duration, Instant};

/// Whether a child stands still for others, and how long it has.
#[derive(Debug, Default)]
pub(super) struct Rest {
    pub(super) rests: bool,
    /// Since then; not while the whole job is paused, which is counted elsewhere.
    since: Option<Instant>,
    before: Duration,
}

impl Rest {
    fn begin(&mut self) {
        (self.rests, self.since) = (true, Some(Instant::now()));
    }

    pub(super) fn end(&mut self) {
        self.stop_the_clock();
        self.rests = false;
    }

    pub(super) fn stop_the_clock(&mut self) {
        self.before += self.since.take().map_or(Duration::ZERO, |since| since.elapsed());
    }

    pub(super) fn start_the_clock(&mut self) {
        self.since = self.rests.then(Instant::now);
    }
}

impl Children {
    /// How many children move, and how many rest.
    pub(crate) fn moving_and_resting(&self) -> (usize, usize) {
        let table = lock(&self.table);
        let resting = table.running.values().filter(|child| child.rest.rests).count();
        (table.running.len() - resting, resting)
    }

    /// Stops the children that were started last, until so many move.
    pub(crate) fn rest_all_but(&self, most: usize) {
        let mut table = lock(&self.table);
        if table.held || table.closed {
            return;
        }
        let mut moving: Vec<(&i32, &mut Child)> =
            table.running.iter_mut().filter(|(_, child)| !child.rest.rests).collect();
        moving.sort_by_key(|(_, child)| child.born);
        for (pid, child) in moving.into_iter().skip(most) {
            tell(Pid::from_raw(*pid), Signal::SIGSTOP);
            child.rest.begin();
        }
    }

    /// Continues the child that has waited longest for it: of those that rest, the one that was started first.
    pub(crate) fn wake_one(&self) {
        let mut table = lock(&self.table);
        if table.held {
            return;
        }
        let resting = table.running.iter_mut().filter(|(_, child)| child.rest.rests);
        if let Some((pid, child)) = resting.min_by_key(|(_, child)| child.born) {
            child.rest.end();
            tell(Pid::from_raw(*pid), Signal::SIGCONT);
        }
    }

    /// How long this child has rested, pauses of the job not included.
    pub(crate) fn has_rested(&self, pid: Pid) -> Duration {
        let table = lock(&self.table);
        table.running.get(&pid.as_raw()).map_or(Duration::ZERO, |child| {
            child.rest.before + child.rest.since.map_or(Duration::ZERO, |since| since.elapsed())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{children, start, state_of, until};
    use super::*;

    #[test]
    fn the_youngest_rest_through_a_pause_and_wake_in_the_order_of_their_births() {
        let children = children();
        let [old, young, youngest] = [(); 3].map(|()| start(&children, &["sleep", "1000"]));
        children.rest_all_but(1);
        until("they rest", || [young, youngest].iter().all(|pid| state_of(*pid) == Some('T')));
        assert_ne!(state_of(old), Some('T'));
        assert_eq!(children.moving_and_resting(), (1, 2));
        children.hold();
        until("all are held", || state_of(old) == Some('T'));
        let rested = children.has_rested(young);
        assert!(
            rested > Duration::ZERO && children.has_rested(young) == rested,
            "a pause is counted elsewhere"
        );
        children.go_on();
        until("the oldest goes on", || state_of(old) != Some('T'));
        assert_eq!(state_of(young), Some('T'));
        assert!(children.has_rested(young) > rested && children.has_rested(old).is_zero());
        children.wake_one();
        until("the next one goes on", || state_of(young) != Some('T'));
        assert_eq!(state_of(youngest), Some('T'));
        children.end();
        for pid in [old, young, youngest] {
            assert!(children.wait_for_the_end_of(pid).is_ok_and(super::super::is_order));
            children.reap(pid, None, false).unwrap();
        }
    }
}
