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

use super::boundary::Boundary;
use super::chunk::{Chunk, Data};
use super::contents::Contents;
use super::file::InputFile;
use super::given::{
    Input, Inputs, Known, MIB, Regular, Said, adopt, blocks_in, contents_as_begun, default_block, of_several,
    other_contents, reads_again, same_number, samples, streams_refused, take_samples,
};
use super::growing::Growing;
use super::identity::Identity;
use super::left_out::{LeftOut, same_left_out};
use super::sample::Sample;
use super::stream::{Received, Stream};
use crate::error::{Error, Result};
use crate::job::{Extent, LastLook, Listed, Listing, Mark, Source};
use memchr::memrchr;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Streams are cut smaller than files: their tasks hold the bytes in memory.
const STREAM_BLOCK: usize = 1 << 20;

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

/// Lists files and streams as [`Chunk`]s.
#[derive(Debug)]
pub struct Chunks {
    paths: Vec<PathBuf>,
    cut: Cut,
    block: Option<u64>,
    limit_rate: Option<u64>,
    wants_contents: bool,
    left_out: Vec<LeftOut>,
    inputs: Vec<Input>,
    /// Files that look otherwise than when the job began.
    doubtful: Vec<PathBuf>,
    has_more: bool,
    growing: Growing,
    contents: Option<Contents>,
    facts: Arc<Inputs>,
    /// `tasks_before[i]`: how many tasks the files before file *i* have. One more than files.
    tasks_before: Vec<u64>,
    at: Place,
    bytes_before: u64,
    /// Tasks to be listed again before the first one that is handed out, for their contents.
    again: u64,
}

/// Where listing is: the next block to be listed, and what is open for it.
#[derive(Debug, Default)]
struct Place {
    input: usize,
    block: u64,
    file: Option<Arc<InputFile>>,
    /// Of a stream: the beginning of a record whose end has not come yet.
    carry: Vec<u8>,
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
            inputs: Vec::new(),
            doubtful: Vec::new(),
            has_more: false,
            growing: Growing::default(),
            contents: None,
            facts: Arc::default(),
            tasks_before: Vec::new(),
            at: Place::default(),
            bytes_before: 0,
            again: 0,
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
    /// the [`Inputs`], and a job that is continued must leave out the same ones.
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

    /// Opens every input once. What cannot be read is found here, before anything is touched.
    fn look(&mut self) -> Result<()> {
        self.inputs = self
            .paths
            .iter()
            .map(|path| Input::look_at(path))
            .collect::<Result<_>>()
            .map_err(|error| of_several(&self.paths, error))?;
        Ok(())
    }

    /// Fixes the cut. From here on, a task number means a place.
    fn lay_out(&mut self, block: u64, by_contents: bool) {
        self.block = Some(block);
        let mut facts = Inputs::besides(self.inputs.len(), &self.left_out);
        self.tasks_before = vec![0];
        let mut tasks = 0;
        for input in &self.inputs {
            match input {
                Input::Regular(Regular { identity, .. }) => {
                    facts.regular_bytes += identity.size;
                    tasks += blocks_in(identity.size, block);
                }
                Input::Stream(stream) => match stream.regular_size() {
                    Some(size) => facts.regular_bytes += size,
                    None => facts.all_regular = false,
                },
            }
            self.tasks_before.push(tasks);
        }
        self.facts = Arc::new(facts);
        (self.at, self.again) = (Place::default(), 0);
        let boundary = match self.cut {
            Cut::Anywhere => None,
            Cut::Lines(delimiter) => Some(Arc::new(Boundary::behind_each(delimiter))),
        };
        self.contents = by_contents.then(|| Contents::new(boundary));
    }

    fn has_streams(&self) -> bool {
        self.inputs.iter().any(Input::is_stream)
    }

    fn block_size(&self) -> u64 {
        self.block.unwrap_or(MIB)
    }

    /// The next block of the regular file at hand; afterwards the place is behind it.
    /// `None` if the run is over.
    fn list_block(&mut self, listing: &Listing<'_>) -> Result<Option<Listed<Chunk>>> {
        let (index, block) = (self.at.input, self.block_size());
        let Some(Input::Regular(regular)) = self.inputs.get(index) else { return Ok(None) };
        let size = regular.identity.size;
        let start = self.at.block * block;
        let range = start..start.saturating_add(block).min(size);
        let mark = match &mut self.contents {
            None => None,
            Some(contents) => match contents.take((index, regular), &range, listing)? {
                None => return Ok(None),
                mark => mark,
            },
        };
        let compared = self.contents.is_some();
        let open = || regular.open_for_tasks(index, &self.growing, compared);
        let file = self.at.file.get_or_insert_with(open);
        let chunk = Chunk {
            file_index: index,
            first_in_file: start == 0,
            last_in_file: range.end == size,
            inputs: Arc::clone(&self.facts),
            data: Data::File { file: Arc::clone(file), range: range.clone() },
            cut: self.cut,
        };
        if chunk.last_in_file {
            self.at = Place { input: index + 1, ..Place::default() };
        } else {
            self.at.block += 1;
        }
        Ok(Some(Listed { task: chunk, bytes: range.end - range.start, mark }))
    }

    /// The next bytes of the stream at hand, up to the last delimiter that has come.
    fn list_received(&mut self, listing: &Listing<'_>) -> Result<Option<Listed<Chunk>>> {
        let Some(Input::Stream(stream)) = self.inputs.get_mut(self.at.input) else { return Ok(None) };
        let carry = &mut self.at.carry;
        let (bytes, ended) = loop {
            let searched = carry.len();
            match stream.fill(carry, searched + STREAM_BLOCK, listing)? {
                Received::Stopped => return Ok(None),
                Received::End => break (std::mem::take(carry), true),
                Received::Some => {}
            }
            let end = match self.cut {
                Cut::Anywhere => Some(carry.len()),
                Cut::Lines(delimiter) => memrchr(delimiter, &carry[searched..]).map(|i| searched + i + 1),
            };
            if let Some(end) = end {
                let rest = carry.split_off(end);
                break (std::mem::replace(carry, rest), false);
            }
        };
        let length = bytes.len() as u64;
        let chunk = Chunk {
            file_index: self.at.input,
            first_in_file: self.at.block == 0,
            last_in_file: ended,
            inputs: Arc::clone(&self.facts),
            data: Data::Bytes(bytes),
            cut: self.cut,
        };
        self.at.block += 1;
        if ended {
            self.at = Place { input: self.at.input + 1, ..Place::default() };
        }
        Ok(Some(Listed { task: chunk, bytes: length, mark: None }))
    }

    /// Takes over what the record says of file `i`, if the file there now may pass for it.
    fn adopt(&mut self, i: usize, stored: Identity, known: Known<'_>, said: &mut Said) -> Result<()> {
        let Input::Regular(now) = &self.inputs[i] else { return Err(streams_refused(&self.paths[i])) };
        self.inputs[i] = Input::Regular(adopt(now, stored, known, said)?);
        Ok(())
    }

    /// Moves to task `frontier`: a binary search and a subtraction. To compare contents, all before it is
    /// to be listed again.
    fn go_to(&mut self, frontier: u64) {
        let input = self.tasks_before.partition_point(|&before| before <= frontier) - 1;
        let block = frontier - self.tasks_before[input];
        self.at = Place { input, block, ..Place::default() };
        let bytes_in_files: u64 = self.inputs[..input.min(self.inputs.len())].iter().map(Input::size).sum();
        let size_here = self.inputs.get(input).map_or(0, Input::size);
        self.bytes_before = bytes_in_files + (block * self.block_size()).min(size_here);
        if self.contents.is_some() {
            (self.at, self.again) = (Place::default(), frontier);
        }
    }
}

impl Source for Chunks {
    type Task = Chunk;

    fn describe(&mut self) -> Result<Value> {
        self.look()?;
        let block =
            self.block.unwrap_or_else(|| default_block(&self.inputs, PARTS, LARGEST_BLOCK, self.limit_rate));
        // What cannot be continued is not compared.
        let contents = self.wants_contents && !self.has_streams();
        self.lay_out(block, contents);
        take_samples(&mut self.inputs)?;
        (self.doubtful, self.has_more) = (Vec::new(), false);
        let described = Described {
            block,
            files: self.inputs.iter().filter_map(Input::identity).cloned().collect(),
            samples: samples(&self.inputs),
            contents,
            left_out: self.left_out.clone(),
            streams: self.has_streams(),
        };
        serde_json::to_value(described).map_err(|e| Error::broken("inputs", e))
    }

    fn restore(&mut self, described: &Value, frontier: u64) -> Result<Vec<String>> {
        let stored = Described::deserialize(described)
            .map_err(|e| Error::refused("inputs in the record", e).advise("use --fresh to start over"))?;
        same_left_out(&self.left_out, &stored.left_out)?;
        self.look()?;
        if stored.streams || self.has_streams() {
            return Err(streams_refused(Path::new("the input")));
        }
        self.left_out = stored.left_out;
        same_number(self.inputs.len(), stored.files.len())?;
        if stored.block == 0 {
            return Err(
                Error::refused("the block size in the record", "is 0").advise("use --fresh to start over")
            );
        }
        let by_contents = contents_as_begun(self.wants_contents, stored.contents)?;
        let mut said = Said::default();
        for (i, identity) in stored.files.into_iter().enumerate() {
            let known = Known { sample: stored.samples.get(i), contents: by_contents };
            self.adopt(i, identity, known, &mut said)?;
        }
        if by_contents && frontier > 0 {
            said.sentences.push(reads_again());
        }
        (self.doubtful, self.has_more) = (said.doubtful, said.has_more);
        self.lay_out(stored.block, by_contents);
        self.go_to(frontier);
        Ok(said.sentences)
    }

    /// Only contents have marks.
    fn mark_before(&mut self, listing: &Listing<'_>) -> Result<Option<Mark>> {
        let mut mark = None;
        while self.again > 0 && !listing.is_stopped() {
            let Some(listed) = self.list_block(listing)? else { break };
            (mark, self.again) = (listed.mark, self.again - 1);
        }
        Ok(mark)
    }

    fn what_changed(&self) -> String {
        other_contents(&self.paths, &self.doubtful)
    }

    fn next(&mut self, listing: &Listing<'_>) -> Result<Option<Listed<Chunk>>> {
        match self.inputs.get(self.at.input) {
            // Stopped before the frontier was reached: what comes next has another number.
            _ if self.again > 0 => Ok(None),
            None => Ok(None),
            Some(Input::Regular(_)) => self.list_block(listing),
            Some(Input::Stream(_)) => self.list_received(listing),
        }
    }

    fn holds(&self, chunk: &Chunk) -> u64 {
        match &chunk.data {
            Data::File { .. } => 0,
            Data::Bytes(bytes) => bytes.capacity() as u64,
        }
    }

    fn has_more(&self) -> bool {
        self.has_more
    }

    fn last_look(&self) -> Option<LastLook> {
        let digests = self.contents.as_ref().map(Contents::digests);
        Some(self.growing.last_look(digests))
    }

    fn extent(&self) -> Extent {
        if self.has_streams() {
            return Extent::default();
        }
        Extent {
            tasks: self.tasks_before.last().copied(),
            bytes: Some(self.facts.regular_bytes),
            bytes_before: self.bytes_before,
        }
    }
}
