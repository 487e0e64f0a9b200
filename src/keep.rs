//! Where the record goes: nowhere, into a directory that is made when it is first needed, or into
//! one that is there. So that the commit thread can follow one protocol for all of them.

use crate::checkpoint::{Beyond, Record};
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::job::Mark;
use crate::reorder::Fate;
use crate::state_dir::StateDir;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;

/// See the [module](self).
pub(crate) struct Keep {
    record: Record,
    place: Place,
    /// Files of finished tasks that are in the output by now. Removed after the next record, which
    /// no longer names them; not before.
    spent: Vec<Beyond>,
}

pub(crate) enum Place {
    /// The job cannot be continued.
    Nowhere,
    /// A directory that does not exist yet.
    Later { disk: Arc<dyn Disk>, path: PathBuf },
    /// A directory that we hold the lock of. `passing`: it goes when the job is finished.
    Here { dir: StateDir, passing: bool },
}

/// What stands at the beginning of the file of a finished task, as one line of JSON; its pieces
/// follow.
#[derive(Serialize, Deserialize)]
struct Header {
    /// It failed and is left out.
    failed: bool,
    /// What it reported. A value and not an option, since what a task reports may itself be nothing.
    partial: Value,
    /// Lengths of the pieces.
    pieces: Vec<usize>,
}

impl Keep {
    pub(crate) fn new(record: Record, place: Place) -> Self {
        Self { record, place, spent: Vec::new() }
    }

    pub(crate) fn record(&self) -> &Record {
        &self.record
    }

    pub(crate) fn record_mut(&mut self) -> &mut Record {
        &mut self.record
    }

    pub(crate) fn is_kept(&self) -> bool {
        match self.place {
            Place::Nowhere => false,
            Place::Later { .. } | Place::Here { .. } => true,
        }
    }

    /// Whether a finished job leaves its state behind, so that a repeated command finds it.
    pub(crate) fn outlives_the_job(&self) -> bool {
        matches!(self.place, Place::Here { passing: false, .. })
    }

    /// Replaces the record on disk; its size in bytes, if there is a place for it.
    pub(crate) fn write(&mut self) -> Result<Option<u64>> {
        self.settle_down()?;
        let Place::Here { dir, .. } = &mut self.place else { return Ok(None) };
        self.record.seq += 1;
        let size = dir.write_record(&self.record)?;
        for beyond in self.spent.drain(..) {
            dir.remove_spill(&beyond)?;
        }
        Ok(Some(size))
    }

    /// The first record of a job: where there is a directory, it must know of the job before anything
    /// else is made.
    pub(crate) fn write_if_here(&mut self) -> Result<()> {
        if matches!(self.place, Place::Here { .. }) {
            self.write()?;
        }
        Ok(())
    }

    /// Makes the directory, now that there is something to keep in it.
    fn settle_down(&mut self) -> Result<()> {
        if let Place::Later { disk, path } = &self.place {
            let dir = StateDir::create(disk, path)?;
            self.place = Place::Here { dir, passing: true };
        }
        Ok(())
    }

    /// The job is finished: the record says so for good, or the state goes away.
    pub(crate) fn finish(&mut self) -> Result<()> {
        match &mut self.place {
            Place::Nowhere | Place::Later { .. } => Ok(()),
            Place::Here { passing: false, .. } => self.write().map(drop),
            Place::Here { dir, passing: true } => dir.remove(),
        }
    }

    /// Keeps a task that finished beyond the frontier.
    pub(crate) fn put_beyond<P: Serialize>(&mut self, task: u64, pieces: &[Vec<u8>], fate: &Fate<P>) -> Result<()> {
        self.settle_down()?;
        let Place::Here { dir, .. } = &mut self.place else { return Ok(()) };
        let unwritable = |e| Error::broken(format_args!("task {task}"), format_args!("cannot be written down: {e}"));
        let (failed, partial, mark) = match fate {
            Fate::Done { partial, mark } => (false, serde_json::to_value(partial).map_err(unwritable)?, *mark),
            Fate::Failed { mark } => (true, Value::Null, *mark),
        };
        let header = Header { failed, partial, pieces: pieces.iter().map(Vec::len).collect() };
        let mut line = serde_json::to_vec(&header).map_err(unwritable)?;
        line.push(b'\n');
        let parts: Vec<&[u8]> = std::iter::once(line.as_slice()).chain(pieces.iter().map(Vec::as_slice)).collect();
        let beyond = dir.write_spill(task, mark, &parts)?;
        self.record.beyond.push(beyond);
        Ok(())
    }

    /// The task with this number, if an earlier run finished it and kept what it made.
    #[expect(clippy::type_complexity, reason = "the pieces of a task, and how it ended")]
    pub(crate) fn take_beyond<P: DeserializeOwned>(&mut self, task: u64) -> Result<Option<(Vec<Vec<u8>>, Fate<P>)>> {
        let Some(position) = self.record.beyond.iter().position(|beyond| beyond.task == task) else {
            return Ok(None);
        };
        let Place::Here { dir, .. } = &self.place else { return Ok(None) };
        let content = dir.read_spill(&self.record.beyond[position])?;
        let beyond = self.record.beyond.remove(position);
        let mark = beyond.mark;
        let taken = unpack(&content, mark).ok_or_else(|| {
            Error::refused(format_args!("task {task}"), "a finished task that was kept cannot be read").advise("start anew with --fresh")
        })?;
        self.spent.push(beyond);
        Ok(Some(taken))
    }
}

fn unpack<P: DeserializeOwned>(content: &[u8], mark: Option<Mark>) -> Option<(Vec<Vec<u8>>, Fate<P>)> {
    let line = memchr::memchr(b'\n', content)?;
    let header: Header = serde_json::from_slice(&content[..line]).ok()?;
    let mut rest = &content[line + 1..];
    let mut pieces = Vec::with_capacity(header.pieces.len());
    for bytes in header.pieces {
        let (piece, behind) = rest.split_at_checked(bytes)?;
        pieces.push(piece.to_vec());
        rest = behind;
    }
    let fate = match header.failed {
        false => Fate::Done { partial: serde_json::from_value(header.partial).ok()?, mark },
        true => Fate::Failed { mark },
    };
    rest.is_empty().then_some((pieces, fate))
}
