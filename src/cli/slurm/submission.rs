//! Which shards of a job are missing, and how they are submitted.

use super::check::Site;
use super::queue::{self, Element};
use super::script::{self, Script};
use crate::cli::args::slurm::SlurmArgs;
use crate::cli::conflicts::no_output;
use crate::cli::format::count;
use crate::cli::settings::Settings;
use crate::cli::terminal;
use crate::jobs::quote;
use bivouac::disk::OsDisk;
use bivouac::ending::{Exit, FINISHED};
use bivouac::record::Phase;
use bivouac::state_dir::{Cleaned, peek};
use bivouac::{Error, Job, Location, Result, Shards, Source};
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where in a state everything about Slurm is.
const DIRECTORY: &str = "slurm";
const SCRIPT: &str = "job.sh";
/// A line for each array: its number, and its elements.
const SUBMITTED: &str = "submitted";

/// A job that is to be submitted in place of being run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Submission<'a> {
    pub(crate) slurm: &'a SlurmArgs,
    pub(crate) typed: &'a [OsString],
    pub(crate) warn: Duration,
    pub(crate) shards: u64,
}

/// Where the script of the array is, absolute: by this path Slurm's queue knows it.
pub(crate) fn script_of(state: &Path) -> PathBuf {
    let path = state.join(DIRECTORY).join(SCRIPT);
    std::path::absolute(&path).unwrap_or(path)
}

/// The arrays that have been submitted for the state, the latest last.
pub(crate) fn arrays(state: &Path) -> Vec<u64> {
    let text = fs::read_to_string(state.join(DIRECTORY).join(SUBMITTED)).unwrap_or_default();
    text.lines().filter_map(|line| line.split(' ').next()?.parse().ok()).collect()
}

/// Removes what the verb and Slurm have written into a state that has been cleaned: script, list of arrays, logs of shards.
pub(crate) fn clean(state: &Path, mut cleaned: Cleaned) -> Cleaned {
    let directory = state.join(DIRECTORY);
    let is_log = |name: &str| name.strip_suffix(".log").is_some_and(|number| number.parse::<u64>().is_ok());
    for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(|name| [SCRIPT, SUBMITTED].contains(&name) || is_log(name))
        {
            fs::remove_file(entry.path()).ok();
        }
    }
    // With a file of somebody's in it, it stays, and is named.
    if fs::remove_dir(&directory).is_ok() {
        cleaned.left.retain(|name| name != DIRECTORY);
        cleaned.stays = fs::remove_dir(state).is_err();
    }
    cleaned
}

/// The line that submitted the last array, which also continues the job: the script names it for people.
pub(crate) fn typed(state: &Path) -> Option<String> {
    let script = fs::read_to_string(script_of(state)).ok()?;
    script.lines().nth(1)?.split_once(script::TYPED).map(|(_, typed)| typed.to_string())
}

/// The shards in Slurm's queue; `None` if they were not submitted. This is an extra: everything else about shards is read
/// from files.
#[derive(Debug, Serialize)]
pub(crate) struct InQueue {
    /// The last array.
    array: u64,
    /// The shards in the queue, of all arrays; `None` if Slurm does not answer.
    queue: Option<Vec<Element>>,
    error: Option<String>,
}

impl InQueue {
    pub(crate) fn ask(state: &Path) -> Option<Self> {
        let arrays = arrays(state);
        let array = *arrays.last()?;
        Some(match queue::queued(&arrays, &script_of(state)) {
            Ok(queue) => Self { array, queue: Some(queue), error: None },
            Err(error) => Self { array, queue: None, error: Some(error.to_string()) },
        })
    }

    /// In lines.
    pub(crate) fn text(&self) -> String {
        let (queue, array) = (self.queue.as_deref().unwrap_or_default(), self.array);
        let many = || format!("{} in the queue", count(queue.len() as u64, "shard"));
        let mut text = format!("Slurm, last array {array}: {}\n", self.error.clone().unwrap_or_else(many));
        for element in queue {
            let held = format!("; scontrol release {}_{}", element.array, element.shard);
            let release = if element.is_held() { held.as_str() } else { "" };
            text.push_str(&format!("  shard {:<5} {}{release}\n", element.shard, element.does()));
        }
        text
    }
}

/// Takes the shards out of Slurm's queue; those that run stop with a checkpoint.
pub(crate) fn cancel(state: &Path) -> Result<()> {
    let queued = queue::queued(&arrays(state), &script_of(state))?;
    let arrays: BTreeSet<u64> = queued.iter().map(|element| element.array).collect();
    let arrays: Vec<u64> = arrays.into_iter().collect();
    let state = state.display();
    match arrays.is_empty() {
        true => terminal::message(&format!("{state}: no shard is in Slurm's queue")),
        false => {
            let command = queue::cancel(&arrays)?;
            terminal::message(&format!(
                "{state}: {command}\n  running shards keep a checkpoint; the line that submitted them continues"
            ));
        }
    }
    Ok(())
}

impl Submission<'_> {
    /// Makes the plan, and submits the shards that are neither done nor queued. If Slurm fails, the same line typed again
    /// submits them.
    pub(crate) fn submit<J: Job, S: Source<Task = J::Task>>(
        &self,
        job: (&J, &S),
        (state, output): (&Location, Option<&Path>),
        (settings, note): (&Settings, Value),
    ) -> Result<Exit> {
        let state = match state {
            Location::Directory(state) => state,
            Location::Passing(_) => return Err(no_output()),
            Location::Nowhere => {
                return Err(Error::usage("-", "cannot be read again by each element").advise("name a file"));
            }
        };
        let script = self.script((state, output))?;
        if self.slurm.dry_run {
            return terminal::result(script.as_bytes()).map(|()| Exit::Code(FINISHED));
        }
        let site = Site::ask(&self.slurm.sbatch)?;
        if let Some(most) = site.most_shards().filter(|most| self.shards > *most) {
            let error =
                Error::usage("--shards", format_args!("this site has arrays of up to {most} elements"));
            return Err(error.advise("fewer shards, with more --cpus-per-task each"));
        }
        if let Some(warning) = site.stop_is_too_long(settings) {
            terminal::message(&warning);
        }
        let plan = Shards::divide(state, job, self.shards, note)?;
        let what = output.unwrap_or(state).display().to_string();
        self.submit_what_is_missing(&plan, (state, &what), &script)?;
        Ok(Exit::Code(FINISHED))
    }

    fn script(&self, (state, output): (&Path, Option<&Path>)) -> Result<String> {
        let here = std::env::current_dir()
            .map_err(|e| Error::io(Path::new("."), "find the current directory", &e))?;
        let program =
            std::env::current_exe().map_err(|e| Error::io(Path::new("bivouac"), "find this program", &e))?;
        let script = Script {
            typed: self.typed,
            sbatch: &self.slurm.sbatch,
            shards: self.shards,
            at_most: self.slurm.at_most.map(std::num::NonZero::get),
            warn: self.warn,
            directory: &here,
            program: &program,
            state,
            output,
            local_locks: self.slurm.allow_local_locks,
            job: &self.slurm.job,
        };
        Ok(script.text())
    }

    /// Two lines that are typed at once must not submit everything twice, so one waits for the other.
    fn submit_what_is_missing(
        &self,
        plan: &Shards,
        (state, what): (&Path, &str),
        script: &str,
    ) -> Result<()> {
        let directory = state.join(DIRECTORY);
        let failed = |path: &Path, step: &'static str| {
            let path = path.to_path_buf();
            move |e: io::Error| Error::io(&path, step, &e)
        };
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&directory);
        made.map_err(failed(&directory, "make"))?;
        let list = directory.join(SUBMITTED);
        let opened = OpenOptions::new().append(true).create(true).mode(0o600).open(&list);
        let mut file = opened.map_err(failed(&list, "open"))?;
        file.lock().map_err(failed(&list, "lock"))?;
        let path = script_of(state);
        let queued = queue::queued(&arrays(state), &path)?;
        let standing = Standing::of(plan, &queued);
        let missing = standing.missing();
        if missing.is_empty() {
            terminal::message(&format!("{what}: {standing}"));
            standing.say_held();
            return Ok(());
        }
        replace(&path, script).map_err(failed(&path, "write"))?;
        let elements = ranges(&missing);
        let throttle = self.slurm.at_most.map(|most| format!("%{most}")).unwrap_or_default();
        let some = (missing.len() as u64 != self.shards).then(|| format!("{elements}{throttle}"));
        let (array, said) = queue::submit(&path, some.as_deref())?;
        if !said.is_empty() {
            terminal::message(&said);
        }
        let noted = writeln!(file, "{array} {elements}").and_then(|()| file.sync_all());
        noted.map_err(failed(&list, "write"))?;
        say(&standing, (what, state), (array, &missing));
        Ok(())
    }
}

fn say(standing: &Standing, (what, state): (&str, &Path), (array, missing): (u64, &[u64])) {
    let state = quote::argument(state.as_os_str());
    let all = missing.len() == standing.done.len();
    let done = match (all, standing.all_done()) {
        (true, false) => {
            format!("{} shards, as array {array}; the last one merges into {what}", missing.len())
        }
        (_, true) => format!("all {} shards are done; array {array} merges them", standing.done.len()),
        (false, false) => format!("{standing}; shards {} submitted as array {array}", ranges(missing)),
    };
    terminal::message(&format!(
        "{what}: {done}\n  bivouac status {state} shows it, bivouac stop {state} ends it"
    ));
    terminal::message(&format!("all that Slurm is told is in {state}/{DIRECTORY}/{SCRIPT}"));
    standing.say_held();
}

#[derive(Clone, Debug)]
struct Standing {
    done: Vec<bool>,
    merged: bool,
    /// The shards in the queue, each with its state there.
    queued: BTreeMap<u64, String>,
    /// Elements that are held until a person releases them.
    held: Vec<String>,
}

impl Standing {
    fn of(plan: &Shards, queued: &[Element]) -> Self {
        let merge = peek(&OsDisk, &plan.state_of_merge()).ok().and_then(|merge| merge.record);
        let merged = merge.is_some_and(|record| matches!(record.phase, Phase::Done { .. }));
        let held = queued.iter().filter(|element| element.is_held());
        Self {
            done: plan.done(),
            merged,
            queued: queued.iter().map(|element| (element.shard, element.does())).collect(),
            held: held.map(|element| format!("{}_{}", element.array, element.shard)).collect(),
        }
    }

    fn all_done(&self) -> bool {
        self.done.iter().all(|done| *done)
    }

    /// Prints how to release the elements that Slurm holds.
    fn say_held(&self) {
        if !self.held.is_empty() {
            terminal::message(&format!(
                "Slurm holds some; an operator can let them go\n  scontrol release {}",
                self.held.join(" ")
            ));
        }
    }

    /// The shards that must be submitted, from 1. If all are done and none merges them, any shard does.
    fn missing(&self) -> Vec<u64> {
        match self.all_done() {
            true if self.merged || !self.queued.is_empty() => Vec::new(),
            true => vec![1],
            false => {
                let open = (1..).zip(&self.done).filter(|(_, done)| !**done).map(|(number, _)| number);
                open.filter(|number| !self.queued.contains_key(number)).collect()
            }
        }
    }
}

impl std::fmt::Display for Standing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (all, done) = (self.done.len(), self.done.iter().filter(|done| **done).count());
        if self.merged {
            return write!(f, "finished by {all} shards");
        }
        write!(f, "{done} of {all} shards done")?;
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        self.queued.values().for_each(|does| *kinds.entry(does).or_default() += 1);
        for (at, (does, number)) in kinds.iter().enumerate() {
            write!(f, "{} {number} {does}", if at == 0 { ";" } else { "," })?;
        }
        f.write_str(if self.missing().is_empty() { "; nothing to submit" } else { "" })
    }
}

/// `1-3,7`.
fn ranges(numbers: &[u64]) -> String {
    let numbers: BTreeSet<u64> = numbers.iter().copied().collect();
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => runs.push((number, number)),
        }
    }
    let words =
        runs.iter().map(|(from, to)| if from == to { from.to_string() } else { format!("{from}-{to}") });
    words.collect::<Vec<_>>().join(",")
}

/// By rename: an element that starts at this moment reads one script or the other. (Slurm has a copy of its own, and
/// this one is for people.)
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension("sh.new");
    let mut file = File::create(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_numbered_as_sbatch_reads_them() {
        assert_eq!(ranges(&[1, 2, 3, 7, 9, 10]), "1-3,7,9-10");
        assert_eq!(ranges(&[4]), "4");
    }

    #[test]
    fn what_is_neither_done_nor_queued_is_missing() {
        let standing = |done: &str, queued: &[(u64, &str)], merged| Standing {
            done: done.chars().map(|c| c == '1').collect(),
            merged,
            queued: queued.iter().map(|(number, does)| (*number, (*does).to_string())).collect(),
            held: Vec::new(),
        };
        let some = standing("1100", &[(3, "running")], false);
        assert_eq!(some.missing(), [4]);
        assert_eq!(some.to_string(), "2 of 4 shards done; 1 running");
        let all = standing("1100", &[(3, "running"), (4, "waiting (BeginTime)")], false);
        assert!(all.missing().is_empty());
        assert_eq!(
            all.to_string(),
            "2 of 4 shards done; 1 running, 1 waiting (BeginTime); nothing to submit"
        );
        assert_eq!(standing("11", &[], false).missing(), [1], "one must merge");
        assert!(standing("11", &[(2, "running")], false).missing().is_empty());
        let merged = standing("11", &[], true);
        assert_eq!((merged.missing(), merged.to_string()), (vec![], "finished by 2 shards".to_string()));
    }
}
