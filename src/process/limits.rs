//! Limits of the system: how many files are open at the same time, and how many processes there are.
//!
//! The soft limit of open files is 1,024 nearly everywhere, for the sake of programs that use `select(2)`.
//! Five hundred commands at a time need more. A program that does not use `select` is meant to raise the
//! limit for itself ([`raise_open_files`]), and commands get it as it was.
//!
//! When a limit is reached all the same, the obvious thing is to give up: every command would fail. But
//! those that run end some time, and then there is room. So a task that cannot start its command waits
//! until fewer run, and the job goes on with fewer slots; that is said once. Since it may be somebody
//! else's use that went up, one more is tried each second.

use super::Children;
use crate::error::Error;
use crate::job::TaskError;
use crate::pool::Context;
use crate::sync::lock;
use nix::errno::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::sync::OnceLock;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// The limit of open files before it was raised.
static FOUND: OnceLock<Rlimit> = OnceLock::new();

/// Raises the soft limit of open files to the hard one, for this process and not for commands. To be called
/// by a program, first of all; the library does not do it by itself.
pub fn raise_open_files() {
    let found = getrlimit(Resource::Nofile);
    if found.current != found.maximum
        && setrlimit(Resource::Nofile, Rlimit { current: found.maximum, ..found }).is_ok()
    {
        FOUND.get_or_init(|| found);
    }
}

/// What a command gets, if that is not what we have.
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

/// Whether it may go away when other commands have ended.
pub(super) fn is_shortage(errno: Errno) -> bool {
    matches!(errno, Errno::EMFILE | Errno::ENFILE | Errno::EAGAIN | Errno::ENOMEM)
}

/// How long somebody waits for room who is alone.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(10);

/// How many commands may run.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// So many did when there was no room for another one, and when that was.
    short: Option<(usize, Instant)>,
    /// That was said.
    is_said: bool,
}

impl Room {
    fn is_there(&self, running: usize) -> bool {
        self.short.is_none_or(|(most, since)| running < most + since.elapsed().as_secs() as usize)
    }
}

impl Children {
    /// Waits until there should be room for a command.
    pub(super) fn wait_for_room(&self, cx: &Context<'_>) -> Result<(), TaskError> {
        cx.yield_point()?;
        // Nearly always, and without a lock.
        while self.is_short.load(Ordering::Relaxed) {
            if lock(&self.room).is_there(self.count()) {
                return Ok(());
            }
            cx.sleep(LOOK)?;
        }
        Ok(())
    }

    /// There was none, `since` when for this command; whether to try again.
    pub(super) fn is_worth_waiting(&self, errno: Errno, since: Instant, cx: &Context<'_>) -> bool {
        let others = self.count();
        if others == 0 && since.elapsed() >= PATIENCE {
            return false;
        }
        // Where none runs, that none can is said only when the wait has been in vain: it is the error.
        let mut room = lock(&self.room);
        room.short = Some((others.max(1), Instant::now()));
        let is_news = others > 0 && !std::mem::replace(&mut room.is_said, true);
        drop(room);
        self.is_short.store(true, Ordering::Relaxed);
        if is_news {
            let limits = [
                (Errno::EMFILE, "open files (ulimit -Hn)"),
                (Errno::ENFILE, "open files of the system (fs.file-max)"),
                (Errno::EAGAIN, "processes (ulimit -u, or that of the cgroup)"),
            ];
            let limit = limits.iter().find(|(of, _)| *of == errno).map_or("memory", |(_, limit)| limit);
            let why = match others {
                1 => format!("no two commands run at the same time now: {}", errno.desc()),
                _ => format!("no more than {others} commands run at the same time now: {}", errno.desc()),
            };
            cx.warn(
                Error::broken("--jobs", why)
                    .advise(format_args!("the others wait for them; the limit of {limit} is reached")),
            );
        }
        true
    }
}
