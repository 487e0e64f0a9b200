//! From the kernel to a request: the mask, the signal thread, and what each signal means.
//!
//! ```text
//! kernel ─► handler (signal-hook's: notes the signal, writes one byte to a socket)
//!              ─► signal thread (folds what is pending) ─► channel ─► supervisor
//! ```
//!
//! Read `thread` first; it is the first chapter of the route. `mask` says why no other thread ever gets a signal,
//! [`policy`] which signal means what, `escalation` when a repeated signal means more, and `default_action` how a
//! process is suspended and how it dies. `standalone` is the same thread for a program that has no job.

mod default_action;
pub(crate) mod escalation;
mod handlers;
mod mask;
mod on_its_way;
pub mod policy;
pub(crate) mod standalone;
mod subscription;
mod thread;

pub(crate) use default_action::{die, suspend};
pub use default_action::{die_by, is_ignored, keep_exit_statuses};
pub use mask::Masked;
pub(crate) use on_its_way::Resume;
pub(crate) use subscription::Subscription;
pub use thread::Sender;
pub(crate) use thread::{Received, SignalThread};
