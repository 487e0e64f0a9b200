//! The search through whole records: of several lines, or ended by a zero byte.
//!
//! A pattern means in a record what it means in a line of it, and a record is selected as one. The search still runs
//! over many records at once, and then the record around the match is looked up.

use super::looks::{Looks, Part};
use super::scan::Scan;
use std::ops::Range;

impl Scan<'_> {
    /// Searches the next records, which end at these places.
    pub(super) fn records(&mut self, text: &[u8], ends: &[usize]) {
        let (before, mut next) = (self.lines + 1, 0);
        while next < ends.len() && !self.has_enough() {
            let found = self.first_match((text, ends), next);
            let until = found.as_ref().map_or(ends.len(), |(index, _)| *index);
            match found {
                _ if self.options.invert => {
                    for index in next..until {
                        if !self.has_enough() {
                            self.select_record(
                                self.record_of((text, ends), index),
                                None,
                                before + index as u64,
                            );
                        }
                    }
                }
                Some((index, found)) => {
                    let record = self.record_of((text, ends), index);
                    self.select_record(record, Some(found), before + index as u64);
                }
                None => {}
            }
            next = until + 1;
        }
        self.lines += ends.len() as u64;
    }

    /// A record without the byte that ends it.
    fn record_of<'t>(&self, (text, ends): (&'t [u8], &[usize]), index: usize) -> &'t [u8] {
        let record = &text[start(ends, index)..ends[index]];
        record.strip_suffix(&[self.options.end()]).unwrap_or(record)
    }

    /// The first record from this one on that has a match, and where that is in it.
    fn first_match(&mut self, all: (&[u8], &[usize]), from: usize) -> Option<(usize, Range<usize>)> {
        let (text, ends) = all;
        if self.options.end() != b'\n' {
            return (from..ends.len()).find_map(|index| {
                let record = self.record_of(all, index);
                Some((index, self.searcher.find(record, 0..record.len())?))
            });
        }
        let text = &text[..*ends.last()?];
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        let found = self.searcher.find(text, start(ends, from)..text.len())?;
        let index = ends.partition_point(|end| *end <= found.start).min(ends.len() - 1);
        let start = start(ends, index);
        Some((index, found.start - start..found.end - start))
    }

    fn select_record(&mut self, record: &[u8], found: Option<Range<usize>>, number: u64) {
        self.selected += 1;
        if !self.options.prints_lines() {
            return;
        }
        let looks = Looks { color: self.options.more.color, zero: false };
        match (self.options.only_matching, found) {
            (true, None) => {}
            (true, Some(first)) => {
                for found in self.matches(record, 0..record.len(), first) {
                    let part = looks.paint(Part::Match, &record[found]);
                    self.print_text(number, &part);
                }
            }
            (false, found) if looks.color => {
                let painted = self.painted(record, 0..record.len(), found);
                self.print_text(number, &painted);
            }
            (false, _) => self.print_text(number, record),
        }
    }
}

fn start(ends: &[usize], index: usize) -> usize {
    index.checked_sub(1).map_or(0, |before| ends[before])
}
