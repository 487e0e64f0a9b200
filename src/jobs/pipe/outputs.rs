//! The way of a command's output: into the output of the job, or into a file of its own; compressed, or without its header.

use super::compress::{PackReception, Packing};
use super::head::{self, BODY, Flagged, HeadReception};
use super::part::{IfFailed, PartReception};
use super::pieces::Pieces;
use super::report::{Report, Total};
use super::told::{Part, Told};
use crate::jobs::argv;
use crate::jobs::attempts::Reception;
use crate::jobs::words::Passing;
use bivouac::{Context, Error, Result, TaskError};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The destination and the form of the output of the commands.
#[derive(Debug, Default)]
pub(crate) struct Outputs {
    /// How many lines of each output are printed once for all.
    pub(crate) header: u64,
    pub(crate) compress: Option<Packing>,
    pub(crate) to: To,
}

#[derive(Debug, Default)]
pub(crate) enum To {
    /// In order, into the output of the job.
    #[default]
    Output,
    /// Each into a file of its own, and the output is the list of these files.
    Parts(Parts),
    /// Each into a file of the state, to be merged.
    Pieces(Arc<Pieces>),
}

impl Outputs {
    /// Takes the output of the command of a chunk.
    pub(super) fn of_chunk<'a>(&'a self, cx: &'a Context<'_>, told: &'a Told) -> Box<dyn Reception + 'a> {
        let body = self.body(&self.to, cx, told);
        match (self.header, &self.to) {
            // Each part is a whole file, with its header.
            (0, _) | (_, To::Parts(_)) => body,
            (lines, To::Output | To::Pieces(_)) => {
                Box::new(HeadReception::new(cx, (lines, self.compress), told, body))
            }
        }
    }

    /// Notes a chunk for which no command runs.
    pub(super) fn nothing(&self, task: u64) -> std::result::Result<(), TaskError> {
        match &self.to {
            To::Output | To::Parts(_) => Ok(()),
            To::Pieces(pieces) => Ok(pieces.put_nothing(task)?),
        }
    }

    /// A piece as it stands in the output.
    pub(super) fn render(&self, has_header: bool, piece: Vec<u8>) -> Vec<u8> {
        if self.header == 0 { piece } else { head::render(has_header, piece) }
    }

    /// Takes output that has no header.
    pub(super) fn body<'a>(
        &'a self,
        to: &'a To,
        cx: &'a Context<'_>,
        told: &'a Told,
    ) -> Box<dyn Reception + 'a> {
        let tag = (self.header > 0).then_some(BODY);
        match (to, self.compress) {
            (To::Output, Some(packing)) => {
                Box::new(PackReception::new(cx, (packing, tag), Box::new(Passing::new(cx)), Some(told)))
            }
            (To::Output, None) if tag.is_some() => Box::new(Flagged(Passing::new(cx))),
            (To::Output, None) => Box::new(Passing::new(cx)),
            (To::Parts(parts), packing) => {
                let path = parts.path(cx.task() + 1);
                let file = Box::new(PartReception::new(cx, path, IfFailed::Nothing, &told.bytes));
                match packing {
                    Some(packing) => {
                        Box::new(PackReception::new(cx, (packing, None), file, Some(told)).never_empty())
                    }
                    None => file,
                }
            }
            (To::Pieces(pieces), _) => {
                let file = PartReception::new(cx, pieces.path(cx.task()), IfFailed::Empty, &told.bytes);
                Box::new(PackReception::fastest(cx, Box::new(file)))
            }
        }
    }

    pub(super) fn report(&self, told: &Told, place: &str) -> Report {
        Report::of(told, self.compress, place)
    }

    /// The bytes that end the output, after that of all chunks.
    pub(super) fn end(&self, total: &Total) -> Vec<u8> {
        match (&self.to, self.compress) {
            (To::Output | To::Pieces(_), Some(packing)) => total.end(packing),
            (To::Output | To::Pieces(_), None) | (To::Parts(_), _) => Vec::new(),
        }
    }
}

/// The names of the files of `--split-output`, with {#} for the number.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    dir: PathBuf,
    before: String,
    after: String,
}

const NUMBER: &str = "{#}";

/// The list of the parts stands beside them.
const LIST: &str = "manifest.jsonl";

impl Parts {
    /// # Errors
    ///
    /// The name has no {#}, or has it in the name of a directory.
    pub(crate) fn new(template: &OsStr) -> Result<Self> {
        let path = Path::new(template);
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        let dir = path.parent().unwrap_or(Path::new("")).to_path_buf();
        let is_in = |text: &str| text.contains(NUMBER);
        match name.split_once(NUMBER) {
            Some((before, after)) if !is_in(after) && !is_in(&dir.to_string_lossy()) => {
                Ok(Self { dir, before: before.to_string(), after: after.to_string() })
            }
            Some(_) | None => {
                Err(Error::usage("--split-output", "needs one {#} after the last /: the number of the chunk")
                    .advise("for example DIR/part-{#}.csv"))
            }
        }
    }

    /// Where the list of the parts is.
    pub(crate) fn list(template: &OsStr) -> PathBuf {
        let name = Path::new(template).file_name().unwrap_or_default().to_string_lossy().into_owned();
        let before = name.split_once(NUMBER).map_or(name.as_str(), |(before, _)| before);
        Path::new(template).with_file_name(format!("{before}{LIST}"))
    }

    fn name(&self, number: u64) -> String {
        format!("{}{number}{}", self.before, self.after)
    }

    fn path(&self, number: u64) -> PathBuf {
        self.dir.join(self.name(number))
    }

    pub(super) fn template(&self) -> OsString {
        self.dir.join(format!("{}{NUMBER}{}", self.before, self.after)).into_os_string()
    }

    pub(super) fn line(&self, number: u64, told: &Told, (input, offset): (&Path, u64)) -> Part {
        let name = self.name(number);
        Part { number, name, bytes: told.bytes.get(), input: argv::to_record([input])[0].take(), offset }
    }
}
