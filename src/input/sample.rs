//! What was in a file that is longer now.
//!
//! A log that is appended to while a job stands still is the same input as before, and the job goes on to
//! where the file ended then. But a file that was written anew, and longer, looks no different: the inode,
//! a larger size, other times. To have read all of it once more would tell; it would also cost what the job
//! costs. So when a job begins, some pieces of each file are read, the last one always and the first one
//! unless there are very many files; and when a job is continued and the file has grown, or has grown under
//! it, they are read again. That finds whoever writes a file anew, or moves what is in it. It does not find
//! a change of some bytes between the pieces, by somebody who appends as well: who wants to know that asks
//! for [`Contents`](super::contents::Contents).

use super::file::InputFile;
use crate::error::Result;
use serde::{Deserialize, Serialize};

/// Bytes in a piece: what the system reads anyway.
const PIECE: u64 = 4 << 10;

/// Pieces of all files together, and the least and the most of one: with ten thousand files on a cold disk
/// each of them is a quarter of a minute.
const ALL: u64 = 256;
const LEAST: u64 = 1;
const MOST: u64 = 32;

/// A digest of some pieces of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sample {
    pieces: u64,
    digest: String,
}

impl Sample {
    /// Of a file, as far as it goes by its identity; one of `files`.
    ///
    /// # Errors
    ///
    /// As [`InputFile::read_exact_at`]: also if the file is shorter by now.
    pub(super) fn of(file: &InputFile, files: usize) -> Result<Self> {
        Self::take(file, (ALL / files.max(1) as u64).clamp(LEAST, MOST))
    }

    /// Whether the file still has what it had, as far as these pieces tell.
    ///
    /// # Errors
    ///
    /// Those of [`of`](Self::of).
    pub(super) fn is_still_in(&self, file: &InputFile) -> Result<bool> {
        Ok(Self::take(file, self.pieces.clamp(LEAST, MOST))? == *self)
    }

    fn take(file: &InputFile, pieces: u64) -> Result<Self> {
        let size = file.identity().size;
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
    use std::fs::{self, OpenOptions};
    use std::io::Write;
    use std::os::unix::fs::FileExt;
    use std::path::Path;

    fn file(path: &Path) -> InputFile {
        InputFile::look_at(path).unwrap()
    }

    #[test]
    fn what_was_appended_changes_nothing_and_what_was_written_anew_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        for (size, files) in [(0, 1), (1, 1), (5000, 1), (5000, 1000), (3_000_000, 1), (3_000_000, 1000)] {
            let text = b"0123456789".repeat(size / 10 + 2);
            fs::write(&path, &text[..size]).unwrap();
            let then = file(&path);
            let sample = Sample::of(&then, files).unwrap();
            OpenOptions::new().append(true).open(&path).unwrap().write_all(b"more").unwrap();
            assert!(sample.is_still_in(&then).unwrap(), "{size} of {files}");
            fs::write(&path, &text[1..size + 2]).unwrap();
            assert_eq!(sample.is_still_in(&then).unwrap(), size == 0, "{size} of {files}: moved by one");
        }
    }

    #[test]
    fn both_ends_are_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, vec![b'x'; 1 << 20]).unwrap();
        let then = file(&path);
        let sample = Sample::of(&then, 1).unwrap();
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        for place in [0, (1 << 20) - 1] {
            file.write_all_at(b"y", place).unwrap();
            assert!(!sample.is_still_in(&then).unwrap(), "{place}");
            file.write_all_at(b"x", place).unwrap();
            assert!(sample.is_still_in(&then).unwrap(), "{place}");
        }
    }
}
