//! Whether the run moves: pause, suspension and resume.

use super::{Action, Alarm, Course, Motion, State};
use std::time::Duration;

/// How long children have to stop by SIGTSTP before they are stopped by SIGSTOP.
const TO_STOP: Duration = crate::process::TO_STOP;

/// How long a suspension waits for a child that hangs between its birth and its exec.
const TO_BE_BORN: Duration = Duration::from_secs(2);

/// A suspension that the kernel granted ends with a SIGCONT, which reaches the supervisor within
/// milliseconds (300 times of 300). If none has come by now, there was no suspension.
const REFUSED_AFTER: Duration = Duration::from_millis(200);

pub(super) fn pause(state: &mut State, actions: &mut Vec<Action>) {
    if state.course == Course::Working && state.motion == Motion::Running {
        state.motion = Motion::Pausing;
        actions.push(Action::CloseGate);
        actions.push(Action::Set(Alarm::StopHard, TO_STOP));
        actions.push(Action::Checkpoint { asked: false });
    }
}

/// Waits neither for tasks to reach the gate nor for a checkpoint: the kernel freezes every thread
/// where it is, and the last checkpoint is a second old. But children are groups of their own, and once
/// we are stopped no thread of ours can stop them. So first they are told to, which takes milliseconds if
/// there are any; a SIGCONT of that time ends it.
pub(super) fn suspend(state: &mut State, actions: &mut Vec<Action>) {
    match (state.course, state.motion) {
        (_, Motion::Suspending | Motion::Suspended) | (Course::Ended, _) => return,
        (Course::Working, Motion::Running) => actions.push(Action::CloseGate),
        // They are held already, and have as much time again.
        (Course::Working, Motion::Pausing | Motion::Paused) => actions.push(Action::Unset(Alarm::StopHard)),
        (Course::Stopping | Course::Aborting | Course::Closing, _) => actions.push(Action::HoldChildren),
    }
    state.motion = Motion::Suspending;
    actions.push(Action::Set(Alarm::StopHard, TO_STOP));
    actions.push(Action::Set(Alarm::Born, TO_BE_BORN));
}

pub(super) fn nothing_moves(state: &mut State, actions: &mut Vec<Action>) {
    match state.motion {
        Motion::Running | Motion::Paused | Motion::Suspended => {}
        Motion::Pausing => state.motion = Motion::Paused,
        Motion::Suspending => {
            state.motion = Motion::Suspended;
            actions.push(Action::Unset(Alarm::StopHard));
            actions.push(Action::Unset(Alarm::Born));
            actions.push(Action::Suspend);
        }
    }
}

/// It is not known whether a SIGCONT has come already. The next look tells.
pub(super) fn suspension_postponed(state: &mut State) {
    if state.motion == Motion::Suspended {
        state.motion = Motion::Suspending;
    }
}

/// `raise` has returned. The SIGCONT that did it is on its way as an event, and that is what
/// resumes; unless it cannot reach us.
pub(super) fn suspend_returned(state: &mut State, actions: &mut Vec<Action>) {
    match (state.motion, state.course) {
        (Motion::Running | Motion::Pausing | Motion::Paused | Motion::Suspending, _) => {}
        (Motion::Suspended, Course::Working) if state.rules.hears_resume => {
            state.motion = Motion::Paused;
            actions.push(Action::Set(Alarm::Refused, REFUSED_AFTER));
        }
        (Motion::Suspended, Course::Working) => resume(state, actions),
        // For children, which were stopped along with us.
        (Motion::Suspended, Course::Stopping | Course::Aborting | Course::Closing | Course::Ended) => {
            go_on(state, actions);
        }
    }
}

/// A hint that may come at any time. It never cancels a stop: Slurm, systemd and `timeout` send
/// SIGCONT along with SIGTERM.
pub(super) fn resume(state: &mut State, actions: &mut Vec<Action>) {
    match state.motion {
        Motion::Running => {}
        Motion::Pausing | Motion::Paused | Motion::Suspending | Motion::Suspended => go_on(state, actions),
    }
    actions.push(Action::Redraw);
}

pub(super) fn go_on(state: &mut State, actions: &mut Vec<Action>) {
    state.motion = Motion::Running;
    actions.extend([Alarm::StopHard, Alarm::Born, Alarm::Refused].map(Action::Unset));
    actions.push(Action::OpenGate);
}
