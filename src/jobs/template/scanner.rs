//! Reading a shell script, as far as it takes to know in which quotes a place stands.
//!
//! This is no parser: it knows only which bytes open, which close, and which take the meaning from the next byte. Beyond
//! that, two things can put a quote or a bracket out of its pair: comments (`# don't`), and the lone `)` after a pattern of
//! `case`.

use super::placeholder::{Form, Part, Placeholder, Quoting, Syntax};
use bivouac::{Error, Result};

/// Something that was opened and is not closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Frame {
    /// `'`
    Single,
    /// `"`
    Double,
    /// `$(` or, in one, `(`; with the number of `case` in it without `esac`.
    Paren { cases: u32 },
    /// `${`, in double quotes or not; `evaluates` if its content is arithmetic (of bash).
    Brace { quoted: bool, evaluates: bool },
    /// `$((`, with the number of `(` in it.
    Arithmetic { depth: u32 },
    /// `$[`, which is arithmetic in bash.
    Bracket,
}

/// The scanner, with what it has made of the text so far.
#[derive(Debug)]
pub(super) struct Scanner<'a> {
    text: &'a [u8],
    syntax: &'a Syntax,
    at: usize,
    frames: Vec<Frame>,
    pub(super) parts: Vec<Part>,
    /// A here-document was announced; it begins at the next newline.
    awaits_document: bool,
    has_document: bool,
    /// This is the inner text of backticks.
    is_inner: bool,
    /// The shell has `[[ ]]`, `(( ))` and `let`.
    pub(super) of_bash: bool,
    /// Up to here the shell evaluates what it reads.
    evaluates_up_to: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a [u8], syntax: &'a Syntax) -> Self {
        Self {
            text,
            syntax,
            at: 0,
            frames: Vec::new(),
            parts: Vec::new(),
            awaits_document: false,
            has_document: false,
            is_inner: false,
            of_bash: false,
            evaluates_up_to: 0,
        }
    }

    pub(super) fn scan(&mut self) -> Result<()> {
        while let Some(&byte) = self.text.get(self.at) {
            let placeholder = self.syntax.at_start(&self.text[self.at..]);
            match (self.quoting(), byte, placeholder) {
                (_, _, Some((placeholder, length))) => {
                    self.hole(placeholder);
                    self.at += length;
                }
                (Quoting::Single, _, None) => {
                    if byte == b'\'' {
                        self.frames.pop();
                    }
                    self.copy(1);
                }
                (quoting, b'\\', None) => self.backslash(quoting),
                (quoting, b'`', None) => self.backticks(quoting)?,
                (quoting, b'$', None) => self.dollar(quoting)?,
                (Quoting::Plain, _, None) => self.plain(byte)?,
                (Quoting::Double, _, None) => self.double(byte),
                (Quoting::Arithmetic, _, None) => self.arithmetic(byte),
            }
        }
        Ok(())
    }

    /// Appends the item to a text that says nothing of it; refused if the text does not end plainly.
    pub(super) fn append_item(&mut self) -> Result<()> {
        if !self.frames.is_empty() || self.has_document || self.awaits_document {
            let problem = "does not say where the item goes: not after a quote or a bracket";
            return Err(Error::usage("the command", problem).advise("write {} where it goes"));
        }
        if let Some(Part::Text(bytes)) = self.parts.last_mut() {
            // On a line of its own it would be a command.
            bytes.truncate(bytes.trim_ascii_end().len());
        }
        self.push(b" ");
        self.hole(Placeholder::All(Form::Whole));
        Ok(())
    }

    fn quoting(&self) -> Quoting {
        if self.at < self.evaluates_up_to && self.frames.last() != Some(&Frame::Single) {
            return Quoting::Arithmetic;
        }
        let inner = self.frames.iter().rev().take_while(|frame| !matches!(frame, Frame::Paren { .. }));
        let evaluates = |frame: &Frame| match frame {
            Frame::Arithmetic { .. } | Frame::Bracket => true,
            Frame::Brace { evaluates, .. } => *evaluates,
            Frame::Single | Frame::Double | Frame::Paren { .. } => false,
        };
        if inner.clone().any(evaluates) {
            return Quoting::Arithmetic;
        }
        match self.frames.last() {
            None | Some(Frame::Paren { .. } | Frame::Brace { quoted: false, .. }) => Quoting::Plain,
            Some(Frame::Double | Frame::Brace { quoted: true, .. }) => Quoting::Double,
            Some(Frame::Single) => Quoting::Single,
            Some(Frame::Arithmetic { .. } | Frame::Bracket) => Quoting::Arithmetic,
        }
    }

    fn hole(&mut self, placeholder: Placeholder) {
        let can_be_shown = |frame: &Frame| match frame {
            Frame::Single | Frame::Double | Frame::Paren { .. } => true,
            Frame::Brace { .. } | Frame::Arithmetic { .. } | Frame::Bracket => false,
        };
        let is_simple = !self.is_inner && self.frames.iter().all(can_be_shown);
        self.parts.push(Part::Hole { placeholder, quoting: self.quoting(), is_simple });
    }

    fn plain(&mut self, byte: u8) -> Result<()> {
        self.note_evaluation(byte);
        let frame = self.frames.last().copied();
        match byte {
            b'\'' => self.frames.push(Frame::Single),
            b'"' => self.frames.push(Frame::Double),
            b'}' if matches!(frame, Some(Frame::Brace { .. })) => drop(self.frames.pop()),
            b'(' if matches!(frame, Some(Frame::Paren { .. })) => self.frames.push(Frame::Paren { cases: 0 }),
            b')' if frame == Some(Frame::Paren { cases: 0 }) => drop(self.frames.pop()),
            b'#' if self.is_at_word() && !matches!(frame, Some(Frame::Brace { .. })) => {
                let rest = &self.text[self.at..];
                self.copy(memchr::memchr(b'\n', rest).unwrap_or(rest.len()));
                return Ok(());
            }
            b'<' if self.text[self.at..].starts_with(b"<<<") => {
                self.copy(3);
                return Ok(());
            }
            b'<' if self.text[self.at..].starts_with(b"<<") => self.awaits_document = true,
            b'\n' if self.awaits_document => return self.document(),
            b'c' | b'e' => self.note_case(),
            _ => {}
        }
        self.copy(1);
        Ok(())
    }

    fn double(&mut self, byte: u8) {
        match (byte, self.frames.last()) {
            (b'"', Some(Frame::Double)) | (b'}', Some(Frame::Brace { .. })) => drop(self.frames.pop()),
            (b'"', _) => self.frames.push(Frame::Double),
            _ => {}
        }
        self.copy(1);
    }

    fn arithmetic(&mut self, byte: u8) {
        let closes_twice = self.text.get(self.at + 1) == Some(&b')');
        match (byte, self.frames.last_mut()) {
            (b'(', Some(Frame::Arithmetic { depth })) => *depth += 1,
            (b')', Some(Frame::Arithmetic { depth: 0 })) if closes_twice => {
                self.frames.pop();
                self.copy(1);
            }
            // It was `$( (` after all.
            (b')', Some(frame @ Frame::Arithmetic { depth: 0 })) => *frame = Frame::Paren { cases: 0 },
            (b')', Some(Frame::Arithmetic { depth })) => *depth -= 1,
            (b'}', Some(Frame::Brace { .. }))
            | (b']', Some(Frame::Bracket))
            | (b'"', Some(Frame::Double)) => {
                self.frames.pop();
            }
            _ => {}
        }
        self.copy(1);
    }

    /// Takes the meaning from the next byte; in double quotes only where it has one.
    fn backslash(&mut self, quoting: Quoting) {
        let behind = &self.text[self.at + 1..];
        let is_literal =
            quoting == Quoting::Double && !behind.first().is_some_and(|next| b"$`\"\\\n".contains(next));
        if is_literal && self.syntax.at_start(behind).is_some() {
            // It would be one no more, before the dollar that comes there.
            self.push(b"\\");
        }
        self.copy(if is_literal { 1 } else { 2 });
    }

    fn dollar(&mut self, quoting: Quoting) -> Result<()> {
        let behind = &self.text[self.at + 1..];
        let length = match behind.first() {
            Some(b'(') if behind.starts_with(b"((") => {
                self.frames.push(Frame::Arithmetic { depth: 0 });
                3
            }
            Some(b'(') => {
                self.frames.push(Frame::Paren { cases: 0 });
                2
            }
            Some(b'[') => {
                self.frames.push(Frame::Bracket);
                2
            }
            Some(b'{') => {
                if let Some((_, length)) = self.syntax.at_start(behind) {
                    let both = self.text[self.at..=self.at + length].escape_ascii();
                    let problem = "is a variable to the shell, and a placeholder to bivouac";
                    return Err(Error::usage(both, problem)
                        .advise("for the item leave out the dollar, or write \\$; for the variable $1"));
                }
                let quoted = quoting != Quoting::Plain;
                self.frames.push(Frame::Brace { quoted, evaluates: evaluates(&behind[1..]) });
                2
            }
            Some(b'$') => 2,
            Some(_) | None => 1,
        };
        self.copy(length);
        Ok(())
    }

    /// A command in backticks. What is escaped in it is so for the backticks first and for the command
    /// second; so with a placeholder inside, the first is undone, and it becomes `$( )`.
    fn backticks(&mut self, quoting: Quoting) -> Result<()> {
        let (mut inner, mut end) = (Vec::new(), self.at + 1);
        loop {
            match (self.text.get(end), self.text.get(end + 1)) {
                // Not closed: the shell will say so.
                (None, _) => {
                    self.copy(1);
                    return Ok(());
                }
                (Some(b'`'), _) => break,
                (Some(b'\\'), Some(&next))
                    if b"$`\\".contains(&next) || (next == b'"' && quoting == Quoting::Double) =>
                {
                    inner.push(next);
                    end += 1;
                }
                (Some(&byte), _) => inner.push(byte),
            }
            end += 1;
        }
        if self.syntax.find_in(&inner).is_none() {
            self.copy(end + 1 - self.at);
            return Ok(());
        }
        let mut scanner = Scanner::new(&inner, self.syntax);
        (scanner.is_inner, scanner.of_bash) = (true, self.of_bash);
        scanner.scan()?;
        // A blank, lest it be `$((`; a newline, lest a comment swallow the bracket.
        self.push(b"$( ");
        self.parts.extend(scanner.parts);
        self.push(b"\n)");
        self.at = end + 1;
        Ok(())
    }

    /// From here on there is a here-document, and where it ends is not looked for.
    fn document(&mut self) -> Result<()> {
        let rest = &self.text[self.at..];
        if let Some((_, range)) = self.syntax.find_in(rest) {
            let problem = "stands in or after a here-document, where quotes mean nothing";
            return Err(Error::usage(rest[range].escape_ascii(), problem)
                .advise("use printf or a file; or write item={} before it and $item in it"));
        }
        self.has_document = true;
        self.copy(rest.len());
        Ok(())
    }

    /// Notes the beginning of a part that bash may evaluate: `((`, `let`, and `[[` with numbers in it.
    fn note_evaluation(&mut self, byte: u8) {
        if !self.of_bash || !matches!(byte, b'(' | b'l' | b'[') || !self.is_at_word() {
            return;
        }
        let rest = &self.text[self.at..];
        let up_to = |end: &[u8]| memchr::memmem::find(rest, end).map_or(rest.len(), |at| at + end.len());
        let length = if rest.starts_with(b"((") {
            up_to(b"))")
        } else if rest.starts_with(b"let ") {
            rest.iter().position(|byte| b";&|\n".contains(byte)).unwrap_or(rest.len())
        } else if rest.starts_with(b"[[ ") {
            let inner = &rest[..up_to(b"]]")];
            let asks = [&b" -eq "[..], b" -ne ", b" -lt ", b" -le ", b" -gt ", b" -ge ", b" -v ", b" -R "];
            if asks.iter().any(|asks| memchr::memmem::find(inner, asks).is_some()) { inner.len() } else { 0 }
        } else {
            0
        };
        self.evaluates_up_to = self.evaluates_up_to.max(self.at + length);
    }

    /// A pattern of `case` ends with a `)` that closes nothing.
    fn note_case(&mut self) {
        let rest = &self.text[self.at..];
        let is_word = |word: &[u8]| {
            rest.strip_prefix(word).is_some_and(|behind| {
                behind.first().is_none_or(|b| b.is_ascii_whitespace() || b";&|)".contains(b))
            })
        };
        let (begins, ends) = (is_word(b"case"), is_word(b"esac"));
        let is_command = self.is_at_word() && self.is_at_command();
        if let Some(Frame::Paren { cases }) = self.frames.last_mut() {
            match (is_command, begins, ends) {
                (true, true, _) => *cases += 1,
                (true, _, true) => *cases = cases.saturating_sub(1),
                _ => {}
            }
        }
    }

    fn is_at_word(&self) -> bool {
        let before = self.at.checked_sub(1).map(|before| self.text[before]);
        before.is_none_or(|b| b.is_ascii_whitespace() || b";&|()`".contains(&b))
    }

    /// Whether that word is the name of a command, or a word that only counts in its place.
    fn is_at_command(&self) -> bool {
        let before = self.text[..self.at].trim_ascii_end();
        let line_ended = self.text[before.len()..self.at].contains(&b'\n');
        let last_word = before.rsplit(|b| !b.is_ascii_alphanumeric()).next().unwrap_or_default();
        line_ended
            || before.last().is_none_or(|b| b";&|(){`!".contains(b))
            || [&b"do"[..], b"then", b"else"].contains(&last_word)
    }

    fn copy(&mut self, length: usize) {
        let end = self.text.len().min(self.at + length);
        let text = self.text;
        self.push(&text[self.at..end]);
        self.at = end;
    }

    fn push(&mut self, bytes: &[u8]) {
        match self.parts.last_mut() {
            Some(Part::Text(text)) => text.extend_from_slice(bytes),
            Some(Part::Hole { .. }) | None => self.parts.push(Part::Text(bytes.to_vec())),
        }
    }
}

/// Whether bash evaluates what stands in `${…` from here on: a subscript, or where a part begins.
fn evaluates(inner: &[u8]) -> bool {
    let is_name = |b: &u8| b.is_ascii_alphanumeric() || b"_@*#!?".contains(b);
    let behind = &inner[inner.iter().take_while(|b| is_name(b)).count()..];
    match behind {
        [b'[', ..] => true,
        [b':', next, ..] => !b"-=?+".contains(next),
        _ => false,
    }
}
