//! `bivouac grep`: files in chunks of whole lines, into the lines that match.

use crate::cli::args::common::When;
use crate::cli::args::verbs::GrepArgs;
use crate::cli::launch::Launch;
use crate::cli::terminal;
use crate::jobs::formats::Format;
use crate::jobs::grep::{Files, Grep, More, Options};
use crate::jobs::pattern::read_otherwise_by_plain_grep;
use crate::jobs::quote;
use bivouac::ending::{Exit, FINISHED};
use bivouac::input::{Boundary, Chunks, LeftOut, Readable};
use bivouac::sink::Discard;
use bivouac::{Error, Result};
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The exit code of `grep` when it could not read all of its files, whether or not a line matched.
const UNREAD: u8 = 2;

/// The exit code of `grep` when no line matched.
const NOTHING_FOUND: u8 = 1;

pub(crate) fn run(grep: &GrepArgs, mut launch: Launch<'_>) -> Result<Exit> {
    let options = options(grep, &launch)?;
    // A faulty pattern is reported before a faulty file.
    Grep::new(options.clone(), &[], Vec::new())?;
    warn_of_a_pattern_for_plain_grep(grep, &options.patterns);
    if options.more.max == Some(0) && !grep.files_without_match && grep.output.is_none() {
        return Ok(Exit::Code(NOTHING_FOUND));
    }
    launch.says_what_is_unread(!grep.no_messages);
    for why in &grep.unlisted {
        launch.leaves_out(&why.to_string_lossy(), UNREAD);
    }
    let Readable { files, left_out, .. } = launch.readable(grep.keep_going, UNREAD);
    if let Some(file) = output_after_all(grep, launch.argv) {
        terminal::message(&format!(
            "-o is --only-matching here, and {0} is searched\n  for an output: --output {0}",
            quote::argument(file.as_os_str())
        ));
    }
    if options.more.files == Some(Files::Silent) {
        return ask((options, source(grep, &files, &left_out)?), (files, &left_out), launch);
    }
    let job = Grep::new(options.clone(), &files, left_out.clone())?;
    let prints_lines = !(options.count || options.more.files.is_some());
    let mut source = source(grep, &files, &left_out)?
        .watched(prints_lines && launch.is_watched())
        .limit_rate(launch.settings.limit_rate.value)
        .by_contents(grep.inputs.verify_inputs);
    if options.more.max.is_some() || options.more.files.is_some() {
        source = source.until(job.has_all());
    }
    let resumable = source.is_resumable();
    let quiet = launch.is_quiet();
    let exit = launch.run((job, source), resumable)?;
    if files.is_empty() && left_out.iter().any(|path| path.is_directory) && !(grep.no_messages || quiet) {
        terminal::message("only directories are named\n  -r searches what is below them");
    }
    if quiet || !matches!(exit, Exit::Code(FINISHED | NOTHING_FOUND)) {
        return Ok(exit);
    }
    let nothing_found = exit == Exit::Code(NOTHING_FOUND);
    // A short pattern matches compressed bytes by chance. But where text was searched as well, the match is in there.
    let unread = grep.packed.unread(&files).filter(|_| nothing_found || grep.packed.are_unread(&files));
    if let Some((file, format)) = unread {
        terminal::message(&format!(
            "{}: is compressed ({format}), and was read as it is\n  to search what is in it: bivouac grep --decompress …",
            file.display()
        ));
    }
    Ok(exit)
}

/// A line that is found or not found must not depend on what a person takes the pattern for. So this is a warning, also with
/// `-q`, `-v` and `-c`, whatever is found.
fn warn_of_a_pattern_for_plain_grep(grep: &GrepArgs, patterns: &[String]) {
    if grep.basic_regexp || grep.extended_regexp || grep.fixed_strings || grep.perl_regexp {
        return;
    }
    let mut each = patterns.iter().flat_map(|text| text.split('\n'));
    if let Some((pattern, (part, meaning))) =
        each.find_map(|text| Some((text, read_otherwise_by_plain_grep(text)?)))
    {
        terminal::message(&format!(
            "warning: pattern `{pattern}`: `{part}` is {meaning}, as for grep -E\n  \
             for what plain grep means by it: -G; if it is meant so: -E"
        ));
    }
}

/// The source of the job: lines, or records of a format.
fn source(grep: &GrepArgs, files: &[PathBuf], left_out: &[LeftOut]) -> Result<Chunks> {
    let boundary = grep.format.map_or(Ok(Boundary::newline()), Format::boundary)?;
    Ok(Chunks::new(files.to_vec(), boundary)
        .with_header(grep.format.and_then(Format::header))
        .leaving_out(left_out)
        .decompress(grep.packed.which()))
}

/// `-q`: only the exit code is wanted. The search ends at the first selected line, whichever file that is in, and
/// keeps no state, since where it ends depends on the workers.
fn ask(
    (options, source): (Options, Chunks),
    (files, left_out): (Vec<PathBuf>, &[LeftOut]),
    launch: Launch<'_>,
) -> Result<Exit> {
    if launch.args.job.resume.state.is_some() {
        return Err(Error::usage("-q", "keeps no state: it ends at the first line that matches")
            .advise("leave --state out, or write the lines to a file with --output"));
    }
    let job = Grep::new(options, &files, left_out.to_vec())?;
    let found = job.has_all();
    let source =
        source.watched(true).limit_rate(launch.settings.limit_rate.value).until_found(Arc::clone(&found));
    let exit = launch.run_with((job, source), false, None, Discard)?;
    // As with grep, an unreadable file matters only if no other file answers the question.
    let is_found = exit == Exit::Code(UNREAD) && found.load(Ordering::Relaxed);
    Ok(if is_found { Exit::Code(FINISHED) } else { exit })
}

fn options(grep: &GrepArgs, launch: &Launch<'_>) -> Result<Options> {
    let on_terminal = launch.is_watched() && std::io::stdout().is_terminal();
    let lines = |wanted: Option<usize>| wanted.or(grep.context).map_or(0, |lines| lines as u64);
    let is_around = grep.before_context.or(grep.after_context).or(grep.context).is_some();
    if is_around && grep.only_matching && grep.invert_match {
        return Err(Error::usage("-o -v", "prints nothing of lines that do not match")
            .advise("leave out -A, -B and -C, or -o"));
    }
    if is_around && grep.format.is_some() {
        return Err(Error::usage(
            "-A, -B and -C",
            "print lines near a match, and --format prints records whole",
        )
        .advise("leave one of them out"));
    }
    Ok(Options {
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
        more: More {
            perl: grep.perl_regexp,
            basic: grep.basic_regexp,
            words: grep.word_regexp,
            whole_lines: grep.line_regexp,
            files: match (grep.files_with_matches, grep.files_without_match) {
                // With --output lines are wanted, and nothing is printed in any case.
                _ if launch.is_quiet() && launch.args.output.is_none() => Some(Files::Silent),
                (true, _) => Some(Files::With),
                (false, true) => Some(Files::Without),
                (false, false) => None,
            },
            max: grep.max_count.map(|max| max as u64),
            around: is_around.then(|| (lines(grep.before_context), lines(grep.after_context))),
            zero: grep.null,
            color: match grep.job.messages.color {
                // The option is the one of the progress line. It colours matches where they are printed, and `auto`
                // only where it was typed.
                When::Always => launch.args.output.is_none(),
                When::Auto => on_terminal && asks_for_color(launch.argv),
                When::Never => false,
            },
            guarded: on_terminal && !grep.text,
            format: grep.format,
        },
    })
}

fn asks_for_color(argv: &[OsString]) -> bool {
    argv.iter().filter_map(|word| word.to_str()).any(|word| word.starts_with("--colo"))
}

/// The file that was meant as the output: `-o OUT` names it for all other verbs. This is so if the last two
/// words of the line are `-o` and a file, and other files were given to be read.
fn output_after_all<'f>(grep: &'f GrepArgs, argv: &[OsString]) -> Option<&'f Path> {
    let [.., option, last] = argv else { return None };
    let [_, .., file] = grep.files.as_slice() else { return None };
    let meant = option == "-o" && file.as_os_str() == last && grep.output.is_none();
    meant.then_some(file.as_path())
}
