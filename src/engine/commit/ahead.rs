//! Tasks that completed ahead of the frontier: which of them stay in memory, and which are stored on disk.
//!
//! The obvious moment to store them is when the memory is full, and that is one of the two. The other is the
//! checkpoint: the first task may take all night, and a SIGKILL in the morning must not lose what the others
//! did meanwhile. But most tasks wait for a moment only, and writing each of their results twice costs
//! time. So a checkpoint stores those that were waiting at the last one already. If a repeated task does
//! harm, a checkpoint stores all of them.

use super::{Committer, Next};
use crate::engine::reorder::Which;
use crate::error::Result;

impl Committer {
    /// The task at the frontier, if it has ended; or any that has ended, if the order does not matter.
    pub(super) fn next_completed(&mut self) -> Result<Option<Next>> {
        self.store.pass_finished();
        let any = self.completion.is_in_any_order();
        if let Some((task, entry)) = self.store.take_ahead(any)? {
            let (held, fate) = self.reorder.revive(task, entry)?;
            return Ok(Some(Next { task, held, fate, was_stored: true }));
        }
        let task = if any { self.reorder.any_ended() } else { Some(self.store.record().frontier) };
        let Some(task) = task else { return Ok(None) };
        let ended = self.reorder.ended(task)?;
        Ok(ended.map(|(held, fate)| Next { task, held, fate, was_stored: false }))
    }

    /// Makes room in memory: hands over the output that is in order, and if that is not enough, stores ended tasks, and
    /// pieces of tasks at work.
    ///
    /// A sink that has given up takes nothing more, but deliveries still come, and the next run needs them. So nothing is
    /// handed over here to a sink that may give up.
    pub(super) fn make_room(&mut self) -> Result<()> {
        if !self.sink.may_give_up() {
            self.advance()?;
            self.hand_over_frontier()?;
            if !self.reorder.is_half_full() {
                return Ok(());
            }
        }
        self.put_on_disk(Which::Ended)?;
        if self.reorder.is_half_full() {
            self.reorder.put_pieces_on_disk(&mut self.store.shelf()?)?;
        }
        Ok(())
    }

    /// Stores tasks for the next run, if there can be one.
    pub(super) fn store_ahead(&mut self, which: Which) -> Result<()> {
        if self.store.is_kept() { self.put_on_disk(which) } else { Ok(()) }
    }

    fn put_on_disk(&mut self, which: Which) -> Result<()> {
        if self.reorder.waiting() == 0 {
            return Ok(());
        }
        for task in self.reorder.put_on_disk(which, &mut self.store.shelf()?)? {
            self.completion.stored(task);
        }
        Ok(())
    }
}
