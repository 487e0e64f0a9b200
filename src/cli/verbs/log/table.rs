//! The log for people: a row for each attempt, and totals.

use crate::cli::attempt::words;
use crate::cli::format::{TaskWord, count, local, time};
use crate::jobs::text::visible;
use bivouac::journal::{Entry, Outcome};
use std::time::{Duration, UNIX_EPOCH};

const BEGAN: usize = 19;

/// Columns of the longest usual outcome, `wanted-terminal`.
const OUTCOME: usize = 15;

const TOOK: usize = 9;

pub(super) struct Table {
    word: TaskWord,
    number: usize,
    attempts: u64,
    done: u64,
    failed: u64,
    interrupted: u64,
    open: u64,
    took: Duration,
}

impl Table {
    pub(super) fn new(word: TaskWord, tasks: Option<u64>) -> Self {
        let number = tasks.map_or(0, |tasks| tasks.to_string().len()).max(word.singular().len()).max(6);
        Self { word, number, attempts: 0, done: 0, failed: 0, interrupted: 0, open: 0, took: Duration::ZERO }
    }

    pub(super) fn header(&self) -> String {
        let (name, number) = (self.word.singular().to_uppercase(), self.number);
        format!(
            "{:<BEGAN$}  {name:>number$}  TRY  {:<OUTCOME$}  {:>TOOK$}  WHAT\n",
            "BEGAN", "OUTCOME", "TIME"
        )
    }

    pub(super) fn row(&mut self, entry: &Entry) -> String {
        self.add(entry);
        let began = local(UNIX_EPOCH + Duration::from_millis(entry.began_ms.min(super::LAST_DAY)));
        let (outcome, number) = words(entry.outcome);
        let outcome = number.map_or(outcome.to_string(), |number| format!("{outcome} {number}"));
        let is_open = entry.outcome == Outcome::Open;
        let took = if is_open { String::new() } else { time(Duration::from_micros(entry.took_us)) };
        let (task, width, attempt) = (entry.task + 1, self.number, entry.attempt);
        let note = visible(&entry.note).replace('\n', " ");
        let row = format!(
            "{began:<BEGAN$}  {task:>width$}  {attempt:>3}  {outcome:<OUTCOME$}  {took:>TOOK$}  {note}"
        );
        row.trim_end().to_string() + "\n"
    }

    fn add(&mut self, entry: &Entry) {
        self.attempts += 1;
        let sum = match entry.outcome {
            Outcome::Done(_) => &mut self.done,
            Outcome::Code(_)
            | Outcome::Signal(_)
            | Outcome::TimedOut
            | Outcome::WantedTerminal
            | Outcome::NotStarted => &mut self.failed,
            Outcome::Interrupted => &mut self.interrupted,
            Outcome::Open => &mut self.open,
        };
        *sum += 1;
        if entry.outcome != Outcome::Open {
            self.took = self.took.saturating_add(Duration::from_micros(entry.took_us));
        }
    }

    /// `12 attempts: 9 done, 1 failed; 34.2 s in all, 3.4 s each`.
    pub(super) fn totals(&self) -> String {
        let sums = [
            (self.done, "done"),
            (self.failed, "failed"),
            (self.interrupted, "interrupted"),
            (self.open, "open"),
        ];
        let sums: Vec<_> =
            sums.iter().filter(|(sum, _)| *sum > 0).map(|(sum, what)| format!("{sum} {what}")).collect();
        let Some(ended) = u32::try_from(self.attempts - self.open).ok().filter(|ended| *ended > 0) else {
            return format!("{}\n", count(self.attempts, "attempt"));
        };
        let (attempts, took) = (count(self.attempts, "attempt"), time(self.took));
        format!("{attempts}: {}; {took} in all, {} each\n", sums.join(", "), time(self.took / ended))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bivouac::journal::Measured;

    fn entry(task: u64, outcome: Outcome, took_us: u64) -> Entry {
        let note = "a \u{1b}[2J, bytes 0 to 9".to_string();
        let measured = Measured::default();
        Entry { task, attempt: 1, began_ms: 1_795_493_524_250, took_us, outcome, note, measured }
    }

    #[test]
    fn rows_stand_below_their_heads_and_the_totals_at_the_end() {
        let mut table = Table::new(TaskWord::Chunk, Some(3_000_000));
        let mut text = table.header();
        for entry in [
            entry(3, Outcome::Code(7), 1_500_000),
            entry(1_234_567, Outcome::Done(0), 500_000),
            entry(4, Outcome::Open, 0),
        ] {
            text.push_str(&table.row(&entry));
        }
        text.push_str(&table.totals());
        let began = local(UNIX_EPOCH + Duration::from_millis(1_795_493_524_250));
        let expected = [
            "BEGAN                  CHUNK  TRY  OUTCOME               TIME  WHAT".to_string(),
            format!("{began}        4    1  failed 7             1.5 s  a \\x1b[2J, bytes 0 to 9"),
            format!("{began}  1234568    1  done 0            500.0 ms  a \\x1b[2J, bytes 0 to 9"),
            format!("{began}        5    1  {:<28}a \\x1b[2J, bytes 0 to 9", "open"),
            "3 attempts: 1 done, 1 failed, 1 open; 2.0 s in all, 1.0 s each".to_string(),
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
        assert_eq!(Table::new(TaskWord::Item, None).totals(), "0 attempts\n");
    }
}
