//! A reload: which settings can change during a run, and the sentences about changes.

use super::asked::{self, Asked, Change, OfCommands};
use super::signals::{Origin, SignalRow, has_terminal};
use super::{Setting, Settings};
use crate::cli::args::common::JobArgs;
use crate::cli::format::{per_second, size, span};
use crate::cli::logfile::LogFile;
use crate::jobs::wording::worded;
use bivouac::policy::short_name;
use bivouac::reload::{self as engine, Reload, Reloaded};
use bivouac::{Request, Result};
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The settings that the engine can change during a run.
fn for_engine(settings: &Settings, starts_every: Duration) -> engine::Settings {
    engine::Settings {
        jobs: settings.jobs.value,
        limit_rate: settings.limit_rate.value,
        starts_every,
        checkpoint_every: settings.checkpoint_every.value,
        grace: settings.grace.value.0,
        kill_after: settings.kill_after.value,
        policy: settings.policy(),
    }
}

impl Settings {
    /// Goes over from `old` to `self` as far as a run can, and returns what changed and what cannot. A setting that
    /// cannot change keeps its old value.
    fn follow(&mut self, old: &Settings) -> Vec<String> {
        let mut diff = Diff::default();
        if self.max_jobs.origin == Origin::Default {
            self.max_jobs = old.max_jobs.clone();
        }
        diff.fixed("max-jobs", &mut self.max_jobs, &old.max_jobs, |jobs| jobs.to_string());
        let most = old.max_jobs.value.max(old.jobs.value);
        if self.jobs.value > most {
            diff.said.push(format!("jobs can be at most max-jobs, {most}, during a run"));
            self.jobs.value = most;
        }
        diff.live("jobs", &mut self.jobs, &old.jobs, |jobs| jobs.to_string());
        diff.live("limit-rate", &mut self.limit_rate, &old.limit_rate, |rate| per_second(*rate));
        diff.live("grace", &mut self.grace, &old.grace, |grace| grace.0.map_or("inf".to_string(), span));
        diff.live("kill-after", &mut self.kill_after, &old.kill_after, |time| span(*time));
        diff.live("checkpoint-every", &mut self.checkpoint_every, &old.checkpoint_every, |time| span(*time));
        let or_none = |time: &Option<Duration>| time.map_or("none".to_string(), span);
        diff.fixed("max-runtime", &mut self.max_runtime, &old.max_runtime, or_none);
        diff.fixed("spill-limit", &mut self.spill_limit, &old.spill_limit, |limit| {
            limit.map_or("half of what was free".to_string(), size)
        });
        let code = |code: &Option<u8>| code.map_or("none".to_string(), |code| code.to_string());
        diff.fixed("stop-code", &mut self.stop_code, &old.stop_code, code);
        let path = |path: &Option<PathBuf>| {
            path.as_ref().map_or("none".to_string(), |path| path.display().to_string())
        };
        let command = |command: &Option<OsString>| {
            command.as_ref().map_or("none".to_string(), |command| command.display().to_string())
        };
        diff.fixed("on-finish", &mut self.on_finish, &old.on_finish, command);
        diff.fixed("on-stop", &mut self.on_stop, &old.on_stop, command);
        diff.fixed("on-failure", &mut self.on_failure, &old.on_failure, command);
        diff.fixed("metrics", &mut self.metrics, &old.metrics, path);
        diff.fixed("metrics-listen", &mut self.metrics_listen, &old.metrics_listen, |address| {
            address.map_or("none".to_string(), |address| address.to_string())
        });
        diff.fixed("log file", &mut self.log_file, &old.log_file, path);
        diff.fixed("log format", &mut self.log_format, &old.log_format, word);
        diff.live("log level", &mut self.log_level, &old.log_level, word);
        diff.rows(&mut self.rows, &old.rows);
        diff.said
    }
}

fn word(value: &impl fmt::Debug) -> String {
    format!("{value:?}").to_lowercase()
}

#[derive(Default)]
struct Diff {
    said: Vec<String>,
}

impl Diff {
    fn live<T: Clone + PartialEq>(
        &mut self,
        name: &str,
        new: &mut Setting<T>,
        old: &Setting<T>,
        show: impl Fn(&T) -> String,
    ) {
        if new.value != old.value {
            self.said.push(format!("{name} {} -> {}", show(&old.value), show(&new.value)));
        } else if new.origin == Origin::Option && new.in_file != old.in_file {
            self.said.push(format!("{name} was given as an option and stays {}", show(&old.value)));
        }
    }

    fn fixed<T: Clone + PartialEq>(
        &mut self,
        name: &str,
        new: &mut Setting<T>,
        old: &Setting<T>,
        show: impl Fn(&T) -> String,
    ) {
        if new.value != old.value {
            self.said.push(format!("{name} cannot change during a run and stays {}", show(&old.value)));
            *new = old.clone();
        }
    }

    /// A signal can get another meaning, but no thread can be made to block one that it has not
    /// blocked from the start.
    fn rows(&mut self, new: &mut Vec<SignalRow>, old: &[SignalRow]) {
        new.retain(|row| {
            let known = old.iter().any(|old| old.signal == row.signal);
            if !known {
                let name = short_name(row.signal);
                self.said.push(format!("{name} had no meaning at the start, and gets none during a run"));
            }
            known
        });
        for old in old {
            let name = short_name(old.signal);
            match new.iter().find(|row| row.signal == old.signal) {
                Some(row) if row.request != old.request => {
                    self.said.push(format!("{name} {} -> {}", old.request, row.request));
                }
                Some(_) => {}
                None => {
                    // The signal stays blocked and handled, so without a row it means nothing from now on.
                    if old.request != Request::Ignore {
                        self.said.push(format!("{name} {} -> ignore", old.request));
                    }
                    new.push(SignalRow { request: Request::Ignore, ..*old });
                }
            }
        }
    }
}

pub(crate) struct Reloader {
    /// The command line: it stays in force over the configuration.
    job: JobArgs,
    terminal: bool,
    current: Settings,
    commands: OfCommands,
    log: Option<LogFile>,
    /// The directory in which other processes leave their requests.
    state: Option<PathBuf>,
    /// The name of the last request that was answered.
    answered: Option<String>,
}

impl Reloader {
    /// `current` and `commands` are the settings with which the run starts. The first reload is compared with them.
    pub(crate) fn new(
        job: &JobArgs,
        (current, commands): (Settings, OfCommands),
        log: Option<LogFile>,
        state: Option<&Path>,
    ) -> Self {
        let (terminal, state) = (has_terminal(), state.map(Path::to_path_buf));
        Self { job: job.clone(), terminal, current, commands, log, state, answered: None }
    }

    /// Makes the changes that a request asks for, all or none. Returns a sentence for each.
    fn set(&mut self, pairs: &[(String, String)]) -> Result<Vec<String>> {
        let changes: Result<Vec<_>> = pairs.iter().map(|(key, value)| Change::parse(key, value)).collect();
        let (mut job, mut new, mut commands) = (self.job.clone(), self.current.clone(), self.commands);
        let (now, options) = ((&mut new, &mut commands), (&mut job.limits, &mut job.resume));
        let said = asked::change(&changes?, now, options)?;
        (self.job, self.current, self.commands) = (job, new, commands);
        Ok(said)
    }
}

impl Reload for Reloader {
    fn reload(&mut self) -> Reloaded {
        let mut said = Vec::new();
        let settings = match Settings::read(&self.job, self.terminal) {
            Ok(mut new) => {
                said = new.follow(&self.current);
                self.current = new;
                Some(for_engine(&self.current, self.commands.every))
            }
            Err(error) => {
                said.push(worded(&error));
                None
            }
        };
        if let Some(log) = &self.log {
            log.level(self.current.log_level.value);
            if let Err(error) = log.reopen() {
                said.push(format!("{}; the log goes on in the old file", worded(&error)));
            }
        }
        Reloaded { settings, said, asked: None }
    }

    fn asked(&mut self) -> Option<Reloaded> {
        let Asked { name, set, .. } = Asked::read(self.state.as_deref()?)?;
        if self.answered.replace(name.clone()).as_ref() == Some(&name) {
            return None;
        }
        let (settings, said) = match self.set(&set) {
            Ok(said) => (Some(for_engine(&self.current, self.commands.every)), said),
            Err(error) => (None, vec![worded(&error)]),
        };
        Some(Reloaded { settings, said, asked: Some(name) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::settings;
    use super::*;
    use nix::sys::signal::Signal;

    #[test]
    fn a_reload_says_what_changed_and_what_cannot_and_keeps_the_rest() {
        let line = "bivouac count f --jobs 2 --max-jobs 4 --grace 1s";
        let old = settings(line, |config| {
            config.signals.insert(Signal::SIGSTKFLT, Request::Pause);
        });
        let mut new = settings(line, |config| {
            config.jobs = Some(3);
            config.limit_rate = Some(1 << 20);
            config.stop_code = Some(85);
            config.signals.insert(Signal::SIGUSR2, Request::Checkpoint);
            config.signals.insert(Signal::SIGIO, Request::Checkpoint);
        });
        let said = new.follow(&old);
        assert_eq!(
            said,
            [
                "jobs was given as an option and stays 2",
                "limit-rate none -> 1.0 MiB/s",
                "stop-code cannot change during a run and stays none",
                "IO had no meaning at the start, and gets none during a run",
                "USR2 stop -> checkpoint",
                "STKFLT pause -> ignore",
            ]
        );
        assert_eq!(new.stop_code.value, None);
        assert_eq!(new.policy().request(Signal::SIGSTKFLT), Request::Ignore);
        assert!(!new.policy().has(Signal::SIGIO));
        assert_eq!(new.clone().follow(&new), Vec::<String>::new());
    }

    #[test]
    fn jobs_can_grow_to_max_jobs_and_no_further() {
        let line = "bivouac count f --max-jobs 4";
        let old = settings(line, |config| config.jobs = Some(1));
        let mut new = settings(line, |config| config.jobs = Some(9));
        assert_eq!(new.follow(&old), ["jobs can be at most max-jobs, 4, during a run", "jobs 1 -> 4"]);
        assert_eq!(for_engine(&new, Duration::ZERO).jobs, 4);
        let mut new = settings(line, |config| config.jobs = Some(3));
        assert_eq!(new.follow(&old), ["jobs 1 -> 3"]);
    }
}
