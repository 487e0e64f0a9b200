//! Records whose ends depend on everything before them: a quoted field may hold a newline.
//!
//! The other kinds of records have ends that a search from any place finds ([`Boundary`](super::Boundary)). Here
//! a newline in the middle of a file says nothing: it may be inside quotes, or the second line of four. The
//! obvious way is a parser that looks at each byte: 0.4 GiB/s. But to *cut* a file it matters only whether a
//! newline is inside, and that is the parity of the quotes before it. So [`Scan`] takes 64 bytes at a time and
//! looks closer only where quotes are, and counts the newlines of `Lines` without looking at any.
//!
//! **Parity lies in one case.** A quote in the middle of a field that does not begin with one (`5" pipe`) is a byte
//! like any other to some readers and an error to others, and turns inside out all that follows. So each quote
//! that opens a field is looked at: a separator, a newline or a quote must stand before it. Otherwise the scan
//! ends with a [`Flaw`] instead of a guess.
//!
//! The scan begins where a record begins, so a place is all that a continued job needs.

use crate::error::{Error, Result};
use crate::input::buffer::Buffer;
use crate::input::file::InputFile;
use crate::sys::equal_bytes;
use crate::task::ListContext;
use memchr::{memchr, memchr_iter, memchr2_iter};
use std::path::Path;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grammar {
    Lines(u64),
    /// Lines, but a newline between two of these quotes belongs to a field (RFC 4180).
    Quoted {
        quote: u8,
        separator: u8,
    },
    /// `@name`, bases, `+`, and as many qualities as bases; both may be wrapped.
    Fastq,
}

/// What is wrong with an input, and where.
#[derive(Debug)]
pub(super) struct Flaw {
    at: u64,
    what: &'static str,
    /// Where the last quoted field has begun: its end may be the one that is missing.
    quoted: Option<u64>,
    advice: &'static str,
}

impl Flaw {
    fn new(at: u64, what: &'static str, advice: &'static str) -> Self {
        Self { at, what, quoted: None, advice }
    }

    pub(super) fn of(self, path: &Path) -> Error {
        let last = self.quoted.map_or(String::new(), |at| format!(" (the last quoted field: byte {at})"));
        Error::broken(path.display(), format_args!("byte {}: {}{last}", self.at, self.what))
            .advise(self.advice)
    }
}

/// Goes through the bytes of an input, from where a record begins, in pieces of any size.
#[derive(Debug)]
pub(super) struct Scan {
    /// Of the next byte in the input.
    place: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    Lines { each: u64, seen: u64 },
    Quoted(Quoted),
    Fastq(Fastq),
}

impl Scan {
    pub(super) fn new(grammar: Grammar, place: u64) -> Self {
        let state = match grammar {
            Grammar::Lines(each) => State::Lines { each, seen: 0 },
            Grammar::Quoted { quote, separator } => {
                State::Quoted(Quoted { quote, separator, inside: false, opened: None, before: b'\n' })
            }
            Grammar::Fastq => State::Fastq(Fastq::default()),
        };
        Self { place, state }
    }

    /// Takes bytes up to the first end of a record at least `from` of them away; returns how far that is.
    pub(super) fn advance(&mut self, bytes: &[u8], from: usize) -> std::result::Result<Option<usize>, Flaw> {
        let passed = from.saturating_sub(1).min(bytes.len());
        let found = match &mut self.state {
            State::Lines { each, seen } => {
                *seen += memchr_iter(b'\n', &bytes[..passed]).count() as u64;
                let mut ends = memchr_iter(b'\n', &bytes[passed..]);
                ends.find(|_| {
                    *seen += 1;
                    seen.is_multiple_of(*each)
                })
                .map(|i| passed + i + 1)
            }
            State::Quoted(quoted) => {
                quoted.pass(&bytes[..passed], self.place)?;
                let end = quoted.find(&bytes[passed..], self.place + passed as u64)?;
                end.map(|end| passed + end)
            }
            State::Fastq(fastq) => fastq.find(bytes, passed, self.place)?,
        };
        self.place += found.unwrap_or(bytes.len()) as u64;
        Ok(found)
    }

    /// Whether no record has begun, as far as that can be seen before its first line has ended.
    pub(super) fn is_between_records(&self) -> bool {
        match &self.state {
            State::Lines { .. } | State::Quoted(_) => false,
            State::Fastq(fastq) => matches!(fastq.part, Part::Name) && fastq.length == 0,
        }
    }

    /// The input ends here. The last record needs no newline.
    pub(super) fn finish(mut self) -> std::result::Result<(), Flaw> {
        match &mut self.state {
            State::Lines { .. } => Ok(()),
            State::Quoted(Quoted { inside: true, opened, .. }) => Err(Flaw::new(
                opened.unwrap_or_default(),
                "a quoted field begins here and never ends",
                "is it complete, and a table with quotes? Records that are lines need none",
            )),
            State::Quoted(_) => Ok(()),
            State::Fastq(fastq) => fastq.finish(self.place),
        }
    }
}

#[derive(Debug)]
struct Quoted {
    quote: u8,
    separator: u8,
    inside: bool,
    /// Where the last quoted field has begun.
    opened: Option<u64>,
    before: u8,
}

impl Quoted {
    /// Takes bytes of which the records do not matter.
    fn pass(&mut self, bytes: &[u8], place: u64) -> std::result::Result<(), Flaw> {
        let (blocks, rest) = bytes.as_chunks::<64>();
        for (n, block) in blocks.iter().enumerate() {
            let quotes = equal_bytes(block, self.quote);
            if quotes != 0 {
                self.pass_quotes(quotes, block, place + 64 * n as u64)?;
            }
            self.before = block[63];
        }
        let at = place + (bytes.len() - rest.len()) as u64;
        for i in memchr_iter(self.quote, rest) {
            self.turn(if i == 0 { self.before } else { rest[i - 1] }, at + i as u64)?;
        }
        self.before = rest.last().copied().unwrap_or(self.before);
        Ok(())
    }

    fn pass_quotes(&mut self, quotes: u64, block: &[u8; 64], place: u64) -> std::result::Result<(), Flaw> {
        // Bit i of the sums: whether the quotes up to i are odd.
        let odd = [1, 2, 4, 8, 16, 32].iter().fold(quotes, |odd, by| odd ^ (odd << by));
        let inside = if self.inside { !odd } else { odd };
        let mut opening = quotes & inside;
        while opening != 0 {
            let i = opening.trailing_zeros() as usize;
            opening &= opening - 1;
            self.open(if i == 0 { self.before } else { block[i - 1] }, place + i as u64)?;
        }
        self.inside = inside >> 63 == 1;
        Ok(())
    }

    fn turn(&mut self, before: u8, place: u64) -> std::result::Result<(), Flaw> {
        self.inside = !self.inside;
        if self.inside { self.open(before, place) } else { Ok(()) }
    }

    fn open(&mut self, before: u8, place: u64) -> std::result::Result<(), Flaw> {
        // A byte order mark stands before the first field.
        let may = [self.separator, self.quote, b'\n'].contains(&before) || (before, place) == (0xbf, 3);
        if !may {
            let what = "a quote in a field that begins without one";
            let flaw = Flaw::new(place, what, "is it the right separator? Without quotes, records are lines");
            return Err(Flaw { quoted: self.opened, ..flaw });
        }
        // After a doubled quote the field goes on that began before.
        if before != self.quote {
            self.opened = Some(place);
        }
        Ok(())
    }

    /// The first newline outside of quotes.
    fn find(&mut self, bytes: &[u8], place: u64) -> std::result::Result<Option<usize>, Flaw> {
        for i in memchr2_iter(self.quote, b'\n', bytes) {
            if bytes[i] == self.quote {
                self.turn(if i == 0 { self.before } else { bytes[i - 1] }, place + i as u64)?;
            } else if !self.inside {
                self.before = b'\n';
                return Ok(Some(i + 1));
            }
        }
        self.before = bytes.last().copied().unwrap_or(self.before);
        Ok(None)
    }
}

#[derive(Debug, Default)]
struct Fastq {
    part: Part,
    /// Of the line at hand, without its newline.
    length: u64,
    first: u8,
    last: u8,
    bases: u64,
    qualities: u64,
    began: u64,
}

#[derive(Debug, Default)]
enum Part {
    #[default]
    Name,
    Bases,
    Qualities,
}

impl Fastq {
    /// The first end of a record after `passed` bytes.
    fn find(&mut self, bytes: &[u8], passed: usize, place: u64) -> std::result::Result<Option<usize>, Flaw> {
        let mut at = 0;
        while let Some(length) = memchr(b'\n', &bytes[at..]) {
            self.take(&bytes[at..at + length]);
            at += length + 1;
            if self.line_ends(place + at as u64 - 1)? && at > passed {
                return Ok(Some(at));
            }
        }
        self.take(&bytes[at..]);
        Ok(None)
    }

    fn take(&mut self, bytes: &[u8]) {
        if self.length == 0 {
            self.first = bytes.first().copied().unwrap_or(0);
        }
        self.last = bytes.last().copied().unwrap_or(self.last);
        self.length += bytes.len() as u64;
    }

    /// Whether the record ends with this line.
    fn line_ends(&mut self, place: u64) -> std::result::Result<bool, Flaw> {
        let began = place - self.length;
        let length = self.length - u64::from(self.length > 0 && self.last == b'\r');
        let flaw = |at, what| Err(Flaw::new(at, what, "is it FASTQ, and is it complete?"));
        self.length = 0;
        match self.part {
            Part::Name if length == 0 => {}
            // A byte order mark may stand before the first name.
            Part::Name if self.first == b'@' || (self.first, began) == (0xef, 0) => {
                (self.part, self.bases, self.qualities, self.began) = (Part::Bases, 0, 0, began);
            }
            Part::Name => return flaw(began, "a record of FASTQ must begin here, with @"),
            Part::Bases if length > 0 && self.first == b'+' => self.part = Part::Qualities,
            Part::Bases if length > 0 && self.first == b'@' => {
                return flaw(self.began, "this record of FASTQ has no line that begins with +");
            }
            Part::Bases => self.bases += length,
            Part::Qualities => {
                self.qualities += length;
                if self.qualities > self.bases {
                    return flaw(self.began, "this record of FASTQ has more qualities than bases");
                }
                if self.qualities == self.bases {
                    self.part = Part::Name;
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn finish(&mut self, place: u64) -> std::result::Result<(), Flaw> {
        if self.length > 0 {
            self.line_ends(place)?;
        }
        match self.part {
            Part::Name => Ok(()),
            // No bases, and the file ends before the empty line.
            Part::Qualities if self.bases == 0 => Ok(()),
            Part::Bases | Part::Qualities => Err(Flaw::new(
                self.began,
                "this record of FASTQ is cut short: the input ends within it",
                "is the file complete?",
            )),
        }
    }
}

/// The rule for all: the first end of a record at or after the next block, and after `body`.
pub(super) fn nominal_end(start: u64, body: u64, block: u64) -> u64 {
    (start / block + 1).saturating_mul(block).max(body + 1)
}

/// Where the chunk of `file` ends that begins at `start`. `None` if the run is over.
pub(super) fn next_cut(
    file: &InputFile,
    grammar: Grammar,
    (start, body): (u64, u64),
    block: u64,
    cx: &ListContext<'_>,
) -> Result<Option<u64>> {
    /// More than a record, mostly.
    const STEP: u64 = 4 << 10;
    /// It stays in the cache.
    const PIECE: u64 = 1 << 20;
    let size = file.identity().size;
    let nominal = nominal_end(start, body, block);
    let mut place = start.max(body);
    let mut scan = Scan::new(grammar, place);
    let mut step = STEP;
    while place < size {
        if cx.is_stopped() {
            return Ok(None);
        }
        // Not far beyond the end of the block, or it would be read again for the next one.
        let wanted = nominal.saturating_sub(place).saturating_add(step).min(PIECE);
        let length = wanted.min(size - place) as usize;
        let mut bytes = Buffer::take(length);
        file.read_exact_at(&mut bytes[..length], place)?;
        let from = usize::try_from(nominal.saturating_sub(place)).unwrap_or(usize::MAX);
        let found = scan.advance(&bytes[..length], from).map_err(|flaw| flaw.of(file.path()))?;
        if let Some(length) = found {
            return Ok(Some(place + length as u64));
        }
        place += length as u64;
        step = step.saturating_mul(2);
    }
    scan.finish().map_err(|flaw| flaw.of(file.path()))?;
    Ok(Some(size))
}
