//! The source thread: lists tasks ahead of the workers, as far as the channel to the supervisor has room.
//!
//! It is a thread of its own because listing may wait, for a directory on a slow disk or for standard input, and the
//! supervisor must not. It lists and skips tasks that an earlier run completed ahead of the frontier.
//!
//! The list is compared with the record before the thread exists, and before anything is written ([`Comparison`]), so a
//! refusal changes nothing. (One exception: this thread compares how a stream ends.) The obvious way is to compare each finished task when its turn comes. By then the run has
//! committed tasks before it, perhaps of another list: you put the inputs back, and have a wrong result without an error.
//! So the list is compared as far as any task is finished. Tasks before that which are still to do (those in flight when
//! the last run ended) are kept in memory. `src/engine/known_list.rs` compares lists that may change between runs.

use crate::durable::record::{Last, Record};
use crate::durable::task_set::Tasks;
use crate::engine::input_memory::InputMemory;
use crate::engine::known_list::{Due, Outset};
use crate::engine::pool::Assignment;
use crate::error::{Advice, Error, Result};
use crate::task::erased::{AnyListing, AnySource};
use crate::task::stop_fd::StopFd;
use crate::task::{Line, ListContext, Listed, Listing, Mark, Source};
use crossbeam_channel::{Sender, TrySendError};
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many tasks may be listed ahead: enough to hide the time of reading a directory, and few enough for memory.
pub(crate) const READ_AHEAD: usize = 1024;

/// A list of this many tasks or more is not listed twice only to know how it ends.
const LOOKED_AT: u64 = 1 << 20;

#[derive(Debug)]
pub(crate) enum FromSource {
    Task(Assignment),
    /// All tasks are listed; this is their number.
    Ended(u64),
    Failed(Error),
}

pub(crate) struct SourceThread {
    /// To list all tasks once more.
    pub(crate) source: Box<dyn AnySource>,
    pub(crate) outset: Outset,
    /// The journal, if the list may change between runs: it gets a line about the end of the list.
    pub(crate) journal: Option<Sender<Line>>,
    pub(crate) inputs: Value,
    pub(crate) stop: Arc<StopFd>,
    /// The directory of the state.
    pub(crate) state: Option<PathBuf>,
    pub(crate) memory: Arc<InputMemory>,
    /// Dropped at the end, so that the run knows that this thread has ended.
    pub(crate) ended: Sender<()>,
    /// How long this thread rests when it is far enough ahead.
    pub(crate) rest: Duration,
}

/// The first rest, and the longest.
pub(crate) const REST: Duration = Duration::from_millis(1);
const LONGEST_REST: Duration = Duration::from_millis(16);

impl SourceThread {
    pub(crate) fn list(mut self, to: &Sender<FromSource>) {
        let last = match self.list_all(to) {
            Ok(Some(tasks)) => FromSource::Ended(tasks),
            Ok(None) => return,
            Err(error) => FromSource::Failed(error),
        };
        // A closed channel: the run is over.
        to.send(last).ok();
        drop(self.ended);
    }

    /// Lists all tasks. Returns their number, or `None` if the run is over.
    fn list_all(&mut self, to: &Sender<FromSource>) -> Result<Option<u64>> {
        self.look_at_all()?;
        for task in std::mem::take(&mut self.outset.left) {
            if !self.hand_over(task, to) {
                return Ok(None);
            }
        }
        let stop = Arc::clone(&self.stop);
        let state = self.state.clone();
        let cx = ListContext { beside: state.as_deref(), ..ListContext::real(&stop) };
        while let Some(listed) = self.outset.listing.next(&cx)? {
            let before = self.outset.last;
            let mut task = self.outset.take(listed);
            self.compare_end(before, &task)?;
            task.room = self.memory.room_for(self.outset.listing.holds(&task.task), &stop);
            if !self.hand_over(task, to) {
                return Ok(None);
            }
        }
        if cx.is_stopped() {
            return Ok(None);
        }
        if let Some(due) = self.outset.due.filter(|due| self.outset.next < due.tasks) {
            return Err(due.missing(self.outset.next));
        }
        if let (Some(mark), Some(journal)) = (self.outset.last, &self.journal) {
            journal.send(Line::Listed { tasks: self.outset.next, trace: mark.trace() }).ok();
        }
        Ok(Some(self.outset.next))
    }

    /// Sends a task when there is room for it; `false`: the run is over.
    ///
    /// The obvious `send` wakes this thread for every task that is taken, and takes a core away from a worker each
    /// time. So it rests until about half of the tasks are taken. If that takes less than a millisecond, it does
    /// not rest.
    fn hand_over(&mut self, task: Assignment, to: &Sender<FromSource>) -> bool {
        let back = match to.try_send(FromSource::Task(task)) {
            Ok(()) => return true,
            Err(TrySendError::Disconnected(_)) => return false,
            Err(TrySendError::Full(back)) => back,
        };
        if !self.rest.is_zero() {
            self.stop.wait_for(self.rest).ok(); // Without a rest it is slower, and as right.
            self.rest = match to.len() {
                left if left > READ_AHEAD * 3 / 4 => (self.rest * 2).min(LONGEST_REST),
                left if left < READ_AHEAD / 2 && self.rest == REST => Duration::ZERO,
                left if left < READ_AHEAD / 2 => self.rest / 2,
                _ => self.rest,
            };
        }
        let began = Instant::now();
        let sent = to.send(back).is_ok();
        if self.rest.is_zero() && began.elapsed() > REST {
            self.rest = REST;
        }
        sent
    }

    /// Compares the task with which the list on record ended.
    fn compare_end(&self, before: Option<Mark>, task: &Assignment) -> Result<()> {
        let due = self.outset.due.filter(|due| due.tasks == task.number + 1);
        let (Some(due), Some(mark)) = (due, task.mark) else { return Ok(()) };
        if due.fits(&*self.outset.listing, before, &task.task, mark) { Ok(()) } else { Err(due.differs()) }
    }

    /// Tells the journal how the list ends, if it is longer than the channel and short enough to be listed twice.
    fn look_at_all(&mut self) -> Result<()> {
        let Some(journal) = &self.journal else { return Ok(()) };
        let is_worth_it = |tasks: u64| (READ_AHEAD as u64..LOOKED_AT).contains(&tasks);
        let listing = &self.outset.listing;
        if !listing.has_item_marks() || !listing.extent().tasks.is_some_and(is_worth_it) {
            return Ok(());
        }
        let mut listing = self.source.resume(&self.inputs, self.outset.listed())?;
        let stop = Arc::clone(&self.stop);
        let rehearsal = ListContext::rehearsal(&stop);
        listing.mark_before(&rehearsal)?;
        let (mut tasks, mut last) = (self.outset.next, self.outset.last);
        while let Some(listed) = listing.next(&rehearsal)? {
            tasks += 1;
            last = listed.mark.map(|own| last.unwrap_or(Mark([0; 32])).then(own.of_task()));
        }
        if let (Some(mark), false) = (last, rehearsal.is_stopped()) {
            journal.send(Line::Listed { tasks, trace: mark.trace() }).ok();
        }
        Ok(())
    }
}

/// Compares the list with what the record says of it, before anything is changed.
pub(crate) struct Comparison {
    listing: Box<AnyListing>,
    next: u64,
    /// The mark of the task before it, on record.
    mark: Option<Mark>,
    /// Tasks that an earlier run completed ahead of the frontier; they are listed and skipped.
    kept: Tasks,
    /// The last of them, with its mark, which covers all tasks up to it.
    last: Option<Last>,
    /// How many tasks a list of items has at least.
    due: Option<Due>,
}

impl Comparison {
    /// `listing` was opened at the frontier.
    pub(crate) fn new(listing: Box<AnyListing>, record: &Record) -> Self {
        let (kept, last) = (record.kept_tasks(), record.last_kept());
        let due = record.tasks.filter(|_| listing.has_item_marks()).map(|tasks| Due { tasks, trace: None });
        Self { listing, next: record.frontier, mark: record.mark, kept, last, due }
    }

    /// Lists the tasks up to the last finished one. If `stop` ends that, the result is incomplete.
    pub(crate) fn compare(mut self, stop: &StopFd) -> Result<Outset> {
        let rehearsal = ListContext::rehearsal(stop);
        self.mark.into_iter().for_each(|mark| self.listing.go_to(mark));
        let mark = self.listing.mark_before(&rehearsal)?;
        if self.mark.is_some() && mark != self.mark && !rehearsal.is_stopped() {
            return Err(self.changed("in what is done"));
        }
        if let (Some(due), Some(tasks)) = (self.due, self.listing.extent().tasks)
            && tasks < due.tasks
        {
            return Err(due.missing(tasks));
        }
        let left = self.look_through(stop)?;
        let mut outset = Outset::at(self.next, self.listing);
        (outset.left, outset.due) = (left, self.due);
        Ok(outset)
    }

    fn changed(&self, place: &str) -> Error {
        Error::refused("inputs", format_args!("{} {place}", self.listing.what_changed()))
            .advise("put the inputs back as they were")
            .or(Advice::StartAfresh)
    }

    /// Lists the tasks up to the last finished one, compares that one, and returns the tasks still to do.
    fn look_through(&mut self, stop: &StopFd) -> Result<Vec<Assignment>> {
        let cx = ListContext::real(stop);
        let mut left = Vec::new();
        let Some(last) = self.last else { return Ok(left) };
        while self.next <= last.task {
            let Some(Listed { task, bytes, mark }) = self.listing.next(&cx)? else { break };
            let number = self.next;
            self.next += 1;
            if number == last.task && last.mark.is_some() && last.mark != mark {
                return Err(self.changed("where the last run had been"));
            }
            if !self.kept.contains(number) {
                left.push(Assignment { number, task, bytes, mark, room: None });
            }
        }
        if self.next <= last.task && !cx.is_stopped() {
            return Err(self.changed("where the last run had been"));
        }
        Ok(left)
    }
}

/// Lists all tasks of a source without running any: each with its number, until the source or `take` has an error.
pub fn list<S: Source>(source: &S, take: &mut dyn FnMut(u64, S::Task) -> Result<()>) -> Result<()> {
    let stop = StopFd::new()?;
    let mut listing = source.begin()?;
    let mut number = 0;
    while let Some(listed) = listing.next(&ListContext::real(&stop))? {
        take(number, listed.task)?;
        number += 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crossbeam_channel::{bounded, unbounded};

    /// Words; the mark of each covers all words up to it.
    #[derive(Clone)]
    struct Words(Vec<&'static str>, usize);

    impl Words {
        fn mark(&self, upto: usize) -> Mark {
            Mark(*blake3::hash(self.0[..=upto].join(" ").as_bytes()).as_bytes())
        }
    }

    impl Source for Words {
        type Task = &'static str;
        type Listing = Self;

        fn begin(&self) -> Result<Self> {
            Source::resume(self, &Value::Null, 0)
        }

        fn resume(&self, _described: &Value, frontier: u64) -> Result<Self> {
            Ok(Self(self.0.clone(), usize::try_from(frontier).unwrap()))
        }
    }

    impl Listing for Words {
        type Task = &'static str;

        fn described(&self) -> Result<Value> {
            Ok(Value::Null)
        }

        fn next(&mut self, _listing: &ListContext<'_>) -> Result<Option<Listed<&'static str>>> {
            let Some(task) = self.0.get(self.1) else { return Ok(None) };
            self.1 += 1;
            Ok(Some(Listed { task, bytes: 0, mark: Some(self.mark(self.1 - 1)) }))
        }

        fn mark_before(&mut self, _listing: &ListContext<'_>) -> Result<Option<Mark>> {
            Ok(self.1.checked_sub(1).map(|last| self.mark(last)))
        }
    }

    const THEN: &str = "zero one two three four five";

    /// Continues at task 1, with 2 and 4 finished. Returns the tasks that are sent, and how the listing ends.
    fn go_on_with(now: &'static str) -> (Vec<&'static str>, std::result::Result<u64, Error>) {
        let words = |text: &'static str| Words(text.split(' ').collect(), 0);
        let then = words(THEN);
        let stop = Arc::new(StopFd::new().unwrap());
        let (ended, _) = bounded(0);
        let (send, sent) = unbounded();
        let mut kept = Tasks::default();
        assert!(kept.insert(2) && kept.insert(4));
        let source: Box<dyn AnySource> = Box::new(words(now));
        let comparison = Comparison {
            listing: source.resume(&Value::Null, 1).unwrap(),
            next: 1,
            mark: Some(then.mark(0)),
            kept,
            last: Some(Last { task: 4, mark: Some(then.mark(4)) }),
            due: None,
        };
        let outset = match comparison.compare(&stop) {
            Ok(outset) => outset,
            Err(error) => return (Vec::new(), Err(error)),
        };
        let memory = InputMemory::new(1);
        let (journal, inputs) = (None, Value::Null);
        SourceThread { source, outset, journal, inputs, stop, state: None, memory, ended, rest: REST }
            .list(&send);
        let mut tasks = Vec::new();
        for message in sent.try_iter() {
            match message {
                FromSource::Task(assignment) => tasks.push(*assignment.task.downcast().unwrap()),
                FromSource::Ended(number) => return (tasks, Ok(number)),
                FromSource::Failed(error) => return (tasks, Err(error)),
            }
        }
        panic!("no last message");
    }

    #[test]
    fn what_an_earlier_run_finished_is_passed_over() {
        assert_eq!(go_on_with(THEN), (vec!["one", "three", "five"], Ok(6)));
        assert_eq!(
            go_on_with("zero one two three four FIVE").0,
            ["one", "three", "FIVE"],
            "that one was not done"
        );
    }

    #[test]
    fn another_list_is_refused_before_anything_of_it_is_sent() {
        for now in
            ["ZERO one two three four five", "zero ONE two three four five", "zero one two THREE four five"]
        {
            let (sent, ended) = go_on_with(now);
            assert_eq!((sent.len(), ended.unwrap_err().kind()), (0, Kind::Refused), "{now}");
        }
    }

    #[test]
    fn a_list_that_ends_before_what_is_finished_is_refused_too() {
        for now in ["zero", "zero one", "zero one two three"] {
            let (sent, ended) = go_on_with(now);
            assert_eq!((sent.len(), ended.unwrap_err().kind()), (0, Kind::Refused), "{now}");
        }
    }
}
