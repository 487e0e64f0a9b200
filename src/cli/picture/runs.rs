//! The runs of a job, from its history: when each began and how it ended, what was asked for, and when it stood still.

use bivouac::history::{Happened, Moment, Standing, Way};
use bivouac::{Activity, Request};

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    Ended(Way),
    /// The history has no line about its end: SIGKILL, SIGQUIT, or the machine went down.
    Killed,
    /// It has not ended.
    AtWork,
}

impl How {
    pub(super) fn word(self) -> &'static str {
        match self {
            How::Ended(Way::Finished) => "finished",
            How::Ended(Way::Stopped) => "stopped",
            How::Ended(Way::Failed) => "broke off",
            How::Killed => "was killed",
            How::AtWork => "is at work",
        }
    }
}

#[derive(Debug)]
pub(super) struct RunSpan {
    pub(super) shard: u64,
    pub(super) pid: u32,
    pub(super) began_ms: u64,
    pub(super) ended_ms: u64,
    pub(super) how: How,
    /// How far it was, with the times in milliseconds since 1970.
    pub(super) standings: Vec<(u64, Standing)>,
    /// The requests that it got: when, which, and by whom.
    pub(super) asked: Vec<(u64, Request, String)>,
}

impl RunSpan {
    /// When it stood still: from a line that says "paused" to the next line that does not.
    pub(super) fn pauses(&self) -> Vec<(u64, u64)> {
        let ends = self.standings.iter().skip(1).map(|(at, _)| *at).chain([self.ended_ms]);
        let mut pauses: Vec<(u64, u64)> = Vec::new();
        for ((at, standing), end) in self.standings.iter().zip(ends) {
            match pauses.last_mut() {
                _ if standing.phase != Activity::Paused => {}
                Some(last) if last.1 == *at => last.1 = end,
                Some(_) | None => pauses.push((*at, end)),
            }
        }
        pauses
    }

    /// When it moved: the times between its pauses.
    pub(super) fn busy(&self) -> Vec<(u64, u64)> {
        let mut from = self.began_ms;
        let mut busy = Vec::new();
        for (pause, end) in self.pauses() {
            busy.push((from, pause.max(from)));
            from = end;
        }
        busy.push((from, self.ended_ms.max(from)));
        busy
    }

    pub(super) fn last(&self) -> Standing {
        self.standings.last().map(|(_, standing)| *standing).unwrap_or_default()
    }
}

/// Divides a history into its runs. `now` is given if a process holds the state: then the last run is at work until now.
pub(super) fn runs_of(moments: Vec<Moment>, shard: u64, now: Option<u64>) -> Vec<RunSpan> {
    let mut runs: Vec<RunSpan> = Vec::new();
    for Moment { at_ms, what } in moments {
        if let Happened::Began { pid, .. } = what {
            let (standings, asked) = (Vec::new(), Vec::new());
            runs.push(RunSpan {
                shard,
                pid,
                began_ms: at_ms,
                ended_ms: at_ms,
                how: How::Killed,
                standings,
                asked,
            });
            continue;
        }
        let Some(run) = runs.last_mut() else { continue };
        run.ended_ms = run.ended_ms.max(at_ms);
        match what {
            Happened::Began { .. } => {}
            Happened::Asked { request, by } => run.asked.push((at_ms, request, by)),
            Happened::At(standing) => run.standings.push((at_ms, standing)),
            Happened::Ended { how, standing } => {
                run.standings.push((at_ms, standing));
                run.how = How::Ended(how);
            }
        }
    }
    if let (Some(now), Some(last)) = (now, runs.last_mut().filter(|last| last.how == How::Killed)) {
        (last.how, last.ended_ms) = (How::AtWork, now.max(last.ended_ms));
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(at_ms: u64, phase: Activity) -> Moment {
        Moment { at_ms, what: Happened::At(Standing { phase, ..Standing::default() }) }
    }

    #[test]
    fn a_run_that_says_no_end_was_killed_and_a_pause_lasts_until_the_next_moment_that_is_none() {
        let began = |at_ms| Moment { at_ms, what: Happened::Began { run: String::new(), pid: 7 } };
        let (paused, running) = (Activity::Paused, Activity::Running);
        let moments = vec![
            began(1000),
            at(1100, running),
            at(2000, paused),
            at(3000, paused),
            at(9000, running),
            began(20_000),
            at(21_000, paused),
        ];
        let runs = runs_of(moments, 0, Some(25_000));
        assert_eq!((runs[0].how, runs[0].ended_ms), (How::Killed, 9000));
        assert_eq!((runs[1].how, runs[1].ended_ms), (How::AtWork, 25_000));
        assert_eq!(runs[0].busy(), [(1000, 2000), (9000, 9000)]);
        assert_eq!(runs[1].pauses(), [(21_000, 25_000)]);
    }
}
