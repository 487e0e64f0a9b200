//! The curves below the timeline, on the same axis: how much was done in each moment. And the durations as a histogram.
//!
//! A job with commands has exact times in its journal. Any other job has only its history, with a line about once a second:
//! the work between two lines is spread evenly over the time between them.

use super::axis::{Axis, WIDE};
use super::draw::{Drawing, background, letters, percent, rect, short, stretched, times};
use super::runs::RunSpan;
use super::story::Story;
use super::timeline::clock;
use crate::cli::format::{size, time};
use bivouac::history::Standing;
use bivouac::journal::Outcome;
use maud::{Markup, html};
use std::time::Duration;

/// How many steps the curves have: so few that several tasks end in each.
fn steps_of(story: &Story) -> usize {
    let standings = story.runs.iter().map(|run| run.standings.len()).sum::<usize>();
    (story.attempts.len() / 4).max(standings).clamp(50, 250)
}

const HIGH: f64 = 84.0;
const ABOVE: f64 = 6.0;
const BELOW: f64 = 20.0;

/// A curve: its class, its name, and a value for each step.
struct Curve {
    class: &'static str,
    name: &'static str,
    values: Vec<f64>,
}

impl Curve {
    fn new(class: &'static str, name: &'static str, steps: usize) -> Self {
        Self { class, name, values: vec![0.0; steps] }
    }

    /// How wide a step is.
    fn wide(&self) -> f64 {
        WIDE / self.values.len() as f64
    }

    /// Spreads an amount evenly over the steps between two places.
    fn spread(&mut self, (from, to): (f64, f64), amount: f64) {
        let (wide, steps) = (self.wide(), self.values.len());
        let bin = |x: f64| ((x / wide) as usize).min(steps - 1);
        let (first, last) = (bin(from), bin(to.max(from)));
        for at in first..=last {
            let part = (to.min((at + 1) as f64 * wide) - from.max(at as f64 * wide)).max(0.0);
            self.values[at] +=
                if to > from { amount * part / (to - from) } else { amount / (last - first + 1) as f64 };
        }
    }

    /// Spreads the growth of a number between each two lines of the history.
    fn grow(&mut self, story: &Story, axis: &Axis, number: impl Fn(&Standing) -> f64) {
        for (at, run) in story.runs.iter().enumerate() {
            let mut before = (run.began_ms, before_of(story, at, &number));
            for (at_ms, standing) in &run.standings {
                let value = number(standing);
                let grown = (value - before.1).max(0.0);
                self.spread((axis.x(before.0), axis.x(*at_ms)), grown);
                before = (*at_ms, value.max(before.1));
            }
        }
    }

    /// Turns the amount in each step into an amount per second. A step that is mostly folded has hardly any seconds, and
    /// counts together with the step beside it.
    fn each_second(mut self, axis: &Axis) -> Self {
        let (wide, steps) = (self.wide(), self.values.len());
        let seconds = |at: usize| axis.seconds(at as f64 * wide, (at + 1) as f64 * wide);
        let seconds: Vec<f64> = (0..steps).map(seconds).collect();
        let whole = seconds.iter().copied().fold(0.0, f64::max);
        let amounts = self.values.clone();
        self.values =
            amounts.iter().zip(&seconds).map(|(amount, seconds)| amount / seconds.max(whole / 2.0)).collect();
        for at in (0..steps).filter(|at| seconds[*at] < whole / 2.0 && amounts[*at] > 0.0) {
            let beside = [at.wrapping_sub(1), at + 1].into_iter().filter(|other| *other < steps);
            if let Some(with) = beside.max_by(|one, other| seconds[*one].total_cmp(&seconds[*other])) {
                let rate = (amounts[at] + amounts[with]) / (seconds[at] + seconds[with]).max(whole / 2.0);
                (self.values[at], self.values[with]) = (rate, rate);
            }
        }
        self
    }

    fn most(&self) -> f64 {
        self.values.iter().copied().fold(0.0, f64::max)
    }
}

/// The number with which a run began: a sum over all runs goes on where the run before it, of the same shard, ended.
fn before_of(story: &Story, at: usize, number: &impl Fn(&Standing) -> f64) -> f64 {
    let run = &story.runs[at];
    let is_before = |other: &&RunSpan| other.shard == run.shard;
    story.runs[..at].iter().rev().find(is_before).map_or(0.0, |before| number(&before.last()))
}

pub(super) fn curves(story: &Story, axis: &Axis) -> Vec<Drawing> {
    let word = story.names.word.singular();
    let rate = |value: f64| format!("{} {word}s/s", figure(value));
    let bytes = |value: f64| format!("{}/s", size(value as u64));
    let all = [
        curve("Throughput", &format!("{word}s that ended in each second"), done(story, axis), &rate, axis),
        curve(
            "In flight",
            &format!("{word}s at work at the same time"),
            in_flight(story, axis),
            &figure,
            axis,
        ),
        curve(
            "Bytes",
            "Input that was worked through, and output, in each second",
            flow(story, axis),
            &bytes,
            axis,
        ),
        curve(
            "Waiting",
            "The commit thread: which part of its time it waited for the disk at checkpoints",
            waiting(story, axis),
            &|value| format!("{} %", figure(value * 100.0)),
            axis,
        ),
        curve(
            "Ahead",
            &format!("Completed {word}s that wait for one before them"),
            ahead(story, axis),
            &figure,
            axis,
        ),
    ];
    all.into_iter().flatten().collect()
}

/// A number with as many decimal places as three figures allow: `1.23`, `35.1`, `1200`.
fn figure(value: f64) -> String {
    match value {
        _ if value >= 99.5 => format!("{value:.0}"),
        _ if value >= 9.95 => format!("{value:.1}"),
        _ => short(value),
    }
}

fn done(story: &Story, axis: &Axis) -> Vec<Curve> {
    let (mut done, mut failed) =
        (Curve::new("done", "done", steps_of(story)), Curve::new("failed", "failed", steps_of(story)));
    if story.attempts.is_empty() {
        done.grow(story, axis, |standing| (standing.done + standing.beyond) as f64);
        failed.grow(story, axis, |standing| standing.failed as f64);
    }
    for attempt in &story.attempts {
        let curve = match attempt.outcome {
            Outcome::Done(_) => &mut done,
            Outcome::Open | Outcome::Interrupted => continue,
            Outcome::Code(_)
            | Outcome::Signal(_)
            | Outcome::TimedOut
            | Outcome::WantedTerminal
            | Outcome::NotStarted => &mut failed,
        };
        let x = axis.x(attempt.ended_ms);
        curve.spread((x, x), 1.0);
    }
    vec![done.each_second(axis), failed.each_second(axis)]
}

fn in_flight(story: &Story, axis: &Axis) -> Vec<Curve> {
    let mut curve = Curve::new("flight", "at work", steps_of(story));
    let wide = curve.wide();
    for attempt in &story.attempts {
        let (from, to) = (axis.x(attempt.began_ms), axis.x(attempt.ended_ms));
        curve.spread((from, to), (to - from) / wide);
    }
    if story.attempts.is_empty() {
        for run in &story.runs {
            let ends = run.standings.iter().skip(1).map(|(at, _)| *at).chain([run.ended_ms]);
            for ((at, standing), end) in run.standings.iter().zip(ends) {
                let (from, to) = (axis.x(*at), axis.x(end));
                curve.spread((from, to), standing.in_flight as f64 * (to - from) / wide);
            }
        }
    }
    vec![curve]
}

fn flow(story: &Story, axis: &Axis) -> Vec<Curve> {
    let (mut input, mut output) =
        (Curve::new("input", "in", steps_of(story)), Curve::new("output", "out", steps_of(story)));
    input.grow(story, axis, |standing| standing.bytes as f64);
    output.grow(story, axis, |standing| standing.output_bytes as f64);
    // The history counts the input and output of the job. If it counts none, the bytes of the commands are shown.
    for (curve, of) in [(&mut input, 0), (&mut output, 1)] {
        if curve.most() == 0.0 {
            for attempt in &story.attempts {
                let bytes = if of == 0 { attempt.bytes.0 } else { attempt.bytes.1 };
                curve.spread((axis.x(attempt.began_ms), axis.x(attempt.ended_ms)), bytes as f64);
            }
        }
    }
    vec![input.each_second(axis), output.each_second(axis)]
}

/// The share of time in which the commit thread waited. This number begins at 0 in each run, unlike the other sums.
fn waiting(story: &Story, axis: &Axis) -> Vec<Curve> {
    let mut curve = Curve::new("disk", "waited for the disk", steps_of(story));
    for run in &story.runs {
        let mut before = (run.began_ms, 0.0);
        for (at_ms, standing) in &run.standings {
            let grown = (standing.checkpoint_seconds - before.1).max(0.0);
            curve.spread((axis.x(before.0), axis.x(*at_ms)), grown);
            before = (*at_ms, standing.checkpoint_seconds);
        }
    }
    vec![curve.each_second(axis)]
}

fn ahead(story: &Story, axis: &Axis) -> Vec<Curve> {
    let mut curve = Curve::new("flight", "wait", steps_of(story));
    let wide = curve.wide();
    for run in &story.runs {
        let ends = run.standings.iter().skip(1).map(|(at, _)| *at).chain([run.ended_ms]);
        for ((at, standing), end) in run.standings.iter().zip(ends) {
            let (from, to) = (axis.x(*at), axis.x(end));
            curve.spread((from, to), standing.beyond as f64 * (to - from) / wide);
        }
    }
    vec![curve]
}

/// Draws curves on one scale; `None` if all their values are 0.
fn curve(
    title: &str,
    about: &str,
    mut curves: Vec<Curve>,
    figure: &dyn Fn(f64) -> String,
    axis: &Axis,
) -> Option<Drawing> {
    curves.retain(|curve| curve.most() > 0.0);
    let most = curves.iter().map(Curve::most).fold(0.0, f64::max);
    if most == 0.0 {
        return None;
    }
    let (steps_in_all, wide) = (curves[0].values.len(), curves[0].wide());
    let shapes = html! {
        (background(axis, HIGH))
        @for curve in &curves { path class={ "curve " (curve.class) } d=(steps(&curve.values, most)) {} }
        @for at in 0..steps_in_all {
            @let values: Vec<_> = curves.iter().filter(|c| c.values[at] > 0.0).map(|c| format!("{} {}", figure(c.values[at]), c.name)).collect();
            @if !values.is_empty() {
                @let title = format!("{}\n{}", clock(axis.at((at as f64 + 0.5) * wide)), values.join("\n"));
                (rect("hover", (at as f64 * wide, 0.0), (wide, HIGH), &title))
            }
        }
    };
    let inner = html! {
        (stretched(ABOVE, HIGH, &shapes))
        text class="most" x=(percent(4.0)) y=(short(ABOVE + 11.0)) { (figure(most)) }
        (times(axis, ABOVE, HIGH))
    };
    let names: Vec<_> = curves.iter().map(|curve| curve.name).collect();
    let about =
        if names.len() > 1 { format!("{about} ({}).", names.join(", ")) } else { format!("{about}.") };
    Some(Drawing { title: title.to_string(), about, high: ABOVE + HIGH + BELOW, is_time: true, inner })
}

/// The outline of a curve in steps, down to the ground.
fn steps(values: &[f64], most: f64) -> String {
    let wide = WIDE / values.len() as f64;
    let mut path = format!("M0 {}", short(HIGH));
    let mut last = 0.0;
    for (at, value) in values.iter().enumerate() {
        if *value != last || at == 0 {
            path.push_str(&format!(
                "H{}V{}",
                short(at as f64 * wide),
                short(HIGH - value / most * (HIGH - 4.0))
            ));
        }
        last = *value;
    }
    path + &format!("H{}V{}Z", short(WIDE), short(HIGH))
}

/// The durations of attempts that ended by themselves.
pub(super) struct Durations {
    /// In microseconds, in order, each with whether the attempt was done.
    sorted: Vec<(u64, bool)>,
}

impl Durations {
    pub(super) fn of(story: &Story) -> Self {
        let is_open = |outcome| matches!(outcome, Outcome::Open | Outcome::Interrupted | Outcome::NotStarted);
        let ended = story.attempts.iter().filter(|attempt| !is_open(attempt.outcome));
        let mut sorted: Vec<_> = ended.map(|attempt| (attempt.took_us, attempt.outcome.is_done())).collect();
        sorted.sort_unstable();
        Self { sorted }
    }

    /// The duration that this share of the attempts did not exceed: the nearest rank.
    pub(super) fn percentile(&self, percent: usize) -> Option<Duration> {
        let rank = (self.sorted.len() * percent).div_ceil(100).max(1);
        self.sorted.get(rank - 1).map(|(took, _)| Duration::from_micros(*took))
    }

    pub(super) fn mean(&self) -> Option<Duration> {
        let sum: u128 = self.sorted.iter().map(|(took, _)| u128::from(*took)).sum();
        let count = self.sorted.len() as u128;
        (count > 0).then(|| Duration::from_micros((sum / count) as u64))
    }

    /// Bars on a logarithmic scale, ten for each power of ten.
    pub(super) fn histogram(&self) -> Option<Drawing> {
        let (first, last) = (self.sorted.first()?.0.max(1), self.sorted.last()?.0.max(1));
        let scale = Scale::new(first as f64, last as f64);
        let mut counts = vec![(0_u64, 0_u64); scale.bars];
        for (took, is_done) in &self.sorted {
            let bar = (scale.x(*took) / WIDE * scale.bars as f64) as usize;
            let bar = &mut counts[bar.min(scale.bars - 1)];
            if *is_done { bar.0 += 1 } else { bar.1 += 1 }
        }
        let marks = [(50, "half"), (90, "90 %"), (99, "99 %")].into_iter();
        let marks = marks.filter_map(|(percent, name)| Some((self.percentile(percent)?, name)));
        let marks: Vec<_> =
            marks.map(|(took, name)| (scale.x(took.as_micros() as u64), took, name)).collect();
        let shapes = html! {
            (scale.bars_of(&counts))
            @for (x, _, _) in &marks { line class="percentile" x1=(short(*x)) x2=(short(*x)) y1="0" y2=(short(TALL)) {} }
        };
        let inner = html! {
            (stretched(MARKS, TALL, &shapes))
            @for (at, (x, took, name)) in marks.iter().enumerate() {
                @let class = if *x > WIDE * 0.6 { "label end" } else { "label" };
                (letters(class, (*x, 12.0 + 14.0 * at as f64), 0, &format!("{name}: {}", time(*took))))
            }
            @for at in scale.ticks() { (letters("tick", (scale.x(at), MARKS + TALL + 14.0), 0, &time(Duration::from_micros(at)))) }
        };
        let (title, about) =
            ("Durations".to_string(), "How long attempts took that ended by themselves, pauses not counted.");
        Some(Drawing { title, about: about.to_string(), high: MARKS + TALL + BELOW, is_time: false, inner })
    }
}

/// How tall the histogram is, and the room above it for the percentiles, in pixels.
const TALL: f64 = 130.0;
const MARKS: f64 = 44.0;

/// A logarithmic scale from one duration to another, in microseconds, and how many bars it has.
struct Scale {
    low: f64,
    powers: f64,
    bars: usize,
}

impl Scale {
    fn new(first: f64, last: f64) -> Self {
        let powers = (last / first).log10().max(0.2) * 1.001;
        Self { low: first.log10(), powers, bars: ((powers * 10.0).ceil() as usize).clamp(12, 60) }
    }

    fn x(&self, took: u64) -> f64 {
        ((took.max(1) as f64).log10() - self.low) / self.powers * WIDE
    }

    /// The duration at the left side of a bar.
    fn border(&self, bar: usize) -> u64 {
        10_f64.powf(self.low + self.powers * bar as f64 / self.bars as f64) as u64
    }

    /// Powers of ten, or both ends if there are fewer than two in between.
    fn ticks(&self) -> Vec<u64> {
        let powers: Vec<u64> = (0..15)
            .map(|power| 10_u64.pow(power))
            .filter(|at| (20.0..WIDE - 20.0).contains(&self.x(*at)))
            .collect();
        if powers.len() > 1 { powers } else { vec![self.border(0), self.border(self.bars)] }
    }

    /// A bar for each pair of counts, done and failed. A bar for a single attempt is still visible.
    fn bars_of(&self, counts: &[(u64, u64)]) -> Markup {
        let most = counts.iter().map(|(done, failed)| done + failed).max().unwrap_or(1) as f64;
        let high = |count: u64| if count == 0 { 0.0 } else { (count as f64 / most * (TALL - 8.0)).max(1.5) };
        let wide = WIDE / self.bars as f64;
        let shown = |bar| time(Duration::from_micros(self.border(bar)));
        html! {
            @for (at, (done, failed)) in counts.iter().enumerate() {
                @let (up, more) = (high(*done), high(*failed));
                @let x = at as f64 * wide;
                (rect("done", (x + 0.75, TALL - up), (wide - 1.5, up), ""))
                (rect("failed", (x + 0.75, TALL - up - more), (wide - 1.5, more), ""))
                (rect("hover", (x, 0.0), (wide, TALL), &format!("{} to {}\n{done} done, {failed} failed", shown(at), shown(at + 1))))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let durations = Durations { sorted: (1..=10).map(|took| (took, true)).collect() };
        let of = |percent| durations.percentile(percent).map(|took| took.as_micros());
        assert_eq!([1, 50, 90, 99].map(of), [Some(1), Some(5), Some(9), Some(10)]);
        assert_eq!(Durations { sorted: Vec::new() }.percentile(50), None);
    }

    #[test]
    fn what_is_spread_is_neither_lost_nor_made() {
        let mut curve = Curve::new("done", "done", 250);
        for (from, to) in [(0.0, WIDE), (1.0, 1.5), (999.9, WIDE), (7.0, 7.0), (WIDE, WIDE)] {
            curve.spread((from, to), 2.0);
        }
        assert!((curve.values.iter().sum::<f64>() - 10.0).abs() < 1e-9);
    }

    #[test]
    fn a_step_at_the_edge_of_a_fold_is_no_peak() {
        let axis = Axis::new(vec![(0, 10_000), (1_000_000, 1_090_000)]);
        let mut curve = Curve::new("done", "done", 50);
        for second in (0..10).chain(1000..1090) {
            let (from, to) = (axis.x(second * 1000), axis.x(second * 1000 + 1000));
            curve.spread((from, to), 5.0);
        }
        let rates = curve.each_second(&axis).values;
        assert!(rates.iter().all(|rate| *rate < 5.1), "{rates:?}");
        assert!(rates.iter().filter(|rate| **rate > 4.9).count() > 44, "{rates:?}");
    }
}
