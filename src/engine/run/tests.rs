//! The engine without a disk: order, back pressure, failures, requests.

use super::*;
use crate::ending::{BROKEN, Exit, FINISHED_WITH_FAILURES, StoppedBy};
use crate::error::{Error, Result};
use crate::task::observer::Activity;
use crate::task::{Committed, Context, ListContext, Listed, Listing, TaskError};
use crossbeam_channel::bounded;
use rayon::prelude::*;
use serde_json::{Value, json};
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

pub(in crate::engine) type Body =
    dyn Fn(u64, &Context<'_>) -> std::result::Result<u64, TaskError> + Send + Sync;

/// A job whose tasks are numbers and do what the test says; each emits its number, the total is the
/// sum of what they return.
pub(in crate::engine) struct Numbers(pub(in crate::engine) Box<Body>);

impl Job for Numbers {
    type Task = u64;
    type Partial = u64;
    type Total = u64;

    fn name(&self) -> &str {
        "numbers"
    }

    fn fingerprint(&self) -> Value {
        Value::Null
    }

    fn run(&self, task: u64, cx: &Context<'_>) -> std::result::Result<u64, TaskError> {
        cx.emit(format!("{task}\n").into_bytes())?;
        (self.0)(task, cx)
    }

    fn fold(&self, total: &mut u64, partial: u64, _out: &mut Vec<u8>) {
        *total += partial;
    }

    fn finish(&self, total: &mut u64, out: &mut Vec<u8>) {
        out.extend(format!("sum {total}\n").into_bytes());
    }
}

/// The numbers from 0 up to a bound.
pub(in crate::engine) struct Upto(pub(in crate::engine) u64);

pub(in crate::engine) struct Left(Range<u64>);

impl Source for Upto {
    type Task = u64;
    type Listing = Left;

    fn begin(&self) -> Result<Left> {
        Ok(Left(0..self.0))
    }

    fn resume(&self, described: &Value, frontier: u64) -> Result<Left> {
        if described["bound"] != self.0 {
            return Err(Error::refused("numbers", "another bound"));
        }
        Ok(Left(frontier..self.0))
    }
}

impl Listing for Left {
    type Task = u64;

    fn described(&self) -> Result<Value> {
        Ok(json!({ "bound": self.0.end }))
    }

    fn next(&mut self, _cx: &ListContext<'_>) -> Result<Option<Listed<u64>>> {
        Ok(self.0.next().map(|task| Listed { task, bytes: 1, mark: None }))
    }
}

/// Keeps what it is given, for the test to look at.
#[derive(Clone, Default)]
struct Collected(Arc<Mutex<Vec<u8>>>);

impl Sink for Collected {
    fn begin(&mut self, _committed: Option<&Committed>) -> Result<()> {
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.0.lock().unwrap().extend(bytes);
        Ok(())
    }

    fn make_durable(&mut self) -> Result<Committed> {
        Ok(Committed::default())
    }

    fn publish(&mut self) -> Result<()> {
        Ok(())
    }

    fn is_published(&mut self, _committed: &Committed) -> Result<bool> {
        Ok(false)
    }
}

impl Collected {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

pub(super) struct Stage {
    pub(super) run: Run<Numbers, Upto>,
    output: Collected,
}

pub(super) fn stage(
    tasks: u64,
    body: impl Fn(u64, &Context<'_>) -> std::result::Result<u64, TaskError> + Send + Sync + 'static,
) -> Stage {
    let output = Collected::default();
    let run = Run::new(Numbers(Box::new(body)), Upto(tasks)).jobs(2).sink(output.clone());
    Stage { run, output }
}

pub(in crate::engine) fn expected(tasks: u64) -> String {
    let mut text: String = (0..tasks).map(|n| format!("{n}\n")).collect();
    text += &format!("sum {}\n", (0..tasks).sum::<u64>());
    text
}

#[test]
fn output_comes_in_task_order_whatever_the_order_of_the_work() {
    // Deferrals tasks of each ten are quicker, so they overtake.
    let stage = stage(500, |n, _| {
        (0..(10 - n % 10) * 2000).for_each(|i| {
            std::hint::black_box(i);
        });
        Ok(n)
    });
    let ending = stage.run.run();
    assert!(matches!(ending, Ending::Finished { code: 0, already: false, .. }), "{ending:?}");
    assert_eq!(stage.output.text(), expected(500));
    assert_eq!(ending.summary().frontier, 500);
}

#[test]
fn a_job_without_tasks_is_finished() {
    let stage = stage(0, |n, _| Ok(n));
    assert_eq!(stage.run.run().exit(), Exit::Code(0));
    assert_eq!(stage.output.text(), "sum 0\n");
}

#[test]
fn a_slow_task_at_the_frontier_keeps_nobody_waiting() {
    let (finish, wait) = bounded::<()>(1);
    let others = AtomicU64::new(0);
    let stage = stage(20_000, move |n, _| {
        // Rayon inside the task: its waits steal other tasks, which is where a worker that waits
        // for its turn would wait for what lies beneath it on its own stack.
        let sum: u64 = (0..64u64).into_par_iter().map(|i| i & 1).sum();
        assert_eq!(sum, 32);
        if n == 0 {
            wait.recv_timeout(Duration::from_secs(60)).unwrap();
        } else if others.fetch_add(1, Ordering::Relaxed) + 2 == 20_000 {
            finish.send(()).unwrap();
        }
        Ok(n)
    });
    let ending = stage.run.run();
    assert_eq!(ending.exit(), Exit::Code(0), "{ending:?}");
    assert_eq!(stage.output.text(), expected(20_000));
}

/// Sends the warnings that it is told to a channel.
struct Warned(Sender<String>);

impl Observer for Warned {
    fn notice(&mut self, notice: &Notice) {
        if let Notice::Warning(error) = notice {
            self.0.send(error.to_string()).unwrap_or_default();
        }
    }
}

#[test]
fn only_a_full_disk_share_makes_the_others_wait_and_that_is_said() {
    let place = tempfile::tempdir().unwrap();
    let (finish, wait) = bounded::<()>(1);
    let (tell, told) = unbounded();
    let others = Arc::new(AtomicU64::new(0));
    let ended = Arc::clone(&others);
    let Stage { run, output } = stage(100_000, move |n, _| {
        match n {
            0 => wait.recv_timeout(Duration::from_secs(60)).unwrap(),
            _ => drop(ended.fetch_add(1, Ordering::SeqCst)),
        }
        Ok(n)
    });
    let run = run
        .state(Location::Directory(place.path().join("s")))
        .checkpoint_every(Duration::from_millis(1))
        .spill_limit(Some(1))
        .observer(Warned(tell));
    let asker = std::thread::spawn(move || {
        let warning = told.recv_timeout(Duration::from_secs(60)).unwrap();
        assert!(warning.contains("task 1: is slow") && warning.contains("`Run::spill_limit`"), "{warning}");
        finish.send(()).unwrap();
    });
    let ending = run.run();
    asker.join().unwrap();
    assert_eq!(ending.exit(), Exit::Code(0), "{ending:?}");
    assert_eq!(output.text(), expected(100_000));
}

#[test]
fn a_panic_is_the_failure_of_its_task() {
    let panics = |n: u64, _: &Context<'_>| if n == 7 { panic!("seven") } else { Ok(n) };
    let broken = stage(100, panics).run.run();
    assert_eq!(broken.exit(), Exit::Code(BROKEN));
    assert!(format!("{broken:?}").contains("panicked: seven"), "{broken:?}");

    let stage = stage(100, panics);
    let ending = stage.run.keep_going(true).run();
    assert_eq!(ending.exit(), Exit::Code(FINISHED_WITH_FAILURES));
    assert_eq!(ending.summary().failed, 1);
    assert!(!stage.output.text().contains("\n7\n"), "a failed task leaves no output");
}

#[test]
fn an_interrupted_task_leaves_nothing_in_the_output() {
    let (began, begins) = bounded::<()>(100);
    let Stage { run, output } = stage(100, move |n, cx| {
        if n < 3 {
            return Ok(n);
        }
        began.try_send(()).ok();
        loop {
            cx.advance(0)?;
            std::thread::yield_now();
        }
    });
    let handle = run.handle();
    let asker = std::thread::spawn(move || {
        begins.recv_timeout(Duration::from_secs(60)).unwrap();
        handle.abort();
    });
    let ending = run.run();
    asker.join().unwrap();
    assert!(matches!(ending, Ending::Stopped { by: StoppedBy::Handle, .. }), "{ending:?}");
    assert_eq!(output.text(), "0\n1\n2\n");
}

/// Sends what it is told to a channel.
struct Teller(Sender<Activity>);

impl Observer for Teller {
    fn progress(&mut self, now: &crate::task::observer::Progress) {
        self.0.send(now.phase).ok();
    }
}

#[test]
fn a_paused_job_stands_still_until_it_is_resumed() {
    let steps = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&steps);
    let Stage { run, output } = stage(4, move |n, cx| {
        while counted.fetch_add(1, Ordering::SeqCst) < 1_000_000 {
            cx.yield_point()?;
        }
        Ok(n)
    });
    let (tell, told) = unbounded();
    let handle = run.handle();
    let until = move |wanted: Activity| {
        let deadline = Instant::now() + Duration::from_secs(60);
        while told.recv_deadline(deadline).unwrap() != wanted {}
    };
    let asker = std::thread::spawn(move || {
        until(Activity::Running);
        handle.pause();
        until(Activity::Paused);
        let before = steps.load(Ordering::SeqCst);
        until(Activity::Paused); // a whole tick later
        assert_eq!(steps.load(Ordering::SeqCst), before, "something moved in a paused job");
        handle.resume();
    });
    let ending = run.observer(Teller(tell)).run();
    asker.join().unwrap();
    assert_eq!(ending.exit(), Exit::Code(0), "{ending:?}");
    assert_eq!(output.text(), expected(4));
}
