//! The pipes to and from a command, and how its input gets into one.

use crate::error::Error;
use crate::task::TaskError;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, splice};
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// How much is read, and handed on, at a time. Also the size of the pipes, as far as the system gives
/// it: with its default of 64 KiB every second system call is a change of context.
pub(super) const PIECE: usize = 1 << 20;

/// The standard input of a command.
#[derive(Clone, Debug)]
pub enum Feed<'a> {
    /// `/dev/null`.
    Nothing,
    /// These bytes.
    Bytes(&'a [u8]),
    /// This part of a file.
    File {
        /// The file, open for reading.
        file: BorrowedFd<'a>,
        /// From where to where.
        range: Range<u64>,
    },
}

impl Feed<'_> {
    /// How much there is to give.
    pub(super) fn left(&self) -> u64 {
        match self {
            Feed::Nothing => 0,
            Feed::Bytes(rest) => rest.len() as u64,
            Feed::File { range, .. } => range.end.saturating_sub(range.start),
        }
    }
}

/// How far the standard input of a command is.
///
/// Whether a command has *read* its input is not told by any end of ours: a pipe takes a mebibyte from us
/// also when nobody reads. The kernel knows how much is in it, and says so as long as somebody has an end
/// of it open; the writing one has to be closed, or the command never sees the end. So when all is given,
/// a reading end is opened, from which nobody reads. (Not earlier: with a reader of our own we would not
/// hear that the command has closed the other.)
pub(super) enum Input<'a> {
    /// There is none.
    Nothing,
    /// There is more to give.
    Open(Feeding<'a>),
    /// It took no more, or has lost its end to an abort.
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

    /// How much there is to give.
    pub(super) fn left(&self) -> u64 {
        match self {
            Input::Open(feeding) => feeding.left(),
            Input::Nothing | Input::Refused | Input::Given(_) => 0,
        }
    }

    /// Gives as much as goes into the pipe; how much that was. Closes it at the end, or when the command
    /// does not want any more (`head -1`).
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

    /// Of a command that has ended: whether it may have left some of its input unread.
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

/// A standard input to which there is more to give.
pub(super) struct Feeding<'a> {
    to: OwnedFd,
    rest: Feed<'a>,
    /// The file system cannot splice.
    by_copy: bool,
}

/// What comes after some of it was given.
enum Then {
    More,
    Refused,
    AllGiven,
}

impl<'a> Feeding<'a> {
    pub(super) fn new(to: OwnedFd, feed: Feed<'a>) -> Self {
        Self { to, rest: feed, by_copy: false }
    }

    /// Feeds some; how much, and what comes then.
    fn some(&mut self) -> Result<(u64, Then), TaskError> {
        if self.is_empty() {
            return Ok((0, Then::AllGiven));
        }
        let result = match &mut self.rest {
            Feed::Nothing => return Ok((0, Then::AllGiven)),
            Feed::Bytes(rest) => rustix::io::write(&self.to, rest).inspect(|n| *rest = &rest[*n..]),
            Feed::File { file, range } if self.by_copy => copy(*file, range, &self.to),
            Feed::File { file, range } => {
                let most = usize::try_from(range.end - range.start).unwrap_or(PIECE).min(PIECE);
                splice(*file, Some(&mut range.start), &self.to, None, most, SpliceFlags::NONBLOCK)
            }
        };
        match result {
            Ok(0) => Err(Error::refused("input", "became shorter while it was read").into()),
            Ok(n) => Ok((n as u64, if self.is_empty() { Then::AllGiven } else { Then::More })),
            Err(Errno::AGAIN | Errno::INTR) => Ok((0, Then::More)),
            Err(Errno::PIPE) => Ok((0, Then::Refused)),
            Err(Errno::INVAL) if !self.by_copy => {
                self.by_copy = true;
                Ok((0, Then::More))
            }
            Err(errno) => Err(Error::broken("input", format_args!("cannot be fed: {errno}")).into()),
        }
    }

    fn left(&self) -> u64 {
        self.rest.left()
    }

    fn is_empty(&self) -> bool {
        self.left() == 0
    }
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

/// Our end first; it never waits.
fn pipe_towards_us() -> rustix::io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
    patient(&read)?;
    Ok((read, write))
}

/// Our end last; it never waits.
pub(super) fn pipe_from_us() -> rustix::io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
    enlarge(&write);
    patient(&write)?;
    Ok((read, write))
}

/// There is a limit for all pipes of a user together; then it stays as it is. What a command prints gets
/// this only when it prints much: for one that says three words it would cost more than the words.
pub(super) fn enlarge(end: &OwnedFd) {
    rustix::pipe::fcntl_setpipe_size(end, PIECE).ok();
}

fn patient(end: &OwnedFd) -> rustix::io::Result<()> {
    rustix::fs::fcntl_setfl(end, rustix::fs::OFlags::NONBLOCK)
}

/// A pipe through which a command tells us something: our end, and its own. None, if it passes us by.
pub(super) fn output_pipe(passes_by: bool) -> rustix::io::Result<(Option<OwnedFd>, Option<OwnedFd>)> {
    if passes_by {
        return Ok((None, None));
    }
    let (ours, theirs) = pipe_towards_us()?;
    Ok((Some(ours), Some(theirs)))
}

pub(super) fn no_descriptor(errno: nix::errno::Errno) -> Error {
    let error = Error::broken("pipes", format_args!("cannot make one: {}", errno.desc()));
    error.advise("raise the limit of open files (ulimit -n) or use fewer --jobs")
}
