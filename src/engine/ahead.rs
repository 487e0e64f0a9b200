//! How much of the input may be in memory: what bounds a source that is faster than the tasks.
//!
//! The obvious bound is a number of tasks that may be listed ahead. For blocks of a file that is right: such
//! a task is a place in it, and a thousand of them weigh nothing. But a task of a stream *is* its bytes, and
//! a thousand of those are a gigabyte, or three, as the block size has it. So what tasks hold is counted
//! ([`Listing::holds`](crate::Listing::holds)), from when they are listed until they are done, at work or not.
//! A few for each slot may be there however large they are, since with fewer a slot would stand still; small
//! ones may be more, up to a number of bytes.

use crate::sync::lock;
use crate::task::stop_fd::StopFd;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Bytes that may be held, if that is more than what every slot is granted.
const HELD: u64 = 16 << 20;

/// Tasks of any size that each slot is granted: one at work, and one that is ready.
const EACH: usize = 2;

/// How often a source that waits for room looks whether the run is over.
const LOOK: Duration = Duration::from_millis(50);

/// What is held at present.
#[derive(Debug)]
pub(crate) struct Ahead {
    granted: usize,
    held: Mutex<Held>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct Held {
    tasks: usize,
    bytes: u64,
}

impl Ahead {
    pub(crate) fn new(slots: usize) -> Arc<Self> {
        Arc::new(Self { granted: EACH * slots, held: Mutex::default(), freed: Condvar::new() })
    }

    /// Room for a task that holds so many bytes, as soon as there is any. `None` if it holds none, or if
    /// the run is over.
    pub(crate) fn room_for(self: &Arc<Self>, bytes: u64, wake: &StopFd) -> Option<Room> {
        if bytes == 0 {
            return None;
        }
        let mut held = lock(&self.held);
        while held.tasks >= self.granted && held.bytes.saturating_add(bytes) > HELD {
            if wake.is_set() {
                return None;
            }
            held = self.freed.wait_timeout(held, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
        held.tasks += 1;
        held.bytes += bytes;
        Some(Room { ahead: Arc::clone(self), bytes })
    }
}

/// The room that a task takes; given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Room {
    ahead: Arc<Ahead>,
    bytes: u64,
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut held = lock(&self.ahead.held);
        held.tasks -= 1;
        held.bytes -= self.bytes;
        self.ahead.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_tasks_are_counted_by_slots_and_small_ones_by_bytes() {
        let wake = StopFd::new().unwrap();
        wake.set(); // So that what would wait comes back.
        let fit = |bytes: u64| {
            let ahead = Ahead::new(3);
            std::iter::from_fn(|| ahead.room_for(bytes, &wake)).take(100_000).collect::<Vec<_>>().len()
        };
        assert_eq!([fit(HELD), fit(1 << 40), fit(1 << 20), fit(1 << 10)], [6, 6, 16, 16 << 10]);
        assert_eq!(fit(0), 0, "what holds nothing takes no room");
    }

    #[test]
    fn room_that_is_given_back_is_had_by_who_waits_for_it() {
        let (ahead, wake) = (Ahead::new(1), StopFd::new().unwrap());
        let mut rooms: Vec<_> = (0..2).map(|_| ahead.room_for(HELD, &wake)).collect();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| ahead.room_for(HELD, &wake).is_some());
            rooms.pop();
            assert!(waiter.join().unwrap());
        });
        assert_eq!(lock(&ahead.held).tasks, 1, "what the waiter had is free again");
    }
}
