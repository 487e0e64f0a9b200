//! The wording of everything that is said while a job runs.
//!
//! With `--verbose` each notice is a line of its own, and scripts wait for these lines; so the
//! wording is part of the interface, and the test at the end of this file is its list. The words
//! that a script looks for stand at the beginning, what varies behind them.

use crate::cli::format::{count, of, size, time};
use bivouac::{Again, AtWork, Notice, Progress};
use std::time::Duration;

/// Who gets to see a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Everybody: something is wrong, or a command says something. Whoever asked us for quiet has not asked
    /// it; it has an option of its own for that, or not.
    Wrong,
    /// Who did not ask for quiet: it answers a request, or a person may want to act on it.
    Usual,
    /// Who asked for everything.
    Detail,
}

/// Who gets to see this one.
pub(crate) fn level(notice: &Notice) -> Level {
    match notice {
        Notice::Warning(_)
        | Notice::TaskFailed { .. }
        | Notice::Said { .. }
        | Notice::Reloaded { adopted: false, .. } => Level::Wrong,
        // Who asked for one gets a line of status, and how old and how large it is stands in that.
        Notice::Checkpoint { .. }
        | Notice::Ready { .. }
        | Notice::Signal { .. }
        | Notice::Asked { .. }
        | Notice::Phase(_)
        | Notice::State(_) => Level::Detail,
        Notice::Resumed { .. }
        | Notice::Input(_)
        | Notice::Stopping { .. }
        | Notice::Status(_)
        | Notice::NotSuspended { .. }
        | Notice::Reloaded { adopted: true, .. }
        | Notice::Running(_) => Level::Usual,
    }
}

/// What it says, without a prefix and without a full stop.
pub(crate) fn sentence(notice: &Notice) -> String {
    match notice {
        Notice::Ready { workers } => format!("ready, {}", count(*workers as u64, "worker")),
        Notice::Resumed { frontier, beyond, tasks } => {
            let at = format!("resumed at task {}", of(*frontier, *tasks));
            match beyond {
                0 => at,
                beyond => format!("{at}, {} beyond it finished before", count(*beyond, "task")),
            }
        }
        Notice::Input(what) => what.clone(),
        Notice::Signal { signal, request, sender } => format!("{signal} ({sender}): {request}"),
        Notice::Asked { request, by } => format!("{by} asks: {request}"),
        Notice::Phase(activity) => format!("phase {activity}"),
        Notice::Stopping { grace, in_flight, again } => stopping(*grace, *in_flight, *again),
        Notice::Checkpoint { frontier, tasks, facts, asked: _ } => {
            format!(
                "checkpoint at {} tasks, {}, {}",
                of(*frontier, *tasks),
                size(facts.size),
                time(facts.took)
            )
        }
        Notice::Status(progress) => status(progress),
        Notice::NotSuspended { pid } => {
            format!(
                "not suspended, since no shell would continue this process; the job is paused, `kill -CONT {pid}` continues it"
            )
        }
        Notice::TaskFailed { task, why } => format!("task {task} failed and is left out: {why}"),
        Notice::Said { task, line } => format!("task {task}: {line}"),
        Notice::Running(tasks) => running(tasks),
        Notice::State(path) => format!("state in {}", path.display()),
        Notice::Reloaded { adopted: false, said } => {
            format!("warning: not reloaded, the old settings stay: {}", said.join("; "))
        }
        Notice::Reloaded { adopted: true, said } if said.is_empty() => {
            "reloaded: nothing changed".to_string()
        }
        Notice::Reloaded { adopted: true, said } => format!("reloaded: {}", said.join("; ")),
        Notice::Warning(error) => format!("warning: {error}"),
    }
}

fn stopping(grace: impl Into<Option<Duration>>, in_flight: usize, again: Again) -> String {
    if in_flight == 0 {
        return "stopping".to_string();
    }
    let limit = match grace.into() {
        Some(grace) => format!("up to {} to finish", time(grace)),
        None => "time until they are done".to_string(),
    };
    let again = match again {
        Again::Key => ", Ctrl-C again cancels",
        Again::Signal => ", the same signal again cancels",
        Again::Nothing => "",
    };
    let have = if in_flight == 1 { "task in flight has" } else { "tasks in flight have" };
    format!("stopping: {in_flight} {have} {limit}{again}")
}

/// One line that says where a job stands.
pub(crate) fn status(now: &Progress) -> String {
    let mut parts = vec![
        format!("status: {}", now.phase),
        format!("{} tasks committed", of(now.frontier, now.tasks)),
        format!("{} in flight", now.in_flight),
    ];
    if now.failed > 0 {
        parts.push(format!("{} failed", now.failed));
    }
    parts.push(match now.bytes_total {
        Some(total) => format!("{} of {} of input", size(now.bytes), size(total)),
        None => format!("{} of input", size(now.bytes)),
    });
    parts.push(format!("{} of output", size(now.output_bytes)));
    parts.push(format!("worked {}", time(now.worked)));
    parts.push(match now.checkpoint {
        Some(facts) => format!("checkpoint of {}, {} old", size(facts.size), time(facts.age)),
        None => "no checkpoint yet".to_string(),
    });
    parts.join(", ")
}

fn running(tasks: &[AtWork]) -> String {
    let list: Vec<_> = tasks
        .iter()
        .map(|AtWork { task, since, note }| match note.as_str() {
            "" => format!("{task} for {}", time(*since)),
            note => format!("{task} ({note}) for {}", time(*since)),
        })
        .collect();
    if list.is_empty() {
        "no task is running".to_string()
    } else {
        format!("running tasks: {}", list.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bivouac::ending::CheckpointFacts;
    use bivouac::{Activity, Error, Request};
    use nix::sys::signal::Signal;
    use std::path::PathBuf;

    fn facts() -> CheckpointFacts {
        CheckpointFacts { size: 1229, age: Duration::from_millis(500), took: Duration::from_micros(800) }
    }

    fn at_work(note: &str) -> AtWork {
        AtWork { task: 7, since: Duration::from_millis(1200), note: note.to_string() }
    }

    #[test]
    fn the_lines_that_scripts_wait_for() {
        let told = format!("SIGTERM (from pid 123, uid 0): {}", Request::Stop);
        for (notice, expected) in [
            (Notice::Ready { workers: 2 }, "ready, 2 workers"),
            (Notice::Ready { workers: 1 }, "ready, 1 worker"),
            (Notice::Resumed { frontier: 3, beyond: 0, tasks: Some(64) }, "resumed at task 3 of 64"),
            (
                Notice::Resumed { frontier: 3, beyond: 2, tasks: None },
                "resumed at task 3, 2 tasks beyond it finished before",
            ),
            (
                Notice::Input("f: grew, processed to its old size".into()),
                "f: grew, processed to its old size",
            ),
            (
                Notice::Signal {
                    signal: Signal::SIGTERM,
                    request: Request::Stop,
                    sender: bivouac::signals::Sender::Process { pid: 123, uid: 0 },
                },
                told.as_str(),
            ),
            (Notice::Phase(Activity::Paused), "phase paused"),
            (
                Notice::Checkpoint { frontier: 3, tasks: Some(64), facts: facts(), asked: false },
                "checkpoint at 3 of 64 tasks, 1.2 KiB, 0.8 ms",
            ),
            (
                Notice::Checkpoint { frontier: 3, tasks: None, facts: facts(), asked: true },
                "checkpoint at 3 tasks, 1.2 KiB, 0.8 ms",
            ),
            (
                Notice::NotSuspended { pid: 77 },
                "not suspended, since no shell would continue this process; the job is paused, `kill -CONT 77` continues it",
            ),
            (
                Notice::TaskFailed { task: 7, why: "panicked: no".into() },
                "task 7 failed and is left out: panicked: no",
            ),
            (Notice::Running(vec![]), "no task is running"),
            (Notice::Running(vec![at_work(""), at_work("x")]), "running tasks: 7 for 1.2 s, 7 (x) for 1.2 s"),
            (Notice::State(PathBuf::from("out.bivouac")), "state in out.bivouac"),
            (Notice::Warning(Error::broken("x", "is odd")), "warning: x: is odd"),
        ] {
            assert_eq!(sentence(&notice), expected);
        }
    }

    #[test]
    fn a_stop_says_how_long_it_may_take_and_how_to_hurry_it() {
        let five = Duration::from_secs(5);
        assert_eq!(
            stopping(five, 2, Again::Key),
            "stopping: 2 tasks in flight have up to 5.0 s to finish, Ctrl-C again cancels"
        );
        assert_eq!(
            stopping(five, 1, Again::Signal),
            "stopping: 1 task in flight has up to 5.0 s to finish, the same signal again cancels"
        );
        assert_eq!(
            stopping(None, 2, Again::Nothing),
            "stopping: 2 tasks in flight have time until they are done"
        );
        assert_eq!(stopping(five, 0, Again::Key), "stopping");
    }

    #[test]
    fn a_status_says_how_old_and_how_large_the_checkpoint_is() {
        let progress = Progress {
            frontier: 3,
            tasks: Some(64),
            in_flight: 2,
            bytes: 3 << 20,
            bytes_total: Some(64 << 20),
            output_bytes: 100,
            worked: Duration::from_secs(3),
            checkpoint: Some(facts()),
            ..Progress::default()
        };
        assert_eq!(
            status(&progress),
            "status: running, 3 of 64 tasks committed, 2 in flight, 3.0 MiB of 64.0 MiB of input, 100 B of output, \
             worked 3.0 s, checkpoint of 1.2 KiB, 500.0 ms old"
        );
        assert!(status(&Progress::default()).ends_with("no checkpoint yet"));
    }

    #[test]
    fn quiet_keeps_what_is_wrong_and_a_request_is_answered_by_default() {
        assert_eq!(level(&Notice::Warning(Error::broken("x", "y"))), Level::Wrong);
        assert_eq!(level(&Notice::Ready { workers: 1 }), Level::Detail);
        let checkpoint = |asked| Notice::Checkpoint { frontier: 0, tasks: None, facts: facts(), asked };
        assert_eq!(level(&checkpoint(true)), Level::Detail);
        assert_eq!(level(&Notice::Status(Box::default())), Level::Usual);
        assert_eq!(level(&checkpoint(false)), Level::Detail);
    }
}
