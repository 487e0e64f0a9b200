//! How the list on record ended. When its job continues, a list must reach at least this far.

use super::{BEGINNING, refused};
use crate::durable::record::Record;
use crate::error::{Advice, Error};
use crate::task::Mark;
use crate::task::erased::{AnyListing, AnyTask};
use std::cmp::Reverse;

/// The part of a list that the source thread must still compare.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Due {
    /// It has at least this many tasks.
    pub(crate) tasks: u64,
    /// The beginning of the mark of the last of them, if marks are a chain.
    pub(crate) trace: Option<[u8; 8]>,
}

impl Due {
    /// How the list on record ended, or only how many tasks it had, if no more is known.
    pub(crate) fn of(record: &Record) -> Option<Self> {
        let whole = record.whole.map(|whole| Self { tasks: whole.task + 1, trace: Some(whole.trace) });
        let counted = record.tasks.map(|tasks| Self { tasks, trace: None });
        whole.into_iter().chain(counted).min_by_key(|due| (Reverse(due.tasks), due.trace.is_none()))
    }

    /// Whether the old list ended with `task` after `before`. Its last task may have been a shorter one.
    pub(crate) fn fits(self, listing: &AnyListing, before: Option<Mark>, task: &AnyTask, mark: Mark) -> bool {
        let before = before.unwrap_or(BEGINNING);
        self.trace.is_none_or(|trace| {
            mark.trace() == trace
                || listing.beginnings(task).into_iter().any(|part| before.then(part).trace() == trace)
        })
    }

    /// The error for a list that ends after `tasks`.
    pub(crate) fn missing(self, tasks: u64) -> Error {
        let there = format!("the list ends after {tasks} of {}", self.tasks);
        another_list(&format!("{}: {there}", are_missing(self.tasks - tasks)))
    }

    /// The error for a list with other tasks.
    pub(crate) fn differs(self) -> Error {
        another_list(&format!("one of the first {} is not what it was", self.tasks))
    }
}

fn another_list(how: &str) -> Error {
    refused(how).advise("put the list back").or(Advice::NameAnotherState).or(Advice::StartAfresh)
}

pub(super) fn are_missing(items: u64) -> String {
    match items {
        1 => "1 item that was not done is missing".to_string(),
        items => format!("{items} items that were not done are missing"),
    }
}
