//! `bivouac top`: all jobs here and below, live, with keys that control them.
//!
//! | chapter | what it is about |
//! |---|---|
//! | [`jobs`] | the jobs, which a thread of their own reads from the states |
//! | [`frame`] | how they look, drawn by ratatui into a buffer |
//! | [`screen`] | the terminal: its modes, how a buffer gets there, the keys |
//!
//! The obvious program sets the terminal to raw mode, gets Ctrl-C as a key, and forgets the signals of `kill`. Then a SIGTERM
//! leaves a terminal without echo, and after Ctrl-Z the shell has one without a cursor. Here the kernel goes on to turn these
//! keys into signals (`ISIG`), so Ctrl-C, Ctrl-Z and `kill` all arrive through the signal thread of this library. The loop
//! gives the terminal back before the process dies of a signal or is suspended, and takes it again afterwards.
//!
//! A key that controls a job starts the verb that a person would type, and shows the message of the verb.

mod frame;
mod jobs;
mod screen;

use crate::cli::args::control::TopArgs;
use crate::cli::progress::has_colour;
use crate::cli::terminal;
use bivouac::ending::{Exit, FINISHED};
use bivouac::signals::Masked;
use bivouac::{Caught, Error, Heard, Policy, Request, Result, Signal, Signals};
use crossbeam_channel::{Sender, unbounded};
use frame::Frame;
use jobs::{Job, Jobs, Place};
use screen::{Key, Screen};
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How often the loop draws without an event: the clock in the title moves, and the process may have come to the foreground
/// without a signal.
const TICK: Duration = Duration::from_millis(500);

/// Messages of the other threads to the loop.
enum Event {
    Key(Key),
    /// The terminal is gone.
    Closed,
    Jobs(Jobs),
    /// A verb has ended, with this message.
    Said(String),
    /// The thread of this name has panicked. The terminal has been given back, with the reason on it.
    Broke(&'static str),
}

/// What a thread does. A panic ends this program, which would show old figures for ever.
fn or_tell(name: &'static str, tell: Sender<Event>, body: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(body)).is_err() {
        tell.send(Event::Broke(name)).ok();
    }
}

pub(crate) fn run(args: &TopArgs, mut masked: Masked) -> Result<Exit> {
    let place = Place::of(args.place.as_deref())?;
    let colour = has_colour(args.color, io::stdout().is_terminal());
    let mut frame = Frame::new(place.title(), place.opened(), colour);
    if args.once {
        frame.show(place.look());
        let (columns, rows) = terminal::size_for_text();
        let text = frame.text(args.width.unwrap_or(columns), args.height.unwrap_or(rows));
        return terminal::result(text.as_bytes()).map(|()| Exit::Code(FINISHED));
    }
    if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
        return Err(Error::usage("top", "needs a terminal")
            .advise("elsewhere: `bivouac list`, `bivouac status --watch`, or `bivouac top --once`"));
    }
    masked.adopt(policy())?;
    let (tell, told) = unbounded();
    let (keys, looks) = (tell.clone(), tell.clone());
    let read_keys = move || {
        let send = |key: Option<Key>| keys.send(key.map_or(Event::Closed, Event::Key)).is_ok();
        or_tell("keys", keys.clone(), || screen::read_keys(send));
    };
    let watch_jobs = move || {
        or_tell("jobs", looks.clone(), || place.watch(|jobs| looks.send(Event::Jobs(jobs)).is_ok()));
    };
    let started = masked.spawn("keys", read_keys).and_then(|_| masked.spawn("jobs", watch_jobs));
    started.map_err(|cause| Error::broken("top", format_args!("cannot start a thread: {cause}")))?;
    let signals = Signals::start(masked)?;
    let mut top = Top { frame, screen: Screen::take()?, tell, stop: None };
    loop {
        top.draw();
        match signals.wait_beside(&told, Instant::now() + TICK)? {
            Heard::Other(Event::Key(key)) => {
                if top.pressed(key) {
                    return Ok(Exit::Code(FINISHED));
                }
            }
            Heard::Other(Event::Closed) => return Ok(Exit::Code(FINISHED)),
            Heard::Other(Event::Jobs(jobs)) => top.frame.show(jobs),
            Heard::Other(Event::Said(text)) => top.frame.message = text,
            Heard::Other(Event::Broke(name)) => {
                return Err(Error::broken("top", format_args!("its thread `{name}` has panicked")));
            }
            Heard::Signal(Caught { signal: Signal::SIGTSTP, .. }) => {
                top.screen.give_back();
                signals.suspend()?;
                top.screen.take_again();
            }
            Heard::Signal(Caught { signal: Signal::SIGCONT, .. }) => top.screen.take_again(),
            Heard::Signal(Caught { signal: Signal::SIGWINCH, .. }) | Heard::Nothing => {}
            Heard::Signal(Caught { signal, .. }) => {
                top.screen.give_back();
                return Ok(Exit::Signal(signal));
            }
        }
    }
}

/// The signals of this verb. They are not the defaults of jobs, because this process runs no job.
fn policy() -> Policy {
    use Signal::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH};
    let ends = [SIGINT, SIGTERM, SIGHUP, SIGQUIT].map(|signal| (signal, Request::Stop));
    let others = [(SIGTSTP, Request::Suspend), (SIGCONT, Request::Resume), (SIGWINCH, Request::Redraw)];
    ends.into_iter().chain(others).fold(Policy::empty(), |policy, (signal, what)| policy.with(signal, what))
}

struct Top {
    frame: Frame,
    screen: Screen,
    tell: Sender<Event>,
    /// The job that the key `s` is to stop, until the next key confirms that or not.
    stop: Option<PathBuf>,
}

impl Top {
    fn draw(&mut self) {
        if let Some((columns, rows)) = self.screen.size() {
            self.screen.show(self.frame.buffer(columns, rows));
        }
    }

    /// Does what a key asks for. Returns whether it asks for the end.
    fn pressed(&mut self, key: Key) -> bool {
        if let Some(path) = self.stop.take() {
            self.frame.message.clear();
            if key == Key::Char('y') {
                self.asks(&["stop"], &path);
            }
            return false;
        }
        match (key, self.frame.target()) {
            (Key::Char('q'), _) => return true,
            (Key::Up | Key::Char('k'), _) => self.frame.step(-1),
            (Key::Down | Key::Char('j'), _) => self.frame.step(1),
            (Key::Enter, _) => self.frame.open(),
            (Key::Back, _) => self.frame.close(),
            (Key::Char('?' | 'h'), _) => self.frame.help = !self.frame.help,
            (Key::Char('p'), Some(path)) => self.asks(&["pause"], &path),
            (Key::Char('c'), Some(path)) => self.asks(&["checkpoint"], &path),
            (Key::Char('+'), Some(path)) => self.asks(&["set", "jobs=+1"], &path),
            (Key::Char('-'), Some(path)) => self.asks(&["set", "jobs=-1"], &path),
            (Key::Char('s'), Some(path)) => {
                self.frame.message = format!("stop {}? y or n", path.display());
                self.stop = Some(path);
            }
            (Key::Char(_), _) => {}
        }
        false
    }

    /// Starts a verb for a job on a thread, with `resume` in place of `pause` if the job is held. The verb has a process
    /// group of its own, so that Ctrl-C does not end it, and no descriptor of the terminal.
    fn asks(&mut self, verb: &[&str], path: &Path) {
        self.frame.message = format!("{} …", verb.join(" "));
        let (mut words, tell, broken) = (words(verb, path), self.tell.clone(), self.tell.clone());
        let path = path.to_path_buf();
        let said = move || {
            // The screen may show an older phase, so this looks again.
            if words[0] == "pause" && Job::look(&path).is_some_and(|job| job.is_held()) {
                words[0] = "resume".into();
            }
            let mut command = Command::new("/proc/self/exe");
            let output =
                command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).process_group(0).output();
            let text = output.map_or_else(
                |cause| format!("cannot start the verb: {cause}"),
                |output| first_message(&String::from_utf8_lossy(&output.stderr)),
            );
            tell.send(Event::Said(text)).ok();
        };
        if let Err(cause) =
            thread::Builder::new().name("verb".to_string()).spawn(move || or_tell("verb", broken, said))
        {
            self.frame.message = format!("cannot start a thread: {cause}");
        }
    }
}

/// The arguments of a verb for the job at `path`. With `./` before it, a path cannot look like an option, a setting or a
/// process id.
fn words(verb: &[&str], path: &Path) -> Vec<OsString> {
    let path = if path.is_absolute() { path.to_path_buf() } else { Path::new(".").join(path) };
    verb.iter().map(OsString::from).chain([path.into()]).collect()
}

/// The first line of a message, without the name of the program.
fn first_message(said: &str) -> String {
    let line = said.lines().next().unwrap_or_default();
    line.strip_prefix("bivouac: ").unwrap_or(line).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_panics_is_told() {
        let (tell, told) = unbounded();
        or_tell("fine", tell.clone(), || ());
        assert!(told.try_recv().is_err());
        thread::spawn(move || or_tell("jobs", tell, || panic!("on purpose"))).join().unwrap();
        assert!(matches!(told.recv(), Ok(Event::Broke("jobs"))));
    }
}
