//! Commands that fail, are missing, take too long, or want what a command in the background cannot have.

use super::{
    HELD_TR, TR, again, children_in, expect_bytes, expect_nobody_left, half_way, open_all, pipe, until, world,
};
use crate::data;
use crate::harness::World;
use crate::tty::Terminal;
use nix::sys::signal::Signal::{SIGCONT, SIGSTOP, SIGTSTP};
use std::time::{Duration, Instant};

/// What fails, once in the whole input, and only as long as the file is there.
const FAILS: [&str; 3] =
    ["sh", "-c", "grep -q 'line 4321$' && test -e broken && { echo what a pity >&2; exit 3; }; echo fine"];

#[test]
fn a_chunk_that_fails_ends_the_job_by_name_and_when_mended_it_goes_on() {
    let world = world();
    world.write("broken", "");
    let ended = again(&world, &FAILS).run().expect_code(4);
    let ended = ended
        .expect_says("big.txt, bytes ")
        .expect_says("ended with code 3")
        .expect_says(": what a pity")
        .expect_says_not("| what");
    drop(ended.expect_says("the same command again"));
    expect_nobody_left(&world);
    std::fs::remove_file(world.path("broken")).unwrap();
    again(&world, &FAILS).run().expect_code(0);
    let blocks = super::chunks(data::large_text(), 256 << 10);
    let wanted = "fine\n".repeat(blocks.iter().filter(|block| !block.is_empty()).count());
    expect_bytes(&world, wanted.as_bytes());
}

/// The byte range in the message is that of the chunk: cut out, it fails alone.
#[test]
fn the_bytes_that_are_named_are_those_that_failed() {
    let world = world();
    world.write("broken", "");
    let ended = again(&world, &FAILS).run().expect_code(4);
    let range = ended.stderr.split("big.txt, bytes ").nth(1).unwrap().split(':').next().unwrap();
    let (start, end) = range.split_once(" to ").unwrap();
    let chunk = &data::large_text()[start.parse().unwrap()..end.parse().unwrap()];
    assert!(memchr::memmem::find(chunk, b"line 4321\n").is_some(), "{range}");
}

#[test]
fn with_keep_going_it_is_left_out_and_listed_and_the_code_is_1() {
    let world = world();
    world.write("broken", "");
    let job = pipe(&world, "big.txt -o out --keep-going --block 256KiB", &FAILS);
    let blocks = super::chunks(data::large_text(), 256 << 10);
    let failing = |block: &&&[u8]| memchr::memmem::find(block, b" line 4321\n").is_some();
    let wrong = blocks.iter().filter(failing).count();
    assert!(wrong > 0);
    let right = blocks.iter().filter(|block| !block.is_empty()).count() - wrong;
    let ended = job.run().expect_code(1).expect_says("left out").expect_says("code 3");
    drop(ended.expect_says("big.txt, bytes "));
    expect_bytes(&world, "fine\n".repeat(right).as_bytes());
    // And that is how the job ended, also for who asks again.
    let failed = if wrong == 1 { "1 chunk failed".to_string() } else { format!("{wrong} chunks failed") };
    drop(job.run().expect_code(1).expect_says("already finished").expect_says(&failed));
    // A finished output is not replaced without a word.
    pipe(&world, "big.txt -o out", &TR).run().expect_code(0).expect_says("this job will replace it");
}

#[test]
fn one_that_fails_the_first_time_is_tried_again_and_its_first_output_is_forgotten() {
    let world = world();
    // Each chunk fails once, after it has printed all of its input and more than a pipe holds.
    let once = [
        "sh",
        "-c",
        "cat >mine.$$; name=tried.$(cksum <mine.$$ | tr ' ' -); cat mine.$$; rm mine.$$; \
                            test -e $name && exit 0; echo >$name; exit 9",
    ];
    pipe(&world, "big.txt -o out --block 2MiB --retries 1 --jobs 4", &once).run().expect_code(0);
    expect_bytes(&world, data::large_text());
    // Without another attempt it fails.
    pipe(&world, "big.txt -o out2 --block 2MiB --retries 2", &["false"])
        .run()
        .expect_code(4)
        .expect_says("1 left");
}

/// Nothing is done, so there is nothing that another command line could harm.
#[test]
fn a_command_line_whose_command_cannot_be_started_can_be_corrected() {
    let world = world();
    again(&world, &["tr-with-a-slip"]).run().expect_code(127);
    again(&world, &TR).run().expect_code(0);
    expect_bytes(&world, &world.shell("tr a-z A-Z <big.txt"));
    // Also with another input, and a part file that is there.
    pipe(&world, "big.txt -o out2 --jobs 1", &["sh", "-c", "exit 3"]).run().expect_code(4);
    assert!(world.exists("out2.part"));
    world.write("small.txt", "one\n");
    pipe(&world, "small.txt -o out2", &TR).run().expect_code(0);
    assert_eq!(world.read("out2"), b"ONE\n");
}

#[test]
fn a_command_that_is_missing_or_cannot_be_started_is_told_once_and_can_be_mended() {
    let world = world();
    let ended = again(&world, &["./filter"]).run().expect_code(127);
    assert_eq!(ended.stderr.matches("no such command").count(), 1, "{}", ended.stderr);
    world.write("filter", "#!/bin/sh\nexec tr a-z A-Z\n");
    let ended = again(&world, &["./filter"]).run().expect_code(126).expect_says("chmod +x");
    assert_eq!(ended.stderr.matches("cannot be started").count(), 1, "{}", ended.stderr);
    drop(again(&world, &["./"]).run().expect_code(126).expect_says("it is a directory"));
    drop(again(&world, &[""]).run().expect_code(2).expect_says("its first word is empty"));
    world.shell("chmod +x filter");
    again(&world, &["./filter"]).run().expect_code(0);
    expect_bytes(&world, &world.shell("tr a-z A-Z <big.txt"));
}

/// The codes that mean "done" are no part of what the job is.
#[test]
fn a_code_that_turns_out_to_be_none_of_a_failure_can_be_accepted_later() {
    let world = world();
    let grep = ["grep", "line 432$"];
    // One at a time: the failure of chunk 2 could end the run before chunk 1 is done.
    pipe(&world, "big.txt -o out --block 256KiB -j 1", &grep)
        .run()
        .expect_code(4)
        .expect_says("ended with code 1");
    let ended = pipe(&world, "big.txt -o out --ok-codes 0,1", &grep).run().expect_code(0);
    drop(ended.expect_says("resumed after 1 of 37 chunks"));
    expect_bytes(&world, &world.shell("grep 'line 432$' big.txt"));
}

/// Whoever asks us for quiet has not asked the command.
#[test]
fn what_a_command_complains_of_is_said_however_quiet_we_are() {
    let world = World::new();
    world.write("in", "one\n");
    let job = "pipe in -q -o out -- sh -c";
    let run =
        world.command(crate::harness::BIVOUAC).args(job.split(' ')).arg("echo a pity >&2; cat").output();
    assert_eq!(String::from_utf8(run.unwrap().stderr).unwrap(), "bivouac: chunk 1: a pity\n");
    assert_eq!(world.read("out"), b"one\n");
}

#[test]
fn one_that_dies_by_a_signal_of_its_own_has_failed() {
    let world = world();
    let ended = again(&world, &["bash", "-c", "ulimit -c 0; kill -SEGV $$"]).run();
    drop(ended.expect_code(4).expect_says("ended by SIGSEGV"));
    expect_nobody_left(&world);
}

#[test]
fn one_that_takes_too_long_is_ended_with_its_family() {
    let world = world();
    let options = "big.txt -o out --block 4MiB --timeout 300ms --kill-after 300ms";
    for command in ["sleep 1000", "trap '' TERM; sleep 1000; sleep 1000"] {
        let begin = Instant::now();
        let ended =
            pipe(&world, &format!("{options} --fresh"), &["bash", "-c", command]).run().expect_code(4);
        drop(ended.expect_says("--timeout"));
        assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
        expect_nobody_left(&world);
    }
}

/// One chunk, whose command takes a second of the three that it may.
#[test]
fn the_time_of_a_command_stands_still_while_it_does() {
    let world = World::new();
    world.write("in", "one\n");
    let job = pipe(&world, "in -o out --timeout 2500ms", &["sh", "-c", "sleep 1; cat"]);
    for (signal, told) in [(SIGTSTP, true), (SIGSTOP, false)] {
        let run = job.start().until("ready");
        until("it to be at work", || !children_in(&world).is_empty());
        let run = run.signal(signal).until_suspended_by(signal);
        let run = run.let_pass(Duration::from_secs(4)).signal(SIGCONT).until_continued();
        let ended = run.wait().expect_code(0);
        assert_eq!(ended.stderr.contains("phase running"), told, "{}", ended.stderr);
        expect_bytes(&world, b"one\n");
        std::fs::remove_file(world.path("out")).unwrap();
    }
}

/// It is in the background of the terminal, so reading stops it, and nobody would continue it.
#[test]
fn one_that_reads_the_terminal_is_ended_and_that_is_said() {
    let world = world();
    let line = "bivouac pipe big.txt -o out --progress never -- sh -c 'cat >/dev/null; cat /dev/tty'";
    let terminal = Terminal::open(&world).types(line).until("wanted the terminal").until("prompt> ");
    drop(terminal.until_status(4));
    until("all to be gone", || children_in(&world).is_empty());
}

/// The file changes while commands read it: what they made of it does not count.
#[test]
fn an_input_that_changes_meanwhile_is_refused() {
    let world = world();
    let run = half_way(&world, &HELD_TR);
    let text = world.read("big.txt").to_ascii_uppercase();
    world.write("big.txt", text);
    open_all(&world);
    run.wait().expect_code(3).expect_says("big.txt");
    expect_nobody_left(&world);
    assert!(!world.exists("out"));
    again(&world, &HELD_TR).run().expect_code(3);
}
