//! The picture of a job: a page in one file, without a network, in light and dark, on a phone and on paper; or only the
//! drawings, as SVG.
//!
//! The obvious way is a chart library in JavaScript: the page then has the data, and a million attempts are a page of a
//! hundred megabytes. Here Rust makes the drawing of rectangles, once for page and picture. The page adds colours as CSS
//! variables, and a short script that zooms. Every text of a user passes [`maud`], which escapes it.
//!
//! In reading order: [`story`] and [`runs`] read the state; [`axis`] folds time; [`draw`] has the elements of all drawings;
//! [`timeline`], [`charts`] and [`tables`] make the parts of the page.

mod axis;
mod charts;
mod draw;
mod runs;
mod story;
mod tables;
mod timeline;

use crate::jobs::quote::shortened_text;
use axis::Axis;
use bivouac::Result;
use charts::Durations;
use draw::{Drawing, GUTTER, plain};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use std::path::{Path, PathBuf};
use story::{Attempt, Story};
use timeline::Legend;

/// Colours and shapes of drawings, the layout of the page, and its script. All three are files of this source, so they need
/// no escaping.
const DRAWING: PreEscaped<&str> = PreEscaped(include_str!("picture/drawing.css"));
const LAYOUT: PreEscaped<&str> = PreEscaped(include_str!("picture/page.css"));
const ZOOM: PreEscaped<&str> = PreEscaped(include_str!("picture/zoom.js"));

/// The drawings of a job, and the durations for its tables.
struct Drawn {
    story: Story,
    timeline: Drawing,
    curves: Vec<Drawing>,
    durations: Durations,
    histogram: Option<Drawing>,
}

impl Drawn {
    fn of(state: &Path) -> Result<Self> {
        let story = Story::of(state)?;
        let axis = Axis::new(busy(&story));
        let durations = Durations::of(&story);
        let (timeline, curves) = (timeline::timeline(&story, &axis), charts::curves(&story, &axis));
        let histogram = durations.histogram();
        Ok(Self { story, timeline, curves, durations, histogram })
    }

    fn drawings(&self) -> impl Iterator<Item = &Drawing> {
        [&self.timeline].into_iter().chain(&self.curves).chain(&self.histogram)
    }

    fn is_empty(&self) -> bool {
        self.story.runs.is_empty() && self.story.attempts.is_empty()
    }
}

/// When the job worked, from and to in milliseconds since 1970: its runs without pauses, and those attempts that no run of
/// the history covers, because an older version of bivouac wrote none.
fn busy(story: &Story) -> Vec<(u64, u64)> {
    let mut runs: Vec<_> = story.runs.iter().map(|run| (run.shard, run.began_ms, run.ended_ms)).collect();
    runs.sort_unstable();
    let is_in_a_run = |attempt: &&Attempt| {
        let before =
            runs.partition_point(|(shard, began, _)| (*shard, *began) <= (attempt.shard, attempt.began_ms));
        let last = before.checked_sub(1).map(|at| runs[at]);
        last.is_some_and(|(shard, _, ended)| shard == attempt.shard && attempt.began_ms <= ended)
    };
    let others = story.attempts.iter().filter(|attempt| !is_in_a_run(attempt));
    let others = others.map(|attempt| (attempt.began_ms, attempt.ended_ms));
    story.runs.iter().flat_map(runs::RunSpan::busy).chain(others).collect()
}

/// The page of these jobs.
pub(crate) fn page(states: &[PathBuf]) -> Result<String> {
    let jobs = states.iter().map(|state| Drawn::of(state)).collect::<Result<Vec<_>>>()?;
    let title = jobs.first().map_or_else(String::new, |job| format!("{} {}", job.story.job, job.story.state));
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="generator" content=(concat!("bivouac ", env!("CARGO_PKG_VERSION")));
                title { (plain(&title)) }
                style { (DRAWING) (LAYOUT) }
            }
            body {
                @for job in &jobs { (section(job)) }
                div id="tip" hidden {}
                script { (ZOOM) }
            }
        }
    };
    Ok(page.into_string())
}

fn section(job: &Drawn) -> Markup {
    let story = &job.story;
    html! {
        section class="job" data-gutter=(GUTTER) {
            header {
                h1 { (story.job) " " small class={ "phase " (story.phase.split(' ').next().unwrap_or_default()) } { (story.phase) } }
                p class="state" { (plain(&story.state)) @if story.shards > 0 { ", " (story.shards) " shards" } }
                @if let Some((command, directory)) = &story.command {
                    pre class="command" { (plain(&shortened_text(command))) }
                    @if let Some(directory) = directory { p class="state" { "in " (plain(directory)) } }
                }
            }
            (tables::tiles(story))
            @if job.is_empty() {
                p { "Nothing is known of its runs: it has not begun, or an older version of bivouac ran it." }
            } @else {
                @for drawing in job.drawings() { (figure(drawing, story)) }
                @if story.sums.attempts > 0 { (tables::attempts(story, &job.durations)) (tables::lists(story)) }
                @if !story.runs.is_empty() { div class="wide" { (tables::runs(story)) } }
            }
        }
    }
}

fn figure(drawing: &Drawing, story: &Story) -> Markup {
    let is_timeline = drawing.title == "Timeline";
    html! {
        figure {
            figcaption { b { (drawing.title) } " " (drawing.about)
                @if is_timeline { span class="zoom" {
                    button type="button" data-zoom="in" title="closer" { "+" }
                    button type="button" data-zoom="out" title="wider" { "−" }
                    button type="button" data-zoom="all" title="all" { "all" }
                } }
            }
            svg class=(if drawing.is_time { "drawing time" } else { "drawing" }) width="100%" height=(drawing.high)
                role="img" aria-label=(drawing.title) { (drawing.inner) }
            @if is_timeline { (legend(story)) }
        }
    }
}

fn legend(story: &Story) -> Markup {
    let Legend { bars, marks } = timeline::legend(story);
    html! {
        ul class="legend" {
            @for (class, name) in &bars { li { span class={ "swatch " (class) } {} (name) } }
            @for (shape, name) in &marks {
                li { svg class={ "mark " (shape) } width="14" height="14" viewBox="0 0 16 16" { path d=(timeline::path_of(shape)) {} } (name) }
            }
        }
    }
}

/// How wide the picture is, and the room for the title of a drawing in it, in pixels.
const WIDE: u32 = 1080;
const TITLE: f64 = 24.0;

/// The drawings of these jobs without the page, as one SVG.
pub(crate) fn svg(states: &[PathBuf]) -> Result<String> {
    let jobs = states.iter().map(|state| Drawn::of(state)).collect::<Result<Vec<_>>>()?;
    let mut y = 0.0;
    let mut place = |high: f64| {
        y += high;
        y - high
    };
    let inner = html! {
        @for job in &jobs {
            text class="head" x="16" y=(place(34.0) + 24.0) { (job.story.job) " " (plain(&job.story.state)) ": " (job.story.phase) }
            @for drawing in job.drawings() {
                text class="title" x="16" y=(place(TITLE) + 16.0) { tspan class="strong" { (drawing.title) } " " (drawing.about) }
                svg x="0" y=(place(drawing.high + 8.0)) width=(WIDE - 24) height=(drawing.high) overflow="visible" { (drawing.inner) }
                @if drawing.title == "Timeline" { (keys(&job.story, place(48.0) + 6.0)) }
            }
        }
    };
    let picture = html! {
        svg xmlns="http://www.w3.org/2000/svg" width=(WIDE) height=(y) viewBox=(format!("0 0 {WIDE} {y}")) {
            style { (DRAWING) }
            rect class="ground" width="100%" height="100%" {}
            (inner)
        }
    };
    Ok(picture.into_string() + "\n")
}

/// The legend: a row for the colours, and one for the marks.
fn keys(story: &Story, y: f64) -> Markup {
    let Legend { bars, marks } = timeline::legend(story);
    let places = |texts: Vec<&str>| -> Vec<f64> {
        let wide = |text: &&str| 32.0 + 6.5 * text.chars().count() as f64;
        let place = |x: &mut f64, wide: f64| Some(std::mem::replace(x, *x + wide));
        texts.iter().map(wide).scan(64.0, place).collect()
    };
    let across = places(bars.iter().map(|(_, name)| name.as_str()).collect());
    let below = places(marks.iter().map(|(_, name)| *name).collect());
    html! {
        @for ((class, name), x) in bars.iter().zip(across) {
            rect class=(class) x=(x) y=(y - 2.0) width="12" height="12" {}
            text class="key" x=(x + 18.0) y=(y + 8.0) { (name) }
        }
        @for ((shape, name), x) in marks.iter().zip(below) {
            g class={ "mark " (shape) } transform=(format!("translate({x} {}) scale(.8)", y + 18.0)) { path d=(timeline::path_of(shape)) {} }
            text class="key" x=(x + 18.0) y=(y + 28.0) { (name) }
        }
    }
}
