//! `bivouac log`: what ran, when, and how it ended.
//!
//! A journal may have millions of entries, so they are printed as they are read, in columns of a fixed width; only the
//! slowest are collected first, and of these no more than were asked for.

mod table;

use crate::cli::args::verbs::{LogArgs, LogAs};
use crate::cli::attempt::{TaskNames, has_failed, words};
use crate::cli::discover::the_last;
use crate::cli::shards::whole_of;
use crate::cli::terminal;
use crate::jobs::joblog;
use crate::jobs::text::visible;
use bivouac::disk::OsDisk;
use bivouac::ending::FINISHED;
use bivouac::journal::{Entries, Entry, Outcome};
use bivouac::record::Record;
use bivouac::state_dir::peek;
use bivouac::{Result, Shards, is_divided};
use serde_json::json;
use std::cmp::Reverse;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};
use table::Table;

/// The format of the JSON objects (`docs/log.md`).
const FORMAT: u32 = 2;

/// How many bytes of text are collected before they are printed.
const COLLECTED: usize = 64 << 10;

pub(crate) fn run(log: &LogArgs) -> Result<u8> {
    let state = the_last(log.state.as_deref(), |state| {
        is_divided(state) || Entries::of(state).is_ok_and(|entries| entries.is_some())
    })?;
    if let Some(shards) = Shards::find(&state)? {
        return of_shards(log, &shards, &shards.states());
    }
    // This comes before the journal: a directory without one may be no state at all.
    let record = peek(&OsDisk, &state)?.record;
    let Some(entries) = Entries::of(&state)? else {
        terminal::message(&format!("{}: this job runs no commands, or none has started", state.display()));
        return Ok(FINISHED);
    };
    if let Some(shards) = whole_of(&state).map_or(Ok(None), Shards::find)? {
        let its_own = shards.states().into_iter().filter(|(_, of)| of.file_name() == state.file_name());
        return of_shards(log, &shards, &its_own.collect::<Vec<_>>());
    }
    print(log, record.as_ref(), meant(log, record.as_ref(), entries))
}

/// The journals of these shards, one after the other, with the numbers that tasks have in the whole job.
fn of_shards(log: &LogArgs, shards: &Shards, states: &[(Option<u64>, PathBuf)]) -> Result<u8> {
    let (job, fingerprint) = shards.job();
    let whole = Record::new(job, fingerprint.clone(), ().into());
    let mut journals = Vec::new();
    for (number, state) in states {
        let (Some(number), Some(entries)) = (*number, Entries::of(state)?) else { continue };
        journals.push((number, peek(&OsDisk, state)?.record, entries));
    }
    let all = journals.into_iter().flat_map(|(number, record, entries)| {
        let entries: Vec<_> = meant(log, record.as_ref(), entries).collect();
        let numbered = move |entry: Entry| Entry { task: shards.number_of(number, entry.task), ..entry };
        entries.into_iter().map(move |entry| entry.map(numbered))
    });
    print(log, Some(&whole), all)
}

fn meant(
    log: &LogArgs,
    record: Option<&Record>,
    entries: impl Iterator<Item = Result<Entry>>,
) -> impl Iterator<Item = Result<Entry>> {
    let since = log.since.map(|at| at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis());
    entries.filter(move |entry| {
        entry.as_ref().map_or(true, |entry| {
            let has_failed = has_failed(entry.outcome) || is_given_up(entry, record);
            (!log.failed || has_failed) && since.is_none_or(|since| u128::from(entry.began_ms) >= since)
        })
    })
}

fn print(
    log: &LogArgs,
    record: Option<&Record>,
    mut meant: impl Iterator<Item = Result<Entry>>,
) -> Result<u8> {
    let mut printer = Printer::new(log, record);
    match log.slowest {
        None => meant.try_for_each(|entry| printer.print(&entry?))?,
        Some(number) => slowest(meant, number as usize)?.iter().try_for_each(|entry| printer.print(entry))?,
    }
    printer.end()
}

/// The entries that took longest, the longest first.
fn slowest(entries: impl Iterator<Item = Result<Entry>>, number: usize) -> Result<Vec<Entry>> {
    let mut kept: Vec<Entry> = Vec::new();
    for entry in entries {
        let entry = entry?;
        let at = kept.partition_point(|other| Reverse(other.took_us) <= Reverse(entry.took_us));
        if at < number {
            kept.insert(at, entry);
            kept.truncate(number);
        }
    }
    Ok(kept)
}

struct Printer {
    format: LogAs,
    names: TaskNames,
    table: Table,
    text: String,
}

impl Printer {
    fn new(log: &LogArgs, record: Option<&Record>) -> Self {
        let names = TaskNames::of(record);
        let table = Table::new(names.word, record.and_then(|record| record.tasks));
        let format = match (log.joblog, log.json) {
            (true, _) => LogAs::Joblog,
            (false, true) => LogAs::Json,
            (false, false) => log.format,
        };
        let text = match format {
            LogAs::Csv => "task,attempt,began,seconds,outcome,code,note\r\n".to_string(),
            LogAs::Joblog => joblog::HEADER.to_string(),
            LogAs::Text => table.header(),
            LogAs::Json => String::new(),
        };
        Self { format, names, table, text }
    }

    fn print(&mut self, entry: &Entry) -> Result<()> {
        let line = match self.format {
            LogAs::Text => self.table.row(entry),
            LogAs::Json => format!("{}\n", json_of(entry)),
            LogAs::Csv => format!("{}\r\n", csv(entry)),
            LogAs::Joblog => joblog::row(entry, &self.names.command(entry)),
        };
        self.text.push_str(&line);
        if self.text.len() < COLLECTED {
            return Ok(());
        }
        terminal::result(std::mem::take(&mut self.text).as_bytes())
    }

    fn end(mut self) -> Result<u8> {
        if self.format == LogAs::Text {
            self.text.push_str(&self.table.totals());
        }
        terminal::result(self.text.as_bytes()).map(|()| FINISHED)
    }
}

/// Whether the item was running when a run was killed, and has left the list since. Then it counts as failed.
fn is_given_up(entry: &Entry, record: Option<&Record>) -> bool {
    entry.outcome == Outcome::Open && record.is_some_and(|record| record.failing.contains(entry.task))
}

fn json_of(entry: &Entry) -> serde_json::Value {
    let (outcome, number) = words(entry.outcome);
    // A code is a number and a signal a name, so a reader need not look which of the two it has.
    let (code, signal) = match (entry.outcome, number) {
        (Outcome::Done(code) | Outcome::Code(code), _) => (Some(code), None),
        (_, signal) => (None, signal),
    };
    let measured = Some(&entry.measured).filter(|measured| measured.slot > 0);
    let usage = measured.map(|measured| measured.usage);
    json!({
        "format": FORMAT,
        "task": entry.task + 1,
        "attempt": entry.attempt,
        "began": began(entry),
        "seconds": entry.took_us as f64 / 1e6,
        "outcome": outcome,
        "code": code,
        "signal": signal,
        "note": entry.note,
        "slot": measured.map(|measured| measured.slot),
        "stood_seconds": measured.map(|measured| measured.stood_ms as f64 / 1e3),
        "user_seconds": usage.map(|usage| usage.user_us as f64 / 1e6),
        "system_seconds": usage.map(|usage| usage.system_us as f64 / 1e6),
        "peak_bytes": usage.map(|usage| usage.peak_bytes),
        "bytes_in": usage.map(|usage| usage.bytes_in),
        "bytes_out": usage.map(|usage| usage.bytes_out),
        "said": Some(&entry.measured.said).filter(|said| !said.is_empty()),
    })
}

/// As RFC 4180 has it: a quote is doubled inside of quotes.
fn csv(entry: &Entry) -> String {
    let (outcome, number) = words(entry.outcome);
    let number = number.unwrap_or_default();
    // People look at a table, too; --format json has the exact text.
    let note = entry.note.lines().map(visible).collect::<Vec<_>>().join("\\n");
    let note = match note.contains([',', '"']) {
        true => format!("\"{}\"", note.replace('"', "\"\"")),
        false => note,
    };
    let seconds = entry.took_us as f64 / 1e6;
    format!("{},{},{},{seconds},{outcome},{number},{note}", entry.task + 1, entry.attempt, began(entry))
}

fn began(entry: &Entry) -> String {
    let at = UNIX_EPOCH + Duration::from_millis(entry.began_ms.min(LAST_DAY));
    humantime::format_rfc3339_millis(at).to_string()
}

/// The last moment of the year 9999; RFC 3339 has no later date.
const LAST_DAY: u64 = 253_402_300_799_000;

#[cfg(test)]
mod tests {
    use super::*;
    use bivouac::journal::Measured;

    fn entry(outcome: Outcome) -> Entry {
        Entry {
            task: 3,
            attempt: 2,
            began_ms: 1_795_493_524_250,
            took_us: 1_500_000,
            outcome,
            note: "a \"b\", bytes 0 to 9".to_string(),
            measured: Measured::default(),
        }
    }

    #[test]
    fn an_entry_is_an_object_or_a_row() {
        let failed = entry(Outcome::Code(7));
        assert_eq!(csv(&failed), "4,2,2026-11-24T04:12:04.250Z,1.5,failed,7,\"a \"\"b\"\", bytes 0 to 9\"");
        assert_eq!(json_of(&failed)["outcome"], "failed");
        assert_eq!(json_of(&failed)["code"], 7);
        assert_eq!(json_of(&entry(Outcome::Signal(11)))["signal"], "SIGSEGV");
        assert!(!has_failed(Outcome::Open) && has_failed(Outcome::TimedOut));
    }

    #[test]
    fn the_slowest_come_first_and_no_more_than_asked_for() {
        let took = [3, 9, 1, 9, 4].map(|took_us| Ok(Entry { took_us, ..entry(Outcome::Done(0)) }));
        let slowest = slowest(took.into_iter(), 3).unwrap();
        assert_eq!(slowest.iter().map(|entry| entry.took_us).collect::<Vec<_>>(), [9, 9, 4]);
    }
}
