//! Whether a SIGCONT is on its way from the handler to the channel: what a suspension has to know, since it
//! would be spent.

use crate::pool::lock;
use nix::sys::signal::Signal;
use nix::unistd::gettid;
use signal_hook::{SigId, flag};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use std::{fs, io, thread};

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Continued {
    /// Set by the handler, and taken back when the signals thread reads what the handler has noted.
    noted: Arc<AtomicBool>,
    /// Held by that thread until what it has read is in the channel.
    reading: Mutex<()>,
    /// The number of that thread.
    reader: AtomicI32,
}

/// How long it is waited for the signals thread to be idle.
const TO_BE_IDLE: Duration = Duration::from_millis(20);

impl Continued {
    /// Has the handler of SIGCONT note it. To be called before there is an iterator: what is in its table
    /// has then been noted.
    pub(super) fn note(&self) -> io::Result<SigId> {
        flag::register(Signal::SIGCONT as i32, Arc::clone(&self.noted))
    }

    /// The calling thread is the one that reads.
    pub(super) fn is_read_here(&self) {
        self.reader.store(gettid().as_raw(), Ordering::SeqCst);
    }

    /// What was noted up to now is read, and will be in the channel when the guard is dropped.
    pub(super) fn read(&self) -> MutexGuard<'_, ()> {
        let reading = lock(&self.reading);
        self.noted.store(false, Ordering::SeqCst);
        reading
    }

    /// Whether one has come that is not in the channel yet.
    pub(super) fn is_on_its_way(&self) -> bool {
        self.wait_until_nobody_reads();
        let _nothing_is_read = lock(&self.reading);
        self.noted.load(Ordering::SeqCst)
    }

    /// Waits until the signals thread sleeps. Between the moment in which the kernel gives it a signal and
    /// the first line of the handler nothing else tells that there is one; and it does not sleep then.
    fn wait_until_nobody_reads(&self) {
        let stat = format!("/proc/self/task/{}/stat", self.reader.load(Ordering::SeqCst));
        let until = Instant::now() + TO_BE_IDLE;
        let is_at_work = || {
            let stat = fs::read_to_string(&stat).unwrap_or_default();
            stat.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with('R'))
        };
        while is_at_work() && Instant::now() < until {
            thread::yield_now();
        }
    }
}
