//! Plays one row: starts a process that way, brings it into the phase, sends the signal, looks.
//!
//! "Nothing happens" is the hardest outcome to see. No wait can show it. A program that hears the
//! signal says so (`--verbose`), and the kernel drops an ignored one before `kill` returns. The test then
//! sends a SIGUSR1, whose answer names the phase.

use super::{Outcome, Phase, Scene, Start, leader};
use crate::harness::World;
use crate::jobcontrol::{namespace, only_child};
use crate::running::{BEYOND_DEBOUNCE, Running, first_difference};
use nix::sys::signal::Signal::{self, *};
use nix::sys::signal::kill;
use nix::unistd::Pid;
use std::fs;
use std::sync::OnceLock;

const JOB: &str = "grep [a-z]+_[0-9]+_[a-z]+ text --output out";
/// Sixteen seconds of work, of which the first is met.
const SLOW: &str = "--limit-rate 256KiB --checkpoint-every 20ms --jobs 2 --grace inf";
/// Hours.
const FOR_EVER: &str = "--limit-rate 1KiB --checkpoint-every 20ms --jobs 2 --grace inf";

fn world() -> World {
    static TEXT: OnceLock<Vec<u8>> = OnceLock::new();
    let world = World::new();
    world.write("text", TEXT.get_or_init(|| crate::data::text(5, 4 << 20)));
    world
}

/// What an uninterrupted run gives.
fn right_bytes() -> &'static [u8] {
    static RIGHT: OnceLock<Vec<u8>> = OnceLock::new();
    RIGHT.get_or_init(|| {
        let world = world();
        world.bivouac(JOB).run().expect_code(0);
        let bytes = world.read("out");
        let gnu = world.shell("grep -a -E '[a-z]+_[0-9]+_[a-z]+' text");
        assert!(bytes == gnu, "{}", first_difference(&bytes, &gnu));
        bytes
    })
}

pub(super) fn play(scene: Scene) {
    let world = world();
    let mut actor = Actor::start(&world, scene).comes_into(scene.phase);
    if scene.phase == Phase::Suspended {
        actor.sends(scene.signal);
        if scene.signal != SIGCONT {
            assert_eq!(actor.state(), 'T', "{scene:?}: a suspended process moves");
            actor.sends(SIGCONT);
        }
        actor = actor.gets_continued();
    } else {
        actor.sends(scene.signal);
    }
    actor.comes_out(scene);
    let again = world.bivouac(JOB).run().expect_code(0);
    let bytes = world.read("out");
    assert!(
        bytes == right_bytes(),
        "{scene:?}: {}\n{}",
        first_difference(&bytes, right_bytes()),
        again.stderr
    );
}

/// A process, however it was started.
struct Actor<'w> {
    run: Running<'w>,
    start: Start,
    /// The program itself, which may be a child of what we have started.
    pid: Pid,
}

impl<'w> Actor<'w> {
    fn start(world: &'w World, scene: Scene) -> Self {
        let pace = if scene.phase == Phase::Stopping { FOR_EVER } else { SLOW };
        let pause = pause_signal(scene.signal);
        let arguments = format!("{JOB} {pace} --on {}=pause", pause.as_str().trim_start_matches("SIG"));
        let job = world.bivouac(&arguments);
        let run = match scene.start {
            Start::Terminal => {
                leader::start(world, &format!("{arguments} --verbose")).until("leader: started ")
            }
            Start::Background => job.under("env --ignore-signal=INT,QUIT").start(),
            Start::Nohup => job.under("nohup").start(),
            Start::Setsid => job.under("setsid").start(),
            Start::ProcessOne => job.under(namespace().expect("was looked at before")).start(),
        };
        let pid = match scene.start {
            Start::Terminal => {
                let line = run.said().lines().find_map(|line| line.strip_prefix("leader: started ")).unwrap();
                Pid::from_raw(line.trim_end_matches('.').parse().unwrap())
            }
            Start::Background | Start::Nohup | Start::Setsid => run.pid(),
            Start::ProcessOne => only_child(run.pid()),
        };
        let actor = Self { run, start: scene.start, pid };
        // Beyond this it hears everything; while it will stop, tasks must be in flight.
        match scene.phase {
            Phase::Stopping => actor.at_work(),
            Phase::Running | Phase::Paused | Phase::Suspended => actor.hears("checkpoint at 1"),
        }
        .with_pause(pause, scene.phase)
    }

    fn with_pause(self, pause: Signal, phase: Phase) -> Self {
        if phase != Phase::Paused {
            return self;
        }
        if self.can_be_suspended() {
            self.sends(pause);
            self.hears("phase paused")
        } else {
            // The way in which such a process is paused in life.
            self.sends(SIGTSTP);
            self.hears("phase paused").hears("not suspended")
        }
    }

    fn comes_into(self, phase: Phase) -> Self {
        match phase {
            Phase::Running | Phase::Paused => self,
            Phase::Stopping => {
                self.sends(SIGTERM);
                let actor = self.hears("phase stopping").hears("stopping: ");
                Self { run: actor.run.let_pass(BEYOND_DEBOUNCE), ..actor }
            }
            Phase::Suspended => {
                self.sends(SIGTSTP);
                self.gets_suspended()
            }
        }
    }

    fn comes_out(self, scene: Scene) {
        let Scene { signal, phase, outcome, .. } = scene;
        match outcome {
            Outcome::DiesOfIt => self.dies_of(signal),
            Outcome::EndsWith(code) => self.ends_with(code),
            Outcome::GoesOn => {
                // Behind a suspension the order of signals that waited together is the kernel's.
                let resumed = phase == Phase::Suspended && signal != SIGCONT;
                let actor = if resumed { self.hears("SIGCONT (from") } else { self };
                let actor = actor.has_taken(scene).answers("running");
                // Not only in words.
                Self { run: actor.run.until_further_checkpoint(), ..actor }.gets_killed();
            }
            Outcome::Checkpoints => {
                let stands = match phase {
                    Phase::Running | Phase::Suspended => "running",
                    Phase::Paused => "paused",
                    Phase::Stopping => "stopping",
                };
                let answered = self.hears("SIGUSR1 (from").hears("checkpoint at ");
                // Of two signals that wait together the kernel tells the lower number first, so a
                // job that was suspended may answer before it hears of the SIGCONT. Asked again it
                // knows.
                let says = if phase == Phase::Suspended { "" } else { stands };
                let answered = answered.hears(&format!("status: {says}"));
                answered.answers(stands).gets_killed();
            }
            Outcome::Suspends => {
                let actor = self.gets_suspended();
                assert_eq!(actor.state(), 'T', "{scene:?}");
                actor.sends(SIGCONT);
                let actor = actor.gets_continued();
                let then = if phase == Phase::Stopping { "stopping" } else { "running" };
                actor.hears("SIGCONT (from").answers(then).gets_killed();
            }
            Outcome::Pauses => {
                let actor = self.hears("phase paused").hears("not suspended").said_last("kill -CONT");
                let actor = actor.answers("paused");
                actor.sends(SIGCONT);
                let actor = actor.hears("phase running");
                Self { run: actor.run.until_further_checkpoint(), ..actor }.gets_killed();
            }
            Outcome::Stays => {
                let is = match phase {
                    Phase::Paused => "paused",
                    Phase::Stopping => "stopping",
                    Phase::Running | Phase::Suspended => panic!("{scene:?}: say what it does"),
                };
                self.has_taken(scene).answers(is).gets_killed();
            }
            Outcome::Impossible => panic!("{scene:?} cannot be played"),
        }
    }

    fn sends(&self, signal: Signal) {
        kill(self.pid, signal).unwrap_or_else(|e| panic!("{signal}: {e}"));
    }

    fn hears(self, text: &str) -> Self {
        Self { run: self.run.until(text), ..self }
    }

    fn at_work(self) -> Self {
        let mut actor = self.hears("ready");
        loop {
            actor.sends(SIGUSR1);
            actor = actor.hears("status:");
            // In flight alone is not enough: a task that was handed out and not begun is given back
            // at a stop. One that has read waits for its turn under the rate limit.
            if !actor.run.said().lines().last().unwrap_or_default().contains(" 0 B of 4.0 MiB of input") {
                return actor;
            }
        }
    }

    /// Waits until it says that it has the signal, if it hears it at all.
    fn has_taken(self, scene: Scene) -> Self {
        let (signal, start) = (scene.signal, scene.start);
        let ignored = [SIGPIPE, SIGXFSZ].contains(&signal)
            || ([SIGINT, SIGQUIT].contains(&signal) && start == Start::Background)
            || (signal == SIGHUP && start == Start::Nohup)
            // Thrown away by the kernel.
            || (signal == SIGTSTP && scene.phase == Phase::Suspended);
        if ignored { self } else { self.hears(&format!("{} (from", scene.signal)) }
    }

    fn answers(self, phase: &str) -> Self {
        self.sends(SIGUSR1);
        self.hears("status: ").said_last(&format!("status: {phase}"))
    }

    fn said_last(self, text: &str) -> Self {
        let last = self.run.said().lines().last().unwrap_or_default();
        assert!(last.contains(text), "expected “{text}”\n{}", self.run.said());
        self
    }

    fn can_be_suspended(&self) -> bool {
        super::UNDER_A_SHELL.contains(&self.start)
    }

    fn gets_suspended(self) -> Self {
        match self.start {
            Start::Terminal => self.hears("leader: stopped SIGTSTP."),
            Start::Background | Start::Nohup | Start::Setsid | Start::ProcessOne => {
                Self { run: self.run.until_suspended_by(SIGTSTP), ..self }
            }
        }
    }

    fn gets_continued(self) -> Self {
        // Of two processes that write to one pipe, the program may come first: what it says then is
        // looked at later, so the leader's word is not waited for.
        match self.start {
            Start::Terminal => self,
            Start::Background | Start::Nohup | Start::Setsid | Start::ProcessOne => {
                Self { run: self.run.until_continued(), ..self }
            }
        }
    }

    /// The state as the kernel shows it: R, S, T and so on.
    fn state(&self) -> char {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap();
        stat.rsplit(") ").next().and_then(|rest| rest.chars().next()).unwrap()
    }

    fn dies_of(self, signal: Signal) {
        match self.start {
            Start::Terminal => {
                drop(self.run.until(&format!("leader: killed {signal}.")).wait().expect_code(0))
            }
            Start::ProcessOne => drop(self.run.wait().expect_code(128 + signal as i32)),
            Start::Background | Start::Nohup | Start::Setsid => {
                drop(self.run.wait().expect_killed_by(signal))
            }
        }
    }

    fn ends_with(self, code: i32) {
        match self.start {
            Start::Terminal => drop(self.run.until(&format!("leader: exited {code}.")).wait().expect_code(0)),
            Start::Background | Start::Nohup | Start::Setsid | Start::ProcessOne => {
                drop(self.run.wait().expect_code(code));
            }
        }
    }

    /// The row is over, and what is left shall be continued by the next run.
    fn gets_killed(self) {
        self.sends(SIGKILL);
        match self.start {
            Start::ProcessOne => drop(self.run.wait()),
            Start::Terminal | Start::Background | Start::Nohup | Start::Setsid => self.dies_of(SIGKILL),
        }
    }
}

/// Not the one that is looked at.
fn pause_signal(signal: Signal) -> Signal {
    if signal == SIGUSR2 { SIGPWR } else { SIGUSR2 }
}
