//! `status.json`: what a running job is doing, for other processes.
//!
//! A checkpoint says what is *safe*, and nothing about the work in progress. The obvious way to learn that is to ask the
//! process: a socket, a protocol, a thread that serves it, and no answer from a suspended process. Instead the job writes a
//! small file about once a second, and at once when its phase changes or a requested checkpoint exists. A reader needs only
//! `cat`, and never delays the job.
//!
//! The fields are part of the interface, and `docs/status.md` describes them. A change to the meaning of a field must raise
//! [`FORMAT`]; a new field need not.

pub use crate::signals::policy::Row;
use crate::task::observer::{Activity, Progress};
use serde::{Deserialize, Serialize};
use std::time::{SystemTime, UNIX_EPOCH};

/// The format that this program writes, and the only one that it reads.
pub const FORMAT: u32 = 2;

/// See the [module](self).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StatusFile {
    /// [`FORMAT`].
    pub format: u32,
    /// Grows by one each time that this process writes.
    pub seq: u64,
    /// The process that runs the job.
    pub pid: u32,
    /// When that process was started, in clock ticks since boot.
    pub ticks: Option<u64>,
    /// The id of the job's whole life ([`Record::run`](crate::record::Record::run)).
    pub run: Option<String>,
    /// When this was written: milliseconds since 1970.
    pub written_at_ms: u64,
    /// What the job is doing.
    pub phase: Activity,
    /// Tasks committed, by this run and those before it.
    pub frontier: u64,
    /// Tasks in the whole job, where known.
    pub tasks: Option<u64>,
    /// Tasks that completed ahead of the frontier.
    #[serde(rename = "beyond")]
    pub ahead: u64,
    /// Tasks that run or wait in the queue of a worker.
    pub in_flight: u64,
    /// Tasks that failed and are left out.
    pub failed: u64,
    /// Bytes of input worked through, those of earlier runs included.
    pub bytes: u64,
    /// Of these, how many were worked through by earlier runs.
    pub bytes_before: u64,
    /// Bytes of input in the whole job, where known.
    pub bytes_total: Option<u64>,
    /// Bytes of output committed.
    pub output_bytes: u64,
    /// Time that this run has spent working, neither paused nor suspended.
    pub worked_seconds: f64,
    /// Bytes of input per second of work, over the last 15 s of work.
    pub bytes_per_second: Option<f64>,
    /// Tasks per second of work, over the last 15 s of work.
    pub tasks_per_second: Option<f64>,
    /// Work that is left at this rate.
    pub eta_seconds: Option<f64>,
    /// The last checkpoint of this run.
    pub checkpoint: Option<StatusCheckpoint>,
    /// Requested checkpoints that are durable: a process that asks for one waits until this has grown.
    pub checkpoints_asked: u64,
    /// How many tasks may run at the same time.
    pub workers: u64,
    /// The answer to the last process that asked for other settings.
    #[serde(default)]
    pub answer: Option<StatusAnswer>,
    /// The present meaning of each signal.
    pub signals: Vec<Row>,
    /// Running tasks, the longest first; if there are many, the first of them.
    #[serde(default)]
    pub running: Vec<StatusTask>,
}

/// A task that runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatusTask {
    /// Its number, from 1.
    pub task: u64,
    /// Its slot, from 1; `None` while only its verdict is held.
    #[serde(default)]
    pub slot: Option<usize>,
    /// How long it has run, without pauses.
    pub seconds: f64,
    /// Its note in the journal; may be empty.
    pub note: String,
}

/// The answer to a request for other settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusAnswer {
    /// The name of the request.
    pub request: String,
    /// Whether the settings are in force now.
    pub adopted: bool,
    /// Sentences about the changes, or about the reason against them.
    pub said: Vec<String>,
}

/// A checkpoint that is durable.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatusCheckpoint {
    /// Size of the record in bytes.
    pub size: u64,
    /// When it became durable: milliseconds since 1970.
    pub at_ms: u64,
    /// How long it took to make it durable.
    pub took_seconds: f64,
}

impl StatusFile {
    /// The progress of a run at one moment. The fields about the process stay empty.
    pub fn of(now: &Progress, at: SystemTime) -> Self {
        let written_at_ms = at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        Self {
            format: FORMAT,
            written_at_ms,
            phase: now.phase,
            frontier: now.frontier,
            tasks: now.tasks,
            in_flight: now.in_flight as u64,
            failed: now.failed,
            bytes: now.bytes,
            bytes_before: now.bytes_before,
            bytes_total: now.bytes_total,
            output_bytes: now.output_bytes,
            worked_seconds: now.worked.as_secs_f64(),
            bytes_per_second: now.bytes_per_second,
            tasks_per_second: now.tasks_per_second,
            eta_seconds: now.left.map(|left| left.as_secs_f64()),
            checkpoint: now.checkpoint.map(|facts| StatusCheckpoint {
                size: facts.size,
                at_ms: written_at_ms.saturating_sub(facts.age.as_millis() as u64),
                took_seconds: facts.took.as_secs_f64(),
            }),
            ..Self::default()
        }
    }

    /// Parses the bytes of the file; `None` if they are damaged, as after a power cut, or of another format.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok().filter(|live: &Self| live.format == FORMAT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signals::policy::Request;

    fn sample() -> StatusFile {
        StatusFile {
            format: FORMAT,
            seq: 7,
            pid: 4711,
            ticks: Some(99),
            run: Some("5f1c".into()),
            written_at_ms: 1_796_000_000_123,
            phase: Activity::Paused,
            frontier: 3,
            tasks: Some(8),
            ahead: 0,
            in_flight: 2,
            failed: 0,
            bytes: 12,
            bytes_before: 4,
            bytes_total: Some(32),
            output_bytes: 6,
            worked_seconds: 2.0,
            bytes_per_second: Some(4.0),
            tasks_per_second: None,
            eta_seconds: Some(5.0),
            checkpoint: Some(StatusCheckpoint { size: 700, at_ms: 1_796_000_000_000, took_seconds: 0.001 }),
            checkpoints_asked: 1,
            workers: 2,
            answer: None,
            running: vec![StatusTask { task: 3, slot: Some(1), seconds: 1.5, note: "a".into() }],
            signals: vec![Row { signal: "TERM".into(), request: Request::Stop, heard: true }],
        }
    }

    #[test]
    fn what_is_written_is_read_and_words_are_lower_case() {
        let text = serde_json::to_string(&sample()).unwrap();
        assert!(text.starts_with(r#"{"format":2,"seq":7,"#), "{text}");
        assert!(text.contains(r#""phase":"paused""#), "{text}");
        assert!(text.contains(r#"{"signal":"TERM","request":"stop","heard":true}"#), "{text}");
        assert_eq!(StatusFile::read(text.as_bytes()), Some(sample()));
    }

    #[test]
    fn words_are_those_that_are_printed() {
        for request in Request::ALL {
            assert_eq!(serde_json::to_value(request).unwrap(), request.name());
        }
        for activity in Activity::ALL {
            assert_eq!(serde_json::to_value(activity).unwrap(), activity.to_string());
        }
        // The type itself knows all of its words.
        let unknown = serde_json::from_str::<Activity>("\"?\"").unwrap_err().to_string();
        let words = Activity::ALL.map(|activity| format!("`{activity}`")).join(", ");
        assert!(unknown.contains(&format!("expected one of {words}")), "{unknown}");
    }

    #[test]
    fn what_is_damaged_or_of_another_format_is_not_there() {
        let text = serde_json::to_string(&sample()).unwrap();
        assert_eq!(StatusFile::read(b""), None);
        assert_eq!(StatusFile::read(&text.as_bytes()[..text.len() / 2]), None);
        assert_eq!(StatusFile::read(text.replace("\"format\":2", "\"format\":3").as_bytes()), None);
        // A newer program may say more.
        let more = text.replace("\"seq\":7", "\"seq\":7,\"mood\":\"good\"");
        assert_eq!(StatusFile::read(more.as_bytes()), Some(sample()));
    }
}
