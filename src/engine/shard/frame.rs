//! The file of results: frames in the order of the tasks, and an end without which it does not count.
//!
//! ```text
//! kind (1) │ CRC-32 of the payload (4) │ its length (8) │ payload
//!
//! P  a piece that the task emitted
//! T  the task is done: what it reported, as JSON
//! F  the task failed and is left out; pieces before it stay
//! E  the end: an End, as JSON
//! ```

use crate::error::{Advice, At, Error, Result};
use crate::task::Mark;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufReader, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) const HEAD: u64 = 13;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Piece,
    Done,
    Failed,
    End,
}

const KINDS: [(Kind, u8); 4] =
    [(Kind::Piece, b'P'), (Kind::Done, b'T'), (Kind::Failed, b'F'), (Kind::End, b'E')];

/// What the last frame says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct End {
    /// The plan that this is a part of.
    pub(super) plan: String,
    /// Which shard of it, from 1.
    pub(super) shard: u64,
    /// The tasks of the whole job, as this shard has listed them.
    pub(super) listed: u64,
    /// The mark of the last one.
    pub(super) mark: Option<Mark>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) kind: Kind,
    crc: u32,
    pub(super) bytes: u64,
}

/// Puts the head in front of a payload.
pub(super) fn framed(kind: Kind, payload: &[u8], out: &mut Vec<u8>) {
    out.reserve(payload.len() + HEAD as usize);
    out.extend(KINDS.iter().filter(|(of, _)| *of == kind).map(|(_, tag)| *tag));
    out.extend(crc32fast::hash(payload).to_le_bytes());
    out.extend((payload.len() as u64).to_le_bytes());
    out.extend_from_slice(payload);
}

impl Head {
    fn decode(bytes: [u8; HEAD as usize]) -> Option<Self> {
        let (kind, _) = KINDS.into_iter().find(|(_, tag)| *tag == bytes[0])?;
        let crc = u32::from_le_bytes(bytes[1..5].try_into().ok()?);
        Some(Self { kind, crc, bytes: u64::from_le_bytes(bytes[5..].try_into().ok()?) })
    }
}

/// A file of results that is read by several threads.
#[derive(Clone, Debug)]
pub(super) struct FrameFile {
    file: Arc<File>,
    path: Arc<Path>,
}

impl FrameFile {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).at(path, "open")?;
        Ok(Self { file: Arc::new(file), path: path.into() })
    }

    pub(super) fn bytes(&self) -> Result<u64> {
        self.file.metadata().map(|facts| facts.len()).at(&self.path, "look at")
    }

    /// The frame at this place: its kind, its payload, and where it ends.
    pub(super) fn read(&self, at: u64) -> Result<(Kind, Vec<u8>, u64)> {
        let mut head = [0; HEAD as usize];
        self.file.read_exact_at(&mut head, at).map_err(|e| self.failed(&e))?;
        let head = Head::decode(head).ok_or_else(|| self.broken())?;
        if head.bytes > self.bytes()? {
            return Err(self.broken());
        }
        let mut payload = vec![0; usize::try_from(head.bytes).map_err(|_| self.broken())?];
        self.file.read_exact_at(&mut payload, at + HEAD).map_err(|e| self.failed(&e))?;
        if crc32fast::hash(&payload) != head.crc {
            return Err(self.broken());
        }
        Ok((head.kind, payload, at + HEAD + head.bytes))
    }

    pub(super) fn broken(&self) -> Error {
        damaged(&self.path)
    }

    fn failed(&self, cause: &std::io::Error) -> Error {
        failed(&self.path, cause)
    }
}

fn failed(path: &Path, cause: &std::io::Error) -> Error {
    match cause.kind() == std::io::ErrorKind::UnexpectedEof {
        true => damaged(path),
        false => Error::io(path, "read", cause),
    }
}

fn damaged(path: &Path) -> Error {
    Error::refused(path.display(), "is cut off or damaged")
        .advise("remove it and run that shard again")
        .then(Advice::RunAgain)
}

/// Goes from task to task, and reads heads only.
#[derive(Debug)]
pub(super) struct Heads {
    reader: BufReader<File>,
    path: PathBuf,
    at: u64,
}

impl Heads {
    pub(super) fn of(file: &FrameFile) -> Result<Self> {
        // A position of its own: the other one is only read at offsets.
        let reader = File::open(&file.path).at(&file.path, "open")?;
        Ok(Self { reader: BufReader::new(reader), path: file.path.to_path_buf(), at: 0 })
    }

    /// Where the frames of the next task are; `None` at the end.
    pub(super) fn next_task(&mut self) -> Result<Option<Range<u64>>> {
        let begin = self.at;
        loop {
            let mut head = [0; HEAD as usize];
            self.reader.read_exact(&mut head).map_err(|e| failed(&self.path, &e))?;
            let head = Head::decode(head).ok_or_else(|| damaged(&self.path))?;
            if head.kind == Kind::End {
                return if self.at == begin { Ok(None) } else { Err(damaged(&self.path)) };
            }
            let skip = i64::try_from(head.bytes).map_err(|_| damaged(&self.path))?;
            self.reader.seek_relative(skip).map_err(|e| failed(&self.path, &e))?;
            self.at += HEAD + head.bytes;
            if head.kind != Kind::Piece {
                return Ok(Some(begin..self.at));
            }
        }
    }
}

/// What the last frame says. Its payload is one flat object, so its head is right before the last `{`.
pub(super) fn end_of(file: &FrameFile) -> Result<End> {
    const LONGEST: u64 = 4096;
    let bytes = file.bytes()?;
    let mut last = vec![0; bytes.min(LONGEST) as usize];
    let begin = bytes - last.len() as u64;
    file.file.read_exact_at(&mut last, begin).map_err(|e| file.failed(&e))?;
    let at = last.iter().rposition(|byte| *byte == b'{').map(|at| begin + at as u64);
    let at = at.and_then(|at| at.checked_sub(HEAD)).ok_or_else(|| file.broken())?;
    let (kind, payload, end) = file.read(at).map_err(|_| file.broken())?;
    let read = serde_json::from_slice(&payload).ok().filter(|_| kind == Kind::End && end == bytes);
    read.ok_or_else(|| file.broken())
}
