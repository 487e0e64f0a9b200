//! The columns of GNU parallel's `--joblog`, for scripts that read those.
//!
//! What is not known here stands as parallel writes it for local jobs: the host is `:`, and nothing was
//! transferred. The runtime is without pauses. Attempts that have no end are left out, as there.

use bivouac::journal::{Entry, Outcome};

/// The first line.
pub(super) const HEADER: &str = "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n";

/// SIGTERM: by this a command ends whose time is over.
const TERM: i32 = 15;

/// One attempt.
pub(super) fn row(entry: &Entry, command: &str) -> String {
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
