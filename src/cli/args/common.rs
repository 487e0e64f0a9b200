//! Options that every job understands, in the groups in which `--help` shows them.

use crate::cli::parse::{self, Grace};
use bivouac::Request;
use clap::{Args, ValueEnum};
use nix::sys::signal::Signal;
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;

/// Everything that every job understands.
#[derive(Args, Clone, Debug, PartialEq)]
pub(crate) struct JobArgs {
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    #[command(flatten)]
    pub(crate) resume: ResumeArgs,
    #[command(flatten)]
    pub(crate) signals: SignalArgs,
    #[command(flatten)]
    pub(crate) messages: MessageArgs,
}

/// What is demanded of commands, and what they are granted.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = "The command")]
pub(crate) struct CommandArgs {
    /// Exit codes that mean that all is well, as in `0,1` for grep
    #[arg(long, value_name = "CODES", value_delimiter = ',', default_value = "0", value_parser = clap::value_parser!(i32).range(0..=255), allow_hyphen_values = true)]
    pub(crate) ok_codes: Vec<i32>,

    /// How often a command that failed is tried again, after some 0.5 s, 1 s, 2 s and so on
    #[arg(long, value_name = "N", default_value_t = 0, allow_hyphen_values = true)]
    pub(crate) retries: u32,

    /// How long a command may take; time in which the job is paused does not count
    #[arg(long, value_name = "DURATION", value_parser = parse::interval, allow_hyphen_values = true)]
    pub(crate) timeout: Option<Duration>,

    /// When commands hear of a stop: after --grace, or `at-once` if they save their own work
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = StopChildren::AfterGrace)]
    pub(crate) stop_children: StopChildren,
}

/// When commands hear of a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StopChildren {
    /// They are left alone until the grace is over
    AfterGrace,
    /// They get the signal that stops the job; one that then ends well has done its chunk
    AtOnce,
}

/// How much of the machine a job may use, and how long it may take to end.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = "Speed and time")]
pub(crate) struct LimitArgs {
    /// How many tasks run at the same time [default: the cores that this process may use]
    #[arg(short, long, value_name = "N", value_parser = parse::workers, allow_hyphen_values = true)]
    pub(crate) jobs: Option<usize>,

    /// Bytes of input per second, all workers together: `16MiB`, `500k`
    #[arg(long, value_name = "SIZE", value_parser = parse::rate, allow_hyphen_values = true)]
    pub(crate) limit_rate: Option<u64>,

    /// How long running tasks may go on after a stop: `90s`, `2h`, `inf` for until they are done
    /// [default: 5s]
    #[arg(long, value_name = "DURATION", value_parser = parse::grace, allow_hyphen_values = true)]
    pub(crate) grace: Option<Grace>,

    /// How long cancelled tasks are waited for [default: 2s]
    #[arg(long, value_name = "DURATION", value_parser = parse::duration, allow_hyphen_values = true)]
    pub(crate) kill_after: Option<Duration>,

    /// Stop after this time, pauses included, to be continued: `55m` for a limit of an hour
    #[arg(long, value_name = "DURATION", value_parser = parse::interval, allow_hyphen_values = true)]
    pub(crate) max_runtime: Option<Duration>,

    /// How much disk may be taken by what has ended before its turn; only then must tasks wait for a slow one
    /// [default: half of what is free at the start]
    #[arg(long, value_name = "SIZE", value_parser = parse::block)]
    pub(crate) spill_limit: Option<u64>,

    /// To how many tasks at the same time a reload may raise --jobs [default: the same as --jobs]
    #[arg(long, value_name = "N", value_parser = parse::workers, allow_hyphen_values = true)]
    pub(crate) max_jobs: Option<usize>,
}

/// Where a job keeps what it needs to be continued.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = "Stop and continue")]
pub(crate) struct ResumeArgs {
    /// Keep the state in DIR [default: OUT.bivouac beside the output, else below .bivouac here]
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,

    /// Discard what an earlier run has left, and start anew
    #[arg(long)]
    pub(crate) fresh: bool,

    /// Before continuing, verify all of the output so far and not only its last part
    #[arg(long)]
    pub(crate) verify: bool,

    /// How often a checkpoint is written [default: 1s]
    #[arg(long, value_name = "DURATION", value_parser = parse::interval, allow_hyphen_values = true)]
    pub(crate) checkpoint_every: Option<Duration>,
}

/// How the inputs of a job that reads files are known again.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = "Stop and continue")]
pub(crate) struct InputArgs {
    /// Compare what is in the inputs by digest, instead of their sizes and times; everything is read twice
    #[arg(long)]
    pub(crate) verify_inputs: bool,
}

/// What signals mean, and how the process ends because of them.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = "Signals and configuration")]
pub(crate) struct SignalArgs {
    #[command(flatten)]
    pub(crate) table: TableArgs,

    /// End with code N when stopped, instead of 75 or by the signal: 85 for HTCondor, 99 for SGE
    #[arg(long, value_name = "N", value_parser = parse::stop_code)]
    pub(crate) stop_code: Option<u8>,

    /// Let SIGQUIT leave a core file
    #[arg(long)]
    pub(crate) core: bool,
}

/// Where the table of signals comes from.
#[derive(Args, Clone, Debug, Default, PartialEq)]
pub(crate) struct TableArgs {
    /// Let SIGNAL ask for REQUEST, as in `USR2=checkpoint`; may be given several times. See `bivouac signals`
    #[arg(long = "on", value_name = "SIGNAL=REQUEST", value_parser = parse::mapping)]
    pub(crate) mappings: Vec<(Signal, Request)>,

    /// Read settings from FILE (TOML); SIGHUP reads it again when there is no terminal
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// What is said while a job runs, all of it on standard error.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = "Messages")]
pub(crate) struct MessageArgs {
    /// Show a progress line; `auto`: when standard error is a terminal
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = When::Auto)]
    pub(crate) progress: When,

    /// Say nothing but errors, warnings, what commands complain of and, after a stop, how to continue
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Say everything that happens, one line each
    #[arg(long, conflicts_with = "quiet")]
    pub(crate) verbose: bool,

    /// Append every signal, request, phase and checkpoint to FILE
    #[arg(long, value_name = "FILE")]
    pub(crate) log_file: Option<PathBuf>,

    /// How the log is written [default: text]
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub(crate) log_format: Option<LogFormat>,

    /// What is written to the log [default: info]
    #[arg(long, value_name = "LEVEL", value_enum)]
    pub(crate) log_level: Option<LogLevel>,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormat {
    /// A line for a person
    #[default]
    Text,
    /// A JSON object on each line
    Json,
}

/// What is written to the log: this and what is worse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogLevel {
    /// What ended the job
    Error,
    /// What went wrong
    Warn,
    /// What happened
    #[default]
    Info,
    /// How far the job is, every second
    Debug,
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
