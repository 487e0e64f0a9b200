//! The second strength of a witness: a digest of some pieces of the file.
//!
//! A log that is appended to while a job stands still is the same input as before, and the job processes it
//! to where it ended then. But a file that was rewritten, and longer, looks no different to `stat(2)`: the
//! same inode, a larger size, other times. The obvious way to tell them apart is to read the old part again,
//! which costs what the job costs. Instead a job that begins reads some pieces of each file: always the last
//! one, and the first one too unless there are very many files. A job that is continued reads them again when
//! the file has grown.
//!
//! That finds a file that was rewritten, or in which bytes were moved. It does not find a writer who appends
//! and also changes some bytes between the pieces: that takes the digest of the [contents](super::contents).

use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes in a piece: what the system reads anyway.
const PIECE: u64 = 4 << 10;

/// Pieces of all files together, and the least and the most of one: with ten thousand files on a cold disk
/// each of them is a quarter of a minute.
const ALL: u64 = 256;
const LEAST: u64 = 1;
const MOST: u64 = 32;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::input) struct Sample {
    pieces: u64,
    digest: String,
}

impl Sample {
    /// Of the first `size` bytes of one of `files` files.
    pub(super) fn of(file: &File, size: u64, files: usize) -> io::Result<Self> {
        Self::take(file, size, (ALL / files.max(1) as u64).clamp(LEAST, MOST))
    }

    /// Whether the first `size` bytes are what they were, as far as these pieces tell.
    pub(super) fn is_still_in(&self, file: &File, size: u64) -> io::Result<bool> {
        Ok(Self::take(file, size, self.pieces.clamp(LEAST, MOST))? == *self)
    }

    fn take(file: &File, size: u64, pieces: u64) -> io::Result<Self> {
        let (mut hasher, mut buffer) = (blake3::Hasher::new(), [0; PIECE as usize]);
        let length = size.min(PIECE);
        let last = size - length;
        for piece in 1..=pieces {
            // The last one always, the first one if there are two.
            let offset = last / pieces.max(2).saturating_sub(1) * (piece - 1);
            let offset = if piece == pieces { last } else { offset };
            let buffer = &mut buffer[..length as usize];
            file.read_exact_at(buffer, offset)?;
            hasher.update(buffer);
        }
        Ok(Self { pieces, digest: hasher.finalize().to_hex()[..16].to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::testing::file_with;
    use std::fs::{self, OpenOptions};
    use std::io::Write;

    #[test]
    fn appended_bytes_change_nothing_and_a_rewritten_file_is_found() {
        let (_dir, path) = file_with("");
        for (size, files) in [(0, 1), (1, 1), (5000, 1), (5000, 1000), (3_000_000, 1), (3_000_000, 1000)] {
            let text = b"0123456789".repeat(size / 10 + 2);
            fs::write(&path, &text[..size]).unwrap();
            let file = File::open(&path).unwrap();
            let sample = Sample::of(&file, size as u64, files).unwrap();
            OpenOptions::new().append(true).open(&path).unwrap().write_all(b"more").unwrap();
            let is_still_in = || sample.is_still_in(&file, size as u64).unwrap();
            assert!(is_still_in(), "{size} of {files}");
            fs::write(&path, &text[1..size + 2]).unwrap();
            assert_eq!(is_still_in(), size == 0, "{size} of {files}: moved by one");
        }
    }

    #[test]
    fn both_ends_are_looked_at() {
        let (_dir, path) = file_with("");
        let size = 1 << 20;
        fs::write(&path, vec![b'x'; size as usize]).unwrap();
        let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let sample = Sample::of(&file, size, 1).unwrap();
        for place in [0, size - 1] {
            file.write_all_at(b"y", place).unwrap();
            assert!(!sample.is_still_in(&file, size).unwrap(), "{place}");
            file.write_all_at(b"x", place).unwrap();
            assert!(sample.is_still_in(&file, size).unwrap(), "{place}");
        }
    }
}
