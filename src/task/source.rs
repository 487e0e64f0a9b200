//! Where the tasks of a job come from: a [`Source`] describes the inputs, a [`Listing`] goes through them.

use crate::error::Result;
use crate::task::Mark;
use crate::task::stop_fd::{StopFd, Waited};
use serde_json::Value;
use std::os::fd::BorrowedFd;
use std::time::Duration;

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
    /// [`Line::Began`]: crate::task::Line::Began
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
    /// job is continued ([`TaskOutput::PrintedInOrder`](crate::TaskOutput::PrintedInOrder)): the others keep their numbers.
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
    pub(crate) stop: &'a StopFd,
    pub(crate) rehearsal: bool,
}

impl<'a> ListContext<'a> {
    /// What is listed becomes tasks.
    pub(crate) fn real(stop: &'a StopFd) -> Self {
        Self { stop, rehearsal: false }
    }

    /// What is listed is compared.
    pub(crate) fn rehearsal(stop: &'a StopFd) -> Self {
        Self { stop, rehearsal: true }
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
        self.stop.wait_readable(input)
    }

    /// Holds the end of a stream for this time: whether it counts. It does not if a stop comes meanwhile,
    /// or is on its way; then a source returns `Ok(None)`, without what it has of an unfinished task, and
    /// [`is_stopped`](ListContext::is_stopped) says that the run is over.
    ///
    /// Whoever ends a pipeline sends his signal to all of it, and the producer may be the first to die. For
    /// a source that reads by `Stream::fill` all of this is done there.
    ///
    /// # Errors
    ///
    /// Those of `poll(2)`.
    pub fn end_counts(&self, held: Duration) -> std::io::Result<bool> {
        // Where nobody hears signals nothing can come meanwhile: a list that is only printed.
        self.stop.end_counts(if self.stop.has_signals() { held } else { Duration::ZERO })
    }

    /// Whether the run is over: a source that lists without blocking looks here now and then.
    pub fn is_stopped(&self) -> bool {
        self.stop.is_set()
    }
}
