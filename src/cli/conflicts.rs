//! One file must not have two roles.
//!
//! A log that is written into the input changes what is being read, and a result that is written over
//! the configuration destroys it. Nobody wants either; both are a slip in a line that was typed in a
//! hurry, and both would end with 0.

use crate::cli::args::RunArgs;
use bivouac::disk::OsDisk;
use bivouac::state_dir::is_state;
use bivouac::{Error, Result};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Which file it is, whatever it is called.
#[derive(PartialEq)]
enum FileId {
    Is(u64, u64),
    /// It does not exist yet.
    WillBe(PathBuf),
}

fn file_id(path: &Path) -> FileId {
    match fs::metadata(path) {
        Ok(facts) => FileId::Is(facts.dev(), facts.ino()),
        Err(_) => {
            let above = path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let above = above.canonicalize().unwrap_or_else(|_| above.to_path_buf());
            FileId::WillBe(above.join(path.file_name().unwrap_or_default()))
        }
    }
}

/// Refuses what is written to be something that is read, or that is written otherwise.
///
/// # Errors
///
/// [`Kind::Usage`](bivouac::error::Kind::Usage), naming the option and both roles. (That an output is no
/// input is the business of its sink.)
pub(crate) fn refuse_two_roles(args: &RunArgs<'_>, log: Option<&Path>) -> Result<()> {
    let config = args.job.signals.table.config.as_deref();
    let output = args.output;
    let inputs = args.inputs.iter().map(|input| ("an input", input.as_path()));
    let others = || inputs.clone().chain(config.map(|path| ("the configuration", path)));
    if let Some(log) = log {
        let others = others().chain(output.map(|path| ("the output", path)));
        refuse("--log-file", log, others)?;
    }
    match output {
        Some(output) => {
            refuse("--output", output, config.map(|path| ("the configuration", path)).into_iter())
        }
        None => Ok(()),
    }
}

/// Refuses to write into the state of a job: what is there is what it goes on by, and nobody else's to replace.
///
/// # Errors
///
/// [`Kind::Usage`](bivouac::error::Kind::Usage), naming the state.
pub(crate) fn refuse_in_a_state(path: &Path) -> Result<()> {
    let here = |above: &Path| if above.as_os_str().is_empty() { ".".into() } else { above.to_path_buf() };
    // What does not exist yet will be below what does.
    let Some(place) = path.ancestors().find_map(|above| here(above).canonicalize().ok()) else {
        return Ok(());
    };
    match place.ancestors().find(|above| is_state(&OsDisk, above)) {
        Some(state) => {
            let problem = format_args!("is in the state of a job, {}", state.display());
            Err(Error::usage(path.display(), problem).advise("nothing was touched; name another place"))
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
