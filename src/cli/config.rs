//! The configuration file: its settings, and its errors.
//!
//! It is TOML, and read only if `--config` or `BIVOUAC_CONFIG` names it. The obvious way is to look in `~/.config` too. But a
//! job must mean the same on every machine and for every user, and a file that the user has not named is a bad answer to
//! "why does SIGTERM do nothing here?".
//!
//! Names and values are those of the options, and the same functions read both. An unknown name is an error, since it is
//! mostly a known one with a typing mistake. [`keys`] has all settings as a table.
//!
//! Each setting has an environment variable, for services and containers: `BIVOUAC_MAX_JOBS` is `max-jobs`. The variable
//! wins over the file, and an option wins over the variable. Only settings have variables, because they say *how* a job runs
//! on this machine. A variable for `--state` or `--output` would change *which* job a command line means, and the line that
//! continues the job would no longer show that. Commands do not get these variables
//! ([`environment_of_commands`](bivouac::process::environment_of_commands)), so a bivouac inside another one does not take
//! them for its own.

pub(crate) mod keys;

use crate::cli::args::common::{LogFormat, LogLevel};
use crate::cli::parse::{self, Grace};
use bivouac::{Error, Request, Result, policy};
use keys::KEYS;
use nix::sys::signal::Signal;
use serde::de::{DeserializeSeed, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The content of a configuration file. A setting that it does not have is `None`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct Config {
    #[serde(deserialize_with = "jobs")]
    pub(crate) jobs: Option<usize>,
    #[serde(deserialize_with = "jobs")]
    pub(crate) max_jobs: Option<usize>,
    #[serde(deserialize_with = "rate")]
    pub(crate) limit_rate: Option<u64>,
    #[serde(deserialize_with = "grace")]
    pub(crate) grace: Option<Grace>,
    #[serde(deserialize_with = "duration")]
    pub(crate) kill_after: Option<Duration>,
    #[serde(deserialize_with = "interval")]
    pub(crate) checkpoint_every: Option<Duration>,
    #[serde(deserialize_with = "interval")]
    pub(crate) max_runtime: Option<Duration>,
    #[serde(deserialize_with = "spill_limit")]
    pub(crate) spill_limit: Option<u64>,
    #[serde(deserialize_with = "stop_code")]
    pub(crate) stop_code: Option<u8>,
    #[serde(deserialize_with = "command")]
    pub(crate) on_finish: Option<OsString>,
    #[serde(deserialize_with = "command")]
    pub(crate) on_stop: Option<OsString>,
    #[serde(deserialize_with = "command")]
    pub(crate) on_failure: Option<OsString>,
    pub(crate) metrics: Option<PathBuf>,
    #[serde(deserialize_with = "listen")]
    pub(crate) metrics_listen: Option<SocketAddr>,
    pub(crate) log: LogSection,
    #[serde(deserialize_with = "signals")]
    pub(crate) signals: BTreeMap<Signal, Request>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct LogSection {
    pub(crate) file: Option<PathBuf>,
    pub(crate) format: Option<LogFormat>,
    pub(crate) level: Option<LogLevel>,
}

/// How many bytes a configuration has at most. A larger file is something else.
const LARGEST: u64 = 1 << 20;

impl Config {
    /// Reads a file. An error names the line.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let unreadable = |cause: std::io::Error| {
            let error = Error::named(path, "read the configuration", &cause);
            match error.is_missing() {
                true => error.advise(format_args!("make one: bivouac config --example >{}", path.display())),
                false => error,
            }
        };
        let facts = fs::metadata(path).map_err(unreadable)?;
        let refused = |why| Err(Error::usage(path.display(), why));
        if facts.is_file() && facts.len() > LARGEST {
            return refused("is too large for a configuration");
        }
        let text = text_of(path).map_err(unreadable)?;
        if text.len() as u64 > LARGEST {
            return refused("is too large for a configuration");
        }
        if text.is_empty() && facts.file_type().is_fifo() {
            return refused("is a pipe without a writer, so there is no configuration in it");
        }
        Self::parse(&text, path)
    }

    /// The settings of the environment. An empty variable counts as not set.
    pub(crate) fn from_environment(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        KEYS.iter().try_fold(Self::default(), |config, key| {
            let name = key.variable();
            let Some(value) = variable(&name).filter(|value| !value.is_empty()) else { return Ok(config) };
            let value = value.into_string().map_err(|_| Error::usage(&name, "is not UTF-8"))?;
            let one = key.alone(value).try_into::<Self>();
            one.map(|one| one.or(config)).map_err(|error| refused(&name, error.message().trim()))
        })
    }

    /// Adds the settings of `other` that this one does not have.
    pub(crate) fn or(self, other: Self) -> Self {
        let log = LogSection {
            file: self.log.file.or(other.log.file),
            format: self.log.format.or(other.log.format),
            level: self.log.level.or(other.log.level),
        };
        let mut signals = other.signals;
        signals.extend(self.signals);
        Self {
            jobs: self.jobs.or(other.jobs),
            max_jobs: self.max_jobs.or(other.max_jobs),
            limit_rate: self.limit_rate.or(other.limit_rate),
            grace: self.grace.or(other.grace),
            kill_after: self.kill_after.or(other.kill_after),
            checkpoint_every: self.checkpoint_every.or(other.checkpoint_every),
            max_runtime: self.max_runtime.or(other.max_runtime),
            spill_limit: self.spill_limit.or(other.spill_limit),
            stop_code: self.stop_code.or(other.stop_code),
            on_finish: self.on_finish.or(other.on_finish),
            on_stop: self.on_stop.or(other.on_stop),
            on_failure: self.on_failure.or(other.on_failure),
            metrics: self.metrics.or(other.metrics),
            metrics_listen: self.metrics_listen.or(other.metrics_listen),
            log,
            signals,
        }
    }

    fn parse(text: &str, path: &Path) -> Result<Self> {
        toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| 1 + text[..span.start].matches('\n').count());
            let place = line.map(|line| format!(", line {line}")).unwrap_or_default();
            let message = error.message().trim().replace("\n  ", "; ").replace('\n', " ");
            // The parser names all that it knows, which is three lines of a terminal.
            let (problem, known) = message.split_once(", expected one of ").unwrap_or((&message, ""));
            let subject = format!("{}{place}", path.display());
            match known {
                "" => refused(&subject, problem),
                known => Error::usage(&subject, problem).advise(names_like(problem, known)),
            }
        })
    }
}

/// A value that is wrong, in the words of [`scalar`], or a fault of the file.
fn refused(subject: &str, problem: &str) -> Error {
    match problem.strip_prefix('\'').and_then(|rest| rest.split_once("': ")) {
        Some((value, why)) => {
            Error::usage(subject, format_args!("'{value}' is no value for it")).advise(why.to_string())
        }
        None => {
            Error::usage(subject, problem).advise("`bivouac config --example` shows how settings are written")
        }
    }
}

/// Advice about an unknown name: the known names that begin like it, or all of them if they are few.
fn names_like(problem: &str, known: &str) -> String {
    let begin = |name: &str| name.chars().take(3).collect::<String>();
    let unknown = begin(problem.split('`').nth(1).unwrap_or_default());
    let like: Vec<_> = known.split(", ").filter(|name| begin(name.trim_matches('`')) == unknown).collect();
    match (like.is_empty(), known.len() <= 60) {
        (false, _) => format!("did you mean {}?", like.join(" or ")),
        (true, true) => format!("known are {known}"),
        (true, false) => "settings have the names of options; bivouac.toml(5) lists them".to_string(),
    }
}

/// The text of a file. If it is a named pipe without a writer, a plain open would wait for one, at a time when no signal is
/// received yet. So this does not wait, and such a pipe has an empty text.
fn text_of(path: &Path) -> std::io::Result<String> {
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    rustix::io::ioctl_fionbio(&file, false)?;
    std::io::read_to_string(file.take(LARGEST + 1))
}

/// A value as it would follow an option. Numbers need no quotes.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Text(String),
    Whole(i64),
    Broken(f64),
}

/// Reads a value with the function that reads the option of the same name.
fn scalar<'de, D: Deserializer<'de>, T>(
    from: D,
    parse: impl Fn(&str) -> std::result::Result<T, String>,
) -> std::result::Result<Option<T>, D::Error> {
    let text = match Scalar::deserialize(from).map_err(|_| D::Error::custom("expected a text or a number"))? {
        Scalar::Text(text) => text,
        Scalar::Whole(number) => number.to_string(),
        Scalar::Broken(number) => number.to_string(),
    };
    parse(&text).map(Some).map_err(|why| D::Error::custom(format_args!("'{text}': {why}")))
}

/// Each reads the value of a setting as the option of the same name is read.
macro_rules! settings {
    ($($setting:ident: $type:ty = $parse:path;)*) => {$(
        fn $setting<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<Option<$type>, D::Error> {
            scalar(from, $parse)
        }
    )*};
}

settings! {
    jobs: usize = parse::workers;
    rate: u64 = parse::rate;
    grace: Grace = parse::grace;
    duration: Duration = parse::duration;
    interval: Duration = parse::interval;
    spill_limit: u64 = parse::block;
    stop_code: u8 = parse::stop_code;
    listen: SocketAddr = parse::listen;
}

/// A command for `sh`, always a text.
fn command<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<Option<OsString>, D::Error> {
    String::deserialize(from).map(|command| Some(command.into()))
}

/// The table `[signals]`. It is read row by row, and each half of a row has its own type, so that an error names
/// a line and not the table.
fn signals<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<BTreeMap<Signal, Request>, D::Error> {
    from.deserialize_map(Rows)
}

struct Rows;

impl<'de> Visitor<'de> for Rows {
    type Value = BTreeMap<Signal, Request>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("rows like USR2 = \"stop\"")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
        let mut rows = BTreeMap::new();
        while let Some(signal) = map.next_key_seed(NotIn(&rows))? {
            let Meant(request) = map.next_value()?;
            rows.insert(signal, request);
        }
        Ok(rows)
    }
}

/// A signal that has no row yet: `USR2` and `SIGUSR2` are two keys to TOML.
struct NotIn<'a>(&'a BTreeMap<Signal, Request>);

impl<'de> DeserializeSeed<'de> for NotIn<'_> {
    type Value = Signal;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> std::result::Result<Signal, D::Error> {
        let signal = policy::signal_named(&String::deserialize(from)?).map_err(D::Error::custom)?;
        match self.0.contains_key(&signal) {
            true => Err(D::Error::custom(format_args!("{signal} has two rows"))),
            false => Ok(signal),
        }
    }
}

struct Meant(Request);

impl<'de> Deserialize<'de> for Meant {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        String::deserialize(from)?.parse().map(Self).map_err(|why: Error| D::Error::custom(why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config> {
        Config::parse(text, Path::new("c.toml"))
    }

    #[test]
    fn it_says_what_the_options_say() {
        let config = parse(
            r#"
            jobs = 2
            max-jobs = "8"
            limit-rate = "50MiB/s"
            grace = "inf"
            kill-after = 0.5
            checkpoint-every = "250ms"
            max-runtime = "2h"
            spill-limit = "2GiB"
            stop-code = 85
            on-stop = "mail -s stopped me"
            [log]
            file = "/var/log/b.log"
            format = "json"
            level = "debug"
            [signals]
            USR2 = "checkpoint"
            SIGHUP = "ignore"
            "#,
        )
        .unwrap();
        assert_eq!((config.jobs, config.max_jobs, config.stop_code), (Some(2), Some(8), Some(85)));
        assert_eq!(config.limit_rate, Some(50 << 20));
        assert_eq!(config.grace, Some(Grace(None)));
        assert_eq!(config.kill_after, Some(Duration::from_millis(500)));
        assert_eq!(config.checkpoint_every, Some(Duration::from_millis(250)));
        assert_eq!(config.max_runtime, Some(Duration::from_secs(7200)));
        assert_eq!(config.spill_limit, Some(2 << 30));
        assert_eq!(config.on_stop, Some("mail -s stopped me".into()));
        assert_eq!(config.log.file, Some(PathBuf::from("/var/log/b.log")));
        assert_eq!((config.log.format, config.log.level), (Some(LogFormat::Json), Some(LogLevel::Debug)));
        assert_eq!(config.signals[&Signal::SIGUSR2], Request::Checkpoint);
        assert_eq!(config.signals[&Signal::SIGHUP], Request::Ignore);
        assert_eq!(parse("").unwrap(), Config::default());
    }

    /// The parser names all that it knows when it meets a name that it does not know.
    #[test]
    fn the_table_has_all_that_the_parser_knows() {
        let known = |text: &str| {
            let said = toml::from_str::<Config>(text).unwrap_err().to_string();
            let (_, names) = said.split_once("expected one of ").unwrap();
            names.split('`').skip(1).step_by(2).map(str::to_string).collect::<Vec<_>>()
        };
        let tables = ["log", "signals"].map(str::to_string);
        let plain = known("x = 1").into_iter().filter(|name| !tables.contains(name));
        let names: Vec<_> =
            plain.chain(known("[log]\nx = 1").into_iter().map(|name| format!("log.{name}"))).collect();
        assert_eq!(names, KEYS.map(|key| key.name.to_string()));
        let verb = keys::verb();
        assert!(KEYS.iter().all(|key| key.option(&verb).is_some()), "each is an option");
    }

    #[test]
    fn the_example_sets_nothing_and_each_of_its_settings_can_be_read() {
        let example = keys::example();
        assert_eq!(parse(&example).unwrap(), Config::default());
        let is_setting = |line: &&str| line.starts_with('#') && !line.starts_with("# ") && *line != "#";
        let settings = example.lines().filter(is_setting).count();
        let all = example.lines().map(|line| if is_setting(&line) { &line[1..] } else { line });
        let all = parse(&all.collect::<Vec<_>>().join("\n")).unwrap();
        assert_eq!(settings, KEYS.len() + policy::DEFAULTS.len());
        assert_eq!(all.signals.into_iter().collect::<Vec<_>>().len(), policy::DEFAULTS.len());
        for line in example.lines().filter(|line| line.starts_with("# ")) {
            assert!(line.chars().count() <= 100, "{line}");
        }
    }

    #[test]
    fn a_variable_is_read_as_its_setting_and_an_error_names_it() {
        let read = |set: &[(&str, &str)]| {
            Config::from_environment(|name| {
                set.iter().find(|(is, _)| *is == name).map(|(_, value)| OsString::from(value))
            })
        };
        let set = [
            ("BIVOUAC_JOBS", "3"),
            ("BIVOUAC_LOG_FORMAT", "json"),
            ("BIVOUAC_GRACE", ""),
            ("BIVOUAC_SEQ", "1"),
        ];
        let config = read(&set).unwrap();
        assert_eq!((config.jobs, config.log.format, config.grace), (Some(3), Some(LogFormat::Json), None));
        let file = parse("jobs = 1\nkill-after = 9\n[log]\nlevel = 'warn'").unwrap();
        let both = config.or(file);
        assert_eq!((both.jobs, both.kill_after), (Some(3), Some(Duration::from_secs(9))));
        assert_eq!((both.log.format, both.log.level), (Some(LogFormat::Json), Some(LogLevel::Warn)));
        for (name, value, why) in [
            ("BIVOUAC_JOBS", "many", "BIVOUAC_JOBS: 'many' is no value for it\n  expected 1 to"),
            ("BIVOUAC_LOG_LEVEL", "x", "BIVOUAC_LOG_LEVEL: "),
        ] {
            let error = read(&[(name, value)]).unwrap_err().to_string();
            assert!(error.starts_with(why), "{error}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, parts) in [
            ("\njob = 3", ["c.toml, line 2: unknown field `job`", "did you mean", "`jobs`?"]),
            ("x = 3", ["c.toml, line 1: unknown field `x`", "names of options", "bivouac.toml(5)"]),
            ("[log]\nx = 3", ["c.toml, line 2: unknown field `x`", "`file`", "`level`"]),
            ("jobs = \"x\"", ["line 1", "'x'", "`4`"]),
            ("jobs = [1]", ["line 1", "expected a text or a number", ""]),
            ("grace = \"soon\"", ["line 1", "'soon'", "`90s`"]),
            ("stop-code = 3", ["line 1", "'3'", "6 to 125"]),
            ("[signals]\nKILL = \"stop\"", ["line 2", "SIGKILL", "kernel"]),
            ("[signals]\nUSR2 = \"explode\"", ["line 2", "'explode'", "checkpoint"]),
            // The keys come sorted.
            ("[signals]\nUSR2 = \"stop\"\nSIGUSR2 = \"die\"", ["line 2", "SIGUSR2", "two rows"]),
            ("[log]\nformat = \"xml\"", ["line 2", "`xml`", "json"]),
            ("jobs = ", ["line 1", "", ""]),
        ] {
            let error = parse(text).expect_err(text);
            assert_eq!(error.kind(), bivouac::error::Kind::Usage);
            for part in parts {
                assert!(error.to_string().contains(part), "{text}: {error}");
            }
        }
    }
}
