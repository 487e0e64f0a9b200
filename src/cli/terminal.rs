//! The only way to standard error and standard output.
//!
//! `eprintln!` and `println!` panic when the other end is closed, and `bivouac … 2>&1 | head` is a usual line.
//! Worse, they *wait*: a terminal held with Ctrl-S, or a pipe whose reader sleeps, would hold the supervisor
//! in the middle of a message, and then no signal is answered. So there are two ways out of here:
//!
//! - While a job runs, messages and the progress line go through an [`Outlet`]. It asks `poll(2)` first and keeps a message
//!   that cannot be written now; it keeps a bounded amount, and reports how much it dropped.
//! - Before and after, [`message`] and [`result`] simply write: the first waits some seconds for its reader, the second as
//!   long as it takes. The handled signals have their default action then, so Ctrl-C ends the wait.
//!
//! The exit code does not depend on the reader of messages. A *result* that cannot be written is an error.
//!
//! The progress line, with a bar and perhaps a row for each slot, is drawn in place. indicatif is the obvious library for it.
//! Its target writes without asking, so it would need a `TermLike`, with nine methods, that writes into an [`Outlet`]. Its
//! template cuts off a long row, where this one drops fields. Its rate counts pauses as work. The bar itself would remain:
//! twelve lines ([`super::progress`]), against five packages.

use crate::jobs::text::{visible, with_short_words};
use bivouac::ending::{FINISHED, USAGE};
use bivouac::error::Kind;
use bivouac::sink::Around;
use bivouac::{Error, Result};
use clap::error::ErrorKind;
use nix::poll::{PollFd, PollFlags, poll};
use std::io::{self, IsTerminal, Stderr, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

/// In front of every line that is not part of another one.
const PREFIX: &str = "bivouac: ";

/// How much is kept for a slow reader: some hundred lines. A reader further behind than that does not read.
const KEPT: usize = 64 * 1024;

/// `PIPE_BUF` of Linux: a pipe that `poll` calls writable takes this much in one piece without waiting.
const ATONCE: usize = 4096;

/// How urgent a message is: a priority of syslog. The journal of systemd shows it, and can select messages by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Urgency {
    Error = 3,
    Warning = 4,
    Info = 6,
    Debug = 7,
}

impl Urgency {
    fn of(text: &str) -> Self {
        if text.starts_with("warning: ") { Urgency::Warning } else { Urgency::Info }
    }
}

/// Writes one message to standard error. Waits at most [`PATIENCE`] for its reader.
pub(crate) fn message(text: &str) {
    say(Urgency::of(text), text);
}

/// Writes one message with this urgency to standard error, as [`message`] does.
pub(crate) fn say(urgency: Urgency, text: &str) {
    let mid_line = SCREEN.try_lock().is_ok_and(|mut screen| std::mem::take(&mut screen.mid_line));
    raw(&((if mid_line { "\n" } else { "" }).to_string() + &worded(urgency, text)));
}

/// Whether standard error is the journal of systemd. It is not enough that `JOURNAL_STREAM` is set: a service may have sent
/// its standard error elsewhere, and then the digits of urgencies would be noise. So this compares device and inode.
fn is_journal() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        let is = rustix::fs::fstat(io::stderr()).map(|facts| format!("{}:{}", facts.st_dev, facts.st_ino));
        std::env::var("JOURNAL_STREAM").is_ok_and(|stream| is == Ok(stream))
    })
}

/// Writes text to standard error as it is: for text that a person pastes.
pub(crate) fn raw(text: &str) {
    let mut out = io::stderr();
    for piece in text.as_bytes().chunks(ATONCE) {
        if !out.waits_for_its_reader() || out.write_all(piece).is_err() {
            return;
        }
    }
}

/// How many milliseconds a message waits for its reader when no job runs. Not for ever: a parent that waits
/// for our end may not read meanwhile.
const PATIENCE: u16 = 5000;

/// Whether a wait was in vain. There is no second one.
static UNREAD: AtomicBool = AtomicBool::new(false);

/// Whether a write of up to [`ATONCE`] bytes returns at once, now or within so many milliseconds.
pub(crate) fn is_ready_within(out: &impl AsFd, milliseconds: u16) -> bool {
    let mut fds = [PollFd::new(out.as_fd(), PollFlags::POLLOUT)];
    // An error condition is an answer too: the write will fail at once, and that ends the matter.
    matches!(poll(&mut fds, milliseconds), Ok(ready) if ready > 0)
}

/// Writes a result, if there is any, to standard output. A closed reader is [`Kind::OutputClosed`]; a full disk, say,
/// [`Kind::Broken`].
pub(crate) fn result(bytes: &[u8]) -> Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    bivouac::sink::refuse_closed_stdout()?;
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|cause| unwritten(&cause))
}

/// The columns of standard output, if it is a terminal.
pub(crate) fn columns_of_stdout() -> Option<usize> {
    terminal_size::terminal_size_of(io::stdout()).map(|(columns, _)| columns.0.into())
}

pub(crate) fn size_of_stdout() -> (usize, usize) {
    let size = terminal_size::terminal_size_of(io::stdout());
    size.map_or((80, 24), |(columns, rows)| (columns.0.into(), rows.0.into()))
}

/// Columns and rows for text that is drawn as on a terminal: those of COLUMNS and LINES, or of the terminal, or 80 and 24.
pub(crate) fn size_for_text() -> (u16, u16) {
    let of = |name| std::env::var(name).ok().and_then(|value| value.parse().ok()).filter(|size| *size > 0);
    let (columns, rows) = size_of_stdout();
    let or = |said: Option<u16>, size: usize| said.unwrap_or(size.try_into().unwrap_or(u16::MAX));
    (or(of("COLUMNS"), columns), or(of("LINES"), rows))
}

fn unwritten(cause: &io::Error) -> Error {
    match cause.kind() == io::ErrorKind::BrokenPipe {
        true => Error::new(Kind::OutputClosed, "standard output", "is closed"),
        // Without the advice of an error of a job: there may be none.
        false => Error::broken("standard output", format_args!("cannot write: {}", plain(cause))),
    }
}

/// Without the number in brackets that the standard library appends, and the path that others append to that.
pub(crate) fn plain(cause: &io::Error) -> String {
    let text = cause.to_string();
    text.split(" (os error").next().unwrap_or_default().to_string()
}

/// What stands at the cursor of the terminal. A result is written while this is locked.
#[derive(Debug, Default)]
pub(crate) struct Screen {
    /// The progress line as it was drawn last.
    frame: String,
    /// How many rows of it stand there; none if it was removed.
    rows: usize,
    /// A result ended in the middle of a line. What is drawn there could only be removed together with it.
    mid_line: bool,
}

impl Screen {
    pub(crate) const fn new() -> Self {
        Self { frame: String::new(), rows: 0, mid_line: false }
    }

    fn to_its_begin(&self) -> String {
        match self.rows {
            0 => String::new(),
            1 => "\r".to_string(),
            rows => format!("\r\x1b[{}A", rows - 1),
        }
    }

    /// Removes the line, and puts the cursor where it began.
    fn erasure(&mut self) -> String {
        let erase = match self.rows {
            0 => "",
            1 => "\x1b[2K",
            _ => "\x1b[J",
        };
        let text = self.to_its_begin() + erase;
        self.rows = 0;
        text
    }

    /// The line in place of the last one.
    fn replacement(&mut self, rows: &[String]) -> String {
        let begin = self.to_its_begin();
        let end = if rows.len().max(self.rows) > 1 { "\x1b[J" } else { "\x1b[K" };
        self.frame = rows.join("\x1b[K\r\n") + end;
        self.rows = rows.len();
        begin + &self.frame
    }
}

static SCREEN: Mutex<Screen> = Mutex::new(Screen::new());

/// How results are written when they and the progress line go to terminals, mostly the same one: the line is
/// removed for them. `None` where they do not meet.
pub(crate) fn beside_the_line_if_both_are_terminals() -> Option<Around> {
    (io::stdout().is_terminal() && io::stderr().is_terminal()).then_some(beside_the_line)
}

fn beside_the_line(write: &mut dyn FnMut() -> Option<u8>) {
    let mut screen = SCREEN.lock().unwrap_or_else(PoisonError::into_inner);
    let rows = screen.rows;
    if rows > 0 {
        raw(&screen.erasure());
    }
    if let Some(last) = write() {
        screen.mid_line = last != b'\n';
    }
    // At once, or it would hardly ever be seen beside results that come all the time.
    if rows > 0 && !screen.mid_line {
        raw(&screen.frame);
        screen.rows = rows;
    }
}

/// Says what clap has to say: help and version to standard output, wrong usage to standard error.
pub(crate) fn clap(error: &clap::Error, verb: &str) -> Result<u8> {
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        error.print().ok(); // Without a reader the exit code says the same.
        return Ok(USAGE);
    }
    if error.use_stderr() {
        let is_verb = error.kind() != ErrorKind::InvalidSubcommand && !verb.starts_with('-');
        message(&in_two_lines(&error.render().to_string(), if is_verb { verb } else { "" }));
        return Ok(USAGE);
    }
    bivouac::sink::refuse_closed_stdout()?;
    error.print().map(|()| FINISHED).map_err(|cause| unwritten(&cause))
}

/// Shortens a message of the parser from six lines to two: the fault, and one thing to type. Leaves out the tip to pass an
/// option as a value, because that is hardly ever meant.
fn in_two_lines(said: &str, verb: &str) -> String {
    let mut paragraphs = said.split("\n\n");
    let first = paragraphs.next().unwrap_or_default().trim_start_matches("error: ");
    let tip =
        paragraphs.find_map(|text| text.trim().strip_prefix("tip: ").filter(|tip| is_alike(first, tip)));
    let tip = tip.and_then(|tip| tip.lines().next());
    let first = first.trim_start_matches("the argument ");
    if let Some(lacking) = first.strip_prefix("the following required arguments were not provided:") {
        let lacking: Vec<_> = lacking.lines().map(str::trim).filter(|name| !name.is_empty()).collect();
        let are = if lacking.len() == 1 { "is" } else { "are" };
        return format!(
            "{}: {are} missing\n  `bivouac {verb} --help` lists what there is",
            lacking.join(", ")
        );
    }
    let (wrong, expected) = match first.split_once("': ").or_else(|| first.split_once("'\n  [")) {
        Some((wrong, expected)) => (format!("{wrong}'"), Some(expected.trim_end_matches(']'))),
        None => (first.split_whitespace().collect::<Vec<_>>().join(" "), None),
    };
    let help =
        || format!("`bivouac {verb}{}--help` lists what there is", if verb.is_empty() { "" } else { " " });
    let tip = match expected.map(|expected| expected.split_once("\n  ").unwrap_or((expected, ""))) {
        Some((expected, "")) => of_a_number(expected),
        // The name stands in the line before, as it was typed.
        Some((expected, _)) => {
            let is_name = |word: &str| word.bytes().all(|byte| byte.is_ascii_alphanumeric());
            let why = expected.split_once(": ").filter(|(name, _)| is_name(name));
            format!("{}; see `bivouac signals`", why.map_or(expected, |(_, why)| why))
        }
        None => tip.map_or_else(help, str::to_string),
    };
    format!("{}\n  {tip}", with_short_words(&wrong))
}

/// Whether the name that the parser offers is like the one that was typed. It offers `--before-context` for `--foo`.
fn is_alike(said: &str, tip: &str) -> bool {
    let in_quotes = |text: &str| text.split('\'').nth(1).map(|name| name.trim_matches('-').to_string());
    let (Some(typed), Some(offered)) = (in_quotes(said), in_quotes(tip)) else { return false };
    tip.contains("similar")
        && (offered.starts_with(&typed)
            || typed.starts_with(&offered)
            || strsim::levenshtein(&typed, &offered) <= 2)
}

/// The same in words for users, if it is one of the standard library, or of the parser, about a number.
fn of_a_number(expected: &str) -> String {
    // "30 is not in -20..=19"
    if let Some((least, most)) =
        expected.split_once(" is not in ").and_then(|(_, range)| range.split_once(".."))
    {
        let most = most.strip_prefix('=').filter(|most| most.len() < 10);
        return match most {
            Some(most) => format!("expected a whole number from {least} to {most}"),
            None => format!("expected a whole number, {least} or more"),
        };
    }
    let words = match expected {
        "invalid digit found in string" | "cannot parse integer from empty string" => {
            "expected a whole number, such as `10`"
        }
        "number would be zero for non-zero type" => "must not be 0; expected a number such as `10`",
        "number too large to fit in target type" | "number too small to fit in target type" => {
            "this number is out of range"
        }
        other => other,
    };
    words.to_string()
}

/// A message as it is written: with the prefix, with control characters made visible, with a newline. The journal takes each
/// line for a message, so there each line has the urgency.
fn worded(urgency: Urgency, message: &str) -> String {
    let message = format!("{PREFIX}{}\n", visible(message));
    match is_journal() {
        true => message.lines().map(|line| format!("<{}>{line}\n", urgency as u8)).collect(),
        false => message,
    }
}

/// What an [`Outlet`] writes to; standard error, except in tests.
pub(crate) trait Console {
    /// Whether a write of up to [`ATONCE`] bytes returns at once.
    fn is_ready(&self) -> bool;

    /// The same, after a while if need be.
    fn waits_for_its_reader(&self) -> bool {
        self.is_ready()
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;
}

impl Console for Stderr {
    fn is_ready(&self) -> bool {
        is_ready_within(self, 0)
    }

    fn waits_for_its_reader(&self) -> bool {
        let patience = if UNREAD.load(Ordering::Relaxed) { 0 } else { PATIENCE };
        let is_ready = is_ready_within(self, patience);
        UNREAD.store(!is_ready, Ordering::Relaxed);
        is_ready
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(self, bytes)
    }
}

/// Writes messages and draws the line without ever waiting for the reader.
///
/// `poll` calls neither a terminal held by Ctrl-S writable nor a full pipe.
///
/// # Race condition
///
/// Between the question and the write the answer can change, since others write there too. Only a non-blocking
/// descriptor closes this window; and that would be non-blocking for the shell as well, which shares the open file.
#[derive(Debug)]
pub(crate) struct Outlet<C: Console> {
    console: C,
    pending: Vec<u8>,
    dropped: u64,
    /// The line must be removed, and not come back by itself.
    leaving: bool,
    screen: &'static Mutex<Screen>,
}

impl Outlet<Stderr> {
    pub(crate) fn stderr() -> Self {
        Self::to(io::stderr(), &SCREEN)
    }
}

impl<C: Console> Outlet<C> {
    fn to(console: C, screen: &'static Mutex<Screen>) -> Self {
        Self { console, pending: Vec::new(), dropped: 0, leaving: false, screen }
    }

    /// Writes one message, now or as soon as it can be written.
    pub(crate) fn message(&mut self, text: &str) {
        self.say(Urgency::of(text), text);
    }

    /// Writes one message with this urgency, as [`message`](Outlet::message) does.
    pub(crate) fn say(&mut self, urgency: Urgency, text: &str) {
        if self.pending.len() < KEPT {
            self.pending.extend_from_slice(worded(urgency, text).as_bytes());
        } else {
            self.dropped += 1;
        }
        self.settle();
    }

    /// Passes on a line of a command, as it is. It is never dropped: the caller asks first whether the reader is
    /// [behind](Outlet::is_behind).
    pub(crate) fn raw(&mut self, text: &str) {
        self.pending.extend_from_slice(text.as_bytes());
        if !text.ends_with('\n') {
            self.pending.push(b'\n');
        }
        self.settle();
    }

    /// Whether the reader is so far behind that it must not be given more.
    pub(crate) fn is_behind(&self) -> bool {
        self.pending.len() >= KEPT
    }

    /// How many bytes a line may have, which is drawn in one piece or not at all.
    pub(crate) const LONGEST_LINE: usize = ATONCE - 64;

    /// Draws the line, in place of the last one: now, or not at all.
    pub(crate) fn draw(&mut self, rows: &[String]) {
        self.settle();
        let Ok(mut screen) = self.screen.try_lock() else { return };
        if self.is_settled() && !self.leaving && !screen.mid_line && self.console.is_ready() {
            let frame = screen.replacement(rows);
            drop(screen);
            self.write_line(&frame);
        }
    }

    /// The rest of a line that was not taken whole is of no use: the next one comes soon.
    fn write_line(&mut self, frame: &str) {
        if self.console.write(frame.as_bytes()).is_err() {
            self.give_up();
        }
    }

    /// Removes the line, now or as soon as that can be written: what comes later relies on it.
    pub(crate) fn clear(&mut self) {
        self.leaving = true;
        self.settle();
    }

    /// Leaves the line where it is: it belongs to the history of the terminal now.
    pub(crate) fn forget_line(&mut self) {
        if let Ok(mut screen) = self.screen.try_lock() {
            screen.rows = 0;
        }
    }

    /// Writes what can be written without waiting. The line is removed for that, and drawn again below it.
    pub(crate) fn settle(&mut self) {
        // A result is being written, perhaps to a terminal that is held: then later.
        let Ok(mut screen) = self.screen.try_lock() else { return };
        if (self.is_settled() && !self.leaving) || !self.console.is_ready() {
            return;
        }
        let rows = screen.rows;
        let mut before = screen.erasure();
        if !self.is_settled() && std::mem::take(&mut screen.mid_line) {
            before.push('\n');
        }
        self.pending.splice(..0, before.into_bytes());
        while !self.is_settled() && self.console.is_ready() {
            self.write_some();
        }
        let stays_away = std::mem::take(&mut self.leaving) || rows == 0;
        if !stays_away && self.is_settled() && self.console.is_ready() {
            screen.rows = rows;
            let frame = screen.frame.clone();
            drop(screen);
            self.write_line(&frame);
        }
    }

    fn is_settled(&self) -> bool {
        self.pending.is_empty() && self.dropped == 0
    }

    fn write_some(&mut self) {
        if self.pending.is_empty() {
            let lost = std::mem::take(&mut self.dropped);
            let text = format!("{lost} messages were dropped here, since no reader took them");
            self.pending = worded(Urgency::Warning, &text).into_bytes();
        }
        let piece = &self.pending[..self.pending.len().min(ATONCE)];
        match self.console.write(piece) {
            Ok(0) => self.give_up(),
            Ok(written) => drop(self.pending.drain(..written)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => self.give_up(),
        }
    }

    /// The reader has gone, or the device is broken. A later message is tried again.
    fn give_up(&mut self) {
        self.pending.clear();
        self.dropped = 0;
    }
}

impl<C: Console> Drop for Outlet<C> {
    /// The run is over, and there is time: everything is written, as long as the other end reads.
    fn drop(&mut self) {
        self.clear();
        if let (true, Ok(mut screen)) = (self.leaving, self.screen.try_lock()) {
            self.pending.splice(..0, screen.erasure().into_bytes());
        }
        while !self.is_settled() {
            if !self.console.waits_for_its_reader() {
                return;
            }
            self.write_some();
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
