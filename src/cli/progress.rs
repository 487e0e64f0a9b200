//! Watches a run for the person who started it: one line on the terminal, and messages above it.
//!
//! The supervisor calls ten times a second and must never wait; so the line is drawn in that call and by no
//! thread of its own, and [`Outlet`] writes it at once or not at all. Before each drawing the terminal is
//! asked: it changes its size, and after `bg` it is the shell's, and a line drawn ten times a second would
//! run through what is typed there.

mod row;

use crate::cli::args::Commands;
use crate::cli::args::common::{MessageArgs, ShowProgress, When};
use crate::cli::format::TaskWord;
use crate::cli::notices::{self, Level};
use crate::cli::terminal::{Console, Outlet};
use bivouac::{Notice, Observer, Progress};
use row::Look;
pub(crate) use row::plain;
use std::cell::RefCell;
use std::io::{self, IsTerminal, Stderr};
use std::time::Duration;

/// How much work lies between two plain lines of progress.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Show {
    /// A line that is drawn in place.
    Line,
    /// The line, and a row for each slot.
    Slots,
    /// A plain line now and then.
    Plain,
    Nothing,
}

impl Show {
    /// The choice that `--progress` and `-q` make. `terminal`: standard error is a terminal that can move its cursor.
    fn choose(args: &MessageArgs, terminal: bool) -> Self {
        match args.progress() {
            _ if args.quiet => Show::Nothing,
            ShowProgress::Never => Show::Nothing,
            ShowProgress::Full if terminal => Show::Slots,
            ShowProgress::Auto | ShowProgress::Always if terminal => Show::Line,
            ShowProgress::Auto => Show::Nothing,
            ShowProgress::Always | ShowProgress::Full => Show::Plain,
        }
    }
}

pub(crate) struct Watch<C: Console> {
    show: Show,
    level: Level,
    outlet: RefCell<Outlet<C>>,
    /// How much had been worked at the last plain line.
    shown_at: Duration,
    window: fn() -> Window,
    look: Look,
    /// How many columns the bar had.
    bar: usize,
    workers: usize,
    word: TaskWord,
    /// Whether the next run can continue this one.
    has_state: bool,
    /// Passes on the lines of commands as they are, and leaves it to the report to say which command failed.
    passes_through: bool,
}

/// The terminal at this moment.
#[derive(Clone, Copy, Debug)]
struct Window {
    columns: u16,
    rows: u16,
    ours: bool,
}

impl Watch<Stderr> {
    /// `from_stdin` says whether the job reads standard input.
    pub(crate) fn on_stderr(
        args: &MessageArgs,
        word: TaskWord,
        (commands, from_stdin): (Commands, bool),
    ) -> Self {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        let terminal = io::stderr().is_terminal() && !dumb;
        let look = Look { colour: has_colour(args.color, terminal), unicode: is_utf8() };
        let mut watch = Self::new(args, Outlet::stderr(), terminal, window_of_stderr);
        // Commands that write to the same terminal themselves know of no line there; nor does a person who types the input.
        let is_shared =
            (commands.ungrouped && io::stdout().is_terminal()) || (from_stdin && io::stdin().is_terminal());
        if args.progress() == ShowProgress::Auto && is_shared {
            watch.show = Show::Nothing;
        }
        Self { word, look, passes_through: commands.print_failed, ..watch }
    }
}

pub(crate) fn has_colour(when: When, terminal: bool) -> bool {
    match when {
        When::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        When::Always => true,
        When::Never => false,
    }
}

/// By the variables, in their order, that say how text is encoded.
fn is_utf8() -> bool {
    let mut said = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(|name| std::env::var(name).ok());
    said.find(|value| !value.is_empty()).is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

fn window_of_stderr() -> Window {
    let size = terminal_size::terminal_size_of(io::stderr());
    let (columns, rows) = size.map_or((80, 24), |(width, height)| (width.0, height.0));
    let ours = match nix::unistd::tcgetpgrp(io::stderr()) {
        Ok(foreground) => foreground == nix::unistd::getpgrp(),
        // A terminal that controls no session (`setsid bivouac 2>/dev/tty1`) has no foreground.
        Err(_) => true,
    };
    Window { columns, rows, ours }
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
            look: Look::default(),
            bar: 0,
            workers: 0,
            word: TaskWord::Task,
            has_state: false,
            passes_through: false,
        }
    }

    /// Whether the person who started the run sees how far it is.
    pub(crate) fn is_shown(&self) -> bool {
        self.show != Show::Nothing
    }

    fn draw(&mut self, now: &Progress, with_slots: bool) {
        let Window { columns, rows, ours } = (self.window)();
        if !ours {
            return self.outlet.get_mut().forget_line();
        }
        let width = usize::from(columns.saturating_sub(ECHO).max(1));
        let mut drawn = vec![row::row(now, self.word, width, self.look, &mut self.bar)];
        if with_slots {
            // One row stays free: the cursor must not scroll the window when a message ends.
            let room = usize::from(rows.saturating_sub(2));
            drawn.extend(row::slots(now, self.word, self.workers, (width, room), self.look));
        }
        let mut bytes = 0;
        drawn.retain(|row| {
            bytes += row.len() + "\x1b[K\r\n".len();
            bytes <= Outlet::<C>::LONGEST_LINE
        });
        self.outlet.get_mut().draw(&drawn);
    }
}

impl<C: Console> Observer for Watch<C> {
    fn progress(&mut self, now: &Progress) {
        match self.show {
            Show::Line => self.draw(now, false),
            Show::Slots => self.draw(now, true),
            Show::Plain if now.worked >= self.shown_at + PLAIN_EVERY => {
                self.shown_at = now.worked;
                self.outlet.get_mut().message(&row::plain(now, self.word));
            }
            Show::Plain | Show::Nothing => {}
        }
        self.outlet.get_mut().settle();
    }

    fn notice(&mut self, notice: &Notice) {
        if let Notice::Ready { workers } = notice {
            self.workers = *workers;
        }
        self.has_state |= matches!(notice, Notice::State(_));
        let outlet = self.outlet.get_mut();
        if let (true, Notice::Said { line, .. }) = (self.passes_through, notice) {
            return outlet.raw(line);
        }
        // The sentence names the item, as that of a failure does.
        if let (true, Notice::Told { line, .. }) = (self.passes_through, notice) {
            return outlet.message(line);
        }
        let is_in_the_report = self.passes_through && matches!(notice, Notice::TaskFailed { .. });
        let level = if is_in_the_report { Level::Detail } else { notices::level(notice) };
        if level <= self.level {
            for text in notices::messages(notice, self.word) {
                outlet.say(notices::urgency(notice), &text);
            }
            if self.has_state && matches!(notice, Notice::Running(_)) {
                outlet.message("the last checkpoint stands; run the same command again: it continues");
            }
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

#[cfg(test)]
mod tests;
