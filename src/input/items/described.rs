//! A list in the record: its sources, and how they are put together. The items are in the mark.

use super::column::{Column, Given};
use super::reading::{ReadColumn, Reading};
use crate::input::path_text;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::num::NonZero;
use std::path::PathBuf;

/// How many items fit into one task: those whose length together, in bytes, has an upper bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fit {
    /// The bound.
    pub bytes: u64,
    /// The bytes that are taken without any item.
    pub taken: u64,
    /// How many times the length of an item counts.
    pub times: u64,
    /// The bytes that each item adds besides.
    pub each: u64,
}

impl Fit {
    pub(super) fn has_room_for(self, items: usize, bytes: usize) -> bool {
        let items = (items as u64).saturating_mul(self.each);
        let all = (bytes as u64).saturating_mul(self.times).saturating_add(items).saturating_add(self.taken);
        all <= self.bytes
    }
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Described {
    columns: Vec<Stored>,
    /// As Rust would write it; `None` where no text is cut.
    delimiter: Option<String>,
    pub(super) per_task: NonZero<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) fit: Option<Fit>,
    /// The last task is spread over so many slots. A job that goes on keeps to it, whatever its slots are now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) over: Option<NonZero<usize>>,
    #[serde(default, skip_serializing_if = "Reading::is_plain")]
    pub(super) reading: Reading,
    /// The order is a random one, and this decides which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) seed: Option<u64>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stored {
    #[serde(flatten)]
    from: Origin,
    linked: bool,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "from")]
enum Origin {
    CommandLine,
    StandardInput,
    File {
        #[serde(with = "path_text")]
        path: PathBuf,
    },
    /// The path is for people only: `/dev/fd/63` may be `/dev/fd/62` next time. The mark decides whether it is the same list.
    Stream {
        #[serde(with = "path_text")]
        path: PathBuf,
    },
}

impl Described {
    /// The description of these columns, each with the way in which it was opened.
    pub(super) fn new<'a>(
        columns: impl IntoIterator<Item = (&'a Column, &'a ReadColumn)>,
        delimiter: &[u8],
        (per_task, fit): (NonZero<usize>, Option<Fit>),
        reading: &Reading,
    ) -> Self {
        let store = |(column, open): (&Column, &ReadColumn)| Stored {
            from: match &column.given {
                Given::Listed(_) => Origin::CommandLine,
                Given::Stdin => Origin::StandardInput,
                Given::File(path) if open.was_stream() => Origin::Stream { path: path.clone() },
                Given::File(path) => Origin::File { path: path.clone() },
            },
            linked: column.linked,
        };
        let columns: Vec<Stored> = columns.into_iter().map(store).collect();
        let is_cut = columns.iter().any(|column| column.from != Origin::CommandLine);
        let delimiter = is_cut.then(|| delimiter.escape_ascii().to_string());
        Self { columns, delimiter, per_task, fit, over: None, reading: reading.clone(), seed: None }
    }

    /// The first difference from the list on record, as the end of a sentence.
    pub(super) fn difference(&self, then: &Self) -> Option<String> {
        let (now, before) = (self.columns.len(), then.columns.len());
        if now != before {
            return Some(format!("come from {now} sources; the state is about items from {before}"));
        }
        for (column, before) in self.columns.iter().zip(&then.columns) {
            if !column.from.is_as(&before.from) {
                return Some(format!("come from {}; the state is about {}", column.from, before.from));
            }
            if column.linked != before.linked {
                let how = if before.linked { "were" } else { "were not" };
                return Some(format!("from {} {how} linked to those before them (:::+)", column.from));
            }
        }
        if self.delimiter != then.delimiter {
            let [now, before] = [self, then].map(|d| d.delimiter.as_deref().unwrap_or_default());
            return Some(format!(
                "are told apart by `{now}`; the state is about items told apart by `{before}`"
            ));
        }
        if let Some(difference) = self.reading.difference(&then.reading) {
            return Some(difference.to_string());
        }
        if self.seed != then.seed {
            let order = |seed: Option<u64>| {
                seed.map_or("in their own order".to_string(), |seed| format!("shuffled by seed {seed}"))
            };
            return Some(format!("are {}; the state is about items {}", order(self.seed), order(then.seed)));
        }
        if self.fit != then.fit {
            return Some("are fitted into a command by another measure than in the run before".to_string());
        }
        let (now, before) = (self.per_task, then.per_task);
        (now != before).then(|| format!("are taken {now} at a time; the state is about {before} at a time"))
    }
}

impl Origin {
    /// Whether a list from this origin can be the list on record. Two streams can always be the same.
    fn is_as(&self, then: &Self) -> bool {
        matches!((self, then), (Self::Stream { .. }, Self::Stream { .. })) || self == then
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine => f.write_str("the command line"),
            Self::StandardInput => f.write_str("standard input"),
            Self::File { path } => write!(f, "the file {}", path.display()),
            Self::Stream { path } => write!(f, "the stream {}", path.display()),
        }
    }
}
