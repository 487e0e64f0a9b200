//! From options to a [`bivouac::Run`]: every option of [`crate::cli::args::common`] is handed over
//! here, and nowhere else, so that a new one is one new line.

use crate::cli::args::Running;
use crate::cli::log::{Log, Logged};
use crate::cli::progress::Watch;
use crate::cli::settings::{Reloader, Settings};
use bivouac::signals::Masked;
use bivouac::state_dir::Continuing;
use bivouac::{Ending, Job, Run, Sink, Source, StateAt};

/// Runs a job as the command line asks for.
pub(crate) fn launch<J, S>(
    (job, source): (J, S),
    running: &Running<'_>,
    settings: &Settings,
    log: Option<Log>,
    (state, continuing): (StateAt, Continuing),
    masked: Masked,
    sink: impl Sink,
) -> Ending
where
    J: Job,
    S: Source<Task = J::Task>,
{
    Run::new(job, source)
        .state(state)
        .continuing(continuing)
        .fresh(running.resuming.fresh)
        .jobs(settings.jobs.value)
        .max_jobs(settings.max_jobs.value)
        .limit_rate(settings.limit_rate.value)
        .checkpoint_every(settings.checkpoint_every.value)
        .grace(settings.grace.value.0)
        .kill_after(settings.kill_after.value)
        .max_runtime(settings.max_runtime.value)
        .spill_limit(settings.spill_limit.value)
        .core(running.policing.core)
        .keep_going(running.commands.keep_going)
        .print_failed(running.commands.print_failed)
        .act_elsewhere(running.commands.elsewhere)
        .retry_failed(running.commands.retry_failed)
        .once(running.commands.once)
        .halt(running.commands.halt)
        .forward_stops(running.commands.stop_at_once)
        .watch_children(running.commands.any)
        .signals(masked)
        .reload(Reloader::new(running, settings.clone(), log.clone()))
        .sink(sink)
        .observer(Logged::new(Watch::on_stderr(running.talk, running.commands.print_failed), log))
        .run()
}
