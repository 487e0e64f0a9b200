//! Placeholders: how they are written, and what a word becomes in one.
//!
//! They are those of GNU parallel, and take words apart as it does. Other text in braces stays as it is, so you write
//! `awk '{print $1}'` as always. Two things differ. `{0}` is no placeholder; in parallel it is the item, by accident. And
//! `{2}` of a last task of `-n` that is short of words is an empty word; in parallel it is nothing at all.

use super::plus::{self, Edit};
use bivouac::{Error, Result};
use std::ops::Range;
use std::sync::Arc;

/// How placeholders are written in one command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Syntax {
    /// Placeholders that are written in another way, which then is the only one.
    pub(crate) renamed: Vec<(&'static str, Vec<u8>)>,
    /// Whether the ones with a pattern in them are placeholders: `{%.gz}`.
    pub(crate) plus: bool,
    /// The names of the columns: `{size}` is `{3}`.
    pub(crate) names: Vec<Vec<u8>>,
    /// How many words an item has, if all have the same number of them.
    pub(crate) columns: Option<usize>,
    /// Whether a command without a placeholder does not get the item.
    pub(crate) takes_none: bool,
}

/// The usual spelling of the placeholders for which an option can set another spelling.
pub(super) const RENAMABLE: [&str; 7] = ["{}", "{.}", "{/}", "{//}", "{/.}", "{#}", "{%}"];

/// The placeholder with this usual spelling.
fn usual(written: &str) -> Option<Placeholder> {
    Syntax::default().at_start(written.as_bytes()).map(|(placeholder, _)| placeholder)
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Placeholder {
    /// `{}`: all words of the item.
    All(Form),
    /// `{2}`, `{-1}`: one of them, counted from 1 at either end.
    One(i64, Form),
    /// `{#}`: the number of the item.
    Number,
    /// `{0#}`: the same, with zeros before it, so that all are of one length.
    Padded,
    /// `{##}`: how many commands there are.
    Total,
    /// `{%}`: the number of the slot in which its command runs.
    Slot,
}

/// A part of a word, as if it were a path.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// One of those that parallel has with `--plus` only.
    Edited(Arc<Edit>),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Filling<'a> {
    pub(super) words: &'a [Vec<u8>],
    pub(super) number: u64,
    pub(super) slot: usize,
    /// How many commands there are; 0 where no placeholder asks.
    pub(super) total: u64,
}

impl Syntax {
    pub(super) fn item(&self) -> &[u8] {
        let item = self.renamed.iter().find(|(usual, _)| *usual == "{}");
        item.map_or(b"{}", |(_, written)| written)
    }

    /// Whether this is still written as usual.
    fn is_usual(&self, placeholder: &Placeholder) -> bool {
        let is_it = |renamed: &str| match (usual(renamed), placeholder) {
            // `{2.}` is written in another way if `{.}` is, and there is no such way.
            (Some(Placeholder::All(form)), Placeholder::One(_, of)) => form == *of,
            (renamed, placeholder) => renamed.as_ref() == Some(placeholder),
        };
        !self.renamed.iter().any(|(renamed, _)| is_it(renamed))
    }

    /// The placeholder at the beginning of `text`, and how long it is.
    pub(super) fn at_start(&self, text: &[u8]) -> Option<(Placeholder, usize)> {
        let renamed = self.renamed.iter().filter(|(_, written)| text.starts_with(written));
        if let Some((renamed, written)) = renamed.max_by_key(|(_, written)| written.len()) {
            return Some((usual(renamed)?, written.len()));
        }
        let inner = text.strip_prefix(b"{")?;
        let inner = &inner[..memchr::memchr(b'}', inner)?];
        Some((self.named(inner)?, inner.len() + 2))
    }

    /// The placeholder with this text between its braces.
    fn named(&self, inner: &[u8]) -> Option<Placeholder> {
        let fixed = match inner {
            b"#" => Some(Placeholder::Number),
            b"0#" => Some(Placeholder::Padded),
            b"##" => Some(Placeholder::Total),
            b"%" => Some(Placeholder::Slot),
            _ => None,
        };
        if fixed.is_some() {
            return fixed.filter(|fixed| self.is_usual(fixed));
        }
        let form = |text: &[u8]| Form::named(text, self.plus);
        let column = |(at, name): (usize, &Vec<u8>)| {
            let form = inner.strip_prefix(name.as_slice()).filter(|_| !name.is_empty()).and_then(form)?;
            Some((name.len(), Placeholder::One(i64::try_from(at).ok()? + 1, form)))
        };
        // Of `size` and `size.old` the longer one is meant.
        if let Some((_, found)) = self.names.iter().enumerate().filter_map(column).max_by_key(|found| found.0)
        {
            return Some(found);
        }
        let minus = usize::from(inner.starts_with(b"-"));
        let digits = inner[minus..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return Some(Placeholder::All(form(inner)?)).filter(|found| self.is_usual(found));
        }
        let (which, rest) = inner.split_at(minus + digits);
        let which = std::str::from_utf8(which).ok()?.parse().ok().filter(|&which: &i64| which != 0)?;
        Some(Placeholder::One(which, form(rest)?)).filter(|found| self.is_usual(found))
    }

    /// The first one in `text`, and where it stands.
    pub(super) fn find_in(&self, text: &[u8]) -> Option<(Placeholder, Range<usize>)> {
        let at = |at: usize| self.at_start(&text[at..]).map(|(found, length)| (found, at..at + length));
        let all_begin_so = self.renamed.is_empty();
        if all_begin_so { memchr::memchr_iter(b'{', text).find_map(at) } else { (0..text.len()).find_map(at) }
    }
}

impl Placeholder {
    /// The words that it becomes: several only for [`All`](Self::All).
    pub(super) fn fill(&self, filling: &Filling<'_>) -> Vec<Vec<u8>> {
        let words = filling.words;
        match self {
            Self::All(form) => words.iter().map(|word| form.of(word)).collect(),
            Self::One(which, form) => {
                let place = usize::try_from(which.unsigned_abs()).unwrap_or(usize::MAX);
                let index = if *which > 0 { place.checked_sub(1) } else { words.len().checked_sub(place) };
                vec![index.and_then(|index| words.get(index)).map(|word| form.of(word)).unwrap_or_default()]
            }
            Self::Number => vec![filling.number.to_string().into_bytes()],
            Self::Padded => {
                let width = filling.total.to_string().len();
                vec![format!("{:0width$}", filling.number).into_bytes()]
            }
            Self::Total => vec![filling.total.to_string().into_bytes()],
            Self::Slot => vec![filling.slot.to_string().into_bytes()],
        }
    }

    pub(super) fn asks_for_total(&self) -> bool {
        matches!(self, Self::Padded | Self::Total)
    }

    /// Refuses a placeholder for a word that no item has, and one whose pattern is no regular expression.
    pub(super) fn check(&self, columns: Option<usize>) -> Result<()> {
        match self {
            Self::One(which, _) if columns.is_some_and(|columns| which.unsigned_abs() > columns as u64) => {
                let columns = columns.unwrap_or_default();
                let words = if columns == 1 { "word" } else { "words" };
                let problem = format_args!("an item has {columns} {words} only");
                Err(Error::usage(format_args!("{{{which}}}"), problem)
                    .advise("give a source of items for each, or take several with -n; columns: --colsep"))
            }
            Self::All(Form::Edited(edit)) | Self::One(_, Form::Edited(edit)) => edit.check(),
            Self::One(..) | Self::All(_) | Self::Number | Self::Padded | Self::Total | Self::Slot => Ok(()),
        }
    }
}

/// The advice for most of these expressions.
const NO_PERL: &str = "no Perl: {/RE/NEW} with --plus, or --shell 'x={}; COMMAND \"${x%.gz}\"'";

/// Refuses placeholders of GNU parallel and of rush that have no meaning here: a command would get them as they are
/// written, and that is never meant.
pub(super) fn refuse_unknown(text: &[u8], syntax: &Syntax, has_shell: bool) -> Result<()> {
    // A shell has made several words of `{= s/a/b/ =}`.
    if text == b"{=" || text.starts_with(b"{= ") && memchr::memmem::find(text, b"=}").is_none() {
        return Err(Error::usage("{= =}", "no Perl is run here").advise(NO_PERL));
    }
    for at in memchr::memchr_iter(b'{', text) {
        let Some(end) = memchr::memchr(b'}', &text[at..]) else { break };
        let inner = &text[at + 1..at + end];
        // `${x..}` is of a shell, and a backslash says that the brace is meant.
        let is_anothers = |before| matches!(text[before], b'$' | b'\\');
        if at.checked_sub(1).is_some_and(is_anothers) || syntax.at_start(&text[at..]).is_some() {
            continue;
        }
        const NO_HOSTS: &str = "no command is started on another host; start --shard K/N on each";
        const PLUS: &str = "with --plus it is one; a backslash before the brace: none";
        // `{2uniq}` is one of its values.
        let names = |name: &[u8]| {
            inner.strip_suffix(name).is_some_and(|number: &[u8]| number.iter().all(u8::is_ascii_digit))
        };
        let advice = match inner {
            b"0%" => "pad it in --shell: COMMAND \"$(printf %03d {%})\"",
            b"hgrp" | b"agrp" | b"host" | b"sshlogin" if syntax.plus => NO_HOSTS,
            b"hgrp" | b"agrp" => NO_HOSTS,
            _ if names(b"uniq") => "leave such pairs out: --shell 'test {1} = {2} || COMMAND {1} {2}'",
            _ if names(b"choose_k") => {
                "leave such pairs out: --shell=bash '[[ ! {1} < {2} ]] || COMMAND {1} {2}'"
            }
            [b'=', ..] if memchr::memmem::find(&text[at..], b"=}").is_some() => NO_PERL,
            // `printf {%s}`
            [b'%', rest @ .., b'd' | b's' | b'i' | b'u' | b'x' | b'X' | b'o' | b'c' | b'f' | b'g' | b'e']
                if rest.iter().all(|byte| byte.is_ascii_digit() || b"-.l".contains(byte)) =>
            {
                continue;
            }
            [b'^', _, ..] | [b'%', _, ..] => PLUS,
            [b'@', _, ..] | [b'/', b'/', b'/', ..] => "with --shell and sed",
            [b'#', _, ..] if inner[1..].iter().all(|byte| !byte.is_ascii_whitespace()) => PLUS,
            [b',' | b'^', ..] if inner.len() <= 2 && !has_shell => PLUS,
            _ => continue,
        };
        let shown = String::from_utf8_lossy(&text[at..=at + end]);
        let error = Error::usage(shown, "is a placeholder of another program, and none here");
        return Err(error.advise(advice));
    }
    Ok(())
}

impl Form {
    fn named(name: &[u8], plus: bool) -> Option<Self> {
        Some(match name {
            b"" => Self::Whole,
            b"." => Self::Stem,
            b"/" => Self::Base,
            b"//" => Self::Directory,
            b"/." => Self::BaseStem,
            _ => Self::Edited(Arc::new(Edit::named(name, plus)?)),
        })
    }

    fn of(&self, word: &[u8]) -> Vec<u8> {
        match self {
            Self::Whole => word.to_vec(),
            Self::Stem => stem(word).to_vec(),
            Self::Base => plus::base(word).to_vec(),
            Self::Directory => directory(word).to_vec(),
            Self::BaseStem => stem(plus::base(word)).to_vec(),
            Self::Edited(edit) => edit.of(word),
        }
    }
}

/// Up to the last dot, if no slash stands after it. Of `.profile` nothing is left, as with parallel.
fn stem(word: &[u8]) -> &[u8] {
    match memchr::memrchr2(b'.', b'/', word) {
        Some(at) if word[at] == b'.' => &word[..at],
        Some(_) | None => word,
    }
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
            ("{....}", None),
            ("{print $1}", None),
            ("{ }", None),
            ("{1", None),
            ("{99999999999999999999}", None),
        ];
        for (text, expected) in table {
            let found = Syntax::default().at_start(text.as_bytes());
            assert_eq!(found.map(|found| found.0), expected, "{text}");
        }
        assert_eq!(Syntax::default().find_in(b"{a}{{/}}").unwrap().1, 4..7);
    }
}
