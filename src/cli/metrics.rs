//! Metrics for Prometheus: a file for node_exporter's textfile collector, and an answer to HTTP.
//!
//! The obvious way is a crate. `prometheus-client` would bring seven packages for a text that [`text`] makes in fifty lines, and
//! `tiny_http` four, with threads of its own, for two answers ([`listen`]). The registry of such a crate is a second copy of
//! what the run reports anyway, with a lock for each number.
//!
//! The supervisor hands over a copy of its progress, ten times a second, and waits for nothing: a thread writes the file, and
//! another one answers. Both have every handled signal blocked, as each thread of the tool.
//!
//! Metrics must not cost a night's work. So a file that cannot be written, and an address that is in use, are warnings. The file
//! is replaced whole, by a rename, since the collector may read it at any moment; it is not flushed to the device.

mod listen;
mod text;

use crate::cli::format::shell_code;
use crate::cli::settings::Settings;
use crate::cli::terminal;
use bivouac::ending::Exit;
use bivouac::signals::Masked;
use bivouac::{Ending, Location, Notice, Observer, Progress};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// How often the file is written. Prometheus reads it every 15 s to 60 s.
const EVERY: Duration = Duration::from_secs(5);

/// How long the end of the process waits for the last file: a disk that hangs must not hold it.
const FAREWELL: Duration = Duration::from_millis(500);

/// What there is to report.
#[derive(Clone, Debug)]
struct Figures {
    verb: String,
    state_dir: String,
    started: SystemTime,
    workers: usize,
    /// `None` before the first.
    progress: Option<Progress>,
    /// When the supervisor last reported its progress.
    seen: Instant,
    checkpoints: u64,
    /// By signal and request.
    signals: BTreeMap<(Signal, &'static str), u64>,
    warnings: u64,
    ended: Option<Ended>,
}

#[derive(Clone, Copy, Debug)]
struct Ended {
    how: &'static str,
    code: u8,
    at: SystemTime,
}

/// The figures of a run, and the threads that show them. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Metrics {
    figures: Arc<Mutex<Figures>>,
    file: Option<Arc<File>>,
    /// It answers as long as this exists.
    _listener: Option<Arc<listen::Listener>>,
}

impl Metrics {
    /// Starts what the settings ask for. What cannot be done is a warning.
    pub(crate) fn start(
        masked: &Masked,
        settings: &Settings,
        (verb, is_quiet): (&str, bool),
        state: &Location,
    ) -> Option<Self> {
        let (path, address) = (settings.metrics.value.clone(), settings.metrics_listen.value);
        if path.is_none() && address.is_none() {
            return None;
        }
        let figures = Arc::new(Mutex::new(Figures::new(verb, state)));
        let warn = |what: String, cause: &io::Error| {
            terminal::message(&format!("warning: {what}: {cause}; the job goes on without these metrics"));
        };
        let file = path.and_then(|path| {
            let name = path.display().to_string();
            File::start(masked, path, &figures).map_err(|cause| warn(name, &cause)).ok()
        });
        let listener = address.and_then(|address| {
            let started = listen::Listener::start(masked, address, Arc::clone(&figures));
            started.map_err(|cause| warn(address.to_string(), &cause)).ok()
        });
        if let Some(listener) = listener.as_ref().filter(|_| !is_quiet) {
            terminal::message(&format!("metrics at http://{}/metrics", listener.address()));
        }
        Some(Self { figures, file: file.map(Arc::new), _listener: listener.map(Arc::new) })
    }

    pub(crate) fn ends(&self, ending: &Ending, exit: Exit) {
        locked(&self.figures).ends(ending, exit);
        if let Some(file) = &self.file {
            file.ends();
        }
    }
}

fn locked(figures: &Mutex<Figures>) -> MutexGuard<'_, Figures> {
    figures.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Observer for Metrics {
    fn progress(&mut self, now: &Progress) {
        let progress = Progress { at_work: Vec::new(), ..now.clone() };
        let mut figures = locked(&self.figures);
        (figures.progress, figures.seen) = (Some(progress), Instant::now());
    }

    fn notice(&mut self, notice: &Notice) {
        let mut figures = locked(&self.figures);
        if let Notice::Ready { workers } = notice {
            figures.workers = *workers;
        } else if let Notice::Checkpoint { .. } = notice {
            figures.checkpoints += 1;
        } else if let Notice::Warning(_) = notice {
            figures.warnings += 1;
        } else if let Notice::Signal { signal, request, .. } = notice {
            *figures.signals.entry((*signal, request.name())).or_default() += 1;
        }
    }
}

impl Figures {
    fn new(verb: &str, state: &Location) -> Self {
        let state_dir = match state {
            Location::Nowhere => String::new(),
            Location::Directory(path) | Location::Passing(path) => {
                std::path::absolute(path).unwrap_or_else(|_| path.clone()).display().to_string()
            }
        };
        Self {
            verb: verb.to_string(),
            state_dir,
            started: SystemTime::now(),
            workers: 0,
            progress: None,
            seen: Instant::now(),
            checkpoints: 0,
            signals: BTreeMap::new(),
            warnings: 0,
            ended: None,
        }
    }

    /// The summary has what happened after the last progress. Of a job that was finished before there is no other.
    fn ends(&mut self, ending: &Ending, exit: Exit) {
        let summary = ending.summary();
        let how = match ending {
            Ending::Finished { .. } => "finished",
            Ending::Stopped { .. } => "stopped",
            Ending::Failed { .. } => "failed",
        };
        self.ended = Some(Ended { how, code: shell_code(exit), at: SystemTime::now() });
        self.progress = Some(Progress {
            frontier: summary.frontier,
            tasks: summary.tasks,
            in_flight: 0,
            failed: summary.failed,
            bytes: summary.input_bytes,
            bytes_total: summary.input_total,
            output_bytes: summary.output_bytes,
            worked: summary.worked,
            checkpoint: summary.checkpoint,
            ..Progress::default()
        });
    }
}

/// The file, written by a thread.
struct File {
    path: PathBuf,
    /// Asks for the last file, and for the reason if it could not be written.
    to: Sender<Sender<io::Result<()>>>,
}

impl File {
    /// Writes it once before anything else, so that a wrong path is noticed while a person looks.
    fn start(masked: &Masked, path: PathBuf, figures: &Arc<Mutex<Figures>>) -> io::Result<Self> {
        let (to, asked) = bounded(1);
        write(&path, figures)?;
        let (place, figures) = (path.clone(), Arc::clone(figures));
        masked.spawn("metrics", move || write_now_and_then(&place, &figures, &asked))?;
        Ok(Self { path, to })
    }

    fn ends(&self) {
        let (answer, answered) = bounded(1);
        let asked = self.to.send_timeout(answer, FAREWELL).is_ok();
        let cause = match answered.recv_timeout(FAREWELL) {
            Ok(Ok(())) => return,
            Ok(Err(cause)) => cause.to_string(),
            Err(_) if asked => "the disk does not answer".to_string(),
            Err(_) => "its thread does not answer".to_string(),
        };
        terminal::message(&format!(
            "warning: {}: the last metrics were not written: {cause}",
            self.path.display()
        ));
    }
}

/// A file that cannot be written now is tried again.
fn write_now_and_then(path: &Path, figures: &Mutex<Figures>, asked: &Receiver<Sender<io::Result<()>>>) {
    loop {
        match asked.recv_timeout(EVERY) {
            Ok(answer) => drop(answer.send(write(path, figures))),
            Err(RecvTimeoutError::Timeout) => drop(write(path, figures)),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Replaces the file. The collector, another user, may read it.
fn write(path: &Path, figures: &Mutex<Figures>) -> io::Result<()> {
    if path.symlink_metadata().is_ok_and(|facts| !facts.is_file()) {
        return Err(io::Error::other("it is no regular file"));
    }
    let text = text::of(&locked(figures).clone());
    let above = path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".bivouac-metrics-")
        .permissions(Permissions::from_mode(0o644))
        .tempfile_in(above)?;
    file.write_all(text.as_bytes())?;
    file.persist(path)?;
    Ok(())
}
