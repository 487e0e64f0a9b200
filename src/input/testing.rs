//! Places for the tests of this room.

use nix::sys::stat::Mode;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A directory with one file in it, and the path of that file.
pub(super) fn file_with(text: impl AsRef<[u8]>) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    fs::write(&path, text).unwrap();
    (dir, path)
}

pub(super) fn fifo_in(dir: &Path) -> PathBuf {
    let fifo = dir.join("fifo");
    nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    fifo
}
