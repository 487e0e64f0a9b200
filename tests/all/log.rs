//! The log file: every signal, request, phase and checkpoint, and nothing lost when it is moved away.

use crate::harness::World;
use crate::jobs::GREP;
use nix::sys::signal::Signal::*;
use serde_json::Value;

fn events(world: &World, name: &str) -> Vec<Value> {
    let text = String::from_utf8(world.read(name)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"))).collect()
}

fn with_message<'e>(events: &'e [Value], message: &str) -> Vec<&'e Value> {
    events.iter().filter(|event| event["message"] == message).collect()
}

#[test]
fn everything_that_happened_is_there_as_json() {
    let world = GREP.world();
    let run = GREP.slow(&world).with("--log-file log --log-format json --on URG=pause").start();
    let run = run.until_at_work().signal(SIGURG).until("phase paused").signal(SIGCONT);
    let run = run.until("phase running").signal(SIGUSR1).until("status: running");
    let pid = run.pid().as_raw();
    run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);

    let events = events(&world, "log");
    assert!(events.iter().all(|event| event["timestamp"].as_str().unwrap().ends_with('Z')));
    assert_eq!(events.first().unwrap()["message"], "started");
    assert_eq!(events.first().unwrap()["pid"], pid);
    let last = events.last().unwrap();
    assert_eq!((&last["message"], &last["exit"]), (&"stopped".into(), &"SIGTERM".into()));
    let signals = with_message(&events, "signal");
    for (signal, request) in
        [("SIGURG", "pause"), ("SIGCONT", "resume"), ("SIGUSR1", "checkpoint"), ("SIGTERM", "stop")]
    {
        let event = signals.iter().find(|event| event["signal"] == signal).unwrap();
        assert_eq!(event["request"], request);
        assert_eq!(event["from"], "process");
        assert_eq!(event["pid"], std::process::id());
        assert!(event["uid"].is_u64());
    }
    let phases: Vec<&str> =
        with_message(&events, "phase").iter().map(|event| event["phase"].as_str().unwrap()).collect();
    for phase in ["pausing", "paused", "running", "stopping"] {
        assert!(phases.contains(&phase), "{phases:?}");
    }
    let checkpoints = with_message(&events, "checkpoint");
    assert!(checkpoints.iter().any(|event| event["asked"] == true));
    assert!(checkpoints.iter().all(|event| event["took_ms"].as_f64().unwrap() > 0.0));
}

#[test]
fn the_continued_run_appends_and_text_is_for_people() {
    let world = GREP.world();
    let logged = |slow| {
        let command = if slow { GREP.slow(&world) } else { GREP.command(&world) };
        command.with("--log-file log")
    };
    logged(true).start().until_at_work().signal(SIGINT).wait().expect_stopped_by(SIGINT);
    logged(false).run().expect_code(0);
    let text = String::from_utf8(world.read("log")).unwrap();
    assert_eq!(text.matches(" INFO started ").count(), 2, "{text}");
    assert!(text.contains(" INFO signal signal=\"SIGINT\" request=\"stop\" from=\"process\""), "{text}");
    assert!(text.contains(" INFO resumed "), "{text}");
    assert!(text.trim_end().lines().last().unwrap().contains(" INFO finished "), "{text}");
}

/// What `logrotate` does: rename, then SIGHUP.
#[test]
fn a_log_that_was_moved_away_is_opened_anew() {
    let world = GREP.world();
    world.write("c.toml", "[log]\nfile = 'log'\nlevel = 'warn'\n");
    let run = GREP.slow(&world).with("--config c.toml").under("setsid").start().until("ready");
    std::fs::rename(world.path("log"), world.path("log.1")).unwrap();
    world.write("c.toml", "[log]\nfile = 'log'\nlevel = 'info'\n");
    let run = run.signal(SIGHUP).until("reloaded: log level warn -> info");
    run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    assert!(world.read("log.1").is_empty(), "only warnings");
    let text = String::from_utf8(world.read("log")).unwrap();
    assert!(text.contains("SIGTERM") && !text.contains("SIGHUP"), "{text}");
}

#[test]
fn the_last_words_before_a_death_are_in_the_log() {
    let world = GREP.world();
    let run = GREP.slow(&world).with("--log-file log").start().until_at_work();
    run.signal(SIGQUIT).wait().expect_killed_by(SIGQUIT);
    let text = String::from_utf8(world.read("log")).unwrap();
    assert!(text.trim_end().lines().last().unwrap().contains(" INFO running "), "{text}");
}

#[test]
fn a_log_that_cannot_be_opened_is_wrong_usage_and_nothing_is_touched() {
    let world = GREP.world();
    GREP.command(&world)
        .with("--log-file none/log")
        .run()
        .expect_code(2)
        .expect_says("none/log: cannot open the log file");
    assert!(!world.exists("out.part") && !world.exists("out.bivouac") && !world.exists("out"));
}

#[test]
fn a_log_on_a_full_device_harms_nobody() {
    let world = GREP.world();
    GREP.command(&world).with("--log-file /dev/full").run().expect_code(0);
    GREP.expect_right_output(&world);
}
