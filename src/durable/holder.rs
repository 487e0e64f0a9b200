//! The process that holds a state, as its lock file names it.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The process that holds a state: for messages, and for verbs that send it signals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// The host on which it runs.
    pub host: String,
    /// The boot id of that host: a process id is valid only within one boot.
    pub boot_id: String,
    /// When it took the lock, in seconds since 1970.
    pub started: u64,
    /// When the process was started, in clock ticks since boot: together with the process id this
    /// names one process and no other.
    pub ticks: Option<u64>,
    /// The pid namespace in which the process id is valid.
    #[serde(default)]
    pub pid_namespace: Option<String>,
    /// The command that continues the job. Each holder copies it from the last, until a run sets another.
    #[serde(default)]
    pub continuing: Option<Continuing>,
}

/// The command that continues a job, ready to paste.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Continuing {
    /// The command line, quoted for a shell.
    pub command: String,
    /// The directory in which it must be run, quoted for a shell: relative paths in it start there.
    pub directory: Option<String>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} on {}", self.pid, self.host)
    }
}
