//! The state directory on a real disk: who may have it, what it keeps, what is cleaned away.

use super::*;
use crate::durable::disk::OsDisk;
use crate::durable::lock::LOCK;
use crate::durable::record::tests::sample;
use crate::durable::store::{CheckpointStore, Location};
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

/// The state with this record in it. What a record says of its own writing is left as in the sample.
fn recorded(state: StateDir, record: Record) -> StateDir {
    let location = Location::Directory(state.path().to_path_buf());
    let mut store = CheckpointStore::new(record, location, Arc::new(OsDisk), Some(state));
    let size = store.write().unwrap().unwrap();
    let state = store.into_dir().unwrap();
    assert_eq!(fs::metadata(state.path().join(RECORD)).unwrap().len(), size);
    state
}

/// A record but for its number and its time.
fn undated(record: Option<Record>) -> Option<Record> {
    record.map(|record| Record { seq: sample().seq, saved_at: sample().saved_at, ..record })
}

#[test]
fn a_state_is_made_privately_and_found_again() {
    let (_temp, path) = place();
    assert!(StateDir::open(&OsDisk, &path).unwrap().is_none());
    assert!(!path.exists(), "looking does not make it");
    let mut state = StateDir::create(&OsDisk, &path).unwrap();
    assert_eq!(state.read_record().unwrap(), None);
    state = recorded(state, sample());
    assert_eq!((mode(&path), mode(&path.join(LOCK)), mode(&path.join(RECORD))), (0o700, 0o600, 0o600));
    drop(state);
    let state = StateDir::open(&OsDisk, &path).unwrap().unwrap();
    assert_eq!(undated(state.read_record().unwrap()), Some(sample()));
}

#[test]
fn a_second_run_is_told_who_the_first_is() {
    let (_temp, path) = place();
    let mut first = StateDir::create(&OsDisk, &path).unwrap();
    first = recorded(first, sample());
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
    assert_eq!(kind(StateDir::create(&OsDisk, &file)), Kind::Usage);
    let link = temp.path().join("link");
    fs::create_dir(temp.path().join("elsewhere")).unwrap();
    symlink("elsewhere", &link).unwrap();
    assert_eq!(kind(StateDir::create(&OsDisk, &link)), Kind::Usage);
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
    fs::create_dir(&path).unwrap();
    let leftover = path.join(format!("{RECORD_NEW}-17-4f"));
    fs::write(&leftover, "half a rec").unwrap();
    let mut state = StateDir::open(&OsDisk, &path).unwrap().unwrap();
    assert_eq!(state.read_record().unwrap(), None);
    assert!(leftover.exists(), "nothing is changed before there is a record");
    state = recorded(state, sample());
    state.sweep_temporaries().unwrap();
    assert!(!leftover.exists());
    assert_eq!(undated(state.read_record().unwrap()), Some(sample()));
}

/// Every name below `path` with the bytes of the file.
fn all_bytes(path: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<_> = entries
        .map(|path| if path.is_dir() { (path, Vec::new()) } else { (path.clone(), fs::read(path).unwrap()) })
        .collect();
    all.sort();
    all
}

#[test]
fn a_state_that_is_only_looked_at_is_left_as_it_was() {
    let (temp, path) = place();
    drop(StateDir::create(&OsDisk, &path).unwrap());
    assert_eq!(all_bytes(temp.path()), [], "what was made is gone");
    let mut state = StateDir::create(&OsDisk, &path).unwrap();
    state = recorded(state, sample());
    drop(state);
    let text = b"{\"pid\":1, of another run}";
    fs::write(path.join(LOCK), text).unwrap();
    let before = all_bytes(&path);
    let state = StateDir::open(&OsDisk, &path).unwrap().unwrap();
    assert_ne!(fs::read(path.join(LOCK)).unwrap(), text, "while it is held, it says by whom");
    drop(state);
    assert_eq!(all_bytes(&path), before);
    assert_eq!(kind(clean(&OsDisk, &path, false)), Kind::Refused);
    assert_eq!(all_bytes(&path), before);
    fs::remove_file(path.join(LOCK)).unwrap();
    let before = all_bytes(&path);
    drop(StateDir::open(&OsDisk, &path).unwrap().unwrap());
    assert_eq!(all_bytes(&path), before, "no lock is left where there was none");
}

#[test]
fn a_directory_that_is_no_state_is_left_alone() {
    let (_temp, path) = place();
    let foreign: [&[(&str, &str)]; 6] = [
        &[("notes", "mine")],
        &[("lock", "4711\n")],
        &[("lock", ""), ("notes", "mine")],
        &[("journal", "dear diary")],
        &[("checkpoint.json", "{\"epoch\": 3}"), ("model.bin", "weights")],
        &[("status.json", "{}")],
    ];
    for files in foreign {
        fs::create_dir(&path).unwrap();
        files.iter().for_each(|(name, text)| fs::write(path.join(name), text).unwrap());
        let before = all_bytes(&path);
        assert_eq!(kind(StateDir::create(&OsDisk, &path)), Kind::Usage, "{files:?}");
        assert_eq!(kind(StateDir::open(&OsDisk, &path)), Kind::Usage, "{files:?}");
        assert_eq!(kind(clean(&OsDisk, &path, true)), Kind::Usage, "{files:?}");
        assert_eq!(kind(peek(&OsDisk, &path)), Kind::Usage, "{files:?}");
        assert_eq!(all_bytes(&path), before);
        fs::remove_dir_all(&path).unwrap();
    }
}

#[test]
fn what_stands_in_place_of_a_file_of_a_state_is_refused_by_its_name() {
    let (_temp, path) = place();
    for name in [LOCK, RECORD, "journal", "status.json", SPILL] {
        for what in ["directory", "link", "fifo", "socket", "huge"] {
            if (name, what) == (SPILL, "directory") || (what == "huge" && ["journal", SPILL].contains(&name))
            {
                continue;
            }
            let mut state = StateDir::create(&OsDisk, &path).unwrap();
            state = recorded(state, sample());
            drop(state);
            let place = path.join(name);
            fs::remove_file(&place).ok();
            match what {
                "directory" => fs::create_dir(&place).unwrap(),
                "link" => symlink("/dev/zero", &place).unwrap(),
                "fifo" => nix::unistd::mkfifo(&place, nix::sys::stat::Mode::S_IRWXU).unwrap(),
                "socket" => drop(std::os::unix::net::UnixListener::bind(&place).unwrap()),
                _ => fs::File::create(&place).unwrap().set_len(20 << 30).unwrap(),
            }
            let looked = [
                StateDir::open(&OsDisk, &path).and_then(|state| state.unwrap().read_record()).map(drop),
                clean(&OsDisk, &path, false).map(drop),
                peek(&OsDisk, &path).map(drop),
            ];
            for (verb, looked) in ["run", "clean", "status"].iter().zip(looked) {
                // Only the last reads what a running job says of itself.
                if (name, what) == ("status.json", "huge") && *verb != "status" {
                    continue;
                }
                let error = looked.unwrap_err();
                assert_eq!(error.kind(), Kind::Refused, "{verb}: {name} is a {what}: {error}");
                assert!(error.to_string().contains(name), "{verb}: {name} is a {what}: {error}");
            }
            fs::remove_dir_all(&path).unwrap();
        }
    }
}

#[test]
fn a_directory_that_was_moved_away_and_made_again_is_not_the_state_that_was_locked() {
    let (temp, path) = place();
    let mut first = StateDir::create(&OsDisk, &path).unwrap();
    first = recorded(first, sample());
    fs::rename(&path, temp.path().join("moved")).unwrap();
    let second = StateDir::create(&OsDisk, &path).unwrap();
    assert_eq!(second.read_record().unwrap(), None);
    assert_eq!(kind(StateDir::create(&OsDisk, &path)), Kind::Busy);
    drop(first);
    assert!(temp.path().join("moved").join(RECORD).exists());
}

#[test]
fn a_damaged_record_is_refused_and_left() {
    let (_temp, path) = place();
    let mut state = StateDir::create(&OsDisk, &path).unwrap();
    state = recorded(state, sample());
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

#[test]
fn what_no_record_names_is_swept_and_what_is_not_ours_stays() {
    let (_temp, path) = place();
    let mut state = StateDir::create(&OsDisk, &path).unwrap();
    (0..3).for_each(|number| drop(state.make_segment(number).unwrap()));
    fs::write(path.join("spill/notes"), "").unwrap();
    fs::write(path.join("spill/segment.x"), "").unwrap();
    state.sweep_spill(&[1]).unwrap();
    let mut names: Vec<_> =
        fs::read_dir(path.join("spill")).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["notes", "segment.1", "segment.x"]);
    assert!(state.open_segment(1).unwrap().is_some() && state.open_segment(2).unwrap().is_none());
}

#[test]
fn cleaning_takes_what_is_ours_and_only_of_finished_jobs() {
    let (temp, path) = place();
    let mut state = StateDir::create(&OsDisk, &path).unwrap();
    drop(state.make_segment(1).unwrap());
    state = recorded(state, sample());
    drop(state);
    assert_eq!(kind(clean(&OsDisk, &path, false)), Kind::Refused);
    let mut state = StateDir::create(&OsDisk, &path).unwrap();
    let done = Record { phase: crate::durable::record::Phase::Done { code: 0 }, ..sample() };
    state = recorded(state, done.clone());
    drop(state);
    fs::write(path.join("notes"), "mine").unwrap();
    let cleaned = clean(&OsDisk, &path, false).unwrap();
    assert_eq!(undated(cleaned.record), Some(done));
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
    state = recorded(state, sample());
    assert!(state.remove().unwrap().is_empty());
    assert!(!path.exists());
}

#[test]
fn a_lock_file_that_was_replaced_meanwhile_is_not_the_lock() {
    let (_temp, path) = place();
    let first = StateDir::create(&OsDisk, &path).unwrap();
    fs::remove_file(path.join(LOCK)).unwrap();
    // One process cleaned, another began: the new file is the lock, and the old one belongs to none.
    let dir = OsDisk.open_dir(&path).unwrap();
    let second = lock::acquire(&*dir, &path, &|| false).unwrap();
    assert!(matches!(second, Acquired::Held(_)));
    drop(first);
    assert_eq!(kind(StateDir::create(&OsDisk, &path)), Kind::Busy);
}

#[test]
fn a_directory_in_place_of_a_segment_is_passed_over_and_named_where_it_is_in_the_way() {
    let (_temp, path) = place();
    let mut state = StateDir::create(&OsDisk, &path).unwrap();
    let segment = path.join(SPILL).join("segment.0");
    fs::create_dir_all(&segment).unwrap();
    assert!(state.open_segment(0).unwrap().is_none());
    state.sweep_spill(&[]).unwrap();
    state.remove_segment(0).unwrap();
    let error = state.make_segment(0).map(drop).unwrap_err();
    assert_eq!(error.kind(), Kind::Refused);
    assert!(error.to_string().starts_with(segment.to_str().unwrap()), "{error}");
    state.make_segment(1).unwrap();
    assert_eq!(state.remove().unwrap(), [SPILL]);
    assert!(segment.is_dir());
}
