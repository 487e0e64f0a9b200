//! The [`Job`]: what a task does, and how the results of tasks become one output.

use crate::task::{Context, TaskError};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// What a parallel job does, told in four functions.
///
/// # What must hold
///
/// [`run`](Job::run) must be a function of its task: the same task gives the same pieces and the
/// same [`Partial`](Job::Partial), on any thread, at any time. A task may run again after a crash
/// or an interruption. `render`, `fold` and `finish` must be functions of their arguments.
pub trait Job: Send + Sync + 'static {
    /// One unit of work, as the source lists it.
    type Task: Send + 'static;
    /// What a task reports besides the bytes that it emits: counts, a checksum. Small.
    type Partial: Serialize + DeserializeOwned + Send + 'static;
    /// What accumulates over all tasks, in task order. It is part of every checkpoint, so it
    /// should not grow with the number of tasks.
    type Total: Serialize + DeserializeOwned + Default + Send + 'static;

    /// A short name, as in `count`. Part of the fingerprint.
    fn name(&self) -> &str;

    /// The options that affect the output, in a canonical form. A resumed run must have the same;
    /// options that change only speed or looks do not belong here.
    fn fingerprint(&self) -> Value;

    /// Describes what [`fingerprint`](Job::fingerprint) gave, for a person: a refusal prints this for both
    /// jobs. Without it, the refusal names the places in which the two differ.
    fn describe(&self, _fingerprint: &Value) -> Option<String> {
        None
    }

    /// Does one task. Runs on a worker; may use rayon inside (it runs in the job's own pool).
    ///
    /// Long tasks must call [`Context::yield_point`] every few milliseconds: there a pause holds them, and
    /// they learn of a cancellation. [`Context::emit`] hands over output.
    ///
    /// # Errors
    ///
    /// See [`TaskError`]. A panic is caught and counts as [`TaskError::Failed`].
    fn run(&self, task: Self::Task, cx: &Context<'_>) -> std::result::Result<Self::Partial, TaskError>;

    /// The result of a task whose verdict [was held](TaskError::Held). Asked when its time is over, or when a
    /// stop begins ([`Context::is_stopping`]). Runs on a thread of its own, and must take no time.
    ///
    /// # Errors
    ///
    /// As [`run`](Job::run).
    fn settle(&self, _cx: &Context<'_>) -> std::result::Result<Self::Partial, TaskError> {
        Err(TaskError::Cancelled)
    }

    /// Another attempt at a task that [asked for one](TaskError::Again). Runs on a worker.
    ///
    /// # Errors
    ///
    /// As [`run`](Job::run).
    fn again(&self, _cx: &Context<'_>) -> std::result::Result<Self::Partial, TaskError> {
        Err(TaskError::Cancelled)
    }

    /// Whether what a task reports agrees with the total of all tasks *before* it. Asked on the commit thread, in task
    /// order, before the output of the task counts.
    ///
    /// # Errors
    ///
    /// It does not, which ends the job.
    fn accept(&self, _before: &Self::Total, _partial: &Self::Partial) -> crate::Result<()> {
        Ok(())
    }

    /// Gives a piece its final form, on the commit thread and in task order, with the total of all tasks
    /// *before* this one: a relative line number becomes an absolute one. By default the piece stays as it
    /// is.
    fn render(&self, _before: &Self::Total, piece: Vec<u8>) -> Vec<u8> {
        piece
    }

    /// Adds what a task reported to the total, in task order. Bytes in `out` follow the task's own pieces.
    ///
    /// A job whose tasks report nothing (`()`) need not say how. Without it, a job with another
    /// [`Partial`](Job::Partial) does not compile, since reports would be thrown away:
    ///
    /// ```compile_fail
    /// # use bivouac::{Context, Ending, Job, Run, TaskError, serde_json::Value};
    /// struct Forgetful;
    /// impl Job for Forgetful {
    ///     type Task = u64;
    ///     type Partial = u64; // and no `fold`
    ///     type Total = u64;
    ///     fn name(&self) -> &str { "forgetful" }
    ///     fn fingerprint(&self) -> Value { Value::Null }
    ///     fn run(&self, task: u64, _: &Context<'_>) -> Result<u64, TaskError> { Ok(task) }
    /// }
    /// bivouac::Job::fold(&Forgetful, &mut 0, 1, &mut Vec::new());
    /// ```
    fn fold(&self, _total: &mut Self::Total, _partial: Self::Partial, _out: &mut Vec<u8>) {
        const { assert!(size_of::<Self::Partial>() == 0, "a job whose tasks report something must fold it") }
    }

    /// In place of [`fold`](Job::fold), for a task that failed and is left out
    /// ([`Run::keep_going`](crate::Run::keep_going)). By default nothing happens.
    fn left_out(&self, _total: &mut Self::Total, _out: &mut Vec<u8>) {}

    /// The number by which a person and the tasks themselves know a task. The engine counts the tasks that it
    /// runs; if these are a part of another job ([`Shard`](crate::Shard)), they have other numbers in that job.
    #[doc(hidden)]
    fn number_of(&self, task: u64) -> u64 {
        task
    }

    /// After the last task: appends what belongs at the end of the output.
    fn finish(&self, _total: &mut Self::Total, _out: &mut Vec<u8>) {}

    /// Whether the result depends on the time of the run. Such a job is never "already finished".
    #[doc(hidden)]
    fn is_about_now(&self) -> bool {
        false
    }

    /// Whether the result of a finished job stands. It does not if an input could not be read because of an
    /// error that may pass; then the job is never "already finished" either.
    fn is_final(&self, _total: &Self::Total) -> bool {
        true
    }

    /// The exit code of a finished job, from its total. 0 unless the job says otherwise.
    fn verdict(&self, _total: &Self::Total) -> u8 {
        crate::ending::FINISHED
    }
}
