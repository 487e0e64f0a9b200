//! Where the bytes of a list come from, and how they are had a second time.
//!
//! A run reads its list more than once: to see whether it is still the list of the last run, and to
//! go through it. A file is simply read again from its beginning. A pipe cannot be; so what is read of
//! it for a comparison ([`Listing::is_rehearsal`]) is kept, in a file without a name, and read from
//! there the second time. As soon as its items become tasks nobody asks again, and nothing more
//! is kept: a list may go on for days.
//!
//! Standard input that is a file (`bivouac each … < LIST`) counts as a file. It is read from where it
//! stands, which need not be its beginning: whoever had it before may have taken a line.

use crate::error::{Error, Result};
use crate::input::file::open_nonblocking;
use crate::input::stream::{CUT_HELD, Received, Stream};
use crate::job::Listing;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// How much is read at a time, and between two looks at whether the run is over.
pub(super) const STEP: usize = 256 << 10;

/// A source of bytes.
#[derive(Debug)]
pub(super) enum Feed {
    File { path: PathBuf, file: File, start: u64 },
    Stream(Box<Kept>),
}

impl Feed {
    /// Opens a file, a pipe, or standard input, whatever they turn out to be.
    ///
    /// # Errors
    ///
    /// [`Kind::Usage`](crate::error::Kind::Usage): missing, a directory, not readable.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let is_stdin = path == Path::new("-");
        if !is_stdin && !Stream::is_stream(path) {
            return Ok(Self::File { path: path.to_path_buf(), file: open_nonblocking(path)?, start: 0 });
        }
        let stream = Stream::open(path)?;
        if !is_stdin || stream.regular_size().is_none() {
            return Ok(Self::Stream(Box::new(Kept::new(stream))));
        }
        let same = io::stdin().as_fd().try_clone_to_owned().map(File::from);
        let placed = same.and_then(|mut file| file.stream_position().map(|start| (file, start)));
        let (file, start) = placed.map_err(|e| Error::io(path, "open standard input", &e))?;
        Ok(Self::File { path: path.to_path_buf(), file, start })
    }

    /// Whether this is a pipe, a terminal or the like.
    pub(super) fn is_stream(&self) -> bool {
        matches!(self, Self::Stream(_))
    }

    /// The path as the user gave it.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::File { path, .. } => path,
            Self::Stream(kept) => kept.stream.path(),
        }
    }

    /// Appends what comes next, about a [`STEP`] of it.
    ///
    /// # Errors
    ///
    /// Reading failed, or keeping what was read.
    pub(super) fn fill(&mut self, held: &mut Vec<u8>, listing: &Listing<'_>) -> Result<Received> {
        // What is always ready would never let a wait tell of a stop.
        if listing.is_stopped() {
            return Ok(Received::Stopped);
        }
        match self {
            Self::File { path, file, .. } => match file.take(STEP as u64).read_to_end(held) {
                Ok(0) => Ok(Received::End),
                Ok(_) => Ok(Received::Some),
                Err(e) => Err(Error::io(path, "read", &e)),
            },
            Self::Stream(kept) => kept.fill(held, listing),
        }
    }

    /// Whether the end counts also for an item that has no end: a stop may have cut it, and then it is
    /// another word, which a command must not get. That is held longer.
    ///
    /// # Errors
    ///
    /// Those of `poll(2)`.
    pub(super) fn ends_an_item(&self, listing: &Listing<'_>) -> Result<bool> {
        match self {
            Self::File { .. } => Ok(true),
            Self::Stream(kept) => kept.stream.end_counts(CUT_HELD, listing),
        }
    }

    /// Goes back to the beginning.
    ///
    /// # Errors
    ///
    /// [`Kind::Refused`](crate::error::Kind::Refused) if something was read of a stream that is not kept.
    pub(super) fn rewind(&mut self) -> Result<()> {
        match self {
            Self::File { path, file, start } => {
                file.seek(SeekFrom::Start(*start)).map_err(|e| Error::io(path, "read again", &e))?;
            }
            Self::Stream(kept) => kept.rewind()?,
        }
        Ok(())
    }

    /// All that there is at present, portion by portion, without going anywhere; `false` if that is not
    /// to be had, or would take long.
    pub(super) fn peruse(&self, longest: u64, mut to: impl FnMut(&[u8])) -> bool {
        let Self::File { file, start, .. } = self else { return false };
        let is_short = |size: u64| size.saturating_sub(*start) <= longest;
        if !file.metadata().is_ok_and(|facts| is_short(facts.len())) {
            return false;
        }
        let mut buffer = crate::input::buffer::Buffer::take(STEP);
        let mut place = *start;
        loop {
            match file.read_at(&mut buffer[..STEP], place) {
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

/// A stream, and what was read of it to be read again.
#[derive(Debug)]
pub(super) struct Kept {
    stream: Stream,
    /// The first `kept` bytes of the stream, as soon as there are any.
    file: Option<File>,
    kept: u64,
    /// What comes next is at this place of `file`, or comes from the stream.
    at: u64,
    /// More was read of the stream than is kept.
    is_gone: bool,
    has_ended: bool,
}

impl Kept {
    fn new(stream: Stream) -> Self {
        Self { stream, file: None, kept: 0, at: 0, is_gone: false, has_ended: false }
    }

    fn fill(&mut self, held: &mut Vec<u8>, listing: &Listing<'_>) -> Result<Received> {
        if self.at < self.kept {
            return self.fill_again(held);
        }
        if self.has_ended {
            return Ok(Received::End);
        }
        let before = held.len();
        let received = self.stream.fill(held, before + STEP, listing)?;
        self.has_ended = received == Received::End;
        let new = &held[before..];
        if listing.is_rehearsal() && !self.is_gone {
            self.keep(new)?;
        } else if !new.is_empty() {
            (self.file, self.kept, self.at, self.is_gone) = (None, 0, 0, true);
        }
        Ok(received)
    }

    /// From what was kept.
    fn fill_again(&mut self, held: &mut Vec<u8>) -> Result<Received> {
        let Some(file) = &self.file else { return Ok(Received::End) };
        let before = held.len();
        let wanted = usize::try_from(self.kept - self.at).unwrap_or(usize::MAX).min(STEP);
        held.resize(before + wanted, 0);
        let read = file.read_exact_at(&mut held[before..], self.at);
        read.map_err(|e| Error::io(self.stream.path(), "read again what was read of it", &e))?;
        self.at += wanted as u64;
        Ok(Received::Some)
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
        file.write_all_at(new, self.kept).map_err(failed)?;
        self.kept += new.len() as u64;
        self.at = self.kept;
        Ok(())
    }

    fn rewind(&mut self) -> Result<()> {
        if self.is_gone {
            let problem = "is a stream; its items became tasks already, and it cannot be read twice";
            return Err(Error::refused(self.stream.path().display(), problem)
                .advise("give the stream again in another run"));
        }
        self.at = 0;
        Ok(())
    }
}
