//! A run is asked for the same things by a program as by signals: through a channel of its own, to the same
//! supervisor.

use crate::signals::policy::Request;
use crossbeam_channel::Sender;

/// A way to ask a run for something from another thread. Cheap to clone; it outlives the run, and
/// then has no run to ask.
#[derive(Clone, Debug)]
pub struct Handle {
    requests: Sender<Request>,
}

impl Handle {
    /// That of the run that takes these requests.
    pub(crate) fn of(requests: &Sender<Request>) -> Self {
        Self { requests: requests.clone() }
    }

    /// No task starts, those in flight finish within the grace, the run ends with a checkpoint.
    pub fn stop(&self) {
        self.ask(Request::Stop);
    }

    /// Tasks in flight are cancelled, the run ends with a checkpoint.
    pub fn abort(&self) {
        self.ask(Request::Abort);
    }

    /// Tasks are held at their next yield point.
    pub fn pause(&self) {
        self.ask(Request::Pause);
    }

    /// They go on.
    pub fn resume(&self) {
        self.ask(Request::Resume);
    }

    /// A checkpoint now; the run goes on. The [`Observer`](crate::Observer) learns when it is durable.
    pub fn checkpoint(&self) {
        self.ask(Request::Checkpoint);
    }

    /// The [`Observer`](crate::Observer) is told how far the run is.
    pub fn status(&self) {
        self.ask(Request::Status);
    }

    /// Settings are read again, if the run was given a [`Reload`](crate::engine::reload::Reload).
    pub fn reload(&self) {
        self.ask(Request::Reload);
    }

    fn ask(&self, request: Request) {
        // The run may be over: then what was asked for has happened, or cannot.
        self.requests.send(request).ok();
    }
}
