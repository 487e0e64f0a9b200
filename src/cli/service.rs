//! The service manager: `sd_notify(3)`, spoken by the supervisor.
//!
//! The obvious way is the crate `sd-notify`. It opens a socket for each message, and its `send` waits while the manager is
//! behind. But the supervisor waits for events and for nothing else, so this socket never blocks. A change of state that finds
//! the manager's queue full is sent again with the next tick; a status or a sign of life that finds it full is left out, since
//! the next one comes soon.
//!
//! | message | when |
//! |---|---|
//! | `READY=1` | the workers are started and signals are handled: the job has its lock, and its inputs are as they were |
//! | `STATUS=…` | once a second, if it has changed: the words of the progress line |
//! | `WATCHDOG=1` | twice in `WATCHDOG_USEC`, from the supervisor's loop; a loop that hangs is silent |
//! | `RELOADING=1`, `MONOTONIC_USEC=…` | a reload was asked for; `READY=1` follows when it is done, or has failed |
//! | `STOPPING=1` | a stop has begun, or the job has ended |
//! | `EXTEND_TIMEOUT_USEC=…` | once a second while a stop is under way: `--grace` decides how long it takes, not the manager |
//!
//! A thread that only sends `WATCHDOG=1` would be the obvious one. It would go on when the supervisor hangs, which is what a
//! watchdog must find.
//!
//! Before `READY=1` a job may wait for a lock or read its inputs once more. No loop runs then, so the unit needs
//! `TimeoutStartSec=infinity`.

use crate::cli::format::TaskWord;
use crate::cli::progress::plain;
use crate::cli::terminal;
use bivouac::{Activity, Ending, Notice, Observer, Progress, Request};
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often the status is sent, and the time for a stop extended.
const EVERY: Duration = Duration::from_secs(1);

/// How much time a stop asks for each time. The manager gives up when no message came in it.
const EXTENSION: Duration = Duration::from_secs(10);

/// How many changes of state wait for a manager that does not read.
const OWED: usize = 16;

/// The manager of this service.
pub(crate) struct Manager {
    socket: UnixDatagram,
    address: SocketAddr,
    owed: VecDeque<String>,
    /// How often the manager wants a sign of life.
    alive_every: Option<Duration>,
    alive: Instant,
    said: Instant,
    status: String,
    word: TaskWord,
    is_ready: bool,
    is_stopping: bool,
}

/// A cheap handle: the supervisor has one, and the end of the process another.
#[derive(Clone)]
pub(crate) struct Service(Arc<Mutex<Manager>>);

impl Service {
    /// The manager that the environment names, if there is one. One that cannot be told gets a warning, and the job goes on.
    pub(crate) fn from_environment(word: TaskWord) -> Option<Self> {
        let name = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty())?;
        match Manager::at(&name, word) {
            Ok(manager) => Some(Self(Arc::new(Mutex::new(manager)))),
            Err(cause) => {
                let name = name.display();
                terminal::message(&format!(
                    "warning: NOTIFY_SOCKET, {name}: cannot tell the manager: {cause}"
                ));
                None
            }
        }
    }

    /// The run is over. What follows, a hook, may take a little more time.
    pub(crate) fn ends(&self, ending: &Ending, status: &str) {
        self.with(|manager| manager.ends(ending, status));
    }

    /// A sign of life, from the thread that waits for the last thing that there is to do.
    pub(crate) fn is_alive(&self) {
        self.with(|manager| manager.tick(Instant::now(), None));
    }

    fn with(&self, tell: impl FnOnce(&mut Manager)) {
        tell(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Observer for Service {
    fn progress(&mut self, now: &Progress) {
        self.with(|manager| manager.tick(Instant::now(), Some(now)));
    }

    fn notice(&mut self, notice: &Notice) {
        self.with(|manager| manager.notice(notice));
    }
}

impl Manager {
    fn at(name: &OsStr, word: TaskWord) -> io::Result<Self> {
        let address = match name.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            [b'/', ..] => SocketAddr::from_pathname(name)?,
            _ => return Err(io::Error::other("it is neither a path nor an abstract name")),
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        let variable = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
        let is_ours = variable("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let alive_every = variable("WATCHDOG_USEC").filter(|every| is_ours && *every > 0);
        let now = Instant::now();
        Ok(Self {
            socket,
            address,
            owed: VecDeque::new(),
            alive_every: alive_every.map(|every| Duration::from_micros(every) / 2),
            alive: now,
            said: now,
            status: String::new(),
            word,
            is_ready: false,
            is_stopping: false,
        })
    }

    fn notice(&mut self, notice: &Notice) {
        if let Notice::Ready { .. } = notice {
            self.ready();
        } else if let Notice::Signal { request, .. } | Notice::Asked { request, .. } = notice
            && *request == Request::Reload
        {
            self.owe(format!("RELOADING=1\nMONOTONIC_USEC={}", monotonic_micros()));
        } else if let Notice::Reloaded { .. } = notice {
            self.owe("READY=1".to_string());
        } else if let Notice::Phase(Activity::Stopping | Activity::Aborting) = notice {
            self.stops();
        }
    }

    fn ready(&mut self) {
        self.is_ready = true;
        self.owe("READY=1".to_string());
    }

    fn stops(&mut self) {
        if !std::mem::replace(&mut self.is_stopping, true) {
            self.owe(format!("STOPPING=1\n{}", extension()));
        }
    }

    fn tick(&mut self, now: Instant, progress: Option<&Progress>) {
        self.pay();
        if self.alive_every.is_some_and(|every| now.duration_since(self.alive) >= every) {
            self.alive = now;
            self.send("WATCHDOG=1").ok();
        }
        if now.duration_since(self.said) < EVERY {
            return;
        }
        self.said = now;
        if self.is_stopping {
            self.send(&extension()).ok();
        }
        if let Some(status) =
            progress.map(|now| plain(now, self.word)).filter(|status| *status != self.status)
            && self.send(&format!("STATUS={status}")).is_ok()
        {
            self.status = status;
        }
    }

    /// A service that exits with 0 without having been ready counts as broken, so one that had nothing to do was ready too.
    fn ends(&mut self, ending: &Ending, status: &str) {
        match ending {
            Ending::Finished { .. } | Ending::Stopped { .. } if !self.is_ready => self.ready(),
            Ending::Finished { .. } | Ending::Stopped { .. } | Ending::Failed { .. } => {}
        }
        self.stops();
        self.owe(format!("STATUS={status}"));
    }

    /// Sends a change of state, now or with a later tick.
    fn owe(&mut self, change: String) {
        if self.owed.len() < OWED {
            self.owed.push_back(change);
        }
        self.pay();
    }

    fn pay(&mut self) {
        while let Some(change) = self.owed.front() {
            match self.send(change) {
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => return,
                // A manager that is gone needs to know nothing.
                Ok(()) | Err(_) => drop(self.owed.pop_front()),
            }
        }
    }

    fn send(&self, message: &str) -> io::Result<()> {
        self.socket.send_to_addr(message.as_bytes(), &self.address).map(drop)
    }
}

fn extension() -> String {
    format!("EXTEND_TIMEOUT_USEC={}", EXTENSION.as_micros())
}

/// The clock of the manager. It compares this moment with that of its request.
fn monotonic_micros() -> i128 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000
}
