//! The directory `spill`: the names of the segments. `durable/spill.rs` reads and writes their content.
//!
//! A segment is called `segment.<number>`.
//!
//! # Durability
//!
//! First flush a segment, then its name ([`StateDir::sync_spill`]), then write the record that names it.
//! Remove a segment only after a record that no longer names it is durable.

use super::{SPILL, StateDir};
use crate::durable::disk::{Dir, DiskFile, Open, if_there, nameless};
use crate::durable::lock;
use crate::error::{Advice, At, Error, Result};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const SEGMENT: &str = "segment.";

/// Refuses a directory with the name of a segment now, because the run would fail on it later.
pub(super) fn refuse_directories(dir: &dyn Dir, path: &Path) -> Result<()> {
    let path = path.join(SPILL);
    let Some(spill) = if_there(dir.open_dir(SPILL.as_ref())).at(&path, "list")? else { return Ok(()) };
    for name in spill.list().at(&path, "list")? {
        if name.as_encoded_bytes().starts_with(SEGMENT.as_bytes())
            && spill.facts(&name).at(&path, "list")?.is_some_and(|facts| facts.is_dir)
        {
            return Err(is_a_directory(&path.join(name)));
        }
    }
    Ok(())
}

fn is_a_directory(path: &Path) -> Error {
    Error::refused(path.display(), "is a directory that does not belong to a state")
        .advise("move it away")
        .then(Advice::RunAgain)
}

/// Creates a segment; without a state directory a file without a name, which ends with the process.
pub(crate) fn make_segment(dir: &mut Option<StateDir>, number: u64) -> Result<(Box<dyn DiskFile>, PathBuf)> {
    match dir {
        Some(dir) => dir.make_segment(number),
        None => {
            let path = std::env::temp_dir().join("(file without a name)");
            Ok((nameless().at(&path, "create")?, path))
        }
    }
}

pub(crate) fn remove_segment(dir: &mut Option<StateDir>, number: u64) -> Result<()> {
    dir.as_mut().map_or(Ok(()), |dir| dir.remove_segment(number))
}

impl StateDir {
    /// Creates a segment, and the directory if this is the first one.
    pub(crate) fn make_segment(&mut self, number: u64) -> Result<(Box<dyn DiskFile>, PathBuf)> {
        self.touch()?;
        let dir = self.make_spill_dir()?;
        let name = segment_name(number);
        let path = self.spill_path(&name);
        // A run that crashed may have left one. It is replaced, so that no other process has it open.
        self.remove_spilled(&*dir, &name)?;
        let made = dir.open(&name, Open::CreateNew(0o600));
        if made.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists) {
            return Err(is_a_directory(&path));
        }
        let made = made.at(&path, "create")?;
        lock::hold(&*made, &path)?;
        Ok((made, path))
    }

    /// Opens a segment for reading, if it exists.
    pub(crate) fn open_segment(&mut self, number: u64) -> Result<Option<(Box<dyn DiskFile>, PathBuf)>> {
        let name = segment_name(number);
        let path = self.spill_path(&name);
        Ok(self.open_spilled(&name)?.map(|file| (file, path)))
    }

    /// Removes a segment. Call it only after a record that does not name it.
    pub(crate) fn remove_segment(&mut self, number: u64) -> Result<()> {
        self.touch()?;
        match self.find_spill_dir()? {
            Some(dir) => self.remove_spilled(&*dir, &segment_name(number)),
            None => Ok(()),
        }
    }

    /// Makes the names of all segments durable.
    pub(crate) fn sync_spill(&self) -> Result<()> {
        let Some(spill) = &self.spill else { return Ok(()) };
        spill.sync().at(self.path.join(SPILL), "sync the directory")?;
        self.sync_dir()
    }

    /// Removes files of crashed runs, which no record names.
    pub(crate) fn sweep_spill(&mut self, segments: &[u64]) -> Result<()> {
        self.touch()?;
        let Some(dir) = self.find_spill_dir()? else { return Ok(()) };
        let named = |name: &OsStr| segments.iter().any(|number| segment_name(*number) == name);
        for name in dir.list().at(self.path.join(SPILL), "list")? {
            if is_ours(&name) && !named(&name) {
                self.remove_spilled(&*dir, &name)?;
            }
        }
        Ok(())
    }

    /// A directory does not belong to a state, whatever its name, and stays.
    fn remove_spilled(&self, dir: &dyn Dir, name: &OsStr) -> Result<()> {
        let is_dir = dir.facts(name).is_ok_and(|there| there.is_some_and(|facts| facts.is_dir));
        if is_dir { Ok(()) } else { self.remove_if_there(dir, &Path::new(SPILL).join(name)) }
    }

    fn spill_path(&self, name: &OsStr) -> PathBuf {
        self.path.join(SPILL).join(name)
    }

    fn open_spilled(&mut self, name: &OsStr) -> Result<Option<Box<dyn DiskFile>>> {
        let Some(dir) = self.find_spill_dir()? else { return Ok(None) };
        // Anything else does not belong to a state, and opening a FIFO could wait for ever.
        match dir.facts(name).at(self.spill_path(name), "open")? {
            Some(facts) if facts.is_file => {
                dir.open(name, Open::Read).map(Some).at(self.spill_path(name), "open")
            }
            Some(_) | None => Ok(None),
        }
    }

    pub(super) fn find_spill_dir(&mut self) -> Result<Option<Arc<dyn Dir>>> {
        if self.spill.is_none() {
            self.spill = if_there(self.dir.open_dir(SPILL.as_ref()))
                .at(self.path.join(SPILL), "open the directory")?;
        }
        Ok(self.spill.clone())
    }

    fn make_spill_dir(&mut self) -> Result<Arc<dyn Dir>> {
        if let Some(dir) = self.find_spill_dir()? {
            return Ok(dir);
        }
        self.dir.make_dir(SPILL.as_ref()).at(self.path.join(SPILL), "make the directory")?;
        let dir = self.dir.open_dir(SPILL.as_ref()).at(self.path.join(SPILL), "make the directory")?;
        self.spill = Some(Arc::clone(&dir));
        Ok(dir)
    }
}

fn segment_name(number: u64) -> OsString {
    format!("{SEGMENT}{number}").into()
}

/// Whether a run gives such a name in the spill directory.
fn is_ours(name: &OsStr) -> bool {
    name.to_str().and_then(|name| name.strip_prefix(SEGMENT)).is_some_and(|n| n.parse::<u64>().is_ok())
}
