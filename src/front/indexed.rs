//! Lists that have a length and an index, as tasks.
//!
//! The obvious task is one item. But the engine needs some 20 µs for a task, and a closure may need one for an item. So a
//! long list is cut into [`PARTS`] tasks of several items each. The size follows from the length alone: a measurement of
//! the first items would differ in the next run, and so would its tasks. This also bounds the cost of an interruption:
//! each worker may do one task again, and that is one part in 16,384 of the whole.

use super::over::{ByItem, Feed, Passed, about};
use crate::error::{Advice, Error, Result};
use crate::task::{Context, Extent, ListContext, Listed, Listing, Source};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::ops::Range;
use std::sync::Arc;

/// The number of tasks into which a longer list is cut.
const PARTS: u64 = 1 << 14;

/// Something with a length and an index, that does not change.
///
/// ```
/// use bivouac::Indexed;
///
/// /// The cells of a board, row by row.
/// struct Board { side: u64 }
///
/// impl Indexed for Board {
///     type Item = (u64, u64);
///
///     fn length(&self) -> u64 {
///         self.side * self.side
///     }
///
///     fn item(&self, index: u64) -> (u64, u64) {
///         (index / self.side, index % self.side)
///     }
///
///     fn digest(&self) -> bivouac::Result<String> {
///         Ok(format!("a board of {}", self.side))
///     }
/// }
/// # let place = tempfile::tempdir().unwrap(); std::env::set_current_dir(&place).unwrap();
/// bivouac::resumable(Board { side: 2 }).map(|cell, _| Ok(format!("{cell:?}"))).write_to("cells.txt").main();
/// assert_eq!(std::fs::read_to_string("cells.txt")?, "(0, 0)(0, 1)(1, 0)(1, 1)");
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait Indexed: Send + Sync + 'static {
    /// The type of an item.
    type Item: Send + 'static;

    /// How many items there are.
    fn length(&self) -> u64;

    /// The item at `index`, which is less than the length.
    fn item(&self, index: u64) -> Self::Item;

    /// The same text if and only if the items are the same: a loop is continued only over the same items.
    fn digest(&self) -> Result<String>;
}

macro_rules! ranges {
    ($($number:ty)*) => { $(
        impl Indexed for Range<$number> {
            type Item = $number;

            fn length(&self) -> u64 {
                if self.is_empty() { 0 } else { self.end.abs_diff(self.start) as u64 }
            }

            fn item(&self, index: u64) -> $number {
                self.start.wrapping_add(index as $number)
            }

            fn digest(&self) -> Result<String> {
                Ok(format!("{}..{}", self.start, self.end))
            }
        }
    )* };
}

ranges! { u8 u16 u32 u64 usize i8 i16 i32 i64 isize }

macro_rules! lists {
    ($($list:ty $(, $length:ident)?;)*) => { $(
        impl<T: Serialize + Clone + Send + Sync + 'static $(, const $length: usize)?> Indexed for $list {
            type Item = T;

            fn length(&self) -> u64 {
                self.len() as u64
            }

            fn item(&self, index: u64) -> T {
                self[index as usize].clone()
            }

            fn digest(&self) -> Result<String> {
                digest(self)
            }
        }
    )* };
}

lists! { Vec<T>; [T; N], N; }

impl<T: Serialize + Sync + 'static> Indexed for &'static [T] {
    type Item = &'static T;

    fn length(&self) -> u64 {
        self.len() as u64
    }

    fn item(&self, index: u64) -> &'static T {
        &self[index as usize]
    }

    fn digest(&self) -> Result<String> {
        digest(self)
    }
}

/// The digest of these items, one after the other in a compact format.
fn digest<T: Serialize>(items: &[T]) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    let mut bytes = Vec::new();
    for (index, item) in items.iter().enumerate() {
        bytes.clear();
        bytes = postcard::to_extend(item, bytes)
            .map_err(|e| Error::usage(format_args!("item {index}"), format_args!("has no digest: {e}")))?;
        hasher.update(&(bytes.len() as u64).to_le_bytes()).update(&bytes);
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// The items of a list, to be listed as [`Span`]s.
///
/// ```
/// use bivouac::{ListContext, Listing, Over, OverListing, Source, Span};
/// use std::ops::Range;
///
/// let tens: Over<Range<u64>> = Over::new(0..25).together(10);
/// let listing: OverListing<Range<u64>> = tens.begin()?;
/// assert_eq!(listing.extent().tasks, Some(3));
///
/// let mut sums = Vec::new();
/// bivouac::list(&tens, &mut |_, span: Span<Range<u64>>| {
///     sums.push(span.iter().map(|(_, n)| n).sum::<u64>());
///     Ok(())
/// })?;
/// assert_eq!(sums, [45, 145, 110]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Over<I> {
    items: Arc<I>,
    together: Option<u64>,
}

impl<I: Indexed> Over<I> {
    /// All of them.
    pub fn new(items: I) -> Self {
        Self { items: Arc::new(items), together: None }
    }

    setters! {
        /// Makes one task of N items. Default: 1; for a long list so many that there are about 16,384 tasks.
        pub fn together(items: u64) => together = Some(items.max(1));
    }

    fn described(&self) -> Result<Described> {
        let (length, digest) = (self.items.length(), self.items.digest()?);
        let together = self.together.unwrap_or(length / PARTS).max(1);
        Ok(Described { length, digest, together })
    }

    fn listing(&self, described: Described, frontier: u64) -> OverListing<I> {
        OverListing { items: Arc::clone(&self.items), described, next: frontier }
    }
}

shown_by! { Over<I>, together }

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Described {
    length: u64,
    digest: String,
    together: u64,
}

impl<I: Indexed> Source for Over<I> {
    type Task = Span<I>;
    type Listing = OverListing<I>;

    fn begin(&self) -> Result<OverListing<I>> {
        Ok(self.listing(self.described()?, 0))
    }

    fn resume(&self, described: &Value, frontier: u64) -> Result<OverListing<I>> {
        let then = Described::deserialize(described)
            .map_err(|e| Error::refused("items of the loop on record", e).advise(Advice::StartAfresh))?;
        let now = Described { together: then.together, ..self.described()? };
        if now != then || then.together == 0 {
            let how = format!("are not those with which it began: {} then, {} now", then.length, now.length);
            let error = Error::refused("items of the loop", how);
            return Err(error.advise("give the same again").or(Advice::StartAfresh));
        }
        Ok(self.listing(then, frontier))
    }
}

/// Lists the items of an [`Over`].
pub struct OverListing<I> {
    items: Arc<I>,
    described: Described,
    next: u64,
}

shown_by! { OverListing<I>, next }

impl<I: Indexed> Listing for OverListing<I> {
    type Task = Span<I>;

    fn described(&self) -> Result<Value> {
        serde_json::to_value(&self.described).map_err(|e| Error::broken("items of the loop", e))
    }

    fn next(&mut self, _: &ListContext<'_>) -> Result<Option<Listed<Span<I>>>> {
        let Described { length, together, .. } = self.described;
        let from = self.next.saturating_mul(together);
        if from >= length {
            return Ok(None);
        }
        self.next += 1;
        let task = Span { items: Arc::clone(&self.items), range: from..(from + together).min(length) };
        Ok(Some(Listed { task, bytes: 0, mark: None }))
    }

    fn extent(&self) -> Extent {
        let tasks = self.described.length.div_ceil(self.described.together);
        Extent { tasks: Some(tasks), ..Extent::default() }
    }
}

/// Some consecutive items of a list: the task of an [`Over`].
pub struct Span<I> {
    items: Arc<I>,
    range: Range<u64>,
}

impl<I: Indexed> Span<I> {
    /// The items, each with its index.
    pub fn iter(&self) -> impl Iterator<Item = (u64, I::Item)> + '_ {
        self.range.clone().map(|index| (index, self.items.item(index)))
    }
}

shown_by! { Span<I>, range }

impl<I: Indexed> Feed<Span<I>> for ByItem {
    type Item = I::Item;

    fn feed(span: Span<I>, cx: &Context<'_>, mut body: impl FnMut(I::Item) -> Passed) -> Passed {
        let is_one = span.range.end - span.range.start == 1; // The number of the task says which item it is.
        for (index, item) in span.iter() {
            cx.yield_point()?;
            let named = |error| about(format_args!("item {}", index + 1), error);
            body(item).map_err(|error| if is_one { error } else { named(error) })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn listed<I: Indexed>(mut listing: OverListing<I>) -> Vec<Range<u64>> {
        let cx = ListContext::endless();
        std::iter::from_fn(|| listing.next(&cx).unwrap()).map(|listed| listed.task.range).collect()
    }

    #[test]
    fn a_short_list_is_one_item_a_task_and_a_long_one_no_more_than_so_many_tasks() {
        assert_eq!(listed(Over::new(3..6_u8).begin().unwrap()), [0..1, 1..2, 2..3]);
        let long = listed(Over::new(0..10 * PARTS + 3).begin().unwrap());
        assert_eq!((long.len() as u64, long[1].clone()), (PARTS + 1, 10..20));
        assert_eq!(long.last().unwrap().clone(), 10 * PARTS..10 * PARTS + 3);
        let edges: Vec<i64> = Over::new(i64::MIN..i64::MIN + 2)
            .begin()
            .unwrap()
            .next(&ListContext::endless())
            .unwrap()
            .into_iter()
            .flat_map(|listed| listed.task.iter().map(|(_, item)| item).collect::<Vec<_>>())
            .collect();
        assert_eq!(edges, [i64::MIN]);
        let backwards = Range { start: 5, end: 3_u32 };
        assert!(listed(Over::new(backwards).begin().unwrap()).is_empty());
    }

    #[test]
    fn the_same_items_go_on_in_the_same_tasks_and_others_are_refused() {
        let words = |words: &[&str]| Over::new(words.iter().map(ToString::to_string).collect::<Vec<_>>());
        let described = words(&["a", "bc", "d"]).together(2).begin().unwrap().described().unwrap();
        assert_eq!(
            listed(words(&["a", "bc", "d"]).resume(&described, 1).unwrap()).as_slice(),
            std::slice::from_ref(&(2..3))
        );
        for others in [&["a", "bc"][..], &["a", "bc", "e"], &["ab", "c", "d"], &["a", "bc", "d", "e"]] {
            assert_eq!(words(others).resume(&described, 1).unwrap_err().kind(), Kind::Refused, "{others:?}");
        }
    }
}
