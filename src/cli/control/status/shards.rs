//! The status of a job in shards: each shard, and the whole.
//!
//! Everything is read from the states, so it works on any host that sees them.

use super::{BytesJson, FORMAT, StatusReport, TasksJson};
use crate::cli::control::view::{HeldBy, JobPhase, View};
use crate::cli::format::{TaskWord, clock, percent, size};
use crate::cli::shards;
use crate::cli::slurm::submission::{self, InQueue};
use crate::jobs::text::visible;
use bivouac::state_dir::Continuing;
use bivouac::{Result, Shards};
use std::path::{Path, PathBuf};

/// The states of a job in shards, looked at one after the other.
pub(in crate::cli::control) struct Divided {
    state: String,
    shards: Shards,
    /// The shards that have begun, with their numbers; the merge has none.
    views: Vec<(Option<u64>, View)>,
}

impl Divided {
    pub(in crate::cli::control) fn look(path: &Path) -> Result<Option<Self>> {
        let Some(shards) = Shards::find(path)? else { return Ok(None) };
        let look = |(number, state): (Option<u64>, PathBuf)| View::look(&state).map(|view| (number, view));
        let views = shards.states().into_iter().map(look).collect::<Result<Vec<_>>>()?;
        Ok(Some(Self { state: path.display().to_string(), shards, views }))
    }

    pub(in crate::cli::control) fn running(self) -> Vec<View> {
        self.views.into_iter().map(|(_, view)| view).filter(View::is_running).collect()
    }

    /// How many shards there are, with those that have not begun.
    pub(in crate::cli::control) fn count(&self) -> u64 {
        self.shards.count()
    }

    /// The report of the whole job: sums over the shards, and the exit code and the end of the merge.
    pub(in crate::cli::control) fn report(&self) -> StatusReport {
        let views = self.views.iter();
        let one = |(number, view): &(Option<u64>, View)| number.map(|number| of_shard(number, view));
        let reports: Vec<StatusReport> = views.filter_map(one).collect();
        let merge =
            self.views.iter().find(|(number, _)| number.is_none()).map(|(_, view)| StatusReport::of(view));
        let sum = |of: &dyn Fn(&TasksJson) -> u64| reports.iter().map(|report| of(&report.tasks)).sum();
        let known: Option<u64> = reports.iter().map(|report| report.tasks.total).sum();
        let tasks = TasksJson {
            done: sum(&|tasks| tasks.done),
            total: known.filter(|_| reports.len() as u64 == self.shards.count()),
            ahead: sum(&|tasks| tasks.ahead),
            in_flight: sum(&|tasks| tasks.in_flight),
            failed: sum(&|tasks| tasks.failed),
        };
        let rate: f64 = reports.iter().filter_map(|report| report.tasks_per_second).sum();
        let left = tasks.total.map(|total| total.saturating_sub(tasks.done) as f64);
        let bytes = BytesJson {
            done: reports.iter().map(|report| report.bytes.done).sum(),
            before: None,
            total: None,
            output: merge.as_ref().map_or(0, |merge| merge.bytes.output),
        };
        StatusReport {
            format: FORMAT,
            state: self.state.clone(),
            phase: self.phase(merge.as_ref(), &reports),
            running: self.views.iter().any(|(_, view)| view.is_running()),
            job: Some(self.shards.job().0.to_string()),
            exit_code: merge.as_ref().and_then(|merge| merge.exit_code),
            percent: percent((tasks.done, tasks.total)),
            eta_seconds: left.filter(|_| rate > 0.0).map(|left| left / rate),
            tasks_per_second: (rate > 0.0).then_some(rate),
            workers: reports.iter().map(|report| report.workers).sum(),
            tasks,
            bytes,
            continuing: self.submitted(),
            shards: Some(reports),
            ..StatusReport::default()
        }
    }

    /// The report with what Slurm's queue says.
    pub(in crate::cli::control) fn with_queue(&self) -> StatusReport {
        StatusReport { slurm: InQueue::ask(Path::new(&self.state)), ..self.report() }
    }

    /// The line that submitted the shards.
    fn submitted(&self) -> Option<Continuing> {
        let command = submission::typed(Path::new(&self.state))?;
        let directory = shards::directory(&self.shards);
        Some(Continuing { command, directory })
    }

    fn phase(&self, merge: Option<&StatusReport>, reports: &[StatusReport]) -> String {
        let all_are_done = reports.len() as u64 == self.shards.count()
            && reports.iter().all(|report| report.phase == "finished");
        let mut running = reports.iter().filter(|report| report.running).map(|report| &report.phase);
        let first = running.next();
        // What all of them do, the job does: it is paused, say.
        let shared = first.filter(|first| running.all(|phase| phase == *first));
        match merge {
            Some(merge) if merge.phase == "finished" => "finished".to_string(),
            Some(merge) if merge.running => "merging".to_string(),
            Some(_) | None if first.is_some() => shared.map_or("running", String::as_str).to_string(),
            // Each of a job without an output printed as it went.
            None if all_are_done && !self.shards.results_of(1).exists() => "finished".to_string(),
            Some(_) | None => "stopped".to_string(),
        }
    }

    /// For people: what all come to, and a line for each that is not done.
    pub(in crate::cli::control) fn text(&self) -> String {
        let report = self.report();
        let reports = report.shards.as_deref().unwrap_or_default();
        let of = self.shards.count();
        let not_begun = of - reports.len() as u64;
        let is_done = |report: &&StatusReport| report.phase == "finished";
        let is_running = |report: &&StatusReport| report.running;
        let (done, running) =
            (reports.iter().filter(is_done).count(), reports.iter().filter(is_running).count());
        let stopped = reports.len() - done - running;
        let parts =
            [(done, "done"), (running, "running"), (stopped, "stopped"), (not_begun as usize, "not begun")];
        let parts: Vec<String> =
            parts.iter().filter(|(many, _)| *many > 0).map(|(many, what)| format!("{many} {what}")).collect();
        let (state, phase) = (visible(&report.state).into_owned(), &report.phase);
        let mut text = format!("{state}: {phase}, {of} shards: {}\n", parts.join(", "));
        let job = report.job.as_deref().unwrap_or_default();
        let left = report.eta_seconds.map(|left| format!(", {} left", clock(super::seconds(left))));
        text.push_str(&format!("  {:<11} {}{}\n", "progress", report.tasks_line(), left.unwrap_or_default()));
        if report.bytes.output > 0 {
            text.push_str(&format!("  {:<11} {}\n", "output", size(report.bytes.output)));
        }
        let word = TaskWord::of_job(job);
        for (number, view) in &self.views {
            let Some(number) = number else { continue };
            let one = of_shard(*number, view);
            if one.phase != "finished" {
                let (name, line) = (format!("shard {number}"), line_of(&one, view, word));
                text.push_str(&format!("  {name:<11} {}\n", visible(&line)));
            }
        }
        text + &self.how_to_continue(&report)
    }

    /// The command to type: the line that submitted the job, or else the one that continues the first shard that does not
    /// run.
    fn how_to_continue(&self, report: &StatusReport) -> String {
        let stands = |one: &&StatusReport| !one.running && one.phase != "finished";
        let reports = report.shards.as_deref().unwrap_or_default();
        match &report.continuing {
            Some(_) => report.continuing_lines(),
            None => reports.iter().find(stands).map(StatusReport::continuing_lines).unwrap_or_default(),
        }
    }
}

fn of_shard(number: u64, view: &View) -> StatusReport {
    StatusReport { shard: Some(number), ..StatusReport::of(view) }
}

/// `running, 3 of 12 chunks committed, on n007, checkpoint 0.8 s old`.
fn line_of(report: &StatusReport, view: &View, word: TaskWord) -> String {
    let mut parts = vec![match view.phase() == JobPhase::Crashed {
        true => "crashed (killed, or its machine was lost)".to_string(),
        false => view.phase().to_string(),
    }];
    parts.push(word.of(report.tasks.done, report.tasks.total));
    if let Some(holder) = &report.holder {
        parts.push(format!("process {} on {}", holder.pid, holder.host));
    } else if let HeldBy::Elsewhere(place) = &view.at {
        parts.push(format!("runs {place}"));
    }
    if let Some(record) = view.peek.record.as_ref().filter(|record| record.epoch > 1) {
        parts.push(format!("run {}", record.epoch));
    }
    parts.push(format!("checkpoint {}", report.checkpoint_line()));
    parts.join(", ")
}
