//! Several columns side by side: in step where they are linked, otherwise in all combinations.
//!
//! The last column varies fastest, as the last digit of a counter. So the counter passes once through the
//! first group of linked columns, and reads it as it goes: ten million lines cost no memory. It passes
//! through the other groups again and again, so these are kept. So is a column that may have to begin again
//! because another one in step with it is longer; the longest is kept only until the others have ended.

use super::column::Step;
use super::reading::ReadColumn;
use super::rows::Rows;
use crate::error::{Error, Result};
use crate::input::buffer::no_room;
use crate::task::ListContext;
use std::path::Path;

/// Appends a word in the form in which words are kept and digested: its length in 4 bytes, little-endian; then
/// its bytes. So no other sequence of words gives the same bytes.
fn append(to: &mut Vec<u8>, word: &[u8]) {
    // No word is longer than `LONGEST`, or than what a command line can hold.
    to.extend_from_slice(&u32::try_from(word.len()).unwrap_or(u32::MAX).to_le_bytes());
    to.extend_from_slice(word);
}

/// The words that [`append`] has put into these bytes.
pub(super) fn words(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::with_capacity(1);
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let (word, rest) = rest.split_at(rest.len().min(u32::from_le_bytes(*length) as usize));
        words.push(word.to_vec());
        bytes = rest;
    }
    words
}

/// How many bytes the first `count` words take; all of them if there are no more.
pub(super) fn bytes_of(bytes: &[u8], count: usize) -> usize {
    let mut at = 0;
    for _ in 0..count {
        let Some(length) = bytes.get(at..).and_then(<[u8]>::first_chunk) else { break };
        at += 4 + u32::from_le_bytes(*length) as usize;
    }
    at.min(bytes.len())
}

/// A column in step with others.
#[derive(Debug)]
struct Member {
    column: ReadColumn,
    /// Its items, while it may have to begin again.
    kept: Option<Rows>,
    /// It has ended, and has begun again at this item.
    again: Option<usize>,
}

impl Member {
    fn advance(&mut self, cx: &ListContext<'_>) -> Result<Step> {
        let step = if self.again.is_some() { Step::End } else { self.column.advance(cx)? };
        match (step, &mut self.kept) {
            (Step::Item, Some(kept)) => {
                let item = self.column.item();
                if !kept.has_room(item.len()) {
                    return Err(no_room(path_of(&self.column), "is in step with another list, and long"));
                }
                kept.bytes.extend_from_slice(item);
                kept.end();
                Ok(Step::Item)
            }
            (Step::End, Some(kept)) if !kept.is_empty() => {
                self.again = Some(self.again.map_or(0, |item| (item + 1) % kept.count()));
                Ok(Step::Item)
            }
            (step @ (Step::Item | Step::End | Step::Stopped), _) => Ok(step),
        }
    }

    fn item(&self) -> &[u8] {
        match (&self.kept, self.again) {
            (Some(kept), Some(item)) => kept.row(item),
            (_, _) => self.column.item(),
        }
    }
}

/// Columns that go in step. The shortest ends them all, or the longest.
#[derive(Debug)]
struct Group {
    columns: Vec<Member>,
    /// How many have gone to the next item: a stop may come between two of them.
    ahead: usize,
    /// A column that is shorter than another begins again.
    repeats: bool,
    has_ended: bool,
}

impl Group {
    fn new(repeats: bool) -> Self {
        Self { columns: Vec::new(), ahead: 0, repeats, has_ended: false }
    }

    fn push(&mut self, column: ReadColumn) {
        self.columns.push(Member { column, kept: self.repeats.then(Rows::default), again: None });
    }

    fn advance(&mut self, cx: &ListContext<'_>) -> Result<Step> {
        while !self.has_ended && self.ahead < self.columns.len() {
            match self.columns[self.ahead].advance(cx)? {
                Step::Item => self.ahead += 1,
                Step::End => self.has_ended = true,
                Step::Stopped => return Ok(Step::Stopped),
            }
        }
        self.ahead = 0;
        if self.repeats {
            let mut going = self.columns.iter_mut().filter(|column| column.again.is_none());
            match (going.next(), going.next()) {
                (None, _) => self.has_ended = true,
                // When it ends, all have: it never begins again.
                (Some(last), None) => last.kept = None,
                (Some(_), Some(_)) => {}
            }
        }
        Ok(if self.has_ended { Step::End } else { Step::Item })
    }

    fn append_to(&self, bytes: &mut Vec<u8>) {
        for column in &self.columns {
            append(bytes, column.item());
        }
    }

    fn length(&self) -> usize {
        self.columns.iter().map(|column| size_of::<u32>() + column.item().len()).sum()
    }

    /// The error that this group has to be kept, and that there is no memory for it.
    fn no_room(&self, items: usize) -> Error {
        let path = self.columns.iter().map(|member| path_of(&member.column)).next();
        let problem = format_args!("is combined with another list, and has more than {items} items");
        no_room(path.unwrap_or(Path::new("items")), problem)
    }

    fn count(&self) -> Option<u64> {
        let counts: Option<Vec<u64>> = self.columns.iter().map(|member| member.column.count()).collect();
        let counts = counts?;
        let (shortest, longest) = (counts.iter().min().copied()?, counts.iter().max().copied()?);
        Some(if self.repeats && shortest > 0 { longest } else { shortest })
    }
}

/// What to call a column in a message.
fn path_of(column: &ReadColumn) -> &Path {
    column.path().unwrap_or(Path::new("items"))
}

/// A group through which the counter passes many times.
#[derive(Debug)]
struct Table {
    group: Group,
    rows: Rows,
    is_complete: bool,
    row: usize,
}

impl Table {
    fn load(&mut self, cx: &ListContext<'_>) -> Result<Step> {
        while !self.is_complete {
            match self.group.advance(cx)? {
                Step::Item => {
                    if !self.rows.has_room(self.group.length()) {
                        return Err(self.group.no_room(self.rows.count()));
                    }
                    self.group.append_to(&mut self.rows.bytes);
                    self.rows.end();
                }
                Step::End => self.is_complete = true,
                Step::Stopped => return Ok(Step::Stopped),
            }
        }
        Ok(if self.rows.is_empty() { Step::End } else { Step::Item })
    }

    fn append_to(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(self.rows.row(self.row));
    }
}

#[derive(Debug)]
pub(super) struct Combinations {
    first: Group,
    others: Vec<Table>,
    /// The item of the first group is at hand, and has not met all rows of the others.
    has_first: bool,
}

impl Combinations {
    /// The combinations of these columns. The `bool` of a column says whether it is linked to the column before it. With
    /// `in_step` all columns are linked, and shorter ones repeat.
    pub(super) fn new(columns: impl IntoIterator<Item = (ReadColumn, bool)>, in_step: bool) -> Self {
        let mut groups: Vec<Group> = Vec::new();
        for (column, is_linked) in columns {
            match groups.last_mut() {
                Some(group) if is_linked || in_step => group.push(column),
                Some(_) | None => {
                    let mut group = Group::new(in_step);
                    group.push(column);
                    groups.push(group);
                }
            }
        }
        let mut groups = groups.into_iter();
        // Without columns there are no combinations.
        let first = groups.next().unwrap_or(Group { has_ended: true, ..Group::new(false) });
        let table = |group| Table { group, rows: Rows::default(), is_complete: false, row: 0 };
        Self { first, others: groups.map(table).collect(), has_first: false }
    }

    /// The columns, in the order in which they were given.
    pub(super) fn columns(&self) -> impl Iterator<Item = &ReadColumn> {
        let others = self.others.iter().flat_map(|table| &table.group.columns);
        self.first.columns.iter().chain(others).map(|member| &member.column)
    }

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
            table.row = (table.row + 1) % table.rows.count();
            table.row > 0
        });
        self.has_first
    }

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
