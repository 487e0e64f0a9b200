//! From the kernel to a request: the first chapter of the route.
//!
//! **The question.** The kernel delivers a signal for a process to *any one* of its threads that has not
//! blocked it, at any point of its code. In a program with forty threads the handler runs on an unknown stack, may
//! take no lock and allocate nothing, and interrupts a system call of a thread that has nothing to do with it.
//!
//! **The answer.** The program leaves the kernel no choice:
//!
//! 1. `main` blocks all handled signals before any other thread exists. A value proves it, [`Masked`], and the
//!    long-lived threads are started through it. Every other thread inherits the mask of the thread that starts it.
//! 2. One thread, the [`SignalThread`], unblocks them for itself alone. The kernel has exactly one place to deliver
//!    to.
//! 3. That thread translates and sends, and does nothing else. The supervisor decides, on another thread, in
//!    ordinary code, where every lock and every allocation is allowed.
//!
//! **Why a handler at all, and not `sigwait` or `signalfd`?** Both need the signal blocked in every thread of
//! the process. A single foreign thread that has it unblocked is enough, and the default action kills the process.
//! With a handler installed, such a thread only runs the handler, and the signal still arrives here. The price is
//! order: signal-hook keeps one flag for each signal and reads the flags in the order of their numbers, so a SIGCONT (18) can come out
//! before an earlier SIGTSTP (20). [`fold`] handles that.
//!
//! **Signals do not queue.** Of 100,000 SIGUSR1 sent as fast as possible about 8,000 arrived. So no code here counts
//! signals. [`Escalation`] looks like counting, but it only asks whether a signal came *again, later*.

use crate::error::Result;
use crate::signals::escalation::{Escalation, Rung};
use crate::signals::handlers::{Handlers, failed};
use crate::signals::policy::Request;
use crate::signals::{Masked, Subscription, die};
use crossbeam_channel as channel;
use nix::sys::signal::{SigSet, Signal};
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::iterator::{Handle, SignalsInfo};
use signal_hook::low_level::siginfo::Origin;
use std::fmt;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A signal that has arrived, and what it means.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) signal: Signal,
    pub(crate) request: Request,
    pub(crate) sender: Sender,
    /// When it arrived, counted from the beginning of the run. The signal thread notes it, so that a busy supervisor does
    /// not take two key presses for one.
    pub(crate) at: Duration,
}

/// The sender of a signal, as the kernel reports it.
///
/// ```
/// use bivouac::{Signal, Signals, signals::Sender};
///
/// let signals = Signals::of([Signal::SIGHUP])?;
/// nix::sys::signal::kill(nix::unistd::Pid::this(), Signal::SIGHUP)?;
/// let sender = signals.wait()?.sender;
/// assert!(matches!(sender, Sender::Process { .. }), "and not the kernel");
/// assert_eq!(sender.process().unwrap().0, std::process::id() as i32);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// The kernel itself, for a key of the terminal or for a limit that was reached.
    Kernel,
    /// A process, by `kill` or the like.
    Process {
        /// Its process id at that time, in our pid namespace; 0 if the process is outside that.
        pid: i32,
        /// Its real user id.
        uid: u32,
    },
}

impl Sender {
    /// The process id and the user id, if a process sent it.
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

/// The only thread that has the signals unblocked. Dropping it ends it and restores the dispositions.
pub(crate) struct SignalThread {
    close: Handle,
    pub(crate) subscription: Subscription,
    thread: Option<JoinHandle<()>>,
    // Its destructor restores the dispositions, after the thread has ended.
    _handlers: Handlers,
}

impl SignalThread {
    /// Installs the handlers and starts the thread. From then on every handled signal reaches `events`, also one that
    /// came after [`Masked::block`]: it is pending until the thread unblocks it.
    ///
    /// A signal that this process inherited as ignored (`nohup`, `sh -c 'x &'`) stays ignored.
    pub(crate) fn start(
        masked: &Masked,
        began: Instant,
        core: bool,
        events: channel::Sender<Received>,
    ) -> Result<Self> {
        let (handlers, signals) = Handlers::install(masked.policy())?;
        let close = signals.handle();
        let subscription = handlers.subscription(masked.policy().clone());
        let body = Body { subscription: subscription.clone(), began, core, events };
        let thread = masked.spawn("signals", move || body.receive(signals));
        let thread = thread.map_err(|e| failed("start the signal thread", &e))?;
        Ok(Self { close, subscription, thread: Some(thread), _handlers: handlers })
    }
}

impl Drop for SignalThread {
    fn drop(&mut self) {
        self.close.close();
        if let Some(thread) = self.thread.take() {
            // The thread waits only for the iterator, which is closed now. A panic cannot be repaired here.
            thread.join().ok();
        }
    }
}

struct Body {
    subscription: Subscription,
    began: Instant,
    core: bool,
    events: channel::Sender<Received>,
}

impl Body {
    /// It must neither use rayon nor start a thread, which would inherit its unblocked signals.
    fn receive(self, mut signals: SignalsInfo<WithOrigin>) {
        self.subscription.is_read_here();
        let unblocked: SigSet = self.subscription.signals().iter().copied().collect();
        if unblocked.thread_unblock().is_err() {
            return; // The channel closes, and the supervisor reports that the run receives no signals.
        }
        let mut escalation = Escalation::default();
        while !signals.is_closed() {
            let noted = signals.wait();
            let _reading = self.subscription.read();
            let batch: Vec<Received> = noted.filter_map(|origin| self.translate(&origin)).collect();
            for received in fold(batch) {
                last_rung(&mut escalation, &received, self.core);
                if received.request.is_end() {
                    self.subscription.sends_an_end();
                }
                if self.events.send(received).is_err() {
                    return;
                }
            }
        }
    }

    fn translate(&self, origin: &Origin) -> Option<Received> {
        let signal = Signal::try_from(origin.signal).ok()?;
        let request = self.subscription.request(signal);
        Some(Received { signal, request, sender: sender_of(origin), at: self.began.elapsed() })
    }
}

/// The one exception to "only sends": the third INT or TERM, and the second QUIT, end the process at once. They are for
/// a supervisor that is stuck, so the rule must not need the supervisor.
fn last_rung(escalation: &mut Escalation, received: &Received, core: bool) {
    let last = if received.request == Request::Die {
        escalation.climb_to_die(received.at)
    } else {
        received.request.is_end() && escalation.climb(received.signal, received.at) == Rung::Third
    };
    if last {
        die(received.signal, core);
    }
}

/// Resolves the contradictions in a batch of signals that were pending at the same time.
///
/// The order inside a batch is signal-hook's, not the sender's. If a batch both suspends and resumes, the resume wins:
/// a job that goes on by mistake can be suspended again, but one that stands still by mistake does so until a person
/// notices.
pub(crate) fn fold(mut batch: Vec<Received>) -> Vec<Received> {
    if batch.iter().any(|received| received.request == Request::Resume) {
        batch.retain(|received| !matches!(received.request, Request::Suspend | Request::Pause));
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
    use crate::signals::policy::Policy;

    fn received(signal: Signal) -> Received {
        let request = Policy::default().request(signal);
        Received { signal, request, sender: Sender::Kernel, at: Duration::ZERO }
    }

    #[test]
    fn a_batch_with_both_suspend_and_resume_means_resume() {
        for order in [[Signal::SIGCONT, Signal::SIGTSTP], [Signal::SIGTSTP, Signal::SIGCONT]] {
            let requests: Vec<Request> =
                fold(order.map(received).to_vec()).iter().map(|h| h.request).collect();
            assert_eq!(requests, [Request::Resume]);
        }
    }

    #[test]
    fn a_resume_never_swallows_a_stop() {
        // What Slurm sends at a time limit.
        let requests: Vec<Request> = fold([Signal::SIGCONT, Signal::SIGTERM].map(received).to_vec())
            .iter()
            .map(|h| h.request)
            .collect();
        assert_eq!(requests, [Request::Resume, Request::Stop]);
    }
}
