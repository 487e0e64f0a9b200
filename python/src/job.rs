//! A map of a Python function as a job: a task is an item, and its output is what the function returns.

use crate::zygote::{Reply, Workers};
use bivouac::{
    Activity, Context, Error, Extent, Job, ListContext, Listed, Listing, Notice, Observer, Presumed,
    Progress, Result, Source, TaskError,
};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{Write, stderr};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A worker has died: this long the job waits for a stop, which would be the reason. Whoever ends a job by a signal
/// to all of its processes ends the workers a little earlier.
const HELD: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(crate) struct Call {
    workers: Arc<Workers>,
    name: String,
    version: String,
    /// Why tasks failed whose verdict is held, by their number.
    held: Mutex<HashMap<u64, String>>,
}

impl Call {
    pub(crate) fn new(workers: Arc<Workers>, name: String, version: String) -> Self {
        Self { workers, name, version, held: Mutex::default() }
    }

    fn held(&self) -> std::sync::MutexGuard<'_, HashMap<u64, String>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn broken(cause: std::io::Error) -> TaskError {
    Error::broken("the worker processes", cause).advise("run the program again; it continues").into()
}

impl Job for Call {
    type Task = u64;
    type Partial = ();
    type Total = ();

    fn name(&self) -> &str {
        "python"
    }

    fn fingerprint(&self) -> Value {
        json!({ "function": self.name, "version": self.version })
    }

    fn run(&self, item: u64, cx: &Context<'_>) -> std::result::Result<(), TaskError> {
        cx.yield_point()?;
        let mut worker = self.workers.take().map_err(broken)?;
        match worker.call(item, || cx.yield_point()) {
            Ok(Reply::Result(bytes)) => {
                self.workers.give_back(worker);
                cx.emit(bytes)
            }
            Ok(Reply::Exception(text)) => {
                self.workers.give_back(worker);
                Err(TaskError::Failed(text))
            }
            Ok(Reply::Gone) => {
                let status = self.workers.end(&worker).map_err(broken)?;
                self.held().insert(item, format!("its worker process {}", died(status)));
                Err(TaskError::Held { time: HELD, presumed: Presumed::Failed })
            }
            Err(cancelled) => {
                self.workers.end(&worker).map_err(broken)?;
                Err(cancelled)
            }
        }
    }

    fn settle(&self, cx: &Context<'_>) -> std::result::Result<(), TaskError> {
        let why = self.held().remove(&cx.task()).unwrap_or_default();
        Err(if cx.is_stopping() { TaskError::Cancelled } else { TaskError::Failed(why) })
    }

    fn fold(&self, _total: &mut (), _partial: (), _out: &mut Vec<u8>) {}
}

fn died(status: i32) -> String {
    match status & 0x7f {
        0 => format!("exited with {}", status >> 8),
        signal => format!("was killed by signal {signal}"),
    }
}

/// The items, by their number. The digest says at resume whether they are the same.
#[derive(Debug)]
pub(crate) struct Items {
    pub(crate) count: u64,
    pub(crate) digest: String,
}

/// Those that are left.
#[derive(Debug)]
pub(crate) struct Left {
    range: Range<u64>,
    digest: String,
}

impl Source for Items {
    type Task = u64;
    type Listing = Left;

    fn begin(&self) -> Result<Left> {
        Ok(Left { range: 0..self.count, digest: self.digest.clone() })
    }

    fn resume(&self, described: &Value, frontier: u64) -> Result<Left> {
        if described["digest"] != self.digest {
            let then = described["items"].as_u64().unwrap_or_default();
            return Err(Error::refused(
                "the items",
                format_args!("are not those of the job that was begun ({then} then, {} now)", self.count),
            )
            .advise("give the same items, another output, or fresh=True"));
        }
        Ok(Left { range: frontier..self.count, digest: self.digest.clone() })
    }
}

impl Listing for Left {
    type Task = u64;

    fn described(&self) -> Result<Value> {
        Ok(json!({ "items": self.range.end, "digest": self.digest }))
    }

    fn next(&mut self, _: &ListContext<'_>) -> Result<Option<Listed<u64>>> {
        Ok(self.range.next().map(|task| Listed { task, bytes: 0, mark: None }))
    }

    fn extent(&self) -> Extent {
        Extent { tasks: Some(self.range.end), ..Extent::default() }
    }
}

/// Says what happens, and has the workers stand still while the job does.
#[derive(Debug)]
pub(crate) struct Report {
    workers: Arc<Workers>,
    count: u64,
    is_quiet: bool,
    are_held: bool,
}

impl Report {
    pub(crate) fn new(workers: Arc<Workers>, count: u64, is_quiet: bool) -> Self {
        Self { workers, count, is_quiet, are_held: false }
    }

    fn say(&self, text: &str) {
        if !self.is_quiet {
            writeln!(stderr(), "bivouac: {text}").ok(); // Without a reader the work goes on all the same.
        }
    }

    fn hold(&mut self, yes: bool) {
        if yes != self.are_held {
            self.are_held = yes;
            // A zygote that is gone is found by the tasks, which need it.
            if yes { self.workers.hold() } else { self.workers.go_on() }.ok();
        }
    }
}

impl Observer for Report {
    fn progress(&mut self, now: &Progress) {
        self.hold(matches!(now.phase, Activity::Pausing | Activity::Paused));
    }

    fn notice(&mut self, notice: &Notice) {
        let of = self.count;
        if let Notice::Phase(phase) = notice {
            self.hold(matches!(phase, Activity::Pausing | Activity::Paused));
        } else if let Notice::Resumed { frontier, ahead, .. } = notice {
            self.say(&format!("resumed after {} of {of} items", frontier + ahead));
        } else if let Notice::Checkpoint { frontier, asked: true, .. } = notice {
            self.say(&format!("{frontier} of {of} items are saved"));
        } else if let Notice::Stopping { in_flight, .. } = notice {
            self.say(&format!("stopping: {in_flight} items at work may finish"));
        } else if let Notice::TaskFailed { task, why } = notice {
            self.say(&format!("item {} failed and is left out: {why}", task + 1));
        } else if let Notice::Warning(error) = notice {
            self.say(&error.to_string());
        }
    }

    /// Before a suspension: the kernel stops this process only.
    fn leave_terminal(&mut self) {
        self.hold(true);
    }
}
