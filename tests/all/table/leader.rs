//! The leader of a session, with a terminal: as much of a shell as the table needs.
//!
//! A real shell tells the status of a job as a number, in which "ended with 143" and "killed by
//! SIGTERM" are the same; the table knows them apart. So the test binary starts itself once more, in a
//! session of its own, opens a terminal (the first one that a leader opens is its controlling
//! terminal), starts the program in the foreground, and says what it sees of it.

use crate::harness::{BIVOUAC, World};
use crate::running::Running;
use nix::fcntl::OFlag;
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, tcsetpgrp};
use std::fs::File;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// Set for the copy of the test binary that is the leader: what it shall start.
const ROLE: &str = "BIVOUAC_TEST_LEADS";

/// Starts the program under a leader. It says what the program says, and beginning with `leader: `
/// what the leader sees.
pub(super) fn start<'w>(world: &'w World, arguments: &str) -> Running<'w> {
    let binary = std::env::current_exe().unwrap().display().to_string();
    let role = format!("{ROLE}={arguments}");
    let test = "table::leader::leads_if_it_is_the_leader";
    world.program_apart(&["setsid", "env", &role, &binary, "--exact", test, "--nocapture"]).start()
}

#[test]
#[allow(
    clippy::zombie_processes,
    reason = "it is waited for below, by its number, since `Child` cannot tell stops"
)]
fn leads_if_it_is_the_leader() {
    let Ok(arguments) = std::env::var(ROLE) else {
        return; // An ordinary run of the tests.
    };
    let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let terminal = File::options().read(true).write(true).open(ptsname_r(&master).unwrap()).unwrap();
    let child = Command::new(BIVOUAC)
        .args(arguments.split(' '))
        .stdin(Stdio::from(terminal.try_clone().unwrap()))
        .process_group(0)
        .spawn()
        .unwrap();
    let child = Pid::from_raw(i32::try_from(child.id()).unwrap());
    tcsetpgrp(&terminal, child).unwrap();
    // Closing it would send SIGHUP to this process, which still has to say how the child ended.
    std::mem::forget(master);
    say(&format!("started {child}"));
    loop {
        match waitpid(child, Some(WaitPidFlag::WUNTRACED | WaitPidFlag::WCONTINUED)).unwrap() {
            WaitStatus::Exited(_, code) => return say(&format!("exited {code}")),
            WaitStatus::Signaled(_, signal, _) => return say(&format!("killed {signal}")),
            WaitStatus::Stopped(_, signal) => say(&format!("stopped {signal}")),
            WaitStatus::Continued(_) => say("continued"),
            other @ (WaitStatus::PtraceEvent(..) | WaitStatus::PtraceSyscall(_) | WaitStatus::StillAlive) => {
                panic!("nobody traces it, and this call waits: {other:?}")
            }
        }
    }
}

fn say(text: &str) {
    std::io::stderr().write_all(format!("leader: {text}.\n").as_bytes()).unwrap();
}
