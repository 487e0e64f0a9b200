//! Limits of the system: how many files are open at the same time, and how many processes there are.
//!
//! The soft limit of open files is 1,024 nearly everywhere, for the sake of programs that use `select(2)`. Five hundred
//! commands at a time need more. A program without `select` may raise the limit for itself ([`raise_open_files`]);
//! commands get it as it was.
//!
//! When a limit is reached, the obvious reaction is to give up: every command would fail. But the commands that run will
//! end, and then there is room. So a task that cannot start its command waits until fewer run, and the job reports once
//! that it goes on with fewer slots. Another program may be the reason, so one more command is tried each second.

use crate::error::Error;
use crate::sync::lock;
use crate::sys::BY_CLONE;
use crate::task::{Context, TaskError};
use nix::errno::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

static FOUND: OnceLock<Rlimit> = OnceLock::new();

/// Raises the soft limit of open files to the hard one, for this process and not for commands. A program calls it first of
/// all; the library does not. It does nothing where commands could not get the old limit (`process/posix_spawn.rs`).
#[doc(hidden)]
pub fn raise_open_files() {
    let found = getrlimit(Resource::Nofile);
    if BY_CLONE
        && found.current != found.maximum
        && setrlimit(Resource::Nofile, Rlimit { current: found.maximum, ..found }).is_ok()
    {
        FOUND.get_or_init(|| found);
    }
}

/// Undoes [`raise_open_files`], for a program that has ended its last run.
#[doc(hidden)]
pub fn restore_open_files() {
    if let Some(found) = open_files_of_commands() {
        // Lowering a soft limit is always allowed.
        setrlimit(Resource::Nofile, found).ok();
    }
}

/// The limit for commands, if it is not ours.
pub(super) fn open_files_of_commands() -> Option<Rlimit> {
    FOUND.get().copied()
}

/// Descriptors that commands leave free, for the state and the output.
const RESERVE: u64 = 32;

/// Whether this descriptor is one of the last that there are.
pub(super) fn is_one_of_the_last(descriptor: i32) -> bool {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    u64::try_from(descriptor).unwrap_or_default() >= limit.saturating_sub(RESERVE.min(limit / 8))
}

/// Whether this error may go away when other commands have ended.
pub(super) fn is_shortage(errno: Errno) -> bool {
    matches!(errno, Errno::EMFILE | Errno::ENFILE | Errno::EAGAIN | Errno::ENOMEM)
}

/// How long a command that is alone waits for room.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often a waiting task looks for room.
const LOOK: Duration = Duration::from_millis(10);

/// Room for commands: whether the system has run out of a resource, and how many commands it can bear.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// Whether there ever was too little. Nearly always false, and read without the lock.
    is_short: AtomicBool,
    shortage: Mutex<Shortage>,
}

#[derive(Debug, Default)]
struct Shortage {
    /// How many commands ran when there was no room for another one, and when that was.
    last: Option<(usize, Instant)>,
    /// Whether the warning was given.
    is_said: bool,
}

impl Shortage {
    fn has_room_beside(&self, running: usize) -> bool {
        self.last.is_none_or(|(most, since)| running < most + since.elapsed().as_secs() as usize)
    }
}

impl Room {
    /// Waits until there should be room for a command beside those that run.
    pub(super) fn wait(&self, running: impl Fn() -> usize, cx: &Context<'_>) -> Result<(), TaskError> {
        cx.yield_point()?;
        while self.is_short.load(Ordering::Relaxed) {
            if lock(&self.shortage).has_room_beside(running()) {
                return Ok(());
            }
            cx.sleep(LOOK)?;
        }
        Ok(())
    }

    /// Whether to try again to start a command that the system refused beside `others`. The first try was at `since`.
    pub(super) fn is_worth_waiting(
        &self,
        errno: Errno,
        since: Instant,
        others: usize,
        cx: &Context<'_>,
    ) -> bool {
        if others == 0 && since.elapsed() >= PATIENCE {
            return false;
        }
        let mut shortage = lock(&self.shortage);
        shortage.last = Some((others.max(1), Instant::now()));
        // No warning if no other command runs: if the wait is in vain, the error says the same.
        let is_news = others > 0 && !std::mem::replace(&mut shortage.is_said, true);
        drop(shortage);
        self.is_short.store(true, Ordering::Relaxed);
        if is_news {
            cx.warn(too_little_room(errno, others));
        }
        true
    }
}

/// The warning that no more than `others` commands run at the same time.
fn too_little_room(errno: Errno, others: usize) -> Error {
    let limits = [
        (Errno::EMFILE, "open files (ulimit -Hn)"),
        (Errno::ENFILE, "open files of the system (fs.file-max)"),
        (Errno::EAGAIN, "processes (ulimit -u, or that of the cgroup)"),
    ];
    let limit = limits.iter().find(|(of, _)| *of == errno).map_or("memory", |(_, limit)| limit);
    let why = match others {
        1 => format!("one command at a time from now on: {}", errno.desc()),
        _ => format!("no more than {others} commands at a time now: {}", errno.desc()),
    };
    Error::broken("slots", why)
        .advise(format_args!("the others wait for them; the limit of {limit} is reached"))
}
