//! Compares the list with that on record, if tasks are committed as they end and the list may change.
//!
//! Usually the list is the same or longer. Then two marks on record are enough: the mark of the furthest committed
//! task covers everything up to it, and the mark at the end of the old list covers all of that.
//!
//! Often the list is shorter. `gzip` removes the files that it has done from `*.log`, so the same command line gives
//! the old list *without the completed tasks*. To begin again would be wrong for other commands, and a refusal would
//! make the everyday line useless. So if the marks differ, the old list is reconstructed. The journal has a digest of
//! each completed task; a task that the new list does not have at its place is gone. If the chain over both gives the
//! mark on record, this *was* the list, to the last byte. Tasks keep the numbers of the old list, and new ones come
//! after them.
//!
//! A task that is not complete must not be missing. The record says how the list ended, once it was listed to its end
//! ([`Line::Listed`]). For any other list one task in common with the old one must be enough. One exception: a task
//! that was at work when the last run was killed may be gone. It may have completed, and its file may be gone because
//! of that; a refusal would be final. It counts as failed.
//!
//! All of this happens before anything is written, so a refusal changes nothing. One exception: the end of a stream
//! may be hours away, so the source thread compares it ([`Due`]).

mod due;
mod naming;

pub(crate) use due::Due;

use crate::durable::journal::Entries;
use crate::durable::record::{Last, Reach, Record};
use crate::engine::pool::Assignment;
use crate::error::{Advice, Error, Kind, Result};
use crate::task::erased::{AnyListing, AnySource, AnyTask};
use crate::task::{End, Line, ListContext, Listed, Mark, Outcome};
use std::collections::{BTreeMap, HashSet};
use std::path::Path;

const BEGINNING: Mark = Mark([0; 32]);

fn refused(how: &str) -> Error {
    Error::refused("items", how)
}

/// A list that was compared up to a task. The source thread begins here.
pub(crate) struct Outset {
    /// It lists the tasks from `next` on.
    pub(crate) listing: Box<AnyListing>,
    /// The compared tasks that are not complete.
    pub(crate) left: Vec<Assignment>,
    pub(crate) next: u64,
    /// The mark of the task before it.
    pub(crate) last: Option<Mark>,
    /// The rest that must still be compared.
    pub(crate) due: Option<Due>,
    /// How many tasks are gone. If any, marks are not those of the listing: each follows from the one before.
    pub(crate) gone: u64,
    /// How many tasks of the list are on record as complete.
    in_common: u64,
    pub(crate) said: Vec<String>,
}

impl Outset {
    /// Before the `next`th task, which is where `listing` was opened.
    pub(crate) fn at(next: u64, listing: Box<AnyListing>) -> Self {
        let (left, said) = (Vec::new(), Vec::new());
        Self { listing, left, next, last: None, due: None, gone: 0, in_common: 0, said }
    }

    /// Gives a listed task its number and its mark.
    pub(crate) fn take(&mut self, listed: Listed<AnyTask>) -> Assignment {
        let Listed { task, bytes, mut mark } = listed;
        if self.gone > 0 {
            mark = mark.map(|own| self.then(own));
        }
        self.last = mark;
        let number = self.next;
        self.next += 1;
        Assignment { number, task, bytes, mark, room: None }
    }

    pub(crate) fn then(&self, own: Mark) -> Mark {
        self.last.unwrap_or(BEGINNING).then(own.of_task())
    }

    /// A task of the old list that the new one does not have.
    fn pass(&mut self, digest: [u8; 8]) {
        self.last = Some(self.last.unwrap_or(BEGINNING).then(digest));
        self.next += 1;
        self.gone += 1;
    }

    pub(crate) fn listed(&self) -> u64 {
        self.next - self.gone
    }

    pub(crate) fn next_task(&mut self, cx: &ListContext<'_>) -> Result<Option<Assignment>> {
        Ok(self.listing.next(cx)?.map(|listed| self.take(listed)))
    }

    /// Lists one more task, if there is one. That is enough to know that a finished job has more.
    pub(crate) fn look_for_more(&mut self, cx: &ListContext<'_>) -> Result<()> {
        let task = self.next_task(cx)?;
        self.left.extend(task);
        Ok(())
    }

    /// Whether this list has a task in common with the one on record, if it had to be put together again.
    pub(crate) fn is_linked(&self) -> bool {
        self.gone == 0 || self.in_common > 0
    }
}

/// Compares the list with the one on record. `kept` are tasks with stored results, each with its own digest. The
/// inner error says how the list differs. Nothing is written.
pub(crate) fn compare(
    source: &dyn AnySource,
    record: &mut Record,
    (state, kept): (&Path, Vec<(u64, [u8; 8])>),
    cx: &ListContext<'_>,
) -> Result<Result<Outset>> {
    let reach = reach_of(record);
    let listing = match source.resume(&record.inputs, record.frontier) {
        Ok(listing) => listing,
        Err(error) if error.kind() == Kind::Refused => return Ok(Err(error)),
        Err(error) => return Err(error),
    };
    let (has_item_marks, is_stream) = (listing.has_item_marks(), listing.is_stream());
    let mut outset = Outset::at(record.frontier, listing);
    let (mut missing, mut fewer) = (None, None);
    if is_as_it_was(&mut outset, (record, reach), cx)? {
        let Some(due) = Due::of(record).filter(|due| due.tasks > outset.next) else {
            return all_are_there(record, outset);
        };
        if is_stream || !has_item_marks {
            let trace = due.trace.filter(|_| has_item_marks);
            outset.due = Some(Due { trace, ..due });
            return all_are_there(record, outset);
        }
        let mut walk = Walk::new(cx, outset);
        match walk.rest_is_right(Some(due))? {
            Ok(()) => return all_are_there(record, walk.end(source, &record.inputs)?),
            Err(how) => missing = how,
        }
    }
    if has_item_marks {
        let known = Known::read(state, kept)?;
        match without_what_is_done(source, record, (state, reach, &known), cx)? {
            Ok(outset) => return Ok(Ok(outset)),
            Err(how) => missing = missing.or(how),
        }
        fewer = naming::missing(source, record, &known, cx)?;
    }
    let gone = naming::at_work_and_gone(source, record, (state, has_item_marks), cx)?;
    let how = match (gone, fewer, missing) {
        (Some(gone), Some((items, _)), _) | (Some(gone), None, Some(items)) => format!("{gone}; {items}"),
        (Some(gone), None, None) => format!("{gone}, and is not in the list"),
        (None, Some((items, of)), _) => format!("{items}: {of}"),
        (None, None, missing) => {
            let first = naming::first_difference(source, record, (state, reach), cx)?;
            [first].into_iter().chain(missing).collect::<Vec<_>>().join("; and ")
        }
    };
    Ok(Err(refused(&how).advise("put the list back").or(Advice::NameAnotherState).or(Advice::StartAfresh)))
}

/// Failed tasks count, even if they were gone from the list for a while.
#[expect(clippy::unnecessary_wraps, reason = "it is the result of the comparison")]
fn all_are_there(record: &mut Record, outset: Outset) -> Result<Result<Outset>> {
    record.failed = record.failing.len();
    Ok(Ok(outset))
}

/// The furthest task that is committed or stored: up to it the list must be the same.
fn reach_of(record: &Record) -> Option<Reach> {
    let of = |last: Last| last.mark.map(|mark| Reach { task: last.task, trace: mark.trace() });
    let kept = record.last_kept().and_then(of);
    record.reach.into_iter().chain(kept).max_by_key(|reach| reach.task)
}

/// Lists up to `reach`. Whether the list is the same, or the comparison was stopped.
fn is_as_it_was(
    outset: &mut Outset,
    (record, reach): (&Record, Option<Reach>),
    cx: &ListContext<'_>,
) -> Result<bool> {
    outset.last = outset.listing.mark_before(cx)?;
    let Some(reach) = reach else { return Ok(true) };
    let kept = record.kept_tasks();
    while outset.next <= reach.task {
        let Some(task) = outset.next_task(cx)? else { break };
        if !record.finished.contains(task.number) && !kept.contains(task.number) {
            outset.left.push(task);
        }
    }
    let is_same = outset.next > reach.task && outset.last.map_or([0; 8], Mark::trace) == reach.trace;
    Ok(is_same || cx.is_stopped())
}

/// The tasks of a list, by the journal.
struct Known {
    /// The completed tasks, in order, each with its own digest.
    settled: Vec<(u64, [u8; 8])>,
    /// Tasks that were at work when a run was killed.
    open: BTreeMap<u64, [u8; 8]>,
}

impl Known {
    fn read(state: &Path, kept: Vec<(u64, [u8; 8])>) -> Result<Self> {
        let mut known = Self { settled: kept, open: BTreeMap::new() };
        if let Some(mut entries) = Entries::of(state)? {
            while let Some(line) = entries.next_line()? {
                known.take(&line);
            }
        }
        known.settled.sort_unstable();
        known.settled.dedup();
        for (task, _) in &known.settled {
            known.open.remove(task);
        }
        Ok(known)
    }

    fn take(&mut self, line: &Line) {
        match *line {
            Line::Settled { end: End { task, .. }, of_task, .. } | Line::Delivered { task, of_task, .. } => {
                self.settled.push((task, of_task));
            }
            Line::Began { task, of_task, .. } => {
                self.open.insert(task, of_task);
            }
            Line::Ended(ref end) if end.outcome == Outcome::Interrupted => {
                self.open.remove(&end.task);
            }
            Line::Of { .. } | Line::Ended(_) | Line::Listed { .. } => {}
        }
    }
}

/// Reconstructs the old list from completed tasks that are gone and from the new list. The inner error says what is
/// missing, if this is known to be the old list without it.
fn without_what_is_done(
    source: &dyn AnySource,
    record: &mut Record,
    (state, reach, known): (&Path, Option<Reach>, &Known),
    cx: &ListContext<'_>,
) -> Result<std::result::Result<Outset, Option<String>>> {
    let mut missing = None;
    // An item of the list is first taken for the complete one; if it is in the list twice, then for the other.
    for all_are_gone in [false, true] {
        let mut walk = Walk::new(cx, Outset::at(0, source.resume(&record.inputs, 0)?));
        if !walk.up_to(reach, known, record, all_are_gone)? {
            continue;
        }
        let is_right = match cx.is_stopped() {
            true => Ok(()),
            false => walk.rest_is_right(Due::of(record))?,
        };
        match is_right {
            Ok(()) => {
                let (failed, open) = (std::mem::take(&mut walk.failed), std::mem::take(&mut walk.open));
                let mut outset = walk.end(source, &record.inputs)?;
                naming::say_what_has_gone(&mut outset, record, (&failed, &open), state)?;
                keep_as_failed(record, &failed, &open);
                return Ok(Ok(outset));
            }
            Err(how) => missing = missing.or(how),
        }
    }
    Ok(Err(missing))
}

/// A failed task stays on record as failed, even if it was to run again. While it is gone it does not count; a task
/// that was at work when a run was killed does.
fn keep_as_failed(record: &mut Record, failed: &[u64], open: &[u64]) {
    for number in failed.iter().chain(open).copied() {
        record.failing.insert(number);
        if !is_done(record, number) {
            record.finished.insert(number);
        }
    }
    record.failed = record.failing.len() - failed.len() as u64;
}

/// A walk along the old list and the new one.
struct Walk<'s, 'l> {
    cx: &'s ListContext<'l>,
    outset: Outset,
    /// A listed task that has no number yet.
    waiting: Option<Listed<AnyTask>>,
    gone: HashSet<[u8; 8]>,
    failed: Vec<u64>,
    /// The tasks that are gone and whose completion is unknown.
    open: Vec<u64>,
}

impl<'s, 'l> Walk<'s, 'l> {
    fn new(cx: &'s ListContext<'l>, outset: Outset) -> Self {
        let (failed, open) = (Vec::new(), Vec::new());
        Self { cx, outset, waiting: None, gone: HashSet::new(), failed, open }
    }

    fn next(&mut self) -> Result<Option<Listed<AnyTask>>> {
        self.waiting.take().map_or_else(|| self.outset.listing.next(self.cx), |listed| Ok(Some(listed)))
    }

    /// Walks as far as any task was committed or at work. Returns whether the marks are those on record.
    fn up_to(
        &mut self,
        reach: Option<Reach>,
        known: &Known,
        record: &Record,
        all_are_gone: bool,
    ) -> Result<bool> {
        let mut settled = known.settled.iter().copied().peekable();
        let last = reach.map(|reach| reach.task).max(known.open.keys().next_back().copied());
        while last.is_some_and(|last| self.outset.next <= last) {
            let number = self.outset.next;
            let digest = settled.next_if(|(task, _)| *task == number).map(|(_, digest)| digest);
            let open = known.open.get(&number).copied();
            self.waiting = self.next()?;
            let here = self.waiting.as_ref().and_then(|listed| listed.mark).map(Mark::of_task);
            match (digest, open) {
                (Some(digest), _) if all_are_gone || here != Some(digest) => {
                    // An item of the last group, or of one of the slots over which that group was spread.
                    if record.whole.is_some() {
                        self.refuse_growth(digest)?;
                    }
                    if record.failing.contains(number) || !is_done(record, number) {
                        self.failed.push(number);
                    }
                    self.pass(digest);
                }
                (None, Some(digest)) if here != Some(digest) => {
                    self.open.push(number);
                    self.pass(digest);
                }
                (_, _) => {
                    let Some(listed) = self.waiting.take() else {
                        return Ok(self.cx.is_stopped() || reach.is_none_or(|reach| number > reach.task));
                    };
                    self.outset.in_common += u64::from(digest.is_some());
                    let task = self.outset.take(listed);
                    if !is_done(record, number) {
                        self.outset.left.push(task);
                    }
                }
            }
            let trace = self.outset.last.map_or([0; 8], Mark::trace);
            if [reach, record.whole].into_iter().flatten().any(|at| at.task == number && at.trace != trace) {
                return Ok(self.cx.is_stopped());
            }
        }
        Ok(true)
    }

    fn pass(&mut self, digest: [u8; 8]) {
        self.outset.pass(digest);
        self.gone.insert(digest);
    }

    /// Refuses a list that has grown within its last group: the task that would run now contains completed items.
    fn refuse_growth(&self, digest: [u8; 8]) -> Result<()> {
        let Some(listed) = &self.waiting else { return Ok(()) };
        if !self.outset.listing.beginnings(&listed.task).contains(&digest) {
            return Ok(());
        }
        let how = "the list has grown, and its last group had room: items would run again";
        Err(refused(how).advise("give the new items alone").then(Advice::NameAnotherState))
    }

    /// Whether the list goes on with tasks that are not complete. After them none of those that are gone may come.
    fn rest_is_right(&mut self, due: Option<Due>) -> Result<std::result::Result<(), Option<String>>> {
        let next = self.outset.next;
        match due.filter(|due| due.tasks > next) {
            Some(due) => {
                let mut chain = self.outset.last;
                let mut fits = false;
                for number in next..due.tasks {
                    let Some(Listed { task, mark: Some(own), .. }) = self.next()? else { break };
                    let mark = chain.unwrap_or(BEGINNING).then(own.of_task());
                    fits = number + 1 == due.tasks && due.fits(&*self.outset.listing, chain, &task, mark);
                    chain = Some(mark);
                }
                if !fits && !self.cx.is_stopped() {
                    let how = format!(
                        "after item {next} the list is another one: {} items followed then",
                        due.tasks - next
                    );
                    return Ok(Err((self.outset.is_linked()).then_some(how)));
                }
            }
            None if self.outset.in_common > 0 || !self.outset.left.is_empty() => {}
            None => return Ok(Err(None)),
        }
        while !self.gone.is_empty()
            && let Some(listed) = self.next()?
        {
            if listed.mark.is_some_and(|mark| self.gone.contains(&mark.of_task())) {
                return Ok(Err(None));
            }
        }
        Ok(Ok(()))
    }

    /// Opens the listing again after the outset, because the comparison went further.
    fn end(self, source: &dyn AnySource, inputs: &serde_json::Value) -> Result<Outset> {
        let mut outset = self.outset;
        outset.listing = source.resume(inputs, outset.listed())?;
        outset.listing.mark_before(self.cx)?;
        Ok(outset)
    }
}

fn is_done(record: &Record, number: u64) -> bool {
    number < record.frontier || record.finished.contains(number) || record.keeps(number)
}
