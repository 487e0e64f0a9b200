//! Inputs that look the same and are not, and inputs that look otherwise and are the same: `--verify-inputs`.

use crate::harness::World;
use crate::jobs::{CASES, braked};
use crate::running::Running;
use nix::sys::signal::Signal::SIGTERM;
use std::fs;
use std::io::Write;
use std::os::unix::fs::FileExt;

const COMPARED: &str = "--verify-inputs";

/// Everything that reads files by position, on the same one.
const VERBS: [&str; 4] = [
    "count big.txt --output out",
    "grep [a-z]+_[0-9]+_[a-z]+ big.txt --output out",
    "digest big.txt -o out",
    "pipe big.txt -o out --block 64k -- cat",
];

/// Behind the first sample of the file, and before the second.
const UNSAMPLED: u64 = 12_345;

/// `arguments` with options, which go before a command.
fn with(arguments: &str, options: &str) -> String {
    match arguments.split_once(" -- ") {
        Some((before, command)) => format!("{before} {options} -- {command}"),
        None => format!("{arguments} {options}"),
    }
}

fn world() -> World {
    let world = World::new();
    world.text("big.txt");
    world
}

fn begun<'w>(world: &'w World, verb: &str, options: &str) -> Running<'w> {
    braked(world, &with(verb, options)).start().until_checkpoint_at_least(2)
}

fn stopped(world: &World, verb: &str, options: &str) {
    begun(world, verb, options).signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
}

/// Changes one byte in place.
fn spoil(world: &World, place: u64) {
    let file = fs::File::options().read(true).write(true).open(world.path("big.txt")).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, place).unwrap();
    file.write_all_at(&[byte[0] ^ 1], place).unwrap();
}

/// Other facts, and the same contents.
fn copy_over(world: &World, name: &str) {
    fs::copy(world.path(name), world.path("copy")).unwrap();
    fs::rename(world.path("copy"), world.path(name)).unwrap();
}

#[test]
fn a_file_that_was_copied_is_the_same_file() {
    for case in &CASES {
        let world = case.world();
        let slow = case.slow(&world).with(COMPARED);
        slow.start().until_checkpoint_at_least(1).signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
        for name in ["big.txt", "tree/d1/e1/file1.txt"] {
            copy_over(&world, name);
        }
        // A job keeps to what it was begun with.
        case.command(&world).run().expect_code(0).expect_says("read again");
        case.expect_right_output(&world);
    }
}

#[test]
fn a_byte_that_changed_under_an_append_is_found_when_the_job_goes_on() {
    for verb in VERBS {
        let world = world();
        stopped(&world, verb, COMPARED);
        spoil(&world, UNSAMPLED);
        world.append("big.txt", "more\n");
        let state = world.contents("out.bivouac");
        world.bivouac(&with(verb, COMPARED)).run().expect_code(3).expect_says("big.txt is not what");
        assert!(!world.exists("out"), "{verb}");
        let records = |all: &[(std::path::PathBuf, Vec<u8>)]| {
            all.iter().any(|(path, _)| path.ends_with("checkpoint.json"))
        };
        assert!(records(&state) && records(&world.contents("out.bivouac")), "{verb}: the state stands");
        if !verb.starts_with("digest") {
            spoil(&world, UNSAMPLED);
            world.bivouac(&with(verb, COMPARED)).run().expect_code(0).expect_says("grew");
        }
    }
}

#[test]
fn a_byte_that_changes_under_an_append_while_tasks_are_at_work_is_found_at_the_end() {
    for verb in VERBS {
        let world = world();
        let run = begun(&world, verb, COMPARED);
        spoil(&world, UNSAMPLED);
        world.append("big.txt", "more\n");
        run.let_go().wait().expect_code(3).expect_says("big.txt").expect_says("grew");
        assert!(!world.exists("out"), "{verb}");
    }
}

#[test]
fn what_is_appended_while_tasks_are_at_work_is_said_and_left_out() {
    for (verb, options) in VERBS.iter().flat_map(|verb| [(verb, ""), (verb, COMPARED)]) {
        let calm = world();
        calm.bivouac(&with(verb, "")).run().expect_code(0);
        let world = world();
        let run = begun(&world, verb, options);
        world.append("big.txt", "added_1_later\n");
        if verb.starts_with("digest") && !options.is_empty() {
            // The digest of a file that moves is the digest of nothing.
            run.let_go().wait().expect_code(3).expect_says("it grew");
            continue;
        }
        run.let_go().wait().expect_code(0).expect_says("big.txt: grew while it was read");
        assert!(world.read("out") == calm.read("out"), "{verb} {options}");
    }
}

/// Without digests there are the samples: whoever writes all of a file anew is found out.
#[test]
fn a_file_that_is_written_anew_and_longer_while_tasks_are_at_work_is_a_refusal() {
    for verb in VERBS.into_iter().chain(["digest --algorithm sha256 big.txt -o out"]) {
        let world = world();
        let mut text = world.read("big.txt");
        let run = match verb.contains("sha256") {
            // One task, of which there is no checkpoint.
            true => braked(&world, verb).start().until_at_work(),
            false => begun(&world, verb, ""),
        };
        text.rotate_right(1);
        text.push(b'\n');
        // In place, and first what is behind: the file is never shorter than it was.
        world.append("big.txt", "\n");
        let file = fs::File::options().write(true).open(world.path("big.txt")).unwrap();
        file.write_all_at(&text, 0).unwrap();
        run.let_go().wait().expect_code(3).expect_says("grew").expect_says("big.txt");
        assert!(!world.exists("out"), "{verb}");
    }
}

/// What nothing was made of may change: then the result is that of the new input.
#[test]
fn what_is_not_done_may_change_between_two_runs() {
    for verb in VERBS.into_iter().filter(|verb| !verb.starts_with("digest")) {
        let world = world();
        stopped(&world, verb, COMPARED);
        spoil(&world, fs::metadata(world.path("big.txt")).unwrap().len() - 20);
        world.bivouac(&with(verb, COMPARED)).run().expect_code(0).expect_says("is compared");
        let is = world.read("out");
        world.bivouac(&with(verb, "--fresh")).run().expect_code(0);
        assert!(is == world.read("out"), "{verb}");
    }
}

#[test]
fn a_job_that_was_begun_without_digests_has_none_to_compare() {
    for verb in VERBS {
        let world = world();
        stopped(&world, verb, "");
        world.bivouac(&with(verb, COMPARED)).run().expect_code(3).expect_says("--verify-inputs");
        world.bivouac(&with(verb, "")).run().expect_code(0);
    }
}

#[test]
fn a_finished_job_knows_a_copy_of_its_input_and_not_another_text() {
    for verb in VERBS {
        let world = world();
        let run = || world.bivouac(&with(verb, COMPARED)).run();
        run().expect_code(0);
        copy_over(&world, "big.txt");
        run().expect_code(0).expect_says("already finished");
        spoil(&world, UNSAMPLED);
        run().expect_code(0).expect_says_not("already finished");
    }
}

#[test]
fn a_finished_job_whose_input_has_grown_is_done_anew() {
    for (verb, options) in VERBS.iter().flat_map(|verb| [(verb, ""), (verb, COMPARED)]) {
        let world = world();
        let run = || world.bivouac(&with(verb, options)).run();
        run().expect_code(0);
        world.append("big.txt", "added_1_later\n");
        run().expect_code(0).expect_says_not("already finished");
        let calm = World::new();
        calm.write("big.txt", world.read("big.txt"));
        calm.bivouac(&with(verb, options)).run().expect_code(0);
        assert!(world.read("out") == calm.read("out"), "{verb} {options}");
    }
}

/// Of what is longer and something else, the part up to the old size is nobody's input.
#[test]
fn a_longer_file_with_something_else_in_it_is_a_refusal_when_the_job_goes_on() {
    for (verb, options) in VERBS.iter().flat_map(|verb| [(verb, ""), (verb, COMPARED)]) {
        let world = world();
        stopped(&world, verb, options);
        let mut text = world.read("big.txt");
        let half = text.len() / 2;
        text.splice(half..half, *b"in the middle\n");
        world.write("big.txt", text);
        world.bivouac(&with(verb, options)).run().expect_code(3).expect_says("big.txt");
    }
}

#[test]
fn a_verification_that_is_asked_for_again_is_done_again() {
    let world = World::new();
    world.write("f", "one\n");
    let list = world.shell("sha256sum f");
    world.write("list", list);
    let check = || world.bivouac("digest --algorithm sha256 --check list -o out").run();
    check().expect_code(0);
    world.write("f", "two\n");
    check().expect_code(1);
    assert!(String::from_utf8(world.read("out")).unwrap().contains("f: FAILED"));
    world.bivouac("digest --check list --verify-inputs").run().expect_code(2).expect_says("--verify-inputs");
}

#[test]
fn a_stream_in_place_of_a_file_does_not_make_its_output_nobodys() {
    let world = world();
    let verb = "count big.txt --output out";
    stopped(&world, verb, "");
    fs::rename(world.path("big.txt"), world.path("aside")).unwrap();
    nix::unistd::mkfifo(&world.path("big.txt"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    world.bivouac(verb).run().expect_code(3).expect_says("big.txt: is a stream now, and was a file");
    fs::rename(world.path("aside"), world.path("big.txt")).unwrap();
    world.bivouac(verb).run().expect_code(3).expect_says("its ctime differs");
}

#[test]
fn who_looks_whether_a_finished_job_is_still_the_same_can_be_stopped() {
    let world = World::new();
    nix::unistd::mkfifo(&world.path("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let start = || world.bivouac("pipe fifo -o out -- cat").start();
    let open = || fs::File::options().write(true).open(world.path("fifo")).unwrap();
    let text = crate::data::text(5, 300_000);
    let run = start();
    open().write_all(&text).unwrap();
    run.wait().expect_code(0);
    let run = start();
    // More than a pipe holds: when all is written, somebody reads.
    let mut writer = open();
    writer.write_all(&text).unwrap();
    run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    assert!(world.read("out") == text, "the result is as it was");
}
