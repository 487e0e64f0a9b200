//! Reading a chunk in pieces that stay in the cache.
//!
//! Mapping the file looks cheaper than copying it, and with one thread it is. With several, every
//! page fault takes the lock of the address space, and the workers wait for each other; and a file
//! that is shortened kills the process with SIGBUS. So a worker copies, into a buffer of its own that
//! it keeps from task to task, no larger than its share of the second-level cache: by the time the job
//! looks at the bytes, they are near. Much smaller it should not be either: with 256 KiB, two threads
//! that look for a literal need a sixth more time than with a mebibyte, since the kernel looks up
//! where the pages are at every call.

use super::buffer::{Buffer, PAGE, no_room};
use super::chunk::{Chunk, Data};
use super::chunks::Cut;
use super::file::InputFile;
use crate::error::{Error, Result};
use memchr::{memchr, memrchr};
use std::ops::Range;

/// How many bytes a piece has, unless a record is longer.
pub const PIECE: usize = 1 << 20;

/// How far is read on at a time to find the end of the last record of a block.
const EDGE: usize = 16 << 10;

/// The pieces of a chunk, in order. Together they are exactly its bytes.
#[derive(Debug)]
pub struct Pieces<'a> {
    from: From<'a>,
}

#[derive(Debug)]
enum From<'a> {
    Bytes { rest: &'a [u8], cut: Cut },
    Anywhere { file: &'a InputFile, rest: Range<u64>, buffer: Buffer },
    Lines(LineReader<'a>),
}

impl<'a> Pieces<'a> {
    pub(super) fn new(chunk: &'a Chunk) -> Self {
        let from = match (&chunk.data, chunk.cut) {
            (Data::Bytes(bytes), cut) => From::Bytes { rest: bytes, cut },
            (Data::File { file, range }, Cut::Anywhere) => {
                From::Anywhere { file, rest: range.clone(), buffer: Buffer::take(PIECE) }
            }
            (Data::File { file, range }, Cut::Lines(delimiter)) => {
                From::Lines(LineReader::new(file, range.clone(), delimiter))
            }
        };
        Self { from }
    }

    /// Any part of a file in pieces, cut anywhere.
    pub fn of_file(file: &'a InputFile, range: Range<u64>) -> Self {
        Self { from: From::Anywhere { file, rest: range, buffer: Buffer::take(PIECE) } }
    }

    /// Bytes that are in memory already, in pieces, cut anywhere.
    pub fn of_bytes(bytes: &'a [u8]) -> Self {
        Self { from: From::Bytes { rest: bytes, cut: Cut::Anywhere } }
    }

    /// The next piece; never an empty one. `None` at the end, and only if the file is still what
    /// it was when it was listed.
    ///
    /// # Errors
    ///
    /// Reading failed, or the file has changed ([`Kind::Refused`](crate::error::Kind::Refused)).
    pub fn next_piece(&mut self) -> Result<Option<&[u8]>> {
        match &mut self.from {
            From::Bytes { rest, cut } => Ok(split(rest, *cut)),
            From::Anywhere { file, rest, buffer } => read_some(file, rest, buffer),
            From::Lines(reader) => reader.next_piece(),
        }
    }
}

/// Takes a piece off bytes that are in memory already.
fn split<'b>(rest: &mut &'b [u8], cut: Cut) -> Option<&'b [u8]> {
    let all: &'b [u8] = rest;
    let window = &all[..all.len().min(PIECE)];
    let end = match cut {
        Cut::Lines(delimiter) if all.len() > PIECE => match memrchr(delimiter, window) {
            Some(i) => i + 1,
            None => memchr(delimiter, &all[PIECE..]).map_or(all.len(), |i| PIECE + i + 1),
        },
        Cut::Lines(_) | Cut::Anywhere => window.len(),
    };
    let (piece, behind) = all.split_at(end);
    *rest = behind;
    (!piece.is_empty()).then_some(piece)
}

fn read_some<'b>(
    file: &InputFile,
    rest: &mut Range<u64>,
    buffer: &'b mut Buffer,
) -> Result<Option<&'b [u8]>> {
    let length = (rest.end - rest.start).min(PIECE as u64) as usize;
    if length == 0 {
        file.check_unchanged()?;
        return Ok(None);
    }
    let piece = &mut buffer[..length];
    file.read_exact_at(piece, rest.start)?;
    rest.start += length as u64;
    Ok(Some(piece))
}

/// Finds the records of a block, by the rule in [`super::chunks`].
#[derive(Debug)]
struct LineReader<'a> {
    file: &'a InputFile,
    block: Range<u64>,
    delimiter: u8,
    buffer: Buffer,
    /// The bytes read and not handed out yet.
    held: Range<usize>,
    /// Up to here, `held` is known to have no delimiter.
    searched: usize,
    /// The place in the file behind `held`.
    position: u64,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Before,
    Inside,
    Behind,
}

impl<'a> LineReader<'a> {
    fn new(file: &'a InputFile, block: Range<u64>, delimiter: u8) -> Self {
        let position = block.start.saturating_sub(1);
        let stage = if block.start == 0 { Stage::Inside } else { Stage::Before };
        let buffer = Buffer::take(PIECE + 2 * PAGE);
        Self { file, block, delimiter, buffer, held: 0..0, searched: 0, position, stage }
    }

    fn next_piece(&mut self) -> Result<Option<&[u8]>> {
        if self.stage == Stage::Before {
            self.find_first_record()?;
        }
        let end = if self.stage == Stage::Inside { self.find_piece()? } else { self.held.start };
        if end == self.held.start {
            self.stage = Stage::Behind;
            self.file.check_unchanged()?;
            return Ok(None);
        }
        let piece = self.held.start..end;
        self.held.start = end;
        self.searched = end;
        Ok(Some(&self.buffer[piece]))
    }

    /// Skips the end of a record that began before the block. Looks no further than the block: if
    /// no record begins inside it, it is empty, and one long record costs each of its blocks
    /// one reading only.
    fn find_first_record(&mut self) -> Result<()> {
        while self.position < self.block.end {
            self.held = 0..0;
            self.read(self.block.end)?;
            if let Some(i) = memchr(self.delimiter, &self.buffer[self.held.clone()]) {
                self.held.start += i + 1;
                self.searched = self.held.start;
                let begins = self.position - (self.held.len() as u64);
                self.stage = if begins < self.block.end { Stage::Inside } else { Stage::Behind };
                return Ok(());
            }
        }
        self.held = 0..0;
        self.stage = Stage::Behind;
        Ok(())
    }

    /// Where the next piece ends in the buffer; nowhere further if there is none.
    fn find_piece(&mut self) -> Result<usize> {
        loop {
            if self.position >= self.block.end {
                if self.held.is_empty() {
                    // The piece before ended with the very last byte of the block.
                    return Ok(self.held.start);
                }
                if let Some(end) = self.find_edge() {
                    self.stage = Stage::Behind;
                    return Ok(end);
                }
                self.searched = self.held.end;
                self.read(self.file.identity().size.min(self.position + EDGE as u64))?;
            } else {
                if let Some(i) = memrchr(self.delimiter, &self.buffer[self.searched..self.held.end]) {
                    return Ok(self.searched + i + 1);
                }
                self.searched = self.held.end;
                self.read(self.block.end)?;
            }
        }
    }

    /// The end of the last record of the block: behind the first delimiter at or after its last
    /// byte. `None` if that has not been read yet.
    fn find_edge(&self) -> Option<usize> {
        let last_byte = self.held.end.saturating_sub((self.position - self.block.end) as usize + 1);
        let from = last_byte.max(self.searched);
        match memchr(self.delimiter, &self.buffer[from..self.held.end]) {
            Some(i) => Some(from + i + 1),
            None => (self.position == self.file.identity().size).then_some(self.held.end),
        }
    }

    /// Reads on behind what is held, up to `limit` at most. A large read goes to the same place in its
    /// page as it has in the file, and ends with a page of the file if it does not end at `limit`.
    fn read(&mut self, limit: u64) -> Result<()> {
        let wanted = usize::try_from(limit - self.position).unwrap_or(usize::MAX);
        if wanted > EDGE || self.held.end + wanted > self.buffer.len() {
            self.make_room()?;
        }
        let room = self.buffer.len() - self.held.end;
        let length = if wanted > room { room - (self.in_page() + room) % PAGE } else { wanted };
        let space = self.held.end..self.held.end + length;
        self.file.read_exact_at(&mut self.buffer[space], self.position)?;
        self.held.end += length;
        self.position += length as u64;
        Ok(())
    }

    /// Behind what is held there is room for a piece, or for as much again if that is more: so that a
    /// record of any length is moved only a few times.
    fn make_room(&mut self) -> Result<()> {
        let held = self.held.len();
        let searched = self.searched.saturating_sub(self.held.start).min(held);
        let end = held.next_multiple_of(PAGE) + self.in_page();
        if !self.buffer.try_grow(end + PIECE.max(held)) && !self.buffer.try_grow(end + PIECE) {
            return Err(self.too_long());
        }
        self.buffer.copy_within(self.held.clone(), end - held);
        self.held = end - held..end;
        self.searched = self.held.start + searched;
        Ok(())
    }

    /// The record at hand is longer than there is memory for; how long, is counted without keeping it.
    fn too_long(&mut self) -> Error {
        let start = self.position - self.held.len() as u64;
        let size = self.file.identity().size;
        while self.position < size {
            let length = (size - self.position).min(PIECE as u64) as usize;
            let Some(piece) = self.buffer.get_mut(..length) else { break };
            if let Err(error) = self.file.read_exact_at(piece, self.position) {
                return error;
            }
            if let Some(i) = memchr(self.delimiter, piece) {
                self.position += i as u64;
                break;
            }
            self.position += length as u64;
        }
        let length = self.position - start;
        no_room(self.file.path(), format_args!("the line at byte {start} is {length} bytes long"))
    }

    /// Where in its page the next byte of the file stands.
    fn in_page(&self) -> usize {
        (self.position % PAGE as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::Chunks;
    use crate::task::stop_fd::Wake;
    use crate::task::{ListContext, Listing, Source};
    use std::fs;
    use std::path::{Path, PathBuf};

    /// Lists everything that is left and reads it; per task the file and its bytes.
    fn read_all(mut listing: impl Listing<Task = Chunk>) -> Vec<(usize, Vec<u8>)> {
        let quiet = Wake::new().unwrap();
        let cx = ListContext::real(&quiet);
        let mut tasks = Vec::new();
        while let Some(listed) = listing.next(&cx).unwrap() {
            let mut bytes = Vec::new();
            let mut pieces = listed.task.pieces();
            while let Some(piece) = pieces.next_piece().unwrap() {
                assert!(!piece.is_empty());
                if matches!(listed.task.cut, Cut::Lines(_)) && !bytes.is_empty() {
                    assert_eq!(bytes.last(), Some(&b'\n'), "a piece ends with a record");
                }
                bytes.extend_from_slice(piece);
            }
            tasks.push((listed.task.file_index, bytes));
        }
        tasks
    }

    /// What the arithmetic promises, computed the slow way.
    fn align(text: &[u8], p: usize) -> usize {
        if p == 0 || p >= text.len() {
            return p.min(text.len());
        }
        memchr(b'\n', &text[p - 1..]).map_or(text.len(), |i| p + i)
    }

    fn texts() -> Vec<Vec<u8>> {
        let mut seed = 7u64;
        let mut random = move |below: u64| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33) % below
        };
        let mut texts = vec![vec![], b"\n".to_vec(), b"x".to_vec(), b"\n\n\n\n\n".to_vec(), vec![b'x'; 100]];
        for newlines_in in [2, 5, 20, 200] {
            let length = 50 + random(700);
            texts.push((0..length).map(|_| if random(newlines_in) == 0 { b'\n' } else { b'a' }).collect());
        }
        texts
    }

    #[test]
    fn every_byte_belongs_to_the_block_that_the_arithmetic_says() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        for text in texts() {
            fs::write(&path, &text).unwrap();
            for block in [1, 2, 3, 7, 64, 1000] {
                let source = Chunks::new(vec![path.clone()], Cut::Lines(b'\n')).block(Some(block as u64));
                let tasks = read_all(source.begin().unwrap());
                assert_eq!(tasks.len(), text.len().div_ceil(block).max(1));
                for (k, (_, bytes)) in tasks.iter().enumerate() {
                    let expected = align(&text, k * block)..align(&text, (k + 1) * block);
                    assert_eq!(bytes, &text[expected], "block {k} of {block} bytes");
                }
            }
        }
    }

    #[test]
    fn records_longer_than_the_buffer_and_pieces_at_its_edge_stay_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let mut text = Vec::new();
        for length in [PIECE - 1, PIECE, 3 * PIECE + 5, 10, PIECE - 2, 0, 2 * PIECE] {
            text.extend(std::iter::repeat_n(b'z', length));
            text.push(b'\n');
        }
        text.extend_from_slice(b"no newline");
        fs::write(&path, &text).unwrap();
        for block in [PIECE / 2, PIECE, PIECE + 1, 4 * PIECE, 100 * PIECE] {
            let source = Chunks::new(vec![path.clone()], Cut::Lines(b'\n')).block(Some(block as u64));
            for (k, (_, bytes)) in read_all(source.begin().unwrap()).into_iter().enumerate() {
                let expected = align(&text, k * block)..align(&text, (k + 1) * block);
                assert!(bytes == text[expected], "block {k} of {block} bytes");
            }
        }
    }

    #[test]
    fn a_resumed_source_lists_what_the_first_one_had_left() {
        let dir = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> = texts()
            .iter()
            .enumerate()
            .map(|(i, text)| {
                let path = dir.path().join(i.to_string());
                fs::write(&path, text).unwrap();
                path
            })
            .collect();
        let new = || Chunks::new(paths.clone(), Cut::Lines(b'\n'));
        let first = new().block(Some(50)).begin().unwrap();
        let (described, tasks) = (first.described().unwrap(), first.extent().tasks);
        let all = read_all(first);
        assert_eq!(tasks, Some(all.len() as u64));
        for frontier in 0..=all.len() {
            let again = new().resume(&described, frontier as u64).unwrap(); // the block size is the stored one
            assert!(again.sentences().is_empty());
            assert_eq!(read_all(again), all[frontier..], "from task {frontier}");
        }
    }

    #[test]
    fn a_grown_input_is_processed_to_its_old_size_and_a_changed_one_refused() {
        use crate::error::Kind;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, "one\ntwo\n").unwrap();
        let new = || Chunks::new(vec![path.clone()], Cut::Lines(b'\n'));
        let described = new().block(Some(4)).begin().unwrap().described().unwrap();

        fs::write(&path, "one\ntwo\nthree\n").unwrap();
        let grown = new().resume(&described, 1).unwrap();
        let sentences = grown.sentences();
        assert!(sentences[0].contains("grew from 8 to 14 bytes"), "{sentences:?}");
        assert_eq!(read_all(grown), [(0, b"two\n".to_vec())]);

        fs::write(&path, "one\nTWO\n").unwrap();
        assert_eq!(new().resume(&described, 1).unwrap_err().kind(), Kind::Refused);
        let twice = Chunks::new(vec![path.clone(), path.clone()], Cut::Lines(b'\n')).resume(&described, 1);
        assert_eq!(twice.unwrap_err().kind(), Kind::Refused);
    }

    #[test]
    fn a_fifo_gives_the_same_bytes_as_a_file_and_cannot_be_continued() {
        use std::io::Write;
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let mut text: Vec<u8> = (0..400_000).flat_map(|n: u32| format!("line {n}\n").into_bytes()).collect();
        text.extend_from_slice(b"no newline");
        for cut in [Cut::Anywhere, Cut::Lines(b'\n')] {
            let source = Chunks::new(vec![fifo.clone()], cut);
            assert!(!source.is_resumable());
            let listing = source.begin().unwrap();
            let described = listing.described().unwrap();
            let tasks = std::thread::scope(|scope| {
                scope.spawn(|| {
                    fs::OpenOptions::new().write(true).open(&fifo).unwrap().write_all(&text).unwrap()
                });
                read_all(listing)
            });
            assert!(tasks.len() > 1);
            assert!(tasks.into_iter().flat_map(|(_, bytes)| bytes).eq(text.iter().copied()));
            assert!(Chunks::new(vec![fifo.clone()], cut).resume(&described, 0).is_err());
            assert!(source.begin().is_err(), "the second listing would be empty");
        }
        assert!(!Chunks::new(vec![PathBuf::from("-")], Cut::Anywhere).is_resumable());
        assert!(Chunks::new(vec![Path::new("Cargo.toml").into()], Cut::Anywhere).is_resumable());
    }

    #[test]
    fn a_stopped_source_does_not_wait_for_its_stream() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let mut listing = Chunks::new(vec![fifo], Cut::Anywhere).begin().unwrap();
        let wake = Wake::new().unwrap();
        wake.wake();
        assert!(listing.next(&ListContext::real(&wake)).unwrap().is_none());
    }
}
