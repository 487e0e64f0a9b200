//! A command as a job describes it, and how it ended. The room of the processes runs it.

use crate::task::TaskError;
use serde::{Deserialize, Serialize};
use std::ffi::{CString, OsStr, OsString};
use std::fmt;
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::time::{Duration, SystemTime};

/// A program and its arguments: no shell, so nothing in them is ever interpreted.
///
/// ```
/// use bivouac::process::Command;
///
/// let command = Command::new(["make", "-j", "2"]).ok_or("no program")?.variable("V=1").directory("/src".as_ref());
/// assert_eq!(command.program(), "make");
/// assert!(command.argv().eq(["make", "-j", "2"]));
/// assert!(Command::new(["a\0b"]).is_none(), "no program can receive that");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    pub(crate) words: Vec<CString>,
    /// Its environment beyond ours.
    pub(crate) variables: Vec<CString>,
    /// Where it runs, if not here.
    pub(crate) directory: Option<CString>,
}

impl Command {
    /// The program, looked up in `PATH` unless its name has a slash, and its arguments. `None` without a
    /// program, or when a word holds a NUL, because no program can receive that.
    pub fn new<W: AsRef<OsStr>>(words: impl IntoIterator<Item = W>) -> Option<Self> {
        let words = words.into_iter().map(|word| CString::new(word.as_ref().as_bytes()).ok());
        let words: Vec<CString> = words.collect::<Option<_>>()?;
        (!words.is_empty()).then_some(Self { words, variables: Vec::new(), directory: None })
    }

    /// Adds a variable to its environment: `NAME=value`. One that holds a NUL is left out.
    #[must_use]
    pub fn variable(mut self, variable: impl Into<Vec<u8>>) -> Self {
        self.variables.extend(CString::new(variable));
        self
    }

    /// Runs it in another directory, also to look for a program with a slash in its name. Not in one with a NUL.
    #[must_use]
    pub fn directory(mut self, directory: &OsStr) -> Self {
        self.directory = CString::new(directory.as_bytes()).ok();
        self
    }

    /// The name of the program.
    pub fn program(&self) -> OsString {
        OsString::from_vec(self.words[0].as_bytes().to_vec())
    }

    /// The program and its arguments.
    pub fn argv(&self) -> impl Iterator<Item = &OsStr> {
        self.words.iter().map(|word| OsStr::from_bytes(word.as_bytes()))
    }
}

impl fmt::Display for Command {
    /// For messages: words in a row, control characters as escapes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> =
            self.words.iter().map(|word| word.as_bytes().escape_ascii().to_string()).collect();
        f.write_str(&words.join(" "))
    }
}

/// A command with all that it is run with.
///
/// ```
/// use bivouac::process::{Call, Command, Feed, Finished, How};
/// use std::time::Duration;
/// # let place = tempfile::tempdir()?; std::env::set_current_dir(&place)?;
///
/// bivouac::resumable(["ab", "c"])
///     .map(|text, cx| {
///         let command = Command::new(["wc", "-c"]).ok_or("no program")?;
///         let (feed, timeout) = (Feed::Bytes(text.as_bytes()), Some(Duration::from_secs(60)));
///         let call = Call { feed, timeout, ..Call::of(&command) };
///         let Finished { how, .. } = cx.call(&call, &mut |piece| cx.emit(piece), &mut |_said| ())?;
///         if how == How::Code(0) { Ok(()) } else { Err(format!("wc: {how:?}").into()) }
///     })
///     .write_to("lengths.txt")
///     .main();
/// assert_eq!(std::fs::read_to_string("lengths.txt")?, "2\n1\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Call<'a> {
    /// The command.
    pub command: &'a Command,
    /// Its standard input.
    pub feed: Feed<'a>,
    /// After this time, pauses not counted, it is told to end.
    pub timeout: Option<Duration>,
    /// This long after it was told to end it is killed.
    pub kill_after: Duration,
    /// Its output and its messages go where ours go, and not through us.
    pub passes_through: bool,
    /// Its output is handed over as it comes, and not in large pieces.
    pub at_once: bool,
    /// Whether it matters that its output is complete.
    pub output_counts: bool,
}

impl<'a> Call<'a> {
    /// This command without input and timeout, whose output is handed over; it is killed 2 s after it was told to end.
    pub fn of(command: &'a Command) -> Self {
        Self {
            command,
            feed: Feed::Nothing,
            timeout: None,
            kill_after: Duration::from_secs(2),
            passes_through: false,
            at_once: false,
            output_counts: true,
        }
    }
}

/// The standard input of a command.
#[derive(Clone, Debug)]
pub enum Feed<'a> {
    /// `/dev/null`.
    Nothing,
    /// `/dev/null`; and these stay open in the command under the numbers that they have here. It reads `/dev/fd/7`.
    Files(&'a [BorrowedFd<'a>]),
    /// These bytes.
    Bytes(&'a [u8]),
    /// This part of a file.
    File {
        /// The file, open for reading.
        file: BorrowedFd<'a>,
        /// From where to where.
        range: Range<u64>,
    },
    /// These bytes, which are no part of the input, and then it.
    After {
        /// The bytes that come first.
        head: &'a [u8],
        /// The input after them.
        then: Box<Feed<'a>>,
    },
}

impl Feed<'_> {
    pub(crate) fn left(&self) -> u64 {
        match self {
            Feed::Nothing | Feed::Files(_) => 0,
            Feed::Bytes(rest) => rest.len() as u64,
            Feed::File { range, .. } => range.end.saturating_sub(range.start),
            Feed::After { head, then } => head.len() as u64 + then.left(),
        }
    }
}

/// Takes the standard output of a command, piece by piece.
pub(crate) type Out<'a> = dyn FnMut(Vec<u8>) -> Result<(), TaskError> + 'a;

/// Takes the standard error of a command, as it comes.
pub(crate) type Err<'a> = dyn FnMut(&[u8]) + 'a;

/// A command that has ended by itself, or by its timeout.
#[derive(Clone, Copy, Debug)]
pub struct Finished {
    /// How it ended.
    pub how: How,
    /// Whether we had sent it a signal that ends programs. Then a 0 means nothing.
    pub told_to_end: bool,
    /// Whether it left input unread (`head -1`), or was told to end by another process and made a 0 of that.
    pub left_input: bool,
    /// Whether it may have made its 0 of a SIGTERM. Known only if its output counts.
    pub may_have_handled_sigterm: bool,
    /// If the command failed: whether a stop that is not known yet may be the reason. Then the failure counts only if no stop
    /// comes; [`Context::attempt`](crate::Context::attempt) waits for that.
    pub may_be_of_a_stop: bool,
    /// When it began.
    pub began: SystemTime,
    /// How long it took, pauses not counted.
    pub took: Duration,
    /// The time, memory and bytes that it used.
    pub usage: Usage,
    /// Its number in the run.
    pub(crate) tag: Option<Tag>,
}

/// The resources that a command used, together with those descendants for which it has waited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Processor time in its own code, in microseconds.
    pub user_us: u64,
    /// Processor time in the kernel, in microseconds.
    pub system_us: u64,
    /// The most memory that one of its processes had at once. Linux counts from before exec, when a process
    /// shares the memory of this program; so it is never less than that.
    pub peak_bytes: u64,
    /// Bytes of standard input that it was fed.
    pub bytes_in: u64,
    /// Bytes of its standard output that were read.
    pub bytes_out: u64,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// With this code.
    Code(i32),
    /// By this signal, as a number.
    Signal(i32),
    /// It was told to end, because its time was over.
    TimedOut,
    /// It was killed because it used the terminal (SIGTTIN, SIGTTOU): nothing would continue it.
    WantedTerminal,
}

/// A command of a run: its slot, and its turn in that slot (`src/process/process_groups.rs`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tag {
    pub(crate) slot: u32,
    pub(crate) turn: u32,
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.slot, self.turn)
    }
}

impl Tag {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (slot, turn) = text.split_once('.')?;
        Some(Self { slot: slot.parse().ok()?, turn: turn.parse().ok()? })
    }
}
