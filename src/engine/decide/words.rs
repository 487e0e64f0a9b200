//! The phases, events and actions of [`decide`](super::decide): closed enums, handled everywhere.

use crate::ending::StoppedBy;
use crate::signals::policy::{Request, is_deadly};
use nix::sys::signal::Signal;
use std::time::Duration;

/// Whether the run moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Motion {
    Running,
    /// The gate is closed; some tasks have not reached it.
    Pausing,
    /// The gate is closed and nothing moves.
    Paused,
    /// The process is about to be stopped; some children are not stopped yet.
    Suspending,
    Suspended,
}

/// Where the run is heading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Course {
    /// Tasks start, until all are done.
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
    /// Something broke, or enough tasks have ended ([`Event::Halted`]). The supervisor keeps the error or the exit code.
    Broken,
}

/// The origin of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    Signal(Signal),
    /// The program that runs the job, through a [`Handle`](crate::Handle).
    Handle,
    /// The time budget (`Run::max_runtime`) is used up.
    Budget,
}

impl Asker {
    /// The cause of the stop, as the ending reports it.
    pub(crate) fn stopped_by(self) -> StoppedBy {
        match self {
            Asker::Signal(signal) if is_deadly(signal) => StoppedBy::Signal(signal),
            Asker::Signal(signal) => StoppedBy::Warning(signal),
            Asker::Handle => StoppedBy::Handle,
            Asker::Budget => StoppedBy::Budget,
        }
    }
}

/// The settings that decisions depend on. A reload can change them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    /// How long tasks in flight may go on after a stop; `None`: until they end.
    pub(crate) grace: Option<Duration>,
    /// How long cancelled tasks, and children after SIGTERM, may go on before SIGKILL.
    pub(crate) kill_after: Duration,
    /// Whether a stop is forwarded to children at once, for commands that save their own work.
    pub(crate) forward_stops: bool,
    /// Whether SIGCONT arrives as a resume. Otherwise the return from a suspension counts as one.
    pub(crate) hears_resume: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A signal, a handle or the budget asks for something.
    Asked { request: Request, by: Asker, at: Duration },
    /// A task was handed to the pool.
    Assigned,
    /// A task came back from the pool: done, failed and left out, or interrupted.
    TaskEnded,
    /// A task came back and is not over: its result is known later, or it is tried again.
    Deferred,
    /// Such a task was handed out again.
    Reassigned,
    /// A task came back with an error that ends the run.
    TaskBroke,
    /// Enough tasks have ended or failed: the run must end. `now`: tasks in flight are cancelled.
    Halted { now: bool },
    /// All tasks are listed.
    SourceEnded,
    /// There may be more tasks, but they cannot be listed.
    SourceBroke,
    /// The commit thread has met an error and ended.
    CommitBroke,
    /// The commit thread has finished and ended.
    Closed,
    /// While pausing: no task moves any more. While suspending: no child does.
    NothingMoves,
    /// The process is not stopped yet, because it is unknown whether a SIGCONT has come.
    SuspensionPostponed,
    /// The suspension is over, or was refused: `raise` has returned.
    SuspendReturned,
    /// A deadline is reached.
    Rang(Alarm),
}

/// Deadlines that `decide` sets; each comes back as [`Event::Rang`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alarm {
    /// The grace of a stop.
    Grace,
    /// Children that were told to stop should have stopped by now.
    StopHard,
    /// Children between fork and exec should have passed exec by now, before a suspension.
    Born,
    /// Cancelled tasks should have given up by now, and their children should have ended.
    Kill,
    /// After that: tasks whose children were killed should have come back by now.
    GiveUp,
    /// No SIGCONT has come since the suspension returned: the kernel refused to suspend.
    Refused,
}

/// What the supervisor must do, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "an action must be performed"]
pub(crate) enum Action {
    /// Tasks wait at their next yield point, and children stop.
    CloseGate,
    /// Tasks and children go on.
    OpenGate,
    /// Children stop; tasks need not.
    HoldChildren,
    /// No other task may begin, and none may be tried again.
    Drain,
    /// Tasks in flight must give up, and their children must end.
    Cancel,
    /// Ask now for the results of deferred tasks, because a stop has come.
    ConcludeDeferred,
    /// Send SIGSTOP to children that still run although they were sent SIGTSTP.
    StopHard,
    /// Send SIGKILL to children.
    Kill,
    /// Send the signal of the stop to children as well.
    Forward(Signal),
    /// A checkpoint now; `asked`: a person or a program waits for the report.
    Checkpoint { asked: bool },
    /// Report how far the job is.
    Status,
    /// Report that the run waits for tasks in flight.
    SayStopping,
    /// Report that the kernel refused to suspend the process.
    SayRefused,
    /// Stop the process; then report [`Event::SuspendReturned`], or [`Event::SuspensionPostponed`].
    Suspend,
    /// Read the configuration again.
    Reload,
    /// Draw the progress line again.
    Redraw,
    /// Set an alarm.
    Set(Alarm, Duration),
    /// Take an alarm back.
    Unset(Alarm),
    /// The last commit; then the commit thread ends.
    Close,
    /// Wait no longer for the reader of the output.
    InterruptOutput,
    /// End the process at once, by this signal.
    Die(Signal),
}
