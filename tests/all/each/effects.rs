//! After each kind of end: everything is done in the end, and nothing twice that was recorded.

use super::{EFFECT, each, effects, expect_each_once, list};
use crate::harness::World;
use crate::running::{BEYOND_DEBOUNCE, DEADLINE, Ended};
use nix::sys::signal::Signal::{SIGINT, SIGKILL, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR2};
use std::time::Instant;

const LINE: &str = "-j 3 -a items";

fn again(world: &World) -> Ended<'_> {
    let end = Instant::now() + DEADLINE;
    loop {
        let ended = each(world, LINE, &EFFECT).run();
        if ended.code() != Some(5) {
            return ended;
        }
        assert!(Instant::now() < end, "the state is never free: {}", ended.stderr);
    }
}

fn met_half_way(world: &World) -> crate::running::Running<'_> {
    list(world, 0..150);
    each(world, "--checkpoint-every 50ms", &[])
        .with(LINE)
        .words(&EFFECT)
        .start()
        .until_checkpoint_at_least(20)
}

#[test]
fn a_stop_lets_commands_finish_and_none_runs_twice() {
    for signal in [SIGTERM, SIGINT] {
        let world = World::new();
        met_half_way(&world).signal(signal).wait().expect_stopped_by(signal);
        assert!(effects(&world).len() < 150);
        again(&world).expect_code(0);
        expect_each_once(&world, 150);
    }
    let world = World::new();
    met_half_way(&world).signal(SIGUSR2).wait().expect_code(75);
    again(&world).expect_code(0);
    expect_each_once(&world, 150);
}

/// What ended is on record without a checkpoint: only the three at work may run once more.
#[test]
fn after_kill_only_what_was_at_work_runs_again() {
    for signal in [SIGKILL, SIGQUIT] {
        let world = World::new();
        list(&world, 0..150);
        // No checkpoint is taken in all this time.
        let line = each(&world, "--checkpoint-every 1h", &[]).with(LINE).words(&EFFECT);
        let run = line.start().until("ready");
        crate::pipe::until("some to be done", || effects(&world).len() >= 40);
        run.signal(signal).wait().expect_killed_by(signal);
        let before = effects(&world).len();
        assert!(before < 150);
        again(&world).expect_code(0);
        let all = effects(&world);
        assert_eq!(all.len(), 150);
        let twice = all.values().filter(|times| **times > 1).count();
        // Three were at work, and three more may have ended within the ten milliseconds before.
        assert!(twice <= 6, "{twice} ran twice of {before}");
    }
}

#[test]
fn an_abort_interrupts_and_what_was_interrupted_runs_again() {
    let world = World::new();
    list(&world, 0..6);
    let slow = ["sh", "-c", "test -e quick || sleep 20; echo \"$0\" >>effects", "{}"];
    let run = each(&world, LINE, &slow).start().until("ready");
    crate::pipe::until("three at work", || crate::pipe::everybody_named(&world, "sleep") == 3);
    let run = run.signal(SIGTERM).until("phase stopping").let_pass(BEYOND_DEBOUNCE);
    run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    crate::pipe::expect_nobody_left(&world);
    world.write("quick", "");
    each(&world, LINE, &slow).run().expect_code(0);
    expect_each_once(&world, 6);
}

/// A scheduler that ends a job ends its commands in the same moment.
#[test]
fn commands_that_are_ended_together_with_the_job_run_again() {
    let world = World::new();
    list(&world, 0..6);
    let slow = ["sh", "-c", "test -e quick || exec sleep 20; echo \"$0\" >>effects", "{}"];
    let run = each(&world, LINE, &slow).start().until("ready");
    crate::pipe::until("three at work", || crate::pipe::everybody_named(&world, "sleep") == 3);
    crate::pipe::tell_everybody_named(&world, "sleep", SIGTERM);
    run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    world.write("quick", "");
    each(&world, LINE, &slow).run().expect_code(0);
    expect_each_once(&world, 6);
}

#[test]
fn a_clock_that_ran_during_a_pause_kills_nobody() {
    let world = World::new();
    let line = each(&world, "--timeout 3s --shell", &["touch begun; sleep 0.5; echo {}", ":::", "a"]);
    let run = line.start().until("ready");
    crate::pipe::until("it to begin", || world.exists("begun"));
    let run =
        run.signal(SIGTSTP).until_suspended_by(SIGTSTP).let_pass(std::time::Duration::from_millis(3500));
    let run = run.signal(nix::sys::signal::Signal::SIGCONT).until_continued();
    run.wait().expect_code(0).expect_stdout(b"a\n");
}

/// A command that tells us nothing, and whose end alone is waited for.
#[test]
fn a_pause_is_complete_also_when_commands_print_past_us() {
    let world = World::new();
    let text = "touch begun; until [ -e go ]; do sleep 0.02; done; echo {} >>effects";
    let line = each(&world, "-u --shell", &[text, ":::", "a"]);
    let run = line.start().until("ready");
    crate::pipe::until("it to begin", || world.exists("begun"));
    world.bivouac("pause").run().expect_code(0);
    world.bivouac("status").run().expect_code(0).expect_stdout_says("paused");
    world.write("go", "");
    world.bivouac("resume").run().expect_code(0);
    run.wait().expect_code(0);
    expect_each_once(&world, 1);

    let line = each(&world, "--fresh --on URG=pause -u --shell", &["sleep 2; echo {} >>effects", ":::", "b"]);
    let run = line.start().until("ready").signal(nix::sys::signal::Signal::SIGURG).until("phase paused");
    run.signal(nix::sys::signal::Signal::SIGCONT).wait().expect_code(0);
}

/// A shell starts its commands by `vfork`: it waits in the kernel until its child has become another program. When
/// both are stopped in between, the kernel never reports the shell as stopped. (perl calls clone with CLONE_VFORK.)
#[test]
fn a_pause_is_complete_also_when_a_command_waits_for_a_stopped_child() {
    let world = World::new();
    let clone = if cfg!(target_arch = "x86_64") { 56 } else { 220 };
    let child =
        "if ($child == 0) { mkdir 'begun'; until (-e 'go') { select(undef, undef, undef, 0.02) } exit }";
    world.write("vfork.pl", format!("my $child = syscall({clone}, 0x4011, 0, 0, 0, 0);\n{child}\n"));
    let run = each(&world, "-u", &["perl", "vfork.pl", ":::", "a"]).start();
    crate::pipe::until("the child to begin", || world.exists("begun"));
    world.bivouac("pause").run().expect_code(0);
    world.bivouac("status").run().expect_code(0).expect_stdout_says("paused");
    world.write("go", "");
    world.bivouac("resume").run().expect_code(0);
    run.wait().expect_code(0);
}

/// One that takes all night keeps no other waiting.
#[test]
fn a_slow_one_holds_up_no_other() {
    let world = World::new();
    list(&world, 0..1500);
    let command = "if [ {#} = 1 ]; then until [ -e go ]; do sleep 0.05; done; fi; echo {} >>effects";
    let run = each(&world, "-j 2 -a items --shell", &[command]).start().until("ready");
    crate::pipe::until_grown_to("all others to be done", 1499, || effects(&world).len() as u64);
    world.write("go", "");
    run.wait().expect_code(0);
    expect_each_once(&world, 1500);
}

#[test]
fn a_finished_run_run_again_does_nothing() {
    let world = World::new();
    list(&world, 0..10);
    again(&world).expect_code(0);
    again(&world).expect_code(0).expect_says("already finished");
    expect_each_once(&world, 10);
    each(&world, "--fresh", &[]).with(LINE).words(&EFFECT).run().expect_code(0);
    assert!(effects(&world).values().all(|times| *times == 2));
}
