//! Errors, worded so that a person can act on them.
//!
//! An error is one sentence in three parts, and not a chain of causes: **what** it happened to (a path, a
//! setting, a task), **which step** failed and why, and **what to do**. The [`Kind`] alone decides the exit
//! code, so no caller has to guess one. What to do is [`Advice`], which a caller can put into its own words.
//!
//! One struct instead of one enum per module: no caller matches on "could not rename" as against "could not
//! truncate". Callers match on the kind, and print the sentence.

mod advice;

pub use advice::Advice;
use nix::sys::signal::Signal;
use std::fmt;
use std::io;
use std::path::Path;

/// The result of everything in this crate that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// What an error means for the run. Each kind has its own exit code (see [`crate::ending`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request makes no sense; nothing was touched. Exit code 2.
    Usage,
    /// The state, an input or the output is not what it must be; nothing was changed. Exit code 3.
    Refused,
    /// Something broke during the run; what was committed stands. Exit code 4.
    Broken,
    /// Another run holds this state. Exit code 5.
    Busy,
    /// The reader of our standard output has gone (`bivouac … | head`). The process ends as by SIGPIPE, as a
    /// shell expects.
    OutputClosed,
    /// A command is there and cannot be run. Exit code 126.
    CannotStart,
    /// There is no such command. Exit code 127.
    NoSuchCommand,
    /// The run is over before the event that it waited for. This is no failure.
    Interrupted,
}

/// An error: what it happened to, which step failed and why, what to do.
///
/// ```
/// use bivouac::error::{Advice, Error, Kind, Result};
///
/// fn names(text: &str) -> Result<Vec<&str>> {
///     let error = Error::usage("names", "are missing").advise("give one").then(Advice::RunAgain);
///     if text.is_empty() { Err(error) } else { Ok(text.split(' ').collect()) }
/// }
/// let error = names("").unwrap_err();
/// assert_eq!(error.kind(), Kind::Usage);
/// assert_eq!(error.exit(), bivouac::Exit::Code(2));
/// assert_eq!(error.sentence(), "names: are missing");
/// assert_eq!(error.task(), None, "it is about no task");
/// assert_eq!(error.to_string(), "names: are missing\n  give one; run the same job again: it continues");
///
/// let lost = Error::broken("the server", "is gone");
/// assert_eq!(lost, Error::new(Kind::Broken, "the server", "is gone"));
/// assert_eq!(lost.with_kind(Kind::Refused).kind(), Error::refused("x", "y").kind());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: Kind,
    subject: String,
    problem: String,
    /// What to do, each with what joins it to the one before.
    advice: Vec<(&'static str, Advice)>,
    /// The error number of a system call.
    errno: Option<i32>,
    /// The number of the task that it happened to.
    task: Option<u64>,
    /// The signal that stopped the run.
    stopped_by: Option<Signal>,
}

impl Error {
    /// An error of any kind. `subject` is a path, a setting or a task; `problem` completes "`subject`: …".
    pub fn new(kind: Kind, subject: impl fmt::Display, problem: impl fmt::Display) -> Self {
        let (subject, problem) = (subject.to_string(), problem.to_string());
        Self { kind, subject, problem, advice: Vec::new(), errno: None, task: None, stopped_by: None }
    }

    /// Wrong usage: nothing was touched.
    pub fn usage(subject: impl fmt::Display, problem: impl fmt::Display) -> Self {
        Self::new(Kind::Usage, subject, problem)
    }

    /// A refusal: nothing was changed.
    pub fn refused(subject: impl fmt::Display, problem: impl fmt::Display) -> Self {
        Self::new(Kind::Refused, subject, problem)
    }

    /// The run broke; what was committed stands.
    pub fn broken(subject: impl fmt::Display, problem: impl fmt::Display) -> Self {
        Self::new(Kind::Broken, subject, problem)
    }

    /// A failed system call on `path`. `step` completes "cannot …", as in "cannot read". Errors that a user can mend
    /// (no space, no permission, too many open files) get their advice here.
    ///
    /// ```
    /// use bivouac::error::{Error, Kind};
    /// use std::path::Path;
    ///
    /// let missing = std::fs::read("no/such/file").unwrap_err();
    /// let error = Error::io(Path::new("no/such/file"), "read", &missing);
    /// assert_eq!(error.to_string(), "no/such/file: cannot read: No such file or directory");
    /// assert!(error.is_missing() && !error.may_pass());
    /// assert_eq!(error.kind(), Kind::Broken);
    /// assert_eq!(Error::named(Path::new("no/such/file"), "read", &missing).kind(), Kind::Usage);
    /// ```
    pub fn io(path: &Path, step: &str, cause: &io::Error) -> Self {
        let mut error = Self::broken(path.display(), format_args!("cannot {step}: {}", plain(cause)));
        error.errno = cause.raw_os_error();
        advice_for(error, cause)
    }

    /// The same, of a path that the user has named, before anything is touched. If the path is to blame (it does not exist, it is a directory), only another path helps:
    /// [`Kind::Usage`]. If the machine is (no memory, no descriptors, a device that fails), the same
    /// job may work in a minute: [`Kind::Broken`], so that a scheduler tries again.
    pub fn named(path: &Path, step: &str, cause: &io::Error) -> Self {
        let error = Self::io(path, step, cause);
        if error.may_pass() {
            return error;
        }
        let error = error.with_kind(Kind::Usage);
        match cause.raw_os_error() {
            Some(libc::ENOENT) => error.advise("check the name, and the directory that you are in"),
            Some(libc::EISDIR) => error.advise("name a file in it"),
            Some(libc::ENOTDIR) => {
                error.advise("a name before the last / is that of a file: name another path")
            }
            Some(libc::EEXIST) => error.advise("it is a file: name a directory, or one that is to be made"),
            _ => error,
        }
    }

    /// The same where a path among many is looked at, in the words in which `wc`, `grep` and `sha256sum`
    /// complain of it: `PATH: No such file or directory`.
    #[doc(hidden)]
    pub fn looking(path: &Path, cause: &io::Error) -> Self {
        Self { errno: cause.raw_os_error(), ..Self::broken(path.display(), plain(cause)) }
    }

    /// Whether a system call failed for a transient reason: one that ends without a change of the file or its permissions.
    /// The lasting reasons are a short list. Any other (a network file system has its own) counts as transient: at worst
    /// that costs an attempt in vain.
    pub fn may_pass(&self) -> bool {
        self.errno.is_some_and(|errno| !LASTING.contains(&errno))
    }

    /// The number of the failed system call's error.
    pub(crate) fn errno(&self) -> Option<i32> {
        self.errno
    }

    /// Whether a device, or a file server, has failed a system call.
    pub(crate) fn is_of_device(&self) -> bool {
        matches!(self.errno, Some(libc::EIO | libc::ESTALE))
    }

    /// The same error, about this task. Its subject becomes `task N`, counted from 1; a tool that has another word
    /// for a task asks for the [number](Error::task).
    #[must_use]
    pub(crate) fn of_task(mut self, task: u64) -> Self {
        self.subject = format!("task {}", task + 1);
        self.task = Some(task);
        self
    }

    /// The same error, of a run that this signal has stopped.
    #[must_use]
    pub(crate) fn stopped_by(mut self, signal: Option<Signal>) -> Self {
        self.stopped_by = signal;
        self
    }

    /// The signal that stopped the run.
    pub(crate) fn signal(&self) -> Option<Signal> {
        self.stopped_by
    }

    /// The number of the task that it is about, from 0.
    pub fn task(&self) -> Option<u64> {
        self.task
    }

    /// The same error with another kind.
    #[must_use]
    pub fn with_kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// The same error with this advice in place of what it had.
    #[must_use]
    pub fn advise(mut self, advice: impl Into<Advice>) -> Self {
        self.advice.clear();
        self.then(advice)
    }

    /// The same error, with one advice more to follow.
    #[must_use]
    pub fn then(mut self, advice: impl Into<Advice>) -> Self {
        self.advice.push(("; ", advice.into()));
        self
    }

    /// The same error, with another way out.
    #[must_use]
    pub fn or(mut self, advice: impl Into<Advice>) -> Self {
        self.advice.push((", or ", advice.into()));
        self
    }

    /// The same error, with other advice wherever it has this one.
    #[doc(hidden)]
    #[must_use]
    pub fn readvise(mut self, from: &Advice, to: &Advice) -> Self {
        for (_, advice) in self.advice.iter_mut().filter(|(_, advice)| advice == from) {
            *advice = to.clone();
        }
        self
    }

    /// The whole message, with the advice in the words of the caller.
    pub fn worded<'a, T: fmt::Display>(&'a self, words: impl Fn(&'a Advice) -> T) -> String {
        let mut message = self.sentence();
        for (at, (joint, advice)) in self.advice.iter().enumerate() {
            let joint = if at == 0 { "\n  " } else { joint };
            message.push_str(&format!("{joint}{}", words(advice)));
        }
        message
    }

    /// Whether there is no file of this name.
    pub fn is_missing(&self) -> bool {
        self.errno == Some(libc::ENOENT)
    }

    /// For a file that is missing from a whole: the user can mend it, or do without it. (An error that may
    /// pass has its own advice.)
    #[must_use]
    #[doc(hidden)]
    pub fn or_left_out(self) -> Self {
        if self.may_pass() { self } else { self.advise("make it readable").or(Advice::LeaveOut) }
    }

    /// What happened to what, without the advice: for a list of such sentences.
    pub fn sentence(&self) -> String {
        format!("{}: {}", self.subject, self.problem)
    }

    /// What the error means for the run.
    pub fn kind(&self) -> Kind {
        self.kind
    }
}

/// Errors that the path or the user is to blame for.
const LASTING: [i32; 17] = [
    libc::ENOENT,
    libc::EACCES,
    libc::EPERM,
    libc::ENOTDIR,
    libc::EISDIR,
    libc::ELOOP,
    libc::ENAMETOOLONG,
    libc::EROFS,
    libc::EEXIST,
    libc::ENOTEMPTY,
    libc::EINVAL,
    libc::EBADF,
    libc::ENXIO,
    libc::ENODEV,
    libc::ETXTBSY,
    libc::EFBIG,
    libc::EOPNOTSUPP,
];

/// The system refuses to start a thread.
pub(crate) fn no_thread(cause: io::Error) -> Error {
    Error::broken("threads", format_args!("cannot start one: {cause}"))
}

/// The result of a system call, as an error on a path ([`Error::io`]).
pub(crate) trait At<T> {
    fn at(self, path: impl AsRef<Path>, step: &str) -> Result<T>;
}

impl<T, E: Into<io::Error>> At<T> for std::result::Result<T, E> {
    fn at(self, path: impl AsRef<Path>, step: &str) -> Result<T> {
        self.map_err(|e| Error::io(path.as_ref(), step, &e.into()))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.worded(|advice| advice))
    }
}

impl std::error::Error for Error {}

/// Rust prints "No space left on device (os error 28)"; the number does not help.
fn plain(cause: &io::Error) -> String {
    let text = cause.to_string();
    text.split(" (os error ").take(1).collect()
}

/// The same error with what helps against this cause.
fn advice_for(error: Error, cause: &io::Error) -> Error {
    match cause.raw_os_error() {
        Some(libc::ENOSPC | libc::EDQUOT) => error.advise("free some space").then(Advice::RunAgain),
        Some(libc::EACCES | libc::EPERM) => {
            error.advise("check the permissions, or run as a user who may do this")
        }
        Some(libc::EMFILE | libc::ENFILE) => {
            error.advise("raise the limit of open files (ulimit -n)").or(Advice::FewerTasks)
        }
        Some(libc::EFBIG) => {
            error.advise("raise the limit of file size (ulimit -f), or use another file system")
        }
        Some(libc::EROFS) => error.advise("the file system is read-only: choose another place"),
        Some(libc::EIO) => error.advise("the device reported an error: check it").then(Advice::RunAgain),
        Some(libc::ENOMEM) => error.advise("free some memory").or(Advice::FewerTasks),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_path_the_step_and_the_remedy() {
        let full = io::Error::from_raw_os_error(libc::ENOSPC);
        let error = Error::io(Path::new("/data/out.part"), "write", &full);
        let text = error.to_string();
        assert!(text.starts_with("/data/out.part: cannot write: No space left on device\n"), "{text}");
        assert!(text.ends_with("\n  free some space; run the same job again: it continues"), "{text}");
        assert!(!text.contains("os error"), "{text}");
        assert_eq!(error.kind(), Kind::Broken);
    }

    #[test]
    fn a_caller_words_the_advice_and_new_advice_replaces_the_old() {
        let error =
            Error::refused("f", "changed").advise("look").then(Advice::RunAgain).or(Advice::StartAfresh);
        assert_eq!(
            error.to_string(),
            "f: changed\n  look; run the same job again: it continues, or start over with `fresh(true)`"
        );
        let names = |advice| format!("{advice:?}");
        assert_eq!(error.worded(names), "f: changed\n  Text(\"look\"); RunAgain, or StartAfresh");
        assert_eq!(error.advise("mend it").to_string(), "f: changed\n  mend it");
    }

    #[test]
    fn a_path_is_wrong_usage_and_a_machine_in_trouble_is_not() {
        let kind = |errno| {
            let error = Error::named(Path::new("f"), "open", &io::Error::from_raw_os_error(errno));
            (error.kind(), error.may_pass())
        };
        for errno in [libc::ENOENT, libc::EACCES, libc::ENOTDIR, libc::EISDIR, libc::ELOOP, libc::EROFS] {
            assert_eq!(kind(errno), (Kind::Usage, false), "{errno}");
        }
        let passing =
            [libc::EIO, libc::ENOSPC, libc::EDQUOT, libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::ESTALE];
        for errno in passing {
            assert_eq!(kind(errno), (Kind::Broken, true), "{errno}");
        }
        assert!(!Error::broken("f", "is bad").may_pass(), "no system call has failed");
    }
}
