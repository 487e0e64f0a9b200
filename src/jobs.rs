//! The built-in jobs. They live in the program and not in the library, so that the compiler proves
//! what the library promises: whoever writes a job of his own can do all that these do.

pub(crate) mod argv;
pub(crate) mod attempts;
pub(crate) mod check;
pub(crate) mod checklist;
pub(crate) mod complaints;
pub(crate) mod count;
pub(crate) mod digest;
pub(crate) mod each;
pub(crate) mod grep;
mod names;
mod pattern;
pub(crate) mod lines;
pub(crate) mod pipe;
pub(crate) mod results;
pub(crate) mod shell;
pub(crate) mod template;
#[cfg(test)]
mod testing;
pub(crate) mod words;
