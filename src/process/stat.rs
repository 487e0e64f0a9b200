//! What the kernel says of any process, in one line of text.

use nix::unistd::Pid;
use std::fs;

/// The beginning of `/proc/PID/stat`, as far as somebody here wants to know it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stat {
    /// `R`, `S`, `T`, `Z` and so on.
    pub(super) state: char,
    pub(super) parent: i32,
    pub(super) group: i32,
    pub(super) session: i32,
}

impl Stat {
    /// `None` if there is no such process. The name in front of the fields may hold anything, also `) `, so
    /// the last one counts.
    pub(super) fn of(pid: Pid) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let mut fields = stat.rsplit_once(") ")?.1.split(' ');
        let state = fields.next()?.chars().next()?;
        let mut number = || fields.next()?.parse().ok();
        Some(Self { state, parent: number()?, group: number()?, session: number()? })
    }

    /// Whether it has ended, and only its number is left.
    pub(super) fn is_over(self) -> bool {
        matches!(self.state, 'Z' | 'X')
    }
}

/// The numbers of all processes.
pub(super) fn all() -> impl Iterator<Item = Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok().map(Pid::from_raw))
}
