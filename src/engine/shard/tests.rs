//! A job in shards on a disk that fails, tears and forgets, at every single operation: the plan, the list, the results
//! of each shard, what says that it is done, and the merge.

use super::Shards;
use crate::durable::disk::Disk;
use crate::durable::disk::tests::sim::{Omit, SimDisk};
use crate::durable::store::Location;
use crate::ending::Ending;
use crate::engine::crash_tests::faults;
use crate::engine::run::Run;
use crate::engine::run::tests::{Left, Numbers, Upto, expected};
use crate::error::{Error, Result};
use crate::sink::FileSink;
use crate::task::{Job, Source};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const TASKS: u64 = 5;
const OUT: &str = "w/out";
const STATE: &str = "w/out.bivouac";
const LIST: &[u8] = b"what one process has found";

/// Numbers, of which something is kept for all shards.
struct Found(Upto);

impl Source for Found {
    type Task = u64;
    type Listing = Left;

    fn begin(&self) -> Result<Left> {
        self.0.begin()
    }

    fn resume(&self, described: &Value, frontier: u64) -> Result<Left> {
        self.0.resume(described, frontier)
    }

    fn keep(&self, _own: &[PathBuf], to: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<Option<Value>> {
        to(LIST).map(|()| Some(json!(LIST.len())))
    }

    fn find_in(&mut self, path: &Path, parts: &Value) -> Result<()> {
        assert_eq!((path, parts), (&*Path::new(STATE).join("list"), &json!(LIST.len())));
        Ok(())
    }
}

fn job() -> Numbers {
    Numbers(Box::new(|n, _| Ok(n)))
}

fn run<J: Job, S: Source<Task = J::Task>>(
    disk: &Arc<dyn Disk>,
    (job, source): (J, S),
    (out, state): (&Path, PathBuf),
) -> Result<()> {
    let run = Run::new(job, source)
        .jobs(1)
        .sink(FileSink::on(&**disk, out)?)
        .state(Location::Directory(state))
        .checkpoint_every(Duration::ZERO)
        .disk(Arc::clone(disk));
    match run.run() {
        Ending::Finished { .. } => Ok(()),
        Ending::Failed { error, .. } => Err(error),
        stopped @ Ending::Stopped { .. } => Err(Error::broken("run", format_args!("{stopped:?}"))),
    }
}

/// All processes of the job, one after the other. Each of them ends it if the disk does.
fn life(disk: &SimDisk) -> Result<()> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let mut all_are_done = false;
    for number in [2, 1] {
        let source = Found(Upto(TASKS));
        let shards =
            Shards::divide_on(Arc::clone(&disk), STATE.as_ref(), (&job(), &source), (2, Value::Null))?;
        let out = shards.results_of(number);
        run(&disk, shards.shard(number, (job(), source)), (&out, shards.state_of(number)))?;
        all_are_done = shards.is_done(number)?;
    }
    let shards = Shards::find_on(&disk, STATE.as_ref())?.ok_or_else(|| Error::broken("plan", "is gone"))?;
    assert!(all_are_done && shards.done().iter().all(|done| *done), "the last shard merges");
    run(&disk, shards.merge(job()), (OUT.as_ref(), shards.state_of_merge()))
}

fn new_disk(omit: Option<Omit>) -> SimDisk {
    let disk = SimDisk::new();
    disk.put("w/other", b"so that there is a directory");
    omit.into_iter().for_each(|what| disk.omit(what));
    disk
}

/// Whatever became of it: the same lines again come to the same bytes, and to nothing else.
fn complaint(disk: &SimDisk) -> Option<String> {
    let early = disk.read(OUT);
    if early.is_some_and(|out| out != expected(TASKS).as_bytes()) {
        return Some("there is an output, and it is another one".to_string());
    }
    let ended = life(disk);
    let is_right = disk.read(OUT) == Some(expected(TASKS).into_bytes());
    (ended.is_err() || !is_right).then(|| format!("the next lines: {ended:?}, right: {is_right}"))
}

/// Every fault at every operation. The threads of a run may make a few operations more or fewer, so it goes on until no
/// fault is met.
fn first_complaint(omit: Option<Omit>) -> Option<String> {
    let mut met = 0;
    for at in 1.. {
        let before = met;
        for (n, fault) in (at..).zip(faults(at)) {
            let disk = new_disk(omit);
            disk.plan(fault);
            let ended = life(&disk);
            met += u64::from(ended.is_err());
            // One way for each: a machine that lost what was not flushed, one that lost some of it, another process.
            let left = match n % 3 {
                0 => disk.reboot(0),
                1 => disk.reboot(at + 1),
                _ => disk.restart(),
            };
            if let Some(complaint) = complaint(&left) {
                return Some(format!("{fault:?}, {ended:?}: {complaint}"));
            }
        }
        if met == before && at > 100 {
            break;
        }
    }
    assert!(met > 500, "only {met} faults were met");
    None
}

#[test]
fn after_any_fault_at_any_operation_the_merge_has_the_same_bytes() {
    assert_eq!(first_complaint(None), None);
}

#[test]
fn a_sync_left_out_is_noticed() {
    for omit in [Omit::SyncData, Omit::SyncDir] {
        assert!(first_complaint(Some(omit)).is_some(), "{omit:?} left out, and the test did not notice");
    }
}

/// A power cut right after a shard was told to be done, or a plan to be made, takes neither away.
#[test]
fn what_was_told_is_durable() {
    let disk = new_disk(None);
    let seam: Arc<dyn Disk> = Arc::new(disk.clone());
    let source = Found(Upto(TASKS));
    let shards = Shards::divide_on(seam, STATE.as_ref(), (&job(), &source), (2, Value::Null)).unwrap();
    let after = |disk: &SimDisk| {
        let disk: Arc<dyn Disk> = Arc::new(disk.reboot(0));
        Shards::find_on(&disk, STATE.as_ref()).unwrap().map(|shards| shards.done())
    };
    assert_eq!(after(&disk), Some(vec![false, false]));
    assert_eq!(disk.reboot(0).read(Path::new(STATE).join("list")), Some(LIST.to_vec()));
    assert!(!shards.is_done(2).unwrap());
    assert_eq!(after(&disk), Some(vec![false, true]));
    assert!(shards.is_done(1).unwrap());
    assert_eq!(after(&disk), Some(vec![true, true]));
}
