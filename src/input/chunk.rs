//! A block of an input as a task has it: where it is in a file, or the bytes themselves if they came from a
//! stream.

use super::chunks::Cut;
use super::file::InputFile;
use super::pieces::Pieces;
use super::resolved::Inputs;
use std::ops::Range;
use std::sync::Arc;

/// A block of an input: the task of a job that reads files.
#[derive(Debug)]
pub struct Chunk {
    /// Which of the inputs, from 0, in the order given.
    pub file_index: usize,
    /// Whether this is the first chunk of its file. Every file has at least one chunk, even an
    /// empty one.
    pub first_in_file: bool,
    /// Whether this is the last chunk of its file.
    pub last_in_file: bool,
    /// What is known of all inputs together.
    pub inputs: Arc<Inputs>,
    pub(super) data: Data,
    pub(super) cut: Cut,
}

#[derive(Debug)]
pub(super) enum Data {
    File { file: Arc<InputFile>, range: Range<u64> },
    Bytes(Vec<u8>),
}

impl Chunk {
    /// Reads the chunk in pieces of about [`PIECE`](super::PIECE) bytes; at line ends, if it was cut so.
    pub fn pieces(&self) -> Pieces<'_> {
        Pieces::new(self)
    }

    /// The bytes that the chunk covers before its edges are aligned, if it is one of a regular file.
    pub fn range(&self) -> Option<Range<u64>> {
        match &self.data {
            Data::File { range, .. } => Some(range.clone()),
            Data::Bytes(_) => None,
        }
    }
}
