//! Where a state lives, and the short name of a job that has no output file to live beside.
//!
//! `--state DIR`, or `OUT.bivouac` beside the output, or `.bivouac/<fingerprint>` here. The fingerprint in the
//! path only finds the state of the *same command* again. The record inside holds options and inputs, their
//! sizes and times in full, and decides whether the state really fits. So sixteen digits are enough.

use crate::cli::args::RunArgs;
use bivouac::disk::OsDisk;
use bivouac::record::{Phase, Record};
use bivouac::state_dir::{has_record, is_state, peek};
use bivouac::{Effects, Error, Location, Result};
use serde_json::Value;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Directories of states that belong to no output file.
pub(crate) const SHARED: &str = ".bivouac";

/// The ending that makes the name of an output file the name of its state.
pub(crate) const BESIDE: &str = ".bivouac";

const DIGITS: usize = 16;

/// The identity of a job: its name, its options, its inputs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JobId<'a> {
    pub(crate) name: &'a str,
    pub(crate) options: &'a Value,
    pub(crate) inputs: &'a [PathBuf],
}

/// Where the state of this run is kept.
///
/// `output` is the output file with its symlinks resolved: the part file is beside *that* one, and
/// a state that lies somewhere else would be lost when the link is moved. `resumable` says whether
/// the inputs can be read again; with a pipe among them there is nothing to keep.
pub(crate) fn state(args: &RunArgs<'_>, output: Option<&Path>, resumable: bool, job: JobId<'_>) -> Location {
    if !resumable {
        return Location::Nowhere;
    }
    match (&args.job.resume.state, output) {
        (Some(state), _) => Location::Directory(state.clone()),
        (None, Some(output)) => Location::Directory(beside(output)),
        // The effects of commands remain when the job is finished, and the same line must not repeat them.
        (None, None) if args.commands.effects != Effects::Pure => {
            Location::Directory(Path::new(SHARED).join(short_name(job)))
        }
        (None, None) => Location::Passing(Path::new(SHARED).join(short_name(job))),
    }
}

/// The output, its part file, and the state: where the inputs may be as well.
pub(crate) fn own(args: &RunArgs<'_>) -> Vec<PathBuf> {
    let mut own: Vec<PathBuf> = args.job.resume.state.iter().cloned().collect();
    own.push(PathBuf::from(SHARED));
    if let Some(output) = args.output {
        own.extend([output.to_path_buf(), part_of(output), beside(output)]);
    }
    own
}

/// `OUT.part`.
fn part_of(output: &Path) -> PathBuf {
    let mut path = output.as_os_str().to_os_string();
    path.push(".part");
    PathBuf::from(path)
}

/// `OUT.bivouac`.
pub(crate) fn beside(output: &Path) -> PathBuf {
    let mut path = output.as_os_str().to_os_string();
    path.push(BESIDE);
    PathBuf::from(path)
}

/// Removes empty directories when the run is over: the shared one after a refusal, or with the last state in
/// it. A temporary state has been removed by then; but on a network file system its directory may have kept the
/// name of a lock that the watcher of commands still had open.
pub(crate) fn tidy_up(state: &Location) {
    if let Location::Passing(path) = state {
        remove_if_empty(path);
    }
    if let Location::Passing(path) | Location::Directory(path) = state
        && path.starts_with(SHARED)
    {
        remove_if_empty(Path::new(SHARED));
    }
}

/// The shared directory goes with the last state in it. If it is not empty, or not there, it stays as it is,
/// and that needs no message.
pub(crate) fn remove_if_empty(directory: &Path) {
    fs::remove_dir(directory).ok();
}

/// Refuses `OUT.part` as an output if the state of another job is beside it: that job writes its output there.
pub(crate) fn refuse_anothers_part(output: &Path) -> Result<()> {
    let bytes = output.as_os_str().as_encoded_bytes();
    let Some(anothers) = bytes.strip_suffix(b".part").map(|stem| Path::new(OsStr::from_bytes(stem))) else {
        return Ok(());
    };
    let state = beside(anothers);
    if !state.is_dir() {
        return Ok(());
    }
    let problem = format_args!("is the unfinished output of another job: {} is its state", state.display());
    Err(Error::usage(output.display(), problem).advise("name another output"))
}

/// Refuses `OUT.part` if `OUT.bivouac` has an unfinished job, which writes there, and the state that was named is none yet:
/// with `--fresh` this run would discard the work of that job.
pub(crate) fn refuse_part_of_a_state_beside(output: &Path, named: Option<&Path>) -> Result<()> {
    // That of a job at work is locked, which is said later.
    let record_of = |state: &Path| peek(&OsDisk, state).ok().filter(|peek| !peek.locked)?.record;
    let (part, state) = (part_of(output), beside(output));
    let Some(named) = named.filter(|named| **named != state && part.exists()) else { return Ok(()) };
    // A place where no state can be is refused as such.
    let may_be_one = fs::read_dir(named).map_or_else(
        |e| e.kind() == io::ErrorKind::NotFound,
        |mut names| names.next().is_none() || is_state(&OsDisk, named),
    );
    let is_unfinished = |record: Record| !matches!(record.phase, Phase::Done { .. });
    if !may_be_one || record_of(named).is_some() || !record_of(&state).is_some_and(is_unfinished) {
        return Ok(());
    }
    let problem = format_args!("is the unfinished output of another job: {} is its state", state.display());
    Err(Error::refused(part.display(), problem)
        .advise("leave --state out to continue that job, or name another output"))
}

/// Refuses inputs that cannot be read again if a job that can be continued has an unfinished output here: this
/// run would take that for its own and overwrite it.
pub(crate) fn refuse_streams_over_a_state(output: &Path, inputs: &[PathBuf]) -> Result<()> {
    let state = beside(output);
    if !has_record(&state) || !part_of(output).is_file() {
        return Ok(());
    }
    let stream = inputs.iter().find(|input| bivouac::input::Stream::is_stream(input));
    let subject = stream.map_or("the input".to_string(), |input| input.display().to_string());
    let how =
        format_args!("is a stream, and cannot be read twice; but {} could be continued", state.display());
    Err(Error::refused(subject, how)
        .advise("give that job's inputs, name another output, or discard it: bivouac clean"))
}

/// The beginning of a digest over all that makes a job what it is.
///
/// Every part has its length in front, so that no two lists of parts give the same bytes. Paths are
/// made absolute, without looking at the disk: `./f` and `f` are the same file, and whether `f` is
/// there is not asked here.
fn short_name(job: JobId<'_>) -> String {
    let mut hasher = blake3::Hasher::new();
    let mut part = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    part(job.name.as_bytes());
    // Objects are sorted by key in `serde_json`, so this text is canonical.
    part(job.options.to_string().as_bytes());
    for input in job.inputs {
        let input = std::path::absolute(input).unwrap_or_else(|_| input.clone());
        part(input.as_os_str().as_encoded_bytes());
    }
    let mut name = hasher.finalize().to_hex().to_string();
    name.truncate(DIGITS);
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Cli, Verb};
    use serde_json::json;
    use std::ffi::OsString;

    fn name(name: &str, options: Value, inputs: &[&str]) -> String {
        let inputs: Vec<_> = inputs.iter().map(PathBuf::from).collect();
        short_name(JobId { name, options: &options, inputs: &inputs })
    }

    #[test]
    fn a_short_name_is_that_of_one_job_and_no_other() {
        let this = name("count", json!({"l": true, "w": false}), &["a", "b"]);
        assert_eq!(this.len(), DIGITS);
        assert!(this.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_eq!(this, name("count", json!({"w": false, "l": true}), &["./a", "b"]));
        for other in [
            name("grep", json!({"l": true, "w": false}), &["a", "b"]),
            name("count", json!({"l": true, "w": true}), &["a", "b"]),
            name("count", json!({"l": true, "w": false}), &["b", "a"]),
            name("count", json!({"l": true, "w": false}), &["ab"]),
            name("count", json!({"l": true, "w": false}), &["a"]),
        ] {
            assert_ne!(this, other);
        }
    }

    #[test]
    fn an_option_beats_the_output_and_the_output_beats_the_current_directory() {
        let at = |line: &str, output: Option<&str>, resumable| {
            let argv: Vec<_> = line.split(' ').map(OsString::from).collect();
            let cli = Cli::read(&argv).unwrap();
            let Verb::Job(verb) = cli.verb else { panic!("{line}: no job") };
            let job = JobId { name: "count", options: &Value::Null, inputs: &[] };
            state(&verb.run_args(), output.map(Path::new), resumable, job)
        };
        assert_eq!(
            at("bivouac count f --state s -o out", Some("out"), true),
            Location::Directory("s".into())
        );
        assert_eq!(
            at("bivouac count f -o d/out", Some("d/out"), true),
            Location::Directory("d/out.bivouac".into())
        );
        let Location::Passing(path) = at("bivouac count f", None, true) else { panic!("not passing") };
        assert!(path.starts_with(SHARED), "{path:?}");
        assert_eq!(at("bivouac count - --state s", None, false), Location::Nowhere);
    }
}
