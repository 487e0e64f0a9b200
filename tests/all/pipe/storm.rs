//! Stops and goes while children are born by the thousand.
//!
//! Between its birth and its exec a child is in the group of bivouac and has the default actions. A
//! SIGTSTP from the terminal stops it there, its parent thread waits for it in the kernel, and a SIGCONT
//! to the job does not reach it once it has a group of its own. Without a remedy the run has a
//! worker less, and soon none.

use super::{children_of, expect_bytes, expect_nobody_left, pipe, state};
use crate::data;
use crate::harness::World;
use crate::jobcontrol::{namespace, only_child};
use nix::sys::signal::Signal::{SIGCONT, SIGTERM, SIGTSTP};
use nix::sys::signal::{Signal, killpg};
use std::fs;
use std::time::{Duration, Instant};

/// Thousands of commands that take a millisecond; but the last hundred wait until there is a file `go`. So the
/// storm does not outlast the job, however slow the machine makes the storm.
const TINY: [&str; 3] =
    ["sh", "-c", "[ $BIVOUAC_SEQ -lt 3000 ] || until [ -e go ]; do sleep 0.05; done; exec cat"];

fn tiny(world: &World) -> crate::harness::Bivouac<'_> {
    world.write("in", data::text(6, 3 << 20));
    pipe(world, "in -o out --block 1k --jobs 4 --checkpoint-every 20ms", &TINY)
}

fn storm(stop: Signal, pause: impl Fn(u32) -> Duration) {
    let world = World::new();
    let mut run = tiny(&world).start().until("ready");
    let begun = Instant::now();
    let mut rounds = 0;
    while rounds < 60 || begun.elapsed() < Duration::from_secs(5) {
        rounds += 1;
        // To the group, as the terminal does it: whoever is in it at that moment.
        for (signal, time) in [(stop, pause(rounds)), (SIGCONT, pause(rounds * 7 + 3))] {
            killpg(run.pid(), signal).unwrap();
            run = run.let_pass(time);
        }
    }
    world.write("go", "");
    // The last CONT may have come before the suspension that it should have ended; then one more ends that.
    let run = run.let_pass(Duration::from_millis(100));
    killpg(run.pid(), SIGCONT).ok(); // The job may have ended by now.
    run.wait().expect_code(0);
    expect_bytes(&world, &world.read("in"));
    expect_nobody_left(&world);
}

fn exists(pid: nix::unistd::Pid) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok()
}

#[test]
fn of_long_pauses() {
    storm(SIGTSTP, |round| Duration::from_millis(u64::from(5 + round % 40)));
}

#[test]
fn of_short_pauses() {
    storm(SIGTSTP, |round| Duration::from_millis(u64::from(round % 4)));
}

/// `kill -STOP` to the group is heard by nobody; who was half born has to be found all the same.
#[test]
fn of_stops_that_nobody_announces() {
    storm(Signal::SIGSTOP, |round| Duration::from_micros(u64::from(round * 977 % 5000)));
}

/// A stop in the middle of it, and the rest later.
#[test]
fn and_then_a_stop() {
    let world = World::new();
    let mut run = tiny(&world).start().until("ready");
    for round in 0..40 {
        killpg(run.pid(), SIGTSTP).unwrap();
        run = run.let_pass(Duration::from_millis(round % 7));
        killpg(run.pid(), SIGCONT).unwrap();
        run = run.let_pass(Duration::from_millis(round % 5));
    }
    killpg(run.pid(), SIGTERM).unwrap();
    killpg(run.pid(), SIGCONT).unwrap();
    let run = run.until("phase stopping");
    world.write("go", "");
    run.wait().expect_stopped_by(SIGTERM);
    expect_nobody_left(&world);
    tiny_again(&world);
}

fn tiny_again(world: &World) {
    pipe(world, "in -o out --jobs 4", &TINY).run().expect_code(0);
    expect_bytes(world, &world.read("in"));
}

/// As process 1 it inherits every orphan of the namespace, and no other process can reap them.
#[test]
fn as_process_one_it_reaps_orphans() {
    let Some(wrapper) = namespace() else { return };
    let world = World::new();
    world.write("in", data::text(6, 400_000));
    // Each command leaves a process behind, which ends when nobody waits for it any more.
    let command = ["sh", "-c", "(sleep 0.05 </dev/null >/dev/null 2>&1 &) ; cat; sleep 0.02"];
    let job = pipe(&world, "in -o out --block 1k", &command).under(wrapper);
    let mut run = job.start().until("ready");
    let one = only_child(run.pid());
    let mut most = 0;
    let mut looks = 0;
    while exists(one) {
        let zombies = children_of(one).iter().filter(|pid| state(**pid) == Some('Z')).count();
        most = most.max(zombies);
        looks += 1;
        run = run.let_pass(Duration::from_millis(10));
    }
    run.wait().expect_code(0);
    assert!(looks > 50, "{looks}");
    // There are 400 in all.
    assert!(most < 60, "{most} zombies at a time");
    expect_bytes(&world, &world.read("in"));
}

/// Pausing through bivouac alone, as `kill -TSTP` of a person does it, while children are born.
#[test]
fn to_the_job_alone() {
    let world = World::new();
    let mut run = tiny(&world).start().until("ready");
    for _ in 0..30 {
        run = run.signal(SIGTSTP).until_suspended_by(SIGTSTP);
        super::until_all_stand_still(&world);
        // Both at once would be one batch, which means to go on.
        run = run.signal(Signal::SIGCONT).until_continued().until("phase running");
    }
    world.write("go", "");
    run.wait().expect_code(0);
    expect_bytes(&world, &world.read("in"));
    expect_nobody_left(&world);
}
