//! Files and streams cut into chunks of whole records, for jobs that can be continued on both.
//!
//! Of files this lists what [`Chunks`](super::Chunks) lists, with any [`Boundary`] between records: by
//! arithmetic, without reading, from any task on.
//!
//! A stream has no positions, and the obvious way is to say so: a job on it cannot be continued. But
//! mostly the same stream can be had again, at some cost: `zcat`, a query, a download. So a run that
//! goes on reads again what is done already, forgets it, and goes on behind it; all it saves is the
//! work, which is what took the time. Whether it *is* the same stream must be known before a byte of
//! it is used, so a running digest over all chunks of streams, the [`Mark`](crate::Mark), stands in the record
//! beside the frontier. Another stream is refused; one that differs behind the frontier only is as
//! good as the old one, since nothing that was made of the difference is kept.
//!
//! The cut of a stream must be the same in every run; how that is done is the subject of
//! [`streamed`](super::streamed).

mod listing;

use self::listing::RecordListing;
use super::boundary::Boundary;
use super::edges::RecordChunk;
use super::once::Streams;
use super::path_text;
use super::resolved::{
    Input, MIB, contents_as_begun, default_block, look_at_all, reads_again, same_number, take_samples,
};
use super::streamed::LONGEST;
use super::witness::identity::Identity;
use super::witness::sample::Sample;
use super::witness::{Remarks, Witness};
use crate::error::{Error, Result};
use crate::task::Source;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Fewer and larger blocks than where the program itself looks at the bytes, since every chunk starts a
/// command: 256 MiB through `jq` take 7.1 s in 64 blocks and 5.9 s in 16, and with blocks of a mebibyte
/// the starts of `grep` were two thirds of the time.
const PARTS: u64 = 16;
const LARGEST_BLOCK: u64 = 16 * MIB;

/// Files and streams, to be listed as [`RecordChunk`]s.
///
/// Blocks inside a record that is longer than a block are empty chunks if they are of a file, and
/// are not listed if they are of a stream.
#[derive(Clone, Debug)]
pub struct Records {
    paths: Vec<PathBuf>,
    boundary: Arc<Boundary>,
    /// What the user asked for.
    wanted_block: Option<u64>,
    limit_rate: Option<u64>,
    wants_contents: bool,
    streams: Streams,
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
            streams: Streams::default(),
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

    /// Blocks and records of a stream are kept in memory.
    fn has_room_for(&self, inputs: &[Input], block: u64) -> Result<()> {
        let Some(stream) = inputs.iter().position(Input::is_stream) else { return Ok(()) };
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

    /// The input `now`, if the record may be about it.
    fn resumed(
        path: &Path,
        now: Input,
        stored: Stored,
        resume: impl FnOnce(Witness, Identity) -> Result<Witness>,
    ) -> Result<Input> {
        let problem = match (now, stored) {
            (stream @ Input::Stream(_), Stored::Stream { .. }) => return Ok(stream),
            (Input::Regular(now), Stored::File(then)) => return resume(now, then).map(Input::Regular),
            (Input::Stream(_), Stored::File(_)) => "is a stream now, and was a file",
            (Input::Regular(_), Stored::Stream { .. }) => "is a file now, and was a stream",
        };
        Err(Error::refused(path.display(), problem)
            .advise("give the same inputs again, or use --fresh to start over"))
    }
}

impl Source for Records {
    type Task = RecordChunk;
    type Listing = RecordListing;

    fn begin(&self) -> Result<RecordListing> {
        if self.streams.has_taken() {
            return Err(Error::refused(
                "the input",
                "is a stream; it was read to see whether its result is there, which it is not, \
                 and cannot be read twice",
            )
            .advise("the state is that of a finished job; give the stream again with --fresh"));
        }
        let inputs = look_at_all(&self.paths, &self.streams)?;
        let default = || default_block(&inputs, PARTS, LARGEST_BLOCK, self.limit_rate);
        let block = self.wanted_block.unwrap_or_else(default);
        self.has_room_for(&inputs, block)?;
        let inputs = take_samples(inputs, self.wants_contents)?;
        Ok(RecordListing::new(self, inputs, block, self.wants_contents))
    }

    fn resume(&self, described: &Value, frontier: u64) -> Result<RecordListing> {
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
        let now = look_at_all(&self.paths, &self.streams)?;
        same_number(now.len(), stored.inputs.len())?;
        let by_contents = contents_as_begun(self.wants_contents, stored.contents)?;
        let (mut remarks, mut samples) = (Remarks::default(), stored.samples.into_iter());
        if let Some(wanted) = self.wanted_block.filter(|wanted| *wanted != stored.block) {
            let block = stored.block;
            remarks.sentences.push(format!(
                "the job was begun with blocks of {block} bytes, and keeps them: not {wanted}"
            ));
        }
        let mut inputs = Vec::with_capacity(now.len());
        for ((now, then), path) in now.into_iter().zip(stored.inputs).zip(&self.paths) {
            let resume = |now: Witness, then| now.resumed(then, samples.next(), by_contents, &mut remarks);
            inputs.push(Self::resumed(path, now, then, resume)?);
        }
        if by_contents && frontier > 0 {
            remarks.sentences.push(reads_again());
        }
        self.has_room_for(&inputs, stored.block)?;
        Ok(RecordListing::new(self, inputs, stored.block, by_contents).at(frontier, remarks))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::input::boundary::naive::{RULES, Random, Rule};
    use crate::task::stop_fd::Wake;
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

        fn records(&self, boundary: Boundary) -> Records {
            Records::new(self.paths(), boundary)
        }

        /// Does something while all pipes, which the source has opened, are written to. Opened for both
        /// directions, they keep no writer waiting, whether anybody reads or not.
        fn flow<T>(
            &self,
            listing: RecordListing,
            work: impl FnOnce(RecordListing, &ListContext<'_>) -> T,
        ) -> T {
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
                work(listing, &ListContext::real(&wake))
            })
        }
    }

    fn described(source: &Records) -> Value {
        source.begin().unwrap().described().unwrap()
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

    fn show_all(listing: &mut RecordListing, cx: &ListContext<'_>) -> Vec<Shown> {
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
                let source = inputs.records(rule.boundary()).block(Some(block as u64));
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
                    let again = inputs.records(rule.boundary()).block(Some(1000));
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
            let begun = inputs.records(Boundary::newline()).block(Some(6)).begin().unwrap();
            let described = begun.described().unwrap();
            let listing = inputs.records(Boundary::newline()).resume(&described, frontier).unwrap();
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
        let marks = [(&b"qp"[..], &b""[..]), (b"", b"qp")].map(|(before, behind)| {
            let text = [b"pppppppppp", before, &number[..], behind, b"q"].concat();
            let inputs = Inputs::new(vec![b"f".to_vec(), text]);
            let source = inputs.records(Boundary::between(b"p", b"q").unwrap()).block(Some(10));
            let all = inputs.flow(source.begin().unwrap(), |mut listing, cx| show_all(&mut listing, cx));
            assert_eq!(all.len(), 3);
            all[2].3
        });
        assert_ne!(marks[0], marks[1]);
    }

    #[test]
    fn what_the_record_says_otherwise_is_refused() {
        let inputs = Inputs::new(vec![b"one\ntwo\n".to_vec()]);
        let described = described(&inputs.records(Boundary::newline()));
        let refusal = |source: &Records| {
            let error = source.resume(&described, 0).unwrap_err();
            assert_eq!(error.kind(), Kind::Refused);
            error.to_string()
        };
        let said = refusal(&inputs.records(Boundary::nul()));
        assert!(said.contains(r#"cut between "\n" and "", not between "\x00" and """#), "{said}");
        let file = inputs.paths()[0].clone();
        let said = refusal(&Records::new(vec![file.clone(), file.clone()], Boundary::newline()));
        assert!(said.contains("2 were given, the state is about 1"), "{said}");
        let said = refusal(&Records::new(vec!["-".into()], Boundary::newline()));
        assert!(said.contains("is a stream now"), "{said}");
        fs::write(&file, "one\nTWO\n").unwrap();
        refusal(&inputs.records(Boundary::newline()));
        let stream = self::described(&Records::new(vec!["-".into()], Boundary::newline()));
        let error = inputs.records(Boundary::newline()).resume(&stream, 0).unwrap_err();
        assert!(error.to_string().contains("is a file now"), "{error}");
    }

    #[test]
    fn a_file_that_grew_is_cut_as_it_was() {
        let inputs = Inputs::new(vec![b"one\ntwo".to_vec()]);
        let described = described(&inputs.records(Boundary::newline()).block(Some(2)));
        fs::write(&inputs.paths()[0], b"one\ntwo\nthree\n").unwrap();
        let mut listing = inputs.records(Boundary::newline()).resume(&described, 2).unwrap();
        let said = listing.sentences();
        assert!(said[0].contains("grew from 7 to 14 bytes"), "{said:?}");
        let wake = Wake::new().unwrap();
        let rest = show_all(&mut listing, &ListContext::real(&wake));
        assert_eq!(rest.iter().map(|task| &task.2[..]).collect::<Vec<_>>(), [&b"two"[..], b""]);
        let extent = listing.extent();
        assert_eq!((extent.tasks, extent.bytes, extent.bytes_before), (Some(4), Some(7), 4));
    }

    /// A finished job was looked at, and the stream is another one. What was read of it is gone, so the
    /// job cannot begin anew behind it.
    #[test]
    fn a_stream_that_was_read_is_not_opened_once_more() {
        let inputs = Inputs::new(vec![b"f".to_vec(), b"one\ntwo\n".to_vec()]);
        let described = described(&inputs.records(Boundary::newline()));
        let source = inputs.records(Boundary::newline());
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
        let described = described(&inputs.records(Boundary::newline()));
        let source = inputs.records(Boundary::newline());
        source.resume(&described, 0).unwrap();
        fs::write(&inputs.paths()[1], "one\ntwo\n").unwrap();
        let mut listing = source.begin().unwrap();
        let wake = Wake::new().unwrap();
        let (heard, hears) = crossbeam_channel::bounded::<()>(0);
        let all = std::thread::scope(|scope| {
            // If the end of the stream is not noticed, the wait is ended here, without its chunk.
            scope.spawn(|| {
                if hears.recv_timeout(std::time::Duration::from_secs(20)).is_err_and(|e| e.is_timeout()) {
                    wake.wake();
                }
            });
            let all = show_all(&mut listing, &ListContext::real(&wake));
            drop(heard);
            all
        });
        assert_eq!(all.iter().map(|task| &task.2[..]).collect::<Vec<_>>(), [&b"f"[..], b"one\ntwo\n"]);
    }

    #[test]
    fn a_stop_ends_the_wait_and_the_reading_of_what_is_done() {
        let inputs = Inputs::new(vec![b"f".to_vec(), Vec::new()]);
        let described = described(&inputs.records(Boundary::newline()).block(Some(1)));
        let wake = Wake::new().unwrap();
        wake.wake();
        let cx = ListContext::real(&wake);
        // The pipe has something to read all the time; a wait alone would never tell of the stop.
        let both = OpenOptions::new().read(true).write(true).open(&inputs.paths()[1]).unwrap();
        (&both).write_all(b"one\ntwo\nthree\n").unwrap();
        let resumed = |frontier| inputs.records(Boundary::newline()).resume(&described, frontier).unwrap();
        assert!(resumed(1).next(&cx).unwrap().is_none(), "it waits for no input");
        let mut listing = resumed(2);
        assert_eq!(listing.mark_before(&cx).unwrap(), None);
        assert!(listing.next(&cx).unwrap().is_none(), "its number would be wrong");
        // The same if it came when the listing had got to a file, for which nobody waits.
        let file = inputs.paths()[..1].to_vec();
        let compared = Records::new(file, Boundary::newline()).by_contents(true);
        let mut listing = compared.resume(&self::described(&compared), 1).unwrap();
        assert!(listing.next(&cx).unwrap().is_none(), "its number would be wrong");
    }

    #[test]
    fn what_could_not_be_kept_in_memory_is_refused_before_anything_is_read() {
        let inputs = Inputs::new(vec![b"f".to_vec(), Vec::new()]);
        let huge = 2 << 30;
        let blocks = inputs.records(Boundary::newline()).block(Some(huge));
        let records = inputs.records(Boundary::fixed(huge).unwrap());
        for source in [blocks, records] {
            assert_eq!(source.begin().unwrap_err().kind(), Kind::Usage);
        }
        let file = inputs.paths()[..1].to_vec();
        Records::new(file, Boundary::fixed(huge).unwrap()).block(Some(huge)).begin().unwrap();
    }
}
