//! The state directory: its files, and which process may change them.
//!
//! ```text
//! OUT.bivouac/              mode 0700, owned by the user of the job
//!   lock                    held with flock while a run works; names the holder, for messages
//!   checkpoint.json         the record (see durable::record), replaced whole
//!   checkpoint.json.new-ID  the next one, while it is being written
//!   status.json              what a running job is doing (see durable::status_file), replaced, never synced
//!   request.json            for a moment: other settings that another process asks for
//!   journal                 how commands ended (see durable::journal)
//!   history.jsonl           phases, requests and numbers over time (see durable::history), never synced
//!   spill/segment.<n>       results of tasks completed ahead of the frontier (see durable::spill)
//!   pieces/                 files that the job itself keeps until it has finished
//! ```
//!
//! `durable/store.rs` replaces one record by the next.
//!
//! # A refusal changes nothing
//!
//! A run may open a state and then be refused. So until the run writes something of its job, dropping the
//! [`StateDir`] restores the directory: the lock file gets its old text back, and a directory that this run
//! created is removed.

mod clean;
mod fence;
mod known;
pub mod reach;
mod showing;
mod spill;

pub use crate::durable::holder::{Continuing, Holder};
#[doc(hidden)]
pub use crate::task::source::PIECES;
pub use clean::{Cleaned, Peek, clean, is_state, peek};
pub use showing::read_live;
pub(crate) use spill::{make_segment, remove_segment};

use crate::durable::disk::{Dir, Disk, if_there, read_plain, refuse_trap_at, split};
use crate::durable::lock::{self, Acquired, Lock, Unconfirmed};
use crate::durable::record::{Record, Unverified};
use crate::error::{Advice, At, Error, Kind, Result};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

const STATUS: &str = "status.json";
const STATUS_NEW: &str = "status.json.new";
pub(crate) const RECORD: &str = "checkpoint.json";
const RECORD_NEW: &str = "checkpoint.json.new";
/// The request of another process to the run. Only the tool writes and reads it.
#[doc(hidden)]
pub const REQUEST: &str = "request.json";
const LOCK_GONE: &str = "lock.gone";
const SPILL: &str = "spill";

/// A longer file is no record. (A hundred thousand files on a command line make tens of megabytes.)
pub(crate) const LARGEST_RECORD: u64 = 256 << 20;

/// How often it is looked up again if another process removes it just when this one opens it.
const ROUNDS: usize = 10;

/// Whether the directory is the state of a job that has begun, by the look of it.
#[doc(hidden)]
pub fn has_record(path: &Path) -> bool {
    path.join(RECORD).is_file()
}

/// An open, locked state. Dropping it releases the lock, and restores the directory if nothing was written.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    parent: Arc<dyn Dir>,
    name: OsString,
    dir: Arc<dyn Dir>,
    spill: Option<Arc<dyn Dir>>,
    /// `None` when the state was removed.
    lock: Option<Lock>,
    /// Set when the lock was lost. Another run may then be working here, so nothing more is changed.
    lost: Option<Error>,
    /// Part of the names of temporary files: no two runs have the same, even if a lock is lost.
    id: String,
    /// There is a record, so the name of the directory itself is durable.
    pub(crate) has_record: bool,
    untouched: Option<Untouched>,
    fence: fence::Fence,
}

/// The change that must be undone if the run writes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Untouched {
    Found,
    Made,
}

impl Drop for StateDir {
    fn drop(&mut self) {
        let Some(untouched) = self.untouched.filter(|_| self.confirm().is_ok()) else { return };
        let Some(lock) = self.lock.take() else { return };
        lock.undo(&*self.dir);
        if untouched == Untouched::Made {
            // This fails if another run has already put files there.
            self.parent.remove_dir(&self.name).ok();
        }
    }
}

impl StateDir {
    /// Opens and locks the state directory if it exists. Fails with [`Kind::Busy`] when another run holds it. Refuses it when
    /// it is no directory, belongs to another user, can be written by others, or contains something else in place of a file
    /// of a state. It is [`Kind::Usage`] when it contains other files, and no state.
    pub fn open(disk: &dyn Disk, path: &Path) -> Result<Option<Self>> {
        Self::open_with(disk, path, false, &|| true)
    }

    /// As [`open`](Self::open), but creates the directory if it does not exist. Its parent must exist. It survives a power
    /// cut as soon as there is a record in it.
    pub fn create(disk: &dyn Disk, path: &Path) -> Result<Self> {
        Self::open_with(disk, path, true, &|| true)?
            .ok_or_else(|| Error::broken(path.display(), "the state directory disappears again and again"))
    }

    /// Opens it, and with `make` creates it if it does not exist. If the lock is still held for a run that was
    /// killed, this call waits for it as long as `may_wait` returns true.
    pub(crate) fn open_with(
        disk: &dyn Disk,
        path: &Path,
        make: bool,
        may_wait: &dyn Fn() -> bool,
    ) -> Result<Option<Self>> {
        let (above, name) = split(path).ok_or_else(|| {
            Error::usage(path.display(), "cannot be a state directory: it has no name of its own")
        })?;
        refuse_trap_at(disk, above)?;
        let parent = match disk.open_dir(above) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !make => return Ok(None),
            opened => opened.map_err(|cause| no_place(above, &cause))?,
        };
        for _ in 0..ROUNDS {
            let Some((dir, untouched)) = open_own(&*parent, name, path, make)? else {
                if make {
                    continue;
                }
                return Ok(None);
            };
            known::check(&*dir, path)?;
            let acquired = lock::acquire(&*dir, path, may_wait).inspect_err(|_| {
                if untouched == Untouched::Made {
                    parent.remove_dir(name).ok();
                }
            });
            let Acquired::Held(lock) = acquired? else { continue };
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let state = Self {
                path: path.to_path_buf(),
                parent: Arc::clone(&parent),
                name: name.to_os_string(),
                has_record: known::is_there(&*dir, RECORD),
                dir,
                spill: None,
                lock: Some(lock),
                lost: None,
                id: format!("{:x}-{:x}", now.as_nanos(), std::process::id()),
                untouched: Some(untouched),
                fence: fence::Fence::Off,
            };
            if state.is_at_its_path() {
                return Ok(Some(state));
            }
        }
        Ok(None)
    }

    /// Whether the path still leads to this directory: it may have been moved away and made again.
    fn is_at_its_path(&self) -> bool {
        let named = self.parent.facts(&self.name).ok().flatten();
        named.map(|facts| facts.id) == self.dir.own_facts().ok().map(|facts| facts.id)
    }

    /// The open lock file, if the disk is a real one.
    pub(crate) fn lock_descriptor(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.lock.as_ref().and_then(Lock::descriptor)
    }

    /// Names are about to change: asks whether the state is still ours. From here on, dropping the state does not
    /// restore it.
    fn touch(&mut self) -> Result<()> {
        self.untouched = None;
        self.confirm()
    }

    fn temporary(&self, name: &str) -> OsString {
        format!("{name}-{}", self.id).into()
    }

    /// Where the state is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the record, if there is one. Refuses one that is damaged or of a newer format.
    pub fn read_record(&self) -> Result<Option<Record>> {
        read_record(&*self.dir, &self.path)
    }

    /// Prepares the next record: returns the open directory and the temporary name to write it under.
    pub(crate) fn before_record(&mut self) -> Result<(Arc<dyn Dir>, OsString)> {
        self.untouched = None;
        self.confirm_lock()?;
        let new = self.temporary(RECORD_NEW);
        if !self.has_record {
            let step = "sync the parent directory of the state with";
            self.parent.sync().map_err(|e| Error::io(&self.path.join(&new), step, &e))?;
        }
        Ok((Arc::clone(&self.dir), new))
    }

    /// The record is durable, and so is the name of the directory.
    pub(crate) fn after_record(&mut self, record: &Record) {
        self.has_record = true;
        self.close_fence(record);
    }

    /// Fails if the state is not ours any more, since another run may then be working here. A lock on a local disk
    /// cannot be lost, so there this costs nothing.
    pub(crate) fn confirm(&mut self) -> Result<()> {
        if self.lost.is_some() || self.lock.as_ref().is_some_and(|lock| lock.is_remote) {
            self.confirm_lock()?;
        }
        self.confirm_record()
    }

    /// Asks once more just before a rename: writing and flushing took its time. The temporary file is ours, whatever the
    /// answer.
    pub(crate) fn confirm_before_rename(&mut self, temporary: &OsStr) -> Result<()> {
        self.confirm().inspect_err(|_| self.dir.remove(temporary).unwrap_or_default())
    }

    /// Asks in any case: each record begins with that, and a disk that is broken shows it here.
    pub(crate) fn confirm_lock(&mut self) -> Result<()> {
        if let Some(error) = &self.lost {
            return Err(error.clone());
        }
        match self.lock.as_ref().map_or(Ok(()), Lock::confirm) {
            Ok(()) => Ok(()),
            Err(Unconfirmed::Broken(error)) => Err(error),
            Err(Unconfirmed::Lost(error)) => Err(self.lost.insert(error).clone()),
        }
    }

    fn sync_dir(&self) -> Result<()> {
        self.dir.sync().at(&self.path, "sync the directory")
    }

    /// Removes the file `name` below the state, from the open directory `dir`. It may be missing.
    fn remove_if_there(&self, dir: &dyn Dir, name: &Path) -> Result<()> {
        let removed = if_there(dir.remove(name.file_name().unwrap_or_default()));
        removed.map(drop).at(self.path.join(name), "remove")
    }
}

/// A missing parent directory is a typing error; one that the disk or the kernel refuses is not.
fn no_place(above: &Path, cause: &io::Error) -> Error {
    let error = Error::io(above, "open the directory of the state", cause);
    if !matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) {
        return error;
    }
    error.with_kind(Kind::Usage).advise("make it").or(Advice::NameAnotherState)
}

/// Opens the state directory and checks its owner. `None`: it does not exist, or no longer.
fn open_own(
    parent: &dyn Dir,
    name: &OsStr,
    path: &Path,
    make: bool,
) -> Result<Option<(Arc<dyn Dir>, Untouched)>> {
    let there = parent.facts(name).at(path, "look at the state directory")?;
    let mut untouched = Untouched::Found;
    match there {
        Some(facts) if !facts.is_dir => {
            return Err(Error::usage(path.display(), "is not a directory, and a state is one")
                .advise(Advice::NameAnotherState));
        }
        Some(_) => {}
        None if !make => return Ok(None),
        None => match parent.make_dir(name) {
            Ok(()) => untouched = Untouched::Made,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            // The parent is gone: another run found it empty and removed it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                let error = Error::io(path, "make the state directory", &error);
                return Err(error.advise(Advice::NameAnotherState));
            }
        },
    }
    let dir = if_there(parent.open_dir(name)).map_err(|error| not_opened(path, &error))?;
    dir.map(|dir| check_owner(&*dir, path).map(|()| (dir, untouched))).transpose()
}

/// A directory of another user may be unreadable; then only its path tells who owns it.
fn not_opened(path: &Path, cause: &io::Error) -> Error {
    let owner = std::fs::metadata(path).map(|facts| facts.uid());
    match owner.ok().filter(|owner| cause.kind() == io::ErrorKind::PermissionDenied && *owner != us()) {
        Some(owner) => of_another_user(path, owner),
        None => Error::io(path, "open the state directory", cause),
    }
}

fn us() -> u32 {
    nix::unistd::geteuid().as_raw()
}

fn of_another_user(path: &Path, owner: u32) -> Error {
    Error::refused(path.display(), format_args!("belongs to another user (uid {owner})"))
}

/// A user who can write to the directory can make this process write, truncate and remove other files.
fn check_owner(dir: &dyn Dir, path: &Path) -> Result<()> {
    let facts = dir.own_facts().at(path, "look at the state directory")?;
    if facts.uid != us() {
        return Err(of_another_user(path, facts.uid));
    }
    if facts.mode & 0o022 != 0 {
        let problem = format_args!("can be written by other users (mode {:04o})", facts.mode);
        let error = Error::refused(path.display(), problem);
        return Err(error.advise("run chmod go-w on it if you trust its contents"));
    }
    Ok(())
}

fn read_record(dir: &dyn Dir, path: &Path) -> Result<Option<Record>> {
    let Some(bytes) = read_plain(dir, path, RECORD, LARGEST_RECORD)? else { return Ok(None) };
    Unverified::new(bytes).verify(&path.join(RECORD)).map(Some)
}

#[cfg(test)]
pub(crate) mod tests;
