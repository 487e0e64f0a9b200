//! The words of [`decide`](super::decide): what can happen, what can be done about it, and what a run
//! can be in the middle of. All of them are closed enums, so that a new one has to be thought of
//! everywhere.

use crate::ending::StoppedBy;
use crate::signals::policy::{Request, is_deadly};
use nix::sys::signal::Signal;
use std::time::Duration;

/// Does the run move?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Motion {
    /// The gate is open.
    Running,
    /// The gate is closed; some tasks have not reached it.
    Pausing,
    /// The gate is closed and nothing moves.
    Paused,
    /// The process is about to be stopped; some children have not been.
    Suspending,
    /// The process is stopped.
    Suspended,
}

/// What becomes of the run?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Course {
    /// Towards its end.
    Working,
    /// No task starts; those in flight finish.
    Stopping,
    /// Those in flight are cancelled.
    Aborting,
    /// The commit thread writes the last checkpoint, or the result.
    Closing,
    /// Nothing is left to do.
    Ended,
}

/// Why a run ends before its job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Stop(StoppedBy),
    /// A task, the source or the commit path broke; the supervisor keeps the error.
    Broken,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    Signal(Signal),
    Handle,
    Budget,
}

impl Asker {
    pub(crate) fn stopped_by(self) -> StoppedBy {
        match self {
            Asker::Signal(signal) if is_deadly(signal) => StoppedBy::Signal(signal),
            Asker::Signal(signal) => StoppedBy::Warning(signal),
            Asker::Handle => StoppedBy::Handle,
            Asker::Budget => StoppedBy::Budget,
        }
    }
}

/// What is fixed for the whole run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    /// How long tasks in flight may go on after a stop; `None`: until they end.
    pub(crate) grace: Option<Duration>,
    /// How long cancelled tasks are waited for.
    pub(crate) kill_after: Duration,
    /// Whether children hear of a stop at once, for commands that save their own work.
    pub(crate) forward_stops: bool,
    /// Whether SIGCONT reaches us as a resume. Where it is ignored or mapped to something else, the
    /// return from a suspension has to stand for it.
    pub(crate) hears_resume: bool,
}

/// Something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Somebody wants something.
    Asked { request: Request, by: Asker, at: Duration },
    /// A task was handed to the pool.
    Assigned,
    /// A task came back from it: done, failed and left out, or interrupted.
    TaskEnded,
    /// A task came back and is not over: it is known only later what came of it, or it is tried again.
    Deferred,
    /// Such a task was handed out again.
    Reassigned,
    /// A task came back and nothing can go on.
    TaskBroke,
    /// So many tasks have failed that the run shall end; `now`: without those in flight.
    Halted { now: bool },
    /// There are no more tasks.
    SourceEnded,
    /// There may be more tasks, but they cannot be listed.
    SourceBroke,
    /// The commit thread has met an error and ended.
    CommitBroke,
    /// The commit thread has done its last work and ended.
    Closed,
    /// While pausing: no task is moving any more. While suspending: no child is.
    NothingMoves,
    /// The process is not stopped yet: a SIGCONT may have come, and that is not known.
    SuspensionPostponed,
    /// The suspension is over, or was refused: `raise` has returned.
    SuspendReturned,
    /// A deadline is reached.
    Rang(Alarm),
}

/// Deadlines that `decide` sets and hears of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alarm {
    /// The grace of a stop.
    Grace,
    /// The time in which children that are held should have stopped by themselves.
    StopHard,
    /// The time in which children that are being born should have been, before a suspension.
    Born,
    /// The time in which cancelled tasks should have given up, and their children ended.
    Kill,
    /// After that, the time in which tasks whose children were killed should have come back.
    GiveUp,
    /// A suspension that took no time at all was refused by the kernel.
    Refused,
}

/// What the supervisor shall do, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "an action that is not performed was decided in vain"]
pub(crate) enum Action {
    /// Tasks wait at their next look, and children stop.
    CloseGate,
    /// Tasks and children go on.
    OpenGate,
    /// Children stop; tasks need not.
    HoldChildren,
    /// No task that has not begun shall begin, and none shall be tried again.
    Drain,
    /// Tasks in flight shall give up, and their children end.
    Cancel,
    /// Of tasks whose work is done it shall be said now what came of them, since a stop has come.
    ConcludeDeferred,
    /// Children that go on although the job is paused are stopped for good.
    StopHard,
    /// Children that have not ended are killed.
    Kill,
    /// Children shall hear of the stop as well.
    Forward(Signal),
    /// A checkpoint now; `asked` by a person, who wants to read of it.
    Checkpoint {
        asked: bool,
    },
    /// Say how far we are.
    Status,
    /// Say that a stop has begun.
    SayStopping,
    /// Say that the kernel refused to suspend us.
    SayRefused,
    /// Stop the process; then report [`Event::SuspendReturned`], or [`Event::SuspensionPostponed`].
    Suspend,
    /// Read the configuration again.
    Reload,
    Redraw,
    Set(Alarm, Duration),
    Unset(Alarm),
    /// The last commit; then the commit thread ends.
    Close,
    /// Whoever reads the output is not waited for any longer.
    InterruptOutput,
    /// End the process here.
    Die(Signal),
}
