//! Settings that can change during a run: SIGHUP, as servers understand it.
//!
//! The obvious place to read a configuration again is the code that gets the SIGHUP. But the file may be on a slow disk or
//! on a server that is down, and a SIGTERM that comes meanwhile must be answered. So a thread of its own reads the file when
//! asked ([`Reload`]), and the result comes back as an event. Requests that come meanwhile count as one.

use crate::signals::Masked;
use crate::signals::policy::Policy;
use crossbeam_channel::{Receiver, Sender, bounded, select};
use std::io;
use std::time::Duration;

/// Settings that can change during a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many tasks run at the same time: at least 1. Tasks in flight beyond a lower number run to their end. With fewer
    /// than the pool has threads, rayon *inside* a task may still use all of them; with more, a larger pool takes its place.
    pub jobs: usize,
    /// Bytes of input per second, all workers together.
    pub limit_rate: Option<u64>,
    /// The least time between two starts ([`Starts::every`](crate::Starts::every)).
    pub starts_every: Duration,
    /// How often a checkpoint is taken.
    pub checkpoint_every: Duration,
    /// How long tasks in flight may go on after the next stop; `None`: until they end.
    pub grace: Option<Duration>,
    /// How long the run waits for cancelled tasks.
    pub kill_after: Duration,
    /// The meaning of signals. Signals without a row at the start cannot change: threads do not block them.
    pub policy: Policy,
}

/// The result of reading settings again.
#[derive(Clone, Debug, Default)]
pub struct Reloaded {
    /// The new settings; `None`: the present ones stay.
    pub settings: Option<Settings>,
    /// Sentences about changes, settings that cannot change, and errors in the file.
    pub said: Vec<String>,
    /// Another process asked for this, by a request of this name, and looks for the answer in the status of the run.
    pub asked: Option<String>,
}

/// Reads settings again. It is called on a thread of its own, one call at a time, so it may wait.
pub trait Reload: Send + 'static {
    /// Returns the settings of today. It also reopens a log file that was moved away.
    fn reload(&mut self) -> Reloaded;

    /// Looks whether another process asks for other settings, and returns them. Called at [`Request::Redraw`], which comes
    /// whenever a terminal changes its size, so mostly there is nothing: `None`.
    ///
    /// [`Request::Redraw`]: crate::Request::Redraw
    fn asked(&mut self) -> Option<Reloaded> {
        None
    }
}

impl<F: FnMut() -> Reloaded + Send + 'static> Reload for F {
    fn reload(&mut self) -> Reloaded {
        self()
    }
}

/// The thread that reads, seen from the supervisor.
pub(crate) struct Reader {
    ask: Sender<()>,
    look: Sender<()>,
    pub(crate) answers: Receiver<Reloaded>,
}

impl Reader {
    /// Starts the thread. It ends after this value is dropped; no thread waits for it.
    pub(crate) fn start(masked: &Masked, mut reload: Box<dyn Reload>) -> io::Result<Self> {
        let (ask, asked) = bounded(1);
        let (look, to_look) = bounded(1);
        let (answer, answers) = bounded(1);
        masked.spawn("reload", move || {
            loop {
                // Both channels close together.
                let read = select! {
                    recv(asked) -> asked => asked.map(|()| Some(reload.reload())),
                    recv(to_look) -> asked => asked.map(|()| reload.asked()),
                };
                let Ok(read) = read else { return };
                if read.is_some_and(|reloaded| answer.send(reloaded).is_err()) {
                    return;
                }
            }
        })?;
        Ok(Self { ask, look, answers })
    }

    /// Asks it to read, unless an earlier request is still waiting.
    pub(crate) fn ask(&self) {
        self.ask.try_send(()).ok();
    }

    /// Asks it to look for a request of another process.
    pub(crate) fn look(&self) {
        self.look.try_send(()).ok();
    }
}
