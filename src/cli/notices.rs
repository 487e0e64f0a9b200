//! The wording of everything that is said while a job runs.
//!
//! With `--verbose` each notice is one line, and scripts wait for these lines. So the wording is part of
//! the interface, and the test at the end of this file is its list. A sentence begins with the words that
//! a script looks for; what varies follows.

use crate::cli::format::{TaskWord, count, size, time};
use crate::cli::terminal::Urgency;
use bivouac::{Again, AtWork, Notice, Progress};
use std::time::Duration;

/// How talkative the program must be for a notice to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Always shown: something is wrong, or a command says something, which `--quiet` does not silence.
    Wrong,
    /// Not with `--quiet`: it answers a request, or you may want to act on it.
    Usual,
    Detail,
}

pub(crate) fn level(notice: &Notice) -> Level {
    match notice {
        Notice::Warning(_)
        | Notice::TaskFailed { .. }
        | Notice::Said { .. }
        | Notice::Told { .. }
        | Notice::Reloaded { adopted: false, .. } => Level::Wrong,
        // A request for one is answered by a line of status, which has its age and size.
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
        | Notice::Waiting { .. }
        | Notice::NotSuspended { .. }
        | Notice::Reloaded { adopted: true, .. }
        | Notice::Running(_) => Level::Usual,
    }
}

/// How urgent a notice is to a person who reads the journal.
pub(crate) fn urgency(notice: &Notice) -> Urgency {
    match (notice, level(notice)) {
        // The lines of a command may be anything.
        (Notice::Said { .. }, _) => Urgency::Info,
        (_, Level::Wrong) => Urgency::Warning,
        (_, Level::Usual) => Urgency::Info,
        (_, Level::Detail) => Urgency::Debug,
    }
}

/// The messages about a notice. Each change of a reload is a message of its own, and so is each reason against one: a single
/// message for all would be too long.
pub(crate) fn messages(notice: &Notice, word: TaskWord) -> Vec<String> {
    let Notice::Reloaded { adopted, said, asked } = notice else { return vec![sentence(notice, word)] };
    let done = if *asked { "set" } else { "reloaded" };
    match (adopted, said.is_empty()) {
        (true, true) => vec![format!("{done}: nothing changed")],
        (true, false) => said.iter().map(|change| format!("{done}: {change}")).collect(),
        (false, _) => {
            let first = format!("warning: not {done}, the old settings stay");
            [first].into_iter().chain(said.iter().cloned()).collect()
        }
    }
}

/// The sentence, without a prefix and without a full stop.
pub(crate) fn sentence(notice: &Notice, word: TaskWord) -> String {
    match notice {
        Notice::Ready { workers } => format!("ready, {}", count(*workers as u64, "worker")),
        Notice::Resumed { frontier, ahead, tasks } => match (frontier, ahead) {
            (0, 0) => format!("resumed from the beginning: no {} was done before", word.singular()),
            (0, ahead) => format!("resumed, {} completed before", word.of(*ahead, *tasks)),
            (_, 0) => format!("resumed after {}", word.of(*frontier, *tasks)),
            (..) => {
                format!("resumed after {}, {ahead} more completed ahead of them", word.of(*frontier, *tasks))
            }
        },
        Notice::Input(what) => what.clone(),
        Notice::Signal { signal, request, sender } => format!("{signal} ({sender}): {request}"),
        Notice::Asked { request, by } => format!("{by} asks: {request}"),
        Notice::Phase(activity) => format!("phase {activity}"),
        Notice::Stopping { in_flight: 0, .. } => "stopping".to_string(),
        Notice::Stopping { grace, in_flight, again } => {
            stopping(*grace, word.count(*in_flight as u64), *again)
        }
        Notice::Checkpoint { frontier, tasks, facts, asked: _ } => {
            format!(
                "checkpoint at {}, {}, {}",
                word.of(*frontier, *tasks),
                size(facts.size),
                time(facts.took)
            )
        }
        Notice::Status(progress) => status(progress, word),
        Notice::Waiting { why } => format!("waiting: {why}"),
        Notice::NotSuspended { pid } => {
            format!("not suspended, no shell would continue it: `kill -CONT {pid}`")
        }
        Notice::TaskFailed { task, why } => format!("{} failed and is left out: {why}", word.name(*task)),
        Notice::Said { task, line } | Notice::Told { task, line } => format!("{}: {line}", word.name(*task)),
        Notice::Running(tasks) => running(tasks, word),
        Notice::State(path) => format!("state in {}", path.display()),
        Notice::Reloaded { .. } => messages(notice, word).join("; "),
        Notice::Warning(error) => format!("warning: {}", word.worded(error)),
    }
}

fn stopping(grace: Option<Duration>, in_flight: String, again: Again) -> String {
    let limit = match grace {
        Some(grace) => format!("up to {}", time(grace)),
        None => "time until they are done".to_string(),
    };
    let again = match again {
        Again::Key => "; Ctrl-C again cancels",
        Again::Signal => "; a second signal cancels",
        Again::Nothing => "",
    };
    let have = if in_flight.starts_with("1 ") { "has" } else { "have" };
    format!("stopping: {in_flight} in flight {have} {limit}{again}")
}

pub(crate) fn status(now: &Progress, word: TaskWord) -> String {
    let mut parts = vec![
        format!("status: {}", now.phase),
        format!("{} committed", word.of(now.frontier, now.tasks)),
        format!("{} in flight", now.in_flight),
    ];
    if now.failed > 0 {
        parts.push(format!("{} failed", now.failed));
    }
    parts.push(match now.bytes_total {
        Some(total) => format!("{} of {}", size(now.bytes), size(total)),
        None => format!("{} of input", size(now.bytes)),
    });
    let checkpoint = match now.checkpoint {
        Some(facts) => format!("checkpoint of {}, {} old", size(facts.size), time(facts.age)),
        None => "no checkpoint yet".to_string(),
    };
    let (output, worked) = (size(now.output_bytes), time(now.worked));
    format!("{}\n  {output} of output, worked {worked}, {checkpoint}", parts.join(", "))
}

/// How many characters tell what runs; beyond that notes are left out, and then tasks.
const ROOM: usize = 60;

fn running(tasks: &[AtWork], word: TaskWord) -> String {
    let list = |has_notes: bool| {
        let one = |AtWork { task, slot: _, since, note }: &AtWork| match has_notes && !note.is_empty() {
            true => format!("{} ({note}) for {}", task + 1, time(*since)),
            false => format!("{} for {}", task + 1, time(*since)),
        };
        tasks.iter().map(one).collect::<Vec<_>>().join(", ")
    };
    match tasks {
        [] => format!("no {} is running", word.singular()),
        [_] => format!("running {}s: {}", word.singular(), list(true)),
        tasks => {
            let noted = Some(list(true)).filter(|list| list.chars().count() <= ROOM);
            let plain = || Some(list(false)).filter(|list| list.len() <= ROOM);
            let many = || format!("{}, see `bivouac status`", tasks.len());
            format!("running {}s: {}", word.singular(), noted.or_else(plain).unwrap_or_else(many))
        }
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
        AtWork { task: 7, slot: Some(1), since: Duration::from_millis(1200), note: note.to_string() }
    }

    #[test]
    fn the_lines_that_scripts_wait_for() {
        let told = format!("SIGTERM (from pid 123, uid 0): {}", Request::Stop);
        for (notice, expected) in [
            (Notice::Ready { workers: 2 }, "ready, 2 workers"),
            (Notice::Ready { workers: 1 }, "ready, 1 worker"),
            (Notice::Resumed { frontier: 3, ahead: 0, tasks: Some(64) }, "resumed after 3 of 64 tasks"),
            (
                Notice::Resumed { frontier: 3, ahead: 2, tasks: None },
                "resumed after 3 tasks, 2 more completed ahead of them",
            ),
            (
                Notice::Resumed { frontier: 0, ahead: 0, tasks: Some(64) },
                "resumed from the beginning: no task was done before",
            ),
            (
                Notice::Resumed { frontier: 0, ahead: 2, tasks: Some(64) },
                "resumed, 2 of 64 tasks completed before",
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
            (Notice::Waiting { why: "the machine is busy".to_string() }, "waiting: the machine is busy"),
            (Notice::NotSuspended { pid: 77 }, "not suspended, no shell would continue it: `kill -CONT 77`"),
            (
                Notice::TaskFailed { task: 7, why: "panicked: no".into() },
                "task 8 failed and is left out: panicked: no",
            ),
            (Notice::Running(vec![]), "no task is running"),
            (Notice::Running(vec![at_work(""), at_work("x")]), "running tasks: 8 for 1.2 s, 8 (x) for 1.2 s"),
            (Notice::State(PathBuf::from("out.bivouac")), "state in out.bivouac"),
            (Notice::Warning(Error::broken("x", "is odd")), "warning: x: is odd"),
        ] {
            assert_eq!(sentence(&notice, TaskWord::Task), expected);
        }
    }

    #[test]
    fn a_stop_says_how_long_it_may_take_and_how_to_hurry_it() {
        let stopping = |grace: Option<u64>, in_flight, again, word| {
            sentence(&Notice::Stopping { grace: grace.map(Duration::from_secs), in_flight, again }, word)
        };
        assert_eq!(
            stopping(Some(5), 2, Again::Key, TaskWord::Task),
            "stopping: 2 tasks in flight have up to 5.0 s; Ctrl-C again cancels"
        );
        assert_eq!(
            stopping(Some(5), 1, Again::Signal, TaskWord::Item),
            "stopping: 1 item in flight has up to 5.0 s; a second signal cancels"
        );
        assert_eq!(
            stopping(None, 2, Again::Nothing, TaskWord::Task),
            "stopping: 2 tasks in flight have time until they are done"
        );
        assert_eq!(stopping(Some(5), 0, Again::Key, TaskWord::Task), "stopping");
    }

    #[test]
    fn the_tasks_of_each_are_items_and_both_count_from_1() {
        for (notice, expected) in [
            (Notice::Resumed { frontier: 1, ahead: 0, tasks: Some(5) }, "resumed after 1 of 5 items"),
            (Notice::Said { task: 0, line: "x".into() }, "item 1: x"),
            (Notice::Running(vec![at_work("x")]), "running items: 8 (x) for 1.2 s"),
            (Notice::Running(vec![]), "no item is running"),
        ] {
            assert_eq!(sentence(&notice, TaskWord::of_job("each")), expected);
        }
        assert_eq!(TaskWord::of_job("grep").name(0), "chunk 1");
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
            status(&progress, TaskWord::Task),
            "status: running, 3 of 64 tasks committed, 2 in flight, 3.0 MiB of 64.0 MiB\n  100 B of output, worked 3.0 s, checkpoint of 1.2 KiB, 500.0 ms old"
        );
        assert!(status(&Progress::default(), TaskWord::Task).ends_with("no checkpoint yet"));
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
