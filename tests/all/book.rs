//! The book: every block of commands in it is run as it stands, in a directory of its own, and prints what the page
//! shows.
//!
//! A line `#> text` shows what the lines before it print, on both outputs together; `…` stands for any text. A command
//! that fails ends the block, as `set -e` does, so a page that means a failure says so: `… || echo "code $?"`.

use crate::harness::World;
use nix::sys::signal::Signal::SIGINT;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

/// How many blocks run at the same time. Most of them wait.
const AT_ONCE: usize = 4;

const COOKBOOK: &str = "cookbook.md";

/// What separates the outputs of two steps.
const BETWEEN: char = '\u{1e}';

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

/// A block of a page: commands, each with what it prints, if the page shows that.
#[derive(Debug)]
struct Block {
    title: String,
    steps: Vec<(String, Option<String>)>,
}

/// The blocks of a page under their headings.
fn blocks(page: &str) -> Vec<Block> {
    let (mut blocks, mut title, mut fence) = (Vec::<Block>::new(), "", None);
    for line in page.lines() {
        match (fence, line.strip_prefix("```")) {
            (Some(_), Some(_)) => fence = None,
            (Some("bash"), None) => blocks.last_mut().unwrap().take(line),
            (Some(_), None) => {}
            (None, Some(language)) => {
                fence = Some(language);
                if language == "bash" {
                    blocks.push(Block { title: title.to_string(), steps: Vec::new() });
                }
            }
            (None, None) => {
                title = line.strip_prefix('#').map_or(title, |text| text.trim_matches(['#', ' ']));
            }
        }
    }
    blocks
}

impl Block {
    /// The same, with the name of its page.
    fn on(self, page: &str) -> Self {
        Self { title: format!("{page}: {}", self.title), ..self }
    }

    fn take(&mut self, line: &str) {
        if let Some(shown) = line.strip_prefix("#>") {
            let (_, before) =
                self.steps.last_mut().unwrap_or_else(|| panic!("{}: what prints {line}?", self.title));
            writeln!(before.get_or_insert_default(), "{}", shown.strip_prefix(' ').unwrap_or(shown)).unwrap();
        } else if let Some((commands, None)) = self.steps.last_mut() {
            writeln!(commands, "{line}").unwrap();
        } else {
            self.steps.push((format!("{line}\n"), None));
        }
    }

    /// All steps in one shell, as they would be pasted.
    fn script(&self) -> String {
        let steps = self.steps.iter().map(|(commands, _)| format!("{commands}printf '\\036'\n"));
        std::iter::once("exec 2>&1\nset -eo pipefail\n".to_string()).chain(steps).collect()
    }

    /// Runs it among the material; says what is not as it is shown.
    fn fault(&self, material: &World) -> Option<String> {
        let world = World::new();
        let copied = world.command("cp").arg("-rT").args([material.root(), world.root()]).status().unwrap();
        assert!(copied.success());
        let mut command = world.command("timeout");
        let ended = command.args(["-k", "5", "300", "bash", "-c", &self.script()]).output().unwrap();
        let printed = String::from_utf8_lossy(&ended.stdout).into_owned();
        let outputs: Vec<&str> = printed.split(BETWEEN).collect();
        let is_right = |(at, (_, shown)): (usize, &(String, Option<String>))| {
            shown.as_ref().is_none_or(|shown| outputs.get(at).is_some_and(|printed| fits(shown, printed)))
        };
        let all_right = ended.status.success() && self.steps.iter().enumerate().all(is_right);
        (!all_right).then(|| {
            let printed = printed.replace(BETWEEN, "----\n");
            format!("\n{} ({}):\n{}printed:\n{printed}", self.title, ended.status, self.script())
        })
    }
}

/// Whether the text is what is shown, with any text for `…`, and any lines for a line of its own.
fn fits(shown: &str, text: &str) -> bool {
    let pattern = format!("\n{shown}").replace("\n…\n", "\n…");
    let text = format!("\n{text}");
    let mut parts = pattern.split('…');
    let first = parts.next().and_then(|first| text.strip_prefix(first));
    let mut parts: Vec<&str> = parts.collect();
    let (Some(mut rest), last) = (first, parts.pop()) else { return false };
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    last.map_or(rest.is_empty(), |last| rest.ends_with(last))
}

/// The directory in which a block is pasted.
fn material() -> World {
    let world = World::new();
    let made = world.command("bash").arg(docs().join("cookbook/material.sh")).output().unwrap();
    assert!(made.status.success() && made.stderr.is_empty(), "{made:?}");
    world
}

/// Runs all of them, and names those that are wrong.
fn expect_right(blocks: &[Block]) {
    let material = material();
    let run = |share: &[Block]| share.iter().filter_map(|block| block.fault(&material)).collect::<String>();
    let faults: String = thread::scope(|scope| {
        let shares = blocks.chunks(blocks.len().div_ceil(AT_ONCE));
        let running: Vec<_> = shares.map(|share| scope.spawn(move || run(share))).collect();
        running.into_iter().map(|share| share.join().unwrap()).collect()
    });
    assert!(faults.is_empty(), "{faults}");
}

#[test]
fn every_recipe_of_the_cookbook_runs_as_it_stands() {
    let page = fs::read_to_string(docs().join(COOKBOOK)).unwrap();
    let recipes = blocks(&page);
    let titles: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    assert!(titles.len() >= 40, "{} recipes", titles.len());
    assert_eq!(titles, recipes.iter().map(|recipe| recipe.title.as_str()).collect::<Vec<_>>());
    expect_right(&recipes);
}

/// Pages whose transcripts other tests play: with other hosts, signals of a terminal, or a service manager.
const ELSEWHERE: [(&str, &str); 2] = [("clusters.md", "clusters.rs"), ("operating.md", "operating.rs")];

#[test]
fn every_block_of_the_other_pages_runs_as_it_stands() {
    let (mut all, mut transcripts) = (Vec::new(), Vec::new());
    for (name, page) in crate::tidy::files("docs", "md") {
        let name = name.strip_prefix("docs/").unwrap();
        if page.contains("```console\n") {
            transcripts.push(name.to_string());
        }
        if name != COOKBOOK && ELSEWHERE.iter().all(|(page, _)| *page != name) {
            all.extend(blocks(&page).into_iter().map(|block| block.on(name)));
        }
    }
    assert_eq!(
        transcripts,
        ELSEWHERE.map(|(page, _)| page),
        "write commands as blocks of bash, so that they are run"
    );
    for (_, test) in ELSEWHERE {
        assert!(docs().join("../tests/all").join(test).exists(), "{test}");
    }
    assert!(all.len() >= 10, "{} blocks", all.len());
    expect_right(&all);
}

#[test]
fn every_page_is_a_chapter() {
    let summary = fs::read_to_string(docs().join("SUMMARY.md")).unwrap();
    let pages = crate::tidy::files("docs", "md").into_iter().map(|(name, _)| name);
    let missing = pages.filter(|page| {
        let page = page.strip_prefix("docs/").unwrap();
        page != "SUMMARY.md" && !summary.contains(&format!("({page})"))
    });
    crate::tidy::expect_none(&missing.collect::<Vec<_>>(), "Give it a line in docs/SUMMARY.md.");
}

/// The first job of README, with fewer numbers, and with SIGINT where it shows Ctrl-C.
#[test]
fn the_readme_answers_on_its_first_screen_and_its_first_job_does_what_it_shows() {
    let readme = fs::read_to_string(docs().join("../README.md")).unwrap();
    assert!(readme.lines().count() < 110, "two screens, and links");
    let screen: String = readme.lines().take(25).map(|line| format!("{line}\n")).collect();
    for words in
        ["How would you use signals in a multithreaded application?", "$ scripts/demo ", "$ scripts/test "]
    {
        assert!(screen.contains(words), "{words}");
    }
    let (_, job) = readme.split_once("## First job\n\n```console\n").unwrap();
    let job = job.split_once("```").unwrap().0.replace("20000000", "600000").replace("20MiB", "1MiB");
    let lines: Vec<&str> = job.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
    let [numbers, first, again, compare] = lines[..] else { panic!("{lines:?}") };
    let world = World::new();
    world.shell(numbers);
    let typed = |line: &str| world.program(&["bash", "-c", &format!("exec {line}")]);
    let first = typed(&format!("{first} --verbose")).start().until_checkpoint_at_least(1);
    first.signal(SIGINT).wait().expect_killed_by(SIGINT).expect_says("stopped by SIGINT at ");
    typed(again).run().expect_code(0).expect_says("resumed after ");
    assert_eq!(world.shell(compare), b"the same bytes\n");
}

#[test]
fn what_is_printed_is_compared_with_what_is_shown() {
    for (shown, text, right) in [
        ("a\n", "a\n", true),
        ("a\n", "ab\n", false),
        ("a\n", "", false),
        ("a…c\n", "a b c\n", true),
        ("a…c\n", "a b d\n", false),
        ("…\nb\n", "b\n", true),
        ("…\nb\n", "x\ny\nb\n", true),
        ("…\nb\n", "x\n", false),
        ("a\n…\n", "a\nb\nc\n", true),
        ("…b…\n", "a b c\n", true),
    ] {
        assert_eq!(fits(shown, text), right, "{shown:?} {text:?}");
    }
    let page = "## Title\n```bash\nfalse || echo $?\n#> 1\nseq 3\n#> 1\n#> …\nfalse\n```\n";
    let block = &blocks(page)[0];
    assert_eq!(
        block.steps.iter().map(|(_, shown)| shown.as_deref()).collect::<Vec<_>>(),
        [Some("1\n"), Some("1\n…\n"), None]
    );
    let material = World::new();
    assert!(block.fault(&material).unwrap().contains("----\n1\n2\n3\n"), "`false` ends the block");
    let right = Block { title: String::new(), steps: block.steps[..2].to_vec() };
    assert_eq!(right.fault(&material), None);
    let wrong = Block { title: String::new(), steps: vec![("seq 2\n".into(), Some("1\n".into()))] };
    assert!(wrong.fault(&material).is_some());
}
