//! How commands end, and what becomes of what they have started.
//!
//! The commands of these tests wait for a file, so that nothing depends on how fast they are; and what they
//! start says its number in one.

use crate::harness::{Bivouac, World};
use crate::pipe::until;
use nix::sys::signal::Signal::{SIGKILL, SIGTERM};
use nix::sys::signal::kill;
use nix::unistd::Pid;
use std::fs;
use std::time::{Duration, Instant};

/// Counts the SIGTERMs that it gets, and ends when it may.
const CLEANS: &str = "trap 'echo term >>terms' TERM
    echo >started
    until test -e go; do sleep 0.02; done
    echo clean >>terms";

fn world() -> World {
    let world = World::new();
    world.write("cleans", CLEANS);
    world.write("in", "a\n");
    world
}

fn each<'w>(world: &'w World, options: &str, words: &[&str]) -> Bivouac<'w> {
    world.bivouac(&format!("each {options}")).words(words)
}

fn number(world: &World, name: &str) -> Pid {
    let text = String::from_utf8(world.read(name)).unwrap();
    Pid::from_raw(text.trim().parse().unwrap())
}

fn lives(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// A process that a test has to end itself.
struct Daemon(Pid);

impl Drop for Daemon {
    fn drop(&mut self) {
        kill(self.0, SIGKILL).unwrap_or_default();
    }
}

/// Its only process, the child of a shell that dies at once, and behind a pipe.
const GROUPS: [&[&str]; 3] = [
    &["each", "bash", "cleans", "{}", ":::", "a"],
    &["each", "--shell", "bash cleans; echo {}", ":::", "a"],
    &["pipe", "in", "-o", "out", "--", "sh", "-c", "bash cleans; cat"],
];

#[test]
fn an_abort_sends_one_sigterm_and_all_of_a_group_have_the_time_to_clean_up() {
    for line in GROUPS {
        let world = world();
        let run = world.bivouac(line[0]).with("--kill-after 1h --grace 1h").words(&line[1..]).start();
        until("it begins", || world.exists("started"));
        let run = run.signal(SIGTERM).until("phase stopping").let_pass(Duration::from_millis(200));
        let run = run.signal(SIGTERM).until("phase aborting");
        until("it is told", || world.exists("terms"));
        let run = run.let_pass(Duration::from_millis(200));
        world.write("go", "");
        run.wait().expect_stopped_by(SIGTERM);
        assert_eq!(String::from_utf8(world.read("terms")).unwrap(), "term\nclean\n", "{line:?}");
    }
}

#[test]
fn so_does_a_timeout() {
    for line in &GROUPS[..2] {
        let world = world();
        let run = world.bivouac(line[0]).with("--kill-after 1h --timeout 1s").words(&line[1..]).start();
        until("it is told", || world.exists("terms"));
        let run = run.let_pass(Duration::from_millis(200));
        world.write("go", "");
        run.wait().expect_code(1).expect_says("took longer than --timeout");
        assert_eq!(String::from_utf8(world.read("terms")).unwrap(), "term\nclean\n", "{line:?}");
    }
}

/// A scheduler tells the commands itself, and the job as well.
#[test]
fn who_cleans_up_behind_a_shell_that_a_scheduler_has_ended_is_let() {
    let world = world();
    let line = ["--shell", "echo $$ >shell; bash cleans; echo {}", ":::", "a"];
    let run = each(&world, "--kill-after 1h", &line).start();
    until("it begins", || world.exists("started"));
    nix::sys::signal::killpg(number(&world, "shell"), SIGTERM).unwrap();
    let run = run.signal(SIGTERM).until("phase stopping");
    until("it is told", || world.exists("terms"));
    world.write("go", "");
    run.wait().expect_stopped_by(SIGTERM);
    assert_eq!(String::from_utf8(world.read("terms")).unwrap(), "term\nclean\n");
}

#[test]
fn what_is_left_of_a_group_when_the_time_is_over_is_killed() {
    let world = world();
    let deaf = "(trap '' TERM; sleep 1000 & echo $! >deaf; wait) & wait; echo {}";
    let run = each(&world, "--kill-after 200ms --grace 0s", &["--shell", deaf, ":::", "a"]).start();
    until("it begins", || world.exists("deaf") && !world.read("deaf").is_empty());
    run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    let deaf = number(&world, "deaf");
    until("it is gone", || !lives(deaf));
}

/// Each item leaves a process in a session of its own.
const LEAVES: &str = "setsid sleep 1000 >/dev/null 2>&1 & echo $! >new-{}; mv new-{} left-{}
    case {} in ends) ;; *) sleep 1000;; esac";

#[test]
fn what_a_command_that_ended_well_has_left_lives_and_what_one_that_was_ended_has_left_does_not() {
    let world = world();
    let ended = each(&world, "-j1 --timeout 500ms --shell", &[LEAVES, ":::", "ends", "stays"]).run();
    let daemon = Daemon(number(&world, "left-ends"));
    let left = number(&world, "left-stays");
    assert!(lives(daemon.0) && !lives(left));
    ended
        .expect_code(1)
        .expect_says("was left behind by a command that was ended")
        .expect_says(&left.to_string());
}

#[test]
fn the_same_after_an_abort_and_after_sigkill() {
    for signal in [SIGTERM, SIGKILL] {
        let world = world();
        let run = each(&world, "-j1 --grace 0s --shell", &[LEAVES, ":::", "ends", "stays"]).start();
        until("both have left somebody", || world.exists("left-stays"));
        let daemon = Daemon(number(&world, "left-ends"));
        run.signal(signal).wait();
        let left = number(&world, "left-stays");
        until("what was ended is gone", || !lives(left));
        assert!(lives(daemon.0), "{signal}");
    }
}

/// The end of a command decides, and not that of its output.
#[test]
fn who_holds_the_output_of_a_command_that_has_ended_is_not_waited_for() {
    let text = "sleep 1000 & echo $! >pid-{}; echo {}";
    for options in ["-k", "-k --timeout 300ms", "-k -o out"] {
        let world = world();
        let ended = each(&world, options, &["--shell", text, ":::", "a", "b", "c"]).run();
        let daemons = ["a", "b", "c"].map(|item| Daemon(number(&world, &format!("pid-{item}"))));
        assert!(daemons.iter().all(|daemon| lives(daemon.0)), "{options}");
        let said = "(sleep 1000): holds the output of a command that has ended";
        assert_eq!(ended.stderr.matches(said).count(), 1, "once: {}", ended.stderr);
        let ended = ended.expect_code(0);
        if !world.exists("out") {
            ended.expect_stdout(b"a\nb\nc\n");
        }
    }
}

#[test]
fn nor_is_who_holds_its_standard_error() {
    let world = world();
    let text = "sleep 1000 >/dev/null & echo $! >pid; cat; echo last word >&2";
    let ended = world.bivouac("pipe in -o out --").words(&["sh", "-c", text]).run();
    let _daemon = Daemon(number(&world, "pid"));
    ended.expect_code(0).expect_says("holds the output of a command").expect_says("last word");
    assert_eq!(world.read("out"), b"a\n");
}

/// A `tee` behind a command is a little late.
#[test]
fn what_is_printed_a_moment_later_counts() {
    let world = world();
    let text = "(sleep 0.03; echo late) & echo {}";
    each(&world, "--shell", &[text, ":::", "a"]).run().expect_code(0).expect_stdout(b"a\nlate\n");
}

/// Some window managers and daemons start programs in this way.
#[test]
fn where_sigchld_was_ignored_commands_end_as_ever() {
    let world = world();
    let line = each(
        &world,
        "-j2",
        &["sh", "-c", "echo $0; grep SigIgn /proc/self/status >ignored", ":::", "1", "2"],
    );
    let line = line.under("env --ignore-signal=CHLD");
    line.run().expect_code(0);
    line.run().expect_code(0).expect_says("already finished");
    let ignored = String::from_utf8(world.read("ignored")).unwrap();
    let ignored = u64::from_str_radix(ignored.rsplit('\t').next().unwrap().trim(), 16).unwrap();
    assert_eq!(ignored & (1 << (nix::sys::signal::Signal::SIGCHLD as i32 - 1)), 0, "{ignored:x}");
}

#[test]
fn too_few_descriptors_mean_fewer_slots_and_commands_have_the_limit_that_was_found() {
    let world = world();
    world.write("limited", "ulimit -n 64; exec \"$@\"");
    let items: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    let items: Vec<&str> = items.iter().map(String::as_str).collect();
    let waits = ["--shell", "until test -e go; do sleep 0.02; done; : {}", ":::"];
    let run = each(&world, "-j 100", &waits).words(&items).under("bash limited").start();
    let run = run.until("commands at a time now");
    world.write("go", "");
    let ended = run.wait().expect_code(0);
    assert_eq!(ended.stderr.matches("at a time now").count(), 1, "once: {}", ended.stderr);

    world.write("limited", "ulimit -Sn 77; exec \"$@\"");
    let line = each(&world, "--shell", &["ulimit -Sn; : {}", ":::", "a"]);
    line.under("bash limited").run().expect_code(0).expect_stdout(b"77\n");
}

#[test]
fn a_failure_is_held_and_its_slot_is_not() {
    let world = world();
    let began = Instant::now();
    let items: Vec<String> = (0..60).map(|n| n.to_string()).collect();
    let items: Vec<&str> = items.iter().map(String::as_str).collect();
    each(&world, "-j1 --shell", &["exit 1; : {}", ":::"]).words(&items).run().expect_code(1);
    // Held one after the other they would take 30 s.
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn a_task_that_waits_for_its_next_attempt_keeps_nobody_waiting_and_is_given_up_by_a_stop() {
    let world = world();
    let text = "echo {} >>ran; test {} != a";
    let run = each(&world, "-j1 --retries 9 --shell", &[text, ":::", "a", "b", "c"]).start();
    let run = run.until("; again in");
    until("the others", || world.read("ran").ends_with(b"c\n"));
    // Attempts come further and further apart: the stop need not wait for one.
    run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM).expect_says("2 of 3");
}

#[test]
fn after_the_failure_that_ends_the_job_no_command_starts() {
    for (fail, wanted) in [(1, "1\n2\n"), (2, "1\n2\n3\n4\n")] {
        for _ in 0..5 {
            let world = world();
            let text = "echo {}; case {} in 2|4) false;; esac";
            let items = [":::", "1", "2", "3", "4", "5", "6"];
            let options = format!("-j1 -k --halt soon,fail={fail} --shell");
            let ended = each(&world, &options, &[text]).words(&items).run();
            ended.expect_code(4).expect_stdout(wanted.as_bytes());
        }
    }
}
