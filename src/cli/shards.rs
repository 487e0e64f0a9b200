//! Shards of a job: which one this run is, and what comes after the last of them.
//!
//! A merge is the job itself with results in place of tasks, so it needs the command line of the job. It is noted in
//! the plan, and `bivouac merge` reads it there.

use crate::cli::args::found::{Found, Word, words};
use crate::cli::args::{Cli, RunArgs, Verb};
use crate::cli::parse;
use crate::cli::slurm::submission::Submission;
use crate::cli::state_path::beside;
use bivouac::error::Advice;
use bivouac::sink::FileSink;
use bivouac::{Error, Result, Shards, is_divided};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::cell::Cell;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The part of its job that a run does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part<'a> {
    Whole,
    Shard {
        /// From 1.
        number: u64,
        of: u64,
        /// Set when all shards are done, and there is something to merge.
        to_merge: &'a Cell<bool>,
    },
    Merge,
    /// All of it, by elements of an array.
    Submitted(Submission<'a>),
}

impl Part<'_> {
    /// The number of the shard, from 1.
    pub(crate) fn shard(&self) -> Option<u64> {
        match self {
            Part::Shard { number, .. } => Some(*number),
            Part::Whole | Part::Merge | Part::Submitted(_) => None,
        }
    }

    /// The file of this part alone, where all processes of the job are given one name: `job.2.prom` for `job.prom`.
    pub(crate) fn own_file(&self, path: &Path) -> PathBuf {
        self.shard().map_or_else(|| path.to_path_buf(), |number| file_of_shard(number, path))
    }

    /// The files of all parts of the job that are given this name.
    pub(crate) fn files_of_all(&self, path: &Path) -> Vec<PathBuf> {
        let shards = match self {
            Part::Shard { of, .. } => *of,
            Part::Submitted(submission) => submission.shards,
            Part::Whole | Part::Merge => 0,
        };
        let of_shards = (1..=shards).map(|number| file_of_shard(number, path));
        of_shards.chain([path.to_path_buf()]).collect()
    }
}

fn file_of_shard(number: u64, path: &Path) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_os_string();
    name.push(format!(".{number}"));
    if let Some(ending) = path.extension() {
        name.push(".");
        name.push(ending);
    }
    path.with_file_name(name)
}

/// Variables in which a scheduler gives an element of an array its number, each with the first number that it uses.
const INDICES: [(&str, u64); 6] = [
    ("SLURM_ARRAY_TASK_ID", 1),
    ("JOB_COMPLETION_INDEX", 0),
    ("AWS_BATCH_JOB_ARRAY_INDEX", 0),
    ("PBS_ARRAY_INDEX", 1),
    ("SGE_TASK_ID", 1),
    ("LSB_JOBINDEX", 1),
];

/// The number of the shard, from 1: as it was typed, or from the scheduler that `variable` knows.
pub(crate) fn number(shard: parse::Shard, variable: impl Fn(&str) -> Option<String>) -> Result<u64> {
    shard.number.map_or_else(|| from_scheduler(shard.of.get(), variable), Ok)
}

fn from_scheduler(of: u64, variable: impl Fn(&str) -> Option<String>) -> Result<u64> {
    // SGE says `undefined` outside of an array, and LSF 0.
    let is_set = |name: &str, text: &str| {
        !text.is_empty() && text != "undefined" && !(name == "LSB_JOBINDEX" && text == "0")
    };
    let set: Vec<_> = INDICES
        .into_iter()
        .filter_map(|(name, first)| Some((name, first, variable(name).filter(|text| is_set(name, text))?)))
        .collect();
    let (name, first, text) = match set.as_slice() {
        [one] => one,
        [] => {
            return Err(Error::usage(
                "--shard auto",
                "no scheduler has said which element of an array this is",
            )
            .advise(format!("name the shard, as in --shard 1/{of}; or set {}, or its like", INDICES[0].0)));
        }
        several => {
            let names: Vec<_> = several.iter().map(|(name, ..)| *name).collect();
            return Err(Error::usage("--shard auto", format_args!("{} are both set", names.join(" and ")))
                .advise(format!("name the shard, as in --shard \"${}/{of}\"", names[0])));
        }
    };
    let number = text.parse::<u64>().ok().and_then(|index| (index + 1).checked_sub(*first));
    number.filter(|number| (1..=of).contains(number)).ok_or_else(|| {
        let last = of + first - 1;
        Error::usage(
            "--shard auto",
            format_args!("{name} is {text}, and {of} shards are numbered from {first} to {last}"),
        )
    })
}

/// The command line of a job, as its plan has it.
#[derive(Deserialize, Serialize)]
struct Command {
    words: Vec<Word>,
    directory: Word,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    found: Option<Found>,
}

/// The command line and what it has found, for the plan.
pub(crate) fn note(argv: &[OsString], found: Option<&Found>) -> Value {
    let directory = Word::of(std::env::current_dir().unwrap_or_default());
    json!(Command { words: words(argv), directory, found: found.cloned() })
}

/// The findings in the plan, which a verb made before the job began.
pub(crate) fn found(shards: &Shards) -> Option<Found> {
    Command::deserialize(shards.note()).ok()?.found
}

/// The plan of the job that is typed, if it is in shards and its output or state has a name.
pub(crate) fn plan(args: &RunArgs<'_>) -> Result<Option<Shards>> {
    let state = match (&args.job.resume.state, args.output.map(FileSink::new)) {
        (Some(state), _) => state.clone(),
        (None, Some(Ok(sink))) => beside(sink.path()),
        // What is wrong with the output is said where it is opened.
        (None, Some(Err(_)) | None) => return Ok(None),
    };
    Shards::find(&state)
}

/// Finds what a job needs before it begins: in the plan, if it is one of several processes.
pub(crate) fn resolve(cli: &mut Cli, is_submitted: bool) -> Result<()> {
    let mut known = None;
    if let Verb::Job(verb) = &cli.verb
        && (is_submitted || verb.run_args().job.resume.shard.is_some())
    {
        known = plan(&verb.run_args())?.as_ref().and_then(found);
    }
    cli.resolve(known)
}

/// The state of the whole job, from that of one of its shards, or of the merge.
pub(crate) fn whole_of(state: &Path) -> Option<&Path> {
    state.ancestors().skip(1).take(2).find(|whole| is_divided(whole))
}

/// The error in a job in shards. One shard alone cannot begin afresh: the others have results of what there was.
pub(crate) fn in_shards(error: &Error) -> Error {
    error.clone().readvise(&Advice::StartAfresh, &Advice::CleanByForce)
}

/// The directory in which the job was typed.
pub(crate) fn directory(shards: &Shards) -> Option<String> {
    let command = Command::deserialize(shards.note()).ok()?;
    Some(command.directory.plain().to_string_lossy().into_owned())
}

/// The command line that a plan has noted. Relative paths in it count from the directory in which it was typed, so that
/// becomes the current one.
pub(crate) fn noted(shards: &Shards, state: &Path) -> Result<(Cli, Vec<OsString>)> {
    let unusable = || Error::refused(state.display(), "does not say which command its job is");
    let command = Command::deserialize(shards.note()).map_err(|_| unusable())?;
    let directory = PathBuf::from(command.directory.plain());
    std::env::set_current_dir(&directory).map_err(|e| Error::io(&directory, "change to", &e))?;
    let argv: Vec<OsString> = command.words.into_iter().map(Word::plain).collect();
    let cli = Cli::read(&argv).map_err(|_| unusable())?;
    Ok((cli, argv))
}

/// The plan of the job whose output, or whose state, is `given`.
pub(crate) fn plan_of(given: &Path) -> Result<(Shards, PathBuf)> {
    let given = std::path::absolute(given).unwrap_or_else(|_| given.to_path_buf());
    let states = match given.as_os_str().as_bytes().ends_with(b".bivouac") {
        true => [given.clone(), beside(&given)],
        false => [beside(&given), given.clone()],
    };
    for state in states {
        if let Some(shards) = Shards::find(&state)? {
            return Ok((shards, state));
        }
    }
    Err(Error::usage(given.display(), "is not the output of a job in shards")
        .advise("name OUT as in the job, or the state of the job"))
}

/// The error for a plan that was removed while the last shard was at work.
pub(crate) fn no_plan(state: &Path) -> Error {
    Error::usage(state.display(), "is not the state of a job in shards")
}

/// Refuses the state of a job in shards: a run of the whole job would not know the results of the shards.
pub(crate) fn refuse_divided(state: &Path) -> Result<()> {
    let Some(shards) = Shards::find(state)? else { return Ok(()) };
    let of = shards.count();
    Err(Error::refused(state.display(), format_args!("is of a job in {of} shards"))
        .advise(format!("go on with --shard K/{of}, bivouac merge OUT, or bivouac clean --force")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(text: &str, set: &[(&str, &str)]) -> Result<u64> {
        let shard = parse::shard(text).unwrap();
        number(shard, |name| set.iter().find(|(of, _)| *of == name).map(|(_, text)| (*text).to_string()))
    }

    #[test]
    fn a_scheduler_counts_from_0_or_from_1() {
        for (name, text) in [
            ("SLURM_ARRAY_TASK_ID", "3"),
            ("JOB_COMPLETION_INDEX", "2"),
            ("AWS_BATCH_JOB_ARRAY_INDEX", "2"),
            ("PBS_ARRAY_INDEX", "3"),
            ("SGE_TASK_ID", "3"),
            ("LSB_JOBINDEX", "3"),
        ] {
            assert_eq!(numbered("auto/3", &[(name, text), ("OTHER", "1")]).unwrap(), 3, "{name}");
            assert!(numbered("auto/2", &[(name, text)]).unwrap_err().to_string().contains(name));
        }
        assert_eq!(numbered("2/3", &[("SGE_TASK_ID", "3")]).unwrap(), 2);
    }

    #[test]
    fn no_scheduler_and_two_of_them_are_errors() {
        let none = [("SGE_TASK_ID", "undefined"), ("LSB_JOBINDEX", "0"), ("PBS_ARRAY_INDEX", "")];
        assert!(numbered("auto/3", &none).unwrap_err().to_string().contains("no scheduler"));
        let two = [("SGE_TASK_ID", "1"), ("SLURM_ARRAY_TASK_ID", "1")];
        assert!(numbered("auto/3", &two).unwrap_err().to_string().contains("both set"));
        for wrong in ["0", "-1", "x", "4"] {
            assert!(numbered("auto/3", &[("SGE_TASK_ID", wrong)]).is_err(), "{wrong}");
        }
    }
}
