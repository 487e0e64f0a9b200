//! The third strength of a witness: a digest of all that was read.
//!
//! The obvious way is a digest of each file before the job begins. But then all input is read before the
//! first task starts, and a stop finds nothing done. So the source reads each block when it lists it, a
//! moment before a worker does (which mostly finds it in memory then). A running digest over all of it stands
//! in the record beside the frontier, as the [`Mark`] of a stream does. A run that continues reads again what
//! is done. The rest need not be compared: no result of it was kept.
//!
//! A digest up to the frontier would not do. A task reads on to the end of its last record, that is, into the
//! next block. If other text stood there the next time, a record would be cut in two or come twice. So the
//! digest goes as far as the task does.
//!
//! The price: all input is read twice, by one thread the first time: half a second for a gigabyte.

use super::Witness;
use super::grown::Digests;
use crate::error::Result;
use crate::input::boundary::Boundary;
use crate::input::edges::reach;
use crate::input::file::InputFile;
use crate::task::{ListContext, Mark, TaskError};
use std::ops::Range;
use std::sync::Arc;

/// A running digest over files, in the order in which they are listed.
#[derive(Debug)]
pub(in crate::input) struct Contents {
    /// Where records end: a task reads its last one to the end.
    boundary: Arc<Boundary>,
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
    pub(in crate::input) fn new(boundary: Arc<Boundary>) -> Self {
        let (before, file) = (blake3::Hasher::new(), blake3::Hasher::new());
        Self { boundary, before, open: None, file, position: 0, digests: Digests::default() }
    }

    /// Those of the files that have been read whole.
    pub(in crate::input) fn digests(&self) -> Digests {
        self.digests.clone()
    }

    /// Takes in all that a task on this block of file `index` reads. `None` if the run is over.
    pub(in crate::input) fn take(
        &mut self,
        (index, witness): (usize, &Witness),
        block: &Range<u64>,
        cx: &ListContext<'_>,
    ) -> Result<Option<Mark>> {
        let file = self.open.take().unwrap_or_else(|| InputFile::of(witness.clone()));
        let Some(end) = self.end_for_a_task(&file, block, cx)? else { return Ok(None) };
        if self.position < end {
            if !file.hash(self.position..end, &mut self.file, cx)? {
                // The digest has taken in an unknown part: begin again with the file.
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
        let unless_stopped = || if cx.is_stopped() { Err(TaskError::Cancelled) } else { Ok(()) };
        match reach(file, &self.boundary, block, unless_stopped) {
            Ok(end) => Ok(Some(end)),
            Err(TaskError::Fatal(error)) => Err(error),
            Err(
                TaskError::Cancelled | TaskError::Failed(_) | TaskError::Held { .. } | TaskError::Again(_),
            ) => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::boundary::tests::naive::{RULES, Random};
    use crate::input::testing::file_with;
    use crate::task::stop_fd::StopFd;
    use std::fs;
    use std::path::Path;

    fn witness(path: &Path) -> Witness {
        InputFile::look_at(path).unwrap().witness.clone()
    }

    fn marks(path: &Path, boundary: Boundary, block: usize, cx: &ListContext<'_>) -> Vec<Option<Mark>> {
        let witness = witness(path);
        let (size, block) = (witness.identity.size, block as u64);
        let mut contents = Contents::new(Arc::new(boundary));
        let mut take = |start: u64| {
            let block = start..(start + block).min(size);
            contents.take((0, &witness), &block, cx).unwrap()
        };
        (0..size.div_ceil(block).max(1)).map(|k| take(k * block)).collect()
    }

    /// The mark stands for the result of a task: a text that has the same marks up to a block has the
    /// same records up to there; and one that differs in any byte that counts has another mark.
    #[test]
    fn a_mark_stands_for_all_that_a_task_has_seen() {
        let (_dir, path) = file_with("");
        let cx = ListContext::endless();
        let mut random = Random(7);
        let (mut same, mut other) = (0, 0);
        for _ in 0..60 {
            let mut text = random.text(200);
            text.push(b'a');
            let (rule, block) = (&RULES[random.below(RULES.len())], 1 + random.below(40));
            fs::write(&path, &text).unwrap();
            let before = marks(&path, rule.boundary(), block, &cx);
            for _ in 0..20 {
                let mut changed = text.clone();
                let from = random.below(text.len());
                changed[from..].iter_mut().for_each(|byte| *byte = b"ab\n"[random.below(3)]);
                fs::write(&path, &changed).unwrap();
                let after = marks(&path, rule.boundary(), block, &cx);
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
        let (_dir, path) = file_with("");
        let text = b"one\ntwo\nthree\n".repeat(40_000);
        fs::write(&path, &text).unwrap();
        let witness = witness(&path);
        let stop = StopFd::new().unwrap();
        let mut contents = Contents::new(Arc::new(Boundary::newline()));
        let digests = contents.digests();
        let size = text.len() as u64;
        for start in (0..size).step_by(100_000) {
            assert_eq!(digests.of(3), None);
            let block = start..(start + 100_000).min(size);
            contents.take((3, &witness), &block, &ListContext::real(&stop)).unwrap().unwrap();
        }
        assert_eq!(digests.of(3), Some(blake3::hash(&text)));
        stop.set();
        assert_eq!(contents.take((4, &witness), &(0..size), &ListContext::real(&stop)).unwrap(), None);
        assert_eq!(digests.of(4), None, "the run is over, and the rest was not read");
    }
}
