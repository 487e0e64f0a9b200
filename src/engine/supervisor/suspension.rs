//! Suspension: the process stops as after Ctrl-Z, and a SIGCONT that came early is not lost.
//!
//! The obvious way is to raise SIGTSTP with its default action. Then `kill -TSTP` and `kill -CONT` in one line of a script
//! stop the job for ever: the SIGCONT comes before the stop that it must end, and no second one follows. The kernel
//! discards a pending SIGTSTP when a SIGCONT comes. So ours is made pending first, and let through only if no SIGCONT came
//! before that. The supervisor looks for it three times:
//!
//! 1. While children are being stopped, and for [`SECOND_THOUGHT`]. A SIGCONT in that time is an ordinary event.
//! 2. Before the raise. The SIGCONT may not be in the channel yet.
//! 3. While the SIGTSTP is pending and blocked ([`suspend`]).
//!
//! While the signal thread is at work the answer is not known. The supervisor does not wait for it; it puts the
//! suspension off until the next look, [`LOOK`] later. **The race that is left** is in [`suspend`], within one
//! system call, and [`LONGEST_DELAY`] says where it is wider.

use super::Supervisor;
use crate::engine::decide::{Event, Motion};
use crate::error::Error;
use crate::signals::policy::Request;
use crate::signals::{Resume, suspend};
use crate::task::observer::Notice;
use std::time::{Duration, Instant};

/// How often a suspension checks whether children have stopped.
pub(super) const LOOK: Duration = Duration::from_micros(500);

/// How long a suspension waits for a SIGCONT that comes right after it. In the instant of the stop the order of the two
/// signals is unknown ([`suspend`]).
const SECOND_THOUGHT: Duration = Duration::from_millis(2);

/// A suspension is put off no longer than this while other signals pour in. After this time a SIGCONT can be lost if
/// it comes in the microseconds in which the signal thread reads another signal.
const LONGEST_DELAY: Duration = Duration::from_millis(20);

impl Supervisor<'_> {
    /// Whether everything stands still, for which a pause and a suspension wait. The kernel sends no event when a child has
    /// stopped, so the loop asks again and again.
    pub(super) fn nothing_moves(&self) -> bool {
        match self.state.motion {
            Motion::Pausing => self.workers.pool.shared.moving() == 0,
            Motion::Suspending => {
                self.clocks.suspension_asked.elapsed() >= SECOND_THOUGHT
                    && self.workers.pool.children().stand_still()
            }
            Motion::Running | Motion::Paused | Motion::Suspended => false,
        }
    }

    /// Looks 2 and 3 of the [module](self), then the stop itself.
    pub(super) fn suspend_process(&mut self) {
        let mut resume = self.look_for_a_resume();
        if resume == Resume::None {
            self.view.observer.leave_terminal();
            let stopped = suspend(|| {
                resume = self.look_for_a_resume();
                resume != Resume::None
            });
            if let Err(cause) = stopped {
                let error = Error::broken("suspension", format_args!("the kernel refuses: {cause}"));
                self.view.observer.notice(&Notice::Warning(error));
            }
            self.clocks.work.skip_to(Instant::now());
        }
        self.handle(if resume == Resume::Unknown {
            Event::SuspensionPostponed
        } else {
            Event::SuspendReturned
        });
    }

    fn look_for_a_resume(&mut self) -> Resume {
        let on_its_way = self.reception.subscription.resume_on_its_way();
        self.reception.early.extend(self.channels.signals.try_iter());
        match on_its_way {
            _ if self.reception.early.iter().any(|received| received.request == Request::Resume) => {
                Resume::Came
            }
            Resume::Unknown if self.clocks.suspension_asked.elapsed() >= LONGEST_DELAY => Resume::None,
            Resume::None | Resume::Came | Resume::Unknown => on_its_way,
        }
    }
}
