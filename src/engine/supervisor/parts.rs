//! The parts of the supervisor, by subject.

use super::Channels;
use super::deferred::Deferrals;
use super::starts::StartRule;
use super::starts::memory::MemoryRule;
use super::status::Snapshots;
use crate::ending::CheckpointFacts;
use crate::engine::batching::Batching;
use crate::engine::commit::Frontier;
use crate::engine::decide::Alarm;
use crate::engine::input_memory::InputMemory;
use crate::engine::options::{Halt, Options};
use crate::engine::pool::{Assignment, Pool};
use crate::error::Error;
use crate::process::watcher::Watcher;
use crate::signals::{Masked, Received, Subscription};
use crate::task::Extent;
use crate::task::clock::{LONGEST_TICK, WorkClock};
use crate::task::observer::{Activity, Observer};
use nix::sys::signal::Signal;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) struct Setup<'a> {
    pub(crate) options: &'a Options,
    pub(crate) channels: Channels,
    pub(crate) pool: Pool,
    pub(crate) workers: usize,
    /// For threads that a reload may need later.
    pub(crate) masked: &'a Masked,
    pub(crate) input_memory: Arc<InputMemory>,
    pub(crate) subscription: Subscription,
    pub(crate) began: Instant,
    pub(crate) job: JobFacts,
}

pub(super) struct Workers<'a> {
    pub(super) pool: Pool,
    masked: &'a Masked,
    input_memory: Arc<InputMemory>,
    pub(super) at_start: usize,
    pub(super) batching: Batching,
    pub(super) deferrals: Deferrals,
    /// When ended tasks end the run, and how many have failed and succeeded in this run.
    pub(super) halt: Option<Halt>,
    pub(super) failures: u64,
    pub(super) successes: u64,
    pub(super) starts: StartRule,
    /// The next task, if it may not start yet.
    pub(super) waiting: Option<Assignment>,
    pub(super) memory: MemoryRule,
    /// The process that ends the commands if this one is killed; `None` once it has ended itself.
    pub(super) watcher: Option<&'a Watcher>,
}

impl<'a> Workers<'a> {
    pub(super) fn new(
        pool: Pool,
        threads: usize,
        (masked, input_memory): (&'a Masked, Arc<InputMemory>),
        options: &Options,
        (starts, watcher): (StartRule, Option<&'a Watcher>),
    ) -> Self {
        let mut batching = Batching::new(threads);
        batching.allow(options.jobs);
        pool.allow(batching.jobs);
        let at_start = options.jobs.min(threads);
        Self {
            pool,
            masked,
            input_memory,
            at_start,
            batching,
            deferrals: Deferrals::default(),
            halt: options.halt,
            failures: 0,
            successes: 0,
            starts,
            waiting: None,
            memory: MemoryRule::new(options.starts.suspend_below, Instant::now()),
            watcher,
        }
    }

    /// Sets how many tasks may run at the same time, and starts more threads if it needs them. Returns a sentence if the
    /// system gives too few.
    pub(super) fn allow(&mut self, jobs: usize) -> Option<String> {
        let mut refused = None;
        if jobs > self.batching.workers() {
            match self.pool.grow(self.masked, jobs) {
                Ok(workers) if workers > self.batching.workers() => {
                    self.batching.grow(workers);
                    self.input_memory.grant(workers);
                }
                Ok(_) | Err(_) => {}
            }
            let most = self.batching.workers();
            let why = || format!("no more than {most} at the same time: the system gives no more threads");
            refused = (most < jobs).then(why);
        }
        self.batching.allow(jobs);
        self.pool.allow(self.batching.jobs);
        refused
    }
}

/// Which signals arrive, and what the supervisor remembers of earlier ones.
pub(super) struct Reception {
    pub(super) subscription: Subscription,
    /// Signals that were taken out of the channel before a suspension.
    pub(super) early: VecDeque<Received>,
    pub(super) core: bool,
    /// The signal of a key at the terminal that asked for an end.
    pub(super) interrupted: Option<Signal>,
    /// The first deadly signal that asked for an end.
    pub(super) deadly: Option<Signal>,
}

impl Reception {
    pub(super) fn new(subscription: Subscription, core: bool) -> Self {
        Self { subscription, early: VecDeque::new(), core, interrupted: None, deadly: None }
    }
}

/// Moments and deadlines.
pub(super) struct Clocks {
    pub(super) began: Instant,
    pub(super) work: WorkClock,
    pub(super) budget: Option<Duration>,
    pub(super) next_tick: Instant,
    pub(super) alarms: Vec<(Alarm, Instant)>,
    /// The last look at the clock: the loop looks at least once a tick.
    looked: Instant,
    /// When the last request for a suspension came.
    pub(super) suspension_asked: Instant,
}

impl Clocks {
    pub(super) fn new(began: Instant, now: Instant, budget: Option<Duration>) -> Self {
        let (work, alarms) = (WorkClock::start(now), Vec::new());
        Self { began, work, budget, next_tick: now, alarms, looked: now, suspension_asked: now }
    }

    /// The process may have stood still since the last look: suspended, stopped by another process, frozen. Deadlines
    /// move by that time; otherwise `fg` in the midst of a stop would find the grace over.
    pub(super) fn catch_up(&mut self, now: Instant) {
        let still = now.saturating_duration_since(std::mem::replace(&mut self.looked, now));
        if still > LONGEST_TICK {
            self.alarms.iter_mut().for_each(|(_, at)| *at += still);
        }
    }
}

/// How far the job is.
pub(crate) struct JobFacts {
    pub(super) extent: Extent,
    pub(super) frontier: Frontier,
    /// Tasks that earlier runs have done.
    pub(super) done_before: u64,
    /// Tasks that the last durable record counts.
    pub(super) durable: u64,
    /// How many tasks there are, once the source has listed all.
    pub(super) listed: Option<u64>,
    pub(super) checkpoint: Option<(CheckpointFacts, Instant)>,
    /// How much of the disk may be taken by results ahead of the frontier.
    pub(super) spill_limit: u64,
}

impl JobFacts {
    pub(crate) fn new(extent: Extent, (frontier, done_before): (Frontier, u64), spill_limit: u64) -> Self {
        let durable = frontier.committed;
        Self { extent, frontier, done_before, durable, listed: None, checkpoint: None, spill_limit }
    }
}

/// The run as a person or another process sees it.
pub(super) struct View<'a> {
    pub(super) observer: &'a mut dyn Observer,
    pub(super) shown: Activity,
    pub(super) snapshots: Snapshots,
    /// Since when a requested checkpoint and its report are outstanding.
    pub(super) owed: Option<Instant>,
    /// Whether the warning was given that results ahead of the frontier take too much of the disk.
    pub(super) waits_for_room: bool,
    /// Since when nothing runs because the machine is busy, and whether that was said.
    pub(super) waits_since: Option<Instant>,
    pub(super) has_said_why_it_waits: bool,
}

impl<'a> View<'a> {
    pub(super) fn new(observer: &'a mut dyn Observer, now: Instant, committed: u64) -> Self {
        let (shown, snapshots) = (Activity::Running, Snapshots::new(now, committed));
        let (owed, waits_since) = (None, None);
        let (waits_for_room, has_said_why_it_waits) = (false, false);
        Self { observer, shown, snapshots, owed, waits_for_room, waits_since, has_said_why_it_waits }
    }
}

/// How the run ends, once that is known.
#[derive(Default)]
pub(super) struct End {
    pub(super) error: Option<Error>,
    pub(super) finished: Option<u8>,
    /// The exit code, if enough tasks have ended ([`Halt`]).
    pub(super) enough: Option<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_move_by_the_time_in_which_the_process_stood_still() {
        let began = Instant::now();
        let left = |late: Duration| {
            let mut clocks = Clocks::new(began, began, None);
            clocks.alarms.push((Alarm::Grace, began + Duration::from_secs(5)));
            clocks.catch_up(began + late);
            clocks.alarms[0].1.saturating_duration_since(began + late)
        };
        assert_eq!(left(Duration::from_secs(3600)), Duration::from_secs(5));
        assert_eq!(left(LONGEST_TICK), Duration::from_secs(5) - LONGEST_TICK, "a busy machine");
    }
}
