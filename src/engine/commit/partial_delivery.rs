//! Handing over the task at the frontier, and what happens if the reader takes only a part of it.
//!
//! The obvious place to end a run is between two tasks. But a reader may be slow, and a stop has a deadline: the end
//! may come in the middle of a task, and a pipe does not give bytes back. If the next run handed them over again, the
//! reader would have them twice. A file can be truncated. For a pipe the record says how much of the next task has
//! been handed over ([`Committed::of_next`](crate::Committed::of_next)). A task is a function of its input, so the
//! next run does it again and leaves out as many bytes.
//!
//! A task may produce more than the memory holds. The obvious place for that is the spill; but then the bytes of the
//! task at the frontier are written twice. A sink that can take bytes back has them while the task is still at work.

use super::{Closed, Committer};
use crate::error::{Advice, Error, Result};
use crate::task::erased::AnyTotal;
use crate::task::{Committed, Sink};
use serde_json::Value;

#[derive(Debug, Default)]
pub(super) struct PartialDelivery {
    /// Bytes of this task that an earlier run has handed over.
    before: u64,
    /// Bytes that the task has produced so far.
    produced: u64,
    /// The total before the task was added to it.
    total_before: Option<Value>,
    /// The task is at work, and what it has produced so far is in the sink, which can take it back.
    is_provisional: bool,
}

impl PartialDelivery {
    /// Begins with the task at the frontier. An earlier run has handed over `before` bytes of it.
    pub(super) fn after(before: u64) -> Self {
        Self { before, ..Self::default() }
    }

    /// Hands over bytes of the task, without those that the reader has already.
    pub(super) fn hand_over(&mut self, sink: &mut dyn Sink, bytes: &[u8]) -> Result<()> {
        let known = usize::try_from(self.before).unwrap_or(usize::MAX).min(bytes.len());
        self.before -= known as u64;
        self.produced += bytes.len() as u64;
        sink.write(&bytes[known..])
    }

    /// Call it before the total changes. It costs nothing with a sink that never gives up.
    pub(super) fn keep_total(&mut self, sink: &dyn Sink, total: &dyn AnyTotal) -> Result<()> {
        self.total_before = if sink.may_give_up() { Some(value_of(total)?) } else { None };
        Ok(())
    }

    /// Call it before bytes of a task at work are handed over. `false`: this sink cannot take them back.
    fn begin_provisional(&mut self, sink: &mut dyn Sink) -> Result<bool> {
        self.is_provisional = self.is_provisional || sink.begin_provisional()?;
        Ok(self.is_provisional)
    }

    /// The task has failed or was interrupted: what the sink has of it does not count.
    pub(super) fn take_back(&mut self, sink: &mut dyn Sink) -> Result<()> {
        if std::mem::take(&mut self.is_provisional) {
            self.produced = 0;
            sink.end_provisional(false)?;
        }
        Ok(())
    }

    /// The whole task is handed over. Returns how many bytes it has produced.
    pub(super) fn end(&mut self, sink: &mut dyn Sink) -> Result<u64> {
        let Self { before, produced, is_provisional, .. } = std::mem::take(self);
        if is_provisional {
            sink.end_provisional(true)?;
        }
        if before == 0 {
            return Ok(produced);
        }
        let then = produced + before;
        let how = format_args!("{then} bytes of a task were handed over before, and now it made {produced}");
        let error = Error::broken("output", how).advise("what it prints must be a function of its input");
        Err(error.then(Advice::StartAfresh))
    }

    /// Between two tasks: how many bytes of the next one an earlier run has handed over.
    pub(super) fn delivered_before(&self) -> u64 {
        self.before
    }

    /// The total that belongs to the frontier.
    pub(super) fn total(&self, total: &dyn AnyTotal) -> Result<Value> {
        self.total_before.clone().map_or_else(|| value_of(total), Ok)
    }
}

impl Committer {
    /// Hands over what the task at the frontier has produced so far, if the sink can take it back.
    pub(super) fn hand_over_frontier(&mut self) -> Result<()> {
        let is_in_order = self.completion.output_is_result() && !self.completion.is_in_any_order();
        if !is_in_order || !self.partial.begin_provisional(&mut *self.sink)? {
            return Ok(());
        }
        let Self { sink, total, reorder, store, partial, .. } = self;
        let task = store.record().frontier;
        let spill = store.spill();
        reorder.drain_at_work(task, spill, |piece| partial.hand_over(&mut **sink, &total.render(piece)))
    }

    /// The sink has given up, and the run is over. The last record says exactly what the reader has taken.
    ///
    /// If the output is a by-product of side effects, the task prints again from its beginning.
    pub(super) fn give_up(&mut self) -> Result<Closed> {
        let taken = self.sink.make_durable()?.bytes;
        if self.completion.output_is_result() {
            self.partial.before = taken.saturating_sub(self.reported.output_bytes);
        }
        self.reported.output_bytes = taken;
        self.report_frontier();
        self.stop()
    }

    /// Whether the output went to a reader that keeps nothing. Then the state is of no use, and is removed.
    pub(super) fn abandon_if_output_is_lost(&mut self) -> Result<bool> {
        let output = Committed { bytes: self.reported.output_bytes, ..Committed::default() };
        let is_lost = self.completion.output_is_result() && !self.sink.can_continue(&output);
        if is_lost {
            self.store.abandon()?;
        }
        Ok(is_lost)
    }
}

fn value_of(total: &dyn AnyTotal) -> Result<Value> {
    total.value().map_err(|e| Error::broken("job", format_args!("its total cannot be written down: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::Discard;

    #[test]
    fn bytes_that_the_reader_has_are_left_out_once() {
        let (reader, writer) = std::io::pipe().unwrap();
        let mut sink = crate::sink::StreamSink::new(writer.into(), "a pipe").unwrap();
        let mut delivery = PartialDelivery::after(5);
        for piece in ["one", "two", "three"] {
            delivery.hand_over(&mut sink, piece.as_bytes()).unwrap();
        }
        assert_eq!(delivery.end(&mut sink).unwrap(), 11);
        delivery.hand_over(&mut sink, b"next").unwrap();
        drop(sink);
        assert_eq!(std::io::read_to_string(reader).unwrap(), "othreenext");
    }

    #[test]
    fn a_task_that_produces_less_than_was_handed_over_is_an_error() {
        let mut delivery = PartialDelivery::after(5);
        delivery.hand_over(&mut Discard, b"four").unwrap();
        assert!(
            delivery
                .end(&mut Discard)
                .unwrap_err()
                .to_string()
                .contains("5 bytes of a task were handed over")
        );
    }
}
