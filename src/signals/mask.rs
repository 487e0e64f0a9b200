//! The mask: every thread but one has the handled signals blocked, and a value proves it.
//!
//! The obvious way is to block signals in each thread that a program starts. Then one thread is forgotten, or
//! belongs to a library, and the kernel picks just that one. Here `main` blocks the signals before any other
//! thread exists, and each thread inherits the mask of the thread that starts it.

use crate::error::{Error, Result};
use crate::signals::policy::Policy;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use std::cell::{Cell, RefCell};
use std::io;
use std::marker::PhantomData;
use std::thread::{self, JoinHandle, Scope, ScopedJoinHandle};

/// Proof that the handled signals are blocked in this thread.
///
/// The long-lived threads of this crate are started through this value. Every other thread inherits the mask of the
/// thread that starts it. The value cannot be sent to another thread, being a statement about this one. Dropping it
/// restores the former mask.
///
/// # Race condition
///
/// Threads that were started earlier have the signals unblocked. No signal is lost, since a handler that runs there
/// notes it just as well, but a system call of such a thread may return early with `EINTR`. So call
/// [`block`](Masked::block) first of all in `main`.
///
/// ```
/// use bivouac::{Policy, Signal, signals::Masked};
///
/// let masked = Masked::block(Policy::default())?; // in the first line of `main`
/// assert!(masked.policy().has(Signal::SIGTERM));
/// let helper = masked.spawn("helper", || println!("no signal interrupts this thread"))?;
/// helper.join().unwrap();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Masked {
    policy: Policy,
    found: SigSet,
    lingers: bool,
    /// The signal that stopped a loop of this thread, for the end of the program.
    pub(crate) stopped_by: Cell<Option<Signal>>,
    /// The error with which the last loop ended.
    pub(crate) failed: RefCell<Option<Error>>,
    of_this_thread: PhantomData<*const ()>,
}

impl Masked {
    /// Blocks every signal that has a row in `policy`, in the calling thread. Other signals are left alone: one that
    /// is blocked without a handler stays pending for ever.
    ///
    /// # Errors
    ///
    /// [`Kind::Usage`](crate::error::Kind::Usage) when the policy has a row for a signal that must not be touched;
    /// [`Kind::Broken`](crate::error::Kind::Broken) if the kernel refuses, for which it has no reason.
    pub fn block(policy: Policy) -> Result<Self> {
        policy.check()?;
        let found = block(&policy)?;
        let (stopped_by, failed) = (Cell::new(None), RefCell::new(None));
        Ok(Self { policy, found, lingers: false, stopped_by, failed, of_this_thread: PhantomData })
    }

    /// Replaces the policy: blocks the signals that are new in it, and unblocks those that it no longer has.
    ///
    /// A program learns from its arguments what signals mean, and must not be killed while it reads them. So it
    /// blocks the default ones first, and calls this after that, before there is another thread. Fails as
    /// [`block`](Masked::block) does; then the old policy stays in force.
    #[doc(hidden)]
    pub fn adopt(&mut self, policy: Policy) -> Result<()> {
        policy.check()?;
        block(&policy)?;
        let gone: SigSet = self.policy.signals().filter(|signal| !policy.has(*signal)).collect();
        let open: SigSet = gone.iter().filter(|signal| !self.found.contains(*signal)).collect();
        open.thread_unblock().map_err(mask_failed)?;
        self.policy = policy;
        Ok(())
    }

    /// When this value is dropped, signals that do not ask for an end stay blocked. For a program that ends right
    /// after its run: most of these signals kill by default, and a SIGUSR1 in the last millisecond would turn a
    /// success into a death by signal.
    #[doc(hidden)]
    pub fn linger(&mut self) {
        self.lingers = true;
    }

    /// Calls `body` with [`ENDS_AND_HOLDS`] unblocked, except those that were found blocked. For a wait before anything
    /// can be committed and before there is another thread: such a signal then has its default action.
    #[doc(hidden)]
    pub fn open_during<T>(&self, body: impl FnOnce() -> T) -> T {
        let was_open = |signal: &Signal| !self.found.contains(*signal);
        let open: SigSet = ENDS_AND_HOLDS.into_iter().filter(was_open).collect();
        // Both fail only for arguments that cannot occur here.
        open.thread_unblock().ok();
        let done = body();
        block(&self.policy).ok();
        done
    }

    /// The table that says which signals are handled, and how.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The mask before [`block`](Masked::block). Child processes get it.
    #[doc(hidden)]
    pub fn found(&self) -> SigSet {
        self.found
    }

    /// Starts a thread, which has the handled signals blocked from its first instruction.
    ///
    /// # Errors
    ///
    /// The system can start no more threads.
    pub fn spawn(&self, name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
        thread::Builder::new().name(name.to_string()).spawn(body)
    }

    /// Starts a thread that ends before `scope` does, and may borrow from it.
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
        // It fails only for arguments that cannot occur here, and a destructor cannot report it.
        mask.thread_set_mask().ok();
    }
}

/// The signals that a person sends to end or to hold a program.
const ENDS_AND_HOLDS: [Signal; 6] =
    [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGTSTP, Signal::SIGCONT];

/// Blocks the signals of `policy`, and returns the former mask.
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
    fn a_program_that_lingers_is_not_killed_by_a_signal_that_asks_for_no_end() {
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
