//! The options of a run: all that it is asked for besides the job itself.

use crate::durable::disk::{Disk, OsDisk};
use crate::durable::state_dir::Continuing;
use crate::durable::store::Location;
use crate::engine::effects::Effects;
use std::sync::Arc;
use std::time::Duration;

/// When ended tasks end a run that otherwise keeps going ([`Run::halt`](crate::Run::halt)).
///
/// ```
/// use bivouac::{Exit, Halt, HaltOn, Location};
///
/// let guess = bivouac::resumable(0..1000_u64).map(|_, _| -> Result<(), _> { Err("no".into()) });
/// let halt = Halt { on: HaltOn::Failed, tasks: 3, now: true };
/// let ending = guess.state(Location::Nowhere).into_run()?.keep_going(true).halt(Some(halt)).run();
/// assert_eq!(ending.exit(), Exit::Code(4), "three failures are too many");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Halt {
    /// Which tasks count.
    pub on: HaltOn,
    /// How many of them, in this run.
    pub tasks: u64,
    /// Tasks in flight are cancelled; otherwise they are waited for.
    pub now: bool,
}

/// Which tasks count towards the end of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HaltOn {
    /// Tasks that failed.
    Failed,
    /// Tasks that succeeded.
    Succeeded,
    /// All tasks that ended.
    Done,
}

/// When tasks may start although a worker is free ([`Run::starts`](crate::Run::starts)).
///
/// ```
/// use bivouac::{Location, Starts};
/// use std::time::{Duration, Instant};
///
/// let polite = Starts { every: Duration::from_millis(5), ..Starts::default() };
/// let began = Instant::now();
/// let ask = bivouac::resumable(0..3_u64).map(|_, _| Ok(())).state(Location::Nowhere);
/// let ending = ask.into_run()?.starts(polite).run();
/// assert!(began.elapsed() >= Duration::from_millis(10), "two times of waiting between three starts");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Starts {
    /// The least time between two starts.
    pub every: Duration,
    /// How long a run that continues waits before its first start.
    pub after_resume: Duration,
    /// Tasks start only while fewer threads than this run, or want to run, on the machine.
    pub runnable: Option<u64>,
    /// Tasks start only while at least this many bytes of memory are available.
    pub memory: Option<u64>,
    /// While fewer bytes than this are available, only the command that was started first runs, and the others are
    /// stopped; below twice as many, one more is stopped each second. No command starts meanwhile.
    pub suspend_below: Option<u64>,
}

/// The options of a run, besides the job itself.
pub(crate) struct Options {
    pub(crate) location: Location,
    pub(crate) fresh: bool,
    pub(crate) wait: bool,
    pub(crate) fenced: bool,
    pub(crate) continuing: Option<Continuing>,
    pub(crate) jobs: usize,
    pub(crate) max_jobs: usize,
    pub(crate) core: bool,
    pub(crate) forward_stops: bool,
    pub(crate) watch_children: bool,
    pub(crate) grace: Option<Duration>,
    pub(crate) kill_after: Duration,
    pub(crate) checkpoint_every: Duration,
    pub(crate) bytes_per_second: Option<u64>,
    pub(crate) keep_going: bool,
    pub(crate) print_failed: bool,
    pub(crate) effects: Effects,
    pub(crate) halt: Option<Halt>,
    pub(crate) starts: Starts,
    pub(crate) max_runtime: Option<Duration>,
    pub(crate) spill_limit: Option<u64>,
    pub(crate) disk: Arc<dyn Disk>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            location: Location::Nowhere,
            fresh: false,
            wait: false,
            fenced: false,
            continuing: None,
            jobs: std::thread::available_parallelism().map_or(1, usize::from),
            max_jobs: 1,
            core: false,
            forward_stops: false,
            watch_children: false,
            grace: Some(Duration::from_secs(5)),
            kill_after: Duration::from_secs(2),
            checkpoint_every: Duration::from_secs(1),
            bytes_per_second: None,
            keep_going: false,
            print_failed: false,
            effects: Effects::Pure,
            halt: None,
            starts: Starts::default(),
            max_runtime: None,
            spill_limit: None,
            disk: Arc::new(OsDisk),
        }
    }
}
