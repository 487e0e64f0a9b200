//! Finds the state of an earlier run, and carries out the [plan](crate::engine::plan) for it.
//!
//! The order is the protocol.
//!
//! 1. Take the lock, because anything that is read without it may change. If the state does not exist, and is to be
//!    kept or the watcher of commands needs a lock, make its directory first. So of two runs that begin together, the
//!    second one finds the first at work, or its result.
//! 2. Check everything that can be refused: the record and its journal, the job, the inputs, the stored results of
//!    finished tasks, the output. **Up to here nothing is written.** A refusal leaves state and output byte for
//!    byte as they were.
//! 3. Carry out the plan: truncate the output after the last committed byte, and write a record of this run. (A new
//!    job writes its record first: the next run would refuse an output that no record knows.)

mod compare;
mod copies;
mod fits;
mod found;
mod recheck;

pub(crate) use fits::is_same_job;
pub(crate) use recheck::Interruptible;

use crate::durable::record::{Phase, Record};
use crate::durable::spill::Spill;
use crate::durable::state_dir::StateDir;
use crate::durable::store::CheckpointStore;
use crate::ending::{StoppedBy, Summary};
use crate::engine::known_list::Outset;
use crate::engine::options::Options;
use crate::engine::plan::{Asked, Finding, Over, Plan, TaskKind, Why, plan};
use crate::error::{Advice, Error, Result};
use crate::task::erased::{AnyJob, AnySource, AnyTotal};
use crate::task::observer::Notice;
use crate::task::{Committed, Sink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The work that is left to do.
pub(crate) enum Prepared {
    /// Nothing: an earlier run finished this very job, and its output is there.
    AlreadyDone { code: u8, summary: Summary, total: Option<Box<dyn AnyTotal>> },
    /// Nothing: a signal or the time budget ended the comparison.
    Stopped { by: StoppedBy, summary: Summary, notice: Option<&'static str> },
    /// All or some of it.
    Ready(Box<StartingPoint>),
}

/// The state from which the threads of a run begin.
pub(crate) struct StartingPoint {
    pub(crate) store: CheckpointStore,
    pub(crate) total: Box<dyn AnyTotal>,
    /// The list, and where it begins.
    pub(crate) outset: Outset,
    /// A directory for scratch files.
    pub(crate) near: Option<PathBuf>,
    pub(crate) notices: Vec<Notice>,
}

/// Said before a finished output goes away, while the run can still be stopped.
const REPLACES: &str = "the output of a finished job is here; this job will replace it";

/// Said before a finished job is forgotten. Its commands may have done what those of the new one do again.
const ANOTHER_LIST: &str = "this is another list, and a new job";
const ANOTHER_LINE: &str = "this one has other options, and is a new job";

/// Said when a run ends before it has compared a finished job with its inputs and output.
const NOT_LOOKED_AT: &str = "had finished; this run ended before it compared the inputs and the output";

/// A job that is about to begin or to continue, and the findings about it.
struct Case<'a> {
    job: &'a dyn AnyJob,
    /// Of no task.
    total: Box<dyn AnyTotal>,
    source: &'a mut dyn AnySource,
    sink: &'a mut dyn Sink,
    options: &'a Options,
    asked: Asked,
    found: Finding,
    /// The state, once it is locked.
    dir: Option<StateDir>,
    /// The earlier run, if there is a record.
    past: Option<PastRun>,
    /// The error for each possible refusal.
    refusals: Vec<(Why, Error)>,
}

/// The earlier run, by its record.
struct PastRun {
    /// The record as it was found.
    was: Record,
    /// The record from which this run goes on.
    record: Record,
    total: Option<Box<dyn AnyTotal>>,
    /// The result of the comparison: stored results of tasks, and the list.
    checked: Option<(Spill, Outset)>,
}

pub(crate) fn prepare(
    (job, total): (&dyn AnyJob, Box<dyn AnyTotal>),
    source: &mut dyn AnySource,
    sink: &mut dyn Sink,
    options: &Options,
    (interruptible, tell): (&Interruptible<'_>, &mut dyn FnMut(&Notice)),
) -> Result<Prepared> {
    let asked = Asked { fresh: options.fresh, tasks: options.effects.kind() };
    let (found, dir, past, refusals) = (Finding::NoState, None, None, Vec::new());
    let mut case = Case { job, total, source, sink, options, asked, found, dir, past, refusals };
    if let Err(by) = case.open(interruptible, tell)? {
        let summary = Summary { waited: true, ..Summary::default() };
        return Ok(Prepared::Stopped { by, summary, notice: None });
    }
    case.read()?;
    loop {
        match plan(case.found, asked) {
            Plan::Recheck => match interruptible.run(|stop| case.recheck(stop))? {
                Ok(rechecked) => rechecked?,
                Err(by) => return Ok(case.stopped(by)),
            },
            Plan::Begin(over) => return case.begin(over),
            Plan::Resume => return case.resume(),
            Plan::Complete { code } => return case.complete(code),
            Plan::AlreadyDone { code } => {
                let (summary, total) = (case.summary(), case.past.and_then(|past| past.total));
                return Ok(Prepared::AlreadyDone { code, summary, total });
            }
            Plan::Refuse(why) => return Err(case.refusal(why)),
        }
    }
}

impl Case<'_> {
    /// Begins a job at its first task. Its record replaces the old one, so every output is known to a record.
    fn begin(self, over: Over) -> Result<Prepared> {
        let Self { job, total, source, sink, options, dir, past, .. } = self;
        let nothing_yet = Committed::default();
        let is_ours = over.owns_unfinished_output();
        let is_over_finished = matches!(over, Over::Finished | Over::FinishedOther);
        let replaced = past.filter(|_| is_over_finished).and_then(|past| past.was.output);
        let replaces = is_over_finished && sink.is_published(&replaced.unwrap_or_default())?;
        if is_ours { sink.may_go_on(&nothing_yet) } else { sink.may_begin() }?;
        let listing = source.begin()?;
        let mut record = Record::new(job.name(), job.fingerprint(), listing.described()?);
        record.tasks = listing.extent().tasks;
        // Nothing can be refused any more.
        let near = options.location.path().map(Path::to_path_buf);
        let mut notices: Vec<Notice> = near.iter().cloned().map(Notice::State).collect();
        notices.extend(listing.sentences().into_iter().map(Notice::Input));
        if replaces {
            notices.push(Notice::Input(REPLACES.to_string()));
        }
        let forgotten = match over {
            Over::FinishedList => Some(ANOTHER_LIST),
            Over::FinishedOther => Some(ANOTHER_LINE),
            Over::Nothing | Over::Discarded | Over::Untouched | Over::Printed | Over::Finished => None,
        };
        if let (Some(forgotten), Some(dir)) = (forgotten, &dir) {
            notices.push(Notice::Input(format!(
                "{}: the job on record is finished\n  {forgotten}",
                dir.path().display()
            )));
        }
        let mut store = store_of(record, options, dir);
        store.write_first()?;
        store.sweep()?;
        store.forget_journal()?;
        sink.begin(is_ours.then_some(&nothing_yet))?;
        let outset = Outset::at(0, listing);
        Ok(Prepared::Ready(Box::new(StartingPoint { store, total, outset, near, notices })))
    }

    fn resume(self) -> Result<Prepared> {
        let Self { sink, options, dir, past, .. } = self;
        let Some(PastRun { mut record, total: Some(total), checked: Some((spill, mut outset)), .. }) = past
        else {
            return Err(not_planned());
        };
        sink.begin(Some(&record.output.clone().unwrap_or_default()))?;
        record.frontier = record.finished.take_run(record.frontier);
        record.epoch += 1;
        let mut notices: Vec<Notice> =
            std::mem::take(&mut outset.said).into_iter().map(Notice::Input).collect();
        notices.push(Notice::Resumed {
            frontier: record.committed(),
            ahead: record.kept(),
            tasks: record.tasks.filter(|tasks| *tasks >= record.committed()),
        });
        let near = options.location.path().map(Path::to_path_buf);
        let mut store = store_of(record, options, dir).with(spill);
        store.continue_journal()?;
        store.write()?;
        store.sweep()?;
        Ok(Prepared::Ready(Box::new(StartingPoint { store, total, outset, near, notices })))
    }

    /// All tasks are complete, and the last run ended before it gave the output its name. This one does.
    fn complete(self, code: u8) -> Result<Prepared> {
        let summary = self.summary();
        let Self { sink, options, dir, past, .. } = self;
        let Some(PastRun { mut record, total, .. }) = past else { return Err(not_planned()) };
        let committed = record.output.clone().unwrap_or_default();
        record.epoch += 1;
        let mut store = store_of(record, options, dir);
        // The record that was read may not be durable, so this run writes it before the output gets its name.
        store.write()?;
        // Also an output that has its name already: the earlier run may have died before it flushed the directory.
        sink.begin(Some(&committed))?;
        store.confirm()?;
        sink.publish()?;
        store.record_mut().phase = Phase::Done { code };
        store.write()?;
        Ok(Prepared::AlreadyDone { code, summary, total })
    }

    fn stopped(&self, by: StoppedBy) -> Prepared {
        let was_finished =
            self.past.as_ref().is_some_and(|past| matches!(past.was.phase, Phase::Done { .. }));
        let notice = (was_finished && self.asked.tasks != TaskKind::SideEffectsOnly).then_some(NOT_LOOKED_AT);
        Prepared::Stopped { by, summary: self.summary(), notice }
    }

    fn summary(&self) -> Summary {
        let Some(PastRun { was, .. }) = &self.past else { return Summary::default() };
        Summary {
            frontier: was.committed(),
            ahead: was.kept(),
            tasks: was.tasks,
            input_bytes: was.input_bytes,
            output_bytes: was.output.as_ref().map_or(0, |output| output.bytes),
            runs: was.epoch,
            failed: was.failed,
            ..Summary::default()
        }
    }

    /// The error that led to the finding.
    fn refusal(mut self, why: Why) -> Error {
        if why == Why::FinishedOtherwise {
            let state = self.dir.as_ref().map_or(Path::new(""), StateDir::path);
            let how = "is of this job, finished; its list or its output is not what it was";
            return Error::refused(state.display(), how)
                .advise("give what is new in the list another output")
                .or(Advice::StartAfresh);
        }
        let met = self.refusals.iter().position(|(of, _)| *of == why);
        met.map_or_else(not_planned, |met| self.refusals.swap_remove(met).1)
    }
}

fn store_of(record: Record, options: &Options, dir: Option<StateDir>) -> CheckpointStore {
    CheckpointStore::new(record, options.location.clone(), Arc::clone(&options.disk), dir)
        .fenced(options.fenced)
}

/// Adds the error for a refusal, and returns the finding that leads to it.
fn met<T>(refusals: &mut Vec<(Why, Error)>, why: Why, error: Error, finding: T) -> T {
    refusals.push((why, error));
    finding
}

/// The plan needs something that was not found. No input leads here.
fn not_planned() -> Error {
    Error::broken("state", "the plan for it rests on something that was not found")
}
