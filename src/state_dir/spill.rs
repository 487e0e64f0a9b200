//! Results that came before their turn.
//!
//! Tasks end in any order, the output has one order. A result that must wait beyond the end of a
//! run is kept here, in a [`SpillFile`], so that after an orderly stop no finished task runs again.
//!
//! A spill file is `<length of the partial, 4 bytes, little-endian><partial><output>`. Its length
//! and CRC-32 stand in the record, which is why it needs no checksum of its own.
//!
//! # Durability
//!
//! The order of calls for tasks that shall survive: [`StateDir::spill`], `append`…, `finish` for
//! each; [`StateDir::sync_spill`] once; then the record that lists them. And backwards: a spill
//! file may be removed only after a record that no longer lists it is durable.

use super::{SPILL, StateDir};
use crate::checkpoint::Beyond;
use crate::disk::{Dir, DiskFile, Open};
use crate::error::{Error, Result};
use crate::job::Mark;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// How much is read back at a time.
const PIECE: usize = 256 << 10;

/// A finished task's result while it is written.
#[derive(Debug)]
pub struct SpillFile {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    task: u64,
    crc: crc32fast::Hasher,
    bytes: u64,
}

impl SpillFile {
    /// Adds to the output of the task.
    ///
    /// # Errors
    ///
    /// The disk is full or broken.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_at(bytes, self.bytes).map_err(|e| Error::io(&self.path, "write", &e))?;
        self.crc.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Completes the file. What it returns belongs into the record.
    ///
    /// # Errors
    ///
    /// The file cannot be synced; that is never tried again.
    ///
    /// # Durability
    ///
    /// The content is durable when this returns, the name after [`StateDir::sync_spill`].
    pub fn finish(self, mark: Option<Mark>) -> Result<Beyond> {
        self.file.sync_all().map_err(|e| Error::io(&self.path, "sync", &e))?;
        let file = self.task.to_string();
        Ok(Beyond { task: self.task, mark, file, bytes: self.bytes, crc32: self.crc.finalize() })
    }
}

/// A finished task's result, read back and verified.
#[derive(Debug)]
pub struct Spilled {
    /// What the task reported, as it was handed to [`StateDir::spill`].
    pub partial: Vec<u8>,
    /// Its output.
    pub output: Pieces,
}

/// Bytes that are read back in pieces, so that memory stays bounded.
#[derive(Debug)]
pub struct Pieces {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    offset: u64,
    end: u64,
}

impl Pieces {
    /// The next piece of at most 256 KiB; `None` at the end.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or ends too early.
    pub fn next_piece(&mut self) -> Result<Option<Vec<u8>>> {
        let wanted = (self.end - self.offset).min(PIECE as u64) as usize;
        if wanted == 0 {
            return Ok(None);
        }
        let mut piece = vec![0; wanted];
        let got =
            self.file.read_at(&mut piece, self.offset).map_err(|e| Error::io(&self.path, "read", &e))?;
        if got == 0 {
            return Err(Error::broken(self.path.display(), "is shorter than what was written to it"));
        }
        piece.truncate(got);
        self.offset += got as u64;
        Ok(Some(piece))
    }
}

impl StateDir {
    /// Begins to keep the result of a finished task beyond the frontier. `partial` is what the
    /// task reported, serialised; its output is appended to what this returns.
    ///
    /// # Errors
    ///
    /// The file cannot be made or written.
    pub fn spill(&mut self, task: u64, partial: &[u8]) -> Result<SpillFile> {
        self.touch();
        let dir = self.make_spill_dir()?;
        let name = OsString::from(task.to_string());
        let path = self.spill_path(&name);
        // A file of this name was left by a run that crashed before its record listed it. A new
        // file in its place, not a truncated old one: nothing else can then have it open.
        self.remove_if_there(&*dir, &name)?;
        let file = dir
            .open(&name, Open::CreateNew(0o600))
            .map_err(|e| Error::io(&path, "create the spill file", &e))?;
        let mut spill = SpillFile { file, path, task, crc: crc32fast::Hasher::new(), bytes: 0 };
        let length = u32::try_from(partial.len()).map_err(|_| {
            Error::broken(format_args!("task {task}"), "reported more than 4 GiB besides its output")
        })?;
        spill.append(&[&length.to_le_bytes(), partial].concat())?;
        Ok(spill)
    }

    /// Makes the names of all finished spill files durable.
    ///
    /// # Errors
    ///
    /// As for [`write_record`](StateDir::write_record).
    pub fn sync_spill(&mut self) -> Result<()> {
        self.durably(|state| {
            let Some(spill) = &state.spill else { return Ok(()) };
            spill.sync().map_err(|e| Error::io(&state.path.join(SPILL), "sync the directory", &e))?;
            state.dir.sync().map_err(|e| Error::io(&state.path, "sync the directory", &e))
        })
    }

    /// Reads back what an earlier run kept, after verifying all of it.
    ///
    /// # Errors
    ///
    /// [`Kind::Refused`](crate::error::Kind::Refused) when the file is not what the record says.
    pub fn read_spill(&mut self, entry: &Beyond) -> Result<Spilled> {
        let name = spill_name(entry)?;
        let path = self.spill_path(name);
        let harmed = |how: &str| {
            Error::refused(path.display(), format_args!("the kept result of task {} {how}", entry.task))
                .advise("nothing was changed; start the job over with --fresh")
        };
        let dir = self.find_spill_dir()?.ok_or_else(|| harmed("is missing"))?;
        let file = match dir.open(name, Open::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(harmed("is missing")),
            opened => opened.map_err(|e| Error::io(&path, "open", &e))?,
        };
        let facts = file.facts().map_err(|e| Error::io(&path, "look at", &e))?;
        if !facts.is_file || facts.bytes != entry.bytes {
            return Err(harmed("has another length"));
        }
        let (mut all, mut crc) = (Pieces { file, path: path.clone(), offset: 0, end: entry.bytes }, 0);
        while let Some(piece) = all.next_piece()? {
            crc = crc32_of(crc, &piece);
        }
        if crc != entry.crc32 {
            return Err(harmed("is damaged"));
        }
        let partial = read_partial(&mut all).ok_or_else(|| harmed("has another shape"))?;
        Ok(Spilled { partial, output: all })
    }

    /// Removes the spill file of a task whose output is committed. Only after a record that no
    /// longer lists it.
    ///
    /// # Errors
    ///
    /// It cannot be removed; that harms nothing but the space.
    pub fn remove_spill(&mut self, entry: &Beyond) -> Result<()> {
        let name = spill_name(entry)?;
        match self.find_spill_dir()? {
            Some(dir) => self.remove_if_there(&*dir, name),
            None => Ok(()),
        }
    }

    /// Removes what crashed runs left in the spill directory and no record lists.
    ///
    /// # Errors
    ///
    /// Something cannot be removed.
    pub fn sweep_spill(&mut self, listed: &[Beyond]) -> Result<()> {
        let Some(dir) = self.find_spill_dir()? else { return Ok(()) };
        for name in dir.list().map_err(|e| Error::io(&self.path.join(SPILL), "list", &e))? {
            if is_ours(&name) && !listed.iter().any(|entry| OsStr::new(&entry.file) == name) {
                self.remove_if_there(&*dir, &name)?;
            }
        }
        Ok(())
    }

    fn spill_path(&self, name: &OsStr) -> PathBuf {
        self.path.join(SPILL).join(name)
    }

    pub(super) fn find_spill_dir(&mut self) -> Result<Option<Arc<dyn Dir>>> {
        if self.spill.is_none() {
            self.spill = match self.dir.open_dir(SPILL.as_ref()) {
                Ok(dir) => Some(dir),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(Error::io(&self.path.join(SPILL), "open the directory", &error)),
            };
        }
        Ok(self.spill.clone())
    }

    fn make_spill_dir(&mut self) -> Result<Arc<dyn Dir>> {
        if let Some(dir) = self.find_spill_dir()? {
            return Ok(dir);
        }
        let failed = |e: io::Error| Error::io(&self.path.join(SPILL), "make the directory", &e);
        self.dir.make_dir(SPILL.as_ref()).map_err(failed)?;
        let dir = self.dir.open_dir(SPILL.as_ref()).map_err(failed)?;
        self.spill = Some(Arc::clone(&dir));
        Ok(dir)
    }
}

/// The name in a record is never trusted to lead anywhere: there is one that it can be.
fn spill_name(entry: &Beyond) -> Result<&OsStr> {
    if entry.file == entry.task.to_string() {
        Ok(OsStr::new(&entry.file))
    } else {
        Err(Error::refused(
            "checkpoint",
            format_args!("names {:?} as the file of task {}", entry.file, entry.task),
        ))
    }
}

/// Whether a name in the spill directory is one that we give.
pub(super) fn is_ours(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.parse::<u64>().is_ok())
}

fn crc32_of(before: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(before);
    hasher.update(bytes);
    hasher.finalize()
}

/// Goes back to the beginning and takes the partial off the front.
fn read_partial(all: &mut Pieces) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    read_exactly(&*all.file, &mut length, 0)?;
    let length = u64::from(u32::from_le_bytes(length));
    if length > all.end.checked_sub(4)? {
        return None;
    }
    let mut partial = vec![0; length as usize];
    read_exactly(&*all.file, &mut partial, 4)?;
    all.offset = 4 + length;
    Some(partial)
}

fn read_exactly(file: &dyn DiskFile, mut buf: &mut [u8], mut offset: u64) -> Option<()> {
    while !buf.is_empty() {
        let got = file.read_at(buf, offset).ok().filter(|got| *got > 0)?;
        buf = &mut buf[got..];
        offset += got as u64;
    }
    Some(())
}
