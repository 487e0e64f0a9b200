//! A chunk of records, and where it begins and ends.
//!
//! The obvious way to find the records of a block is to read it, and [`Pieces`] does so for jobs that
//! look at every byte. A job that only hands its chunk on, to the standard input of a command, need
//! not see it at all: the kernel moves the bytes from the file into the pipe. So here only the
//! edges are looked for, in small windows around the two places where the block would end, and
//! what lies between them is never read.
//!
//! The rule is that of [`Chunks`](super::Chunks), with any [`Boundary`] in place of a delimiter: block
//! *k* of size *B* covers
//!
//! ```text
//! [ align(k·B), align((k+1)·B) )    align(p) = the first boundary at or after p
//!                                   align(0) = 0,  align(p) = size where there is none
//! ```

mod overlaps;

use super::boundary::Boundary;
use super::buffer::Buffer;
use super::file::InputFile;
use super::pieces::Pieces;
use crate::error::{Error, Result};
use crate::task::{Context, TaskError};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A window holds many records of a usual length, and one page of the file.
const FIRST_WINDOW: usize = 4 << 10;
/// A long record is searched in windows that still fit the cache.
const LARGEST_WINDOW: usize = 64 << 10;

/// A block of an input, cut between records: the task of a job that hands records on.
#[derive(Debug)]
pub struct RecordChunk {
    /// Which of the inputs, from 0, in the order given.
    pub file_index: usize,
    /// Whether this is the first chunk of its input. Every input has at least one chunk, even an
    /// empty one.
    pub first_in_file: bool,
    pub(super) data: Data,
}

#[derive(Debug)]
pub(super) enum Data {
    File {
        file: Arc<InputFile>,
        /// The block, before its edges are aligned.
        block: Range<u64>,
        boundary: Arc<Boundary>,
    },
    Stream {
        path: PathBuf,
        /// Where in the stream the chunk begins.
        start: u64,
        /// The chunk begins at `from`; what stands before it belongs to its neighbour.
        held: Vec<u8>,
        from: usize,
    },
}

impl RecordChunk {
    /// The path of the input, as the user gave it.
    pub fn path(&self) -> &Path {
        match &self.data {
            Data::File { file, .. } => file.path(),
            Data::Stream { path, .. } => path,
        }
    }

    /// The file, if the chunk is one of a regular file. Its bytes are then to be read from
    /// [`InputFile::descriptor`], within [`aligned`](Self::aligned), and
    /// [`verify_unchanged`](Self::verify_unchanged) is to be asked behind it.
    pub fn file(&self) -> Option<&InputFile> {
        match &self.data {
            Data::File { file, .. } => Some(file),
            Data::Stream { .. } => None,
        }
    }

    /// The bytes, if the chunk is one of a stream: then they are in memory.
    pub fn bytes(&self) -> Option<&[u8]> {
        match &self.data {
            Data::File { .. } => None,
            Data::Stream { held, from, .. } => Some(&held[*from..]),
        }
    }

    /// Which bytes of the input the chunk covers, exactly; empty where a record of an earlier chunk
    /// goes through the whole block (where it is then, means nothing). Of a file only the surroundings of the two edges are read; if a
    /// record goes on behind the block, up to its end.
    ///
    /// # Errors
    ///
    /// Those of [`InputFile::read_exact_at`].
    pub fn aligned(&self) -> Result<Range<u64>> {
        self.find_edges(|| Ok(()))
    }

    /// The same for a worker: a record of a terabyte keeps it from neither a pause nor a stop.
    ///
    /// # Errors
    ///
    /// [`TaskError::Cancelled`], and [`TaskError::Fatal`] with an error of [`aligned`](Self::aligned).
    pub fn aligned_in(&self, cx: &Context<'_>) -> std::result::Result<Range<u64>, TaskError> {
        self.find_edges(|| cx.yield_point())
    }

    /// The whole chunk in pieces, for who wants to read it after all. The last one comes only if the
    /// input is unchanged.
    ///
    /// # Errors
    ///
    /// As [`aligned`](Self::aligned).
    pub fn pieces(&self) -> Result<Pieces<'_>> {
        Ok(match &self.data {
            Data::File { file, .. } => Pieces::of_file(file, self.aligned()?),
            Data::Stream { held, from, .. } => Pieces::of_bytes(&held[*from..]),
        })
    }

    /// To be asked when the chunk has been read, and before what came of it counts.
    ///
    /// # Errors
    ///
    /// The file is no longer the one that was listed
    /// ([`Kind::Refused`](crate::error::Kind::Refused)). Of a stream, never.
    pub fn verify_unchanged(&self) -> Result<()> {
        self.file().map_or(Ok(()), InputFile::check_unchanged)
    }

    fn find_edges<E: From<Error>>(
        &self,
        between_reads: impl FnMut() -> std::result::Result<(), E>,
    ) -> std::result::Result<Range<u64>, E> {
        match &self.data {
            Data::File { file, block, boundary } => {
                let windows = FIRST_WINDOW..LARGEST_WINDOW;
                Search { file, boundary, windows, between_reads }.edges(block)
            }
            Data::Stream { start, held, from, .. } => Ok(*start..*start + (held.len() - from) as u64),
        }
    }
}

/// Up to where a file decides what a task on this block makes of it: the end of the block's last record,
/// and what tells that it ends there.
pub(super) fn reach<E: From<Error>>(
    file: &InputFile,
    boundary: &Boundary,
    block: &Range<u64>,
    between_reads: impl FnMut() -> std::result::Result<(), E>,
) -> std::result::Result<u64, E> {
    let windows = FIRST_WINDOW..LARGEST_WINDOW;
    let end = Search { file, boundary, windows, between_reads }.edges(block)?.end.max(block.end);
    Ok(end.saturating_add(boundary.ahead() as u64).min(file.identity().size))
}

/// A search for boundaries in a file.
struct Search<'a, F> {
    file: &'a InputFile,
    boundary: &'a Boundary,
    /// Sizes of the first window and of the largest.
    windows: Range<usize>,
    /// Called between two reads.
    between_reads: F,
}

impl<E: From<Error>, F: FnMut() -> std::result::Result<(), E>> Search<'_, F> {
    /// Looks for the first record no further than the block: if none begins inside it, it is empty,
    /// and one long record costs each of its blocks one reading only.
    fn edges(&mut self, block: &Range<u64>) -> std::result::Result<Range<u64>, E> {
        let start = match block.start {
            0 => Some(0),
            start => self.first_at_or_after(start, block.end)?,
        };
        let Some(start) = start else { return Ok(block.end..block.end) };
        let size = self.file.identity().size;
        let end = match block.end < size {
            true => self.first_at_or_after(block.end, size)?.unwrap_or(size),
            false => size,
        };
        Ok(start..end)
    }

    /// The first boundary in `from..until`, with 0 < `from` < `until` ≤ size.
    fn first_at_or_after(&mut self, from: u64, until: u64) -> std::result::Result<Option<u64>, E> {
        if let Some(place) = self.boundary.by_arithmetic(from) {
            return Ok((place < until).then_some(place));
        }
        if let Some(apart) = self.boundary.apart() {
            return self.first_from_the_left(apart as u64, from, until);
        }
        let (behind, ahead) = (self.boundary.behind(), self.boundary.ahead());
        // All the bytes that decide about these places, and no other.
        let mut position = from.saturating_sub(behind as u64);
        let last = self.file.identity().size.min((until - 1).saturating_add(ahead as u64));
        let mut window = self.windows.start;
        let mut buffer = Buffer::take(behind + ahead + window);
        let mut held = 0;
        while position < last {
            let length = (last - position).min(window as u64) as usize;
            buffer.grow(held + length);
            self.file.read_exact_at(&mut buffer[held..held + length], position)?;
            if let Some(i) = self.boundary.find_in(&buffer[..held + length]) {
                return Ok(Some(position - held as u64 + i as u64));
            }
            // One byte less than a match may have begun here.
            let keep = (behind + ahead - 1).min(held + length);
            buffer.copy_within(held + length - keep..held + length, 0);
            (held, position) = (keep, position + length as u64);
            window = self.windows.end.min(2 * window);
            (self.between_reads)()?;
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::input::boundary::naive::{RULES, Random};
    use std::fs;

    fn edges(file: &InputFile, boundary: &Boundary, block: Range<u64>, windows: Range<usize>) -> Range<u64> {
        Search { file, boundary, windows, between_reads: || Ok::<(), Error>(()) }.edges(&block).unwrap()
    }

    /// Every kind of cut, blocks and windows of any size: against the definition.
    #[test]
    fn the_edges_are_those_of_the_definition_wherever_windows_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let mut random = Random(3);
        let mut cuts = 0;
        for _ in 0..60 {
            let text = random.text(300);
            fs::write(&path, &text).unwrap();
            let file = InputFile::look_at(&path).unwrap();
            for rule in &RULES {
                let (block, window) = (1 + random.below(64), 1 + random.below(20));
                let largest = window + random.below(20);
                let expected = rule.chunks(&text, block);
                let mut before = 0;
                for (k, expected) in expected.iter().enumerate() {
                    let nominal = (k * block) as u64..((k + 1) * block).min(text.len()) as u64;
                    let found = edges(&file, &rule.boundary(), nominal, window..largest);
                    let found = found.start as usize..found.end as usize;
                    assert_eq!(&&text[found.clone()], expected, "block {k} of {block}, {}", rule.boundary());
                    if !found.is_empty() {
                        assert_eq!(found.start, before, "neighbours meet");
                        before = found.end;
                        cuts += 1;
                    }
                }
                assert_eq!(before, text.len());
            }
        }
        assert!(cuts > 3000, "{cuts}: the texts have records");
    }

    #[test]
    fn only_the_surroundings_of_the_edges_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let size = 12 << 20;
        fs::write(&path, "x\n".repeat(size / 2)).unwrap();
        let file = InputFile::look_at(&path).unwrap();
        let mut reads = 0;
        let boundary = Boundary::between(b"", b"nowhere").unwrap();
        let mut search = Search {
            file: &file,
            boundary: &boundary,
            windows: FIRST_WINDOW..LARGEST_WINDOW,
            between_reads: || {
                reads += 1;
                Ok::<(), Error>(())
            },
        };
        // A record that goes through the block: read once, and not to the end of the file.
        let block = 10 << 20..11 << 20;
        assert_eq!(search.edges(&block).unwrap(), block.end..block.end);
        assert!((16..=24).contains(&reads), "{reads}");
        // Short records: the first window on each side finds its edge.
        let boundary = Boundary::newline();
        let never = || Err(Error::broken("a second window", "was read"));
        let mut search = Search { file: &file, boundary: &boundary, windows: 64..64, between_reads: never };
        assert_eq!(search.edges(&(1_000_001..10_000_001)).unwrap(), 1_000_002..10_000_002);
    }

    #[test]
    fn a_long_search_can_be_given_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, vec![b'x'; 1 << 20]).unwrap();
        let file = InputFile::look_at(&path).unwrap();
        let boundary = Boundary::newline();
        let give_up = || Err(TaskError::Cancelled);
        let mut search = Search { file: &file, boundary: &boundary, windows: 64..64, between_reads: give_up };
        assert!(matches!(search.edges(&(0..1000)), Err(TaskError::Cancelled)));
    }

    #[test]
    fn a_file_that_changed_is_refused_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, "one\ntwo\nthree\n").unwrap();
        let file = Arc::new(InputFile::look_at(&path).unwrap());
        let boundary = Arc::new(Boundary::newline());
        let data = Data::File { file, block: 0..5, boundary };
        let chunk = RecordChunk { file_index: 0, first_in_file: true, data };
        assert_eq!(chunk.aligned().unwrap(), 0..8);
        chunk.verify_unchanged().unwrap();
        fs::write(&path, "ONE\ntwo\nthree\n").unwrap();
        assert_eq!(chunk.verify_unchanged().unwrap_err().kind(), Kind::Refused);
        let mut pieces = chunk.pieces().unwrap();
        assert_eq!(pieces.next_piece().unwrap(), Some(&b"ONE\ntwo\n"[..]));
        assert_eq!(pieces.next_piece().unwrap_err().kind(), Kind::Refused, "and the last piece is none");
    }
}
