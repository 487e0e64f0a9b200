//! `--after-warning CMD`: asks a batch system for another run, once, after a stop that it had announced.
//!
//! The obvious way is a wrapper in shell: trap the warning, forward it, wait, look at the code, requeue. Shells lose
//! signals on that way, and a wrapper that requeues after every signal makes a job that cannot be cancelled. Two
//! facts that only the run knows decide here:
//!
//! - **What stopped it.** A warning (USR2, a time budget) leaves the decision to the job. A SIGTERM says that the
//!   batch system has decided: the job was cancelled, or it comes back without being asked. So CMD does not run after
//!   a SIGTERM, also if a warning came first.
//! - **Whether a task ended.** A run that ends no task would be the same again, for ever. It exits with 4. A run that
//!   only waited for the lock of another one has done nothing either, but there is something to wait for.
//!
//! CMD makes the batch system send SIGTERM to this process at once. So the signals that end a program stay blocked from
//! here to the end of the process, and the exit code remains that of a stop. CMD has them open.
//!
//! If CMD fails, the exit code is still that of a stop: the state is good, and a batch system that requeues on the
//! code does so.

use crate::cli::terminal;
use crate::jobs::quote;
use bivouac::ending::{BROKEN, Exit, StoppedBy};
use bivouac::{Ending, Signal};
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::SigSet;
use nix::sys::wait::{WaitStatus, waitpid};
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;

pub(crate) struct AfterWarning<'a> {
    command: &'a OsStr,
    /// The mask with which bivouac was started.
    mask: SigSet,
}

impl<'a> AfterWarning<'a> {
    pub(crate) fn asked(command: Option<&'a OsStr>, mask: SigSet) -> Option<Self> {
        command.map(|command| Self { command, mask })
    }

    /// Runs CMD if this ending calls for it, and returns how the process must end: as `exit`, or with 4.
    pub(crate) fn after(&self, ending: &Ending, exit: Exit) -> Exit {
        let Ending::Stopped { by: StoppedBy::Warning(_) | StoppedBy::Budget | StoppedBy::Handle, summary } =
            ending
        else {
            return exit;
        };
        if let Some(signal) = summary.deadly {
            terminal::message(&format!(
                "{signal} came after the warning: its sender has decided, so this is not run:\n  {}",
                self.command.display()
            ));
            return exit;
        }
        if summary.by_this_run == 0 && !summary.waited {
            terminal::message(&format!(
                "no task ended in the time that was given, so this is not run: {}\n  \
                 give a longer time (sbatch -t), smaller tasks (pipe: --block) or --grace inf",
                self.command.display()
            ));
            return Exit::Code(BROKEN);
        }
        self.run();
        exit
    }

    /// Runs CMD in any case.
    pub(crate) fn run(&self) {
        let command = quote::argument(self.command);
        terminal::message(&format!("runs {command}"));
        let how = match self.status() {
            Ok(WaitStatus::Exited(_, 0)) => return,
            Ok(WaitStatus::Exited(_, code)) => format!("exited with {code}"),
            Ok(status) => format!("did not end by itself: {status:?}"),
            Err(errno) => format!("cannot be run: {}", errno.desc()),
        };
        terminal::message(&format!(
            "{command}: {how}; the state is good, and the same command continues this job"
        ));
    }

    /// Its standard output goes where messages go: that of this process may be a result.
    fn status(&self) -> nix::Result<WaitStatus> {
        [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP].into_iter().collect::<SigSet>().thread_block()?;
        let mut actions = PosixSpawnFileActions::init()?;
        actions.add_open(0, c"/dev/null", nix::fcntl::OFlag::O_RDONLY, nix::sys::stat::Mode::empty())?;
        actions.add_dup2(2, 1)?;
        let mut attributes = PosixSpawnAttr::init()?;
        attributes.set_flags(PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK)?;
        attributes.set_sigmask(&self.mask)?;
        let words = [c"sh", c"-c", c"--", &CString::new(self.command.as_bytes()).unwrap_or_default()];
        let environment: Vec<CString> = std::env::vars_os()
            .filter_map(|(name, value)| CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()).ok())
            .collect();
        waitpid(posix_spawn(c"/bin/sh", &actions, &attributes, &words, &environment)?, None)
    }
}
