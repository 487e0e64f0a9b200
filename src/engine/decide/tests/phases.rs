//! The phases of a run, each with a story that leads into it.

use super::*;

/// Ways to get into every phase that there is: names, and the events that lead there.
pub(super) fn phases() -> Vec<(&'static str, World)> {
    let build = |story: &dyn Fn(&mut World)| {
        let mut world = World::new();
        world.assign(2);
        story(&mut world);
        world
    };
    vec![
        ("running", build(&|_| ())),
        ("running, all listed", build(&|w| w.event(Event::SourceEnded))),
        ("running, one deferred", build(&|w| w.event(Event::Deferred))),
        (
            "running, all listed and deferred",
            build(&|w| {
                w.event(Event::SourceEnded);
                w.event(Event::Deferred);
                w.event(Event::Deferred);
            }),
        ),
        (
            "ending after failures, one deferred",
            build(&|w| {
                w.event(Event::Halted { now: false });
                w.event(Event::Deferred);
            }),
        ),
        ("pausing", build(&|w| w.event(ask(Request::Pause)))),
        (
            "paused",
            build(&|w| {
                w.event(ask(Request::Pause));
                w.event(Event::NothingMoves);
            }),
        ),
        (
            "suspending, and children go on",
            build(&|w| {
                w.children_go_on = true;
                w.event(ask(Request::Suspend));
            }),
        ),
        ("suspended and returned", build(&|w| w.event(ask(Request::Suspend)))),
        ("stopping by handle", build(&|w| w.event(ask(Request::Stop)))),
        ("stopping by TERM", build(&|w| w.signal(Signal::SIGTERM))),
        (
            "stopping, and suspended there",
            build(&|w| {
                w.signal(Signal::SIGTERM);
                w.signal(Signal::SIGTSTP);
            }),
        ),
        (
            "stopping, and suspending there",
            build(&|w| {
                w.children_go_on = true;
                w.signal(Signal::SIGTERM);
                w.signal(Signal::SIGTSTP);
            }),
        ),
        ("ending after failures", build(&|w| w.event(Event::Halted { now: false }))),
        ("halting now", build(&|w| w.event(Event::Halted { now: true }))),
        ("aborting", build(&|w| w.event(ask(Request::Abort)))),
        ("aborting, since a task broke", build(&|w| w.event(Event::TaskBroke))),
        ("commit path broken", build(&|w| w.event(Event::CommitBroke))),
        (
            "commit path broken while stopping",
            build(&|w| {
                w.event(ask(Request::Stop));
                w.event(Event::CommitBroke);
            }),
        ),
        (
            "closing, complete",
            build(&|w| {
                w.event(Event::SourceEnded);
                w.event(Event::TaskEnded);
                w.event(Event::TaskEnded);
            }),
        ),
        (
            "closing, stopped",
            build(&|w| {
                w.event(ask(Request::Stop));
                w.event(Event::TaskEnded);
                w.event(Event::TaskEnded);
            }),
        ),
        (
            "ended",
            build(&|w| {
                w.event(ask(Request::Abort));
                w.run_out();
            }),
        ),
    ]
}
