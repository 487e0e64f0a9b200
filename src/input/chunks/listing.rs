//! Listing [`Chunks`](super::Chunks): blocks of files, chunks of streams, and the finished part once more.

use crate::error::{Error, Result};
use crate::input::boundary::Boundary;
use crate::input::chunk::{Chunk, Data};
use crate::input::file::InputFile;
use crate::input::grammar::{Grammar, next_cut};
use crate::input::header::Header;
use crate::input::left_out::LeftOut;
use crate::input::packed::{Decompress, Format, Point, Unpacked};
use crate::input::path_text::{self, named};
use crate::input::resolved::{Input, Inputs, blocks_in, other_contents, samples};
use crate::input::stream::Received;
use crate::input::streamed::{Next, Streamed};
use crate::input::witness::Remarks;
use crate::input::witness::contents::Contents;
use crate::input::witness::grown::GrownFiles;
use crate::input::witness::identity::Identity;
use crate::input::witness::sample::Sample;
use crate::task::source::ACCESS_POINTS;
use crate::task::{Extent, LastLook, ListContext, Listed, Listing, Mark};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Serialize, Deserialize)]
pub(super) struct Described {
    pub(super) block: u64,
    /// In the words of [`Boundary`], which are exact.
    pub(super) records: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) header: Option<String>,
    pub(super) inputs: Vec<Stored>,
    /// Of the files among the inputs, in their order.
    pub(super) samples: Vec<Sample>,
    /// Their contents are in the mark.
    pub(super) contents: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) left_out: Vec<LeftOut>,
    /// What the sizes of the files do not tell if there are streams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) all: Option<Inputs>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stored {
    File(Identity),
    Packed {
        file: Identity,
        format: Format,
    },
    /// The path is for a person: `/dev/fd/63` is another one next time, and the digest knows better.
    Stream {
        #[serde(with = "path_text")]
        path: PathBuf,
        /// It is decompressed, if it is compressed.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        unpacked: bool,
    },
}

#[derive(Debug)]
pub(super) struct Cutting {
    pub(super) paths: Vec<PathBuf>,
    pub(super) boundary: Arc<Boundary>,
    pub(super) header: Option<Header>,
    pub(super) decompress: Decompress,
    /// What counts: as it was asked for, by default, or by the record.
    pub(super) block: u64,
    pub(super) by_contents: bool,
    pub(super) left_out: Vec<LeftOut>,
    pub(super) is_watched: bool,
    /// The rest of the last input changes nothing.
    pub(super) enough: Option<Arc<AtomicBool>>,
    /// The rest of all inputs changes nothing.
    pub(super) found: Option<Arc<AtomicBool>>,
}

impl Cutting {
    fn has_found(&self) -> bool {
        self.found.as_ref().is_some_and(|found| found.load(Ordering::Relaxed))
    }
}

/// Lists files and streams as [`Chunk`]s.
#[derive(Debug)]
pub struct ChunkListing {
    cutting: Cutting,
    inputs: Vec<Input>,
    /// Whether one of the inputs is a stream, or compressed. Asked for every chunk, of maybe a million files.
    any: Any,
    all: Arc<Inputs>,
    remarks: Remarks,
    grown: GrownFiles,
    contents: Option<Contents>,
    /// Over the blocks of files that were listed, if contents are compared.
    files: Option<Mark>,
    /// Up to where files were listed whose records are found from the beginning.
    reached: Option<Mark>,
    /// Over the chunks of streams that were listed; `None` before the first.
    digest: Option<blake3::Hasher>,
    at: Place,
    bytes_before: u64,
    /// Tasks to be listed again before the first one that is handed out.
    again: u64,
}

#[derive(Debug)]
struct Any {
    stream: bool,
    packed: bool,
}

/// Where listing is: the next block to be listed, and what is open for it.
#[derive(Debug, Default)]
struct Place {
    input: usize,
    block: u64,
    /// The same of a file whose blocks are not all of one size.
    position: u64,
    file: Option<Arc<InputFile>>,
    header: Option<Arc<[u8]>>,
    streamed: Option<Streamed>,
    /// Where decompression can begin to come to `position`; `None` before the first chunk.
    point: Option<Point>,
    unpacked: Option<Unpacked>,
    /// The stream at hand is not compressed.
    is_plain: bool,
}

impl ChunkListing {
    /// Fixes the cut. From here on, a task number means a place.
    pub(super) fn new(cutting: Cutting, inputs: Vec<Input>, all: Inputs) -> Self {
        let contents = cutting.by_contents.then(|| Contents::new(Arc::clone(&cutting.boundary)));
        let any = Any {
            stream: inputs.iter().any(Input::is_stream),
            packed: inputs.iter().any(|input| matches!(input, Input::Packed(..))),
        };
        Self {
            cutting,
            inputs,
            any,
            all: Arc::new(all),
            remarks: Remarks::default(),
            grown: GrownFiles::default(),
            contents,
            files: None,
            reached: None,
            digest: None,
            at: Place::default(),
            bytes_before: 0,
            again: 0,
        }
    }

    /// The same before task `frontier`: by subtraction, except for streams and to compare contents.
    pub(super) fn at(mut self, frontier: u64, remarks: Remarks) -> Self {
        self.remarks = remarks;
        self.pass_files(frontier);
        if self.contents.is_some() || self.cutting.boundary.grammar().is_some() || self.any.packed {
            (self.at, self.again) = (Place::default(), frontier);
        }
        self
    }

    fn pass_files(&mut self, frontier: u64) {
        let block = self.cutting.block;
        (self.again, self.bytes_before) = (frontier, 0);
        for (i, input) in self.inputs.iter().enumerate() {
            self.at.input = i;
            let Input::Regular(witness) = input else { return };
            let (size, blocks) = (witness.identity.size, blocks_in(witness.identity.size, block));
            if self.again < blocks {
                self.at.block = std::mem::take(&mut self.again);
                self.bytes_before += self.at.block * block;
                return;
            }
            self.again -= blocks;
            self.bytes_before += size;
        }
        self.at.input = self.inputs.len();
    }

    /// The next task, whether or not it is one to be handed out. `None` at the end or at a stop.
    fn list(&mut self, cx: &ListContext<'_>) -> Result<Option<Listed<Chunk>>> {
        loop {
            match self.inputs.get(self.at.input) {
                None => return Ok(None),
                Some(_) if self.cutting.has_found() => return Ok(None),
                Some(Input::Regular(_)) => {
                    return match self.cutting.boundary.grammar() {
                        None => self.list_block(cx),
                        Some(grammar) => self.list_scanned(grammar, cx),
                    };
                }
                Some(Input::Packed(..)) => match self.list_packed(cx)? {
                    Some(Next::Chunk { start, held, from }) => {
                        return Ok(Some(self.list_unpacked(start, held, from)));
                    }
                    Some(Next::End) => self.at = Place { input: self.at.input + 1, ..Place::default() },
                    Some(Next::Stopped) | None => return Ok(None),
                },
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

    /// The next block of the file at hand, which the place then follows. `None` if the run is over.
    fn list_block(&mut self, cx: &ListContext<'_>) -> Result<Option<Listed<Chunk>>> {
        let index = self.at.input;
        let Some(Input::Regular(witness)) = self.inputs.get(index) else { return Ok(None) };
        let size = witness.identity.size;
        let start = self.at.block * self.cutting.block;
        let block = start..start.saturating_add(self.cutting.block).min(size);
        if let Some(contents) = &mut self.contents {
            let Some(mark) = contents.take((index, witness), &block, cx)? else { return Ok(None) };
            self.files = Some(mark);
        }
        let file = self.open_file(index)?;
        let header = self.at.header.clone();
        if self.any.packed {
            self.reached = Some(mark_of(index, block.end, Point::default()));
        }
        if block.end == size {
            self.at = Place { input: index + 1, ..Place::default() };
        } else {
            self.at.block += 1;
        }
        let bytes = block.end - block.start;
        let task = self.chunk(index, (start == 0, header), Data::File { file, block });
        Ok(Some(Listed { task, bytes, mark: self.mark() }))
    }

    /// The file at hand, opened, and its header read.
    fn open_file(&mut self, index: usize) -> Result<Arc<InputFile>> {
        if let Some(file) = &self.at.file {
            return Ok(Arc::clone(file));
        }
        let Some(Input::Regular(witness)) = self.inputs.get(index) else {
            return Err(Error::broken("an input", "is no file"));
        };
        let file = Arc::new(InputFile::of(witness.clone()).noting(index, &self.grown));
        let Cutting { header, boundary, .. } = &self.cutting;
        self.at.header = header.as_ref().map(|header| header.read(&file, boundary)).transpose()?;
        self.at.file = Some(Arc::clone(&file));
        Ok(file)
    }

    /// The same of a file that must be read to be cut.
    fn list_scanned(&mut self, grammar: Grammar, cx: &ListContext<'_>) -> Result<Option<Listed<Chunk>>> {
        let (index, start) = (self.at.input, self.at.position);
        let file = self.open_file(index)?;
        let header = self.at.header.clone();
        let body = header.as_ref().map_or(0, |header| header.len() as u64);
        let Some(end) = next_cut(&file, grammar, (start, body), self.cutting.block, cx)? else {
            return Ok(None);
        };
        if let (Some(contents), Some(Input::Regular(witness))) = (&mut self.contents, self.inputs.get(index))
        {
            let Some(mark) = contents.take((index, witness), &(start..end), cx)? else { return Ok(None) };
            self.files = Some(mark);
        }
        self.reached = Some(mark_of_place(index, end));
        self.pass_to(index, end);
        let task = self.chunk(index, (start == 0, header), Data::File { file, block: start..end });
        Ok(Some(Listed { task, bytes: end - start, mark: self.mark() }))
    }

    fn pass_to(&mut self, index: usize, end: u64) {
        if self.inputs.get(index).map(Input::size) == Some(end) {
            self.at = Place { input: index + 1, ..Place::default() };
        } else {
            (self.at.input, self.at.position) = (index, end);
        }
    }

    fn list_streamed(&mut self, cx: &ListContext<'_>) -> Result<Option<Next>> {
        let is_last = self.at.input + 1 == self.inputs.len();
        let Some(Input::Stream(share)) = self.inputs.get_mut(self.at.input) else { return Ok(None) };
        let Cutting { boundary, header, block, is_watched, enough, found, decompress, .. } = &self.cutting;
        let new =
            || Streamed::new(Arc::clone(boundary), *block).watched(*is_watched).with_header(header.clone());
        let streamed = self.at.streamed.get_or_insert_with(new);
        let once = share.shared();
        let mut taken = share.take()?;
        taken.stream.until(found.as_ref().or(enough.as_ref().filter(|_| is_last && self.again == 0)));
        if self.at.unpacked.is_none() && !self.at.is_plain && *decompress != Decompress::Never {
            let path = taken.stream.path().to_path_buf();
            let Some(first) = taken.stream.peek(FIRST, cx)? else { return Ok(None) };
            let format = decompress.format_in(first, &path)?;
            self.at.is_plain = format.is_none();
            let open = |format| Unpacked::from_stream((once, format), &path, cx);
            self.at.unpacked = format.map(open).transpose()?;
        }
        if let Some(unpacked) = &mut self.at.unpacked {
            drop(taken); // It is read below the decoder.
            return streamed.next(unpacked, cx).map(Some);
        }
        streamed.next(&mut taken.stream, cx).map(Some)
    }

    /// The next chunk of the compressed file at hand.
    fn list_packed(&mut self, cx: &ListContext<'_>) -> Result<Option<Next>> {
        if self.at.unpacked.is_none() && !self.open_packed(cx)? {
            return Ok(None);
        }
        let (Some(streamed), Some(unpacked)) = (&mut self.at.streamed, &mut self.at.unpacked) else {
            return Ok(None);
        };
        streamed.next(unpacked, cx).map(Some)
    }

    /// Opens it at the place where listing is. `false` if the run is over.
    fn open_packed(&mut self, cx: &ListContext<'_>) -> Result<bool> {
        let (index, position, point) = (self.at.input, self.at.position, self.at.point);
        let Some(Input::Packed(witness, format)) = self.inputs.get(index) else { return Ok(false) };
        let file = Arc::new(InputFile::of(witness.clone()).noting(index, &self.grown));
        let Cutting { boundary, header, block, .. } = &self.cutting;
        let access = || cx.beside().map(|state| state.join(ACCESS_POINTS));
        let from = |point, plain| Unpacked::from((Arc::clone(&file), *format), access(), (point, plain), cx);
        let mut streamed = Streamed::new(Arc::clone(boundary), *block).with_header(header.clone());
        if let Some(point) = point {
            let known = match header {
                Some(header) => Streamed::read_header(header, boundary, &mut from(Point::default(), 0)?, cx)?,
                None => None,
            };
            let before = (Streamed::context(boundary) as u64).min(position);
            let mut unpacked = from(point, position - before)?;
            let mut context = Vec::new();
            while context.len() < before as usize {
                if unpacked.fill(&mut context, before as usize, cx)? != Received::Some {
                    return Ok(false);
                }
            }
            streamed = streamed.continued(position, context, known);
            self.at.unpacked = Some(unpacked);
        } else {
            self.at.unpacked = Some(from(Point::default(), 0)?);
        }
        self.at.streamed = Some(streamed);
        Ok(!cx.is_stopped())
    }

    /// The chunk counts as many bytes of the file as were read for it.
    fn list_unpacked(&mut self, start: u64, held: Vec<u8>, from: usize) -> Listed<Chunk> {
        let (index, end) = (self.at.input, start + (held.len() - from) as u64);
        let before = (Streamed::context(&self.cutting.boundary) as u64).min(end);
        let point = self
            .at
            .unpacked
            .as_mut()
            .map_or_else(Point::default, |unpacked| unpacked.point_before(end - before));
        let bytes = point.packed.saturating_sub(self.at.point.map_or(0, |point| point.packed));
        (self.at.position, self.at.point) = (end, Some(point));
        self.reached = Some(mark_of(index, end, point));
        Listed { bytes, ..self.list_received(start, held, from) }
    }

    fn list_received(&mut self, start: u64, held: Vec<u8>, from: usize) -> Listed<Chunk> {
        let index = self.at.input;
        let bytes = &held[from..];
        let length = bytes.len() as u64;
        if !self.cutting.is_watched && self.has_streams() {
            // With number and length, so that bytes cannot wander from one stream or chunk to the next.
            let digest = self.digest.get_or_insert_default();
            digest.update(&(index as u64).to_le_bytes()).update(&length.to_le_bytes()).update(bytes);
        }
        let path = self.cutting.paths[index].clone();
        let header = self.at.streamed.as_ref().and_then(Streamed::header);
        let task = self.chunk(index, (start == 0, header), Data::Stream { path, start, held, from });
        Listed { task, bytes: length, mark: self.mark() }
    }

    fn chunk(&self, file_index: usize, first: (bool, Option<Arc<[u8]>>), data: Data) -> Chunk {
        let (first_in_file, header) = first;
        let (inputs, boundary) = (Arc::clone(&self.all), Arc::clone(&self.cutting.boundary));
        Chunk { file_index, first_in_file, inputs, boundary, header, data }
    }

    fn mark(&self) -> Option<Mark> {
        let streams = self.digest.as_ref().map(|digest| Mark(*digest.finalize().as_bytes()));
        match (self.files, streams) {
            (Some(files), Some(streams)) => {
                Some(Mark(*blake3::Hasher::new().update(&files.0).update(&streams.0).finalize().as_bytes()))
            }
            (files, streams) => files.or(streams).or(self.reached.filter(|_| !self.has_streams())),
        }
    }

    fn has_streams(&self) -> bool {
        self.any.stream || (self.cutting.by_contents && self.any.packed)
    }
}

/// The number of bytes that tell how a stream is compressed.
const FIRST: usize = 64;

const PLACE: [u8; 16] = *b"place in a file\0";
const PACKED: [u8; 4] = *b"pack";
/// The point is inside a member.
const INSIDE: u64 = 1 << 63;

/// The place after a chunk, as a mark.
fn mark_of_place(input: usize, end: u64) -> Mark {
    let mut mark = Mark([0; 32]);
    mark.0[..16].copy_from_slice(&PLACE);
    mark.0[16..24].copy_from_slice(&(input as u64).to_be_bytes());
    mark.0[24..].copy_from_slice(&end.to_be_bytes());
    mark
}

/// The same, and where decompression can begin to come there.
fn mark_of(input: usize, end: u64, point: Point) -> Mark {
    let mut mark = Mark([0; 32]);
    mark.0[..4].copy_from_slice(&PACKED);
    mark.0[4..8].copy_from_slice(&(input as u32).to_be_bytes());
    let packed = point.packed | if point.is_inside { INSIDE } else { 0 };
    for (number, at) in [end, point.plain, packed].into_iter().zip([8, 16, 24]) {
        mark.0[at..at + 8].copy_from_slice(&number.to_be_bytes());
    }
    mark
}

fn place_of(Mark(bytes): Mark) -> Option<(usize, u64, Point)> {
    let [first, second, third, fourth] = bytes.as_chunks::<8>().0 else { return None };
    let [second, third, fourth] = [second, third, fourth].map(|number| u64::from_be_bytes(*number));
    if bytes.starts_with(&PLACE) {
        return Some((usize::try_from(third).ok()?, fourth, Point::default()));
    }
    let input = u32::from_be_bytes(*first.last_chunk()?);
    let point = Point { plain: third, packed: fourth & !INSIDE, is_inside: fourth & INSIDE != 0 };
    bytes.starts_with(&PACKED).then_some((input as usize, second, point))
}

impl Listing for ChunkListing {
    type Task = Chunk;

    fn described(&self) -> Result<Value> {
        let store = |(input, path): (&Input, &PathBuf)| match input {
            Input::Regular(witness) => Stored::File(witness.identity.clone()),
            Input::Packed(witness, format) => {
                Stored::Packed { file: witness.identity.clone(), format: *format }
            }
            Input::Stream(_) => {
                let unpacked = self.cutting.decompress != Decompress::Never;
                Stored::Stream { path: path.clone(), unpacked }
            }
        };
        let Cutting { paths, boundary, header, block, by_contents, left_out, .. } = &self.cutting;
        let described = Described {
            block: *block,
            records: Some(boundary.to_string()),
            header: header.as_ref().map(Header::to_string),
            inputs: self.inputs.iter().zip(paths).map(store).collect(),
            samples: samples(&self.inputs),
            contents: *by_contents,
            left_out: left_out.clone(),
            all: self.has_streams().then_some(*self.all),
        };
        serde_json::to_value(described).map_err(|e| Error::broken("inputs", e))
    }

    fn sentences(&self) -> Vec<String> {
        self.remarks.sentences.clone()
    }

    /// Of files that were read to be cut or are decompressed, and whose contents are not compared, the mark is the place.
    fn go_to(&mut self, mark: Mark) {
        let has_places = self.cutting.boundary.grammar().is_some() || self.any.packed;
        let is_place = has_places && self.contents.is_none() && !self.has_streams();
        let Some((index, end, point)) = place_of(mark).filter(|_| is_place) else { return };
        let sizes = self.inputs.iter().map(Input::size);
        let before = sizes.take(index).sum::<u64>();
        match self.inputs.get(index) {
            Some(Input::Packed(witness, _)) if point.packed <= witness.identity.size => {
                self.at = Place { input: index, position: end, point: Some(point), ..Place::default() };
                self.bytes_before = before + point.packed;
            }
            Some(Input::Regular(witness)) if end <= witness.identity.size => {
                self.pass_to(index, end);
                self.at.block = end / self.cutting.block;
                self.bytes_before = before + end;
            }
            Some(_) | None => return,
        }
        (self.again, self.reached) = (0, Some(mark));
    }

    /// Reads the finished part of the streams again, and of files with compared contents, for its digest.
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
        let paths = &self.cutting.paths;
        if self.contents.is_some() {
            return other_contents(paths, &self.remarks.doubtful);
        }
        let streams = || paths.iter().zip(&self.inputs).filter(|(_, input)| input.is_stream());
        let names: Vec<_> = streams().map(|(path, _)| named(path)).collect();
        match names.as_slice() {
            [only] => format!("{only} is not the stream of the last run, or is shorter: it differs"),
            _ => format!("one of {} is not the stream of the last run: it differs", names.join(", ")),
        }
    }

    fn next(&mut self, cx: &ListContext<'_>) -> Result<Option<Listed<Chunk>>> {
        // Stopped before the frontier was reached: what comes next has another number.
        if self.again > 0 {
            return Ok(None);
        }
        self.list(cx)
    }

    fn holds(&self, chunk: &Chunk) -> u64 {
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
        if self.has_streams() {
            return Extent::default();
        }
        let sizes = || self.inputs.iter().map(Input::size);
        let blocks = || sizes().map(|size| blocks_in(size, self.cutting.block)).sum();
        let is_known = self.cutting.boundary.grammar().is_none() && !self.any.packed;
        Extent { tasks: is_known.then(blocks), bytes: Some(sizes().sum()), bytes_before: self.bytes_before }
    }
}
