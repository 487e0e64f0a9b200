//! A pseudo-terminal with a shell on it, as a person would sit there.
//!
//! `setsid --ctty` makes the shell the leader of a new session and the pseudo-terminal its
//! controlling terminal. So the signals come from where they come from in life: the kernel's
//! terminal driver turns a byte into SIGINT or SIGTSTP for the foreground process group, and a shell
//! with job control moves groups to the foreground and back. (Doing the same from Rust without
//! `setsid` needs code between fork and exec, which cannot be safe.)

use crate::harness::World;
use crate::running::DEADLINE;
use crossbeam_channel::{Receiver, RecvTimeoutError, unbounded};
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::stat::Mode;
use nix::unistd::{mkfifo, tcgetpgrp};
use std::fs::{self, File};
use std::io::{PipeWriter, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub(crate) const CTRL_C: u8 = 3;
pub(crate) const CTRL_Z: u8 = 26;
pub(crate) const CTRL_BACKSLASH: u8 = 28;

/// Which shell sits on the terminal. They differ in how they start, wait for and continue a job, so
/// what holds under both holds under most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shell {
    Bash,
    Dash,
}

impl Shell {
    fn command(self) -> &'static [&'static str] {
        match self {
            Shell::Bash => &["bash", "--norc", "--noprofile", "-i"],
            Shell::Dash => &["dash", "-i"],
        }
    }

    /// Runs a test under both, at the same time. A panic in either fails the test.
    pub(crate) fn under_both(test: fn(Shell)) {
        thread::scope(|scope| {
            let one = scope.spawn(|| test(Shell::Bash));
            let other = scope.spawn(|| test(Shell::Dash));
            for (shell, thread) in [(Shell::Bash, one), (Shell::Dash, other)] {
                assert!(thread.join().is_ok(), "under {shell:?}; see the panic above");
            }
        });
    }
}

/// An interactive shell on a terminal of its own.
#[derive(Debug)]
pub(crate) struct Terminal {
    shell: Child,
    keyboard: Arc<File>,
    screen: Receiver<Vec<u8>>,
    /// The thread that reads the screen, and what tells it to end.
    glass: Option<(JoinHandle<()>, PipeWriter)>,
    pub(crate) seen: String,
    /// What was waited for already: later waits look behind it.
    read_to: usize,
}

impl Terminal {
    pub(crate) fn open(world: &World) -> Self {
        Self::with(world, Shell::Bash)
    }

    pub(crate) fn with(world: &World, shell: Shell) -> Self {
        let (master, slave) = pair();
        let side = || Stdio::from(slave.try_clone().unwrap());
        let child = world
            .command("setsid")
            .args(["--ctty", "env", "PS1=prompt> ", "TERM=xterm"])
            .args(shell.command())
            .stdin(side())
            .stdout(side())
            .stderr(side())
            .spawn()
            .unwrap();
        drop(slave);
        let keyboard = Arc::new(master);
        let (sender, screen) = unbounded();
        let (told, tell) = std::io::pipe().unwrap();
        let master = Arc::clone(&keyboard);
        let reader = thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                let mut both = [
                    PollFd::new(master.as_fd(), PollFlags::POLLIN),
                    PollFd::new(told.as_fd(), PollFlags::POLLIN),
                ];
                if poll(&mut both, PollTimeout::NONE).is_err() {
                    continue;
                }
                if both[1].any() == Some(true) {
                    return; // The terminal is being closed, and this is the last but one who holds it.
                }
                // The end is an error (EIO), when the last process has closed the terminal.
                let Ok(length @ 1..) = (&*master).read(&mut buffer) else { return };
                drop(sender.send(buffer[..length].to_vec()));
            }
        });
        let terminal = Self {
            shell: child,
            keyboard,
            screen,
            glass: Some((reader, tell)),
            seen: String::new(),
            read_to: 0,
        };
        terminal.until("prompt> ")
    }

    pub(crate) fn types(self, line: &str) -> Self {
        (&*self.keyboard).write_all(format!("{line}\n").as_bytes()).unwrap();
        self
    }

    pub(crate) fn presses(self, key: u8) -> Self {
        (&*self.keyboard).write_all(&[key]).unwrap();
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

    /// Types a command and waits until the shell has given it the terminal.
    pub(crate) fn brings_to_the_foreground(self, line: &str) -> Self {
        let shell = self.foreground();
        let terminal = self.types(line);
        let end = Instant::now() + DEADLINE;
        while terminal.foreground() == shell {
            assert!(Instant::now() < end, "{line}: the shell keeps the terminal");
            thread::park_timeout(Duration::from_millis(1));
        }
        terminal
    }

    /// Gives the window another size; the kernel tells the foreground by SIGWINCH.
    pub(crate) fn resized(self, columns: u16, rows: u16) -> Self {
        let size = rustix::termios::Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&*self.keyboard, size).unwrap();
        self
    }

    /// The process group to which the keys send their signals.
    pub(crate) fn foreground(&self) -> i32 {
        tcgetpgrp(&*self.keyboard).unwrap().as_raw()
    }

    /// What was shown since what was waited for before `mark`.
    pub(crate) fn mark(&self) -> usize {
        self.read_to
    }

    /// What the screen showed from `mark` to what was waited for last.
    pub(crate) fn since(&self, mark: usize) -> &str {
        &self.seen[mark..self.read_to]
    }

    /// Pulls the plug: the window is closed, the connection lost. The kernel sends SIGHUP to the
    /// shell, and what becomes of the jobs is between the shell, the kernel and them.
    pub(crate) fn close(mut self) {
        if let Some((reader, tell)) = self.glass.take() {
            drop(tell);
            reader.join().unwrap();
        }
        // The other holder was the reader. The shell must have time to hand the signal on, so it is
        // waited for; it is killed only by `Drop`, should it not end.
        self.keyboard = Arc::new(File::open("/dev/null").unwrap());
        let end = Instant::now() + DEADLINE;
        while self.shell.try_wait().unwrap().is_none() {
            assert!(Instant::now() < end, "the shell outlives its terminal");
            thread::park_timeout(Duration::from_millis(5));
        }
    }
}

/// Both ends of a new pseudo-terminal. Not by `openpty`, which leaves the master open in every child:
/// a window that is also held by the shell inside it cannot be closed.
fn pair() -> (File, File) {
    let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname_r(&master).unwrap();
    let flags = OFlag::O_NOCTTY.bits();
    let slave = fs::OpenOptions::new().read(true).write(true).custom_flags(flags).open(name).unwrap();
    (File::from(OwnedFd::from(master)), slave)
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Closing a terminal sends SIGHUP to its session; a shell that is left over gets KILL.
        drop(self.shell.kill());
        drop(self.shell.wait());
    }
}

/// Tells when a process that is nobody's child any more is gone.
///
/// It holds the writing end of a named pipe, opened by the shell with [`Lifeline::redirection`].
/// The reading end sees the end of file when the kernel has closed it, that is, when the process
/// has ended, however that came.
#[derive(Debug)]
pub(crate) struct Lifeline {
    ended: Receiver<()>,
}

impl Lifeline {
    pub(crate) fn new(world: &World) -> Self {
        let path = world.path("lifeline");
        if world.exists("lifeline") {
            fs::remove_file(&path).unwrap();
        }
        mkfifo(&path, Mode::S_IRWXU).unwrap();
        let (tell, ended) = unbounded();
        thread::spawn(move || {
            let mut nothing = Vec::new();
            File::open(path).unwrap().read_to_end(&mut nothing).unwrap();
            tell.send(()).unwrap_or_default();
        });
        Self { ended }
    }

    /// To be typed behind the command.
    pub(crate) const REDIRECTION: &str = "9>lifeline";

    pub(crate) fn until_gone(&self) {
        self.ended.recv_timeout(DEADLINE).expect("the process does not end");
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.ended.try_recv().is_ok()
    }
}
