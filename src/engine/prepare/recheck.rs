//! Handles signals while inputs and output are compared with the record, before there is a supervisor.
//!
//! Most signals that come before the run can wait some milliseconds in the channel for the supervisor. A comparison
//! may take longer: a stream must be read up to where the last run stopped, its sender may be slow, and Ctrl-C must
//! work. So the comparison runs on a thread of its own, and this one waits for it and for signals.
//!
//! Nothing has begun, so nothing must be saved: the first request for an end ends the comparison, and so does the end
//! of the time budget. A suspension happens at once, because no command runs. The supervisor handles the rest.

use crate::ending::StoppedBy;
use crate::engine::decide::Asker;
use crate::error::{Error, Result, no_thread};
use crate::signals::policy::Request;
use crate::signals::{Masked, Received, Resume, Subscription, die, suspend};
use crate::task::stop_fd::StopFd;
use crossbeam_channel::{Receiver, Sender, at, bounded, never, select};
use std::thread;
use std::time::Instant;

/// Runs work that signals and the time budget can end, before there is a supervisor.
pub(crate) struct Interruptible<'a> {
    pub(crate) masked: &'a Masked,
    /// Signals arrive at the first, and go back by the second for the supervisor.
    pub(crate) signals: Receiver<Received>,
    pub(crate) back: Sender<Received>,
    /// Whether a death by signal may leave a core file.
    pub(crate) core: bool,
    pub(crate) subscription: Subscription,
    /// When the time budget of the run is used up.
    pub(crate) until: Option<Instant>,
}

#[derive(Default)]
struct Came {
    signals: Vec<Received>,
    budget_is_used: bool,
}

impl Interruptible<'_> {
    /// The result of `work`, or the reason that ended it. `work` must end soon after its argument is set.
    pub(crate) fn run<R: Send>(
        &self,
        work: impl FnOnce(&StopFd) -> R + Send,
    ) -> Result<std::result::Result<R, StoppedBy>> {
        let stop = &StopFd::new()?.subscription(self.subscription.clone());
        let (tell, done) = bounded(1);
        let (found, came) = thread::scope(|scope| {
            let work = move || drop(tell.send(work(stop)));
            self.masked.spawn_scoped(scope, "recheck", work).map_err(no_thread)?;
            Ok(self.hear_until(&done, stop))
        })?;
        if let Some(end) = came.signals.iter().find(|heard| heard.request.is_end()) {
            return Ok(Err(Asker::Signal(end.signal).stopped_by()));
        }
        if came.budget_is_used {
            return Ok(Err(StoppedBy::Budget));
        }
        came.signals.into_iter().for_each(|heard| drop(self.back.send(heard)));
        found.map(Ok).ok_or_else(|| Error::broken("job", "panicked while its inputs were compared"))
    }

    fn hear_until<R>(&self, done: &Receiver<R>, stop: &StopFd) -> (Option<R>, Came) {
        let mut came = Came::default();
        let mut budget = self.until.map_or_else(never, at);
        loop {
            select! {
                recv(done) -> found => {
                    came.signals.extend(self.signals.try_iter());
                    return (found.ok(), came);
                }
                recv(self.signals) -> heard => for heard in heard.into_iter().flat_map(|heard| self.take(heard)) {
                    self.end_for(&heard, stop);
                    came.signals.push(heard);
                },
                recv(budget) -> _ => {
                    (came.budget_is_used, budget) = (true, never());
                    stop.set();
                }
            }
        }
    }

    /// This signal; or if it asks for a suspension, the signals that came during that.
    fn take(&self, heard: Received) -> Vec<Received> {
        if heard.request == Request::Suspend { self.suspend_unless_resumed() } else { vec![heard] }
    }

    fn end_for(&self, heard: &Received, stop: &StopFd) {
        if heard.request == Request::Die {
            die(heard.signal, self.core);
        }
        if heard.request.is_end() {
            stop.set();
        }
    }

    /// Suspends the process as the shell expects it. Returns the signals that came meanwhile.
    fn suspend_unless_resumed(&self) -> Vec<Received> {
        let mut came = Vec::new();
        // If the kernel refuses the suspension, the comparison goes on.
        suspend(|| {
            let on_its_way = self.subscription.resume_on_its_way() == Resume::Came;
            came.extend(self.signals.try_iter());
            on_its_way || came.iter().any(|heard| heard.request == Request::Resume)
        })
        .ok();
        came
    }
}
