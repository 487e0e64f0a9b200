//! A command at work: our ends of its pipes, its clock, and one step of each at a time.
//!
//! Feeding costs little: `splice(2)` moves the pages of the file into the pipe without copying them into this
//! process. The output is read into buffers that travel to the commit thread as they are.

use super::children::Children;
use super::leak::Leak;
use super::limits::is_one_of_the_last;
use super::pipes::{Input, PIECE, enlarge};
use super::polling::{Polling, wait_for};
use super::wait;
use crate::error::Error;
use crate::task::clock::WorkClock;
use crate::task::command::{Call, Err, How, Out};
use crate::task::{Context, Debt, TaskError};
use nix::unistd::Pid;
use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::process::{PidfdFlags, WaitIdOptions, pidfd_open};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant, SystemTime};

const ERR_PIECE: usize = 16 << 10;

/// The first buffer for output. A command that prints more at once gets a larger one, and a larger pipe.
const LITTLE: usize = 4 << 10;

/// The longest wait in `poll`, so that the worker looks at the gate and the clock.
///
/// The obvious way to see a pause costs nothing: `waitid` reports that the command has stopped. But a shell that is
/// stopped in the middle of a `vfork` reports nothing: its child stops before its exec, and the shell waits for that
/// exec in the kernel. The pause of such a command was never complete.
pub(super) const GLANCE: Duration = Duration::from_millis(50);

pub(super) struct Running<'a> {
    pub(super) pid: Pid,
    pub(super) children: &'a Children,
    /// Becomes readable at its end. Opened when a worker waits for the end and for something else at the same time.
    ended: Option<OwnedFd>,
    /// There is no descriptor for that, so the worker looks for it, ten times as often.
    is_unwatched: bool,
    pub(super) stdin: Input<'a>,
    pub(super) stdout: Option<OwnedFd>,
    pub(super) stderr: Option<OwnedFd>,
    piece: Vec<u8>,
    at_once: bool,
    pub(super) polling: Polling,
    /// Bytes that it was fed, and bytes of its output.
    pub(super) fed: u64,
    pub(super) taken: u64,
    /// Bytes that the rate limit allows to feed now, and the time to wait before that.
    credit: u64,
    debt: Option<Debt>,
    /// It has ended for certain, and was not reaped: the output that still counts.
    pub(super) leak: Option<Leak>,
    /// How it ended, if that is known.
    pub(super) status: Option<How>,
    /// Why we ended it, if we did.
    pub(super) early: Option<How>,
    pub(super) began: SystemTime,
    pub(super) clock: WorkClock,
    pauses: u32,
    pub(super) timeout: Option<Duration>,
    pub(super) kill_after: Duration,
    pub(super) kill_at: Option<Instant>,
    pub(super) is_killed: bool,
}

impl<'a> Running<'a> {
    /// A command that has just been started with the other ends of these pipes.
    pub(super) fn new(
        children: &'a Children,
        pid: Pid,
        pipes: (Input<'a>, Option<OwnedFd>, Option<OwnedFd>),
        call: &Call<'a>,
        (began, credit, pauses): (SystemTime, u64, u32),
    ) -> Self {
        let (stdin, stdout, stderr) = pipes;
        Self {
            pid,
            children,
            ended: None,
            is_unwatched: false,
            stdin,
            stdout,
            stderr,
            piece: Vec::with_capacity(LITTLE),
            at_once: call.at_once,
            polling: Polling::default(),
            fed: 0,
            taken: 0,
            credit,
            debt: None,
            leak: None,
            status: None,
            early: None,
            began,
            clock: WorkClock::start(Instant::now()),
            pauses,
            timeout: call.timeout,
            kill_after: call.kill_after,
            kill_at: None,
            is_killed: false,
        }
    }

    /// Whether the rate limit allows to feed more now.
    pub(super) fn may_feed(&mut self, cx: &Context<'_>) -> bool {
        if self.credit == 0 && self.stdin.left() > 0 {
            self.credit = self.stdin.left().min(PIECE as u64);
            self.debt = cx.take_from_the_rate(self.credit);
        }
        self.debt = self.debt.filter(|debt| cx.is_owed(debt));
        self.debt.is_none()
    }

    /// Books bytes that were fed. That can be more than the credit.
    pub(super) fn pay(&mut self, fed: u64, cx: &Context<'_>) {
        let more = fed.saturating_sub(self.credit);
        if more > 0 {
            self.debt = cx.take_from_the_rate(more);
        }
        self.credit = self.credit.saturating_sub(fed);
        self.fed += fed;
        cx.count(fed);
    }

    /// Counts the last moments too, unless there was a pause in them.
    pub(super) fn stop_the_clock(&mut self, cx: &Context<'_>) {
        if cx.pauses() == self.pauses {
            self.clock.tick(Instant::now());
        }
    }

    /// Waits while the job is paused; that time does not count.
    pub(super) fn look_at_the_gate(&mut self, cx: &Context<'_>) -> Result<(), TaskError> {
        let pauses = cx.pauses();
        if pauses == self.pauses {
            self.clock.tick(Instant::now());
        }
        cx.yield_point()?;
        if pauses != self.pauses || cx.pauses() != pauses {
            self.pauses = cx.pauses();
            self.clock.skip_to(Instant::now());
        }
        Ok(())
    }

    /// Whether nothing more can go through its pipes.
    pub(super) fn is_silent(&self) -> bool {
        self.stdin.end().is_none() && self.stdout.is_none() && self.stderr.is_none() && self.leak.is_none()
    }

    /// From here on [`wait`](Running::wait) reports its end. Without a descriptor for that it has to look.
    pub(super) fn watch_its_end(&mut self) {
        if self.ended.is_none() {
            let pid = rustix::process::Pid::from_raw(self.pid.as_raw()).ok_or(Errno::SRCH);
            let ended = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()));
            self.ended = ended.ok().filter(|ended| !is_one_of_the_last(ended.as_raw_fd()));
            self.is_unwatched = self.ended.is_none();
        }
    }

    pub(super) fn looks_ended(&self) -> bool {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        !matches!(wait::look(self.pid, look), Ok(None))
    }

    /// It has ended. From here on only the bytes in its pipes count, and those that come within a moment.
    pub(super) fn has_ended(&mut self) {
        if self.leak.is_none() {
            self.leak = Some(Leak::begin(self.stdout.as_ref(), self.stderr.as_ref()));
        }
    }

    /// The possible next steps; none, when nothing happened. After a rest every step is tried.
    pub(super) fn wait(&self, may_feed: bool, glance: Duration) -> Ready {
        let stdin = self.stdin.end().filter(|_| may_feed);
        let glance = if self.is_unwatched { glance / 10 } else { glance };
        let until = [self.debt.map(|debt| debt.left()), self.leak.as_ref().map(Leak::left)];
        let glance = until.into_iter().flatten().filter(|left| !left.is_zero()).fold(glance, Duration::min);
        let ended = self.ended.as_ref().filter(|_| self.leak.is_none());
        if let (Some(rest), Some(ended)) = (self.polling.rest(), ended) {
            let ended = wait_for(&mut [PollFd::new(ended, PollFlags::IN)], rest);
            return Ready { stdin: true, stdout: true, stderr: true, ended };
        }
        let (stdout, stderr) = (self.stdout.as_ref(), self.stderr.as_ref());
        let (read, write) = (PollFlags::IN, PollFlags::OUT);
        let watched = [(stdin, write), (stdout, read), (stderr, read), (ended, read)];
        let mut fds: Vec<_> = watched
            .iter()
            .filter_map(|(fd, what)| fd.map(|fd| PollFd::from_borrowed_fd(fd.as_fd(), *what)))
            .collect();
        if !wait_for(&mut fds, glance) {
            return Ready { ended: self.is_unwatched && self.looks_ended(), ..Ready::default() };
        }
        let mut answers = fds.iter().map(|fd| !fd.revents().is_empty());
        let [stdin, stdout, stderr, ended] =
            watched.map(|(fd, _)| fd.and_then(|_| answers.next()) == Some(true));
        Ready { stdin, stdout, stderr, ended }
    }

    /// Takes its output, as much as one piece has room for; returns how much that was.
    pub(super) fn read_out(&mut self, out: &mut Out<'_>) -> Result<usize, TaskError> {
        let Some(stdout) = &self.stdout else { return Ok(0) };
        let taken = match rustix::io::read(stdout, spare_capacity(&mut self.piece)) {
            Ok(taken @ 1..) => taken,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(0),
            Err(errno) => return Err(unreadable("standard output", errno)),
            Ok(_) => {
                self.stdout = None;
                return Ok(0);
            }
        };
        self.taken += taken as u64;
        if let Some(leak) = &mut self.leak {
            leak.stdout = leak.stdout.saturating_sub(taken as u64);
        }
        if self.at_once {
            out(std::mem::replace(&mut self.piece, Vec::with_capacity(LITTLE)))?;
        } else if self.piece.len() >= PIECE - PIECE / 16 {
            out(std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE)))?;
        } else if self.piece.len() == self.piece.capacity() {
            enlarge(stdout);
            self.piece.reserve_exact(PIECE - self.piece.len());
        }
        Ok(taken)
    }

    pub(super) fn hand_over_the_rest(&mut self, out: &mut Out<'_>) -> Result<(), TaskError> {
        if self.piece.is_empty() {
            return Ok(());
        }
        self.piece.shrink_to_fit();
        out(std::mem::take(&mut self.piece))
    }

    /// Takes some of its standard error, not all: endless complaints must not keep the worker from the gate.
    pub(super) fn read_err(&mut self, err: &mut Err<'_>) -> Result<(), TaskError> {
        let Some(stderr) = &self.stderr else { return Ok(()) };
        let mut buffer = [0; ERR_PIECE];
        match rustix::io::read(stderr, &mut buffer) {
            Ok(n @ 1..) => {
                err(&buffer[..n]);
                if let Some(leak) = &mut self.leak {
                    leak.stderr = leak.stderr.saturating_sub(n as u64);
                }
            }
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(errno) => return Err(unreadable("standard error", errno)),
            Ok(_) => self.stderr = None,
        }
        Ok(())
    }
}

/// An error is not an end: there may be more output.
fn unreadable(stream: &str, errno: Errno) -> TaskError {
    Error::broken(format_args!("{stream} of a command"), format_args!("cannot be read: {errno}")).into()
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ready {
    pub(super) stdin: bool,
    pub(super) stdout: bool,
    pub(super) stderr: bool,
    pub(super) ended: bool,
}

impl Ready {
    pub(super) fn nothing(self) -> bool {
        !(self.stdin || self.stdout || self.stderr || self.ended)
    }
}
