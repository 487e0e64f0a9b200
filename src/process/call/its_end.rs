//! The end of a command: waiting for it, and bringing it about.
//!
//! A command is a whole group. Told to end, the shell that leads it dies at once, while the program behind
//! it removes its files. So when a command was ended, by us or by a scheduler, all of its group have
//! `kill_after` for that. Its leader is not reaped until then: the number of the group stays its own.

use super::leak::Leak;
use super::{How, Running};
use crate::process::children::{is_order, lives_in};
use crate::process::feed::Input;
use crate::process::limits::is_one_of_the_last;
use crate::process::wait;
use crate::task::{Context, TaskError};
use nix::sys::signal::Signal;
use rustix::io::Errno;
use rustix::process::{PidfdFlags, WaitIdOptions, pidfd_open};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// How often it is looked whether somebody of a group is alive whose leader is not.
const LOOK: Duration = Duration::from_millis(5);

impl Running<'_> {
    /// All that it will do is to end; the kernel can tell that without being asked every moment, since an
    /// abort ends the command, and a pause stops it.
    pub(super) fn wait_for_nothing_else(&mut self, cx: &Context<'_>) {
        let ended_or_stopped = WaitIdOptions::EXITED | WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT;
        match wait::look(self.pid, ended_or_stopped) {
            Ok(Some(status)) if let Some(by) = status.stopping_signal() => {
                self.end_if_it_wants_the_terminal(by, cx);
                // Taken out, or the next look would find it again at once.
                wait::look(self.pid, WaitIdOptions::STOPPED | WaitIdOptions::NOHANG).ok();
                // Mostly it is a pause; the gate will tell, and be told that nothing moves here.
            }
            Ok(status) => {
                self.status = status.and_then(wait::how);
                self.has_ended();
            }
            // Whatever is wrong with it, reaping will tell.
            Err(_) => self.has_ended(),
        }
    }

    /// From here on [`wait`](Running::wait) hears of its end. Without a descriptor for that it has to look.
    pub(super) fn watch_its_end(&mut self) {
        if self.ended.is_none() {
            let pid = rustix::process::Pid::from_raw(self.pid.as_raw()).ok_or(Errno::SRCH);
            let ended = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()));
            self.ended = ended.ok().filter(|ended| !is_one_of_the_last(ended.as_raw_fd()));
            self.is_unwatched = self.ended.is_none();
        }
    }

    /// Whether it has ended by now.
    pub(super) fn looks_ended(&self) -> bool {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        !matches!(wait::look(self.pid, look), Ok(None))
    }

    /// It has ended, and from here on only what is in its pipes counts, and what comes within a moment.
    pub(super) fn has_ended(&mut self) {
        if self.leak.is_none() {
            self.leak = Some(Leak::begin(self.stdout.as_ref(), self.stderr.as_ref()));
        }
    }

    /// A command that reads the terminal from the background is stopped by the kernel, and nobody
    /// would continue it.
    pub(super) fn look_whether_it_wants_the_terminal(&mut self, cx: &Context<'_>) {
        let stopped = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        if let Some(by) =
            wait::look(self.pid, stopped).ok().flatten().and_then(|status| status.stopping_signal())
        {
            self.end_if_it_wants_the_terminal(by, cx);
        }
    }

    fn end_if_it_wants_the_terminal(&mut self, by: i32, cx: &Context<'_>) {
        if matches!(by, libc::SIGTTIN | libc::SIGTTOU) {
            self.early = Some(How::WantedTerminal);
            self.kill(cx);
        }
    }

    fn kill(&mut self, cx: &Context<'_>) {
        self.is_killed = true;
        cx.children().end_one(self.pid, Signal::SIGKILL);
    }

    /// After so much time it is told to end, unless it has ended and we only have not heard of it.
    pub(super) fn look_at_the_clock(&mut self, cx: &Context<'_>) {
        if self.early.is_none()
            && self.leak.is_none()
            && self.timeout.is_some_and(|limit| self.clock.worked() >= limit)
        {
            if self.looks_ended() {
                return self.has_ended();
            }
            self.early = Some(How::TimedOut);
            self.kill_at = Some(Instant::now() + self.kill_after);
            cx.children().end_one(self.pid, Signal::SIGTERM);
        }
        if !self.is_killed && self.kill_at.is_some_and(|at| at <= Instant::now()) {
            self.kill(cx);
            // Its descendants went with it; but one that left the group may hold the pipe for ever.
            self.stdout = None;
        }
    }

    /// How it ended; waits for that.
    pub(super) fn how(&mut self, cx: &Context<'_>) -> nix::Result<How> {
        match self.status {
            Some(how) => Ok(how),
            None => cx.children().wait_for_the_end_of(self.pid).inspect(|how| self.status = Some(*how)),
        }
    }

    /// Whether it was ended, by us or by somebody else who ends programs.
    pub(super) fn was_ended(&mut self, cx: &Context<'_>) -> bool {
        self.early.is_some() || self.how(cx).is_ok_and(is_order) || cx.children().was_told(self.pid)
    }

    /// After an abort: it has been told to end, and has `kill_after` for it. What it prints is thrown
    /// away, so that it does not wait for us.
    pub(super) fn wait_for_its_end(&mut self, cx: &Context<'_>) {
        self.stdin = Input::Refused;
        cx.children().end_one(self.pid, Signal::SIGTERM);
        self.kill_at.get_or_insert(Instant::now() + self.kill_after);
        self.wait_for_its_group(cx, &mut |_| Ok(()), &mut |_| ()).ok();
    }

    /// Of a command that was ended: until it and all of its group have, or are killed.
    ///
    /// # Errors
    ///
    /// What `out` returns.
    pub(super) fn wait_for_its_group(
        &mut self,
        cx: &Context<'_>,
        out: &mut dyn FnMut(Vec<u8>) -> Result<(), TaskError>,
        err: &mut dyn FnMut(&[u8]),
    ) -> Result<(), TaskError> {
        if !self.is_killed && self.kill_at.is_none() && !cx.children().was_told(self.pid) {
            self.kill_at = Some(Instant::now() + self.kill_after);
        }
        self.watch_its_end();
        let (mut members, mut leaderless) = (Vec::new(), false);
        loop {
            if self.leak.is_some() {
                members.retain(|pid| lives_in(*pid, self.pid));
                if members.is_empty() {
                    members = cx.children().living_members(self.pid);
                }
                if members.is_empty() || self.is_killed {
                    return Ok(());
                }
                if !std::mem::replace(&mut leaderless, true) {
                    cx.children().has_lost_its_leader(self.pid);
                }
            }
            // A stop was passed on to it, to save its work: it has all of the grace.
            if self.kill_at.is_none() && cx.is_cancelled() {
                self.kill_at = Some(Instant::now() + self.kill_after);
            }
            if !self.is_killed && self.kill_at.is_some_and(|at| at <= Instant::now()) {
                self.kill(cx);
                continue;
            }
            let ready = self.wait(false, if self.leak.is_some() { LOOK } else { super::GLANCE });
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
