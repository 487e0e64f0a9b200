//! Lines that people type.

use super::each;
use crate::harness::{Input, World};
use crate::tty::Terminal;

fn prints(line: &str, wanted: &str) {
    let world = World::new();
    world.write("f", "one\ntwo\n");
    world.write("g", "1\n2\n");
    let words: Vec<&str> = line.split(' ').collect();
    let ended = world.bivouac("each").words(&words).run().expect_code(0);
    assert_eq!(String::from_utf8(ended.stdout).unwrap(), wanted, "{line}");
}

#[test]
fn items_and_placeholders() {
    prints("-k echo ::: a b c", "a\nb\nc\n");
    prints("-k echo {}{} ::: a b", "aa\nbb\n");
    prints("-k echo {/} {.} {//} {/.} ::: d/e.f", "e.f d/e d e\n");
    prints("-k echo {#}:{} ::: x y", "1:x\n2:y\n");
    prints("-j1 -k echo {%} ::: x y", "1\n1\n");
    prints("-k echo ::: a b ::: 1 2", "a 1\na 2\nb 1\nb 2\n");
    prints("-k echo {2}-{1} ::: a b :::+ 1 2", "1-a\n2-b\n");
    prints("-k -a f -a g echo", "one 1\none 2\ntwo 1\ntwo 2\n");
    prints("-k echo x :::: f ::::+ g", "x one 1\nx two 2\n");
    prints("-k -n 2 echo ::: a b c", "a b\nc\n");
    prints("-k --tag echo hello ::: a b", "a\thello a\nb\thello b\n");
    prints("-k --shell ::: true", "");
}

#[test]
fn nothing_and_one() {
    prints("echo :::", "");
    prints("echo ::: a", "a\n");
    let world = World::new();
    each(&world, "echo", &[]).stdin(Input::Piped(Vec::new())).run().expect_code(0).expect_stdout(b"");
}

#[test]
fn items_come_from_standard_input_too() {
    let world = World::new();
    let line = each(&world, "-k echo", &["<{}>"]);
    let piped = line.clone().stdin(Input::Piped(b"a b\n'c\"\n--tag\n$(touch hurt)".to_vec()));
    piped.run().expect_code(0).expect_stdout(b"<a b>\n<'c\">\n<--tag>\n<$(touch hurt)>\n");
    let zeros = each(&world, "--fresh -k -0 echo", &["<{}>"]).stdin(Input::Piped(b"a\nb\0\xff\0".to_vec()));
    zeros.run().expect_code(0).expect_stdout(b"<a\nb>\n<\xff>\n");
    let commas = each(&world, "--fresh -k -d , echo", &["<{}>"]).stdin(Input::Piped(b"a,b".to_vec()));
    commas.run().expect_code(0).expect_stdout(b"<a>\n<b>\n");
    assert!(!world.exists("hurt"));
}

#[test]
fn a_person_is_asked_for_items_only_if_there_is_a_command_for_them() {
    const CTRL_D: u8 = 4;
    let world = World::new();
    let terminal =
        Terminal::open(&world).types("bivouac each").until("the command: is missing").until_status(2);
    assert!(!terminal.seen.contains("reading items"), "{}", terminal.seen);
    let terminal = terminal.types("bivouac each echo made of").until("reading items from the terminal");
    drop(terminal.types("one").until("made of one").presses(CTRL_D).until("prompt> ").until_status(0));
}

/// An item is one harmless word, wherever it stands in a text for the shell.
#[test]
fn with_a_shell_an_item_is_quoted_and_without_one_there_is_none() {
    let nasty = "$(touch hurt); `touch hurt` '\" \\ * ; touch hurt";
    let world = World::new();
    for text in
        ["printf '%s\\n' {}", "printf '%s\\n' \"{}\"", "printf '%s\\n' '{}'", "x={}; echo \"$x\" | cat"]
    {
        let ended = each(&world, "--fresh --shell", &[text, ":::", nasty]).run().expect_code(0);
        assert_eq!(String::from_utf8(ended.stdout).unwrap(), format!("{nasty}\n"), "{text}");
    }
    each(&world, "echo", &["{}; touch hurt", ":::", nasty]).run().expect_code(0);
    assert!(!world.exists("hurt"));
}

/// `$1` is another one there.
#[test]
fn an_item_is_itself_in_functions_and_behind_set_and_shift() {
    let world = World::new();
    for (text, prints) in [
        ("f() { echo \"got $1 of {}\"; }; f arg", "got arg of a b\n"),
        ("set -- q r; printf '[%s]' {} \"$1\"", "[a b][q]"),
        ("shift 0; echo $# {}", "0 a b\n"),
    ] {
        let ended = each(&world, "--shell", &[text, ":::", "a b"]).run().expect_code(0);
        assert_eq!(String::from_utf8(ended.stdout).unwrap(), prints, "{text}");
    }
}

#[test]
fn what_is_printed_is_never_mixed_and_what_is_said_neither() {
    let world = World::new();
    let text = "for i in 1 2 3 4 5; do echo {}; echo {} >&2; sleep 0.01; done";
    let ended = each(&world, "-j 4 --shell", &[text, ":::", "a", "b", "c", "d"]).run().expect_code(0);
    let runs = |text: &str| {
        let mut runs: Vec<&str> = text.lines().collect();
        runs.dedup();
        runs.len()
    };
    assert_eq!(runs(&String::from_utf8(ended.stdout).unwrap()), 4);
    let said: Vec<&str> = ended.stderr.lines().filter(|line| line.len() == 1).collect();
    assert_eq!((said.len(), runs(&said.join("\n"))), (20, 4), "{}", ended.stderr);
}

#[test]
fn a_dry_run_runs_nothing_and_leaves_nothing() {
    let world = World::new();
    let ended = each(&world, "--dry-run touch", &[":::", "a", "b c", "d'e"]).run().expect_code(0);
    let shown = String::from_utf8(ended.stdout).unwrap();
    assert_eq!(world.contents(".").len(), 0);
    // What it prints does what it would do.
    world.shell(&shown);
    assert!(world.exists("a") && world.exists("b c") && world.exists("d'e"), "{shown}");
}

#[test]
fn long_items_and_odd_ones() {
    let world = World::new();
    let long = "x".repeat(100_000);
    let ended = each(&world, "--shell", &["printf %s {} | wc -c", ":::", &long]).run().expect_code(0);
    assert_eq!(String::from_utf8(ended.stdout).unwrap().trim(), "100000");
    let longer = "x".repeat(140_000);
    let piped = Input::Piped(format!("{longer}\nshort\n").into_bytes());
    let ended = each(&world, "echo", &[]).stdin(piped).run().expect_code(1);
    ended.expect_says("128 KiB").expect_stdout(b"short\n");
    let ended = each(&world, "-k echo x", &[]).stdin(Input::Piped(b"a\0b\nc\n".to_vec())).run();
    ended.expect_code(1).expect_says("zero byte").expect_says("-0").expect_stdout(b"x c\n");
}

#[test]
fn wrong_usage_is_said_and_nothing_is_touched() {
    let world = World::new();
    for (line, says) in [
        ("each ::: a", "--shell"),
        ("each echo {3} ::: a ::: b", "{3}"),
        ("each --halt later echo ::: a", "now,fail=1"),
        ("each -a missing echo", "missing"),
        ("each -o out --retry-failed echo ::: a", "--retry-failed"),
    ] {
        world.bivouac(line).run().expect_code(2).expect_says(says);
    }
    assert_eq!(world.contents(".").len(), 0);
}
