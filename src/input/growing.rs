//! Files that grow while they are read, and the last look at them.
//!
//! A log that is appended to is the same input as before, up to where it ended when the job began. But
//! whoever appends may change what was there as well, and to the kernel that is all one: a larger size and
//! other times. While tasks are at work nobody can tell, since what has been read is gone. So it is only
//! noted which files grew under a task, with the descriptor that was read (by now the name may belong to
//! another file: logs are rotated), and at the end, before the output gets its name, those are looked at
//! once more: all of what is in them if there is a digest of it, and some samples otherwise.
//!
//! A file that nobody saw growing needs no such look. Each task has compared it with what it was at the
//! beginning, behind its own reading.

use super::contents::{Digests, digest_of};
use super::file::InputFile;
use super::identity::Identity;
use super::sample::Sample;
use crate::error::{Error, Kind, Result};
use crate::sync::lock;
use crate::task::{LastLook, ListContext};
use std::collections::BTreeMap;
use std::fs::File;
use std::sync::{Arc, Mutex};

/// The files that were seen growing, by their place among the inputs. All tasks share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Growing(Arc<Mutex<BTreeMap<usize, Grown>>>);

/// Descriptors that are kept for the last look, at the most: a thousand is all that many a process may have.
const HELD: usize = 128;

/// How many are named.
const NAMED: usize = 10;

/// One of them, and what is known of its contents when nothing else is.
type Grown = (InputFile, Option<Sample>);

impl Growing {
    /// A task has seen that the file is longer now. The first one counts.
    pub(super) fn saw(&self, index: usize, (identity, handle): (&Identity, &File), sample: Option<&Sample>) {
        let mut files = lock(&self.0);
        // Without a descriptor to spare, the name has to do.
        let may_hold = sample.is_some() && files.len() < HELD;
        let hold = || if may_hold { handle.try_clone().ok() } else { None };
        files.entry(index).or_insert_with(|| (InputFile::opened(identity.clone(), hold()), sample.cloned()));
    }

    fn take(&self) -> BTreeMap<usize, Grown> {
        std::mem::take(&mut *lock(&self.0))
    }

    /// What is to be done when the last task is.
    pub(super) fn last_look(&self, digests: Option<Digests>) -> LastLook {
        let growing = self.clone();
        Box::new(move |cx| {
            let mut sentences = Vec::new();
            for (index, (file, sample)) in growing.take() {
                let is_the_same = match &digests {
                    Some(digests) => Some(has_still(&file, digests.of(index), cx)?),
                    None => sample.map(|sample| sample.is_still_in(&file)).transpose()?,
                };
                sentences.push(sentence(&file, is_the_same)?);
            }
            let more = sentences.len().saturating_sub(NAMED);
            sentences.truncate(NAMED);
            sentences.extend((more > 0).then(|| format!("{more} more files grew while they were read")));
            Ok(sentences)
        })
    }
}

fn has_still(file: &InputFile, then: Option<blake3::Hash>, cx: &ListContext<'_>) -> Result<bool> {
    match digest_of(file, 0..file.identity().size, cx)? {
        None => {
            Err(Error::new(Kind::Interrupted, file.path().display(), "was not read to its end once more"))
        }
        now => Ok(now == then),
    }
}

fn sentence(file: &InputFile, is_the_same: Option<bool>) -> Result<String> {
    let path = file.path().display();
    if is_the_same == Some(false) {
        return Err(Error::refused(path, "grew while it was read, and what was in it has changed")
            .advise("the output would be of two different inputs; let the file rest and use --fresh"));
    }
    Ok(format!(
        "{path}: grew while it was read; it was processed to the size that it had, {} bytes",
        file.identity().size
    ))
}
