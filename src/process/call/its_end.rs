//! The end of a command: waiting for it, and bringing it about.

use super::{How, Running};
use crate::job::TaskError;
use crate::pool::Context;
use crate::process::feed::{Input, no_descriptor};
use crate::process::wait;
use nix::sys::signal::Signal;
use rustix::io::Errno;
use rustix::process::{PidfdFlags, WaitIdOptions, pidfd_open};
use std::time::Instant;

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
            // Whatever is wrong with it, reaping will tell.
            Ok(_) | Err(_) => self.has_ended = true,
        }
    }

    /// From here on [`wait`](Running::wait) hears of its end.
    pub(super) fn watch_its_end(&mut self) -> Result<(), TaskError> {
        if self.ended.is_none() {
            let pid = rustix::process::Pid::from_raw(self.pid.as_raw()).ok_or(Errno::SRCH);
            let ended = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty())).map_err(no_descriptor)?;
            self.ended = Some(ended);
        }
        Ok(())
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
            cx.children().end_one(self.pid, Signal::SIGKILL);
        }
    }

    /// After an abort: it has been told to end, and has `kill_after` for it. What it prints is thrown
    /// away, so that it does not wait for us.
    pub(super) fn wait_for_its_end(&mut self, cx: &Context<'_>) {
        self.stdin = Input::Refused;
        cx.children().end_one(self.pid, Signal::SIGTERM);
        let kill_at = Instant::now() + self.kill_after;
        let unwatched = self.watch_its_end().is_err();
        while !self.has_ended {
            if unwatched || Instant::now() >= kill_at {
                cx.children().end_one(self.pid, Signal::SIGKILL);
            }
            if unwatched {
                return; // Whoever reaps it waits for its end.
            }
            let ready = self.wait(false);
            if ready.stdout {
                self.read_out(&mut |_| Ok(())).ok();
            }
            if ready.stderr {
                self.read_err(&mut |_| ()).ok();
            }
            self.has_ended |= ready.ended;
        }
    }
}
