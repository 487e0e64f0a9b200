//! The plan on which all shards of a job agree, and which of them are done.
//!
//! ```text
//! STATE/
//!   plan.json          made once, by rename: the job, its inputs, how they are cut, and into how many shards
//!   list               made once, before it: the files of a tree, the text of lists
//!   done, done.lock    one byte for each shard, written and read under the lock
//!   shards/3/          the state of a shard, as that of every run
//!   shards/3.results   what it has done, as soon as all of it is done
//!   merge/             the state of the merge, as that of every run
//! ```
//!
//! The obvious question "are all results there?" is a look into a directory, and on a network file system two hosts
//! may both see an old one: then no shard merges, or two do. Under a lock the server is asked. The shard that sets the
//! last byte merges; a shard that is run again asks again, so a merge that was interrupted is taken up.
//!
//! Each shard could walk a tree for itself, and compare what it finds. Then N shards ask the file server for every file
//! N times. In a tree that is in use they find N lists, and the merge would refuse all that was done; and standard input
//! is there only once. So the process that makes the plan makes the list, and all shards read it.

use super::files::{
    DONE_LOCK, LIST, PATIENCE, PLAN, is_unfinished, list_digest, make_dirs, open_dir, remove, under_lock,
    write_list, write_plan,
};
use super::merged::{Merged, ShardResults};
use super::part::{Shard, ShardSource, Share, shard};
use crate::durable::disk::{Dir, Disk, Open, OsDisk, read_plain, split};
use crate::durable::record::{Phase, Record};
use crate::durable::state_dir::{Cleaned, LARGEST_RECORD, RECORD, clean, is_state, peek};
use crate::engine::prepare::is_same_job;
use crate::error::{Advice, At, Error, Result};
use crate::task::{Job, Listing, Source};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const DONE: &str = "done";
const SHARDS: &str = "shards";
const MERGE: &str = "merge";

/// The format of the plan.
const FORMAT: u32 = 1;

/// The byte of a shard that is done.
const IS_DONE: u8 = b'1';

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
    disk: Arc<dyn Disk>,
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    list: Option<List>,
    note: Value,
}

/// The list of tasks that the source has found once, as it is stored in a file.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct List {
    digest: String,
    parts: Value,
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
    /// [`Kind::Refused`](crate::error::Kind::Refused): the plan that is there is of another job, or of another number of shards. Those of
    /// [`Source::begin`]. [`Kind::Usage`](crate::error::Kind::Usage): `path` has another use.
    pub fn divide<J: Job, S: Source<Task = J::Task>>(
        path: &Path,
        (job, source): (&J, &S),
        of: u64,
        note: Value,
    ) -> Result<Self> {
        Self::divide_on(Arc::new(OsDisk), path, (job, source), (of, note))
    }

    pub(super) fn divide_on<J: Job, S: Source<Task = J::Task>>(
        disk: Arc<dyn Disk>,
        path: &Path,
        (job, source): (&J, &S),
        (of, note): (u64, Value),
    ) -> Result<Self> {
        if let Some(shards) = Self::find_on(&disk, path)? {
            return shards.fits(job, of);
        }
        refuse_other_use(&*disk, path)?;
        let inputs = source.begin()?.described()?;
        let record = Record::new(job.name(), job.fingerprint(), inputs);
        let Record { run: id, job: name, fingerprint, inputs, .. } = record;
        let mut plan =
            Plan { format: FORMAT, id, job: name, fingerprint, shards: of, inputs, list: None, note };
        let made =
            |e: io::Error| Error::io(path, "make the state directory", &e).advise(Advice::NameAnotherState);
        let dir = make_dirs(&*disk, &path.join(SHARDS)).and_then(|_| disk.open_dir(path)).map_err(made)?;
        // A walk takes its time, and the others need what it finds. A signal ends their wait.
        under_lock(&*dir, path, None, || match Self::find_on(&disk, path)? {
            Some(shards) => shards.fits(job, of),
            None => {
                let kept = write_list(&*dir, path, &plan.id, |to| source.keep(&[path.to_path_buf()], to))?;
                plan.list = kept.map(|(digest, parts)| List { digest, parts });
                write_plan(&*dir, path, &plan.id, &plan)?;
                Ok(Self { disk: Arc::clone(&disk), path: path.to_path_buf(), plan })
            }
        })
    }

    /// The plan at `path`, if there is one.
    ///
    /// # Errors
    ///
    /// [`Kind::Refused`](crate::error::Kind::Refused): it cannot be read, or is of a newer format.
    pub fn find(path: &Path) -> Result<Option<Self>> {
        let disk: Arc<dyn Disk> = Arc::new(OsDisk);
        Self::find_on(&disk, path)
    }

    pub(super) fn find_on(disk: &Arc<dyn Disk>, path: &Path) -> Result<Option<Self>> {
        let file = path.join(PLAN);
        let dir = match open_dir(&**disk, path) {
            // Whoever reads the state next says whose it is.
            Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => None,
            opened => opened.at(&file, "read")?,
        };
        let Some(dir) = dir else { return Ok(None) };
        let Some(text) = read_plain(&*dir, path, PLAN, LARGEST_RECORD)? else { return Ok(None) };
        match serde_json::from_slice::<Plan>(&text) {
            Ok(plan) if plan.format == FORMAT => {
                Ok(Some(Self { disk: Arc::clone(disk), path: path.to_path_buf(), plan }))
            }
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

    /// The note of the program that made the plan.
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
        all.filter(|(_, state)| is_state(&*self.disk, state)).collect()
    }

    /// The number of a task in the whole job, from that in its shard; both from 0.
    pub fn number_of(&self, shard: u64, task: u64) -> u64 {
        task * self.plan.shards + shard.saturating_sub(1)
    }

    /// The name of the job, and the options that affect its output.
    pub fn job(&self) -> (&str, &Value) {
        (&self.plan.job, &self.plan.fingerprint)
    }

    /// Hands the list of the plan to `source`, if there is one, in place of what it would find itself.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is not that list.
    #[doc(hidden)]
    pub fn give_list<S: Source>(&self, source: &mut S) -> Result<()> {
        let Some(List { digest, parts }) = &self.plan.list else { return Ok(()) };
        let path = self.path.join(LIST);
        match list_digest(&*self.dir()?, &path)? == *digest {
            true => source.find_in(&path, parts),
            false => Err(Error::refused(path.display(), "is not the list that the plan was made with")
                .advise(Advice::CleanByForce)),
        }
    }

    /// A shard of the job, from 1: a job and its tasks, for a run with [`results_of`](Shards::results_of) as its
    /// output. A run with side effects only needs no output.
    pub fn shard<J, S: Source>(&self, number: u64, (job, mut source): (J, S)) -> (Shard<J>, ShardSource<S>) {
        let share = Share { first: number.saturating_sub(1), of: self.plan.shards };
        let list = self.give_list(&mut source);
        shard((job, source), share, (&self.plan.id, &self.plan.inputs), list)
    }

    /// The job with the results of all shards in place of its tasks.
    pub fn merge<J>(&self, job: J) -> (Merged<J>, ShardResults) {
        let plan = self.plan.id.clone();
        let paths = (1..=self.plan.shards).map(|number| self.results_of(number)).collect();
        (Merged { job, plan: plan.clone() }, ShardResults { disk: Arc::clone(&self.disk), plan, paths })
    }

    fn dir(&self) -> Result<Arc<dyn Dir>> {
        self.disk.open_dir(&self.path).at(&self.path, "open")
    }

    /// Notes that a shard is done. Returns whether all are.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn is_done(&self, number: u64) -> Result<bool> {
        let (dir, path) = (self.dir()?, self.path.join(DONE));
        under_lock(&*dir, &self.path, Some(PATIENCE), || {
            let file = dir.open(DONE.as_ref(), Open::Create).at(&path, "open")?;
            file.write_at(&[IS_DONE], number.saturating_sub(1)).at(&path, "write")?;
            file.sync_all().and_then(|()| dir.sync()).at(&path, "sync")?;
            let mut done = vec![0; usize::try_from(self.plan.shards).unwrap_or_default()];
            let is_long_enough = file.fill(&mut done, 0).at(&path, "read")?;
            Ok(is_long_enough && done.iter().all(|byte| *byte == IS_DONE))
        })
    }

    /// Removes the states and the results of all shards, and that of the merge. Without `force`, all must be done and
    /// merged; a job without output needs no merge.
    ///
    /// # Errors
    ///
    /// [`Kind::Busy`](crate::error::Kind::Busy): a run holds one of them. [`Kind::Refused`](crate::error::Kind::Refused): they are not done.
    pub fn clean(&self, force: bool) -> Result<Cleaned> {
        let record_of = |path: &Path| match is_state(&*self.disk, path) {
            true => peek(&*self.disk, path).map(|peek| peek.record),
            false => Ok(None),
        };
        let merged = record_of(&self.state_of_merge()).unwrap_or_default();
        if !force && !self.is_complete(merged.as_ref()) {
            let done = self.done().into_iter().filter(|done| *done).count();
            let how =
                format_args!("its job is not finished ({done} of {} shards are done)", self.plan.shards);
            return Err(Error::refused(self.path.display(), how)
                .advise(Advice::RunAgain)
                .or(Advice::CleanByForce));
        }
        for (_, state) in self.states() {
            clean(&*self.disk, &state, true)?;
        }
        let (dir, shards) = (self.dir()?, self.path.join(SHARDS));
        if let Some(open) = open_dir(&*self.disk, &shards).at(&shards, "open")? {
            for number in 1..=self.plan.shards {
                remove(&*open, &shards, format!("{number}.results.part").as_ref())?;
                remove(&*open, &shards, format!("{number}.results").as_ref())?;
            }
        }
        // The plan goes last: as long as it is there, this can be done again.
        let names = dir.list().at(&self.path, "list")?;
        let unfinished = names.iter().filter(|name| is_unfinished(name));
        unfinished.into_iter().try_for_each(|name| remove(&*dir, &self.path, name))?;
        for name in [DONE, LIST, PLAN, DONE_LOCK] {
            remove(&*dir, &self.path, name.as_ref())?;
        }
        dir.remove_dir(SHARDS.as_ref()).ok();
        let left: Vec<OsString> = dir.list().at(&self.path, "list")?;
        let above = split(&self.path).and_then(|(above, name)| Some((self.disk.open_dir(above).ok()?, name)));
        let stays = above.is_none_or(|(above, name)| above.remove_dir(name).is_err());
        Ok(Cleaned { record: merged, stays, left })
    }

    fn is_complete(&self, merged: Option<&Record>) -> bool {
        match merged {
            Some(record) => matches!(record.phase, Phase::Done { .. }),
            None => !self.has_results() && self.done().iter().all(|done| *done),
        }
    }

    fn has_results(&self) -> bool {
        let shards = open_dir(&*self.disk, &self.path.join(SHARDS)).ok().flatten();
        shards.is_some_and(|shards| matches!(shards.facts("1.results".as_ref()), Ok(Some(_))))
    }

    /// Which shards are done, as far as this host sees.
    pub fn done(&self) -> Vec<bool> {
        let mut done = vec![0; usize::try_from(self.plan.shards).unwrap_or_default()];
        if let Some(file) = self.dir().ok().and_then(|dir| dir.open(DONE.as_ref(), Open::Read).ok()) {
            // A shorter file leaves the rest as it is: not done.
            file.fill(&mut done, 0).ok();
        }
        done.into_iter().map(|byte| byte == IS_DONE).collect()
    }
}

/// A state of a run of the whole job, or anything else.
fn refuse_other_use(disk: &dyn Disk, path: &Path) -> Result<()> {
    let Some(dir) = open_dir(disk, path).at(path, "open")? else { return Ok(()) };
    let names = dir.list().at(path, "list")?;
    if names.iter().any(|name| name == RECORD) {
        let how = "is the state of this job without shards, or of another job";
        return Err(Error::refused(path.display(), how)
            .advise("go on with it as it was begun")
            .or(Advice::CleanByForce));
    }
    let is_ours = |name: &OsString| {
        is_unfinished(name)
            || [PLAN, DONE, DONE_LOCK, SHARDS, MERGE, LIST, "slurm"].iter().any(|ours| name == ours)
    };
    match names.iter().all(is_ours) {
        true => Ok(()),
        false => Err(Error::usage(path.display(), "contains other files, and is not the state of a job")
            .advise("name a directory that is empty or does not exist yet")),
    }
}
