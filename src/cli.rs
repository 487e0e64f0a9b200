//! What a person sees of bivouac: arguments, progress, messages, the last paragraph.
//!
//! Everything below this file belongs to the program and not to the library; the library never
//! prints, and never reads an argument. In reading order:
//!
//! | chapter | what it is about |
//! |---|---|
//! | [`args`] | the verbs and their options, as you type them |
//! | [`advice`] | names from other programs, and what they are called here |
//! | [`parse`] | sizes, durations and numbers with units |
//! | [`complete`] | what a shell offers for the word at the cursor |
//! | [`verbs`] | one file for each verb that runs a job or prints something |
//! | [`launch`] | from options to a [`bivouac::Run`] |
//! | [`slurm`] | a job as an array of Slurm |
//! | [`shellwords`] | words that only a shell understands, in a command without one |
//! | [`config`] | the configuration file |
//! | [`settings`] | options, environment, configuration and defaults; and which of them a reload can change |
//! | [`state_path`] | where a state lives |
//! | [`shards`] | which shard of a job a run is, and what comes after the last of them |
//! | [`conflicts`] | one file must not have two roles |
//! | [`discover`] | which state a verb without a name means |
//! | [`control`] | looking at a job and controlling it, from another process |
//! | [`progress`] | the one line on the terminal, and the messages above it |
//! | [`together`] | several observers of one run |
//! | [`service`] | messages to the service manager |
//! | [`metrics`] | figures for Prometheus, in a file and over HTTP |
//! | [`notices`] | the wording of everything that is said while a job runs |
//! | [`logfile`] | the log |
//! | [`at_end`] | a command that runs when the job has ended |
//! | [`after_warning`] | the command that asks a batch system for another run |
//! | [`hooks`] | the commands that tell a person how the run has ended |
//! | [`attempt`] | how an attempt of the journal ended, in words |
//! | [`picture`] | the page with the picture of a job |
//! | [`report`] | the paragraph at the end, with the command that continues |
//! | [`terminal`] | the only way to standard error and standard output |
//! | [`format`](mod@format) | numbers, sizes and times as people read them |

mod advice;
mod args;
mod parse;
mod complete;
mod verbs;
mod launch;
mod slurm;
mod shellwords;
mod config;
mod settings;
mod state_path;
mod shards;
mod conflicts;
mod discover;
mod control;
mod progress;
mod together;
mod service;
mod metrics;
mod notices;
mod logfile;
mod at_end;
mod after_warning;
mod hooks;
mod attempt;
mod picture;
mod report;
mod terminal;
mod format;

use crate::jobs::wording::worded;
use args::Cli;
use bivouac::Error;
use bivouac::ending::{Exit, USAGE};
use bivouac::error::Kind;
use bivouac::signals::Masked;
use std::ffi::OsString;
use terminal::Urgency;

/// Does what the command line asks for, and returns how the process must end.
///
/// `masked` is the proof that the handled signals are blocked. A verb that runs a job hands it on.
pub(crate) fn run(argv: impl IntoIterator<Item = OsString>, masked: Masked) -> Exit {
    let mut argv: Vec<OsString> = argv.into_iter().collect();
    if let Some(answered) = complete::answer(&argv) {
        return answered.unwrap_or_else(|error| fail(&error));
    }
    // Not a verb, but typed as one.
    if argv.len() == 2 && argv[1] == "version" {
        argv[1] = "--version".into();
    }
    let done = match Cli::read(&argv) {
        Ok(mut cli) => {
            let done = shards::resolve(&mut cli, false).and_then(|()| verbs::run(&cli, &argv, masked));
            done.map_err(|error| if cli.is_in_shards() { shards::in_shards(&error) } else { error })
        }
        // Help and version come this way too; clap knows which stream and which code they want.
        Err(error) => match advice::on(&error, &argv) {
            Some(sentence) => {
                terminal::message(&sentence);
                Ok(Exit::Code(USAGE))
            }
            None => {
                let verb = argv.get(1).and_then(|word| word.to_str()).unwrap_or_default();
                terminal::clap(&error, verb).map(Exit::Code)
            }
        },
    };
    done.unwrap_or_else(|error| fail(&error))
}

/// Reports an error, and returns how the process must end because of it.
pub(crate) fn fail(error: &Error) -> Exit {
    // The reader has closed our standard output on purpose, and a message would only clutter the screen.
    if error.kind() != Kind::OutputClosed {
        terminal::say(Urgency::Error, &worded(error));
    }
    error.exit()
}
