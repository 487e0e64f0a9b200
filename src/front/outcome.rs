//! How a loop ends, and with it the program.
//!
//! The obvious end is `exit(130)`, or the `Err` that `main` returns. A shell script around the program then runs its next
//! line, since it stops only if a command *died of the signal*. So `main` returns an [`Exit`], which is a [`Termination`].

use crate::ending::{Ending, Exit, StoppedBy, Summary};
use crate::error::{Advice, Error, Kind, Result};
use crate::process::watcher;
use crate::signals::policy::Policy;
use crate::signals::{Masked, die_by};
use crate::task::with_causes;
use nix::sys::signal::Signal;
use std::error::Error as StdError;
use std::fmt;
use std::io::{Write, stderr};
use std::path::PathBuf;
use std::process::{ExitCode, Termination};

/// The ending of a loop that did not fail.
///
/// ```
/// use bivouac::{Exit, Outcome, Stopped};
/// # let place = tempfile::tempdir()?; std::env::set_current_dir(&place)?;
///
/// let exit = bivouac::main(|signals| -> bivouac::Result<()> {
///     let digits = || bivouac::resumable(0..9_u64).map(|n, _| Ok(n.to_string())).write_to("digits");
///     let stopped = digits();
///     stopped.handle().stop();
///     match stopped.run(signals)? {
///         Outcome::Finished(()) => unreachable!("it was stopped before it began"),
///         Outcome::Stopped(stopped) => {
///             let Stopped { summary, .. } = &stopped;
///             assert_eq!(summary.tasks, Some(9));
///             assert_eq!(stopped.exit(), Exit::Code(75));
///         }
///     }
///     digits().run(signals)?.finished() // a loop that is stopped once more is an error here
/// });
/// assert_eq!(exit, Exit::Code(0));
/// assert_eq!(std::fs::read_to_string("digits")?, "012345678");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "an outcome says whether there is a result"]
pub enum Outcome<T> {
    /// It has finished, now or in an earlier run, with this result.
    Finished(T),
    /// It was stopped, and the next run continues it.
    Stopped(Stopped),
}

/// A loop that was stopped. `Display` says how far it is, and how it is continued.
#[derive(Clone, Debug)]
pub struct Stopped {
    /// The origin of the stop.
    pub by: StoppedBy,
    /// How much is done, in this run and before.
    pub summary: Summary,
    /// Where the state is kept.
    pub state: Option<PathBuf>,
    exit: Exit,
}

impl Stopped {
    /// How the process should end.
    pub fn exit(&self) -> Exit {
        self.exit
    }

    fn error(self) -> Error {
        let signal = self.exit.signal();
        let place = self.state.as_ref().map_or("the loop".to_string(), |state| state.display().to_string());
        Error::new(Kind::Interrupted, place, self).stopped_by(signal)
    }
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { frontier, ahead, tasks, .. } = &self.summary;
        write!(f, "stopped by ")?;
        match self.by {
            StoppedBy::Signal(signal) | StoppedBy::Warning(signal) => write!(f, "{signal}")?,
            StoppedBy::Budget => write!(f, "the time budget")?,
            StoppedBy::Handle | StoppedBy::Enough { .. } => write!(f, "the program")?,
        }
        write!(f, " after {}", frontier + ahead)?;
        match tasks {
            Some(tasks) => write!(f, " of {tasks} tasks")?,
            None => write!(f, " tasks")?,
        }
        match self.state {
            Some(_) => write!(f, "; run the same program again: it continues"),
            None => write!(f, "; nothing was kept"),
        }
    }
}

impl<T> Outcome<T> {
    pub(super) fn of(
        ending: Ending,
        result: Option<T>,
        state: Option<PathBuf>,
        signals: &Masked,
    ) -> Result<Self> {
        let exit = ending.exit();
        signals.stopped_by.set(exit.signal());
        let outcome = match ending {
            Ending::Failed { error, .. } => Err(error),
            Ending::Stopped { by, summary } => Ok(Outcome::Stopped(Stopped { by, summary, state, exit })),
            Ending::Finished { summary, .. } if summary.failed > 0 => {
                let problem = format_args!("has finished without {} tasks that failed", summary.failed);
                Err(Error::broken("the loop", problem))
            }
            Ending::Finished { .. } => result.map(Outcome::Finished).ok_or_else(|| {
                Error::broken("the loop", "is finished, and its total was written by another version")
                    .advise(Advice::StartAfresh)
            }),
        };
        signals.failed.replace(match &outcome {
            Ok(Outcome::Finished(_)) => None,
            Ok(Outcome::Stopped(stopped)) => Some(stopped.clone().error()),
            Err(error) => Some(error.clone()),
        });
        outcome
    }

    /// The result. If the loop was stopped, an error ([`Kind::Interrupted`]): return it from the closure of [`main`], and
    /// the process dies of the right signal.
    pub fn finished(self) -> Result<T> {
        match self {
            Outcome::Finished(result) => Ok(result),
            Outcome::Stopped(stopped) => Err(stopped.error()),
        }
    }
}

/// Ends the process by the signal that stopped it, or with the code.
impl Termination for Exit {
    fn report(self) -> ExitCode {
        match self {
            Exit::Code(code) => code.into(),
            Exit::Signal(signal) => die_by(signal),
        }
    }
}

/// The whole of a program with one or more resumable loops. Blocks the signals, calls `program`, reports an error on
/// standard error, and gives the ending for `main` to return: death by the signal that stopped a loop, the code of an
/// [`Error`], or 1 for any other error.
///
/// ```
/// use std::collections::BTreeMap;
///
/// fn main() -> bivouac::Exit {
/// #   let place = tempfile::tempdir().unwrap(); std::env::set_current_dir(&place).unwrap();
/// #   std::fs::write("huge.txt", "a rose\nis a rose\n").unwrap();
///     bivouac::main(|signals| -> bivouac::Result<()> {
///         let counts: BTreeMap<String, u64> = bivouac::lines("huge.txt")
///             .map(|chunk, cx| {
///                 let mut counts = BTreeMap::new();
///                 for word in chunk.text(cx)?.split_whitespace() {
///                     *counts.entry(word.to_string()).or_default() += 1;
///                 }
///                 Ok(counts)
///             })
///             .fold(BTreeMap::new, |all, one: BTreeMap<String, u64>| {
///                 one.into_iter().for_each(|(word, n)| *all.entry(word).or_default() += n);
///             })
///             .state("counts.state")
///             .run(signals)?
///             .finished()?;
///         assert_eq!(counts["rose"], 2);
///         Ok(())
///     })
/// }
/// ```
pub fn main<E: Into<Box<dyn StdError + Send + Sync>>>(
    program: impl FnOnce(&Masked) -> std::result::Result<(), E>,
) -> Exit {
    let mut words = std::env::args_os().skip(1);
    if let (Some(verb), Some(mark)) = (words.next(), words.next())
        && verb == watcher::VERB
    {
        watcher::watch(&mark.to_string_lossy());
        return Exit::Code(crate::ending::FINISHED);
    }
    let mut masked = match Masked::block(Policy::default()) {
        Ok(masked) => masked,
        Err(error) => return failed(Box::new(error), None, None),
    };
    masked.linger();
    let done = program(&masked);
    let (stopped_by, last) = (masked.stopped_by.get(), masked.failed.take());
    drop(masked);
    match done {
        // It has dealt with the stop; the sender of the signal looks how the process ends.
        Ok(()) => stopped_by.map_or(Exit::Code(crate::ending::FINISHED), Exit::Signal),
        Err(error) => failed(error.into(), last, stopped_by),
    }
}

/// Reports the error. The signals have their default actions by now, so that Ctrl-C ends a wait for the terminal. `last`
/// is the error of the last loop; if `anyhow` has wrapped it, only its text is the same.
fn failed(error: Box<dyn StdError + Send + Sync>, last: Option<Error>, stopped_by: Option<Signal>) -> Exit {
    let is_last = |cause: &dyn StdError| last.as_ref().filter(|last| last.to_string() == cause.to_string());
    let first: &(dyn StdError + 'static) = &*error;
    let mut causes = std::iter::successors(Some(first), |&cause| cause.source());
    let own = causes.find_map(|cause| cause.downcast_ref::<Error>().or_else(|| is_last(cause)));
    if own.is_some_and(|own| own.kind() == Kind::OutputClosed) {
        return Exit::Signal(Signal::SIGPIPE);
    }
    say(&with_causes(&*error));
    let exit = own.map_or(Exit::Code(1), Error::exit);
    stopped_by.map_or(exit, Exit::Signal)
}

/// Tells it after the name of the program. Without a reader the exit code says the same.
pub(super) fn say(text: &str) {
    let name = std::env::args_os().next().map(PathBuf::from);
    let name = name.as_ref().and_then(|path| path.file_name()).unwrap_or_default().to_string_lossy();
    writeln!(stderr(), "{name}: {text}").ok();
}
