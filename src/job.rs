//! What one has to write to run a job of one's own: a [`Job`] says what a task does, a [`Source`]
//! opens a [`Listing`] of the tasks, a [`Sink`] makes the output last. The built-in verbs are written on exactly
//! these traits and nothing else.
//!
//! The division of labour is what makes the output a function of the input alone:
//!
//! | who | thread | may depend on |
//! |---|---|---|
//! | [`Listing::next`] | source | the input; lists always in the same order |
//! | [`Job::run`] | any worker, any order | its task and nothing else |
//! | [`Job::render`], [`Job::fold`], [`Job::finish`] | commit | what came before, **in task order** |
//! | [`Sink`] | commit | the bytes handed to it |
//!
//! So whatever needs to know "how many lines came before me" waits for the commit thread, where
//! there is a before; everything else happens in the workers, where there is none.

mod committed;
mod source;
mod task_error;

pub use committed::{Committed, Stretch};
pub use source::{Extent, LastLook, ListContext, Listed, Listing, Mark, Source};
pub use task_error::{Presumed, TaskError};

use crate::error::Result;
use crate::pool::Context;
use crate::wake::Wake;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::sync::Arc;

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

    /// What [`fingerprint`](Job::fingerprint) gave, in words for a person who has to tell two of them
    /// apart: those of a run that is refused, and of the run whose state stands in its way. Without words
    /// of the job's own the places are named in which the two differ.
    fn describe(&self, _fingerprint: &Value) -> Option<String> {
        None
    }

    /// Does one task. Runs on a worker; may use rayon inside (it runs in the job's own pool).
    ///
    /// Long tasks should call [`Context::yield_point`] every few milliseconds: there they are
    /// held while the job is paused, and learn of a cancellation. Bytes of output are handed over
    /// with [`Context::emit`].
    ///
    /// # Errors
    ///
    /// See [`TaskError`]. A panic is caught and counts as [`TaskError::Failed`].
    fn run(&self, task: Self::Task, cx: &Context<'_>) -> std::result::Result<Self::Partial, TaskError>;

    /// What came of a task that [was held](TaskError::Held): asked when its time is over, or at once when a
    /// stop begins ([`Context::is_stopping`]). Runs beside the workers, on a thread of its own, and should
    /// take no time.
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

    /// Gives a piece that a task emitted its final form. Called in task order, on the commit
    /// thread, with the total of all tasks *before* this one: here a relative line number becomes
    /// an absolute one. The default hands the piece through.
    fn render(&self, _before: &Self::Total, piece: Vec<u8>) -> Vec<u8> {
        piece
    }

    /// Adds what a task reported to the total, in task order, after its pieces. Bytes appended to
    /// `out` go to the output behind the task's own.
    fn fold(&self, total: &mut Self::Total, partial: Self::Partial, out: &mut Vec<u8>);

    /// After the last task: appends what belongs at the end of the output.
    fn finish(&self, _total: &mut Self::Total, _out: &mut Vec<u8>) {}

    /// Whether the result is about the time at which the job ran, and not about its inputs alone. Such a job
    /// is never "already finished": asked for once more, it is done once more.
    fn is_about_now(&self) -> bool {
        false
    }

    /// Whether the result of a finished job stands. It does not if something is missing from it that the next
    /// run might have: an input could not be read because of an error that may pass. Then the job is never
    /// "already finished" either.
    fn is_final(&self, _total: &Self::Total) -> bool {
        true
    }

    /// The exit code of a finished job, from its total. 0 unless the job says otherwise.
    fn verdict(&self, _total: &Self::Total) -> u8 {
        crate::ending::FINISHED
    }
}

/// Takes the output of the job, in task order, and makes it last. Lives on the commit thread.
///
/// The protocol, in the order of calls: `begin` once; then any number of `write`s, and from time
/// to time `make_durable`; at the very end `make_durable`, `publish`. After the first error no
/// further call is made.
pub trait Sink: Send + 'static {
    /// Called first, for sinks that can be kept waiting by whoever reads them: once the run is over,
    /// this wakes them. They then wait a little longer at the most, and return an error of
    /// [`Kind::Interrupted`](crate::error::Kind::Interrupted). That one is no failure:
    /// [`make_durable`](Sink::make_durable) is called behind it, and says how much has been taken.
    fn interrupt_by(&mut self, _wake: &Arc<Wake>) {}

    /// Whether a [`write`](Sink::write) may end in that way.
    fn may_give_up(&self) -> bool {
        false
    }

    /// Asked before a new job is written down anywhere: whether something stands in the way that is
    /// not ours to remove.
    ///
    /// # Errors
    ///
    /// [`Kind::Refused`](crate::error::Kind::Refused).
    fn may_begin(&self) -> Result<()> {
        Ok(())
    }

    /// Asked before anything is written of a job that is continued: whether [`begin`](Sink::begin) could go
    /// on behind `committed`. It has to find here whatever would make it refuse that, and changes nothing.
    ///
    /// # Errors
    ///
    /// Those of [`begin`](Sink::begin).
    fn may_go_on(&mut self, _committed: &Committed) -> Result<()> {
        Ok(())
    }

    /// Opens the destination. With `committed`, goes on behind what an earlier run committed: the
    /// sink checks that it is still there and removes whatever came after it.
    ///
    /// # Errors
    ///
    /// [`Kind::Usage`](crate::error::Kind::Usage) for a destination that cannot be one,
    /// [`Kind::Refused`](crate::error::Kind::Refused) when the committed output is damaged.
    fn begin(&mut self, committed: Option<&Committed>) -> Result<()>;

    /// Takes the next bytes of the output.
    ///
    /// # Errors
    ///
    /// The first error ends the run.
    fn write(&mut self, bytes: &[u8]) -> Result<()>;

    /// When this returns, everything written so far survives a power cut (as far as the
    /// destination can promise that). What it returns goes into the record.
    ///
    /// # Errors
    ///
    /// A failed flush is never tried again: the kernel may report success the second time although
    /// the bytes are lost.
    fn make_durable(&mut self) -> Result<Committed>;

    /// Whether what an earlier run has committed is where this one can go on behind it. Otherwise the job
    /// begins anew.
    fn can_continue(&self, _committed: &Committed) -> bool {
        true
    }

    /// Whether what was written is out of our hands: it stays although this process is killed before the
    /// next [`make_durable`](Sink::make_durable). Asked for tasks that act elsewhere
    /// ([`Run::act_elsewhere`](crate::Run::act_elsewhere)): then each may be said to be settled at once,
    /// otherwise with the next checkpoint only.
    fn is_immediate(&self) -> bool {
        false
    }

    /// Gives the complete output its final name. Called once, after the record says "finalizing".
    ///
    /// # Errors
    ///
    /// The output stays where it is, and the next run tries again.
    fn publish(&mut self) -> Result<()>;

    /// The run has ended without a result, and no record says what was begun: it can never be continued. What
    /// of it stands in the way of the next run should go.
    fn abandon(&mut self) {}

    /// Whether the published output with this description is there, unharmed. This is asked
    /// instead of `begin` when the record says that the job was finished.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    fn is_published(&mut self, committed: &Committed) -> Result<bool>;
}
