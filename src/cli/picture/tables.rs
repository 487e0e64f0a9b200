//! The numbers: of the job, of its runs, of its attempts by how they ended, and the lists of the slowest and the failed.
//!
//! Every number is also in a `data-` attribute, unrounded and without a unit, so that a program or a test can read the page.

use super::charts::Durations;
use super::draw::{lasted, plain};
use super::story::{Story, Top};
use super::timeline::{CLASSES, clock};
use crate::cli::attempt::words;
use crate::cli::format::{size, time};
use crate::jobs::text::{grouped, short as shortened};
use bivouac::journal::Entry;
use maud::{Markup, html};
use std::time::Duration;

/// A command of more bytes is folded, until the reader opens it.
const SHORT: usize = 120;

/// If a job has more runs, this many are listed: one half from the beginning, the other from the end.
const RUNS: usize = 40;

/// A tile: a number, and what it is.
fn tile(name: &str, data: &str, value: &str, more: &str) -> Markup {
    html! {
        div class="tile" {
            dt { (name) }
            dd data-name=(name) data-value=(data) { (value) @if !more.is_empty() { small { (more) } } }
        }
    }
}

pub(super) fn tiles(story: &Story) -> Markup {
    let (word, sums) = (story.names.word.singular(), &story.sums);
    let began =
        story.runs.iter().map(|run| run.began_ms).chain(story.attempts.iter().map(|a| a.began_ms)).min();
    let ended =
        story.runs.iter().map(|run| run.ended_ms).chain(story.attempts.iter().map(|a| a.ended_ms)).max();
    let of = story.tasks.map_or(String::new(), |tasks| format!(" of {}", grouped(tasks)));
    let worked: f64 = story.runs.iter().map(|run| run.last().worked_seconds).sum();
    let micros = Duration::from_micros;
    html! {
        dl class="tiles" {
            (tile(&format!("{word}s done"), &story.done.to_string(), &grouped(story.done), &of))
            (tile("failed", &story.failed.to_string(), &grouped(story.failed), ""))
            @if let (Some(began), Some(ended)) = (began, ended) {
                (tile("from first to last", &(ended - began).to_string(), &lasted(ended - began), &format!(" since {}", clock(began))))
            }
            @if !story.runs.is_empty() {
                (tile("runs", &story.runs.len().to_string(), &grouped(story.runs.len() as u64), &format!(" worked {}", time(Duration::from_secs_f64(worked)))))
            }
            @if sums.attempts > 0 {
                (tile("attempts", &sums.attempts.to_string(), &grouped(sums.attempts), &format!(" {} of them again", grouped(sums.retries))))
            }
            @if sums.peak_bytes > 0 {
                (tile("processor time", &sums.cpu_us.to_string(), &time(micros(sums.cpu_us)), ""))
                (tile("most memory of one", &sums.peak_bytes.to_string(), &size(sums.peak_bytes), ""))
            }
        }
    }
}

/// The attempts by how they ended, and how long they took.
pub(super) fn attempts(story: &Story, durations: &Durations) -> Markup {
    let percentiles =
        [(50, "half of them up to"), (90, "90 % up to"), (99, "99 % up to"), (100, "the longest")];
    html! {
        div class="side" {
            table class="counts" {
                caption { "How attempts ended" }
                @for class in CLASSES.iter().filter(|class| story.ended(class) > 0) {
                    tr { th { span class={ "swatch " (class) } {} (class.replace('-', " ")) }
                         td class="number" data-outcome=(class) data-value=(story.ended(class)) { (grouped(story.ended(class))) } }
                }
                tr class="sum" { th { "all" } td class="number" data-outcome="all" data-value=(story.sums.attempts) { (grouped(story.sums.attempts)) } }
            }
            @if let Some(mean) = durations.mean() {
                table class="counts" {
                    caption { "How long they took" }
                    @for (percent, name) in percentiles {
                        @let took = durations.percentile(percent).unwrap_or_default();
                        tr { th { (name) } td class="number" data-percentile=(percent) data-value=(took.as_micros()) { (time(took)) } }
                    }
                    tr { th { "on average" } td class="number" data-value=(mean.as_micros()) { (time(mean)) } }
                }
            }
        }
    }
}

pub(super) fn runs(story: &Story) -> Markup {
    let word = story.names.word.singular();
    let all = story.runs.len();
    let is_shown = |at: usize| all <= RUNS || at < RUNS / 2 || at >= all - RUNS / 2;
    html! {
        table class="runs" {
            caption { "Runs" }
            thead { tr {
                @if story.shards > 0 { th { "shard" } }
                th { "began" } th class="number" { "lasted" } th { "how it ended" }
                th class="number" { (word) "s done" } th class="number" { "checkpoints" } th class="number" { "waited for the disk" }
            } }
            tbody {
                @for (at, run) in story.runs.iter().enumerate() {
                    @let last = run.last();
                    @if is_shown(at) {
                        tr data-run=(at + 1) data-how=(run.how.word()) {
                            @if story.shards > 0 { td { (run.shard) } }
                            td { (clock(run.began_ms)) } td class="number" { (lasted(run.ended_ms - run.began_ms)) }
                            td { (run.how.word()) @if let Some(by) = stopped_by(run) { " (" (by) ")" } }
                            td class="number" { (grouped(last.done)) } td class="number" { (grouped(last.checkpoints)) }
                            td class="number" { (time(Duration::from_secs_f64(last.checkpoint_seconds))) }
                        }
                    } @else if at == RUNS / 2 {
                        tr { td class="more" colspan="7" { (grouped((all - RUNS) as u64)) " runs more" } }
                    }
                }
            }
        }
    }
}

/// What asked for the stop: the name of a signal, or words.
fn stopped_by(run: &super::runs::RunSpan) -> Option<&str> {
    use bivouac::Request;
    let is_stop = |request: &Request| matches!(request, Request::Stop | Request::Abort | Request::Die);
    run.asked.iter().find(|(_, request, _)| is_stop(request)).map(|(_, _, by)| by.as_str())
}

pub(super) fn lists(story: &Story) -> Markup {
    let failed = story.failed_attempts();
    html! {
        (list(story, "failed", "Failed attempts, the last first", &story.failures, failed))
        (list(story, "slowest", "The slowest", &story.slowest, 0))
        (list(story, "hungriest", "The most memory", &story.hungriest, 0))
        (list(story, "busiest", "The most processor time", &story.busiest, 0))
        @if story.sums.peak_bytes > 0 {
            p class="note" { "Memory is the most that one process of a command had at once. Linux counts from before exec, so it is never less than that of bivouac." }
        }
    }
}

/// One list, of `all` if that is more than it has rows.
fn list(story: &Story, class: &str, caption: &str, top: &Top, all: u64) -> Markup {
    let word = story.names.word.singular();
    let shown = top.0.len() as u64;
    html! {
        @if shown > 0 {
            details class={ "list " (class) } open[class == "failed" || class == "slowest"] {
                summary { (caption) @if all > shown { small { " " (shown) " of " (grouped(all)) } } }
                div class="wide" { table data-list=(class) data-all=(all.max(shown)) {
                    thead { tr { th class="number" { (word) } th class="number" { "took" } th class="number" { "processor" }
                        th class="number" { "memory" } th { "how it ended" } th { "what" } } }
                    tbody { @for (_, entry) in &top.0 { (row(story, entry)) } }
                } }
            }
        }
    }
}

fn row(story: &Story, entry: &Entry) -> Markup {
    let (outcome, number) = words(entry.outcome);
    let usage = Some(entry.measured.usage).filter(|_| entry.measured.slot > 0);
    let command = plain(&story.names.command(entry));
    html! {
        tr data-task=(entry.task + 1) {
            td class="number" { (entry.task + 1) @if entry.attempt > 1 { small { "×" (entry.attempt) } } }
            td class="number" { (time(Duration::from_micros(entry.took_us))) }
            td class="number" { @if let Some(usage) = usage { (time(Duration::from_micros(usage.user_us + usage.system_us))) } }
            td class="number" { @if let Some(usage) = usage { (size(usage.peak_bytes)) } }
            td class="how" { span class={ "swatch " (outcome) } {} (outcome.replace('-', " ")) @if let Some(number) = number { " " (number) } }
            td class="what" {
                @if command.len() <= SHORT {
                    code { (command) }
                } @else {
                    details { summary { code { (shortened(&plain(&entry.note))) } } code { (command) } }
                }
                @if !entry.measured.said.is_empty() { pre { @for line in entry.measured.said.lines() { (plain(line)) "\n" } } } }
        }
    }
}
