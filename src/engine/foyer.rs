//! Who hears a signal before there is a supervisor.
//!
//! Mostly nobody has to: what comes while a run is prepared stays in the channel for a few milliseconds,
//! and the supervisor takes it from there. But to see whether the inputs are still those of an earlier run, a
//! stream has to be read up to where that run was (and so have files whose contents are compared), and
//! whoever sends it may take his time. A person who presses Ctrl-C then must not be left with SIGKILL.
//! Nothing has begun, so there is nothing to keep: the first request for an end ends it, and so does the
//! end of the budget. A request to suspend is followed at once, since no command runs that would have to
//! be held first. Everything else waits for the supervisor.

use crate::ending::StoppedBy;
use crate::engine::decide::Asker;
use crate::error::{Error, Result};
use crate::signals::policy::Request;
use crate::signals::{Masked, Received, Resume, Subscription, die, suspend};
use crate::task::stop_fd::Wake;
use crossbeam_channel::{Receiver, Sender, at, bounded, never, select};
use std::sync::Arc;
use std::time::Instant;

/// See the [module](self).
pub(crate) struct Foyer<'a> {
    pub(crate) masked: &'a Masked,
    /// Where signals come, and where they are put back for the supervisor.
    pub(crate) signals: Receiver<Received>,
    pub(crate) back: Sender<Received>,
    /// Whether a death by signal may leave a core file.
    pub(crate) core: bool,
    pub(crate) subscription: Subscription,
    /// When the budget of the run is used up.
    pub(crate) until: Option<Instant>,
}

/// What came to the foyer.
#[derive(Debug, Default)]
struct Came {
    signals: Vec<Received>,
    budget_is_used: bool,
}

impl Foyer<'_> {
    /// What `work` has found, or who ended it. `work` is to end when it is woken.
    ///
    /// # Errors
    ///
    /// There is no descriptor or thread left.
    pub(crate) fn during<R>(
        &self,
        work: impl FnOnce(&Wake) -> R,
    ) -> Result<std::result::Result<R, StoppedBy>> {
        let wake = Arc::new(Wake::new()?.subscription(self.subscription.clone()));
        let (done, is_done) = bounded::<()>(0);
        let (tell, told) = bounded(1);
        let (signals, core, waking) = (self.signals.clone(), self.core, Arc::clone(&wake));
        let (subscription, mut budget) = (self.subscription.clone(), self.until.map_or_else(never, at));
        self.masked
            .spawn("foyer", move || {
                let mut came = Came::default();
                loop {
                    select! {
                        recv(signals) -> signal => match signal {
                            Ok(signal) if signal.request == Request::Suspend => {
                                for heard in suspend_unless_resumed(&signals, &subscription) {
                                    end_for(&heard, core, &waking);
                                    came.signals.push(heard);
                                }
                            }
                            Ok(signal) => {
                                end_for(&signal, core, &waking);
                                came.signals.push(signal);
                            }
                            Err(_) => break,
                        },
                        recv(budget) -> _ => {
                            came.budget_is_used = true;
                            budget = never();
                            waking.wake();
                        }
                        recv(is_done) -> _ => break,
                    }
                }
                // What came while the work came to its end.
                came.signals.extend(signals.try_iter());
                tell.send(came).ok();
            })
            .map_err(|e| Error::broken("threads", format_args!("cannot start one: {e}")))?;
        let found = work(&wake);
        drop(done);
        let came = told.recv().unwrap_or_default();
        if let Some(end) = came.signals.iter().find(|heard| heard.request.is_end()) {
            return Ok(Err(Asker::Signal(end.signal).stopped_by()));
        }
        if came.budget_is_used {
            return Ok(Err(StoppedBy::Budget));
        }
        came.signals.into_iter().for_each(|heard| {
            self.back.send(heard).ok();
        });
        Ok(Ok(found))
    }
}

/// Suspends the process as the shell expects it. What came in the meantime is returned.
fn suspend_unless_resumed(signals: &Receiver<Received>, subscription: &Subscription) -> Vec<Received> {
    let mut came = Vec::new();
    // Where the kernel refuses it, the comparison simply goes on.
    suspend(|| {
        let on_its_way = subscription.resume_on_its_way();
        came.extend(signals.try_iter());
        on_its_way == Resume::Came || came.iter().any(|heard| heard.request == Request::Resume)
    })
    .ok();
    came
}

fn end_for(heard: &Received, core: bool, wake: &Wake) {
    if heard.request == Request::Die {
        die(heard.signal, core);
    }
    if heard.request.is_end() {
        wake.wake();
    }
}
