//! Listing [`Items`]: tasks of one or several items, each with its mark.

use super::column::{Column, Step};
use super::combine::{Combinations, words};
use super::{Described, Fit, Item, Items};
use crate::error::{Error, Result};
use crate::task::{Extent, ListContext, Listed, Listing, Mark};
use serde_json::Value;

/// More items at a time than these, or longer ones together, are gathered for nothing: the kernel gives a command
/// six megabytes at the most, with an address for each word.
const MOST: usize = 1 << 20;
const LONGEST_TASK: usize = 64 << 20;

/// While tasks are passed over, one looks so often at whether the run is over.
const GLANCE: u64 = 4096;

/// What there was room for beyond this, in a task with a very long word, is given back.
const KEEP: usize = 1 << 20;

/// Lists items, in all combinations of their columns.
#[derive(Debug)]
pub struct ItemListing {
    items: Items,
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
    pub(super) again: u64,
}

impl ItemListing {
    /// Of columns that were just opened, each with whether it is linked to the one before it.
    pub(super) fn new(items: &Items, columns: Vec<(Column, bool)>) -> Self {
        let combinations = Combinations::new(columns);
        let per_task = items.per_task.get() as u64;
        let tasks = |items: u64| items.div_ceil(per_task);
        Self {
            items: items.clone(),
            is_held: false,
            tasks: combinations.count().filter(|_| items.fit.is_none()).map(tasks),
            combinations,
            mark: Mark([0; 32]),
            words: Vec::new(),
            gathered: 0,
            again: 0,
        }
    }

    /// The same before task `frontier`.
    pub(super) fn at(self, frontier: u64) -> Self {
        Self { again: frontier, ..self }
    }

    pub(super) fn to_be_stored(&self) -> Described {
        self.items.described(self.combinations.columns())
    }

    /// Goes to the next task: its words and its mark are at hand then.
    fn list(&mut self, cx: &ListContext<'_>) -> Result<Step> {
        if self.gathered == 0 {
            self.words.clear();
            self.words.shrink_to(KEEP);
        }
        while self.gathered < self.items.per_task.get() {
            let step = match std::mem::take(&mut self.is_held) {
                true => Step::Item,
                false => self.combinations.advance(cx)?,
            };
            match step {
                Step::Item => {
                    let before = self.words.len();
                    self.combinations.append_to(&mut self.words);
                    self.gathered += 1;
                    // Words are kept with four bytes before each.
                    let bytes = self.words.len() - 4 * self.gathered;
                    let fits = |fit: Fit| fit.has_room_for(self.gathered, bytes);
                    if self.gathered > 1 && !self.items.fit.is_none_or(fits) {
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
    fn pass_over(&mut self, cx: &ListContext<'_>) -> Result<bool> {
        while self.again > 0 {
            if self.again.is_multiple_of(GLANCE) && cx.is_stopped() {
                return Ok(false);
            }
            match self.list(cx)? {
                Step::Item => self.again -= 1,
                Step::End | Step::Stopped => return Ok(false),
            }
        }
        Ok(true)
    }
}

impl Listing for ItemListing {
    type Task = Item;

    fn described(&self) -> Result<Value> {
        serde_json::to_value(self.to_be_stored()).map_err(|e| Error::broken("items", e))
    }

    /// Reads again what is done, and looks at nothing in it but the digest. A list that has become shorter
    /// gives the mark of its end, which fits nothing.
    fn mark_before(&mut self, cx: &ListContext<'_>) -> Result<Option<Mark>> {
        if self.again == 0 {
            return Ok(None);
        }
        self.pass_over(cx)?;
        Ok(Some(self.mark))
    }

    fn has_item_marks(&self) -> bool {
        true
    }

    fn is_stream(&self) -> bool {
        self.combinations.columns().any(Column::is_stream)
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

    fn next(&mut self, cx: &ListContext<'_>) -> Result<Option<Listed<Item>>> {
        // Stopped before the frontier was reached: what comes next would have another number.
        if !self.pass_over(cx)? || self.list(cx)? != Step::Item {
            return Ok(None);
        }
        let words = words(&self.words);
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
