//! What survives: the record of a run, the directory that holds it, its lock, and the disk below both.
//!
//! Everything in this room is about one promise: after a SIGKILL or a power cut the next run finds either
//! the old record or the new one, whole, and an output that is at least as long as the record says. The
//! last chapter of the route is [`store`]; the rest is what it stands on.

pub mod disk;
pub mod history;
mod holder;
pub mod journal;
pub mod local_locks;
mod lock;
pub mod record;
pub(crate) mod spill;
pub mod state_dir;
pub mod status_file;
pub(crate) mod store;
pub(crate) mod task_set;
