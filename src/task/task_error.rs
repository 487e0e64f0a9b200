//! How a task ends that is not simply done.

use crate::error::Error;
use std::time::Duration;

/// Why a task did not end well.
#[derive(Clone, Debug)]
pub enum TaskError {
    /// The task was asked to give up ([`Context::yield_point`](crate::Context::yield_point) and friends return this). It is
    /// neither done nor failed: it runs again when the job is continued.
    Cancelled,
    /// The task itself failed, and would fail again. With [`crate::Run::keep_going`] it is left
    /// out and counted; otherwise the job ends with exit code 4 and the state stands.
    Failed(String),
    /// The run cannot go on: an input changed ([`Kind::Refused`](crate::error::Kind::Refused)), a
    /// device failed ([`Kind::Broken`](crate::error::Kind::Broken)).
    Fatal(Error),
    /// The work is done, and its worker is free; but what came of it counts only after this time, since a stop
    /// that comes by then would mean that the task was interrupted. [`Job::settle`](super::Job::settle) says it then.
    Held {
        /// How long. Pauses come on top of it.
        time: Duration,
        /// What came of it if no stop comes.
        presumed: Presumed,
    },
    /// The task wants to be tried again after this time, by [`Job::again`](super::Job::again); its worker is free meanwhile.
    /// When a stop begins it is given up, and runs when the job is continued.
    Again(Duration),
}

/// What came of a task whose verdict is held ([`TaskError::Held`]), if no stop comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presumed {
    /// It is done. What it worked on is not needed any more.
    Done,
    /// It is to be tried again, and still has what it works on: that counts as memory that is taken.
    Again,
    /// It has failed. That is known from now on: should it be one failure too many
    /// ([`Run::halt`](crate::Run::halt)), no further task begins.
    Failed,
}

impl From<Error> for TaskError {
    fn from(error: Error) -> Self {
        TaskError::Fatal(error)
    }
}
