//! The task whose turn it is, while its output is handed over; and what becomes of it when whoever reads
//! the output takes nothing more.
//!
//! The obvious end of a run that stops is at the edge of a task. But a reader has its own pace, and a
//! stop its limit: it may come in the middle of a task, and what a pipe has taken cannot be had back. The
//! next run would hand it over again, and the reader have it twice. A file has its length for that; here
//! the record says how much of the next task was handed over already
//! ([`Committed::of_next`](crate::Committed::of_next)). Tasks are functions of their input, so the next
//! run does that one again, and leaves out as much of what it makes.

use super::{Committer, Inbox, OUTBOX, value_of};
use crate::error::{Advice, Error, Result};
use crate::task::{Job, Sink};
use serde::Serialize;
use serde_json::Value;

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Turn {
    /// Bytes of the task whose turn it is that have been handed over by an earlier run.
    ahead: u64,
    /// Bytes that it has made so far.
    made: u64,
    /// The total before the task was added to it.
    total_before: Option<Value>,
}

impl Turn {
    pub(crate) fn begins(of_next: u64) -> Self {
        Self { ahead: of_next, ..Self::default() }
    }

    /// Hands over what the task has made, as far as nobody has it yet.
    pub(super) fn hand_over(&mut self, sink: &mut dyn Sink, bytes: &[u8]) -> Result<()> {
        let known = usize::try_from(self.ahead).unwrap_or(usize::MAX).min(bytes.len());
        self.ahead -= known as u64;
        self.made += bytes.len() as u64;
        sink.write(&bytes[known..])
    }

    /// To be called before the total changes. A sink that never gives up pays nothing for it.
    pub(super) fn keep_total<T: Serialize>(&mut self, sink: &dyn Sink, total: &T) -> Result<()> {
        self.total_before = if sink.may_give_up() { Some(value_of(total)?) } else { None };
        Ok(())
    }

    /// All of it is handed over; how much that was.
    pub(super) fn end(&mut self) -> Result<u64> {
        let Self { ahead, made, .. } = std::mem::take(self);
        match ahead {
            0 => Ok(made),
            // Whoever reads has bytes that the task does not make any more.
            missing => Err(Error::broken(
                "output",
                format_args!(
                    "of a task {} bytes were handed over when the last run ended, and now it made {made}",
                    made + missing
                ),
            )
            .advise("what it prints must be a function of its input")
            .then(Advice::StartAfresh)),
        }
    }

    /// What of the task has been handed over, between two tasks: nothing, or as much as by the last run.
    pub(super) fn ahead(&self) -> u64 {
        self.ahead
    }

    /// The total that belongs to the frontier.
    pub(super) fn total<T: Serialize>(&self, total: &T) -> Result<Value> {
        self.total_before.clone().map_or_else(|| value_of(total), Ok)
    }
}

impl<J: Job> Committer<J> {
    /// The sink has given up: whoever reads takes nothing more, and the run is over. There is a last record
    /// all the same, which says exactly what has been taken.
    ///
    /// A task that acts elsewhere has acted, and what it prints is for a person: it is not settled, and
    /// prints again from its beginning.
    pub(super) fn give_up(&mut self, inbox: &Inbox<J::Partial>) -> Result<()> {
        let there = inbox.deliveries.try_iter().take(2 * OUTBOX).collect();
        self.take_all(there, inbox)?;
        let taken = self.sink.make_durable()?.bytes;
        if self.printing.is_none() {
            self.turn.ahead = taken.saturating_sub(self.told.output_bytes);
        }
        self.told.output_bytes = taken;
        self.tell_frontier();
        self.last_record()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::Discard;

    #[test]
    fn what_was_handed_over_before_is_left_out_once() {
        let (reader, writer) = std::io::pipe().unwrap();
        let mut sink = crate::sink::StreamSink::new(writer.into(), "a pipe").unwrap();
        let mut turn = Turn::begins(5);
        for piece in ["one", "two", "three"] {
            turn.hand_over(&mut sink, piece.as_bytes()).unwrap();
        }
        assert_eq!(turn.end().unwrap(), 11);
        turn.hand_over(&mut sink, b"next").unwrap();
        drop(sink);
        assert_eq!(std::io::read_to_string(reader).unwrap(), "othreenext");
    }

    #[test]
    fn a_task_that_makes_less_than_was_handed_over_is_found_out() {
        let mut turn = Turn::begins(5);
        turn.hand_over(&mut Discard, b"four").unwrap();
        assert!(turn.end().unwrap_err().to_string().contains("5 bytes were handed over"));
    }
}
