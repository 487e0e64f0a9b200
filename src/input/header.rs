//! The beginning of an input that is not data: the names of its columns.
//!
//! A command that gets a part of a table must get the names too. So the header is found once, when the first chunk of an
//! input is listed, and every other chunk comes with it ([`Chunk::header`](super::Chunk::header)). The first one
//! begins with it anyway. The records begin after it.

use super::boundary::Boundary;
use super::file::InputFile;
use super::grammar::{Flaw, Grammar, Scan};
use crate::error::{Error, Result};
use memchr::memchr;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// It is kept in memory, and given to every command.
const LARGEST: usize = 64 << 20;
const FIRST_READ: usize = 64 << 10;
const MARK: &[u8] = "\u{feff}".as_bytes();

/// How the header of each input is told from its records. Its [`Display`](fmt::Display) form is exact.
///
/// ```
/// use bivouac::input::{Boundary, Chunks, Header};
/// # let place = tempfile::tempdir()?; std::env::set_current_dir(&place)?;
/// # std::fs::write("table", "#n\n1\n2\n")?;
///
/// let table = || Chunks::new(vec!["table".into()], Boundary::newline()).block(Some(2));
/// for header in [Header::Records(1), Header::Prefix(b"#".to_vec())] {
///     let mut headers = Vec::new();
///     bivouac::list(&table().with_header(Some(header)), &mut |_, chunk| {
///         headers.push(String::from_utf8_lossy(chunk.header()).into_owned());
///         Ok(())
///     })?;
///     assert_eq!(headers.last().unwrap(), "#n\n"); // the first chunk begins with it anyway
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Header {
    /// The first records; of records of several lines, the first lines.
    Records(u64),
    /// The leading lines that begin with these bytes.
    Prefix(Vec<u8>),
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Header::Records(n) => write!(f, "with a header of {n}"),
            Header::Prefix(bytes) => write!(f, "with a header of lines with \"{}\"", bytes.escape_ascii()),
        }
    }
}

impl Header {
    /// Where it ends in the first bytes of an input; `None` if more must come.
    pub(super) fn end_in(
        &self,
        bytes: &[u8],
        boundary: &Boundary,
        is_all: bool,
        path: &Path,
    ) -> Result<Option<usize>> {
        let found = match self {
            Header::Records(n) => records_end(*n, bytes, boundary).map_err(|flaw| flaw.of(path))?,
            Header::Prefix(prefix) => prefix_end(prefix, bytes, is_all),
        };
        match found {
            None if is_all => Ok(Some(bytes.len())),
            None if bytes.len() >= LARGEST => {
                Err(Error::broken(path.display(), format_args!("has a header of more than {LARGEST} bytes"))
                    .advise("is it the right kind of records?"))
            }
            found => Ok(found),
        }
    }

    pub(super) fn read(&self, file: &InputFile, boundary: &Boundary) -> Result<Arc<[u8]>> {
        let size = usize::try_from(file.identity().size).unwrap_or(usize::MAX);
        let mut bytes = Vec::new();
        loop {
            let before = bytes.len();
            bytes.resize((2 * before).max(FIRST_READ).min(size), 0);
            file.read_exact_at(&mut bytes[before..], before as u64)?;
            if let Some(end) = self.end_in(&bytes, boundary, bytes.len() == size, file.path())? {
                return Ok(bytes[..end].into());
            }
        }
    }
}

fn records_end(n: u64, bytes: &[u8], boundary: &Boundary) -> std::result::Result<Option<usize>, Flaw> {
    if let Some(size) = boundary.fixed_size() {
        let end = usize::try_from(size.saturating_mul(n)).unwrap_or(usize::MAX);
        return Ok(Some(end).filter(|&end| end <= bytes.len()));
    }
    let mut end = 0;
    let Some(grammar) = boundary.grammar() else {
        let apart = boundary.apart().unwrap_or(1);
        for k in 0..n {
            let next = if k == 0 && !boundary.begins(bytes) { 1 } else { end + apart };
            let window = next.saturating_sub(boundary.back());
            let found = bytes.get(window..).and_then(|bytes| boundary.find_in(bytes));
            let Some(i) = found else { return Ok(None) };
            end = window + i;
        }
        return Ok(Some(end));
    };
    let grammar = match grammar {
        Grammar::Quoted { .. } => grammar,
        // What stands before records of several lines is lines.
        Grammar::Lines(_) | Grammar::Fastq => Grammar::Lines(1),
    };
    let mut scan = Scan::new(grammar, 0);
    for _ in 0..n {
        let Some(length) = scan.advance(&bytes[end..], 0)? else { return Ok(None) };
        end += length;
    }
    Ok(Some(end))
}

fn prefix_end(prefix: &[u8], bytes: &[u8], is_all: bool) -> Option<usize> {
    // A byte order mark may stand before it.
    let mut end =
        if bytes.starts_with(MARK) && bytes[MARK.len()..].starts_with(prefix) { MARK.len() } else { 0 };
    if MARK.starts_with(bytes) && !is_all {
        return None;
    }
    loop {
        let rest = &bytes[end..];
        if !rest.starts_with(prefix) {
            return (is_all || rest.len() >= prefix.len() || !prefix.starts_with(rest)).then_some(end);
        }
        end += memchr(b'\n', rest)? + 1;
    }
}
