//! How many tasks are handed to the pool at a time, and when the supervisor takes their reports.

use std::time::Duration;

/// How much work each worker has in the pool, and the least and the most tasks that this may be.
///
/// Two tasks would do: one at work, and one so that the worker need not wait. But each end of a task wakes the supervisor
/// on a core that a worker must leave, for 20 µs: a fiftieth of a task of a millisecond. So short tasks are handed out by
/// the dozen, and the supervisor sleeps until half of them should be done. At a stop the rest comes back in microseconds.
const HAND_OUT: Duration = Duration::from_millis(40);
const HANDED_LEAST: usize = 2;
const HANDED_MOST: usize = 256;

/// How long tasks take, and how many are handed out because of that.
#[derive(Debug)]
pub(crate) struct Batching {
    workers: usize,
    /// How many tasks may run at the same time, if fewer than there are workers.
    pub(crate) jobs: usize,
    typical: Duration,
    /// Whether `typical` is still a guess.
    guessed: bool,
}

impl Batching {
    /// Until the first tasks are done, tasks are presumed to be long.
    pub(crate) fn new(workers: usize) -> Self {
        Self { workers, jobs: workers, typical: HAND_OUT, guessed: true }
    }

    pub(crate) fn workers(&self) -> usize {
        self.workers
    }

    /// Sets how many workers there are.
    pub(crate) fn grow(&mut self, workers: usize) {
        self.workers = workers;
    }

    /// Sets how many tasks may run at the same time, at most as many as there are workers.
    pub(crate) fn allow(&mut self, jobs: usize) {
        self.jobs = jobs.clamp(1, self.workers);
    }

    /// A moving average with weights of an eighth. The first task counts whole: a short job has few.
    pub(crate) fn learn(&mut self, took: Duration) {
        self.typical = if self.guessed { took } else { (self.typical * 7 + took) / 8 };
        self.guessed = false;
    }

    /// How many tasks may be in flight. If workers must stay idle, only as many as may run.
    pub(crate) fn limit(&self) -> usize {
        if self.jobs < self.workers {
            return self.jobs;
        }
        let tasks = HAND_OUT.as_nanos() / self.typical.as_nanos().max(1);
        let per_worker = usize::try_from(tasks).unwrap_or(HANDED_MOST).clamp(HANDED_LEAST, HANDED_MOST);
        per_worker * self.workers
    }

    /// How long the supervisor can leave `in_flight` tasks alone; `None` if it must take every report at once.
    pub(crate) fn time_alone(&self, in_flight: usize) -> Option<Duration> {
        let spare = in_flight.checked_sub(self.limit() / 2)?;
        if self.limit() <= HANDED_LEAST * self.workers || spare < self.workers {
            return None;
        }
        Some(self.typical * u32::try_from(spare / self.workers).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(took: Duration) -> Batching {
        let mut batching = Batching::new(2);
        (0..100).for_each(|_| batching.learn(took));
        batching
    }

    #[test]
    fn long_tasks_are_handed_out_two_by_two_and_every_end_counts() {
        for batching in [Batching::new(2), after(Duration::from_secs(1))] {
            assert_eq!(batching.limit(), 4);
            assert_eq!(batching.time_alone(4), None);
        }
    }

    #[test]
    fn short_tasks_are_handed_out_by_the_dozen_and_left_alone_until_half_of_them_are_done() {
        let mut batching = after(Duration::from_millis(1));
        assert!((72..=88).contains(&batching.limit()), "{}", batching.limit());
        let alone = batching.time_alone(batching.limit()).unwrap();
        assert!(alone > Duration::from_millis(15) && alone < Duration::from_millis(25), "{alone:?}");
        assert_eq!(batching.time_alone(3), None, "the workers are about to run dry");
        assert_eq!(after(Duration::ZERO).limit(), 2 * HANDED_MOST);
        batching.allow(1);
        assert_eq!((batching.limit(), batching.time_alone(1)), (1, None));
        batching.allow(7);
        assert!(batching.limit() > 4, "no more than there are workers, and all of them");
    }
}
