//! `grep`: the lines in which a pattern is found, in input order.
//!
//! The obvious way is to split into lines and to try the pattern on each. That costs a call per
//! line, and most lines do not match. Here the engine searches a whole piece at once; only where it
//! finds something is the line around it looked up, and the search goes on after that line. For
//! this no match may cross a line end, which [`pattern`](super::pattern) sees to.
//!
//! A worker does not know how many lines lie before its chunk, how many of them were selected, and whether a line
//! at its edge stands near a selected one in the next chunk. With `-n`, `-m` and `-C` it emits
//! records with what it knows ([`records`]), and [`Job::render`], which is called in order, decides with what came
//! before. So the output does not depend on where the file was cut.

mod looks;
mod records;
mod scan;
mod whole;

use self::looks::Looks;
use self::records::{Line, Records, Trail};
use self::scan::Scan;
use super::formats::Format;
use super::pattern::{Matcher, Reading, Syntax, Unit};
use bivouac::input::{Chunk, LeftOut};
use bivouac::{Context, Error, Job, Result, TaskError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Output is handed over in pieces of about this size.
const EMIT: usize = 256 << 10;

/// Lines before a match that lies in a later chunk stand in the checkpoint: all together no more than this, so that
/// the record can be read again.
const MOST_KEPT: u64 = 64 << 20;

/// The job. Its source: [`Chunks`](bivouac::input::Chunks), cut at newlines.
#[derive(Debug)]
pub(crate) struct Grep {
    options: Options,
    matcher: Matcher,
    files: Vec<PathBuf>,
    named: bool,
    looks: Looks,
    /// The prefix of each line of a file, for each file; empty if names are not wanted.
    prefixes: Vec<Vec<u8>>,
    left_out: Vec<LeftOut>,
    /// For each file, whether it has its lines: later matches in it are not printed.
    enough: Vec<AtomicBool>,
    /// Whether the last file has its lines.
    all: Arc<AtomicBool>,
}

/// The options, in the words of grep.
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
    /// Options that the first version did not have.
    #[serde(skip)]
    pub(crate) more: More,
}

#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct More {
    /// `-P`.
    pub(crate) perl: bool,
    /// `-G`.
    pub(crate) basic: bool,
    /// `-w`.
    pub(crate) words: bool,
    /// `-x`.
    pub(crate) whole_lines: bool,
    /// `-l` and `-L`.
    pub(crate) files: Option<Files>,
    /// `-m`.
    pub(crate) max: Option<u64>,
    /// `-B` and `-A`.
    pub(crate) around: Option<(u64, u64)>,
    /// `-Z`.
    pub(crate) zero: bool,
    /// `--color`.
    pub(crate) color: bool,
    /// Binary lines are named and not printed.
    pub(crate) guarded: bool,
    /// Records of this kind are in the place of lines.
    pub(crate) format: Option<Format>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Files {
    With,
    Without,
    /// `-q`: none; the exit code tells whether a line of any file is selected.
    Silent,
}

impl Options {
    fn reading(&self) -> Reading {
        let More { perl, basic, words, whole_lines, .. } = self.more;
        Reading {
            syntax: match (self.fixed, perl, basic) {
                (true, _, _) => Syntax::Fixed,
                (false, true, _) => Syntax::Perl,
                (false, false, true) => Syntax::Basic,
                (false, false, false) => Syntax::Extended,
            },
            ignore_case: self.ignore_case,
            unit: match (whole_lines, words) {
                (true, _) => Unit::Line,
                (false, true) => Unit::Words,
                (false, false) => Unit::Anything,
            },
        }
    }

    /// The byte that ends what is printed of a line or record.
    fn end(&self) -> u8 {
        self.more.format.map_or(b'\n', Format::end)
    }

    /// Lines are printed, and not numbers or names.
    fn prints_lines(&self) -> bool {
        !self.count && self.more.files.is_none()
    }

    /// Whether the printed lines of a chunk depend on the chunks before it.
    fn needs_records(&self) -> bool {
        let More { max, around, guarded, .. } = &self.more;
        self.prints_lines() && (self.line_numbers || max.is_some() || around.is_some() || *guarded)
    }

    fn around(&self) -> Option<(u64, u64)> {
        self.more.around.filter(|_| self.prints_lines())
    }

    /// More selected lines of one file than this change nothing.
    fn most(&self) -> u64 {
        let one = self.more.files.map(|_| 1);
        self.more.max.unwrap_or(u64::MAX).min(one.unwrap_or(u64::MAX))
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Partial {
    file: usize,
    first_in_file: bool,
    lines: u64,
    selected: u64,
    /// With lines around selected ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trail: Option<Trail>,
    #[serde(default)]
    binary: bool,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Total {
    /// The file at hand: with `-c` its line is printed when the next one begins. `None` also if a version before
    /// 0.2, which printed it after the last chunk, has done so.
    #[serde(default)]
    open: Option<usize>,
    /// Lines of the file at hand so far; counted only where that matters.
    lines: u64,
    /// Selected lines of the file at hand so far.
    selected: u64,
    any: bool,
    /// The last line of the file at hand that was printed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last: Option<u64>,
    /// Up to this line it is near a selected one.
    #[serde(default)]
    until: u64,
    /// Its last lines, as far as they were not printed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    kept: Vec<Line>,
    /// Lines were printed, of whatever file.
    #[serde(default)]
    printed: bool,
    #[serde(default)]
    binary: bool,
}

impl Grep {
    /// Searches `files`. Those that are left out were given too, and cannot be read.
    pub(crate) fn new(options: Options, files: &[PathBuf], left_out: Vec<LeftOut>) -> Result<Self> {
        let matcher = Matcher::new(&options.patterns, options.reading())?;
        let named = options.file_names.unwrap_or(files.len() + left_out.len() > 1);
        let looks = Looks { color: options.more.color, zero: options.more.zero };
        let prefix = |path: &PathBuf| if named { looks.prefix(path) } else { Vec::new() };
        let prefixes = files.iter().map(prefix).collect();
        let enough = files.iter().map(|_| AtomicBool::new(false)).collect();
        let all = Arc::default();
        Ok(Self { options, matcher, files: files.to_vec(), named, looks, prefixes, left_out, enough, all })
    }

    /// Set when nothing that is found from here on is printed.
    pub(crate) fn has_all(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.all)
    }

    fn prefix(&self, file: usize) -> &[u8] {
        self.prefixes.get(file).map_or(&[], Vec::as_slice)
    }

    /// Prints what is to be said of the file at hand as a whole, if there is one.
    fn close(&self, total: &mut Total, out: &mut Vec<u8>) {
        let Some(file) = total.open.take() else { return };
        let Options { count, more: More { files, max, .. }, .. } = &self.options;
        match files {
            // As GNU has it, that leaves no line that matches.
            _ if *max == Some(0) && *files != Some(Files::Without) => {}
            Some(Files::Silent) => {}
            Some(wanted) if (*wanted == Files::With) == (total.selected > 0) => {
                let path = self.files.get(file).map_or(Path::new("-"), PathBuf::as_path);
                out.extend_from_slice(&self.looks.name(path));
                out.push(if self.options.more.zero { 0 } else { b'\n' });
            }
            Some(_) => {}
            None if *count => {
                out.extend_from_slice(self.prefix(file));
                out.extend_from_slice(format!("{}\n", total.selected).as_bytes());
            }
            None if total.binary => {
                let name = self.files.get(file).map_or(Cow::Borrowed("-"), |path| path.to_string_lossy());
                out.extend_from_slice(
                    format!("bivouac: {name}: binary file matches; -a prints it\n").as_bytes(),
                );
            }
            None => {}
        }
    }

    /// With `-c`, as `grep` has it: the lines of the directories that were given before this file, and after
    /// the one before it.
    fn print_directories(&self, file: usize, out: &mut Vec<u8>) {
        let Options { count, more: More { files, max, .. }, .. } = &self.options;
        let says = *count && files.is_none() && *max != Some(0);
        for directory in self.left_out.iter().filter(|left| says && left.is_directory && left.before == file)
        {
            if self.named {
                out.extend_from_slice(&self.looks.prefix(&directory.path));
            }
            out.extend_from_slice(b"0\n");
        }
    }

    fn scan(&self, file: usize, first_in_file: bool) -> Scan<'_> {
        Scan::new(&self.options, self.matcher.searcher(), self.prefix(file), (file, first_in_file))
    }

    fn has_enough(&self, file: usize) -> bool {
        self.enough.get(file).is_some_and(|enough| enough.load(Ordering::Relaxed))
    }

    fn no_memory(&self, file: usize, bytes: usize) -> TaskError {
        let name = self.files.get(file).map_or(Cow::Borrowed("a file"), |path| path.to_string_lossy());
        let how = format_args!("no memory to print a line of {bytes} bytes that matches");
        Error::broken(name, how).advise("raise the limit of memory (ulimit -v)").into()
    }

    /// Hands over what was found. `true` if the rest of the chunk changes nothing.
    fn is_over(
        &self,
        scan: &mut Scan<'_>,
        file: usize,
        cx: &Context<'_>,
    ) -> std::result::Result<bool, TaskError> {
        if scan.selected > 0 && self.options.more.files == Some(Files::Silent) {
            self.note_found();
            return Ok(true);
        }
        if let Some(bytes) = scan.too_long {
            return Err(self.no_memory(file, bytes));
        }
        if scan.out.len() >= EMIT && scan.may_be_parted() {
            cx.emit(scan.take_out())?;
        }
        Ok(false)
    }

    fn partial(&self, scan: Scan<'_>, (file, first_in_file): (usize, bool)) -> Result<Partial> {
        let Scan { lines, selected, binary, .. } = scan;
        let trail = self.options.around().map(|_| scan.trail());
        // The wanted lines may be of several chunks; if each has no more than its share, all have no more.
        let kept = trail.as_ref().map_or(&[][..], |trail| &trail.kept);
        let bytes: u64 = kept.iter().map(|line| line.text.len() as u64).sum();
        let wanted = self.options.around().map_or(0, |(before, _)| before);
        if bytes.saturating_mul(wanted) > MOST_KEPT.saturating_mul(kept.len() as u64) {
            let name = self.files.get(file).map_or(Cow::Borrowed("a file"), |path| path.to_string_lossy());
            let how = format_args!(
                "has {} lines of {bytes} bytes, too long for {wanted} before a match",
                kept.len()
            );
            return Err(Error::broken(name, how).advise("ask for fewer lines before a match"));
        }
        Ok(Partial { file, first_in_file, lines, selected, trail, binary })
    }

    /// A line is selected, and that is all that was asked.
    fn note_found(&self) {
        self.enough.iter().chain([&*self.all]).for_each(|enough| enough.store(true, Ordering::Relaxed));
    }

    /// Notes what need not be searched any more.
    fn note_enough(&self, total: &Total, file: usize) {
        if total.selected >= self.options.most() && total.lines >= total.until {
            if let Some(enough) = self.enough.get(file) {
                enough.store(true, Ordering::Relaxed);
            }
            if file + 1 == self.files.len() {
                self.all.store(true, Ordering::Relaxed);
            }
        }
    }
}

impl Job for Grep {
    type Task = Chunk;
    type Partial = Partial;
    type Total = Total;

    fn name(&self) -> &str {
        "grep"
    }

    fn fingerprint(&self) -> Value {
        let mut options = json!(self.options);
        // A later option is in it only if it is set, so that a job of an earlier version can continue.
        if let (Some(options), Value::Object(more)) = (options.as_object_mut(), json!(self.options.more)) {
            options.extend(more.into_iter().filter(|(_, value)| !value.is_null() && *value != false));
        }
        json!({ "options": options, "named": self.prefixes.iter().any(|prefix| !prefix.is_empty()) })
    }

    fn run(&self, chunk: Chunk, cx: &Context<'_>) -> std::result::Result<Partial, TaskError> {
        let mut scan = self.scan(chunk.file_index, chunk.first_in_file);
        if self.options.more.format.is_some() {
            let mut records = chunk.records()?;
            while let Some((text, ends)) = records.next(|bytes| cx.advance(bytes))? {
                if self.has_enough(chunk.file_index) {
                    break;
                }
                scan.records(text, ends);
                if self.is_over(&mut scan, chunk.file_index, cx)? {
                    break;
                }
            }
        } else {
            let mut pieces = chunk.pieces()?;
            while let Some(piece) = pieces.next_piece()? {
                cx.advance(piece.len() as u64)?;
                if self.has_enough(chunk.file_index) {
                    break;
                }
                scan.piece(piece);
                if self.is_over(&mut scan, chunk.file_index, cx)? {
                    break;
                }
            }
        }
        if !scan.out.is_empty() {
            cx.emit(scan.take_out())?;
        }
        Ok(self.partial(scan, (chunk.file_index, chunk.first_in_file))?)
    }

    fn render(&self, before: &Total, piece: Vec<u8>) -> Vec<u8> {
        if !self.options.needs_records() {
            return piece;
        }
        let records = Records::read(&piece);
        let (file, first_in_file) = records.place();
        let fresh = Total { printed: before.printed, ..Total::default() };
        let before = if first_in_file { &fresh } else { before };
        if before.binary {
            return Vec::new();
        }
        records.render(before, &self.options, self.prefix(file), self.looks)
    }

    fn fold(&self, total: &mut Total, partial: Partial, out: &mut Vec<u8>) {
        if partial.first_in_file {
            self.close(total, out);
            let Total { any, printed, .. } = *total;
            *total = Total { any, printed, ..Total::default() };
            self.print_directories(partial.file, out);
        }
        let file = partial.file;
        total.any |= partial.selected > 0 && self.options.more.max != Some(0);
        total.open = Some(file);
        total.binary |= partial.binary;
        if let (Some(trail), Some(around)) = (&partial.trail, self.options.around()) {
            total.follow(trail, &partial, around, self.options.most());
        }
        total.lines += partial.lines;
        total.selected = (total.selected + partial.selected).min(self.options.most());
        self.note_enough(total, file);
    }

    fn finish(&self, total: &mut Total, out: &mut Vec<u8>) {
        self.close(total, out);
        self.print_directories(self.prefixes.len(), out);
    }

    fn verdict(&self, total: &Total) -> u8 {
        if total.any { bivouac::ending::FINISHED } else { bivouac::ending::FINISHED_WITH_FAILURES }
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
                    if random.below(2) == 0 && !scan.out.is_empty() && scan.may_be_parted() {
                        out.extend(job.render(&total, scan.take_out()));
                    }
                }
                if !scan.out.is_empty() {
                    out.extend(job.render(&total, scan.take_out()));
                }
                let partial = job.partial(scan, (file, first_in_file)).unwrap();
                // As it is kept when it is ahead of its turn, and in a checkpoint.
                let partial = serde_json::from_slice(&serde_json::to_vec(&partial).unwrap()).unwrap();
                total = serde_json::from_slice(&serde_json::to_vec(&total).unwrap()).unwrap();
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
        let more = More {
            words: flags.contains('w'),
            whole_lines: flags.contains('x'),
            files: flags
                .contains('l')
                .then_some(Files::With)
                .or(flags.contains('L').then_some(Files::Without)),
            zero: flags.contains('Z'),
            ..More::default()
        };
        compare_more((patterns, flags, &[]), more, files, random);
    }

    /// With options that have a value.
    fn compare_more(
        (patterns, flags, values): (&[&str], &str, &[&str]),
        more: More,
        files: &[PathBuf],
        random: &mut Random,
    ) {
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
            more,
        };
        let syntax = if options.fixed { "-a" } else { "-aE" };
        let mut words = vec![format!("{syntax}{flags}")];
        words.extend(values.iter().map(ToString::to_string));
        words.extend(patterns.iter().flat_map(|pattern| ["-e".to_string(), pattern.to_string()]));
        let expected = gnu("grep", &words, files);
        let (out, code) = job_output(&options, files, random);
        let (is, wanted) = (String::from_utf8_lossy(&out), String::from_utf8_lossy(&expected.stdout));
        let differs = is.lines().zip(wanted.lines()).position(|(is, wanted)| is != wanted);
        assert!(is == wanted, "{words:?}, at line {differs:?}\n{is}\nshould be\n{wanted}");
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
    fn words_lines_and_names_of_files_are_those_of_grep() {
        let dir = tempfile::tempdir().unwrap();
        let mut random = Random(6);
        let files = texts(dir.path(), &mut random);
        for pattern in [&["a"][..], &["ab|a"], &["[a-c]+"], &["a.b"], &["-"], &["a", "b"], &["no such text"]]
        {
            for flags in
                ["w", "x", "wo", "wn", "wv", "wx", "xv", "wc", "l", "L", "lv", "lc", "Lv", "lZ", "nZ", "cZ"]
            {
                compare(pattern, flags, &files, &mut random);
                compare(pattern, flags, &files[5..6], &mut random);
            }
        }
        for flags in ["Fw", "Fx", "Fwo", "Fxi"] {
            compare(&["a", "ab "], flags, &files, &mut random);
        }
    }

    /// However the files are cut, in chunks of no line at all, of one, of many.
    #[test]
    fn lines_near_a_match_and_a_limit_are_those_of_grep() {
        let dir = tempfile::tempdir().unwrap();
        let mut random = Random(7);
        let files = texts(dir.path(), &mut random);
        let around = |before, after| Some((before, after));
        let limits = [None, Some(1), Some(2), Some(5)];
        let nears =
            [None, around(0, 0), around(1, 0), around(0, 1), around(2, 3), around(40, 40), around(1, 1)];
        for (max, near) in limits.iter().flat_map(|max| nears.iter().map(move |near| (*max, *near))) {
            let mut values: Vec<String> = max.iter().map(|max| format!("-m{max}")).collect();
            values.extend(
                near.iter().flat_map(|(before, after)| [format!("-B{before}"), format!("-A{after}")]),
            );
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            for flags in ["", "n", "v", "vn", "o", "on", "c", "nh", "l"] {
                for pattern in [&["a"][..], &["^a"], &["aa"], &["^$"], &["C"]] {
                    let more = More {
                        max,
                        around: near,
                        files: flags.contains('l').then_some(Files::With),
                        ..More::default()
                    };
                    compare_more((pattern, flags, &values), more.clone(), &files, &mut random);
                    compare_more((pattern, flags, &values), more, &files[7..8], &mut random);
                }
            }
        }
    }

    #[test]
    fn colors_are_those_of_grep() {
        let dir = tempfile::tempdir().unwrap();
        let mut random = Random(8);
        let files = texts(dir.path(), &mut random);
        for flags in ["", "n", "o", "vn", "c", "l"] {
            let more = More {
                color: true,
                around: Some((1, 1)),
                files: flags.contains('l').then_some(Files::With),
                ..More::default()
            };
            compare_more((&["ab|b"], flags, &["--color=always", "-C1"]), more, &files, &mut random);
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
