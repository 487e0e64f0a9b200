//! The third moment: files that grew under a task are looked at once more at the end.
//!
//! A log that is appended to is the same input as before, up to where it ended when the job began. But a
//! writer who appends may change the old part as well, and `stat(2)` shows the same in both cases: a larger
//! size and other times. While tasks are at work no comparison can tell, since what they have read is gone.
//! So a task only notes which file grew, with the descriptor that it read: logs are rotated, and by the end
//! the name may belong to another file. After the last task, and before the output gets its name, those files
//! are compared: by digest if there is one, otherwise by their samples. A file that did not grow under a task
//! needs no such look: each task has compared it after reading.

use super::Witness;
use crate::error::{Advice, Error, Kind, Result};
use crate::sync::lock;
use crate::task::{LastLook, ListContext};
use std::collections::BTreeMap;
use std::fs::File;
use std::sync::{Arc, Mutex};

/// Descriptors that are kept for the last look, at the most: many a process may have no more than a thousand.
const HELD: usize = 128;

const NAMED: usize = 10;

/// The files that grew, by their place among the inputs. All tasks share it.
#[derive(Clone, Debug, Default)]
pub(in crate::input) struct GrownFiles(Arc<Mutex<BTreeMap<usize, Grown>>>);

/// The digests of whole files, by their place among the inputs.
#[derive(Clone, Debug, Default)]
pub(in crate::input) struct Digests(Arc<Mutex<BTreeMap<usize, blake3::Hash>>>);

#[derive(Debug)]
struct Grown {
    witness: Witness,
    /// Without a descriptor to spare, the name has to do.
    read: Option<File>,
}

impl Digests {
    pub(super) fn of(&self, index: usize) -> Option<blake3::Hash> {
        lock(&self.0).get(&index).copied()
    }

    pub(super) fn put(&self, index: usize, digest: blake3::Hash) {
        lock(&self.0).insert(index, digest);
    }
}

impl GrownFiles {
    /// Notes that the file which a task has read is longer now. The first descriptor counts.
    pub(in crate::input) fn note(&self, index: usize, witness: &Witness, read: &File) {
        let mut files = lock(&self.0);
        let may_hold = witness.sample.is_some() && files.len() < HELD;
        let read = || if may_hold { read.try_clone().ok() } else { None };
        files.entry(index).or_insert_with(|| Grown { witness: witness.clone(), read: read() });
    }

    pub(in crate::input) fn last_look(&self, digests: Option<Digests>) -> LastLook {
        let files = Arc::clone(&self.0);
        Box::new(move |cx| {
            let mut sentences = Vec::new();
            for (index, grown) in std::mem::take(&mut *lock(&files)) {
                let digest = digests.as_ref().map(|digests| digests.of(index));
                sentences.push(grown.sentence(digest, cx)?);
            }
            let more = sentences.len().saturating_sub(NAMED);
            sentences.truncate(NAMED);
            sentences.extend((more > 0).then(|| format!("{more} more files grew while they were read")));
            Ok(sentences)
        })
    }
}

impl Grown {
    fn sentence(self, digest: Option<Option<blake3::Hash>>, cx: &ListContext<'_>) -> Result<String> {
        let (path, size) = (self.witness.path().display(), self.witness.identity.size);
        if self.agrees(digest, cx)? == Some(false) {
            return Err(Error::refused(path, "grew while it was read, and what was in it has changed")
                .advise("the output would mix two inputs; let the file rest")
                .then(Advice::StartAfresh));
        }
        Ok(format!("{path}: grew while it was read; processed up to its old size, {size} bytes"))
    }

    /// Whether the old part is what it was, by digest or by sample. `None` if there is neither.
    fn agrees(&self, digest: Option<Option<blake3::Hash>>, cx: &ListContext<'_>) -> Result<Option<bool>> {
        let witness = &self.witness;
        if digest.is_none() && witness.sample.is_none() {
            return Ok(None);
        }
        let opened = if self.read.is_none() { Some(witness.open()?) } else { None };
        let Some(file) = self.read.as_ref().or(opened.as_ref()) else { return Ok(None) };
        let Some(then) = digest else { return witness.sample_agrees(file) };
        let mut now = blake3::Hasher::new();
        match witness.hash(file, 0..witness.identity.size, &mut now, cx)? {
            true => Ok(Some(then == Some(now.finalize()))),
            false => Err(Error::new(
                Kind::Interrupted,
                witness.path().display(),
                "was not read to its end once more",
            )),
        }
    }
}
