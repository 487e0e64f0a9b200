//! Inputs that can be read only once: standard input, pipes, terminals.
//!
//! The danger here is the read that blocks: a thread in `read(0)` learns of no stop, and only a signal gets
//! it out. So a wait for "readable or over" precedes every read, and descriptors that we opened are
//! non-blocking, in case another reader of the same FIFO is faster. Standard input is not made non-blocking:
//! the shell shares the flag with us, and it would outlive this process.

use super::buffer::{has_room, no_room};
use super::open::{open_nonblocking, open_without_waiting};
use crate::error::{At, Error, Result};
use crate::sys::is_closed;
use crate::task::stop_fd::Waited;
use crate::task::{Context, ListContext, TaskError};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long a worker waits for input before it looks at the gate again.
const GLANCE_MS: u8 = 100;

/// How long the end of a stream is held before it counts; as a doubtful 0 of a command.
const END_HELD: Duration = Duration::from_millis(160);

/// How much longer, if the last bytes may be a cut item for a command: half a second in all, as a failure of a command.
pub(super) const CUT_HELD: Duration = Duration::from_millis(340);

const STDIN: [&str; 4] = ["-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"];

/// `SYSFS_MAGIC` of Linux, and what its files say of their size.
const SYSFS_MAGIC: i64 = 0x6265_6572;
const PAGE: u64 = 4096;

/// An input without positions.
///
/// ```
/// use bivouac::input::Stream;
/// # let place = tempfile::tempdir()?; std::env::set_current_dir(&place)?;
/// # std::fs::write("pipe", "what comes")?;
///
/// bivouac::resumable(["pipe"])
///     .map(|path, cx| {
///         let mut stream = Stream::open(path.as_ref())?;
///         let mut buffer = [0; 100];
///         let n = stream.read(&mut buffer, cx)?; // a stop ends the wait
///         Ok(format!("{}: {}", stream.path().display(), String::from_utf8_lossy(&buffer[..n])))
///     })
///     .write_to("out")
///     .main();
/// assert_eq!(std::fs::read_to_string("out")?, "pipe: what comes");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Stream {
    path: PathBuf,
    file: File,
    /// It ends when its writer does.
    has_writer: bool,
    /// What was read to see what it is, and was not handed out.
    first: Vec<u8>,
    /// So many bytes of it have been read by [`fill`](Stream::fill).
    taken: u64,
    /// See [`until`](Stream::until).
    enough: Option<Arc<AtomicBool>>,
}

/// What [`Stream::fill`] came back with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(hidden)]
pub enum Received {
    /// Something was read; there may be more.
    Some,
    /// The end of the stream.
    End,
    /// The run is over: nothing more is wanted.
    Stopped,
}

impl Stream {
    /// Opens `path`; `-` is standard input.
    ///
    /// # Errors
    ///
    /// [`Kind::Usage`](crate::error::Kind::Usage): missing, a directory, not readable.
    pub fn open(path: &Path) -> Result<Self> {
        if STDIN.iter().any(|name| path == Path::new(name)) && is_closed(&io::stdin()) {
            return Err(Error::usage("standard input", "is closed, and was to be read")
                .advise("leave out <&-; where there is nothing to read: </dev/null"));
        }
        let file = if path == Path::new("-") {
            let copy = io::stdin().as_fd().try_clone_to_owned();
            File::from(copy.map_err(|e| Error::named(path, "open standard input", &e))?)
        } else {
            open_nonblocking(path)?
        };
        let kind = file.metadata().at(path, "stat")?.file_type();
        if kind.is_dir() {
            return Err(Error::usage(path.display(), "is a directory"));
        }
        let has_writer = kind.is_fifo() || kind.is_socket() || file.is_terminal();
        Ok(Self { path: path.to_path_buf(), file, has_writer, first: Vec::new(), taken: 0, enough: None })
    }

    /// Whether `path` has no positions: `-`, or anything but a regular file. Regular files that claim to be
    /// empty and are not (`/proc`), or that claim to be a page long (`/sys`), are streams too.
    #[doc(hidden)]
    pub fn is_stream(path: &Path) -> bool {
        if path == Path::new("-") {
            return true;
        }
        let Ok(facts) = path.metadata() else { return false };
        if facts.is_file() {
            // A file that cannot be read is not empty; one that may not be read is no stream.
            let is_not_empty = || match open_without_waiting(path) {
                Ok(mut file) => file.read(&mut [0]).map_or(true, |n| n > 0),
                Err(error) => error.kind() != io::ErrorKind::PermissionDenied,
            };
            let is_made_up = || rustix::fs::statfs(path).is_ok_and(|system| system.f_type == SYSFS_MAGIC);
            (facts.len() == 0 && is_not_empty()) || (facts.len() == PAGE && is_made_up())
        } else {
            !facts.is_dir()
        }
    }

    /// The path as the user gave it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The size, if this is a regular file after all (`bivouac count < FILE`).
    #[doc(hidden)]
    pub fn regular_size(&self) -> Option<u64> {
        self.file.metadata().ok().filter(|facts| facts.is_file()).map(|facts| facts.len())
    }

    /// From here on it ends, as at a stop, where this is set.
    pub(super) fn until(&mut self, enough: Option<&Arc<AtomicBool>>) {
        self.enough = enough.cloned();
    }

    /// Whether the rest of it is not wanted. Waits for the next bytes, and looks up now and then.
    fn has_enough(&self, cx: &ListContext<'_>) -> bool {
        let Some(enough) = &self.enough else { return false };
        let mut fds = [PollFd::new(self.file.as_fd(), PollFlags::POLLIN)];
        while !enough.load(Ordering::Relaxed) && !cx.is_stopped() {
            if !matches!(poll(&mut fds, PollTimeout::from(GLANCE_MS)), Ok(0)) {
                return false;
            }
        }
        enough.load(Ordering::Relaxed)
    }

    /// The first bytes, `wanted` of them or all that there are, before any is handed out. `None` if the run is over.
    pub(super) fn peek(&mut self, wanted: usize, cx: &ListContext<'_>) -> Result<Option<&[u8]>> {
        let mut first = std::mem::take(&mut self.first);
        let mut received = Received::Some;
        while first.len() < wanted && received == Received::Some {
            received = self.fill(&mut first, wanted, cx)?;
        }
        self.first = first;
        Ok((received != Received::Stopped).then_some(&self.first))
    }

    /// For sources: appends to `buffer` until it holds `full` bytes, the writer makes a pause, or
    /// the stream ends, and no stop came with its end.
    ///
    /// # Errors
    ///
    /// Reading failed.
    #[doc(hidden)]
    pub fn fill(&mut self, buffer: &mut Vec<u8>, full: usize, cx: &ListContext<'_>) -> Result<Received> {
        let before = buffer.len();
        buffer.append(&mut self.first);
        while buffer.len() < full {
            // What is there is handed on before the writer is waited for again: he may be a person.
            if buffer.len() > before && !is_readable(self.file.as_fd()) {
                break;
            }
            if self.has_enough(cx) {
                return Ok(Received::Stopped);
            }
            match cx.wait_readable(self.file.as_fd()).map_err(|e| self.error("wait for", &e))? {
                Waited::Stopped => return Ok(Received::Stopped),
                Waited::Ready => {}
            }
            if !has_room(buffer, READ.min(full - buffer.len())) {
                let (held, from) = (buffer.len(), self.taken.saturating_sub(buffer.len() as u64));
                let problem = format_args!("has from byte {from} on a record of more than {held} bytes");
                return Err(no_room(&self.path, problem));
            }
            match append_once(&self.file, buffer, full - buffer.len()) {
                Ok(read @ 1..) => self.taken += read as u64,
                Err(e) if is_passing(&e) => {}
                Ok(0) | Err(_) if !self.end_counts(END_HELD, cx)? => return Ok(Received::Stopped),
                Ok(0) => return Ok(Received::End),
                Err(e) => return Err(self.error("read", &e)),
            }
        }
        Ok(Received::Some)
    }

    /// Whether the end of this stream, or an error of it, counts: no stop came with it.
    pub(super) fn end_counts(&self, held: Duration, cx: &ListContext<'_>) -> Result<bool> {
        Ok(!self.has_writer || cx.end_counts(held).map_err(|e| self.error("wait for", &e))?)
    }

    /// For tasks that own a whole stream: reads what there is, waiting at the gate in between.
    /// `Ok(0)` is the end, with which no stop came.
    ///
    /// # Errors
    ///
    /// [`TaskError::Cancelled`] when the task must give up, or a stop has begun and the stream has a writer;
    /// [`TaskError::Fatal`] if reading failed.
    pub fn read(&mut self, buffer: &mut [u8], cx: &Context<'_>) -> std::result::Result<usize, TaskError> {
        loop {
            cx.yield_point()?;
            // Once a stop has begun no end counts, so the task could only wait for its grace to pass.
            if self.has_writer && cx.shared.gate.is_draining() {
                return Err(TaskError::Cancelled);
            }
            let mut fds = [PollFd::new(self.file.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, PollTimeout::from(GLANCE_MS)) {
                Ok(0) | Err(nix::errno::Errno::EINTR) => continue,
                Ok(_) => {}
                Err(e) => return Err(self.error("wait for", &e.into()).into()),
            }
            let read = self.file.read(buffer);
            match read {
                Ok(n @ 1..) => return Ok(n),
                Err(e) if is_passing(&e) => {}
                Ok(0) | Err(_)
                    if self.has_writer
                        && !cx.end_counts(END_HELD).map_err(|e| self.error("wait for", &e))? =>
                {
                    return Err(TaskError::Cancelled);
                }
                Ok(n) => return Ok(n),
                Err(e) => return Err(self.error("read", &e).into()),
            }
        }
    }

    fn error(&self, step: &str, cause: &io::Error) -> Error {
        Error::io(&self.path, step, cause)
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock)
}

fn is_readable(fd: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::new(fd, PollFlags::POLLIN)];
    matches!(poll(&mut fds, PollTimeout::ZERO), Ok(n) if n > 0)
}

/// Read at once: a pipe holds 64 KiB unless it was enlarged; more room would be zeroed in vain.
const READ: usize = 128 << 10;

/// One `read(2)` that appends to a vector, which has room.
fn append_once(mut file: &File, buffer: &mut Vec<u8>, wanted: usize) -> io::Result<usize> {
    let start = buffer.len();
    buffer.resize(start + wanted.min(READ), 0);
    let result = file.read(&mut buffer[start..]);
    buffer.truncate(start + result.as_ref().copied().unwrap_or(0));
    result
}
