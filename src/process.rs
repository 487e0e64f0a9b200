//! Commands: how they are started, held, ended and reaped, so that the signals of this process mean
//! for its children what they mean for itself.
//!
//! ```text
//! supervisor ── hold, go on, end, kill ──► Children ◄── spawn, reap ── worker, in Context::call
//!                                             │                            │
//!                                             └───── killpg ──►  a group per command
//! ```
//!
//! Each command leads a process group of its own. Then Ctrl-C and Ctrl-Z at the terminal, which the
//! kernel sends to the whole foreground group, reach bivouac alone; and bivouac, which knows that a
//! second Ctrl-C means more than the first, decides what the commands get, whole families at once.
//!
//! Who knows what:
//!
//! | chapter | what it is about |
//! |---|---|
//! | `process/spawn.rs` | what a child inherits, and what it must not |
//! | `process/children.rs` | the table of those that run; who may signal a process id, and until when |
//! | `process/call.rs` | feeding and reading a command without a deadlock, and how it ended |
//! | `process/call/its_start.rs` | its pipes, and what is done when there is no room for it |
//! | `process/call/its_end.rs` | waiting for its end and that of its group, and bringing it about |
//! | `process/call/leak.rs` | output that does not end with its command |
//! | `process/feed.rs` | the pipes to and from a command |
//! | `process/limits.rs` | when the system has no room for another command |
//! | `process/pace.rs` | how long a command is left alone between two looks |
//! | `process/wait.rs` | what the kernel says of a child, and reaping it |
//! | `process/stat.rs` | what the kernel says of any process |
//! | `process/register.rs` | which commands run or were ended, where the watcher finds it |
//! | `process/watcher.rs` | no command outlives a bivouac that was killed, and nobody one that was ended |

mod call;
mod children;
mod feed;
mod limits;
mod pace;
mod register;
mod spawn;
mod stat;
mod wait;
pub mod watcher;

pub use call::{Call, Finished, How};
pub(crate) use children::{Children, TO_STOP};
pub use feed::Feed;
pub use limits::raise_open_files;
pub(crate) use register::Register;
pub(crate) use spawn::Inheritance;

use std::ffi::{CString, OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// A program and its arguments: no shell, so nothing in them is ever interpreted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    words: Vec<CString>,
    /// What its environment has beyond ours.
    variables: Vec<CString>,
}

impl Command {
    /// `program`, looked up in `PATH` unless it has a slash, and what it is called with. `None` when
    /// there is no program, or when a word holds a NUL, which no program can be given.
    pub fn new<W: AsRef<OsStr>>(words: impl IntoIterator<Item = W>) -> Option<Self> {
        let words: Option<Vec<CString>> =
            words.into_iter().map(|word| CString::new(word.as_ref().as_bytes()).ok()).collect();
        words.filter(|words| !words.is_empty()).map(|words| Self { words, variables: Vec::new() })
    }

    /// One text through `sh -c`. Whoever puts anything into the text must quote it.
    pub fn shell(text: &OsStr) -> Option<Self> {
        Self::new([OsStr::new("/bin/sh"), OsStr::new("-c"), text])
    }

    /// A variable in its environment: `NAME=value`. One that holds a NUL is left out.
    #[must_use]
    pub fn variable(mut self, variable: impl Into<Vec<u8>>) -> Self {
        self.variables.extend(CString::new(variable));
        self
    }

    /// The variables that it has beyond ours.
    pub(crate) fn variables(&self) -> &[CString] {
        &self.variables
    }

    /// The name of the program.
    pub fn program(&self) -> OsString {
        OsString::from_vec(self.words[0].as_bytes().to_vec())
    }

    /// The program and its arguments.
    pub fn argv(&self) -> impl Iterator<Item = &OsStr> {
        self.words.iter().map(|word| OsStr::from_bytes(word.as_bytes()))
    }

    /// The words.
    pub(crate) fn words(&self) -> &[CString] {
        &self.words
    }
}

impl fmt::Display for Command {
    /// For messages: words in a row, control characters as escapes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, word) in self.words.iter().enumerate() {
            let gap = if n > 0 { " " } else { "" };
            write!(f, "{gap}{}", word.as_bytes().escape_ascii())?;
        }
        Ok(())
    }
}
