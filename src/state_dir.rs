//! The state directory: where a checkpoint lives, and who may touch it.
//!
//! ```text
//! OUT.bivouac/              mode 0700, ours alone
//!   lock                    held with flock while a run works; who holds it, for messages
//!   checkpoint.json         the record (see crate::checkpoint), replaced whole
//!   checkpoint.json.new     the next one, while it is being written
//!   status.json              what a running job is doing (see crate::live), replaced, never synced
//!   spill/segment.<n>       results of tasks that finished beyond the frontier (see crate::spill)
//! ```
//!
//! # What is assumed of the disk
//!
//! 1. When `fsync` of a file returns, its content is durable; its *name* need not be.
//! 2. When `fsync` of a directory returns, the names in it are.
//! 3. A rename happens wholly or not at all.
//! 4. Without a sync, anything may be lost, in any order and in part.
//!
//! # How a record is replaced, and what a crash leaves
//!
//! `write_record` does: write `checkpoint.json.new` → fsync it → rename it to `checkpoint.json` →
//! fsync the directory. If the process or the machine dies
//!
//! 1. **before the rename**, the old record stands; the temporary is deleted by the next run;
//! 2. **after the rename, before the directory is synced**, either the old or the new record
//!    stands, whole in both cases, because the new content was durable before it got the name.
//!    Both are true: what the new one names was durable before it was written;
//! 3. **after the directory is synced**, the new record stands. Only now is it said to exist.
//!
//! Case 2 also arises when the last fsync *fails*: the record may be visible now and gone after a
//! power cut. So a later run never builds on a record that it merely read; before it removes or
//! publishes anything, it writes a record of its own.

mod clean;
mod lock;
pub mod reach;
mod showing;
mod spill;

pub use clean::{Cleaned, Peek, clean, peek};
pub use lock::{Continuing, Holder};
pub use showing::read_live;
pub(crate) use spill::Spilled;

use crate::checkpoint::{Record, Unverified};
use crate::disk::{Dir, Disk, Open, read_whole, split};
use crate::error::{Error, Kind, Result};
use lock::{Acquired, Lock};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const RECORD: &str = "checkpoint.json";
const RECORD_NEW: &str = "checkpoint.json.new";
const LOCK: &str = "lock";
const SPILL: &str = "spill";

/// How often the directory is looked up anew when somebody else cleans it away while we open it.
/// Each round needs another `clean` at just that moment.
const ROUNDS: usize = 10;

/// A state directory that is open and locked. Dropping it gives the lock back.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    parent: Arc<dyn Dir>,
    name: OsString,
    dir: Arc<dyn Dir>,
    spill: Option<Arc<dyn Dir>>,
    /// The first failure of something that was to be durable; after it nothing more is tried.
    broken: Option<Error>,
    lock: Lock,
}

impl StateDir {
    /// Opens and locks the state directory if it exists.
    ///
    /// # Errors
    ///
    /// [`Kind::Busy`] when another run holds it; [`Kind::Refused`] when it is not a directory, is
    /// owned by somebody else, or can be written by others.
    pub fn open(disk: &dyn Disk, path: &Path) -> Result<Option<Self>> {
        Self::open_with(disk, path, false)
    }

    /// Opens and locks the state directory, and makes it if it does not exist. The directory
    /// above it must exist.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open); [`Kind::Usage`] when there is no directory above it.
    ///
    /// # Durability
    ///
    /// When this returns, the directory itself survives a power cut.
    pub fn create(disk: &dyn Disk, path: &Path) -> Result<Self> {
        Self::open_with(disk, path, true)?
            .ok_or_else(|| Error::broken(path.display(), "the state directory disappears again and again"))
    }

    fn open_with(disk: &dyn Disk, path: &Path, make: bool) -> Result<Option<Self>> {
        let (above, name) = split(path).ok_or_else(|| {
            Error::usage(path.display(), "cannot be a state directory: it has no name of its own")
        })?;
        let parent = match disk.open_dir(above) {
            Ok(parent) => parent,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !make => return Ok(None),
            Err(error) => {
                let error = Error::io(above, "open the directory of the state", &error);
                return Err(error
                    .with_kind(Kind::Usage)
                    .advise("make it, or name another place with --state"));
            }
        };
        for _ in 0..ROUNDS {
            let Some(dir) = open_own(&*parent, name, path, make)? else {
                if make {
                    continue;
                }
                return Ok(None);
            };
            if make {
                parent.sync().map_err(|e| Error::io(above, "sync the directory", &e))?;
            }
            if let Acquired::Held(lock) = lock::acquire(&*dir, path)? {
                let spill = None;
                let state = Self {
                    path: path.to_path_buf(),
                    parent,
                    name: name.to_os_string(),
                    dir,
                    spill,
                    broken: None,
                    lock,
                };
                state.remove_if_there(&*state.dir, RECORD_NEW.as_ref())?;
                return Ok(Some(state));
            }
        }
        Ok(None)
    }

    /// The open file of the lock, where the disk is a real one.
    pub(crate) fn lock_descriptor(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.lock.descriptor()
    }

    /// Where the state is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the record, if there is one.
    ///
    /// # Errors
    ///
    /// [`Kind::Refused`] when it is damaged or of a newer format; it is left as it is.
    pub fn read_record(&self) -> Result<Option<Record>> {
        read_record(&*self.dir, &self.path)
    }

    /// Replaces the record. Returns its size in bytes.
    ///
    /// # Errors
    ///
    /// The first failure is also the answer to every later call: a sync that failed must not be
    /// tried again, and nothing may be committed after it.
    ///
    /// # Durability
    ///
    /// When this returns, the record survives a power cut. What it names (output, spill files)
    /// must be durable before the call.
    pub fn write_record(&mut self, record: &Record) -> Result<u64> {
        let bytes = record.encode()?;
        self.durably(|state| {
            let (new, to) = (OsStr::new(RECORD_NEW), OsStr::new(RECORD));
            let path = state.path.join(RECORD_NEW);
            let failed = |step: &'static str| move |e: io::Error| (step, e);
            let replace = || {
                let file = state.dir.open(new, Open::Create).map_err(failed("create"))?;
                file.truncate(0).map_err(failed("truncate"))?;
                file.write_at(&bytes, 0).map_err(failed("write"))?;
                file.sync_all().map_err(failed("sync"))?;
                state.dir.rename(new, to).map_err(failed("rename"))?;
                state.dir.sync().map_err(failed("sync the directory of"))
            };
            replace().map_err(|(step, e)| Error::io(&path, step, &e))
        })?;
        Ok(bytes.len() as u64)
    }

    /// Does something that shall be durable, unless something like it has failed before.
    fn durably<T>(&mut self, step: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        let done = step(self);
        if let Err(error) = &done {
            self.broken = Some(error.clone());
        }
        done
    }

    fn remove_if_there(&self, dir: &dyn Dir, name: &OsStr) -> Result<()> {
        match dir.remove(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io(&self.path.join(name), "remove", &error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// Opens the state directory below `parent` and checks whose it is. `None`: it is not there, or
/// went away between two calls.
fn open_own(parent: &dyn Dir, name: &OsStr, path: &Path, make: bool) -> Result<Option<Arc<dyn Dir>>> {
    let there = parent.facts(name).map_err(|e| Error::io(path, "look at the state directory", &e))?;
    match there {
        Some(facts) if !facts.is_dir => return Err(Error::refused(path.display(), "is not a directory")),
        Some(_) => {}
        None if !make => return Ok(None),
        None => match parent.make_dir(name) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(Error::io(path, "make the state directory", &error)
                    .advise("name another place with --state DIR"));
            }
            Ok(()) | Err(_) => {}
        },
    }
    match parent.open_dir(name) {
        Ok(dir) => check_owner(&*dir, path).map(|()| Some(dir)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(path, "open the state directory", &error)),
    }
}

/// Whoever can write here can make us write, truncate and remove elsewhere.
fn check_owner(dir: &dyn Dir, path: &Path) -> Result<()> {
    let facts = dir.own_facts().map_err(|e| Error::io(path, "look at the state directory", &e))?;
    if facts.uid != nix::unistd::geteuid().as_raw() {
        return Err(Error::refused(
            path.display(),
            format_args!("belongs to another user (uid {})", facts.uid),
        ));
    }
    if facts.mode & 0o022 != 0 {
        let problem = format_args!("can be written by other users (mode {:04o})", facts.mode);
        return Err(
            Error::refused(path.display(), problem).advise("chmod go-w it if you trust what is in it")
        );
    }
    Ok(())
}

fn read_record(dir: &dyn Dir, path: &Path) -> Result<Option<Record>> {
    let path = path.join(RECORD);
    let file = match dir.open(RECORD.as_ref(), Open::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io(&path, "open", &error)),
    };
    let bytes = read_whole(&*file).map_err(|e| Error::io(&path, "read", &e))?;
    Unverified::new(bytes).verify(&path).map(Some)
}

#[cfg(test)]
pub(crate) mod tests;
