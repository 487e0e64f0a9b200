//! `pause`, `resume`, `checkpoint` and `stop`: ask a job for something, and wait until it has happened.
//!
//! A script with `kill -USR1 $pid; cp out.bivouac/checkpoint.json …` copies the *old* checkpoint, since a signal is a request
//! and not its effect. These verbs return when the effect has come, and fail when it does not come in time.
//!
//! They read the effect from the status file of the job. Only a snapshot with a higher number than the last before the signal
//! counts: "running" in an older one says nothing about a SIGCONT. The kernel tells whether the process is suspended or has
//! ended.
//!
//! # Race condition
//!
//! Between the look and the signal the job may begin to stop, by a Ctrl-C at its terminal. A SIGTERM then
//! counts as a second request: within two seconds it merges with the first, later it cancels the tasks in
//! flight. No result becomes wrong, and cancelled tasks run again.

use super::choose::signal_for;
use super::status::StatusReport;
use super::view::{HeldBy, JobPhase, View, is_of};
use crate::cli::parse::Grace;
use crate::cli::terminal;
use bivouac::disk::OsDisk;
use bivouac::ending::FINISHED;
use bivouac::error::Kind;
use bivouac::state_dir::reach::Process;
use bivouac::state_dir::{Holder, read_live};
use bivouac::status_file::StatusFile;
use bivouac::{Activity, Error, Request, Result};
use nix::sys::signal::Signal;
use std::cell::Cell;
use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

/// How often the verb looks at a small file and a line in `/proc`. The end of the process wakes it at once.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A job that runs and can be reached.
pub(super) struct RunningJob<'a> {
    pub(super) path: &'a Path,
    pub(super) process: &'a Process,
    pub(super) holder: &'a Holder,
    pub(super) deadline: Option<Instant>,
    timeout: Duration,
}

/// A look at a job from outside, at one moment.
pub(super) struct Seen {
    suspended: bool,
    pub(super) live: Option<StatusFile>,
}

/// How waiting ended, if not by a timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waited {
    Came,
    Ended,
}

impl Seen {
    fn seq(&self) -> u64 {
        self.live.as_ref().map_or(0, |live| live.seq)
    }

    fn asked(&self) -> u64 {
        self.live.as_ref().map_or(0, |live| live.checkpoints_asked)
    }

    /// The phase in the status file, if the file is newer than `seq`.
    fn activity_after(&self, seq: u64) -> Option<Activity> {
        self.live.as_ref().filter(|live| live.seq > seq).map(|live| live.phase)
    }
}

pub(super) fn pause(view: &View, timeout: Grace) -> Result<u8> {
    let job = RunningJob::reach(view, timeout, "pause")?;
    let before = job.once_it_has_a_status()?;
    match phase(&before) {
        JobPhase::Suspended => return job.done("is suspended already"),
        JobPhase::Active(Activity::Paused) => return job.done("is paused already"),
        JobPhase::Active(ending @ (Activity::Stopping | Activity::Aborting | Activity::Finishing)) => {
            return Err(job.refusal(format_args!("it is {ending}, and cannot be paused any more")));
        }
        JobPhase::Active(Activity::Running | Activity::Pausing)
        | JobPhase::Starting
        | JobPhase::Stopped
        | JobPhase::Crashed
        | JobPhase::Finished => {}
    }
    let (signal, since) = (job.signal_for(&before, &[Request::Pause, Request::Suspend])?, before.seq());
    let waited = match job.signal_for(&before, &[Request::Pause]) {
        Ok(_) => {
            job.send(signal)?;
            job.wait_until("paused", |now| {
                now.suspended || now.activity_after(since) == Some(Activity::Paused)
            })?
        }
        Err(_) => {
            job.say("no signal means `pause` to this job, so it is suspended");
            job.send(signal)?;
            job.wait_until("paused", stands_still(since))?
        }
    };
    match waited {
        Waited::Ended => Err(job.refusal("it has ended meanwhile")),
        Waited::Came if job.process.is_suspended() => job.done("suspended; `bivouac resume` continues it"),
        Waited::Came => job.done("paused; `bivouac resume` continues it"),
    }
}

pub(super) fn resume(view: &View, timeout: Grace) -> Result<u8> {
    let job = RunningJob::reach(view, timeout, "resume")?;
    let before = job.once_it_has_a_status()?;
    match phase(&before) {
        // The kernel continues a process at SIGCONT, whatever the signal means to the job. If the job had been paused
        // before it was suspended, the second signal ends the pause.
        JobPhase::Suspended => {
            job.send(Signal::SIGCONT)?;
            if let Ok(signal) = job.signal_for(&before, &[Request::Resume]) {
                job.send(signal)?;
            }
        }
        JobPhase::Active(Activity::Paused | Activity::Pausing) => {
            job.send(job.signal_for(&before, &[Request::Resume])?)?;
        }
        JobPhase::Active(Activity::Running) => return job.done("is running already"),
        JobPhase::Active(ending @ (Activity::Stopping | Activity::Aborting | Activity::Finishing)) => {
            return job.done(format_args!("is not paused, it is {ending}"));
        }
        JobPhase::Starting | JobPhase::Stopped | JobPhase::Crashed | JobPhase::Finished => {}
    }
    let running = |now: &Seen| {
        // A suspension that was under way can take effect after the first SIGCONT.
        if now.suspended {
            job.process.signal(Signal::SIGCONT).ok();
        }
        goes_on(now, before.seq())
    };
    match job.wait_until("running", running)? {
        Waited::Ended => job.done("was resumed, and has ended since"),
        Waited::Came => job.done("goes on"),
    }
}

pub(super) fn checkpoint(view: &View, timeout: Grace) -> Result<u8> {
    let job = RunningJob::reach(view, timeout, "checkpoint")?;
    let before = job.once_it_has_a_status()?;
    let signal = job.signal_for(&before, &[Request::Checkpoint])?;
    job.send(signal)?;
    if before.suspended {
        job.say("suspended; it is continued for this checkpoint");
        job.send(Signal::SIGCONT)?;
    }
    let durable = |now: &Seen| now.asked() > before.asked();
    let waited = job.wait_until("a checkpoint", durable)?;
    if waited == Waited::Ended {
        // An orderly end has written a later checkpoint, but a kill has not, and this cannot tell which end it was.
        return Err(job.refusal("it has ended meanwhile; `bivouac status` shows what is committed"));
    }
    if before.suspended {
        job.suspend_again(&before)?;
    }
    match View::look(&view.path) {
        Ok(after) => {
            let status = StatusReport::of(&after);
            job.done(format_args!("checkpoint: {}\n  {}", status.tasks_line(), status.checkpoint_line()))
        }
        // The job may have finished since, and taken its state away.
        Err(_) => job.done("checkpoint written"),
    }
}

pub(super) fn stop(view: &View, timeout: Grace) -> Result<u8> {
    if let HeldBy::Free = view.at {
        say_how_it_stands(view, "is not running");
        return Ok(FINISHED);
    }
    let job = RunningJob::reach(view, timeout, "stop")?;
    let before = job.once_it_has_a_status()?;
    // A suspended job may have a stop pending already. A second one does no harm: a pending signal is pending only once.
    match before.live.as_ref().map(|live| live.phase) {
        Some(Activity::Stopping | Activity::Aborting | Activity::Finishing) => {}
        Some(Activity::Running | Activity::Pausing | Activity::Paused) | None => {
            job.send(job.signal_for(&before, &[Request::Stop])?)?;
        }
    }
    // If the job is suspended now, it cannot stop, so it is continued.
    let ended = |now: &Seen| {
        if now.suspended {
            job.process.signal(Signal::SIGCONT).ok();
        }
        false
    };
    job.wait_until("stopped", ended)?;
    match View::look(&view.path) {
        Ok(after) => say_how_it_stands(&after, "has ended"),
        // A state without an output file goes when the job is finished.
        Err(error) if error.kind() == Kind::Usage => return job.done("has ended, the job is finished"),
        Err(error) => return Err(error),
    }
    Ok(FINISHED)
}

/// Prints how much is committed, and how to continue.
fn say_how_it_stands(view: &View, what: &str) {
    let status = StatusReport::of(view);
    let path = view.path.display();
    if view.phase() == JobPhase::Finished {
        return terminal::message(&format!("{path}: {what}, the job is finished"));
    }
    let at = status.percent.map(|percent| format!(" at {percent} %")).unwrap_or_default();
    terminal::message(format!("{path}: {what}{at}. {}", status.continuing_lines()).trim_end());
}

pub(super) fn phase(now: &Seen) -> JobPhase {
    match &now.live {
        _ if now.suspended => JobPhase::Suspended,
        Some(live) => JobPhase::Active(live.phase),
        None => JobPhase::Starting,
    }
}

/// Whether a job that was asked to pause or to suspend itself has come to rest.
///
/// The status file says "paused" in both cases, and in the second one before the kernel stops the process; a
/// `resume` in between would be lost. So "paused" alone must come twice: a process that writes it again is not
/// about to be stopped.
fn stands_still(since: u64) -> impl Fn(&Seen) -> bool {
    let first = Cell::new(None);
    move |now| {
        if now.suspended {
            return true;
        }
        if now.activity_after(since) != Some(Activity::Paused) {
            first.set(None);
            return false;
        }
        match first.get() {
            None => first.set(Some(now.seq())),
            Some(seq) => return now.seq() > seq,
        }
        false
    }
}

fn goes_on(now: &Seen, since: u64) -> bool {
    let paused = [Activity::Paused, Activity::Pausing];
    !now.suspended && now.activity_after(since).is_some_and(|activity| !paused.contains(&activity))
}

impl<'a> RunningJob<'a> {
    pub(super) fn reach(view: &'a View, timeout: Grace, verb: &str) -> Result<Self> {
        let (process, holder) = match (&view.at, &view.peek.holder) {
            (HeldBy::Here(process), Some(holder)) => (process, holder),
            (HeldBy::Elsewhere(place), _) => {
                let problem = format_args!("the job runs {place}; no signal reaches it from here");
                let advice = format_args!("run `bivouac {verb}` there");
                return Err(Error::refused(view.path.display(), problem).advise(advice));
            }
            (HeldBy::Free | HeldBy::Here(_), _) => return Err(not_running(view, verb)),
        };
        let timeout = timeout.0;
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        Ok(Self { path: &view.path, process, holder, deadline, timeout: timeout.unwrap_or_default() })
    }

    fn look(&self) -> Result<Seen> {
        let suspended = self.process.is_suspended();
        let live = read_live(&OsDisk, self.path).ok().flatten();
        Ok(Seen { suspended, live: live.filter(|live| is_of(live, self.holder)) })
    }

    /// As [`look`](Self::look), once there is a status file (the job may have begun a moment ago), or it is suspended.
    pub(super) fn once_it_has_a_status(&self) -> Result<Seen> {
        let spoken = |now: &Seen| now.live.is_some() || now.suspended;
        match self.wait_until("started", spoken)? {
            Waited::Came => self.look(),
            Waited::Ended => Err(self.refusal("it has ended meanwhile")),
        }
    }

    pub(super) fn signal_for(&self, now: &Seen, wanted: &[Request]) -> Result<Signal> {
        let Some(live) = &now.live else {
            return Err(self.refusal("its meaning of signals is not known yet; try again"));
        };
        signal_for(live, wanted).map_err(|why| self.refusal(why))
    }

    /// The next wait notices a process that has ended meanwhile.
    pub(super) fn send(&self, signal: Signal) -> Result<()> {
        self.process.signal(signal).map(drop)
    }

    pub(super) fn wait_until(&self, what: &str, there: impl Fn(&Seen) -> bool) -> Result<Waited> {
        loop {
            let now = self.look()?;
            if there(&now) {
                return Ok(Waited::Came);
            }
            let left = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let patience = left.map_or(LOOK_EVERY, |left| left.min(LOOK_EVERY));
            if self.process.wait(patience)? {
                return Ok(Waited::Ended);
            }
            if left.is_some_and(|left| left.is_zero()) {
                let time = crate::cli::format::time(self.timeout);
                let problem = format_args!("not {what} after {time}; it is {}", phase(&now));
                return Err(Error::broken(self.path.display(), problem)
                    .advise("the request stands and may succeed; a longer --timeout waits for it"));
            }
        }
    }

    /// Suspends a job that was suspended before it was asked for a checkpoint.
    ///
    /// It waits until the job runs again: a SIGTSTP that arrives together with the SIGCONT counts as "go on"
    /// ([`bivouac::signals`]). If no signal means `suspend` to the job, it was suspended by SIGSTOP.
    fn suspend_again(&self, before: &Seen) -> Result<()> {
        if self.wait_until("running", |now| goes_on(now, before.seq()))? == Waited::Ended {
            return Ok(());
        }
        self.send(self.signal_for(before, &[Request::Suspend]).unwrap_or(Signal::SIGSTOP))?;
        let ending = |now: &Seen| {
            now.live.as_ref().is_some_and(|live| {
                matches!(live.phase, Activity::Stopping | Activity::Aborting | Activity::Finishing)
            })
        };
        let still = stands_still(before.seq());
        self.wait_until("suspended again", |now| still(now) || ending(now))?;
        self.say("suspended again");
        Ok(())
    }

    pub(super) fn refusal(&self, why: impl fmt::Display) -> Error {
        Error::refused(self.path.display(), why)
    }

    fn say(&self, what: impl fmt::Display) {
        terminal::message(&format!("{}: {what}", self.path.display()));
    }

    pub(super) fn done(&self, what: impl fmt::Display) -> Result<u8> {
        self.say(what);
        Ok(FINISHED)
    }
}

fn not_running(view: &View, verb: &str) -> Error {
    let error =
        |why: &str| Error::refused(view.path.display(), format_args!("{why}, there is nothing to {verb}"));
    if view.phase() == JobPhase::Finished {
        return error("the job is finished");
    }
    let error = error("the job is not running");
    match StatusReport::of(view).continuing_lines().trim_end() {
        "" => error,
        lines => error.advise(lines.replace('\n', "").replace(":  ", ": ")),
    }
}
