//! The ways in which others lose data, each tried here. `parallel --pipepart --resume` begins again at
//! the first block, never comes to the last ones, and ends with 0; another block size or number of jobs
//! at the second run gives another file; output of a job that was cut off stays in the result.

use super::{
    HALF_WAY, HELD_TR, abort, again, again_when_free, chunks, expect_bytes, expect_nobody_left, half_way,
    held, met_after, open_all, open_to, pipe, resumes_tr, until, until_nobody_is_left, world,
};
use crate::data;
use crate::harness::World;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::Signal::{SIGKILL, SIGTERM};
use std::fs::File;

#[test]
fn the_same_options_after_a_stop() {
    let world = world();
    let run = half_way(&world, &HELD_TR).signal(SIGTERM).until("phase stopping");
    open_all(&world);
    let done = run.wait().expect_stopped_by(SIGTERM).last_checkpoint();
    let ended = again(&world, &HELD_TR).run().expect_code(0).expect_resumed_at_least(done);
    drop(ended);
    expect_bytes(&world, &world.shell("tr a-z A-Z <big.txt"));
}

/// The same words with blanks elsewhere are another command.
#[test]
fn another_command_whose_words_look_the_same_in_a_row() {
    let world = world();
    let [one, other] =
        [["a b", "c"], ["a", "b c"]].map(|[from, to]| ["sh", "-c", held!("exec tr \"$0\" \"$1\""), from, to]);
    let run = half_way(&world, &one).signal(SIGTERM).until("phase stopping");
    open_all(&world);
    run.wait().expect_stopped_by(SIGTERM);
    let ended = again(&world, &other).run().expect_code(3);
    drop(ended.expect_says(" 'a b' c`").expect_says(" a 'b c'`"));
    again(&world, &one).run().expect_code(0);
    expect_bytes(&world, &world.shell("tr 'a b' c <big.txt"));
}

/// The filter shows where the chunks end, so another cut would show.
#[test]
fn another_block_and_another_number_of_jobs_when_it_goes_on() {
    let world = world();
    let marking = ["sh", "-c", held!("cat; echo; echo ---")];
    let blocks = chunks(data::large_text(), 256 << 10);
    let wanted: Vec<u8> = blocks
        .iter()
        .filter(|block| !block.is_empty())
        .flat_map(|block| block.iter().chain(b"\n---\n").copied())
        .collect();
    for options in ["--block 1MiB --jobs 5", "--jobs 1", "--block 10k --jobs 3", ""] {
        let run = met_after(&world, HALF_WAY, "--fresh", &marking).signal(SIGTERM).until("phase stopping");
        open_all(&world);
        run.wait().expect_stopped_by(SIGTERM);
        let ended = pipe(&world, &format!("big.txt -o out {options}"), &marking).run().expect_code(0);
        // Another cut is not what was asked for, and that is said.
        assert_eq!(ended.stderr.contains("begun with blocks of 262144"), options.contains("--block"));
        expect_bytes(&world, &wanted);
        expect_nobody_left(&world);
    }
}

/// Much output. Each kill meets one chunk of which half is there, and one whose output has just begun to be written.
#[test]
fn much_output_per_chunk_and_a_kill_in_the_middle_of_it() {
    let world = World::new();
    world.write("in", "1\n2\n3\n4\n5\n6\n");
    let script = "import os, sys, time\nn = int(sys.stdin.readline())\ndef half(a):\n for i in range(a, a + 32):\n  \
                  sys.stdout.write(('%d %07d ' % (n, i)) * 12000 + '\\n')\n sys.stdout.flush()\nhalf(0)\n\
                  open('half.%d' % n, 'w')\nwhile int(open('open').read()) < n: time.sleep(.01)\nhalf(32)";
    let job =
        pipe(&world, "in -o out --block 1 --jobs 2 --checkpoint-every 50ms", &["python3", "-c", script]);
    let line = |n: u32, i: u32| format!("{n} {i:07} ").repeat(12_000) + "\n";
    let whole = (0..64).map(|i| line(1, i).len() as u64).sum::<u64>();
    for first in 1..=5 {
        for n in 1..=6 {
            std::fs::remove_file(world.path(&format!("half.{n}"))).ok();
        }
        // The one before the two is done in this run.
        open_to(&world, first - 1);
        let run = job.start();
        until("two halves", || [first, first + 1].iter().all(|n| world.exists(&format!("half.{n}"))));
        open_to(&world, first);
        let part = || std::fs::metadata(world.path("out.part")).map_or(0, |facts| facts.len());
        until("output in the file", || part() > u64::from(first - 1) * whole);
        run.signal(SIGKILL).wait().expect_killed_by(SIGKILL);
        until_nobody_is_left(&world);
    }
    open_all(&world);
    job.run().expect_code(0);
    let wanted: String = (1..=6).flat_map(|n| (0..64).map(move |i| line(n, i))).collect();
    expect_bytes(&world, wanted.as_bytes());
    until_nobody_is_left(&world);
}

#[test]
fn kill_after_kill_loses_nothing_that_was_committed() {
    let world = world();
    let mut committed = 0;
    for round in 1..=4 {
        let run = met_after(&world, 2 * round, "", &HELD_TR);
        committed = run.last_checkpoint();
        run.signal(SIGKILL).wait().expect_killed_by(SIGKILL);
        until_free(&world);
    }
    again_when_free(&world, &HELD_TR).expect_code(0).expect_resumed_at_least(committed);
    expect_bytes(&world, &world.shell("tr a-z A-Z <big.txt"));
}

/// An end of every kind behind the other.
#[test]
fn one_end_after_another() {
    let world = world();
    abort(half_way(&world, &HELD_TR)).wait().expect_stopped_by(SIGTERM);
    for (chunk, signal) in [(6, SIGTERM), (8, SIGKILL)] {
        let run = met_after(&world, chunk, "--grace 0s", &HELD_TR).signal(signal);
        run.wait().expect_killed_by(signal).expect_says("resumed after");
        until_free(&world);
    }
    resumes_tr(&world);
}

/// Until the state can be taken by the next run.
fn until_free(world: &World) {
    until_nobody_is_left(world);
    until("the lock to be free", || {
        let lock = File::open(world.path("out.bivouac/lock")).unwrap();
        Flock::lock(lock, FlockArg::LockSharedNonblock).is_ok()
    });
}
