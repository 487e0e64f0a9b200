//! Failures that count at once, and those that wait: a scheduler signals the commands first, and then the job.

use super::each;
use crate::harness::World;
use crate::pipe::until;
use nix::sys::signal::Signal::{self, SIGTERM};
use nix::sys::signal::kill;
use nix::unistd::Pid;
use std::time::Duration;

/// A command that is at work until there is a file `go`, and says so by a file with its number.
fn lasting(world: &World) {
    let text = "#!/bin/sh\necho $$ >number; mv number begun; until [ -e go ]; do sleep 0.02; done\n";
    world.write("lasting", text);
    world.shell("chmod +x lasting");
}

fn failed(world: &World) -> u64 {
    let status = world.bivouac("status --json").run().expect_code(0);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    status["tasks"]["failed"].as_u64().unwrap()
}

/// The stop comes as soon as the next command runs: a failure that waits would be an interruption.
#[test]
fn a_failure_that_cannot_come_from_a_signal_counts_at_once() {
    for command in [&["false"][..], &["grep", "-q", "x", "/dev/null"], &["test", "1", "=", "2"]] {
        let world = World::new();
        lasting(&world);
        let items = [":::", command[0], "./lasting"];
        let run = each(&world, "-j1 --grace 0s {}", &command[1..]).words(&items).start();
        until("the next command to begin", || world.exists("begun"));
        run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
        assert_eq!(failed(&world), 1, "{command:?}");
    }
}

/// The child hears the signal first, then the command, then the job: the command has ended with a code
/// meanwhile, because its child was ended. `find` itself has no handler for anything.
#[test]
fn a_command_whose_child_is_ended_before_the_job_is_interrupted() {
    let world = World::new();
    lasting(&world);
    let command = ["find", ".", "-maxdepth", "0", "-exec", "./lasting", "{}", "+"];
    let line = || each(&world, "-j1", &command).words(&[":::", "{}"]);
    let run = line().start();
    until("the child to begin", || world.exists("begun"));
    let child: i32 = String::from_utf8(world.read("begun")).unwrap().trim().parse().unwrap();
    kill(Pid::from_raw(child), Signal::SIGTERM).unwrap();
    let ended = run.let_pass(Duration::from_millis(100)).signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    drop(ended.expect_says_not("failed"));
    assert_eq!(failed(&world), 0);
    world.write("go", "");
    line().run().expect_code(0);
}

/// Python takes back its handlers at its end: the kernel does not tell then that there was one.
#[test]
fn a_command_that_makes_a_failure_of_the_signal_is_interrupted() {
    let python = "import os, signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(1))\n\
                  open('number', 'w').write(str(os.getpid()))\nos.rename('number', 'begun')\n\
                  while not os.path.exists('go'): signal.sigtimedwait([], 0.02)";
    let shell = "trap 'exit 1' TERM; echo $$ >number; mv number begun; until [ -e go ]; do sleep 0.02; done";
    for command in [&["python3", "told.py"][..], &["sh", "-c", shell]] {
        let world = World::new();
        world.write("told.py", python);
        let line = || each(&world, "-j1", command).words(&[":::", "a"]);
        let run = line().start();
        until("the command to begin", || world.exists("begun"));
        let pid: i32 = String::from_utf8(world.read("begun")).unwrap().trim().parse().unwrap();
        kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap();
        let ended =
            run.let_pass(Duration::from_millis(100)).signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
        drop(ended.expect_says_not("failed"));
        assert_eq!(failed(&world), 0, "{command:?}");
        world.write("go", "");
        line().run().expect_code(0);
    }
}
