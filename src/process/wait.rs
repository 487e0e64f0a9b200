//! Waiting for a child, and what the kernel says of it.
//!
//! nix has names for signals, but none for real-time signals: when a command died of one, nix reports that the
//! call was wrong, although the child is reaped. So here signals are numbers.

use crate::task::command::How;
use nix::errno::Errno;
use nix::unistd::Pid;
use rustix::process::{WaitId, WaitIdOptions, WaitIdStatus, WaitOptions};

fn number(pid: Pid) -> nix::Result<rustix::process::Pid> {
    rustix::process::Pid::from_raw(pid.as_raw()).ok_or(Errno::ESRCH)
}

fn reason(errno: rustix::io::Errno) -> Errno {
    Errno::from_raw(errno.raw_os_error())
}

/// A change in the state of a child, of the kinds that `what` names. `None` if `what` says not to wait, and there
/// is none.
///
/// # Errors
///
/// `ECHILD`: another part of the program has reaped it.
pub(super) fn look(pid: Pid, what: WaitIdOptions) -> nix::Result<Option<WaitIdStatus>> {
    let pid = number(pid)?;
    rustix::io::retry_on_intr(|| rustix::process::waitid(WaitId::Pid(pid), what)).map_err(reason)
}

/// How a child has ended, if this says so.
pub(super) fn how(status: WaitIdStatus) -> Option<How> {
    status.exit_status().map(How::Code).or(status.terminating_signal().map(How::Signal))
}

/// Waits for the end of a child and reaps it. From here on its number may belong to another process.
///
/// # Errors
///
/// As [`look`].
pub(super) fn reap(pid: Pid) -> nix::Result<How> {
    let pid = number(pid)?;
    let ended = rustix::io::retry_on_intr(|| rustix::process::waitpid(Some(pid), WaitOptions::empty()));
    let (_, status) = ended.map_err(reason)?.ok_or(Errno::ECHILD)?;
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Ok(How::Code(code)),
        (None, Some(signal)) => Ok(How::Signal(signal)),
        (None, None) => Err(Errno::ECHILD),
    }
}
