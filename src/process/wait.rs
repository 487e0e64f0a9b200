//! Waiting for a child, and what the kernel says of it.
//!
//! nix has names for signals, but none for real-time signals: when a command died of one, nix reports that the
//! call was wrong, although the child is reaped. So here signals are numbers.

use crate::task::command::How;
use nix::errno::Errno;
use nix::unistd::Pid;
use rustix::process::{WaitId, WaitIdOptions, WaitIdStatus, waitid};

/// A change in the state of a child. `None`: none yet, and `what` says not to wait. `ECHILD`: reaped elsewhere.
pub(super) fn look(pid: Pid, what: WaitIdOptions) -> nix::Result<Option<WaitIdStatus>> {
    let child = WaitId::Pid(rustix::process::Pid::from_raw(pid.as_raw()).ok_or(Errno::ESRCH)?);
    let found = rustix::io::retry_on_intr(|| waitid(child.clone(), what));
    found.map_err(|errno| Errno::from_raw(errno.raw_os_error()))
}

/// Waits for its end, and reaps it unless `also` is [`WaitIdOptions::NOWAIT`]: then its number is free.
pub(super) fn end(pid: Pid, also: WaitIdOptions) -> nix::Result<How> {
    let status = look(pid, WaitIdOptions::EXITED | also)?.ok_or(Errno::ECHILD)?;
    let by_signal = || status.terminating_signal().map(How::Signal);
    status.exit_status().map(How::Code).or_else(by_signal).ok_or(Errno::ECHILD)
}
