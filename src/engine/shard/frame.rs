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

use crate::durable::disk::{Dir, DiskFile, Open};
use crate::error::{Advice, At, Error, Result};
use crate::task::Mark;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::path::Path;
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

/// The content of the last frame.
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
    file: Arc<dyn DiskFile>,
    path: Arc<Path>,
    bytes: u64,
}

impl FrameFile {
    pub(super) fn open(dir: &dyn Dir, path: &Path) -> Result<Self> {
        let file = dir.open(path.file_name().unwrap_or_default(), Open::Read).at(path, "open")?;
        let bytes = file.facts().at(path, "look at")?.bytes;
        Ok(Self { file: file.into(), path: path.into(), bytes })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn fill(&self, buffer: &mut [u8], at: u64) -> Result<()> {
        match self.file.fill(buffer, at).at(&self.path, "read")? {
            true => Ok(()),
            false => Err(self.broken()),
        }
    }

    /// The frame at this place: its kind, its payload, and where it ends.
    pub(super) fn read(&self, at: u64) -> Result<(Kind, Vec<u8>, u64)> {
        let mut head = [0; HEAD as usize];
        self.fill(&mut head, at)?;
        let head = Head::decode(head).ok_or_else(|| self.broken())?;
        if head.bytes > self.bytes {
            return Err(self.broken());
        }
        let length = usize::try_from(head.bytes).map_err(|_| self.broken())?;
        let payload = self.file.read_exact(length, at + HEAD).at(&self.path, "read")?;
        let payload = payload.ok_or_else(|| self.broken())?;
        if crc32fast::hash(&payload) != head.crc {
            return Err(self.broken());
        }
        Ok((head.kind, payload, at + HEAD + head.bytes))
    }

    pub(super) fn broken(&self) -> Error {
        Error::refused(self.path.display(), "is cut off or damaged")
            .advise("run that shard again")
            .then(Advice::RunAgain)
    }
}

/// Goes from task to task, and reads heads only.
#[derive(Debug)]
pub(super) struct Heads {
    file: FrameFile,
    at: u64,
    /// One read of the file. It holds the heads of many short tasks.
    read: Vec<u8>,
    read_at: u64,
}

/// How much is read for a head.
const AHEAD: u64 = 4 << 10;

impl Heads {
    pub(super) fn of(file: &FrameFile) -> Self {
        Self { file: file.clone(), at: 0, read: Vec::new(), read_at: 0 }
    }

    /// Where the frames of the next task are; `None` at the end.
    pub(super) fn next_task(&mut self) -> Result<Option<Range<u64>>> {
        let begin = self.at;
        loop {
            let head = self.head()?;
            if head.kind == Kind::End {
                return if self.at == begin { Ok(None) } else { Err(self.file.broken()) };
            }
            self.at = self.at.saturating_add(HEAD).saturating_add(head.bytes);
            if head.kind != Kind::Piece {
                return Ok(Some(begin..self.at));
            }
        }
    }

    fn head(&mut self) -> Result<Head> {
        if self.at + HEAD > self.read_at + self.read.len() as u64 {
            self.read.resize(AHEAD.min(self.file.bytes.saturating_sub(self.at)) as usize, 0);
            self.read_at = self.at;
            self.file.fill(&mut self.read, self.at)?;
        }
        let head = self.read.get((self.at - self.read_at) as usize..).and_then(<[u8]>::first_chunk);
        head.copied().and_then(Head::decode).ok_or_else(|| self.file.broken())
    }
}

/// Reads the last frame. Its payload is one flat object, so its head is right before the last `{`.
pub(super) fn end_of(file: &FrameFile) -> Result<End> {
    const LONGEST: u64 = 4096;
    let bytes = file.bytes();
    let mut last = vec![0; bytes.min(LONGEST) as usize];
    let begin = bytes - last.len() as u64;
    file.fill(&mut last, begin)?;
    let at = last.iter().rposition(|byte| *byte == b'{').map(|at| begin + at as u64);
    let at = at.and_then(|at| at.checked_sub(HEAD)).ok_or_else(|| file.broken())?;
    let (kind, payload, end) = file.read(at).map_err(|_| file.broken())?;
    let read = serde_json::from_slice(&payload).ok().filter(|_| kind == Kind::End && end == bytes);
    read.ok_or_else(|| file.broken())
}
