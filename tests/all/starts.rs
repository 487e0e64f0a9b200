//! Equal runs that start in the same instant: each command runs once, and the second run is told so.

use crate::harness::World;
use crate::running::Running;
use nix::sys::signal::Signal::SIGKILL;
use std::collections::BTreeMap;
use std::fs;
use std::thread;

/// How often each item has left its line.
fn effects(world: &World) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for line in fs::read_to_string(world.path("ran")).unwrap_or_default().lines() {
        *counts.entry(line.to_string()).or_insert(0) += 1;
    }
    counts
}

fn once_each(world: &World, items: &[&str], story: &str) {
    let wanted: BTreeMap<_, _> = items.iter().map(|item| ((*item).to_string(), 1)).collect();
    assert_eq!(effects(world), wanted, "{story}");
}

/// Starts the same line so many times from as many threads, and gives their codes.
fn together(world: &World, line: &str, words: &[&str], times: usize) -> Vec<i32> {
    let command = world.bivouac(line).words(words);
    thread::scope(|scope| {
        let runs: Vec<_> = (0..times).map(|_| scope.spawn(|| command.run().code().unwrap_or(-1))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    })
}

const EFFECT: [&str; 4] = ["sh", "-c", "echo $0 >> ran; echo $0", "{}"];

#[test]
fn every_command_runs_once_whoever_comes_first() {
    let items = ["a", "b", "c"];
    for round in 0..30 {
        let world = World::new();
        let line = ["each -j2", "each -k -j2", "each -j2 -o out"][round % 3];
        let words = [&EFFECT[..], &[":::"], &items].concat();
        let codes = together(&world, line, &words, 2 + round % 4);
        let story = format!("round {round}, {line}: {codes:?}");
        assert!(codes.contains(&0) && codes.iter().all(|code| [0, 5].contains(code)), "{story}");
        once_each(&world, &items, &story);
        world.bivouac(line).words(&words).run().expect_code(0).expect_says("already finished");
        once_each(&world, &items, &story);
        if round % 3 == 2 {
            assert_eq!(world.read("out"), b"a\nb\nc\n", "{story}");
        }
    }
}

/// Runs of which the first was killed go on from where it was, and not from the beginning.
#[test]
fn a_refused_run_does_not_set_back_the_record_of_one_that_was_killed() {
    let items = ["a", "b", "c", "d"];
    for round in 0..6 {
        let world = World::new();
        // The last item comes to no end as long as there is no file of this name.
        let script = "test $0 != d || test -e go || exec sleep 1000; echo $0 >> ran; echo $0";
        let words = [&["sh", "-c", script, "{}", ":::"][..], &items].concat();
        let line = ["each -j1 -o out --checkpoint-every 5ms", "each -j1 --checkpoint-every 5ms"][round % 2];
        let first = world.bivouac(line).words(&words).start().until_checkpoint_at_least(3);
        first.signal(SIGKILL).wait().expect_killed_by(SIGKILL);
        world.write("go", "");
        let codes = together(&world, line, &words, 3);
        let story = format!("round {round}, {line}: {codes:?}");
        assert!(codes.contains(&0) && codes.iter().all(|code| [0, 5].contains(code)), "{story}");
        once_each(&world, &items, &story);
    }
}

/// A passing state is there, with its lock, before the first command: so the watcher of a run that was killed
/// holds it until the commands are gone, and the next run waits for that.
#[test]
fn the_commands_of_a_killed_run_are_gone_before_the_next_one_begins() {
    for line in ["pipe in -j2 --block 4 --checkpoint-every 1h", "each -j2 -a in --checkpoint-every 1h"] {
        let world = World::new();
        world.write("in", "one\ntwo\n");
        // The first time it stays, and says by its name that it runs; its environment tells whose it is.
        let script = "if test -e go; then cat; else echo $$ >> pids; exec sleep 1000; fi";
        let command = world.bivouac(line).words(&["--", "sh", "-c", script]);
        let first = command.start().until_at_work();
        until_pids(&world, &first, 2);
        let pids = fs::read_to_string(world.path("pids")).unwrap();
        assert!(world.exists(".bivouac"), "the state is made before the first command");
        first.signal(SIGKILL).wait().expect_killed_by(SIGKILL);
        world.write("go", "");
        command.run().expect_code(0);
        for pid in pids.lines() {
            let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let is_over = state.is_empty() || state.contains(") Z ") || !state.contains("(sleep)");
            assert!(is_over, "{line}: {state}");
        }
    }
}

fn until_pids(world: &World, run: &Running<'_>, wanted: usize) {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while fs::read_to_string(world.path("pids")).unwrap_or_default().lines().count() < wanted {
        assert!(std::time::Instant::now() < end, "the commands never start: {}", run.said());
        thread::sleep(std::time::Duration::from_millis(5));
    }
}
