//! `bivouac pipe`: files in chunks of whole records, through a command, into its output.

mod merge;
mod whole_input;

use crate::cli::args::verbs::PipeArgs;
use crate::cli::launch::Launch;
use crate::cli::{shellwords, terminal};
use crate::jobs::formats::suggested;
use crate::jobs::pipe::{
    Asked, Compress, Files, MergeSource, Merging, Outputs, PARTS, Packing, Parts, Pieces, Pipe, To,
};
use crate::jobs::shell::Shell;
use bivouac::ending::{Exit, FINISHED_WITH_FAILURES};
use bivouac::input::{Boundary, Chunks, Decompress};
use bivouac::process::Command;
use bivouac::{Error, Result};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;

pub(crate) fn run(pipe: &PipeArgs, mut launch: Launch<'_>) -> Result<Exit> {
    let command = command(pipe, launch.argv)?;
    let terms = pipe.commands.terms(launch.settings.kill_after.value)?;
    let merge = pipe.merge.as_deref().map(|text| merge::command(pipe, text)).transpose()?;
    let warns = !launch.is_quiet() && !is_one_chunk(pipe) && merge.is_none();
    let warning =
        warns.then(|| whole_input::warning(pipe.shell.is_some(), &pipe.command, pipe.records.lines()));
    let warning = warning.flatten();
    if let Some(warning) = warning {
        terminal::message(&warning);
    }
    let boundary = boundary(pipe)?;
    if let Some(hint) = hint(pipe, warns).filter(|_| !launch.is_quiet()) {
        terminal::message(&hint);
    }
    let files = match pipe.keep_going {
        true => launch.readable(true, FINISHED_WITH_FAILURES).files,
        false => pipe.files.clone(),
    };
    let ((parts, largest), block) = match merge {
        Some(_) => (merge::PARTS, pipe.block.or_else(|| merge::block_of_streams(&files))),
        None => (PARTS, pipe.block),
    };
    let source = Chunks::new(files, boundary)
        .with_header(pipe.records.header())
        .block(block)
        .in_parts(parts, largest)
        .limit_rate(launch.settings.limit_rate.value)
        .decompress(pipe.packed.which())
        .by_contents(pipe.inputs.verify_inputs);
    let to = pipe.split_output.as_deref().map(Parts::new).transpose()?.map_or(To::Output, To::Parts);
    let outputs = Outputs { header: pipe.output_header.unwrap_or(0), compress: packing(pipe), to };
    launch.files = pipe.split_output.as_ref().map(|_| Files::Parts);
    let Some(merge) = merge else { return launch.run((Pipe::new(command, terms, outputs), source), true) };
    if !launch.is_whole() {
        return Err(Error::usage(
            "--merge",
            "does not go together with shards: each has a part of the chunks only",
        )
        .advise("leave out --merge, and combine the output of all shards"));
    }
    let pieces = Pieces::new()?;
    launch.files = Some(Files::Pieces(Arc::clone(&pieces)));
    let pipe = Pipe::new(command, terms, Outputs { to: To::Pieces(Arc::clone(&pieces)), ..outputs });
    let source = MergeSource::new(source, Arc::clone(&pieces));
    launch.run((Merging::new(pipe, pieces, merge), source), true)
}

/// How the output is compressed: by the option, or by its name. If the input is a compressed file that is read as it is, the
/// name does not count: a copy of it is not compressed again.
fn packing(pipe: &PipeArgs) -> Option<Packing> {
    match pipe.compress {
        Some(Asked::Not) => None,
        Some(Asked::To(to)) => Some(Packing { to, by_name: false }),
        None if pipe.packed.unread(&pipe.files).is_some() => None,
        None => Some(Packing { to: Compress::by_name(pipe.output.as_deref()?)?, by_name: true }),
    }
}

/// Warns about a compressed file, and about a name such as `x.fastq`, if no option says how to read it. bivouac does not
/// guess: the name may be wrong.
fn hint(pipe: &PipeArgs, is_cut: bool) -> Option<String> {
    if let Some((file, format)) = pipe.packed.unread(&pipe.files) {
        let records = suggested(file).filter(|_| pipe.records.is_unset());
        let records = records.map_or(String::new(), |format| format!(" --format {format}"));
        return Some(format!(
            "warning: {}: is compressed ({format}), and is read as it is\n  give --decompress{records} for what is in it; -q hides this",
            file.display()
        ));
    }
    let says_records =
        pipe.null || pipe.fixed.is_some() || pipe.record_end.is_some() || pipe.record_start.is_some();
    if !is_cut || says_records || !pipe.records.is_unset() {
        return None;
    }
    let (file, format) = pipe.files.iter().find_map(|file| Some((file, suggested(file)?)))?;
    Some(format!(
        "warning: {}: each line is a record, and no line a header\n  if that is wrong: --format {format}; -q hides this",
        file.display()
    ))
}

/// Whether the command gets all of the input at once.
fn is_one_chunk(pipe: &PipeArgs) -> bool {
    // Without --block no chunk is smaller.
    let block = pipe.block.unwrap_or(1 << 20);
    match pipe.files.as_slice() {
        [file] if pipe.packed.which() == Decompress::Never => {
            std::fs::metadata(file).is_ok_and(|facts| facts.is_file() && facts.len() <= block)
        }
        _ => false,
    }
}

fn boundary(pipe: &PipeArgs) -> Result<Boundary> {
    if let Some(boundary) = pipe.records.boundary()? {
        return Ok(boundary);
    }
    match (pipe.fixed, pipe.null, &pipe.record_end, &pipe.record_start) {
        (Some(bytes), _, _, _) => Boundary::fixed(bytes),
        (None, true, _, _) => Ok(Boundary::nul()),
        (None, false, None, None) => Ok(Boundary::newline()),
        (None, false, Some(end), None) => Boundary::between(&end.0, b""),
        (None, false, Some(end), Some(start)) => Boundary::between(&end.0, &start.0),
        // `>` or `From ` inside a line begins nothing.
        (None, false, None, Some(start)) => Boundary::between(b"\n", &start.0),
    }
}

fn command(pipe: &PipeArgs, argv: &[OsString]) -> Result<Command> {
    let impossible = || {
        Error::usage("COMMAND", "cannot be run: one of its words contains a zero byte")
            .advise("no program can get such a word")
    };
    let shell = pipe.shell.as_deref().map(Shell::named).transpose()?;
    match (shell, pipe.command.as_slice()) {
        (None, [program, ..]) if program.is_empty() => {
            Err(Error::usage("COMMAND", "has no name: its first word is empty")
                .advise("a variable in the command line may be unset"))
        }
        (None, words) => {
            let (before, command) = argv.split_at(argv.len().saturating_sub(words.len()));
            let before = before.strip_suffix(&["--".into()]).unwrap_or(before);
            shellwords::refuse(shellwords::Typed { before, command, after: &[], dashes: true })?;
            Command::new(words).ok_or_else(impossible)
        }
        (Some(shell), [text]) => {
            let words = shell.words(text.as_encoded_bytes().to_vec());
            Command::new(words.into_iter().map(OsString::from_vec)).ok_or_else(impossible)
        }
        (Some(_), _) => Err(Error::usage("--shell", "takes COMMAND as one text")
            .advise("quote it: --shell -- 'cut -d, -f3 | sort -u'")),
    }
}
