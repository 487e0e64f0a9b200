//! The signal handlers that a run installs in the process, and removes at its end.

use crate::error::{Error, Result};
use crate::signals::Subscription;
use crate::signals::default_action::{ignore_failed_writes, notice_children};
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

/// The installed handlers. Dropping them restores the former dispositions.
pub(super) struct Handlers {
    /// The signals that the process did not inherit as ignored.
    signals: Vec<Signal>,
    on_its_way: Arc<OnItsWay>,
    /// The actions of the handlers for [`OnItsWay`].
    notes: Vec<SigId>,
    found: Vec<(Signal, Disposition)>,
}

/// The handlers that signal-hook has installed, by signal number.
///
/// signal-hook calls `sigaction` only once for each signal in the life of the process. If a run only restored the
/// former disposition at its end, a second run would register, receive nothing, and die of the first SIGTERM. So
/// this keeps the installed handler, and the second run installs it again.
static INSTALLED: Mutex<BTreeMap<i32, Disposition>> = Mutex::new(BTreeMap::new());

impl Handlers {
    /// Installs a handler for each signal of the policy that is not ignored.
    pub(super) fn install(policy: &Policy) -> Result<(Self, SignalsInfo<WithOrigin>)> {
        let at = |step| move |e| failed(step, &e);
        let mut found = Vec::new();
        for signal in policy.signals() {
            let disposition = Disposition::of(signal).map_err(at("ask for a disposition"))?;
            if !disposition.is_ignored() {
                found.push((signal, disposition));
            }
        }
        let signals: Vec<Signal> = found.iter().map(|(signal, _)| *signal).collect();
        let on_its_way = Arc::new(OnItsWay::default());
        // Before the iterator: then every signal that the iterator returns has been noted.
        let notes = on_its_way.note(&signals).map_err(at("install a handler"))?;
        let numbers = signals.iter().map(|signal| *signal as i32);
        let iterator = SignalsInfo::<WithOrigin>::new(numbers).map_err(at("install a handler"))?;
        reinstall(&signals).map_err(at("install a handler"))?;
        if !signals.is_empty() {
            found.extend(ignore_failed_writes().map_err(at("ignore a signal"))?);
        }
        if policy.signals().next().is_some() {
            found.extend(notice_children().map_err(at("wait for children"))?);
        }
        Ok((Self { signals, on_its_way, notes, found }, iterator))
    }

    pub(super) fn subscription(&self, policy: Policy) -> Subscription {
        Subscription::new(self.signals.clone(), policy, Arc::clone(&self.on_its_way))
    }
}

pub(super) fn failed(step: &str, cause: &io::Error) -> Error {
    Error::broken("signals", format_args!("cannot {step}: {cause}"))
}

/// Installs signal-hook's handler again, in every run but the first.
fn reinstall(signals: &[Signal]) -> io::Result<()> {
    let mut installed = lock(&INSTALLED);
    for signal in signals {
        match installed.get(&(*signal as i32)) {
            Some(handler) => handler.set(*signal)?,
            None => drop(installed.insert(*signal as i32, Disposition::of(*signal)?)),
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
