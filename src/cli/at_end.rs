//! A command for `sh` that bivouac runs once its job has ended: for `--after-warning`, and for the hooks.
//!
//! The obvious way is `std::process::Command`. It hands down the mask of this thread, and it waits for ever. Here the command
//! gets what the commands of a job get: the mask and the limit of open files with which bivouac was started, the default
//! action of SIGPIPE, SIGXFSZ and SIGCHLD, a process group of its own, `/dev/null` to read. Its standard output goes to
//! standard error, because the standard output of this process may be a result.
//!
//! The signals that end a program stay blocked from here to the end of the process, so that its exit code remains that of the
//! job. If the command has a limit of time, such a signal ends the command, and a second one kills it.

use crate::cli::format::time;
use bivouac::Signal;
use bivouac::process::{environment_of_commands, restore_open_files};
use bivouac::signals::{is_ignored, keep_exit_statuses};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::{SigSet, killpg};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use rustix::process::{PidfdFlags, pidfd_open};
use std::ffi::{CString, OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

/// How long after SIGTERM a command gets SIGKILL.
const TO_END: Duration = Duration::from_secs(2);

/// How often a wait calls the function of [`AtEnd::limit`].
const LAP: Duration = Duration::from_secs(1);

pub(crate) struct AtEnd<'a> {
    pub(crate) command: &'a OsStr,
    /// The mask with which bivouac was started.
    pub(crate) mask: SigSet,
    pub(crate) variables: Vec<(&'static str, OsString)>,
    /// How long the command may take, and a function that is called each second meanwhile. `None`: as long as it wants, and
    /// no signal ends it.
    pub(crate) limit: Option<(Duration, &'a dyn Fn())>,
}

impl AtEnd<'_> {
    /// Runs the command. If it fails, the error is a text such as "exited with 1".
    pub(crate) fn run(&self) -> Result<(), String> {
        let ended =
            ends_a_program().thread_block().and_then(|()| self.start()).and_then(|pid| self.wait(pid));
        match ended {
            Ok((WaitStatus::Exited(_, 0), _)) => Ok(()),
            Ok((WaitStatus::Exited(_, code), _)) => Err(format!("exited with {code}")),
            Ok((WaitStatus::Signaled(..), Some(why))) => Err(why),
            Ok((WaitStatus::Signaled(_, signal, _), None)) => Err(format!("was ended by {signal}")),
            Ok((status, _)) => Err(format!("did not end by itself: {status:?}")),
            Err(errno) => Err(format!("cannot be run: {}", errno.desc())),
        }
    }

    fn start(&self) -> nix::Result<Pid> {
        restore_open_files();
        keep_exit_statuses().map_err(|cause| Errno::from_raw(cause.raw_os_error().unwrap_or_default()))?;
        let mut actions = PosixSpawnFileActions::init()?;
        actions.add_open(0, c"/dev/null", nix::fcntl::OFlag::O_RDONLY, nix::sys::stat::Mode::empty())?;
        actions.add_dup2(2, 1)?;
        let mut attributes = PosixSpawnAttr::init()?;
        let flags = [
            PosixSpawnFlags::POSIX_SPAWN_SETPGROUP,
            PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK,
            PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF,
        ];
        attributes.set_flags(flags.into_iter().collect())?;
        attributes.set_pgroup(Pid::from_raw(0))?;
        attributes.set_sigmask(&self.mask)?;
        attributes.set_sigdefault(&[Signal::SIGPIPE, Signal::SIGXFSZ].into_iter().collect())?;
        let words = [c"sh", c"-c", c"--", &CString::new(self.command.as_bytes()).unwrap_or_default()];
        let own = self.variables.iter().map(|(name, value)| (OsString::from(name), value.clone()));
        let environment: Vec<CString> = environment_of_commands()
            .chain(own)
            .filter_map(|(name, value)| CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()).ok())
            .collect();
        posix_spawn(c"/bin/sh", &actions, &attributes, &words, &environment)
    }

    /// Waits for the command, and ends it after its limit or at a signal. Returns its status, and the reason if it was ended.
    fn wait(&self, pid: Pid) -> nix::Result<(WaitStatus, Option<String>)> {
        let mut why = None;
        if let Some((limit, alive)) = self.limit {
            let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
            let signals = SignalFd::with_flags(&ends_a_program(), flags)?;
            let child = rustix::process::Pid::from_raw(pid.as_raw());
            let child = child.and_then(|child| pidfd_open(child, PidfdFlags::empty()).ok());
            for (patience, signal) in [(limit, Signal::SIGTERM), (TO_END, Signal::SIGKILL)] {
                // Without a pidfd (before Linux 5.3) there is no limit.
                let Some(child) = &child else { break };
                if has_ended(child, &signals, patience, alive)? {
                    break;
                }
                let came =
                    signals.read_signal()?.and_then(|info| Signal::try_from(info.ssi_signo as i32).ok());
                why.get_or_insert_with(|| match came {
                    Some(came) => format!("was ended, because {came} came"),
                    None => format!("was ended, because it took longer than {}", time(limit)),
                });
                // The command is not reaped yet, so no other group has its number.
                killpg(pid, signal).ok();
            }
        }
        Ok((waitpid(pid, None)?, why))
    }
}

/// Waits until a child has ended, `time` is over, or a signal comes. Returns whether the child has ended.
fn has_ended(child: &OwnedFd, signals: &SignalFd, time: Duration, alive: &dyn Fn()) -> nix::Result<bool> {
    let until = Instant::now() + time;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let mut watched = [child.as_fd(), signals.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        poll(&mut watched, PollTimeout::try_from(left.min(LAP)).unwrap_or(PollTimeout::MAX))?;
        match watched.map(|fd| fd.any() == Some(true)) {
            [true, _] => return Ok(true),
            [false, is_signalled] if is_signalled || left.is_zero() => return Ok(false),
            [false, _] => alive(),
        }
    }
}

/// The signals with which a person or a manager ends a program, except those that this process ignores.
fn ends_a_program() -> SigSet {
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP]
        .into_iter()
        .filter(|signal| !is_ignored(*signal))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(command: &str, limit: Option<Duration>) -> Result<(), String> {
        let variables = vec![("BIVOUAC_EVENT", "stop".into())];
        let limit = limit.map(|limit| (limit, &(|| ()) as &dyn Fn()));
        AtEnd { command: OsStr::new(command), mask: SigSet::empty(), variables, limit }.run()
    }

    #[test]
    fn it_says_how_the_command_ended() {
        assert_eq!(run("test $BIVOUAC_EVENT = stop", None), Ok(()));
        assert_eq!(run("exit 3", Some(Duration::from_secs(60))), Err("exited with 3".to_string()));
        assert_eq!(run("kill $$", None), Err("was ended by SIGTERM".to_string()));
    }

    #[test]
    fn a_command_that_takes_too_long_is_ended_and_one_that_will_not_end_is_killed() {
        let over = Err("was ended, because it took longer than 50.0 ms".to_string());
        assert_eq!(run("sleep 60", Some(Duration::from_millis(50))), over);
        assert_eq!(run("trap '' TERM; sleep 60", Some(Duration::from_millis(50))), over);
    }
}
