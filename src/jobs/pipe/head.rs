//! Headers: the first lines of each command's output, which come once in the output of the job.
//!
//! A command that reads a table prints the names of its columns, and so does each of its copies. The obvious way is to
//! drop the first line of every chunk but the first. But the first chunk may print nothing, and a column that only some
//! chunks have would be lost without a word. So each task hands its header over apart, with a digest of it in its
//! report, and the commit thread drops what was printed before, or ends the job where it is another one.
//!
//! The pieces of such a job carry a byte at their end that says which kind they are.

use super::compress::Packing;
use super::told::Told;
use crate::jobs::attempts::{Reception, Rest};
use crate::jobs::words::Passing;
use bivouac::{Context, Error, Mark, Result as JobResult, TaskError};
use serde::{Deserialize, Serialize};

const HEAD: u8 = 1;
pub(super) const BODY: u8 = 0;

/// How many bytes a header may have. It is kept in memory.
const LARGEST: usize = 16 << 20;

/// The report of a task about the header of its command; `None` if the command printed nothing.
pub(crate) type Reported = Option<Head>;

/// A header, and the place in the input where the command that printed it was.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Head {
    digest: Mark,
    place: String,
}

impl Head {
    /// `None` if the command printed nothing.
    pub(super) fn of(printed: &[u8], place: &str) -> Reported {
        let digest = || Mark(*blake3::hash(printed).as_bytes());
        (!printed.is_empty()).then(|| Self { digest: digest(), place: place.to_string() })
    }

    pub(super) fn mark(self) -> Mark {
        self.digest
    }

    pub(super) fn agrees_with(&self, before: Option<Mark>) -> JobResult<()> {
        if before.is_none_or(|before| before == self.digest) {
            return Ok(());
        }
        Err(Error::broken(&self.place, "what its command printed begins with another header than before")
            .advise("a command must print the same header whatever its records are"))
    }
}

/// The piece as it stands in the output.
pub(super) fn render(was_printed: bool, mut piece: Vec<u8>) -> Vec<u8> {
    match piece.pop() {
        Some(HEAD) if was_printed => Vec::new(),
        Some(_) | None => piece,
    }
}

/// Hands over the first lines apart, compressed if the output is, and the rest to `to`.
pub(super) struct HeadReception<'a, 'b> {
    cx: &'a Context<'b>,
    packing: Option<Packing>,
    lines: u64,
    /// Lines of the header that are to come.
    left: u64,
    told: &'a Told,
    to: Box<dyn Reception + 'a>,
}

impl<'a, 'b> HeadReception<'a, 'b> {
    pub(super) fn new(
        cx: &'a Context<'b>,
        (lines, packing): (u64, Option<Packing>),
        told: &'a Told,
        to: Box<dyn Reception + 'a>,
    ) -> Self {
        Self { cx, packing, lines, left: lines, told, to }
    }

    fn emit_head(&self) -> Result<(), TaskError> {
        let mut piece = self.told.head.borrow().clone();
        if let Some(packing) = self.packing {
            piece = packing.to.pack(&piece)?;
            self.told.packed_head.set(piece.len());
        }
        piece.push(HEAD);
        self.cx.emit(piece)
    }
}

impl Reception for HeadReception<'_, '_> {
    fn begin(&mut self) -> Result<(), TaskError> {
        self.left = self.lines;
        self.told.head.borrow_mut().clear();
        self.told.packed_head.set(0);
        self.to.begin()
    }

    fn out(&mut self, mut piece: Vec<u8>) -> Result<(), TaskError> {
        while self.left > 0 && !piece.is_empty() {
            let line = memchr::memchr(b'\n', &piece).map(|at| at + 1);
            let mut head = self.told.head.borrow_mut();
            head.extend(piece.drain(..line.unwrap_or(piece.len())));
            self.left -= u64::from(line.is_some());
            if head.len() > LARGEST {
                let problem = format_args!("has more than {LARGEST} bytes");
                return Err(Error::broken("the header of the output", problem).into());
            }
            drop(head);
            if self.left == 0 {
                self.emit_head()?;
            }
        }
        if piece.is_empty() { Ok(()) } else { self.to.out(piece) }
    }

    fn err(&mut self, bytes: &[u8]) {
        self.to.err(bytes);
    }

    fn rest(&mut self) -> Result<Rest, TaskError> {
        if self.left > 0 && !self.told.head.borrow().is_empty() {
            self.emit_head()?;
        }
        self.to.rest()
    }
}

/// Emits the output after the header.
pub(super) struct Flagged<'a, 'b>(pub(super) Passing<'a, 'b>);

impl Reception for Flagged<'_, '_> {
    fn begin(&mut self) -> Result<(), TaskError> {
        self.0.begin()
    }

    fn out(&mut self, mut piece: Vec<u8>) -> Result<(), TaskError> {
        piece.push(BODY);
        self.0.out(piece)
    }

    fn err(&mut self, bytes: &[u8]) {
        self.0.err(bytes);
    }

    fn rest(&mut self) -> Result<Rest, TaskError> {
        self.0.rest()
    }
}
