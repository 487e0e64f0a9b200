//! The files that shards share, on any disk.

use crate::durable::disk::{Dir, Disk, DiskFile, Open, if_there, split};
use crate::error::{Advice, At, Error, Kind, Result};
use serde::Serialize;
use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

pub(super) const PLAN: &str = "plan.json";
pub(super) const LIST: &str = "list";
pub(super) const DONE_LOCK: &str = "done.lock";

/// A lock that is held for some writes only; after this time its holder is lost, and the file server will find that out.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

/// Between two questions for the lock.
const PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(500));

/// Bytes of a list per write.
const PIECE: usize = 1 << 20;

/// Opens a directory, if it is there.
pub(super) fn open_dir(disk: &dyn Disk, path: &Path) -> io::Result<Option<Arc<dyn Dir>>> {
    match disk.open_dir(path) {
        Err(e) if e.kind() == io::ErrorKind::NotADirectory => Ok(None),
        opened => if_there(opened),
    }
}

/// Opens a directory, and makes it and those above it if need be.
pub(super) fn make_dirs(disk: &dyn Disk, path: &Path) -> io::Result<Arc<dyn Dir>> {
    let (above, name) = match (open_dir(disk, path)?, split(path)) {
        (Some(dir), _) => return Ok(dir),
        (None, Some(place)) => place,
        (None, None) => return disk.open_dir(path),
    };
    let above = make_dirs(disk, above)?;
    match above.make_dir(name) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        made => made.and_then(|()| above.sync())?,
    }
    // The one that is at this path: a symlink is the user's.
    disk.open_dir(path)
}

/// Calls `body` while no other process does so, on any host. Asks more and more rarely: each question goes to the file
/// server, and a thousand shards may begin in one second. The obvious pause is twice the last one; it lets a shard wait
/// for as long as it has waited already. An eighth of that is lost here.
pub(super) fn under_lock<T>(
    dir: &dyn Dir,
    path: &Path,
    patience: Option<Duration>,
    body: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let path = path.join(DONE_LOCK);
    let file = dir.open(DONE_LOCK.as_ref(), Open::Create).at(&path, "open")?;
    let began = Instant::now();
    while !file.try_lock().at(&path, "lock")? {
        let waited = began.elapsed();
        if patience.is_some_and(|patience| waited >= patience) {
            return Err(Error::new(Kind::Busy, path.display(), "is locked by another process")
                .advise(Advice::RunAgain));
        }
        thread::sleep((waited / 8).clamp(PAUSES.0, PAUSES.1));
    }
    body()
}

/// Writes the plan under a temporary name, and renames it when it is durable.
pub(super) fn write_plan(dir: &dyn Dir, path: &Path, id: &str, plan: &impl Serialize) -> Result<()> {
    let text = serde_json::to_vec_pretty(plan)
        .map_err(|e| Error::broken("plan", format_args!("cannot be put into JSON: {e}")))?;
    let new = temporary(PLAN, id);
    let write = || {
        let file = dir.open(new.as_ref(), Open::CreateNew(0o600))?;
        file.write_at(&text, 0)?;
        publish(dir, &*file, (&new, PLAN))
    };
    write().at(path.join(PLAN), "write")
}

/// Writes the list that `body` hands over, in the same way. Returns its digest, and what `body` says; `None`: there is
/// nothing to be kept.
pub(super) fn write_list<T>(
    dir: &dyn Dir,
    path: &Path,
    id: &str,
    body: impl FnOnce(&mut dyn FnMut(&[u8]) -> Result<()>) -> Result<Option<T>>,
) -> Result<Option<(String, T)>> {
    let (path, new) = (path.join(LIST), temporary(LIST, id));
    let file = dir.open(new.as_ref(), Open::CreateNew(0o600)).at(&path, "write")?;
    let (mut hasher, mut gathered, mut at) = (blake3::Hasher::new(), Vec::new(), 0);
    let mut write = |bytes: &[u8], most: usize| -> Result<()> {
        gathered.extend_from_slice(bytes);
        if gathered.len() > most {
            hasher.update(&gathered);
            file.write_at(&gathered, at).at(&path, "write")?;
            at += gathered.len() as u64;
            gathered.clear();
        }
        Ok(())
    };
    let kept = body(&mut |bytes| write(bytes, PIECE));
    let written = kept.and_then(|kept| write(b"", 0).map(|()| kept));
    match written {
        Ok(Some(kept)) => {
            publish(dir, &*file, (&new, LIST)).at(&path, "write")?;
            Ok(Some((hasher.finalize().to_hex().to_string(), kept)))
        }
        Ok(None) => dir.remove(new.as_ref()).map(|()| None).at(&path, "remove"),
        Err(error) => {
            // The first failure counts; what is left has a name that `clean` knows.
            dir.remove(new.as_ref()).ok();
            Err(error)
        }
    }
}

/// The digest of the list that is there.
pub(super) fn list_digest(dir: &dyn Dir, path: &Path) -> Result<String> {
    let file = dir.open(LIST.as_ref(), Open::Read).at(path, "open")?;
    let (mut hasher, mut piece, mut at) = (blake3::Hasher::new(), vec![0; PIECE], 0);
    loop {
        match file.read_at(&mut piece, at).at(path, "read")? {
            0 => return Ok(hasher.finalize().to_hex().to_string()),
            read => {
                hasher.update(&piece[..read]);
                at += read as u64;
            }
        }
    }
}

fn publish(dir: &dyn Dir, file: &dyn DiskFile, (new, name): (&str, &str)) -> io::Result<()> {
    file.sync_all()?;
    dir.rename(new.as_ref(), name.as_ref())?;
    dir.sync()
}

fn temporary(name: &str, id: &str) -> String {
    format!("{name}.new-{id}")
}

/// A plan or a list that was being written by a process that was killed.
pub(super) fn is_unfinished(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    [PLAN, LIST].iter().any(|of| name.strip_prefix(of).is_some_and(|rest| rest.starts_with(".new-")))
}

/// Removes a file that may be missing.
pub(super) fn remove(dir: &dyn Dir, path: &Path, name: &OsStr) -> Result<()> {
    if_there(dir.remove(name)).map(drop).at(path.join(name), "remove")
}
