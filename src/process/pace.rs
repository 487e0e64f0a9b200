//! How long a command is left alone between two looks at its pipes.
//!
//! The obvious loop polls: as soon as there is room for a page, or a page to be taken, the worker wakes
//! and moves it. Many programs read and write 4 KiB at a time (`jq`, `awk`), so that makes two changes
//! of context for every page, on a core that the command has to leave for them. But a pipe holds a
//! mebibyte, and nobody waits as long as it is neither empty nor full. So after it has moved
//! something the worker rests, until about half of the pipe should have gone through, and then moves all
//! of it at once. How long that is, differs from 50 µs (`grep`) to a second, and is learnt on the way.
//!
//! A command that moves little is not worth any of this; for most there is nothing to be learnt before
//! they are done. While it rests, only the end of the command wakes the worker. When a rest was for nothing, it polls
//! as one would: a command that is idle costs nothing.

use super::feed::PIECE;
use rustix::event::{PollFd, Timespec, poll};
use std::time::Duration;

/// Less is not worth a timer, which the kernel lets be late by as much.
const SHORTEST: Duration = Duration::from_micros(50);

/// Somebody may be looking at what comes out, and a pause shall be noticed.
const LONGEST: Duration = Duration::from_millis(10);

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Pace {
    rest: Duration,
    /// All that was moved, as far as it matters.
    moved: usize,
    /// The last look was for nothing.
    idle: bool,
}

impl Pace {
    /// How long to rest; `None`: wait for whatever comes.
    pub(super) fn rest(&self) -> Option<Duration> {
        (!self.idle && self.rest >= SHORTEST).then_some(self.rest)
    }

    /// So many bytes were moved, in the direction in which it were more.
    pub(super) fn learn(&mut self, moved: usize) {
        self.idle = moved == 0;
        self.moved = self.moved.saturating_add(moved);
        if self.moved < PIECE {
            return;
        }
        if moved < PIECE / 4 {
            self.rest = (self.rest * 2).clamp(SHORTEST, LONGEST);
        } else if moved > PIECE * 3 / 4 {
            self.rest /= 2;
        }
    }
}

/// Whether there was something within `time`, which is less than a second.
pub(super) fn wait_for(fds: &mut [PollFd<'_>], time: Duration) -> bool {
    let time = Timespec { tv_sec: 0, tv_nsec: i64::from(time.subsec_nanos()) };
    poll(fds, Some(&time)).is_ok_and(|ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_command_is_left_alone_ever_longer_and_a_fast_one_is_attended() {
        let mut pace = Pace::default();
        assert_eq!(pace.rest(), None, "nothing is known yet");
        pace.learn(PIECE);
        assert_eq!(pace.rest(), None, "a full pipe went through while we looked");
        for _ in 0..20 {
            pace.learn(4096);
        }
        assert_eq!(pace.rest(), Some(LONGEST));
        pace.learn(PIECE / 2);
        assert_eq!(pace.rest(), Some(LONGEST), "just right");
        pace.learn(PIECE);
        assert_eq!(pace.rest(), Some(LONGEST / 2));
    }

    #[test]
    fn who_moves_nothing_is_waited_for_and_then_left_alone_as_long_as_before() {
        let mut pace = Pace::default();
        (0..20).for_each(|_| pace.learn(1));
        assert_eq!(pace.rest(), None, "this is about nothing");
        pace.learn(PIECE);
        (0..20).for_each(|_| pace.learn(1));
        pace.learn(0);
        assert_eq!(pace.rest(), None);
        pace.learn(1);
        assert_eq!(pace.rest(), Some(LONGEST));
    }
}
