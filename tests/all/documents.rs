//! The documents: links to lines hit what they name, what is quoted is what stands in the file, and the
//! Python sketches of `docs/interview.md` do with real signals what the text says of them.

use crate::harness::{Bivouac, World, python};
use nix::sys::signal::Signal;
use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn relink(place: &Path, arguments: &[&str]) -> Output {
    let script = root().join("scripts/relink");
    Command::new(python()).arg(script).arg("--root").arg(place).args(arguments).output().unwrap()
}

#[test]
fn links_to_lines_hit_the_item_that_they_name() {
    let seen = relink(root(), &["--check"]);
    let faults = String::from_utf8_lossy(&seen.stderr);
    assert!(seen.status.success(), "\n{faults}`scripts/relink` puts the lines and quotes right.");
}

#[test]
fn a_wrong_link_is_noticed_and_mended_and_a_dead_one_only_noticed() {
    let world = World::new();
    let source = "struct A;\n\nimpl A {\n    fn go() {}\n}\n\nimpl B {\n    fn go() {}\n}\n\nfn alone() {}\n";
    world.write("src/a.rs", source);
    world.write("docs/quoted.py", "print(1)\n");
    let link = |a: &str, alone: &str, quoted: &str| {
        format!(
            "[`A::go`](../src/a.rs#L{a}) and [`B::go`](../src/a.rs#L8), [`alone`](../src/a.rs#L{alone})\n\
             ```text\n[`A::go`](../src/a.rs#L99) is no link here\n```\n\
             <!-- quoted.py -->\n```python\n{quoted}```\n"
        )
    };
    world.write("docs/text.md", link("8", "1", "print(2)\n"));

    let seen = relink(world.root(), &["--check"]);
    assert_eq!(seen.status.code(), Some(1));
    let faults = String::from_utf8_lossy(&seen.stderr).into_owned();
    assert!(faults.contains("docs/text.md:1: `A::go` is on line 4 of ../src/a.rs, not on 8"), "{faults}");
    assert!(faults.contains("`alone` is on line 11"), "{faults}");
    assert!(faults.contains("not what stands in quoted.py"), "{faults}");
    assert_eq!(faults.lines().count(), 3, "{faults}");

    assert!(relink(world.root(), &[]).status.success());
    assert_eq!(String::from_utf8_lossy(&world.read("docs/text.md")), link("4", "11", "print(1)\n"));
    assert!(relink(world.root(), &["--check"]).status.success());

    for (dead, why) in [
        ("[`gone`](../src/a.rs#L1)", "`gone` is not defined in ../src/a.rs"),
        ("[`go`](../src/a.rs#L4)", "a method is named with its owner"),
        ("[`A`](../src/b.rs#L1)", "../src/b.rs is no file"),
        ("[a struct](../src/a.rs#L1)", "in backticks"),
        ("[text](nowhere.md)", "nowhere.md does not exist"),
        ("[text](crate::a)", "a link only where rustdoc shows it"),
        ("see [`gone`].\n\n[`gone`]: ../src/a.rs#L1", "`gone` is not defined in ../src/a.rs"),
        ("see [`gone`].\n\n[`gone`]: ../src/b.rs", "../src/b.rs does not exist"),
        ("see [`A`].", "[`A`] is no link: it needs a definition at the end"),
        ("see [the struct][`A`].", "[`A`] is no link"),
        ("none\n\n[`A`]: ../src/a.rs#L1", "the definition of `A` is not used"),
        ("# One\n\n[text](text.md#two)", "has no heading #two"),
    ] {
        world.write("docs/text.md", dead);
        for arguments in [&["--check"][..], &[]] {
            let seen = relink(world.root(), arguments);
            let faults = String::from_utf8_lossy(&seen.stderr).into_owned();
            assert!(seen.status.code() == Some(1) && faults.contains(why), "{dead}: {faults}");
        }
        assert_eq!(world.read("docs/text.md"), dead.as_bytes());
    }
}

/// Where rustdoc shows a document, its labels lead to the pages of the source: a list says so, made of the
/// same definitions.
#[test]
fn the_labels_of_pages_of_the_crate_are_defined_for_both_and_kept_right() {
    let world = World::new();
    world.write("src/a.rs", "struct A;\n\nimpl A {\n    fn go() {}\n}\n");
    let text =
        |line| format!("# It\n\nSee [`A::go`] and [`a`].\n\n[`A::go`]: src/a.rs#L{line}\n[`a`]: src/a.rs\n");
    world.write("ARCHITECTURE.md", text(1));
    let seen = relink(world.root(), &["--check"]);
    let faults = String::from_utf8_lossy(&seen.stderr).into_owned();
    assert!(faults.contains("`A::go` is on line 4 of src/a.rs, not on 1"), "{faults}");
    assert!(faults.contains("docs/links.txt: is not made from"), "{faults}");

    assert!(relink(world.root(), &[]).status.success());
    assert_eq!(String::from_utf8_lossy(&world.read("ARCHITECTURE.md")), text(4));
    let links = "[`A::go`]: ../../src/bivouac/a.rs.html#4\n[`a`]: ../../src/bivouac/a.rs.html\n";
    assert_eq!(String::from_utf8_lossy(&world.read("docs/links.txt")), links);
    assert!(relink(world.root(), &["--check"]).status.success());

    let doc = ["--check", "--doc", &world.path("doc").display().to_string()].map(str::to_string);
    let doc: Vec<&str> = doc.iter().map(String::as_str).collect();
    assert!(!relink(world.root(), &doc).status.success(), "rustdoc has written no such page");
    world.write("doc/bivouac/architecture/index.html", "");
    world.write("doc/src/bivouac/a.rs.html", "");
    assert!(relink(world.root(), &doc).status.success());

    world.write("ARCHITECTURE.md", "[`A`](src/a.rs#L1)\n");
    let seen = relink(world.root(), &["--check"]);
    assert!(String::from_utf8_lossy(&seen.stderr).contains("give [`A`] a label"));
}

#[test]
fn every_sketch_is_quoted_as_it_is() {
    let text = fs::read_to_string(root().join("docs/interview.md")).unwrap();
    let mut sketches = 0;
    for entry in fs::read_dir(root().join("docs/python")).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        let sketch = fs::read_to_string(&path).unwrap();
        assert!(text.contains(&format!("```python\n{sketch}```\n")), "{} is not quoted", path.display());
        sketches += 1;
    }
    assert_eq!(text.matches("```python\n").count(), sketches, "a sketch is quoted that is no file");
}

/// A sketch, run by Python in the test's own directory.
fn sketch<'w>(world: &'w World, name: &str, arguments: &[&str]) -> Bivouac<'w> {
    let path = root().join("docs/python").join(name).display().to_string();
    let python = python();
    let words: Vec<&str> =
        [python.as_str(), path.as_str()].into_iter().chain(arguments.iter().copied()).collect();
    world.program(&words)
}

#[test]
fn the_sketch_of_a_graceful_stop_finishes_its_unit_and_dies_of_the_signal() {
    let world = World::new();
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        sketch(&world, "stop.py", &["1000000"])
            .start()
            .until("ready")
            .signal(signal)
            .wait()
            .expect_killed_by(signal)
            .expect_says(" of 1000000 units are done");
    }
    sketch(&world, "stop.py", &["3"]).run().expect_code(0).expect_says("3 of 3 units are done");
}

#[test]
fn the_sketch_of_the_defaults_cleans_up_after_sigint_only() {
    let world = World::new();
    let run = || sketch(&world, "int_or_term.py", &[]).start().until("ready");
    run()
        .signal(Signal::SIGINT)
        .wait()
        .expect_killed_by(Signal::SIGINT)
        .expect_says("SIGINT came as KeyboardInterrupt")
        .expect_says("finally: cleaned up");
    run().signal(Signal::SIGTERM).wait().expect_killed_by(Signal::SIGTERM).expect_says_not("finally");
}

#[test]
fn the_sketch_with_threads_answers_stops_and_dies_of_the_signal() {
    let world = World::new();
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        sketch(&world, "threads.py", &["4000"])
            .start()
            .until("ready")
            .signal(Signal::SIGUSR1)
            .until("status: ")
            .signal(Signal::SIGUSR1)
            .until("status: ")
            .signal(signal)
            .until(&format!("stopping by {signal}"))
            .wait()
            .expect_killed_by(signal)
            .expect_says(" of 4000 tasks are done");
    }
    sketch(&world, "threads.py", &["20"]).run().expect_code(0).expect_says("20 of 20 tasks are done");
}

#[test]
fn the_sketch_of_a_server_reloads_keeps_and_answers() {
    let world = World::new();
    world.write("config.json", r#"{"greeting": "good morning"}"#);
    let run = sketch(&world, "service.py", &["config.json"]).start().until("ready on port ");
    let port: u16 = run.said().trim().rsplit(' ').next().unwrap().parse().unwrap();
    let greeting = || {
        let mut said = String::new();
        TcpStream::connect(("127.0.0.1", port)).unwrap().read_to_string(&mut said).unwrap();
        said
    };
    assert_eq!(greeting(), "good morning");
    world.write("config.json", r#"{"greeting": "good evening"}"#);
    assert_eq!(greeting(), "good morning", "nobody has asked it to read again");

    let run = run.signal(Signal::SIGHUP).until("reloaded: good evening");
    assert_eq!(greeting(), "good evening");
    world.write("config.json", "{");
    let run = run.signal(Signal::SIGHUP).until("kept the old configuration");
    assert_eq!(greeting(), "good evening");
    run.signal(Signal::SIGUSR1)
        .until("status: 4 served")
        .signal(Signal::SIGTERM)
        .until("end")
        .wait()
        .expect_code(0);
}

/// What of the manifest matters to a shard. (`scripts/cluster manifest` checks it against the schema of Kubernetes.)
#[test]
fn the_manifest_for_kubernetes_has_the_fields_on_which_shards_rely() {
    let script = "import sys
try: import yaml
except ImportError: sys.exit(0)
job = yaml.safe_load(open(sys.argv[1]))
spec, pod = job['spec'], job['spec']['template']['spec']
command = pod['containers'][0]['command']
rules = {rule['action']: [] for rule in spec['podFailurePolicy']['rules']}
for rule in spec['podFailurePolicy']['rules']:
    rules[rule['action']] += rule.get('onExitCodes', {}).get('values', []) + [one['type'] for one in rule.get('onPodConditions', [])]
assert job['apiVersion'] == 'batch/v1' and job['kind'] == 'Job' and spec['completionMode'] == 'Indexed'
assert f\"auto/{spec['completions']}\" in command and '--wait' in command
assert rules == {'Ignore': ['DisruptionTarget', 75], 'FailIndex': [2, 3, 126, 127]}, rules
assert pod['restartPolicy'] == 'Never' and spec['backoffLimitPerIndex'] > 0 and pod['terminationGracePeriodSeconds'] > 7
print(*command)";
    let path = root().join("docs/kubernetes.yaml");
    let seen = Command::new(python()).args(["-c", script]).arg(path).output().unwrap();
    assert!(seen.status.success(), "{}", String::from_utf8_lossy(&seen.stderr));
}
