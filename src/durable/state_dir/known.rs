//! Tells which directory is a state, and which names in it belong to one.
//!
//! A user may give `~/project` as the state by mistake, and other programs also write files called `lock`, `journal`
//! or `checkpoint.json`. So only an empty directory, or one with a file as a run writes it, counts as a state.

use super::spill::refuse_directories;
use super::{LOCK_GONE, RECORD, RECORD_NEW, REQUEST, SPILL, STATUS, STATUS_NEW, check_owner, not_opened};
use crate::durable::disk::{Dir, Disk, Open, if_there, look_plain, open_plain};
use crate::durable::history::HISTORY;
use crate::durable::journal::JOURNAL;
use crate::durable::lock::{self, LOCK};
use crate::durable::record::OPENING;
use crate::error::{At, Error, Result};
use crate::task::source::PIECES;
use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

const LOOKS: usize = 4;
const BETWEEN_LOOKS: Duration = Duration::from_millis(2);

/// Refuses a directory that is not a state. Changes nothing.
pub(super) fn check(dir: &dyn Dir, path: &Path) -> Result<()> {
    check_files(dir, path)?;
    if is_state(dir, path)? {
        return refuse_directories(dir, path);
    }
    let error = Error::usage(path.display(), "contains other files, and is not the state of a job");
    Err(error.advise("name a directory that is empty or does not exist yet"))
}

/// Refuses a directory in which a name of a state belongs to something else than its file.
pub(super) fn check_files(dir: &dyn Dir, path: &Path) -> Result<()> {
    for name in [LOCK, RECORD, JOURNAL, STATUS] {
        look_plain(dir, path, name)?;
    }
    let spill = dir.facts(SPILL.as_ref()).at(path.join(SPILL), "look at")?;
    match spill.is_none_or(|facts| facts.is_dir) {
        true => Ok(()),
        false => Err(Error::refused(path.join(SPILL).display(), "is not a directory")
            .advise("nothing was changed; look at what it is")),
    }
}

/// Whether the directory is a state or may become one.
///
/// # Race condition
///
/// No lock is held yet. Another run may create its first files during one look, so this looks several times.
pub(super) fn is_state(dir: &dyn Dir, path: &Path) -> Result<bool> {
    for _ in 1..LOOKS {
        if looks_like_a_state(dir, path)? {
            return Ok(true);
        }
        thread::sleep(BETWEEN_LOOKS);
    }
    looks_like_a_state(dir, path)
}

fn looks_like_a_state(dir: &dyn Dir, path: &Path) -> Result<bool> {
    let record = beginning(dir, path, RECORD, OPENING.len())?;
    let lock = beginning(dir, path, LOCK, lock::BEGINNING.len())?;
    if record.is_some_and(|bytes| bytes == OPENING) || lock.as_deref() == Some(lock::BEGINNING) {
        return Ok(true);
    }
    // The text of the lock is not flushed: a power cut may leave zeros or garbage. Other programs write text.
    let is_text = |byte: u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    let lock_is_blank =
        lock.is_some_and(|bytes| bytes.is_empty() || !bytes.iter().all(|byte| is_text(*byte)));
    let is_ours = |name: &OsStr| {
        is_temporary(name)
            || (lock_is_blank
                && [LOCK, JOURNAL, HISTORY, STATUS, SPILL, PIECES].iter().any(|ours| name == *ours))
    };
    let names = if_there(dir.list()).at(path, "list")?;
    Ok(names.is_none_or(|names| names.iter().all(|name| is_ours(name))))
}

pub(super) fn is_there(dir: &dyn Dir, name: &str) -> bool {
    dir.facts(name.as_ref()).is_ok_and(|there| there.is_some())
}

/// Whether this is the name of a file that lives for a moment.
pub(super) fn is_temporary(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    [RECORD_NEW, STATUS_NEW, LOCK_GONE, REQUEST]
        .iter()
        .any(|beginning| name.starts_with(beginning.as_bytes()))
}

/// The first `bytes` bytes of a file, or fewer if it is shorter.
fn beginning(dir: &dyn Dir, path: &Path, name: &str, bytes: usize) -> Result<Option<Vec<u8>>> {
    let Some(file) = open_plain(dir, path, name, Open::Read)? else { return Ok(None) };
    let mut beginning = vec![0; bytes];
    let got = file.read_at(&mut beginning, 0).at(path.join(name), "read")?;
    beginning.truncate(got);
    Ok(Some(beginning))
}

/// The directory at `path`, if it looks like a state: `bivouac clean ~` must not create a lock there.
pub(super) fn known_state(disk: &dyn Disk, path: &Path) -> Result<Arc<dyn Dir>> {
    let dir = disk.open_dir(path).map_err(|error| {
        let nothing = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
        if nothing { no_state(path) } else { not_opened(path, &error) }
    })?;
    check_owner(&*dir, path)?;
    check_files(&*dir, path)?;
    let is_empty = ![LOCK, RECORD].iter().any(|name| is_there(&*dir, name));
    if is_empty || !is_state(&*dir, path)? {
        return Err(no_state(path));
    }
    Ok(dir)
}

pub(super) fn no_state(path: &Path) -> Error {
    Error::usage(path.display(), "is not the state of a job")
        .advise("a state is a directory, such as OUT.bivouac, or one in .bivouac")
}
