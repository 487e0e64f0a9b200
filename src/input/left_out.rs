//! Paths that were given and cannot be read, in a job that reads the others all the same.
//!
//! The obvious way is to leave them out of the list, and this module does. But a job that continues tomorrow
//! must find the same list. So the record names the paths that were left out. One that can be read by then,
//! or a listed one that no longer can, is a changed input.

use super::open::open_without_waiting;
use super::path_text;
use super::stream::Stream;
use crate::error::{Advice, Error, Result};
use rustix::fs::Access;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// A path that was left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[doc(hidden)]
pub struct LeftOut {
    /// As it was given.
    #[serde(with = "path_text")]
    pub path: PathBuf,
    /// It is a directory. (`wc` counts nothing in it, and says so.)
    pub is_directory: bool,
    /// How many of the paths before it can be read.
    pub before: usize,
    /// Its size, if it is a regular file that may not be read.
    pub(super) bytes: u64,
}

/// Paths, of which some may have been left out.
#[derive(Clone, Debug, Default)]
#[doc(hidden)]
pub struct Readable {
    /// Those that can be read, or may be: an error that the next attempt may not see leaves no path out.
    pub files: Vec<PathBuf>,
    /// The others.
    pub left_out: Vec<LeftOut>,
    /// Why, one for each, in the words of `wc` and `grep`.
    pub reasons: Vec<Error>,
}

impl Readable {
    /// Looks at all of the paths.
    pub fn among(paths: &[PathBuf]) -> Self {
        let mut these = Self::default();
        for path in paths {
            match look_at(path) {
                Some((left_out, why)) if !why.may_pass() => {
                    these.left_out.push(LeftOut { before: these.files.len(), ..left_out });
                    these.reasons.push(why);
                }
                None | Some(_) => these.files.push(path.clone()),
            }
        }
        these
    }

    /// Takes all of the paths, without a look.
    pub fn all(paths: &[PathBuf]) -> Self {
        Self { files: paths.to_vec(), ..Self::default() }
    }
}

/// The reason why a path is no file that can be read.
fn look_at(path: &Path) -> Option<(LeftOut, Error)> {
    let facts = fs::metadata(path).ok();
    let is_directory = path != Path::new("-") && facts.as_ref().is_some_and(fs::Metadata::is_dir);
    let why = match is_directory {
        true => io::Error::from_raw_os_error(libc::EISDIR),
        false => why_unreadable(path)?,
    };
    let bytes = facts.filter(fs::Metadata::is_file).map_or(0, |facts| facts.len());
    Some((LeftOut { path: path.to_path_buf(), is_directory, before: 0, bytes }, Error::looking(path, &why)))
}

/// The reason why a file or directory cannot be read. It is opened unless it is a stream: opening and closing
/// a FIFO would end its writer, so only `access(2)` is asked about it.
pub(super) fn why_unreadable(path: &Path) -> Option<io::Error> {
    if path == Path::new("-") {
        return None;
    }
    let look = || {
        let facts = fs::metadata(path)?;
        let wanted = if facts.is_dir() { Access::READ_OK | Access::EXEC_OK } else { Access::READ_OK };
        rustix::fs::access(path, wanted)?;
        if facts.file_type().is_socket() {
            return Err(io::Error::from_raw_os_error(libc::ENXIO));
        }
        if facts.is_file() && !Stream::is_stream(path) {
            open_without_waiting(path)?;
        }
        Ok(())
    };
    look().err()
}

/// Refuses, naming the first of them, other paths than those that were left out in the run before.
pub(super) fn same_left_out(now: &[LeftOut], stored: &[LeftOut]) -> Result<()> {
    let missing_in = |others: &[LeftOut], these: &[LeftOut]| {
        let path = |one: &LeftOut| (one.path.clone(), one.is_directory);
        these.iter().find(|this| !others.iter().any(|other| path(other) == path(this))).cloned()
    };
    let refused = |one: LeftOut, how: &str| {
        Err(Error::refused(one.path.display(), how).advise("put it back as it was").or(Advice::StartAfresh))
    };
    match (missing_in(stored, now), missing_in(now, stored)) {
        (Some(one), _) => refused(one, "cannot be read, and the job was begun with it"),
        (None, Some(one)) => refused(one, "is here now, and was left out when the job began"),
        (None, None) => Ok(()),
    }
}
