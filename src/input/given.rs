//! The inputs as they were given: looked at before anything is touched, compared with the record
//! when a job is continued.
//!
//! Every source that lists files by position needs the same three things of them: what each one is,
//! how large a block should be for all of them together, and whether the one that is there now may
//! pass for the one that was there then.

use super::file::InputFile;
use super::growing::Growing;
use super::identity::{Comparison, Facts, Identity};
use super::left_out::{LeftOut, Readable};
use super::once::Share;
use super::sample::Sample;
use super::stream::Stream;
use crate::error::{Error, Kind, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) const MIB: u64 = 1 << 20;
/// Below this, the cost of a task (10 µs) would show.
const SMALLEST_BLOCK: u64 = 64 << 10;

/// What is known of all inputs together before the first is read. The same in a resumed run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inputs {
    /// How many there are.
    pub count: usize,
    /// The sizes of those that are regular files.
    pub regular_bytes: u64,
    /// Whether all of them are regular files.
    pub all_regular: bool,
}

impl Inputs {
    /// So many, and what is left out besides them; as `wc` takes it into account for the width of columns.
    pub fn besides(count: usize, left_out: &[LeftOut]) -> Self {
        Self {
            count: count + left_out.len(),
            regular_bytes: left_out.iter().map(|left_out| left_out.bytes).sum(),
            all_regular: !left_out.iter().any(|left_out| left_out.is_directory),
        }
    }
}

/// What one of the paths turned out to be.
#[derive(Debug)]
pub(super) enum Input {
    Regular(Regular),
    Stream(Share),
}

/// A regular file: what it was when the job began, by which it is cut, and what it is now.
#[derive(Clone, Debug)]
pub(super) struct Regular {
    pub(super) identity: Identity,
    seen: Facts,
    sample: Option<Sample>,
}

impl Regular {
    fn new(identity: Identity) -> Self {
        Self { seen: identity.facts(), identity, sample: None }
    }

    /// To be read, as far as it went when the job began.
    pub(super) fn open(&self) -> InputFile {
        InputFile::seen_as(self.identity.clone(), self.seen)
    }

    /// The same for tasks, as number `index` of the inputs: should it grow under them, that is noted.
    pub(super) fn open_for_tasks(&self, index: usize, growing: &Growing, compared: bool) -> Arc<InputFile> {
        Arc::new(self.open().noting(index, growing, self.sample.clone()).compared(compared))
    }
}

impl Input {
    /// Opens `path` once. What cannot be read is found here.
    pub(super) fn look_at(path: &Path) -> Result<Self> {
        if Stream::is_stream(path) {
            return Stream::open(path).map(|stream| Input::Stream(Share::new(stream)));
        }
        InputFile::look_at(path).map(|file| Input::Regular(Regular::new(file.identity().clone())))
    }

    pub(super) fn identity(&self) -> Option<&Identity> {
        match self {
            Input::Regular(regular) => Some(&regular.identity),
            Input::Stream(_) => None,
        }
    }

    pub(super) fn is_stream(&self) -> bool {
        matches!(self, Input::Stream(_))
    }

    pub(super) fn size(&self) -> u64 {
        self.identity().map_or(0, |identity| identity.size)
    }
}

/// One of `parts` of all input, between 1 MiB and `most`: enough tasks for an even end, each long enough
/// not to feel its overhead. Under a rate limit (bytes per second), small enough to last a quarter of
/// a second at most.
pub(super) fn default_block(inputs: &[Input], parts: u64, most: u64, limit_rate: Option<u64>) -> u64 {
    let total: u64 = inputs.iter().map(Input::size).sum();
    let block = (total / parts).clamp(MIB, most).next_multiple_of(SMALLEST_BLOCK);
    match limit_rate {
        Some(rate) => block.min((rate / 4).max(SMALLEST_BLOCK)),
        None => block,
    }
}

/// An empty file has a task too, or it would be missing from the result.
pub(super) fn blocks_in(size: u64, block: u64) -> u64 {
    size.div_ceil(block).max(1)
}

/// What is advised where one of several inputs cannot be read.
pub(super) const UNLESS: &str = "nothing was done; with --keep-going it is left out";

/// An input that cannot be read is no reason to do nothing, if there are others; but a result in a file is
/// whole, unless that was asked for.
pub(super) fn of_several(paths: &[PathBuf], error: Error) -> Error {
    let these = Readable::among(paths);
    match error.kind() == Kind::Usage && !these.left_out.is_empty() && !these.files.is_empty() {
        true => error.advise(UNLESS),
        false => error,
    }
}

pub(super) fn streams_refused(subject: &Path) -> Error {
    Error::refused(subject.display(), "is a stream, and a stream cannot be read twice")
        .advise("a job on a stream cannot be continued; use --fresh to start over")
}

/// As many inputs as the record knows.
pub(super) fn same_number(given: usize, stored: usize) -> Result<()> {
    if given == stored {
        return Ok(());
    }
    Err(Error::refused("the inputs", format_args!("{given} were given, the state is about {stored}"))
        .advise("use --fresh to start over"))
}

/// Takes a sample of every file among the inputs.
pub(super) fn take_samples(inputs: &mut [Input]) -> Result<()> {
    let files = inputs.iter().filter(|input| !input.is_stream()).count();
    for input in inputs {
        if let Input::Regular(regular) = input {
            regular.sample = Some(Sample::of(&regular.open(), files)?);
        }
    }
    Ok(())
}

/// Those samples, in the order of the files.
pub(super) fn samples(inputs: &[Input]) -> Vec<Sample> {
    let sample = |input: &Input| match input {
        Input::Regular(regular) => regular.sample.clone(),
        Input::Stream(_) => None,
    };
    inputs.iter().filter_map(sample).collect()
}

/// What the record has of a file besides its identity.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'a> {
    /// A record of an earlier version has none.
    pub(super) sample: Option<&'a Sample>,
    /// What is done of its contents is compared by who lists it.
    pub(super) contents: bool,
}

/// What is said of a file that one may go on with.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) sentences: Vec<String>,
    /// Files that look otherwise, and may have what they had.
    pub(super) doubtful: Vec<PathBuf>,
    /// One of them is longer than it was.
    pub(super) has_more: bool,
}

/// Whether the file that is there `now` may pass for the one that the record knows. It is then cut by
/// what it was at that time.
pub(super) fn adopt(now: &Regular, stored: Identity, known: Known<'_>, said: &mut Said) -> Result<Regular> {
    let path = now.identity.path.as_path();
    if path != stored.path {
        return Err(another_path(&now.identity, &stored));
    }
    let adopted = Regular { identity: stored, seen: now.seen, sample: known.sample.cloned() };
    let stored = adopted.identity.facts();
    let two_inputs = |how: &str| {
        Error::refused(path.display(), how)
            .advise("the output would be of two different inputs; use --fresh to start over")
    };
    let how = match stored.compare(now.seen) {
        Comparison::Same => return Ok(adopted),
        Comparison::Grew => format!("grew from {} to {} bytes", stored.size, now.seen.size),
        // Of what is shorter, some that was to be read is not there.
        Comparison::Changed(how) if !known.contents || now.seen.size < stored.size => {
            return Err(two_inputs(&format!("{how} since the job began")));
        }
        Comparison::Changed(how) => how,
    };
    let is_longer = now.seen.size > stored.size;
    if let (true, Some(sample)) = (is_longer, known.sample)
        && !sample.is_still_in(&adopted.open())?
    {
        return Err(two_inputs("is longer than when the job began, and what was in it has changed"));
    }
    let then = if is_longer { "it is processed to its old size" } else { "what is in it is compared" };
    said.sentences.push(format!("{}: {how} since the job began; {then}", path.display()));
    said.doubtful.push(path.to_path_buf());
    said.has_more |= is_longer;
    Ok(adopted)
}

fn another_path(now: &Identity, stored: &Identity) -> Error {
    let problem = Error::refused(now.path.display(), "is not the input that the state is about");
    let then = stored.path.display();
    match stored.compare(now) == Comparison::Same {
        // A name can be in the output, so it is not for us to say that they mean the same.
        true => problem.advise(format_args!(
            "it is the same file by another name: call it {then}, as the job was begun"
        )),
        false => problem.advise(format_args!("that one is {then}; use --fresh to start over")),
    }
}

/// Whether contents are compared in a job that is continued: as it was begun.
///
/// # Errors
///
/// They are to be, and the record knows nothing of them.
pub(super) fn contents_as_begun(wanted: bool, stored: bool) -> Result<bool> {
    if wanted && !stored {
        return Err(Error::refused(
            "the state",
            "has no digests of the inputs: the job was begun without --verify-inputs",
        )
        .advise("leave the option out (then sizes and times are compared), or use --fresh to start over"));
    }
    Ok(stored)
}

/// What is said to a person who waits for it.
pub(super) fn reads_again() -> String {
    "what is done of the inputs is read again and compared by digest (--verify-inputs)".to_string()
}

/// For the message that contents are not what they were. If some files look otherwise, it is one of them.
pub(super) fn other_contents<'a>(all: &'a [PathBuf], doubtful: &'a [PathBuf]) -> String {
    let names = if doubtful.is_empty() { all } else { doubtful };
    let text = |names: &[PathBuf]| names.iter().map(|path| named(path)).collect::<Vec<_>>().join(", ");
    match names {
        [only] => format!("what is in {} is not what the last run read: it differs", named(only)),
        [_, _, _, _, ..] => {
            format!("what is in one of {} files is not what the last run read: it differs", names.len())
        }
        few => format!("what is in one of {} is not what the last run read: it differs", text(few)),
    }
}

/// For a person.
pub(super) fn named(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_string() } else { path.display().to_string() }
}
