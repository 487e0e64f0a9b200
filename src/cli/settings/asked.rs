//! `bivouac set`: other settings for a job that runs, asked for by another process.
//!
//! The obvious way is a socket, with a protocol and a thread that serves it. But a signal already says "look here", and a file
//! can say the rest: the verb writes [`REQUEST`] into the state directory and sends the signal that redraws the progress
//! line, which disturbs nothing. In the job the thread `reload`, which also reads the configuration again, reads the file,
//! and the answer appears in the status file. So the same parser reads a value on both sides, and the job alone computes
//! `jobs=+1`.

use super::signals::Origin;
use super::{Setting, Settings};
use crate::cli::args::common::LimitArgs;
use crate::cli::args::common::StateArgs;
use crate::cli::format::{per_second, span};
use crate::cli::parse::{self, Grace, SETTABLE};
use bivouac::state_dir::REQUEST;
use bivouac::{Error, Result};
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// At most this many bytes of a request are read.
const LONGEST: u64 = 64 << 10;

/// A request as it stands in the file.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Asked {
    /// Identifies the request: no two requests have the same name. The answer repeats it.
    pub(crate) name: String,
    /// The process that is asked. An earlier file may be meant for an earlier process.
    pub(crate) pid: u32,
    /// Settings and their new values, as they were typed.
    pub(crate) set: Vec<(String, String)>,
}

impl Asked {
    /// The path of the request file in a state directory.
    pub(crate) fn place(state: &Path) -> PathBuf {
        state.join(REQUEST)
    }

    /// Opens the request file with these options. A symbolic link is refused, and a named pipe cannot block this process.
    pub(crate) fn open(state: &Path, options: &mut OpenOptions) -> std::io::Result<File> {
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
        options.custom_flags(flags.cast_signed()).mode(0o644).open(Self::place(state))
    }

    /// The request to this process, if there is one. `None` also for a file that is half written: its signal comes later.
    pub(super) fn read(state: &Path) -> Option<Self> {
        let mut text = Vec::new();
        Self::open(state, OpenOptions::new().read(true)).ok()?.take(LONGEST).read_to_end(&mut text).ok()?;
        serde_json::from_slice(&text).ok().filter(|asked: &Self| asked.pid == std::process::id())
    }
}

/// How many tasks may run at the same time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Jobs {
    Exactly(usize),
    /// This many more than now; a negative number: fewer.
    By(isize),
}

/// One setting with its new value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Change {
    Jobs(Jobs),
    /// The least time between two starts.
    Rate(Duration),
    LimitRate(Option<u64>),
    Grace(Grace),
    KillAfter(Duration),
    CheckpointEvery(Duration),
}

impl Change {
    pub(crate) fn parse(key: &str, value: &str) -> Result<Self> {
        let or_none = |value: &str| (value == "none").then_some(Ok(None));
        let parsed = match key {
            "jobs" => jobs(value).map(Change::Jobs),
            "rate" if value == "none" => Ok(Change::Rate(Duration::ZERO)),
            "rate" => parse::starts(value).map(Change::Rate),
            "limit-rate" => {
                or_none(value).unwrap_or_else(|| parse::rate(value).map(Some)).map(Change::LimitRate)
            }
            "grace" => parse::grace(value).map(Change::Grace),
            "kill-after" => parse::duration(value).map(Change::KillAfter),
            "checkpoint-every" => parse::interval(value).map(Change::CheckpointEvery),
            _ => {
                return Err(Error::usage(format_args!("'{key}'"), "cannot be set in a running job")
                    .advise(format_args!("these can: {}", SETTABLE.join(", "))));
            }
        };
        parsed.map_err(|why| Error::usage(key, format_args!("'{value}' is no value for it")).advise(why))
    }
}

fn jobs(text: &str) -> std::result::Result<Jobs, String> {
    let by = |digits: &str| digits.parse::<i16>().ok().map(isize::from);
    let relative = match text.as_bytes().first() {
        Some(b'+') => by(&text[1..]),
        Some(b'-') => by(&text[1..]).map(|fewer| -fewer),
        Some(_) | None => return parse::workers(text).map(Jobs::Exactly),
    };
    relative
        .map(Jobs::By)
        .ok_or_else(|| "expected `4`, or `+1` or `-1` for more or fewer than now".to_string())
}

/// The settings of commands that can change in a running job. They are not in [`Settings`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct OfCommands {
    /// Whether it runs commands.
    pub(crate) any: bool,
    /// The least time between two starts.
    pub(crate) every: Duration,
}

/// Makes all changes, and returns a sentence for each. `limits` and `resume` are options: they get the new values too, so
/// that a reload does not take them back. If one change is refused, others may have been made, so the caller passes copies.
pub(super) fn change(
    changes: &[Change],
    (settings, commands): (&mut Settings, &mut OfCommands),
    (limits, resume): (&mut LimitArgs, &mut StateArgs),
) -> Result<Vec<String>> {
    let mut said = Vec::new();
    for change in changes {
        said.push(match *change {
            Change::Jobs(jobs) => {
                let jobs = allowed_jobs(settings, jobs)?;
                settings.max_jobs.value = settings.max_jobs.value.max(jobs);
                limits.jobs = Some(jobs);
                turn("jobs", &mut settings.jobs, jobs, usize::to_string)
            }
            Change::Rate(every) if commands.any => {
                let was = std::mem::replace(&mut commands.every, every);
                became("rate", &starts(was), &starts(every))
            }
            Change::Rate(_) => {
                return Err(Error::usage("rate", "is about the starts of commands, and this job runs none")
                    .advise("limit-rate=SIZE limits how much it reads"));
            }
            Change::LimitRate(rate) => {
                limits.limit_rate = rate;
                turn("limit-rate", &mut settings.limit_rate, rate, |rate| per_second(*rate))
            }
            Change::Grace(grace) => {
                limits.grace = Some(grace);
                turn("grace", &mut settings.grace, grace, |grace| grace.0.map_or("inf".to_string(), span))
            }
            Change::KillAfter(time) => {
                limits.kill_after = Some(time);
                turn("kill-after", &mut settings.kill_after, time, |time| span(*time))
            }
            Change::CheckpointEvery(time) => {
                resume.checkpoint_every = Some(time);
                turn("checkpoint-every", &mut settings.checkpoint_every, time, |time| span(*time))
            }
        });
    }
    Ok(said)
}

/// How many tasks may run after this change. Refuses more than `--max-jobs`, if that was given.
fn allowed_jobs(settings: &Settings, jobs: Jobs) -> Result<usize> {
    let most = parse::MOST_WORKERS;
    let jobs = match jobs {
        Jobs::Exactly(jobs) => jobs,
        Jobs::By(more) => settings.jobs.value.saturating_add_signed(more).clamp(1, most),
    };
    let limit = settings.max_jobs.value;
    if settings.max_jobs.origin != Origin::Default && jobs > limit {
        return Err(Error::usage("jobs", format_args!("{jobs} are more than max-jobs allows, {limit}"))
            .advise("that was given at the start, and cannot change during a run"));
    }
    Ok(jobs)
}

/// Replaces a value, as if by an option, and returns a sentence about it.
fn turn<T: PartialEq>(name: &str, setting: &mut Setting<T>, value: T, show: impl Fn(&T) -> String) -> String {
    let was = std::mem::replace(&mut setting.value, value);
    setting.origin = Origin::Option;
    became(name, &show(&was), &show(&setting.value))
}

fn became(name: &str, was: &str, is: &str) -> String {
    if was == is { format!("{name} stays {is}") } else { format!("{name} {was} -> {is}") }
}

/// The time between two starts, as `--rate` spells it.
fn starts(every: Duration) -> String {
    let units = [(1, "s"), (60, "m"), (3600, "h")].map(|(unit, name)| (Duration::from_secs(unit), name));
    match units.into_iter().find(|(unit, _)| every <= *unit) {
        _ if every.is_zero() => "none".to_string(),
        Some((unit, name)) => format!("{}/{name}", unit.div_duration_f64(every).round()),
        None => format!("one in {}", span(every)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::settings;
    use super::*;
    use crate::cli::args::{Cli, Verb};

    fn set(line: &str, pairs: &[(&str, &str)]) -> std::result::Result<Vec<String>, String> {
        let changes: Result<Vec<_>> = pairs.iter().map(|(key, value)| Change::parse(key, value)).collect();
        let argv: Vec<std::ffi::OsString> = line.split(' ').map(Into::into).collect();
        let Verb::Job(verb) = Cli::read(&argv).unwrap().verb else { panic!("{line}: no job") };
        let (mut job, mut settings) = (verb.run_args().job.clone(), settings(line, |_| ()));
        let commands = verb.run_args().commands;
        let mut of_commands = OfCommands { any: commands.any, every: commands.starts.every };
        let now = (&mut settings, &mut of_commands);
        let said = changes.and_then(|changes| change(&changes, now, (&mut job.limits, &mut job.resume)));
        said.map_err(|error| error.to_string())
    }

    #[test]
    fn each_change_is_said_and_numbers_may_be_relative() {
        let line = "bivouac each -j 2 --rate 10/s true ::: a";
        for (key, value, says) in [
            ("jobs", "8", "jobs 2 -> 8"),
            ("jobs", "+1", "jobs 2 -> 3"),
            ("jobs", "-1", "jobs 2 -> 1"),
            ("jobs", "-9", "jobs 2 -> 1"),
            ("jobs", "2", "jobs stays 2"),
            ("rate", "90/m", "rate 10/s -> 2/s"),
            ("rate", "3/s", "rate 10/s -> 3/s"),
            ("rate", "30/m", "rate 10/s -> 30/m"),
            ("rate", "1/h", "rate 10/s -> 1/h"),
            ("rate", "none", "rate 10/s -> none"),
            ("limit-rate", "2MiB", "limit-rate none -> 2.0 MiB/s"),
            ("grace", "inf", "grace 5s -> inf"),
            ("kill-after", "1s", "kill-after 2s -> 1s"),
            ("checkpoint-every", "10s", "checkpoint-every 1s -> 10s"),
        ] {
            assert_eq!(set(line, &[(key, value)]), Ok(vec![says.to_string()]), "{key}={value}");
        }
        let both = set(line, &[("jobs", "+1"), ("jobs", "+1")]);
        assert_eq!(both, Ok(vec!["jobs 2 -> 3".to_string(), "jobs 3 -> 4".to_string()]));
    }

    #[test]
    fn what_cannot_be_set_is_refused_with_what_can() {
        for (line, key, value, part) in [
            ("bivouac count f", "color", "red", "these can: jobs, rate"),
            ("bivouac count f", "jobs", "many", "expected 1 to"),
            ("bivouac count f", "jobs", "+x", "more or fewer"),
            ("bivouac count f", "rate", "1/s", "limit-rate=SIZE"),
            ("bivouac count f -j 2 --max-jobs 4", "jobs", "5", "max-jobs allows, 4"),
            ("bivouac each true ::: a", "rate", "fast", "starts per time"),
        ] {
            let refused = set(line, &[(key, value)]).unwrap_err();
            assert!(refused.contains(part), "{key}={value}: {refused}");
        }
    }
}
