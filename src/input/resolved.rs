//! The inputs as they were given, resolved: what each path turned out to be.
//!
//! They are looked at before anything is touched. Every source that lists files by position needs three
//! things: whether each path is a file or a stream, how large a block must be for all together, and the
//! [`Witness`] of each file.

use super::file::InputFile;
use super::left_out::{LeftOut, Readable};
use super::once::{Share, Streams};
use super::packed::{Decompress, Format};
use super::path_text::named;
use super::stream::Stream;
use super::witness::Witness;
use super::witness::sample::Sample;
use crate::error::{Advice, Error, Kind, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

pub(super) const MIB: u64 = 1 << 20;
/// Below this, the cost of a task (10 µs) would show.
const SMALLEST_BLOCK: u64 = 64 << 10;

/// The inputs all together, as known before the first is read. The same in a resumed run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[doc(hidden)]
pub struct Inputs {
    /// How many there are.
    pub count: usize,
    /// The sizes of those that are regular files.
    pub regular_bytes: u64,
    /// Whether all of them are regular files.
    pub all_regular: bool,
}

impl Inputs {
    /// As many as `count`, and those that were left out: `wc` counts them too for the width of its columns.
    pub fn besides(count: usize, left_out: &[LeftOut]) -> Self {
        Self {
            count: count + left_out.len(),
            regular_bytes: left_out.iter().map(|left_out| left_out.bytes).sum(),
            all_regular: !left_out.iter().any(|left_out| left_out.is_directory),
        }
    }
}

/// One of the paths, as it was found.
#[derive(Debug)]
pub(super) enum Input {
    Regular(Witness),
    /// A regular file that is decompressed.
    Packed(Witness, Format),
    Stream(Share),
}

impl Input {
    fn look_at(path: &Path, decompress: Decompress) -> Result<Self> {
        if Stream::is_stream(path) {
            return Stream::open(path).map(|stream| Input::Stream(Share::new(stream)));
        }
        let witness = InputFile::look_at(path)?.witness.clone();
        Ok(match decompress.format_of(path)? {
            Some(format) => Input::Packed(witness, format),
            None => Input::Regular(witness),
        })
    }

    pub(super) fn is_stream(&self) -> bool {
        matches!(self, Input::Stream(_))
    }

    pub(super) fn size(&self) -> u64 {
        match self {
            Input::Regular(witness) | Input::Packed(witness, _) => witness.identity.size,
            Input::Stream(_) => 0,
        }
    }
}

/// Opens every input, for one more listing. A path that cannot be read is found here, before anything is touched.
pub(super) fn look_at_all(
    paths: &[PathBuf],
    decompress: Decompress,
    streams: &Streams,
) -> Result<Vec<Input>> {
    let look_at = |(i, path): (usize, &PathBuf)| {
        if let Some(share) = streams.share(i)? {
            return Ok(Input::Stream(share));
        }
        let input = Input::look_at(path, decompress)?;
        if let Input::Stream(share) = &input {
            streams.keep(i, share);
        }
        Ok(input)
    };
    let inputs = paths.iter().enumerate().map(look_at).collect::<Result<_>>();
    inputs.map_err(|error| of_several(paths, error))
}

/// Takes samples of every file among the inputs, for a job that begins.
pub(super) fn take_samples(inputs: Vec<Input>, by_contents: bool) -> Result<Vec<Input>> {
    let files = inputs.iter().filter(|input| !input.is_stream()).count();
    let take = |input| match input {
        Input::Regular(witness) => witness.by_contents(by_contents).sampled(files).map(Input::Regular),
        Input::Packed(witness, format) => {
            witness.by_contents(by_contents).sampled(files).map(|witness| Input::Packed(witness, format))
        }
        Input::Stream(_) => Ok(input),
    };
    inputs.into_iter().map(take).collect()
}

pub(super) fn samples(inputs: &[Input]) -> Vec<Sample> {
    let sample = |input: &Input| match input {
        Input::Regular(witness) | Input::Packed(witness, _) => witness.sample.as_deref().cloned(),
        Input::Stream(_) => None,
    };
    inputs.iter().filter_map(sample).collect()
}

/// `1 / parts` of all input, between 1 MiB and `most`: enough tasks for an even end, each long enough not
/// to feel its overhead. At a rate limit (bytes per second), it lasts a quarter of a second at most.
pub(super) fn default_block(inputs: &[Input], parts: f64, most: u64, limit_rate: Option<u64>) -> u64 {
    let total: u64 = inputs.iter().map(Input::size).sum();
    let block = ((total as f64 / parts) as u64).clamp(MIB, most).next_multiple_of(SMALLEST_BLOCK);
    match limit_rate {
        Some(rate) => block.min((rate / 4).max(SMALLEST_BLOCK)),
        None => block,
    }
}

/// An empty file has a task too, or it would be missing from the result.
pub(super) fn blocks_in(size: u64, block: u64) -> u64 {
    size.div_ceil(block).max(1)
}

/// The advice where one of several inputs cannot be read.
pub(super) fn unless_left_out(error: Error) -> Error {
    error.advise("nothing was done").then(Advice::LeaveOut)
}

/// One unreadable input is no reason to leave out the others. But a result in a file is whole by default.
fn of_several(paths: &[PathBuf], error: Error) -> Error {
    let these = Readable::among(paths);
    match error.kind() == Kind::Usage && !these.left_out.is_empty() && !these.files.is_empty() {
        true => unless_left_out(error),
        false => error,
    }
}

pub(super) fn streams_refused(subject: &Path) -> Error {
    Error::refused(subject.display(), "is a stream, and a stream cannot be read twice")
        .advise("a job on a stream cannot be continued")
        .then(Advice::StartAfresh)
}

pub(super) fn same_number(given: usize, stored: usize) -> Result<()> {
    if given == stored {
        return Ok(());
    }
    Err(Error::refused("the inputs", format_args!("{given} were given, the state is about {stored}"))
        .advise(Advice::StartAfresh))
}

/// Whether contents are compared in a job that is continued: as it was begun. The user cannot start it later.
pub(super) fn contents_as_begun(wanted: bool, stored: bool) -> Result<bool> {
    if wanted && !stored {
        return Err(Error::refused(
            "the state",
            "has no digests of the inputs: the job was begun without them",
        )
        .advise(Advice::CompareByTimes)
        .or(Advice::StartAfresh));
    }
    Ok(stored)
}

/// Told to a person who waits for it.
pub(super) const READS_AGAIN: &str = "what is done of the inputs is read again and compared by digest";

/// The message that contents are not what they were. If some files look otherwise, it is one of them.
pub(super) fn other_contents<'a>(all: &'a [PathBuf], doubtful: &'a [PathBuf]) -> String {
    let names = if doubtful.is_empty() { all } else { doubtful };
    let of = match names {
        [only] => named(only),
        [_, _, _, _, ..] => format!("one of {} files", names.len()),
        few => {
            let few: Vec<_> = few.iter().map(|path| named(path)).collect();
            format!("one of {}", few.join(", "))
        }
    };
    format!("{of} is not what the last run read: it differs")
}
