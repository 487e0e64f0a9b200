//! One source of items: words of the command line, or a text that is cut.

use super::cut::{Cut, Delimiter, LONGEST};
use super::feed::{Copied, Feed};
use crate::error::{Advice, Error, Result};
use crate::input::stream::Received;
use crate::task::ListContext;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A text larger than this is not read only to say how many items there are.
const COUNTED: u64 = 1 << 30;

/// Where items come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    /// The command line, or a program that uses this library: these are the items.
    Listed(Vec<OsString>),
    /// A file or a pipe, which the delimiter cuts into items; `-` is standard input.
    File(PathBuf),
    /// Standard input, which the delimiter cuts into items.
    Stdin,
}

/// One source of items beside others.
///
/// ```
/// use bivouac::input::{Column, Given, Items};
/// # let place = tempfile::tempdir()?; std::env::set_current_dir(&place)?;
/// # std::fs::write("names", "Ada\nGrace\n")?;
///
/// let names = Column { given: Given::File("names".into()), linked: false };
/// let years = Column { given: Given::Listed(vec!["1815".into(), "1906".into()]), linked: true };
/// let mut listed = Vec::new();
/// bivouac::list(&Items::new(vec![names, years]), &mut |_, item| {
///     listed.push(item.text());
///     Ok(())
/// })?;
/// assert_eq!(listed, ["Ada 1815", "Grace 1906"]); // in step, and not in all combinations
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Where its items come from.
    pub given: Given,
    /// Whether it goes in step with the column before it. The shortest of those that are linked ends
    /// them all. For the first column this means nothing.
    pub linked: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Item,
    End,
    /// The run is over. The next call goes on where this one was.
    Stopped,
}

#[derive(Debug)]
pub(super) enum OpenColumn {
    Listed { items: Vec<OsString>, next: usize },
    Text { cut: Cut, feed: Feed, delimiter: Delimiter, has_ended: bool },
}

impl OpenColumn {
    /// Opens a column. A pipe, which can be opened only once, is kept in `open` for the next listing.
    pub(super) fn open(given: &Given, delimiter: &Delimiter, open: &mut Option<Feed>) -> Result<Self> {
        let path = match given {
            Given::Listed(items) => return Ok(Self::Listed { items: items.clone(), next: 0 }),
            Given::File(path) => path,
            Given::Stdin => Path::new("-"),
        };
        let feed = match open {
            Some(feed) => feed.once_more()?,
            None => {
                let feed = Feed::open(path)?;
                if feed.is_stream() || *given == Given::Stdin {
                    *open = Some(feed.once_more()?);
                }
                feed
            }
        };
        Ok(Self::Text {
            cut: Cut::new(delimiter.clone()),
            delimiter: delimiter.clone(),
            feed,
            has_ended: false,
        })
    }

    /// Whether this cannot be read a second time.
    pub(super) fn is_stream(&self) -> bool {
        match self {
            Self::Listed { .. } => false,
            Self::Text { feed, .. } => feed.is_stream(),
        }
    }

    /// Whether it is a stream, or a copy of a stream.
    pub(super) fn was_stream(&self) -> bool {
        match self {
            Self::Listed { .. } => false,
            Self::Text { feed, .. } => feed.was_stream(),
        }
    }

    /// Hands its text to `to`. Items of the command line have none, because all shards have the command line.
    pub(super) fn copy(
        &mut self,
        start: u64,
        to: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<Option<Copied>> {
        match self {
            Self::Listed { .. } => Ok(None),
            Self::Text { feed, .. } => feed.copy(start, to).map(Some),
        }
    }

    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Self::Listed { .. } => None,
            Self::Text { feed, .. } => Some(feed.path()),
        }
    }

    pub(super) fn advance(&mut self, cx: &ListContext<'_>) -> Result<Step> {
        match self {
            Self::Listed { items, next } => {
                *next = items.len().min(*next).saturating_add(1);
                Ok(if *next <= items.len() { Step::Item } else { Step::End })
            }
            Self::Text { cut, feed, has_ended, .. } => {
                let step = advance_text(cut, feed, has_ended, cx)?;
                if cut.item().len() > LONGEST {
                    return Err(too_long(feed.path()));
                }
                Ok(step)
            }
        }
    }

    pub(super) fn item(&self) -> &[u8] {
        match self {
            Self::Listed { items, next } => {
                next.checked_sub(1).and_then(|i| items.get(i)).map_or(&[], |item| item.as_bytes())
            }
            Self::Text { cut, .. } => cut.item(),
        }
    }

    /// How many items there are, if that takes little time to find out.
    pub(super) fn count(&self) -> Option<u64> {
        match self {
            Self::Listed { items, .. } => Some(items.len() as u64),
            Self::Text { delimiter: Delimiter::Byte(byte), feed, .. } => {
                let (mut ends, mut last) = (0, *byte);
                feed.peruse(COUNTED, |bytes| {
                    ends += memchr::memchr_iter(*byte, bytes).count() as u64;
                    last = bytes.last().copied().unwrap_or(last);
                })
                .then(|| ends + u64::from(last != *byte))
            }
            Self::Text { delimiter, feed, .. } => {
                let (mut ends, mut cut) = (0, Cut::new(delimiter.clone()));
                // An item that is too long is refused when its turn comes.
                let read = feed.peruse(COUNTED, |bytes| {
                    if cut.pending() <= LONGEST {
                        cut.room().extend_from_slice(bytes);
                    }
                    while cut.find() {
                        ends += 1;
                    }
                });
                (read && cut.pending() <= LONGEST).then(|| ends + u64::from(cut.find_last()))
            }
        }
    }
}

fn advance_text(cut: &mut Cut, feed: &mut Feed, has_ended: &mut bool, cx: &ListContext<'_>) -> Result<Step> {
    loop {
        if cut.find() {
            return Ok(Step::Item);
        }
        if *has_ended {
            if cut.pending() > 0 && !feed.ends_an_item(cx)? {
                return Ok(Step::Stopped);
            }
            return Ok(if cut.find_last() { Step::Item } else { Step::End });
        }
        if cut.pending() > LONGEST {
            return Err(too_long(feed.path()));
        }
        match feed.fill(cut.room(), cx)? {
            Received::Some => {}
            Received::End => *has_ended = true,
            Received::Stopped => return Ok(Step::Stopped),
        }
    }
}

fn too_long(path: &Path) -> Error {
    Error::refused(path.display(), format_args!("has an item longer than {LONGEST} bytes"))
        .advise(Advice::SeeDelimiter)
}
