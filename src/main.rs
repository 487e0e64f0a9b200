//! The command-line tool: block signals, parse, run, end.
//!
//! The order of these four is the whole content of this file. Signals come first, before the
//! arguments are even looked at: whatever starts a thread later hands on the mask of the thread
//! that starts it, so there is exactly one moment at which the mask can be made right for all of
//! them, and that is now. The end comes last and in one place, because a process that was asked to
//! stop by a signal ends *by that signal*, and nothing may run behind that.

mod cli;
mod jobs;

use bivouac::Policy;
use bivouac::ending::Exit;
use bivouac::process::{raise_open_files, watcher};
use bivouac::signals::{Masked, die_by};
use std::process::ExitCode;

fn main() -> ExitCode {
    // Not a verb for people: see `bivouac::process::watcher`.
    if let (Some(verb), Some(mark)) = (std::env::args_os().nth(1), std::env::args_os().nth(2))
        && verb == watcher::VERB
    {
        watcher::watch(&mark.to_string_lossy());
        return ExitCode::SUCCESS;
    }
    raise_open_files();
    let exit = match Masked::block(Policy::default()) {
        Ok(masked) => cli::run(std::env::args_os(), masked),
        Err(error) => cli::fail(&error),
    };
    match exit {
        Exit::Code(code) => ExitCode::from(code),
        Exit::Signal(signal) => die_by(signal),
    }
}
