//! Lines on their way from a worker to the output, with what the worker knows of them.
//!
//! A worker knows neither how many lines come before its chunk nor which of them are near a selected one, so it
//! hands over every line that may be printed, by its number in the chunk: selected ones, those near them, and the
//! first ones of the chunk, which may be near a selected line of the chunk before. The last lines of a chunk may be
//! near one of the next; they go with its report ([`Trail`]) into the total, and stand there until that is known.

use super::looks::{Looks, Part};
use super::{Options, Partial, Total};
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Selected, or a part of it with `-o`.
    Selected,
    /// Near a selected line of the chunk.
    Near,
    /// Among the first of the chunk.
    First,
}

/// A line by its number, from 1: in the chunk, and in the total in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Line {
    pub(super) number: u64,
    #[serde(with = "as_base64")]
    pub(super) text: Vec<u8>,
}

/// The end of a chunk, as far as the next one needs it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Trail {
    /// The last line that is printed for certain.
    pub(super) last: Option<u64>,
    /// Its last lines after that.
    pub(super) kept: Vec<Line>,
    /// Its selected lines; all of them only if their number is limited.
    pub(super) selected: Vec<u64>,
}

mod as_base64 {
    use base64::prelude::{BASE64_STANDARD, Engine};
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&BASE64_STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Vec<u8>, D::Error> {
        BASE64_STANDARD.decode(String::deserialize(from)?).map_err(de::Error::custom)
    }
}

/// The head of a piece: which file, and what of the chunk came before.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Head {
    pub(super) file: u32,
    pub(super) first_in_file: bool,
    /// The first selected line of the chunk, if this is the first piece of it; otherwise 0.
    pub(super) first_selected: u64,
    /// The last line of the chunk that was handed over before, and is printed for certain; otherwise 0.
    pub(super) last: u64,
}

const HEAD: usize = 21;

impl Head {
    pub(super) fn bytes(self) -> [u8; HEAD] {
        let mut bytes = [0; HEAD];
        bytes[0] = u8::from(self.first_in_file);
        bytes[1..5].copy_from_slice(&self.file.to_le_bytes());
        bytes[5..13].copy_from_slice(&self.first_selected.to_le_bytes());
        bytes[13..].copy_from_slice(&self.last.to_le_bytes());
        bytes
    }

    fn read(piece: &[u8]) -> (Self, &[u8]) {
        let Some((head, rest)) = piece.split_first_chunk::<HEAD>() else { return (Self::default(), &[]) };
        let mut numbers = head[5..].chunks_exact(8).filter_map(|bytes| bytes.try_into().ok());
        let mut number = || numbers.next().map_or(0, u64::from_le_bytes);
        let file = u32::from_le_bytes([head[1], head[2], head[3], head[4]]);
        let first_in_file = head[0] == 1;
        (Self { file, first_in_file, first_selected: number(), last: number() }, rest)
    }
}

/// Room for the head of a piece.
pub(super) fn begin(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0; HEAD]);
}

pub(super) fn head(out: &mut [u8], head: Head) {
    if let Some(place) = out.first_chunk_mut::<HEAD>() {
        *place = head.bytes();
    }
}

/// Appends a record: the kind, the line's number, how many selected lines there were with it, the text.
pub(super) fn write(kind: Kind, (line, nth): (u64, u64), text: &[u8], out: &mut Vec<u8>) {
    out.push(match kind {
        Kind::Selected => 0,
        Kind::Near => 1,
        Kind::First => 2,
    });
    for number in [line, nth, text.len() as u64] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.extend_from_slice(text);
}

#[derive(Debug)]
pub(super) struct Records<'p> {
    head: Head,
    rest: &'p [u8],
}

#[derive(Debug)]
pub(super) struct Record<'p> {
    kind: Kind,
    line: u64,
    nth: u64,
    text: &'p [u8],
}

impl<'p> Iterator for Records<'p> {
    type Item = Record<'p>;

    fn next(&mut self) -> Option<Record<'p>> {
        let (kind, rest) = self.rest.split_first()?;
        let (line, rest) = rest.split_first_chunk()?;
        let (nth, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (text, rest) = rest.split_at_checked(u64::from_le_bytes(*length) as usize)?;
        self.rest = rest;
        let kind = match kind {
            0 => Kind::Selected,
            1 => Kind::Near,
            _ => Kind::First,
        };
        Some(Record { kind, line: u64::from_le_bytes(*line), nth: u64::from_le_bytes(*nth), text })
    }
}

impl<'p> Records<'p> {
    pub(super) fn read(piece: &'p [u8]) -> Self {
        let (head, rest) = Head::read(piece);
        Self { head, rest }
    }

    /// The file, and whether it begins here.
    pub(super) fn place(&self) -> (usize, bool) {
        (self.head.file as usize, self.head.first_in_file)
    }

    /// The printed lines of the chunk, after the chunks that `before` counts.
    pub(super) fn render(self, before: &Total, options: &Options, prefix: &[u8], looks: Looks) -> Vec<u8> {
        let around = options.around();
        let last = if self.head.last > 0 { Some(before.lines + self.head.last) } else { before.last };
        let mut page = Page {
            options,
            looks,
            prefixes: [prefix.to_vec(), looks.around(prefix)],
            out: Vec::with_capacity(self.rest.len()),
            last,
            printed: before.printed || self.head.last > 0,
        };
        let most = options.most();
        // Whether enough lines are selected, and up to which line it is then near one.
        let mut until = (before.selected >= most).then_some(before.until);
        if let (Some((wanted, _)), None, 1..) = (around, until, self.head.first_selected) {
            let missing = wanted.saturating_sub(self.head.first_selected - 1);
            let from = (before.lines + 1).saturating_sub(missing);
            for line in before.kept.iter().filter(|line| line.number >= from) {
                page.near(line.number, &line.text);
            }
        }
        for Record { kind, line, nth, text } in self {
            let number = before.lines + line;
            let counts = before.selected + nth <= most;
            if until.is_some_and(|until| number > until) || (around.is_none() && !counts) {
                break;
            }
            match kind {
                Kind::Selected if counts => page.selected(number, text),
                Kind::First if number > before.until => {}
                Kind::Selected | Kind::Near | Kind::First => page.near(number, text),
            }
            if kind == Kind::Selected && before.selected + nth == most {
                until = Some(number + around.map_or(0, |(_, after)| after));
            }
        }
        page.out
    }
}

struct Page<'a> {
    options: &'a Options,
    looks: Looks,
    prefixes: [Vec<u8>; 2],
    out: Vec<u8>,
    /// The last line that was printed, of this file; and whether there was one of any.
    last: Option<u64>,
    printed: bool,
}

impl Page<'_> {
    fn selected(&mut self, number: u64, text: &[u8]) {
        self.part_groups(number);
        if !(self.options.only_matching && text.is_empty()) {
            self.print(number, b':', text);
        }
    }

    fn near(&mut self, number: u64, text: &[u8]) {
        if self.last.is_some_and(|last| number <= last) {
            return;
        }
        self.part_groups(number);
        if !self.options.only_matching {
            self.print(number, b'-', text);
        }
    }

    fn part_groups(&mut self, number: u64) {
        let follows = self.last.is_some_and(|last| number <= last + 1);
        if self.options.around().is_some() && self.printed && !follows {
            self.out.extend_from_slice(&self.looks.paint(Part::Separator, b"--"));
            self.out.push(b'\n');
        }
        (self.last, self.printed) = (Some(number), true);
    }

    fn print(&mut self, number: u64, separator: u8, text: &[u8]) {
        self.out.extend_from_slice(&self.prefixes[usize::from(separator == b'-')]);
        if self.options.line_numbers {
            self.out.extend_from_slice(&self.looks.paint(Part::Number, number.to_string().as_bytes()));
            self.out.extend_from_slice(&self.looks.separator(separator));
        }
        self.out.extend_from_slice(text);
        self.out.push(self.options.end());
    }
}

impl Total {
    /// Notes the end of a chunk for the next one. Called before its lines are counted.
    pub(super) fn follow(&mut self, trail: &Trail, chunk: &Partial, (wanted, after): (u64, u64), most: u64) {
        let (before, lines) = (self.lines, chunk.lines);
        let near = self.until.saturating_sub(before).min(lines);
        let counted = usize::try_from(most.saturating_sub(self.selected)).unwrap_or(usize::MAX);
        // The last selected line that counts.
        let last_selected = trail.selected.get(..counted).unwrap_or(&trail.selected).last();
        let old = self.until;
        if let Some(line) = last_selected {
            self.until = before + line + after;
        }
        let printed = match last_selected {
            // No more than is printed after the last one that counts.
            Some(_) => trail.last.map(|last| (before + last).min(self.until)),
            None => (near > 0).then_some(before + near).filter(|_| old > before),
        };
        if let Some(printed) = printed {
            (self.last, self.printed) = (Some(printed), true);
            self.kept.clear();
        }
        let last = self.last.unwrap_or(0);
        let kept =
            trail.kept.iter().map(|line| Line { number: before + line.number, text: line.text.clone() });
        self.kept.extend(kept.filter(|line| line.number > last));
        let surplus = self.kept.len().saturating_sub(usize::try_from(wanted).unwrap_or(usize::MAX));
        self.kept.drain(..surplus);
    }
}
