//! Are the metrics right, whole, and no reason for a job to fail?

use crate::harness::World;
use crate::jobs::GREP;
use crate::masks::field_of_threads;
use crate::running::{DEADLINE, Running};
use nix::sys::signal::Signal::{SIGTERM, SIGUSR1};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{Duration, Instant};

/// The sum of all samples with this name and these labels.
fn value(text: &str, name: &str, labels: &str) -> Option<f64> {
    let ours = |line: &&str| line.starts_with(&format!("bivouac_{name}{{")) && line.contains(labels);
    text.lines().find(ours).map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

fn address(run: &Running<'_>) -> String {
    let said = run.said();
    let at = said.find("http://").unwrap_or_else(|| panic!("{said}"));
    said[at + 7..].split('/').next().unwrap().to_string()
}

fn ask(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn get(address: &str, path: &str) -> String {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: here\r\n\r\n"))
}

/// The verdict of `promtool`, where it is installed.
fn expect_valid(world: &World, text: &str) {
    world.write("all.prom", text);
    let seen =
        world.command("sh").args(["-c", "command -v promtool && promtool check metrics < all.prom"]).output();
    let seen = seen.unwrap();
    if seen.stdout.is_empty() {
        return crate::jobcontrol::say("SKIPPED: there is no promtool, so no metrics are checked by it");
    }
    assert!(seen.status.success(), "{}", String::from_utf8_lossy(&[seen.stdout, seen.stderr].concat()));
}

#[test]
fn the_file_says_how_far_the_job_came_and_others_may_read_it() {
    let world = GREP.world();
    let metrics = || String::from_utf8(world.read("job.prom")).unwrap();
    let slow = GREP.slow(&world).with("--metrics job.prom").start().until("ready");
    assert_eq!(value(&metrics(), "phase", "phase=\"starting\""), Some(1.0));
    let before = std::fs::metadata(world.path("job.prom")).unwrap().ino();
    let run = slow.until_checkpoint_at_least(1).signal(SIGUSR1).until("status:");
    run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    let text = metrics();
    assert_eq!(value(&text, "phase", "phase=\"stopped\""), Some(1.0), "{text}");
    assert_eq!(value(&text, "exit_code", ""), Some(143.0));
    assert_eq!(value(&text, "signals_total", "signal=\"SIGUSR1\",request=\"checkpoint\""), Some(1.0));
    assert!(value(&text, "checkpoints_total", "").unwrap() >= 2.0);
    let done = value(&text, "tasks_total", "state=\"done\"").unwrap();
    assert!(done >= 1.0 && done < value(&text, "tasks_expected", "").unwrap(), "{text}");
    let state = world.root().canonicalize().unwrap().join("out.bivouac");
    assert!(text.contains(&format!("{{verb=\"grep\",state_dir=\"{}\"", state.display())), "{text}");
    let facts = std::fs::metadata(world.path("job.prom")).unwrap();
    assert_ne!(facts.ino(), before, "replaced, and not written over");
    assert_eq!(facts.permissions().mode() & 0o444, 0o444);
    expect_valid(&world, &text);

    GREP.command(&world).with("--metrics job.prom").run().expect_code(0);
    let text = metrics();
    assert_eq!(value(&text, "tasks_total", "state=\"done\""), value(&text, "tasks_expected", ""));
    assert_eq!(value(&text, "input_bytes_total", ""), Some(world.read("big.txt").len() as f64));
    assert_eq!(value(&text, "output_bytes_total", ""), Some(world.read("out").len() as f64));
    assert_eq!(value(&text, "exit_code", ""), Some(0.0));
    let left: Vec<_> =
        std::fs::read_dir(world.root()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("metrics")), "{left:?}");
    // A job that was finished before has figures, too.
    std::fs::remove_file(world.path("job.prom")).unwrap();
    GREP.command(&world).with("--metrics job.prom").run().expect_code(0);
    assert_eq!(value(&metrics(), "output_bytes_total", ""), Some(world.read("out").len() as f64));
}

#[test]
fn metrics_that_cannot_be_written_are_a_warning() {
    let world = World::new();
    world.write("in", "1\n");
    std::fs::create_dir(world.path("directory")).unwrap();
    for (options, why) in [
        ("--metrics missing/job.prom", "missing/job.prom: No such file"),
        ("--metrics directory", "directory: it is no regular file"),
        ("--metrics-listen 192.0.2.1:9464", "192.0.2.1:9464: "),
    ] {
        let run = world.bivouac("count in --fresh -o out").with(options).run().expect_code(0);
        run.expect_says(&format!("warning: {why}")).expect_says("the job goes on without these metrics");
    }
    for (options, why) in [
        ("--metrics out", "--metrics is the same file as the output"),
        ("--metrics in", "--metrics is the same file as an input"),
        ("--metrics log --log-file log", "--log-file is the same file as the metrics"),
        ("--metrics-listen nowhere", "expected a port such as `9464`"),
    ] {
        world.bivouac("count in --fresh -o out").with(options).run().expect_code(2).expect_says(why);
    }
    assert_eq!(world.read("in"), b"1\n");
}

#[test]
fn http_answers_while_the_job_runs_and_no_thread_of_it_takes_a_signal() {
    let world = GREP.world();
    let run =
        GREP.slow(&world).with("--metrics job.prom --metrics-listen 0").start().until_checkpoint_at_least(1);
    let address = address(&run);
    assert!(address.starts_with("127.0.0.1:"), "{address}");
    let answer = get(&address, "/metrics");
    let (head, text) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4"), "{head}");
    assert!(head.contains(&format!("Content-Length: {}\r\n", text.len())), "{head}");
    assert_eq!(value(text, "phase", "phase=\"running\""), Some(1.0), "{text}");
    expect_valid(&world, text);
    assert!(get(&address, "/healthz").ends_with("\r\n\r\nok\n"));
    assert!(get(&address, "/").starts_with("HTTP/1.1 404 "));
    assert!(ask(&address, "DELETE /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405 "));
    assert!(ask(&address, "\r\n\r\n").starts_with("HTTP/1.1 400 "));

    // A client that says nothing holds the others for two seconds, and the job not at all.
    let silent = TcpStream::connect(&address).unwrap();
    let since = Instant::now();
    assert!(get(&address, "/healthz").starts_with("HTTP/1.1 200 "));
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
    drop(silent);

    let blocked = field_of_threads(run.pid(), "SigBlk");
    for name in ["metrics", "metrics http"] {
        let of_thread = blocked.iter().find(|(is, _)| is == name);
        let (_, mask) = of_thread.unwrap_or_else(|| panic!("no thread {name}: {blocked:?}"));
        assert_ne!(mask & crate::masks::bits(&[SIGTERM]), 0, "{name}");
    }
    // A second job cannot have the same address, and goes on.
    let second = world.bivouac("count big.txt -o n").with("--metrics-listen").with(&address).run();
    second.expect_code(0).expect_says("Address already in use");
    run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
}

#[test]
fn the_merge_has_the_address_of_the_last_shard() {
    let world = GREP.world();
    GREP.command(&world).with("--shard 1/2").run().expect_code(0);
    let last = GREP.command(&world).with("--shard 2/2 --metrics-listen 127.0.0.1:0 --metrics m.prom").run();
    last.expect_code(0).expect_says_not("warning");
    let text = String::from_utf8(world.read("m.prom")).unwrap();
    assert_eq!(value(&text, "phase", "phase=\"finished\""), Some(1.0));
}

/// Its metrics and its log may lie in the tree that is listed. The last shard merges, with the same log.
#[test]
fn a_tree_is_listed_without_what_the_job_itself_writes_there() {
    let world = World::new();
    world.write("t/a", "a\n");
    world.write("t/job.3.prom", "of nobody\n");
    world.bivouac("digest t -o expected").run().expect_code(0);
    world.write("c.toml", "metrics = 't/job.prom'\n[log]\nfile = 't/log'\n");
    for given in ["--metrics t/job.prom --log-file t/log", "--config c.toml"] {
        for shards in [&[""][..], &["--shard 1/2", "--shard 2/2"]] {
            for shard in shards {
                let line = world.bivouac("digest t -o out").with(given).with(shard);
                line.run().expect_code(0).expect_says_not("warning");
            }
            assert!(world.exists("t/job.prom"), "{given} {shards:?}");
            assert_eq!(world.read("out"), world.read("expected"), "{given} {shards:?}");
            let log = String::from_utf8(world.read("t/log")).unwrap();
            assert_eq!(log.matches(" finished ").count(), if shards.len() == 1 { 1 } else { 3 }, "{log}");
            world.shell("rm -rf out* t/job.prom t/job.[12].prom t/log");
        }
    }
}

/// All of them have one configuration, and a collector reads all files of a directory together.
#[test]
fn each_shard_has_a_file_and_a_label_of_its_own() {
    let world = GREP.world();
    world.write("c.toml", "metrics = 'job.prom'\n");
    let read = |name: &str| String::from_utf8(world.read(name)).unwrap();
    for (shard, given) in [(1, "--config c.toml"), (2, "--metrics job.prom")] {
        let job = GREP.command(&world).with(&format!("--shard {shard}/3")).with(given);
        job.run().expect_code(0).expect_says_not("warning");
        assert!(!world.exists("job.prom"));
    }
    let by_variable = GREP.command(&world).with("--shard 3/3").under("env BIVOUAC_METRICS=job.prom");
    by_variable.run().expect_code(0);
    let done = |text: &str| value(text, "tasks_total", "state=\"done\"").unwrap();
    let mut sum = 0.0;
    for shard in 1..=3 {
        let text = read(&format!("job.{shard}.prom"));
        let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(samples.iter().all(|line| line.contains(&format!(",shard=\"{shard}\""))), "{text}");
        assert_eq!(value(&text, "phase", "phase=\"finished\""), Some(1.0));
        sum += done(&text);
    }
    let merged = read("job.prom");
    assert!(!merged.contains("shard="), "{merged}");
    GREP.command(&world).with("--output whole --metrics whole.prom").run().expect_code(0);
    assert_eq!(sum, done(&read("whole.prom")));
    // Two that run at the same time do not write into each other's file.
    let world = GREP.world();
    let start = |shard| {
        let job = GREP.slow(&world).with(&format!("--shard {shard}/2 --metrics job"));
        job.start().until_checkpoint_at_least(1)
    };
    let (one, two) = (start(1), start(2));
    for (run, shard) in [(one, 1), (two, 2)] {
        run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
        let text = String::from_utf8(world.read(&format!("job.{shard}"))).unwrap();
        assert_eq!(value(&text, "phase", "phase=\"stopped\""), Some(1.0), "{text}");
        assert!(text.contains(&format!("out.bivouac/shards/{shard}\",shard=\"{shard}\"")), "{text}");
    }
}
