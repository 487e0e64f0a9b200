//! The committer on a disk that fails, tears and forgets, at every single operation.
//!
//! The obvious crash test kills the program here and there, and meets a handful of instants. Here the test
//! takes the place of the threads: it hands the real committer one step after another, on a disk that counts
//! its operations. Then the disk fails at the first operation, at the second, and so on to the last, in every
//! way that it knows. Each time the real preparation goes on with the job on what is left, and the job must
//! come to the same bytes.
//!
//! Five kinds of job are broken in this way: with an output file; the same if a task that runs again does harm; the same
//! if tasks produce more than the memory holds; with side effects, task by task and in order. A test that cannot fail
//! proves nothing, so the same loop runs with one sync or the truncation left out, and must notice.

mod test_world;

use crate::durable::disk::tests::sim::{Fault, Omit, SimDisk};
use crate::durable::history::HISTORY;
use crate::error::Result;
use std::cell::Cell;
use std::rc::Rc;
use test_world::{Kind, OUT, TASKS, Told, Until, World, expected, record_on};

const BEFORE: &[u8] = b"what an earlier job left";

/// The whole job in two runs, the first one stopped in an orderly way.
fn life(world: &World, disk: &SimDisk, told: &mut Told) -> Result<()> {
    world.run(disk, Until::Stopped, told)?;
    world.run(disk, Until::Finished, told)
}

fn new_disk(omit: Option<Omit>) -> SimDisk {
    let disk = SimDisk::new();
    disk.put(OUT, BEFORE);
    omit.into_iter().for_each(|what| disk.omit(what));
    disk
}

/// What became of the process: it was killed, or the machine lost its power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    Kill,
    PowerCut(u64),
}

impl After {
    fn of(self, disk: &SimDisk) -> SimDisk {
        match self {
            After::Kill => disk.restart(),
            After::PowerCut(seed) => disk.reboot(seed),
        }
    }
}

/// Everything that must be true of a disk after any end, before and after the job is continued.
fn check(world: &World, disk: &SimDisk, after: After, told: &Told) -> std::result::Result<(), String> {
    let disk = after.of(disk);
    let out = disk.read(OUT);
    let is_before = out.as_deref() == Some(BEFORE);
    if !is_before && out.as_deref() != Some(&expected()) {
        return Err("the output is neither the old nor the new one".into());
    }
    if world.kind.has_file() && told.is_finished && is_before {
        return Err("the job was reported to be finished, and the output is gone".into());
    }
    let record = record_on(&disk);
    let (committed, kept) = record.map_or((0, 0), |record| (record.committed(), record.kept()));
    if committed < told.committed {
        return Err(format!("a checkpoint of {} tasks was reported, {committed} are there", told.committed));
    }
    if committed + kept < told.kept {
        return Err(format!("{} tasks were reported to be kept, {committed} + {kept} are", told.kept));
    }
    let mut now = told.clone();
    world.run(&disk, Until::Finished, &mut now).map_err(|e| e.to_string())?;
    if world.kind.has_file() {
        // The continued run has said that the output is complete, so a power cut does not change that.
        for disk in [disk.reboot(0), disk] {
            if disk.read(OUT) != Some(expected()) || disk.read("w/out.part").is_some() {
                return Err("the output is another one than without the crash".into());
            }
        }
        return Ok(());
    }
    let again = &now.printed[told.printed.len()..];
    if let Some(task) = again.iter().find(|task| after == After::Kill && told.in_journal.contains(task)) {
        return Err(format!("task {task} ran again, though its end was in the journal"));
    }
    match (0..TASKS).find(|task| !now.printed.contains(task)) {
        Some(task) => Err(format!("task {task} counts as done, and was never printed")),
        None if told.is_finished && !again.is_empty() => Err("a finished job ran again".into()),
        None => Ok(()),
    }
}

/// How many operations a job has on a disk without faults.
fn count(disk: &SimDisk, job: impl FnOnce(&SimDisk) -> Result<()>) -> u64 {
    let before = disk.ops();
    job(disk).unwrap();
    disk.ops() - before
}

const SEEDS: u64 = 8;

/// Every way to go wrong at operation `at`.
pub(super) fn faults(at: u64) -> [Fault; 6] {
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
fn first_complaint(kind: Kind, omit: Option<Omit>) -> Option<String> {
    let world = World::new(kind);
    let operations = count(&new_disk(omit), |disk| life(&world, disk, &mut Told::default()));
    assert!(operations > 60, "the job does something: {operations}");
    for at in 1..=operations + 1 {
        // The journal has no copy of its last sector. A torn one is a refusal, and the record and the output are
        // not concerned.
        let may_tear = kind.has_file();
        for fault in faults(at).into_iter().filter(|fault| may_tear || !matches!(fault, Fault::Tear { .. })) {
            let (disk, mut told) = (new_disk(omit), Told::default());
            disk.plan(fault);
            let ended = life(&world, &disk, &mut told);
            for after in (0..SEEDS).map(After::PowerCut).chain([After::Kill]) {
                if let Err(complaint) = check(&world, &disk, after, &told) {
                    return Some(format!("{fault:?}, {ended:?}, {after:?}: {complaint}"));
                }
            }
        }
    }
    None
}

#[test]
fn after_any_fault_at_any_operation_the_bytes_are_the_same() {
    assert_eq!(first_complaint(Kind::File, None), None);
}

#[test]
fn after_any_fault_what_a_task_at_work_has_produced_does_not_count() {
    assert_eq!(first_complaint(Kind::FileAtWork, None), None);
}

#[test]
fn after_any_fault_no_task_is_lost_that_must_not_run_again() {
    assert_eq!(first_complaint(Kind::FileOnce, None), None);
}

#[test]
fn after_any_fault_a_task_that_counts_as_done_has_been_printed() {
    for (in_order, is_safe) in [(false, true), (true, true), (false, false)] {
        assert_eq!(first_complaint(Kind::Printed { in_order, is_safe }, None), None, "in order: {in_order}");
    }
}

#[test]
fn a_sync_or_truncation_left_out_is_noticed() {
    for omit in [Omit::SyncData, Omit::SyncDir, Omit::Truncate] {
        let complaint = first_complaint(Kind::File, Some(omit));
        assert!(complaint.is_some(), "{omit:?} left out, and the test did not notice");
    }
}

/// A crash during the recovery from a crash, and then another one: what the recovery writes must itself be
/// recoverable. All pairs of operations would take a minute, so each operation is in a third of its pairs.
#[test]
fn a_crash_during_recovery_changes_nothing() {
    let world = World::new(Kind::File);
    let operations = count(&new_disk(None), |disk| life(&world, disk, &mut Told::default()));
    for at in 1..=operations {
        let (disk, mut told) = (new_disk(None), Told::default());
        disk.plan(Fault::Crash { at });
        // It fails, unless the job had finished, and the crash took only the last line of its history.
        let ended = life(&world, &disk, &mut told);
        let on = disk.crashed_on();
        let took_only_history = told.is_finished && on.as_deref() == Some(HISTORY.as_ref());
        assert_eq!(ended.is_ok(), took_only_history, "crash at {at} of {operations}, on {on:?}");
        let seed = at % SEEDS;
        let recovery =
            count(&disk.reboot(seed), |disk| world.run(disk, Until::Finished, &mut Told::default()));
        for second in (1 + at % 3..=recovery).step_by(3) {
            let mut told = told.clone();
            let disk = disk.reboot(seed);
            let fault = faults(second)[(at % 6) as usize];
            disk.plan(fault);
            drop(world.run(&disk, Until::Finished, &mut told));
            for after in [After::Kill, After::PowerCut(0), After::PowerCut(second + 2)] {
                if let Err(complaint) = check(&world, &disk, after, &told) {
                    panic!("crash at {at}, reboot {seed}, then {fault:?}: {complaint}");
                }
            }
        }
    }
}

/// A host freezes between two steps, the file server gives its locks away, and it thaws.
#[test]
fn a_host_that_has_lost_its_locks_changes_nothing() {
    let printed = Kind::Printed { in_order: false, is_safe: true };
    for (kind, until) in [Kind::File, Kind::FileOnce, Kind::FileAtWork, printed]
        .into_iter()
        .flat_map(|kind| [(kind, Until::Stopped), (kind, Until::Finished)])
    {
        for at in 0.. {
            let (world, disk, mut told) = (World::new(kind), new_disk(None), Told::default());
            disk.share();
            let (frozen, ops) = (disk.clone(), Rc::new(Cell::new(None)));
            let (seen, mut steps) = (Rc::clone(&ops), 0);
            *world.before_step.borrow_mut() = Some(Box::new(move || {
                if steps == at {
                    frozen.lose_locks();
                    seen.set(Some(frozen.ops()));
                }
                steps += 1;
            }));
            let ended = world.run(&disk, until, &mut told);
            let Some(before) = ops.get() else {
                assert!(ended.is_ok() && at > 20, "{kind:?}: {at} steps, {ended:?}");
                break;
            };
            assert!(told.is_lost, "{kind:?}, step {at}: {ended:?}");
            assert_eq!(disk.ops(), before, "{kind:?}, step {at}: something was changed");
        }
    }
}
