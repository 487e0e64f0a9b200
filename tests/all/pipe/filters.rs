//! Real filters, and whether the pieces give what the whole gives.

use super::{chunks, expect_bytes, expect_nobody_left, pipe, world};
use crate::data;
use crate::harness::World;
use std::fmt::Write;

/// Each with blocks that end inside its records, and against the same command on all of the input.
#[test]
fn filters_that_treat_lines_one_by_one_give_the_bytes_that_they_give_alone() {
    let reversed = "import sys\nfor line in sys.stdin.buffer: sys.stdout.buffer.write(line.rstrip(b'\\n')[::-1] + b'\\n')";
    let cases: [(&str, &[&str], &str); 6] = [
        ("", &["tr", "a-z", "A-Z"], "tr a-z A-Z <big.txt"),
        ("--block 100k", &["awk", "{ print NF, $2 }"], "awk '{ print NF, $2 }' big.txt"),
        ("--ok-codes 0,1 --block 64k", &["grep", "-a", "line 12*3$"], "grep -a 'line 12*3$' big.txt"),
        ("--block 333333", &["python3", "-c", reversed], &format!("python3 -c \"{reversed}\" <big.txt")),
        ("--jobs 5 --block 50000", &["cat"], "cat big.txt"),
        (
            "--shell --ok-codes 0,1",
            &["cut -d ' ' -f 3 | grep -v lock"],
            "cut -d ' ' -f 3 big.txt | grep -v lock",
        ),
    ];
    let world = world();
    for (options, command, reference) in cases {
        pipe(&world, &format!("big.txt -o out --fresh {options}"), command).run().expect_code(0);
        expect_bytes(&world, &world.shell(reference));
        expect_nobody_left(&world);
    }
}

#[test]
fn members_of_gzip_one_behind_the_other_are_one_file() {
    let world = world();
    pipe(&world, "big.txt -o out --block 700k", &["gzip", "-c"]).run().expect_code(0);
    assert_eq!(world.shell("zcat <out"), data::large_text());
}

#[test]
fn json_through_jq() {
    let world = World::new();
    let mut text = String::new();
    for n in 0..40_000 {
        writeln!(text, r#"{{"id":{n},"name":"näme \"{n}\"","list":[{n},{}],"more":{{"a":null}}}}"#, n * 7)
            .unwrap();
    }
    world.write("in", text);
    let filter = "select(.id % 3 == 0) | {id, s: (.list | add), name}";
    pipe(&world, "in -o out --block 100k", &["jq", "-c", filter]).run().expect_code(0);
    expect_bytes(&world, &world.shell(&format!("jq -c '{filter}' in")));
}

#[test]
fn a_filter_that_stops_reading_is_done() {
    let world = world();
    pipe(&world, "big.txt -o out --block 300KiB", &["head", "-n", "1"]).run().expect_code(0);
    let firsts = chunks(data::large_text(), 300 << 10).into_iter().map(|chunk| {
        let end = chunk.iter().position(|byte| *byte == b'\n').map_or(chunk.len(), |i| i + 1);
        &chunk[..end]
    });
    expect_bytes(&world, &firsts.collect::<Vec<_>>().concat());
}

#[test]
fn a_filter_that_writes_nothing_is_done() {
    let world = world();
    pipe(&world, "big.txt -o out", &["sh", "-c", "cat >/dev/null"]).run().expect_code(0);
    expect_bytes(&world, b"");
}

/// More input than a pipe holds, and nobody who reads it.
#[test]
fn a_filter_that_closes_its_input_at_once_is_done() {
    let world = world();
    let command = ["bash", "-c", "exec <&-; echo closed"];
    pipe(&world, "big.txt -o out --block 3MiB", &command).run().expect_code(0);
    expect_bytes(&world, &b"closed\n".repeat(chunks(data::large_text(), 3 << 20).len()));
}

/// While it writes it does not read, so whoever feeds first and reads later waits for ever.
#[test]
fn a_filter_that_writes_much_before_it_reads_is_waited_for() {
    let world = world();
    let script = "import sys; o = sys.stdout.buffer; o.write(b'x' * 20_000_000); o.flush(); \
                  o.write(b'%d' % len(sys.stdin.buffer.read()))";
    pipe(&world, "big.txt -o out --block 4MiB", &["python3", "-c", script]).run().expect_code(0);
    let mut wanted = Vec::new();
    for chunk in chunks(data::large_text(), 4 << 20) {
        wanted.extend(std::iter::repeat_n(b'x', 20_000_000));
        wanted.extend(chunk.len().to_string().bytes());
    }
    expect_bytes(&world, &wanted);
}

#[test]
fn the_limit_of_the_rate_holds_and_changes_no_byte() {
    let world = World::new();
    world.write("in", data::text(5, 600_000));
    let began = std::time::Instant::now();
    pipe(&world, "in -o out --limit-rate 400000 --block 50000", &["cat"]).run().expect_code(0);
    // A second's worth may be had at once.
    assert!(began.elapsed().as_millis() >= 400, "{:?}", began.elapsed());
    expect_bytes(&world, &world.read("in"));
}

/// Without an output file the result comes out in order, as it comes.
#[test]
fn standard_output_gets_the_same_bytes() {
    let world = world();
    let wanted = world.shell("tr a-z A-Z <big.txt");
    pipe(&world, "big.txt", &super::TR).run().expect_code(0).expect_stdout(&wanted);
}

#[test]
fn what_a_filter_says_is_labelled_and_made_harmless() {
    let world = World::new();
    world.write("in", "one\ntwo\n");
    let command = ["sh", "-c", "printf 'red \\033[31m\\rand a line\\nthe end' >&2; cat"];
    let ended = pipe(&world, "in -o out", &command).run().expect_code(0);
    let ended = ended.expect_says("chunk 1: red ").expect_says("chunk 1: the end");
    assert!(!ended.stderr.contains(['\u{1b}', '\r']), "{:?}", ended.stderr);
    expect_bytes(&world, b"one\ntwo\n");
}
