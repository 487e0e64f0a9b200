//! A set of task numbers, small in memory and small in the record.
//!
//! The frontier says with one number that everything before it is done. The tasks done after it have holes: if one of ten
//! million commands takes all night, millions of numbers follow. As a list that would be tens of megabytes, to be written
//! every second. A roaring bitmap keeps runs as runs: the same set is a few dozen bytes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use roaring::RoaringTreemap;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A set of tasks: small, however many they are, as long as most of them stand in a row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tasks(RoaringTreemap);

impl Tasks {
    delegate::delegate! {
        to self.0 {
            /// Whether there is none.
            pub fn is_empty(&self) -> bool;

            /// How many there are.
            pub fn len(&self) -> u64;

            /// Whether this one is among them.
            pub fn contains(&self, task: u64) -> bool;

            /// Adds one. Returns `false` if it was there.
            pub fn insert(&mut self, task: u64) -> bool;

            /// Takes one out. Returns whether it was there.
            pub fn remove(&mut self, task: u64) -> bool;
        }
    }

    /// Adds all from `from` up to, and without, `to`.
    pub fn insert_range(&mut self, from: u64, to: u64) {
        self.0.insert_range(from..to);
    }

    /// Takes out all from `from` up to, and without, `to`.
    pub fn remove_range(&mut self, from: u64, to: u64) {
        self.0.remove_range(from..to);
    }

    /// Takes out `from` and all that follow it without a hole. Returns the first number that is not in the set.
    pub fn take_run(&mut self, from: u64) -> u64 {
        if !self.contains(from) {
            return from;
        }
        let run = self.0.iter().skip_while(|task| *task < from).zip(from..);
        let end =
            run.take_while(|(task, expected)| task == expected).last().map_or(from, |(task, _)| task + 1);
        self.0.remove_range(from..end);
        end
    }

    /// The lowest.
    pub fn first(&self) -> Option<u64> {
        self.0.min()
    }

    /// The tasks of `self` that are not in `other`.
    pub fn without(&self, other: &Self) -> Self {
        Self(&self.0 - &other.0)
    }
}

impl Serialize for Tasks {
    /// The portable format of roaring bitmaps, in base64.
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut runs = self.0.clone();
        runs.optimize();
        let mut bytes = Vec::with_capacity(runs.serialized_size());
        runs.serialize_into(&mut bytes).map_err(serde::ser::Error::custom)?;
        to.serialize_str(&STANDARD.encode(bytes))
    }
}

impl<'de> Deserialize<'de> for Tasks {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let bytes = STANDARD.decode(String::deserialize(from)?).map_err(D::Error::custom)?;
        RoaringTreemap::deserialize_from(bytes.as_slice()).map(Self).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_night_of_work_behind_one_hole_is_a_short_text() {
        let mut tasks = Tasks::default();
        tasks.insert_range(1, 10_000_000);
        let text = serde_json::to_string(&tasks).unwrap();
        assert!(text.len() < 4000, "{}", text.len());
        assert_eq!(serde_json::from_str::<Tasks>(&text).unwrap(), tasks);
        assert!((1..10_000_000).step_by(12_345).all(|task| tasks.contains(task)) && !tasks.contains(0));
    }

    #[test]
    fn a_run_ends_at_the_first_hole() {
        let mut tasks = Tasks::default();
        [3, 4, 5, 7].into_iter().for_each(|task| assert!(tasks.insert(task)));
        assert_eq!((tasks.take_run(2), tasks.len()), (2, 4));
        assert_eq!((tasks.take_run(3), tasks.len(), tasks.first()), (6, 1, Some(7)));
        assert_eq!((tasks.take_run(7), tasks.is_empty()), (8, true));
    }

    #[test]
    fn holes_all_over_ten_million_tasks_are_still_no_burden() {
        let mut tasks = Tasks::default();
        tasks.insert_range(0, 10_000_000);
        (0..10_000_000).step_by(1000).for_each(|task| assert!(tasks.remove(task)));
        let text = serde_json::to_string(&tasks).unwrap();
        assert!(text.len() < 100_000, "{}", text.len());
        assert_eq!(serde_json::from_str::<Tasks>(&text).unwrap().len(), 9_990_000);
    }

    #[test]
    fn what_is_no_set_is_an_error() {
        for text in ["\"?\"", "\"AAAA\"", "7"] {
            assert!(serde_json::from_str::<Tasks>(text).is_err(), "{text}");
        }
    }
}
