//! The mask: every handled signal is blocked in every thread but one, and a value proves it.
//!
//! The obvious way is to block signals in each thread that a program starts. One thread is forgotten, or
//! belongs to a library, and the kernel picks just that one. Here the thread that runs `main` blocks them
//! before any other thread exists, and a thread inherits the mask of the thread that starts it.

use crate::error::{Error, Result};
use crate::signals::policy::Policy;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use std::io;
use std::marker::PhantomData;
use std::thread::{self, JoinHandle, Scope, ScopedJoinHandle};

/// Proof that the handled signals are blocked in this thread.
///
/// Whoever holds it may start threads, and they inherit the mask; nothing else in this crate starts
/// one. It cannot be sent to another thread, since it says something about this one. Dropping it
/// restores the mask that was found.
///
/// # Race condition
///
/// Threads that were started before this value was made have the signals open. They do no harm (a
/// handler that runs there notes the signal just as well), but a system call of theirs may return
/// early with `EINTR`. So make it first of all, in `main`.
#[derive(Debug)]
pub struct Masked {
    policy: Policy,
    found: SigSet,
    lingers: bool,
    of_this_thread: PhantomData<*const ()>,
}

impl Masked {
    /// Blocks every signal that has a row in `policy`, in the calling thread.
    ///
    /// Only those: a signal that is blocked and that nobody handles is not ignored, it stays
    /// pending for ever.
    ///
    /// # Errors
    ///
    /// [`Kind::Usage`](crate::error::Kind::Usage) when the policy has a row for a signal that must
    /// not be touched; [`Kind::Broken`](crate::error::Kind::Broken), should the kernel refuse, for
    /// which it has no reason.
    pub fn block(policy: Policy) -> Result<Self> {
        policy.check()?;
        let found = block(&policy)?;
        Ok(Self { policy, found, lingers: false, of_this_thread: PhantomData })
    }

    /// Another policy: signals that are new in it are blocked too, those that it no longer has are
    /// given back.
    ///
    /// A program learns from its arguments what signals should mean, and must not be killed while
    /// it reads them. So it blocks the default ones first, and comes here when it knows more; still
    /// before there is any other thread.
    ///
    /// # Errors
    ///
    /// As [`block`](Masked::block); then the old policy stands.
    pub fn adopt(&mut self, policy: Policy) -> Result<()> {
        policy.check()?;
        block(&policy)?;
        let gone: SigSet = self.policy.signals().filter(|signal| !policy.has(*signal)).collect();
        let open: SigSet = gone.iter().filter(|signal| !self.found.contains(*signal)).collect();
        open.thread_unblock().map_err(mask_failed)?;
        self.policy = policy;
        Ok(())
    }

    /// For a program that ends when its run has ended: signals that mean no end stay blocked when this value
    /// is dropped. By default most of them kill, and a SIGUSR1 that comes in the last millisecond would make
    /// a death of an end that was none.
    pub fn linger(&mut self) {
        self.lingers = true;
    }

    /// The table that says which signals are handled, and how.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The mask as it was before: what a child process should be given.
    pub fn found(&self) -> SigSet {
        self.found
    }

    /// Starts a thread, which is born with the handled signals blocked.
    ///
    /// # Errors
    ///
    /// The system's, when there can be no more threads.
    pub fn spawn(&self, name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
        thread::Builder::new().name(name.to_string()).spawn(body)
    }

    /// Starts a thread that ends before `scope` does, and may borrow from it.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Masked::spawn).
    pub(crate) fn spawn_scoped<'scope>(
        &self,
        scope: &'scope Scope<'scope, '_>,
        name: &str,
        body: impl FnOnce() + Send + 'scope,
    ) -> io::Result<ScopedJoinHandle<'scope, ()>> {
        thread::Builder::new().name(name.to_string()).spawn_scoped(scope, body)
    }
}

impl Drop for Masked {
    fn drop(&mut self) {
        let mut mask = self.found;
        if self.lingers {
            mask.extend(self.policy.signals().filter(|signal| !ENDS_AND_HOLDS.contains(signal)));
        }
        // Fails only for arguments that cannot occur here, and a destructor has nobody to tell.
        mask.thread_set_mask().ok();
    }
}

/// What a person sends to a program that does not end, or is to stand still.
const ENDS_AND_HOLDS: [Signal; 6] =
    [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGTSTP, Signal::SIGCONT];

/// Blocks what `policy` names; the mask as it was.
fn block(policy: &Policy) -> Result<SigSet> {
    let set: SigSet = policy.signals().collect();
    set.thread_swap_mask(SigmaskHow::SIG_BLOCK).map_err(mask_failed)
}

fn mask_failed(errno: nix::errno::Errno) -> Error {
    Error::broken("signal mask", format_args!("cannot change it: {}", errno.desc()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_is_given_back() {
        let before = SigSet::thread_get_mask().unwrap();
        let masked = Masked::block(Policy::default()).unwrap();
        assert!(SigSet::thread_get_mask().unwrap().contains(Signal::SIGTERM));
        drop(masked);
        assert_eq!(SigSet::thread_get_mask().unwrap(), before);
    }

    #[test]
    fn who_lingers_is_not_killed_by_what_means_no_end() {
        let before = SigSet::thread_get_mask().unwrap();
        let mut masked = Masked::block(Policy::default()).unwrap();
        masked.linger();
        drop(masked);
        let after = SigSet::thread_get_mask().unwrap();
        before.thread_set_mask().unwrap();
        assert!(after.contains(Signal::SIGUSR1) && after.contains(Signal::SIGPWR));
        assert!(!after.contains(Signal::SIGTERM) && !after.contains(Signal::SIGTSTP));
    }

    #[test]
    fn a_thread_is_born_with_the_handled_signals_blocked_and_the_others_open() {
        let masked = Masked::block(Policy::default()).unwrap();
        let (tell, told) = crossbeam_channel::bounded(1);
        let thread =
            masked.spawn("test", move || tell.send(SigSet::thread_get_mask().unwrap()).unwrap()).unwrap();
        thread.join().unwrap();
        let mask = told.recv().unwrap();
        for signal in Signal::iterator() {
            let handled = masked.policy().signals().any(|row| row == signal);
            assert_eq!(mask.contains(signal), handled || masked.found().contains(signal), "{signal}");
        }
    }
}
