//! Reading a chunk in pieces that stay in the cache.
//!
//! A mapped file looks cheaper than a copied one, and with one thread it is. With several, every page fault
//! takes the lock of the address space, and the workers wait for each other; and SIGBUS kills the process
//! when another one shortens the file. So a worker copies, into a buffer that it keeps from task to task, no
//! larger than its share of the second-level cache: when the job looks at the bytes, they are near. Much
//! smaller pieces are slow too, since the kernel looks up the pages at every call: with 256 KiB, two threads
//! that look for a literal need a sixth more time than with a mebibyte.

use super::boundary::Boundary;
use super::buffer::{Buffer, PAGE, no_room};
use super::file::InputFile;
use crate::error::{Error, Result};
use std::ops::Range;

/// How many bytes a piece has, unless a record is longer.
#[doc(hidden)]
pub const PIECE: usize = 1 << 20;

/// Parts of a file or of memory, in order. Those of a [`Chunk`](super::Chunk) end between records, except for
/// records of a fixed size or with boundaries that may overlap: those are cut anywhere.
///
/// ```
/// use bivouac::input::{InputFile, Pieces};
/// # let place = tempfile::tempdir()?; std::env::set_current_dir(&place)?;
/// # std::fs::write("digits", "0123456789")?;
///
/// let file = InputFile::look_at("digits".as_ref())?;
/// let mut pieces = Pieces::of_file(&file, 2..5);
/// assert_eq!(pieces.next_piece()?, Some(&b"234"[..]));
/// assert_eq!(pieces.next_piece()?, None, "the end, and the file is unchanged");
/// assert_eq!(Pieces::of_bytes(b"in memory").next_piece()?, Some(&b"in memory"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Pieces<'a> {
    from: From<'a>,
    /// Where pieces may end; `None`: anywhere.
    boundary: Option<&'a Boundary>,
}

#[derive(Debug)]
enum From<'a> {
    Bytes { rest: &'a [u8] },
    File(Reader<'a>),
}

impl<'a> Pieces<'a> {
    /// Any part of a file in pieces, cut anywhere.
    pub fn of_file(file: &'a InputFile, range: Range<u64>) -> Self {
        let buffer = Buffer::take(PIECE + 2 * PAGE);
        let reader = Reader { file, rest: range, buffer, held: 0..0, searched: 0 };
        Self { from: From::File(reader), boundary: None }
    }

    /// Bytes that are in memory already, in pieces, cut anywhere.
    pub fn of_bytes(bytes: &'a [u8]) -> Self {
        Self { from: From::Bytes { rest: bytes }, boundary: None }
    }

    /// The same, cut between records, if a search from any place finds where they end.
    pub(super) fn cut_at(self, boundary: &'a Boundary) -> Self {
        Self { boundary: Some(boundary).filter(|boundary| boundary.is_every_match()), ..self }
    }

    /// The next piece, never empty. `None` at the end, and only if the file is unchanged.
    ///
    /// # Errors
    ///
    /// Reading failed, or the file has changed ([`Kind::Refused`](crate::error::Kind::Refused)).
    pub fn next_piece(&mut self) -> Result<Option<&[u8]>> {
        match &mut self.from {
            From::Bytes { rest } => Ok(split(rest, self.boundary)),
            From::File(reader) => reader.next_piece(self.boundary),
        }
    }
}

fn split<'b>(rest: &mut &'b [u8], boundary: Option<&Boundary>) -> Option<&'b [u8]> {
    let mut window = PIECE;
    let end = loop {
        let Some(bytes) = rest.get(..window) else { break rest.len() };
        match boundary.map_or(Some(window), |boundary| boundary.find_last_in(bytes)) {
            Some(end) => break end,
            None => window *= 2,
        }
    };
    rest.split_off(..end).filter(|piece| !piece.is_empty())
}

/// Reads a part of a file that begins and ends between records.
#[derive(Debug)]
struct Reader<'a> {
    file: &'a InputFile,
    rest: Range<u64>,
    buffer: Buffer,
    /// The bytes read and not handed out yet.
    held: Range<usize>,
    /// No record in `held` ends before this.
    searched: usize,
}

impl Reader<'_> {
    fn next_piece(&mut self, boundary: Option<&Boundary>) -> Result<Option<&[u8]>> {
        loop {
            if let Some(end) = self.find_end(boundary) {
                let piece = self.held.start..end;
                (self.held.start, self.searched) = (end, end);
                return Ok(Some(&self.buffer[piece]));
            }
            if self.rest.is_empty() {
                self.file.check_unchanged()?;
                return Ok(None);
            }
            self.read()?;
        }
    }

    /// Where the next piece ends in the buffer, if that has been read.
    fn find_end(&mut self, boundary: Option<&Boundary>) -> Option<usize> {
        if self.held.is_empty() {
            return None;
        }
        let Some(boundary) = boundary.filter(|_| !self.rest.is_empty()) else { return Some(self.held.end) };
        let end = boundary.find_last_in(&self.buffer[self.searched..self.held.end]);
        let end = end.map(|i| self.searched + i);
        // One byte less than a match may have come.
        let decides = boundary.back() + boundary.ahead();
        self.searched = self.searched.max((self.held.end + 1).saturating_sub(decides));
        end
    }

    /// Reads on, to the same place in a page as in the file, and up to the end of one unless it is the last.
    fn read(&mut self) -> Result<()> {
        self.make_room()?;
        let wanted = usize::try_from(self.rest.end - self.rest.start).unwrap_or(usize::MAX);
        let room = self.buffer.len() - self.held.end;
        let most = PIECE.max(self.held.len()).min(room);
        let is_last = wanted <= room.min(most + PAGE);
        let length = if is_last { wanted } else { most - (self.in_page() + most) % PAGE };
        let space = self.held.end..self.held.end + length;
        self.file.read_exact_at(&mut self.buffer[space], self.rest.start)?;
        self.held.end += length;
        self.rest.start += length as u64;
        Ok(())
    }

    /// Makes room for a piece, or for as much as is held: a long record is then moved only a few times.
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

    fn too_long(&self) -> Error {
        let start = self.rest.start - self.held.len() as u64;
        let most = self.rest.end - start;
        no_room(self.file.path(), format_args!("the record at byte {start} has up to {most} bytes"))
    }

    /// Where in its page the next byte of the file stands.
    fn in_page(&self) -> usize {
        (self.rest.start % PAGE as u64) as usize
    }
}
