//! Tasks that are not over though their worker is free.

use super::*;

/// The work of a task is done, and only later it is known what came of it.
#[test]
fn what_is_put_off_keeps_the_job_from_its_end_and_a_stop_waits_for_it_no_longer() {
    let with_one_deferred = || {
        let mut world = World::with(2);
        world.event(Event::Deferred);
        world.event(Event::TaskEnded);
        assert_eq!((world.state.in_flight, world.state.deferred), (0, 1));
        world
    };
    let mut complete = with_one_deferred();
    complete.event(Event::SourceEnded);
    assert_eq!(complete.state.course, Course::Working);
    complete.event(Event::Reassigned);
    complete.event(Event::TaskEnded);
    assert!(complete.close_ordered);

    for request in [Request::Stop, Request::Abort] {
        let mut world = with_one_deferred();
        world.event(ask(request));
        assert_eq!((world.state.in_flight, world.state.deferred), (1, 0), "{request:?}");
        assert!(!world.close_ordered, "{request:?}");
        world.event(Event::TaskEnded);
        assert!(world.close_ordered, "{request:?}");
    }
}

/// Where failures end the run, the run waits for a verdict, until a stop is asked for as well.
#[test]
fn failures_that_end_a_run_make_no_interruption_of_what_is_put_off() {
    let mut world = World::with(3);
    world.event(Event::Deferred);
    world.event(Event::Halted { now: false });
    world.event(Event::Deferred);
    assert_eq!(world.state.deferred, 2);
    world.event(ask(Request::Stop));
    assert_eq!((world.state.in_flight, world.state.deferred), (3, 0));
    world.event(Event::Deferred);
    assert_eq!((world.state.in_flight, world.state.deferred), (3, 0), "a stop is under way");
}
