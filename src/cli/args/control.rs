//! The verbs that look at a job or control it, from another process.

use super::common::When;
use super::help;
use crate::cli::complete;
use crate::cli::parse::{self, Grace, SETTABLE};
use crate::cli::settings::asked::Change;
use bivouac::{Error, Result};
use clap::{Args, Subcommand};
use clap_complete::ArgValueCompleter;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What another process can do to a job.
#[derive(Clone, Debug, PartialEq, Subcommand)]
pub(crate) enum Control {
    Status(StatusArgs),
    List(ListArgs),
    /// Pause a running job, and wait until it is paused.
    ///
    /// It sends the signal that means `pause` to this job (SIGURG). If there is none, it sends the one that
    /// means `suspend` (SIGTSTP, as Ctrl-Z does). The time of a pause does not count as work.
    #[command(after_long_help = help::PAUSE)]
    Pause(ActArgs),
    /// Continue a paused or suspended job, and wait until it runs.
    ///
    /// It sends the signal that means `resume` to this job (SIGCONT).
    #[command(after_long_help = help::RESUME, visible_alias = "continue")]
    Resume(ActArgs),
    /// Make a running job write a checkpoint now, and wait until it is durable.
    ///
    /// It sends the signal that means `checkpoint` to this job (SIGUSR1), and the job goes on. A suspended
    /// job is continued for the checkpoint, and then suspended again.
    #[command(after_long_help = help::CHECKPOINT)]
    Checkpoint(ActArgs),
    /// Stop a running job with a checkpoint, and wait until it has ended.
    ///
    /// It sends a signal that means `stop` to this job: SIGTERM if it does. A suspended job gets SIGCONT
    /// too. Then it prints what is committed, and the command that continues the job.
    #[command(after_long_help = help::STOP, visible_alias = "kill")]
    #[command(mut_arg("timeout", |timeout| timeout.default_value("30s").help(help::TIMEOUT_STOP)))]
    Stop(ActArgs),
    Set(SetArgs),
}

/// Watch all jobs here and below, live, and control them by keys.
///
/// A list of what `list` prints; Enter shows the slots of a job: what runs where, and for how long. Keys pause and resume
/// the selected job, write a checkpoint, stop it, and give it more or fewer workers, as the verbs of these names do; ? lists
/// them. It disturbs no job, and leaving it stops none.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(after_long_help = help::TOP)]
pub(crate) struct TopArgs {
    /// The directory whose jobs to show, or one job: its state directory, output or process [default: the current directory]
    #[arg(value_name = "DIR|STATE", add = ArgValueCompleter::new(complete::states))]
    pub(crate) place: Option<PathBuf>,

    /// Print one frame as text, and end
    #[arg(long)]
    pub(crate) once: bool,

    /// With --once: so many columns [default: $COLUMNS, or those of the terminal, or 80]
    #[arg(long, value_name = "N", allow_hyphen_values = true, requires = "once", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) width: Option<u16>,

    /// With --once: so many rows [default: $LINES, or those of the terminal, or 24]
    #[arg(long, value_name = "N", allow_hyphen_values = true, requires = "once", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) height: Option<u16>,

    /// When to use colours; `auto`: unless NO_COLOR is set
    #[arg(long, alias = "colour", value_name = "WHEN", value_enum, default_value_t = When::Auto)]
    pub(crate) color: When,
}

/// Change settings of a running job, and wait until they are in force.
///
/// The settings are those of the options with the same names: jobs (also +1 and -1, from what it is now), rate (N/s, N/m,
/// N/h or none), limit-rate (SIZE or none), grace, kill-after, checkpoint-every. More jobs start at once; with fewer, running
/// ones end first. They hold for this run: the command that continues the job has its own options.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(after_long_help = help::SET, override_usage = "bivouac set [OPTIONS] KEY=VALUE... [STATE]")]
pub(crate) struct SetArgs {
    /// Settings, as in `jobs=8`, `jobs=+1`, `rate=10/s`; then a state directory, output or process [default: the only one
    /// here, or the only one that runs]
    #[arg(value_name = "KEY=VALUE", required = true, add = ArgValueCompleter::new(complete::settings))]
    words: Vec<OsString>,

    /// Wait at most DURATION: `90s`, `2h`, `inf`
    #[arg(long, value_name = "DURATION", value_parser = parse::grace, allow_hyphen_values = true, default_value = "10s")]
    pub(crate) timeout: Grace,
}

impl SetArgs {
    /// The settings, each of which has been understood.
    pub(crate) fn pairs(&self) -> Result<Vec<(String, String)>> {
        let pairs = self.words.iter().filter_map(setting);
        let pairs: Vec<_> = pairs.map(|(key, value)| (key.to_string(), value.to_string())).collect();
        for (key, value) in &pairs {
            Change::parse(key, value)?;
        }
        match pairs.is_empty() {
            true => Err(Error::usage("KEY=VALUE", "is missing, as in jobs=8 or jobs=+1")
                .advise(format_args!("these can be set: {}", SETTABLE.join(", ")))),
            false => Ok(pairs),
        }
    }

    /// The word that is no setting.
    pub(crate) fn state(&self) -> Result<Option<&Path>> {
        let mut states = self.words.iter().filter(|word| setting(word).is_none()).map(Path::new);
        match (states.next(), states.next()) {
            (_, Some(second)) => {
                Err(Error::usage(second.display(), "is a second state, and one is asked at a time"))
            }
            (first, None) => Ok(first),
        }
    }
}

/// `KEY=VALUE`. A path with a `=` in it is written with a `/`, as in `./a=b`.
fn setting(word: &OsString) -> Option<(&str, &str)> {
    let is_key =
        |key: &str| !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    word.to_str()?.split_once('=').filter(|(key, _)| is_key(key))
}

/// Show how far a job is, whether or not it is running.
///
/// It reads the state and does not disturb the job. It shows what the job is doing, tasks and bytes
/// done, rate and time left, the age of the checkpoint, failures, the process that runs the job, and
/// the command that continues it. docs/status.md describes the JSON object.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(after_long_help = help::STATUS)]
pub(crate) struct StatusArgs {
    /// State directory, output, or process [default: the only one here, or that runs, or the last that ran]
    #[arg(value_name = "STATE", add = ArgValueCompleter::new(complete::states))]
    pub(crate) state: Option<PathBuf>,

    /// Print one JSON object; with --watch, one on each line
    #[arg(long)]
    pub(crate) json: bool,

    /// Show it again at each change, until the job has ended: in place on a terminal, otherwise a line for each change
    #[arg(short, long)]
    pub(crate) watch: bool,
}

/// List the jobs here and below, whether or not they run.
///
/// One row for each state: the verb, the share that is done, what the job is doing or how it ended, its process,
/// the age (since the process started, or since the last checkpoint), and the command. Hidden directories other
/// than .bivouac are not looked into.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(after_long_help = help::LIST, visible_aliases = ["ls", "ps"])]
pub(crate) struct ListArgs {
    /// Where to look [default: the current directory]
    #[arg(value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,

    /// Print one JSON object for each job, as `status --json` does
    #[arg(long)]
    pub(crate) json: bool,
}

/// What a verb that acts on a job must know.
#[derive(Args, Clone, Debug, PartialEq)]
pub(crate) struct ActArgs {
    /// State directory, output, or process [default: the only one here, or the only one that runs]
    #[arg(value_name = "STATE", add = ArgValueCompleter::new(complete::states))]
    pub(crate) state: Option<PathBuf>,

    /// Wait at most DURATION: `90s`, `2h`, `inf`
    #[arg(long, value_name = "DURATION", value_parser = parse::grace, allow_hyphen_values = true, default_value = "10s")]
    pub(crate) timeout: Grace,
}
