//! Findings that take no time: the owner of the state, and its record.

use super::fits::is_same_job;
use super::recheck::Interruptible;
use super::{Case, PastRun, met};
use crate::durable::record::{Phase, Reach, Record};
use crate::durable::state_dir::StateDir;
use crate::durable::store::{Location, create_state};
use crate::ending::StoppedBy;
use crate::engine::options::Options;
use crate::engine::plan::{
    Completed, Finding, Inputs, JobOnRecord, Output, Past, ResultOnRecord, TaskKind, TotalOnRecord, Why,
};
use crate::error::{Advice, Error, Kind, Result};
use crate::task::Line;
use crate::task::erased::AnyTotal;
use crate::task::observer::Notice;
use crate::task::stop_fd::StopFd;
use std::time::Duration;

impl Case<'_> {
    /// Opens the state and takes its lock. The inner error says what ended the wait for the lock.
    pub(super) fn open(
        &mut self,
        interruptible: &Interruptible<'_>,
        tell: &mut dyn FnMut(&Notice),
    ) -> Result<std::result::Result<(), StoppedBy>> {
        let options = self.options;
        let opened = match open_state(options, &|| false) {
            Err(error) if error.kind() == Kind::Busy => {
                if options.wait {
                    tell(&Notice::Input(format!("{}; this run waits for it", error.sentence())));
                }
                match interruptible.run(|stop| open_when_free(options, stop))? {
                    Ok(opened) => opened,
                    Err(by) => return Ok(Err(by)),
                }
            }
            opened => opened,
        };
        match opened {
            Ok(dir) => {
                self.found = if dir.is_some() { Finding::NoRecord } else { Finding::NoState };
                self.dir = dir;
            }
            Err(error) if error.kind() == Kind::Busy => {
                self.found = met(&mut self.refusals, Why::InUse, error, Finding::InUse);
            }
            Err(error) if matches!(error.kind(), Kind::Refused | Kind::Usage) => {
                self.found = met(&mut self.refusals, Why::NotOurs, error, Finding::NotOurs);
            }
            Err(error) => return Err(error),
        }
        Ok(Ok(()))
    }

    /// Reads the record, unless `fresh` discards it.
    pub(super) fn read(&mut self) -> Result<()> {
        let Some(dir) = self.dir.as_ref().filter(|_| !self.asked.fresh) else { return Ok(()) };
        let acts_only = self.asked.tasks == TaskKind::SideEffectsOnly;
        let read = dir.read_record().and_then(|mut record| {
            if let (Some(record), true) = (&mut record, acts_only) {
                count_in_journal(dir, record)?;
            }
            Ok(record)
        });
        self.found = match read {
            Ok(None) => Finding::NoRecord,
            Ok(Some(record)) => Finding::Record(self.remember(record)?),
            Err(error) if error.kind() == Kind::Refused => {
                met(&mut self.refusals, Why::Damaged, error, Finding::Damaged)
            }
            Err(error) => return Err(error),
        };
        Ok(())
    }

    fn remember(&mut self, record: Record) -> Result<Past> {
        let Some(dir) = &self.dir else { return Err(super::not_planned()) };
        let job = match is_same_job(self.job, &record, dir.path()) {
            Ok(()) => JobOnRecord::This,
            Err(error) => met(&mut self.refusals, Why::AnotherJob, error, JobOnRecord::Another),
        };
        let (total, kind) = match total_of(self.total.fresh(), &record) {
            Ok(total) => (Some(total), TotalOnRecord::Readable),
            Err(error) => {
                met(&mut self.refusals, Why::OtherVersion, error, (None, TotalOnRecord::OtherVersion))
            }
        };
        let is_printed = self.asked.tasks != TaskKind::SideEffectsOnly
            && record.phase == Phase::Working
            && record.output.as_ref().is_some_and(|output| !self.sink.can_continue(output));
        let past = Past {
            phase: record.phase,
            job,
            completed: if is_untouched(dir, &record)? { Completed::Nothing } else { Completed::Something },
            result: match self.job.is_about_now() || total.as_ref().is_some_and(|total| !total.is_final()) {
                true => ResultOnRecord::Outdated,
                false => ResultOnRecord::Stands,
            },
            inputs: Inputs::NotCompared,
            total: kind,
            output: if is_printed { Output::Printed } else { Output::NotLookedAt },
        };
        self.past = Some(PastRun { was: record.clone(), record, total, checked: None });
        Ok(past)
    }
}

/// How often a waiting run tries the lock: nothing tells when it is free, and a file server is asked.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// Opens the state when its lock is free. The watcher of a run that was killed holds the lock until the commands of
/// that run have ended; that is always waited for. A run that is alive is waited for if that was asked for.
fn open_when_free(options: &Options, stop: &StopFd) -> Result<Option<StateDir>> {
    loop {
        match open_state(options, &|| !stop.is_set()) {
            Err(error)
                if error.kind() == Kind::Busy && options.wait && !stop.is_set_within(BETWEEN_LOOKS) => {}
            opened => return opened,
        }
    }
}

/// Opens and locks the state. A temporary one, of a job without commands, is made at the first checkpoint.
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

/// Adds tasks that completed after the last record, of a job whose journal is a record as well.
fn count_in_journal(dir: &StateDir, record: &mut Record) -> Result<()> {
    let (run, known) = (record.run.clone(), record.journal_bytes);
    dir.journal_after((&run, known), &mut |line| {
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

/// Whether no task of the job on record is complete, for example because its command could not be started.
fn is_untouched(dir: &StateDir, record: &Record) -> Result<bool> {
    let bytes = record.output.as_ref().map_or(0, |output| output.bytes);
    if record.committed() + record.kept() + bytes > 0 {
        return Ok(false);
    }
    // The journal counts if the job on record has side effects, even if the requested one has none.
    let mut record = record.clone();
    match count_in_journal(dir, &mut record) {
        Err(error) if error.kind() == Kind::Refused => Ok(false),
        counted => counted.map(|()| record.committed() == 0),
    }
}

/// The total on record. Only reading it tells whether it is a total of this job.
fn total_of(mut total: Box<dyn AnyTotal>, record: &Record) -> Result<Box<dyn AnyTotal>> {
    total.recall(&record.total).map_err(|e| {
        Error::refused("checkpoint", format_args!("its total is of another job: {e}"))
            .advise("it was written by another version")
            .then(Advice::StartAfresh)
    })?;
    Ok(total)
}
