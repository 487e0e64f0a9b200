//! The states of a directory, and which of them a verb means.

use crate::cli::state_path::{BESIDE, SHARED, beside};
use crate::cli::terminal;
use crate::jobs::text::visible;
use bivouac::disk::OsDisk;
use bivouac::error::Kind;
use bivouac::state_dir::reach::{Found, find};
use bivouac::state_dir::{Peek, has_record, peek};
use bivouac::{Error, Result, Shards, is_divided};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use std::{fs, io};

/// The state that is meant: the one that was named; or the only one that is here; or, of several, the only one
/// whose job runs. If that names none, or several, the error lists them.
pub(crate) fn the_one(named: Option<&Path>) -> Result<PathBuf> {
    the_one_or(named, |states| Err(several("states here, and none of their jobs runs", states)))
}

/// As [`the_one`], for a verb that only looks. If none of several jobs runs, it takes the one that ran last among those that
/// have something to show, and prints which one.
pub(crate) fn the_last(named: Option<&Path>, shows: impl Fn(&Path) -> bool) -> Result<PathBuf> {
    the_one_or(named, |states| {
        let last =
            states.iter().max_by_key(|path| (shows(path), last_write(path))).cloned().unwrap_or_default();
        let (name, count) = (last.display().to_string(), states.len());
        let name = visible(&name);
        terminal::message(&format!("{name}: the job that ran last\n  `bivouac list` prints all {count}"));
        Ok(last)
    })
}

/// When a file of the state was written last. The time in the record is one of seconds, and equal for two short jobs.
fn last_write(state: &Path) -> Option<SystemTime> {
    let files = fs::read_dir(state).ok()?;
    files.filter_map(|file| file.ok()?.metadata().ok()?.modified().ok()).max()
}

fn the_one_or(
    named: Option<&Path>,
    if_none_runs: impl FnOnce(&[PathBuf]) -> Result<PathBuf>,
) -> Result<PathBuf> {
    if let Some(name) = named {
        return meant_by(name);
    }
    let mut states = states_in(Path::new(""))?;
    // A directory may have such a name and be something else.
    states.retain(|path| {
        is_divided(path) || !peek(&OsDisk, path).is_err_and(|error| error.kind() == Kind::Usage)
    });
    let [first, others @ ..] = states.as_slice() else { return Err(none_here()) };
    let running: Vec<_> = states.iter().filter(|path| !others.is_empty() && runs(path)).collect();
    match running.as_slice() {
        [] if others.is_empty() => Ok(first.clone()),
        [only] => Ok((*only).clone()),
        [] => if_none_runs(&states),
        _ => Err(several("jobs running here", running)),
    }
}

fn none_here() -> Error {
    let here = std::env::current_dir()
        .map_or_else(|_| "this directory".to_string(), |here| here.display().to_string());
    let none = format!("no job was started in {here}, or its state went when it finished");
    Error::usage("STATE", none)
        .advise("go to its directory, or name its state, output or process: see `bivouac list`")
}

fn several<'a>(what: &str, states: impl IntoIterator<Item = &'a PathBuf>) -> Error {
    let mut states = states.into_iter().peekable();
    let first = states.peek().map(|path| visible(&path.display().to_string()).into_owned());
    let several = format!("which one? There are {} {what}", states.count());
    Error::usage("STATE", several)
        .advise(format_args!("name one of `bivouac list`, such as {}", first.unwrap_or_default()))
}

/// Whether a process runs the job. A process that only looks at the state locks it too, for an instant; but the
/// lock does not name it.
fn runs(path: &Path) -> bool {
    if let Ok(Some(shards)) = Shards::find(path) {
        return shards.states().iter().any(|(_, state)| runs(state));
    }
    let Ok(Peek { locked: true, holder: Some(holder), .. }) = peek(&OsDisk, path) else { return false };
    match find(&holder) {
        Ok(Found::Process(_) | Found::Elsewhere(_)) => true,
        Ok(Found::Ended) | Err(_) => false,
    }
}

/// The state beside the output of this name, if it is an output and no state.
pub(crate) fn of_output(name: &Path) -> Option<PathBuf> {
    let beside = beside(name);
    let is_state = || !peek(&OsDisk, name).is_err_and(|error| error.kind() == Kind::Usage);
    (beside.is_dir() && !(name.exists() && is_state())).then_some(beside)
}

/// A name may be that of a state, of an output with its state beside it, or the number of the process.
fn meant_by(name: &Path) -> Result<PathBuf> {
    let number = name.to_str().and_then(|name| name.parse().ok());
    match (of_output(name), number) {
        (Some(beside), _) => Ok(beside),
        (None, _) if name.exists() => Ok(name.to_path_buf()),
        (None, Some(pid)) => of_process(pid),
        (None, None) => Err(Error::usage(name.display(), "there is no such state")
            .advise("name a state (OUT.bivouac), an output or a process; `bivouac list` prints them")),
    }
}

/// The state that this process holds. The kernel knows which files it has open, and the lock of a state is one of
/// them.
fn of_process(pid: u32) -> Result<PathBuf> {
    let no_job = |why: &str| {
        Error::usage(pid, why)
            .advise("`bivouac list` prints the jobs below this directory, with their processes")
    };
    let open = fs::read_dir(format!("/proc/{pid}/fd")).map_err(|cause| {
        let is_there = cause.kind() != io::ErrorKind::NotFound;
        no_job(if is_there { "is a process of another user" } else { "there is no such process" })
    })?;
    let files = open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let files = files.filter(|file| file.ends_with("lock"));
    let directories = files.filter_map(|file| file.parent().map(Path::to_path_buf));
    let mut held = directories.filter(|directory| {
        let holder = peek(&OsDisk, directory).ok().and_then(|peek| peek.holder);
        holder.is_some_and(|holder| holder.pid == pid)
    });
    let state = held.next().ok_or_else(|| no_job("this process runs no job that has a state"))?;
    let here = std::env::current_dir().unwrap_or_default();
    Ok(state.strip_prefix(here).map(Path::to_path_buf).unwrap_or(state))
}

/// All states in a directory and below it. Hidden directories are not looked into, and no symbolic links.
pub(crate) fn states_below(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut states = states_in(directory)?;
    for path in subdirectories(directory)? {
        let name = path.file_name().unwrap_or_default().as_bytes();
        if !name.starts_with(b".") && !states.contains(&path) {
            // A directory that cannot be read hides what is in it, and nothing else.
            states.extend(states_below(&path).unwrap_or_default());
        }
    }
    Ok(states)
}

/// All states in a directory: those below `.bivouac`, those beside an output, and those with a name of the user's. Sorted.
pub(crate) fn states_in(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut states = subdirectories(&directory.join(SHARED))?;
    let is_state = |path: &PathBuf| is_named_by_us(path) || has_record(path) || is_divided(path);
    states.extend(subdirectories(directory)?.into_iter().filter(is_state));
    states.sort();
    Ok(states)
}

/// Whether a state has the place or the name that it gets without `--state`.
pub(crate) fn is_named_by_us(path: &Path) -> bool {
    // `.bivouac` itself is a suffix without a name.
    let is_beside = |name: &[u8]| name.ends_with(BESIDE.as_bytes()) && name.len() > BESIDE.len();
    path.file_name().is_some_and(|name| is_beside(name.as_bytes()))
        || path.parent().is_some_and(|parent| parent.ends_with(SHARED))
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
    let entries: io::Result<Vec<_>> = entries.collect();
    let mut entries = entries.map_err(|cause| failed(&cause))?;
    entries.retain(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    Ok(entries.into_iter().map(|entry| directory.join(entry.file_name())).collect())
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
        for (state, file) in [("mine", "checkpoint.json"), ("shards", "plan.json"), ("none", "other.json")] {
            fs::create_dir(dir.path().join(state)).unwrap();
            fs::write(dir.path().join(state).join(file), "{}").unwrap();
        }
        let expected: Vec<_> = [".bivouac/0123", ".bivouac/4567", "mine", "out.bivouac", "shards"]
            .iter()
            .map(|name| dir.path().join(name))
            .collect();
        assert_eq!(states_in(dir.path()).unwrap(), expected);
        let empty = tempfile::tempdir().unwrap();
        assert_eq!(states_in(empty.path()).unwrap(), Vec::<PathBuf>::new());
    }
}
