//! Placeholders of `--plus` of GNU parallel: two extensions, a prefix, a stretch, another text.
//!
//! Placeholders without a pattern (`{..}`, `{+/}`) always count; no other language writes such a thing. Placeholders with a
//! pattern look like parts of other languages, `{/foo/…}` of awk and `{%s}` of a format, so they count with `--plus` only.
//! Their patterns are regular expressions, as with parallel, although they look like globs: `{%.*}` takes everything away.

use crate::jobs::pattern::regex;
use bivouac::{Error, Result};
use regex_automata::meta::Regex;

#[derive(Clone, Debug)]
pub(crate) struct Edit {
    /// The text between the braces, by which two of them are compared.
    written: Vec<u8>,
    step: Step,
}

#[derive(Clone, Debug)]
enum Step {
    /// `{..}`, `{/...}`: without so many extensions, if there are so many; without the directory, too.
    Without { extensions: usize, directory: bool },
    /// `{+.}`, `{+..}`: so many extensions, or nothing.
    Extensions(usize),
    /// `{+/}`: the directory, or nothing.
    Directory,
    /// `{:-word}`: another text if this one is empty.
    IfEmpty(Vec<u8>),
    /// `{:2}`, `{:2:3}`: from a byte on, so many.
    Stretch(usize, usize),
    /// Replaces the first match, or every one.
    Replace { what: Regex, with: With, always: bool },
    /// `{%.gz}`: without the shortest match at the end. The first group is the rest.
    WithoutSuffix(Regex),
    /// Its pattern is no regular expression, for this reason.
    Wrong(String),
}

#[derive(Clone, Debug)]
enum With {
    Text(Vec<u8>),
    Upper,
    Lower,
}

impl PartialEq for Edit {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl Eq for Edit {}

impl Edit {
    /// The placeholder with this text between its braces.
    pub(super) fn named(name: &[u8], plus: bool) -> Option<Self> {
        let step = match name {
            b"+/" => Step::Directory,
            b"+." | b"+.." | b"+..." => Step::Extensions(name.len() - 1),
            b".." | b"..." => Step::Without { extensions: name.len(), directory: false },
            b"/.." | b"/..." => Step::Without { extensions: name.len() - 1, directory: true },
            _ if plus => Step::with_pattern(name)?,
            _ => return None,
        };
        Some(Self { written: name.to_vec(), step })
    }

    /// Refuses a pattern that is no regular expression.
    pub(super) fn check(&self) -> Result<()> {
        let Step::Wrong(why) = &self.step else { return Ok(()) };
        let name = format!("{{{}}}", String::from_utf8_lossy(&self.written));
        Err(Error::usage(name, format_args!("its pattern is no regular expression: {why}"))
            .advise("a backslash takes the meaning from a character of it"))
    }

    pub(super) fn of(&self, word: &[u8]) -> Vec<u8> {
        match &self.step {
            Step::Without { extensions, directory } => {
                let word = if *directory { base(word) } else { word };
                let stem = extension(word, *extensions).map_or(word.len(), |at| at - 1);
                word[..stem].to_vec()
            }
            // Of one extension parallel takes everything after the last dot, wherever that is.
            Step::Extensions(1) => memchr::memrchr(b'.', word).map_or(&[][..], |at| &word[at + 1..]).to_vec(),
            Step::Extensions(count) => extension(word, *count).map_or(&[][..], |at| &word[at..]).to_vec(),
            Step::Directory => memchr::memrchr(b'/', word).map_or(&[][..], |at| &word[..at]).to_vec(),
            Step::IfEmpty(other) if word.is_empty() => other.clone(),
            Step::Stretch(from, count) => word.iter().skip(*from).take(*count).copied().collect(),
            Step::Replace { what, with, always } => replace(word, what, with, *always),
            Step::WithoutSuffix(what) => {
                let mut found = what.create_captures();
                what.captures(word, &mut found);
                found.get_group(1).map_or(word, |left| &word[left.range()]).to_vec()
            }
            Step::IfEmpty(_) | Step::Wrong(_) => word.to_vec(),
        }
    }
}

impl Step {
    fn with_pattern(name: &[u8]) -> Option<Self> {
        let (kind, always, pattern) = match name {
            [b':', b'-', word @ ..] if !word.is_empty() => return Some(Self::IfEmpty(word.to_vec())),
            [b':', stretch @ ..] => return Self::stretch(stretch),
            [b'/', b'/', rest @ ..] => (b'/', true, rest),
            [kind @ (b'#' | b'%' | b'^' | b','), again, rest @ ..] if kind == again => (*kind, true, rest),
            [kind @ (b'#' | b'%' | b'^' | b',' | b'/'), rest @ ..] => (*kind, false, rest),
            _ => return None,
        };
        let (pattern, with) = match kind {
            b'/' => {
                let end = memchr::memchr(b'/', pattern).filter(|end| *end > 0)?;
                (&pattern[..end], With::Text(pattern[end + 1..].to_vec()))
            }
            b'^' => (pattern, With::Upper),
            b',' => (pattern, With::Lower),
            _ => (pattern, With::Text(Vec::new())),
        };
        if pattern.is_empty() {
            return None;
        }
        let pattern = String::from_utf8_lossy(pattern);
        // A single `#` or `%` takes the shortest match, two take the longest.
        let text = match (kind, always, pattern.split_at_checked(1).unwrap_or_default()) {
            (b'#', false, _) => format!("^(?U:{pattern})"),
            (b'#', true, _) | (b'^' | b',', false, _) => format!("^(?:{pattern})"),
            (b'%', false, _) => {
                // A suffix begins as late as it can: a greedy match takes all that is before it.
                let text = format!("^((?s:.*))(?U:{pattern})$");
                return Some(regex(&text).map_or_else(Self::Wrong, Self::WithoutSuffix));
            }
            (b'%', true, _) => format!("(?:{pattern})$"),
            (b'/', false, ("#", rest)) if !rest.is_empty() => format!("^(?:{rest})"),
            (b'/', false, ("%", rest)) if !rest.is_empty() => format!("(?:{rest})$"),
            _ => pattern.to_string(),
        };
        let always = always && matches!(kind, b'/' | b'^' | b',');
        Some(regex(&text).map_or_else(Self::Wrong, |what| Self::Replace { what, with, always }))
    }

    /// `2`, `2:3`.
    fn stretch(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let number =
            |digits: &str| digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?;
        match text.split_once(':') {
            Some((from, count)) => Some(Self::Stretch(number(from)?, number(count)?)),
            None => Some(Self::Stretch(number(text)?, usize::MAX)),
        }
    }
}

/// After the last slash: nothing for `dir/`.
pub(super) fn base(word: &[u8]) -> &[u8] {
    memchr::memrchr(b'/', word).map_or(word, |at| &word[at + 1..])
}

/// Where the last so many extensions begin, after their dot. No slash may stand in them.
fn extension(word: &[u8], count: usize) -> Option<usize> {
    let name = word.len() - base(word).len();
    memchr::memrchr_iter(b'.', &word[name..]).nth(count - 1).map(|at| name + at + 1)
}

fn replace(word: &[u8], what: &Regex, with: &With, always: bool) -> Vec<u8> {
    let (mut made, mut done) = (Vec::with_capacity(word.len()), 0);
    for found in what.find_iter(word).take(if always { usize::MAX } else { 1 }) {
        made.extend_from_slice(&word[done..found.start()]);
        match with {
            With::Text(text) => made.extend_from_slice(text),
            With::Upper => made.extend(word[found.range()].to_ascii_uppercase()),
            With::Lower => made.extend(word[found.range()].to_ascii_lowercase()),
        }
        done = found.end();
    }
    made.extend_from_slice(&word[done..]);
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What GNU parallel 20221122 prints.
    #[test]
    fn words_are_edited_as_gnu_parallel_does() {
        let path = "dir/sub/foo.ex1.ex2.ex3";
        let table = [
            ("..", path, "dir/sub/foo.ex1"),
            ("...", path, "dir/sub/foo"),
            ("/..", path, "foo.ex1"),
            ("/...", path, "foo"),
            ("+/", path, "dir/sub"),
            ("+.", path, "ex3"),
            ("+..", path, "ex2.ex3"),
            ("+...", path, "ex1.ex2.ex3"),
            ("..", "a.b", "a.b"),
            ("/..", "d/a.b", "a.b"),
            ("+/", "foo", ""),
            ("+.", "foo", ""),
            ("+.", "a.b/c", "b/c"),
            ("+..", "a.b", ""),
            ("%.gz", "aba.x.gz", "aba.x"),
            ("%.*", "aba.x.gz", "aba.x.gz"),
            ("%%.*", "aba.x.gz", ""),
            ("%z.*z", "foo.z.z.z", "foo.z."),
            ("%%z.*z", "foo.z.z.z", "foo."),
            ("%Z.", "aXb", "aXb"),
            ("#a", "aba", "ba"),
            ("#a.", "aXb", "b"),
            ("#z.*z.", "z.z.z.foo", "z.foo"),
            ("##z.*z.", "z.z.z.foo", "foo"),
            (":2", "abcdefgh", "cdefgh"),
            (":2:3", "abcdefgh", "cde"),
            (":9", "abc", ""),
            (":1:9", "abc", "bc"),
            (":-2", "abc", "abc"),
            (":-default", "", "default"),
            ("/b/X", "abab/ab", "aXab/ab"),
            ("//b/X", "abab/ab", "aXaX/aX"),
            ("//a/", "abab/ab", "bb/b"),
            ("/./x", "a.b.c", "x.b.c"),
            ("/b*/X", "abbb", "Xabbb"),
            ("//b+/X", "abbb.abb", "aX.aX"),
            ("/#a/X", "aba", "Xba"),
            ("/%a/X", "aba", "abX"),
            ("/b(.)/$1X", "abcb", "a$1Xb"),
            ("^a", "abcabc", "Abcabc"),
            ("^^a", "abcabc", "AbcAbc"),
            ("^b", "abcabc", "abcabc"),
            ("^^[ab]", "abcabc", "ABcABc"),
            (",A", "ABCABC", "aBCABC"),
            (",,[AB]", "ABCABC", "abCabC"),
        ];
        for (name, word, expected) in table {
            let made = Edit::named(name.as_bytes(), true).map(|edit| edit.of(word.as_bytes()));
            assert_eq!(
                made.map(|made| String::from_utf8(made).unwrap()).as_deref(),
                Some(expected),
                "{name}"
            );
        }
    }

    #[test]
    fn what_has_a_pattern_is_one_only_if_that_is_asked_for_and_a_wrong_pattern_is_said() {
        for name in ["%.gz", "#a", ":2", "/a/b", "^a", ",,A"] {
            assert!(Edit::named(name.as_bytes(), false).is_none(), "{name}");
        }
        for name in ["", "x", "%", "%%", ":", ":x", ":1:-1", "/b", "^", "{", "+", "...."] {
            assert!(Edit::named(name.as_bytes(), true).is_none(), "{name}");
        }
        for name in ["%(", "#[", "##*a", "//(/x"] {
            let error = Edit::named(name.as_bytes(), true).unwrap().check().unwrap_err().to_string();
            assert!(error.contains("regular expression"), "{error}");
        }
    }
}
