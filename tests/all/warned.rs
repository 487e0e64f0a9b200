//! What does `--after-warning` run, when, and what if it may not? With programs of Slurm that only write down how they
//! were called.

use crate::harness::{Bivouac, World};
use crate::jobs::GREP;
use crate::running::{BEYOND_DEBOUNCE, Ended};
use nix::sys::signal::Signal::{SIGCONT, SIGTERM, SIGUSR2};

const REQUEUE: &str = "exec scontrol requeue 4711_3";

/// Puts a program on the path of [`with_fakes`], which writes its arguments down and then does `script`.
pub(crate) fn fake(world: &World, name: &str, script: &str) {
    use std::os::unix::fs::PermissionsExt;
    let root = world.root().display();
    world.write(
        &format!("fakes/{name}"),
        format!("#!/bin/bash\nprintf '%s\\n' \"{name} $*\" >> {root}/calls\n{script}\n"),
    );
    std::fs::set_permissions(world.path(&format!("fakes/{name}")), std::fs::Permissions::from_mode(0o755))
        .unwrap();
}

/// The program, with the fakes before everything else.
pub(crate) fn with_fakes<'w>(world: &'w World, run: Bivouac<'w>) -> Bivouac<'w> {
    let path = format!("env PATH={}/fakes:{}", world.root().display(), crate::harness::path_variable());
    run.under(&path)
}

/// What was called, in order.
pub(crate) fn calls(world: &World) -> String {
    if world.exists("calls") { String::from_utf8(world.read("calls")).unwrap() } else { String::new() }
}

fn job(world: &World) -> Bivouac<'_> {
    with_fakes(world, GREP.slow(world).words(&["--after-warning", REQUEUE]))
}

/// Warned as soon as something is committed.
fn warned(world: &World) -> Ended<'_> {
    job(world).start().until_checkpoint_at_least(1).signal(SIGUSR2).wait()
}

#[test]
fn a_warning_makes_it_ask_for_another_run_and_exit_with_75() {
    let world = GREP.world();
    fake(&world, "scontrol", "[ -e out.bivouac/checkpoint.json ] && echo seen >> calls");
    warned(&world).expect_code(75).expect_says("runs 'exec scontrol requeue 4711_3'");
    assert_eq!(calls(&world), "scontrol requeue 4711_3\nseen\n");
    // The next one goes on, and is warned again.
    warned(&world).expect_code(75);
    assert_eq!(calls(&world), "scontrol requeue 4711_3\nseen\n".repeat(2));
    GREP.command(&world).run().expect_code(0);
    GREP.expect_right_output(&world);
}

/// Slurm ends the process that asked, with these two, within milliseconds.
#[test]
fn the_signals_that_the_requeue_brings_about_change_nothing() {
    let world = GREP.world();
    fake(
        &world,
        "scontrol",
        "kill -CONT $PPID; kill -TERM $PPID; kill -CONT $PPID; echo still here >> calls",
    );
    warned(&world).expect_code(75);
    assert_eq!(calls(&world), "scontrol requeue 4711_3\nstill here\n");
}

#[test]
fn a_sigterm_is_the_decision_of_its_sender_also_after_a_warning() {
    let world = GREP.world();
    fake(&world, "scontrol", "");
    job(&world).start().until_checkpoint_at_least(1).signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    let run = job(&world).with("--grace inf").start().until_checkpoint_at_least(1);
    let run = run.signal(SIGUSR2).until("phase stopping").signal(SIGCONT).signal(SIGTERM);
    // It merges with the warning; a second one ends the tasks, which would take too long.
    let run = run.until("SIGTERM").let_pass(BEYOND_DEBOUNCE).signal(SIGTERM);
    run.wait().expect_code(75).expect_says("SIGTERM came after the warning: its sender has decided");
    assert_eq!(calls(&world), "");
}

#[test]
fn a_run_that_ended_no_task_does_not_ask_for_another_one_like_it() {
    let world = GREP.world();
    fake(&world, "scontrol", "");
    let slow = "--limit-rate 1KiB --jobs 2 --grace 100ms --stop-code 85";
    let job = || {
        let run = GREP.command(&world).with(slow).words(&["--after-warning", REQUEUE]);
        with_fakes(&world, run).start().until_at_work().signal(SIGUSR2).wait()
    };
    job().expect_code(4).expect_says("no task ended in the time that was given");
    // The same when an earlier run has done something.
    GREP.slow(&world).start().until_checkpoint_at_least(1).signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    job().expect_code(4);
    assert_eq!(calls(&world), "");
}

/// A scheduler that lost a host starts a second copy, and the first may run on for long.
#[test]
fn a_run_that_waits_for_another_one_asks_for_another_run_too() {
    let world = GREP.world();
    fake(&world, "scontrol", "");
    let first = GREP.slow(&world).start().until_checkpoint_at_least(1);
    let twin = job(&world).with("--wait").start().until("this run waits for it");
    twin.signal(SIGUSR2).wait().expect_code(75);
    assert_eq!(calls(&world), "scontrol requeue 4711_3\n");
    first.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
}

#[test]
fn a_command_that_fails_is_named_and_the_code_stays_that_of_a_stop() {
    let world = GREP.world();
    fake(&world, "scontrol", "echo slurm_load_jobs error: Unable to contact slurm controller >&2; exit 1");
    let said = warned(&world).expect_code(75).expect_says("Unable to contact slurm controller");
    said.expect_says("exited with 1; the state is good, and the same command continues this job");
    let run =
        GREP.slow(&world).with("--stop-code 85 --max-runtime 100ms").words(&["--after-warning", "nosuch"]);
    run.start().wait().expect_code(85).expect_says("nosuch: exited with 127");
}

#[test]
fn a_job_that_is_complete_needs_no_other_run() {
    let world = GREP.world();
    fake(&world, "scontrol", "");
    with_fakes(&world, GREP.command(&world).words(&["--after-warning", REQUEUE])).run().expect_code(0);
    assert_eq!(calls(&world), "");
}
