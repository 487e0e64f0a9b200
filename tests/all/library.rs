//! The library in another program's process: a run gives back what it borrows, and a second run works.
//!
//! Signals and dispositions belong to the whole process, so each of these is a process of its own: the
//! test binary, started once more to run just this test (see `stubborn`).

use crate::harness::World;
use bivouac::ending::StoppedBy;
use bivouac::signals::Masked;
use bivouac::sink::FileSink;
use bivouac::{
    Context, Ending, Job, ListContext, Listed, Listing, Location, Policy, Result, Run, Source, TaskError,
};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::ops::Range;

const ROLE: &str = "BIVOUAC_TEST_ROLE";

/// Sends a signal to its own process, and then works until it is cancelled or `limit` is reached.
struct Signalling(Option<Signal>);

impl Job for Signalling {
    type Task = u64;
    type Partial = ();
    type Total = ();

    fn name(&self) -> &str {
        "signalling"
    }

    fn fingerprint(&self) -> Value {
        Value::Null
    }

    fn run(&self, task: u64, cx: &Context<'_>) -> std::result::Result<(), TaskError> {
        if let (0, Some(signal)) = (task, self.0) {
            kill(Pid::this(), signal).unwrap();
        }
        cx.advance(1)
    }

    fn fold(&self, (): &mut (), (): (), _out: &mut Vec<u8>) {}
}

/// The numbers from 0 to this one.
struct Numbers(u64);

struct Left(Range<u64>);

impl Source for Numbers {
    type Task = u64;
    type Listing = Left;

    fn begin(&self) -> Result<Left> {
        Ok(Left(0..self.0))
    }

    fn resume(&self, _: &Value, frontier: u64) -> Result<Left> {
        Ok(Left(frontier..self.0))
    }
}

impl Listing for Left {
    type Task = u64;

    fn described(&self) -> Result<Value> {
        Ok(Value::Null)
    }

    fn next(&mut self, _: &ListContext<'_>) -> Result<Option<Listed<u64>>> {
        Ok(self.0.next().map(|task| Listed { task, bytes: 1, mark: None }))
    }
}

/// Which signals have a handler, are ignored, and are blocked in this thread, as the kernel says.
fn signal_state() -> Vec<String> {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    status
        .lines()
        .filter(|l| ["SigBlk", "SigIgn", "SigCgt"].iter().any(|f| l.starts_with(f)))
        .map(str::to_string)
        .collect()
}

fn run_with_signals(signal: Option<Signal>, end: u64) -> Ending {
    let masked = Masked::block(Policy::default()).unwrap();
    Run::new(Signalling(signal), Numbers(end)).signals(masked).jobs(2).run()
}

fn play(role: &str) -> bool {
    std::env::var(ROLE).as_deref() == Ok(role)
}

fn in_a_process_of_its_own(role: &str) {
    let world = World::new();
    let ended = world.this_test_as_program(&format!("library::{role}"), (ROLE, role)).run().expect_code(0);
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(said.contains("1 passed"), "the copy ran another test than this one:\n{said}");
}

#[test]
fn two_runs_in_one_process_both_hear_and_give_back() {
    let role = "two_runs_in_one_process_both_hear_and_give_back";
    if !play(role) {
        return in_a_process_of_its_own(role);
    }
    let before = signal_state();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGTERM, Signal::SIGUSR2] {
        let ending = run_with_signals(Some(signal), u64::MAX);
        let Ending::Stopped { by, .. } = ending else { panic!("{signal}: {ending:?}") };
        let warned = signal == Signal::SIGUSR2;
        assert_eq!(by, if warned { StoppedBy::Warning(signal) } else { StoppedBy::Signal(signal) });
        assert_eq!(signal_state(), before, "after a run that {signal} stopped");
    }
    assert!(matches!(run_with_signals(None, 100), Ending::Finished { code: 0, .. }));
    assert_eq!(signal_state(), before);
}

#[test]
fn without_being_asked_a_run_touches_no_signal() {
    let role = "without_being_asked_a_run_touches_no_signal";
    if !play(role) {
        return in_a_process_of_its_own(role);
    }
    struct Looking;
    impl Job for Looking {
        type Task = u64;
        type Partial = Vec<String>;
        type Total = Vec<Vec<String>>;

        fn name(&self) -> &str {
            "looking"
        }

        fn fingerprint(&self) -> Value {
            Value::Null
        }

        fn run(&self, _: u64, _: &Context<'_>) -> std::result::Result<Vec<String>, TaskError> {
            Ok(signal_state())
        }

        fn fold(&self, seen: &mut Vec<Vec<String>>, one: Vec<String>, _out: &mut Vec<u8>) {
            seen.push(one);
        }

        fn verdict(&self, seen: &Vec<Vec<String>>) -> u8 {
            u8::from(seen.iter().any(|state| *state != signal_state()))
        }
    }
    let before = signal_state();
    let ending = Run::new(Looking, Numbers(50)).jobs(2).run();
    assert!(matches!(ending, Ending::Finished { code: 0, .. }), "a worker saw another state: {ending:?}");
    assert_eq!(signal_state(), before);
}

#[test]
fn what_was_blocked_before_stays_blocked_after() {
    let role = "what_was_blocked_before_stays_blocked_after";
    if !play(role) {
        return in_a_process_of_its_own(role);
    }
    let mut hangup = SigSet::empty();
    hangup.add(Signal::SIGHUP);
    hangup.thread_block().unwrap();
    let before = signal_state();
    assert!(matches!(run_with_signals(None, 10), Ending::Finished { .. }));
    assert_eq!(signal_state(), before);
}

/// Says the number of its task.
struct Counting;

impl Job for Counting {
    type Task = u64;
    type Partial = ();
    type Total = ();

    fn name(&self) -> &str {
        "counting"
    }

    fn fingerprint(&self) -> Value {
        Value::Null
    }

    fn run(&self, task: u64, cx: &Context<'_>) -> std::result::Result<(), TaskError> {
        cx.emit(format!("{task}\n").into_bytes())
    }

    fn fold(&self, (): &mut (), (): (), _out: &mut Vec<u8>) {}
}

/// To see whether a finished job is still what it was, its list is gone through to the end. That it begins anew
/// is known only then, and must not mean that there is nothing left to do.
#[test]
fn a_finished_job_whose_output_was_deleted_is_done_again_from_its_first_task() {
    let world = World::new();
    let out = world.path("out");
    let run = || {
        let sink = FileSink::new(&out).unwrap();
        Run::new(Counting, Numbers(100)).sink(sink).state(Location::Directory(world.path("state"))).run()
    };
    let all: String = (0..100).map(|n| format!("{n}\n")).collect();
    for _ in 0..2 {
        assert!(matches!(run(), Ending::Finished { code: 0, already: false, .. }));
        assert_eq!(std::fs::read_to_string(&out).unwrap(), all);
        assert!(matches!(run(), Ending::Finished { code: 0, already: true, .. }));
        std::fs::remove_file(&out).unwrap();
    }
}
