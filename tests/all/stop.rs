//! A stop: the first signal ends the run in good order, the second in haste, the third at once;
//! and after any of them the same command continues.

use crate::harness::{Input, World};
use crate::jobs::{CASES, Case, GREP};
use crate::running::BEYOND_DEBOUNCE;
use nix::sys::signal::Signal::{self, SIGCONT, SIGINT, SIGKILL, SIGQUIT, SIGTERM, SIGUSR1};

/// Interrupts a job at a checkpoint, looks at what is left, and continues it.
fn interrupt_and_continue(case: &Case, signal: Signal) {
    let world = case.world();
    let run = case.slow(&world).start().until_checkpoint_at_least(1).signal(signal).wait();
    let seen = run.last_checkpoint();
    // No program can say anything after SIGKILL, and after SIGQUIT it shall not take the time.
    if [SIGKILL, SIGQUIT].contains(&signal) {
        run.expect_killed_by(signal);
    } else {
        run.expect_stopped_by(signal);
    }
    case.expect_interrupted_state(&world);
    case.command(&world).run().expect_code(0).expect_resumed_at_least(seen);
    case.expect_right_output(&world);
}

#[test]
fn sigterm_stops_and_the_same_command_gives_the_same_bytes() {
    CASES.iter().for_each(|case| interrupt_and_continue(case, SIGTERM));
}

#[test]
fn sigint_stops_and_the_same_command_gives_the_same_bytes() {
    CASES.iter().for_each(|case| interrupt_and_continue(case, SIGINT));
}

#[test]
fn after_sigkill_the_same_command_gives_the_same_bytes() {
    CASES.iter().for_each(|case| interrupt_and_continue(case, SIGKILL));
}

#[test]
fn sigquit_ends_at_once_and_the_last_checkpoint_stands() {
    interrupt_and_continue(&GREP, SIGQUIT);
}

#[test]
fn the_command_that_is_advertised_continues() {
    let world = GREP.world();
    let stopped = GREP.slow(&world).start().until_checkpoint_at_least(1).signal(SIGTERM).wait();
    let command = stopped.expect_stopped_by(SIGTERM).advertised().unwrap();
    // Pasted into a shell, as a person would. What it says goes to a file: it is no error.
    world.shell(&format!("{command} 2>said"));
    GREP.expect_right_output(&world);
}

#[test]
fn a_stop_lets_tasks_in_flight_finish_and_sigcont_does_not_cancel_it() {
    let world = GREP.world();
    GREP.slow(&world)
        .with("--grace inf")
        .start()
        .until_checkpoint_at_least(1)
        .signal(SIGTERM)
        .until("stop")
        .signal(SIGCONT)
        .wait()
        .expect_stopped_by(SIGTERM);
    GREP.command(&world).run().expect_code(0);
    GREP.expect_right_output(&world);
}

#[test]
fn the_second_sigterm_aborts_tasks_that_would_take_for_ever() {
    let world = GREP.world();
    // At this rate a task takes hours, and with this grace it may.
    let run = GREP.command(&world).with("--limit-rate 1KiB --grace inf --jobs 2").start().until_at_work();
    run.signal(SIGTERM)
        .until("phase stopping")
        .let_pass(BEYOND_DEBOUNCE)
        .signal(SIGTERM)
        .until("phase aborting")
        .wait()
        .expect_killed_by(SIGTERM);
    GREP.command(&world).run().expect_code(0);
    GREP.expect_right_output(&world);
}

#[test]
fn one_intention_delivered_twice_is_one_stop() {
    let world = GREP.world();
    // `timeout` and some shells signal the process and then its group.
    GREP.slow(&world)
        .with("--grace inf")
        .start()
        .until_checkpoint_at_least(1)
        .signal(SIGTERM)
        .signal(SIGTERM)
        .signal(SIGTERM)
        .wait()
        .expect_stopped_by(SIGTERM)
        .expect_says_not("phase aborting");
    GREP.command(&world).run().expect_code(0);
    GREP.expect_right_output(&world);
}

#[test]
fn the_third_sigterm_ends_a_run_that_cannot_end() {
    // No built-in job is as stubborn as this; see `stubborn`.
    let world = World::new();
    crate::stubborn::start(&world)
        .until("at work")
        .signal(SIGTERM)
        .until("phase stopping")
        .let_pass(BEYOND_DEBOUNCE)
        .signal(SIGTERM)
        .until("phase aborting")
        .let_pass(BEYOND_DEBOUNCE)
        .signal(SIGTERM)
        .wait()
        .expect_killed_by(SIGTERM);
}

#[test]
fn the_third_sigterm_ends_even_a_run_whose_supervisor_is_stuck() {
    let world = World::new();
    crate::stubborn::start_stuck(&world)
        .until("stuck")
        .signal(SIGTERM)
        .let_pass(BEYOND_DEBOUNCE)
        .signal(SIGTERM)
        .let_pass(BEYOND_DEBOUNCE)
        .signal(SIGTERM)
        .wait()
        .expect_killed_by(SIGTERM);
}

/// Those that wait for a worker have not begun.
#[test]
fn tasks_in_flight_are_those_that_have_begun() {
    let world = GREP.world();
    let job = world
        .bivouac("pipe big.txt -o out --jobs 1 --block 1MiB --grace 100ms -- sh -c")
        .words(&["sleep 1000; cat"]);
    let run = job.start().until_at_work();
    assert!(run.said().lines().last().unwrap().contains(", 1 in flight,"), "{}", run.said());
    let ended = run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    drop(ended.expect_says("stopping: 1 chunk in flight has"));
}

#[test]
fn a_pager_that_is_not_read_on_cannot_hold_a_stop() {
    let world = GREP.world();
    let run =
        world.bivouac("grep line big.txt --kill-after 1h --grace 100ms --jobs 2").stdout_unread().start();
    // The answer comes when something is printed, or when nobody has taken it for a second.
    let run = run.until("ready").signal(SIGUSR1).until("status:");
    run.signal(SIGTERM).wait().expect_killed_by(SIGTERM);
}

/// The source reads the one, and a task the other, which may have as much grace as it wants: its end would not count.
#[test]
fn a_stop_does_not_wait_for_standard_input() {
    let world = GREP.world();
    for line in ["count -", "digest - --grace inf"] {
        let typed = Input::Dangling(b"some words\nand no end".to_vec());
        let run = world.bivouac(line).stdin(typed).start();
        let run = if line.starts_with("digest") { run.until_at_work() } else { run.until("ready") };
        run.signal(SIGTERM).wait().expect_killed_by(SIGTERM);
    }
}
