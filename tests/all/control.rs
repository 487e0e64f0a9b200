//! The control verbs: real jobs, real signals, and a second process that asks for things.

use crate::harness::{Bivouac, World};
use crate::jobs::{GREP, SLOW, braked};
use crate::running::{DEADLINE, Ended, Running};
use nix::sys::signal::Signal::{SIGCONT, SIGINT, SIGKILL, SIGSTOP, SIGTERM, SIGTSTP, SIGURG};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs::{self, File};
use std::process::{Child, Command};
use std::time::Instant;

/// One letter, as `ps` shows it.
fn kernel_state(pid: Pid) -> char {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat[stat.rfind(')').unwrap() + 2..].chars().next().unwrap()
}

fn status(world: &World, state: &str) -> Value {
    let ended = world.bivouac(&format!("status {state} --json")).run().expect_code(0);
    serde_json::from_slice(&ended.stdout).unwrap()
}

fn verb<'w>(world: &'w World, line: &str) -> Ended<'w> {
    world.bivouac(line).run()
}

fn started<'w>(job: &Bivouac<'w>) -> Running<'w> {
    job.start().until_checkpoint_at_least(1)
}

fn running(world: &World) -> Running<'_> {
    let run = started(&GREP.braked(world));
    // It says what it does about once a second; from the first time on, everything can be known.
    let end = Instant::now() + DEADLINE;
    while !world.exists("out.bivouac/status.json") {
        assert!(Instant::now() < end, "no status.json");
        std::thread::yield_now();
    }
    run
}

/// The rest of the job, as if nothing had happened.
fn finishes_right(world: &World) {
    GREP.command(world).run().expect_code(0);
    GREP.expect_right_output(world);
}

// While it runs.

#[test]
fn pause_waits_until_the_job_stands_still_and_resume_until_it_goes_on() {
    let world = GREP.world();
    let run = running(&world);
    verb(&world, "pause").expect_code(0).expect_says("paused; ").expect_says_not("suspended");
    assert_ne!(kernel_state(run.pid()), 'T', "it would not be in the foreground any more");
    assert_eq!(status(&world, "")["phase"], "paused");
    verb(&world, "pause").expect_code(0).expect_says("paused already");
    verb(&world, "resume").expect_code(0).expect_says("goes on");
    assert_eq!(status(&world, "")["phase"], "running");
    verb(&world, "resume").expect_code(0).expect_says("running already");
    run.until("SIGURG (from pid").until_further_checkpoint().let_go().wait().expect_code(0);
    GREP.expect_right_output(&world);
}

/// Where no signal means `pause`, a suspension must do, and that is said.
#[test]
fn a_job_that_cannot_be_paused_is_suspended() {
    let world = GREP.world();
    let run = started(&GREP.braked(&world).with("--on URG=status"));
    verb(&world, "pause").expect_code(0).expect_says("no signal means `pause`").expect_says("suspended; ");
    assert_eq!(kernel_state(run.pid()), 'T', "pause returned before it had happened");
    let run = run.until_suspended_by(SIGTSTP);
    assert_eq!(status(&world, "")["phase"], "suspended");
    verb(&world, "pause").expect_code(0).expect_says("suspended already");
    verb(&world, "resume").expect_code(0).expect_says("goes on");
    assert_ne!(kernel_state(run.pid()), 'T');
    assert_eq!(status(&world, "")["phase"], "running");
    verb(&world, "resume").expect_code(0).expect_says("running already");
    run.until_continued().until_further_checkpoint().let_go().wait().expect_code(0);
    GREP.expect_right_output(&world);
}

#[test]
fn a_signal_that_means_pause_is_preferred_to_one_that_suspends() {
    let world = GREP.world();
    let run = started(&GREP.braked(&world).with("--on URG=pause --on IO=resume --on CONT=status"));
    verb(&world, "pause").expect_code(0).expect_says("paused");
    assert_ne!(kernel_state(run.pid()), 'T');
    assert_eq!(status(&world, "")["phase"], "paused");
    verb(&world, "checkpoint").expect_code(0);
    assert_eq!(status(&world, "")["phase"], "paused", "a checkpoint does not resume");
    // Stopped from outside on top of that: both have to go.
    let run = run.signal(SIGSTOP).until_suspended_by(SIGSTOP);
    verb(&world, "resume").expect_code(0).expect_says("goes on");
    let run = run.until("SIGURG").until("SIGIO").until("phase running");
    run.let_go().wait().expect_code(0);
    GREP.expect_right_output(&world);
}

#[test]
fn a_job_that_no_shell_would_continue_is_paused_and_resumed_all_the_same() {
    let world = GREP.world();
    // `setsid` makes it the leader of a session: its group has no parent in the session, so the
    // kernel does not suspend it.
    let run = started(&GREP.braked(&world).under("setsid"));
    verb(&world, "pause").expect_code(0).expect_says("paused; ");
    assert_ne!(kernel_state(run.pid()), 'T');
    assert_eq!(status(&world, "")["phase"], "paused");
    verb(&world, "resume").expect_code(0);
    run.let_go().wait().expect_code(0);
    GREP.expect_right_output(&world);
}

#[test]
fn checkpoint_waits_until_a_later_one_is_durable() {
    let world = GREP.world();
    // One that takes no checkpoint unless it is asked.
    let run = GREP.command(&world).with("--limit-rate 192KiB --checkpoint-every 1h --jobs 2").start();
    let run = run.until("ready");
    for asked in 1..=3 {
        let before = record(&world)["frontier"].as_u64().unwrap();
        let mut done = before;
        while done <= before {
            let now = status(&world, "");
            assert_eq!(now["phase"], "running", "it was over too early: {now}");
            done = now["tasks"]["done"].as_u64().unwrap();
        }
        assert_eq!(
            record(&world)["frontier"].as_u64(),
            Some(before),
            "there is a checkpoint that nobody wanted"
        );
        verb(&world, "checkpoint").expect_code(0).expect_says("committed");
        assert!(record(&world)["frontier"].as_u64().unwrap() >= done, "it does not hold what was done");
        assert_eq!(status(&world, "")["checkpoints_asked"], asked);
    }
    run.signal(SIGKILL).wait().expect_killed_by(SIGKILL);
    finishes_right(&world);
}

fn record(world: &World) -> Value {
    serde_json::from_slice(&world.read("out.bivouac/checkpoint.json")).unwrap()
}

#[test]
fn a_suspended_job_writes_a_checkpoint_and_is_suspended_again() {
    let world = GREP.world();
    for by in [SIGTSTP, SIGSTOP] {
        let run = running(&world).signal(by).until_suspended_by(by);
        let said = verb(&world, "checkpoint").expect_code(0);
        said.expect_says("it is continued for this checkpoint").expect_says("suspended again");
        assert_eq!(kernel_state(run.pid()), 'T');
        let run = run.until_continued().until_suspended_by(SIGTSTP);
        verb(&world, "stop").expect_code(0);
        run.wait().expect_stopped_by(SIGTERM);
    }
    finishes_right(&world);
}

#[test]
fn stop_waits_for_the_end_and_says_how_to_go_on() {
    let world = GREP.world();
    let run = running(&world);
    let said = verb(&world, "stop").expect_code(0).expect_says("has ended").stderr;
    let ended = run.wait().expect_stopped_by(SIGTERM);
    let command = ended.advertised().unwrap();
    assert!(said.lines().any(|line| line.trim().ends_with(&command)), "{said}\n{command}");
    finishes_right(&world);
}

#[test]
fn stop_reaches_a_job_in_any_phase() {
    let world = GREP.world();
    let suspended = running(&world).signal(SIGTSTP).until_suspended_by(SIGTSTP);
    verb(&world, "stop").expect_code(0);
    suspended.wait().expect_stopped_by(SIGTERM);
    let paused = GREP.slow(&world).with("--on URG=pause").start().until("ready").signal(SIGURG);
    let paused = paused.until("phase paused");
    verb(&world, "stop").expect_code(0);
    paused.wait().expect_stopped_by(SIGTERM);
    finishes_right(&world);
}

#[test]
fn a_job_that_stops_is_not_asked_again_for_that_would_cancel_its_tasks() {
    let world = GREP.world();
    let slow = "--limit-rate 64KiB --checkpoint-every 20ms --jobs 2 --grace inf";
    let run = GREP.command(&world).with(slow).start().until_at_work().signal(SIGINT).until("phase stopping");
    verb(&world, "stop --timeout 300ms").expect_code(4).expect_says("not stopped").expect_says("stopping");
    verb(&world, "pause").expect_code(3).expect_says("stopping");
    assert_eq!(status(&world, "")["phase"], "stopping");
    run.signal(SIGKILL).wait().expect_killed_by(SIGKILL).expect_says_not("SIGTERM (");
    finishes_right(&world);
}

#[test]
fn a_job_that_was_started_in_the_background_of_a_script_is_stopped_by_sigterm() {
    let world = GREP.world();
    let job = GREP.slow(&world);
    for wrapper in ["env --ignore-signal=INT,QUIT", "nohup"] {
        let run = started(&job.clone().under(wrapper));
        verb(&world, "stop").expect_code(0);
        run.wait().expect_stopped_by(SIGTERM);
    }
    // And if SIGTERM is ignored too, by what is left.
    let run = started(&job.clone().under("env --ignore-signal=INT,TERM"));
    verb(&world, "stop").expect_code(0);
    run.wait().expect_says("stopped by SIGHUP");
    finishes_right(&world);
}

#[test]
fn a_request_that_was_mapped_away_or_is_ignored_is_refused_with_the_reason() {
    let world = GREP.world();
    let job = GREP.slow(&world).with("--on USR1=status --on TERM=ignore");
    let run = started(&job.under("env --ignore-signal=TSTP,URG"));
    verb(&world, "checkpoint").expect_code(3).expect_says("SIGUSR1 means `status` to it");
    verb(&world, "pause")
        .expect_code(3)
        .expect_says("SIGTSTP was ignored at its start")
        .expect_says("SIGURG was ignored");
    // Nothing was sent: the next thing that it hears is the signal that it can be stopped by.
    verb(&world, "stop").expect_code(0);
    let ended = run.wait().expect_stopped_by(SIGINT);
    ended.expect_says_not("SIGUSR1 (").expect_says_not("SIGTSTP (").expect_says_not("SIGTERM (");
    finishes_right(&world);
}

#[test]
fn what_does_not_come_in_time_is_code_4_and_a_verb_that_waits_can_be_interrupted() {
    let world = GREP.world();
    let slow = "--limit-rate 64KiB --checkpoint-every 20ms --jobs 2 --grace inf";
    let run = GREP.command(&world).with(slow).start().until_at_work();
    let said = verb(&world, "stop --timeout 300ms").expect_code(4);
    said.expect_says("not stopped after 300.0 ms").expect_says("--timeout");
    let waiting = world.bivouac("stop --timeout inf").start();
    // It handles no signal of its own, so it may be interrupted at any time.
    waiting.signal(SIGINT).wait().expect_killed_by(SIGINT);
    run.until("phase stopping").signal(SIGKILL).wait().expect_killed_by(SIGKILL);
    finishes_right(&world);
}

#[test]
fn two_hundred_looks_do_not_make_a_job_stumble() {
    let world = GREP.world();
    let mut run = running(&world);
    let mut phases = Vec::new();
    for look in 0..200 {
        if look == 100 {
            run = run.let_go();
        }
        let now = status(&world, "out.bivouac");
        phases.push(now["phase"].as_str().unwrap().to_string());
        if now["running"] == false {
            break;
        }
    }
    run.wait().expect_code(0);
    assert!(phases.len() > 20, "the job was over at once: {phases:?}");
    let known = ["running", "finishing", "finished"];
    assert!(phases.iter().all(|phase| known.contains(&phase.as_str())), "{phases:?}");
    GREP.expect_right_output(&world);
}

#[test]
fn a_look_at_the_moment_of_the_start_does_not_keep_a_job_from_starting() {
    let world = GREP.world();
    running(&world).signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    for _ in 0..5 {
        let lookers: Vec<_> = (0..4).map(|_| world.bivouac("status out.bivouac").start()).collect();
        let run = GREP.slow(&world).start().until("ready");
        lookers.into_iter().for_each(|looker| drop(looker.wait().expect_code(0)));
        run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    }
    finishes_right(&world);
}

// While it does not run.

#[test]
fn a_stopped_job_is_told_from_a_killed_one_and_both_from_a_finished_one() {
    let world = GREP.world();
    running(&world).signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    assert_eq!(status(&world, "")["phase"], "stopped");
    assert!(!world.exists("out.bivouac/status.json"), "an orderly end takes it away");
    running(&world).signal(SIGKILL).wait().expect_killed_by(SIGKILL);
    let crashed = status(&world, "");
    assert_eq!((crashed["phase"].as_str(), &crashed["running"]), (Some("crashed"), &Value::Bool(false)));
    assert_eq!(crashed["holder"], Value::Null);
    finishes_right(&world);
    let done = status(&world, "");
    assert_eq!((done["phase"].as_str(), done["exit_code"].as_u64()), (Some("finished"), Some(0)));
    assert_eq!(done["percent"], 100);
    verb(&world, "status").expect_code(0).expect_stdout_says("out.bivouac: finished\n");
}

#[test]
fn what_does_not_run_cannot_be_paused_and_the_refusal_says_how_to_continue_it() {
    let world = GREP.world();
    for by in [SIGTERM, SIGKILL] {
        let ended = running(&world).signal(by).wait().expect_killed_by(by);
        let line = "'[a-z]+_[0-9]+_[a-z]+' big.txt --output out";
        for name in ["pause", "resume", "checkpoint"] {
            let refused = verb(&world, name).expect_code(3).expect_says("is not running");
            refused.expect_says(line).expect_says("To continue, in /");
        }
        verb(&world, "stop").expect_code(0).expect_says("is not running").expect_says(line);
        drop(ended);
    }
    finishes_right(&world);
    for name in ["pause", "resume", "checkpoint"] {
        verb(&world, name).expect_code(3).expect_says("the job is finished");
    }
    verb(&world, "stop").expect_code(0).expect_says("the job is finished");
}

/// A refused run takes the lock and changes nothing: also not what is said about the job.
#[test]
fn the_command_that_continues_is_that_of_the_job_and_not_of_a_run_that_was_refused() {
    let world = GREP.world();
    running(&world).signal(SIGKILL).wait().expect_killed_by(SIGKILL);
    let before = status(&world, "");
    verb(&world, "count big.txt --output out").expect_code(3);
    let after = status(&world, "");
    assert_eq!(after["continue"], before["continue"]);
    assert_eq!(after["phase"], "crashed");
    // The command works as it is printed, wherever one is.
    let command = after["continue"]["command"].as_str().unwrap();
    let directory = after["continue"]["directory"].as_str().unwrap();
    world.shell(&format!("cd / && cd {directory} && {command} 2> said"));
    GREP.expect_right_output(&world);
}

#[test]
fn a_state_without_an_output_file_is_found_and_controlled_too() {
    let world = GREP.world();
    let job = world.bivouac("count big.txt").with(SLOW);
    let run = started(&job);
    assert_eq!(status(&world, "")["job"], "count");
    verb(&world, "stop").expect_code(0).expect_says("has ended");
    run.wait().expect_stopped_by(SIGTERM);
    let run = started(&braked(&world, "count big.txt"));
    verb(&world, "pause").expect_code(0);
    verb(&world, "resume").expect_code(0);
    run.let_go().wait().expect_code(0);
    verb(&world, "status").expect_code(2).expect_says("no job was started in");
}

#[test]
fn without_a_name_there_is_exactly_one_or_none_is_chosen() {
    let world = GREP.world();
    for name in ["status", "pause", "resume", "checkpoint", "stop"] {
        verb(&world, name).expect_code(2).expect_says("no job was started in");
        verb(&world, &format!("{name} big.txt")).expect_code(2).expect_says("big.txt");
        verb(&world, &format!("{name} nothing")).expect_code(2).expect_says("there is no such state");
    }
    // A directory that is named like one is none.
    world.write("empty", "");
    world.write("notes.bivouac/text", "");
    for name in ["count tree/d1/e1/file1.txt --output one", "count big.txt --output other"] {
        world.bivouac(name).run().expect_code(0);
    }
    for name in ["pause", "resume", "checkpoint", "stop"] {
        let refused = verb(&world, name).expect_code(2).expect_says("none of their jobs runs");
        drop(refused.expect_says("such as one.bivouac").expect_says_not("notes"));
    }
    // A verb that only looks takes the one that ran last.
    for last in ["other", "one"] {
        world.bivouac(&format!("count empty --output {last} --fresh")).run().expect_code(0);
        for name in ["status", "log"] {
            let seen = verb(&world, name).expect_code(0);
            drop(seen.expect_says(&format!(
                "{last}.bivouac: the job that ran last\n  `bivouac list` prints all 2"
            )));
        }
        assert_eq!(status(&world, "")["state"], format!("{last}.bivouac"));
    }
    GREP.command(&world).run().expect_code(0);
    GREP.expect_right_output(&world);
}

#[test]
fn without_a_name_the_only_one_that_runs_is_meant() {
    let world = GREP.world();
    world.bivouac("count tree/d1/e1/file1.txt --output other").run().expect_code(0);
    let run = running(&world);
    assert_eq!(status(&world, "")["state"], "out.bivouac");
    assert_eq!(status(&world, "other.bivouac")["phase"], "finished");
    let second = braked(&world, "count big.txt --output third").start().until_checkpoint_at_least(1);
    let refused = verb(&world, "stop").expect_code(2).expect_says("There are 2 jobs running here");
    drop(refused.expect_says("such as out.bivouac").expect_says_not("other"));
    second.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    verb(&world, "kill").expect_code(0).expect_says("out.bivouac: has ended at ");
    run.wait().expect_stopped_by(SIGTERM);
    finishes_right(&world);
}

#[test]
fn an_output_stands_for_its_state_and_so_does_the_process() {
    let world = GREP.world();
    let run = running(&world);
    let pid = run.pid().to_string();
    for name in ["out", "out.bivouac", &pid] {
        assert_eq!(status(&world, name)["state"], "out.bivouac", "{name}");
    }
    // From elsewhere, too.
    let ended = world.program_apart(&["sh", "-c", &format!("cd tree && bivouac status --json {pid}")]).run();
    let elsewhere: Value = serde_json::from_slice(&ended.expect_code(0).stdout).unwrap();
    assert_eq!(elsewhere["state"], world.path("out.bivouac").to_str().unwrap());
    verb(&world, "pause out").expect_code(0).expect_says("out.bivouac: paused");
    verb(&world, &format!("continue {pid}")).expect_code(0).expect_says("out.bivouac: goes on");
    verb(&world, &format!("pause {}", std::process::id())).expect_code(2).expect_says("runs no job");
    verb(&world, "pause 4000000000").expect_code(2).expect_says("there is no such process");
    verb(&world, "stop out").expect_code(0);
    run.wait().expect_stopped_by(SIGTERM);
    finishes_right(&world);
    verb(&world, "clean out").expect_code(0).expect_stdout(b"removed out.bivouac\n");
    assert!(world.exists("out"));
}

#[test]
fn list_has_a_row_for_each_job_here_and_below() {
    let world = GREP.world();
    verb(&world, "list").expect_code(0).expect_says("there are no jobs here");
    world.bivouac("count tree/d1/e1/file1.txt --output tree/d1/n").run().expect_code(0);
    world.bivouac("each true ::: a b").run().expect_code(0);
    let run = running(&world);
    let table = String::from_utf8(verb(&world, "ls").expect_code(0).stdout).unwrap();
    let rows: Vec<Vec<&str>> = table.lines().map(|row| row.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["STATE", "VERB", "SHARE", "PHASE", "PID", "AGE", "COMMAND"]);
    assert_eq!(rows.len(), 4, "{table}");
    let row = |state: &str| rows.iter().find(|row| row[0].starts_with(state)).unwrap();
    let pid = run.pid().to_string();
    assert_eq!((row("out")[1], row("out")[4], row("out")[5]), ("grep", "running", pid.as_str()), "{table}");
    assert_eq!(row("tree/d1/n")[1..6], ["count", "100", "%", "finished", "-"], "{table}");
    assert_eq!(row(".bivouac/")[1..6], ["each", "100", "%", "finished", "-"], "{table}");
    assert!(table.lines().any(|row| row.ends_with("bivouac each --verbose true ::: a b")), "{table}");
    let objects = verb(&world, "list --json").expect_code(0).stdout;
    let objects: Vec<Value> =
        String::from_utf8(objects).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(objects.iter().filter(|object| object["running"] == true).count(), 1);
    run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
}

#[test]
fn a_watch_on_a_pipe_has_a_line_for_each_change_and_ends_with_the_job() {
    let world = GREP.world();
    let run = running(&world);
    let watch = world.program(&["bivouac", "status", "--watch"]).start().until("out.bivouac: running, ");
    let objects = world.bivouac("status -w --json").start();
    verb(&world, "pause").expect_code(0);
    let watch = watch.until("out.bivouac: paused, ");
    verb(&world, "resume").expect_code(0);
    let watch = watch.until("out.bivouac: running, ");
    run.let_go().wait().expect_code(0);
    drop(watch.until("out.bivouac: finished, ").wait().expect_code(0));
    let objects = String::from_utf8(objects.wait().expect_code(0).stdout).unwrap();
    let last: Value = serde_json::from_str(objects.lines().last().unwrap()).unwrap();
    assert_eq!((&last["phase"], &last["percent"]), (&"finished".into(), &100.into()));
    assert!(objects.lines().count() >= 3, "{objects}");
    GREP.expect_right_output(&world);
}

#[test]
fn cleaning_takes_away_what_a_killed_job_said_of_itself() {
    let world = GREP.world();
    running(&world).signal(SIGKILL).wait().expect_killed_by(SIGKILL);
    assert!(world.exists("out.bivouac/status.json"));
    // What is said of a state that is kept can be typed.
    drop(verb(&world, "clean").expect_code(0).expect_says("or give it up: clean --force STATE"));
    verb(&world, "clean --force out.bivouac").expect_code(0);
    assert!(!world.exists("out.bivouac"));
}

// When the lock names somebody who cannot be meant.

/// A process of ours that must not get a signal.
struct Bystander(Child);

impl Bystander {
    fn new() -> Self {
        Self(Command::new("sleep").arg("600").spawn().unwrap())
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.0.id()).unwrap())
    }

    fn expect_unharmed(&mut self) {
        assert_eq!(self.0.try_wait().unwrap(), None, "it got a signal");
        let end = Instant::now() + DEADLINE;
        // On its way to sleep it runs; suspended it stays suspended.
        while kernel_state(self.pid()) == 'R' && Instant::now() < end {
            std::thread::yield_now();
        }
        assert_eq!(kernel_state(self.pid()), 'S');
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Changes fields of the lock file.
fn edit_lock(world: &World, change: impl Fn(&mut Value)) {
    let mut lock: Value = serde_json::from_slice(&world.read("out.bivouac/lock")).unwrap();
    change(&mut lock);
    world.write("out.bivouac/lock", lock.to_string());
}

#[test]
fn a_process_number_that_was_used_again_gets_no_signal() {
    let world = GREP.world();
    running(&world).signal(SIGKILL).wait().expect_killed_by(SIGKILL);
    let mut bystander = Bystander::new();
    edit_lock(&world, |lock| lock["pid"] = bystander.0.id().into());
    for name in ["pause", "resume", "checkpoint"] {
        verb(&world, name).expect_code(3).expect_says("is not running");
    }
    verb(&world, "stop").expect_code(0).expect_says("is not running");
    // And if somebody else holds the lock, so that the job seems to run.
    let lock = File::open(world.path("out.bivouac/lock")).unwrap();
    lock.lock().unwrap();
    for name in ["pause", "resume", "checkpoint"] {
        verb(&world, name).expect_code(3).expect_says("is not running");
    }
    verb(&world, "stop").expect_code(0).expect_says("is not running");
    assert_eq!(status(&world, "")["phase"], "crashed");
    // Nor does anybody get one if the lock says nothing at all.
    world.write("out.bivouac/lock", "");
    for name in ["pause", "resume", "checkpoint", "stop"] {
        verb(&world, name).expect_code(3).expect_says("does not name");
    }
    drop(lock);
    bystander.expect_unharmed();
    finishes_right(&world);
}

#[test]
fn a_job_that_runs_elsewhere_is_named_and_left_alone() {
    let world = GREP.world();
    running(&world).signal(SIGKILL).wait().expect_killed_by(SIGKILL);
    let mut bystander = Bystander::new();
    edit_lock(&world, |lock| lock["pid"] = bystander.0.id().into());
    let right = world.read("out.bivouac/lock");
    for (case, fields, part) in [
        ("another host", vec![("host", "far-away"), ("boot_id", "other")], "far-away"),
        ("another container", vec![("pid_namespace", "pid:[1]")], "pid:[1]"),
    ] {
        world.write("out.bivouac/lock", &right);
        edit_lock(&world, |lock| fields.iter().for_each(|(name, value)| lock[*name] = (*value).into()));
        let held = File::open(world.path("out.bivouac/lock")).unwrap();
        held.lock().unwrap();
        for name in ["pause", "resume", "checkpoint", "stop"] {
            verb(&world, name).expect_code(3).expect_says(part).expect_says("no signal reaches it");
        }
        assert_eq!(status(&world, "")["running"], true, "{case}");
    }
    bystander.expect_unharmed();
    // The boot has changed: nothing of it can live, whoever has its number.
    world.write("out.bivouac/lock", &right);
    edit_lock(&world, |lock| lock["boot_id"] = "before the power cut".into());
    assert_eq!(status(&world, "")["phase"], "crashed");
    finishes_right(&world);
}

#[test]
fn a_lock_of_an_older_version_is_understood() {
    let world = GREP.world();
    running(&world).signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    edit_lock(&world, |lock| {
        for newer in ["ticks", "pid_namespace", "continuing"] {
            lock.as_object_mut().unwrap().remove(newer).unwrap();
        }
    });
    let old = status(&world, "");
    assert_eq!((old["phase"].as_str(), &old["continue"]), (Some("stopped"), &Value::Null));
    finishes_right(&world);
}

#[test]
fn resume_also_continues_what_was_suspended_from_outside() {
    let world = GREP.world();
    let run = running(&world).signal(SIGSTOP).until_suspended_by(SIGSTOP);
    assert_eq!(status(&world, "")["phase"], "suspended");
    verb(&world, "resume").expect_code(0).expect_says("goes on");
    run.until_continued().until(&format!("{SIGCONT} (")).let_go().wait().expect_code(0);
    GREP.expect_right_output(&world);
}
