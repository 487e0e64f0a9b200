//! `--on SIGNAL=REQUEST`: any signal that may be touched can be made to ask for anything.

use crate::harness::World;
use crate::jobs::GREP;
use crate::running::{BEYOND_DEBOUNCE, Running};
use nix::sys::signal::Signal;
use nix::sys::signal::Signal::*;

/// A job at work, slow enough to be met, with this row in its table.
fn with<'w>(world: &'w World, row: &str) -> Running<'w> {
    GREP.slow(world).with(&format!("--on {row}")).start().until_at_work()
}

fn resumes_to_the_right_output(world: &World) {
    GREP.command(world).run().expect_code(0);
    GREP.expect_right_output(world);
}

#[test]
fn a_signal_that_means_nothing_by_default_can_ask_for_a_checkpoint() {
    let world = GREP.world();
    for (row, signal) in
        [("STKFLT=checkpoint", SIGSTKFLT), ("SIGIO=checkpoint", SIGIO), ("pwr=checkpoint", SIGPWR)]
    {
        with(&world, row)
            .signal(signal)
            .until(&format!("{signal} (from pid"))
            .until("status: running")
            .signal(SIGTERM)
            .wait()
            .expect_stopped_by(SIGTERM);
    }
    resumes_to_the_right_output(&world);
}

#[test]
fn a_pause_without_a_suspension_can_be_had() {
    let world = GREP.world();
    let run = with(&world, "USR2=pause").signal(SIGUSR2).until("phase paused");
    let status = std::fs::read_to_string(format!("/proc/{}/stat", run.pid())).unwrap();
    let state = status.rsplit(") ").next().and_then(|rest| rest.chars().next());
    assert_ne!(state, Some('T'), "paused, not suspended");
    run.signal(SIGUSR1)
        .until("status: paused")
        .signal(SIGCONT)
        .until("phase running")
        .signal(SIGTERM)
        .wait()
        .expect_stopped_by(SIGTERM);
    resumes_to_the_right_output(&world);
}

#[test]
fn a_stop_by_a_signal_that_is_no_usual_one_ends_with_75() {
    let world = GREP.world();
    with(&world, "IO=stop").signal(SIGIO).wait().expect_code(75);
    resumes_to_the_right_output(&world);
}

#[test]
fn stop_can_be_taken_away_from_a_signal() {
    let world = GREP.world();
    with(&world, "INT=status")
        .signal(SIGINT)
        .until("status: running")
        .signal(SIGTERM)
        .wait()
        .expect_stopped_by(SIGTERM);
    with(&world, "TERM=ignore")
        .signal(SIGTERM)
        .until("SIGTERM (from pid")
        .signal(SIGINT)
        .wait()
        .expect_stopped_by(SIGINT);
    resumes_to_the_right_output(&world);
}

#[test]
fn a_resume_by_another_signal_than_sigcont() {
    let world = GREP.world();
    GREP.slow(&world)
        .with("--on URG=pause --on IO=resume --on CONT=status")
        .start()
        .until("ready")
        .signal(SIGURG)
        .until("phase paused")
        .signal(SIGCONT)
        .until("status: paused")
        .signal(SIGIO)
        .until("phase running")
        .signal(SIGTERM)
        .wait()
        .expect_stopped_by(SIGTERM);
    resumes_to_the_right_output(&world);
}

/// Where SIGCONT means something else, the end of the suspension stands for it.
#[test]
fn a_suspended_job_goes_on_although_sigcont_means_something_else() {
    let world = GREP.world();
    with(&world, "CONT=status")
        .signal(SIGTSTP)
        .until_suspended_by(SIGTSTP)
        .signal(SIGCONT)
        .until_continued()
        .until("phase running")
        .signal(SIGTERM)
        .wait()
        .expect_stopped_by(SIGTERM);
    resumes_to_the_right_output(&world);
}

#[test]
fn an_abort_can_be_asked_for_at_once_and_its_repeat_ends_the_process() {
    let world = GREP.world();
    with(&world, "TERM=abort").signal(SIGTERM).until("phase aborting").wait().expect_killed_by(SIGTERM);
    resumes_to_the_right_output(&world);
}

#[test]
fn a_process_dies_of_the_signal_that_was_mapped_to_die() {
    let world = GREP.world();
    let run = GREP.slow(&world).with("--on USR1=die").start().until("ready");
    let run = run.until_checkpoint_at_least(1);
    run.signal(SIGUSR1).until("running chunks").wait().expect_killed_by(SIGUSR1);
    // The default action of this one would stop the process, so only the code can tell.
    with(&world, "TSTP=die").signal(SIGTSTP).wait().expect_code(128 + SIGTSTP as i32);
    resumes_to_the_right_output(&world);
}

#[test]
fn a_stop_has_the_code_that_the_scheduler_wants() {
    let world = GREP.world();
    let stopped = |signal: Signal| {
        GREP.slow(&world).with("--stop-code 85").start().until_at_work().signal(signal).wait()
    };
    stopped(SIGTERM).expect_code(85);
    stopped(SIGUSR2).expect_code(85);
    // This one is no stop, and leaves no new checkpoint.
    stopped(SIGQUIT).expect_killed_by(SIGQUIT);
    GREP.command(&world).with("--stop-code 85").run().expect_code(0);
    GREP.expect_right_output(&world);
}

#[test]
fn the_time_budget_stops_a_job_to_be_continued() {
    let world = GREP.world();
    let ended =
        GREP.slow(&world).with("--max-runtime 400ms").start().until("the time budget asks: stop").wait();
    ended.expect_code(75).expect_says("stopped by --max-runtime");
    resumes_to_the_right_output(&world);
}

#[test]
fn a_repeated_warning_is_no_second_request() {
    let world = GREP.world();
    with(&world, "URG=status")
        .signal(SIGXCPU)
        .until("phase stopping")
        .signal(SIGXCPU)
        .let_pass(BEYOND_DEBOUNCE)
        .signal(SIGXCPU)
        .wait()
        .expect_code(75)
        .expect_says_not("phase aborting");
    resumes_to_the_right_output(&world);
}

#[test]
fn what_cannot_be_mapped_is_refused_before_anything_is_touched() {
    let world = GREP.world();
    for (row, why) in [
        ("KILL=stop", "the kernel lets no process handle it"),
        ("SEGV=checkpoint", "reports a fault"),
        ("FOO=stop", "see `bivouac signals`"),
        ("USR1=explode", "see `bivouac signals`"),
        ("USR1", "SIGNAL=REQUEST"),
    ] {
        GREP.command(&world).with(&format!("--on {row}")).run().expect_code(2).expect_says(why);
    }
    assert!(!world.exists("out.part") && !world.exists("out.bivouac"));
}

#[test]
fn the_table_in_force_is_printed_with_where_each_row_comes_from() {
    let world = World::new();
    world.write("c.toml", "[signals]\nUSR2 = \"pause\"\nURG = \"resume\"\n");
    let table = |options: &str| {
        let ended = world.bivouac(&format!("signals {options}")).run().expect_code(0);
        String::from_utf8(ended.stdout).unwrap()
    };
    let lines = |text: &str, parts: &[&str]| {
        text.lines().any(|line| line.split_whitespace().take(parts.len()).eq(parts.iter().copied()))
    };
    let text = table("");
    assert!(lines(&text, &["URG", "pause", "default"]), "{text}");
    let text = table("--config c.toml --on URG=status");
    assert!(lines(&text, &["TERM", "stop", "default"]), "{text}");
    assert!(lines(&text, &["USR2", "pause", "c.toml"]), "{text}");
    assert!(lines(&text, &["URG", "status", "--on"]), "{text}");
    // nohup ignores this one, and so it stays.
    let ended = world.bivouac("signals").under("nohup").run().expect_code(0);
    let text = String::from_utf8(ended.stdout).unwrap();
    assert!(text.lines().any(|line| line.starts_with("HUP") && line.contains("found ignored")), "{text}");
}
