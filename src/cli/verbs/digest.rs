//! `bivouac digest`: a tree in parts, into checksums; or lists of checksums, to be verified.

use crate::cli::args::verbs::DigestArgs;
use crate::cli::launch::Launch;
use crate::cli::terminal;
use crate::jobs::check::{self, Check};
use crate::jobs::complaints::Complaints;
use crate::jobs::digest::{self, Algorithm, Digest, Style, Terms};
use bivouac::Result;
use bivouac::ending::{Exit, FINISHED_WITH_FAILURES};
use bivouac::input::{Boundary, Chunks, Readable, Tree};
use bivouac::sink::Discard;

/// Runs the job, and names at the end the files that could not be read.
pub(crate) fn run(digest: &DigestArgs, launch: Launch<'_>) -> Result<Exit> {
    let complaints = Complaints::default();
    let exit = match digest.check {
        true => verify(digest, complaints.clone(), launch),
        false => compute(digest, complaints.clone(), launch),
    };
    for complaint in complaints.take() {
        terminal::message(&complaint);
    }
    exit
}

fn verify(args: &DigestArgs, complaints: Complaints, mut launch: Launch<'_>) -> Result<Exit> {
    let Readable { files: lists, left_out, .. } = launch.readable(args.keep_going, FINISHED_WITH_FAILURES);
    let source = Chunks::new(lists.clone(), Boundary::newline())
        .leaving_out(&left_out)
        .watched(launch.is_watched())
        .block(Some(check::BLOCK));
    let resumable = source.is_resumable();
    let options = check::Options {
        ignore_missing: args.ignore_missing,
        quiet: launch.is_quiet(),
        status: args.status,
        strict: args.strict,
        warn: args.warn,
        keeps_going: args.keep_going,
    };
    let check = (Check::new(args.algorithm, lists, options, complaints), source);
    // Nothing is printed, so standard output may be closed.
    match launch.args.output {
        None if args.status => launch.run_with(check, resumable, None, Discard),
        Some(_) | None => launch.run(check, resumable),
    }
}

fn compute(args: &DigestArgs, complaints: Complaints, launch: Launch<'_>) -> Result<Exit> {
    let rate = launch.settings.limit_rate.value;
    let (whole, keeps_going) = (launch.args.output.is_some(), args.keep_going);
    // With no path at all there is nothing to make a list of.
    let has_any = || args.paths.iter().any(|path| path.as_os_str() == "-" || path.exists());
    let terms = Terms {
        keeps_going,
        whole,
        strict: args.inputs.verify_inputs,
        given: args.paths.iter().cloned().collect(),
    };
    let algorithm = args.algorithm.unwrap_or(Algorithm::Blake3);
    let source = Tree::new(args.paths.clone(), algorithm.part(rate))
        .together(digest::task_bytes(rate))
        .by_contents(args.inputs.verify_inputs)
        .leaving_out(!whole || (keeps_going && has_any()))
        .keeping_going(keeps_going)
        .without(&launch.own_files());
    let resumable = source.is_resumable();
    let style = Style { tag: args.tag, zero: args.zero };
    launch.run((Digest::new(algorithm, style, terms, complaints), source), resumable)
}
