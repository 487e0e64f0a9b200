//! `digest --check`: verifies lists that `digest`, `b3sum`, `sha256sum` or another tool has made.
//!
//! Output and exit code are those of `sha256sum --check`; with BLAKE3 those of `b3sum`, for which a line that cannot be read
//! is a file that was not verified. File names are shown as a terminal may see them.

use crate::jobs::checklist::{Entry, Line, is_utf16, parse, without_mark};
use crate::jobs::complaints::Complaints;
use crate::jobs::digest::{Algorithm, hash_file, hash_stream};
use crate::jobs::names;
use bivouac::ending::{FINISHED, FINISHED_WITH_FAILURES};
use bivouac::input::{Chunk, InputFile, Stream};
use bivouac::{Context, Error, Job, TaskError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// How many bytes of the list make one task: some fifty lines.
pub(crate) const BLOCK: u64 = 4096;

/// The options, in the words of `sha256sum`.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Options {
    /// A file that does not exist is passed over.
    pub(crate) ignore_missing: bool,
    /// Nothing is printed about a file whose checksum is right.
    pub(crate) quiet: bool,
    pub(crate) status: bool,
    /// A line that makes no sense is a failure.
    pub(crate) strict: bool,
    /// Each such line is named.
    pub(crate) warn: bool,
    /// An error of the machine counts as a file that cannot be read, and does not end the run.
    #[serde(skip)]
    pub(crate) keeps_going: bool,
}

/// The job. Its source: the lists, cut at lines.
#[derive(Debug)]
pub(crate) struct Check {
    /// The only one; otherwise a line may name its own, and is of BLAKE3 if it names none.
    only: Option<Algorithm>,
    /// As they were given; `-` is standard input.
    lists: Vec<PathBuf>,
    options: Options,
    complaints: Complaints,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Tally {
    agree: u64,
    differ: u64,
    unreadable: u64,
    malformed: u64,
    /// Passed over with `--ignore-missing`.
    missing: u64,
    /// Malformed lines that name another checksum.
    other: u64,
    /// Malformed lines that name one which is not computed here.
    #[serde(default)]
    unknown: u64,
    /// Lines that name their checksum.
    #[serde(default)]
    tagged: u64,
    utf16: bool,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Partial {
    list: usize,
    tally: Tally,
    lines: u64,
    /// Numbers of malformed lines within the part, if they are wanted.
    malformed: Vec<u64>,
    complaints: Vec<String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Total {
    /// The list at hand: it is summed up when the next one begins.
    #[serde(default)]
    open: Option<usize>,
    tally: Tally,
    lines: u64,
    /// The messages, as far as they are kept, and how many single lines there were.
    said: Vec<String>,
    single: Vec<String>,
    singles: u64,
    failed: bool,
}

enum Verdict {
    Ok,
    Failed,
    Unreadable(Error),
    Missing,
}

impl Check {
    pub(crate) fn new(
        only: Option<Algorithm>,
        lists: Vec<PathBuf>,
        options: Options,
        complaints: Complaints,
    ) -> Self {
        Self { only, lists, options, complaints }
    }

    /// The checksum of a line that names none.
    fn usual(&self) -> Algorithm {
        self.only.unwrap_or(Algorithm::Blake3)
    }

    fn list(&self, index: usize) -> String {
        match self.lists.get(index).map(PathBuf::as_path) {
            Some(path) if path != Path::new("-") => path.display().to_string(),
            Some(_) | None => "standard input".to_string(),
        }
    }

    fn verify(&self, entry: &Entry<'_>, cx: &Context<'_>) -> Result<Verdict, TaskError> {
        let algorithm = entry.tag.unwrap_or(self.usual());
        let hash = match Stream::is_stream(&entry.path) {
            true => Stream::open(&entry.path)
                .map_err(TaskError::Fatal)
                .and_then(|stream| hash_stream(stream, algorithm.hasher(), cx)),
            false => InputFile::look_at(&entry.path)
                .map_err(TaskError::Fatal)
                .and_then(|file| hash_file(&file, algorithm, cx)),
        };
        match hash {
            Ok(hash) if hash.as_bytes().eq_ignore_ascii_case(entry.hash) => Ok(Verdict::Ok),
            Ok(_) => Ok(Verdict::Failed),
            Err(TaskError::Fatal(error)) if self.options.ignore_missing && error.is_missing() => {
                Ok(Verdict::Missing)
            }
            // This is no answer about the file; the next run may have one.
            Err(TaskError::Fatal(error)) if error.may_pass() && !self.options.keeps_going => {
                Err(TaskError::Fatal(error))
            }
            Err(TaskError::Fatal(error)) => Ok(Verdict::Unreadable(error)),
            Err(error) => Err(error),
        }
    }

    /// Verifies a line of the list, and returns the word to print.
    fn entry(
        &self,
        entry: &Entry<'_>,
        cx: &Context<'_>,
        partial: &mut Partial,
    ) -> Result<&'static str, TaskError> {
        let Options { quiet, status, .. } = self.options;
        let tally = &mut partial.tally;
        tally.tagged += u64::from(entry.tag.is_some());
        let (count, said) = match self.verify(entry, cx)? {
            Verdict::Ok if quiet => (&mut tally.agree, ""),
            Verdict::Ok => (&mut tally.agree, "OK"),
            Verdict::Failed => (&mut tally.differ, "FAILED"),
            Verdict::Missing => (&mut tally.missing, ""),
            Verdict::Unreadable(error) => {
                // In the words of `sha256sum`.
                partial.complaints.push(error.sentence().replacen(": cannot open: ", ": ", 1));
                (&mut tally.unreadable, "FAILED open or read")
            }
        };
        *count += 1;
        Ok(if status { "" } else { said })
    }

    /// After the last line of the list at hand, if there is one.
    fn sum_up(&self, total: &mut Total) {
        let Some(list) = total.open.take() else { return };
        let Options { ignore_missing, status, strict, .. } = self.options;
        let tally = std::mem::take(&mut total.tally);
        let Tally { agree, differ, unreadable, malformed, missing, other, unknown, tagged, utf16 } = tally;
        total.lines = 0;
        let name = self.list(list);
        let mut say = |sentence: String| total.said.push(sentence);
        let (is, other_is, other_option) = match self.usual() {
            Algorithm::Blake3 => ("BLAKE3", "SHA-256", "sha256"),
            Algorithm::Sha256 => ("SHA-256", "BLAKE3", "blake3"),
        };
        let is_sound = agree + differ + unreadable + missing > 0;
        if utf16 {
            say(format!("{name}: is UTF-16; make it UTF-8: iconv -f UTF-16 -t UTF-8 LIST"));
        } else if !is_sound {
            say(format!("{name}: no properly formatted checksum lines found"));
        }
        if status && is_sound {
            // The exit code tells.
        } else if other > 0 {
            say(format!("{name}: some of its checksums are {other_is} ones: --algorithm {other_option}"));
        } else if unknown > 0 {
            say(format!(
                "{name}: some of its checksums are neither BLAKE3 nor SHA-256\n  `cksum -c` verifies those"
            ));
        } else if differ > 0 && agree + tagged == 0 {
            say(format!(
                "{name}: none of its checksums is the {is} one\n  if another tool has made it: --algorithm {other_option}"
            ));
        }
        if is_sound && !status {
            let warnings = [
                (malformed, "line is improperly formatted", "lines are improperly formatted"),
                (unreadable, "listed file could not be read", "listed files could not be read"),
                (differ, "computed checksum did NOT match", "computed checksums did NOT match"),
            ];
            for (count, one, several) in warnings {
                match count {
                    0 => {}
                    1 => say(format!("WARNING: 1 {one}")),
                    _ => say(format!("WARNING: {count} {several}")),
                }
            }
            if ignore_missing && agree == 0 {
                say(format!("{name}: no file was verified"));
            }
        }
        let every_line_counts = strict || self.usual() == Algorithm::Blake3;
        total.failed |= agree == 0 || differ + unreadable > 0 || (every_line_counts && malformed > 0);
    }
}

impl Job for Check {
    type Task = Chunk;
    type Partial = Partial;
    type Total = Total;

    fn name(&self) -> &str {
        "digest --check"
    }

    fn fingerprint(&self) -> Value {
        json!({ "algorithm": self.only, "options": self.options })
    }

    /// The files may have changed since the last time: that is the question.
    fn is_about_now(&self) -> bool {
        true
    }

    fn run(&self, chunk: Chunk, cx: &Context<'_>) -> Result<Partial, TaskError> {
        let index = chunk.file_index;
        let mut partial = Partial { list: index, ..Partial::default() };
        let mut out = Vec::new();
        let mut list = Vec::new();
        // The whole block first: while files are read, the buffer for pieces belongs to them.
        let mut pieces = chunk.pieces()?;
        while let Some(piece) = pieces.next_piece()? {
            if list.try_reserve(piece.len()).is_err() {
                let how = format_args!("has a line of {} bytes, and there is no memory for it", piece.len());
                return Err(Error::broken(self.list(index), how)
                    .advise("see whether it is a list of checksums")
                    .into());
            }
            list.extend_from_slice(piece);
        }
        let mut text = list.as_slice();
        if chunk.first_in_file {
            partial.tally.utf16 = is_utf16(text);
            text = without_mark(text);
        }
        let is_standard_input = self.lists.get(index).is_some_and(|list| list == Path::new("-"));
        for line in text.split_inclusive(|&byte| byte == b'\n') {
            partial.lines += 1;
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let entry = match parse(line, self.only) {
                // It cannot be the list and what is in it.
                Line::Entry(entry) if !(is_standard_input && entry.path == Path::new("-")) => entry,
                line @ (Line::Entry(_) | Line::Other(_) | Line::Unknown | Line::Malformed) => {
                    partial.tally.malformed += 1;
                    partial.tally.other += u64::from(matches!(line, Line::Other(_)));
                    partial.tally.unknown += u64::from(matches!(line, Line::Unknown));
                    if self.options.warn {
                        partial.malformed.push(partial.lines);
                    }
                    continue;
                }
            };
            let verdict = self.entry(&entry, cx, &mut partial)?;
            if !verdict.is_empty() {
                out.extend_from_slice(&names::for_terminal(entry.path.as_os_str().as_bytes()));
                out.extend_from_slice(format!(": {verdict}\n").as_bytes());
            }
        }
        cx.emit(out)?;
        Ok(partial)
    }

    fn fold(&self, total: &mut Total, partial: Partial, _out: &mut Vec<u8>) {
        let Partial { list, tally, lines, malformed, complaints } = partial;
        if total.open.is_some_and(|open| open != list) {
            self.sum_up(total);
        }
        total.open = Some(list);
        let improper = match self.only {
            None => "improperly formatted checksum line",
            Some(Algorithm::Blake3) => "improperly formatted BLAKE3 checksum line",
            Some(Algorithm::Sha256) => "improperly formatted SHA256 checksum line",
        };
        let malformed =
            malformed.iter().map(|line| format!("{}: {}: {improper}", self.list(list), total.lines + line));
        let single: Vec<String> = malformed.chain(complaints).collect();
        total.singles += single.len() as u64;
        Complaints::keep_first(&mut total.single, single);
        total.lines += lines;
        let sum = &mut total.tally;
        sum.agree += tally.agree;
        sum.differ += tally.differ;
        sum.unreadable += tally.unreadable;
        sum.malformed += tally.malformed;
        sum.missing += tally.missing;
        sum.other += tally.other;
        sum.unknown += tally.unknown;
        sum.tagged += tally.tagged;
        sum.utf16 |= tally.utf16;
    }

    fn finish(&self, total: &mut Total, _out: &mut Vec<u8>) {
        self.sum_up(total);
        self.complaints.make(&total.single, total.singles);
        for sentence in &total.said {
            self.complaints.say(sentence.clone());
        }
    }

    fn verdict(&self, total: &Total) -> u8 {
        if total.failed { FINISHED_WITH_FAILURES } else { FINISHED }
    }
}
