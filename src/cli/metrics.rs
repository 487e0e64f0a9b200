//! Metrics for Prometheus: a file for node_exporter's textfile collector, and an answer to HTTP.
//!
//! The obvious way is a crate. `prometheus-client` would bring seven packages for a text that [`text`] makes in a page of
//! code, and `tiny_http` four, with threads of its own, for two answers ([`listen`]). The registry of such a crate is a
//! second copy of the numbers that the run reports anyway, with a lock for each number.
//!
//! The supervisor hands over a copy of its progress, ten times a second, and waits for nothing: one thread writes the file,
//! and another one answers. Both threads have every handled signal blocked.
//!
//! Metrics must not cost a night's work. So a file that cannot be written, and an address that is in use, are warnings. The file
//! is replaced whole, by a rename, since the collector may read it at any moment; it is not flushed to the device.
//!
//! The shards of a job have one command line and one configuration. With one file for all, the last one to write would hide the
//! others. So each has a file of its own ([`Part::own_file`]), and a label.

mod listen;
mod text;

use crate::cli::format::shell_code;
use crate::cli::settings::Settings;
use crate::cli::shards::Part;
use crate::cli::terminal::{self, plain};
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

/// The numbers of a run, as it reported them last.
#[derive(Clone, Debug)]
struct Figures {
    verb: String,
    state_dir: String,
    /// Of a job in shards, from 1.
    shard: Option<u64>,
    started: SystemTime,
    workers: usize,
    /// `None` until the supervisor has reported for the first time.
    progress: Option<Progress>,
    /// When the supervisor last reported its progress.
    seen: Instant,
    checkpoints: u64,
    /// How often each signal arrived with each meaning.
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
    /// Answers HTTP as long as it exists.
    _listener: Option<Arc<listen::Listener>>,
}

impl Metrics {
    /// Starts the threads that the settings ask for; `None` if they ask for none. A failure is a warning.
    pub(crate) fn start(
        masked: &Masked,
        settings: &Settings,
        (verb, is_quiet): (&str, bool),
        (state, part): (&Location, Part<'_>),
    ) -> Option<Self> {
        let path = settings.metrics.value.as_ref().map(|path| part.own_file(path));
        let address = settings.metrics_listen.value;
        if path.is_none() && address.is_none() {
            return None;
        }
        let figures = Arc::new(Mutex::new(Figures::new(verb, state, part.shard())));
        let warn = |what: String, cause: &io::Error| {
            terminal::message(&format!(
                "warning: {what}: {}\n  the job goes on without these metrics",
                plain(cause)
            ));
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

    /// Notes the end of the run, and waits until the file shows it, at most twice [`FAREWELL`].
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
    fn new(verb: &str, state: &Location, shard: Option<u64>) -> Self {
        let state_dir = match state {
            Location::Nowhere => String::new(),
            Location::Directory(path) | Location::Passing(path) => {
                std::path::absolute(path).unwrap_or_else(|_| path.clone()).display().to_string()
            }
        };
        Self {
            verb: verb.to_string(),
            state_dir,
            shard,
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

    /// Takes the numbers from the summary. It is newer than the last progress, and if the job was finished already, no
    /// progress was reported.
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
    /// Asks the thread to write the last file, and to answer whether that failed.
    to: Sender<Sender<io::Result<()>>>,
}

impl File {
    /// Writes the file once before it starts the thread, so that a person who has just started the job sees a wrong path.
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

/// The loop of the thread. If a write fails, the next one may succeed, so only the last failure is reported.
fn write_now_and_then(path: &Path, figures: &Mutex<Figures>, asked: &Receiver<Sender<io::Result<()>>>) {
    loop {
        match asked.recv_timeout(EVERY) {
            Ok(answer) => drop(answer.send(write(path, figures))),
            Err(RecvTimeoutError::Timeout) => drop(write(path, figures)),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Replaces the file. All users may read it, because the collector runs as another user.
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
