//! `bivouac report`: the page has the numbers of the log, in one whole file, whatever the commands are called.

use crate::harness::{World, python};
use crate::pipe::until;
use bivouac::journal::{End, Line, Measured, Outcome};
use nix::sys::signal::Signal::{SIGKILL, SIGTERM};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Reads a page, or a picture, and prints as JSON what it has: the values of its attributes, and its elements.
const READER: &str = r#"
import html.parser, json, sys, xml.etree.ElementTree as tree
text = open(sys.argv[1], encoding="utf-8").read()
if sys.argv[1].endswith(".svg"):
    tree.fromstring(text)
found, opened = [], []
class Reader(html.parser.HTMLParser):
    def handle_starttag(self, tag, attributes):
        found.append({"tag": tag, **dict(attributes)})
        if tag not in ("meta", "link"):
            opened.append(tag)
    def handle_endtag(self, tag):
        assert opened.pop() == tag, tag
reader = Reader()
reader.feed(text)
reader.close()
assert not opened, opened
print(json.dumps(found))
"#;

type Element = BTreeMap<String, Value>;

fn elements(world: &World, page: &str) -> Vec<Element> {
    let read = world.command(&python()).args(["-c", READER, page]).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    serde_json::from_slice(&read.stdout).unwrap()
}

fn page(world: &World, arguments: &str, name: &str) -> Vec<Element> {
    world.bivouac(&format!("report {arguments} -o {name}")).run().expect_code(0);
    elements(world, name)
}

/// The values of `attribute` in the elements that have it, in the order of the page.
fn values<'e>(page: &'e [Element], attribute: &str) -> Vec<(&'e str, &'e Element)> {
    page.iter().filter_map(|element| Some((element.get(attribute)?.as_str()?, element))).collect()
}

fn counts(page: &[Element]) -> BTreeMap<String, u64> {
    let all = values(page, "data-outcome").into_iter();
    all.map(|(outcome, of)| (outcome.to_string(), of["data-value"].as_str().unwrap().parse().unwrap()))
        .collect()
}

fn log(world: &World, state: &str) -> Vec<Value> {
    let log = world.bivouac(&format!("log {state} --format json")).run().expect_code(0);
    let lines = String::from_utf8(log.stdout).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn logged(world: &World, state: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for entry in log(world, state) {
        for outcome in ["all", entry["outcome"].as_str().unwrap()] {
            *counts.entry(outcome.to_string()).or_default() += 1;
        }
    }
    counts
}

fn hows(page: &[Element]) -> Vec<&str> {
    values(page, "data-how").into_iter().map(|(how, _)| how).collect()
}

/// Everything that can happen to an item: done, again, failed, killed, out of time, and at work at a kill.
const ITEM: &str = r#"
case {} in
  3) echo "no such host" >&2; exit 7 ;;
  4) [ -e once ] || { touch once; exit 1; } ;;
  5) kill -SEGV $$ ;;
  6) exec sleep 20 ;;
  7) [ -e go ] || { touch at7; exec sleep 20; } ;;
esac
printf 0123456789"#;

#[test]
fn the_page_has_the_counts_of_the_log_over_all_runs() {
    let world = World::new();
    let each = |timeout: &str| {
        let line =
            format!("each --jobs 2 --retries 1 --retry-delay 10ms --timeout {timeout} --grace 0s --shell");
        world.bivouac(&line).words(&[ITEM, ":::", "1", "2", "3", "4", "5", "6", "7", "8"])
    };
    // A line on the beginning of a command is in the journal some milliseconds after it, which a SIGKILL may not grant.
    let opened =
        |entry: &Value| entry["outcome"] == "open" && [6, 7].map(Value::from).contains(&entry["task"]);
    for (signal, wanted) in [(SIGKILL, 2), (SIGTERM, 4)] {
        let run = each("20s").start();
        until("the seventh is at work, and in the log", || {
            world.exists("at7") && log(&world, "").iter().filter(|entry| opened(entry)).count() == wanted
        });
        run.signal(signal).wait();
        std::fs::remove_file(world.path("at7")).unwrap();
    }
    world.write("go", "");
    each("500ms").run().expect_code(1);

    let page = page(&world, "", "page.html");
    let counts = counts(&page);
    assert_eq!(counts, logged(&world, ""));
    for outcome in ["done", "failed", "killed", "timeout", "open", "interrupted"] {
        assert!(counts.get(outcome).is_some_and(|count| *count > 0), "{outcome}: {counts:?}");
    }
    let bars = page
        .iter()
        .filter(|e| e["tag"] == "rect" && counts.contains_key(e["class"].as_str().unwrap_or_default()));
    let bars = bars.filter(|bar| bar.contains_key("x")).count() as u64;
    assert!(bars >= counts["all"], "{bars} bars");
    assert_eq!(hows(&page), ["was killed", "stopped", "finished"]);
    let failed = ["failed", "killed", "timeout"].map(|outcome| counts[outcome]).iter().sum::<u64>();
    let lists = values(&page, "data-list");
    assert_eq!(lists[0].1["data-all"], Value::from(failed.to_string()));
    let text = String::from_utf8(world.read("page.html")).unwrap();
    assert!(text.contains("no such host"), "what a failed command said");
    assert!(!text.contains("http://") && !text.contains("https://"), "it needs no network");
}

#[test]
fn what_a_user_has_named_is_shown_and_never_obeyed() {
    let world = World::new();
    let items = [
        "</script><script>alert(1)</script>",
        "</title></svg>",
        "\"'><b onclick=x>&amp;",
        "a\u{1b}[2J\u{ffff}",
    ];
    world.bivouac("each --state named.bivouac false :::").words(&items).run().expect_code(1);
    world.shell(
        "printf 'x\\377\\376y\\n' >odd; bivouac each --state other.bivouac -a odd false {} 2>said || :",
    );
    for (arguments, name) in [
        ("named.bivouac", "page.html"),
        ("--svg named.bivouac", "page.svg"),
        ("other.bivouac", "other.html"),
        ("--svg other.bivouac", "other.svg"),
    ] {
        let page = page(&world, arguments, name);
        let scripts = page.iter().filter(|e| e["tag"] == "script").count();
        assert_eq!(scripts, usize::from(name.ends_with("html")), "{name}");
        assert!(page.iter().all(|e| e["tag"] != "b" || !e.contains_key("onclick")), "{name}");
    }
    let text = String::from_utf8(world.read("page.html")).unwrap();
    assert!(text.contains("&lt;/script&gt;&lt;script&gt;alert(1)"), "it is shown");
    assert!(!text.contains('\u{1b}'), "and what a terminal would obey is not");
}

#[test]
fn a_job_without_commands_has_its_runs_and_its_speed() {
    let world = World::new();
    world.text("big.txt");
    let line = "count big.txt --limit-rate 4MiB --checkpoint-every 20ms --state sum.bivouac";
    let run = world.bivouac(line).start().until_checkpoint_at_least(1);
    run.signal(SIGTERM).wait().expect_stopped_by(SIGTERM);
    world.bivouac(line).run().expect_code(0);
    let page = page(&world, "sum.bivouac", "page.html");
    assert_eq!(hows(&page), ["stopped", "finished"]);
    let drawings = values(&page, "aria-label").into_iter().map(|(label, _)| label).collect::<Vec<_>>();
    assert!(drawings.contains(&"Timeline") && drawings.contains(&"Throughput"), "{drawings:?}");
    let history = String::from_utf8(world.read("sum.bivouac/history.jsonl")).unwrap();
    for line in history.lines() {
        let moment: Value = serde_json::from_str(line).unwrap();
        assert!(moment["at_ms"].is_u64() && moment["event"].is_string(), "{line}");
    }
    assert!(history.contains(r#""request":"stop","by":"SIGTERM""#), "{history}");
    moments_follow_the_length_of_a_run(&history);
    // Without a history, as an older version leaves a state, there is a page as well.
    std::fs::remove_file(world.path("sum.bivouac/history.jsonl")).unwrap();
    assert!(hows(&self::page(&world, "sum.bivouac", "old.html")).is_empty());
}

/// Of each run: between two moments lies a tenth of the time since the beginning, and some ticks on a machine at work.
fn moments_follow_the_length_of_a_run(history: &str) {
    let moments: Vec<Value> = history.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for run in moments.split(|moment| moment["event"] == "began").skip(1) {
        let at = |moment: &Value| moment["at_ms"].as_u64().unwrap();
        let all: Vec<u64> = run.iter().filter(|moment| moment["event"] != "asked").map(at).collect();
        let (first, last) = (all[0], all[all.len() - 1]);
        let wanted = (last - first).min(1000) / 250;
        assert!(all.len() as u64 > wanted, "{} moments in {} ms", all.len(), last - first);
    }
    let longest = moments.split(|moment| moment["event"] == "began").map(<[Value]>::len).max().unwrap();
    assert!(longest >= 8, "{longest} moments");
}

#[test]
fn all_shards_of_a_job_and_several_jobs_are_on_one_page() {
    let world = World::new();
    for shard in 1..=3 {
        let line = format!("each --shard {shard}/3 -o out echo {{}} ::: a b c d e f g");
        world.bivouac(&line).run().expect_code(0);
    }
    world.bivouac("each --state other.bivouac true ::: a b").run().expect_code(0);
    let page = page(&world, "out other.bivouac", "page.html");
    let sums: Vec<u64> = values(&page, "data-outcome")
        .into_iter()
        .filter(|(outcome, _)| *outcome == "done")
        .map(|(_, of)| of["data-value"].as_str().unwrap().parse().unwrap())
        .collect();
    assert_eq!(sums, [7, 2]);
    assert_eq!(logged(&world, "out")["done"], 7);
}

/// `TASKS=1000000` for the size that the page must be able to hold (`scripts/report` says so).
#[test]
fn many_attempts_make_a_page_of_some_megabytes_in_which_all_of_them_count() {
    let tasks: u64 = std::env::var("TASKS").map_or(20_000, |tasks| tasks.parse().unwrap());
    let world = World::new();
    let state = world.path("many.bivouac");
    // Sixteen slots, at work for hours, with a night between; one of a thousand fails.
    let work = move |task: u64, cx: &bivouac::Context<'_>| {
        let (slot, turn) = (task % 16, task / 16);
        let night = if task > tasks / 2 { 50_000_000 } else { 0 };
        let at_ms = 1_795_493_524_000 + turn * 700 + slot * 13 + night;
        let took_us = 20_000 + (task * 7919) % 600_000;
        let outcome = if task % 1000 == 999 { Outcome::Code(1) } else { Outcome::Done(0) };
        let measured = Measured { slot: slot as u32 + 1, ..Measured::default() };
        cx.journal(Line::Began { task, attempt: 1, at_ms, note: format!("item {task}"), of_task: [0; 8] });
        cx.journal(Line::Ended(End { task, attempt: 1, took_us, outcome, measured }));
        Ok(())
    };
    let ending = bivouac::resumable(0..tasks).map(work).state(&state).into_run().unwrap().run();
    assert_eq!(ending.exit(), bivouac::Exit::Code(0), "{ending:?}");
    let began = std::time::Instant::now();
    world.bivouac("report many.bivouac -o page.html").run().expect_code(0);
    let bytes = world.read("page.html").len();
    let took = began.elapsed();
    let page = elements(&world, "page.html");
    let failed = tasks / 1000;
    assert_eq!(
        counts(&page),
        BTreeMap::from(
            [("done", tasks - failed), ("failed", failed), ("all", tasks)].map(|(k, v)| (k.to_string(), v))
        )
    );
    assert!(bytes < 5_000_000, "{bytes}");
    let is_cell = |e: &&Element| {
        e["tag"] == "rect" && e.get("class").is_some_and(|c| c.as_str().unwrap().contains(" s"))
    };
    let places: BTreeSet<_> = page.iter().filter(is_cell).map(|cell| cell["x"].to_string()).collect();
    assert!(places.len() > 50, "the cells are all over the axis: {places:?}");
    if let Ok(keep) = std::env::var("KEEP") {
        std::fs::write(format!("{keep}.txt"), format!("{tasks} attempts: {bytes} bytes in {took:.1?}"))
            .unwrap();
        std::fs::copy(world.path("page.html"), keep).unwrap();
    }
}

#[test]
fn a_file_that_is_no_report_is_not_replaced() {
    let world = World::new();
    world.write("in", "1\n");
    world.bivouac("count in -o out").run().expect_code(0);
    for form in ["", "--svg"] {
        for _ in 0..2 {
            world.bivouac(&format!("report out {form} -o picture{form}")).run().expect_code(0);
        }
        let ended = world.bivouac(&format!("report out {form} -o in")).run().expect_code(2);
        ended.expect_says("in: exists, and is no report").expect_short_messages();
        assert_eq!(world.read("in"), b"1\n");
    }
}
