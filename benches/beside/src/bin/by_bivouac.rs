//! The signals of this project, without a loop.

use bivouac::signals::die_by;
use bivouac::{Signal, Signals};
use std::time::{Duration, Instant};

fn main() -> bivouac::Result<()> {
    let signals = Signals::of([Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT])?;
    beside::start_worker();
    beside::say("ready");
    let caught = loop {
        if let Some(caught) = signals.wait_until(Instant::now() + Duration::from_millis(1))? {
            break caught;
        }
        beside::wait();
    };
    beside::say(&format!("heard {} ({})", caught.signal, caught.sender));
    beside::say_interrupted();
    die_by(caught.signal)
}
