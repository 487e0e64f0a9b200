//! Watches a run for the person who started it: one line on the terminal, and messages above it.
//!
//! The supervisor calls ten times a second and must never wait; so the line is drawn in that call and by no
//! thread of its own, and [`Outlet`] writes it at once or not at all. Before each drawing the terminal is
//! asked: it changes its size, and after `bg` it is the shell's, and a line drawn ten times a second would
//! run through what is typed there.

use crate::cli::args::common::{MessageArgs, When};
use crate::cli::format::{TaskWord, clock, percent, size};
use crate::cli::notices::{self, Level};
use crate::cli::terminal::{Console, Outlet};
use bivouac::{Activity, Notice, Observer, Progress};
use std::cell::RefCell;
use std::fmt;
use std::io::{self, IsTerminal, Stderr};
use std::time::Duration;

/// How much work lies between two plain lines of progress.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Show {
    /// A line that is drawn in place.
    Line,
    /// A plain line now and then.
    Plain,
    /// Nothing.
    Nothing,
}

impl Show {
    /// What `--progress` and `-q` come to, on a terminal that can move its cursor or elsewhere.
    fn choose(args: &MessageArgs, terminal: bool) -> Self {
        match args.progress {
            _ if args.quiet => Show::Nothing,
            When::Never => Show::Nothing,
            When::Auto | When::Always if terminal => Show::Line,
            When::Auto => Show::Nothing,
            When::Always => Show::Plain,
        }
    }
}

/// See the [module](self).
pub(crate) struct Watch<C: Console> {
    show: Show,
    level: Level,
    outlet: RefCell<Outlet<C>>,
    /// How much had been worked at the last plain line.
    shown_at: Duration,
    window: fn() -> Window,
    word: TaskWord,
    /// Passes on what commands say as it is, and leaves it to the report that one of them failed.
    passes_through: bool,
}

/// What is known of the terminal at this moment.
#[derive(Clone, Copy, Debug)]
struct Window {
    columns: u16,
    /// Whether this process is in the foreground.
    ours: bool,
}

impl Watch<Stderr> {
    /// Watches on standard error.
    pub(crate) fn on_stderr(args: &MessageArgs, word: TaskWord, passes_through: bool) -> Self {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        let terminal = io::stderr().is_terminal() && !dumb;
        Self { word, passes_through, ..Self::new(args, Outlet::stderr(), terminal, window_of_stderr) }
    }
}

fn window_of_stderr() -> Window {
    let columns = terminal_size::terminal_size_of(io::stderr()).map_or(80, |(width, _)| width.0);
    let ours = match nix::unistd::tcgetpgrp(io::stderr()) {
        Ok(foreground) => foreground == nix::unistd::getpgrp(),
        // A terminal that controls no session (`setsid bivouac 2>/dev/tty1`) has no foreground.
        Err(_) => true,
    };
    Window { columns, ours }
}

/// Columns that stay free. In them the terminal echoes `^C` or `^Z`; if that wrapped, the line could not be
/// cleared any more. And a line that fills the last column makes some terminals wrap.
const ECHO: u16 = 4;

impl<C: Console> Watch<C> {
    fn new(args: &MessageArgs, outlet: Outlet<C>, terminal: bool, window: fn() -> Window) -> Self {
        let level = match (args.quiet, args.verbose) {
            (true, _) => Level::Wrong,
            (false, true) => Level::Detail,
            (false, false) => Level::Usual,
        };
        Self {
            show: Show::choose(args, terminal),
            level,
            outlet: RefCell::new(outlet),
            shown_at: Duration::ZERO,
            window,
            word: TaskWord::Task,
            passes_through: false,
        }
    }

    fn draw(&mut self, now: &Progress) {
        let Window { columns, ours } = (self.window)();
        if !ours {
            return self.outlet.get_mut().forget_line();
        }
        let width = columns.saturating_sub(ECHO).max(1);
        let row: String = line(now, self.word).chars().take(width.into()).collect();
        self.outlet.get_mut().draw(&row);
    }
}

impl<C: Console> Observer for Watch<C> {
    fn progress(&mut self, now: &Progress) {
        match self.show {
            Show::Line => self.draw(now),
            Show::Plain if now.worked >= self.shown_at + PLAIN_EVERY => {
                self.shown_at = now.worked;
                self.outlet.get_mut().message(&line(now, self.word));
            }
            Show::Plain | Show::Nothing => {}
        }
        self.outlet.get_mut().settle();
    }

    fn notice(&mut self, notice: &Notice) {
        let outlet = self.outlet.get_mut();
        if let (true, Notice::Said { line, .. }) = (self.passes_through, notice) {
            return outlet.raw(line);
        }
        let is_in_the_report = self.passes_through && matches!(notice, Notice::TaskFailed { .. });
        let level = if is_in_the_report { Level::Detail } else { notices::level(notice) };
        if level <= self.level {
            outlet.message(&notices::sentence(notice, self.word));
        }
    }

    fn is_behind(&self) -> bool {
        let mut outlet = self.outlet.borrow_mut();
        outlet.settle();
        outlet.is_behind()
    }

    fn leave_terminal(&mut self) {
        self.outlet.get_mut().clear();
    }
}

impl<C: Console> fmt::Debug for Watch<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("show", &self.show).field("level", &self.level).finish_non_exhaustive()
    }
}

/// `running  42 %  512.0 MiB of 1.2 GiB  310.2 MiB/s  0:02 left  2 tasks in flight`.
fn line(now: &Progress, word: TaskWord) -> String {
    let by_bytes = now.bytes_total.is_some() || now.bytes > 0;
    let mut parts = vec![now.phase.to_string()];
    parts.extend(percent(now.share()).map(|percent| format!("{percent} %")));
    parts.push(match (by_bytes, now.bytes_total) {
        (true, Some(total)) => format!("{} of {}", size(now.bytes), size(total)),
        (true, None) => size(now.bytes),
        (false, _) => word.of(now.frontier, now.tasks),
    });
    // What does not move has no rate and no end.
    let moves = match now.phase {
        Activity::Running | Activity::Stopping | Activity::Finishing => true,
        Activity::Pausing | Activity::Paused | Activity::Aborting => false,
    };
    if moves {
        parts.extend(match by_bytes {
            true => now.bytes_per_second.map(|rate| format!("{}/s", size(rate as u64))),
            false => now.tasks_per_second.map(|rate| format!("{rate:.1} {}s/s", word.singular())),
        });
    }
    if now.phase == Activity::Running {
        parts.extend(now.left.map(|left| format!("{} left", clock(left))));
    }
    parts.push(format!("{} in flight", word.count(now.in_flight as u64)));
    if now.failed > 0 {
        parts.push(format!("{} failed", now.failed));
    }
    parts.join("  ")
}

#[cfg(test)]
mod tests;
