//! The whole engine, threads and all, on a disk that fails, tears and forgets.
//!
//! The exhaustive proof of the protocol is in [`crate::engine::crash_tests`], on a model without threads. Here
//! the engine itself is put on that disk: the operations come in whatever order the threads make them,
//! and whatever goes wrong, the next run must come to the same bytes.

use super::tests::{expected, stage};
use super::*;
use crate::durable::disk::tests::sim::{Fault, SimDisk};
use crate::engine::effects::TaskOutput;
use crate::error::Kind;
use crate::sink::FileSink;
use std::sync::atomic::{AtomicU64, Ordering};

const TASKS: u64 = 40;
const OUT: &str = "w/out";

fn new_disk() -> SimDisk {
    let disk = SimDisk::new();
    disk.put("w/other", b"so that there is a directory");
    disk
}

/// How a run goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Straight,
    /// It is asked to stop as soon as a task runs.
    Stopped,
    /// The first task ends when the twentieth has: their results wait on disk, and in the record.
    SlowFirst,
}

/// A run on `disk`.
fn run_on(disk: &SimDisk, way: Way) -> Ending {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let sink = match FileSink::on(&*disk, OUT.as_ref()) {
        Ok(sink) => sink,
        Err(error) => return Ending::Failed { error, summary: Summary::default() },
    };
    let (tell, told) = unbounded::<()>();
    let ended = AtomicU64::new(0);
    let stage = stage(TASKS, move |n, cx| {
        tell.send(()).unwrap_or_default();
        while way == Way::SlowFirst && n == 0 && ended.load(Ordering::Relaxed) < 20 {
            cx.yield_point()?;
            std::thread::yield_now();
        }
        ended.fetch_add(1, Ordering::Relaxed);
        Ok(n)
    });
    let run = stage
        .run
        .sink(sink)
        .state(Location::Directory("w/out.bivouac".into()))
        .checkpoint_every(Duration::ZERO)
        .effects(match way {
            Way::Straight | Way::Stopped => Effects::Pure,
            // A checkpoint stores all that wait.
            Way::SlowFirst => Effects::SideEffects { output: TaskOutput::Result, retry_failed: false },
        })
        .disk(disk);
    let handle = run.handle();
    let asker = std::thread::spawn(move || {
        if way == Way::Stopped && told.recv().is_ok() {
            handle.stop();
        }
    });
    let ending = run.run();
    asker.join().unwrap();
    ending
}

/// Whatever was done to this disk: the next run finishes the job.
fn expect_right(disk: &SimDisk, story: &str) {
    let ending = run_on(disk, Way::Straight);
    assert!(matches!(ending, Ending::Finished { code: 0, .. }), "{story}: {ending:?}");
    assert_eq!(disk.read(OUT), Some(expected(TASKS).into_bytes()), "{story}");
}

#[test]
fn whatever_the_disk_does_the_next_run_comes_to_the_same_bytes() {
    let mut broke = 0;
    for at in 1..=80 {
        for fault in [
            Fault::Fail { at, errno: libc::EIO, sticky: true },
            Fault::Fail { at, errno: libc::ENOSPC, sticky: false },
            Fault::Tear { at, first: true },
            Fault::Crash { at },
        ] {
            for way in [Way::Straight, Way::Stopped, Way::SlowFirst] {
                let disk = new_disk();
                disk.plan(fault);
                let ending = run_on(&disk, way);
                if let Ending::Failed { error, .. } = &ending {
                    broke += 1;
                    // Only a lock file that answers EIO, as a disk after a crash does too, is a lock that is lost.
                    let is_lost = error.kind() == Kind::Busy
                        && !matches!(fault, Fault::Fail { errno: libc::ENOSPC, .. })
                        && error.to_string().contains("/lock: the lock was lost");
                    let is_told = matches!(error.kind(), Kind::Broken | Kind::Usage) || is_lost;
                    assert!(is_told, "{fault:?}: {error}");
                }
                let story = format!("{fault:?}, {way:?}, {ending:?}");
                expect_right(&disk.restart(), &format!("{story}, a new process"));
                expect_right(&disk.reboot(at), &format!("{story}, a power cut"));
            }
        }
    }
    assert!(broke > 100, "only {broke} runs met their fault");
}
