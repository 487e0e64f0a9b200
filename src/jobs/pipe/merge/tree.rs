//! Which outputs a merge has as its inputs: a function of the number of chunks, and of the number of the task.

use std::fmt;
use std::ops::Range;

/// How many outputs are merged at a time: as many as `sort` opens at once.
const AT_A_TIME: u64 = 16;

/// A merge of outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Merge {
    /// The tasks that have written them.
    pub(super) of: Range<u64>,
    /// Their chunks.
    covers: Range<u64>,
    /// How many chunks there are.
    pub(super) chunks: u64,
    pub(super) is_last: bool,
}

impl fmt::Display for Merge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "merge of chunks {} to {}", self.covers.start + 1, self.covers.end)
    }
}

/// How many merges follow on so many chunks.
pub(super) fn merges(chunks: u64) -> u64 {
    levels(chunks).map(|(_, merges, _)| merges).sum()
}

/// The merge with this number among all tasks.
pub(super) fn merge_of(chunks: u64, task: u64) -> Option<Merge> {
    let mut begin = chunks;
    for (inputs, merges, covered) in levels(chunks) {
        if (begin..begin + merges).contains(&task) {
            let number = task - begin;
            let first = begin - inputs + number * AT_A_TIME;
            let covers = number * covered..((number + 1) * covered).min(chunks);
            let of = first..(first + AT_A_TIME).min(begin);
            return Some(Merge { of, covers, chunks, is_last: merges == 1 });
        }
        begin += merges;
    }
    None
}

/// From the chunks on: the inputs, the merges of them, and how many chunks each of these covers. One chunk has a merge too.
fn levels(chunks: u64) -> impl Iterator<Item = (u64, u64, u64)> {
    let level = |inputs: u64, covered: u64| (inputs, inputs.div_ceil(AT_A_TIME), covered);
    let first = (chunks > 0).then(|| level(chunks, AT_A_TIME));
    std::iter::successors(first, move |(_, merges, covered)| {
        (*merges > 1).then(|| level(*merges, covered.saturating_mul(AT_A_TIME)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_output_is_merged_once_and_after_it_is_there() {
        for chunks in [0, 1, 2, 15, 16, 17, 32, 33, 255, 256, 257, 4096, 4097, 70_000] {
            let all = chunks + merges(chunks);
            let mut next = 0;
            for task in chunks..all {
                let merge = merge_of(chunks, task).unwrap();
                assert_eq!(merge.of.start, next, "{chunks}: in order");
                assert!(merge.of.end <= task && (1..=16).contains(&(merge.of.end - merge.of.start)));
                assert_eq!(merge.is_last, task + 1 == all);
                next = merge.of.end;
                if merge.is_last {
                    assert_eq!(merge.covers, 0..chunks);
                }
            }
            assert_eq!(next, all.saturating_sub(1), "{chunks}: all but the last are merged");
            assert_eq!(merge_of(chunks, all), None);
        }
        assert_eq!([0, 1, 16, 17, 257].map(merges), [0, 1, 1, 3, 20]);
        assert_eq!(merge_of(33, 35).unwrap().to_string(), "merge of chunks 33 to 33");
    }
}
