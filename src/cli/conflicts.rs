//! One file must not have two roles.
//!
//! A log that is written into the input changes what the job reads, and a result that is written over the
//! configuration destroys it. Both are slips in a line typed in a hurry, and both would exit with 0.

use crate::cli::args::RunArgs;
use bivouac::disk::OsDisk;
use bivouac::state_dir::is_state;
use bivouac::{Error, Result};
use std::fs::{self, File, Metadata};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A file, independent of its name.
#[derive(PartialEq)]
enum FileId {
    Is(u64, u64),
    /// It does not exist yet.
    WillBe(PathBuf),
}

impl FileId {
    fn of(facts: &Metadata) -> Self {
        Self::Is(facts.dev(), facts.ino())
    }
}

fn file_id(path: &Path) -> FileId {
    match fs::metadata(path) {
        Ok(facts) => FileId::of(&facts),
        Err(_) => {
            let above = path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let above = above.canonicalize().unwrap_or_else(|_| above.to_path_buf());
            FileId::WillBe(above.join(path.file_name().unwrap_or_default()))
        }
    }
}

/// Refuses to write to a file that the job also reads, or writes in another role. (The sink itself refuses an output
/// that is an input.) Where only a summary is printed, as by `count` and `grep -c`, that may be an input too: GNU has it so.
pub(crate) fn refuse_two_roles(
    args: &RunArgs<'_>,
    (log, metrics): (Option<&Path>, Option<&Path>),
) -> Result<()> {
    let config = args.job.signals.table.config();
    let config = config.as_deref();
    let output = args.output;
    let inputs = args.inputs.iter().map(|input| ("an input", input.as_path()));
    let others = || inputs.clone().chain(config.map(|path| ("the configuration", path)));
    if let Some(log) = log {
        let others = others().chain(output.map(|path| ("the output", path)));
        refuse("--log-file", log, others.chain(metrics.map(|path| ("the metrics", path))))?;
    }
    if let Some(metrics) = metrics {
        refuse("--metrics", metrics, others().chain(output.map(|path| ("the output", path))))?;
    }
    match output {
        Some(output) => {
            refuse("--output", output, config.map(|path| ("the configuration", path)).into_iter())
        }
        None if args.prints_input => refuse_printing_into(args.inputs),
        None => Ok(()),
    }
}

/// Refuses `grep x f >>f`. What is printed could be read as input, and a run that continues this one would find its input
/// changed.
fn refuse_printing_into(inputs: &[PathBuf]) -> Result<()> {
    let Some(printed) = facts_of(io::stdout()).filter(Metadata::is_file).as_ref().map(FileId::of) else {
        return Ok(());
    };
    let is_printed = |input: &&PathBuf| match input.as_os_str() == "-" {
        true => facts_of(io::stdin()).is_some_and(|facts| FileId::of(&facts) == printed),
        false => file_id(input) == printed,
    };
    let Some(input) = inputs.iter().find(is_printed) else { return Ok(()) };
    let name = if input.as_os_str() == "-" { "standard input".into() } else { input.to_string_lossy() };
    Err(Error::usage(name, "is an input, and standard output is the same file")
        .advise("nothing was touched; print into another file"))
}

/// The file that standard output goes to, if it is a file that has a name.
pub(crate) fn printed_file() -> Option<PathBuf> {
    facts_of(io::stdout()).filter(Metadata::is_file)?;
    fs::read_link("/proc/self/fd/1").ok()
}

pub(crate) fn stdout_is_file() -> bool {
    facts_of(io::stdout()).is_some_and(|facts| facts.is_file())
}

fn facts_of(stream: impl AsFd) -> Option<Metadata> {
    File::from(stream.as_fd().try_clone_to_owned().ok()?).metadata().ok()
}

/// Refuses to write into the state of a job: the job needs its files to continue.
pub(crate) fn refuse_in_a_state(path: &Path) -> Result<()> {
    let here = |above: &Path| if above.as_os_str().is_empty() { ".".into() } else { above.to_path_buf() };
    // A path that does not exist yet will be below one that does.
    let Some(place) = path.ancestors().find_map(|above| here(above).canonicalize().ok()) else {
        return Ok(());
    };
    match place.ancestors().find(|above| is_state(&OsDisk, above)) {
        Some(state) => {
            let problem = format_args!("is in the state of a job, {}", state.display());
            Err(Error::usage(path.display(), problem).advise("nothing was touched; choose another place"))
        }
        None => Ok(()),
    }
}

fn refuse<'a>(option: &str, path: &Path, others: impl Iterator<Item = (&'a str, &'a Path)>) -> Result<()> {
    let id = file_id(path);
    // A device takes whatever is written to it, and has no content to be harmed.
    if fs::metadata(path).is_ok_and(|facts| !facts.is_file()) {
        return Ok(());
    }
    for (role, other) in others {
        if file_id(other) == id {
            let problem = format_args!("{option} is the same file as {role}, {}", other.display());
            return Err(
                Error::usage(path.display(), problem).advise("nothing was touched; name another file")
            );
        }
    }
    Ok(())
}

/// The refusal of a shard without an output file: its output would be a part of nothing.
pub(crate) fn no_output() -> Error {
    Error::usage("--shard", "needs an output file, of which each shard makes a part")
        .advise("name it: --output OUT")
}
