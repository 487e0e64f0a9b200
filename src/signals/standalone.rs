//! Signals for a program that has no job: the first chapter of the route, and nothing behind it.
//!
//! The obvious way to wait for a signal is to sleep in a loop and look at a flag that a handler
//! sets. Such a program answers late, or wakes up for nothing a hundred times a second. Here a
//! signal is something that comes out of a channel, so waiting for it and waiting for a moment in
//! time are the same wait.

use crate::error::{Error, Result};
use crate::signals::{Masked, Received, Sender, SignalThread};
use crossbeam_channel::{Receiver, RecvTimeoutError, unbounded};
use nix::sys::signal::Signal;
use std::fmt;
use std::time::Instant;

/// Hears signals, one by one, on the thread that asks.
///
/// The policy with which `masked` was made says which signals these are. What its rows say about
/// the meaning is used for one thing only: signals that mean [`Stop`](crate::Request::Stop) end the
/// process when they come a third time, even if nobody asks here any more.
///
/// Dropping it gives everything back: mask, dispositions, thread.
///
/// # Race condition
///
/// Signals of the same kind that arrive faster than they are taken in are one signal. So what comes
/// out of here says *that* something was asked for, not how often.
///
/// # Examples
///
/// ```
/// use bivouac::{Signals, Policy, Request, Signal, signals::Masked};
/// use std::time::{Duration, Instant};
///
/// # fn main() -> bivouac::Result<()> {
/// let masked = Masked::block(Policy::empty().with(Signal::SIGUSR1, Request::Status))?;
/// let signals = Signals::start(masked)?;
///
/// let soon = Instant::now() + Duration::from_millis(10);
/// assert!(signals.wait_until(soon)?.is_none(), "nobody has sent anything");
///
/// nix::sys::signal::kill(nix::unistd::Pid::this(), Signal::SIGUSR1).unwrap();
/// assert_eq!(signals.wait()?.signal, Signal::SIGUSR1);
/// # Ok(())
/// # }
/// ```
pub struct Signals {
    heard: Receiver<Received>,
    // In this order they are given back: the handlers first, then the mask.
    _listener: SignalThread,
    masked: Masked,
}

/// A signal that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caught {
    /// Which.
    pub signal: Signal,
    /// Who sent it, as far as the kernel tells. A key press comes from the kernel.
    pub sender: Sender,
}

impl Signals {
    /// Installs the handlers and starts the one thread that has these signals open.
    ///
    /// A signal that was ignored when the program started (`nohup`) stays ignored and is not heard.
    ///
    /// # Errors
    ///
    /// [`Kind::Broken`](crate::error::Kind::Broken), should the kernel refuse a handler or a thread.
    pub fn start(masked: Masked) -> Result<Self> {
        let (tell, heard) = unbounded();
        let listener = SignalThread::start(&masked, Instant::now(), false, tell)?;
        Ok(Self { heard, _listener: listener, masked })
    }

    /// The next signal, however long that takes.
    ///
    /// # Errors
    ///
    /// [`Kind::Broken`](crate::error::Kind::Broken) when nothing can be heard any more.
    pub fn wait(&self) -> Result<Caught> {
        self.heard.recv().map(caught).map_err(|_| deaf())
    }

    /// The next signal, or `None` when `moment` has come before it.
    ///
    /// # Errors
    ///
    /// As [`wait`](Signals::wait).
    pub fn wait_until(&self, moment: Instant) -> Result<Option<Caught>> {
        match self.heard.recv_deadline(moment) {
            Ok(heard) => Ok(Some(caught(heard))),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(deaf()),
        }
    }
}

impl fmt::Debug for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signals").field("masked", &self.masked).finish_non_exhaustive()
    }
}

fn caught(heard: Received) -> Caught {
    Caught { signal: heard.signal, sender: heard.sender }
}

fn deaf() -> Error {
    Error::broken("signals", "the thread that hears them has ended")
}
