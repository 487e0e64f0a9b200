//! The record: what a checkpoint says, and its bytes.
//!
//! The obvious store is a database. But a checkpoint is small, it is replaced as a whole about once a second, and `status`
//! must read it while a run holds the state. A text file that a rename replaces is enough, and you can read it with `less`.
//!
//! # Format 1
//!
//! ```text
//! {
//!   "format": 1,                 always the first field, always alone on the second line
//!   "program": "bivouac 0.1.0",
//!   …                            the fields of Record, in the order of the struct, pretty JSON
//!   "checksum": "<64 hex>"       BLAKE3 over every byte of the file before this line
//! }
//! ```
//!
//! The checksum is over bytes, not over values, so nothing needs a canonical form. The checks come in this order:
//!
//! 1. the format number, by its place in the file, before anything else is interpreted: a newer
//!    program may have changed everything but this line, so its record is refused, not "repaired";
//! 2. the checksum, before any parser sees the rest;
//! 3. the shape. A record that verifies but does not parse was written by a faulty program.
//!
//! Bytes that have not passed these checks are an [`Unverified`]; there is no other way from bytes to a [`Record`].

use crate::durable::task_set::Tasks;
use crate::error::{Advice, Error, Result};
use crate::task::{Committed, Mark, is_zero};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// The format that this program writes, and the only one that it reads.
pub const FORMAT: u32 = 1;

/// The value of [`Record::program`].
pub const PROGRAM: &str = concat!("bivouac ", env!("CARGO_PKG_VERSION"));

pub(crate) const OPENING: &[u8] = b"{\n  \"format\": ";
const CHECKSUM: &str = "  \"checksum\": \"";
const CLOSING: &str = "\"\n}\n";
const HEX_DIGITS: usize = 64;

/// Everything that a later run needs in order to go on where this one was.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// [`FORMAT`]. It must stay the first field.
    pub format: u32,
    /// The program that wrote the record, for people.
    pub program: String,
    /// An id of the job's whole life: the same in every record from its start to its end.
    pub run: String,
    /// The name of the job, as in `count`.
    pub job: String,
    /// The options that affect the output ([`crate::Job::fingerprint`]).
    pub fingerprint: Value,
    /// The identity of the inputs ([`crate::Listing::described`]).
    pub inputs: Value,
    /// How many bytes of the journal are durable ([`journal`](crate::journal)).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub journal_bytes: u64,
    /// How far the job has come towards its end.
    pub phase: Phase,
    /// How many runs have worked on this state; each adds one before it commits anything.
    pub epoch: u64,
    /// The number of this checkpoint, counted over all runs.
    pub seq: u64,
    /// How many tasks, from 0 without a hole, are committed.
    pub frontier: u64,
    /// The mark of the last task before the frontier ([`crate::Listed::mark`]).
    pub mark: Option<Mark>,
    /// Always empty: a place of the format that is not used any more.
    pub beyond: [(); 0],
    /// Tasks completed ahead of the frontier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ahead: Option<Ahead>,
    /// Tasks committed ahead of the frontier, if tasks are committed as they end.
    #[serde(default, skip_serializing_if = "Tasks::is_empty")]
    pub finished: Tasks,
    /// Committed tasks that failed, if the job may try them again.
    #[serde(default, skip_serializing_if = "Tasks::is_empty")]
    pub failing: Tasks,
    /// The furthest task that was committed, of a job whose list may grow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reach: Option<Reach>,
    /// The last task of the whole list, as soon as that is known, of a job whose list may grow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whole: Option<Reach>,
    /// The job's total over the tasks before the frontier ([`crate::Job::Total`]).
    pub total: Value,
    /// Tasks that failed and were left out.
    pub failed: u64,
    /// Bytes of input in the committed tasks.
    pub input_bytes: u64,
    /// Tasks in the whole job, where known.
    pub tasks: Option<u64>,
    /// How much output is durable; `None` if the job writes no output that lasts.
    pub output: Option<Committed>,
    /// When the record was written: seconds since 1970, for people. Nothing depends on it.
    pub saved_at: u64,
}

/// How far a job has come towards its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Phase {
    /// There are tasks to do.
    #[default]
    Working,
    /// All output is committed; it is about to get its final name, or has just got it.
    Finalizing {
        /// The exit code with which the job will have ended.
        code: u8,
    },
    /// Finished.
    Done {
        /// The exit code with which the job ended.
        code: u8,
    },
}

/// Tasks ahead of the frontier whose results wait in segments ([`state_dir`](crate::state_dir)).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ahead {
    /// The tasks.
    pub tasks: Tasks,
    /// The furthest task that was among them.
    pub last: Last,
    /// The number of the segment that is made next.
    pub next: u64,
    /// The segments, in order of their numbers.
    pub segments: Vec<SegmentAt>,
}

/// The furthest task that finished ahead of the frontier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Last {
    /// The number of the task.
    pub task: u64,
    /// Its mark ([`crate::Listed::mark`]), which stands for everything that was listed up to it.
    pub mark: Option<Mark>,
}

/// A file with results. Every frame in it has a checksum of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentAt {
    /// Its number, which is its name in the spill directory.
    pub number: u64,
    /// How much of it counts.
    pub bytes: u64,
}

/// A place in the list of tasks, and what had been listed by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reach {
    /// The number of the task.
    pub task: u64,
    /// The beginning of its mark ([`crate::Listed::mark`]); zeros, if its source gives none.
    pub trace: [u8; 8],
}

impl Reach {
    /// The end of a list of so many tasks; one without any has none.
    pub(crate) fn at_end(tasks: u64, trace: [u8; 8]) -> Option<Self> {
        tasks.checked_sub(1).map(|task| Self { task, trace })
    }
}

impl Record {
    /// The record of a job of which nothing is done.
    pub fn new(job: &str, fingerprint: Value, inputs: Value) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            format: FORMAT,
            program: PROGRAM.to_string(),
            run: format!("{:x}-{:x}", now.as_nanos(), std::process::id()),
            job: job.to_string(),
            fingerprint,
            inputs,
            epoch: 1,
            saved_at: now.as_secs(),
            ..Self::default()
        }
    }

    /// How many tasks are committed, on either side of a hole.
    pub fn committed(&self) -> u64 {
        self.frontier + self.finished.len()
    }

    /// How many tasks completed ahead of the frontier are kept.
    pub fn kept(&self) -> u64 {
        self.ahead.as_ref().map_or(0, |ahead| ahead.tasks.len())
    }

    pub(crate) fn keeps(&self, task: u64) -> bool {
        self.ahead.as_ref().is_some_and(|ahead| ahead.tasks.contains(task))
    }

    pub(crate) fn kept_tasks(&self) -> Tasks {
        self.ahead.as_ref().map(|ahead| ahead.tasks.clone()).unwrap_or_default()
    }

    /// The furthest task that was among them.
    pub(crate) fn last_kept(&self) -> Option<Last> {
        self.ahead.as_ref().map(|ahead| ahead.last)
    }

    /// The bytes of the file (see the [module](self)). Fails if JSON cannot express a total, a fingerprint or an input.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let mut text = serde_json::to_string_pretty(self)
            .map_err(|e| Error::broken("checkpoint", format_args!("cannot be put into JSON: {e}")))?;
        text.truncate(text.len() - "\n}".len());
        text.push_str(",\n");
        let checksum = blake3::hash(text.as_bytes()).to_hex();
        Ok((text + CHECKSUM + &checksum + CLOSING).into_bytes())
    }
}

/// Bytes that claim to be a record.
#[derive(Clone, Debug)]
pub struct Unverified(Vec<u8>);

impl Unverified {
    /// Takes the content of a file, whatever it is.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The record, if these bytes are one. Refuses another format, a wrong checksum and another shape, in this order, with
    /// `path` as the subject.
    pub fn verify(self, path: &Path) -> Result<Record> {
        self.check_format(path)?;
        let body =
            self.checked_body().ok_or_else(|| damaged(path, "its checksum does not match its content"))?;
        // The body ends with the comma that stands before the checksum.
        let mut text = body[..body.len() - ",\n".len()].to_vec();
        text.extend_from_slice(b"\n}");
        serde_json::from_slice(&text)
            .map_err(|e| damaged(path, &format!("it does not have the shape of one: {e}")))
    }

    fn check_format(&self, path: &Path) -> Result<()> {
        let digits = self.0.strip_prefix(OPENING).and_then(|rest| rest.split(|byte| *byte == b',').next());
        let format = digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u32>().ok());
        match format {
            Some(FORMAT) => Ok(()),
            Some(newer) if newer > FORMAT => Err(Error::refused(
                path.display(),
                format_args!("is a checkpoint of format {newer}; this program knows format {FORMAT} only"),
            )
            .advise("continue with the newer version of bivouac that wrote it")
            .or(Advice::StartAfresh)),
            Some(_) | None => Err(damaged(path, "it does not begin as one")),
        }
    }

    /// Everything before the checksum, if the checksum is right. The comparison is of text, so
    /// that an upper-case digit is damage too: exactly one sequence of bytes verifies.
    fn checked_body(&self) -> Option<&[u8]> {
        let trailer = CHECKSUM.len() + HEX_DIGITS + CLOSING.len();
        let (body, trailer) = self.0.split_at_checked(self.0.len().checked_sub(trailer)?)?;
        let checksum = trailer.strip_prefix(CHECKSUM.as_bytes())?.strip_suffix(CLOSING.as_bytes())?;
        let right = blake3::hash(body).to_hex();
        (checksum == right.as_bytes() && body.ends_with(b",\n")).then_some(body)
    }
}

fn damaged(path: &Path, how: &str) -> Error {
    Error::refused(path.display(), format_args!("the checkpoint is damaged: {how}"))
        .advise("nothing was changed; bring the file back from a backup")
        .or(Advice::StartAfresh)
}

#[cfg(test)]
pub(crate) mod tests;
