//! The one seam to files.
//!
//! Everything that bivouac itself makes durable goes through these three traits, so that a test can use a
//! disk that fails, tears and forgets. Paths occur only at the top ([`Disk::open_dir`]). Below it every name
//! is relative to a directory that is held open, so that no process can swap a symlink in between two calls. The
//! errors of a method are those of the system call that does the same: of `renameat(2)` for [`Dir::rename`].

pub(crate) mod links;
mod os;
mod plain;
#[cfg(test)]
pub(crate) mod tests;

pub use links::{refuse_anothers, refuse_trap_at};
pub use os::OsDisk;
pub(crate) use os::nameless;
pub(crate) use plain::{look_plain, open_plain, read_plain, read_up_to};

use std::ffi::{OsStr, OsString};
use std::fmt::Debug;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A disk: where directories are opened.
pub trait Disk: Send + Sync + Debug {
    /// Opens an existing directory. Symlinks in the path are followed: the path is the user's.
    fn open_dir(&self, path: &Path) -> io::Result<Arc<dyn Dir>>;
}

/// A directory that is held open.
pub trait Dir: Send + Sync + Debug {
    /// Opens a file in this directory; a symlink is an error (`O_NOFOLLOW`).
    fn open(&self, name: &OsStr, how: Open) -> io::Result<Box<dyn DiskFile>>;

    /// Opens a directory in this directory; a symlink is an error.
    fn open_dir(&self, name: &OsStr) -> io::Result<Arc<dyn Dir>>;

    /// Makes a directory of mode 0700. Not durable until [`sync`](Dir::sync).
    fn make_dir(&self, name: &OsStr) -> io::Result<()>;

    /// Gives `from` the name `to`, replacing what had it. Not durable until [`sync`](Dir::sync).
    fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, name: &OsStr) -> io::Result<()>;

    /// Removes an empty directory.
    fn remove_dir(&self, name: &OsStr) -> io::Result<()>;

    /// The facts about the file of this name (without following a symlink), or `None`.
    fn facts(&self, name: &OsStr) -> io::Result<Option<Facts>>;

    /// Where the symlink of this name points; `EINVAL` if it is not a symlink.
    fn read_link(&self, name: &OsStr) -> io::Result<PathBuf>;

    /// The facts about this directory itself.
    fn own_facts(&self) -> io::Result<Facts>;

    /// The names in this directory, sorted.
    fn list(&self) -> io::Result<Vec<OsString>>;

    /// When this returns, the names in this directory survive a power cut (`fsync`). After an error never tried again.
    fn sync(&self) -> io::Result<()>;
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// For reading; it must exist.
    Read,
    /// For reading and writing; it must exist.
    Write,
    /// For reading and writing, made with mode 0600 if it does not exist.
    Create,
    /// For reading and writing, made with this mode; it must not exist (`O_EXCL`).
    CreateNew(u32),
}

/// The facts about a file that are known without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Is it a regular file?
    pub is_file: bool,
    /// Is it a directory?
    pub is_dir: bool,
    /// Number of names it has.
    pub links: u64,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Length in bytes.
    pub bytes: u64,
    /// Device and inode: what makes it this file and no other.
    pub id: (u64, u64),
}

/// An open file.
pub trait DiskFile: Send + Sync + Debug {
    /// Writes all of `bytes` at `offset`; after an error a part may be there. There is no cursor and no append mode.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Reads up to `buf.len()` bytes at `offset`; 0 at the end of the file.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Fills `buf` from `offset` on; `false` if the file ends before.
    fn fill(&self, buf: &mut [u8], offset: u64) -> io::Result<bool> {
        let mut filled = 0;
        while filled < buf.len() {
            match self.read_at(&mut buf[filled..], offset + filled as u64)? {
                0 => return Ok(false),
                got => filled += got,
            }
        }
        Ok(true)
    }

    /// The `bytes` bytes from `offset` on; `None` if the file ends before.
    fn read_exact(&self, bytes: usize, offset: u64) -> io::Result<Option<Vec<u8>>> {
        let mut all = vec![0; bytes];
        Ok(self.fill(&mut all, offset)?.then_some(all))
    }

    /// The facts about this file.
    fn facts(&self) -> io::Result<Facts>;

    /// Cuts the file to `bytes`.
    fn truncate(&self, bytes: u64) -> io::Result<()>;

    /// Sets the permission bits.
    fn set_mode(&self, mode: u32) -> io::Result<()>;

    /// When this returns, content and length survive a power cut (`fdatasync`). After an error never tried again: the
    /// second call may succeed although the bytes are lost.
    fn sync_data(&self) -> io::Result<()>;

    /// As `sync_data`, with the rest of the metadata (`fsync`).
    fn sync_all(&self) -> io::Result<()>;

    /// Takes an exclusive `flock` that lasts as long as this file is open; `false` if another file holds it.
    fn try_lock(&self) -> io::Result<bool>;

    /// Whether a file server holds its content and its lock.
    fn is_remote(&self) -> bool {
        false
    }

    /// The descriptor, if there is one. A process that gets it can hold the lock longer than this one lives.
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// Turns the error "does not exist" into `None`.
pub(crate) fn if_there<T>(opened: io::Result<T>) -> io::Result<Option<T>> {
    match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some),
    }
}

/// The directory and the name of `path` in it; `None` for `/`, `.` and `..`, which have none.
pub(crate) fn split(path: &Path) -> Option<(&Path, &OsStr)> {
    let name = path.file_name()?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    Some((parent.unwrap_or(Path::new(".")), name))
}
