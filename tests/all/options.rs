//! The options of GNU parallel, xargs and rush (`tests/all/options/`, one option with all its names in each line):
//! `docs/from-parallel.md` has a row for every name, and says of it what `each` does with it. Those of grep, wc, sha256sum
//! and b3sum are known to the verb that stands for them, or answered with a sentence.

use crate::harness::World;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;

const PROGRAMS: [(&str, &str); 3] = [("GNU parallel", "parallel"), ("xargs", "xargs"), ("rush", "rush")];

/// GNU parallel takes its names with and without hyphens, and one row is enough.
fn plain(name: &str) -> String {
    let (dashes, name) = name.split_at(2);
    format!("{dashes}{}", name.replace(['-', '_'], ""))
}

/// Of each name in the last table of a program, the first word of what is said of it.
fn table(document: &str, program: &str) -> BTreeMap<String, String> {
    let (_, table) = document.rsplit_once(&format!("| {program} | `bivouac each` |\n")).unwrap();
    let mut said = BTreeMap::new();
    for row in table.lines().skip(1).take_while(|line| line.starts_with('|')) {
        let (names, says) = row.trim_matches(['|', ' ']).split_once(" | ").unwrap();
        let says = says.split([' ', ',', ';', ':']).next().unwrap().to_string();
        let names = names.split('`').skip(1).step_by(2).filter(|name| name.starts_with('-') && *name != "-1");
        for name in names {
            let before = said.insert(plain(name), says.clone());
            assert!(before.is_none_or(|before| before == says), "{program}: {name} has two rows");
        }
    }
    said
}

#[test]
fn every_option_of_the_others_has_a_row_that_is_true() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = fs::read_to_string(root.join("docs/from-parallel.md")).unwrap();
    let world = World::new();
    let mut faults = Vec::new();
    for (program, file) in PROGRAMS {
        let table = table(&document, program);
        let names = fs::read_to_string(root.join("tests/all/options").join(file)).unwrap();
        let names: Vec<&str> = names.split_whitespace().collect();
        for name in table.keys().filter(|name| names.iter().all(|known| plain(known) != **name)) {
            faults.push(format!("{program} has no {name}"));
        }
        for name in names {
            let mut command = world.command("bivouac");
            let ended = command.args(["each", name]).stdin(Stdio::null()).output().unwrap();
            let said = String::from_utf8_lossy(&ended.stderr).into_owned();
            let is =
                match (said.contains("there is no such option here"), said.contains("unexpected argument")) {
                    (true, _) => ["type", "no"],
                    (false, false) => ["same", "differs"],
                    (false, true) => ["not known", ""],
                };
            let says = table.get(&plain(name)).map_or("nothing", String::as_str);
            if !is.contains(&says) {
                faults.push(format!("{program} {name}: the row says {says}; it is {}", is.join(" or ")));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_option_of_grep_wc_and_the_checksums_is_known_or_answered() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let world = World::new();
    let mut faults = Vec::new();
    for (program, verb) in [("grep", "grep"), ("wc", "count"), ("sha256sum", "digest"), ("b3sum", "digest")] {
        let names = fs::read_to_string(root.join("tests/all/options").join(program)).unwrap();
        for name in names.split_whitespace() {
            let ended = world.command("bivouac").args([verb, name]).stdin(Stdio::null()).output().unwrap();
            if String::from_utf8_lossy(&ended.stderr).contains("unexpected argument") {
                faults.push(format!("{verb} {name}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
