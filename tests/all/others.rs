//! Files and links of another user, where ours are to be written.

use crate::harness::World;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};

/// A user who is not us: nobody.
const OTHER: u32 = 65534;

fn mode(world: &World, name: &str, mode: u32) {
    fs::set_permissions(world.path(name), fs::Permissions::from_mode(mode)).unwrap();
}

/// Only root can give files away. Said, but not through println!, which a passing test would swallow.
fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        drop(writeln!(std::io::stderr(), "skipped 1 test: only root can make files of another user"));
    }
    root
}

/// A directory as `/tmp`, an input, and what must not be touched.
fn world() -> World {
    let world = World::new();
    world.write("in", "one\ntwo\n");
    world.write("victim", "precious\n");
    fs::create_dir(world.path("shared")).unwrap();
    mode(&world, "shared", 0o1777);
    world
}

fn link(world: &World, target: &str, name: &str, owner: u32) {
    symlink(target, world.path(name)).unwrap();
    lchown(world.path(name), Some(owner), Some(owner)).unwrap();
}

#[test]
fn the_mode_of_a_file_of_ours_is_kept_and_it_becomes_no_program_of_ours() {
    let world = world();
    for (before, after) in [(0o600, 0o600), (0o4750, 0o750), (0o2666, 0o666), (0o1640, 0o640)] {
        world.write("out", "old\n");
        mode(&world, "out", before);
        world.bivouac("count in -o out --fresh").run().expect_code(0);
        assert_eq!(fs::metadata(world.path("out")).unwrap().mode() & 0o7777, after, "{before:o}");
    }
}

#[test]
fn the_mode_of_a_file_of_somebody_else_is_not_taken() {
    if !is_root() {
        return;
    }
    let world = world();
    world.bivouac("count in -o usual").run().expect_code(0);
    let usual = fs::metadata(world.path("usual")).unwrap().mode();
    for trap in [0o4755, 0o6777, 0o666] {
        world.write("shared/report", "");
        chown(world.path("shared/report"), Some(OTHER), Some(OTHER)).unwrap();
        mode(&world, "shared/report", trap);
        world.bivouac("count in -o shared/report --fresh").run().expect_code(0);
        let facts = fs::metadata(world.path("shared/report")).unwrap();
        assert_eq!((facts.uid(), facts.mode()), (0, usual), "{trap:o}");
        fs::remove_file(world.path("shared/report")).unwrap();
    }
}

#[test]
fn a_link_of_somebody_else_in_a_shared_directory_is_not_followed() {
    if !is_root() {
        return;
    }
    let world = world();
    fs::create_dir(world.path("elsewhere")).unwrap();
    link(&world, "../victim", "shared/file", OTHER);
    link(&world, "../elsewhere", "shared/place", OTHER);
    for line in [
        "count in -o shared/file",
        "count in -o usual --log-file shared/file",
        "each --results shared/place echo ::: a",
        "count in -o usual --state shared/place/state",
    ] {
        world.bivouac(line).run().expect_code(3).expect_says("is a symlink of another user (uid 65534)");
        assert_eq!(world.read("victim"), b"precious\n", "{line}");
        assert_eq!(fs::read_dir(world.path("elsewhere")).unwrap().count(), 0, "{line}");
    }
    // Ours, and in a directory of our own anybody's; the owner of a directory may do what he likes in it.
    link(&world, "../mine", "shared/ours", 0);
    world.bivouac("count in -o shared/ours").run().expect_code(0);
    link(&world, "mine", "theirs", OTHER);
    world.bivouac("count in -o theirs --fresh").run().expect_code(0);
    chown(world.path("shared"), Some(OTHER), Some(OTHER)).unwrap();
    world.bivouac("count in -o shared/file --fresh").run().expect_code(0);
}

#[test]
fn states_are_not_kept_behind_a_link_of_somebody_else() {
    if !is_root() {
        return;
    }
    let world = world();
    fs::create_dir(world.path("elsewhere")).unwrap();
    link(&world, "elsewhere", ".bivouac", OTHER);
    for line in ["count in", "each echo ::: a"] {
        world.bivouac(line).run().expect_code(3).expect_says(".bivouac: is a symlink of another user");
        assert_eq!(fs::read_dir(world.path("elsewhere")).unwrap().count(), 0, "{line}");
    }
    fs::remove_file(world.path(".bivouac")).unwrap();
    link(&world, "elsewhere", ".bivouac", 0);
    world.bivouac("each echo ::: a").run().expect_code(0);
    assert_eq!(fs::read_dir(world.path("elsewhere")).unwrap().count(), 1);
}

#[test]
fn a_state_of_somebody_else_is_his_even_where_we_cannot_look_into_it() {
    if !is_root() {
        return;
    }
    let world = world();
    mode(&world, ".", 0o755);
    world.bivouac("count in -o out").run().expect_code(0);
    let us = "setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs";
    for state in [0o700, 0o755] {
        mode(&world, "out.bivouac", state);
        for line in
            ["status out.bivouac", "clean out.bivouac", "stop out.bivouac", "count in --state out.bivouac"]
        {
            let ended = world.bivouac(line).under(us).run();
            // The way to this directory may be closed to others; then this test tells nothing.
            match ended.stderr.contains("out.bivouac: ") {
                true => drop(ended.expect_code(3).expect_says("belongs to another user (uid 0)")),
                false => drop(writeln!(std::io::stderr(), "1 test told nothing: {}", ended.stderr)),
            }
        }
    }
}

/// The same, with us as somebody who is not root.
#[test]
fn nobody_is_protected_from_somebody() {
    if !is_root() {
        return;
    }
    let world = world();
    mode(&world, ".", 0o755);
    mode(&world, "victim", 0o666);
    link(&world, "../victim", "shared/out", 65533);
    let us = "setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs";
    let ended = world.bivouac("count in -o shared/out").under(us).run();
    // The way to this directory may be closed to others; then this test tells nothing.
    if ended.code() == Some(3) {
        ended.expect_says("is a symlink of another user (uid 65533)");
    } else {
        drop(writeln!(std::io::stderr(), "1 test told nothing: {}", ended.stderr));
    }
    assert_eq!(world.read("victim"), b"precious\n");
}
