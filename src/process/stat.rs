//! What the kernel says of any process, in one line of text.

use memchr::memrchr;
use nix::unistd::Pid;
use std::fs::{self, File};
use std::io::Read;

/// The beginning of `/proc/PID/stat`, as far as somebody here wants to know it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stat {
    /// `R`, `S`, `T`, `Z` and so on.
    pub(super) state: char,
    pub(super) parent: i32,
    pub(super) group: i32,
    pub(super) session: i32,
    /// The signals up to 31 for which it has a handler, SIGHUP in the lowest bit. Told until it is reaped.
    caught: u32,
}

impl Stat {
    /// `None` if there is no such process. The name in front of the fields may hold any bytes, also `) `, so
    /// the last one counts. The line has some fifty numbers: one call reads it.
    pub(super) fn of(pid: Pid) -> Option<Self> {
        let mut line = [0; 2048];
        let length = File::open(format!("/proc/{pid}/stat")).ok()?.read(&mut line).ok()?;
        let behind_name = memrchr(b')', &line[..length])? + 2;
        let mut fields = str::from_utf8(line.get(behind_name..length)?).ok()?.split(' ');
        let state = fields.next()?.chars().next()?;
        let mut number = || fields.next()?.parse().ok();
        let (parent, group, session) = (number()?, number()?, number()?);
        // The 34th of all, as proc_pid_stat(5) counts them; the last one here was the sixth.
        let caught = fields.nth(34 - 6 - 1)?.parse().ok()?;
        Some(Self { state, parent, group, session, caught })
    }

    /// Whether it has, or had at its end, a handler for SIGTERM.
    pub(super) fn catches_sigterm(self) -> bool {
        self.caught & (1 << (libc::SIGTERM - 1)) != 0
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

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::wait::{Id, WaitPidFlag, waitid};
    use std::process::{Command, Stdio};

    #[test]
    fn of_one_that_has_ended_it_is_still_told_what_it_would_have_heard() {
        for (text, catches) in [("trap 'exit 0' TERM; :", true), ("trap : HUP; :", false)] {
            let mut child = Command::new("bash").args(["-c", text]).stdout(Stdio::null()).spawn().unwrap();
            let pid = Pid::from_raw(child.id() as i32);
            waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).unwrap();
            let stat = Stat::of(pid).unwrap();
            assert_eq!((stat.is_over(), stat.catches_sigterm()), (true, catches), "{text}");
            assert_eq!(stat.parent, std::process::id() as i32);
            child.wait().unwrap();
        }
    }
}
