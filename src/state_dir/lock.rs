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
//! `bivouac clean` is the one place that deletes the lock file, while it holds the lock. Whoever
//! opened the file just before would then lock a file without a name, while a third run makes a
//! new one: two holders. So after locking we look whether the name still leads to the file that
//! we have locked; if not, we start over.

use super::{LOCK, reach};
use crate::disk::{Dir, DiskFile, Open, read_whole};
use crate::error::{Error, Kind, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime};

/// `bivouac status` takes the lock for a moment to see whether it is free. A run that starts in
/// this very moment should not be told that another one is at work; so it looks a few times.
const TRIES: usize = 5;
const TRIES_AFTER_A_DEATH: usize = 500;
const BETWEEN_TRIES: Duration = Duration::from_millis(10);

/// Who holds a state: for messages, and for verbs that send it signals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// The host on which it runs.
    pub host: String,
    /// The boot id of that host: a process id means something only within one.
    pub boot_id: String,
    /// When it took the lock, in seconds since 1970.
    pub started: u64,
    /// When the process was started, in clock ticks since boot: together with the process id this
    /// names one process and no other. `None` in a lock that an older version wrote.
    #[serde(default)]
    pub ticks: Option<u64>,
    /// The pid namespace in which the process id means something.
    #[serde(default)]
    pub pid_namespace: Option<String>,
    /// The command that continues the job. It is not the holder's own business but that of the
    /// state, so it is handed down from holder to holder until a run says another one.
    #[serde(default)]
    pub continuing: Option<Continuing>,
}

/// The command that continues a job, ready to paste.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Continuing {
    /// The command line, quoted for a shell.
    pub command: String,
    /// The directory in which it has to be run, quoted for a shell; its relative paths mean something
    /// only there.
    pub directory: Option<String>,
}

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
        serde_json::from_slice(&read_whole(file).ok()?).ok()
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} on {}", self.pid, self.host)
    }
}

/// A lock that is held. Dropping it gives it back.
#[derive(Debug)]
pub(super) struct Lock {
    file: Box<dyn DiskFile>,
    holder: Holder,
}

impl Lock {
    /// The open file that holds it.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.file.descriptor()
    }

    /// Writes down who holds it. A reader may come in the middle, and then reads nobody.
    fn write(&self) -> io::Result<()> {
        let text = serde_json::to_vec(&self.holder)?;
        self.file.truncate(0)?;
        self.file.write_at(&text, 0)
    }

    /// Replaces the command that continues the job. For messages only: what cannot be written down
    /// is not said later, and nothing depends on it.
    pub(super) fn set_continuing(&mut self, continuing: Continuing) {
        self.holder.continuing = Some(continuing);
        self.write().ok();
    }
}

/// How an attempt to take the lock ended, if not with an error.
pub(super) enum Acquired {
    Held(Lock),
    /// The file or the directory was cleaned away meanwhile: look it up anew.
    Gone,
}

/// Takes the lock of the state directory `dir`, which is at `path`.
pub(super) fn acquire(dir: &dyn Dir, path: &Path) -> Result<Acquired> {
    let failed = |step, e: io::Error| Error::io(&path.join(LOCK), step, &e);
    let file = match dir.open(LOCK.as_ref(), Open::Create) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Acquired::Gone),
        Err(error) => return Err(failed("open the lock", error)),
    };
    if !try_a_few_times(&*file).map_err(|e| failed("lock", e))? {
        return Err(busy(path, Holder::read(&*file)));
    }
    let ours = file.facts().map_err(|e| failed("look at the lock", e))?;
    let named = dir.facts(LOCK.as_ref()).map_err(|e| failed("look at the lock", e))?;
    if named.is_none_or(|named| named.id != ours.id) {
        return Ok(Acquired::Gone);
    }
    // This holder may be about to be refused, because it belongs to another job: then the command
    // that continues the job that is kept here is still the old one.
    let continuing = Holder::read(&*file).and_then(|last| last.continuing);
    let lock = Lock { file, holder: Holder { continuing, ..Holder::ourselves() } };
    lock.write().map_err(|e| failed("write", e))?;
    Ok(Acquired::Held(lock))
}

/// A run that was killed may have left its lock to the watcher, which ends the commands of that run
/// and then gives it back; that is worth waiting for.
fn try_a_few_times(file: &dyn DiskFile) -> io::Result<bool> {
    for tried in 0.. {
        if file.try_lock()? {
            return Ok(true);
        }
        let most = if is_held_for_the_dead(file) { TRIES_AFTER_A_DEATH } else { TRIES };
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
        .advise("wait for it, stop it, or choose another --state")
}

/// Whether somebody holds the lock at this moment, and who it says it is. Takes the lock for an
/// instant when it is free.
pub(super) fn look(dir: &dyn Dir, path: &Path) -> Result<(bool, Option<Holder>)> {
    let failed = |step, e: io::Error| Error::io(&path.join(LOCK), step, &e);
    let file = match dir.open(LOCK.as_ref(), Open::Write) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((false, None)),
        Err(error) => return Err(failed("open the lock", error)),
    };
    let free = file.try_lock().map_err(|e| failed("try the lock", e))?;
    Ok((!free, Holder::read(&*file)))
}
