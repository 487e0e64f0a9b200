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

use crate::error::{Error, Result};
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

/// Why a task did not end well.
#[derive(Clone, Debug)]
pub enum TaskError {
    /// The task was asked to give up ([`Context::yield_point`] and friends return this). It is
    /// neither done nor failed: it runs again when the job is continued.
    Cancelled,
    /// The task itself failed, and would fail again. With [`crate::Run::keep_going`] it is left
    /// out and counted; otherwise the job ends with exit code 4 and the state stands.
    Failed(String),
    /// The run cannot go on: an input changed ([`Kind::Refused`](crate::error::Kind::Refused)), a
    /// device failed ([`Kind::Broken`](crate::error::Kind::Broken)).
    Fatal(Error),
    /// The work is done, and its worker is free; but what came of it counts only after this time, since a stop
    /// that comes by then would mean that the task was interrupted. [`Job::settle`] says it then.
    Held {
        /// How long. Pauses come on top of it.
        time: Duration,
        /// It has failed, if no stop comes. That is known from now on: should it be one failure too many
        /// ([`Run::halt`](crate::Run::halt)), no further task begins.
        failing: bool,
    },
    /// The task wants to be tried again after this time, by [`Job::again`]; its worker is free meanwhile.
    /// When a stop begins it is given up, and runs when the job is continued.
    Again(Duration),
}

impl From<Error> for TaskError {
    fn from(error: Error) -> Self {
        TaskError::Fatal(error)
    }
}

/// Where the tasks of a job come from. A source describes the inputs, and opens a [`Listing`] of them.
///
/// Describing and listing are two objects so that nothing can be left over: a run lists more than once (it
/// looks whether a finished job is still what it was, and finds that its output is gone, so the job begins
/// anew), and one object for both would have to be put back each time. That is easily forgotten, and the
/// second time the job has no tasks, an empty output and exit code 0. Here there is nothing to put back:
/// a listing is always new and only goes forward, and a source that opens one cannot change.
///
/// ```compile_fail,E0594
/// # use bivouac::{Listed, ListContext, Listing, Result, Source};
/// # use serde_json::Value;
/// struct Upto {
///     next: u64,
///     bound: u64,
/// }
/// # struct Left(u64);
/// # impl Listing for Left {
/// #     type Task = u64;
/// #     fn described(&self) -> Result<Value> { Ok(Value::Null) }
/// #     fn next(&mut self, _: &ListContext<'_>) -> Result<Option<Listed<u64>>> { Ok(None) }
/// # }
///
/// impl Source for Upto {
///     # type Task = u64;
///     # type Listing = Left;
///     # fn resume(&self, _: &Value, _: u64) -> Result<Left> { Ok(Left(0)) }
///     // ...
///     fn begin(&self) -> Result<Left> {
///         self.next += 1; // error: `self` is a `&` reference
///         // ...
///         # Ok(Left(0))
///     }
/// }
/// ```
///
/// What can be read only once (a pipe) is shared by all listings of a source. A listing that only compares
/// ([`ListContext::is_rehearsal`]) may keep what it reads for the others; if it does not, the source must
/// refuse to open another one.
pub trait Source: Send + 'static {
    /// One unit of work.
    type Task: Send + 'static;
    /// What lists them.
    type Listing: Listing<Task = Self::Task>;

    /// Opens the inputs for a job that begins: a listing before task 0.
    ///
    /// # Errors
    ///
    /// An input is missing or unreadable: [`Kind::Usage`](crate::error::Kind::Usage) or
    /// [`Kind::Broken`](crate::error::Kind::Broken).
    fn begin(&self) -> Result<Self::Listing>;

    /// Opens the inputs for a job that is continued: a listing before task `frontier`. The inputs are compared
    /// with what the record says of them ([`Listing::described`]), and what must be the same (block size) is
    /// adopted. This should cost nothing per finished task where the input allows.
    ///
    /// # Errors
    ///
    /// An input changed: [`Kind::Refused`](crate::error::Kind::Refused), naming it.
    fn resume(&self, described: &Value, frontier: u64) -> Result<Self::Listing>;
}

/// Lists the tasks of a job: lazily, always in the same order, from where its [`Source`] opened it.
pub trait Listing: Send + 'static {
    /// One unit of work.
    type Task: Send + 'static;

    /// What identifies the inputs and how they are cut into tasks (paths, sizes, times, block
    /// size). It is stored in the record and handed to [`Source::resume`] by the next run.
    ///
    /// # Errors
    ///
    /// It cannot be written as JSON.
    fn described(&self) -> Result<Value>;

    /// The next task, or `None` after the last. Runs on the source thread. An implementation that
    /// can block must do so in [`ListContext::wait_readable`], so that a stop never waits for input.
    ///
    /// # Errors
    ///
    /// Ends the job; what was committed stands.
    fn next(&mut self, cx: &ListContext<'_>) -> Result<Option<Listed<Self::Task>>>;

    /// What a person should read about the inputs of a job that is continued ("grew, processed to its old
    /// size").
    fn sentences(&self) -> Vec<String> {
        Vec::new()
    }

    /// The mark of the task before the frontier, for sources that give marks: what was listed before
    /// must be what the last run listed. Asked once, before `next`, of a listing that was opened by
    /// [`Source::resume`]; it may take its time.
    ///
    /// # Errors
    ///
    /// As [`next`](Listing::next).
    fn mark_before(&mut self, _cx: &ListContext<'_>) -> Result<Option<Mark>> {
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

    /// Whether there is more to read than when the job began. Asked of a job that is
    /// finished: it is then not finished with what is there, and begins anew.
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
/// It should look at [`ListContext::is_stopped`] now and then. Errors: one of
/// [`Kind::Interrupted`](crate::error::Kind::Interrupted) if it was, which leaves everything as after any
/// stop; an input changed under the tasks: [`Kind::Refused`](crate::error::Kind::Refused).
pub type LastLook = Box<dyn FnOnce(&ListContext<'_>) -> Result<Vec<String>> + Send>;

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
    /// ([`Listing::has_item_marks`]): `of_task` is a digest of that task alone. It is the end of the mark, so
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

/// What a [`Listing`] may use while it lists: above all, a way to wait that a stop can end.
#[derive(Debug)]
pub struct ListContext<'a> {
    pub(crate) wake: &'a Wake,
    pub(crate) rehearsal: bool,
}

impl<'a> ListContext<'a> {
    /// What is listed becomes tasks.
    pub(crate) fn real(wake: &'a Wake) -> Self {
        Self { wake, rehearsal: false }
    }

    /// What is listed is compared.
    pub(crate) fn rehearsal(wake: &'a Wake) -> Self {
        Self { wake, rehearsal: true }
    }

    /// Whether what is listed now is only compared with the list of an earlier run: then another listing may
    /// be asked for ([`Source::begin`], [`Source::resume`]), so a source that reads a stream has to keep what
    /// it has read.
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
    /// [`is_stopped`](ListContext::is_stopped) says that the run is over.
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

/// What a sink has made durable: part of the record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committed {
    /// Length of the output in bytes.
    pub bytes: u64,
    /// Checksums of its stretches, in order. Neighbours are merged when there are many.
    pub stretches: Vec<Stretch>,
    /// A copy of the last partial 4 KiB block of the output (base64). Appending rewrites the block
    /// in which committed bytes stand, and a torn write could harm them.
    pub tail: String,
    /// How many of the bytes are of the task behind those that are committed: of an output that cannot be
    /// cut off, whose reader took no more. The engine fills this in, and leaves so many bytes out when the
    /// task has run again.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub of_next: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The bytes of output between two checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretch {
    /// How many bytes.
    pub bytes: u64,
    /// Their CRC-32 (IEEE). Chosen because the CRCs of neighbours combine without reading.
    pub crc32: u32,
}
