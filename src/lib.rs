//! Run a parallel data-processing job that ordinary Unix signals can stop, pause and checkpoint.
pub mod checkpoint;
mod clock;
pub mod disk;
pub mod ending;
pub mod error;
mod gate;
mod job;
mod observer;
pub mod output;
mod policy;
mod pool;
mod run;
pub mod signals;
pub mod state_dir;

pub use ending::Ending;
pub use error::{Error, Result};
pub use job::*;
pub use observer::*;
pub use policy::Request;
pub use pool::Context;
pub use run::{Run, StateAt};
