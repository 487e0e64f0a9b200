//! The books of an output: what has been committed, and how to tell that it is still there.
//!
//! One checksum over all of the output would have to be computed again from its beginning when a job is
//! continued. So every stretch between two checkpoints has its own, and a continued run verifies only the
//! last, which alone was near a crash. The list must not grow with the job either: neighbours are merged,
//! which CRCs allow without reading a byte. The last stretch is never merged, so it stays short.

use crate::durable::disk::DiskFile;
use crate::task::{Committed, Stretch};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use crc32fast::Hasher;
use std::io;

/// How many bytes a device writes at once. An append rewrites the last block, and a torn write may harm all of it.
pub(super) const BLOCK: u64 = 4096;

/// With more stretches, neighbours are merged. This bounds the record: each is about fifty bytes of JSON.
const MOST_STRETCHES: usize = 256;

const READ_AT_A_TIME: usize = 1 << 20;

#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    pub(super) bytes: u64,
    stretches: Vec<Stretch>,
    open: Hasher,
    /// The bytes after the last block boundary.
    pub(super) tail: Vec<u8>,
}

/// How much of a committed output is read and compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compared {
    LastStretch,
    Everything,
}

impl Ledger {
    /// Takes over the books of an earlier run; `None` when they contradict themselves.
    pub(super) fn reopen(committed: &Committed) -> Option<Self> {
        let sum = committed.stretches.iter().try_fold(0u64, |sum, stretch| sum.checked_add(stretch.bytes));
        let tail = BASE64.decode(&committed.tail).ok()?;
        let consistent = sum == Some(committed.bytes) && tail.len() as u64 == committed.bytes % BLOCK;
        let (bytes, stretches) = (committed.bytes, committed.stretches.clone());
        consistent.then(|| Self { bytes, stretches, open: Hasher::new(), tail })
    }

    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.open.update(bytes);
        self.bytes += bytes.len() as u64;
        let after_boundary = (self.bytes % BLOCK) as usize;
        match bytes.len().checked_sub(after_boundary) {
            // The boundary is within these bytes, or right before them.
            Some(boundary) if self.tail.len() + bytes.len() != after_boundary => {
                self.tail.clear();
                self.tail.extend_from_slice(&bytes[boundary..]);
            }
            Some(_) | None => self.tail.extend_from_slice(bytes),
        }
    }

    /// Closes the stretch; everything so far counts as committed.
    pub(super) fn commit(&mut self) -> Committed {
        let before: u64 = self.stretches.iter().map(|stretch| stretch.bytes).sum();
        let crc32 = std::mem::take(&mut self.open).finalize();
        if self.bytes > before {
            self.stretches.push(Stretch { bytes: self.bytes - before, crc32 });
        }
        if self.stretches.len() > MOST_STRETCHES {
            self.merge_neighbours();
        }
        let tail = BASE64.encode(&self.tail);
        Committed { bytes: self.bytes, stretches: self.stretches.clone(), tail, ..Committed::default() }
    }

    fn merge_neighbours(&mut self) {
        let last = self.stretches.pop();
        self.stretches = self.stretches.chunks(2).map(merged).chain(last).collect();
    }

    /// Whether `file` holds what is committed. The last partial block is taken from the books, not the file.
    pub(super) fn agrees_with(&self, file: &dyn DiskFile, what: Compared) -> io::Result<bool> {
        let whole_blocks = self.bytes - self.tail.len() as u64;
        let skipped = match what {
            Compared::Everything => 0,
            Compared::LastStretch => self.stretches.len().saturating_sub(1),
        };
        let mut offset: u64 = self.stretches[..skipped].iter().map(|stretch| stretch.bytes).sum();
        for stretch in &self.stretches[skipped..] {
            let end = offset + stretch.bytes;
            let mut crc = Hasher::new();
            if !read_into(&mut crc, file, offset, end.min(whole_blocks))? {
                return Ok(false);
            }
            let from_tail = |at: u64| (at.max(whole_blocks) - whole_blocks) as usize;
            crc.update(&self.tail[from_tail(offset)..from_tail(end)]);
            if crc.finalize() != stretch.crc32 {
                return Ok(false);
            }
            offset = end;
        }
        Ok(true)
    }
}

fn merged(neighbours: &[Stretch]) -> Stretch {
    let mut crc = Hasher::new();
    let one = |stretch: &Stretch| Hasher::new_with_initial_len(stretch.crc32, stretch.bytes);
    neighbours.iter().for_each(|stretch| crc.combine(&one(stretch)));
    Stretch { bytes: neighbours.iter().map(|stretch| stretch.bytes).sum(), crc32: crc.finalize() }
}

/// Reads `from..to`; `false` if the file ends before.
fn read_into(crc: &mut Hasher, file: &dyn DiskFile, from: u64, to: u64) -> io::Result<bool> {
    let mut piece = vec![0; READ_AT_A_TIME.min(to.saturating_sub(from) as usize)];
    for at in (from..to).step_by(READ_AT_A_TIME) {
        let piece = &mut piece[..READ_AT_A_TIME.min((to - at) as usize)];
        if !file.fill(piece, at)? {
            return Ok(false);
        }
        crc.update(piece);
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_what_follows_the_last_block_boundary() {
        for step in [1, 7, 4095, 4096, 4097, 9000] {
            let (mut ledger, mut all) = (Ledger::default(), Vec::<u8>::new());
            for round in 0..9 {
                let bytes: Vec<u8> = (0..step).map(|n| (n * 31 + round) as u8).collect();
                ledger.append(&bytes);
                all.extend(&bytes);
                assert_eq!(ledger.tail, &all[all.len() / 4096 * 4096..], "step {step}, round {round}");
            }
        }
    }

    #[test]
    fn merged_stretches_still_describe_the_same_bytes() {
        let (mut ledger, mut all) = (Ledger::default(), Vec::<u8>::new());
        let mut committed = Committed::default();
        for round in 0..1000u32 {
            let bytes = round.to_le_bytes().repeat(1 + round as usize % 5);
            ledger.append(&bytes);
            all.extend(&bytes);
            committed = ledger.commit();
            assert_eq!(committed.stretches.last().unwrap().bytes, bytes.len() as u64, "the last stays short");
        }
        assert!(committed.stretches.len() <= MOST_STRETCHES);
        let mut offset = 0;
        for stretch in &committed.stretches {
            let end = offset + stretch.bytes as usize;
            assert_eq!(stretch.crc32, crc32fast::hash(&all[offset..end]));
            offset = end;
        }
        assert_eq!(offset, all.len());
    }

    #[test]
    fn an_empty_stretch_is_not_listed() {
        let mut ledger = Ledger::default();
        ledger.append(b"x");
        let first = ledger.commit();
        assert_eq!(ledger.commit(), first);
        assert_eq!(first.stretches.len(), 1);
    }

    #[test]
    fn books_that_contradict_themselves_are_not_reopened() {
        let mut ledger = Ledger::default();
        ledger.append(&[5; 5000]);
        let good = ledger.commit();
        assert!(Ledger::reopen(&good).is_some());
        assert!(Ledger::reopen(&Committed { bytes: 5001, ..good.clone() }).is_none());
        assert!(Ledger::reopen(&Committed { tail: String::new(), ..good.clone() }).is_none());
        assert!(Ledger::reopen(&Committed { tail: "?".into(), ..good }).is_none());
    }
}
