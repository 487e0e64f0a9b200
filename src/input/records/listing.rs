//! Listing [`Records`]: blocks of files, chunks of streams, and what is listed again of a job that is continued.

use super::{Described, Records, Stored};
use crate::error::{Error, Result};
use crate::input::boundary::Boundary;
use crate::input::edges::{Data, RecordChunk};
use crate::input::file::InputFile;
use crate::input::path_text::named;
use crate::input::resolved::{Input, blocks_in, open_for_tasks, other_contents, samples};
use crate::input::streamed::{Next, Streamed};
use crate::input::witness::Remarks;
use crate::input::witness::contents::Contents;
use crate::input::witness::grown::GrownFiles;
use crate::task::{Extent, LastLook, ListContext, Listed, Listing, Mark};
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;

/// Lists files and streams as [`RecordChunk`]s.
#[derive(Debug)]
pub struct RecordListing {
    paths: Vec<PathBuf>,
    boundary: Arc<Boundary>,
    inputs: Vec<Input>,
    remarks: Remarks,
    grown: GrownFiles,
    contents: Option<Contents>,
    /// Over the blocks of files that were listed, if contents are compared.
    files: Option<Mark>,
    /// What counts: as it was asked for, by default, or by the record.
    block: u64,
    at: Place,
    bytes_before: u64,
    /// Tasks to be listed again before the first one that is handed out.
    again: u64,
    /// Over the chunks of streams that were listed; `None` before the first.
    digest: Option<blake3::Hasher>,
}

/// Where listing is: the next block to be listed, and what is open for it.
#[derive(Debug, Default)]
struct Place {
    input: usize,
    block: u64,
    file: Option<Arc<InputFile>>,
    streamed: Option<Streamed>,
}

impl RecordListing {
    /// Fixes the cut. From here on, a task number means a place.
    pub(super) fn new(source: &Records, inputs: Vec<Input>, block: u64, by_contents: bool) -> Self {
        let boundary = &source.boundary;
        Self {
            paths: source.paths.clone(),
            boundary: Arc::clone(boundary),
            inputs,
            remarks: Remarks::default(),
            grown: GrownFiles::default(),
            contents: by_contents.then(|| Contents::new(Some(Arc::clone(boundary)))),
            files: None,
            block,
            at: Place::default(),
            bytes_before: 0,
            again: 0,
            digest: None,
        }
    }

    /// The same before task `frontier`: by subtraction over files; but from the first stream on, tasks have
    /// to be listed again, and to compare contents all of them.
    pub(super) fn at(mut self, frontier: u64, remarks: Remarks) -> Self {
        self.remarks = remarks;
        self.pass_files(frontier);
        if self.contents.is_some() {
            (self.at, self.again) = (Place::default(), frontier);
        }
        self
    }

    fn pass_files(&mut self, frontier: u64) {
        (self.again, self.bytes_before) = (frontier, 0);
        for (i, input) in self.inputs.iter().enumerate() {
            self.at.input = i;
            let Input::Regular(witness) = input else { return };
            let blocks = blocks_in(witness.identity.size, self.block);
            if self.again < blocks {
                self.at.block = std::mem::take(&mut self.again);
                self.bytes_before += self.at.block * self.block;
                return;
            }
            self.again -= blocks;
            self.bytes_before += witness.identity.size;
        }
        self.at.input = self.inputs.len();
    }

    /// The next task, whether or not it is one to be handed out. `None` at the end or at a stop.
    fn list(&mut self, cx: &ListContext<'_>) -> Result<Option<Listed<RecordChunk>>> {
        loop {
            match self.inputs.get(self.at.input) {
                None => return Ok(None),
                Some(Input::Regular(_)) => return self.list_block(cx),
                Some(Input::Stream(_)) => match self.list_streamed(cx)? {
                    Some(Next::Chunk { start, held, from }) => {
                        return Ok(Some(self.list_received(start, held, from)));
                    }
                    Some(Next::End) => self.at = Place { input: self.at.input + 1, ..Place::default() },
                    Some(Next::Stopped) | None => return Ok(None),
                },
            }
        }
    }

    /// The next block of the file at hand; afterwards the place is behind it.
    /// `None` if the run is over.
    fn list_block(&mut self, cx: &ListContext<'_>) -> Result<Option<Listed<RecordChunk>>> {
        let index = self.at.input;
        let Some(Input::Regular(witness)) = self.inputs.get(index) else { return Ok(None) };
        let size = witness.identity.size;
        let start = self.at.block * self.block;
        let block = start..start.saturating_add(self.block).min(size);
        if let Some(contents) = &mut self.contents {
            let Some(mark) = contents.take((index, witness), &block, cx)? else { return Ok(None) };
            self.files = Some(mark);
        }
        let open = || open_for_tasks(index, witness, &self.grown);
        let file = self.at.file.get_or_insert_with(open);
        let (file, boundary) = (Arc::clone(file), Arc::clone(&self.boundary));
        if block.end == size {
            self.at = Place { input: index + 1, ..Place::default() };
        } else {
            self.at.block += 1;
        }
        let bytes = block.end - block.start;
        let data = Data::File { file, block, boundary };
        let task = RecordChunk { file_index: index, first_in_file: start == 0, data };
        Ok(Some(Listed { task, bytes, mark: self.mark() }))
    }

    fn list_streamed(&mut self, cx: &ListContext<'_>) -> Result<Option<Next>> {
        let Some(Input::Stream(share)) = self.inputs.get_mut(self.at.input) else { return Ok(None) };
        let new = || Streamed::new(Arc::clone(&self.boundary), self.block);
        let streamed = self.at.streamed.get_or_insert_with(new);
        streamed.next(share.take()?.stream(), cx).map(Some)
    }

    fn list_received(&mut self, start: u64, held: Vec<u8>, from: usize) -> Listed<RecordChunk> {
        let bytes = &held[from..];
        let length = bytes.len() as u64;
        // With number and length, so that bytes cannot wander from one stream or chunk to the next.
        self.digest
            .get_or_insert_default()
            .update(&(self.at.input as u64).to_le_bytes())
            .update(&length.to_le_bytes())
            .update(bytes);
        let path = self.paths[self.at.input].clone();
        let data = Data::Stream { path, start, held, from };
        let task = RecordChunk { file_index: self.at.input, first_in_file: start == 0, data };
        Listed { task, bytes: length, mark: self.mark() }
    }

    fn mark(&self) -> Option<Mark> {
        let streams = self.digest.as_ref().map(|digest| Mark(*digest.finalize().as_bytes()));
        match (self.files, streams) {
            (Some(files), Some(streams)) => {
                Some(Mark(*blake3::Hasher::new().update(&files.0).update(&streams.0).finalize().as_bytes()))
            }
            (files, streams) => files.or(streams),
        }
    }
}

impl Listing for RecordListing {
    type Task = RecordChunk;

    fn described(&self) -> Result<Value> {
        let store = |(input, path): (&Input, &PathBuf)| match input {
            Input::Regular(witness) => Stored::File(witness.identity.clone()),
            Input::Stream(_) => Stored::Stream { path: path.clone() },
        };
        let inputs = self.inputs.iter().zip(&self.paths).map(store).collect();
        let (samples, contents) = (samples(&self.inputs), self.contents.is_some());
        let records = self.boundary.to_string();
        let described = Described { block: self.block, records, inputs, samples, contents };
        serde_json::to_value(described).map_err(|e| Error::broken("inputs", e))
    }

    fn sentences(&self) -> Vec<String> {
        self.remarks.sentences.clone()
    }

    /// Reads again what is done of the streams, and of the files if contents are compared, and looks at
    /// nothing in it but the digest.
    fn mark_before(&mut self, cx: &ListContext<'_>) -> Result<Option<Mark>> {
        while self.again > 0 && !cx.is_stopped() {
            match self.list(cx)? {
                Some(_) => self.again -= 1,
                // It has ended too early, which the digest tells; or the run is over.
                None => break,
            }
        }
        Ok(self.mark())
    }

    /// Only streams have marks, and files if their contents are compared.
    fn what_changed(&self) -> String {
        if self.contents.is_some() {
            return other_contents(&self.paths, &self.remarks.doubtful);
        }
        let streams = || self.paths.iter().zip(&self.inputs).filter(|(_, input)| input.is_stream());
        let names: Vec<_> = streams().map(|(path, _)| named(path)).collect();
        match names.as_slice() {
            [only] => format!("{only} is not the stream of the last run, or is shorter: it differs"),
            _ => format!(
                "one of {} is not the stream of the last run, or is shorter: it differs",
                names.join(", ")
            ),
        }
    }

    fn next(&mut self, cx: &ListContext<'_>) -> Result<Option<Listed<RecordChunk>>> {
        // Stopped before the frontier was reached: what comes next has another number.
        if self.again > 0 {
            return Ok(None);
        }
        self.list(cx)
    }

    fn holds(&self, chunk: &RecordChunk) -> u64 {
        match &chunk.data {
            Data::File { .. } => 0,
            Data::Stream { held, .. } => held.capacity() as u64,
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
        if self.inputs.iter().any(Input::is_stream) {
            return Extent::default();
        }
        let sizes = || self.inputs.iter().map(Input::size);
        Extent {
            tasks: Some(sizes().map(|size| blocks_in(size, self.block)).sum()),
            bytes: Some(sizes().sum()),
            bytes_before: self.bytes_before,
        }
    }
}
