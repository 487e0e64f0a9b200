//! The watcher ends the commands of a bivouac that was killed.
//!
//! SIGKILL gives bivouac no time, and its commands go on: they write, they hold memory, and the next run starts the same
//! tasks beside them. The obvious remedies fall short. `PR_SET_PDEATHSIG` follows the *thread* that started the child, so
//! it kills commands whenever a worker ends, and it does not reach grandchildren. A new pid namespace needs rights and
//! shows commands other process ids. A cgroup of our own must come from the batch system.
//!
//! So there is a second process, which does nothing until the first is gone. It holds the reading end of a pipe, and only
//! bivouac has the writing end; the kernel closes that however bivouac ends. Then the watcher kills the processes of
//! commands that ran at that moment or that had been ended. It finds them by an environment variable with the mark of
//! bivouac and the number of the command, which descendants inherit also after `setsid`, and by the process group of a
//! command that ran (`src/process/process_groups.rs`). Processes that a command left behind after it ended well live. Until
//! all that is done the watcher also holds the lock of the state, so no new run starts beside the orphans of the old one.
//!
//! The obvious mark is the name of the run in the state. But the next run has the same name, and so has a copy of the
//! state: its watcher would kill the commands of the other. So a mark belongs to one process (`mark_of`).
//!
//! The watcher also has work after an orderly end, if a command was ended: a descendant that called `setsid` is not in the
//! group that was told. It then reports the processes that it has killed.
//!
//! The cost is one process per run, and two writes of eight bytes to memory per command. A process survives if it has left
//! both the environment variable and the group (`env -i setsid`), or only the variable if its command has ended; so does
//! one of another user. All signals but KILL and STOP are blocked in the watcher. If it is killed as well, commands go on.

use super::process_groups::{Entries, ProcessGroups};
use super::spawn::RUN;
use crate::error::{Error, Result};
use crate::signals::Masked;
use crate::sys::proc_stat::{self, Stat, command_line_of};
use crate::task::command::Tag;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::SigSet;
use nix::sys::stat::Mode;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// The first argument that makes a program the watcher; its `main` passes the second, the mark, to [`watch`].
pub const VERB: &str = "__watch";

/// The descriptor under which the watcher holds the lock.
const LOCK: i32 = 3;

/// The descriptor under which it finds the process groups of the commands.
const GROUPS: i32 = 4;

/// How long the end of the run waits for the watcher. It needs a millisecond when all is well, some twenty
/// to look through all processes, and on a busy machine many times that.
const FAREWELL: Duration = Duration::from_secs(2);

/// A mark for the commands of one run of one process: no other run anywhere has it.
pub(crate) fn mark_of(run: &str) -> String {
    // The seed of the hasher of a map is random enough.
    format!("{run}-{}-{:016x}", std::process::id(), RandomState::new().hash_one(run))
}

#[derive(Debug)]
pub(crate) struct Watcher {
    pid: Pid,
    /// Closed by the kernel when we end, whatever the reason.
    life: OwnedFd,
    /// The watcher reports here the processes that it has killed.
    report: OwnedFd,
}

impl Watcher {
    /// Starts it: this very program with [`VERB`]. `lock` is the open lock of the state. Fails if the system has no
    /// process or descriptor left.
    pub(crate) fn start(
        _: &Masked,
        mark: &str,
        lock: Option<BorrowedFd<'_>>,
        groups: &ProcessGroups,
    ) -> Result<Self> {
        let failed = |errno: Errno| {
            let advice = match matches!(errno, Errno::EMFILE | Errno::ENFILE) {
                true => "raise the limit of open files (ulimit -n)",
                false => "raise the limit of processes (ulimit -u) or of memory",
            };
            Error::broken("watcher", format_args!("cannot be started: {}", errno.desc())).advise(advice)
        };
        let pipe = || nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(failed);
        let (theirs, life) = pipe()?;
        let (report, their_report) = pipe()?;
        let words =
            [CString::from(c"bivouac"), CString::from(c"__watch"), CString::new(mark).unwrap_or_default()];
        let spawn = || -> nix::Result<Pid> {
            let mut actions = PosixSpawnFileActions::init()?;
            actions.add_dup2(theirs.as_raw_fd(), libc::STDIN_FILENO)?;
            // Our own standard output may be a pipe, and its reader waits for the last writer.
            actions.add_dup2(their_report.as_raw_fd(), libc::STDOUT_FILENO)?;
            actions.add_open(libc::STDERR_FILENO, c"/dev/null", OFlag::O_WRONLY, Mode::empty())?;
            if let Some(lock) = lock {
                actions.add_dup2(lock.as_raw_fd(), LOCK)?;
            }
            actions.add_dup2(groups.descriptor().as_raw_fd(), GROUPS)?;
            let mut attributes = PosixSpawnAttr::init()?;
            attributes.set_flags(
                PosixSpawnFlags::POSIX_SPAWN_SETPGROUP | PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK,
            )?;
            attributes.set_pgroup(Pid::from_raw(0))?;
            attributes.set_sigmask(&SigSet::all())?;
            // Without an environment, or the watcher of an outer bivouac would take it for a command.
            posix_spawn(c"/proc/self/exe", &actions, &attributes, &words, &[] as &[CString])
        };
        let pid = spawn().map_err(failed)?;
        Ok(Self { pid, life, report })
    }

    /// Whether it was killed: otherwise it ends after us. [`dismiss`](Watcher::dismiss) reaps it.
    pub(crate) fn has_ended(&self) -> bool {
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        !matches!(waitid(Id::Pid(self.pid), look), Ok(WaitStatus::StillAlive) | Err(Errno::EINTR))
    }

    /// The run is over. `all_is_well`: nothing is left to watch. Otherwise this waits until the watcher has done
    /// its work, so that no process is left when this one ends. Returns a line for each process that it has killed.
    pub(crate) fn dismiss(self, all_is_well: bool) -> Vec<String> {
        if all_is_well {
            rustix::io::write(&self.life, b"q").ok();
        }
        drop(self.life);
        let end = Instant::now() + FAREWELL;
        let report = read_until(&self.report, end);
        while Instant::now() < end {
            match waitpid(self.pid, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) => std::thread::sleep(Duration::from_micros(200)),
                Ok(_) | Err(_) => break,
            }
        }
        report.lines().map(String::from).collect()
    }
}

fn read_until(pipe: &OwnedFd, end: Instant) -> String {
    let mut bytes = Vec::new();
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let left = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
        let mut piece = [0; 4096];
        match poll(&mut [PollFd::new(pipe, PollFlags::IN)], Some(&left)) {
            Err(rustix::io::Errno::INTR) => {}
            Ok(1) => match rustix::io::read(pipe, &mut piece) {
                Err(rustix::io::Errno::INTR) => {}
                Ok(read @ 1..) => bytes.extend_from_slice(&piece[..read]),
                Ok(0) | Err(_) => break,
            },
            Ok(_) | Err(_) => break,
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The whole life of the watcher: to be called by a program that was started with [`VERB`].
pub fn watch(mark: &str) {
    // The watcher must not keep a directory busy.
    std::env::set_current_dir("/").ok();
    let mut word = [0];
    loop {
        match io::stdin().read(&mut word) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(1) => return,
            Ok(_) | Err(_) => break,
        }
    }
    kill_all(mark);
}

struct Wanted {
    /// The beginning of the mark of a command; its number follows.
    mark: String,
    entries: Entries,
    /// Our session, which is that of every command that has not left its group.
    session: i32,
}

/// Kills until two looks in a row find no process: one that is killed may have been about to start another.
fn kill_all(mark: &str) {
    let wanted = Wanted {
        mark: format!("{mark}/"),
        entries: Entries::read(GROUPS),
        session: nix::unistd::getsid(None).map_or(0, Pid::as_raw),
    };
    let (mut quiet, mut told) = (0, BTreeSet::new());
    for _ in 0..1000 {
        let mut found = false;
        for pid in proc_stat::all().filter(|pid| wanted.is(*pid)) {
            let line = command_line_of(pid);
            if wanted.kill(pid) {
                found = true;
                if told.insert(pid) {
                    // Without a reader, if bivouac was killed.
                    writeln!(io::stdout(), "pid {pid} ({line})").ok();
                }
            }
        }
        quiet = if found { 0 } else { quiet + 1 };
        if quiet == 2 {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Wanted {
    /// Whether it is one of them. A free number may become that of another group, but hardly in our session.
    fn is(&self, pid: Pid) -> bool {
        let in_group = |stat: Stat| self.entries.groups.contains(&stat.group) && stat.session == self.session;
        self.knows(pid) || Stat::of(pid).is_some_and(|stat| !stat.is_over() && in_group(stat))
    }

    /// Whether it has our mark in its environment, with the number of a command that is ours. The environment of a
    /// process that has ended is empty, and that of another user cannot be read.
    fn knows(&self, pid: Pid) -> bool {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let prefix = [RUN.as_bytes(), b"="].concat();
        let value = environment.split(|byte| *byte == 0).find_map(|entry| entry.strip_prefix(&*prefix));
        let Some(marks) = value.and_then(|value| str::from_utf8(value).ok()) else { return false };
        let tag = marks.split(',').find_map(|mark| mark.strip_prefix(&self.mark)).and_then(Tag::parse);
        tag.is_some_and(|tag| self.entries.is_ours(tag))
    }

    /// The number may belong to another process by now. The descriptor cannot, so this looks again.
    fn kill(&self, pid: Pid) -> bool {
        let Some(number) = rustix::process::Pid::from_raw(pid.as_raw()) else { return false };
        let Ok(process) = pidfd_open(number, PidfdFlags::empty()) else { return false };
        self.is(pid) && pidfd_send_signal(&process, Signal::KILL).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The watcher of a run that was killed must not take the commands of the next one for its own.
    #[test]
    fn two_runs_of_one_job_have_two_marks() {
        assert_ne!(mark_of("a job"), mark_of("a job"));
    }
}
