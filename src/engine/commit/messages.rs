//! The messages between the supervisor and the committer.

use super::Committer;
use crate::durable::history::Moment;
use crate::durable::record::Record;
use crate::durable::status_file::StatusFile;
use crate::ending::CheckpointFacts;
use crate::error::Error;
use std::time::{Duration, Instant};

#[derive(Debug)]
pub(crate) enum CommitCommand {
    /// From now on, a checkpoint this often.
    CheckpointEvery(Duration),
    /// Write this into the state, for other processes.
    ShowStatus(Box<StatusFile>),
    /// Write this into the history of the job.
    Note(Moment),
    /// A checkpoint now. `asked`: a person or a program waits for the report.
    Checkpoint { asked: bool },
    /// The last checkpoint. The job is complete if all `listed` tasks are; `None`: not all are listed.
    Close { listed: Option<u64> },
}

/// Nothing follows `Broke` (a step failed) or `Closed` (an orderly end).
#[derive(Debug)]
pub(crate) enum CommitEvent {
    Frontier(Frontier),
    Input(String),
    Checkpoint { frontier: u64, facts: CheckpointFacts, asked: bool },
    Broke(Error),
    Closed(Closed),
}

/// How the committer was closed: `finished` with this exit code, or stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed {
    pub(crate) finished: Option<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Frontier {
    /// Tasks before the frontier.
    pub(crate) tasks: u64,
    /// All committed tasks, also those ahead of the frontier.
    pub(crate) committed: u64,
    /// Tasks that completed ahead of the frontier, stored for the next run. Known at the end only.
    pub(crate) ahead: u64,
    pub(crate) output_bytes: u64,
    /// Bytes on disk of tasks ahead of the frontier.
    pub(crate) ahead_bytes: u64,
    pub(crate) failed: u64,
    pub(crate) input_bytes: u64,
    /// How many runs have worked on the job, this one included.
    pub(crate) runs: u64,
}

impl Frontier {
    pub(super) fn of(record: &Record) -> Self {
        let output = record.output.as_ref();
        Self {
            tasks: record.frontier,
            committed: record.committed(),
            ahead: 0,
            output_bytes: output.map_or(0, |output| output.bytes.saturating_sub(output.of_next)),
            ahead_bytes: 0,
            failed: record.failed,
            input_bytes: record.input_bytes,
            runs: record.epoch,
        }
    }
}

/// How often the committer reports a frontier that no component waits for.
const REPORT_EVERY: Duration = Duration::from_millis(50);

impl Committer {
    pub(super) fn report_frontier(&mut self) {
        let Frontier { ahead, output_bytes, .. } = self.reported;
        let ahead_bytes = self.store.spilled_bytes();
        let now = Frontier { ahead, output_bytes, ahead_bytes, ..Frontier::of(self.store.record()) };
        if now == self.reported && self.is_reported {
            return;
        }
        // A report wakes the supervisor. It needs one at once only when waiting results take more or less disk.
        let is_waited_for = ahead_bytes != self.reported.ahead_bytes;
        self.reported = now;
        self.is_reported = is_waited_for || self.reported_at.elapsed() >= REPORT_EVERY;
        if self.is_reported {
            self.reported_at = Instant::now();
            self.report(CommitEvent::Frontier(now));
        }
    }

    pub(super) fn report(&mut self, event: CommitEvent) {
        (self.on_event)(event);
    }
}
