//! The search through one chunk.

use super::Options;
use super::looks::{Looks, Part};
use super::records::{self, Head, Kind, Line, Trail};
use crate::jobs::pattern::Searcher;
use memchr::{memchr, memchr_iter, memrchr};
use std::collections::VecDeque;
use std::ops::Range;

#[derive(Debug)]
pub(super) struct Scan<'a> {
    pub(super) options: &'a Options,
    pub(super) searcher: Searcher<'a>,
    prefix: &'a [u8],
    head: Head,
    records: bool,
    most: u64,
    pub(super) lines: u64,
    pub(super) selected: u64,
    pub(super) out: Vec<u8>,
    /// A line to be printed for which there is no memory.
    pub(super) too_long: Option<usize>,
    /// A line to be printed is not text.
    pub(super) binary: bool,
    near: Near,
}

/// With lines around selected ones.
#[derive(Debug, Default)]
struct Near {
    /// How many lines are wanted, before and after.
    before: u64,
    after: u64,
    /// How many of those after the last selected line are still to come.
    owed: u64,
    /// The last lines that were not handed over for certain.
    kept: VecDeque<Line>,
    /// The last one that was.
    last: Option<u64>,
    /// Lines of the chunk so far.
    line: u64,
    /// Selected ones; all of them only if their number is limited.
    selected: Vec<u64>,
}

impl<'a> Scan<'a> {
    pub(super) fn new(
        options: &'a Options,
        searcher: Searcher<'a>,
        prefix: &'a [u8],
        (file, first_in_file): (usize, bool),
    ) -> Self {
        let (before, after) = options.around().unwrap_or_default();
        Self {
            options,
            searcher,
            prefix,
            head: Head { file: file as u32, first_in_file, ..Head::default() },
            records: options.needs_records(),
            most: options.most(),
            lines: 0,
            selected: 0,
            out: Vec::new(),
            too_long: None,
            binary: false,
            near: Near { before, after, ..Near::default() },
        }
    }

    /// Searches the next whole lines. The last line of a file may lack its newline.
    pub(super) fn piece(&mut self, piece: &[u8]) {
        // Without the last newline there is no empty line after it that a pattern could match.
        let text = piece.strip_suffix(b"\n").unwrap_or(piece);
        let mut numbered = Numbered { text, at: 0, line: self.lines + 1, passed: 0 };
        let mut at = 0;
        while at <= text.len() && !self.has_enough() {
            let Some(found) = self.searcher.find(text, at..text.len()) else { break };
            let start = memrchr(b'\n', &text[at..found.start]).map_or(at, |i| at + i + 1);
            let end = memchr(b'\n', &text[found.end..]).map_or(text.len(), |i| found.end + i);
            if !self.options.invert {
                self.select(start..end, found, &mut numbered);
            } else if start > at {
                self.select_without_match(at..start - 1, &mut numbered);
            }
            at = end + 1;
        }
        if self.options.invert && at <= text.len() && !self.has_enough() {
            self.select_without_match(at..text.len(), &mut numbered);
        }
        if self.options.around().is_some() {
            let from = numbered.passed.min(text.len());
            if numbered.passed <= text.len() {
                self.pass(&text[from..]);
            }
            self.lines = self.near.line;
        } else if self.options.line_numbers {
            self.lines = numbered.line_at(text.len());
        }
    }

    /// More selected lines of this chunk change nothing.
    pub(super) fn has_enough(&self) -> bool {
        self.selected >= self.most
    }

    fn select(&mut self, line: Range<usize>, found: Range<usize>, numbered: &mut Numbered<'_>) {
        self.selected += 1;
        if !self.options.prints_lines() {
            return;
        }
        self.select_for_context(line.clone(), numbered);
        if self.options.only_matching {
            self.print_matches(line, found, numbered);
        } else if self.options.more.color {
            let text = self.painted(numbered.text, line.clone(), Some(found));
            let number = self.line_of(line.start, numbered);
            self.print_text(number, &text);
        } else {
            self.print(line, numbered);
        }
    }

    /// With `-v`: one or more whole lines without a match.
    fn select_without_match(&mut self, run: Range<usize>, numbered: &mut Numbered<'_>) {
        let text = numbered.text;
        if !self.options.prints_lines() || (self.options.only_matching && !self.records) {
            self.selected += 1 + memchr_iter(b'\n', &text[run]).count() as u64;
            return;
        }
        let mut start = run.start;
        while start <= run.end && !self.has_enough() {
            let end = memchr(b'\n', &text[start..run.end]).map_or(run.end, |i| start + i);
            self.selected += 1;
            self.select_for_context(start..end, numbered);
            if !self.options.only_matching {
                self.print(start..end, numbered);
            }
            self.note_without_match(self.options.only_matching);
            start = end + 1;
        }
    }

    /// With `-o`: every match that is not empty.
    fn print_matches(&mut self, line: Range<usize>, first: Range<usize>, numbered: &mut Numbered<'_>) {
        let text = numbered.text;
        let all = self.matches(text, line, first);
        self.note_without_match(all.is_empty());
        for found in all {
            let looks = Looks { color: self.options.more.color, zero: false };
            match looks.color {
                true => {
                    let painted = looks.paint(Part::Match, &text[found.clone()]);
                    let number = self.line_of(found.start, numbered);
                    self.print_text(number, &painted);
                }
                false => self.print(found, numbered),
            }
        }
    }

    /// With `-o`, of a selected line nothing is printed, but it has lines around it.
    fn note_without_match(&mut self, is_one: bool) {
        if is_one && self.options.around().is_some() {
            self.record(Kind::Selected, self.near.line, b"");
        }
    }

    pub(super) fn matches(
        &mut self,
        text: &[u8],
        line: Range<usize>,
        first: Range<usize>,
    ) -> Vec<Range<usize>> {
        let (mut all, mut next) = (Vec::new(), Some(first));
        while let Some(found) = next {
            let found = found.start..self.searcher.longest(text, found, line.end);
            let after = if found.is_empty() { found.end + 1 } else { found.end };
            if !found.is_empty() {
                all.push(found);
            }
            next = if after <= line.end { self.searcher.find(text, after..line.end) } else { None };
        }
        all
    }

    /// A line with its matches in colour.
    pub(super) fn painted(
        &mut self,
        text: &[u8],
        line: Range<usize>,
        first: Option<Range<usize>>,
    ) -> Vec<u8> {
        let looks = Looks { color: true, zero: false };
        let first = first.or_else(|| self.searcher.find(text, line.clone()));
        let matches = first.map(|first| self.matches(text, line.clone(), first)).unwrap_or_default();
        let (mut out, mut at) = (Vec::new(), line.start);
        for found in matches {
            out.extend_from_slice(&text[at..found.start]);
            out.extend_from_slice(&looks.paint(Part::Match, &text[found.clone()]));
            at = found.end;
        }
        out.extend_from_slice(&text[at..line.end]);
        out
    }

    fn print(&mut self, part: Range<usize>, numbered: &mut Numbered<'_>) {
        let text = numbered.text;
        let number = self.line_of(part.start, numbered);
        self.print_text(number, &text[part]);
    }

    /// The number of the line in which `place` lies, if it matters.
    fn line_of(&self, place: usize, numbered: &mut Numbered<'_>) -> u64 {
        match self.options.around() {
            Some(_) => self.near.line,
            None if self.options.line_numbers => numbered.line_at(place),
            None => 0,
        }
    }

    /// Prints a text for this line.
    pub(super) fn print_text(&mut self, line: u64, text: &[u8]) {
        // With room for what stands around it. Most lines fit into what there is.
        let length = text.len() + self.prefix.len() + 64;
        if self.out.try_reserve(length).is_err() && self.out.try_reserve_exact(length).is_err() {
            self.too_long = Some(text.len());
            return;
        }
        if !self.records {
            self.out.extend_from_slice(self.prefix);
            self.out.extend_from_slice(text);
            self.out.push(self.options.end());
            return;
        }
        self.binary |= self.options.more.guarded && (text.contains(&0) || std::str::from_utf8(text).is_err());
        if self.binary {
            return;
        }
        self.record(Kind::Selected, line, text);
    }

    fn record(&mut self, kind: Kind, line: u64, text: &[u8]) {
        if self.out.is_empty() {
            records::begin(&mut self.out);
        }
        records::write(kind, (line, self.selected), text, &mut self.out);
    }

    /// With lines around selected ones: those before this one, and after the last one.
    fn select_for_context(&mut self, line: Range<usize>, numbered: &mut Numbered<'_>) {
        if self.options.around().is_none() {
            return;
        }
        let before = numbered.passed..line.start;
        numbered.passed = line.end + 1;
        if !before.is_empty() {
            self.pass(&numbered.text[before.start..before.end - 1]);
        }
        for Line { number, text } in std::mem::take(&mut self.near.kept) {
            if number + self.near.before > self.near.line {
                self.record(Kind::Near, number, &text);
            }
        }
        let near = &mut self.near;
        near.line += 1;
        (near.last, near.owed) = (Some(near.line), near.after);
        match self.options.more.max {
            Some(_) => near.selected.push(near.line),
            None => near.selected = vec![near.line],
        }
        if self.head.first_selected == 0 && self.head.last == 0 {
            self.head.first_selected = near.line;
        }
    }

    fn pass(&mut self, lines: &[u8]) {
        let mut rest = Some(lines);
        while let Some(text) = rest.filter(|_| self.near.owed > 0 || self.is_among_the_first()) {
            let (line, after) = match memchr(b'\n', text) {
                Some(end) => (&text[..end], Some(&text[end + 1..])),
                None => (text, None),
            };
            self.near.line += 1;
            let number = self.near.line;
            let line = self.in_its_colors(line);
            if self.near.owed > 0 {
                self.near.owed -= 1;
                self.near.last = Some(number);
                self.record(Kind::Near, number, &line);
            } else {
                self.record(Kind::First, number, &line);
                self.keep(number, line);
            }
            rest = after;
        }
        let Some(text) = rest else { return };
        let count = 1 + memchr_iter(b'\n', text).count() as u64;
        let mut number = self.near.line + count.saturating_sub(self.near.before);
        self.near.line += count;
        let mut start = text.len() + 1;
        for _ in number..self.near.line {
            start = memrchr(b'\n', &text[..start - 1]).map_or(0, |at| at + 1);
        }
        while number < self.near.line {
            let end = memchr(b'\n', &text[start..]).map_or(text.len(), |at| start + at);
            number += 1;
            let line = self.in_its_colors(&text[start..end]);
            self.keep(number, line);
            start = end + 1;
        }
    }

    /// With `-v` matches stand in the lines that are not selected.
    fn in_its_colors(&mut self, line: &[u8]) -> Vec<u8> {
        match self.options.more.color && self.options.invert {
            true => self.painted(line, 0..line.len(), None),
            false => line.to_vec(),
        }
    }

    fn is_among_the_first(&self) -> bool {
        self.near.last.is_none() && self.near.line < self.near.after
    }

    fn keep(&mut self, number: u64, text: Vec<u8>) {
        let near = &mut self.near;
        near.kept.push_back(Line { number, text });
        if near.kept.len() as u64 > near.before {
            near.kept.pop_front();
        }
    }

    /// Whether what there is may be handed over before the rest of the chunk.
    pub(super) fn may_be_parted(&self) -> bool {
        self.options.around().is_none() || (self.selected > 0 && self.options.more.max.is_none())
    }

    pub(super) fn take_out(&mut self) -> Vec<u8> {
        let mut out = std::mem::take(&mut self.out);
        if self.records {
            records::head(&mut out, self.head);
            (self.head.first_selected, self.head.last) = (0, self.near.last.unwrap_or(0));
        }
        out
    }

    /// The end of the chunk, for the next one.
    pub(super) fn trail(self) -> Trail {
        let Near { last, kept, selected, .. } = self.near;
        Trail { last, kept: kept.into(), selected }
    }
}

/// Counts lines on the way through a text, each newline once.
#[derive(Debug)]
struct Numbered<'t> {
    text: &'t [u8],
    at: usize,
    line: u64,
    /// Lines before this place are done with, if lines around selected ones are wanted.
    passed: usize,
}

impl Numbered<'_> {
    /// The number of the line in which `place` lies; places must come in order.
    fn line_at(&mut self, place: usize) -> u64 {
        self.line += memchr_iter(b'\n', &self.text[self.at..place]).count() as u64;
        self.at = place;
        self.line
    }
}
