//! Where the tasks of a job come from: a [`Source`] describes the inputs, a [`Listing`] goes through them.

use crate::error::Result;
use crate::task::Mark;
use crate::task::stop_fd::{StopFd, Waited};
use serde_json::Value;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the tasks of a job come from. A source describes the inputs, and opens a [`Listing`] of them.
///
/// A run lists more than once: it may find that the output of a finished job is gone, and start again. One
/// object for the inputs and their listing would have to be reset each time. That is easily forgotten, and
/// then the job has no tasks, an empty output and exit code 0. Here there is nothing to reset: a listing is
/// always new and only goes forward, and a source that opens one cannot change (`&self`).
///
/// All listings share what can be read only once (a pipe). A listing that only compares
/// ([`ListContext::is_rehearsal`]) may keep what it reads for the others; or the source must refuse to open another.
pub trait Source: Send + 'static {
    /// One unit of work.
    type Task: Send + 'static;
    /// The type that lists them.
    type Listing: Listing<Task = Self::Task>;

    /// Opens the inputs for a job that begins: a listing before task 0.
    ///
    /// # Errors
    ///
    /// An input is missing or unreadable: [`Kind::Usage`](crate::error::Kind::Usage) or
    /// [`Kind::Broken`](crate::error::Kind::Broken).
    fn begin(&self) -> Result<Self::Listing>;

    /// Opens the inputs for a job that is continued: a listing before task `frontier`. The source compares
    /// the inputs with the record ([`Listing::described`]), and adopts what must stay the same (block size).
    /// This should cost nothing per finished task where the input allows.
    ///
    /// # Errors
    ///
    /// An input changed: [`Kind::Refused`](crate::error::Kind::Refused), naming it.
    fn resume(&self, described: &Value, frontier: u64) -> Result<Self::Listing>;

    /// Told first which files and directories the run itself writes: its output, its state. They are no input.
    #[doc(hidden)]
    fn leave_out(&mut self, _own: &[PathBuf]) {}

    /// The files that were named as inputs, of which none can be the output.
    #[doc(hidden)]
    fn files(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// Hands its findings to `to`, for all shards of a job: the files of a tree without `own`, the text of lists. Returns the
    /// places of the parts in these bytes. `None`: there is nothing to find, because [`Listing::described`] has everything.
    ///
    /// # Errors
    ///
    /// As [`begin`](Self::begin), and those of `to`.
    #[doc(hidden)]
    fn keep(&self, _own: &[PathBuf], _to: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<Option<Value>> {
        Ok(None)
    }

    /// From now on lists the findings that [`keep`](Self::keep) has handed over, from the file at `path`.
    ///
    /// # Errors
    ///
    /// The file cannot be opened, or is not one of this source.
    #[doc(hidden)]
    fn find_in(&mut self, _path: &Path, _parts: &Value) -> Result<()> {
        Ok(())
    }
}

/// Lists the tasks of a job: lazily, always in the same order, from where its [`Source`] opened it.
///
/// ```
/// use bivouac::{Error, Extent, LastLook, ListContext, Listed, Listing, Mark, Result, Source};
/// use serde_json::Value;
///
/// /// The words of a text, of which any may be another one tomorrow.
/// struct Words(&'static str);
///
/// struct WordListing {
///     words: Vec<&'static str>,
///     next: usize,
/// }
///
/// impl Source for Words {
///     type Task = &'static str;
///     type Listing = WordListing;
///
///     fn begin(&self) -> Result<WordListing> {
///         self.resume(&Value::Null, 0)
///     }
///
///     fn resume(&self, _: &Value, frontier: u64) -> Result<WordListing> {
///         Ok(WordListing { words: self.0.split(' ').collect(), next: frontier as usize })
///     }
/// }
///
/// impl WordListing {
///     /// Of all words before the next one.
///     fn mark(&self) -> Option<Mark> {
///         self.words.get(..self.next).map(|words| Mark(*blake3::hash(words.join(" ").as_bytes()).as_bytes()))
///     }
/// }
///
/// impl Listing for WordListing {
///     type Task = &'static str;
///
///     fn described(&self) -> Result<Value> {
///         Ok(Value::Null) // the marks say whether the words are the same
///     }
///
///     fn next(&mut self, _: &ListContext<'_>) -> Result<Option<Listed<&'static str>>> {
///         let Some(word) = self.words.get(self.next).copied() else { return Ok(None) };
///         self.next += 1;
///         Ok(Some(Listed { task: word, bytes: word.len() as u64, mark: self.mark() }))
///     }
///
///     fn mark_before(&mut self, _: &ListContext<'_>) -> Result<Option<Mark>> {
///         Ok(self.mark())
///     }
///
///     fn what_changed(&self) -> String {
///         "a word is another one".to_string()
///     }
///
///     fn sentences(&self) -> Vec<String> {
///         vec![format!("{} words", self.words.len())]
///     }
///
///     fn holds(&self, word: &&'static str) -> u64 {
///         word.len() as u64
///     }
///
///     fn last_look(&self) -> Option<LastLook> {
///         Some(Box::new(|_: &ListContext<'_>| Ok(vec!["nothing changed meanwhile".to_string()])))
///     }
///
///     fn extent(&self) -> Extent {
///         Extent { tasks: Some(self.words.len() as u64), ..Extent::default() }
///     }
/// }
/// # let place = tempfile::tempdir()?; std::env::set_current_dir(&place)?;
///
/// let shout = |text| bivouac::over(Words(text)).map(|word, _| match word {
///     "bad" => Err("is bad".into()),
///     word => Ok(word.to_uppercase()),
/// });
/// assert_eq!(shout("a rose bad").jobs(1).write_to("out").main(), bivouac::Exit::Code(4));
/// assert_eq!(shout("a nose bad").jobs(1).write_to("out").main(), bivouac::Exit::Code(3), "refused");
/// assert_eq!(shout("a rose").jobs(1).write_to("out").main(), bivouac::Exit::Code(0), "the bad one is gone");
/// assert_eq!(std::fs::read_to_string("out")?, "AROSE");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Listing: Send + 'static {
    /// One unit of work.
    type Task: Send + 'static;

    /// A description of the inputs and of how they are cut into tasks (paths, sizes, times, block size). The record
    /// stores it, and the next run hands it to [`Source::resume`].
    fn described(&self) -> Result<Value>;

    /// The next task, or `None` after the last. Runs on the source thread. An implementation that can block must do so
    /// in [`ListContext::wait_readable`], so that a stop never waits for input. An error ends the job; what was committed
    /// stands.
    fn next(&mut self, cx: &ListContext<'_>) -> Result<Option<Listed<Self::Task>>>;

    /// Sentences about the inputs of a job that is continued ("grew, processed to its old size").
    fn sentences(&self) -> Vec<String> {
        Vec::new()
    }

    /// Told the mark of the task before the frontier, by the record, before [`mark_before`](Listing::mark_before). A
    /// listing whose marks say where it was goes there, and need not list what is done.
    #[doc(hidden)]
    fn go_to(&mut self, _mark: Mark) {}

    /// The mark of the task before the frontier, for sources that give marks; the run compares it with the
    /// record. Asked once, before `next`, of a listing that [`Source::resume`] opened; it may take its time.
    fn mark_before(&mut self, _cx: &ListContext<'_>) -> Result<Option<Mark>> {
        Ok(None)
    }

    /// A sentence for the refusal if the mark is not that of the record: the thing that has changed.
    fn what_changed(&self) -> String {
        "the list of inputs is no longer what it was".to_string()
    }

    /// The journal's note on this task ([`Line::Began`](crate::task::Line::Began)), for sources whose list
    /// may grow between runs: it names the first task that differs.
    #[doc(hidden)]
    fn note(&self, _task: &Self::Task) -> Option<String> {
        None
    }

    /// How many bytes of memory a listed task holds until it is done. The engine lists only a few such tasks
    /// for each slot ahead, and a few megabytes; of others up to a thousand.
    fn holds(&self, _task: &Self::Task) -> u64 {
        0
    }

    /// Whether marks are made by [`Mark::then`]. Then finished tasks may be gone when the job is continued,
    /// and the others keep their numbers ([`TaskOutput::PrintedInOrder`](crate::TaskOutput::PrintedInOrder)).
    #[doc(hidden)]
    fn has_item_marks(&self) -> bool {
        false
    }

    /// Whether listing may wait for a writer. Then the run does not list only to see how the list ends.
    #[doc(hidden)]
    fn is_stream(&self) -> bool {
        false
    }

    /// The digests of the beginnings of a task of several items, shortest first, without the whole, as
    /// [`Mark::then`] takes them. The last task of a list may have been shorter because the list ended there;
    /// by these it is found in a longer one.
    #[doc(hidden)]
    fn beginnings(&self, _task: &Self::Task) -> Vec<[u8; 8]> {
        Vec::new()
    }

    /// Whether there is more to read than when the job began. A finished job then starts again.
    #[doc(hidden)]
    fn has_more(&self) -> bool {
        false
    }

    /// The look at the inputs after the last task. Asked before the first task is listed.
    fn last_look(&self) -> Option<LastLook> {
        None
    }

    /// How much there is to do, where that is known before the end.
    fn extent(&self) -> Extent {
        Extent::default()
    }
}

/// A last look at the inputs, on the commit thread. Returns sentences for a person. It checks
/// [`ListContext::is_stopped`] now and then.
///
/// Errors: [`Kind::Interrupted`](crate::error::Kind::Interrupted) if it was stopped, which leaves everything
/// as after any stop; [`Kind::Refused`](crate::error::Kind::Refused) if an input changed under the tasks.
pub type LastLook = Box<dyn FnOnce(&ListContext<'_>) -> Result<Vec<String>> + Send>;

/// A task as its source lists it.
#[derive(Clone, Debug)]
pub struct Listed<T> {
    /// The task.
    pub task: T,
    /// How many bytes of input it covers: for progress and rate.
    pub bytes: u64,
    /// For sources that cannot go to a task by position: a digest of everything listed up to this task. The
    /// record keeps that of the last committed task; a resumed run with another one is refused.
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

/// The world as a [`Listing`] sees it while it lists: above all, a way to wait that a stop can end.
///
/// ```
/// use bivouac::{Error, ListContext, Listed, Listing, Location, Result, Source, Waited, serde_json::Value};
/// use std::io::{PipeReader, Read, Write};
/// use std::{os::fd::AsFd, time::Duration};
///
/// /// The bytes of a pipe, as they come.
/// struct Bytes(PipeReader);
///
/// fn failed(cause: std::io::Error) -> Error {
///     Error::io("the pipe".as_ref(), "read", &cause)
/// }
///
/// impl Source for Bytes {
///     type Task = u8;
///     type Listing = Bytes;
///
///     fn begin(&self) -> Result<Bytes> {
///         self.0.try_clone().map(Bytes).map_err(failed)
///     }
///
///     fn resume(&self, _: &Value, _: u64) -> Result<Bytes> {
///         Err(Error::refused("the pipe", "cannot be read a second time"))
///     }
/// }
///
/// impl Listing for Bytes {
///     type Task = u8;
///
///     fn described(&self) -> Result<Value> {
///         Ok(Value::Null)
///     }
///
///     fn next(&mut self, cx: &ListContext<'_>) -> Result<Option<Listed<u8>>> {
///         assert!(!cx.is_rehearsal(), "what is read now could not be read again");
///         if cx.is_stopped() || cx.wait_readable(self.0.as_fd()).map_err(failed)? == Waited::Stopped {
///             return Ok(None);
///         }
///         let mut byte = [0];
///         if self.0.read(&mut byte).map_err(failed)? == 0 {
///             // A signal may have ended the writer, and may be about to stop this run too.
///             cx.end_counts(Duration::from_millis(1)).map_err(failed)?;
///             return Ok(None);
///         }
///         Ok(Some(Listed { task: byte[0], bytes: 1, mark: None }))
///     }
/// }
///
/// let (reader, mut writer) = std::io::pipe()?;
/// writer.write_all(b"abc")?;
/// drop(writer);
/// let count = bivouac::over(Bytes(reader)).map(|_, _| Ok(1)).fold(|| 0, |n: &mut u64, one: u64| *n += one);
/// assert_eq!(count.state(Location::Nowhere).into_run()?.run_to_total().1, Some(Some(3)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ListContext<'a> {
    pub(crate) stop: &'a StopFd,
    pub(crate) rehearsal: bool,
    pub(crate) beside: Option<&'a Path>,
}

/// The file of a state in which a listing keeps places from which it can go on sooner.
pub(crate) const ACCESS_POINTS: &str = "access-points";

/// The directory in a state in which a job keeps files of its own. What is in it goes when the job has finished.
#[doc(hidden)]
pub const PIECES: &str = "pieces";

impl<'a> ListContext<'a> {
    /// For a listing that becomes tasks.
    pub(crate) fn real(stop: &'a StopFd) -> Self {
        Self { stop, rehearsal: false, beside: None }
    }

    /// For a listing that is compared.
    pub(crate) fn rehearsal(stop: &'a StopFd) -> Self {
        Self { stop, rehearsal: true, beside: None }
    }

    /// The directory of the state, which may not exist yet.
    pub(crate) fn beside(&self) -> Option<&'a Path> {
        self.beside
    }

    /// Whether this listing is only compared with that of an earlier run. Then another one may be opened
    /// ([`Source::begin`], [`Source::resume`]), so a source that reads a stream must keep what it has read.
    pub fn is_rehearsal(&self) -> bool {
        self.rehearsal
    }

    /// Waits until `input` can be read, and fails as `poll(2)` does. On [`Waited::Stopped`] a source returns `Ok(None)`.
    pub fn wait_readable(&self, input: BorrowedFd<'_>) -> std::io::Result<Waited> {
        self.stop.wait_readable(input)
    }

    /// Holds the end of a stream for this time, and returns whether it counts. It does not if a stop comes meanwhile, or
    /// is on its way: a signal to a pipeline reaches all of it, and the producer may die first. Then a source returns
    /// `Ok(None)`, without an unfinished task, and [`is_stopped`](ListContext::is_stopped) returns true. Fails as `poll(2)`
    /// does.
    pub fn end_counts(&self, held: Duration) -> std::io::Result<bool> {
        // Without signals no stop can come: a list that is only printed.
        self.stop.end_counts(if self.stop.has_signals() { held } else { Duration::ZERO })
    }

    /// Whether the run is over. A source that lists without blocking checks this now and then.
    pub fn is_stopped(&self) -> bool {
        self.stop.is_set()
    }
}

#[cfg(test)]
mod tests;
