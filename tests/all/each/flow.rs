//! When commands start, and what is written of their ends.

use super::each;
use crate::harness::World;
use crate::pipe::until;
use nix::sys::signal::Signal::{SIGKILL, SIGTERM, SIGUSR1};
use std::time::{Duration, Instant};

/// Seconds since 1970, one line for each start.
const NOTES_ITS_START: &str = "date +%s.%N >>starts; : {}";

fn starts(world: &World) -> Vec<f64> {
    let text = String::from_utf8(world.read("starts")).unwrap();
    text.lines().map(|line| line.parse().unwrap()).collect()
}

#[test]
fn starts_keep_their_distance() {
    for option in ["--delay 400ms", "--rate 150/m"] {
        let world = World::new();
        let line = [NOTES_ITS_START, ":::", "1", "2", "3", "4"];
        each(&world, &format!("-j4 {option} --shell"), &line).run().expect_code(0);
        let starts = starts(&world);
        // The shell and `date` take their time, each time another one.
        let least = starts.windows(2).map(|pair| pair[1] - pair[0]).fold(f64::MAX, f64::min);
        assert!(starts[3] - starts[0] > 0.9 && least > 0.1, "{option}: {starts:?}");
    }
}

/// A retry is a start as well: the service on the other side counts it.
#[test]
fn attempts_keep_their_distance_too() {
    let world = World::new();
    let text = format!("{NOTES_ITS_START}; exit 1");
    let line = [text.as_str(), ":::", "1", "2"];
    each(&world, "-j4 --rate 2/s --retries 1 --retry-delay 1ms --shell", &line).run().expect_code(1);
    let starts = starts(&world);
    assert!(starts.len() == 4 && starts[3] - starts[0] > 1.2, "{starts:?}");
}

#[test]
fn a_wait_for_the_next_start_answers_at_once_and_holds_no_result() {
    for option in ["--delay 1h", "--rate 1/h"] {
        let world = World::new();
        let line = ["echo {}; echo {} >>ran", ":::", "a", "b"];
        let run = each(&world, &format!("-j4 {option} --shell"), &line).start();
        until("the first has run", || world.exists("ran"));
        let began = Instant::now();
        let run = run.until("checkpoint at 1 of 2").signal(SIGUSR1).until("checkpoint");
        let ended = run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
        assert_eq!(ended.stdout, b"a\n", "{option}");
        each(&world, "--shell", &line).run().expect_code(0).expect_stdout(b"b\n");
    }
}

/// After the last command there is no start to wait for.
#[test]
fn a_run_ends_with_its_last_command() {
    for option in ["--delay 1h", "--rate 1/h"] {
        let world = World::new();
        let began = Instant::now();
        each(&world, option, &["echo", ":::", "a"]).run().expect_code(0).expect_stdout(b"a\n");
        assert!(began.elapsed() < Duration::from_secs(600), "{option}: {:?}", began.elapsed());
    }
}

/// Nobody knows when the last command of the run before started.
#[test]
fn a_job_that_is_continued_waits_for_one_interval() {
    let world = World::new();
    let line = ["echo {} >>ran", ":::", "a", "b"];
    let run = each(&world, "--rate 1/h --shell", &line).start();
    run.until("checkpoint at 1 of 2").signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    let run = each(&world, "--rate 1/h --shell", &line).start().until("ready");
    let run = run.let_pass(Duration::from_millis(500));
    run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    assert_eq!(world.read("ran"), b"a\n");
}

#[test]
fn nothing_starts_on_a_machine_that_is_too_busy() {
    let world = World::new();
    let line = ["echo {} >>ran", ":::", "a", "b"];
    let run = each(&world, "--memfree 4000000GiB --shell", &line).start().until("ready");
    run.let_pass(Duration::from_millis(500)).signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    assert!(!world.exists("ran"));
    each(&world, "--memfree 1k --load 1024 --shell", &line).run().expect_code(0);
    assert!(world.exists("ran"));
}

/// How commands are stopped and continued is tested where the children are, and the rule beside it: how much memory the
/// machine has meanwhile is not for a test to say.
#[test]
fn one_command_at_a_time_runs_where_there_is_never_enough_memory() {
    let world = World::new();
    let line = ["mkdir one && sleep .05 && rmdir one && echo {} >>ran", ":::", "a", "b", "c"];
    each(&world, "-j3 --memsuspend 4000000GiB --shell", &line).run().expect_code(0);
    assert_eq!(world.read("ran"), b"a\nb\nc\n");
    each(&world, "--fresh -j3 --memsuspend 1k", &["echo", ":::", "a"]).run().expect_code(0);
}

#[test]
fn codes_may_be_success_and_may_be_worth_another_attempt() {
    let world = World::new();
    each(&world, "--ok-codes 0-2,9 --shell", &["exit {}", ":::", "0", "1", "2", "9"]).run().expect_code(0);
    let line = ["echo {} >>ran; exit {}", ":::", "7", "8"];
    each(&world, "-j1 --retries 2 --retry-delay 10ms --retry-codes 5-7 --shell", &line).run().expect_code(1);
    let mut ran: Vec<String> =
        String::from_utf8(world.read("ran")).unwrap().lines().map(str::to_string).collect();
    ran.sort();
    assert_eq!(ran, ["7", "7", "7", "8"]);
}

#[test]
fn the_log_has_one_line_for_each_command_that_has_ended_also_after_a_stop_and_a_kill() {
    let world = World::new();
    let line = [
        "echo >>ran-{}; test {} != 2; ok=$?; test {} != 4 || until test -e go; do sleep .02; done; exit $ok",
        ":::",
        "1",
        "2",
        "3",
        "4",
        "5",
    ];
    for signal in [SIGTERM, SIGKILL] {
        let run = each(&world, "-j1 --grace 0s --joblog log --shell", &line).start();
        until("the fourth runs", || world.exists("ran-4"));
        let run = run.let_pass(Duration::from_millis(1200));
        run.signal(signal).wait();
        world.shell("rm -f ran-4");
    }
    world.write("go", "");
    each(&world, "-j1 --joblog log --shell", &line).run().expect_code(1);
    let log = String::from_utf8(world.read("log")).unwrap();
    let rows: Vec<Vec<&str>> = log.lines().map(|line| line.split('\t').collect()).collect();
    let columns: Vec<[&str; 3]> = rows.iter().map(|row| [row[0], row[6], row[1]]).collect();
    assert_eq!(columns[0], ["Seq", "Exitval", "Host"]);
    let mut ends = columns[1..].to_vec();
    ends.sort();
    assert_eq!(ends, [["1", "0", ":"], ["2", "1", ":"], ["3", "0", ":"], ["4", "0", ":"], ["5", "0", ":"]]);
    // The same columns, of the same commands.
    let kept = String::from_utf8(world.shell("bivouac log --joblog")).unwrap();
    let command = |row: &str| row.split('\t').nth(8).unwrap().to_string();
    assert_eq!(command(kept.lines().nth(1).unwrap()), command(log.lines().nth(1).unwrap()));
}

#[test]
fn other_spellings_of_parallel_and_xargs() {
    let world = World::new();
    for options in [
        "-P 2",
        "-P2",
        "--max-procs=2",
        "-j 0",
        "-j200%",
        "-j-1",
        "--bar",
        "--eta",
        "--progress",
        "-j 1 -P 3",
    ] {
        let ended = each(&world, &format!("--fresh {options} -k echo"), &[":::", "a", "b"]).run();
        assert_eq!(String::from_utf8_lossy(&ended.expect_code(0).stdout), "a\nb\n", "{options}");
    }
}

/// As GNU parallel ends: 0 where a success was wanted, also if the line is typed again for the rest.
#[test]
fn as_many_as_were_wanted_end_the_job() {
    let text = "echo {} >>ran; test {} != 2";
    for (halt, items, code, ran) in [
        ("now,success=2", "1 3 4 5 2", 0, "1\n3\n"),
        ("soon,success=1", "1 3 4 5 2", 0, "1\n"),
        ("now,done=2", "1 3 4 5 2", 0, "1\n3\n"),
        ("soon,done=40%", "1 3 4 5 2", 0, "1\n3\n"),
        ("soon,fail=20%", "1 2 3 4 5", 4, "1\n2\n"),
        ("now,success=90%", "1 3 4 5 2", 1, "1\n3\n4\n5\n2\n"),
    ] {
        let world = World::new();
        let line: Vec<&str> = ["--shell", text, ":::"].into_iter().chain(items.split(' ')).collect();
        let ended = each(&world, &format!("-j1 --halt {halt}"), &line).run().expect_code(code);
        assert_eq!(String::from_utf8(world.read("ran")).unwrap(), ran, "{halt}: {}", ended.stderr);
        each(&world, "", &line).run().expect_code(1);
        assert_eq!(world.shell("sort ran"), b"1\n2\n3\n4\n5\n", "{halt}");
    }
    // A failure may be held, and so it counts after the success of a later item; but it counts.
    let world = World::new();
    each(&world, "-j1 --halt soon,done=1", &["--shell", "exit 3; {}", ":::", "a", "b"]).run().expect_code(1);
    // What runs is ended with `now`.
    let world = World::new();
    let began = Instant::now();
    let line = ["--shell", "test {} = 1 || exec sleep 1000", ":::", "1", "2"];
    each(&world, "-j2 --halt now,success=1 --stop-code 99", &line).run().expect_code(0);
    assert!(began.elapsed() < Duration::from_secs(60));
}

/// A busy machine may be busy for hours. A person who waits learns why nothing starts, once.
#[test]
fn a_machine_that_is_too_busy_for_the_first_command_is_named_once() {
    let world = World::new();
    let line = "--memfree 1000000GiB --max-runtime 6s";
    let ended = each(&world, line, &["touch", "{}", ":::", "a", "b"]).run().expect_code(75);
    let ended = ended.expect_says("MiB of memory are available, and a start needs 1024000000 MiB");
    assert_eq!(ended.stderr.matches("waiting: ").count(), 1, "{}", ended.stderr);
    assert!(!world.exists("a"));
    let world = World::new();
    let ended = each(&world, "--memfree 1 --load 1024", &["true", ":::", "a", "b"]).run().expect_code(0);
    ended.expect_says_not("waiting: ");
}
