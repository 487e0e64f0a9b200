//! `bivouac slurm`: submits a job, or prints how far it is.

use crate::cli::args::slurm::SlurmArgs;
use crate::cli::args::{Cli, JobVerb, Verb};
use crate::cli::settings::Settings;
use crate::cli::shards::{self, Part};
use crate::cli::slurm::check::Site;
use crate::cli::slurm::script;
use crate::cli::slurm::submission::Submission;
use crate::cli::terminal;
use bivouac::ending::{Exit, FINISHED};
use bivouac::signals::Masked;
use bivouac::{Error, Result, local_locks};
use std::ffi::OsString;
use std::num::NonZero;
use std::path::Path;
use std::time::Duration;

/// The least time between the warning and the limit: slurmctld looks every 30 s.
const LEAST_WARNING: Duration = Duration::from_secs(120);

/// How long a stop may take besides its grace: for the last checkpoint, on a slow file system.
const FOR_THE_CHECKPOINT: Duration = Duration::from_secs(60);

pub(crate) fn run(
    slurm: &SlurmArgs,
    argv: &[OsString],
    masked: Masked,
    run_job: fn(&JobVerb, &[OsString], Masked, Part<'_>) -> Result<Exit>,
) -> Result<Exit> {
    if slurm.check {
        drop(masked);
        let page = Site::ask(&slurm.sbatch)?.page(local_locks::why(Path::new(".")));
        return terminal::result(page.as_bytes()).map(|()| Exit::Code(FINISHED));
    }
    script::refuse(&slurm.sbatch)?;
    let line: Vec<OsString> = argv.iter().take(1).chain(&slurm.job).cloned().collect();
    let mut cli = match Cli::read(&line) {
        Ok(cli) => cli,
        Err(error) => return terminal::clap(&error, "slurm").map(Exit::Code),
    };
    shards::resolve(&mut cli, true)?;
    let Verb::Job(verb) = &mut cli.verb else {
        return Err(Error::usage("VERB", "is not the verb of a job")
            .advise("name the job after --: count, grep, digest, pipe, each"));
    };
    refuse_options_of_an_element(verb)?;
    verb.job_args_mut().resume.allow_local_locks = slurm.allow_local_locks;
    let settings = Settings::gather(verb.run_args().job)?;
    let submission = Submission {
        slurm,
        typed: argv,
        warn: warning(slurm.warn, &settings)?,
        shards: slurm.shards.map_or(1, NonZero::get),
    };
    run_job(verb, &line, masked, Part::Submitted(submission))
}

/// The element's own line has them.
fn refuse_options_of_an_element(verb: &mut JobVerb) -> Result<()> {
    let job = verb.job_args_mut();
    let given = [
        ("--shard", job.resume.shard.is_some()),
        ("--wait", job.resume.wait),
        ("--after-warning", job.signals.after_warning.is_some()),
        ("--fresh", job.resume.fresh),
    ];
    match given.iter().find(|(_, given)| *given) {
        Some(("--fresh", _)) => {
            Err(Error::usage("--fresh", "would discard the state at each start of an element")
                .advise("bivouac clean --force STATE, and then the line without it"))
        }
        Some((option, _)) => {
            Err(Error::usage(option, "is set for each element of the array").advise("leave it out"))
        }
        None => Ok(()),
    }
}

/// How long before the limit the warning comes.
fn warning(asked: Option<Duration>, settings: &Settings) -> Result<Duration> {
    match (asked, settings.grace.value.0) {
        (Some(asked), _) => Ok(asked),
        (None, Some(grace)) => Ok(LEAST_WARNING.max(grace + settings.kill_after.value + FOR_THE_CHECKPOINT)),
        (None, None) => {
            Err(Error::usage("--grace inf", "lets tasks take any time, and no warning comes early enough")
                .advise("give the longest task's time and a minute: --warn 20m"))
        }
    }
}
