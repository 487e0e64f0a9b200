//! `bivouac pipe`: each chunk of the input through a command, the outputs in input order.
//!
//! A filter that treats every record by itself (`jq`, `tr`, `awk '{…}'`, `grep`) gives the same
//! output whether it reads the input in one go or in pieces that end between records. This verb relies on that alone: it
//! cuts the input between records, runs several copies of the filter at once, and puts their outputs in order again. A
//! filter that sums up, sorts or numbers lines does so per chunk, and the verb cannot know. So the size of the chunks is
//! part of the record, and a continued run cuts in the same places.

mod beside;
mod compress;
mod head;
mod merge;
mod outputs;
mod part;
mod pieces;
mod report;
mod told;

pub(crate) use self::beside::Files;
pub(crate) use self::compress::{Asked, Compress, Packing};
pub(crate) use self::merge::{MergeSource, Merging};
pub(crate) use self::outputs::{Outputs, Parts, To};
pub(crate) use self::pieces::Pieces;
use self::report::{Report, Total};
use self::told::Told;
use crate::jobs::argv;
use crate::jobs::attempts::{Terms, Then, Waiting};
use bivouac::input::Chunk;
use bivouac::process::{Command, Feed};
use bivouac::{Context, Job, Result as JobResult, TaskError};
use serde_json::{Value, json};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Number and largest size of the chunks by default. They are fewer and larger than where the program itself looks
/// at the bytes, since every chunk starts a command: 256 MiB through `jq` take 7.1 s in 64 blocks and 5.9 s in 16,
/// and with blocks of a mebibyte the starts of `grep` were two thirds of the time.
pub(crate) const PARTS: (f64, u64) = (16.0, 16 << 20);

/// The job. With a header ([`Chunk::header`]), each command reads that first. Its source: the inputs, cut between records.
#[derive(Debug)]
pub(crate) struct Pipe {
    command: Command,
    /// Whether its words name the number or the slot of a chunk.
    is_numbered: bool,
    terms: Terms,
    outputs: Outputs,
    waiting: Waiting<Work>,
}

/// The input and the report of a task that waits.
#[derive(Debug)]
struct Work {
    /// `None` if the task does not need it any more: it may be large.
    chunk: Option<Chunk>,
    report: Report,
}

impl Pipe {
    pub(crate) fn new(command: Command, terms: Terms, outputs: Outputs) -> Self {
        let is_numbered = command.argv().any(|word| numbered(word, 1, 1).is_some());
        Self { command, is_numbered, terms, outputs, waiting: Waiting::default() }
    }
}

impl Pipe {
    /// A hint for programs that end with a code other than 0 without a failure, such as grep.
    fn advice(&self, why: &str) -> &'static str {
        let program = self.command.program();
        let name =
            std::path::Path::new(&program).file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_grep = ["grep", "egrep", "fgrep", "zgrep", "rg"].contains(&name.as_str());
        if is_grep && why.lines().next() == Some("ended with code 1") {
            return " (no match? --ok-codes 0,1)";
        }
        if self.command.argv().any(|word| word == "{}") {
            return " ({}: a chunk comes on standard input)";
        }
        ""
    }

    /// The command of a chunk: {#} and {%} in its words are filled, and it has them as variables.
    fn command_of(&self, cx: &Context<'_>) -> Command {
        let number = cx.task() + 1;
        let slot = cx.slot().unwrap_or(1);
        let filled = self.is_numbered.then(|| {
            let words = self.command.argv();
            Command::new(
                words.map(|word| numbered(word, number, slot).unwrap_or_else(|| word.to_os_string())),
            )
        });
        let command = filled.flatten().unwrap_or_else(|| self.command.clone());
        command.variable(format!("BIVOUAC_SEQ={number}")).variable(format!("BIVOUAC_SLOT={slot}"))
    }
}

/// A word with {#} or {%} in it, filled. `${#}` is of a shell.
fn numbered(word: &OsStr, number: u64, slot: usize) -> Option<OsString> {
    let (mut rest, mut filled, mut any) = (word.as_bytes(), Vec::new(), false);
    while let Some(at) = memchr::memchr(b'{', rest) {
        let (before, from) = rest.split_at(at);
        let value = match from.get(..3) {
            Some(b"{#}") if !before.ends_with(b"$") => Some(number.to_string()),
            Some(b"{%}") if !before.ends_with(b"$") => Some(slot.to_string()),
            Some(_) | None => None,
        };
        any |= value.is_some();
        filled.extend_from_slice(before);
        filled.extend_from_slice(value.as_ref().map_or(b"{", |value| value.as_bytes()));
        rest = &from[value.map_or(1, |_| 3)..];
    }
    filled.extend_from_slice(rest);
    any.then(|| OsString::from_vec(filled))
}

/// Describes a job with this fingerprint in a refusal, also a job that merges.
fn describe(fingerprint: &Value) -> Option<String> {
    let command = argv::shown(&fingerprint["command"]);
    let mut text = format!("the command `{command}`");
    if let Some(lines) = fingerprint["output_header"].as_u64() {
        text += &format!(" with an output header of {lines}");
    }
    if let Some(compress) = fingerprint["compress"].as_str() {
        text += &format!(" with --compress {compress}");
    }
    if !fingerprint["split_output"].is_null() {
        text += &format!(" with --split-output {}", argv::shown(&fingerprint["split_output"]));
    }
    if !fingerprint["merge"].is_null() {
        text += &format!(" with --merge `{}`", argv::shown(&fingerprint["merge"]));
    }
    Some(text)
}

impl Job for Pipe {
    type Task = Chunk;
    type Partial = Report;
    type Total = Total;

    fn name(&self) -> &str {
        "pipe"
    }

    fn fingerprint(&self) -> Value {
        // The number of a chunk is as fixed as the chunk; the slot is not, as its documentation says.
        //
        // How often and how long a command may try changes no byte of what it prints in the end. Neither
        // do the codes that mean "done": with other ones the same command prints the same, and only
        // another of its endings is accepted. A user who learns from the first chunk without a match that
        // `grep` ends with 1 there adds `--ok-codes 0,1`, and goes on.
        let mut options = json!({ "command": argv::to_record(self.command.argv()) });
        if self.outputs.header > 0 {
            options["output_header"] = self.outputs.header.into();
        }
        if let Some(compress) = self.outputs.compress {
            options["compress"] = compress.to_string().into();
        }
        if let To::Parts(parts) = &self.outputs.to {
            options["split_output"] = argv::to_record([parts.template()]);
        }
        options
    }

    fn describe(&self, fingerprint: &Value) -> Option<String> {
        describe(fingerprint)
    }

    fn run(&self, chunk: Chunk, cx: &Context<'_>) -> Result<Report, TaskError> {
        self.attempt(chunk, 1, cx)
    }

    fn settle(&self, cx: &Context<'_>) -> Result<Report, TaskError> {
        let (work, suspect) = self.waiting.suspect(cx)?;
        let place = suspect.note().to_string();
        let then = self.terms.settle(cx, *suspect);
        self.conclude(work, &place, then, cx)
    }

    fn again(&self, cx: &Context<'_>) -> Result<Report, TaskError> {
        let (work, attempt) = self.waiting.retry(cx)?;
        work.chunk.map_or(Err(TaskError::Cancelled), |chunk| self.attempt(chunk, attempt, cx))
    }

    fn accept(&self, before: &Total, report: &Report) -> JobResult<()> {
        before.accept(report)
    }

    fn render(&self, before: &Total, piece: Vec<u8>) -> Vec<u8> {
        self.outputs.render(before.header().is_some(), piece)
    }

    fn fold(&self, total: &mut Total, report: Report, out: &mut Vec<u8>) {
        match report {
            Report::Part(part) => part.write(out),
            Report::Packed(_) | Report::Plain(_) => total.take(report, self.outputs.compress),
        }
    }

    fn finish(&self, total: &mut Total, out: &mut Vec<u8>) {
        out.extend(self.outputs.end(total));
    }
}

impl Pipe {
    fn attempt(&self, chunk: Chunk, attempt: u32, cx: &Context<'_>) -> Result<Report, TaskError> {
        let range = chunk.aligned_in(cx)?;
        if range.is_empty() {
            // A record that begins in an earlier chunk goes through all of this one.
            return self.outputs.nothing(cx.task()).map(|()| Report::Plain(None));
        }
        let feed = match (chunk.bytes(), chunk.file()) {
            (Some(bytes), _) => Feed::Bytes(bytes),
            (None, Some(file)) => Feed::File { file: file.descriptor()?, range: range.clone() },
            (None, None) => Feed::Nothing,
        };
        let feed = match chunk.header() {
            [] => feed,
            head => Feed::After { head, then: Box::new(feed) },
        };
        let place = format!("{}, bytes {} to {}", chunk.path().display(), range.start, range.end);
        let command = self.command_of(cx);
        let told = Told::default();
        let mut to = self.outputs.of_chunk(cx, &told);
        let then = self.terms.run(cx, &command, &feed, (attempt, &place, place.clone()), &mut *to);
        drop(to);
        let report = match &self.outputs.to {
            To::Output | To::Pieces(_) => self.outputs.report(&told, &place),
            To::Parts(parts) => Report::Part(parts.line(cx.task() + 1, &told, (chunk.path(), range.start))),
        };
        let chunk = match then.is_last() {
            false => Some(chunk),
            true => {
                // If the command read other bytes than those that were listed, its output does not count.
                if then.may_be_done() {
                    chunk.verify_unchanged()?;
                }
                None
            }
        };
        self.conclude(Work { chunk, report }, &place, then, cx)
    }

    fn conclude(&self, work: Work, place: &str, then: Then, cx: &Context<'_>) -> Result<Report, TaskError> {
        let report = work.report.clone();
        self.waiting.keep(cx, work, then).map(|()| report).map_err(|error| match error {
            TaskError::Failed(why) => {
                let advice = self.advice(&why);
                TaskError::Failed(format!("{place}: {}: {why}{advice}", argv::typed(&self.command)))
            }
            TaskError::Cancelled | TaskError::Fatal(_) | TaskError::Held { .. } | TaskError::Again(_) => {
                error
            }
        })
    }
}
