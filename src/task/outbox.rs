//! The way from the workers to the commit thread. A task that must give up does not wait for it.

use crate::task::erased::AnyPartial;
use crate::task::{LOOK_UP, Line, Mark, Shared};
use crossbeam_channel::{SendTimeoutError, Sender};

/// Messages of the workers to the commit thread. Those of one task come from one worker, in order.
pub(crate) enum Delivery {
    /// A piece of the output of a task that is still running.
    Piece { task: u64, bytes: Vec<u8> },
    /// The task is done; its pieces are complete. It covers so many `bytes` of input.
    Done { task: u64, partial: Box<dyn AnyPartial>, mark: Option<Mark>, bytes: u64 },
    /// The task failed for good. `prints`: the pieces that it emitted stay; otherwise they are forgotten.
    Failed { task: u64, mark: Option<Mark>, prints: bool },
    /// The task was interrupted: its pieces must be forgotten, it runs again.
    Interrupted { task: u64 },
}

pub(crate) struct Outbox {
    pub(crate) deliveries: Sender<Delivery>,
    /// For the journal. Three short lines for every command would fill the channel of deliveries.
    pub(crate) lines: Sender<Line>,
    /// Has a message for each large piece that is on its way. Its capacity bounds their number.
    pub(crate) large: Sender<()>,
    /// Tells the commit thread that its box fills up. It rarely looks by itself, as each wake-up costs a worker its core.
    pub(crate) nudge: Sender<()>,
}

/// How many deliveries fit into the box; and how many large pieces, which are memory.
pub(crate) const OUTBOX: usize = 64;
pub(crate) const LARGE_ONES: usize = 16;

/// A piece of this size is a large one.
const LARGE: usize = 128 << 10;

impl Delivery {
    /// Whether the task has ended, and counts.
    pub(crate) fn is_last(&self) -> bool {
        matches!(self, Delivery::Done { .. } | Delivery::Failed { .. })
    }

    /// The task whose pieces do not count, if this says so.
    pub(crate) fn takes_back(&self) -> Option<u64> {
        match *self {
            Delivery::Interrupted { task } | Delivery::Failed { task, prints: false, .. } => Some(task),
            Delivery::Piece { .. } | Delivery::Done { .. } | Delivery::Failed { .. } => None,
        }
    }

    pub(crate) fn is_large(&self) -> bool {
        matches!(self, Delivery::Piece { bytes, .. } if bytes.len() >= LARGE)
    }
}

impl Outbox {
    /// Hands something to the commit thread, and waits for room. `false`: the commit path is broken, or the
    /// task must give up: a pager that stops reading must not hold a stop until the kill.
    pub(crate) fn deliver(&self, shared: &Shared, delivery: Delivery) -> bool {
        (!delivery.is_large() || self.send(shared, &self.large, ()))
            && self.send(shared, &self.deliveries, delivery)
    }

    fn send<T>(&self, shared: &Shared, to: &Sender<T>, mut delivery: T) -> bool {
        loop {
            if self.deliveries.len() >= OUTBOX / 2 || self.large.len() >= LARGE_ONES / 2 {
                self.nudge.try_send(()).ok(); // One nudge is enough.
            }
            match to.send_timeout(delivery, LOOK_UP) {
                Ok(()) => return true,
                Err(SendTimeoutError::Disconnected(_)) => return false,
                Err(SendTimeoutError::Timeout(_)) if shared.gate.is_cancelled() => return false,
                Err(SendTimeoutError::Timeout(back)) => delivery = back,
            }
        }
    }
}
