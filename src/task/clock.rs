//! Clocks that count work, and the rate limit that is measured by them.
//!
//! [`std::time::Instant`] runs on while the process is stopped, so code that measures *work* (rate, time left,
//! timeouts) must not read it directly. The owner of a [`WorkClock`] knows of pauses, and ticks every 100 ms. A stop
//! that nothing announces (SIGSTOP) shows as a gap of more than [`LONGEST_TICK`] between two ticks.

use crate::sync::lock;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The longest gap that counts as work: a busy machine delays a tick by a second, a Ctrl-Z lasts longer.
pub(crate) const LONGEST_TICK: Duration = Duration::from_secs(2);

/// A clock that stands still while the job is paused, suspended or stopped from outside.
#[derive(Debug)]
pub(crate) struct WorkClock {
    pub(crate) worked: Duration,
    last: Instant,
    /// Set while it stands still.
    paused: Option<Instant>,
}

impl WorkClock {
    pub(crate) fn start(now: Instant) -> Self {
        Self { worked: Duration::ZERO, last: now, paused: None }
    }

    /// Moves the clock on to `now`; to be called at every event and at least once a tick.
    pub(crate) fn tick(&mut self, now: Instant) {
        let gap = now.saturating_duration_since(self.last);
        if self.paused.is_none() && gap <= LONGEST_TICK {
            self.worked += gap;
        }
        self.last = now;
    }

    pub(crate) fn pause(&mut self, now: Instant) {
        self.tick(now);
        self.paused.get_or_insert(now);
    }

    /// Goes on, without the time since the last tick. Returns how long an announced pause was.
    pub(crate) fn resume(&mut self, now: Instant) -> Duration {
        self.last = now;
        self.paused.take().map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    /// Now, or the beginning of the present pause.
    pub(crate) fn stands_at(&self, now: Instant) -> Instant {
        self.paused.unwrap_or(now)
    }

    /// Leaves out the time since the last tick.
    pub(crate) fn skip_to(&mut self, now: Instant) {
        self.last = now;
    }
}

/// Keeps all workers together below a number of bytes per second.
///
/// A token bucket that may run into debt: a worker that takes too much is told how long to wait. The bucket
/// holds a quarter of a second, so a pause earns no more, and the rate after it is the rate before it.
#[derive(Debug)]
pub(crate) struct Throttle {
    /// 0: no limit. It can change while workers wait.
    bytes_per_second: AtomicU64,
    bucket: Mutex<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    /// Bytes that may be taken at once; negative: in debt.
    level: f64,
    filled: Instant,
}

impl Throttle {
    pub(crate) fn new(bytes_per_second: Option<u64>) -> Self {
        let bucket = Mutex::new(Bucket { level: 0.0, filled: Instant::now() });
        Self { bytes_per_second: AtomicU64::new(bytes_per_second.unwrap_or(0)), bucket }
    }

    /// Another limit from now on. Debts and savings of the old one are forgotten.
    pub(crate) fn limit(&self, bytes_per_second: Option<u64>) {
        let rate = bytes_per_second.unwrap_or(0);
        if self.bytes_per_second.swap(rate, Ordering::Relaxed) != rate {
            *lock(&self.bucket) = Bucket { level: 0.0, filled: Instant::now() };
        }
    }

    /// The limit. A waiting worker sees here that it has changed.
    pub(crate) fn rate(&self) -> u64 {
        self.bytes_per_second.load(Ordering::Relaxed)
    }

    /// Takes `bytes`. Returns how long the worker must wait for them.
    pub(crate) fn owed_after(&self, bytes: u64) -> Option<Duration> {
        let rate = Some(self.rate()).filter(|rate| *rate > 0)? as f64;
        let mut bucket = lock(&self.bucket);
        let now = Instant::now();
        let earned = now.duration_since(bucket.filled).as_secs_f64() * rate;
        bucket.level = (bucket.level + earned).min(rate / 4.0) - bytes as f64;
        bucket.filled = now;
        (bucket.level < 0.0).then(|| Duration::from_secs_f64(-bucket.level / rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_and_a_stop_from_outside_do_not_count_as_work() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut clock = WorkClock::start(start);
        clock.tick(at(100));
        clock.pause(at(200));
        clock.tick(at(900));
        assert_eq!(clock.stands_at(at(900)), at(200));
        assert_eq!(clock.resume(at(1000)), Duration::from_millis(800));
        assert_eq!(clock.stands_at(at(1001)), at(1001));
        clock.tick(at(1100));
        clock.tick(at(61_100)); // a minute under SIGSTOP
        clock.tick(at(61_200));
        assert_eq!(clock.worked, Duration::from_millis(400));
    }

    #[test]
    fn the_throttle_asks_for_the_time_that_the_bytes_are_worth() {
        let throttle = Throttle::new(Some(1000));
        let wait = throttle.owed_after(5000).unwrap();
        assert!(wait > Duration::from_millis(4700) && wait <= Duration::from_secs(5), "{wait:?}");
        assert_eq!(Throttle::new(None).owed_after(u64::MAX), None);
        throttle.limit(Some(1_000_000));
        assert!(throttle.owed_after(5000).unwrap() < Duration::from_millis(10), "the old debt is gone");
        throttle.limit(None);
        assert_eq!(throttle.owed_after(5000), None);
    }
}
