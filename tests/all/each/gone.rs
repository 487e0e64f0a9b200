//! A list of which items are gone: what is done may be, what is not may not.

use super::{EFFECT, each, effects, expect_each_once, list};
use crate::harness::{Bivouac, Input, World};
use crate::pipe::until_nobody_is_left;
use nix::sys::signal::Signal::{SIGKILL, SIGTERM};

/// Files to be moved, and where they go.
fn files(world: &World, names: &[&str]) {
    names.iter().for_each(|name| world.write(name, "x"));
    world.shell("mkdir -p done");
}

/// Moves its item to a directory, as `gzip` takes it out of `*.log`; the number stands in the name. One of
/// them, whose name is in the file `waits`, waits for as long as that says so.
fn moves<'w>(world: &'w World, options: &str, items: &[&str]) -> Bivouac<'w> {
    let command =
        "while test {} = \"$(cat waits)\"; do sleep 0.02; done; mv {} done/{#}-{}; echo {} >>effects";
    let words: Vec<&str> = ["--shell", command, ":::"].into_iter().chain(items.iter().copied()).collect();
    each(world, &format!("--checkpoint-every 20ms {options}"), &words)
}

fn moved(world: &World) -> Vec<String> {
    String::from_utf8(world.shell("ls done")).unwrap().lines().map(str::to_string).collect()
}

#[test]
fn the_everyday_line_goes_on_although_what_is_done_is_gone_from_the_glob() {
    let world = World::new();
    files(&world, &["a", "b", "c", "d", "e"]);
    world.write("waits", "b");
    let run = |items: &[&str]| moves(&world, "-j1 --grace 0s", items);
    let running = run(&["a", "b", "c", "d"]).start();
    running.until_checkpoint_at_least(1).signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    assert_eq!(moved(&world), ["1-a"]);
    // Without one that is not done: refused, and nothing in the state is another byte.
    let state = || {
        world.contents(".bivouac").into_iter().filter(|(path, _)| !path.ends_with("lock")).collect::<Vec<_>>()
    };
    let before = state();
    run(&["c", "d"])
        .run()
        .expect_code(3)
        .expect_says("items: item 2 (b) was at work; 1 item that was not done is missing\n")
        .expect_short_messages();
    run(&["b", "d"]).run().expect_code(3).expect_says("1 item that was not done is missing");
    run(&["b", "a", "c", "d"]).run().expect_code(3);
    assert!(state() == before);
    world.write("waits", "");
    let ended = run(&["b", "c", "d", "e"]).run().expect_code(0);
    drop(ended.expect_says("1 ended item is gone").expect_says("resumed after 1 "));
    assert_eq!(moved(&world), ["1-a", "2-b", "3-c", "4-d", "5-e"]);
    expect_each_once(&world, 5);
}

#[test]
fn after_a_kill_too_and_again_and_again_with_new_items_each_time() {
    let world = World::new();
    let mut left: Vec<String> = (10..30).map(|n| n.to_string()).collect();
    files(&world, &left.iter().map(String::as_str).collect::<Vec<_>>());
    for done in [3_u64, 7, 12, 13] {
        let stays = (10 + done).to_string();
        let items: Vec<&str> = left.iter().map(String::as_str).collect();
        world.write("waits", &stays);
        let running = moves(&world, "-j1", &items).start();
        running.until_checkpoint_at_least(done).signal(SIGKILL).wait();
        // The watcher ends the command that waits, and until then that command would see the next `waits`.
        until_nobody_is_left(&world);
        left.retain(|name| world.exists(name));
        assert_eq!(left.first(), Some(&stays));
        left.push(format!("{}", 30 + done));
        files(&world, &[&format!("{}", 30 + done)]);
    }
    let items: Vec<&str> = left.iter().map(String::as_str).collect();
    world.write("waits", "");
    moves(&world, "-j3", &items).run().expect_code(0);
    expect_each_once(&world, 24);
    let last: Vec<String> = moved(&world).into_iter().filter(|name| name.starts_with("2")).collect();
    assert_eq!(last, ["2-11", "20-29", "21-33", "22-37", "23-42", "24-43"]);
}

/// Whatever the list is, its third command waits, and is stopped there.
fn stopped_at_the_third<'w>(world: &'w World, options: &str, then: &Bivouac<'w>) {
    world.shell("rm -rf effects .bivouac");
    world.write("waits", "3");
    let running = then.start().until_checkpoint_at_least(2).signal(SIGTERM).wait();
    running.expect_stopped_by(SIGTERM);
    assert_eq!(effects(world).values().sum::<usize>(), 2, "{options}");
    world.write("waits", "");
}

/// A command of which the one with the number in the file `waits` waits for as long as that says so.
const NUMBERED: &str = "while test {#} = \"$(cat waits)\"; do sleep 0.02; done; echo {} >>effects";

#[test]
fn of_several_sources_and_several_items_at_once_whole_commands_may_be_gone() {
    let world = World::new();
    for (options, then, now, all) in [
        ("", "a b c ::: x y", "b c ::: x y", 6),
        ("-n 2", "a b c d e f g", "e f g", 4),
        ("", "a a b c", "b c", 4),
        ("", "a b b c", "b c", 4),
    ] {
        let line = |items: &str| {
            let options = format!("--checkpoint-every 20ms --grace 0s -j1 {options} --shell");
            each(&world, &options, &[NUMBERED, ":::"]).with(items)
        };
        stopped_at_the_third(&world, options, &line(then));
        line(now).run().expect_code(0).expect_says("keep their numbers");
        line(then).run().expect_code(0).expect_says("already finished");
        assert_eq!(effects(&world).values().sum::<usize>(), all, "{then}");
    }
}

#[test]
fn a_finished_job_begins_anew_with_another_list_and_does_only_what_is_new_of_the_same() {
    let world = World::new();
    list(&world, 0..5);
    each(&world, "-a items", &EFFECT).run().expect_code(0);
    // Some are gone, one is new.
    world.write("items", "item 1\nitem 3\nitem 5\n");
    each(&world, "-a items", &EFFECT).run().expect_code(0).expect_says("3 ended items are gone");
    expect_each_once(&world, 6);
    world.write("items", "item 5\n");
    each(&world, "-a items", &EFFECT).run().expect_code(0).expect_says("already finished");
    // In another order it is another list.
    world.write("items", "item 3\nitem 1\n");
    let ended = each(&world, "-a items", &EFFECT).run().expect_code(0).expect_says("and a new job");
    drop(ended);
    assert_eq!((effects(&world)["item 3"], effects(&world)["item 1"]), (2, 2));
}

#[test]
fn one_that_failed_and_is_gone_is_named_and_counts_no_more() {
    let world = World::new();
    world.write("items", "a\nb\nc\n");
    let command = ["--shell", "test {} != b && echo {} >>effects"];
    each(&world, "-k -a items", &command).run().expect_code(1);
    world.write("items", "a\nc\nd\n");
    each(&world, "-k -a items", &command)
        .run()
        .expect_code(0)
        .expect_says("item 2 (b) had failed, and is gone");
    each(&world, "-k -a items", &command).run().expect_code(0).expect_says("already finished");
    expect_each_once(&world, 3);
    // Also where those that failed are to run once more.
    let world = World::new();
    world.write("items", "a\nb\nc\n");
    each(&world, "-k -a items", &["false"]).run().expect_code(1);
    world.write("items", "a\nc\n");
    let again = each(&world, "--retry-failed -k -a items", &["false"]).run().expect_code(1);
    again.expect_says("item 2 (b) had failed");
}

#[test]
fn a_pipe_too_may_have_less_than_last_time() {
    let world = World::new();
    let run = |text: &str| {
        let line = each(&world, "--checkpoint-every 20ms --grace 0s -j1 --shell", &[NUMBERED]);
        line.stdin(Input::Piped(text.into()))
    };
    stopped_at_the_third(&world, "", &run("a\nb\nc\nd\n"));
    run("x\n").run().expect_code(3).expect_says("item 3 (c) was at work");
    run("b\nc\nx\n").run().expect_code(3).expect_says("2 items followed then");
    run("c\nd\na\n").run().expect_code(3);
    run("b\nc\nd\ne\n").run().expect_code(0).expect_says("1 ended item is gone");
    expect_each_once(&world, 5);
}
