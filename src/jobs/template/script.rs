//! A template that a shell reads, and items that it never reads.
//!
//! The obvious way is to quote the item and to put it into the text. But the right quotes depend on its place, and in half
//! of all places there are none: `"{}"`, `` `{}` ``, `'{}.old'`. One mistake, and an item called `$(rm -rf x)` is a command.
//! So no byte of an item ever becomes part of the text. The text is fixed, the items are handed over as parameters (`sh -c
//! TEXT sh ITEM…`), and each placeholder becomes an expansion, and no shell reads its result again. The parameters are first
//! put into variables, since `$1` is another one inside of a function, and after `set` and `shift`.
//!
//! The expansion must remain *one word*:
//!
//! | where it stands | it becomes |
//! |---|---|
//! | plain | `"${_item1}"` |
//! | in double quotes | `${_item1}` |
//! | in single quotes | `'"${_item1}"'` |
//! | in an arithmetic expansion | `${_item1}`, and the item must be a number |
//!
//! A scanner with a stack finds the place: it knows quotes, `$( )`, `${ }`, `$(( ))`, backticks, backslashes, comments and
//! `case`. Backticks with a placeholder inside become `$( )`, in which nothing is escaped twice. If the scanner is wrong
//! about a place, quotes are wrong: an item may become several words, or the name of its parameter is printed. It is never
//! executed.
//!
//! Arithmetic is different, because there bash *does* read the result again: `a[$(id)]` would run `id`. There the words
//! `not a number`, which no shell can add up, replace an item that is not a number. With a shell like bash that includes
//! `(( ))`, `let`, and a `[[ ]]` that compares numbers or asks for a variable.
//!
//! No template can protect beyond this: a command that hands the item to another reader (`eval`, `sh -c "{}"`, `ssh`, the
//! text of an `awk` program, `declare -i` of bash) makes it a program.

use super::placeholder::{Filling, Part, Placeholder, Quoting, Syntax};
use crate::jobs::quote;
use bivouac::Result;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// A text for `sh -c`. See the [module](self).
#[derive(Debug)]
pub(super) struct Script {
    pub(super) parts: Vec<Part>,
}

impl Script {
    /// `of_bash`: the shell has `[[ ]]`, `(( ))` and `let`, and evaluates what stands in them.
    pub(super) fn new(text: &[u8], syntax: &Syntax, of_bash: bool) -> Result<Self> {
        let mut scanner = super::scanner::Scanner::new(text, syntax);
        scanner.of_bash = of_bash;
        scanner.scan()?;
        if !syntax.takes_none && !scanner.parts.iter().any(|part| matches!(part, Part::Hole { .. })) {
            scanner.append_item()?;
        }
        Ok(Self { parts: scanner.parts })
    }

    /// Whether every item stands where it is words of its own.
    pub(super) fn has_items_alone(&self) -> bool {
        let is_open = |byte: Option<&u8>| {
            byte.is_none_or(|byte| byte.is_ascii_whitespace() || b";|&()<>".contains(byte))
        };
        let alone = |(at, part): (usize, &Part)| match part {
            Part::Text(_) => true,
            Part::Hole { placeholder: Placeholder::All(_), quoting, .. } => {
                let before = at.checked_sub(1).map(|before| &self.parts[before]);
                let is_open = |part: Option<&Part>, byte: fn(&[u8]) -> Option<&u8>| {
                    part.is_none_or(|part| matches!(part, Part::Text(text) if is_open(byte(text))))
                };
                let is_free = is_open(before, <[u8]>::last) && is_open(self.parts.get(at + 1), <[u8]>::first);
                *quoting == Quoting::Plain && is_free
            }
            Part::Hole { .. } => true,
        };
        self.parts.iter().enumerate().all(alone)
    }

    pub(super) fn fill(&self, filling: &Filling<'_>) -> (Vec<u8>, Vec<Vec<u8>>) {
        let mut text = Vec::new();
        let mut parameters = Parameters::default();
        for part in &self.parts {
            match part {
                Part::Text(bytes) => text.extend_from_slice(bytes),
                Part::Hole { placeholder, quoting, .. } => {
                    text.extend_from_slice(parameters.expansion(placeholder, *quoting, filling).as_bytes());
                }
            }
        }
        ([parameters.variables(), text].concat(), parameters.values)
    }

    /// The text with the items in it, as a person would have written it; `None` if that would not be
    /// the same everywhere.
    pub(super) fn show(&self, filling: &Filling<'_>) -> Option<String> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(bytes) => text.push_str(std::str::from_utf8(bytes).ok()?),
                Part::Hole { placeholder, quoting, is_simple } => {
                    let words = placeholder.fill(filling);
                    if !is_simple && !words.iter().all(|word| is_number(word)) {
                        return None;
                    }
                    text.push_str(&inline(&words, *quoting)?);
                }
            }
        }
        Some(text).filter(|text| !text.chars().any(crate::jobs::text::is_invisible))
    }
}

/// The positional parameters of one command.
#[derive(Default)]
struct Parameters {
    /// Which word of which placeholder each of them is, and whether it has to be a number.
    keys: Vec<(Placeholder, usize, bool)>,
    values: Vec<Vec<u8>>,
}

impl Parameters {
    fn expansion(&mut self, placeholder: &Placeholder, quoting: Quoting, filling: &Filling<'_>) -> String {
        let words = placeholder.fill(filling);
        let written: Vec<String> = match placeholder {
            // Ours, and digits.
            Placeholder::Number | Placeholder::Padded | Placeholder::Total | Placeholder::Slot => {
                words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect()
            }
            Placeholder::All(_) | Placeholder::One(..) => {
                let arithmetic = quoting == Quoting::Arithmetic;
                let mut number = |(i, word)| self.number((placeholder.clone(), i, arithmetic), word);
                words.into_iter().enumerate().map(|word| format!("${{_item{}}}", number(word))).collect()
            }
        };
        match quoting {
            Quoting::Plain => format!("\"{}\"", written.join("\" \"")),
            Quoting::Double | Quoting::Arithmetic => written.join(" "),
            Quoting::Single => format!("'\"{}\"'", written.join(" ")),
        }
    }

    /// The assignments before the text. They also remove the parameters, as if the text had been started without them.
    fn variables(&self) -> Vec<u8> {
        let assign = |n: usize| format!("_item{n}=${{{n}}}");
        let all: Vec<String> = (1..=self.values.len()).map(assign).collect();
        if all.is_empty() { Vec::new() } else { format!("{}; set --; ", all.join(" ")).into_bytes() }
    }

    fn number(&mut self, key: (Placeholder, usize, bool), word: Vec<u8>) -> usize {
        if let Some(i) = self.keys.iter().position(|known| *known == key) {
            return i + 1;
        }
        let is_safe = !key.2 || is_number(&word);
        self.keys.push(key);
        self.values.push(if is_safe { word } else { b"not a number".to_vec() });
        self.values.len()
    }
}

/// Whether a shell that evaluates this does no more than count: digits, also hexadecimal or with a base.
fn is_number(word: &[u8]) -> bool {
    let word = word.strip_prefix(b"-").or(word.strip_prefix(b"+")).unwrap_or(word);
    let may_follow = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'#' | b'.');
    word.first().is_some_and(u8::is_ascii_digit) && word.iter().all(may_follow)
}

/// Words where a placeholder stood, in the quotes that the place needs.
fn inline(words: &[Vec<u8>], quoting: Quoting) -> Option<String> {
    let quoted = |word: &Vec<u8>| quote::argument(OsStr::from_bytes(word));
    if quoting == Quoting::Plain {
        return Some(words.iter().map(quoted).collect::<Vec<_>>().join(" "));
    }
    let joined = words.join(&b' ');
    let is_plain = |special: &[u8]| {
        !joined.iter().any(|byte| special.contains(byte) || byte.is_ascii_control()) && joined.is_ascii()
    };
    let (special, around): (&[u8], _) = match quoting {
        Quoting::Double => (b"\"$`\\!", '"'),
        Quoting::Single => (b"'", '\''),
        Quoting::Plain | Quoting::Arithmetic => {
            return is_number(&joined).then(|| String::from_utf8_lossy(&joined).into_owned());
        }
    };
    match is_plain(special) {
        true => String::from_utf8(joined).ok(),
        false => Some(format!("{around}{}{around}", quote::argument(&OsString::from_vec(joined)))),
    }
}
