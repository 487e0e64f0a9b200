//! Pause and suspension, as the parent of the process sees them.

use crate::jobs::GREP;
use nix::sys::signal::Signal::{SIGCONT, SIGKILL, SIGTERM, SIGTSTP, SIGUSR2};

#[test]
fn sigtstp_suspends_as_the_shell_expects_and_sigcont_goes_on() {
    let world = GREP.world();
    GREP.braked(&world)
        .start()
        .until_checkpoint_at_least(1)
        .signal(SIGTSTP)
        // By SIGTSTP, not by SIGSTOP: that is what the shell reports and what `fg` relies on.
        .until_suspended_by(SIGTSTP)
        .signal(SIGCONT)
        .until_continued()
        .until("phase running")
        .until_further_checkpoint()
        .let_go()
        .wait()
        .expect_code(0);
    GREP.expect_right_output(&world);
}

#[test]
fn a_job_can_be_suspended_again_and_again() {
    let world = GREP.world();
    let mut run = GREP.braked(&world).start().until_checkpoint_at_least(1);
    for _ in 0..3 {
        run = run.signal(SIGTSTP).until_suspended_by(SIGTSTP).signal(SIGCONT).until_continued();
        run = run.until("phase running");
    }
    run.let_go().wait().expect_code(0);
    GREP.expect_right_output(&world);
}

#[test]
fn a_suspended_job_that_is_stopped_ends_when_it_is_continued() {
    let world = GREP.world();
    GREP.slow(&world)
        .start()
        .until_checkpoint_at_least(1)
        .signal(SIGTSTP)
        .until_suspended_by(SIGTSTP)
        // As Slurm, systemd and `kill %1` do it: first the one, then the other.
        .signal(SIGTERM)
        .signal(SIGCONT)
        .wait()
        .expect_stopped_by(SIGTERM);
    GREP.command(&world).run().expect_code(0);
    GREP.expect_right_output(&world);
}

#[test]
fn a_suspended_job_that_is_killed_is_continued_by_the_next_run() {
    let world = GREP.world();
    let run = GREP.slow(&world).start().until_checkpoint_at_least(1);
    run.signal(SIGTSTP).until_suspended_by(SIGTSTP).signal(SIGKILL).wait().expect_killed_by(SIGKILL);
    GREP.command(&world).run().expect_code(0);
    GREP.expect_right_output(&world);
}

#[test]
fn sigcont_out_of_the_blue_changes_nothing() {
    let world = GREP.world();
    let run = GREP
        .braked(&world)
        .start()
        .until("ready")
        .signal(SIGCONT)
        .until_checkpoint_at_least(1)
        .signal(SIGCONT);
    run.let_go().wait().expect_code(0);
    GREP.expect_right_output(&world);
}

#[test]
fn a_task_that_waits_for_its_turn_does_not_keep_a_pause_waiting() {
    let world = GREP.world();
    // At this rate a worker that has read a piece sleeps for a minute before it takes the next.
    let slow = "--limit-rate 1KiB --jobs 2 --on USR2=pause";
    let run = GREP.command(&world).with(slow).start().until_at_work().signal(SIGUSR2).until("phase paused");
    let run = run.signal(SIGCONT).until("phase running").signal(SIGUSR2).until("phase paused");
    run.signal(SIGKILL).wait().expect_killed_by(SIGKILL);
    GREP.command(&world).run().expect_code(0);
    GREP.expect_right_output(&world);
}
