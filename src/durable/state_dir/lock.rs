//! The lock: one run per state.
//!
//! The obvious lock is a file with a process id in it. Such a lock outlives a SIGKILL, and then
//! somebody must judge whether that process id is still the same process, perhaps in another
//! container or on another host. `flock` needs no judgement: the kernel gives it back when the
//! last descriptor is closed, however the process ended. The process id is written into the file
//! all the same, but only so that a message can name it.
//!
//! # Race condition
//!
//! Who removes a state removes the lock file too, while it holds the lock. Whoever opened the file
//! just before would then lock a file without a name, while a third run makes a new one: two
//! holders. So after locking we look whether the name still leads to the file that we have locked;
//! if not, we start over. For the same reason the file is first given another name, then closed,
//! which gives the lock back, and removed last: a network file system keeps a removed file that is
//! open under a name of its own, and then the directory cannot be removed.
//!
//! # When the lock is lost
//!
//! A server may give a lock away when it has not heard of us for some time (a network that was cut, a
//! machine that was suspended). The kernel then answers writes through the descriptor that held the
//! lock with EIO or ESTALE. That is asked before each record ([`Lock::confirm`]): another run may be
//! at work by then, so nothing more is touched.
//!
//! # A refusal changes nothing
//!
//! The text in the file says which run holds the lock. It could be written after the decision to go on; but
//! that decision may take minutes (a stream is read again), and `bivouac stop` must find the run in that time.
//! So it is written as soon as the lock is taken, and a run that is refused puts back the old text and the old
//! time of its last change ([`Lock::undo`]).

use super::{Continuing, Holder, LOCK, reach};
use crate::durable::disk::{Dir, DiskFile, Open, open_plain, read_up_to};
use crate::error::{Advice, Error, Kind, Result};
use rustix::fs::{Timespec, Timestamps, UTIME_OMIT, fstat, fstatfs, futimens};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

/// `bivouac status` takes the lock for a moment to see whether it is free. A run that starts in
/// this very moment should not be told that another one is at work; so it looks a few times.
const TRIES: usize = 5;

/// One minute. The watcher of a killed run gives its commands two seconds, but it must first find them among all
/// processes, and on a machine with fifty processes that want to run five seconds were not enough for all of that.
/// The wait ends with the lock, or with a signal; so a longer limit costs only those that meet a watcher that hangs.
const TRIES_AFTER_A_DEATH: usize = 6000;
const BETWEEN_TRIES: Duration = Duration::from_millis(10);

/// How long the text of a lock may be. It has the command line that continues the job.
const LONGEST_TEXT: u64 = 64 << 20;

/// How every text that we write begins.
pub(super) const BEGINNING: &[u8] = b"{\"pid\":";

/// What `statfs(2)` says of NFS, SMB, CIFS and FUSE.
const REMOTE: [u32; 4] = [0x6969, 0xFE53_4D42, 0xFF53_4D42, 0x6573_5546];

impl Holder {
    /// This process.
    pub(super) fn ourselves() -> Self {
        // These are not files of ours but questions to the kernel, so they pass by the disk.
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

    /// What stands in a lock file. A reader may come in the middle of a write; then it is nobody.
    fn read(file: &dyn DiskFile) -> Option<Self> {
        serde_json::from_slice(&read_up_to(file, Path::new(LOCK), LONGEST_TEXT).ok()?).ok()
    }
}

/// A lock file as an earlier run left it.
#[derive(Debug)]
struct Before {
    text: Vec<u8>,
    /// When it was last changed. A disk of a test has no times.
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

/// A lock that is held. Dropping it gives it back.
#[derive(Debug)]
pub(super) struct Lock {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    holder: Holder,
    /// What stood in it before; `None` if we have made it.
    before: Option<Before>,
    is_remote: bool,
}

impl Lock {
    /// The open file that holds it.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.file.descriptor()
    }

    /// Writes down who holds it. A reader may come in the middle, and then reads nobody.
    fn write(&self) -> io::Result<()> {
        self.replace_text(&serde_json::to_vec(&self.holder)?)
    }

    /// At no instant is there another beginning than ours: by that others know that this is a state.
    fn replace_text(&self, text: &[u8]) -> io::Result<()> {
        self.file.write_at(text, 0)?;
        self.file.truncate(text.len() as u64)
    }

    /// Replaces the command that continues the job. For messages only: what cannot be written down
    /// is not said later, and nothing depends on it.
    pub(super) fn set_continuing(&mut self, continuing: Continuing) {
        self.holder.continuing = Some(continuing);
        self.write().ok();
    }

    /// Asks whether the lock is still ours, by a write through its descriptor. On a remote file system
    /// the write reaches the server only with a flush.
    ///
    /// # Errors
    ///
    /// It is lost, or the disk is broken or full.
    pub(super) fn confirm(&self) -> std::result::Result<(), Unconfirmed> {
        let write = || {
            self.file.write_at(BEGINNING, 0)?;
            if self.is_remote { self.file.sync_data() } else { Ok(()) }
        };
        write().map_err(|cause: io::Error| match cause.raw_os_error() {
            Some(libc::EIO | libc::ESTALE) => {
                let how = "the lock was lost: another run may have taken over";
                let error = Error::broken(self.path.display(), how);
                Unconfirmed::Lost(error.advise("nothing was touched after that").then(Advice::RunAgain))
            }
            Some(_) | None => Unconfirmed::Broken(Error::io(&self.path, "write", &cause)),
        })
    }

    /// Puts back what stood in the file, or removes it, and gives the lock back. For a run that has
    /// changed nothing else.
    pub(super) fn undo(self, dir: &dyn Dir) {
        if !self.is_named(dir).unwrap_or(false) {
            return;
        }
        // Nothing depends on the text; and who waits for a file without a name looks it up anew.
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

    /// Whether the name leads to the file that we have locked, and not to the lock of another run.
    fn is_named(&self, dir: &dyn Dir) -> io::Result<bool> {
        let ours = self.file.facts()?;
        Ok(dir.facts(LOCK.as_ref())?.is_some_and(|named| named.id == ours.id))
    }

    /// Removes the file, with `meanwhile` as its name on the way, and gives the lock back.
    pub(super) fn remove(self, dir: &dyn Dir, meanwhile: &OsStr) -> io::Result<()> {
        if !self.is_named(dir)? {
            return Ok(());
        }
        dir.rename(LOCK.as_ref(), meanwhile)?;
        drop(self);
        dir.remove(meanwhile)
    }
}

/// Why a lock is not known to be ours any more.
#[derive(Debug)]
pub(super) enum Unconfirmed {
    Lost(Error),
    Broken(Error),
}

/// How an attempt to take the lock ended, if not with an error.
#[expect(clippy::large_enum_variant, reason = "there is one of these for a moment")]
pub(super) enum Acquired {
    Held(Lock),
    /// The file or the directory was cleaned away meanwhile: look it up anew.
    Gone,
}

/// Takes the lock of the state directory `dir`, which is at `path`. `may_wait` is asked again and again while
/// the lock is held for a run that was killed.
pub(super) fn acquire(dir: &dyn Dir, path: &Path, may_wait: &dyn Fn() -> bool) -> Result<Acquired> {
    let failed = |step, e: io::Error| Error::io(&path.join(LOCK), step, &e);
    let there = open_plain(dir, path, LOCK, Open::Write)?;
    let was_there = there.is_some();
    let file = match there {
        Some(file) => file,
        None => match open_plain(dir, path, LOCK, Open::Create)? {
            Some(file) => file,
            None => return Ok(Acquired::Gone),
        },
    };
    if !try_a_few_times(&*file, may_wait).map_err(|e| failed("lock", e))? {
        return Err(busy(path, Holder::read(&*file)));
    }
    let is_remote = is_remote(&*file);
    let mut lock = Lock { file, path: path.join(LOCK), holder: Holder::ourselves(), before: None, is_remote };
    if !lock.is_named(dir).map_err(|e| failed("look at the lock", e))? {
        return Ok(Acquired::Gone);
    }
    let text = read_up_to(&*lock.file, &lock.path, LONGEST_TEXT)?;
    // This holder may be about to be refused, because it belongs to another job: then the command
    // that continues the job that is kept here is still the old one.
    lock.holder.continuing = serde_json::from_slice(&text).ok().and_then(|last: Holder| last.continuing);
    lock.before = (was_there || !text.is_empty()).then(|| Before::of(&*lock.file, text));
    lock.write().map_err(|e| failed("write", e))?;
    Ok(Acquired::Held(lock))
}

/// Whether a write reaches whoever keeps the lock only with a flush.
#[allow(clippy::unnecessary_cast, reason = "the field has another width elsewhere")]
fn is_remote(file: &dyn DiskFile) -> bool {
    let system = file.descriptor().and_then(|open| fstatfs(open).ok());
    system.is_some_and(|system| REMOTE.contains(&(system.f_type as u32)))
}

/// A run that was killed may have left its lock to the watcher, which ends the commands of that run
/// and then gives it back; that is worth waiting for. On a machine that has much to do it takes its time.
fn try_a_few_times(file: &dyn DiskFile, may_wait: &dyn Fn() -> bool) -> io::Result<bool> {
    for tried in 0.. {
        if file.try_lock()? {
            return Ok(true);
        }
        let is_worth_it = tried < TRIES || may_wait() && is_held_for_the_dead(file);
        let most = if is_worth_it { TRIES_AFTER_A_DEATH } else { TRIES };
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

pub(super) fn busy(path: &Path, holder: Option<Holder>) -> Error {
    let who = holder.map_or("another process".to_string(), |holder| holder.to_string());
    Error::new(Kind::Busy, path.display(), format_args!("is in use by {who}"))
        .advise("wait for it, stop it")
        .or(Advice::NameAnotherState)
}

/// Whether somebody holds the lock at this moment, and who it says it is. Takes the lock for an
/// instant when it is free.
pub(super) fn look(dir: &dyn Dir, path: &Path) -> Result<(bool, Option<Holder>)> {
    let Some(file) = open_plain(dir, path, LOCK, Open::Write)? else { return Ok((false, None)) };
    let free = file.try_lock().map_err(|e| Error::io(&path.join(LOCK), "try the lock", &e))?;
    let text = read_up_to(&*file, &path.join(LOCK), LONGEST_TEXT)?;
    Ok((!free, serde_json::from_slice(&text).ok()))
}
