//! Every phase × every event, and every sequence of three signals in every phase.
//!
//! A little world answers the actions: it suspends, rings alarms, ends tasks and commits, so that
//! each story can be told to its end.

mod golden;
mod deferred;
mod phases;

use super::*;
use crate::ending::StoppedBy;
use crate::signals::policy::{DEFAULTS, Policy};
use nix::sys::signal::Signal;
use phases::phases;
use std::collections::VecDeque;

const RULES: Rules = Rules {
    grace: Some(Duration::from_secs(5)),
    kill_after: Duration::from_secs(2),
    forward_stops: false,
    hears_resume: true,
};

/// The world around a decision, with only as much in it as decisions can see.
struct World {
    state: State,
    now: Duration,
    alarms: Vec<Alarm>,
    gate_open: bool,
    draining: bool,
    cancelled: bool,
    close_ordered: bool,
    died: Option<Signal>,
    /// Children do not stop when they are told to.
    children_go_on: bool,
    done: Vec<Action>,
}

impl World {
    /// A run with so many tasks in flight.
    fn with(tasks: usize) -> Self {
        let mut world = Self::new();
        world.assign(tasks);
        world
    }

    fn new() -> Self {
        Self {
            state: State::new(RULES),
            now: Duration::ZERO,
            alarms: Vec::new(),
            gate_open: true,
            draining: false,
            cancelled: false,
            close_ordered: false,
            died: None,
            children_go_on: false,
            done: Vec::new(),
        }
    }

    fn event(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let (state, actions) = decide(self.state, event);
            self.state = state;
            for action in actions {
                self.done.push(action);
                self.perform(action, &mut events);
            }
            if self.state.motion == Motion::Suspending && !self.children_go_on {
                events.push_front(Event::NothingMoves);
            }
            self.check();
        }
        let waits = self.state.course == Course::Aborting && self.state.deferred > 0;
        assert!(!waits, "an abort that waits for a verdict: {:?}", self.state);
    }

    fn perform(&mut self, action: Action, events: &mut VecDeque<Event>) {
        match action {
            Action::CloseGate => self.gate_open = false,
            Action::OpenGate => self.gate_open = true,
            Action::Drain => self.draining = true,
            Action::Cancel => self.cancelled = true,
            Action::Suspend => events.push_front(Event::SuspendReturned),
            Action::Set(alarm, _) => self.alarms.push(alarm),
            Action::Unset(alarm) => self.alarms.retain(|set| *set != alarm),
            Action::Close => {
                assert!(!self.close_ordered, "closed twice");
                assert!(self.state.commit_works, "a close was ordered of a broken commit path");
                self.close_ordered = true;
            }
            Action::Die(signal) => self.died = Some(signal),
            Action::Checkpoint { .. } => {
                assert!(self.state.commit_works, "a checkpoint on a broken commit path")
            }
            Action::ConcludeDeferred => {
                (0..self.state.deferred).for_each(|_| events.push_front(Event::Reassigned));
            }
            Action::HoldChildren
            | Action::StopHard
            | Action::Kill
            | Action::InterruptOutput
            | Action::Forward(_)
            | Action::Status
            | Action::SayStopping
            | Action::SayRefused
            | Action::Reload
            | Action::Redraw => {}
        }
    }

    /// What holds in every state, whatever the story.
    fn check(&self) {
        let state = &self.state;
        if state.may_start() {
            assert_eq!((state.course, state.motion), (Course::Working, Motion::Running));
            assert!(
                self.gate_open && !self.draining && !self.cancelled,
                "a task may start at a closed gate: {state:?}"
            );
        }
        if state.course == Course::Working {
            assert_eq!(self.gate_open, state.motion == Motion::Running, "{state:?}");
        }
        if matches!(state.course, Course::Stopping | Course::Aborting) {
            assert!(self.draining, "a stop that does not drain: {state:?}");
            assert!(self.gate_open, "tasks in flight of a stop wait at the gate: {state:?}");
        }
        if state.course == Course::Ended && state.commit_works {
            assert!(self.close_ordered, "ended without a last checkpoint: {state:?}");
        }
        if state.course == Course::Stopping && state.cause != Some(Cause::Broken) && state.in_flight > 0 {
            assert!(self.alarms.contains(&Alarm::Grace), "a stop without an end: {state:?}");
        }
        if state.motion == Motion::Suspending {
            assert!(self.alarms.contains(&Alarm::Born), "a suspension that never comes: {state:?}");
        }
        if state.course == Course::Aborting && state.in_flight > 0 {
            let ends = self.alarms.contains(&Alarm::Kill) || self.alarms.contains(&Alarm::GiveUp);
            assert!(ends, "an abort without an end: {state:?}");
        }
    }

    fn signal(&mut self, signal: Signal) {
        let request = Policy::default().request(signal);
        self.event(Event::Asked { request, by: Asker::Signal(signal), at: self.now });
    }

    fn assign(&mut self, tasks: usize) {
        for _ in 0..tasks {
            assert!(self.state.may_start());
            self.event(Event::Assigned);
        }
    }

    /// Tells the story to its end, with tasks that reach no yield point. Only a run that has had enough
    /// of failures, without a request to stop, waits for them.
    fn run_out(&mut self) {
        for _ in 0..10 {
            if self.state.course == Course::Stopping && self.alarms.is_empty() {
                assert_eq!(self.state.cause, Some(Cause::Broken), "a stop without an end");
                if self.state.deferred > 0 {
                    self.event(Event::Reassigned);
                }
                self.event(Event::TaskEnded);
            }
            if let Some(alarm) = self.alarms.pop() {
                self.event(Event::Rang(alarm));
            }
            if self.close_ordered && self.state.course == Course::Closing {
                self.event(Event::Closed);
            }
        }
    }
}

fn ask(request: Request) -> Event {
    Event::Asked { request, by: Asker::Handle, at: Duration::ZERO }
}

fn every_event() -> Vec<Event> {
    let mut events = vec![
        Event::TaskEnded,
        Event::Deferred,
        Event::Reassigned,
        Event::TaskBroke,
        Event::Halted { now: false },
        Event::Halted { now: true },
        Event::SourceEnded,
        Event::SourceBroke,
        Event::CommitBroke,
        Event::NothingMoves,
        Event::SuspensionPostponed,
        Event::SuspendReturned,
    ];
    let alarms = [Alarm::Grace, Alarm::StopHard, Alarm::Born, Alarm::Kill, Alarm::GiveUp, Alarm::Refused];
    events.extend(alarms.map(Event::Rang));
    let by = [Asker::Handle, Asker::Budget, Asker::Signal(Signal::SIGTERM), Asker::Signal(Signal::SIGUSR1)];
    for request in Request::ALL {
        events.extend(by.map(|by| Event::Asked { request, by, at: Duration::from_secs(60) }));
    }
    events
}

#[test]
fn every_event_in_every_phase_leaves_a_state_that_can_end() {
    for event in every_event() {
        for (phase, mut world) in phases() {
            let course = world.state.course;
            world.event(event);
            if course == Course::Ended {
                assert_eq!(world.state.course, Course::Ended, "{event:?} in {phase} raised the dead");
            }
            let left_working = world.state.course != Course::Working;
            world.run_out();
            if left_working && world.died.is_none() {
                assert_eq!(world.state.course, Course::Ended, "{event:?} in {phase} never ends");
            }
        }
    }
}

#[test]
fn every_sequence_of_three_signals_in_every_phase() {
    let signals = DEFAULTS.map(|(signal, _)| signal);
    let stops = |signal: Signal| Policy::default().request(signal) == Request::Stop;
    let mut stories = 0;
    let pairs = signals.iter().flat_map(|first| signals.map(|second| (*first, second)));
    let triples: Vec<_> = pairs.flat_map(|(one, two)| signals.map(|three| [one, two, three])).collect();
    for gap in [Duration::from_millis(10), Duration::from_millis(300), Duration::from_secs(3)] {
        for triple in &triples {
            for (phase, mut world) in phases() {
                let was_working = world.state.course == Course::Working;
                for signal in triple {
                    world.now += gap;
                    world.signal(*signal);
                }
                let story = format!("{triple:?} every {gap:?} in {phase}");
                let asked_to_stop = triple.iter().copied().any(stops);
                if asked_to_stop {
                    assert_ne!(world.state.course, Course::Working, "{story}: a stop was cancelled");
                } else if was_working {
                    assert_eq!(world.state.course, Course::Working, "{story}: no stop was asked for");
                }
                world.run_out();
                if asked_to_stop && world.died.is_none() {
                    assert_eq!(world.state.course, Course::Ended, "{story}: never ends");
                }
                stories += 1;
            }
        }
    }
    assert_eq!(stories, 3 * DEFAULTS.len().pow(3) * phases().len());
}

#[test]
fn a_stop_writes_a_checkpoint_first_and_lets_tasks_in_flight_finish() {
    let mut world = World::with(2);
    world.signal(Signal::SIGTERM);
    assert_eq!(
        world.done,
        [
            Action::Drain,
            Action::Checkpoint { asked: false },
            Action::SayStopping,
            Action::Set(Alarm::Grace, Duration::from_secs(5))
        ]
    );
    world.event(Event::TaskEnded);
    assert_eq!(world.state.course, Course::Stopping);
    world.event(Event::TaskEnded);
    assert_eq!(world.state.course, Course::Closing);
    assert!(!world.cancelled);
    world.event(Event::Closed);
    assert_eq!(world.state.cause, Some(Cause::Stop(StoppedBy::Signal(Signal::SIGTERM))));
}

#[test]
fn who_has_had_enough_of_failures_waits_until_somebody_is_in_a_hurry() {
    let mut world = World::with(2);
    world.event(Event::Halted { now: false });
    assert!(!world.state.may_start() && world.alarms.is_empty() && !world.cancelled);
    world.signal(Signal::SIGTERM);
    assert_eq!(world.alarms, [Alarm::Grace]);
    world.event(Event::TaskEnded);
    world.event(Event::TaskEnded);
    assert_eq!((world.state.course, world.state.cause), (Course::Closing, Some(Cause::Broken)));

    let mut world = World::with(2);
    world.event(Event::Halted { now: true });
    assert!(world.cancelled);
}

/// A pager that is left open after the last task of all.
#[test]
fn a_stop_reaches_a_run_that_only_waits_for_its_reader() {
    let mut world = World::with(1);
    world.event(Event::SourceEnded);
    world.event(Event::TaskEnded);
    assert_eq!(world.state.course, Course::Closing);
    world.signal(Signal::SIGTERM);
    assert_eq!(world.done.last(), Some(&Action::InterruptOutput));
    assert_eq!(world.state.cause, Some(Cause::Stop(StoppedBy::Signal(Signal::SIGTERM))));
}

#[test]
fn the_same_signal_again_aborts_and_a_third_time_dies() {
    let mut world = World::with(1);
    for (ms, course, dies) in
        [(0, Course::Stopping, false), (200, Course::Aborting, false), (400, Course::Aborting, true)]
    {
        world.now = Duration::from_millis(ms);
        world.signal(Signal::SIGINT);
        assert_eq!((world.state.course, world.died.is_some()), (course, dies), "at {ms} ms");
    }
}

#[test]
fn what_ends_by_which_signal() {
    for (signal, expected) in [
        (Signal::SIGINT, StoppedBy::Signal(Signal::SIGINT)),
        (Signal::SIGHUP, StoppedBy::Signal(Signal::SIGHUP)),
        (Signal::SIGUSR2, StoppedBy::Warning(Signal::SIGUSR2)),
        (Signal::SIGXCPU, StoppedBy::Warning(Signal::SIGXCPU)),
    ] {
        let mut world = World::new();
        world.signal(signal);
        assert_eq!(world.state.cause, Some(Cause::Stop(expected)));
    }
}

#[test]
fn a_suspension_ends_with_sigcont_and_a_refused_one_says_so() {
    let mut world = World::with(1);
    world.signal(Signal::SIGTSTP);
    assert_eq!(world.state.motion, Motion::Paused, "raise has returned");
    assert!(world.alarms.contains(&Alarm::Refused));
    world.signal(Signal::SIGCONT);
    assert!(world.state.may_start() && world.alarms.is_empty());

    world.signal(Signal::SIGTSTP);
    world.event(Event::Rang(Alarm::Refused));
    assert!(world.done.contains(&Action::SayRefused));
    assert!(!world.state.may_start(), "it stays paused until a resume");
}

/// Nobody is there to stop children once the process is.
#[test]
fn a_suspension_waits_until_children_stand_still_but_not_for_ever() {
    let suspending = || {
        let mut world = World::new();
        world.children_go_on = true;
        world.assign(1);
        world.signal(Signal::SIGTSTP);
        assert_eq!(world.state.motion, Motion::Suspending);
        world.signal(Signal::SIGTSTP);
        assert!(!world.done.contains(&Action::Suspend), "not yet, and asking again changes nothing");
        world
    };
    let mut world = suspending();
    world.event(Event::Rang(Alarm::StopHard));
    assert_eq!(world.done.last(), Some(&Action::StopHard));
    world.event(Event::NothingMoves);
    assert!(world.done.contains(&Action::Suspend) && world.alarms == [Alarm::Refused]);

    let mut world = suspending();
    world.event(Event::Rang(Alarm::Born));
    assert!(world.done.contains(&Action::Suspend));

    let mut world = suspending();
    world.signal(Signal::SIGCONT);
    assert!(world.state.may_start() && world.alarms.is_empty(), "there is nothing to stop for");
    assert!(!world.done.contains(&Action::Suspend));

    let mut world = suspending();
    world.signal(Signal::SIGTERM);
    assert_eq!((world.state.course, world.state.motion), (Course::Stopping, Motion::Running));
}

#[test]
fn where_sigcont_does_not_reach_us_the_return_resumes() {
    let mut world = World::new();
    world.state.rules.hears_resume = false;
    world.signal(Signal::SIGTSTP);
    assert!(world.state.may_start());
}

#[test]
fn a_broken_commit_path_overrides_the_reason_to_end() {
    let mut world = World::with(1);
    world.signal(Signal::SIGTERM);
    world.event(Event::CommitBroke);
    world.event(Event::TaskEnded);
    assert_eq!((world.state.course, world.state.cause), (Course::Ended, Some(Cause::Broken)));
    assert!(!world.close_ordered);
}
