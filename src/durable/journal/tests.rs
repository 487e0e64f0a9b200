//! Frames that are whole, torn, damaged, and of another job.

use super::*;
use crate::task::command::Usage;

fn began(task: u64) -> Line {
    Line::Began { task, attempt: 1, at_ms: 1_795_493_524_000, note: format!("item {task}"), of_task: [9; 8] }
}

fn settled(task: u64) -> Line {
    let end =
        End { task, attempt: 1, took_us: 1234, outcome: Outcome::Done(0), measured: Measured::default() };
    Line::Settled { end, trace: [7; 8], of_task: [9; 8] }
}

fn read(state: &Path) -> Vec<u64> {
    Entries::of(state).unwrap().unwrap().map(|entry| entry.unwrap().task).collect()
}

fn open(state: &Path, committed: u64) -> Result<(Journal, Vec<Line>)> {
    let mut after = Vec::new();
    let dir = OsDisk.open_dir(state).unwrap();
    Journal::after(&*dir, state, ("run", committed), &mut |line| after.push(line))?;
    Ok((Journal::open(&*dir, state, ("run", committed))?, after))
}

fn written(state: &Path, tasks: u64) -> u64 {
    let (mut journal, _) = open(state, 0).unwrap();
    for task in 0..tasks {
        journal.append(&settled(task)).unwrap();
    }
    journal.make_durable().unwrap()
}

/// Sixteen of the bytes are the marks of the task alone, eight in each line: by the one, a run knows an item that was
/// at work at a kill, and by the other an item that is done, after it is gone from the list.
#[test]
fn what_was_appended_is_read_back_and_a_task_costs_less_than_80_bytes() {
    let dir = tempfile::tempdir().unwrap();
    assert!(Entries::of(dir.path()).unwrap().is_none());
    let (mut journal, _) = open(dir.path(), 0).unwrap();
    let tasks = 3_000_000..3_010_000;
    for task in tasks.clone() {
        journal.append(&began(task)).unwrap();
        journal.append(&settled(task)).unwrap();
    }
    let bytes = journal.make_durable().unwrap();
    assert!(bytes < 80 * 10_000, "{bytes}");
    let entries: Vec<_> = Entries::of(dir.path()).unwrap().unwrap().map(Result::unwrap).collect();
    assert_eq!(entries.iter().map(|entry| entry.task).collect::<Vec<_>>(), tasks.collect::<Vec<_>>());
    assert!(entries.iter().all(|entry| entry.note == format!("item {}", entry.task)));
    assert!(entries.iter().all(|entry| (entry.took_us, entry.outcome) == (1234, Outcome::Done(0))));
}

/// The line of an end as it was before anything was measured is the beginning of what is written now.
#[test]
fn what_is_measured_stands_behind_the_line_where_older_programs_do_not_look() {
    let Line::Settled { end, trace, of_task } = settled(3) else { unreachable!() };
    let usage = Usage { user_us: 900, system_us: 80, peak_bytes: 7 << 20, bytes_in: 0, bytes_out: 12 };
    let measured = Measured { slot: 2, stood_ms: 5, usage, said: "no such file".to_string() };
    let line = Line::Settled { end: End { measured, ..end }, trace, of_task };
    let (old, new) = (payload_of(&settled(3)).unwrap(), payload_of(&line).unwrap());
    assert_eq!(new[..old.len()], old);
    assert_eq!((line_of(&old), line_of(&new)), (Some(settled(3)), Some(line)));
    assert_eq!(line_of(&[&old[..], b"\xff"].concat()), Some(settled(3)), "of a newer program");
}

#[test]
fn what_began_and_did_not_end_is_told_last_or_when_it_begins_again() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path(), 0).unwrap();
    for line in [began(1), began(2), began(3), settled(2), began(1), settled(1)] {
        journal.append(&line).unwrap();
    }
    journal.make_durable().unwrap();
    let entries = Entries::of(dir.path()).unwrap().unwrap().map(Result::unwrap);
    let told = entries.map(|entry| (entry.task, entry.outcome));
    let (done, open) = (Outcome::Done(0), Outcome::Open);
    assert_eq!(told.collect::<Vec<_>>(), [(2, done), (1, open), (1, done), (3, open)]);
}

#[test]
fn wherever_the_end_is_torn_what_is_whole_is_kept_and_the_rest_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let head = written(dir.path(), 0) as usize;
    let whole = written(dir.path(), 3);
    let bytes = std::fs::read(dir.path().join(JOURNAL)).unwrap();
    let one = (bytes.len() - head) / 3;
    for length in head + one..bytes.len() {
        std::fs::write(dir.path().join(JOURNAL), &bytes[..length]).unwrap();
        let (mut journal, after) = open(dir.path(), (head + one) as u64).unwrap();
        journal.append(&settled(7)).unwrap();
        journal.make_durable().unwrap();
        let kept = ((length - head) / one) as u64;
        let expected: Vec<u64> = (0..kept).chain([7]).collect();
        assert_eq!(read(dir.path()), expected, "torn at {length} of {whole}");
        assert_eq!(after, (1..kept).map(settled).collect::<Vec<_>>(), "torn at {length}");
    }
}

#[test]
fn the_journal_of_an_earlier_job_is_not_taken_for_ours() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = written(dir.path(), 3);
    let disk = OsDisk.open_dir(dir.path()).unwrap();
    let other = |committed| Journal::open(&*disk, dir.path(), ("other", committed));
    assert_eq!(other(bytes).unwrap_err().kind(), crate::error::Kind::Refused);
    other(0).unwrap().make_durable().unwrap();
    assert_eq!(read(dir.path()), [] as [u64; 0]);
    assert_eq!(open(dir.path(), bytes).unwrap_err().kind(), crate::error::Kind::Refused);
}

#[test]
fn a_flipped_bit_ends_what_can_be_read_and_lost_bytes_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let whole = written(dir.path(), 3);
    let path = dir.path().join(JOURNAL);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(read(dir.path()), [0]);
    std::fs::write(&path, &bytes[..middle]).unwrap();
    assert_eq!(open(dir.path(), whole).unwrap_err().kind(), crate::error::Kind::Refused);
}
