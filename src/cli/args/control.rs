//! The verbs that look at a job or control it, from another process.

use super::help;
use crate::cli::parse::{self, Grace};
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// To a job that was started before.
#[derive(Clone, Debug, PartialEq, Subcommand)]
pub(crate) enum Control {
    Status(StatusArgs),
    Pause(PauseArgs),
    Resume(ResumeArgs),
    Checkpoint(CheckpointArgs),
    Stop(StopArgs),
}

/// Say how far a job is, whether or not it is running.
///
/// Looks at the state of a job without disturbing it: what it is doing, tasks and bytes done, rate
/// and time left, age of the checkpoint, failures, which process holds it, and the command that
/// continues it. docs/status.md describes the JSON object.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(after_long_help = help::STATUS, aliases = ["list", "ls", "ps"])]
pub(crate) struct StatusArgs {
    /// State directory [default: the only one in the current directory]
    #[arg(value_name = "STATE")]
    pub(crate) state: Option<PathBuf>,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Pause a running job, and wait until it is paused.
///
/// Sends the signal that means `pause` to this job, otherwise the one that means `suspend` (SIGTSTP,
/// as Ctrl-Z does). Time that passes until it is resumed does not count as work.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(after_long_help = help::PAUSE)]
pub(crate) struct PauseArgs {
    /// State directory [default: the only one in the current directory]
    #[arg(value_name = "STATE")]
    pub(crate) state: Option<PathBuf>,

    /// How long to wait: `90s`, `2h`, `inf`
    #[arg(long, value_name = "DURATION", value_parser = parse::grace, allow_hyphen_values = true, default_value = "10s")]
    pub(crate) timeout: Grace,
}

/// Let a paused or suspended job go on, and wait until it does.
///
/// Sends the signal that means `resume` to this job (SIGCONT).
#[derive(Args, Clone, Debug, PartialEq)]
#[command(after_long_help = help::RESUME, alias = "continue")]
pub(crate) struct ResumeArgs {
    /// State directory [default: the only one in the current directory]
    #[arg(value_name = "STATE")]
    pub(crate) state: Option<PathBuf>,

    /// How long to wait: `90s`, `2h`, `inf`
    #[arg(long, value_name = "DURATION", value_parser = parse::grace, allow_hyphen_values = true, default_value = "10s")]
    pub(crate) timeout: Grace,
}

/// Have a running job write a checkpoint now, and wait until it is durable.
///
/// Sends the signal that means `checkpoint` to this job (SIGUSR1); it goes on. A suspended job is
/// continued for the moment that it takes, and suspended again.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(after_long_help = help::CHECKPOINT)]
pub(crate) struct CheckpointArgs {
    /// State directory [default: the only one in the current directory]
    #[arg(value_name = "STATE")]
    pub(crate) state: Option<PathBuf>,

    /// How long to wait: `90s`, `2h`, `inf`
    #[arg(long, value_name = "DURATION", value_parser = parse::grace, allow_hyphen_values = true, default_value = "10s")]
    pub(crate) timeout: Grace,
}

/// Stop a running job with a checkpoint, and wait until it has ended.
///
/// Sends a signal that means `stop` to this job, SIGTERM if it does; and SIGCONT too if the job is
/// suspended. Then says what is committed, and the command that continues the job.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(after_long_help = help::STOP, alias = "kill")]
pub(crate) struct StopArgs {
    /// State directory [default: the only one in the current directory]
    #[arg(value_name = "STATE")]
    pub(crate) state: Option<PathBuf>,

    /// How long to wait: `90s`, `2h`, `inf`; the job has its own --grace
    #[arg(long, value_name = "DURATION", value_parser = parse::grace, allow_hyphen_values = true, default_value = "30s")]
    pub(crate) timeout: Grace,
}
