//! What one has to write to run a job of one's own: a [`Job`] says what a task does, a [`Source`]
//! lists the tasks, a [`Sink`] makes the output last. The built-in verbs are written on exactly
//! these traits and nothing else.
//!
//! The division of labour is what makes the output a function of the input alone:
//!
//! | who | thread | may depend on |
//! |---|---|---|
//! | [`Source::next`] | source | the input; lists always in the same order |
//! | [`Job::run`] | any worker, any order | its task and nothing else |
//! | [`Job::render`], [`Job::fold`], [`Job::finish`] | commit | what came before, **in task order** |
//! | [`Sink`] | commit | the bytes handed to it |
//!
//! So whatever needs to know "how many lines came before me" waits for the commit thread, where
//! there is a before; everything else happens in the workers, where there is none.

mod committed;
mod task_error;

pub use committed::{Committed, Stretch};
pub use task_error::{Presumed, TaskError};

use crate::error::Result;
use crate::pool::Context;
use crate::wake::{Waited, Wake};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

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

/// Lists the tasks of a job: lazily, always in the same order.
pub trait Source: Send + 'static {
    /// One unit of work.
    type Task: Send + 'static;

    /// What identifies the inputs and how they are cut into tasks (paths, sizes, times, block
    /// size). It is stored in the record and handed to [`restore`](Source::restore) by the next
    /// run. Called before the first task is listed; from here on `next` begins at task 0, also when
    /// `restore` was called before (of a job that was finished, and begins anew).
    ///
    /// # Errors
    ///
    /// An input is missing or unreadable: [`Kind::Usage`](crate::error::Kind::Usage) or
    /// [`Kind::Broken`](crate::error::Kind::Broken).
    fn describe(&mut self) -> Result<Value>;

    /// Called instead of `describe` when a job is continued: compares the inputs with what the
    /// record says, adopts what must be the same (block size), and makes `next` go on at task
    /// `frontier`. This should cost nothing per finished task where the input allows.
    ///
    /// Returns sentences that a person should read ("grew, processed to its old size").
    ///
    /// # Errors
    ///
    /// An input changed: [`Kind::Refused`](crate::error::Kind::Refused), naming it.
    fn restore(&mut self, described: &Value, frontier: u64) -> Result<Vec<String>>;

    /// The next task, or `None` after the last. Runs on the source thread. An implementation that
    /// can block must do so in [`Listing::wait_readable`], so that a stop never waits for input.
    ///
    /// # Errors
    ///
    /// Ends the job; what was committed stands.
    fn next(&mut self, listing: &Listing<'_>) -> Result<Option<Listed<Self::Task>>>;

    /// The mark of the task before the frontier, for sources that give marks: what was listed before
    /// must be what the last run listed. Asked once, after [`restore`](Source::restore) and before
    /// `next`, on the source thread, so it may take its time.
    ///
    /// # Errors
    ///
    /// As [`next`](Source::next).
    fn mark_before(&mut self, _listing: &Listing<'_>) -> Result<Option<Mark>> {
        Ok(None)
    }

    /// What it is whose mark is another one than in the record, for the message.
    fn what_changed(&self) -> String {
        "the list of inputs is no longer what it was".to_string()
    }

    /// What the journal says of this task ([`Line::Began`]), for sources whose list may grow between
    /// runs: by this the first task is named that is not what it was.
    ///
    /// [`Line::Began`]: crate::journal::Line::Began
    fn note(&self, _task: &Self::Task) -> Option<String> {
        None
    }

    /// How many bytes of memory a listed task holds until it is done. Sources whose tasks own a part of the
    /// input say so: then they are not asked for more than a few tasks for each slot and a few megabytes
    /// beyond. Without an answer up to a thousand tasks are listed ahead.
    fn holds(&self, _task: &Self::Task) -> u64 {
        0
    }

    /// Whether marks are made by [`Mark::then`]. Then tasks that are done may be gone from the list when the
    /// job is continued ([`Run::act_elsewhere`](crate::Run::act_elsewhere)): the others keep their numbers.
    fn has_item_marks(&self) -> bool {
        false
    }

    /// Whether listing may have to wait for somebody who writes: then nothing is listed only to see how the
    /// list ends.
    fn is_stream(&self) -> bool {
        false
    }

    /// Of a task that is put together of several items: the digests of its beginnings, shortest first and
    /// without the whole of it, as [`Mark::then`] takes them. The last task of a list may have been shorter
    /// because the list ended there; by these it is found in a longer one.
    fn beginnings(&self, _task: &Self::Task) -> Vec<[u8; 8]> {
        Vec::new()
    }

    /// Whether there is more to read than when the job began. Asked after [`restore`](Source::restore), of a
    /// job that is finished: it is then not finished with what is there, and begins anew.
    fn has_more(&self) -> bool {
        false
    }

    /// What is to be looked at when the last task is done, before the output gets its name. Asked before
    /// the first task is listed.
    fn last_look(&self) -> Option<LastLook> {
        None
    }

    /// How much there is to do, where that is known before the end.
    fn extent(&self) -> Extent {
        Extent::default()
    }
}

/// A last look at the inputs, on the commit thread. Returns sentences that a person should read.
///
/// It should look at [`Listing::is_stopped`] now and then. Errors: one of
/// [`Kind::Interrupted`](crate::error::Kind::Interrupted) if it was, which leaves everything as after any
/// stop; an input changed under the tasks: [`Kind::Refused`](crate::error::Kind::Refused).
pub type LastLook = Box<dyn FnOnce(&Listing<'_>) -> Result<Vec<String>> + Send>;

/// A task as its source lists it.
#[derive(Clone, Debug)]
pub struct Listed<T> {
    /// The task.
    pub task: T,
    /// How many bytes of input it covers: for progress and rate.
    pub bytes: u64,
    /// For sources that cannot go to a task by position: a digest of everything listed up to and
    /// including this task. The record keeps the mark of the last committed task; a resumed run
    /// that lists something else at that place is refused.
    pub mark: Option<Mark>,
}

/// A running digest over what a source has listed (see [`Listed::mark`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark(#[serde(with = "crate::checkpoint::hex32")] pub [u8; 32]);

impl Mark {
    /// Its first bytes, where there is no room for all of them: enough to tell two lists apart, of which
    /// nobody has made one to look like the other.
    pub(crate) fn trace(self) -> [u8; 8] {
        self.0.first_chunk().copied().unwrap_or_default()
    }

    /// The mark of the next task of a list whose tasks can leave it once they are done
    /// ([`Source::has_item_marks`]): `of_task` is a digest of that task alone. It is the end of the mark, so
    /// the mark of a longer list can be computed from that of a shorter one and from what has gone.
    #[must_use]
    pub fn then(self, of_task: [u8; 8]) -> Self {
        let mut linked = self.0;
        linked[24..].copy_from_slice(&of_task);
        let mut mark = *blake3::hash(&linked).as_bytes();
        mark[24..].copy_from_slice(&of_task);
        Self(mark)
    }

    /// The digest of the task alone.
    pub(crate) fn of_task(self) -> [u8; 8] {
        self.0.last_chunk().copied().unwrap_or_default()
    }
}

/// The size of a job, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Number of tasks.
    pub tasks: Option<u64>,
    /// Bytes of input.
    pub bytes: Option<u64>,
    /// Bytes of input in the tasks before the one at which this run began.
    pub bytes_before: u64,
}

/// What a source may use while it lists: above all, a way to wait that a stop can end.
#[derive(Debug)]
pub struct Listing<'a> {
    pub(crate) wake: &'a Wake,
    pub(crate) rehearsal: bool,
}

impl<'a> Listing<'a> {
    /// What is listed becomes tasks.
    pub(crate) fn real(wake: &'a Wake) -> Self {
        Self { wake, rehearsal: false }
    }

    /// What is listed is compared.
    pub(crate) fn rehearsal(wake: &'a Wake) -> Self {
        Self { wake, rehearsal: true }
    }

    /// Whether what is listed now is only compared with the list of an earlier run: then the list may be
    /// asked for once more from its beginning ([`Source::describe`], [`Source::restore`]), so a source
    /// that reads a stream has to keep what it has read.
    pub fn is_rehearsal(&self) -> bool {
        self.rehearsal
    }

    /// Waits until `input` can be read or the run is over. On [`Waited::Stopped`] a source returns
    /// `Ok(None)` without having listed anything more.
    ///
    /// # Errors
    ///
    /// Those of `poll(2)`.
    pub fn wait_readable(&self, input: BorrowedFd<'_>) -> std::io::Result<Waited> {
        self.wake.wait_readable(input)
    }

    /// Holds the end of a stream for this time: whether it counts. It does not if a stop comes meanwhile,
    /// or is on its way; then a source returns `Ok(None)`, without what it has of an unfinished task, and
    /// [`is_stopped`](Listing::is_stopped) says that the run is over.
    ///
    /// Whoever ends a pipeline sends his signal to all of it, and the producer may be the first to die. For
    /// a source that reads by [`Stream::fill`](crate::input::Stream::fill) all of this is done there.
    ///
    /// # Errors
    ///
    /// Those of `poll(2)`.
    pub fn end_counts(&self, held: Duration) -> std::io::Result<bool> {
        // Where nobody hears signals nothing can come meanwhile: a list that is only printed.
        self.wake.end_counts(if self.wake.hears() { held } else { Duration::ZERO })
    }

    /// Whether the run is over: a source that lists without blocking looks here now and then.
    pub fn is_stopped(&self) -> bool {
        self.wake.is_awake()
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
