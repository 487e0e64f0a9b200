//! Puts the output of tasks that finish in any order into the order of their numbers.
//!
//! The obvious way is to write the pieces of a task as they come. But an interrupted task takes its pieces back,
//! and only the order makes the output the same bytes every time. So the pieces are held until their task is
//! done *and* every task before it is committed. Neither the number of these tasks nor their size has a bound.
//! So they are held in memory up to [`MEMORY`], and on disk if there is more ([`crate::durable::spill`]).

use crate::durable::spill::frame::{Entry, Part, SegmentRange};
use crate::durable::spill::{Shelf, Spill};
use crate::error::{Advice, Error, Result};
use crate::task::Mark;
use crate::task::erased::{AnyPartial, Decode};
use crate::task::outbox::Delivery;
use std::collections::{BTreeMap, VecDeque};

/// How many bytes are held in memory: enough for two workers that filter blocks of 16 MiB, and for one more result.
pub(crate) const MEMORY: u64 = 40 << 20;

/// The memory of a task and of a piece besides their bytes, roughly.
const OVERHEAD: u64 = 192;
const PIECE_OVERHEAD: u64 = 48;

/// A piece up to this size is stored together with its task, a larger one by itself.
const SHORT: usize = 4 << 10;

/// How many waiting tasks keep their result unencoded. The size is known only after encoding.
const UNPACKED: usize = 32;

/// Tasks ahead of the frontier, with what they produced.
pub(crate) struct Reorder {
    /// How many bytes are held in memory.
    pub(crate) memory: u64,
    decode: Decode,
    tasks: BTreeMap<u64, Held>,
    in_memory: u64,
    ended: u64,
    /// Tasks that have ended and are not packed.
    unpacked: VecDeque<u64>,
}

/// The pieces and the end of one task.
#[derive(Default)]
pub(crate) struct Held {
    pieces: Vec<Piece>,
    fate: Option<Waiting>,
    /// Whether it had ended at the last checkpoint.
    waits_long: bool,
}

pub(crate) enum Fate {
    Done { partial: Box<dyn AnyPartial>, mark: Option<Mark>, bytes: u64 },
    Failed { mark: Option<Mark> },
}

enum Waiting {
    Fresh(Fate),
    Packed(Packed),
}

/// A [`Fate`], encoded.
struct Packed {
    failed: bool,
    partial: Vec<u8>,
    mark: Option<Mark>,
    bytes: u64,
}

enum Piece {
    InMemory(Vec<u8>),
    OnDisk(SegmentRange),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    Ended,
    /// Of the tasks that have ended, those that had ended at the last checkpoint.
    Lasting,
}

impl Reorder {
    pub(crate) fn new(decode: Decode) -> Self {
        let (memory, tasks, unpacked) = (MEMORY, BTreeMap::new(), VecDeque::new());
        Self { memory, decode, tasks, in_memory: 0, ended: 0, unpacked }
    }

    pub(crate) fn take(&mut self, delivery: Delivery, spill: &mut Spill) {
        match delivery {
            Delivery::Piece { task, bytes } => self.hold(task, bytes),
            Delivery::Done { task, partial, mark, bytes } => {
                self.end(task, Fate::Done { partial, mark, bytes });
            }
            Delivery::Failed { task, mark, prints } => {
                if !prints {
                    self.forget(task, spill);
                }
                self.end(task, Fate::Failed { mark });
            }
            Delivery::Interrupted { task } => self.forget(task, spill),
        }
    }

    /// The task with this number, if it has ended.
    pub(crate) fn ended(&mut self, task: u64) -> Result<Option<(Held, Fate)>> {
        if self.tasks.get(&task).is_none_or(|held| held.fate.is_none()) {
            return Ok(None);
        }
        let Some(mut held) = self.tasks.remove(&task) else { return Ok(None) };
        self.ended -= 1;
        self.in_memory -= OVERHEAD;
        match held.fate.take() {
            Some(Waiting::Fresh(fate)) => Ok(Some((held, fate))),
            Some(Waiting::Packed(packed)) => {
                self.in_memory -= packed.partial.len() as u64;
                packed.unpack(task, self.decode).map(|fate| Some((held, fate)))
            }
            None => Ok(None),
        }
    }

    /// Takes a task back from disk.
    pub(crate) fn revive(&mut self, task: u64, entry: Entry) -> Result<(Held, Fate)> {
        let Entry { failed, partial, mark, bytes, parts } = entry;
        let piece = |part| match part {
            Part::Here(bytes) => self.keep_in_memory(bytes),
            Part::There(range) => Piece::OnDisk(range),
        };
        let pieces = parts.into_iter().map(piece).collect();
        let fate = Packed { failed, partial, mark: mark.map(Mark), bytes }.unpack(task, self.decode)?;
        Ok((Held { pieces, fate: None, waits_long: false }, fate))
    }

    pub(crate) fn any_ended(&self) -> Option<u64> {
        self.tasks.iter().find(|(_, held)| held.fate.is_some()).map(|(task, _)| *task)
    }

    /// How many tasks have ended and wait here.
    pub(crate) fn waiting(&self) -> u64 {
        self.ended
    }

    /// Hands the pieces of a task to `each`, in order, and releases them.
    pub(crate) fn drain(
        &mut self,
        held: Held,
        spill: &mut Spill,
        mut each: impl FnMut(Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        let mut read = Vec::new();
        for piece in held.pieces {
            match piece {
                Piece::InMemory(bytes) => {
                    self.in_memory -= size(&bytes);
                    each(bytes)?;
                }
                Piece::OnDisk(range) => {
                    each(spill.read(range)?)?;
                    read.push(range);
                }
            }
        }
        // After the last piece, so that a run that ends meanwhile still has the task.
        read.into_iter().for_each(|range| spill.forget(range));
        Ok(())
    }

    /// As [`drain`](Reorder::drain), for the pieces that a task at work has produced so far.
    pub(crate) fn drain_at_work(
        &mut self,
        task: u64,
        spill: &mut Spill,
        each: impl FnMut(Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        let at_work = self.tasks.get_mut(&task).filter(|held| held.fate.is_none());
        let pieces = at_work.map(|held| std::mem::take(&mut held.pieces)).unwrap_or_default();
        self.drain(Held { pieces, ..Held::default() }, spill, each)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.in_memory > self.memory
    }

    /// Whether the memory is still half full after the committer has stored tasks.
    pub(crate) fn is_half_full(&self) -> bool {
        self.in_memory > self.memory / 2
    }

    /// Packs tasks after the committer has committed what it can: the others wait for another task.
    pub(crate) fn pack_those_that_wait(&mut self) -> Result<()> {
        self.unpacked.retain(|task| self.tasks.contains_key(task));
        while self.unpacked.len() > UNPACKED {
            let Some(task) = self.unpacked.pop_front() else { break };
            self.pack(task)?;
        }
        Ok(())
    }

    /// Stores tasks that have ended on disk, and returns their numbers.
    pub(crate) fn put_on_disk(&mut self, which: Which, shelf: &mut Shelf<'_>) -> Result<Vec<u64>> {
        let is_meant = |held: &Held| held.fate.is_some() && (which == Which::Ended || held.waits_long);
        let meant = self.tasks.iter().filter(|(_, held)| is_meant(held)).map(|(task, _)| *task);
        let meant: Vec<u64> = meant.collect();
        if !meant.is_empty() {
            for task in &meant {
                self.move_pieces(*task, SHORT, shelf)?;
            }
            let mut run = shelf.spill.begin(shelf.dir)?;
            for task in &meant {
                let entry = self.entry_of(*task)?;
                shelf.spill.put(&mut run, *task, &entry)?;
            }
            shelf.spill.end(run)?;
        }
        self.tasks.values_mut().for_each(|held| held.waits_long = held.fate.is_some());
        Ok(meant)
    }

    /// Stores on disk what tasks at work have produced so far.
    pub(crate) fn put_pieces_on_disk(&mut self, shelf: &mut Shelf<'_>) -> Result<()> {
        let at_work: Vec<u64> = self.tasks.keys().copied().collect();
        at_work.into_iter().try_for_each(|task| self.move_pieces(task, 0, shelf))
    }

    fn move_pieces(&mut self, task: u64, short: usize, shelf: &mut Shelf<'_>) -> Result<()> {
        let Some(held) = self.tasks.get_mut(&task) else { return Ok(()) };
        for piece in &mut held.pieces {
            if let Piece::InMemory(bytes) = piece
                && bytes.len() > short
            {
                self.in_memory -= size(bytes);
                *piece = Piece::OnDisk(shelf.spill.put_piece(shelf.dir, task, bytes)?);
            }
        }
        Ok(())
    }

    fn entry_of(&mut self, task: u64) -> Result<Entry> {
        self.pack(task)?;
        let held = self.tasks.remove(&task).unwrap_or_default();
        let Some(Waiting::Packed(packed)) = held.fate else {
            return Err(Error::broken("a task", "was to be stored before it had ended").of_task(task));
        };
        self.ended -= 1;
        self.in_memory -= OVERHEAD + packed.partial.len() as u64;
        let part = |piece| match piece {
            Piece::InMemory(bytes) => {
                self.in_memory -= size(&bytes);
                Part::Here(bytes)
            }
            Piece::OnDisk(range) => Part::There(range),
        };
        let parts = held.pieces.into_iter().map(part).collect();
        let Packed { failed, partial, mark, bytes } = packed;
        Ok(Entry { failed, partial, mark: mark.map(|mark| mark.0), bytes, parts })
    }

    fn hold(&mut self, task: u64, bytes: Vec<u8>) {
        let piece = self.keep_in_memory(bytes);
        self.tasks.entry(task).or_default().pieces.push(piece);
    }

    fn keep_in_memory(&mut self, mut bytes: Vec<u8>) -> Piece {
        // A worker reads a command into a buffer of fixed size, and most commands print less.
        if bytes.capacity() > 2 * bytes.len() {
            bytes.shrink_to_fit();
        }
        self.in_memory += size(&bytes);
        Piece::InMemory(bytes)
    }

    fn end(&mut self, task: u64, fate: Fate) {
        self.tasks.entry(task).or_default().fate = Some(Waiting::Fresh(fate));
        self.in_memory += OVERHEAD;
        self.ended += 1;
        self.unpacked.push_back(task);
    }

    fn pack(&mut self, task: u64) -> Result<()> {
        let Some(held) = self.tasks.get_mut(&task) else { return Ok(()) };
        match held.fate.take() {
            Some(Waiting::Fresh(fate)) => {
                let packed = Packed::of(task, &fate)?;
                self.in_memory += packed.partial.len() as u64;
                held.fate = Some(Waiting::Packed(packed));
            }
            other => held.fate = other,
        }
        Ok(())
    }

    fn forget(&mut self, task: u64, spill: &mut Spill) {
        let Some(held) = self.tasks.remove(&task) else { return };
        for piece in held.pieces {
            match piece {
                Piece::InMemory(bytes) => self.in_memory -= size(&bytes),
                Piece::OnDisk(range) => spill.forget(range),
            }
        }
    }
}

impl Packed {
    fn of(task: u64, fate: &Fate) -> Result<Self> {
        Ok(match fate {
            Fate::Failed { mark } => Self { failed: true, partial: Vec::new(), mark: *mark, bytes: 0 },
            Fate::Done { partial, mark, bytes } => {
                let partial = partial.encode().map_err(|e| {
                    Error::broken("a task", format_args!("cannot be written down: {e}")).of_task(task)
                })?;
                Self { failed: false, partial, mark: *mark, bytes: *bytes }
            }
        })
    }

    fn unpack(self, task: u64, decode: Decode) -> Result<Fate> {
        let Self { failed, partial, mark, bytes } = self;
        if failed {
            return Ok(Fate::Failed { mark });
        }
        let partial = decode(&partial).map_err(|_| {
            Error::refused("a task", "what was kept of it is not of this program")
                .of_task(task)
                .advise("it was written by another version")
                .then(Advice::StartAfresh)
        })?;
        Ok(Fate::Done { partial, mark, bytes })
    }
}

fn size(piece: &[u8]) -> u64 {
    piece.len() as u64 + PIECE_OVERHEAD
}

#[cfg(test)]
mod tests;
