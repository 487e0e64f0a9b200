//! What the supervisor has written down of itself for other processes (see [`crate::durable::status_file`]).
//!
//! It takes the snapshot and hands it to the commit thread, which alone touches files: a disk that
//! takes a second to answer must not make a signal wait.

use super::Supervisor;
use crate::durable::state_dir::reach;
use crate::durable::status_file::{FORMAT, Live, LiveCheckpoint, LiveTask};
use crate::engine::commit::Order;
use crate::task::Job;
use crate::task::observer::{AtWork, Progress};
use std::time::{Duration, Instant, SystemTime};

/// How often a snapshot is written though nothing has changed that somebody may wait for. At the
/// beginning more often: who has just started a job and looks shall not find it idle.
const EVERY: Duration = Duration::from_secs(1);
const AT_FIRST: Duration = Duration::from_millis(100);

/// Work that is too short says nothing about a rate.
const ENOUGH: Duration = Duration::from_millis(300);

/// What is remembered between two snapshots.
pub(crate) struct Showing {
    seq: u64,
    next: Instant,
    /// Checkpoints that were asked for and that are durable.
    asked: u64,
    /// When this process was started.
    ticks: Option<u64>,
    /// Tasks that earlier runs had committed.
    tasks_before: u64,
}

impl Showing {
    pub(crate) fn new(now: Instant, tasks_before: u64) -> Self {
        Self { seq: 0, next: now, asked: 0, ticks: reach::our_ticks(), tasks_before }
    }
}

impl<J: Job> Supervisor<'_, J> {
    pub(super) fn show_when_due(&mut self, now: Instant) {
        if now >= self.view.showing.next {
            self.show();
        }
    }

    /// A checkpoint that somebody asked for is durable, and they may be waiting to read of it.
    pub(super) fn show_checkpoint(&mut self) {
        self.view.showing.asked += 1;
        self.show();
    }

    pub(super) fn show(&mut self) {
        self.view.showing.seq += 1;
        self.view.showing.next = Instant::now() + self.clocks.began.elapsed().clamp(AT_FIRST, EVERY);
        let live = self.live(&self.progress());
        self.order(Order::Show(Box::new(live)));
    }

    fn live(&self, now: &Progress) -> Live {
        let written_at_ms = milliseconds(SystemTime::now());
        let worked = now.worked.as_secs_f64();
        let rate = |done: u64| (now.worked >= ENOUGH).then(|| done as f64 / worked);
        let bytes_per_second = rate(now.bytes.saturating_sub(now.bytes_before));
        let tasks_per_second = rate(now.frontier.saturating_sub(self.view.showing.tasks_before));
        let by_bytes = time_left(now.bytes, now.bytes_total, bytes_per_second);
        let by_tasks = || time_left(now.frontier, now.tasks, tasks_per_second);
        Live {
            format: FORMAT,
            seq: self.view.showing.seq,
            pid: std::process::id(),
            ticks: self.view.showing.ticks,
            run: None,
            written_at_ms,
            phase: now.phase,
            frontier: now.frontier,
            tasks: now.tasks,
            beyond: 0,
            in_flight: now.in_flight as u64,
            failed: now.failed,
            bytes: now.bytes,
            bytes_before: now.bytes_before,
            bytes_total: now.bytes_total,
            output_bytes: now.output_bytes,
            worked_seconds: worked,
            bytes_per_second,
            tasks_per_second,
            eta_seconds: if now.bytes_total.is_some() { by_bytes } else { by_tasks() },
            checkpoint: now.checkpoint.map(|facts| LiveCheckpoint {
                size: facts.size,
                at_ms: written_at_ms.saturating_sub(facts.age.as_millis() as u64),
                took_seconds: facts.took.as_secs_f64(),
            }),
            checkpoints_asked: self.view.showing.asked,
            workers: self.workers.batching.jobs() as u64,
            signals: self.reception.subscription.rows(),
            running: self.longest_at_work(),
        }
    }
}

/// How many of the tasks at work are written down.
const SHOWN: usize = 64;

impl<J: Job> Supervisor<'_, J> {
    fn longest_at_work(&self) -> Vec<LiveTask> {
        let mut running = self.at_work(Instant::now());
        running.sort_by_key(|one| std::cmp::Reverse(one.since));
        running.truncate(SHOWN);
        let show = |AtWork { task, since, note }| LiveTask { task, seconds: since.as_secs_f64(), note };
        running.into_iter().map(show).collect()
    }
}

fn time_left(done: u64, total: Option<u64>, rate: Option<f64>) -> Option<f64> {
    let left = total?.saturating_sub(done) as f64;
    rate.filter(|rate| *rate > 0.0).map(|rate| left / rate)
}

fn milliseconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
