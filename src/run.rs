//! The builder of a run.

use crate::ending::Ending;
use crate::job::{Job, Sink, Source};
use crate::observer::Observer;
use std::path::PathBuf;
use std::time::Duration;

/// Where the state of a run is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StateAt {
    /// Nowhere: the job cannot be continued.
    #[default]
    Nowhere,
    /// In this directory, made at the start, kept until it is cleaned.
    Directory(PathBuf),
    /// In this directory, made at the first checkpoint and removed when the job is finished.
    Passing(PathBuf),
}

/// A run to be.
#[allow(missing_debug_implementations, dead_code, reason = "placeholder")]
pub struct Run<J: Job, S: Source<Task = J::Task>> {
    job: J,
    source: S,
}

#[allow(unused_variables, reason = "placeholder")]
impl<J: Job, S: Source<Task = J::Task>> Run<J, S> {
    /// x
    pub fn new(job: J, source: S) -> Self {
        Self { job, source }
    }
    /// Where the output goes; without this call it is thrown away.
    #[must_use]
    pub fn sink(self, sink: impl Sink) -> Self {
        self
    }
    /// Where the state is kept; without this call nowhere.
    #[must_use]
    pub fn state(self, at: StateAt) -> Self {
        self
    }
    /// Discard an earlier state.
    #[must_use]
    pub fn fresh(self, fresh: bool) -> Self {
        self
    }
    /// Number of workers.
    #[must_use]
    pub fn jobs(self, workers: usize) -> Self {
        self
    }
    /// How long tasks in flight may go on after a stop; `None`: until they end.
    #[must_use]
    pub fn grace(self, grace: Option<Duration>) -> Self {
        self
    }
    /// How long cancelled tasks are waited for.
    #[must_use]
    pub fn kill_after(self, time: Duration) -> Self {
        self
    }
    /// How often a checkpoint is taken.
    #[must_use]
    pub fn checkpoint_every(self, time: Duration) -> Self {
        self
    }
    /// Bytes of input per second, all workers together.
    #[must_use]
    pub fn limit_rate(self, bytes_per_second: Option<u64>) -> Self {
        self
    }
    /// Leave failed tasks out and go on.
    #[must_use]
    pub fn keep_going(self, yes: bool) -> Self {
        self
    }
    /// Verify all of the committed output at resume.
    #[must_use]
    pub fn verify(self, yes: bool) -> Self {
        self
    }
    /// Hear signals.
    #[must_use]
    pub fn signals(self, listener: crate::signals::Masked) -> Self {
        self
    }
    /// Watches the run.
    #[must_use]
    pub fn observer(self, observer: impl Observer + 'static) -> Self {
        self
    }
    /// Runs.
    pub fn run(self) -> Ending {
        unimplemented_placeholder()
    }
}
#[allow(clippy::panic, reason = "placeholder")]
fn unimplemented_placeholder() -> Ending {
    panic!()
}
