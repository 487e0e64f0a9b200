//! What a run tells its [`Observer`]: snapshots for a progress line, and sentences.
//!
//! The supervisor never prints. The observer may draw, log, or do nothing. So a library run is silent unless
//! asked, and a slow terminal is the observer's business.

use crate::ending::CheckpointFacts;
use crate::error::Error;
use crate::signals::Sender;
use crate::signals::policy::Request;
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Watches a run. Called on the supervisor's thread: return quickly, and never block.
///
/// ```
/// use bivouac::{Activity, Again, AtWork, Notice, Observer, Progress, Silent};
/// use std::sync::{Arc, Mutex};
///
/// #[derive(Clone, Default)]
/// struct Watch(Arc<Mutex<Vec<String>>>);
///
/// impl Observer for Watch {
///     fn progress(&mut self, now: &Progress) {
///         let (done, all) = now.share();
///         if now.phase == Activity::Running && all == Some(done) {
///             self.0.lock().unwrap().push(format!("{done} done"));
///         }
///         for AtWork { task, since, .. } in &now.at_work {
///             assert!(*task < 3, "at work for {since:?}");
///         }
///     }
///
///     fn notice(&mut self, notice: &Notice) {
///         if let Notice::Stopping { again: Again::Signal | Again::Key, .. } = notice {
///             self.0.lock().unwrap().push("the same again cancels what is at work".to_string());
///         } else {
///             self.0.lock().unwrap().push(bivouac::progress::sentence(notice));
///         }
///     }
///
///     fn is_behind(&self) -> bool {
///         self.0.lock().unwrap().len() > 1000
///     }
///
///     fn leave_terminal(&mut self) {} // nothing is drawn
/// }
/// # let place = tempfile::tempdir()?;
/// # std::env::set_current_dir(&place)?;
///
/// let digits = |name: &str| bivouac::resumable(0..3_u64).map(|n, _| Ok(n.to_string())).write_to(name);
/// let watch = Watch::default();
/// digits("one").progress(watch.clone()).main();
/// assert_eq!(watch.0.lock().unwrap()[0], "the state is in one.bivouac");
/// digits("two").progress(Silent).main(); // as without any
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Observer {
    /// The state of the run, about ten times a second and after every change of phase. The last one may be of before
    /// the last commit, and a short run may have none: its ending has the figures ([`Summary`](crate::Summary)).
    fn progress(&mut self, _now: &Progress) {}

    /// Something that a person may want to read.
    fn notice(&mut self, _notice: &Notice) {}

    /// Whether the reader of the messages is behind. Then the run takes no more lines from commands, which
    /// wait; it tells everything else all the same.
    fn is_behind(&self) -> bool {
        false
    }

    /// The process is about to be suspended, or to die of a signal: leave the terminal clean.
    fn leave_terminal(&mut self) {}
}

/// Watches nothing.
#[derive(Debug, Default)]
pub struct Silent;

impl Observer for Silent {}

/// A snapshot of a run.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// What the run is doing.
    pub phase: Activity,
    /// Tasks committed, by this run and those before it.
    pub frontier: u64,
    /// Tasks in the whole job, where known.
    pub tasks: Option<u64>,
    /// Tasks at work or waiting in a worker's queue.
    pub in_flight: usize,
    /// Tasks that failed.
    pub failed: u64,
    /// Bytes of input worked through, those of earlier runs included.
    pub bytes: u64,
    /// Of these, how many were worked through by earlier runs.
    pub bytes_before: u64,
    /// Bytes of input in the whole job, where known.
    pub bytes_total: Option<u64>,
    /// Bytes of output committed.
    pub output_bytes: u64,
    /// Time spent working: neither paused nor suspended.
    pub worked: Duration,
    /// Bytes of input per second of work, lately.
    pub bytes_per_second: Option<f64>,
    /// Tasks per second of work, lately.
    pub tasks_per_second: Option<f64>,
    /// Work that is left at this rate: by bytes where their number is known, otherwise by tasks.
    pub left: Option<Duration>,
    /// The last checkpoint of this run.
    pub checkpoint: Option<CheckpointFacts>,
    /// The tasks that run at this moment, in the order of their numbers.
    pub at_work: Vec<AtWork>,
}

impl Progress {
    /// What is done, and of how much: bytes where the whole is known, otherwise tasks.
    pub fn share(&self) -> (u64, Option<u64>) {
        match self.bytes_total {
            Some(_) => (self.bytes, self.bytes_total),
            None => (self.frontier, self.tasks),
        }
    }
}

/// What a run is doing, in one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    /// Tasks start and run.
    #[default]
    Running,
    /// The gate is closed, some tasks have not reached it yet.
    Pausing,
    /// The gate is closed, nothing moves.
    Paused,
    /// No task starts; those in flight finish.
    Stopping,
    /// Tasks in flight are cancelled.
    Aborting,
    /// The last commit.
    Finishing,
}

impl fmt::Display for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Activity::Running => "running",
            Activity::Pausing => "pausing",
            Activity::Paused => "paused",
            Activity::Stopping => "stopping",
            Activity::Aborting => "aborting",
            Activity::Finishing => "finishing",
        })
    }
}

/// The effect of asking for a stop once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// Pressing Ctrl-C cancels what is in flight.
    Key,
    /// So does the same signal.
    Signal,
    /// Nothing: what asked for the stop does so again and again, or only once.
    Nothing,
}

/// A task that has begun and not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AtWork {
    /// Its number.
    pub task: u64,
    /// The worker that it has, from 1. `None` while only its verdict is held, and no worker.
    pub slot: Option<usize>,
    /// How long ago it began, without pauses.
    pub since: Duration,
    /// What the journal says of it; may be empty.
    pub note: String,
}

/// A sentence about a run. `Display` gives it without a prefix and without a full stop.
#[derive(Clone, Debug)]
pub enum Notice {
    /// Workers are started and signals are heard from here on.
    Ready {
        /// How many workers.
        workers: usize,
    },
    /// The run goes on where an earlier one stopped.
    Resumed {
        /// The first task that is not committed.
        frontier: u64,
        /// Tasks completed ahead of the frontier.
        ahead: u64,
        /// Tasks in the whole job, where known.
        tasks: Option<u64>,
    },
    /// Something about the inputs that a person should know.
    Input(String),
    /// A signal came in and means this request.
    Signal {
        /// The signal.
        signal: Signal,
        /// What it means by the policy in force.
        request: Request,
        /// Who sent it, as far as the kernel says.
        sender: Sender,
    },
    /// Something other than a signal made a request.
    Asked {
        /// For what.
        request: Request,
        /// Who: "the program" through a [`crate::Handle`], or "the time budget".
        by: &'static str,
    },
    /// The run does something else now.
    Phase(Activity),
    /// A stop has begun; what the same signal again would do.
    Stopping {
        /// How long the tasks in flight have; `None`: until they end.
        grace: Option<Duration>,
        /// How many there are.
        in_flight: usize,
        /// What the same again would do.
        again: Again,
    },
    /// A checkpoint is durable.
    Checkpoint {
        /// Tasks committed.
        frontier: u64,
        /// Tasks in the whole job, where known.
        tasks: Option<u64>,
        /// Size and age of the record.
        facts: CheckpointFacts,
        /// Asked for by a person (SIGUSR1, a handle) rather than by the clock.
        asked: bool,
    },
    /// The answer to a request for status.
    Status(Box<Progress>),
    /// The kernel does not suspend a process that no shell waits for; the job is paused instead.
    NotSuspended {
        /// Our process, to be continued by SIGCONT.
        pid: u32,
    },
    /// A task failed and is left out.
    TaskFailed {
        /// Its number.
        task: u64,
        /// Why.
        why: String,
    },
    /// A line that the command of a task wrote to its standard error.
    Said {
        /// The task.
        task: u64,
        /// The line, without its end, and with control characters as they came.
        line: String,
    },
    /// Tasks that run at the moment (SIGQUIT).
    Running(Vec<AtWork>),
    /// The state is kept here.
    State(PathBuf),
    /// Settings were read again.
    Reloaded {
        /// Whether they are in force now; otherwise the old ones stay.
        adopted: bool,
        /// What changed, what cannot, what is wrong with them.
        said: Vec<String>,
    },
    /// Something went wrong that does not end the run.
    Warning(Error),
}
