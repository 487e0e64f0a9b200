//! Snapshots of the run for other processes (see [`crate::durable::status_file`]).
//!
//! The supervisor takes them, and the commit thread writes them: a slow disk must not make a signal wait.

use super::Supervisor;
use super::estimate::Estimate;
use crate::durable::history::Moment;
use crate::durable::state_dir::reach;
use crate::durable::status_file::{StatusAnswer, StatusFile, StatusTask};
use crate::engine::commit::CommitCommand;
use crate::engine::decide::{Asker, Event};
use crate::signals::policy::Request;
use crate::task::observer::{AtWork, Progress};
use std::time::{Duration, Instant, SystemTime};

/// How often a snapshot is written at least. More often at first: a job just started must not look idle, and the history of
/// a short job must have more than three moments.
const EVERY: Duration = Duration::from_secs(1);
const AT_FIRST: Duration = Duration::from_millis(100);

/// At first the time between two snapshots is this part of the time since the beginning.
const MOMENTS: u32 = 10;

/// How many of the tasks at work are in a snapshot.
const SHOWN: usize = 64;

/// The state that lasts from one snapshot to the next.
pub(crate) struct Snapshots {
    seq: u64,
    next: Instant,
    /// How many requested checkpoints are durable.
    asked: u64,
    /// When this process was started, in clock ticks since boot.
    ticks: Option<u64>,
    /// The answer to the last request for other settings.
    answer: Option<StatusAnswer>,
    pub(super) estimate: Estimate,
}

impl Snapshots {
    pub(crate) fn new(now: Instant, tasks_before: u64) -> Self {
        let (ticks, estimate) = (reach::our_ticks(), Estimate::new(tasks_before));
        Self { seq: 0, next: now, asked: 0, ticks, answer: None, estimate }
    }
}

impl Supervisor<'_> {
    pub(super) fn write_status_when_due(&mut self, now: Instant) {
        if now >= self.view.snapshots.next {
            self.write_status();
        }
    }

    /// A requested checkpoint is durable, and the process that asked may be waiting for the snapshot.
    pub(super) fn count_checkpoint_asked(&mut self) {
        self.view.snapshots.asked += 1;
        self.write_status();
    }

    /// Answers a request for other settings, at once: the process that asked may be waiting for the snapshot.
    pub(super) fn answer(&mut self, answer: StatusAnswer) {
        self.view.snapshots.answer = Some(answer);
        self.write_status();
    }

    pub(super) fn write_status(&mut self) {
        self.view.snapshots.seq += 1;
        self.view.snapshots.next =
            Instant::now() + (self.clocks.began.elapsed() / MOMENTS).clamp(AT_FIRST, EVERY);
        let progress = self.progress();
        let live = self.live(&progress);
        self.command(CommitCommand::ShowStatus(Box::new(live)));
    }

    /// Writes requests into the history of the job.
    pub(super) fn note(&self, event: Event) {
        let Event::Asked { request, by, .. } = event else { return };
        if matches!(request, Request::Status | Request::Redraw | Request::Ignore) {
            return;
        }
        let by = match by {
            Asker::Signal(signal) => signal.to_string(),
            Asker::Handle => "the program".to_string(),
            Asker::Budget => "the time budget".to_string(),
        };
        self.command(CommitCommand::Note(Moment::asked(request, by)));
    }

    fn live(&self, now: &Progress) -> StatusFile {
        StatusFile {
            seq: self.view.snapshots.seq,
            pid: std::process::id(),
            ticks: self.view.snapshots.ticks,
            checkpoints_asked: self.view.snapshots.asked,
            workers: self.workers.batching.jobs as u64,
            answer: self.view.snapshots.answer.clone(),
            signals: self.reception.subscription.rows(),
            running: self.longest_at_work(),
            ..StatusFile::of(now, SystemTime::now())
        }
    }

    fn longest_at_work(&self) -> Vec<StatusTask> {
        let mut running = self.at_work(Instant::now());
        running.sort_by_key(|one| std::cmp::Reverse(one.since));
        running.truncate(SHOWN);
        let show = |AtWork { task, slot, since, note }| StatusTask {
            task: task + 1,
            slot,
            seconds: since.as_secs_f64(),
            note,
        };
        running.into_iter().map(show).collect()
    }
}
