//! The end of a command: waiting for it, and bringing it about.
//!
//! A command is a whole group. When the group is told to end, the shell that leads it dies at once, while the program that
//! it has started still removes its files. So after an end by us or by a scheduler each process of the group has `kill_after`
//! to clean up. The leader is reaped when all have ended or were killed.

use super::children::{is_order, lives_in};
use super::leak::holder_of;
use super::pipes::Input;
use super::running::{GLANCE, Running};
use super::wait;
use crate::error::Error;
use crate::task::command::{Err, How, Out};
use crate::task::{Context, TaskError};
use nix::sys::signal::Signal;
use rustix::process::WaitIdOptions;
use std::time::{Duration, Instant};

/// How often the worker looks for living members of a group that has lost its leader.
const LOOK: Duration = Duration::from_millis(5);

impl Running<'_> {
    /// Whether it has ended, and all of its output that counts was read.
    pub(super) fn is_heard_out(&self) -> bool {
        let Some(leak) = &self.leak else { return false };
        let stdout_is_read = self.stdout.is_none() || leak.stdout == 0;
        let stderr_is_read = self.stderr.is_none() || leak.stderr == 0;
        let is_closed = self.stdout.is_none() && self.stderr.is_none();
        is_closed || stdout_is_read && stderr_is_read && leak.left().is_zero()
    }

    /// Closes the pipes of a command that has ended by itself. If a process holds them, the job says so, once.
    pub(super) fn close_its_pipes(&mut self, cx: &Context<'_>) {
        let pipes = [self.stdout.take(), self.stderr.take()];
        if let Some(pipe) = pipes.iter().flatten().next()
            && self.children.is_first_held_pipe()
        {
            let why = "holds the output of a command that has ended; it is read no more";
            cx.warn(
                Error::broken(holder_of(pipe), why)
                    .advise("let what a command leaves behind write elsewhere (>file 2>&1)"),
            );
        }
    }

    /// The kernel stops a command that reads the terminal from the background, and nothing would continue it.
    pub(super) fn look_whether_it_wants_the_terminal(&mut self) {
        let stopped = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let status = wait::look(self.pid, stopped).ok().flatten();
        if matches!(status.and_then(|status| status.stopping_signal()), Some(libc::SIGTTIN | libc::SIGTTOU)) {
            self.early = Some(How::WantedTerminal);
            self.kill();
        }
    }

    fn kill(&mut self) {
        self.is_killed = true;
        self.children.end_one(self.pid, Signal::SIGKILL);
    }

    /// Tells it to end when its time is over, unless it has ended unnoticed.
    pub(super) fn look_at_the_clock(&mut self) {
        if self.early.is_none()
            && self.leak.is_none()
            && self.timeout.is_some_and(|limit| self.has_worked(limit))
        {
            if self.looks_ended() {
                return self.has_ended();
            }
            self.early = Some(How::TimedOut);
            self.kill_at = Some(Instant::now() + self.kill_after);
            self.children.end_one(self.pid, Signal::SIGTERM);
        }
        if !self.is_killed && self.kill_at.is_some_and(|at| at <= Instant::now()) {
            self.kill();
            // Its descendants went with it; but one that left the group may hold the pipe for ever.
            self.stdout = None;
        }
    }

    /// Whether the command has worked for this long. Time in which a lack of memory held it does not count.
    fn has_worked(&self, limit: Duration) -> bool {
        self.clock.worked >= limit && self.clock.worked >= limit + self.children.has_rested(self.pid)
    }

    /// How it ended; waits for that.
    pub(super) fn how(&mut self) -> nix::Result<How> {
        match self.status {
            Some(how) => Ok(how),
            None => self.children.wait_for_the_end_of(self.pid).inspect(|how| self.status = Some(*how)),
        }
    }

    /// Whether it was ended, by us or by another process that ends programs.
    pub(super) fn was_ended(&mut self) -> bool {
        self.early.is_some() || self.how().is_ok_and(is_order) || self.children.was_told(self.pid)
    }

    /// After an abort: it has `kill_after` to end. Its output is thrown away, or it would wait for us.
    pub(super) fn wait_for_its_end(&mut self, cx: &Context<'_>) {
        self.stdin = Input::Refused;
        self.children.end_one(self.pid, Signal::SIGTERM);
        self.kill_at.get_or_insert(Instant::now() + self.kill_after);
        self.wait_for_its_group(cx, &mut |_| Ok(()), &mut |_| ()).ok();
    }

    /// Waits until an ended command and its whole group have ended, or are killed. Errors are those of `out`.
    pub(super) fn wait_for_its_group(
        &mut self,
        cx: &Context<'_>,
        out: &mut Out<'_>,
        err: &mut Err<'_>,
    ) -> Result<(), TaskError> {
        if !self.is_killed && self.kill_at.is_none() && !self.children.was_told(self.pid) {
            self.kill_at = Some(Instant::now() + self.kill_after);
        }
        self.watch_its_end();
        let (mut members, mut leaderless) = (Vec::new(), false);
        loop {
            if self.leak.is_some() {
                members.retain(|pid| lives_in(*pid, self.pid));
                if members.is_empty() {
                    members = self.children.living_members(self.pid);
                }
                if members.is_empty() || self.is_killed {
                    return Ok(());
                }
                if !std::mem::replace(&mut leaderless, true) {
                    self.children.has_lost_its_leader(self.pid);
                }
            }
            // A command that got the stop has all of the grace. The time until SIGKILL begins with the abort.
            if self.kill_at.is_none() && cx.is_cancelled() {
                self.kill_at = Some(Instant::now() + self.kill_after);
            }
            if !self.is_killed && self.kill_at.is_some_and(|at| at <= Instant::now()) {
                self.kill();
                continue;
            }
            let ready = self.wait(false, if self.leak.is_some() { LOOK } else { GLANCE });
            if ready.stdout {
                self.read_out(out)?;
            }
            if ready.stderr {
                self.read_err(err)?;
            }
            if ready.ended {
                self.has_ended();
            }
        }
    }
}
