//! The timeline: a row for each slot, in it a bar for each attempt, and above all rows what happened to the job.
//!
//! A million bars make a page of a hundred megabytes that no browser draws in a second. So if there are more than
//! [`ONE_BY_ONE`] attempts, a row is divided into cells. No attempt is left out: a cell has the colour of the worst outcome
//! in it, it is as dark as it was busy, and it says how many attempts ended in it, and how.

use super::axis::{Axis, WIDE};
use super::draw::{Drawing, GUTTER, background, lasted, percent, plain, rect, short, stretched, times};
use super::runs::How;
use super::story::{Attempt, ONE_BY_ONE, Story};
use crate::cli::attempt::words;
use crate::cli::format::local;
use crate::jobs::text::{grouped, short as shortened};
use bivouac::Request;
use bivouac::history::Way;
use maud::{Markup, html};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, UNIX_EPOCH};

/// At most this many rows. With more slots, several share a row.
const ROWS: usize = 64;

/// At most this many cells.
const CELLS: usize = 16_000;

/// Pixels above the rows, for marks, and below them, for times.
const ABOVE: f64 = 26.0;
const BELOW: f64 = 22.0;

/// The classes of bars, from the best outcome to the worst: the words of the log.
pub(super) const CLASSES: [&str; 8] =
    ["done", "open", "interrupted", "not-started", "wanted-terminal", "timeout", "killed", "failed"];

/// The names of the rows, and the row of each attempt.
struct Rows {
    names: Vec<String>,
    row: Vec<usize>,
}

fn rows(attempts: &[Attempt]) -> Rows {
    let slots: BTreeSet<_> = attempts.iter().map(|attempt| (attempt.shard, attempt.slot)).collect();
    let number: BTreeMap<_, usize> = slots.iter().enumerate().map(|(at, slot)| (*slot, at)).collect();
    let shared = slots.len().div_ceil(ROWS).max(1);
    let name =
        |(shard, slot): &(u64, u32)| if *shard == 0 { slot.to_string() } else { format!("{shard}·{slot}") };
    let row = attempts.iter().map(|attempt| number[&(attempt.shard, attempt.slot)] / shared).collect();
    Rows { names: slots.iter().step_by(shared).map(name).collect(), row }
}

pub(super) fn timeline(story: &Story, axis: &Axis) -> Drawing {
    let Rows { names, row } = rows(&story.attempts);
    let step = match names.len() {
        0..=12 => 20.0,
        13..=32 => 12.0,
        33.. => 7.0,
    };
    let high = if names.is_empty() { 40.0 } else { names.len() as f64 * step };
    let is_single = story.attempts.len() <= ONE_BY_ONE;
    let bars = match is_single {
        true => one_by_one(story, axis, (&row, step)),
        false => in_cells(story, axis, (&row, names.len(), step)),
    };
    let shapes = html! {
        (background(axis, high))
        @if names.is_empty() { (bars_of_runs(story, axis)) }
        (bars)
        (lines(story, axis, high))
    };
    let labels = (18.0 / step).ceil() as usize;
    let inner = html! {
        (stretched(ABOVE, high, &shapes))
        @for (at, name) in names.iter().enumerate().step_by(labels.max(1)) {
            text class="row" x=(format!("{}%", GUTTER - 0.8)) y=(short(ABOVE + (at as f64 + 0.5) * step + 4.0)) { (name) }
        }
        (marks(story, axis))
        (times(axis, ABOVE, high))
    };
    let word = story.names.word.singular();
    let about = match (story.attempts.len(), is_single) {
        (0, _) => "Each bar is a run of the job.".to_string(),
        (_, true) => format!("Each bar is an attempt of one {word}, in the row of its slot."),
        (attempts, false) => format!(
            "{} attempts in cells: a cell is as dark as it was busy, has the colour of the worst that ended in it, and says how many ended in it.",
            grouped(attempts as u64)
        ),
    };
    Drawing { title: "Timeline".to_string(), about, high: ABOVE + high + BELOW, is_time: true, inner }
}

fn one_by_one(story: &Story, axis: &Axis, (row, step): (&[usize], f64)) -> Markup {
    let word = story.names.word;
    let title = |attempt: &Attempt| {
        let (outcome, number) = words(attempt.outcome);
        let outcome = number.map_or(outcome.to_string(), |number| format!("{outcome} {number}"));
        let again = if attempt.number > 1 { format!(", attempt {}", attempt.number) } else { String::new() };
        let took = lasted(attempt.took_us / 1000);
        let note = shortened(&attempt.note).into_owned();
        format!(
            "{}{again}: {outcome} after {took}\n{}\n{}",
            word.name(attempt.task),
            clock(attempt.began_ms),
            plain(&note)
        )
    };
    html! {
        @for (attempt, row) in story.attempts.iter().zip(row) {
            @let (from, to) = (axis.x(attempt.began_ms), axis.x(attempt.ended_ms));
            @let y = *row as f64 * step + 1.0;
            (rect(words(attempt.outcome).0, (from, y), ((to - from).max(0.8), step - 2.0), &title(attempt)))
            @if attempt.number > 1 { (rect("again", (from, y), (1.2, step - 2.0), "")) }
        }
    }
}

/// A stretch of time in one row.
#[derive(Clone, Debug, Default)]
struct Cell {
    /// How many attempts ended here, by outcome.
    ended: BTreeMap<&'static str, u64>,
    /// The share of the time in which an attempt ran; more than 1 if several slots share the row.
    busy: f64,
}

impl Cell {
    fn class(&self) -> &'static str {
        let worst = |class: &&&str| self.ended.contains_key(**class);
        CLASSES.iter().rev().find(worst).copied().unwrap_or("done")
    }

    /// How dark the cell is, from 1 to 4.
    fn shade(&self) -> usize {
        ((self.busy * 4.0).ceil() as usize).clamp(1, 4)
    }
}

fn in_cells(story: &Story, axis: &Axis, (row, rows, step): (&[usize], usize, f64)) -> Markup {
    let columns = (CELLS / rows.max(1)).clamp(100, 1000);
    let wide = WIDE / columns as f64;
    let mut cells = vec![Cell::default(); rows * columns];
    for (attempt, row) in story.attempts.iter().zip(row) {
        let column = |x: f64| ((x / wide) as usize).min(columns - 1);
        let (from, to) = (axis.x(attempt.began_ms), axis.x(attempt.ended_ms));
        for at in column(from)..=column(to) {
            let left = at as f64 * wide;
            let part = (to.min(left + wide) - from.max(left)).max(0.0);
            cells[row * columns + at].busy += part / wide;
        }
        *cells[row * columns + column(to)].ended.entry(words(attempt.outcome).0).or_default() += 1;
    }
    let shown = |at: usize| (at % columns, at / columns);
    let mut runs: Vec<(usize, usize, Cell)> = Vec::new();
    for (at, cell) in
        cells.into_iter().enumerate().filter(|(_, cell)| cell.busy > 0.0 || !cell.ended.is_empty())
    {
        match runs.last_mut() {
            // Neighbours that look alike are one rectangle.
            Some((_, end, last))
                if *end == at
                    && at % columns > 0
                    && (last.class(), last.shade()) == (cell.class(), cell.shade()) =>
            {
                *end += 1;
                for (class, number) in cell.ended {
                    *last.ended.entry(class).or_default() += number;
                }
            }
            Some(_) | None => runs.push((at, at + 1, cell)),
        }
    }
    html! {
        @for (from, to, cell) in &runs {
            @let (column, row) = shown(*from);
            @let (x, across) = (column as f64 * wide, (to - from) as f64 * wide);
            @let ended: Vec<_> = cell.ended.iter().map(|(class, number)| format!("{number} {class}")).collect();
            @let title = format!("{}: {}", clock(axis.at(x)), if ended.is_empty() { "at work".to_string() } else { ended.join(", ") });
            (rect(&format!("{} s{}", cell.class(), cell.shade()), (x, row as f64 * step + 0.5), (across, step - 1.0), &title))
        }
    }
}

/// A bar for each run: the timeline of a job that runs no commands.
fn bars_of_runs(story: &Story, axis: &Axis) -> Markup {
    html! {
        @for run in &story.runs {
            @for (from, to) in run.busy() {
                @let (left, right) = (axis.x(from), axis.x(to));
                @let title = format!("process {}, from {}: {}", run.pid, clock(run.began_ms), run.how.word());
                (rect(if run.how == How::Killed { "open" } else { "done" }, (left, 8.0), ((right - left).max(1.0), 24.0), &title))
            }
        }
    }
}

/// An event that concerns the whole job.
struct Mark {
    at_ms: u64,
    shape: &'static str,
    text: String,
}

fn marks_of(story: &Story) -> Vec<Mark> {
    let mut marks = Vec::new();
    for run in &story.runs {
        let of = if run.shard > 0 { format!("shard {}: ", run.shard) } else { String::new() };
        let mut mark = |at_ms, shape, what: &str| {
            marks.push(Mark { at_ms, shape, text: format!("{of}{what}\n{}", clock(at_ms)) });
        };
        mark(run.began_ms, "began", &format!("process {} began", run.pid));
        for (at, request, by) in &run.asked {
            let shape = match request {
                Request::Stop | Request::Abort | Request::Die => "stop",
                Request::Pause => "pause",
                Request::Suspend => "suspend",
                Request::Resume => "resume",
                Request::Checkpoint | Request::Reload => "note",
                Request::Status | Request::Redraw | Request::Ignore => continue,
            };
            mark(*at, shape, &format!("{} by {by}", request.name()));
        }
        match run.how {
            How::Killed => mark(run.ended_ms, "kill", "the process was killed"),
            How::Ended(Way::Failed) => mark(run.ended_ms, "kill", "the run broke off"),
            How::Ended(Way::Finished) => mark(run.ended_ms, "end", "the job has finished"),
            How::Ended(Way::Stopped) => mark(run.ended_ms, "stop", "the run has stopped"),
            How::AtWork => {}
        }
    }
    marks
}

/// Draws the marks. Marks of one shape at one place are drawn once, with the texts of all of them.
fn marks(story: &Story, axis: &Axis) -> Markup {
    let mut placed: BTreeMap<(i64, &str), (f64, Vec<String>)> = BTreeMap::new();
    for mark in marks_of(story) {
        let x = axis.x(mark.at_ms);
        placed.entry(((x * 2.0) as i64, mark.shape)).or_insert((x, Vec::new())).1.push(mark.text);
    }
    html! {
        @for ((_, shape), (x, texts)) in &placed {
            svg class={ "mark " (shape) } x=(percent(*x)) y="5" width="16" height="16" overflow="visible"
                data-x=(short(*x)) data-level="0" data-number=(texts.len()) {
                title { (texts.iter().take(8).cloned().collect::<Vec<_>>().join("\n")) @if texts.len() > 8 { "\n… " (texts.len() - 8) " more" } }
                path transform="translate(-8 0)" d=(path_of(shape)) {}
            }
        }
    }
}

/// The shapes of marks, in a square of 16. Each differs from the others without its colour.
pub(super) fn path_of(shape: &str) -> &'static str {
    match shape {
        "began" | "resume" => "M4 2L14 8L4 14Z",
        "stop" => "M3 3H13V13H3Z",
        "pause" => "M3 2H7V14H3ZM9 2H13V14H9Z",
        "suspend" => "M8 1L15 8L8 15L1 8Z",
        "kill" => "M2 4L4 2L8 6L12 2L14 4L10 8L14 12L12 14L8 10L4 14L2 12L6 8Z",
        "end" => "M1 8L3.5 5.5L6.5 8.5L13 2L15.5 4.5L6.5 13.5Z",
        _ => "M8 3A5 5 0 1 1 7.9 3Z",
    }
}

/// What the colours of bars and the shapes of marks mean, as far as they occur.
pub(super) struct Legend {
    pub(super) bars: Vec<(&'static str, String)>,
    pub(super) marks: Vec<(&'static str, &'static str)>,
}

pub(super) fn legend(story: &Story) -> Legend {
    let bars = CLASSES.iter().filter(|class| story.ended(class) > 0);
    let bars =
        bars.map(|class| (*class, format!("{} {}", story.ended(class), class.replace('-', " ")))).collect();
    let present: Vec<_> = marks_of(story).into_iter().map(|mark| mark.shape).collect();
    let all = [
        ("began", "a process begins"),
        ("pause", "pause"),
        ("suspend", "suspension"),
        ("resume", "resumed"),
        ("stop", "stop"),
        ("kill", "killed or broken off"),
        ("note", "checkpoint or reload asked for"),
        ("end", "finished"),
    ];
    Legend { bars, marks: all.into_iter().filter(|(shape, _)| present.contains(shape)).collect() }
}

fn lines(story: &Story, axis: &Axis, high: f64) -> Markup {
    let of = |mark: Mark| (axis.x(mark.at_ms), mark.shape);
    let all: BTreeMap<(i64, &str), f64> =
        marks_of(story).into_iter().map(of).map(|(x, shape)| (((x * 2.0) as i64, shape), x)).collect();
    html! {
        @for ((_, shape), x) in all.iter().filter(|((_, shape), _)| *shape != "note") {
            line class={ "at " (shape) } x1=(short(*x)) x2=(short(*x)) y1="0" y2=(short(high)) {}
        }
    }
}

pub(super) fn clock(at_ms: u64) -> String {
    local(UNIX_EPOCH + Duration::from_millis(at_ms.min(253_402_300_799_000)))
}
