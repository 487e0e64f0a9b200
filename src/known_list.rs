//! The list of a job that is continued, against what is on record: of a job whose tasks are committed as they
//! end, whose list may change between two runs.
//!
//! The usual case is the same list, or a longer one. Then the mark at the furthest task that was committed says
//! that everything up to it is as it was, and nothing else is looked at.
//!
//! The everyday case is a shorter one. `gzip` takes the files that are done out of `*.log`, so what is typed
//! again is the old list *without what is done*. To start anew would be wrong for all other commands, and to
//! refuse would make the everyday line useless. So where the marks differ, the old list is put together again:
//! the journal has a digest of each task that is done, and wherever the new list does not have that task, it
//! is gone. If the chain over both gives the mark on record, then this *was* the list, to the last byte. Tasks
//! keep the numbers of the list as it was, and what is new comes after them.
//!
//! Of what was not done nothing may be missing. How the whole list ended is in the journal as soon as it is
//! known ([`Line::Listed`]); of a list that was never listed to its end, one task in common with the
//! old list has to be enough.
//!
//! All of this happens before anything is written, so a refusal changes nothing.

use crate::checkpoint::{Last, Reach, Record};
use crate::error::{Error, Kind, Result};
use crate::job::{ListContext, Listed, Listing, Mark, Source};
use crate::journal::{Entries, Entry, Line};
use crate::pool::Assignment;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;

/// So many tasks that have gone although they failed are named.
const NAMED: usize = 3;

/// A list that was looked through up to a task: what the source thread begins with.
pub(crate) struct Outset<L: Listing> {
    /// What lists the tasks from `next` on.
    pub(crate) listing: L,
    /// What is to do among the tasks that were looked through.
    pub(crate) left: Vec<Assignment<L::Task>>,
    /// The number of the task that is listed next.
    pub(crate) next: u64,
    /// Where tasks have gone, marks are not those of the listing: they follow this one.
    pub(crate) chain: Option<Mark>,
    /// How many tasks have gone.
    pub(crate) gone: u64,
    /// Whether one of them had failed, and hence counts no more.
    pub(crate) forgot_failed: bool,
    /// How many tasks of the list are on record.
    in_common: u64,
    /// What a person should know.
    pub(crate) said: Vec<String>,
}

impl<L: Listing> Outset<L> {
    /// Before the `next`th task, which is where `listing` was opened.
    pub(crate) fn at(next: u64, listing: L) -> Self {
        Self {
            listing,
            left: Vec::new(),
            next,
            chain: None,
            gone: 0,
            forgot_failed: false,
            in_common: 0,
            said: Vec::new(),
        }
    }

    /// A task that has just been listed, with its number and its mark.
    pub(crate) fn take(&mut self, listed: Listed<L::Task>) -> Assignment<L::Task> {
        let Listed { task, bytes, mut mark } = listed;
        if let (Some(chain), Some(own)) = (&mut self.chain, &mut mark) {
            *own = chain.then(own.of_task());
            *chain = *own;
        }
        let number = self.next;
        self.next += 1;
        Assignment { number, task, bytes, mark, room: None }
    }

    /// The next task that the listing has.
    pub(crate) fn next_task(&mut self, cx: &ListContext<'_>) -> Result<Option<Assignment<L::Task>>> {
        Ok(self.listing.next(cx)?.map(|listed| self.take(listed)))
    }

    /// Lists one task more, if there is one. Of a finished job that is all there is to ask.
    pub(crate) fn look_for_more(&mut self, cx: &ListContext<'_>) -> Result<()> {
        let task = self.next_task(cx)?;
        self.left.extend(task);
        Ok(())
    }

    /// Whether anything links this list to the one on record, if it had to be put together again.
    pub(crate) fn is_linked(&self) -> bool {
        self.gone == 0 || self.in_common > 0
    }
}

/// Compares the list with the one on record. `kept` are tasks whose results wait for their turn, each with the
/// digest of it alone. The inner error says how the list differs; nothing was written.
///
/// # Errors
///
/// Reading failed.
pub(crate) fn compare<S: Source>(
    source: &S,
    record: &mut Record,
    (state, kept): (&Path, Vec<(u64, [u8; 8])>),
    cx: &ListContext<'_>,
) -> Result<Result<Outset<S::Listing>>> {
    let reach = reach_of(record);
    let listing = match source.resume(&record.inputs, record.frontier) {
        Ok(listing) => listing,
        Err(error) if error.kind() == Kind::Refused => return Ok(Err(error)),
        Err(error) => return Err(error),
    };
    let mut outset = Outset::at(record.frontier, listing);
    let Some(reach) = reach else {
        outset.listing.mark_before(cx)?;
        return Ok(Ok(outset));
    };
    if is_as_it_was(&mut outset, (record, reach), cx)? || cx.is_stopped() {
        return Ok(Ok(outset));
    }
    let missing = match outset.listing.has_item_marks() {
        true => match without_what_is_done(source, record, (state, reach, kept), cx)? {
            Ok(outset) => return Ok(Ok(outset)),
            Err(missing) => missing,
        },
        false => None,
    };
    let how = match at_work_and_gone(source, record, state, cx)? {
        Some(gone) => gone,
        None => {
            let first = first_difference(source, record, (state, reach), cx)?;
            let first =
                first.unwrap_or_else(|| format!("one of the first {} is not what it was", reach.task + 1));
            [first].into_iter().chain(missing).collect::<Vec<_>>().join("; and ")
        }
    };
    Ok(Err(Error::refused("items", how).advise(
        "nothing was started; put the list back as it was (what is done may be missing, what is new goes to its end), or name another --state, or start anew with --fresh",
    )))
}

/// How far the list must be what it was: up to the furthest task that is committed, or that waits for its turn.
fn reach_of(record: &Record) -> Option<Reach> {
    let of = |last: Last| last.mark.map(|mark| Reach { task: last.task, trace: mark.trace() });
    let kept = record.last_kept().and_then(of);
    record.reach.into_iter().chain(kept).max_by_key(|reach| reach.task)
}

/// Goes through the list up to there: whether it is the same.
fn is_as_it_was<L: Listing>(
    outset: &mut Outset<L>,
    (record, reach): (&Record, Reach),
    cx: &ListContext<'_>,
) -> Result<bool> {
    let mut mark = outset.listing.mark_before(cx)?;
    let kept = record.kept_tasks();
    while outset.next <= reach.task {
        let Some(task) = outset.next_task(cx)? else { break };
        mark = task.mark;
        if !record.finished.contains(task.number) && !kept.contains(task.number) {
            outset.left.push(task);
        }
    }
    Ok(outset.next > reach.task && mark.map_or([0; 8], Mark::trace) == reach.trace)
}

/// What the journal knows of a list.
struct Known {
    /// The tasks that are settled, in order, each with the digest of it alone.
    settled: Vec<(u64, [u8; 8])>,
    /// How many tasks the list had, and how it ended.
    whole: Option<(u64, [u8; 8])>,
}

impl Known {
    fn read(state: &Path, kept: Vec<(u64, [u8; 8])>) -> Result<Self> {
        let mut known = Self { settled: kept, whole: None };
        let Some(mut entries) = Entries::of(state)? else { return Ok(known) };
        while let Some(line) = entries.next_line()? {
            match line {
                Line::Settled { end, of_task, .. } => known.settled.push((end.task, of_task)),
                Line::Delivered { task, of_task, .. } => known.settled.push((task, of_task)),
                Line::Listed { tasks, trace } => known.whole = Some((tasks, trace)),
                Line::Of { .. } | Line::Began { .. } | Line::Ended(_) => {}
            }
        }
        known.settled.sort_unstable();
        known.settled.dedup();
        Ok(known)
    }
}

/// The old list, put together again of what is done and gone, and of what the list has. Otherwise what is
/// missing, if it is known that this is the old list with something missing.
fn without_what_is_done<S: Source>(
    source: &S,
    record: &mut Record,
    (state, reach, kept): (&Path, Reach, Vec<(u64, [u8; 8])>),
    cx: &ListContext<'_>,
) -> Result<std::result::Result<Outset<S::Listing>, Option<String>>> {
    let known = Known::read(state, kept)?;
    let mut missing = None;
    // An item that is there is the one that is done, and if that does not fit, because the list has the
    // same item twice, one that is not.
    for all_are_gone in [false, true] {
        let mut walk = Walk::new(source.resume(&record.inputs, 0)?, cx);
        if !walk.up_to(reach, &known, record, all_are_gone)? {
            continue;
        }
        if cx.is_stopped() {
            return Ok(Ok(walk.outset));
        }
        match walk.rest_is_right(&known)? {
            Ok(()) => {
                let Walk { mut outset, taken, failed, .. } = walk;
                // What was looked at beyond it is listed again.
                outset.listing = source.resume(&record.inputs, taken)?;
                outset.listing.mark_before(cx)?;
                say_what_has_gone(&mut outset, record, &failed, state)?;
                return Ok(Ok(outset));
            }
            Err(how) => missing = missing.or(how),
        }
    }
    Ok(Err(missing))
}

/// Along the old list and the new one.
struct Walk<'s, 'l, L: Listing> {
    cx: &'s ListContext<'l>,
    outset: Outset<L>,
    /// Listed, and no place found for it yet.
    waiting: Option<Listed<L::Task>>,
    /// How many tasks of the new list have their place.
    taken: u64,
    gone: HashSet<[u8; 8]>,
    /// Those that had failed among what has gone.
    failed: Vec<u64>,
}

impl<'s, 'l, L: Listing> Walk<'s, 'l, L> {
    fn new(listing: L, cx: &'s ListContext<'l>) -> Self {
        let outset = Outset { chain: Some(Mark([0; 32])), ..Outset::at(0, listing) };
        Self { cx, outset, waiting: None, taken: 0, gone: HashSet::new(), failed: Vec::new() }
    }

    fn next(&mut self) -> Result<Option<Listed<L::Task>>> {
        self.waiting.take().map_or_else(|| self.outset.listing.next(self.cx), |listed| Ok(Some(listed)))
    }

    /// As far as anything was committed: whether that gives the mark on record.
    fn up_to(&mut self, reach: Reach, known: &Known, record: &Record, all_are_gone: bool) -> Result<bool> {
        let mut settled = known.settled.iter().copied().peekable();
        while self.outset.next <= reach.task {
            let number = self.outset.next;
            let digest = settled.next_if(|(task, _)| *task == number).map(|(_, digest)| digest);
            self.waiting = self.next()?;
            let here = self.waiting.as_ref().and_then(|listed| listed.mark).map(Mark::of_task);
            match digest {
                Some(digest) if all_are_gone || here != Some(digest) => {
                    self.outset.chain = self.outset.chain.map(|chain| chain.then(digest));
                    self.outset.next += 1;
                    self.outset.gone += 1;
                    self.gone.insert(digest);
                    if record.failing.contains(number) || !is_done(record, number) {
                        self.failed.push(number);
                    }
                }
                _ => {
                    let Some(listed) = self.waiting.take() else { return Ok(self.cx.is_stopped()) };
                    self.taken += 1;
                    self.outset.in_common += u64::from(digest.is_some());
                    let task = self.outset.take(listed);
                    if !is_done(record, number) {
                        self.outset.left.push(task);
                    }
                }
            }
        }
        Ok(self.outset.chain.is_some_and(|chain| chain.trace() == reach.trace))
    }

    /// Whether what was not done is what the list has next, and nothing of what has gone stands behind it:
    /// that would be another order.
    fn rest_is_right(&mut self, known: &Known) -> Result<std::result::Result<(), Option<String>>> {
        let next = self.outset.next;
        match known.whole.filter(|(tasks, _)| *tasks >= next) {
            Some((tasks, trace)) => {
                let mut chain = self.outset.chain.unwrap_or(Mark([0; 32]));
                for _ in next..tasks {
                    let Some(listed) = self.next()? else { break };
                    chain = chain.then(listed.mark.map_or([0; 8], Mark::of_task));
                }
                if chain.trace() != trace {
                    let how = format!(
                        "after item {next} there were {} more, which are not what follows now",
                        tasks - next
                    );
                    return Ok(Err((self.outset.in_common > 0).then_some(how)));
                }
            }
            None if self.outset.in_common > 0 || !self.outset.left.is_empty() => {}
            None => return Ok(Err(None)),
        }
        while let Some(listed) = self.next()? {
            if listed.mark.is_some_and(|mark| self.gone.contains(&mark.of_task())) {
                return Ok(Err(None));
            }
        }
        Ok(Ok(()))
    }
}

fn is_done(record: &Record, number: u64) -> bool {
    number < record.frontier || record.finished.contains(number) || record.keeps(number)
}

/// What has gone is said; and what had failed counts no more.
fn say_what_has_gone<L: Listing>(
    outset: &mut Outset<L>,
    record: &mut Record,
    failed: &[u64],
    state: &Path,
) -> Result<()> {
    let (items, are) = if outset.gone == 1 { ("item", "is") } else { ("items", "are") };
    outset.said.push(format!(
        "{} {items} of the list on record {are} gone from it and had ended; the others keep their numbers",
        outset.gone
    ));
    if failed.is_empty() {
        return Ok(());
    }
    outset.forgot_failed = true;
    for number in failed {
        if record.failing.remove(*number) {
            record.failed = record.failed.saturating_sub(1);
        }
        // With those that were to run once more it was taken out of what is done.
        if !is_done(record, *number) {
            record.finished.insert(*number);
        }
    }
    let mut were = BTreeMap::new();
    for entry in Entries::of(state)?.into_iter().flatten() {
        let entry = entry?;
        if failed.binary_search(&entry.task).is_ok() {
            were.insert(entry.task, entry.note);
        }
    }
    for (task, note) in were.iter().take(NAMED) {
        outset.said.push(format!(
            "item {} ({note}) had failed, and is gone from the list: it counts no more",
            task + 1
        ));
    }
    if were.len() > NAMED {
        outset.said.push(format!(
            "so had {} more that are gone; `bivouac log --failed` names them",
            were.len() - NAMED
        ));
    }
    Ok(())
}

/// Names a task that was at work when the last run ended, and is not in the list.
fn at_work_and_gone<S: Source>(
    source: &S,
    record: &Record,
    state: &Path,
    cx: &ListContext<'_>,
) -> Result<Option<String>> {
    let mut at_work = BTreeMap::new();
    for entry in Entries::of(state)?.into_iter().flatten() {
        let entry = entry?;
        if !is_done(record, entry.task) {
            at_work.insert(entry.note, entry.task);
        }
    }
    let mut listing = source.resume(&record.inputs, 0)?;
    while let Some(listed) = listing.next(cx)? {
        if let Some(note) = listing.note(&listed.task) {
            at_work.remove(&note);
        }
    }
    let first = at_work.into_iter().min_by_key(|(_, task)| *task);
    Ok(first.map(|(note, task)| {
        format!("item {} ({note}) was at work when the last run ended, and is not in the list", task + 1)
    }))
}

/// Names the first task that is not what it was, as far as the journal knows what it was.
fn first_difference<S: Source>(
    source: &S,
    record: &Record,
    (state, reach): (&Path, Reach),
    cx: &ListContext<'_>,
) -> Result<Option<String>> {
    let Some(entries) = Entries::of(state)? else { return Ok(None) };
    let entry = |entry: Result<Entry>| entry.map(|entry| (entry.task, entry.note));
    let were: BTreeMap<u64, String> = entries.map(entry).collect::<Result<_>>()?;
    let mut listing = source.resume(&record.inputs, 0)?;
    for task in 0..=reach.task {
        let was = were.get(&task);
        match (listing.next(cx)?, was) {
            (None, was) => {
                let was = was.map(|was| format!(", the next one was {was}")).unwrap_or_default();
                return Ok(Some(format!("the list ends after {task} of {}{was}", reach.task + 1)));
            }
            (Some(listed), Some(was)) => match listing.note(&listed.task) {
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
