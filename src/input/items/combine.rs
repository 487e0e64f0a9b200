//! Several columns side by side: in step where they are linked, otherwise in all combinations.
//!
//! The last column varies fastest, as the last digit of a counter does. So the counter passes once through the
//! first group of linked columns, and reads it as it goes: ten million lines cost no memory. It passes through
//! all other groups again and again, so these are kept.

use super::column::{OpenColumn, Step};
use crate::error::{Error, Result};
use crate::input::buffer::{has_room, no_room};
use crate::task::ListContext;
use std::path::Path;

/// Appends a word in the form in which words are kept and digested: its length in 4 bytes, little-endian; then
/// its bytes. So no other sequence of words gives the same bytes.
fn append(to: &mut Vec<u8>, word: &[u8]) {
    // No word is longer than `LONGEST`, or than what a command line can hold.
    to.extend_from_slice(&u32::try_from(word.len()).unwrap_or(u32::MAX).to_le_bytes());
    to.extend_from_slice(word);
}

/// The words that were appended.
pub(super) fn words(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::with_capacity(1);
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let (word, rest) = rest.split_at(rest.len().min(u32::from_le_bytes(*length) as usize));
        words.push(word.to_vec());
        bytes = rest;
    }
    words
}

/// Columns that go in step. The shortest ends them all.
#[derive(Debug)]
struct Group {
    columns: Vec<OpenColumn>,
    /// How many have gone to the next item: a stop may come between two of them.
    ahead: usize,
    has_ended: bool,
}

impl Group {
    fn advance(&mut self, cx: &ListContext<'_>) -> Result<Step> {
        while !self.has_ended && self.ahead < self.columns.len() {
            match self.columns[self.ahead].advance(cx)? {
                Step::Item => self.ahead += 1,
                Step::End => self.has_ended = true,
                Step::Stopped => return Ok(Step::Stopped),
            }
        }
        self.ahead = 0;
        Ok(if self.has_ended { Step::End } else { Step::Item })
    }

    fn append_to(&self, bytes: &mut Vec<u8>) {
        for column in &self.columns {
            append(bytes, column.item());
        }
    }

    /// How many bytes that appends.
    fn length(&self) -> usize {
        self.columns.iter().map(|column| size_of::<u32>() + column.item().len()).sum()
    }

    /// The error that this group has to be kept, and that there is no memory for it.
    fn no_room(&self, items: usize) -> Error {
        let path = self.columns.iter().find_map(OpenColumn::path).unwrap_or(Path::new("items"));
        no_room(path, format_args!("is combined with another list, and has more than {items} items"))
    }

    fn count(&self) -> Option<u64> {
        self.columns.iter().map(OpenColumn::count).reduce(|a, b| Some(a?.min(b?))).flatten()
    }
}

/// A group through which the counter passes many times.
#[derive(Debug)]
struct Table {
    group: Group,
    /// The words of all rows, one after the other.
    bytes: Vec<u8>,
    /// Where each row ends.
    ends: Vec<usize>,
    is_complete: bool,
    /// The row at hand.
    row: usize,
}

impl Table {
    /// Reads the rows that are not read yet.
    fn load(&mut self, cx: &ListContext<'_>) -> Result<Step> {
        while !self.is_complete {
            match self.group.advance(cx)? {
                Step::Item => {
                    let more = self.group.length();
                    if !has_room(&mut self.bytes, more) || self.ends.try_reserve(1).is_err() {
                        return Err(self.group.no_room(self.ends.len()));
                    }
                    self.group.append_to(&mut self.bytes);
                    self.ends.push(self.bytes.len());
                }
                Step::End => self.is_complete = true,
                Step::Stopped => return Ok(Step::Stopped),
            }
        }
        Ok(if self.ends.is_empty() { Step::End } else { Step::Item })
    }

    fn append_to(&self, bytes: &mut Vec<u8>) {
        let start = self.row.checked_sub(1).map_or(0, |before| self.ends[before]);
        bytes.extend_from_slice(&self.bytes[start..self.ends[self.row]]);
    }
}

/// All combinations, one after the other.
#[derive(Debug)]
pub(super) struct Combinations {
    first: Group,
    others: Vec<Table>,
    /// The item of the first group is at hand, and has not met all rows of the others.
    has_first: bool,
}

impl Combinations {
    /// Of columns, each with whether it is linked to the one before it.
    pub(super) fn new(columns: impl IntoIterator<Item = (OpenColumn, bool)>) -> Self {
        let mut groups: Vec<Group> = Vec::new();
        for (column, is_linked) in columns {
            match groups.last_mut() {
                Some(group) if is_linked => group.columns.push(column),
                _ => groups.push(Group { columns: vec![column], ahead: 0, has_ended: false }),
            }
        }
        let mut groups = groups.into_iter();
        // Of no columns there are no combinations.
        let first = groups.next().unwrap_or(Group { columns: Vec::new(), ahead: 0, has_ended: true });
        let table = |group| Table { group, bytes: Vec::new(), ends: Vec::new(), is_complete: false, row: 0 };
        Self { first, others: groups.map(table).collect(), has_first: false }
    }

    /// The columns, in the order in which they were given.
    pub(super) fn columns(&self) -> impl Iterator<Item = &OpenColumn> {
        self.first.columns.iter().chain(self.others.iter().flat_map(|table| &table.group.columns))
    }

    /// Goes to the next combination.
    pub(super) fn advance(&mut self, cx: &ListContext<'_>) -> Result<Step> {
        for table in &mut self.others {
            match table.load(cx)? {
                Step::Item => {}
                // If one of them is empty, there is no combination.
                step @ (Step::End | Step::Stopped) => return Ok(step),
            }
        }
        if self.has_first && self.turn() {
            return Ok(Step::Item);
        }
        let step = self.first.advance(cx)?;
        self.has_first = step == Step::Item;
        Ok(step)
    }

    /// Turns all digits of the counter but the first; `false` when that has to be turned too.
    fn turn(&mut self) -> bool {
        self.has_first = self.others.iter_mut().rev().any(|table| {
            table.row = (table.row + 1) % table.ends.len();
            table.row > 0
        });
        self.has_first
    }

    /// Appends the words of the combination at hand.
    pub(super) fn append_to(&self, bytes: &mut Vec<u8>) {
        self.first.append_to(bytes);
        for table in &self.others {
            table.append_to(bytes);
        }
    }

    /// How many there are, if that takes little time to find out.
    pub(super) fn count(&self) -> Option<u64> {
        let others = self.others.iter().map(|table| table.group.count());
        others.fold(self.first.count(), |all, more| all?.checked_mul(more?))
    }
}
