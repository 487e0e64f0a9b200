//! The output in the record: how much of it is durable, and how that is checked.

use serde::{Deserialize, Serialize};

/// How much output a sink has made durable: part of the record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committed {
    /// Length of the output in bytes.
    pub bytes: u64,
    /// Checksums of its stretches, in order. Neighbours are merged when there are many.
    pub stretches: Vec<Stretch>,
    /// The last partial 4 KiB block (base64): appending rewrites it, and a torn write could harm it.
    pub tail: String,
    /// How many of the bytes belong to the task after the frontier: the output cannot be cut, and its reader
    /// took no more. The engine sets this, and leaves so many bytes out when that task has run again.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub of_next: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
pub(crate) fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The bytes of output between two checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretch {
    /// How many bytes.
    pub bytes: u64,
    /// Their CRC-32 (IEEE). Chosen because the CRCs of neighbours combine without reading.
    pub crc32: u32,
}
