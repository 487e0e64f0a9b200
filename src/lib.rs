//! Run a parallel data-processing job that ordinary Unix signals can stop, pause and checkpoint, and
//! that goes on where it was, with the same bytes in the end.
//!
//! A climber caught by the night does not go back to the valley. He makes a bivouac, and climbs on in the morning.
//! The same command, run again, continues; in the end the output is byte for byte that of an uninterrupted run.
//!
//! # A loop that can be stopped
//!
//! ```no_run
//! use bivouac::prelude::*;
//!
//! fn main() -> bivouac::Exit {
//!     resumable(0..2_000_u64)
//!         .map(|n, cx| {
//!             cx.yield_point()?;
//!             Ok(format!("{}\n", n * n))
//!         })
//!         .write_to("squares.txt")
//!         .main()
//! }
//! ```
//!
//! Ctrl-C, SIGTERM, SIGKILL or a power cut: the same program, started again, goes on where it was. A loop goes over
//! a range or a list ([`resumable`]), text ([`lines`]), [`records`], a tree of [`files`], a list of [`items`], or a
//! [source of your own](guide::your_own_source). Its results are written in order, or taken into a total that is
//! handed back ([`Loop::fold`], [`main`](crate::main())).
//!
//! | page of the [`guide`] | question |
//! |---|---|
//! | [`guide::first_job`] | what may the closure do, and what does each way to stop it mean? |
//! | [`guide::signals`] | signals for a program without a loop; what do `ctrlc` and `tokio::signal` do instead? |
//! | [`guide::resume`] | what is kept, and what must be the same? |
//! | [`guide::your_own_source`] | where else can tasks come from? |
//! | [`guide::testing_a_job`] | how is an interruption tested? |
//! | [`guide::lower_floor`] | a [`Job`], a [`Source`], a [`Sink`] and a [`Run`], for everything that the front door does not offer |
//!
//! # How it works, in reading order
//!
#![doc = "```text"]
#![doc = include_str!("../docs/threads.txt")]
#![doc = "```"]
//!
//! **The route.** Follow one signal from the kernel to the disk; that answers "how would you use signals in a
//! multithreaded application?". Five files, each a chapter: [`thread`] (kernel → request) → [`decide`] (request →
//! actions) → [`supervisor`] (perform) → [`commit`] (order) → [`store`] (flush, write, fsync, rename, fsync). The
//! [`architecture`] page names the rooms, the invariants, and what is deliberately absent. [`one_signal`] follows
//! a single SIGTERM and says at each step what could go wrong. A program without a job receives signals through
//! [`Signals`].
//!
//! [`thread`]: ../src/bivouac/signals/thread.rs.html
//! [`decide`]: ../src/bivouac/engine/decide.rs.html
//! [`supervisor`]: ../src/bivouac/engine/supervisor.rs.html
//! [`commit`]: ../src/bivouac/engine/commit.rs.html
//! [`store`]: ../src/bivouac/durable/store.rs.html

/// The setters of a builder: each stores its argument, or what is made of it, in a field. Written out, four of five
/// lines of a setter are the same in all of them.
macro_rules! setters {
    ($($(#[$doc:meta])* pub fn $name:ident($($argument:ident: $of:ty),*) => $($field:ident).+ = $value:expr;)*) => { $(
        $(#[$doc])*
        #[must_use]
        pub fn $name(mut self, $($argument: $of),*) -> Self {
            self.$($field).+ = $value;
            self
        }
    )* };
}

/// `Debug` of a type with a field that has none, by a field that has.
macro_rules! shown_by {
    ($of:ident $(<$($with:tt),+>)?, $($field:ident).+) => {
        impl $(<$($with),+>)? std::fmt::Debug for $of $(<$($with),+>)? {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_tuple(stringify!($of)).field(&self.$($field).+).finish()
            }
        }
    };
}

// The rooms, from the door to the disk. Imports go downwards only; a test says so.
mod front; // a loop in a few lines
mod engine; // request → effect
pub mod signals; // kernel → request
mod task; // what the author of a job sees
pub mod sink; // where output goes
mod durable; // what survives
pub mod process; // children
pub mod input; // files, streams, trees and lists, cut into tasks

// What all of them stand on.
pub mod ending;
pub mod error;
mod sync;
mod sys;

// Their links lead to files, which is right where the documents are read as files. Of two definitions of a link
// the first one counts: here to the pages of the source. (`scripts/relink` makes that list.)
#[doc = include_str!("../docs/links.txt")]
#[doc = include_str!("../ARCHITECTURE.md")]
pub mod architecture {}
#[doc = include_str!("../docs/links.txt")]
#[doc = include_str!("../docs/signal.md")]
pub mod one_signal {}

pub use durable::journal;
pub use durable::store::Location;
pub use ending::{Ending, Exit};
pub use engine::effects::{Effects, TaskOutput};
pub use engine::options::{Halt, HaltOn, Starts};
pub use engine::run::{Handle, Run};
pub use engine::source_thread::list;
pub use error::{Error, Result};
pub use front::{
    ByFile, ByItem, Feed, Fold, Indexed, Loop, Map, Outcome, Over, OverListing, Paths, Results, Resumable,
    Span, Stopped, Whole, Written, files, guide, items, lines, main, over, prelude, progress, records,
    resumable,
};
pub use signals::policy::{self, Policy, Request};
#[doc(hidden)]
pub use signals::standalone::Heard;
pub use signals::standalone::{Caught, Signals};
pub use task::observer::{Activity, Again, AtWork, Notice, Observer, Progress, Silent};
pub use task::stop_fd::{StopFd, Waited};
pub use task::{
    Committed, Context, Extent, Job, LastLook, ListContext, Listed, Listing, Mark, Presumed, Sink, Source,
    Stretch, TaskError,
};

// The tool and the library are one package and two crates. So what the tool alone uses must be public as well, here
// and in the rooms. It is hidden: authors of jobs have no use for these names, and they may change in any release.
#[doc(hidden)]
pub use durable::{disk, history, local_locks, record, state_dir, status_file, task_set::Tasks};
#[doc(hidden)]
pub use engine::reload;
#[doc(hidden)]
pub use engine::shard::{
    Merged, Shard, ShardListing, ShardResults, ShardSource, Shards, Stored, StoredTask, is_divided,
};

// Part of the interface, so that a caller need not have these crates in the same version.
pub use nix::sys::signal::Signal;
pub use {serde, serde_json};
