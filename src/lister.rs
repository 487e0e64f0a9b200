//! The source thread: lists tasks ahead of the workers, as far as the channel to the supervisor has room.
//!
//! It is a thread of its own because listing can wait, for a directory on a slow disk or for standard
//! input, and the supervisor must not. Tasks that an earlier run has finished beyond the frontier are
//! listed and passed over, and what a source says of its listing ([`Mark`]) is compared with the
//! record.
//!
//! All that is compared is compared *before* the first task is sent. Up to the frontier that is plain. Beyond
//! it, who compares a finished task when its turn comes has by then run those before it, of a list that is
//! another one: they are committed, the finished one behind them is too, its mark says that everything is
//! as it was, and whoever then puts the inputs back has the wrong result and no error. What is still to do
//! among those that are looked through (the few that were in flight when the last run ended) is kept in
//! memory for so long. A list that may change between runs is compared even earlier, before the run has
//! changed anything (`src/known_list.rs`).

use crate::error::{Error, Result};
use crate::job::{Listed, Listing, Mark, Source};
use crate::journal::Line;
use crate::known_list::Ahead;
use crate::pool::Assignment;
use crate::threads::READ_AHEAD;
use crate::wake::Wake;
use crossbeam_channel::Sender;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A list of so many tasks or more is not gone through only to know how it ends.
const LOOKED_AT: u64 = 1 << 20;

/// What the source thread sends.
#[derive(Debug)]
pub(crate) enum FromSource<T> {
    Task(Assignment<T>),
    /// The end, and how many tasks the job has.
    Ended(u64),
    Failed(Error),
}

/// What the source thread owns.
pub(crate) struct Lister<S: Source> {
    pub(crate) source: S,
    /// Number of the next task.
    pub(crate) next: u64,
    /// The mark of the one before it, by the record.
    pub(crate) mark: Option<Mark>,
    /// Tasks that an earlier run finished beyond the frontier; they are listed and skipped.
    pub(crate) beyond: BTreeMap<u64, Option<Mark>>,
    /// Of a list that may change between runs: how far it was looked through, and where the journal is told
    /// how it ends.
    pub(crate) known: Option<(Ahead<S::Task>, Sender<Line>)>,
    /// What the source said of itself when the job began.
    pub(crate) inputs: Value,
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
        if let Some((ahead, journal)) = self.known.take() {
            return self.list_known(ahead, &journal, to);
        }
        let wake = Arc::clone(&self.wake);
        let rehearsal = Listing::rehearsal(&wake);
        let mark = self.source.mark_before(&rehearsal)?;
        if self.mark.is_some() && mark != self.mark && !rehearsal.is_stopped() {
            return Err(self.changed("before the point where the last run stopped"));
        }
        for task in self.look_through()? {
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

    /// The same, of a list that was looked through.
    fn list_known(
        &mut self,
        mut ahead: Ahead<S::Task>,
        journal: &Sender<Line>,
        to: &Sender<FromSource<S::Task>>,
    ) -> Result<Option<u64>> {
        let wake = Arc::clone(&self.wake);
        if ahead.next == 0 {
            self.look_at_all(journal)?;
        }
        for task in std::mem::take(&mut ahead.left) {
            if to.send(FromSource::Task(task)).is_err() {
                return Ok(None);
            }
        }
        let listing = Listing::real(&wake);
        let mut last = None;
        while let Some(listed) = self.source.next(&listing)? {
            let task = ahead.take(listed);
            last = task.mark;
            if to.send(FromSource::Task(task)).is_err() {
                return Ok(None);
            }
        }
        if listing.is_stopped() {
            return Ok(None);
        }
        if let Some(mark) = last {
            journal.send(Line::Listed { tasks: ahead.next, trace: mark.trace() }).ok();
        }
        Ok(Some(ahead.next))
    }

    /// How a list ends that is too long to be listed to its end at once, and short enough to be gone through
    /// before the first task.
    fn look_at_all(&mut self, journal: &Sender<Line>) -> Result<()> {
        let is_worth_it = |tasks: u64| (READ_AHEAD as u64..LOOKED_AT).contains(&tasks);
        if !self.source.has_item_marks() || !self.source.extent().tasks.is_some_and(is_worth_it) {
            return Ok(());
        }
        let wake = Arc::clone(&self.wake);
        let rehearsal = Listing::rehearsal(&wake);
        let (mut tasks, mut last) = (0, None);
        while let Some(listed) = self.source.next(&rehearsal)? {
            tasks += 1;
            last = listed.mark;
        }
        if let (Some(mark), false) = (last, rehearsal.is_stopped()) {
            journal.send(Line::Listed { tasks, trace: mark.trace() }).ok();
        }
        self.source.restore(&self.inputs, 0).map(drop)
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
            None => Ok(Some(Assignment { number, task, bytes, mark })),
        }
    }

    /// Lists everything that an earlier run has finished, compares it, and gives what is left to do of it.
    fn look_through(&mut self) -> Result<Vec<Assignment<S::Task>>> {
        let wake = Arc::clone(&self.wake);
        let listing = Listing::real(&wake);
        let Some(last) = self.beyond.last_key_value().map(|(task, _)| *task) else { return Ok(Vec::new()) };
        let mut left = Vec::new();
        while self.next <= last {
            let Some(listed) = self.source.next(&listing)? else { break };
            left.extend(self.still_to_do(listed)?);
        }
        if self.next <= last && !listing.is_stopped() {
            return Err(self.changed("where the last run had finished tasks"));
        }
        Ok(left)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crossbeam_channel::{bounded, unbounded};

    /// Words, each with a mark over all up to it.
    struct Words(Vec<&'static str>, usize);

    impl Words {
        fn mark(&self, upto: usize) -> Mark {
            Mark(*blake3::hash(self.0[..=upto].join(" ").as_bytes()).as_bytes())
        }
    }

    impl Source for Words {
        type Task = &'static str;

        fn describe(&mut self) -> Result<Value> {
            Ok(Value::Null)
        }

        fn restore(&mut self, _described: &Value, frontier: u64) -> Result<Vec<String>> {
            self.1 = usize::try_from(frontier).unwrap();
            Ok(Vec::new())
        }

        fn next(&mut self, _listing: &Listing<'_>) -> Result<Option<Listed<&'static str>>> {
            let Some(task) = self.0.get(self.1) else { return Ok(None) };
            self.1 += 1;
            Ok(Some(Listed { task, bytes: 0, mark: Some(self.mark(self.1 - 1)) }))
        }

        fn mark_before(&mut self, _listing: &Listing<'_>) -> Result<Option<Mark>> {
            Ok(self.1.checked_sub(1).map(|last| self.mark(last)))
        }
    }

    const THEN: &str = "zero one two three four five";

    /// Goes on at task 1, with 2 and 4 finished; what is sent, and whether it ends well.
    fn go_on_with(now: &'static str) -> (Vec<&'static str>, std::result::Result<u64, Error>) {
        let words = |text: &'static str| Words(text.split(' ').collect(), 1);
        let then = words(THEN);
        let (ended, _) = bounded(0);
        let (send, sent) = unbounded();
        let lister = Lister {
            source: words(now),
            next: 1,
            mark: Some(then.mark(0)),
            beyond: [2, 4].into_iter().map(|task| (task, Some(then.mark(task as usize)))).collect(),
            known: None,
            inputs: Value::Null,
            wake: Arc::new(Wake::new().unwrap()),
            ended,
        };
        lister.list(&send);
        let mut tasks = Vec::new();
        for message in sent.try_iter() {
            match message {
                FromSource::Task(assignment) => tasks.push(assignment.task),
                FromSource::Ended(number) => return (tasks, Ok(number)),
                FromSource::Failed(error) => return (tasks, Err(error)),
            }
        }
        panic!("it ends with a word");
    }

    #[test]
    fn what_an_earlier_run_finished_is_passed_over() {
        assert_eq!(go_on_with(THEN), (vec!["one", "three", "five"], Ok(6)));
        assert_eq!(
            go_on_with("zero one two three four FIVE").0,
            ["one", "three", "FIVE"],
            "nobody did that one"
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
