//! From the kernel to an event. First chapter of the route.
//!
//! ```text
//! kernel ─► handler (signal-hook's: notes the signal, writes one byte to a socket)
//!              ─► signals thread (folds what is pending) ─► channel ─► supervisor
//! ```
//!
//! **The question this file answers.** A signal sent to a process is delivered to *any one* of its
//! threads that has not blocked it, in the middle of whatever that thread does. In a program with
//! forty threads that means: a handler that runs on an unknown stack, may take no lock and allocate
//! nothing, and interrupts a system call of a thread that never asked for it.
//!
//! **The answer.** Leave the kernel no choice:
//!
//! 1. `main` blocks all handled signals before any other thread exists. What proves it is a value,
//!    [`Masked`], and threads are started only through it. A thread inherits the mask of the
//!    thread that starts it, so all of them have these signals blocked.
//! 2. One thread, `Listener`, unblocks them, for itself alone. The kernel has exactly one place
//!    to deliver to.
//! 3. That thread does nothing but translate and send. All decisions are made on another thread, in
//!    ordinary code where every lock and every allocation is allowed.
//!
//! **Why a handler at all, and not `sigwait` or `signalfd`?** Both need the signal blocked in every
//! thread of the process; one foreign thread (of a library that somebody links) that has it open,
//! and the default action kills the process. With a handler installed, such a thread merely runs
//! the handler, and the event arrives all the same. The price is order: signal-hook keeps one flag
//! per signal and reads them upwards, so a SIGCONT (18) can come out before an earlier SIGTSTP (20).
//! That is what `fold` is for.
//!
//! **Signals do not queue.** Of 100,000 SIGUSR1 sent as fast as possible about 8,000 were seen. So
//! nothing here counts signals; the one thing that looks like counting, `Escalation`, asks whether
//! a signal came *again, later*.

mod default_action;
pub(crate) mod escalation;
mod on_its_way;
pub mod policy;
mod scoped;
pub(crate) mod standalone;

pub(crate) use default_action::{die, suspend};
pub use default_action::{die_by, is_ignored};

use crate::durable::status_file::Row;
use crate::error::{Error, Result};
use crate::signals::escalation::{Escalation, Rung};
use crate::signals::policy::{Policy, Request, short_name};
use crate::sync::lock;
use crate::sys::Disposition;
use on_its_way::OnItsWay;

use crossbeam_channel as channel;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use signal_hook::SigId;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::iterator::{Handle, SignalsInfo};
use signal_hook::low_level::siginfo::Origin;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

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

/// Who sent a signal, as far as the kernel tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// The kernel itself: a key of the terminal, a limit that is reached.
    Kernel,
    /// A process, by `kill` or the like.
    Process {
        /// Its process id at that time, in our pid namespace; 0 when it is outside.
        pid: i32,
        /// Its real user.
        uid: u32,
    },
}

impl Sender {
    /// The process id and the user, if it was a process.
    pub fn process(self) -> Option<(i32, u32)> {
        match self {
            Sender::Kernel => None,
            Sender::Process { pid, uid } => Some((pid, uid)),
        }
    }
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sender::Kernel => f.write_str("from the kernel"),
            Sender::Process { pid, uid } => write!(f, "from pid {pid}, uid {uid}"),
        }
    }
}

/// A signal that came in, and what it means.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) signal: Signal,
    pub(crate) request: Request,
    pub(crate) sender: Sender,
    /// Since the run began. Taken here, on arrival, so that a busy supervisor does not turn two
    /// key presses into one.
    pub(crate) at: Duration,
}

/// The signals thread and what it has changed in the process.
pub(crate) struct Listener {
    close: Handle,
    ears: Hearing,
    /// What the handlers do for [`OnItsWay`].
    notes: Vec<SigId>,
    thread: Option<JoinHandle<()>>,
    found: Vec<(Signal, Disposition)>,
}

/// Which signals are heard, and what they mean at present.
///
/// The set is fixed for the run: a mask belongs to a thread, and nobody can change that of another
/// one. What a signal in the set *means* may change; the signals thread looks it up each time.
#[derive(Clone, Debug)]
pub(crate) struct Hearing {
    heard: Vec<Signal>,
    policy: Arc<Mutex<Policy>>,
    on_its_way: Arc<OnItsWay>,
}

impl Hearing {
    /// Whether a SIGCONT reaches the supervisor as a resume: it may be ignored or mean something else.
    pub(crate) fn resume(&self) -> bool {
        self.hears(Signal::SIGCONT) && lock(&self.policy).request(Signal::SIGCONT) == Request::Resume
    }

    /// Whether a SIGCONT has come that is not in the channel yet. Afterwards what was being read is there.
    pub(crate) fn resume_is_on_its_way(&self) -> bool {
        self.on_its_way.has_a_resume() && self.resume()
    }

    /// Whether an end of the run was asked for by a signal, also one that the supervisor has not heard of
    /// yet; or may have been, and it is to be asked again in a moment.
    pub(crate) fn end_may_be_on_its_way(&self) -> bool {
        self.on_its_way.may_have_an_end(&self.heard)
    }

    /// Whether this signal reaches the supervisor: not if it was found ignored.
    pub(crate) fn hears(&self, signal: Signal) -> bool {
        self.heard.contains(&signal)
    }

    /// The policy in force, row by row.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let policy = lock(&self.policy);
        let row = |signal| Row {
            signal: short_name(signal).to_string(),
            request: policy.request(signal),
            heard: self.hears(signal),
        };
        policy.signals().map(row).collect()
    }

    /// Another policy from now on.
    ///
    /// Rows for signals that are not in the set have no effect: such a signal is open in every
    /// thread, and does what it did when the run began.
    pub(crate) fn adopt(&self, policy: Policy) {
        *lock(&self.policy) = policy;
    }
}

/// What signal-hook has installed, by signal number.
///
/// Its registry calls `sigaction` once per signal in the life of the process. If we restored what we
/// found at the end of a run and left it at that, a second run would register, hear nothing, and
/// die at the first SIGTERM. So what it installed is kept, and put back.
static INSTALLED: Mutex<BTreeMap<i32, Disposition>> = Mutex::new(BTreeMap::new());

impl Listener {
    /// Installs the handlers and starts the thread. From its return on, every handled signal ends
    /// in `events`; what came since [`Masked::block`] was pending and is delivered first.
    ///
    /// A signal that is ignored when we come (`nohup`, `sh -c 'x &'`) stays ignored: somebody meant
    /// it so.
    pub(crate) fn start(
        masked: &Masked,
        began: Instant,
        core: bool,
        events: channel::Sender<Heard>,
    ) -> Result<Self> {
        let failed = |step: &str, e: io::Error| Error::broken("signals", format_args!("cannot {step}: {e}"));
        let mut found = Vec::new();
        for signal in masked.policy.signals() {
            let disposition = Disposition::of(signal).map_err(|e| failed("ask for a disposition", e))?;
            if !disposition.is_ignored() {
                found.push((signal, disposition));
            }
        }
        let heard: Vec<Signal> = found.iter().map(|(signal, _)| *signal).collect();
        let on_its_way = Arc::new(OnItsWay::default());
        // Before the iterator: what is in its table has been noted.
        let notes = on_its_way.note(&heard).map_err(|e| failed("install a handler", e))?;
        let numbers = heard.iter().map(|signal| *signal as i32);
        let signals = SignalsInfo::<WithOrigin>::new(numbers).map_err(|e| failed("install a handler", e))?;
        reinstall(&heard).map_err(|e| failed("install a handler", e))?;
        if !heard.is_empty() {
            found.extend(default_action::ignore_failed_writes().map_err(|e| failed("ignore a signal", e))?);
        }
        if masked.policy.signals().next().is_some() {
            found.extend(default_action::hear_of_children().map_err(|e| failed("hear of children", e))?);
        }
        let close = signals.handle();
        let policy = Arc::new(Mutex::new(masked.policy.clone()));
        let hearing = Hearing { heard, policy, on_its_way };
        let ears = Ears { hearing: hearing.clone(), began, core, events };
        let thread = masked
            .spawn("signals", move || ears.listen(signals))
            .map_err(|e| failed("start the signals thread", e))?;
        Ok(Self { close, ears: hearing, notes, thread: Some(thread), found })
    }

    /// What is heard, and the policy by which it is understood.
    pub(crate) fn hearing(&self) -> Hearing {
        self.ears.clone()
    }
}

/// Makes sure that signal-hook's handler is in place, in a second run as in the first.
fn reinstall(signals: &[Signal]) -> io::Result<()> {
    let mut installed = lock(&INSTALLED);
    for signal in signals {
        match installed.get(&(*signal as i32)) {
            Some(handler) => handler.set(*signal)?,
            None => {
                installed.insert(*signal as i32, Disposition::of(*signal)?);
            }
        }
    }
    Ok(())
}

impl Drop for Listener {
    /// Gives everything back: the thread ends, every signal does again what it did before.
    fn drop(&mut self) {
        self.close.close();
        if let Some(thread) = self.thread.take() {
            // It waits for nothing but the handle that was just closed. It cannot have panicked
            // with anything that we could still mend.
            thread.join().ok();
        }
        for note in self.notes.drain(..) {
            signal_hook::low_level::unregister(note);
        }
        for (signal, disposition) in &self.found {
            disposition.set(*signal).ok();
        }
    }
}

/// What the signals thread owns.
struct Ears {
    hearing: Hearing,
    began: Instant,
    core: bool,
    events: channel::Sender<Heard>,
}

impl Ears {
    /// The body of the thread. It must not touch rayon nor start a thread: whatever it started
    /// would inherit its open mask.
    fn listen(self, mut signals: SignalsInfo<WithOrigin>) {
        self.hearing.on_its_way.is_read_here();
        let open: SigSet = self.hearing.heard.iter().copied().collect();
        if open.thread_unblock().is_err() {
            return; // Then nothing is ever heard; the third chapter reports a run without ears.
        }
        let mut escalation = Escalation::default();
        while !signals.is_closed() {
            let noted = signals.wait();
            let _reading = self.hearing.on_its_way.read();
            let batch: Vec<Heard> = noted.filter_map(|origin| self.translate(&origin)).collect();
            for heard in fold(batch) {
                last_rung(&mut escalation, &heard, self.core);
                if heard.request.is_end() {
                    self.hearing.on_its_way.sends_an_end();
                }
                if self.events.send(heard).is_err() {
                    return;
                }
            }
        }
    }

    fn translate(&self, origin: &Origin) -> Option<Heard> {
        let signal = Signal::try_from(origin.signal).ok()?;
        let request = lock(&self.hearing.policy).request(signal);
        Some(Heard { signal, request, sender: sender_of(origin), at: self.began.elapsed() })
    }
}

/// The one thing that this thread executes itself: the third INT or TERM, and the second QUIT, end
/// the process here and now. They are meant for the case that nobody reads the channel any more; a
/// rule that needs the supervisor cannot save us from a supervisor that is stuck.
fn last_rung(escalation: &mut Escalation, heard: &Heard, core: bool) {
    let last = match heard.request {
        Request::Stop | Request::Abort => escalation.climb(heard.signal, heard.at) == Rung::Third,
        Request::Die => escalation.climb_to_die(heard.at),
        Request::Pause
        | Request::Suspend
        | Request::Resume
        | Request::Checkpoint
        | Request::Status
        | Request::Reload
        | Request::Redraw
        | Request::Ignore => false,
    };
    if last {
        die(heard.signal, core);
    }
}

/// Makes one story of what was pending at the same time.
///
/// The order inside a batch is signal-hook's, not the sender's. Where a batch both suspends and
/// resumes, the resume wins: a job that goes on although somebody wanted it suspended can be
/// suspended again; one that stands still although it was resumed stands until somebody notices.
pub(crate) fn fold(mut batch: Vec<Heard>) -> Vec<Heard> {
    if batch.iter().any(|heard| heard.request == Request::Resume) {
        batch.retain(|heard| !matches!(heard.request, Request::Suspend | Request::Pause));
    }
    batch
}

fn sender_of(origin: &Origin) -> Sender {
    match &origin.process {
        Some(process) => Sender::Process { pid: process.pid, uid: process.uid },
        None => Sender::Kernel,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(signal: Signal) -> Heard {
        let request = Policy::default().request(signal);
        Heard { signal, request, sender: Sender::Kernel, at: Duration::ZERO }
    }

    #[test]
    fn a_batch_with_both_suspend_and_resume_means_resume() {
        for order in [[Signal::SIGCONT, Signal::SIGTSTP], [Signal::SIGTSTP, Signal::SIGCONT]] {
            let requests: Vec<Request> = fold(order.map(heard).to_vec()).iter().map(|h| h.request).collect();
            assert_eq!(requests, [Request::Resume]);
        }
    }

    #[test]
    fn a_resume_never_swallows_a_stop() {
        // What Slurm sends at a time limit.
        let requests: Vec<Request> =
            fold([Signal::SIGCONT, Signal::SIGTERM].map(heard).to_vec()).iter().map(|h| h.request).collect();
        assert_eq!(requests, [Request::Resume, Request::Stop]);
    }

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
