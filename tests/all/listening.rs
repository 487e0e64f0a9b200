//! Hearing signals without a job. Each of these is a process of its own, since signals belong to the
//! whole process: the test binary, started once more to run just this test.

use crate::harness::World;
use crate::running::{BEYOND_DEBOUNCE, Running};
use bivouac::signals::{Masked, Sender};
use bivouac::{Policy, Request, Signal, Signals};
use nix::sys::signal::kill;
use nix::unistd::Pid;
use std::io::Write;
use std::time::{Duration, Instant};

const ROLE: &str = "BIVOUAC_TEST_LISTENING";

/// `None` in the process that shall play this role; in the test itself, that process.
fn played<'w>(world: &'w World, role: &str) -> Option<Running<'w>> {
    let asked = std::env::var(ROLE).is_ok_and(|name| name == role);
    let start = || world.this_test_as_program(&format!("listening::{role}"), (ROLE, role)).start();
    (!asked).then(start)
}

fn listening() -> Signals {
    let policy = Policy::empty().with(Signal::SIGINT, Request::Stop).with(Signal::SIGUSR1, Request::Status);
    Signals::start(Masked::block(policy).unwrap()).unwrap()
}

/// Which signals have a handler, are ignored, and are blocked in this thread, as the kernel says.
fn signal_state() -> String {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let fields = ["SigBlk", "SigIgn", "SigCgt"];
    status.lines().filter(|line| fields.iter().any(|field| line.starts_with(field))).collect()
}

#[test]
fn what_was_borrowed_is_given_back_and_a_second_one_hears_too() {
    let world = World::new();
    if let Some(run) = played(&world, "what_was_borrowed_is_given_back_and_a_second_one_hears_too") {
        run.wait().expect_code(0);
        return;
    }
    let before = signal_state();
    for _ in 0..2 {
        let signals = listening();
        assert_ne!(signal_state(), before);
        for signal in [Signal::SIGUSR1, Signal::SIGINT, Signal::SIGUSR1] {
            kill(Pid::this(), signal).unwrap();
            let caught = signals.wait().unwrap();
            assert_eq!(caught.signal, signal);
            let Sender::Process { pid, .. } = caught.sender else { panic!("{caught:?}") };
            assert_eq!(pid, Pid::this().as_raw());
        }
        assert_eq!(signals.wait_until(Instant::now() + Duration::from_millis(20)).unwrap(), None);
        drop(signals);
        assert_eq!(signal_state(), before);
    }
}

#[test]
fn the_third_sigint_ends_a_program_that_does_not_ask() {
    let world = World::new();
    if let Some(run) = played(&world, "the_third_sigint_ends_a_program_that_does_not_ask") {
        run.until("deaf")
            .signal(Signal::SIGINT)
            .let_pass(BEYOND_DEBOUNCE)
            .signal(Signal::SIGINT)
            .let_pass(BEYOND_DEBOUNCE)
            .signal(Signal::SIGINT)
            .wait()
            .expect_killed_by(Signal::SIGINT);
        return;
    }
    let _signals = listening();
    std::io::stderr().write_all(b"deaf\n").unwrap();
    std::thread::park_timeout(Duration::from_secs(3600));
}
