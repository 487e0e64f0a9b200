//! The state directory: where a checkpoint lives, and who may touch it.
//!
//! ```text
//! OUT.bivouac/              mode 0700, ours alone
//!   lock                    held with flock while a run works; who holds it, for messages
//!   checkpoint.json         the record (see durable::record), replaced whole
//!   checkpoint.json.new-ID  the next one, while it is being written
//!   status.json              what a running job is doing (see durable::status_file), replaced, never synced
//!   spill/segment.<n>       results of tasks completed ahead of the frontier (see durable::spill)
//! ```
//!
//! How one record replaces another is told where it is done: in `durable/store.rs`.
//!
//! # A refusal changes nothing
//!
//! A run may open a state and then be refused. So until the run writes something of the job itself, dropping
//! the state leaves it as it was: the text of the lock is put back, and a directory that was made is removed.

mod clean;
mod holder;
mod known;
mod lock;
pub mod reach;
mod showing;
mod spill;

pub use clean::{Cleaned, Peek, clean, is_state, peek};
pub use holder::{Continuing, Holder};
pub use showing::read_live;
pub(crate) use spill::{Spilled, make_segment, remove_segment};

use crate::durable::disk::{Dir, Disk, read_plain, refuse_trap_at, split};
use crate::durable::record::{Record, Unverified};
use crate::error::{Advice, Error, Kind, Result};
use lock::{Acquired, Lock, Unconfirmed};
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
const LOCK: &str = "lock";
const LOCK_GONE: &str = "lock.gone";
const SPILL: &str = "spill";

/// No record is longer; what is, is none. (That of a job with a hundred thousand files named on its command
/// line has some tens of megabytes.)
pub(crate) const LARGEST_RECORD: u64 = 256 << 20;

/// How often the directory is looked up anew when somebody else cleans it away while we open it.
/// Each round needs another `clean` at just that moment.
const ROUNDS: usize = 10;

/// A state directory that is open and locked. Dropping it gives the lock back, and if nothing was
/// written leaves everything as it was.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    parent: Arc<dyn Dir>,
    name: OsString,
    dir: Arc<dyn Dir>,
    spill: Option<Arc<dyn Dir>>,
    /// The first failure of something that was to be durable; after it nothing more is tried.
    broken: Option<Error>,
    /// `None` when the state was removed.
    lock: Option<Lock>,
    /// Somebody else may work here by now.
    is_lost: bool,
    /// So that no two runs have a temporary file of the same name, whatever became of a lock.
    id: String,
    /// There is a record, so the directory itself is durable.
    has_record: bool,
    untouched: Option<Untouched>,
}

/// What is taken back if nothing comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Untouched {
    Found,
    Made,
}

impl Drop for StateDir {
    fn drop(&mut self) {
        let (Some(untouched), Some(lock)) = (self.untouched, self.lock.take()) else { return };
        lock.undo(&*self.dir);
        if untouched == Untouched::Made {
            // It is not empty if another run is here already.
            self.parent.remove_dir(&self.name).ok();
        }
    }
}

impl StateDir {
    /// Opens and locks the state directory if it exists.
    ///
    /// # Errors
    ///
    /// [`Kind::Busy`] when another run holds it; [`Kind::Refused`] when it is not a directory, is
    /// owned by somebody else, can be written by others, or has something else in place of a file of
    /// a state; [`Kind::Usage`] when it holds other things, and no state.
    pub fn open(disk: &dyn Disk, path: &Path) -> Result<Option<Self>> {
        Self::open_with(disk, path, false, &|| true)
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
    /// The directory itself survives a power cut together with the first record in it.
    pub fn create(disk: &dyn Disk, path: &Path) -> Result<Self> {
        Self::open_with(disk, path, true, &|| true)?
            .ok_or_else(|| Error::broken(path.display(), "the state directory disappears again and again"))
    }

    /// Opens it if it exists, or makes it. A lock that is held for a run that was killed is waited for as long
    /// as `may_wait` says so.
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
            Ok(parent) => parent,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !make => return Ok(None),
            Err(cause) => return Err(no_place(above, &cause)),
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
                broken: None,
                lock: Some(lock),
                is_lost: false,
                id: format!("{:x}-{:x}", now.as_nanos(), std::process::id()),
                untouched: Some(untouched),
            };
            if state.is_at_its_path() {
                return Ok(Some(state));
            }
        }
        Ok(None)
    }

    /// Somebody may have moved the directory away since we opened it, and another run made a new one.
    fn is_at_its_path(&self) -> bool {
        let named = self.parent.facts(&self.name).ok().flatten();
        named.map(|facts| facts.id) == self.dir.own_facts().ok().map(|facts| facts.id)
    }

    /// The open file of the lock, where the disk is a real one.
    pub(crate) fn lock_descriptor(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.lock.as_ref().and_then(Lock::descriptor)
    }

    /// Whether there is a record in it.
    pub(crate) fn has_record(&self) -> bool {
        self.has_record
    }

    /// From here on there is no way back.
    fn touch(&mut self) {
        self.untouched = None;
    }

    /// The name of a temporary file of this run.
    fn temporary(&self, name: &str) -> OsString {
        format!("{name}-{}", self.id).into()
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

    /// What the next record is written to: the open directory, and a temporary name in it. From here on the
    /// state is not put back as it was.
    ///
    /// # Errors
    ///
    /// The lock is lost, or the directory cannot be made durable. The first failure is also the answer to
    /// every later call.
    pub(crate) fn before_record(&mut self) -> Result<(Arc<dyn Dir>, OsString)> {
        self.touch();
        self.durably(|state| {
            state.confirm_lock()?;
            let new = state.temporary(RECORD_NEW);
            if !state.has_record {
                let step = "sync the directory above the state with";
                state.parent.sync().map_err(|e| Error::io(&state.path.join(&new), step, &e))?;
            }
            Ok((Arc::clone(&state.dir), new))
        })
    }

    /// The record is durable, and with it the directory.
    pub(crate) fn after_record(&mut self) {
        self.has_record = true;
    }

    /// Nothing is written any more when another run may work here.
    fn confirm_lock(&mut self) -> Result<()> {
        match self.lock.as_ref().map_or(Ok(()), Lock::confirm) {
            Ok(()) => Ok(()),
            Err(Unconfirmed::Broken(error)) => Err(error),
            Err(Unconfirmed::Lost(error)) => {
                self.is_lost = true;
                Err(error)
            }
        }
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

/// Why there is no directory in which the state can be. A name that leads nowhere is a slip; what a disk
/// or the system refuses is not.
fn no_place(above: &Path, cause: &io::Error) -> Error {
    let error = Error::io(above, "open the directory of the state", cause);
    match matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) {
        true => error.with_kind(Kind::Usage).advise("make it").or(Advice::NameAnotherState),
        false => error,
    }
}

/// Opens the state directory below `parent` and checks whose it is. `None`: it is not there, or
/// went away between two calls.
fn open_own(
    parent: &dyn Dir,
    name: &OsStr,
    path: &Path,
    make: bool,
) -> Result<Option<(Arc<dyn Dir>, Untouched)>> {
    let there = parent.facts(name).map_err(|e| Error::io(path, "look at the state directory", &e))?;
    let mut untouched = Untouched::Found;
    match there {
        Some(facts) if !facts.is_dir => return Err(Error::refused(path.display(), "is not a directory")),
        Some(_) => {}
        None if !make => return Ok(None),
        None => match parent.make_dir(name) {
            Ok(()) => untouched = Untouched::Made,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            // The directory above it is gone: another run has removed it as empty.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(
                    Error::io(path, "make the state directory", &error).advise(Advice::NameAnotherState)
                );
            }
        },
    }
    match parent.open_dir(name) {
        Ok(dir) => check_owner(&*dir, path).map(|()| Some((dir, untouched))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(not_opened(path, &error)),
    }
}

/// A state of somebody else may be closed to us, so that it cannot be asked whose it is.
fn not_opened(path: &Path, cause: &io::Error) -> Error {
    let owner = std::fs::metadata(path).map(|facts| facts.uid());
    match owner {
        Ok(owner) if cause.kind() == io::ErrorKind::PermissionDenied && owner != us() => {
            anothers(path, owner)
        }
        Ok(_) | Err(_) => Error::io(path, "open the state directory", cause),
    }
}

fn us() -> u32 {
    nix::unistd::geteuid().as_raw()
}

fn anothers(path: &Path, owner: u32) -> Error {
    Error::refused(path.display(), format_args!("belongs to another user (uid {owner})"))
}

/// Whoever can write here can make us write, truncate and remove elsewhere.
fn check_owner(dir: &dyn Dir, path: &Path) -> Result<()> {
    let facts = dir.own_facts().map_err(|e| Error::io(path, "look at the state directory", &e))?;
    if facts.uid != us() {
        return Err(anothers(path, facts.uid));
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
    let Some(bytes) = read_plain(dir, path, RECORD, LARGEST_RECORD)? else { return Ok(None) };
    Unverified::new(bytes).verify(&path.join(RECORD)).map(Some)
}

#[cfg(test)]
pub(crate) mod tests;
