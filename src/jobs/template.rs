//! A command with gaps in it, and an item that fills them.
//!
//! Without a shell this is simple: each word of the template is filled for itself, a filled word is one
//! word, and whatever an item holds is handed over as it is. `{}` alone is as many words as the item has;
//! inside a longer word they stand with blanks between them. A template without any placeholder gets the
//! item behind it. As with GNU parallel, `{#}` and `{%}` count as placeholders there too.
//!
//! With a shell the template is a program, and the danger is that the item becomes part of it; how that is
//! prevented is the subject of `template/script.rs`. A backslash before a brace, outside of quotes, makes it
//! an ordinary one.
//!
//! A shell without a template runs the items themselves, each a command line: `bivouac each --shell <
//! commands.txt`.

mod placeholder;
mod scanner;
mod script;
#[cfg(test)]
mod tests;

use self::placeholder::{Filling, Form, Placeholder};
use self::script::{Part, Script};
use crate::cli::{human, quote};
use crate::jobs::argv;
use bivouac::process::Command;
use bivouac::{Error, Result};
use serde_json::{Value, json};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Template {
    given: Vec<OsString>,
    shell: bool,
    program: Program,
}

#[derive(Debug)]
enum Program {
    /// No shell: words, each in pieces.
    Words(Vec<Vec<Piece>>),
    /// One text for a shell.
    Script(Script),
    /// Each item is a text for a shell.
    Lines,
}

#[derive(Debug)]
enum Piece {
    Text(Vec<u8>),
    Gap(Placeholder),
}

impl Template {
    /// A template of these words, for items of `columns` words each.
    ///
    /// # Errors
    ///
    /// [`Kind::Usage`](bivouac::error::Kind::Usage): there is no command and no shell; a placeholder is
    /// for a word that no item has, or stands where a shell fills nothing in.
    pub(crate) fn new(words: Vec<OsString>, shell: bool, columns: usize) -> Result<Self> {
        let program = match (words.is_empty(), shell) {
            (true, true) => Program::Lines,
            (true, false) => {
                return Err(Error::usage("the command", "is missing")
                    .advise("say what to run for each item; or --shell, if each item is a command line"));
            }
            (false, true) => {
                let words: Vec<_> = words.iter().map(|word| word.as_bytes()).collect();
                Program::Script(Script::new(&words.join(&b' '))?)
            }
            (false, false) => Program::Words(pieces(&words)),
        };
        let template = Self { given: words, shell, program };
        template.placeholders().try_for_each(|placeholder| is_there(placeholder, columns))?;
        Ok(template)
    }

    /// The command for an item: the `number`th (`{#}`, from 1), in the `slot`th place (`{%}`, from 1).
    /// `None` if a word would hold a NUL, which no program can be given.
    pub(crate) fn fill(&self, words: &[Vec<u8>], number: u64, slot: usize) -> Option<Command> {
        Command::new(self.argv(&Filling { words, number, slot }))
    }

    /// The same for a person: what to paste into a shell.
    pub(crate) fn show(&self, words: &[Vec<u8>], number: u64, slot: usize) -> String {
        let filling = Filling { words, number, slot };
        let readable = match &self.program {
            Program::Words(_) => None,
            Program::Script(script) => script.show(&filling),
            Program::Lines => String::from_utf8(words.join(&b' '))
                .ok()
                .filter(|line| !line.chars().any(human::is_invisible)),
        };
        readable.unwrap_or_else(|| quote::command(&self.argv(&filling)))
    }

    /// What a continued run must have the same.
    pub(crate) fn identity(&self) -> Value {
        json!({ "words": argv::to_record(&self.given), "shell": self.shell })
    }

    /// From its identity, to be shown; `None` if it holds what is no text.
    pub(crate) fn from_identity(identity: &Value) -> Option<Self> {
        let words = identity["words"].as_array()?.iter().map(|word| word.as_str().map(OsString::from));
        Self::new(words.collect::<Option<_>>()?, identity["shell"].as_bool()?, 1).ok()
    }

    /// Whether which program runs depends on the item.
    pub(crate) fn is_program_an_item(&self) -> bool {
        match &self.program {
            Program::Words(words) => {
                words.first().is_some_and(|word| word.iter().any(|piece| matches!(piece, Piece::Gap(_))))
            }
            Program::Script(_) | Program::Lines => false,
        }
    }

    fn placeholders(&self) -> Box<dyn Iterator<Item = Placeholder> + '_> {
        match &self.program {
            Program::Words(words) => Box::new(words.iter().flatten().filter_map(|piece| match piece {
                Piece::Gap(placeholder) => Some(*placeholder),
                Piece::Text(_) => None,
            })),
            Program::Script(script) => Box::new(script.parts.iter().filter_map(|part| match part {
                Part::Hole { placeholder, .. } => Some(*placeholder),
                Part::Text(_) => None,
            })),
            Program::Lines => Box::new(std::iter::empty()),
        }
    }

    fn argv(&self, filling: &Filling<'_>) -> Vec<OsString> {
        let argv = match &self.program {
            Program::Words(words) => words.iter().flat_map(|word| fill_word(word, filling)).collect(),
            Program::Script(script) => {
                let (text, parameters) = script.fill(filling);
                let mut argv = through_shell(text);
                // The name by which the shell calls itself in its messages.
                argv.push(b"sh".to_vec());
                argv.extend(parameters);
                argv
            }
            Program::Lines => through_shell(filling.words.join(&b' ')),
        };
        argv.into_iter().map(OsString::from_vec).collect()
    }
}

/// The words of a template without a shell, the item appended if nothing in them stands for it.
fn pieces(words: &[OsString]) -> Vec<Vec<Piece>> {
    let mut words: Vec<Vec<Piece>> = words.iter().map(|word| cut(word)).collect();
    if !words.iter().flatten().any(|piece| matches!(piece, Piece::Gap(_))) {
        words.push(vec![Piece::Gap(Placeholder::All(Form::Whole))]);
    }
    words
}

fn cut(word: &OsStr) -> Vec<Piece> {
    let (mut rest, mut pieces) = (word.as_bytes(), Vec::new());
    while let Some((placeholder, range)) = Placeholder::find_in(rest) {
        pieces.extend([Piece::Text(rest[..range.start].to_vec()), Piece::Gap(placeholder)]);
        rest = &rest[range.end..];
    }
    pieces.push(Piece::Text(rest.to_vec()));
    pieces.retain(|piece| !matches!(piece, Piece::Text(text) if text.is_empty()));
    pieces
}

/// A placeholder alone is as many words as it has; anything else is one.
fn fill_word(word: &[Piece], filling: &Filling<'_>) -> Vec<Vec<u8>> {
    if let [Piece::Gap(placeholder)] = word {
        return placeholder.fill(filling);
    }
    let fill = |piece: &Piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Gap(placeholder) => placeholder.fill(filling).join(&b' '),
    };
    vec![word.iter().map(fill).collect::<Vec<_>>().concat()]
}

fn through_shell(mut text: Vec<u8>) -> Vec<Vec<u8>> {
    if matches!(text.first(), Some(b'-' | b'+')) {
        text.insert(0, b' '); // Otherwise the shell takes it for one of its own options.
    }
    vec![b"/bin/sh".to_vec(), b"-c".to_vec(), text]
}

/// Whether an item has the word that a placeholder is for.
fn is_there(placeholder: Placeholder, columns: usize) -> Result<()> {
    match placeholder {
        Placeholder::One(which, _) if which.unsigned_abs() > columns as u64 => {
            let words = if columns == 1 { "word" } else { "words" };
            Err(Error::usage(format_args!("{{{which}}}"), format_args!("an item has {columns} {words} only"))
                .advise("give as many sources of items as there are placeholders, or take several with -n"))
        }
        Placeholder::One(..) | Placeholder::All(_) | Placeholder::Number | Placeholder::Slot => Ok(()),
    }
}
