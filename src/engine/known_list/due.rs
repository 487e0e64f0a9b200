//! How a list on record ended: what the list of a job that goes on must have at the least.

use super::{BEGINNING, refused};
use crate::durable::record::Record;
use crate::error::{Advice, Error};
use crate::task::{Listing, Mark};
use std::cmp::Reverse;

/// What the source thread still has to compare of a list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Due {
    /// It has at least this many tasks.
    pub(crate) tasks: u64,
    /// The beginning of the mark of the last of them, where marks are a chain.
    pub(crate) trace: Option<[u8; 8]>,
}

impl Due {
    /// How the list on record ended, or how many tasks it had, if that is all that is known.
    pub(crate) fn of(record: &Record) -> Option<Self> {
        let whole = record.whole.map(|whole| Self { tasks: whole.task + 1, trace: Some(whole.trace) });
        let counted = record.tasks.map(|tasks| Self { tasks, trace: None });
        whole.into_iter().chain(counted).min_by_key(|due| (Reverse(due.tasks), due.trace.is_none()))
    }

    /// Of a list that was put together of this task and what was before it: whether that is how the old one
    /// ended. Its last task may have been shorter because it ended there.
    pub(crate) fn fits<L: Listing>(
        self,
        listing: &L,
        before: Option<Mark>,
        task: &L::Task,
        mark: Mark,
    ) -> bool {
        let before = before.unwrap_or(BEGINNING);
        self.trace.is_none_or(|trace| {
            mark.trace() == trace
                || listing.beginnings(task).into_iter().any(|part| before.then(part).trace() == trace)
        })
    }

    /// For a list that ends after so many tasks.
    pub(crate) fn missing(self, tasks: u64) -> Error {
        let there = format!("the list ends after {tasks} of {}", self.tasks);
        another_list(&format!("{}: {there}", are_missing(self.tasks - tasks)))
    }

    /// For a list that has other tasks.
    pub(crate) fn differs(self) -> Error {
        another_list(&format!("one of the first {} is not what it was", self.tasks))
    }
}

fn another_list(how: &str) -> Error {
    refused(how)
        .advise("what ran is on record; put the list back as it was")
        .or(Advice::NameAnotherState)
        .or(Advice::StartAfresh)
}

pub(super) fn are_missing(items: u64) -> String {
    match items {
        1 => "1 item that was not done is missing".to_string(),
        items => format!("{items} items that were not done are missing"),
    }
}
