//! When a repeated signal means more: a second SIGTERM aborts, a third one kills.

use crate::signals::policy::escalates;
use nix::sys::signal::Signal;
use std::time::Duration;

/// How far the requests for an end have climbed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rung {
    /// The first time: stop.
    First,
    /// The same request, delivered twice.
    Merged,
    /// Again: abort.
    Second,
    /// And again: die.
    Third,
}

/// Distinguishes a signal that a person sends again from one request that is delivered twice.
///
/// One expiry of `timeout` delivers TERM twice in one of twenty runs: once to the child, once to its group. Parents
/// like npm send INT and TERM for one Ctrl-C. So the same signal counts again only [`Escalation::REPEAT`] after
/// it last counted, and a different one only [`Escalation::MERGE`] after the first.
///
/// The signal thread and the supervisor each have an `Escalation`, and both see the same signals. That of the supervisor
/// decides. That of the signal thread is the way out if the supervisor is stuck.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Escalation {
    rung: u8,
    first: Duration,
    last_int: Option<Duration>,
    last_term: Option<Duration>,
    last_die: Option<Duration>,
}

impl Escalation {
    /// A repetition within this time is the same request.
    pub(crate) const REPEAT: Duration = Duration::from_millis(150);
    /// A different stop signal within this time is the same request.
    pub(crate) const MERGE: Duration = Duration::from_secs(2);

    /// A signal that asks for a stop arrived at time `at`.
    pub(crate) fn climb(&mut self, signal: Signal, at: Duration) -> Rung {
        let first_of_all = self.rung == 0;
        if first_of_all {
            self.rung = 1;
            self.first = at;
        }
        if !escalates(signal) {
            return if first_of_all { Rung::First } else { Rung::Merged };
        }
        let last = if signal == Signal::SIGINT { &mut self.last_int } else { &mut self.last_term };
        let again = match *last {
            Some(counted) => at.saturating_sub(counted) >= Self::REPEAT,
            None => !first_of_all && at.saturating_sub(self.first) >= Self::MERGE,
        };
        if again || last.is_none() {
            *last = Some(at);
        }
        self.rung = self.rung.saturating_add(u8::from(again));
        match (first_of_all, again, self.rung) {
            (true, _, _) => Rung::First,
            (false, false, _) => Rung::Merged,
            (false, true, 2) => Rung::Second,
            (false, true, _) => Rung::Third,
        }
    }

    /// A signal that asks us to die arrived at time `at`; `true` if one has counted before.
    pub(crate) fn climb_to_die(&mut self, at: Duration) -> bool {
        let first = *self.last_die.get_or_insert(at);
        at.saturating_sub(first) >= Self::REPEAT
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Signal::{SIGHUP, SIGINT, SIGTERM, SIGUSR2};

    /// The rungs that a story of (signal, milliseconds) climbs.
    fn rungs(story: &[(Signal, u64)]) -> Vec<Rung> {
        let mut escalation = Escalation::default();
        story.iter().map(|(signal, ms)| escalation.climb(*signal, Duration::from_millis(*ms))).collect()
    }

    #[test]
    fn the_same_signal_again_climbs_and_the_same_signal_twice_does_not() {
        use Rung::*;
        assert_eq!(rungs(&[(SIGTERM, 0), (SIGTERM, 5), (SIGTERM, 149)]), [First, Merged, Merged]);
        assert_eq!(rungs(&[(SIGTERM, 0), (SIGTERM, 150), (SIGTERM, 300)]), [First, Second, Third]);
        assert_eq!(
            rungs(&[(SIGINT, 0), (SIGINT, 500), (SIGINT, 510), (SIGINT, 900)]),
            [First, Second, Merged, Third]
        );
    }

    #[test]
    fn another_signal_merges_at_first_and_climbs_later() {
        use Rung::*;
        assert_eq!(rungs(&[(SIGINT, 0), (SIGTERM, 3)]), [First, Merged]);
        assert_eq!(rungs(&[(SIGINT, 0), (SIGTERM, 2500)]), [First, Second]);
        assert_eq!(rungs(&[(SIGINT, 0), (SIGTERM, 3), (SIGTERM, 400)]), [First, Merged, Second]);
    }

    #[test]
    fn warnings_and_hangups_never_climb() {
        use Rung::*;
        assert_eq!(rungs(&[(SIGHUP, 0), (SIGHUP, 5000), (SIGUSR2, 9000)]), [First, Merged, Merged]);
        assert_eq!(rungs(&[(SIGTERM, 0), (SIGHUP, 5000)]), [First, Merged]);
        // But a warning does not shield from the kill either.
        assert_eq!(rungs(&[(SIGUSR2, 0), (SIGTERM, 5000), (SIGTERM, 5200)]), [First, Second, Third]);
    }

    #[test]
    fn the_second_quit_dies() {
        let mut escalation = Escalation::default();
        assert!(!escalation.climb_to_die(Duration::ZERO));
        assert!(!escalation.climb_to_die(Duration::from_millis(10)));
        assert!(escalation.climb_to_die(Duration::from_millis(200)));
    }
}
