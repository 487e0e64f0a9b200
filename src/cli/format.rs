//! Numbers and names as people read them.

use crate::jobs::wording::worded;
use bivouac::Error;
use bivouac::ending::Exit;
use bytesize::ByteSize;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// `1.2 KiB`.
pub(crate) fn size(bytes: u64) -> String {
    ByteSize(bytes).display().iec().to_string()
}

/// `3 tasks`, `1 task`. For nouns that form their plural with an s.
pub(crate) fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// The end of a process as a shell shows it: 143 after SIGTERM.
pub(crate) fn shell_code(exit: Exit) -> u8 {
    match exit {
        Exit::Code(code) => code,
        Exit::Signal(signal) => 128 + signal as u8,
    }
}

/// `0.8 ms`, `12.5 s`, `2h 5m 10s`: to a tenth where that is much, to a second where it is not.
pub(crate) fn time(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if time < Duration::from_secs(1) {
        format!("{:.1} ms", seconds * 1e3)
    } else if time < Duration::from_secs(60) {
        format!("{seconds:.1} s")
    } else {
        humantime::format_duration(Duration::from_secs(time.as_secs())).to_string()
    }
}

/// `1h 30m`, as an option is written.
pub(crate) fn span(time: Duration) -> String {
    humantime::format_duration(time).to_string()
}

/// `2.0 MiB/s`, or `none`: a limit.
pub(crate) fn per_second(rate: Option<u64>) -> String {
    rate.map_or("none".to_string(), |rate| format!("{}/s", size(rate)))
}

/// `0:07`, `12:34`, `3:00:00`: a clock that counts down.
pub(crate) fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// The word for the tasks of a job. People count them from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum TaskWord {
    #[default]
    Task,
    Item,
    /// Of verbs that cut their input: `count`, `grep`, `pipe`, `digest --check`.
    Chunk,
    /// Of `digest`: some small files, or a part of a large one.
    Part,
}

impl TaskWord {
    pub(crate) fn of_job(name: &str) -> Self {
        match name {
            "each" => Self::Item,
            "count" | "grep" | "pipe" | "digest --check" => Self::Chunk,
            "digest" => Self::Part,
            _ => Self::Task,
        }
    }

    pub(crate) fn singular(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Item => "item",
            Self::Chunk => "chunk",
            Self::Part => "part",
        }
    }

    /// The whole message of an error; the library has one word for the tasks of all jobs.
    pub(crate) fn worded(self, error: &Error) -> String {
        let text = worded(error);
        let renamed = error.task().and_then(|task| {
            let rest = text.strip_prefix(&Self::Task.name(task))?;
            Some(self.name(task) + rest)
        });
        renamed.unwrap_or(text)
    }

    /// `task 4` for the task with the number 3.
    pub(crate) fn name(self, task: u64) -> String {
        format!("{} {}", self.singular(), task + 1)
    }

    /// `3 tasks`.
    pub(crate) fn count(self, number: u64) -> String {
        count(number, self.singular())
    }

    /// `3 of 64 tasks`.
    pub(crate) fn of(self, done: u64, total: Option<u64>) -> String {
        match total {
            Some(total) => format!("{done} of {}", self.count(total)),
            None => self.count(done),
        }
    }
}

/// Cut off where the row ends. A character that some terminals draw in two columns counts as two.
pub(crate) fn fitted(text: &str, width: usize) -> String {
    let columns =
        |character: char| if character < '\u{1100}' || ('‐'..='⿿').contains(&character) { 1 } else { 2 };
    if text.chars().map(columns).sum::<usize>() <= width {
        return text.to_string();
    }
    let mut room = width.saturating_sub(1);
    let kept = text.chars().take_while(|character| {
        let fits = columns(*character) <= room;
        room = room.saturating_sub(columns(*character));
        fits
    });
    kept.chain(['…']).collect()
}

/// A table as text: columns as wide as what is in them, those at `right` aligned there. In a window of `width` columns
/// the last one is cut off.
pub(crate) fn in_columns<const N: usize>(
    rows: &[[String; N]],
    right: &[usize],
    width: Option<usize>,
) -> String {
    let widths: [usize; N] =
        std::array::from_fn(|at| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0));
    let line = |row: &[String; N]| {
        let cell = |at: usize| {
            let (text, width) = (&row[at], widths[at]);
            if right.contains(&at) { format!("{text:>width$}") } else { format!("{text:<width$}") }
        };
        let text = (0..N).map(cell).collect::<Vec<_>>().join("  ");
        fitted(text.trim_end(), width.unwrap_or(usize::MAX)) + "\n"
    };
    rows.iter().map(line).collect()
}

/// How long ago this was, in seconds since 1970.
pub(crate) fn since(at: u64) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Duration::from_secs(now.as_secs().saturating_sub(at))
}

/// A point in time as the clock on the wall had it, to a second: `2026-11-27 14:30:05`.
pub(crate) fn local(at: SystemTime) -> String {
    // A time that is no date comes from a damaged file.
    let Ok(at) = Timestamp::try_from(at) else { return "?".to_string() };
    TimeZone::system().to_datetime(at).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// `12 s`, `5 min`, `3 h`, `2 d`: as one number.
pub(crate) fn age(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        172_800.. => format!("{} d", seconds / 86_400),
    }
}

/// The share that is done, in percent, rounded down: 100 means all.
pub(crate) fn percent((done, total): (u64, Option<u64>)) -> Option<u64> {
    let total = total.filter(|total| *total > 0)?;
    u64::try_from(u128::from(done.min(total)) * 100 / u128::from(total)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_percent_means_all_and_an_empty_job_has_no_share() {
        assert_eq!(percent((910, Some(1000))), Some(91));
        assert_eq!(percent((999, Some(1000))), Some(99));
        assert_eq!(percent((2000, Some(1000))), Some(100));
        assert_eq!((percent((0, Some(0))), percent((3, None))), (None, None));
        assert_eq!(percent((u64::MAX, Some(u64::MAX))), Some(100));
    }

    #[test]
    fn times_are_as_exact_as_they_are_useful() {
        assert_eq!(time(Duration::from_micros(800)), "0.8 ms");
        assert_eq!(time(Duration::from_millis(12_540)), "12.5 s");
        assert_eq!(time(Duration::from_millis(7_510_700)), "2h 5m 10s");
        assert_eq!(clock(Duration::from_secs(7)), "0:07");
        assert_eq!(clock(Duration::from_secs(3 * 3600)), "3:00:00");
        assert_eq!(clock(Duration::from_secs(754)), "12:34");
    }

    #[test]
    fn a_table_is_aligned_and_cut_off_where_the_window_ends() {
        let rows = [["NAME", "N", "WHAT"], ["a", "100", "a long text"], ["longer", "-", ""]];
        let rows = rows.map(|row| row.map(str::to_string));
        assert_eq!(
            in_columns(&rows, &[1], None),
            "NAME      N  WHAT\na       100  a long text\nlonger    -\n"
        );
        assert_eq!(in_columns(&rows, &[1], Some(18)), "NAME      N  WHAT\na       100  a lo…\nlonger    -\n");
    }

    #[test]
    fn an_age_is_one_number() {
        let ages = [0, 119, 120, 7199, 7200, 172_799, 172_800].map(|at| age(Duration::from_secs(at)));
        assert_eq!(ages, ["0 s", "119 s", "2 min", "119 min", "2 h", "47 h", "2 d"]);
    }

    #[test]
    fn sizes_are_binary() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(1229), "1.2 KiB");
        assert_eq!(size(3 << 30), "3.0 GiB");
    }
}
