//! Lists of items, each of which is a task: words of the command line, lines of a file or a pipe.
//!
//! A list has no positions, unless it is on the command line: nobody knows what its millionth line is
//! without looking for the ends of the lines before it. But a list is also short, compared with the
//! work: ten million lines are read in the time that ten thousand commands take to start. So a run that
//! goes on reads the list again from its beginning, and in return knows that it *is* the list. Each
//! task carries a [`Mark`](crate::Mark), a digest of all words up to its own; where the record says another one, the
//! run is refused. What stands behind the frontier may be another list than last time: a longer one
//! above all.
//!
//! The marks are a chain, each the digest of the one before and of a digest of the words of its task. The
//! obvious digest of everything, asked after each task, takes four times as long, since it works through what
//! is left of a kibibyte each time; a link of the chain is two single blocks. (Measured: 0.63 µs against 0.15.)
//! And with the digests of single tasks in the journal, the chain of a list can be computed of which some
//! tasks are gone: those that are done, whose files `gzip` has taken out of `*.log`.
//!
//! Several columns give all combinations, the last varying fastest, and columns that are linked go in
//! step: the rules of GNU parallel, so that nobody has to learn others.
//!
//! | chapter | what it is about |
//! |---|---|
//! | `items/feed.rs` | where the bytes come from, and how a pipe is read twice |
//! | `items/cut.rs` | where an item ends |
//! | `items/column.rs` | one source of items, and how many they are |
//! | `items/combine.rs` | several side by side |
//! | `items/listing.rs` | tasks of them, and their marks |

mod column;
mod combine;
mod cut;
mod feed;
mod listing;
#[cfg(test)]
mod tests;

use self::cut::Delimiter;
use self::feed::Feed;
use self::listing::ItemListing;
use super::path_text;
use crate::error::{Error, Result};
use crate::job::Source;
use crate::sync::lock;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::ffi::OsString;
use std::fmt;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// The longest item. Commands take 128 KiB in a word; what is longer by far is a list without its
/// delimiter.
const LONGEST: usize = 128 << 20;

/// The longest note on an item.
const LONGEST_NOTE: usize = 4096;

/// One task: a word of each column, or as many of the one column as a task has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    words: Vec<Vec<u8>>,
}

impl Item {
    /// The words: any bytes, in the order of the columns.
    pub fn words(&self) -> &[Vec<u8>] {
        &self.words
    }

    /// The words in a row, for people and for the journal: as text, and not the whole of very long ones.
    pub fn note(&self) -> String {
        let mut note = String::from_utf8_lossy(&self.words.join(&b' ')).into_owned();
        if note.len() > LONGEST_NOTE {
            let end = (0..=LONGEST_NOTE).rev().find(|end| note.is_char_boundary(*end)).unwrap_or(0);
            note.truncate(end);
            note.push('…');
        }
        note
    }
}

/// Where items come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    /// They are here.
    Listed(Vec<OsString>),
    /// They are the text of a file or a pipe, told apart by the delimiter; `-` is standard input.
    File(PathBuf),
    /// They are the text of standard input.
    Stdin,
}

/// One source of items beside others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Where its items come from.
    pub given: Given,
    /// Whether it goes in step with the column before it. The shortest of those that are linked ends
    /// them all. For the first column this says nothing.
    pub linked: bool,
}

/// How many items fit into one task: those whose length together, in bytes, has an upper bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fit {
    /// The bound.
    pub bytes: u64,
    /// How much of it is taken without any item.
    pub taken: u64,
    /// How often the length of an item counts.
    pub times: u64,
    /// And how much more each one adds.
    pub each: u64,
}

impl Fit {
    fn has_room_for(self, items: usize, bytes: usize) -> bool {
        let items = (items as u64).saturating_mul(self.each);
        let all = (bytes as u64).saturating_mul(self.times).saturating_add(items).saturating_add(self.taken);
        all <= self.bytes
    }
}

/// Items, to be listed in all combinations of their columns.
#[derive(Clone, Debug)]
pub struct Items {
    columns: Arc<Vec<Column>>,
    delimiter: Vec<u8>,
    per_task: NonZero<usize>,
    fit: Option<Fit>,
    /// What can be opened only once, by column: all listings share it.
    open: Arc<Mutex<Vec<Option<Feed>>>>,
}

/// What the record says of a list. The items are in the mark.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Described {
    columns: Vec<Stored>,
    /// As Rust would write it; `None` where no text is cut.
    delimiter: Option<String>,
    per_task: NonZero<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fit: Option<Fit>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stored {
    #[serde(flatten)]
    from: Origin,
    linked: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "from")]
enum Origin {
    CommandLine,
    StandardInput,
    File {
        #[serde(with = "path_text")]
        path: PathBuf,
    },
    /// The path is for a person: `/dev/fd/63` is another one next time, and the mark knows better.
    Stream {
        #[serde(with = "path_text")]
        path: PathBuf,
    },
}

impl Items {
    /// Items of these columns, by line, one of each column in a task.
    pub fn new(columns: Vec<Column>) -> Self {
        let is_stdin = |given: &Given| matches!(given, Given::File(path) if path == Path::new("-"));
        let settle = |column: Column| match is_stdin(&column.given) {
            true => Column { given: Given::Stdin, ..column },
            false => column,
        };
        Self {
            columns: Arc::new(columns.into_iter().map(settle).collect()),
            delimiter: b"\n".to_vec(),
            per_task: NonZero::<usize>::MIN,
            fit: None,
            open: Arc::default(),
        }
    }

    /// What stands between two items of a text. It may be several bytes.
    #[must_use]
    pub fn delimiter(mut self, bytes: Vec<u8>) -> Self {
        self.delimiter = bytes;
        self
    }

    /// So many items that follow each other make one task, the last of which may have fewer. Only
    /// for a single column.
    #[must_use]
    pub fn per_task(mut self, items: NonZero<usize>) -> Self {
        self.per_task = items;
        self
    }

    /// As many items make one task as fit, at least one, and no more than [`per_task`](Self::per_task) says.
    #[must_use]
    pub fn fitting(mut self, fit: Fit) -> Self {
        self.fit = Some(fit);
        self
    }

    /// Opens every column, before its first item.
    fn open(&self) -> Result<ItemListing> {
        if self.columns.is_empty() {
            return Err(Error::usage("items", "there is nothing that they could come from"));
        }
        if self.per_task.get() > 1 && self.columns.len() > 1 {
            return Err(Error::usage("-n", "several items at once are taken of a single source only")
                .advise("leave out -n, or give all items in one source"));
        }
        if self.columns.iter().filter(|column| column.given == Given::Stdin).count() > 1 {
            return Err(Error::usage("standard input", "is given twice, and can be read once"));
        }
        let delimiter =
            Delimiter::new(&self.delimiter).ok_or_else(|| Error::usage("--delimiter", "is empty"))?;
        let mut open = lock(&self.open);
        open.resize_with(self.columns.len(), || None);
        let open_column = |(column, open): (&Column, &mut Option<Feed>)| {
            column::Column::open(&column.given, &delimiter, open).map(|new| (new, column.linked))
        };
        let columns: Vec<_> = self.columns.iter().zip(&mut *open).map(open_column).collect::<Result<_>>()?;
        Ok(ItemListing::new(self, columns))
    }

    /// What the record says of the columns that were opened.
    fn described<'a>(&self, open: impl Iterator<Item = &'a column::Column>) -> Described {
        let open = self.columns.iter().zip(open);
        let store = |(column, open): (&Column, &column::Column)| Stored {
            from: match &column.given {
                Given::Listed(_) => Origin::CommandLine,
                Given::Stdin => Origin::StandardInput,
                Given::File(path) if open.is_stream() => Origin::Stream { path: path.clone() },
                Given::File(path) => Origin::File { path: path.clone() },
            },
            linked: column.linked,
        };
        let columns: Vec<Stored> = open.map(store).collect();
        let is_cut = columns.iter().any(|column| column.from != Origin::CommandLine);
        let delimiter = is_cut.then(|| self.delimiter.escape_ascii().to_string());
        Described { columns, delimiter, per_task: self.per_task, fit: self.fit }
    }
}

impl Source for Items {
    type Task = Item;
    type Listing = ItemListing;

    fn begin(&self) -> Result<ItemListing> {
        self.open()
    }

    fn resume(&self, described: &Value, frontier: u64) -> Result<ItemListing> {
        let then = Described::deserialize(described)
            .map_err(|e| Error::refused("items in the record", e).advise("use --fresh to start over"))?;
        let listing = self.open()?;
        if let Some(problem) = listing.to_be_stored().difference(&then) {
            return Err(Error::refused("items", problem)
                .advise("give the same list in the same way again, or use --fresh to start over"));
        }
        Ok(listing.at(frontier))
    }
}

impl Described {
    /// What is not as it was then, for a person.
    fn difference(&self, then: &Self) -> Option<String> {
        let (now, before) = (self.columns.len(), then.columns.len());
        if now != before {
            return Some(format!("come from {now} sources; the state is about items from {before}"));
        }
        for (column, before) in self.columns.iter().zip(&then.columns) {
            if column.from != before.from {
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
        if self.fit != then.fit {
            return Some(
                "are as many as fit (-X, -m, -n 0, --max-chars), by another measure than then".to_string(),
            );
        }
        let (now, before) = (self.per_task, then.per_task);
        (now != before)
            .then(|| format!("are taken {now} at a time (-n); the state is about {before} at a time"))
    }
}

/// Whether a list may pass for the one that was there.
impl PartialEq for Origin {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::CommandLine, Self::CommandLine)
            | (Self::StandardInput, Self::StandardInput)
            | (Self::Stream { .. }, Self::Stream { .. }) => true,
            (Self::File { path }, Self::File { path: other }) => path == other,
            (Self::CommandLine | Self::StandardInput | Self::File { .. } | Self::Stream { .. }, _) => false,
        }
    }
}

impl Eq for Origin {}

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
