//! Results that came before their turn, on disk.
//!
//! One task may take all night, and those after it must neither wait for it nor fill the memory. So their results are
//! appended to **segments**, files in the state directory. The obvious index, a place for each task, would be memory for
//! each task again: a million short commands need 64 MB of it. Instead the results that wait are written in the order of
//! their tasks, as many as there are at a time: a **sorted run**. Memory holds only the next task of each, and they are merged
//! as in a merge sort.
//!
//! A checkpoint names the segments, and the set of tasks in them. So these results survive the end of the process, and an
//! orderly stop has nothing to copy.
//!
//! # Durability
//!
//! [`Spill::make_durable`] first; then the names ([`StateDir::sync_spill`]); then the record that names the
//! segments; only then [`Spill::recorded`], which removes those that it no longer names.
//!
//! [`StateDir::sync_spill`]: crate::state_dir::StateDir::sync_spill

pub(crate) mod frame;
mod look;

pub(crate) use look::look;

use crate::durable::disk::DiskFile;
use crate::durable::record::{Ahead, Last, SegmentAt};
use crate::durable::state_dir::{StateDir, make_segment, remove_segment};
use crate::durable::task_set::Tasks;
use crate::error::{Advice, At, Error, Result};
use crate::task::Mark;
use frame::{BLOCK, Entry, HEAD, Head, Kind, Part, SegmentRange, seed};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A segment that is larger gets no more. It can be removed when all of it has been committed.
const LARGEST: u64 = 256 << 20;

const GATHERED: usize = 256 << 10;

/// The destination of results that wait on disk.
pub(crate) struct Shelf<'a> {
    pub(crate) spill: &'a mut Spill,
    pub(crate) dir: &'a mut Option<StateDir>,
}

pub(crate) struct Spill {
    /// The id of the job, which is part of every checksum.
    run: String,
    segments: BTreeMap<u64, Segment>,
    next: u64,
    largest: u64,
    /// The sorted runs, by the next task of each.
    runs: BTreeMap<u64, Cursor>,
    tasks: Tasks,
    last: Option<Last>,
    /// The task that is being committed, and where it was.
    taken: Option<(u64, u64)>,
    /// Whether a segment got its name since the directory was flushed.
    new_names: bool,
    window: Window,
}

struct Segment {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    seed: u32,
    /// Where the last frame ends, and where the next one begins.
    end: u64,
    next: u64,
    /// How much of it is durable.
    durable: u64,
    /// Whether it holds something of a finished task.
    counts: bool,
    /// Whether a record names it, and whether this run writes to it.
    named: bool,
    ours: bool,
    /// Frames in it that are still wanted.
    live: u64,
}

/// The rest of a sorted run.
#[derive(Clone, Copy)]
struct Cursor {
    segment: u64,
    at: u64,
    end: u64,
}

/// The bytes that were read last, since the next frame mostly follows them.
#[derive(Default)]
struct Window {
    segment: u64,
    at: u64,
    bytes: Vec<u8>,
}

/// A sorted run while it is written.
pub(crate) struct Run {
    segment: u64,
    /// Where the run begins, and where its gathered bytes belong.
    begins: u64,
    at: u64,
    gathered: Vec<u8>,
    first: Option<u64>,
}

impl Spill {
    /// With nothing in it. `next` is the number of its first segment.
    pub(crate) fn new(run: &str, next: u64) -> Self {
        Self {
            run: run.to_string(),
            segments: BTreeMap::new(),
            next,
            largest: LARGEST,
            runs: BTreeMap::new(),
            tasks: Tasks::default(),
            last: None,
            taken: None,
            new_names: false,
            window: Window::default(),
        }
    }

    /// A segment is much smaller than the limit, because only whole segments can be removed.
    pub(crate) fn limit(&mut self, bytes: u64) {
        self.largest = (bytes / 8).clamp(1 << 20, LARGEST);
    }

    /// Finished tasks that are here.
    pub(crate) fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// The numbers of the segments that are here.
    pub(crate) fn segments(&self) -> Vec<u64> {
        self.segments.keys().copied().collect()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.segments.values().filter(|segment| segment.live > 0).map(|segment| segment.end).sum()
    }

    pub(crate) fn put_piece(
        &mut self,
        dir: &mut Option<StateDir>,
        task: u64,
        piece: &[u8],
    ) -> Result<SegmentRange> {
        let number = self.writable(dir)?;
        let segment = self.segment(number)?;
        let at = segment.next;
        let head = Head::of(Kind::Piece, task, piece);
        let bytes = head.encode(segment.seed, at);
        if piece.len() <= GATHERED {
            segment.write(&[&bytes, piece].concat(), at)?;
        } else {
            segment.write(&bytes, at)?;
            segment.write(piece, at + HEAD)?;
        }
        segment.live += 1;
        segment.ends_at(at + HEAD + head.bytes);
        Ok(SegmentRange { segment: number, at, bytes: head.bytes })
    }

    /// Begins a sorted run. Until it has ended, nothing else is written here.
    pub(crate) fn begin(&mut self, dir: &mut Option<StateDir>) -> Result<Run> {
        let segment = self.writable(dir)?;
        let at = self.segment(segment)?.next;
        Ok(Run { segment, begins: at, at, gathered: Vec::new(), first: None })
    }

    /// Adds a finished task to a sorted run, in the order of their numbers.
    pub(crate) fn put(&mut self, run: &mut Run, task: u64, entry: &Entry) -> Result<()> {
        for part in &entry.parts {
            if let Part::There(range) = part {
                self.segment(range.segment)?.counts = true;
            }
        }
        let payload = postcard::to_allocvec(entry)
            .map_err(|e| Error::broken("a task", format_args!("cannot be kept: {e}")).of_task(task))?;
        let segment = self.segment(run.segment)?;
        let head = Head::of(Kind::Entry, task, &payload);
        run.gathered.extend_from_slice(&head.encode(segment.seed, run.at + run.gathered.len() as u64));
        run.gathered.extend_from_slice(&payload);
        (segment.counts, segment.live) = (true, segment.live + 1);
        run.first.get_or_insert(task);
        self.tasks.insert(task);
        if self.last.is_none_or(|last| last.task < task) {
            self.last = Some(Last { task, mark: entry.mark.map(Mark) });
        }
        if run.gathered.len() >= GATHERED { self.write_out(run) } else { Ok(()) }
    }

    fn write_out(&mut self, run: &mut Run) -> Result<()> {
        let segment = self.segment(run.segment)?;
        segment.write(&run.gathered, run.at)?;
        run.at += run.gathered.len() as u64;
        segment.ends_at(run.at);
        run.gathered.clear();
        Ok(())
    }

    pub(crate) fn end(&mut self, mut run: Run) -> Result<()> {
        self.write_out(&mut run)?;
        if let Some(first) = run.first {
            self.runs.insert(first, Cursor { segment: run.segment, at: run.begins, end: run.at });
        }
        Ok(())
    }

    /// Takes out the stored result of a task; `None` if there is none. It counts as kept until it is
    /// [`done`](Spill::done).
    pub(crate) fn take(&mut self, task: u64) -> Result<Option<Entry>> {
        let Some(cursor) = self.runs.remove(&task) else { return Ok(None) };
        let head = self.head(cursor)?;
        let payload = self.payload(cursor.segment, cursor.at, &head)?;
        let entry = postcard::from_bytes(&payload).map_err(|_| self.harmed(cursor.segment))?;
        self.taken = Some((task, cursor.segment));
        self.go_on_after(cursor, &head)?;
        Ok(Some(entry))
    }

    pub(crate) fn read(&mut self, range: SegmentRange) -> Result<Vec<u8>> {
        let cursor = Cursor { segment: range.segment, at: range.at, end: u64::MAX };
        let head = self.head(cursor)?;
        if head.bytes != range.bytes {
            return Err(self.harmed(range.segment));
        }
        self.payload(range.segment, range.at, &head)
    }

    pub(crate) fn forget(&mut self, range: SegmentRange) {
        self.release(range.segment);
    }

    /// The task that was taken is committed.
    pub(crate) fn done(&mut self, task: u64) {
        if let Some((_, segment)) = self.taken.take_if(|taken| taken.0 == task) {
            self.release(segment);
        }
        self.tasks.remove(task);
        if self.tasks.is_empty() {
            self.last = None;
        }
    }

    /// The first step of a checkpoint: makes results durable. Whether new names must be made durable too.
    pub(crate) fn make_durable(&mut self) -> Result<bool> {
        for segment in self.segments.values_mut() {
            if segment.is_to_be_named() && segment.durable < segment.end {
                segment.file.sync_all().at(&segment.path, "sync")?;
                segment.durable = segment.end;
                segment.next = segment.end.next_multiple_of(BLOCK);
            }
        }
        // As long as no record names a segment, its name may wait.
        Ok(!self.tasks.is_empty() && std::mem::take(&mut self.new_names))
    }

    /// The stored results as the next record names them, after [`make_durable`](Spill::make_durable). They count as named
    /// even if the write of that record fails.
    pub(crate) fn ahead(&mut self) -> Option<Ahead> {
        self.segments.values_mut().for_each(|segment| segment.named |= segment.is_to_be_named());
        let named = self.segments.iter().filter(|(_, segment)| segment.is_to_be_named());
        let segments =
            named.map(|(number, segment)| SegmentAt { number: *number, bytes: segment.durable }).collect();
        self.last.map(|last| Ahead { tasks: self.tasks.clone(), last, next: self.next, segments })
    }

    /// The record is durable: frees the space of results that it does not name.
    pub(crate) fn recorded(&mut self, dir: &mut Option<StateDir>) -> Result<()> {
        let counts = !self.tasks.is_empty();
        for segment in self.segments.values_mut() {
            segment.named = counts && segment.is_to_be_named();
        }
        self.remove_unwanted(dir, counts)
    }

    /// Removes segments that are not needed. The current one stays as long as there may be more.
    fn remove_unwanted(&mut self, dir: &mut Option<StateDir>, more: bool) -> Result<()> {
        let current = self.current().filter(|_| more);
        let of = |(number, segment): (&u64, &Segment)| {
            (segment.live == 0 && !segment.named && Some(*number) != current).then_some(*number)
        };
        let unwanted: Vec<u64> = self.segments.iter().filter_map(of).collect();
        for number in unwanted {
            self.segments.remove(&number);
            remove_segment(dir, number)?;
        }
        Ok(())
    }

    /// The job has failed: frees the space that no record counts. Its next run needs room for its first record.
    pub(crate) fn give_back(&mut self, dir: &mut Option<StateDir>) {
        for (number, segment) in &self.segments {
            match segment.named {
                true => segment.file.truncate(segment.durable).unwrap_or_default(),
                false => remove_segment(dir, *number).unwrap_or_default(),
            }
        }
    }

    /// The segment that is written to.
    fn current(&self) -> Option<u64> {
        let (number, segment) = self.segments.last_key_value()?;
        (segment.ours && segment.end < self.largest).then_some(*number)
    }

    fn writable(&mut self, dir: &mut Option<StateDir>) -> Result<u64> {
        if let Some(number) = self.current() {
            return Ok(number);
        }
        // Segments that no record names need not wait for the next record.
        self.remove_unwanted(dir, true)?;
        let number = self.next;
        let (file, path) = make_segment(dir, number)?;
        let seed = seed(&self.run, number);
        self.segments.insert(number, Segment { ours: true, ..Segment::at((file, path), seed, 0) });
        (self.next, self.new_names) = (number + 1, true);
        Ok(number)
    }

    fn segment(&mut self, number: u64) -> Result<&mut Segment> {
        let missing = || Error::broken("spill", format_args!("segment {number} is not there"));
        self.segments.get_mut(&number).ok_or_else(missing)
    }

    fn release(&mut self, number: u64) {
        if let Some(segment) = self.segments.get_mut(&number) {
            segment.live = segment.live.saturating_sub(1);
        }
    }

    /// Indexes the sorted run by its next wanted task.
    fn go_on_after(&mut self, mut cursor: Cursor, head: &Head) -> Result<()> {
        let mut head = *head;
        loop {
            cursor.at = head.end(cursor.at).unwrap_or(u64::MAX);
            if cursor.at >= cursor.end {
                return Ok(());
            }
            head = self.head(cursor)?;
            if self.tasks.contains(head.task) && !self.runs.contains_key(&head.task) {
                self.runs.insert(head.task, cursor);
                return Ok(());
            }
        }
    }

    fn head(&mut self, cursor: Cursor) -> Result<Head> {
        let bytes = self.bytes_at(cursor.segment, cursor.at, HEAD)?;
        let seed = self.segment(cursor.segment)?.seed;
        Head::decode(&bytes, seed, cursor.at).ok_or_else(|| self.harmed(cursor.segment))
    }

    fn payload(&mut self, segment: u64, at: u64, head: &Head) -> Result<Vec<u8>> {
        let payload = self.bytes_at(segment, at + HEAD, head.bytes)?;
        if crc32fast::hash(&payload) == head.crc { Ok(payload) } else { Err(self.harmed(segment)) }
    }

    fn bytes_at(&mut self, number: u64, at: u64, wanted: u64) -> Result<Vec<u8>> {
        let end = self.segment(number)?.end;
        if at.checked_add(wanted).is_none_or(|upto| upto > end) {
            return Err(self.harmed(number));
        }
        let wanted = usize::try_from(wanted).map_err(|_| self.harmed(number))?;
        if wanted > GATHERED {
            return self.segment(number)?.read(at, wanted);
        }
        if !self.window.holds(number, at, wanted) {
            let ahead = usize::try_from(end - at).unwrap_or(GATHERED).min(GATHERED);
            self.window = Window { segment: number, at, bytes: self.segment(number)?.read(at, ahead)? };
        }
        let from = (at - self.window.at) as usize;
        Ok(self.window.bytes[from..from + wanted].to_vec())
    }

    fn harmed(&self, number: u64) -> Error {
        let path = self.segments.get(&number).map(|segment| segment.path.clone()).unwrap_or_default();
        Error::broken(path.display(), "does not hold what was written to it")
            .advise("the next run does the damaged tasks once more")
            .then(Advice::RunAgain)
    }
}

impl Segment {
    /// A file of which `end` bytes are durable.
    fn at((file, path): (Box<dyn DiskFile>, PathBuf), seed: u32, end: u64) -> Self {
        let [counts, named, ours] = [false; 3];
        Self { file, path, seed, end, next: end, durable: end, counts, named, ours, live: 0 }
    }

    fn is_to_be_named(&self) -> bool {
        self.counts && self.live > 0
    }

    fn ends_at(&mut self, end: u64) {
        (self.end, self.next) = (end, end);
    }

    fn write(&self, bytes: &[u8], at: u64) -> Result<()> {
        self.file.write_at(bytes, at).at(&self.path, "write")
    }

    fn read(&self, at: u64, wanted: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; wanted];
        match self.file.fill(&mut bytes, at).at(&self.path, "read")? {
            true => Ok(bytes),
            false => Err(Error::broken(self.path.display(), "is shorter than what was written to it")),
        }
    }
}

impl Window {
    fn holds(&self, segment: u64, at: u64, wanted: usize) -> bool {
        self.segment == segment
            && at.checked_sub(self.at).is_some_and(|from| from as usize + wanted <= self.bytes.len())
    }
}

#[cfg(test)]
mod tests;
