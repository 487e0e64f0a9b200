//! Ready-made observers: a line on the terminal, and sentences for a logger.
//!
//! indicatif is the obvious library for the line. It writes without asking, and a terminal that is held with Ctrl-S would
//! hold the supervisor in the middle of a write: then no signal is answered. Here `poll(2)` is asked first, and a drawing
//! that cannot be written now is left out. (The tool's own line has more: it keeps messages for a slow reader, and has a
//! row for each slot.)

use crate::task::observer::{Activity, Notice, Observer, Progress};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{IsTerminal, Stderr, Write, stderr};

/// A line on standard error: how much is done, how fast, and the time left. Warnings and lines of commands stand
/// above it. Nothing is drawn if standard error is no terminal, or the terminal belongs to another program.
///
/// ```no_run
/// use bivouac::prelude::*;
///
/// fn main() -> Exit {
///     files("photos")
///         .map(|file, cx| cx.output(["file", &file.path().to_string_lossy()]))
///         .write_to("kinds.txt")
///         .progress(bivouac::progress::bar())
///         .main()
/// }
/// ```
pub fn bar() -> Bar {
    Bar { out: stderr(), is_terminal: stderr().is_terminal(), is_drawn: false }
}

/// See [`bar`].
///
/// ```
/// use bivouac::{Observer, Progress, progress::Bar};
///
/// let mut bar: Bar = bivouac::progress::bar();
/// bar.progress(&Progress::default()); // drawn only if standard error is a terminal
/// bar.leave_terminal();
/// ```
#[derive(Debug)]
pub struct Bar {
    out: Stderr,
    is_terminal: bool,
    is_drawn: bool,
}

const COLUMNS: usize = 24;

impl Bar {
    /// Writes `text` in place of the line, unless that would wait.
    fn put(&mut self, text: &str) -> bool {
        let mut fds = [PollFd::new(&self.out, PollFlags::OUT)];
        let is_ready = poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0);
        let erase = if self.is_drawn { "\r\x1b[2K" } else { "" };
        is_ready && write!(self.out, "{erase}{text}").is_ok()
    }

    /// Whether the terminal belongs to this program: after `bg` it is the shell's.
    fn is_ours(&self) -> bool {
        let foreground = nix::unistd::tcgetpgrp(&self.out);
        self.is_terminal && foreground.map_or(true, |group| group == nix::unistd::getpgrp())
    }
}

impl Observer for Bar {
    fn progress(&mut self, now: &Progress) {
        if !self.is_ours() {
            self.is_drawn = false;
        } else if self.put(&row(now, width())) {
            self.is_drawn = true;
        }
    }

    fn notice(&mut self, notice: &Notice) {
        let is_shown = matches!(
            notice,
            Notice::Resumed { .. }
                | Notice::Warning(_)
                | Notice::TaskFailed { .. }
                | Notice::Said { .. }
                | Notice::Told { .. }
                | Notice::Input(_)
                | Notice::Status(_)
                | Notice::Stopping { .. }
                | Notice::Waiting { .. }
                | Notice::NotSuspended { .. }
        );
        if is_shown && self.put(&(sentence(notice).replace(char::is_control, " ") + "\n")) {
            self.is_drawn = false;
        }
    }

    fn leave_terminal(&mut self) {
        if self.is_drawn && self.put("") {
            self.is_drawn = false;
        }
    }
}

/// The columns of the terminal, without those in which it echoes `^C`.
fn width() -> usize {
    let size = rustix::termios::tcgetwinsize(stderr());
    usize::from(size.map_or(80, |size| size.ws_col).saturating_sub(4))
}

/// The line, as much of it as fits.
fn row(now: &Progress, width: usize) -> String {
    let (done, all) = now.share();
    let is_bytes = now.bytes_total.is_some();
    let amount = |n: u64| if is_bytes { format!("{:.1} MB", n as f64 / 1e6) } else { n.to_string() };
    let mut row = String::new();
    if now.phase != Activity::Running {
        row = format!("{}  ", now.phase);
    }
    if let Some(all) = all.filter(|all| *all > 0) {
        let share = done.min(all) as f64 / all as f64;
        let full = (share * COLUMNS as f64) as usize;
        let bar = "=".repeat(full) + if full < COLUMNS { ">" } else { "" };
        let (percent, done, all) = ((100.0 * share).floor(), amount(done), amount(all));
        row += &format!("{percent:3.0} %  [{bar:COLUMNS$}]  {done} of {all}");
    } else {
        row += &amount(done);
    }
    if let Some(left) = now.left.filter(|_| now.phase == Activity::Running) {
        let seconds = left.as_secs();
        row += &format!("  {}:{:02} left", seconds / 60, seconds % 60);
    }
    row.chars().take(width).collect()
}

/// Gives each sentence about a run to `tell`: to `tracing`, to `log`, to a file.
///
/// ```
/// use bivouac::prelude::*;
/// # let place = tempfile::tempdir().unwrap(); std::env::set_current_dir(&place).unwrap();
/// use std::sync::{Arc, Mutex};
///
/// let said = Arc::new(Mutex::new(Vec::new()));
/// let log = Arc::clone(&said);
/// resumable(0..3_u64)
///     .map(|n, _| Ok(n.to_string()))
///     .write_to("digits")
///     .progress(bivouac::progress::log(move |line| log.lock().unwrap().push(line.to_string())))
///     .main();
/// assert_eq!(said.lock().unwrap()[0], "the state is in digits.bivouac");
/// ```
pub fn log<F: FnMut(&str)>(tell: F) -> Log<F> {
    Log { tell }
}

/// See [`log`].
///
/// ```
/// use bivouac::{Notice, Observer, progress::Log};
///
/// let mut said = Vec::new();
/// let mut log: Log<_> = bivouac::progress::log(|line: &str| said.push(line.to_string()));
/// log.notice(&Notice::Ready { workers: 2 });
/// assert_eq!(said, ["ready, 2 workers"]);
/// ```
#[derive(Debug)]
pub struct Log<F> {
    tell: F,
}

impl<F: FnMut(&str)> Observer for Log<F> {
    fn notice(&mut self, notice: &Notice) {
        (self.tell)(&sentence(notice));
    }
}

/// A notice as a sentence, without a full stop.
///
/// ```
/// use bivouac::{Notice, progress::sentence};
///
/// assert_eq!(sentence(&Notice::Resumed { frontier: 3, ahead: 0, tasks: Some(9) }), "resumed after 3 of 9 tasks");
/// ```
pub fn sentence(notice: &Notice) -> String {
    let of = |frontier: u64, tasks: Option<u64>| match tasks {
        Some(tasks) => format!("{frontier} of {tasks} tasks"),
        None => format!("{frontier} tasks"),
    };
    match notice {
        Notice::Ready { workers } => format!("ready, {workers} workers"),
        Notice::Resumed { frontier: 0, ahead: 0, .. } => {
            "resumed from the beginning: no task was done before".to_string()
        }
        Notice::Resumed { frontier, ahead: 0, tasks } => format!("resumed after {}", of(*frontier, *tasks)),
        Notice::Resumed { frontier, ahead, tasks } => {
            format!("resumed after {}, {ahead} more completed ahead of them", of(*frontier, *tasks))
        }
        Notice::Input(what) => what.clone(),
        Notice::Signal { signal, request, sender } => format!("{signal} ({sender}): {request}"),
        Notice::Asked { request, by } => format!("{by} asks: {request}"),
        Notice::Phase(activity) => format!("phase {activity}"),
        Notice::Stopping { in_flight, .. } => format!("stopping, {in_flight} tasks in flight"),
        Notice::Checkpoint { frontier, tasks, facts, .. } => {
            format!("checkpoint at {}, {} bytes, {:.1?}", of(*frontier, *tasks), facts.size, facts.took)
        }
        Notice::Status(now) => {
            let phase: Activity = now.phase;
            format!("{phase}, {}, {} in flight", of(now.frontier, now.tasks), now.in_flight)
        }
        Notice::Waiting { why } => format!("waiting: {why}"),
        Notice::NotSuspended { pid } => {
            format!("paused in place of suspended; `kill -CONT {pid}` continues it")
        }
        Notice::TaskFailed { task, why } => format!("task {} failed and is left out: {why}", task + 1),
        Notice::Said { task, line } | Notice::Told { task, line } => format!("task {}: {line}", task + 1),
        Notice::Running(tasks) => {
            let list: Vec<String> = tasks.iter().map(|one| (one.task + 1).to_string()).collect();
            format!("running tasks: {}", list.join(", "))
        }
        Notice::State(path) => format!("the state is in {}", path.display()),
        Notice::Reloaded { adopted, said, asked } => {
            let (not, done) = (if *adopted { "" } else { "not " }, if *asked { "set" } else { "reloaded" });
            format!("{not}{done}: {}", said.join("; "))
        }
        Notice::Warning(error) => format!("warning: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_line_has_the_share_the_amount_and_the_time_left() {
        let mut now = Progress { frontier: 500, tasks: Some(2000), ..Progress::default() };
        now.left = Some(Duration::from_secs(75));
        assert_eq!(row(&now, 80), " 25 %  [======>                 ]  500 of 2000  1:15 left");
        assert_eq!(row(&now, 10), " 25 %  [==");
        now.phase = Activity::Paused;
        now.frontier = 2000;
        assert_eq!(row(&now, 80), "paused  100 %  [========================]  2000 of 2000");
        (now.bytes, now.bytes_total, now.phase) = (1_000_000, None, Activity::Running);
        (now.tasks, now.left) = (None, None);
        assert_eq!(row(&now, 80), "2000");
    }
}
