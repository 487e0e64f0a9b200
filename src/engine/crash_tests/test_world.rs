//! What is around the committer in these tests: a job, its output, and what the world was told.

use crate::durable::disk::tests::sim::SimDisk;
use crate::durable::record::Record;
use crate::durable::state_dir::peek;
use crate::durable::status_file::StatusFile;
use crate::durable::store::Location;
use crate::engine::commit::{Closed, CommitCommand, CommitEvent, Committer, Step};
use crate::engine::effects::{Effects, TaskOutput};
use crate::engine::options::Options;
use crate::engine::prepare::{Interruptible, Prepared, prepare};
use crate::engine::run::tests::{Numbers, Upto};
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::signals::policy::Policy;
use crate::signals::{Masked, Received, SignalThread};
use crate::sink::FileSink;
use crate::sync::lock;
use crate::task::erased::{Erased, erase};
use crate::task::observer::{Notice, Progress};
use crate::task::outbox::Delivery;
use crate::task::{Committed, End, Line, Measured, Outcome, Sink, TaskError};
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

pub(super) const OUT: &str = "w/out";
pub(super) const STATE: &str = "w/out.bivouac";
pub(super) const TASKS: u64 = 8;
/// At this task the supervisor stops the first run. The two tasks after the next one are done by then.
const STOP: u64 = 4;

/// Sizes that begin and end within a sector, within a block, and across both.
fn output_of(task: u64) -> Vec<u8> {
    let length = [10, 700, 5000, 333, 1, 4097, 512, 0][task as usize];
    (0..length).map(|n: u64| (n * 13 + task * 101 + n / 256) as u8).collect()
}

/// The output of the whole job. Its last line shows a task that is counted twice, or not at all.
pub(super) fn expected() -> Vec<u8> {
    let sum: u64 = (0..TASKS).sum();
    (0..TASKS).flat_map(output_of).chain(format!("sum {sum}\n").into_bytes()).collect()
}

/// The total is the sum of the numbers of the tasks. The test delivers for the workers.
fn job() -> Numbers {
    Numbers(Box::new(|_, _| Err(TaskError::Cancelled)))
}

/// What a person has in hand of the output of tasks with side effects: the numbers of the tasks.
#[derive(Clone, Debug, Default)]
struct Paper(Arc<Mutex<Vec<u64>>>);

/// Prints numbers of tasks on paper; those in `waiting` are lost if the process ends.
struct Printer {
    paper: Paper,
    is_immediate: bool,
    waiting: Vec<u64>,
}

impl Sink for Printer {
    fn begin(&mut self, _committed: Option<&Committed>) -> Result<()> {
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.waiting
            .extend(bytes.iter().filter(|byte| u64::from(**byte) < TASKS).map(|byte| u64::from(*byte)));
        if self.is_immediate { self.make_durable().map(drop) } else { Ok(()) }
    }

    fn make_durable(&mut self) -> Result<Committed> {
        lock(&self.paper.0).append(&mut self.waiting);
        Ok(Committed::default())
    }

    fn is_immediate(&self) -> bool {
        self.is_immediate
    }

    fn publish(&mut self) -> Result<()> {
        Ok(())
    }

    fn is_published(&mut self, _committed: &Committed) -> Result<bool> {
        Ok(true)
    }
}

/// The sink of a run that is over, whose reader takes nothing more.
struct Stuck;

impl Sink for Stuck {
    fn may_give_up(&self) -> bool {
        true
    }

    fn begin(&mut self, _committed: Option<&Committed>) -> Result<()> {
        Ok(())
    }

    fn write(&mut self, _bytes: &[u8]) -> Result<()> {
        Err(Error::new(ErrorKind::Interrupted, "the reader", "takes nothing"))
    }

    fn make_durable(&mut self) -> Result<Committed> {
        Ok(Committed::default())
    }

    fn publish(&mut self) -> Result<()> {
        Ok(())
    }

    fn is_published(&mut self, _committed: &Committed) -> Result<bool> {
        Ok(false)
    }
}

/// Which job it is, as far as the committer makes a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Its result is an output file.
    File,
    /// The same, and a task that runs again does harm.
    FileOnce,
    /// The same as [`File`](Kind::File), and its tasks produce more than the memory holds. Some are interrupted.
    FileAtWork,
    /// Its reader takes nothing.
    Stuck,
    /// A person reads what its tasks print. `is_safe`: what is printed cannot be lost any more.
    Printed { in_order: bool, is_safe: bool },
}

impl Kind {
    fn effects(self) -> Effects {
        let output = match self {
            Kind::File | Kind::FileAtWork | Kind::Stuck => return Effects::Pure,
            Kind::FileOnce => TaskOutput::Result,
            Kind::Printed { in_order: true, .. } => TaskOutput::PrintedInOrder,
            Kind::Printed { in_order: false, .. } => TaskOutput::PrintedAsCompleted,
        };
        Effects::SideEffects { output, retry_failed: false }
    }

    pub(super) fn has_file(self) -> bool {
        match self {
            Kind::File | Kind::FileOnce | Kind::FileAtWork | Kind::Stuck => true,
            Kind::Printed { .. } => false,
        }
    }

    fn output_of(self, task: u64) -> Vec<u8> {
        if self.has_file() { output_of(task) } else { vec![task as u8] }
    }
}

/// How a run is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    Stopped,
    Finished,
}

/// What the world outside knows. It must still hold after any crash.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    /// How many tasks are committed, by the last checkpoint that was reported.
    pub(super) committed: u64,
    /// How many tasks are committed or kept, by the report of an orderly stop.
    pub(super) kept: u64,
    pub(super) is_finished: bool,
    /// What was printed.
    pub(super) printed: Vec<u64>,
    /// Another run may have taken over.
    pub(super) is_lost: bool,
    /// Tasks whose end is in a journal that the system has.
    pub(super) in_journal: BTreeSet<u64>,
}

impl Told {
    fn take(&mut self, event: CommitEvent) {
        match event {
            CommitEvent::Frontier(frontier) if frontier.ahead > 0 => {
                self.kept = frontier.committed + frontier.ahead;
            }
            CommitEvent::Checkpoint { frontier, .. } => self.committed = frontier,
            CommitEvent::Closed(Closed { finished: Some(_) }) => self.is_finished = true,
            CommitEvent::Frontier(_)
            | CommitEvent::Closed(Closed { finished: None })
            | CommitEvent::Input(_) => {}
            CommitEvent::Broke(error) => self.is_lost = error.kind() == ErrorKind::Busy,
        }
    }
}

/// One process at its beginning: the committer, and the tasks that the source thread would hand out.
struct Started {
    committer: Committer,
    todo: VecDeque<u64>,
}

/// See the [module](self).
pub(super) struct World {
    pub(super) kind: Kind,
    masked: Masked,
    listener: SignalThread,
    signals: (Sender<Received>, Receiver<Received>),
    /// What happens before each step.
    pub(super) before_step: RefCell<Option<Box<dyn FnMut()>>>,
}

impl World {
    pub(super) fn new(kind: Kind) -> Self {
        let masked = Masked::block(Policy::empty()).unwrap();
        let signals = unbounded();
        let listener = SignalThread::start(&masked, Instant::now(), false, signals.0.clone()).unwrap();
        Self { kind, masked, listener, signals, before_step: RefCell::default() }
    }

    /// One process: begins the job or goes on with it. The `Err` of a broken disk is an ending like any other.
    pub(super) fn run(&self, disk: &SimDisk, until: Until, told: &mut Told) -> Result<()> {
        let paper = Paper(Arc::new(Mutex::new(told.printed.clone())));
        let (report, events) = unbounded();
        let result = self.start(disk, &paper, report).and_then(|started| match started {
            None => Ok(()),
            Some(Started { mut committer, todo }) => {
                let result = self.work(&mut committer, todo, until, told);
                let ended = match &result {
                    Ok(Closed { finished }) if finished.is_some() == (until == Until::Finished) => Ok(()),
                    Ok(closed) => Err(Error::broken("job", format_args!("closed as {closed:?}"))),
                    Err(error) => Err(error.clone()),
                };
                committer.end(result.map(Some));
                ended
            }
        });
        events.try_iter().for_each(|event| told.take(event));
        told.printed.clone_from(&lock(&paper.0));
        result
    }

    /// The committer that the real preparation leads to; `None` if the job is finished.
    fn start(&self, disk: &SimDisk, paper: &Paper, report: Sender<CommitEvent>) -> Result<Option<Started>> {
        let mut sink: Box<dyn Sink> = match self.kind {
            Kind::File | Kind::FileOnce | Kind::FileAtWork => Box::new(FileSink::on(disk, Path::new(OUT))?),
            Kind::Stuck => Box::new(Stuck),
            Kind::Printed { is_safe, .. } => {
                Box::new(Printer { paper: paper.clone(), is_immediate: is_safe, waiting: Vec::new() })
            }
        };
        let options = Options {
            location: Location::Directory(STATE.into()),
            effects: self.kind.effects(),
            disk: Arc::new(disk.clone()),
            ..Options::default()
        };
        let before = record_on(disk);
        let (masked, (back, signals)) = (&self.masked, self.signals.clone());
        let subscription = self.listener.subscription.clone();
        let interruptible = Interruptible { masked, signals, back, core: false, subscription, until: None };
        let (Erased { job, mut source, total }, _) = erase(job(), Upto(TASKS));
        let to: (_, &mut dyn FnMut(&Notice)) = (&interruptible, &mut |_| ());
        let from = match prepare((&*job, total), &mut *source, &mut *sink, &options, to)? {
            Prepared::Ready(from) => from,
            Prepared::AlreadyDone { .. } => return Ok(None),
            Prepared::Stopped { by, .. } => return Err(Error::broken("job", format_args!("{by:?}"))),
        };
        if let Some(before) = &before {
            is_a_continuation(before, from.store.record())?;
        }
        let report = Box::new(move |event| report.send(event).unwrap_or_default());
        let numbers = from.outset.left.iter().map(|task| task.number);
        let todo = numbers.chain(from.outset.next..TASKS).collect();
        let from = (from.store, from.total);
        let mut committer = Committer::new(sink, from, self.kind.effects(), report);
        committer.every = Duration::MAX;
        if self.kind == Kind::FileAtWork {
            committer.reorder.memory = 400;
        }
        Ok(Some(Started { committer, todo }))
    }

    /// The workers, the thread and the supervisor in one: every third task is overtaken by the next one.
    fn work(
        &self,
        committer: &mut Committer,
        mut todo: VecDeque<u64>,
        until: Until,
        told: &mut Told,
    ) -> Result<Closed> {
        let shows_status = self.before_step.borrow().is_some();
        let mut delivered = Vec::new();
        while let Some(task) = todo.pop_front() {
            if until == Until::Stopped && task >= STOP {
                for ahead in todo.into_iter().skip(1).take(2) {
                    self.deliver(committer, ahead)?;
                }
                return self.close(committer, None);
            }
            if task % 3 == 1
                && let Some(next) = todo.pop_front()
            {
                self.deliver(committer, next)?;
                delivered.push(next);
                self.checkpoint(committer)?;
                self.checkpoint(committer)?;
            }
            self.deliver(committer, task)?;
            delivered.push(task);
            self.step(committer, Step::Commit)?;
            if shows_status {
                self.step(committer, Step::Command(CommitCommand::ShowStatus(Box::new(status()))))?;
            }
            if self.kind == (Kind::Printed { in_order: false, is_safe: true }) {
                told.in_journal.extend(delivered.drain(..));
            }
            if task % 2 == 1 {
                self.checkpoint(committer)?;
            }
        }
        self.close(committer, Some(TASKS))
    }

    /// A worker does a task. The line about its end may come long before its output.
    fn deliver(&self, committer: &mut Committer, task: u64) -> Result<()> {
        if !self.kind.has_file() {
            let note = String::new();
            let end = End {
                task,
                attempt: 1,
                took_us: 0,
                outcome: Outcome::Done(0),
                measured: Measured::default(),
            };
            self.step(
                committer,
                Step::Line(Line::Began { task, attempt: 1, at_ms: 0, note, of_task: [0; 8] }),
            )?;
            self.step(committer, Step::Commit)?;
            self.step(committer, Step::Line(Line::Ended(end)))?;
            self.step(committer, Step::Commit)?;
        }
        // A long piece is stored by itself, a short one with its task.
        let output = self.kind.output_of(task);
        if self.kind == Kind::FileAtWork && task % 2 == 1 {
            for bytes in output.chunks(600).map(<[u8]>::to_vec) {
                self.step(committer, Step::Delivery(Delivery::Piece { task, bytes }))?;
                self.checkpoint(committer)?;
            }
            self.step(committer, Step::Delivery(Delivery::Interrupted { task }))?;
        }
        for bytes in output.chunks(4500).map(<[u8]>::to_vec) {
            self.step(committer, Step::Delivery(Delivery::Piece { task, bytes }))?;
        }
        self.step(
            committer,
            Step::Delivery(Delivery::Done { task, partial: Box::new(task), mark: None, bytes: 1 }),
        )?;
        Ok(())
    }

    fn checkpoint(&self, committer: &mut Committer) -> Result<()> {
        self.step(committer, Step::Command(CommitCommand::Checkpoint { asked: true })).map(drop)
    }

    fn close(&self, committer: &mut Committer, listed: Option<u64>) -> Result<Closed> {
        let closed = self.step(committer, Step::Command(CommitCommand::Close { listed }))?;
        closed.ok_or_else(|| Error::broken("committer", "is not closed by the command to close"))
    }

    fn step(&self, committer: &mut Committer, step: Step) -> Result<Option<Closed>> {
        self.before_step.borrow_mut().iter_mut().for_each(|call| call());
        committer.step(step)
    }
}

fn status() -> StatusFile {
    StatusFile::of(&Progress::default(), SystemTime::now())
}

pub(super) fn record_on(disk: &SimDisk) -> Option<Record> {
    peek(disk, Path::new(STATE)).ok()?.record
}

/// Whether a run goes on from this record, with another epoch and with every task that the record names.
fn is_a_continuation(before: &Record, now: &Record) -> Result<()> {
    let has = |record: &Record, task| {
        task < record.frontier || record.finished.contains(task) || record.keeps(task)
    };
    if let Some(task) = (0..TASKS).find(|task| has(before, *task) && !has(now, *task)) {
        return Err(Error::broken(
            "record",
            format_args!("names the result of task {task}, which is not there"),
        ));
    }
    if now.epoch <= before.epoch {
        return Err(Error::broken("record", "has the epoch of the run before"));
    }
    Ok(())
}

#[test]
fn deliveries_are_stored_after_the_sink_has_given_up() {
    let (world, disk, report) = (World::new(Kind::Stuck), SimDisk::new(), unbounded().0);
    disk.put(OUT, b"");
    let Started { mut committer, .. } = world.start(&disk, &Paper::default(), report).unwrap().unwrap();
    committer.reorder.memory = 5;
    for task in [1, 0, 2] {
        world.deliver(&mut committer, task).unwrap();
    }
    let error = world.step(&mut committer, Step::Commit).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Interrupted);
}
