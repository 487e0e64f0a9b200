//! What a state can do without: a copy of a finished task that is missing or damaged is found before anything
//! is changed, the task is done again, and that is said.

use crate::harness::{Bivouac, World};
use nix::sys::signal::Signal::{SIGTERM, SIGUSR1};
use std::fs;
use std::path::PathBuf;

/// A job over six chunks, stopped when all but the first were finished, and the copies of those.
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
    let mut kept: Vec<_> =
        fs::read_dir(world.path("out.bivouac/spill")).unwrap().map(|entry| entry.unwrap().path()).collect();
    kept.sort();
    assert_eq!(kept.len(), 5, "all but the first are kept");
    world.write("go", "");
    fs::remove_file(world.path("ran")).unwrap();
    (command, kept)
}

#[test]
fn a_bad_copy_is_done_again_and_a_good_one_is_not() {
    for (how, said) in [
        ("missing", "the kept result of task 3 is missing or damaged; it is done again"),
        ("flipped", "the kept result of task 3 is missing or damaged; it is done again"),
        ("cut", "the kept result of task 3 is missing or damaged; it is done again"),
        ("all", "the kept results of 5 tasks are missing or damaged; they are done again"),
    ] {
        let world = World::new();
        let (command, kept) = stopped(&world);
        let third = world.path("out.bivouac/spill/2");
        let mut bytes = fs::read(&third).unwrap();
        match how {
            "missing" => fs::remove_file(&third).unwrap(),
            "cut" => fs::write(&third, &bytes[..bytes.len() - 1]).unwrap(),
            "flipped" => {
                *bytes.last_mut().unwrap() ^= 1;
                fs::write(&third, bytes).unwrap();
            }
            _ => kept.iter().for_each(|path| fs::remove_file(path).unwrap()),
        }
        command.run().expect_code(0).expect_says(said);
        assert_eq!(world.read("out"), b"one\ntwo\nthr\nfou\nfiv\nsix\n", "{how}");
        let ran = fs::read_to_string(world.path("ran")).unwrap();
        assert_eq!(ran.lines().count(), if how == "all" { 6 } else { 2 }, "{how}: {ran}");
    }
}
