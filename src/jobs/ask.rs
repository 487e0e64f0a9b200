//! Asking the terminal before each command, as `xargs -p` does.
//!
//! Standard input may be the list, so the terminal itself is asked. A read that blocks would hold up a stop
//! and a pause until a line is typed; so the worker waits for a line a little at a time, and looks in
//! between. One worker asks at a time, and the others look at the gate while they wait for their turn; the first item of
//! those that wait is asked about next.

use bivouac::{Context, Error, Result, TaskError};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Write};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

const GLANCE: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(crate) struct Ask {
    terminal: Mutex<File>,
    /// The numbers of the commands that wait for their turn.
    waiting: Mutex<BTreeSet<u64>>,
}

impl Ask {
    pub(crate) fn new() -> Result<Self> {
        let terminal = File::options().read(true).write(true).open("/dev/tty");
        let ask = |terminal| Self { terminal: Mutex::new(terminal), waiting: Mutex::default() };
        terminal.map(ask).map_err(|_| {
            Error::usage("-p", "there is no terminal to ask")
                .advise("leave it out; --dry-run prints the commands")
        })
    }

    /// Whether this command may run: if the answer begins with a `y`. A stop cancels the question.
    pub(crate) fn may_run(
        &self,
        cx: &Context<'_>,
        (number, command): (u64, &str),
    ) -> std::result::Result<bool, TaskError> {
        self.waiting().insert(number);
        let turn = self.turn(cx, number);
        self.waiting().remove(&number);
        let mut terminal = turn?;
        let broken = |e: std::io::Error| TaskError::Fatal(Error::named("/dev/tty".as_ref(), "ask", &e));
        write!(terminal, "{command} ?...").map_err(broken)?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\n") {
            cx.yield_point()?;
            if cx.is_stopping() {
                return Err(TaskError::Cancelled);
            }
            let mut ready = [PollFd::new(&*terminal, PollFlags::IN)];
            let wait = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
            if poll(&mut ready, Some(&wait)).unwrap_or(0) == 0 {
                continue;
            }
            let mut byte = [0];
            if terminal.read(&mut byte).map_err(broken)? == 0 {
                break; // Ctrl-D, or the terminal is gone.
            }
            answer.extend(byte);
        }
        Ok(matches!(answer.first(), Some(b'y' | b'Y')))
    }

    fn turn(&self, cx: &Context<'_>, number: u64) -> std::result::Result<MutexGuard<'_, File>, TaskError> {
        loop {
            let is_first = self.waiting().first() == Some(&number);
            match self.terminal.try_lock() {
                Ok(terminal) if is_first => return Ok(terminal),
                Err(TryLockError::Poisoned(poisoned)) => return Ok(poisoned.into_inner()),
                Ok(_) | Err(TryLockError::WouldBlock) if cx.is_stopping() => {
                    return Err(TaskError::Cancelled);
                }
                Ok(_) | Err(TryLockError::WouldBlock) => {}
            }
            cx.sleep(GLANCE)?;
        }
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
