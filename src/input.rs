//! Inputs: the files, streams, trees and lists that jobs read, cut into tasks.
//!
//! An input is more than bytes. A job that continues tomorrow must know whether the bytes are still the same
//! ([`InputFile`]), reach any place in them without reading the bytes before it ([`Chunks`]), and list files
//! in an order that is not an accident of the directory ([`Tree`]). A pipe can do none of this: it is read
//! once and only once ([`Stream`]). A job on it can be continued if the same stream is given again:
//! [`Chunks`] knows it by a digest of the finished part. And an input may be a list, each item of which is a
//! task ([`Items`]).
//!
//! How a file is known again is the subject of `witness.rs`: by `stat(2)` as a rule, because a digest would
//! cost as much as most jobs do; by some samples if it has grown; by digest for users who ask for it
//! ([`Chunks::by_contents`]).
//!
//! A file imports only files that stand before it here:
//!
//! 1. `open`, `path_text`, `buffer`: opening, naming, memory
//! 2. `stream`, `left_out`, `once`: inputs that can be read once, or not at all
//! 3. `witness/identity`, `witness/sample`, `witness`, `witness/grown`, `file`: a file, and whether it is the same
//! 4. `packed` over its own files, `resolved`: compressed files; what each of the given paths turned out to be
//! 5. `grammar`, `boundary`, `header`, `pieces`, `records`, `edges`, `chunk`, `streamed`: where records end; then
//!    `witness/contents`, which reads as far
//! 6. the sources: `chunks` by position, `tree` over `kept` and `walk`, `items` over its own files

mod boundary;
mod buffer;
mod chunk;
mod chunks;
#[cfg(test)]
mod cut_tests;
mod edges;
mod file;
mod grammar;
mod header;
mod items;
mod kept;
mod left_out;
mod once;
mod open;
mod packed;
#[doc(hidden)]
pub mod path_text;
mod pieces;
mod records;
mod resolved;
#[cfg(test)]
mod resume_tests;
mod stream;
mod streamed;
#[cfg(test)]
mod testing;
mod tree;
mod walk;
mod witness;

pub use boundary::Boundary;
pub use chunk::Chunk;
pub use chunks::{ChunkListing, Chunks};
pub use file::InputFile;
pub use header::Header;
pub use items::{Column, Fit, Given, Item, ItemListing, Items, Reading};
pub use left_out::{LeftOut, Readable};
pub use packed::{Decompress, Format};
pub use pieces::{PIECE, Pieces};
#[doc(hidden)]
pub use records::{Records, Stretch};
pub use resolved::Inputs;
pub use stream::{Received, Stream};
pub use tree::{Portion, Tree, TreeListing};
pub use walk::Entry;
pub use witness::identity::{Comparison, Identity};
