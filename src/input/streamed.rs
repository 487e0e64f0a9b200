//! A stream cut into chunks that are the same in every run.
//!
//! The obvious cut of a stream is at the last delimiter that has come: nothing waits longer than it must. But
//! then the cut depends on the speed of the writer and the size of the pipe, and a run that is continued
//! finds other tasks. So a stream is cut by the rule for files, at the first boundary at or after each
//! multiple of the block size (see [`Chunks`](super::Chunks)), and a chunk is listed when its end has come
//! and no sooner. Blocks inside a long record are empty: of a file they are listed, of a stream they are
//! passed over. Only a job that cannot be continued anyway, since its output is watched, has the obvious cut.
//!
//! **Memory.** A chunk of a stream is held until its task is done, and a record cannot be cut. A record that
//! goes on for more than [`LONGEST`] bytes after the end of its block is refused.

use super::boundary::Boundary;
use super::buffer::no_room;
use super::grammar::{Flaw, Scan, nominal_end};
use super::header::Header;
use super::packed::Unpacked;
use super::stream::{Received, Stream};
use crate::error::{Error, Result};
use crate::task::ListContext;
use std::path::Path;
use std::sync::Arc;

/// The most that is kept in memory of a single record, and the largest block of a stream.
pub(super) const LONGEST: u64 = 1 << 30;

/// The first read goes this far beyond the end of a block; each further one is twice as long.
const STEP: usize = 4 << 10;
/// Between two looks at whether the run is over, no more than this is read.
const LONGEST_STEP: usize = 1 << 20;
/// Room that is made beforehand, at the most: larger chunks grow.
const ROOM: u64 = 64 << 20;

/// The state of the cut: what has been read and not been listed.
#[derive(Debug)]
pub(super) struct Streamed {
    boundary: Arc<Boundary>,
    block: u64,
    longest: u64,
    /// What was read, from the next chunk on, after as much of the chunk before as a boundary needs to be known by.
    held: Vec<u8>,
    /// Where in `held` the next chunk begins.
    from: usize,
    /// The same place in the stream.
    start: u64,
    /// No boundary that is asked for needs a byte of `held` before this.
    searched: usize,
    step: usize,
    /// A chunk was listed: the next one need not be, if it is empty.
    has_begun: bool,
    /// The stream has ended, and the rest of it is in `held`.
    ended: bool,
    /// Records are listed when the writer makes a pause.
    is_watched: bool,
    /// How the header is known, and what it is as soon as it has come.
    header: (Option<Header>, Option<Arc<[u8]>>),
    /// Of the chunk at hand, up to `searched`, if its records are found from the beginning only.
    scan: Option<Scan>,
}

/// What can be read from its beginning to its end only.
pub(super) trait Flow {
    /// As [`Stream::fill`].
    fn fill(&mut self, buffer: &mut Vec<u8>, full: usize, cx: &ListContext<'_>) -> Result<Received>;
    fn path(&self) -> &Path;
}

impl Flow for Stream {
    fn fill(&mut self, buffer: &mut Vec<u8>, full: usize, cx: &ListContext<'_>) -> Result<Received> {
        Stream::fill(self, buffer, full, cx)
    }

    fn path(&self) -> &Path {
        Stream::path(self)
    }
}

impl Flow for Unpacked {
    fn fill(&mut self, buffer: &mut Vec<u8>, full: usize, cx: &ListContext<'_>) -> Result<Received> {
        Unpacked::fill(self, buffer, full, cx)
    }

    fn path(&self) -> &Path {
        Unpacked::path(self)
    }
}

/// What [`Streamed::next`] came back with.
#[derive(Debug)]
pub(super) enum Next {
    /// A chunk: where it begins in the stream, its bytes, and from where on in them.
    Chunk { start: u64, held: Vec<u8>, from: usize },
    /// There are no more.
    End,
    /// The run is over.
    Stopped,
}

impl Streamed {
    pub(super) fn new(boundary: Arc<Boundary>, block: u64) -> Self {
        Self {
            boundary,
            block,
            longest: LONGEST,
            held: Vec::new(),
            from: 0,
            start: 0,
            searched: 0,
            step: STEP,
            has_begun: false,
            ended: false,
            is_watched: false,
            header: (None, None),
            scan: None,
        }
    }

    /// The same from `start` on, where a chunk begins. `context` holds the bytes before it that a boundary needs to be
    /// known by.
    pub(super) fn continued(self, start: u64, context: Vec<u8>, header: Option<Arc<[u8]>>) -> Self {
        let header = (self.header.0, header);
        Self { start, from: context.len(), held: context, has_begun: true, header, ..self }
    }

    /// How many bytes before a chunk are kept, for [`continued`](Self::continued).
    pub(super) fn context(boundary: &Boundary) -> usize {
        boundary.back().saturating_sub(1)
    }

    /// Reads the header, and nothing more than it needs.
    pub(super) fn read_header(
        header: &Header,
        boundary: &Boundary,
        flow: &mut impl Flow,
        cx: &ListContext<'_>,
    ) -> Result<Option<Arc<[u8]>>> {
        let (mut held, mut is_all) = (Vec::new(), false);
        loop {
            if let Some(end) = header.end_in(&held, boundary, is_all, flow.path())? {
                return Ok(Some(held[..end].into()));
            }
            let full = (2 * held.len()).max(64 << 10);
            match flow.fill(&mut held, full, cx)? {
                Received::Some => {}
                Received::End => is_all = true,
                Received::Stopped => return Ok(None),
            }
        }
    }

    /// The same, also cut wherever the writer makes a pause.
    pub(super) fn watched(self, is_watched: bool) -> Self {
        Self { is_watched, ..self }
    }

    /// The same with a header.
    pub(super) fn with_header(self, header: Option<Header>) -> Self {
        Self { header: (header, None), ..self }
    }

    /// It is known when a chunk is.
    pub(super) fn header(&self) -> Option<Arc<[u8]>> {
        self.header.1.clone()
    }

    /// The next chunk, never an empty one except as the only one of an empty stream.
    pub(super) fn next(&mut self, stream: &mut impl Flow, cx: &ListContext<'_>) -> Result<Next> {
        while !self.ended {
            // The record at the end of the block must end here at the latest.
            let limit = self.held_at(self.nominal_end().saturating_add(self.longest));
            match self.find_end(stream.path())? {
                Some(end) if end <= limit => return self.take(end, stream.path()),
                None if self.held.len() < limit.saturating_add(self.boundary.ahead()) => {}
                Some(_) | None => return Err(too_long(stream.path(), self.longest)),
            }
            // A stream that is always ready would never let the wait tell of a stop.
            if cx.is_stopped() {
                return Ok(Next::Stopped);
            }
            let (before, enough) = (self.held.len(), self.enough());
            match stream.fill(&mut self.held, enough, cx)? {
                Received::Stopped => return Ok(Next::Stopped),
                Received::End => self.ended = true,
                Received::Some if self.is_watched && self.held.len() < enough => {
                    if self.has_header(stream.path())?
                        && let Some(end) = self.find_last(before)
                    {
                        return self.take(end, stream.path());
                    }
                }
                Received::Some => {}
            }
        }
        // What was read last may hold several chunks.
        let end = match self.find_end(stream.path())? {
            Some(end) => end,
            None => {
                let finished = self.scan.take().map_or(Ok(()), Scan::finish);
                finished.map_err(|flaw| flaw.of(stream.path()))?;
                self.held.len()
            }
        };
        let is_over = self.from == self.held.len() && self.has_begun;
        if is_over { Ok(Next::End) } else { self.take(end, stream.path()) }
    }

    /// The first multiple of the block size after the beginning of the chunk: its end, but for the record there.
    fn nominal_end(&self) -> u64 {
        nominal_end(self.start, self.body(), self.block)
    }

    /// A place of the stream as an index into `held`, or beyond its end.
    fn held_at(&self, place: u64) -> usize {
        usize::try_from(place - self.start).unwrap_or(usize::MAX).saturating_add(self.from)
    }

    /// Where in the stream the records begin.
    fn body(&self) -> u64 {
        self.header.1.as_ref().map_or(0, |header| header.len() as u64)
    }

    /// Whether the header is known, if there is one.
    fn has_header(&mut self, path: &Path) -> Result<bool> {
        if let (Some(header), None) = &self.header {
            let end = header.end_in(&self.held, &self.boundary, self.ended, path)?;
            self.header.1 = end.map(|end| self.held[..end].into());
            return Ok(end.is_some());
        }
        Ok(true)
    }

    /// Where in `held` the chunk ends, if that has come.
    fn find_end(&mut self, path: &Path) -> Result<Option<usize>> {
        if !self.has_header(path)? {
            return Ok(None);
        }
        if self.boundary.grammar().is_some() {
            return self.scan_to_end().map_err(|flaw| flaw.of(path));
        }
        let end = self.find_match();
        // The first chunk begins with all of the header.
        Ok(end.map(|end| if self.start == 0 { end.max(self.body() as usize) } else { end }))
    }

    fn scan_to_end(&mut self) -> std::result::Result<Option<usize>, Flaw> {
        let Some(grammar) = self.boundary.grammar() else { return Ok(None) };
        let first = self.held_at(self.nominal_end());
        let scan = match &mut self.scan {
            Some(scan) => scan,
            none => {
                let place = self.start.max(self.header.1.as_ref().map_or(0, |header| header.len() as u64));
                self.searched = self.from + (place - self.start) as usize;
                none.insert(Scan::new(grammar, place))
            }
        };
        let found = scan.advance(&self.held[self.searched..], first.saturating_sub(self.searched))?;
        let end = found.map(|length| self.searched + length);
        self.searched = end.unwrap_or(self.held.len());
        self.step = LONGEST_STEP.min(2 * self.step);
        Ok(end)
    }

    fn find_match(&mut self) -> Option<usize> {
        if let Some(place) = self.boundary.by_arithmetic(self.nominal_end()) {
            return Some(self.held_at(place)).filter(|&end| end <= self.held.len());
        }
        let (back, ahead) = (self.boundary.back(), self.boundary.ahead());
        let first = self.held_at(self.nominal_end());
        if first.saturating_add(ahead) > self.held.len() {
            return None;
        }
        if let Some(apart) = self.boundary.apart() {
            return self.find_end_from_the_left(apart, first);
        }
        let window = first.saturating_sub(back).max(self.searched);
        if let Some(i) = self.boundary.find_in(&self.held[window..]) {
            return Some(window + i);
        }
        self.searched = self.held.len().saturating_sub(back + ahead - 1).max(window);
        self.step = LONGEST_STEP.min(2 * self.step);
        None
    }

    /// The same where matches may overlap: every chunk begins at a boundary, so the others are found from there.
    fn find_end_from_the_left(&mut self, apart: usize, first: usize) -> Option<usize> {
        let (back, ahead) = (self.boundary.back(), self.boundary.ahead());
        let mut next = match self.searched {
            // The beginning of the stream is no boundary, unless it is a mark.
            0 if self.start == 0 && !self.boundary.begins(&self.held) => 1,
            0 => self.from + apart,
            searched => searched,
        };
        while let Some(i) = self.held.get(next.saturating_sub(back)..).and_then(|w| self.boundary.find_in(w))
        {
            let place = next.saturating_sub(back) + i;
            if place >= first {
                return Some(place);
            }
            next = place + apart;
        }
        self.searched = next.max((self.held.len() + 1).saturating_sub(ahead.max(1)));
        self.step = LONGEST_STEP.min(2 * self.step);
        None
    }

    /// The last boundary in `held` of which a byte has come after the first `before` ones.
    fn find_last(&self, before: usize) -> Option<usize> {
        let decides = self.boundary.back() + self.boundary.ahead();
        let window = (before + 1).saturating_sub(decides).max(self.from);
        let found = self.boundary.find_last_in(self.held.get(window..)?).map(|i| window + i);
        found.filter(|_| self.boundary.is_every_match())
    }

    /// How much `held` should hold before the next search; always more than it does.
    fn enough(&self) -> usize {
        let nominal_end = self.nominal_end();
        let first = self.boundary.by_arithmetic(nominal_end).unwrap_or(nominal_end);
        let wanted = self.held_at(first).saturating_add(self.boundary.ahead() + STEP);
        wanted.max(self.held.len() + self.step).min(self.held.len() + LONGEST_STEP)
    }

    fn take(&mut self, end: usize, path: &Path) -> Result<Next> {
        let keep = end - Self::context(&self.boundary).min(end);
        let mut rest = Vec::new();
        let mut room = self.held.len() - end;
        if !self.ended {
            room = room.max(self.block.min(ROOM) as usize + self.boundary.ahead() + STEP);
        }
        if rest.try_reserve_exact((end - keep) + room).is_err() {
            return Err(no_room(path, format_args!("is read in chunks of {} bytes", self.block)));
        }
        rest.extend_from_slice(&self.held[keep..]);
        self.held.truncate(end);
        let chunk =
            Next::Chunk { start: self.start, held: std::mem::replace(&mut self.held, rest), from: self.from };
        self.start += (end - self.from) as u64;
        (self.from, self.searched, self.step) = (end - keep, 0, STEP);
        self.scan = None;
        self.has_begun = true;
        Ok(chunk)
    }
}

fn too_long(path: &Path, longest: u64) -> Error {
    Error::refused(
        path.display(),
        format_args!("has a record longer than {longest} bytes, too much to be kept in memory"),
    )
    .advise("see whether records are told apart; in a file they may have any length")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::input::boundary::tests::naive::{RULES, Random, Rule};
    use crate::input::testing::fifo_in;
    use std::io::Write;
    use std::path::Path;

    /// What a reader of the FIFO lists while `pieces` are written to it one by one.
    fn list(cut: &mut Streamed, fifo: &Path, pieces: &[&[u8]]) -> Result<Vec<(u64, Vec<u8>)>> {
        let cx = ListContext::endless();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut writer = std::fs::OpenOptions::new().write(true).open(fifo).unwrap();
                for piece in pieces {
                    // A reader that refuses the stream closes it.
                    if writer.write_all(piece).is_err() {
                        break;
                    }
                    std::thread::yield_now();
                }
            });
            // Closed when this closure ends, so that the writer is not left waiting.
            let mut stream = Stream::open(fifo).unwrap();
            let mut chunks = Vec::new();
            loop {
                match cut.next(&mut stream, &cx)? {
                    Next::Chunk { start, held, from } => chunks.push((start, held[from..].to_vec())),
                    Next::End => return Ok(chunks),
                    Next::Stopped => panic!("it is not stopped"),
                }
            }
        })
    }

    /// The chunks of a file without the empty ones: what a stream must be cut into.
    fn expected(rule: &Rule, text: &[u8], block: usize) -> Vec<(u64, Vec<u8>)> {
        let mut place = 0;
        let mut chunks = Vec::new();
        for chunk in rule.chunks(text, block) {
            if !chunk.is_empty() || text.is_empty() {
                chunks.push((place, chunk.to_vec()));
            }
            place += chunk.len() as u64;
        }
        chunks
    }

    #[test]
    fn a_stream_is_cut_as_a_file_whatever_the_pace_of_the_writer() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = fifo_in(dir.path());
        let mut random = Random(11);
        let mut cuts = 0;
        for _ in 0..30 {
            let text = random.text(300);
            for rule in &RULES {
                let block = 1 + random.below(64);
                let expected = expected(rule, &text, block);
                cuts += expected.len();
                let mut pieces = Vec::new();
                let mut rest = &text[..];
                while !rest.is_empty() {
                    let (piece, later) = rest.split_at(1 + random.below(rest.len().min(40)));
                    pieces.push(piece);
                    rest = later;
                }
                for pieces in [&pieces[..], &[&text[..]]] {
                    let mut cut = Streamed::new(Arc::new(rule.boundary()), block as u64);
                    let found = list(&mut cut, &fifo, pieces).unwrap();
                    assert_eq!(found, expected, "blocks of {block}, {}", rule.boundary());
                }
            }
        }
        assert!(cuts > 1500, "{cuts}: the texts have records");
    }

    /// Every byte on its own: the search is asked again with each, in the middle of every match.
    #[test]
    fn a_boundary_that_comes_byte_by_byte_is_found_as_well() {
        let mut random = Random(5);
        for _ in 0..40 {
            let text = random.text(200);
            for rule in &RULES {
                let block = 1 + random.below(64);
                let mut cut = Streamed::new(Arc::new(rule.boundary()), block as u64);
                let mut found = Vec::new();
                for &byte in &text {
                    cut.held.push(byte);
                    while let Some(end) = cut.find_end(Path::new("-")).unwrap() {
                        let Ok(Next::Chunk { start, held, from }) = cut.take(end, Path::new("-")) else {
                            unreachable!()
                        };
                        found.push((start, held[from..].to_vec()));
                    }
                }
                if cut.from < cut.held.len() || text.is_empty() {
                    found.push((cut.start, cut.held[cut.from..].to_vec()));
                }
                assert_eq!(found, expected(rule, &text, block), "blocks of {block}, {}", rule.boundary());
            }
        }
    }

    #[test]
    fn megabytes_and_records_longer_than_a_read_come_whole() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = fifo_in(dir.path());
        let rule = Rule::Between(b"\n", b"");
        let mut text = Vec::new();
        for length in [10, 3 << 20, 0, 100_000, 65_536, 65_535, 5_000_000, 1] {
            text.extend(std::iter::repeat_n(b'z', length));
            text.push(b'\n');
        }
        text.extend_from_slice(b"no newline");
        for block in [50_000, 1 << 20, 100 << 20] {
            let mut cut = Streamed::new(Arc::new(rule.boundary()), block as u64);
            let found = list(&mut cut, &fifo, &[&text]).unwrap();
            let newline = |p: usize| memchr::memchr(b'\n', &text[p - 1..]).map_or(text.len(), |i| p + i);
            let mut start = 0;
            for (place, bytes) in &found {
                let end = newline(((start / block + 1) * block).min(text.len()));
                assert!(*place == start as u64 && bytes == &text[start..end], "from {start}, of {block}");
                start = end;
            }
            assert_eq!(start, text.len());
        }
    }

    #[test]
    fn a_record_that_is_too_long_is_refused_and_one_that_is_not_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = fifo_in(dir.path());
        let list_of = |length: usize| {
            let mut cut = Streamed::new(Arc::new(Boundary::newline()), 100);
            cut.longest = 1 << 20;
            let text = [&vec![b'x'; length][..], b"\n"].concat();
            list(&mut cut, &fifo, &[&text])
        };
        assert_eq!(list_of(1 << 20).unwrap().len(), 1);
        let error = list_of(2 << 20).unwrap_err();
        assert_eq!(error.kind(), Kind::Refused);
        assert!(error.to_string().contains("a record longer than 1048576 bytes"), "{error}");
    }
}
