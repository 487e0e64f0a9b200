//! The command-line tool: block signals, parse, run, end.
//!
//! The order of these four is the whole content of this file. Signals come first, before the
//! arguments are even looked at: whatever starts a thread later hands on the mask of the thread
//! that starts it, so there is exactly one moment at which the mask can be made right for all of
//! them, and that is now. The end comes last and in one place, because a process that was asked to
//! stop by a signal ends *by that signal*, and nothing may run behind that.

#[expect(dead_code, reason = "used from the place for the jobs in src/cli/verbs.rs on")]
mod cli;

use bivouac::ending::Exit;
use std::process::ExitCode;

fn main() -> ExitCode {
    // PLACE FOR THE MASK: `Some(Masked::block(Policy::default())?)`, before any other line.
    let masked = None;
    match cli::run(std::env::args_os(), masked) {
        Exit::Code(code) => ExitCode::from(code),
        // PLACE FOR THE DEATH: `bivouac::signals::die_by(signal)`, which does not return.
        Exit::Signal(signal) => ExitCode::from(128 + signal as u8),
    }
}
