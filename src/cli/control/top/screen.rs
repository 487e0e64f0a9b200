//! The terminal of `top`: its mode, the frame on it, and its keys.
//!
//! `top` must give the terminal back as it found it, however the process ends: by a key, by a signal, by an error, by a
//! panic. A static holds the mode that was found, so that the panic hook can restore it too. After SIGKILL no program can do
//! that, and a person types `reset`.

use crate::cli::terminal::{is_ready_within, size_of_stdout};
use bivouac::{Error, Result};
use nix::sys::termios::{LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr};
use nix::unistd::{getpgrp, tcgetpgrp};
use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use unicode_width::UnicodeWidthStr;

/// The mode in which the terminal was found; `None` while the terminal is given back.
static FOUND: Mutex<Option<Termios>> = Mutex::new(None);

/// A thread has panicked. Its message is on the terminal, which is not taken again.
static HAS_PANICKED: AtomicBool = AtomicBool::new(false);

/// Switches to the alternate screen, so that the text of the shell stays, hides the cursor, and clears.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[2J";
const LEAVE: &str = "\x1b[0m\x1b[?25h\x1b[?1049l";

/// How many bytes are written at once, after a check that the terminal is ready. It takes this much without blocking.
const AT_ONCE: usize = 4096;

/// How many milliseconds a frame waits for a terminal that is stopped (Ctrl-S). Then the next frame is drawn whole.
const PATIENCE: u16 = 50;

pub(super) struct Screen {
    /// The frame on the screen; `None`: unknown, so the next frame is drawn whole.
    shown: Option<Buffer>,
}

impl Screen {
    /// Takes the terminal, and gives it back if this program panics.
    pub(super) fn take() -> Result<Self> {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |why| {
            HAS_PANICKED.store(true, Ordering::SeqCst);
            give_back();
            report(why);
        }));
        let mut screen = Self { shown: None };
        screen.take_again();
        match tcgetattr(io::stdin()) {
            Ok(_) => Ok(screen),
            Err(cause) => Err(Error::broken("terminal", format_args!("cannot read its mode: {cause}"))),
        }
    }

    /// Takes the terminal, or takes it again after another program may have changed its mode. Does nothing in the
    /// background.
    pub(super) fn take_again(&mut self) {
        self.shown = None;
        if !is_ours() {
            return;
        }
        let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
        if HAS_PANICKED.load(Ordering::SeqCst) {
            return;
        }
        let Ok(mode) = tcgetattr(io::stdin()) else { return };
        let mut ours = mode.clone();
        ours.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO);
        ours.control_chars[SpecialCharacterIndices::VMIN as usize] = 1;
        ours.control_chars[SpecialCharacterIndices::VTIME as usize] = 0;
        // After a SIGSTOP the terminal may still be in the mode of `top`: then the mode that was found first counts.
        found.get_or_insert(mode);
        tcsetattr(io::stdin(), SetArg::TCSANOW, &ours).ok();
        put(ENTER);
    }

    pub(super) fn give_back(&mut self) {
        self.shown = None;
        give_back();
    }

    /// Columns and rows, if this process may draw.
    pub(super) fn size(&mut self) -> Option<(u16, u16)> {
        if !is_ours() || HAS_PANICKED.load(Ordering::SeqCst) {
            return None;
        }
        if FOUND.lock().unwrap_or_else(PoisonError::into_inner).is_none() {
            self.take_again();
        }
        let (columns, rows) = size_of_stdout();
        Some((columns.try_into().ok()?, rows.try_into().ok()?))
            .filter(|(columns, rows)| *columns > 0 && *rows > 0)
    }

    /// Draws the rows that differ from the last frame, or all rows if the size has changed.
    pub(super) fn show(&mut self, next: Buffer) {
        let last = self.shown.take().filter(|last| last.area == next.area);
        let is_new = last.is_none();
        let last = last.unwrap_or_else(|| Buffer::empty(next.area));
        let text = drawn(&last, &next, is_new);
        if text.is_empty() || put(&text) {
            self.shown = Some(next);
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// Whether this process is in the foreground of its terminal. In the background it must neither write nor change the mode.
fn is_ours() -> bool {
    tcgetpgrp(io::stdin()).is_ok_and(|foreground| foreground == getpgrp())
}

fn give_back() {
    let Some(found) = FOUND.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
    if is_ours() {
        put(LEAVE);
        tcsetattr(io::stdin(), SetArg::TCSANOW, &found).ok();
    }
}

/// Writes text; `false` if the terminal does not take it.
fn put(text: &str) -> bool {
    let mut out = io::stdout().lock();
    text.as_bytes().chunks(AT_ONCE).all(|piece| {
        is_ready_within(&out, PATIENCE) && out.write_all(piece).and_then(|()| out.flush()).is_ok()
    })
}

/// The sequences that turn one frame into the next: each row that differs, whole. The obvious way is to write only the cells
/// that differ. But a row is short, and a recording of the terminal can be searched only if text stays in one piece.
fn drawn(last: &Buffer, next: &Buffer, is_new: bool) -> String {
    let mut text = if is_new { "\x1b[0m\x1b[2J".to_string() } else { String::new() };
    for y in 0..next.area.height {
        if cells(last, y).ne(cells(next, y)) {
            write!(text, "\x1b[{};1H", y + 1).ok();
            let mut style = (Color::Reset, Modifier::empty());
            for cell in letters(next, y) {
                if style != (cell.fg, cell.modifier) {
                    style = (cell.fg, cell.modifier);
                    text.push_str(&sgr(cell));
                }
                text.push_str(cell.symbol());
            }
            text.push_str("\x1b[0m");
        }
    }
    text
}

fn cells(buffer: &Buffer, y: u16) -> impl Iterator<Item = &Cell> {
    (0..buffer.area.width).filter_map(move |x| buffer.cell((x, y)))
}

/// The cells of a row without those that a wide letter before them covers.
fn letters(buffer: &Buffer, y: u16) -> impl Iterator<Item = &Cell> {
    let mut covered = 0;
    cells(buffer, y).filter(move |cell| {
        let is_covered = covered > 0;
        covered = if is_covered { covered - 1 } else { cell.symbol().width().max(1) - 1 };
        !is_covered
    })
}

fn sgr(cell: &Cell) -> String {
    let mut text = "\x1b[0".to_string();
    for (modifier, code) in [(Modifier::BOLD, 1), (Modifier::DIM, 2), (Modifier::REVERSED, 7)] {
        if cell.modifier.contains(modifier) {
            write!(text, ";{code}").ok();
        }
    }
    for (colour, code) in [(Color::Red, 31), (Color::Green, 32), (Color::Yellow, 33), (Color::Cyan, 36)] {
        if cell.fg == colour {
            write!(text, ";{code}").ok();
        }
    }
    text + "m"
}

/// A buffer as lines of text, for `--once`.
pub(super) fn as_text(buffer: &Buffer) -> String {
    let line = |y| letters(buffer, y).map(Cell::symbol).collect::<String>().trim_end().to_string() + "\n";
    (0..buffer.area.height).map(line).collect()
}

/// The keys that `top` knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Up,
    Down,
    Enter,
    Back,
    Char(char),
}

/// Reads keys until the terminal is gone (`None`), or `tell` wants no more.
pub(super) fn read_keys(tell: impl Fn(Option<Key>) -> bool) {
    let mut bytes = [0; 64];
    loop {
        match io::stdin().lock().read(&mut bytes) {
            Ok(0) => drop(tell(None)),
            Ok(length) => {
                if keys(&bytes[..length]).into_iter().all(|key| tell(Some(key))) {
                    continue;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => drop(tell(None)),
        }
        return;
    }
}

/// The keys in these bytes. An arrow is three bytes, in one of two dialects; Escape alone is one byte.
fn keys(bytes: &[u8]) -> Vec<Key> {
    let (mut keys, mut rest) = (Vec::new(), bytes);
    loop {
        let (key, length) = match rest {
            [] => return keys,
            [0x1b, b'[' | b'O', b'A', ..] => (Some(Key::Up), 3),
            [0x1b, b'[' | b'O', b'B', ..] => (Some(Key::Down), 3),
            [0x1b, b'[' | b'O', b'C', ..] => (Some(Key::Enter), 3),
            [0x1b, b'[' | b'O', b'D', ..] => (Some(Key::Back), 3),
            // Another key with a sequence, which ends with a letter or a tilde.
            [0x1b, b'[' | b'O', more @ ..] => {
                let end = more.iter().position(|byte| byte.is_ascii_alphabetic() || *byte == b'~');
                (None, 2 + end.map_or(more.len(), |end| end + 1))
            }
            [0x1b | 0x7f | 0x08, ..] => (Some(Key::Back), 1),
            [b'\r' | b'\n', ..] => (Some(Key::Enter), 1),
            [byte, ..] => (byte.is_ascii_graphic().then_some(Key::Char(char::from(*byte))), 1),
        };
        keys.extend(key);
        rest = &rest[length.min(rest.len())..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::pty::openpty;
    use ratatui::layout::Rect;
    use ratatui::style::Style;
    use std::fs::File;
    use std::process::{Command, Stdio};
    use std::thread;

    /// Says in the environment that this test is to take its terminal, and where it is to panic then.
    const PANICS: &str = "BIVOUAC_TEST_PANICS";

    fn panics(place: &str) {
        let mut screen = Screen::take().unwrap();
        assert!(screen.size().is_some(), "it is ours");
        if place == "here" {
            panic!("on purpose");
        }
        thread::spawn(|| panic!("on purpose")).join().unwrap_err();
        screen.take_again();
        assert_eq!(screen.size(), None, "it is not taken again");
        std::mem::forget(screen); // It is the hook that must have given it back.
    }

    /// A program on a terminal of its own, whose thread panics: this test itself, once more.
    #[test]
    fn a_panic_in_any_thread_gives_the_terminal_back_before_its_message() {
        if let Ok(place) = std::env::var(PANICS) {
            return panics(&place);
        }
        let test = "a_panic_in_any_thread_gives_the_terminal_back_before_its_message";
        for place in ["here", "in another thread"] {
            let terminal = openpty(None, None).unwrap();
            let side = || Stdio::from(terminal.slave.try_clone().unwrap());
            let found = tcgetattr(&terminal.slave).unwrap();
            let mut program = Command::new("setsid");
            program.args(["--ctty", "--wait"]).arg(std::env::current_exe().unwrap());
            program.args([
                &format!("{}::{test}", module_path!().split_once("::").unwrap().1),
                "--exact",
                "--nocapture",
            ]);
            program.env(PANICS, place).env("RUST_BACKTRACE", "0").stdin(side()).stdout(side()).stderr(side());
            let mut running = program.spawn().unwrap();
            drop(program); // It has the terminal open as well.
            let mut master = File::from(terminal.master);
            let reader = thread::spawn(move || {
                let mut seen = Vec::new();
                // The end is an error (EIO), when the last process has closed the terminal.
                master.read_to_end(&mut seen).ok();
                String::from_utf8_lossy(&seen).into_owned()
            });
            let status = running.wait().unwrap();
            let left = tcgetattr(&terminal.slave).unwrap();
            drop(terminal.slave);
            let seen = reader.join().unwrap();
            assert_eq!(status.success(), place != "here", "{seen}");
            assert_eq!(
                (left.local_flags, left.control_chars),
                (found.local_flags, found.control_chars),
                "{seen}"
            );
            let at = |text: &str| seen.rfind(text).unwrap_or_else(|| panic!("no {text:?} in {seen:?}"));
            assert!(at(ENTER) < at(LEAVE) && seen.find("on purpose").unwrap() > at(LEAVE), "{seen:?}");
        }
    }

    #[test]
    fn keys_come_alone_together_and_in_sequences() {
        assert_eq!(keys(b"\x1b[A\x1bOBj"), [Key::Up, Key::Down, Key::Char('j')]);
        assert_eq!(keys(b"\x1b"), [Key::Back]);
        assert_eq!(keys(b"\x1b[5~q"), [Key::Char('q')]);
        assert_eq!(keys(b"\x1b[1;5"), []);
        assert_eq!(keys(b"\r\x01\xc3\xa4"), [Key::Enter]);
    }

    #[test]
    fn only_rows_that_differ_are_drawn_and_a_wide_letter_covers_two_cells() {
        let area = Rect::new(0, 0, 4, 3);
        let (empty, mut next) = (Buffer::empty(area), Buffer::empty(area));
        next.set_string(1, 0, "ab", Style::new());
        next.set_string(0, 2, "木x", Style::new().fg(Color::Red));
        assert_eq!(drawn(&empty, &next, false), "\x1b[1;1H ab \x1b[0m\x1b[3;1H\x1b[0;31m木x\x1b[0m \x1b[0m");
        assert_eq!(drawn(&next, &next, false), "");
        assert!(drawn(&empty, &next, true).starts_with("\x1b[0m\x1b[2J"));
        assert_eq!(as_text(&next), " ab\n\n木x\n");
    }
}
