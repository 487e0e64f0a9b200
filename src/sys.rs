//! The only unsafe code of this crate: reading and setting what a signal does.
//!
//! nix has a wrapper for `sigaction(2)`, but it is unsafe too (a handler may do anything), and it
//! cannot ask without setting. What is needed here is less and therefore safe: to remember what a
//! signal does, to put that back, and to choose the default action. No function of ours ever
//! becomes a handler; signal-hook's does, and it is written for that.
#![allow(unsafe_code, reason = "sigaction(2) has no safe wrapper that can query; see the module text")]

use nix::sys::signal::Signal;
use std::io;
use std::mem::MaybeUninit;

/// What a signal does: by default, nothing, or a handler. To be kept and put back.
#[derive(Clone, Copy)]
pub(crate) struct Disposition(libc::sigaction);

impl Disposition {
    /// What `signal` does at present.
    pub(crate) fn of(signal: Signal) -> io::Result<Self> {
        let mut found = MaybeUninit::<libc::sigaction>::uninit();
        // SAFETY: the new action is null, so nothing changes; `found` is valid for writing, and is
        // read only when the kernel has reported success, that is, has filled it.
        unsafe {
            match libc::sigaction(signal as libc::c_int, std::ptr::null(), found.as_mut_ptr()) {
                0 => Ok(Self(found.assume_init())),
                _ => Err(io::Error::last_os_error()),
            }
        }
    }

    /// The default action of every signal.
    pub(crate) fn default_action() -> Self {
        // SAFETY: `libc::sigaction` is plain data for which all zeros is a valid value: no flags,
        // an empty mask, and a handler that is `SIG_DFL`, which POSIX systems define as 0.
        let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
        action.sa_sigaction = libc::SIG_DFL;
        Self(action)
    }

    /// The signal does nothing.
    pub(crate) fn ignored() -> Self {
        let mut action = Self::default_action();
        action.0.sa_sigaction = libc::SIG_IGN;
        action
    }

    /// Whether the signal is ignored.
    pub(crate) fn is_ignored(&self) -> bool {
        self.0.sa_sigaction == libc::SIG_IGN
    }

    /// Makes `signal` do this from now on, in the whole process.
    pub(crate) fn set(&self, signal: Signal) -> io::Result<()> {
        // SAFETY: the action is the default one, or to ignore, or was filled in by the kernel in `of`, so
        // a handler in it was installed before by somebody who vouched for it. The old action is
        // not asked for.
        match unsafe { libc::sigaction(signal as libc::c_int, &self.0, std::ptr::null_mut()) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}
