//! A job in shards gives the bytes and the exit code of the job as one.

use crate::harness::{Bivouac, Input, World};
use crate::pipe::until;
use crate::running::{Ended, Running};
use bivouac::record::{Record, Unverified};
use nix::sys::signal::Signal::{self, SIGKILL, SIGTERM, SIGUSR2};
use std::fs;

/// A verb with its options and inputs, the option that names the output, and what follows it.
type Case = (&'static str, &'static str, &'static [&'static str]);

const CASES: [Case; 13] = [
    ("count many one empty", "-o", &[]),
    ("count -w -L one", "-o", &[]),
    ("grep -n 7 many one empty", "--output", &[]),
    ("grep -c 7 many one empty", "--output", &[]),
    ("grep -n -C 2 -m 9 00 many", "--output", &[]),
    ("grep nothing many", "--output", &[]),
    ("digest tree many empty", "-o", &[]),
    ("digest --algorithm sha256 many", "-o", &[]),
    ("pipe many --block 20k", "-o", &["--", "tr", "1-9", "a-i"]),
    ("pipe empty", "-o", &["--", "cat"]),
    ("pipe many --block 20k --keep-going", "-o", &["--", "grep", "-v", "1000$", "/dev/stdin", "nowhere"]),
    ("each -a few --tag --shell", "-o", &["echo {#} {}; [ $(( {} % 4 )) != 0 ]"]),
    ("each -a few -n 2", "-o", &["echo", "{#}"]),
];

fn world() -> World {
    let world = World::new();
    let many: String = (0..40_000).map(|number| format!("{number}\n")).collect();
    world.write("many", &many);
    world.write("one", "a single line, with 7\n");
    world.write("empty", "");
    world.write("few", (1..=9).map(|number| format!("{number}\n")).collect::<String>());
    for number in 0..9 {
        world.write(&format!("tree/{number}/f"), &many[..number * 1000]);
    }
    world
}

/// Output and exit code; there may be no output.
type Outcome = (Option<Vec<u8>>, Option<i32>);

fn run(world: &World, (line, option, rest): Case, out: &str, shard: &str) -> Outcome {
    let (verb, options) = line.split_once(' ').unwrap();
    let job = world.bivouac(verb).with(&format!("{option} {out} {shard} {options}")).words(rest);
    let code = job.run().code();
    (fs::read(world.path(out)).ok(), code)
}

fn in_shards(of: u64) {
    let world = world();
    for case in CASES {
        let whole = run(&world, case, "whole", "");
        let mut last = (None, None);
        for number in (1..=of).rev() {
            last = run(&world, case, "parts", &format!("--shard {number}/{of}"));
        }
        assert!(whole.0.is_some(), "{case:?}");
        assert_eq!(last, whole, "{case:?} in {of} shards");
        for out in ["whole", "parts"] {
            fs::remove_file(world.path(out)).unwrap();
            fs::remove_dir_all(world.path(&format!("{out}.bivouac"))).unwrap();
        }
    }
}

#[test]
fn one_shard_is_the_whole() {
    in_shards(1);
}

#[test]
fn two_shards() {
    in_shards(2);
}

#[test]
fn three_shards() {
    in_shards(3);
}

#[test]
fn four_shards() {
    in_shards(4);
}

#[test]
fn five_shards() {
    in_shards(5);
}

#[test]
fn six_shards() {
    in_shards(6);
}

#[test]
fn seven_shards() {
    in_shards(7);
}

/// A shard of `pipe many`, or all of it.
fn pipe<'w>(world: &'w World, shard: &str) -> Ended<'w> {
    let job = world.bivouac("pipe many --block 20k -o out").with(shard).words(&["--", "tr", "1-9", "a-i"]);
    job.run()
}

#[test]
fn a_merge_names_what_is_missing_and_refuses_what_does_not_fit() {
    let world = world();
    pipe(&world, "--shard 2/3").expect_code(0);
    world.bivouac("merge out").run().expect_code(3).expect_says("2 of 3 shards are not done: 1, 3");
    pipe(&world, "--shard 1/3").expect_code(0);
    assert!(!world.exists("out"));
    pipe(&world, "--shard 3/3").expect_code(0).expect_says("all 3 shards are done");
    let (whole, results) = (world.read("out"), "out.bivouac/shards/2.results");
    pipe(&world, "--shard 3/3").expect_code(0).expect_says("already finished");
    world.bivouac("merge out").run().expect_code(0).expect_says("already finished");

    fs::remove_file(world.path("out")).unwrap();
    let right = world.read(results);
    let mut torn = right.clone();
    torn[20] ^= 1;
    for wrong in
        [&right[..right.len() - 1], &right[..10], b"", &torn, &world.read("out.bivouac/shards/1.results")]
    {
        world.write(results, wrong);
        let code = if wrong == torn { 4 } else { 3 };
        world.bivouac("merge out").run().expect_code(code).expect_says("2.results");
        assert!(!world.exists("out"));
    }
    world.write(results, &right);
    world.bivouac("merge out.bivouac").run().expect_code(0);
    assert_eq!(world.read("out"), whole);
}

#[test]
fn another_plan_is_refused_and_nothing_changes() {
    let world = world();
    pipe(&world, "--shard 2/3").expect_code(0);
    let before = world.contents("out.bivouac");
    pipe(&world, "--shard 2/4").expect_code(3).expect_says("in 3 shards, not in 4");
    pipe(&world, "").expect_code(3).expect_says("--shard K/3");
    let other = world.bivouac("pipe many -o out --shard 1/3 -- tr 1-9 b-j").run();
    other.expect_code(3).expect_says("with other options");
    world.bivouac("count many -o out --shard 1/3").run().expect_code(3).expect_says("another job");
    pipe(&world, "--shard 4/3").expect_code(2);
    pipe(&world, "--shard auto/3").expect_code(2).expect_says("or set SLURM_ARRAY_TASK_ID");
    world
        .bivouac("count many --shard 1/3")
        .run()
        .expect_code(2)
        .expect_says("needs an output file, of which each shard makes a part");
    assert_eq!(world.contents("out.bivouac"), before);
    world.append("many", "more\n");
    let grown = pipe(&world, "--shard 1/3").expect_code(0);
    grown.expect_says("grew");
    world.write("many", "other\n");
    pipe(&world, "--shard 3/3").expect_code(3);
    world.write("out.bivouac/plan.json", "{}");
    pipe(&world, "--shard 3/3").expect_code(3).expect_says("plan.json: is damaged");
}

/// A slow shard of `pipe many`, or the same at once.
fn slow<'w>(world: &'w World, shard: &str, rate: &str) -> Bivouac<'w> {
    let job = world.bivouac("pipe many --block 4k -o out").with(shard).with(rate);
    job.words(&["--", "tr", "1-9", "a-i"])
}

/// Starts both shards, ends each with a signal after a checkpoint, and runs each again until it is done. On a busy
/// machine one of them may have finished before its signal.
fn interrupted(signals: [Signal; 2]) {
    let world = world();
    for round in 1..=3 {
        let both =
            [1, 2].map(|number| slow(&world, &format!("--shard {number}/2"), "--limit-rate 30k").start());
        for (shard, signal) in both.into_iter().zip(signals) {
            let shard = shard.until_checkpoint_at_least(round * 2);
            shard.try_signal(signal);
            shard.wait();
        }
    }
    let was_merged = world.exists("out");
    let both = [1, 2].map(|number| slow(&world, &format!("--shard {number}/2"), "--wait").start());
    let last: Vec<_> = both.into_iter().map(|shard| shard.wait().expect_code(0)).collect();
    let merging = last.iter().filter(|ended| ended.stderr.contains("all 2 shards are done")).count();
    assert!(was_merged || merging >= 1);
    assert_eq!(world.read("out"), world.shell("tr 1-9 a-i < many"));
}

#[test]
fn two_shards_at_once_that_are_killed_again_and_again() {
    interrupted([SIGKILL, SIGKILL]);
}

#[test]
fn two_shards_at_once_that_are_stopped_and_warned() {
    interrupted([SIGTERM, SIGUSR2]);
}

#[test]
fn all_shards_are_asked_to_stop_before_one_has_stopped() {
    let world = world();
    let command = "echo >begun{}; until [ -e go ]; do sleep .02; done";
    let shards = ["1/2", "2/2"].map(|shard| {
        let job =
            world.bivouac("each --grace 10m -j1 -o out --shard").words(&[shard, "--shell", command, ":::"]);
        job.words(&["1", "2", "3", "4"]).start()
    });
    until("both at work", || world.exists("begun1") && world.exists("begun2"));
    let stop = world.bivouac("stop out").start();
    let shards = shards.map(|shard| shard.until("phase stopping"));
    world.write("go", "");
    for shard in shards {
        shard.wait().expect_stopped_by(SIGTERM);
    }
    stop.wait().expect_code(0);
}

#[test]
fn a_merge_that_is_killed_is_taken_up_by_the_same_shard() {
    let world = world();
    pipe(&world, "--shard 1/2").expect_code(0);
    let shard = "--shard 2/2 --limit-rate 20k";
    let merge = pipe_started(&world, shard).until("all 2 shards are done").until_further_checkpoint();
    merge.signal(SIGKILL).wait().expect_killed_by(SIGKILL);
    assert!(!world.exists("out"));
    let merge = pipe_started(&world, shard).until("all 2 shards are done").until("resumed after");
    merge.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    world.bivouac("clean out").run().expect_code(3);
    pipe(&world, "--shard 2/2").expect_code(0);
    assert_eq!(world.read("out"), world.shell("tr 1-9 a-i < many"));
    world.bivouac("clean out").run().expect_code(0);
    assert!(!world.exists("out.bivouac"));
}

fn pipe_started<'w>(world: &'w World, shard: &str) -> Running<'w> {
    let job = world.bivouac("pipe many --block 20k -o out").with(shard).words(&["--", "tr", "1-9", "a-i"]);
    job.start()
}

#[test]
fn a_twin_ends_at_once_or_waits_and_hears_signals() {
    let world = world();
    let first = slow(&world, "--shard 1/2", "--limit-rate 60k").start().until_checkpoint_at_least(1);
    slow(&world, "--shard 1/2", "").run().expect_code(5).expect_says("is in use by");
    let second = slow(&world, "--shard 1/2", "--wait").start().until("this run waits for it");
    second.signal(SIGUSR2).wait().expect_code(75);
    let second = slow(&world, "--shard 1/2", "--wait").start().until("this run waits for it");
    first.signal(SIGKILL).wait();
    second.until("resumed after").wait().expect_code(0);
}

#[test]
fn a_shard_that_waits_for_the_plan_ends_at_once() {
    let world = world();
    fs::create_dir(world.path("out.bivouac")).unwrap();
    let lock = fs::File::create(world.path("out.bivouac/done.lock")).unwrap();
    lock.lock().unwrap();
    for signal in [SIGTERM, Signal::SIGINT] {
        let shard = pipe_started(&world, "--shard 1/2");
        // It makes this directory just before it takes the lock.
        until("the directory of the shards", || world.exists("out.bivouac/shards"));
        shard.signal(signal).wait().expect_killed_by(signal);
        fs::remove_dir(world.path("out.bivouac/shards")).unwrap();
    }
    drop(lock);
    pipe(&world, "--shard 1/2").expect_code(0);
}

#[test]
fn a_run_ends_when_another_one_has_raised_the_epoch() {
    let world = world();
    let first = slow(&world, "--shard 1/2", "--limit-rate 60k").start().until_checkpoint_at_least(1);
    let path = world.path("out.bivouac/shards/1/checkpoint.json");
    let record = Unverified::new(fs::read(&path).unwrap()).verify(&path).unwrap();
    let raised = Record { epoch: record.epoch + 1, ..record }.encode().unwrap();
    fs::write(path.with_extension("raised"), &raised).unwrap();
    fs::rename(path.with_extension("raised"), &path).unwrap();
    let ended = first.wait();
    // Of a checkpoint that was under way, the rename may have come after this one.
    if fs::read(&path).unwrap() == raised {
        ended.expect_code(5).expect_says("another run has taken over");
    }
}

/// Answers as a file server that has given the locks of this host away: from a moment on, a write through a file called
/// `lock` fails.
const LOST: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) {
    static ssize_t (*real)(int, const void *, size_t, off64_t);
    char link[64], path[4096] = "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n > 5 && strcmp(path + n - 5, "/lock") == 0 && access(getenv("LOST"), F_OK) == 0) {
        errno = EIO;
        return -1;
    }
    if (!real) real = dlsym(RTLD_NEXT, "pwrite64");
    return real(fd, bytes, length, at);
}
"#;

#[test]
fn a_shard_whose_lock_answers_eio_ends_and_another_one_goes_on() {
    let world = world();
    world.write("lost.c", LOST);
    // Cargo links with it, so it is here.
    world.shell("cc -shared -fPIC -o lost.so lost.c -ldl");
    let root = world.root().display();
    let preload = format!("env LD_PRELOAD={root}/lost.so LOST={root}/is-lost");
    let first = slow(&world, "--shard 1/2", "--limit-rate 60k").under(&preload).start();
    let first = first.until_checkpoint_at_least(1);
    world.write("is-lost", "");
    first.wait().expect_code(5).expect_says("the lock was lost: another run may have taken over");
    let states =
        ["checkpoint.json", "journal", "status.json"].map(|name| format!("out.bivouac/shards/1/{name}"));
    let all =
        || states.iter().filter(|name| world.exists(name)).map(|name| world.read(name)).collect::<Vec<_>>();
    let before = all();
    // A run that only begins has lost nothing yet: to it this is a device that fails.
    slow(&world, "--shard 1/2", "").under(&preload).run().expect_code(4).expect_says("/lock: cannot write");
    assert_eq!(all(), before);
    slow(&world, "--shard 1/2", "").run().expect_code(0).expect_says("resumed after");
    slow(&world, "--shard 2/2", "").run().expect_code(0);
    assert_eq!(world.read("out"), world.shell("tr 1-9 a-i < many"));
}

#[test]
fn status_and_log_see_all_shards() {
    let world = world();
    pipe(&world, "--shard 1/3").expect_code(0);
    let second = pipe_started(&world, "--shard 2/3 --limit-rate 60k --grace 0s").until_checkpoint_at_least(1);
    let status = world.bivouac("status out").run().expect_code(0);
    let status = status.expect_stdout_says("1 done, 1 running, 1 not begun");
    status.expect_stdout_says("shard 2     running");
    world.bivouac("stop out").run().expect_code(0);
    second.wait().expect_stopped_by(SIGTERM);
    let json = world.bivouac("status out --json").run().expect_code(0);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    let phases: Vec<_> =
        json["shards"].as_array().unwrap().iter().map(|shard| shard["phase"].as_str().unwrap()).collect();
    assert_eq!((json["phase"].as_str(), phases), (Some("stopped"), vec!["finished", "stopped"]));
    pipe(&world, "--shard 2/3").expect_code(0);
    pipe(&world, "--shard 3/3").expect_code(0);
    let log = world.bivouac("log out --format csv").run().expect_code(0);
    let log = String::from_utf8(log.stdout.clone()).unwrap();
    let mut chunks: Vec<u64> = log
        .lines()
        .filter(|line| line.contains(",done,"))
        .map(|line| line.split(',').next().unwrap().parse().unwrap())
        .collect();
    chunks.sort_unstable();
    assert_eq!(chunks, (1..=12).collect::<Vec<_>>());
}

#[test]
fn a_chunk_has_its_number_of_the_whole_job_everywhere() {
    let world = world();
    let fails = "cat; [ $BIVOUAC_SEQ != {#} ] || [ $BIVOUAC_SEQ != 8 ]";
    let line = "pipe many --block 20k -o out --shard 2/3 --keep-going --log-file log";
    let ended = world.bivouac(line).words(&["--", "sh", "-c", fails]).run().expect_code(1);
    ended.expect_says("chunk 8 failed").expect_says("`bivouac log --failed out.bivouac` lists them");
    assert!(String::from_utf8(world.read("log")).unwrap().contains("task failed task=8"));
    world.bivouac("log out --failed --format csv").run().expect_code(0).expect_stdout_says("\n8,1,");
    let slow =
        world.bivouac("pipe many --block 20k -o b --shard 3/3 -j 1 -- sh -c").words(&["cat; sleep 60"]);
    let slow = slow.start().until_at_work();
    until("the status file", || world.exists("b.bivouac/shards/3/status.json"));
    let status = || world.bivouac("status b.bivouac/shards/3").run().stdout.clone();
    until("chunk 3", || String::from_utf8_lossy(&status()).contains("chunk 3 for"));
    slow.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
}

#[test]
fn each_without_an_output_prints_as_it_goes_and_counts_failures() {
    let world = world();
    let each = |shard: &str, more: &str| {
        let job = world
            .bivouac("each --state s -a few")
            .with(shard)
            .with(more)
            .words(&["--shell", "echo {#}; [ {} != 5 ]"]);
        job.run()
    };
    let mut printed = Vec::new();
    for number in 1..=3 {
        let ended = each(&format!("--shard {number}/3"), "").expect_code(i32::from(number == 2));
        printed.extend(String::from_utf8(ended.stdout.clone()).unwrap().lines().map(str::to_string));
    }
    printed.sort();
    assert_eq!(printed, (1..=9).map(|number| number.to_string()).collect::<Vec<_>>());
    each("--shard 1/3", "").expect_code(0).expect_stdout(b"");
    for state in ["s", "s/shards/2"] {
        let log = world.bivouac("log --failed --format csv").with(state).run();
        log.expect_stdout_says("\n5,1,");
    }
    let second = world.bivouac("log s/shards/2 --format csv").run().expect_code(0);
    let second = String::from_utf8(second.stdout.clone()).unwrap();
    let mut items: Vec<_> = second.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
    items.sort_unstable();
    assert_eq!(items, ["2", "5", "8"]);
    each("--shard 2/3", "--retry-failed").expect_code(1).expect_stdout(b"5\n");
    world.bivouac("clean s").run().expect_code(0);
    assert!(!world.exists("s"));
}

/// With the variables that each scheduler sets; no scheduler is here.
#[test]
fn auto_takes_the_number_from_each_scheduler() {
    let world = world();
    for (name, first) in [
        ("SLURM_ARRAY_TASK_ID", 1),
        ("JOB_COMPLETION_INDEX", 0),
        ("AWS_BATCH_JOB_ARRAY_INDEX", 0),
        ("PBS_ARRAY_INDEX", 1),
        ("SGE_TASK_ID", 1),
        ("LSB_JOBINDEX", 1),
    ] {
        for element in [1, 0, 2] {
            let index = (element + first).to_string();
            let job = world.bivouac("pipe many --block 20k -o out --shard auto/3 --wait -- tr 1-9 a-i");
            job.under(&format!("env {name}={index}")).run().expect_code(0);
        }
        assert_eq!(world.read("out"), world.shell("tr 1-9 a-i < many"), "{name}");
        fs::remove_file(world.path("out")).unwrap();
        fs::remove_dir_all(world.path("out.bivouac")).unwrap();
    }
}

/// A tree, lists and standard input as the first shard found them; by then they are gone, or others.
#[test]
fn what_was_found_is_found_once_and_all_shards_use_it() {
    for (line, rest) in [
        ("digest tree many", ""),
        ("each -a few -a few", "echo {#} {}"),
        ("each --header : -a few", "echo {#} {1} {##}"),
        ("grep -r -c 7 tree", ""),
        ("grep -r --exclude-dir 1 -c 7 tree", ""),
        ("grep -n -f few many", ""),
        ("count --files0-from names", ""),
    ] {
        let world = world();
        world.write("names", "many\0empty\0tree/3/f");
        let option = if line.starts_with("grep") { "--output" } else { "-o" };
        let job = |out: &str, shard: &str| {
            let (verb, words) = line.split_once(' ').unwrap();
            let job = world.bivouac(verb).with(&format!("{option} {out} {shard} {words}")).with(rest);
            job.run().expect_code(0)
        };
        job("whole", "");
        job("parts", "--shard 2/3");
        world.write("tree/0/new", "7 is new\n");
        world.write("few", "another list\n");
        world.write("names", "one\0");
        job("parts", "--shard 3/3");
        fs::remove_file(world.path("names")).unwrap();
        fs::remove_file(world.path("few")).unwrap();
        job("parts", "--shard 1/3");
        assert_eq!(world.read("parts"), world.read("whole"), "{line}");
        world.bivouac("clean parts").run().expect_code(0);
        assert!(!world.exists("parts.bivouac"));
    }
}

#[test]
fn items_of_a_pipe_are_those_of_the_first_shard() {
    let world = world();
    let job = |shard: &str, stdin: &str| {
        let job = world.bivouac("each -o out --header :").with(shard).words(&["echo", "{##}", "{name}"]);
        job.stdin(Input::Piped(stdin.as_bytes().to_vec())).run()
    };
    job("--shard 2/2", "name\na\nb\nc\n").expect_code(0);
    job("--shard 1/2", "other\n").expect_code(0).expect_says("all 2 shards are done");
    assert_eq!(world.read("out"), b"3 a\n3 b\n3 c\n");
    world.append("out.bivouac/list", "d\n");
    job("--shard 1/2", "").expect_code(3).expect_says("is not the list that the plan was made with");
}

/// The end of a pipe may come with its last bytes.
#[test]
fn the_list_of_a_pipe_is_stored_to_its_end() {
    let world = world();
    for (many, line) in [(1, ""), (9, "-a -"), (9, "-0"), (70_000, "-n 700"), (9, "-a - -a few")] {
        let separator = if line == "-0" { "\0" } else { "\n" };
        let items: String = (0..many).map(|number| format!("{number}{separator}")).collect();
        let job = |out: &str, shard: &str| {
            let job = world.bivouac("each -o").words(&[out]).with(shard).with(line).words(&["echo"]);
            job.stdin(Input::Piped(items.as_bytes().to_vec())).run().expect_code(0);
        };
        job("whole", "");
        job("parts", "--shard 2/2");
        job("parts", "--shard 1/2");
        assert_eq!(world.read("parts"), world.read("whole"), "{many} {line}");
        assert!(!world.read("parts").is_empty());
        world.bivouac("clean whole parts").run().expect_code(0);
    }
}

/// The others have results of what there was, so one shard cannot begin afresh.
#[test]
fn a_shard_that_does_not_fit_is_told_how_all_begin_again() {
    let world = world();
    let how = "give it up: clean --force STATE";
    let each = |shard: &str, items: &str| {
        world.bivouac(&format!("each -o e --shard {shard} echo ::: {items}")).run()
    };
    each("1/2", "a b").expect_code(0);
    let ended = each("2/2", "a b c").expect_code(3).expect_says("has other tasks than shard 1");
    ended.expect_says(&format!("{how}; begin all shards again")).expect_short_messages();
    world.bivouac("clean --force e").run().expect_code(0);
    each("1/2", "a b c").expect_code(0);
    each("2/2", "a b c").expect_code(0);
    assert_eq!(world.read("e"), b"a\nb\nc\n");
    world.write("in", "one\ntwo\n");
    world.bivouac("count in -o c --shard 1/2").run().expect_code(0);
    world
        .bivouac("count in -l -o c --shard 2/2")
        .run()
        .expect_code(3)
        .expect_says("other options")
        .expect_says(how);
    fs::remove_file(world.path("in")).unwrap();
    world.write("in", "other\n");
    world.bivouac("count in -o c --shard 2/2").run().expect_code(3).expect_says(how);
}

#[test]
fn what_failed_in_a_shard_is_looked_up_in_the_whole_job() {
    let world = world();
    for shard in ["1/2", "2/2"] {
        let ended = world
            .bivouac("each -o e --shard")
            .words(&[shard, "test", "{}", "!=", "b", ":::", "b", "b"])
            .run();
        ended.expect_code(1).expect_says("`bivouac log --failed e.bivouac` lists them");
    }
    let log = world.bivouac("log --failed e.bivouac").run().expect_code(0);
    assert!(String::from_utf8_lossy(&log.stdout).contains("2 failed"));
}
