//! Every signal, in every phase, however the program was started: the table that specifies it.
//!
//! Read [`TABLE`] as a sentence per row: "INT, while running, unless started in the background:
//! dies of it". How a row is brought about with a real process and real signals stands in
//! [`stage`]. After every row the same command is run once more and must give the right bytes.
//!
//! A part of the table runs always: each row for one way to be started, in turn. With `BIVOUAC_TORTURE` in the environment,
//! as `scripts/torture` has it, all rows run for all ways.

mod leader;
mod stage;

use crossbeam_channel::unbounded;
use nix::sys::signal::Signal::{self, *};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

/// What the job is doing when the signal comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    /// The gate is closed, the process is alive.
    Paused,
    /// A SIGTERM came; tasks in flight would take for hours, and have the time.
    Stopping,
    /// State T. The signal waits until a SIGCONT, which follows.
    Suspended,
}
use Phase::*;

/// How the process came to be. It decides which signals are ignored from the start, and whether the
/// kernel would suspend the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// In the foreground of a terminal, by the leader of the session.
    Terminal,
    /// As `program &` in a script: INT and QUIT are ignored.
    Background,
    /// HUP is ignored.
    Nohup,
    /// Leader of a session of its own: nobody could continue it, so the kernel does not suspend it.
    Setsid,
    /// First process of a pid namespace, as in a container: default actions do not happen to it.
    ProcessOne,
}
use Start::*;

const ANYHOW: &[Start] = &[Terminal, Background, Nohup, Setsid, ProcessOne];
/// Somebody waits who would continue it.
const UNDER_A_SHELL: &[Start] = &[Terminal, Background, Nohup];
const ALONE: &[Start] = &[Setsid, ProcessOne];
const NOT_BACKGROUND: &[Start] = &[Terminal, Nohup, Setsid, ProcessOne];
const NOT_NOHUP: &[Start] = &[Terminal, Background, Setsid, ProcessOne];

/// What becomes of the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Ends by this signal; as process 1 with code 128 + n, since it cannot be killed by itself.
    DiesOfIt,
    /// Ends with this code.
    EndsWith(i32),
    /// Works.
    GoesOn,
    /// A checkpoint and a line of status, and nothing else changes.
    Checkpoints,
    /// State T by SIGTSTP; a SIGCONT, and it is in the phase in which it was, or running if paused.
    Suspends,
    /// Stands still, alive, and says how to continue it; a SIGCONT does.
    Pauses,
    /// Stays in the phase in which it is.
    Stays,
    /// The phase cannot be reached like this.
    Impossible,
}
use Outcome::*;

#[derive(Clone, Copy, Debug)]
struct Row {
    signals: &'static [Signal],
    phase: Phase,
    starts: &'static [Start],
    outcome: Outcome,
}

const fn row(signals: &'static [Signal], phase: Phase, starts: &'static [Start], outcome: Outcome) -> Row {
    Row { signals, phase, starts, outcome }
}

const EVERY: &[Signal] = &[
    SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGXCPU, SIGPWR, SIGTSTP, SIGCONT, SIGWINCH, SIGPIPE,
    SIGXFSZ,
];
/// What batch systems send before the kill.
const WARNINGS: &[Signal] = &[SIGUSR2, SIGXCPU, SIGPWR];
/// A redraw is nothing to the job, and a failed write is told by the write.
const NOTHINGS: &[Signal] = &[SIGWINCH, SIGPIPE, SIGXFSZ];

#[rustfmt::skip]
const TABLE: &[Row] = &[
    //  signals              phase      started         outcome
    row(&[SIGTERM],          Running,   ANYHOW,         DiesOfIt),
    row(&[SIGINT, SIGQUIT],  Running,   NOT_BACKGROUND, DiesOfIt),
    row(&[SIGINT, SIGQUIT],  Running,   &[Background],  GoesOn),
    row(&[SIGHUP],           Running,   NOT_NOHUP,      DiesOfIt),
    row(&[SIGHUP],           Running,   &[Nohup],       GoesOn),
    row(WARNINGS,            Running,   ANYHOW,         EndsWith(75)),
    row(&[SIGUSR1],          Running,   ANYHOW,         Checkpoints),
    row(&[SIGTSTP],          Running,   UNDER_A_SHELL,  Suspends),
    row(&[SIGTSTP],          Running,   ALONE,          Pauses),
    row(&[SIGCONT],          Running,   ANYHOW,         GoesOn),
    row(NOTHINGS,            Running,   ANYHOW,         GoesOn),

    row(&[SIGTERM],          Paused,    ANYHOW,         DiesOfIt),
    row(&[SIGINT, SIGQUIT],  Paused,    NOT_BACKGROUND, DiesOfIt),
    row(&[SIGINT, SIGQUIT],  Paused,    &[Background],  Stays),
    row(&[SIGHUP],           Paused,    NOT_NOHUP,      DiesOfIt),
    row(&[SIGHUP],           Paused,    &[Nohup],       Stays),
    row(WARNINGS,            Paused,    ANYHOW,         EndsWith(75)),
    row(&[SIGUSR1],          Paused,    ANYHOW,         Checkpoints),
    row(&[SIGTSTP],          Paused,    UNDER_A_SHELL,  Suspends),
    row(&[SIGTSTP],          Paused,    ALONE,          Stays),
    row(&[SIGCONT],          Paused,    ANYHOW,         GoesOn),
    row(NOTHINGS,            Paused,    ANYHOW,         Stays),

    // A second TERM is the abort. INT within two seconds is the same intention, and the others
    // never ask for more than the stop that is under way.
    row(&[SIGTERM],          Stopping,  ANYHOW,         DiesOfIt),
    row(&[SIGINT],           Stopping,  ANYHOW,         Stays),
    row(&[SIGQUIT],          Stopping,  NOT_BACKGROUND, DiesOfIt),
    row(&[SIGQUIT],          Stopping,  &[Background],  Stays),
    row(&[SIGHUP],           Stopping,  ANYHOW,         Stays),
    row(WARNINGS,            Stopping,  ANYHOW,         Stays),
    row(&[SIGUSR1],          Stopping,  ANYHOW,         Checkpoints),
    row(&[SIGTSTP],          Stopping,  UNDER_A_SHELL,  Suspends),
    row(&[SIGTSTP],          Stopping,  ALONE,          Stays),
    row(&[SIGCONT],          Stopping,  ANYHOW,         Stays),
    row(NOTHINGS,            Stopping,  ANYHOW,         Stays),

    row(&[SIGTERM],          Suspended, UNDER_A_SHELL,        DiesOfIt),
    row(&[SIGINT, SIGQUIT],  Suspended, &[Terminal, Nohup],   DiesOfIt),
    row(&[SIGINT, SIGQUIT],  Suspended, &[Background],        GoesOn),
    row(&[SIGHUP],           Suspended, &[Terminal, Background], DiesOfIt),
    row(&[SIGHUP],           Suspended, &[Nohup],             GoesOn),
    row(WARNINGS,            Suspended, UNDER_A_SHELL,        EndsWith(75)),
    row(&[SIGUSR1],          Suspended, UNDER_A_SHELL,        Checkpoints),
    // The kernel throws a waiting TSTP away when the CONT comes.
    row(&[SIGTSTP],          Suspended, UNDER_A_SHELL,        GoesOn),
    row(&[SIGCONT],          Suspended, UNDER_A_SHELL,        GoesOn),
    row(NOTHINGS,            Suspended, UNDER_A_SHELL,        GoesOn),
    row(EVERY,               Suspended, ALONE,                Impossible),
];

/// One run: a row for one signal and one way to be started.
#[derive(Clone, Copy, Debug)]
struct Scene {
    signal: Signal,
    phase: Phase,
    start: Start,
    outcome: Outcome,
}

impl Row {
    fn scenes(&self) -> impl Iterator<Item = Scene> + '_ {
        let pairs =
            self.signals.iter().flat_map(|&signal| self.starts.iter().map(move |&start| (signal, start)));
        pairs.map(|(signal, start)| Scene { signal, phase: self.phase, start, outcome: self.outcome })
    }
}

/// Plays scenes, several at a time, since most of each is waiting. Every failure is named.
fn play_all(scenes: impl IntoIterator<Item = Scene>) {
    let namespace = crate::jobcontrol::namespace();
    let (hand_out, take) = unbounded();
    for scene in scenes {
        let possible = scene.outcome != Impossible && (scene.start != ProcessOne || namespace.is_some());
        if possible {
            hand_out.send(scene).unwrap();
        }
    }
    drop(hand_out);
    let (tell, failures) = unbounded();
    thread::scope(|scope| {
        for _ in 0..6 {
            let (take, tell) = (take.clone(), tell.clone());
            scope.spawn(move || {
                for scene in take {
                    if catch_unwind(AssertUnwindSafe(|| stage::play(scene))).is_err() {
                        tell.send(scene).unwrap();
                    }
                }
            });
        }
    });
    drop(tell);
    let failed: Vec<String> = failures.iter().map(|scene| format!("{scene:?}")).collect();
    assert!(failed.is_empty(), "{} failed, see the panics above:\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn the_table() {
    if std::env::var_os("BIVOUAC_TORTURE").is_some() {
        return play_all(TABLE.iter().flat_map(Row::scenes));
    }
    // Steps that share no factor with the lengths, so that signals and starts are mixed.
    let one_of_each = TABLE.iter().enumerate().filter_map(|(number, row)| {
        let scenes: Vec<Scene> = row.scenes().collect();
        scenes.get(number * 7 % scenes.len()).copied()
    });
    play_all(one_of_each);
}

#[test]
fn the_table_has_exactly_one_answer_to_every_question() {
    let scenes: Vec<Scene> = TABLE.iter().flat_map(Row::scenes).collect();
    for &signal in EVERY {
        for phase in [Running, Paused, Stopping, Suspended] {
            for &start in ANYHOW {
                let answers =
                    scenes.iter().filter(|s| s.signal == signal && s.phase == phase && s.start == start);
                assert_eq!(answers.count(), 1, "{signal} while {phase:?}, {start:?}");
            }
        }
    }
}
