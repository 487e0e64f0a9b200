//! Lists of items, each of which is a task: words of the command line, lines of a file or a pipe.
//!
//! A list has no positions, unless it is on the command line: the millionth line is found only by looking for
//! the ends of the lines before it. But a list is short, compared with the work: ten million lines are read
//! in the time in which ten thousand commands start. So a run that continues reads the list again from its
//! beginning, and in return knows that it *is* the list. Each task carries a [`Mark`](crate::Mark), a digest
//! of all words up to its own; if the record has another one, the run is refused. After the frontier the list
//! may differ: above all, it may be longer.
//!
//! The marks are a chain: each is the digest of the one before and of a digest of the words of its task. The
//! obvious digest of everything, asked after each task, takes four times as long, 0.63 µs against 0.15. And
//! with the digests of single tasks in the journal, the chain can be computed for a list from which finished
//! tasks are gone: files that `gzip` took out of `*.log`.
//!
//! Several columns give all combinations, the last varying fastest; linked ones go in step, as in GNU
//! parallel.
//!
//! | chapter | what it is about |
//! |---|---|
//! | `items/feed.rs` | where the bytes come from, and how a pipe is read twice |
//! | `items/cut.rs` | where an item ends |
//! | `items/column.rs` | one source of items |
//! | `items/reading.rs` | parts of a source that are no items |
//! | `items/combine.rs` | several sources side by side |
//! | `items/rows.rs` | items that are kept in memory, and another order of them |
//! | `items/described.rs` | a list in the record |
//! | `items/listing.rs` | tasks of one or several items, and their marks |

mod column;
mod combine;
mod cut;
mod described;
mod feed;
mod listing;
mod reading;
mod rows;
#[cfg(test)]
mod tests;

use self::column::OpenColumn;
use self::column::Step;
pub use self::column::{Column, Given};
use self::cut::Delimiter;
use self::described::Described;
pub use self::described::Fit;
use self::feed::{Copied, Feed};
pub use self::listing::Item;
pub use self::listing::ItemListing;
use self::reading::ReadColumn;
pub use self::reading::Reading;
use crate::error::{Advice, At, Error, Result};
use crate::sync::lock;
use crate::task::stop_fd::StopFd;
use crate::task::{ListContext, Listing, Source};
use serde::Deserialize;
use serde_json::{Value, json};
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Where the seed of an order comes from.
#[derive(Clone, Copy, Debug)]
enum Seed {
    Given(u64),
    /// That of the record, or any.
    Found,
}

/// Items, to be listed in all combinations of their columns.
///
/// ```
/// use bivouac::input::{Column, Fit, Given, Item, ItemListing, Items};
/// use bivouac::{Listing, Source};
/// use std::num::NonZero;
/// # let place = tempfile::tempdir()?; std::env::set_current_dir(&place)?;
/// # std::fs::write("list", "a;bb;c;d")?;
/// # let listed = |items: &Items| -> bivouac::Result<Vec<String>> {
/// #     let mut listed = Vec::new();
/// #     bivouac::list(items, &mut |_, item: Item| {
/// #         assert_eq!(item.words().len(), item.note().split(' ').count());
/// #         listed.push(item.text());
/// #         Ok(())
/// #     })?;
/// #     Ok(listed)
/// # };
///
/// let column = Column { given: Given::File("list".into()), linked: false };
/// let items = Items::new(vec![column]).delimiter(b";".to_vec());
/// let two = NonZero::new(2).unwrap();
/// assert_eq!(listed(&items)?, ["a", "bb", "c", "d"]);
/// assert_eq!(listed(&items.clone().per_task(two))?, ["a bb", "c d"]);
/// let fit = Fit { bytes: 3, taken: 0, times: 1, each: 0 };
/// assert_eq!(listed(&items.clone().per_task(NonZero::new(9).unwrap()).fitting(fit).over(two))?, ["a bb", "c", "d"]);
/// assert_eq!(listed(&items.clone().shuffled(Some(7)))?.len(), 4);
/// let listing: ItemListing = items.begin()?;
/// assert!(!listing.described()?.is_null());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Items {
    columns: Arc<Vec<Column>>,
    delimiter: Vec<u8>,
    per_task: NonZero<usize>,
    fit: Option<Fit>,
    over: Option<NonZero<usize>>,
    reading: Reading,
    shuffle: Option<Seed>,
    /// By column, the feeds that can be opened only once: all listings share them.
    open: Arc<Mutex<Vec<Option<Feed>>>>,
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
            over: None,
            reading: Reading::default(),
            shuffle: None,
            open: Arc::default(),
        }
    }

    setters! {
        /// Sets the delimiter between two items of a text. It may be several bytes.
        pub fn delimiter(bytes: Vec<u8>) => delimiter = bytes;

        /// Makes one task of this many consecutive items, or combinations of them; the last task may have fewer.
        pub fn per_task(items: NonZero<usize>) => per_task = items;

        /// Makes one task of as many items as fit: at least one, and no more than [`per_task`](Self::per_task) says.
        pub fn fitting(fit: Fit) => fit = Some(fit);

        /// Spreads the last task of those that take as many items as [fit](Self::fitting) over so many tasks, if the list
        /// ends before it is full: otherwise one worker would do what all could. In a run that goes on the number of its
        /// first run counts.
        pub fn over(slots: NonZero<usize>) => over = Some(slots);

        /// Says what of the sources is read as an item, and how.
        #[doc(hidden)]
        pub fn reading(reading: Reading) => reading = reading;

        /// Lists the tasks in a random order, which the seed decides; without one, any order, and in a run that goes
        /// on the same again. All items are read, and kept in memory, before the first task.
        pub fn shuffled(seed: Option<u64>) => shuffle = Some(seed.map_or(Seed::Found, Seed::Given));
    }

    /// The headers of all sources that have any item, if they have [one](Reading::header). Waits for them, and
    /// nothing ends the wait. What is read of a stream is not lost to the listings that follow.
    ///
    /// # Errors
    ///
    /// As [`Source::begin`].
    #[doc(hidden)]
    pub fn headers(&self) -> Result<Vec<Vec<u8>>> {
        // Whether a list is there is asked for where the state is known: a job that goes on refuses in its own way.
        if !self.reading.header {
            return Ok(Vec::new());
        }
        let all = Self { reading: Reading { header: false, ..self.reading.clone() }, ..self.clone() };
        let stop = StopFd::new()?;
        let cx = ListContext::rehearsal(&stop);
        let mut headers = Vec::new();
        for (mut column, _) in all.open()?.1 {
            if column.advance(&cx)? == Step::Item {
                headers.push(column.item().to_vec());
            }
        }
        Ok(headers)
    }

    /// How many tasks there are, which takes as long as reading all of them. Waits as [`headers`](Self::headers)
    /// does.
    ///
    /// # Errors
    ///
    /// As [`Source::begin`].
    #[doc(hidden)]
    pub fn count(&self) -> Result<u64> {
        let stop = StopFd::new()?;
        let cx = ListContext::rehearsal(&stop);
        let (mut listing, mut tasks) = (self.begin()?, 0);
        while listing.next(&cx)?.is_some() {
            tasks += 1;
        }
        Ok(tasks)
    }

    /// Opens every column, before its first item.
    fn open(&self) -> Result<(Described, Vec<(ReadColumn, bool)>)> {
        if self.columns.is_empty() {
            return Err(Error::usage("items", "there is nothing that they could come from"));
        }
        if self.columns.iter().filter(|column| column.given == Given::Stdin).count() > 1 {
            return Err(Error::usage("standard input", "is given twice, and can be read once"));
        }
        let delimiter = match self.reading.csv {
            Some(separator) => Some(Delimiter::Record(separator)),
            None => Delimiter::new(&self.delimiter),
        };
        let delimiter = delimiter.ok_or_else(|| Error::usage("the delimiter", "is empty"))?;
        let mut open = lock(&self.open);
        open.resize_with(self.columns.len(), || None);
        let open_column = |(column, open): (&Column, &mut Option<Feed>)| {
            let new = OpenColumn::open(&column.given, &delimiter, open)?;
            Ok((ReadColumn::new(new, &self.reading), column.linked))
        };
        let columns: Vec<_> = self.columns.iter().zip(&mut *open).map(open_column).collect::<Result<_>>()?;
        let opened = self.columns.iter().zip(columns.iter().map(|(open, _)| open));
        let described = Described::new(opened, &self.delimiter, (self.per_task, self.fit), &self.reading);
        Ok((described, columns))
    }
}

fn of_another(cause: serde_json::Error) -> Error {
    Error::refused("items in the record", cause).advise(Advice::StartAfresh)
}

impl Source for Items {
    type Task = Item;
    type Listing = ItemListing;

    fn files(&self) -> Vec<PathBuf> {
        let files = self.columns.iter().filter_map(|column| match &column.given {
            Given::File(path) => Some(path.clone()),
            Given::Stdin | Given::Listed(_) => None,
        });
        files.collect()
    }

    fn begin(&self) -> Result<ItemListing> {
        let (mut described, columns) = self.open()?;
        described.over = self.over.filter(|_| self.fit.is_some());
        described.seed = self.shuffle.map(|seed| match seed {
            Seed::Given(seed) => seed,
            // How the hasher of a map is seeded is random enough.
            Seed::Found => RandomState::new().hash_one(0),
        });
        Ok(ItemListing::new(described, columns, 0))
    }

    fn resume(&self, described: &Value, frontier: u64) -> Result<ItemListing> {
        let then = Described::deserialize(described).map_err(of_another)?;
        let (mut now, columns) = self.open()?;
        now.over = then.over;
        now.seed = match self.shuffle {
            Some(Seed::Given(seed)) => Some(seed),
            // A list in its own order has none to find, which is a difference.
            Some(Seed::Found) => Some(then.seed.unwrap_or_default()),
            None => None,
        };
        if let Some(problem) = now.difference(&then) {
            return Err(Error::refused("items", problem)
                .advise("give the same list in the same way again")
                .or(Advice::StartAfresh));
        }
        Ok(ItemListing::new(now, columns, frontier))
    }

    /// The text of each column that has one.
    fn keep(&self, _own: &[PathBuf], to: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<Option<Value>> {
        let mut at = 0;
        let mut copied = Vec::new();
        for (mut column, _) in self.open()?.1 {
            let start = at;
            let to = &mut |bytes: &[u8]| {
                at += bytes.len() as u64;
                to(bytes)
            };
            copied.push(column.copy(start, to)?);
        }
        Ok(copied.iter().any(Option::is_some).then(|| json!(copied)))
    }

    fn find_in(&mut self, path: &Path, parts: &Value) -> Result<()> {
        let copied = Vec::<Option<Copied>>::deserialize(parts).map_err(of_another)?;
        let file = Arc::new(File::open(path).at(path, "open")?);
        let feed = |copied: Option<Copied>| copied.map(|copied| Feed::copied(path, &file, copied));
        *lock(&self.open) = copied.into_iter().map(feed).collect();
        Ok(())
    }
}
