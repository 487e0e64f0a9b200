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
//! The obvious way to send `WATCHDOG=1` is a thread for it alone. But that thread would go on when the supervisor hangs, and
//! a watchdog is there to notice just that.
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

/// How often the status is sent, and how often a stop asks for more time.
const EVERY: Duration = Duration::from_secs(1);

/// How much time a stop asks for with each message. Without another message in this time the manager kills the service.
const EXTENSION: Duration = Duration::from_secs(10);

/// How many changes of state are kept for a manager that does not read. Further ones are dropped.
const OWED: usize = 16;

/// The service manager, and what it has been told.
pub(crate) struct Manager {
    socket: UnixDatagram,
    address: SocketAddr,
    /// Changes of state that it has not taken yet.
    owed: VecDeque<String>,
    /// How often to send a sign of life; `None` if the manager wants none.
    alive_every: Option<Duration>,
    /// When the last sign of life was sent.
    alive: Instant,
    /// When the status was last looked at.
    said: Instant,
    /// The last status that it has taken.
    status: String,
    word: TaskWord,
    is_ready: bool,
    is_stopping: bool,
}

/// A handle to the manager, cheap to clone: the supervisor has one, and the code after the run has another.
#[derive(Clone)]
pub(crate) struct Service(Arc<Mutex<Manager>>);

impl Service {
    /// The manager that `NOTIFY_SOCKET` names. `None` if it names none, or, with a warning, a socket that cannot be used.
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

    /// Reports that the run is over. A hook may still follow, and take more time.
    pub(crate) fn ends(&self, ending: &Ending, status: &str) {
        self.with(|manager| manager.ends(ending, status));
    }

    /// Sends a sign of life after the run, from the thread that waits for a hook.
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

    /// To a manager a service that exits with 0 and was never ready has failed. So a run that had nothing to do says
    /// `READY=1` now.
    fn ends(&mut self, ending: &Ending, status: &str) {
        match ending {
            Ending::Finished { .. } | Ending::Stopped { .. } if !self.is_ready => self.ready(),
            Ending::Finished { .. } | Ending::Stopped { .. } | Ending::Failed { .. } => {}
        }
        self.stops();
        self.owe(format!("STATUS={status}"));
    }

    /// Sends a change of state, now or with a later tick: the manager must not miss it.
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
                // An error means that the manager is gone; then nothing can be sent any more.
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

/// CLOCK_MONOTONIC in microseconds. The manager compares it with the time of its own request to reload.
fn monotonic_micros() -> i128 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000
}
