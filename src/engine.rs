//! From a request to its effect: one thread decides, others work.
//!
//! The three middle chapters of the route are here. [`decide`] turns an event into actions and is pure;
//! [`supervisor`] waits for events and performs the actions; [`commit`] puts results in order and makes them
//! durable. [`run`] is the builder that a program calls, and [`threads`] starts what it asks for.

mod batching;
mod commit;
#[cfg(test)]
mod crash_tests;
mod decide;
pub(crate) mod effects;
mod input_memory;
mod known_list;
pub(crate) mod options;
mod plan;
mod pool;
mod prepare;
pub mod reload;
pub(crate) mod reorder;
pub(crate) mod run;
pub(crate) mod shard;
pub(crate) mod source_thread;
mod supervisor;
mod threads;
