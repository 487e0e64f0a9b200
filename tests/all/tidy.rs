//! The repository checks itself: rules that no compiler knows, each with a message that says what
//! to do instead.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Files below `dir` with this ending, as (path relative to the root, text).
pub(crate) fn files(dir: &str, ending: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open = vec![root().join(dir)];
    while let Some(next) = open.pop() {
        let Ok(entries) = fs::read_dir(next) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == ending) {
                let name = path.strip_prefix(root()).unwrap().display().to_string();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

fn sources() -> Vec<(String, String)> {
    ["src", "tests", "benches", "examples"].iter().flat_map(|dir| files(dir, "rs")).collect()
}

fn documents() -> Vec<(String, String)> {
    let top = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
    let top = top.filter(|path| path.extension().is_some_and(|e| e == "md"));
    let named = |path: PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, fs::read_to_string(&path).unwrap())
    };
    top.map(named).chain(files("docs", "md")).chain(files("examples", "md")).collect()
}

fn scripts() -> Vec<(String, String)> {
    let paths = fs::read_dir(root().join("scripts")).unwrap().map(|entry| entry.unwrap().path());
    let texts = paths.filter_map(|path| {
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        Some((name, fs::read_to_string(&path).ok()?))
    });
    texts.collect()
}

/// Fails with one line per fault and what to do about all of them.
pub(crate) fn expect_none(faults: &[String], remedy: &str) {
    let mut list = String::new();
    for fault in faults {
        writeln!(list, "  {fault}").unwrap();
    }
    assert!(faults.is_empty(), "\n{list}{remedy}");
}

#[test]
fn every_file_opens_by_saying_what_it_is_about() {
    let faults: Vec<_> =
        sources().into_iter().filter(|(_, text)| !text.starts_with("//! ")).map(|(n, _)| n).collect();
    expect_none(
        &faults,
        "Open each file with `//!`: what the chapter is about, the obvious way, why not, what instead.",
    );
}

#[test]
fn the_route_is_short_and_reaches_the_disk() {
    let route = ["signals/thread", "engine/decide", "engine/supervisor", "engine/commit", "durable/store"];
    let texts = route.map(|name| fs::read_to_string(root().join(format!("src/{name}.rs"))).unwrap());
    let lengths = texts.each_ref().map(|text| text.lines().take_while(|l| *l != "#[cfg(test)]").count());
    assert!(lengths.iter().sum::<usize>() < 1500, "a reader has an hour for the route: {lengths:?}");
    assert!(lengths.iter().all(|lines| *lines <= 350), "a chapter takes fifteen minutes: {lengths:?}");
    let last = texts.last().unwrap();
    assert!(["sync", "rename"].iter().all(|step| last.contains(step)), "the last chapter writes to the disk");
}

#[test]
fn nothing_is_left_for_later() {
    // Put together here, so that this file does not find itself.
    let marks =
        ["TO".to_string() + "DO", "FIX".to_string() + "ME", "XX".to_string() + "X", "HA".to_string() + "CK"];
    let mut faults = Vec::new();
    for (name, text) in sources().into_iter().chain(documents()).chain(scripts()) {
        for (number, line) in text.lines().enumerate() {
            let words: Vec<&str> = line.split(|c: char| !c.is_ascii_alphanumeric()).collect();
            if marks.iter().any(|mark| words.contains(&mark.as_str())) {
                faults.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    expect_none(&faults, "Do it now, or say in whole sentences what is missing and why.");
}

#[test]
fn the_text_speaks_to_its_reader_and_not_of_its_making() {
    // Paths and habits of the place where it was written mean nothing to who reads it.
    let strange = ["../sha".to_string() + "red", "/wor".to_string() + "k/", "the br".to_string() + "ief"];
    let mut faults = Vec::new();
    for (name, text) in sources().into_iter().chain(documents()).chain(scripts()) {
        for (number, line) in text.lines().enumerate() {
            if strange.iter().any(|words| line.contains(words)) {
                faults.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    expect_none(
        &faults,
        "Name only what is in this repository or public; say the fact itself instead of where it stood.",
    );
}

#[test]
fn unsafe_code_lives_in_one_file() {
    let mut faults = Vec::new();
    for (name, text) in sources() {
        if name == "src/sys.rs" {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap();
            if ["fn", "{", "impl", "extern"].iter().any(|next| code.contains(&["unsafe ", next].concat())) {
                faults.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    expect_none(
        &faults,
        "Use a safe wrapper (nix has most), or put the call into src/sys.rs with its reason.",
    );
}

/// What stands in `[text](target)` links.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next())
}

/// What stands in backticks and looks like a path of this repository.
fn mentioned_paths(text: &str) -> impl Iterator<Item = &str> {
    let tops = ["src/", "tests/", "benches/", "examples/", "scripts/", "docs/", ".ci/"];
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter(move |word| {
        tops.iter().any(|top| word.starts_with(top)) && !word.contains([' ', '\n', '*', '{'])
    })
}

#[test]
fn paths_in_the_documents_exist() {
    let mut faults = Vec::new();
    for (name, text) in documents() {
        let home = root().join(&name).parent().unwrap().to_path_buf();
        for link in links(&text) {
            let elsewhere = link.is_empty() || link.contains("://") || link.contains("::");
            if !elsewhere && !home.join(link).exists() {
                faults.push(format!("{name}: link to {link}"));
            }
        }
        for path in mentioned_paths(&text) {
            if !root().join(path).exists() {
                faults.push(format!("{name}: `{path}`"));
            }
        }
    }
    expect_none(&faults, "The file was moved or never was: name the one that is there now.");
}

#[test]
fn every_room_is_in_the_map_of_the_repository() {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let room = |(name, _): (String, String)| name.rsplit_once('/').map(|(room, _)| format!("{room}/"));
    let mut faults: Vec<_> = files("src", "rs").into_iter().filter_map(room).collect();
    faults.retain(|room| room.matches('/').count() == 2 && !map.contains(&format!("`{room}`")));
    faults.dedup();
    expect_none(&faults, "Give it a line in ARCHITECTURE.md, where a reader looks for what is where.");
}

#[test]
fn every_script_can_be_run_and_says_what_it_does() {
    use std::os::unix::fs::PermissionsExt;
    let mut faults = Vec::new();
    for (name, text) in scripts() {
        let executable = fs::metadata(root().join(&name)).unwrap().permissions().mode() & 0o111 != 0;
        let mut lines = text.lines();
        let runs = lines.next().is_some_and(|line| line.starts_with("#!"));
        let speaks = lines
            .next()
            .is_some_and(|line| ["# ", "// ", "\"\"\""].iter().any(|mark| line.starts_with(mark)));
        if !(executable && runs && speaks) {
            faults.push(name);
        }
    }
    expect_none(
        &faults,
        "chmod +x, a first line with the interpreter, a second that says what the script does.",
    );
}

#[test]
fn every_dependency_says_why_it_is_there() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let mut faults = Vec::new();
    let mut section = "";
    for line in manifest.lines() {
        match line.starts_with('[') {
            true => section = line,
            false if section.contains("dependencies") && line.contains(" = ") && !line.contains("# ") => {
                faults.push(line.to_string());
            }
            false => {}
        }
    }
    expect_none(&faults, "Add `# what it does for us` behind it, or do without it.");
}
