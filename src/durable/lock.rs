//! The lock: one run per state.
//!
//! The obvious lock is a file with a process id in it. Such a file outlives a SIGKILL. Then the next run must guess whether
//! the id still names the same process, perhaps in another container or on another host. `flock` needs no guess: the kernel
//! releases it when the last descriptor is closed, however the process ended. The process id in the file is for messages.
//!
//! # Race condition
//!
//! A run that removes a state also removes the lock file, while it holds the lock. A second run may have opened the file
//! just before. It would then lock a file without a name, while a third run creates a new one: two holders. So a run that
//! has the lock checks whether the name still leads to it, or starts over.
//!
//! The removal renames the file, closes it, which releases the lock, and removes it last. A network file system keeps a
//! removed file under another name while it is open, and then the directory could not be removed.
//!
//! # When the lock is lost
//!
//! A file server may give the lock to another client after a cut network or a suspended machine. From then on it
//! refuses writes through every descriptor that held a lock, and the kernel answers EIO or ESTALE. That leads to two
//! rules for a state on a file server:
//!
//! - **Bytes** go through locked descriptors only ([`hold`]): the output, the journal, the history, the files of the
//!   spill. So the server refuses them, also those of a host that thaws in the middle of a write. It costs nothing while
//!   they are written.
//! - **Names** have no such protection. So each batch of creations, renames and removals begins with a question: a
//!   write through the lock itself ([`Lock::confirm`]). If it fails, another run may be at work, and this run changes
//!   nothing more.
//!
//! The question is asked again just before each rename. Between the two the host may still freeze. Only the server could
//! close this window, which is one request wide, and no protocol of today has such a rename. Without the second
//! fence (`state_dir/fence.rs`) the next record and the next status of the newer run replace a file that came late. With the
//! fence, which each shard has, the newer run ends at its next checkpoint, and the same command continues.
//!
//! # A refusal changes nothing
//!
//! The text in the file names the run that holds the lock. It could be written after the decision to continue. But that
//! decision may take minutes (a stream is read again), and `bivouac stop` must find the run in that time. So the run writes
//! it as soon as it has the lock. A run that is refused restores the old text and modification time ([`Lock::undo`]).

use crate::durable::disk::{Dir, DiskFile, Open, open_plain, read_up_to};
use crate::durable::holder::{Continuing, Holder};
use crate::durable::state_dir::reach;
use crate::error::{Advice, At, Error, Kind, Result};
use rustix::fs::{Timespec, Timestamps, UTIME_OMIT, fstat, futimens};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

pub(super) const LOCK: &str = "lock";

/// `bivouac status` takes the lock for a moment to see whether it is free. So a run tries a few times before it reports that
/// another run is at work.
const TRIES: usize = 5;

/// One minute. The watcher of a killed run must find its commands among all processes, and with fifty runnable ones five
/// seconds were not enough. The wait ends with the lock or a signal: a longer limit matters only if the watcher hangs.
const TRIES_AFTER_A_DEATH: usize = 6000;
const BETWEEN_TRIES: Duration = Duration::from_millis(10);

/// The limit of the text of a lock. It contains the command line that continues the job.
const LONGEST_TEXT: u64 = 64 << 20;

/// The beginning of every text that a run writes.
pub(super) const BEGINNING: &[u8] = b"{\"pid\":";

impl Holder {
    pub(super) fn ourselves() -> Self {
        // These files are answers of the kernel, so they are not read through `Disk`.
        let ask = |path| fs::read_to_string(path).map(|text| text.trim().to_string()).unwrap_or_default();
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self {
            pid: std::process::id(),
            host: ask("/proc/sys/kernel/hostname"),
            boot_id: ask("/proc/sys/kernel/random/boot_id"),
            started: since.map_or(0, |time| time.as_secs()),
            ticks: reach::our_ticks(),
            pid_namespace: reach::our_pid_namespace(),
            continuing: None,
        }
    }

    /// The holder that a lock file names; `None` also in the middle of a write.
    fn read(file: &dyn DiskFile) -> Option<Self> {
        serde_json::from_slice(&read_up_to(file, Path::new(LOCK), LONGEST_TEXT).ok()?).ok()
    }
}

/// A lock file as an earlier run left it.
#[derive(Debug)]
struct Before {
    text: Vec<u8>,
    /// When it was last changed. The simulated disk has no times.
    changed: Option<Timestamps>,
}

impl Before {
    fn of(file: &dyn DiskFile, text: Vec<u8>) -> Self {
        let facts = file.descriptor().and_then(|open| fstat(open).ok());
        #[allow(clippy::cast_possible_wrap, clippy::unnecessary_cast, reason = "the fields differ elsewhere")]
        let changed = facts.map(|facts| Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT as _ },
            last_modification: Timespec { tv_sec: facts.st_mtime as _, tv_nsec: facts.st_mtime_nsec as _ },
        });
        Self { text, changed }
    }
}

/// A lock that is held. Dropping it releases it.
#[derive(Debug)]
pub(super) struct Lock {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    holder: Holder,
    /// Its content before; `None` if this run created the file.
    before: Option<Before>,
    /// A server can take it away.
    pub(super) is_remote: bool,
}

impl Lock {
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.file.descriptor()
    }

    fn write(&self) -> io::Result<()> {
        self.replace_text(&serde_json::to_vec(&self.holder)?)
    }

    /// The file has [`BEGINNING`] at every instant: other runs recognize a state by it.
    fn replace_text(&self, text: &[u8]) -> io::Result<()> {
        self.file.write_at(text, 0)?;
        self.file.truncate(text.len() as u64)
    }

    /// Replaces the command that continues the job. It is for messages only, so a failure is ignored.
    pub(super) fn set_continuing(&mut self, continuing: Continuing) {
        self.holder.continuing = Some(continuing);
        self.write().ok();
    }

    /// Checks by a write (on a remote file system with a flush) that this run still holds the lock.
    pub(super) fn confirm(&self) -> std::result::Result<(), Unconfirmed> {
        let write = || {
            self.file.write_at(BEGINNING, 0)?;
            if self.is_remote { self.file.sync_data() } else { Ok(()) }
        };
        write().map_err(|cause: io::Error| match cause.raw_os_error() {
            Some(libc::EIO | libc::ESTALE) => {
                let how = "the lock was lost: another run may have taken over";
                let error = Error::new(Kind::Busy, self.path.display(), how);
                Unconfirmed::Lost(error.advise("nothing was touched after that").then(Advice::RunAgain))
            }
            Some(_) | None => Unconfirmed::Broken(Error::io(&self.path, "write", &cause)),
        })
    }

    /// Undoes the lock, for a run that has changed nothing else: restores the old text, or removes the file.
    pub(super) fn undo(self, dir: &dyn Dir) {
        if !self.is_named(dir).unwrap_or(false) {
            return;
        }
        // Nothing depends on the text. A run that waits for a removed file looks the name up again.
        match &self.before {
            Some(before) => {
                self.replace_text(&before.text).ok();
                if let (Some(open), Some(changed)) = (self.file.descriptor(), &before.changed) {
                    futimens(open, changed).ok();
                }
            }
            None => {
                dir.remove(LOCK.as_ref()).ok();
            }
        }
    }

    /// Whether the name still leads to the locked file, and not to the lock of another run.
    fn is_named(&self, dir: &dyn Dir) -> io::Result<bool> {
        let ours = self.file.facts()?;
        Ok(dir.facts(LOCK.as_ref())?.is_some_and(|named| named.id == ours.id))
    }

    /// Renames the file to `meanwhile`, releases the lock, and removes the file.
    pub(super) fn remove(self, dir: &dyn Dir, meanwhile: &OsStr) -> io::Result<()> {
        if !self.is_named(dir)? {
            return Ok(());
        }
        dir.rename(LOCK.as_ref(), meanwhile)?;
        drop(self);
        dir.remove(meanwhile)
    }
}

/// Why it is uncertain that this run still holds the lock.
#[derive(Debug)]
pub(super) enum Unconfirmed {
    Lost(Error),
    Broken(Error),
}

/// How an attempt to take the lock ended, if not with an error.
#[expect(clippy::large_enum_variant, reason = "there is one of these for a moment")]
pub(super) enum Acquired {
    Held(Lock),
    /// The file or the directory was removed meanwhile: look it up again.
    Gone,
}

/// Takes the lock of a state. If it is held for a run that was killed, waits as long as `may_wait` says.
pub(super) fn acquire(dir: &dyn Dir, path: &Path, may_wait: &dyn Fn() -> bool) -> Result<Acquired> {
    let there = open_plain(dir, path, LOCK, Open::Write)?;
    let was_there = there.is_some();
    let file = match there {
        Some(file) => file,
        None => match open_plain(dir, path, LOCK, Open::Create)? {
            Some(file) => file,
            None => return Ok(Acquired::Gone),
        },
    };
    if !try_a_few_times(&*file, may_wait).at(path.join(LOCK), "lock")? {
        return Err(busy(path, Holder::read(&*file)));
    }
    let is_remote = file.is_remote();
    let mut lock = Lock { file, path: path.join(LOCK), holder: Holder::ourselves(), before: None, is_remote };
    if !lock.is_named(dir).at(path.join(LOCK), "look at the lock")? {
        return Ok(Acquired::Gone);
    }
    let text = read_up_to(&*lock.file, &lock.path, LONGEST_TEXT)?;
    // If this run is refused, the old command still continues the job in this state.
    lock.holder.continuing = serde_json::from_slice(&text).ok().and_then(|last: Holder| last.continuing);
    lock.before = (was_there || !text.is_empty()).then(|| Before::of(&*lock.file, text));
    lock.write().at(path.join(LOCK), "write")?;
    Ok(Acquired::Held(lock))
}

/// The lock of a run that was killed may still be held by its watcher, which ends the commands of that run and
/// then releases it. That is worth a longer wait: on a busy machine it takes some time.
fn try_a_few_times(file: &dyn DiskFile, may_wait: &dyn Fn() -> bool) -> io::Result<bool> {
    for tried in 0.. {
        if file.try_lock()? {
            return Ok(true);
        }
        let may_come_soon = tried < TRIES || may_wait() && is_held_for_the_dead(file);
        let most = if may_come_soon { TRIES_AFTER_A_DEATH } else { TRIES };
        if tried >= most {
            break;
        }
        thread::sleep(BETWEEN_TRIES);
    }
    Ok(false)
}

fn is_held_for_the_dead(file: &dyn DiskFile) -> bool {
    Holder::read(file).is_some_and(|holder| matches!(reach::find(&holder), Ok(reach::Found::Ended)))
}

/// Locks a file of the state if a server holds it, so that the server refuses what is written to it after the locks
/// were lost. The lock of the state is ours, so that of its file is free, or will be: the process before may still
/// be closing its files.
pub(super) fn hold(file: &dyn DiskFile, path: &Path) -> Result<()> {
    for _ in 0..TRIES_AFTER_A_DEATH {
        if !file.is_remote() || file.try_lock().map_err(|e| Error::io(path, "lock", &e))? {
            return Ok(());
        }
        thread::sleep(BETWEEN_TRIES);
    }
    Err(busy(path, None))
}

pub(super) fn busy(path: &Path, holder: Option<Holder>) -> Error {
    let who = holder.map_or("another process".to_string(), |holder| holder.to_string());
    Error::new(Kind::Busy, path.display(), format_args!("is in use by {who}"))
        .advise(Advice::WaitForHolder)
        .or(Advice::NameAnotherState)
}

/// Whether a process holds the lock, and its name in the file. Takes a free lock for an instant.
pub(super) fn look(dir: &dyn Dir, path: &Path) -> Result<(bool, Option<Holder>)> {
    let Some(file) = open_plain(dir, path, LOCK, Open::Write)? else { return Ok((false, None)) };
    let free = file.try_lock().at(path.join(LOCK), "try the lock")?;
    let text = read_up_to(&*file, &path.join(LOCK), LONGEST_TEXT)?;
    Ok((!free, serde_json::from_slice(&text).ok()))
}
