//! Options that every job understands, in the three groups in which `--help` shows them.

use crate::cli::values::{self, Grace};
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// How much of the machine a job may use, and how long it may take to end.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = "Speed and time")]
pub(crate) struct Limits {
    /// How many tasks run at the same time [default: the cores that this process may use]
    #[arg(short, long, value_name = "N", value_parser = values::workers)]
    pub(crate) jobs: Option<usize>,

    /// Bytes of input per second, all workers together: `16MiB`, `500k`
    #[arg(long, value_name = "SIZE", value_parser = values::rate)]
    pub(crate) limit_rate: Option<u64>,

    /// How long running tasks may go on after a stop: `90s`, `2h`, `inf` for until they are done
    #[arg(long, value_name = "DURATION", value_parser = values::grace, default_value = "5s")]
    pub(crate) grace: Grace,

    /// How long cancelled tasks are waited for
    #[arg(long, value_name = "DURATION", value_parser = values::duration, default_value = "2s")]
    pub(crate) kill_after: Duration,
}

/// Where a job keeps what it needs to be continued.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = "Stop and continue")]
pub(crate) struct Resuming {
    /// Keep the state in DIR [default: OUT.bivouac beside the output, else below .bivouac here]
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,

    /// Discard what an earlier run has left, and start anew
    #[arg(long)]
    pub(crate) fresh: bool,

    /// Before continuing, verify all of the output so far and not only its last part
    #[arg(long)]
    pub(crate) verify: bool,

    /// How often a checkpoint is written
    #[arg(long, value_name = "DURATION", value_parser = values::interval, default_value = "1s")]
    pub(crate) checkpoint_every: Duration,
}

/// What is said while a job runs, all of it on standard error.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = "Messages")]
pub(crate) struct Talk {
    /// Show a progress line; `auto`: when standard error is a terminal
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = When::Auto)]
    pub(crate) progress: When,

    /// Say nothing but errors, warnings and, after a stop, how to continue
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Say everything that happens, one line each
    #[arg(long, conflicts_with = "quiet")]
    pub(crate) verbose: bool,
}

/// When something is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    /// On a terminal
    Auto,
    /// Also without one: a plain line every few seconds of work
    Always,
    /// Not at all
    Never,
}
