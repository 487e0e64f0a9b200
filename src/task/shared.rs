//! Shared by all tasks: gate, clocks and ways out. A task sees them through its [`Context`](crate::Context).

use crate::sync::lock;
use crate::task::clock::Throttle;
use crate::task::gate::Gate;
use crate::task::stop_fd::StopFd;
use crossbeam_channel::Sender;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A line for the observer.
#[derive(Debug)]
pub(crate) struct Saying {
    pub(crate) task: u64,
    pub(crate) line: String,
    /// Whether the job says it; otherwise it is a line of a command.
    pub(crate) is_the_jobs: bool,
}

/// How many lines may wait to be said.
pub(crate) const SAYINGS: usize = 256;

/// How often a worker that waits for another thread looks whether it must give up.
pub(crate) const LOOK_UP: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) gate: Gate,
    pub(crate) throttle: Throttle,
    /// Bytes of input that tasks have worked through, for progress only.
    pub(crate) advanced: AtomicU64,
    /// Tasks that have begun and not ended. SIGQUIT prints them, and `status` shows them.
    pub(crate) running: Mutex<BTreeMap<u64, Running>>,
    pub(crate) keep_going: bool,
    /// Whether the output of a failed task stays.
    pub(crate) print_failed: bool,
    /// Whether failures alone end the run. Then a task that ends badly has failed, and was not interrupted.
    pub(crate) halting: AtomicBool,
    /// The run ends at this many failures.
    failures_allowed: u64,
    /// Failures that are known, also those that do not count yet.
    failures_known: AtomicU64,
    /// Lines from the standard error of commands, on their way to the observer.
    pub(crate) sayings: Sender<Saying>,
    /// Tasks that have begun, have not ended, and do not wait at the gate.
    pub(crate) moving: AtomicI64,
    /// Ends waits when the run is over, and says whether the end of a stream counts.
    pub(crate) stop: Arc<StopFd>,
}

#[derive(Clone, Debug)]
pub(crate) struct Running {
    pub(crate) since: Instant,
    /// Its place among those that run at the same time, from 1.
    pub(crate) slot: Option<usize>,
    /// The note about it in the journal.
    pub(crate) note: String,
}

impl Shared {
    pub(crate) fn new(
        bytes_per_second: Option<u64>,
        (keep_going, print_failed): (bool, bool),
        failures_allowed: u64,
        sayings: Sender<Saying>,
        stop: Arc<StopFd>,
    ) -> Self {
        Self {
            gate: Gate::default(),
            throttle: Throttle::new(bytes_per_second),
            advanced: AtomicU64::new(0),
            running: Mutex::new(BTreeMap::new()),
            keep_going,
            print_failed,
            halting: AtomicBool::new(false),
            failures_allowed,
            failures_known: AtomicU64::new(0),
            sayings,
            moving: AtomicI64::new(0),
            stop,
        }
    }

    /// Notes that a task begins. If it `has_worker`, it gets the lowest free slot. The obvious slot is the number of the
    /// worker. But when a larger pool takes the place of another one, both have workers with the same numbers.
    pub(crate) fn begins(&self, task: u64, since: Instant, has_worker: bool) -> Option<usize> {
        let mut running = lock(&self.running);
        let is_free = |slot: &usize| running.values().all(|one| one.slot != Some(*slot));
        let slot = has_worker.then(|| (1..).find(is_free)).flatten();
        running.insert(task, Running { since, slot, note: String::new() });
        slot
    }

    /// Whether so many tasks have failed that no further one may begin. The run ends when the failures count, unless a stop
    /// turns them into interruptions.
    pub(crate) fn too_much_has_failed(&self) -> bool {
        self.failures_known.load(Ordering::Relaxed) >= self.failures_allowed
    }

    pub(crate) fn note_failure(&self) {
        self.failures_known.fetch_add(1, Ordering::Relaxed);
    }

    /// How many tasks move. Only the word "paused" depends on it, so a relaxed load suffices.
    pub(crate) fn moving(&self) -> i64 {
        self.moving.load(Ordering::Relaxed)
    }
}
