//! A command line that can be pasted back into a shell and means the same.
//!
//! `shlex` knows how to quote for every POSIX shell, and is used for every argument that a terminal
//! can show. It passes bytes through as they are, though, and that is no good for a name that is not
//! UTF-8 or holds control characters: what one copies off the screen is not what was printed. Such
//! an argument is written as `$'…'` with octal escapes, which bash, zsh, ksh and, since 2024, POSIX
//! know. Octal and not `\x`, because an octal escape has at most three digits everywhere, while how
//! many a `\x` takes depends on the shell.

use crate::jobs::text::{grouped, is_invisible, short};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// The whole command, ready to paste.
pub(crate) fn command(argv: &[OsString]) -> String {
    argv.iter().map(|word| argument(word)).collect::<Vec<_>>().join(" ")
}

/// The command for a message. A pattern like `*.log` may have become thousands of words, too many to read;
/// what is typed again is the pattern.
pub(crate) fn shortened(argv: &[OsString]) -> String {
    shorten(argv.iter().map(|word| argument(word)).collect())
}

/// As [`shortened`], for a command that [`command`] has quoted.
pub(crate) fn shortened_text(command: &str) -> String {
    let (mut words, mut word) = (Vec::new(), String::new());
    let (mut quote, mut escaped) = (None, false);
    for character in command.chars() {
        let is_quote = quote.map_or(matches!(character, '\'' | '"'), |quote| quote == character);
        match character {
            ' ' if quote.is_none() && !escaped => {
                words.push(std::mem::take(&mut word));
                continue;
            }
            _ if is_quote && !escaped => quote = if quote.is_none() { Some(character) } else { None },
            _ => {}
        }
        // In plain single quotes nothing is escaped; in those behind a dollar, and outside, it is.
        let is_raw = quote == Some('\'') && !word.contains("$'");
        escaped = character == '\\' && !escaped && !is_raw;
        word.push(character);
    }
    words.push(word);
    shorten(words)
}

fn shorten(words: Vec<String>) -> String {
    const LONGEST: usize = 1000;
    const FIRST: usize = 3;
    if words.iter().map(|word| word.len() + 1).sum::<usize>() <= LONGEST {
        return words.join(" ");
    }
    // Leaves out items, if the words show where they begin, and otherwise the last words.
    let is_mark = |word: &String| [":::", ":::+", "::::", "::::+"].contains(&word.as_str());
    let list = words.iter().position(is_mark).unwrap_or(words.len().min(40) - 1);
    let shown = words.len().min(list + 1 + FIRST);
    let more = words.len() - shown;
    let mut text = words[..shown].iter().map(|word| short(word)).collect::<Vec<_>>().join(" ");
    if more > 0 {
        text.push_str(&format!(" … {} more", grouped(more as u64)));
    }
    text
}

pub(crate) fn argument(word: &OsStr) -> String {
    match word.to_str() {
        Some(text) if is_plain(text) => text.to_string(),
        Some(text) if !text.chars().any(is_invisible) => match shlex::try_quote(text) {
            Ok(quoted) => quoted.into_owned(),
            // Only for a NUL, which is a control character and which no argument can hold.
            Err(_) => escaped(word.as_bytes()),
        },
        Some(_) | None => escaped(word.as_bytes()),
    }
}

/// Whether every shell takes this text literally, although `shlex` would quote it: `--progress=full`, `now,fail=1`. Not so
/// `X=1`, which sets a variable, and `=ls`, which is a path to zsh.
fn is_plain(text: &str) -> bool {
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:,+@=".contains(&byte);
    let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    !text.is_empty()
        && text.bytes().all(is_safe)
        && text.split_once('=').is_none_or(|(name, _)| !is_name(name))
}

fn escaped(bytes: &[u8]) -> String {
    let mut quoted = String::from("$'");
    for &byte in bytes {
        match byte {
            b'\'' | b'\\' => quoted.extend(['\\', byte as char]),
            b' '..=b'~' => quoted.push(byte as char),
            _ => quoted.push_str(&format!("\\{byte:03o}")),
        }
    }
    quoted.push('\'');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStringExt;
    use std::process::Command;

    /// What `shell` makes of the words: each one printed, with a NUL behind it.
    fn through(shell: &str, words: &[OsString]) -> Vec<OsString> {
        let script = format!("printf '%s\\0' {}", command(words));
        let output = Command::new(shell).arg("-c").arg(&script).output().unwrap();
        assert!(output.status.success(), "{script}: {output:?}");
        let mut parts: Vec<OsString> =
            output.stdout.split(|&byte| byte == 0).map(|part| OsString::from_vec(part.to_vec())).collect();
        assert_eq!(parts.pop(), Some(OsString::new()));
        parts
    }

    #[test]
    fn a_line_of_thousands_of_files_is_shortened_whether_it_is_words_or_a_text() {
        let mut words: Vec<OsString> =
            ["bivouac", "each", "echo", "it's a", ":::"].map(OsString::from).to_vec();
        words.extend((0..3000).map(|n| OsString::from(format!("file '{n}"))));
        let expected = "bivouac each echo \"it's a\" ::: \"file '0\" \"file '1\" \"file '2\" … 2,997 more";
        assert_eq!(shortened(&words), expected);
        assert_eq!(shortened_text(&command(&words)), expected);
        words.truncate(9);
        assert_eq!(shortened(&words), command(&words));
        assert_eq!(shortened_text(&command(&words)), command(&words));
        let long = [OsString::from("x"), OsString::from("y".repeat(5000))];
        assert!(shortened(&long).len() < 200 && shortened(&long).contains("5,000 bytes"));
    }

    #[test]
    fn words_that_can_be_shown_come_back_from_every_shell() {
        let words: Vec<OsString> = [
            "grep",
            "it's",
            "a b",
            "",
            "$HOME",
            "`id`",
            "\\",
            "\"",
            "*",
            "~",
            "!!",
            "-e",
            "größe 木",
            "a'b\"c$d\\e",
            "#x",
            "{a,b}",
            "^x^",
            "X=1",
            "=ls",
            "--progress=full",
        ]
        .iter()
        .map(OsString::from)
        .collect();
        assert_eq!(through("sh", &words), words);
        assert_eq!(through("bash", &words), words);
        for plain in ["--progress=full", "now,fail=1", "out.txt"] {
            assert_eq!(argument(plain.as_ref()), plain);
        }
    }

    #[test]
    fn every_byte_comes_back_from_bash_and_none_reaches_the_terminal_raw() {
        let all: Vec<u8> = (1..=255).collect();
        let words =
            [all, b"\xff1".to_vec(), b"tab\there\n".to_vec(), b"\x1b[2J'".to_vec(), "\u{202e}x".into()]
                .map(OsString::from_vec);
        assert!(command(&words).chars().all(|c| !is_invisible(c)));
        assert_eq!(through("bash", &words), words);
    }
}
