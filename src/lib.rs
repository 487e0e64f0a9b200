//! Run a parallel data-processing job that ordinary Unix signals can stop, pause and checkpoint.
pub mod checkpoint;
mod clock;
pub mod disk;
pub mod ending;
pub mod error;
mod gate;
pub mod input;
mod job;
mod observer;
mod policy;
mod pool;
mod run;
pub mod signals;

pub use ending::Ending;
pub use error::{Error, Result};
pub use job::*;
pub use observer::*;
pub use policy::Request;
pub use pool::Context;
pub use run::{Run, StateAt};
