//! The gate: what every worker passes between tasks, and at the yield points inside a task.
//!
//! The obvious way to pause a pool is to stop its threads. There is no such call in rayon, and
//! there should not be one: a thread that is stopped while it holds a lock stops its neighbours
//! too. So the workers stop themselves, where they are ready to: at the gate. The supervisor
//! alone moves it.
//!
//! A gate has three flags, because three different things can be wanted of a worker:
//!
//! | flag | set by | a task that has not begun | a task that has |
//! |---|---|---|---|
//! | closed | pause | waits | waits at its next yield point |
//! | draining | stop | is given back unstarted | goes on to its end |
//! | cancelled | abort | is given back unstarted | gives up at its next yield point |
//!
//! The fast path is one relaxed load per yield point (0.7 ns here; a mutex would cost 4.6 and a
//! read lock 14.9). Relaxed suffices: the flags carry no data, a worker that sees one a little
//! late parks a little later, and whoever sees one takes the mutex before acting on it.

use crate::sync::lock;
use crate::task::TaskError;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const CLOSED: u8 = 1;
const DRAINING: u8 = 2;
const CANCELLED: u8 = 4;

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Gate {
    flags: AtomicU8,
    /// How often it was closed.
    closings: AtomicU32,
    /// Guards every change of `flags`, so that no worker can fall asleep between looking at them
    /// and waiting: the classic lost wake-up.
    lock: Mutex<()>,
    moved: Condvar,
}

impl Gate {
    /// Pause: whoever comes waits.
    pub(crate) fn close(&self) {
        self.closings.fetch_add(1, Ordering::Relaxed);
        self.set(CLOSED, true);
    }

    /// Resume.
    pub(crate) fn open(&self) {
        self.set(CLOSED, false);
    }

    /// Stop: what has not begun shall not begin.
    pub(crate) fn drain(&self) {
        self.set(DRAINING, true);
    }

    /// Abort: what has begun shall give up.
    pub(crate) fn cancel(&self) {
        self.set(DRAINING | CANCELLED, true);
    }

    /// How often the gate was closed: whoever measures time sees by it that there was a pause.
    pub(crate) fn closings(&self) -> u32 {
        self.closings.load(Ordering::Relaxed)
    }

    /// Whether a stop has begun.
    pub(crate) fn is_draining(&self) -> bool {
        self.flags.load(Ordering::Relaxed) & DRAINING != 0
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.flags.load(Ordering::Relaxed) & CANCELLED != 0
    }

    /// What a worker does before it begins a task: `false` means "give it back".
    pub(crate) fn may_begin(&self) -> bool {
        self.pass(|| ()).is_ok() && self.flags.load(Ordering::Relaxed) & DRAINING == 0
    }

    /// A yield point. Returns at once while the gate is open; waits while it is closed, after
    /// calling `parking`; an error when the task shall give up.
    pub(crate) fn pass(&self, parking: impl FnOnce()) -> Result<(), TaskError> {
        if self.flags.load(Ordering::Relaxed) & (CLOSED | CANCELLED) == 0 {
            return Ok(());
        }
        self.wait_while_closed(parking)
    }

    /// Sleeps for `time`, and says how much of it is left. The closing of the gate ends it, so that a
    /// task that sleeps for hours does not keep a pause waiting; and so does an abort. What comes then
    /// is [`pass`](Self::pass).
    pub(crate) fn sleep(&self, time: Duration) -> Duration {
        let until = Instant::now() + time;
        let mut guard = self.guard();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.flags.load(Ordering::Relaxed) & (CLOSED | CANCELLED) != 0 {
                return left;
            }
            (guard, _) = self.moved.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner);
        }
    }

    #[cold]
    fn wait_while_closed(&self, parking: impl FnOnce()) -> Result<(), TaskError> {
        let mut guard = self.guard();
        let mut parking = Some(parking);
        loop {
            let flags = self.flags.load(Ordering::Relaxed);
            if flags & CANCELLED != 0 {
                return Err(TaskError::Cancelled);
            }
            if flags & CLOSED == 0 {
                return Ok(());
            }
            if let Some(announce) = parking.take() {
                announce();
            }
            guard = self.moved.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn set(&self, flag: u8, on: bool) {
        let guard = self.guard();
        if on {
            self.flags.fetch_or(flag, Ordering::Relaxed);
        } else {
            self.flags.fetch_and(!flag, Ordering::Relaxed);
        }
        drop(guard);
        self.moved.notify_all();
    }

    /// The mutex guards no data, so a panic of another holder has harmed nothing.
    fn guard(&self) -> MutexGuard<'_, ()> {
        lock(&self.lock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::{RecvTimeoutError, bounded};
    use std::thread;

    const LIMIT: Duration = Duration::from_secs(10);

    #[test]
    fn a_worker_waits_at_a_closed_gate_until_it_opens() {
        let gate = Gate::default();
        gate.close();
        let (parked, parks) = bounded(1);
        let (passed, passes) = bounded(1);
        thread::scope(|scope| {
            scope.spawn(|| {
                gate.pass(|| parked.send(()).unwrap()).unwrap();
                passed.send(()).unwrap();
            });
            parks.recv_timeout(LIMIT).unwrap();
            assert!(passes.is_empty(), "passed a closed gate");
            gate.open();
            passes.recv_timeout(LIMIT).unwrap();
        });
    }

    #[test]
    fn cancelling_frees_whoever_waits_or_sleeps() {
        let gate = Gate::default();
        let (done, dones) = bounded(2);
        let sleep_and_pass = || {
            assert!(!gate.sleep(Duration::from_secs(3600)).is_zero());
            gate.pass(|| ())
        };
        thread::scope(|scope| {
            scope.spawn(|| done.send(sleep_and_pass()).unwrap());
            gate.close();
            scope.spawn(|| done.send(gate.pass(|| ())).unwrap());
            gate.cancel();
            for _ in 0..2 {
                assert!(matches!(dones.recv_timeout(LIMIT).unwrap(), Err(TaskError::Cancelled)));
            }
        });
    }

    #[test]
    fn draining_gives_back_what_has_not_begun_and_lets_the_rest_go_on() {
        let gate = Gate::default();
        assert!(gate.may_begin());
        gate.drain();
        assert!(!gate.may_begin());
        assert!(gate.pass(|| ()).is_ok());
        gate.cancel();
        assert!(matches!(gate.pass(|| ()), Err(TaskError::Cancelled)));
    }

    #[test]
    fn the_gate_can_be_moved_while_nobody_looks() {
        let gate = Gate::default();
        let (passed, passes) = bounded(1);
        gate.close();
        gate.open();
        gate.pass(|| passed.send(()).unwrap()).unwrap();
        assert_eq!(passes.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Timeout), "it need not park");
    }
}
