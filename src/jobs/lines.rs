//! Whole lines of several commands, mixed as they come.
//!
//! Usually the commit thread keeps the outputs of commands apart, command by command. Lines that must be seen at once take
//! the direct way: a worker with a whole line writes it, one worker at a time. Such a line cannot be taken back by another
//! attempt, and no later run continues it.

use bivouac::sink::StreamSink;
use bivouac::{Result, Sink};
use std::sync::{Mutex, PoisonError};

/// A line that has not ended is kept up to this size; what is longer comes in pieces.
const LONGEST: usize = 1 << 20;

/// Standard output, shared by all commands.
#[derive(Debug)]
pub(crate) struct Lines(Mutex<StreamSink>);

impl Lines {
    pub(crate) fn new(sink: StreamSink) -> Self {
        Self(Mutex::new(sink))
    }

    /// Writes these bytes in one piece, between the lines of other commands.
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }
}

/// The beginning of a line that a command has not ended yet.
#[derive(Debug, Default)]
pub(crate) struct Partial(Vec<u8>);

impl Partial {
    /// Adds `piece`, and takes out all complete lines: everything up to the last newline.
    pub(crate) fn take(&mut self, piece: &[u8]) -> Vec<u8> {
        let Some(end) = memchr::memrchr(b'\n', piece) else {
            self.0.extend_from_slice(piece);
            return if self.0.len() > LONGEST { self.end() } else { Vec::new() };
        };
        let mut lines = std::mem::take(&mut self.0);
        lines.extend_from_slice(&piece[..=end]);
        self.0.extend_from_slice(&piece[end + 1..]);
        lines
    }

    pub(crate) fn end(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_lines_come_out_and_the_rest_at_the_end() {
        let mut partial = Partial::default();
        let pieces = ["a", "b\nc", "", "\n\nd\ne", "f"];
        let taken = pieces.map(|piece| String::from_utf8(partial.take(piece.as_bytes())).unwrap());
        assert_eq!(taken, ["", "ab\n", "", "c\n\nd\n", ""]);
        assert_eq!((partial.end(), partial.end()), (b"ef".to_vec(), Vec::new()));
    }

    #[test]
    fn a_line_without_an_end_comes_in_pieces() {
        let mut partial = Partial::default();
        assert!(partial.take(&vec![b'x'; LONGEST]).is_empty());
        assert_eq!(partial.take(b"x").len(), LONGEST + 1);
        assert!(partial.end().is_empty());
    }
}
