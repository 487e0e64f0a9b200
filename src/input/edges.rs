//! Where in a file the records of a block begin and end.
//!
//! The obvious way to find them is to read the block. But a job that hands its chunk to the standard input of
//! a command need not see it: the kernel moves the bytes from the file into the pipe. So a search reads small
//! windows around the two edges, and nothing between them. The rule is that of [`Chunks`](super::Chunks).
//!
//! # Matches that overlap
//!
//! Which of several overlapping matches are boundaries is decided from the left of the input, and a search
//! begins in its middle. The obvious way is to begin at the left each time. But only a match shortly before
//! can rule a match out. After a stretch without one, the next match is a boundary, whatever lies further
//! left. So the search goes back to such a stretch, mostly a few bytes, and decides from there. (A file of
//! newlines only, with two of them as the end of a record, has none: each block costs a reading of everything
//! before it.)

use super::boundary::Boundary;
use super::buffer::Buffer;
use super::file::InputFile;
use crate::error::Error;
use std::ops::Range;

/// Sizes of the first window and of the largest. The first holds many records of a usual length, and one page of
/// the file. A long record is searched in windows that still fit the cache.
const WINDOWS: Range<usize> = 4 << 10..64 << 10;

/// The bytes of the records of a block of `file`: empty if none begins in it. Calls `between_reads`, whose
/// error ends the search; other errors are those of [`InputFile::read_exact_at`].
pub(super) fn edges<E: From<Error>>(
    file: &InputFile,
    boundary: &Boundary,
    block: &Range<u64>,
    between_reads: impl FnMut() -> Result<(), E>,
) -> Result<Range<u64>, E> {
    // Listed with its edges.
    if boundary.grammar().is_some() {
        return Ok(block.clone());
    }
    Search { file, boundary, windows: WINDOWS, between_reads }.edges(block)
}

/// Up to where a file decides what a task on this block gives: its last record, and how its end is known.
pub(super) fn reach<E: From<Error>>(
    file: &InputFile,
    boundary: &Boundary,
    block: &Range<u64>,
    between_reads: impl FnMut() -> Result<(), E>,
) -> Result<u64, E> {
    let end = edges(file, boundary, block, between_reads)?.end.max(block.end);
    Ok(end.saturating_add(boundary.ahead() as u64).min(file.identity().size))
}

struct Search<'a, F> {
    file: &'a InputFile,
    boundary: &'a Boundary,
    windows: Range<usize>,
    between_reads: F,
}

struct Window<'a> {
    boundary: &'a Boundary,
    bytes: Buffer,
    length: usize,
    at: u64,
}

impl Window<'_> {
    fn first(&self, place: u64) -> Option<u64> {
        let skipped = place.saturating_sub(self.boundary.back() as u64).saturating_sub(self.at) as usize;
        let found = self.boundary.find_in(self.bytes.get(skipped..self.length)?)?;
        Some(self.at + (skipped + found) as u64)
    }
}

impl<'a, E: From<Error>, F: FnMut() -> Result<(), E>> Search<'a, F> {
    /// Looks for the first record in the block only: a long record costs each block one reading.
    fn edges(&mut self, block: &Range<u64>) -> Result<Range<u64>, E> {
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
    fn first_at_or_after(&mut self, from: u64, until: u64) -> Result<Option<u64>, E> {
        if let Some(place) = self.boundary.by_arithmetic(from) {
            return Ok((place < until).then_some(place));
        }
        let apart = self.boundary.apart().map(|apart| apart as u64);
        let mut next = apart.map_or(Ok(from), |apart| self.where_to_begin(apart, from))?;
        let mut length = self.windows.start;
        while next < until {
            let end = until.min(next + length as u64);
            let window = self.window(next..end)?;
            while let Some(place) = window.first(next) {
                if place >= from {
                    return Ok(Some(place));
                }
                next = place + apart.unwrap_or(1);
            }
            next = next.max(end);
            length = self.windows.end.min(2 * length);
            (self.between_reads)()?;
        }
        Ok(None)
    }

    /// A place not after `from`. No match before it is near enough to rule one out from there on.
    fn where_to_begin(&mut self, apart: u64, from: u64) -> Result<u64, E> {
        // Between `clear` and `from` everything has been looked at, and the matches are near each other.
        let (mut clear, mut end) = (from, from);
        let mut length = self.windows.start;
        while end > 1 {
            let start = end.saturating_sub(length as u64).max(1);
            let window = self.window(start..end)?;
            let mut matches = Vec::new();
            let mut next = start;
            while let Some(place) = window.first(next) {
                matches.push(place);
                next = place + 1;
            }
            for place in matches.into_iter().rev() {
                if clear - place >= apart {
                    return Ok(clear);
                }
                clear = place;
            }
            if clear - start >= apart {
                return Ok(clear);
            }
            end = start;
            length = self.windows.end.min(2 * length);
            (self.between_reads)()?;
        }
        // A mark at the very beginning is the first record's own.
        let ahead = self.boundary.ahead() as u64;
        let first = self.read(0..ahead.min(self.file.identity().size))?;
        Ok(if self.boundary.begins(first.bytes.get(..first.length).unwrap_or_default()) { apart } else { 1 })
    }

    fn window(&self, places: Range<u64>) -> Result<Window<'a>, E> {
        let at = places.start.saturating_sub(self.boundary.back() as u64);
        let last = (places.end - 1).saturating_add(self.boundary.ahead() as u64);
        self.read(at..last.min(self.file.identity().size))
    }

    fn read(&self, range: Range<u64>) -> Result<Window<'a>, E> {
        let length = (range.end - range.start) as usize;
        let mut bytes = Buffer::take(length);
        self.file.read_exact_at(&mut bytes[..length], range.start)?;
        Ok(Window { boundary: self.boundary, bytes, length, at: range.start })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::boundary::tests::naive::{RULES, Random};
    use crate::input::testing::file_with;
    use crate::task::TaskError;
    use std::fs;

    fn edges(file: &InputFile, boundary: &Boundary, block: Range<u64>, windows: Range<usize>) -> Range<u64> {
        Search { file, boundary, windows, between_reads: || Ok::<(), Error>(()) }.edges(&block).unwrap()
    }

    /// Every kind of cut, blocks and windows of any size: against the definition.
    #[test]
    fn the_edges_are_those_of_the_definition_wherever_windows_end() {
        let (_dir, path) = file_with("");
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
        let (_dir, path) = file_with("");
        let size = 12 << 20;
        fs::write(&path, "x\n".repeat(size / 2)).unwrap();
        let file = InputFile::look_at(&path).unwrap();
        let mut reads = 0;
        let boundary = Boundary::between(b"", b"nowhere").unwrap();
        let mut search = Search {
            file: &file,
            boundary: &boundary,
            windows: WINDOWS,
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
        let (_dir, path) = file_with(vec![b'x'; 1 << 20]);
        let file = InputFile::look_at(&path).unwrap();
        let boundary = Boundary::newline();
        let give_up = || Err(TaskError::Cancelled);
        let mut search = Search { file: &file, boundary: &boundary, windows: 64..64, between_reads: give_up };
        assert!(matches!(search.edges(&(0..1000)), Err(TaskError::Cancelled)));
    }
}
