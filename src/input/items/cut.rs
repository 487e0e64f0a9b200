//! Cuts bytes into items. The portions in which the bytes come make no difference.
//!
//! The cut knows nothing of files and pipes: its caller appends to its buffer, and the cut finds the next item or
//! asks for more. It is easy to make a mistake with a delimiter of several bytes if only the first of them have come. In
//! this form a test can try that byte by byte.
//!
//! The first delimiter after its beginning ends an item: `aa` in `aaa` ends an empty one and leaves an `a`. A
//! delimiter at the very end adds no empty item, and a last item without one counts.
//!
//! A record of CSV ends at a newline outside quotes, and the fields before it decide what is inside. So the reader of the
//! crate `csv_core` finds the end. Its fields are thrown away: an item is the record as it was written.

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use memchr::memmem::Finder;
use std::ops::Range;

/// The longest item. Commands take 128 KiB in a word; an item longer by far is a list without its delimiter.
pub(super) const LONGEST: usize = 128 << 20;

/// A buffer that grew beyond this (for one very long item) is given back.
const KEEP: usize = 4 << 20;

#[derive(Clone, Debug)]
pub(super) enum Delimiter {
    /// A newline, nearly always.
    Byte(u8),
    Bytes(Box<Finder<'static>>),
    /// The end of a record of CSV, with this byte between two fields.
    Record(u8),
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

    fn length(&self) -> usize {
        match self {
            Self::Byte(_) | Self::Record(_) => 1,
            Self::Bytes(finder) => finder.needle().len(),
        }
    }
}

fn end_of_record(reader: &mut Reader, bytes: &[u8]) -> Option<usize> {
    let (mut fields, mut ends, mut at) = ([0; 4096], [0; 64], 0);
    // To the reader no bytes at all are the end of the text.
    while at < bytes.len() {
        let (result, read, ..) = reader.read_record(&bytes[at..], &mut fields, &mut ends);
        at += read;
        match result {
            ReadRecordResult::Record => return at.checked_sub(1),
            ReadRecordResult::End => return None,
            ReadRecordResult::InputEmpty
            | ReadRecordResult::OutputFull
            | ReadRecordResult::OutputEndsFull => {}
        }
    }
    None
}

/// The state of the cut: the bytes that have come and were not listed, and the item at hand.
#[derive(Debug)]
pub(super) struct Cut {
    delimiter: Delimiter,
    /// For records of CSV: it knows whether quotes are open. (A clone of one is not the same: its table is empty.)
    reader: Option<Box<Reader>>,
    held: Vec<u8>,
    next: usize,
    /// No delimiter begins between `next` and here.
    searched: usize,
    item: Range<usize>,
}

impl Cut {
    pub(super) fn new(delimiter: Delimiter) -> Self {
        let reader = match &delimiter {
            Delimiter::Record(separator) => Some(ReaderBuilder::new().delimiter(*separator).build().into()),
            Delimiter::Byte(_) | Delimiter::Bytes(_) => None,
        };
        Self { delimiter, reader, held: Vec::new(), next: 0, searched: 0, item: 0..0 }
    }

    /// Where the first delimiter begins in the bytes that were not searched before.
    fn find_delimiter(&mut self) -> Option<usize> {
        let bytes = &self.held[self.searched..];
        match &self.delimiter {
            Delimiter::Byte(byte) => memchr::memchr(*byte, bytes),
            Delimiter::Bytes(finder) => finder.find(bytes),
            Delimiter::Record(_) => end_of_record(self.reader.as_mut()?, bytes),
        }
    }

    /// Goes to the next item, if its end has come.
    pub(super) fn find(&mut self) -> bool {
        match self.find_delimiter() {
            Some(i) => {
                self.item = self.next..self.searched + i;
                self.next = self.item.end + self.delimiter.length();
                self.searched = self.next;
                self.leave_out_ends_of_lines();
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
        self.leave_out_ends_of_lines();
        !self.item.is_empty()
    }

    /// Before a record: its reader has passed over empty lines, and over the second byte of `\r\n`.
    fn leave_out_ends_of_lines(&mut self) {
        if let Delimiter::Record(_) = self.delimiter {
            let is_end = |byte: &&u8| matches!(byte, b'\r' | b'\n');
            self.item.start += self.held[self.item.clone()].iter().take_while(is_end).count();
        }
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

    fn cut(text: &[u8], delimiter: &Delimiter, portion: usize) -> Vec<Vec<u8>> {
        let mut cut = Cut::new(delimiter.clone());
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
                let delimiter = Delimiter::new(delimiter).unwrap();
                for portion in 1..6 {
                    assert_eq!(cut(text, &delimiter, portion), expected, "{}", text.escape_ascii());
                }
            }
        }
        assert!(Delimiter::new(b"").is_none());
    }

    #[test]
    fn a_record_ends_at_a_newline_in_no_quotes() {
        let table: [(&[u8], &[&[u8]]); 7] = [
            (b"a,b\nc,d\n", &[b"a,b", b"c,d"]),
            (b"a,b\r\n\r\nc,d", &[b"a,b", b"c,d"]),
            (b"\"a, \"\"q\"\"\nx\",b\nc,d\n", &[b"\"a, \"\"q\"\"\nx\",b", b"c,d"]),
            (b"a\"b\nc\"d\n", &[b"a\"b", b"c\"d"]),
            (b"\"a\nb", &[b"\"a\nb"]),
            (b"\n\n", &[]),
            (b"", &[]),
        ];
        for (text, records) in table {
            for portion in 1..30 {
                let found = cut(text, &Delimiter::Record(b','), portion);
                assert_eq!(found, records, "{} by {portion}", text.escape_ascii());
            }
        }
        let long = [&b"\""[..], &vec![b'x'; 10_000], b"\n", &vec![b','; 1000], b"\""].concat();
        let text = [&long, &b"\n"[..], &long].concat();
        assert_eq!(cut(&text, &Delimiter::Record(b','), 5000), [long.clone(), long]);
    }
}
