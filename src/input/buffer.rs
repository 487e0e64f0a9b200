//! A page-aligned buffer that each thread keeps.
//!
//! Some processors copy slowly if the target has an offset in its page that is 1 to 15 bytes larger than that of the
//! source: the copying instruction takes the two for overlapping (Zen 4: 102 ms for 256 MiB instead of 26). So each byte
//! keeps the offset in its page that it has in the file, which is simple if the buffer begins with a page. (A mapped file
//! needs no copy; but if it is shortened, SIGBUS kills the process.)

use super::path_text::named;
use crate::error::Error;
use std::cell::Cell;
use std::fmt::Display;
use std::ops::{Deref, DerefMut};
use std::path::Path;

/// The kernel's page, and more than any vector instruction wants.
pub(super) const PAGE: usize = 4096;

/// A buffer that grew beyond this (for one very long line) is not kept.
const KEEP: usize = 4 << 20;

/// Whether there is room for `more` bytes of a record. Asks with some to spare first, as vectors grow, and
/// then without. Rust aborts when memory is missing, and the length of a record must not cause that.
pub(super) fn has_room(bytes: &mut Vec<u8>, more: usize) -> bool {
    if bytes.capacity() - bytes.len() >= more {
        return true;
    }
    let has_grown = bytes.try_reserve(more).is_ok() || bytes.try_reserve_exact(more).is_ok();
    has_grown && is_some_left()
}

/// Whether enough memory is left to report the shortage, and to write a last record.
fn is_some_left() -> bool {
    const SPARE: usize = 8 << 20;
    Vec::<u8>::new().try_reserve_exact(SPARE).is_ok()
}

/// The error of a buffer that cannot grow.
pub(super) fn no_room(path: &Path, problem: impl Display) -> Error {
    Error::broken(named(path), format_args!("{problem}, and there is no memory for that"))
        .advise("raise the limit of memory (ulimit -v), or see whether its records end")
}

thread_local! {
    static KEPT: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A thread's buffer, taken for a task and put back after it. With rayon inside a task, another task may
/// begin on the same thread meanwhile; it finds no buffer and makes one.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    /// Where the first page begins.
    start: usize,
}

impl Buffer {
    /// A buffer of at least `length` bytes, with anything in it.
    pub(super) fn take(length: usize) -> Self {
        let mut buffer = Self { bytes: KEPT.take(), start: 0 };
        buffer.start = buffer.bytes.as_ptr().align_offset(PAGE);
        if buffer.len() < length {
            buffer.move_to(vec![0; length + PAGE]);
        }
        buffer
    }
    /// Makes it at least `length` bytes long, and keeps its contents; `false` if there is no memory for it.
    pub(super) fn try_grow(&mut self, length: usize) -> bool {
        if self.len() >= length {
            return true;
        }
        let mut larger = Vec::new();
        if larger.try_reserve_exact(length + PAGE).is_err() || !is_some_left() {
            return false;
        }
        larger.resize(length + PAGE, 0);
        self.move_to(larger);
        true
    }

    fn move_to(&mut self, mut larger: Vec<u8>) {
        let start = larger.as_ptr().align_offset(PAGE);
        larger[start..start + self.len()].copy_from_slice(self);
        (self.bytes, self.start) = (larger, start);
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.start..).unwrap_or_default()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.bytes.len() <= KEEP {
            KEPT.set(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_at_a_page_and_keeps_what_is_in_it() {
        let mut buffer = Buffer::take(1000);
        buffer[..5].copy_from_slice(b"hello");
        for length in [5000, 100_000, 10_000_000] {
            assert!(buffer.try_grow(length));
            assert!(buffer.len() >= length && buffer.as_ptr().align_offset(PAGE) == 0);
            assert_eq!(&buffer[..5], b"hello");
        }
        drop(buffer);
        assert!(Buffer::take(10).len() < KEEP, "a huge buffer is not kept");
    }
}
