//! `bivouac status`: how far a job is, for people and for programs.
//!
//! Both forms are made of one [`StatusReport`], so they cannot differ. Its fields are the documented shape
//! (`docs/status.md`); a change of the meaning of a field raises [`FORMAT`].

mod shards;

pub(super) use shards::Divided;

use super::view::{HeldBy, JobPhase, View};
use crate::cli::format::{TaskWord, clock, local, percent, size, time};
use crate::cli::slurm::submission::InQueue;
use crate::jobs::quote;
use crate::jobs::text::visible;
use bivouac::record::{self, Record};
use bivouac::state_dir::Continuing;
use bivouac::status_file::{Row, StatusFile, StatusTask};
use bivouac::{Error, Result};
use serde::Serialize;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const FORMAT: u32 = 2;

#[derive(Debug, Default, Serialize)]
pub(super) struct StatusReport {
    pub(super) format: u32,
    pub(super) state: String,
    pub(super) phase: String,
    pub(super) running: bool,
    pub(super) job: Option<String>,
    pub(super) run: Option<String>,
    pub(super) exit_code: Option<u8>,
    pub(super) tasks: TasksJson,
    pub(super) bytes: BytesJson,
    pub(super) percent: Option<u64>,
    pub(super) worked_seconds: Option<f64>,
    pub(super) bytes_per_second: Option<f64>,
    pub(super) tasks_per_second: Option<f64>,
    pub(super) eta_seconds: Option<f64>,
    pub(super) checkpoint: Option<CheckpointJson>,
    pub(super) checkpoints_asked: Option<u64>,
    pub(super) workers: Option<u64>,
    pub(super) holder: Option<HolderJson>,
    #[serde(rename = "continue")]
    pub(super) continuing: Option<Continuing>,
    pub(super) signals: Vec<Row>,
    pub(super) at_work: Vec<StatusTask>,
    /// Which shard of a job this is, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) shard: Option<u64>,
    /// Each shard that has begun; `None` for a job without shards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) shards: Option<Vec<StatusReport>>,
    /// Slurm's queue; `None` for a job that was not submitted to Slurm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) slurm: Option<InQueue>,
    /// Whether standard input must be given again, too.
    #[serde(skip)]
    pub(super) from_stdin: bool,
}

const SHOWN: usize = 16;

#[derive(Debug, Default, Serialize)]
pub(super) struct TasksJson {
    pub(super) done: u64,
    pub(super) total: Option<u64>,
    #[serde(rename = "beyond")]
    pub(super) ahead: u64,
    pub(super) in_flight: u64,
    pub(super) failed: u64,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct BytesJson {
    pub(super) done: u64,
    pub(super) before: Option<u64>,
    pub(super) total: Option<u64>,
    pub(super) output: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct CheckpointJson {
    tasks: u64,
    size: u64,
    age_seconds: f64,
    took_seconds: Option<f64>,
}

#[derive(Debug, Serialize)]
pub(super) struct HolderJson {
    pub(super) pid: u32,
    pub(super) host: String,
    pub(super) since: u64,
}

impl StatusReport {
    pub(super) fn of(view: &View) -> Self {
        let running = view.is_running();
        let record = view.peek.record.as_ref();
        // After a kill the status file is out of date, and the record counts.
        let live = view.peek.live.as_ref().filter(|_| running);
        let last_word = view.peek.live.as_ref();
        let (tasks, bytes) = match (live, record) {
            (Some(live), _) => from_live(live),
            (None, Some(record)) => from_record(record, last_word.and_then(|live| live.bytes_total)),
            (None, None) => from_record(&Record::new("", ().into(), ().into()), None),
        };
        let phase = view.phase();
        Self {
            format: FORMAT,
            state: view.path.display().to_string(),
            phase: phase.to_string(),
            running,
            job: record.map(|record| record.job.clone()),
            run: record.map(|record| record.run.clone()),
            exit_code: record.filter(|_| !running).and_then(exit_code),
            percent: percent(match bytes.total {
                Some(_) => (bytes.done, bytes.total),
                None => (tasks.done, tasks.total),
            }),
            tasks,
            bytes,
            worked_seconds: live.map(|live| live.worked_seconds),
            bytes_per_second: live.and_then(|live| live.bytes_per_second),
            tasks_per_second: live.and_then(|live| live.tasks_per_second),
            eta_seconds: live.and_then(|live| live.eta_seconds),
            checkpoint: record.map(|record| checkpoint_of(record, live, view.peek.record_bytes)),
            checkpoints_asked: live.map(|live| live.checkpoints_asked),
            workers: live.map(|live| live.workers),
            holder: view.peek.holder.as_ref().filter(|_| running).map(|holder| HolderJson {
                pid: holder.pid,
                host: holder.host.clone(),
                since: holder.started,
            }),
            continuing: view.peek.holder.as_ref().and_then(|holder| holder.continuing.clone()),
            signals: live.map(|live| live.signals.clone()).unwrap_or_default(),
            at_work: live.map(|live| live.running.clone()).unwrap_or_default(),
            shard: None,
            shards: None,
            slurm: None,
            from_stdin: record.map(|record| record.inputs.to_string()).is_some_and(|inputs| {
                inputs.contains(r#""standard_input""#) || inputs.contains(r#"{"stream":{"path":"-"}}"#)
            }),
        }
    }

    /// The report about a state that cannot be read, for a list.
    pub(super) fn unreadable(path: &Path, why: &Error) -> Self {
        let phase = format!("unreadable: {}", why.sentence());
        Self { state: path.display().to_string(), phase, ..Self::default() }
    }

    pub(super) fn json(&self) -> Result<String> {
        let text = serde_json::to_string(self);
        text.map(|text| text + "\n")
            .map_err(|e| Error::broken("status", format_args!("cannot be put into JSON: {e}")))
    }

    /// For people: one fact a line.
    pub(super) fn text(&self, view: &View) -> String {
        let meaning = match view.phase() {
            JobPhase::Stopped => " (not running, can be continued)",
            JobPhase::Crashed => {
                " (not running, its last run was killed or lost its machine; can be continued)"
            }
            JobPhase::Finished | JobPhase::Starting | JobPhase::Active(_) | JobPhase::Suspended => "",
        };
        let mut text = format!("{}: {}{meaning}\n", visible(&self.state), self.phase);
        let mut line = |name: &str, value: &str| text.push_str(&format!("  {name:<11} {}\n", visible(value)));
        if let Some(job) = &self.job {
            line("job", job);
        }
        line("done", &self.share_line());
        line("progress", &self.tasks_line());
        line("output", &size(self.bytes.output));
        if let Some(speed) = self.speed_line() {
            line("speed", &speed);
        }
        line("checkpoint", &self.checkpoint_line());
        for one in self.at_work.iter().take(SHOWN) {
            line("at work", &self.at_work_line(one));
        }
        if self.at_work.len() > SHOWN {
            line("", &format!("and {} more", self.at_work.len() - SHOWN));
        }
        if let (HeldBy::Elsewhere(place), None) = (&view.at, &self.holder) {
            line("runs", place);
        }
        if let Some(holder) = &self.holder {
            let since = UNIX_EPOCH + Duration::from_secs(holder.since);
            let since = local(since);
            line("held by", &format!("process {} on {}, since {since}", holder.pid, holder.host));
        }
        text + &self.continuing_lines()
    }

    /// How to go on, as the run itself says it at its end; nothing for a job that is done.
    pub(super) fn continuing_lines(&self) -> String {
        let Some(continuing) = self.continuing.as_ref().filter(|_| self.phase != "finished") else {
            return String::new();
        };
        let place = continuing.directory.as_ref().map(|dir| format!(", in {dir}")).unwrap_or_default();
        let when = if self.running { "To continue it after a stop" } else { "To continue" };
        let again = if self.from_stdin { ", with the same standard input" } else { "" };
        let command = quote::shortened_text(&continuing.command);
        format!("{when}{}{again}:\n  {}\n", visible(&place), visible(&command))
    }

    /// A change of this is worth a new line.
    pub(super) fn key(&self) -> (String, Option<u64>, u64, u64) {
        (self.phase.clone(), self.percent, self.tasks.done, self.tasks.failed)
    }

    /// For a log: one line.
    pub(super) fn line(&self) -> String {
        let mut parts = vec![format!("{}: {}", visible(&self.state), self.phase)];
        parts.push(self.share_line());
        parts.push(self.tasks_line());
        let rate = self.bytes_per_second.filter(|_| self.bytes.done > 0);
        parts.extend(rate.map(|rate| format!("{}/s", size(rate as u64))));
        parts.extend(self.eta_seconds.map(|left| format!("{} left", clock(seconds(left)))));
        parts.join(", ") + "\n"
    }

    pub(super) fn word(&self) -> TaskWord {
        self.job.as_deref().map_or(TaskWord::Task, TaskWord::of_job)
    }

    /// `3 of 64 tasks committed, 2 in flight`.
    pub(super) fn tasks_line(&self) -> String {
        let tasks = &self.tasks;
        let mut line = format!("{} committed", self.word().of(tasks.done, tasks.total));
        for (number, what) in
            [(tasks.in_flight, "in flight"), (tasks.ahead, "completed ahead"), (tasks.failed, "failed")]
        {
            if number > 0 {
                line.push_str(&format!(", {number} {what}"));
            }
        }
        line
    }

    /// `item 3 for 1.2 s: its name`.
    fn at_work_line(&self, one: &StatusTask) -> String {
        let name = self.word().name(one.task.saturating_sub(1));
        let gap = if one.note.is_empty() { "" } else { ": " };
        format!("{name} for {}{gap}{}", time(seconds(one.seconds)), one.note)
    }

    /// `22 %, 2.5 MiB of 11.1 MiB`.
    pub(super) fn share_line(&self) -> String {
        let share = self.percent.map(|percent| format!("{percent} %"));
        let bytes = match (self.bytes.done, self.bytes.total) {
            (done, Some(total)) => Some(format!("{} of {}", size(done), size(total))),
            (0, None) if share.is_some() => None,
            (done, None) => Some(size(done)),
        };
        share.into_iter().chain(bytes).collect::<Vec<_>>().join(", ")
    }

    pub(super) fn speed_line(&self) -> Option<String> {
        let mut line = format!("worked {}", time(seconds(self.worked_seconds?)));
        if let Some(rate) = self.bytes_per_second.filter(|_| self.bytes.done > 0) {
            line.push_str(&format!(", {}/s", size(rate as u64)));
        }
        if let Some(rate) = self.tasks_per_second {
            line.push_str(&format!(", {rate:.1} {}s/s", self.word().singular()));
        }
        if let Some(left) = self.eta_seconds {
            line.push_str(&format!(", {} left", clock(seconds(left))));
        }
        Some(line)
    }

    /// `0.4 s old, 1.2 KiB`.
    pub(super) fn checkpoint_line(&self) -> String {
        match &self.checkpoint {
            Some(facts) => format!("{} old, {}", time(seconds(facts.age_seconds)), size(facts.size)),
            None => "none yet".to_string(),
        }
    }
}

fn from_live(live: &StatusFile) -> (TasksJson, BytesJson) {
    let tasks = TasksJson {
        done: live.frontier,
        total: live.tasks,
        ahead: live.ahead,
        in_flight: live.in_flight,
        failed: live.failed,
    };
    let bytes = BytesJson {
        done: live.bytes,
        before: Some(live.bytes_before),
        total: live.bytes_total,
        output: live.output_bytes,
    };
    (tasks, bytes)
}

fn from_record(record: &Record, total: Option<u64>) -> (TasksJson, BytesJson) {
    let tasks = TasksJson {
        done: record.committed(),
        total: record.tasks,
        ahead: record.kept(),
        in_flight: 0,
        failed: record.failed,
    };
    let output = record.output.as_ref().map_or(0, |output| output.bytes);
    (tasks, BytesJson { done: record.input_bytes, before: None, total, output })
}

fn exit_code(record: &Record) -> Option<u8> {
    match record.phase {
        record::Phase::Done { code } => Some(code),
        record::Phase::Working | record::Phase::Finalizing { .. } => None,
    }
}

/// The record on disk is the checkpoint. The status file has its time more exactly than in seconds, but may have
/// that of an earlier one: then the seconds in the record count.
fn checkpoint_of(record: &Record, live: Option<&StatusFile>, size: u64) -> CheckpointJson {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let said = live.and_then(|live| live.checkpoint);
    let saved_at = Duration::from_secs(record.saved_at);
    let at = said.map_or(saved_at, |said| saved_at.max(Duration::from_millis(said.at_ms)));
    CheckpointJson {
        tasks: record.committed(),
        size,
        age_seconds: now.saturating_sub(at).as_secs_f64(),
        took_seconds: said.map(|said| said.took_seconds),
    }
}

/// Another process wrote this, so it may be any number.
fn seconds(number: f64) -> Duration {
    Duration::try_from_secs_f64(number).unwrap_or(Duration::ZERO)
}
