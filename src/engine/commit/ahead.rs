//! Tasks that have ended before their turn: which of them wait in memory, and which on disk.
//!
//! The obvious moment to put them on disk is when the memory is full, and that is one of them. The other is
//! the checkpoint. A first task may take all night, and what the others did meanwhile must not be lost to a
//! SIGKILL in the morning. But most tasks wait for a moment only, and to write each of their results twice
//! would be felt. So a checkpoint keeps those that waited at the last one already; of commands that act
//! elsewhere, or must not run twice, it keeps all.

use super::Committer;
use crate::durable::record::SpilledFile;
use crate::durable::state_dir::Spilled;
use crate::engine::options::Printing;
use crate::engine::reorder::{Fate, Held, Which};
use crate::error::{Advice, Error, Result};
use crate::task::{Job, Line, Mark};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A task whose turn it is.
pub(super) struct Next<P> {
    pub(super) task: u64,
    pub(super) held: Held<P>,
    pub(super) fate: Fate<P>,
    /// It has waited on disk: the journal says already how it ended.
    pub(super) waited: bool,
}

impl<J: Job> Committer<J> {
    /// The task at the frontier, if it has ended; or any that has ended, if the order does not matter.
    pub(super) fn next_ended(&mut self) -> Result<Option<Next<J::Partial>>> {
        self.keep.pass_finished();
        let any = self.printing == Some(Printing::AsTasksEnd);
        if let Some((task, entry)) = self.keep.take_ahead(any)? {
            let (held, fate) = self.reorder.revive(task, entry)?;
            return Ok(Some(Next { task, held, fate, waited: true }));
        }
        let task = if any { self.reorder.any_ended() } else { Some(self.keep.record().frontier) };
        let Some(task) = task else { return Ok(None) };
        let ended = self.reorder.ended(task)?;
        Ok(ended.map(|(held, fate)| Next { task, held, fate, waited: false }))
    }

    /// Makes room in memory: by what waits, and if that is not enough, by what tasks at work have made.
    pub(super) fn make_room(&mut self) -> Result<()> {
        self.put_on_disk(Which::Ended)?;
        if self.reorder.is_half_full() {
            self.reorder.put_pieces_on_disk(&mut self.keep.shelf()?)?;
        }
        Ok(())
    }

    /// What a checkpoint keeps of what waits.
    pub(super) fn keep_what_lasts(&mut self) -> Result<()> {
        let all = self.printing.is_some() || self.once;
        self.keep_for_the_next_run(if all { Which::Ended } else { Which::Lasting })
    }

    /// After an orderly stop no finished task runs again.
    pub(super) fn keep_what_is_beyond(&mut self) -> Result<()> {
        self.keep_for_the_next_run(Which::Ended)
    }

    fn keep_for_the_next_run(&mut self, which: Which) -> Result<()> {
        if self.keep.is_kept() { self.put_on_disk(which) } else { Ok(()) }
    }

    fn put_on_disk(&mut self, which: Which) -> Result<()> {
        if self.reorder.waiting() == 0 {
            return Ok(());
        }
        for task in self.reorder.put_on_disk(which, &mut self.keep.shelf()?)? {
            self.journal_end(task)?;
        }
        Ok(())
    }

    /// What a version before 0.2 has kept is put where this one keeps it.
    pub(super) fn adopt(&mut self) -> Result<()> {
        while let Some((file, spilled)) = self.keep.take_spilled_file()? {
            let (pieces, fate) = unpack(&file, spilled).ok_or_else(|| {
                let how = "what was kept of it is not of this program";
                Error::refused(format_args!("task {}", file.task + 1), how)
                    .advise("it was written by another version")
                    .then(Advice::StartAfresh)
            })?;
            self.reorder.put_back(file.task, pieces, fate);
            self.put_on_disk(Which::Ended)?;
        }
        Ok(())
    }

    /// The line that says of a task which has waited that it waits no longer.
    pub(super) fn journal_delivery(&mut self, task: u64, done: bool, mark: Option<Mark>) -> Result<()> {
        let trace = mark.map_or([0; 8], Mark::trace);
        let of_task = mark.map_or([0; 8], Mark::of_task);
        self.keep.journal(&Line::Delivered { task, done, trace, of_task })
    }
}

/// What stands in front of the output in the file of a task.
#[derive(Deserialize)]
struct Header {
    failed: bool,
    partial: Value,
    bytes: u64,
    /// Lengths of the pieces.
    pieces: Vec<usize>,
}

/// The pieces as they were emitted, and how the task ended.
fn unpack<P: DeserializeOwned>(file: &SpilledFile, spilled: Spilled) -> Option<(Vec<Vec<u8>>, Fate<P>)> {
    let header: Header = serde_json::from_slice(&spilled.partial).ok()?;
    let mut rest = spilled.output.as_slice();
    let mut pieces = Vec::with_capacity(header.pieces.len());
    for bytes in header.pieces {
        let (piece, behind) = rest.split_at_checked(bytes)?;
        pieces.push(piece.to_vec());
        rest = behind;
    }
    let mark = file.mark;
    let fate = match header.failed {
        true => Fate::Failed { mark },
        false => {
            Fate::Done { partial: serde_json::from_value(header.partial).ok()?, mark, bytes: header.bytes }
        }
    };
    rest.is_empty().then_some((pieces, fate))
}
