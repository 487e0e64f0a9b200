//! Default actions: how this process suspends itself, how it dies of a signal, and three signals whose disposition
//! a run changes for its own sake.

use crate::sys::Disposition;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, raise};
use std::io;

/// Whether this process ignores `signal` at present; a run leaves such a signal alone.
///
/// ```
/// // `nohup` starts a program with this signal ignored, and it should stay so.
/// assert!(!bivouac::signals::is_ignored(bivouac::Signal::SIGHUP));
/// ```
pub fn is_ignored(signal: Signal) -> bool {
    Disposition::of(signal).is_ok_and(|disposition| disposition.is_ignored())
}

/// Stops this process as Ctrl-Z does, and returns when the process is continued. If `is_over` returns true, the
/// process has been continued already, and this returns at once.
///
/// It uses the *default action of SIGTSTP*, not SIGSTOP, for two reasons. The shell must see SIGTSTP (bash prints
/// "Stopped" then, and "Stopped (signal)" otherwise). And in an orphaned process group no shell could continue
/// us: there the kernel discards a SIGTSTP, and the process goes on, while a SIGSTOP would last for ever. The
/// kernel freezes every thread where it is; no worker has to be ready.
///
/// # Race condition
///
/// A SIGCONT that arrives just before the stop has nothing to continue, and no other SIGCONT follows: the process
/// would stand still for ever. The kernel helps as soon as our SIGTSTP is pending, since a SIGCONT then discards
/// it. So this function first makes a SIGTSTP pending while it is blocked, and unblocks it only if no earlier
/// SIGCONT is found. Sending a SIGTSTP also makes the kernel discard a pending SIGCONT, so this thread has SIGCONT
/// unblocked meanwhile and takes it itself. The race that is left is an instant within a system call.
pub(crate) fn suspend(is_over: impl FnOnce() -> bool) -> io::Result<()> {
    let found = Disposition::of(Signal::SIGTSTP)?;
    Disposition::default_action().set(Signal::SIGTSTP)?;
    let result = stop_unless(is_over);
    found.set(Signal::SIGTSTP)?;
    result
}

fn stop_unless(is_over: impl FnOnce() -> bool) -> io::Result<()> {
    let [stop, go_on] = [Signal::SIGTSTP, Signal::SIGCONT].map(|signal| SigSet::from_iter([signal]));
    let mask = stop.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
    go_on.thread_unblock()?;
    raise(Signal::SIGTSTP)?;
    if is_over() {
        // A SIGCONT came first: ignore SIGTSTP for a moment, so that the kernel discards ours.
        Disposition::ignored().set(Signal::SIGTSTP)?;
    }
    stop.thread_unblock()?;
    Ok(mask.thread_set_mask()?)
}

/// Ends this process by `signal`, so that the parent's wait status says so.
///
/// The recipe has three steps: default action, unblock, raise. If the unblock is forgotten, `raise` returns as if
/// nothing had happened, and the program goes on to report success. `raise` also returns in process 1 of a
/// container, for which the kernel skips default actions. So this function exits with 128 + the signal's number
/// if `raise` returns. It does the same for SIGTSTP and others that do not end a process by default.
///
/// The kernel writes no core file: SIGQUIT is a way out here, and the core would be large.
///
/// ```
/// use bivouac::{Signal, Signals, signals::die_by};
///
/// if std::env::args().nth(1).as_deref() == Some("serve") { // this example has no server
///     let signals = Signals::of([Signal::SIGTERM]).expect("handlers");
///     let caught = signals.wait().expect("a signal").signal;
///     die_by(caught) // what the sender of the signal looks for
/// }
/// ```
pub fn die_by(signal: Signal) -> ! {
    die(signal, false)
}

/// As [`die_by`]. If `core` is true, the kernel may write a core file.
pub(crate) fn die(signal: Signal, core: bool) -> ! {
    if !core {
        nix::sys::prctl::set_dumpable(false).ok();
    }
    use Signal::{SIGCHLD, SIGCONT, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH};
    let lives_on = [SIGTSTP, SIGTTIN, SIGTTOU, SIGSTOP, SIGCONT, SIGWINCH, SIGURG, SIGCHLD];
    if !lives_on.contains(&signal) {
        take_default_action(signal).ok();
    }
    signal_hook::low_level::exit(128 + signal as i32)
}

fn take_default_action(signal: Signal) -> io::Result<()> {
    Disposition::default_action().set(signal)?;
    let mask = SigSet::from_iter([signal]).thread_swap_mask(SigmaskHow::SIG_UNBLOCK)?;
    raise(signal)?;
    Ok(mask.thread_set_mask()?)
}

/// Gives SIGCHLD its default action if it is ignored, and returns the former disposition, to be put back.
///
/// Some window managers and daemons ignore SIGCHLD, and the programs that they start inherit that. Then the kernel
/// reaps every child at once, and its exit status is lost. `xargs` resets SIGCHLD too.
pub(super) fn notice_children() -> io::Result<Option<(Signal, Disposition)>> {
    let found = Disposition::of(Signal::SIGCHLD)?;
    if !found.is_ignored() {
        return Ok(None);
    }
    Disposition::default_action().set(Signal::SIGCHLD)?;
    Ok(Some((Signal::SIGCHLD, found)))
}

/// Gives SIGCHLD its default action until the process ends, for a program that starts a command after its last run.
#[doc(hidden)]
pub fn keep_exit_statuses() -> io::Result<()> {
    notice_children().map(drop)
}

/// Ignores the signals that the kernel sends when a write fails, and returns their former dispositions, to be put back.
/// By default they end the process. A run learns of the failure from the write instead: it can say which file is full,
/// and end with a checkpoint.
pub(super) fn ignore_failed_writes() -> io::Result<Vec<(Signal, Disposition)>> {
    let ignore = |signal| {
        let found = Disposition::of(signal)?;
        Disposition::ignored().set(signal).map(|()| (signal, found))
    };
    [Signal::SIGPIPE, Signal::SIGXFSZ].into_iter().map(ignore).collect()
}
