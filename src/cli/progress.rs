//! Watches a run for the person who started it: one line on the terminal, and messages above it.
//!
//! indicatif draws the line, but on conditions. It may start no thread (its steady tick would, and
//! a thread that is not started under our mask would take our signals); so the line is drawn when
//! the supervisor calls, ten times a second. And it may not write to the terminal itself, since a
//! terminal that is held by Ctrl-S would hold the supervisor; so it draws onto a [`Paper`] that
//! hands every frame to the [`Outlet`], which writes it at once or not at all.

pub(crate) mod estimate;

use crate::cli::args::common::{MessageArgs, When};
use crate::cli::format::{clock, count, of, size};
use crate::cli::notices::{self, Level};
use crate::cli::terminal::{Outlet, Writer};
use bivouac::{Activity, Notice, Observer, Progress};
use estimate::{Estimate, Speed, Unit, amount, percent, unit};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};
use std::fmt;
use std::io::{self, IsTerminal, Stderr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How much work lies between two plain lines of progress.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Show {
    /// A line that is drawn anew.
    Line,
    /// A plain line now and then.
    Plain,
    /// Nothing.
    Nothing,
}

impl Show {
    /// What `--progress` and `-q` come to, on a terminal that can move its cursor or elsewhere.
    fn choose(talk: &MessageArgs, terminal: bool) -> Self {
        match talk.progress {
            _ if talk.quiet => Show::Nothing,
            When::Never => Show::Nothing,
            When::Auto | When::Always if terminal => Show::Line,
            When::Auto => Show::Nothing,
            When::Always => Show::Plain,
        }
    }
}

/// See the [module](self).
pub(crate) struct Watch<W: Writer + 'static> {
    show: Show,
    level: Level,
    outlet: Shared<W>,
    bar: Option<ProgressBar>,
    estimate: Estimate,
    said: Duration,
    screen: fn() -> Screen,
    /// What commands say is passed on as it is, and that one of them failed is left for the end.
    plain: bool,
}

/// The line's canvas and the messages have one outlet, and both of us hold it.
type Shared<W> = Arc<Mutex<Outlet<W>>>;

/// What is known of the terminal at this moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Screen {
    columns: u16,
    /// Whether this process may write to it without disturbing another: after `bg` the terminal is
    /// the shell's, and a line drawn ten times a second would run through what is typed there.
    ours: bool,
}

impl Watch<Stderr> {
    /// Watches on standard error.
    ///
    /// `plain`: what commands say is passed on as it is.
    pub(crate) fn on_stderr(talk: &MessageArgs, plain: bool) -> Self {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        let mut watch = Self::new(talk, io::stderr(), io::stderr().is_terminal() && !dumb, real_screen);
        watch.plain = plain;
        watch
    }
}

/// Asked before every drawing: a terminal changes its size, and a job goes to the background.
fn real_screen() -> Screen {
    let columns = terminal_size::terminal_size_of(io::stderr()).map_or(80, |(width, _)| width.0);
    let ours = match nix::unistd::tcgetpgrp(io::stderr()) {
        Ok(foreground) => foreground == nix::unistd::getpgrp(),
        // A terminal that controls no session (`setsid bivouac 2>/dev/tty1`) has no foreground.
        Err(_) => true,
    };
    Screen { columns, ours }
}

impl<W: Writer + 'static> Watch<W> {
    fn new(talk: &MessageArgs, writer: W, terminal: bool, screen: fn() -> Screen) -> Self {
        let level = match (talk.quiet, talk.verbose) {
            (true, _) => Level::Wrong,
            (false, true) => Level::Detail,
            (false, false) => Level::Usual,
        };
        Self {
            show: Show::choose(talk, terminal),
            level,
            outlet: Arc::new(Mutex::new(Outlet::new(writer))),
            bar: None,
            estimate: Estimate::default(),
            said: Duration::ZERO,
            screen,
            plain: false,
        }
    }

    /// Draws the line; the first time after a pause or a message from outside, on a new row.
    fn draw(&mut self, text: &str) {
        let screen = (self.screen)();
        if !screen.ours {
            // The line that stands there belongs to the shell's history now.
            return self.forget_line();
        }
        let bar = self.bar.get_or_insert_with(|| {
            let paper =
                Paper { outlet: Arc::clone(&self.outlet), frame: Mutex::default(), screen: self.screen };
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::term_like(Box::new(paper)));
            // A template without anything to parse cannot fail; without it the bar draws its own.
            bar.set_style(
                ProgressStyle::with_template("{wide_msg}")
                    .unwrap_or_else(|_| ProgressStyle::default_spinner()),
            );
            bar
        });
        bar.set_message(text.to_string());
    }

    /// Removes the line and puts the cursor where it began.
    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// Draws no more, and leaves what is drawn.
    fn forget_line(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
    }

    fn say(&mut self, message: &str) {
        self.clear();
        lock(&self.outlet).line(message);
    }
}

impl<W: Writer + 'static> Observer for Watch<W> {
    fn progress(&mut self, now: &Progress) {
        let speed = self.estimate.see(now);
        match self.show {
            Show::Line => self.draw(&line(now, speed)),
            Show::Plain if now.worked >= self.said + PLAIN_EVERY => {
                self.said = now.worked;
                self.say(&line(now, speed));
            }
            Show::Plain | Show::Nothing => lock(&self.outlet).settle(),
        }
    }

    fn notice(&mut self, notice: &Notice) {
        if let (true, Notice::Said { line, .. }) = (self.plain, notice) {
            self.clear();
            return lock(&self.outlet).raw(line);
        }
        let told_at_the_end = self.plain && matches!(notice, Notice::TaskFailed { .. });
        if told_at_the_end && self.level < Level::Detail {
            return;
        }
        if notices::level(notice) <= self.level {
            self.say(&notices::sentence(notice));
        }
    }

    fn is_behind(&self) -> bool {
        let mut outlet = lock(&self.outlet);
        outlet.settle();
        outlet.is_behind()
    }

    fn leave_terminal(&mut self) {
        self.clear();
    }
}

impl<W: Writer + 'static> Drop for Watch<W> {
    /// The run is over: now there is time to wait for whoever reads.
    fn drop(&mut self) {
        self.clear();
        lock(&self.outlet).finish();
    }
}

impl<W: Writer + 'static> fmt::Debug for Watch<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("show", &self.show).field("level", &self.level).finish_non_exhaustive()
    }
}

/// `running  42 %  512.0 MiB of 1.2 GiB  310.2 MiB/s  0:02 left  2 tasks in flight`.
fn line(now: &Progress, speed: Speed) -> String {
    let show = |amount: u64| if unit(now) == Unit::Bytes { size(amount) } else { amount.to_string() };
    let (done, total) = amount(now);
    let mut parts = vec![now.phase.to_string()];
    parts.extend(percent(now).map(|percent| format!("{percent} %")));
    parts.push(match (unit(now), total) {
        (Unit::Bytes, Some(total)) => format!("{} of {}", show(done), show(total)),
        (Unit::Bytes, None) => show(done),
        (Unit::Tasks, total) => format!("{} tasks", of(done, total)),
    });
    // What does not move has no rate and no end.
    let moves = match now.phase {
        Activity::Running | Activity::Stopping | Activity::Finishing => true,
        Activity::Pausing | Activity::Paused | Activity::Aborting => false,
    };
    if moves {
        parts.extend(speed.rate.map(|rate| match unit(now) {
            Unit::Bytes => format!("{}/s", size(rate as u64)),
            Unit::Tasks => format!("{rate:.1} tasks/s"),
        }));
    }
    if now.phase == Activity::Running {
        parts.extend(speed.left.map(|left| format!("{} left", clock(left))));
    }
    parts.push(format!("{} in flight", count(now.in_flight as u64, "task")));
    if now.failed > 0 {
        parts.push(format!("{} failed", now.failed));
    }
    parts.join("  ")
}

/// What indicatif draws on: a terminal that collects a frame and hands it over whole.
struct Paper<W> {
    outlet: Shared<W>,
    frame: Mutex<Frame>,
    screen: fn() -> Screen,
}

#[derive(Debug, Default)]
struct Frame {
    text: String,
    /// Whether it shows something, or only moves the cursor and clears.
    shows: bool,
}

impl<W> fmt::Debug for Paper<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Paper")
    }
}

impl<W> Paper<W> {
    fn sequence(&self, number: usize, letter: char) -> io::Result<()> {
        if number > 0 {
            lock(&self.frame).text.push_str(&format!("\x1b[{number}{letter}"));
        }
        Ok(())
    }
}

/// Columns for what the terminal echoes, and one to spare.
const ECHO: u16 = 4;

impl<W: Writer> TermLike for Paper<W> {
    /// Less than there is: a line that fills the last column makes some terminals wrap, and behind the
    /// line the terminal itself prints `^C` or `^Z` when the key is pressed. If that wrapped, the line
    /// could not be cleared any more.
    fn width(&self) -> u16 {
        (self.screen)().columns.saturating_sub(ECHO).max(1)
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.sequence(n, 'A')
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.sequence(n, 'B')
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.sequence(n, 'C')
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.sequence(n, 'D')
    }

    fn write_line(&self, s: &str) -> io::Result<()> {
        self.write_str(s)?;
        self.write_str("\r\n")
    }

    fn write_str(&self, s: &str) -> io::Result<()> {
        let mut frame = lock(&self.frame);
        frame.shows |= !s.trim().is_empty();
        frame.text.push_str(s);
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        lock(&self.frame).text.push_str("\r\x1b[2K");
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        let frame = std::mem::take(&mut *lock(&self.frame));
        let mut outlet = lock(&self.outlet);
        if frame.shows {
            outlet.draw(&frame.text)
        } else {
            outlet.control(&frame.text)
        }
        Ok(())
    }
}

/// Nothing that is done under these locks can leave them half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
