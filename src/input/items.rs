//! Lists of items, each of which is a task: words of the command line, lines of a file or a pipe.
//!
//! A list has no positions, unless it is on the command line: nobody knows what its millionth line is
//! without looking for the ends of the lines before it. But a list is also short, compared with the
//! work: ten million lines are read in the time that ten thousand commands take to start. So a run that
//! goes on reads the list again from its beginning, and in return knows that it *is* the list. Each
//! task carries a [`Mark`], a digest of all words up to its own; where the record says another one, the
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

mod column;
mod combine;
mod cut;
mod feed;
#[cfg(test)]
mod tests;

use self::column::Step;
use self::combine::Combinations;
use self::cut::Delimiter;
use super::path_text;
use crate::error::{Error, Result};
use crate::job::{Extent, Listed, Listing, Mark, Source};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::ffi::OsString;
use std::fmt;
use std::num::NonZero;
use std::path::{Path, PathBuf};

/// The longest item. Commands take 128 KiB in a word; what is longer by far is a list without its
/// delimiter.
const LONGEST: usize = 128 << 20;

/// More items at a time than these, or longer ones together, are gathered for nothing: the kernel gives a command
/// six megabytes at the most, with an address for each word.
const MOST: usize = 1 << 20;
const LONGEST_TASK: usize = 64 << 20;

/// The longest note on an item.
const LONGEST_NOTE: usize = 4096;

/// While tasks are passed over, one looks so often at whether the run is over.
const GLANCE: u64 = 4096;

/// What there was room for beyond this, in a task with a very long word, is given back.
const KEEP: usize = 1 << 20;

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

/// Lists items, in all combinations of their columns.
#[derive(Debug)]
pub struct Items {
    columns: Vec<Column>,
    delimiter: Vec<u8>,
    per_task: NonZero<usize>,
    fit: Option<Fit>,
    /// The item at hand did not fit into the task before, and begins the next one.
    is_held: bool,
    combinations: Combinations,
    /// How many tasks there are, if that is known.
    tasks: Option<u64>,
    /// The mark of the last task listed.
    mark: Mark,
    /// The words of the task that is being put together.
    words: Vec<u8>,
    /// So many items are in `words`: a stop may come before there are enough.
    gathered: usize,
    /// Tasks to be listed again before the first one that is handed out.
    again: u64,
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
            columns: columns.into_iter().map(settle).collect(),
            delimiter: b"\n".to_vec(),
            per_task: NonZero::<usize>::MIN,
            fit: None,
            is_held: false,
            combinations: Combinations::new([]),
            tasks: None,
            mark: Mark([0; 32]),
            words: Vec::new(),
            gathered: 0,
            again: 0,
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

    /// Opens every column, and begins before the first item. What cannot be opened a second time stays
    /// open: a stream, and standard input where it stood.
    fn look(&mut self) -> Result<()> {
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
        let before = std::mem::replace(&mut self.combinations, Combinations::new([]));
        let mut before = before.into_columns();
        let look_at = |column: &Column| match before.next() {
            Some(open) if open.is_stream() || column.given == Given::Stdin => Ok((open, column.linked)),
            Some(_) | None => column::Column::open(&column.given, &delimiter).map(|new| (new, column.linked)),
        };
        let columns: Vec<_> = self.columns.iter().map(look_at).collect::<Result<_>>()?;
        self.combinations = Combinations::new(columns);
        self.combinations.rewind()?;
        (self.mark, self.gathered, self.again, self.is_held) = (Mark([0; 32]), 0, 0, false);
        let per_task = self.per_task.get() as u64;
        let tasks = |items: u64| items.div_ceil(per_task);
        self.tasks = self.combinations.count().filter(|_| self.fit.is_none()).map(tasks);
        Ok(())
    }

    fn described(&self) -> Described {
        let open = self.columns.iter().zip(self.combinations.columns());
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

    /// Goes to the next task: its words and its mark are at hand then.
    fn list(&mut self, listing: &Listing<'_>) -> Result<Step> {
        if self.gathered == 0 {
            self.words.clear();
            self.words.shrink_to(KEEP);
        }
        while self.gathered < self.per_task.get() {
            let step = match std::mem::take(&mut self.is_held) {
                true => Step::Item,
                false => self.combinations.advance(listing)?,
            };
            match step {
                Step::Item => {
                    let before = self.words.len();
                    self.combinations.append_to(&mut self.words);
                    self.gathered += 1;
                    // Words are kept with four bytes before each.
                    let bytes = self.words.len() - 4 * self.gathered;
                    let fits = |fit: Fit| fit.has_room_for(self.gathered, bytes);
                    if self.gathered > 1 && !self.fit.is_none_or(fits) {
                        self.words.truncate(before);
                        self.gathered -= 1;
                        self.is_held = true;
                        break;
                    }
                    if self.gathered > MOST || (self.gathered > 1 && self.words.len() > LONGEST_TASK) {
                        return Err(Error::refused(
                            "items",
                            "are more at a time (-n) than any command takes",
                        )
                        .advise("take fewer at a time; a command takes six megabytes, names and all"));
                    }
                }
                Step::End if self.gathered > 0 => break,
                step @ (Step::End | Step::Stopped) => return Ok(step),
            }
        }
        self.gathered = 0;
        self.mark = self.mark.then(digest(blake3::hash(&self.words)));
        Ok(Step::Item)
    }

    /// Lists again what is done. `false` if that did not come to its end: the run is over, or the list.
    fn pass_over(&mut self, listing: &Listing<'_>) -> Result<bool> {
        while self.again > 0 {
            if self.again.is_multiple_of(GLANCE) && listing.is_stopped() {
                return Ok(false);
            }
            match self.list(listing)? {
                Step::Item => self.again -= 1,
                Step::End | Step::Stopped => return Ok(false),
            }
        }
        Ok(true)
    }
}

impl Source for Items {
    type Task = Item;

    fn describe(&mut self) -> Result<Value> {
        self.look()?;
        serde_json::to_value(self.described()).map_err(|e| Error::broken("items", e))
    }

    fn restore(&mut self, described: &Value, frontier: u64) -> Result<Vec<String>> {
        let then = Described::deserialize(described)
            .map_err(|e| Error::refused("items in the record", e).advise("use --fresh to start over"))?;
        self.look()?;
        if let Some(problem) = self.described().difference(&then) {
            return Err(Error::refused("items", problem)
                .advise("give the same list in the same way again, or use --fresh to start over"));
        }
        self.again = frontier;
        Ok(Vec::new())
    }

    /// Reads again what is done, and looks at nothing in it but the digest. A list that has become shorter
    /// gives the mark of its end, which fits nothing.
    fn mark_before(&mut self, listing: &Listing<'_>) -> Result<Option<Mark>> {
        if self.again == 0 {
            return Ok(None);
        }
        self.pass_over(listing)?;
        Ok(Some(self.mark))
    }

    fn has_item_marks(&self) -> bool {
        true
    }

    fn is_stream(&self) -> bool {
        self.combinations.columns().any(column::Column::is_stream)
    }

    /// Words are digested with four bytes before each, as they are kept.
    fn beginnings(&self, task: &Item) -> Vec<[u8; 8]> {
        let mut hasher = blake3::Hasher::new();
        let whole = task.words.len().saturating_sub(1);
        let then = |word: &Vec<u8>| {
            hasher.update(&u32::try_from(word.len()).unwrap_or(u32::MAX).to_le_bytes()).update(word);
            digest(hasher.finalize())
        };
        task.words.iter().take(whole).map(then).collect()
    }

    fn what_changed(&self) -> String {
        "the list of items is not that of the last run: it differs".to_string()
    }

    fn next(&mut self, listing: &Listing<'_>) -> Result<Option<Listed<Item>>> {
        // Stopped before the frontier was reached: what comes next would have another number.
        if !self.pass_over(listing)? || self.list(listing)? != Step::Item {
            return Ok(None);
        }
        let words = combine::words(&self.words);
        // How long its name is says nothing of the work: progress counts tasks here.
        Ok(Some(Listed { task: Item { words }, bytes: 0, mark: Some(self.mark) }))
    }

    /// Bytes are not told: they are those of the list, and say nothing of the work.
    fn note(&self, task: &Item) -> Option<String> {
        Some(task.note())
    }

    fn holds(&self, task: &Item) -> u64 {
        let words = task.words.iter().map(|word| word.len() + size_of::<Vec<u8>>());
        words.sum::<usize>() as u64
    }

    fn extent(&self) -> Extent {
        Extent { tasks: self.tasks, ..Extent::default() }
    }
}

/// Of a task alone.
fn digest(hash: blake3::Hash) -> [u8; 8] {
    hash.as_bytes().first_chunk().copied().unwrap_or_default()
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
