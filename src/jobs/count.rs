//! `count`: lines, words and bytes, as `wc` counts them in the C locale; characters and the width of lines as in one
//! with UTF-8.
//!
//! **What a word is.** `wc` knows three kinds of bytes, not two. The blanks (space and 9 to 13)
//! end a word; the printable bytes (0x21 to 0x7E) begin or continue one; all others, control
//! characters and everything beyond ASCII, are transparent: they neither begin nor end a word. So
//! `a\xFFb` is one word and a lone `\xFF` is none.
//!
//! **Words across edges.** A chunk cannot know whether a word that it begins with was begun by
//! its neighbour. It reports how many words begin in it as if a blank came before, whether the
//! first byte that is not transparent belongs to a word, and what the last such byte is. The fold
//! takes the doubled ones back. A chunk of transparent bytes alone hands on what it was given.
//!
//! **Speed.** `wc` looks at one byte after the other. Here 128 bytes go at once through a loop that the
//! compiler turns into vector instructions: a word begins where a blank is followed by a byte that
//! is none. That is right only without transparent bytes, and the same loop notices those; such
//! blocks are counted by table.

use crate::jobs::{is_unset, names};
use bivouac::input::{Chunk, Inputs, LeftOut};
use bivouac::{Context, Job, TaskError};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::ops::AddAssign;
use std::path::PathBuf;
use unicode_width::UnicodeWidthChar;

/// The job. Its source: [`Chunks`](bivouac::input::Chunks), which may be cut anywhere.
#[derive(Debug)]
pub(crate) struct Count {
    /// The name to print after the numbers of each file; `None` for standard input that was not named.
    names: Vec<Option<PathBuf>>,
    left_out: Vec<LeftOut>,
    columns: Columns,
    totals: Totals,
    /// The sizes of all files are not known before the first is counted, so numbers are not aligned.
    is_unaligned: bool,
}

/// Which numbers to print. They always come in this order, but for the characters, which come before the bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Columns {
    /// Records of the kind by which the input is cut.
    #[serde(skip_serializing_if = "is_unset")]
    pub(crate) records: bool,
    pub(crate) lines: bool,
    pub(crate) words: bool,
    pub(crate) bytes: bool,
    #[serde(skip_serializing_if = "is_unset")]
    pub(crate) chars: bool,
    #[serde(skip_serializing_if = "is_unset")]
    pub(crate) longest: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Totals {
    /// With several files
    #[default]
    #[value(name = "auto")]
    Several,
    /// With one file, too
    Always,
    /// Without the lines of the files
    Only,
    /// Not at all
    Never,
}

impl Columns {
    /// The columns that were asked for; if none was, those of `wc`.
    pub(crate) fn chosen(self) -> Self {
        match self == Self::default() {
            true => Self { lines: true, words: true, bytes: true, ..self },
            false => self,
        }
    }

    /// The text is more than bytes: it may be cut between lines only.
    pub(crate) fn need_lines(self) -> bool {
        self.chars || self.longest
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Partial {
    file: usize,
    first_in_file: bool,
    width: usize,
    tally: Tally,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Total {
    /// The file at hand: its line is printed when the next one begins.
    open: Option<usize>,
    here: Tally,
    all: Counts,
    files: usize,
    width: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Counts {
    #[serde(default)]
    records: u64,
    lines: u64,
    words: u64,
    bytes: u64,
    chars: u64,
    longest: u64,
}

/// Counts of a stretch of a file, with what is needed to put it together with its neighbours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Tally {
    counts: Counts,
    /// The kinds of the first and the last byte that are not transparent; `None` if all are.
    edges: Option<Edges>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Edges {
    begins_in_word: bool,
    ends_in_word: bool,
}

impl Count {
    /// Counts `files`; without any, standard input, whose line then has no name.
    pub(crate) fn new(files: &[PathBuf], columns: Columns) -> Self {
        let names = if files.is_empty() { vec![None] } else { files.iter().cloned().map(Some).collect() };
        Self { names, left_out: Vec::new(), columns, totals: Totals::default(), is_unaligned: false }
    }

    pub(crate) fn totals(self, totals: Totals) -> Self {
        Self { totals, ..self }
    }

    /// Besides these files others were given, which cannot be read. `wc` has a line for a directory, and a
    /// total wherever several paths were given.
    pub(crate) fn leaving_out(self, left_out: Vec<LeftOut>) -> Self {
        // Files were given, so no file that can be read does not mean standard input.
        let names = self.names.into_iter().filter(|name| left_out.is_empty() || name.is_some()).collect();
        Self { left_out, names, ..self }
    }

    /// The files are those of a list, which may be empty and may be a pipe.
    pub(crate) fn listed(mut self, is_piped: bool) -> Self {
        self.names.retain(Option::is_some);
        Self { is_unaligned: is_piped, ..self }
    }

    /// The lines of the directories that were given before this file, and after the one before it.
    fn print_directories(&self, file: usize, width: usize, out: &mut Vec<u8>) {
        let says = self.totals != Totals::Only;
        for directory in self.left_out.iter().filter(|left| says && left.is_directory && left.before == file)
        {
            self.print(Counts::default(), Some(&names::as_wc_prints(&directory.path)), width, out);
        }
    }

    fn tally(&self, chunk: &Chunk, cx: &Context<'_>) -> Result<Tally, TaskError> {
        let mut tally = Tally::default();
        // The size is known without reading; `wc -c` does not read either.
        let Columns { records, lines, words, .. } = self.columns;
        let reads = lines || words || self.columns.need_lines();
        if records {
            let mut all = chunk.records()?;
            while let Some((_, ends)) =
                all.next(|bytes| if reads { cx.yield_point() } else { cx.advance(bytes) })?
            {
                tally.counts.records += ends.len() as u64;
            }
        }
        if let (false, Some(_)) = (reads, chunk.file()) {
            let range = chunk.aligned()?;
            tally.counts.bytes = range.end - range.start;
            return Ok(tally);
        }
        let mut pieces = chunk.pieces()?;
        while let Some(piece) = pieces.next_piece()? {
            cx.advance(piece.len() as u64)?;
            let mut here = if self.columns.words { count(piece) } else { count_lines(piece) };
            if self.columns.need_lines() {
                (here.counts.chars, here.counts.longest) = measure(piece);
            }
            tally.append(here);
        }
        Ok(tally)
    }

    /// `wc` makes columns as wide as the total size of the regular files, at least 7 if there are
    /// others; but does not bother for a single number about a single file, and cannot for a list from a pipe.
    fn width(&self, inputs: Inputs) -> usize {
        let Columns { records, lines, words, bytes, chars, longest } = self.columns;
        let columns =
            [records, lines, words, bytes, chars, longest].into_iter().filter(|column| *column).count();
        if (inputs.count == 1 && columns == 1) || self.totals == Totals::Only || self.is_unaligned {
            return 1;
        }
        let digits = inputs.regular_bytes.checked_ilog10().unwrap_or(0) as usize + 1;
        if inputs.all_regular { digits } else { digits.max(7) }
    }

    /// Prints the line of the file at hand, if there is one.
    fn close(&self, total: &mut Total, out: &mut Vec<u8>) {
        let Some(file) = total.open.take() else { return };
        let counts = std::mem::take(&mut total.here).counts;
        total.all += counts;
        total.files += 1;
        if self.totals == Totals::Only {
            return;
        }
        let name = self.names.get(file).and_then(Option::as_ref).map(|path| names::as_wc_prints(path));
        self.print(counts, name.as_deref(), total.width, out);
    }

    fn print(&self, counts: Counts, name: Option<&[u8]>, width: usize, out: &mut Vec<u8>) {
        let Counts { records, lines, words, bytes, chars, longest } = counts;
        let shown = [
            (self.columns.records, records),
            (self.columns.lines, lines),
            (self.columns.words, words),
            (self.columns.chars, chars),
            (self.columns.bytes, bytes),
            (self.columns.longest, longest),
        ];
        let numbers: Vec<String> =
            shown.iter().filter(|(show, _)| *show).map(|(_, number)| format!("{number:width$}")).collect();
        out.extend_from_slice(numbers.join(" ").as_bytes());
        if let Some(name) = name {
            out.push(b' ');
            out.extend_from_slice(name);
        }
        out.push(b'\n');
    }
}

impl Job for Count {
    type Task = Chunk;
    type Partial = Partial;
    type Total = Total;

    fn name(&self) -> &str {
        "count"
    }

    fn fingerprint(&self) -> Value {
        let named = self.names.first().is_some_and(Option::is_some);
        let mut fingerprint = json!({ "columns": self.columns, "named": named });
        if self.totals != Totals::default() {
            fingerprint["total"] = json!(self.totals);
        }
        if self.is_unaligned {
            fingerprint["list from a pipe"] = json!(true);
        }
        fingerprint
    }

    fn run(&self, chunk: Chunk, cx: &Context<'_>) -> Result<Partial, TaskError> {
        Ok(Partial {
            file: chunk.file_index,
            first_in_file: chunk.first_in_file,
            width: self.width(*chunk.inputs),
            tally: self.tally(&chunk, cx)?,
        })
    }

    fn fold(&self, total: &mut Total, partial: Partial, out: &mut Vec<u8>) {
        if partial.first_in_file {
            self.close(total, out);
            total.here = Tally::default();
            self.print_directories(partial.file, partial.width, out);
        }
        total.here.append(partial.tally);
        (total.open, total.width) = (Some(partial.file), partial.width);
    }

    fn finish(&self, total: &mut Total, out: &mut Vec<u8>) {
        self.close(total, out);
        if total.files == 0 {
            total.width = self.width(Inputs::besides(0, &self.left_out));
        }
        self.print_directories(self.names.len(), total.width, out);
        match self.totals {
            Totals::Several if total.files + self.left_out.len() <= 1 => {}
            Totals::Never => {}
            Totals::Only => self.print(total.all, None, 1, out),
            Totals::Several | Totals::Always => self.print(total.all, Some(b"total"), total.width, out),
        }
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.records += more.records;
        self.lines += more.lines;
        self.words += more.words;
        self.bytes += more.bytes;
        self.chars += more.chars;
        self.longest = self.longest.max(more.longest);
    }
}

impl Tally {
    /// Adds the stretch that follows this one.
    fn append(&mut self, next: Tally) {
        self.counts += next.counts;
        self.edges = match (self.edges, next.edges) {
            (before, None) => before,
            (None, after) => after,
            (Some(before), Some(after)) => {
                if before.ends_in_word && after.begins_in_word {
                    self.counts.words -= 1;
                }
                Some(Edges { begins_in_word: before.begins_in_word, ends_in_word: after.ends_in_word })
            }
        };
    }
}

/// How many bytes are counted at once. At most 255, since each lane counts in a byte.
const BLOCK: usize = 128;

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte.wrapping_sub(9) < 5
}

fn is_printable(byte: u8) -> bool {
    byte.wrapping_sub(0x21) < 0x5E
}

/// Not inlined: beside other code the loop gets fewer registers.
#[inline(never)]
fn count(bytes: &[u8]) -> Tally {
    let mut tally = Tally::default();
    let mut blocks = bytes.chunks_exact(BLOCK);
    for block in &mut blocks {
        tally.append(block.try_into().ok().and_then(count_block).unwrap_or_else(|| count_slowly(block)));
    }
    tally.append(count_slowly(blocks.remainder()));
    tally
}

/// Counts a block without transparent bytes; `None` if it has any.
fn count_block(block: &[u8; BLOCK]) -> Option<Tally> {
    // Each byte is looked at once: if its neighbour asks again whether it is blank, counting takes twice the time.
    let mut blank = [0; BLOCK];
    let (mut lines, mut words, mut opaque) = (0u8, 0u8, 0u8);
    for (blank, &byte) in blank.iter_mut().zip(block) {
        *blank = u8::from(is_blank(byte));
        lines += u8::from(byte == b'\n');
        opaque += *blank | u8::from(is_printable(byte));
    }
    for i in 0..BLOCK - 1 {
        words += blank[i] & !blank[i + 1];
    }
    if usize::from(opaque) < BLOCK {
        return None;
    }
    let edges = Edges { begins_in_word: !is_blank(block[0]), ends_in_word: !is_blank(block[BLOCK - 1]) };
    let words = u64::from(words) + u64::from(edges.begins_in_word);
    Some(Tally {
        counts: Counts { lines: lines.into(), words, bytes: BLOCK as u64, ..Counts::default() },
        edges: Some(edges),
    })
}

fn count_slowly(bytes: &[u8]) -> Tally {
    let mut counts = Counts { bytes: bytes.len() as u64, ..Counts::default() };
    let mut edges: Option<Edges> = None;
    let mut in_word = false;
    for &byte in bytes {
        let printable = is_printable(byte);
        if !printable && !is_blank(byte) {
            continue;
        }
        counts.lines += u64::from(byte == b'\n');
        counts.words += u64::from(printable && !in_word);
        in_word = printable;
        edges.get_or_insert(Edges { begins_in_word: printable, ends_in_word: printable }).ends_in_word =
            printable;
    }
    Tally { counts, edges }
}

fn count_lines(bytes: &[u8]) -> Tally {
    let lines = memchr::memchr_iter(b'\n', bytes).count() as u64;
    let counts = Counts { lines, bytes: bytes.len() as u64, ..Counts::default() };
    Tally { counts, edges: None }
}

/// Characters, and the width of the widest line, of whole lines. What is no UTF-8 is no character and has no width.
fn measure(lines: &[u8]) -> (u64, u64) {
    const TAB: u64 = 8;
    let (mut chars, mut longest, mut width) = (0, 0, 0);
    for chunk in lines.utf8_chunks() {
        for c in chunk.valid().chars() {
            chars += 1;
            match c {
                '\n' | '\r' | '\x0c' => (longest, width) = (longest.max(width), 0),
                '\t' => width += TAB - width % TAB,
                _ => width += c.width().unwrap_or(0) as u64,
            }
        }
    }
    (chars, longest.max(width))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::testing::{Random, gnu};
    use std::fs;

    const ALL: Columns =
        Columns { records: false, lines: true, words: true, bytes: true, chars: false, longest: false };

    /// Runs the job over texts cut at random places, in the order in which the engine folds.
    fn job_output(files: &[PathBuf], columns: Columns, random: &mut Random) -> Vec<u8> {
        let job = Count::new(files, columns);
        let texts: Vec<Vec<u8>> = files.iter().map(|path| fs::read(path).unwrap()).collect();
        let regular_bytes = texts.iter().map(|text| text.len() as u64).sum();
        let width = job.width(Inputs { count: texts.len(), regular_bytes, all_regular: true });
        let (mut total, mut out) = (Total::default(), Vec::new());
        for (file, text) in texts.iter().enumerate() {
            let mut rest = &text[..];
            let mut first_in_file = true;
            loop {
                let (now, later) = rest.split_at(random.below(rest.len() + 1));
                let partial = Partial { file, first_in_file, width, tally: count(now) };
                job.fold(&mut total, partial, &mut out);
                (rest, first_in_file) = (later, false);
                if rest.is_empty() {
                    break;
                }
            }
        }
        job.finish(&mut total, &mut out);
        out
    }

    #[test]
    fn counts_as_wc_does_on_random_bytes_cut_anywhere() {
        let dir = tempfile::tempdir().unwrap();
        let mut random = Random(1);
        let alphabets: [&[u8]; 5] =
            [b"ab \n", b"a \x80\xff\x01\n\t", b"\x0b\x0c\r\x1f!~\x7f ", b"\xa0\x85", b"word "];
        let mut files = Vec::new();
        for n in 0..40 {
            let length = [0, 1, 127, 128, 129, 1000, 5000][random.below(7)];
            let text: Vec<u8> = (0..length)
                .map(|_| match alphabets.get(n % 6) {
                    Some(alphabet) => alphabet[random.below(alphabet.len())],
                    None => random.below(256) as u8,
                })
                .collect();
            files.push(dir.path().join(n.to_string()));
            fs::write(&files[n], text).unwrap();
        }
        for columns in [
            ALL,
            Columns { words: true, ..Columns::default() },
            Columns { lines: true, bytes: true, ..Columns::default() },
        ] {
            let options = [(columns.lines, "-l"), (columns.words, "-w"), (columns.bytes, "-c")];
            let options = options.into_iter().filter_map(|(on, option)| on.then_some(option));
            for some in [&files[..], &files[7..8], &files[5..7]] {
                let expected = gnu("wc", options.clone(), some);
                assert_eq!(job_output(some, columns, &mut random), expected.stdout);
            }
        }
    }

    #[test]
    fn the_fast_path_agrees_with_the_slow_one() {
        let mut random = Random(2);
        for _ in 0..2000 {
            let blanks_in = 1 + random.below(20);
            let block: [u8; BLOCK] = std::array::from_fn(|_| match random.below(blanks_in) {
                0 => b" \n\t\r\x0b\x0c"[random.below(6)],
                _ => 0x21 + random.below(0x5E) as u8,
            });
            assert_eq!(count_block(&block), Some(count_slowly(&block)));
            for transparent in [0, 8, 14, 31, 127, 128, 160, 255] {
                let mut block = block;
                block[random.below(BLOCK)] = transparent;
                assert_eq!(count_block(&block), None);
            }
        }
    }

    #[test]
    fn a_stretch_of_transparent_bytes_hands_on_the_word_it_was_given() {
        let mut tally = count(b"wo");
        tally.append(count(b"\xff\x80"));
        tally.append(count(b"rd next"));
        assert_eq!(tally.counts, Counts { words: 2, bytes: 11, ..Counts::default() });
    }

    #[test]
    fn columns_are_as_wide_as_wc_makes_them() {
        let job = Count::new(&[], ALL);
        let inputs = Inputs { count: 1, regular_bytes: 0, all_regular: false };
        assert_eq!(job.width(inputs), 7);
        assert_eq!(job.width(Inputs { regular_bytes: 12_345_678_900, ..inputs }), 11);
        assert_eq!(job.width(Inputs { regular_bytes: 999, all_regular: true, ..inputs }), 3);
        let lines_only = Count::new(&[], Columns { lines: true, ..Columns::default() });
        assert_eq!(lines_only.width(inputs), 1);
        assert_eq!(lines_only.width(Inputs { count: 2, ..inputs }), 7);
    }
}
