//! The records of a chunk, for jobs whose unit is a record and not a line.
//!
//! The obvious way is a parser of the job's own. But then there are two rules for where a record ends, and a job would
//! count other records than those between which its input is cut. So the rule that cut the chunk tells its records
//! apart. They come in stretches of about a mebibyte, with all their ends, since a search through many records at once
//! is faster than a call for each.

use super::boundary::Boundary;
use super::buffer::{has_room, no_room};
use super::grammar::Scan;
use super::pieces::Pieces;
use crate::error::{Error, Result};
use std::path::Path;

/// Bytes, and where in them records end.
pub type Stretch<'r> = (&'r [u8], &'r [usize]);

/// The records of a chunk, without the header of its input.
#[derive(Debug)]
pub struct Records<'a> {
    path: &'a Path,
    pieces: Pieces<'a>,
    boundary: &'a Boundary,
    scan: Option<Scan>,
    /// How many bytes of the header are still to be passed.
    header: usize,
    held: Vec<u8>,
    /// Where the records end that `held` begins with; they are handed out.
    ends: Vec<usize>,
    /// Up to here in `held` all ends are found.
    searched: usize,
    /// No end comes before this: matches may overlap. 0 until the first bytes of an input are seen.
    least: usize,
    is_over: bool,
}

impl<'a> Records<'a> {
    /// The records of a chunk that begins at `start` of its input, `header` bytes before the first of them.
    pub(super) fn new(
        path: &'a Path,
        (pieces, boundary): (Pieces<'a>, &'a Boundary),
        (start, header): (u64, usize),
    ) -> Self {
        let scan = boundary.grammar().map(|grammar| Scan::new(grammar, start + header as u64));
        let least = if start == 0 { 0 } else { boundary.apart().unwrap_or(1) };
        let (held, ends) = (Vec::new(), Vec::new());
        Self { path, pieces, boundary, scan, header, held, ends, searched: 0, least, is_over: false }
    }

    /// The next whole records, and where each of them ends in these bytes. What follows the last end (empty lines at
    /// the end of FASTQ) is no record. Calls `passes` with the number of bytes that were read.
    ///
    /// # Errors
    ///
    /// As [`Pieces::next_piece`], and that of `passes`.
    pub fn next<E: From<Error>>(
        &mut self,
        mut passes: impl FnMut(u64) -> std::result::Result<(), E>,
    ) -> std::result::Result<Option<Stretch<'_>>, E> {
        let given = self.ends.last().copied().unwrap_or(0);
        self.held.drain(..given);
        self.searched -= given;
        self.least = self.least.saturating_sub(given);
        self.ends.clear();
        while self.ends.is_empty() && !self.is_over {
            let Some(piece) = self.pieces.next_piece()? else {
                self.finish();
                break;
            };
            passes(piece.len() as u64)?;
            let records = &piece[self.header.min(piece.len())..];
            self.header -= piece.len() - records.len();
            if !has_room(&mut self.held, records.len()) {
                let problem = format_args!("has a record of more than {} bytes", self.held.len());
                return Err(no_room(self.path, problem).into());
            }
            self.held.extend_from_slice(records);
            self.find_ends()?;
        }
        Ok((!self.ends.is_empty()).then_some((&self.held, &self.ends)))
    }

    fn find_ends(&mut self) -> Result<()> {
        if let Some(scan) = &mut self.scan {
            while let Some(length) =
                scan.advance(&self.held[self.searched..], 0).map_err(|flaw| flaw.of(self.path))?
            {
                self.searched += length;
                self.ends.push(self.searched);
            }
            self.searched = self.held.len();
        } else if let Some(size) = self.boundary.fixed_size().and_then(|size| usize::try_from(size).ok()) {
            while self.held.len() - self.searched >= size {
                self.searched += size;
                self.ends.push(self.searched);
            }
        } else {
            self.find_matches();
        }
        Ok(())
    }

    fn find_matches(&mut self) {
        let (back, apart) = (self.boundary.back(), self.boundary.apart().unwrap_or(1));
        if self.least == 0 {
            // A mark at the very beginning is the first record's own.
            self.least = if self.boundary.begins(&self.held) { apart } else { 1 };
        }
        let mut window = self.searched;
        while let Some(i) = self.boundary.find_in(&self.held[window..]) {
            let end = window + i;
            if end >= self.least {
                self.ends.push(end);
                self.least = end + apart;
            }
            // The end of a record has no byte of the end before it.
            window = end + usize::from(back == 0);
        }
        let decides = back + self.boundary.ahead();
        // Of a match that has begun, more bytes may come.
        let begun = (self.held.len() + 1).saturating_sub(decides);
        self.searched = begun.max(window).min(self.held.len());
    }

    /// The last record of an input needs no end.
    fn finish(&mut self) {
        (self.is_over, self.searched) = (true, self.held.len());
        let is_record = self.scan.as_ref().is_none_or(|scan| !scan.is_between_records());
        if is_record && !self.held.is_empty() {
            self.ends.push(self.held.len());
        }
    }
}
