//! `bivouac count`: files in chunks, cut anywhere, into a sum.

use crate::cli::args::verbs::CountArgs;
use crate::cli::launch::Launch;
use crate::jobs::count::{Columns, Count};
use crate::jobs::formats::Format;
use bivouac::Result;
use bivouac::ending::{Exit, FINISHED_WITH_FAILURES};
use bivouac::input::{Boundary, Chunks, Readable};

pub(crate) fn run(count: &CountArgs, mut launch: Launch<'_>) -> Result<Exit> {
    let CountArgs { lines, words, bytes, chars, max_line_length: longest, .. } = *count;
    let records = count.format.is_some();
    let columns = Columns { records, lines, words, bytes, chars, longest }.chosen();
    let Readable { files, left_out, .. } =
        launch.readable_in_list(count.keep_going, FINISHED_WITH_FAILURES, |name, at| count.no_name(name, at));
    let boundary = match count.format {
        Some(format) => format.boundary()?,
        None if columns.need_lines() => Boundary::newline(),
        None => Boundary::anywhere(),
    };
    let list = count.found.as_ref();
    let source = Chunks::new(files.clone(), boundary)
        .with_header(count.format.and_then(Format::header))
        .leaving_out(&left_out)
        .limit_rate(launch.settings.limit_rate.value)
        .decompress(count.packed.which())
        .by_contents(count.inputs.verify_inputs);
    let named = if count.unnamed { &[][..] } else { &files };
    let job = Count::new(named, columns).totals(count.total).leaving_out(left_out);
    let job = if let Some(list) = list { job.listed(list.is_piped) } else { job };
    launch.run((job, source), true)
}
