//! The only way to standard error and standard output.
//!
//! `eprintln!` and `println!` panic when the other end has gone, and `bivouac … 2>&1 | head` is
//! something people type. Worse, they *wait*: a terminal that somebody holds with Ctrl-S, or a pipe
//! whose reader sleeps, would hold the supervisor in the middle of a message, and then no signal is
//! answered any more. So there are two ways out of here:
//!
//! - While a job runs, messages go through an [`Outlet`], which asks `poll(2)` first and keeps what
//!   cannot be written now. It keeps a bounded amount, and says how much it had to drop.
//! - Before and after, [`line`] and [`result`] simply write: the first waits some seconds for its reader,
//!   the second as long as it takes. The handled signals have their default action then, so waiting can be
//!   ended as usual.
//!
//! A message that cannot be written is lost, and that is no reason to do anything else differently:
//! the exit code does not depend on who listens. A *result* that cannot be written is an error.

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

/// How much is kept for a reader who is slow: some hundred lines. A reader who is further behind
/// than that does not read.
const KEPT: usize = 64 * 1024;

/// `PIPE_BUF` of Linux: a pipe that `poll` calls writable takes this much without waiting, and
/// takes it in one piece.
const ATONCE: usize = 4096;

/// Writes one message to standard error; nobody waits for it, but for a few seconds.
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

/// How long a message waits for its reader when no job runs. A parent that has sent a signal and waits for
/// our end, and meanwhile does not read, would wait for ever.
const PATIENCE: u16 = 5000;

/// Whether somebody has been waited for in vain. Then nobody is, a second time.
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
/// [`Kind::OutputClosed`] when nobody reads any more, [`Kind::Broken`] for everything else (a full
/// disk, say).
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

/// Without the number in brackets that the standard library puts behind it.
fn plain(cause: &io::Error) -> String {
    let text = cause.to_string();
    text.split(" (os error").next().unwrap_or_default().to_string()
}

/// Held for writing while a result goes to the terminal.
static TERMINAL: RwLock<()> = RwLock::new(());

/// Whether a line of progress stands there.
static LINE: AtomicBool = AtomicBool::new(false);

/// How results are written when they and the progress line go to terminals, which is one terminal mostly:
/// the line is taken away first, and nobody draws it meanwhile. `None` where they do not meet.
pub(crate) fn beside_the_line_if_both_are_terminals() -> Option<Around> {
    (io::stdout().is_terminal() && io::stderr().is_terminal()).then_some(beside_the_line)
}

fn beside_the_line(write: &mut dyn FnMut()) {
    let _alone = TERMINAL.write().unwrap_or_else(PoisonError::into_inner);
    if LINE.swap(false, Ordering::Relaxed) {
        raw("\r\x1b[2K");
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
        error.print().ok(); // Nobody reads it; the code says the same.
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
pub(crate) trait Writer: Send {
    /// Whether a write of up to [`ATONCE`] bytes returns at once.
    fn is_ready(&self) -> bool;

    /// The same, after a while if need be.
    fn waits_for_its_reader(&self) -> bool {
        self.is_ready()
    }

    /// Writes some of it.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;
}

impl Writer for Stderr {
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

/// Writes messages without ever waiting for whoever reads them.
///
/// Once a terminal is held by Ctrl-S, `poll` no longer calls it writable; the same goes for a pipe
/// that is full. Between the question and the write the answer can change, since others write there
/// too; that window is as small as it gets without making the descriptor non-blocking, which would
/// change it for the shell as well: they share the open file.
#[derive(Debug)]
pub(crate) struct Outlet<W> {
    writer: W,
    pending: Vec<u8>,
    dropped: u64,
    /// The last thing that was written is a line that is drawn anew.
    drawn: bool,
}

impl<W: Writer> Outlet<W> {
    pub(crate) fn new(writer: W) -> Self {
        Self { writer, pending: Vec::new(), dropped: 0, drawn: false }
    }

    /// Says one message, now or as soon as it can be written.
    pub(crate) fn line(&mut self, message: &str) {
        self.settle();
        if self.pending.len() < KEPT {
            self.pending.extend_from_slice(worded(message).as_bytes());
        } else {
            self.dropped += 1;
        }
        self.settle();
    }

    /// Passes on what a command said, as it is. Not dropped: who calls this asks first whether we are
    /// [behind](Outlet::is_behind), and does not call.
    pub(crate) fn raw(&mut self, text: &str) {
        self.settle();
        self.pending.extend_from_slice(text.as_bytes());
        if !text.ends_with('\n') {
            self.pending.push(b'\n');
        }
        self.settle();
    }

    /// Whether the reader is so far behind that he should not be given more.
    pub(crate) fn is_behind(&self) -> bool {
        self.pending.len() >= KEPT
    }

    /// Moves the cursor or clears the line: what comes later relies on it, so it is not dropped.
    pub(crate) fn control(&mut self, sequence: &str) {
        self.drawn = false;
        self.pending.extend_from_slice(sequence.as_bytes());
        self.settle();
    }

    /// Draws something that the next drawing replaces: now, or not at all.
    pub(crate) fn draw(&mut self, frame: &str) {
        self.settle();
        if self.pending.is_empty() {
            self.pending.extend_from_slice(frame.as_bytes());
            self.drawn = true;
            self.settle();
        }
    }

    /// Writes what can be written without waiting.
    pub(crate) fn settle(&mut self) {
        // A result is being written, perhaps to a terminal that is held: then later.
        let Ok(_shared) = TERMINAL.try_read() else { return };
        while !self.is_settled() && self.writer.is_ready() {
            self.write_some();
        }
        LINE.store(self.drawn, Ordering::Relaxed);
    }

    /// Writes everything, as long as somebody reads.
    pub(crate) fn finish(&mut self) {
        while !self.is_settled() {
            if !self.writer.waits_for_its_reader() {
                return self.give_up();
            }
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
                worded(&format!("{lost} messages were dropped here, nobody read them")).into_bytes();
        }
        let piece = &self.pending[..self.pending.len().min(ATONCE)];
        match self.writer.write(piece) {
            Ok(0) => self.give_up(),
            Ok(written) => drop(self.pending.drain(..written)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => self.give_up(),
        }
    }

    /// The reader has gone, or the device is broken; what comes later is tried again.
    fn give_up(&mut self) {
        self.pending.clear();
        self.dropped = 0;
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

        fn go(&self) {
            self.0.lock().unwrap().gone = true;
        }

        pub(crate) fn seen(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().seen.clone()).unwrap()
        }
    }

    impl Writer for Tty {
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
        Outlet::new(tty.clone()).line("cannot read a\x1b[2Jb\nbivouac: lies");
        assert_eq!(tty.seen(), "bivouac: cannot read a\\x1b[2Jb\\nbivouac: lies\n");
    }

    #[test]
    fn a_held_terminal_holds_nobody_up_and_gets_its_messages_later() {
        let tty = Tty::default();
        let mut outlet = Outlet::new(tty.clone());
        tty.hold(true);
        outlet.line("first");
        outlet.draw("42 %");
        outlet.control("\r");
        assert_eq!(tty.seen(), "");
        tty.hold(false);
        outlet.line("second");
        assert_eq!(tty.seen(), "bivouac: first\n\rbivouac: second\n");
    }

    #[test]
    fn what_is_kept_is_bounded_and_the_gap_is_named() {
        let tty = Tty::default();
        let mut outlet = Outlet::new(tty.clone());
        tty.hold(true);
        for number in 0..10_000 {
            outlet.line(&format!("message {number}"));
        }
        assert!(outlet.pending.len() < KEPT + 100);
        tty.hold(false);
        outlet.finish();
        let seen = tty.seen();
        let kept = seen.lines().count() - 1;
        assert!(seen.ends_with(&format!(
            "bivouac: {} messages were dropped here, nobody read them\n",
            10_000 - kept
        )));
    }

    #[test]
    fn a_reader_who_has_gone_ends_nothing() {
        let tty = Tty::default();
        let mut outlet = Outlet::new(tty.clone());
        tty.go();
        outlet.line("to nobody");
        outlet.finish();
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
