//! The story of a job, read from the states of all its runs and shards: its attempts, its runs, sums, and short lists.
//!
//! A journal may have millions of entries. Of each attempt only some numbers stay in memory. The note of an attempt stays
//! if there are few enough attempts to draw each of them, and in the lists of the slowest, the failed and others.

use super::runs::{How, RunSpan, runs_of};
use crate::cli::attempt::{TaskNames, has_failed, words};
use crate::cli::shards::whole_of;
use bivouac::disk::OsDisk;
use bivouac::history::Moment;
use bivouac::journal::{Entries, Entry, Outcome};
use bivouac::record::{Phase, Record};
use bivouac::state_dir::{Peek, peek};
use bivouac::{Result, Shards};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Up to this many attempts are drawn one by one.
pub(super) const ONE_BY_ONE: usize = 4000;

/// How many rows a list has at most.
const LISTED: usize = 20;

#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) task: u64,
    pub(super) number: u32,
    /// From 1; 0 in a job without shards.
    pub(super) shard: u64,
    /// From 1; 0 if it is not known.
    pub(super) slot: u32,
    pub(super) began_ms: u64,
    pub(super) ended_ms: u64,
    pub(super) took_us: u64,
    pub(super) outcome: Outcome,
    /// Bytes of standard input, and of standard output.
    pub(super) bytes: (u64, u64),
    pub(super) note: String,
}

/// Sums over all attempts.
#[derive(Debug, Default)]
pub(super) struct Sums {
    pub(super) attempts: u64,
    pub(super) by_outcome: BTreeMap<&'static str, u64>,
    pub(super) retries: u64,
    /// Processor time of all attempts, in microseconds.
    pub(super) cpu_us: u64,
    /// The most memory of one attempt.
    pub(super) peak_bytes: u64,
    pub(super) bytes: (u64, u64),
}

/// The entries with the largest numbers, the largest first; at most [`LISTED`].
#[derive(Debug, Default)]
pub(super) struct Top(pub(super) Vec<(u64, Entry)>);

impl Top {
    fn see(&mut self, key: u64, entry: &Entry) {
        let at = self.0.partition_point(|(other, _)| Reverse(*other) <= Reverse(key));
        if at < LISTED && key > 0 {
            self.0.insert(at, (key, entry.clone()));
            self.0.truncate(LISTED);
        }
    }
}

#[derive(Debug)]
pub(super) struct Story {
    pub(super) state: String,
    pub(super) job: String,
    pub(super) names: TaskNames,
    pub(super) phase: String,
    /// The command line that continues the job, and the directory in which to type it.
    pub(super) command: Option<(String, Option<String>)>,
    pub(super) done: u64,
    pub(super) failed: u64,
    pub(super) tasks: Option<u64>,
    pub(super) shards: u64,
    pub(super) attempts: Vec<Attempt>,
    pub(super) runs: Vec<RunSpan>,
    pub(super) sums: Sums,
    pub(super) slowest: Top,
    /// The latest failure comes first.
    pub(super) failures: Top,
    pub(super) hungriest: Top,
    pub(super) busiest: Top,
}

impl Story {
    pub(super) fn of(state: &Path) -> Result<Self> {
        if let Some(shards) = Shards::find(state)? {
            let (job, fingerprint) = shards.job();
            let whole = Record::new(job, fingerprint.clone(), ().into());
            return Self::read_all(state, &whole, Some(&shards), shards.states());
        }
        let record = peek(&OsDisk, state)?.record.unwrap_or_default();
        let of_shard = whole_of(state).map_or(Ok(None), Shards::find)?;
        let all = of_shard.as_ref().map(Shards::states).unwrap_or_default();
        let number =
            all.iter().find(|(_, of)| of.file_name() == state.file_name()).and_then(|(number, _)| *number);
        Self::read_all(state, &record, of_shard.as_ref(), vec![(number, state.to_path_buf())])
    }

    fn read_all(
        state: &Path,
        record: &Record,
        shards: Option<&Shards>,
        states: Vec<(Option<u64>, PathBuf)>,
    ) -> Result<Self> {
        let mut story = Self {
            state: state.display().to_string(),
            job: record.job.clone(),
            names: TaskNames::of(Some(record)),
            phase: String::new(),
            command: None,
            done: 0,
            failed: 0,
            tasks: Some(0),
            shards: shards.map_or(0, Shards::count),
            attempts: Vec::new(),
            runs: Vec::new(),
            sums: Sums::default(),
            slowest: Top::default(),
            failures: Top::default(),
            hungriest: Top::default(),
            busiest: Top::default(),
        };
        let mut phases = Vec::new();
        for (shard, state) in states {
            let looked = match peek(&OsDisk, &state) {
                Ok(looked) => looked,
                Err(_) if shards.is_some() => continue, // It has not begun.
                Err(error) => return Err(error),
            };
            phases.push(phase_of(&looked));
            // The merge of shards has a state as well. Its tasks are those of the shards, and are counted there.
            if let (Some(record), true) = (&looked.record, shard.is_some() || shards.is_none()) {
                story.done += record.committed();
                story.failed += record.failed;
                story.tasks = story.tasks.zip(record.tasks).map(|(sum, tasks)| sum + tasks);
            }
            let continuing = looked.holder.as_ref().and_then(|holder| holder.continuing.clone());
            story.command = story.command.or(continuing.map(|with| (with.command, with.directory)));
            let number = |task| match (shards, shard) {
                (Some(shards), Some(shard)) => shards.number_of(shard, task),
                (Some(_) | None, _) => task,
            };
            story.read(&state, &looked, (shard.unwrap_or(0), &number))?;
        }
        let is_same = phases.iter().all(|phase| *phase == phases[0]);
        story.phase = match phases.first() {
            None => "not begun".to_string(),
            Some(phase) if is_same => (*phase).to_string(),
            Some(_) => format!(
                "{} of {} shards finished",
                phases.iter().filter(|p| **p == "finished").count(),
                story.shards
            ),
        };
        story.attempts.sort_by_key(|attempt| attempt.began_ms);
        find_slots(&mut story.attempts);
        Ok(story)
    }

    /// Adds a state: its journal, and its history.
    fn read(
        &mut self,
        state: &Path,
        looked: &Peek,
        (shard, number): (u64, &dyn Fn(u64) -> u64),
    ) -> Result<()> {
        let run = looked.record.as_ref().map_or("", |record| &record.run);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        let mut runs = runs_of(Moment::all(state, run)?, shard, looked.locked.then_some(now));
        let first = self.attempts.len();
        for entry in Entries::of(state)?.into_iter().flatten() {
            let entry = entry?;
            self.add(&Entry { task: number(entry.task), ..entry }, shard);
        }
        let attempts = &mut self.attempts[first..];
        // A run that was killed did not write when it ended. The latest event of its attempts counts.
        for at in 0..runs.len() {
            let next = runs.get(at + 1).map_or(u64::MAX, |next| next.began_ms);
            if let (How::Killed, run) = (runs[at].how, &mut runs[at]) {
                let signs = attempts.iter().map(|a| a.ended_ms.max(a.began_ms));
                let last = signs.filter(|at| (run.began_ms..next).contains(at)).max();
                run.ended_ms = run.ended_ms.max(last.unwrap_or(0));
            }
        }
        let end = attempts.iter().map(|attempt| attempt.ended_ms).max().unwrap_or(0);
        for open in attempts.iter_mut().filter(|attempt| attempt.outcome == Outcome::Open) {
            let of = runs.iter().rev().find(|run| run.began_ms <= open.began_ms);
            let until = of.map_or(if looked.locked { now } else { end }, |run| run.ended_ms);
            open.ended_ms = until.max(open.began_ms);
        }
        self.runs.append(&mut runs);
        Ok(())
    }

    fn add(&mut self, entry: &Entry, shard: u64) {
        let Entry { task, attempt, began_ms, took_us, outcome, note, measured } = entry;
        let (sums, usage) = (&mut self.sums, measured.usage);
        sums.attempts += 1;
        *sums.by_outcome.entry(words(*outcome).0).or_default() += 1;
        sums.retries += u64::from(*attempt > 1);
        let cpu_us = usage.user_us + usage.system_us;
        if measured.slot > 0 {
            sums.cpu_us += cpu_us;
            sums.peak_bytes = sums.peak_bytes.max(usage.peak_bytes);
            sums.bytes = (sums.bytes.0 + usage.bytes_in, sums.bytes.1 + usage.bytes_out);
        }
        if *outcome != Outcome::Open {
            self.slowest.see(*took_us, entry);
        }
        if has_failed(*outcome) {
            self.failures.see(began_ms + took_us / 1000, entry);
        }
        self.hungriest.see(usage.peak_bytes, entry);
        self.busiest.see(cpu_us, entry);
        if self.attempts.len() == ONE_BY_ONE {
            self.attempts.iter_mut().for_each(|attempt| attempt.note = String::new());
        }
        self.attempts.push(Attempt {
            task: *task,
            number: *attempt,
            shard,
            slot: measured.slot,
            began_ms: *began_ms,
            ended_ms: began_ms + took_us / 1000 + measured.stood_ms,
            took_us: *took_us,
            outcome: *outcome,
            bytes: (usage.bytes_in, usage.bytes_out),
            note: if self.attempts.len() < ONE_BY_ONE { note.clone() } else { String::new() },
        });
    }

    /// How many attempts have this outcome, a word of [`words`].
    pub(super) fn ended(&self, outcome: &str) -> u64 {
        self.sums.by_outcome.get(outcome).copied().unwrap_or(0)
    }

    /// How many attempts failed, for any reason.
    pub(super) fn failed_attempts(&self) -> u64 {
        ["failed", "killed", "timeout", "wanted-terminal", "not-started"]
            .map(|word| self.ended(word))
            .iter()
            .sum()
    }
}

/// Gives a slot to each attempt without one: old journals have no slots, and an attempt without a line about its end has
/// none. Takes the first slot that is free.
///
/// If no slot is free, one of the attempts without an end must be over: its command ended before a kill, and the line about
/// that was not written any more. So such an attempt lasts until another one begins in its slot. If there is none, an
/// attempt with an end gets a new slot, and one without an end is shown by its beginning only.
fn find_slots(attempts: &mut [Attempt]) {
    // For each slot: when it is free, and which attempt without an end is in it.
    let mut slots: BTreeMap<(u64, u32), (u64, Option<usize>)> = BTreeMap::new();
    for attempt in attempts.iter().filter(|attempt| attempt.slot > 0) {
        slots.insert((attempt.shard, attempt.slot), (0, None));
    }
    for at in 0..attempts.len() {
        let Attempt { shard, began_ms, ended_ms, outcome, .. } = attempts[at];
        let is_open = outcome == Outcome::Open;
        if attempts[at].slot == 0 {
            let ours = || slots.range((shard, 1)..=(shard, u32::MAX));
            let free = ours().find(|(_, (end, _))| *end <= began_ms);
            let unseen = || ours().filter(|(_, (_, open))| open.is_some()).min_by_key(|(_, (_, open))| *open);
            let next = ours().next_back().map_or(1, |((_, slot), _)| slot + 1);
            let crowded = ours().min_by_key(|(_, (end, _))| *end).filter(|_| is_open);
            let found = free.or_else(unseen);
            attempts[at].slot = found.or(crowded).map_or(next, |((_, slot), _)| *slot);
            if found.is_none() && crowded.is_some() {
                attempts[at].ended_ms = began_ms;
                continue;
            }
        }
        let slot = slots.entry((shard, attempts[at].slot)).or_default();
        if let Some(unseen) = slot.1.take().filter(|_| slot.0 > began_ms) {
            attempts[unseen].ended_ms = began_ms;
        }
        *slot = (ended_ms.max(if is_open { 0 } else { slot.0 }), is_open.then_some(at));
    }
}

fn phase_of(looked: &Peek) -> &'static str {
    match (looked.locked, looked.record.as_ref().map(|record| record.phase)) {
        (true, _) => "running",
        (false, Some(Phase::Done { .. })) => "finished",
        (false, Some(Phase::Working | Phase::Finalizing { .. }) | None) => "to be continued",
    }
}
