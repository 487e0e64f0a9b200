//! A job that acts elsewhere, of which there is a record.
//!
//! What was done cannot be undone, so it is not done again because a list has changed: what is new is done, what
//! is done may be gone, and everything else is refused, unless the job on record is finished; then another list
//! is another job.

use super::{
    Output, Start, as_a_change, begin, done_again, forget_failed, go_on, is_untouched, reopened, summary_of,
};
use crate::durable::record::{Phase, Record};
use crate::durable::spill::look;
use crate::durable::state_dir::StateDir;
use crate::engine::foyer::Foyer;
use crate::engine::known_list::compare;
use crate::engine::options::Options;
use crate::error::Result;
use crate::task::{Job, ListContext, Mark, Sink, Source};

/// What is said before a finished job is forgotten.
const ANOTHER_LIST: &str = "the job on record is finished, and this is another list: a new job begins";

/// See the [module](self).
pub(super) fn prepare<J: Job, S: Source<Task = J::Task>>(
    (job, source, sink): (&J, &S, &mut dyn Sink),
    options: &Options,
    foyer: &Foyer<'_>,
    mut dir: StateDir,
    mut record: Record,
) -> Result<Start<J, S::Listing>> {
    let found = record.clone();
    let finished = match record.phase {
        Phase::Done { code } => Some(code),
        Phase::Working | Phase::Finalizing { .. } => None,
    };
    if options.retry_failed && !record.failing.is_empty() {
        forget_failed(&mut record);
    }
    let state = dir.path().to_path_buf();
    let compared = foyer.during(|wake| {
        let mut kept = Vec::new();
        let (spill, lost) = look(&mut dir, &mut record, wake, &mut |task, mark| {
            kept.push((task, mark.map_or([0; 8], Mark::of_task)));
        })?;
        let cx = ListContext::rehearsal(wake);
        let mut compared = compare(source, &mut record, (&state, kept), &cx)?;
        if let Ok(outset) = &mut compared {
            outset.said.extend(done_again(lost));
            if finished.is_some() {
                outset.look_for_more(&cx)?;
            }
        }
        Ok(compared.map(|outset| (spill, outset)))
    })?;
    let compared = match compared {
        Ok(compared) => compared.map_err(as_a_change)?,
        Err(by) => return Ok(Start::Stopped { by, summary: summary_of(&found), notice: None }),
    };
    match (compared, finished) {
        (Ok((_, list)), Some(code))
            if list.is_linked() && list.left.is_empty() && record.failed == found.failed =>
        {
            Ok(Start::AlreadyFinished { code, summary: summary_of(&found) })
        }
        (Ok((spill, list)), Some(_)) if list.is_linked() => {
            go_on(sink, options, dir, reopened(record), (spill, list))
        }
        (Ok(_) | Err(_), Some(_)) => {
            let sentence = format!("{}: {ANOTHER_LIST}", state.display());
            let start = begin(job, source, sink, options, Some(dir), Output::Unknown)?;
            Ok(start.saying(&sentence))
        }
        (Ok(known), None) => go_on(sink, options, dir, record, known),
        (Err(_), None) if is_untouched(&dir, &found)? => {
            begin(job, source, sink, options, Some(dir), Output::Ours)
        }
        (Err(error), None) => Err(error),
    }
}
