//! The states of a directory, for verbs that are not told which one is meant.

use crate::cli::state_path::{BESIDE, SHARED, beside};
use crate::jobs::text::visible;
use bivouac::disk::OsDisk;
use bivouac::error::Kind;
use bivouac::state_dir::peek;
use bivouac::{Error, Result};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The state that is meant: the one that was named, or the only one that is here.
///
/// With several there is no guess, not even for the one that runs: it may have begun a moment ago, and a verb
/// that stops something must not choose.
///
/// # Errors
///
/// [`Kind::Usage`] when there is none, or more than one; these are listed.
pub(crate) fn the_one(named: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = named {
        return check_named(path).map(|()| path.to_path_buf());
    }
    let mut states = states_in(Path::new(""))?;
    // A directory may have such a name and be something else.
    states.retain(|path| !peek(&OsDisk, path).is_err_and(|error| error.kind() == Kind::Usage));
    match states.as_slice() {
        [] => {
            let here = std::env::current_dir()
                .map_or_else(|_| "this directory".to_string(), |here| here.display().to_string());
            let none = format!(
                "there is no state here: no job was started in {here}, or its state was removed when it finished"
            );
            Err(Error::usage("STATE", none).advise(
                "go to the directory of the job, or name its state (OUT.bivouac, or a directory in .bivouac)",
            ))
        }
        [only] => Ok(only.clone()),
        [first, ..] => {
            let list: Vec<_> =
                states.iter().map(|path| visible(&path.display().to_string()).into_owned()).collect();
            let several =
                format!("which one? There are {} states here:\n  {}", list.len(), list.join("\n  "));
            Err(Error::usage("STATE", several).advise(format_args!("name one, as in `{}`", first.display())))
        }
    }
}

/// The name of an output probably means the state beside it; but a verb that stops something must not act on a
/// guess.
fn check_named(path: &Path) -> Result<()> {
    let beside = beside(path);
    if !path.exists() && !beside.is_dir() {
        let name = path.to_string_lossy();
        let error = Error::usage(path.display(), "there is no such state");
        return Err(match name.bytes().all(|byte| byte.is_ascii_digit()) {
            true => error.advise("that looks like a process id; name a job by its state directory, or leave the name out if there is only one"),
            false => error.advise("name a state directory (OUT.bivouac, or a directory in .bivouac), or leave the name out if there is only one"),
        });
    }
    match peek(&OsDisk, path) {
        Err(error) if error.kind() == Kind::Usage && beside.is_dir() => {
            Err(error.advise(format_args!("the state of this output is `{}`", beside.display())))
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

/// All states in a directory: those below `.bivouac`, and those beside an output. Sorted.
pub(crate) fn states_in(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut states = subdirectories(&directory.join(SHARED))?;
    let suffix = BESIDE.as_bytes();
    states.extend(subdirectories(directory)?.into_iter().filter(|path| {
        // `.bivouac` itself is a suffix without a name.
        path.file_name().is_some_and(|name| name.as_bytes().ends_with(suffix) && name.len() > suffix.len())
    }));
    states.sort();
    Ok(states)
}

/// The directories in a directory; none if it is not there. Symlinks are not followed.
fn subdirectories(directory: &Path) -> Result<Vec<PathBuf>> {
    let to_read = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let failed = |cause: &io::Error| Error::io(to_read, "list", cause);
    let entries = match fs::read_dir(to_read) {
        Ok(entries) => entries,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => return Err(failed(&cause)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|cause| failed(&cause))?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.push(directory.join(entry.file_name()));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_found_below_the_shared_directory_and_beside_outputs() {
        let dir = tempfile::tempdir().unwrap();
        for name in [".bivouac/0123", "out.bivouac", "src", ".bivouac/4567", "out.bivouac/spill"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        fs::write(dir.path().join("file.bivouac"), "").unwrap();
        std::os::unix::fs::symlink("src", dir.path().join("link.bivouac")).unwrap();
        let expected: Vec<_> = [".bivouac/0123", ".bivouac/4567", "out.bivouac"]
            .iter()
            .map(|name| dir.path().join(name))
            .collect();
        assert_eq!(states_in(dir.path()).unwrap(), expected);
        let empty = tempfile::tempdir().unwrap();
        assert_eq!(states_in(empty.path()).unwrap(), Vec::<PathBuf>::new());
    }
}
