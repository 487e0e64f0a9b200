//! The settings of a run: how it does its job, and not which job. An option wins over an environment variable, the variable
//! over the configuration file, and the file over the default.
//!
//! | chapter | what it is about |
//! |---|---|
//! | [`signals`] | the table from signal to request, with the origin of each row |
//! | [`reload`] | which settings can change during a run, and how a change is reported |
//! | [`asked`] | changes that another process asks for |

pub(crate) mod asked;
pub(crate) mod reload;
pub(crate) mod signals;

use crate::cli::args::common::{JobArgs, LogFormat, LogLevel};
use crate::cli::config::Config;
use crate::cli::parse::Grace;
use bivouac::{Error, Policy, Result};
use signals::{Origin, SignalRow, has_terminal, policy, signal_rows};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A value, its origin, and the value that the file or a variable gives, which an option may overrule.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Setting<T> {
    pub(crate) value: T,
    in_file: Option<T>,
    origin: Origin,
}

impl<T: Clone> Setting<T> {
    fn choose(option: Option<T>, in_file: Option<T>, default: T) -> Self {
        match (option, &in_file) {
            (Some(value), _) => Self { value, in_file, origin: Origin::Option },
            (None, Some(value)) => Self { value: value.clone(), in_file, origin: Origin::File },
            (None, None) => Self { value: default, in_file, origin: Origin::Default },
        }
    }
}

impl<T: Clone> Setting<Option<T>> {
    fn optional(option: Option<T>, in_file: Option<T>) -> Self {
        Self::choose(option.map(Some), in_file.map(Some), None)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    pub(crate) jobs: Setting<usize>,
    pub(crate) max_jobs: Setting<usize>,
    pub(crate) limit_rate: Setting<Option<u64>>,
    pub(crate) grace: Setting<Grace>,
    pub(crate) kill_after: Setting<Duration>,
    pub(crate) checkpoint_every: Setting<Duration>,
    pub(crate) max_runtime: Setting<Option<Duration>>,
    pub(crate) spill_limit: Setting<Option<u64>>,
    pub(crate) stop_code: Setting<Option<u8>>,
    pub(crate) on_finish: Setting<Option<OsString>>,
    pub(crate) on_stop: Setting<Option<OsString>>,
    pub(crate) on_failure: Setting<Option<OsString>>,
    pub(crate) metrics: Setting<Option<PathBuf>>,
    pub(crate) metrics_listen: Setting<Option<SocketAddr>>,
    pub(crate) log_file: Setting<Option<PathBuf>>,
    pub(crate) log_format: Setting<LogFormat>,
    pub(crate) log_level: Setting<LogLevel>,
    pub(crate) rows: Vec<SignalRow>,
}

impl Settings {
    /// Collects the settings from command line, environment and configuration file. Fails if the file or a variable cannot
    /// be understood.
    pub(crate) fn gather(job: &JobArgs) -> Result<Self> {
        Self::read(job, has_terminal())
    }

    fn read(job: &JobArgs, terminal: bool) -> Result<Self> {
        let config = job.signals.table.config().as_deref().map(Config::read).transpose()?;
        let environment = Config::from_environment(|name| std::env::var_os(name))?;
        Ok(Self::merge(job, (environment, config.as_ref()), terminal))
    }

    fn merge(job: &JobArgs, (environment, config): (Config, Option<&Config>), terminal: bool) -> Self {
        let file = environment.or(config.cloned().unwrap_or_default());
        let JobArgs { limits, resume, signals, messages, hooks } = job;
        let mut jobs = Setting::choose(limits.jobs, file.jobs, cores());
        let max_jobs = Setting::choose(limits.max_jobs, file.max_jobs, jobs.value);
        if jobs.origin == Origin::Default {
            jobs.value = jobs.value.min(max_jobs.value);
        }
        Self {
            max_jobs,
            jobs,
            limit_rate: Setting::optional(limits.limit_rate, file.limit_rate),
            grace: Setting::choose(limits.grace, file.grace, Grace(Some(Duration::from_secs(5)))),
            kill_after: Setting::choose(limits.kill_after, file.kill_after, Duration::from_secs(2)),
            checkpoint_every: Setting::choose(
                resume.checkpoint_every,
                file.checkpoint_every,
                Duration::from_secs(1),
            ),
            max_runtime: Setting::optional(limits.max_runtime, file.max_runtime),
            spill_limit: Setting::optional(limits.spill_limit, file.spill_limit),
            stop_code: Setting::optional(signals.stop_code, file.stop_code),
            on_finish: Setting::optional(hooks.on_finish.clone(), file.on_finish.clone()),
            on_stop: Setting::optional(hooks.on_stop.clone(), file.on_stop.clone()),
            on_failure: Setting::optional(hooks.on_failure.clone(), file.on_failure.clone()),
            metrics: Setting::optional(messages.metrics.clone(), file.metrics.clone()),
            metrics_listen: Setting::optional(messages.metrics_listen, file.metrics_listen),
            log_file: Setting::optional(messages.log_file.clone(), file.log.file.clone()),
            log_format: Setting::choose(messages.log_format, file.log.format, LogFormat::default()),
            log_level: Setting::choose(messages.log_level, file.log.level, LogLevel::default()),
            rows: signal_rows(&signals.table, config, terminal),
        }
    }

    /// Refuses a run whose settings contradict each other.
    pub(crate) fn agree(&self) -> Result<()> {
        if self.jobs.value <= self.max_jobs.value || self.max_jobs.origin == Origin::Default {
            return Ok(());
        }
        let (jobs, most) = (self.jobs.value, self.max_jobs.value);
        Err(Error::usage("--max-jobs", format_args!("is {most}, and --jobs is {jobs}"))
            .advise("jobs can grow up to max-jobs, which must be at least as many"))
    }

    pub(crate) fn policy(&self) -> Policy {
        policy(&self.rows)
    }
}

/// How many cores this process may use; 1 if the system does not tell.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Cli, Verb};
    use std::ffi::OsString;

    pub(super) fn settings(line: &str, change: impl Fn(&mut Config)) -> Settings {
        let argv: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let cli = Cli::read(&argv).unwrap();
        let mut config = Config::default();
        change(&mut config);
        let Verb::Job(verb) = cli.verb else { panic!("{line}: no job") };
        Settings::merge(verb.run_args().job, (Config::default(), Some(&config)), false)
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
    fn max_jobs_is_at_least_as_much_as_jobs() {
        let agree = |line: &str| settings(line, |_| ()).agree();
        for line in ["bivouac count f", "bivouac count f -j 4", "bivouac count f -j 4 --max-jobs 4"] {
            agree(line).unwrap();
        }
        let error = agree("bivouac count f -j 4 --max-jobs 3").unwrap_err();
        assert!(error.to_string().contains("--max-jobs: is 3, and --jobs is 4"), "{error}");
        let few = settings("bivouac count f --max-jobs 1", |_| ());
        assert_eq!((few.jobs.value, few.agree()), (1, Ok(())), "without --jobs there are no more");
    }
}
