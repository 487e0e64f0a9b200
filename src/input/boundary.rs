//! Where one record ends and the next begins, as an exact definition.
//!
//! The obvious definition is a procedure: read on until a delimiter has come. Its result depends on the place
//! where it began: with `aa` as the delimiter, a reader that begins at the first byte of `aaa` cuts after the
//! second byte, and one that begins at the second byte cuts after the third. Two workers in the middle of a
//! file would disagree about their common edge, and a byte would be lost or come twice.
//!
//! So a boundary is a property of a place and of the bytes around it, and of nothing else. With *data*
//! for all the bytes of one input, a place *p* > 0 is a boundary
//!
//! ```text
//! of END and START    if data[..p] ends with END and data[p..] begins with START
//! of FIXED n          if p is a multiple of n
//! ```
//!
//! Either END or START may be empty. END alone is a terminator (a newline; a NUL; `//\n`); START
//! alone is a mark that begins a record **wherever its bytes stand**, also in the middle of a line.
//! "A line that begins with `>`" (FASTA) is END `\n` and START `>`; the newline then belongs to the record
//! before. A mailbox is END `\n` and START `From `. GNU parallel's `--recstart '\n>'` comes to the same
//! records, but gives each newline to the record after it. FIXED 1 lets a job cut anywhere.
//!
//! Records that only a reader from the beginning can tell apart have no such rule: see
//! [`grammar`](super::grammar).
//!
//! An input begins and ends with an edge of records: none reaches from one input into the next.
//!
//! # Matches that overlap
//!
//! By this rule, three newlines in a row are two boundaries of END `\n\n`, one byte apart. A reader from the
//! beginning of the input sees one: two newlines end a record, and the third begins the next. So the rule
//! above defines a *match*, and a boundary is a match that shares no byte of its END with the END of the
//! boundary before, and none of its START with the START of that one. (A START at the very beginning belongs
//! to the first record.)
//!
//! Few boundaries can overlap with themselves. For those, the bytes before a match do matter, but not far:
//! see [`edges`](super::edges) for how little of them a search has to read.

use super::grammar::Grammar;
use crate::error::{Error, Result};
use memchr::memmem::{self, Finder};
use std::fmt;

/// How records are told apart.
///
/// Its [`Display`](fmt::Display) form is exact: two boundaries are the same if and only if their
/// texts are. It stands in the record of a job.
///
/// ```
/// use bivouac::input::Boundary;
/// # use bivouac::input::Chunks;
/// # let place = tempfile::tempdir()?; std::env::set_current_dir(&place)?;
/// # let cut = |text: &str, boundary: Boundary| -> bivouac::Result<Vec<String>> {
/// #     std::fs::write("text", text).unwrap();
/// #     let mut records = Vec::new();
/// #     bivouac::list(&Chunks::new(vec!["text".into()], boundary).block(Some(1)), &mut |_, chunk| {
/// #         let mut pieces = chunk.pieces()?;
/// #         while let Some(piece) = pieces.next_piece()? {
/// #             records.push(String::from_utf8_lossy(piece).into_owned());
/// #         }
/// #         Ok(())
/// #     })?;
/// #     Ok(records)
/// # };
///
/// assert_eq!(cut("a\nbc\n", Boundary::newline())?, ["a\n", "bc\n"]);
/// assert_eq!(cut("a\0bc", Boundary::nul())?, ["a\0", "bc"]);
/// assert_eq!(cut("1\n2\n3\n", Boundary::lines(2)?)?, ["1\n2\n", "3\n"]);
/// assert_eq!(cut("1,\"a\nb\"\n2,c\n", Boundary::quoted(b'"', b',')?)?, ["1,\"a\nb\"\n", "2,c\n"]);
/// assert_eq!(cut("@1\nAC\n+\n!!\n@2\nG\n+\n!\n", Boundary::fastq())?, ["@1\nAC\n+\n!!\n", "@2\nG\n+\n!\n"]);
/// assert_eq!(cut("<a><b>", Boundary::between(b">", b"<")?)?, ["<a>", "<b>"]);
/// assert_eq!(cut("abcde", Boundary::fixed(2)?)?, ["ab", "cd", "e"]);
/// assert_eq!(cut("ab", Boundary::anywhere())?, ["a", "b"]);
/// assert_eq!(Boundary::fixed(2)?.fixed_size(), Some(2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Boundary {
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    /// Finds END and START, one after the other; END has this length.
    Between {
        both: Box<Finder<'static>>,
        end: usize,
        /// How far boundaries are apart at the least, if matches may be nearer to each other.
        apart: Option<usize>,
    },
    Fixed(u64),
    FromTheBeginning(Grammar),
}

impl Boundary {
    /// After every newline.
    pub fn newline() -> Self {
        Self::of(b"\n", b"")
    }

    /// After every NUL byte.
    pub fn nul() -> Self {
        Self::of(b"\0", b"")
    }

    /// After every `lines` lines of each input, its header not counted. The last record may have fewer.
    ///
    /// # Errors
    ///
    /// `lines` is 0 ([`Kind::Usage`](crate::error::Kind::Usage)).
    pub fn lines(lines: u64) -> Result<Self> {
        match lines {
            0 => Err(Error::usage("the number of lines of a record", "is 0").advise("give at least 1")),
            1 => Ok(Self::newline()),
            _ => Ok(Self { kind: Kind::FromTheBeginning(Grammar::Lines(lines)) }),
        }
    }

    /// After every newline that is not between two of these quotes (RFC 4180). A quote that opens a field stands at its
    /// beginning, after `separator`; otherwise the job ends, because no place after it is known to be between records.
    ///
    /// # Errors
    ///
    /// Two of quote, separator and newline are the same ([`Kind::Usage`](crate::error::Kind::Usage)).
    pub fn quoted(quote: u8, separator: u8) -> Result<Self> {
        if quote == separator || [quote, separator].contains(&b'\n') {
            return Err(Error::usage("quote and separator", "are the same, or a newline"));
        }
        Ok(Self { kind: Kind::FromTheBeginning(Grammar::Quoted { quote, separator }) })
    }

    /// Between records of FASTQ, whose bases and qualities may be wrapped.
    pub fn fastq() -> Self {
        Self { kind: Kind::FromTheBeginning(Grammar::Fastq) }
    }

    /// How its records are found if only a reader from the beginning finds them.
    pub(super) fn grammar(&self) -> Option<Grammar> {
        match self.kind {
            Kind::FromTheBeginning(grammar) => Some(grammar),
            Kind::Between { .. } | Kind::Fixed(_) => None,
        }
    }

    /// Between any two bytes, for jobs that know no records.
    pub fn anywhere() -> Self {
        Self { kind: Kind::Fixed(1) }
    }

    /// After `end` and before `start`, of which one may be empty.
    ///
    /// # Errors
    ///
    /// Both are empty ([`Kind::Usage`](crate::error::Kind::Usage)): every place would be a boundary.
    pub fn between(end: &[u8], start: &[u8]) -> Result<Self> {
        if end.is_empty() && start.is_empty() {
            return Err(Error::usage("the end and the start of a record", "are both empty")
                .advise("give at least one byte, or records of a fixed size"));
        }
        Ok(Self::of(end, start))
    }

    /// Between records of `bytes` bytes, from the beginning of each input. The last may be shorter.
    ///
    /// # Errors
    ///
    /// `bytes` is 0 ([`Kind::Usage`](crate::error::Kind::Usage)).
    pub fn fixed(bytes: u64) -> Result<Self> {
        match bytes {
            0 => Err(Error::usage("the size of a record", "is 0").advise("give at least 1 byte")),
            _ => Ok(Self { kind: Kind::Fixed(bytes) }),
        }
    }

    fn of(end: &[u8], start: &[u8]) -> Self {
        let needle = [end, start].concat();
        let apart = end.len().max(start.len());
        let apart = (nearest(&needle) < apart).then_some(apart);
        let both = Box::new(Finder::new(&needle).into_owned());
        Self { kind: Kind::Between { both, end: end.len(), apart } }
    }

    /// The size of the records, if all have the same.
    pub fn fixed_size(&self) -> Option<u64> {
        match self.kind {
            Kind::Fixed(bytes) => Some(bytes),
            Kind::Between { .. } | Kind::FromTheBeginning(_) => None,
        }
    }

    /// How far boundaries are apart at the least, of records whose matches may be nearer to each other.
    pub(super) fn apart(&self) -> Option<usize> {
        match self.kind {
            Kind::Between { apart, .. } => apart,
            Kind::Fixed(_) | Kind::FromTheBeginning(_) => None,
        }
    }

    /// END and START in a row, and the length of END.
    fn needle(&self) -> Option<(&Finder<'static>, usize)> {
        match &self.kind {
            Kind::Between { both, end, .. } => Some((both, *end)),
            Kind::Fixed(_) | Kind::FromTheBeginning(_) => None,
        }
    }

    /// Whether an input that begins with these bytes begins with a START, where there is no END.
    pub(super) fn begins(&self, bytes: &[u8]) -> bool {
        self.needle().is_some_and(|(start, end)| end == 0 && bytes.starts_with(start.needle()))
    }

    /// The first boundary at or after `p`, where that is arithmetic.
    pub(super) fn by_arithmetic(&self, p: u64) -> Option<u64> {
        self.fixed_size().map(|n| p.checked_next_multiple_of(n).unwrap_or(u64::MAX))
    }

    /// How many bytes before a place decide whether it is a boundary.
    pub(super) fn back(&self) -> usize {
        self.needle().map_or(0, |(_, end)| end)
    }

    /// How many bytes from a place on decide whether it is a boundary.
    pub(super) fn ahead(&self) -> usize {
        self.needle().map_or(0, |(both, end)| both.needle().len() - end)
    }

    /// The first match for which all the bytes that decide are in `window`, as an index into it. Records of a
    /// fixed size have none, and those found from the beginning neither: the bytes around a place do not tell.
    pub(super) fn find_in(&self, window: &[u8]) -> Option<usize> {
        let (both, end) = self.needle()?;
        both.find(window).map(|i| i + end)
    }

    /// Whether every match is a boundary, so that the bytes around a place decide alone.
    pub(super) fn is_every_match(&self) -> bool {
        matches!(self.kind, Kind::Between { apart: None, .. })
    }

    /// The last match in `window` that leaves something before it, likewise.
    pub(super) fn find_last_in(&self, window: &[u8]) -> Option<usize> {
        let (both, end) = self.needle()?;
        memmem::rfind(window, both.needle()).map(|i| i + end).filter(|&i| i > 0)
    }
}

/// How far apart two matches of `needle` can be at the least: its length, or less if it ends as it begins.
///
/// For each beginning of the needle, the longest shorter beginning with which it ends is known from those
/// before (Knuth, Morris, Pratt); comparing all of them would take a minute for a needle of 100 kB.
fn nearest(needle: &[u8]) -> usize {
    let mut ends_with = vec![0; needle.len()];
    let mut length = 0;
    for at in 1..needle.len() {
        while length > 0 && needle[at] != needle[length] {
            length = ends_with[length - 1];
        }
        length += usize::from(needle[at] == needle[length]);
        ends_with[at] = length;
    }
    needle.len() - ends_with.last().copied().unwrap_or(0)
}

impl fmt::Display for Boundary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Between { both, end, .. } => {
                let (end, start) = both.needle().split_at(*end);
                write!(f, "between \"{}\" and \"{}\"", end.escape_ascii(), start.escape_ascii())
            }
            Kind::Fixed(bytes) => write!(f, "every {bytes} bytes"),
            Kind::FromTheBeginning(Grammar::Lines(lines)) => write!(f, "every {lines} lines"),
            Kind::FromTheBeginning(Grammar::Quoted { quote, separator }) => {
                write!(
                    f,
                    "after lines with fields between {} and quotes {}",
                    separator.escape_ascii(),
                    quote.escape_ascii()
                )
            }
            Kind::FromTheBeginning(Grammar::Fastq) => write!(f, "as in FASTQ"),
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
