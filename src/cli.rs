//! What a person sees of bivouac: arguments, progress, messages, the last paragraph.
//!
//! Everything below this file belongs to the program and not to the library; the library never
//! prints, and never reads an argument. In reading order:
//!
//! | chapter | what it is about |
//! |---|---|
//! | [`args`] | the verbs and their options, as a person types them |
//! | [`advice`] | names that people know from other programs, and what they are called here |
//! | [`values`] | sizes, durations and numbers with units |
//! | [`verbs`] | from a verb to a job, its tasks and its output |
//! | [`each`] | the same for `each`, which has the most options |
//! | [`shellwords`] | what only a shell understands, in a command without one |
//! | [`wholes`] | commands that look at their whole input, in `pipe` |
//! | [`config`] | the configuration file |
//! | [`settings`] | options over configuration over defaults, and what a reload can change |
//! | [`table`] | what every signal means, and where that comes from |
//! | [`launch`] | from options to a [`bivouac::Run`] |
//! | [`place`] | where a state lives |
//! | [`roles`] | one file must not have two roles |
//! | [`states`] | which state is meant |
//! | [`control`] | looking at a job and controlling it, from another process |
//! | [`progress`] | the one line on the terminal, and how fast it says the work goes |
//! | [`notices`] | the wording of everything that is said while a job runs |
//! | [`log`] | the log file |
//! | [`ran`] | what ran, by the journal |
//! | [`report`] | the paragraph at the end, with the command that continues |
//! | [`say`] | the only way to standard error and standard output |

mod advice;
mod args;
mod clean;
mod completions;
mod config;
mod control;
mod each;
pub(crate) mod human;
mod launch;
mod log;
mod man;
mod notices;
mod place;
mod progress;
mod ran;
pub(crate) mod quote;
mod report;
mod roles;
mod say;
mod settings;
mod shellwords;
mod states;
mod table;
mod values;
mod verbs;
mod wholes;

use args::{Cli, Verb};
use bivouac::ending::{Exit, FINISHED};
use bivouac::signals::Masked;
use bivouac::{Error, Result};
use std::ffi::OsString;

/// Does what the command line asks for, and says how the process should end.
///
/// `masked` is the proof that the handled signals are blocked; a verb that runs a job hands it on,
/// every other verb is over before anybody could want to stop it, and gives the mask back.
pub(crate) fn run(argv: impl IntoIterator<Item = OsString>, masked: Masked) -> Exit {
    let mut argv: Vec<OsString> = argv.into_iter().collect();
    // As a verb it is what people type who do not know which it is.
    if argv.len() == 2 && argv[1] == "version" {
        argv[1] = "--version".into();
    }
    let cli = match Cli::read(&argv) {
        Ok(cli) => cli,
        // Help and version come this way too; clap knows which stream and which code they want.
        Err(error) => match advice::on(&error, &argv) {
            Some(sentence) => {
                say::line(&sentence);
                return Exit::Code(bivouac::ending::USAGE);
            }
            None => return conclude(say::clap(&error)),
        },
    };
    let done = match &cli.verb {
        Verb::Count(_) | Verb::Grep(_) | Verb::Digest(_) | Verb::Pipe(_) | Verb::Each(_) => {
            return verbs::run(&cli, &argv, masked);
        }
        Verb::Clean(clean) => clean::run(clean),
        Verb::Control(verb) => {
            // It waits for another process, and Ctrl-C shall end that.
            drop(masked);
            control::run(verb)
        }
        Verb::Log(log) => ran::run(log),
        Verb::Signals(signals) => table::run(signals),
        Verb::Completions(completions) => completions::run(completions.shell),
        Verb::Man(man) => man::run(&man.directory).map(|()| FINISHED),
    };
    conclude(done)
}

/// The end of a verb that runs no job.
fn conclude(done: Result<u8>) -> Exit {
    match done {
        Ok(code) => Exit::Code(code),
        Err(error) => fail(&error),
    }
}

/// Says what went wrong, and how the process should end because of it.
pub(crate) fn fail(error: &Error) -> Exit {
    // Whoever closed our standard output knows that, and a message would only clutter their screen.
    if error.kind() != bivouac::error::Kind::OutputClosed {
        say::line(&error.to_string());
    }
    error.exit()
}
