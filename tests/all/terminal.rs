//! Under a real shell on a real terminal: the keys that people press.
//!
//! `setsid --ctty` makes the shell the leader of a new session and the pseudo-terminal its
//! controlling terminal. So the signals here come from where they come from in life: the kernel's
//! terminal driver turns a byte into SIGINT or SIGTSTP for the foreground process group, and bash
//! with job control moves groups to the foreground and back. (Doing the same from Rust without
//! `setsid` needs code between fork and exec, which cannot be safe.)

use crate::harness::World;
use crate::jobs::GREP;
use crate::running::DEADLINE;
use crossbeam_channel::{Receiver, RecvTimeoutError, unbounded};
use nix::pty::openpty;
use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Stdio};
use std::thread;
use std::time::Instant;

pub(crate) const CTRL_C: u8 = 3;
pub(crate) const CTRL_Z: u8 = 26;
const CTRL_BACKSLASH: u8 = 28;

/// An interactive bash on a terminal of its own.
#[derive(Debug)]
pub(crate) struct Terminal {
    shell: Child,
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    seen: String,
    /// What was waited for already: later waits look behind it.
    read_to: usize,
}

impl Terminal {
    pub(crate) fn open(world: &World) -> Self {
        let pty = openpty(None, None).unwrap();
        let side = || Stdio::from(pty.slave.try_clone().unwrap());
        let shell = world
            .command("setsid")
            .args(["--ctty", "env", "PS1=prompt> ", "TERM=xterm", "bash", "--norc", "--noprofile", "-i"])
            .stdin(side())
            .stdout(side())
            .stderr(side())
            .spawn()
            .unwrap();
        drop(pty.slave);
        let keyboard = File::from(pty.master);
        let mut glass = keyboard.try_clone().unwrap();
        let (sender, screen) = unbounded();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            // The end is an error (EIO), when the last process has closed the terminal.
            while let Ok(length @ 1..) = glass.read(&mut buffer) {
                drop(sender.send(buffer[..length].to_vec()));
            }
        });
        Self { shell, keyboard, screen, seen: String::new(), read_to: 0 }.until("prompt> ")
    }

    pub(crate) fn types(mut self, line: &str) -> Self {
        self.keyboard.write_all(format!("{line}\n").as_bytes()).unwrap();
        self
    }

    pub(crate) fn presses(mut self, key: u8) -> Self {
        self.keyboard.write_all(&[key]).unwrap();
        self
    }

    /// Waits until the screen shows `text`, behind what was waited for before.
    pub(crate) fn until(mut self, text: &str) -> Self {
        let end = Instant::now() + DEADLINE;
        loop {
            if let Some(at) = self.seen[self.read_to..].find(text) {
                self.read_to += at + text.len();
                return self;
            }
            match self.screen.recv_deadline(end) {
                Ok(bytes) => self.seen.push_str(&String::from_utf8_lossy(&bytes)),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("waited in vain for “{text}” on the screen:\n{}", self.seen.escape_debug())
                }
            }
        }
    }

    /// Waits until the last command has ended, which must be with this status.
    pub(crate) fn until_status(self, status: u8) -> Self {
        // The words stand apart in what is typed, so that its echo does not match.
        self.types("echo status'='$?.").until(&format!("status={status}."))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Closing a terminal sends SIGHUP to its session; a shell that is left over gets KILL.
        drop(self.shell.kill());
        drop(self.shell.wait());
    }
}

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

#[test]
fn ctrl_z_suspends_and_fg_goes_on() {
    let world = GREP.world();
    Terminal::open(&world)
        .types(&slow())
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
        .until("bivouac: phase running")
        .until("prompt> ")
        .until_status(0);
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
