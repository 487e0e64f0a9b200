//! `examples/pattern.rs`, the whole idea in one file: a real process that gets real signals at its worst
//! moments. What comes out in the end must always be what this file computes by itself.

use crate::examples::{example, number_behind, work_done};
use crate::harness::{Bivouac, World};
use crate::jobcontrol::{namespace, only_child};
use crate::masks::{bits, field_of_threads};
use crate::running::{BEYOND_DEBOUNCE, DEADLINE, Running};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// Longer than any test waits. A run that has such a line cannot come to its end by itself, however
/// slow the test is, and however fast the machine.
const ENDLESS: &str = "1000000000";

/// The input: each line says how long the work on it takes, and slow and fast ones are mixed.
fn lines(count: u64) -> Vec<String> {
    (0..count).map(|number| (5 + number * 7919 % 40).to_string()).collect()
}

/// The same, with one line that takes for ever.
fn held(count: u64, at: usize) -> Vec<String> {
    let mut lines = lines(count);
    lines[at] = ENDLESS.into();
    lines
}

/// A directory with this input and an empty state directory.
fn world(lines: &[String]) -> World {
    let world = World::new();
    write_input(&world, lines);
    fs::create_dir(world.path("run")).unwrap();
    world
}

fn write_input(world: &World, lines: &[String]) {
    world.write("in", lines.join("\n") + "\n");
}

/// Two workers, whatever the machine has: then the time that the lines take is known.
fn pattern(world: &World) -> Bivouac<'_> {
    world.program(&["env", "RAYON_NUM_THREADS=2", &example("pattern"), "in", "run"])
}

/// Started, and so far that at least so many lines are saved: it is asked until it says so.
fn until_saved(world: &World, wanted: u64) -> Running<'_> {
    asked_until_saved(pattern(world).start().until(" lines are done"), wanted)
}

fn asked_until_saved(mut run: Running<'_>, wanted: u64) -> Running<'_> {
    let end = Instant::now() + DEADLINE;
    loop {
        assert!(Instant::now() < end, "it makes no progress:\n{}", run.said());
        run = run.signal(Signal::SIGUSR1).until("saved: ");
        if number_behind("saved: ", run.said()) >= wanted {
            return run;
        }
    }
}

/// The input as it should be; the next run finishes, and the output is what it must be.
fn finish(world: &World, lines: &[String]) {
    write_input(world, lines);
    pattern(world).run().expect_code(0);
    expect_right_output(world, lines);
}

/// What the output must be: computed here, one line after the other.
fn expect_right_output(world: &World, lines: &[String]) {
    let mut wanted = String::new();
    for (number, milliseconds) in (0_u64..).zip(lines) {
        let slices = 0..milliseconds.parse::<u64>().unwrap();
        let step = |hash: u64, _| hash.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        wanted += &format!("{number}: {:016x}\n", slices.fold(number, step));
    }
    assert_eq!(String::from_utf8_lossy(&world.read("run/output")), wanted);
}

/// How many lines the checkpoint on disk counts; it must be whole, and the output at least as long.
fn checkpointed(world: &World) -> u64 {
    if !world.exists("run/checkpoint") {
        return 0;
    }
    let record = String::from_utf8(world.read("run/checkpoint")).unwrap();
    let (done, length) = record.split_once(' ').unwrap_or_else(|| panic!("half a record: {record:?}"));
    let output = world.read("run/output");
    let counted = &output[..length.parse().unwrap()];
    let done = done.parse().unwrap();
    assert_eq!(counted.iter().filter(|byte| **byte == b'\n').count() as u64, done, "{record:?}");
    done
}

#[test]
fn the_pattern_fits_a_whiteboard_and_needs_nothing_of_this_crate() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/pattern.rs");
    let text = fs::read_to_string(source).unwrap();
    assert!(text.lines().count() <= 150, "{} lines", text.lines().count());
    assert!(text.lines().all(|line| line.chars().count() <= 110), "a line does not fit");
    assert!(!text.contains("bivouac::"), "it stands for itself");
}

#[test]
fn a_stop_half_way_is_a_death_by_the_signal_and_the_next_run_goes_on() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let lines = lines(300);
        let world = world(&lines);
        let ended = until_saved(&world, 20).signal(signal).wait().expect_killed_by(signal);

        let saved = number_behind("saved: ", &ended.stderr);
        assert_eq!(checkpointed(&world), saved, "what was said last is what is on the disk");
        assert!((20..300).contains(&saved), "it was not half-way:\n{}", ended.stderr);
        pattern(&world).run().expect_code(0).expect_says(&format!(": {saved} of 300 lines are done"));
        expect_right_output(&world, &lines);

        // When all is done, another run finds nothing to do.
        pattern(&world).run().expect_code(0).expect_says(": 300 of 300 lines are done");
        expect_right_output(&world, &lines);
    }
}

/// What is at work may come to its end, but that is never more than the window.
#[test]
fn after_a_stop_no_line_is_started() {
    let world = world(&vec!["1".to_string(); 100_000]);
    // Between two ticks of the clock: a program that started lines during the grace would be far from the
    // last of its own checkpoints when that ends.
    let run = pattern(&world).start().until("saved: ").let_pass(Duration::from_millis(500));
    let ended = run.signal(Signal::SIGTERM).wait().expect_killed_by(Signal::SIGTERM);
    let saved: Vec<u64> = ended
        .stderr
        .lines()
        .filter(|line| line.starts_with("saved: "))
        .map(|line| number_behind("saved: ", line))
        .collect();
    let [.., before, last] = saved[..] else { panic!("a stop saves twice:\n{}", ended.stderr) };
    assert!(last - before <= 64, "{} lines after the stop", last - before);
}

#[test]
fn a_kill_at_a_random_moment_loses_nothing_that_was_saved() {
    let world = world(&held(120, 119));
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let mut random = clock.as_nanos() as u64 | 1;
    let mut before = 0;
    for _ in 0..12 {
        // xorshift: the moment need not be good, only another one each time.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let run = pattern(&world).start().until(" lines are done");
        assert_eq!(number_behind(": ", run.said()), before, "{}", run.said());
        // A checkpoint is under way, or was just said, or results come in.
        let ended = run
            .let_pass(Duration::from_micros(random % 60_000))
            .signal(Signal::SIGUSR1)
            .let_pass(Duration::from_micros(random / 60_000 % 8_000))
            .signal(Signal::SIGKILL)
            .wait()
            .expect_killed_by(Signal::SIGKILL);
        let after = checkpointed(&world);
        if ended.stderr.contains("saved: ") {
            let said = number_behind("saved: ", &ended.stderr);
            assert!(after >= said, "{after} lines are on the disk:\n{}", ended.stderr);
        }
        assert!(after >= before, "{before} lines were on the disk, now {after}");
        before = after;
    }
    finish(&world, &lines(120));
}

#[test]
fn usr1_saves_now_and_the_work_goes_on() {
    let world = world(&held(80, 79));
    let mut run = until_saved(&world, 0);
    for _ in 0..5 {
        run = run.signal(Signal::SIGUSR1).until("saved: ");
        assert!(checkpointed(&world) >= number_behind("saved: ", run.said()), "{}", run.said());
    }
    drop(asked_until_saved(run, 79));
    finish(&world, &lines(80));
}

#[test]
fn a_storm_of_usr1_does_no_harm_and_the_stop_comes_through() {
    let world = world(&held(80, 79));
    let mut run = until_saved(&world, 1);
    for _ in 0..3_000 {
        run = run.signal(Signal::SIGUSR1);
    }
    let ended = run.signal(Signal::SIGTERM).wait().expect_killed_by(Signal::SIGTERM);
    assert_eq!(checkpointed(&world), number_behind("saved: ", &ended.stderr));
    finish(&world, &lines(80));
}

#[test]
fn every_thread_of_the_pattern_but_one_has_its_signals_blocked() {
    let world = world(&held(80, 79));
    let run = until_saved(&world, 1);
    let handled = bits(&[Signal::SIGINT, Signal::SIGTERM, Signal::SIGUSR1]);
    let masks = field_of_threads(run.pid(), "SigBlk");
    assert_eq!(masks.len(), 4, "the supervisor, the signals thread and two workers: {masks:?}");
    let open: Vec<_> = masks.iter().filter(|(_, mask)| mask & handled != handled).collect();
    assert!(matches!(open[..], [(_, 0)]), "one thread, and it has all of them open: {open:?} of {masks:?}");
}

#[test]
fn the_shell_sees_the_pattern_stopped_and_it_goes_on() {
    let world = world(&held(80, 79));
    let run = until_saved(&world, 1).signal(Signal::SIGTSTP).until_suspended_by(Signal::SIGTSTP);
    let before = work_done(&run);
    let run = run.let_pass(Duration::from_millis(300));
    assert_eq!(work_done(&run), before, "it worked while it was stopped");
    drop(asked_until_saved(run.signal(Signal::SIGCONT).until_continued(), 79));
    finish(&world, &lines(80));
}

#[test]
fn a_line_that_takes_too_long_is_given_up_by_a_stop_and_done_by_the_next_run() {
    let world = world(&held(40, 20));
    let ended = until_saved(&world, 20).signal(Signal::SIGTERM).wait().expect_killed_by(Signal::SIGTERM);
    assert_eq!((number_behind("saved: ", &ended.stderr), checkpointed(&world)), (20, 20));
    finish(&world, &lines(40));
}

#[test]
fn a_second_stop_is_obeyed_although_nobody_reads_the_channel() {
    // Nobody opens the other end, so the first thread waits for its input for ever.
    let world = World::new();
    mkfifo(&world.path("in"), Mode::S_IRWXU).unwrap();
    let mut run = pattern(&world).start();
    let is_open = |(_, mask): &&(String, u64)| mask & bits(&[Signal::SIGTERM]) == 0;
    let end = Instant::now() + DEADLINE;
    loop {
        // The shell and `env`, which are there first, have one thread.
        let masks = field_of_threads(run.pid(), "SigBlk");
        if masks.len() == 2 && masks.iter().filter(is_open).count() == 1 {
            break;
        }
        assert!(Instant::now() < end, "it never listens: {masks:?}");
        run = run.let_pass(Duration::from_millis(2));
    }
    run = run.signal(Signal::SIGTERM).let_pass(BEYOND_DEBOUNCE);
    assert_eq!(field_of_threads(run.pid(), "SigBlk").len(), 2, "one stop alone waits for the supervisor");
    // Once more is enough, unless the first one was heard late.
    while run.try_signal(Signal::SIGTERM) {
        assert!(Instant::now() < end, "it cannot be ended");
        run = run.let_pass(BEYOND_DEBOUNCE);
    }
    run.wait().expect_killed_by(Signal::SIGTERM);
}

#[test]
fn a_panic_in_one_line_ends_the_run_and_mending_it_continues() {
    let mut broken = lines(40);
    broken[30] = "not a number".into();
    let world = world(&broken);
    pattern(&world).run().expect_code(1).expect_says("line 31 failed");
    assert!(checkpointed(&world) <= 30);
    finish(&world, &lines(40));
}

#[test]
fn a_second_run_on_the_same_directory_is_refused() {
    let world = world(&held(40, 39));
    let run = until_saved(&world, 1);
    pattern(&world).run().expect_code(1).expect_says_not("lines are done");
    drop(asked_until_saved(run, 39));
    finish(&world, &lines(40));
}

#[test]
fn a_record_that_does_not_fit_is_refused_and_nothing_is_cut() {
    let world = world(&lines(3));
    for record in ["", "1", "x 0", "1 19 ", "1 1000"] {
        world.write("run/output", "something else\n");
        world.write("run/checkpoint", record);
        pattern(&world).run().expect_code(1);
        assert_eq!(world.read("run/output"), b"something else\n", "{record:?}");
    }
}

#[test]
fn as_process_one_the_pattern_ends_with_128_and_the_number() {
    let Some(namespace) = namespace() else { return };
    let world = world(&held(40, 0));
    let program = example("pattern");
    let words: Vec<&str> = namespace.split(' ').chain([program.as_str(), "in", "run"]).collect();
    let run = world.program(&words).start().until(" lines are done");
    kill(only_child(run.pid()), Signal::SIGTERM).unwrap();
    run.wait().expect_code(143);
}
