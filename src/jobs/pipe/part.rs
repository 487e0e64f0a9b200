//! A file with the output of one command, which is complete or absent.
//!
//! The obvious way is to write it under its name. But a command that is interrupted leaves half of it, and no reader can
//! tell. So the file has another name while the command prints. It gets its own by rename when the command has
//! succeeded and the bytes are on the device, and the name is on the device before the task is done.

use crate::jobs::attempts::{Keep, Reception, Rest};
use crate::jobs::words::Passing;
use bivouac::journal::Outcome;
use bivouac::{Context, Error, Result as JobResult, TaskError};
use rustix::fs::{Mode, OFlags, open};
use std::cell::Cell;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What takes the place of the file if its command has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IfFailed {
    Nothing,
    /// A file without a byte.
    Empty,
}

/// A file with all its bytes that does not have its name.
#[derive(Debug)]
struct Unnamed {
    unfinished: PathBuf,
    path: PathBuf,
    /// Its device and inode.
    id: (u64, u64),
    if_failed: IfFailed,
}

/// Writes what the command prints.
pub(super) struct PartReception<'a, 'b> {
    passing: Passing<'a, 'b>,
    path: PathBuf,
    unfinished: PathBuf,
    if_failed: IfFailed,
    file: Option<File>,
    bytes: &'a Cell<u64>,
}

impl<'a, 'b> PartReception<'a, 'b> {
    pub(super) fn new(cx: &'a Context<'b>, path: PathBuf, if_failed: IfFailed, bytes: &'a Cell<u64>) -> Self {
        let unfinished = unfinished(&path);
        Self { passing: Passing::new(cx), path, unfinished, if_failed, file: None, bytes }
    }
}

/// The name of the file while it is not complete.
fn unfinished(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".part");
    path.with_file_name(name)
}

impl Reception for PartReception<'_, '_> {
    fn begin(&mut self) -> Result<(), TaskError> {
        // An earlier attempt may have left this file.
        fs::remove_file(&self.unfinished).ok();
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = open(&self.unfinished, flags, Mode::from_raw_mode(0o666));
        self.file =
            Some(File::from(file.map_err(|errno| Error::io(&self.unfinished, "create", &errno.into()))?));
        self.bytes.set(0);
        self.passing.begin()
    }

    fn out(&mut self, piece: Vec<u8>) -> Result<(), TaskError> {
        self.bytes.set(self.bytes.get() + piece.len() as u64);
        let written = self.file.as_mut().map_or(Ok(()), |file| file.write_all(&piece));
        Ok(written.map_err(|e| Error::io(&self.unfinished, "write", &e))?)
    }

    fn err(&mut self, bytes: &[u8]) {
        self.passing.err(bytes);
    }

    fn rest(&mut self) -> Result<Rest, TaskError> {
        let Some(file) = self.file.take() else { return self.passing.rest() };
        let flushed = file.sync_all().and_then(|()| file.metadata());
        let facts = flushed.map_err(|e| Error::io(&self.unfinished, "flush", &e))?;
        let unnamed = Unnamed {
            unfinished: self.unfinished.clone(),
            path: self.path.clone(),
            id: (facts.dev(), facts.ino()),
            if_failed: self.if_failed,
        };
        Ok(Rest { kept: Some(Box::new(unnamed)), ..self.passing.rest()? })
    }
}

impl Keep for Unnamed {
    fn end(self: Box<Self>, outcome: Outcome) -> JobResult<()> {
        match outcome {
            Outcome::Done(_) => self.name(),
            Outcome::Interrupted | Outcome::Open => {
                self.discard();
                Ok(())
            }
            Outcome::Code(_)
            | Outcome::Signal(_)
            | Outcome::TimedOut
            | Outcome::WantedTerminal
            | Outcome::NotStarted => match self.if_failed {
                IfFailed::Empty => self.empty().and_then(|()| self.name()),
                IfFailed::Nothing => {
                    self.discard();
                    // A run that was killed may have completed it, and no record says so.
                    fs::remove_file(&self.path).ok();
                    Ok(())
                }
            },
        }
    }
}

impl Unnamed {
    fn discard(&self) {
        fs::remove_file(&self.unfinished).ok();
    }

    fn empty(&self) -> JobResult<()> {
        let emptied = File::options().write(true).truncate(true).open(&self.unfinished);
        emptied.and_then(|file| file.sync_all()).map_err(|e| Error::io(&self.unfinished, "truncate", &e))
    }

    /// The file may be that of a run that has taken this one's place, on another host. That one is not complete.
    fn name(&self) -> JobResult<()> {
        let failed = |step: &'static str| move |e: io::Error| Error::io(&self.path, step, &e);
        let named = fs::symlink_metadata(&self.unfinished).map_err(failed("rename to"))?;
        if (named.dev(), named.ino()) != self.id {
            return Err(Error::broken(
                self.unfinished.display(),
                "is no longer the file that was written here",
            ));
        }
        fs::rename(&self.unfinished, &self.path).map_err(failed("rename to"))?;
        sync_directory_of(&self.path)
    }
}

pub(super) fn sync_directory_of(path: &Path) -> JobResult<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|e| Error::io(dir, "sync the directory", &e))
}
