//! Listing `Items`: tasks of one or several items, each with its mark.

use super::column::Step;
use super::combine::{Combinations, bytes_of, words};
use super::described::{Described, Fit};
use super::reading::ReadColumn;
use super::rows::{Rows, shuffled};
use crate::error::{Advice, Error, Result};
use crate::input::buffer::no_room;
use crate::task::{Extent, ListContext, Listed, Listing, Mark};
use serde_json::Value;
use std::path::Path;

/// No command takes more items at a time, or longer ones: the kernel gives it six megabytes, addresses included.
const MOST: usize = 1 << 20;
const LONGEST_TASK: usize = 64 << 20;

/// While tasks are passed over, there is a look whether the run is over after this many of them.
const GLANCE: u64 = 4096;

/// Memory beyond this, which a very long word has needed, is given back.
const KEEP: usize = 1 << 20;

const LONGEST_NOTE: usize = 4096;

/// One task: a word of each column, as many times as a task has items.
///
/// ```
/// use bivouac::input::Item;
/// # let place = tempfile::tempdir()?; std::env::set_current_dir(&place)?;
/// # std::fs::write("names", "Ada\n")?;
/// bivouac::items("names")
///     .map(|item: Item, _| Ok(format!("{:?} {} {}", item.words(), item.text(), item.note())))
///     .write_to("out")
///     .main();
/// assert_eq!(std::fs::read_to_string("out")?, "[[65, 100, 97]] Ada Ada");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    words: Vec<Vec<u8>>,
}

impl Item {
    /// The words: any bytes, in the order of the columns.
    pub fn words(&self) -> &[Vec<u8>] {
        &self.words
    }

    /// The words in a row, as text; bytes that are not UTF-8 are replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.words.join(&b' ')).into_owned()
    }

    /// The words in a row, for people and for the journal: as text, and very long ones only in part.
    pub fn note(&self) -> String {
        let mut note = self.text();
        if note.len() > LONGEST_NOTE {
            let end = (0..=LONGEST_NOTE).rev().find(|end| note.is_char_boundary(*end)).unwrap_or(0);
            note.truncate(end);
            note.push('…');
        }
        note
    }
}

/// Lists items, in all combinations of their columns.
#[derive(Debug)]
pub struct ItemListing {
    described: Described,
    /// The item at hand did not fit into the task before, and begins the next one.
    is_held: bool,
    combinations: Combinations,
    /// How many words an item has.
    width: usize,
    tasks: Option<u64>,
    mark: Mark,
    words: Vec<u8>,
    /// How many items are in `words`: a stop may come before there are enough.
    gathered: usize,
    /// The words of the last task that are not listed yet, and how many items each part has: it is spread over the slots.
    last: (Vec<u8>, usize),
    /// All tasks and what is left of their order, if it is a random one.
    tasks_in_memory: Rows,
    order: Option<std::vec::IntoIter<usize>>,
    /// Tasks to be listed again before the first one that is handed out.
    pub(super) again: u64,
}

impl ItemListing {
    /// A listing before task `frontier`. The `bool` of a column says whether it is linked to the column before it.
    pub(super) fn new(described: Described, columns: Vec<(ReadColumn, bool)>, frontier: u64) -> Self {
        let combinations = Combinations::new(columns, described.reading.in_step);
        let per_task = described.per_task.get() as u64;
        let tasks = |items: u64| items.div_ceil(per_task);
        Self {
            is_held: false,
            tasks: combinations.count().filter(|_| described.fit.is_none()).map(tasks),
            described,
            width: combinations.columns().count(),
            combinations,
            mark: Mark([0; 32]),
            words: Vec::new(),
            gathered: 0,
            last: (Vec::new(), 0),
            tasks_in_memory: Rows::default(),
            order: None,
            again: frontier,
        }
    }

    fn list(&mut self, cx: &ListContext<'_>) -> Result<Step> {
        let step = if self.described.seed.is_some() { self.draw(cx)? } else { self.gather(cx)? };
        if step == Step::Item {
            self.mark = self.mark.then(digest(blake3::hash(&self.words)));
        }
        Ok(step)
    }

    /// Puts the next task of the random order together. For the first one all are read.
    fn draw(&mut self, cx: &ListContext<'_>) -> Result<Step> {
        while self.order.is_none() {
            match self.gather(cx)? {
                Step::Item => {
                    if !self.tasks_in_memory.has_room(self.words.len()) {
                        let problem =
                            format_args!("are more than {} to shuffle", self.tasks_in_memory.count());
                        return Err(no_room(Path::new("items"), problem));
                    }
                    self.tasks_in_memory.bytes.extend_from_slice(&self.words);
                    self.tasks_in_memory.end();
                }
                Step::End => {
                    let order =
                        shuffled(self.tasks_in_memory.count(), self.described.seed.unwrap_or_default());
                    self.order = Some(order.into_iter());
                }
                Step::Stopped => return Ok(Step::Stopped),
            }
        }
        let Some(row) = self.order.as_mut().and_then(Iterator::next) else { return Ok(Step::End) };
        self.words.clear();
        self.words.extend_from_slice(self.tasks_in_memory.row(row));
        Ok(Step::Item)
    }

    /// Puts the next task together, in the order of the list.
    fn gather(&mut self, cx: &ListContext<'_>) -> Result<Step> {
        if !self.last.0.is_empty() {
            self.words = std::mem::take(&mut self.last.0);
            self.keep_a_part();
            return Ok(Step::Item);
        }
        if self.gathered == 0 {
            self.words.clear();
            self.words.shrink_to(KEEP);
        }
        while self.gathered < self.described.per_task.get() {
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
                    let bytes = self.words.len() - 4 * self.gathered * self.width;
                    let fits = |fit: Fit| fit.has_room_for(self.gathered, bytes);
                    if self.gathered > 1 && !self.described.fit.is_none_or(fits) {
                        self.words.truncate(before);
                        self.gathered -= 1;
                        self.is_held = true;
                        break;
                    }
                    if self.gathered > MOST || (self.gathered > 1 && self.words.len() > LONGEST_TASK) {
                        return Err(Error::refused("items", "are more at a time than any command takes")
                            .advise("a command takes six megabytes, names and all")
                            .advise(Advice::FewerItems));
                    }
                }
                Step::End if self.gathered > 0 => {
                    self.last.1 = self
                        .described
                        .over
                        .map_or(self.gathered, |slots| self.gathered.div_ceil(slots.get()));
                    self.keep_a_part();
                    break;
                }
                step @ (Step::End | Step::Stopped) => return Ok(step),
            }
        }
        self.gathered = 0;
        Ok(Step::Item)
    }

    /// Leaves in `words` what one slot gets of the last task.
    fn keep_a_part(&mut self) {
        self.last.0 = self.words.split_off(bytes_of(&self.words, self.last.1 * self.width));
    }

    /// Lists again the tasks that are done. `false` if the run or the list ended before.
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
        serde_json::to_value(&self.described).map_err(|e| Error::broken("items", e))
    }

    /// Compares the digest of the finished items. A shorter list gives the mark of its end, which is unique.
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
        self.combinations.columns().any(ReadColumn::is_stream)
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
        // Stopped before the frontier was reached: the next task would have another number.
        if !self.pass_over(cx)? || self.list(cx)? != Step::Item {
            return Ok(None);
        }
        let words = words(&self.words);
        // The length of a word says nothing of the work: progress counts tasks here.
        Ok(Some(Listed { task: Item { words }, bytes: 0, mark: Some(self.mark) }))
    }

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
