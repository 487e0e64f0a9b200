//! How long a worker leaves a command alone between two looks at its pipes.
//!
//! The obvious loop polls: as soon as there is room for a page, or a page to take, the worker wakes and moves it. Many
//! programs read and write 4 KiB at a time (`jq`, `awk`): two changes of context for every page, on a core that the
//! command needs. But a pipe holds a mebibyte, and neither side waits while it is neither empty nor full. So after the
//! worker has moved bytes it rests until about half of the pipe should have gone through, and then moves all of it. That
//! time differs from 50 µs (`grep`) to a second, and the worker learns it on the way. No rest is longer than 10 ms.
//!
//! A command that moves little is not worth any of this. While the worker rests, only the end of the command wakes it.
//! After a rest for nothing the worker polls in the obvious way: an idle command costs nothing.

use super::pipes::PIECE;
use rustix::event::{PollFd, Timespec, poll};
use std::time::Duration;

/// A shorter rest is not worth a timer, because the kernel lets timers be late by as much.
const SHORTEST: Duration = Duration::from_micros(50);

/// A longer rest would delay output that a person watches, and a pause.
const LONGEST: Duration = Duration::from_millis(10);

/// In a burst a pipe goes through in about this time.
const IN_A_BURST: Duration = Duration::from_micros(500);

#[derive(Debug, Default)]
pub(super) struct Polling {
    rest: Duration,
    /// The bytes moved so far, as far as it matters.
    moved: usize,
    /// Whether the last look found nothing to move.
    idle: bool,
}

impl Polling {
    /// How long to rest; `None`: poll.
    pub(super) fn rest(&self) -> Option<Duration> {
        (!self.idle && self.rest >= SHORTEST).then_some(self.rest)
    }

    /// Notes how many bytes the worker moved, in the direction in which there were more.
    pub(super) fn learn(&mut self, moved: usize) {
        self.idle = moved == 0;
        self.moved = self.moved.saturating_add(moved);
        if self.moved < PIECE {
            return;
        }
        if moved < PIECE / 4 {
            self.rest = (self.rest * 2).clamp(SHORTEST, LONGEST);
        } else if moved > PIECE * 15 / 16 {
            // The command had to wait. `sort` reads nothing for a while, and then several pipes in a row.
            self.rest = self.rest.min(IN_A_BURST) / 2;
        } else if moved > PIECE * 3 / 4 {
            self.rest /= 2;
        }
    }
}

/// Whether a descriptor became ready within `time`, which is less than a second.
pub(super) fn wait_for(fds: &mut [PollFd<'_>], time: Duration) -> bool {
    let time = Timespec { tv_sec: 0, tv_nsec: i64::from(time.subsec_nanos()) };
    poll(fds, Some(&time)).is_ok_and(|ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_command_is_left_alone_ever_longer_and_a_fast_one_is_attended() {
        let mut polling = Polling::default();
        assert_eq!(polling.rest(), None, "there is no experience yet");
        polling.learn(PIECE);
        assert_eq!(polling.rest(), None, "a full pipe went through between two looks");
        for _ in 0..20 {
            polling.learn(4096);
        }
        assert_eq!(polling.rest(), Some(LONGEST));
        polling.learn(PIECE / 2);
        assert_eq!(polling.rest(), Some(LONGEST), "just right");
        polling.learn(PIECE * 7 / 8);
        assert_eq!(polling.rest(), Some(LONGEST / 2));
        polling.learn(PIECE);
        assert_eq!(polling.rest(), Some(IN_A_BURST / 2), "it has waited");
    }

    #[test]
    fn an_idle_command_is_polled_and_then_left_alone_as_long_as_before() {
        let mut polling = Polling::default();
        (0..20).for_each(|_| polling.learn(1));
        assert_eq!(polling.rest(), None, "so few bytes teach nothing");
        polling.learn(PIECE);
        (0..20).for_each(|_| polling.learn(1));
        polling.learn(0);
        assert_eq!(polling.rest(), None);
        polling.learn(1);
        assert_eq!(polling.rest(), Some(LONGEST));
    }
}
