//! Starts all threads of a run. It needs the proof that signals are blocked.

use crate::ending::{Ending, Summary};
use crate::engine::commit::{Committer, Inbox, LastLook};
use crate::engine::input_memory::InputMemory;
use crate::engine::options::{Halt, HaltOn, Options};
use crate::engine::pool::Pool;
use crate::engine::prepare::StartingPoint;
use crate::engine::reload::Reader;
use crate::engine::source_thread::{READ_AHEAD, REST, SourceThread};
use crate::engine::supervisor::{Channels, JobFacts, Setup, Supervisor};
use crate::error::{Error, Result, no_thread};
use crate::process::watcher::{self, Watcher};
use crate::process::{Children, Inheritance, ProcessGroups};
use crate::signals::policy::Request;
use crate::signals::{Masked, Received, Subscription};
use crate::task::erased::{AnyJob, AnySource};
use crate::task::observer::{Notice, Observer};
use crate::task::outbox::{LARGE_ONES, OUTBOX, Outbox};
use crate::task::stop_fd::StopFd;
use crate::task::{Extent, ListContext, SAYINGS, Shared, Sink};
use crossbeam_channel::{Receiver, Sender, bounded, never, unbounded};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The arguments that all threads of a run share.
pub(crate) struct Threads<'a> {
    pub(crate) masked: &'a Masked,
    pub(crate) options: &'a Options,
    /// It ends waits for input and for readers of the output.
    pub(crate) stop: &'a Arc<StopFd>,
    pub(crate) began: Instant,
    /// Which signals reach the supervisor.
    pub(crate) subscription: Subscription,
    /// The thread that reads settings again.
    pub(crate) reader: Option<Reader>,
}

impl<'a> Threads<'a> {
    /// Starts the commit thread, the source thread and the workers. Then this thread is the supervisor.
    pub(crate) fn run(
        mut self,
        job: (Arc<dyn AnyJob>, Box<dyn AnySource>),
        sink: Box<dyn Sink>,
        from: StartingPoint,
        requests: (Receiver<Received>, Receiver<Request>),
        observer: &mut dyn Observer,
    ) -> Ending {
        for notice in &from.notices {
            observer.notice(notice);
        }
        let (ended, all_ended) = bounded::<()>(0);
        match self.start(job, sink, from, requests, ended) {
            Err(error) => Ending::Failed { error, summary: Summary::default() },
            Ok((setup, watcher, warnings)) => {
                warnings.into_iter().for_each(|error| observer.notice(&Notice::Warning(error)));
                let children = Arc::clone(setup.pool.children());
                let ending = Supervisor::new(setup, observer, watcher.as_ref()).run();
                self.stop.set();
                // Only the commit thread and the source thread hold a sender. They send nothing, and the channel closes when
                // both have ended.
                all_ended.recv_timeout(FAREWELL).ok();
                // If a command or a descendant of one is left, the watcher kills it.
                if let Some(watcher) = watcher {
                    say_who_was_killed(&watcher.dismiss(children.all_ended_by_themselves()), observer);
                }
                ending
            }
        }
    }

    /// Longer than a screen: every channel and thread in order. In parts, each channel would be two arguments.
    fn start(
        &mut self,
        (job, source): (Arc<dyn AnyJob>, Box<dyn AnySource>),
        sink: Box<dyn Sink>,
        mut from: StartingPoint,
        (signals, control): (Receiver<Received>, Receiver<Request>),
        ended: Sender<()>,
    ) -> Result<(Setup<'a>, Option<Watcher>, Vec<Error>)> {
        let options = self.options;
        let mut extent =
            Extent { bytes_before: from.store.record().input_bytes, ..from.outset.listing.extent() };
        if let Some(tasks) = &mut extent.tasks {
            *tasks += from.outset.gone;
        }
        let spill_limit = options.spill_limit.unwrap_or_else(|| half_of_the_room(from.near.as_deref()));
        from.store.spill().limit(spill_limit);
        let (deliver, deliveries) = bounded(OUTBOX);
        let (large, large_ones) = bounded(LARGE_ONES);
        let (line, lines) = unbounded();
        let (nudge, nudges) = bounded(1);
        let (commit_commands, commands) = unbounded();
        let (commit_event, commit_events) = unbounded();
        let (report, reports) = unbounded();
        let (list, tasks) = bounded(READ_AHEAD);
        let record = from.store.record();
        let done_before = record.committed() + record.kept();
        let mark = watcher::mark_of(&record.run);
        let mut warnings = Vec::new();
        let (watcher, groups) = match options.watch_children {
            true => {
                let groups = ProcessGroups::new().map_err(|errno| {
                    Error::broken("watcher", format_args!("cannot be told of commands: {errno}"))
                        .advise("raise the limit of open files (ulimit -n)")
                })?;
                let lock = from.store.lock_descriptor();
                match Watcher::start(self.masked, &mark, lock, &groups) {
                    Err(error) if !Path::new("/proc/self/exe").exists() => {
                        let advice = "there is no /proc: if this process is killed, its commands go on";
                        warnings.push(error.advise(advice));
                        (None, None)
                    }
                    started => (Some(started?), Some(groups)),
                }
            }
            false => (None, None),
        };
        let last_look = from.outset.listing.last_look();
        let workers = options.jobs.max(options.max_jobs);
        let input_memory = InputMemory::new(workers);
        let lister = SourceThread {
            source,
            outset: from.outset,
            journal: options.effects.are_journaled().then(|| line.clone()),
            inputs: record.inputs.clone(),
            stop: Arc::clone(self.stop),
            state: from.store.place().map(Path::to_path_buf),
            memory: Arc::clone(&input_memory),
            ended: ended.clone(),
            rest: REST,
        };
        let mut committer = Committer::new(
            sink,
            (from.store, from.total),
            options.effects,
            Box::new(move |event| commit_event.send(event).unwrap_or_default()),
        );
        committer.every = options.checkpoint_every;
        let stop = Arc::clone(self.stop);
        committer.last_look =
            last_look.map(|look| -> LastLook { Box::new(move || look(&ListContext::real(&stop))) });
        let frontier = committer.reported;
        let inbox = Inbox { deliveries, large_ones, lines, nudges, commands };
        let commit = move || {
            inbox.run(committer);
            drop(ended);
        };
        self.masked.spawn("commit", commit).map_err(no_thread)?;
        self.masked.spawn("source", move || lister.list(&list)).map_err(no_thread)?;
        let (sayings, said) = bounded(SAYINGS);
        let children = Arc::new(Children::new(Inheritance::new(self.masked.found(), &mark), groups));
        let shared = Arc::new(Shared::new(
            options.bytes_per_second,
            (options.keep_going, options.print_failed),
            failures_that_end(options),
            sayings,
            Arc::clone(self.stop),
        ));
        let outbox = Outbox { deliveries: deliver, lines: line, large, nudge };
        let (pool, started) = Pool::start(self.masked, workers, (job, shared, children), outbox, report)?;
        if started < options.jobs {
            let error = format!("no more than {started} at the same time: the system gives no more threads");
            let advice = "raise the limit of processes (ulimit -u), or of memory (ulimit -v)";
            warnings.push(Error::broken("threads", error).advise(advice));
        }
        let reader = self.reader.take();
        let reloaded = reader.as_ref().map_or_else(never, |reader| reader.answers.clone());
        let channels = Channels {
            signals,
            control,
            source: tasks,
            reports,
            commit_events,
            commit_commands,
            said,
            reloaded,
            reader,
        };
        let job = JobFacts::new(extent, (frontier, done_before), spill_limit);
        let (subscription, began) = (self.subscription.clone(), self.began);
        let masked = self.masked;
        let setup = Setup {
            options,
            channels,
            pool,
            workers: started,
            masked,
            input_memory,
            subscription,
            began,
            job,
        };
        Ok((setup, watcher, warnings))
    }
}

/// How many failed tasks end the run.
fn failures_that_end(options: &Options) -> u64 {
    match options.halt {
        _ if !options.keep_going => 1,
        Some(Halt { on: HaltOn::Failed, tasks, .. }) => tasks,
        Some(_) | None => u64::MAX,
    }
}

/// Warns about the processes that the watcher killed: a command that was ended had left them behind.
fn say_who_was_killed(killed: &[String], observer: &mut dyn Observer) {
    let Some(first) = killed.first() else { return };
    let more = match killed.len() {
        1 => String::new(),
        all => format!(" and {} more", all - 1),
    };
    let error =
        Error::broken(first, format_args!("was left behind by a command that was ended{more}; killed"))
            .advise("what a command that ends by itself leaves behind lives on");
    observer.notice(&Notice::Warning(error));
}

/// Half of the free space where results ahead of the frontier are stored. The other half is for the output, which
/// takes the same bytes once more. No fixed number would fit every machine.
fn half_of_the_room(near: Option<&Path>) -> u64 {
    let temp = std::env::temp_dir();
    let near = near.unwrap_or(&temp);
    let free = near.ancestors().find_map(|path| {
        rustix::fs::statvfs(if path.as_os_str().is_empty() { Path::new(".") } else { path }).ok()
    });
    free.map_or(u64::MAX, |free| free.f_bavail.saturating_mul(free.f_frsize) / 2)
}

/// How long a run waits for its threads. It leaves one that hangs.
const FAREWELL: Duration = Duration::from_secs(1);
