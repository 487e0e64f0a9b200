//! `bivouac each`: a command per item, and never one twice.
//!
//! What a command does cannot be taken back, so it is counted: every command of these tests leaves a line
//! in a file, and afterwards the file is compared with the list. Whatever happens on the way, each item's
//! line must be there; and twice only where the command was at work when everything was killed.
//!
//! | file | question |
//! |---|---|
//! | `typed` | does a line that people type do what they expect: items, placeholders, what is printed? |
//! | `effects` | after each kind of end, is everything done, and nothing twice that was recorded? |
//! | `list` | may the list grow, and is every other change refused by name? |
//! | `gone` | may what is done be gone from the list, and what is another list? |
//! | `words` | what only a shell understands, many items at once, lines as they come |
//! | `held` | which failures count at once, and which wait for a stop that may come? |
//! | `failing` | failures, retries, halts, missing commands, limits |
//! | `flow` | when do commands start, which codes count, and what is in the log? |
//! | `kept` | `--results`, `-o`, the log |
//! | `parallel` | are the bytes those of GNU parallel? columns, names, more placeholders |

mod effects;
mod failing;
mod flow;
mod gone;
mod held;
mod kept;
mod list;
mod parallel;
mod typed;
mod whole;
mod words;

use crate::harness::{Bivouac, World};
use std::collections::BTreeMap;

/// `bivouac each OPTIONS COMMAND…`.
fn each<'w>(world: &'w World, options: &str, command: &[&str]) -> Bivouac<'w> {
    world.bivouac(&format!("each {options}")).words(command)
}

/// Leaves the item as a line in `effects`, and waits a moment.
const EFFECT: [&str; 4] = ["sh", "-c", "sleep 0.02; echo \"$0\" >>effects", "{}"];

/// A list of items in the file `items`.
fn list(world: &World, items: std::ops::Range<usize>) {
    let lines: Vec<String> = items.map(|n| format!("item {n}\n")).collect();
    world.write("items", lines.concat());
}

/// How often each item's command has run to its end.
fn effects(world: &World) -> BTreeMap<String, usize> {
    let text = if world.exists("effects") { world.read("effects") } else { Vec::new() };
    let mut effects = BTreeMap::new();
    for line in String::from_utf8(text).unwrap().lines() {
        *effects.entry(line.to_string()).or_default() += 1;
    }
    effects
}

/// Every item exactly once.
fn expect_each_once(world: &World, items: usize) {
    let effects = effects(world);
    let twice: Vec<_> = effects.iter().filter(|(_, times)| **times != 1).collect();
    assert!(twice.is_empty(), "more than once: {twice:?}");
    assert_eq!(effects.len(), items, "not all of them");
}
