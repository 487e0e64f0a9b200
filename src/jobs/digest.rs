//! `digest`: a checksum of every file, in the format of `b3sum` and `sha256sum`.
//!
//! **One huge file.** SHA-256 is a chain: each block needs the one before, so a file is one task. BLAKE3 is a tree: the
//! file is cut into parts of a power of two bytes, each worker computes the *chaining value* of a part as if it stood at its
//! place in the tree, and the fold merges them in order, left with right, as soon as both are there. A stack of at most 64
//! values waits to be merged. It is part of the total, so a run that is continued goes on inside the file.
//!
//! **Many small files.** Each worker reads them into a buffer that it keeps: for some kilobytes a mapping costs more than
//! twice as much.

use crate::jobs::complaints::Complaints;
use crate::jobs::names;
use crate::jobs::wording::worded;
use bivouac::ending::{FINISHED, FINISHED_WITH_FAILURES};
use bivouac::error::{Error, Kind};
use bivouac::input::{Entry, InputFile, PIECE, Pieces, Portion, Stream};
use bivouac::{Context, Job, TaskError};
use blake3::hazmat::{ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Algorithm {
    /// As `b3sum` computes it
    Blake3,
    /// As `sha256sum` computes it
    #[value(aliases = ["256", "sha-256"])]
    Sha256,
}

/// A checksum that grows with what it is given.
pub(crate) enum Hasher {
    Blake3(Box<blake3::Hasher>),
    Sha256(Sha256),
}

impl Algorithm {
    pub(crate) fn hasher(self) -> Hasher {
        match self {
            Algorithm::Blake3 => Hasher::Blake3(Box::default()),
            Algorithm::Sha256 => Hasher::Sha256(Sha256::new()),
        }
    }

    fn hash(self, bytes: &[u8]) -> String {
        match self {
            Algorithm::Blake3 => blake3::hash(bytes).to_hex().to_string(),
            Algorithm::Sha256 => base16ct::lower::encode_string(&Sha256::digest(bytes)),
        }
    }

    /// Into parts of which size large files are cut: a power of two, so that parts are subtrees.
    pub(crate) fn part(self, bytes_per_second: Option<u64>) -> Option<u64> {
        match self {
            Algorithm::Sha256 => None,
            Algorithm::Blake3 => Some(1 << task_bytes(bytes_per_second).ilog2()),
        }
    }
}

/// How many bytes make a task. With a rate limit fewer, so that a task takes about a quarter second.
pub(crate) fn task_bytes(bytes_per_second: Option<u64>) -> u64 {
    const USUAL: u64 = 16 << 20;
    const LEAST: u64 = 64 << 10;
    bytes_per_second.map_or(USUAL, |rate| (rate / 4).clamp(LEAST, USUAL))
}

impl Hasher {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Blake3(hasher) => drop(hasher.update(bytes)),
            Hasher::Sha256(hasher) => hasher.update(bytes),
        }
    }

    pub(crate) fn finish(self) -> String {
        match self {
            Hasher::Blake3(hasher) => hasher.finalize().to_hex().to_string(),
            Hasher::Sha256(hasher) => base16ct::lower::encode_string(&hasher.finalize()),
        }
    }
}

/// The checksum of a whole file, up to the size that it had when it was listed. If the file grew meanwhile, the checksum is
/// computed once more. If both are equal, the file was only appended to, as a log is. If not, the first one mixed bytes of
/// two moments.
pub(crate) fn hash_file(
    file: &InputFile,
    algorithm: Algorithm,
    cx: &Context<'_>,
) -> Result<String, TaskError> {
    let hash = hash_once(file, algorithm, cx)?;
    if !file.was_seen_growing() || hash_once(file, algorithm, cx)? == hash {
        return Ok(hash);
    }
    let how = "grew while it was read, and what was in it has changed";
    Err(Error::refused(file.path().display(), how)
        .advise("let the file rest, and run the same command again")
        .into())
}

fn hash_once(file: &InputFile, algorithm: Algorithm, cx: &Context<'_>) -> Result<String, TaskError> {
    let size = file.identity().size;
    let mut pieces = Pieces::of_file(file, 0..size);
    // Given all at once, BLAKE3 fills the processor's vectors better than piece by piece.
    let (mut all_at_once, mut hasher) = (None, None);
    while let Some(piece) = pieces.next_piece()? {
        cx.advance(piece.len() as u64)?;
        if piece.len() as u64 == size {
            all_at_once = Some(algorithm.hash(piece));
        } else {
            hasher.get_or_insert_with(|| algorithm.hasher()).update(piece);
        }
    }
    Ok(match hasher {
        Some(hasher) => hasher.finish(),
        None => all_at_once.unwrap_or_else(|| algorithm.hash(&[])),
    })
}

/// The job. Its source: [`Tree`](bivouac::input::Tree), with parts as [`Algorithm::part`] says.
#[derive(Debug)]
pub(crate) struct Digest {
    algorithm: Algorithm,
    style: Style,
    terms: Terms,
    complaints: Complaints,
}

/// When a file without a checksum is left out, and when it ends the run.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// Whether a file without a checksum is left out in any case. Otherwise an error of the machine, not of the file, ends
    /// the run, and the next run goes on with this file.
    pub(crate) keeps_going: bool,
    /// Whether the list goes into a file, and must be complete. Then an error of the file itself also ends the run.
    pub(crate) whole: bool,
    /// Whether a file that changes between listing and reading is refused (`--verify-inputs`).
    pub(crate) strict: bool,
    /// Paths that were given. A list in a file must not lack one of those.
    pub(crate) given: BTreeSet<PathBuf>,
}

impl Terms {
    fn may_lack(&self, error: &Error) -> bool {
        self.keeps_going || (!self.whole && !error.may_pass())
    }

    fn may_change(&self, path: &Path) -> bool {
        !self.strict && (self.keeps_going || !self.whole || !self.given.contains(path))
    }
}

/// Files without a checksum.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Unread {
    complaints: Vec<String>,
    /// One of them might be read the next time.
    passing: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Partial {
    /// Whole files, whose lines were emitted.
    Files { unread: Unread },
    /// A part of a file: its chaining value; and, if it is the last, the name of the file.
    Subtree { number: u64, value: [u8; 32], last: Option<Vec<u8>> },
    /// A part that could not be read, and whether it is the last of its file.
    Unread { complaint: String, passing: bool, last: bool },
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Total {
    /// Chaining values of the file at hand that wait for a right neighbour, the leftmost first.
    stack: Vec<[u8; 32]>,
    /// Why the file at hand has no checksum: the first of its parts that could not be read.
    #[serde(default)]
    spoiled: Option<String>,
    complaints: Vec<String>,
    failed: u64,
    /// Whether the next run might read a file that this one could not read.
    #[serde(default)]
    passing: bool,
}

impl Unread {
    fn add(&mut self, passing: bool, complaint: String) {
        self.passing |= passing;
        self.complaints.push(complaint);
    }
}

fn may_pass(error: &TaskError) -> bool {
    matches!(error, TaskError::Fatal(error) if error.may_pass())
}

impl Total {
    /// After the last part of a file that could not be read whole.
    fn give_the_file_up(&mut self) {
        self.stack.clear();
        self.failed += 1;
        Complaints::keep_first(&mut self.complaints, self.spoiled.take().into_iter().collect());
    }
}

impl Digest {
    pub(crate) fn new(algorithm: Algorithm, style: Style, terms: Terms, complaints: Complaints) -> Self {
        Self { algorithm, style, terms, complaints }
    }

    fn write_line(&self, hash: &str, path: &Path, out: &mut Vec<u8>) {
        self.style.write_line(self.algorithm, hash, path, out);
    }

    /// The complaint about a file that cannot be read as it was listed; an error if the run must not go on without it.
    fn complain(&self, path: &Path, error: TaskError) -> Result<String, TaskError> {
        let TaskError::Fatal(error) = error else { return Err(error) };
        let is_broken = error.kind() == Kind::Broken;
        if is_broken && self.terms.may_lack(&error) {
            return Ok(worded(&error));
        }
        // In a tree that is in use files come and go; each of them is one line less.
        if error.kind() == Kind::Refused && self.terms.may_change(path) {
            return Ok(format!("{}; it is left out", error.sentence()));
        }
        Err(TaskError::Fatal(if is_broken { error.or_left_out() } else { error }))
    }

    fn files(&self, entries: Vec<Entry>, cx: &Context<'_>) -> Result<Partial, TaskError> {
        let (mut lines, mut unread) = (Vec::new(), Unread::default());
        for entry in entries {
            match entry {
                Entry::Unreadable { why, .. } => unread.add(why.may_pass(), worded(&why)),
                Entry::Stream(stream) => {
                    let path = stream.path().to_path_buf();
                    self.write_line(&hash_stream(stream, self.algorithm.hasher(), cx)?, &path, &mut lines);
                }
                Entry::File(file) => match hash_file(&file, self.algorithm, cx) {
                    Ok(hash) => self.write_line(&hash, file.path(), &mut lines),
                    Err(error) => {
                        let passing = may_pass(&error);
                        unread.add(passing, self.complain(file.path(), error)?);
                    }
                },
            }
        }
        cx.emit(lines)?;
        Ok(Partial::Files { unread })
    }

    /// A part of a file. As with a whole one, a part that cannot be read is only reported.
    fn part(&self, file: &InputFile, range: Range<u64>, cx: &Context<'_>) -> Result<Partial, TaskError> {
        let last = range.end == file.identity().size;
        self.value_of(file, range, cx).or_else(|error| {
            let passing = may_pass(&error);
            Ok(Partial::Unread { complaint: self.complain(file.path(), error)?, passing, last })
        })
    }

    /// The chaining value of one part, which is a subtree: its length is a power of two, or it is the last one; and it begins
    /// at a multiple of that length.
    fn value_of(&self, file: &InputFile, range: Range<u64>, cx: &Context<'_>) -> Result<Partial, TaskError> {
        let mut hasher = blake3::Hasher::new();
        hasher.set_input_offset(range.start);
        let mut pieces = Pieces::of_file(file, range.clone());
        while let Some(piece) = pieces.next_piece()? {
            cx.advance(piece.len() as u64)?;
            hasher.update(piece);
        }
        let value = hasher.finalize_non_root();
        let is_last = range.end == file.identity().size;
        let length = range.end - range.start;
        // It counts parts of the usual size. Only the last one may be shorter, and its number does not matter.
        let number = if is_last { 0 } else { range.start / length };
        let last = is_last.then(|| file.path().as_os_str().as_bytes().to_vec());
        Ok(Partial::Subtree { number, value, last })
    }
}

pub(crate) fn hash_stream(
    mut stream: Stream,
    mut hasher: Hasher,
    cx: &Context<'_>,
) -> Result<String, TaskError> {
    let mut buffer = vec![0; PIECE];
    loop {
        match stream.read(&mut buffer, cx)? {
            0 => return Ok(hasher.finish()),
            got => {
                cx.advance(got as u64)?;
                hasher.update(&buffer[..got]);
            }
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Style {
    /// `SHA256 (NAME) = HASH`.
    pub(crate) tag: bool,
    /// A line ends with a zero byte, and no name is escaped.
    pub(crate) zero: bool,
}

impl Style {
    /// `HASH  NAME`, with a backslash in front if the name had to be escaped.
    fn write_line(self, algorithm: Algorithm, hash: &str, path: &Path, out: &mut Vec<u8>) {
        let path = path.as_os_str().as_bytes();
        let (name, escaped) = if self.zero { (path.into(), false) } else { names::escape(path) };
        if escaped {
            out.push(b'\\');
        }
        let parts: [&[u8]; 4] = match (self.tag, algorithm) {
            (false, _) => [hash.as_bytes(), b"  ", &name, b""],
            (true, Algorithm::Sha256) => [b"SHA256 (", &name, b") = ", hash.as_bytes()],
            (true, Algorithm::Blake3) => [b"BLAKE3 (", &name, b") = ", hash.as_bytes()],
        };
        out.extend_from_slice(&parts.concat());
        out.push(if self.zero { 0 } else { b'\n' });
    }
}

/// Puts the next part on the stack, and merges complete subtrees: after part number *n*, one merge for every trailing zero
/// of *n* + 1. The last two values of a file are merged into the root, in another way; another part follows this one.
fn push(stack: &mut Vec<[u8; 32]>, number: u64, mut value: ChainingValue) {
    for _ in 0..(number + 1).trailing_zeros() {
        let Some(left) = stack.pop() else { break };
        value = merge_subtrees_non_root(&left, &value, Mode::Hash);
    }
    stack.push(value);
}

/// The last part: everything that waits is to its left.
fn root(stack: &mut Vec<[u8; 32]>, mut value: ChainingValue) -> blake3::Hash {
    while let Some(left) = stack.pop() {
        if stack.is_empty() {
            return merge_subtrees_root(&left, &value, Mode::Hash);
        }
        value = merge_subtrees_non_root(&left, &value, Mode::Hash);
    }
    // A file is cut only if it has more than one part, so something was on the stack.
    blake3::Hash::from_bytes(value)
}

impl Job for Digest {
    type Task = Portion;
    type Partial = Partial;
    type Total = Total;

    fn name(&self) -> &str {
        "digest"
    }

    fn fingerprint(&self) -> Value {
        match self.style == Style::default() {
            true => json!({ "algorithm": self.algorithm }),
            false => json!({ "algorithm": self.algorithm, "style": self.style }),
        }
    }

    fn run(&self, portion: Portion, cx: &Context<'_>) -> Result<Partial, TaskError> {
        match portion {
            Portion::Files(entries) => self.files(entries, cx),
            Portion::Part { file, range } => self.part(&file, range, cx),
        }
    }

    fn fold(&self, total: &mut Total, partial: Partial, out: &mut Vec<u8>) {
        match partial {
            Partial::Files { unread: Unread { complaints, passing } } => {
                total.passing |= passing;
                total.failed += complaints.len() as u64;
                Complaints::keep_first(&mut total.complaints, complaints);
            }
            Partial::Unread { complaint, passing, last } => {
                total.passing |= passing;
                total.spoiled.get_or_insert(complaint);
                if last {
                    total.give_the_file_up();
                }
            }
            Partial::Subtree { last: Some(_), .. } if total.spoiled.is_some() => total.give_the_file_up(),
            Partial::Subtree { .. } if total.spoiled.is_some() => {}
            Partial::Subtree { number, value, last: None } => push(&mut total.stack, number, value),
            Partial::Subtree { value, last: Some(name), .. } => {
                let hash = root(&mut total.stack, value).to_hex();
                self.write_line(&hash, Path::new(OsStr::from_bytes(&name)), out);
            }
        }
    }

    fn finish(&self, total: &mut Total, _out: &mut Vec<u8>) {
        self.complaints.make(&total.complaints, total.failed);
    }

    fn is_final(&self, total: &Total) -> bool {
        !total.passing
    }

    fn verdict(&self, total: &Total) -> u8 {
        if total.failed == 0 { FINISHED } else { FINISHED_WITH_FAILURES }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash_in_parts(bytes: &[u8], part: usize) -> blake3::Hash {
        let mut stack = Vec::new();
        let parts: Vec<&[u8]> = bytes.chunks(part).collect();
        let (last, others) = parts.split_last().unwrap();
        let value = |number: usize, bytes: &[u8]| {
            let mut hasher = blake3::Hasher::new();
            hasher.set_input_offset((number * part) as u64);
            hasher.update(bytes).finalize_non_root()
        };
        for (number, bytes) in others.iter().enumerate() {
            push(&mut stack, number as u64, value(number, bytes));
        }
        root(&mut stack, value(others.len(), last))
    }

    #[test]
    fn parts_merge_to_the_hash_of_the_whole() {
        let bytes: Vec<u8> = (0..40 * 1024 + 17).map(|i| (i * 31 % 251) as u8).collect();
        for length in (1025..bytes.len()).step_by(1021).chain([2048, 4096, 8192, 8193, 32768, bytes.len()]) {
            for part in [1024, 2048, 8192] {
                if length > part {
                    let whole = blake3::hash(&bytes[..length]);
                    assert_eq!(hash_in_parts(&bytes[..length], part), whole, "{length} in parts of {part}");
                }
            }
        }
    }

    #[test]
    fn a_file_of_which_a_part_cannot_be_read_has_no_line_and_the_next_one_has_its_own() {
        let terms = Terms { keeps_going: true, whole: false, strict: false, given: BTreeSet::new() };
        let job = Digest::new(Algorithm::Blake3, Style::default(), terms, Complaints::default());
        let value = |bytes: &[u8], offset| {
            blake3::Hasher::new().set_input_offset(offset).update(bytes).finalize_non_root()
        };
        let (one, two) = ([1; 1024], [2; 100]);
        let first = || Partial::Subtree { number: 0, value: value(&one, 0), last: None };
        let end =
            |name: &[u8]| Partial::Subtree { number: 0, value: value(&two, 1024), last: Some(name.to_vec()) };
        let unread = |last| Partial::Unread { complaint: format!("unread {last}"), passing: false, last };
        let bad = || end(b"bad");
        for parts in [[unread(false), bad()], [first(), unread(true)], [unread(false), unread(true)]] {
            let (mut total, mut out) = (Total::default(), Vec::new());
            for partial in parts.into_iter().chain([first(), end(b"good")]) {
                job.fold(&mut total, partial, &mut out);
            }
            let whole = blake3::hash(&[&one[..], &two[..]].concat());
            assert_eq!(String::from_utf8(out).unwrap(), format!("{whole}  good\n"));
            assert_eq!(
                (total.failed, total.complaints.len(), job.verdict(&total)),
                (1, 1, FINISHED_WITH_FAILURES)
            );
        }
    }

    #[test]
    fn a_name_that_needs_it_is_escaped_as_the_other_tools_do() {
        let mut line = Vec::new();
        let path = Path::new("a\\b\nc");
        Style::default().write_line(Algorithm::Blake3, "00", path, &mut line);
        Style { tag: true, zero: false }.write_line(Algorithm::Sha256, "00", path, &mut line);
        Style { tag: true, zero: true }.write_line(Algorithm::Blake3, "00", path, &mut line);
        assert_eq!(line, b"\\00  a\\\\b\\nc\n\\SHA256 (a\\\\b\\nc) = 00\nBLAKE3 (a\\b\nc) = 00\0");
    }

    #[test]
    fn parts_are_powers_of_two() {
        for rate in [None, Some(1), Some(1_000_000), Some(u64::MAX)] {
            assert!(Algorithm::Blake3.part(rate).unwrap().is_power_of_two());
        }
        assert_eq!(Algorithm::Sha256.part(None), None);
    }
}
