//! A terminal that is held, that is slow, and that goes away.

use super::*;
use std::sync::Arc;

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
        Outlet::to(self.clone(), Box::leak(Box::default()))
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

fn draw(outlet: &mut Outlet<Tty>, row: &str) {
    outlet.draw(&[row.to_string()]);
}

#[test]
fn a_held_terminal_holds_nobody_up_and_gets_its_messages_later() {
    let tty = Tty::default();
    let mut outlet = tty.outlet();
    draw(&mut outlet, "41 %");
    tty.hold(true);
    outlet.message("first");
    draw(&mut outlet, "42 %");
    assert_eq!(tty.seen(), "41 %\x1b[K");
    tty.hold(false);
    outlet.message("second");
    draw(&mut outlet, "43 %");
    draw(&mut outlet, "44 %");
    let above = "\r\x1b[2Kbivouac: first\nbivouac: second\n41 %\x1b[K";
    assert_eq!(tty.seen(), format!("41 %\x1b[K{above}\r43 %\x1b[K\r44 %\x1b[K"));
}

#[test]
fn what_was_not_drawn_is_not_erased_and_what_is_erased_was_seen() {
    let tty = Tty::default();
    let mut outlet = tty.outlet();
    outlet.message("first");
    outlet.clear();
    assert_eq!(tty.seen(), "bivouac: first\n");
    draw(&mut outlet, "41 %");
    outlet.clear();
    outlet.clear();
    assert_eq!(tty.seen(), "bivouac: first\n41 %\x1b[K\r\x1b[2K");
}

#[test]
fn several_rows_are_replaced_and_erased_as_one() {
    let tty = Tty::default();
    let mut outlet = tty.outlet();
    let rows = |rows: &[&str]| rows.iter().map(ToString::to_string).collect::<Vec<_>>();
    outlet.draw(&rows(&["a", "b", "c"]));
    outlet.draw(&rows(&["d"]));
    outlet.draw(&rows(&["e", "f"]));
    outlet.clear();
    let drawn = "a\x1b[K\r\nb\x1b[K\r\nc\x1b[J";
    assert_eq!(tty.seen(), format!("{drawn}\r\x1b[2Ad\x1b[J\re\x1b[K\r\nf\x1b[J\r\x1b[1A\x1b[J"));
}

#[test]
fn a_result_without_a_newline_stays() {
    let tty = Tty::default();
    let mut outlet = tty.outlet();
    outlet.screen.lock().unwrap().mid_line = true;
    draw(&mut outlet, "41 %");
    assert_eq!(tty.seen(), "");
    outlet.message("first");
    draw(&mut outlet, "42 %");
    assert_eq!(tty.seen(), "\nbivouac: first\n42 %\x1b[K");
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
