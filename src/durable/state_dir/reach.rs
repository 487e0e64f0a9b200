//! From a name in a lock file to a process that can be signalled.
//!
//! The obvious way reads the process id and calls `kill`. Between the two the process may end, and the kernel may give its
//! id to another process: on a busy machine ids come round within minutes. A killed process leaves its lock file. And
//! another host or container may read the file, where the id means another process.
//!
//! So the id alone proves nothing. The lock file also contains the host, its boot id, the pid namespace, and the start time
//! of the process in clock ticks since that boot. This file compares host, boot and namespace first. Then it opens the
//! process as a *pidfd*, a descriptor that stands for one process until it is closed.
//!
//! # Race condition
//!
//! 1. The process ends **before** the descriptor is opened, and the kernel uses its id again. Then the descriptor belongs to
//!    another process. So the start time is read from `/proc` **after** the descriptor is open, and after that the
//!    descriptor is asked whether its process has ended. If not, the id belonged to it all the time. So with the start time
//!    of the holder it is the holder.
//! 2. The process ends **after** that: a signal through the descriptor fails with `ESRCH`. It reaches the holder or no
//!    process.
//! 3. Two processes have the same id and the same start tick, a hundredth of a second: the ids would have to come round
//!    within it.

use super::Holder;
use crate::error::{Error, Result};
use crate::sys::proc_stat::Stat;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open, pidfd_send_signal};
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// Where the holder of a lock is, seen from here.
#[derive(Debug)]
pub enum Found {
    /// It lives, and can be signalled.
    Process(Process),
    /// It has ended; its id may belong to another process by now.
    Ended,
    /// It may live, out of reach. The text says where, as in "the job runs …".
    Elsewhere(String),
}

/// A process that is the holder of a lock, and no other.
#[derive(Debug)]
pub struct Process {
    pid: u32,
    ticks: u64,
    descriptor: OwnedFd,
}

/// Finds the process that a lock file names, and never another one (see the [module](self)). Fails when the kernel has no
/// pidfd (before Linux 5.3) or a sandbox forbids it.
pub fn find(holder: &Holder) -> Result<Found> {
    let here = Holder::ourselves();
    if holder.boot_id != here.boot_id {
        return Ok(match holder.host == here.host {
            true => Found::Ended,
            false => Found::Elsewhere(format!("on another host: {}", holder.host)),
        });
    }
    let Some(ticks) = holder.ticks else {
        let unknown = format!("as {holder}, which does not say when it was started");
        return Ok(Found::Elsewhere(unknown));
    };
    if holder.pid_namespace != here.pid_namespace {
        let namespace = holder.pid_namespace.as_deref().unwrap_or("unknown");
        return Ok(Found::Elsewhere(format!("in another pid namespace ({namespace}), perhaps a container")));
    }
    let failed = |cause: Errno| {
        Error::broken(format_args!("process {}", holder.pid), format_args!("cannot open it: {cause}"))
            .advise("this needs Linux 5.3 or newer; otherwise use `kill` with this process id")
    };
    let Some(pid) = i32::try_from(holder.pid).ok().and_then(Pid::from_raw) else {
        return Ok(Found::Ended);
    };
    let descriptor = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(descriptor) => descriptor,
        Err(Errno::SRCH) => return Ok(Found::Ended),
        Err(cause) => return Err(failed(cause)),
    };
    let process = Process { pid: holder.pid, ticks, descriptor };
    // In this order: a start time that was read before the descriptor was open proves nothing.
    let same = seen(holder.pid).is_some_and(|seen| seen.ticks == ticks);
    Ok(if same && !process.has_ended()? { Found::Process(process) } else { Found::Ended })
}

impl Process {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends it a signal; `false` when it has ended. Fails when the kernel does not permit it.
    pub fn signal(&self, signal: Signal) -> Result<bool> {
        let subject = || format!("process {}", self.pid);
        let Some(raw) = rustix::process::Signal::from_named_raw(signal as i32) else {
            return Err(Error::usage(signal, "is no signal that can be sent"));
        };
        match pidfd_send_signal(&self.descriptor, raw) {
            Ok(()) => Ok(true),
            Err(Errno::SRCH) => Ok(false),
            Err(Errno::PERM) => Err(Error::refused(
                subject(),
                format_args!("the kernel does not permit {signal}: another user's, or confined"),
            )
            .advise("do this as the user who started the job")),
            Err(cause) => Err(Error::broken(subject(), format_args!("cannot send it {signal}: {cause}"))),
        }
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> Result<bool> {
        self.wait(Duration::ZERO)
    }

    /// Waits for its end, for `time` at most. Returns whether it has ended; it need not be reaped.
    pub fn wait(&self, time: Duration) -> Result<bool> {
        wait_for_one_of(&[self], time)
    }

    /// Whether it is suspended at this moment (by Ctrl-Z, SIGTSTP or SIGSTOP). A process that has ended is not.
    pub fn is_suspended(&self) -> bool {
        seen(self.pid).is_some_and(|seen| seen.ticks == self.ticks && seen.state == 'T')
    }
}

/// Waits until one of these processes has ended, for `time` at most, and returns whether one has. Without a process it
/// waits for the time.
pub fn wait_for_one_of(processes: &[&Process], time: Duration) -> Result<bool> {
    let end = Instant::now() + time;
    let ends = processes.iter().map(|process| PollFd::new(process.descriptor.as_fd(), PollFlags::POLLIN));
    let mut asked: Vec<PollFd<'_>> = ends.collect();
    loop {
        let left = end.saturating_duration_since(Instant::now());
        // Rounded up: otherwise the loop would spin during the last millisecond.
        let patience = PollTimeout::try_from(left.as_micros().div_ceil(1000)).unwrap_or(PollTimeout::MAX);
        match poll(&mut asked, patience) {
            Ok(0) if left.is_zero() => return Ok(false),
            Ok(0) | Err(nix::errno::Errno::EINTR) => {}
            Ok(_) => return Ok(true),
            Err(cause) => {
                let who: Vec<String> = processes.iter().map(|process| process.pid.to_string()).collect();
                let problem = format_args!("cannot wait for it: {}", io::Error::from(cause));
                return Err(Error::broken(format_args!("process {}", who.join(", ")), problem));
            }
        }
    }
}

/// When this process was started, in clock ticks since boot.
pub(crate) fn our_ticks() -> Option<u64> {
    seen(std::process::id()).map(|seen| seen.ticks)
}

fn seen(pid: u32) -> Option<Stat> {
    Stat::of(nix::unistd::Pid::from_raw(pid.cast_signed()))
}

pub(crate) fn our_pid_namespace() -> Option<String> {
    fs::read_link("/proc/self/ns/pid").ok().map(|link| link.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command};

    fn holder_of(pid: u32) -> Holder {
        Holder { pid, ticks: seen(pid).map(|seen| seen.ticks), ..Holder::ourselves() }
    }

    fn sleeper() -> Child {
        Command::new("sleep").arg("60").spawn().unwrap()
    }

    #[test]
    fn a_living_process_is_found_suspended_continued_and_waited_for() {
        let mut child = sleeper();
        let Found::Process(process) = find(&holder_of(child.id())).unwrap() else { panic!("not found") };
        assert!(!process.is_suspended() && !process.has_ended().unwrap());
        assert!(process.signal(Signal::SIGSTOP).unwrap());
        let end = Instant::now() + Duration::from_secs(30);
        while !process.is_suspended() {
            assert!(Instant::now() < end, "it is not suspended");
            std::thread::yield_now();
        }
        assert!(process.signal(Signal::SIGKILL).unwrap());
        assert!(process.wait(Duration::from_secs(30)).unwrap());
        child.wait().unwrap();
        assert!(!process.signal(Signal::SIGTERM).unwrap(), "the process is gone");
        assert!(!process.is_suspended());
    }

    #[test]
    fn a_number_that_was_used_again_is_nobody() {
        let mut child = sleeper();
        let holder = holder_of(child.id());
        let earlier = Holder { ticks: holder.ticks.map(|ticks| ticks - 1), ..holder.clone() };
        assert!(matches!(find(&earlier).unwrap(), Found::Ended));
        let before_a_restart = Holder { boot_id: "other".into(), ..holder.clone() };
        assert!(matches!(find(&before_a_restart).unwrap(), Found::Ended));
        let Found::Process(process) = find(&holder).unwrap() else { panic!("not found") };
        child.kill().unwrap();
        assert!(process.wait(Duration::from_secs(30)).unwrap());
        // It has ended but is not reaped, so the id is still its own.
        assert!(matches!(find(&holder).unwrap(), Found::Ended));
        child.wait().unwrap();
        assert!(matches!(find(&holder).unwrap(), Found::Ended));
    }

    #[test]
    fn what_cannot_be_judged_from_here_is_elsewhere() {
        let holder = holder_of(std::process::id());
        for (elsewhere, part) in [
            (Holder { boot_id: "other".into(), host: "far".into(), ..holder.clone() }, "far"),
            (Holder { pid_namespace: Some("pid:[1]".into()), ..holder.clone() }, "pid:[1]"),
            (Holder { ticks: None, ..holder.clone() }, "when it was started"),
        ] {
            let Found::Elsewhere(place) = find(&elsewhere).unwrap() else { panic!("{elsewhere:?}") };
            assert!(place.contains(part), "{place}");
        }
    }
}
