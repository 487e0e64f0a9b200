//! Creates the directory of a state if it does not exist, and confirms that it is still ours.

use super::CheckpointStore;
use crate::durable::disk::{Disk, if_there, split};
use crate::durable::state_dir::StateDir;
use crate::error::{Advice, Error, Kind, Result};
use std::io;
use std::path::Path;

/// How often the parent directory of a state is created again after another run has removed it.
const ROUNDS: usize = 10;

/// Opens the state at `path` and takes its lock. Creates the state if it does not exist, and its parent
/// directory, which several states may share (`.bivouac`).
///
/// # Race condition
///
/// A run that removes the last state also removes the shared parent; then this run creates both again.
pub(crate) fn create_state(disk: &dyn Disk, path: &Path, may_wait: &dyn Fn() -> bool) -> Result<StateDir> {
    let is_missing = |path| disk.open_dir(path).is_err_and(|e| e.kind() == io::ErrorKind::NotFound);
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    // Another run removes it each time; or this file system has names for which there is no directory, as /proc has.
    let mut failed = Error::usage(path.display(), "no directory of this name can be made and stays")
        .advise(Advice::NameAnotherState);
    for _ in 0..ROUNDS {
        if let Some(parent) = parent
            && is_missing(parent)
        {
            make_parent(disk, parent)?;
        }
        match StateDir::open_with(disk, path, true, may_wait) {
            Ok(Some(dir)) => return Ok(dir),
            Ok(None) => {}
            Err(error) if parent.is_some_and(is_missing) => failed = error,
            Err(error) => return Err(error),
        }
    }
    Err(failed)
}

fn make_parent(disk: &dyn Disk, parent: &Path) -> Result<()> {
    let Some((above, name)) = split(parent) else { return Ok(()) };
    let failed = |e: io::Error| Error::io(parent, "make the directory", &e).advise(Advice::NameAnotherState);
    // If it is not there, the caller reports that: it opens the state next.
    let Some(above) = if_there(disk.open_dir(above)).map_err(failed)? else { return Ok(()) };
    match above.make_dir(name) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(failed(e)),
        Ok(()) => above.sync().map_err(failed),
    }
}

impl CheckpointStore {
    /// Makes the store confirm at each commit that the record on disk is its own ([`StateDir::arm_fence`]).
    pub(crate) fn fenced(mut self, yes: bool) -> Self {
        if let (Some(dir), true) = (&mut self.dir, yes) {
            dir.arm_fence();
        }
        self
    }

    /// Fails if the state is not ours any more ([`StateDir::confirm`]).
    pub(crate) fn confirm(&mut self) -> Result<()> {
        self.dir.as_mut().map_or(Ok(()), StateDir::confirm)
    }

    /// The error to report for a failed write. If the write failed because the lock is lost, that is the error.
    pub(crate) fn or_lost(&mut self, error: Error) -> Error {
        let ask = if error.is_of_device() { StateDir::confirm_lock } else { StateDir::confirm };
        let confirmed = self.dir.as_mut().map(ask);
        match confirmed {
            Some(Err(lost)) if lost.kind() == Kind::Busy => lost,
            Some(Ok(()) | Err(_)) | None => error,
        }
    }
}
