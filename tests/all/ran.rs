//! `bivouac log`: what ran, in the interrupted run and in the one that continued it.

use crate::harness::World;
use nix::sys::signal::Signal::{SIGKILL, SIGTERM};
use serde_json::Value;

const LINE: &str = "pipe big.txt -o out --block 1MiB --jobs 2 --grace 0s --checkpoint-every 20ms";

/// From the third chunk on it waits until there is a file `go`.
const HELD: [&str; 3] =
    ["sh", "-c", "[ $BIVOUAC_SEQ -lt 3 ] || until [ -e go ]; do sleep 0.02; done; exec cat"];

fn held<'w>(world: &'w World, options: &str) -> crate::harness::Bivouac<'w> {
    world.bivouac(&format!("{LINE} {options} --")).words(&HELD)
}

/// Stopped with two chunks done, and free to go on.
fn stopped_after_two(world: &World, options: &str) {
    let run = held(world, options).start().until_checkpoint_at_least(2);
    run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    world.write("go", "");
}

fn log(world: &World, options: &str) -> String {
    let ended = world.bivouac(&format!("log {options}")).run().expect_code(0);
    String::from_utf8(ended.stdout).unwrap()
}

#[test]
fn every_attempt_of_every_run_is_there_once() {
    let world = World::new();
    world.text("big.txt");
    stopped_after_two(&world, "");
    let before = log(&world, "--format json").lines().count();
    assert!(before >= 2);
    held(&world, "").run().expect_code(0);
    assert_eq!(world.read("out"), world.read("big.txt"));

    let text = log(&world, "--format json");
    let entries: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(entries.len() > before);
    let mut done: Vec<u64> = entries
        .iter()
        .filter(|entry| entry["outcome"] == "done")
        .map(|entry| entry["task"].as_u64().unwrap())
        .collect();
    done.sort_unstable();
    assert_eq!(done, (1..=done.len() as u64).collect::<Vec<_>>(), "each task is done once");
    assert!(entries.iter().all(|entry| entry["note"].as_str().unwrap().starts_with("big.txt, bytes ")));

    let csv = log(&world, "--format csv");
    assert!(csv.starts_with("task,attempt,began,seconds,outcome,code,note\r\n"));
    assert_eq!(csv.lines().count(), 1 + entries.len());
    // A header, the rows, the totals.
    assert_eq!(log(&world, "").lines().count(), 1 + entries.len() + 1);
    let slowest = log(&world, "--slowest 2");
    assert_eq!(slowest.lines().count(), 4, "{slowest}");
    assert!(slowest.ends_with(" each\n") && slowest.contains("2 attempts: "), "{slowest}");
    assert_eq!(log(&world, "--since 1h --format json"), text);
    assert_eq!(log(&world, "--since 2999-01-01 --format json"), "");
}

#[test]
fn an_object_of_the_log_has_the_documented_fields() {
    let world = World::new();
    world.bivouac("each false ::: a").run().expect_code(1);
    let is: Value = serde_json::from_str(&log(&world, "--format json")).unwrap();
    let document = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/log.md");
    let document = std::fs::read_to_string(document).unwrap();
    let block = document.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    let printed: Value = serde_json::from_str(block).unwrap();
    let fields = |object: &Value| object.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(fields(&is), fields(&printed));
    assert_eq!((&is["format"], &is["code"], &is["task"]), (&2.into(), &1.into(), &1.into()));
    for field in fields(&is) {
        assert!(document.contains(&format!("| `{field}` |")), "{field}");
    }
}

#[test]
fn failures_can_be_singled_out_and_retries_are_counted() {
    let world = World::new();
    world.write("in.txt", "a\n");
    world.write("once.sh", "if [ -e tried ]; then cat; else touch tried; exit 7; fi\n");
    world.bivouac("pipe in.txt -o out --retries 1 -- bash once.sh").run().expect_code(0);
    assert_eq!(world.read("out"), b"a\n");
    let failed = log(&world, "--failed");
    assert_eq!(failed.lines().count(), 3, "{failed}");
    assert!(failed.contains("  failed 7  "), "{failed}");
    let all = log(&world, "");
    assert!(all.lines().nth(2).unwrap().contains("       1    2  done 0  "), "{all}");
    assert!(all.ends_with(" each\n") && all.contains("2 attempts: 1 done, 1 failed; "), "{all}");
    // Begun anew, the old entries are gone.
    world.bivouac("pipe in.txt -o out --fresh -- cat").run().expect_code(0);
    assert_eq!(log(&world, "").lines().count(), 3);
}

/// No checkpoint will come for a long time; what runs and what has ended is there all the same, and stays
/// when the run is killed.
#[test]
fn a_running_job_has_a_log_before_its_first_checkpoint() {
    let world = World::new();
    world.text("big.txt");
    let script = "n=$(wc -c); [ -e two ] && sleep 1000; mkdir one || touch two; echo $n";
    let line = "pipe big.txt -o out --block 1MiB --jobs 1 --checkpoint-every 10m -- sh -c";
    let run = world.bivouac(line).words(&[script]).start().until("ready");
    let is_there = |text: &str| {
        text.lines().filter(|line| line.contains("  done 0  ")).count() == 2 && text.contains("  open  ")
    };
    crate::pipe::until("two that are done and one that is open", || is_there(&log(&world, "")));
    run.signal(SIGKILL).wait().expect_killed_by(SIGKILL);
    assert!(is_there(&log(&world, "")));
}

/// As the other verbs that look at a state.
#[test]
fn what_is_no_state_has_no_log() {
    let world = World::new();
    world.write("empty/file", "");
    for named in ["nosuch", "empty"] {
        world.bivouac(&format!("log {named}")).run().expect_code(2);
        world.bivouac(&format!("status {named}")).run().expect_code(2);
    }
}

#[test]
fn a_command_that_cannot_be_started_is_listed_as_that() {
    let world = World::new();
    world.write("in.txt", "a\n");
    world.bivouac("pipe in.txt -o out -- no-such-command").run().expect_code(127);
    let failed = log(&world, "--failed --format json");
    assert!(failed.contains(r#""outcome":"not-started""#), "{failed}");
}

#[test]
fn a_job_without_commands_has_no_log_and_a_lost_one_is_begun_anew() {
    let world = World::new();
    world.write("in.txt", "a\n");
    world.bivouac("count in.txt -o out").run().expect_code(0);
    let ended = world.bivouac("log").run().expect_code(0).expect_says("this job runs no commands");
    assert!(ended.stdout.is_empty());

    world.text("big.txt");
    std::fs::remove_dir_all(world.path("out.bivouac")).unwrap();
    stopped_after_two(&world, "--fresh");
    std::fs::remove_file(world.path("out.bivouac/journal")).unwrap();
    let ended = held(&world, "").run().expect_code(0);
    drop(ended.expect_says("journal: is missing or damaged; the log of earlier runs is lost"));
    assert_eq!(world.read("out"), world.read("big.txt"));
    assert!(!world.bivouac("log out.bivouac").run().expect_code(0).stdout.is_empty());
}
