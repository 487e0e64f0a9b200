//! A refusal changes nothing: after each exit with 2, 3 or 5 every file of the state, of the output and beside
//! them has the bytes, the mode, the size and the time of its last change that it had before, and nothing is new.
//!
//! | file | what is wrong |
//! |---|---|
//! | this one | a file of the state, the list, the stream, the tree, the lock |
//! | `lines` | the command line |
//! | `inputs` | the inputs, by number, kind, cut and contents |
//! | `places` | the place of the state or of the output, whose they are, and what a control verb finds there |
//! | `forged` | a record with a right checksum that this program did not write |
//! | `sites` | each reason in the source has a row here, or a sentence below |
//!
//! Some refusals have no row, since no command line and no changed file leads to them *before* something is
//! written:
//!
//! - **They come in the midst of a run.** An input, a tree or a stream that changes while it is read, a record or
//!   an item that is longer than memory, a list of which the run sees only at its end that items are missing: the
//!   checkpoints before that stand, the output is not published. `contents`, `inputs`, `streams`, `each::whole`
//!   and `pipe::failing` have these.
//! - **They need a race of two runs**: a state that is removed again and again while it is made, a job that another
//!   run has begun a moment before the first checkpoint of this one. `starts` and `scripts/torture-starts` run them.
//! - **They need a second user with access**: a job that may not be signalled. The state has mode 0700, so only root
//!   sees the state of another user, and root may signal every process.
//! - **They need forged results**: what was kept of a task has checksums over each frame and is of the run that the
//!   record names. Unit tests of the spill have these.
//! - **They need another caller of the library**: an error that names a verb without a job, or a part of the
//!   builder that the command never leaves out.

mod forged;
mod inputs;
mod lines;
mod places;
mod sites;

use crate::data;
use crate::harness::{Bivouac, Input, World};
use crate::jobs::GREP;
use crate::running::Running;
use bivouac::disk::OsDisk;
use bivouac::record::Phase;
use bivouac::state_dir::StateDir;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::Signal::SIGTERM;
use nix::sys::stat::Mode;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// One name below a directory.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    path: PathBuf,
    mode: u32,
    size: u64,
    /// Of everything but a directory, which changes with each name that comes and goes in it.
    changed: Option<(i64, i64)>,
    content: Vec<u8>,
}

/// Everything below the directory of the test.
fn picture(world: &World) -> Vec<Seen> {
    let mut all = Vec::new();
    let mut open = vec![world.root().to_path_buf()];
    while let Some(path) = open.pop() {
        let facts = fs::symlink_metadata(&path).unwrap();
        let kind = facts.file_type();
        let content = match () {
            () if kind.is_symlink() => fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes(),
            () if kind.is_file() && facts.len() < 1 << 30 => fs::read(&path).unwrap(),
            () => Vec::new(),
        };
        if kind.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        all.push(Seen {
            path,
            mode: facts.permissions().mode(),
            size: if kind.is_dir() { 0 } else { facts.len() },
            changed: (!kind.is_dir()).then(|| (facts.mtime(), facts.mtime_nsec())),
            content,
        });
    }
    all.sort();
    all
}

/// Runs the command, and sees that it is refused with this code, for this reason, and without a change.
pub(crate) fn expect_refusal(world: &World, command: &Bivouac<'_>, code: i32, reason: &str, story: &str) {
    let before = picture(world);
    let ended = command.run();
    let said = ended.stderr.clone();
    drop(ended.expect_code(code).expect_says(reason).expect_says_not("resumed after"));
    let after = picture(world);
    let names = |all: &[Seen]| all.iter().map(|one| one.path.clone()).collect::<Vec<_>>();
    assert_eq!(names(&before), names(&after), "{story}: {said}");
    for (was, is) in before.iter().zip(&after) {
        assert!(was == is, "{story} changed {}: {said}", was.path.display());
    }
}

/// Puts something else in the place of a file, and has it back afterwards.
fn instead(path: &Path, what: &str, look: impl FnOnce()) {
    let aside = path.with_extension("aside");
    let was_there = fs::rename(path, &aside).is_ok();
    // Out of the directory, where it would be something strange.
    let away = path.ancestors().nth(2).unwrap().join("aside");
    if was_there {
        fs::rename(&aside, &away).unwrap();
    }
    match what {
        "missing" => {}
        "directory" => fs::create_dir(path).unwrap(),
        "link" => symlink("/dev/zero", path).unwrap(),
        "fifo" => nix::unistd::mkfifo(path, Mode::S_IRWXU).unwrap(),
        "socket" => drop(UnixListener::bind(path).unwrap()),
        "huge" => File::create(path).unwrap().set_len(20 << 30).unwrap(),
        "cut" => fs::write(path, fs::read(&away).map(|all| all[..all.len() / 2].to_vec()).unwrap()).unwrap(),
        "flipped" => {
            let mut all = fs::read(&away).unwrap();
            let middle = all.len() / 2;
            all[middle] ^= 1;
            fs::write(path, all).unwrap();
        }
        other => fs::write(path, other).unwrap(),
    }
    look();
    match path.is_dir() && !path.is_symlink() {
        true => fs::remove_dir(path).unwrap(),
        false => drop(fs::remove_file(path)),
    }
    if was_there {
        fs::rename(&away, path).unwrap();
    }
}

/// Waits until the lock names this run. It is taken before anything is compared.
fn until_it_holds(lock: &Path, run: &Running<'_>) {
    let (holder, end) = (format!("{{\"pid\":{},", run.pid()), Instant::now() + Duration::from_secs(60));
    while !fs::read_to_string(lock).unwrap().starts_with(&holder) {
        assert!(Instant::now() < end, "the lock is never taken: {}", run.said());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A grep into `out` that was stopped half-way.
fn stopped_grep() -> World {
    let world = GREP.world();
    stopped(&world, GREP.arguments);
    world
}

/// Stops this job after its first checkpoint. At this rate the rest of it would take longer than any deadline.
fn stopped(world: &World, line: &str) {
    let (verb, rest) = line.split_once(' ').unwrap();
    let slow = format!("{verb} --limit-rate 128KiB --checkpoint-every 10ms --grace 0s {rest}");
    let run = world.bivouac(&slow).start().until_checkpoint_at_least(1);
    run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
}

/// A line as a shell reads it.
fn typed<'w>(world: &'w World, line: &str) -> Bivouac<'w> {
    let words = shlex::split(line).unwrap_or_else(|| panic!("{line}"));
    let [verb, rest @ ..] = words.as_slice() else { panic!("an empty line") };
    world.bivouac(verb).words(&rest.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Each of these lines is refused.
fn expect_refusals(world: &World, rows: &[(&str, i32, &str)]) {
    for (line, code, reason) in rows {
        expect_refusal(world, &typed(world, line), *code, reason, line);
    }
}

#[test]
fn whatever_stands_in_place_of_a_file_of_the_state() {
    let world = stopped_grep();
    let state = world.path("out.bivouac");
    let again = GREP.command(&world);
    for (name, what, code) in [
        ("checkpoint.json", "directory", 3),
        ("checkpoint.json", "link", 3),
        ("checkpoint.json", "fifo", 3),
        ("checkpoint.json", "socket", 3),
        ("checkpoint.json", "huge", 3),
        ("checkpoint.json", "cut", 3),
        ("checkpoint.json", "flipped", 3),
        ("lock", "directory", 3),
        ("lock", "link", 3),
        ("lock", "fifo", 3),
        ("lock", "socket", 3),
        ("lock", "huge", 3),
        ("status.json", "link", 3),
        ("status.json", "directory", 3),
        ("journal", "fifo", 3),
        ("journal", "link", 3),
        ("spill", "socket", 3),
        ("spill", "link", 3),
    ] {
        instead(&state.join(name), what, || {
            let story = format!("{name} is {what}");
            expect_refusal(&world, &again, code, name, &story);
            expect_refusal(&world, &world.bivouac("clean out.bivouac"), code, name, &story);
            if what != "cut" && what != "flipped" {
                expect_refusal(&world, &world.bivouac("status out.bivouac"), code, name, &story);
            }
        });
    }
    for (what, reason) in [
        ("missing", "is missing"),
        ("cut", "were committed"),
        ("flipped", "does not have the bytes"),
        ("link", "regular file"),
        ("fifo", "regular file"),
        ("directory", "regular file"),
    ] {
        instead(&world.path("out.part"), what, || {
            expect_refusal(&world, &again, 3, reason, &format!("out.part is {what}"));
            if !["missing", "cut", "flipped"].contains(&what) {
                let fresh = again.clone().with("--fresh");
                expect_refusal(&world, &fresh, 3, reason, &format!("--fresh, and out.part is {what}"));
            }
        });
    }
    GREP.command(&world).run().expect_code(0);
    GREP.expect_right_output(&world);
}

#[test]
fn a_state_that_is_in_use_or_is_to_be_continued() {
    let world = stopped_grep();
    let again = GREP.command(&world);
    expect_refusal(&world, &world.bivouac("clean out.bivouac"), 3, "is not finished", "clean");
    expect_refusal(
        &world,
        &world.bivouac("grep other big.txt --output out"),
        3,
        "with other options",
        "another pattern",
    );
    expect_refusal(&world, &world.bivouac("count big.txt --output out"), 3, "another job", "another verb");
    let lock = File::options().write(true).open(world.path("out.bivouac/lock")).unwrap();
    let held = Flock::lock(lock, FlockArg::LockExclusive).unwrap();
    // The run that it names has ended, and who holds the lock for a run that was killed is waited for.
    world.write("out.bivouac/lock", "{\"pid\":1}");
    for (command, code) in [
        (again.clone(), 5),
        (again.clone().with("--fresh"), 5),
        (world.bivouac("clean out.bivouac"), 5),
        (world.bivouac("clean --force out.bivouac"), 5),
        (world.bivouac("grep other big.txt --output out"), 5),
    ] {
        expect_refusal(&world, &command, code, "is in use", &command.line());
    }
    drop(held);
    again.run().expect_code(0);
    // What a finished job has written is not what it was, and it had not said that it is finished.
    let state = StateDir::open(&OsDisk, &world.path("out.bivouac")).unwrap().unwrap();
    let mut record = state.read_record().unwrap().unwrap();
    record.phase = Phase::Finalizing { code: 0 };
    world.write("out.bivouac/checkpoint.json", record.encode().unwrap());
    drop(state);
    instead(&world.path("out"), "flipped", || {
        expect_refusal(&world, &again, 3, "out.part: is missing", "the output was changed");
    });
    again.run().expect_code(0).expect_says("already finished");
}

/// A job over `each` of which two of four items are done, and which was stopped.
fn stopped_each<'w>(world: &'w World, list: &str) -> Bivouac<'w> {
    let command = world.bivouac("each -j1 --grace 0s --kill-after 1s -a list --checkpoint-every 10ms");
    let command = command.words(&["sh", "-c", "echo $0 >> ran; case $0 in [cd]) exec sleep 1000;; esac"]);
    world.write("list", list);
    let run = command.start().until_checkpoint_at_least(2);
    run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    command
}

#[test]
fn a_list_or_a_journal_that_is_not_what_it_was() {
    let world = World::new();
    let again = stopped_each(&world, "a\nb\nc\nd\n");
    for (list, reason) in [
        ("A\nb\nc\nd\n", "item 1 is A, and was a"),
        ("a\nB\nc\nd\n", "item 2 is B"),
        ("z\na\nb\nc\nd\n", "item 1 is z"),
    ] {
        instead(&world.path("list"), list, || expect_refusal(&world, &again, 3, reason, list));
    }
    let states: Vec<_> = fs::read_dir(world.path(".bivouac")).unwrap().map(|e| e.unwrap().path()).collect();
    let [state] = states.as_slice() else { panic!("one state: {states:?}") };
    for what in
        ["missing", "cut", "", "another journal altogether, and a long one, with enough bytes to count them"]
    {
        instead(&state.join("journal"), what, || {
            expect_refusal(&world, &again, 3, "journal", &format!("the journal is `{what}`"));
        });
    }
    assert_eq!(fs::read_to_string(world.path("ran")).unwrap().matches(['a', 'b']).count(), 2);
}

#[test]
fn a_stream_that_is_not_what_it_was() {
    let world = World::new();
    let text = data::text(1, 60_000);
    let line = "pipe - -o out --block 8KiB --checkpoint-every 10ms";
    let command = |input: Vec<u8>| {
        let job = world.bivouac(line).words(&["--", "tr", "a-z", "A-Z"]);
        job.stdin(Input::Piped(input))
    };
    let run =
        world.bivouac(line).words(&["--", "tr", "a-z", "A-Z"]).stdin(Input::Dangling(text.clone())).start();
    run.until_checkpoint_at_least(3).signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    let mut other = text.clone();
    other[10] ^= 1;
    for (stream, story) in
        [(other, "another stream"), (text[..100].to_vec(), "a short one"), (Vec::new(), "none")]
    {
        expect_refusal(&world, &command(stream), 3, "is not the stream of the last run", story);
    }
    // A stop is heard while it is read again.
    let before = picture(&world);
    let again =
        world.bivouac(line).words(&["--", "tr", "a-z", "A-Z"]).stdin(Input::Dangling(text[..100].to_vec()));
    let waiting = again.start();
    until_it_holds(&world.path("out.bivouac/lock"), &waiting);
    waiting.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    assert!(before == picture(&world), "the stop changed something");
    command(text.clone()).run().expect_code(0);
    assert_eq!(world.read("out"), text.to_ascii_uppercase());
}
