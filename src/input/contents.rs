//! Contents of files, compared by digest: for who does not want to rely on sizes and times.
//!
//! The obvious way is a digest of each file before the job begins. But then all input is read once before
//! the first task starts, and a stop finds nothing done. So the source reads each block when it lists it,
//! a moment before a worker reads it too (which mostly finds it in memory then), and a running digest over
//! all of it stands in the record beside the frontier, as the [`Mark`] of a stream does. A run that goes on
//! reads again what is done, and what is not done it need not know: nothing that was made of it is kept.
//!
//! A digest over the blocks up to the frontier would not do. A task reads on to the end of its last record,
//! that is, into the next block; were that other text the next time, a record would be cut in two or come
//! twice. So the digest goes as far as the task does.
//!
//! The price: all input is read twice, by one thread the first time, and a gigabyte takes that half a second.

use super::boundary::Boundary;
use super::edges::reach;
use super::file::InputFile;
use super::given::Regular;
use crate::error::Result;
use crate::job::{Listing, Mark, TaskError};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes between two looks whether the run is over.
const PIECE: usize = 1 << 18;

/// The digests of whole files, by their place among the inputs.
#[derive(Clone, Debug, Default)]
pub(super) struct Digests(Arc<Mutex<BTreeMap<usize, blake3::Hash>>>);

impl Digests {
    pub(super) fn of(&self, index: usize) -> Option<blake3::Hash> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&index).copied()
    }

    fn put(&self, index: usize, digest: blake3::Hash) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(index, digest);
    }
}

/// A running digest over files, in the order in which they are listed.
#[derive(Debug)]
pub(super) struct Contents {
    /// Where the records end of which a task reads the last one to its end. `None`: it stops where its
    /// block does.
    boundary: Option<Arc<Boundary>>,
    /// Over the digests of the files before this one.
    before: blake3::Hasher,
    /// The one at hand, with a descriptor of its own: tasks that are listed and wait hold none.
    open: Option<InputFile>,
    /// Over that one, up to `position`.
    file: blake3::Hasher,
    position: u64,
    digests: Digests,
}

impl Contents {
    pub(super) fn new(boundary: Option<Arc<Boundary>>) -> Self {
        let hasher = blake3::Hasher::new;
        Self {
            boundary,
            before: hasher(),
            open: None,
            file: hasher(),
            position: 0,
            digests: Digests::default(),
        }
    }

    /// Those of the files that have been read whole.
    pub(super) fn digests(&self) -> Digests {
        self.digests.clone()
    }

    /// Takes in all that a task on this block of file number `index` reads, and has the mark of it. `None`
    /// if the run is over; then nothing is lost by asking again.
    ///
    /// # Errors
    ///
    /// Those of [`InputFile::read_exact_at`].
    pub(super) fn take(
        &mut self,
        (index, regular): (usize, &Regular),
        block: &Range<u64>,
        listing: &Listing<'_>,
    ) -> Result<Option<Mark>> {
        let file = self.open.take().unwrap_or_else(|| regular.open());
        let Some(end) = self.end_for_a_task(&file, block, listing)? else { return Ok(None) };
        if self.position < end {
            if !update(&mut self.file, &file, self.position..end, listing)? {
                // It holds a part of what was asked for, and is of no use any more.
                self.next_file();
                return Ok(None);
            }
            self.position = end;
        }
        let digest = self.file.finalize();
        let mark = Mark(*self.before.clone().update(digest.as_bytes()).finalize().as_bytes());
        if block.end == file.identity().size {
            self.digests.put(index, digest);
            self.before.update(digest.as_bytes());
            self.next_file();
        } else {
            self.open = Some(file);
        }
        Ok(Some(mark))
    }

    fn next_file(&mut self) {
        self.file.reset();
        (self.position, self.open) = (0, None);
    }

    fn end_for_a_task(
        &self,
        file: &InputFile,
        block: &Range<u64>,
        listing: &Listing<'_>,
    ) -> Result<Option<u64>> {
        let Some(boundary) = &self.boundary else { return Ok(Some(block.end)) };
        let unless_stopped = || if listing.is_stopped() { Err(TaskError::Cancelled) } else { Ok(()) };
        match reach(file, boundary, block, unless_stopped) {
            Ok(end) => Ok(Some(end)),
            Err(TaskError::Fatal(error)) => Err(error),
            Err(TaskError::Cancelled | TaskError::Failed(_)) => Ok(None),
        }
    }
}

/// The digest of a part of a file; `None` if the run is over.
///
/// # Errors
///
/// Those of [`InputFile::read_exact_at`].
pub(super) fn digest_of(
    file: &InputFile,
    range: Range<u64>,
    listing: &Listing<'_>,
) -> Result<Option<blake3::Hash>> {
    let mut hasher = blake3::Hasher::new();
    Ok(update(&mut hasher, file, range, listing)?.then(|| hasher.finalize()))
}

/// Whether all of it was taken in, and not left because the run is over.
fn update(
    hasher: &mut blake3::Hasher,
    file: &InputFile,
    mut range: Range<u64>,
    listing: &Listing<'_>,
) -> Result<bool> {
    let mut buffer = vec![0; usize::try_from(range.end - range.start).unwrap_or(PIECE).min(PIECE)];
    while !range.is_empty() {
        if listing.is_stopped() {
            return Ok(false);
        }
        let length = (range.end - range.start).min(PIECE as u64);
        let piece = &mut buffer[..length as usize];
        file.read_exact_at(piece, range.start)?;
        hasher.update(piece);
        range.start += length;
    }
    Ok(true)
}
