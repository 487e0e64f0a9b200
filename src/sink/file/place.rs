//! Where an output goes: through the symlinks of its name to a directory, and what is taken over there from a
//! file that it replaces.

use crate::durable::disk::links::refuse_trap;
use crate::durable::disk::{Dir, Disk, Facts, split};
use crate::error::{Advice, Error, Result};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// As many symlinks in a row as the kernel follows.
const MOST_SYMLINKS: usize = 40;

/// The mode of a file that is replaced, for the one that takes its place: who may read and write it, if it is
/// ours. What somebody else has put there says nothing about what we write; and no file becomes a program that
/// runs as us because one of that kind was there.
pub(super) fn mode_to_take(replaced: &Facts) -> Option<u32> {
    let is_ours = replaced.is_file && replaced.uid == nix::unistd::geteuid().as_raw();
    is_ours.then_some(replaced.mode & 0o777)
}

/// Follows the symlinks of `out` to the directory and name that it stands for in the end.
pub(super) fn resolve(disk: &dyn Disk, out: &Path) -> Result<(Arc<dyn Dir>, PathBuf, OsString)> {
    let mut path = out.to_path_buf();
    for _ in 0..MOST_SYMLINKS {
        let (above, name) = split(&path).ok_or_else(|| not_a_file(out))?;
        // /dev/stdout and /dev/fd/1 lead to /proc/self/fd/1: an open file of ours, and whoever opened it wants the
        // bytes in that file, not another file under its name.
        if above.canonicalize().is_ok_and(|real| real.starts_with("/proc")) {
            return Err(not_a_file(out));
        }
        let dir = disk.open_dir(above).map_err(|e| {
            let error = Error::named(above, "open the directory of the output", &e);
            if error.may_pass() { error } else { error.advise("make it first") }
        })?;
        match dir.facts(name).map_err(|e| Error::io(&path, "look at", &e))? {
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
