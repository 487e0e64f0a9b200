//! A command with gaps in it, and an item that fills them.
//!
//! Without a shell this is simple: each word of the template is filled by itself, a filled word is one word, and the item is
//! handed over as it is. `{}` alone is as many words as the item has; inside a longer word they stand with blanks between
//! them. A template without any placeholder gets the item after it. As with GNU parallel, `{#}` and `{%}` count there too.
//!
//! With a shell the template is a program, and the danger is that the item becomes part of it; `template/script.rs` prevents
//! that. A backslash before a brace, outside of quotes, makes it an ordinary one.
//!
//! A shell without a template, or with `{}` as the whole of it, runs the items themselves, each a command line:
//! `bivouac each --shell < commands.txt`. That is the one place where an item is a program.

mod label;
mod placeholder;
mod plus;
mod scanner;
mod script;
#[cfg(test)]
mod tests;

pub(crate) use self::label::Label;
pub(crate) use self::placeholder::Syntax;
use self::placeholder::{Filling, Form, Part, Placeholder, RENAMABLE};
use self::script::Script;
use crate::jobs::argv;
use crate::jobs::quote;
use crate::jobs::shell::Shell;
use crate::jobs::text::is_invisible;
use bivouac::process::Command;
use bivouac::{Error, Result};
use serde_json::{Value, json};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

#[derive(Debug)]
pub(crate) struct Template {
    given: Vec<OsString>,
    shell: Option<Shell>,
    syntax: Syntax,
    program: Program,
    /// A word with a placeholder in it is repeated for each word of the item.
    repeats: bool,
    /// How many commands there are, if a placeholder asks.
    total: u64,
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
    /// A template of these words. Refused are placeholders for a word that no item has, or where a shell fills nothing in.
    pub(crate) fn new(words: Vec<OsString>, shell: Option<Shell>, syntax: Syntax) -> Result<Self> {
        let is_the_item = matches!(words.as_slice(), [word] if word.as_bytes() == syntax.item());
        let program = match (words.is_empty(), &shell) {
            (true, Some(_)) => Program::Lines,
            // As `parallel {}` has it. The one place where an item is a program.
            (false, Some(_)) if is_the_item => Program::Lines,
            (true, None) => {
                return Err(Error::usage("the command", "is missing")
                    .advise("say what to run, such as echo; or --shell, if each item is a command line"));
            }
            (false, Some(shell)) => {
                let words: Vec<_> = words.iter().map(|word| word.as_bytes()).collect();
                Program::Script(Script::new(&words.join(&b' '), &syntax, !shell.is_sh())?)
            }
            (false, None) => Program::Words(pieces(&words, &syntax)),
        };
        let has_shell = shell.is_some();
        words.iter().try_for_each(|word| placeholder::refuse_unknown(word.as_bytes(), &syntax, has_shell))?;
        let template = Self { given: words, shell, syntax, program, repeats: false, total: 0 };
        template.placeholders().try_for_each(|placeholder| placeholder.check(template.syntax.columns))?;
        Ok(template)
    }

    pub(crate) fn asks_for_total(&self) -> bool {
        self.placeholders().any(Placeholder::asks_for_total)
    }

    pub(crate) fn set_total(&mut self, total: u64) {
        self.total = total;
    }

    /// Whether an item stands in a word with more than that, which is another one if it is repeated.
    pub(crate) fn has_items_within_words(&self) -> bool {
        match &self.program {
            Program::Words(words) => words.iter().any(|word| word.len() > 1 && has_items(word)),
            Program::Script(script) => !script.has_items_alone(),
            Program::Lines => false,
        }
    }

    /// Repeats a word with a placeholder and more than that for each word of the item. In a text for a shell no word can be
    /// repeated.
    pub(crate) fn repeating(mut self) -> Result<Self> {
        self.repeats = true;
        match &self.program {
            Program::Words(_) => Ok(self),
            Program::Script(script) if script.has_items_alone() => Ok(self),
            Program::Script(_) | Program::Lines => {
                let problem = "is repeated with -X, -N and -L, and a part of a text for a shell cannot be";
                Err(Error::usage("{}", problem).advise("use -m or -n, or put blanks around {}"))
            }
        }
    }

    /// Three numbers `(fixed, (times, bytes))` about the length of a command: without an item it has `fixed` bytes, and each
    /// item adds `times` its own length and `bytes` more. With `pointers` a word also takes a NUL and a pointer, as the kernel
    /// counts; otherwise one byte.
    pub(crate) fn length(&self, pointers: bool) -> (usize, (usize, usize)) {
        let end = if pointers { 1 + size_of::<usize>() } else { 1 };
        match &self.program {
            Program::Words(words) => {
                let (mut fixed, mut times, mut bytes) = (0, 0, 0);
                for word in words {
                    let gaps = word.iter().filter(|piece| matches!(piece, Piece::Gap(_))).count();
                    let text: usize = word
                        .iter()
                        .map(|piece| if let Piece::Text(text) = piece { text.len() } else { 0 })
                        .sum();
                    times += gaps;
                    // A word that comes once for each item is no part of what is there without one.
                    match gaps > 0 && (self.repeats || word.len() == 1) {
                        true => bytes += text + end,
                        false => (fixed, bytes) = (fixed + text + end, bytes + gaps),
                    }
                }
                (fixed, (times, bytes))
            }
            // The item is a parameter, once for each way in which it is taken apart, and a name in the text.
            Program::Script(script) => {
                let ways = script.parts.iter().filter(|part| matches!(part, Part::Hole { .. })).count();
                let text: usize = script
                    .parts
                    .iter()
                    .map(|part| if let Part::Text(text) = part { text.len() } else { 0 })
                    .sum();
                (text + 8 * end, (ways, ways * (end + 48)))
            }
            Program::Lines => (8 * end, (1, 1)),
        }
    }

    /// The command for an item: the `number`th (`{#}`, from 1), in the `slot`th place (`{%}`, from 1).
    /// `None` if a word would hold a NUL, which no program can be given.
    pub(crate) fn fill(&self, words: &[Vec<u8>], number: u64, slot: usize) -> Option<Command> {
        Command::new(self.argv(&Filling { words, number, slot, total: self.total }))
    }

    /// The same command as text that a person can paste into a shell.
    pub(crate) fn show(&self, words: &[Vec<u8>], number: u64, slot: usize) -> String {
        let filling = Filling { words, number, slot, total: self.total };
        let readable = match &self.program {
            Program::Words(_) => None,
            Program::Script(script) => script.show(&filling),
            Program::Lines => {
                String::from_utf8(words.join(&b' ')).ok().filter(|line| !line.chars().any(is_invisible))
            }
        };
        readable.unwrap_or_else(|| quote::command(&self.argv(&filling)))
    }

    /// The part of the job's identity that a continued run must repeat.
    pub(crate) fn identity(&self) -> Value {
        let mut identity = json!({ "words": argv::to_record(&self.given), "shell": self.shell.is_some() });
        if let Some(shell) = self.shell.as_ref().filter(|shell| !shell.is_sh()) {
            identity["shell"] = json!(shell.name().to_string_lossy());
        }
        if self.repeats {
            identity["repeats"] = json!(true);
        }
        // A record of a job without these has none of them.
        let Syntax { renamed, plus, names, columns: _, takes_none } = &self.syntax;
        for (usual, written) in renamed {
            identity["renamed"][usual] = json!(String::from_utf8_lossy(written));
        }
        if *plus {
            identity["plus"] = json!(true);
        }
        if !names.is_empty() {
            identity["names"] = argv::to_record(names.iter().map(|name| OsStr::from_bytes(name)));
        }
        if *takes_none {
            identity["takes_none"] = json!(true);
        }
        identity
    }

    /// From its identity, to be shown; `None` if it holds what is no text.
    pub(crate) fn from_identity(identity: &Value) -> Option<Self> {
        let words_of = |name: &str| -> Option<Vec<OsString>> {
            identity[name].as_array()?.iter().map(|word| word.as_str().map(OsString::from)).collect()
        };
        let shell = match identity["shell"].as_str() {
            Some(name) => Some(name),
            None => identity["shell"].as_bool()?.then_some("sh"),
        };
        let shell = shell.map(|name| Shell::named(name.as_ref())).transpose().ok()?;
        let names = if identity["names"].is_null() { Vec::new() } else { words_of("names")? };
        let renamed = |usual: &'static str| Some((usual, identity["renamed"][usual].as_str()?.into()));
        let syntax = Syntax {
            renamed: RENAMABLE.into_iter().filter_map(renamed).collect(),
            plus: identity["plus"] == true,
            names: names.into_iter().map(OsString::into_vec).collect(),
            columns: None,
            takes_none: identity["takes_none"] == true,
        };
        // How many there are is in no record.
        Self::new(words_of("words")?, shell, syntax).ok().filter(|template| !template.asks_for_total())
    }

    pub(crate) fn is_program_an_item(&self) -> bool {
        match &self.program {
            Program::Words(words) => {
                words.first().is_some_and(|word| word.iter().any(|piece| matches!(piece, Piece::Gap(_))))
            }
            Program::Script(_) | Program::Lines => false,
        }
    }

    fn placeholders(&self) -> Box<dyn Iterator<Item = &Placeholder> + '_> {
        match &self.program {
            Program::Words(words) => Box::new(words.iter().flatten().filter_map(|piece| match piece {
                Piece::Gap(placeholder) => Some(placeholder),
                Piece::Text(_) => None,
            })),
            Program::Script(script) => Box::new(script.parts.iter().filter_map(|part| match part {
                Part::Hole { placeholder, .. } => Some(placeholder),
                Part::Text(_) => None,
            })),
            Program::Lines => Box::new(std::iter::empty()),
        }
    }

    fn argv(&self, filling: &Filling<'_>) -> Vec<OsString> {
        let argv = match &self.program {
            Program::Words(words) => words.iter().flat_map(|word| self.fill_word(word, filling)).collect(),
            Program::Script(script) => {
                let (text, parameters) = script.fill(filling);
                let mut argv = self.through_shell(text);
                // The name by which the shell calls itself in its messages.
                argv.push(b"sh".to_vec());
                argv.extend(parameters);
                argv
            }
            Program::Lines => self.through_shell(filling.words.join(&b' ')),
        };
        argv.into_iter().map(OsString::from_vec).collect()
    }

    fn through_shell(&self, text: Vec<u8>) -> Vec<Vec<u8>> {
        self.shell.as_ref().map(|shell| shell.words(text)).unwrap_or_default()
    }

    /// A placeholder alone is as many words as it has; anything else is one, or one for each word of the item.
    fn fill_word(&self, word: &[Piece], filling: &Filling<'_>) -> Vec<Vec<u8>> {
        if !self.repeats || word.len() == 1 || !has_items(word) {
            return vec_of(word, filling);
        }
        let one = |words| vec_of(word, &Filling { words, ..*filling });
        filling.words.chunks(1).flat_map(one).collect()
    }
}

/// The words of a template without a shell, the item appended if nothing in them stands for it.
fn pieces(words: &[OsString], syntax: &Syntax) -> Vec<Vec<Piece>> {
    let mut words: Vec<Vec<Piece>> = words.iter().map(|word| cut(word.as_bytes(), syntax)).collect();
    if !syntax.takes_none && !words.iter().flatten().any(|piece| matches!(piece, Piece::Gap(_))) {
        words.push(vec![Piece::Gap(Placeholder::All(Form::Whole))]);
    }
    words
}

fn has_items(word: &[Piece]) -> bool {
    word.iter().any(|piece| matches!(piece, Piece::Gap(Placeholder::All(_))))
}

fn cut(word: &[u8], syntax: &Syntax) -> Vec<Piece> {
    let (mut rest, mut pieces) = (word, Vec::new());
    while let Some((placeholder, range)) = syntax.find_in(rest) {
        pieces.extend([Piece::Text(rest[..range.start].to_vec()), Piece::Gap(placeholder)]);
        rest = &rest[range.end..];
    }
    pieces.push(Piece::Text(rest.to_vec()));
    pieces.retain(|piece| !matches!(piece, Piece::Text(text) if text.is_empty()));
    pieces
}

fn vec_of(word: &[Piece], filling: &Filling<'_>) -> Vec<Vec<u8>> {
    if let [Piece::Gap(placeholder)] = word {
        return placeholder.fill(filling);
    }
    let fill = |piece: &Piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Gap(placeholder) => placeholder.fill(filling).join(&b' '),
    };
    vec![word.iter().map(fill).collect::<Vec<_>>().concat()]
}
