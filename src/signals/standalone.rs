//! Signals for a program that has no job: the first chapter of the route alone.
//!
//! The obvious way to wait for a signal is to sleep in a loop and look at a flag that a handler sets. Such a program
//! answers late, or wakes up for nothing a hundred times a second. Here a signal comes out of a channel, so one
//! wait is for both: the next signal and a moment in time.

use crate::error::{Error, Result};
use crate::signals::policy::{Policy, Request, escalates};
use crate::signals::{Masked, Received, Resume, Sender, SignalThread, suspend};
use crate::sync::lock;
use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError, select, unbounded};
use nix::sys::signal::Signal;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// While other signals pour in, it is unknown whether a SIGCONT is among them. After this time the process stops anyway.
const LONGEST_DELAY: Duration = Duration::from_millis(20);

/// Receives signals, one by one, on the thread that asks.
///
/// The policy of the [`Masked`] value says which signals. If SIGINT or SIGTERM means [`Stop`](crate::Request::Stop) or
/// [`Abort`](crate::Request::Abort), the third one ends the process, even if the program no longer asks for signals.
/// Dropping this value restores the mask and the dispositions, and ends the thread.
///
/// # Race condition
///
/// Signals of the same number that arrive faster than they are received become one signal. So this says *that* a
/// signal was sent, not how often.
///
/// # Examples
///
/// ```
/// use bivouac::{Caught, Policy, Signals, Request, Signal, signals::Masked};
/// use std::time::{Duration, Instant};
///
/// # fn main() -> bivouac::Result<()> {
/// let masked = Masked::block(Policy::empty().with(Signal::SIGUSR1, Request::Status))?;
/// let signals = Signals::start(masked)?;
///
/// let soon = Instant::now() + Duration::from_millis(10);
/// assert!(signals.wait_until(soon)?.is_none(), "no signal was sent");
///
/// nix::sys::signal::kill(nix::unistd::Pid::this(), Signal::SIGUSR1).unwrap();
/// let Caught { signal, .. } = signals.wait()?;
/// assert_eq!(signal, Signal::SIGUSR1);
/// # Ok(())
/// # }
/// ```
pub struct Signals {
    received: Receiver<Received>,
    /// Signals that [`suspend`](Signals::suspend) took out of the channel to look for a SIGCONT. The next waits return them.
    early: Mutex<VecDeque<Received>>,
    // Dropped in this order: the handlers first, then the mask.
    thread: SignalThread,
    masked: Masked,
}

/// A signal that was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caught {
    /// Which signal.
    pub signal: Signal,
    /// The sender, if the kernel knows it. A key press comes from the kernel.
    pub sender: Sender,
}

impl Signals {
    /// Blocks these signals and receives them: the first line of a program that has no job. INT and TERM end the
    /// process when they come for the third time; HUP, which daemons read as "reload", does not. Fails as
    /// [`Masked::block`] and [`start`](Signals::start) do.
    ///
    /// ```
    /// use bivouac::{Signal, Signals};
    ///
    /// let signals = Signals::of([Signal::SIGHUP, Signal::SIGTERM])?;
    /// nix::sys::signal::kill(nix::unistd::Pid::this(), Signal::SIGHUP).unwrap();
    /// assert_eq!(signals.wait()?.signal, Signal::SIGHUP);
    /// # Ok::<(), bivouac::Error>(())
    /// ```
    pub fn of(signals: impl IntoIterator<Item = Signal>) -> Result<Self> {
        let request = |signal| if escalates(signal) { Request::Stop } else { Request::Status };
        let policy = signals.into_iter().fold(Policy::empty(), |policy, one| policy.with(one, request(one)));
        Self::start(Masked::block(policy)?)
    }

    /// Installs the handlers, and starts the one thread that has these signals unblocked. A signal that was ignored
    /// when the program started (`nohup`) stays ignored and is not received.
    ///
    /// # Errors
    ///
    /// [`Kind::Broken`](crate::error::Kind::Broken): the kernel refuses a handler or a thread.
    pub fn start(masked: Masked) -> Result<Self> {
        let (events, received) = unbounded();
        let thread = SignalThread::start(&masked, Instant::now(), false, events)?;
        Ok(Self { received, early: Mutex::default(), thread, masked })
    }

    /// Waits for the next signal.
    ///
    /// # Errors
    ///
    /// [`Kind::Broken`](crate::error::Kind::Broken): the signal thread has ended.
    pub fn wait(&self) -> Result<Caught> {
        self.early().map_or_else(|| self.received.recv(), Ok).map(caught).map_err(|_| deaf())
    }

    fn early(&self) -> Option<Received> {
        lock(&self.early).pop_front()
    }

    /// Waits for the next signal, at most until `moment`; `None` if no signal came. Fails as [`wait`](Signals::wait).
    pub fn wait_until(&self, moment: Instant) -> Result<Option<Caught>> {
        match self.early().map_or_else(|| self.received.recv_deadline(moment), Ok) {
            Ok(received) => Ok(Some(caught(received))),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(deaf()),
        }
    }

    /// Waits for the next signal or for a message of another thread, at most until `moment`. If both are there already, it
    /// returns the signal. Fails as [`wait`](Signals::wait).
    #[doc(hidden)]
    pub fn wait_beside<T>(&self, other: &Receiver<T>, moment: Instant) -> Result<Heard<T>> {
        match self.early().map_or_else(|| self.received.try_recv(), Ok) {
            Ok(received) => return Ok(Heard::Signal(caught(received))),
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => return Err(deaf()),
        }
        select! {
            recv(self.received) -> received => received.map(|one| Heard::Signal(caught(one))).map_err(|_| deaf()),
            recv(other) -> sent => Ok(sent.map_or(Heard::Nothing, Heard::Other)),
            default(moment.saturating_duration_since(Instant::now())) => Ok(Heard::Nothing),
        }
    }

    /// Stops this process as Ctrl-Z does, and returns when it is continued: at once if a SIGCONT has come already, or if no
    /// shell would send one. Restore the mode of the terminal before. Fails if the kernel refuses, for which it has no reason.
    ///
    /// # Race condition
    ///
    /// A SIGCONT is lost, and the process stands still, if it comes in one instant within a system call
    /// (`src/signals/default_action.rs`).
    ///
    /// ```
    /// use bivouac::{Policy, Request, Signal, Signals, signals::Masked};
    ///
    /// let policy = Policy::empty().with(Signal::SIGTSTP, Request::Suspend).with(Signal::SIGCONT, Request::Resume);
    /// let signals = Signals::start(Masked::block(policy)?)?;
    /// # use std::{os::unix::process::CommandExt, process::{Command, Stdio}, thread, time::{Duration, Instant}};
    /// # let mut wake = Command::new("sh"); // in a group of its own, so that its `sleep` ends with it
    /// # wake.args(["-c", "sleep 20; kill -CONT $PPID"]).process_group(0).stdout(Stdio::null()).stderr(Stdio::null());
    /// # let (mut wake, began) = (wake.spawn().unwrap(), Instant::now());
    /// for round in 0..50 {
    ///     nix::sys::signal::kill(nix::unistd::Pid::this(), Signal::SIGCONT).unwrap();
    /// #   thread::sleep(Duration::from_micros(round * 50)); // on its way, or in the channel
    ///     signals.suspend()?; // returns at once
    /// #   assert!(began.elapsed() < Duration::from_secs(15), "it stood still");
    ///     assert_eq!(signals.wait()?.signal, Signal::SIGCONT);
    /// }
    /// # nix::sys::signal::killpg(nix::unistd::Pid::from_raw(wake.id() as i32), Signal::SIGKILL).ok();
    /// # wake.wait().unwrap();
    /// # Ok::<(), bivouac::Error>(())
    /// ```
    #[doc(hidden)]
    pub fn suspend(&self) -> Result<()> {
        let asked = Instant::now();
        // `Unknown` may only mean that the signal thread, which has just sent the SIGTSTP, is not waiting again yet.
        let continued = || loop {
            match self.thread.subscription.resume_on_its_way() {
                Resume::Unknown if asked.elapsed() < LONGEST_DELAY => std::thread::yield_now(),
                seen @ (Resume::None | Resume::Came | Resume::Unknown) => {
                    let mut early = lock(&self.early);
                    early.extend(self.received.try_iter());
                    return seen == Resume::Came || early.iter().any(|one| one.signal == Signal::SIGCONT);
                }
            }
        };
        let failed = |cause| Error::broken("suspension", format_args!("the kernel refuses: {cause}"));
        suspend(continued).map_err(failed)
    }
}

/// What ended a wait.
#[doc(hidden)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard<T> {
    /// A signal.
    Signal(Caught),
    /// A message of another thread.
    Other(T),
    /// Neither: the moment has come, or the other threads have closed their channel.
    Nothing,
}

shown_by! { Signals, masked }

fn caught(received: Received) -> Caught {
    Caught { signal: received.signal, sender: received.sender }
}

fn deaf() -> Error {
    Error::broken("signals", "the thread that receives them has ended")
}
