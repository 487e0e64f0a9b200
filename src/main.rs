//! The command-line tool: mask, parse, run, end.
//!
//! The mask comes before the command line is parsed and before any other thread: a thread inherits the mask of the
//! thread that starts it, so this is the one moment at which it can be made right for all of them. (Before it, `main` only
//! looks whether this process is the watcher, and raises a limit.) The end comes last and in one
//! place: a process that a signal has stopped dies *of that signal*, and nothing may run after that.

mod cli;
mod jobs;

use bivouac::Policy;
use bivouac::ending::{Exit, FINISHED};
use bivouac::process::{raise_open_files, watcher};
use bivouac::signals::Masked;

fn main() -> Exit {
    let mut words = std::env::args_os().skip(1);
    if let (Some(watcher::VERB), Some(mark)) =
        (words.next().as_deref().and_then(|verb| verb.to_str()), words.next())
    {
        watcher::watch(&mark.to_string_lossy());
        return Exit::Code(FINISHED);
    }
    raise_open_files();
    let done = Masked::block(Policy::default()).map(|masked| cli::run(std::env::args_os(), masked));
    done.unwrap_or_else(|error| cli::fail(&error)) // a signal may have been the reason: then the process dies of it
}
