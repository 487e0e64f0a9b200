//! `history.jsonl`: what happened to a job over all of its runs, one JSON object on each line, for people and for pictures.
//!
//! The record says which results are safe, and the journal how each command ended. Neither knows of a pause, of a request to
//! stop, or of the speed an hour ago. Each [`StatusFile`] that a run writes also passes here, and becomes a line if its phase
//! is new or the last line is old enough. So the history costs one short write a second, on the commit thread, and no flush.
//!
//! Nothing depends on the history. An error ends the history of this run, and never the run. The reader skips a torn line.
//!
//! **Its size is bounded.** After each `STEP` of the file lines come half as often, so no line must be removed later, and
//! after `MOST` none comes. The numbers are sums, so a gap costs detail, and the sums stay right.

use crate::durable::disk::{Dir, Disk, DiskFile, Open, OsDisk, if_there, open_plain, read_plain};
use crate::durable::lock::hold;
use crate::durable::record::Record;
use crate::durable::status_file::StatusFile;
use crate::error::{At, Result};
use crate::signals::policy::Request;
use crate::task::observer::Activity;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(crate) const HISTORY: &str = "history.jsonl";

/// After each of this many bytes, lines come half as often. At first each status is a line, about one a second.
const STEP: u64 = 128 << 10;

/// How many bytes the file has at most, up to the last line.
const MOST: u64 = 4 << 20;

/// One line: an event, and when it happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// When it happened, in milliseconds since 1970.
    pub at_ms: u64,
    /// The event.
    #[serde(flatten)]
    pub what: Happened,
}

/// An event in the history of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Happened {
    /// A run has begun. If the run before it has no [`Ended`](Happened::Ended), it was killed.
    Began {
        /// Identifies the job over all of its runs ([`Record::run`]).
        run: String,
        /// The process id of the run.
        pid: u32,
    },
    /// A signal, the program or the time budget has asked for something.
    Asked {
        /// The request.
        request: Request,
        /// The signal, such as `SIGTERM`, or `the program`, or `the time budget`.
        by: String,
    },
    /// How far the job is.
    At(Standing),
    /// The run has ended in order.
    Ended {
        /// In which way.
        how: Way,
        /// How far the job was.
        #[serde(flatten)]
        standing: Standing,
    },
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// The job has finished.
    Finished,
    /// It is to be continued.
    Stopped,
    /// An error ended the run.
    Failed,
}

/// How far a job is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Standing {
    /// Its phase.
    pub phase: Activity,
    /// Tasks committed, by all runs.
    pub done: u64,
    /// Tasks that completed ahead of those.
    pub beyond: u64,
    /// Tasks at work.
    pub in_flight: u64,
    /// Tasks that failed and are left out.
    pub failed: u64,
    /// Tasks in the whole job, where known.
    pub tasks: Option<u64>,
    /// How many may run at the same time.
    pub workers: u64,
    /// Bytes of input worked through, by all runs.
    pub bytes: u64,
    /// Bytes of output committed.
    pub output_bytes: u64,
    /// Time that this run has worked, without pauses.
    pub worked_seconds: f64,
    /// Checkpoints of this run.
    pub checkpoints: u64,
    /// How many seconds the checkpoints of this run took, most of them waiting for the disk.
    pub checkpoint_seconds: f64,
}

impl Moment {
    /// A request that arrives now.
    pub(crate) fn asked(request: Request, by: String) -> Self {
        Self { at_ms: millis(SystemTime::now()), what: Happened::Asked { request, by } }
    }

    /// Reads the history of the job with the id `run` ([`Record::run`]) in the directory `state`; it is empty if there is
    /// none. Lines of other jobs, and lines that this program cannot read, are left out.
    ///
    /// # Errors
    ///
    /// The directory or the file cannot be read.
    pub fn all(state: &Path, run: &str) -> Result<Vec<Self>> {
        let opened = if_there(OsDisk.open_dir(state)).at(state, "open")?;
        let Some(dir) = opened else { return Ok(Vec::new()) };
        let text = read_plain(&*dir, state, HISTORY, 2 * MOST)?.unwrap_or_default();
        let mut is_ours = false;
        let mut moments: Vec<Self> =
            text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
        moments.retain(|moment| {
            if let Happened::Began { run: of, .. } = &moment.what {
                is_ours = of == run;
            }
            is_ours
        });
        Ok(moments)
    }
}

/// The history of a run, while it is written.
#[derive(Debug)]
pub(crate) struct History {
    began: SystemTime,
    has_begun: bool,
    /// The last [`Standing`], and when it was, in milliseconds since 1970.
    last: (u64, Standing),
    /// How many checkpoints this run has written, and how long they took together.
    checkpoints: (u64, Duration),
    /// Lines that are not written yet: a temporary state has no directory at first.
    gathered: Vec<u8>,
    file: Option<Box<dyn DiskFile>>,
    /// The length of the file.
    end: u64,
    /// Whether an error has ended this history.
    is_over: bool,
}

impl Default for History {
    fn default() -> Self {
        Self {
            began: SystemTime::now(),
            has_begun: false,
            last: (0, Standing::default()),
            checkpoints: (0, Duration::ZERO),
            gathered: Vec::new(),
            file: None,
            end: 0,
            is_over: false,
        }
    }
}

impl History {
    /// Counts a checkpoint, which is durable now.
    pub(crate) fn checkpointed(&mut self, took: Duration) {
        self.checkpoints = (self.checkpoints.0 + 1, self.checkpoints.1 + took);
    }

    /// Takes a status, and makes a line of it if one is due.
    pub(crate) fn see(&mut self, live: &StatusFile, record: &Record) {
        let (at_ms, last) = self.last;
        let every = 1000 * ((1 << (self.end / STEP).min(30)) - 1);
        if self.has_begun && live.phase == last.phase && live.written_at_ms < at_ms + every {
            return;
        }
        let standing = Standing {
            phase: live.phase,
            done: live.frontier,
            beyond: live.ahead,
            in_flight: live.in_flight,
            failed: live.failed,
            tasks: live.tasks,
            workers: live.workers,
            bytes: live.bytes,
            output_bytes: live.output_bytes,
            worked_seconds: live.worked_seconds,
            checkpoints: self.checkpoints.0,
            checkpoint_seconds: self.checkpoints.1.as_secs_f64(),
        };
        self.last = (live.written_at_ms, standing);
        self.take(&Moment { at_ms: live.written_at_ms, what: Happened::At(standing) }, record);
    }

    /// Adds the last line of a run, which ends with this record.
    pub(crate) fn end(&mut self, how: Way, record: &Record) {
        let standing = Standing {
            phase: Activity::Finishing,
            done: record.committed(),
            beyond: 0,
            in_flight: 0,
            failed: record.failed,
            tasks: record.tasks.or(self.last.1.tasks),
            bytes: record.input_bytes.max(self.last.1.bytes),
            output_bytes: record.output.as_ref().map_or(0, |output| output.bytes),
            checkpoints: self.checkpoints.0,
            checkpoint_seconds: self.checkpoints.1.as_secs_f64(),
            ..self.last.1
        };
        let at_ms = millis(SystemTime::now());
        self.take(&Moment { at_ms, what: Happened::Ended { how, standing } }, record);
    }

    pub(crate) fn take(&mut self, moment: &Moment, record: &Record) {
        if !std::mem::replace(&mut self.has_begun, true) {
            let what = Happened::Began { run: record.run.clone(), pid: std::process::id() };
            self.gather(&Moment { at_ms: millis(self.began), what });
        }
        self.gather(moment);
    }

    fn gather(&mut self, moment: &Moment) {
        if self.end + (self.gathered.len() as u64) < MOST
            && serde_json::to_writer(&mut self.gathered, moment).is_ok()
        {
            self.gathered.push(b'\n');
        }
    }

    /// Writes the lines without a flush: only a power cut can lose them. After an error nothing more is written.
    pub(crate) fn write(&mut self, dir: &dyn Dir, path: &Path) {
        if !self.is_over && !self.gathered.is_empty() && self.append(dir, path).is_err() {
            self.is_over = true;
        }
        self.gathered.clear();
    }

    fn append(&mut self, dir: &dyn Dir, path: &Path) -> Result<()> {
        let failed = path.join(HISTORY);
        if self.file.is_none() {
            self.file = open_plain(dir, path, HISTORY, Open::Create)?;
            let Some(file) = &self.file else { return Ok(()) };
            hold(&**file, &failed)?;
            self.end = file.facts().at(&failed, "look at")?.bytes;
            // A crash may have torn the last line.
            let last = file.read_exact(1, self.end.saturating_sub(1)).at(&failed, "read")?;
            if last.is_some_and(|last| last != b"\n") {
                self.gathered.insert(0, b'\n');
            }
        }
        let Some(file) = &self.file else { return Ok(()) };
        file.write_at(&self.gathered, self.end).at(&failed, "write")?;
        self.end += self.gathered.len() as u64;
        Ok(())
    }
}

fn millis(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::disk::tests::sim::SimDisk;

    fn live(second: u64, phase: Activity) -> StatusFile {
        StatusFile { written_at_ms: second * 1000, phase, frontier: second, ..StatusFile::default() }
    }

    fn of(record: &Record, state: &Path) -> Vec<Moment> {
        Moment::all(state, &record.run).unwrap()
    }

    #[test]
    fn phases_requests_and_ends_are_read_back_and_torn_lines_and_other_jobs_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let open = OsDisk.open_dir(dir.path()).unwrap();
        let [other, record] = ["other", "each"].map(|job| Record::new(job, ().into(), ().into()));
        for (record, torn) in [(&other, ""), (&record, ""), (&record, r#"{"at_ms":7,"ev"#), (&record, "")] {
            let mut history = History::default();
            history.see(&live(1, Activity::Running), record);
            history.take(&Moment::asked(Request::Pause, "SIGUSR2".to_string()), record);
            history.write(&*open, dir.path());
            history.see(&live(2, Activity::Paused), record);
            history.end(Way::Stopped, record);
            history.write(&*open, dir.path());
            let file = dir.path().join(HISTORY);
            let mut text = std::fs::read(&file).unwrap();
            text.extend_from_slice(torn.as_bytes());
            std::fs::write(&file, text).unwrap();
        }
        let read = of(&record, dir.path());
        assert_eq!(read.len(), 3 * 5, "{read:?}");
        assert!(matches!(&read[2].what, Happened::Asked { request: Request::Pause, by } if by == "SIGUSR2"));
        assert!(matches!(&read[14].what, Happened::Ended { how: Way::Stopped, .. }));
        assert_eq!(of(&other, dir.path()).len(), 5);
    }

    #[test]
    fn a_host_that_has_lost_its_locks_adds_nothing() {
        let (disk, record) = (SimDisk::new(), Record::new("each", ().into(), ().into()));
        disk.share();
        disk.put("state/lock", b"");
        let dir = disk.open_dir(Path::new("state")).unwrap();
        let mut history = History::default();
        for second in 0..3 {
            history.see(&live(second, Activity::Running), &record);
            history.write(&*dir, Path::new("state"));
        }
        let before = disk.read("state/history.jsonl").unwrap();
        assert!(before.ends_with(b"\n"));
        disk.lose_locks();
        history.end(Way::Stopped, &record);
        history.write(&*dir, Path::new("state"));
        assert_eq!(disk.read("state/history.jsonl").unwrap(), before);
    }

    #[test]
    fn years_of_status_and_a_flood_of_signals_make_a_file_of_bounded_size() {
        let dir = tempfile::tempdir().unwrap();
        let open = OsDisk.open_dir(dir.path()).unwrap();
        let record = Record::new("each", ().into(), ().into());
        let mut history = History::default();
        for second in 0..200_000 {
            history.see(&live(second, Activity::Running), &record);
            history.write(&*open, dir.path());
        }
        assert!((4 * STEP..9 * STEP).contains(&history.end), "{}", history.end);
        for _ in 0..100_000 {
            history.take(&Moment::asked(Request::Pause, "SIGUSR2".to_string()), &record);
            history.write(&*open, dir.path());
        }
        assert!((MOST..MOST + 1000).contains(&history.end), "{}", history.end);
        let read = of(&record, dir.path());
        assert!(matches!(&read[1].what, Happened::At(Standing { done: 0, .. })));
    }

    #[test]
    fn a_history_that_cannot_be_written_is_silent() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(HISTORY)).unwrap();
        let open = OsDisk.open_dir(dir.path()).unwrap();
        let mut history = History::default();
        history.end(Way::Failed, &Record::new("each", ().into(), ().into()));
        history.write(&*open, dir.path());
        assert!(history.is_over);
    }
}
