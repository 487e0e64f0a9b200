//! What a state can do without: a copy of a finished task that is missing or damaged is found before anything
//! is changed, the task is done again, and that is said.

use crate::harness::{Bivouac, World};
use nix::sys::signal::Signal::{SIGTERM, SIGUSR1};
use std::fs;
use std::path::{Path, PathBuf};

/// A job over six chunks, stopped when all but the first were finished, and the files with the copies of those.
fn stopped(world: &World) -> (Bivouac<'_>, Vec<PathBuf>) {
    world.write("in", "one\ntwo\nthr\nfou\nfiv\nsix\n");
    // The first chunk stays, until there is a file of this name.
    let script = "x=$(cat); echo $x >> ran; test $x != one || test -e go || exec sleep 1000; echo $x";
    let line = "pipe in -o out -j2 --block 4 --grace 0s --kill-after 1s --checkpoint-every 5ms";
    let command = world.bivouac(line).words(&["--", "sh", "-c", script]);
    let run = command.start().until("ready");
    let all_have_begun = || fs::read_to_string(world.path("ran")).is_ok_and(|ran| ran.lines().count() == 6);
    let run = run.asked_until(SIGUSR1, |status| all_have_begun() && status.contains(" 1 in flight"));
    run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    let segments: Vec<_> =
        fs::read_dir(world.path("out.bivouac/spill")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let mut kept: Vec<_> = segments.iter().flat_map(|path| frames(path)).map(|(task, ..)| task).collect();
    kept.sort_unstable();
    assert_eq!(kept, [1, 2, 3, 4, 5], "all but the first are kept");
    world.write("go", "");
    fs::remove_file(world.path("ran")).unwrap();
    (command, segments)
}

/// Of which task each frame of a segment is, and where it begins and ends. See `src/durable/spill/frame.rs`.
fn frames(segment: &Path) -> Vec<(u64, usize, usize)> {
    let bytes = fs::read(segment).unwrap();
    let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let (mut at, mut frames) = (0, Vec::new());
    while at + 32 <= bytes.len() {
        if bytes[at..].starts_with(b"bvE1") {
            let end = at + 32 + usize::try_from(number(at + 8)).unwrap();
            frames.push((number(at + 16), at, end));
            at = end;
        } else {
            at = (at + 1).next_multiple_of(4096);
        }
    }
    frames
}

#[test]
fn a_bad_copy_is_done_again_and_a_good_one_is_not() {
    for how in ["flipped", "cut", "missing"] {
        let world = World::new();
        let (command, segments) = stopped(&world);
        let holds = |path: &&PathBuf| frames(path).iter().any(|(task, ..)| *task == 2);
        let segment = segments.iter().find(holds).unwrap();
        let all = frames(segment);
        let &(_, begin, end) = all.iter().find(|(task, ..)| *task == 2).unwrap();
        let lost = match how {
            "flipped" => {
                let mut bytes = fs::read(segment).unwrap();
                bytes[end - 1] ^= 1;
                fs::write(segment, bytes).unwrap();
                1
            }
            "cut" => {
                fs::write(segment, &fs::read(segment).unwrap()[..end - 1]).unwrap();
                all.iter().filter(|(_, at, _)| *at >= begin).count()
            }
            _ => {
                fs::remove_file(segment).unwrap();
                all.len()
            }
        };
        let said = match lost {
            1 => "one kept result is missing or damaged, and is made again".to_string(),
            many => format!("{many} kept results are missing or damaged, and are made again"),
        };
        command.run().expect_code(0).expect_says(&said);
        assert_eq!(world.read("out"), b"one\ntwo\nthr\nfou\nfiv\nsix\n", "{how}");
        let ran = fs::read_to_string(world.path("ran")).unwrap();
        assert_eq!(ran.lines().count(), 1 + lost, "{how}: {ran}");
    }
}
