//! Whether the run moves: pause, suspension and resume.

use super::{Action, Alarm, Course, Motion, State};
use std::time::Duration;

/// How long children have to stop by SIGTSTP before they are stopped by SIGSTOP.
const TO_STOP: Duration = crate::process::TO_STOP;

/// How long a suspension waits for a child that hangs between fork and exec.
const TO_BE_BORN: Duration = Duration::from_secs(2);

/// How long to wait for a SIGCONT after `raise` has returned. Without one the kernel has refused the suspension. After a
/// real suspension it came within milliseconds in 300 of 300 trials.
const REFUSED_AFTER: Duration = Duration::from_millis(200);

pub(super) fn pause(state: &mut State, actions: &mut Vec<Action>) {
    if state.course == Course::Working && state.motion == Motion::Running {
        state.motion = Motion::Pausing;
        let stop_hard = Action::Set(Alarm::StopHard, TO_STOP);
        actions.extend([Action::CloseGate, stop_hard, Action::Checkpoint { asked: false }]);
    }
}

/// A suspension waits neither for tasks to reach the gate nor for a checkpoint: the kernel freezes every thread, and
/// the last checkpoint is at most a second old. But children are in process groups of their own, and a stopped
/// process cannot stop them. So they are stopped first, within milliseconds, also while the run is stopping. A SIGCONT in
/// these milliseconds cancels the suspension.
pub(super) fn suspend(state: &mut State, actions: &mut Vec<Action>) {
    match (state.course, state.motion) {
        (_, Motion::Suspending | Motion::Suspended) | (Course::Ended, _) => return,
        (Course::Working, Motion::Running) => actions.push(Action::CloseGate),
        // Commands stand still already; the time after which they get SIGSTOP begins again.
        (Course::Working, Motion::Pausing | Motion::Paused) => actions.push(Action::Unset(Alarm::StopHard)),
        (Course::Stopping | Course::Aborting | Course::Closing, _) => actions.push(Action::HoldChildren),
    }
    state.motion = Motion::Suspending;
    actions.extend([Action::Set(Alarm::StopHard, TO_STOP), Action::Set(Alarm::Born, TO_BE_BORN)]);
}

pub(super) fn nothing_moves(state: &mut State, actions: &mut Vec<Action>) {
    match state.motion {
        Motion::Running | Motion::Paused | Motion::Suspended => {}
        Motion::Pausing => state.motion = Motion::Paused,
        Motion::Suspending => {
            state.motion = Motion::Suspended;
            actions.extend([Action::Unset(Alarm::StopHard), Action::Unset(Alarm::Born), Action::Suspend]);
        }
    }
}

/// It is unknown whether a SIGCONT has come. The next look tells.
pub(super) fn suspension_postponed(state: &mut State) {
    if state.motion == Motion::Suspended {
        state.motion = Motion::Suspending;
    }
}

/// The SIGCONT that ended the suspension is an event and resumes the run. If it is not handled, this does.
pub(super) fn suspend_returned(state: &mut State, actions: &mut Vec<Action>) {
    match (state.motion, state.course) {
        (Motion::Running | Motion::Pausing | Motion::Paused | Motion::Suspending, _) => {}
        (Motion::Suspended, Course::Working) if state.rules.hears_resume => {
            state.motion = Motion::Paused;
            actions.push(Action::Set(Alarm::Refused, REFUSED_AFTER));
        }
        (Motion::Suspended, Course::Working) => resume(state, actions),
        // Children were stopped as well.
        (Motion::Suspended, Course::Stopping | Course::Aborting | Course::Closing | Course::Ended) => {
            go_on(state, actions);
        }
    }
}

/// It never cancels a stop: Slurm, systemd and `timeout` send SIGCONT together with SIGTERM.
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
