//! What to do about an event. Second chapter of the route, and the only place that decides.
//!
//! [`decide`] is a function from a state and an event to a state and a list of actions. It has no clock (time arrives in
//! events), does no I/O, and has no `_` arm: in each `match` a new event or phase does not compile until it has a meaning.
//! So every answer is tested, for every phase and every sequence of three signals.
//!
//! **What happens on SIGTSTP while stopping?** [`asked`] leads to the function that answers; here it is [`suspend`] in
//! `decide/motion.rs`. It stops the children, then the process, and after SIGCONT the stop goes on. `docs/decide.md` lists
//! the answers to every request in every phase.
//!
//! ```text
//! course: what becomes of the run
//!
//!       ┌─────────────── abort, broken ───────────────┐
//!  ┌────┴────┐ stop, enough  ┌──────────┐ stop again, ┌▼─────────┐
//!  │ Working ├──────────────►│ Stopping ├────────────►│ Aborting │
//!  └────┬────┘ ended         └────┬─────┘ grace over  └────┬─────┘
//!       │ all done                │ none in flight         │ none in flight, or given up
//!       └─────────────────────────┼────────────────────────┘
//!                            ┌────▼────┐ committed, or broken ┌───────┐
//!                            │ Closing ├─────────────────────►│ Ended │
//!                            └─────────┘                      └───────┘
//! motion: does it move?
//!
//!  ┌─────────┐  pause  ┌─────────┐ no task moves ┌────────┐
//!  │ Running ├────────►│ Pausing ├──────────────►│ Paused │
//!  └────▲────┘         └─────────┘               └───▲────┘
//!       │ resume, or Working ends                    │ raise returns
//!   from each        ┌────────────┐ no child     ┌───┴───────┐
//!       └───────────►│ Suspending ├─────────────►│ Suspended │
//!          suspend   └────────────┘ moves        └───────────┘
//! ```
//!
//! The axes are independent, except that after Working a pause is ignored, and a suspension returns to Running. A stop of a
//! paused job opens the gate for the tasks in flight only.
//!
//! What always holds: tasks start only in `Working` and `Running` ([`State::may_start`]). In `Closing` and
//! `Ended` no task is in flight, except those that were given up. A run reaches `Ended` through `Closing`, so after
//! a last checkpoint, unless the commit path is broken.

mod failure;
mod motion;
mod words;

pub(crate) use words::{Action, Alarm, Asker, Cause, Course, Event, Motion, Rules};

use failure::{broke, commit_broke, end_after_tasks_in_flight};
use motion::{go_on, nothing_moves, pause, resume, suspend, suspend_returned, suspension_postponed};

use crate::signals::Sender;
use crate::signals::escalation::{Escalation, Rung};
use crate::signals::policy::Request;
use nix::sys::signal::Signal;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) motion: Motion,
    pub(crate) course: Course,
    /// Whether results can still be made durable.
    pub(crate) commit_works: bool,
    pub(crate) cause: Option<Cause>,
    /// Tasks handed to the pool that have not come back.
    pub(crate) in_flight: usize,
    /// Tasks that left their worker and are not over: their result is known later, or they are tried again.
    pub(crate) deferred: usize,
    /// A stop was asked for, or tasks in flight are cancelled: the run does not wait for deferred tasks.
    is_asked_to_stop: bool,
    source_ended: bool,
    escalation: Escalation,
    pub(crate) rules: Rules,
}

/// How long a task may take to return after its command was killed.
const TO_COME_BACK: Duration = Duration::from_millis(300);

impl State {
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            motion: Motion::Running,
            course: Course::Working,
            commit_works: true,
            cause: None,
            in_flight: 0,
            deferred: 0,
            is_asked_to_stop: false,
            source_ended: false,
            escalation: Escalation::default(),
            rules,
        }
    }

    pub(crate) fn may_start(&self) -> bool {
        self.motion == Motion::Running && self.course == Course::Working && !self.source_ended
    }
}

pub(crate) fn decide(mut state: State, event: Event) -> (State, Vec<Action>) {
    let mut actions = Vec::new();
    match event {
        Event::Asked { request, by, at } => asked(&mut state, request, by, at, &mut actions),
        Event::Assigned => state.in_flight += 1,
        Event::TaskEnded => came_back(&mut state),
        Event::Deferred => deferred(&mut state, &mut actions),
        Event::Reassigned => {
            state.deferred = state.deferred.saturating_sub(1);
            state.in_flight += 1;
        }
        Event::TaskBroke => {
            came_back(&mut state);
            broke(&mut state, &mut actions);
        }
        Event::Halted { now: true } => broke(&mut state, &mut actions),
        Event::Halted { now: false } => end_after_tasks_in_flight(&mut state, &mut actions),
        Event::SourceEnded => state.source_ended = true,
        Event::SourceBroke => broke(&mut state, &mut actions),
        Event::CommitBroke => commit_broke(&mut state, &mut actions),
        Event::Closed => state.course = Course::Ended,
        Event::NothingMoves => nothing_moves(&mut state, &mut actions),
        Event::SuspensionPostponed => suspension_postponed(&mut state),
        Event::SuspendReturned => suspend_returned(&mut state, &mut actions),
        Event::Rang(alarm) => rang(&mut state, alarm, &mut actions),
    }
    close_when_nothing_is_in_flight(&mut state, &mut actions);
    (state, actions)
}

/// It saturates, because a task that was given up may still come back.
fn came_back(state: &mut State) {
    state.in_flight = state.in_flight.saturating_sub(1);
}

/// A run that was asked to stop does not wait for deferred tasks. A run that ends because enough tasks have ended does.
fn deferred(state: &mut State, actions: &mut Vec<Action>) {
    came_back(state);
    state.deferred += 1;
    match state.course {
        Course::Stopping | Course::Aborting if state.is_asked_to_stop => {
            actions.push(Action::ConcludeDeferred)
        }
        // In `Closing` and `Ended` the task had been given up.
        Course::Working | Course::Stopping | Course::Aborting | Course::Closing | Course::Ended => {}
    }
}

fn asked(state: &mut State, request: Request, by: Asker, at: Duration, actions: &mut Vec<Action>) {
    match request {
        Request::Stop => stop(state, by, at, actions),
        Request::Abort => abort_or_die(state, by, at, actions),
        Request::Die => die(by, actions),
        Request::Pause => pause(state, actions),
        Request::Suspend => suspend(state, actions),
        Request::Resume => resume(state, actions),
        Request::Checkpoint => match state.course {
            Course::Working | Course::Stopping | Course::Aborting if state.commit_works => {
                actions.push(Action::Checkpoint { asked: true });
            }
            // The last checkpoint is being written, or none can be.
            Course::Working | Course::Stopping | Course::Aborting | Course::Closing | Course::Ended => {
                actions.push(Action::Status);
            }
        },
        Request::Status => actions.push(Action::Status),
        Request::Reload => actions.push(Action::Reload),
        Request::Redraw => actions.push(Action::Redraw),
        Request::Ignore => {}
    }
}

/// The first request begins a stop, a repeat makes it an abort, a third ends the process.
fn stop(state: &mut State, by: Asker, at: Duration, actions: &mut Vec<Action>) {
    match (state.course, climb(state, by, at)) {
        (Course::Working, _) => begin_stop(state, by, actions),
        // Enough tasks have ended, and the run waits for the others without a deadline. Now a stop sets one.
        (Course::Stopping, Rung::First | Rung::Merged) if state.cause == Some(Cause::Broken) => {
            give_grace(state, actions);
        }
        (Course::Stopping, Rung::Second) => abort(state, by, actions),
        (_, Rung::Third) => die(by, actions),
        (Course::Closing, _) => stop_closing(state, by, actions),
        (Course::Stopping | Course::Aborting | Course::Ended, _) => {}
    }
}

/// A second stop from a program counts as the first one: a program that wants an abort asks for an abort.
fn climb(state: &mut State, by: Asker, at: Duration) -> Rung {
    match by {
        Asker::Signal(signal) => state.escalation.climb(signal, at),
        Asker::Handle | Asker::Budget => Rung::Merged,
    }
}

/// A stop while the last commit is under way. If the reader of the output no longer reads, this interrupts the output.
/// If the reader goes on, this stops nothing: the job finishes in a moment.
fn stop_closing(state: &mut State, by: Asker, actions: &mut Vec<Action>) {
    state.cause = state.cause.or(Some(Cause::Stop(by.stopped_by())));
    actions.push(Action::InterruptOutput);
}

/// The checkpoint comes first, because a scheduler may kill before the grace is over.
fn begin_stop(state: &mut State, by: Asker, actions: &mut Vec<Action>) {
    leave_working(state, Course::Stopping, Cause::Stop(by.stopped_by()), actions);
    actions.push(Action::Checkpoint { asked: false });
    if let (true, Asker::Signal(signal)) = (state.rules.forward_stops, by) {
        actions.push(Action::Forward(signal));
    }
    give_grace(state, actions);
}

fn give_grace(state: &mut State, actions: &mut Vec<Action>) {
    state.is_asked_to_stop = true;
    if state.in_flight > 0 {
        actions.push(Action::SayStopping);
    }
    if state.deferred > 0 {
        actions.push(Action::ConcludeDeferred);
    }
    if let (Some(grace), true) = (state.rules.grace, state.in_flight + state.deferred > 0) {
        actions.push(Action::Set(Alarm::Grace, grace));
    }
}

/// A signal that is mapped to "abort" escalates as well: to repeat it means to end at once.
fn abort_or_die(state: &mut State, by: Asker, at: Duration, actions: &mut Vec<Action>) {
    match (state.course, climb(state, by, at)) {
        (Course::Aborting, Rung::Second) | (_, Rung::Third) => die(by, actions),
        (Course::Working | Course::Stopping | Course::Aborting | Course::Closing | Course::Ended, _) => {
            abort(state, by, actions);
        }
    }
}

fn abort(state: &mut State, by: Asker, actions: &mut Vec<Action>) {
    match state.course {
        Course::Working => {
            leave_working(state, Course::Aborting, Cause::Stop(by.stopped_by()), actions);
            cancel(state, actions);
        }
        Course::Stopping => cancel(state, actions),
        Course::Closing => stop_closing(state, by, actions),
        Course::Aborting | Course::Ended => {}
    }
}

/// From here on no task starts. The gate opens for the tasks in flight, because nothing can be paused any more.
fn leave_working(state: &mut State, course: Course, cause: Cause, actions: &mut Vec<Action>) {
    state.course = course;
    state.cause = state.cause.or(Some(cause));
    actions.push(Action::Drain);
    match state.motion {
        Motion::Running => {}
        Motion::Pausing | Motion::Paused | Motion::Suspending | Motion::Suspended => go_on(state, actions),
    }
}

fn cancel(state: &mut State, actions: &mut Vec<Action>) {
    state.course = Course::Aborting;
    state.is_asked_to_stop = true;
    actions.push(Action::Cancel);
    if state.deferred > 0 {
        actions.push(Action::ConcludeDeferred);
    }
    actions.extend([Action::Unset(Alarm::Grace), Action::Set(Alarm::Kill, state.rules.kill_after)]);
}

/// Only a signal can ask for this; a program can simply exit.
fn die(by: Asker, actions: &mut Vec<Action>) {
    match by {
        Asker::Signal(signal) => actions.push(Action::Die(signal)),
        Asker::Handle | Asker::Budget => {}
    }
}

/// Whether the process dies of the signal even if its job was completed. Ctrl-C at a terminal is also meant for the
/// shell loop around the command. A scheduler that sends a signal asks for this job alone, and reads its exit code.
pub(crate) fn interrupts_caller_too(request: Request, signal: Signal, sender: Sender) -> bool {
    matches!(request, Request::Stop | Request::Abort) && signal == Signal::SIGINT && sender == Sender::Kernel
}

fn rang(state: &mut State, alarm: Alarm, actions: &mut Vec<Action>) {
    match alarm {
        Alarm::Grace if state.course == Course::Stopping => cancel(state, actions),
        // The run does not wait for a task that reaches no yield point; it counts as interrupted.
        Alarm::Kill if state.course == Course::Aborting => {
            actions.extend([Action::Kill, Action::Set(Alarm::GiveUp, TO_COME_BACK)]);
        }
        Alarm::GiveUp if state.course == Course::Aborting => (state.in_flight, state.deferred) = (0, 0),
        Alarm::StopHard => match state.motion {
            Motion::Pausing | Motion::Paused | Motion::Suspending => actions.push(Action::StopHard),
            Motion::Running | Motion::Suspended => {}
        },
        Alarm::Born if state.motion == Motion::Suspending => nothing_moves(state, actions),
        Alarm::Refused if state.motion == Motion::Paused => actions.push(Action::SayRefused),
        // The alarm came too late.
        Alarm::Grace | Alarm::Kill | Alarm::GiveUp | Alarm::Born | Alarm::Refused => {}
    }
}

fn close_when_nothing_is_in_flight(state: &mut State, actions: &mut Vec<Action>) {
    let over = match state.course {
        Course::Working => state.source_ended,
        Course::Stopping | Course::Aborting => true,
        Course::Closing | Course::Ended => false,
    };
    if !over || state.in_flight + state.deferred > 0 {
        return;
    }
    actions.extend([Alarm::Grace, Alarm::Kill, Alarm::GiveUp].map(Action::Unset));
    if state.commit_works {
        state.course = Course::Closing;
        actions.push(Action::Close);
    } else {
        state.course = Course::Ended;
    }
}

#[cfg(test)]
mod tests;
