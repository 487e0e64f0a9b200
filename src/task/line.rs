//! The lines of the journal about a task: when an attempt began, and how it ended.
//!
//! The journal itself, its frames and its durability are [`journal`](crate::journal).

use crate::task::command::Usage;
use serde::{Deserialize, Serialize};

/// The content of one frame of the journal.
///
/// ```
/// use bivouac::journal::{End, Line, Measured, Outcome};
/// use bivouac::{Effects, TaskOutput};
/// # let place = tempfile::tempdir()?; std::env::set_current_dir(&place)?;
///
/// let mails = bivouac::resumable(["ada", "grace"]).map(|to, cx| {
///     let (task, attempt) = (cx.task(), 1);
///     cx.journal(Line::Began { task, attempt, at_ms: 0, note: to.to_string(), of_task: [0; 8] });
///     // … the mail is sent, and must not be sent again …
///     let outcome = Outcome::Done(0);
///     assert!(outcome.is_done());
///     let measured = Measured::default();
///     cx.journal(Line::Ended(End { task, attempt, took_us: 5, outcome, measured }));
///     Ok(())
/// });
/// let output = TaskOutput::PrintedAsCompleted;
/// let ending = mails.state("mails").into_run()?.effects(Effects::SideEffects { output, retry_failed: true }).run();
/// assert_eq!(ending.summary().frontier, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Line {
    /// The first one: whose journal this is.
    #[doc(hidden)]
    Of {
        /// The id of the job's whole life ([`Record::run`](crate::record::Record::run)).
        run: String,
    },
    /// An attempt of a task begins.
    Began {
        /// The task, from 0.
        task: u64,
        /// Which attempt in this run it is, from 1.
        attempt: u32,
        /// When, in milliseconds since 1970.
        at_ms: u64,
        /// A note about the task for people: a file and a range, an item. May be empty.
        note: String,
        /// The end of the task's [`Mark`](crate::task::Mark): the task alone, for a source with marks of that
        /// kind. [`Context::journal`](crate::Context::journal) puts it in.
        of_task: [u8; 8],
    },
    /// It has ended.
    Ended(End),
    /// It has ended, and with it the task: it is done, or has failed for good, and never runs again.
    #[doc(hidden)]
    Settled {
        /// How it ended.
        end: End,
        /// The beginning of the task's [`Mark`](crate::task::Mark), or zeros if it has none.
        trace: [u8; 8],
        /// The end of that mark: the task alone, for a source with marks of that kind.
        of_task: [u8; 8],
    },
    /// The whole list is known, of a job whose list may change between runs.
    #[doc(hidden)]
    Listed {
        /// How many tasks it has.
        tasks: u64,
        /// The beginning of the last task's [`Mark`](crate::task::Mark).
        trace: [u8; 8],
    },
    /// A task that had [ended](Line::Ended) before its turn is settled now: what it printed is handed over.
    #[doc(hidden)]
    Delivered {
        /// The task, from 0.
        task: u64,
        /// Whether it is done, and has not failed.
        done: bool,
        /// As that of [`Line::Settled`].
        trace: [u8; 8],
        /// As that of [`Line::Settled`].
        of_task: [u8; 8],
    },
}

/// The end of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// The task, from 0.
    pub task: u64,
    /// Which attempt in this run it was, from 1.
    pub attempt: u32,
    /// How long it took in microseconds, pauses not counted.
    pub took_us: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// Measurements. In the frame they stand after the line, where older programs do not look.
    #[serde(skip)]
    pub measured: Measured,
}

/// Measurements of an attempt ([`Line`] has an example). A value that is not known is zero or empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// Its slot, from 1 ([`Context::slot`](crate::Context::slot)).
    pub slot: u32,
    /// How long it stood still, paused or suspended, in milliseconds.
    pub stood_ms: u64,
    /// The time, memory and bytes that its command used.
    pub usage: Usage,
    /// If it failed, the last lines on its standard error.
    pub said: String,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It is done, with this exit code.
    Done(i32),
    /// It failed with this exit code.
    Code(i32),
    /// It failed by this signal.
    Signal(i32),
    /// It was ended because it took longer than allowed.
    TimedOut,
    /// It wanted to use the terminal, and was ended.
    WantedTerminal,
    /// It was ended together with the run, and counts for nothing: the task runs again.
    Interrupted,
    /// Nothing is known of its end: it is at work, or was when the run was killed.
    Open,
    /// There is no such command, or it cannot be started.
    NotStarted,
}

impl Outcome {
    /// Whether the task is done by it.
    pub fn is_done(self) -> bool {
        matches!(self, Outcome::Done(_))
    }
}
