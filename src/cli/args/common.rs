//! Options that every job understands, in the groups of `--help`.

use crate::cli::complete;
use crate::cli::conflicts::refuse_in_a_state;
use crate::cli::parse::{self, Codes, Grace, Shard};
use crate::jobs::attempts::Terms;
use crate::jobs::joblog::Joblog;
use bivouac::Request;
use bivouac::input::{Decompress, Format};
use bivouac::{Result, Starts};
use clap::{Args, ValueEnum};
use clap_complete::ArgValueCompleter;
use nix::sys::signal::Signal;
use serde::Deserialize;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Everything that every job understands.
#[derive(Args, Clone, Debug, PartialEq)]
pub(crate) struct JobArgs {
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    #[command(flatten)]
    pub(crate) resume: StateArgs,
    #[command(flatten)]
    pub(crate) signals: SignalArgs,
    #[command(flatten)]
    pub(crate) messages: MessageArgs,
    #[command(flatten)]
    pub(crate) hooks: HookArgs,
}

/// What commands must do, and what they may.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = "The command")]
pub(crate) struct CommandArgs {
    /// Exit codes that count as success: `0,1` for grep, `0-3,7`
    #[arg(long, value_name = "CODES", default_value = "0", value_parser = parse::codes, allow_hyphen_values = true)]
    pub(crate) ok_codes: Codes,

    /// Run a failed command again up to N times, after about 0.5 s, 1 s, 2 s and so on
    #[arg(long, value_name = "N", default_value_t = 0, allow_hyphen_values = true)]
    pub(crate) retries: u32,

    /// Wait DURATION before the first retry, and twice as long before each further one [default: 0.5s]
    #[arg(long, value_name = "DURATION", value_parser = parse::duration, allow_hyphen_values = true)]
    pub(crate) retry_delay: Option<Duration>,

    /// Retry only after these exit codes: `75`, `1-3,111`; other failures count at once
    #[arg(long, value_name = "CODES", value_parser = parse::codes, allow_hyphen_values = true)]
    pub(crate) retry_codes: Option<Codes>,

    /// Wait at least DURATION between two starts
    #[arg(long, value_name = "DURATION", value_parser = parse::duration, allow_hyphen_values = true, help_heading = "Speed and time")]
    pub(crate) delay: Option<Duration>,

    /// Start at most N commands per second, minute or hour, evenly: `10/s`, `100/m`. A continued job waits for one
    /// interval before its first command
    #[arg(long, value_name = "N/s", value_parser = parse::starts, allow_hyphen_values = true, help_heading = "Speed and time")]
    pub(crate) rate: Option<Duration>,

    /// Start commands only while fewer than N threads run on the machine: `4`, `100%` of its cores
    #[arg(long, value_name = "N", value_parser = parse::load, allow_hyphen_values = true, help_heading = "Speed and time")]
    pub(crate) load: Option<u64>,

    /// Start commands only while SIZE of memory is available (MemAvailable in /proc/meminfo): `2GiB`. None is ended
    /// when it becomes less
    #[arg(long, value_name = "SIZE", value_parser = parse::size, allow_hyphen_values = true, help_heading = "Speed and time")]
    pub(crate) memfree: Option<u64>,

    /// Suspend commands while less than SIZE of memory is available (MemAvailable in /proc/meminfo), the youngest
    /// first: all but one, and below twice SIZE one more each second. None is ended; they go on in turn
    #[arg(long, value_name = "SIZE", value_parser = parse::size, allow_hyphen_values = true, help_heading = "Speed and time")]
    pub(crate) memsuspend: Option<u64>,

    /// Append a line to FILE for each command that has ended, in the columns of GNU parallel; `bivouac log` needs none
    #[arg(long, alias = "jl", value_name = "FILE", help_heading = "Messages")]
    pub(crate) joblog: Option<PathBuf>,

    /// End a command that runs longer than DURATION, as failed; pauses of the job do not count
    #[arg(long, value_name = "DURATION", value_parser = parse::interval, allow_hyphen_values = true)]
    pub(crate) timeout: Option<Duration>,

    /// The same as --jobs
    #[arg(short = 'P', long, value_name = "N", value_parser = parse::workers, allow_hyphen_values = true, overrides_with = "jobs", help_heading = "Speed and time")]
    pub(crate) max_procs: Option<usize>,

    /// When a stop reaches the commands; `at-once` is for commands that save their own work
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = StopChildren::AfterGrace)]
    pub(crate) stop_children: StopChildren,
}

impl CommandArgs {
    /// What is demanded of a command, as far as these options say it. Opens the log that was asked for.
    pub(crate) fn terms(&self, kill_after: Duration) -> Result<Terms> {
        self.joblog.as_deref().map_or(Ok(()), refuse_in_a_state)?;
        Ok(Terms {
            ok_codes: self.ok_codes.0.clone(),
            retries: self.retries,
            retry_delay: self.retry_delay,
            retry_codes: self.retry_codes.as_ref().map(|codes| codes.0.clone()),
            joblog: self.joblog.as_ref().map(Joblog::open).transpose()?,
            timeout: self.timeout,
            kill_after,
            saves_its_work: self.stop_children == StopChildren::AtOnce,
            jitter: false,
            passes_through: false,
            at_once: false,
            if_too_long: None,
        })
    }

    /// When commands may start although a slot is free.
    pub(crate) fn starts(&self) -> Starts {
        let interval = self.rate.unwrap_or_default();
        Starts {
            every: self.delay.unwrap_or_default().max(interval),
            after_resume: interval,
            runnable: self.load,
            memory: self.memfree,
            suspend_below: self.memsuspend,
        }
    }
}

/// When a stop reaches the commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StopChildren {
    /// When --grace is over; until then they may finish
    AfterGrace,
    /// At once, with the signal that stops the job; a command that then succeeds has done its task
    AtOnce,
}

/// How much of the machine a job may use, and how long it may take to end.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = "Speed and time")]
pub(crate) struct LimitArgs {
    /// Run up to N tasks at the same time: `4`, `50%`, `+1`, `-1`; 0: as many as possible, at most 252
    /// [default: the cores that this process may use]
    #[arg(short, long, value_name = "N", value_parser = parse::workers, allow_hyphen_values = true)]
    pub(crate) jobs: Option<usize>,

    /// Read at most SIZE bytes of input per second, all tasks together: `16MiB`, `500k`
    #[arg(long, value_name = "SIZE", value_parser = parse::rate, allow_hyphen_values = true)]
    pub(crate) limit_rate: Option<u64>,

    /// Let running tasks go on for DURATION after a stop: `90s`, `2h`, or `inf` until they are done
    /// [default: 5s]
    #[arg(long, value_name = "DURATION", value_parser = parse::grace, allow_hyphen_values = true)]
    pub(crate) grace: Option<Grace>,

    /// Wait at most DURATION for cancelled tasks to end [default: 2s]
    #[arg(long, value_name = "DURATION", value_parser = parse::duration, allow_hyphen_values = true)]
    pub(crate) kill_after: Option<Duration>,

    /// Stop after DURATION, pauses included, with a checkpoint: `55m` for a limit of an hour
    #[arg(long, value_name = "DURATION", value_parser = parse::interval, allow_hyphen_values = true)]
    pub(crate) max_runtime: Option<Duration>,

    /// Use at most SIZE of disk for results that wait for a slower task before them; when it is full, no task
    /// starts until that one is done [default: half of what is free at the start]
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true, value_parser = parse::block)]
    pub(crate) spill_limit: Option<u64>,

    /// Let a reload and `bivouac set` raise --jobs up to N [default: a reload not above --jobs, `set` as far as it asks]
    #[arg(long, value_name = "N", value_parser = parse::workers, allow_hyphen_values = true)]
    pub(crate) max_jobs: Option<usize>,
}

/// Where a job keeps what it needs to be continued.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = "Stop and continue")]
pub(crate) struct StateArgs {
    /// Keep the state in DIR [default: OUT.bivouac beside the output, otherwise a directory in .bivouac here]
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,

    /// Discard what an earlier run has left, and start from the beginning
    #[arg(long)]
    pub(crate) fresh: bool,

    /// Before continuing, verify the whole output so far, not only its last part
    #[arg(long)]
    pub(crate) verify: bool,

    /// While another run holds the state, wait for it instead of ending with 5
    #[arg(long)]
    pub(crate) wait: bool,

    /// Do only the K-th of N shards of the job, from 1: `3/8`, or `auto/8` with K from the array index of Slurm,
    /// Kubernetes, AWS Batch, PBS, SGE or LSF. The shard that ends last merges all of them into OUT
    #[arg(long, value_name = "K/N", allow_hyphen_values = true, value_parser = parse::shard, conflicts_with = "fresh")]
    pub(crate) shard: Option<Shard>,

    /// Allow --shard where locks do not exclude other hosts
    #[arg(long, requires = "shard")]
    pub(crate) allow_local_locks: bool,

    /// Write a checkpoint every DURATION [default: 1s]
    #[arg(long, value_name = "DURATION", value_parser = parse::interval, allow_hyphen_values = true)]
    pub(crate) checkpoint_every: Option<Duration>,
}

/// How a job that reads files detects a changed input.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = "Stop and continue")]
pub(crate) struct InputArgs {
    /// Detect changed inputs by a digest of their contents, not by size and time; everything is read twice
    #[arg(long)]
    pub(crate) verify_inputs: bool,
}

/// Whether compressed inputs are read as what is in them.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = "Input")]
pub(crate) struct PackedArgs {
    /// Decompress files that are compressed, by their first bytes: gzip, bgzip, zstd, xz, bzip2, lz4. `auto`, `never`, or
    /// the format that each must have [default: never; without WHICH: auto]
    #[arg(long, value_name = "WHICH", num_args = 0..=1, require_equals = true, default_missing_value = "auto")]
    pub(crate) decompress: Option<Decompress>,
}

impl PackedArgs {
    pub(crate) fn which(&self) -> Decompress {
        self.decompress.unwrap_or_default()
    }

    /// The first of these files that is compressed, and is read as it is.
    pub(crate) fn unread<'f>(&self, files: &'f [PathBuf]) -> Option<(&'f Path, Format)> {
        let read = |file: &'f PathBuf| Some((file.as_path(), Format::of_file(file)?));
        self.decompress.is_none().then(|| files.iter().find_map(read)).flatten()
    }

    /// Whether all of them are compressed, and read as they are.
    pub(crate) fn are_unread(&self, files: &[PathBuf]) -> bool {
        self.decompress.is_none() && files.iter().all(|file| Format::of_file(file).is_some())
    }
}

/// What signals mean, and how the process ends because of them.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = "Signals and configuration")]
pub(crate) struct SignalArgs {
    #[command(flatten)]
    pub(crate) table: TableArgs,

    /// Exit with code N after a stop, instead of 75 or dying of the signal: 85 for HTCondor, 99 for SGE
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = parse::stop_code)]
    pub(crate) stop_code: Option<u8>,

    /// After a stop that exits with 75, run CMD once, with `sh -c`: `brequeue $LSB_JOBID`. Not if a SIGTERM came too, or
    /// if no task ended in this run; then the exit code is 4, because CMD would only repeat that
    #[arg(long, value_name = "CMD")]
    pub(crate) after_warning: Option<OsString>,

    /// Let SIGQUIT leave a core file
    #[arg(long)]
    pub(crate) core: bool,
}

/// Where the table of signals comes from.
#[derive(Args, Clone, Debug, Default, PartialEq)]
pub(crate) struct TableArgs {
    /// Let SIGNAL mean REQUEST, as in `USR2=checkpoint`; repeatable. `bivouac signals` prints the table
    #[arg(long = "on", value_name = "SIGNAL=REQUEST", allow_hyphen_values = true, value_parser = parse::mapping, add = ArgValueCompleter::new(complete::mappings))]
    pub(crate) mappings: Vec<(Signal, Request)>,

    /// Read settings from FILE (TOML); without a terminal, SIGHUP reads it again
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

impl TableArgs {
    /// The configuration: the one on the command line, or that of the environment.
    pub(crate) fn config(&self) -> Option<PathBuf> {
        let named = || std::env::var_os("BIVOUAC_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
        self.config.clone().or_else(named)
    }
}

/// What a job reports while it runs, all of it on standard error.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = "Messages")]
pub(crate) struct MessageArgs {
    /// When to show a progress line, and whether with a row for each slot
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = ShowProgress::Auto)]
    pub(crate) progress: ShowProgress,

    /// Show a progress line also without a terminal; the same as --progress always
    #[arg(long, visible_alias = "eta", overrides_with = "progress")]
    pub(crate) bar: bool,

    /// When to colour the progress line; `auto`: on a terminal, unless NO_COLOR is set
    #[arg(long, alias = "colour", value_name = "WHEN", value_enum, default_value_t = When::Auto)]
    pub(crate) color: When,

    /// Print only errors, warnings, the standard error of commands and, after a stop, how to continue
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Report every event, one line each
    #[arg(long, conflicts_with = "quiet")]
    pub(crate) verbose: bool,

    /// Write metrics for Prometheus to FILE, replaced every 5 s: for the textfile collector of node_exporter, in whose
    /// directory it must end in `.prom`; shard 2 of a job writes FILE.2, or `job.2.prom` for `job.prom`
    #[arg(long, value_name = "FILE")]
    pub(crate) metrics: Option<PathBuf>,

    /// Answer HTTP at ADDR with /metrics and /healthz: a port of this machine alone, as in `9464`, or an address such
    /// as `0.0.0.0:9464`; there is no password
    #[arg(long, value_name = "ADDR", allow_hyphen_values = true, value_parser = parse::listen)]
    pub(crate) metrics_listen: Option<SocketAddr>,

    /// Append every signal, request, phase and checkpoint to FILE
    #[arg(long, value_name = "FILE")]
    pub(crate) log_file: Option<PathBuf>,

    /// Write the log in this format [default: text]
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub(crate) log_format: Option<LogFormat>,

    /// Write events of this level and worse to the log [default: info]
    #[arg(long, value_name = "LEVEL", value_enum)]
    pub(crate) log_level: Option<LogLevel>,
}

/// Which commands tell a person that the job has ended.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = "Messages")]
pub(crate) struct HookArgs {
    /// Run CMD once with `sh -c` after the job has finished: `mail -s done me`. BIVOUAC_EXIT_CODE, BIVOUAC_MESSAGE and
    /// others in its environment say more. It has 30 s
    #[arg(long, value_name = "CMD")]
    pub(crate) on_finish: Option<OsString>,

    /// The same after a stop: the job can be continued
    #[arg(long, value_name = "CMD")]
    pub(crate) on_stop: Option<OsString>,

    /// The same after a failure, but not if another run holds the state
    #[arg(long, value_name = "CMD")]
    pub(crate) on_failure: Option<OsString>,
}

/// A format of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormat {
    /// A line for people
    #[default]
    Text,
    /// A JSON object on each line
    Json,
}

/// How bad an event of the log is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogLevel {
    /// The error that ended the job
    Error,
    /// Warnings and failed tasks
    Warn,
    /// Signals, requests, phases and checkpoints
    #[default]
    Info,
    /// The progress, every second
    Debug,
}

impl MessageArgs {
    /// When to show progress, by whichever name.
    pub(crate) fn progress(&self) -> ShowProgress {
        if self.bar { ShowProgress::Always } else { self.progress }
    }
}

/// When progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ShowProgress {
    /// When standard error is a terminal
    Auto,
    /// Also without a terminal: then a plain line every 5 s of work
    Always,
    /// As `always`, and on a terminal a row for each slot: what runs in it, and for how long
    Full,
    /// Not at all
    Never,
}

/// When something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    /// When standard error is a terminal
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}
