//! A record with a right checksum, and in it what this program does not write: of a newer version, say.

use super::{expect_refusal, expect_refusals, stopped, stopped_grep};
use crate::harness::World;
use crate::jobs::GREP;
use bivouac::disk::OsDisk;
use bivouac::record::Record;
use bivouac::state_dir::StateDir;
use nix::sys::signal::Signal::SIGTERM;
use serde_json::json;

fn forge(world: &World, change: impl FnOnce(&mut Record)) {
    let state = StateDir::open(&OsDisk, &world.path("out.bivouac")).unwrap().unwrap();
    let mut record = state.read_record().unwrap().unwrap();
    change(&mut record);
    world.write("out.bivouac/checkpoint.json", record.encode().unwrap());
    drop(state);
}

#[test]
fn of_another_version() {
    let world = stopped_grep();
    let record = String::from_utf8(world.read("out.bivouac/checkpoint.json")).unwrap();
    world.write("out.bivouac/checkpoint.json", record.replacen("\"format\": 1,", "\"format\": 2,", 1));
    for line in [GREP.arguments, "status out.bivouac", "clean out.bivouac", "log out.bivouac"] {
        expect_refusals(&world, &[(line, 3, "is a checkpoint of format 2")]);
    }
    world.write("out.bivouac/checkpoint.json", record.replacen("\"format\": 1,", "\"format\": 0,", 1));
    expect_refusals(&world, &[(GREP.arguments, 3, "it does not begin as one")]);
    world.write("out.bivouac/checkpoint.json", record);
    GREP.command(&world).run().expect_code(0);
}

#[test]
fn of_what_is_in_it() {
    type Change = fn(&mut Record);
    let changes: [(&str, Change); 5] = [
        ("its total is of another job", |record| record.total = json!("much")),
        ("inputs in the record", |record| record.inputs = json!([1, 2])),
        ("their blocks have 0 bytes", |record| record.inputs["block"] = json!(0)),
        ("contradicts itself about this file", |record| {
            record.output.as_mut().unwrap().bytes += 1;
        }),
        ("the state belongs to another job", |record| record.job = "sort".into()),
    ];
    for (reason, change) in changes {
        let world = stopped_grep();
        forge(&world, change);
        expect_refusal(&world, &GREP.command(&world), 3, reason, reason);
    }
}

#[test]
fn of_other_sources() {
    for (line, reason) in [
        ("pipe big.txt -o out --block 32KiB -- cat", "inputs in the record"),
        ("digest tree -o out", "its inputs are not those of a tree"),
    ] {
        let world = GREP.world();
        stopped(&world, line);
        forge(&world, |record| record.inputs = json!({"other": 1}));
        expect_refusals(&world, &[(line, 3, reason)]);
    }
    let world = GREP.world();
    stopped(&world, "pipe big.txt -o out --block 32KiB -- cat");
    forge(&world, |record| record.inputs["block"] = json!(0));
    expect_refusals(&world, &[("pipe big.txt -o out -- cat", 3, "their blocks have 0 bytes")]);
    let world = World::new();
    world.write("list", "a\nb\n");
    let line = "each --state out.bivouac -a list sh -c 'test $0 = a || exec sleep 1000'";
    let options = "each -j1 --grace 0s --kill-after 1s --checkpoint-every 10ms";
    let run = super::typed(&world, &line.replacen("each", options, 1)).start().until_checkpoint_at_least(1);
    run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    forge(&world, |record| record.inputs = json!("none"));
    expect_refusals(&world, &[(line, 3, "items in the record")]);
}
