//! The one reader of `/proc/PID/stat`, the line in which the kernel describes a process.
//!
//! The second field is the name of the program in parentheses, and a program may be named `x) R 1 (`. No other
//! field has a parenthesis, so this counts the fields after the last parenthesis. The fields have the numbers of
//! proc_pid_stat(5). A process that has ended keeps its line until it is reaped.

use memchr::memrchr;
use nix::unistd::Pid;
use std::fs::{self, File};
use std::io::Read;

/// The fields of the line that this crate uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stat {
    /// `R`, `S`, `T`, `Z` and so on, as `ps` shows it.
    pub(crate) state: char,
    pub(crate) parent: i32,
    pub(crate) group: i32,
    pub(crate) session: i32,
    /// Its own page faults, and those of the children that it has reaped.
    pub(crate) faults: u64,
    pub(crate) faults_of_children: u64,
    /// Its start, in clock ticks since boot.
    pub(crate) ticks: u64,
    /// The signals that it blocks, those that it ignores, and those that it has a handler for.
    pub(crate) blocked: Signals,
    pub(crate) ignored: Signals,
    pub(crate) caught: Signals,
}

/// A set of the signals up to 31, SIGHUP in the lowest bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Signals(u32);

impl Signals {
    pub(crate) const fn of(numbers: &[i32]) -> Self {
        let (mut bits, mut n) = (0, 0);
        while n < numbers.len() {
            bits |= 1 << (numbers[n] - 1);
            n += 1;
        }
        Self(bits)
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) const fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    pub(crate) fn has(self, number: i32) -> bool {
        self.without(Self::of(&[number])) != self
    }
}

impl Stat {
    /// `None` if there is no such process.
    pub(crate) fn of(pid: Pid) -> Option<Self> {
        // The line has about fifty numbers, so one call reads it.
        let mut line = [0; 2048];
        let length = File::open(format!("/proc/{pid}/stat")).ok()?.read(&mut line).ok()?;
        Self::read(&line[..length])
    }

    fn read(line: &[u8]) -> Option<Self> {
        let rest = str::from_utf8(line.get(memrchr(b')', line)? + 1..)?).ok()?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // The first element is field 3.
        let field = |number: usize| fields.get(number - 3).copied();
        let id = |number| field(number)?.parse().ok();
        let count = |number| field(number)?.parse::<u64>().ok();
        let signals = |number| Some(Signals(field(number)?.parse().ok()?));
        Some(Self {
            state: field(3)?.chars().next()?,
            parent: id(4)?,
            group: id(5)?,
            session: id(6)?,
            faults: count(10)? + count(12)?,
            faults_of_children: count(11)? + count(13)?,
            ticks: count(22)?,
            blocked: signals(32)?,
            ignored: signals(33)?,
            caught: signals(34)?,
        })
    }

    /// Whether it has ended and waits to be reaped.
    pub(crate) fn is_over(self) -> bool {
        matches!(self.state, 'Z' | 'X')
    }
}

pub(crate) fn all() -> impl Iterator<Item = Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok().map(Pid::from_raw))
}

/// The beginning of the command line of a process, for a message.
pub(crate) fn command_line_of(pid: Pid) -> String {
    const LONGEST: usize = 100;
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = String::from_utf8_lossy(words.strip_suffix(b"\0").unwrap_or(&words)).replace('\0', " ");
    words.chars().take(LONGEST).map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::wait::{Id, WaitPidFlag, waitid};
    use std::process::{Command, Stdio};

    #[test]
    fn a_name_with_parentheses_and_blanks_does_not_mislead() {
        // Each field is its own number, but for the state and the sets of signals.
        let numbers = (4..=31).map(|number| number.to_string());
        let rest = format!("S {} 1 2 16384 35 36", numbers.collect::<Vec<_>>().join(" "));
        let expected = Stat {
            state: 'S',
            parent: 4,
            group: 5,
            session: 6,
            faults: 10 + 12,
            faults_of_children: 11 + 13,
            ticks: 22,
            blocked: Signals::of(&[libc::SIGHUP]),
            ignored: Signals::of(&[libc::SIGINT]),
            caught: Signals::of(&[libc::SIGTERM]),
        };
        for name in ["cat", "x) R 1 (", "a b", ")", "\u{fc}"] {
            assert_eq!(Stat::read(format!("17 ({name}) {rest}").as_bytes()), Some(expected), "{name}");
        }
        assert_eq!(Stat::read(b"17 (\xff) S 1"), None);
        assert_eq!(Stat::read(b""), None);
        assert!(Stat::of(Pid::this()).unwrap().ticks > 0);
    }

    #[test]
    fn a_process_that_has_ended_still_has_its_line() {
        for (text, catches) in [("trap 'exit 0' TERM; :", true), ("trap : HUP; :", false)] {
            let mut child = Command::new("bash").args(["-c", text]).stdout(Stdio::null()).spawn().unwrap();
            let pid = Pid::from_raw(child.id() as i32);
            waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).unwrap();
            let stat = Stat::of(pid).unwrap();
            assert_eq!((stat.is_over(), stat.caught.has(libc::SIGTERM)), (true, catches), "{text}");
            assert_eq!(stat.parent, std::process::id() as i32);
            child.wait().unwrap();
        }
    }
}
