//! The figures as Prometheus reads them: its text format, with the names that its conventions ask for.
//!
//! Each sample has two labels, `verb` and `state_dir`, and that of a shard a third one. The second one makes the samples of several jobs on one machine differ,
//! as node_exporter demands, and it is what `bivouac status` takes.

use super::Figures;
use bivouac::Activity;
use std::fmt::Display;
use std::time::{SystemTime, UNIX_EPOCH};

struct Page {
    text: String,
    /// The labels that every sample has.
    labels: String,
}

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.text.push_str(&format!("# HELP bivouac_{name} {help}\n# TYPE bivouac_{name} {kind}\n"));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let more: String =
            labels.iter().map(|(label, text)| format!(",{label}=\"{}\"", escaped(text))).collect();
        self.text.push_str(&format!("bivouac_{name}{{{}{more}}} {value}\n", self.labels));
    }

    fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "counter", help);
        self.sample(name, &[], value);
    }

    fn gauge(&mut self, name: &str, help: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.family(name, "gauge", help);
            self.sample(name, &[], value);
        }
    }
}

pub(super) fn of(figures: &Figures) -> String {
    let mut labels = format!("verb=\"{}\",state_dir=\"{}\"", figures.verb, escaped(&figures.state_dir));
    labels.extend(figures.shard.map(|shard| format!(",shard=\"{shard}\"")));
    let mut page = Page { text: String::new(), labels };
    process(&mut page, figures);
    progress(&mut page, figures);
    page.text
}

fn process(page: &mut Page, figures: &Figures) {
    page.family("build_info", "gauge", "The version of bivouac; always 1.");
    page.sample("build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    page.gauge(
        "start_time_seconds",
        "When this run began, in seconds since 1970.",
        Some(seconds(figures.started)),
    );
    page.family("phase", "gauge", "1 for what the job is doing, 0 for the rest.");
    let phase = match (figures.ended, &figures.progress) {
        (Some(ended), _) => ended.how.to_string(),
        (None, Some(progress)) => progress.phase.to_string(),
        (None, None) => "starting".to_string(),
    };
    let names = Activity::ALL.map(|phase| phase.to_string());
    let others = ["starting", "finished", "stopped", "failed"];
    for name in names.iter().map(String::as_str).chain(others) {
        page.sample("phase", &[("phase", name)], u8::from(name == phase));
    }
    page.gauge("workers", "How many tasks may run at the same time.", Some(figures.workers));
    page.counter("warnings_total", "Warnings of this run.", figures.warnings);
    if !figures.signals.is_empty() {
        page.family("signals_total", "counter", "Signals that this run received, and what they meant.");
    }
    for ((signal, request), times) in &figures.signals {
        let labels = [("signal", signal.as_str()), ("request", request)];
        page.sample("signals_total", &labels, times);
    }
    let ended = figures.ended;
    let at = ended.map(|ended| seconds(ended.at));
    page.gauge("end_time_seconds", "When this run ended, in seconds since 1970.", at);
    let code = ended.map(|ended| ended.code);
    page.gauge("exit_code", "How this run ended, as a shell shows it; 128 + N after signal N.", code);
}

fn progress(page: &mut Page, figures: &Figures) {
    let Some(now) = &figures.progress else { return };
    page.family(
        "tasks_total",
        "counter",
        "Chunks or items that are done or have failed, in all runs of the job.",
    );
    page.sample("tasks_total", &[("state", "done")], now.frontier.saturating_sub(now.failed));
    page.sample("tasks_total", &[("state", "failed")], now.failed);
    page.gauge("tasks_expected", "Chunks or items in the whole job, once that is known.", now.tasks);
    page.gauge("tasks_in_flight", "Chunks or items that run.", Some(now.in_flight));
    page.counter("input_bytes_total", "Input worked through, in all runs of the job.", now.bytes);
    page.gauge("input_expected_bytes", "Input of the whole job, if that is known.", now.bytes_total);
    page.counter("output_bytes_total", "Output committed, in all runs of the job.", now.output_bytes);
    let worked = now.worked.as_secs_f64();
    page.counter("worked_seconds_total", "Time that this run worked, neither paused nor suspended.", worked);
    let left = now.left.map(|left| left.as_secs_f64());
    page.gauge("left_seconds", "Work that is left at the present rate.", left);
    page.counter("checkpoints_total", "Checkpoints that this run has made durable.", figures.checkpoints);
    if let Some(facts) = now.checkpoint {
        let at = SystemTime::now().checked_sub(facts.age).map(seconds);
        page.gauge(
            "checkpoint_time_seconds",
            "When the last checkpoint became durable, in seconds since 1970.",
            at,
        );
        page.gauge("checkpoint_size_bytes", "Size of the last checkpoint.", Some(facts.size));
        let took = facts.took.as_secs_f64();
        page.gauge("checkpoint_duration_seconds", "How long the last checkpoint took.", Some(took));
    }
}

fn seconds(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::super::Ended;
    use super::*;
    use bivouac::ending::CheckpointFacts;
    use bivouac::{Location, Progress, Request};
    use nix::sys::signal::Signal;
    use std::time::Duration;

    fn figures() -> Figures {
        let mut figures = Figures::new("grep", &Location::Directory("/a \"b\"\\c".into()), None);
        let facts = CheckpointFacts { size: 700, age: Duration::ZERO, took: Duration::from_millis(2) };
        figures.progress = Some(Progress {
            frontier: 7,
            failed: 2,
            tasks: Some(9),
            worked: Duration::from_millis(1500),
            checkpoint: Some(facts),
            ..Progress::default()
        });
        figures.signals.insert((Signal::SIGTERM, Request::Stop.name()), 1);
        figures
    }

    #[test]
    fn every_family_is_described_once_and_every_sample_has_its_labels() {
        let mut figures = figures();
        figures.ended = Some(Ended { how: "stopped", code: 143, at: SystemTime::now() });
        let text = of(&figures);
        let labels = r#"verb="grep",state_dir="/a \"b\"\\c""#;
        for line in [
            format!("bivouac_tasks_total{{{labels},state=\"done\"}} 5"),
            format!("bivouac_tasks_total{{{labels},state=\"failed\"}} 2"),
            format!("bivouac_tasks_expected{{{labels}}} 9"),
            format!("bivouac_worked_seconds_total{{{labels}}} 1.5"),
            format!("bivouac_signals_total{{{labels},signal=\"SIGTERM\",request=\"stop\"}} 1"),
            format!("bivouac_phase{{{labels},phase=\"stopped\"}} 1"),
            format!("bivouac_phase{{{labels},phase=\"running\"}} 0"),
            format!("bivouac_exit_code{{{labels}}} 143"),
        ] {
            assert!(text.lines().any(|is| is == line), "{line}\n{text}");
        }
        let mut described: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        described.sort_unstable();
        let all = described.len();
        described.dedup();
        assert_eq!(described.len(), all);
        for line in described {
            let (name, kind) = line.split_once(' ').unwrap();
            assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
            assert!(text.contains(&format!("# HELP {name} ")), "{name}");
        }
    }

    #[test]
    fn before_the_first_progress_a_job_is_starting() {
        let text = of(&Figures::new("count", &Location::Nowhere, Some(2)));
        assert!(
            text.contains("bivouac_phase{verb=\"count\",state_dir=\"\",shard=\"2\",phase=\"starting\"} 1\n"),
            "{text}"
        );
        assert!(!text.contains("tasks_total") && !text.contains("exit_code"), "{text}");
    }
}
