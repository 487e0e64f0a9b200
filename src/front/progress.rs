//! Ready-made observers: sentences for a logger.

use crate::task::observer::{Activity, Notice, Observer};

/// Gives each sentence about a run to `tell`: to `tracing`, to `log`, to a file.
///
/// ```
/// use bivouac::prelude::*;
/// # let place = tempfile::tempdir().unwrap();
/// # std::env::set_current_dir(&place).unwrap();
/// use std::sync::{Arc, Mutex};
///
/// let said = Arc::new(Mutex::new(Vec::new()));
/// let log = Arc::clone(&said);
/// resumable(0..3_u64)
///     .map(|n, _| Ok(n.to_string()))
///     .write_to("digits")
///     .progress(bivouac::progress::log(move |line| log.lock().unwrap().push(line.to_string())))
///     .main();
/// assert_eq!(said.lock().unwrap()[0], "the state is in digits.bivouac");
/// ```
pub fn log<F: FnMut(&str)>(tell: F) -> Log<F> {
    Log { tell }
}

/// See [`log`].
#[derive(Debug)]
pub struct Log<F> {
    tell: F,
}

impl<F: FnMut(&str)> Observer for Log<F> {
    fn notice(&mut self, notice: &Notice) {
        let text = sentence(notice);
        (self.tell)(&text);
    }
}

/// A notice as a sentence, without a full stop.
pub fn sentence(notice: &Notice) -> String {
    let of = |frontier: u64, tasks: Option<u64>| match tasks {
        Some(tasks) => format!("{frontier} of {tasks} tasks"),
        None => format!("{frontier} tasks"),
    };
    match notice {
        Notice::Ready { workers } => format!("ready, {workers} workers"),
        Notice::Resumed { frontier, ahead: 0, tasks } => format!("resumed after {}", of(*frontier, *tasks)),
        Notice::Resumed { frontier, ahead, tasks } => {
            format!("resumed after {}, {ahead} more completed ahead of them", of(*frontier, *tasks))
        }
        Notice::Input(what) => what.clone(),
        Notice::Signal { signal, request, sender } => format!("{signal} ({sender}): {request}"),
        Notice::Asked { request, by } => format!("{by} asks: {request}"),
        Notice::Phase(activity) => format!("phase {activity}"),
        Notice::Stopping { in_flight, .. } => format!("stopping, {in_flight} tasks in flight"),
        Notice::Checkpoint { frontier, tasks, facts, .. } => {
            format!("checkpoint at {}, {} bytes, {:.1?}", of(*frontier, *tasks), facts.size, facts.took)
        }
        Notice::Status(now) => {
            let phase: Activity = now.phase;
            format!("{phase}, {}, {} in flight", of(now.frontier, now.tasks), now.in_flight)
        }
        Notice::NotSuspended { pid } => {
            format!("paused in place of suspended; `kill -CONT {pid}` continues it")
        }
        Notice::TaskFailed { task, why } => format!("task {} failed and is left out: {why}", task + 1),
        Notice::Said { task, line } => format!("task {}: {line}", task + 1),
        Notice::Running(tasks) => {
            let list: Vec<String> = tasks.iter().map(|one| (one.task + 1).to_string()).collect();
            format!("running tasks: {}", list.join(", "))
        }
        Notice::State(path) => format!("the state is in {}", path.display()),
        Notice::Reloaded { adopted, said } => {
            format!("{}: {}", if *adopted { "reloaded" } else { "not reloaded" }, said.join("; "))
        }
        Notice::Warning(error) => format!("warning: {error}"),
    }
}
