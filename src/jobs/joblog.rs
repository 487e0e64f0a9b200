//! The columns of GNU parallel's `--joblog`, for scripts that read those: from the journal, or written while the job runs.
//!
//! Columns that are unknown here have the values that parallel writes for local jobs: the host is `:`, and nothing was
//! transferred. The runtime is without pauses. Attempts without an end are left out, as in parallel.

use bivouac::journal::{Entry, Outcome};
use bivouac::{Error, Result};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) const HEADER: &str = "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n";

/// SIGTERM: by this a command ends whose time is over.
const TERM: i32 = 15;

pub(crate) fn row(entry: &Entry, command: &str) -> String {
    let (exitval, signal) = match entry.outcome {
        Outcome::Done(code) | Outcome::Code(code) => (code, 0),
        Outcome::Signal(number) => (0, number),
        Outcome::TimedOut | Outcome::Interrupted | Outcome::WantedTerminal => (-1, TERM),
        Outcome::NotStarted => (127, 0),
        Outcome::Open => return String::new(),
    };
    let began = entry.began_ms as f64 / 1e3;
    let took = entry.took_us as f64 / 1e6;
    // A line of the table is a line.
    let command = command.replace('\n', "\\n");
    format!("{}\t:\t{began:.3}\t{took:10.3}\t0\t0\t{exitval}\t{signal}\t{command}\n", entry.task + 1)
}

/// A file to which a line is appended for each command that has ended. A command that was only interrupted has none,
/// since it runs again; so a job that is continued goes on in the same file, and each command has one line, but for
/// one that ended in the last moments before a SIGKILL, and runs again.
#[derive(Clone, Debug)]
pub(crate) struct Joblog {
    file: Arc<File>,
    path: Arc<Path>,
}

impl Joblog {
    /// Opens the file, and begins it with the head of the table if it is new.
    pub(crate) fn open(path: &PathBuf) -> Result<Self> {
        let open = File::options().append(true).create(true).open(path);
        let mut file = open.map_err(|e| Error::named(path, "open", &e))?;
        let is_new = file.metadata().is_ok_and(|facts| facts.len() == 0);
        if is_new {
            file.write_all(HEADER.as_bytes()).map_err(|e| Error::named(path, "write", &e))?;
        }
        Ok(Self { file: Arc::new(file), path: path.as_path().into() })
    }

    /// Appends the line of a command that has ended, in one piece: other workers append as well.
    pub(crate) fn append(&self, entry: &Entry, command: &str) -> Result<()> {
        if entry.outcome == Outcome::Interrupted {
            return Ok(());
        }
        (&*self.file)
            .write_all(row(entry, command).as_bytes())
            .map_err(|e| Error::io(&self.path, "write", &e))
    }
}
