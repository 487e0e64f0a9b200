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
//! CMD makes the batch system send SIGTERM to this process at once. So no signal ends CMD, and the exit code remains that of
//! a stop ([`at_end`](super::at_end)).
//!
//! If CMD fails, the exit code is still that of a stop: the state is good, and a batch system that requeues on the
//! code does so.

use crate::cli::at_end::AtEnd;
use crate::cli::terminal;
use crate::jobs::quote;
use bivouac::Ending;
use bivouac::ending::{BROKEN, Exit, StoppedBy};
use nix::sys::signal::SigSet;
use std::ffi::OsStr;

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
        let at_end = AtEnd { command: self.command, mask: self.mask, variables: Vec::new(), limit: None };
        if let Err(how) = at_end.run() {
            terminal::message(&format!(
                "{command}: {how}; the state is good, and the same command continues this job"
            ));
        }
    }
}
