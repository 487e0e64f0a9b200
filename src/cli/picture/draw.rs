//! The elements of all drawings. One drawing serves the page, a phone, paper, and a picture in a file.
//!
//! The obvious drawing has a `viewBox` and grows and shrinks as a whole. On a phone its letters are then a millimetre high.
//! So heights are pixels, and only places across are shares of the width: shapes are in an inner `svg` that is stretched,
//! and letters and marks are placed in percent. The script zooms by changing the `viewBox` of the inner `svg` and the places
//! of letters and marks.

use super::axis::{Axis, WIDE};
use crate::cli::format::{age, time};
use crate::jobs::text::visible;
use maud::{Markup, html};
use std::time::Duration;

/// The part of the width on the left, in percent, in which the names of rows stand. `zoom.js` uses it too.
pub(super) const GUTTER: f64 = 6.0;

/// A drawing, `high` pixels high.
pub(super) struct Drawing {
    pub(super) title: String,
    /// A sentence that the reader needs to understand it.
    pub(super) about: String,
    pub(super) high: f64,
    /// Time goes across, and the reader can zoom into it.
    pub(super) is_time: bool,
    pub(super) inner: Markup,
}

/// A place across in percent of the whole width, for letters.
pub(super) fn percent(x: f64) -> String {
    format!("{:.3}%", GUTTER + x / WIDE * (100.0 - GUTTER))
}

/// A number with two decimal places at most. They are a hundredth of a pixel, so a zoom of a hundred is exact.
pub(super) fn short(number: f64) -> String {
    let text = format!("{number:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

/// The stretched part, from `top` on.
pub(super) fn stretched(top: f64, high: f64, shapes: &Markup) -> Markup {
    let (x, width) = (format!("{GUTTER}%"), format!("{}%", 100.0 - GUTTER));
    let view = format!("0 0 {WIDE} {}", short(high));
    html! {
        svg class="z" x=(x) y=(short(top)) width=(width) height=(short(high)) viewBox=(view)
            preserveAspectRatio="none" { (shapes) }
    }
}

pub(super) fn rect(class: &str, (x, y): (f64, f64), (wide, high): (f64, f64), title: &str) -> Markup {
    html! {
        rect class=(class) x=(short(x)) y=(short(y)) width=(short(wide)) height=(short(high)) {
            @if !title.is_empty() { title { (title) } }
        }
    }
}

/// Letters at a place across that moves when the reader zooms; shown from this level of zoom on.
pub(super) fn letters(class: &str, (x, y): (f64, f64), level: usize, text: &str) -> Markup {
    html! { text class=(class) x=(percent(x)) y=(short(y)) data-x=(short(x)) data-level=(level) { (text) } }
}

/// Lines at round times and strips for folded ones, behind everything else.
pub(super) fn background(axis: &Axis, high: f64) -> Markup {
    html! {
        @for piece in axis.folds() {
            (rect("fold", (piece.x, 0.0), (piece.wide, high), &rested(piece.to_ms - piece.from_ms)))
        }
        @for (x, _) in axis.ticks(LEVELS[SHOWN]) {
            line class="grid" x1=(short(x)) x2=(short(x)) y1="0" y2=(short(high)) {}
        }
    }
}

fn rested(ms: u64) -> String {
    format!("nothing ran for {}", lasted(ms))
}

pub(super) fn lasted(ms: u64) -> String {
    time(Duration::from_millis(ms))
}

/// How far ticks are apart at each level, from a phone to a deep zoom. The script `zoom.js` chooses the level.
const LEVELS: [f64; 4] = [250.0, 125.0, 25.0, 5.0];

/// The level that is shown where no script runs.
const SHOWN: usize = 1;

/// The lengths of folds are written at least this far from each other.
const APART: f64 = 14.0;

/// The times below a drawing that begins at `top`, and the lengths of its folds, upright in their strips.
pub(super) fn times(axis: &Axis, top: f64, high: f64) -> Markup {
    let mut rests: Vec<(f64, u64)> = Vec::new();
    for fold in axis.folds() {
        let x = fold.x + fold.wide / 2.0;
        if rests.last().is_none_or(|(last, _)| x - last >= APART) {
            rests.push((x, fold.to_ms - fold.from_ms));
        }
    }
    html! {
        @for (level, apart) in LEVELS.into_iter().enumerate() {
            @for (x, label) in axis.ticks(apart) {
                (letters(if level == SHOWN { "tick" } else { "tick more" }, (x, top + high + 15.0), level, &label))
            }
        }
        @for (x, rest) in rests {
            (letters("gap", (x, top + high / 2.0), 0, &age(Duration::from_millis(rest))))
        }
    }
}

/// The text of a user with control characters made visible, and without the two characters that XML forbids.
pub(super) fn plain(text: &str) -> String {
    visible(text).replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")
}
