//! Run a parallel data-processing job that ordinary Unix signals can stop, pause and checkpoint, and
//! that goes on where it was, with the same bytes in the end.
//!
//! A climber caught by the night does not go back to the valley. He makes a bivouac, and climbs on in the
//! morning. The same command, run again, continues; in the end the output is byte for byte that of an
//! uninterrupted run.
//!
//! # A job of one's own
//!
//! A [`Job`] says what a task does, a [`Source`] opens a [`Listing`] of the tasks, a [`Sink`] makes the
//! output last, and a [`Run`] puts them together. Here the tasks are numbers, and the output says of each how many steps
//! the Collatz sequence takes from there to 1. The run is stopped in the middle, as a SIGTERM would do
//! it, and continued by a second one.
//!
//! ```
//! use bivouac::sink::FileSink;
//! use bivouac::{Context, Ending, Job, ListContext, Listed, Listing, Result, Run, Source, Location, TaskError};
//! use serde_json::{Value, json};
//! use std::ops::Range;
//!
//! struct Collatz;
//!
//! impl Job for Collatz {
//!     type Task = u64;
//!     type Partial = u64; // the steps of one number
//!     type Total = u64; // the most steps so far: part of every checkpoint
//!
//!     fn name(&self) -> &str {
//!         "collatz"
//!     }
//!
//!     fn fingerprint(&self) -> Value {
//!         Value::Null // no options that could change the output
//!     }
//!
//!     // On any worker, in any order: a function of the task and nothing else.
//!     fn run(&self, task: u64, cx: &Context<'_>) -> std::result::Result<u64, TaskError> {
//!         let (mut n, mut steps) = (task + 1, 0);
//!         while n != 1 {
//!             cx.yield_point()?; // held here while paused; returns an error when cancelled
//!             n = if n % 2 == 0 { n / 2 } else { 3 * n + 1 };
//!             steps += 1;
//!         }
//!         cx.emit(format!("{}: {steps}\n", task + 1).into_bytes())?;
//!         Ok(steps)
//!     }
//!
//!     // On the commit thread, in the order of the tasks.
//!     fn fold(&self, most: &mut u64, steps: u64, _out: &mut Vec<u8>) {
//!         *most = (*most).max(steps);
//!     }
//!
//!     fn finish(&self, most: &mut u64, out: &mut Vec<u8>) {
//!         out.extend(format!("most: {most}\n").into_bytes());
//!     }
//! }
//!
//! /// The numbers up to a bound.
//! struct Upto {
//!     bound: u64,
//! }
//!
//! /// Those that are left.
//! struct Left(Range<u64>);
//!
//! // Opens a new listing each time it is asked: it cannot be one that has come to its end.
//! impl Source for Upto {
//!     type Task = u64;
//!     type Listing = Left;
//!
//!     fn begin(&self) -> Result<Left> {
//!         Ok(Left(0..self.bound))
//!     }
//!
//!     fn resume(&self, described: &Value, frontier: u64) -> Result<Left> {
//!         if described["bound"] != self.bound {
//!             return Err(bivouac::Error::refused("numbers", "the bound is another one"));
//!         }
//!         Ok(Left(frontier..self.bound)) // nothing to do for what is finished
//!     }
//! }
//!
//! impl Listing for Left {
//!     type Task = u64;
//!
//!     fn described(&self) -> Result<Value> {
//!         Ok(json!({ "bound": self.0.end })) // part of the record, for `resume`
//!     }
//!
//!     fn next(&mut self, _: &ListContext<'_>) -> Result<Option<Listed<u64>>> {
//!         Ok(self.0.next().map(|task| Listed { task, bytes: 0, mark: None }))
//!     }
//! }
//!
//! # fn main() -> Result<()> {
//! # let place = tempfile::tempdir().unwrap();
//! # let out = place.path().join("steps.txt");
//! # let state = place.path().join("steps.txt.bivouac");
//! let prepare = || -> Result<_> {
//!     Ok(Run::new(Collatz, Upto { bound: 20_000 })
//!         .sink(FileSink::new(&out)?)
//!         .state(Location::Directory(state.clone())))
//! };
//!
//! let first = prepare()?;
//! first.handle().stop(); // from any thread, at any time; a signal does the same
//! assert!(matches!(first.run(), Ending::Stopped { .. }));
//! assert!(!out.exists(), "an output is never partial");
//!
//! let second = prepare()?;
//! assert!(matches!(second.run(), Ending::Finished { code: 0, .. }));
//! let steps = std::fs::read_to_string(&out).unwrap();
//! assert!(steps.starts_with("1: 0\n2: 1\n3: 7\n"));
//! assert!(steps.ends_with("20000: 30\nmost: 278\n"));
//! # Ok(())
//! # }
//! ```
//!
//! **Signals** reach a run only if you ask for it: block them before any thread is started, and hand the
//! proof to the run.
//!
//! ```no_run
//! use bivouac::{Job, Policy, Run, Source, ending::Exit, signals::{Masked, die_by}};
//! use std::process::ExitCode;
//!
//! /// To be called from `main`, with the value that its first line made:
//! /// `let masked = Masked::block(Policy::default())?;`
//! fn run<J: Job, S: Source<Task = J::Task>>(masked: Masked, job: J, source: S) -> ExitCode {
//!     match Run::new(job, source).signals(masked).run().exit() {
//!         Exit::Code(code) => code.into(),
//!         Exit::Signal(signal) => die_by(signal), // the parent sees what stopped us
//!     }
//! }
//! # let _ = Masked::block(Policy::default());
//! ```
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

pub use durable::store::Location;
pub use durable::task_set::Tasks;
pub use durable::{disk, journal, record, state_dir, status_file};
pub use ending::{Ending, Exit};
pub use engine::effects::{Effects, TaskOutput};
pub use engine::options::{Halt, HaltOn, Starts};
pub use engine::reload;
pub use engine::run::{Handle, Run};
pub use engine::shard::{
    Merged, Shard, ShardListing, ShardResults, ShardSource, Shards, Stored, StoredTask, is_divided,
};
pub use engine::source_thread::list;
pub use error::{Error, Result};
pub use front::{
    ByFile, ByItem, Feed, Fold, Indexed, Loop, Map, Outcome, Over, OverListing, Paths, Results, Resumable,
    Span, Stopped, Whole, Written, files, guide, items, lines, main, over, prelude, progress, records,
    resumable,
};
pub use signals::policy::{self, Policy, Request};
pub use signals::standalone::{Caught, Signals};
pub use task::observer::{Activity, Again, AtWork, Notice, Observer, Progress, Silent};
pub use task::stop_fd::{StopFd, Waited};
pub use task::{
    Committed, Context, Extent, Job, LastLook, ListContext, Listed, Listing, Mark, Presumed, Sink, Source,
    Stretch, TaskError,
};

// Part of the interface, so that a caller need not have these crates in the same version.
pub use nix::sys::signal::Signal;
pub use {serde, serde_json};
