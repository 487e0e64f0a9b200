//! The ways in which others lose data, each tried here. `parallel --pipepart --resume` begins again at
//! the first block, never comes to the last ones, and ends with 0; another block size or number of jobs
//! at the second run gives another file; output of a job that was cut off stays in the result.

use super::{
    TR, abort, again, again_when_free, chunks, crawling, expect_bytes, expect_nobody_left, pipe, resumes_tr,
    slow, until, until_nobody_is_left, world,
};
use crate::data;
use crate::harness::World;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::Signal::{SIGKILL, SIGTERM};
use std::fs::File;
use std::time::Duration;

#[test]
fn the_same_options_after_a_stop() {
    let world = world();
    let run = slow(&world, &TR).start().until_checkpoint_at_least(3);
    let ended = run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    let done = ended.last_checkpoint();
    let ended = again(&world, &TR).run().expect_code(0).expect_resumed_at_least(done);
    drop(ended);
    expect_bytes(&world, &world.shell("tr a-z A-Z <big.txt"));
}

/// The same words with blanks elsewhere are another command.
#[test]
fn another_command_whose_words_look_the_same_in_a_row() {
    let world = world();
    crawling(&world, "", &["tr", "a b", "c"]).signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    let ended = again(&world, &["tr", "a", "b c"]).run().expect_code(3);
    drop(ended.expect_says("`tr 'a b' c`").expect_says("`tr a 'b c'`"));
    again(&world, &["tr", "a b", "c"]).run().expect_code(0);
    expect_bytes(&world, &world.shell("tr 'a b' c <big.txt"));
}

/// The filter shows where the chunks end, so another cut would show.
#[test]
fn another_block_and_another_number_of_jobs_when_it_goes_on() {
    let world = world();
    let marking = ["sh", "-c", "cat; echo; echo ---"];
    let blocks = chunks(data::large_text(), 256 << 10);
    let wanted: Vec<u8> = blocks
        .iter()
        .filter(|block| !block.is_empty())
        .flat_map(|block| block.iter().chain(b"\n---\n").copied())
        .collect();
    for options in ["--block 1MiB --jobs 5", "--jobs 1", "--block 10k --jobs 3", ""] {
        crawling(&world, "--fresh", &marking).signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
        let ended = pipe(&world, &format!("big.txt -o out {options}"), &marking).run().expect_code(0);
        // Another cut is not what was asked for, and that is said.
        assert_eq!(ended.stderr.contains("begun with blocks of 262144"), options.contains("--block"));
        expect_bytes(&world, &wanted);
        expect_nobody_left(&world);
    }
}

/// Output that comes slowly and is large, so that each kill meets chunks whose output is half there,
/// in the file and in what waits for its turn.
#[test]
fn much_output_per_chunk_and_a_kill_every_second() {
    let world = World::new();
    world.write("in", "1\n2\n3\n4\n5\n6\n");
    let script = "import sys, time\nn = int(sys.stdin.readline())\n\
                  for i in range(64):\n sys.stdout.write(('%d %07d ' % (n, i)) * 12000 + '\\n')\n sys.stdout.flush()\n \
                  time.sleep(0.01)";
    let job =
        pipe(&world, "in -o out --block 1 --jobs 2 --checkpoint-every 50ms", &["python3", "-c", script]);
    let mut kills = 0;
    let ended = loop {
        let run = job.start().let_pass(Duration::from_millis(1100));
        if !run.try_signal(SIGKILL) {
            let ended = run.wait();
            match ended.code() {
                Some(5) => continue, // Somebody is still seeing to what the last kill left.
                _ => break ended,
            }
        }
        kills += 1;
        drop(run.wait());
        assert!(kills < 60, "it does not get on");
    };
    ended.expect_code(0);
    assert!(kills >= 2, "it was over before it was killed");
    let line = |n: u32, i: u32| format!("{n} {i:07} ").repeat(12_000) + "\n";
    let wanted: String = (1..=6).flat_map(|n| (0..64).map(move |i| line(n, i))).collect();
    expect_bytes(&world, wanted.as_bytes());
    until_nobody_is_left(&world);
}

#[test]
fn kill_after_kill_loses_nothing_that_was_committed() {
    let world = world();
    let mut committed = 0;
    for _ in 0..4 {
        let run = slow(&world, &TR).start().until_checkpoint_at_least(committed + 2);
        committed = run.last_checkpoint();
        run.signal(SIGKILL).wait().expect_killed_by(SIGKILL);
        until_free(&world);
    }
    again_when_free(&world, &TR).expect_code(0).expect_resumed_at_least(committed);
    expect_bytes(&world, &world.shell("tr a-z A-Z <big.txt"));
}

/// An end of every kind behind the other.
#[test]
fn one_end_after_another() {
    let world = world();
    abort(crawling(&world, "", &TR)).wait().expect_stopped_by(SIGTERM);
    crawling_again(&world, SIGTERM);
    crawling_again(&world, SIGKILL);
    resumes_tr(&world);
}

fn crawling_again(world: &World, signal: nix::sys::signal::Signal) {
    let run = slow(world, &TR).start().until("resumed at").until_further_checkpoint();
    run.signal(signal).wait().expect_killed_by(signal);
    until_free(world);
}

/// Until the state can be taken by the next run.
fn until_free(world: &World) {
    until_nobody_is_left(world);
    until("the lock to be free", || {
        let lock = File::open(world.path("out.bivouac/lock")).unwrap();
        Flock::lock(lock, FlockArg::LockSharedNonblock).is_ok()
    });
}
