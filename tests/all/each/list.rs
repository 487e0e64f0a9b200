//! The list between two runs.

use super::{EFFECT, each, effects, expect_each_once, list};
use crate::harness::{Input, World};
use nix::sys::signal::Signal::SIGTERM;

fn stopped(world: &World) {
    list(world, 0..100);
    let run = each(world, "--checkpoint-every 20ms -j 2 -a items", &EFFECT).start();
    run.until_checkpoint_at_least(10).signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
}

#[test]
fn it_may_grow_whether_the_job_was_finished_or_not() {
    let world = World::new();
    stopped(&world);
    world.append("items", "item 100\n");
    each(&world, "-j 2 -a items", &EFFECT).run().expect_code(0);
    expect_each_once(&world, 101);
    world.append("items", "item 101\nitem 102\n");
    each(&world, "-j 2 -a items", &EFFECT).run().expect_code(0);
    expect_each_once(&world, 103);
    // The same on the command line.
    let world = World::new();
    each(&world, "-k echo", &[":::", "a", "b"]).run().expect_stdout(b"a\nb\n");
    each(&world, "-k echo", &[":::", "a", "b", "c"]).run().expect_code(0).expect_stdout(b"c\n");
}

#[test]
fn any_other_change_is_refused_and_the_first_one_named() {
    type Change = fn(&mut Vec<String>);
    let changes: [(&str, Change, &str); 4] = [
        ("one more in front", |list| list.insert(0, "new".into()), "item 1 is new, and was item 0"),
        ("another one", |list| list[5] = "other".into(), "item 6 is other, and was item 5"),
        ("turned round", |list| list.swap(2, 3), "item 3 is item 3, and was item 2"),
        ("a short list", |list| list.truncate(2), "are missing: the list ends after 2 of 100"),
    ];
    for (what, change, says) in changes {
        let world = World::new();
        stopped(&world);
        let mut lines: Vec<String> =
            String::from_utf8(world.read("items")).unwrap().lines().map(str::to_string).collect();
        change(&mut lines);
        world.write("items", lines.join("\n"));
        let before = effects(&world);
        let refused = each(&world, "-j 2 -a items", &EFFECT).run().expect_code(3).expect_says(says);
        refused.expect_says("--fresh");
        assert_eq!(effects(&world), before, "{what}");
        list(&world, 0..100);
        each(&world, "-j 2 -a items", &EFFECT).run().expect_code(0);
        expect_each_once(&world, 100);
    }
}

#[test]
fn with_an_output_file_a_finished_list_that_has_grown_is_refused_and_no_command_runs_again() {
    let world = World::new();
    list(&world, 0..5);
    each(&world, "-o out -a items", &EFFECT).run().expect_code(0);
    each(&world, "-o out -a items", &EFFECT).run().expect_code(0).expect_says("already finished");
    world.append("items", "item 5\n");
    each(&world, "-o out -a items", &EFFECT).run().expect_code(3).expect_says("--fresh");
    expect_each_once(&world, 5);
}

#[test]
fn a_list_that_has_grown_again_and_again_has_the_number_of_its_items() {
    let world = World::new();
    for items in 1..4 {
        list(&world, 0..items);
        each(&world, "-a items", &EFFECT).run().expect_code(0);
    }
    list(&world, 0..4);
    let ended = each(&world, "-a items", &EFFECT).run().expect_code(0);
    drop(ended.expect_says("resumed after 3 ").expect_says_not("of 2").expect_says_not("of 3"));
    expect_each_once(&world, 4);
}

#[test]
fn a_pipe_can_be_given_again() {
    let world = World::new();
    list(&world, 0..100);
    let items = world.read("items");
    let line = each(&world, "--checkpoint-every 20ms -j 2", &EFFECT).stdin(Input::Piped(items.clone()));
    line.start().until_checkpoint_at_least(10).signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    let other = each(&world, "-j 2", &EFFECT).stdin(Input::Piped(b"x\n".to_vec()));
    other.run().expect_code(3).expect_says("were not done are missing: the list ends after 1 of 100");
    each(&world, "-j 2", &EFFECT).stdin(Input::Piped(items)).run().expect_code(0);
    expect_each_once(&world, 100);
}

/// It may do once more what was done, so it is said. Without a name of the state, it is another state.
#[test]
fn other_options_in_the_place_of_a_finished_job_are_a_new_job_and_said() {
    for place in ["--state st", "-o st", "-o out --state st"] {
        let world = World::new();
        let run = |options: &str, command: &[&str]| {
            each(&world, &format!("{place} {options}"), command).with("::: a b").run().expect_code(0)
        };
        let said = "the job on record is finished\n  this one has other options, and is a new job";
        run("", &["touch"]).expect_says_not(said);
        run("", &["touch"]).expect_says("already finished").expect_says_not(said);
        run("", &["rm"]).expect_says(said);
        assert!(!world.exists("a") && !world.exists("b"));
        run("-n 2", &["touch"]).expect_says(said);
        run("-n 2", &["touch"]).expect_says("already finished").expect_says_not(said);
        assert!(world.exists("a") && world.exists("b"));
        run("--fresh", &["touch"]).expect_says_not(said);
        // A filter does nothing twice.
        let count = world.bivouac("count a").with(place).run().expect_code(0);
        drop(count.expect_says_not("new job"));
    }
}

/// Two jobs that differ only in their command, or in where their items come from, are two jobs.
#[test]
fn jobs_do_not_get_in_each_others_way() {
    let world = World::new();
    world.write("f", "a\n");
    for line in ["each echo ::: a", "each echo x ::: a", "each echo -a f", "each -a f echo"] {
        world
            .bivouac(line)
            .stdin(Input::Piped(b"a\n".to_vec()))
            .run()
            .expect_code(0)
            .expect_says_not("already");
    }
    // What is only another way to look at the same work is the same job.
    for line in ["each --tag echo ::: a", "each -j 7 -k --retries 2 echo ::: a"] {
        world.bivouac(line).run().expect_code(0).expect_says("already finished");
    }
}
