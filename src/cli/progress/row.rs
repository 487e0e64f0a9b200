//! The progress line as text: its fields, the bar, and a row for each slot.
//!
//! A row that is too long for its window must not be cut off: at 40 columns that would leave the phase and a half
//! of the amount, where the share and the time left are asked for. So each field has a rank, and fields are
//! left out from the last rank on until the row fits.

use crate::cli::format::{TaskWord, clock, fitted, percent, size};
use crate::jobs::text::visible;
use bivouac::{Activity, AtWork, Progress};
use std::ops::RangeInclusive;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Look {
    pub(super) colour: bool,
    pub(super) unicode: bool,
}

/// SGR parameters.
const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "31";
const YELLOW: &str = "33";
const CYAN: &str = "36";

impl Look {
    fn paint(self, style: &str, text: &str) -> String {
        if self.colour && !text.is_empty() { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_string() }
    }
}

/// Columns of the bar: as many as are left over, within these.
const BAR: RangeInclusive<usize> = 8..=40;

/// Columns between two fields.
const GAP: usize = 2;

/// How many columns the bar may be shorter than it could be, before it becomes longer: an amount that changes by a
/// digit must not move all that follows.
const SLACK: usize = 4;

struct Field {
    text: String,
    /// The lower, the longer it stays in a window that becomes narrower.
    rank: u8,
    style: Option<&'static str>,
}

const BAR_RANK: u8 = 2;

fn fields(now: &Progress, word: TaskWord) -> Vec<Field> {
    let share = percent(now.share());
    let by_bytes = now.bytes_total.is_some() || now.bytes > 0;
    // A job that does not move has no rate and no time left.
    let moves = match now.phase {
        Activity::Running | Activity::Stopping | Activity::Finishing => true,
        Activity::Pausing | Activity::Paused | Activity::Aborting => false,
    };
    let amount = match (by_bytes, now.bytes_total) {
        (true, Some(total)) => format!("{} of {}", size(now.bytes), size(total)),
        (true, None) => size(now.bytes),
        (false, _) => word.of(now.frontier, now.tasks),
    };
    let rate = match by_bytes {
        true => now.bytes_per_second.map(|rate| format!("{}/s", size(rate as u64))),
        false => now.tasks_per_second.map(|rate| format!("{rate:.1} {}s/s", word.singular())),
    };
    let is_running = now.phase == Activity::Running;
    let left = now.left.filter(|_| is_running).map(|left| format!("{} left", clock(left)));
    // That it runs is seen; anything else must be said.
    let phase_rank = if is_running && share.is_some() { 9 } else { 1 };
    let field = |text: String, rank| Field { text, rank, style: None };
    let mut all =
        vec![Field { style: (!is_running).then_some(YELLOW), ..field(now.phase.to_string(), phase_rank) }];
    all.extend(share.map(|share| Field { style: Some(BOLD), ..field(format!("{share} %"), 0) }));
    all.push(field(amount, 5));
    all.extend(rate.filter(|_| moves).map(|rate| field(rate, 6)));
    all.push(field(format!("{} elapsed", clock(now.worked)), 7));
    all.extend(left.map(|left| field(left, 4)));
    all.push(field(format!("{} in flight", now.in_flight), 8));
    if now.failed > 0 {
        all.push(Field { style: Some(RED), ..field(format!("{} failed", now.failed), 3) });
    }
    all
}

/// The fields as plain text: for a line of a log.
pub(crate) fn plain(now: &Progress, word: TaskWord) -> String {
    let texts: Vec<_> = fields(now, word).into_iter().map(|field| field.text).collect();
    texts.join("  ")
}

/// The row for a window of so many columns, the last of which stay free. `bar` is how long the bar was before.
pub(super) fn row(now: &Progress, word: TaskWord, width: usize, look: Look, bar: &mut usize) -> String {
    let mut all = fields(now, word);
    let (done, total) = now.share();
    let total = total.filter(|total| *total > 0);
    let length = |all: &[Field], rank: u8| {
        let shown =
            all.iter().filter(|field| field.rank <= rank).map(|field| field.text.chars().count() + GAP);
        let bar = if total.is_some() && rank >= BAR_RANK { BAR.start() + GAP } else { 0 };
        (shown.sum::<usize>() + bar).saturating_sub(GAP)
    };
    let rank = (0..=9).rev().find(|rank| length(&all, *rank) <= width).unwrap_or(0);
    let Some(left_over) = width.checked_sub(length(&all, rank)) else { return String::new() };
    all.retain(|field| field.rank <= rank);
    let mut texts: Vec<String> = all
        .iter()
        .map(|field| field.style.map_or_else(|| field.text.clone(), |style| look.paint(style, &field.text)))
        .collect();
    if let Some(total) = total.filter(|_| rank >= BAR_RANK) {
        let longest = (left_over + BAR.start()).min(*BAR.end());
        if !(longest.saturating_sub(SLACK)..=longest).contains(bar) {
            *bar = longest;
        }
        let style = if now.phase == Activity::Running { CYAN } else { YELLOW };
        let after_share = 1 + all.iter().position(|field| field.rank == 0).unwrap_or(0);
        texts.insert(after_share, drawn_bar(done.min(total) as f64 / total as f64, *bar, style, look));
    }
    texts.join(&" ".repeat(GAP))
}

/// A bar of so many columns, in steps of half a column.
fn drawn_bar(share: f64, columns: usize, style: &str, look: Look) -> String {
    if !look.unicode {
        let inside = columns.saturating_sub(2);
        let full = (share * inside as f64) as usize;
        let head = if full < inside { ">" } else { "" };
        let bar = "=".repeat(full) + head;
        return format!("[{}]", look.paint(style, &format!("{bar:<inside$}")));
    }
    let halves = (share * (2 * columns) as f64) as usize;
    let full = "━".repeat(halves / 2) + if halves % 2 == 1 { "╸" } else { "" };
    // Without a colour the rest must look different by itself.
    let rest = if look.colour { "━" } else { "─" }.repeat(columns - halves.div_ceil(2));
    look.paint(style, &full) + &look.paint(DIM, &rest)
}

/// A row for each slot: what runs in it, and for how long. At most `rows`; the last one counts the rest.
pub(super) fn slots(
    now: &Progress,
    word: TaskWord,
    workers: usize,
    (width, rows): (usize, usize),
    look: Look,
) -> Vec<String> {
    let slot_of = |one: &AtWork| one.slot;
    let slots = now.at_work.iter().filter_map(slot_of).max().unwrap_or(0).max(workers);
    let shown = if slots > rows { rows.saturating_sub(1) } else { slots };
    let name_length = now.at_work.iter().map(|one| word.name(one.task).len()).max().unwrap_or(0);
    let row = |slot: usize| {
        let number = format!("{slot:>digits$}", digits = slots.to_string().len() + 1);
        let Some(one) = now.at_work.iter().find(|one| one.slot == Some(slot)) else {
            return look.paint(DIM, &fitted(&format!("{number}  idle"), width));
        };
        let name = word.name(one.task);
        let text = format!("{number}  {name:<name_length$}  {:>5}  {}", clock(one.since), visible(&one.note));
        fitted(text.trim_end(), width)
    };
    let mut all: Vec<String> = (1..=shown).map(row).collect();
    if shown < slots && rows > 0 {
        let busy = now.at_work.iter().filter_map(slot_of).filter(|slot| *slot > shown).count();
        all.push(
            look.paint(DIM, &fitted(&format!("   and {} more slots, {busy} busy", slots - shown), width)),
        );
    }
    all
}
