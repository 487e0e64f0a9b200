//! What ran, when, and how it ended: a file in the state directory that only grows.
//!
//! The record says what *counts*, and is replaced as a whole; with a million commands it cannot hold
//! what each of them did. So that stands in a second file, in frames that are appended:
//!
//! ```text
//! length (4 bytes, little endian) │ CRC-32 of the rest (4 bytes) │ one entry
//! ```
//!
//! Frames are made durable before the record that says how many bytes of them there are. A crash can
//! leave more than the record says, and the last frame half written: the next run keeps what is whole
//! and cuts off the rest. It can leave less only if the disk has lost what it had promised to keep, and
//! that is a refusal.

use crate::disk::{Dir, DiskFile, Open};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

/// Its name in the state directory.
pub(crate) const JOURNAL: &str = "journal";

/// One attempt of a task that has come to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The task, from 0.
    pub task: u64,
    /// Which attempt in this run it was, from 1.
    pub attempt: u32,
    /// When it began, in milliseconds since 1970.
    pub began_ms: u64,
    /// How long it took in microseconds, pauses not counted.
    pub took_us: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// What a person should know of the task: a file and a range, say. May be empty.
    pub note: String,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It is done, with this exit code.
    Done(i32),
    /// It failed with this exit code.
    Code(i32),
    /// It failed by this signal.
    Signal(i32),
    /// It took longer than it might.
    TimedOut,
    /// It wanted to use the terminal, and was ended.
    WantedTerminal,
    /// It was ended together with the run, and counts for nothing: the task runs again.
    Interrupted,
}

/// No entry is longer; a length that says so is none.
const LONGEST: usize = 1 << 20;

/// How much is gathered before it is written.
const GATHERED: usize = 64 << 10;

/// The journal of a run, open for more.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: Box<dyn DiskFile>,
    /// Where the file ends.
    end: u64,
    gathered: Vec<u8>,
    is_durable: bool,
}

impl Journal {
    /// Opens the journal of the state at `path`, of which the record says that `committed` bytes are
    /// there, and cuts off what is not whole.
    pub(crate) fn open(dir: &dyn Dir, path: &Path, committed: u64) -> Result<Self> {
        let path = path.join(JOURNAL);
        let failed = |step: &'static str| move |e: io::Error, path: &Path| Error::io(path, step, &e);
        let file = dir.open(JOURNAL.as_ref(), Open::Create).map_err(|e| failed("open")(e, &path))?;
        let length = file.facts().map_err(|e| failed("look at")(e, &path))?.bytes;
        if length < committed {
            return Err(Error::refused(path.display(), format_args!("has {length} bytes of {committed}"))
                .advise("it was damaged; start anew with --fresh"));
        }
        let mut end = committed;
        while let Some(next) = frame_at(&*file, end).map_err(|e| failed("read")(e, &path))? {
            end = next;
        }
        if end < length {
            file.truncate(end).map_err(|e| failed("cut")(e, &path))?;
        }
        let is_durable = length == committed;
        Ok(Self { path, file, end, gathered: Vec::new(), is_durable })
    }

    /// Appends one entry, which is durable after the next [`make_durable`](Journal::make_durable).
    pub(crate) fn append(&mut self, entry: &Entry) -> Result<()> {
        let payload = postcard::to_allocvec(entry)
            .map_err(|e| Error::broken(self.path.display(), format_args!("cannot hold an entry: {e}")))?;
        let length = u32::try_from(payload.len().min(LONGEST)).unwrap_or(0);
        self.gathered.extend_from_slice(&length.to_le_bytes());
        self.gathered.extend_from_slice(&crc32fast::hash(&payload).to_le_bytes());
        self.gathered.extend_from_slice(&payload);
        if self.gathered.len() >= GATHERED { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<()> {
        self.file.write_at(&self.gathered, self.end).map_err(|e| Error::io(&self.path, "write", &e))?;
        self.end += self.gathered.len() as u64;
        self.is_durable &= self.gathered.is_empty();
        self.gathered.clear();
        Ok(())
    }

    /// When this returns, everything appended survives a power cut; how many bytes that are.
    pub(crate) fn make_durable(&mut self) -> Result<u64> {
        self.write()?;
        if !self.is_durable {
            self.file.sync_data().map_err(|e| Error::io(&self.path, "sync", &e))?;
            self.is_durable = true;
        }
        Ok(self.end)
    }
}

/// Where the frame at `offset` ends, if there is a whole one.
fn frame_at(file: &dyn DiskFile, offset: u64) -> io::Result<Option<u64>> {
    let mut head = [0; 8];
    if !fill(file, &mut head, offset)? {
        return Ok(None);
    }
    let Some((length, checksum)) = head_of(head) else { return Ok(None) };
    let mut payload = vec![0; length];
    let whole = fill(file, &mut payload, offset + 8)? && crc32fast::hash(&payload) == checksum;
    Ok(whole.then_some(offset + 8 + length as u64))
}

fn head_of(head: [u8; 8]) -> Option<(usize, u32)> {
    let [a, b, c, d, e, f, g, h] = head;
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    // Zeros, as a file system may leave them at the end of a file after a power cut, are no frame.
    (1..=LONGEST).contains(&length).then_some((length, u32::from_le_bytes([e, f, g, h])))
}

fn fill(file: &dyn DiskFile, buffer: &mut [u8], offset: u64) -> io::Result<bool> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64)? {
            0 => return Ok(false),
            n => filled += n,
        }
    }
    Ok(true)
}

/// Reads the journal of a state, from outside and without a lock: while a run appends to it, up to the
/// last entry that is whole. In constant memory.
#[derive(Debug)]
pub struct Entries {
    from: BufReader<File>,
}

impl Entries {
    /// Opens the journal of the state at `state`; `None` if its job keeps none.
    ///
    /// # Errors
    ///
    /// It cannot be opened.
    pub fn of(state: &Path) -> Result<Option<Self>> {
        let path = state.join(JOURNAL);
        match File::open(&path) {
            Ok(file) => Ok(Some(Self { from: BufReader::new(file) })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io(&path, "open", &error)),
        }
    }
}

impl Iterator for Entries {
    type Item = Entry;

    /// Ends at the first frame that is not whole: what is behind it is not there yet, or never was.
    fn next(&mut self) -> Option<Entry> {
        let mut head = [0; 8];
        self.from.read_exact(&mut head).ok()?;
        let (length, checksum) = head_of(head)?;
        let mut payload = vec![0; length];
        self.from.read_exact(&mut payload).ok()?;
        if crc32fast::hash(&payload) != checksum {
            return None;
        }
        postcard::from_bytes(&payload).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Disk, OsDisk};

    fn entry(task: u64) -> Entry {
        Entry {
            task,
            attempt: 1,
            began_ms: 1_795_493_524_000,
            took_us: 1234,
            outcome: Outcome::Done(0),
            note: String::new(),
        }
    }

    fn read(state: &Path) -> Vec<u64> {
        Entries::of(state).unwrap().unwrap().map(|entry| entry.task).collect()
    }

    fn written(state: &Path, tasks: u64) -> u64 {
        let dir = OsDisk.open_dir(state).unwrap();
        let mut journal = Journal::open(&*dir, state, 0).unwrap();
        for task in 0..tasks {
            journal.append(&entry(task)).unwrap();
        }
        journal.make_durable().unwrap()
    }

    #[test]
    fn what_was_appended_is_read_back_and_an_entry_is_small() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Entries::of(dir.path()).unwrap().is_none());
        let bytes = written(dir.path(), 10_000);
        assert_eq!(read(dir.path()), (0..10_000).collect::<Vec<_>>());
        assert!(bytes < 40 * 10_000, "{bytes}");
    }

    #[test]
    fn wherever_the_end_is_torn_what_is_whole_is_kept_and_the_rest_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let whole = written(dir.path(), 3);
        let bytes = std::fs::read(dir.path().join(JOURNAL)).unwrap();
        let one = bytes.len() / 3;
        for length in one..bytes.len() {
            std::fs::write(dir.path().join(JOURNAL), &bytes[..length]).unwrap();
            let disk = OsDisk.open_dir(dir.path()).unwrap();
            let mut journal = Journal::open(&*disk, dir.path(), one as u64).unwrap();
            journal.append(&entry(7)).unwrap();
            journal.make_durable().unwrap();
            let kept = length / one;
            let expected: Vec<u64> = (0..kept as u64).chain([7]).collect();
            assert_eq!(read(dir.path()), expected, "torn at {length} of {whole}");
        }
    }

    #[test]
    fn a_flipped_bit_ends_what_can_be_read_and_lost_bytes_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let whole = written(dir.path(), 3);
        let path = dir.path().join(JOURNAL);
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(read(dir.path()), [0]);
        std::fs::write(&path, &bytes[..middle]).unwrap();
        let disk = OsDisk.open_dir(dir.path()).unwrap();
        let error = Journal::open(&*disk, dir.path(), whole).unwrap_err();
        assert_eq!(error.kind(), crate::error::Kind::Refused);
    }
}
