//! A list that is continued must have all that was not done, whatever happened to it meanwhile.

use super::{EFFECT, each, effects, expect_each_once, list};
use crate::harness::{Bivouac, Input, World};
use crate::pipe::until;
use nix::sys::signal::Signal::{self, SIGKILL, SIGTERM};

/// A command of which the item in the file `waits` waits for as long as that says so.
const WAITS: &str = "echo $$ >pid; echo {1} >at; while test {1} = \"$(cat waits)\"; do sleep 0.02; done; test -e bad-{1} && exit 1; echo {} >>effects";

/// Until the last command is gone.
const GONE: &str = "while kill -0 $(cat pid) 2>/dev/null; do sleep 0.02; done";

fn line<'w>(world: &'w World, options: &str) -> Bivouac<'w> {
    each(world, &format!("--checkpoint-every 20ms --grace 0s -j1 {options} --shell"), &[WAITS])
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Until this item waits: the number in `pid` is that of its command.
fn until_at(world: &World, item: &str) {
    until("the item to be at work", || world.exists("at") && text(&world.read("at")).trim_end() == item);
}

/// Two of the tasks are done, and the third is at work.
fn ended_at_the_third(world: &World, bivouac: &Bivouac<'_>, third: &str, by: Signal) {
    world.write("waits", third);
    let running = bivouac.start().until_checkpoint_at_least(2);
    until_at(world, third);
    let running = running.signal(by).wait();
    if by == SIGTERM {
        running.expect_stopped_by(SIGTERM);
    }
    world.shell(GONE);
    world.write("waits", "none");
}

#[test]
fn items_that_were_not_done_cannot_be_left_out() {
    for (options, third) in [("", "c"), ("-k", "c"), ("-n 1", "c")] {
        let world = World::new();
        let run = |items: &str| line(&world, options).with(&format!("::: {items}"));
        ended_at_the_third(&world, &run("a b c d e f"), third, SIGTERM);
        run("a b").run().expect_code(3).expect_says("4 items that were not done are missing");
        run("a b c").run().expect_code(3).expect_says("3 items that were not done are missing");
        run("a b c e f").run().expect_code(3).expect_says("1 item that was not done is missing");
        run("c d e").run().expect_code(3).expect_says("1 item that was not done is missing");
        assert_eq!(effects(&world).len(), 2, "{options}");
        run("a b c d e f g").run().expect_code(0);
        expect_each_once(&world, 7);
    }
}

#[test]
fn nor_after_a_kill_nor_of_a_file() {
    let world = World::new();
    let run = || line(&world, "-a items");
    world.write("items", "a\nb\nc\nd\ne\n");
    ended_at_the_third(&world, &run(), "c", SIGKILL);
    world.write("items", "a\nb\nc\n");
    run().run().expect_code(3).expect_says("2 items that were not done are missing");
    world.write("items", "a\nb\nc\nd\ne\n");
    run().run().expect_code(0);
    assert_eq!(effects(&world).len(), 5);
}

#[test]
fn a_pipe_that_was_cut_ends_the_job_when_it_is_seen_and_the_job_is_not_finished() {
    let world = World::new();
    let run = |text: &str| line(&world, "").stdin(Input::Piped(text.into()));
    ended_at_the_third(&world, &run("a\nb\nc\nd\n"), "c", SIGTERM);
    run("a\nb\n").run().expect_code(3).expect_says("2 items that were not done are missing");
    run("a\nb\nc\n").run().expect_code(3).expect_says("1 item that was not done is missing");
    run("a\nb\nc\nd\ne\n").run().expect_code(0);
    expect_each_once(&world, 5);
}

#[test]
fn an_output_file_is_not_published_without_them_either() {
    for end in ["", "-a items"] {
        let world = World::new();
        let run = |items: &str| {
            world.write("items", items);
            let input = if end.is_empty() { items } else { "" };
            line(&world, &format!("-o out {end}")).stdin(Input::Piped(input.into()))
        };
        ended_at_the_third(&world, &run("a\nb\nc\nd\n"), "c", SIGTERM);
        run("a\nb\n").run().expect_code(3).expect_says("2 items that were not done are missing");
        assert!(!world.exists("out"), "{end}");
        run("a\nb\nc\nd\n").run().expect_code(0);
        expect_each_once(&world, 4);
    }
}

#[test]
fn one_that_failed_counts_again_when_it_comes_back() {
    let world = World::new();
    world.write("waits", "none");
    world.write("bad-b", "");
    let run = |options: &str, items: &str| line(&world, options).with(&format!("::: {items}")).run();
    run("", "a b c").expect_code(1);
    run("", "a c d").expect_code(0).expect_says("item 2 (b) had failed, and is gone");
    run("--retry-failed", "a c d").expect_code(0);
    run("", "a b c d").expect_code(1).expect_says("1 item failed");
    run("", "a b c d").expect_code(1).expect_says("already finished");
    world.shell("rm bad-b");
    run("--retry-failed", "a b c d").expect_code(0);
    expect_each_once(&world, 4);
}

#[test]
fn several_items_at_once_grow_behind_a_full_command_only() {
    for options in ["-n 2", "-X"] {
        let world = World::new();
        let run = |items: &str| each(&world, options, &EFFECT).with(&format!("::: {items}")).run();
        run("1 2 3").expect_code(0);
        let before = world.read("effects");
        for longer in ["1 2 3 4", "1 2 3 4 5"] {
            run(longer).expect_code(3).expect_says("its last group had room");
        }
        assert_eq!(world.read("effects"), before, "{options}");
        run("1 2 3").expect_code(0).expect_says("already finished");
        run("7 8 9").expect_code(0).expect_says("and a new job");
    }
    let world = World::new();
    let run = |items: &str| each(&world, "-n 2", &EFFECT).with(&format!("::: {items}")).run();
    run("1 2 3 4").expect_code(0);
    run("1 2 3 4 5").expect_code(0).expect_says("resumed after 2 ");
}

#[test]
fn a_last_command_that_was_not_done_may_be_a_longer_one() {
    let world = World::new();
    let run = |items: &str| line(&world, "-n 2").with(&format!("::: {items}"));
    ended_at_the_third(&world, &run("a 1 b 2 c"), "c", SIGTERM);
    run("a 1 b 2").run().expect_code(3);
    run("a 1 b 2 c 3 d").run().expect_code(0);
    assert_eq!(effects(&world).into_keys().collect::<Vec<_>>(), ["a 1", "b 2", "c 3", "d"]);
}

#[test]
fn what_was_at_work_at_a_kill_may_be_gone_and_counts_as_failed() {
    let world = World::new();
    let run = |items: &str| line(&world, "").with(&format!("::: {items}"));
    world.write("waits", "c");
    let running = run("a b c d").start().until_checkpoint_at_least(2);
    let log = |options: &str| world.bivouac(&format!("log {options}")).run().stdout;
    // Until the journal has that it has begun.
    until_at(&world, "c");
    until("item 3 is open", || text(&log("")).contains("     3    1  open "));
    running.signal(SIGKILL).wait();
    world.shell(GONE);
    world.write("waits", "none");
    run("c").run().expect_code(3).expect_says("1 item that was not done is missing");
    run("d")
        .run()
        .expect_code(1)
        .expect_says("item 3 (c) was at work when the last run was killed, and is gone from the list")
        .expect_says("1 item failed");
    assert!(text(&log("--failed")).contains("     3    1  open "));
    run("d").run().expect_code(1).expect_says("already finished");
    run("d e").run().expect_code(1).expect_says_not("at work");
    run("a b c d e").run().expect_code(1).expect_says("already finished");
    run("a b c d e").run().expect_code(1);
    line(&world, "--retry-failed").with("::: a b c d e").run().expect_code(0);
}

/// Nothing was killed, and it was not at work.
#[test]
fn what_waited_for_its_next_attempt_and_is_gone_had_failed() {
    for by in [SIGTERM, SIGKILL] {
        let world = World::new();
        world.write("waits", "none");
        world.write("bad-b", "");
        let run = |items: &str| line(&world, "--retries 1 --retry-delay 1h").with(&format!("::: {items}"));
        let running = run("a b c d").start().until_checkpoint_at_least(3);
        until("item 2 to wait", || {
            text(&world.bivouac("log").run().stdout).contains("     2    1  failed 1 ")
        });
        running.signal(by).wait();
        let said = "item 2 (b) had failed and waited for its next attempt, and is gone from the list";
        run("a c d").run().expect_code(1).expect_says(said).expect_says_not("at work");
        // It is named once.
        run("a c d").run().expect_code(1).expect_says_not("is gone from the list");
    }
}

#[test]
fn a_long_list_that_has_grown_is_known_whole_too() {
    let world = World::new();
    list(&world, 0..3);
    each(&world, "-a items", &EFFECT).run().expect_code(0);
    list(&world, 0..2000);
    let running = each(&world, "-j1 --grace 0s --checkpoint-every 20ms -a items", &EFFECT).start();
    running.until_checkpoint_at_least(5).signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    list(&world, 0..1900);
    let refused = each(&world, "-j1 -a items", &EFFECT).run().expect_code(3);
    refused.expect_says("100 items that were not done are missing: the list ends after 1900 of 2000");
}
