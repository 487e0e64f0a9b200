//! The output file: what is refused, what is rolled back, what is published; on a real disk, and on one that fails.

use super::*;
use crate::durable::disk::tests::sim::{Fault, SimDisk};
use crate::error::Kind;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

struct Place {
    temp: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { temp: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    fn sink(&self) -> FileSink {
        FileSink::new(self.path("out")).unwrap()
    }

    /// A part file with `bytes` committed, of a run that is gone.
    fn interrupted(&self, bytes: &[u8]) -> Committed {
        let mut sink = self.sink();
        sink.begin(None).unwrap();
        for piece in bytes.chunks(10_000) {
            sink.write(piece).unwrap();
            sink.make_durable().unwrap();
        }
        sink.make_durable().unwrap()
    }
}

fn kind<T: std::fmt::Debug>(result: Result<T>) -> Kind {
    result.unwrap_err().kind()
}

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|n| (n * 7 + n / 251) as u8).collect()
}

#[test]
fn the_output_appears_only_when_it_is_complete() {
    let place = Place::new();
    let mut sink = place.sink();
    sink.begin(None).unwrap();
    sink.write(&bytes(3_000_000)).unwrap();
    sink.write(b"end").unwrap();
    let committed = sink.make_durable().unwrap();
    assert!(!place.path("out").exists());
    assert!(!sink.is_published(&committed).unwrap());
    sink.begin(None).expect_err("it exists");
    drop(sink);
    let mut sink = place.sink();
    sink.begin(Some(&committed)).unwrap();
    sink.publish().unwrap();
    assert_eq!(fs::read(place.path("out")).unwrap(), [&bytes(3_000_000)[..], b"end"].concat());
    assert!(!place.path("out.part").exists());
    assert!(place.sink().is_published(&committed).unwrap());
    fs::write(place.path("out"), "changed").unwrap();
    assert!(!place.sink().is_published(&committed).unwrap());
}

#[test]
fn provisional_bytes_count_when_they_are_kept_and_leave_nothing_when_they_are_taken_back() {
    let place = Place::new();
    let mut sink = place.sink();
    sink.begin(None).unwrap();
    sink.write(b"firm").unwrap();
    let firm = sink.make_durable().unwrap();
    for keep in [false, true] {
        assert!(sink.begin_provisional().unwrap());
        sink.write(&bytes(3_000_000)).unwrap();
        sink.write(b"end").unwrap();
        assert_eq!(sink.make_durable().unwrap(), firm);
        sink.end_provisional(keep).unwrap();
        let expected = if keep { 3_000_007 } else { 4 };
        assert_eq!(sink.make_durable().unwrap().bytes, expected);
        assert_eq!(fs::metadata(place.path("out.part")).unwrap().len(), expected);
    }
    sink.publish().unwrap();
    assert_eq!(fs::read(place.path("out")).unwrap(), [b"firm", &bytes(3_000_000)[..], b"end"].concat());
}

#[test]
fn what_came_after_the_commit_is_cut_off_and_the_torn_block_mended() {
    let place = Place::new();
    let good = bytes(50_000);
    let committed = place.interrupted(&good);
    let mut torn = good.clone();
    torn[49_152..].fill(0);
    torn.extend(b"never committed");
    fs::write(place.path("out.part"), torn).unwrap();
    let mut sink = place.sink();
    sink.begin(Some(&committed)).unwrap();
    assert_eq!(fs::read(place.path("out.part")).unwrap(), good);
    sink.write(b"more").unwrap();
    let committed = sink.make_durable().unwrap();
    assert_eq!(committed.bytes, 50_004);
    sink.publish().unwrap();
    assert_eq!(fs::read(place.path("out")).unwrap(), [&good[..], b"more"].concat());
}

#[test]
fn a_part_that_lost_committed_bytes_is_refused_and_left() {
    let place = Place::new();
    let good = bytes(50_000);
    let committed = place.interrupted(&good);
    let mut harmed = good.clone();
    harmed[45_000] ^= 1; // in the last stretch, before the last partial block
    for content in [&good[..49_999], &harmed] {
        fs::write(place.path("out.part"), content).unwrap();
        assert_eq!(kind(place.sink().begin(Some(&committed))), Kind::Refused);
        assert_eq!(fs::read(place.path("out.part")).unwrap(), content);
    }
    fs::remove_file(place.path("out.part")).unwrap();
    assert_eq!(kind(place.sink().begin(Some(&committed))), Kind::Refused);
    assert!(!place.path("out.part").exists());
}

#[test]
fn an_early_stretch_of_a_large_output_is_read_again_only_with_verify() {
    for (length, is_large) in [(50_000, false), (SOON_READ as usize + 50_000, true)] {
        let place = Place::new();
        let committed = place.interrupted(&bytes(length));
        let mut harmed = bytes(length);
        harmed[5] ^= 1;
        fs::write(place.path("out.part"), harmed).unwrap();
        assert_eq!(kind(place.sink().verify(true).begin(Some(&committed))), Kind::Refused);
        assert_eq!(place.sink().begin(Some(&committed)).is_ok(), is_large);
    }
}

#[test]
fn an_unknown_part_file_is_refused_and_left() {
    let place = Place::new();
    fs::write(place.path("out.part"), "precious").unwrap();
    assert_eq!(kind(place.sink().may_begin()), Kind::Refused);
    assert_eq!(kind(place.sink().begin(None)), Kind::Refused);
    assert_eq!(fs::read(place.path("out.part")).unwrap(), b"precious");
}

#[test]
fn a_part_file_with_another_name_or_behind_a_symlink_is_refused() {
    let place = Place::new();
    let committed = place.interrupted(b"abc");
    fs::hard_link(place.path("out.part"), place.path("second-name")).unwrap();
    assert_eq!(kind(place.sink().begin(Some(&committed))), Kind::Refused);
    fs::remove_file(place.path("out.part")).unwrap();
    symlink("second-name", place.path("out.part")).unwrap();
    assert_eq!(kind(place.sink().begin(Some(&committed))), Kind::Refused);
    assert_eq!(fs::read(place.path("second-name")).unwrap(), b"abc");
}

#[test]
fn a_record_of_no_bytes_accepts_a_part_that_is_there_or_not() {
    let place = Place::new();
    place.sink().begin(Some(&Committed::default())).unwrap();
    fs::write(place.path("out.part"), "of a run that never committed").unwrap();
    let mut sink = place.sink();
    sink.begin(Some(&Committed::default())).unwrap();
    sink.make_durable().unwrap();
    sink.publish().unwrap();
    assert_eq!(fs::read(place.path("out")).unwrap(), b"");
}

#[test]
fn an_output_that_cannot_be_one_is_a_wrong_request() {
    let place = Place::new();
    fs::create_dir(place.path("dir")).unwrap();
    symlink("/dev/null", place.path("null")).unwrap();
    symlink("loop", place.path("loop")).unwrap();
    for out in ["dir", "null", "loop", "no/such/dir/out", ".."] {
        assert_eq!(kind(FileSink::new(place.path(out))), Kind::Usage, "{out}");
    }
    assert_eq!(kind(FileSink::new(Path::new("/dev/null"))), Kind::Usage);
}

#[test]
fn a_symlink_stays_one_and_what_it_leads_to_is_written() {
    let place = Place::new();
    fs::create_dir(place.path("there")).unwrap();
    symlink("there/real", place.path("out")).unwrap();
    let mut sink = place.sink();
    assert!(sink.part_path.ends_with("there/real.part"));
    sink.begin(None).unwrap();
    sink.write(b"x").unwrap();
    sink.make_durable().unwrap();
    sink.publish().unwrap();
    assert_eq!(fs::read(place.path("there/real")).unwrap(), b"x");
    assert!(fs::symlink_metadata(place.path("out")).unwrap().is_symlink());
}

#[test]
fn an_input_is_not_an_output() {
    let place = Place::new();
    fs::write(place.path("out"), "input").unwrap();
    fs::write(place.path("other"), "").unwrap();
    fs::hard_link(place.path("out"), place.path("same")).unwrap();
    assert_eq!(kind(place.sink().refuse_if_input(&place.path("same"))), Kind::Usage);
    place.sink().refuse_if_input(&place.path("other")).unwrap();
    place.sink().refuse_if_input(&place.path("missing")).unwrap();
}

#[test]
fn the_mode_of_the_replaced_file_is_kept_and_the_part_shows_no_more() {
    let place = Place::new();
    fs::write(place.path("out"), "old").unwrap();
    fs::set_permissions(place.path("out"), fs::Permissions::from_mode(0o640)).unwrap();
    let mut sink = place.sink();
    sink.begin(None).unwrap();
    let mode = |name| fs::metadata(place.path(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode("out.part") & !0o640, 0);
    sink.write(b"new").unwrap();
    sink.make_durable().unwrap();
    assert_eq!(fs::read(place.path("out")).unwrap(), b"old");
    sink.publish().unwrap();
    assert_eq!((mode("out"), fs::read(place.path("out")).unwrap()), (0o640, b"new".to_vec()));
}

#[test]
fn a_rename_that_happened_before_the_crash_is_recognised() {
    let place = Place::new();
    let committed = place.interrupted(&bytes(9000));
    fs::rename(place.path("out.part"), place.path("out")).unwrap();
    let mut sink = place.sink();
    sink.begin(Some(&committed)).unwrap();
    assert_eq!(sink.make_durable().unwrap(), committed);
    sink.publish().unwrap();
    assert_eq!(fs::read(place.path("out")).unwrap(), bytes(9000));
    let mut sink = place.sink();
    sink.begin(Some(&committed)).unwrap();
    assert_eq!(kind(sink.write(b"more")), Kind::Refused, "it was not complete after all");
}

#[test]
fn two_runs_do_not_write_one_output() {
    let place = Place::new();
    let mut first = place.sink();
    first.begin(None).unwrap();
    first.write(b"x").unwrap();
    let committed = first.make_durable().unwrap();
    assert_eq!(kind(place.sink().begin(Some(&committed))), Kind::Busy);
    drop(first);
    place.sink().begin(Some(&committed)).unwrap();
}

/// The record may say "finalizing": then the output gets its name without another flush.
#[test]
fn a_mended_block_survives_a_power_cut() {
    let disk = SimDisk::new();
    disk.make_dirs("w");
    let sink = || FileSink::on(&disk, Path::new("w/out")).unwrap();
    let good = bytes(50_000);
    let mut first = sink();
    first.begin(None).unwrap();
    first.write(&good).unwrap();
    let committed = first.make_durable().unwrap();
    drop(first);
    let mut torn = good.clone();
    torn[49_152..].fill(0);
    disk.put("w/out.part", &torn);
    let mut next = sink();
    next.begin(Some(&committed)).unwrap();
    next.publish().unwrap();
    assert_eq!(disk.reboot(0).read("w/out"), Some(good));
}

/// A second flush may report success although the bytes are lost.
#[test]
fn no_step_is_tried_again_after_a_failure() {
    for at in [1, 2] {
        let disk = SimDisk::new();
        disk.make_dirs("w");
        let mut sink = FileSink::on(&disk, Path::new("w/out")).unwrap();
        sink.begin(None).unwrap();
        sink.write(b"gathered").unwrap();
        disk.plan(Fault::Fail { at, errno: libc::EIO, sticky: false });
        let error = sink.make_durable().unwrap_err();
        assert_eq!(disk.ops(), at, "write, then sync");
        assert_eq!(sink.make_durable().unwrap_err(), error);
        assert_eq!(sink.write(b"more").unwrap_err(), error);
        assert_eq!(sink.end_provisional(false).unwrap_err(), error);
        assert_eq!(sink.publish().unwrap_err(), error);
        assert_eq!(disk.ops(), at, "nothing more was done");
    }
}
