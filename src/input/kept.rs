//! Entries of a walk in a file, one a line: the shards of a job read there what one walk has found.

use super::file::InputFile;
use super::path_text;
use super::walk::Entry;
use super::witness::Witness;
use super::witness::identity::Identity;
use super::witness::sample::Sample;
use crate::error::{At, Error, Result};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    File {
        identity: Identity,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sample: Option<Sample>,
    },
    Unreadable {
        #[serde(with = "path_text")]
        path: PathBuf,
        errno: i32,
    },
}

/// An entry as a line. `None`: a stream, of which nothing can be kept.
pub(super) fn line(entry: &Entry) -> Result<Option<Vec<u8>>> {
    let line = match entry {
        Entry::File(file) => {
            Line::File { identity: file.identity().clone(), sample: file.witness.sample.as_deref().cloned() }
        }
        Entry::Unreadable { path, why } => {
            Line::Unreadable { path: path.clone(), errno: why.errno().unwrap_or(libc::EIO) }
        }
        Entry::Stream(_) => return Ok(None),
    };
    let mut line = serde_json::to_vec(&line).map_err(|e| Error::broken("list", e))?;
    line.push(b'\n');
    Ok(Some(line))
}

/// The entries in a file, in its order.
#[derive(Debug)]
pub(super) struct KeptEntries {
    lines: BufReader<File>,
    path: PathBuf,
    next: Option<Entry>,
    failed: Option<Error>,
}

impl KeptEntries {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let lines = BufReader::new(File::open(path).at(path, "open")?);
        Ok(Self { lines, path: path.to_path_buf(), next: None, failed: None })
    }

    pub(super) fn peek(&mut self) -> Option<&Entry> {
        if self.next.is_none() && self.failed.is_none() {
            match self.read().at(&self.path, "read") {
                Ok(next) => self.next = next,
                Err(error) => self.failed = Some(error),
            }
        }
        self.next.as_ref()
    }

    pub(super) fn next(&mut self) -> Option<Entry> {
        self.peek()?;
        self.next.take()
    }

    /// Why there is no next one, if this is not the end.
    pub(super) fn failed(&self) -> Option<Error> {
        self.failed.clone()
    }

    fn read(&mut self) -> io::Result<Option<Entry>> {
        let mut line = Vec::new();
        if self.lines.read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        Ok(Some(match serde_json::from_slice(&line)? {
            Line::File { identity, sample } => {
                Entry::File(InputFile::of(Witness::new(identity).with_sample(sample)))
            }
            Line::Unreadable { path, errno } => {
                let why = Error::looking(&path, &io::Error::from_raw_os_error(errno));
                Entry::Unreadable { path, why }
            }
        }))
    }
}
