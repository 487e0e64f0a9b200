//! The lines of `docs/clusters.md` for other schedulers than Slurm, run as they stand there: with the variables, signals
//! and answers of each. No scheduler is here, so the tests do what each of them does with an exit code.

use crate::harness::{World, path_variable};
use crate::running::Ended;
use crate::warned::fake;
use nix::sys::signal::Signal::{self, SIGTERM, SIGUSR2};
use std::collections::VecDeque;
use std::fs;

fn page() -> String {
    fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/clusters.md")).unwrap()
}

/// What stands between these two on the page.
fn between(start: &str, end: &str) -> String {
    let page = page();
    let (_, rest) = page.split_once(start).unwrap_or_else(|| panic!("{start} is not on the page"));
    rest.split_once(end).unwrap_or_else(|| panic!("no {end} after {start}")).0.to_string()
}

/// The input of the page, and hosts that are this one.
fn world() -> World {
    let world = World::new();
    let lines: String = (0..30_000).map(|n| format!("{{\"id\":{n},\"name\":\"name {n}\"}}\n")).collect();
    world.write("huge.json", lines);
    // As ssh does it: the words become one line of a shell, and begin in the home directory.
    fake(
        &world,
        "ssh",
        "while [ \"${1#-}\" != \"$1\" ]; do case $1 in -o|-l|-p) shift;; esac; shift; done; shift; [ \"$1\" != -- ] || shift; cd; export SHELL=/bin/bash; exec bash -c \"$*\"",
    );
    world
}

fn expect_right(world: &World) {
    assert_eq!(world.read("names"), world.shell("jq -c .name huge.json"));
}

/// A line of the page in a shell, with the hosts above.
fn typed<'w>(world: &'w World, line: &str) -> Ended<'w> {
    let path = format!("PATH={}/fakes:{}", world.root().display(), path_variable());
    world.program(&["env", &path, "bash", "-c", line]).run()
}

#[test]
fn three_hosts_and_ssh() {
    let world = world();
    let line = between("Three hosts and a shell:\n\n```console\n$ ", "\n```");
    typed(&world, &line).expect_code(0);
    expect_right(&world);
    let calls = String::from_utf8(world.read("calls")).unwrap();
    assert_eq!(
        ["ssh n1 ", "ssh n2 ", "ssh n3 "].map(|call| calls.matches(call).count()),
        [1, 1, 1],
        "{calls}"
    );
}

#[test]
fn gnu_parallel_and_ssh() {
    let world = world();
    if world.shell("command -v parallel || :").is_empty() {
        use std::io::Write;
        drop(writeln!(std::io::stderr(), "skipped 1 test: there is no GNU parallel"));
        return;
    }
    world.write(".parallel/will-cite", "");
    let line = between("## GNU parallel and ssh\n\n```console\n$ ", "\n```");
    typed(&world, &line).expect_code(0);
    expect_right(&world);
    let calls = String::from_utf8(world.read("calls")).unwrap();
    assert!(["n1", "n2", "n3"].iter().all(|host| calls.contains(host)), "{calls}");
}

/// The words of a job, as a scheduler starts it. The input is small here, so it is cut into small chunks.
fn job(words: &[String]) -> Vec<String> {
    let at = words.iter().position(|word| word == "pipe").unwrap();
    let mut words = words[at..].to_vec();
    words.splice(1..1, ["--block", "4KiB"].map(str::to_string));
    words
}

/// Starts all shards, and those again of which `comes_back` says so by the exit code; a signal has none. The first two
/// are told to end on their first start. Returns how many starts there were.
fn scheduled(
    world: &World,
    shards: u64,
    job: impl Fn(u64) -> (String, Vec<String>),
    comes_back: impl Fn(Option<i32>) -> bool,
) -> usize {
    let signals = [Some(SIGTERM), Some(SIGUSR2)].into_iter().chain(std::iter::repeat(None));
    let mut waiting: VecDeque<(u64, Option<Signal>)> = (0..shards).zip(signals).collect();
    let mut starts = 0;
    while let Some((index, signal)) = waiting.pop_front() {
        let (variable, mut words) = job(index);
        if signal.is_some() {
            words.splice(1..1, ["--limit-rate", "50k"].map(str::to_string));
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let shard = world.bivouac("").words(&words).under(&format!("env {variable}")).start();
        let ended = match signal {
            Some(signal) => shard.until_checkpoint_at_least(1).signal(signal).wait(),
            None => shard.wait(),
        };
        starts += 1;
        match comes_back(ended.code()) {
            true => waiting.push_back((index, None)),
            false => drop(ended.expect_code(0)),
        }
    }
    starts
}

#[test]
fn htcondor_starts_a_shard_again_that_ends_with_85() {
    let world = world();
    let page = between("## HTCondor\n\n```text\n", "```");
    let value = |name: &str| {
        let line = page.lines().find(|line| line.split('=').next().unwrap().trim() == name).unwrap();
        line.split_once('=').unwrap().1.trim().trim_matches('"').to_string()
    };
    let (arguments, code) = (value("arguments"), value("checkpoint_exit_code").parse().unwrap());
    let shards = between("queue shard in (", ")").split(',').count() as u64;
    let of = |index: u64| {
        let words = arguments.replace("$(shard)", &(index + 1).to_string());
        (String::from("_CONDOR_JOB=1"), job(&words.split(' ').map(str::to_string).collect::<Vec<_>>()))
    };
    assert_eq!(scheduled(&world, shards, of, |ended| ended == Some(code)), shards as usize + 2);
    expect_right(&world);
}

#[test]
fn kubernetes_starts_an_index_again_that_was_evicted_or_ends_with_75() {
    let world = world();
    let command = between("command: [", "]");
    let words = job(&command.split(", ").map(str::to_string).collect::<Vec<_>>());
    let ignored: i32 = between("operator: In\n          values: [", "]").parse().unwrap();
    let completions: u64 = between("completions: ", "\n").parse().unwrap();
    let of = |index: u64| (format!("JOB_COMPLETION_INDEX={index}"), words.clone());
    // A pod that dies of a signal was evicted here.
    let comes_back = |ended: Option<i32>| ended.is_none_or(|code| code == ignored);
    assert_eq!(scheduled(&world, completions, of, comes_back), completions as usize + 2);
    expect_right(&world);
}

#[test]
fn aws_batch_starts_a_child_again_by_the_rules_of_the_page() {
    let world = world();
    let text = between("in the job definition:\n\n```json\n", "```");
    let rules: serde_json::Value = serde_json::from_str(&text).unwrap();
    let rules = rules["retryStrategy"]["evaluateOnExit"].as_array().unwrap();
    // The first rule that fits counts. A host that is taken away ends its jobs with SIGTERM.
    let comes_back = |ended: Option<i32>| {
        let fits = |rule: &&serde_json::Value| match (&rule["onExitCode"], &rule["onStatusReason"]) {
            (serde_json::Value::String(code), _) => ended.is_some_and(|ended| *code == ended.to_string()),
            (_, serde_json::Value::String(_)) => ended.is_none(),
            (_, _) => true,
        };
        rules.iter().find(fits).unwrap()["action"] == "RETRY"
    };
    let line = "bivouac pipe huge.json -o names --shard auto/8 --wait -- jq -c .name";
    let words = job(&line.split(' ').map(str::to_string).collect::<Vec<_>>());
    let of = |index: u64| (format!("AWS_BATCH_JOB_ARRAY_INDEX={index}"), words.clone());
    assert_eq!(scheduled(&world, 8, of, comes_back), 10);
    expect_right(&world);
}
