//! Matches that overlap: which of them are boundaries is decided from the left of the input, and a search
//! begins in its middle.
//!
//! The obvious way is to begin at the left each time. But a match is rejected only because of one shortly
//! before it; where there is none for a while, the next one is a boundary, whatever lies further to the
//! left. So the search goes back to such a place, mostly a few bytes, and decides from there. (In a file
//! that is nothing but newlines, with two of them as the end of a record, there is no such place, and each
//! block costs a reading of everything before it.)

use super::Search;
use crate::error::Error;
use crate::input::boundary::Boundary;
use std::ops::Range;

/// All the bytes that decide about some places.
struct Window<'a> {
    boundary: &'a Boundary,
    bytes: Vec<u8>,
    /// Where the bytes begin.
    at: u64,
}

impl Window<'_> {
    /// The first match at or behind `place`.
    fn first(&self, place: u64) -> Option<u64> {
        let skipped = place.saturating_sub(self.boundary.behind() as u64).saturating_sub(self.at) as usize;
        let found = self.boundary.find_in(self.bytes.get(skipped..)?)?;
        Some(self.at + (skipped + found) as u64)
    }
}

impl<'a, E: From<Error>, F: FnMut() -> Result<(), E>> Search<'a, F> {
    /// The first boundary in `from..until`, of those that are at least `apart` from each other.
    pub(super) fn first_from_the_left(
        &mut self,
        apart: u64,
        from: u64,
        until: u64,
    ) -> Result<Option<u64>, E> {
        let mut next = self.where_to_begin(apart, from)?;
        let mut length = self.windows.start;
        while next < until {
            let end = until.min(next + length as u64);
            let window = self.window(next..end)?;
            while let Some(place) = window.first(next) {
                if place >= from {
                    return Ok(Some(place));
                }
                next = place + apart;
            }
            next = next.max(end);
            length = self.windows.end.min(2 * length);
            (self.between_reads)()?;
        }
        Ok(None)
    }

    /// A place not behind `from` before which no match is so near that it could reject one from there on.
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
        let first = self.bytes(0..ahead.min(self.file.identity().size))?;
        Ok(if self.boundary.begins(&first) { apart } else { 1 })
    }

    fn window(&self, places: Range<u64>) -> Result<Window<'a>, E> {
        let at = places.start.saturating_sub(self.boundary.behind() as u64);
        let last = (places.end - 1).saturating_add(self.boundary.ahead() as u64);
        let bytes = self.bytes(at..last.min(self.file.identity().size))?;
        Ok(Window { boundary: self.boundary, bytes, at })
    }

    fn bytes(&self, range: Range<u64>) -> Result<Vec<u8>, E> {
        let mut bytes = vec![0; (range.end - range.start) as usize];
        self.file.read_exact_at(&mut bytes, range.start)?;
        Ok(bytes)
    }
}
