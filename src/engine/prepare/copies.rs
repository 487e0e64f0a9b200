//! What an earlier run kept and a job can do without. If it is lost, that is found before anything is written,
//! said, and made again.

use crate::durable::journal::JOURNAL;
use crate::durable::record::Record;
use crate::durable::state_dir::StateDir;
use crate::engine::options::Options;
use crate::error::{Kind, Result};

/// Where the journal is no record, only people read it. If it is missing or damaged, the run begins another one;
/// the sentence that says so is returned.
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

/// The kept result of a task ahead of the frontier is a copy: the task can run again. Returns the sentence that says
/// so of `lost` tasks.
pub(super) fn done_again(lost: u64) -> Option<String> {
    match lost {
        0 => None,
        1 => Some("one kept result is missing or damaged, and is made again".to_string()),
        many => Some(format!("{many} kept results are missing or damaged, and are made again")),
    }
}
