//! One job on several machines, with the bytes of a run on one.
//!
//! The obvious way is to split the input and to `cat` the outputs. Then `grep -n` counts from 1 in each piece, a word
//! at a cut is counted twice, and no piece can hash its part of one huge file. What is split here is the list of tasks:
//! shard *k* of *n* runs every *n*-th task, beginning with the *k*-th, and keeps what each has emitted and reported,
//! not rendered. [`Job::run`] depends on its task only, so it does not matter where it ran. Everything that
//! depends on "before" ([`Job::render`], [`Job::fold`], [`Job::finish`]) happens in the merge: that is the job itself,
//! whose results are read instead of computed. So both are runs like any other, with checkpoints and all.
//!
//! | chapter | what it is about |
//! |---|---|
//! | `shard/part.rs` | [`Shard`] and [`ShardSource`]: the job with some of its tasks |
//! | `shard/merged.rs` | [`Merged`] and [`ShardResults`]: the job with the results of its shards |
//! | `shard/frame.rs` | what is between the two: the file of results |
//! | `shard/plan.rs` | [`Shards`]: what all shards must agree on, and which of them are done |
//! | `shard/files.rs` | the files for that: the plan, the list, the lock |
//!
//! Shards share a directory and nothing else. No clock of another machine is compared.

mod files;
mod frame;
mod merged;
mod part;
mod plan;

#[cfg(doc)]
use crate::task::Job;
pub use merged::{Merged, ShardResults, Stored, StoredTask};
pub use part::{Shard, ShardListing, ShardSource};
pub use plan::{Shards, is_divided};

#[cfg(test)]
mod tests;
