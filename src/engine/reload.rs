//! What can change while a run is under way, and how: SIGHUP, as servers understand it.
//!
//! The obvious place to read a configuration again is the code that hears of SIGHUP. But that file
//! may lie on a disk that sleeps, or on a server that is down, and the supervisor waits for nothing
//! but events: a SIGTERM that comes meanwhile must be answered. So there is a thread that does
//! nothing but read it, when asked; what it found comes back as an event. Requests that come while
//! it reads are one request, as signals are.
//!
//! What the numbers mean is known here; where they come from (a file, its format, what a person
//! gave on the command line and what therefore stays) is known to the [`Reload`].

use crate::signals::Masked;
use crate::signals::policy::Policy;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::io;
use std::time::Duration;

/// What can change while a run is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many tasks run at the same time: at least 1, at most [`Run::max_jobs`](crate::Run::max_jobs).
    /// Tasks in flight beyond a lower number run to their end. With fewer than the pool has threads,
    /// rayon *inside* a task may still use all of them.
    pub jobs: usize,
    /// Bytes of input per second, all workers together.
    pub limit_rate: Option<u64>,
    /// How often a checkpoint is taken.
    pub checkpoint_every: Duration,
    /// How long tasks in flight may go on after a stop; `None`: until they end. For the next stop, not
    /// for one that has begun.
    pub grace: Option<Duration>,
    /// How long cancelled tasks are waited for.
    pub kill_after: Duration,
    /// What signals mean. Only for those that had a row when the run began: the others are not
    /// blocked in the threads that exist, and stay as they are.
    pub policy: Policy,
}

/// What came of reading again.
#[derive(Clone, Debug, Default)]
pub struct Reloaded {
    /// What is to be in force from now on; `None`: what is in force stays.
    pub settings: Option<Settings>,
    /// What a person should read about it: what changed, what cannot, what is wrong with the file.
    pub said: Vec<String>,
}

/// Reads settings again. Called on a thread of its own, so it may wait; once at a time.
pub trait Reload: Send + 'static {
    /// What the settings should be now. A log file that was moved away is reopened here too.
    fn reload(&mut self) -> Reloaded;
}

impl<F: FnMut() -> Reloaded + Send + 'static> Reload for F {
    fn reload(&mut self) -> Reloaded {
        self()
    }
}

/// The thread that reads, seen from the supervisor.
pub(crate) struct Reader {
    ask: Sender<()>,
    pub(crate) answers: Receiver<Reloaded>,
}

impl Reader {
    /// Starts it. It ends when this value is dropped, and is not waited for.
    pub(crate) fn start(masked: &Masked, mut reload: Box<dyn Reload>) -> io::Result<Self> {
        let (ask, asked) = bounded(1);
        let (answer, answers) = bounded(1);
        masked.spawn("reload", move || {
            for () in asked {
                if answer.send(reload.reload()).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { ask, answers })
    }

    /// Asks it to read. If it has been asked and has not begun, that is enough.
    pub(crate) fn ask(&self) {
        self.ask.try_send(()).ok();
    }
}
