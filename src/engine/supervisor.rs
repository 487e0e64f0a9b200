//! The loop. Third chapter of the route: wait for an event, [`decide`], perform the actions.
//!
//! The supervisor runs on the thread that started the run (in the tool: `main`). It is the single
//! owner of the state, it alone moves the gate, and it never waits for anything but events: not for
//! the disk (the commit thread does), not for input (the source thread does), not for a worker, and
//! it joins no thread without a deadline. That is what lets it answer a signal at once, whatever the
//! others are busy with.

mod changing;
pub(crate) mod later;
mod listening;
mod estimate;
pub(crate) mod showing;
mod telling;

use crate::ending::{CheckpointFacts, Ending};
use crate::engine::batching::Batching;
use crate::engine::commit::{Frontier, Order, Word};
use crate::engine::decide::{
    Action, Alarm, Asker, Course, Event, Motion, State, decide, ends_what_is_around,
};
use crate::engine::options::Halt;
use crate::engine::pool::{Pool, Report};
use crate::engine::reload::{Reader, Reloaded};
use crate::engine::source_thread::FromSource;
use crate::error::Error;
use crate::process::watcher::Watcher;
use crate::signals::policy::Request;
use crate::signals::{Heard, Hearing, die, suspend};
use crate::sync::lock;
use crate::task::clock::WorkClock;
use crate::task::observer::{Activity, Notice, Observer};
use crate::task::stop_fd::Wake;
use crate::task::{Extent, Job, Saying};
use crossbeam_channel::{Receiver, Sender, TryRecvError, never, select};
use later::Later;
use nix::sys::signal::Signal;
use showing::Showing;
use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// The channels on which the supervisor waits and speaks.
pub(crate) struct Channels<T> {
    pub(crate) signals: Receiver<Heard>,
    pub(crate) control: Receiver<Request>,
    pub(crate) source: Receiver<FromSource<T>>,
    pub(crate) reports: Receiver<Report>,
    pub(crate) words: Receiver<Word>,
    pub(crate) orders: Sender<Order>,
    pub(crate) said: Receiver<Saying>,
    pub(crate) reloaded: Receiver<Reloaded>,
}

/// How long somebody who asked for a checkpoint waits for it before he is told at least where the job
/// stands.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often the progress line and the clocks move.
const TICK: Duration = Duration::from_millis(100);

/// How often it is looked whether children have stopped, while a suspension waits for them.
const LOOK: Duration = Duration::from_micros(500);

/// How long a suspension waits for a SIGCONT that comes right behind it: `kill -TSTP` and `kill -CONT` in
/// one line of a script. Such a pair would meet in the instant in which nothing can tell their order any
/// more (see [`suspend`]), and the job would stand still for ever.
const SECOND_THOUGHT: Duration = Duration::from_millis(2);

/// See the [module](self).
pub(crate) struct Supervisor<'a, J: Job> {
    pub(crate) state: State,
    pub(crate) channels: Channels<J::Task>,
    pub(crate) pool: Pool<J>,
    pub(crate) workers: usize,
    pub(crate) batching: Batching,
    pub(crate) hearing: Hearing,
    pub(crate) reader: Option<Reader>,
    /// Whether a death by signal may leave a core file.
    pub(crate) core: bool,
    pub(crate) observer: &'a mut dyn Observer,
    pub(crate) began: Instant,
    pub(crate) clock: WorkClock,
    pub(crate) budget: Option<Duration>,
    pub(crate) extent: Extent,
    pub(crate) frontier: Frontier,
    pub(crate) next_tick: Instant,
    pub(crate) alarms: Vec<(Alarm, Instant)>,
    /// When somebody wanted the process to be suspended.
    pub(crate) wanted_to_stand: Instant,
    /// Signals that were taken out of the channel before a suspension.
    pub(crate) early: VecDeque<Heard>,
    /// Tasks that are not over though their worker is free.
    pub(crate) later: Later,
    /// How much of the disk may be taken by results that wait for their turn, and whether it is.
    pub(crate) spill_limit: u64,
    pub(crate) waits_for_room: bool,
    /// How many tasks there are, once the source has said it.
    pub(crate) listed: Option<u64>,
    pub(crate) checkpoint: Option<(CheckpointFacts, Instant)>,
    /// When somebody asked for a checkpoint and a line of status, and has not had them yet.
    pub(crate) owed: Option<Instant>,
    pub(crate) error: Option<Error>,
    pub(crate) finished: Option<u8>,
    /// Wakes a source that waits for input and a sink that waits for a reader.
    pub(crate) wake: &'a Wake,
    pub(crate) shown: Activity,
    pub(crate) showing: Showing,
    /// When failed tasks end the run, and how many of this run have failed.
    pub(crate) halt: Option<Halt>,
    pub(crate) failures: u64,
    /// Tasks that the last durable record counts.
    pub(crate) durable: u64,
    /// Who ends the commands should we be killed, as far as is known.
    pub(crate) watcher: Option<&'a Watcher>,
    /// By which key somebody at the terminal wanted an end.
    pub(crate) interrupted: Option<Signal>,
}

impl<J: Job> Supervisor<'_, J> {
    /// Until the run has ended.
    pub(crate) fn run(mut self) -> Ending {
        self.observer.notice(&Notice::Ready { workers: self.workers });
        while self.state.course != Course::Ended {
            self.assign_what_may_start();
            self.wait_for_an_event();
            self.look_at_the_clock();
        }
        while let Ok(saying) = self.channels.said.try_recv() {
            self.said(saying);
        }
        self.observer.leave_terminal();
        self.ending()
    }

    /// Admission: how back pressure works here. A worker never waits for another task, since with
    /// rayon inside tasks that deadlocks: the inner wait steals an outer task, which then waits for
    /// the one beneath it on the same stack. Instead a task that would have to wait does not start.
    fn assign_what_may_start(&mut self) {
        while self.may_assign() {
            match self.channels.source.try_recv() {
                Ok(item) => self.listed_by_source(item),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return,
            }
        }
    }

    fn may_assign(&self) -> bool {
        self.state.may_start()
            && self.state.in_flight < self.batching.limit()
            && self.may_put_off()
            && !self.pool.shared.too_much_has_failed()
            && self.has_room()
    }

    /// Whether what would have to wait for its turn may take more of the disk. The task that all others wait
    /// for was assigned before them; so whenever there is none in flight, one must start, or none ever would.
    fn has_room(&self) -> bool {
        self.frontier.spilled < self.spill_limit || self.state.in_flight == 0
    }

    fn listed_by_source(&mut self, item: FromSource<J::Task>) {
        match item {
            FromSource::Task(assignment) => {
                self.handle(Event::Assigned);
                self.pool.assign(assignment);
            }
            FromSource::Ended(tasks) => {
                self.listed = Some(tasks);
                self.extent.tasks = Some(tasks);
                self.handle(Event::SourceEnded);
            }
            FromSource::Failed(error) => {
                self.keep_error(error);
                self.handle(Event::SourceBroke);
            }
        }
    }

    /// One `select` over everything that can happen. Tasks are taken only while they may start; that
    /// is the other half of admission, and what makes the source thread wait in its turn.
    fn wait_for_an_event(&mut self) {
        if let Some(heard) = self.early.pop_front() {
            return self.heard(heard);
        }
        let (no_tasks, no_reports, no_sayings) = (never(), never(), never());
        let said = if self.observer.is_behind() { &no_sayings } else { &self.channels.said };
        let tasks = if self.may_assign() { &self.channels.source } else { &no_tasks };
        let mut patience = self.next_deadline().saturating_duration_since(Instant::now());
        let reports = match self.batching.undisturbed(self.state.in_flight) {
            Some(time) if self.state.may_start() => {
                patience = patience.min(time);
                &no_reports
            }
            Some(_) | None => &self.channels.reports,
        };
        select! {
            recv(self.channels.signals) -> heard => if let Ok(heard) = heard { self.heard(heard) } else {
                self.channels.signals = never();
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
            recv(self.channels.words) -> word => match word {
                Ok(word) => self.word(word),
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
        self.reports_that_are_there();
    }

    fn reports_that_are_there(&mut self) {
        while let Ok(report) = self.channels.reports.try_recv() {
            self.report(report);
        }
    }

    fn next_deadline(&self) -> Instant {
        let next_look = match self.state.motion {
            Motion::Suspending => Instant::now() + LOOK,
            Motion::Running | Motion::Pausing | Motion::Paused | Motion::Suspended => self.next_tick,
        };
        let due = self.next_due().map(|left| Instant::now() + left);
        self.alarms.iter().map(|(_, at)| *at).chain(due).fold(self.next_tick.min(next_look), Instant::min)
    }

    /// Time is an event like any other: deadlines that have passed, and what follows from them.
    fn look_at_the_clock(&mut self) {
        let now = Instant::now();
        while let Some(position) = self.alarms.iter().position(|(_, at)| *at <= now) {
            let (alarm, _) = self.alarms.swap_remove(position);
            self.handle(Event::Rang(alarm));
        }
        if self.stands_still() {
            self.handle(Event::Stilled);
        }
        self.take_up_what_is_due(now);
        // The commit thread may be waiting for a disk, or for whoever reads our output. Then there is
        // no checkpoint yet, but how far the job is can be said.
        if self.owed.is_some_and(|since| now.saturating_duration_since(since) >= PATIENCE) {
            self.owed = None;
            self.say_status();
        }
        if now >= self.next_tick {
            self.next_tick = now + TICK;
            self.clock.tick(now);
            self.spend_budget();
            self.say_if_there_is_no_room();
            self.pool.children().see_to_strangers();
            self.look_after_the_watcher();
            let progress = self.progress();
            self.observer.progress(&progress);
        }
        self.show_when_due(now);
    }

    /// What a pause and a suspension wait for. Nobody tells when a child has stopped, so it is looked at.
    fn stands_still(&self) -> bool {
        match self.state.motion {
            Motion::Pausing => self.pool.shared.moving() == 0,
            Motion::Suspending => {
                self.wanted_to_stand.elapsed() >= SECOND_THOUGHT && self.pool.children().stand_still()
            }
            Motion::Running | Motion::Paused | Motion::Suspended => false,
        }
    }

    fn spend_budget(&mut self) {
        if self.budget.is_some_and(|budget| self.began.elapsed() >= budget) {
            self.budget = None;
            self.ask(Request::Stop, Asker::Budget);
        }
    }

    fn note_interrupt(&mut self, heard: &Heard) {
        if ends_what_is_around(heard.request, heard.signal, heard.sender) {
            self.interrupted = Some(heard.signal);
        }
    }

    fn heard(&mut self, heard: Heard) {
        self.note_interrupt(&heard);
        let Heard { signal, request, sender, at } = heard;
        self.observer.notice(&Notice::Signal { signal, request, sender });
        self.handle(Event::Asked { request, by: Asker::Signal(signal), at });
    }

    fn ask(&mut self, request: Request, by: Asker) {
        let who = if by == Asker::Budget { "the time budget" } else { "the program" };
        self.observer.notice(&Notice::Asked { request, by: who });
        self.handle(Event::Asked { request, by, at: self.began.elapsed() });
    }

    fn handle(&mut self, event: Event) {
        if let (Event::Asked { request: Request::Suspend, .. }, false) =
            (event, self.state.motion == Motion::Suspending)
        {
            self.wanted_to_stand = Instant::now();
        }
        let (state, actions) = decide(self.state, event);
        self.state = state;
        self.show_phase();
        for action in actions {
            self.perform(action);
        }
    }

    /// Every change of phase is told, also one that lasts no longer than the next event.
    fn show_phase(&mut self) {
        let activity = self.activity();
        if activity != self.shown {
            self.shown = activity;
            self.observer.notice(&Notice::Phase(activity));
            self.next_tick = Instant::now();
            self.show();
        }
    }

    fn perform(&mut self, action: Action) {
        let gate = &self.pool.shared.gate;
        match action {
            Action::CloseGate => {
                gate.close();
                self.pool.children().hold();
                self.clock.pause(Instant::now());
            }
            Action::OpenGate => {
                let stood = self.clock.resume(Instant::now());
                lock(&self.pool.shared.running).values_mut().for_each(|task| task.since += stood);
                gate.open();
                self.pool.children().go_on();
            }
            Action::Hold => self.pool.children().hold(),
            Action::Drain => {
                gate.drain();
                self.wake.stop_begins();
                self.give_up_retries();
            }
            Action::Recall => {
                self.pool.shared.halting.store(false, Ordering::Relaxed);
                self.recall();
            }
            Action::Cancel => {
                gate.cancel();
                self.pool.children().end();
            }
            Action::StopHard => self.pool.children().stop_hard(),
            Action::Kill => self.pool.children().kill(),
            Action::Forward(signal) => self.pool.children().forward(signal),
            Action::Checkpoint { asked } => {
                if asked {
                    self.owed.get_or_insert_with(Instant::now);
                }
                self.order(Order::Checkpoint { asked });
            }
            Action::Status => self.say_status(),
            Action::SayStopping => {
                self.pool.shared.halting.store(false, Ordering::Relaxed);
                self.say_stopping();
            }
            Action::SayRefused => self.observer.notice(&Notice::NotSuspended { pid: std::process::id() }),
            Action::Suspend => self.suspend_process(),
            Action::Reload => self.reload(),
            Action::Redraw => self.next_tick = Instant::now(),
            Action::Set(alarm, after) => self.alarms.push((alarm, Instant::now() + after)),
            Action::Unset(alarm) => self.alarms.retain(|(set, _)| *set != alarm),
            Action::Wake => self.wake.wake(),
            Action::Close => self.close(),
            Action::Die(signal) => self.die(signal),
        }
    }

    /// A closed channel means that the commit thread has ended; its last word is in the other one.
    fn order(&self, order: Order) {
        self.channels.orders.send(order).ok();
    }

    fn close(&mut self) {
        // All tasks may be listed although nobody took the last word of the source: while a run
        // stops, nothing is taken from it.
        if let Ok(FromSource::Ended(tasks)) = self.channels.source.try_recv() {
            self.listed = Some(tasks);
        }
        if self.state.cause.is_some() {
            self.wake.wake();
        }
        self.order(Order::Close { listed: self.listed });
    }

    /// Before the process is really stopped, one more look at the channel, and another one when the kernel
    /// knows that we shall stop: a SIGCONT that came before that would be spent before the stop that it
    /// should end. See [`suspend`].
    fn suspend_process(&mut self) {
        if !self.is_resumed_already() {
            self.observer.leave_terminal();
            if let Err(cause) = suspend(|| self.is_resumed_already()) {
                let error = Error::broken("suspension", format_args!("the kernel refuses: {cause}"));
                self.observer.notice(&Notice::Warning(error));
            }
            self.clock.skip_to(Instant::now());
        }
        self.handle(Event::Returned);
    }

    fn is_resumed_already(&mut self) -> bool {
        let on_its_way = self.hearing.resume_is_on_its_way();
        self.early.extend(self.channels.signals.try_iter());
        on_its_way || self.early.iter().any(|heard| heard.request == Request::Resume)
    }

    /// The way out for somebody who does not want to wait. The last checkpoint stands; what was done
    /// since is done again.
    fn die(&mut self, signal: Signal) {
        self.pool.children().kill();
        let now = Instant::now();
        let running = self.at_work(now);
        self.observer.notice(&Notice::Running(running));
        self.observer.leave_terminal();
        die(signal, self.core);
    }
}
