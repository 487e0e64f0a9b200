//! No command outlives a bivouac that was killed.
//!
//! SIGKILL gives no time for anything, and then the commands go on: they write, they hold memory, and
//! the run that continues starts the same tasks beside them. What there is against it falls short:
//! `PR_SET_PDEATHSIG` follows the *thread* that started the child, so it kills commands whenever a
//! worker ends, and it does not reach grandchildren; a new pid namespace needs rights and changes what
//! commands see; a cgroup of one's own is the batch system's to give.
//!
//! So there is a second process, which does nothing until the first is gone. It holds the reading end
//! of a pipe whose writing end only bivouac has; the kernel closes that however bivouac ends. Then it
//! kills every process that carries the name of this run in its environment, which descendants inherit
//! also after `setsid`, and every one that is in the group of a command which ran then, whatever its
//! environment (`src/process/register.rs`). Until that is done it holds the lock of the state too, so that no new run can
//! begin beside the orphans of the old one.
//!
//! It has work to do also after an orderly end, if some command had to be ended: a descendant that
//! called `setsid` is not in the group that was told.
//!
//! What it costs: one process per run, and two writes of four bytes to memory per command. What it cannot
//! do: find a descendant that cleared its environment and left the group of its command (`env -i setsid`),
//! or whose command has ended; or one that belongs to another user. And if somebody kills the watcher as
//! well, nobody is left. All signals but KILL and STOP are blocked in it.

use super::register::{Register, groups_in};
use super::spawn::RUN;
use super::stat::{self, Stat};
use crate::error::{Error, Result};
use crate::signals::Masked;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::SigSet;
use nix::sys::stat::Mode;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;
use rustix::process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::ffi::CString;
use std::fs;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// What the program is called with to be the watcher; behind it comes the name of the run. Its `main`
/// hands both to [`watch`].
pub const VERB: &str = "__watch";

/// The descriptor under which the watcher holds the lock.
const LOCK: i32 = 3;

/// The descriptor under which it finds which commands run.
const REGISTER: i32 = 4;

/// How long the watcher is waited for at the end. It needs a millisecond when all is well, some twenty
/// when it has to look through all processes.
const FAREWELL: Duration = Duration::from_millis(500);

/// The watcher, seen from bivouac.
#[derive(Debug)]
pub(crate) struct Watcher {
    pid: Pid,
    /// Closed by the kernel when we end, whatever the reason.
    life: OwnedFd,
}

impl Watcher {
    /// Starts it: this very program with [`VERB`]. `lock` is the open lock of the state.
    ///
    /// # Errors
    ///
    /// The system has no process or descriptor left.
    pub(crate) fn start(
        _: &Masked,
        run: &str,
        lock: Option<BorrowedFd<'_>>,
        register: &Register,
    ) -> Result<Self> {
        let failed = |errno: Errno| {
            let advice = match matches!(errno, Errno::EMFILE | Errno::ENFILE) {
                true => "raise the limit of open files (ulimit -n)",
                false => "raise the limit of processes (ulimit -u) or of memory, or end some of them",
            };
            Error::broken("watcher", format_args!("cannot be started: {}", errno.desc())).advise(advice)
        };
        let (theirs, life) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
            .map_err(|errno| failed(Errno::from_raw(errno.raw_os_error())))?;
        let words =
            [CString::from(c"bivouac"), CString::from(c"__watch"), CString::new(run).unwrap_or_default()];
        let spawn = || -> nix::Result<Pid> {
            let mut actions = PosixSpawnFileActions::init()?;
            actions.add_dup2(theirs.as_raw_fd(), libc::STDIN_FILENO)?;
            // It must not keep a pipe open whose reader waits for the end.
            actions.add_open(libc::STDOUT_FILENO, c"/dev/null", OFlag::O_WRONLY, Mode::empty())?;
            actions.add_dup2(libc::STDOUT_FILENO, libc::STDERR_FILENO)?;
            if let Some(lock) = lock {
                actions.add_dup2(lock.as_raw_fd(), LOCK)?;
            }
            actions.add_dup2(register.descriptor().as_raw_fd(), REGISTER)?;
            let mut attributes = PosixSpawnAttr::init()?;
            attributes.set_flags(
                PosixSpawnFlags::POSIX_SPAWN_SETPGROUP | PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK,
            )?;
            attributes.set_pgroup(Pid::from_raw(0))?;
            attributes.set_sigmask(&SigSet::all())?;
            // Without an environment, so that the watcher of an outer bivouac does not take it for a
            // command of its own.
            posix_spawn(c"/proc/self/exe", &actions, &attributes, &words, &[] as &[CString])
        };
        let pid = spawn().map_err(failed)?;
        Ok(Self { pid, life })
    }

    /// Whether somebody has killed it: otherwise it ends after us. It stays to be reaped by
    /// [`dismiss`](Watcher::dismiss).
    pub(crate) fn has_ended(&self) -> bool {
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        !matches!(waitid(Id::Pid(self.pid), look), Ok(WaitStatus::StillAlive) | Err(Errno::EINTR))
    }

    /// The run is over. `all_is_well`: nothing is left to watch. Otherwise the watcher does what it
    /// is there for, and is waited for, so that nobody is left when this process ends.
    pub(crate) fn dismiss(self, all_is_well: bool) {
        if all_is_well {
            rustix::io::write(&self.life, b"q").ok();
        }
        drop(self.life);
        let end = Instant::now() + FAREWELL;
        while Instant::now() < end {
            match waitpid(self.pid, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) => std::thread::sleep(Duration::from_micros(200)),
                Ok(_) | Err(_) => return,
            }
        }
    }
}

/// The whole life of the watcher: to be called by a program that was started with [`VERB`].
pub fn watch(run: &str) {
    // Nothing of what the first process had open is needed here, and a directory must not be kept busy.
    std::env::set_current_dir("/").ok();
    let mut word = [0];
    loop {
        match io::stdin().read(&mut word) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(1) => return,
            Ok(_) | Err(_) => break,
        }
    }
    kill_all(run);
}

/// Whom the watcher is after.
struct Wanted {
    mark: Vec<u8>,
    /// Commands that ran in the end, each the leader of a group of its own.
    groups: Vec<i32>,
    /// Ours, and that of every command that has not left its group.
    session: i32,
}

/// Until two looks in a row find nobody: one that is killed may have been about to start another.
fn kill_all(run: &str) {
    let wanted = Wanted {
        mark: [RUN.as_bytes(), b"=", run.as_bytes()].concat(),
        groups: groups_in(REGISTER),
        session: nix::unistd::getsid(None).map_or(0, Pid::as_raw),
    };
    let mut quiet = 0;
    for _ in 0..1000 {
        let found = stat::all().filter(|pid| wanted.is(*pid) && wanted.kill(*pid)).count();
        quiet = if found == 0 { quiet + 1 } else { 0 };
        if quiet == 2 {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Wanted {
    /// Whether it is one of them. A number of a group may be given away again when the whole group is gone;
    /// then the new one is hardly in our session.
    fn is(&self, pid: Pid) -> bool {
        let in_group = |stat: Stat| self.groups.contains(&stat.group) && stat.session == self.session;
        carries(pid, &self.mark) || Stat::of(pid).is_some_and(|stat| !stat.is_over() && in_group(stat))
    }

    /// The number may have been given away since we looked; the descriptor cannot, so we look once more
    /// when we have it.
    fn kill(&self, pid: Pid) -> bool {
        let Some(number) = rustix::process::Pid::from_raw(pid.as_raw()) else { return false };
        let Ok(process) = pidfd_open(number, PidfdFlags::empty()) else { return false };
        self.is(pid) && pidfd_send_signal(&process, Signal::KILL).is_ok()
    }
}

/// Whether the process has the mark in its environment. That of a process that has ended is empty, and
/// that of somebody else cannot be read.
fn carries(pid: Pid, mark: &[u8]) -> bool {
    let path = format!("/proc/{pid}/environ");
    fs::read(path).is_ok_and(|environment| environment.split(|byte| *byte == 0).any(|entry| entry == mark))
}
