//! `bivouac pause` from another terminal: the job stands still, and stays where it is.

use crate::harness::World;
use crate::jobs::GREP;
use crate::pipe::until;
use crate::tty::{CTRL_C, Terminal};
use std::fs;

/// What the kernel says of a process.
fn state_of(pid: &str) -> Option<char> {
    fs::read_to_string(format!("/proc/{pid}/stat")).ok()?.rsplit(") ").next()?.chars().next()
}

#[test]
fn a_paused_job_stays_in_the_foreground_of_its_shell() {
    let world = GREP.world();
    let line = format!("bivouac {} {} --verbose --progress always", GREP.arguments, crate::jobs::SLOW);
    let terminal = Terminal::open(&world).types(&line).until("bivouac: checkpoint at ");
    world.bivouac("pause").run().expect_code(0).expect_says("paused; ");
    let terminal = terminal.until("bivouac: phase paused").until("paused");
    let mark = terminal.mark();
    world.bivouac("resume").run().expect_code(0);
    let terminal = terminal.until("bivouac: phase running").until("bivouac: checkpoint at ");
    assert!(!terminal.since(mark).contains("prompt> "), "the shell has the terminal: {}", terminal.seen);
    assert!(!terminal.seen.contains("Stopped"), "{}", terminal.seen);
    drop(terminal.presses(CTRL_C).until("SIGINT (from the kernel").until("prompt> ").until_status(130));
    GREP.expect_interrupted_state(&world);
}

#[test]
fn a_key_stops_a_job_that_somebody_else_has_paused() {
    let world = GREP.world();
    let line = format!("bivouac {} {} --verbose --progress never", GREP.arguments, crate::jobs::SLOW);
    let terminal = Terminal::open(&world).types(&line).until("bivouac: checkpoint at ");
    world.bivouac("pause").run().expect_code(0).expect_says("paused; ");
    drop(terminal.until("phase paused").presses(CTRL_C).until("prompt> ").until_status(130));
    world.bivouac(GREP.arguments).run().expect_code(0);
    GREP.expect_right_output(&world);
}

#[test]
fn the_commands_of_a_paused_job_are_stopped_and_go_on() {
    let world = World::new();
    let text = "echo $$ > begun; until [ -e go ]; do sleep 0.01; done; echo {}";
    let run = world.bivouac("each --shell").words(&[text, ":::", "a"]).start();
    until("the command to begin", || world.exists("begun") && world.read("begun").ends_with(b"\n"));
    let pid = String::from_utf8(world.read("begun")).unwrap().trim().to_string();
    world.bivouac("pause").run().expect_code(0).expect_says("paused; ");
    until("the command to stop", || state_of(&pid) == Some('T'));
    world.write("go", "");
    world.bivouac("resume").run().expect_code(0);
    run.wait().expect_code(0).expect_stdout(b"a\n");
}
