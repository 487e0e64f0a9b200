//! How fast the work goes, and how long it will take.
//!
//! Two things make the obvious quotient (done so far, by time since the start) wrong here. A job
//! that continues has most of its work behind it without having spent any time on it; so only what
//! was done in this run counts. And a job that was paused for an hour did not become slow; so time
//! is [`Progress::worked`], which stands still in a pause, and never the clock on the wall.
//!
//! The rate is that of the last quarter of a minute of work: an average over all of it would take
//! an hour to notice that the disk got busy an hour ago.

use bivouac::Progress;
use std::collections::VecDeque;
use std::time::Duration;

/// How much work the rate looks back on.
const WINDOW: Duration = Duration::from_secs(15);

/// Less work than this says nothing about a rate.
const ENOUGH: Duration = Duration::from_millis(300);

/// What is counted: bytes where tasks cover some, tasks otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Bytes,
    Tasks,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Estimate {
    /// Work time and amount done by then, oldest first.
    seen: VecDeque<(Duration, u64)>,
}

/// What there is to say about speed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Speed {
    /// Units per second.
    pub(crate) rate: Option<f64>,
    /// Time that is left, of work.
    pub(crate) left: Option<Duration>,
}

pub(crate) fn unit(now: &Progress) -> Unit {
    if now.bytes_total.is_some() || now.bytes > 0 { Unit::Bytes } else { Unit::Tasks }
}

/// How much is done, and of how much.
pub(crate) fn amount(now: &Progress) -> (u64, Option<u64>) {
    match unit(now) {
        Unit::Bytes => (now.bytes, now.bytes_total),
        Unit::Tasks => (now.frontier, now.tasks),
    }
}

/// The share that is done, in percent, rounded down: 100 means all.
pub(crate) fn percent(now: &Progress) -> Option<u64> {
    let (done, total) = amount(now);
    let total = total.filter(|total| *total > 0)?;
    Some(u64::try_from(u128::from(done.min(total)) * 100 / u128::from(total)).unwrap_or(100))
}

impl Estimate {
    /// Takes a snapshot into account.
    pub(crate) fn see(&mut self, now: &Progress) -> Speed {
        let (done, total) = amount(now);
        if self.seen.is_empty() {
            // Where this run began. Bytes say it themselves; for tasks it is the first thing seen.
            let before = if unit(now) == Unit::Bytes { now.bytes_before } else { done };
            let began = if unit(now) == Unit::Bytes { Duration::ZERO } else { now.worked };
            self.seen.push_back((began, before));
        }
        self.seen.push_back((now.worked, done));
        while self.seen.len() > 2 && self.seen[1].0 + WINDOW <= now.worked {
            self.seen.pop_front();
        }
        let (since, then) = self.seen[0];
        let spent = now.worked.saturating_sub(since);
        // Work that was interrupted is taken back, so the amount can fall.
        let rate = (spent >= ENOUGH).then(|| done.saturating_sub(then) as f64 / spent.as_secs_f64());
        Speed { rate, left: time_left(rate, done, total) }
    }
}

fn time_left(rate: Option<f64>, done: u64, total: Option<u64>) -> Option<Duration> {
    let left = total?.saturating_sub(done) as f64;
    Duration::try_from_secs_f64(left / rate.filter(|rate| *rate > 0.0)?).ok()
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

    #[test]
    fn what_earlier_runs_did_is_neither_rate_nor_left() {
        let mut estimate = Estimate::default();
        let speed = estimate.see(&at(1000, 910 * MIB, 900 * MIB));
        assert_eq!(speed.rate, Some((10 * MIB) as f64));
        assert_eq!(speed.left, Some(Duration::from_secs(9)));
        assert_eq!(percent(&at(1000, 910 * MIB, 900 * MIB)), Some(91));
    }

    #[test]
    fn a_pause_changes_nothing_since_its_clock_stands_still() {
        let mut estimate = Estimate::default();
        let before = estimate.see(&at(2000, 20 * MIB, 0));
        assert_eq!(estimate.see(&at(2000, 20 * MIB, 0)), before);
        assert_eq!(before.left, Some(Duration::from_secs(98)));
    }

    #[test]
    fn the_rate_is_that_of_the_last_quarter_of_a_minute() {
        let mut estimate = Estimate::default();
        for second in 1..=60 {
            estimate.see(&at(second * 1000, second * MIB, 0));
        }
        let mut speed = Speed::default();
        for second in 1..=20 {
            speed = estimate.see(&at((60 + second) * 1000, (60 + 5 * second) * MIB, 0));
        }
        assert_eq!(speed.rate, Some((5 * MIB) as f64));
        assert!(estimate.seen.len() < 20, "the window does not grow");
    }

    #[test]
    fn nothing_is_said_before_there_is_something_to_say() {
        let mut estimate = Estimate::default();
        assert_eq!(estimate.see(&at(0, 0, 0)), Speed::default());
        assert_eq!(estimate.see(&at(100, MIB, 0)), Speed::default());
        let stuck = Estimate::default().see(&at(5000, 0, 0));
        assert_eq!((stuck.rate, stuck.left), (Some(0.0), None));
        let taken_back = Estimate::default().see(&at(5000, 10, 20));
        assert_eq!(taken_back.rate, Some(0.0));
    }

    #[test]
    fn without_bytes_tasks_are_counted() {
        let tasks = |worked, frontier| Progress {
            frontier,
            tasks: Some(100),
            worked: Duration::from_secs(worked),
            ..Progress::default()
        };
        let mut estimate = Estimate::default();
        estimate.see(&tasks(0, 50));
        let speed = estimate.see(&tasks(10, 60));
        assert_eq!(speed.rate, Some(1.0));
        assert_eq!(speed.left, Some(Duration::from_secs(40)));
        assert_eq!(percent(&tasks(10, 60)), Some(60));
    }

    #[test]
    fn a_hundred_percent_means_all_and_an_empty_job_has_no_share() {
        assert_eq!(percent(&at(1, 1000 * MIB - 1, 0)), Some(99));
        assert_eq!(percent(&at(1, 2000 * MIB, 0)), Some(100));
        assert_eq!(percent(&Progress { bytes_total: Some(0), ..Progress::default() }), None);
        let huge = Progress { bytes: u64::MAX, bytes_total: Some(u64::MAX), ..Progress::default() };
        assert_eq!(percent(&huge), Some(100));
    }
}
