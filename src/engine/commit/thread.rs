//! The thread around the committer: it receives, calls [`Committer::step`], and decides only when to sleep.

use super::{Closed, CommitCommand, CommitEvent, Committer, Step};
use crate::durable::history::Way;
use crate::error::{Error, Kind, Result};
use crate::task::Line;
use crate::task::outbox::{Delivery, OUTBOX};
use crossbeam_channel::{Receiver, never, select};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

pub(crate) struct Inbox {
    pub(crate) deliveries: Receiver<Delivery>,
    /// One message for each large piece among the deliveries, taken when the committer counts the piece.
    pub(crate) large_ones: Receiver<()>,
    pub(crate) lines: Receiver<Line>,
    pub(crate) nudges: Receiver<()>,
    pub(crate) commands: Receiver<CommitCommand>,
}

/// How long deliveries wait at most while they keep coming.
const REST: Duration = Duration::from_millis(20);

impl Inbox {
    pub(crate) fn run(self, mut committer: Committer) {
        let result = catch_unwind(AssertUnwindSafe(|| self.serve(&mut committer)))
            .unwrap_or_else(|_| Err(Error::broken("job", "panicked while its output was put in order")));
        // Receivers first: when the supervisor has the last event, every delivery is refused.
        drop(self);
        committer.end(result);
    }

    /// Serves until the committer is closed; `None` if the supervisor ended without closing it.
    fn serve(&self, committer: &mut Committer) -> Result<Option<Closed>> {
        match self.receive(committer) {
            // The run is over, and the reader takes nothing more: that is not an error.
            Err(error) if error.kind() == Kind::Interrupted => {
                self.hand_over(self.deliveries.try_iter().take(2 * OUTBOX).collect(), committer)?;
                committer.give_up().map(Some)
            }
            ended => ended,
        }
    }

    /// The obvious loop wakes for every delivery, and each time takes a core from a worker. So after the first delivery this
    /// thread rests until a moment is over or the channel fills up, and then takes all.
    fn receive(&self, committer: &mut Committer) -> Result<Option<Closed>> {
        let (no_deliveries, no_lines) = (never(), never());
        let mut is_resting = false;
        loop {
            let before = committer.reported;
            let awake = (&self.deliveries, &self.lines);
            let (deliveries, lines) = if is_resting { (&no_deliveries, &no_lines) } else { awake };
            let due_in = committer.due_in();
            select! {
                recv(deliveries) -> delivery => match delivery {
                    Ok(delivery) => self.hand_over(vec![delivery], committer)?,
                    Err(_) => return Ok(None),
                },
                // The line that a command has begun must not wait for its end, perhaps hours later.
                recv(lines) -> line => match line {
                    Ok(line) => drop(committer.step(Step::Line(line))?),
                    Err(_) => return Ok(None),
                },
                recv(self.nudges) -> nudge => if nudge.is_err() { return Ok(None) },
                recv(self.commands) -> command => match command {
                    Ok(command) => {
                        self.hand_over_waiting(committer)?;
                        if let Some(closed) = committer.step(Step::Command(command))? {
                            return Ok(Some(closed));
                        }
                    }
                    Err(_) => return Ok(None),
                },
                default(if is_resting { REST.min(due_in) } else { due_in }) => {}
            }
            let any = self.hand_over_waiting(committer)?;
            committer.step(Step::Commit)?;
            is_resting = any || committer.reported != before || !committer.is_reported;
        }
    }

    /// Hands over all that has arrived; whether there was anything.
    ///
    /// A worker delivers before it reports, so all deliveries precede [`CommitCommand::Close`].
    fn hand_over_waiting(&self, committer: &mut Committer) -> Result<bool> {
        let mut any = !self.lines.is_empty();
        self.hand_over(Vec::new(), committer)?;
        // Bounded, because workers may fill the channel as fast as this empties it, and the clock and commands need
        // a turn. In parts, because the committer alone counts the memory of deliveries.
        for _ in 0..8 {
            let waiting: Vec<_> = self.deliveries.try_iter().take(OUTBOX / 4).collect();
            if waiting.is_empty() {
                break;
            }
            any = true;
            self.hand_over(waiting, committer)?;
        }
        Ok(any)
    }

    /// Lines first. A worker sends the line about the end of a task before the task's last delivery, so the lines of these
    /// deliveries are here by now.
    fn hand_over(&self, deliveries: Vec<Delivery>, committer: &mut Committer) -> Result<()> {
        for line in self.lines.try_iter().take(self.lines.len()) {
            committer.step(Step::Line(line))?;
        }
        for delivery in deliveries {
            if delivery.is_large() {
                self.large_ones.try_recv().unwrap_or_default();
            }
            committer.step(Step::Delivery(delivery))?;
        }
        Ok(())
    }
}

impl Committer {
    /// Reports how it ended, after the channels of the workers are closed. `None`: the supervisor has ended.
    pub(crate) fn end(mut self, result: Result<Option<Closed>>) {
        let result = result.map_err(|error| self.store.or_lost(error));
        // The reader is gone, and the disk works: the log can say which attempts have ended.
        if result.as_ref().is_err_and(|error| error.kind() == Kind::OutputClosed) && self.sink.is_immediate()
        {
            self.completion.recorded(&mut self.store).ok(); // The error counts.
        }
        // Another run may be at work where the lock is lost.
        if result.as_ref().is_err_and(|error| error.kind() != Kind::Busy) {
            self.store.give_back();
        }
        let is_finished = matches!(result, Ok(Some(Closed { finished: Some(_) })));
        self.store.hide(match &result {
            Ok(_) if is_finished => Way::Finished,
            Ok(_) => Way::Stopped,
            Err(_) => Way::Failed,
        });
        if !is_finished && !self.store.is_kept() {
            self.sink.abandon();
        }
        match result {
            Ok(Some(closed)) => self.report(CommitEvent::Closed(closed)),
            Ok(None) => {}
            Err(error) => {
                if error.kind() == Kind::OutputClosed {
                    self.abandon_if_output_is_lost().ok(); // The error counts.
                }
                self.report(CommitEvent::Broke(error));
            }
        }
    }
}
