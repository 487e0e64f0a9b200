//! `decide` prints itself: what each request does in each phase, as a page of the documentation.

use super::*;
use std::fmt::Write;
use std::path::Path;

const PAGE: &str = "docs/decide.md";

const HEAD: &str = "# What a request does in each phase

The tables answer questions such as \"what happens on SIGTSTP while stopping?\" (SIGTSTP asks for
[suspend](#suspend)). The requests are the words of `bivouac signals`, which also says which signal asks for which
of them. How to read a row:

- **Phase**: what has happened before. Two tasks were in flight at the beginning.
- **Then**: the new course and motion, which the drawing in [`decide`](../src/engine/decide.rs) shows. Empty: as before.
- **Actions**: what the supervisor does, in this order; the [last table](#actions-and-alarms) explains the words. What
  follows later (an alarm rings, all children stand still) is not in the row.

A unit test makes this page from the function itself and fails when they differ. To write it again, run
`BIVOUAC_BLESS=1 cargo test --lib golden`.
";

fn signal_for(request: Request) -> Signal {
    let by_default = |signal: &Signal| Policy::default().request(*signal) == request;
    Policy::default().signals().find(by_default).unwrap_or(Signal::SIGIO)
}

fn name(action: &Action) -> String {
    let debug = format!("{action:?}");
    debug.replace(" { ", "(").replace(" }", ")").replace('|', "/")
}

fn page() -> String {
    let mut page = HEAD.to_string();
    for request in Request::ALL {
        let signal = signal_for(request);
        write!(page, "\n## {request}\n\n| phase | then | actions |\n|---|---|---|\n").unwrap();
        for (phase, world) in phases() {
            let (by, at) = (Asker::Signal(signal), Duration::from_secs(60));
            let before = world.state;
            let (after, actions) = decide(before, Event::Asked { request, by, at });
            let moved = (after.course, after.motion) != (before.course, before.motion);
            let then = if moved { format!("{:?}, {:?}", after.course, after.motion) } else { String::new() };
            let actions: Vec<String> = actions.iter().map(name).collect();
            writeln!(page, "| {phase} | {then} | {} |", actions.join(", ")).unwrap();
        }
    }
    page.push_str("\n## actions and alarms\n\n| word | meaning |\n|---|---|\n");
    for (of, note) in [("Action", ""), ("Alarm", " (alarm)")] {
        for (word, meaning) in words(of) {
            writeln!(page, "| {word}{note} | {meaning} |").unwrap();
        }
    }
    page
}

/// The variants of an enum, each with what its comment says.
fn words(of: &str) -> Vec<(String, String)> {
    let (_, text) = include_str!("../words.rs").split_once(&format!("enum {of} {{\n")).unwrap();
    let (text, _) = text.split_once("\n}").unwrap();
    let (mut words, mut comment) = (Vec::new(), String::new());
    for line in text.lines() {
        if let Some(sentence) = line.strip_prefix("    /// ") {
            comment = format!("{comment} {sentence}");
        } else if let Some(variant) =
            line.strip_prefix("    ").filter(|line| line.starts_with(char::is_uppercase))
        {
            let word = variant.split([',', ' ', '(']).next().unwrap().to_string();
            assert!(!comment.is_empty(), "{of}::{word} needs a comment");
            words.push((word, std::mem::take(&mut comment).trim().replace(['[', ']'], "")));
        }
    }
    words
}

#[test]
fn the_golden_page_is_what_decide_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = page();
    if std::env::var_os("BIVOUAC_BLESS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(there == page, "{PAGE} is old: look at the change, then BIVOUAC_BLESS=1 cargo test --lib golden");
}
