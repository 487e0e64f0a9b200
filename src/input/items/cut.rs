//! Bytes cut into items, whatever the portions in which they come.
//!
//! The cut knows nothing of files and pipes: its caller appends to its buffer, and it finds the next item there
//! or says that it needs more. One thing is easily wrong, a delimiter of several bytes of which only the first
//! have come; in this form it can be tested byte by byte.
//!
//! The first delimiter after its beginning ends an item: `aa` in `aaa` ends an empty one and leaves an `a`. A
//! delimiter at the very end adds no empty item, and a last item without one counts.

use memchr::memmem::Finder;
use std::ops::Range;

/// The longest item. Commands take 128 KiB in a word; an item longer by far is a list without its delimiter.
pub(super) const LONGEST: usize = 128 << 20;

/// A buffer that grew beyond this (for one very long item) is given back.
const KEEP: usize = 4 << 20;

/// The bytes between two items.
#[derive(Clone, Debug)]
pub(super) enum Delimiter {
    /// A newline, nearly always.
    Byte(u8),
    Bytes(Box<Finder<'static>>),
}

impl Delimiter {
    /// `None` for no byte at all, which ends no item.
    pub(super) fn new(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [] => None,
            [byte] => Some(Self::Byte(*byte)),
            _ => Some(Self::Bytes(Box::new(Finder::new(bytes).into_owned()))),
        }
    }

    fn find_in(&self, bytes: &[u8]) -> Option<usize> {
        match self {
            Self::Byte(byte) => memchr::memchr(*byte, bytes),
            Self::Bytes(finder) => finder.find(bytes),
        }
    }

    fn length(&self) -> usize {
        match self {
            Self::Byte(_) => 1,
            Self::Bytes(finder) => finder.needle().len(),
        }
    }
}

/// The state of the cut: the bytes that have come and were not listed, and the item at hand.
#[derive(Debug)]
pub(super) struct Cut {
    delimiter: Delimiter,
    held: Vec<u8>,
    /// Where in `held` the next item begins.
    next: usize,
    /// No delimiter begins between `next` and here.
    searched: usize,
    item: Range<usize>,
}

impl Cut {
    /// The cut of a text from its beginning on.
    pub(super) fn new(delimiter: Delimiter) -> Self {
        Self { delimiter, held: Vec::new(), next: 0, searched: 0, item: 0..0 }
    }

    /// Goes to the next item, if its end has come.
    pub(super) fn find(&mut self) -> bool {
        match self.delimiter.find_in(&self.held[self.searched..]) {
            Some(i) => {
                self.item = self.next..self.searched + i;
                self.next = self.item.end + self.delimiter.length();
                self.searched = self.next;
                true
            }
            None => {
                let unfinished = self.delimiter.length() - 1;
                self.searched = self.held.len().saturating_sub(unfinished).max(self.next);
                false
            }
        }
    }

    /// At the end of the text: goes to the item that has no delimiter after it, if there is one.
    pub(super) fn find_last(&mut self) -> bool {
        self.item = self.next..self.held.len();
        (self.next, self.searched) = (self.held.len(), self.held.len());
        !self.item.is_empty()
    }

    /// The item at hand; good until [`room`](Self::room) is asked for.
    pub(super) fn item(&self) -> &[u8] {
        &self.held[self.item.clone()]
    }

    /// How many bytes have come of the item whose end has not.
    pub(super) fn pending(&self) -> usize {
        self.held.len() - self.next
    }

    /// The buffer to which the next bytes are appended. The items that were listed are forgotten.
    pub(super) fn room(&mut self) -> &mut Vec<u8> {
        self.held.drain(..self.next);
        self.searched -= self.next;
        (self.next, self.item) = (0, 0..0);
        if self.held.capacity() > KEEP && self.held.len() < KEEP / 4 {
            self.held.shrink_to(KEEP);
        }
        &mut self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The obvious way to cut.
    fn naive<'t>(mut text: &'t [u8], delimiter: &[u8]) -> Vec<&'t [u8]> {
        let mut items = Vec::new();
        while !text.is_empty() {
            let end = text.windows(delimiter.len()).position(|window| window == delimiter);
            items.push(&text[..end.unwrap_or(text.len())]);
            text = end.map_or(&[], |end| &text[end + delimiter.len()..]);
        }
        items
    }

    fn cut(text: &[u8], delimiter: &[u8], portion: usize) -> Vec<Vec<u8>> {
        let mut cut = Cut::new(Delimiter::new(delimiter).unwrap());
        let mut items = Vec::new();
        for portion in text.chunks(portion) {
            cut.room().extend_from_slice(portion);
            while cut.find() {
                items.push(cut.item().to_vec());
            }
        }
        if cut.find_last() {
            items.push(cut.item().to_vec());
        }
        assert!(!cut.find_last(), "it is listed once");
        items
    }

    #[test]
    fn whatever_the_portions_the_items_are_the_same() {
        let texts: [&[u8]; 9] = [
            b"",
            b"\n",
            b"a",
            b"a\n",
            b"a\n\nb",
            b"\n\na\n\n",
            b"xaaay",
            b"aaaa",
            b"one--two---three----\xff\xfe-\0-",
        ];
        for text in texts {
            for delimiter in [&b"\n"[..], b"\0", b"a", b"aa", b"--", b"-\0-", b"a\n\n"] {
                let expected = naive(text, delimiter);
                for portion in 1..6 {
                    assert_eq!(cut(text, delimiter, portion), expected, "{}", text.escape_ascii());
                }
            }
        }
        assert!(Delimiter::new(b"").is_none());
    }
}
