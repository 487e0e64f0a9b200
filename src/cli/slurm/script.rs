//! The script of an array: everything that Slurm must know about a job, written to be read.

use crate::jobs::quote;
use bivouac::{Error, Result};
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::Duration;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Script<'a> {
    pub(crate) typed: &'a [OsString],
    pub(crate) sbatch: &'a [OsString],
    pub(crate) shards: u64,
    pub(crate) at_most: Option<u64>,
    pub(crate) warn: Duration,
    pub(crate) directory: &'a Path,
    pub(crate) program: &'a Path,
    /// Where the log of each element goes, and the name of the job comes from.
    pub(crate) state: &'a Path,
    pub(crate) output: Option<&'a Path>,
    /// Whether locks of this file system are known to exclude no other host, and that is accepted.
    pub(crate) local_locks: bool,
    /// Verb, options, command.
    pub(crate) job: &'a [OsString],
}

/// Options of sbatch that the script has itself, by their long and short names, and why no others are possible.
const REFUSED: [(&str, &str, &str); 10] = [
    ("--array", "a", "the elements of the array are the shards: --shards N, --at-most M"),
    ("--signal", "", "the warning is SIGUSR2 to the job: --warn TIME sets when"),
    ("--no-requeue", "", "an element that is stopped before it is done must come back"),
    ("--open-mode", "", "a requeued element must not empty its log"),
    ("--output", "o", "each shard has its log beside the state: OUT.bivouac/slurm/K.log"),
    ("--ntasks", "n", "an element is one process with the cores of --cpus-per-task"),
    ("--nodes", "N", "an element is one process on one node; give more --shards"),
    ("--chdir", "D", "the paths of the job are relative to this directory"),
    ("--wrap", "", "the job stands after --"),
    ("--parsable", "", "it is given already"),
];

/// The text before the line that was typed.
pub(super) const TYPED: &str = " for:  ";

/// Short options of sbatch without a value, which may stand before another one in the same word.
const FLAGS: &str = "hHIkOQsvVW";

/// Refuses options that would break the protocol.
pub(crate) fn refuse(sbatch: &[OsString]) -> Result<()> {
    for word in sbatch {
        let text = word.to_string_lossy();
        let name = text.split('=').next().unwrap_or_default();
        let short = text
            .strip_prefix('-')
            .and_then(|rest| rest.trim_start_matches(|c| FLAGS.contains(c)).chars().next());
        let is_meant = |(long, letter, _): &&(&str, &str, &str)| match name.starts_with("--") {
            // sbatch takes a beginning for the whole.
            true => name.len() > 3 && long.starts_with(name),
            false => short.is_some_and(|short| letter.chars().eq([short])),
        };
        if let Some((long, _, why)) = REFUSED.iter().find(is_meant) {
            let how = format_args!("the script of this array has its own {long}");
            return Err(Error::usage(&text, how).advise(*why));
        }
        if text.chars().any(char::is_control) {
            return Err(Error::usage(&text, "has a control character, which a script cannot hold"));
        }
    }
    Ok(())
}

impl Script<'_> {
    pub(crate) fn text(&self) -> String {
        let typed = quote::command(self.typed);
        let mut text =
            format!("#!/bin/bash\n# Written by bivouac {}{TYPED}{typed}\n", env!("CARGO_PKG_VERSION"));
        let verb = self.job.first().map(OsString::as_os_str);
        let name = self.output.and_then(Path::file_name).or(verb).unwrap_or_default();
        let name = format!("bivouac:{}", name.display());
        let throttle = self.at_most.map(|most| format!("%{most}")).unwrap_or_default();
        let log = self.state.join("slurm/%a.log");
        // sbatch reads a percent sign as the beginning of a pattern.
        let log = log.display().to_string().replace('%', "%%").replace("slurm/%%a.log", "slurm/%a.log");
        text.push_str(&format!(
            "#SBATCH {} --array=1-{}{throttle} --requeue --signal=B:USR2@{} {}\n",
            option("--job-name", name.as_ref()),
            self.shards,
            self.warn.as_secs(),
            option("--chdir", self.directory.as_os_str()),
        ));
        text.push_str(&format!("#SBATCH --open-mode=append {}\n", option("--output", log.as_ref())));
        // The last line counts: a name of the user's own, say.
        if !self.sbatch.is_empty() {
            text.push_str(&format!("#SBATCH {}\n", quote::command(self.sbatch)));
        }
        text + &self.command()
    }

    /// `exec`, because a signal for the script must reach the job.
    fn command(&self) -> String {
        let (verb, rest) =
            self.job.split_first().map_or((OsStr::new(""), &[][..]), |(verb, rest)| (verb, rest));
        let locks = if self.local_locks { " --allow-local-locks" } else { "" };
        // By what it reads, an element may come to another name for a state than the one that submitted it.
        let state = match self.output {
            Some(_) => String::new(),
            None => format!(" --state {}", quote::argument(self.state.as_os_str())),
        };
        format!(
            "exec {} {} --shard \"$SLURM_ARRAY_TASK_ID/{}\" --wait{locks}{state} \\\n  \
             -j \"${{SLURM_CPUS_PER_TASK:-${{SLURM_CPUS_ON_NODE:-1}}}}\" \\\n  \
             --after-warning \"scontrol requeue ${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}\" \\\n  {}\n",
            quote::argument(self.program.as_os_str()),
            quote::argument(verb),
            self.shards,
            quote::command(rest),
        )
    }
}

/// An option and its value as one word, as a shell and sbatch read it.
fn option(name: &str, value: &OsStr) -> String {
    format!("{name}={}", quote::argument(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        shlex::split(line).unwrap().into_iter().map(OsString::from).collect()
    }

    #[test]
    fn the_script_can_be_read_and_a_shell_reads_it_as_it_was_typed() {
        let job = words("pipe 'huge file.json' -o out -- jq -c .name");
        let script = Script {
            typed: &words(
                "bivouac slurm --shards 8 -t 1:00:00 -p low -- pipe 'huge file.json' -o out -- jq -c .name",
            ),
            sbatch: &words("-t 1:00:00 -p low --comment 'a b'"),
            shards: 8,
            at_most: Some(3),
            warn: Duration::from_secs(120),
            directory: Path::new("/data/my files"),
            program: Path::new("/usr/bin/bivouac"),
            state: Path::new("100%.bivouac"),
            output: Some(Path::new("100%")),
            local_locks: false,
            job: &job,
        };
        let text = script.text();
        assert_eq!(
            text,
            r##"#!/bin/bash
# Written by bivouac 0.1.0 for:  bivouac slurm --shards 8 -t 1:00:00 -p low -- pipe 'huge file.json' -o out -- jq -c .name
#SBATCH --job-name='bivouac:100%' --array=1-8%3 --requeue --signal=B:USR2@120 --chdir='/data/my files'
#SBATCH --open-mode=append --output='100%%.bivouac/slurm/%a.log'
#SBATCH -t 1:00:00 -p low --comment 'a b'
exec /usr/bin/bivouac pipe --shard "$SLURM_ARRAY_TASK_ID/8" --wait \
  -j "${SLURM_CPUS_PER_TASK:-${SLURM_CPUS_ON_NODE:-1}}" \
  --after-warning "scontrol requeue ${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}" \
  'huge file.json' -o out -- jq -c .name
"##
            .replace("0.1.0", env!("CARGO_PKG_VERSION"))
        );
    }

    #[test]
    fn options_that_would_break_the_protocol_are_refused_in_every_spelling() {
        for line in [
            "--array=1-3",
            "-a 1-3",
            "--arr 1-3",
            "--signal=B:USR1@5",
            "--no-requeue",
            "--open-mode=truncate",
            "-o log",
            "--output=x",
            "-n4",
            "--ntasks 4",
            "-N 2",
            "--nodes=2",
            "-HN2",
            "--wrap=ls",
            "-D /tmp",
        ] {
            let error = refuse(&words(line)).expect_err(line);
            assert!(error.to_string().contains("has its own"), "{line}: {error}");
        }
        let error = refuse(&words("-t 1:00 --signal=B:USR1@5")).unwrap_err().to_string();
        assert!(error.contains("--signal=B:USR1@5") && error.contains("--warn"), "{error}");
        for line in [
            "-t 1:00:00 -p low",
            "-c 8",
            "--mem=4G",
            "--nice",
            "--account x",
            "--nodelist=n1",
            "-w n1",
            "-H -J name",
        ] {
            refuse(&words(line)).unwrap();
        }
    }
}
