//! What a run is asked to do, besides the job itself.

use crate::durable::disk::Disk;
use crate::durable::state_dir::Continuing;
use crate::durable::store::Location;
use crate::engine::effects::Effects;
use std::sync::Arc;
use std::time::Duration;

/// When failures end a run that otherwise keeps going ([`Run::halt`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Halt {
    /// After so many failed tasks in this run.
    pub failures: u64,
    /// Tasks in flight are cancelled; otherwise they are waited for.
    pub now: bool,
}

/// What a run is asked to do, besides the job itself.
pub(crate) struct Options {
    pub(crate) location: Location,
    pub(crate) fresh: bool,
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
    pub(crate) max_runtime: Option<Duration>,
    pub(crate) spill_limit: Option<u64>,
    pub(crate) disk: Arc<dyn Disk>,
}
