//! From a verb to what it does. A verb that runs a job makes its job and its tasks, and hands both to
//! [`Launch`]; every other verb does its work and returns.

mod clean;
mod completions;
mod config;
mod count;
mod digest;
mod each;
mod grep;
mod log;
mod man;
mod merge;
mod pipe;
mod report;
mod signals;
mod slurm;

use crate::cli::args::{Cli, JobVerb, Verb};
use crate::cli::control;
use crate::cli::launch::Launch;
use crate::cli::shards::{self, Part};
use crate::cli::terminal;
use bivouac::ending::{Exit, FINISHED};
use bivouac::signals::Masked;
use bivouac::{Policy, Result};
use std::cell::Cell;
use std::ffi::OsString;

/// Runs a job. If it was the last shard of one, it merges all of them.
fn job(verb: &JobVerb, argv: &[OsString], masked: Masked) -> Result<Exit> {
    let Some(shard) = verb.run_args().job.resume.shard else {
        return run_job(verb, argv, masked, Part::Whole);
    };
    let (number, of) = (shards::number(shard, |name| std::env::var(name).ok())?, shard.of.get());
    let to_merge = Cell::new(false);
    let exit = run_job(verb, argv, masked, Part::Shard { number, of, to_merge: &to_merge })?;
    if !to_merge.get() {
        return Ok(exit);
    }
    let args = verb.run_args();
    if !args.job.messages.quiet && args.output.is_some_and(|output| !output.exists()) {
        let done = if of == 1 {
            "the only shard is done; merging it"
        } else {
            &format!("all {of} shards are done; merging them")
        };
        terminal::message(done);
    }
    run_job(verb, argv, Masked::block(Policy::default())?, Part::Merge)
}

fn run_job(verb: &JobVerb, argv: &[OsString], masked: Masked, part: Part<'_>) -> Result<Exit> {
    let launch = Launch::new((verb.run_args(), part), (argv, verb.found()), masked)?;
    match verb {
        JobVerb::Count(count) => count::run(count, launch),
        JobVerb::Grep(grep) => grep::run(grep, launch),
        JobVerb::Digest(digest) => digest::run(digest, launch),
        JobVerb::Pipe(pipe) => pipe::run(pipe, launch),
        JobVerb::Each(each) => each::run(each, launch),
    }
}

pub(crate) fn run(cli: &Cli, argv: &[OsString], masked: Masked) -> Result<Exit> {
    let code = match &cli.verb {
        Verb::Job(verb) => return job(verb, argv, masked),
        Verb::Top(top) => return control::top::run(top, masked),
        Verb::Merge(args) => return merge::run(args, masked),
        Verb::Slurm(verb) => return slurm::run(verb, argv, masked, run_job),
        Verb::Control(verb) => {
            // These wait for another process, and Ctrl-C must end that.
            drop(masked);
            control::run(verb)?
        }
        Verb::Log(log) => log::run(log)?,
        Verb::Report(report) => report::run(report)?,
        Verb::Clean(clean) => clean::run(clean)?,
        Verb::Signals(signals) => signals::run(signals)?,
        Verb::Config(config) => config::run(config)?,
        Verb::Completions(completions) => completions::run(completions)?,
        Verb::Man(man) => man::run(&man.directory).map(|()| FINISHED)?,
    };
    Ok(Exit::Code(code))
}
