//! Outputs that wait in the state to be merged: a file for each, with the number of its task as its name.
//!
//! A file is compressed, and complete or absent (`part.rs`). One without a byte stands for a command that failed or printed
//! nothing, so that a file that is missing is an error and no gap in the result. No record names the files: the
//! numbers of the tasks follow from the number of chunks. A task that runs again replaces its file.
//!
//! The files of a merge are removed after a record that counts the merge is durable. The obvious moment is the end of the
//! merge. But after a crash before that record the merge would run again, without its inputs. So the sink removes the files,
//! because it learns of each record.
//!
//! The same object connects the commit thread, which knows what is committed, and the source thread, which lists a
//! merge when its inputs are.

use super::part::sync_directory_of;
use bivouac::state_dir::PIECES;
use bivouac::{Error, ListContext, Result, Waited};
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::fs::{self, File};
use std::ops::Range;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

#[derive(Debug)]
pub(crate) struct Pieces {
    directory: OnceLock<PathBuf>,
    /// How many tasks are committed, in order. The other thread is woken when that changes.
    committed: AtomicU64,
    woken: EventFd,
    /// How many chunks there are, once that is known.
    chunks: Mutex<Option<u64>>,
    /// The inputs of merges that no record counts.
    merged: Mutex<Vec<Range<u64>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pieces {
    pub(crate) fn new() -> Result<Arc<Self>> {
        let woken = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK);
        let woken = woken.map_err(|errno| Error::broken("descriptors", errno.desc()))?;
        let (directory, committed) = (OnceLock::new(), AtomicU64::new(0));
        Ok(Arc::new(Self { directory, committed, woken, chunks: Mutex::default(), merged: Mutex::default() }))
    }

    /// Sets the state in which the outputs are kept.
    pub(super) fn place(&self, state: &Path) {
        self.directory.get_or_init(|| state.join(PIECES));
    }

    /// Makes the directory of the outputs.
    pub(super) fn begin(&self) -> Result<()> {
        let Some(directory) = self.directory.get() else { return Ok(()) };
        match fs::create_dir(directory) {
            Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => {
                Err(Error::io(directory, "make the directory", &e))
            }
            Ok(()) | Err(_) => sync_directory_of(directory),
        }
    }

    /// Removes the inputs of merges: a record that counts all committed tasks is durable.
    pub(super) fn recorded(&self) {
        for task in std::mem::take(&mut *lock(&self.merged)).into_iter().flatten() {
            // A file that cannot be removed goes with the state.
            fs::remove_file(self.path(task)).ok();
        }
    }

    pub(super) fn path(&self, task: u64) -> PathBuf {
        self.directory.get().map_or_else(PathBuf::new, |directory| directory.join(task.to_string()))
    }

    /// Stores an empty file for this task, which has no output.
    pub(super) fn put_nothing(&self, task: u64) -> Result<()> {
        let path = self.path(task);
        let made = File::create(&path).and_then(|file| file.sync_all());
        made.map_err(|e| Error::io(&path, "create", &e)).and_then(|()| sync_directory_of(&path))
    }

    /// The outputs of these tasks, without those that have no byte.
    pub(super) fn open(&self, tasks: Range<u64>) -> Result<Vec<(PathBuf, File)>> {
        let mut files = Vec::new();
        for path in tasks.map(|task| self.path(task)) {
            let failed = |e: std::io::Error| Error::io(&path, "open", &e);
            let file = File::open(&path).map_err(failed)?;
            if file.metadata().map_err(failed)?.len() > 0 {
                files.push((path, file));
            }
        }
        Ok(files)
    }

    /// A listing begins after this number of tasks. How many of all tasks are chunks is known only to a record.
    pub(super) fn begin_after(&self, committed: u64, chunks: Option<u64>) {
        self.committed.store(committed, Ordering::Release);
        *lock(&self.chunks) = chunks;
    }

    pub(super) fn chunks(&self) -> Option<u64> {
        *lock(&self.chunks)
    }

    pub(super) fn set_chunks(&self, chunks: Option<u64>) {
        *lock(&self.chunks) = chunks;
    }

    /// Counts a committed task. If it was a merge, `merged` are the tasks whose outputs it merged.
    pub(super) fn advance(&self, merged: Option<Range<u64>>) {
        lock(&self.merged).extend(merged);
        self.committed.fetch_add(1, Ordering::Release);
        // It fails only if the counter would overflow, and then the descriptor is readable already.
        self.woken.write(1).ok();
    }

    /// Waits until so many tasks are committed; `false`: the run is over.
    pub(super) fn wait_for(&self, tasks: u64, cx: &ListContext<'_>) -> Result<bool> {
        while self.committed.load(Ordering::Acquire) < tasks {
            let waited = cx.wait_readable(self.woken.as_fd());
            if waited.map_err(|e| Error::broken("pieces", e))? == Waited::Stopped {
                return Ok(false);
            }
            // It says that something was committed, and the number says how much.
            self.woken.read().ok();
        }
        Ok(true)
    }
}
