//! How a child is born: what it inherits, and what it must not.
//!
//! The obvious `std::process::Command` hands the signal mask of the calling thread to the child, and
//! ours has TERM, INT and HUP blocked: `sleep`, `bash -c` and `python3` started that way cannot be
//! stopped at all. (dash clears its mask at start, so a test through `sh` proves nothing.) The obvious
//! remedy, `pre_exec`, makes the standard library fork instead of `posix_spawn`, and a fork copies the
//! page tables: 10 spawns a second with 1 GiB resident, against 1,000. So the child is started with
//! `posix_spawn`, and its attributes say what it shall have:
//!
//! - the mask that bivouac itself was started with;
//! - the default action of SIGPIPE and SIGXFSZ, which bivouac ignores for itself. Signals that were
//!   found ignored stay ignored: `nohup bivouac …` means the commands, too;
//! - a process group of its own;
//! - standard input, output and error as the caller gives them, and no other descriptor of ours (all
//!   of ours are close-on-exec), while those that bivouac inherited pass: `make` hands its job server
//!   down that way;
//! - the environment, and in it the name of the run, by which the [watcher](super::watcher) knows it.

use super::Command;
use crate::error::{Error, Kind};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawnp};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::stat::Mode;
use nix::unistd::Pid;
use std::ffi::CString;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

/// The variable in the environment of every child.
pub(crate) const RUN: &str = "BIVOUAC_RUN";

/// What all children of a run are given.
#[derive(Debug)]
pub(crate) struct Inheritance {
    mask: SigSet,
    environment: Vec<CString>,
}

/// The standard streams of a child.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Streams<'a> {
    /// `None` is `/dev/null`.
    pub(crate) stdin: Option<BorrowedFd<'a>>,
    pub(crate) stdout: BorrowedFd<'a>,
    pub(crate) stderr: BorrowedFd<'a>,
}

impl Inheritance {
    /// `mask` is the one that bivouac was started with.
    pub(crate) fn new(mask: SigSet, run: &str) -> Self {
        let own = std::env::vars_os().filter(|(name, _)| name != RUN);
        let variable = |name: &[u8], value: &[u8]| CString::new([name, b"=", value].concat()).ok();
        let mut environment: Vec<CString> =
            own.filter_map(|(name, value)| variable(name.as_bytes(), value.as_bytes())).collect();
        environment.extend(variable(RUN.as_bytes(), run.as_bytes()));
        Self { mask, environment }
    }

    /// Starts a child.
    ///
    /// # Errors
    ///
    /// The system's reason why the program cannot be run, `ENOENT` when there is none.
    ///
    /// # Race condition
    ///
    /// glibc's `posix_spawn` returns when the child has called exec, or has failed to, and the
    /// calling thread waits for that without hearing any signal. A SIGTSTP from the terminal can
    /// stop the child before: then this does not return until somebody continues the child. See
    /// [`Children::rescue`](super::Children).
    pub(crate) fn spawn(&self, command: &Command, streams: Streams<'_>) -> nix::Result<Pid> {
        let mut actions = PosixSpawnFileActions::init()?;
        match streams.stdin {
            Some(stdin) => actions.add_dup2(stdin.as_raw_fd(), libc::STDIN_FILENO)?,
            None => actions.add_open(libc::STDIN_FILENO, c"/dev/null", OFlag::O_RDONLY, Mode::empty())?,
        }
        actions.add_dup2(streams.stdout.as_raw_fd(), libc::STDOUT_FILENO)?;
        actions.add_dup2(streams.stderr.as_raw_fd(), libc::STDERR_FILENO)?;
        let mut attributes = PosixSpawnAttr::init()?;
        attributes.set_flags(
            PosixSpawnFlags::POSIX_SPAWN_SETPGROUP
                | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF
                | PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK,
        )?;
        attributes.set_pgroup(Pid::from_raw(0))?;
        attributes.set_sigmask(&self.mask)?;
        attributes.set_sigdefault(&[Signal::SIGPIPE, Signal::SIGXFSZ].into_iter().collect())?;
        let words = command.words();
        posix_spawnp(&words[0], &actions, &attributes, words, &self.environment)
    }
}

/// Whether this reason means that there is no such program, rather than one that cannot be run.
pub(crate) fn is_missing(errno: Errno) -> bool {
    matches!(errno, Errno::ENOENT | Errno::ENOTDIR)
}

/// A command that cannot be started is reported once, and ends the job: it would fail for every other
/// task as well.
pub(super) fn cannot_start(command: &Command, errno: Errno) -> Error {
    let name = command.program();
    if is_missing(errno) {
        Error::new(Kind::NoSuchCommand, name.display(), "no such command")
            .advise("check its name and PATH; a script also needs the interpreter in its first line")
    } else if matches!(errno, Errno::EAGAIN | Errno::ENOMEM) {
        Error::broken(name.display(), format_args!("cannot be started: {}", errno.desc()))
            .advise("raise the limit of processes (ulimit -u) or use fewer --jobs")
    } else if std::path::Path::new(&name).is_dir() {
        Error::new(Kind::CannotStart, name.display(), "cannot be started: it is a directory")
            .advise("name the program in it")
    } else {
        let advice = match errno == Errno::EACCES {
            true => "make it executable (chmod +x), or name the program that reads it",
            false => "see whether it is for this machine; a script needs a first line such as #!/bin/sh",
        };
        Error::new(Kind::CannotStart, name.display(), format_args!("cannot be started: {}", errno.desc()))
            .advise(advice)
    }
}
