//! [`StopFd`]: a descriptor that becomes readable when the run is over, and stays readable.
//!
//! It ends a wait for input, and a wait for the reader of our output. The obvious way is a flag, but a thread that waits
//! in `poll` looks at descriptors, not at memory. A signal would interrupt the wait (that is what `EINTR` is for), but
//! every thread that could wait has the signals blocked. A thread that lists many small files does not wait, and looks at
//! memory: a system call for each of 50,000 files costs 2 % of the time that it takes to read them.

use crate::error::{Error, Result};
use crate::signals::Subscription;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Ends every wait when the run is over. It is set once and stays set.
///
/// ```
/// use bivouac::{StopFd, Waited};
/// use std::{io::Write, os::fd::AsFd};
///
/// let stop = StopFd::new()?;
/// let (reader, mut writer) = std::io::pipe()?;
/// assert_eq!(stop.wait_writable(writer.as_fd())?, Waited::Ready);
/// writer.write_all(b"input")?;
/// assert_eq!(stop.wait_readable(reader.as_fd())?, Waited::Ready);
/// assert!(!stop.is_set(), "it is of no run, so no wait is ended");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A clone is another handle of the same one.
#[derive(Clone, Debug)]
pub struct StopFd(Arc<State>);

#[derive(Debug)]
struct State {
    descriptor: EventFd,
    /// Whether it is set, for threads that do not wait.
    set: AtomicBool,
    /// A stop has begun; tasks at work may go on to their end.
    stopping: AtomicBool,
    /// The signals that this run receives; none outside of a run.
    subscription: OnceLock<Subscription>,
}

/// How often a thread that holds the end of a stream looks whether a stop has begun.
const LOOK: Duration = Duration::from_millis(20);

/// The longest single wait, which is given in milliseconds and fits a byte.
const LOOK_SELDOM: Duration = Duration::from_millis(250);

/// How often it looks when a signal is on its way.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// The descriptor is ready: a read or write will not block.
    Ready,
    /// The run is over.
    Stopped,
}

impl StopFd {
    /// A new one, which is not set. Fails if the process has no descriptor left.
    pub fn new() -> Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let descriptor = EventFd::from_flags(flags).map_err(|errno| {
            Error::broken("descriptors", format_args!("cannot open one: {}", errno.desc()))
                .advise("raise the limit of open files (ulimit -n)")
        })?;
        let [set, stopping] = [false; 2].map(AtomicBool::new);
        Ok(Self(Arc::new(State { descriptor, set, stopping, subscription: OnceLock::new() })))
    }

    /// Makes the end of a stream depend on the signals of this run too, which may be on their way.
    pub(crate) fn subscription(self, subscription: Subscription) -> Self {
        self.0.subscription.get_or_init(|| subscription);
        self
    }

    /// Whether it belongs to a run that receives signals.
    pub(crate) fn has_signals(&self) -> bool {
        self.0.subscription.get().is_some()
    }

    /// A stop has begun. Waits for input go on, since tasks may need it, but no end of a stream counts.
    pub(crate) fn stop_begins(&self) {
        self.0.stopping.store(true, Ordering::Relaxed);
    }

    /// Waits for this time, and returns whether the end of a stream counts.
    ///
    /// It does not count if a stop has begun, or begins meanwhile, or a signal that asks for one is on its way: the writer
    /// of the stream may have died of the same signal. Then [`is_set`](StopFd::is_set) returns true from then on.
    ///
    /// On a busy machine no time is long enough for a signal to become a stop. So this also looks at each step that a
    /// signal takes on its way. Once a request for an end is in the channel, this waits for the stop itself: otherwise the
    /// supervisor could first learn that nothing is left to do.
    pub(crate) fn end_counts(&self, held: Duration) -> io::Result<bool> {
        let until = Instant::now() + held;
        loop {
            if self.is_set() || self.0.stopping.load(Ordering::Relaxed) {
                self.0.set.store(true, Ordering::Relaxed);
                return Ok(false);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() && !self.0.subscription.get().is_some_and(Subscription::end_may_be_on_its_way) {
                return Ok(true);
            }
            self.wait_for(left.clamp(LOOK_AGAIN, LOOK))?;
        }
    }

    /// Waits for the end of the run, and no longer than `time`.
    pub(crate) fn wait_for(&self, time: Duration) -> io::Result<()> {
        let mut fds = [PollFd::new(self.0.descriptor.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::from(time.as_millis() as u8)) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Waits for the end of the run, and no longer than `time`. Returns whether it has come.
    pub(crate) fn is_set_within(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let left = || until.saturating_duration_since(Instant::now());
        while !self.is_set() && !left().is_zero() && self.wait_for(left().min(LOOK_SELDOM)).is_ok() {}
        self.is_set()
    }

    /// Whether a stop has begun, or a signal that may ask for one is on its way. `false` means that no such
    /// signal was sent before this call. While the signal thread is at work this is not known yet; then the
    /// caller waits for it, for [`LOOK`] at most.
    pub(crate) fn may_be_stopping(&self) -> bool {
        let until = Instant::now() + LOOK;
        loop {
            if self.is_set() || self.0.stopping.load(Ordering::Relaxed) {
                return true;
            }
            if !self.0.subscription.get().is_some_and(Subscription::end_may_be_on_its_way) {
                return false;
            }
            if Instant::now() >= until || self.wait_for(LOOK_AGAIN).is_err() {
                return true;
            }
        }
    }

    /// Ends every wait, now and later.
    pub(crate) fn set(&self) {
        self.0.set.store(true, Ordering::Relaxed);
        // It fails only if the counter would overflow, and then the descriptor is readable already.
        self.0.descriptor.write(1).ok();
    }

    /// Waits until `descriptor` can be read, or the run is over. Fails as `poll(2)` does.
    pub fn wait_readable(&self, descriptor: BorrowedFd<'_>) -> io::Result<Waited> {
        self.wait(descriptor, PollFlags::POLLIN)
    }

    /// Waits until `descriptor` can be written, or the run is over. Fails as `poll(2)` does.
    pub fn wait_writable(&self, descriptor: BorrowedFd<'_>) -> io::Result<Waited> {
        self.wait(descriptor, PollFlags::POLLOUT)
    }

    /// Whether the run is over. Costs one load from memory.
    pub fn is_set(&self) -> bool {
        self.0.set.load(Ordering::Relaxed)
    }

    /// If both are readable, `descriptor` wins: a thread does what it can do without waiting. An error or a
    /// hang-up of the other side counts as ready, since the next read or write reports it.
    fn wait(&self, descriptor: BorrowedFd<'_>, what: PollFlags) -> io::Result<Waited> {
        loop {
            let mut fds =
                [PollFd::new(self.0.descriptor.as_fd(), PollFlags::POLLIN), PollFd::new(descriptor, what)];
            match poll(&mut fds, PollTimeout::NONE) {
                Err(nix::errno::Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
                Ok(_) if fds[1].any() != Some(false) => return Ok(Waited::Ready),
                Ok(_) => return Ok(Waited::Stopped),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_wait_ends_when_there_is_input_or_when_the_run_is_over() {
        let stop = StopFd::new().unwrap();
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"x").unwrap();
        assert_eq!(stop.wait_readable(reader.as_fd()).unwrap(), Waited::Ready);
        let (silent, _writer) = io::pipe().unwrap();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| stop.wait_readable(silent.as_fd()).unwrap());
            stop.set();
            assert_eq!(waiter.join().unwrap(), Waited::Stopped);
        });
        assert!(stop.is_set());
        assert_eq!(stop.wait_readable(reader.as_fd()).unwrap(), Waited::Ready, "ready wins");
    }

    #[test]
    fn the_end_of_a_stream_counts_unless_a_stop_begins_meanwhile() {
        let long = Duration::from_secs(1000);
        assert!(StopFd::new().unwrap().end_counts(Duration::ZERO).unwrap());
        assert!(StopFd::new().unwrap().end_counts(Duration::from_millis(30)).unwrap());
        let ways: [fn(&StopFd); 2] = [StopFd::set, StopFd::stop_begins];
        for end in ways {
            let stop = StopFd::new().unwrap();
            std::thread::scope(|scope| {
                let holder = scope.spawn(|| stop.end_counts(long).unwrap());
                end(&stop);
                assert!(!holder.join().unwrap());
            });
            assert!(stop.is_set(), "a thread that looks at memory learns of it");
            assert!(!stop.end_counts(Duration::ZERO).unwrap(), "and it stays so");
        }
    }
}
