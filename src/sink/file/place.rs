//! Where an output goes through its symlinks, and what it takes over from a file that it replaces.

use crate::durable::disk::links::refuse_trap;
use crate::durable::disk::{Dir, Disk, Facts, split};
use crate::error::{Advice, At, Error, Result};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How many symlinks in a row the kernel follows.
const MOST_SYMLINKS: usize = 40;

/// The mode for the file that replaces this one: its own, if it is ours. The mode of another user's file says
/// nothing about ours, and no file becomes a program that runs as us because of such a program.
pub(super) fn mode_to_take(replaced: &Facts) -> Option<u32> {
    let is_ours = replaced.is_file && replaced.uid == nix::unistd::geteuid().as_raw();
    is_ours.then_some(replaced.mode & 0o777)
}

/// Follows the symlinks of `out` to the directory and name that it stands for in the end.
pub(super) fn resolve(disk: &dyn Disk, out: &Path) -> Result<(Arc<dyn Dir>, PathBuf, OsString)> {
    let mut path = out.to_path_buf();
    for _ in 0..MOST_SYMLINKS {
        let (above, name) = split(&path).ok_or_else(|| not_a_file(out))?;
        // /dev/stdout leads to /proc/self/fd/1. The user wants that open file, and no other of its name.
        if above.canonicalize().is_ok_and(|real| real.starts_with("/proc")) {
            return Err(not_a_file(out));
        }
        let dir = disk.open_dir(above).map_err(|e| {
            let error = Error::named(above, "open the directory of the output", &e);
            if error.is_missing() { error.advise("make it first") } else { error }
        })?;
        match dir.facts(name).at(&path, "look at")? {
            Some(facts) if !facts.is_file => match dir.read_link(name) {
                Ok(target) => {
                    refuse_trap(&*dir, &facts, &path)?;
                    path = above.join(target);
                }
                Err(_) => return Err(not_a_file(out)),
            },
            None | Some(_) => {
                let name = name.to_os_string();
                return Ok((dir, path, name));
            }
        }
    }
    Err(Error::usage(out.display(), "is a chain of too many symlinks"))
}

pub(super) fn not_a_file(path: &Path) -> Error {
    Error::usage(path.display(), "cannot be the output: it is not a regular file")
        .advise(Advice::WriteToStandardOutput)
}
