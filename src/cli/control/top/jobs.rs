//! The jobs that `top` shows: all states below a directory, or one state, read again three times a second.
//!
//! A state on a file server may take long to read, and a key must be answered meanwhile. So a thread of its own reads.

use crate::cli::control::status::{Divided, StatusReport};
use crate::cli::control::view::View;
use crate::cli::discover::{states_below, the_last};
use bivouac::Result;
use bivouac::error::Kind;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// How often states are read.
const EVERY: Duration = Duration::from_millis(300);

/// How often directories are searched for new states. With many files a search takes long.
const SEARCH_EVERY: Duration = Duration::from_secs(2);

pub(super) type Jobs = Vec<Job>;

/// One job, as it was seen last.
pub(super) struct Job {
    pub(super) path: PathBuf,
    pub(super) report: StatusReport,
    /// Of a job in shards: how many there are.
    pub(super) shards: u64,
    /// The job has ended and removed its state. The other fields are as they were last seen.
    pub(super) is_gone: bool,
}

impl Job {
    /// Reads the state at `path`; `None` if there is no state any more.
    pub(super) fn look(path: &Path) -> Option<Self> {
        let path = path.to_path_buf();
        let (report, shards) = match Divided::look(&path) {
            Ok(Some(divided)) => (divided.report(), divided.count()),
            Ok(None) | Err(_) => match View::look(&path) {
                Ok(view) => (StatusReport::of(&view), 0),
                Err(error) if error.kind() == Kind::Usage => return None,
                Err(error) => (StatusReport::unreadable(&path, &error), 0),
            },
        };
        Some(Self { path, report, shards, is_gone: false })
    }

    /// The shards that have begun, of a job in shards.
    pub(super) fn begun(&self) -> &[StatusReport] {
        self.report.shards.as_deref().unwrap_or_default()
    }

    /// The job went with its state.
    pub(super) fn ends(&mut self) {
        let finish = |report: &mut StatusReport| {
            report.running = false;
            report.at_work.clear();
            report.phase = "finished".to_string();
        };
        self.is_gone = true;
        finish(&mut self.report);
        self.report.shards.iter_mut().flatten().for_each(finish);
    }

    /// Whether it is paused or suspended.
    pub(super) fn is_held(&self) -> bool {
        ["paused", "pausing", "suspended"].contains(&self.report.phase.as_str())
    }
}

/// Which states are watched.
pub(super) enum Place {
    Below(PathBuf),
    One(PathBuf),
}

impl Place {
    /// The place that a person named, by default the current directory. A directory that is no state stands for all states
    /// below it.
    pub(super) fn of(named: Option<&Path>) -> Result<Self> {
        match named {
            None => Ok(Self::Below(PathBuf::new())),
            Some(path) if path.is_dir() && Job::look(path).is_none() => Ok(Self::Below(path.to_path_buf())),
            Some(path) => the_last(Some(path), |_| true).map(Self::One),
        }
    }

    /// The job that is shown alone from the start.
    pub(super) fn opened(&self) -> Option<PathBuf> {
        match self {
            Self::Below(_) => None,
            Self::One(path) => Some(path.clone()),
        }
    }

    pub(super) fn title(&self) -> String {
        match self {
            Self::Below(path) | Self::One(path) if path.as_os_str().is_empty() => ".".to_string(),
            Self::Below(path) | Self::One(path) => path.display().to_string(),
        }
    }

    pub(super) fn look(&self) -> Jobs {
        self.states().iter().filter_map(|path| Job::look(path)).collect()
    }

    fn states(&self) -> Vec<PathBuf> {
        match self {
            Self::Below(directory) => states_below(directory).unwrap_or_default(),
            Self::One(path) => vec![path.clone()],
        }
    }

    /// Reads the states again and again, until `show` returns `false`.
    pub(super) fn watch(&self, show: impl Fn(Jobs) -> bool) {
        let (mut states, mut searched) = (self.states(), Instant::now());
        while show(states.iter().filter_map(|path| Job::look(path)).collect()) {
            thread::sleep(EVERY);
            if searched.elapsed() >= SEARCH_EVERY {
                (states, searched) = (self.states(), Instant::now());
            }
        }
    }
}
