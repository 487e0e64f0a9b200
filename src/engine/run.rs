//! The builder of a run.
//!
//! The order matters: the mask before any thread, the lock before a read, the record before the output.

mod handle;

pub use handle::Handle;

use crate::durable::disk::Disk;
use crate::durable::state_dir::Continuing;
use crate::durable::store::Location;
use crate::ending::{Ending, Summary};
use crate::engine::effects::Effects;
use crate::engine::options::{Halt, Options, Starts};
use crate::engine::prepare::{Interruptible, Prepared, prepare};
use crate::engine::reload::{Reader, Reload};
use crate::engine::threads::Threads;
use crate::error::{Result, no_thread};
use crate::signals::policy::{Policy, Request};
use crate::signals::{Masked, SignalThread};
use crate::sink::Discard;
use crate::sync::lock;
use crate::task::erased::{Erased, erase};
use crate::task::observer::{Notice, Observer, Silent};
use crate::task::stop_fd::StopFd;
use crate::task::{Job, Sink, Source};
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A job, its tasks, and how to run them.
///
/// [`guide::lower_floor`](crate::guide::lower_floor) has a job and a source from beginning to end.
///
/// ```
/// use bivouac::{Effects, Exit, Halt, HaltOn, Location, Over, Run, Silent, Span, Starts, sink::FileSink};
/// # use bivouac::{Context, Job, TaskError, serde_json::Value};
/// # use std::{ops::Range, time::Duration};
/// # struct Digits;
/// # impl Job for Digits {
/// #     type Task = Span<Range<u64>>;
/// #     type Partial = ();
/// #     type Total = ();
/// #     fn name(&self) -> &str { "digits" }
/// #     fn fingerprint(&self) -> Value { Value::Null }
/// #     fn run(&self, span: Span<Range<u64>>, cx: &Context<'_>) -> Result<(), TaskError> {
/// #         span.iter().try_for_each(|(_, n)| if n == 4 { Err("not this one".into()) } else { write!(cx, "{n}") })
/// #     }
/// # }
/// # let place = tempfile::tempdir()?; std::env::set_current_dir(&place)?;
///
/// let seconds = Duration::from_secs;
/// let run = Run::new(Digits, Over::new(0..9).together(1)) // a job that fails at 4
///     .sink(FileSink::new("digits.txt")?)
///     .state(Location::Directory("digits.state".into()))
///     .keep_going(true) // leaves failed tasks out
///     .halt(Some(Halt { on: HaltOn::Failed, tasks: 5, now: false })) // but five of them end the run
///     .effects(Effects::Pure)
///     .jobs(2)
///     .starts(Starts::default())
///     .checkpoint_every(seconds(2))
///     .grace(Some(seconds(3)))
///     .kill_after(seconds(1))
///     .max_runtime(Some(seconds(3600)))
///     .limit_rate(None)
///     .spill_limit(Some(1 << 30))
///     .fresh(false)
///     .wait(true) // while another run has the lock
///     .fenced(true) // also against a run on another machine
///     .watch_children(false)
///     .observer(Silent);
/// assert_eq!(run.run().exit(), Exit::Code(1), "one has failed");
/// assert_eq!(std::fs::read_to_string("digits.txt")?, "01235678");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Run<J: Job, S: Source<Task = J::Task>> {
    job: J,
    source: S,
    how: How,
}

/// The rest of it. The types of job and source end here.
struct How {
    sink: Box<dyn Sink>,
    options: Options,
    masked: Option<Masked>,
    observer: Box<dyn Observer>,
    reload: Option<Box<dyn Reload>>,
    requests: (Sender<Request>, Receiver<Request>),
}

impl<J: Job, S: Source<Task = J::Task>> fmt::Debug for Run<J, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("job", &self.job.name())
            .field("state", &self.how.options.location)
            .finish_non_exhaustive()
    }
}

impl<J: Job, S: Source<Task = J::Task>> Run<J, S> {
    /// A run of `job` over the tasks of `source`: a worker for each core, no signals, output or state.
    pub fn new(job: J, source: S) -> Self {
        Self::with((job, source), Box::new(Discard), Options::default(), Box::new(Silent), unbounded())
    }

    /// As [`new`](Run::new), with all options; [`Loop`](crate::Loop) calls it.
    pub(crate) fn with(
        (job, source): (J, S),
        sink: Box<dyn Sink>,
        options: Options,
        observer: Box<dyn Observer>,
        requests: (Sender<Request>, Receiver<Request>),
    ) -> Self {
        Self { job, source, how: How { sink, options, masked: None, observer, reload: None, requests } }
    }

    setters! {
        /// Where the output goes. Default: it is discarded.
        pub fn sink(sink: impl Sink) => how.sink = Box::new(sink);

        /// Where the state is kept. Default: nowhere.
        pub fn state(at: Location) => how.options.location = at;

        /// Whether to discard the state of an earlier run.
        pub fn fresh(fresh: bool) => how.options.fresh = fresh;

        /// Whether to wait while another run holds the lock of the state. Otherwise that is an error
        /// ([`Kind::Busy`](crate::error::Kind::Busy)). A scheduler may start a job twice: the second run waits until the
        /// first has ended, and continues after it. Signals and the time budget end the wait.
        pub fn wait(wait: bool) => how.options.wait = wait;

        /// Whether each checkpoint first reads the record on disk and confirms that this run wrote it. The lock of the state
        /// excludes a second run; where locks hold on one host only, or a file server has lost them, this is the second
        /// fence: the older of two runs ends at its next checkpoint and touches nothing more.
        pub fn fenced(fenced: bool) => how.options.fenced = fenced;

        /// The command that continues the job. It is written into the state, for people.
        #[doc(hidden)]
        pub fn continuing(command: Continuing) => how.options.continuing = Some(command);

        /// How many tasks run at the same time, at least 1.
        pub fn jobs(jobs: usize) => how.options.jobs = jobs.max(1);

        /// How many threads the pool has from the beginning. Up to this number [`Settings`](crate::reload::Settings) can
        /// raise [`jobs`](Run::jobs) without a new pool. Default and minimum: [`jobs`](Run::jobs).
        #[doc(hidden)]
        pub fn max_jobs(jobs: usize) => how.options.max_jobs = jobs;

        /// Whether a death by SIGQUIT may leave a core file.
        #[doc(hidden)]
        pub fn core(yes: bool) => how.options.core = yes;

        /// Whether a signal that asks for a stop is forwarded to the commands of tasks at once, for commands that save
        /// their own work. Default: they may finish within the grace.
        #[doc(hidden)]
        pub fn forward_stops(yes: bool) => how.options.forward_stops = yes;

        /// Whether a second process ends the commands of tasks if this process is killed. The second process is this
        /// program again, so nothing may come before the [`main`](crate::main()) of this crate, within which it runs.
        pub fn watch_children(yes: bool) => how.options.watch_children = yes;

        /// Reads settings again on [`Request::Reload`]. Without this call the answer to that request is a warning.
        #[doc(hidden)]
        pub fn reload(reload: impl Reload) => how.reload = Some(Box::new(reload));

        /// How long tasks in flight may go on after a stop; `None`: until they end. Default: 5 s, so that together with
        /// [`kill_after`](Run::kill_after) it is less than 10 s, the shortest notice of the batch systems.
        pub fn grace(grace: Option<Duration>) => how.options.grace = grace;

        /// How long the run waits for cancelled tasks. Default: 2 s. A task that has reached no yield point by then is left behind:
        /// its thread goes on until the task or the process ends.
        pub fn kill_after(time: Duration) => how.options.kill_after = time;

        /// How often a checkpoint is taken. Default: 1 s.
        pub fn checkpoint_every(time: Duration) => how.options.checkpoint_every = time;

        /// Bytes of input per second, all workers together, as counted by [`crate::Context::advance`].
        pub fn limit_rate(bytes_per_second: Option<u64>) => how.options.bytes_per_second = bytes_per_second;

        /// Whether failed tasks are left out and counted. Otherwise the first one ends the run.
        pub fn keep_going(yes: bool) => how.options.keep_going = yes;

        /// Whether the output of failed tasks stays in the output. Default: it does not.
        #[doc(hidden)]
        pub fn print_failed(yes: bool) => how.options.print_failed = yes;

        /// When tasks may start although a worker is free. Default: at once.
        pub fn starts(starts: Starts) => how.options.starts = starts;

        /// With [`keep_going`](Run::keep_going): the run ends after this many ended tasks, and the next run continues after
        /// them. Failures end it with exit code 4, the others with 0, or with 1 if a task has failed.
        pub fn halt(halt: Option<Halt>) => how.options.halt = halt;

        /// What tasks do besides producing output. Default: nothing.
        pub fn effects(effects: Effects) => how.options.effects = effects;

        /// The time after which the run stops, to be continued.
        pub fn max_runtime(budget: Option<Duration>) => how.options.max_runtime = budget;

        /// How many bytes of disk the results of tasks ahead of the frontier may take. If they take more, a slow task
        /// makes the others wait; tasks at work go on, so it can be a little more. `None`, the default: half of the
        /// space that is free at the start, where the state is or where the system keeps temporary files.
        pub fn spill_limit(bytes: Option<u64>) => how.options.spill_limit = bytes;

        /// Handles signals while it runs, by the policy with which they were blocked, and restores dispositions and mask at
        /// its end. Without this call the run touches no signal.
        pub fn signals(masked: Masked) => how.masked = Some(masked);

        /// The observer of the run.
        pub fn observer(observer: impl Observer + 'static) => how.observer = Box::new(observer);

        /// Another disk under the state and the output, for tests.
        #[doc(hidden)]
        pub fn disk(disk: Arc<dyn Disk>) => how.options.disk = disk;
    }

    /// A handle to stop, pause or ask the run while it runs.
    ///
    /// ```
    /// use bivouac::{Exit, Location};
    ///
    /// let run = bivouac::resumable(0..9_u64).map(|_, _| Ok(())).state(Location::Nowhere).into_run()?;
    /// run.handle().stop();
    /// assert_eq!(run.run().exit(), Exit::Code(75));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn handle(&self) -> Handle {
        Handle::of(&self.how.requests.0)
    }

    /// Runs the job on this thread until it ends.
    ///
    /// # Durability
    ///
    /// After [`Ending::Finished`] the output has its final name and survives a power cut. After [`Ending::Stopped`]
    /// the checkpoint survives one, and the same call continues from it.
    pub fn run(self) -> Ending {
        self.run_to_total().0
    }

    /// As [`run`](Run::run), with the total if the job has finished, now or in a run whose state was kept.
    pub fn run_to_total(mut self) -> (Ending, Option<J::Total>) {
        match self.how.masked.take().map_or_else(|| Masked::block(Policy::empty()), Ok) {
            Ok(masked) => self.run_under(&masked),
            Err(error) => (Ending::Failed { error, summary: Summary::default() }, None),
        }
    }

    /// As [`run_to_total`](Run::run_to_total), with signals that stay blocked when it has ended: for several
    /// runs in a row. Takes the place of [`signals`](Run::signals).
    ///
    /// ```
    /// use bivouac::{Location, Policy, Run, signals::Masked};
    ///
    /// let sum = |upto: u64| {
    ///     let add = |sum: &mut u64, n| *sum += n;
    ///     bivouac::resumable(0..upto).map(|n, _| Ok(n)).fold(|| 0, add).state(Location::Nowhere).into_run()
    /// };
    /// let masked = Masked::block(Policy::default())?;
    /// assert_eq!(sum(4)?.run_under(&masked).1, Some(Some(6)));
    /// assert_eq!(sum(5)?.run_under(&masked).1, Some(Some(10)));
    /// let (ending, total) = sum(6)?.signals(masked).run_to_total();
    /// assert_eq!(total, Some(Some(15)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn run_under(self, masked: &Masked) -> (Ending, Option<J::Total>) {
        let (erased, result) = erase(self.job, self.source);
        let failed = |error| Ending::Failed { error, summary: Summary::default() };
        let ending = self.how.run(erased, masked).unwrap_or_else(failed);
        let total = lock(&result).take();
        (ending, total)
    }
}

impl How {
    fn run(self, erased: Erased, masked: &Masked) -> Result<Ending> {
        let Erased { job, mut source, total } = erased;
        let Self { mut sink, options, mut observer, reload, requests, .. } = self;
        let started = Instant::now();
        let (tell, signals) = unbounded();
        let listener = SignalThread::start(masked, started, options.core, tell.clone())?;
        let stop = Arc::new(StopFd::new()?.subscription(listener.subscription.clone()));
        sink.interrupt_by(&stop);
        let reader = reload.map(|reload| Reader::start(masked, reload)).transpose().map_err(no_thread)?;
        let until = options.max_runtime.and_then(|budget| started.checked_add(budget));
        let (back, core, subscription) = (tell, options.core, listener.subscription.clone());
        let interruptible =
            Interruptible { masked, signals: signals.clone(), back, core, subscription, until };
        let prepared = {
            let tell = &mut |notice: &Notice| observer.notice(notice);
            prepare((&*job, total), &mut *source, &mut *sink, &options, (&interruptible, tell))?
        };
        match prepared {
            Prepared::AlreadyDone { code, summary, total } => {
                total.into_iter().for_each(|mut total| total.hand_over());
                Ok(Ending::Finished { code, summary, already: true })
            }
            Prepared::Stopped { by, summary, notice } => {
                if let Some(notice) = notice {
                    observer.notice(&Notice::Input(notice.to_string()));
                }
                Ok(Ending::Stopped { by, summary })
            }
            Prepared::Ready(mut start) => {
                drop(interruptible);
                start.store.set_continuing(options.continuing.clone());
                let threads = Threads {
                    masked,
                    options: &options,
                    stop: &stop,
                    began: started,
                    subscription: listener.subscription.clone(),
                    reader,
                };
                Ok(threads.run((job, source), sink, *start, (signals, requests.1), &mut *observer))
            }
        }
    }
}

#[cfg(test)]
mod disk_tests;
#[cfg(test)]
mod resume_tests;
#[cfg(test)]
pub(in crate::engine) mod tests;
