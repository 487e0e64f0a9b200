//! What is refused: with which code, for which reason, and without changing a byte.

use crate::harness::World;
use crate::jobs::{GREP, SLOW};
use crate::unchanged::expect_refusal;
use nix::sys::signal::Signal::{SIGKILL, SIGTERM};
use std::fs::{self, File};
use std::os::unix::fs::symlink;

/// A world in which the grep job was stopped half-way, in good order.
fn stopped() -> World {
    let world = GREP.world();
    let run = GREP.slow(&world).start().until_checkpoint_at_least(1);
    run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    assert!(fs::metadata(world.path("out.part")).unwrap().len() > 0, "nothing was committed to `out.part`");
    world
}

/// Runs `arguments` and expects this code, a message that contains `reason`, and no change.
fn refused(world: &World, arguments: &str, code: i32, reason: &str) {
    expect_refusal(world, &world.bivouac(arguments), code, reason, arguments);
}

#[test]
fn an_input_that_changed_between_runs() {
    let world = stopped();
    let mut text = world.read("big.txt");
    text[100] ^= 1;
    world.write("big.txt", &text);
    refused(&world, GREP.arguments, 3, "big.txt");
}

#[test]
fn an_input_that_was_replaced_by_an_equal_one() {
    let world = stopped();
    fs::copy(world.path("big.txt"), world.path("copy")).unwrap();
    fs::rename(world.path("copy"), world.path("big.txt")).unwrap();
    refused(&world, GREP.arguments, 3, "big.txt");
}

#[test]
fn an_input_that_shrank_between_runs() {
    let world = stopped();
    File::options().write(true).open(world.path("big.txt")).unwrap().set_len(1000).unwrap();
    refused(&world, GREP.arguments, 3, "big.txt");
}

/// Its inode is the same, and it is longer, as a log that was appended to.
#[test]
fn an_input_that_was_written_anew_and_longer() {
    let world = stopped();
    let size = world.read("big.txt").len();
    world.write("big.txt", crate::data::text(77, size + 4));
    refused(&world, GREP.arguments, 3, "big.txt: has grown");

    let pipe = "pipe big.txt -o piped --block 64KiB --limit-rate 1MiB --checkpoint-every 20ms -- cat";
    world.write("big.txt", crate::data::text(7, size));
    let run = world.bivouac(pipe).start().until_checkpoint_at_least(1);
    run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    world.write("big.txt", crate::data::text(78, size + 1));
    refused(&world, pipe, 3, "big.txt: has grown");
}

#[test]
fn the_part_of_another_job_as_an_output() {
    let world = stopped();
    refused(&world, "count big.txt --output out.part", 2, "out.bivouac is its state");
}

#[test]
fn the_same_input_by_another_name() {
    let world = stopped();
    refused(&world, &GREP.arguments.replace("big.txt", "./big.txt"), 3, "call it big.txt");
}

#[test]
fn an_input_that_is_gone() {
    let world = stopped();
    fs::remove_file(world.path("big.txt")).unwrap();
    refused(&world, GREP.arguments, 3, "big.txt");
}

#[test]
fn another_job_on_the_same_state() {
    let world = stopped();
    refused(&world, "grep another_pattern big.txt --output out", 3, "out");
    refused(&world, "count big.txt --output out", 3, "out");
}

#[test]
fn another_job_on_a_state_directory_that_was_named() {
    let world = GREP.world();
    let run = world.bivouac("grep EXPORT big.txt --output one --state kept").with(SLOW).start();
    run.until_checkpoint_at_least(1).signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    refused(&world, "grep spin_lock big.txt --output one --state kept", 3, "kept");
}

#[test]
fn a_damaged_record() {
    let world = stopped();
    let record = world.read("out.bivouac/checkpoint.json");
    for at in [0, record.len() / 3, record.len() / 2, record.len() - 3] {
        let mut damaged = record.clone();
        // A digit for a digit, a letter for a letter: it often stays well-formed.
        damaged[at] = if damaged[at] == b'7' { b'8' } else { b'7' };
        world.write("out.bivouac/checkpoint.json", damaged);
        refused(&world, GREP.arguments, 3, "checkpoint.json");
    }
    world.write("out.bivouac/checkpoint.json", &record[..record.len() / 2]);
    refused(&world, GREP.arguments, 3, "checkpoint.json");
    // And the undamaged one is still good.
    world.write("out.bivouac/checkpoint.json", &record);
    GREP.command(&world).run().expect_code(0);
    GREP.expect_right_output(&world);
}

#[test]
fn a_part_file_that_is_too_short() {
    let world = stopped();
    let part = File::options().write(true).open(world.path("out.part")).unwrap();
    part.set_len(part.metadata().unwrap().len() / 2).unwrap();
    refused(&world, GREP.arguments, 3, "out.part");
}

#[test]
fn a_part_file_that_was_changed_before_the_last_block() {
    let world = stopped();
    let mut part = world.read("out.part");
    part[0] ^= 1;
    world.write("out.part", &part);
    refused(&world, &format!("{} --verify", GREP.arguments), 3, "out.part");
}

#[test]
fn a_part_file_that_is_not_ours() {
    let world = GREP.world();
    world.write("out.part", "somebody's work");
    refused(&world, GREP.arguments, 3, "out.part");
}

#[test]
fn a_part_file_that_is_a_symlink_or_has_two_names() {
    let world = GREP.world();
    world.write("precious", "somebody's work");
    symlink("precious", world.path("out.part")).unwrap();
    refused(&world, GREP.arguments, 3, "out.part");
    fs::remove_file(world.path("out.part")).unwrap();
    fs::hard_link(world.path("precious"), world.path("out.part")).unwrap();
    refused(&world, GREP.arguments, 3, "out.part");
}

#[test]
fn an_output_that_cannot_be_one() {
    let world = GREP.world();
    fs::create_dir(world.path("directory")).unwrap();
    symlink("big.txt", world.path("alias")).unwrap();
    for (output, reason) in [
        ("big.txt", "big.txt"),
        ("./big.txt", "big.txt"),
        ("alias", "alias"),
        ("directory", "directory"),
        ("/dev/null", "/dev/null"),
    ] {
        refused(&world, &format!("grep EXPORT big.txt --output {output}"), 2, reason);
    }
}

#[test]
fn wrong_usage() {
    let world = GREP.world();
    refused(&world, "grep ( big.txt --output out", 2, "(");
    refused(&world, "grep", 2, "PATTERN: is missing");
    refused(&world, "no-such-verb", 2, "no-such-verb");
    refused(&world, "count big.txt --limit-rate fast", 2, "fast");
    refused(&world, "count big.txt --jobs none", 2, "none");
}

#[test]
fn a_second_run_on_the_same_state() {
    let world = GREP.world();
    let first = GREP.braked(&world).start().until_checkpoint_at_least(1);
    let second = GREP.command(&world).run().expect_code(5);
    assert!(
        second.stderr.contains(&first.pid().to_string()),
        "it does not name the first: {}",
        second.stderr
    );
    first.let_go().wait().expect_code(0);
    GREP.expect_right_output(&world);
}

#[test]
fn the_lock_of_a_killed_run_holds_nobody_up() {
    let world = GREP.world();
    let first = GREP.slow(&world).start().until_checkpoint_at_least(1);
    first.signal(SIGKILL).wait().expect_killed_by(SIGKILL);
    GREP.command(&world).run().expect_code(0);
    GREP.expect_right_output(&world);
}

#[test]
fn a_state_directory_that_others_can_write_to() {
    use std::os::unix::fs::PermissionsExt;
    let world = stopped();
    fs::set_permissions(world.path("out.bivouac"), fs::Permissions::from_mode(0o777)).unwrap();
    refused(&world, GREP.arguments, 3, "out.bivouac");
}

#[test]
fn an_open_file_of_ours_is_no_name_for_an_output() {
    let world = World::new();
    world.write("in.txt", "a\n");
    world.write("log", "important\n");
    for name in ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"] {
        let script = format!("bivouac count in.txt -o {name} >> log 2>/dev/null; echo $?");
        assert_eq!(world.shell(&script), b"2\n", "{name}");
    }
    assert_eq!(world.read("log"), b"important\n");
}

#[test]
fn a_file_that_was_put_in_the_place_of_the_output_is_not_published() {
    let world = GREP.world();
    let run = GREP.braked(&world).start().until_checkpoint_at_least(1);
    std::fs::rename(world.path("out.part"), world.path("moved")).unwrap();
    world.write("out.part", "fake\n");
    run.let_go().wait().expect_code(3).expect_says("is no longer the file that was written here");
    assert!(!world.exists("out"));
    assert_eq!(world.read("out.part"), b"fake\n");
}
