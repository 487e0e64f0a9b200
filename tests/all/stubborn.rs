//! A program that cannot be stopped, for the last rung of the escalation.
//!
//! The built-in jobs give up when they are asked to, so none of them shows what happens to one that
//! does not. Here the test binary starts itself once more, to run a job of its own on the library: its
//! task never looks up, or its observer never returns, which holds the supervisor.

use crate::harness::World;
use crate::running::Running;
use bivouac::signals::Masked;
use bivouac::{
    Context, Job, ListContext, Listed, Listing, Notice, Observer, Policy, Progress, Result, Run, Source,
    TaskError,
};
use serde_json::Value;
use std::time::{Duration, Instant};

/// Set for the copy of the test binary that is the program.
const ROLE: &str = "BIVOUAC_TEST_ROLE";

/// Longer than any test waits; the copy ends in any case.
const FOR_EVER: Duration = Duration::from_secs(120);

pub(crate) fn start(world: &World) -> Running<'_> {
    world.this_test_as_program("stubborn::a_task_that_does_not_look_up", (ROLE, "task")).start()
}

pub(crate) fn start_stuck(world: &World) -> Running<'_> {
    world.this_test_as_program("stubborn::an_observer_that_does_not_return", (ROLE, "observer")).start()
}

struct Deaf;

impl Job for Deaf {
    type Task = ();
    type Partial = ();
    type Total = ();

    fn name(&self) -> &str {
        "deaf"
    }

    fn fingerprint(&self) -> Value {
        Value::Null
    }

    fn run(&self, (): (), _: &Context<'_>) -> std::result::Result<(), TaskError> {
        say("at work");
        let end = Instant::now() + FOR_EVER;
        while Instant::now() < end {
            std::thread::park_timeout(FOR_EVER);
        }
        Ok(())
    }

    fn fold(&self, (): &mut (), (): (), _out: &mut Vec<u8>) {}
}

/// One task.
struct One;

/// Whether it is left to be listed.
struct Left(bool);

impl Source for One {
    type Task = ();
    type Listing = Left;

    fn begin(&self) -> Result<Left> {
        Ok(Left(true))
    }

    fn resume(&self, _: &Value, frontier: u64) -> Result<Left> {
        Ok(Left(frontier == 0))
    }
}

impl Listing for Left {
    type Task = ();

    fn described(&self) -> Result<Value> {
        Ok(Value::Null)
    }

    fn next(&mut self, _: &ListContext<'_>) -> Result<Option<Listed<()>>> {
        Ok(std::mem::take(&mut self.0).then_some(Listed { task: (), bytes: 0, mark: None }))
    }
}

struct Teller {
    stuck: bool,
}

impl Observer for Teller {
    fn progress(&mut self, _: &Progress) {
        if self.stuck {
            say("stuck");
            std::thread::park_timeout(FOR_EVER);
        }
    }

    fn notice(&mut self, notice: &Notice) {
        if let Notice::Phase(activity) = notice {
            say(&format!("phase {activity}"));
        }
    }
}

fn say(text: &str) {
    use std::io::Write;
    std::io::stderr().write_all(format!("{text}\n").as_bytes()).unwrap();
}

fn be_the_program(role: &str) {
    if std::env::var(ROLE).as_deref() != Ok(role) {
        return; // An ordinary run of the tests: this one has nothing to say.
    }
    let masked = Masked::block(Policy::default()).unwrap();
    let ending = Run::new(Deaf, One)
        .signals(masked)
        .grace(None)
        .kill_after(Duration::from_secs(3600))
        .observer(Teller { stuck: role == "observer" })
        .run();
    panic!("it ended: {ending:?}");
}

#[test]
fn a_task_that_does_not_look_up() {
    be_the_program("task");
}

#[test]
fn an_observer_that_does_not_return() {
    be_the_program("observer");
}
