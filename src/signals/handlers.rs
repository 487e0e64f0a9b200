//! Handlers: what a run installs in the process, and restores at its end.

use crate::signals::Subscription;
use crate::signals::default_action::{hear_of_children, ignore_failed_writes};
use crate::signals::on_its_way::OnItsWay;
use crate::signals::policy::Policy;
use crate::sync::lock;
use crate::sys::Disposition;
use nix::sys::signal::Signal;
use signal_hook::SigId;
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

/// Dropping it restores the dispositions that were found.
pub(super) struct Handlers {
    /// The signals that the process did not inherit as ignored.
    signals: Vec<Signal>,
    on_its_way: Arc<OnItsWay>,
    /// What the handlers do for [`OnItsWay`].
    notes: Vec<SigId>,
    found: Vec<(Signal, Disposition)>,
}

/// The handlers that signal-hook has installed, by signal number.
///
/// Its registry calls `sigaction` once for each signal in the life of the process. If a run only restored the
/// disposition that it found, a second run would register, receive nothing, and die at the first SIGTERM. So
/// the installed handler is kept here, and installed again.
static INSTALLED: Mutex<BTreeMap<i32, Disposition>> = Mutex::new(BTreeMap::new());

impl Handlers {
    /// Installs a handler for each signal of the policy that is not ignored. An error names the step.
    pub(super) fn install(
        policy: &Policy,
    ) -> Result<(Self, SignalsInfo<WithOrigin>), (&'static str, io::Error)> {
        let at = |step| move |e| (step, e);
        let mut found = Vec::new();
        for signal in policy.signals() {
            let disposition = Disposition::of(signal).map_err(at("ask for a disposition"))?;
            if !disposition.is_ignored() {
                found.push((signal, disposition));
            }
        }
        let signals: Vec<Signal> = found.iter().map(|(signal, _)| *signal).collect();
        let on_its_way = Arc::new(OnItsWay::default());
        // Before the iterator: a signal in its table has then been noted.
        let notes = on_its_way.note(&signals).map_err(at("install a handler"))?;
        let numbers = signals.iter().map(|signal| *signal as i32);
        let iterator = SignalsInfo::<WithOrigin>::new(numbers).map_err(at("install a handler"))?;
        reinstall(&signals).map_err(at("install a handler"))?;
        if !signals.is_empty() {
            found.extend(ignore_failed_writes().map_err(at("ignore a signal"))?);
        }
        if policy.signals().next().is_some() {
            found.extend(hear_of_children().map_err(at("wait for children"))?);
        }
        Ok((Self { signals, on_its_way, notes, found }, iterator))
    }

    pub(super) fn subscription(&self, policy: Policy) -> Subscription {
        Subscription::new(self.signals.clone(), policy, Arc::clone(&self.on_its_way))
    }
}

/// Makes sure that signal-hook's handler is installed, in a second run as in the first.
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

impl Drop for Handlers {
    fn drop(&mut self) {
        for note in self.notes.drain(..) {
            signal_hook::low_level::unregister(note);
        }
        for (signal, disposition) in &self.found {
            disposition.set(*signal).ok();
        }
    }
}
