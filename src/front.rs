//! The front door: a loop over anything. Signals stop, pause and checkpoint it, and the next run continues it.
//!
//! The obvious front door is the engine's own: a [`Job`](crate::Job), a [`Source`](crate::Source), a
//! [`Sink`](crate::Sink), a [`Run`](crate::Run). These are four traits to implement for a loop over some numbers, and
//! a mistake in one of them costs the result. Here the job is a closure, the source is a range, a list or a path, and
//! the rest has defaults. It stands on the four, does nothing that they cannot, and leads down to them
//! ([`Loop::into_run`]).
//!
//! | chapter | question |
//! |---|---|
//! | `front/over.rs` | what can a loop go over? |
//! | `front/indexed.rs` | how is a list known again, and how many of its items make a task? |
//! | `front/jobs.rs` | how does a closure become a job? |
//! | `front/resumable.rs` | the builder |
//! | `front/outcome.rs` | how a loop ends, and with it the program |
//! | `front/progress.rs` | an observer that draws, and one that writes sentences |
//! | `front/guide.rs` | the guide |

pub mod guide;
mod indexed;
mod jobs;
mod outcome;
mod over;
pub mod progress;
mod resumable;

pub use indexed::{Indexed, Over, OverListing, Span};
pub use jobs::{Fold, Map, Results, Written};
pub use outcome::{Outcome, Stopped, main};
pub use over::{ByFile, ByItem, Feed, Paths, Whole, files, items, lines, over, records, resumable};
pub use resumable::{Loop, Resumable};

/// What a program with a resumable loop needs: `use bivouac::prelude::*`.
///
/// ```
/// use bivouac::prelude::*;
///
/// fn square(n: u64, cx: &Context<'_>) -> Result<String, TaskError> {
///     cx.yield_point()?;
///     Ok(format!("{}\n", n * n))
/// }
/// # let place = tempfile::tempdir().unwrap(); std::env::set_current_dir(&place).unwrap();
/// let exit = resumable(0..10_u64).map(square).write_to("squares.txt").main();
/// assert_eq!(exit, Exit::Code(0));
/// ```
pub mod prelude {
    pub use super::{Outcome, Stopped, files, items, lines, over, records, resumable};
    pub use crate::ending::Exit;
    pub use crate::input::{Boundary, Chunk, InputFile, Item};
    pub use crate::process::Command;
    pub use crate::signals::standalone::Signals;
    pub use crate::task::{Context, TaskError};
    pub use nix::sys::signal::Signal;
    pub use std::time::Duration;
}
