//! What all shards of a job must agree on, and which of them are done.
//!
//! ```text
//! STATE/
//!   plan.json          made once, by rename: the job, its inputs, how they are cut, and into how many shards
//!   done, done.lock    one byte for each shard, written and read under the lock
//!   shards/3/          the state of a shard, as that of every run
//!   shards/3.results   what it has done, as soon as all of it is done
//!   merge/             the state of the merge, as that of every run
//! ```
//!
//! The obvious question "are all results there?" is a look into a directory, and on a network file system two hosts
//! may both see an old one: then no shard merges, or two do. Under a lock the server is asked. The shard that sets the
//! last byte merges; a shard that is run again asks again, so a merge that was interrupted is taken up.

use super::merged::{Merged, ShardResults};
use super::part::{Shard, ShardSource, Share, shard};
use crate::durable::disk::OsDisk;
use crate::durable::record::{Phase, Record};
use crate::durable::state_dir::{Cleaned, RECORD, clean, is_state, peek};
use crate::engine::prepare::is_same_job;
use crate::error::{Advice, At, Error, Kind, Result};
use crate::task::{Job, Listing, Source};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

const PLAN: &str = "plan.json";
const DONE: &str = "done";
const DONE_LOCK: &str = "done.lock";
const SHARDS: &str = "shards";
const MERGE: &str = "merge";
const LIST: &str = "list";

/// The format of the plan.
const FORMAT: u32 = 1;

/// The byte of a shard that is done.
const IS_DONE: u8 = b'1';

/// The lock is held for some writes only; after this time its holder is lost, and the file server will find that out.
const PATIENCE: Duration = Duration::from_secs(120);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// A job that is divided into shards, and where it keeps them.
///
/// # Examples
///
/// Three shards of a job, one after the other here; each could run on a host of its own. Each run has a `job` and a
/// `source` of its own.
///
/// ```
/// use bivouac::input::{Boundary, Chunk, Chunks};
/// use bivouac::sink::FileSink;
/// use bivouac::{Context, Ending, Job, Location, Result, Run, Shards, TaskError};
/// use serde_json::Value;
///
/// /// Counts bytes.
/// struct Bytes;
///
/// impl Job for Bytes {
///     type Task = Chunk;
///     type Partial = u64;
///     type Total = u64;
///
///     fn name(&self) -> &str {
///         "bytes"
///     }
///     fn fingerprint(&self) -> Value {
///         Value::Null
///     }
///     fn run(&self, task: Chunk, _: &Context<'_>) -> std::result::Result<u64, TaskError> {
///         let range = task.aligned()?;
///         Ok(range.end - range.start)
///     }
///     fn fold(&self, total: &mut u64, bytes: u64, _: &mut Vec<u8>) {
///         *total += bytes;
///     }
///     fn finish(&self, total: &mut u64, out: &mut Vec<u8>) {
///         out.extend(format!("{total}\n").into_bytes());
///     }
/// }
///
/// # fn main() -> Result<()> {
/// # let place = tempfile::tempdir().unwrap();
/// # let (input, out) = (place.path().join("in"), place.path().join("out"));
/// # std::fs::write(&input, "one\ntwo\nthree\n").unwrap();
/// # let state = place.path().join("out.bivouac");
/// let source = || Chunks::new(vec![input.clone()], Boundary::newline()).block(Some(4));
/// let shards = Shards::divide(&state, (&Bytes, &source()), 3, Value::Null)?;
/// let mut all_are_done = false;
/// for number in 1..=3 {
///     let (job, source) = shards.shard(number, (Bytes, source()));
///     let run = Run::new(job, source)
///         .sink(FileSink::new(&shards.results_of(number))?)
///         .state(Location::Directory(shards.state_of(number)));
///     assert!(matches!(run.run(), Ending::Finished { .. }));
///     all_are_done = shards.is_done(number)?;
/// }
/// assert!(all_are_done);
/// let (job, source) = shards.merge(Bytes);
/// let run = Run::new(job, source)
///     .sink(FileSink::new(&out)?)
///     .state(Location::Directory(shards.state_of_merge()));
/// assert!(matches!(run.run(), Ending::Finished { .. }));
/// assert_eq!(std::fs::read_to_string(&out).unwrap(), "14\n");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Shards {
    path: PathBuf,
    plan: Plan,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Plan {
    format: u32,
    id: String,
    job: String,
    fingerprint: Value,
    shards: u64,
    inputs: Value,
    note: Value,
}

/// Whether the state at `path` is that of a job in shards.
pub fn is_divided(path: &Path) -> bool {
    path.join(PLAN).is_file()
}

impl Shards {
    /// The plan for `of` shards of a job, with its state at `path`: the one that is there, or a new one. `note` is kept
    /// in a new one for the program.
    ///
    /// # Errors
    ///
    /// [`Kind::Refused`]: the plan that is there is of another job, or of another number of shards. Those of
    /// [`Source::begin`]. [`Kind::Usage`]: `path` has another use.
    pub fn divide<J: Job, S: Source<Task = J::Task>>(
        path: &Path,
        (job, source): (&J, &S),
        of: u64,
        note: Value,
    ) -> Result<Self> {
        if let Some(shards) = Self::find(path)? {
            return shards.fits(job, of);
        }
        refuse_other_use(path)?;
        let inputs = source.begin()?.described()?;
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder
            .create(path.join(SHARDS))
            .map_err(|e| Error::io(path, "make the state directory", &e).advise(Advice::NameAnotherState))?;
        let record = Record::new(job.name(), job.fingerprint(), inputs);
        let Record { run: id, job: name, fingerprint, inputs, .. } = record;
        let plan = Plan { format: FORMAT, id, job: name, fingerprint, shards: of, inputs, note };
        let made = under_lock(path, || match Self::find(path)? {
            Some(shards) => Ok(shards),
            None => {
                write_whole(path, &plan)?;
                Ok(Self { path: path.to_path_buf(), plan })
            }
        })?;
        made.fits(job, of)
    }

    /// The plan at `path`, if there is one.
    ///
    /// # Errors
    ///
    /// [`Kind::Refused`]: it cannot be read, or is of a newer format.
    pub fn find(path: &Path) -> Result<Option<Self>> {
        let file = path.join(PLAN);
        let text = match fs::read(&file) {
            Ok(text) => text,
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(e) => return Err(Error::io(&file, "read", &e)),
        };
        match serde_json::from_slice::<Plan>(&text) {
            Ok(plan) if plan.format == FORMAT => Ok(Some(Self { path: path.to_path_buf(), plan })),
            Ok(Plan { format, .. }) => {
                let how = format_args!("is of format {format}; this program knows format {FORMAT} only");
                Err(Error::refused(file.display(), how))
            }
            Err(e) => {
                Err(Error::refused(file.display(), format_args!("is damaged: {e}"))
                    .advise(Advice::CleanByForce))
            }
        }
    }

    fn fits<J: Job>(self, job: &J, of: u64) -> Result<Self> {
        let Plan { job: name, fingerprint, inputs, shards, .. } = &self.plan;
        is_same_job(job, &Record::new(name, fingerprint.clone(), inputs.clone()), &self.path)?;
        if *shards != of {
            let how = format_args!("is of a job in {shards} shards, not in {of}");
            return Err(Error::refused(self.path.display(), how)
                .advise(format!("go on with {shards} shards"))
                .or(Advice::CleanByForce));
        }
        Ok(self)
    }

    /// How many shards there are.
    pub fn count(&self) -> u64 {
        self.plan.shards
    }

    /// What the program has noted when the plan was made.
    pub fn note(&self) -> &Value {
        &self.plan.note
    }

    /// Where the state of a shard is, from 1.
    pub fn state_of(&self, number: u64) -> PathBuf {
        self.path.join(SHARDS).join(number.to_string())
    }

    /// The output of a shard.
    pub fn results_of(&self, number: u64) -> PathBuf {
        self.path.join(SHARDS).join(format!("{number}.results"))
    }

    /// Where the state of the merge is.
    pub fn state_of_merge(&self) -> PathBuf {
        self.path.join(MERGE)
    }

    /// The states that are there: of shards with their numbers, and that of the merge with `None`.
    pub fn states(&self) -> Vec<(Option<u64>, PathBuf)> {
        let shards = (1..=self.plan.shards).map(|number| (Some(number), self.state_of(number)));
        let all = shards.chain([(None, self.state_of_merge())]);
        all.filter(|(_, state)| is_state(&OsDisk, state)).collect()
    }

    /// The number of a task in the whole job, from that in its shard; both from 0.
    pub fn number_of(&self, shard: u64, task: u64) -> u64 {
        task * self.plan.shards + shard.saturating_sub(1)
    }

    /// The name of the job, and the options that affect its output.
    pub fn job(&self) -> (&str, &Value) {
        (&self.plan.job, &self.plan.fingerprint)
    }

    /// A shard of the job, from 1: a job and its tasks, for a run with [`results_of`](Shards::results_of) as its
    /// output. A run with side effects only needs no output.
    pub fn shard<J, S>(&self, number: u64, job: (J, S)) -> (Shard<J>, ShardSource<S>) {
        let share = Share { first: number.saturating_sub(1), of: self.plan.shards };
        shard(job, share, (&self.plan.id, &self.plan.inputs))
    }

    /// The job with the results of all shards in place of its tasks.
    pub fn merge<J>(&self, job: J) -> (Merged<J>, ShardResults) {
        let plan = self.plan.id.clone();
        let paths = (1..=self.plan.shards).map(|number| self.results_of(number)).collect();
        (Merged { job, plan: plan.clone() }, ShardResults { plan, paths })
    }

    /// Notes that a shard is done. Returns whether all are.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn is_done(&self, number: u64) -> Result<bool> {
        let path = self.path.join(DONE);
        let failed = |step: &'static str| {
            let path = path.clone();
            move |e: io::Error| Error::io(&path, step, &e)
        };
        under_lock(&self.path, || {
            let mut open = OpenOptions::new();
            let file = open.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
            let file = file.map_err(failed("open"))?;
            file.write_all_at(&[IS_DONE], number.saturating_sub(1)).map_err(failed("write"))?;
            file.sync_all().map_err(failed("sync"))?;
            let mut done = vec![0; usize::try_from(self.plan.shards).unwrap_or_default()];
            let is_long_enough = file.read_exact_at(&mut done, 0).is_ok();
            Ok(is_long_enough && done.iter().all(|byte| *byte == IS_DONE))
        })
    }

    /// Removes the states and the results of all shards, and that of the merge. Without `force`, all must be done and
    /// merged; a job without output needs no merge.
    ///
    /// # Errors
    ///
    /// [`Kind::Busy`]: a run holds one of them. [`Kind::Refused`]: they are not done.
    pub fn clean(&self, force: bool) -> Result<Cleaned> {
        let record_of = |path: &Path| match is_state(&OsDisk, path) {
            true => peek(&OsDisk, path).map(|peek| peek.record),
            false => Ok(None),
        };
        let merged = record_of(&self.state_of_merge()).unwrap_or_default();
        if !force && !self.is_complete(merged.as_ref()) {
            let done = self.done().into_iter().filter(|done| *done).count();
            let how = format_args!(
                "is of a job that is not finished ({done} of {} shards are done)",
                self.plan.shards
            );
            return Err(Error::refused(self.path.display(), how)
                .advise(Advice::RunAgain)
                .or(Advice::CleanByForce));
        }
        for (_, state) in self.states() {
            clean(&OsDisk, &state, true)?;
        }
        let shards = self.path.join(SHARDS);
        for number in 1..=self.plan.shards {
            let results = self.results_of(number);
            remove(&results.with_extension("results.part"))?;
            remove(&results)?;
        }
        // The plan goes last: as long as it is there, this can be done again.
        let entries = fs::read_dir(&self.path).into_iter().flatten().flatten();
        let unfinished = entries.map(|entry| entry.path());
        unfinished.filter(|path| is_unfinished_plan(path)).try_for_each(|path| remove(&path))?;
        for name in [DONE, LIST, PLAN, DONE_LOCK] {
            remove(&self.path.join(name))?;
        }
        fs::remove_dir(&shards).ok();
        let stays = fs::remove_dir(&self.path).is_err();
        let entries = fs::read_dir(&self.path).into_iter().flatten().flatten();
        Ok(Cleaned { record: merged, stays, left: entries.map(|entry| entry.file_name()).collect() })
    }

    fn is_complete(&self, merged: Option<&Record>) -> bool {
        match merged {
            Some(record) => matches!(record.phase, Phase::Done { .. }),
            None => !self.results_of(1).exists() && self.done().iter().all(|done| *done),
        }
    }

    /// Which shards are done, as far as this host sees.
    pub fn done(&self) -> Vec<bool> {
        let mut done = fs::read(self.path.join(DONE)).unwrap_or_default();
        done.resize(usize::try_from(self.plan.shards).unwrap_or_default(), 0);
        done.into_iter().map(|byte| byte == IS_DONE).collect()
    }
}

/// A state of a run of the whole job, or anything else.
fn refuse_other_use(path: &Path) -> Result<()> {
    if path.join(RECORD).exists() {
        let how = "is the state of this job as one, or of another job";
        return Err(Error::refused(path.display(), how)
            .advise("go on with it as it was begun")
            .or(Advice::CleanByForce));
    }
    let ours = |name: &str| {
        name.starts_with(PLAN) || [DONE, DONE_LOCK, SHARDS, MERGE, LIST, "slurm"].contains(&name)
    };
    let names = fs::read_dir(path).into_iter().flatten().flatten();
    match names.into_iter().find(|entry| !ours(&entry.file_name().to_string_lossy())) {
        Some(_) => Err(Error::usage(path.display(), "contains other files, and is not the state of a job")
            .advise("name a directory that is empty or does not exist yet")),
        None => Ok(()),
    }
}

/// A plan that was being written by a process that was killed.
fn is_unfinished_plan(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.strip_prefix(PLAN).is_some_and(|rest| rest.starts_with(".new-"))
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io(path, "remove", &e)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Calls `body` while no other process does so, on any host. Asks more and more rarely: each question goes to the file
/// server, and a thousand shards may begin in one second.
fn under_lock<T>(path: &Path, body: impl FnOnce() -> Result<T>) -> Result<T> {
    let path = path.join(DONE_LOCK);
    let mut open = OpenOptions::new();
    let file = open.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = file.at(&path, "open")?;
    let until = Instant::now() + PATIENCE;
    let mut pause = Duration::from_millis(10);
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::Error(e)) => return Err(Error::io(&path, "lock", &e)),
            Err(TryLockError::WouldBlock) if Instant::now() >= until => {
                return Err(Error::new(Kind::Busy, path.display(), "is locked by another process")
                    .advise(Advice::RunAgain));
            }
            Err(TryLockError::WouldBlock) => {
                thread::sleep(pause);
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
    body()
}

/// Writes the plan under a temporary name, and renames it when it is durable.
fn write_whole(path: &Path, plan: &Plan) -> Result<()> {
    let new = path.join(format!("{PLAN}.new-{}", plan.id));
    let text = serde_json::to_vec_pretty(plan)
        .map_err(|e| Error::broken("plan", format_args!("cannot be put into JSON: {e}")))?;
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&new, path.join(PLAN))?;
        File::open(path)?.sync_all()?;
        path.parent()
            .filter(|above| !above.as_os_str().is_empty())
            .map_or(Ok(()), |above| File::open(above)?.sync_all())
    };
    write().at(path.join(PLAN), "write")
}
