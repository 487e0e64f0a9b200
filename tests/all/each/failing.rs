//! Commands that fail, are missing, or are too many.

use super::{each, effects, list};
use crate::harness::World;
use nix::sys::signal::Signal::{SIGINT, SIGKILL, SIGTERM};

#[test]
fn the_code_says_that_some_failed_and_the_first_are_named() {
    let world = World::new();
    let text = "echo {}; echo no {} >&2; exit {}";
    let items = [":::", "0", "1", "0", "3", "7", "1", "1", "1"];
    let ended = each(&world, "-k --shell", &[text]).words(&items).run().expect_code(1);
    ended
        .expect_says("6 items failed")
        .expect_says("item 4 (3): ")
        .expect_says("ended with code 3")
        .expect_says("bivouac log --failed")
        .expect_stdout(b"0\n1\n0\n3\n7\n1\n1\n1\n");
    let again = each(&world, "-k --shell", &[text]).words(&items).run().expect_code(1);
    again.expect_says("already finished").expect_says("6 items failed").expect_stdout(b"");
    let accepted = each(&world, "--fresh --ok-codes 0,1,3,7 --shell", &[text]).words(&items);
    accepted.run().expect_code(0);
}

#[test]
fn those_that_failed_can_be_run_once_more_and_only_those() {
    let world = World::new();
    list(&world, 0..30);
    let text = "echo {} >>effects; case {#} in 3|17|30) test -e mended;; esac";
    let line = |options| each(&world, options, &["-a", "items", "--shell", text]);
    line("").run().expect_code(1).expect_says("3 items failed");
    line("--retry-failed").run().expect_code(1).expect_says("3 items failed");
    world.write("mended", "");
    line("--retry-failed").run().expect_code(0);
    line("--retry-failed").run().expect_code(0).expect_says("already finished");
    let effects = effects(&world);
    for n in 0..30 {
        let times = if [2, 16, 29].contains(&n) { 3 } else { 1 };
        assert_eq!(effects[&format!("item {n}")], times, "item {n}");
    }
}

/// Signals above 31 have no names.
#[test]
fn a_command_may_die_of_any_signal() {
    let world = World::new();
    let items = [":::", "0", "34", "50", "9"];
    let ended = each(&world, "-k", &["bash", "-c", "[ $0 = 0 ] || kill -$0 $$"]).words(&items).run();
    ended
        .expect_code(1)
        .expect_says("3 items failed")
        .expect_says("item 2 (34): ended by signal 34")
        .expect_says("item 4 (9): ended by SIGKILL");
}

#[test]
fn a_retry_is_another_chance() {
    let world = World::new();
    let text = "echo x; echo x >>tried-{}; test $(wc -l <tried-{}) = 3";
    let line = each(&world, "--retries 2 --shell", &[text, ":::", "a"]);
    line.run().expect_code(0).expect_stdout(b"x\n").expect_says("bivouac: a: ended with code 1; again in ");
    let text = "echo x >>tries; exit 9";
    each(&world, "--retries 1 --shell", &[text, ":::", "a"]).run().expect_code(1).expect_says("code 9");
    assert_eq!(world.read("tries"), b"x\nx\n");
}

#[test]
fn enough_failures_halt_the_job_and_it_goes_on_behind_them() {
    for when in ["soon", "now"] {
        let world = World::new();
        list(&world, 0..50);
        let text = "echo {} >>effects; test -e mended || exit 1";
        let line = |options: String| each(&world, &options, &["-a", "items", "--shell", text]);
        let halted = line(format!("-j 2 --halt {when},fail=3")).run().expect_code(4);
        halted
            .expect_says("3 have failed in this run")
            .expect_says("): ended with code 1\n")
            .expect_says("the same command again")
            .expect_says("--retry-failed");
        assert!(effects(&world).len() < 10);
        world.write("mended", "");
        let ended = line("-j 2".to_string()).run().expect_code(1);
        assert!(ended.stderr.contains("items failed"), "{}", ended.stderr);
        assert_eq!(effects(&world).len(), 50);
    }
}

/// Nobody has told them to end: what ends badly behind the last failure that was allowed has failed, too.
#[test]
fn a_halt_that_waits_interrupts_nobody() {
    let world = World::new();
    let text = "echo {} >>effects; sleep {}; exit 1";
    let line = each(&world, "-j 3 --halt soon,fail=1 --shell", &[text, ":::", "0", "1", "1.2"]);
    // The halt finds nothing left to hold back, so this is an end.
    line.run().expect_code(1).expect_says("phase stopping").expect_says("3 items failed");
    let log = world.bivouac("log --failed").run().expect_code(0);
    assert_eq!(String::from_utf8(log.stdout).unwrap().lines().count(), 1 + 3 + 1);
    line.run().expect_code(1).expect_says("already finished");
    assert_eq!(world.read("effects").split(|byte| *byte == b'\n').count(), 4);
}

#[test]
fn a_command_that_cannot_be_started_is_told_once() {
    let world = World::new();
    world.write("not-executable", "x");
    for (command, code) in [("no-such-program", 127), ("./not-executable", 126), ("./", 126)] {
        let ended = each(&world, "", &[command, ":::", "a", "b", "c"]).run().expect_code(code);
        assert_eq!(
            ended.stderr.matches("cannot be started").count()
                + ended.stderr.matches("no such command").count(),
            1
        );
    }
    // With a program in each item, one that is missing is one that failed.
    let ended = each(&world, "-k {}", &[":::", "pwd", "no-such-program", "true"]).run().expect_code(1);
    ended.expect_says("1 item failed").expect_says("no such command");
}

#[test]
fn one_that_takes_too_long_is_ended_and_has_failed() {
    let world = World::new();
    let ended = each(&world, "--timeout 200ms --kill-after 200ms sleep", &[":::", "20", "0"]).run();
    ended.expect_code(1).expect_says("item 1 (20)").expect_says("took longer than --timeout");
    let log = world.bivouac("log --failed").run().expect_code(0);
    log.expect_stdout_says("     1    1  timeout");
}

#[test]
fn limits_of_the_system_are_said_with_a_way_out() {
    let world = World::new();
    let few = ["bash", "-c", "ulimit -n 20; exec bivouac each -j 16 --shell ': {}; sleep 0.1' ::: $(seq 50)"];
    world.program(&few).run().expect_code(4).expect_says("ulimit -n");
    // What had ended before stands, and with more room the rest is done.
    let enough = ["bash", "-c", "exec bivouac each -j 2 --shell ': {}; sleep 0.1' ::: $(seq 50)"];
    let _ = world.program(&enough).start().until("resumed").wait().expect_code(0);
}

/// The log as JSON: how each attempt ended, with its code and time, in the order of the items.
fn attempts(world: &World) -> Vec<(u64, u64, String, Option<u64>, bool)> {
    let log = world.bivouac("log --format json").run().expect_code(0).stdout;
    let mut all: Vec<_> = String::from_utf8(log)
        .unwrap()
        .lines()
        .map(|line| {
            let entry: serde_json::Value = serde_json::from_str(line).unwrap();
            let number = |name: &str| entry[name].as_u64().unwrap();
            let is_measured = entry["slot"].is_u64() && entry["seconds"].as_f64().unwrap() > 0.0;
            let outcome = entry["outcome"].as_str().unwrap().to_string();
            (number("task"), number("attempt"), outcome, entry["code"].as_u64(), is_measured)
        })
        .collect();
    all.sort();
    all
}

/// An attempt has ended, and the next one comes in an hour: the log knows that, however the run ends meanwhile.
#[test]
fn the_end_of_a_failed_attempt_is_in_the_log_although_its_retry_never_came() {
    let script = "[ {} = b ] && until [ -e go ]; do sleep 0.01; done; exit 3";
    for (options, end) in [
        ("", Some(SIGTERM)),
        ("-k", Some(SIGTERM)),
        ("-o out", Some(SIGTERM)),
        ("--results r", Some(SIGINT)),
        ("--max-runtime 3s", None),
        ("--halt now,fail=1 --retry-codes 3", None),
    ] {
        let world = World::new();
        let halts = options.contains("--halt");
        let script =
            if halts { script.replace("; exit", "; [ {} = b ] && exit 4; exit") } else { script.to_string() };
        let line = format!("--grace 0s -j 2 --retries 3 --retry-delay 1h {options} --shell");
        let run =
            each(&world, &line, &[&script, ":::", "a", "b"]).start().until("a: ended with code 3; again in ");
        match end {
            Some(signal) => drop(run.signal(signal).wait().expect_stopped_by(signal)),
            None => {
                if halts {
                    world.write("go", "");
                }
                run.wait();
            }
        }
        let ended = attempts(&world);
        let failed =
            |task| (task, 1, "failed".to_string(), Some(if halts && task == 2 { 4 } else { 3 }), true);
        assert_eq!(ended[0], failed(1), "{options}: {ended:?}");
        if halts {
            assert_eq!(ended[1], failed(2), "{options}: {ended:?}");
        } else {
            assert_eq!((ended[1].0, ended[1].2.as_str()), (2, "interrupted"), "{options}: {ended:?}");
        }
        // The next run begins the item again, and its end is the last one.
        world.write("go", "");
        each(&world, &format!("-j 2 {options} --shell"), &[&script, ":::", "a", "b"]).run();
        let again = attempts(&world);
        assert!(again.iter().all(|attempt| attempt.2 != "open"), "{options}: {again:?}");
    }
}

/// While a command waits for its next attempt, the log of the running job has the end of the one before.
#[test]
fn a_checkpoint_writes_the_ends_of_attempts_and_a_kill_leaves_them() {
    let world = World::new();
    let line = "-j 2 --retries 3 --retry-delay 1h --checkpoint-every 20ms --shell";
    let script = "[ {} = b ] && { touch at_b; exec sleep 1000; }; exit 3";
    let run = each(&world, line, &[script, ":::", "a", "b"]).start().until("a: ended with code 3; again in ");
    crate::pipe::until("the end is in the log", || {
        world.exists("at_b") && attempts(&world).first().is_some_and(|attempt| attempt.2 == "failed")
    });
    run.signal(SIGKILL).wait().expect_killed_by(SIGKILL);
    let outcomes: Vec<_> = attempts(&world).into_iter().map(|attempt| attempt.2).collect();
    assert_eq!(outcomes, ["failed", "open"]);
}

#[test]
fn a_command_that_could_not_be_started_or_whose_reader_has_gone_has_its_end_in_the_log() {
    let world = World::new();
    world.shell("bivouac each --state piped.bivouac --quiet --shell 'sleep 0.5; echo {}' ::: a 2>&- | true");
    assert_eq!(attempts(&world)[0].2, "done");
    world.shell("rm -r piped.bivouac");
    each(&world, "", &["no-such-program", ":::", "a"]).run().expect_code(127);
    assert_eq!(attempts(&world)[0].2, "not-started");
}
