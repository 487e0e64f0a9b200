//! Which signals reach the supervisor, and their present meaning.

use crate::signals::on_its_way::{OnItsWay, Resume};
use crate::signals::policy::{Policy, Request, Row, short_name};
use crate::sync::lock;
use nix::sys::signal::Signal;
use std::sync::{Arc, Mutex, MutexGuard};

/// The signals that a run receives, and their meaning.
///
/// The set is fixed for the run: each thread has its own mask, and no thread can change the mask of another one. The
/// *meaning* of a signal in the set may change; the signal thread looks it up each time.
#[derive(Clone, Debug)]
pub(crate) struct Subscription {
    signals: Vec<Signal>,
    policy: Arc<Mutex<Policy>>,
    on_its_way: Arc<OnItsWay>,
}

impl Subscription {
    pub(super) fn new(signals: Vec<Signal>, policy: Policy, on_its_way: Arc<OnItsWay>) -> Self {
        Self { signals, policy: Arc::new(Mutex::new(policy)), on_its_way }
    }

    /// The signals in the set: those of the policy that the process did not inherit as ignored.
    pub(crate) fn signals(&self) -> &[Signal] {
        &self.signals
    }

    /// Whether this signal reaches the supervisor.
    pub(crate) fn has(&self, signal: Signal) -> bool {
        self.signals.contains(&signal)
    }

    /// The present meaning of this signal.
    pub(super) fn request(&self, signal: Signal) -> Request {
        lock(&self.policy).request(signal)
    }

    /// Whether a SIGCONT reaches the supervisor as a resume. It may be ignored, or mean something else.
    pub(crate) fn has_resume(&self) -> bool {
        self.has(Signal::SIGCONT) && self.request(Signal::SIGCONT) == Request::Resume
    }

    /// Whether a SIGCONT is on its way. On [`Resume::None`] all signals that were read are in the channel.
    pub(crate) fn resume_on_its_way(&self) -> Resume {
        if self.has_resume() { self.on_its_way.resume() } else { Resume::None }
    }

    /// Whether an end of the run was asked for, even if it is on its way. `true` may mean: ask again soon.
    pub(crate) fn end_may_be_on_its_way(&self) -> bool {
        self.on_its_way.may_have_an_end(&self.signals)
    }

    /// The policy in force, row by row.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let policy = lock(&self.policy);
        let row = |signal| Row {
            signal: short_name(signal).to_string(),
            request: policy.request(signal),
            heard: self.has(signal),
        };
        policy.signals().map(row).collect()
    }

    /// Replaces the policy.
    ///
    /// A row for a signal that is not in the set has no effect: such a signal keeps the disposition
    /// that it had when the run began.
    pub(crate) fn adopt(&self, policy: Policy) {
        *lock(&self.policy) = policy;
    }

    delegate::delegate! {
        to self.on_its_way {
            /// The calling thread is the signal thread.
            pub(super) fn is_read_here(&self);
            pub(super) fn read(&self) -> MutexGuard<'_, ()>;
            pub(super) fn sends_an_end(&self);
        }
    }
}
