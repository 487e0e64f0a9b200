//! Who hears a signal before there is a supervisor.
//!
//! Mostly nobody has to: what comes while a run is prepared stays in the channel for a few milliseconds,
//! and the supervisor takes it from there. But to see whether the result of a *finished* job still belongs
//! to its inputs, a stream has to be read to its end (and so have files whose contents are compared), and
//! whoever sends it may take his time. A person who presses Ctrl-C then must not be left with SIGKILL.
//! Nothing has begun, so there is nothing to keep: the first request for an end ends it.

use crate::decide::Asker;
use crate::ending::StoppedBy;
use crate::error::{Error, Result};
use crate::job::Listing;
use crate::policy::Request;
use crate::signals::{Heard, Hearing, Masked, die};
use crate::wake::Wake;
use crossbeam_channel::{Receiver, Sender, bounded, select};
use std::sync::Arc;

/// See the [module](self).
pub(crate) struct Foyer<'a> {
    pub(crate) masked: &'a Masked,
    /// Where signals come, and where they are put back for the supervisor.
    pub(crate) signals: Receiver<Heard>,
    pub(crate) back: Sender<Heard>,
    pub(crate) hearing: Hearing,
    /// Whether a death by signal may leave a core file.
    pub(crate) core: bool,
}

impl Foyer<'_> {
    /// What `work` has found, or who ended it.
    ///
    /// # Errors
    ///
    /// There is no descriptor or thread left.
    pub(crate) fn during<R>(
        &self,
        work: impl FnOnce(&Listing<'_>) -> R,
    ) -> Result<std::result::Result<R, StoppedBy>> {
        let wake = Arc::new(Wake::new()?.hearing(self.hearing.clone()));
        let (done, is_done) = bounded::<()>(0);
        let (tell, told) = bounded(1);
        let (signals, core, waking) = (self.signals.clone(), self.core, Arc::clone(&wake));
        self.masked
            .spawn("foyer", move || {
                let mut heard = Vec::new();
                loop {
                    select! {
                        recv(signals) -> signal => match signal {
                            Ok(signal) => {
                                end_for(&signal, core, &waking);
                                heard.push(signal);
                            }
                            Err(_) => break,
                        },
                        recv(is_done) -> _ => break,
                    }
                }
                // What came while the work came to its end.
                heard.extend(signals.try_iter());
                tell.send(heard).ok();
            })
            .map_err(|e| Error::broken("threads", format_args!("cannot start one: {e}")))?;
        let found = work(&Listing::rehearsal(&wake));
        drop(done);
        let heard = told.recv().unwrap_or_default();
        if let Some(end) = heard.iter().find(|heard| heard.request.is_end()) {
            return Ok(Err(Asker::Signal(end.signal).stopped_by()));
        }
        heard.into_iter().for_each(|heard| {
            self.back.send(heard).ok();
        });
        Ok(Ok(found))
    }
}

fn end_for(heard: &Heard, core: bool, wake: &Wake) {
    if heard.request == Request::Die {
        die(heard.signal, core);
    }
    if heard.request.is_end() {
        wake.wake();
    }
}
