//! Questions to Slurm, by its own programs: `sbatch`, `squeue`, `scontrol`, `scancel`.
//!
//! The obvious interface is its library, which changes with every release and must be that of the site. The fields that
//! these programs print have not changed for years.

use bivouac::{Error, Result};
use serde::Serialize;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// An element of an array that Slurm has in its queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Element {
    pub(crate) array: u64,
    /// Which shard it does, from 1.
    pub(crate) shard: u64,
    /// `RUNNING`, `PENDING`.
    pub(crate) state: String,
    /// Why it waits: `BeginTime`, `Resources`.
    pub(crate) reason: String,
}

impl Element {
    pub(crate) fn does(&self) -> String {
        match self.state.as_str() {
            "PENDING" => format!("waiting ({})", self.reason),
            state => state.to_lowercase(),
        }
    }

    /// Whether it waits until it is released: Slurm holds what it could not start.
    pub(crate) fn is_held(&self) -> bool {
        let reason = self.reason.to_lowercase();
        self.state == "PENDING" && (reason.contains("held") || reason.contains("hold"))
    }
}

/// Variables that would change what the script says: for sbatch they count more.
const OVERRIDES: &str = "SBATCH_ARRAY_INX SBATCH_JOB_NAME SBATCH_NO_REQUEUE SBATCH_OPEN_MODE SBATCH_OUTPUT \
     SBATCH_REQUEUE SBATCH_SIGNAL SBATCH_WAIT SLURM_ARRAY_TASK_ID";

/// Runs a program of Slurm and returns its output. If the program fails, the error has its own words.
fn answer<S: AsRef<OsStr>>(
    program: &str,
    arguments: impl IntoIterator<Item = S>,
) -> Result<(String, String)> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    for name in OVERRIDES.split(' ') {
        command.env_remove(name);
    }
    let output = command.output().map_err(|cause| match cause.kind() == io::ErrorKind::NotFound {
        true => Error::usage(program, "there is no such command here")
            .advise("run this where jobs are submitted; --shard K/N works with any other engine"),
        false => Error::broken(program, format_args!("cannot be run: {cause}")),
    })?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_string();
    match output.status.success() {
        true => Ok((String::from_utf8_lossy(&output.stdout).into_owned(), said)),
        false => Err(failed(program, output.status.code(), &said)),
    }
}

fn failed(program: &str, code: Option<i32>, said: &str) -> Error {
    let code = code.map_or_else(|| "by a signal".to_string(), |code| format!("with {code}"));
    let error = Error::broken(program, format_args!("ended {code}"));
    if said.is_empty() { error } else { error.advise(said.replace('\n', "\n  ")) }
}

/// Submits the script, or only these elements of it. Returns the number of the array, and what sbatch said besides.
pub(crate) fn submit(script: &Path, elements: Option<&str>) -> Result<(u64, String)> {
    let mut words = vec![OsStr::new("--parsable").to_os_string()];
    words.extend(elements.map(|elements| format!("--array={elements}").into()));
    words.push(script.as_os_str().to_os_string());
    let (printed, said) = answer("sbatch", words)?;
    // With several clusters: NUMBER;CLUSTER.
    let number = printed.trim().split(';').next().and_then(|number| number.parse().ok());
    let array = number.ok_or_else(|| {
        Error::broken("sbatch", format_args!("printed no number of a job, but: {}", printed.trim()))
    })?;
    Ok((array, said))
}

/// The elements that are queued or run, of these arrays or of this script.
pub(crate) fn queued(arrays: &[u64], script: &Path) -> Result<Vec<Element>> {
    let user = nix::unistd::getuid().to_string();
    let (printed, _) = answer("squeue", ["-h", "-r", "-u", &user, "-o", "%F|%K|%T|%r|%o"])?;
    Ok(printed.lines().filter_map(|line| element(line, arrays, script)).collect())
}

fn element(line: &str, arrays: &[u64], script: &Path) -> Option<Element> {
    let mut fields = line.splitn(5, '|').map(str::trim);
    let (array, shard) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    let (state, reason, command) = (fields.next()?, fields.next()?, fields.next()?);
    let is_ours = arrays.contains(&array) || command.as_bytes() == script.as_os_str().as_bytes();
    let (state, reason) = (state.to_string(), reason.to_string());
    is_ours.then_some(Element { array, shard, state, reason })
}

pub(crate) fn cancel(arrays: &[u64]) -> Result<String> {
    let numbers: Vec<String> = arrays.iter().map(u64::to_string).collect();
    answer("scancel", &numbers)?;
    Ok(format!("scancel {}", numbers.join(" ")))
}

pub(crate) fn configuration() -> Result<BTreeMap<String, String>> {
    let (printed, _) = answer("scontrol", ["show", "config"])?;
    let pairs = printed.lines().filter_map(|line| line.split_once('='));
    Ok(pairs.map(|(name, value)| (name.trim().to_string(), value.trim().to_string())).collect())
}

/// The partition of this name, or the default one.
pub(crate) fn partition(name: Option<&str>) -> Result<BTreeMap<String, String>> {
    let (printed, _) = answer("scontrol", ["show", "-o", "partition"].into_iter().chain(name))?;
    let fields = |line: &str| -> BTreeMap<String, String> {
        let pairs = line.split_whitespace().filter_map(|field| field.split_once('='));
        pairs.map(|(name, value)| (name.to_string(), value.to_string())).collect()
    };
    let mut partitions = printed.lines().map(fields);
    let is_meant = |fields: &BTreeMap<String, String>| {
        name.is_some() || fields.get("Default").is_some_and(|yes| yes == "YES")
    };
    partitions.find(is_meant).ok_or_else(|| {
        Error::new(bivouac::error::Kind::Broken, "scontrol", "knows no default partition")
            .advise("name one: -p PARTITION")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_of_other_jobs_are_not_ours() {
        let script = Path::new("/data/o|t.bivouac/slurm/job.sh");
        let of = |line: &str| element(line, &[4711], script);
        let wanted = Element { array: 4711, shard: 3, state: "PENDING".into(), reason: "BeginTime".into() };
        assert_eq!(of("4711|3|PENDING|BeginTime|/elsewhere"), Some(wanted.clone()));
        assert_eq!(
            of("4712|3|PENDING|BeginTime|/data/o|t.bivouac/slurm/job.sh"),
            Some(Element { array: 4712, ..wanted })
        );
        assert_eq!(of("4712|3|PENDING|BeginTime|/data/out.bivouac/slurm/job.sh"), None);
        assert_eq!(of("4711|N/A|RUNNING|None|/data/job.sh"), None, "no array");
    }
}
