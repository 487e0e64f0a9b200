//! What is kept: `--results`, `-o`, the log.

use super::{each, list};
use crate::harness::World;
use nix::sys::signal::Signal::{SIGKILL, SIGTERM};
use std::fs;

#[test]
fn results_of_each_command_are_files() {
    let world = World::new();
    let text = "echo out {}; echo err {} >&2; exit {#}";
    let ended = each(&world, "--results r --shell", &[text, ":::", "a b", "c"]).run().expect_code(1);
    assert!(ended.stdout.ends_with(b"\n"));
    for (file, text) in [
        ("r/1/stdout", "out a b\n"),
        ("r/1/stderr", "err a b\n"),
        ("r/1/code", "1\n"),
        ("r/1/item", "a b\n"),
        ("r/2/code", "2\n"),
    ] {
        assert_eq!(String::from_utf8(world.read(file)).unwrap(), text, "{file}");
    }
}

#[test]
fn an_interrupted_command_leaves_nothing_that_looks_finished() {
    for signal in [SIGTERM, SIGKILL] {
        let world = World::new();
        let text = "echo {}; touch begun-{}; test -e quick || sleep 20";
        let options = "-j 2 --grace 100ms --results r --shell";
        let line = each(&world, options, &[text, ":::", "a", "b"]);
        let run = line.start().until("ready");
        crate::pipe::until("both to begin", || world.exists("begun-a") && world.exists("begun-b"));
        run.signal(signal).wait().expect_killed_by(signal);
        let visible = || {
            let names = fs::read_dir(world.path("r")).unwrap().map(|e| e.unwrap().file_name());
            names.filter(|name| !name.as_encoded_bytes().starts_with(b".")).count()
        };
        assert_eq!(visible(), 0);
        crate::pipe::until_nobody_is_left(&world);
        world.write("quick", "");
        line.run().expect_code(0);
        assert_eq!((visible(), fs::read_dir(world.path("r")).unwrap().count()), (2, 2));
        assert_eq!(world.read("r/2/stdout"), b"b\n");
    }
}

/// The same bytes as in one go, whatever comes between.
#[test]
fn with_an_output_file_what_is_printed_is_there_exactly_once_and_in_order() {
    let world = World::new();
    list(&world, 0..120);
    let text = "sleep 0.01; echo {}; seq {#}";
    let line = |options| each(&world, options, &["-j", "3", "-a", "items", "-o", "out", "--shell", text]);
    for signal in [SIGTERM, SIGKILL, SIGTERM, SIGKILL] {
        let run = line("--checkpoint-every 20ms").start().until("ready");
        let run = run.until("checkpoint at").until("checkpoint at").until("checkpoint at");
        run.signal(signal).wait().expect_killed_by(signal);
        crate::pipe::until_nobody_is_left(&world);
        assert!(!world.exists("out"));
    }
    line("").run().expect_code(0);
    let wanted = world.shell("n=0; while read -r line; do n=$((n+1)); echo \"$line\"; seq $n; done <items");
    assert!(world.read("out") == wanted);
    line("").run().expect_code(0).expect_says("already finished");
}

#[test]
fn the_log_tells_what_ran_and_what_was_at_work_when_all_was_killed() {
    let world = World::new();
    let text = "test {} = quick || touch begun; test {} = quick || sleep 20";
    let run = each(&world, "-j 2 --shell", &[text, ":::", "quick", "slow"]).start().until("ready");
    crate::pipe::until("the slow one to begin", || world.exists("begun"));
    let run = run.signal(nix::sys::signal::Signal::SIGUSR1).until("status:");
    let status = world.bivouac("status").run().expect_code(0);
    status.expect_stdout_says("at work     item 2 for ").expect_stdout_says(": slow");
    run.signal(SIGKILL).wait().expect_killed_by(SIGKILL);
    let log = world.bivouac("log").run().expect_code(0);
    let text = String::from_utf8(log.stdout).unwrap();
    assert!(text.contains("     1    1  done 0 ") && text.contains("     2    1  open  "), "{text}");
    let joblog = world.bivouac("log --joblog").run().expect_code(0);
    let text = String::from_utf8(joblog.stdout).unwrap();
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(
        rows[0],
        ["Seq", "Host", "Starttime", "JobRuntime", "Send", "Receive", "Exitval", "Signal", "Command"]
    );
    assert_eq!((rows.len(), rows[1][0], rows[1][6], rows[1][7]), (2, "1", "0", "0"));
    assert!(rows[1][8].starts_with("test quick = quick"), "{text}");
}

/// Beyond what the last checkpoint knows, a torn end of the log is cut off, and only that is done again.
#[test]
fn a_torn_last_line_of_the_log_costs_one_item() {
    let world = World::new();
    list(&world, 0..40);
    let line = |options| {
        each(&world, options, &["-j", "1", "-a", "items", "--shell", "sleep 0.03; echo {} >>effects"])
    };
    let run = line("--checkpoint-every 1h").start().until("ready");
    crate::pipe::until("some to be done", || super::effects(&world).len() >= 10);
    run.signal(SIGKILL).wait().expect_killed_by(SIGKILL);
    crate::pipe::until_nobody_is_left(&world);
    let state = fs::read_dir(world.path(".bivouac")).unwrap().next().unwrap().unwrap().path();
    let journal = fs::OpenOptions::new().write(true).open(state.join("journal")).unwrap();
    journal.set_len(journal.metadata().unwrap().len() - 3).unwrap();
    line("").run().expect_code(0);
    let effects = super::effects(&world);
    assert_eq!(effects.len(), 40);
    assert!(effects.values().filter(|times| **times > 1).count() <= 3, "{effects:?}");
}

/// For such a name GNU parallel writes a table. A directory that is there stays one.
#[test]
fn a_table_in_place_of_a_directory_of_results_is_refused_with_what_prints_one() {
    let world = World::new();
    let said = world.bivouac("each --results x.csv echo ::: a").run().expect_code(2);
    let said = said.expect_says("--results x.csv: would be a directory, not a table");
    said.expect_says("bivouac log --format csv");
    world.bivouac("each --results x.csv/ echo ::: a").run().expect_code(0);
    assert!(world.exists("x.csv/1/stdout"));
    fs::create_dir(world.path("y.tsv")).unwrap();
    world.bivouac("each --results y.tsv echo ::: b").run().expect_code(0);
    assert!(world.exists("y.tsv/1/stdout"));
}

/// What is done has its results in the directory of the line that did it.
#[test]
fn another_directory_for_results_is_refused_after_the_end_and_warned_of_after_a_stop() {
    let world = World::new();
    let line =
        |options: &str| each(&world, options, &["sh", "-c", "echo $0 | tee -a ran", "{}", ":::", "a", "b"]);
    line("--results x").run().expect_code(0);
    let refused = line("--results y/z").run().expect_code(3);
    refused.expect_says("y/z: has no results: the job was finished before").expect_says("--fresh");
    assert!(!world.exists("y"), "nothing is made for a refusal");
    line("--results x").run().expect_code(0).expect_says("already finished");
    line("--results ./x/").run().expect_code(0).expect_says("already finished");
    line("").run().expect_code(0).expect_says("already finished");
    assert_eq!(world.read("ran").len(), 4, "each ran once");
    // More items, and another list, are other things to do.
    let more = each(&world, "--results y", &["sh", "-c", "echo $0 | tee -a ran", "{}", ":::", "a", "b", "c"]);
    more.run().expect_code(0).expect_says_not("warning");
    assert_eq!(world.read("y/3/stdout"), b"c\n");
    line("--results z --fresh").run().expect_code(0);
    assert_eq!(world.read("z/1/stdout"), b"a\n");

    let world = World::new();
    let script = "[ $0 = a ] || until [ -e go ]; do sleep 0.02; done; echo $0";
    let line = |options: &str| each(&world, options, &["sh", "-c", script, "{}", ":::", "a", "b"]);
    let run = line("-j 2 --grace 0s --checkpoint-every 20ms --results x").start().until("checkpoint at 1 ");
    run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    world.write("go", "");
    line("--results y").run().expect_code(0).expect_says("warning: y: has no results of 1 item done before");
    assert_eq!((world.read("x/1/stdout"), world.read("y/2/stdout")), (b"a\n".to_vec(), b"b\n".to_vec()));
}
