//! `bivouac top` on a real terminal: what is on the screen, what the keys do, and how the terminal is left.

use crate::harness::World;
use crate::running::{DEADLINE, Running};
use crate::tty::{CTRL_C, CTRL_Z, Shell, Terminal};
use nix::sys::signal::Signal::{SIGKILL, SIGTERM};
use nix::sys::signal::kill;
use nix::unistd::Pid;
use serde_json::Value;
use std::time::{Duration, Instant};

const ESCAPE: u8 = 0x1b;

/// What puts the terminal in order.
const LEFT: &str = "\x1b[?25h\x1b[?1049l";

/// Two commands that run until `go` is there.
fn held<'w>(world: &'w World, options: &str) -> Running<'w> {
    let script = "echo {%} >>begun; until test -e go; do sleep 0.02; done";
    let words = [script, ":::", "one", "two", "three", "four", "five", "six"];
    let run = world.bivouac(&format!("each --state s.bivouac -j 2 {options} --shell")).words(&words).start();
    wait_for("two commands", || lines(world) == 2);
    run
}

fn wait_for(what: &str, is: impl Fn() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !is() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

fn lines(world: &World) -> usize {
    if world.exists("begun") { world.read("begun").iter().filter(|byte| **byte == b'\n').count() } else { 0 }
}

fn status(world: &World) -> Value {
    serde_json::from_slice(&world.bivouac("status s --json").run().expect_code(0).stdout).unwrap()
}

fn phase(world: &World) -> String {
    status(world)["phase"].as_str().unwrap().to_string()
}

/// The mode of the terminal, as `stty` names it.
fn mode(terminal: Terminal) -> (Terminal, String) {
    let terminal = terminal.types("echo mode'='; stty -a; echo end'='").until("mode=");
    let mark = terminal.mark();
    let terminal = terminal.until("end=");
    // Its lines are as long as the window is wide.
    let text = terminal.since(mark).split_whitespace().collect::<Vec<_>>().join(" ");
    (terminal, text)
}

#[test]
fn the_keys_do_what_they_say() {
    let world = World::new();
    let run = held(&world, "");
    let terminal = Terminal::open(&world).resized(100, 30).types("bivouac top");
    let terminal = terminal.until("bivouac top").until("1 job, 1 running").until("each").until("running");
    let terminal = terminal.presses(b'\n').until("SLOT").until("item 1").until("one");
    let terminal = terminal.presses(b'p').until("bivouac resume");
    wait_for("it is paused", || phase(&world) == "paused");
    let terminal = terminal.presses(b'p').until("goes on");
    wait_for("it goes on", || phase(&world) == "running");
    let terminal = terminal.presses(b'+').until("jobs 2 -> 3");
    wait_for("three commands", || lines(&world) == 3);
    let terminal = terminal.presses(b'-').until("jobs 3 -> 2");
    assert_eq!(status(&world)["workers"], 2);
    let before = status(&world)["checkpoints_asked"].as_u64().unwrap();
    let terminal = terminal.presses(b'c').until("checkpoint");
    wait_for("a checkpoint", || status(&world)["checkpoints_asked"].as_u64().unwrap() > before);
    let terminal = terminal.presses(ESCAPE).until("STATE");
    // Asks first.
    let terminal = terminal.presses(b's').until("y or n").presses(b'n');
    let terminal = terminal.presses(b'?').until("leave; jobs go on").presses(b'?').until("STATE");
    assert_eq!(phase(&world), "running");
    let terminal = terminal.presses(b's').until("y or n").presses(b'y');
    wait_for("it is stopping", || phase(&world) == "stopping");
    world.write("go", "");
    run.wait().expect_stopped_by(SIGTERM);
    let terminal = terminal.until("stopped").presses(b'q').until(LEFT).until("prompt> ");
    drop(terminal.until_status(0));
}

#[test]
fn a_job_that_ends_while_it_is_watched_stays_with_its_result() {
    let world = World::new();
    let run = held(&world, "");
    let terminal = Terminal::open(&world).types("bivouac top s").until("SLOT");
    world.write("go", "");
    run.wait().expect_code(0);
    let terminal = terminal.until("finished").until("exit code   0").presses(b'q').until(LEFT);
    drop(terminal.until("prompt> ").until_status(0));
    // This one takes its state away.
    world.shell("rm -r s.bivouac go begun");
    world.write("in", "x\n".repeat(100_000));
    let run = world.bivouac("count in --limit-rate 50KiB").start().until("ready");
    let terminal = Terminal::open(&world).types("bivouac top").until("count");
    let shown = run.until_checkpoint_at_least(1);
    world.bivouac("set limit-rate=none").run().expect_code(0);
    shown.wait().expect_code(0);
    let terminal = terminal.until("finished").presses(b'\n').until("its state went with its end");
    drop(terminal.presses(b'q').until(LEFT).until("prompt> ").until_status(0));
}

#[test]
fn ctrl_z_gives_the_terminal_to_the_shell_and_fg_takes_it_again() {
    Shell::under_both(|shell| {
        let world = World::new();
        let run = held(&world, "");
        let (terminal, before) = mode(Terminal::with(&world, shell));
        let terminal = terminal.types("bivouac top").until("1 running").presses(CTRL_Z).until(LEFT);
        let terminal = terminal.until("prompt> ");
        let (terminal, now) = mode(terminal);
        assert_eq!(now, before, "the shell has its own mode");
        let terminal = terminal.types("fg").until("\x1b[?1049h").until("1 running");
        // It still hears, and draws anew when the window changes.
        let terminal = terminal.resized(60, 20).until("\x1b[2J").until("1 running");
        let terminal = terminal.presses(b'q').until(LEFT).until("prompt> ");
        let (terminal, after) = mode(terminal);
        assert_eq!(after.replace("rows 20; columns 60", ""), before.replace("rows 0; columns 0", ""));
        world.write("go", "");
        run.wait().expect_code(0);
        drop(terminal);
    });
}

#[test]
fn a_signal_ends_it_and_the_terminal_is_as_it_was() {
    let world = World::new();
    let (terminal, before) = mode(Terminal::open(&world));
    let terminal = terminal.types("bivouac top").until("no jobs here").presses(CTRL_C).until(LEFT);
    let terminal = terminal.until("prompt> ").until_status(130);
    let terminal = terminal.types("bivouac top").until("no jobs here");
    let pid = Pid::from_raw(terminal.foreground());
    kill(pid, SIGTERM).unwrap();
    let terminal = terminal.until(LEFT).until("prompt> ").until_status(143);
    let (terminal, after) = mode(terminal);
    assert_eq!(after, before);
    // Nothing can give it back after this, and the shell knows.
    let terminal = terminal.types("bivouac top").until("no jobs here");
    kill(Pid::from_raw(terminal.foreground()), SIGKILL).unwrap();
    drop(terminal.until("prompt> ").until_status(137));
}

#[test]
fn without_a_terminal_it_says_what_to_type_and_a_frame_can_be_printed() {
    let world = World::new();
    world.bivouac("top").run().expect_code(2).expect_says("status --watch").expect_short_messages();
    world.bivouac("top --once").run().expect_code(0).expect_stdout_says("no jobs here");
    let name = "木\u{1b}[2J-very-long-name-of-a-state-that-has-no-room-in-any-column";
    world.write("in", "x\n");
    world.bivouac("count in -o o").words(&["--state", name]).run().expect_code(0);
    world.shell("mv '\u{6728}'* o.bivouac");
    let run = held(&world, "");
    wait_for("the status", || status(&world)["at_work"].as_array().unwrap().len() == 2);
    for (width, height) in [(80, 24), (120, 40), (20, 5), (1, 1), (300, 3)] {
        for place in [".", "s"] {
            let line = format!("top {place} --once --width {width} --height {height} --color always");
            let text = String::from_utf8(world.bivouac(&line).run().expect_code(0).stdout).unwrap();
            assert_eq!(text.lines().count(), height, "{text}");
            let is_wide = |line: &str| line.chars().count() > width;
            assert!(!text.lines().any(is_wide) && !text.contains('\u{1b}'), "{text}");
        }
    }
    let once = world.bivouac("top --once --width 120").run().expect_code(0);
    drop(once.expect_stdout_says("s.bivouac ").expect_stdout_says("bivouac each"));
    let one = world.bivouac("top s --once").run().expect_code(0);
    drop(one.expect_stdout_says("2  item 2").expect_stdout_says("two"));
    world.write("go", "");
    run.wait().expect_code(0);
}

/// One row for the job; below it a row for each shard, and the keys are for the selected one.
#[test]
fn a_job_in_shards_is_one_row_and_opens_into_its_shards() {
    let world = World::new();
    let script = "echo {%} >>begun; until test -e go; do sleep 0.02; done";
    let start = |shard: u64| {
        let options = format!("each --state s.bivouac -j 2 --shard {shard}/3 --shell");
        let items: Vec<String> = (1..=9).map(|n| format!("item-{n}")).collect();
        let words: Vec<&str> = [script, ":::"].into_iter().chain(items.iter().map(String::as_str)).collect();
        let run = world.bivouac(&options).words(&words).start();
        wait_for("its commands", || lines(&world) == 2 * shard as usize);
        run
    };
    let (one, two) = (start(1), start(2));
    let phases = || {
        let status = status(&world);
        let all = status["shards"].as_array().unwrap().iter();
        all.map(|shard| shard["phase"].as_str().unwrap().to_string()).collect::<Vec<_>>()
    };
    let terminal = Terminal::open(&world).resized(100, 30).types("bivouac top");
    let terminal = terminal.until("1 job, 1 running").until("each").until("running").until("4");
    // The keys of the list are for all of its shards.
    let terminal = terminal.presses(b'p').until("bivouac resume");
    wait_for("all are paused", || phases() == ["paused", "paused"]);
    assert_eq!(phase(&world), "paused");
    let terminal = terminal.presses(b'p').until("goes on");
    wait_for("all go on", || phases() == ["running", "running"]);
    let terminal = terminal.presses(b'\n').until("SHARD").until("1 not begun").until("\u{2190} list");
    // The second one, alone.
    let terminal = terminal.presses(b'j').presses(b'p').until("bivouac resume");
    wait_for("the second is paused", || phases() == ["running", "paused"]);
    assert_eq!(phase(&world), "running");
    let terminal = terminal.presses(b'\n').until("SLOT").until("item 2").until("item-2");
    let terminal = terminal.presses(b's').until("s.bivouac/shards/2? y or n").presses(b'n');
    let terminal = terminal.presses(b'p').until("goes on");
    wait_for("it goes on", || phases() == ["running", "running"]);
    let terminal = terminal.presses(ESCAPE).until("SHARD").presses(ESCAPE).until("STATE");
    let once = world.bivouac("top s --once").run().expect_code(0);
    drop(once.expect_stdout_says("1 not begun").expect_stdout_says("SHARD"));
    world.write("go", "");
    one.wait().expect_code(0);
    two.wait().expect_code(0);
    drop(terminal.presses(b'q').until(LEFT).until("prompt> ").until_status(0));
}
