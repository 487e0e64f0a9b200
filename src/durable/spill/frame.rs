//! The bytes of a segment: frames, each with a head that says where it belongs.
//!
//! ```text
//! kind (4) │ CRC-32 of the payload (4) │ its length (8) │ task (8) │ CRC-32 of this head (4) │ 0 (4) │ payload
//! ```
//!
//! The checksum of a head also covers its place in the file, the number of the segment and the job: a frame of another one
//! is no frame. Padding up to the next [`BLOCK`] follows a flush to the device. A torn write can harm the sector in which it
//! begins, so it never begins in one with bytes that a record counts.

use serde::{Deserialize, Serialize};

pub(super) const HEAD: u64 = 32;

/// Flushed data ends at a multiple of this many bytes.
pub(super) const BLOCK: u64 = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A piece of the output of a task that may not have ended.
    Piece,
    /// How a task ended: an [`Entry`].
    Entry,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: Kind,
    pub(super) task: u64,
    /// Length and CRC-32 of the payload.
    pub(super) bytes: u64,
    pub(super) crc: u32,
}

/// The stored result of a finished task.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// It failed and is left out.
    pub(crate) failed: bool,
    /// Its report ([`Job::Partial`](crate::Job::Partial)) as JSON; empty if it failed.
    pub(crate) partial: Vec<u8>,
    pub(crate) mark: Option<[u8; 32]>,
    /// Bytes of input that it covers.
    pub(crate) bytes: u64,
    /// Its output, piece by piece as it was emitted: a job may rely on where they begin.
    pub(crate) parts: Vec<Part>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Part {
    /// A short one.
    Here(Vec<u8>),
    /// One that has a frame of its own.
    There(SegmentRange),
}

/// Where a frame with a piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct SegmentRange {
    pub(super) segment: u64,
    /// Where its head begins.
    pub(super) at: u64,
    pub(super) bytes: u64,
}

impl Kind {
    fn tag(self) -> [u8; 4] {
        match self {
            Kind::Piece => *b"bvP1",
            Kind::Entry => *b"bvE1",
        }
    }
}

impl Head {
    pub(super) fn of(kind: Kind, task: u64, payload: &[u8]) -> Self {
        Self { kind, task, bytes: payload.len() as u64, crc: crc32fast::hash(payload) }
    }

    /// The bytes of the head of a frame at `at`, in the segment that `seed` stands for.
    pub(super) fn encode(&self, seed: u32, at: u64) -> [u8; HEAD as usize] {
        let mut bytes = [0; HEAD as usize];
        bytes[..4].copy_from_slice(&self.kind.tag());
        bytes[4..8].copy_from_slice(&self.crc.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.bytes.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.task.to_le_bytes());
        let check = checksum(&bytes[..24], seed, at);
        bytes[24..28].copy_from_slice(&check.to_le_bytes());
        bytes
    }

    /// The head that these bytes are, if they are one.
    pub(super) fn decode(bytes: &[u8], seed: u32, at: u64) -> Option<Self> {
        let (said, rest) = bytes.get(..HEAD as usize)?.split_at(24);
        if rest != [&checksum(said, seed, at).to_le_bytes()[..], &[0; 4]].concat() {
            return None;
        }
        let kind = [Kind::Piece, Kind::Entry].into_iter().find(|kind| kind.tag() == said[..4])?;
        let number = |from: usize| Some(u64::from_le_bytes(said.get(from..from + 8)?.try_into().ok()?));
        let crc = u32::from_le_bytes(said[4..8].try_into().ok()?);
        Some(Self { kind, crc, bytes: number(8)?, task: number(16)? })
    }

    /// Where the frame ends that begins at `at`.
    pub(super) fn end(&self, at: u64) -> Option<u64> {
        at.checked_add(HEAD)?.checked_add(self.bytes)
    }
}

fn checksum(said: &[u8], seed: u32, at: u64) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(seed);
    hasher.update(&at.to_le_bytes());
    hasher.update(said);
    hasher.finalize()
}

/// The seed of the checksums of heads, in this segment of this job.
pub(super) fn seed(run: &str, segment: u64) -> u32 {
    crc32fast::hash(format!("{run}/{segment}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_one_at_its_place_only_and_no_flipped_bit_goes_unnoticed() {
        let head = Head::of(Kind::Entry, 7, b"payload");
        let bytes = head.encode(seed("run", 3), 64);
        assert_eq!(Head::decode(&bytes, seed("run", 3), 64), Some(head));
        for (seed, at) in [(seed("run", 4), 64), (seed("other", 3), 64), (seed("run", 3), 96)] {
            assert_eq!(Head::decode(&bytes, seed, at), None);
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Head::decode(&flipped, seed("run", 3), 64), None, "bit {bit}");
        }
        assert_eq!(Head::decode(&bytes[..31], seed("run", 3), 64), None);
        assert_eq!(Head::decode(&[0; 32], seed("run", 3), 0), None, "padding is no frame");
    }
}
