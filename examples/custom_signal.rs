//! Exercise: print "Received custom signal" whenever SIGUSR1 comes, and keep listening.
//!
//! ```console
//! $ cargo run --example custom_signal
//! pid 4711: waiting for SIGUSR1
//! $ kill -USR1 4711      # in another terminal, as often as you like
//! ```
//!
//! Left alone, SIGUSR1 kills a program. The obvious cure is a handler that prints; but a handler
//! interrupts the program anywhere, also in the middle of printing, while it holds the lock of
//! standard output; then it waits for itself for ever. Here one thread receives the signal and sends
//! it through a channel, and the main thread prints, between two waits, where every lock is allowed.

use bivouac::signals::{Masked, die_by};
use bivouac::{Policy, Request, Signal, Signals};
use std::error::Error;
use std::io::{Write, stdout};

fn main() -> Result<(), Box<dyn Error>> {
    let policy = Policy::empty()
        .with(Signal::SIGUSR1, Request::Status)
        .with(Signal::SIGINT, Request::Stop)
        .with(Signal::SIGTERM, Request::Stop);
    // From here on no signal is lost; one that comes before `start` waits for it.
    let signals = Signals::start(Masked::block(policy)?)?;
    writeln!(stdout(), "pid {}: waiting for SIGUSR1", std::process::id())?;
    loop {
        let caught = signals.wait()?;
        if caught.signal == Signal::SIGUSR1 {
            // Two that come faster than we take them in are one: signals say *that*, not how often.
            writeln!(stdout(), "Received custom signal ({})", caught.sender)?;
        } else {
            writeln!(stdout(), "{}: end", caught.signal)?;
            die_by(caught.signal);
        }
    }
}
