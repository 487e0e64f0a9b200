//! The Python module `bivouac._bivouac`: the engine of the crate `bivouac` under a map of a Python function.
//!
//! The obvious way is to call the function on the threads of the pool. Then only one runs at a time, because of
//! the GIL, and a C extension that holds the GIL for a minute holds all of them. So each function runs in a
//! process of its own, as with `multiprocessing`, and the threads of the pool only wait for replies. No thread of
//! a run holds the GIL, so a signal is answered at once, whatever Python does.
//!
//! | chapter | question |
//! |---|---|
//! | `bivouac/__init__.py` | what does a user write? |
//! | `bivouac/_zygote.py` | how does a worker process come into being, and what does it do with signals? |
//! | `src/zygote.rs` | how are workers started, stopped, continued, ended? |
//! | `src/job.rs` | which task is an item, and what happens when a worker dies? |

mod job;
mod zygote;

use bivouac::ending::{Exit, StoppedBy};
use bivouac::signals::{Masked, die_by};
use bivouac::sink::FileSink;
use bivouac::{Ending, Location, Policy, Run, Signal};
use job::{Call, Items, Report};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What a job is, as `__init__.py` says it.
#[derive(Debug, FromPyObject)]
struct Plan {
    name: String,
    version: String,
    digest: String,
    count: u64,
    out: PathBuf,
    state: PathBuf,
    jobs: usize,
    grace: Option<f64>,
    checkpoint_every: f64,
    keep_going: bool,
    fresh: bool,
    quiet: bool,
}

/// How a run ended: what became of it, exit code, signal, items that are committed, runs, failed, message.
type Ended = (&'static str, u8, Option<i32>, u64, u64, u64, String);

/// Runs the job on this thread, without the GIL, until it has ended.
#[pyfunction]
fn run(py: Python<'_>, plan: Plan, zygote: &zygote::Handle) -> PyResult<Ended> {
    let seconds =
        |time: f64| Duration::try_from_secs_f64(time).map_err(|e| PyValueError::new_err(e.to_string()));
    let grace = plan.grace.map(seconds).transpose()?;
    let checkpoint_every = seconds(plan.checkpoint_every)?;
    let workers = Arc::clone(&zygote.workers);
    let ending = py.detach(move || -> bivouac::Result<Ending> {
        let masked = Masked::block(Policy::default())?;
        let report = Report::new(Arc::clone(&workers), plan.count, plan.quiet);
        let items = Items { count: plan.count, digest: plan.digest };
        Ok(Run::new(Call::new(workers, plan.name, plan.version), items)
            .sink(FileSink::new(&plan.out)?)
            .state(Location::Directory(plan.state))
            .fresh(plan.fresh)
            .jobs(plan.jobs)
            .grace(grace)
            .checkpoint_every(checkpoint_every)
            .keep_going(plan.keep_going)
            .observer(report)
            .signals(masked)
            .run())
    });
    Ok(match ending {
        Ok(ending) => ended(&ending),
        Err(error) => {
            let (code, signal) = numbers(error.exit());
            ("failed", code, signal, 0, 0, 0, worded(&error))
        }
    })
}

fn ended(ending: &Ending) -> Ended {
    let (code, signal) = numbers(ending.exit());
    let (what, message) = match ending {
        Ending::Finished { already: true, .. } => ("already", String::new()),
        Ending::Finished { .. } => ("finished", String::new()),
        Ending::Stopped { by, .. } => ("stopped", stopped_by(by)),
        Ending::Failed { error, .. } => ("failed", worded(error)),
    };
    let summary = ending.summary();
    (what, code, signal, summary.frontier + summary.ahead, summary.runs, summary.failed, message)
}

/// The library says "task", and names its own methods in advice.
fn worded(error: &bivouac::Error) -> String {
    let text = error.to_string();
    text.strip_prefix("task ").map_or(text.clone(), |rest| format!("item {rest}"))
}

fn stopped_by(by: &StoppedBy) -> String {
    match by {
        StoppedBy::Signal(signal) | StoppedBy::Warning(signal) => signal.to_string(),
        StoppedBy::Budget => "the time budget".into(),
        StoppedBy::Handle => "the program".into(),
        StoppedBy::Enough { .. } => "a condition of the program".into(),
    }
}

fn numbers(exit: Exit) -> (u8, Option<i32>) {
    match exit {
        Exit::Code(code) => (code, None),
        Exit::Signal(signal) => (128 + signal as u8, Some(signal as i32)),
    }
}

/// Ends the process by this signal, so that its parent sees why. Output that Python still buffers is lost: flush first.
#[pyfunction]
fn die(signal: i32) -> PyResult<()> {
    let signal = Signal::try_from(signal).map_err(|e| PyValueError::new_err(e.to_string()))?;
    die_by(signal)
}

/// The signals that a run handles: to be blocked before the first process is forked.
#[pyfunction]
fn handled() -> Vec<i32> {
    Policy::default().signals().map(|signal| signal as i32).collect()
}

#[pymodule]
fn _bivouac(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<zygote::Handle>()?;
    module.add_function(wrap_pyfunction!(run, module)?)?;
    module.add_function(wrap_pyfunction!(die, module)?)?;
    module.add_function(wrap_pyfunction!(handled, module)?)
}
