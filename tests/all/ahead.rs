//! One slow task: what do the others do meanwhile, where do their results wait, and what is left of them
//! after a stop, a SIGKILL, on a damaged or on a full disk?

use crate::harness::{Bivouac, World};
use crate::pipe::{expect_nobody_left, until, until_grown_to, until_nobody_is_left};
use crate::running::Running;
use nix::sys::signal::Signal::{SIGKILL, SIGTERM, SIGUSR1};
use nix::unistd::Pid;
use std::fs;

/// More than this is not bounded. What is held in memory of the output is 40 MiB.
const MOST_MEMORY_KB: u64 = 100_000;

/// The most memory that a process has had so far, in kB.
fn memory(pid: Pid) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

fn expect_little_memory(run: &Running<'_>) {
    let kb = memory(run.pid());
    assert!(kb < MOST_MEMORY_KB, "{kb} kB");
}

/// Which items have run, in the order in which they ended.
fn ran(world: &World) -> Vec<u64> {
    match world.exists("ran") {
        true => String::from_utf8(world.read("ran")).unwrap().lines().map(|n| n.parse().unwrap()).collect(),
        false => Vec::new(),
    }
}

/// `each` over the numbers from 1, of which the first waits until there is a file `go`. Each command prints
/// its number, and as much more as it is told.
fn each<'w>(world: &'w World, options: &str, items: u64, more: &str) -> Bivouac<'w> {
    let list: String = (1..=items).map(|n| format!("{n}\n")).collect();
    world.write("items", list);
    let text = format!("[ $1 != 1 ] || until [ -e go ]; do sleep 0.01; done; echo $1; {more} echo $1 >> ran");
    world.bivouac(&format!("each {options} -j 2 -a items --state s")).words(&["sh", "-c", &text, "sh"])
}

/// All but the first have ended, and the job knows it: that a command has written its last is not enough.
fn until_overtaken(world: &World, items: u64) {
    until_grown_to("the others to end behind the first", items - 1, || ran(world).len() as u64);
    until_waiting(world, items - 1);
}

fn until_waiting(world: &World, tasks: u64) {
    until("the job to know that they have ended", || world.exists("s/status.json") && kept(world) == tasks);
}

fn numbers(items: u64) -> String {
    (1..=items).map(|n| format!("{n}\n")).collect()
}

fn status(world: &World) -> serde_json::Value {
    let ended = world.bivouac("status s --json").run().expect_code(0);
    serde_json::from_slice(&ended.stdout).unwrap()
}

fn kept(world: &World) -> u64 {
    let status = status(world);
    status["tasks"]["beyond"].as_u64().unwrap_or_else(|| panic!("{status}"))
}

/// What a job has made: what it printed, or its output file.
fn result(world: &World, how: &str, stdout: Vec<u8>) -> Vec<u8> {
    if how.contains("-o") { world.read("out") } else { stdout }
}

#[test]
fn short_commands_go_on_behind_a_slow_one() {
    for how in ["-k", "-o out"] {
        let world = World::new();
        let run = each(&world, how, 1100, "").start();
        until_overtaken(&world, 1100);
        expect_little_memory(&run);
        world.write("go", "");
        let ended = run.wait().expect_code(0);
        assert!(result(&world, how, ended.stdout) == numbers(1100).into_bytes(), "{how}");
    }
}

#[test]
fn commands_that_print_much_go_on_behind_a_slow_one() {
    for how in ["-k", "-o out"] {
        let world = World::new();
        let run = each(&world, how, 16, "head -c 6000000 /dev/zero;").start();
        until_overtaken(&world, 16);
        expect_little_memory(&run);
        let kept: u64 =
            fs::read_dir(world.path("s/spill")).unwrap().map(|f| f.unwrap().metadata().unwrap().len()).sum();
        // Of the ninety megabytes forty are in memory at most.
        assert!(kept > 48_000_000, "{kept} bytes wait on disk");
        world.write("go", "");
        let ended = run.wait().expect_code(0);
        let wanted: Vec<u8> =
            (1..=16).flat_map(|n| [format!("{n}\n").into_bytes(), vec![0; 6_000_000]].concat()).collect();
        assert!(result(&world, how, ended.stdout) == wanted, "{how}");
        assert_eq!(fs::read_dir(world.path("s/spill")).unwrap().count(), 0, "nothing is left of it");
    }
}

#[test]
fn chunks_go_on_behind_a_slow_one() {
    for how in ["", "-o out"] {
        let world = World::new();
        let lines = (0..51).map(|n| format!("{n:099}\n").repeat(20_971));
        let text = format!("first\n{}", lines.collect::<String>()).into_bytes();
        world.write("in", &text);
        let filter = "IFS= read -r l; [ \"$l\" != first ] || until [ -e go ]; do sleep 0.01; done; \
                      printf '%s\\n' \"$l\"; cat; echo 0 >> ran";
        let line = format!("pipe in {how} -j 2 --block 2MiB --state s --");
        let run = world.bivouac(&line).words(&["sh", "-c", filter]).start();
        until_overtaken(&world, 51);
        expect_little_memory(&run);
        world.write("go", "");
        let ended = run.wait().expect_code(0);
        assert!(result(&world, how, ended.stdout) == text, "{how}");
    }
}

/// A record of twenty thousand finished tasks is not larger than one of two.
#[test]
fn after_an_orderly_stop_none_of_those_behind_the_slow_one_runs_again() {
    for how in ["-k", "-o out"] {
        let world = World::new();
        let line = each(&world, &format!("{how} --grace 0s"), 300, "");
        let run = line.start();
        until_overtaken(&world, 300);
        run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM).expect_says("299 ahead");
        expect_nobody_left(&world);
        let record = world.read("s/checkpoint.json").len();
        assert!(record < 4096, "the record has {record} bytes");
        assert_eq!(kept(&world), 299);
        world.write("go", "");
        let ended = line.run().expect_code(0);
        assert!(result(&world, how, ended.stdout) == numbers(300).into_bytes(), "{how}");
        let mut all = ran(&world);
        all.sort_unstable();
        assert_eq!(all, (1..=300).collect::<Vec<_>>(), "{how}: each ran once");
    }
}

/// What a checkpoint has kept needs no orderly stop.
#[test]
fn after_a_sigkill_none_of_those_that_a_checkpoint_has_kept_runs_again() {
    for how in ["-k", "-o out"] {
        let world = World::new();
        let line = each(&world, &format!("{how} --checkpoint-every 20ms"), 200, "");
        let run = line.start();
        until_overtaken(&world, 200);
        // One that was asked for after all had ended.
        world.bivouac("checkpoint s").run().expect_code(0);
        run.signal(SIGKILL).wait().expect_killed_by(SIGKILL);
        until_nobody_is_left(&world);
        assert_eq!(kept(&world), 199);
        world.write("go", "");
        let ended = line.run().expect_code(0);
        assert!(result(&world, how, ended.stdout) == numbers(200).into_bytes(), "{how}");
        let mut all = ran(&world);
        all.sort_unstable();
        assert_eq!(all, (1..=200).collect::<Vec<_>>(), "{how}: each ran once");
    }
}

/// What was printed of those that had waited is on record at once: no checkpoint is needed for that.
#[test]
fn what_had_waited_and_is_printed_is_not_printed_again_after_a_sigkill() {
    let world = World::new();
    world.write("items", numbers(60));
    let text = "[ $1 != 1 ] || until [ -e go1 ]; do sleep 0.01; done; \
                [ $1 != 40 ] || until [ -e go40 ]; do sleep 0.01; done; echo $1; echo $1 >> ran";
    let line = world.bivouac("each -k -j 3 -a items --state s --grace 0s --checkpoint-every 1h");
    let line = line.words(&["sh", "-c", text, "sh"]);
    let run = line.start();
    until_waiting(&world, 58);
    run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM).expect_stdout(b"");
    world.write("go1", "");
    let run = line.start();
    until("those before the second slow one to be printed", || status(&world)["tasks"]["done"] == 39);
    let ended = run.signal(SIGKILL).wait().expect_killed_by(SIGKILL);
    let first = String::from_utf8(ended.stdout).unwrap();
    assert_eq!(first, numbers(39));
    until_nobody_is_left(&world);
    world.write("go40", "");
    let ended = line.run().expect_code(0);
    assert_eq!(first + &String::from_utf8(ended.stdout).unwrap(), numbers(60));
    assert_eq!(ran(&world).len(), 60, "each ran once");
}

#[test]
fn what_was_kept_and_is_damaged_is_said_and_done_again() {
    let world = World::new();
    let line = each(&world, "-o out --grace 0s", 300, "");
    let run = line.start();
    until_overtaken(&world, 300);
    run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    fs::remove_file(world.path("s/spill/segment.0")).unwrap();
    world.write("go", "");
    world.write("ran", "");
    line.run().expect_code(0).expect_says("299 kept results are missing or damaged");
    assert!(world.read("out") == numbers(300).into_bytes());
    assert_eq!(ran(&world).len(), 300);
}

#[test]
fn only_the_limit_of_the_disk_makes_the_others_wait_and_that_is_said() {
    let world = World::new();
    let line = each(
        &world,
        "-o out --spill-limit 2MiB --checkpoint-every 20ms --grace 0s",
        200,
        "head -c 100000 /dev/zero;",
    );
    let run = line.start().until(": is slow, and the results after it take");
    // Others that were at work end; one that a stop without grace cancels would run again.
    let run = run.asked_until(SIGUSR1, |status| status.contains(" 1 in flight"));
    let begun = ran(&world).len();
    assert!((15..199).contains(&begun), "{begun}");
    // Somebody who gives up is answered at once, and the next run goes on with what is kept.
    run.signal(SIGTERM).until("phase stopping").wait().expect_stopped_by(SIGTERM);
    world.write("go", "");
    line.run().expect_code(0);
    assert_eq!(world.read("out").len(), numbers(200).len() + 200 * 100_000);
    let mut all = ran(&world);
    all.sort_unstable();
    assert_eq!(all, (1..=200).collect::<Vec<_>>(), "each ran once");
    world.bivouac("each -k --spill-limit none true ::: a").run().expect_code(2).expect_says("16MiB");
}
