//! A descriptor that becomes readable once and stays so: what ends a wait for input, or for
//! somebody to read our output, when the run is over.
//!
//! A flag alone would not do: a thread that waits in `poll` looks at descriptors, not at memory. A signal
//! would (that is what `EINTR` is for), but signals are blocked in every thread that could wait. Who
//! does not wait, but lists one small file after the other, looks at memory indeed: a system call for
//! each of 50,000 files costs a fiftieth of the time in which they are read.

use crate::error::{Error, Result};
use crate::signals::Subscription;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Ends a wait for input: a descriptor that becomes readable when the run is over.
#[derive(Debug)]
pub struct StopFd {
    descriptor: EventFd,
    /// The same for who does not wait.
    awake: AtomicBool,
    /// A stop has begun; what is at work may go on to its end.
    stopping: AtomicBool,
    /// Who hears the signals of this run.
    subscription: Option<Subscription>,
}

/// How often somebody who holds the end of a stream looks whether a stop has begun.
const LOOK: Duration = Duration::from_millis(20);

/// And how often when a signal is on its way.
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
    /// One that has not been woken.
    ///
    /// # Errors
    ///
    /// The process has no descriptor left.
    pub fn new() -> Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let descriptor = EventFd::from_flags(flags).map_err(|errno| {
            Error::broken("descriptors", format_args!("cannot open one: {}", errno.desc()))
                .advise("raise the limit of open files (ulimit -n)")
        })?;
        let [awake, stopping] = [false; 2].map(AtomicBool::new);
        Ok(Self { descriptor, awake, stopping, subscription: None })
    }

    /// The same for a run that hears signals.
    pub(crate) fn subscription(self, subscription: Subscription) -> Self {
        Self { subscription: Some(subscription), ..self }
    }

    /// Whether this is of a run, to which signals may come.
    pub(crate) fn hears(&self) -> bool {
        self.subscription.is_some()
    }

    /// A stop has begun. Nobody who waits for input is woken, since what is at work may need it; but no
    /// end of a stream counts any more.
    pub(crate) fn stop_begins(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Holds the end of a stream for this time: whether it counts. It does not if a stop has begun, or
    /// begins meanwhile, or a signal that asks for one is on its way: whoever sent it may have sent it to
    /// the writer of the stream too, and the stream ends early because that one has died. From then on
    /// this [is awake](StopFd::is_awake) for those who look at memory.
    ///
    /// On a busy machine no time is long enough for a signal to become a stop, so the way that it takes is
    /// looked at as well; and once a request for an end has been heard, the stop itself is waited for: it
    /// must not be overtaken by the news that nothing is left to do.
    ///
    /// # Errors
    ///
    /// Those of `poll(2)`.
    pub(crate) fn end_counts(&self, held: Duration) -> io::Result<bool> {
        let until = Instant::now() + held;
        loop {
            if self.is_awake() || self.stopping.load(Ordering::Relaxed) {
                self.awake.store(true, Ordering::Relaxed);
                return Ok(false);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() && !self.subscription.as_ref().is_some_and(Subscription::end_may_be_on_its_way)
            {
                return Ok(true);
            }
            let time = left.clamp(LOOK_AGAIN, LOOK);
            let mut fds = [PollFd::new(self.descriptor.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, PollTimeout::from(time.as_millis() as u8)) {
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Whether a stop has begun, or a signal that may ask for one is on its way. `false` says that no such
    /// signal was sent before this call.
    pub(crate) fn may_be_stopping(&self) -> bool {
        self.is_awake()
            || self.stopping.load(Ordering::Relaxed)
            || self.subscription.as_ref().is_some_and(Subscription::end_may_be_on_its_way)
    }

    /// Ends every wait, now and later.
    pub(crate) fn wake(&self) {
        self.awake.store(true, Ordering::Relaxed);
        // Fails only when the counter would overflow, and then it is awake already.
        self.descriptor.write(1).ok();
    }

    /// Waits until `descriptor` can be read, or the run is over.
    ///
    /// # Errors
    ///
    /// Those of `poll(2)`.
    pub fn wait_readable(&self, descriptor: BorrowedFd<'_>) -> io::Result<Waited> {
        self.wait(descriptor, PollFlags::POLLIN)
    }

    /// Waits until `descriptor` can be written, or the run is over.
    ///
    /// # Errors
    ///
    /// Those of `poll(2)`.
    pub fn wait_writable(&self, descriptor: BorrowedFd<'_>) -> io::Result<Waited> {
        self.wait(descriptor, PollFlags::POLLOUT)
    }

    /// Whether it has been woken.
    pub fn is_awake(&self) -> bool {
        self.awake.load(Ordering::Relaxed)
    }

    /// Ready wins over awake, so that what can be done without waiting is done. An error or a
    /// hang-up of the other side counts as ready: the read or write will tell.
    fn wait(&self, descriptor: BorrowedFd<'_>, what: PollFlags) -> io::Result<Waited> {
        loop {
            let mut fds =
                [PollFd::new(self.descriptor.as_fd(), PollFlags::POLLIN), PollFd::new(descriptor, what)];
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
    fn a_wait_ends_when_there_is_something_or_when_it_is_woken() {
        let wake = StopFd::new().unwrap();
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"x").unwrap();
        assert_eq!(wake.wait_readable(reader.as_fd()).unwrap(), Waited::Ready);
        let (silent, _writer) = io::pipe().unwrap();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| wake.wait_readable(silent.as_fd()).unwrap());
            wake.wake();
            assert_eq!(waiter.join().unwrap(), Waited::Stopped);
        });
        assert!(wake.is_awake());
        assert_eq!(wake.wait_readable(reader.as_fd()).unwrap(), Waited::Ready, "ready wins");
    }

    #[test]
    fn an_end_counts_unless_a_stop_comes_while_it_is_held() {
        let long = Duration::from_secs(1000);
        assert!(StopFd::new().unwrap().end_counts(Duration::ZERO).unwrap());
        assert!(StopFd::new().unwrap().end_counts(Duration::from_millis(30)).unwrap());
        let ways: [fn(&StopFd); 2] = [StopFd::wake, StopFd::stop_begins];
        for stop in ways {
            let wake = StopFd::new().unwrap();
            std::thread::scope(|scope| {
                let holder = scope.spawn(|| wake.end_counts(long).unwrap());
                stop(&wake);
                assert!(!holder.join().unwrap());
            });
            assert!(wake.is_awake(), "whoever looks at memory knows that the run is over");
            assert!(!wake.end_counts(Duration::ZERO).unwrap(), "and it stays so");
        }
    }
}
