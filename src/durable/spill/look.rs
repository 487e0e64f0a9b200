//! Checks the results that an earlier run has stored: are all of them there, and unharmed?
//!
//! The check comes before anything is changed. A harmed result is no reason to refuse a job, since it can be made again: its
//! task is removed from the record, and runs once more.

use super::frame::{BLOCK, Entry, HEAD, Head, Kind, Part, SegmentRange, seed};
use super::{Cursor, GATHERED, Segment, Spill};
use crate::durable::record::{Ahead, Record};
use crate::durable::state_dir::StateDir;
use crate::error::{At, Result};
use crate::task::Mark;
use crate::task::stop_fd::StopFd;

/// Opens the results that a record names, and takes missing or harmed ones off the record. Returns also how many these are,
/// and calls `tell` for each other task, with its mark. Changes nothing on the disk. If `stop` is set, it is incomplete.
pub(crate) fn look(
    dir: &mut StateDir,
    record: &mut Record,
    stop: &StopFd,
    tell: &mut dyn FnMut(u64, Option<Mark>),
) -> Result<(Spill, u64)> {
    let Some(ahead) = &mut record.ahead else { return Ok((Spill::new(&record.run, 0), 0)) };
    // Tasks that the journal has after the record are committed.
    ahead.tasks.remove_range(0, record.frontier);
    ahead.tasks = ahead.tasks.without(&record.finished);
    let spill = Look { dir, spill: Spill::new(&record.run, ahead.next), wanted: ahead, stop, tell }.look()?;
    let lost = ahead.tasks.len() - spill.tasks.len();
    ahead.tasks = spill.tasks.clone();
    Ok((spill, lost))
}

struct Look<'a> {
    dir: &'a mut StateDir,
    spill: Spill,
    wanted: &'a Ahead,
    stop: &'a StopFd,
    tell: &'a mut dyn FnMut(u64, Option<Mark>),
}

impl Look<'_> {
    fn look(mut self) -> Result<Spill> {
        let run = self.spill.run.clone();
        for named in &self.wanted.segments {
            let Some((file, path)) = self.dir.open_segment(named.number)? else { continue };
            let facts = file.facts().at(&path, "look at")?;
            if !facts.is_file {
                continue;
            }
            // Of one that is shorter, what is there may still be whole.
            let end = named.bytes.min(facts.bytes);
            let segment = Segment::at((file, path), seed(&run, named.number), end);
            self.spill.segments.insert(named.number, Segment { counts: true, named: true, ..segment });
        }
        for number in self.spill.segments.keys().copied().collect::<Vec<_>>() {
            self.look_through(number)?;
        }
        self.spill.last = Some(self.wanted.last);
        Ok(self.spill)
    }

    /// Goes from frame to frame. Where there is none, it goes on at the next place at which one may begin.
    fn look_through(&mut self, number: u64) -> Result<()> {
        let end = self.spill.segment(number)?.end;
        // The run that the last frame is of: by which task it is known, its last task, where it ends.
        let mut run: Option<(u64, u64, u64)> = None;
        let mut at = 0;
        while at + HEAD <= end && !self.stop.is_set() {
            let Some((head, after)) = self.frame_at(number, at, end)? else {
                at = (at + 1).next_multiple_of(BLOCK);
                continue;
            };
            if head.kind == Kind::Entry && self.wanted.tasks.contains(head.task) {
                match self.is_whole(number, at, &head)? {
                    false => run = None,
                    true => run = Some(self.add(run, (number, at, after), head.task)),
                }
            }
            at = after;
        }
        Ok(())
    }

    fn add(
        &mut self,
        run: Option<(u64, u64, u64)>,
        (segment, at, end): (u64, u64, u64),
        task: u64,
    ) -> (u64, u64, u64) {
        match run {
            Some((first, last, upto)) if upto == at && last < task => {
                self.spill.runs.insert(first, Cursor { end, ..self.spill.runs[&first] });
                (first, task, end)
            }
            Some(_) | None => {
                self.spill.runs.insert(task, Cursor { segment, at, end });
                (task, task, end)
            }
        }
    }

    fn frame_at(&mut self, number: u64, at: u64, end: u64) -> Result<Option<(Head, u64)>> {
        let bytes = self.spill.bytes_at(number, at, HEAD)?;
        let head = Head::decode(&bytes, self.spill.segment(number)?.seed, at);
        Ok(head.and_then(|head| Some((head, head.end(at).filter(|after| *after <= end)?))))
    }

    /// Whether the result of a task is there, all of it, and was not met before.
    fn is_whole(&mut self, number: u64, at: u64, head: &Head) -> Result<bool> {
        let mut payload = Vec::new();
        if self.spill.tasks.contains(head.task)
            || !self.is_payload(number, at, head, &mut |bytes| payload.extend_from_slice(bytes))?
        {
            return Ok(false);
        }
        let Ok(entry) = postcard::from_bytes::<Entry>(&payload) else { return Ok(false) };
        let there = || {
            entry.parts.iter().filter_map(|part| match part {
                Part::Here(_) => None,
                Part::There(range) => Some(*range),
            })
        };
        for range in there() {
            if !self.is_piece(range, head.task)? {
                return Ok(false);
            }
        }
        for segment in there().map(|range| range.segment).chain([number]) {
            self.spill.segment(segment)?.live += 1;
        }
        self.spill.tasks.insert(head.task);
        (self.tell)(head.task, entry.mark.map(Mark));
        Ok(true)
    }

    fn is_piece(&mut self, range: SegmentRange, task: u64) -> Result<bool> {
        let Some(end) = self.spill.segments.get(&range.segment).map(|segment| segment.end) else {
            return Ok(false);
        };
        if range.at.checked_add(HEAD).is_none_or(|after| after > end) {
            return Ok(false);
        }
        match self.frame_at(range.segment, range.at, end)? {
            Some((head, _)) if head.task == task && head.bytes == range.bytes => {
                self.is_payload(range.segment, range.at, &head, &mut |_| {})
            }
            Some(_) | None => Ok(false),
        }
    }

    fn is_payload(&mut self, number: u64, at: u64, head: &Head, each: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let (mut from, mut left) = (at + HEAD, head.bytes);
        let mut hasher = crc32fast::Hasher::new();
        while left > 0 {
            let wanted = left.min(GATHERED as u64);
            let bytes = self.spill.bytes_at(number, from, wanted)?;
            hasher.update(&bytes);
            each(&bytes);
            (from, left) = (from + wanted, left - wanted);
        }
        Ok(hasher.finalize() == head.crc)
    }
}
