//! Everything that a run is asked for besides its job: from the command line, the configuration and
//! the defaults, in this order; and what may change of it while the run is under way.

use crate::cli::args::Running;
use crate::cli::args::common::{LogFormat, LogLevel};
use crate::cli::config::Config;
use crate::cli::human::size;
use crate::cli::log::Log;
use crate::cli::table::{From, Row, has_terminal, policy, table};
use crate::cli::values::Grace;
use bivouac::policy::short_name;
use bivouac::reload::{self, Reloaded};
use bivouac::{Error, Policy, Request, Result};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// A value, and what the configuration says of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Set<T> {
    pub(crate) value: T,
    in_file: Option<T>,
    from: From,
}

impl<T: Clone> Set<T> {
    fn choose(option: Option<T>, in_file: Option<T>, default: T) -> Self {
        match (option, &in_file) {
            (Some(value), _) => Self { value, in_file, from: From::Option },
            (None, Some(value)) => Self { value: value.clone(), in_file, from: From::File },
            (None, None) => Self { value: default, in_file, from: From::Default },
        }
    }
}

/// See the [module](self).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    pub(crate) jobs: Set<usize>,
    pub(crate) max_jobs: Set<usize>,
    pub(crate) limit_rate: Set<Option<u64>>,
    pub(crate) grace: Set<Grace>,
    pub(crate) kill_after: Set<Duration>,
    pub(crate) checkpoint_every: Set<Duration>,
    pub(crate) max_runtime: Set<Option<Duration>>,
    pub(crate) spill_limit: Set<Option<u64>>,
    pub(crate) stop_code: Set<Option<u8>>,
    pub(crate) log_file: Set<Option<PathBuf>>,
    pub(crate) log_format: Set<LogFormat>,
    pub(crate) log_level: Set<LogLevel>,
    pub(crate) rows: Vec<Row>,
}

impl Settings {
    /// Puts together what is said where.
    ///
    /// # Errors
    ///
    /// Those of [`Config::read`].
    pub(crate) fn gather(running: &Running<'_>) -> Result<Self> {
        let config = running.policing.table.config.as_deref().map(Config::read).transpose()?;
        Ok(Self::merge(running, config.as_ref(), has_terminal()))
    }

    fn merge(running: &Running<'_>, config: Option<&Config>, terminal: bool) -> Self {
        let nothing = Config::default();
        let file = config.unwrap_or(&nothing);
        let Running { limits, resuming, policing, talk, .. } = running;
        let mut jobs = Set::choose(limits.jobs, file.jobs, cores());
        let max_jobs = Set::choose(limits.max_jobs, file.max_jobs, jobs.value);
        if jobs.from == From::Default {
            jobs.value = jobs.value.min(max_jobs.value);
        }
        Self {
            max_jobs,
            jobs,
            limit_rate: Set::choose(limits.limit_rate.map(Some), file.limit_rate.map(Some), None),
            grace: Set::choose(limits.grace, file.grace, Grace(Some(Duration::from_secs(5)))),
            kill_after: Set::choose(limits.kill_after, file.kill_after, Duration::from_secs(2)),
            checkpoint_every: Set::choose(
                resuming.checkpoint_every,
                file.checkpoint_every,
                Duration::from_secs(1),
            ),
            max_runtime: Set::choose(limits.max_runtime.map(Some), file.max_runtime.map(Some), None),
            spill_limit: Set::choose(limits.spill_limit.map(Some), file.spill_limit.map(Some), None),
            stop_code: Set::choose(policing.stop_code.map(Some), file.stop_code.map(Some), None),
            log_file: Set::choose(talk.log_file.clone().map(Some), file.log.file.clone().map(Some), None),
            log_format: Set::choose(talk.log_format, file.log.format, LogFormat::default()),
            log_level: Set::choose(talk.log_level, file.log.level, LogLevel::default()),
            rows: table(&policing.table, config, terminal),
        }
    }

    /// Whether a run can begin like this.
    ///
    /// # Errors
    ///
    /// [`Kind::Usage`](bivouac::error::Kind::Usage) when two of them contradict each other.
    pub(crate) fn agree(&self) -> Result<()> {
        if self.jobs.value <= self.max_jobs.value || self.max_jobs.from == From::Default {
            return Ok(());
        }
        let (jobs, most) = (self.jobs.value, self.max_jobs.value);
        Err(Error::usage("--max-jobs", format_args!("is {most}, and --jobs is {jobs}"))
            .advise("jobs can grow up to max-jobs while the job runs; it must be at least as much"))
    }

    /// What signals mean.
    pub(crate) fn policy(&self) -> Policy {
        policy(&self.rows)
    }

    /// The part that the engine knows of.
    fn engine(&self) -> reload::Settings {
        reload::Settings {
            jobs: self.jobs.value,
            limit_rate: self.limit_rate.value,
            checkpoint_every: self.checkpoint_every.value,
            grace: self.grace.value.0,
            kill_after: self.kill_after.value,
            policy: self.policy(),
        }
    }

    /// Makes `self` of `old`, as far as that can be done during a run, and says what changed and what
    /// cannot. What cannot keeps the old value.
    fn follow(&mut self, old: &Settings) -> Vec<String> {
        let mut diff = Diff::default();
        if self.max_jobs.from == From::Default {
            self.max_jobs = old.max_jobs.clone();
        }
        diff.fixed("max-jobs", &mut self.max_jobs, &old.max_jobs, |jobs| jobs.to_string());
        let most = old.max_jobs.value.max(old.jobs.value);
        if self.jobs.value > most {
            diff.said.push(format!("jobs can be at most max-jobs, {most}, during a run"));
            self.jobs.value = most;
        }
        diff.live("jobs", &mut self.jobs, &old.jobs, |jobs| jobs.to_string());
        diff.live("limit-rate", &mut self.limit_rate, &old.limit_rate, |rate| {
            rate.map_or("none".to_string(), |rate| format!("{}/s", size(rate)))
        });
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
        diff.fixed("log file", &mut self.log_file, &old.log_file, path);
        diff.fixed("log format", &mut self.log_format, &old.log_format, word);
        diff.live("log level", &mut self.log_level, &old.log_level, word);
        diff.rows(&mut self.rows, &old.rows);
        diff.said
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn span(time: Duration) -> String {
    humantime::format_duration(time).to_string()
}

fn word(value: &impl fmt::Debug) -> String {
    format!("{value:?}").to_lowercase()
}

/// What is to be said of two settings.
#[derive(Default)]
struct Diff {
    said: Vec<String>,
}

impl Diff {
    fn live<T: Clone + PartialEq>(
        &mut self,
        name: &str,
        new: &mut Set<T>,
        old: &Set<T>,
        show: impl Fn(&T) -> String,
    ) {
        if new.value != old.value {
            self.said.push(format!("{name} {} -> {}", show(&old.value), show(&new.value)));
        } else if new.from == From::Option && new.in_file != old.in_file {
            self.said.push(format!("{name} was given as an option and stays {}", show(&old.value)));
        }
    }

    fn fixed<T: Clone + PartialEq>(
        &mut self,
        name: &str,
        new: &mut Set<T>,
        old: &Set<T>,
        show: impl Fn(&T) -> String,
    ) {
        if new.value != old.value {
            self.said.push(format!("{name} cannot change during a run and stays {}", show(&old.value)));
            *new = old.clone();
        }
    }

    /// A signal can get another meaning, but no thread can be made to block one that it has not
    /// blocked from the start.
    fn rows(&mut self, new: &mut Vec<Row>, old: &[Row]) {
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
                    // It stays blocked, so without a row it would be heard and mean nothing; say so.
                    if old.request != Request::Ignore {
                        self.said.push(format!("{name} {} -> ignore", old.request));
                    }
                    new.push(Row { request: Request::Ignore, ..*old });
                }
            }
        }
    }
}

/// Reads the configuration again when the run asks for it.
pub(crate) struct Reloader {
    /// The configuration, read anew and merged with the command line.
    again: Box<dyn Fn() -> Result<Settings> + Send>,
    current: Settings,
    log: Option<Log>,
}

impl fmt::Debug for Reloader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloader").field("current", &self.current).finish_non_exhaustive()
    }
}

impl Reloader {
    /// What a run starts with is what the first reload is compared with.
    pub(crate) fn new(running: &Running<'_>, current: Settings, log: Option<Log>) -> Self {
        let owned = running.owned();
        let terminal = has_terminal();
        let again = move || {
            let config = owned.policing.table.config.as_deref().map(Config::read).transpose()?;
            Ok(Settings::merge(&owned.borrow(), config.as_ref(), terminal))
        };
        Self { again: Box::new(again), current, log }
    }
}

impl reload::Reload for Reloader {
    fn reload(&mut self) -> Reloaded {
        let mut said = Vec::new();
        let settings = match (self.again)() {
            Ok(mut new) => {
                said = new.follow(&self.current);
                self.current = new;
                Some(self.current.engine())
            }
            Err(error) => {
                said.push(error.to_string());
                None
            }
        };
        if let Some(log) = &self.log {
            log.level(self.current.log_level.value);
            if let Err(error) = log.reopen() {
                said.push(format!("{error}; the log goes on in the old file"));
            }
        }
        Reloaded { settings, said }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Cli;
    use nix::sys::signal::Signal;
    use std::ffi::OsString;

    fn settings(line: &str, change: impl Fn(&mut Config)) -> Settings {
        let argv: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let cli = Cli::read(&argv).unwrap();
        let mut config = Config::default();
        change(&mut config);
        Settings::merge(&cli.verb.running().unwrap(), Some(&config), false)
    }

    #[test]
    fn an_option_beats_the_file_and_the_file_the_default() {
        let merged = settings("bivouac count f --grace 1s", |config| {
            config.grace = Some(Grace(None));
            config.kill_after = Some(Duration::from_secs(9));
        });
        assert_eq!(merged.grace.value, Grace(Some(Duration::from_secs(1))));
        assert_eq!(merged.kill_after.value, Duration::from_secs(9));
        assert_eq!(merged.checkpoint_every.value, Duration::from_secs(1));
    }

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
    fn max_jobs_is_at_least_as_much_as_jobs() {
        let agree = |line: &str| settings(line, |_| ()).agree();
        for line in ["bivouac count f", "bivouac count f -j 4", "bivouac count f -j 4 --max-jobs 4"] {
            agree(line).unwrap();
        }
        let error = agree("bivouac count f -j 4 --max-jobs 3").unwrap_err();
        assert!(error.to_string().contains("--max-jobs: is 3, and --jobs is 4"), "{error}");
        let few = settings("bivouac count f --max-jobs 1", |_| ());
        assert_eq!((few.jobs.value, few.agree()), (1, Ok(())), "who says nothing of jobs gets no more");
    }

    #[test]
    fn jobs_can_grow_to_max_jobs_and_no_further() {
        let line = "bivouac count f --max-jobs 4";
        let old = settings(line, |config| config.jobs = Some(1));
        let mut new = settings(line, |config| config.jobs = Some(9));
        assert_eq!(new.follow(&old), ["jobs can be at most max-jobs, 4, during a run", "jobs 1 -> 4"]);
        assert_eq!(new.engine().jobs, 4);
        let mut new = settings(line, |config| config.jobs = Some(3));
        assert_eq!(new.follow(&old), ["jobs 1 -> 3"]);
    }
}
