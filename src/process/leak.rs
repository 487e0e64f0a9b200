//! Output that has not ended although its command has: a process in the background holds the pipe.
//!
//! The end of a command decides, as in a shell. The bytes in its pipes count, and those that come within a
//! moment: a `tee` may be a little late. Then this side closes the pipes.

use crate::sys::proc_stat;
use nix::unistd::Pid;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long the output counts after the end of the command.
const LEAK: Duration = Duration::from_millis(100);

/// The output of a command that has ended, as far as it still counts.
pub(super) struct Leak {
    until: Instant,
    /// The bytes that were in the pipes at its end and are still unread.
    pub(super) stdout: u64,
    pub(super) stderr: u64,
}

impl Leak {
    pub(super) fn begin(stdout: Option<&OwnedFd>, stderr: Option<&OwnedFd>) -> Self {
        let held = |pipe: Option<_>| pipe.and_then(|pipe| rustix::io::ioctl_fionread(pipe).ok()).unwrap_or(0);
        Self { until: Instant::now() + LEAK, stdout: held(stdout), stderr: held(stderr) }
    }

    pub(super) fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

/// A process other than this one that has the pipe open, for a message.
pub(super) fn holder_of(pipe: &OwnedFd) -> String {
    let Ok(stat) = rustix::fs::fstat(pipe) else { return "a process".to_string() };
    let name = format!("pipe:[{}]", stat.st_ino);
    let holds = |pid: &Pid| {
        let mut open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        open.any(|entry| fs::read_link(entry.path()).is_ok_and(|to| to == Path::new(&name)))
    };
    match proc_stat::all().filter(|pid| *pid != Pid::this()).find(holds) {
        Some(pid) => format!("pid {pid} ({})", proc_stat::command_line_of(pid)),
        None => "a process".to_string(),
    }
}
