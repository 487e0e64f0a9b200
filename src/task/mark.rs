//! The [`Mark`] of a task: a digest by which a list is known again.

use serde::{Deserialize, Serialize};

/// A running digest over what a source has listed (see [`Listed::mark`](crate::Listed::mark)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark(#[serde(with = "hex32")] pub [u8; 32]);

impl Mark {
    /// Its first bytes, which tell two lists apart unless one was made to look like the other.
    pub(crate) fn trace(self) -> [u8; 8] {
        self.0.first_chunk().copied().unwrap_or_default()
    }

    /// The mark of the next task of a list from which finished tasks may disappear
    /// ([`Listing::has_item_marks`](crate::Listing::has_item_marks)). `of_task` is a digest of that task
    /// alone. It is the end of the mark, so the mark of a list can be computed from that of a shorter one and
    /// the tasks that are gone.
    #[must_use]
    #[doc(hidden)]
    pub fn then(self, of_task: [u8; 8]) -> Self {
        let mut linked = self.0;
        linked[24..].copy_from_slice(&of_task);
        let mut mark = *blake3::hash(&linked).as_bytes();
        mark[24..].copy_from_slice(&of_task);
        Self(mark)
    }

    pub(crate) fn of_task(self) -> [u8; 8] {
        self.0.last_chunk().copied().unwrap_or_default()
    }
}

/// 32 bytes as hexadecimal text.
pub(crate) mod hex32 {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&blake3::Hash::from_bytes(*bytes).to_hex())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(from)?;
        blake3::Hash::from_hex(text).map(|hash| *hash.as_bytes()).map_err(D::Error::custom)
    }
}
