//! Output that has not ended although its command has: something in the background holds the pipe.
//!
//! The end of a command decides, as in a shell. What is in its pipes by then counts, and what comes within
//! a moment: a `tee` behind it may be a little late. Then the pipes are closed from our side.

use super::Running;
use crate::error::Error;
use crate::process::{stat, watcher};
use crate::task::Context;
use nix::unistd::Pid;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How long what a command has started may go on printing after the end of the command.
const LEAK: Duration = Duration::from_millis(100);

/// What is still to be read of a command that has ended.
pub(super) struct Leak {
    until: Instant,
    /// What was in the pipes at its end and has not been read.
    pub(super) stdout: u64,
    pub(super) stderr: u64,
}

impl Leak {
    pub(super) fn begin(stdout: Option<&OwnedFd>, stderr: Option<&OwnedFd>) -> Self {
        let held = |pipe: Option<&OwnedFd>| {
            pipe.and_then(|pipe| rustix::io::ioctl_fionread(pipe).ok()).unwrap_or_default()
        };
        Self { until: Instant::now() + LEAK, stdout: held(stdout), stderr: held(stderr) }
    }

    pub(super) fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

impl Running<'_> {
    /// Whether it has ended and said everything that counts.
    pub(super) fn is_heard_out(&self) -> bool {
        let Some(leak) = &self.leak else { return false };
        let stdout_is_read = self.stdout.is_none() || leak.stdout == 0;
        let stderr_is_read = self.stderr.is_none() || leak.stderr == 0;
        let is_closed = self.stdout.is_none() && self.stderr.is_none();
        is_closed || stdout_is_read && stderr_is_read && leak.left().is_zero()
    }

    /// Of a command that has ended by itself: its pipes are closed, and if somebody holds them, that is said,
    /// once in a job.
    pub(super) fn close_its_pipes(&mut self, cx: &Context<'_>) {
        let pipes = [self.stdout.take(), self.stderr.take()];
        if let Some(pipe) = pipes.iter().flatten().next()
            && !cx.shared.held_is_said.swap(true, Ordering::Relaxed)
        {
            let holder = match holder_of(pipe) {
                Some(pid) => format!("pid {pid} ({})", watcher::line_of(pid)),
                None => "something".to_string(),
            };
            let why = "holds the output of a command that has ended; what it prints now is not read";
            cx.warn(Error::broken(holder, why).advise(
                "commands are done 0.1 s after their end, whoever holds their output; let what they leave behind write elsewhere (>file 2>&1)",
            ));
        }
    }
}

/// Who has this pipe open, apart from us.
fn holder_of(pipe: &OwnedFd) -> Option<Pid> {
    let name = format!("pipe:[{}]", rustix::fs::fstat(pipe).ok()?.st_ino);
    let holds = |pid: &Pid| {
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        descriptors
            .map(|entry| entry.path())
            .any(|fd| fs::read_link(fd).is_ok_and(|to| to == Path::new(&name)))
    };
    stat::all().filter(|pid| *pid != Pid::this()).find(holds)
}
