//! A job in shards gives the bytes and the exit code of the job as one.

use crate::harness::World;
use crate::running::Ended;
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
    pipe(&world, "--shard auto/3").expect_code(2).expect_says("JOB_COMPLETION_INDEX");
    world.bivouac("count many --shard 1/3").run().expect_code(2).expect_says("no output that all shards");
    assert_eq!(world.contents("out.bivouac"), before);
    world.append("many", "more\n");
    let grown = pipe(&world, "--shard 1/3").expect_code(0);
    grown.expect_says("grew");
    world.write("many", "other\n");
    pipe(&world, "--shard 3/3").expect_code(3);
    world.write("out.bivouac/plan.json", "{}");
    pipe(&world, "--shard 3/3").expect_code(3).expect_says("plan.json: is damaged");
}
