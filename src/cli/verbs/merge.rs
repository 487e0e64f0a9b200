//! `bivouac merge`: the results of all shards, into one output.

use crate::cli::args::Verb;
use crate::cli::args::verbs::MergeArgs;
use crate::cli::shards::{self, Part};
use crate::cli::verbs::run_job;
use bivouac::ending::Exit;
use bivouac::signals::Masked;
use bivouac::{Error, Result};

/// Runs the job with the results of its shards, under the command line that its plan has noted.
pub(crate) fn run(merge: &MergeArgs, masked: Masked) -> Result<Exit> {
    let (plan, state) = shards::plan_of(&merge.output)?;
    let (mut cli, argv) = shards::noted(&plan, &state)?;
    cli.resolve(shards::found(&plan))?;
    let Verb::Job(mut verb) = cli.verb else {
        return Err(Error::refused(state.display(), "does not say which command its job is"));
    };
    let args = verb.job_args_mut();
    args.messages.quiet |= merge.quiet;
    args.resume.allow_local_locks |= merge.allow_local_locks;
    run_job(&verb, &argv, masked, Part::Merge)
}
