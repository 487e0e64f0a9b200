//! How a task ends if it is not simply done.

use crate::error::Error;
use std::time::Duration;

/// Why a task did not end well.
#[derive(Clone, Debug)]
pub enum TaskError {
    /// The task was asked to give up ([`Context::yield_point`](crate::Context::yield_point) returns this). It
    /// is neither done nor failed, and runs again when the job is continued.
    Cancelled,
    /// The task itself failed, and would fail again. With [`crate::Run::keep_going`] it is left
    /// out and counted; otherwise the job ends with exit code 4 and the state stands.
    Failed(String),
    /// The run cannot go on: an input changed ([`Kind::Refused`](crate::error::Kind::Refused)), a
    /// device failed ([`Kind::Broken`](crate::error::Kind::Broken)).
    Fatal(Error),
    /// The work is done and the worker free, but the result counts only after this time: if a stop comes by
    /// then, the task was interrupted. [`Job::settle`](super::Job::settle) then gives the result.
    Held {
        /// How long. Pauses come on top of it.
        time: Duration,
        /// The result, if no stop comes.
        presumed: Presumed,
    },
    /// The task asks for another attempt after this time, by [`Job::again`](super::Job::again); its worker is
    /// free meanwhile. A stop cancels the attempt, and the task runs when the job is continued.
    Again(Duration),
}

/// The result of a task whose verdict is held ([`TaskError::Held`]), if no stop comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presumed {
    /// It is done. What it worked on is not needed any more.
    Done,
    /// It is to be tried again, and still has what it works on: that counts as memory that is taken.
    Again,
    /// It has failed. If that is one failure too many ([`Run::halt`](crate::Run::halt)), no further task begins.
    Failed,
}

/// `?` takes what `Box<dyn Error>` takes: an [`io::Error`](std::io::Error), a `String`, an `anyhow::Error`. The
/// task has [failed](TaskError::Failed). An [`Error`] of this crate ends the run.
///
/// ```
/// use bivouac::TaskError;
///
/// fn parse(text: &str) -> Result<u64, TaskError> {
///     if text.is_empty() {
///         return Err("there is nothing to parse".into());
///     }
///     Ok(text.trim().parse()?)
/// }
/// assert!(matches!(parse("x"), Err(TaskError::Failed(why)) if why == "invalid digit found in string"));
/// ```
impl<E: Into<Box<dyn std::error::Error + Send + Sync>>> From<E> for TaskError {
    fn from(error: E) -> Self {
        match error.into().downcast::<Error>() {
            Ok(own) => TaskError::Fatal(*own),
            Err(other) => TaskError::Failed(with_causes(&*other)),
        }
    }
}

/// An error in one line, with what caused it.
pub(crate) fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |said, cause| format!("{said}: {cause}"))
}
