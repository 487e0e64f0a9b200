//! What a task sees of the world while it runs: the gate, the way out for its bytes, and nothing of signals.

use crate::error::Error;
use crate::sync::lock;
use crate::task::command::{Call, Err, Finished, Out};
use crate::task::outbox::LOOK_UP;
use crate::task::{Line, Saying, Shared, TaskError};
use crossbeam_channel::SendTimeoutError;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What a running task tells the engine besides its results.
#[derive(Debug)]
pub(crate) enum Remark {
    /// It waits at the closed gate.
    Parked,
    /// Something is odd, and the observer is told.
    Warned(Error),
}

/// Runs the commands of tasks.
///
/// The obvious context knows the table of the children. But the code that runs a command looks at the gate, the
/// clocks and the rate limit of its task all the time, so each would import the other. So a context knows
/// only what a command is and this interface; `process`, which is built on contexts, implements it, and the
/// engine gives the one to the other.
pub(crate) trait Commands: fmt::Debug + Send + Sync {
    /// See [`Context::call`].
    fn run(
        &self,
        cx: &Context<'_>,
        call: &Call<'_>,
        out: &mut Out<'_>,
        err: &mut Err<'_>,
    ) -> std::result::Result<Finished, TaskError>;

    /// See [`Context::was_ended`].
    fn was_ended(&self, finished: &Finished);
}

/// What somebody owes to the rate limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Debt {
    rate: u64,
    until: Instant,
    left: Duration,
}

impl Debt {
    pub(crate) fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

/// The world as a task sees it: the gate, the way out for its bytes, and nothing of signals.
pub struct Context<'a> {
    pub(crate) task: u64,
    /// The digest of it alone, of a list that may change between runs.
    pub(crate) of_task: [u8; 8],
    pub(crate) shared: &'a Shared,
    pub(crate) commands: &'a dyn Commands,
    pub(crate) emit: &'a (dyn Fn(Vec<u8>) -> bool + Sync),
    pub(crate) forget: &'a (dyn Fn() -> bool + Sync),
    pub(crate) journal: &'a (dyn Fn(Line) + Sync),
    pub(crate) remark: &'a (dyn Fn(Remark) + Sync),
    pub(crate) advanced: AtomicU64,
    pub(crate) parked: AtomicBool,
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("task", &self.task).finish_non_exhaustive()
    }
}

impl Context<'_> {
    /// The number of this task, from 0.
    pub fn task(&self) -> u64 {
        self.task
    }

    /// Returns at once, or when the job is no longer paused.
    ///
    /// # Errors
    ///
    /// [`TaskError::Cancelled`] when the task shall give up. Hand it on with `?`.
    pub fn yield_point(&self) -> std::result::Result<(), TaskError> {
        let passed = self.shared.gate.pass(|| self.announce_parking());
        self.announce_moving();
        passed
    }

    /// Whether a stop has begun: the task may go on to its end, within the grace.
    pub fn is_stopping(&self) -> bool {
        self.shared.gate.is_draining() && !self.shared.halting.load(Ordering::Relaxed)
    }

    /// Sleeps for `time`; time in which the job is paused comes on top of it.
    ///
    /// # Errors
    ///
    /// As [`yield_point`](Context::yield_point), and at once.
    pub fn sleep(&self, time: Duration) -> std::result::Result<(), TaskError> {
        let mut left = time;
        loop {
            left = self.shared.gate.sleep(left);
            self.yield_point()?;
            if left.is_zero() {
                return Ok(());
            }
        }
    }

    /// Hands a line to whoever watches the run. Waits when lines come faster than they are read, so
    /// that a command that never stops complaining fills no memory.
    pub fn say(&self, line: String) {
        let mut saying = Saying { task: self.task, line };
        while let Err(SendTimeoutError::Timeout(back)) = self.shared.sayings.send_timeout(saying, LOOK_UP) {
            if self.is_cancelled() {
                return;
            }
            saying = back;
        }
    }

    /// Tells whoever watches the run what is odd.
    pub(crate) fn warn(&self, error: Error) {
        (self.remark)(Remark::Warned(error));
    }

    /// Runs a command until it has ended: `out` gets its standard output in pieces, `err` its standard error
    /// as it comes. Its end decides, also when a process that it has started holds its output; the output of
    /// the next 0.1 s still counts.
    ///
    /// While the job is paused the command is stopped (SIGTSTP, then SIGSTOP) and this waits. When it was
    /// ended, by us or by a signal that ends programs, all of its group have `kill_after` to end as well.
    ///
    /// # Errors
    ///
    /// [`TaskError::Cancelled`] when the task must give up: the command has been ended, with all of
    /// its group. [`TaskError::Fatal`] when it cannot be started
    /// ([`Kind::NoSuchCommand`](crate::error::Kind::NoSuchCommand),
    /// [`Kind::CannotStart`](crate::error::Kind::CannotStart)), or the system has no descriptor or process
    /// left. The errors of `out`.
    pub fn call(
        &self,
        call: &Call<'_>,
        out: &mut dyn FnMut(Vec<u8>) -> std::result::Result<(), TaskError>,
        err: &mut dyn FnMut(&[u8]),
    ) -> std::result::Result<Finished, TaskError> {
        self.commands.run(self, call, out, err)
    }

    /// Says of a command that seemed to have ended by itself that a scheduler has ended it. So the processes
    /// that it has left behind are not meant to stay.
    pub fn was_ended(&self, finished: &Finished) {
        self.commands.was_ended(finished);
    }

    /// How often the job was paused so far.
    pub(crate) fn pauses(&self) -> u32 {
        self.shared.gate.closings()
    }

    /// Holds the end of a stream for this time: whether it counts. See
    /// [`ListContext::end_counts`](crate::ListContext::end_counts).
    pub(crate) fn end_counts(&self, held: Duration) -> std::io::Result<bool> {
        self.shared.stop.end_counts(held)
    }

    /// Whether a stop has begun, or may be on its way from the kernel: a signal whose meaning is not known yet.
    pub(crate) fn may_be_stopping(&self) -> bool {
        self.shared.gate.is_draining() || self.is_cancelled() || self.shared.stop.may_be_stopping()
    }

    /// Whether the task shall give up: for loops that cannot return in the middle.
    pub fn is_cancelled(&self) -> bool {
        self.shared.gate.is_cancelled()
    }

    /// Says that `bytes` more of the input are worked through. Feeds progress, keeps to the rate
    /// limit of the run (by sleeping here), and is a yield point.
    ///
    /// # Errors
    ///
    /// As [`yield_point`](Context::yield_point).
    pub fn advance(&self, bytes: u64) -> std::result::Result<(), TaskError> {
        self.count(bytes);
        match self.take_from_the_rate(bytes) {
            Some(debt) => self.sleep_off(debt),
            None => self.yield_point(),
        }
    }

    /// The part of [`advance`](Context::advance) that feeds progress.
    pub(crate) fn count(&self, bytes: u64) {
        self.advanced.fetch_add(bytes, Ordering::Relaxed);
        self.shared.advanced.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Takes bytes from what the rate limit allows: how long to wait for them, if that is more than there is.
    pub(crate) fn take_from_the_rate(&self, bytes: u64) -> Option<Debt> {
        let rate = self.shared.throttle.rate();
        let left = self.shared.throttle.owed_after(bytes)?;
        Some(Debt { rate, until: Instant::now() + left, left })
    }

    /// Whether one still has to wait. Another limit frees those who wait by the old one.
    pub(crate) fn is_owed(&self, debt: &Debt) -> bool {
        self.shared.throttle.rate() == debt.rate && Instant::now() < debt.until
    }

    /// Waits; time in which the job is paused comes on top of it.
    pub(crate) fn sleep_off(&self, debt: Debt) -> std::result::Result<(), TaskError> {
        let mut left = debt.left;
        while !left.is_zero() && self.shared.throttle.rate() == debt.rate {
            let slice = left.min(LOOK_UP);
            self.sleep(slice)?;
            left -= slice;
        }
        Ok(())
    }

    /// Hands over a piece of this task's output. Pieces appear in the output in the order in which
    /// they were emitted, tasks in the order of their numbers. May wait for the disk.
    ///
    /// # Errors
    ///
    /// [`TaskError::Cancelled`] when nobody takes output any more.
    pub fn emit(&self, piece: Vec<u8>) -> std::result::Result<(), TaskError> {
        if (self.emit)(piece) { Ok(()) } else { Err(TaskError::Cancelled) }
    }

    /// Writes into the journal of the state ([`crate::journal`]) that an attempt of this task begins or
    /// has ended. It is durable with the next checkpoint. (That a task is settled is for the engine to
    /// say.)
    pub fn journal(&self, mut line: Line) {
        if let Line::Began { note, of_task, .. } = &mut line {
            *of_task = self.of_task;
            if let Some(running) = lock(&self.shared.running).get_mut(&self.task) {
                running.note.clone_from(note);
            }
        }
        (self.journal)(line);
    }

    /// Takes back everything that this task has emitted: it is about to begin once more.
    ///
    /// # Errors
    ///
    /// [`TaskError::Cancelled`] when nobody takes output any more.
    pub fn forget_output(&self) -> std::result::Result<(), TaskError> {
        if (self.forget)() { Ok(()) } else { Err(TaskError::Cancelled) }
    }

    /// With rayon inside the task, several threads may park for one task; it counts once.
    fn announce_parking(&self) {
        if !self.parked.swap(true, Ordering::Relaxed) {
            self.shared.moving.fetch_sub(1, Ordering::Relaxed);
            (self.remark)(Remark::Parked);
        }
    }

    fn announce_moving(&self) {
        if self.parked.load(Ordering::Relaxed) && self.parked.swap(false, Ordering::Relaxed) {
            self.shared.moving.fetch_add(1, Ordering::Relaxed);
        }
    }
}
