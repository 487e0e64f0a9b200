//! Inputs: what the built-in jobs read, and what a job of one's own may read the same way.
//!
//! An input is more than bytes. A job that is to be continued tomorrow must be able to say
//! tomorrow whether the bytes are still the same ([`Identity`]), must be able to go to any place
//! in them without reading what lies before ([`Chunks`]), and must list them in an order that is
//! not an accident of the directory ([`Tree`]). What cannot do this, a pipe above all, can be read
//! once and only once ([`Stream`]); a job on it works, but cannot be continued, unless the same stream
//! is given again and recognised by what was read of it ([`Records`]).
//!
//! And an input need not be what a task reads: it may be a list, of which each item is one ([`Items`]).
//!
//! Contents of files are compared by identity (inode, size, times), not by digest: a digest
//! would cost as much as most jobs do. Only of a file that has grown some samples are read again, since an
//! identity cannot tell a log from a file that was written anew. Who wants to know it of every byte pays for
//! it ([`Chunks::by_contents`]).

mod boundary;
mod buffer;
mod chunk;
mod chunks;
mod edges;
mod file;
mod items;
mod left_out;
mod once;
mod open;
pub mod path_text;
mod pieces;
mod records;
mod resolved;
#[cfg(test)]
mod resume_tests;
mod stream;
mod streamed;
mod tree;
mod walk;
mod witness;

pub use boundary::Boundary;
pub use chunk::Chunk;
pub use chunks::{Chunks, Cut};
pub use edges::RecordChunk;
pub use file::InputFile;
pub use items::{Column, Fit, Given, Item, Items};
pub use left_out::{LeftOut, Readable};
pub use pieces::{PIECE, Pieces};
pub use records::Records;
pub use resolved::Inputs;
pub use stream::{Received, Stream};
pub use tree::{Entry, Portion, Tree};
pub use witness::identity::{Comparison, Identity};
