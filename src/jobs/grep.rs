//! `grep`: the lines in which a pattern is found, in input order.
//!
//! The obvious way is to split into lines and to try the pattern on each. That costs a call per
//! line, and most lines do not match. Here the engine searches a whole piece at once; only where it
//! finds something is the line around it looked up, and the search goes on after that line. For
//! this no match may cross a line end, which [`pattern`](super::pattern) sees to.
//!
//! **Line numbers.** A worker does not know how many lines lie before its chunk. With `-n` it
//! emits records with numbers relative to the chunk, and [`Job::render`], which is called in order,
//! adds what came before.

use super::pattern::{Matcher, Searcher};
use bivouac::input::{Chunk, LeftOut};
use bivouac::{Context, Error, Job, Result, TaskError};
use memchr::{memchr, memchr_iter, memrchr};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Output is handed over in pieces of about this size.
const EMIT: usize = 256 << 10;

/// The job. Its source: [`Chunks`](bivouac::input::Chunks), cut at newlines.
#[derive(Debug)]
pub(crate) struct Grep {
    options: Options,
    matcher: Matcher,
    files: Vec<PathBuf>,
    named: bool,
    /// What to print before a line, per file; nothing if names are not wanted.
    prefixes: Vec<Vec<u8>>,
    left_out: Vec<LeftOut>,
}

/// What was asked for, in the words of grep.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Options {
    /// `-e`, repeated: a line is selected if any of them matches.
    pub(crate) patterns: Vec<String>,
    /// `-F`: patterns are texts.
    pub(crate) fixed: bool,
    /// `-i`.
    pub(crate) ignore_case: bool,
    /// `-v`.
    pub(crate) invert: bool,
    /// `-c`.
    pub(crate) count: bool,
    /// `-n`.
    pub(crate) line_numbers: bool,
    /// `-o`.
    pub(crate) only_matching: bool,
    /// `-H` and `-h`; by default names are printed if there are several files.
    pub(crate) file_names: Option<bool>,
}

/// What one chunk reports.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Partial {
    file: usize,
    first_in_file: bool,
    lines: u64,
    selected: u64,
}

/// What is known at a place in the input.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Total {
    /// The file at hand: with `-c` its line is printed when the next one begins. `None` also if a version before
    /// 0.2, which printed it after the last chunk, has done so.
    #[serde(default)]
    open: Option<usize>,
    /// Lines of the file at hand so far; counted with `-n` only.
    lines: u64,
    /// Selected lines of the file at hand so far.
    selected: u64,
    any: bool,
}

impl Grep {
    /// Searches `files`; without any, standard input. Those that are left out were given too, and cannot be
    /// read.
    ///
    /// # Errors
    ///
    /// A pattern is not valid; the error names it.
    pub(crate) fn new(options: Options, files: &[PathBuf], left_out: Vec<LeftOut>) -> Result<Self> {
        let matcher = Matcher::new(&options.patterns, options.fixed, options.ignore_case)?;
        let named = options.file_names.unwrap_or(files.len() + left_out.len() > 1);
        let inputs = super::or_stdin(files, &left_out);
        let prefixes = inputs.iter().map(|path| if named { prefix(path) } else { Vec::new() }).collect();
        Ok(Self { options, matcher, files: inputs, named, prefixes, left_out })
    }

    fn prefix(&self, file: usize) -> &[u8] {
        self.prefixes.get(file).map_or(&[], Vec::as_slice)
    }

    /// With `-c`, prints the line of the file at hand, if there is one.
    fn close(&self, total: &mut Total, out: &mut Vec<u8>) {
        if let Some(file) = total.open.take().filter(|_| self.options.count) {
            out.extend_from_slice(self.prefix(file));
            out.extend_from_slice(format!("{}\n", total.selected).as_bytes());
        }
    }

    /// With `-c`, as `grep` has it: the lines of the directories that were given before this file, and after
    /// the one before it.
    fn print_directories(&self, file: usize, out: &mut Vec<u8>) {
        let here = |left: &&LeftOut| self.options.count && left.is_directory && left.before == file;
        for directory in self.left_out.iter().filter(here) {
            if self.named {
                out.extend_from_slice(&prefix(&directory.path));
            }
            out.extend_from_slice(b"0\n");
        }
    }

    fn scan(&self, file: usize, first_in_file: bool) -> Scan<'_> {
        Scan {
            options: &self.options,
            searcher: self.matcher.searcher(),
            prefix: self.prefix(file),
            origin: Origin { file: file as u32, first_in_file },
            lines: 0,
            selected: 0,
            out: Vec::new(),
            too_long: None,
        }
    }
}

/// A file name as it stands before a line, colon included.
fn prefix(path: &Path) -> Vec<u8> {
    let name = if path == Path::new("-") { b"(standard input)" } else { path.as_os_str().as_bytes() };
    [name, b":"].concat()
}

impl Job for Grep {
    type Task = Chunk;
    type Partial = Partial;
    type Total = Total;

    fn name(&self) -> &str {
        "grep"
    }

    fn fingerprint(&self) -> Value {
        json!({ "options": self.options, "named": self.prefixes.iter().any(|prefix| !prefix.is_empty()) })
    }

    fn run(&self, chunk: Chunk, cx: &Context<'_>) -> std::result::Result<Partial, TaskError> {
        let mut scan = self.scan(chunk.file_index, chunk.first_in_file);
        let mut pieces = chunk.pieces()?;
        while let Some(piece) = pieces.next_piece()? {
            cx.advance(piece.len() as u64)?;
            scan.piece(piece);
            if let Some(bytes) = scan.too_long {
                let name = self
                    .files
                    .get(chunk.file_index)
                    .map_or(Cow::Borrowed("a file"), |path| path.to_string_lossy());
                let how = format_args!(
                    "has a line of {bytes} bytes that matches, and there is no memory to print it"
                );
                return Err(Error::broken(name, how)
                    .advise("raise the limit of this process (ulimit -v)")
                    .into());
            }
            if scan.out.len() >= EMIT {
                cx.emit(scan.take_out())?;
            }
        }
        if !scan.out.is_empty() {
            cx.emit(scan.take_out())?;
        }
        let Scan { lines, selected, .. } = scan;
        let Chunk { file_index: file, first_in_file, .. } = chunk;
        Ok(Partial { file, first_in_file, lines, selected })
    }

    fn render(&self, before: &Total, piece: Vec<u8>) -> Vec<u8> {
        if !self.options.line_numbers {
            return piece;
        }
        let mut out = Vec::with_capacity(piece.len());
        let (origin, mut records) = Origin::read(&piece);
        let lines_before = if origin.first_in_file { 0 } else { before.lines };
        while let Some((line, text)) = next_record(&mut records) {
            out.extend_from_slice(self.prefix(origin.file as usize));
            out.extend_from_slice((lines_before + line).to_string().as_bytes());
            out.push(b':');
            out.extend_from_slice(text);
            out.push(b'\n');
        }
        out
    }

    fn fold(&self, total: &mut Total, partial: Partial, out: &mut Vec<u8>) {
        if partial.first_in_file {
            self.close(total, out);
            (total.lines, total.selected) = (0, 0);
            self.print_directories(partial.file, out);
        }
        total.lines += partial.lines;
        total.selected += partial.selected;
        total.any |= partial.selected > 0;
        total.open = Some(partial.file);
    }

    fn finish(&self, total: &mut Total, out: &mut Vec<u8>) {
        self.close(total, out);
        self.print_directories(self.prefixes.len(), out);
    }

    fn verdict(&self, total: &Total) -> u8 {
        if total.any { bivouac::ending::FINISHED } else { bivouac::ending::FINISHED_WITH_FAILURES }
    }
}

/// Where the records of an emitted piece come from: its header.
#[derive(Clone, Copy, Debug)]
struct Origin {
    file: u32,
    first_in_file: bool,
}

impl Origin {
    fn write(self, out: &mut Vec<u8>) {
        out.push(u8::from(self.first_in_file));
        out.extend_from_slice(&self.file.to_le_bytes());
    }

    fn read(piece: &[u8]) -> (Self, &[u8]) {
        let Some(([first, file @ ..], records)) = piece.split_first_chunk::<5>() else {
            return (Self { file: 0, first_in_file: false }, &[]);
        };
        (Self { file: u32::from_le_bytes(*file), first_in_file: *first == 1 }, records)
    }
}

/// A record: line number relative to the chunk, length of the text, text.
fn write_record(line: u64, text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&line.to_le_bytes());
    out.extend_from_slice(&(text.len() as u64).to_le_bytes());
    out.extend_from_slice(text);
}

fn next_record<'p>(records: &mut &'p [u8]) -> Option<(u64, &'p [u8])> {
    let (line, rest) = records.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let (text, rest) = rest.split_at_checked(u64::from_le_bytes(*length) as usize)?;
    *records = rest;
    Some((u64::from_le_bytes(*line), text))
}

/// The search through one chunk.
#[derive(Debug)]
struct Scan<'a> {
    options: &'a Options,
    searcher: Searcher<'a>,
    prefix: &'a [u8],
    origin: Origin,
    lines: u64,
    selected: u64,
    out: Vec<u8>,
    /// A line to be printed for which there is no memory.
    too_long: Option<usize>,
}

impl Scan<'_> {
    /// Searches the next whole lines. The last line of a file may lack its newline.
    fn piece(&mut self, piece: &[u8]) {
        // Without the last newline there is no empty line after it that a pattern could match.
        let text = piece.strip_suffix(b"\n").unwrap_or(piece);
        let mut numbered = Numbered { text, at: 0, line: self.lines + 1 };
        let mut at = 0;
        while at <= text.len() {
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
        if self.options.invert && at <= text.len() {
            self.select_without_match(at..text.len(), &mut numbered);
        }
        if self.options.line_numbers {
            self.lines = numbered.line_at(text.len());
        }
    }

    /// A line with a match in it.
    fn select(&mut self, line: Range<usize>, found: Range<usize>, numbered: &mut Numbered<'_>) {
        self.selected += 1;
        if self.options.count {
        } else if self.options.only_matching {
            self.print_matches(line, found, numbered);
        } else {
            self.print(line, numbered);
        }
    }

    /// With `-v`: one or more whole lines without a match.
    fn select_without_match(&mut self, run: Range<usize>, numbered: &mut Numbered<'_>) {
        let text = numbered.text;
        self.selected += 1 + memchr_iter(b'\n', &text[run.clone()]).count() as u64;
        if self.options.count || self.options.only_matching {
            return;
        }
        let mut start = run.start;
        while start <= run.end {
            let end = memchr(b'\n', &text[start..run.end]).map_or(run.end, |i| start + i);
            self.print(start..end, numbered);
            start = end + 1;
        }
    }

    /// With `-o`: every match that is not empty.
    fn print_matches(&mut self, line: Range<usize>, first: Range<usize>, numbered: &mut Numbered<'_>) {
        let mut next = Some(first);
        while let Some(found) = next {
            let found = found.start..self.searcher.longest(numbered.text, found, line.end);
            let after = if found.is_empty() { found.end + 1 } else { found.end };
            if !found.is_empty() {
                self.print(found, numbered);
            }
            next = if after <= line.end { self.searcher.find(numbered.text, after..line.end) } else { None };
        }
    }

    fn print(&mut self, part: Range<usize>, numbered: &mut Numbered<'_>) {
        let start = part.start;
        let text = &numbered.text[part];
        // With room for what stands around it. Most lines fit into what there is.
        let length = text.len() + self.prefix.len() + 32;
        if self.out.try_reserve(length).is_err() && self.out.try_reserve_exact(length).is_err() {
            self.too_long = Some(text.len());
            return;
        }
        if self.options.line_numbers {
            if self.out.is_empty() {
                self.origin.write(&mut self.out);
            }
            write_record(numbered.line_at(start), text, &mut self.out);
        } else {
            self.out.extend_from_slice(self.prefix);
            self.out.extend_from_slice(text);
            self.out.push(b'\n');
        }
    }

    fn take_out(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }
}

/// Counts lines on the way through a text, each newline once.
#[derive(Debug)]
struct Numbered<'t> {
    text: &'t [u8],
    at: usize,
    line: u64,
}

impl Numbered<'_> {
    /// The number of the line in which `place` lies; places must come in order.
    fn line_at(&mut self, place: usize) -> u64 {
        self.line += memchr_iter(b'\n', &self.text[self.at..place]).count() as u64;
        self.at = place;
        self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::testing::{Random, gnu};
    use std::fs;

    /// Runs the job over files cut after random lines, in the order in which the engine does.
    fn job_output(options: &Options, files: &[PathBuf], random: &mut Random) -> (Vec<u8>, u8) {
        let job = Grep::new(options.clone(), files, Vec::new()).unwrap();
        let (mut total, mut out) = (Total::default(), Vec::new());
        for (file, path) in files.iter().enumerate() {
            let text = fs::read(path).unwrap();
            let mut lines: Vec<&[u8]> = text.split_inclusive(|&b| b == b'\n').collect();
            let mut first_in_file = true;
            loop {
                let later = lines.split_off(random.below(lines.len() + 1));
                let mut scan = job.scan(file, first_in_file);
                for piece in lines.chunks(1 + random.below(5)) {
                    scan.piece(&piece.concat());
                    if random.below(2) == 0 && !scan.out.is_empty() {
                        out.extend(job.render(&total, scan.take_out()));
                    }
                }
                if !scan.out.is_empty() {
                    out.extend(job.render(&total, scan.take_out()));
                }
                let Scan { lines: counted, selected, .. } = scan;
                let partial = Partial { file, first_in_file, lines: counted, selected };
                job.fold(&mut total, partial, &mut out);
                first_in_file = false;
                if later.is_empty() {
                    break;
                }
                lines = later;
            }
        }
        job.finish(&mut total, &mut out);
        (out, job.verdict(&total))
    }

    fn texts(dir: &Path, random: &mut Random) -> Vec<PathBuf> {
        let fixed: [&[u8]; 6] =
            [b"", b"\n", b"a", b"\n\na\n\n", b"foo_lock  \nbar\t\nno newline", b"A\x00b\xff\nab abc aab\n"];
        let mut texts: Vec<Vec<u8>> = fixed.map(<[u8]>::to_vec).into();
        let alphabet = b"aabbcABC_ .01\n\n\t";
        for _ in 0..6 {
            texts.push((0..random.below(600)).map(|_| alphabet[random.below(alphabet.len())]).collect());
        }
        let write = |(n, text): (usize, Vec<u8>)| {
            let path = dir.join(n.to_string());
            fs::write(&path, text).unwrap();
            path
        };
        texts.into_iter().enumerate().map(write).collect()
    }

    fn compare(patterns: &[&str], flags: &str, files: &[PathBuf], random: &mut Random) {
        // Everything matches the empty pattern, so GNU grep does not even look at the files with -v, and
        // prints no counts, not even zeros. Zeros are what one would expect.
        if patterns == [""] && flags.contains('v') {
            return;
        }
        let options = Options {
            patterns: patterns.iter().map(ToString::to_string).collect(),
            fixed: flags.contains('F'),
            ignore_case: flags.contains('i'),
            invert: flags.contains('v'),
            count: flags.contains('c'),
            line_numbers: flags.contains('n'),
            only_matching: flags.contains('o'),
            file_names: flags.contains('H').then_some(true).or(flags.contains('h').then_some(false)),
        };
        let syntax = if options.fixed { "-a" } else { "-aE" };
        let mut words = vec![format!("{syntax}{flags}")];
        words.extend(patterns.iter().flat_map(|pattern| ["-e".to_string(), pattern.to_string()]));
        let expected = gnu("grep", &words, files);
        let (out, code) = job_output(&options, files, random);
        assert_eq!(
            String::from_utf8_lossy(&out),
            String::from_utf8_lossy(&expected.stdout),
            "{words:?} on {files:?}"
        );
        assert_eq!(Some(i32::from(code)), expected.status.code(), "{words:?}");
    }

    #[test]
    fn prints_what_grep_prints() {
        let dir = tempfile::tempdir().unwrap();
        let mut random = Random(4);
        let files = texts(dir.path(), &mut random);
        let patterns: [&[&str]; 24] = [
            &["a"],
            &["[^a]"],
            &["\\s+$"],
            &["^$"],
            &["a*"],
            &["$"],
            &["^"],
            &[""],
            &["a|ab|abc"],
            &["(a|ab)(c|bcd)?"],
            &["\\bab"],
            &["\\w+"],
            &["\\W"],
            &["[[:space:]]"],
            &["[[:upper:]]+[^[:digit:]]"],
            &["a?(ab)?"],
            &["x"],
            &["(foo|bar)_lock"],
            &["[a-z]+_[0-9]+"],
            &["a.b"],
            &["b\\>"],
            &["a", "^b"],
            &["a\nb"],
            &["a{2,}|b{2}"],
        ];
        for pattern in patterns {
            for flags in ["", "n", "c", "v", "vn", "vc", "o", "on", "i", "io", "H", "nh", "ov", "oc", "cn"] {
                compare(pattern, flags, &files, &mut random);
                compare(pattern, flags, &files[5..6], &mut random);
            }
        }
    }

    #[test]
    fn fixed_texts_are_no_patterns() {
        let dir = tempfile::tempdir().unwrap();
        let mut random = Random(5);
        let files = texts(dir.path(), &mut random);
        for pattern in [&["a."][..], &["."], &["ab", "abc"], &["aB"], &[""]] {
            for flags in ["F", "Fi", "Fo", "Foi", "Fvn", "Fc"] {
                compare(pattern, flags, &files, &mut random);
            }
        }
    }

    #[test]
    fn a_wrong_pattern_is_named() {
        let options = Options { patterns: vec!["fine".into(), "a(b".into()], ..Options::default() };
        let error = Grep::new(options, &[], Vec::new()).unwrap_err();
        assert_eq!(error.kind(), bivouac::error::Kind::Usage);
        assert!(error.to_string().contains("a(b"), "{error}");
    }
}
