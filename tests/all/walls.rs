//! Rooms have walls: imports go downwards only, and no files import each other in a circle.
//!
//! The compiler lets any file of a crate use any other one. Without walls the engine leads to the disk and the
//! disk to the engine, and no chapter can be read before all the others. So this test reads the sources: all
//! paths that begin with `crate::` or `super::`, outside of unit tests. It follows a name that the door of a
//! room exports to the file that defines it.

use super::tidy::{expect_none, files};
use std::collections::{BTreeMap, BTreeSet};

/// The rooms, from the top floor down, and the rooms that each may use.
const ROOMS: [(&str, &[&str]); 10] = [
    ("cli", &["jobs"]),
    ("jobs", &["cli"]),
    ("front", &["engine", "sink", "durable", "process", "input", "task", "signals"]),
    ("engine", &["sink", "durable", "process", "input", "task", "signals"]),
    ("sink", &["durable", "task"]),
    ("input", &["task"]),
    ("process", &["task", "signals"]),
    ("durable", &["task", "signals"]),
    ("task", &["signals"]),
    ("signals", &[]),
];

/// Files that stand in no room, and that every room may use.
const GROUND: [&str; 4] = ["ending", "error", "sync", "sys"];

/// Modules by path, as in `engine::commit`: the name of the file, and its text without unit tests.
type Modules = BTreeMap<String, (String, String)>;

/// One import.
struct Import {
    /// File and line.
    place: String,
    from: String,
    to: String,
}

fn modules() -> Modules {
    let sources = files("src", "rs").into_iter().filter_map(|(name, text)| {
        let path = name.strip_prefix("src/")?.strip_suffix(".rs")?.replace('/', "::");
        let counts = !path.contains("test") && !["lib", "main"].contains(&path.as_str());
        let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default().to_string();
        counts.then_some((path, (name, text)))
    });
    sources.collect()
}

/// The code of a file by statements: each begins in the line that is given with it.
fn statements(text: &str) -> Vec<(usize, String)> {
    let mut all: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    for (number, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default().trim();
        match all.last_mut() {
            Some((_, statement)) if open => statement.push_str(code),
            Some(_) | None => all.push((number + 1, code.to_string())),
        }
        let begins_use = code.starts_with("use ") || code.contains(") use ") || code.starts_with("pub use ");
        open = (open || begins_use) && !code.ends_with(';');
    }
    all
}

/// What a statement names below `root`: one path for each name of a group.
fn paths(statement: &str, root: &str) -> Vec<String> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let mut found = Vec::new();
    for (at, _) in statement.match_indices(root) {
        let rest = &statement[at + root.len()..];
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        if statement[..at].ends_with(is_word) {
            continue;
        }
        match rest[end..].strip_prefix('{').and_then(|group| group.split('}').next()) {
            Some(group) => {
                let names = group.split(',').filter_map(|name| name.split_whitespace().next());
                found.extend(names.map(|name| format!("{}{name}", &rest[..end])));
            }
            None => found.push(rest[..end].to_string()),
        }
    }
    found
}

/// Names that a module exports for others, and the path behind each.
fn exports(modules: &Modules) -> BTreeMap<String, String> {
    let mut exports = BTreeMap::new();
    for (door, (_, text)) in modules {
        for (_, statement) in statements(text).iter().filter(|(_, code)| code.starts_with("pub")) {
            let Some((_, target)) = statement.split_once(" use ") else { continue };
            let inner = target.strip_prefix("crate::").map(str::to_string);
            let target = format!("crate::{}", inner.unwrap_or_else(|| format!("{door}::{target}")));
            for path in paths(&target, "crate::") {
                let name = path.rsplit("::").next().unwrap_or_default();
                exports.insert(format!("{door}::{name}"), path);
            }
        }
    }
    exports
}

/// The module that defines what a path names.
fn home(path: &str, modules: &Modules, exports: &BTreeMap<String, String>) -> Option<String> {
    let mut path = path.trim_end_matches(':');
    let mut doors = 0; // A name is handed on by few of them; more would be a circle.
    loop {
        match exports.get(path) {
            Some(target) if target != path && doors < 8 => (path, doors) = (target, doors + 1),
            Some(_) | None if modules.contains_key(path) => return Some(path.to_string()),
            Some(_) | None => path = path.rsplit_once("::")?.0,
        }
    }
}

fn imports() -> Vec<Import> {
    let modules = modules();
    let exports = exports(&modules);
    let mut found = Vec::new();
    for (from, (name, text)) in &modules {
        let above = from.rsplit_once("::").map_or("", |(above, _)| above);
        for (line, code) in statements(text) {
            let relative = paths(&code, "super::").into_iter().map(|path| format!("{above}::{path}"));
            for path in paths(&code, "crate::").into_iter().chain(relative) {
                let Some(to) = home(&path, &modules, &exports) else { continue };
                found.push(Import { place: format!("{name}:{line}"), from: from.clone(), to });
            }
        }
    }
    found
}

fn room(module: &str) -> &str {
    module.split("::").next().unwrap_or_default()
}

#[test]
fn imports_go_downwards_only() {
    let mut faults = Vec::new();
    for Import { place, from, to } in imports() {
        let (own, other) = (room(&from), room(&to));
        let may_use = ROOMS.iter().find(|(name, _)| *name == own).map_or(&[][..], |(_, below)| *below);
        if own != other && !GROUND.contains(&other) && !may_use.contains(&other) {
            faults.push(format!("{place}: {own} uses {other} ({to})"));
        }
    }
    expect_none(
        &faults,
        "Move what is needed down into a room that both may use, or let the upper room hand it in.",
    );
}

/// A file and the parts below it are one chapter, and read as one.
fn is_one_chapter(one: &str, other: &str) -> bool {
    let is_part = |part: &str, of: &str| part.strip_prefix(of).is_some_and(|rest| rest.starts_with("::"));
    one == other || is_part(one, other) || is_part(other, one)
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for Import { from, to, .. } in imports() {
        if !is_one_chapter(&from, &to) {
            graph.entry(from).or_default().insert(to);
        }
    }
    // A file that nothing imports, or that imports nothing, is in no circle; take those away until none is left.
    loop {
        let imported: BTreeSet<String> = graph.values().flatten().cloned().collect();
        let before: usize = graph.values().map(BTreeSet::len).sum();
        graph.retain(|file, _| imported.contains(file));
        let left: BTreeSet<String> = graph.keys().cloned().collect();
        graph.values_mut().for_each(|to| to.retain(|file| left.contains(file)));
        graph.retain(|_, to| !to.is_empty());
        if before == graph.values().map(BTreeSet::len).sum::<usize>() {
            break;
        }
    }
    let faults: Vec<_> = graph.iter().map(|(from, to)| format!("{from} uses {to:?}")).collect();
    expect_none(&faults, "Put what both need into a file below both, and let neither use the other.");
}
