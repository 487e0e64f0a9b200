//! Before the first thread: is there a state, is it ours, and is everything still as it says?
//!
//! The order is the protocol. The lock comes before anything is read, since what is read without it
//! may change. The record of a new job is written before its output is made, since an output that no
//! record knows is refused by the next run. The output is cut back to what is committed before the
//! first task runs.

use crate::checkpoint::{Phase, Reach, Record};
use crate::ending::{StoppedBy, Summary};
use crate::error::{Error, Kind, Result};
use crate::foyer::Foyer;
use crate::job::{Committed, Job, Listing, Sink, Source};
use crate::journal::Line;
use crate::keep::{Keep, Place, make_parent};
use crate::known_list::{Ahead, compare};
use crate::observer::Notice;
use crate::run::{Options, StateAt};
use crate::state_dir::StateDir;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What there is to do.
pub(crate) enum Start<T, K> {
    /// Nothing: an earlier run finished this very job, and its output is there.
    AlreadyFinished { code: u8, summary: Summary },
    /// Nothing: somebody ended it before that was known.
    Stopped { by: StoppedBy, summary: Summary },
    /// Work.
    Go(Box<Prepared<T, K>>),
}

/// What is said before a finished output goes away, as long as one can still stop the run.
const REPLACES: &str =
    "the output of an earlier job, which is finished, is here; it is replaced when this one is finished";

/// What is said before a finished job is forgotten.
const ANOTHER_LIST: &str = "the job on record is finished, and this is another list: a new job begins";

impl<T, K> Start<T, K> {
    /// The same, with something that a person should read.
    fn saying(mut self, sentence: &str) -> Self {
        if let Start::Go(prepared) = &mut self {
            prepared.notices.push(Notice::Input(sentence.to_string()));
        }
        self
    }
}

/// What the commit thread begins with.
pub(crate) struct Prepared<T, K> {
    pub(crate) keep: Keep,
    pub(crate) total: T,
    /// How far the list was looked through, of a job whose list may change.
    pub(crate) list: Option<Ahead<K>>,
    /// A directory for scratch files.
    pub(crate) near: Option<PathBuf>,
    pub(crate) notices: Vec<Notice>,
}

/// See the [module](self).
pub(crate) fn prepare<J: Job, S: Source<Task = J::Task>>(
    job: &J,
    source: &mut S,
    sink: &mut dyn Sink,
    options: &Options,
    foyer: &Foyer<'_>,
) -> Result<Start<J::Total, J::Task>> {
    let Some(dir) = open_existing(options)? else {
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
                return known(job, source, sink, options, (dir, record), foyer);
            }
            Phase::Finalizing { .. } => {}
        }
    }
    match record.phase {
        Phase::Done { code } => {
            let again = match &same {
                Ok(()) if job.is_about_now() => Again::Another,
                Ok(()) => match foyer.during(|listing| look_again(source, sink, (&record, listing)))? {
                    Ok(again) => again?,
                    Err(by) => return Ok(Start::Stopped { by, summary: summary_of(&record) }),
                },
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
            complete(sink, dir, record, code)
        }
        Phase::Working if same.is_ok() && !can_continue(&record, sink, options) => {
            begin(job, source, sink, options, Some(dir), Output::Unknown)
        }
        Phase::Working => {
            let fits = same.and_then(|()| source.restore(&record.inputs, record.frontier).map(drop));
            if fits.is_err_and(|error| error.kind() == Kind::Refused) && is_untouched(&dir, &record)? {
                return begin(job, source, sink, options, Some(dir), Output::Ours);
            }
            is_same_job(job, &record, dir.path())?;
            go_on(source, sink, options, dir, (record, None))
        }
    }
}

/// A job that acts elsewhere, of which there is a record. What was done cannot be undone, so it is not done
/// again because a list has changed: what is new is done, what is done may be gone, and everything else is
/// refused, unless the job on record is finished; then another list is another job.
fn known<J: Job, S: Source<Task = J::Task>>(
    job: &J,
    source: &mut S,
    sink: &mut dyn Sink,
    options: &Options,
    (dir, mut record): (StateDir, Record),
    foyer: &Foyer<'_>,
) -> Result<Start<J::Total, J::Task>> {
    let found = record.clone();
    let finished = match record.phase {
        Phase::Done { code } => Some(code),
        Phase::Working | Phase::Finalizing { .. } => None,
    };
    if options.retry_failed && !record.failing.is_empty() {
        forget_failed(&mut record);
    }
    let state = dir.path().to_path_buf();
    let compared = foyer.during(|listing| {
        let mut compared = compare(source, &mut record, &state, listing)?;
        if let (Ok(ahead), true) = (&mut compared, finished.is_some()) {
            ahead.look_for_more(source, listing)?;
        }
        Ok(compared)
    })?;
    let compared = match compared {
        Ok(compared) => compared.map_err(as_a_change)?,
        Err(by) => return Ok(Start::Stopped { by, summary: summary_of(&found) }),
    };
    match (compared, finished) {
        (Ok(list), Some(code)) if list.is_linked() && list.left.is_empty() && !list.forgot_failed => {
            Ok(Start::AlreadyFinished { code, summary: summary_of(&found) })
        }
        (Ok(list), Some(_)) if list.is_linked() => {
            go_on(source, sink, options, dir, (reopened(record), Some(list)))
        }
        (Ok(_) | Err(_), Some(_)) => {
            let sentence = format!("{}: {ANOTHER_LIST}", state.display());
            let start = begin(job, source, sink, options, Some(dir), Output::Unknown)?;
            Ok(start.saying(&sentence))
        }
        (Ok(list), None) => go_on(source, sink, options, dir, (record, Some(list))),
        (Err(_), None) if is_untouched(&dir, &found)? => {
            begin(job, source, sink, options, Some(dir), Output::Ours)
        }
        (Err(error), None) => Err(error),
    }
}

/// Whether nothing at all is done of a job that has begun: its command could not be started, say. Then
/// there is nothing to protect, and who mends the command line need not ask for permission.
fn is_untouched(dir: &StateDir, record: &Record) -> Result<bool> {
    let mut record = record.clone();
    // Of a job that acts elsewhere, also if this one does not.
    count_in_journal(dir, &mut record)?;
    Ok(record.committed() == 0
        && record.beyond.is_empty()
        && record.output.as_ref().is_none_or(|output| output.bytes == 0))
}

/// What ended after the last record was written, of a job whose journal is a record too.
fn count_in_journal(dir: &StateDir, record: &mut Record) -> Result<()> {
    let (run, known) = (record.run.clone(), record.journal_bytes);
    dir.journal_behind((&run, known), &mut |line| {
        let Line::Settled { end, trace, .. } = line else { return };
        if end.task < record.frontier || !record.finished.insert(end.task) {
            return;
        }
        if !end.outcome.is_done() && record.failing.insert(end.task) {
            record.failed += 1;
        }
        if record.reach.is_none_or(|reach| reach.task <= end.task) {
            record.reach = Some(Reach { task: end.task, trace });
        }
    })
}

/// Whether what was printed so far is where it can be continued. What tasks print that act elsewhere is a
/// by-product, and does not matter.
fn can_continue(record: &Record, sink: &dyn Sink, options: &Options) -> bool {
    options.printing.is_some() || record.output.as_ref().is_none_or(|output| sink.can_continue(output))
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

/// Opens the state, if there is one, and takes its lock.
fn open_existing(options: &Options) -> Result<Option<StateDir>> {
    match &options.state {
        StateAt::Nowhere => Ok(None),
        StateAt::Directory(path) | StateAt::Passing(path) => StateDir::open(&*options.disk, path),
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
    source: &mut S,
    sink: &mut dyn Sink,
    options: &Options,
    dir: Option<StateDir>,
    output: Output,
) -> Result<Start<J::Total, J::Task>> {
    if output == Output::Unknown {
        sink.may_begin()?;
    }
    let mut record = Record::new(job.name(), job.fingerprint(), source.describe()?);
    record.tasks = source.extent().tasks;
    let (place, near) = match (&options.state, dir) {
        (StateAt::Nowhere, _) => (Place::Nowhere, None),
        (StateAt::Directory(path), Some(dir)) => (Place::Here { dir, passing: false }, Some(path)),
        (StateAt::Passing(path), Some(dir)) => (Place::Here { dir, passing: true }, Some(path)),
        (StateAt::Directory(path), None) => {
            make_parent(&*options.disk, path)?;
            let dir = StateDir::create(&*options.disk, path)?;
            (Place::Here { dir, passing: false }, Some(path))
        }
        (StateAt::Passing(path), None) => {
            (Place::Later { disk: Arc::clone(&options.disk), path: path.clone() }, Some(path))
        }
    };
    let near = near.cloned();
    let mut keep = Keep::new(record, place);
    keep.write_if_here()?;
    keep.sweep()?;
    keep.forget_journal()?;
    let nothing_yet = Committed::default();
    sink.begin((output == Output::Ours).then_some(&nothing_yet))?;
    let notices = near.iter().cloned().map(Notice::State).collect();
    let list = options.printing.map(|_| Ahead::at(0));
    Ok(Start::Go(Box::new(Prepared { keep, total: J::Total::default(), list, near, notices })))
}

/// A job where the last run left it.
fn go_on<S: Source, T: DeserializeOwned + Default>(
    source: &mut S,
    sink: &mut dyn Sink,
    options: &Options,
    dir: StateDir,
    (mut record, list): (Record, Option<Ahead<S::Task>>),
) -> Result<Start<T, S::Task>> {
    let said = match &list {
        // Compared, and just before the first task that is to be listed.
        Some(list) => list.said.clone(),
        None => source.restore(&record.inputs, record.frontier).map_err(as_a_change)?,
    };
    let mut notices: Vec<Notice> = said.into_iter().map(Notice::Input).collect();
    // Whether the whole total is there is checked by the record's checksum; that it is the total of
    // *this* program, only by reading it.
    // In the very first record no task has been added to the total, and it is null.
    let total = match record.total.is_null() {
        true => Ok(T::default()),
        false => serde_json::from_value(record.total.clone()),
    };
    let total = total.map_err(|e| {
        Error::refused("checkpoint", format_args!("its total is not one of this job: {e}"))
            .advise("it was written by another version; start anew with --fresh")
    })?;
    sink.begin(Some(record.output.as_ref().unwrap_or(&Committed::default())))?;
    record.frontier = record.finished.take_run(record.frontier);
    record.epoch += 1;
    notices.push(Notice::Resumed {
        frontier: record.committed(),
        beyond: record.beyond.len() as u64,
        tasks: record.tasks,
    });
    let (passing, path) = match &options.state {
        StateAt::Directory(path) => (false, Some(path)),
        StateAt::Passing(path) => (true, Some(path)),
        StateAt::Nowhere => (true, None),
    };
    let near = path.cloned();
    let mut keep = Keep::new(record, Place::Here { dir, passing });
    keep.check_journal()?;
    keep.write()?;
    keep.sweep()?;
    Ok(Start::Go(Box::new(Prepared { keep, total, list, near, notices })))
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
fn complete<T, K>(sink: &mut dyn Sink, dir: StateDir, mut record: Record, code: u8) -> Result<Start<T, K>> {
    let committed = record.output.clone().unwrap_or_default();
    let summary = summary_of(&record);
    record.epoch += 1;
    let mut keep = Keep::new(record, Place::Here { dir, passing: false });
    // What was read may be a record whose own flush failed: seen now, gone after a power cut. So before
    // the output gets its name there is a record of ours that says the same.
    keep.write()?;
    if !sink.is_published(&committed)? {
        sink.begin(Some(&committed))?;
        sink.publish()?;
    }
    keep.record_mut().phase = Phase::Done { code };
    keep.write()?;
    Ok(Start::AlreadyFinished { code, summary })
}

fn is_same_job<J: Job>(job: &J, record: &Record, state: &Path) -> Result<()> {
    let difference = if record.job != job.name() {
        format!("the state belongs to another job: it was made by `{}`, not by `{}`", record.job, job.name())
    } else if record.fingerprint != job.fingerprint() {
        let (was, is) = (job.describe(&record.fingerprint), job.describe(&job.fingerprint()));
        let differences = match (was, is) {
            (Some(was), Some(is)) => format!("it was made with {was}, not with {is}"),
            (_, _) => {
                let mut differences = Vec::new();
                differ("", &record.fingerprint, &job.fingerprint(), &mut differences);
                differences.join("; ")
            }
        };
        format!("the state belongs to the same job with other options: {differences}")
    } else {
        return Ok(());
    };
    Err(Error::refused(state.display(), difference)
        .advise("use another output or --state, or discard what was done with --fresh"))
}

/// Names every place in which two descriptions differ, with what was there and what is.
fn differ(place: &str, was: &Value, is: &Value, differences: &mut Vec<String>) {
    match (was, is) {
        (Value::Object(was), Value::Object(is)) => {
            let names: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
            for name in names {
                let place = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
                let of = |object: &Map<String, Value>| object.get(name).cloned().unwrap_or_default();
                differ(&place, &of(was), &of(is), differences);
            }
        }
        (was, is) if was == is => {}
        (was, is) => differences.push(format!("{place} was {was} and is {is}")),
    }
}

/// What a finished job looks like today.
enum Again {
    /// The same inputs, and the output as it was made.
    Same,
    /// Something else.
    Another,
}

fn look_again<S: Source>(
    source: &mut S,
    sink: &mut dyn Sink,
    (record, listing): (&Record, &Listing<'_>),
) -> Result<Again> {
    match source.restore(&record.inputs, record.frontier) {
        Ok(_) if source.has_more() => return Ok(Again::Another),
        Ok(_) => {}
        Err(error) if error.kind() == Kind::Refused => return Ok(Again::Another),
        Err(error) => return Err(error),
    }
    let is_all = source.mark_before(listing)? == record.mark && source.next(listing)?.is_none();
    Ok(match is_all && sink.is_published(&record.output.clone().unwrap_or_default())? {
        true => Again::Same,
        false => Again::Another,
    })
}

fn summary_of(record: &Record) -> Summary {
    Summary {
        frontier: record.committed(),
        tasks: record.tasks,
        output_bytes: record.output.as_ref().map_or(0, |output| output.bytes),
        failed: record.failed,
        ..Summary::default()
    }
}
