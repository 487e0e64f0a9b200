//! Findings that take time: whether inputs and output are still those of the record. Nothing is written meanwhile.

use super::copies::{done_again, see_journal};
use super::{Case, PastRun, met, not_planned};
use crate::durable::record::{Phase, Record};
use crate::durable::spill::look;
use crate::engine::known_list::compare;
use crate::engine::plan::{Finding, Inputs, Output, Past, TaskKind, Why};
use crate::engine::source_thread::Comparison;
use crate::error::{Advice, Error, Kind, Result};
use crate::task::stop_fd::StopFd;
use crate::task::{ListContext, Mark};

impl Case<'_> {
    /// Compares inputs and output with the record. If `stop` is set, the findings do not count.
    pub(super) fn recheck(&mut self, stop: &StopFd) -> Result<()> {
        let (Finding::Record(mut found), Some(mut past)) = (self.found, self.past.take()) else {
            return Err(not_planned());
        };
        let compared = self.compare(&mut past, stop).and_then(|inputs| {
            found.inputs = inputs;
            found.output = self.look_at_output(&past, inputs)?;
            Ok(())
        });
        (self.found, self.past) = (Finding::Record(found), Some(past));
        compared
    }

    fn compare(&mut self, past: &mut PastRun, stop: &StopFd) -> Result<Inputs> {
        match (past.was.phase, self.asked.tasks) {
            // Its tasks are complete; only the output lacks its name.
            (Phase::Finalizing { .. }, _) => Ok(Inputs::NotCompared),
            (Phase::Working | Phase::Done { .. }, TaskKind::SideEffectsOnly) => self.compare_list(past, stop),
            (Phase::Working, TaskKind::Pure | TaskKind::SideEffects) => self.compare_unfinished(past, stop),
            (Phase::Done { .. }, TaskKind::Pure | TaskKind::SideEffects) => self.compare_finished(past, stop),
        }
    }

    /// The inputs of a job that continues: they must be the same as far as tasks are complete.
    fn compare_unfinished(&mut self, past: &mut PastRun, stop: &StopFd) -> Result<Inputs> {
        let listing = match self.source.resume(&past.record.inputs, past.record.frontier) {
            Ok(listing) => listing,
            Err(error) => return self.differ(error),
        };
        let Some(dir) = &mut self.dir else { return Err(not_planned()) };
        let mut said = listing.sentences();
        said.extend(see_journal(dir, &mut past.record, self.options)?);
        let (spill, lost) = look(dir, &mut past.record, stop, &mut |_, _| ())?;
        said.extend(done_again(lost));
        match Comparison::new(listing, &past.record).compare(stop) {
            Ok(mut outset) => {
                outset.said = said;
                past.checked = Some((spill, outset));
                Ok(Inputs::Same)
            }
            Err(error) if error.kind() == Kind::Refused => self.differ(error),
            Err(error) => Err(error),
        }
    }

    /// The inputs of a finished job: all of them must be the same.
    fn compare_finished(&mut self, past: &PastRun, stop: &StopFd) -> Result<Inputs> {
        let mut listing = match self.source.resume(&past.was.inputs, past.was.frontier) {
            Ok(listing) => listing,
            Err(error) => return self.differ(error),
        };
        if listing.has_more() {
            return Ok(Inputs::More);
        }
        let cx = ListContext::rehearsal(stop);
        past.was.mark.into_iter().for_each(|mark| listing.go_to(mark));
        if listing.mark_before(&cx)? != past.was.mark {
            return Ok(Inputs::Changed);
        }
        Ok(if listing.next(&cx)?.is_none() { Inputs::Same } else { Inputs::More })
    }

    /// The list of a job with side effects only. Completed tasks must not run again: new tasks run, completed ones
    /// may be gone, and every other change is refused. If the job on record is finished, another list is another job.
    fn compare_list(&mut self, past: &mut PastRun, stop: &StopFd) -> Result<Inputs> {
        let Some(dir) = &mut self.dir else { return Err(not_planned()) };
        let is_finished = matches!(past.was.phase, Phase::Done { .. });
        if self.options.effects.retry_failed() {
            forget_failed(&mut past.record);
        }
        let mut kept = Vec::new();
        let (spill, lost) = look(dir, &mut past.record, stop, &mut |task, mark| {
            kept.push((task, mark.map_or([0; 8], Mark::of_task)));
        })?;
        let cx = ListContext::rehearsal(stop);
        let state = dir.path().to_path_buf();
        let compared = compare(&*self.source, &mut past.record, (&state, kept), &cx).and_then(|mut list| {
            if let (Ok(outset), true) = (&mut list, is_finished) {
                outset.look_for_more(&cx)?;
            }
            Ok(list)
        });
        let mut outset = match compared {
            Ok(Ok(outset)) => outset,
            Ok(Err(error)) => return self.differ(error),
            Err(error) if error.kind() == Kind::Refused => {
                return Ok(met(&mut self.refusals, Why::GrownWithin, error, Inputs::GrownWithin));
            }
            Err(error) => return self.differ(error),
        };
        let is_linked = outset.is_linked();
        let nothing_is_left = outset.left.is_empty() && past.record.failed == past.was.failed;
        outset.said.extend(done_again(lost));
        past.checked = Some((spill, outset));
        Ok(match (is_finished, is_linked, nothing_is_left) {
            (false, _, _) | (true, true, true) => Inputs::Same,
            (true, false, _) => Inputs::Changed,
            (true, true, false) => {
                // The reader has taken the output.
                past.record =
                    Record { phase: Phase::Working, output: None, tasks: None, ..past.record.clone() };
                Inputs::More
            }
        })
    }

    /// The inputs have changed; `error` says how.
    fn differ(&mut self, error: Error) -> Result<Inputs> {
        if error.kind() == Kind::Refused {
            return Ok(met(&mut self.refusals, Why::InputsChanged, error, Inputs::Changed));
        }
        if error.kind() != Kind::Usage {
            return Err(error);
        }
        // A finished job would begin again, so for it a missing input is an error of the command line.
        let is_finished = matches!(self.found, Finding::Record(Past { phase: Phase::Done { .. }, .. }));
        let error = if is_finished && self.asked.tasks != TaskKind::SideEffectsOnly {
            error
        } else {
            let error = error.with_kind(Kind::Refused);
            error.advise("the job was begun with it; put it back as it was").or(Advice::StartAfresh)
        };
        Ok(met(&mut self.refusals, Why::InputsMissing, error, Inputs::Missing))
    }

    /// Compares the output with the record, if the plan depends on it.
    fn look_at_output(&mut self, past: &PastRun, inputs: Inputs) -> Result<Output> {
        let committed = past.record.output.clone().unwrap_or_default();
        let acts_only = self.asked.tasks == TaskKind::SideEffectsOnly;
        match (past.record.phase, inputs) {
            (Phase::Done { .. }, Inputs::Same) if acts_only => Ok(Output::NotLookedAt),
            (Phase::Done { .. }, Inputs::Same) | (Phase::Finalizing { .. }, _)
                if self.sink.is_published(&committed)? =>
            {
                Ok(Output::Whole)
            }
            (Phase::Done { .. }, Inputs::Same) => Ok(Output::Harmed),
            (Phase::Finalizing { .. }, _) | (Phase::Working, Inputs::Same | Inputs::More) => {
                match self.sink.may_go_on(&committed) {
                    Ok(()) => Ok(Output::Whole),
                    Err(error) if error.kind() == Kind::Refused => {
                        Ok(met(&mut self.refusals, Why::OutputHarmed, error, Output::Harmed))
                    }
                    Err(error) => Err(error),
                }
            }
            (Phase::Done { .. } | Phase::Working, _) => Ok(Output::NotLookedAt),
        }
    }
}

/// Failed tasks run again: the frontier goes back to the first, and the others are complete ahead of it.
fn forget_failed(record: &mut Record) {
    let failing = std::mem::take(&mut record.failing);
    let Some(first) = failing.first() else { return };
    record.failed = 0;
    if first < record.frontier {
        record.finished.insert_range(first, record.frontier);
        record.frontier = first;
    }
    record.finished = record.finished.without(&failing);
}
