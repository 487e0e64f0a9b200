//! What a command inherits. All of it is read from the command's own `/proc/self`, by a program that
//! bivouac starts directly: a shell in between may clear its mask and close descriptors, and then a
//! test proves nothing about who started it.

use super::{children_in, expect_bytes, expect_nobody_left, pipe, until, world};
use crate::harness::{Bivouac, World};
use nix::sys::signal::Signal::{self, SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGXFSZ};
use std::collections::BTreeSet;
use std::fs;

const STATUS: [&str; 4] = ["grep", "-E", "^Sig(Blk|Ign|Cgt)", "/proc/self/status"];

/// One short chunk, so that the command runs once.
fn once<'w>(world: &'w World, command: &[&str]) -> Bivouac<'w> {
    world.write("in", "one\n");
    pipe(world, "in -o out --fresh", command)
}

fn printed(job: &Bivouac<'_>) -> String {
    job.run().expect_code(0);
    String::from_utf8(job.world.read("out")).unwrap()
}

/// The signals in the line of this name, such as `SigBlk`.
fn mask(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    u64::from_str_radix(line.trim_start_matches(':').trim(), 16).unwrap()
}

fn bit(signal: Signal) -> u64 {
    1 << (signal as u32 - 1)
}

/// The last two of 64 are glibc's own, which it always sets to be ignored in what it spawns.
const GLIBC: u64 = 0b11 << 31;

#[test]
fn no_signal_is_blocked_or_ignored_that_was_not_at_the_start() {
    let world = World::new();
    let status = printed(&once(&world, &STATUS));
    assert_eq!(mask(&status, "SigBlk"), 0, "{status}");
    assert_eq!(mask(&status, "SigIgn") & !GLIBC, 0, "{status}");
}

#[test]
fn a_signal_that_was_blocked_at_the_start_is_blocked_in_commands() {
    let world = World::new();
    let job = once(&world, &STATUS).under("env --block-signal=USR1,WINCH");
    let status = printed(&job);
    assert_eq!(mask(&status, "SigBlk"), bit(SIGUSR1) | bit(Signal::SIGWINCH), "{status}");
}

#[test]
fn a_signal_that_was_found_ignored_is_ignored_in_commands_but_not_those_that_we_ignore() {
    let world = World::new();
    let ignored = |wrapper: &str| mask(&printed(&once(&world, &STATUS).under(wrapper)), "SigIgn") & !GLIBC;
    assert_eq!(ignored("nohup"), bit(SIGHUP));
    assert_eq!(
        ignored("env --ignore-signal=INT,QUIT,TERM,TSTP"),
        [SIGINT, SIGQUIT, SIGTERM, SIGTSTP].map(bit).iter().sum::<u64>()
    );
    // These two would make filters go on for ever behind a `head`, or fail in strange ways.
    assert_eq!(ignored("env --ignore-signal=PIPE,XFSZ") & (bit(SIGPIPE) | bit(SIGXFSZ)), 0);
}

const DESCRIPTORS: [&str; 3] = ["ls", "-l", "/proc/self/fd"];

/// Number and target of each, but for what `ls` itself has open to read the directory.
fn descriptors(listed: &str) -> Vec<(String, String)> {
    let links = listed.lines().filter_map(|line| line.split_once(" -> "));
    let links = links.map(|(from, to)| (from.rsplit(' ').next().unwrap().to_string(), to.to_string()));
    links.filter(|(_, to)| !to.ends_with("/fd")).collect()
}

/// Those that whoever runs the tests has left open, and which pass through everything.
fn inherited(world: &World) -> Vec<(String, String)> {
    let alone = world.program_apart(&DESCRIPTORS).run().expect_code(0);
    let all = descriptors(&String::from_utf8(alone.stdout).unwrap());
    all.into_iter().filter(|(number, _)| !["0", "1", "2"].contains(&number.as_str())).collect()
}

#[test]
fn a_command_has_three_descriptors_and_those_that_were_inherited() {
    let world = World::new();
    world.write("inheriting", "exec 7</dev/null\nexec \"$@\"\n");
    let numbers =
        |of: &[(String, String)]| -> BTreeSet<String> { of.iter().map(|(n, _)| n.clone()).collect() };
    let mut wanted = numbers(&inherited(&world));
    wanted.extend(["0", "1", "2"].map(String::from));
    let job = once(&world, &DESCRIPTORS);
    assert_eq!(numbers(&descriptors(&printed(&job))), wanted);
    wanted.insert("7".to_string());
    assert_eq!(numbers(&descriptors(&printed(&job.under("bash inheriting")))), wanted);
}

#[test]
fn its_input_and_output_are_pipes_and_nobody_else_holds_them() {
    let world = world();
    for number in ["0", "1", "2"] {
        let link = printed(&once(&world, &["readlink", &format!("/proc/self/fd/{number}")]));
        assert!(link.starts_with("pipe:"), "{number}: {link}");
    }
    // If a command held the end of another's input, that one would never see the end of its own.
    let command = ["sh", "-c", "cat >/dev/null; ls -l /proc/self/fd | grep -c pipe:"];
    pipe(&world, "big.txt -o out --fresh --jobs 4 --block 256KiB", &command).run().expect_code(0);
    let counts = String::from_utf8(world.read("out")).unwrap();
    // Input and standard error of the `sh`, and the pipe between `ls` and `grep`.
    let wanted = 3 + inherited(&world).iter().filter(|(_, to)| to.starts_with("pipe:")).count();
    assert!(counts.lines().all(|line| line == wanted.to_string()), "{wanted}: {counts}");
}

#[test]
fn a_command_leads_a_group_of_its_own_and_knows_its_run() {
    let world = world();
    // They stay until somebody ends them.
    let options = "big.txt -o out --jobs 2 --grace 100ms";
    let run = super::pipe(&world, options, &["sleep", "20"]).start().until("ready");
    until("two commands at work", || children_in(&world).len() >= 2);
    for child in children_in(&world) {
        let stat = fs::read_to_string(format!("/proc/{}/stat", child.pid)).unwrap_or_default();
        let Some((_, fields)) = stat.rsplit_once(") ") else { continue }; // It is done.
        let fields: Vec<&str> = fields.split(' ').collect();
        if fields[0] == "Z" {
            continue;
        }
        assert_eq!(fields[1], run.pid().to_string(), "its parent: {stat}");
        assert_eq!(fields[2], child.pid.to_string(), "its group: {stat}");
    }
    run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    // The mark is that of the process, and not of the run, which goes on in another one.
    let mark = |world: &World| mark_of(world, "printenv BIVOUAC_RUN");
    let first = mark(&world);
    let record: serde_json::Value =
        serde_json::from_slice(&world.read("out.bivouac/checkpoint.json")).unwrap();
    assert!(first.starts_with(record["run"].as_str().unwrap()), "{first}");
    assert_ne!(first, mark(&world), "two runs have one mark");
    let inner = "cat >/dev/null; bivouac each -q --state inner printenv ::: BIVOUAC_RUN";
    let both = mark_of(&world, inner);
    let (outer, inner) = both.split_once(',').expect("both marks");
    assert!(outer.contains('/') && inner.contains('/') && outer != inner, "{both}");
}

fn mark_of(world: &World, script: &str) -> String {
    printed(&once(world, &["sh", "-c", script])).trim().to_string()
}

/// A bivouac inside a command of another one.
#[test]
fn one_inside_the_other() {
    let world = world();
    let command =
        ["sh", "-c", "cat >in.$$; bivouac pipe in.$$ -q -o out.$$ --block 50k -- tr a-z A-Z; cat out.$$"];
    pipe(&world, "big.txt -o out --block 1MiB", &command).run().expect_code(0);
    expect_bytes(&world, &world.shell("tr a-z A-Z <big.txt"));
    expect_nobody_left(&world);
}
