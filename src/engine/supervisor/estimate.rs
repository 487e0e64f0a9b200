//! How fast the work goes, and how long it will take: the same estimate for every observer.
//!
//! The obvious quotient is the work done by the time since the start. It is wrong twice. A job that continues has
//! spent no time on the work of earlier runs, so only the work of this run counts. A pause does not make a job slow,
//! so the time is [`Progress::worked`], which stands still in a pause.
//!
//! The rate is that of the last 15 s of work. An average over the whole run would notice a busy disk too late.

use crate::task::observer::Progress;
use std::collections::VecDeque;
use std::time::Duration;

/// The time of work over which the rate is taken.
const WINDOW: Duration = Duration::from_secs(15);

/// Less work than this gives no rate.
const ENOUGH: Duration = Duration::from_millis(300);

/// Points nearer than this are merged, so their number is bounded.
const APART: Duration = Duration::from_millis(50);

pub(super) struct Estimate {
    /// Oldest first, and never empty.
    seen: VecDeque<Point>,
}

/// How much was done after how much work.
#[derive(Clone, Copy)]
struct Point {
    worked: Duration,
    /// `None` for the first point: those of the earlier runs.
    bytes: Option<u64>,
    tasks: u64,
}

impl Estimate {
    /// A run begins; earlier ones have committed so many tasks.
    pub(super) fn new(tasks_before: u64) -> Self {
        Self { seen: [Point { worked: Duration::ZERO, bytes: None, tasks: tasks_before }].into() }
    }

    /// Takes a snapshot into account, and completes it.
    pub(super) fn see(&mut self, now: Progress) -> Progress {
        if self.seen.back().is_some_and(|last| last.worked + APART <= now.worked) {
            self.seen.push_back(Point { worked: now.worked, bytes: Some(now.bytes), tasks: now.frontier });
        }
        while self.seen.len() > 1 && self.seen[1].worked + WINDOW <= now.worked {
            self.seen.pop_front();
        }
        let since = self.seen[0];
        let spent = now.worked.saturating_sub(since.worked);
        // The amount can fall, because interrupted work is subtracted.
        let rate = |done: u64, then| {
            (spent >= ENOUGH).then(|| done.saturating_sub(then) as f64 / spent.as_secs_f64())
        };
        let bytes_per_second = rate(now.bytes, since.bytes.unwrap_or(now.bytes_before));
        let tasks_per_second = rate(now.frontier, since.tasks);
        let (done, total) = now.share();
        let per_second = if now.bytes_total.is_some() { bytes_per_second } else { tasks_per_second };
        Progress { left: time_left(per_second, done, total), bytes_per_second, tasks_per_second, ..now }
    }
}

fn time_left(per_second: Option<f64>, done: u64, total: Option<u64>) -> Option<Duration> {
    let left = total?.saturating_sub(done) as f64;
    Duration::try_from_secs_f64(left / per_second.filter(|rate| *rate > 0.0)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn at(worked_ms: u64, bytes: u64, before: u64) -> Progress {
        Progress {
            bytes,
            bytes_before: before,
            bytes_total: Some(1000 * MIB),
            worked: Duration::from_millis(worked_ms),
            ..Progress::default()
        }
    }

    fn bytes(now: &Progress) -> (Option<f64>, Option<Duration>) {
        (now.bytes_per_second, now.left)
    }

    #[test]
    fn what_earlier_runs_did_is_neither_rate_nor_left() {
        let now = Estimate::new(0).see(at(1000, 910 * MIB, 900 * MIB));
        assert_eq!(bytes(&now), (Some((10 * MIB) as f64), Some(Duration::from_secs(9))));
    }

    #[test]
    fn a_pause_changes_nothing_since_its_clock_stands_still() {
        let mut estimate = Estimate::new(0);
        let before = estimate.see(at(2000, 20 * MIB, 0));
        assert_eq!(bytes(&estimate.see(at(2000, 20 * MIB, 0))), bytes(&before));
        assert_eq!(before.left, Some(Duration::from_secs(98)));
    }

    #[test]
    fn the_rate_is_that_of_the_last_15_seconds() {
        let mut estimate = Estimate::new(0);
        for second in 1..=60 {
            estimate.see(at(second * 1000, second * MIB, 0));
        }
        let mut now = Progress::default();
        for second in 1..=20 {
            now = estimate.see(at((60 + second) * 1000, (60 + 5 * second) * MIB, 0));
        }
        assert_eq!(now.bytes_per_second, Some((5 * MIB) as f64));
        for _ in 0..1000 {
            estimate.see(at(80_000, 160 * MIB, 0));
        }
        assert!(estimate.seen.len() < 20, "the window does not grow");
    }

    #[test]
    fn nothing_is_said_before_there_is_something_to_say() {
        let mut estimate = Estimate::new(0);
        assert_eq!(bytes(&estimate.see(at(0, 0, 0))), (None, None));
        assert_eq!(bytes(&estimate.see(at(100, MIB, 0))), (None, None));
        assert_eq!(bytes(&Estimate::new(0).see(at(5000, 0, 0))), (Some(0.0), None));
        assert_eq!(Estimate::new(0).see(at(5000, 10, 20)).bytes_per_second, Some(0.0));
    }

    #[test]
    fn without_a_known_number_of_bytes_tasks_are_counted() {
        let tasks = |worked, frontier| Progress {
            frontier,
            tasks: Some(100),
            bytes: 5,
            worked: Duration::from_secs(worked),
            ..Progress::default()
        };
        let mut estimate = Estimate::new(50);
        estimate.see(tasks(0, 50));
        let now = estimate.see(tasks(10, 60));
        assert_eq!((now.tasks_per_second, now.left), (Some(1.0), Some(Duration::from_secs(40))));
        assert_eq!(now.bytes_per_second, Some(0.5));
    }
}
