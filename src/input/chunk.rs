//! A block of an input as a task has it: a place in a file, or the bytes themselves of a stream.

use super::boundary::Boundary;
use super::edges::edges;
use super::file::InputFile;
use super::pieces::Pieces;
use super::records::Records;
use super::resolved::Inputs;
use crate::error::{Error, Result};
use crate::task::{Context, TaskError};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A block of an input, cut between records: the task of a job that reads [`Chunks`](super::Chunks).
///
/// ```
/// use bivouac::input::{Boundary, Chunk, Chunks};
/// # let place = tempfile::tempdir()?; std::env::set_current_dir(&place)?;
/// # std::fs::write("list", "one\ntwo\nthree\n")?;
///
/// let chunks = Chunks::new(vec!["list".into()], Boundary::newline()).block(Some(8));
/// let mut cut = Vec::new();
/// bivouac::list(&chunks, &mut |_, chunk: Chunk| {
///     let mut bytes = 0;
///     let mut pieces = chunk.pieces()?; // a chunk of any size takes little memory
///     while let Some(piece) = pieces.next_piece()? {
///         bytes += piece.len();
///     }
///     assert_eq!(chunk.path().as_os_str(), "list");
///     assert!(chunk.bytes().is_none(), "those of a stream are in memory");
///     assert!(chunk.header().is_empty(), "the list has none");
///     cut.push((chunk.aligned()?, bytes));
///     Ok(())
/// })?;
/// assert_eq!(cut, [(0..8, 8), (8..14, 6)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Chunk {
    /// Which of the inputs, from 0, in the order given.
    pub file_index: usize,
    /// Whether this is the first chunk of its input. Every input has at least one chunk, even an empty one.
    /// (The last chunk is not marked: the end of a stream is known only after that chunk was listed. A job
    /// closes one input when the next begins, and in [`Job::finish`](crate::Job::finish).)
    pub first_in_file: bool,
    /// What is known of all inputs together.
    pub inputs: Arc<Inputs>,
    pub(super) boundary: Arc<Boundary>,
    /// The first bytes of the input that are no records.
    pub(super) header: Option<Arc<[u8]>>,
    pub(super) data: Data,
}

#[derive(Debug)]
pub(super) enum Data {
    File {
        file: Arc<InputFile>,
        /// The block, before its edges are aligned, if that can be done anywhere.
        block: Range<u64>,
    },
    Stream {
        path: PathBuf,
        start: u64,
        /// The chunk begins at `from`; the bytes before it belong to the chunk before.
        held: Vec<u8>,
        from: usize,
    },
}

impl Chunk {
    /// The path of the input, as the user gave it.
    pub fn path(&self) -> &Path {
        match &self.data {
            Data::File { file, .. } => file.path(),
            Data::Stream { path, .. } => path,
        }
    }

    /// The file, if the chunk is one of a regular file. A job that does not use [`pieces`](Self::pieces) reads
    /// from [`InputFile::descriptor`], within [`aligned`](Self::aligned), and then asks
    /// [`verify_unchanged`](Self::verify_unchanged).
    ///
    /// ```
    /// use bivouac::process::{Call, Command, Feed};
    /// # let place = tempfile::tempdir()?; std::env::set_current_dir(&place)?;
    /// # std::fs::write("list", "one\ntwo\n")?;
    ///
    /// // The command reads its part of the file itself.
    /// bivouac::lines("list")
    ///     .map(|chunk, cx| {
    ///         let file = chunk.file().ok_or("is a stream")?;
    ///         let feed = Feed::File { file: file.descriptor()?, range: chunk.aligned_in(cx)? };
    ///         let tr = Command::new(["tr", "a-z", "A-Z"]).ok_or("no program")?;
    ///         cx.call(&Call { feed, ..Call::of(&tr) }, &mut |piece| cx.emit(piece), &mut |_| ())?;
    ///         Ok(chunk.verify_unchanged()?)
    ///     })
    ///     .write_to("loud")
    ///     .main();
    /// assert_eq!(std::fs::read_to_string("loud")?, "ONE\nTWO\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn file(&self) -> Option<&InputFile> {
        self.shared_file().map(|file| &**file)
    }

    /// The bytes, if the chunk is one of a stream: then they are in memory.
    pub fn bytes(&self) -> Option<&[u8]> {
        match &self.data {
            Data::File { .. } => None,
            Data::Stream { held, from, .. } => Some(&held[*from..]),
        }
    }

    /// The header of the input, if it has one and the chunk does not begin with it
    /// ([`Chunks::with_header`](super::Chunks::with_header)).
    pub fn header(&self) -> &[u8] {
        self.header.as_deref().filter(|_| !self.first_in_file).unwrap_or_default()
    }

    /// Which bytes of the input the chunk covers, exactly. It is empty if a record of an earlier chunk goes
    /// through the whole block; where an empty range is, means nothing. Of a file only the surroundings of the
    /// two edges are read; if a record goes on after the block, up to its end.
    ///
    /// # Errors
    ///
    /// Those of [`InputFile::read_exact_at`].
    pub fn aligned(&self) -> Result<Range<u64>> {
        self.find_edges(|| Ok(()))
    }

    /// The same for a worker: a record of a terabyte keeps it from neither a pause nor a stop.
    ///
    /// # Errors
    ///
    /// [`TaskError::Cancelled`], and [`TaskError::Fatal`] with an error of [`aligned`](Self::aligned).
    pub fn aligned_in(&self, cx: &Context<'_>) -> std::result::Result<Range<u64>, TaskError> {
        self.find_edges(|| cx.yield_point())
    }

    /// Reads the whole chunk in pieces of about 1 MiB, which end between records (see
    /// [`Pieces`]). The last one comes only if the input is unchanged.
    ///
    /// # Errors
    ///
    /// As [`aligned`](Self::aligned).
    pub fn pieces(&self) -> Result<Pieces<'_>> {
        Ok(match &self.data {
            Data::File { file, .. } => Pieces::of_file(file, self.aligned()?),
            Data::Stream { held, from, .. } => Pieces::of_bytes(&held[*from..]),
        }
        .cut_at(&self.boundary))
    }

    /// The records of the chunk, told apart as it was cut. Its header is no record.
    ///
    /// # Errors
    ///
    /// As [`aligned`](Self::aligned).
    #[doc(hidden)]
    pub fn records(&self) -> Result<Records<'_>> {
        let header = self.header.as_ref().filter(|_| self.first_in_file).map_or(0, |header| header.len());
        let start = match &self.data {
            Data::File { block, .. } => block.start,
            Data::Stream { start, .. } => *start,
        };
        Ok(Records::new(self.path(), (self.pieces()?, &self.boundary), (start, header)))
    }

    /// The whole chunk as bytes, in memory. For a chunk that may not fit, there are [`pieces`](Self::pieces).
    ///
    /// # Errors
    ///
    /// As [`aligned_in`](Self::aligned_in).
    pub fn read(&self, cx: &Context<'_>) -> std::result::Result<Vec<u8>, TaskError> {
        let mut all = Vec::new();
        let mut pieces = self.pieces()?;
        while let Some(piece) = pieces.next_piece()? {
            cx.advance(piece.len() as u64)?;
            all.extend_from_slice(piece);
        }
        Ok(all)
    }

    /// The whole chunk as text.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read), and [`TaskError::Failed`] if it is not UTF-8.
    ///
    /// # Examples
    ///
    /// ```
    /// # let place = tempfile::tempdir()?; std::env::set_current_dir(&place)?;
    /// # std::fs::write("list", "one\ntwo\n")?;
    /// bivouac::lines("list")
    ///     .map(|chunk, cx| Ok(format!("{} bytes: {:?}", chunk.read(cx)?.len(), chunk.text(cx)?)))
    ///     .write_to("out")
    ///     .main();
    /// assert_eq!(std::fs::read_to_string("out")?, r#"8 bytes: "one\ntwo\n""#);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn text(&self, cx: &Context<'_>) -> std::result::Result<String, TaskError> {
        Ok(String::from_utf8(self.read(cx)?)?)
    }

    /// The file, to be asked whether it is unchanged when the chunk is gone.
    pub(crate) fn shared_file(&self) -> Option<&Arc<InputFile>> {
        match &self.data {
            Data::File { file, .. } => Some(file),
            Data::Stream { .. } => None,
        }
    }

    /// To be asked after the chunk has been read, and before its results count.
    ///
    /// # Errors
    ///
    /// The file is no longer the one that was listed
    /// ([`Kind::Refused`](crate::error::Kind::Refused)). Of a stream, never.
    pub fn verify_unchanged(&self) -> Result<()> {
        self.file().map_or(Ok(()), InputFile::check_unchanged)
    }

    fn find_edges<E: From<Error>>(
        &self,
        between_reads: impl FnMut() -> std::result::Result<(), E>,
    ) -> std::result::Result<Range<u64>, E> {
        match &self.data {
            Data::File { file, block } => {
                let Range { start, end } = edges(file, &self.boundary, block, between_reads)?;
                let body = self.header.as_ref().map_or(0, |header| header.len() as u64);
                // The first chunk begins with all of the header, whatever its block.
                Ok(if start == 0 { 0 } else { start.max(body) }..end.max(body))
            }
            Data::Stream { start, held, from, .. } => Ok(*start..*start + (held.len() - from) as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::input::testing::file_with;
    use std::fs;

    #[test]
    fn a_file_that_changed_is_refused_afterwards() {
        let (_dir, path) = file_with("one\ntwo\nthree\n");
        let file = Arc::new(InputFile::look_at(&path).unwrap());
        let chunk = Chunk {
            file_index: 0,
            first_in_file: true,
            inputs: Arc::default(),
            boundary: Arc::new(Boundary::newline()),
            header: None,
            data: Data::File { file, block: 0..5 },
        };
        assert_eq!(chunk.aligned().unwrap(), 0..8);
        chunk.verify_unchanged().unwrap();
        fs::write(&path, "ONE\ntwo\nthree\n").unwrap();
        assert_eq!(chunk.verify_unchanged().unwrap_err().kind(), Kind::Refused);
        let mut pieces = chunk.pieces().unwrap();
        assert_eq!(pieces.next_piece().unwrap(), Some(&b"ONE\ntwo\n"[..]));
        assert_eq!(pieces.next_piece().unwrap_err().kind(), Kind::Refused, "and the last piece is none");
    }
}
