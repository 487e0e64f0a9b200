//! Complaints of a job, beside its result: files that could not be read, lines that made no sense.
//!
//! A job does not print; the last thing that it does on its own thread is to hand its complaints over,
//! and the program prints them when the run is over and the progress line is gone.

use std::sync::{Arc, Mutex, PoisonError};

/// Complaints of which each is kept. The rest is counted.
const FIRST: usize = 20;

/// A place for complaints, shared between a job and the program that runs it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Complaints(Arc<Mutex<Vec<String>>>);

impl Complaints {
    /// Adds to those that are kept, as long as there are few.
    pub(crate) fn keep_first(kept: &mut Vec<String>, new: Vec<String>) {
        let room = FIRST.saturating_sub(kept.len());
        kept.extend(new.into_iter().take(room));
    }

    /// Hands over `kept`, of `all` that there were.
    pub(crate) fn make(&self, kept: &[String], all: u64) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.extend(kept.iter().cloned());
        let more = all.saturating_sub(kept.len() as u64);
        if more > 0 {
            lines.push(format!("and {more} more of the kind"));
        }
    }

    /// Adds one, if there are few.
    pub(crate) fn keep(&self, sentence: String) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Self::keep_first(&mut kept, vec![sentence]);
    }

    pub(crate) fn say(&self, sentence: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(sentence);
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
