//! Messages about a changed list: which tasks are gone, missing or different.

use super::due::are_missing;
use super::{Due, Known, Outset, is_done};
use crate::durable::journal::{Entries, Entry};
use crate::durable::record::{Reach, Record};
use crate::error::Result;
use crate::task::erased::AnySource;
use crate::task::{ListContext, Mark, Outcome};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// How many tasks are named.
const NAMED: usize = 3;

/// Says how many tasks are gone, and names those that failed or may not have completed.
pub(super) fn say_what_has_gone(
    outset: &mut Outset,
    record: &Record,
    (failed, open): (&[u64], &[u64]),
    state: &Path,
) -> Result<()> {
    let ended = outset.gone - open.len() as u64;
    let (items, are) = if ended == 1 { ("item", "is") } else { ("items", "are") };
    if ended > 0 {
        outset
            .said
            .push(format!("{ended} ended {items} {are} gone from the list; the others keep their numbers"));
    }
    let mut were = BTreeMap::new();
    if !failed.is_empty() || !open.is_empty() {
        for entry in Entries::of(state)?.into_iter().flatten() {
            let entry = entry?;
            if failed.binary_search(&entry.task).is_ok() || open.binary_search(&entry.task).is_ok() {
                were.insert(entry.task, (entry.note, entry.outcome));
            }
        }
    }
    let name = |task: &u64| {
        let note = were.get(task).map(|(note, _)| format!(" ({note})")).unwrap_or_default();
        format!("item {}{note}", task + 1)
    };
    // Named once: after that they are on record as failed. The last attempt of some has failed, and they waited for another.
    let new = open.iter().copied().filter(|task| !is_done(record, *task));
    let is_open = |task: &u64| were.get(task).is_none_or(|(_, outcome)| *outcome == Outcome::Open);
    let (at_work, waited): (Vec<u64>, Vec<u64>) = new.partition(is_open);
    let mut say = |tasks: &[u64], how: &str, so: &str| {
        outset.said.extend(tasks.iter().take(NAMED).map(|task| format!("{} {how}", name(task))));
        if let more @ 1.. = tasks.len().saturating_sub(NAMED) {
            outset.said.push(format!("{so} {more} more that are gone; the journal names them"));
        }
    };
    say(&at_work, "was at work when the last run was killed, and is gone from the list", "so were");
    say(&waited, "had failed and waited for its next attempt, and is gone from the list", "so had");
    say(failed, "had failed, and is gone from the list", "so had");
    Ok(())
}

/// Says how many tasks are missing that were not done, and where the list ends, if that is known.
pub(super) fn missing(
    source: &dyn AnySource,
    record: &Record,
    known: &Known,
    cx: &ListContext<'_>,
) -> Result<Option<(String, String)>> {
    let Some(Due { tasks, .. }) = Due::of(record) else { return Ok(None) };
    let mut may_be_gone = HashMap::<[u8; 8], u64>::new();
    let digests = known.settled.iter().map(|(_, digest)| digest).chain(known.open.values());
    digests.for_each(|digest| *may_be_gone.entry(*digest).or_default() += 1);
    let not_done = tasks.saturating_sub((known.settled.len() + known.open.len()) as u64);
    let mut listing = source.resume(&record.inputs, 0)?;
    let (mut there, mut all) = (0, 0);
    while let Some(listed) = listing.next(cx)? {
        let digest = listed.mark.map_or([0; 8], Mark::of_task);
        all += 1;
        match may_be_gone.get_mut(&digest) {
            Some(left @ 1..) => *left -= 1,
            Some(_) | None => there += 1,
        }
    }
    let of = || format!("the list ends after {all} of {tasks}");
    Ok((there < not_done).then(|| (are_missing(not_done - there), of())))
}

/// Names a task that was at work when the last run ended, and is not in the list.
pub(super) fn at_work_and_gone(
    source: &dyn AnySource,
    record: &Record,
    (state, has_item_marks): (&Path, bool),
    cx: &ListContext<'_>,
) -> Result<Option<String>> {
    let mut last = BTreeMap::new();
    for entry in Entries::of(state)?.into_iter().flatten() {
        let entry = entry?;
        if !is_done(record, entry.task) {
            last.insert(entry.task, (entry.outcome, entry.note));
        }
    }
    // Only an interrupted task certainly runs again, so its item must be there ([`Known`] takes the others for open).
    let may_be_gone = |outcome: Outcome| outcome != Outcome::Interrupted && has_item_marks;
    let at_work = last.into_iter().filter(|(_, (outcome, _))| !may_be_gone(*outcome));
    let mut at_work: BTreeMap<_, _> =
        at_work.map(|(task, (outcome, note))| (note, (task, outcome))).collect();
    let mut listing = source.resume(&record.inputs, 0)?;
    while let Some(listed) = listing.next(cx)? {
        if let Some(note) = listing.note(&listed.task) {
            at_work.remove(&note);
        }
    }
    let first = at_work.into_iter().min_by_key(|(_, (task, _))| *task);
    Ok(first.map(|(note, (task, outcome))| {
        let was_at_work = matches!(outcome, Outcome::Open | Outcome::Interrupted);
        let was = if was_at_work { "was at work" } else { "was not done" };
        format!("item {} ({note}) {was}", task + 1)
    }))
}

/// Names the first task that differs from the journal.
pub(super) fn first_difference(
    source: &dyn AnySource,
    record: &Record,
    (state, reach): (&Path, Option<Reach>),
    cx: &ListContext<'_>,
) -> Result<String> {
    let entry = |entry: Result<Entry>| entry.map(|entry| (entry.task, entry.note));
    let were: BTreeMap<u64, String> =
        Entries::of(state)?.into_iter().flatten().map(entry).collect::<Result<_>>()?;
    let end = reach.into_iter().chain(record.whole).map(|reach| reach.task).max();
    let tasks = end.map_or(0, |task| task + 1);
    let mut listing = source.resume(&record.inputs, 0)?;
    for task in 0..tasks {
        let was = were.get(&task);
        match (listing.next(cx)?, was) {
            (None, was) => {
                let was = was.map(|was| format!(", the next one was {was}")).unwrap_or_default();
                return Ok(format!("the list ends after {task} of {tasks}{was}"));
            }
            (Some(listed), Some(was)) => match listing.note(&listed.task) {
                Some(is) if is != *was => return Ok(format!("item {} is {is}, and was {was}", task + 1)),
                Some(_) | None => {}
            },
            (Some(_), None) => {}
        }
    }
    Ok(format!("one of the first {tasks} is not what it was"))
}
