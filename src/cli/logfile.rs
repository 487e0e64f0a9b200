//! The log: every signal, request, phase change and checkpoint, as text or as JSON.
//!
//! `tracing` makes the lines; the way to the file is ours. The obvious way, a file with a mutex, makes the supervisor wait
//! for the disk in the middle of a signal. So lines go to a thread through a bounded channel. When the channel is full, a
//! line is counted and dropped, and the log says how many are missing.
//!
//! The non-blocking writer of `tracing-appender` has the same shape and lacks three things. It flushes only at its end, and
//! a process that suspends itself or dies of SIGQUIT must flush before that. It ignores an error of the disk; here the line
//! counts as lost, and the end of the run reports it. And it cannot open its file again.
//!
//! The file is opened for appending, and opened again by name on a reload, as `logrotate` expects: that renames the file,
//! sends SIGHUP, and compresses the old one. Nothing is flushed to the device: only the checkpoint must survive a power cut.

use crate::cli::args::common::{LogFormat, LogLevel};
use crate::cli::format::{TaskWord, count};
use crate::jobs::wording::worded;
use bivouac::disk::{OsDisk, refuse_trap_at};
use bivouac::ending::Exit;
use bivouac::signals::Masked;
use bivouac::{Ending, Error, Notice, Observer, Progress, Result};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tracing::level_filters::LevelFilter;
use tracing::{debug, error, info, warn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Registry, reload};

/// How many lines may wait for the disk.
const WAITING: usize = 4096;

/// How long the end of the process waits for the last lines.
const FAREWELL: Duration = Duration::from_millis(500);

enum Order {
    Line(Vec<u8>),
    /// Open the file again, by its name; answer how that went.
    Reopen(Sender<io::Result<()>>),
    /// Answer when everything before this is written.
    Flush(Sender<()>),
}

/// `tracing` has one log for a process, for as long as it lives.
static OPEN: OnceLock<LogFile> = OnceLock::new();

/// A log that is open. Cheap to clone.
#[derive(Clone)]
pub(crate) struct LogFile {
    path: PathBuf,
    sender: LineSender,
    level: reload::Handle<LevelFilter, Registry>,
}

impl LogFile {
    /// Opens the file, starts the thread that writes it, and makes this the log of the process. Nothing has been touched
    /// if it cannot be opened. After the last shard the same process merges all, and its log is open already.
    pub(crate) fn open(masked: &Masked, path: &Path, format: LogFormat, level: LogLevel) -> Result<Self> {
        if let Some(log) = OPEN.get() {
            return Ok(log.clone());
        }
        refuse_trap_at(&OsDisk, path)?;
        let file = open(path).map_err(|cause| Error::named(path, "open the log file", &cause))?;
        let (to, messages) = bounded(WAITING);
        let sender = LineSender { to, lost: Arc::default() };
        let writer = LogThread { path: path.to_path_buf(), file, lost: Arc::clone(&sender.lost) };
        masked
            .spawn("log", move || writer.write_all(&messages))
            .map_err(|cause| Error::broken("threads", format_args!("cannot start one: {cause}")))?;
        let (filter, handle) = reload::Layer::new(filter_of(level));
        let lines = tracing_subscriber::fmt::layer().with_writer(sender.clone()).with_target(false);
        let registry = tracing_subscriber::registry().with(filter);
        let set = match format {
            LogFormat::Text => tracing::subscriber::set_global_default(registry.with(lines.with_ansi(false))),
            LogFormat::Json => {
                tracing::subscriber::set_global_default(registry.with(lines.json().flatten_event(true)))
            }
        };
        set.map_err(|cause| Error::broken("log", cause))?;
        Ok(OPEN.get_or_init(|| Self { path: path.to_path_buf(), sender, level: handle }).clone())
    }

    pub(crate) fn level(&self, level: LogLevel) {
        // It fails when the subscriber is gone, and ours lives as long as the process.
        self.level.reload(filter_of(level)).ok();
    }

    /// Opens the file again, by its name; if that fails, the log goes on in the old file. It waits for the thread, so the
    /// supervisor must not call it.
    pub(crate) fn reopen(&self) -> Result<()> {
        let (answer, answered) = bounded(1);
        self.sender.to.send(Order::Reopen(answer)).ok();
        let done = answered.recv().unwrap_or_else(|_| Err(io::Error::other("the log thread has ended")));
        done.map_err(|cause| Error::io(&self.path, "open the log file again", &cause))
    }

    /// Waits until everything is written, but not for ever: a disk that hangs must not hold the end.
    pub(crate) fn flush(&self) {
        let (answer, answered) = bounded(1);
        if self.sender.to.send_timeout(Order::Flush(answer), FAREWELL).is_ok() {
            answered.recv_timeout(FAREWELL).ok();
        }
    }

    pub(crate) fn begins(&self, argv: &[std::ffi::OsString]) {
        let command = crate::jobs::quote::command(argv);
        info!(pid = std::process::id(), version = env!("CARGO_PKG_VERSION"), command, "started");
    }

    /// Logs that a hook has ended. It comes after [`ends`](LogFile::ends).
    pub(crate) fn hook(&self, event: &str, failed: Option<String>) {
        match failed {
            None => info!(event, "hook"),
            Some(how) => warn!(event, how, "hook failed"),
        }
        self.flush();
    }

    pub(crate) fn ends(&self, ending: &Ending, exit: Exit) {
        let summary = ending.summary();
        let (committed, output_bytes) = (summary.frontier, summary.output_bytes);
        let exit = match exit {
            Exit::Code(code) => format!("code {code}"),
            Exit::Signal(signal) => signal.to_string(),
        };
        match ending {
            Ending::Finished { .. } => info!(committed, output_bytes, exit, "finished"),
            Ending::Stopped { by, .. } => info!(committed, output_bytes, exit, by = ?by, "stopped"),
            Ending::Failed { error, .. } => {
                error!(committed, output_bytes, exit, error = %worded(error), "failed");
            }
        }
        self.flush();
        let lost = self.sender.lost.load(Ordering::Relaxed);
        if lost > 0 {
            let (path, lines) = (self.path.display(), count(lost, "line"));
            let warning = format!("warning: {path}: {lines} of the log could not be written");
            crate::cli::terminal::message(&warning);
        }
    }
}

/// Opening a named pipe that has no reader would wait, while no signal is received yet. So that is an error
/// (`ENXIO`), and only writing may wait.
fn open(path: &Path) -> io::Result<File> {
    refuse_trap_at(&OsDisk, path).map_err(io::Error::other)?;
    let file = OpenOptions::new().append(true).create(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    rustix::io::ioctl_fionbio(&file, false)?;
    Ok(file)
}

fn filter_of(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    }
}

/// Takes one line from `tracing` with each write.
#[derive(Clone)]
struct LineSender {
    to: Sender<Order>,
    lost: Arc<AtomicU64>,
}

impl<'a> MakeWriter<'a> for LineSender {
    type Writer = &'a LineSender;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

impl Write for &LineSender {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.to.try_send(Order::Line(line.to_vec())).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct LogThread {
    path: PathBuf,
    file: File,
    lost: Arc<AtomicU64>,
}

impl LogThread {
    /// Until the last sender is gone. A line that cannot be written is lost, and counted.
    fn write_all(mut self, messages: &Receiver<Order>) {
        for message in messages {
            match message {
                Order::Line(line) => self.line(&line),
                Order::Reopen(answer) => drop(answer.send(open(&self.path).map(|file| self.file = file))),
                Order::Flush(answer) => drop(answer.send(())),
            }
        }
    }

    fn line(&mut self, line: &[u8]) {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        let gap = if lost > 0 { format!("({lost} lines were lost here)\n") } else { String::new() };
        if self.file.write_all(&[gap.as_bytes(), line].concat()).is_err() {
            self.lost.fetch_add(lost + 1, Ordering::Relaxed);
        }
    }
}

/// The observer that writes all reports of a run into the log.
pub(crate) struct Logged {
    word: TaskWord,
    log: LogFile,
    last_progress: Instant,
}

impl Logged {
    pub(crate) fn new(log: LogFile, word: TaskWord) -> Self {
        Self { word, log, last_progress: Instant::now() }
    }
}

impl Observer for Logged {
    fn progress(&mut self, now: &Progress) {
        if self.last_progress.elapsed() >= Duration::from_secs(1) {
            self.last_progress = Instant::now();
            let (committed, in_flight, failed, bytes) = (now.frontier, now.in_flight, now.failed, now.bytes);
            debug!(phase = %now.phase, committed, in_flight, failed, bytes, "progress");
        }
    }

    fn notice(&mut self, notice: &Notice) {
        record(notice, self.word);
    }

    fn leave_terminal(&mut self) {
        self.log.flush();
    }
}

/// One event, with the numbers as fields.
fn record(notice: &Notice, word: TaskWord) {
    match notice {
        Notice::Ready { workers } => info!(workers, "ready"),
        Notice::Resumed { frontier, ahead, tasks } => info!(frontier, beyond = ahead, tasks, "resumed"),
        Notice::Input(what) => info!(what, "input"),
        Notice::Signal { signal, request, sender } => {
            let sent = bivouac::signals::Sender::process(*sender);
            let (pid, uid) = (sent.map(|(pid, _)| pid), sent.map(|(_, uid)| uid));
            let from = if sent.is_some() { "process" } else { "kernel" };
            info!(signal = signal.as_str(), request = request.name(), from, pid, uid, "signal");
        }
        Notice::Asked { request, by } => info!(request = request.name(), by, "request"),
        Notice::Phase(activity) => info!(phase = %activity, "phase"),
        Notice::Stopping { grace, in_flight, again: _ } => {
            info!(grace_s = grace.map(|grace| grace.as_secs_f64()), in_flight, "stopping");
        }
        Notice::Checkpoint { frontier, tasks, facts, asked } => {
            let took_ms = facts.took.as_micros() as f64 / 1e3;
            info!(committed = frontier, tasks, bytes = facts.size, took_ms, asked, "checkpoint");
        }
        Notice::Status(progress) => info!(status = crate::cli::notices::status(progress, word), "status"),
        Notice::Waiting { why } => info!(why, "waiting"),
        Notice::NotSuspended { pid } => info!(pid, "not suspended: paused"),
        Notice::TaskFailed { task, why } => warn!(task = task + 1, why, "task failed"),
        Notice::Said { task, line } | Notice::Told { task, line } => info!(task = task + 1, line, "said"),
        Notice::Running(tasks) => {
            info!(tasks = ?tasks.iter().map(|one| one.task + 1).collect::<Vec<_>>(), "running");
        }
        Notice::State(path) => info!(state = %path.display(), "state"),
        Notice::Reloaded { adopted: true, said, asked: false } => {
            info!(changes = said.join("; "), "reloaded");
        }
        Notice::Reloaded { adopted: true, said, asked: true } => info!(changes = said.join("; "), "set"),
        Notice::Reloaded { adopted: false, said, asked: false } => {
            warn!(error = said.join("; "), "not reloaded");
        }
        Notice::Reloaded { adopted: false, said, asked: true } => warn!(error = said.join("; "), "not set"),
        Notice::Warning(error) => warn!(error = %word.worded(error), "warning"),
    }
}
