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
//! how it ended, but whether we had told it to end, and whether it had all of its input or closed it
//! itself.

use super::Command;
use super::feed::{Feed, Input, PIECE, enlarge};
use super::pace::{Pace, wait_for};
use super::register::Tag;
use super::stat::Stat;
use crate::error::Error;
use crate::task::clock::WorkClock;
use crate::task::{Context, Debt, TaskError};
use leak::Leak;
use nix::unistd::Pid;
use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant, SystemTime};

mod its_end;
mod its_start;
mod leak;

/// How much of standard error is read at a time.
const ERR_PIECE: usize = 16 << 10;

/// Room for what a command prints, to begin with. Who prints more than this at once gets more room, and
/// a larger pipe.
const LITTLE: usize = 4 << 10;

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
    /// What it prints and says goes where ours goes, and not through us.
    pub passes_through: bool,
    /// What it prints is handed over as it comes, and not in large pieces.
    pub at_once: bool,
    /// Whether it matters that what it printed is complete.
    pub output_counts: bool,
}

/// A command that has ended by itself, or by its timeout.
#[derive(Clone, Copy, Debug)]
pub struct Finished {
    /// How.
    pub how: How,
    /// Whether we had sent it a signal that ends programs. Then a 0 means nothing.
    pub told_to_end: bool,
    /// Whether some of its input was left unread, as far as that can be told: it closed it (`head -1`), or
    /// was told by somebody else to end, and made a 0 of it.
    pub left_input: bool,
    /// Whether it had a handler for SIGTERM, and may have made a 0 of one. Asked for only where its output
    /// counts.
    pub catches_sigterm: bool,
    /// When it began.
    pub began: SystemTime,
    /// How long it took, pauses not counted.
    pub took: Duration,
    /// Which command of the run it was.
    tag: Option<Tag>,
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
    /// Runs a command until it has ended: `out` gets its standard output in pieces, `err` its standard error
    /// as it comes. Its end decides, also when something that it has started holds its output; what that
    /// prints within the next 0.1 s still counts.
    ///
    /// While the job is paused the command is stopped (SIGTSTP, then SIGSTOP) and this waits. When it was
    /// ended, by us or by a signal that ends programs, all of its group have `kill_after` to end as well.
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
        let mut result = running.attend(self, out, err);
        let was_ended = result.is_err() || running.was_ended(self);
        if result.is_ok() && was_ended {
            result = running.wait_for_its_group(self, out, err);
        }
        if result.is_ok() {
            result = running.hand_over_the_rest(out);
        }
        if result.is_err() {
            // Whatever the reason, the command does not outlive its task.
            running.wait_for_its_end(self);
        }
        running.stop_the_clock(self);
        // Whatever is wrong with it, reaping will tell.
        let how = running.how(self).ok();
        // As long as it is not reaped the kernel knows.
        let catches_sigterm = call.output_counts && Stat::of(running.pid).is_some_and(Stat::catches_sigterm);
        let ended = self.children().reap(running.pid, how, was_ended || result.is_err());
        if !was_ended && result.is_ok() {
            running.close_its_pipes(self);
        }
        result?;
        let (how, told_to_end, tag) = ended.map_err(|errno| lost(call.command, errno))?;
        Ok(Finished {
            how: running.early.unwrap_or(how),
            told_to_end,
            left_input: running.stdin.was_left(),
            catches_sigterm,
            began: running.began,
            took: running.clock.worked(),
            tag,
        })
    }

    /// Says of a command that has ended, and seemed to have done so by itself, that a scheduler has ended it:
    /// so what it has left behind is not meant to stay.
    pub fn was_ended(&self, finished: &Finished) {
        if let Some(tag) = finished.tag {
            self.children().was_ended(tag);
        }
    }
}

/// Somebody else has reaped our child; nobody should.
fn lost(command: &Command, why: impl std::fmt::Display) -> TaskError {
    TaskError::Fatal(Error::broken(command, format_args!("how it ended cannot be told: {why}")))
}

/// A command at work, and our ends of its pipes.
struct Running<'a> {
    pid: Pid,
    /// Tells its end, once somebody has to wait for that and for something else at the same time. Most
    /// commands close their output at their end, and nobody needs this.
    ended: Option<OwnedFd>,
    stdin: Input<'a>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    piece: Vec<u8>,
    at_once: bool,
    pace: Pace,
    /// Bytes that may be fed by the rate limit, and whether that has to be waited for.
    credit: u64,
    debt: Option<Debt>,
    /// There is no descriptor for that.
    is_unwatched: bool,
    /// It has ended for certain, and was not reaped: what is to be read of it.
    leak: Option<Leak>,
    /// How it ended, if that is known.
    status: Option<How>,
    /// Why we ended it, if we did.
    early: Option<How>,
    began: SystemTime,
    clock: WorkClock,
    pauses: u32,
    timeout: Option<Duration>,
    kill_after: Duration,
    kill_at: Option<Instant>,
    is_killed: bool,
}

impl Running<'_> {
    /// Until it has ended and said everything. An error means that nobody wants it any more.
    fn attend(
        &mut self,
        cx: &Context<'_>,
        out: &mut dyn FnMut(Vec<u8>) -> Result<(), TaskError>,
        err: &mut dyn FnMut(&[u8]),
    ) -> Result<(), TaskError> {
        loop {
            self.look_at_the_gate(cx)?;
            self.look_at_the_clock(cx);
            if self.is_heard_out() {
                return Ok(());
            }
            if self.is_silent() && self.timeout.is_none() {
                self.wait_for_nothing_else(cx);
                continue;
            }
            // For most commands it is enough that their output ends with them; one that lasts may leave
            // somebody behind who goes on printing.
            if self.is_silent() || self.pace.rest().is_some() || self.clock.worked() >= GLANCE {
                self.watch_its_end();
            }
            let may_feed = self.may_feed(cx);
            let ready = self.wait(may_feed, GLANCE);
            if ready.nothing() && self.leak.is_none() {
                self.watch_its_end();
                self.look_whether_it_wants_the_terminal(cx);
            }
            let fed = if ready.stdin && may_feed { self.stdin.feed()? } else { 0 };
            self.pay(fed, cx);
            let taken = if ready.stdout { self.read_out(out)? } else { 0 };
            self.pace.learn(taken.max(fed as usize));
            if ready.stderr {
                self.read_err(err)?;
            }
            if ready.ended {
                self.has_ended();
            }
        }
    }

    fn hand_over_the_rest(
        &mut self,
        out: &mut dyn FnMut(Vec<u8>) -> Result<(), TaskError>,
    ) -> Result<(), TaskError> {
        if self.piece.is_empty() {
            return Ok(());
        }
        self.piece.shrink_to_fit();
        out(std::mem::take(&mut self.piece))
    }

    /// Whether the rate limit lets more be fed now.
    fn may_feed(&mut self, cx: &Context<'_>) -> bool {
        if self.credit == 0 && self.stdin.left() > 0 {
            self.credit = self.stdin.left().min(PIECE as u64);
            self.debt = cx.take_from_the_rate(self.credit);
        }
        self.debt = self.debt.filter(|debt| cx.is_owed(debt));
        self.debt.is_none()
    }

    /// So much was fed. That can be more than there was credit for.
    fn pay(&mut self, fed: u64, cx: &Context<'_>) {
        let more = fed.saturating_sub(self.credit);
        if more > 0 {
            self.debt = cx.take_from_the_rate(more);
        }
        self.credit = self.credit.saturating_sub(fed);
        cx.count(fed);
    }

    /// The last moments count too, unless there was a pause in them.
    fn stop_the_clock(&mut self, cx: &Context<'_>) {
        if cx.pauses() == self.pauses {
            self.clock.tick(Instant::now());
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

    /// Neither takes anything from us nor tells us anything more.
    fn is_silent(&self) -> bool {
        self.stdin.end().is_none() && self.stdout.is_none() && self.stderr.is_none() && self.leak.is_none()
    }

    /// What can be done now; nothing, when there was nothing for a moment. Behind a rest anything may be
    /// possible, and is tried.
    fn wait(&self, may_feed: bool, glance: Duration) -> Ready {
        let stdin = self.stdin.end().filter(|_| may_feed);
        let until = [self.debt.map(|debt| debt.left()), self.leak.as_ref().map(Leak::left)];
        let glance = until.into_iter().flatten().filter(|left| !left.is_zero()).fold(glance, Duration::min);
        let ended = self.ended.as_ref().filter(|_| self.leak.is_none());
        if let (Some(rest), Some(ended)) = (self.pace.rest(), ended) {
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
            watched.map(|(fd, _)| fd.is_some() && answers.next().unwrap_or(false));
        Ready { stdin, stdout, stderr, ended }
    }

    /// Takes what it has printed, as much as one piece has room for; how much that was.
    fn read_out(
        &mut self,
        out: &mut dyn FnMut(Vec<u8>) -> Result<(), TaskError>,
    ) -> Result<usize, TaskError> {
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

    /// Some of what is there now. Not all of it: whoever complains without an end must not keep us from
    /// looking at the gate.
    fn read_err(&mut self, err: &mut dyn FnMut(&[u8])) -> Result<(), TaskError> {
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

/// An error is not an end: what the command has printed may be more.
fn unreadable(stream: &str, errno: Errno) -> TaskError {
    Error::broken(format_args!("{stream} of a command"), format_args!("cannot be read: {errno}")).into()
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
