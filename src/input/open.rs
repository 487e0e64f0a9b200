//! Opening an input without waiting for it.
//!
//! A plain open of a FIFO waits for a writer, and nothing could end that wait. With `O_NONBLOCK` it returns
//! at once; for a regular file the flag means nothing. With `O_NOCTTY` no terminal becomes ours.

use crate::error::{At, Error, Result};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

pub(super) fn open_without_waiting(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
}

/// Opens an input that was given: wrong usage if it is missing, a directory, or not readable.
pub(super) fn open_nonblocking(path: &Path) -> Result<File> {
    let file = open_without_waiting(path).map_err(|e| Error::named(path, "open", &e))?;
    let stat = file.metadata().at(path, "stat")?;
    if stat.is_dir() {
        return Err(Error::usage(path.display(), "is a directory").advise("name the files in it"));
    }
    Ok(file)
}
