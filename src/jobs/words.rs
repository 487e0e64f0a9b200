//! The standard error of a command, line by line.

use crate::jobs::attempts::{Reception, Rest};
use bivouac::{Context, TaskError};
use std::collections::VecDeque;

/// Lines of standard error that are kept for the message of a failure.
const LAST_WORDS: usize = 5;

/// A line that does not end is cut here.
const LONGEST_LINE: usize = 8 << 10;

#[derive(Debug, Default)]
pub(crate) struct Words {
    line: Vec<u8>,
    last: VecDeque<String>,
}

impl Words {
    /// Takes what was read; `each` gets every line that is complete by now, without its end.
    pub(crate) fn take(&mut self, bytes: &[u8], each: &mut dyn FnMut(&str)) {
        for byte in bytes {
            if *byte == b'\n' || self.line.len() >= LONGEST_LINE {
                self.end(each);
            }
            if *byte != b'\n' {
                self.line.push(*byte);
            }
        }
    }

    pub(crate) fn end(&mut self, each: &mut dyn FnMut(&str)) {
        if self.line.is_empty() {
            return;
        }
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
        each(&line);
        if self.last.len() == LAST_WORDS {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }

    /// The last of them, for the message of a failure.
    pub(crate) fn last(&self) -> String {
        self.last.iter().map(|line| format!("\n  | {line}")).collect()
    }
}

/// Passes standard output on as it is, and standard error to the observer, line by line.
#[derive(Debug)]
pub(crate) struct Passing<'a, 'b> {
    cx: &'a Context<'b>,
    words: Words,
}

impl<'a, 'b> Passing<'a, 'b> {
    pub(crate) fn new(cx: &'a Context<'b>) -> Self {
        Self { cx, words: Words::default() }
    }
}

/// A task that gives up does not wait until the many lines before are handed over.
fn say(cx: &Context<'_>, line: &str) {
    if !cx.is_cancelled() {
        cx.say(line.to_string());
    }
}

impl Reception for Passing<'_, '_> {
    fn begin(&mut self) -> Result<(), TaskError> {
        self.words = Words::default();
        Ok(())
    }

    fn out(&mut self, piece: Vec<u8>) -> Result<(), TaskError> {
        self.cx.emit(piece)
    }

    fn err(&mut self, bytes: &[u8]) {
        let cx = self.cx;
        self.words.take(bytes, &mut |line| say(cx, line));
    }

    fn rest(&mut self) -> Result<Rest, TaskError> {
        let cx = self.cx;
        self.words.end(&mut |line| say(cx, line));
        Ok(Rest { kept: None, last_words: self.words.last() })
    }
}
