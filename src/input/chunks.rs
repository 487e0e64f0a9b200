//! Files and streams cut into blocks of whole records, so that several workers can read one file, and a run that
//! goes on can go to any place in it.
//!
//! The obvious way to cut a text at line ends is to read it and look for them. Then the source reads
//! everything, one thread feeds all the others, and a run that continues reads a terabyte to find its place.
//! Here the cut is arithmetic: a task is block *k* of file *i*, by the sizes of the files, and the source
//! reads nothing. With a [`Boundary`] between records, block *k* of size *B* covers
//! ```text
//! [ align(k·B), align((k+1)·B) )    align(p) = the first boundary at or after p
//!                                   align(0) = 0,  align(p) = size where there is none
//! ```
//!
//! and a worker finds both edges itself, reading at most one record beyond its block. Two neighbours find
//! their common edge by the same rule, so every byte belongs to exactly one of them. A record longer than a
//! block stays whole: the blocks inside it are empty.
//!
//! Some records are not found from the middle of a file (a quoted field may hold a newline). Then the source does
//! read the file, a block ahead of the workers, and lists chunks with their edges; see
//! [`grammar`](super::grammar). A continued run goes to the place of its first chunk without reading what is before it: that
//! place is the mark of the chunk before.
//!
//! # Streams
//!
//! A stream has no positions, and the obvious way is to say so: a job on it cannot be continued. But mostly
//! the same stream can be had again, at some cost: `zcat`, a query, a download. So a run that continues reads
//! the finished part again, drops it, and does the rest; the work took the time. It must know that this *is*
//! the same stream before it uses a byte of it. So a running digest over all chunks of streams, the
//! [`Mark`](crate::Mark), stands in the record beside the frontier. Another stream is refused. A stream that
//! differs only after the frontier is as good as the old one, since no result of the difference is kept.
//!
//! The cut of a stream must be the same in every run; see [`streamed`](super::streamed).

mod listing;

pub use self::listing::ChunkListing;
use self::listing::{Cutting, Described, Stored};
use super::boundary::Boundary;
use super::header::Header;
use super::left_out::{LeftOut, same_left_out};
use super::once::Streams;
use super::packed::{Decompress, Format};
use super::resolved::{
    Input, Inputs, MIB, READS_AGAIN, contents_as_begun, default_block, look_at_all, same_number,
    streams_refused, take_samples,
};
use super::stream::Stream;
use super::streamed::LONGEST;
use super::witness::identity::Identity;
use super::witness::{Remarks, Witness};
use crate::error::{Advice, Error, Result};
use crate::task::Source;
use serde::Deserialize;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Into how many blocks an input is cut that is neither small nor large.
const PARTS: f64 = 64.0;

/// Larger ones would save nothing, and a stop waits for the blocks at work: a slow pattern needs 9 ms for this.
const LARGEST_BLOCK: u64 = 4 * MIB;

/// Files and streams, to be listed as [`Chunk`](super::Chunk)s.
///
/// Blocks inside a record that is longer than a block are empty chunks if they are of a file, and
/// are not listed if they are of a stream.
///
/// ```
/// use bivouac::input::{Boundary, ChunkListing, Chunks, Decompress, Format};
/// use bivouac::{Listing, Source};
/// # let place = tempfile::tempdir()?; std::env::set_current_dir(&place)?;
/// # std::fs::write("list", "one\ntwo\nthree\n")?;
///
/// let chunks = Chunks::new(vec!["list".into()], Boundary::newline()).block(Some(8)).by_contents(true);
/// assert_eq!(Format::of_file("list".as_ref()), None);
/// let listing: ChunkListing = chunks.decompress(Decompress::Auto).limit_rate(Some(1 << 20)).begin()?;
/// assert_eq!(listing.extent().tasks, Some(2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Chunks {
    paths: Vec<PathBuf>,
    boundary: Arc<Boundary>,
    header: Option<Header>,
    wanted_block: Option<u64>,
    /// Number and largest size of the blocks by default.
    parts: (f64, u64),
    limit_rate: Option<u64>,
    wants_contents: bool,
    is_watched: bool,
    decompress: Decompress,
    left_out: Vec<LeftOut>,
    streams: Streams,
    enough: Option<Arc<AtomicBool>>,
    found: Option<Arc<AtomicBool>>,
}

impl Chunks {
    /// The given inputs, in this order; `-` is standard input.
    pub fn new(paths: Vec<PathBuf>, boundary: Boundary) -> Self {
        Self {
            paths,
            boundary: Arc::new(boundary),
            header: None,
            wanted_block: None,
            parts: (PARTS, LARGEST_BLOCK),
            limit_rate: None,
            wants_contents: false,
            is_watched: false,
            decompress: Decompress::Never,
            left_out: Vec::new(),
            streams: Streams::default(),
            enough: None,
            found: None,
        }
    }

    setters! {
        /// Ends the last input, if it is a stream, where this is set: the rest of it changes nothing. The stream may have
        /// no end, or may be waited for. The job must set it as a function of what was committed ([`Job::fold`]), or
        /// a job that is continued would list another number of tasks.
        ///
        /// [`Job::fold`]: crate::Job::fold
        ///
        /// ```
        /// use bivouac::input::{Boundary, Chunks};
        /// use std::sync::atomic::{AtomicBool, Ordering};
        /// use std::sync::{Arc, Mutex};
        /// # let place = tempfile::tempdir()?; std::env::set_current_dir(&place)?;
        ///
        /// let (enough, first) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        /// let (seen, log) = (Arc::clone(&enough), Arc::clone(&first));
        /// # std::fs::write("stream", "1\n2\n")?;
        /// let chunks = Chunks::new(vec!["stream".into()], Boundary::newline()).until(enough);
        /// let ending = bivouac::over(chunks)
        ///     .map(|chunk, cx| Ok(chunk.text(cx)?))
        ///     .fold(|| 0, move |n: &mut u64, text: String| {
        ///         *n += text.lines().count() as u64;
        ///         log.lock().unwrap().push(*n);
        ///         seen.store(*n >= 2, Ordering::Relaxed); // a function of what was committed
        ///     })
        ///     .state("state")
        ///     .main();
        /// assert_eq!(*first.lock().unwrap(), [2]);
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        pub fn until(enough: Arc<AtomicBool>) => enough = Some(enough);

        /// Ends the list of tasks where this is set, whatever is left of any input. What the job answers must not depend on
        /// that, and no state may be kept: a job that is continued would list another number of tasks.
        #[doc(hidden)]
        pub fn until_found(found: Arc<AtomicBool>) => found = Some(found);

        /// Gives every chunk the header of its input ([`Chunk::header`](super::Chunk::header)).
        pub fn with_header(header: Option<Header>) => header = header;

        /// Sets the block size in bytes. The default is a sixty-fourth of all regular files, between 1 and
        /// 4 MiB: enough tasks for an even end, each long enough not to feel its overhead. A job that is continued
        /// keeps the block size that it had.
        pub fn block(bytes: Option<u64>) => wanted_block = bytes.map(|b| b.max(1));

        /// Changes the default block: `1 / parts` of all regular files, of 1 MiB to `largest` bytes.
        #[doc(hidden)]
        pub fn in_parts(parts: f64, largest: u64) => parts = (parts.max(1.0), largest.max(MIB));

        /// Makes default blocks small enough to last a quarter of a second at this rate (bytes per second);
        /// otherwise the job would go on in leaps.
        pub fn limit_rate(bytes_per_second: Option<u64>) => limit_rate = bytes_per_second;

        /// Compares files by digest, and not by sizes and times. Everything is then read twice, and the finished
        /// part again when the job is continued. A continued job keeps this setting. Streams are always compared
        /// so.
        pub fn by_contents(yes: bool) => wants_contents = yes;

        /// Names paths that were given besides these and cannot be read. They are not listed, but they are among
        /// the [`Inputs`], and a job that is continued must leave out the same ones.
        #[doc(hidden)]
        pub fn leaving_out(left_out: &[LeftOut]) => left_out = left_out.to_vec();

        /// Lists the records of a stream that have come whenever its writer pauses, for output that a reader
        /// waits for. The cut then depends on the writer, so such a job cannot be continued.
        #[doc(hidden)]
        pub fn watched(yes: bool) => is_watched = yes;
    }

    /// Says which files and streams are decompressed. Files are then cut as streams are, and a job that is continued begins at a
    /// place in them.
    #[must_use]
    pub fn decompress(mut self, which: Decompress) -> Self {
        self.decompress = which;
        self
    }

    /// Whether a job on these inputs can be continued. May be asked before the run.
    #[doc(hidden)]
    pub fn is_resumable(&self) -> bool {
        !self.is_watched || !self.paths.iter().any(|path| Stream::is_stream(path))
    }

    /// Blocks and records of a stream are kept in memory.
    fn has_room_for(&self, inputs: &[Input], block: u64) -> Result<()> {
        let Some(stream) = inputs.iter().position(|input| !matches!(input, Input::Regular(_))) else {
            return Ok(());
        };
        let too_large = |what: &str, bytes: u64| {
            let problem = format_args!("is a stream, and {what} of {bytes} bytes are not kept in memory");
            Error::usage(self.paths[stream].display(), problem)
                .advise(format_args!("make them {LONGEST} bytes at most, or read from a file"))
        };
        if block > LONGEST {
            return Err(too_large("blocks", block));
        }
        match self.boundary.fixed_size().filter(|&bytes| bytes > LONGEST) {
            Some(bytes) => Err(too_large("records", bytes)),
            None => Ok(()),
        }
    }

    fn cutting(&self, block: u64, by_contents: bool, left_out: Vec<LeftOut>) -> Cutting {
        let (paths, boundary) = (self.paths.clone(), Arc::clone(&self.boundary));
        let (is_watched, enough, found) = (self.is_watched, self.enough.clone(), self.found.clone());
        let (header, decompress) = (self.header.clone(), self.decompress);
        Cutting {
            paths,
            boundary,
            header,
            decompress,
            block,
            by_contents,
            left_out,
            is_watched,
            enough,
            found,
        }
    }

    /// The input `now`, if the record may be about it.
    fn resumed(
        &self,
        path: &Path,
        now: Input,
        stored: Stored,
        resume: impl FnOnce(Witness, Identity) -> Result<Witness>,
    ) -> Result<Input> {
        let problem = match (now, stored) {
            (stream @ Input::Stream(_), Stored::Stream { unpacked, .. })
                if unpacked == (self.decompress != Decompress::Never) =>
            {
                return Ok(stream);
            }
            (Input::Regular(now), Stored::File(then)) => return resume(now, then).map(Input::Regular),
            (Input::Packed(now, format), Stored::Packed { file, format: then }) if format == then => {
                return resume(now, file).map(|witness| Input::Packed(witness, format));
            }
            (Input::Packed(..), _) | (Input::Stream(_), Stored::Stream { unpacked: false, .. }) => {
                "is decompressed now, and was not, or in another way"
            }
            (_, Stored::Packed { .. }) | (Input::Stream(_), Stored::Stream { unpacked: true, .. }) => {
                "is read as it is now, and was decompressed"
            }
            (Input::Stream(_), Stored::File(_)) => "is a stream now, and was a file",
            (Input::Regular(_), Stored::Stream { .. }) => "is a file now, and was a stream",
        };
        Err(Error::refused(path.display(), problem)
            .advise("give the same inputs again")
            .or(Advice::StartAfresh))
    }

    fn same_header(&self, stored: Option<&str>) -> Result<()> {
        let text = |header: &Header| header.to_string();
        let (now, without) = (self.header.as_ref().map(text), "without a header");
        if now.as_deref() == stored {
            return Ok(());
        }
        let (then, now) = (stored.unwrap_or(without), now.as_deref().unwrap_or(without));
        Err(Error::refused("the state", format_args!("is about inputs {then}, not {now}"))
            .advise(Advice::SameHeader)
            .or(Advice::StartAfresh))
    }

    /// Whether records are cut as the record says. (Before 0.2 it did not say, for jobs with a single cut.)
    fn same_boundary(&self, stored: Option<&str>) -> Result<()> {
        let now = self.boundary.to_string();
        let Some(then) = stored.filter(|&then| then != now) else { return Ok(()) };
        Err(Error::refused("the state", format_args!("was begun with records cut {then}, not {now}"))
            .advise(Advice::SameBoundary)
            .or(Advice::StartAfresh))
    }
}

impl Source for Chunks {
    type Task = super::Chunk;
    type Listing = ChunkListing;

    fn files(&self) -> Vec<PathBuf> {
        self.paths.clone()
    }

    fn begin(&self) -> Result<ChunkListing> {
        if self.streams.has_taken() {
            return Err(Error::refused(
                "the input",
                "is a stream, was read to see whether its result is there, and is over",
            )
            .advise("its job is finished; give the stream again")
            .then(Advice::StartAfresh));
        }
        let inputs = look_at_all(&self.paths, self.decompress, &self.streams)?;
        let default = || default_block(&inputs, self.parts.0, self.parts.1, self.limit_rate);
        let block = self.wanted_block.unwrap_or_else(default);
        self.has_room_for(&inputs, block)?;
        let inputs = take_samples(inputs, self.wants_contents)?;
        let cutting = self.cutting(block, self.wants_contents, self.left_out.clone());
        let all = all_together(&inputs, self.decompress, &self.left_out);
        Ok(ChunkListing::new(cutting, inputs, all))
    }

    fn resume(&self, described: &Value, frontier: u64) -> Result<ChunkListing> {
        let unusable = |problem: &dyn std::fmt::Display| {
            Error::refused("inputs in the record", problem).advise(Advice::StartAfresh)
        };
        let stored = Described::deserialize(described).map_err(|e| unusable(&e))?;
        if stored.block == 0 {
            return Err(unusable(&"their blocks have 0 bytes"));
        }
        self.same_boundary(stored.records.as_deref())?;
        self.same_header(stored.header.as_deref())?;
        same_left_out(&self.left_out, &stored.left_out)?;
        let now = look_at_all(&self.paths, self.decompress, &self.streams)?;
        let block = stored.block;
        same_number(now.len(), stored.inputs.len())?;
        let by_contents = contents_as_begun(self.wants_contents, stored.contents)?;
        let (mut remarks, mut samples) = (Remarks::default(), stored.samples.into_iter());
        if let Some(wanted) = self.wanted_block.filter(|wanted| *wanted != block) {
            remarks.sentences.push(format!(
                "the job was begun with blocks of {block} bytes, and keeps them: not {wanted}"
            ));
        }
        let mut inputs = Vec::with_capacity(now.len());
        for ((now, then), path) in now.into_iter().zip(stored.inputs).zip(&self.paths) {
            let resume = |now: Witness, then| now.resumed(then, samples.next(), by_contents, &mut remarks);
            inputs.push(self.resumed(path, now, then, resume)?);
        }
        if by_contents && frontier > 0 {
            remarks.sentences.push(READS_AGAIN.to_string());
        }
        for (input, path) in inputs.iter().zip(&self.paths).filter(|_| frontier > 0) {
            if let Input::Packed(_, format @ (Format::Xz | Format::Bzip2 | Format::Lz4)) = input {
                let begins = "is decompressed again from the last place where that can begin";
                remarks.sentences.push(format!("{} ({format}) {begins}", path.display()));
            }
        }
        self.has_room_for(&inputs, block)?;
        if self.is_watched && inputs.iter().any(Input::is_stream) {
            return Err(streams_refused(Path::new("the input")));
        }
        let all = stored.all.unwrap_or_else(|| all_together(&inputs, self.decompress, &stored.left_out));
        let cutting = self.cutting(block, by_contents, stored.left_out);
        Ok(ChunkListing::new(cutting, inputs, all).at(frontier, remarks))
    }
}

fn all_together(inputs: &[Input], decompress: Decompress, left_out: &[LeftOut]) -> Inputs {
    let mut all = Inputs::besides(inputs.len(), left_out);
    for input in inputs {
        match input {
            Input::Regular(witness) => all.regular_bytes += witness.identity.size,
            Input::Packed(..) => all.all_regular = false,
            Input::Stream(stream) => {
                match stream.regular_size().filter(|_| decompress == Decompress::Never) {
                    Some(size) => all.regular_bytes += size,
                    None => all.all_regular = false,
                }
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::input::boundary::tests::naive::{RULES, Random, Rule};
    use crate::input::{Chunk, PIECE};
    use crate::task::stop_fd::StopFd;
    use crate::task::{ListContext, Listed, Listing, Mark};
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

        fn chunks(&self, boundary: Boundary) -> Chunks {
            Chunks::new(self.paths(), boundary)
        }

        /// Does something while all pipes, which the source has opened, are written to. Opened for both
        /// directions, they keep no writer waiting, whether a process reads or not.
        fn flow<T>(
            &self,
            listing: ChunkListing,
            work: impl FnOnce(ChunkListing, &ListContext<'_>) -> T,
        ) -> T {
            std::thread::scope(|scope| {
                for (path, text) in self.paths().into_iter().zip(&self.texts) {
                    if is_pipe(&path) {
                        scope.spawn(move || {
                            let both = OpenOptions::new().read(true).write(true).open(path);
                            both.unwrap().write_all(text).unwrap();
                        });
                    }
                }
                work(listing, &ListContext::endless())
            })
        }
    }

    fn described(source: &Chunks) -> Value {
        source.begin().unwrap().described().unwrap()
    }

    fn is_pipe(path: &Path) -> bool {
        path.ends_with("b") || path.ends_with("d")
    }

    fn show(listed: Listed<Chunk>) -> Shown {
        let Listed { task, bytes: covered, mark } = listed;
        let mut bytes = Vec::new();
        let mut pieces = task.pieces().unwrap();
        while let Some(piece) = pieces.next_piece().unwrap() {
            assert!(!piece.is_empty());
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

    fn show_all(listing: &mut ChunkListing, cx: &ListContext<'_>) -> Vec<Shown> {
        let mut all = Vec::new();
        while let Some(listed) = listing.next(cx).unwrap() {
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
                let source = inputs.chunks(rule.boundary()).block(Some(block as u64));
                let listing = source.begin().unwrap();
                let described = listing.described().unwrap();
                let all = inputs.flow(listing, |mut listing, cx| show_all(&mut listing, cx));
                let found: Vec<_> = all.iter().map(|(i, _, bytes, _)| (*i, bytes.clone())).collect();
                assert_eq!(found, expected(rule, &inputs.texts, block), "{} {block}", rule.boundary());
                for (i, text) in inputs.texts.iter().enumerate() {
                    assert_eq!(all.iter().filter(|task| task.0 == i && task.1).count(), 1, "one is first");
                    assert!(all.iter().filter(|task| task.0 == i).flat_map(|task| &task.2).eq(text));
                }
                for frontier in 0..=all.len() {
                    // Another block size is asked for, and the stored one is taken.
                    let again = inputs.chunks(rule.boundary()).block(Some(1000));
                    let again = again.resume(&described, frontier as u64).unwrap();
                    let (mark, rest) = inputs.flow(again, |mut again, cx| {
                        (again.mark_before(cx).unwrap(), show_all(&mut again, cx))
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
            let begun = inputs.chunks(Boundary::newline()).block(Some(6)).begin().unwrap();
            let described = begun.described().unwrap();
            let listing = inputs.chunks(Boundary::newline()).resume(&described, frontier).unwrap();
            inputs.flow(listing, |mut listing, cx| listing.mark_before(cx).unwrap())
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
        let marks = [(&b"qp"[..], &b""[..]), (b"", b"qp")].map(|(before, after)| {
            let text = [b"pppppppppp", before, &number[..], after, b"q"].concat();
            let inputs = Inputs::new(vec![b"f".to_vec(), text]);
            let source = inputs.chunks(Boundary::between(b"p", b"q").unwrap()).block(Some(10));
            let all = inputs.flow(source.begin().unwrap(), |mut listing, cx| show_all(&mut listing, cx));
            assert_eq!(all.len(), 3);
            all[2].3
        });
        assert_ne!(marks[0], marks[1]);
    }

    #[test]
    fn what_the_record_says_otherwise_is_refused() {
        let inputs = Inputs::new(vec![b"one\ntwo\n".to_vec()]);
        let described = described(&inputs.chunks(Boundary::newline()));
        let refusal = |source: &Chunks| {
            let error = source.resume(&described, 0).unwrap_err();
            assert_eq!(error.kind(), Kind::Refused);
            error.to_string()
        };
        let said = refusal(&inputs.chunks(Boundary::nul()));
        assert!(said.contains(r#"cut between "\n" and "", not between "\x00" and """#), "{said}");
        let file = inputs.paths()[0].clone();
        let said = refusal(&Chunks::new(vec![file.clone(), file.clone()], Boundary::newline()));
        assert!(said.contains("2 were given, the state is about 1"), "{said}");
        let said = refusal(&Chunks::new(vec!["-".into()], Boundary::newline()));
        assert!(said.contains("is a stream now"), "{said}");
        fs::write(&file, "one\nTWO\n").unwrap();
        refusal(&inputs.chunks(Boundary::newline()));
        let stream = self::described(&Chunks::new(vec!["-".into()], Boundary::newline()));
        let error = inputs.chunks(Boundary::newline()).resume(&stream, 0).unwrap_err();
        assert!(error.to_string().contains("is a file now"), "{error}");
    }

    /// The processor time of this thread, since the machine may be busy.
    #[test]
    fn ten_times_the_files_take_no_more_than_thirty_times_the_time() {
        let inputs = Inputs::new(vec![b"one\n".to_vec()]);
        let now = || rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        let micros = |files: usize| {
            let paths = vec![inputs.paths()[0].clone(); files];
            let mut listing = Chunks::new(paths, Boundary::newline()).begin().unwrap();
            let before = now();
            let (cx, mut tasks) = (ListContext::endless(), 0);
            while listing.next(&cx).unwrap().is_some() {
                tasks += 1;
            }
            assert_eq!(tasks, files);
            let took = now() - before;
            took.tv_sec * 1_000_000 + took.tv_nsec / 1000
        };
        let (few, many) = (micros(2000), micros(20_000));
        assert!(many < few * 30, "{many} µs, and {few} µs for a tenth of it");
    }

    #[test]
    fn a_file_that_grew_is_cut_as_it_was() {
        let inputs = Inputs::new(vec![b"one\ntwo".to_vec()]);
        let described = described(&inputs.chunks(Boundary::newline()).block(Some(2)));
        fs::write(&inputs.paths()[0], b"one\ntwo\nthree\n").unwrap();
        let mut listing = inputs.chunks(Boundary::newline()).resume(&described, 2).unwrap();
        let said = listing.sentences();
        assert!(said[0].contains("grew from 7 to 14 bytes"), "{said:?}");
        let rest = show_all(&mut listing, &ListContext::endless());
        assert_eq!(rest.iter().map(|task| &task.2[..]).collect::<Vec<_>>(), [&b"two"[..], b""]);
        let extent = listing.extent();
        assert_eq!((extent.tasks, extent.bytes, extent.bytes_before), (Some(4), Some(7), 4));
    }

    /// A finished job was looked at, and the stream is another one. What was read of it is gone.
    #[test]
    fn a_stream_that_was_read_is_not_opened_once_more() {
        let inputs = Inputs::new(vec![b"f".to_vec(), b"one\ntwo\n".to_vec()]);
        let described = described(&inputs.chunks(Boundary::newline()));
        let source = inputs.chunks(Boundary::newline());
        source.resume(&described, 1).unwrap();
        let mut begun = source.begin().unwrap();
        let resumed = source.resume(&described, 2).unwrap();
        inputs.flow(resumed, |mut listing, cx| {
            assert!(listing.mark_before(cx).unwrap().is_some());
            assert!(listing.next(cx).unwrap().is_none());
            begun.next(cx).unwrap(); // the file
            for refused in [
                begun.next(cx).map(drop),
                source.begin().map(drop),
                source.resume(&described, 1).map(drop),
                source.clone().begin().map(drop),
            ] {
                assert_eq!(refused.unwrap_err().kind(), Kind::Refused);
            }
        });
    }

    #[test]
    fn a_writer_that_comes_and_goes_before_the_job_begins_anew_is_heard() {
        let inputs = Inputs::new(vec![b"f".to_vec(), Vec::new()]);
        let described = described(&inputs.chunks(Boundary::newline()));
        let source = inputs.chunks(Boundary::newline());
        source.resume(&described, 0).unwrap();
        fs::write(&inputs.paths()[1], "one\ntwo\n").unwrap();
        let mut listing = source.begin().unwrap();
        let stop = StopFd::new().unwrap();
        let (heard, hears) = crossbeam_channel::bounded::<()>(0);
        let all = std::thread::scope(|scope| {
            // If the end of the stream is not noticed, the wait is ended here, without its chunk.
            scope.spawn(|| {
                if hears.recv_timeout(std::time::Duration::from_secs(20)).is_err_and(|e| e.is_timeout()) {
                    stop.set();
                }
            });
            let all = show_all(&mut listing, &ListContext::real(&stop));
            drop(heard);
            all
        });
        assert_eq!(all.iter().map(|task| &task.2[..]).collect::<Vec<_>>(), [&b"f"[..], b"one\ntwo\n"]);
    }

    #[test]
    fn a_stop_ends_the_wait_and_the_reading_of_what_is_done() {
        let inputs = Inputs::new(vec![b"f".to_vec(), Vec::new()]);
        let described = described(&inputs.chunks(Boundary::newline()).block(Some(1)));
        let stop = StopFd::new().unwrap();
        stop.set();
        let cx = ListContext::real(&stop);
        // The pipe has something to read all the time; a wait alone would never tell of the stop.
        let both = OpenOptions::new().read(true).write(true).open(&inputs.paths()[1]).unwrap();
        (&both).write_all(b"one\ntwo\nthree\n").unwrap();
        let resumed = |frontier| inputs.chunks(Boundary::newline()).resume(&described, frontier).unwrap();
        assert!(resumed(1).next(&cx).unwrap().is_none(), "it waits for no input");
        let mut listing = resumed(2);
        assert_eq!(listing.mark_before(&cx).unwrap(), None);
        assert!(listing.next(&cx).unwrap().is_none(), "its number would be wrong");
        // The same if it came when the listing had got to a file, which needs no wait.
        let file = inputs.paths()[..1].to_vec();
        let compared = Chunks::new(file, Boundary::newline()).by_contents(true);
        let mut listing = compared.resume(&self::described(&compared), 1).unwrap();
        assert!(listing.next(&cx).unwrap().is_none(), "its number would be wrong");
    }

    #[test]
    fn what_could_not_be_kept_in_memory_is_refused_before_anything_is_read() {
        let inputs = Inputs::new(vec![b"f".to_vec(), Vec::new()]);
        let huge = 2 << 30;
        let blocks = inputs.chunks(Boundary::newline()).block(Some(huge));
        let records = inputs.chunks(Boundary::fixed(huge).unwrap());
        for source in [blocks, records] {
            assert_eq!(source.begin().unwrap_err().kind(), Kind::Usage);
        }
        let file = inputs.paths()[..1].to_vec();
        Chunks::new(file, Boundary::fixed(huge).unwrap()).block(Some(huge)).begin().unwrap();
    }

    /// A text in which records are longer than a piece, end where a piece does, and are empty.
    #[test]
    fn pieces_end_between_records_of_any_length() {
        let mut text = Vec::new();
        for length in [PIECE - 1, PIECE, 3 * PIECE + 5, 10, PIECE - 2, 0, 2 * PIECE] {
            text.extend(std::iter::repeat_n(b'z', length));
            text.extend(b"\n>");
        }
        text.extend(b"no newline");
        let inputs = Inputs::new(vec![text.clone(), text.clone()]);
        for rule in [Rule::Between(b"\n", b""), Rule::Between(b"\n", b">"), Rule::Between(b"", b">")] {
            let is_edge = |p: usize| p == 0 || p == text.len() || rule.is_match(&text, p);
            for block in [PIECE / 2, PIECE, PIECE + 1, 4 * PIECE, 100 * PIECE] {
                let source = inputs.chunks(rule.boundary()).block(Some(block as u64));
                let mut read = Vec::new();
                inputs.flow(source.begin().unwrap(), |mut listing, cx| {
                    while let Some(Listed { task, .. }) = listing.next(cx).unwrap() {
                        let aligned = task.aligned().unwrap();
                        let mut pieces = task.pieces().unwrap();
                        while let Some(piece) = pieces.next_piece().unwrap() {
                            read.extend_from_slice(piece);
                            assert!(is_edge((read.len() - 1) % text.len() + 1), "{}", rule.boundary());
                        }
                        let is_empty = aligned.is_empty();
                        assert!(
                            is_empty || (read.len() as u64 - aligned.end).is_multiple_of(text.len() as u64)
                        );
                    }
                });
                assert!(read == [&text[..], &text[..]].concat(), "blocks of {block}");
            }
        }
    }

    /// A job on a pipe is continued with a file on standard input, say: the width of a column must not change.
    #[test]
    fn what_is_known_of_all_inputs_is_the_same_in_a_run_that_goes_on() {
        let inputs = Inputs::new(vec![b"f".to_vec(), b"stream".to_vec()]);
        let mut described = described(&inputs.chunks(Boundary::anywhere()));
        described["all"]["regular_bytes"] = 123.into();
        let listing = inputs.chunks(Boundary::anywhere()).resume(&described, 0).unwrap();
        let listed = inputs.flow(listing, |mut listing, cx| listing.next(cx).unwrap().unwrap());
        assert_eq!(listed.task.inputs.regular_bytes, 123);
    }

    #[test]
    fn a_watched_stream_is_listed_as_it_comes_and_cannot_be_continued() {
        let inputs = Inputs::new(vec![b"f".to_vec(), Vec::new()]);
        let source = inputs.chunks(Boundary::newline()).watched(true);
        assert!(!source.is_resumable() && inputs.chunks(Boundary::newline()).is_resumable());
        assert!(Chunks::new(inputs.paths()[..1].to_vec(), Boundary::newline()).watched(true).is_resumable());
        let mut listing = source.begin().unwrap();
        let cx = ListContext::endless();
        let mut next = || listing.next(&cx).unwrap().map(|listed| show(listed).2);
        assert_eq!(next().as_deref(), Some(&b"f"[..]));
        let mut pipe = OpenOptions::new().read(true).write(true).open(&inputs.paths()[1]).unwrap();
        for (written, listed) in [("one\ntwo\nth", "one\ntwo\n"), ("ree\n", "three\n"), ("\n\nx", "\n\n")] {
            pipe.write_all(written.as_bytes()).unwrap();
            assert_eq!(next().as_deref(), Some(listed.as_bytes()));
        }
        drop(OpenOptions::new().write(true).open(&inputs.paths()[1]).unwrap());
        drop(pipe);
        assert_eq!((next().as_deref(), next()), (Some(&b"x"[..]), None));
        let described = described(&inputs.chunks(Boundary::newline()));
        let refused = inputs.chunks(Boundary::newline()).watched(true).resume(&described, 0).unwrap_err();
        assert_eq!(refused.kind(), Kind::Refused);
    }
}
