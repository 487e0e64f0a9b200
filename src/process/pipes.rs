//! The pipes to and from a command, and how its input gets into one.

use super::limits::is_one_of_the_last;
use super::spawn::Streams;
use crate::error::{Advice, Error};
use crate::task::TaskError;
use crate::task::command::Feed;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, splice};
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// How many bytes are read and handed on at a time. Also the size of the pipes, as far as the system allows it: with its
/// default of 64 KiB every second system call is a change of context.
pub(super) const PIECE: usize = 1 << 20;

/// How far the standard input of a command is.
///
/// Our writing end does not tell whether the command has *read* its input: a pipe takes a mebibyte from us also without a
/// reader. The kernel reports how much is in the pipe as long as an end of it is open; but the writing end must be closed,
/// or the command never sees the end. So when all is given, this side opens a reading end and reads nothing from it. (Not
/// earlier: with a reader of our own the kernel would not report that the command has closed the other.)
pub(super) enum Input<'a> {
    Nothing,
    Open(Feeding<'a>),
    /// The command took no more, or an abort has closed the pipe.
    Refused,
    /// All is given; `None` if no end could be opened.
    Given(Option<OwnedFd>),
}

impl Input<'_> {
    /// Where to write, if there is more to give.
    pub(super) fn end(&self) -> Option<&OwnedFd> {
        match self {
            Input::Open(feeding) => Some(&feeding.to),
            Input::Nothing | Input::Refused | Input::Given(_) => None,
        }
    }

    pub(super) fn left(&self) -> u64 {
        match self {
            Input::Open(feeding) => feeding.rest.left(),
            Input::Nothing | Input::Refused | Input::Given(_) => 0,
        }
    }

    /// Gives as much as the pipe takes; returns how much. Closes it at the end, or if no more is wanted.
    pub(super) fn feed(&mut self) -> Result<u64, TaskError> {
        let Input::Open(feeding) = self else { return Ok(0) };
        let (fed, then) = feeding.some()?;
        match then {
            Then::More => {}
            Then::Refused => *self = Input::Refused,
            Then::AllGiven => *self = Input::Given(reading_end(&feeding.to).ok()),
        }
        Ok(fed)
    }

    /// Whether a command that has ended may have left some of its input unread.
    pub(super) fn was_left(&self) -> bool {
        match self {
            Input::Nothing => false,
            Input::Open(_) | Input::Refused | Input::Given(None) => true,
            Input::Given(Some(pipe)) => rustix::io::ioctl_fionread(pipe) != Ok(0),
        }
    }
}

fn reading_end(pipe: &OwnedFd) -> rustix::io::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", pipe.as_raw_fd());
    rustix::fs::open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())
}

pub(super) struct Feeding<'a> {
    to: OwnedFd,
    rest: Feed<'a>,
    /// The file system cannot splice.
    by_copy: bool,
}

enum Then {
    More,
    Refused,
    AllGiven,
}

impl Feeding<'_> {
    fn some(&mut self) -> Result<(u64, Then), TaskError> {
        if self.rest.left() == 0 {
            return Ok((0, Then::AllGiven));
        }
        if let Feed::After { head, then } = &mut self.rest {
            match rustix::io::write(&self.to, head) {
                Ok(n) => *head = &head[n..],
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(Errno::PIPE) => return Ok((0, Then::Refused)),
                Err(errno) => return Err(not_fed(errno)),
            }
            if head.is_empty() {
                self.rest = std::mem::replace(&mut **then, Feed::Nothing);
            }
            // No byte of the input.
            return Ok((0, if self.rest.left() == 0 { Then::AllGiven } else { Then::More }));
        }
        let result = match &mut self.rest {
            Feed::Nothing | Feed::Files(_) | Feed::After { .. } => return Ok((0, Then::AllGiven)),
            Feed::Bytes(rest) => rustix::io::write(&self.to, rest).inspect(|n| *rest = &rest[*n..]),
            Feed::File { file, range } if self.by_copy => copy(*file, range, &self.to),
            Feed::File { file, range } => {
                let most = usize::try_from(range.end - range.start).unwrap_or(PIECE).min(PIECE);
                splice(*file, Some(&mut range.start), &self.to, None, most, SpliceFlags::NONBLOCK)
            }
        };
        match result {
            Ok(0) => Err(Error::refused("input", "became shorter while it was read").into()),
            Ok(n) => Ok((n as u64, if self.rest.left() == 0 { Then::AllGiven } else { Then::More })),
            Err(Errno::AGAIN | Errno::INTR) => Ok((0, Then::More)),
            Err(Errno::PIPE) => Ok((0, Then::Refused)),
            Err(Errno::INVAL) if !self.by_copy => {
                self.by_copy = true;
                Ok((0, Then::More))
            }
            Err(errno) => Err(not_fed(errno)),
        }
    }
}

fn not_fed(errno: Errno) -> TaskError {
    Error::broken("input", format_args!("cannot be fed: {errno}")).into()
}

/// For file systems that cannot splice.
fn copy(file: BorrowedFd<'_>, range: &mut Range<u64>, to: &OwnedFd) -> rustix::io::Result<usize> {
    let mut buffer = vec![0; 64 << 10];
    let most = usize::try_from(range.end - range.start).unwrap_or(buffer.len()).min(buffer.len());
    let read = rustix::io::pread(file, &mut buffer[..most], range.start)?;
    let written = rustix::io::write(to, &buffer[..read])?;
    range.start += written as u64;
    Ok(written)
}

pub(super) struct Pipes<'a> {
    pub(super) stdin: Input<'a>,
    pub(super) stdout: Option<OwnedFd>,
    pub(super) stderr: Option<OwnedFd>,
    pub(super) theirs: Theirs<'a>,
}

/// The ends for the command: to be closed here when it has begun, or its output never ends.
pub(super) struct Theirs<'a> {
    stdin: Option<OwnedFd>,
    /// Of standard output and standard error; `None`, if they go where ours go.
    outputs: Option<(OwnedFd, OwnedFd)>,
    files: &'a [BorrowedFd<'a>],
    ours: (io::Stdout, io::Stderr),
}

impl<'a> Pipes<'a> {
    /// Fails if the system has no descriptor left, or hardly one.
    pub(super) fn open(feed: &Feed<'a>, passes_through: bool) -> rustix::io::Result<Self> {
        let (stdout, stderr, outputs) = if passes_through {
            (None, None, None)
        } else {
            let ((stdout, their_stdout), (stderr, their_stderr)) = (pipe_towards_us()?, pipe_towards_us()?);
            (Some(stdout), Some(stderr), Some((their_stdout, their_stderr)))
        };
        let (stdin, their_stdin) = match feed {
            Feed::Nothing | Feed::Files(_) => (Input::Nothing, None),
            Feed::Bytes(_) | Feed::File { .. } | Feed::After { .. } => {
                let (theirs, ours) = pipe_from_us()?;
                (Input::Open(Feeding { to: ours, rest: feed.clone(), by_copy: false }), Some(theirs))
            }
        };
        let latest = [their_stdin.as_ref(), outputs.as_ref().map(|(_, stderr)| stderr)];
        if latest.into_iter().flatten().any(|end| is_one_of_the_last(end.as_raw_fd())) {
            return Err(Errno::MFILE);
        }
        let files = match feed {
            Feed::Files(files) => *files,
            Feed::Nothing | Feed::Bytes(_) | Feed::File { .. } | Feed::After { .. } => &[],
        };
        let theirs = Theirs { stdin: their_stdin, outputs, files, ours: (io::stdout(), io::stderr()) };
        Ok(Self { stdin, stdout, stderr, theirs })
    }
}

impl Theirs<'_> {
    pub(super) fn streams(&self) -> Streams<'_> {
        let ours = || (self.ours.0.as_fd(), self.ours.1.as_fd());
        let (stdout, stderr) =
            self.outputs.as_ref().map_or_else(ours, |(out, err)| (out.as_fd(), err.as_fd()));
        Streams { stdin: self.stdin.as_ref().map(AsFd::as_fd), stdout, stderr, files: self.files }
    }
}

/// A reading end for us, which never waits, and a writing end.
fn pipe_towards_us() -> rustix::io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
    rustix::fs::fcntl_setfl(&read, OFlags::NONBLOCK)?;
    Ok((read, write))
}

/// A reading end, and a writing end for us, which never waits.
fn pipe_from_us() -> rustix::io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
    enlarge(&write);
    rustix::fs::fcntl_setfl(&write, OFlags::NONBLOCK)?;
    Ok((read, write))
}

/// Makes the pipe as large as a piece, unless the limit for all pipes of a user is reached. Only large output gets this:
/// for a command that prints three words it would cost more than the words.
pub(super) fn enlarge(end: &OwnedFd) {
    rustix::pipe::fcntl_setpipe_size(end, PIECE).ok();
}

/// The message for a system that has no descriptor left.
pub(super) fn no_descriptor(errno: nix::errno::Errno) -> Error {
    let error = Error::broken("pipes", format_args!("cannot make one: {}", errno.desc()));
    error.advise("raise the limit of open files (ulimit -n)").or(Advice::FewerTasks)
}
