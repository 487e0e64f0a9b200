//! What is held, what goes to disk, and whether both come back as they were.

use super::*;
use crate::durable::state_dir::StateDir;
use crate::task::erased::decode;
use std::any::Any;

/// A reorder with its disk: files without names.
struct Bench {
    reorder: Reorder,
    spill: Spill,
    place: Option<StateDir>,
}

impl Bench {
    fn new() -> Self {
        Self { reorder: Reorder::new(decode::<u64>), spill: Spill::new("run", 0), place: None }
    }

    fn take(&mut self, delivery: Delivery) {
        self.reorder.take(delivery, &mut self.spill);
    }

    fn put_on_disk(&mut self, which: Which) -> Vec<u64> {
        let mut shelf = Shelf { spill: &mut self.spill, dir: &mut self.place };
        self.reorder.put_on_disk(which, &mut shelf).unwrap()
    }

    fn put_pieces_on_disk(&mut self) {
        let mut shelf = Shelf { spill: &mut self.spill, dir: &mut self.place };
        self.reorder.put_pieces_on_disk(&mut shelf).unwrap();
    }

    /// What a task made and what it reported, from wherever it waits.
    fn commit(&mut self, task: u64) -> Option<(Vec<Vec<u8>>, Option<u64>)> {
        let (held, fate) = match self.spill.take(task).unwrap() {
            Some(entry) => self.reorder.revive(task, entry).unwrap(),
            None => self.reorder.ended(task).unwrap()?,
        };
        let mut pieces = Vec::new();
        self.reorder
            .drain(held, &mut self.spill, |piece| {
                pieces.push(piece);
                Ok(())
            })
            .unwrap();
        self.spill.done(task);
        let reported = match fate {
            Fate::Done { partial, .. } => {
                let partial: Box<dyn Any> = partial;
                Some(*partial.downcast().unwrap())
            }
            Fate::Failed { .. } => None,
        };
        Some((pieces, reported))
    }

    fn is_empty(&self) -> bool {
        self.reorder.in_memory == 0 && self.reorder.waiting() == 0 && self.spill.bytes() == 0
    }
}

fn done(task: u64) -> Delivery {
    Delivery::Done { task, partial: Box::new(task), mark: None, bytes: 0 }
}

fn piece(task: u64, bytes: &[u8]) -> Delivery {
    Delivery::Piece { task, bytes: bytes.to_vec() }
}

#[test]
fn pieces_of_tasks_that_run_at_the_same_time_come_out_task_by_task() {
    let mut bench = Bench::new();
    for delivery in [piece(1, b"c"), piece(0, b"a"), piece(1, b"d"), done(1)] {
        bench.take(delivery);
    }
    assert!(bench.commit(0).is_none(), "task 0 is not done");
    bench.take(piece(0, b"b"));
    bench.take(done(0));
    assert_eq!(bench.commit(0), Some((vec![b"a".to_vec(), b"b".to_vec()], Some(0))));
    assert_eq!(bench.commit(1), Some((vec![b"c".to_vec(), b"d".to_vec()], Some(1))));
    assert!(bench.is_empty());
}

#[test]
fn an_interrupted_task_takes_its_pieces_back_from_memory_and_from_disk() {
    let mut bench = Bench::new();
    bench.take(piece(0, b"half"));
    bench.put_pieces_on_disk();
    bench.take(piece(0, b"in memory"));
    assert!(bench.spill.bytes() > 0);
    bench.take(Delivery::Interrupted { task: 0 });
    assert!(bench.is_empty() && bench.reorder.any_ended().is_none());
}

#[test]
fn what_went_to_disk_comes_back_piece_by_piece_as_it_was_emitted() {
    let mut bench = Bench::new();
    let long = vec![b'x'; 3 * SHORT];
    for task in [3, 1, 2] {
        bench.take(piece(task, &long));
        bench.take(piece(task, b""));
        bench.take(piece(task, b"short"));
    }
    bench.put_pieces_on_disk();
    for task in [3, 1] {
        bench.take(piece(task, b"and more"));
        bench.take(done(task));
    }
    bench.take(Delivery::Failed { task: 2, mark: None, prints: true });
    assert_eq!(bench.put_on_disk(Which::Ended), [1, 2, 3]);
    assert_eq!(bench.reorder.in_memory, 0);
    for task in 1..4 {
        let (pieces, reported) = bench.commit(task).unwrap();
        let mut expected = vec![long.clone(), vec![], b"short".to_vec()];
        expected.extend((task != 2).then(|| b"and more".to_vec()));
        assert_eq!((pieces, reported), (expected, (task != 2).then_some(task)));
    }
    assert!(bench.is_empty());
}

#[test]
fn a_checkpoint_keeps_those_that_waited_at_the_last_one() {
    let mut bench = Bench::new();
    bench.take(done(1));
    assert!(bench.put_on_disk(Which::Lasting).is_empty());
    bench.take(done(2));
    assert_eq!(bench.put_on_disk(Which::Lasting), [1]);
    assert_eq!(bench.put_on_disk(Which::Lasting), [2]);
}

/// What a task reports can be large, and its size is unknown before it is bytes.
#[test]
fn what_tasks_report_counts_as_soon_as_many_of_them_wait() {
    let mut reorder = Reorder::new(decode::<String>);
    let mut spill = Spill::new("run", 0);
    for task in 1..1000 {
        let partial = Box::new("x".repeat(100_000));
        reorder.take(Delivery::Done { task, partial, mark: None, bytes: 0 }, &mut spill);
        reorder.pack_those_that_wait().unwrap();
        if reorder.is_full() {
            assert!(task > 300, "it is full too early: {task}");
            return;
        }
    }
    panic!("a hundred megabytes, and they were not counted");
}

/// A command is read into a buffer of a mebibyte, whatever it prints.
#[test]
fn a_short_piece_does_not_keep_a_large_buffer() {
    let mut bytes = Vec::with_capacity(1 << 20);
    bytes.extend_from_slice(b"ok\n");
    let mut bench = Bench::new();
    let Piece::InMemory(kept) = bench.reorder.keep_in_memory(bytes) else { panic!("it is in memory") };
    assert!(kept.capacity() < 100, "{}", kept.capacity());
}
