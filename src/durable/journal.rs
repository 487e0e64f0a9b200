//! The journal: which attempts ran, when, and how they ended. A file in the state directory that only grows.
//!
//! The record says what *counts*, and is replaced as a whole; it cannot hold a million commands. A second file does, in
//! frames that are appended:
//!
//! ```text
//! length (4 bytes, little-endian) │ CRC-32 of the rest (4 bytes) │ one line
//! ```
//!
//! In the frame of an end, measurements ([`Measured`]) may follow the line. An older program reads the line and ignores the
//! rest of the frame, and a newer one reads a journal without measurements.
//!
//! A line says that an attempt of a task [began](Line::Began), or [ended](Line::Ended). With one line at the end, the tasks
//! at work when the machine went away would leave no trace, and you look for just these.
//!
//! Frames are made durable before the record that says how many bytes of them there are. A crash can leave more than the
//! record says, and the last frame half written: the next run keeps whole frames and truncates the rest. It can leave less
//! only if the disk breaks its promise; then the run is refused.
//!
//! **The journal as a record.** If the effect of a task is elsewhere (a command that sends a mail), a second between two
//! records is long: tasks that ended in it would run twice after a SIGKILL. So the end of such a task is written when the
//! task is committed, as a line of its own kind. The next run counts those that the record does not know.

use crate::durable::disk::{Dir, Disk, DiskFile, Open, OsDisk, if_there, open_plain};
use crate::durable::lock;
use crate::error::{Advice, At, Error, Result};
pub use crate::task::{End, Line, Measured, Outcome};
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufReader, Read};
use std::ops::Deref;
use std::path::{Path, PathBuf};

pub(crate) const JOURNAL: &str = "journal";

/// One attempt of a task, from its beginning to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
#[doc(hidden)]
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
    /// A note about the task for people.
    pub note: String,
    /// Measurements of the attempt.
    pub measured: Measured,
}

/// The longest payload of a frame, in bytes. A greater length is damage.
const LONGEST: usize = 1 << 20;

/// The journal of a run, open for more.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: Box<dyn DiskFile>,
    end: u64,
    gathered: Vec<u8>,
    is_durable: bool,
}

impl Journal {
    /// Opens the journal of the job `run`, of which `committed` bytes count, and truncates it after its last whole line. A
    /// crash may have left the journal of an earlier job; its first line tells.
    pub(crate) fn open(dir: &dyn Dir, path: &Path, (run, committed): (&str, u64)) -> Result<Self> {
        let file = open_plain(dir, path, JOURNAL, Open::Create)?;
        let path = path.join(JOURNAL);
        let file = file.ok_or_else(|| Error::broken(path.display(), "its directory is gone"))?;
        lock::hold(&*file, &path)?;
        let length = file.facts().at(&path, "look at")?.bytes;
        let end = lines_after(&*file, &path, (run, committed), &mut |_| {})?;
        if end.unwrap_or(0) < length {
            file.truncate(end.unwrap_or(0)).at(&path, "cut")?;
        }
        let is_durable = length == committed;
        let mut journal = Self { path, file, end: end.unwrap_or(0), gathered: Vec::new(), is_durable };
        if end.is_none() {
            // Its name must be durable before a record says that there is a journal. The directory is flushed
            // again after the record. But in between, a power cut may keep the name of the record and lose this one.
            dir.sync().at(&journal.path, "sync the directory of")?;
            journal.append(&Line::Of { run: run.to_string() })?;
        }
        Ok(journal)
    }

    /// Calls `each` with the lines after the first `committed` bytes, which the record does not count. Changes nothing.
    pub(crate) fn after(
        dir: &dyn Dir,
        path: &Path,
        (run, committed): (&str, u64),
        each: &mut dyn FnMut(Line),
    ) -> Result<()> {
        let file = open_plain(dir, path, JOURNAL, Open::Read)?;
        let path = path.join(JOURNAL);
        match file {
            Some(file) => lines_after(&*file, &path, (run, committed), each).map(|_| ()),
            None if committed == 0 => Ok(()),
            None => Err(lost(&path, format_args!("is missing, and {committed} bytes of it count"))),
        }
    }

    /// Gathers one line, for the next [`write`](Journal::write) or [`make_durable`](Journal::make_durable).
    pub(crate) fn append(&mut self, line: &Line) -> Result<()> {
        let payload = payload_of(line)
            .map_err(|e| Error::broken(self.path.display(), format_args!("cannot hold a line: {e}")))?;
        let length = u32::try_from(payload.len().min(LONGEST)).unwrap_or(0);
        self.gathered.extend_from_slice(&length.to_le_bytes());
        self.gathered.extend_from_slice(&crc32fast::hash(&payload).to_le_bytes());
        self.gathered.extend_from_slice(&payload);
        Ok(())
    }

    /// Hands the gathered lines to the kernel: they survive a SIGKILL, and not a power cut.
    pub(crate) fn write(&mut self) -> Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        self.file.write_at(&self.gathered, self.end).at(&self.path, "write")?;
        self.end += self.gathered.len() as u64;
        self.is_durable = false;
        self.gathered.clear();
        Ok(())
    }

    /// When this returns, everything appended survives a power cut; how many bytes that are.
    pub(crate) fn make_durable(&mut self) -> Result<u64> {
        self.write()?;
        if !self.is_durable {
            self.file.sync_data().at(&self.path, "sync")?;
            self.is_durable = true;
        }
        Ok(self.end)
    }
}

fn payload_of(line: &Line) -> postcard::Result<Vec<u8>> {
    let payload = postcard::to_allocvec(line)?;
    match line {
        Line::Ended(end) | Line::Settled { end, .. } if end.measured != Measured::default() => {
            postcard::to_extend(&end.measured, payload)
        }
        Line::Of { .. }
        | Line::Began { .. }
        | Line::Ended(_)
        | Line::Settled { .. }
        | Line::Listed { .. }
        | Line::Delivered { .. } => Ok(payload),
    }
}

/// Reads the payload of a frame. Measurements of a newer program that this one does not know are left out.
fn line_of(payload: &[u8]) -> Option<Line> {
    let (mut line, rest) = postcard::take_from_bytes(payload).ok()?;
    if let Line::Ended(end) | Line::Settled { end, .. } = &mut line {
        end.measured = postcard::from_bytes(rest).unwrap_or_default();
    }
    Some(line)
}

fn lost(path: &Path, how: fmt::Arguments<'_>) -> Error {
    Error::refused(path.display(), how)
        .advise("nothing was changed; bring the file back")
        .or(Advice::StartAfresh)
}

/// Hands `each` the whole lines after `committed` bytes; where the last one ends. `None`: this is not
/// the journal of `run`, and the record does not say that there is one.
fn lines_after(
    file: &(dyn DiskFile + 'static),
    path: &Path,
    (run, committed): (&str, u64),
    each: &mut dyn FnMut(Line),
) -> Result<Option<u64>> {
    let frames_from = |at| BufReader::new(Reading { file, at });
    let length = file.facts().at(path, "read")?.bytes;
    let first = next_frame(&mut frames_from(0)).at(path, "read")?;
    let head = first.filter(|(line, _)| *line == Line::Of { run: run.to_string() }).map(|(_, bytes)| bytes);
    if length < committed {
        return Err(lost(path, format_args!("has {length} bytes, and {committed} of it count")));
    }
    if committed > 0 && head.is_none() {
        return Err(lost(path, format_args!("does not begin as the journal of this job")));
    }
    let Some(head) = head else { return Ok(None) };
    let mut end = head.max(committed);
    let mut frames = frames_from(end);
    while let Some((line, bytes)) = next_frame(&mut frames).at(path, "read")? {
        each(line);
        end += bytes;
    }
    Ok(Some(end))
}

/// The next line and the length of its frame. After a frame that is not whole nothing counts.
fn next_frame(from: &mut impl Read) -> io::Result<Option<(Line, u64)>> {
    let mut head = [[0; 4]; 2];
    if !is_there(from.read_exact(head.as_flattened_mut()))? {
        return Ok(None);
    }
    let [length, checksum] = head.map(u32::from_le_bytes);
    // Zeros, as a file system may leave them at the end of a file after a power cut, are no frame.
    if !(1..=LONGEST).contains(&(length as usize)) {
        return Ok(None);
    }
    let mut payload = vec![0; length as usize];
    let whole = is_there(from.read_exact(&mut payload))? && crc32fast::hash(&payload) == checksum;
    let line = whole.then(|| line_of(&payload)).flatten();
    Ok(line.map(|line| (line, 8 + u64::from(length))))
}

/// Reads the journal of a state, from outside and without a lock, up to the last whole line. Memory holds only open
/// attempts. Entries come as the attempts ended; open ones come last, or when their task begins again.
#[derive(Debug)]
#[doc(hidden)]
pub struct Entries {
    path: PathBuf,
    lines: Option<BufReader<Reading<Box<dyn DiskFile>>>>,
    open: BTreeMap<u64, Entry>,
}

/// Reads a file from a place on.
#[derive(Debug)]
struct Reading<F> {
    file: F,
    at: u64,
}

impl<F: Deref<Target = dyn DiskFile>> Read for Reading<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.file.read_at(buffer, self.at)?;
        self.at += got as u64;
        Ok(got)
    }
}

impl Entries {
    /// Opens the journal of the state at `state`; `None` if its job keeps none.
    pub fn of(state: &Path) -> Result<Option<Self>> {
        let opened = if_there(OsDisk.open_dir(state)).at(state, "open")?;
        let Some(dir) = opened else { return Ok(None) };
        let file = open_plain(&*dir, state, JOURNAL, Open::Read)?;
        let lines = file.map(|file| BufReader::with_capacity(1 << 20, Reading { file, at: 0 }));
        let path = state.join(JOURNAL);
        Ok(lines.map(|lines| Self { path, lines: Some(lines), open: BTreeMap::new() }))
    }

    /// The next line, whatever it says. After an error nothing more comes.
    pub(crate) fn next_line(&mut self) -> Result<Option<Line>> {
        let Some(from) = &mut self.lines else { return Ok(None) };
        next_frame(from).map(|frame| frame.map(|(line, _)| line)).map_err(|error| {
            self.lines = None;
            Error::io(&self.path, "read", &error)
        })
    }

    /// The entry of an attempt that has ended, with what its first line said.
    fn close(&mut self, end: End) -> Entry {
        let End { task, attempt, took_us, outcome, measured } = end;
        let began = self.open.remove(&task);
        let (began_ms, note) = began.map_or((0, String::new()), |began| (began.began_ms, began.note));
        Entry { task, attempt, began_ms, took_us, outcome, note, measured }
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
                    let (began_ms, outcome, measured) = (at_ms, Outcome::Open, Measured::default());
                    let entry = Entry { task, attempt, began_ms, took_us: 0, outcome, note, measured };
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
