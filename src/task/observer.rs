//! The reports of a run to its [`Observer`]: snapshots for a progress line, and sentences.
//!
//! The supervisor never prints. The observer may draw, log, or do nothing. So a run is silent by default, and only the
//! observer knows of slow terminals.

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
/// # let place = tempfile::tempdir()?; std::env::set_current_dir(&place)?;
///
/// let digits = |name: &str| bivouac::resumable(0..3_u64).map(|n, _| Ok(n.to_string())).write_to(name);
/// let watch = Watch::default();
/// digits("one").progress(watch.clone()).main();
/// assert_eq!(watch.0.lock().unwrap()[0], "the state is in one.bivouac");
/// digits("two").progress(Silent).main(); // as without any
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Observer {
    /// The state of the run, about ten times a second and after every change of phase. The last one may be older than
    /// the last commit, and a short run may have none: its ending has the figures ([`Summary`](crate::ending::Summary)).
    fn progress(&mut self, _now: &Progress) {}

    /// A message for the user.
    fn notice(&mut self, _notice: &Notice) {}

    /// Whether messages wait for their reader. Then the run takes no more lines from commands, which wait.
    fn is_behind(&self) -> bool {
        false
    }

    /// Clean the terminal: the process is about to be suspended, or to die of a signal.
    fn leave_terminal(&mut self) {}
}

/// Watches nothing.
#[derive(Debug, Default)]
pub struct Silent;

impl Observer for Silent {}

/// A snapshot of a run.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// The phase of the run.
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
    /// How much is done, and of how much: bytes where the whole is known, otherwise tasks.
    pub fn share(&self) -> (u64, Option<u64>) {
        match self.bytes_total {
            Some(_) => (self.bytes, self.bytes_total),
            None => (self.frontier, self.tasks),
        }
    }
}

/// The phase of a run.
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

impl Activity {
    /// Every activity, for tests and for lists.
    pub const ALL: [Activity; 6] = [
        Activity::Running,
        Activity::Pausing,
        Activity::Paused,
        Activity::Stopping,
        Activity::Aborting,
        Activity::Finishing,
    ];
}

impl fmt::Display for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// The effect of a second request for a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// Ctrl-C cancels tasks in flight.
    Key,
    /// The same signal cancels tasks in flight.
    Signal,
    /// None: the sender of the signal repeats it, or there can be no second request.
    Nothing,
}

/// A task that has begun and not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AtWork {
    /// Its number.
    pub task: u64,
    /// Its slot, from 1 ([`Context::slot`](crate::Context::slot)). `None` while only its verdict is held.
    pub slot: Option<usize>,
    /// How long ago it began, without pauses.
    pub since: Duration,
    /// The note about it in the journal, such as its command; may be empty.
    pub note: String,
}

/// A sentence about a run. `Display` gives it without a prefix and without a full stop.
#[derive(Clone, Debug)]
pub enum Notice {
    /// Workers are started, and signals are handled from here on.
    Ready {
        /// How many workers.
        workers: usize,
    },
    /// The run continues where an earlier one stopped.
    Resumed {
        /// The first task that is not committed.
        frontier: u64,
        /// Tasks completed ahead of the frontier.
        ahead: u64,
        /// Tasks in the whole job, where known.
        tasks: Option<u64>,
    },
    /// A sentence about the inputs.
    Input(String),
    /// A signal has arrived.
    Signal {
        /// The signal.
        signal: Signal,
        /// Its meaning, by the policy in force.
        request: Request,
        /// Its sender, as far as the kernel reports it.
        sender: Sender,
    },
    /// A request came, but not by a signal.
    Asked {
        /// The request.
        request: Request,
        /// Its origin: "the program" (a [`crate::Handle`]) or "the time budget".
        by: &'static str,
    },
    /// The activity of the run has changed.
    Phase(Activity),
    /// A stop has begun.
    Stopping {
        /// How long tasks in flight may go on; `None`: until they end.
        grace: Option<Duration>,
        /// The number of tasks in flight.
        in_flight: usize,
        /// The effect of a second request.
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
        /// A signal or a handle asked for it, not the clock.
        asked: bool,
    },
    /// The answer to a request for status.
    Status(Box<Progress>),
    /// Nothing runs, and nothing starts as long as the machine is busy ([`Starts`](crate::Starts)). Said once.
    Waiting {
        /// What there is too much or too little of.
        why: String,
    },
    /// The kernel suspends no process for which no shell waits. The job is paused instead.
    NotSuspended {
        /// Our process: SIGCONT continues it.
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
    /// A sentence that a job told about a task ([`Context::tell`](crate::Context::tell)).
    Told {
        /// The task.
        task: u64,
        /// The sentence.
        line: String,
    },
    /// The tasks that run at the moment. SIGQUIT prints them.
    Running(Vec<AtWork>),
    /// The directory in which the state is kept.
    State(PathBuf),
    /// The settings were read again.
    Reloaded {
        /// Whether they are in force now. If not, the old ones stay.
        adopted: bool,
        /// Sentences about changes, settings that cannot change, and errors.
        said: Vec<String>,
        /// Another process asked for it. Otherwise a file was read again.
        asked: bool,
    },
    /// An error that does not end the run.
    Warning(Error),
}
