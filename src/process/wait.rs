//! Waiting for a child, and what the kernel says of it.
//!
//! nix has names for signals, but none for real-time signals: when a command died of one, nix reports that the
//! call was wrong, although the child is reaped. So here signals are numbers.

use crate::sys;
use crate::task::command::{How, Usage};
use nix::errno::Errno;
use nix::unistd::Pid;
use rustix::process::{WaitId, WaitIdOptions, WaitIdStatus, waitid};

/// A change in the state of a child. `None`: none yet, and `what` says not to wait. `ECHILD`: reaped elsewhere.
pub(super) fn look(pid: Pid, what: WaitIdOptions) -> nix::Result<Option<WaitIdStatus>> {
    let child = WaitId::Pid(rustix::process::Pid::from_raw(pid.as_raw()).ok_or(Errno::ESRCH)?);
    let found = rustix::io::retry_on_intr(|| waitid(child.clone(), what));
    found.map_err(|errno| Errno::from_raw(errno.raw_os_error()))
}

/// Waits for the end of a child, and does not reap it.
pub(super) fn end(pid: Pid) -> nix::Result<How> {
    let status = look(pid, WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)?.ok_or(Errno::ECHILD)?;
    let by_signal = || status.terminating_signal().map(How::Signal);
    status.exit_status().map(How::Code).or_else(by_signal).ok_or(Errno::ECHILD)
}

/// Waits for the end of a child and reaps it: then its number is free. Returns also the time and memory that it used.
pub(super) fn reap(pid: Pid) -> nix::Result<(How, Usage)> {
    let (status, used) = sys::wait4(pid)?;
    let how = match libc::WIFEXITED(status) {
        true => How::Code(libc::WEXITSTATUS(status)),
        false => How::Signal(libc::WTERMSIG(status)),
    };
    let micros = |time: libc::timeval| time.tv_sec as u64 * 1_000_000 + time.tv_usec as u64;
    let peak_bytes = (used.ru_maxrss as u64) << 10;
    let (user_us, system_us) = (micros(used.ru_utime), micros(used.ru_stime));
    Ok((how, Usage { user_us, system_us, peak_bytes, ..Usage::default() }))
}
