//! Files of an earlier run that a job can do without: it reports a lost one first, and makes it again.

use crate::durable::journal::JOURNAL;
use crate::durable::record::Record;
use crate::durable::state_dir::StateDir;
use crate::engine::options::Options;
use crate::error::{Kind, Result};

/// A journal that is no record is for people. If it is missing or damaged, this returns a sentence.
pub(super) fn see_journal(dir: &StateDir, record: &mut Record, options: &Options) -> Result<Option<String>> {
    if options.effects.are_journaled() || record.journal_bytes == 0 {
        return Ok(None);
    }
    match dir.journal_after((&record.run, record.journal_bytes), &mut |_| {}) {
        Err(error) if error.kind() == Kind::Refused => {
            record.journal_bytes = 0;
            let path = dir.path().join(JOURNAL);
            Ok(Some(format!("{}: is missing or damaged; the log of earlier runs is lost", path.display())))
        }
        seen => seen.map(|()| None),
    }
}

/// Tasks whose stored result is lost run again. Returns the sentence that says so.
pub(super) fn done_again(lost: u64) -> Option<String> {
    match lost {
        0 => None,
        1 => Some("one kept result is missing or damaged, and is made again".to_string()),
        many => Some(format!("{many} kept results are missing or damaged, and are made again")),
    }
}
