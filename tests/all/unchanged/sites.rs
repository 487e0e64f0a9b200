//! Each reason for a refusal that the source knows is in this table, with the file of its row or with why it has none.

use std::fs;
use std::path::PathBuf;

/// What the message says, and the file with its row. For those without a row, a word for what the head of
/// `unchanged.rs` says of them: they come in the *midst* of a run, they need a second *user*, other *mounts*, or *forged results*.
const REASONS: [(&str, &str); 49] = [
    ("exists, and no state knows what it is", "places"),
    ("is the unfinished output of another job", "places"),
    ("is not a regular file of ours with a single name", "places"),
    ("its total is of another job", "forged"),
    ("{} {place}", "inputs (a tree that changed)"),
    ("is not a directory", "places"),
    ("belongs to another user (uid", "places"),
    ("is a checkpoint of format", "forged"),
    ("the checkpoint is damaged", "unchanged"),
    ("items", "inputs (a list)"),
    ("items in the record", "forged"),
    ("items of the loop on record", "caller"),
    ("items of the loop", "caller"),
    ("what was kept of it is not of this program", "forged results"),
    ("a task", "forged results"),
    ("is a file of {has} bytes, but", "inputs (standard output)"),
    ("is a directory that does not belong to a state", "places"),
    ("has no results: the job was finished before", "places"),
    ("the kernel does not permit", "user"),
    ("its job is not finished", "places"),
    ("{why}, there is nothing to", "places"),
    ("the checkpoint contradicts itself about this file", "forged"),
    ("inputs in the record", "forged"),
    ("is 0", "forged"),
    ("has a record longer than", "midst"),
    ("changed while it was read", "midst"),
    ("is a stream, was read to see", "inputs"),
    ("was begun with records cut", "inputs"),
    ("is about inputs {then}", "inputs"),
    ("grew while it was read", "midst"),
    ("its inputs are not those of a tree", "forged"),
    ("are other paths than those of the last run", "inputs"),
    ("is a stream, and a stream cannot be read twice", "inputs (of a count)"),
    ("{given} were given, the state is about", "inputs"),
    ("is not the input that the state is about", "inputs"),
    ("has no digests of the inputs", "inputs"),
    ("has an item longer than", "midst"),
    ("are more at a time than any command takes", "midst"),
    ("became shorter while it was read", "midst"),
    ("{why}, so locks exclude no other host", "mounts"),
    ("does not say which command its job is", "forged"),
    ("is of a job in {of} shards", "shards"),
    ("is damaged: {e}", "shards"),
    ("is cut off or damaged", "shards"),
    ("is not the list that the plan was made with", "shards"),
    ("merge", "shards"),
    ("has more than the {known} chunks", "midst"),
    ("is missing, or is not the file", "pipe::merged"),
    ("their results are not what they were", "shards"),
];

/// The production part of every source file.
fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(dir) = open.pop() {
        for path in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "rs")
                && !path.to_string_lossy().ends_with("tests.rs")
            {
                let text = fs::read_to_string(&path).unwrap();
                let production = text.split("#[cfg(test)]\nmod tests {").next().unwrap().to_string();
                found.push((path, production));
            }
        }
    }
    found
}

/// What stands between this place, behind an opening parenthesis, and the closing one.
fn arguments(text: &str) -> &str {
    let (mut depth, mut quoted, mut escaped) = (1, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &text[..at];
        }
    }
    text
}

/// The last text in the arguments, which is what the message says; what is passed in as a variable is a text elsewhere.
fn reason(arguments: &str) -> Option<String> {
    let joined = arguments.replace("\\\n", "");
    let text = joined.rsplit('"').nth(1)?;
    Some(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[test]
fn tidy_every_reason_for_a_refusal_has_a_row_in_unchanged() {
    let mut missing = Vec::new();
    for (path, text) in sources() {
        for (at, call) in text.match_indices("Error::refused(") {
            let is_comment = text[..at].rsplit('\n').next().unwrap().trim_start().starts_with("//");
            if is_comment {
                continue;
            }
            let Some(reason) = reason(arguments(&text[at + call.len()..])) else { continue };
            if !REASONS.iter().any(|(known, _)| reason.starts_with(known)) {
                missing.push(format!("{}: {reason}", path.display()));
            }
        }
    }
    assert!(
        missing.is_empty(),
        "a new refusal: add a row that provokes it to tests/all/unchanged/*, and its reason to REASONS\n{}",
        missing.join("\n")
    );
}
