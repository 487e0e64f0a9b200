//! From a verb to what it does. A verb that runs a job makes its job and its tasks, and hands both to
//! [`Launch`]; every other verb does its work and returns.

mod clean;
mod completions;
mod count;
mod digest;
mod each;
mod grep;
mod log;
mod man;
mod pipe;
mod signals;

use crate::cli::args::{Cli, JobVerb, Verb};
use crate::cli::control;
use crate::cli::launch::Launch;
use bivouac::Result;
use bivouac::ending::{Exit, FINISHED};
use bivouac::signals::Masked;
use std::ffi::OsString;

/// Does what the command line asks for, and returns how the process must end.
pub(crate) fn run(cli: &Cli, argv: &[OsString], masked: Masked) -> Result<Exit> {
    let code = match &cli.verb {
        Verb::Job(verb) => {
            let launch = Launch::new(verb.run_args(), argv, masked)?;
            return match verb {
                JobVerb::Count(count) => count::run(count, launch),
                JobVerb::Grep(grep) => grep::run(grep, launch),
                JobVerb::Digest(digest) => digest::run(digest, launch),
                JobVerb::Pipe(pipe) => pipe::run(pipe, launch),
                JobVerb::Each(each) => each::run(each, launch),
            };
        }
        Verb::Control(verb) => {
            // These wait for another process, and Ctrl-C must end that.
            drop(masked);
            control::run(verb)?
        }
        Verb::Log(log) => log::run(log)?,
        Verb::Clean(clean) => clean::run(clean)?,
        Verb::Signals(signals) => signals::run(signals)?,
        Verb::Completions(completions) => completions::run(completions)?,
        Verb::Man(man) => man::run(&man.directory).map(|()| FINISHED)?,
    };
    Ok(Exit::Code(code))
}
