//! Which signal asks a given job for something.
//!
//! "SIGTERM stops it" is not enough: the table from signal to request belongs to the job, `--on` may have changed it, and a
//! job may have been started with signals ignored. So the verb chooses from the table in the status file of the job. If that
//! has no signal for a request, the verb refuses with the reason.

use bivouac::Request;
use bivouac::policy::{DEFAULTS, short_name, signal_named};
use bivouac::status_file::{Row, StatusFile};
use nix::sys::signal::Signal;

/// Where several signals stop a job, the one of service managers comes first, then the one of Ctrl-C. Any other
/// (USR2, HUP) stops the job too, but with another exit code.
const PREFERRED: [Signal; 2] = [Signal::SIGTERM, Signal::SIGINT];

/// The signal for the first of the `wanted` requests for which this job has one; or why there is none.
pub(super) fn signal_for(live: &StatusFile, wanted: &[Request]) -> Result<Signal, String> {
    for request in wanted {
        let rows = live.signals.iter().filter(|row| row.request == *request && row.heard);
        let mut signals: Vec<Signal> = rows.filter_map(|row| signal_named(&row.signal).ok()).collect();
        signals.sort_by_key(|signal| {
            PREFERRED.iter().position(|preferred| preferred == signal).unwrap_or(PREFERRED.len())
        });
        if let Some(signal) = signals.first() {
            return Ok(*signal);
        }
    }
    Err(why_not(live, wanted))
}

fn why_not(live: &StatusFile, wanted: &[Request]) -> String {
    let names: Vec<_> = wanted.iter().map(|request| format!("`{request}`")).collect();
    let mut reasons: Vec<String> = Vec::new();
    for row in live.signals.iter().filter(|row| wanted.contains(&row.request)) {
        reasons.push(format!("SIG{} was ignored at its start", row.signal));
    }
    for (signal, _) in DEFAULTS.iter().filter(|(_, request)| wanted.contains(request)) {
        match live.signals.iter().find(|row| row.signal == short_name(*signal)) {
            Some(Row { request, .. }) if wanted.contains(request) => {}
            Some(Row { request, .. }) => reasons.push(format!("{signal} means `{request}` to it")),
            None => reasons.push(format!("{signal} means nothing to it")),
        }
    }
    format!("no signal asks for {}: {}", names.join(" or "), reasons.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Request::{Checkpoint, Ignore, Pause, Status, Stop, Suspend};

    fn job(rows: &[(&str, Request, bool)]) -> StatusFile {
        let rows: Vec<_> = rows
            .iter()
            .map(|(signal, request, heard)| {
                serde_json::json!({ "signal": signal, "request": request, "heard": heard })
            })
            .collect();
        let mut live = serde_json::json!({
            "format": 1, "seq": 1, "pid": 1, "ticks": null, "run": null, "written_at_ms": 0,
            "phase": "running", "frontier": 0, "tasks": null, "beyond": 0, "in_flight": 0, "failed": 0,
            "bytes": 0, "bytes_before": 0, "bytes_total": null, "output_bytes": 0, "worked_seconds": 0.0,
            "bytes_per_second": null, "tasks_per_second": null, "eta_seconds": null, "checkpoint": null,
            "checkpoints_asked": 0, "workers": 1
        });
        live["signals"] = rows.into();
        serde_json::from_value(live).unwrap()
    }

    #[test]
    fn term_before_int_before_anything_else_and_nothing_that_is_ignored() {
        let all = [("USR2", Stop, true), ("INT", Stop, true), ("TERM", Stop, true)];
        assert_eq!(signal_for(&job(&all), &[Stop]), Ok(Signal::SIGTERM));
        assert_eq!(signal_for(&job(&all[..2]), &[Stop]), Ok(Signal::SIGINT));
        assert_eq!(signal_for(&job(&all[..1]), &[Stop]), Ok(Signal::SIGUSR2));
        let deaf = [("TERM", Stop, false), ("INT", Stop, false), ("HUP", Stop, true)];
        assert_eq!(signal_for(&job(&deaf), &[Stop]), Ok(Signal::SIGHUP));
    }

    #[test]
    fn a_pause_is_preferred_to_a_suspension() {
        let both = [("TSTP", Suspend, true), ("URG", Pause, true)];
        assert_eq!(signal_for(&job(&both), &[Pause, Suspend]), Ok(Signal::SIGURG));
        assert_eq!(signal_for(&job(&both[..1]), &[Pause, Suspend]), Ok(Signal::SIGTSTP));
    }

    #[test]
    fn a_refusal_says_what_the_signal_means_instead() {
        for (rows, wanted, expected) in [
            (
                vec![("USR1", Status, true)],
                vec![Checkpoint],
                "no signal asks for `checkpoint`: SIGUSR1 means `status` to it",
            ),
            (
                vec![("TSTP", Suspend, false), ("URG", Ignore, true)],
                vec![Pause, Suspend],
                "no signal asks for `pause` or `suspend`: SIGTSTP was ignored at its start, SIGURG means `ignore` to it",
            ),
            (vec![], vec![Checkpoint], "no signal asks for `checkpoint`: SIGUSR1 means nothing to it"),
            (
                vec![("USR1", Ignore, true)],
                vec![Checkpoint],
                "no signal asks for `checkpoint`: SIGUSR1 means `ignore` to it",
            ),
        ] {
            assert_eq!(signal_for(&job(&rows), &wanted).unwrap_err(), expected);
        }
    }
}
