//! Rows of bytes in one buffer, and what it takes to have them in another order.
//!
//! A vector for each row costs an allocation and 24 bytes; of ten million short items that is more than the items.

use crate::input::buffer::has_room;

/// Items that are kept, one after the other.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Rows {
    /// Whether there is memory for a row of this length. If so, what is appended to `bytes` up to
    /// [`end`](Self::end) is that row.
    pub(super) fn has_room(&mut self, length: usize) -> bool {
        has_room(&mut self.bytes, length) && self.ends.try_reserve(1).is_ok()
    }

    pub(super) fn end(&mut self) {
        self.ends.push(self.bytes.len());
    }

    pub(super) fn row(&self, row: usize) -> &[u8] {
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[row]]
    }

    pub(super) fn count(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
}

/// The numbers below `count` in an order that depends on the seed and on nothing else.
pub(super) fn shuffled(count: usize, seed: u64) -> Vec<usize> {
    let mut random = blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof();
    let mut order: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        let mut bytes = [0; 8];
        random.fill(&mut bytes);
        // The upper half of the product is a number from 0 to `last`, each as likely, but for one in 2^40 or less.
        let other = (u128::from(u64::from_le_bytes(bytes)) * (last as u128 + 1)) >> 64;
        order.swap(last, usize::try_from(other).unwrap_or(last));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_an_order_and_all_orders_come() {
        assert_eq!(shuffled(0, 1), [] as [usize; 0]);
        assert_eq!(shuffled(1000, 7), shuffled(1000, 7));
        let mut all = std::collections::BTreeMap::new();
        for seed in 0..6000 {
            *all.entry(shuffled(3, seed)).or_insert(0) += 1;
        }
        assert_eq!(all.len(), 6);
        assert!(all.values().all(|times| (850..1150).contains(times)), "{all:?}");
    }
}
