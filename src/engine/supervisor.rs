//! The loop. Third chapter of the route: wait for an event, [`decide`], perform the actions.
//!
//! The supervisor runs on the thread that started the run (in the tool: `main`). It alone owns the state and
//! moves the gate. It waits for events and for nothing else: the commit thread waits for the disk, and the source
//! thread for input. So it answers a signal at once. (After the loop the run waits one second for its threads, and leaves
//! one that hangs.)

mod reload;
mod clock;
mod deferred;
mod messages;
mod estimate;
mod parts;
mod status;
mod starts;
mod suspension;
mod progress;

pub(crate) use parts::{JobFacts, Setup};

use crate::ending::Ending;
use crate::engine::commit::{CommitCommand, CommitEvent};
use crate::engine::decide::{Action, Asker, Course, Event, Motion, Rules, State, decide};
use crate::engine::pool::Report;
use crate::engine::reload::{Reader, Reloaded};
use crate::engine::source_thread::FromSource;
use crate::error::Error;
use crate::process::watcher::Watcher;
use crate::signals::policy::Request;
use crate::signals::{Received, die};
use crate::sync::lock;
use crate::task::Saying;
use crate::task::observer::{Notice, Observer};
use crossbeam_channel::{Receiver, Sender, TryRecvError, never, select};
use nix::sys::signal::Signal;
use parts::{Clocks, End, Reception, View, Workers};
use starts::StartRule;
use std::sync::atomic::Ordering;
use std::time::Instant;

pub(crate) struct Channels {
    pub(crate) signals: Receiver<Received>,
    pub(crate) control: Receiver<Request>,
    pub(crate) source: Receiver<FromSource>,
    pub(crate) reports: Receiver<Report>,
    pub(crate) commit_events: Receiver<CommitEvent>,
    pub(crate) commit_commands: Sender<CommitCommand>,
    pub(crate) said: Receiver<Saying>,
    pub(crate) reloaded: Receiver<Reloaded>,
    pub(crate) reader: Option<Reader>,
}

pub(crate) struct Supervisor<'a> {
    state: State,
    channels: Channels,
    workers: Workers<'a>,
    reception: Reception,
    clocks: Clocks,
    job: JobFacts,
    view: View<'a>,
    end: End,
}

impl<'a> Supervisor<'a> {
    pub(crate) fn new(
        setup: Setup<'a>,
        observer: &'a mut dyn Observer,
        watcher: Option<&'a Watcher>,
    ) -> Self {
        let now = Instant::now();
        let Setup { options, pool, workers, masked, input_memory, job, .. } = setup;
        let frontier = job.frontier;
        let rules = Rules {
            grace: options.grace,
            kill_after: options.kill_after,
            forward_stops: options.forward_stops,
            hears_resume: setup.subscription.has_resume(),
        };
        let continues = frontier.committed + frontier.ahead > 0;
        let starts = StartRule::new(options.starts, setup.began, continues);
        Self {
            state: State::new(rules),
            channels: setup.channels,
            workers: Workers::new(pool, workers, (masked, input_memory), options, (starts, watcher)),
            reception: Reception::new(setup.subscription, options.core),
            clocks: Clocks::new(setup.began, now, options.max_runtime),
            job,
            view: View::new(observer, now, frontier.committed),
            end: End::default(),
        }
    }
}

impl Supervisor<'_> {
    pub(crate) fn run(mut self) -> Ending {
        self.view.observer.notice(&Notice::Ready { workers: self.workers.at_start });
        while self.state.course != Course::Ended {
            self.assign_what_may_start();
            self.wait_for_an_event();
            self.look_at_the_clock();
        }
        while let Ok(saying) = self.channels.said.try_recv() {
            self.said(saying);
        }
        self.view.observer.leave_terminal();
        self.ending()
    }

    /// Admission takes the place of back pressure. No worker waits for another task: with rayon inside tasks that
    /// would deadlock, because the inner wait steals an outer task, and that one waits for the task beneath it on
    /// the same stack. A task that would have to wait does not start.
    fn assign_what_may_start(&mut self) {
        self.start_the_waiting();
        while self.may_take() {
            match self.channels.source.try_recv() {
                Ok(item) => self.listed_by_source(item),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return,
            }
        }
    }

    /// Whether the source may say what comes next. One task at most waits for its time.
    fn may_take(&self) -> bool {
        self.workers.waiting.is_none() && self.may_assign()
    }

    fn may_assign(&self) -> bool {
        self.state.may_start()
            && self.state.in_flight < self.most_in_flight()
            && self.may_defer()
            && !self.workers.pool.shared.too_much_has_failed()
            && self.has_room()
    }

    /// Whether results ahead of the frontier may take more disk. One task may always run: it moves the frontier.
    fn has_room(&self) -> bool {
        self.job.frontier.ahead_bytes < self.job.spill_limit || self.state.in_flight == 0
    }

    fn listed_by_source(&mut self, item: FromSource) {
        match item {
            FromSource::Task(assignment) => {
                self.workers.waiting = Some(assignment);
                self.start_the_waiting();
            }
            FromSource::Ended(tasks) => {
                self.job.listed = Some(tasks);
                self.job.extent.tasks = Some(tasks);
                self.handle(Event::SourceEnded);
            }
            FromSource::Failed(error) => {
                self.keep_error(error);
                self.handle(Event::SourceBroke);
            }
        }
    }

    /// One `select` over everything. It takes a task only if one may start; otherwise the channel fills up, and the source
    /// thread waits.
    fn wait_for_an_event(&mut self) {
        if let Some(heard) = self.reception.early.pop_front() {
            return self.received(heard);
        }
        let (no_tasks, no_reports, no_sayings) = (never(), never(), never());
        let said = if self.view.observer.is_behind() { &no_sayings } else { &self.channels.said };
        let tasks = if self.may_take() { &self.channels.source } else { &no_tasks };
        let mut patience = self.next_deadline().saturating_duration_since(Instant::now());
        // Each report that wakes this loop takes a core from a worker for a moment. So with many short tasks in the pool,
        // reports stay in their channel until half of these tasks should be done.
        let reports = match self.workers.batching.time_alone(self.state.in_flight) {
            Some(time) if self.state.may_start() => {
                patience = patience.min(time);
                &no_reports
            }
            Some(_) | None => &self.channels.reports,
        };
        select! {
            recv(self.channels.signals) -> received => match received {
                Ok(received) => self.received(received),
                Err(_) => self.signal_thread_ended(),
            },
            recv(self.channels.control) -> request => if let Ok(request) = request {
                self.ask(request, Asker::Handle);
            } else {
                self.channels.control = never();
            },
            recv(tasks) -> item => match item {
                Ok(item) => self.listed_by_source(item),
                Err(_) => self.source_vanished(),
            },
            recv(reports) -> report => if let Ok(report) = report {
                self.report(report);
            },
            recv(self.channels.commit_events) -> event => match event {
                Ok(event) => self.commit_event(event),
                Err(_) => self.commit_thread_vanished(),
            },
            recv(said) -> saying => if let Ok(saying) = saying {
                self.said(saying);
            },
            recv(self.channels.reloaded) -> reloaded => match reloaded {
                Ok(reloaded) => self.reloaded(reloaded),
                Err(_) => self.channels.reloaded = never(),
            },
            default(patience) => {}
        }
        self.take_waiting_reports();
    }

    fn take_waiting_reports(&mut self) {
        while let Ok(report) = self.channels.reports.try_recv() {
            self.report(report);
        }
    }

    fn received(&mut self, received: Received) {
        self.note_interrupt(&received);
        let Received { signal, request, sender, at } = received;
        self.view.observer.notice(&Notice::Signal { signal, request, sender });
        self.handle(Event::Asked { request, by: Asker::Signal(signal), at });
    }

    /// The signal thread ended before the run: no signal arrives any more.
    fn signal_thread_ended(&mut self) {
        self.channels.signals = never();
        let error = Error::broken("signals", "the thread that receives them has ended")
            .advise("the job goes on without signals; SIGKILL ends it, and the last checkpoint stands");
        self.view.observer.notice(&Notice::Warning(error));
    }

    fn ask(&mut self, request: Request, by: Asker) {
        let who = if by == Asker::Budget { "the time budget" } else { "the program" };
        self.view.observer.notice(&Notice::Asked { request, by: who });
        self.handle(Event::Asked { request, by, at: self.clocks.began.elapsed() });
    }

    fn handle(&mut self, event: Event) {
        if let (Event::Asked { request: Request::Suspend, .. }, false) =
            (event, self.state.motion == Motion::Suspending)
        {
            self.clocks.suspension_asked = Instant::now();
        }
        self.note(event);
        let (state, actions) = decide(self.state, event);
        self.state = state;
        self.report_phase();
        for action in actions {
            self.perform(action);
        }
    }

    /// Reports every change of phase, even one that lasts only until the next event.
    fn report_phase(&mut self) {
        let activity = self.activity();
        if activity != self.view.shown {
            self.view.shown = activity;
            self.view.observer.notice(&Notice::Phase(activity));
            self.clocks.next_tick = Instant::now();
            self.write_status();
        }
    }

    fn perform(&mut self, action: Action) {
        let gate = &self.workers.pool.shared.gate;
        match action {
            Action::CloseGate => {
                gate.close();
                self.workers.pool.children().hold();
                self.clocks.work.pause(Instant::now());
            }
            Action::OpenGate => {
                let stood = self.clocks.work.resume(Instant::now());
                lock(&self.workers.pool.shared.running).values_mut().for_each(|task| task.since += stood);
                gate.open();
                self.workers.pool.children().go_on();
            }
            Action::HoldChildren => self.workers.pool.children().hold(),
            Action::Drain => {
                gate.drain();
                self.workers.pool.shared.stop.stop_begins();
                self.give_up_retries();
            }
            Action::ConcludeDeferred => {
                self.workers.pool.shared.halting.store(false, Ordering::Relaxed);
                self.conclude_deferred();
            }
            Action::Cancel => {
                gate.cancel();
                self.workers.pool.children().end();
            }
            Action::StopHard => self.workers.pool.children().stop_hard(),
            Action::Kill => self.workers.pool.children().kill(),
            Action::Forward(signal) => self.workers.pool.children().forward(signal),
            Action::Checkpoint { asked } => {
                if asked {
                    self.view.owed.get_or_insert_with(Instant::now);
                }
                self.command(CommitCommand::Checkpoint { asked });
            }
            Action::Status => self.say_status(),
            Action::SayStopping => {
                self.workers.pool.shared.halting.store(false, Ordering::Relaxed);
                self.say_stopping();
            }
            Action::SayRefused => {
                self.view.observer.notice(&Notice::NotSuspended { pid: std::process::id() })
            }
            Action::Suspend => self.suspend_process(),
            Action::Reload => self.reload(),
            Action::Redraw => {
                self.clocks.next_tick = Instant::now();
                self.look_for_a_request();
            }
            Action::Set(alarm, after) => self.clocks.alarms.push((alarm, Instant::now() + after)),
            Action::Unset(alarm) => self.clocks.alarms.retain(|(set, _)| *set != alarm),
            Action::InterruptOutput => self.workers.pool.shared.stop.set(),
            Action::Close => self.close(),
            Action::Die(signal) => self.die(signal),
        }
    }

    /// If the channel is closed, the commit thread has ended; its last event is in the other channel.
    fn command(&self, command: CommitCommand) {
        self.channels.commit_commands.send(command).ok();
    }

    fn close(&mut self) {
        // A run that stops reads nothing from the source, so the message that all are listed may still be there.
        if let Ok(FromSource::Ended(tasks)) = self.channels.source.try_recv() {
            self.job.listed = Some(tasks);
        }
        if self.state.cause.is_some() {
            self.workers.pool.shared.stop.set();
        }
        self.command(CommitCommand::Close { listed: self.job.listed });
    }

    /// Ends the process without waiting. The last checkpoint stands; the next run repeats later work.
    fn die(&mut self, signal: Signal) {
        self.workers.pool.children().kill();
        let now = Instant::now();
        let running = self.at_work(now);
        self.view.observer.notice(&Notice::Running(running));
        self.view.observer.leave_terminal();
        die(signal, self.reception.core);
    }
}
