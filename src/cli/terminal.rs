//! The only way to standard error and standard output.
//!
//! `eprintln!` and `println!` panic when the other end is closed, and `bivouac … 2>&1 | head` is a usual line.
//! Worse, they *wait*: a terminal held with Ctrl-S, or a pipe whose reader sleeps, would hold the supervisor
//! in the middle of a message, and then no signal is answered. So there are two ways out of here:
//!
//! - While a job runs, messages and the progress line go through an [`Outlet`]. It asks `poll(2)` first and
//!   keeps a message that cannot be written now; it keeps a bounded amount, and reports how much it dropped.
//! - Before and after, [`message`] and [`result`] simply write: the first waits some seconds for its reader,
//!   the second as long as it takes. The handled signals have their default action then, so Ctrl-C ends the
//!   wait.
//!
//! A lost message changes nothing else: the exit code does not depend on the reader. A *result* that cannot
//! be written is an error.
//!
//! The line is one row without a newline, drawn in place. indicatif is the obvious library for it, with a bar
//! and a template, and it cannot be used: its target writes without asking, so a held terminal would hold the
//! supervisor; it takes the whole width, and the `^C` that the terminal echoes then wraps, after which no
//! escape sequence finds the row again; and its estimate counts pauses as work. Each of these is open to a
//! replacement of the terminal below the bar, which is longer than [`Outlet::draw`] and [`Outlet::clear`].

use crate::jobs::text::visible;
use bivouac::ending::{FINISHED, USAGE};
use bivouac::error::Kind;
use bivouac::sink::Around;
use bivouac::{Error, Result};
use nix::poll::{PollFd, PollFlags, poll};
use std::io::{self, IsTerminal, Stderr, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

/// In front of every line that is not part of another one.
const PREFIX: &str = "bivouac: ";

/// How much is kept for a slow reader: some hundred lines. A reader further behind than that does not read.
const KEPT: usize = 64 * 1024;

/// `PIPE_BUF` of Linux: a pipe that `poll` calls writable takes this much in one piece without waiting.
const ATONCE: usize = 4096;

/// Writes one message to standard error. Waits at most [`PATIENCE`] for its reader.
pub(crate) fn message(text: &str) {
    raw(&worded(text));
}

/// Writes text to standard error as it is: for what is made to be pasted.
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
fn is_ready_within(out: &Stderr, milliseconds: u16) -> bool {
    let mut fds = [PollFd::new(out.as_fd(), PollFlags::POLLOUT)];
    // An error condition is an answer too: the write will fail at once, and that ends the matter.
    matches!(poll(&mut fds, milliseconds), Ok(ready) if ready > 0)
}

/// Writes a result to standard output.
///
/// # Errors
///
/// [`Kind::OutputClosed`] when the other end is closed, [`Kind::Broken`] for everything else (a full disk,
/// say).
pub(crate) fn result(bytes: &[u8]) -> Result<()> {
    bivouac::sink::refuse_closed_stdout()?;
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|cause| unwritten(&cause))
}

fn unwritten(cause: &io::Error) -> Error {
    match cause.kind() == io::ErrorKind::BrokenPipe {
        true => Error::new(Kind::OutputClosed, "standard output", "is closed"),
        // Without the advice of an error of a job: there may be none.
        false => Error::broken("standard output", format_args!("cannot write: {}", plain(cause))),
    }
}

/// Without the number in brackets that the standard library appends.
fn plain(cause: &io::Error) -> String {
    let text = cause.to_string();
    text.split(" (os error").next().unwrap_or_default().to_string()
}

/// Held for writing while a result goes to the terminal.
static TERMINAL: RwLock<()> = RwLock::new(());

/// Whether the progress line stands on the terminal of standard error.
static LINE: AtomicBool = AtomicBool::new(false);

/// Removes the line and puts the cursor where it began.
const CLEAR: &str = "\r\x1b[2K";

/// How results are written when they and the progress line go to terminals, mostly the same one: the line is
/// removed first, and not drawn meanwhile. `None` where they do not meet.
pub(crate) fn beside_the_line_if_both_are_terminals() -> Option<Around> {
    (io::stdout().is_terminal() && io::stderr().is_terminal()).then_some(beside_the_line)
}

fn beside_the_line(write: &mut dyn FnMut()) {
    let _alone = TERMINAL.write().unwrap_or_else(PoisonError::into_inner);
    if LINE.swap(false, Ordering::Relaxed) {
        raw(CLEAR);
    }
    write();
}

/// Says what clap has to say: help and version to standard output, wrong usage to standard error.
///
/// # Errors
///
/// As [`result`], for help and version.
pub(crate) fn clap(error: &clap::Error) -> Result<u8> {
    if error.use_stderr() {
        error.print().ok(); // Without a reader the exit code says the same.
        return Ok(USAGE);
    }
    bivouac::sink::refuse_closed_stdout()?;
    error.print().map(|()| FINISHED).map_err(|cause| unwritten(&cause))
}

/// A message as it is written: with the prefix, without surprises, with a newline.
fn worded(message: &str) -> String {
    format!("{PREFIX}{}\n", visible(message))
}

/// What an [`Outlet`] writes to; standard error, except in tests.
pub(crate) trait Console {
    /// Whether a write of up to [`ATONCE`] bytes returns at once.
    fn is_ready(&self) -> bool;

    /// The same, after a while if need be.
    fn waits_for_its_reader(&self) -> bool {
        self.is_ready()
    }

    /// Writes some of it.
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
/// Between the question and the write the answer can change, since others write there too. Only a
/// non-blocking descriptor closes this window; and that would be non-blocking for the shell as well, which
/// shares the open file.
#[derive(Debug)]
pub(crate) struct Outlet<C: Console> {
    console: C,
    pending: Vec<u8>,
    dropped: u64,
    /// Whether the line stands there.
    line: &'static AtomicBool,
}

impl Outlet<Stderr> {
    pub(crate) fn stderr() -> Self {
        Self { console: io::stderr(), pending: Vec::new(), dropped: 0, line: &LINE }
    }
}

impl<C: Console> Outlet<C> {
    /// Writes one message, now or as soon as it can be written.
    pub(crate) fn message(&mut self, text: &str) {
        self.clear();
        if self.pending.len() < KEPT {
            self.pending.extend_from_slice(worded(text).as_bytes());
        } else {
            self.dropped += 1;
        }
        self.settle();
    }

    /// Passes on what a command said, as it is. It is never dropped: the caller asks first whether the reader is
    /// [behind](Outlet::is_behind).
    pub(crate) fn raw(&mut self, text: &str) {
        self.clear();
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

    /// Draws the line, in place of the last one: now, or not at all.
    pub(crate) fn draw(&mut self, row: &str) {
        self.settle();
        let Ok(_shared) = TERMINAL.try_read() else { return };
        if self.is_settled() && self.console.is_ready() {
            let begin = if self.line.swap(true, Ordering::Relaxed) { "\r" } else { "" };
            self.pending = format!("{begin}{row}\x1b[K").into_bytes();
            self.write_some();
        }
    }

    /// Removes the line, now or as soon as that can be written: what comes later relies on it.
    pub(crate) fn clear(&mut self) {
        if self.line.swap(false, Ordering::Relaxed) {
            self.pending.extend_from_slice(CLEAR.as_bytes());
        }
        self.settle();
    }

    /// Leaves the line where it is: it belongs to the history of the terminal now.
    pub(crate) fn forget_line(&mut self) {
        self.line.store(false, Ordering::Relaxed);
    }

    /// Writes what can be written without waiting.
    pub(crate) fn settle(&mut self) {
        // A result is being written, perhaps to a terminal that is held: then later.
        let Ok(_shared) = TERMINAL.try_read() else { return };
        while !self.is_settled() && self.console.is_ready() {
            self.write_some();
        }
    }

    fn is_settled(&self) -> bool {
        self.pending.is_empty() && self.dropped == 0
    }

    fn write_some(&mut self) {
        if self.pending.is_empty() {
            let lost = std::mem::take(&mut self.dropped);
            self.pending =
                worded(&format!("{lost} messages were dropped here, since no reader took them")).into_bytes();
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
        while !self.is_settled() {
            if !self.console.waits_for_its_reader() {
                return;
            }
            self.write_some();
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    /// A terminal that can be held as by Ctrl-S, and that can go away.
    #[derive(Clone, Debug, Default)]
    pub(crate) struct Tty(Arc<Mutex<Inner>>);

    #[derive(Debug, Default)]
    struct Inner {
        held: bool,
        gone: bool,
        seen: Vec<u8>,
    }

    impl Tty {
        pub(crate) fn hold(&self, held: bool) {
            self.0.lock().unwrap().held = held;
        }

        /// An outlet to it, with a line of its own: tests run side by side.
        pub(crate) fn outlet(&self) -> Outlet<Tty> {
            let line = Box::leak(Box::new(AtomicBool::new(false)));
            Outlet { console: self.clone(), pending: Vec::new(), dropped: 0, line }
        }

        fn go(&self) {
            self.0.lock().unwrap().gone = true;
        }

        pub(crate) fn seen(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().seen.clone()).unwrap()
        }
    }

    impl Console for Tty {
        fn is_ready(&self) -> bool {
            !self.0.lock().unwrap().held
        }

        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut inner = self.0.lock().unwrap();
            assert!(!inner.held, "this write would wait");
            if inner.gone {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            inner.seen.extend_from_slice(bytes);
            Ok(bytes.len())
        }
    }

    #[test]
    fn a_message_has_the_prefix_and_no_control_characters() {
        let tty = Tty::default();
        tty.outlet().message("cannot read a\x1b[2Jb\nbivouac: lies");
        assert_eq!(tty.seen(), "bivouac: cannot read a\\x1b[2Jb\\nbivouac: lies\n");
    }

    #[test]
    fn a_held_terminal_holds_nobody_up_and_gets_its_messages_later() {
        let tty = Tty::default();
        let mut outlet = tty.outlet();
        outlet.draw("41 %");
        tty.hold(true);
        outlet.message("first");
        outlet.draw("42 %");
        assert_eq!(tty.seen(), "41 %\x1b[K");
        tty.hold(false);
        outlet.message("second");
        outlet.draw("43 %");
        outlet.draw("44 %");
        assert_eq!(tty.seen(), "41 %\x1b[K\r\x1b[2Kbivouac: first\nbivouac: second\n43 %\x1b[K\r44 %\x1b[K");
    }

    #[test]
    fn what_is_kept_is_bounded_and_the_gap_is_named() {
        let tty = Tty::default();
        let mut outlet = tty.outlet();
        tty.hold(true);
        for number in 0..10_000 {
            outlet.message(&format!("message {number}"));
        }
        assert!(outlet.pending.len() < KEPT + 100);
        tty.hold(false);
        drop(outlet);
        let seen = tty.seen();
        let kept = seen.lines().count() - 1;
        assert!(seen.ends_with(&format!(
            "bivouac: {} messages were dropped here, since no reader took them\n",
            10_000 - kept
        )));
    }

    #[test]
    fn a_reader_who_has_gone_ends_nothing() {
        let tty = Tty::default();
        let mut outlet = tty.outlet();
        tty.go();
        outlet.message("to nobody");
        assert!(outlet.is_settled());
        assert_eq!(tty.seen(), "");
    }

    #[test]
    fn a_full_pipe_is_not_ready_and_a_closed_one_is() {
        // The real question, put to the real poll(2): one end of a pipe in place of standard error.
        let (reader, mut writer) = io::pipe().unwrap();
        let ready = |pipe: &io::PipeWriter| {
            let mut fds = [PollFd::new(pipe.as_fd(), PollFlags::POLLOUT)];
            matches!(poll(&mut fds, 0_u16), Ok(n) if n > 0)
        };
        while ready(&writer) {
            writer.write_all(&[b'x'; ATONCE]).unwrap();
        }
        assert!(!ready(&writer));
        drop(reader);
        assert!(ready(&writer));
        assert_eq!(writer.write(b"x").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
