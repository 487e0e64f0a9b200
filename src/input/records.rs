//! Files and streams cut into chunks of whole records, for jobs that can be continued on both.
//!
//! Of files this lists what [`Chunks`](super::Chunks) lists, with any [`Boundary`] between records: by
//! arithmetic, without reading, from any task on.
//!
//! A stream has no positions, and the obvious way is to say so: a job on it cannot be continued. But
//! mostly the same stream can be had again, at some cost: `zcat`, a query, a download. So a run that
//! goes on reads again what is done already, forgets it, and goes on behind it; all it saves is the
//! work, which is what took the time. Whether it *is* the same stream must be known before a byte of
//! it is used, so a running digest over all chunks of streams, the [`Mark`], stands in the record
//! beside the frontier. Another stream is refused; one that differs behind the frontier only is as
//! good as the old one, since nothing that was made of the difference is kept.
//!
//! The cut of a stream must be the same in every run; how that is done is the subject of
//! [`streamed`](super::streamed).

use super::boundary::Boundary;
use super::contents::Contents;
use super::edges::{Data, RecordChunk};
use super::file::InputFile;
use super::given::{
    Input, Known, MIB, Regular, Said, adopt, blocks_in, contents_as_begun, default_block, named, of_several,
    other_contents, reads_again, same_number, samples, take_samples,
};
use super::growing::Growing;
use super::identity::{Identity, path_text};
use super::sample::Sample;
use super::streamed::{LONGEST, Next, Streamed};
use crate::error::{Error, Result};
use crate::job::{Extent, LastLook, Listed, Listing, Mark, Source};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;

/// Fewer and larger blocks than where the program itself looks at the bytes, since every chunk starts a
/// command: 256 MiB through `jq` take 7.1 s in 64 blocks and 5.9 s in 16, and with blocks of a mebibyte
/// the starts of `grep` were two thirds of the time.
const PARTS: u64 = 16;
const LARGEST_BLOCK: u64 = 16 * MIB;

/// Lists files and streams as [`RecordChunk`]s.
///
/// Blocks inside a record that is longer than a block are empty chunks if they are of a file, and
/// are not listed if they are of a stream.
#[derive(Debug)]
pub struct Records {
    paths: Vec<PathBuf>,
    boundary: Arc<Boundary>,
    /// What the user asked for.
    wanted_block: Option<u64>,
    limit_rate: Option<u64>,
    wants_contents: bool,
    inputs: Vec<Input>,
    /// Files that look otherwise than when the job began.
    doubtful: Vec<PathBuf>,
    has_more: bool,
    growing: Growing,
    contents: Option<Contents>,
    /// Over the blocks of files that were listed, if contents are compared.
    files: Option<Mark>,
    /// What counts: by `wanted_block`, by default, or by the record.
    block: u64,
    at: Place,
    bytes_before: u64,
    /// Tasks to be listed again before the first one that is handed out.
    again: u64,
    /// Over the chunks of streams that were listed; `None` before the first.
    digest: Option<blake3::Hasher>,
    /// Something was taken out of a stream, and is not in it any more.
    has_consumed: bool,
}

/// Where listing is: the next block to be listed, and what is open for it.
#[derive(Debug, Default)]
struct Place {
    input: usize,
    block: u64,
    file: Option<Arc<InputFile>>,
    streamed: Option<Streamed>,
}

/// What is stored in the record.
#[derive(Serialize, Deserialize)]
struct Described {
    block: u64,
    /// In the words of [`Boundary`], which are exact.
    records: String,
    inputs: Vec<Stored>,
    /// Of the files among them, in their order.
    #[serde(default)]
    samples: Vec<Sample>,
    /// Their contents are in the mark.
    #[serde(default)]
    contents: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stored {
    File(Identity),
    /// The path is for a person: `/dev/fd/63` is another one next time, and the digest knows better.
    Stream {
        #[serde(with = "path_text")]
        path: PathBuf,
    },
}

impl Records {
    /// The given inputs, in this order; `-` is standard input.
    pub fn new(paths: Vec<PathBuf>, boundary: Boundary) -> Self {
        Self {
            paths,
            boundary: Arc::new(boundary),
            wanted_block: None,
            limit_rate: None,
            wants_contents: false,
            inputs: Vec::new(),
            doubtful: Vec::new(),
            has_more: false,
            growing: Growing::default(),
            contents: None,
            files: None,
            block: 1,
            at: Place::default(),
            bytes_before: 0,
            again: 0,
            digest: None,
            has_consumed: false,
        }
    }

    /// Sets the block size in bytes. The default is a sixteenth of all regular files, between 1 and
    /// 16 MiB. A job that is continued keeps the block size that it had.
    #[must_use]
    pub fn block(mut self, bytes: Option<u64>) -> Self {
        self.wanted_block = bytes.map(|b| b.max(1));
        self
    }

    /// Says that the run has a rate limit, in bytes per second: a default block then lasts a quarter
    /// of a second at most.
    #[must_use]
    pub fn limit_rate(mut self, bytes_per_second: Option<u64>) -> Self {
        self.limit_rate = bytes_per_second;
        self
    }

    /// Compares what is in the files by digest, as [`Chunks::by_contents`](super::Chunks::by_contents). Streams
    /// always are compared so.
    #[must_use]
    pub fn by_contents(mut self, yes: bool) -> Self {
        self.wants_contents = yes;
        self
    }

    /// Opens every input once. A stream that is open already stays so: its writer may have come and gone,
    /// and who opens a FIFO behind him waits for another one.
    fn look(&mut self) -> Result<()> {
        let mut open = std::mem::take(&mut self.inputs).into_iter();
        let look_at = |path: &PathBuf| match open.next() {
            Some(stream @ Input::Stream(_)) => Ok(stream),
            Some(Input::Regular(_)) | None => Input::look_at(path),
        };
        let inputs = self.paths.iter().map(look_at).collect::<Result<_>>();
        self.inputs = inputs.map_err(|error| of_several(&self.paths, error))?;
        Ok(())
    }

    /// Fixes the cut. From here on, a task number means a place.
    fn lay_out(&mut self, block: u64, by_contents: bool) -> Result<()> {
        if let Some(stream) = self.inputs.iter().position(Input::is_stream) {
            let too_large = |what: &str, bytes: u64| {
                let problem = format_args!("is a stream, and {what} of {bytes} bytes are not kept in memory");
                Error::usage(self.paths[stream].display(), problem)
                    .advise(format_args!("make them {LONGEST} bytes at most, or read from a file"))
            };
            if block > LONGEST {
                return Err(too_large("blocks", block));
            }
            if let Some(bytes) = self.boundary.fixed_size().filter(|&bytes| bytes > LONGEST) {
                return Err(too_large("records", bytes));
            }
        }
        self.block = block;
        (self.at, self.digest, self.files, self.again) = (Place::default(), None, None, 0);
        self.contents = by_contents.then(|| Contents::new(Some(Arc::clone(&self.boundary))));
        Ok(())
    }

    fn stored(&self) -> Described {
        let store = |(input, path): (&Input, &PathBuf)| match input {
            Input::Regular(regular) => Stored::File(regular.identity.clone()),
            Input::Stream(_) => Stored::Stream { path: path.clone() },
        };
        let inputs = self.inputs.iter().zip(&self.paths).map(store).collect();
        let (samples, contents) = (samples(&self.inputs), self.contents.is_some());
        Described { block: self.block, records: self.boundary.to_string(), inputs, samples, contents }
    }

    /// Takes over what the record says of input `i`, if the one there now may pass for it.
    fn adopt(&mut self, i: usize, stored: Stored, known: Known<'_>, said: &mut Said) -> Result<()> {
        let problem = match (&self.inputs[i], stored) {
            (Input::Stream(_), Stored::Stream { .. }) => return Ok(()),
            (Input::Regular(now), Stored::File(then)) => {
                self.inputs[i] = Input::Regular(adopt(now, then, known, said)?);
                return Ok(());
            }
            (Input::Stream(_), Stored::File(_)) => "is a stream now, and was a file",
            (Input::Regular(_), Stored::Stream { .. }) => "is a file now, and was a stream",
        };
        Err(Error::refused(self.paths[i].display(), problem)
            .advise("give the same inputs again, or use --fresh to start over"))
    }

    /// Moves to task `frontier`: by subtraction over files; but from the first stream on, tasks have to be
    /// listed again, and to compare contents all of them.
    fn go_to(&mut self, frontier: u64) {
        self.pass_files(frontier);
        if self.contents.is_some() {
            (self.at, self.again) = (Place::default(), frontier);
        }
    }

    fn pass_files(&mut self, frontier: u64) {
        (self.again, self.bytes_before) = (frontier, 0);
        for (i, input) in self.inputs.iter().enumerate() {
            self.at.input = i;
            let Input::Regular(Regular { identity, .. }) = input else { return };
            let blocks = blocks_in(identity.size, self.block);
            if self.again < blocks {
                self.at.block = std::mem::take(&mut self.again);
                self.bytes_before += self.at.block * self.block;
                return;
            }
            self.again -= blocks;
            self.bytes_before += identity.size;
        }
        self.at.input = self.inputs.len();
    }

    /// The next task, whether or not it is one to be handed out. `None` at the end or at a stop.
    fn list(&mut self, listing: &Listing<'_>) -> Result<Option<Listed<RecordChunk>>> {
        loop {
            match self.inputs.get(self.at.input) {
                None => return Ok(None),
                Some(Input::Regular(_)) => return self.list_block(listing),
                Some(Input::Stream(_)) => match self.list_streamed(listing)? {
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
    fn list_block(&mut self, listing: &Listing<'_>) -> Result<Option<Listed<RecordChunk>>> {
        let index = self.at.input;
        let Some(Input::Regular(regular)) = self.inputs.get(index) else { return Ok(None) };
        let size = regular.identity.size;
        let start = self.at.block * self.block;
        let block = start..start.saturating_add(self.block).min(size);
        if let Some(contents) = &mut self.contents {
            let Some(mark) = contents.take((index, regular), &block, listing)? else { return Ok(None) };
            self.files = Some(mark);
        }
        let compared = self.contents.is_some();
        let open = || regular.open_for_tasks(index, &self.growing, compared);
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

    fn list_streamed(&mut self, listing: &Listing<'_>) -> Result<Option<Next>> {
        let Some(Input::Stream(stream)) = self.inputs.get_mut(self.at.input) else { return Ok(None) };
        self.has_consumed = true;
        let new = || Streamed::new(Arc::clone(&self.boundary), self.block);
        self.at.streamed.get_or_insert_with(new).next(stream, listing).map(Some)
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

impl Source for Records {
    type Task = RecordChunk;

    fn describe(&mut self) -> Result<Value> {
        if self.has_consumed {
            return Err(Error::refused(
                "the input",
                "is a stream; it was read to see whether its result is there, which it is not, \
                 and cannot be read twice",
            )
            .advise("the state is that of a finished job; give the stream again with --fresh"));
        }
        self.look()?;
        let block = self
            .wanted_block
            .unwrap_or_else(|| default_block(&self.inputs, PARTS, LARGEST_BLOCK, self.limit_rate));
        self.lay_out(block, self.wants_contents)?;
        take_samples(&mut self.inputs)?;
        (self.doubtful, self.has_more) = (Vec::new(), false);
        serde_json::to_value(self.stored()).map_err(|e| Error::broken("inputs", e))
    }

    fn restore(&mut self, described: &Value, frontier: u64) -> Result<Vec<String>> {
        let unusable = |problem: &dyn std::fmt::Display| {
            Error::refused("inputs in the record", problem).advise("use --fresh to start over")
        };
        let stored = Described::deserialize(described).map_err(|e| unusable(&e))?;
        if stored.block == 0 {
            return Err(unusable(&"their blocks have 0 bytes"));
        }
        let now = self.boundary.to_string();
        if stored.records != now {
            return Err(Error::refused(
                "the state",
                format_args!("is about records cut {}, not {now}", stored.records),
            )
            .advise("say --record-end, --record-start, -0 or --fixed as the job was begun, or use --fresh to start over"));
        }
        self.look()?;
        same_number(self.inputs.len(), stored.inputs.len())?;
        let by_contents = contents_as_begun(self.wants_contents, stored.contents)?;
        let (mut said, mut samples) = (Said::default(), stored.samples.iter());
        if let Some(wanted) = self.wanted_block.filter(|wanted| *wanted != stored.block) {
            let block = stored.block;
            said.sentences.push(format!(
                "the job was begun with blocks of {block} bytes, and keeps them: not {wanted}"
            ));
        }
        for (i, input) in stored.inputs.into_iter().enumerate() {
            let sample = if matches!(input, Stored::File(_)) { samples.next() } else { None };
            let known = Known { sample, contents: by_contents };
            self.adopt(i, input, known, &mut said)?;
        }
        if by_contents && frontier > 0 {
            said.sentences.push(reads_again());
        }
        (self.doubtful, self.has_more) = (said.doubtful, said.has_more);
        self.lay_out(stored.block, by_contents)?;
        self.go_to(frontier);
        Ok(said.sentences)
    }

    /// Reads again what is done of the streams, and of the files if contents are compared, and looks at
    /// nothing in it but the digest.
    fn mark_before(&mut self, listing: &Listing<'_>) -> Result<Option<Mark>> {
        while self.again > 0 && !listing.is_stopped() {
            match self.list(listing)? {
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
            return other_contents(&self.paths, &self.doubtful);
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

    fn next(&mut self, listing: &Listing<'_>) -> Result<Option<Listed<RecordChunk>>> {
        // Stopped before the frontier was reached: what comes next has another number.
        if self.again > 0 {
            return Ok(None);
        }
        self.list(listing)
    }

    fn holds(&self, chunk: &RecordChunk) -> u64 {
        match &chunk.data {
            Data::File { .. } => 0,
            Data::Stream { held, .. } => held.capacity() as u64,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::input::boundary::naive::{RULES, Random, Rule};
    use crate::wake::Wake;
    use std::fs::{self, OpenOptions};
    use std::io::Write;
    use std::path::Path;

    /// What a task shows: input, whether it is the first of it, the bytes, the mark.
    type Shown = (usize, bool, Vec<u8>, Option<Mark>);

    /// Four inputs, of which two are pipes: `a` file, `b` pipe, `c` file, `d` pipe.
    struct Inputs {
        dir: tempfile::TempDir,
        texts: Vec<Vec<u8>>,
    }

    impl Inputs {
        fn new(texts: Vec<Vec<u8>>) -> Self {
            let dir = tempfile::tempdir().unwrap();
            for (name, text) in ["a", "b", "c", "d"].iter().zip(&texts) {
                let path = dir.path().join(name);
                if is_pipe(&path) {
                    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
                } else {
                    fs::write(path, text).unwrap();
                }
            }
            Self { dir, texts }
        }

        fn paths(&self) -> Vec<PathBuf> {
            let names = ["a", "b", "c", "d"].iter().take(self.texts.len());
            names.map(|name| self.dir.path().join(name)).collect()
        }

        fn records(&self, boundary: Boundary) -> Records {
            Records::new(self.paths(), boundary)
        }

        /// Does something while all pipes, which the source has opened, are written to. Opened for both
        /// directions, they keep no writer waiting, whether anybody reads or not.
        fn flow<T>(&self, source: Records, work: impl FnOnce(Records, &Listing<'_>) -> T) -> T {
            let wake = Wake::new().unwrap();
            std::thread::scope(|scope| {
                for (path, text) in self.paths().into_iter().zip(&self.texts) {
                    if is_pipe(&path) {
                        scope.spawn(move || {
                            let both = OpenOptions::new().read(true).write(true).open(path);
                            both.unwrap().write_all(text).unwrap();
                        });
                    }
                }
                work(source, &Listing::real(&wake))
            })
        }
    }

    fn is_pipe(path: &Path) -> bool {
        path.ends_with("b") || path.ends_with("d")
    }

    fn show(listed: Listed<RecordChunk>) -> Shown {
        let Listed { task, bytes: covered, mark } = listed;
        let mut bytes = Vec::new();
        let mut pieces = task.pieces().unwrap();
        while let Some(piece) = pieces.next_piece().unwrap() {
            bytes.extend_from_slice(piece);
        }
        let range = task.aligned().unwrap();
        assert_eq!(range.end - range.start, bytes.len() as u64);
        assert_eq!(task.bytes().is_some(), task.file().is_none());
        if task.bytes().is_some() {
            assert_eq!(covered, bytes.len() as u64);
        }
        task.verify_unchanged().unwrap();
        (task.file_index, task.first_in_file, bytes, mark)
    }

    fn show_all(source: &mut Records, listing: &Listing<'_>) -> Vec<Shown> {
        let mut all = Vec::new();
        while let Some(listed) = source.next(listing).unwrap() {
            all.push(show(listed));
        }
        all
    }

    /// Files and streams, in one order, against the definition.
    fn expected(rule: &Rule, texts: &[Vec<u8>], block: usize) -> Vec<(usize, Vec<u8>)> {
        let mut all = Vec::new();
        for (i, text) in texts.iter().enumerate() {
            let is_stream = i % 2 == 1;
            for (k, chunk) in rule.chunks(text, block).into_iter().enumerate() {
                if !is_stream || !chunk.is_empty() || k == 0 {
                    all.push((i, chunk.to_vec()));
                }
            }
        }
        all
    }

    #[test]
    fn files_and_streams_are_listed_in_order_and_from_every_task_on_the_same() {
        let mut random = Random(17);
        for round in 0..3 {
            let sizes = [120, 150, if round == 0 { 1 } else { 60 }, 90];
            let inputs = Inputs::new(sizes.iter().map(|&size| random.text(size)).collect());
            for rule in &RULES {
                let block = 5 + random.below(60);
                let mut source = inputs.records(rule.boundary()).block(Some(block as u64));
                let described = source.describe().unwrap();
                let all = inputs.flow(source, |mut source, listing| show_all(&mut source, listing));
                let found: Vec<_> = all.iter().map(|(i, _, bytes, _)| (*i, bytes.clone())).collect();
                assert_eq!(found, expected(rule, &inputs.texts, block), "{} {block}", rule.boundary());
                for (i, text) in inputs.texts.iter().enumerate() {
                    assert_eq!(all.iter().filter(|task| task.0 == i && task.1).count(), 1, "one is first");
                    assert!(all.iter().filter(|task| task.0 == i).flat_map(|task| &task.2).eq(text));
                }
                for frontier in 0..=all.len() {
                    // Another block size is asked for, and the stored one is taken.
                    let mut again = inputs.records(rule.boundary()).block(Some(1000));
                    again.restore(&described, frontier as u64).unwrap();
                    let (mark, rest) = inputs.flow(again, |mut again, listing| {
                        (again.mark_before(listing).unwrap(), show_all(&mut again, listing))
                    });
                    assert_eq!(mark, frontier.checked_sub(1).and_then(|before| all[before].3));
                    assert_eq!(rest, all[frontier..], "from task {frontier}");
                }
            }
        }
    }

    /// One byte less, more, or another, before the frontier: never the mark of the record.
    #[test]
    fn another_stream_has_another_mark() {
        let text = b"one\ntwo\nthree\nfour\n".to_vec();
        let list = |texts: Vec<Vec<u8>>, frontier: u64| {
            let inputs = Inputs::new(texts);
            let mut source = inputs.records(Boundary::newline()).block(Some(6));
            let described = source.describe().unwrap();
            let mut source = inputs.records(Boundary::newline());
            source.restore(&described, frontier).unwrap();
            inputs.flow(source, |mut source, listing| source.mark_before(listing).unwrap())
        };
        let file = b"f".to_vec();
        let mark = |stream: &[u8], frontier| list(vec![file.clone(), stream.to_vec()], frontier);
        assert_eq!(mark(&text, 0), None);
        assert_eq!(mark(&text, 1), None, "files are known by their identity");
        let known = mark(&text, 3);
        assert_eq!(mark(b"one\ntwo\nthree\nFOUR\nfive\n", 3), known, "nothing has been made of that yet");
        for other in
            [&b"one\ntwo\nThree\nfour\n"[..], b"one\ntwo\n", b"one\ntwo\nthree!\n", b"", b"one\n\ntwo\n"]
        {
            assert_ne!(mark(other, 3), known, "{}", other.escape_ascii());
        }
        let two = |b: &[u8], d: &[u8]| list(vec![file.clone(), b.to_vec(), file.clone(), d.to_vec()], 4);
        assert_ne!(two(b"x\ny\n", b"z\n"), two(b"x\n", b"y\nz\n"), "the same bytes in other streams");
    }

    /// The digest goes over numbers and bytes, and these bytes look like the number: with END `p` and
    /// START `q` the two streams are cut at different places into two chunks each.
    #[test]
    fn no_bytes_pass_for_the_edge_of_a_chunk() {
        let number = 1u64.to_le_bytes();
        let marks = [(&b"qp"[..], &b""[..]), (b"", b"qp")].map(|(before, behind)| {
            let text = [b"pppppppppp", before, &number[..], behind, b"q"].concat();
            let inputs = Inputs::new(vec![b"f".to_vec(), text]);
            let mut source = inputs.records(Boundary::between(b"p", b"q").unwrap()).block(Some(10));
            source.describe().unwrap();
            let all = inputs.flow(source, |mut source, listing| show_all(&mut source, listing));
            assert_eq!(all.len(), 3);
            all[2].3
        });
        assert_ne!(marks[0], marks[1]);
    }

    #[test]
    fn what_the_record_says_otherwise_is_refused() {
        let inputs = Inputs::new(vec![b"one\ntwo\n".to_vec()]);
        let described = inputs.records(Boundary::newline()).describe().unwrap();
        let refusal = |source: &mut Records| {
            let error = source.restore(&described, 0).unwrap_err();
            assert_eq!(error.kind(), Kind::Refused);
            error.to_string()
        };
        let said = refusal(&mut inputs.records(Boundary::nul()));
        assert!(said.contains(r#"cut between "\n" and "", not between "\x00" and """#), "{said}");
        let file = inputs.paths()[0].clone();
        let said = refusal(&mut Records::new(vec![file.clone(), file.clone()], Boundary::newline()));
        assert!(said.contains("2 were given, the state is about 1"), "{said}");
        let said = refusal(&mut Records::new(vec!["-".into()], Boundary::newline()));
        assert!(said.contains("is a stream now"), "{said}");
        fs::write(&file, "one\nTWO\n").unwrap();
        refusal(&mut inputs.records(Boundary::newline()));
        let stream = Records::new(vec!["-".into()], Boundary::newline()).describe().unwrap();
        let error = inputs.records(Boundary::newline()).restore(&stream, 0).unwrap_err();
        assert!(error.to_string().contains("is a file now"), "{error}");
    }

    #[test]
    fn a_file_that_grew_is_cut_as_it_was() {
        let inputs = Inputs::new(vec![b"one\ntwo".to_vec()]);
        let described = inputs.records(Boundary::newline()).block(Some(2)).describe().unwrap();
        fs::write(&inputs.paths()[0], b"one\ntwo\nthree\n").unwrap();
        let mut source = inputs.records(Boundary::newline());
        let said = source.restore(&described, 2).unwrap();
        assert!(said[0].contains("grew from 7 to 14 bytes"), "{said:?}");
        let wake = Wake::new().unwrap();
        let rest = show_all(&mut source, &Listing::real(&wake));
        assert_eq!(rest.iter().map(|task| &task.2[..]).collect::<Vec<_>>(), [&b"two"[..], b""]);
        let extent = source.extent();
        assert_eq!((extent.tasks, extent.bytes, extent.bytes_before), (Some(4), Some(7), 4));
    }

    /// A finished job was looked at, and the stream is another one. What was read of it is gone, so the
    /// job cannot begin anew behind it.
    #[test]
    fn a_stream_that_was_read_is_not_described_once_more() {
        let inputs = Inputs::new(vec![b"f".to_vec(), b"one\ntwo\n".to_vec()]);
        let described = inputs.records(Boundary::newline()).describe().unwrap();
        let mut source = inputs.records(Boundary::newline());
        source.restore(&described, 1).unwrap();
        source.describe().unwrap();
        source.restore(&described, 2).unwrap();
        inputs.flow(source, |mut source, listing| {
            assert!(source.mark_before(listing).unwrap().is_some());
            assert!(source.next(listing).unwrap().is_none());
            assert_eq!(source.describe().unwrap_err().kind(), Kind::Refused);
        });
    }

    #[test]
    fn a_writer_that_comes_and_goes_before_the_job_begins_anew_is_heard() {
        let inputs = Inputs::new(vec![b"f".to_vec(), Vec::new()]);
        let described = inputs.records(Boundary::newline()).describe().unwrap();
        let mut source = inputs.records(Boundary::newline());
        source.restore(&described, 0).unwrap();
        fs::write(&inputs.paths()[1], "one\ntwo\n").unwrap();
        source.describe().unwrap();
        let wake = Wake::new().unwrap();
        let (heard, hears) = crossbeam_channel::bounded::<()>(0);
        let all = std::thread::scope(|scope| {
            // If the end of the stream is not noticed, the wait is ended here, without its chunk.
            scope.spawn(|| {
                if hears.recv_timeout(std::time::Duration::from_secs(20)).is_err_and(|e| e.is_timeout()) {
                    wake.wake();
                }
            });
            let all = show_all(&mut source, &Listing::real(&wake));
            drop(heard);
            all
        });
        assert_eq!(all.iter().map(|task| &task.2[..]).collect::<Vec<_>>(), [&b"f"[..], b"one\ntwo\n"]);
    }

    #[test]
    fn a_stop_ends_the_wait_and_the_reading_of_what_is_done() {
        let inputs = Inputs::new(vec![b"f".to_vec(), Vec::new()]);
        let described = inputs.records(Boundary::newline()).block(Some(1)).describe().unwrap();
        let wake = Wake::new().unwrap();
        wake.wake();
        let listing = Listing::real(&wake);
        // The pipe has something to read all the time; a wait alone would never tell of the stop.
        let both = OpenOptions::new().read(true).write(true).open(&inputs.paths()[1]).unwrap();
        (&both).write_all(b"one\ntwo\nthree\n").unwrap();
        let mut source = inputs.records(Boundary::newline());
        source.restore(&described, 1).unwrap();
        assert!(source.next(&listing).unwrap().is_none(), "it waits for no input");
        source.restore(&described, 2).unwrap();
        assert_eq!(source.mark_before(&listing).unwrap(), None);
        assert!(source.next(&listing).unwrap().is_none(), "its number would be wrong");
        // The same if it came when the listing had got to a file, for which nobody waits.
        (source.at.input, source.again) = (0, 1);
        assert!(source.next(&listing).unwrap().is_none(), "its number would be wrong");
    }

    #[test]
    fn what_could_not_be_kept_in_memory_is_refused_before_anything_is_read() {
        let inputs = Inputs::new(vec![b"f".to_vec(), Vec::new()]);
        let huge = 2 << 30;
        let mut blocks = inputs.records(Boundary::newline()).block(Some(huge));
        let mut records = inputs.records(Boundary::fixed(huge).unwrap());
        for source in [&mut blocks, &mut records] {
            assert_eq!(source.describe().unwrap_err().kind(), Kind::Usage);
        }
        let file = inputs.paths()[..1].to_vec();
        Records::new(file, Boundary::fixed(huge).unwrap()).block(Some(huge)).describe().unwrap();
    }
}
