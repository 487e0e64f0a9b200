//! From the kernel to a request. First chapter of the route.
//!
//! **The question.** The kernel delivers a signal for a process to *any one* of its threads that has not
//! blocked it, in the middle of whatever that thread does. In a program with forty threads this means a handler
//! that runs on an unknown stack, may take no lock and allocate nothing, and interrupts a system call of a
//! thread that never asked for it.
//!
//! **The answer.** Leave the kernel no choice:
//!
//! 1. `main` blocks all handled signals before any other thread exists. A value proves it, [`Masked`], and
//!    threads are started only through it. Each thread inherits the mask.
//! 2. One thread, the [`SignalThread`], unblocks them, for itself alone. The kernel has exactly one place to
//!    deliver to.
//! 3. That thread translates and sends, and does nothing else. All decisions are made on another thread, in
//!    ordinary code, where every lock and every allocation is allowed.
//!
//! **Why a handler at all, and not `sigwait` or `signalfd`?** Both need the signal blocked in every thread of
//! the process. One foreign thread that has it open is enough, and the default action kills the process. With a
//! handler installed, such a thread only runs the handler, and the signal arrives here all the same. The
//! price is order: signal-hook keeps one flag for each signal and reads them upwards, so a SIGCONT (18) can come
//! out before an earlier SIGTSTP (20). [`fold`] is for that.
//!
//! **Signals do not queue.** Of 100,000 SIGUSR1 sent as fast as possible about 8,000 arrived. So no code here
//! counts signals. [`Escalation`] looks like counting, and asks only whether a signal came *again, later*.

use crate::error::{Error, Result};
use crate::signals::escalation::{Escalation, Rung};
use crate::signals::handlers::Handlers;
use crate::signals::policy::Request;
use crate::signals::{Masked, Subscription, die};
use crossbeam_channel as channel;
use nix::sys::signal::{SigSet, Signal};
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::iterator::{Handle, SignalsInfo};
use signal_hook::low_level::siginfo::Origin;
use std::fmt;
use std::io;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A signal that has arrived, and what it means.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) signal: Signal,
    pub(crate) request: Request,
    pub(crate) sender: Sender,
    /// Time since the run began. It is taken on arrival, so that a busy supervisor does not turn two key
    /// presses into one.
    pub(crate) at: Duration,
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

/// The one thread that has the handled signals unblocked. Dropping it ends the thread and restores the
/// dispositions.
pub(crate) struct SignalThread {
    close: Handle,
    subscription: Subscription,
    thread: Option<JoinHandle<()>>,
    // Restored by its own destructor, after the thread has ended.
    _handlers: Handlers,
}

impl SignalThread {
    /// Installs the handlers and starts the thread. After its return every handled signal ends in `events`;
    /// a signal that came since [`Masked::block`] was pending, and is delivered first.
    ///
    /// A signal that this process inherited as ignored (`nohup`, `sh -c 'x &'`) stays ignored.
    pub(crate) fn start(
        masked: &Masked,
        began: Instant,
        core: bool,
        events: channel::Sender<Received>,
    ) -> Result<Self> {
        let failed = |step: &str, e: io::Error| Error::broken("signals", format_args!("cannot {step}: {e}"));
        let (handlers, signals) = Handlers::install(masked.policy()).map_err(|(step, e)| failed(step, e))?;
        let close = signals.handle();
        let subscription = handlers.subscription(masked.policy().clone());
        let body = Body { subscription: subscription.clone(), began, core, events };
        let thread = masked
            .spawn("signals", move || body.receive(signals))
            .map_err(|e| failed("start the signal thread", e))?;
        Ok(Self { close, subscription, thread: Some(thread), _handlers: handlers })
    }

    /// Which signals this thread receives, and what they mean at present.
    pub(crate) fn subscription(&self) -> Subscription {
        self.subscription.clone()
    }
}

impl Drop for SignalThread {
    fn drop(&mut self) {
        self.close.close();
        if let Some(thread) = self.thread.take() {
            // The thread waits for nothing but the handle that was just closed. A panic in it leaves nothing
            // that a destructor could mend.
            thread.join().ok();
        }
    }
}

/// What the thread owns.
struct Body {
    subscription: Subscription,
    began: Instant,
    core: bool,
    events: channel::Sender<Received>,
}

impl Body {
    /// The body of the thread. It must neither touch rayon nor start a thread: that one would inherit its
    /// open mask.
    fn receive(self, mut signals: SignalsInfo<WithOrigin>) {
        self.subscription.is_read_here();
        let open: SigSet = self.subscription.signals().iter().copied().collect();
        if open.thread_unblock().is_err() {
            return; // The channel closes, and the supervisor reports that the run is deaf.
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

/// The one exception to "only sends": the third INT or TERM, and the second QUIT, end the process here and now.
/// They are for the case that the supervisor is stuck, and a rule that needs the supervisor cannot help then.
fn last_rung(escalation: &mut Escalation, received: &Received, core: bool) {
    let last = match received.request {
        Request::Stop | Request::Abort => escalation.climb(received.signal, received.at) == Rung::Third,
        Request::Die => escalation.climb_to_die(received.at),
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
        die(received.signal, core);
    }
}

/// Makes one story of the signals that were pending at the same time.
///
/// The order inside a batch is signal-hook's, and not the sender's. Where a batch both suspends and resumes, the
/// resume wins: a job that goes on by mistake can be suspended again, and a job that stands still by mistake
/// stands until a person notices.
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
