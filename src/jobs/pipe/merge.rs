//! `--merge COMMAND`: the outputs of the chunks become one result, sixteen at a time, in a tree.
//!
//! `sort` of a chunk is no part of the sorted file, but `sort -m` of sorted chunks is the sorted file. The obvious way
//! is a second program after the job, which begins again when it is interrupted, and reads all outputs at once. Here
//! each merge is a task of the same run, after the tasks of the chunks: it waits in the same list, is committed and
//! resumed as they are, and the last one writes the output.
//!
//! ```text
//! chunks    0 … 15   16 … 31   32        the task numbers of 33 chunks
//!              │         │      │
//! merges      33        34     35
//!                 ╲      │     ╱
//!                       36               writes the output
//! ```
//!
//! The number of a task follows from the number of chunks alone, and no merge depends on which task was done first.
//! So the bytes are the same after any interruption. A merge is listed when its inputs are *committed*: then a
//! record that counts the merge counts them too, and so does one that counts a task after it.

mod feed;
mod tree;

use self::feed::feed;
use self::tree::{Merge, merge_of, merges};
use super::Pipe;
use super::outputs::To;
use super::pieces::Pieces;
use super::report::{Report, Total as Outputs};
use super::told::Told;
use crate::jobs::argv;
use crate::jobs::attempts::{Then, Waiting};
use bivouac::error::Advice;
use bivouac::input::{Chunk, ChunkListing, Chunks};
use bivouac::process::{Command, Feed};
use bivouac::{
    Context, Error, Extent, Job, LastLook, ListContext, Listed, Listing, Mark, Result as JobResult, Source,
    TaskError,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::ffi::OsString;
use std::fs::File;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd};
use std::path::PathBuf;
use std::sync::Arc;

/// The job. Its pipe keeps its outputs as pieces.
#[derive(Debug)]
pub(crate) struct Merging {
    pipe: Pipe,
    pieces: Arc<Pieces>,
    /// A shell with a script; the files are its arguments.
    command: Command,
    waiting: Waiting<(Merge, Report)>,
}

/// A unit of work.
#[derive(Debug)]
pub(crate) enum Step {
    Chunk(Chunk),
    Merge(Merge),
}

/// The report of a task.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Done {
    Chunk(Report),
    /// It has merged the outputs of these tasks. There are so many chunks.
    Merge {
        of: Range<u64>,
        chunks: u64,
        report: Report,
    },
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Total {
    /// Of what stands in the output.
    outputs: Outputs,
    /// How many chunks there are, as soon as a merge is done.
    chunks: Option<u64>,
}

impl Merging {
    /// `words` are those of a shell with its script.
    pub(crate) fn new(pipe: Pipe, pieces: Arc<Pieces>, command: Command) -> Self {
        Self { pipe, pieces, command, waiting: Waiting::default() }
    }

    fn is_merge(&self, task: u64) -> bool {
        self.pieces.chunks().is_some_and(|chunks| task >= chunks)
    }
}

impl Job for Merging {
    type Task = Step;
    type Partial = Done;
    type Total = Total;

    fn name(&self) -> &str {
        self.pipe.name()
    }

    fn fingerprint(&self) -> Value {
        let mut options = self.pipe.fingerprint();
        options["merge"] = argv::to_record(self.command.argv());
        options
    }

    fn describe(&self, fingerprint: &Value) -> Option<String> {
        super::describe(fingerprint)
    }

    fn recalls(&self, total: &Total) {
        self.pieces.set_chunks(total.chunks);
    }

    fn run(&self, step: Step, cx: &Context<'_>) -> Result<Done, TaskError> {
        match step {
            Step::Chunk(chunk) => self.pipe.run(chunk, cx).map(Done::Chunk),
            Step::Merge(merge) => self.attempt(merge, 1, cx),
        }
    }

    fn settle(&self, cx: &Context<'_>) -> Result<Done, TaskError> {
        if !self.is_merge(cx.task()) {
            return self.pipe.settle(cx).map(Done::Chunk);
        }
        let (work, suspect) = self.waiting.suspect(cx)?;
        let then = self.pipe.terms.settle(cx, *suspect);
        self.conclude(work, then, cx)
    }

    fn again(&self, cx: &Context<'_>) -> Result<Done, TaskError> {
        if !self.is_merge(cx.task()) {
            return self.pipe.again(cx).map(Done::Chunk);
        }
        let ((merge, _), attempt) = self.waiting.retry(cx)?;
        self.attempt(merge, attempt, cx)
    }

    fn accept(&self, before: &Total, done: &Done) -> JobResult<()> {
        match done {
            Done::Chunk(report) | Done::Merge { report, .. } => self.pipe.accept(&before.outputs, report),
        }
    }

    fn render(&self, before: &Total, piece: Vec<u8>) -> Vec<u8> {
        self.pipe.render(&before.outputs, piece)
    }

    fn fold(&self, total: &mut Total, done: Done, out: &mut Vec<u8>) {
        match done {
            Done::Chunk(report) => {
                self.pipe.fold(&mut total.outputs, report, out);
                self.pieces.advance(None);
            }
            Done::Merge { of, chunks, report } => {
                self.pipe.fold(&mut total.outputs, report, out);
                total.chunks = Some(chunks);
                self.pieces.advance(Some(of));
            }
        }
    }

    fn finish(&self, total: &mut Total, out: &mut Vec<u8>) {
        self.pipe.finish(&mut total.outputs, out);
    }

    fn left_out(&self, _total: &mut Total, _out: &mut Vec<u8>) {
        self.pieces.advance(None);
    }
}

impl Merging {
    fn attempt(&self, merge: Merge, attempt: u32, cx: &Context<'_>) -> Result<Done, TaskError> {
        let files = self.pieces.open(merge.of.clone())?;
        let outputs = &self.pipe.outputs;
        if files.is_empty() {
            if !merge.is_last {
                self.pieces.put_nothing(cx.task())?;
            }
            return Ok(done(&merge, Report::Plain(None)));
        }
        let told = Told::default();
        let mut to = outputs.body(if merge.is_last { &To::Output } else { &outputs.to }, cx, &told);
        let then = self.with_files(files, cx, &mut |command, feed| {
            let place = merge.to_string();
            self.pipe.terms.run(cx, command, feed, (attempt, &place, place.clone()), &mut *to)
        })?;
        drop(to);
        let report = outputs.report(&told, &merge.to_string());
        self.conclude((merge, report), then, cx)
    }

    /// Runs the command. Each file is decompressed into a pipe, and the command knows the other end by its path. So no
    /// decompressed copy takes room on the disk. In contrast to a FIFO with a name, nothing waits for ever for a command
    /// that does not open all of its files, and a second open finds the end.
    fn with_files(
        &self,
        files: Vec<(PathBuf, File)>,
        cx: &Context<'_>,
        run: &mut dyn FnMut(&Command, &Feed<'_>) -> Then,
    ) -> Result<Then, TaskError> {
        let failed = |e: std::io::Error| Error::broken("pipes", format_args!("cannot make one: {e}"));
        let (mut theirs, mut ours) = (Vec::new(), Vec::new());
        for (path, file) in files {
            let (reader, writer) = std::io::pipe().map_err(failed)?;
            theirs.push(reader);
            ours.push(feed::Input::new(path, file, writer)?);
        }
        let (over, running) = std::io::pipe().map_err(failed)?;
        let paths = theirs.iter().map(|reader| OsString::from(format!("/dev/fd/{}", reader.as_raw_fd())));
        let words = self.command.argv().map(OsString::from).chain(["sh".into()]).chain(paths);
        let command = Command::new(words).ok_or("a path has a zero byte")?;
        let command = command.variable(format!("BIVOUAC_SEQ={}", cx.task() + 1));
        let ends: Vec<_> = theirs.iter().map(AsFd::as_fd).collect();
        std::thread::scope(|scope| {
            let feeder = std::thread::Builder::new().name("merge".into());
            let feeder = feeder.spawn_scoped(scope, move || feed(ours, &over)).map_err(failed)?;
            let then = run(&command, &Feed::Files(&ends));
            drop(running);
            let fed =
                feeder.join().unwrap_or_else(|_| Err(Error::broken("merge", "its thread has panicked")));
            Ok(fed.map(|()| then)?)
        })
    }

    fn conclude(&self, work: (Merge, Report), then: Then, cx: &Context<'_>) -> Result<Done, TaskError> {
        let (done, place) = (done(&work.0, work.1.clone()), work.0.to_string());
        self.waiting.keep(cx, work, then).map(|()| done).map_err(|error| match error {
            // Without it the result would lack sixteen outputs, so it is never left out.
            TaskError::Failed(why) => {
                let command = argv::typed(&self.command);
                Error::broken(place, format_args!("{command}: {why}")).into()
            }
            TaskError::Cancelled | TaskError::Fatal(_) | TaskError::Held { .. } | TaskError::Again(_) => {
                error
            }
        })
    }
}

fn done(merge: &Merge, report: Report) -> Done {
    Done::Merge { of: merge.of.clone(), chunks: merge.chunks, report }
}

/// Chunks, and the merges of their outputs.
#[derive(Debug)]
pub(crate) struct MergeSource {
    chunks: Chunks,
    pieces: Arc<Pieces>,
}

impl MergeSource {
    pub(crate) fn new(chunks: Chunks, pieces: Arc<Pieces>) -> Self {
        Self { chunks, pieces }
    }
}

impl Source for MergeSource {
    type Task = Step;
    type Listing = MergeListing;

    fn begin(&self) -> JobResult<MergeListing> {
        self.pieces.begin_after(0, None);
        Ok(MergeListing {
            chunks: self.chunks.begin()?,
            pieces: Arc::clone(&self.pieces),
            next: 0,
            all: None,
        })
    }

    fn resume(&self, described: &Value, frontier: u64) -> JobResult<MergeListing> {
        let known = self.pieces.chunks();
        self.pieces.begin_after(frontier, known);
        let chunks = self.chunks.resume(described, known.map_or(frontier, |known| known.min(frontier)))?;
        Ok(MergeListing { chunks, pieces: Arc::clone(&self.pieces), next: frontier, all: None })
    }
}

#[derive(Debug)]
pub(crate) struct MergeListing {
    chunks: ChunkListing,
    pieces: Arc<Pieces>,
    next: u64,
    /// How many chunks there are, once they have ended.
    all: Option<u64>,
}

impl MergeListing {
    /// The next chunk. `None` at their end, which is noted, and at a stop, which is not.
    fn chunk(&mut self, cx: &ListContext<'_>) -> JobResult<Option<Listed<Step>>> {
        let known = self.pieces.chunks().filter(|known| *known <= self.next);
        match (self.chunks.next(cx)?, known) {
            (Some(_), Some(known)) if !cx.is_rehearsal() => Err(Error::refused(
                "the input",
                format_args!("has more than the {known} chunks that were merged"),
            )
            .advise(Advice::StartAfresh)),
            (Some(Listed { task, bytes, mark }), _) => {
                self.next += 1;
                Ok(Some(Listed { task: Step::Chunk(task), bytes, mark }))
            }
            (None, _) if cx.is_stopped() => Ok(None),
            (None, known) => {
                let all = known.unwrap_or(self.next);
                self.all = Some(all);
                self.pieces.set_chunks(Some(all));
                Ok(None)
            }
        }
    }
}

impl Listing for MergeListing {
    type Task = Step;

    delegate::delegate! {
        to self.chunks {
            fn described(&self) -> JobResult<Value>;
            fn sentences(&self) -> Vec<String>;
            fn go_to(&mut self, mark: Mark);
            fn mark_before(&mut self, cx: &ListContext<'_>) -> JobResult<Option<Mark>>;
            fn what_changed(&self) -> String;
            fn is_stream(&self) -> bool;
            fn has_more(&self) -> bool;
            fn last_look(&self) -> Option<LastLook>;
        }
    }

    fn next(&mut self, cx: &ListContext<'_>) -> JobResult<Option<Listed<Step>>> {
        if self.all.is_none()
            && let Some(chunk) = self.chunk(cx)?
        {
            return Ok(Some(chunk));
        }
        let Some(merge) = self.all.and_then(|all| merge_of(all, self.next)) else { return Ok(None) };
        if !cx.is_rehearsal() && !self.pieces.wait_for(merge.of.end, cx)? {
            return Ok(None);
        }
        self.next += 1;
        Ok(Some(Listed { task: Step::Merge(merge), bytes: 0, mark: None }))
    }

    fn holds(&self, step: &Step) -> u64 {
        match step {
            Step::Chunk(chunk) => self.chunks.holds(chunk),
            Step::Merge(_) => 0,
        }
    }

    /// Bytes of input say nothing of merges, so tasks are counted.
    fn extent(&self) -> Extent {
        let Extent { tasks, bytes_before, .. } = self.chunks.extent();
        Extent { tasks: tasks.map(|chunks| chunks + merges(chunks)), bytes: None, bytes_before }
    }
}
