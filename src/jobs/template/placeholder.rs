//! Placeholders: how they are written, and what a word becomes in one.
//!
//! They are those of GNU parallel, and take words apart as it does. What stands in braces and is none of
//! them stays as it is, so `awk '{print $1}'` can be written as ever. Two things differ. `{0}` is no
//! placeholder; there it is the item, by accident. And `{2}` of a last task of `-n` that is short of words
//! is an empty word; there it is nothing at all.

use bivouac::{Error, Result};
use std::ops::Range;

/// A placeholder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placeholder {
    /// `{}`: all words of the item.
    All(Form),
    /// `{2}`, `{-1}`: one of them, counted from 1 at either end.
    One(i64, Form),
    /// `{#}`: the number of the item.
    Number,
    /// `{%}`: the number of the slot in which its command runs.
    Slot,
}

/// What is taken of a word, as if it were a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `{}`
    Whole,
    /// `{.}`: without the extension.
    Stem,
    /// `{/}`: without the directory.
    Base,
    /// `{//}`: the directory.
    Directory,
    /// `{/.}`: without either.
    BaseStem,
}

/// What a template is filled with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Filling<'a> {
    pub(super) words: &'a [Vec<u8>],
    pub(super) number: u64,
    pub(super) slot: usize,
}

impl Placeholder {
    /// The placeholder at the beginning of `text`, and how long it is.
    pub(super) fn at_start(text: &[u8]) -> Option<(Self, usize)> {
        let inner = text.strip_prefix(b"{")?;
        let inner = &inner[..memchr::memchr(b'}', inner)?];
        let length = inner.len() + 2;
        match inner {
            b"#" => return Some((Self::Number, length)),
            b"%" => return Some((Self::Slot, length)),
            _ => {}
        }
        let end = inner.iter().position(|byte| matches!(byte, b'.' | b'/')).unwrap_or(inner.len());
        let (which, form) = inner.split_at(end);
        let form = Form::named(form)?;
        if which.is_empty() {
            return Some((Self::All(form), length));
        }
        let digits = which.strip_prefix(b"-").unwrap_or(which);
        if !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let which = std::str::from_utf8(which).ok()?.parse().ok().filter(|&which: &i64| which != 0)?;
        Some((Self::One(which, form), length))
    }

    /// The first one in `text`, and where it stands.
    pub(super) fn find_in(text: &[u8]) -> Option<(Self, Range<usize>)> {
        memchr::memchr_iter(b'{', text)
            .find_map(|at| Self::at_start(&text[at..]).map(|(found, length)| (found, at..at + length)))
    }

    /// The words that it becomes: several only for [`All`](Self::All).
    pub(super) fn fill(self, filling: &Filling<'_>) -> Vec<Vec<u8>> {
        let words = filling.words;
        match self {
            Self::All(form) => words.iter().map(|word| form.of(word)).collect(),
            Self::One(which, form) => {
                let place = usize::try_from(which.unsigned_abs()).unwrap_or(usize::MAX);
                let index = if which > 0 { place.checked_sub(1) } else { words.len().checked_sub(place) };
                vec![index.and_then(|index| words.get(index)).map(|word| form.of(word)).unwrap_or_default()]
            }
            Self::Number => vec![filling.number.to_string().into_bytes()],
            Self::Slot => vec![filling.slot.to_string().into_bytes()],
        }
    }
}

/// Placeholders of GNU parallel and of rush that are none here would be handed over as they are written, which
/// nobody means.
///
/// # Errors
///
/// [`Kind::Usage`](bivouac::error::Kind::Usage), with what does the same.
pub(super) fn refuse_unknown(text: &[u8], has_shell: bool) -> Result<()> {
    for at in memchr::memchr_iter(b'{', text) {
        let Some(end) = memchr::memchr(b'}', &text[at..]) else { break };
        let inner = &text[at + 1..at + end];
        // `${x..}` is of a shell, and a backslash says that the brace is meant.
        if at.checked_sub(1).is_some_and(|before| matches!(text[before], b'$' | b'\\')) {
            continue;
        }
        let advice = match inner {
            b".." | b"..." => {
                "{.} takes one extension away; for two, --shell with ${x%.*}: x={.}; echo \"${x%.*}\""
            }
            b"+." | b"+.." | b"+..." => "with --shell: x={}; echo \"${x##*.}\"",
            b"+/" => "with --shell: x={}; printf %s \"$x\" | tr -dc / | wc -c",
            b"0#" | b"0%" => "count or pad it in --shell, as with printf %03d {#}",
            b"/.." | b"/..." => "with --shell: x={/.}; echo \"${x%.*}\"",
            b"##" | b"###" => {
                "the number of items is not known while a list is read; {#} is the number of this one"
            }
            b"hgrp" | b"agrp" => "this runs on one machine",
            b"choose_k" | b"uniq" => "make the list before, and give it with -a or ::::",
            [b'=', .., b'='] => "no Perl is run; use --shell",
            // `printf {%s}`
            [b'%', rest @ .., b'd' | b's' | b'i' | b'u' | b'x' | b'X' | b'o' | b'c' | b'f' | b'g' | b'e']
                if rest.iter().all(|byte| byte.is_ascii_digit() || b"-.l".contains(byte)) =>
            {
                continue;
            }
            [b'^', _, ..] | [b'%', _, ..] => "with --shell: x={}; echo \"${x%suffix}\"",
            [b'@', _, ..] | [b'/', b'/', b'/', ..] => "with --shell and sed",
            [b'#', _, ..] if inner[1..].iter().all(|byte| !byte.is_ascii_whitespace()) => {
                "with --shell: x={}; echo \"${x#prefix}\""
            }
            [b',' | b'^', ..] if inner.len() <= 2 && !has_shell => "with --shell and tr",
            _ => continue,
        };
        return Err(Error::usage(
            String::from_utf8_lossy(&text[at..=at + end]),
            "is a placeholder of another program, and none here",
        )
        .advise(advice));
    }
    Ok(())
}

impl Form {
    fn named(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"" => Self::Whole,
            b"." => Self::Stem,
            b"/" => Self::Base,
            b"//" => Self::Directory,
            b"/." => Self::BaseStem,
            _ => return None,
        })
    }

    fn of(self, word: &[u8]) -> Vec<u8> {
        match self {
            Self::Whole => word,
            Self::Stem => stem(word),
            Self::Base => base(word),
            Self::Directory => directory(word),
            Self::BaseStem => stem(base(word)),
        }
        .to_vec()
    }
}

/// Up to the last dot, if no slash stands behind it. Of `.profile` nothing is left, as with parallel.
fn stem(word: &[u8]) -> &[u8] {
    match memchr::memrchr2(b'.', b'/', word) {
        Some(at) if word[at] == b'.' => &word[..at],
        Some(_) | None => word,
    }
}

/// Behind the last slash: nothing for `dir/`.
fn base(word: &[u8]) -> &[u8] {
    memchr::memrchr(b'/', word).map_or(word, |at| &word[at + 1..])
}

/// As `dirname(1)` has it: `.` of `a` and `a/`, `/` of `/a`.
fn directory(word: &[u8]) -> &[u8] {
    let strip = |path: &[u8]| path.iter().rposition(|&byte| byte != b'/').map_or(0, |last| last + 1);
    let inner = &word[..strip(word)];
    match memchr::memrchr(b'/', inner) {
        Some(at) => match strip(&inner[..at]) {
            0 => b"/",
            end => &inner[..end],
        },
        None if inner.is_empty() && !word.is_empty() => b"/",
        None => b".",
    }
}

/// How a shell reads the place of a placeholder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quoting {
    Plain,
    Double,
    Single,
    Arithmetic,
}

/// A stretch of a script.
#[derive(Debug)]
pub(super) enum Part {
    Text(Vec<u8>),
    Hole {
        placeholder: Placeholder,
        quoting: Quoting,
        /// Whether the item, quoted, could stand here itself: for a person.
        is_simple: bool,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What GNU parallel 20221122 prints for `{}`, `{.}`, `{/}`, `{//}`, `{/.}`.
    #[test]
    fn words_are_taken_apart_as_gnu_parallel_does() {
        let table = [
            ["a.b/c", "a.b/c", "c", "a.b", "c"],
            [".profile", "", ".profile", ".", ""],
            ["x.tar.gz", "x.tar", "x.tar.gz", ".", "x.tar"],
            ["dir/", "dir/", "", ".", ""],
            ["/a", "/a", "a", "/", "a"],
            ["/", "/", "", "/", ""],
            ["a/.b", "a/", ".b", "a", ""],
            ["noext", "noext", "noext", ".", "noext"],
            ["dir.d/", "dir.d/", "", ".", ""],
            ["a/b/", "a/b/", "", "a", ""],
            ["//a", "//a", "a", "/", "a"],
            ["//a/b", "//a/b", "b", "//a", "b"],
            ["a//b", "a//b", "b", "a", "b"],
            [".", "", ".", ".", ""],
            ["..", ".", "..", ".", "."],
            ["a/x.", "a/x", "x.", "a", "x"],
            ["dir.d/.x", "dir.d/", ".x", "dir.d", ""],
            ["x..y", "x.", "x..y", ".", "x."],
            ["a/..", "a/.", "..", "a", "."],
            ["./x", "./x", "x", ".", "x"],
            ["", "", "", ".", ""],
        ];
        for [word, stem, base, directory, base_stem] in table {
            let made = [Form::Stem, Form::Base, Form::Directory, Form::BaseStem]
                .map(|form| String::from_utf8(form.of(word.as_bytes())).unwrap());
            assert_eq!(made, [stem, base, directory, base_stem], "{word}");
        }
    }

    #[test]
    fn what_is_no_placeholder_is_none() {
        use Form::{Base, BaseStem, Directory, Stem, Whole};
        let table: [(&str, Option<Placeholder>); 18] = [
            ("{}", Some(Placeholder::All(Whole))),
            ("{}}", Some(Placeholder::All(Whole))),
            ("{/.}", Some(Placeholder::All(BaseStem))),
            ("{2}", Some(Placeholder::One(2, Whole))),
            ("{-1.}", Some(Placeholder::One(-1, Stem))),
            ("{10/}", Some(Placeholder::One(10, Base))),
            ("{1//}x", Some(Placeholder::One(1, Directory))),
            ("{#}", Some(Placeholder::Number)),
            ("{%}", Some(Placeholder::Slot)),
            ("{0}", None),
            ("{-0}", None),
            ("{+1}", None),
            ("{-}", None),
            ("{..}", None),
            ("{print $1}", None),
            ("{ }", None),
            ("{1", None),
            ("{99999999999999999999}", None),
        ];
        for (text, expected) in table {
            assert_eq!(Placeholder::at_start(text.as_bytes()).map(|found| found.0), expected, "{text}");
        }
        assert_eq!(Placeholder::find_in(b"{a}{{/}}").unwrap().1, 4..7);
    }
}
