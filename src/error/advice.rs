//! What to do about an error, as data.
//!
//! A sentence with the name of an option helps the users of the tool that has this option, and misleads all others
//! who read it: a program on this library has a method, and perhaps a button for it. So where a remedy is a
//! setting of a run, the error says which one, and not how it is spelled. [`Display`](fmt::Display) speaks to
//! programmers, of methods; a tool words every variant in its own options
//! ([`Error::worded`](super::Error::worded)), or offers a button.

use std::borrow::Cow;
use std::fmt;

/// A way out of an error.
///
/// ```
/// use bivouac::error::{Advice, Error};
///
/// let error = Error::refused("names.txt", "has changed").advise("restore it").or(Advice::StartAfresh);
/// assert_eq!(
///     error.worded(|advice| match advice {
///         Advice::StartAfresh => "press the red button".to_string(),
///         other => other.to_string(),
///     }),
///     "names.txt: has changed\n  restore it, or press the red button"
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advice {
    /// No setting does it: a fact to know, or something to do outside of the program.
    Text(Cow<'static, str>),
    /// Run the same job again: it continues from the last checkpoint.
    RunAgain,
    /// Discard what was done, and begin again ([`Run::fresh`](crate::Run::fresh)).
    StartAfresh,
    /// Wait for the process that holds the state, or stop it.
    WaitForHolder,
    /// Keep the state elsewhere ([`Run::state`](crate::Run::state)).
    NameAnotherState,
    /// Let the tasks that failed run once more (in [`Effects`](crate::Effects)).
    RetryFailed,
    /// Do without what cannot be read ([`Run::keep_going`](crate::Run::keep_going)).
    LeaveOut,
    /// Run fewer tasks at the same time ([`Run::jobs`](crate::Run::jobs)).
    FewerTasks,
    /// Let each task have fewer items of a list ([`Items::per_task`](crate::input::Items::per_task)).
    FewerItems,
    /// Give more disk to results that wait for their turn ([`Run::spill_limit`](crate::Run::spill_limit)).
    LargerSpillLimit,
    /// Write to a file in place of a stream ([`FileSink`](crate::sink::FileSink)).
    WriteToFile,
    /// Write to standard output in place of a file ([`StreamSink`](crate::sink::StreamSink)).
    WriteToStandardOutput,
    /// Compare the inputs by size and times, not by digest (`by_contents` of a source).
    CompareByTimes,
    /// Cut records as the job that is being resumed was begun ([`Boundary`](crate::input::Boundary)).
    SameBoundary,
    /// Say of the headers of the inputs what was said when the job was begun.
    SameHeader,
    /// Look at what separates the items of a list ([`Items::delimiter`](crate::input::Items::delimiter)).
    SeeDelimiter,
    /// Remove the state of an unfinished job ([`clean`](crate::state_dir::clean)).
    #[doc(hidden)]
    CleanByForce,
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text(text) => text,
            Self::RunAgain => "run the same job again: it continues",
            Self::StartAfresh => "start over with `fresh(true)`",
            Self::WaitForHolder => "wait for it, stop it",
            Self::NameAnotherState => "name another place with `state`",
            Self::RetryFailed => "let failed tasks run once more with `Effects::SideEffects`",
            Self::LeaveOut => "let it be left out with `Run::keep_going(true)`",
            Self::FewerTasks => "run fewer tasks at the same time with `jobs`",
            Self::FewerItems => "take fewer items for a task with `Items::per_task` or `Items::fitting`",
            Self::LargerSpillLimit => "let more of them wait with a larger `Run::spill_limit`",
            Self::WriteToFile => "write to a file (`write_to`, `FileSink`): such a job can be continued",
            Self::WriteToStandardOutput => "write to standard output (`write_to_stdout`, `StreamSink`)",
            Self::CompareByTimes => "compare sizes and times with `by_contents(false)`",
            Self::SameBoundary => "give the `Boundary` with which the job was begun",
            Self::SameHeader => "give the `Header` with which the job was begun",
            Self::SeeDelimiter => "see whether `Items::delimiter` is what separates its items",
            Self::CleanByForce => "give it up with `clean`, by force",
        })
    }
}

impl From<&'static str> for Advice {
    fn from(text: &'static str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Advice {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<fmt::Arguments<'_>> for Advice {
    fn from(text: fmt::Arguments<'_>) -> Self {
        text.to_string().into()
    }
}
