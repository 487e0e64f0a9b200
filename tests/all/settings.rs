//! Do the example, the schema, the environment and the command line mean the same settings, and which of them counts?

use crate::harness::{World, python};
use std::process::Stdio;

/// The example with every setting in force.
fn all_set(world: &World) -> String {
    let example = world.bivouac("config --example").run().expect_code(0).stdout;
    let example = String::from_utf8(example).unwrap();
    world.write("example.toml", &example);
    let set = |line: &str| match line.strip_prefix('#') {
        Some(setting) if !setting.is_empty() && !setting.starts_with(' ') => setting.to_string(),
        Some(_) | None => line.to_string(),
    };
    example.lines().map(|line| set(line) + "\n").collect()
}

#[test]
fn the_example_is_a_configuration() {
    let world = World::new();
    world.write("all.toml", all_set(&world));
    world.bivouac("config all.toml").run().expect_code(0).expect_stdout(b"");
    world.bivouac("config example.toml").run().expect_code(0);
    world.bivouac("each --config example.toml true ::: 1").run().expect_code(0);
    world.write("wrong.toml", "jobs = 1\n\ngrace = 'soon'\n");
    world.bivouac("config wrong.toml").run().expect_code(2).expect_says("wrong.toml, line 3: 'soon'");
    world.bivouac("config missing.toml").run().expect_code(2);
    world.bivouac("config").run().expect_code(2);
}

/// Reads TOML from the files that are named, and says of each whether the schema allows it.
const VALIDATE: &str = "
import json, sys, tomllib
import jsonschema
schema = json.load(open('schema.json'))
jsonschema.Draft202012Validator.check_schema(schema)
for name in sys.argv[1:]:
    with open(name, 'rb') as file:
        error = jsonschema.exceptions.best_match(
            jsonschema.Draft202012Validator(schema).iter_errors(tomllib.load(file)))
    print(name, error.message if error else 'valid')
";

#[test]
fn the_schema_allows_what_the_parser_allows() {
    let world = World::new();
    world.write("all.toml", all_set(&world));
    world.write("schema.json", world.bivouac("config --schema").run().expect_code(0).stdout);
    let wrong = [
        ("name.toml", "job = 3\n"),
        ("list.toml", "jobs = [1]\n"),
        ("level.toml", "[log]\nlevel = 'loud'\n"),
        ("table.toml", "[log]\nfiles = 'x'\n"),
        ("signal.toml", "[signals]\nKILL = 'stop'\n"),
        ("request.toml", "[signals]\nUSR2 = 'explode'\n"),
    ];
    for (name, text) in wrong {
        world.write(name, text);
        world.bivouac("config").with(name).run().expect_code(2);
    }
    let names = ["all.toml", "example.toml"].into_iter().chain(wrong.map(|(name, _)| name));
    let mut python = world.command(&python());
    let seen = python.args(["-c", VALIDATE]).args(names).stdin(Stdio::null()).output().unwrap();
    let (said, complaint) =
        (String::from_utf8(seen.stdout).unwrap(), String::from_utf8(seen.stderr).unwrap());
    if complaint.contains("No module named") {
        return crate::jobcontrol::say(
            "SKIPPED: python3 has no jsonschema or tomllib, so no schema is tried",
        );
    }
    assert!(seen.status.success(), "{complaint}");
    let valid: Vec<_> = said.lines().filter(|line| line.ends_with(" valid")).collect();
    assert_eq!(valid, ["all.toml valid", "example.toml valid"], "{said}");
    assert_eq!(said.lines().count(), 2 + wrong.len(), "{said}");
}

#[test]
fn an_option_counts_more_than_the_environment_and_that_more_than_the_file() {
    let world = World::new();
    world.write("c.toml", "jobs = 2\n[signals]\nUSR2 = 'checkpoint'\n");
    let ready = |options: &str, environment: &str, workers: &str| {
        let run = world.bivouac(&format!("each --fresh {options} true ::: 1"));
        let run = run.under(&format!("env {environment}")).run().expect_code(0);
        run.expect_says(&format!("ready, {workers}"));
    };
    ready("--config c.toml", "", "2 workers");
    ready("", "BIVOUAC_CONFIG=c.toml", "2 workers");
    ready("", "BIVOUAC_CONFIG=c.toml BIVOUAC_JOBS=3", "3 workers");
    ready("--jobs 1", "BIVOUAC_CONFIG=c.toml BIVOUAC_JOBS=3", "1 worker");
    let signals = world.bivouac("signals").under("env BIVOUAC_CONFIG=c.toml").run().expect_code(0);
    signals.expect_stdout_says("USR2    checkpoint  c.toml");
    let wrong = world.bivouac("each true ::: 1").under("env BIVOUAC_JOBS=many").run().expect_code(2);
    wrong.expect_says("BIVOUAC_JOBS: 'many'");
}

#[test]
fn a_bivouac_inside_another_one_takes_nothing_that_was_meant_for_the_outer_one() {
    let world = World::new();
    let script = "bivouac each --verbose true ::: 1 2>&1 | grep -c 'ready, 3 workers'";
    let run = world.bivouac("each sh -c").words(&[script, "sh", ":::", "1"]);
    let run = run.under("env BIVOUAC_JOBS=3 BIVOUAC_LOG_FILE=log").run();
    run.expect_code(1).expect_says("ready, 3 workers").expect_stdout(b"0\n");
    let log = String::from_utf8(world.read("log")).unwrap();
    assert_eq!(log.matches(" started ").count(), 1, "{log}");
}
