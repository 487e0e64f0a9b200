//! The job with the results of its shards.

use super::frame::{FrameFile, Heads, Kind, end_of};
use crate::durable::disk::Disk;
use crate::error::{Advice, At, Error, Kind as ErrorKind, Result};
use crate::task::{Context, Extent, Job, ListContext, Listed, Listing, Source, TaskError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A job whose results are read, and not computed ([`Shards::merge`](super::Shards::merge)).
#[derive(Debug)]
pub struct Merged<J> {
    pub(super) job: J,
    pub(super) plan: String,
}

/// The stored results of all shards of a job, as tasks for [`Merged`].
#[derive(Debug)]
pub struct ShardResults {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) plan: String,
    /// All in one directory.
    pub(super) paths: Vec<PathBuf>,
}

/// Lists the [`ShardResults`] in the order of the tasks.
#[derive(Debug)]
pub struct Stored {
    described: Described,
    files: Vec<(FrameFile, Heads)>,
    next: u64,
    tasks: u64,
}

/// The result of one task, as a shard has stored it.
#[derive(Debug)]
pub struct StoredTask {
    file: FrameFile,
    range: Range<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Described {
    plan: String,
    bytes: Vec<u64>,
}

/// The run has begun, so this is no refusal any more.
fn broken(file: &FrameFile) -> Error {
    file.broken().with_kind(ErrorKind::Broken)
}

impl<J: Job> Job for Merged<J> {
    type Task = StoredTask;
    type Partial = J::Partial;
    type Total = J::Total;

    delegate::delegate! {
        to self.job {
            fn name(&self) -> &str;
            fn accept(&self, before: &J::Total, partial: &J::Partial) -> Result<()>;
            fn render(&self, before: &J::Total, piece: Vec<u8>) -> Vec<u8>;
            fn fold(&self, total: &mut J::Total, partial: J::Partial, out: &mut Vec<u8>);
            fn left_out(&self, total: &mut J::Total, out: &mut Vec<u8>);
            fn finish(&self, total: &mut J::Total, out: &mut Vec<u8>);
            fn verdict(&self, total: &J::Total) -> u8;
        }
    }

    fn fingerprint(&self) -> Value {
        json!({ "merges": self.plan, "job": self.job.fingerprint() })
    }

    fn run(&self, task: StoredTask, cx: &Context<'_>) -> std::result::Result<J::Partial, TaskError> {
        let StoredTask { file, range } = task;
        let mut at = range.start;
        while at < range.end {
            let (kind, payload, end) = file.read(at).map_err(|error| error.with_kind(ErrorKind::Broken))?;
            cx.advance(end - at)?;
            at = end;
            match kind {
                Kind::Piece => cx.emit(payload)?,
                Kind::Done => return serde_json::from_slice(&payload).map_err(|_| broken(&file).into()),
                Kind::Failed => return Err(TaskError::Failed("it failed in its shard".to_string())),
                Kind::End => break,
            }
        }
        Err(broken(&file).into())
    }
}

impl ShardResults {
    fn open(&self) -> Result<Stored> {
        let above = self.paths.first().and_then(|path| path.parent()).unwrap_or(Path::new("."));
        let dir = self.disk.open_dir(above).at(above, "open")?;
        let mut missing = Vec::new();
        for (number, path) in (1..).zip(&self.paths) {
            let there = dir.facts(path.file_name().unwrap_or_default()).at(path, "look at")?;
            missing.extend(there.is_none().then(|| u64::to_string(&number)));
        }
        if !missing.is_empty() {
            let (of, which) = (self.paths.len(), missing.join(", "));
            let how = match missing.len() {
                1 => format!("shard {which} of {of} is not done"),
                many => format!("{many} of {of} shards are not done: {which}"),
            };
            return Err(Error::refused("merge", how).advise("run them first; the one that ends last merges"));
        }
        let (mut files, mut bytes, mut whole) = (Vec::new(), Vec::new(), None);
        for (at, path) in self.paths.iter().enumerate() {
            let file = FrameFile::open(&*dir, path)?;
            let end = end_of(&file)?;
            if (end.plan.as_str(), end.shard) != (self.plan.as_str(), at as u64 + 1) {
                let how = format!("holds shard {} of another plan, or of another number", end.shard);
                return Err(Error::refused(path.display(), how).advise("remove it and run that shard again"));
            }
            if *whole.get_or_insert((end.listed, end.mark)) != (end.listed, end.mark) {
                let how = "has other tasks than shard 1: the inputs changed in between";
                return Err(Error::refused(path.display(), how)
                    .advise(Advice::CleanByForce)
                    .then("begin all shards again"));
            }
            bytes.push(file.bytes());
            let heads = Heads::of(&file);
            files.push((file, heads));
        }
        let described = Described { plan: self.plan.clone(), bytes };
        Ok(Stored { described, files, next: 0, tasks: whole.map_or(0, |(listed, _)| listed) })
    }
}

impl Source for ShardResults {
    type Task = StoredTask;
    type Listing = Stored;

    fn begin(&self) -> Result<Stored> {
        self.open()
    }

    fn resume(&self, described: &Value, frontier: u64) -> Result<Stored> {
        let mut stored = self.open()?;
        if Described::deserialize(described).ok().as_ref() != Some(&stored.described) {
            return Err(
                Error::refused("shards", "their results are not what they were").advise(Advice::StartAfresh)
            );
        }
        while stored.next < frontier && stored.take()?.is_some() {}
        Ok(stored)
    }
}

impl Stored {
    fn take(&mut self) -> Result<Option<StoredTask>> {
        if self.next == self.tasks {
            return Ok(None);
        }
        let shard = (self.next % self.files.len() as u64) as usize;
        let (file, heads) = &mut self.files[shard];
        let Some(range) = heads.next_task()? else { return Err(file.broken()) };
        self.next += 1;
        Ok(Some(StoredTask { file: file.clone(), range }))
    }
}

impl Listing for Stored {
    type Task = StoredTask;

    fn described(&self) -> Result<Value> {
        Ok(json!(self.described))
    }

    fn next(&mut self, _cx: &ListContext<'_>) -> Result<Option<Listed<StoredTask>>> {
        let task = self.take().map_err(|error| error.with_kind(ErrorKind::Broken))?;
        Ok(task.map(|task| Listed { bytes: task.range.end - task.range.start, task, mark: None }))
    }

    fn extent(&self) -> Extent {
        let bytes = self.described.bytes.iter().sum();
        Extent { tasks: Some(self.tasks), bytes: Some(bytes), bytes_before: 0 }
    }
}
