//! `bivouac grep`: files in chunks of whole lines, into the lines that match.

use crate::cli::args::verbs::GrepArgs;
use crate::cli::compressed;
use crate::cli::launch::Launch;
use crate::cli::terminal;
use crate::jobs::grep::{Grep, Options};
use crate::jobs::{self, quote};
use bivouac::Result;
use bivouac::ending::Exit;
use bivouac::input::{Boundary, Chunks, Readable};
use std::ffi::OsString;
use std::path::Path;

/// The exit code of `grep` when it could not read all of its files, whether or not a line matched.
const UNREAD: u8 = 2;

/// The exit code of `grep` when no line matched.
const NOTHING_FOUND: u8 = 1;

/// Runs the job.
pub(crate) fn run(grep: &GrepArgs, mut launch: Launch<'_>) -> Result<Exit> {
    let options = Options {
        patterns: grep.patterns()?,
        fixed: grep.fixed_strings,
        ignore_case: grep.ignore_case,
        invert: grep.invert_match,
        count: grep.count,
        line_numbers: grep.line_number,
        only_matching: grep.only_matching,
        file_names: match (grep.with_filename, grep.no_filename) {
            (true, _) => Some(true),
            (false, true) => Some(false),
            (false, false) => None,
        },
    };
    // A faulty pattern is reported before a faulty file.
    Grep::new(options.clone(), &[], Vec::new())?;
    let Readable { files, left_out, .. } = launch.readable(grep.keep_going, UNREAD);
    if let Some(file) = output_after_all(grep, launch.argv) {
        terminal::message(&format!(
            "-o is --only-matching here; if {0} is to be the output: --output {0}",
            quote::argument(file.as_os_str())
        ));
    }
    let source = Chunks::new(jobs::or_stdin(&files, &left_out), Boundary::newline())
        .leaving_out(&left_out)
        .watched(!grep.count && launch.is_watched())
        .limit_rate(launch.settings.limit_rate.value)
        .by_contents(grep.inputs.verify_inputs);
    let job = Grep::new(options, &files, left_out)?;
    let resumable = source.is_resumable();
    let (quiet, pattern) = (launch.is_quiet(), grep.patterns()?);
    let exit = launch.run((job, source), resumable)?;
    if let (Exit::Code(NOTHING_FOUND), false, [pattern, ..]) = (exit, quiet, pattern.as_slice()) {
        let decompress = |program: &str, path: &Path| {
            let [path, pattern] = [path.as_os_str(), pattern.as_ref()].map(quote::argument);
            format!("{program} {path} | bivouac grep {pattern} -")
        };
        if let Some(hint) = compressed::hint(&files, decompress) {
            terminal::message(&hint);
        }
    }
    Ok(exit)
}

/// The file that was meant as the output: `-o OUT` names it for all other verbs. This is so if the last two
/// words of the line are `-o` and a file that does not exist, and other files were given to be read.
fn output_after_all<'f>(grep: &'f GrepArgs, argv: &[OsString]) -> Option<&'f Path> {
    let [.., option, last] = argv else { return None };
    let [_, .., file] = grep.files.as_slice() else { return None };
    let meant = option == "-o" && file.as_os_str() == last && !file.exists() && grep.output.is_none();
    meant.then_some(file.as_path())
}
