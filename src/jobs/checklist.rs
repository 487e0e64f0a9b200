//! The lines of a list of checksums, in every form in which the usual tools write them.
//!
//! ```text
//! HASH  NAME        HASH *NAME       sha256sum, b3sum; a blank or a tab, then a blank or `*`
//! HASH NAME                          BSD's `-r`: the name follows one blank or tab
//! SHA256 (NAME) = HASH               BSD, sha256sum --tag; BLAKE3 (NAME) = HASH
//! SHA2-256(NAME)= HASH               openssl dgst
//! ```
//!
//! Blanks may lead, a backslash before all of it says that the name is escaped. `sha256sum` decides by the
//! first line of a list whether `HASH NAME` may occur in it. Here lists are read in parts, by several
//! threads, and each line speaks for itself.

use crate::jobs::digest::Algorithm;
use crate::jobs::names;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

const DIGITS: usize = 64;

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry<'l> {
    /// The checksum that the line names.
    pub(crate) tag: Option<Algorithm>,
    pub(crate) hash: &'l [u8],
    pub(crate) path: PathBuf,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'l> {
    Entry(Entry<'l>),
    /// It names another checksum than the only one that is wanted.
    Other(Algorithm),
    /// It names a checksum that is not known here.
    Unknown,
    Malformed,
}

/// The names of checksums in lines of the BSD form.
const TAGS: [(&[u8], Algorithm); 3] =
    [(b"SHA256", Algorithm::Sha256), (b"SHA2-256", Algorithm::Sha256), (b"BLAKE3", Algorithm::Blake3)];

/// The names that `cksum` gives to checksums that are not computed here.
const UNKNOWN: [&[u8]; 7] = [b"MD5", b"SHA1", b"SHA224", b"SHA384", b"SHA512", b"BLAKE2b", b"SM3"];

/// Reads a line, without its end. If it names a checksum, that must be the `only` one, if there is one.
pub(crate) fn parse(line: &[u8], only: Option<Algorithm>) -> Line<'_> {
    let line = trim_blanks(line);
    let (escaped, line) = match line.strip_prefix(b"\\") {
        Some(rest) => (true, rest),
        None => (false, line),
    };
    for (tag, named) in TAGS {
        if let Some(rest) = line.strip_prefix(tag)
            && let Some(rest) = rest.strip_prefix(b" ").unwrap_or(rest).strip_prefix(b"(")
        {
            return match only.is_none_or(|only| only == named) {
                true => entry(tagged(rest), Some(named), escaped),
                false => Line::Other(named),
            };
        }
    }
    match UNKNOWN.iter().any(|tag| line.strip_prefix(*tag).is_some_and(|rest| rest.starts_with(b" ("))) {
        true => Line::Unknown,
        false => entry(plain(line), None, escaped),
    }
}

fn entry<'l>(parts: Option<(&'l [u8], &[u8])>, tag: Option<Algorithm>, escaped: bool) -> Line<'l> {
    let Some((hash, name)) = parts else { return Line::Malformed };
    if name.is_empty() || hash.len() != DIGITS || !hash.iter().all(u8::is_ascii_hexdigit) {
        return Line::Malformed;
    }
    let path = if escaped { names::unescape(name) } else { Some(PathBuf::from(OsStr::from_bytes(name))) };
    path.map_or(Line::Malformed, |path| Line::Entry(Entry { tag, hash, path }))
}

/// `NAME) = HASH`: the last bracket ends the name.
fn tagged(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, rest) = line.split_at(memchr::memrchr(b')', line)?);
    let hash = trim_blanks(&rest[1..]).strip_prefix(b"=")?;
    Some((trim_blanks(hash), name))
}

/// `HASH  NAME`, `HASH *NAME` or `HASH NAME`.
fn plain(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (hash, rest) = line.split_at_checked(DIGITS)?;
    let name = rest.strip_prefix(b" ").or_else(|| rest.strip_prefix(b"\t"))?;
    let name = match name {
        [b' ' | b'*', marked @ ..] if !marked.is_empty() => marked,
        name => name,
    };
    Some((hash, name))
}

fn trim_blanks(bytes: &[u8]) -> &[u8] {
    let blanks = bytes.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    &bytes[blanks..]
}

/// Whether a text is not written in bytes: its mark says UTF-16.
pub(crate) fn is_utf16(list: &[u8]) -> bool {
    list.starts_with(b"\xff\xfe") || list.starts_with(b"\xfe\xff")
}

/// Without the mark that some editors put in front of a text in UTF-8.
pub(crate) fn without_mark(list: &[u8]) -> &[u8] {
    list.strip_prefix(b"\xef\xbb\xbf").unwrap_or(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_every_tool_are_understood_and_others_are_not() {
        let hash = "0123456789abcdef".repeat(4);
        let path = |line: &str, algorithm| match parse(line.as_bytes(), Some(algorithm)) {
            Line::Entry(entry) => {
                assert_eq!(entry.hash, hash.as_bytes());
                Some(entry.path)
            }
            Line::Other(_) | Line::Unknown | Line::Malformed => None,
        };
        for (line, name) in [
            (format!("{hash}  a b"), "a b"),
            (format!("{hash} *a"), "a"),
            (format!("{hash} a"), "a"),
            (format!("{hash}\ta"), "a"),
            (format!(" \t{hash}  a"), "a"),
            (format!("\\{hash}  a\\nb\\\\"), "a\nb\\"),
            (format!("SHA256 (a (1)) = {hash}"), "a (1)"),
            (format!("SHA256(a)= {hash}"), "a"),
            (format!("SHA2-256(a)= {hash}"), "a"),
            (format!("\\SHA256 (a\\n) = {hash}"), "a\n"),
        ] {
            assert_eq!(path(&line, Algorithm::Sha256), Some(name.into()), "{line}");
        }
        assert_eq!(path(&format!("BLAKE3 (a) = {hash}"), Algorithm::Blake3), Some("a".into()));
        for wrong in [
            format!("{}  a", &hash[1..]),
            format!("x{}  a", &hash[1..]),
            format!("{hash}a"),
            format!("{hash} "),
            format!("SHA256 (a) = {hash} "),
            format!("SHA256 () = {hash}"),
            format!("\\{hash}  a\\x"),
            hash.clone(),
        ] {
            assert_eq!(parse(wrong.as_bytes(), None), Line::Malformed, "{wrong}");
        }
        let other = format!("SHA256 (a) = {hash}");
        assert_eq!(parse(other.as_bytes(), Some(Algorithm::Blake3)), Line::Other(Algorithm::Sha256));
        let tag = |line: &str| match parse(line.as_bytes(), None) {
            Line::Entry(entry) => entry.tag,
            line @ (Line::Other(_) | Line::Unknown | Line::Malformed) => panic!("{line:?}"),
        };
        assert_eq!(tag(&other), Some(Algorithm::Sha256), "the line itself says it");
        assert_eq!(tag(&format!("BLAKE3 (a) = {hash}")), Some(Algorithm::Blake3));
        assert_eq!(tag(&format!("{hash}  a")), None);
        assert_eq!(parse(format!("MD5 (a) = {hash}").as_bytes(), None), Line::Unknown);
    }
}
