//! Numbers and names as people read them.

use bytesize::ByteSize;
use std::time::Duration;

/// `1.2 KiB`.
pub(crate) fn size(bytes: u64) -> String {
    ByteSize(bytes).display().iec().to_string()
}

/// `3 tasks`, `1 task`. For nouns that form their plural with an s.
pub(crate) fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
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

/// `0:07`, `12:34`, `3:00:00`: a clock that counts down.
pub(crate) fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// What a person calls the tasks of a job. Both are counted from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum TaskWord {
    #[default]
    Task,
    /// For `each`.
    Item,
}

impl TaskWord {
    pub(crate) fn of_job(name: &str) -> Self {
        if name == "each" { Self::Item } else { Self::Task }
    }

    pub(crate) fn singular(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Item => "item",
        }
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
    fn sizes_are_binary() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(1229), "1.2 KiB");
        assert_eq!(size(3 << 30), "3.0 GiB");
    }
}
