//! From options to a [`bivouac::Run`]: every option of [`crate::cli::args::common`] is handed over
//! here, and nowhere else, so that a new one is one new line.

use crate::cli::args::Running;
use crate::cli::progress::Watch;
use bivouac::signals::Masked;
use bivouac::{Ending, Job, Run, Sink, Source, StateAt};

/// Runs a job as the command line asks for.
pub(crate) fn launch<J, S>(
    (job, source): (J, S),
    running: &Running<'_>,
    state: StateAt,
    masked: Masked,
    sink: impl Sink,
) -> Ending
where
    J: Job,
    S: Source<Task = J::Task>,
{
    let limits = running.limits;
    let mut run = Run::new(job, source)
        .state(state)
        .fresh(running.resuming.fresh)
        .checkpoint_every(running.resuming.checkpoint_every)
        .grace(limits.grace.0)
        .kill_after(limits.kill_after)
        .limit_rate(limits.limit_rate)
        .signals(masked)
        .sink(sink)
        .observer(Watch::on_stderr(running.talk));
    if let Some(workers) = limits.jobs {
        run = run.jobs(workers);
    }
    run.run()
}
