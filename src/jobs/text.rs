//! Text that a terminal can show and a person can recognize.

use std::borrow::Cow;

/// The same text with control characters made visible: a file name can hold an escape sequence that clears the screen, a
/// line that looks like one of ours, or a mark that turns the reading direction.
///
/// A newline stays when two spaces follow, since that is how messages continue on the next line; a
/// forged line therefore is always indented, and never begins with our prefix.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_invisible) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for (at, character) in text.char_indices() {
        match character {
            '\n' if text[at + 1..].starts_with("  ") => shown.push('\n'),
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            _ if character.is_ascii_control() => shown.push_str(&format!("\\x{:02x}", character as u32)),
            _ if is_invisible(character) => shown.push_str(&format!("\\u{{{:x}}}", character as u32)),
            _ => shown.push(character),
        }
    }
    Cow::Owned(shown)
}

/// Shortens a long text to its beginning and its length, so that a person recognizes it.
pub(crate) fn short(text: &str) -> Cow<'_, str> {
    const LONGEST: usize = 80;
    const SHOWN: usize = 60;

    if text.len() <= LONGEST {
        return Cow::Borrowed(text);
    }
    let end = (0..=SHOWN).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    // The length of a note that was cut already is not known.
    let length = match text.ends_with('…') {
        true => String::new(),
        false => format!(" ({} bytes)", grouped(text.len() as u64)),
    };
    Cow::Owned(format!("{}…{length}", &text[..end]))
}

/// Shortens each word of a line that is longer than 80 characters. Of a path the end is kept, which has the name.
pub(crate) fn with_short_words(line: &str) -> String {
    let cut = |word: &str| match word.char_indices().nth_back(78) {
        Some((at, _)) if at > 1 && word.contains('/') => format!("…{}", &word[at..]),
        _ => short(word.trim_end_matches(':')).into_owned() + if word.ends_with(':') { ":" } else { "" },
    };
    line.split(' ').map(cut).collect::<Vec<_>>().join(" ")
}

/// `2,997`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Control characters (C0, DEL, C1), and the marks that reorder the text around them.
pub(crate) fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        assert_eq!(visible("plain, größer, 木"), "plain, größer, 木");
        assert!(matches!(visible("plain"), Cow::Borrowed(_)));
        assert_eq!(visible("a\x1b[2J\x07\x7f\t\r"), "a\\x1b[2J\\x07\\x7f\\t\\r");
        assert_eq!(visible("\u{9b}2J\u{202e}"), "\\u{9b}2J\\u{202e}");
        assert_eq!(visible("full\n  free some space"), "full\n  free some space");
        assert_eq!(visible("x\nbivouac: done"), "x\\nbivouac: done");
        assert_eq!(visible("x\n"), "x\\n");
    }
}
