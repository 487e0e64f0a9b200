//! The store on a disk that fails: the first failure is the last word.

use super::*;
use crate::durable::disk::tests::sim::{Fault, SimDisk};
use crate::durable::record::tests::sample;

impl CheckpointStore {
    /// The directory, with everything that was written.
    pub(crate) fn into_dir(self) -> Option<StateDir> {
        self.dir
    }
}

const STATE: &str = "w/out.bivouac";

/// A store on an empty disk.
fn new_store() -> (SimDisk, CheckpointStore) {
    let disk = SimDisk::new();
    disk.make_dirs("w");
    let dir = StateDir::create(&disk, Path::new(STATE)).unwrap();
    let location = Location::Directory(STATE.into());
    let store = CheckpointStore::new(sample(), location, Arc::new(disk.clone()), Some(dir));
    (disk, store)
}

fn record_on(disk: &SimDisk) -> Option<Vec<u8>> {
    disk.read(Path::new(STATE).join(RECORD))
}

#[test]
fn after_the_lock_is_lost_nothing_is_touched() {
    for errno in [libc::EIO, libc::ESTALE] {
        let (disk, mut store) = new_store();
        store.write().unwrap();
        let before = record_on(&disk);
        // The first operation of the next checkpoint is the question whether the lock is ours.
        disk.plan(Fault::Fail { at: 1, errno, sticky: false });
        let error = store.write().unwrap_err();
        assert!(error.to_string().contains("the lock was lost: another run may have taken over"), "{error}");
        assert_eq!(error.kind(), Kind::Busy);
        let ops = disk.ops();
        assert_eq!(store.write().unwrap_err(), error);
        let mut state = store.into_dir().unwrap();
        state.hide();
        assert_eq!(state.remove().unwrap_err(), error);
        assert_eq!(disk.ops(), ops, "nothing more was done");
        assert_eq!(record_on(&disk), before);
    }
    // Any other failure is what it is.
    let (disk, mut store) = new_store();
    disk.plan(Fault::Fail { at: 1, errno: libc::ENOSPC, sticky: false });
    let error = store.write().unwrap_err().to_string();
    assert!(error.contains("No space left") && !error.contains("lost"), "{error}");
}

/// A second flush may report success although the bytes are lost.
#[test]
fn no_step_is_tried_again_after_a_failure() {
    let (disk, mut store) = new_store();
    store.write().unwrap();
    let before = disk.ops();
    store.write().unwrap();
    let steps = disk.ops() - before;
    assert!(steps >= 5, "the lock, create, write, sync, rename, sync: {steps}");
    for at in 1..=steps {
        let (disk, mut store) = new_store();
        store.write().unwrap();
        disk.plan(Fault::Fail { at, errno: libc::ENOSPC, sticky: false });
        let error = store.write().unwrap_err();
        let ops = disk.ops();
        assert_eq!(store.write().unwrap_err(), error, "operation {at}");
        assert_eq!(disk.ops(), ops, "operation {at}: nothing more was done");
    }
}
