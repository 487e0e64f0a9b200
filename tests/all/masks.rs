//! The claim on which the whole design stands: every thread but one has every handled signal
//! blocked, so the kernel has exactly one place to deliver them to. Read from the kernel's own
//! tables in a running job of each verb.

use crate::jobs::{CASES, SLOW};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use std::fs;

/// Handled by the policy: every row of its table.
const HANDLED: [Signal; 12] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGXCPU,
    Signal::SIGPWR,
    Signal::SIGTSTP,
    Signal::SIGURG,
    Signal::SIGCONT,
    Signal::SIGWINCH,
];

/// Never blocked: blocking them costs the stack-overflow message, profilers, terminal reads.
const NEVER_BLOCKED: [Signal; 12] = [
    Signal::SIGSEGV,
    Signal::SIGBUS,
    Signal::SIGFPE,
    Signal::SIGILL,
    Signal::SIGTRAP,
    Signal::SIGSYS,
    Signal::SIGABRT,
    Signal::SIGPROF,
    Signal::SIGVTALRM,
    Signal::SIGALRM,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
];

pub(crate) fn bits(signals: &[Signal]) -> u64 {
    signals.iter().map(|&signal| 1 << (signal as i32 - 1)).sum()
}

/// A field such as `SigBlk` of every thread of a process, with the thread's name.
pub(crate) fn field_of_threads(pid: Pid, field: &str) -> Vec<(String, u64)> {
    let value = |status: &str, name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no {name}")).trim().to_string()
    };
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    // A thread may end between the listing and the reading; or while it is read, and then the kernel prints zeros.
    let statuses = threads.filter_map(|task| {
        let task = task.unwrap().path();
        fs::read_to_string(task.join("status")).ok().filter(|_| task.exists())
    });
    statuses.map(|s| (value(&s, "Name"), u64::from_str_radix(&value(&s, field), 16).unwrap())).collect()
}

#[test]
fn every_thread_but_one_has_every_handled_signal_blocked() {
    for case in CASES {
        let world = case.world();
        let run = case.command(&world).with(SLOW).start().until_checkpoint_at_least(1);
        let blocked = field_of_threads(run.pid(), "SigBlk");
        // Main, signals, commit and two workers; the source thread may have listed all there is.
        assert!(blocked.len() >= 5, "{}: fewer threads than drawn: {blocked:?}", case.name);
        let (closed, open): (Vec<_>, Vec<_>) =
            blocked.iter().partition(|(_, mask)| mask & bits(&HANDLED) == bits(&HANDLED));
        assert_eq!(open.len(), 1, "{}: {open:?} do not block all handled signals; {closed:?} do", case.name);
        assert_eq!(open[0].1 & bits(&HANDLED), 0, "{}: the signals thread blocks some: {open:?}", case.name);
        for (name, mask) in &blocked {
            assert_eq!(
                mask & bits(&NEVER_BLOCKED),
                0,
                "{}: {name} blocks a signal that nobody may",
                case.name
            );
        }
        run.signal(Signal::SIGTERM).wait().expect_stopped_by(Signal::SIGTERM);
    }
}

#[test]
fn every_handled_signal_is_caught() {
    let case = CASES[0];
    let world = case.world();
    let run = case.command(&world).with(SLOW).start().until("ready");
    for (name, caught) in field_of_threads(run.pid(), "SigCgt") {
        assert_eq!(caught & bits(&HANDLED), bits(&HANDLED), "{name} does not catch all");
    }
    run.signal(Signal::SIGTERM).wait().expect_stopped_by(Signal::SIGTERM);
}

#[test]
fn a_signal_found_ignored_stays_ignored() {
    let world = CASES[0].world();
    let run = CASES[0].braked(&world).under("env --ignore-signal=INT").start().until("ready");
    for (name, ignored) in field_of_threads(run.pid(), "SigIgn") {
        assert_ne!(ignored & bits(&[Signal::SIGINT]), 0, "{name}");
    }
    run.signal(Signal::SIGINT).let_go().wait().expect_code(0);
    CASES[0].expect_right_output(&world);
}
