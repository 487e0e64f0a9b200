//! The commit protocol on a disk that fails, tears and forgets, at every single operation.
//!
//! The model below is the commit thread without its threads: it writes the output of a few tasks,
//! takes a checkpoint after some of them, keeps a task that has ended before its turn, stops once in an
//! orderly way with two of these, goes on, finishes. Then the disk fails at the first operation, at the second, and
//! so on to the last, in every way that the disk knows; each time the same job is run again on
//! what is left, and must come to the same bytes. And since a test that cannot fail proves
//! nothing, the same loop is run with one sync or the truncation left out, and must notice.

use crate::durable::disk::sim::{Fault, Omit, SimDisk};
use crate::durable::record::{FORMAT, PROGRAM, Phase, Record};
use crate::durable::spill::look;
use crate::durable::state_dir::{StateDir, peek};
use crate::durable::store::{CheckpointStore, Location};
use crate::engine::reorder::{Reorder, Which};
use crate::error::{Error, Result};
use crate::sink::FileSink;
use crate::task::outbox::Delivery;
use crate::task::stop_fd::Wake;
use crate::task::{Committed, Sink};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

const OUT: &str = "w/out";
const STATE: &str = "w/out.bivouac";
const TASKS: u64 = 8;
/// Before this task the next one has ended already.
const OVERTAKEN: u64 = 1;
/// Where the first run is stopped, with the two tasks after the next one already finished.
const STOP: u64 = 4;
const BEFORE: &[u8] = b"what an earlier job left";

/// Sizes that begin and end within a sector, within a block, and across both.
fn output_of(task: u64) -> Vec<u8> {
    let length = [10, 700, 0, 4090, 1, 5000, 512, 333][task as usize];
    (0..length).map(|n: u64| (n * 13 + task * 101 + n / 256) as u8).collect()
}

fn expected() -> Vec<u8> {
    (0..TASKS).flat_map(output_of).collect()
}

/// What the outside world was told: it must still hold after any crash.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    seq: u64,
    done: bool,
}

struct Model<'a> {
    sink: FileSink,
    keep: CheckpointStore,
    told: &'a mut Told,
}

fn first_record() -> Record {
    Record {
        format: FORMAT,
        program: PROGRAM.into(),
        run: "model".into(),
        job: "model".into(),
        fingerprint: Value::Null,
        inputs: Value::Null,
        finished: crate::Tasks::default(),
        failing: crate::Tasks::default(),
        reach: None,
        whole: None,
        journal_bytes: 0,
        phase: Phase::Working,
        epoch: 0,
        seq: 0,
        frontier: 0,
        mark: None,
        spilled_files: Vec::new(),
        ahead: None,
        total: json!(0),
        failed: 0,
        input_bytes: 0,
        tasks: Some(TASKS),
        output: Some(Committed::default()),
        saved_at: 0,
    }
}

/// One process: begins or continues the job, until it is done or stopped.
fn run(disk: &SimDisk, stop: Option<u64>, told: &mut Told) -> Result<()> {
    let mut sink = FileSink::new(disk, Path::new(OUT))?;
    let mut state = StateDir::create(disk, Path::new(STATE))?;
    let found = state.read_record()?;
    if let Some(Record { phase: Phase::Done { .. }, output: Some(committed), .. }) = &found {
        return match sink.is_published(committed)? {
            true => Ok(()),
            false => Err(Error::refused(OUT, "is not what the finished job wrote")),
        };
    }
    let mut model = match found {
        None => {
            sink.may_begin()?;
            let mut model = Model { sink, keep: keep(disk, state, first_record()), told };
            model.save(Phase::Working)?;
            model.sink.begin(None)?;
            model
        }
        Some(mut record) => {
            let (spill, lost) = look(&mut state, &mut record, &Wake::new()?, &mut |_, _| ())?;
            if lost > 0 {
                return Err(Error::refused(STATE, "names results that are not there"));
            }
            sink.begin(record.output.as_ref())?;
            let phase = record.phase;
            let mut model = Model { sink, keep: keep(disk, state, record).with(spill), told };
            model.keep.record_mut().epoch += 1;
            model.save(phase)?;
            model.keep.sweep()?;
            model
        }
    };
    let ended = model.work(stop);
    if ended.is_err() {
        model.keep.give_back();
    }
    ended
}

fn keep(disk: &SimDisk, dir: StateDir, record: Record) -> CheckpointStore {
    CheckpointStore::new(record, Location::Directory(STATE.into()), Arc::new(disk.clone()), Some(dir))
}

impl Model<'_> {
    fn work(&mut self, stop: Option<u64>) -> Result<()> {
        while self.frontier() < TASKS {
            if stop == Some(self.frontier()) {
                return self.stop();
            }
            if self.frontier() == OVERTAKEN && self.keep.spill().tasks().is_empty() {
                self.end_early(OVERTAKEN + 1)?;
                self.checkpoint(Phase::Working)?;
            }
            self.task()?;
            if self.frontier().is_multiple_of(2) {
                self.checkpoint(Phase::Working)?;
            }
        }
        self.checkpoint(Phase::Finalizing { code: 0 })?;
        self.sink.publish()?;
        self.save(Phase::Done { code: 0 })?;
        self.told.done = true;
        Ok(())
    }

    fn frontier(&self) -> u64 {
        self.keep.record().frontier
    }

    /// Does the task at the frontier, or takes its result from where it was kept.
    fn task(&mut self) -> Result<()> {
        let task = self.frontier();
        match self.keep.take_ahead(false)? {
            Some((_, entry)) => {
                let mut reorder = Reorder::<u64>::new();
                let (held, _) = reorder.revive(task, entry)?;
                reorder.drain(held, self.keep.spill(), |piece| self.sink.write(&piece))?;
                self.keep.spill().done(task);
            }
            None => self.sink.write(&output_of(task))?,
        }
        self.keep.record_mut().frontier += 1;
        Ok(())
    }

    /// A task has ended before its turn, and its result goes to disk: a long one in a frame of its own.
    fn end_early(&mut self, task: u64) -> Result<()> {
        let mut reorder = Reorder::new();
        for delivery in [
            Delivery::Piece { task, bytes: output_of(task) },
            Delivery::Done { task, partial: 0u64, mark: None, bytes: 0 },
        ] {
            reorder.take(delivery, self.keep.spill());
        }
        reorder.put_on_disk(Which::Ended, &mut self.keep.shelf()?).map(drop)
    }

    fn checkpoint(&mut self, phase: Phase) -> Result<()> {
        self.keep.record_mut().phase = phase;
        self.keep.commit(&mut self.sink, 0)?;
        self.told.seq = self.keep.record().seq;
        Ok(())
    }

    fn save(&mut self, phase: Phase) -> Result<()> {
        self.keep.record_mut().phase = phase;
        self.keep.write()?;
        self.told.seq = self.keep.record().seq;
        Ok(())
    }

    fn stop(&mut self) -> Result<()> {
        self.end_early(self.frontier() + 1)?;
        self.end_early(self.frontier() + 2)?;
        self.checkpoint(Phase::Working)
    }
}

/// The whole job in two runs, the first one stopped in an orderly way.
fn life(disk: &SimDisk, told: &mut Told) -> Result<()> {
    run(disk, Some(STOP), told)?;
    run(disk, None, told)
}

fn new_disk(omit: Option<Omit>) -> SimDisk {
    let disk = SimDisk::new();
    disk.put(OUT, BEFORE);
    omit.into_iter().for_each(|what| disk.omit(what));
    disk
}

/// Everything that must be true of a disk after any end, before and after the job is continued.
fn check(disk: &SimDisk, told: Told) -> std::result::Result<(), String> {
    let out = disk.read(OUT);
    if out.as_deref() != Some(BEFORE) && out.as_deref() != Some(&expected()) {
        return Err("the output is neither the old nor the new one".into());
    }
    if told.done && out.as_deref() == Some(BEFORE) {
        return Err("the job was reported to be done, and the output is gone".into());
    }
    if told.seq > 0 {
        let seen = peek(disk, Path::new(STATE)).map_err(|e| e.to_string())?;
        let seq = seen.record.map_or(0, |record| record.seq);
        if seq < told.seq {
            return Err(format!("checkpoint {} was reported, {seq} is there", told.seq));
        }
    }
    run(disk, None, &mut Told::default()).map_err(|e| e.to_string())?;
    match disk.read(OUT) == Some(expected()) && disk.read("w/out.part").is_none() {
        true => Ok(()),
        false => Err("the output is another one than without the crash".into()),
    }
}

/// How many operations a job has on a disk without faults.
fn count(disk: &SimDisk, job: impl FnOnce(&SimDisk) -> Result<()>) -> u64 {
    let before = disk.ops();
    job(disk).unwrap();
    disk.ops() - before
}

const SEEDS: u64 = 12;

/// Every way to go wrong at operation `at`.
fn faults(at: u64) -> [Fault; 6] {
    let fail = |errno, sticky| Fault::Fail { at, errno, sticky };
    [
        fail(libc::EIO, false),
        fail(libc::EIO, true),
        fail(libc::ENOSPC, false),
        Fault::Tear { at, first: true },
        Fault::Tear { at, first: false },
        Fault::Crash { at },
    ]
}

/// Puts every fault at every operation of a job. The first thing that was not as it must be.
fn first_complaint(omit: Option<Omit>) -> Option<String> {
    let operations = count(&new_disk(omit), |disk| life(disk, &mut Told::default()));
    assert!(operations > 80, "the model does something: {operations}");
    for at in 1..=operations + 1 {
        for fault in faults(at) {
            let (disk, mut told) = (new_disk(omit), Told::default());
            disk.plan(fault);
            let ended = life(&disk, &mut told);
            let futures = (0..SEEDS).map(|seed| (format!("reboot {seed}"), disk.reboot(seed)));
            for (after, disk) in futures.chain([("a new process".into(), disk.restart())]) {
                if let Err(complaint) = check(&disk, told) {
                    return Some(format!("{fault:?}, {ended:?}, {after}: {complaint}"));
                }
            }
        }
    }
    None
}

#[test]
fn after_any_fault_at_any_operation_the_bytes_are_the_same() {
    assert_eq!(first_complaint(None), None);
}

#[test]
fn a_sync_or_truncation_left_out_is_noticed() {
    for omit in [Omit::SyncData, Omit::SyncDir, Omit::Truncate] {
        let complaint = first_complaint(Some(omit));
        assert!(complaint.is_some(), "{omit:?} left out, and nobody noticed");
    }
}

/// A crash during the recovery from a crash, at each operation of the recovery, and then once
/// more: what recovery writes must itself be recoverable.
#[test]
fn a_crash_during_recovery_changes_nothing() {
    let operations = count(&new_disk(None), |disk| life(disk, &mut Told::default()));
    for at in 1..=operations {
        let (disk, mut told) = (new_disk(None), Told::default());
        disk.plan(Fault::Crash { at });
        life(&disk, &mut told).unwrap_err();
        let seed = at % SEEDS;
        let recovery = count(&disk.reboot(seed), |disk| run(disk, None, &mut Told::default()));
        for second in 1..=recovery {
            let mut told = told;
            let disk = disk.reboot(seed);
            let fault = faults(second)[(at % 6) as usize];
            disk.plan(fault);
            drop(run(&disk, None, &mut told));
            for after in [disk.restart(), disk.reboot(0), disk.reboot(second + 2)] {
                if let Err(complaint) = check(&after, told) {
                    panic!("crash at {at}, reboot {seed}, then {fault:?}: {complaint}");
                }
            }
        }
    }
}
