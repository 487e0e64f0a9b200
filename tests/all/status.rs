//! What `status` prints, and whether it is what the documentation says.

use crate::harness::{Bivouac, World};
use crate::jobs::GREP;
use nix::sys::signal::Signal::SIGTERM;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

fn document() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/status.md")).unwrap()
}

/// The objects that the documentation shows, in their order.
fn documented() -> Vec<Value> {
    let text = document();
    let blocks = text.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.map(|block| serde_json::from_str(block).unwrap()).collect()
}

/// Every field with the kind of its value, as in `tasks.done number`.
fn shape(value: &Value, path: &str, into: &mut BTreeSet<String>) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(items) => {
            items.iter().for_each(|item| shape(item, &format!("{path}[]"), into));
            "list"
        }
        Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| shape(value, &format!("{path}.{name}"), into));
            "object"
        }
    };
    into.insert(format!("{path} {kind}"));
}

fn shape_of(value: &Value) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    shape(value, "", &mut all);
    all
}

/// Slow enough to be looked at for some seconds.
fn slow(world: &World) -> Bivouac<'_> {
    GREP.slow(world)
}

fn look(world: &World) -> Value {
    let ended = world.bivouac("status --json").run().expect_code(0);
    assert!(ended.stdout.ends_with(b"}\n") && ended.stdout.iter().filter(|b| **b == b'\n').count() == 1);
    serde_json::from_slice(&ended.stdout).unwrap()
}

/// Looks until everything is known: a rate takes some work, and a checkpoint a flush.
fn look_until_all_is_known(world: &World) -> Value {
    for _ in 0..1000 {
        let now = look(world);
        assert_eq!(now["running"], true, "it was over before a rate was known: {now}");
        if !now["eta_seconds"].is_null() && !now["checkpoint"]["took_seconds"].is_null() {
            return now;
        }
    }
    panic!("never a rate and a checkpoint");
}

#[test]
fn both_objects_have_the_documented_shape() {
    let world = GREP.world();
    let run = slow(&world).start().until_checkpoint_at_least(1);
    let mut is = look_until_all_is_known(&world);
    let live: Value = serde_json::from_slice(&world.read("out.bivouac/status.json")).unwrap();
    run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    let [mut printed, written]: [Value; 2] = documented().try_into().unwrap();
    // The one field that a running job cannot have.
    for object in [&mut is, &mut printed] {
        assert!(object["exit_code"].take().is_null());
    }
    assert_eq!(shape_of(&is), shape_of(&printed));
    assert_eq!(shape_of(&live), shape_of(&written));
    let text = document();
    for field in is.as_object().unwrap().keys().chain(live.as_object().unwrap().keys()) {
        assert!(text.contains(&format!("`{field}`")) || text.contains(&format!("\"{field}\"")), "{field}");
    }
}

#[test]
fn a_job_that_does_not_run_has_the_same_fields_with_nothing_in_them() {
    let world = GREP.world();
    let run = slow(&world).start().until_checkpoint_at_least(1);
    run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    let is = look(&world);
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&is), names(&documented()[0]));
    for field in
        ["worked_seconds", "bytes_per_second", "tasks_per_second", "eta_seconds", "workers", "holder"]
    {
        assert!(is[field].is_null(), "{field}: {is}");
    }
    assert_eq!(is["signals"], Value::Array(Vec::new()));
}

#[test]
fn the_values_are_right() {
    let world = GREP.world();
    let run = slow(&world).start().until_checkpoint_at_least(2);
    let now = look_until_all_is_known(&world);
    let size = world.read("big.txt").len() as u64;
    assert_eq!(now["format"], 2);
    assert_eq!(now["phase"], "running");
    assert_eq!(now["job"], "grep");
    assert_eq!(now["workers"], 2);
    assert_eq!(now["holder"]["pid"].as_u64(), Some(run.pid().as_raw() as u64));
    assert_eq!(now["bytes"]["total"].as_u64(), Some(size));
    assert_eq!(now["bytes"]["before"], 0);
    let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("{value} in {now}"));
    let (done, worked) = (number(&now["bytes"]["done"]), number(&now["worked_seconds"]));
    assert!(done > 0.0 && done <= size as f64, "{now}");
    assert_eq!(number(&now["percent"]), (done * 100.0 / size as f64).floor());
    let rate = number(&now["bytes_per_second"]);
    assert!((rate - done / worked).abs() <= rate / 1000.0, "{now}");
    assert!((number(&now["eta_seconds"]) - (size as f64 - done) / rate).abs() < 0.1, "{now}");
    assert!(number(&now["tasks"]["done"]) <= number(&now["tasks"]["total"]), "{now}");
    assert!(number(&now["checkpoint"]["tasks"]) > 0.0 && number(&now["checkpoint"]["age_seconds"]) < 60.0);
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    assert!((clock - number(&now["holder"]["since"])).abs() < 120.0, "{now}");
    let of = |signal: &str| {
        now["signals"].as_array().unwrap().iter().find(|row| row["signal"] == signal).unwrap().clone()
    };
    assert_eq!((&of("TERM")["request"], &of("TERM")["heard"]), (&"stop".into(), &true.into()));
    assert_eq!(of("TSTP")["request"], "suspend");
    // And a second run knows what the first has done.
    run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    let stopped = look(&world);
    assert_eq!(stopped["run"], now["run"]);
    let run = slow(&world).start().until("ready");
    let again = look_until_all_is_known(&world);
    assert_eq!(again["bytes"]["before"], stopped["bytes"]["done"]);
    assert_eq!(again["run"], now["run"]);
    run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
}

#[test]
fn a_pause_is_no_work() {
    let world = GREP.world();
    let began = Instant::now();
    let run = slow(&world).start().until_checkpoint_at_least(1);
    world.bivouac("pause").run().expect_code(0);
    let run = run.until("phase paused");
    let paused = Instant::now();
    let run = run.let_pass(Duration::from_secs(1));
    let paused = paused.elapsed();
    world.bivouac("resume").run().expect_code(0);
    let worked = look_until_all_is_known(&world)["worked_seconds"].as_f64().unwrap();
    let at_most = (began.elapsed() - paused).as_secs_f64();
    assert!(worked <= at_most, "the pause was counted: {worked} s, and it cannot be more than {at_most}");
    run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
}

#[test]
fn people_read_the_same_in_a_few_lines() {
    let world = GREP.world();
    let run = slow(&world).start().until_checkpoint_at_least(2);
    look_until_all_is_known(&world);
    let ended = world.bivouac("status out.bivouac").run().expect_code(0);
    let text = String::from_utf8(ended.stdout).unwrap();
    let size = bytes(world.read("big.txt").len());
    for part in [
        "out.bivouac: running\n  job         grep\n".to_string(),
        "\n  done        ".to_string(),
        format!(" of {size}\n"),
        " left\n".to_string(),
        format!("held by     process {} on ", run.pid()),
        "To continue it after a stop, in /".to_string(),
        " big.txt --output out ".to_string(),
    ] {
        assert!(text.contains(&part), "“{part}” is not in\n{text}");
    }
    run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    let ended = world.bivouac("status").run().expect_code(0);
    let text = String::from_utf8(ended.stdout).unwrap();
    assert!(text.starts_with("out.bivouac: stopped (not running, can be continued)\n"), "{text}");
    assert!(text.contains("\nTo continue, in /"), "{text}");
}

fn bytes(size: usize) -> String {
    format!("{:.1} MiB", size as f64 / f64::from(1 << 20))
}

#[test]
fn a_damaged_status_file_is_no_obstacle() {
    let world = GREP.world();
    let run = slow(&world).start().until_checkpoint_at_least(1);
    run.signal(nix::sys::signal::Signal::SIGKILL).wait();
    for text in ["", "{", "{\"format\": 99}"] {
        world.write("out.bivouac/status.json", text);
        assert_eq!(look(&world)["phase"], "stopped");
    }
    GREP.command(&world).run().expect_code(0);
    GREP.expect_right_output(&world);
}
