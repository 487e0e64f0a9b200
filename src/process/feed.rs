//! The pipes to and from a command, and how its input gets into one.

use crate::error::Error;
use crate::job::TaskError;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, splice};
use std::ops::Range;
use std::os::fd::{BorrowedFd, OwnedFd};

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

/// A command's standard input that is not at its end.
pub(super) struct Feeding<'a> {
    pub(super) to: OwnedFd,
    rest: Feed<'a>,
    /// The file system cannot splice.
    by_copy: bool,
}

impl<'a> Feeding<'a> {
    pub(super) fn new(to: OwnedFd, feed: Feed<'a>) -> Self {
        Self { to, rest: feed, by_copy: false }
    }

    /// Feeds some; how much, and whether that is all.
    pub(super) fn some(&mut self) -> Result<(u64, bool), TaskError> {
        let result = match &mut self.rest {
            Feed::Nothing => return Ok((0, true)),
            Feed::Bytes(rest) => match rest.is_empty() {
                true => return Ok((0, true)),
                false => rustix::io::write(&self.to, rest).inspect(|n| *rest = &rest[*n..]),
            },
            Feed::File { range, .. } if range.is_empty() => return Ok((0, true)),
            Feed::File { file, range } if self.by_copy => copy(*file, range, &self.to),
            Feed::File { file, range } => {
                let most = usize::try_from(range.end - range.start).unwrap_or(PIECE).min(PIECE);
                splice(*file, Some(&mut range.start), &self.to, None, most, SpliceFlags::NONBLOCK)
            }
        };
        match result {
            Ok(0) => Err(Error::refused("input", "became shorter while it was read").into()),
            Ok(n) => Ok((n as u64, self.is_empty())),
            Err(Errno::AGAIN | Errno::INTR) => Ok((0, false)),
            Err(Errno::PIPE) => Ok((0, true)),
            Err(Errno::INVAL) if !self.by_copy => {
                self.by_copy = true;
                Ok((0, false))
            }
            Err(errno) => Err(Error::broken("input", format_args!("cannot be fed: {errno}")).into()),
        }
    }

    fn is_empty(&self) -> bool {
        match &self.rest {
            Feed::Nothing => true,
            Feed::Bytes(rest) => rest.is_empty(),
            Feed::File { range, .. } => range.is_empty(),
        }
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
pub(super) fn pipe_towards_us() -> rustix::io::Result<(OwnedFd, OwnedFd)> {
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
