//! What a job can do without, and has lost: it is noticed before anything is written, made again, and said.

use crate::checkpoint::Record;
use crate::error::{Kind, Result};
use crate::journal::JOURNAL;
use crate::keep::is_whole;
use crate::run::Options;
use crate::state_dir::StateDir;
use crate::wake::Wake;

/// Where the journal is no record it is only read by people: then one that is missing or damaged is begun
/// anew. What is to be said of that.
pub(super) fn see_journal(dir: &StateDir, record: &mut Record, options: &Options) -> Result<Option<String>> {
    if options.printing.is_some() || record.journal_bytes == 0 {
        return Ok(None);
    }
    match dir.journal_behind((&record.run, record.journal_bytes), &mut |_| {}) {
        Err(error) if error.kind() == Kind::Refused => {
            record.journal_bytes = 0;
            let path = dir.path().join(JOURNAL);
            Ok(Some(format!("{}: is missing or damaged; the log of earlier runs is lost", path.display())))
        }
        seen => seen.map(|()| None),
    }
}

/// What is kept of a task beyond the frontier is a copy of what can be done again. What is to be said of
/// those that are.
pub(super) fn drop_bad_copies(
    dir: &mut StateDir,
    record: &mut Record,
    wake: &Wake,
) -> Result<Option<String>> {
    let mut bad = Vec::new();
    for beyond in &record.beyond {
        if wake.is_awake() {
            return Ok(None);
        }
        if !is_whole(dir, beyond)? {
            bad.push(beyond.task);
        }
    }
    record.beyond.retain(|beyond| !bad.contains(&beyond.task));
    let again = match bad.as_slice() {
        [] => return Ok(None),
        [task] => format!("the kept result of task {} is missing or damaged; it is done again", task + 1),
        tasks => {
            format!("the kept results of {} tasks are missing or damaged; they are done again", tasks.len())
        }
    };
    Ok(Some(again))
}
