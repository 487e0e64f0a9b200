//! What the three programs have in common: a worker that waits, and the words that `scripts/beside` reads.

use nix::errno::Errno;
use nix::poll::{PollTimeout, poll};
use std::io::{Write, stdout};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

static INTERRUPTED: AtomicU64 = AtomicU64::new(0);

/// Starts a worker that waits in system calls, and counts the waits that a signal has ended early (EINTR).
pub fn start_worker() {
    thread::spawn(|| {
        loop {
            wait();
        }
    });
}

/// One such wait, for a tenth of a second.
pub fn wait() {
    if poll(&mut [], PollTimeout::from(100u8)) == Err(Errno::EINTR) {
        INTERRUPTED.fetch_add(1, Ordering::Relaxed);
    }
}

pub fn say(line: &str) {
    writeln!(stdout(), "{line}").and_then(|()| stdout().flush()).ok();
}

pub fn say_interrupted() {
    say(&format!("interrupted {}", INTERRUPTED.load(Ordering::Relaxed)));
}
