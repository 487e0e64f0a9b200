//! Time across the page, without the days on which nothing ran.
//!
//! A job that worked for an hour, and was continued after a weekend, would be two thin lines. So a rest, a time in which
//! nothing moved, is folded to a narrow strip if it is long compared with the work. Moments are milliseconds since 1970,
//! and places on the axis are numbers from 0 to [`WIDE`].

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The right end of the axis.
pub(super) const WIDE: f64 = 1000.0;

/// A strip of folded time is this wide. All strips together are no wider than [`FOLDS`].
const FOLD: f64 = 28.0;
const FOLDS: f64 = 280.0;

/// A rest is folded if it is longer than 1/25 of the work.
const LONG: u64 = 25;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Piece {
    pub(super) from_ms: u64,
    pub(super) to_ms: u64,
    pub(super) x: f64,
    pub(super) wide: f64,
    pub(super) is_folded: bool,
}

#[derive(Debug)]
pub(super) struct Axis {
    pub(super) pieces: Vec<Piece>,
}

impl Axis {
    /// An axis for these times of work, each from one moment to another, in any order.
    pub(super) fn new(mut busy: Vec<(u64, u64)>) -> Self {
        busy.sort_unstable();
        let mut merged: Vec<(u64, u64)> = Vec::new();
        for (from, to) in busy {
            match merged.last_mut() {
                Some(last) if from <= last.1 => last.1 = last.1.max(to),
                Some(_) | None => merged.push((from, to)),
            }
        }
        let work: u64 = merged.iter().map(|(from, to)| to - from).sum();
        let longest = (work / LONG).max(1);
        merged = merged.into_iter().fold(Vec::new(), |mut kept: Vec<(u64, u64)>, (from, to)| {
            match kept.last_mut() {
                Some(last) if from - last.1 <= longest => last.1 = to,
                Some(_) | None => kept.push((from, to)),
            }
            kept
        });
        let folds = merged.len().saturating_sub(1) as f64;
        let fold = FOLD.min(FOLDS / folds.max(1.0));
        let work: u64 = merged.iter().map(|(from, to)| to - from).sum();
        let scale = (WIDE - folds * fold) / work.max(1) as f64;
        let (mut x, mut pieces): (f64, Vec<Piece>) = (0.0, Vec::new());
        for (from_ms, to_ms) in merged {
            if let Some(last) = pieces.last().map(|last| last.to_ms) {
                pieces.push(Piece { from_ms: last, to_ms: from_ms, x, wide: fold, is_folded: true });
                x += fold;
            }
            let wide = (to_ms - from_ms) as f64 * scale;
            pieces.push(Piece { from_ms, to_ms, x, wide, is_folded: false });
            x += wide;
        }
        Self { pieces }
    }

    /// The place of a moment.
    pub(super) fn x(&self, at_ms: u64) -> f64 {
        let at = self.pieces.partition_point(|piece| piece.to_ms < at_ms);
        let Some(piece) = self.pieces.get(at) else { return if self.pieces.is_empty() { 0.0 } else { WIDE } };
        let share = at_ms.saturating_sub(piece.from_ms) as f64 / (piece.to_ms - piece.from_ms).max(1) as f64;
        piece.x + piece.wide * share
    }

    /// The moment at a place.
    pub(super) fn at(&self, x: f64) -> u64 {
        let at = self.pieces.partition_point(|piece| piece.x + piece.wide < x);
        let Some(piece) = self.pieces.get(at).or(self.pieces.last()) else { return 0 };
        let share = if piece.wide > 0.0 { ((x - piece.x) / piece.wide).clamp(0.0, 1.0) } else { 0.0 };
        piece.from_ms + (share * (piece.to_ms - piece.from_ms) as f64) as u64
    }

    /// Seconds of work between two places.
    pub(super) fn seconds(&self, from: f64, to: f64) -> f64 {
        let of = |piece: &&Piece| !piece.is_folded && piece.wide > 0.0;
        let parts = self.pieces.iter().filter(of).map(|piece| {
            let part = (to.min(piece.x + piece.wide) - from.max(piece.x)).max(0.0);
            part / piece.wide * (piece.to_ms - piece.from_ms) as f64 / 1e3
        });
        parts.sum()
    }

    pub(super) fn folds(&self) -> impl Iterator<Item = &Piece> {
        self.pieces.iter().filter(|piece| piece.is_folded)
    }

    /// The places of round moments in local time, with their labels, about `apart` from each other or more.
    pub(super) fn ticks(&self, apart: f64) -> Vec<(f64, String)> {
        let Some(first) = self.pieces.first() else { return Vec::new() };
        let work = self.pieces.iter().filter(|piece| !piece.is_folded);
        let (ms, wide) =
            work.clone().fold((0, 0.0), |(ms, wide), p| (ms + p.to_ms - p.from_ms, wide + p.wide));
        let Some(step) = STEPS.iter().copied().find(|step| *step as f64 * wide >= apart * ms as f64) else {
            return Vec::new();
        };
        let zone = offset_ms(first.from_ms);
        let mut ticks: Vec<(f64, String)> = Vec::new();
        for piece in work {
            let mut at = (piece.from_ms.saturating_add_signed(zone)).div_ceil(step) * step;
            while at <= piece.to_ms.saturating_add_signed(zone) {
                let moment = at.saturating_add_signed(-zone);
                let x = self.x(moment);
                if ticks.last().is_none_or(|(last, _)| x - last >= apart * 0.8) && x <= WIDE - apart * 0.3 {
                    ticks.push((x, label(moment, step)));
                }
                at += step;
            }
        }
        ticks
    }
}

/// The possible times between two ticks, in milliseconds: from 10 ms to a year.
const STEPS: [u64; 26] = [
    10,
    20,
    50,
    100,
    200,
    500,
    1000,
    2000,
    5000,
    10_000,
    20_000,
    30_000,
    60_000,
    120_000,
    300_000,
    600_000,
    1_200_000,
    1_800_000,
    3_600_000,
    7_200_000,
    21_600_000,
    43_200_000,
    86_400_000,
    604_800_000,
    2_592_000_000,
    31_536_000_000,
];

fn offset_ms(at_ms: u64) -> i64 {
    let at = Timestamp::from_millisecond(at_ms.cast_signed()).unwrap_or_default();
    i64::from(TimeZone::system().to_offset(at).seconds()) * 1000
}

fn label(at_ms: u64, step: u64) -> String {
    let pattern = match step {
        0..1000 => "%H:%M:%S%.2f",
        1000..60_000 => "%H:%M:%S",
        60_000..43_200_000 => "%H:%M",
        43_200_000.. => "%b %d",
    };
    let at = Timestamp::from_millisecond(at_ms.cast_signed()).unwrap_or_default();
    TimeZone::system().to_datetime(at).strftime(pattern).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_rest_is_folded_and_a_short_one_is_not() {
        let day = 86_400_000;
        let axis = Axis::new(vec![(day, day + 30_000), (0, 60_000), (60_500, 70_000)]);
        let folded: Vec<_> =
            axis.pieces.iter().map(|piece| (piece.from_ms, piece.to_ms, piece.is_folded)).collect();
        assert_eq!(folded, [(0, 70_000, false), (70_000, day, true), (day, day + 30_000, false)]);
        assert!(axis.x(day + 30_000) == WIDE && axis.x(0) == 0.0 && axis.x(u64::MAX) == WIDE);
        assert!((axis.x(day) - axis.x(70_000) - FOLD).abs() < 1e-9);
        assert!((axis.seconds(0.0, WIDE) - 100.0).abs() < 1e-6);
        for at in [0, 35_000, 70_000, day + 15_000] {
            assert!(axis.at(axis.x(at)).abs_diff(at) <= 1, "{at}");
        }
    }

    #[test]
    fn a_hundred_rests_leave_room_for_the_work_and_no_work_is_no_error() {
        let axis = Axis::new((0..100).map(|n| (n * 1_000_000, n * 1_000_000 + 1000)).collect());
        let folds: f64 = axis.folds().map(|piece| piece.wide).sum();
        assert!(folds <= FOLDS + 1e-9, "{folds}");
        assert_eq!(Axis::new(Vec::new()).x(5), 0.0);
        assert_eq!(Axis::new(vec![(5, 5)]).ticks(100.0).len(), 0);
    }

    #[test]
    fn ticks_are_round_and_apart() {
        let axis = Axis::new(vec![(1_795_493_524_250, 1_795_493_584_250)]);
        let ticks = axis.ticks(110.0);
        assert!((5..=9).contains(&ticks.len()), "{ticks:?}");
        assert!(ticks.iter().all(|(_, label)| label.ends_with('0')), "{ticks:?}");
        assert!(axis.ticks(22.0).len() > ticks.len());
    }
}
