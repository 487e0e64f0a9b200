//! Inputs and lists that are not those with which the job was begun.

use super::{expect_refusal, expect_refusals, stopped, typed};
use crate::harness::{Input, World};
use nix::sys::signal::Signal::SIGTERM;

fn world() -> World {
    let world = World::new();
    world.text("big.txt");
    world.write("small", "a\n");
    world
}

/// After each change the line is refused for this reason; then all is put back.
fn expect_changes(world: &World, rows: &[(&str, &str, &str, &str)]) {
    for (change, back, line, reason) in rows {
        world.shell(change);
        expect_refusal(world, &typed(world, line), 3, reason, &format!("{change}: {line}"));
        world.shell(back);
    }
}

#[test]
fn of_a_pipe() {
    let world = world();
    stopped(&world, "pipe big.txt -o out --block 32KiB -- cat");
    expect_refusals(
        &world,
        &[
            ("pipe big.txt -o out --record-end x -- cat", 3, "was begun with records cut"),
            ("pipe big.txt -o out -0 -- cat", 3, "was begun with records cut"),
            ("pipe big.txt -o out --fixed 10 -- cat", 3, "was begun with records cut"),
            ("pipe big.txt small -o out -- cat", 3, "2 were given, the state is about 1"),
            ("pipe small -o out -- cat", 3, "small: is not the input that the state is about"),
            ("pipe ./big.txt -o out -- cat", 3, "call it big.txt"),
            ("pipe big.txt -o out --verify-inputs -- cat", 3, "has no digests of the inputs"),
            ("pipe big.txt -o out -- tac", 3, "with other options"),
            ("pipe missing -o out -- cat", 3, "missing: cannot open"),
        ],
    );
    let line = "pipe big.txt -o out -- cat";
    expect_changes(
        &world,
        &[
            (
                "mv big.txt aside; mkfifo big.txt",
                "rm big.txt; mv aside big.txt",
                line,
                "is a stream now, and was a file",
            ),
            (
                "mv big.txt aside; mkdir big.txt",
                "rmdir big.txt; mv aside big.txt",
                line,
                "big.txt: is a directory",
            ),
            ("mv big.txt aside", "mv aside big.txt", line, "big.txt: cannot open"),
            ("cp -p big.txt aside; truncate -s 1000 big.txt", "cp aside big.txt", line, "big.txt"),
        ],
    );
}

#[test]
fn of_a_pipe_with_a_name() {
    let world = world();
    world.shell("mkfifo named");
    let slow =
        "pipe named -o out --block 32KiB --limit-rate 128KiB --checkpoint-every 10ms --grace 0s -- cat";
    let run = world.program(&[
        "bash",
        "-c",
        &format!("cat big.txt > named & exec bivouac {}", slow.replacen("pipe", "pipe --verbose", 1)),
    ]);
    let run = run.start().until_checkpoint_at_least(1);
    drop(run.signal(SIGTERM).wait().expect_killed_by(SIGTERM));
    world.shell("rm named; cp big.txt named");
    expect_refusals(&world, &[("pipe named -o out -- cat", 3, "is a file now, and was a stream")]);
}

#[test]
fn of_a_count() {
    let world = world();
    let line = "count big.txt small -o out --keep-going";
    stopped(&world, "count big.txt gone small -o out --keep-going");
    let with_gone = "count big.txt gone small -o out --keep-going";
    expect_changes(
        &world,
        &[
            ("echo x > gone", "rm gone", with_gone, "gone: is here now, and was left out when the job began"),
            (
                "mv small aside",
                "mv aside small",
                with_gone,
                "small: cannot be read, and the job was begun with it",
            ),
            ("mv big.txt aside; mkfifo big.txt", "rm big.txt; mv aside big.txt", with_gone, "is a stream"),
        ],
    );
    expect_refusals(&world, &[(line, 3, "gone")]);
}

#[test]
fn of_a_tree() {
    let world = world();
    world.tree("tree");
    stopped(&world, "digest tree -o out");
    let line = "digest tree -o out";
    expect_refusals(&world, &[("digest tree small -o out", 3, "are other paths than those of the last run")]);
    let first = "f=$(find tree -type f | LC_ALL=C sort | head -1)";
    expect_changes(
        &world,
        &[
            ("echo new > 'tree/0 first of all'", "rm 'tree/0 first of all'", line, "the files of tree"),
            (
                &format!("{first}; mv $f aside; echo $f > name"),
                "mv aside $(cat name)",
                line,
                "the files of tree",
            ),
            ("mv tree away", "mv away tree", line, "tree: cannot open"),
        ],
    );
}

#[test]
fn of_contents_that_are_compared() {
    let world = world();
    let verified = "pipe big.txt -o out --verify-inputs --block 32KiB -- cat";
    stopped(&world, verified);
    let mut text = world.read("big.txt");
    text[10] ^= 1;
    world.write("big.txt", text);
    expect_refusals(
        &world,
        &[
            (verified, 3, "is not what the last run read"),
            ("pipe big.txt -o out --block 32KiB -- cat", 3, "big.txt"),
        ],
    );
}

#[test]
fn of_a_stream_that_was_read_to_its_end() {
    let world = world();
    let line = world.bivouac("pipe - -o out -- cat").stdin(Input::Piped(b"a\nb\n".to_vec()));
    line.run().expect_code(0);
    world.shell("rm out");
    expect_refusal(&world, &line, 3, "was read to see whether its result is there", "the output is gone");
}

/// `>` in place of `>>`: the shell has emptied the file before we look.
#[test]
fn of_standard_output() {
    let world = world();
    let line = "grep [a-z] big.txt --state kept";
    let slow = format!(
        "{} --limit-rate 128KiB --checkpoint-every 10ms --grace 0s --verbose",
        line.replacen("grep", "bivouac grep", 1)
    );
    let run = world.program_apart(&["sh", "-c", &format!("exec {slow} > printed")]);
    drop(run.start().until_checkpoint_at_least(1).signal(SIGTERM).wait().expect_killed_by(SIGTERM));
    world.write("printed", "");
    let again = world.program_apart(&["sh", "-c", &format!("exec bivouac {line} >> printed")]);
    expect_refusal(&world, &again, 3, "is a file of 0 bytes, but", "an emptied file");
}

#[test]
fn of_a_list() {
    let world = World::new();
    world.write("list", "a\nb\nc\nd\n");
    let command = "sh -c 'echo $0 >> ran; case $0 in [cd]) exec sleep 1000;; esac'";
    let begun = typed(
        &world,
        &format!("each -j1 --grace 0s --kill-after 1s --checkpoint-every 10ms --state s -a list {command}"),
    );
    let run = begun.start().until_checkpoint_at_least(2);
    run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    expect_refusals(
        &world,
        &[
            (&format!("each --state s -0 -a list {command}"), 3, "are told apart by"),
            (&format!("each --state s -a list -a list {command}"), 3, "with other options: sources was"),
            (&format!("each --state s -n 2 -a list {command}"), 3, "per_command was 1 and is 2"),
            (&format!("each --state s -X -a list {command}"), 3, "with other options"),
            (&format!("each --state s {command} ::: a b c d"), 3, "with other options: sources was"),
            (&format!("each --state s -a list {command} x"), 3, "with other options"),
        ],
    );
    let line = format!("each --state s -a list {command}");
    expect_changes(
        &world,
        &[
            ("mv list aside; echo z > list", "mv aside list", &line, "items"),
            (
                "mv list aside; printf 'a\\nb\\nd\\n' > list",
                "mv aside list",
                &line,
                "1 item that was not done is missing",
            ),
            ("mv list aside", "mv aside list", &line, "list: cannot open"),
            ("mv list aside; mkdir list", "rmdir list; mv aside list", &line, "list: is a directory"),
        ],
    );
}

#[test]
fn of_a_list_of_a_job_that_is_finished() {
    let world = World::new();
    typed(&world, "each -n 2 --state s true ::: 1 2 3").run().expect_code(0);
    typed(&world, "each -o out echo ::: 1 2 3").run().expect_code(0);
    expect_refusals(
        &world,
        &[
            ("each -n 2 --state s true ::: 1 2 3 4", 3, "its last group had room"),
            ("each -o out echo ::: 1 2 3 4", 3, "is of this job, finished"),
        ],
    );
    world.write("out", "something else\n");
    expect_refusals(&world, &[("each -o out echo ::: 1 2 3", 3, "is of this job, finished")]);
}
