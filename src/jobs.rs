//! The built-in jobs. They live in the program and not in the library, so that the compiler proves what the
//! library promises: the author of another job can do all that these do.

pub(crate) mod argv;
pub(crate) mod ask;
pub(crate) mod attempts;
pub(crate) mod check;
pub(crate) mod checklist;
pub(crate) mod columns;
pub(crate) mod complaints;
pub(crate) mod count;
pub(crate) mod digest;
pub(crate) mod each;
pub(crate) mod formats;
pub(crate) mod grep;
pub(crate) mod joblog;
mod names;
pub(crate) mod pattern;
pub(crate) mod lines;
pub(crate) mod pipe;
pub(crate) mod quote;
pub(crate) mod results;
pub(crate) mod shell;
pub(crate) mod template;
#[cfg(test)]
mod testing;
pub(crate) mod text;
pub(crate) mod wording;
pub(crate) mod words;

/// For options in a fingerprint that came after the first version: a job from before has none of them.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_unset(flag: &bool) -> bool {
    !flag
}
