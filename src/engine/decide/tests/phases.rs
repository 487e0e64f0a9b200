//! The phases of a run, each with the events that lead into it.

use super::*;

/// Worlds in every phase that there is, each with the name of the phase. Two tasks were in flight at the beginning.
pub(super) fn phases() -> Vec<(&'static str, World)> {
    let signal = |signal| Event::Asked {
        request: Policy::default().request(signal),
        by: Asker::Signal(signal),
        at: Duration::ZERO,
    };
    let (term, tstp) = (signal(Signal::SIGTERM), signal(Signal::SIGTSTP));
    let [pause, suspend, stop, abort] =
        [Request::Pause, Request::Suspend, Request::Stop, Request::Abort].map(ask);
    let halted = Event::Halted { now: false };
    let (listed, ended, deferred) = (Event::SourceEnded, Event::TaskEnded, Event::Deferred);
    let stories: [(&str, &[Event]); 22] = [
        ("running", &[]),
        ("running, all listed", &[listed]),
        ("running, one deferred", &[deferred]),
        ("running, all listed and deferred", &[listed, deferred, deferred]),
        ("ending, enough tasks ended, one deferred", &[halted, deferred]),
        ("pausing", &[pause]),
        ("paused", &[pause, Event::NothingMoves]),
        ("suspending, and children go on", &[suspend]),
        ("suspended and returned", &[suspend]),
        ("stopping by handle", &[stop]),
        ("stopping by TERM", &[term]),
        ("stopping, and suspended there", &[term, tstp]),
        ("stopping, and suspending there", &[term, tstp]),
        ("ending, enough tasks ended", &[halted]),
        ("halting now", &[Event::Halted { now: true }]),
        ("aborting", &[abort]),
        ("aborting, since a task broke", &[Event::TaskBroke]),
        ("commit path broken", &[Event::CommitBroke]),
        ("commit path broken while stopping", &[stop, Event::CommitBroke]),
        ("closing, complete", &[listed, ended, ended]),
        ("closing, stopped", &[stop, ended, ended]),
        ("ended", &[abort]),
    ];
    let lead_into = |(phase, events): (&'static str, &[Event])| {
        let mut world = World::with(2);
        world.children_go_on = phase.contains("suspending");
        events.iter().for_each(|event| world.event(*event));
        if phase == "ended" {
            world.run_out();
        }
        (phase, world)
    };
    stories.map(lead_into).into()
}
