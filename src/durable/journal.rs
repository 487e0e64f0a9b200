//! What ran, when, and how it ended: a file in the state directory that only grows.
//!
//! The record says what *counts*, and is replaced as a whole; with a million commands it cannot hold
//! what each of them did. So that stands in a second file, in frames that are appended:
//!
//! ```text
//! length (4 bytes, little-endian) │ CRC-32 of the rest (4 bytes) │ one line
//! ```
//!
//! A line says that an attempt of a task [began](Line::Began), or [ended](Line::Ended). Two lines and not
//! one at the end: what was at work when the machine went away would otherwise have left no trace, and
//! that is just what a person looks for.
//!
//! Frames are made durable before the record that says how many bytes of them there are. A crash can
//! leave more than the record says, and the last frame half written: the next run keeps what is whole
//! and cuts off the rest. It can leave less only if the disk has lost what it had promised to keep, and
//! that is a refusal.
//!
//! **The journal as a record.** Where the effect of a task is elsewhere (a command that sends a mail), a
//! second between two records is long: whatever ended in it would be done twice after a SIGKILL. So there
//! the end of a task is written when the task is committed, as a line of its own kind
//! ([`Line::Settled`]); those behind what the record knows are counted in when the job is continued.

use crate::durable::disk::{Dir, Disk, DiskFile, Open, OsDisk, open_plain};
use crate::error::{Advice, Error, Result};
pub use crate::task::{End, Line, Outcome};
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

/// Its name in the state directory.
pub(crate) const JOURNAL: &str = "journal";

/// One attempt of a task, from its beginning to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The task, from 0.
    pub task: u64,
    /// Which attempt in its run it was, from 1.
    pub attempt: u32,
    /// When it began, in milliseconds since 1970.
    pub began_ms: u64,
    /// How long it took in microseconds, pauses not counted.
    pub took_us: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// What a person should know of the task.
    pub note: String,
}

/// No line is longer; a length that says so is none.
const LONGEST: usize = 1 << 20;

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
    /// Opens the journal of the job `run` in the state at `path`, of which the record says that
    /// `committed` bytes are there, and cuts off what is not whole.
    ///
    /// A crash may have left the journal of an earlier job here, of which a new record knows nothing; its
    /// first line tells.
    pub(crate) fn open(dir: &dyn Dir, path: &Path, (run, committed): (&str, u64)) -> Result<Self> {
        let file = open_plain(dir, path, JOURNAL, Open::Create)?;
        let path = path.join(JOURNAL);
        let file = file.ok_or_else(|| Error::broken(path.display(), "its directory is gone"))?;
        let length = file.facts().map_err(|e| Error::io(&path, "look at", &e))?.bytes;
        let end = lines_behind(&*file, &path, (run, committed), &mut |_| {})?;
        if end.unwrap_or(0) < length {
            file.truncate(end.unwrap_or(0)).map_err(|e| Error::io(&path, "cut", &e))?;
        }
        let is_durable = length == committed;
        let mut journal = Self { path, file, end: end.unwrap_or(0), gathered: Vec::new(), is_durable };
        if end.is_none() {
            // Its name must be durable before a record says that there is a journal. The directory is flushed
            // again after the record. But in between, a power cut may keep the name of the record and lose this one.
            dir.sync().map_err(|e| Error::io(&journal.path, "sync the directory of", &e))?;
            journal.append(&Line::Of { run: run.to_string() })?;
        }
        Ok(journal)
    }

    /// Hands the lines to `each` that the record does not know: those behind the `committed` bytes.
    /// Changes nothing.
    pub(crate) fn after(
        dir: &dyn Dir,
        path: &Path,
        (run, committed): (&str, u64),
        each: &mut dyn FnMut(Line),
    ) -> Result<()> {
        let file = open_plain(dir, path, JOURNAL, Open::Read)?;
        let path = path.join(JOURNAL);
        match file {
            Some(file) => lines_behind(&*file, &path, (run, committed), each).map(|_| ()),
            None if committed == 0 => Ok(()),
            None => Err(lost(&path, format_args!("is missing, and {committed} bytes of it count"))),
        }
    }

    /// Gathers one line. It reaches the file with the next [`write`](Journal::write), and is durable
    /// after the next [`make_durable`](Journal::make_durable).
    pub(crate) fn append(&mut self, line: &Line) -> Result<()> {
        let payload = postcard::to_allocvec(line)
            .map_err(|e| Error::broken(self.path.display(), format_args!("cannot hold a line: {e}")))?;
        let length = u32::try_from(payload.len().min(LONGEST)).unwrap_or(0);
        self.gathered.extend_from_slice(&length.to_le_bytes());
        self.gathered.extend_from_slice(&crc32fast::hash(&payload).to_le_bytes());
        self.gathered.extend_from_slice(&payload);
        Ok(())
    }

    /// Hands what was gathered to the system: it survives the end of this process, and not that of the
    /// machine.
    pub(crate) fn write(&mut self) -> Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        self.file.write_at(&self.gathered, self.end).map_err(|e| Error::io(&self.path, "write", &e))?;
        self.end += self.gathered.len() as u64;
        self.is_durable = false;
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

fn lost(path: &Path, how: fmt::Arguments<'_>) -> Error {
    Error::refused(path.display(), how)
        .advise("nothing was changed; bring the file back")
        .or(Advice::StartAfresh)
}

/// Hands the whole lines behind `committed` bytes to `each`; where the last one ends. `None`: this is not
/// the journal of `run`, and the record does not say that there is one.
fn lines_behind(
    file: &dyn DiskFile,
    path: &Path,
    (run, committed): (&str, u64),
    each: &mut dyn FnMut(Line),
) -> Result<Option<u64>> {
    let unreadable = |e: io::Error| Error::io(path, "read", &e);
    let length = file.facts().map_err(unreadable)?.bytes;
    let first = frame_at(file, 0).map_err(unreadable)?;
    let head = first.filter(|(line, _)| *line == Line::Of { run: run.to_string() }).map(|(_, end)| end);
    if length < committed {
        return Err(lost(path, format_args!("has {length} bytes, and {committed} of it count")));
    }
    if committed > 0 && head.is_none() {
        return Err(lost(path, format_args!("does not begin as the journal of this job")));
    }
    let Some(head) = head else { return Ok(None) };
    let mut end = head.max(committed);
    while let Some((line, next)) = frame_at(file, end).map_err(unreadable)? {
        each(line);
        end = next;
    }
    Ok(Some(end))
}

/// The line at `offset`, if there is a whole one, and where its frame ends.
fn frame_at(file: &dyn DiskFile, offset: u64) -> io::Result<Option<(Line, u64)>> {
    let mut head = [0; 8];
    if !fill(file, &mut head, offset)? {
        return Ok(None);
    }
    let Some((length, checksum)) = head_of(head) else { return Ok(None) };
    let mut payload = vec![0; length];
    let whole = fill(file, &mut payload, offset + 8)? && crc32fast::hash(&payload) == checksum;
    let line = postcard::from_bytes(&payload).ok().filter(|_| whole);
    Ok(line.map(|line| (line, offset + 8 + length as u64)))
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
/// last line that is whole. In memory that is bounded by how many attempts are open at a time.
///
/// Entries come in the order in which the attempts ended; those that are open come last, or when the
/// same task begins once more.
#[derive(Debug)]
pub struct Entries {
    path: PathBuf,
    lines: Option<BufReader<FromStart>>,
    open: BTreeMap<u64, Entry>,
}

/// Reads a file from its beginning.
#[derive(Debug)]
struct FromStart {
    file: Box<dyn DiskFile>,
    at: u64,
}

impl Read for FromStart {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.file.read_at(buffer, self.at)?;
        self.at += got as u64;
        Ok(got)
    }
}

impl Entries {
    /// Opens the journal of the state at `state`; `None` if its job keeps none.
    ///
    /// # Errors
    ///
    /// It cannot be opened.
    pub fn of(state: &Path) -> Result<Option<Self>> {
        let dir = match OsDisk.open_dir(state) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(|e| Error::io(state, "open", &e))?,
        };
        let file = open_plain(&*dir, state, JOURNAL, Open::Read)?;
        let lines = file.map(|file| BufReader::with_capacity(1 << 20, FromStart { file, at: 0 }));
        let path = state.join(JOURNAL);
        Ok(lines.map(|lines| Self { path, lines: Some(lines), open: BTreeMap::new() }))
    }

    /// The next line, whatever it says. After an error nothing more comes.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub(crate) fn next_line(&mut self) -> Result<Option<Line>> {
        self.line().map_err(|error| {
            self.lines = None;
            Error::io(&self.path, "read", &error)
        })
    }

    /// Ends at the first frame that is not whole: what is behind it is not there yet, or never was.
    fn line(&mut self) -> io::Result<Option<Line>> {
        let Some(from) = &mut self.lines else { return Ok(None) };
        let mut head = [0; 8];
        if !is_there(from.read_exact(&mut head))? {
            return Ok(None);
        }
        let Some((length, checksum)) = head_of(head) else { return Ok(None) };
        let mut payload = vec![0; length];
        let whole = is_there(from.read_exact(&mut payload))? && crc32fast::hash(&payload) == checksum;
        Ok(postcard::from_bytes(&payload).ok().filter(|_| whole))
    }

    /// What an attempt began with, now that it has ended.
    fn close(&mut self, end: End) -> Entry {
        let End { task, attempt, took_us, outcome } = end;
        let began = self.open.remove(&task);
        let (began_ms, note) = began.map_or((0, String::new()), |began| (began.began_ms, began.note));
        Entry { task, attempt, began_ms, took_us, outcome, note }
    }
}

/// Whether something could be read whole: a file that ends before is no error, anything else is.
fn is_there(read: io::Result<()>) -> io::Result<bool> {
    match read {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| true),
    }
}

/// After an error nothing more comes of the journal.
impl Iterator for Entries {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Result<Entry>> {
        loop {
            match self.next_line() {
                Err(error) => return Some(Err(error)),
                Ok(Some(Line::Of { .. } | Line::Delivered { .. } | Line::Listed { .. })) => {}
                Ok(Some(Line::Began { task, attempt, at_ms, note, .. })) => {
                    let entry =
                        Entry { task, attempt, began_ms: at_ms, took_us: 0, outcome: Outcome::Open, note };
                    if let Some(lost) = self.open.insert(task, entry) {
                        return Some(Ok(lost));
                    }
                }
                Ok(Some(Line::Ended(end) | Line::Settled { end, .. })) => return Some(Ok(self.close(end))),
                Ok(None) => {
                    self.lines = None;
                    return self.open.pop_first().map(|(_, entry)| Ok(entry));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
