//! Standard output as a sink: in order, as it comes, and never taken back.
//!
//! A pipe or a terminal cannot take bytes back, so the promise is less than that of a file: across runs every
//! byte comes *at least* once. A checkpoint names what was handed over; the next run hands over again what
//! came after it. After an orderly stop nothing did, and every byte comes exactly once.
//!
//! # Waiting for the reader
//!
//! A write to a full pipe waits for its reader, and a pager that shows the first page may not read on for hours. A stop
//! must not wait that long. The obvious way, `O_NONBLOCK`, belongs to the open file *description*, which we share with the
//! shell and its other children. So a pipe is opened again through `/proc/self/fd`, which gives a description of our own.
//! Where that does not work (a socket), we wait until there is room and write no more than always fits at once.
//!
//! Nor must a stop give up at the first full pipe: if the reader is slower than we are (`| gzip`), every pipe is full. So
//! at the end the run waits longer for a reader that still reads, and only a moment for one that does not.
//!
//! # After a pipe
//!
//! A file that is appended to still has the beginning. The reader of a pipe is mostly gone. So a job that has printed to a
//! pipe or a terminal starts again, unless the caller knows better ([`StreamSink::continued`]).

use crate::error::{Advice, Error, Kind, Result};
use crate::sys::is_closed;
use crate::task::stop_fd::{StopFd, Waited};
use crate::task::{Committed, Sink};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// For how many bytes a pipe has room if `poll` says that it can be written (`PIPE_BUF`).
const ALWAYS_FITS: usize = 4096;

/// How long a run that is over waits for a reader that takes nothing.
const NO_PROGRESS: Duration = Duration::from_secs(1);

/// How long for one that takes something now and then.
const IN_ALL: Duration = Duration::from_secs(5);

/// Writes to a descriptor that is there already, such as standard output.
///
/// ```
/// use bivouac::{Location, sink::StreamSink};
/// use std::io::Read;
///
/// let (mut reader, writer) = std::io::pipe()?;
/// let digits = bivouac::resumable(0..3_u64).map(|n, _| Ok(n.to_string())).state(Location::Nowhere);
/// let ending = digits.into_run()?.sink(StreamSink::new(writer.into(), "the pipe")?).run();
/// let mut text = String::new();
/// reader.read_to_string(&mut text)?;
/// assert_eq!(text, "012");
///
/// let _own = StreamSink::stdout()?; // of this process
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct StreamSink {
    to: File,
    name: &'static str,
    way: Way,
    stop: Option<Arc<StopFd>>,
    /// When a wait gives up, once the run is over.
    until: Option<Instant>,
    written: u64,
    /// The next run continues also after what was printed to a pipe or a terminal.
    continued: bool,
    /// How to write when something else stands on the same terminal.
    around: Option<Around>,
}

/// Surrounds a write, which it calls once. The write returns its last byte, if it wrote any.
#[doc(hidden)]
pub type Around = fn(&mut dyn FnMut() -> Option<u8>);

/// How much may be written at once without being kept waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// A file, which does not wait for a reader.
    Plain,
    /// A description of our own that does not block.
    NonBlocking,
    /// A shared description: only when there is room, and then a little.
    Careful,
}

impl StreamSink {
    /// Writes to this process's standard output. Fails if that is closed.
    pub fn stdout() -> Result<Self> {
        refuse_closed_stdout()?;
        let descriptor = io::stdout().as_fd().try_clone_to_owned();
        Self::new(descriptor.map_err(|e| failed("standard output", &e))?, "standard output")
    }

    /// Writes to `descriptor`, which must be open; `name` is for messages.
    pub fn new(descriptor: OwnedFd, name: &'static str) -> Result<Self> {
        let given = File::from(descriptor);
        let kind = given.metadata().map_err(|e| failed(name, &e))?.file_type();
        let (to, way) = match kind.is_fifo() || kind.is_socket() || kind.is_char_device() {
            false => (given, Way::Plain),
            true => match own_description(&given) {
                Ok(own) if kind.is_fifo() => (own, Way::NonBlocking),
                Ok(_) | Err(_) => (given, Way::Careful),
            },
        };
        Ok(Self { to, name, way, stop: None, until: None, written: 0, continued: false, around: None })
    }

    setters! {
        /// Whether the next run continues after output to a pipe or a terminal. Without this call it does so only after
        /// output to a file: `bivouac grep … | wc -l`, stopped and typed again, would count the rest only. A caller that
        /// knows where the pipe leads (`| cat >>out`) can ask for the rest.
        #[doc(hidden)]
        pub fn continued(yes: bool) => continued = yes;

        /// How to write when a line of progress stands on the same terminal.
        #[doc(hidden)]
        pub fn around(around: Option<Around>) => around = around;
    }

    fn write_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(around) = self.around else { return self.to.write(bytes) };
        let mut written = Err(io::ErrorKind::Interrupted.into());
        around(&mut || {
            written = self.to.write(bytes);
            let length = written.as_ref().ok()?;
            bytes.get(length.checked_sub(1)?).copied()
        });
        written
    }

    /// Waits until there is room, if a reader can keep us waiting.
    fn wait_for_room(&mut self) -> Result<()> {
        let Some(stop) = self.stop.as_ref().filter(|_| self.way != Way::Plain) else { return Ok(()) };
        let room = match self.until {
            None => stop.wait_writable(self.to.as_fd()).map_err(|e| failed(self.name, &e))? == Waited::Ready,
            Some(_) => false,
        };
        if room {
            return Ok(());
        }
        let now = Instant::now();
        let until = *self.until.get_or_insert(now + IN_ALL);
        let patience = until.saturating_duration_since(now).min(NO_PROGRESS);
        match has_room_within(&self.to, patience).map_err(|e| failed(self.name, &e))? {
            true => Ok(()),
            false => Err(Error::new(Kind::Interrupted, self.name, "is not read any more")),
        }
    }
}

/// Fails if this process was started with standard output closed. No write tells: the runtime has put a `/dev/null` there.
#[doc(hidden)]
pub fn refuse_closed_stdout() -> Result<()> {
    match is_closed(&io::stdout()) {
        false => Ok(()),
        true => Err(Error::broken("standard output", "is closed, and this would be printed there")
            .advise("leave out >&-; where nothing is to be seen: >/dev/null")),
    }
}

/// A reader that is gone counts as room: the write will tell.
fn has_room_within(to: &File, patience: Duration) -> io::Result<bool> {
    let end = Instant::now() + patience;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let mut fds = [PollFd::new(to, PollFlags::OUT)];
        match poll(&mut fds, Timespec::try_from(left).ok().as_ref()) {
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
            Ok(ready) => return Ok(ready > 0),
        }
    }
}

fn own_description(given: &File) -> io::Result<File> {
    let path = format!("/proc/self/fd/{}", given.as_raw_fd());
    OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
}

fn failed(name: &str, cause: &io::Error) -> Error {
    if cause.kind() == ErrorKind::BrokenPipe {
        return Error::new(Kind::OutputClosed, name, "was closed by its reader");
    }
    let is_full = matches!(cause.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT));
    let error = Error::io(name.as_ref(), "write", cause);
    if is_full { error.advise("make room").or(Advice::WriteToFile) } else { error }
}

impl Sink for StreamSink {
    fn interrupt_by(&mut self, stop: &Arc<StopFd>) {
        self.stop = Some(Arc::clone(stop));
    }

    fn may_give_up(&self) -> bool {
        self.way != Way::Plain && self.stop.is_some()
    }

    /// Refuses a file that is shorter than the committed output: the shell has emptied it (`>` instead of `>>`), and the
    /// rest would come without its beginning.
    fn may_go_on(&mut self, committed: &Committed) -> Result<()> {
        let facts = self.to.metadata().map_err(|e| failed(self.name, &e))?;
        if facts.is_file() && facts.len() < committed.bytes {
            let (has, was) = (facts.len(), committed.bytes);
            return Err(Error::refused(
                self.name,
                format_args!("is a file of {has} bytes, but {was} are committed"),
            )
            .advise("append to the file of the last run (>>)")
            .or(Advice::StartAfresh));
        }
        Ok(())
    }

    /// There is nothing to go back to: the stream goes on from here.
    fn begin(&mut self, committed: Option<&Committed>) -> Result<()> {
        self.written = committed.map_or(0, |committed| committed.bytes);
        committed.map_or(Ok(()), |committed| self.may_go_on(committed))
    }

    fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            self.wait_for_room()?;
            let most = if self.way == Way::Careful { ALWAYS_FITS.min(bytes.len()) } else { bytes.len() };
            match self.write_some(&bytes[..most]) {
                Ok(written) => {
                    bytes = &bytes[written..];
                    self.written += written as u64;
                }
                Err(e) if matches!(e.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {}
                Err(e) => return Err(failed(self.name, &e)),
            }
        }
        Ok(())
    }

    /// A pipe or a terminal has taken the bytes; a file has them on disk.
    fn make_durable(&mut self) -> Result<Committed> {
        if self.way == Way::Plain {
            match self.to.sync_data() {
                // Not everything that looks like a file can be flushed (/proc, some FUSE mounts).
                Err(e) if e.raw_os_error() != Some(libc::EINVAL) && e.raw_os_error() != Some(libc::EROFS) => {
                    return Err(failed(self.name, &e));
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(Committed { bytes: self.written, ..Committed::default() })
    }

    fn can_continue(&self, committed: &Committed) -> bool {
        self.way == Way::Plain || self.continued || committed.bytes + committed.of_next == 0
    }

    fn is_immediate(&self) -> bool {
        true
    }

    fn publish(&mut self) -> Result<()> {
        Ok(())
    }

    /// Never: printed output cannot be read back, so a job that is run again prints it again.
    fn is_published(&mut self, _committed: &Committed) -> Result<bool> {
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn a_reader_that_does_not_read_on_cannot_hold_a_stop() {
        let (reader, writer) = io::pipe().unwrap();
        let mut sink = StreamSink::new(OwnedFd::from(writer), "a pipe").unwrap();
        let stop = Arc::new(StopFd::new().unwrap());
        sink.interrupt_by(&stop);
        stop.set();
        let error = sink.write(&vec![b'x'; 1 << 20]).unwrap_err();
        assert_eq!(error.kind(), Kind::Interrupted);
        assert!(sink.written > 0, "what fits is written all the same");
        drop(reader);
        assert_eq!(sink.write(b"more").unwrap_err().kind(), Kind::OutputClosed);
    }

    #[test]
    fn everything_arrives_in_order_through_a_small_pipe() {
        let (mut reader, writer) = io::pipe().unwrap();
        let sent: Vec<u8> = (0..300_000u32).flat_map(u32::to_le_bytes).collect();
        let expected = sent.clone();
        let writing = std::thread::spawn(move || {
            let mut sink = StreamSink::new(OwnedFd::from(writer), "a pipe").unwrap();
            sink.interrupt_by(&Arc::new(StopFd::new().unwrap()));
            for piece in sent.chunks(7001) {
                sink.write(piece).unwrap();
            }
        });
        let mut got = Vec::new();
        reader.read_to_end(&mut got).unwrap();
        writing.join().unwrap();
        assert!(got == expected);
    }
}
