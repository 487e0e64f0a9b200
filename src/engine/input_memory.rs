//! How much of the input may be in memory if the source is faster than the tasks.
//!
//! The obvious bound is a number of tasks listed ahead. For blocks of a file that is right: such a task is a range of the
//! file, and a thousand of them take little. But a task of a stream *is* its bytes, and a thousand of them take gigabytes.
//! So the bytes that tasks hold are counted ([`Listing::holds`](crate::Listing::holds)), from their listing to their end.
//! Each slot may have a few tasks of any size, or it would stand still. Beyond that a number of bytes is the bound.

use crate::sync::lock;
use crate::task::stop_fd::StopFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Bytes that may be held beyond the tasks that each slot is granted.
const HELD: u64 = 16 << 20;

/// Tasks of any size for each slot: one at work, and one ready.
const EACH: usize = 2;

/// How often a source that waits for room checks whether the run is over.
const LOOK: Duration = Duration::from_millis(50);

/// The tasks that hold input at present.
#[derive(Debug)]
pub(crate) struct InputMemory {
    granted: AtomicUsize,
    held: Mutex<Held>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct Held {
    tasks: usize,
    bytes: u64,
}

impl InputMemory {
    pub(crate) fn new(slots: usize) -> Arc<Self> {
        Arc::new(Self { granted: (EACH * slots).into(), held: Mutex::default(), freed: Condvar::new() })
    }

    /// Sets how many slots there are. A source that waits for room notices it within [`LOOK`].
    pub(crate) fn grant(&self, slots: usize) {
        self.granted.store(EACH * slots, Ordering::Relaxed);
    }

    /// Waits for room for a task that holds `bytes`. `None` if it holds none, or if the run is over.
    pub(crate) fn room_for(self: &Arc<Self>, bytes: u64, stop: &StopFd) -> Option<Room> {
        if bytes == 0 {
            return None;
        }
        let mut held = lock(&self.held);
        while held.tasks >= self.granted.load(Ordering::Relaxed) && held.bytes.saturating_add(bytes) > HELD {
            if stop.is_set() {
                return None;
            }
            held = self.freed.wait_timeout(held, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
        held.tasks += 1;
        held.bytes += bytes;
        Some(Room { memory: Arc::clone(self), bytes })
    }
}

/// The room of one task, given back on drop.
#[derive(Debug)]
pub(crate) struct Room {
    memory: Arc<InputMemory>,
    bytes: u64,
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut held = lock(&self.memory.held);
        held.tasks -= 1;
        held.bytes -= self.bytes;
        self.memory.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_tasks_are_counted_by_slots_and_small_ones_by_bytes() {
        let stop = StopFd::new().unwrap();
        stop.set(); // A call that would wait returns.
        let fit = |bytes: u64| {
            let memory = InputMemory::new(3);
            std::iter::from_fn(|| memory.room_for(bytes, &stop)).take(100_000).collect::<Vec<_>>().len()
        };
        assert_eq!([fit(HELD), fit(1 << 40), fit(1 << 20), fit(1 << 10)], [6, 6, 16, 16 << 10]);
        assert_eq!(fit(0), 0, "what holds nothing takes no room");
    }

    #[test]
    fn a_waiting_source_gets_room_that_is_given_back() {
        let (memory, stop) = (InputMemory::new(1), StopFd::new().unwrap());
        let mut rooms: Vec<_> = (0..2).map(|_| memory.room_for(HELD, &stop)).collect();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| memory.room_for(HELD, &stop).is_some());
            rooms.pop();
            assert!(waiter.join().unwrap());
        });
        assert_eq!(lock(&memory.held).tasks, 1, "what the waiter had is free again");
    }
}
