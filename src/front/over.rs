//! The input of a loop, and the items of it that the closure gets.
//!
//! A source lists tasks, and a task is more than one item where items are small (`front/indexed.rs`). The obvious closure
//! gets the task, and loops over its items itself. Here a [`Feed`] does that, and the closure gets items.

use super::indexed::{Indexed, Over};
use super::resumable::Resumable;
use crate::error::Error;
use crate::input::{Boundary, Chunk, Chunks, Column, Entry, Given, InputFile, Items, Portion, Tree};
use crate::task::{Context, Source, TaskError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How the items of a task reach the closure, one by one.
///
/// ```
/// use bivouac::{ByFile, ByItem, Feed, Over, Resumable, Span, Whole, input::{Chunks, Items}};
/// use bivouac::{Context, Location, TaskError};
/// use std::ops::Range;
///
/// // What a loop goes over has a type that functions can return.
/// fn numbers() -> Resumable<Over<Range<u64>>, ByItem> {
///     bivouac::resumable(0..10)
/// }
/// fn text() -> Resumable<Chunks, ByFile> {
///     bivouac::lines("text")
/// }
/// fn names() -> Resumable<Items, Whole> {
///     bivouac::items("names")
/// }
///
/// // A job of your own goes through the items of a task as a loop does.
/// fn sum(task: Span<Range<u64>>, cx: &Context<'_>) -> Result<u64, TaskError> {
///     let mut sum = 0;
///     ByItem::feed(task, cx, |n| {
///         sum += n;
///         Ok(())
///     })?;
///     Ok(sum)
/// }
/// let sums = bivouac::over(Over::new(0..10_u64).together(5)).map(sum);
/// let sums = sums.fold(Vec::new, |all: &mut Vec<u64>, sum| all.push(sum)).state(Location::Nowhere);
/// assert_eq!(sums.into_run()?.run_to_total().1, Some(Some(vec![10, 35])));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Feed<T>: Send + Sync + 'static {
    /// The type of an item, as the closure gets it.
    type Item;

    /// Calls `body` with each item of the task, in order. Ends with the first error of `body`, or with
    /// [`TaskError::Cancelled`] between two items.
    fn feed(task: T, cx: &Context<'_>, body: impl FnMut(Self::Item) -> Passed) -> Passed;
}

pub(super) type Passed = Result<(), TaskError>;

/// A task is one item.
#[derive(Debug)]
pub struct Whole;

/// A task is some items of a list.
#[derive(Debug)]
pub struct ByItem;

/// A task is a file, or a chunk of one. What was read is compared once more before its result counts.
#[derive(Debug)]
pub struct ByFile;

impl<T: Send + 'static> Feed<T> for Whole {
    type Item = T;

    fn feed(task: T, _cx: &Context<'_>, mut body: impl FnMut(T) -> Passed) -> Passed {
        body(task)
    }
}

impl Feed<Chunk> for ByFile {
    type Item = Chunk;

    fn feed(chunk: Chunk, _cx: &Context<'_>, mut body: impl FnMut(Chunk) -> Passed) -> Passed {
        let (path, file) = (chunk.path().to_path_buf(), chunk.shared_file().cloned());
        body(chunk).map_err(|error| about(path.display(), error))?;
        Ok(file.map_or(Ok(()), |file| file.check_unchanged())?)
    }
}

impl Feed<Portion> for ByFile {
    type Item = Arc<InputFile>;

    fn feed(portion: Portion, cx: &Context<'_>, mut body: impl FnMut(Arc<InputFile>) -> Passed) -> Passed {
        let entries = match portion {
            Portion::Files(entries) => entries,
            Portion::Part { file, .. } => {
                return Err(Error::usage(file.path().display(), "is cut into parts").into());
            }
        };
        for entry in entries {
            cx.yield_point()?;
            let file = match entry {
                Entry::File(file) => Arc::new(file),
                Entry::Stream(_) => return Err(Error::usage("files", "are not among streams").into()),
                Entry::Unreadable { why, .. } => return Err(TaskError::Failed(why.sentence())),
            };
            body(Arc::clone(&file)).map_err(|error| about(file.path().display(), error))?;
            file.check_unchanged()?;
        }
        Ok(())
    }
}

/// A failure names what it is about.
pub(super) fn about(what: impl std::fmt::Display, error: TaskError) -> TaskError {
    if let TaskError::Failed(why) = error { TaskError::Failed(format!("{what}: {why}")) } else { error }
}

/// One path, or several.
///
/// ```
/// use bivouac::Paths;
///
/// assert_eq!("a".paths(), ["a"].paths());
/// assert_eq!(vec!["a", "b"].paths().len(), 2);
/// ```
pub trait Paths {
    /// The paths, in their order.
    fn paths(self) -> Vec<PathBuf>;
}

macro_rules! paths {
    ($($path:ty)*) => { $(
        impl Paths for $path {
            fn paths(self) -> Vec<PathBuf> {
                vec![self.into()]
            }
        }
    )* };
}

paths! { &str String &String &Path PathBuf &PathBuf }

impl<P: Into<PathBuf>> Paths for Vec<P> {
    fn paths(self) -> Vec<PathBuf> {
        self.into_iter().map(Into::into).collect()
    }
}

impl<P: Into<PathBuf>, const N: usize> Paths for [P; N] {
    fn paths(self) -> Vec<PathBuf> {
        self.into_iter().map(Into::into).collect()
    }
}

/// A loop over a range, a list, or anything [`Indexed`]. A digest tells whether the items are the same.
///
/// ```
/// # let place = tempfile::tempdir().unwrap(); std::env::set_current_dir(&place).unwrap();
/// let words = vec!["one".to_string(), "two".to_string()];
/// bivouac::resumable(words).map(|word, _| Ok(word + "\n")).write_to("words.txt").main();
/// assert_eq!(std::fs::read_to_string("words.txt")?, "one\ntwo\n");
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn resumable<I: Indexed>(items: I) -> Resumable<Over<I>, ByItem> {
    Resumable::new(Over::new(items))
}

/// A loop over text files, in chunks of whole lines: a megabyte or more each ([`Chunk::text`], [`Chunk::read`]).
///
/// ```
/// # let place = tempfile::tempdir().unwrap(); std::env::set_current_dir(&place).unwrap();
/// # std::fs::write("poem.txt", "a rose\nis a rose\n")?;
/// bivouac::lines("poem.txt").map(|chunk, cx| Ok(chunk.text(cx)?.to_uppercase())).write_to("loud.txt").main();
/// assert_eq!(std::fs::read_to_string("loud.txt")?, "A ROSE\nIS A ROSE\n");
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn lines(paths: impl Paths) -> Resumable<Chunks, ByFile> {
    records(paths, Boundary::newline())
}

/// A loop over files of records, in chunks of whole ones.
///
/// ```
/// use bivouac::input::Boundary;
/// # let place = tempfile::tempdir().unwrap(); std::env::set_current_dir(&place).unwrap();
/// # std::fs::write("list", "one\0two\0")?;
/// let records = |text: Vec<u8>| text.iter().filter(|byte| **byte == 0).count();
/// bivouac::records("list", Boundary::nul())
///     .map(move |chunk, cx| Ok(format!("{} records\n", records(chunk.read(cx)?))))
///     .write_to("count.txt")
///     .main();
/// assert_eq!(std::fs::read_to_string("count.txt")?, "2 records\n");
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn records(paths: impl Paths, boundary: Boundary) -> Resumable<Chunks, ByFile> {
    Resumable::new(Chunks::new(paths.paths(), boundary))
}

/// A loop over every regular file below some paths, by name. Its output and its state are not listed. Each file is a
/// task; [`over`] a [`Tree`] takes small ones together.
///
/// ```
/// # let place = tempfile::tempdir().unwrap(); std::env::set_current_dir(&place).unwrap();
/// # std::fs::create_dir("tree")?;
/// # std::fs::write("tree/a", "12345")?;
/// bivouac::files("tree")
///     .map(|file, cx| Ok(format!("{} {}\n", file.read(cx)?.len(), file.path().display())))
///     .write_to("tree/sizes.txt")
///     .main();
/// assert_eq!(std::fs::read_to_string("tree/sizes.txt")?, "5 tree/a\n");
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn files(paths: impl Paths) -> Resumable<Tree, ByFile> {
    Resumable::new(Tree::new(paths.paths(), None).together(1))
}

/// A loop over the lines of a list, each of which is a task of its own; `-` is standard input. For lines that mean
/// much work, such as a name or an address.
///
/// ```
/// # let place = tempfile::tempdir().unwrap(); std::env::set_current_dir(&place).unwrap();
/// # std::fs::write("names.txt", "Ada\nGrace\n")?;
/// bivouac::items("names.txt").map(|item, _| Ok(format!("{}!\n", item.text()))).write_to("hello.txt").main();
/// assert_eq!(std::fs::read_to_string("hello.txt")?, "Ada!\nGrace!\n");
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn items(list: impl Into<PathBuf>) -> Resumable<Items, Whole> {
    over(Items::new(vec![Column { given: Given::File(list.into()), linked: false }]))
}

/// A loop over the tasks of a [`Source`] of your own ([guide](super::guide::your_own_source)).
///
/// ```
/// use bivouac::input::{Column, Given, Items};
/// # let place = tempfile::tempdir().unwrap(); std::env::set_current_dir(&place).unwrap();
/// let column = |words: &[&str]| Column { given: Given::Listed(words.iter().map(Into::into).collect()), linked: false };
/// bivouac::over(Items::new(vec![column(&["a", "b"]), column(&["1", "2"])]))
///     .map(|item: bivouac::input::Item, _| Ok(item.words().concat()))
///     .write_to("all.txt")
///     .main();
/// assert_eq!(std::fs::read_to_string("all.txt")?, "a1a2b1b2");
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn over<S: Source>(source: S) -> Resumable<S, Whole> {
    Resumable::new(source)
}
