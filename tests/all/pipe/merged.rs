//! `--merge` and `--split-output`: one result of many outputs, and many files. Whatever happens in between, the result is
//! that of the tool alone, and a file is complete or absent.

use super::{expect_bytes, expect_nobody_left, open_all, open_to, until_nobody_is_left};
use crate::data::Random;
use crate::harness::{Bivouac, Input, World};
use crate::running::{DEADLINE, Ended};
use nix::sys::signal::Signal::{SIGCONT, SIGKILL, SIGTERM, SIGTSTP, SIGUSR1};
use std::time::Instant;

/// Ten lines are a block.
const BLOCK: usize = 80;

/// So many chunks have three merges, and one of those three.
const CHUNKS: u32 = 33;

fn lines(chunks: u32) -> String {
    let mut random = Random::new(7);
    (0..chunks * 10).fold(String::new(), |text, _| text + &format!("{:07}\n", random.below(400)))
}

/// A command of a chunk, one that merges, and what prints the same of the whole input.
type Tools = (&'static str, &'static str, &'static str);

const SORT: Tools = (super::held!("exec sort"), super::held!("sort -m \"$@\""), "sort in");

const TOOLS: [Tools; 4] = [
    SORT,
    (super::held!("wc -l"), super::held!("awk '{n+=$1} END{print n}' \"$@\""), "wc -l <in"),
    (
        super::held!("sort | uniq -c"),
        super::held!("awk '{c[$2]+=$1} END{for(k in c) printf \"%7d %s\\n\", c[k], k}' \"$@\" | sort -k2"),
        "sort in | uniq -c",
    ),
    (super::held!("sort | head -3"), super::held!("sort -m \"$@\" | head -3"), "sort in | head -3"),
];

fn job<'w>(world: &'w World, (command, merge, _): Tools, options: &str) -> Bivouac<'w> {
    let line =
        format!("pipe {options} -o out --checkpoint-every 20ms -j2 --block {BLOCK} --grace 0s --merge");
    world.bivouac(&line).words(&[merge, "--", "sh", "-c", command])
}

fn world_of(chunks: u32) -> World {
    let world = World::new();
    world.write("in", lines(chunks));
    open_all(&world);
    world
}

/// As soon as the state is free.
fn when_free<'w>(job: &Bivouac<'w>) -> Ended<'w> {
    let end = Instant::now() + DEADLINE;
    loop {
        let ended = job.run();
        if ended.code() != Some(5) {
            return ended;
        }
        assert!(Instant::now() < end, "the state is never free: {}", ended.stderr);
    }
}

fn expect_result(world: &World, tools: Tools) {
    expect_bytes(world, &world.shell(tools.2));
    assert!(!world.exists("out.bivouac/pieces"), "what was merged is still there");
}

#[test]
fn an_interruption_in_any_phase_changes_no_byte() {
    for (n, tools) in TOOLS.into_iter().enumerate() {
        // Among the chunks, among the merges, and in the last merge.
        for tasks in [5, CHUNKS + 1, CHUNKS + 3] {
            for signal in [SIGTERM, SIGKILL] {
                if n > 0 && (tasks == 5) == (signal == SIGKILL) {
                    continue; // One tool sees everything.
                }
                let world = world_of(CHUNKS);
                open_to(&world, tasks);
                let job = job(&world, tools, "in");
                let least = u64::from(tasks) - 1;
                drop(job.start().until_checkpoint_at_least(least).signal(signal).wait());
                assert!(!world.exists("out"));
                until_nobody_is_left(&world);
                open_all(&world);
                drop(when_free(&job).expect_code(0).expect_resumed_at_least(least));
                expect_result(&world, tools);
            }
        }
    }
}

#[test]
fn any_number_of_chunks_becomes_one_result() {
    for chunks in [1, 2, 16, 17, 257] {
        let world = world_of(chunks);
        job(&world, SORT, "in").run().expect_code(0);
        expect_result(&world, SORT);
    }
    // One output is merged too, and of nothing is nothing merged.
    let world = world_of(1);
    let count = ("cat", "cat \"$@\" | wc -l; echo merged", "");
    job(&world, count, "in").run().expect_code(0);
    expect_bytes(&world, b"10\nmerged\n");
    world.write("in", "");
    job(&world, count, "in").run().expect_code(0);
    expect_bytes(&world, b"");
    world.write("in", lines(3));
    job(&world, ("true", "echo merged; : \"$@\"", ""), "in").run().expect_code(0);
    expect_bytes(&world, b"");
}

#[test]
fn a_pause_and_a_checkpoint_hold_among_merges_too() {
    let world = world_of(CHUNKS);
    open_to(&world, CHUNKS + 3);
    let run = job(&world, SORT, "in").start().until_checkpoint_at_least(u64::from(CHUNKS) + 3);
    let run = run.signal(SIGUSR1).until("SIGUSR1").signal(SIGTSTP).until_suspended_by(SIGTSTP);
    open_all(&world);
    run.signal(SIGCONT).until_continued().wait().expect_code(0);
    expect_result(&world, SORT);
}

#[test]
fn a_merge_that_fails_ends_the_job_by_name_and_when_mended_it_goes_on() {
    let fails = "test -e broken && { echo what a pity >&2; exit 3; }; sort -m \"$@\"";
    for options in ["in", "in --keep-going"] {
        let world = world_of(CHUNKS);
        world.write("broken", "");
        let job = job(&world, ("sort", fails, "sort in"), options);
        let ended = job.run().expect_code(4).expect_says("merge of chunks 1 to 16: ");
        drop(ended.expect_says("ended with code 3").expect_says(": what a pity").expect_says_not("| what"));
        assert!(world.exists("out.bivouac/pieces/0") && !world.exists("out"));
        expect_nobody_left(&world);
        std::fs::remove_file(world.path("broken")).unwrap();
        drop(job.run().expect_code(0).expect_resumed_at_least(u64::from(CHUNKS)));
        expect_result(&world, SORT);
        drop(job.run().expect_code(0).expect_says("already finished"));
    }
}

#[test]
fn another_merge_is_refused_by_name() {
    let world = world_of(CHUNKS);
    open_to(&world, 5);
    drop(job(&world, SORT, "in").start().until_checkpoint_at_least(4).signal(SIGTERM).wait());
    open_all(&world);
    let (command, _, _) = SORT;
    let ended = job(&world, (command, "sort -m -u", ""), "in").run().expect_code(3);
    drop(ended.expect_says("with --merge `/bin/sh -c 'sort -m -u \"$@\"'`"));
    let line = format!("pipe in -o out --block {BLOCK} --");
    drop(world.bivouac(&line).words(&["sh", "-c", command]).run().expect_code(3).expect_says("with --merge"));
    job(&world, SORT, "in").run().expect_code(0);
    expect_result(&world, SORT);
}

#[test]
fn a_chunk_that_fails_is_left_out_of_the_merge() {
    let world = world_of(CHUNKS);
    let fails = "test $BIVOUAC_SEQ -ne 20 || exit 3; sort";
    let tools = (fails, "sort -m", "sed 191,200d in | sort");
    let ended = job(&world, tools, "in --keep-going").run().expect_code(1);
    drop(ended.expect_says("left out"));
    expect_result(&world, tools);
}

#[test]
fn a_command_need_not_open_its_files_and_may_open_them_twice() {
    let world = World::new();
    // More than a pipe takes.
    world.text("in");
    for (merge, wanted) in [
        ("echo unread; : \"$@\"", "unread\n"),
        ("cat \"$@\" | wc -l; cat \"$1\" | wc -c; : \"$@\"", "20\n0\n"),
    ] {
        let job = world.bivouac("pipe in -o out --block 2MiB --fresh --merge").words(&[merge, "--"]);
        job.words(&["sh", "-c", "head -c 1000000 | tr -d '\\n'; yes '' | head -4"]).run().expect_code(0);
        let is = String::from_utf8(world.read("out")).unwrap();
        assert!(is == wanted || (wanted != "unread\n" && is.ends_with("\n0\n")), "{is}");
    }
}

#[test]
fn streams_tables_and_compressed_files_are_merged_too() {
    let world = world_of(CHUNKS);
    let sorted = world.shell("sort in");
    let stream = Input::Piped(lines(CHUNKS).into_bytes());
    for tasks in [5, CHUNKS + 1] {
        open_to(&world, tasks);
        let job = job(&world, SORT, "-").stdin(stream.clone());
        drop(job.start().until_checkpoint_at_least(u64::from(tasks) - 1).signal(SIGKILL).wait());
        until_nobody_is_left(&world);
        open_all(&world);
        drop(when_free(&job).expect_code(0).expect_resumed_at_least(u64::from(tasks) - 1));
        expect_bytes(&world, &sorted);
        std::fs::remove_file(world.path("out")).unwrap();
        std::fs::remove_dir_all(world.path("out.bivouac")).unwrap();
    }
    world.shell("gzip <in >in.gz");
    job(&world, SORT, "in.gz --decompress --compress gzip").run().expect_code(0);
    assert_eq!(world.shell("gzip -dc <out"), sorted);
    world.shell("(echo name; cat in) >table");
    let tools = ("IFS= read -r head; echo \"$head\"; sort", "sort -m", "(echo name; sort in)");
    job(&world, tools, "table --fresh --header --output-header --csv").run().expect_code(0);
    expect_result(&world, tools);
}

fn split<'w>(world: &'w World, options: &str, command: &str) -> Bivouac<'w> {
    let line =
        format!("pipe in --split-output d/part-{{#}} --checkpoint-every 20ms -j2 --block {BLOCK} --grace 0s");
    world.bivouac(&line).with(options).words(&["--", "sh", "-c", command])
}

const LIST: &str = "d/part-manifest.jsonl";

fn world_of_parts() -> World {
    let world = world_of(CHUNKS);
    std::fs::create_dir(world.path("d")).unwrap();
    world
}

fn parts(world: &World, missing: u32) -> Vec<u8> {
    let (mut all, mut offset) = (Vec::new(), 0);
    let list = String::from_utf8(world.read(LIST)).unwrap();
    for (n, line) in (1..=CHUNKS).filter(|n| *n != missing).zip(list.lines()) {
        let part = world.read(&format!("d/part-{n}"));
        let bytes = part.len();
        let wanted =
            format!(r#"{{"number":{n},"name":"part-{n}","bytes":{bytes},"input":"in","offset":{offset}}}"#);
        assert_eq!(line, wanted);
        offset += BLOCK + if n + 1 == missing { BLOCK } else { 0 };
        all.extend(part);
    }
    let count = CHUNKS - u32::from(missing > 0);
    let names = String::from_utf8(world.shell("ls -A d | grep -c '^part-[0-9]*$'; ls -A d | wc -l")).unwrap();
    assert_eq!(names, format!("{count}\n{}\n", count + 2), "the parts, the list and its state");
    all
}

#[test]
fn a_part_is_complete_or_absent_and_the_list_comes_last() {
    for signal in [SIGTERM, SIGKILL] {
        let world = world_of_parts();
        open_to(&world, 5);
        let job = split(&world, "", super::held!("cat"));
        drop(job.start().until_checkpoint_at_least(4).signal(signal).wait());
        until_nobody_is_left(&world);
        assert!(!world.exists(LIST) && (1..=4).all(|n| world.exists(&format!("d/part-{n}"))));
        assert!((6..=CHUNKS).all(|n| !world.exists(&format!("d/part-{n}"))));
        let part = std::fs::metadata(world.path("d/part-2")).unwrap().modified().unwrap();
        open_all(&world);
        drop(when_free(&job).expect_code(0).expect_resumed_at_least(4));
        assert_eq!(parts(&world, 0), lines(CHUNKS).into_bytes());
        let again = std::fs::metadata(world.path("d/part-2")).unwrap().modified().unwrap();
        assert_eq!(again, part, "it was not written again");
        drop(job.run().expect_code(0).expect_says("already finished"));
        // A part that is gone is made again.
        std::fs::remove_file(world.path("d/part-2")).unwrap();
        drop(job.run().expect_code(0).expect_says_not("already finished"));
        assert_eq!(parts(&world, 0), lines(CHUNKS).into_bytes());
    }
}

#[test]
fn a_committed_part_that_is_lost_is_refused_and_a_failed_one_is_left_out() {
    let world = world_of_parts();
    open_to(&world, 5);
    let job = split(&world, "", super::held!("cat"));
    drop(job.start().until_checkpoint_at_least(4).signal(SIGTERM).wait());
    open_all(&world);
    std::fs::rename(world.path("d/part-2"), world.path("aside")).unwrap();
    drop(job.run().expect_code(3).expect_says("d/part-2: is missing"));
    std::fs::rename(world.path("aside"), world.path("d/part-2")).unwrap();
    job.run().expect_code(0);
    assert_eq!(parts(&world, 0), lines(CHUNKS).into_bytes());
    // The file of the job before goes too.
    let fails = split(&world, "--fresh --keep-going", "test $BIVOUAC_SEQ -ne 20 || exit 3; cat");
    drop(fails.run().expect_code(1).expect_says("left out"));
    assert_eq!(parts(&world, 20), world.shell("sed 191,200d in"));
}

#[test]
fn parts_may_be_compressed_and_made_by_shards_and_keep_their_headers() {
    let world = world_of_parts();
    world.shell("mkdir e f");
    let job = |options: &str, command: &str| {
        let line = format!("pipe in --block {BLOCK} {options} -- {command}");
        world.bivouac(&line).run().expect_code(0)
    };
    job("--split-output e/{#}.gz --compress gzip", "cat");
    assert_eq!(world.shell("gzip -dc $(ls -v e/*.gz)"), lines(CHUNKS).into_bytes());
    for shard in [1, 2] {
        job(&format!("--split-output f/{{#}} --shard {shard}/2 --allow-local-locks"), "cat");
    }
    assert_eq!(world.shell("cat $(ls -v f/* | grep '[0-9]$')"), lines(CHUNKS).into_bytes());
    assert_eq!(world.shell("wc -l <f/manifest.jsonl"), format!("{CHUNKS}\n").into_bytes());
    job("--split-output d/part-{#} --header --output-header", "cat");
    let head = &lines(1)[..8];
    assert!((1..=CHUNKS).all(|n| world.read(&format!("d/part-{n}")).starts_with(head.as_bytes())));
}

#[test]
fn what_cannot_be_merged_or_split_is_wrong_usage() {
    let world = world_of_parts();
    let tried = |words: &[&str], what: &str| {
        let job = world.bivouac("pipe in -o out").words(words).words(&["--", "sort"]);
        drop(job.run().expect_code(2).expect_says(what));
        assert!(!world.exists("out.bivouac"));
    };
    tried(&["--merge", "sort -m; true"], "write \"$@\" in place of the files");
    tried(&["--merge", " "], "has no command");
    tried(&["--merge", "sort -m", "--shard", "1/2"], "does not go together with shards");
    tried(&["--split-output", "d/part-{#}"], "cannot be used with");
    let job = |name: &str| world.bivouac(&format!("pipe in --split-output {name} -- cat")).run();
    drop(job("d/part").expect_code(2).expect_says("needs one {#}"));
    drop(job("d{#}/part").expect_code(2).expect_says("needs one {#}"));
    drop(job("missing/part-{#}").expect_code(2).expect_says("make it first"));
    assert_eq!(std::fs::read_dir(world.path("d")).unwrap().count(), 0);
}
