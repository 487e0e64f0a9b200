//! Under a real shell on a real terminal: the keys that people press.
//!
//! The terminal itself, and why it is made as it is, stands in [`crate::tty`]; what a shell does with a
//! job beyond the keys, in [`crate::jobcontrol`].

use crate::harness::World;
use crate::jobs::{GREP, let_go};
use crate::running::DEADLINE;
use crate::tty::{CTRL_BACKSLASH, CTRL_C, CTRL_Z, Terminal};
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};

fn slow() -> String {
    format!("bivouac {} {} --verbose --progress never", GREP.arguments, crate::jobs::SLOW)
}

#[test]
fn ctrl_c_stops_and_the_same_line_continues() {
    let world = GREP.world();
    let terminal = Terminal::open(&world)
        .types(&slow())
        .until("bivouac: checkpoint at ")
        .presses(CTRL_C)
        .until("SIGINT (from the kernel")
        .until("prompt> ")
        .until_status(130);
    GREP.expect_interrupted_state(&world);
    drop(terminal.types(&format!("bivouac {}", GREP.arguments)).until("prompt> ").until_status(0));
    GREP.expect_right_output(&world);
}

#[test]
fn ctrl_c_ends_the_script_around_it() {
    let world = GREP.world();
    world.write("script", format!("{}\necho the next line ran\n", slow()));
    let terminal = Terminal::open(&world)
        .types("bash script")
        .until("bivouac: checkpoint at ")
        .presses(CTRL_C)
        .until("prompt> ")
        .until_status(130);
    assert!(!terminal.seen.contains("the next line ran"), "{}", terminal.seen);
}

/// A command that ends when `go` is there, and says by a file that it has begun.
const PATIENT: &str = "bivouac each --verbose sh -c ': > begun; until test -e go; do sleep 0.02; done' ::: 1";

fn until_begun(world: &World) {
    let end = Instant::now() + DEADLINE;
    while !world.exists("begun") {
        assert!(Instant::now() < end, "the command does not begin");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

#[test]
fn ctrl_c_ends_the_loop_around_a_job_that_becomes_complete() {
    let world = World::new();
    for around in ["for i in 1 2 3; do COMMAND; echo pas'sed' $i; done", "bash script"] {
        world.write("script", format!("for i in 1 2 3; do {PATIENT}; echo passed $i; done\n"));
        let terminal = Terminal::open(&world).types(&around.replace("COMMAND", PATIENT));
        until_begun(&world);
        let terminal = terminal.presses(CTRL_C).until("SIGINT (from the kernel").until("stopping: ");
        world.write("go", "");
        let terminal = terminal.until("finished within the grace").until("prompt> ").until_status(130);
        assert!(!terminal.seen.contains("passed"), "{around}: {}", terminal.seen);
        // The result stands.
        drop(terminal.types(PATIENT).until("already finished").until("prompt> ").until_status(0));
        world.shell("rm -r go begun .bivouac");
    }
}

/// What a scheduler sends, or a script by `kill`, is for this job alone.
#[test]
fn a_signal_of_a_process_leaves_its_code_to_a_job_that_becomes_complete() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let world = World::new();
        let command = ["sh", "-c", ": > begun; until test -e go; do sleep 0.02; done", ":::", "1"];
        let run = world.bivouac("each").words(&command).start();
        until_begun(&world);
        let run = run.signal(signal).until("stopping: ");
        world.write("go", "");
        run.wait().expect_code(0).expect_says_not("within the grace");
    }
}

#[test]
fn ctrl_z_suspends_and_fg_goes_on() {
    let world = GREP.world();
    let line = format!("{} --verbose --progress never", GREP.braked(&world).line());
    let terminal = Terminal::open(&world)
        .types(&line)
        .until("bivouac: checkpoint at ")
        .presses(CTRL_Z)
        .until("Stopped")
        .until("prompt> ")
        .types("fg")
        .until("bivouac: phase running")
        .until("bivouac: checkpoint at ")
        // Twice: the second suspension must work as the first did.
        .presses(CTRL_Z)
        .until("Stopped")
        .until("prompt> ")
        .types("fg")
        .until("bivouac: phase running");
    let_go(&world);
    drop(terminal.until("prompt> ").until_status(0));
    GREP.expect_right_output(&world);
}

#[test]
fn a_suspended_job_goes_on_in_the_background_and_can_be_killed_by_its_number() {
    let world = GREP.world();
    Terminal::open(&world)
        .types(&slow())
        .until("bivouac: checkpoint at ")
        .presses(CTRL_Z)
        .until("Stopped")
        .until("prompt> ")
        .types("bg")
        .until("bivouac: phase running")
        .until("bivouac: checkpoint at ")
        .types("kill %1; wait %1")
        .until("SIGTERM (from pid")
        .until_status(143);
    GREP.expect_interrupted_state(&world);
    GREP.command(&world).run().expect_code(0);
    GREP.expect_right_output(&world);
}

#[test]
fn the_quit_key_ends_at_once() {
    let world = GREP.world();
    Terminal::open(&world)
        .types(&slow())
        .until("bivouac: checkpoint at ")
        .presses(CTRL_BACKSLASH)
        .until("prompt> ")
        .until_status(131);
    GREP.expect_interrupted_state(&world);
}

#[test]
fn the_progress_line_leaves_the_terminal_clean() {
    let world = GREP.world();
    let command = format!("bivouac {} {} --progress always", GREP.arguments, crate::jobs::SLOW);
    let terminal = Terminal::open(&world).types(&command).until("running").presses(CTRL_C).until("prompt> ");
    let shown = terminal.until_status(130).seen.clone();
    let hidden = shown.rfind("\u{1b}[?25l");
    let visible = shown.rfind("\u{1b}[?25h");
    assert!(hidden <= visible, "the cursor was left hidden:\n{}", shown.escape_debug());
}

/// The line would be drawn into what is typed.
#[test]
fn there_is_no_progress_line_while_the_input_is_typed() {
    let world = World::new();
    // Longer than it takes until there is a line.
    let line = "bivouac each --shell 'sleep 2; echo over-{}'";
    let terminal = Terminal::open(&world).types(line).types("item").until("over-item");
    let seen = terminal.presses(4).until("prompt> ").seen.clone();
    assert!(!seen.contains("elapsed"), "{}", seen.escape_debug());
}

/// The worker that has its answer does not ask about its next item before the others have asked.
#[test]
fn two_workers_ask_about_the_items_in_their_order() {
    let world = World::new();
    let terminal = Terminal::open(&world).types("bivouac each -j2 -p echo ::: 1 2 3").until(" ?...");
    drop(terminal.types("y").until(" ?...").types("y").until("echo 3 ?...").types("y").until_status(0));
}

/// Standard input may be the list; the terminal is asked.
#[test]
fn each_command_is_asked_for_and_ctrl_c_at_a_question_stops_the_job() {
    let world = World::new();
    let line = "printf '1\\n2\\n3\\n' | bivouac each -j1 -p sh -c 'echo ran $0 >>ran'";
    drop(
        Terminal::open(&world)
            .types(line)
            .until("'echo ran $0 >>ran' 1 ?...")
            .types("y")
            .until(" 2 ?...")
            .presses(CTRL_C)
            .until("prompt> ")
            .until_status(130)
            .types(line)
            .until(" 2 ?...")
            .types("n")
            .until(" 3 ?...")
            .types("yes")
            .until("prompt> ")
            .until_status(0),
    );
    assert_eq!(world.read("ran"), b"ran 1\nran 3\n");
}
