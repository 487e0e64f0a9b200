//! `bivouac pipe`: one input through many copies of a command, with real commands and real signals.
//!
//! `COMMAND < FILE` tells what the bytes must be in the end. Whatever happens on the way, three questions
//! follow: are the bytes right, has every process of the job ended, and is the state free for the next run?
//!
//! | file | question |
//! |---|---|
//! | `filters` | do real filters give the bytes that they give alone? |
//! | `records` | is the input cut between records of every kind, and files, streams and ends of files alike? |
//! | `children` | what does a command inherit, and what not? |
//! | `signals` | after each signal: right bytes in the end, and no process left? |
//! | `done` | when does a command count as done, and when as interrupted? |
//! | `formats` | tables, FASTQ, VCF and their like: is no record cut, and each header where it belongs? |
//! | `merged` | is one result of many outputs that of the tool alone, and is each of many files complete or absent? |
//! | `failing` | commands that fail, are missing, take too long or want the terminal |
//! | `losses` | the ways in which others lose data, each tried here |
//! | `storm` | do stops and goes while children are born leave a process hanging? |

mod children;
mod done;
mod failing;
mod formats;
mod filters;
mod losses;
mod merged;
mod records;
mod signals;
mod storm;

use crate::harness::{Bivouac, World};
use crate::running::{BEYOND_DEBOUNCE, DEADLINE, Ended, Running, first_difference};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// The filter of most tests: a quick one, which dies of every signal, and whose output is as long as
/// its input, so that each lost byte shows.
const TR: [&str; 3] = ["tr", "a-z", "A-Z"];

/// What the command of a chunk does first: it waits until the number in the file `open` is not below that of its
/// chunk. So a test lets as many chunks pass as it wants, however fast or slow the machine is; the next two, which
/// are at work at the same time, wait.
macro_rules! held {
    ($text:literal) => {
        concat!("until [ $BIVOUAC_SEQ -le \"$(cat open)\" ]; do sleep 0.02; done; ", $text)
    };
}
pub(crate) use held;

/// The same filter, held.
const HELD_TR: [&str; 3] = ["sh", "-c", held!("exec tr a-z A-Z")];

/// How many chunks a job has done when it is met half-way.
const HALF_WAY: u32 = 4;

/// Lets chunks pass, up to this number.
fn open_to(world: &World, chunk: u32) {
    // A command may read it at any time, and must not find it empty.
    world.write("open.new", chunk.to_string());
    fs::rename(world.path("open.new"), world.path("open")).unwrap();
}

fn open_all(world: &World) {
    open_to(world, 1_000_000);
}

/// `bivouac pipe OPTIONS -- COMMAND`.
fn pipe<'w>(world: &'w World, options: &str, command: &[&str]) -> Bivouac<'w> {
    world.bivouac(&format!("pipe {options} --")).words(command)
}

/// The job of the interruption tests. Its command is one that is held.
fn job<'w>(world: &'w World, options: &str, command: &[&str]) -> Bivouac<'w> {
    let line = format!("big.txt -o out --checkpoint-every 20ms --jobs 2 --block 256KiB {options}");
    pipe(world, &line, command)
}

/// Started, with the chunks up to this one committed and the two after it at work, where they wait.
fn met_after<'w>(world: &'w World, chunk: u32, options: &str, command: &[&str]) -> Running<'w> {
    open_to(world, chunk);
    let run = job(world, options, command).start().until_checkpoint_at_least(chunk.into());
    until("two commands that wait", || {
        children_in(world).iter().filter(|child| child.line.contains("$(cat open)")).count() >= 2
    });
    run
}

fn half_way<'w>(world: &'w World, command: &[&str]) -> Running<'w> {
    met_after(world, HALF_WAY, "", command)
}

/// The same job, and no command waits any more.
fn again<'w>(world: &'w World, command: &[&str]) -> Bivouac<'w> {
    open_all(world);
    pipe(world, "big.txt -o out --block 256KiB", command)
}

/// The same job at full speed, as soon as the state is free: after SIGKILL it is held until nobody is
/// left, and that takes a moment.
fn again_when_free<'w>(world: &'w World, command: &[&str]) -> Ended<'w> {
    let end = Instant::now() + DEADLINE;
    loop {
        let ended = again(world, command).run();
        if ended.code() != Some(5) {
            return ended;
        }
        assert!(Instant::now() < end, "the state is never free: {}", ended.stderr);
    }
}

/// A directory with the large text.
fn world() -> World {
    let world = World::new();
    world.text("big.txt");
    world
}

fn expect_bytes(world: &World, wanted: &[u8]) {
    let is = world.read("out");
    assert!(is == wanted, "{}", first_difference(&is, wanted));
    assert!(!world.exists("out.part"), "the part file is still there");
}

/// TERM, and TERM again.
fn abort(run: Running<'_>) -> Running<'_> {
    let run = run.signal(Signal::SIGTERM).until("phase stopping").let_pass(BEYOND_DEBOUNCE);
    run.signal(Signal::SIGTERM).until("phase aborting")
}

/// Goes on, to the bytes that the command gives alone.
fn resumes(world: &World, command: &[&str], reference: &str) {
    assert!(!world.exists("out"), "the output was published too early");
    again_when_free(world, command).expect_code(0);
    expect_bytes(world, &world.shell(reference));
    expect_nobody_left(world);
}

/// The same with `tr`.
fn resumes_tr(world: &World) {
    resumes(world, &HELD_TR, "tr a-z A-Z <big.txt");
}

/// Where a file of lines is cut into blocks of this size.
fn chunks(text: &[u8], block: usize) -> Vec<&[u8]> {
    let edge = |place: usize| match place {
        0 => 0,
        _ => text[place - 1..].iter().position(|byte| *byte == b'\n').map_or(text.len(), |i| place + i),
    };
    let starts = (0..text.len()).step_by(block);
    starts.map(|start| &text[edge(start)..edge((start + block).min(text.len()))]).collect()
}

/// A process that runs in the environment of a test.
#[derive(Debug)]
struct Somebody {
    pid: i32,
    line: String,
    /// Was started for a task, by itself or by who started it.
    is_child: bool,
}

/// Who runs in the environment of this test: every process whose home is its directory, however many
/// forks and sessions away. Those that have ended and wait for their parents have no environment.
fn everybody(world: &World) -> Vec<Somebody> {
    let home = format!("HOME={}", world.root().display());
    let entries = fs::read_dir("/proc").unwrap();
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| {
        let place = Path::new("/proc").join(pid.to_string());
        let environment = fs::read(place.join("environ")).ok()?;
        let mut variables = environment.split(|byte| *byte == 0);
        variables.clone().find(|variable| *variable == home.as_bytes())?;
        let is_child = variables.any(|variable| variable.starts_with(b"BIVOUAC_RUN="));
        let line = String::from_utf8_lossy(&fs::read(place.join("cmdline")).ok()?).replace('\0', " ");
        Some(Somebody { pid, line, is_child })
    })
    .collect()
}

fn children_in(world: &World) -> Vec<Somebody> {
    everybody(world).into_iter().filter(|somebody| somebody.is_child).collect()
}

/// How many processes with this program run for the job.
pub(crate) fn everybody_named(world: &World, program: &str) -> usize {
    children_in(world).iter().filter(|child| child.line.starts_with(program)).count()
}

/// Sends each of them a signal.
pub(crate) fn tell_everybody_named(world: &World, program: &str, signal: Signal) {
    for child in children_in(world).iter().filter(|child| child.line.starts_with(program)) {
        // One that has ended meanwhile needs no signal any more.
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.pid), signal).unwrap_or_default();
    }
}

/// Waits for what must come, looking again and again.
pub(crate) fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !reached() {
        assert!(Instant::now() < end, "waited in vain for: {what}");
        thread::park_timeout(Duration::from_millis(2));
    }
}

/// Waits until every process of the job is stopped. A shell that starts a program by vfork(2) (dash does) waits
/// for it in the kernel, in state D; if the new process was stopped before its exec, the shell stands still with
/// it, and stops when both are continued.
fn until_all_stand_still(world: &World) {
    let stopped = |pid| matches!(state(pid), Some('T' | 'Z') | None);
    let waits_for_a_stopped_child =
        |pid| state(pid) == Some('D') && children_of(Pid::from_raw(pid)).into_iter().any(stopped);
    until("all to stand still", || {
        let all = everybody(world);
        !all.is_empty() && all.iter().all(|one| stopped(one.pid) || waits_for_a_stopped_child(one.pid))
    });
}

fn children_of(pid: Pid) -> Vec<i32> {
    let entries = fs::read_dir("/proc").unwrap();
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|child| parent(*child) == Some(pid.as_raw())).collect()
}

fn fields(pid: i32) -> Option<(char, i32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

fn state(pid: i32) -> Option<char> {
    fields(pid).map(|(state, _)| state)
}

fn parent(pid: i32) -> Option<i32> {
    fields(pid).map(|(_, parent)| parent)
}

/// Waits for a number that grows, as long as it does: on a busy machine there is always one more.
pub(crate) fn until_grown_to(what: &str, wanted: u64, mut reached: impl FnMut() -> u64) {
    let mut so_far = reached();
    while so_far < wanted {
        until(&format!("{what}: one more than {so_far} of {wanted}"), || reached() > so_far);
        so_far = reached();
    }
}

/// At once, since an orderly end is over when the process is.
pub(crate) fn expect_nobody_left(world: &World) {
    let left = everybody(world);
    assert!(left.is_empty(), "left behind: {left:?}");
}

/// After SIGKILL somebody else has to see to it, and that takes a moment.
pub(crate) fn until_nobody_is_left(world: &World) {
    until("all that were started for the job to be gone", || everybody(world).is_empty());
}
