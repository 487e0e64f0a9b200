//! Whether a signal is on its way from the kernel to the supervisor.
//!
//! Two decisions are final, and ask here first. A suspension loses a SIGCONT that is not in the channel yet. And the
//! end of a stream ends the job, but the producer may have died of the very signal that is on its way to us: then
//! the data has not ended.
//!
//! A signal takes four steps: it is pending in the kernel; the handler runs; the signal thread reads the handler's
//! note; the signal is in the channel. A thread that has the signal blocked sees the first step in `/proc`, the
//! second by the state of the signal thread, and the others in memory.

use crate::sync::lock;
use nix::sys::signal::Signal;
use nix::unistd::gettid;
use signal_hook::{SigId, flag};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::{fs, io};

#[derive(Debug, Default)]
pub(super) struct OnItsWay {
    /// Set by the handlers, and cleared when the signal thread reads their notes.
    noted: Arc<AtomicBool>,
    /// The same for SIGCONT alone.
    continued: Arc<AtomicBool>,
    /// A request for an end of the run is in the channel, or has been.
    end: AtomicBool,
    /// The signal thread holds it until the signals that it has read are in the channel.
    reading: Mutex<()>,
    reader: AtomicI32,
}

/// Whether a SIGCONT has come that the supervisor has not seen yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resume {
    None,
    Came,
    /// The signal thread is not asleep, and may be about to note one.
    Unknown,
}

impl OnItsWay {
    /// Makes the handlers note these signals. Call it before the iterator exists: then each signal that the iterator
    /// returns has been noted.
    pub(super) fn note(&self, signals: &[Signal]) -> io::Result<Vec<SigId>> {
        let any = signals.iter().map(|signal| (*signal, &self.noted));
        let resume = signals.contains(&Signal::SIGCONT).then_some((Signal::SIGCONT, &self.continued));
        any.chain(resume).map(|(signal, noted)| flag::register(signal as i32, Arc::clone(noted))).collect()
    }

    /// The calling thread is the signal thread.
    pub(super) fn is_read_here(&self) {
        self.reader.store(gettid().as_raw(), Ordering::SeqCst);
    }

    /// The signal thread reads the notes. Before it drops the guard it must have sent everything that it read.
    pub(super) fn read(&self) -> MutexGuard<'_, ()> {
        let reading = lock(&self.reading);
        self.noted.store(false, Ordering::SeqCst);
        self.continued.store(false, Ordering::SeqCst);
        reading
    }

    pub(super) fn sends_an_end(&self) {
        self.end.store(true, Ordering::SeqCst);
    }

    /// Whether a SIGCONT has come that is not in the channel yet.
    pub(super) fn resume(&self) -> Resume {
        if self.look().is_at_work {
            return Resume::Unknown;
        }
        let _nothing_is_read = lock(&self.reading);
        if self.continued.load(Ordering::SeqCst) { Resume::Came } else { Resume::None }
    }

    /// Whether an end of the run was asked for, or may be: a signal is on its way, and its meaning is not known yet.
    /// Then ask again in a moment. `false` means that no signal of `signals` that ends the run was sent before this call.
    pub(super) fn may_have_an_end(&self, signals: &[Signal]) -> bool {
        let reader = self.look();
        if reader.is_at_work || signals.iter().any(|signal| reader.has_pending(*signal)) {
            return true;
        }
        let _nothing_is_read = lock(&self.reading);
        self.noted.load(Ordering::SeqCst) || self.end.load(Ordering::SeqCst)
    }

    /// Asks the kernel for the state of the signal thread. Between the delivery of a signal and the first line of
    /// the handler, this state alone shows that there is a signal: the thread does not sleep then. Without `/proc`
    /// only the steps in memory can be seen.
    fn look(&self) -> Reader {
        let path = format!("/proc/self/task/{}/status", self.reader.load(Ordering::SeqCst));
        Reader::of(&fs::read_to_string(path).unwrap_or_default())
    }
}

/// The signal thread in `/proc`: its state is read first, then the pending signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reader {
    is_at_work: bool,
    /// Signals that are pending for the whole process, number 1 in the lowest bit.
    pending: u64,
}

impl Reader {
    fn of(status: &str) -> Self {
        let field = |name| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        Self {
            is_at_work: field("State:").is_some_and(|state| !state.starts_with('S')),
            pending: field("ShdPnd:").map_or(0, |mask| u64::from_str_radix(mask, 16).unwrap_or(0)),
        }
    }

    fn has_pending(self, signal: Signal) -> bool {
        self.pending & (1 << (signal as i32 - 1)) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_of_a_thread_is_understood() {
        let idle = Reader::of("Name:\tsignals\nState:\tS (sleeping)\nShdPnd:\t0000000000000000\n");
        assert_eq!(idle, Reader { is_at_work: false, pending: 0 });
        let told = Reader::of("State:\tR (running)\nSigPnd:\t0000000000000001\nShdPnd:\t0000000000004002\n");
        assert!(told.is_at_work && told.has_pending(Signal::SIGINT) && told.has_pending(Signal::SIGTERM));
        assert!(!told.has_pending(Signal::SIGHUP), "that one is another thread's");
        assert_eq!(Reader::of(""), Reader { is_at_work: false, pending: 0 }, "there is no /proc");
    }
}
