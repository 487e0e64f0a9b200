//! The state directory on a real disk: who may have it, what it keeps, what is cleaned away.

use super::*;
use crate::checkpoint::Beyond;
use crate::checkpoint::tests::sample;
use crate::disk::OsDisk;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn kind<T: std::fmt::Debug>(result: Result<T>) -> Kind {
    result.unwrap_err().kind()
}

/// A directory to work in, and the path of a state in it.
fn place() -> (tempfile::TempDir, PathBuf) {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("out.bivouac");
    (temp, path)
}

#[test]
fn a_state_is_made_privately_and_found_again() {
    let (_temp, path) = place();
    assert!(StateDir::open(&OsDisk, &path).unwrap().is_none());
    assert!(!path.exists(), "looking does not make it");
    let mut state = StateDir::create(&OsDisk, &path).unwrap();
    assert_eq!(state.read_record().unwrap(), None);
    let size = state.write_record(&sample()).unwrap();
    assert_eq!(fs::metadata(path.join(RECORD)).unwrap().len(), size);
    assert_eq!((mode(&path), mode(&path.join(LOCK)), mode(&path.join(RECORD))), (0o700, 0o600, 0o600));
    drop(state);
    let state = StateDir::open(&OsDisk, &path).unwrap().unwrap();
    assert_eq!(state.read_record().unwrap(), Some(sample()));
}

#[test]
fn a_second_run_is_told_who_the_first_is() {
    let (_temp, path) = place();
    let first = StateDir::create(&OsDisk, &path).unwrap();
    let error = StateDir::create(&OsDisk, &path).unwrap_err();
    assert_eq!(error.kind(), Kind::Busy);
    assert!(error.to_string().contains(&format!("process {} on ", std::process::id())), "{error}");
    assert_eq!(kind(clean(&OsDisk, &path, true)), Kind::Busy);
    let seen = peek(&OsDisk, &path).unwrap();
    assert!(seen.locked);
    assert_eq!(seen.holder.unwrap().pid, std::process::id());
    drop(first);
    assert!(!peek(&OsDisk, &path).unwrap().locked);
    StateDir::create(&OsDisk, &path).unwrap();
}

#[test]
fn a_directory_that_is_not_ours_alone_is_refused() {
    let (temp, path) = place();
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o770)).unwrap();
    assert_eq!(kind(StateDir::create(&OsDisk, &path)), Kind::Refused);
    assert!(!path.join(LOCK).exists(), "nothing was changed");
    let file = temp.path().join("file");
    fs::write(&file, "").unwrap();
    assert_eq!(kind(StateDir::create(&OsDisk, &file)), Kind::Refused);
    let link = temp.path().join("link");
    fs::create_dir(temp.path().join("elsewhere")).unwrap();
    symlink("elsewhere", &link).unwrap();
    assert_eq!(kind(StateDir::create(&OsDisk, &link)), Kind::Refused);
    assert_eq!(kind(StateDir::create(&OsDisk, &temp.path().join("no/such/place"))), Kind::Usage);
    assert_eq!(kind(StateDir::create(&OsDisk, Path::new(".."))), Kind::Usage);
}

#[test]
fn a_directory_of_somebody_else_is_refused() {
    let (_temp, path) = place();
    fs::create_dir(&path).unwrap();
    // Only root can give a directory away; for other users there is nothing to test with.
    let ourselves = nix::unistd::geteuid();
    let other = nix::unistd::Uid::from_raw(ourselves.as_raw() + 1);
    if ourselves.is_root() {
        nix::unistd::chown(&path, Some(other), None).unwrap();
        let error = StateDir::create(&OsDisk, &path).unwrap_err();
        assert_eq!(error.kind(), Kind::Refused);
        assert!(error.to_string().contains("another user"), "{error}");
    }
}

#[test]
fn a_leftover_temporary_is_deleted_and_not_read() {
    let (_temp, path) = place();
    drop(StateDir::create(&OsDisk, &path).unwrap());
    fs::write(path.join(RECORD_NEW), "half a rec").unwrap();
    let state = StateDir::open(&OsDisk, &path).unwrap().unwrap();
    assert_eq!(state.read_record().unwrap(), None);
    assert!(!path.join(RECORD_NEW).exists());
}

#[test]
fn a_damaged_record_is_refused_and_left() {
    let (_temp, path) = place();
    let mut state = StateDir::create(&OsDisk, &path).unwrap();
    state.write_record(&sample()).unwrap();
    let mut bytes = fs::read(path.join(RECORD)).unwrap();
    bytes[200] ^= 1;
    fs::write(path.join(RECORD), &bytes).unwrap();
    assert_eq!(kind(state.read_record()), Kind::Refused);
    assert_eq!(fs::read(path.join(RECORD)).unwrap(), bytes);
    drop(state);
    assert_eq!(kind(clean(&OsDisk, &path, false)), Kind::Refused);
    clean(&OsDisk, &path, true).unwrap();
    assert!(!path.exists());
}

/// A result as versions before 0.2 kept it.
pub(crate) fn old_spill(state: &Path, task: u64, partial: &[u8], output: &[u8]) -> Beyond {
    let bytes = [&(partial.len() as u32).to_le_bytes()[..], partial, output].concat();
    fs::create_dir_all(state.join("spill")).unwrap();
    fs::write(state.join("spill").join(task.to_string()), &bytes).unwrap();
    let crc32 = crc32fast::hash(&bytes);
    Beyond { task, mark: None, file: task.to_string(), bytes: bytes.len() as u64, crc32 }
}

#[test]
fn a_result_that_an_older_version_kept_comes_back_whole_or_not_at_all() {
    let (_temp, path) = place();
    let mut state = StateDir::create(&OsDisk, &path).unwrap();
    let large = vec![b'x'; 600_000];
    let entry = old_spill(&path, 7, b"{\"n\":1}", &large);
    let back = state.read_spill(&entry).unwrap().unwrap();
    assert_eq!((back.partial, back.output), (b"{\"n\":1}".to_vec(), large));
    let empty = old_spill(&path, 8, b"", b"");
    assert!(state.read_spill(&empty).unwrap().is_some_and(|back| back.output.is_empty()));
    let entry = old_spill(&path, 3, b"p", b"output");
    let good = fs::read(path.join("spill/3")).unwrap();
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        fs::write(path.join("spill/3"), bad).unwrap();
        assert!(state.read_spill(&entry).unwrap().is_none(), "bit {bit}");
    }
    fs::write(path.join("spill/3"), &good[1..]).unwrap();
    assert!(state.read_spill(&entry).unwrap().is_none());
    fs::remove_file(path.join("spill/3")).unwrap();
    assert!(state.read_spill(&entry).unwrap().is_none());
    let elsewhere = Beyond { file: "../checkpoint.json".into(), ..entry };
    assert!(state.read_spill(&elsewhere).unwrap().is_none());
}

#[test]
fn what_no_record_names_is_swept_and_what_is_not_ours_stays() {
    let (_temp, path) = place();
    let mut state = StateDir::create(&OsDisk, &path).unwrap();
    let kept = old_spill(&path, 1, b"", b"a");
    old_spill(&path, 2, b"", b"b");
    (0..3).for_each(|number| drop(state.make_segment(number).unwrap()));
    fs::write(path.join("spill/notes"), "").unwrap();
    fs::write(path.join("spill/segment.x"), "").unwrap();
    state.sweep_spill(std::slice::from_ref(&kept), &[1]).unwrap();
    let mut names: Vec<_> =
        fs::read_dir(path.join("spill")).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["1", "notes", "segment.1", "segment.x"]);
    assert!(state.open_segment(1).unwrap().is_some() && state.open_segment(2).unwrap().is_none());
}

#[test]
fn cleaning_takes_what_is_ours_and_only_of_finished_jobs() {
    let (temp, path) = place();
    let mut state = StateDir::create(&OsDisk, &path).unwrap();
    drop(state.make_segment(1).unwrap());
    state.write_record(&sample()).unwrap();
    drop(state);
    assert_eq!(kind(clean(&OsDisk, &path, false)), Kind::Refused);
    let mut state = StateDir::create(&OsDisk, &path).unwrap();
    let done = Record { phase: crate::checkpoint::Phase::Done { code: 0 }, ..sample() };
    state.write_record(&done).unwrap();
    drop(state);
    fs::write(path.join("notes"), "mine").unwrap();
    let cleaned = clean(&OsDisk, &path, false).unwrap();
    assert_eq!(cleaned.record, Some(done));
    assert_eq!(cleaned.left, ["notes"]);
    let names: Vec<_> = fs::read_dir(&path).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["notes"]);
    assert_eq!(kind(clean(&OsDisk, &path, true)), Kind::Usage, "it is no state any more");
    assert_eq!(kind(clean(&OsDisk, &temp.path().join("nothing"), true)), Kind::Usage);
}

#[test]
fn removing_a_state_leaves_nothing() {
    let (_temp, path) = place();
    let mut state = StateDir::create(&OsDisk, &path).unwrap();
    drop(state.make_segment(1).unwrap());
    state.write_record(&sample()).unwrap();
    assert!(state.remove().unwrap().is_empty());
    assert!(!path.exists());
}

#[test]
fn a_lock_file_that_was_replaced_meanwhile_is_not_the_lock() {
    let (_temp, path) = place();
    let first = StateDir::create(&OsDisk, &path).unwrap();
    fs::remove_file(path.join(LOCK)).unwrap();
    // Somebody cleaned, somebody else began: the new file is the lock, the old one is nobody's.
    let dir = OsDisk.open_dir(&path).unwrap();
    let second = lock::acquire(&*dir, &path).unwrap();
    assert!(matches!(second, Acquired::Held(_)));
    drop(first);
    assert_eq!(kind(StateDir::create(&OsDisk, &path)), Kind::Busy);
}
