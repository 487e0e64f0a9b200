//! The workers: a rayon pool of the run, and the context in which a task runs.
//!
//! **Why not the global pool?** It starts with the mask of any caller, and never ends. The holder of [`Masked`] starts this
//! pool, so every worker begins with the handled signals blocked, and the pool ends with the run.
//!
//! **Why `spawn` for each task and not `par_iter`?** A parallel iterator cannot be paused, and it owns the order. With
//! `spawn` the supervisor decides before each task whether it may start. Inside a task, `join` and `par_iter` run in this
//! pool too.
//!
//! **What to know of rayon.** A pool that is dropped first completes all spawned tasks, so few are spawned at a time, and
//! each checks the gate before it begins. A panic in a spawned closure aborts the process, so it is caught around the task
//! and becomes its failure.

use crate::engine::input_memory::Room;
use crate::error::{Advice, Error, Result, no_thread};
use crate::process::Children;
use crate::signals::Masked;
use crate::sync::lock;
use crate::task::erased::{AnyJob, AnyPartial, AnyTask};
use crate::task::outbox::{Delivery, Outbox};
use crate::task::{Context, Mark, Presumed, Remark, Shared, TaskError};
use crossbeam_channel::{Sender, unbounded};
use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A task on its way to a worker.
#[derive(Debug)]
pub(crate) struct Assignment {
    pub(crate) number: u64,
    pub(crate) task: AnyTask,
    pub(crate) bytes: u64,
    pub(crate) mark: Option<Mark>,
    /// Its share of the memory for input, if it holds a part of the input.
    pub(crate) room: Option<Room>,
}

/// A task that has left its worker and is not over.
#[derive(Debug)]
pub(crate) struct Deferred {
    pub(crate) number: u64,
    pub(crate) bytes: u64,
    mark: Option<Mark>,
    /// The progress that it has reported.
    advanced: u64,
    pub(crate) time: Duration,
    pub(crate) then: Then,
    /// If it may run again, it still holds its part of the input.
    room: Option<Room>,
}

/// What to do when a deferred task is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    Conclude,
    Retry,
}

/// Messages of the workers to the supervisor.
#[derive(Debug)]
pub(crate) enum Report {
    /// A task waits at the closed gate, or warns of something.
    Remark(Remark),
    /// A task has left its worker after the time `took`; or the result of a deferred task is known.
    Ended { task: u64, outcome: Outcome, took: Option<Duration> },
}

#[derive(Debug)]
pub(crate) enum Outcome {
    Done,
    Failed(String),
    Interrupted,
    Fatal(Error),
    Deferred(Deferred),
}

/// The workers of one run.
pub(crate) struct Pool {
    rayon: rayon::ThreadPool,
    desk: Arc<Desk>,
    conclude: Sender<Deferred>,
    pub(crate) shared: Arc<Shared>,
}

/// The things that a task needs to run, on any thread.
struct Desk {
    job: Arc<dyn AnyJob>,
    shared: Arc<Shared>,
    children: Arc<Children>,
    outbox: Outbox,
    reports: Sender<Report>,
    queue: Mutex<Queue>,
}

/// A task, or another attempt at a deferred one.
struct Work {
    deferred: Deferred,
    task: Option<AnyTask>,
}

/// Tasks that wait for a worker. The obvious queue is that of rayon. But a closure in there cannot be held back when fewer
/// tasks may run than before, and it stays with one pool when a larger one takes its place. So rayon gets a *ticket* for each
/// task, and a worker that gets a ticket takes the first task from here, if one more may run.
struct Queue {
    waiting: VecDeque<Work>,
    running: usize,
    allowed: usize,
    /// Tickets whose worker found that no more tasks may run. The end of a task uses one of them.
    unused: usize,
}

impl Pool {
    /// Starts `workers` threads, or fewer if the system gives no more. Returns how many. It needs the proof that the
    /// handled signals are blocked on this thread, because the workers inherit its mask.
    pub(crate) fn start(
        masked: &Masked,
        workers: usize,
        (job, shared, children): (Arc<dyn AnyJob>, Arc<Shared>, Arc<Children>),
        outbox: Outbox,
        reports: Sender<Report>,
    ) -> Result<(Self, usize)> {
        let queue = Queue { waiting: VecDeque::new(), running: 0, allowed: workers, unused: 0 };
        let (shared_too, queue) = (Arc::clone(&shared), Mutex::new(queue));
        let desk = Arc::new(Desk { job, shared: shared_too, children, outbox, reports, queue });
        let (conclude, to_conclude) = unbounded();
        let concluder = Arc::clone(&desk);
        let conclude_all = move || to_conclude.into_iter().for_each(|deferred| concluder.conclude(deferred));
        masked.spawn("verdicts", conclude_all).map_err(no_thread)?;
        let (rayon, workers) = build(masked, workers)?;
        Ok((Self { rayon, desk, conclude, shared }, workers))
    }

    /// Sets how many tasks may run at the same time. If more are running, none begins until enough of them have ended.
    pub(crate) fn allow(&self, jobs: usize) {
        let mut queue = lock(&self.desk.queue);
        queue.allowed = jobs;
        queue.unused = 0;
        // One ticket for each waiting task. Old tickets may be left, but a ticket without a task does nothing.
        let tickets = queue.waiting.len();
        drop(queue);
        (0..tickets).for_each(|_| self.send_ticket());
    }

    fn send_ticket(&self) {
        let desk = Arc::clone(&self.desk);
        self.rayon.spawn(move || desk.serve());
    }

    /// Replaces the pool by a larger one, and returns how many threads there are then. Tasks at work are not disturbed: rayon
    /// ends a dropped pool only when its tasks are done. [`allow`](Self::allow) must follow: it sends tickets to the new pool.
    pub(crate) fn grow(&mut self, masked: &Masked, workers: usize) -> Result<usize> {
        let here = self.rayon.current_num_threads();
        let (rayon, workers) = build(masked, workers)?;
        if workers <= here {
            return Ok(here);
        }
        self.rayon = rayon;
        Ok(workers)
    }

    /// The number of a task in the whole job, for messages.
    pub(crate) fn number_of(&self, task: u64) -> u64 {
        self.desk.job.number_of(task)
    }

    pub(crate) fn children(&self) -> &Arc<Children> {
        &self.desk.children
    }

    /// Hands one task to rayon. Every assignment is answered by exactly one [`Report::Ended`].
    pub(crate) fn assign(&self, assignment: Assignment) {
        let Assignment { number, task, bytes, mark, room } = assignment;
        let (advanced, time, then) = (0, Duration::ZERO, Then::Retry);
        self.hand_out(Deferred { number, bytes, mark, advanced, time, then, room }, Some(task));
    }

    pub(crate) fn retry(&self, deferred: Deferred) {
        self.hand_out(deferred, None);
    }

    /// Makes the thread `verdicts` ask for the result of a deferred task. A task that would be tried again counts as
    /// interrupted.
    pub(crate) fn conclude(&self, deferred: Deferred) {
        // The receiver lives as long as the pool.
        self.conclude.send(deferred).ok();
    }

    fn hand_out(&self, deferred: Deferred, task: Option<AnyTask>) {
        lock(&self.desk.queue).waiting.push_back(Work { deferred, task });
        self.send_ticket();
    }
}

/// Starts a pool of `workers` threads. If the system refuses a thread, the pool has half of those that it gave, to leave room
/// for commands. Returns the pool and the number of its threads.
fn build(masked: &Masked, mut workers: usize) -> Result<(rayon::ThreadPool, usize)> {
    loop {
        let mut threads = Vec::new();
        let built = rayon::ThreadPoolBuilder::new()
            .num_threads(workers)
            .spawn_handler(|thread| {
                let name = format!("worker {}", thread.index());
                threads.push(masked.spawn(&name, move || thread.run())?);
                Ok(())
            })
            .build();
        match built {
            Ok(rayon) => return Ok((rayon, workers)),
            Err(e) if threads.is_empty() => {
                return Err(Error::broken("worker pool", format_args!("cannot start a thread: {e}"))
                    .advise("raise the limit of processes (ulimit -u), or of memory (ulimit -v)"));
            }
            Err(_) => {
                workers = threads.len().div_ceil(2);
                // There is room again only after the started ones have ended.
                threads.into_iter().for_each(|thread| thread.join().unwrap_or_default());
            }
        }
    }
}

impl Desk {
    /// Redeems a ticket: runs the first waiting task, if one more may run. It never waits, because rayon may call it from an
    /// inner wait of another task, on the same stack.
    fn serve(self: Arc<Self>) {
        let mut queue = lock(&self.queue);
        if queue.running >= queue.allowed {
            queue.unused += 1;
            return;
        }
        let Some(work) = queue.waiting.pop_front() else { return };
        queue.running += 1;
        drop(queue);
        self.perform(work);
        let mut queue = lock(&self.queue);
        queue.running -= 1;
        if queue.unused > 0 && queue.running < queue.allowed {
            queue.unused -= 1;
            drop(queue);
            rayon::spawn(move || self.serve());
        }
    }

    fn perform(&self, Work { deferred, task }: Work) {
        let (began, number) = (Instant::now(), deferred.number);
        let outcome = if self.shared.gate.may_begin() && !self.shared.too_much_has_failed() {
            self.run_task(deferred, began, |cx| match task {
                Some(task) => self.job.run(task, cx),
                None => self.job.again(cx),
            })
        } else {
            Outcome::Interrupted
        };
        // The receiver is gone only when the run is over.
        self.reports.send(Report::Ended { task: number, outcome, took: Some(began.elapsed()) }).ok();
    }

    fn conclude(&self, deferred: Deferred) {
        let (task, then) = (deferred.number, deferred.then);
        let outcome = self.run_task(deferred, Instant::now(), |cx| match then {
            Then::Conclude => self.job.settle(cx),
            Then::Retry => Err(TaskError::Cancelled),
        });
        self.reports.send(Report::Ended { task, outcome, took: None }).ok();
    }

    /// Runs one task and delivers its result, all of it before the report is sent.
    ///
    /// Longer than a screen, because the order of everything between the result and the report matters.
    fn run_task(
        &self,
        deferred: Deferred,
        began: Instant,
        work: impl FnOnce(&Context<'_>) -> std::result::Result<Box<dyn AnyPartial>, TaskError>,
    ) -> Outcome {
        let Self { shared, children, outbox, reports, .. } = self;
        let (shared, Deferred { number: task, bytes, mark, advanced, then, room, .. }) =
            (&**shared, deferred);
        let is_known = then == Then::Conclude;
        let slot = shared.begins(task, began, rayon::current_thread_index().is_some());
        shared.moving.fetch_add(1, Ordering::Relaxed);
        let context = Context {
            task: self.job.number_of(task),
            own: task,
            slot,
            of_task: mark.map_or([0; 8], Mark::of_task),
            shared,
            commands: &**children,
            emit: &|bytes| outbox.deliver(shared, Delivery::Piece { task, bytes }),
            // The committer forgets the pieces of an interrupted task.
            forget: &|| outbox.deliver(shared, Delivery::Interrupted { task }),
            // The receiver is gone only when the run is over, or its disk broken.
            journal: &|line| outbox.lines.send(line).unwrap_or_default(),
            remark: &|remark| reports.send(Report::Remark(remark)).unwrap_or_default(),
            advanced: AtomicU64::new(advanced),
            parked: AtomicBool::new(false),
            written: Mutex::default(),
        };
        let result = catch_unwind(AssertUnwindSafe(|| work(&context)))
            .unwrap_or_else(|panic| Err(TaskError::Failed(format!("panicked: {}", panic_text(&*panic)))));
        // Also after a failure: the output may stay.
        let result = context.flush().and(result);
        shared.moving.fetch_sub(1, Ordering::Relaxed);
        let advanced = context.advanced.into_inner();
        let put_off = |advanced, time, then, room| {
            lock(&shared.running).remove(&task);
            Outcome::Deferred(Deferred { number: task, bytes, mark, advanced, time, then, room })
        };
        // Before the worker takes another task: none may begin after the failure that ends the run.
        if let Err(TaskError::Failed(_) | TaskError::Held { presumed: Presumed::Failed, .. }) = &result
            && !is_known
        {
            shared.note_failure();
        }
        if let Err(TaskError::Held { time, presumed }) = result {
            return put_off(advanced, time, Then::Conclude, room.filter(|_| presumed == Presumed::Again));
        }
        // A task that succeeded counts all of its bytes, whatever progress it reported. Any other task counts none.
        let due = if result.is_ok() { bytes } else { 0 };
        shared.advanced.fetch_add(due.wrapping_sub(advanced), Ordering::Relaxed); // Wrapping, it can also subtract.
        let (delivery, outcome) = match result {
            Ok(partial) => (Delivery::Done { task, partial, mark, bytes }, Outcome::Done),
            Err(TaskError::Failed(why)) if shared.keep_going => {
                (Delivery::Failed { task, mark, prints: shared.print_failed }, Outcome::Failed(why))
            }
            Err(TaskError::Failed(why)) => {
                let error = Error::broken("a task", why)
                    .of_task(self.job.number_of(task))
                    .advise("mend the cause")
                    .then(Advice::RunAgain);
                (Delivery::Interrupted { task }, Outcome::Fatal(error))
            }
            Err(TaskError::Cancelled) => (Delivery::Interrupted { task }, Outcome::Interrupted),
            Err(TaskError::Fatal(error)) => (Delivery::Interrupted { task }, Outcome::Fatal(error)),
            Err(TaskError::Again(time) | TaskError::Held { time, .. }) => {
                return put_off(0, time, Then::Retry, room);
            }
        };
        let delivered = outbox.deliver(shared, delivery);
        // Only now: a task that waits for the reader of its output has not ended.
        lock(&shared.running).remove(&task);
        if delivered { outcome } else { Outcome::Interrupted }
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let owned = || panic.downcast_ref::<String>().map(String::as_str);
    panic.downcast_ref::<&str>().copied().or_else(owned).unwrap_or("(no message)")
}
