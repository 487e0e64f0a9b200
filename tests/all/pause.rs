//! Pause and suspension, as the parent of the process sees them.

use crate::jobs::GREP;
use nix::sys::signal::Signal::{SIGCONT, SIGKILL, SIGTERM, SIGTSTP};

#[test]
fn sigtstp_suspends_as_the_shell_expects_and_sigcont_goes_on() {
    let world = GREP.world();
    GREP.slow(&world)
        .start()
        .until_checkpoint_at_least(1)
        .signal(SIGTSTP)
        // By SIGTSTP, not by SIGSTOP: that is what the shell reports and what `fg` relies on.
        .until_suspended_by(SIGTSTP)
        .signal(SIGCONT)
        .until_continued()
        .until("phase running")
        .until_further_checkpoint()
        .wait()
        .expect_code(0);
    GREP.expect_right_output(&world);
}

#[test]
fn a_job_can_be_suspended_again_and_again() {
    let world = GREP.world();
    let mut run = GREP.slow(&world).start().until_checkpoint_at_least(1);
    for _ in 0..3 {
        run = run.signal(SIGTSTP).until_suspended_by(SIGTSTP).signal(SIGCONT).until_continued();
        run = run.until("phase running");
    }
    run.wait().expect_code(0);
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
    let run =
        GREP.slow(&world).start().until("ready").signal(SIGCONT).until_checkpoint_at_least(1).signal(SIGCONT);
    run.wait().expect_code(0);
    GREP.expect_right_output(&world);
}
