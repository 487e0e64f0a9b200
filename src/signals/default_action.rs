//! What signals do to this process when nobody hears them: stop it, end it, nothing.
//!
//! Three places need that. A suspension uses the default action of SIGTSTP, a death that of the signal
//! one dies of, and two signals do nothing at all while a run is on.

use crate::sys::Disposition;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, raise};
use std::io;

/// Whether this process ignores `signal` at present; a run leaves such a signal alone.
pub fn is_ignored(signal: Signal) -> bool {
    Disposition::of(signal).is_ok_and(|disposition| disposition.is_ignored())
}

/// Stops this process for real, as Ctrl-Z does, and returns when it goes on; or at once, if `is_over` says
/// that it was continued already.
///
/// By the *default action of SIGTSTP*, not by SIGSTOP: the shell must see SIGTSTP (bash says
/// "Stopped", and not "Stopped (signal)"), and in an orphaned process group, where nobody could
/// continue us, the kernel refuses SIGTSTP and lets us go on, while a SIGSTOP would be for ever. The
/// kernel freezes every thread where it is; no worker has to be ready.
///
/// # Race condition
///
/// A SIGCONT that arrives just before the stop has nothing to continue, and nobody sends another one: the
/// process would stand still for ever. The kernel helps as soon as our SIGTSTP is pending, for then a
/// SIGCONT takes it back. So it is made pending first, while it is blocked, and let through only when
/// nothing is found of an earlier SIGCONT. Sending a SIGTSTP also makes the kernel forget a SIGCONT that
/// nobody has taken; therefore this thread takes them itself meanwhile. What is left is an instant within a
/// system call.
pub(crate) fn suspend(is_over: impl FnOnce() -> bool) -> io::Result<()> {
    let found = Disposition::of(Signal::SIGTSTP)?;
    Disposition::default_action().set(Signal::SIGTSTP)?;
    let result = stop_unless(is_over);
    found.set(Signal::SIGTSTP)?;
    result
}

fn stop_unless(is_over: impl FnOnce() -> bool) -> io::Result<()> {
    let [stop, go_on] = [Signal::SIGTSTP, Signal::SIGCONT].map(|signal| {
        let mut only_this = SigSet::empty();
        only_this.add(signal);
        only_this
    });
    let mask = stop.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
    go_on.thread_unblock()?;
    raise(Signal::SIGTSTP)?;
    if is_over() {
        // Which makes the kernel forget it.
        Disposition::ignored().set(Signal::SIGTSTP)?;
    }
    stop.thread_unblock()?;
    mask.thread_set_mask()?;
    Ok(())
}

/// Ends this process by `signal`, so that the parent's wait status says so.
///
/// The recipe: default action, unblock, raise. Forget the unblock, or be process 1 of a container
/// (for which the kernel skips default actions), and `raise` returns as if nothing had happened,
/// and the program goes on to report success. Hence the line behind it.
///
/// No core file is made: SIGQUIT is used here as a way out, and a core of a process that works on a
/// large file is large.
///
/// A signal whose default action is not to end the process (somebody has mapped SIGTSTP to an end)
/// cannot be died of; then only the code says it.
pub fn die_by(signal: Signal) -> ! {
    die(signal, false)
}

/// As [`die_by`], with a core file if `core` says so and the system makes one.
pub(crate) fn die(signal: Signal, core: bool) -> ! {
    if !core {
        nix::sys::prctl::set_dumpable(false).ok();
    }
    let lives_on = [Signal::SIGTSTP, Signal::SIGCONT, Signal::SIGWINCH, Signal::SIGURG];
    if !lives_on.contains(&signal) {
        take_default_action(signal).ok();
    }
    signal_hook::low_level::exit(128 + signal as i32)
}

fn take_default_action(signal: Signal) -> io::Result<()> {
    Disposition::default_action().set(signal)?;
    let mut only_this = SigSet::empty();
    only_this.add(signal);
    let mask = only_this.thread_swap_mask(SigmaskHow::SIG_UNBLOCK)?;
    raise(signal)?;
    mask.thread_set_mask()?;
    Ok(())
}

/// What a failed write would otherwise be answered with. A run learns of the failure from the write
/// itself, says what is full or closed, and ends with its last checkpoint; dying of these signals, it
/// could not.
const FAILED_WRITES: [Signal; 2] = [Signal::SIGPIPE, Signal::SIGXFSZ];

/// Some programs (window managers, daemons) ignore SIGCHLD, and what they start ignores it too. Then the kernel
/// reaps every child at once, and how it ended cannot be told. So it gets its default action, as in `xargs`;
/// what it did before, to be put back.
pub(super) fn hear_of_children() -> io::Result<Option<(Signal, Disposition)>> {
    let found = Disposition::of(Signal::SIGCHLD)?;
    if !found.is_ignored() {
        return Ok(None);
    }
    Disposition::default_action().set(Signal::SIGCHLD)?;
    Ok(Some((Signal::SIGCHLD, found)))
}

/// Ignores them; what they did before, to be put back.
pub(super) fn ignore_failed_writes() -> io::Result<Vec<(Signal, Disposition)>> {
    FAILED_WRITES
        .into_iter()
        .map(|signal| {
            let found = Disposition::of(signal)?;
            Disposition::ignored().set(signal)?;
            Ok((signal, found))
        })
        .collect()
}
