//! The command of `--merge`: where its files go, and how large the chunks are.
//!
//! `sort -m` gets its files after its last word. In `sort -m | head -5` that would be the wrong place: `sort` would read
//! nothing, `head` would print five lines of each file, and all of it would end with 0. So the files go before the first `|`. In
//! a script of several commands only its author knows the place, and writes "$@" there.

use crate::cli::args::verbs::PipeArgs;
use crate::jobs::shell::Shell;
use bivouac::input::Stream;
use bivouac::process::Command;
use bivouac::{Error, Result};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// Chunks by default: the input divided by this, of this many bytes at most. Sixteen of them need one merge, and one more
/// chunk needs a second pass over everything. Division by sixteen would give seventeen: a chunk ends with a record, and so
/// has a little less than its part. Fewer than sixteen leave workers idle at the end: most machines have an even number.
pub(super) const PARTS: (f64, u64) = (15.75, 128 << 20);

/// Chunks of a stream are in memory.
const OF_A_STREAM: u64 = 16 << 20;

const FILES: &str = "\"$@\"";

/// The chunks by default if the size of the input is not known.
pub(super) fn block_of_streams(files: &[PathBuf]) -> Option<u64> {
    files.iter().any(|file| Stream::is_stream(file)).then_some(OF_A_STREAM)
}

/// A shell with its script.
pub(super) fn command(pipe: &PipeArgs, text: &OsStr) -> Result<Command> {
    let text = text.to_str().ok_or_else(|| Error::usage("--merge", "is not UTF-8"))?;
    let script = with_files(text).ok_or_else(|| {
        Error::usage("--merge", format_args!("has several commands, and one of them must get the files"))
            .advise("write \"$@\" in place of the files")
    })?;
    if script.trim() == FILES {
        return Err(Error::usage("--merge", "has no command").advise("for example --merge 'sort -m'"));
    }
    let shell = Shell::named(pipe.shell.as_deref().unwrap_or("sh".as_ref()))?;
    let words = shell.words(script.into_bytes()).into_iter().map(OsString::from_vec);
    Command::new(words).ok_or_else(|| Error::usage("--merge", "has a zero byte"))
}

/// The script with its files; `None` if their place is not known.
fn with_files(text: &str) -> Option<String> {
    let (chars, is_open) = read(text);
    let asks = |at: usize| ["$@", "${@", "$*", "${*"].iter().any(|files| text[at..].starts_with(files));
    if chars.iter().any(|(at, _, quote)| *quote != Some('\'') && asks(*at)) {
        return Some(text.to_string());
    }
    let mut before = ' ';
    for (at, c, _) in chars.into_iter().filter(|(_, _, quote)| quote.is_none()) {
        let next = text[at..].chars().nth(1);
        match c {
            '|' if next != Some('|') => {
                return Some(format!("{} {FILES} {}", text[..at].trim_end(), &text[at..]));
            }
            // A redirection: 2>&1.
            '&' if matches!(before, '<' | '>') => {}
            '|' | '&' | ';' | '\n' | '(' | ')' | '`' => return None,
            '#' if before.is_whitespace() => return None,
            '<' if next == Some('<') => return None,
            _ => {}
        }
        before = c;
    }
    (!is_open).then(|| format!("{} {FILES}", text.trim_end()))
}

/// The characters that are not escaped, each with its place and the quote that it is in; and whether the last quote is open.
fn read(text: &str) -> (Vec<(usize, char, Option<char>)>, bool) {
    let (mut read, mut quote, mut chars) = (Vec::new(), None, text.char_indices());
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (None | Some('"'), '\\') => drop(chars.next()),
            (Some(open), _) if c == open => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (_, _) => read.push((at, c, quote)),
        }
    }
    (read, quote.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_go_to_the_first_command_or_where_they_are_asked_for() {
        for (text, script) in [
            ("sort -m", r#"sort -m "$@""#),
            ("sort -m | head -5", r#"sort -m "$@" | head -5"#),
            ("sort -m 2>&1 | uniq -c", r#"sort -m 2>&1 "$@" | uniq -c"#),
            (r#"awk '{n+=$1; m|=2} END{print n}'"#, r#"awk '{n+=$1; m|=2} END{print n}' "$@""#),
            (r#"for f; do cat "$f"; done; : "$@""#, r#"for f; do cat "$f"; done; : "$@""#),
            (r"sort -t\| -m", r#"sort -t\| -m "$@""#),
            (r#"sort -t "\"|" -m"#, r#"sort -t "\"|" -m "$@""#),
        ] {
            assert_eq!(with_files(text).as_deref(), Some(script));
        }
        for text in [
            "sort -m; true",
            "sort -m && x",
            "sort || x",
            "(sort)",
            "sort # x",
            "cat <<E",
            "sort 'x",
            "a & b",
        ] {
            assert_eq!(with_files(text), None, "{text}");
        }
    }
}
