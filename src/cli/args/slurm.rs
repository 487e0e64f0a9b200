//! The options of `slurm`, and how they are told from those of `sbatch`.

use super::help;
use crate::cli::parse;
use clap::Args;
use std::ffi::{OsStr, OsString};
use std::num::NonZero;
use std::time::Duration;

/// Run a job as an array of Slurm, and submit what is missing when the line is typed again.
///
/// Each of the N elements of the array does every N-th task, and the one that ends last merges the results into the
/// output, with the bytes of a run on one machine. It writes one script, OUT.bivouac/slurm/job.sh, and submits it with
/// sbatch. An element that is warned of its time limit stops with a checkpoint and is requeued. Options that are not
/// listed here are those of sbatch, as in `-t 1:00:00 -p low -c 8 --mem 4G`.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(
    after_long_help = help::SLURM,
    override_usage = "bivouac slurm --shards N [OPTIONS] [SBATCH OPTION]... -- VERB ...\n       bivouac slurm --check [-p PARTITION]"
)]
pub(crate) struct SlurmArgs {
    /// Divide the job into N shards, one for each element of the array
    #[arg(long, value_name = "N", allow_hyphen_values = true, required_unless_present = "check")]
    pub(crate) shards: Option<NonZero<u64>>,

    /// Let at most M elements run at the same time
    #[arg(long, value_name = "M", allow_hyphen_values = true)]
    pub(crate) at_most: Option<NonZero<u64>>,

    /// Be warned TIME before the time limit [default: 2m, or --grace and --kill-after and a minute, if that is more]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = parse::interval)]
    pub(crate) warn: Option<Duration>,

    /// Allow a directory where locks do not exclude other hosts
    #[arg(long)]
    pub(crate) allow_local_locks: bool,

    /// Print the script, and submit nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Print what this site does: the time between SIGTERM and SIGKILL, preemption, requeues, locks
    #[arg(long)]
    pub(crate) check: bool,

    /// What sbatch is told besides
    #[arg(long, hide = true, allow_hyphen_values = true, action = clap::ArgAction::Append)]
    pub(crate) sbatch: Vec<OsString>,

    /// The job, as it is typed without Slurm
    #[arg(last = true, required_unless_present = "check", value_name = "VERB")]
    pub(crate) job: Vec<OsString>,
}

/// Own options, and whether a value follows.
const OWN: [(&str, bool); 9] = [
    // A line that was separated is read again, with a default in it.
    ("--sbatch", true),
    ("--shards", true),
    ("--at-most", true),
    ("--warn", true),
    ("--allow-local-locks", false),
    ("--dry-run", false),
    ("--check", false),
    ("--help", false),
    ("-h", false),
];

/// The line with every word for sbatch as the value of an option. clap knows either all options or none.
pub(super) fn separated(argv: &[OsString]) -> Option<Vec<OsString>> {
    if argv.get(1).is_none_or(|verb| verb != "slurm") {
        return None;
    }
    let dashes = argv.iter().position(|word| word == "--").unwrap_or(argv.len());
    let mut line = argv.get(..2)?.to_vec();
    let mut words = argv.get(2..dashes)?.iter();
    while let Some(word) = words.next() {
        let name = word.to_str().and_then(|word| word.split('=').next()).unwrap_or_default();
        match OWN.iter().find(|(own, _)| *own == name) {
            Some((_, has_value)) => {
                line.push(word.clone());
                if *has_value && *word == name {
                    line.extend(words.next().cloned());
                }
            }
            None => {
                let mut of_sbatch = OsString::from("--sbatch=");
                of_sbatch.push::<&OsStr>(word);
                line.push(of_sbatch);
            }
        }
    }
    line.extend_from_slice(argv.get(dashes..)?);
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Cli, Verb};

    fn read(line: &str) -> Result<SlurmArgs, clap::Error> {
        let argv: Vec<OsString> = shlex::split(line).unwrap().into_iter().map(OsString::from).collect();
        Cli::read(&argv).map(|cli| {
            let Verb::Slurm(slurm) = cli.verb else { panic!("{line}: not slurm") };
            slurm
        })
    }

    #[test]
    fn own_options_stand_among_those_of_sbatch() {
        let line = "bivouac slurm -t 1:00:00 --shards 8 --mem=4G --at-most=2 -c 4 --comment 'a b' -- pipe in -o out -- tr a b";
        let slurm = read(line).unwrap();
        assert_eq!((slurm.shards, slurm.at_most), (NonZero::new(8), NonZero::new(2)));
        assert_eq!(slurm.sbatch, ["-t", "1:00:00", "--mem=4G", "-c", "4", "--comment", "a b"]);
        assert_eq!(slurm.job, ["pipe", "in", "-o", "out", "--", "tr", "a", "b"]);
        assert!(read("bivouac slurm --check -p low").unwrap().check);
    }

    #[test]
    fn what_is_missing_is_named() {
        for (line, names) in [
            ("bivouac slurm -- count f -o n", "--shards <N>"),
            ("bivouac slurm --shards 4", "VERB"),
            ("bivouac slurm --shards 0 -- count f -o n", "--shards"),
            ("bivouac slurm --shards 2 --warn soon -- count f -o n", "`90s`"),
        ] {
            let text = read(line).unwrap_err().to_string();
            assert!(text.contains(names), "{line}: {text}");
        }
    }
}
