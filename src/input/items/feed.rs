//! Where the bytes of a list come from, and how they are read a second time.
//!
//! A run reads its list more than once: to compare it with that of the last run, and to make tasks of it. For
//! that a source opens one listing after the other. A file is read again from its beginning. A pipe cannot
//! be; so the bytes that are read of it for a comparison ([`ListContext::is_rehearsal`]) are kept in a file
//! without a name. All listings share it: each reads the kept bytes first, and then the pipe. Once its items
//! become tasks, no listing asks again, and nothing more is kept: a list may go on for days.
//!
//! Standard input that is a file (`bivouac each … < LIST`) counts as a file. It is read from where it stood
//! first, which need not be its beginning: an earlier process may have taken a line.

use crate::error::{At, Error, Result};
use crate::input::open::open_nonblocking;
use crate::input::stream::{CUT_HELD, Received, Stream};
use crate::sync::lock;
use crate::task::ListContext;
use crate::task::stop_fd::StopFd;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// How much is read at a time, and between two looks at whether the run is over.
pub(super) const STEP: usize = 256 << 10;

/// A source of bytes, as one listing reads it.
#[derive(Debug)]
pub(super) enum Feed {
    File { path: PathBuf, file: Arc<File>, range: Range<u64>, at: u64, was_stream: bool },
    Stream(Reader),
}

/// What [`Feed::copy`] has copied: where it is in the copy, and whether it was a stream.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Copied {
    range: Range<u64>,
    stream: bool,
}

impl Feed {
    /// Opens a file, a pipe, or standard input, which may be either.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let is_stdin = path == Path::new("-");
        if !is_stdin && !Stream::is_stream(path) {
            return Ok(Self::file(path, open_nonblocking(path)?, 0));
        }
        let stream = Stream::open(path)?;
        if !is_stdin || stream.regular_size().is_none() {
            return Ok(Self::Stream(Reader::new(stream)));
        }
        let same = io::stdin().as_fd().try_clone_to_owned().map(File::from);
        let placed = same.and_then(|mut file| file.stream_position().map(|start| (file, start)));
        let (file, start) = placed.at(path, "open standard input")?;
        Ok(Self::file(path, file, start))
    }

    fn file(path: &Path, file: File, start: u64) -> Self {
        Self::File {
            path: path.to_path_buf(),
            file: Arc::new(file),
            range: start..u64::MAX,
            at: start,
            was_stream: false,
        }
    }

    /// A part of `file` in place of what it was copied from, which is still called `path`.
    pub(super) fn copied(path: &Path, file: &Arc<File>, copied: Copied) -> Self {
        let Copied { range, stream: was_stream } = copied;
        Self::File { path: path.to_path_buf(), file: Arc::clone(file), at: range.start, range, was_stream }
    }

    /// Hands over all bytes; they go to this place of the copy.
    pub(super) fn copy(&mut self, start: u64, to: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<Copied> {
        let (stop, mut held, mut end) = (StopFd::new()?, Vec::new(), start);
        let cx = ListContext::rehearsal(&stop);
        let mut received = Received::Some;
        while received == Received::Some {
            // The end of a stream may come with its last bytes.
            received = self.fill(&mut held, &cx)?;
            to(&held)?;
            end += held.len() as u64;
            held.clear();
        }
        Ok(Copied { range: start..end, stream: self.is_stream() })
    }

    /// The same from its beginning, for another listing. Refused if bytes of a stream were not kept.
    pub(super) fn once_more(&self) -> Result<Self> {
        Ok(match self {
            Self::File { path, file, range, was_stream, .. } => {
                let (at, was_stream) = (range.start, *was_stream);
                Self::File {
                    path: path.clone(),
                    file: Arc::clone(file),
                    range: range.clone(),
                    at,
                    was_stream,
                }
            }
            Self::Stream(reader) => Self::Stream(reader.once_more()?),
        })
    }

    pub(super) fn is_stream(&self) -> bool {
        matches!(self, Self::Stream(_))
    }

    /// Whether it is a stream, or a copy of one.
    pub(super) fn was_stream(&self) -> bool {
        match self {
            Self::File { was_stream, .. } => *was_stream,
            Self::Stream(_) => true,
        }
    }

    pub(super) fn path(&self) -> &Path {
        match self {
            Self::File { path, .. } => path,
            Self::Stream(reader) => &reader.path,
        }
    }

    /// Appends the next bytes, about a [`STEP`] of them.
    pub(super) fn fill(&mut self, held: &mut Vec<u8>, cx: &ListContext<'_>) -> Result<Received> {
        // A stream that is always ready would never let a wait tell of a stop.
        if cx.is_stopped() {
            return Ok(Received::Stopped);
        }
        match self {
            Self::File { path, file, at, range, .. } => {
                let most = (range.end - *at).min(STEP as u64);
                // Standard input has one place for all processes that read it.
                let read =
                    (&**file).seek(SeekFrom::Start(*at)).and_then(|_| (&**file).take(most).read_to_end(held));
                let read = read.at(path, "read")?;
                *at += read as u64;
                Ok(if read == 0 { Received::End } else { Received::Some })
            }
            Self::Stream(reader) => reader.fill(held, cx),
        }
    }

    /// Whether the end of the stream also ends an item without a delimiter. A stop of the writer may have cut
    /// it to another word, which a command must not get. So this end is held longer.
    pub(super) fn ends_an_item(&self, cx: &ListContext<'_>) -> Result<bool> {
        match self {
            Self::File { .. } => Ok(true),
            Self::Stream(reader) => lock(&reader.kept).stream.end_counts(CUT_HELD, cx),
        }
    }

    /// Reads all bytes that are there, without moving on; `false` if that is not possible, or takes long.
    pub(super) fn peruse(&self, longest: u64, mut to: impl FnMut(&[u8])) -> bool {
        let Self::File { file, range, .. } = self else { return false };
        let is_short = |size: u64| size.min(range.end).saturating_sub(range.start) <= longest;
        if !file.metadata().is_ok_and(|facts| is_short(facts.len())) {
            return false;
        }
        let mut buffer = crate::input::buffer::Buffer::take(STEP);
        let mut place = range.start;
        loop {
            let most = (range.end - place).min(STEP as u64) as usize;
            match file.read_at(&mut buffer[..most], place) {
                Ok(0) => return true,
                Ok(n) => {
                    to(&buffer[..n]);
                    place += n as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
    }
}

#[derive(Debug)]
pub(super) struct Reader {
    path: PathBuf,
    kept: Arc<Mutex<Kept>>,
    /// The next byte is at this place of the kept ones, or comes from the stream.
    at: u64,
    /// It has read bytes that are not kept.
    is_the_last: bool,
}

/// A stream, and the bytes of it that are kept to be read again.
#[derive(Debug)]
struct Kept {
    stream: Stream,
    /// The first `bytes` bytes of the stream, as soon as there are any.
    file: Option<File>,
    bytes: u64,
    /// More was read of the stream than is kept.
    is_gone: bool,
    has_ended: bool,
}

impl Reader {
    fn new(stream: Stream) -> Self {
        let path = stream.path().to_path_buf();
        let kept = Kept { stream, file: None, bytes: 0, is_gone: false, has_ended: false };
        Self { path, kept: Arc::new(Mutex::new(kept)), at: 0, is_the_last: false }
    }

    fn once_more(&self) -> Result<Self> {
        match lock(&self.kept).is_gone {
            true => Err(gone(&self.path)),
            false => {
                Ok(Self { path: self.path.clone(), kept: Arc::clone(&self.kept), at: 0, is_the_last: false })
            }
        }
    }

    fn fill(&mut self, held: &mut Vec<u8>, cx: &ListContext<'_>) -> Result<Received> {
        let mut kept = lock(&self.kept);
        if kept.is_gone && !self.is_the_last {
            return Err(gone(&self.path));
        }
        if self.at < kept.bytes {
            self.at += kept.fill_again(held, self.at)?;
            return Ok(Received::Some);
        }
        if kept.has_ended {
            return Ok(Received::End);
        }
        let before = held.len();
        let received = kept.stream.fill(held, before + STEP, cx)?;
        kept.has_ended = received == Received::End;
        let new = &held[before..];
        if cx.is_rehearsal() && !kept.is_gone {
            kept.keep(new)?;
            self.at = kept.bytes;
        } else if !new.is_empty() {
            (kept.file, kept.bytes, kept.is_gone) = (None, 0, true);
            (self.at, self.is_the_last) = (0, true);
        }
        Ok(received)
    }
}

fn gone(path: &Path) -> Error {
    let problem = "is a stream, became tasks already, and cannot be read twice";
    Error::refused(path.display(), problem).advise("give the stream again in another run")
}

impl Kept {
    /// Appends kept bytes from this place on, about a [`STEP`] of them; how many that were.
    fn fill_again(&self, held: &mut Vec<u8>, at: u64) -> Result<u64> {
        let Some(file) = &self.file else { return Ok(0) };
        let before = held.len();
        let wanted = usize::try_from(self.bytes - at).unwrap_or(usize::MAX).min(STEP);
        held.resize(before + wanted, 0);
        let read = file.read_exact_at(&mut held[before..], at);
        read.at(self.stream.path(), "read again what was read of it")?;
        Ok(wanted as u64)
    }

    fn keep(&mut self, new: &[u8]) -> Result<()> {
        if new.is_empty() {
            return Ok(());
        }
        let failed = |e| Error::io(&std::env::temp_dir(), "keep a copy of the list of items", &e);
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile().map_err(failed)?),
        };
        file.write_all_at(new, self.bytes).map_err(failed)?;
        self.bytes += new.len() as u64;
        Ok(())
    }
}
