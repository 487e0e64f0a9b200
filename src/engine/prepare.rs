//! Before the first thread: is there a state, is it ours, and is everything still as it says?
//!
//! The order is the protocol.
//!
//! 1. The lock comes before anything is read, since what is read without it may change. A state that is to
//!    be kept, or in which the watcher of commands needs a lock, is made for that if there is none: of two
//!    runs that begin together one finds what the other has done, or that it is at work.
//! 2. Then everything is looked at that can be refused: job, inputs, list, journal, what is kept of
//!    finished tasks, output. **Up to here nothing is written.** Whoever is refused leaves the state and
//!    the output byte for byte as they were.
//! 3. Then the output is cut back to what is committed, and a record of our own is written. (Of a new
//!    job the record comes first, since an output that no record knows is refused by the next run.)

mod copies;
mod fits;
mod known;

use crate::durable::record::{Phase, Reach, Record};
use crate::durable::spill::{Spill, look};
use crate::durable::state_dir::StateDir;
use crate::durable::store::{CheckpointStore, Location, create_state};
use crate::ending::{StoppedBy, Summary};
use crate::engine::foyer::Foyer;
use crate::engine::known_list::Outset;
use crate::engine::options::Options;
use crate::engine::source_thread::Comparison;
use crate::error::{Error, Kind, Result};
use crate::task::observer::Notice;
use crate::task::{Committed, Job, Line, ListContext, Listing, Sink, Source};
use copies::{done_again, see_journal};
use fits::is_same_job;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What there is to do.
pub(crate) enum Start<J: Job, L: Listing<Task = J::Task>> {
    /// Nothing: an earlier run finished this very job, and its output is there.
    AlreadyFinished { code: u8, summary: Summary },
    /// Nothing: somebody ended it before that was known.
    Stopped { by: StoppedBy, summary: Summary, notice: Option<&'static str> },
    /// Work.
    Go(Box<Prepared<J, L>>),
}

/// What is said before a finished output goes away, as long as one can still stop the run.
const REPLACES: &str =
    "the output of an earlier job, which is finished, is here; it is replaced when this one is finished";

/// What is said when a run is ended before it has seen whether a finished job is still what it was.
const NOT_LOOKED_AT: &str =
    "the job was finished before; whether that is still the result of these inputs was not seen";

impl<J: Job, L: Listing<Task = J::Task>> Start<J, L> {
    /// The same, with something that a person should read.
    fn saying(mut self, sentence: &str) -> Self {
        if let Start::Go(prepared) = &mut self {
            prepared.notices.push(Notice::Input(sentence.to_string()));
        }
        self
    }
}

/// What the commit thread begins with.
pub(crate) struct Prepared<J: Job, L: Listing<Task = J::Task>> {
    pub(crate) keep: CheckpointStore,
    pub(crate) total: J::Total,
    /// The list, and where it begins.
    pub(crate) outset: Outset<L>,
    /// A directory for scratch files.
    pub(crate) near: Option<PathBuf>,
    pub(crate) notices: Vec<Notice>,
}

/// See the [module](self).
pub(crate) fn prepare<J: Job, S: Source<Task = J::Task>>(
    job: &J,
    source: &S,
    sink: &mut dyn Sink,
    options: &Options,
    foyer: &Foyer<'_>,
) -> Result<Start<J, S::Listing>> {
    let opened = match open_state(options, &|| false) {
        // A run that was killed may have left its lock to the watcher of its commands.
        Err(error) if error.kind() == Kind::Busy => {
            match foyer.during(|wake| open_state(options, &|| !wake.is_awake()))? {
                Ok(opened) => opened?,
                Err(by) => return Ok(Start::Stopped { by, summary: Summary::default(), notice: None }),
            }
        }
        opened => opened?,
    };
    let Some(dir) = opened else {
        return begin(job, source, sink, options, None, Output::Unknown);
    };
    let Some(mut record) = read_unless_fresh(&dir, options)? else {
        let output = if options.fresh { Output::Ours } else { Output::Unknown };
        return begin(job, source, sink, options, Some(dir), output);
    };
    if options.printing.is_some() {
        count_in_journal(&dir, &mut record)?;
    }
    let same = is_same_job(job, &record, dir.path());
    if options.printing.is_some() && same.is_ok() {
        match record.phase {
            Phase::Working | Phase::Done { .. } => {
                return known::prepare((job, source, sink), options, foyer, dir, record);
            }
            Phase::Finalizing { .. } => {}
        }
    }
    match record.phase {
        Phase::Done { code } => {
            let again = match &same {
                Ok(()) if job.is_about_now() || !is_final(job, &record) => Again::Another,
                Ok(()) => {
                    match foyer.during(|wake| {
                        let cx = ListContext::rehearsal(wake);
                        look_again(source, sink, (&record, &cx))
                    })? {
                        Ok(again) => again?,
                        Err(by) => {
                            let notice = Some(NOT_LOOKED_AT);
                            return Ok(Start::Stopped { by, summary: summary_of(&record), notice });
                        }
                    }
                }
                Err(_) => Again::Another,
            };
            match again {
                Again::Same => Ok(Start::AlreadyFinished { code, summary: summary_of(&record) }),
                Again::Another if same.is_ok() && options.once => {
                    let how = "is of this very job, which is finished; and its list, or its output, is not what it was";
                    Err(Error::refused(dir.path().display(), how).advise(
                        "to do all of it again, use --fresh; what is new in the list, give it another output",
                    ))
                }
                Again::Another => {
                    let replaces = sink.is_published(&record.output.clone().unwrap_or_default())?;
                    let start = begin(job, source, sink, options, Some(dir), Output::Unknown)?;
                    Ok(if replaces { start.saying(REPLACES) } else { start })
                }
            }
        }
        Phase::Finalizing { code } => {
            same?;
            complete(sink, options, dir, record, code)
        }
        Phase::Working if same.is_ok() && !can_continue(&record, sink, options) => {
            begin(job, source, sink, options, Some(dir), Output::Unknown)
        }
        Phase::Working => match same.and_then(|()| source.resume(&record.inputs, record.frontier)) {
            Ok(listing) => compare_and_go_on((listing, sink), options, foyer, dir, record),
            Err(error) if error.kind() == Kind::Refused && is_untouched(&dir, &record)? => {
                begin(job, source, sink, options, Some(dir), Output::Ours)
            }
            Err(error) => Err(as_a_change(error)),
        },
    }
}

/// Whether nothing at all is done of a job that has begun: its command could not be started, say. Then
/// there is nothing to protect, and who mends the command line need not ask for permission.
fn is_untouched(dir: &StateDir, record: &Record) -> Result<bool> {
    let mut record = record.clone();
    // Of a job that acts elsewhere, also if this one does not.
    match count_in_journal(dir, &mut record) {
        Err(error) if error.kind() == Kind::Refused => return Ok(false),
        counted => counted?,
    }
    Ok(record.committed() == 0
        && record.kept() == 0
        && record.output.as_ref().is_none_or(|output| output.bytes == 0))
}

/// What ended after the last record was written, of a job whose journal is a record too.
fn count_in_journal(dir: &StateDir, record: &mut Record) -> Result<()> {
    let (run, known) = (record.run.clone(), record.journal_bytes);
    dir.journal_behind((&run, known), &mut |line| {
        let (task, done, trace) = match line {
            Line::Settled { end, trace, .. } => (end.task, end.outcome.is_done(), trace),
            Line::Delivered { task, done, trace, .. } => (task, done, trace),
            Line::Listed { tasks, trace } => {
                record.whole = Reach::at_end(tasks, trace);
                return;
            }
            Line::Of { .. } | Line::Began { .. } | Line::Ended(_) => return,
        };
        if task < record.frontier || !record.finished.insert(task) {
            return;
        }
        if !done && record.failing.insert(task) {
            record.failed += 1;
        }
        if record.reach.is_none_or(|reach| reach.task <= task) {
            record.reach = Some(Reach { task, trace });
        }
    })
}

/// Whether what was printed so far is where it can be continued. What tasks print that act elsewhere is a
/// by-product, and does not matter.
fn can_continue(record: &Record, sink: &dyn Sink, options: &Options) -> bool {
    options.printing.is_some() || record.output.as_ref().is_none_or(|output| sink.can_continue(output))
}

fn is_final<J: Job>(job: &J, record: &Record) -> bool {
    serde_json::from_value(record.total.clone()).map_or(true, |total| job.is_final(&total))
}

/// Tasks that failed are to do again: the frontier goes back to the first of them, and everything else
/// that was before it is finished beyond it.
fn forget_failed(record: &mut Record) {
    let failing = std::mem::take(&mut record.failing);
    record.failed = 0;
    let Some(first) = failing.first() else { return };
    if first < record.frontier {
        record.finished.insert_range(first, record.frontier);
        record.frontier = first;
    }
    record.finished = record.finished.without(&failing);
}

/// A finished job has more to do. What it printed has been taken by whoever it was for.
fn reopened(record: Record) -> Record {
    Record { phase: Phase::Working, output: None, tasks: None, ..record }
}

/// Whether an unfinished output that is found belongs to a job that we give up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Output {
    Ours,
    Unknown,
}

/// Opens the state and takes its lock. A passing state of a job without commands is made with its first
/// checkpoint only: most such jobs end before.
fn open_state(options: &Options, may_wait: &dyn Fn() -> bool) -> Result<Option<StateDir>> {
    let disk = &*options.disk;
    match &options.location {
        Location::Nowhere => Ok(None),
        Location::Passing(path) if !options.watch_children => {
            StateDir::open_with(disk, path, false, may_wait)
        }
        Location::Directory(path) | Location::Passing(path) => create_state(disk, path, may_wait).map(Some),
    }
}

/// With `--fresh` a damaged record is no obstacle: that is what it is for.
fn read_unless_fresh(dir: &StateDir, options: &Options) -> Result<Option<Record>> {
    if options.fresh { Ok(None) } else { dir.read_record() }
}

/// A job from its beginning. `dir` is a state that was there before: of a job that is finished, or
/// of one that is given up. Its record is not removed but replaced, so that at no instant there is an
/// output that no record knows.
fn begin<J: Job, S: Source<Task = J::Task>>(
    job: &J,
    source: &S,
    sink: &mut dyn Sink,
    options: &Options,
    dir: Option<StateDir>,
    output: Output,
) -> Result<Start<J, S::Listing>> {
    let nothing_yet = Committed::default();
    match output {
        Output::Unknown => sink.may_begin()?,
        Output::Ours => sink.may_go_on(&nothing_yet)?,
    }
    let listing = source.begin()?;
    let mut record = Record::new(job.name(), job.fingerprint(), listing.described()?);
    record.tasks = listing.extent().tasks;
    let near = options.location.path().map(Path::to_path_buf);
    let mut keep = CheckpointStore::new(record, options.location.clone(), Arc::clone(&options.disk), dir);
    keep.write_first()?;
    keep.sweep()?;
    keep.forget_journal()?;
    sink.begin((output == Output::Ours).then_some(&nothing_yet))?;
    let notices = near.iter().cloned().map(Notice::State).collect();
    let (total, outset) = (J::Total::default(), Outset::at(0, listing));
    Ok(Start::Go(Box::new(Prepared { keep, total, outset, near, notices })))
}

/// A job where the last run left it, if its inputs and its list are still what they were.
fn compare_and_go_on<J: Job, L: Listing<Task = J::Task>>(
    (listing, sink): (L, &mut dyn Sink),
    options: &Options,
    foyer: &Foyer<'_>,
    mut dir: StateDir,
    mut record: Record,
) -> Result<Start<J, L>> {
    let mut said = listing.sentences();
    said.extend(see_journal(&dir, &mut record, options)?);
    let compared = foyer.during(|wake| {
        let (spill, lost) = look(&mut dir, &mut record, wake, &mut |_, _| ())?;
        said.extend(done_again(lost));
        Ok((spill, Comparison::new(listing, &record).compare(wake)?))
    })?;
    let (spill, mut outset) = match compared {
        Ok(compared) => compared?,
        Err(by) => return Ok(Start::Stopped { by, summary: summary_of(&record), notice: None }),
    };
    outset.said = said;
    go_on(sink, options, dir, record, (spill, outset))
}

/// A job where the last run left it. All that can still be refused is its total and its output.
fn go_on<J: Job, L: Listing<Task = J::Task>>(
    sink: &mut dyn Sink,
    options: &Options,
    dir: StateDir,
    mut record: Record,
    (spill, mut outset): (Spill, Outset<L>),
) -> Result<Start<J, L>> {
    // Whether the whole total is there is checked by the record's checksum; that it is the total of
    // *this* program, only by reading it.
    // In the very first record no task has been added to the total, and it is null.
    let total = match record.total.is_null() {
        true => Ok(J::Total::default()),
        false => serde_json::from_value(record.total.clone()),
    };
    let total = total.map_err(|e| {
        Error::refused("checkpoint", format_args!("its total is not one of this job: {e}"))
            .advise("it was written by another version; start anew with --fresh")
    })?;
    let committed = record.output.clone().unwrap_or_default();
    sink.may_go_on(&committed)?;
    // Nothing can be refused any more.
    sink.begin(Some(&committed))?;
    record.frontier = record.finished.take_run(record.frontier);
    record.epoch += 1;
    let mut notices: Vec<Notice> = std::mem::take(&mut outset.said).into_iter().map(Notice::Input).collect();
    notices.push(Notice::Resumed {
        frontier: record.committed(),
        beyond: record.kept(),
        tasks: record.tasks.filter(|tasks| *tasks >= record.committed()),
    });
    let near = options.location.path().map(Path::to_path_buf);
    let (location, disk) = (options.location.clone(), Arc::clone(&options.disk));
    let mut keep = CheckpointStore::new(record, location, disk, Some(dir)).with(spill);
    keep.continue_journal()?;
    keep.write()?;
    keep.sweep()?;
    Ok(Start::Go(Box::new(Prepared { keep, total, outset, near, notices })))
}

/// An input that was there when the job began, and cannot be had now, is a change.
fn as_a_change(error: Error) -> Error {
    match error.kind() {
        Kind::Usage => error
            .with_kind(Kind::Refused)
            .advise("the job was begun with it; put it back as it was, or start anew with --fresh"),
        Kind::Refused
        | Kind::Broken
        | Kind::Busy
        | Kind::OutputClosed
        | Kind::CannotStart
        | Kind::NoSuchCommand
        | Kind::Interrupted => error,
    }
}

/// The last run had everything, and was interrupted between saying so and giving the output its
/// name. That is all there is left to do.
fn complete<J: Job, L: Listing<Task = J::Task>>(
    sink: &mut dyn Sink,
    options: &Options,
    dir: StateDir,
    mut record: Record,
    code: u8,
) -> Result<Start<J, L>> {
    let committed = record.output.clone().unwrap_or_default();
    let summary = summary_of(&record);
    let is_published = sink.is_published(&committed)?;
    if !is_published {
        sink.may_go_on(&committed)?;
    }
    record.epoch += 1;
    let (location, disk) = (options.location.clone(), Arc::clone(&options.disk));
    let mut keep = CheckpointStore::new(record, location, disk, Some(dir));
    // What was read may be a record whose own flush failed: seen now, gone after a power cut. So before
    // the output gets its name there is a record of ours that says the same.
    keep.write()?;
    if !is_published {
        sink.begin(Some(&committed))?;
        sink.publish()?;
    }
    keep.record_mut().phase = Phase::Done { code };
    keep.write()?;
    Ok(Start::AlreadyFinished { code, summary })
}

/// What a finished job looks like today.
enum Again {
    /// The same inputs, and the output as it was made.
    Same,
    /// Something else.
    Another,
}

fn look_again<S: Source>(
    source: &S,
    sink: &mut dyn Sink,
    (record, cx): (&Record, &ListContext<'_>),
) -> Result<Again> {
    let mut listing = match source.resume(&record.inputs, record.frontier) {
        Ok(listing) if listing.has_more() => return Ok(Again::Another),
        Ok(listing) => listing,
        Err(error) if error.kind() == Kind::Refused => return Ok(Again::Another),
        Err(error) => return Err(error),
    };
    let is_all = listing.mark_before(cx)? == record.mark && listing.next(cx)?.is_none();
    Ok(match is_all && sink.is_published(&record.output.clone().unwrap_or_default())? {
        true => Again::Same,
        false => Again::Another,
    })
}

fn summary_of(record: &Record) -> Summary {
    Summary {
        frontier: record.committed(),
        beyond: record.beyond.len() as u64,
        tasks: record.tasks,
        output_bytes: record.output.as_ref().map_or(0, |output| output.bytes),
        failed: record.failed,
        ..Summary::default()
    }
}
