//! `bivouac count`: files in chunks, cut anywhere, into a sum.

use crate::cli::args::verbs::CountArgs;
use crate::cli::launch::Launch;
use crate::jobs;
use crate::jobs::count::{Columns, Count};
use bivouac::Result;
use bivouac::ending::{Exit, FINISHED_WITH_FAILURES};
use bivouac::input::{Boundary, Chunks, Readable};

/// Runs the job.
pub(crate) fn run(count: &CountArgs, mut launch: Launch<'_>) -> Result<Exit> {
    let columns = Columns::chosen(count.lines, count.words, count.bytes);
    let Readable { files, left_out, .. } = launch.readable(count.keep_going, FINISHED_WITH_FAILURES);
    let source = Chunks::new(jobs::or_stdin(&files, &left_out), Boundary::anywhere())
        .leaving_out(&left_out)
        .limit_rate(launch.settings.limit_rate.value)
        .by_contents(count.inputs.verify_inputs);
    let job = Count::new(&files, columns).leaving_out(left_out);
    launch.run((job, source), true)
}
