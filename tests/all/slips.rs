//! Slips of a hurried hand: an output where the state of a job is, and an `-o` that means something else.

use crate::harness::World;
use std::os::unix::fs::symlink;

#[test]
fn nothing_is_written_into_the_state_of_a_job() {
    let world = World::new();
    world.write("in", "one\ntwo\n");
    world.bivouac("count in -o out").run().expect_code(0);
    symlink("out.bivouac", world.path("link")).unwrap();
    symlink("out.bivouac/checkpoint.json", world.path("file")).unwrap();
    let before = world.contents("out.bivouac");
    for line in [
        "count in -o out.bivouac/checkpoint.json",
        "count in -o out.bivouac/new --fresh",
        "grep one in --output link/journal",
        "digest in -o file",
        "count in --log-file out.bivouac/lock",
        "count in --log-file link/log",
        "each --results out.bivouac echo ::: 1",
        "each --results out.bivouac/spill/r echo ::: 1",
    ] {
        world.bivouac(line).run().expect_code(2).expect_says("is in the state of a job, ");
        assert!(world.contents("out.bivouac") == before, "{line}");
    }
    // A directory of the usual name is none as long as no job has made it one.
    world.write("other.bivouac/lock", "mine\n");
    world.bivouac("count in -o other.bivouac/out").run().expect_code(0);
}

#[test]
fn only_an_o_in_front_of_the_last_word_may_have_meant_the_output() {
    let world = World::new();
    world.write("a", "alpha one\n");
    let hint = "--output nofile";
    for line in ["grep -o alpha a nofile", "grep alpha a nofile --only-matching", "grep alpha a -no nofile"] {
        let ended = world.bivouac(line).run().expect_code(2).expect_says("nofile: No such file or directory");
        assert!(ended.stdout.ends_with(b"alpha\n") && !ended.stderr.contains(hint), "{line}");
    }
    let ended = world.bivouac("grep alpha a -o nofile").run().expect_code(2).expect_says(hint);
    assert_eq!(ended.stdout, b"a:alpha\n");
}

#[test]
fn a_refusal_leaves_neither_a_log_nor_a_directory_of_results() {
    let world = World::new();
    world.write("in", "one\n");
    world.bivouac("count in nofile --log-file log -o out").run().expect_code(2);
    world.bivouac("each --results deep/results --log-file log -a nofile echo").run().expect_code(2);
    world.bivouac("each --results deep/results -o out echo ::: 1").run().expect_code(2);
    assert!(!world.exists("log") && !world.exists("deep"));
    world.write("log", "before\n");
    world.bivouac("count in nofile --log-file log -o out").run().expect_code(2);
    assert!(world.read("log").starts_with(b"before\n"));
    world.bivouac("count in --log-file new").run().expect_code(0);
    assert!(world.exists("new"));
}

#[test]
fn an_item_of_several_lines_is_named_on_one() {
    let world = World::new();
    world.write("items", b"a\nb\0c\n  d\0");
    let said = ["item 1 (a\\nb): ended with code 1", "item 2 (c\\n  d): ended with code 1"];
    let ended = world.bivouac("each -0 -a items false").run().expect_code(1);
    ended.expect_says(said[0]).expect_says(said[1]);
}

#[test]
fn a_message_shows_what_was_typed_and_says_what_to_type() {
    let world = World::new();
    world.write("in", "one\n");
    for (line, says) in [
        ("grep x in --grace -1", "invalid value '-1' for '--grace"),
        ("grep x in --limit-rate -1", "must not be negative"),
        ("each --retries x echo", "expected a whole number"),
        ("log --slowest x", "expected a whole number"),
        ("log --slowest -1", "invalid value '-1' for '--slowest <N>'\n  expected a whole number, 1 or more"),
        ("log --since -1h", "invalid value '-1h' for '--since <TIME>'\n  expected a time such as `14:30`"),
        ("count --state -x in", "--state: needs a value\n  if that is -x: --state=-x"),
        ("count --state= in", "--state <DIR>: the value is empty\n  give one; a variable of the shell"),
        ("greb x in", "`greb` is no verb\n  a similar verb: grep"),
        ("one.txt", "`one.txt` is no verb\n  `bivouac --help` lists the verbs"),
        ("pipe in -o out --merge -- sort", "the option before `--` needs a value"),
        ("pipe in -o out cat", "put `--` in front of it"),
        ("count in --shard 1/2", "name it: --output OUT"),
        ("grep x .", "only directories are named\n  -r searches what is below them"),
    ] {
        world.bivouac(line).run().expect_code(2).expect_says(says);
    }
    let ended = world.bivouac("grep -1 one in").run().expect_code(0);
    assert_eq!(ended.stdout, b"one\n");
}
