//! From a verb to a job, its tasks and its output.

use crate::cli::args::{Cli, Running};
use crate::cli::launch::launch;
use crate::cli::place::{self, Identity};
use crate::cli::report::{Told, report};
use bivouac::ending::Exit;
use bivouac::signals::Masked;
use bivouac::{Ending, Error, Job, Run, Source};
use std::ffi::OsString;
use std::path::Path;

/// What every job needs, whichever it is.
pub(crate) struct Start<'a> {
    running: Running<'a>,
    argv: &'a [OsString],
    masked: Option<Masked>,
}

/// Runs the job of a verb, and says how the process should end.
pub(crate) fn run(cli: &Cli, argv: &[OsString], masked: Option<Masked>) -> Exit {
    let Some(running) = cli.verb.running() else {
        return crate::cli::fail(&Error::usage("verb", "runs no job"));
    };
    let _start = Start { running, argv, masked };
    // PLACE FOR THE JOBS: one line per verb, `start.run(job, source, resumable, output, sink)`.
    crate::cli::fail(&Error::usage("this build", "has no jobs"))
}

impl Start<'_> {
    /// Runs one job to its end.
    ///
    /// `output` is the output file with its symlinks resolved; `equip` gives the run its sink.
    pub(crate) fn run<J, S>(
        self,
        (job, source): (J, S),
        resumable: bool,
        output: Option<&Path>,
        equip: impl FnOnce(Run<J, S>) -> Run<J, S>,
    ) -> Exit
    where
        J: Job,
        S: Source<Task = J::Task>,
    {
        let options = job.fingerprint();
        let identity = Identity { name: job.name(), options: &options, inputs: self.running.inputs };
        let state = place::state(&self.running, output, resumable, identity);
        if !resumable && self.running.resuming.state.is_some() && !self.running.talk.quiet {
            crate::cli::say::line("an input is a pipe, which cannot be read again: no state is kept");
        }
        let told_state = state.clone();
        let ending: Ending = launch((job, source), &self.running, state, self.masked, equip);
        let told = Told { argv: self.argv, state: &told_state, output, quiet: self.running.talk.quiet };
        report(&ending, told);
        ending.exit()
    }
}
