//! Where output goes: into a file that appears whole, onto a stream, or nowhere.
//!
//! Each implements [`Sink`](crate::Sink), and that trait is all that the engine knows of them.

mod discard;
mod file;
mod stream;

pub use discard::Discard;
pub(crate) use discard::without_a_place;
pub use file::FileSink;
pub use stream::{Around, StreamSink, refuse_closed_stdout};
