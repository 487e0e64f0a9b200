//! The place of the state or of the output: what is there, whose it is, and what a control verb finds.

use super::{expect_refusal, expect_refusals, stopped_grep, typed};
use crate::jobs::GREP;
use nix::fcntl::{Flock, FlockArg};
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};

/// A user other than root: nobody.
const OTHER: u32 = 65534;

#[test]
fn a_directory_that_is_no_state_and_a_place_where_none_can_be() {
    let world = GREP.world();
    for (name, text) in [("lock", "4711\n"), ("journal", "dear diary"), ("checkpoint.json", "{\"step\": 3}")]
    {
        world.write(&format!("theirs/{name}"), text);
        world.write("theirs/notes", "mine");
        for line in ["each --state theirs true ::: a", "count big.txt --state theirs"] {
            for options in ["", " --fresh"] {
                let line = line.replacen("--state", &format!("{} --state", options.trim()), 1);
                expect_refusal(&world, &world.bivouac(&line), 2, "theirs: contains other files", &line);
            }
        }
        expect_refusal(&world, &world.bivouac("clean theirs"), 2, "is not the state", "clean");
        expect_refusal(
            &world,
            &world.bivouac("clean --force theirs"),
            2,
            "is not the state",
            "clean --force",
        );
        expect_refusal(&world, &world.bivouac("status theirs"), 2, "is not the state", "status");
        fs::remove_dir_all(world.path("theirs")).unwrap();
    }
    symlink("big.txt", world.path("link")).unwrap();
    for (line, code, reason) in [
        ("each --state big.txt true ::: a", 2, "is not a directory"),
        ("each --state link true ::: a", 2, "is not a directory"),
        ("each --state no/such/place true ::: a", 2, "no/such"),
        ("each -a missing true", 2, "missing"),
        ("count missing -o counted", 2, "missing"),
        ("digest missing -o counted", 2, "missing"),
        ("pipe missing -o counted -- cat", 2, "missing"),
        ("pipe missing -- cat", 2, "missing"),
    ] {
        expect_refusal(&world, &world.bivouac(line), code, reason, line);
    }
}

#[test]
fn an_output_that_is_not_ours_to_write() {
    let world = GREP.world();
    world.write("precious", "work");
    for (make, reason) in [
        ("echo mine > out.part", "exists, and no state knows what it is"),
        ("ln precious out.part", "exists, and no state knows what it is"),
        ("ln -s precious out.part", "exists, and no state knows what it is"),
        ("mkdir out.part", "exists, and no state knows what it is"),
    ] {
        world.shell(make);
        expect_refusals(&world, &[(GREP.arguments, 3, reason)]);
        world.shell("rm -r out.part");
    }
    symlink("second", world.path("first")).unwrap();
    symlink("first", world.path("second")).unwrap();
    fs::create_dir(world.path("dir")).unwrap();
    expect_refusals(
        &world,
        &[
            ("count big.txt -o first", 2, "first: is a chain of too many symlinks"),
            ("count big.txt -o dir", 2, "dir: cannot be the output"),
            ("count big.txt -o no/such/out", 2, "no/such"),
            ("count big.txt -o /dev/null", 2, "/dev/null: cannot be the output"),
        ],
    );
    // With another state another run may be at it.
    world.write("out.part", "theirs");
    let part = File::options().write(true).open(world.path("out.part")).unwrap();
    let held = Flock::lock(part, FlockArg::LockExclusive).unwrap();
    expect_refusals(&world, &[(GREP.arguments, 5, "out.part: is being written by another run")]);
    drop(held);
}

/// Its state is beside it, whatever state is named now.
#[test]
fn the_unfinished_output_of_another_job() {
    let world = stopped_grep();
    let new = format!("{} --state new", GREP.arguments);
    let reason = "is the unfinished output of another job: out.bivouac is its state";
    for options in ["", " --fresh"] {
        expect_refusals(&world, &[(&format!("{new}{options}"), 3, reason)]);
    }
    // A state that knows of it may go on.
    world.shell("cp -rp out.bivouac new");
    world.bivouac(&new).run().expect_code(0).expect_says("resumed after ");
    GREP.expect_right_output(&world);
}

#[test]
fn a_part_that_was_given_a_second_name_or_to_another_user() {
    let world = stopped_grep();
    fs::hard_link(world.path("out.part"), world.path("second")).unwrap();
    expect_refusals(&world, &[(GREP.arguments, 3, "is not a regular file of ours with a single name")]);
    fs::remove_file(world.path("second")).unwrap();
    if nix::unistd::geteuid().is_root() {
        chown(world.path("out.part"), Some(OTHER), None).unwrap();
        expect_refusals(&world, &[(GREP.arguments, 3, "is not a regular file of ours with a single name")]);
    }
}

/// It would be found when the first result has to wait, in the midst of the run.
#[test]
fn a_directory_among_the_results_that_wait() {
    let world = stopped_grep();
    fs::create_dir_all(world.path("out.bivouac/spill/segment.3")).unwrap();
    let fresh = format!("{} --fresh", GREP.arguments);
    expect_refusals(
        &world,
        &[
            (GREP.arguments, 3, "spill/segment.3: is a directory that does not belong to a state"),
            (&fresh, 3, "spill/segment.3: is a directory that does not belong to a state"),
        ],
    );
    fs::remove_dir(world.path("out.bivouac/spill/segment.3")).unwrap();
    GREP.command(&world).run().expect_code(0);
}

/// What is committed is in the output with which the job was begun.
#[test]
fn another_output_for_the_same_state() {
    let world = GREP.world();
    let line = |out: &str| format!("grep [a-z] big.txt --state kept --output {out}");
    super::stopped(&world, &line("one"));
    expect_refusals(&world, &[(&line("two"), 3, "two.part: is missing, and the job goes on in it")]);
    typed(&world, &line("one")).run().expect_code(0);
    // A state of a job that is finished refuses nothing.
    typed(&world, &line("two")).run().expect_code(0);
    assert!(world.read("one") == world.read("two"));
}

/// What is done has its results in the directory that was named then.
#[test]
fn another_directory_for_the_results_of_a_finished_job() {
    let world = GREP.world();
    typed(&world, "each --results one echo ::: a").run().expect_code(0);
    expect_refusals(
        &world,
        &[("each --results two echo ::: a", 3, "two: has no results: the job was finished")],
    );
}

#[test]
fn a_state_that_others_own_or_can_write_to() {
    let world = stopped_grep();
    let lines =
        [GREP.arguments.to_string(), format!("{} --fresh", GREP.arguments), "clean out.bivouac".into()];
    for line in &lines {
        fs::set_permissions(world.path("out.bivouac"), fs::Permissions::from_mode(0o770)).unwrap();
        expect_refusal(&world, &typed(&world, line), 3, "chmod go-w", line);
        fs::set_permissions(world.path("out.bivouac"), fs::Permissions::from_mode(0o700)).unwrap();
    }
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    chown(world.path("out.bivouac"), Some(OTHER), None).unwrap();
    for line in &lines {
        expect_refusal(&world, &typed(&world, line), 3, "belongs to another user (uid 65534)", line);
    }
    fs::create_dir(world.path("shared")).unwrap();
    fs::set_permissions(world.path("shared"), fs::Permissions::from_mode(0o1777)).unwrap();
    symlink("../tree", world.path("shared/link")).unwrap();
    lchown(world.path("shared/link"), Some(OTHER), Some(OTHER)).unwrap();
    let reason = "is a symlink of another user";
    expect_refusals(
        &world,
        &[
            ("count big.txt --state shared/link/state", 3, reason),
            ("count big.txt -o shared/link", 3, reason),
            ("count big.txt -o counted --log-file shared/link", 3, reason),
            ("each --results shared/link echo ::: a", 3, reason),
        ],
    );
}

#[test]
fn a_control_verb_that_finds_no_job_at_work() {
    let world = stopped_grep();
    expect_refusals(
        &world,
        &[
            ("pause out.bivouac", 3, "the job is not running, there is nothing to pause"),
            ("resume out.bivouac", 3, "the job is not running, there is nothing to resume"),
            ("checkpoint out.bivouac", 3, "the job is not running, there is nothing to checkpoint"),
            ("clean out.bivouac", 3, "its job is not finished"),
            ("pause tree", 2, "is not the state of a job"),
            ("stop missing", 2, "there is no such state"),
            ("status 4000000000", 2, "there is no such process"),
            ("log missing", 2, "there is no such state"),
            ("clean missing", 2, "is not the state of a job"),
        ],
    );
    // Its lock is held, and names a run on another machine.
    let lock = world.path("out.bivouac/lock");
    let holder =
        r#"{"pid":1,"host":"elsewhere","boot_id":"other","started":1,"ticks":1,"pid_namespace":"other"}"#;
    fs::write(&lock, holder).unwrap();
    let held =
        Flock::lock(File::options().write(true).open(&lock).unwrap(), FlockArg::LockExclusive).unwrap();
    for verb in ["pause", "resume", "checkpoint", "stop"] {
        let line = format!("{verb} out.bivouac");
        expect_refusal(&world, &typed(&world, &line), 3, "no signal reaches it from here", &line);
    }
    drop(held);
    GREP.command(&world).run().expect_code(0);
    world.write("in", "a\n");
    world.bivouac("count in -o counted").run().expect_code(0);
    expect_refusals(
        &world,
        &[
            ("pause out.bivouac", 3, "the job is finished, there is nothing to pause"),
            ("pause", 2, "STATE: which one? There are 2 states here, and none of their jobs runs"),
            ("clean --force tree", 2, "is not the state of a job"),
        ],
    );
}
