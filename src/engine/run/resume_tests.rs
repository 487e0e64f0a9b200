//! The engine with a disk: stop, continue, refuse.

use super::tests::{Stage, expected, stage};
use super::*;
use crate::ending::{Exit, REFUSED, RESUMABLE};
use crate::sink::FileSink;
use crossbeam_channel::bounded;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn out(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("out.bivouac")
    }

    /// The stage with an output file and a state directory.
    fn set(&self, stage: Stage) -> Run<super::tests::Numbers, super::tests::Upto> {
        let sink = FileSink::new(self.out()).unwrap();
        stage.run.sink(sink).state(Location::Directory(self.state()))
    }
}

/// Which tasks have run to their end.
type Runs = Arc<Mutex<Vec<u64>>>;

/// Stops a run in which task 10 is slow, and is overtaken by fifty others.
fn stop_behind_a_slow_task(place: &Place) -> Runs {
    let runs = Runs::default();
    let finished = Arc::clone(&runs);
    let (overtaken, overtakes) = bounded::<()>(1);
    let run = place.set(stage(200, move |n, cx| {
        if n == 10 {
            loop {
                cx.yield_point()?;
                std::thread::yield_now();
            }
        }
        finished.lock().unwrap().push(n);
        if n == 60 {
            overtaken.send(()).unwrap();
        }
        Ok(n)
    }));
    let handle = run.handle();
    let asker = std::thread::spawn(move || {
        overtakes.recv_timeout(Duration::from_secs(60)).unwrap();
        handle.abort();
    });
    let stopped = run.run();
    asker.join().unwrap();
    assert_eq!(stopped.exit(), Exit::Code(RESUMABLE), "{stopped:?}");
    assert_eq!(stopped.summary().frontier, 10);
    assert!(stopped.summary().ahead >= 50, "{stopped:?}");
    assert!(!place.out().exists());
    runs
}

/// Goes on to the end; what has run now.
fn go_on(place: &Place) -> Vec<u64> {
    let runs = Runs::default();
    let again = Arc::clone(&runs);
    let ending = place
        .set(stage(200, move |n, _| {
            again.lock().unwrap().push(n);
            Ok(n)
        }))
        .run();
    assert_eq!(ending.exit(), Exit::Code(0), "{ending:?}");
    assert_eq!(fs::read_to_string(place.out()).unwrap(), expected(200));
    assert_eq!(fs::read_dir(place.state().join("spill")).unwrap().count(), 0, "what was kept is gone");
    runs.lock().unwrap().clone()
}

fn expect_each_once(runs: &Runs, again: Vec<u64>) {
    let mut all = runs.lock().unwrap().clone();
    all.extend(again);
    all.sort_unstable();
    assert_eq!(all, (0..200).collect::<Vec<_>>(), "every task ran to its end exactly once");
}

#[test]
fn after_an_orderly_stop_no_finished_task_runs_again() {
    let place = Place::new();
    let runs = stop_behind_a_slow_task(&place);
    expect_each_once(&runs, go_on(&place));
}

/// A copy of what can be done again is no reason to refuse a job.
#[test]
fn what_was_kept_and_is_harmed_is_done_again() {
    let place = Place::new();
    let runs = stop_behind_a_slow_task(&place);
    let mut segment = fs::read(place.state().join("spill/segment.0")).unwrap();
    let middle = segment.len() / 2;
    segment[middle] ^= 1;
    fs::write(place.state().join("spill/segment.0"), segment).unwrap();
    let mut again = go_on(&place);
    let before = runs.lock().unwrap().clone();
    assert!(again.iter().any(|n| before.contains(n)), "something was harmed");
    again.sort_unstable();
    again.dedup();
    assert_eq!(again[0], 10, "what comes before stands");
}

#[test]
fn a_finished_job_is_finished_and_a_job_with_other_options_is_refused() {
    let place = Place::new();
    assert_eq!(place.set(stage(20, |n, _| Ok(n))).run().exit(), Exit::Code(0));
    let ran = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&ran);
    let ending = place
        .set(stage(20, move |n, _| {
            count.fetch_add(1, Ordering::SeqCst);
            Ok(n)
        }))
        .run();
    assert!(matches!(ending, Ending::Finished { already: true, code: 0, .. }), "{ending:?}");
    assert_eq!(ran.load(Ordering::SeqCst), 0);

    // The output was harmed: then it is made again.
    fs::write(place.out(), "harmed").unwrap();
    let ending = place.set(stage(20, |n, _| Ok(n))).run();
    assert!(matches!(ending, Ending::Finished { already: false, .. }), "{ending:?}");
    assert_eq!(fs::read_to_string(place.out()).unwrap(), expected(20));
}

#[test]
fn an_unfinished_job_of_another_size_is_refused_until_it_is_discarded() {
    let place = Place::new();
    let broken = place.set(stage(20, |n, _| if n == 5 { panic!("five") } else { Ok(n) })).run();
    assert!(matches!(broken, Ending::Failed { .. }), "{broken:?}");
    let before = fs::read(place.state().join("checkpoint.json")).unwrap();
    let refused = place.set(stage(21, |n, _| Ok(n))).run();
    assert_eq!(refused.exit(), Exit::Code(REFUSED), "{refused:?}");
    assert_eq!(fs::read(place.state().join("checkpoint.json")).unwrap(), before, "nothing was changed");
    let ending = place.set(stage(21, |n, _| Ok(n))).fresh(true).run();
    assert_eq!(ending.exit(), Exit::Code(0), "{ending:?}");
    assert_eq!(fs::read_to_string(place.out()).unwrap(), expected(21));
}

#[test]
fn a_job_is_continued_where_it_broke() {
    let place = Place::new();
    let broken = place.set(stage(300, |n, _| if n == 150 { panic!("half-way") } else { Ok(n) })).run();
    assert_eq!(broken.summary().frontier, 150, "{broken:?}");
    let first = Arc::new(AtomicU64::new(u64::MAX));
    let lowest = Arc::clone(&first);
    let ending = place
        .set(stage(300, move |n, _| {
            lowest.fetch_min(n, Ordering::SeqCst);
            Ok(n)
        }))
        .run();
    assert_eq!(ending.exit(), Exit::Code(0), "{ending:?}");
    assert_eq!(first.load(Ordering::SeqCst), 150);
    assert_eq!(fs::read_to_string(place.out()).unwrap(), expected(300));
}

#[test]
fn a_passing_state_is_there_only_while_the_job_is_unfinished() {
    let place = Place::new();
    let passing = |stage: Stage| stage.run.state(Location::Passing(place.state()));
    assert_eq!(passing(stage(10, |n, _| Ok(n))).run().exit(), Exit::Code(0));
    assert!(!place.state().exists(), "nothing was kept of a job that ended at once");
    let broken = passing(stage(10, |n, _| if n == 5 { panic!("five") } else { Ok(n) })).run();
    assert!(matches!(broken, Ending::Failed { .. }));
    assert!(place.state().exists());
    assert_eq!(passing(stage(10, |n, _| Ok(n))).run().exit(), Exit::Code(0));
    assert!(!place.state().exists());
}
