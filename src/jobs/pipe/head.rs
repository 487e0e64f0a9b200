//! The first lines of what each command prints, once in the output.
//!
//! A command that reads a table prints the names of its columns, and so does each of its copies. The obvious way is to
//! drop the first line of every chunk but the first. But the first chunk may print nothing, and a column that only some
//! chunks have would be lost without a word. So each task hands its header over apart, with a digest of it in its
//! report, and the commit thread drops what was printed before, or ends the job where it is another one.
//!
//! The pieces of such a job carry a byte at their end that says which kind they are.

use super::compress::{Frame, PackReception, Packing};
use crate::jobs::attempts::{Reception, Rest};
use crate::jobs::words::Passing;
use bivouac::{Context, Error, Mark, Result as JobResult, TaskError};
use serde::{Deserialize, Serialize};

const HEAD: u8 = 1;
const BODY: u8 = 0;

/// More is no header; it is kept in memory.
const LARGEST: usize = 16 << 20;

/// What a task says of the header that its command printed; `None` if it printed nothing.
pub(crate) type Reported = Option<Head>;

/// A header, and the place in the input where the command that printed it was.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Head {
    digest: Mark,
    place: String,
}

impl Head {
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

/// Hands over the first lines apart, and the rest as it is or compressed.
pub(super) struct HeadReception<'a, 'b> {
    cx: &'a Context<'b>,
    passing: Passing<'a, 'b>,
    packing: Option<(Packing, PackReception<'a, 'b>)>,
    /// Bytes of the header, compressed.
    packed: usize,
    lines: u64,
    /// Lines of the header that are to come.
    left: u64,
    head: Vec<u8>,
}

impl<'a, 'b> HeadReception<'a, 'b> {
    pub(super) fn new(cx: &'a Context<'b>, lines: u64, packing: Option<Packing>) -> Self {
        let packing = packing.map(|packing| (packing, PackReception::new(cx, packing, Some(BODY))));
        Self { cx, passing: Passing::new(cx), packing, packed: 0, lines, left: lines, head: Vec::new() }
    }

    pub(super) fn reported(&self, place: &str) -> Reported {
        let digest = || Mark(*blake3::hash(&self.head).as_bytes());
        (!self.head.is_empty()).then(|| Head { digest: digest(), place: place.to_string() })
    }

    /// The frame of the header, and those after it, if the output is compressed.
    pub(super) fn frames(&self) -> Option<(Frame, Vec<Frame>)> {
        let (_, body) = self.packing.as_ref()?;
        Some(([self.packed as u32, self.head.len() as u32], body.frames.clone()))
    }

    fn emit_head(&mut self) -> Result<(), TaskError> {
        let mut piece = self.head.clone();
        if let Some((packing, _)) = &self.packing {
            piece = packing.to.pack(&piece)?;
            self.packed = piece.len();
        }
        piece.push(HEAD);
        self.cx.emit(piece)
    }
}

impl Reception for HeadReception<'_, '_> {
    fn begin(&mut self) -> Result<(), TaskError> {
        *self = Self::new(self.cx, self.lines, self.packing.as_ref().map(|(packing, _)| *packing));
        self.passing.begin()
    }

    fn out(&mut self, mut piece: Vec<u8>) -> Result<(), TaskError> {
        while self.left > 0 && !piece.is_empty() {
            let line = memchr::memchr(b'\n', &piece).map(|at| at + 1);
            self.head.extend(piece.drain(..line.unwrap_or(piece.len())));
            self.left -= u64::from(line.is_some());
            if self.head.len() > LARGEST {
                let problem = format_args!("has more than {LARGEST} bytes");
                return Err(Error::broken("the header of the output", problem).into());
            }
            if self.left == 0 {
                self.emit_head()?;
            }
        }
        if piece.is_empty() {
            return Ok(());
        }
        if let Some((_, body)) = &mut self.packing {
            return body.out(piece);
        }
        piece.push(BODY);
        self.cx.emit(piece)
    }

    fn err(&mut self, bytes: &[u8]) {
        self.passing.err(bytes);
    }

    fn rest(&mut self) -> Result<Rest, TaskError> {
        if self.left > 0 && !self.head.is_empty() {
            self.emit_head()?;
        }
        if let Some((_, body)) = &mut self.packing {
            body.rest()?;
        }
        self.passing.rest()
    }
}
