//! `bivouac set`: other settings for a job that runs, and what is true when the verb returns.

use crate::harness::World;
use crate::running::{DEADLINE, Ended, Running};
use nix::sys::signal::Signal::{SIGCONT, SIGTERM, SIGTSTP};
use serde_json::Value;
use std::time::{Duration, Instant};

/// A job with commands that leave their slot in `begun`, and end when `go` or `go-N` is there.
fn held<'w>(world: &'w World, options: &str, items: usize) -> Running<'w> {
    let script = "echo {%} >>begun; until test -e go || test -e go-{}; do sleep 0.02; done";
    let items: Vec<String> = (1..=items).map(|n| n.to_string()).collect();
    let words: Vec<&str> = [script, ":::"].into_iter().chain(items.iter().map(String::as_str)).collect();
    world.bivouac(&format!("each --state s.bivouac {options} --shell")).words(&words).start()
}

fn wait_for(what: &str, is: impl Fn() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !is() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// The slots of the commands that have begun.
fn begun(world: &World) -> Vec<String> {
    let text = if world.exists("begun") { world.read("begun") } else { Vec::new() };
    String::from_utf8(text).unwrap().lines().map(str::to_string).collect()
}

fn until_begun(world: &World, commands: usize) {
    wait_for(&format!("{commands} commands"), || begun(world).len() >= commands);
    assert_eq!(begun(world).len(), commands);
}

fn verb<'w>(world: &'w World, line: &str) -> Ended<'w> {
    world.bivouac(line).run()
}

fn status(world: &World) -> Value {
    serde_json::from_slice(&verb(world, "status s --json").expect_code(0).stdout).unwrap()
}

#[test]
fn more_workers_run_more_commands_at_once_and_fewer_let_them_finish() {
    let world = World::new();
    let run = held(&world, "-j 1 --log-file log", 9);
    until_begun(&world, 1);
    verb(&world, "set jobs=3").expect_code(0).expect_says("bivouac: s.bivouac: jobs 1 -> 3");
    until_begun(&world, 3);
    verb(&world, "set jobs=+1 s").expect_code(0).expect_says("jobs 3 -> 4");
    until_begun(&world, 4);
    wait_for("the status", || status(&world)["at_work"].as_array().unwrap().len() == 4);
    let mut slots = begun(&world);
    slots.sort();
    assert_eq!(slots, ["1", "2", "3", "4"], "no two commands that run have the same slot");
    assert_eq!(status(&world)["workers"], 4);
    verb(&world, "set jobs=-2").expect_code(0).expect_says("jobs 4 -> 2");
    // Two of four end, and no other command takes their place.
    for done in [1, 2] {
        world.write(&format!("go-{done}"), "");
    }
    wait_for("two commands have ended", || status(&world)["tasks"]["in_flight"] == 2);
    verb(&world, "checkpoint").expect_code(0);
    assert_eq!(begun(&world).len(), 4);
    world.write("go-3", "");
    until_begun(&world, 5);
    world.write("go", "");
    let ended = run.wait().expect_code(0);
    drop(ended.expect_says("bivouac: set: jobs 1 -> 3").expect_says("set: jobs 4 -> 2"));
    assert_eq!(begun(&world).len(), 9);
    let later = &begun(&world)[5..];
    assert!(later.iter().all(|slot| slot != "3" && slot != "4"), "two slots are enough: {later:?}");
    let log = String::from_utf8(verb(&world, "log s --json").expect_code(0).stdout.clone()).unwrap();
    let slot = |line: &str| serde_json::from_str::<Value>(line).unwrap()["slot"].to_string();
    let (mut known, mut logged) = (begun(&world), log.lines().map(slot).collect::<Vec<_>>());
    known.sort();
    logged.sort();
    assert_eq!(logged, known, "the slots of the journal are those that the commands know");
    let log = String::from_utf8(world.read("log")).unwrap();
    assert!(log.contains("jobs 3 -> 4"), "{log}");
    assert!(!world.exists("s.bivouac/request.json"));
}

/// The command line says what a continued job has.
#[test]
fn what_was_set_ends_with_the_run() {
    let world = World::new();
    let run = held(&world, "-j 1 --kill-after 100ms", 4);
    until_begun(&world, 1);
    verb(&world, "set jobs=3 grace=100ms").expect_code(0).expect_says("jobs 1 -> 3, grace 5s -> 100ms");
    until_begun(&world, 3);
    run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    let run = held(&world, "-j 1 --kill-after 100ms", 4);
    until_begun(&world, 4);
    assert_eq!(status(&world)["workers"], 1);
    world.write("go", "");
    run.wait().expect_code(0);
}

#[test]
fn a_rate_changes_at_once_and_one_can_be_set_where_there_was_none() {
    let world = World::new();
    let run = held(&world, "-j 4 --rate 1/h", 4);
    until_begun(&world, 1);
    verb(&world, "set rate=1/m").expect_code(0).expect_says("rate 1/h -> 1/m");
    verb(&world, "set rate=none").expect_code(0).expect_says("rate 1/m -> none");
    until_begun(&world, 4);
    world.write("go", "");
    run.wait().expect_code(0);
    assert_eq!(begun(&world).len(), 4);

    let world = World::new();
    let run = held(&world, "-j 1", 3);
    until_begun(&world, 1);
    verb(&world, "set rate=1/h").expect_code(0).expect_says("rate none -> 1/h");
    world.write("go-1", "");
    world.write("go-2", "");
    // One that waits for a worker is on its way already.
    wait_for("two have ended", || status(&world)["tasks"]["done"] == 2);
    verb(&world, "checkpoint").expect_code(0);
    assert_eq!(begun(&world).len(), 2, "the third waits for an hour");
    verb(&world, "set rate=none").expect_code(0);
    // It is held until the verb has its answer: a job that ends first has none for it.
    until_begun(&world, 3);
    world.write("go", "");
    run.wait().expect_code(0);
}

#[test]
fn several_at_the_same_time_each_have_their_effect() {
    let world = World::new();
    let run = held(&world, "-j 1", 20);
    until_begun(&world, 1);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| verb(&world, "set jobs=+1 --timeout 1m").expect_code(0));
        }
    });
    until_begun(&world, 7);
    assert_eq!(status(&world)["workers"], 7);
    world.write("go", "");
    run.wait().expect_code(0);
}

#[test]
fn a_paused_job_can_be_set_and_a_suspended_one_says_why_not() {
    let world = World::new();
    let run = held(&world, "-j 1", 4);
    until_begun(&world, 1);
    verb(&world, "pause").expect_code(0);
    verb(&world, "set jobs=2").expect_code(0).expect_says("jobs 1 -> 2");
    assert_eq!((&status(&world)["phase"], begun(&world).len()), (&"paused".into(), 1));
    verb(&world, "resume").expect_code(0);
    until_begun(&world, 2);
    let run = run.signal(SIGTSTP).until_suspended_by(SIGTSTP);
    verb(&world, "set jobs=3").expect_code(3).expect_says("suspended").expect_says("bivouac resume");
    let run = run.signal(SIGCONT).until_continued();
    world.write("go", "");
    run.wait().expect_code(0);
}

#[test]
fn a_job_that_stops_or_has_ended_is_not_set() {
    let world = World::new();
    let run = held(&world, "-j 1 --grace inf", 4);
    until_begun(&world, 1);
    let run = run.signal(SIGTERM).until("phase stopping");
    wait_for("the status says so", || status(&world)["phase"] == "stopping");
    verb(&world, "set jobs=2").expect_code(3).expect_says("it is stopping, and nothing can be set any more");
    world.write("go", "");
    run.wait().expect_stopped_by(SIGTERM);
    verb(&world, "set jobs=2").expect_code(3).expect_says("not running, there is nothing to set");
    assert!(!world.exists("s.bivouac/request.json"));
    world.bivouac("").words(&["status", "s"]).run().expect_code(0);
}

#[test]
fn what_is_wrong_is_said_before_or_by_the_job_and_changes_nothing() {
    let world = World::new();
    for (line, says) in [
        ("set color=red", "these can: jobs, rate, limit-rate"),
        ("set s", "KEY=VALUE: is missing"),
        ("set jobs=many", "jobs: 'many' is no value for it\n  expected 1 to"),
        ("set jobs=1 a b", "a second state"),
        ("set jobs=1", "no job was started"),
    ] {
        verb(&world, line).expect_code(2).expect_says(says).expect_short_messages();
    }
    world.write("in", "x\n".repeat(100_000));
    let run = world
        .bivouac("count in --state s.bivouac -j 1 --max-jobs 2 --limit-rate 10KiB")
        .start()
        .until("ready");
    verb(&world, "set jobs=2 rate=1/s").expect_code(3).expect_says("limit-rate=SIZE").expect_short_messages();
    verb(&world, "set jobs=3").expect_code(3).expect_says("more than max-jobs allows, 2");
    assert_eq!(status(&world)["workers"], 1);
    // Without a limit the job could end before the verb has its answer.
    verb(&world, "set jobs=+1 limit-rate=9KiB")
        .expect_code(0)
        .expect_says("limit-rate 10.0 KiB/s -> 9.0 KiB/s");
    let ended = run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    drop(ended.expect_says("warning: not set, the old settings stay"));
}
