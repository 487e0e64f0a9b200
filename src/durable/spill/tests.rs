//! Segments: the order that comes out of them, what is left of them when they are harmed, and when they go.

use super::*;
use crate::durable::disk::OsDisk;
use crate::durable::record::Record;
use crate::durable::state_dir::StateDir;
use crate::task::stop_fd::StopFd;
use std::fs;
use std::path::Path;

fn entry(task: u64, parts: Vec<Part>) -> Entry {
    Entry {
        failed: false,
        partial: task.to_string().into_bytes(),
        mark: Some([task as u8; 32]),
        bytes: task,
        parts,
    }
}

fn put(spill: &mut Spill, dir: &mut Option<StateDir>, tasks: &[u64]) {
    let pieces: Vec<SegmentRange> =
        tasks.iter().map(|task| spill.put_piece(dir, *task, &[*task as u8; 5000]).unwrap()).collect();
    let mut run = spill.begin(dir).unwrap();
    for (task, range) in tasks.iter().zip(pieces) {
        let parts = vec![Part::There(range), Part::Here(b"end".to_vec())];
        spill.put(&mut run, *task, &entry(*task, parts)).unwrap();
    }
    spill.end(run).unwrap();
}

/// Takes a task, and says whether all of it is as it was put.
fn take(spill: &mut Spill, task: u64) {
    let taken = spill.take(task).unwrap().unwrap_or_else(|| panic!("task {task} is not there"));
    assert_eq!((taken.partial, taken.mark), (task.to_string().into_bytes(), Some([task as u8; 32])));
    let [Part::There(range), Part::Here(end)] = &taken.parts[..] else { panic!("{:?}", taken.parts) };
    assert_eq!((spill.read(*range).unwrap(), &end[..]), (vec![task as u8; 5000], &b"end"[..]));
    spill.forget(*range);
    spill.done(task);
}

fn here(dir: &Path) -> Option<StateDir> {
    Some(StateDir::create(&OsDisk, &dir.join("s")).unwrap())
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir.join("s/spill"))
        .map(|entries| entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect())
        .unwrap_or_default();
    names.sort();
    names
}

#[test]
fn runs_that_overlap_come_out_in_the_order_of_the_tasks() {
    let (mut spill, mut place) = (Spill::new("run", 0), None);
    put(&mut spill, &mut place, &[2, 5, 9]);
    put(&mut spill, &mut place, &[1, 3, 4, 10]);
    put(&mut spill, &mut place, &[6, 7, 8]);
    assert_eq!((spill.runs.len(), spill.tasks().len()), (3, 10));
    (1..=10).for_each(|task| take(&mut spill, task));
    assert!(spill.runs.is_empty() && spill.tasks().is_empty() && spill.bytes() == 0);
    assert!(spill.take(1).unwrap().is_none());
}

/// A million tasks that wait are a few numbers in memory.
#[test]
fn of_a_run_only_the_next_task_is_in_memory() {
    let (mut spill, mut place) = (Spill::new("run", 0), None);
    let mut run = spill.begin(&mut place).unwrap();
    for task in 1..100_000 {
        spill.put(&mut run, task, &entry(task, Vec::new())).unwrap();
    }
    spill.end(run).unwrap();
    assert_eq!((spill.runs.len(), spill.segments.len()), (1, 1));
    for task in 1..100_000 {
        assert_eq!(spill.take(task).unwrap().unwrap().bytes, task);
        spill.done(task);
    }
    assert_eq!(spill.bytes(), 0);
}

#[test]
fn a_full_segment_is_followed_by_another_and_goes_when_no_record_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let (mut spill, mut place) = (Spill::new("run", 0), here(dir.path()));
    spill.limit(0); // the smallest segments: a mebibyte
    (0..30).for_each(|n| put(&mut spill, &mut place, &(n * 20..n * 20 + 20).collect::<Vec<_>>()));
    assert_eq!(names(dir.path()), ["segment.0", "segment.1", "segment.2"]);
    assert!(spill.make_durable().unwrap(), "there are new names");
    assert!(!spill.make_durable().unwrap());
    assert_eq!(spill.ahead().unwrap().segments.len(), 3);
    spill.recorded(&mut place).unwrap();
    (0..300).for_each(|task| take(&mut spill, task));
    assert_eq!(names(dir.path()).len(), 3, "the record on disk names it");
    assert_eq!(spill.ahead().unwrap().segments.len(), 2);
    spill.recorded(&mut place).unwrap();
    assert_eq!(names(dir.path()), ["segment.1", "segment.2"]);
    (300..600).for_each(|task| take(&mut spill, task));
    assert!(spill.ahead().is_none());
    spill.recorded(&mut place).unwrap();
    assert!(names(dir.path()).is_empty());
}

/// Three tasks in two segments, as a record names them.
fn kept(dir: &Path) -> Record {
    let (mut spill, mut place) = (Spill::new("run", 0), here(dir));
    put(&mut spill, &mut place, &[3, 5]);
    spill.make_durable().unwrap();
    put(&mut spill, &mut place, &[4]);
    spill.largest = 0;
    put(&mut spill, &mut place, &[7]);
    spill.make_durable().unwrap();
    let record = Record::new("job", serde_json::Value::Null, serde_json::Value::Null);
    Record { run: "run".into(), frontier: 2, ahead: spill.ahead(), ..record }
}

fn looked(dir: &Path, record: &Record) -> (Spill, Vec<u64>) {
    let mut state = here(dir).unwrap();
    let mut record = record.clone();
    let (mut spill, lost) = look(&mut state, &mut record, &StopFd::new().unwrap(), &mut |_, _| ()).unwrap();
    let tasks = [3, 4, 5, 7].into_iter().filter(|task| spill.tasks().contains(*task)).collect::<Vec<_>>();
    assert_eq!(tasks.len() as u64 + lost, 4);
    assert_eq!(&record.ahead.unwrap().tasks, spill.tasks());
    tasks.iter().for_each(|task| take(&mut spill, *task));
    (spill, tasks)
}

#[test]
fn what_a_record_names_is_found_again_and_goes_when_it_is_committed() {
    let dir = tempfile::tempdir().unwrap();
    let record = kept(dir.path());
    let (mut spill, tasks) = looked(dir.path(), &record);
    assert_eq!(tasks, [3, 4, 5, 7]);
    assert!(spill.ahead().is_none());
    spill.recorded(&mut here(dir.path())).unwrap();
    assert!(names(dir.path()).is_empty());
}

/// No flipped byte makes another result, and none costs more than what was written with it.
#[test]
fn what_is_harmed_is_not_there_and_the_rest_is() {
    let dir = tempfile::tempdir().unwrap();
    let record = kept(dir.path());
    for name in ["segment.0", "segment.1"] {
        let path = dir.path().join("s/spill").join(name);
        let good = fs::read(&path).unwrap();
        for at in (0..good.len()).step_by(61).chain(0..40).chain(good.len() - 40..good.len()) {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            fs::write(&path, bad).unwrap();
            let (_, tasks) = looked(dir.path(), &record);
            assert!(tasks.contains(&7) || name == "segment.1", "{name}, {at}: {tasks:?}");
            assert!(tasks.len() >= 2, "{name}, {at}: {tasks:?}");
        }
        fs::write(&path, &good[..good.len() / 2]).unwrap();
        assert!(looked(dir.path(), &record).1.len() < 4, "half of {name}");
        fs::remove_file(&path).unwrap();
        assert!(looked(dir.path(), &record).1.len() < 4, "without {name}");
        fs::create_dir(&path).unwrap();
        let refused = StateDir::create(&OsDisk, &dir.path().join("s"));
        assert!(refused.is_err(), "a directory in place of {name} is refused before anything begins");
        fs::remove_dir(&path).unwrap();
        fs::write(&path, good).unwrap();
    }
    let other = Record { run: "another".into(), ..record };
    assert!(looked(dir.path(), &other).1.is_empty(), "the results of another job");
}

/// Tasks that the journal has after the record are committed.
#[test]
fn what_is_committed_is_neither_kept_nor_lost() {
    let dir = tempfile::tempdir().unwrap();
    let mut record = kept(dir.path());
    record.frontier = 4;
    record.finished.insert(5);
    let mut state = here(dir.path()).unwrap();
    let (mut spill, lost) = look(&mut state, &mut record, &StopFd::new().unwrap(), &mut |_, _| ()).unwrap();
    assert_eq!((lost, spill.tasks().len()), (0, 2));
    take(&mut spill, 4);
    take(&mut spill, 7);
}

#[test]
fn a_run_that_breaks_gives_back_what_no_record_counts() {
    let dir = tempfile::tempdir().unwrap();
    let (mut spill, mut place) = (Spill::new("run", 0), here(dir.path()));
    put(&mut spill, &mut place, &[1]);
    spill.make_durable().unwrap();
    spill.recorded(&mut place).unwrap();
    let counts = fs::metadata(dir.path().join("s/spill/segment.0")).unwrap().len();
    put(&mut spill, &mut place, &[2]);
    spill.largest = 0;
    put(&mut spill, &mut place, &[3]);
    spill.give_back(&mut place);
    assert_eq!(names(dir.path()), ["segment.0"]);
    assert_eq!(fs::metadata(dir.path().join("s/spill/segment.0")).unwrap().len(), counts);
}
