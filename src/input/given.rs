//! The inputs as they were given: looked at before anything is touched, compared with the record
//! when a job is continued.
//!
//! Every source that lists files by position needs the same three things of them: what each one is,
//! how large a block should be for all of them together, and whether the one that is there now may
//! pass for the one that was there then.

use super::file::InputFile;
use super::identity::{Comparison, Identity};
use super::sample::Sample;
use super::stream::Stream;
use crate::error::{Error, Result};
use std::path::Path;

pub(super) const MIB: u64 = 1 << 20;
/// Below this, the cost of a task (10 µs) would show.
const SMALLEST_BLOCK: u64 = 64 << 10;

/// What one of the paths turned out to be.
#[derive(Debug)]
pub(super) enum Input {
    Regular(Identity),
    Stream(Stream),
}

impl Input {
    /// Opens `path` once. What cannot be read is found here.
    pub(super) fn look_at(path: &Path) -> Result<Self> {
        if Stream::is_stream(path) {
            return Stream::open(path).map(Input::Stream);
        }
        InputFile::look_at(path).map(|file| Input::Regular(file.identity().clone()))
    }

    pub(super) fn identity(&self) -> Option<&Identity> {
        match self {
            Input::Regular(identity) => Some(identity),
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

/// As many inputs as the record knows.
pub(super) fn same_number(given: usize, stored: usize) -> Result<()> {
    if given == stored {
        return Ok(());
    }
    Err(Error::refused("the inputs", format_args!("{given} were given, the state is about {stored}"))
        .advise("use --fresh to start over"))
}

/// Samples of all files among the inputs, in their order.
pub(super) fn samples(inputs: &[Input]) -> Result<Vec<Sample>> {
    let files: Vec<&Identity> = inputs.iter().filter_map(Input::identity).collect();
    files.iter().map(|identity| Sample::of(identity, files.len())).collect()
}

/// Whether the file that is there `now` may pass for the one that the record knows. It then goes by
/// the facts of that time.
pub(super) fn adopt(
    now: &Identity,
    stored: &Identity,
    sample: Option<&Sample>,
    sentences: &mut Vec<String>,
) -> Result<()> {
    if now.path != stored.path {
        let problem = Error::refused(now.path.display(), "is not the input that the state is about");
        let then = stored.path.display();
        return Err(match (now.device, now.inode) == (stored.device, stored.inode) {
            // A name can be in the output, so it is not for us to say that they mean the same.
            true => problem.advise(format_args!(
                "it is the same file by another name: call it {then}, as the job was begun"
            )),
            false => problem.advise(format_args!("that one is {then}; use --fresh to start over")),
        });
    }
    match stored.compare(now) {
        Comparison::Same => {}
        Comparison::Grew if !sample.map_or(Ok(true), |sample| sample.is_still_in(stored))? => {
            let how = "is longer than when the job began, and what was in it has changed";
            return Err(Error::refused(now.path.display(), how)
                .advise("the output would be of two different inputs; use --fresh to start over"));
        }
        Comparison::Grew => sentences.push(format!(
            "{}: grew from {} to {} bytes since the job began; it is processed to its old size",
            now.path.display(),
            stored.size,
            now.size
        )),
        Comparison::Changed(how) => {
            return Err(Error::refused(now.path.display(), format_args!("{how} since the job began"))
                .advise("the output would be of two different inputs; use --fresh to start over"));
        }
    }
    Ok(())
}
