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
use crate::sync::lock;
use crate::task::{ListContext, Mark, TaskError};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

/// Bytes between two looks whether the run is over.
const PIECE: usize = 1 << 18;

/// The digests of whole files, by their place among the inputs.
#[derive(Clone, Debug, Default)]
pub(super) struct Digests(Arc<Mutex<BTreeMap<usize, blake3::Hash>>>);

impl Digests {
    pub(super) fn of(&self, index: usize) -> Option<blake3::Hash> {
        lock(&self.0).get(&index).copied()
    }

    fn put(&self, index: usize, digest: blake3::Hash) {
        lock(&self.0).insert(index, digest);
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
        cx: &ListContext<'_>,
    ) -> Result<Option<Mark>> {
        let file = self.open.take().unwrap_or_else(|| regular.open());
        let Some(end) = self.end_for_a_task(&file, block, cx)? else { return Ok(None) };
        if self.position < end {
            if !update(&mut self.file, &file, self.position..end, cx)? {
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
        cx: &ListContext<'_>,
    ) -> Result<Option<u64>> {
        let Some(boundary) = &self.boundary else { return Ok(Some(block.end)) };
        let unless_stopped = || if cx.is_stopped() { Err(TaskError::Cancelled) } else { Ok(()) };
        match reach(file, boundary, block, unless_stopped) {
            Ok(end) => Ok(Some(end)),
            Err(TaskError::Fatal(error)) => Err(error),
            Err(
                TaskError::Cancelled | TaskError::Failed(_) | TaskError::Held { .. } | TaskError::Again(_),
            ) => Ok(None),
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
    cx: &ListContext<'_>,
) -> Result<Option<blake3::Hash>> {
    let mut hasher = blake3::Hasher::new();
    Ok(update(&mut hasher, file, range, cx)?.then(|| hasher.finalize()))
}

/// Whether all of it was taken in, and not left because the run is over.
fn update(
    hasher: &mut blake3::Hasher,
    file: &InputFile,
    mut range: Range<u64>,
    cx: &ListContext<'_>,
) -> Result<bool> {
    let mut buffer = vec![0; usize::try_from(range.end - range.start).unwrap_or(PIECE).min(PIECE)];
    while !range.is_empty() {
        if cx.is_stopped() {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::boundary::naive::{RULES, Random};
    use crate::input::given::Input;
    use crate::task::stop_fd::Wake;
    use std::fs;
    use std::path::Path;

    fn marks(
        path: &Path,
        boundary: Option<Boundary>,
        block: usize,
        cx: &ListContext<'_>,
    ) -> Vec<Option<Mark>> {
        let Input::Regular(regular) = Input::look_at(path).unwrap() else { panic!("it is a file") };
        let (size, block) = (regular.identity.size, block as u64);
        let mut contents = Contents::new(boundary.map(Arc::new));
        let mut take = |start: u64| {
            let block = start..(start + block).min(size);
            contents.take((0, &regular), &block, cx).unwrap()
        };
        (0..size.div_ceil(block).max(1)).map(|k| take(k * block)).collect()
    }

    /// What a task makes of its block is in the mark: a text that has the same marks up to a block has the
    /// same records up to there; and one that differs in any byte that counts has another mark.
    #[test]
    fn a_mark_stands_for_all_that_a_task_has_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let wake = Wake::new().unwrap();
        let cx = ListContext::real(&wake);
        let mut random = Random(7);
        let (mut same, mut other) = (0, 0);
        for _ in 0..60 {
            let mut text = random.text(200);
            text.push(b'a');
            let (rule, block) = (&RULES[random.below(RULES.len())], 1 + random.below(40));
            fs::write(&path, &text).unwrap();
            let before = marks(&path, Some(rule.boundary()), block, &cx);
            for _ in 0..20 {
                let mut changed = text.clone();
                let from = random.below(text.len());
                changed[from..].iter_mut().for_each(|byte| *byte = b"ab\n"[random.below(3)]);
                fs::write(&path, &changed).unwrap();
                let after = marks(&path, Some(rule.boundary()), block, &cx);
                let first = text.iter().zip(&changed).position(|(a, b)| a != b).unwrap_or(text.len());
                let (was, is) = (rule.chunks(&text, block), rule.chunks(&changed, block));
                for k in 0..was.len() {
                    let is_marked_the_same = before[k] == after[k];
                    if is_marked_the_same {
                        assert_eq!(was[k], is[k], "block {k} of {block}, {}", rule.boundary());
                        same += 1;
                    } else {
                        other += 1;
                    }
                    let end = ((k + 1) * block).min(text.len());
                    assert!(!is_marked_the_same || first >= end, "a change inside the block is told");
                }
            }
        }
        assert!(same > 1000 && other > 1000, "{same} and {other}");
    }

    #[test]
    fn the_blocks_of_one_file_have_its_digest_in_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let text = b"one\ntwo\nthree\n".repeat(40_000);
        fs::write(&path, &text).unwrap();
        let Input::Regular(regular) = Input::look_at(&path).unwrap() else { panic!("it is a file") };
        let wake = Wake::new().unwrap();
        let mut contents = Contents::new(Some(Arc::new(Boundary::newline())));
        let digests = contents.digests();
        let size = text.len() as u64;
        for start in (0..size).step_by(100_000) {
            assert_eq!(digests.of(3), None);
            let block = start..(start + 100_000).min(size);
            contents.take((3, &regular), &block, &ListContext::real(&wake)).unwrap().unwrap();
        }
        assert_eq!(digests.of(3), Some(blake3::hash(&text)));
        wake.wake();
        assert_eq!(contents.take((4, &regular), &(0..size), &ListContext::real(&wake)).unwrap(), None);
        assert_eq!(digests.of(4), None, "the run is over, and nobody knows the rest");
    }
}
