//! The source thread: lists tasks ahead of the workers, as far as the channel to the supervisor has room.
//!
//! It is a thread of its own because listing can wait, for a directory on a slow disk or for standard
//! input, and the supervisor must not. Tasks that an earlier run has finished beyond the frontier are
//! listed and passed over, and what a source says of its listing ([`Mark`]) is compared with the
//! record.
//!
//! A list that may grow is looked through as far as anything of it was ever committed *before* the first
//! task is sent: a name that was put in near the beginning has moved all others by one, and who notices
//! that at the end has by then started the wrong ones. What is still to do among those that are looked
//! through (the few that were in flight when the last run ended) is kept in memory for so long.

use crate::checkpoint::Reach;
use crate::error::{Error, Result};
use crate::job::{Listed, Listing, Mark, Source};
use crate::journal::Entries;
use crate::pool::Assignment;
use crate::tasks::Tasks;
use crate::wake::Wake;
use crossbeam_channel::Sender;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// What the source thread sends.
#[derive(Debug)]
pub(crate) enum FromSource<T> {
    Task(Assignment<T>),
    /// The end, and how many tasks the job has.
    Ended(u64),
    Failed(Error),
}

/// What the source thread owns.
pub(crate) struct Lister<S> {
    pub(crate) source: S,
    /// Number of the next task.
    pub(crate) next: u64,
    /// The mark of the one before it, by the record.
    pub(crate) mark: Option<Mark>,
    /// Tasks that an earlier run finished beyond the frontier; they are listed and skipped.
    pub(crate) beyond: BTreeMap<u64, Option<Mark>>,
    /// Of a list that may grow: tasks beyond that are committed, and how far it must be what it was.
    pub(crate) finished: Tasks,
    pub(crate) reach: Option<Reach>,
    /// What the source said of itself when the job began, and where the journal is: to name a difference.
    pub(crate) inputs: Value,
    pub(crate) state: Option<PathBuf>,
    pub(crate) wake: Arc<Wake>,
    /// Dropped at the end: that tells the run that this thread is gone.
    pub(crate) ended: Sender<()>,
}

impl<S: Source> Lister<S> {
    /// The body of the thread.
    pub(crate) fn list(mut self, to: &Sender<FromSource<S::Task>>) {
        let last = match self.list_all(to) {
            Ok(Some(tasks)) => FromSource::Ended(tasks),
            Ok(None) => return,
            Err(error) => FromSource::Failed(error),
        };
        // A closed channel: the run is over.
        to.send(last).ok();
        drop(self.ended);
    }

    /// The number of tasks in the job, or `None` when nobody wants to know any more.
    fn list_all(&mut self, to: &Sender<FromSource<S::Task>>) -> Result<Option<u64>> {
        let wake = Arc::clone(&self.wake);
        let rehearsal = Listing::rehearsal(&wake);
        let mark = self.source.mark_before(&rehearsal)?;
        if self.mark.is_some() && mark != self.mark && !rehearsal.is_stopped() {
            return Err(self.changed("before the point where the last run stopped"));
        }
        for task in self.look_through(mark, &rehearsal)? {
            if to.send(FromSource::Task(task)).is_err() {
                return Ok(None);
            }
        }
        let listing = Listing::real(&wake);
        while let Some(listed) = self.source.next(&listing)? {
            if let Some(task) = self.still_to_do(listed)?
                && to.send(FromSource::Task(task)).is_err()
            {
                return Ok(None);
            }
        }
        Ok((!listing.is_stopped()).then_some(self.next))
    }

    fn changed(&self, place: &str) -> Error {
        Error::refused("inputs", format_args!("{} {place}", self.source.what_changed()))
            .advise("put the inputs back as they were, or start anew with --fresh")
    }

    /// The next task in the list, unless an earlier run has finished it.
    fn still_to_do(&mut self, listed: Listed<S::Task>) -> Result<Option<Assignment<S::Task>>> {
        let Listed { task, bytes, mark } = listed;
        let number = self.next;
        self.next += 1;
        match self.beyond.remove(&number) {
            Some(kept) if kept.is_some() && kept != mark => {
                Err(self.changed("where the last run had finished tasks"))
            }
            Some(_) => Ok(None),
            None if self.finished.contains(number) => Ok(None),
            None => Ok(Some(Assignment { number, task, bytes, mark })),
        }
    }

    /// Of a list that may grow, compares what was there with what is, and gives what is left to do of it.
    fn look_through(
        &mut self,
        mark: Option<Mark>,
        rehearsal: &Listing<'_>,
    ) -> Result<Vec<Assignment<S::Task>>> {
        let Some(reach) = self.reach else { return Ok(Vec::new()) };
        let (mut left, mut mark) = (Vec::new(), mark);
        while self.next <= reach.task {
            let Some(listed) = self.source.next(rehearsal)? else { break };
            mark = listed.mark;
            left.extend(self.still_to_do(listed)?);
        }
        let same = self.next > reach.task && mark.map_or([0; 8], Mark::trace) == reach.trace;
        if same || rehearsal.is_stopped() { Ok(left) } else { Err(self.difference(reach, rehearsal)) }
    }

    /// Names the first task that is not what it was, as far as the journal knows what it was.
    fn difference(&mut self, reach: Reach, rehearsal: &Listing<'_>) -> Error {
        let named = self.first_difference(reach, rehearsal).ok().flatten();
        let how = named.unwrap_or_else(|| format!("one of the first {} is not what it was", reach.task + 1));
        Error::refused("items", how).advise(
            "nothing was started; put the list back as it was (what is new goes behind it), or name another --state, or start anew with --fresh",
        )
    }

    fn first_difference(&mut self, reach: Reach, rehearsal: &Listing<'_>) -> Result<Option<String>> {
        let Some(entries) = self.state.as_deref().map(Entries::of).transpose()?.flatten() else {
            return Ok(None);
        };
        let were: BTreeMap<u64, String> = entries.map(|entry| (entry.task, entry.note)).collect();
        self.source.restore(&self.inputs, 0)?;
        for task in 0..=reach.task {
            let was = were.get(&task);
            match (self.source.next(rehearsal)?, was) {
                (None, was) => {
                    let was = was.map(|was| format!(", the next one was {was}")).unwrap_or_default();
                    return Ok(Some(format!("the list ends after {task} of {}{was}", reach.task + 1)));
                }
                (Some(listed), Some(was)) => match self.source.note(&listed.task) {
                    Some(is) if is != *was => {
                        return Ok(Some(format!("item {} is {is}, and was {was}", task + 1)));
                    }
                    Some(_) | None => {}
                },
                (Some(_), None) => {}
            }
        }
        Ok(None)
    }
}

/// Lists all tasks of a source without running any: each with its number, until `take` has an error.
///
/// # Errors
///
/// Those of the source, and that of `take`.
pub fn list<S: Source>(source: &mut S, take: &mut dyn FnMut(u64, S::Task) -> Result<()>) -> Result<()> {
    let wake = Wake::new()?;
    source.describe()?;
    let mut number = 0;
    while let Some(listed) = source.next(&Listing::real(&wake))? {
        take(number, listed.task)?;
        number += 1;
    }
    Ok(())
}
