//! From options to a [`bivouac::Run`]: every option of [`crate::cli::args::common`] is handed over
//! here, and nowhere else, so that a new one is one new line.

use crate::cli::args::Running;
use crate::cli::progress::Watch;
use bivouac::signals::Masked;
use bivouac::{Ending, Job, Run, Source, StateAt};

/// Runs a job as the command line asks for. `equip` adds what differs from job to job: the sink.
pub(crate) fn launch<J, S>(
    (job, source): (J, S),
    running: &Running<'_>,
    state: StateAt,
    masked: Option<Masked>,
    equip: impl FnOnce(Run<J, S>) -> Run<J, S>,
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
        .observer(Watch::on_stderr(running.talk));
    if let Some(workers) = limits.jobs {
        run = run.jobs(workers);
    }
    if let Some(masked) = masked {
        run = run.signals(masked);
    }
    equip(run).run()
}
