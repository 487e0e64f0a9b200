//! The inputs of a merge: compressed files, each into a pipe, as fast as the command reads them.

use bivouac::{Error, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, BufReader, PipeReader, PipeWriter, Read, Write};
use std::path::PathBuf;
use zstd::stream::read::Decoder;

/// How much is decompressed at a time.
const PIECE: usize = 256 << 10;

/// The size of a pipe. `sort` reads some hundred KiB of an input in a row, and then waits for none of it.
const PIPE: usize = 1 << 20;

/// How long the command is left alone after each round, in nanoseconds.
///
/// `sort` reads 4 KiB at a time. The obvious loop wakes for each of these, and fills the gap at once. Then the two threads
/// contend for every page of a pipe. But a pipe holds 256 pages, so the command has enough to read meanwhile.
const REST: i64 = 200_000;

/// One of the files.
pub(super) struct Input {
    path: PathBuf,
    from: Decoder<'static, BufReader<File>>,
    to: PipeWriter,
    held: Vec<u8>,
    given: usize,
}

impl Input {
    pub(super) fn new(path: PathBuf, file: File, to: PipeWriter) -> Result<Self> {
        let failed = |e: io::Error| Error::io(&path, "read", &e);
        let from = Decoder::new(file).map_err(failed)?;
        fcntl_setfl(&to, OFlags::NONBLOCK).map_err(|errno| failed(errno.into()))?;
        // At the limit for all pipes of a user it stays as it is.
        rustix::pipe::fcntl_setpipe_size(&to, PIPE).ok();
        Ok(Self { path, from, to, held: Vec::new(), given: 0 })
    }

    /// Gives as much as the pipe takes. Whether there may be more.
    fn give(&mut self) -> Result<bool> {
        if self.given == self.held.len() {
            self.held.clear();
            self.given = 0;
            let read = self.from.by_ref().take(PIECE as u64).read_to_end(&mut self.held);
            if read.map_err(|e| Error::io(&self.path, "decompress", &e))? == 0 {
                return Ok(false);
            }
        }
        match self.to.write(&self.held[self.given..]) {
            Ok(given) => self.given += given,
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => return Ok(false),
            Err(e) => return Err(Error::broken("input", format_args!("cannot be fed: {e}"))),
        }
        Ok(true)
    }
}

/// Feeds all of them until all is given, or the other end of `over` is closed: the command has ended.
pub(super) fn feed(mut inputs: Vec<Input>, over: &PipeReader) -> Result<()> {
    while !inputs.is_empty() {
        let mut fds: Vec<_> = inputs.iter().map(|input| PollFd::new(&input.to, PollFlags::OUT)).collect();
        fds.push(PollFd::new(over, PollFlags::IN));
        match poll(&mut fds, None) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(Error::broken("input", format_args!("cannot be fed: {errno}"))),
        }
        let mut ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        if ready.pop() == Some(true) {
            return Ok(());
        }
        let mut rest = Vec::with_capacity(inputs.len());
        for (mut input, is_ready) in inputs.into_iter().zip(ready) {
            if !is_ready || input.give()? {
                rest.push(input);
            }
        }
        inputs = rest;
        let time = Timespec { tv_sec: 0, tv_nsec: REST };
        if poll(&mut [PollFd::new(over, PollFlags::IN)], Some(&time)).is_ok_and(|ready| ready > 0) {
            return Ok(());
        }
    }
    Ok(())
}
