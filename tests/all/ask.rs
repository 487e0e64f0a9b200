//! SIGUSR1: a checkpoint now, one line of status, and the job goes on.

use crate::jobs::GREP;
use nix::sys::signal::Signal::{SIGKILL, SIGUSR1};

#[test]
fn sigusr1_takes_a_checkpoint_answers_and_goes_on() {
    let world = GREP.world();
    // So seldom that no checkpoint but the one asked for can come.
    let ended = GREP
        .braked(&world)
        .with("--checkpoint-every 1h")
        .start()
        .until("ready")
        .signal(SIGUSR1)
        .until("SIGUSR1 (from pid")
        .until("checkpoint at")
        .until("running")
        .let_go()
        .wait()
        .expect_code(0);
    // The answer is for who did not ask for --verbose, too.
    assert!(
        ended.stderr.lines().any(|line| line.contains("worked") && line.contains("checkpoint")),
        "{}",
        ended.stderr
    );
    GREP.expect_right_output(&world);
}

#[test]
fn the_checkpoint_that_was_asked_for_is_durable_when_it_is_said() {
    let world = GREP.world();
    let run = GREP
        .command(&world)
        .with("--limit-rate 192KiB --checkpoint-every 1h --jobs 2")
        .start()
        .until("ready");
    let mut run = run.signal(SIGUSR1).until_checkpoint_at_least(0);
    while run.last_checkpoint() == 0 {
        run = run.signal(SIGUSR1).until_checkpoint_at_least(0);
    }
    let seen = run.last_checkpoint();
    run.signal(SIGKILL).wait().expect_killed_by(SIGKILL);
    GREP.command(&world).run().expect_code(0).expect_resumed_at_least(seen);
    GREP.expect_right_output(&world);
}

#[test]
fn a_storm_of_sigusr1_does_no_harm() {
    let world = GREP.world();
    let mut run = GREP.braked(&world).start().until("ready");
    for _ in 0..200 {
        run = run.signal(SIGUSR1);
    }
    run.let_go().wait().expect_code(0);
    GREP.expect_right_output(&world);
}
