//! The record: what a checkpoint says, and its bytes.
//!
//! The obvious store is a database. But a checkpoint is small, it is replaced as a whole about once a second,
//! and `status` must read it while a run holds the state. One text file that a rename replaces is enough for
//! that, and you can read it with `less`. A text file cannot tell whether it is still what was written; the
//! checksum at its end can.
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
//! The checksum is over bytes, not over values. So nothing needs a canonical form, and a file that verifies
//! is byte for byte what was written. The checks come in this order:
//!
//! 1. the format number, by its place in the file, before anything else is interpreted: a newer
//!    program may have changed everything but this line, so its record is refused, not "repaired";
//! 2. the checksum, before any parser sees the rest;
//! 3. the shape. A record that verifies but does not parse was written by a faulty program.
//!
//! Bytes that have not passed these checks are an [`Unverified`]; there is no other way from bytes to a
//! [`Record`].

use crate::durable::task_set::Tasks;
use crate::error::{Advice, Error, Result};
use crate::task::{Committed, Mark};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// The format that this program writes, and the only one that it reads.
pub const FORMAT: u32 = 1;

/// What stands in [`Record::program`].
pub const PROGRAM: &str = concat!("bivouac ", env!("CARGO_PKG_VERSION"));

/// How every record begins.
pub(crate) const OPENING: &[u8] = b"{\n  \"format\": ";
const CHECKSUM: &str = "  \"checksum\": \"";
const CLOSING: &str = "\"\n}\n";
const HEX_DIGITS: usize = 64;

/// Everything that a later run needs in order to go on where this one was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// What identifies the inputs ([`crate::Listing::described`]).
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
    /// Tasks completed ahead of the frontier, each with a file of its own, as versions before 0.2 kept them.
    #[serde(rename = "beyond")]
    pub spilled_files: Vec<SpilledFile>,
    /// Tasks completed ahead of the frontier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ahead: Option<Ahead>,
    /// Tasks committed ahead of the frontier, of a job whose tasks are committed as
    /// they end.
    #[serde(default, skip_serializing_if = "Tasks::is_empty")]
    pub finished: Tasks,
    /// Of the committed tasks those that failed, of a job that may try them again.
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
    /// What the sink has made durable; `None` if the job writes no output that lasts.
    pub output: Option<Committed>,
    /// When the record was written: seconds since 1970, for people. Nothing depends on it.
    pub saved_at: u64,
}

/// How far a job has come towards its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Phase {
    /// There are tasks to do.
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

/// A task completed ahead of the frontier, whose output is in a file of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpilledFile {
    /// The number of the task.
    pub task: u64,
    /// Its mark ([`crate::Listed::mark`]).
    pub mark: Option<Mark>,
    /// The name of its file in the spill directory.
    pub file: String,
    /// The length of that file.
    pub bytes: u64,
    /// The CRC-32 of that file.
    pub crc32: u32,
}

/// Tasks completed ahead of the frontier, whose results wait in segments ([`state_dir`](crate::state_dir)) until it is
/// their turn.
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

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
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
            journal_bytes: 0,
            phase: Phase::Working,
            epoch: 1,
            seq: 0,
            frontier: 0,
            mark: None,
            spilled_files: Vec::new(),
            ahead: None,
            finished: Tasks::default(),
            failing: Tasks::default(),
            reach: None,
            whole: None,
            total: Value::Null,
            failed: 0,
            input_bytes: 0,
            tasks: None,
            output: None,
            saved_at: now.as_secs(),
        }
    }

    /// How many tasks are committed, on either side of a hole.
    pub fn committed(&self) -> u64 {
        self.frontier + self.finished.len()
    }

    /// How many tasks completed ahead of the frontier are kept.
    pub fn kept(&self) -> u64 {
        self.spilled_files.len() as u64 + self.ahead.as_ref().map_or(0, |ahead| ahead.tasks.len())
    }

    /// Whether this task is one of them.
    pub(crate) fn keeps(&self, task: u64) -> bool {
        self.ahead.as_ref().is_some_and(|ahead| ahead.tasks.contains(task))
            || self.spilled_files.iter().any(|file| file.task == task)
    }

    /// These tasks.
    pub(crate) fn kept_tasks(&self) -> Tasks {
        let mut tasks = self.ahead.as_ref().map(|ahead| ahead.tasks.clone()).unwrap_or_default();
        self.spilled_files.iter().for_each(|file| {
            tasks.insert(file.task);
        });
        tasks
    }

    /// The furthest task that was among them.
    pub(crate) fn last_kept(&self) -> Option<Last> {
        let old = self.spilled_files.iter().map(|file| Last { task: file.task, mark: file.mark });
        old.chain(self.ahead.as_ref().map(|ahead| ahead.last)).max_by_key(|last| last.task)
    }

    /// The bytes of the file (see the [module](self)).
    ///
    /// # Errors
    ///
    /// A total, a fingerprint or a description of inputs that JSON cannot express.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let mut text = serde_json::to_string_pretty(self)
            .map_err(|e| Error::broken("checkpoint", format_args!("cannot be put into JSON: {e}")))?;
        text.truncate(text.len() - "\n}".len());
        text.push_str(",\n");
        let checksum = blake3::hash(text.as_bytes()).to_hex();
        text.push_str(CHECKSUM);
        text.push_str(&checksum);
        text.push_str(CLOSING);
        Ok(text.into_bytes())
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

    /// The record, if these bytes are one. `path` is named in errors.
    ///
    /// # Errors
    ///
    /// [`Kind::Refused`](crate::error::Kind::Refused): another format, a wrong checksum, another
    /// shape, in this order.
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
pub(crate) mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::task::Stretch;
    use serde_json::json;

    pub(crate) fn sample() -> Record {
        Record {
            format: FORMAT,
            program: "bivouac 0.1.0".into(),
            run: "5f1c".into(),
            job: "grep".into(),
            fingerprint: json!({"pattern": "a|b", "invert": false}),
            inputs: json!([{"path": "in.txt", "bytes": 9}]),
            journal_bytes: 0,
            phase: Phase::Working,
            epoch: 2,
            seq: 17,
            frontier: 3,
            mark: None,
            spilled_files: vec![SpilledFile {
                task: 5,
                mark: Some(Mark([7; 32])),
                file: "5".into(),
                bytes: 4,
                crc32: 99,
            }],
            ahead: None,
            finished: Tasks::default(),
            failing: Tasks::default(),
            reach: None,
            whole: None,
            total: json!({"lines": 12, "mean": 0.1}),
            failed: 0,
            input_bytes: 12_582_912,
            tasks: Some(8),
            output: Some(Committed {
                bytes: 6,
                stretches: vec![Stretch { bytes: 6, crc32: 1 }],
                tail: "YWJjZGVm".into(),
                of_next: 0,
            }),
            saved_at: 1_796_000_000,
        }
    }

    fn parse(bytes: &[u8]) -> Result<Record> {
        Unverified::new(bytes.to_vec()).verify(Path::new("s/checkpoint.json"))
    }

    /// The format is a promise to other versions: a change of these bytes must raise [`FORMAT`].
    const GOLDEN: &str = r#"{
  "format": 1,
  "program": "bivouac 0.1.0",
  "run": "5f1c",
  "job": "grep",
  "fingerprint": {
    "invert": false,
    "pattern": "a|b"
  },
  "inputs": [
    {
      "bytes": 9,
      "path": "in.txt"
    }
  ],
  "phase": "working",
  "epoch": 2,
  "seq": 17,
  "frontier": 3,
  "mark": null,
  "beyond": [
    {
      "task": 5,
      "mark": "0707070707070707070707070707070707070707070707070707070707070707",
      "file": "5",
      "bytes": 4,
      "crc32": 99
    }
  ],
  "total": {
    "lines": 12,
    "mean": 0.1
  },
  "failed": 0,
  "input_bytes": 12582912,
  "tasks": 8,
  "output": {
    "bytes": 6,
    "stretches": [
      {
        "bytes": 6,
        "crc32": 1
      }
    ],
    "tail": "YWJjZGVm"
  },
  "saved_at": 1796000000,
  "checksum": "2171349490bba844bfbd768f34d5fd9c8504f6c903931598b1cc271db745b0e5"
}
"#;

    #[test]
    fn the_bytes_are_the_documented_ones() {
        let encoded = String::from_utf8(sample().encode().unwrap()).unwrap();
        assert_eq!(encoded, GOLDEN);
        assert_eq!(parse(GOLDEN.as_bytes()).unwrap(), sample());
    }

    #[test]
    fn phases_and_exact_floats_survive() {
        for phase in [Phase::Working, Phase::Finalizing { code: 0 }, Phase::Done { code: 1 }] {
            let total = json!([0.1 + 0.2, 1.0 / 3.0, 123_456_789.123_456_79, u64::MAX]);
            let record = Record { phase, total, ..sample() };
            assert_eq!(parse(&record.encode().unwrap()).unwrap(), record);
        }
    }

    #[test]
    fn no_flipped_bit_goes_unnoticed() {
        let bytes = sample().encode().unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let error = parse(&flipped).expect_err("every byte of the file counts");
            assert_eq!(error.kind(), Kind::Refused, "bit {bit}: {error}");
        }
    }

    #[test]
    fn no_cut_and_no_addition_goes_unnoticed() {
        let bytes = sample().encode().unwrap();
        for length in 0..bytes.len() {
            assert_eq!(parse(&bytes[..length]).unwrap_err().kind(), Kind::Refused, "cut to {length}");
        }
        assert!(parse(&[&bytes[..], b"\n"].concat()).is_err());
    }

    #[test]
    fn a_newer_format_is_refused_before_anything_else_is_looked_at() {
        let error = parse(b"{\n  \"format\": 2,\n  nothing that we know").unwrap_err();
        assert_eq!(error.kind(), Kind::Refused);
        assert!(
            error.to_string().contains("format 2") && error.to_string().contains("newer version"),
            "{error}"
        );
    }

    #[test]
    fn a_damaged_record_is_named_and_the_way_out_too() {
        let text = parse(b"").unwrap_err().to_string();
        assert!(text.contains("s/checkpoint.json") && text.contains("start over"), "{text}");
    }

    #[test]
    fn a_right_checksum_does_not_make_a_record() {
        let body = "{\n  \"format\": 1,\n  \"program\": 5,\n";
        let file = format!("{body}{CHECKSUM}{}{CLOSING}", blake3::hash(body.as_bytes()).to_hex());
        let error = parse(file.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("shape"), "{error}");
    }
}
