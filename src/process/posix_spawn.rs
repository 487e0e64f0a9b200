//! The start of a child by `posix_spawn`: the same as [`sys::start`](crate::sys::start), for machines on which that is
//! not tested ([`BY_CLONE`](crate::sys::BY_CLONE)), and slower.
//!
//! `posix_spawn` has no attribute for the limit of open files. Another process can set the limit only when the program runs
//! already and may have read it. So on these machines this process does not raise its own limit
//! ([`raise_open_files`](super::raise_open_files)), and if that is low, there are fewer slots. `posix_spawn` has no portable
//! attribute for the directory either, so a shell changes the directory and then executes the program.
//!
//! # Race condition
//!
//! As with [`sys::start`](crate::sys::start), a SIGSTOP for our process group can stop the child before it has a group of
//! its own.

use crate::sys::{Birth, reason_to_go_on};
use nix::errno::Errno;
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::Pid;
use std::ffi::{CStr, CString};
use std::os::fd::AsRawFd;

/// As [`sys::start`](crate::sys::start), but the child gets our limit of open files.
pub(super) fn start(birth: Birth<'_>) -> nix::Result<(Pid, usize)> {
    let mut actions = PosixSpawnFileActions::init()?;
    for (stream, wanted) in birth.streams.iter().zip(0..) {
        actions.add_dup2(stream.as_raw_fd(), wanted)?;
    }
    for file in birth.files {
        actions.add_dup2(file.as_raw_fd(), file.as_raw_fd())?; // which clears close-on-exec
    }
    let attributes = attributes(&birth)?;
    let environment: Vec<_> =
        birth.environment.iter().chain([birth.own]).chain(birth.variables).map(|entry| &**entry).collect();
    if let Some(directory) = birth.directory {
        let shell = [c"sh", c"-c", c"cd -- \"$0\" && exec \"$@\"", directory.as_c_str()];
        let words: Vec<&CStr> = shell.into_iter().chain(birth.words.iter().map(CString::as_c_str)).collect();
        return posix_spawn(c"/bin/sh", &actions, &attributes, &words, &environment).map(|pid| (pid, 0));
    }
    let mut reason = Errno::ENOENT as i32;
    for (number, program) in birth.programs.iter().enumerate() {
        match posix_spawn(&**program, &actions, &attributes, birth.words, &environment) {
            Ok(pid) => return Ok((pid, number)),
            Err(only) if birth.programs.len() == 1 => return Err(only),
            Err(errno) => reason = reason_to_go_on(reason, errno as i32).map_err(Errno::from_raw)?,
        }
    }
    Err(Errno::from_raw(reason))
}

/// Its group, its mask, and the signals that get their default action. (Handlers do not survive exec, and
/// `posix_spawn` sees to it that none runs before; so only signals with a name matter, which may be ignored.)
fn attributes(birth: &Birth<'_>) -> nix::Result<PosixSpawnAttr> {
    let mut attributes = PosixSpawnAttr::init()?;
    attributes.set_flags(
        PosixSpawnFlags::POSIX_SPAWN_SETPGROUP
            | PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK
            | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF,
    )?;
    attributes.set_pgroup(Pid::from_raw(0))?;
    attributes.set_sigmask(birth.mask)?;
    let named = birth.reset.iter().filter_map(|number| Signal::try_from(*number).ok());
    attributes.set_sigdefault(&named.collect::<SigSet>())?;
    Ok(attributes)
}
