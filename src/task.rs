//! What the author of a job sees: a [`Job`] says what a task does, a [`Source`] opens a [`Listing`] of the
//! tasks, a [`Sink`] makes the output last, and a [`Context`] is all that a running task sees of the world.
//!
//! The built-in verbs are written on exactly these and nothing else. The division of labour makes the output
//! a function of the input alone:
//!
//! | part | thread | may depend on |
//! |---|---|---|
//! | [`Listing::next`] | source | the input; lists always in the same order |
//! | [`Job::run`] | any worker, any order | its task and nothing else |
//! | [`Job::render`], [`Job::fold`], [`Job::finish`] | commit | earlier tasks, **in task order** |
//! | [`Sink`] | commit | the bytes handed to it |
//!
//! The commit thread answers questions such as "how many lines came before this one": it alone has a before. No part of
//! a task sees a signal. A task sees the [`gate`], which is open, closed or cancelled.

pub(crate) mod clock;
pub(crate) mod command;
mod committed;
mod context;
pub(crate) mod erased;
pub(crate) mod gate;
mod job;
mod line;
mod mark;
pub(crate) mod observer;
pub(crate) mod outbox;
mod shared;
mod sink;
pub(crate) mod source;
pub(crate) mod stop_fd;
mod task_error;

pub(crate) use committed::is_zero;
pub use committed::{Committed, Stretch};
pub use context::Context;
pub(crate) use context::{Commands, Debt, Remark};
pub use job::Job;
pub use line::{End, Line, Measured, Outcome};
pub use mark::Mark;
pub(crate) use shared::{LOOK_UP, Running, SAYINGS, Saying, Shared};
pub use sink::Sink;
pub use source::{Extent, LastLook, ListContext, Listed, Listing, Source};
pub(crate) use task_error::with_causes;
pub use task_error::{Presumed, TaskError};
