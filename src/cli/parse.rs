//! Sizes, durations and counts as people write them.
//!
//! Crates do the parsing; the sentence when it fails is ours. "invalid float literal" does not say what to type
//! instead, so every error here ends with an example. clap puts the value and the name of the option before it.
//!
//! And everything has an upper bound. `Instant + Duration` panics when it leaves the range of the clock, and
//! `--grace 999999999999h` must be refused now, not at the first signal.

use bivouac::{Halt, HaltOn, Request};
use bytesize::ByteSize;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use nix::sys::signal::Signal;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZero;
use std::time::{Duration, SystemTime};

/// A hundred years: longer than any job, far from the end of any clock.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Which shard of a job, as it was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    /// From 1; `None`: a variable of the scheduler has it.
    pub(crate) number: Option<u64>,
    pub(crate) of: NonZero<u64>,
}

/// More shards than any scheduler has elements in an array.
const MOST_SHARDS: u64 = 10_000;

pub(crate) fn shard(text: &str) -> Result<Shard, String> {
    const EXAMPLE: &str = "expected K/N with K from 1 to N, such as `3/8`, or `auto/8`";
    let wrong = || EXAMPLE.to_string();
    let (number, of) = text.split_once('/').ok_or_else(wrong)?;
    let of = of.parse::<NonZero<u64>>().ok().filter(|of| of.get() <= MOST_SHARDS).ok_or_else(wrong)?;
    let number = match number {
        "auto" => None,
        number => {
            Some(number.parse().ok().filter(|number| (1..=of.get()).contains(number)).ok_or_else(wrong)?)
        }
    };
    Ok(Shard { number, of })
}

/// How long tasks in flight may go on after a stop; `None` is `inf`.
///
/// A type of its own because clap takes a field of type `Option` to mean "may be left out".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grace(pub(crate) Option<Duration>);

pub(crate) fn grace(text: &str) -> Result<Grace, String> {
    match text {
        "inf" => Ok(Grace(None)),
        _ => match duration(text) {
            Ok(time) => Ok(Grace(Some(time))),
            Err(why) => Err(format!("{why}, or `inf`")),
        },
    }
}

/// A time with a unit (`90s`, `2h`, `1m 30s`), or plain seconds (`0.5`).
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    not_negative(text, "`90s`, `2h` or `0.5`")?;
    const EXAMPLE: &str = "expected a duration such as `90s`, `2h` or `0.5`";
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let parsed = if plain {
        text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
    } else {
        let text = if text.starts_with('.') { format!("0{text}") } else { text.to_string() };
        humantime::parse_duration(&text).ok()
    };
    match parsed {
        None => Err(EXAMPLE.to_string()),
        Some(time) if time > LONGEST => {
            Err("longer than a hundred years; an example is `90s` or `2h`".to_string())
        }
        Some(time) => Ok(time),
    }
}

pub(crate) fn interval(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("must be more than zero, as in `1s` or `100ms`".to_string()),
        time => Ok(time),
    }
}

/// Where to answer: a port of this machine alone, or an address.
pub(crate) fn listen(text: &str) -> Result<SocketAddr, String> {
    let local = text.strip_prefix("localhost:").unwrap_or(text);
    let port = local.parse().map(|port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    port.or_else(|_| text.parse())
        .map_err(|_| "expected a port such as `9464`, or an address such as `0.0.0.0:9464`".to_string())
}

/// A point in time: `14:30` of today, `2026-11-27`, `2026-11-27 14:30` in local time, or as in JSON with a `Z`; or how
/// long ago it was.
pub(crate) fn moment(text: &str) -> Result<SystemTime, String> {
    const EXAMPLE: &str = "expected a time such as `14:30`, `2026-11-27 14:30`, or `2h` ago";
    if let Ok(ago) = duration(text) {
        return SystemTime::now().checked_sub(ago).ok_or_else(|| EXAMPLE.to_string());
    }
    let zone = TimeZone::system();
    let today = || zone.to_datetime(Timestamp::now()).date();
    let local = text
        .parse::<DateTime>()
        .or_else(|_| text.parse::<Date>().map(|date| date.at(0, 0, 0, 0)))
        .or_else(|_| text.parse::<Time>().map(|time| time.to_datetime(today())))
        .and_then(|local| zone.to_timestamp(local));
    let at = text.parse::<Timestamp>().or(local).and_then(SystemTime::try_from);
    at.map_err(|_| EXAMPLE.to_string())
}

/// Bytes per second: a size, with or without `/s`.
pub(crate) fn rate(text: &str) -> Result<u64, String> {
    match size(text.strip_suffix("/s").unwrap_or(text))? {
        0 => Err("must not be 0, as in `16MiB`; without it there is no limit".to_string()),
        bytes => Ok(bytes),
    }
}

/// A number of bytes: `4096`, `4k` (4,000), `16MiB` (16 × 1,048,576).
pub(crate) fn size(text: &str) -> Result<u64, String> {
    not_negative(text, "`16MiB`, `4k` or `65536`")?;
    const EXAMPLE: &str = "expected a size such as `16MiB`, `16M`, `4k` or `65536`";
    let size: ByteSize = text.trim().parse().map_err(|_| EXAMPLE.to_string())?;
    // The crate saturates. A number that was cut off is not the number that was asked for.
    if size.as_u64() >= i64::MAX as u64 {
        Err(format!("larger than any file; {EXAMPLE}"))
    } else {
        Ok(size.as_u64())
    }
}

pub(crate) fn block(text: &str) -> Result<u64, String> {
    match size(text)? {
        0 => Err("must be at least one byte, as in `1MiB`".to_string()),
        bytes => Ok(bytes),
    }
}

/// Some bytes. A type of its own because clap takes a `Vec` to mean "may be given several times".
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

pub(crate) fn byte(text: &str) -> Result<u8, String> {
    match bytes(text)?.0.as_slice() {
        [byte] => Ok(*byte),
        _ => Err(r"expected one byte such as `;` or `\t`".to_string()),
    }
}

/// Bytes as people write them: `\n`, `\t`, `\r`, `\0`, `\\` and `\xHH` are escapes.
pub(crate) fn bytes(text: &str) -> Result<Bytes, String> {
    const EXAMPLE: &str = r"expected bytes such as `\n`, `\0`, `>` or `\x1e`";
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        (rest, _) = match (first, tail) {
            (b'\\', [b'n', tail @ ..]) => (tail, bytes.push(b'\n')),
            (b'\\', [b't', tail @ ..]) => (tail, bytes.push(b'\t')),
            (b'\\', [b'r', tail @ ..]) => (tail, bytes.push(b'\r')),
            (b'\\', [b'0', tail @ ..]) => (tail, bytes.push(0)),
            (b'\\', [b'\\', tail @ ..]) => (tail, bytes.push(b'\\')),
            (b'\\', [b'x', high, low, tail @ ..]) => {
                let digits = [*high, *low];
                let digits = std::str::from_utf8(&digits).map_err(|_| EXAMPLE.to_string())?;
                let byte = u8::from_str_radix(digits, 16).map_err(|_| EXAMPLE.to_string())?;
                (tail, bytes.push(byte))
            }
            (b'\\', _) => return Err(EXAMPLE.to_string()),
            (byte, tail) => (tail, bytes.push(*byte)),
        };
    }
    match bytes.is_empty() {
        true => Err(EXAMPLE.to_string()),
        false => Ok(Bytes(bytes)),
    }
}

/// The label before a line: `\n` and `\t` are escapes, and before any other character a backslash is a backslash.
#[allow(clippy::unnecessary_wraps, reason = "clap wants it so")]
pub(crate) fn tag(text: &str) -> Result<String, String> {
    let (mut made, mut characters) = (String::new(), text.chars().peekable());
    while let Some(character) = characters.next() {
        let escape = match (character, characters.peek()) {
            ('\\', Some('t')) => '\t',
            ('\\', Some('n')) => '\n',
            (character, _) => {
                made.push(character);
                continue;
            }
        };
        made.push(escape);
        characters.next();
    }
    Ok(made)
}

/// As many workers as possible: GNU parallel starts no more than this at once without being asked for it, since each
/// takes some file descriptors of the 1,024 that a process mostly has.
const MANY: usize = 252;

/// The settings that can change in a running job.
pub(crate) const SETTABLE: [&str; 6] =
    ["jobs", "rate", "limit-rate", "grace", "kill-after", "checkpoint-every"];

/// The start of a pool takes longer than linearly in its threads: 2 s for this many, minutes for ten times as many; and
/// meanwhile no signal is answered.
pub(crate) const MOST_WORKERS: usize = 1024;

/// A number of workers: `4`, or by the cores that this process may use: `50%`, `+1`, `-1`. 0 is as many as possible.
pub(crate) fn workers(text: &str) -> Result<usize, String> {
    let most = MOST_WORKERS;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let number = |digits: &str| digits.parse::<usize>().ok();
    let workers = if let Some(percent) = text.strip_suffix('%') {
        number(percent).map(|percent| (cores.saturating_mul(percent) / 100).max(1))
    } else if let Some(more) = text.strip_prefix('+') {
        number(more).map(|more| cores.saturating_add(more))
    } else if let Some(fewer) = text.strip_prefix('-') {
        number(fewer).map(|fewer| cores.saturating_sub(fewer).max(1))
    } else {
        number(text).map(|number| if number == 0 { MANY } else { number })
    };
    match workers {
        Some(workers) if (1..=most).contains(&workers) => Ok(workers),
        Some(_) | None => {
            Err(format!("expected 1 to {most}, such as `4`, or of the cores `50%`, `+1`, `-1`"))
        }
    }
}

/// Exit codes. A type of its own, as [`Bytes`] is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Codes(pub(crate) Vec<i32>);

/// `0,1`, `0-3,7`.
pub(crate) fn codes(text: &str) -> Result<Codes, String> {
    let code = |text: &str| text.parse::<i32>().ok().filter(|code| (0..=255).contains(code));
    let range = |part: &str| match part.split_once('-') {
        Some((from, to)) => Some(code(from)?..=code(to)?).filter(|range| !range.is_empty()),
        None => code(part).map(|only| only..=only),
    };
    let ranges: Option<Vec<_>> = text.split(',').map(range).collect();
    let codes = ranges.map(|ranges| ranges.into_iter().flatten().collect());
    codes.map(Codes).ok_or_else(|| "expected exit codes from 0 to 255, such as `0,1` or `0-3,7`".to_string())
}

/// Starts per time, as the time between two.
pub(crate) fn starts(text: &str) -> Result<Duration, String> {
    let interval = || {
        let (number, unit) = text.split_once('/')?;
        let unit = match unit {
            "s" | "sec" | "second" => 1,
            "m" | "min" | "minute" => 60,
            "h" | "hour" => 3600,
            _ => return None,
        };
        let number: u32 = number.parse().ok().filter(|number| *number > 0)?;
        Some(Duration::from_secs(unit) / number)
    };
    interval().ok_or_else(|| "expected starts per time, such as `10/s`, `100/m` or `500/h`".to_string())
}

/// A number of threads that run: `4`, or of the cores of the machine: `100%`, `+1`.
pub(crate) fn load(text: &str) -> Result<u64, String> {
    match text {
        "0" => Err("nothing would ever start; an example is `4` or `100%`".to_string()),
        _ => workers(text).map(|threads| threads as u64),
    }
}

pub(crate) fn whole(text: &str) -> Result<usize, String> {
    not_negative(text, "`10`")?;
    text.parse().map_err(|_| "expected a whole number, such as `10`".to_string())
}

fn not_negative(text: &str, such_as: &str) -> Result<(), String> {
    match text.strip_prefix('-') {
        Some(rest) if rest.starts_with(|first: char| first.is_ascii_digit() || first == '.') => {
            Err(format!("must not be negative; expected a value such as {such_as}"))
        }
        Some(_) => Err(format!("looks like an option; expected a value such as {such_as}")),
        None => Ok(()),
    }
}

/// When ended commands end a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HaltWhen {
    Never,
    After(Halt),
    /// The number is a share of all commands, in percent.
    AfterPercent(Halt),
}

impl HaltWhen {
    pub(crate) fn of(self, total: impl FnOnce() -> bivouac::Result<u64>) -> bivouac::Result<Option<Halt>> {
        Ok(match self {
            HaltWhen::Never => None,
            HaltWhen::After(halt) => Some(halt),
            HaltWhen::AfterPercent(halt) => {
                let tasks = u128::from(total()?) * u128::from(halt.tasks);
                Some(Halt { tasks: u64::try_from(tasks.div_ceil(100)).unwrap_or(u64::MAX).max(1), ..halt })
            }
        })
    }
}

/// `never`, `soon,fail=1`, `now,success=1`, `soon,done=50%`; and the numbers of older versions of GNU parallel.
pub(crate) fn halt(text: &str) -> Result<HaltWhen, String> {
    let text = match text {
        "0" => "never",
        "1" => "soon,fail=1",
        "2" => "now,fail=1",
        _ => text,
    };
    let halt = || {
        let (when, why) = text.split_once(',')?;
        let (on, limit) = why.split_once('=')?;
        let now = match when {
            "now" => true,
            "soon" => false,
            _ => return None,
        };
        let on = match on {
            "fail" => HaltOn::Failed,
            "success" => HaltOn::Succeeded,
            "done" => HaltOn::Done,
            _ => return None,
        };
        let number = |text: &str| text.parse().ok().filter(|number| *number > 0);
        Some(match limit.strip_suffix('%') {
            Some(percent) => {
                let tasks = number(percent).filter(|percent| *percent <= 100)?;
                HaltWhen::AfterPercent(Halt { on, tasks, now })
            }
            None => HaltWhen::After(Halt { on, tasks: number(limit)?, now }),
        })
    };
    match (text, halt()) {
        ("never", _) => Ok(HaltWhen::Never),
        (_, Some(halt)) => Ok(halt),
        (_, None) => {
            Err("expected `never`, `now,fail=1`, `soon,fail=10%`, `now,success=1`, `now,done=5`".to_string())
        }
    }
}

/// The code for a stopped job. Codes that mean something else to bivouac or to a shell are refused.
pub(crate) fn stop_code(text: &str) -> Result<u8, String> {
    match text.parse() {
        Ok(0..=5 | 126..) | Err(_) => {
            Err("expected 6 to 125, such as `85`; other codes have a meaning".to_string())
        }
        Ok(code) => Ok(code),
    }
}

/// `SIGNAL=REQUEST`.
pub(crate) fn mapping(text: &str) -> Result<(Signal, Request), String> {
    bivouac::policy::mapping(text).map_err(|error| {
        let number =
            text.split_once('=').and_then(|(signal, request)| Some((signal.parse::<i32>().ok()?, request)));
        match number.and_then(|(number, request)| Some((number, Signal::try_from(number).ok()?, request))) {
            Some((number, signal, request)) => {
                format!(
                    "{number} is {signal} on this system only; use its name: {}={request}",
                    &signal.as_str()[3..]
                )
            }
            None => error.to_string(),
        }
    })
}

/// `--max-args` is `--maxargs` to GNU parallel; one letter is another thing.
pub(crate) fn without_hyphens(name: &str) -> String {
    let (dashes, name) = name.split_at_checked(2).unwrap_or((name, ""));
    format!("{dashes}{}", name.replace(['-', '_'], ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units_or_are_seconds() {
        for (text, millis) in [
            ("90s", 90_000),
            ("2h", 7_200_000),
            ("1m30s", 90_000),
            ("1m 30s", 90_000),
            ("250ms", 250),
            ("0.5", 500),
            ("7", 7_000),
            ("0", 0),
            (".5", 500),
            (".5s", 500),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn a_moment_is_a_time_or_how_long_ago_it_was() {
        let seconds = |at: SystemTime| at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        assert_eq!(seconds(moment("2026-11-27T14:30:00Z").unwrap()), 1_795_789_800);
        let now = seconds(SystemTime::now());
        assert!((now - 7200).abs_diff(seconds(moment("2h").unwrap())) < 5);
        let [day, noon] = ["2026-11-27", "2026-11-27 12:00"].map(|text| seconds(moment(text).unwrap()));
        assert_eq!(noon - day, 12 * 3600);
        assert!(now.abs_diff(seconds(moment("14:30").unwrap())) <= 24 * 3600);
        for text in ["", "yesterday", "25:00", "2026-13-01"] {
            assert!(moment(text).unwrap_err().contains("`14:30`"), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_answered_with_an_example() {
        for text in ["", "soon", "-1", "-5s", "5 parsecs", "1.2.3", ".", "NaN", "1e9", "inf", "١s"] {
            let error = duration(text).expect_err(text);
            assert!(error.contains("`90s`"), "{text}: {error}");
        }
        for text in ["999999999999h", "9999999999999999999999", "101years"] {
            let error = duration(text).expect_err(text);
            assert!(error.contains("`90s`"), "{text}: {error}");
        }
    }

    #[test]
    fn a_grace_may_be_infinite_or_nothing_and_an_interval_may_be_neither() {
        assert_eq!(grace("inf"), Ok(Grace(None)));
        assert_eq!(grace("0"), Ok(Grace(Some(Duration::ZERO))));
        assert!(grace("never").expect_err("no grace").ends_with("or `inf`"));
        assert_eq!(interval("100ms"), Ok(Duration::from_millis(100)));
        assert!(interval("0s").is_err());
        assert!(interval("inf").is_err());
    }

    #[test]
    fn sizes_have_binary_and_decimal_units() {
        for (text, bytes) in [
            ("65536", 65_536),
            ("16MiB", 16 << 20),
            ("16Mi", 16 << 20),
            ("16M", 16_000_000),
            ("4k", 4_000),
            ("4 kB", 4_000),
            ("1.5KiB", 1_536),
            ("0", 0),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "many", "-1", "4x", "1e3", "99999999999999999999", "20EiB", "µ"] {
            assert!(size(text).expect_err(text).contains("`16MiB`"), "{text}");
        }
    }

    #[test]
    fn a_rate_may_say_that_it_is_one() {
        assert_eq!(rate("16MiB/s"), Ok(16 << 20));
        assert_eq!(rate("1000"), Ok(1000));
        assert!(rate("0").is_err());
        assert!(rate("0.3").is_err());
        assert!(rate("/s").is_err());
    }

    #[test]
    fn bytes_may_be_written_as_escapes() {
        for (text, expected) in
            [("\\n", "\n"), (">", ">"), ("\\r\\n", "\r\n"), ("a\\x41\\0", "aA\0"), ("\\\\n", "\\n")]
        {
            assert_eq!(bytes(text), Ok(Bytes(expected.as_bytes().to_vec())), "{text}");
        }
        for text in ["", "\\", "\\q", "\\x4", "\\xzz"] {
            assert!(bytes(text).expect_err(text).contains("expected bytes"), "{text}");
        }
    }

    #[test]
    fn what_stands_before_a_line_has_two_escapes() {
        assert_eq!(tag(r"a\tb\n\\x\").as_deref(), Ok("a\tb\n\\\\x\\"));
    }

    #[test]
    fn there_is_at_least_one_worker() {
        assert_eq!(workers("1"), Ok(1));
        let cores = std::thread::available_parallelism().unwrap().get();
        assert_eq!(workers("+1"), Ok(cores + 1));
        assert_eq!(workers("-1000"), Ok(1));
        assert_eq!(workers("100%"), Ok(cores));
        assert_eq!(workers("0"), Ok(MANY));
        for text in ["two", "", "%", "+", "0.5", "100000000"] {
            assert!(workers(text).expect_err(text).contains("`4`"), "{text}");
        }
    }

    #[test]
    fn codes_may_be_ranges_and_starts_come_evenly() {
        assert_eq!(codes("0-3,7"), Ok(Codes(vec![0, 1, 2, 3, 7])));
        assert_eq!(codes("255"), Ok(Codes(vec![255])));
        for text in ["", "256", "-1", "3-1", "1,", "x"] {
            assert!(codes(text).expect_err(text).contains("`0-3,7`"), "{text}");
        }
        assert_eq!(starts("10/s"), Ok(Duration::from_millis(100)));
        assert_eq!(starts("120/m"), Ok(Duration::from_millis(500)));
        assert_eq!(starts("1/h"), Ok(Duration::from_secs(3600)));
        for text in ["10", "0/s", "/s", "1/d", "-1/s"] {
            assert!(starts(text).expect_err(text).contains("`10/s`"), "{text}");
        }
        assert!(load("0").is_err() && load("100%").is_ok());
    }

    #[test]
    fn a_halt_is_soon_or_now() {
        for (number, word) in [("0", "never"), ("1", "soon,fail=1"), ("2", "now,fail=1")] {
            assert_eq!(halt(number), halt(word));
        }
        assert_eq!(halt("never"), Ok(HaltWhen::Never));
        let is = |on, tasks, now| Halt { on, tasks, now };
        assert_eq!(halt("soon,fail=3"), Ok(HaltWhen::After(is(HaltOn::Failed, 3, false))));
        assert_eq!(halt("now,success=1"), Ok(HaltWhen::After(is(HaltOn::Succeeded, 1, true))));
        let share = halt("soon,done=10%").unwrap();
        assert_eq!(share, HaltWhen::AfterPercent(is(HaltOn::Done, 10, false)));
        assert_eq!(share.of(|| Ok(11)).unwrap(), Some(is(HaltOn::Done, 2, false)));
        assert_eq!(share.of(|| Ok(0)).unwrap(), Some(is(HaltOn::Done, 1, false)));
        for text in
            ["", "3", "now", "later,fail=1", "now,fail=0", "now,fail=x", "now,fail=101%", "now,sometimes=1"]
        {
            assert!(halt(text).expect_err(text).contains("`now,fail=1`"), "{text}");
        }
    }
}
