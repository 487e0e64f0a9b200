//! `bivouac slurm --check`: the settings of this site, and their meaning for our jobs.

use super::queue;
use crate::cli::format::time;
use crate::cli::settings::Settings;
use bivouac::Result;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

#[derive(Clone, Debug)]
pub(crate) struct Site {
    config: BTreeMap<String, String>,
    partition: BTreeMap<String, String>,
}

/// The value of an option of sbatch among its words.
fn value_of(sbatch: &[OsString], long: &str, short: &str) -> Option<String> {
    let mut words = sbatch.iter().map(|word| word.to_string_lossy());
    while let Some(word) = words.next() {
        if word == long || word == short {
            return words.next().map(|value| value.into_owned());
        }
        let value =
            word.strip_prefix(long).and_then(|rest| rest.strip_prefix('=')).or(word.strip_prefix(short));
        if let Some(value) = value {
            return Some(value.to_string());
        }
    }
    None
}

impl Site {
    /// Asks Slurm about the site, and about the partition that is named among the options of sbatch.
    pub(crate) fn ask(sbatch: &[OsString]) -> Result<Self> {
        let partition = value_of(sbatch, "--partition", "-p");
        Ok(Self { config: queue::configuration()?, partition: queue::partition(partition.as_deref())? })
    }

    fn of<'a>(from: &'a BTreeMap<String, String>, name: &str) -> &'a str {
        from.get(name).map_or("", String::as_str)
    }

    fn number(from: &BTreeMap<String, String>, name: &str) -> Option<u64> {
        Self::of(from, name).split_whitespace().next()?.parse().ok()
    }

    pub(crate) fn most_shards(&self) -> Option<u64> {
        Self::number(&self.config, "MaxArraySize").map(|size| size.saturating_sub(1))
    }

    /// The time between SIGTERM and SIGKILL.
    fn kill_wait(&self) -> Option<Duration> {
        Self::number(&self.config, "KillWait").map(Duration::from_secs)
    }

    /// A sentence about the times of a stop, if they do not fit.
    pub(crate) fn stop_is_too_long(&self, settings: &Settings) -> Option<String> {
        let wait = self.kill_wait()?;
        let (grace, kill_after) = (settings.grace.value.0?, settings.kill_after.value);
        (grace + kill_after >= wait).then(|| {
            format!(
                "--grace {} and --kill-after {} are not less than KillWait, {}\n  \
                 when this site ends a job without a warning, tasks in flight are killed",
                time(grace),
                time(kill_after),
                time(wait)
            )
        })
    }

    pub(crate) fn page(&self, local_locks: Option<String>) -> String {
        let (config, partition) = (&self.config, &self.partition);
        let mode = match Self::of(partition, "PreemptMode") {
            "" => Self::of(config, "PreemptMode"),
            mode => mode,
        };
        let preempted = match mode.split(',').find(|mode| *mode != "GANG").unwrap_or_default() {
            "OFF" => "no element is preempted",
            "REQUEUE" => "a preempted element is requeued by Slurm",
            "CANCEL" => "a preempted element is cancelled: type the line again",
            "SUSPEND" => "a preempted element stands still, and goes on later",
            _ => "see slurm.conf(5)",
        };
        let warned = match Self::of(config, "SlurmctldParameters").contains("preempt_send_user_signal") {
            true => "preemption begins with the warning of --warn",
            false => "preemption comes without --warn; SIGTERM comes when GraceTime is over",
        };
        let exits = match Self::of(config, "RequeueExit") {
            "" | "(null)" => "no exit code requeues a job; elements ask for it themselves",
            _ => "these exit codes requeue a job; elements also ask for it themselves",
        };
        let delay = Self::of(config, "AuthInfo").split_once("cred_expire=").map_or("120", |(_, rest)| rest);
        let delay: String = delay.chars().take_while(char::is_ascii_digit).collect();
        let (of_site, of_partition) = (|name| Self::of(config, name), |name| Self::of(partition, name));
        let rows = [
            (
                "KillWait",
                of_site("KillWait"),
                "from SIGTERM to SIGKILL; --grace and --kill-after must be less",
            ),
            ("GraceTime", of_partition("GraceTime"), "seconds from the decision to preempt to SIGTERM"),
            ("PreemptMode", mode, preempted),
            ("SlurmctldParameters", of_site("SlurmctldParameters"), warned),
            ("RequeueExit", of_site("RequeueExit"), exits),
            ("cred_expire", &delay, "seconds that a requeued element waits, or more"),
            ("MaxArraySize", of_site("MaxArraySize"), "--shards must be less"),
            ("MaxTime", of_partition("MaxTime"), "the longest --time; a requeued element begins again"),
        ];
        let (name, version) = (of_site("ClusterName"), of_site("SLURM_VERSION"));
        let mut page = format!("{name}, Slurm {version}, partition {}\n", of_partition("PartitionName"));
        for (name, value, means) in rows {
            page.push_str(&format!("  {name:20} {value:20} {means}\n"));
        }
        let locks = local_locks
            .map_or("nothing says that locks here hold on one host only".to_string(), |why| {
                format!("{why}: shards are refused here")
            });
        page.push_str(&format!("  {:20} {locks}\n", "locks"));
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_partition_is_found_in_every_spelling() {
        for line in ["-p low", "-plow", "--partition=low", "--partition low", "-t 5 -p low -c 2"] {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            assert_eq!(value_of(&words, "--partition", "-p").as_deref(), Some("low"), "{line}");
        }
        assert_eq!(value_of(&["-t".into(), "5".into()], "--partition", "-p"), None);
    }
}
