//! Files cut into blocks, so that several workers can read one file, and a resumed run can go to
//! any place in it.
//!
//! The obvious way to cut a text at line ends is to read it and look for them. Then the source
//! reads everything, one thread feeds all the others, and a resumed run reads a terabyte in order
//! to find where it was. Here the cut is arithmetic: task *n* is block *k* of file *i*, by prefix
//! sums over the sizes, and the source reads nothing. With [`Cut::Lines`], block *k* of size *B* covers
//!
//! ```text
//! [ align(k·B), align((k+1)·B) )    align(p) = the place behind the first delimiter at or after p−1
//!                                   align(0) = 0,  align(p) = size where there is none
//! ```
//!
//! and a worker finds both edges itself, reading at most one record beyond its block. Two
//! neighbours compute their common edge by the same rule, so every byte belongs to exactly one of
//! them. A record longer than a block stays whole: the blocks inside it are empty.
//!
//! Streams (`-`, pipes) are listed by the same source, as tasks that own their bytes; a job need
//! not know the difference. One stream among the inputs makes the whole not resumable.

mod listing;

use self::listing::ChunkListing;
use super::chunk::Chunk;
use super::left_out::{LeftOut, same_left_out};
use super::once::Streams;
use super::resolved::{
    Input, MIB, contents_as_begun, default_block, look_at_all, reads_again, same_number, streams_refused,
    take_samples,
};
use super::stream::Stream;
use super::witness::Remarks;
use super::witness::identity::Identity;
use super::witness::sample::Sample;
use crate::error::{Error, Result};
use crate::task::Source;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Into how many blocks an input is cut that is neither small nor large.
const PARTS: u64 = 64;

/// Larger ones would spare nothing more, and a stop waits for the blocks at work: a slow pattern needs
/// 9 ms for this much.
const LARGEST_BLOCK: u64 = 4 * MIB;

/// Where a file may be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Between any two bytes.
    Anywhere,
    /// Behind this delimiter only.
    Lines(u8),
}

/// Files and streams, to be listed as [`Chunk`]s.
#[derive(Clone, Debug)]
pub struct Chunks {
    paths: Vec<PathBuf>,
    cut: Cut,
    block: Option<u64>,
    limit_rate: Option<u64>,
    wants_contents: bool,
    left_out: Vec<LeftOut>,
    streams: Streams,
}

/// What is stored in the record.
#[derive(Serialize, Deserialize)]
struct Described {
    block: u64,
    files: Vec<Identity>,
    /// Of each of them.
    #[serde(default)]
    samples: Vec<Sample>,
    /// Their contents are in the mark.
    #[serde(default)]
    contents: bool,
    /// Paths that were given and could not be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    left_out: Vec<LeftOut>,
    /// Some inputs are streams: such a job cannot be continued.
    streams: bool,
}

impl Chunks {
    /// The given inputs, in this order; `-` is standard input.
    pub fn new(paths: Vec<PathBuf>, cut: Cut) -> Self {
        Self {
            paths,
            cut,
            block: None,
            limit_rate: None,
            wants_contents: false,
            left_out: Vec::new(),
            streams: Streams::default(),
        }
    }

    /// Sets the block size in bytes. The default is a sixty-fourth of all input, between 1 and
    /// 4 MiB: enough tasks for an even end, each long enough not to feel its overhead.
    #[must_use]
    pub fn block(mut self, bytes: Option<u64>) -> Self {
        self.block = bytes.map(|b| b.max(1));
        self
    }

    /// Says that the run has a rate limit, in bytes per second: blocks are then made small enough
    /// to last a quarter of a second at most, or the job would go on in leaps.
    #[must_use]
    pub fn limit_rate(mut self, bytes_per_second: Option<u64>) -> Self {
        self.limit_rate = bytes_per_second;
        self
    }

    /// Compares what is in the files by digest, where otherwise sizes and times are compared: at the price
    /// of reading everything once more when it is listed, and what is done when the job is continued. A
    /// job keeps to what it was begun with.
    #[must_use]
    pub fn by_contents(mut self, yes: bool) -> Self {
        self.wants_contents = yes;
        self
    }

    /// Names paths that were given besides these and cannot be read. They are not listed, but they are among
    /// the [`Inputs`](super::Inputs), and a job that is continued must leave out the same ones.
    #[must_use]
    pub fn leaving_out(mut self, left_out: &[LeftOut]) -> Self {
        self.left_out = left_out.to_vec();
        self
    }

    /// Whether a job on these inputs can be continued: whether all of them are regular files. May
    /// be asked before the run.
    pub fn is_resumable(&self) -> bool {
        !self.paths.iter().any(|path| Stream::is_stream(path))
    }
}

impl Source for Chunks {
    type Task = Chunk;
    type Listing = ChunkListing;

    fn begin(&self) -> Result<ChunkListing> {
        let inputs = look_at_all(&self.paths, &self.streams)?;
        let default = || default_block(&inputs, PARTS, LARGEST_BLOCK, self.limit_rate);
        let block = self.block.unwrap_or_else(default);
        // What cannot be continued is not compared.
        let by_contents = self.wants_contents && !inputs.iter().any(Input::is_stream);
        let inputs = take_samples(inputs, by_contents)?;
        Ok(ChunkListing::new(self, inputs, block, by_contents))
    }

    fn resume(&self, described: &Value, frontier: u64) -> Result<ChunkListing> {
        let stored = Described::deserialize(described)
            .map_err(|e| Error::refused("inputs in the record", e).advise("use --fresh to start over"))?;
        same_left_out(&self.left_out, &stored.left_out)?;
        let inputs = look_at_all(&self.paths, &self.streams)?;
        if stored.streams || inputs.iter().any(Input::is_stream) {
            return Err(streams_refused(Path::new("the input")));
        }
        same_number(inputs.len(), stored.files.len())?;
        if stored.block == 0 {
            return Err(
                Error::refused("the block size in the record", "is 0").advise("use --fresh to start over")
            );
        }
        let by_contents = contents_as_begun(self.wants_contents, stored.contents)?;
        let (mut remarks, mut samples) = (Remarks::default(), stored.samples.into_iter());
        let resume = |((now, then), path): ((Input, Identity), &PathBuf)| match now {
            Input::Regular(now) => {
                now.resumed(then, samples.next(), by_contents, &mut remarks).map(Input::Regular)
            }
            Input::Stream(_) => Err(streams_refused(path)),
        };
        let inputs = inputs.into_iter().zip(stored.files).zip(&self.paths).map(resume);
        let inputs = inputs.collect::<Result<_>>()?;
        if by_contents && frontier > 0 {
            remarks.sentences.push(reads_again());
        }
        let as_stored = Self { left_out: stored.left_out, ..self.clone() };
        Ok(ChunkListing::new(&as_stored, inputs, stored.block, by_contents).at(frontier, remarks))
    }
}
