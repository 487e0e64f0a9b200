//! The [`Sink`]: where output goes, and what "it is there" means.

use crate::error::Result;
use crate::task::Committed;
use crate::task::stop_fd::StopFd;
use std::sync::Arc;

/// Takes the output of the job, in task order, and makes it last. Lives on the commit thread.
///
/// The protocol, in the order of calls: `begin` once; then any number of `write`s, and from time
/// to time `make_durable`; at the very end `make_durable`, `publish`. After the first error no
/// further call is made.
pub trait Sink: Send + 'static {
    /// Called first, for sinks whose reader can keep them waiting: once the run is over, this wakes them.
    /// They wait a little longer at most, and return an error of
    /// [`Kind::Interrupted`](crate::error::Kind::Interrupted). That is no failure:
    /// [`make_durable`](Sink::make_durable) follows, and says how much was taken.
    fn interrupt_by(&mut self, _stop: &Arc<StopFd>) {}

    /// Whether a [`write`](Sink::write) may end like that.
    fn may_give_up(&self) -> bool {
        false
    }

    /// Asked before a new job is recorded anywhere: whether something stands in the way that is not ours to remove.
    ///
    /// # Errors
    ///
    /// [`Kind::Refused`](crate::error::Kind::Refused).
    fn may_begin(&self) -> Result<()> {
        Ok(())
    }

    /// Asked before anything is written for a job that is continued: whether [`begin`](Sink::begin) would
    /// accept `committed`. It finds every reason for a refusal, and changes nothing.
    ///
    /// # Errors
    ///
    /// Those of [`begin`](Sink::begin).
    fn may_go_on(&mut self, _committed: &Committed) -> Result<()> {
        Ok(())
    }

    /// Opens the destination. With `committed`, continues after what an earlier run committed: the sink
    /// checks that it is still there and removes everything after it.
    ///
    /// # Errors
    ///
    /// [`Kind::Usage`](crate::error::Kind::Usage) for a destination that cannot be one,
    /// [`Kind::Refused`](crate::error::Kind::Refused) when the committed output is damaged.
    fn begin(&mut self, committed: Option<&Committed>) -> Result<()>;

    /// Takes the next bytes of the output.
    ///
    /// # Errors
    ///
    /// The first error ends the run.
    fn write(&mut self, bytes: &[u8]) -> Result<()>;

    /// When this returns, everything written so far survives a power cut (as far as the
    /// destination can promise that). What it returns goes into the record.
    ///
    /// # Errors
    ///
    /// A failed flush is never tried again: the second may report success although bytes are lost.
    fn make_durable(&mut self) -> Result<Committed>;

    /// Whether this run can continue after what an earlier run committed. Otherwise the job starts again.
    fn can_continue(&self, _committed: &Committed) -> bool {
        true
    }

    /// Whether a write stays even if this process is killed before the next
    /// [`make_durable`](Sink::make_durable). Asked for tasks whose output is a by-product
    /// ([`Effects`](crate::Effects)): the journal then says at once that a task is complete, otherwise with
    /// the next checkpoint.
    fn is_immediate(&self) -> bool {
        false
    }

    /// Gives the complete output its final name. Called once, after the record says "finalizing".
    ///
    /// # Errors
    ///
    /// The output stays where it is, and the next run tries again.
    fn publish(&mut self) -> Result<()>;

    /// The run has no result and no record knows of its output: removes what would stop the next run.
    fn abandon(&mut self) {}

    /// Whether the published output of this description is there, unharmed. Asked instead of `begin` when the
    /// record says that the job is finished.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    fn is_published(&mut self, committed: &Committed) -> Result<bool>;
}
