//! Running one command for a task: feeding it, reading it, and seeing how it ended.
//!
//! The obvious loop writes all of the input and then reads all of the output. Both pipes fill up, the
//! command waits for us to read, we wait for it to read, for ever. The usual remedy is a thread for
//! each direction. Here the worker asks `poll(2)` what is possible now, in any direction, and does
//! that; nothing can deadlock, and a pause, an abort or a timeout is seen within a moment. Between two
//! looks it leaves the command alone for as long as the pipes last ([`super::pace`]).
//!
//! What the input costs: `splice(2)` moves the pages of the file into the pipe without copying them
//! into this process. The output is read into buffers that travel to the commit thread as they are.
//!
//! **When is a command done?** Not when it ends with 0: `trap "exit 0" TERM` ends with 0, and `tr`
//! whose input an abort has closed ends with 0 and half of the output. So what is reported is not only
//! how it ended, but whether we had told it to end, and whether it had all its input or closed it.

use super::Command;
use super::feed::{Feed, Feeding, PIECE, pipe_from_us, pipe_towards_us};
use super::pace::{Pace, wait_for};
use super::spawn::{Streams, cannot_start};
use crate::clock::WorkClock;
use crate::error::Error;
use crate::job::TaskError;
use crate::pool::Context;
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::process::{PidfdFlags, pidfd_open};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant, SystemTime};

/// How much of standard error is read at a time.
const ERR_PIECE: usize = 16 << 10;

/// What a command is called with.
#[derive(Debug)]
pub struct Call<'a> {
    /// The command.
    pub command: &'a Command,
    /// What it reads.
    pub feed: Feed<'a>,
    /// After so much time, pauses not counted, it is told to end.
    pub timeout: Option<Duration>,
    /// How long after that it is killed.
    pub kill_after: Duration,
}

/// A command that has ended by itself, or by its timeout.
#[derive(Clone, Copy, Debug)]
pub struct Finished {
    /// How.
    pub how: How,
    /// Whether we had sent it a signal that ends programs. Then a 0 means nothing.
    pub told_to_end: bool,
    /// When it began.
    pub began: SystemTime,
    /// How long it took, pauses not counted.
    pub took: Duration,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// With this code.
    Code(i32),
    /// By this signal, as a number.
    Signal(i32),
    /// It was told to end, because its time was over.
    TimedOut,
    /// It was killed, because it wanted to use the terminal (SIGTTIN, SIGTTOU), which stops a
    /// process in the background, and nobody would have continued it.
    WantedTerminal,
}

/// How long `poll` waits at the most, so that the gate and the clock are looked at.
const GLANCE: Duration = Duration::from_millis(50);

impl Context<'_> {
    /// Runs a command until it has ended and everything it printed has been taken: `out` gets its
    /// standard output in pieces, `err` its standard error as it comes.
    ///
    /// While the job is paused the command is stopped (SIGTSTP, then SIGSTOP) and this waits.
    ///
    /// # Errors
    ///
    /// [`TaskError::Cancelled`] when the task shall give up: the command has been ended, with all of
    /// its group. [`TaskError::Fatal`] when it cannot be started
    /// ([`Kind::NoSuchCommand`](crate::error::Kind::NoSuchCommand),
    /// [`Kind::CannotStart`](crate::error::Kind::CannotStart)), or the system has no descriptor or process
    /// left. What `out` returns.
    pub fn call(
        &self,
        call: &Call<'_>,
        out: &mut dyn FnMut(Vec<u8>) -> Result<(), TaskError>,
        err: &mut dyn FnMut(&[u8]),
    ) -> Result<Finished, TaskError> {
        let mut running = Running::start(self, call)?;
        let result = running.attend(self, out, err);
        if result.is_err() {
            // Whatever the reason, the command does not outlive its task.
            self.children().end_one(running.pid, Signal::SIGKILL);
        }
        let ended = self.children().reap(running.pid, result.is_err());
        result?;
        let (status, told) = ended.map_err(|errno| lost(call.command, errno))?;
        let how = match (running.early, status) {
            (Some(how), _) => how,
            (None, WaitStatus::Exited(_, code)) => How::Code(code),
            (None, WaitStatus::Signaled(_, signal, _)) => How::Signal(signal as i32),
            (None, other) => return Err(lost(call.command, format!("{other:?}"))),
        };
        Ok(Finished { how, told_to_end: told, began: running.began, took: running.clock.worked() })
    }
}

/// Somebody else has reaped our child; nobody should.
fn lost(command: &Command, why: impl std::fmt::Display) -> TaskError {
    TaskError::Fatal(Error::broken(command, format_args!("how it ended cannot be told: {why}")))
}

/// A command at work, and our ends of its pipes.
struct Running<'a> {
    pid: Pid,
    ended: OwnedFd,
    stdin: Option<Feeding<'a>>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    piece: Vec<u8>,
    pace: Pace,
    has_ended: bool,
    /// Why we ended it, if we did.
    early: Option<How>,
    began: SystemTime,
    clock: WorkClock,
    pauses: u32,
    timeout: Option<Duration>,
    kill_after: Duration,
    kill_at: Option<Instant>,
}

impl<'a> Running<'a> {
    fn start(cx: &Context<'_>, call: &Call<'a>) -> Result<Self, TaskError> {
        let no_pipe = |errno: Errno| {
            Error::broken("pipes", format_args!("cannot make one: {errno}"))
                .advise("raise the limit of open files (ulimit -n) or use fewer --jobs")
        };
        let (stdout, child_stdout) = pipe_towards_us().map_err(no_pipe)?;
        let (stderr, child_stderr) = pipe_towards_us().map_err(no_pipe)?;
        let (child_stdin, stdin) = match call.feed {
            Feed::Nothing => (None, None),
            Feed::Bytes(_) | Feed::File { .. } => {
                let (theirs, ours) = pipe_from_us().map_err(no_pipe)?;
                (Some(theirs), Some(Feeding::new(ours, call.feed.clone())))
            }
        };
        let streams = Streams {
            stdin: child_stdin.as_ref().map(AsFd::as_fd),
            stdout: child_stdout.as_fd(),
            stderr: child_stderr.as_fd(),
        };
        let began = SystemTime::now();
        let pid = loop {
            cx.yield_point()?;
            match cx.children().spawn(call.command, streams) {
                Ok(Some(pid)) => break pid,
                // A pause came between the gate and here; the gate will tell.
                Ok(None) => std::thread::yield_now(),
                Err(errno) => return Err(TaskError::Fatal(cannot_start(call.command, errno))),
            }
        };
        let ended = rustix::process::Pid::from_raw(pid.as_raw())
            .ok_or(Errno::SRCH)
            .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()));
        let ended = match ended {
            Ok(ended) => ended,
            Err(errno) => {
                cx.children().end_one(pid, Signal::SIGKILL);
                cx.children().reap(pid, true).ok();
                return Err(no_pipe(errno).into());
            }
        };
        Ok(Self {
            pid,
            ended,
            stdin,
            stdout: Some(stdout),
            stderr: Some(stderr),
            piece: Vec::with_capacity(PIECE),
            pace: Pace::default(),
            has_ended: false,
            early: None,
            began,
            clock: WorkClock::start(Instant::now()),
            pauses: cx.pauses(),
            timeout: call.timeout,
            kill_after: call.kill_after,
            kill_at: None,
        })
    }

    /// Until it has ended and said everything. An error means that nobody wants it any more.
    fn attend(
        &mut self,
        cx: &Context<'_>,
        out: &mut dyn FnMut(Vec<u8>) -> Result<(), TaskError>,
        err: &mut dyn FnMut(&[u8]),
    ) -> Result<(), TaskError> {
        let mut last_words = 0;
        loop {
            if let Err(gave_up) = self.look_at_the_gate(cx) {
                self.wait_for_its_end(cx);
                return Err(gave_up);
            }
            self.look_at_the_clock(cx);
            if self.has_ended && self.stdout.is_none() {
                // Everything that it has said is in the pipe by now, which holds no more than this.
                if last_words < PIECE && self.read_err(err) {
                    last_words += ERR_PIECE;
                    continue;
                }
                return match self.piece.is_empty() {
                    true => Ok(()),
                    false => out(std::mem::take(&mut self.piece)),
                };
            }
            let ready = self.wait();
            if ready.nothing() && !self.has_ended {
                self.look_whether_it_wants_the_terminal(cx);
            }
            let fed = if ready.stdin { self.feed()? } else { 0 };
            if fed > 0 {
                // Who shall give up hears it at the gate, and lets the command end in its time.
                cx.advance(fed).ok();
            }
            let taken = if ready.stdout { self.read_out(out)? } else { 0 };
            self.pace.learn(taken.max(fed as usize));
            if ready.stderr {
                self.read_err(err);
            }
            self.has_ended |= ready.ended;
        }
    }

    /// Waits while the job is paused; the time does not count.
    fn look_at_the_gate(&mut self, cx: &Context<'_>) -> Result<(), TaskError> {
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

    fn look_at_the_clock(&mut self, cx: &Context<'_>) {
        if self.early.is_none() && self.timeout.is_some_and(|limit| self.clock.worked() >= limit) {
            self.early = Some(How::TimedOut);
            self.kill_at = Some(Instant::now() + self.kill_after);
            cx.children().end_one(self.pid, Signal::SIGTERM);
        }
        if self.kill_at.is_some_and(|at| at <= Instant::now()) {
            self.kill_at = None;
            cx.children().end_one(self.pid, Signal::SIGKILL);
            // Its descendants went with it; but one that left the group may hold the pipe for ever.
            self.stdout = None;
        }
    }

    /// A command that reads the terminal from the background is stopped by the kernel, and nobody
    /// would continue it.
    fn look_whether_it_wants_the_terminal(&mut self, cx: &Context<'_>) {
        let flags = WaitPidFlag::WSTOPPED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        let Ok(WaitStatus::Stopped(_, by)) = waitid(Id::Pid(self.pid), flags) else { return };
        if matches!(by, Signal::SIGTTIN | Signal::SIGTTOU) {
            self.early = Some(How::WantedTerminal);
            cx.children().end_one(self.pid, Signal::SIGKILL);
        }
    }

    /// After an abort: it has been told to end, and has `kill_after` for it. What it prints is thrown
    /// away, so that it does not wait for us.
    fn wait_for_its_end(&mut self, cx: &Context<'_>) {
        self.stdin = None;
        cx.children().end_one(self.pid, Signal::SIGTERM);
        let kill_at = Instant::now() + self.kill_after;
        while !self.has_ended {
            if Instant::now() >= kill_at {
                cx.children().end_one(self.pid, Signal::SIGKILL);
            }
            let ready = self.wait();
            if ready.stdout {
                self.read_out(&mut |_| Ok(())).ok();
            }
            if ready.stderr {
                self.read_err(&mut |_| ());
            }
            self.has_ended |= ready.ended;
        }
    }

    /// What can be done now; maybe nothing. Behind a rest anything may be possible, and is tried.
    fn wait(&self) -> Ready {
        if let (Some(rest), false) = (self.pace.rest(), self.has_ended) {
            let ended = wait_for(&mut [PollFd::new(&self.ended, PollFlags::IN)], rest);
            return Ready { stdin: true, stdout: true, stderr: true, ended };
        }
        let stdin = self.stdin.as_ref().map(|feeding| &feeding.to);
        let mut fds = [
            self.watch(stdin, PollFlags::OUT),
            self.watch(self.stdout.as_ref(), PollFlags::IN),
            self.watch(self.stderr.as_ref(), PollFlags::IN),
            self.watch((!self.has_ended).then_some(&self.ended), PollFlags::IN),
        ];
        if !wait_for(&mut fds, GLANCE) {
            return Ready::default();
        }
        let is = |n: usize, watched: bool| watched && !fds[n].revents().is_empty();
        Ready {
            stdin: is(0, self.stdin.is_some()),
            stdout: is(1, self.stdout.is_some()),
            stderr: is(2, self.stderr.is_some()),
            ended: is(3, !self.has_ended),
        }
    }

    /// A place is kept for what is not watched, so that answers are found by position.
    fn watch<'s>(&'s self, fd: Option<&'s OwnedFd>, what: PollFlags) -> PollFd<'s> {
        match fd {
            Some(fd) => PollFd::from_borrowed_fd(fd.as_fd(), what),
            None => PollFd::from_borrowed_fd(self.ended.as_fd(), PollFlags::empty()),
        }
    }

    /// Gives it as much as goes into the pipe; how much that was. Closes the pipe at the end, or when
    /// the command does not want any more (`head -1`).
    fn feed(&mut self) -> Result<u64, TaskError> {
        let Some(feeding) = &mut self.stdin else { return Ok(0) };
        let (fed, over) = feeding.some()?;
        if over {
            self.stdin = None;
        }
        Ok(fed)
    }

    /// Takes what it has printed, as much as one piece has room for; how much that was.
    fn read_out(
        &mut self,
        out: &mut dyn FnMut(Vec<u8>) -> Result<(), TaskError>,
    ) -> Result<usize, TaskError> {
        let Some(stdout) = &self.stdout else { return Ok(0) };
        match rustix::io::read(stdout, spare_capacity(&mut self.piece)) {
            Ok(taken @ 1..) => {
                if self.piece.len() >= PIECE - PIECE / 16 {
                    out(std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE)))?;
                }
                return Ok(taken);
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Ok(_) | Err(_) => self.stdout = None,
        }
        Ok(0)
    }

    /// Some of what is there now, and whether there was any. Not all of it: whoever complains without
    /// an end must not keep us from looking at the gate. A descendant in the background that keeps
    /// the descriptor is not waited for, once the command itself has ended.
    fn read_err(&mut self, err: &mut dyn FnMut(&[u8])) -> bool {
        let Some(stderr) = &self.stderr else { return false };
        let mut buffer = [0; ERR_PIECE];
        match rustix::io::read(stderr, &mut buffer) {
            Ok(n @ 1..) => err(&buffer[..n]),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return false,
            Ok(_) | Err(_) => self.stderr = None,
        }
        self.stderr.is_some()
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Ready {
    stdin: bool,
    stdout: bool,
    stderr: bool,
    ended: bool,
}

impl Ready {
    fn nothing(self) -> bool {
        !(self.stdin || self.stdout || self.stderr || self.ended)
    }
}
