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

use crate::disk::{Dir, DiskFile, Open};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

/// Its name in the state directory.
pub(crate) const JOURNAL: &str = "journal";

/// What one frame says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Line {
    /// The first one: whose journal this is.
    Of {
        /// The id of the job's whole life ([`crate::checkpoint::Record::run`]).
        run: String,
    },
    /// An attempt of a task begins.
    Began {
        /// The task, from 0.
        task: u64,
        /// Which attempt in this run it is, from 1.
        attempt: u32,
        /// When, in milliseconds since 1970.
        at_ms: u64,
        /// What a person should know of the task: a file and a range, an item. May be empty.
        note: String,
    },
    /// It has ended.
    Ended(End),
    /// It has ended, and with it the task: it is done, or has failed for good, and never runs again.
    Settled {
        /// How it ended.
        end: End,
        /// The beginning of the task's [`Mark`](crate::job::Mark), or zeros if it has none.
        trace: [u8; 8],
        /// The end of that mark: the task alone, for a source with marks of that kind.
        of_task: [u8; 8],
    },
    /// The whole list is known, of a job whose list may change between runs.
    Listed {
        /// How many tasks it has.
        tasks: u64,
        /// The beginning of the last task's [`Mark`](crate::job::Mark).
        trace: [u8; 8],
    },
}

/// The end of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// The task, from 0.
    pub task: u64,
    /// Which attempt in this run it was, from 1.
    pub attempt: u32,
    /// How long it took in microseconds, pauses not counted.
    pub took_us: u64,
    /// How it ended.
    pub outcome: Outcome,
}

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
    /// Nothing is known of its end: it is at work, or was when the run was killed.
    Open,
    /// There is no such command, or it cannot be started.
    NotStarted,
}

impl Outcome {
    /// Whether the task is done by it.
    pub fn is_done(self) -> bool {
        matches!(self, Outcome::Done(_))
    }
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
        let path = path.join(JOURNAL);
        let file = dir.open(JOURNAL.as_ref(), Open::Create).map_err(|e| Error::io(&path, "open", &e))?;
        let length = file.facts().map_err(|e| Error::io(&path, "look at", &e))?.bytes;
        let end = lines_behind(&*file, &path, (run, committed), &mut |_| {})?;
        if end.unwrap_or(0) < length {
            file.truncate(end.unwrap_or(0)).map_err(|e| Error::io(&path, "cut", &e))?;
        }
        let is_durable = length == committed;
        let mut journal = Self { path, file, end: end.unwrap_or(0), gathered: Vec::new(), is_durable };
        if end.is_none() {
            journal.append(&Line::Of { run: run.to_string() })?;
        }
        Ok(journal)
    }

    /// Hands the lines to `each` that the record does not know: those behind the `committed` bytes.
    /// Changes nothing.
    pub(crate) fn behind(
        dir: &dyn Dir,
        path: &Path,
        (run, committed): (&str, u64),
        each: &mut dyn FnMut(Line),
    ) -> Result<()> {
        let path = path.join(JOURNAL);
        match dir.open(JOURNAL.as_ref(), Open::Read) {
            Ok(file) => lines_behind(&*file, &path, (run, committed), each).map(|_| ()),
            Err(error) if error.kind() == io::ErrorKind::NotFound && committed == 0 => Ok(()),
            Err(error) => Err(Error::io(&path, "open", &error)),
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
    if length < committed || (committed > 0 && head.is_none()) {
        return Err(Error::refused(path.display(), format_args!("has {length} bytes of {committed}"))
            .advise("it was damaged; start anew with --fresh"));
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
    lines: Option<BufReader<File>>,
    open: BTreeMap<u64, Entry>,
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
            Ok(file) => {
                let lines = Some(BufReader::with_capacity(1 << 20, file));
                Ok(Some(Self { lines, open: BTreeMap::new() }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io(&path, "open", &error)),
        }
    }

    /// Ends at the first frame that is not whole: what is behind it is not there yet, or never was.
    pub(crate) fn line(&mut self) -> Option<Line> {
        let from = self.lines.as_mut()?;
        let mut head = [0; 8];
        from.read_exact(&mut head).ok()?;
        let (length, checksum) = head_of(head)?;
        let mut payload = vec![0; length];
        from.read_exact(&mut payload).ok()?;
        if crc32fast::hash(&payload) != checksum {
            return None;
        }
        postcard::from_bytes(&payload).ok()
    }

    /// What an attempt began with, now that it has ended.
    fn close(&mut self, end: End) -> Entry {
        let End { task, attempt, took_us, outcome } = end;
        let began = self.open.remove(&task);
        let (began_ms, note) = began.map_or((0, String::new()), |began| (began.began_ms, began.note));
        Entry { task, attempt, began_ms, took_us, outcome, note }
    }
}

impl Iterator for Entries {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        loop {
            match self.line() {
                Some(Line::Of { .. } | Line::Listed { .. }) => {}
                Some(Line::Began { task, attempt, at_ms, note }) => {
                    let entry =
                        Entry { task, attempt, began_ms: at_ms, took_us: 0, outcome: Outcome::Open, note };
                    if let Some(lost) = self.open.insert(task, entry) {
                        return Some(lost);
                    }
                }
                Some(Line::Ended(end) | Line::Settled { end, .. }) => return Some(self.close(end)),
                None => {
                    self.lines = None;
                    return self.open.pop_first().map(|(_, entry)| entry);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Disk, OsDisk};

    fn began(task: u64) -> Line {
        Line::Began { task, attempt: 1, at_ms: 1_795_493_524_000, note: format!("item {task}") }
    }

    fn settled(task: u64) -> Line {
        let end = End { task, attempt: 1, took_us: 1234, outcome: Outcome::Done(0) };
        Line::Settled { end, trace: [7; 8], of_task: [9; 8] }
    }

    fn read(state: &Path) -> Vec<u64> {
        Entries::of(state).unwrap().unwrap().map(|entry| entry.task).collect()
    }

    fn open(state: &Path, committed: u64) -> Result<(Journal, Vec<Line>)> {
        let mut behind = Vec::new();
        let dir = OsDisk.open_dir(state).unwrap();
        Journal::behind(&*dir, state, ("run", committed), &mut |line| behind.push(line))?;
        Ok((Journal::open(&*dir, state, ("run", committed))?, behind))
    }

    fn written(state: &Path, tasks: u64) -> u64 {
        let (mut journal, _) = open(state, 0).unwrap();
        for task in 0..tasks {
            journal.append(&settled(task)).unwrap();
        }
        journal.make_durable().unwrap()
    }

    #[test]
    fn what_was_appended_is_read_back_and_a_task_costs_less_than_72_bytes() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Entries::of(dir.path()).unwrap().is_none());
        let (mut journal, _) = open(dir.path(), 0).unwrap();
        let tasks = 3_000_000..3_010_000;
        for task in tasks.clone() {
            journal.append(&began(task)).unwrap();
            journal.append(&settled(task)).unwrap();
        }
        let bytes = journal.make_durable().unwrap();
        assert!(bytes < 72 * 10_000, "{bytes}");
        let entries: Vec<_> = Entries::of(dir.path()).unwrap().unwrap().collect();
        assert_eq!(entries.iter().map(|entry| entry.task).collect::<Vec<_>>(), tasks.collect::<Vec<_>>());
        assert!(entries.iter().all(|entry| entry.note == format!("item {}", entry.task)));
        assert!(entries.iter().all(|entry| (entry.took_us, entry.outcome) == (1234, Outcome::Done(0))));
    }

    #[test]
    fn what_began_and_did_not_end_is_told_last_or_when_it_begins_again() {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, _) = open(dir.path(), 0).unwrap();
        for line in [began(1), began(2), began(3), settled(2), began(1), settled(1)] {
            journal.append(&line).unwrap();
        }
        journal.make_durable().unwrap();
        let told = Entries::of(dir.path()).unwrap().unwrap().map(|entry| (entry.task, entry.outcome));
        let (done, open) = (Outcome::Done(0), Outcome::Open);
        assert_eq!(told.collect::<Vec<_>>(), [(2, done), (1, open), (1, done), (3, open)]);
    }

    #[test]
    fn wherever_the_end_is_torn_what_is_whole_is_kept_and_the_rest_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let head = written(dir.path(), 0) as usize;
        let whole = written(dir.path(), 3);
        let bytes = std::fs::read(dir.path().join(JOURNAL)).unwrap();
        let one = (bytes.len() - head) / 3;
        for length in head + one..bytes.len() {
            std::fs::write(dir.path().join(JOURNAL), &bytes[..length]).unwrap();
            let (mut journal, behind) = open(dir.path(), (head + one) as u64).unwrap();
            journal.append(&settled(7)).unwrap();
            journal.make_durable().unwrap();
            let kept = ((length - head) / one) as u64;
            let expected: Vec<u64> = (0..kept).chain([7]).collect();
            assert_eq!(read(dir.path()), expected, "torn at {length} of {whole}");
            assert_eq!(behind, (1..kept).map(settled).collect::<Vec<_>>(), "torn at {length}");
        }
    }

    #[test]
    fn the_journal_of_an_earlier_job_is_not_taken_for_ours() {
        let dir = tempfile::tempdir().unwrap();
        let bytes = written(dir.path(), 3);
        let disk = OsDisk.open_dir(dir.path()).unwrap();
        let other = |committed| Journal::open(&*disk, dir.path(), ("other", committed));
        assert_eq!(other(bytes).unwrap_err().kind(), crate::error::Kind::Refused);
        other(0).unwrap().make_durable().unwrap();
        assert_eq!(read(dir.path()), [] as [u64; 0]);
        assert_eq!(open(dir.path(), bytes).unwrap_err().kind(), crate::error::Kind::Refused);
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
        assert_eq!(open(dir.path(), whole).unwrap_err().kind(), crate::error::Kind::Refused);
    }
}
