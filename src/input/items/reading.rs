//! Parts of a source that are no items: a header, the text after an end mark, blank lines.
//!
//! The cut knows only where an item ends. These rules come from `xargs` and GNU parallel, and hold for words of the command
//! line as for a text. So they are applied after both, and before the combinations.

use super::column::{OpenColumn, Step};
use super::feed::Copied;
use crate::error::Result;
use crate::task::ListContext;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// How the items of all sources are read. By default each is taken as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[doc(hidden)]
pub struct Reading {
    /// A text has records of RFC 4180, with this byte between fields. A newline in quotes ends no item.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub csv: Option<u8>,
    /// The first item of each source is its header, and no item.
    #[serde(skip_serializing_if = "is_not")]
    pub header: bool,
    /// A source ends before this item.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Vec<u8>>,
    /// An item that ends with a blank is continued by the next one.
    #[serde(skip_serializing_if = "is_not")]
    pub continued: bool,
    /// An item of nothing but white space is none.
    #[serde(skip_serializing_if = "is_not")]
    pub skips_blank: bool,
    /// All sources go in step, and a shorter one begins again when it has ended.
    #[serde(skip_serializing_if = "is_not")]
    pub in_step: bool,
}

/// For serde, which hands over a reference.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_not(flag: &bool) -> bool {
    !flag
}

impl Reading {
    /// Whether each item is one as it is.
    pub(super) fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// The first difference from the reading on record, as the end of a sentence.
    pub(super) fn difference(&self, then: &Self) -> Option<&'static str> {
        if self.csv != then.csv {
            return Some("are not both read as CSV with the same separator");
        }
        if self.header != then.header {
            return Some("have a header once only");
        }
        if self.until != then.until {
            return Some("have another end mark");
        }
        if (self.continued, self.skips_blank) != (then.continued, then.skips_blank) {
            return Some("are told apart in another way at blanks");
        }
        (self.in_step != then.in_step).then_some("are not combined in the same way")
    }
}

/// A column, of which some things are no items.
#[derive(Debug)]
pub(super) struct ReadColumn {
    column: OpenColumn,
    reading: Reading,
    has_header: bool,
    has_ended: bool,
    /// The item at hand, if it was put together of several.
    joined: Option<Vec<u8>>,
    /// The item at hand is to be continued: a stop came between.
    is_open: bool,
}

impl ReadColumn {
    pub(super) fn new(column: OpenColumn, reading: &Reading) -> Self {
        Self {
            column,
            reading: reading.clone(),
            has_header: reading.header,
            has_ended: false,
            joined: None,
            is_open: false,
        }
    }

    pub(super) fn advance(&mut self, cx: &ListContext<'_>) -> Result<Step> {
        if !std::mem::take(&mut self.is_open) {
            self.joined = None;
        }
        while !self.has_ended {
            match self.column.advance(cx)? {
                Step::Item => {}
                Step::End => {
                    self.has_ended = true;
                    break;
                }
                Step::Stopped => {
                    self.is_open = self.joined.is_some();
                    return Ok(Step::Stopped);
                }
            }
            let item = self.column.item();
            let Reading { until, continued, skips_blank, .. } = &self.reading;
            if std::mem::take(&mut self.has_header) || (*skips_blank && is_blank(item)) {
                continue;
            }
            if until.as_deref() == Some(item) {
                self.has_ended = true;
                break;
            }
            let goes_on = *continued && item.last().is_some_and(|byte| b" \t".contains(byte));
            if goes_on || self.joined.is_some() {
                self.joined.get_or_insert_default().extend_from_slice(item);
            }
            if !goes_on {
                return Ok(Step::Item);
            }
        }
        Ok(if self.joined.is_some() { Step::Item } else { Step::End })
    }

    pub(super) fn item(&self) -> &[u8] {
        self.joined.as_deref().unwrap_or_else(|| self.column.item())
    }

    /// How many items there are, if that takes little time to find out.
    pub(super) fn count(&self) -> Option<u64> {
        let Reading { until, continued, skips_blank, header, .. } = &self.reading;
        let is_known = until.is_none() && !continued && !skips_blank;
        self.column.count().filter(|_| is_known).map(|items| items.saturating_sub(u64::from(*header)))
    }

    delegate::delegate! {
        to self.column {
            pub(super) fn is_stream(&self) -> bool;
            pub(super) fn was_stream(&self) -> bool;
            pub(super) fn copy(
                &mut self,
                start: u64,
                to: &mut dyn FnMut(&[u8]) -> Result<()>,
            ) -> Result<Option<Copied>>;
            pub(super) fn path(&self) -> Option<&Path>;
        }
    }
}

/// Rust does not count the vertical tab; Perl, and so GNU parallel, does.
fn is_blank(item: &[u8]) -> bool {
    item.iter().all(|byte| byte.is_ascii_whitespace() || *byte == b'\x0b')
}
