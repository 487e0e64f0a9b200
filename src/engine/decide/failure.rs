//! Endings that were not asked for: a task or the source cannot go on, enough tasks have ended, or the disk failed.

use super::{Action, Cause, Course, State, cancel, leave_working};

/// A task or the source cannot go on, but what is done can still be committed.
pub(super) fn broke(state: &mut State, actions: &mut Vec<Action>) {
    match state.course {
        Course::Working => {
            leave_working(state, Course::Aborting, Cause::Broken, actions);
            cancel(state, actions);
        }
        // The run ends already. The next run meets the same error and reports it.
        Course::Stopping | Course::Aborting | Course::Closing | Course::Ended => {}
    }
}

/// The run waits for tasks in flight, however long they take, unless a stop is asked for as well.
pub(super) fn end_after_tasks_in_flight(state: &mut State, actions: &mut Vec<Action>) {
    if state.course == Course::Working {
        leave_working(state, Course::Stopping, Cause::Broken, actions);
    }
}

/// Nothing can be made durable. This overrides other endings: "checkpoint written" would be wrong.
pub(super) fn commit_broke(state: &mut State, actions: &mut Vec<Action>) {
    state.commit_works = false;
    match state.course {
        Course::Working => {
            leave_working(state, Course::Aborting, Cause::Broken, actions);
            cancel(state, actions);
        }
        Course::Stopping => cancel(state, actions),
        Course::Aborting => {}
        Course::Closing | Course::Ended => state.course = Course::Ended,
    }
    state.cause = Some(Cause::Broken);
}
