//! Commands: how they are started, held, ended and reaped, so that a signal means for them what it means for this process.
//!
//! ```text
//! supervisor ── hold, go on, end, kill ──► Children ◄── spawn, reap ── worker, in Context::call
//!                                             │                            │
//!                                             └───── killpg ──►  a group per command
//! ```
//!
//! Each command leads a process group of its own. Then Ctrl-C and Ctrl-Z at the terminal, which the kernel sends to the
//! foreground group, reach bivouac alone, and bivouac decides what the commands get: by default nothing at the first
//! Ctrl-C, and SIGTERM at the second.
//!
//! | chapter | question |
//! |---|---|
//! | `process/run.rs` | how is a command fed and read without a deadlock, and how did it end? |
//! | `process/running.rs` | what is one step of that: pipes, clock, rate limit? |
//! | `process/exit.rs` | how is the end of a command and of its group awaited, and brought about? |
//! | `process/children.rs` | which commands run; which process id may be signalled, and until when? |
//! | `process/spawn.rs`, `process/posix_spawn.rs` | what does a child inherit, and what must it not inherit? |
//! | `process/pipes.rs` | how are the pipes of a command made and fed? |
//! | `process/traces.rs` | can a stop be the reason for a failure? |
//! | `process/leak.rs` | what if output does not end with its command? |
//! | `process/polling.rs` | how long is a command left alone between two looks? |
//! | `process/limits.rs` | when does the system have no room for another command? |
//! | `process/wait.rs` | what does the kernel say of a child, and when is it reaped? |
//! | `process/process_groups.rs` | where does the watcher find the groups of the commands? |
//! | `process/watcher.rs` | what ends the commands of a bivouac that was killed? |

mod children;
mod exit;
mod leak;
mod limits;
mod pipes;
mod polling;
mod posix_spawn;
mod process_groups;
mod run;
mod running;
mod spawn;
mod traces;
mod wait;
#[doc(hidden)]
pub mod watcher;

pub use crate::task::command::{Call, Command, Feed, Finished, How, Usage};
pub(crate) use children::{Children, TO_STOP};
pub use limits::{raise_open_files, restore_open_files};
pub(crate) use process_groups::ProcessGroups;
pub(crate) use spawn::Inheritance;
pub use spawn::environment_of_commands;
