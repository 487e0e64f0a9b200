//! Exercise: count the seconds; on Ctrl-C print the total elapsed time.
//!
//! ```console
//! $ cargo run --example timer
//! ```
//!
//! Press Ctrl-C, or type `kill -INT PID` in another terminal. The obvious program sleeps for a second
//! in a loop, and a handler sets a flag; then Ctrl-C is answered up to a second late, and each turn
//! begins a little later than the one before. Here a signal comes out of a channel, so there is one
//! wait for "a signal, or the next full second, whichever is first".

use bivouac::signals::{Masked, die_by};
use bivouac::{Policy, Request, Signal, Signals};
use std::error::Error;
use std::io::{Write, stdout};
use std::time::{Duration, Instant};

fn main() -> Result<(), Box<dyn Error>> {
    // First of all, before there is any other thread: from here on a SIGINT stays pending.
    let masked = Masked::block(Policy::empty().with(Signal::SIGINT, Request::Stop))?;
    let signals = Signals::start(masked)?;

    let began = Instant::now();
    writeln!(stdout(), "pid {}: counting seconds, Ctrl-C ends it", std::process::id())?;
    for second in 1.. {
        // Counted from the beginning, not from the last turn: what a turn costs does not add up.
        let next = began + Duration::from_secs(second);
        if let Some(caught) = signals.wait_until(next)? {
            let total = began.elapsed().as_secs_f64();
            // The terminal has echoed "^C" without a new line.
            writeln!(stdout(), "\nTotal elapsed time: {total:.1} s ({})", caught.signal)?;
            // Not exit(0), and not exit(130): a shell script around us stops only if we die of it.
            die_by(caught.signal);
        }
        writeln!(stdout(), "{second} s")?;
    }
    Ok(())
}
