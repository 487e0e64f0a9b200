//! Listing [`Chunks`]: block by block of a file, by arithmetic, and what comes of a stream.

use super::{Chunks, Cut, Described};
use crate::error::{Error, Result};
use crate::input::boundary::Boundary;
use crate::input::chunk::{Chunk, Data};
use crate::input::file::InputFile;
use crate::input::left_out::LeftOut;
use crate::input::resolved::{Input, Inputs, blocks_in, open_for_tasks, other_contents, samples};
use crate::input::stream::Received;
use crate::input::witness::Remarks;
use crate::input::witness::contents::Contents;
use crate::input::witness::grown::GrownFiles;
use crate::task::{Extent, LastLook, ListContext, Listed, Listing, Mark};
use memchr::memrchr;
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;

/// Streams are cut smaller than files: their tasks hold the bytes in memory.
const STREAM_BLOCK: usize = 1 << 20;

/// Lists files and streams as [`Chunk`]s.
#[derive(Debug)]
pub struct ChunkListing {
    paths: Vec<PathBuf>,
    cut: Cut,
    block: u64,
    left_out: Vec<LeftOut>,
    inputs: Vec<Input>,
    remarks: Remarks,
    grown: GrownFiles,
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

impl ChunkListing {
    /// Fixes the cut. From here on, a task number means a place.
    pub(super) fn new(source: &Chunks, inputs: Vec<Input>, block: u64, by_contents: bool) -> Self {
        let mut facts = Inputs::besides(inputs.len(), &source.left_out);
        let mut tasks_before = vec![0];
        let mut tasks = 0;
        for input in &inputs {
            match input {
                Input::Regular(witness) => {
                    facts.regular_bytes += witness.identity.size;
                    tasks += blocks_in(witness.identity.size, block);
                }
                Input::Stream(stream) => match stream.regular_size() {
                    Some(size) => facts.regular_bytes += size,
                    None => facts.all_regular = false,
                },
            }
            tasks_before.push(tasks);
        }
        let boundary = match source.cut {
            Cut::Anywhere => None,
            Cut::Lines(delimiter) => Some(Arc::new(Boundary::behind_each(delimiter))),
        };
        Self {
            paths: source.paths.clone(),
            cut: source.cut,
            block,
            left_out: source.left_out.clone(),
            inputs,
            remarks: Remarks::default(),
            grown: GrownFiles::default(),
            contents: by_contents.then(|| Contents::new(boundary)),
            facts: Arc::new(facts),
            tasks_before,
            at: Place::default(),
            bytes_before: 0,
            again: 0,
        }
    }

    /// The same before task `frontier`: a binary search and a subtraction. To compare contents, all before
    /// it is to be listed again.
    pub(super) fn at(mut self, frontier: u64, remarks: Remarks) -> Self {
        self.remarks = remarks;
        let input = self.tasks_before.partition_point(|&before| before <= frontier) - 1;
        let block = frontier - self.tasks_before[input];
        self.at = Place { input, block, ..Place::default() };
        let bytes_in_files: u64 = self.inputs[..input.min(self.inputs.len())].iter().map(Input::size).sum();
        let size_here = self.inputs.get(input).map_or(0, Input::size);
        self.bytes_before = bytes_in_files + (block * self.block).min(size_here);
        if self.contents.is_some() {
            (self.at, self.again) = (Place::default(), frontier);
        }
        self
    }

    fn has_streams(&self) -> bool {
        self.inputs.iter().any(Input::is_stream)
    }

    /// The next block of the regular file at hand; afterwards the place is behind it.
    /// `None` if the run is over.
    fn list_block(&mut self, cx: &ListContext<'_>) -> Result<Option<Listed<Chunk>>> {
        let (index, block) = (self.at.input, self.block);
        let Some(Input::Regular(witness)) = self.inputs.get(index) else { return Ok(None) };
        let size = witness.identity.size;
        let start = self.at.block * block;
        let range = start..start.saturating_add(block).min(size);
        let mark = match &mut self.contents {
            None => None,
            Some(contents) => match contents.take((index, witness), &range, cx)? {
                None => return Ok(None),
                mark => mark,
            },
        };
        let open = || open_for_tasks(index, witness, &self.grown);
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
    fn list_received(&mut self, cx: &ListContext<'_>) -> Result<Option<Listed<Chunk>>> {
        let Some(Input::Stream(share)) = self.inputs.get_mut(self.at.input) else { return Ok(None) };
        let mut taken = share.take()?;
        let carry = &mut self.at.carry;
        let (bytes, ended) = loop {
            let searched = carry.len();
            match taken.stream().fill(carry, searched + STREAM_BLOCK, cx)? {
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
        drop(taken);
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
}

impl Listing for ChunkListing {
    type Task = Chunk;

    fn described(&self) -> Result<Value> {
        let described = Described {
            block: self.block,
            files: self.inputs.iter().filter_map(Input::identity).cloned().collect(),
            samples: samples(&self.inputs),
            contents: self.contents.is_some(),
            left_out: self.left_out.clone(),
            streams: self.has_streams(),
        };
        serde_json::to_value(described).map_err(|e| Error::broken("inputs", e))
    }

    fn sentences(&self) -> Vec<String> {
        self.remarks.sentences.clone()
    }

    /// Only contents have marks.
    fn mark_before(&mut self, cx: &ListContext<'_>) -> Result<Option<Mark>> {
        let mut mark = None;
        while self.again > 0 && !cx.is_stopped() {
            let Some(listed) = self.list_block(cx)? else { break };
            (mark, self.again) = (listed.mark, self.again - 1);
        }
        Ok(mark)
    }

    fn what_changed(&self) -> String {
        other_contents(&self.paths, &self.remarks.doubtful)
    }

    fn next(&mut self, cx: &ListContext<'_>) -> Result<Option<Listed<Chunk>>> {
        match self.inputs.get(self.at.input) {
            // Stopped before the frontier was reached: what comes next has another number.
            _ if self.again > 0 => Ok(None),
            None => Ok(None),
            Some(Input::Regular(_)) => self.list_block(cx),
            Some(Input::Stream(_)) => self.list_received(cx),
        }
    }

    fn holds(&self, chunk: &Chunk) -> u64 {
        match &chunk.data {
            Data::File { .. } => 0,
            Data::Bytes(bytes) => bytes.capacity() as u64,
        }
    }

    fn has_more(&self) -> bool {
        self.remarks.has_more
    }

    fn last_look(&self) -> Option<LastLook> {
        let digests = self.contents.as_ref().map(Contents::digests);
        Some(self.grown.last_look(digests))
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
