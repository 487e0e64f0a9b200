//! When is a command done? Only if it ended well, was not told to end, and took all of its input or closed it
//! itself. Every other end around a stop is an interruption: the chunk runs again.

use super::{
    HALF_WAY, HELD_TR, TR, abort, children_in, chunks, expect_bytes, expect_nobody_left, half_way, met_after,
    open_all, pipe, resumes_tr, until, world,
};
use crate::data;
use crate::harness::{Bivouac, World};
use crate::running::Running;
use nix::sys::signal::Signal::{self, SIGTERM};
use nix::sys::signal::{kill, killpg};
use nix::unistd::Pid;
use std::time::{Duration, Instant};

/// Ends with 0 when it is told to end, and has printed a line of its chunk by then, behind which it is held.
const POLITE: [&str; 3] = [
    "bash",
    "-c",
    "trap 'exit 0' TERM; IFS= read -r line; printf '%s\\n' \"$line\"; \
     : >begun; until [ -e go ]; do sleep 0.02; done; cat",
];

/// The same, with its whole input read: nothing tells but that Python may have had a handler.
const POLITE_PYTHON: &str = "import os, signal, sys, time
signal.signal(15, lambda *_: sys.exit(0))
all = sys.stdin.buffer.read()
sys.stdout.buffer.write(all[:10])
sys.stdout.flush()
open('begun', 'w')
while not os.path.exists('go'):
    time.sleep(0.02)
sys.stdout.buffer.write(all[10:])
";

/// A job of chunks that are larger than a pipe holds. Its commands say that they have begun by a file, and
/// are at work until there is a file `go`, however slow or fast the machine is.
fn held_whole<'w>(world: &'w World, options: &str, command: &[&str]) -> Running<'w> {
    let run = held_line(world, options, command).start();
    until("a command to begin", || world.exists("begun"));
    run
}

fn held_line<'w>(world: &'w World, options: &str, command: &[&str]) -> Bivouac<'w> {
    pipe(world, &format!("big.txt -o out --checkpoint-every 20ms --jobs 2 --block 4MiB {options}"), command)
}

/// Goes on, and nobody is held any more.
fn released(world: &World, command: &[&str], reference: &str) {
    assert!(!world.exists("out"), "the output was published too early");
    world.write("go", "");
    held_line(world, "", command).run().expect_code(0);
    expect_bytes(world, &world.shell(reference));
    expect_nobody_left(world);
}

/// No state of the job says that the chunk is done, so it runs again.
#[test]
fn a_command_that_ends_well_because_it_was_told_to_has_not_done_its_chunk() {
    let world = world();
    abort(held_whole(&world, "", &POLITE)).wait().expect_stopped_by(SIGTERM);
    expect_nobody_left(&world);
    released(&world, &POLITE, "cat big.txt");
}

/// They hear nothing of the SIGTERM either. When they look for more input there is none, since the abort has
/// closed it; and they end well, with what they have got.
#[test]
fn a_filter_that_hears_nothing_but_the_end_of_its_input_has_not_done_its_chunk() {
    for (filter, reference) in [
        ("tr a-z A-Z", "tr a-z A-Z <big.txt"),
        ("tee -i --output-error=exit /dev/null", "cat big.txt"),
        ("cat", "cat big.txt"),
    ] {
        let world = world();
        let text = format!("trap '' TERM; : >begun; until [ -e go ]; do sleep 0.02; done; exec {filter}");
        let command = ["sh", "-c", &text];
        let run = abort(held_whole(&world, "--kill-after 60s", &command));
        world.write("go", "");
        run.wait().expect_stopped_by(SIGTERM);
        expect_nobody_left(&world);
        released(&world, &command, reference);
    }
}

/// Signals the commands, as a scheduler does that signals every process of a job.
fn tell_commands(world: &World, signal: Signal) {
    for child in children_in(world) {
        // It may have ended since.
        kill(Pid::from_raw(child.pid), signal).ok();
    }
}

/// How long the program waits for a stop before a failure counts, and a little less.
const HELD_FOR: Duration = Duration::from_millis(450);

/// Whether the commands and then the job heard of it in time. On a busy machine they may not, and then a failure
/// is what it is.
fn told_by_a_scheduler(options: &str, apart: Duration) -> bool {
    let world = world();
    let run = met_after(&world, HALF_WAY, options, &HELD_TR);
    let begun = Instant::now();
    tell_commands(&world, SIGTERM);
    let run = run.let_pass(apart);
    let told = run.try_signal(SIGTERM);
    if begun.elapsed() > HELD_FOR {
        return false;
    }
    assert!(told, "the job ended: {}", run.wait().stderr);
    let run = run.until("phase stopping");
    // Those that came in the place of the others.
    open_all(&world);
    let ended = run.wait().expect_stopped_by(SIGTERM);
    drop(ended.expect_says_not("ended by SIGTERM").expect_says_not("failed"));
    expect_nobody_left(&world);
    resumes_tr(&world);
    true
}

#[test]
fn commands_that_a_scheduler_ends_together_with_the_job_are_interrupted_and_not_failed() {
    for apart in [0, 100, 300].map(Duration::from_millis) {
        for options in ["", "--keep-going"] {
            let in_time = (0..20).any(|_| told_by_a_scheduler(options, apart));
            assert!(in_time, "the machine never gets to it within {HELD_FOR:?}");
        }
    }
}

/// The rate limit is waited for before a command gets its input: behind it, there would be nothing left to do
/// but to be thrown away.
#[test]
fn a_command_that_has_ended_well_under_a_rate_limit_does_not_run_again() {
    let world = world();
    world.write("big.txt", data::text(4, 1 << 20));
    let command = ["sh", "-c", "cat; echo $$ >> ends"];
    let limit =
        "big.txt -o out --block 64KiB --jobs 4 --grace 0s --checkpoint-every 20ms --limit-rate 300KiB";
    let run = pipe(&world, limit, &command).start();
    let ends = |world: &World| world.read("ends").iter().filter(|byte| **byte == b'\n').count();
    until("some to end", || world.exists("ends") && ends(&world) >= 4);
    let before = ends(&world);
    // To write that line is the last that a command does.
    run.let_pass(Duration::from_millis(100)).signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    let status = world.bivouac("status out.bivouac --json").run().expect_code(0);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    let tasks = |name: &str| status["tasks"][name].as_u64().unwrap() as usize;
    let kept = tasks("done") + tasks("beyond");
    assert!(kept >= before, "{kept} of {before} that had ended are kept: {status}");
    pipe(&world, "big.txt -o out", &command).run().expect_code(0);
    expect_bytes(&world, &world.read("big.txt"));
}

/// A scheduler signals those that it sees, and what a command has started a moment later it does not see.
#[test]
fn what_a_command_that_a_scheduler_ends_has_started_does_not_outlive_the_job() {
    let world = world();
    let family = [
        "bash",
        "-c",
        "setsid sleep 1000 >/dev/null 2>&1 & until [ -e go ]; do sleep 0.02; done; cat; kill $!",
    ];
    let run = held_line(&world, "", &family).start();
    let is_descendant = |line: &str| line.starts_with("sleep 1000");
    until("two descendants", || {
        children_in(&world).iter().filter(|child| is_descendant(&child.line)).count() == 2
    });
    for child in children_in(&world).iter().filter(|child| !is_descendant(&child.line)) {
        kill(Pid::from_raw(child.pid), SIGTERM).ok();
    }
    let run = run.signal(SIGTERM).until("phase stopping");
    world.write("go", "");
    run.wait().expect_stopped_by(SIGTERM);
    expect_nobody_left(&world);
    released(&world, &family, "cat big.txt");
}

#[test]
fn a_signal_to_the_whole_group_of_the_job_is_one_stop() {
    let world = world();
    let run = half_way(&world, &HELD_TR);
    tell_commands(&world, SIGTERM);
    killpg(run.pid(), SIGTERM).unwrap();
    let run = run.until("phase stopping");
    open_all(&world);
    run.wait().expect_stopped_by(SIGTERM);
    resumes_tr(&world);
}

/// The scheduler signals the commands too, and they make a 0 of it: all that tells is the input that they
/// have not read, or a handler. Whichever hears of it first, nothing is lost.
#[test]
fn commands_that_make_a_0_of_the_signal_of_a_scheduler_are_interrupted() {
    let python = ["python3", "polite.py"];
    for (job_first, polite) in [(true, &POLITE[..]), (false, &POLITE), (true, &python), (false, &python)] {
        let world = world();
        world.write("polite.py", POLITE_PYTHON);
        let run = held_whole(&world, "", polite);
        if job_first {
            killpg(run.pid(), SIGTERM).unwrap();
        }
        tell_commands(&world, SIGTERM);
        if !job_first {
            killpg(run.pid(), SIGTERM).unwrap();
        }
        run.wait().expect_stopped_by(SIGTERM);
        expect_nobody_left(&world);
        released(&world, polite, "cat big.txt");
    }
}

/// Input that is left unread means nothing as long as no stop comes.
#[test]
fn a_command_that_wants_only_the_beginning_of_its_input_is_done() {
    let world = world();
    let first_lines: Vec<u8> = chunks(data::large_text(), 1 << 20)
        .iter()
        .flat_map(|chunk| chunk.split_inclusive(|byte| *byte == b'\n').take(1).flatten().copied())
        .collect();
    pipe(&world, "big.txt -o out --block 1MiB", &["head", "-1"]).run().expect_code(0);
    expect_bytes(&world, &first_lines);
}

/// But if no stop comes, a command that somebody has ended has failed.
#[test]
fn a_command_that_somebody_ends_has_failed() {
    let world = world();
    let lasting = ["bash", "-c", ": >begun; tr a-z A-Z; until [ -e go ]; do sleep 0.02; done"];
    let run = held_whole(&world, "", &lasting);
    tell_commands(&world, SIGTERM);
    run.wait().expect_code(4).expect_says("ended by SIGTERM");
    expect_nobody_left(&world);
    released(&world, &lasting, "tr a-z A-Z < big.txt");
}

/// With `--stop-children at-once` a command may save its own work: it is told at once, and when it then
/// ends well, its chunk is done.
#[test]
fn a_command_that_saves_its_own_work_is_told_at_once() {
    let world = world();
    // Reads all of its chunk, and works until it is told.
    let saving = ["bash", "-c", "trap 'echo saved; exit 0' TERM; wc -c; while :; do sleep 0.02; done"];
    let options = "big.txt -o out --jobs 2 --block 1MiB --checkpoint-every 20ms --stop-children at-once";
    let run = pipe(&world, &format!("{options} --verbose --grace 20s"), &saving);
    let run = run.start().until("ready");
    until("both to be at work", || {
        children_in(&world).iter().filter(|child| child.line.starts_with("sleep")).count() >= 2
    });
    let ended = run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    let done = ended.last_checkpoint();
    assert!(done >= 1, "what was saved does not count");
    expect_nobody_left(&world);
    let part = String::from_utf8(world.read("out.part")).unwrap();
    let wanted: String = chunks(data::large_text(), 1 << 20)[..usize::try_from(done).unwrap()]
        .iter()
        .map(|chunk| format!("{}\nsaved\n", chunk.len()))
        .collect();
    assert_eq!(part, wanted);
}

/// One that saves nothing dies of the signal, and is done again.
#[test]
fn a_command_that_is_told_at_once_and_dies_of_it_is_interrupted() {
    let world = world();
    let lasting = ["sh", "-c", ": >begun; until [ -e go ]; do sleep 0.02; done; exec tr a-z A-Z"];
    // It ends by the signal that is passed on to it, and not at the end of the grace.
    let options = "--stop-children at-once --grace 60s";
    held_whole(&world, options, &lasting).signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    expect_nobody_left(&world);
    released(&world, &lasting, "tr a-z A-Z < big.txt");
}

/// A stop that comes when all of it is done already changes nothing.
#[test]
fn a_run_that_was_complete_does_nothing_again() {
    let world = world();
    let again = |world| pipe(world, "big.txt -o out --block 256KiB", &TR);
    again(&world).run().expect_code(0);
    let before = world.contents(".");
    again(&world).run().expect_code(0).expect_says("already finished");
    expect_bytes(&world, &world.shell("tr a-z A-Z <big.txt"));
    assert_eq!(before.len(), world.contents(".").len());
    // A command that is not there any more is not looked for.
    expect_nobody_left(&world);
}
