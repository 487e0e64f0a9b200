//! SIGHUP to a job without a terminal that was given a configuration: it is read again.

use crate::harness::World;
use crate::jobs::GREP;
use crate::running::Running;
use nix::sys::signal::Signal::*;

const CONFIG: &str = "
limit-rate = '2MiB'
checkpoint-every = '20ms'
jobs = 1
max-jobs = 3
[signals]
USR2 = 'status'
";

/// Without a terminal, whatever there is where the tests run.
fn start(world: &World) -> Running<'_> {
    world.write("c.toml", CONFIG);
    GREP.command(world).with("--config c.toml").under("setsid").start().until_at_work()
}

fn change(world: &World, from: &str, to: &str) {
    let text = String::from_utf8(world.read("c.toml")).unwrap();
    assert!(text.contains(from));
    world.write("c.toml", text.replace(from, to));
}

#[test]
fn what_can_change_changes_and_is_said() {
    let world = GREP.world();
    let run = start(&world).signal(SIGUSR2).until("status: running");
    change(&world, "'2MiB'", "'4MiB'");
    change(&world, "jobs = 1", "jobs = 2");
    change(&world, "'status'", "'pause'");
    run.signal(SIGHUP)
        .until("SIGHUP (from pid")
        .until("reloaded: jobs 1 -> 2")
        .until("reloaded: limit-rate 2.0 MiB/s -> 4.0 MiB/s")
        .until("reloaded: USR2 status -> pause")
        .signal(SIGUSR2)
        .until("phase paused")
        .signal(SIGCONT)
        .until("phase running")
        .until_further_checkpoint()
        .signal(SIGTERM)
        .wait()
        .expect_stopped_by(SIGTERM);
    GREP.command(&world).run().expect_code(0);
    GREP.expect_right_output(&world);
}

/// More tasks at a time, up to what the pool was made for.
#[test]
fn the_number_of_jobs_is_in_force_at_once() {
    let world = GREP.world();
    let run = start(&world);
    change(&world, "jobs = 1\n", "jobs = 2\n");
    let run = run.signal(SIGHUP).until("reloaded: jobs 1 -> 2");
    let run = run.asked_until(SIGUSR2, |status| status.contains(" 2 in flight"));
    change(&world, "jobs = 2\n", "jobs = 9\n");
    let run = run.signal(SIGHUP).until("reloaded: jobs can be at most max-jobs, 3, during a run");
    let run = run.until("reloaded: jobs 2 -> 3");
    run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
}

/// A task that would have to wait an hour by the old rate does not.
#[test]
fn another_rate_frees_those_who_wait() {
    let world = GREP.world();
    let run = start(&world);
    change(&world, "'2MiB'", "'1KiB'");
    let run = run.signal(SIGHUP).until("limit-rate 2.0 MiB/s -> 1.0 KiB/s");
    change(&world, "limit-rate = '1KiB'", "");
    run.signal(SIGHUP).until("limit-rate 1.0 KiB/s -> none").wait().expect_code(0);
}

#[test]
fn what_cannot_change_is_said_and_a_broken_file_changes_nothing() {
    let world = GREP.world();
    let run = start(&world);
    change(&world, "max-jobs = 3", "max-jobs = 5\nstop-code = 85");
    change(&world, "'status'", "'status'\nIO = 'stop'");
    let run = run
        .signal(SIGHUP)
        .until("reloaded: max-jobs cannot change during a run and stays 3")
        .until("reloaded: stop-code cannot change during a run and stays none")
        .until("reloaded: IO had no meaning at the start, and gets none during a run");
    world.write("c.toml", "limit-rate = 'fast'\n[signals]\nTERM = 'ignore'\n");
    let run = run
        .signal(SIGHUP)
        .until("not reloaded, the old settings stay")
        .until("bivouac: c.toml, line 1: 'fast'");
    world.write("c.toml", "signals");
    let run =
        run.signal(SIGHUP).until("not reloaded, the old settings stay").until("bivouac: c.toml, line 1");
    std::fs::remove_file(world.path("c.toml")).unwrap();
    let run =
        run.signal(SIGHUP).until("not reloaded, the old settings stay").until("bivouac: c.toml: cannot read");
    run.signal(SIGUSR2)
        .until("status: running")
        .signal(SIGTERM)
        .wait()
        .expect_stopped_by(SIGTERM)
        .expect_short_messages();
}

#[test]
fn what_was_given_as_an_option_stays() {
    let world = GREP.world();
    world.write("c.toml", CONFIG);
    let run =
        GREP.slow(&world).with("--config c.toml --on USR2=checkpoint").under("setsid").start().until("ready");
    change(&world, "'2MiB'", "'4MiB'");
    run.signal(SIGHUP)
        .until("reloaded: limit-rate was given as an option and stays 192.0 KiB/s")
        .signal(SIGTERM)
        .wait()
        .expect_stopped_by(SIGTERM);
}

/// The same signal says to a program at a terminal that the terminal is gone. `scripts/test` may run
/// with or without one; a configuration that says so settles it.
#[test]
fn without_a_configuration_a_hangup_stops() {
    let world = GREP.world();
    let run = GREP.slow(&world).under("setsid").start().until_at_work();
    run.signal(SIGHUP).wait().expect_stopped_by(SIGHUP);
}

#[test]
fn a_configuration_that_is_wrong_is_refused_at_the_start() {
    let world = GREP.world();
    for (text, why) in [
        ("job = 3", "c.toml, line 1: unknown field `job`"),
        ("\njobs = \"none\"", "c.toml, line 2: 'none' is no value for it\n  expected 1 to"),
        ("[signals]\nSTOP = 'stop'", "SIGSTOP: cannot be mapped"),
    ] {
        world.write("c.toml", text);
        GREP.command(&world).with("--config c.toml").run().expect_code(2).expect_says(why);
    }
    GREP.command(&world)
        .with("--config none.toml")
        .run()
        .expect_code(2)
        .expect_says("none.toml: cannot read");
    assert!(!world.exists("out.part") && !world.exists("out.bivouac"));
}
