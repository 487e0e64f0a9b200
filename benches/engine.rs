//! What the supervision costs: the same work on bivouac, with checkpoints, and on plain rayon.
//!
//! A task spins a fixed number of steps, calibrated once. **Not a fixed time**: a task that looks
//! at the clock until a millisecond is over hides every slowdown of the machine around it, and
//! takes the overhead of the engine out of its own work. Steps are work that must be done.
//!
//! Three ways are run in turn: rayon alone, a [`Job`] of the lower floor, and the closure of a loop
//! (`resumable(..).map(..)`). Each ratio is taken inside one round, so that a machine that gets
//! warmer or busier harms all alike. The figures are medians over the rounds, of the time that passes
//! and of the processor time; on a machine that others use too, only the second means much.
//!
//! ```text
//! cargo bench --bench engine [-- ROUNDS] [1ms|100us|10us|1us]
//! ```

use bivouac::error::Result;
use bivouac::signals::Masked;
use bivouac::{Context, Ending, Job, ListContext, Listed, Listing, Location, Run, Source, TaskError};
use bivouac::{Policy, resumable};
use nix::sys::resource::{UsageWho, getrusage};
use rayon::prelude::*;
use serde_json::{Value, json};
use std::hint::black_box;
use std::io::Write;
use std::ops::Range;
use std::time::{Duration, Instant};

/// How long one run takes, about: long enough for the checkpoints of every second to be in it.
const RUN: Duration = Duration::from_millis(2500);

/// One task's work: steps of a small generator that the compiler cannot shorten.
fn spin(task: u64, steps: u64) -> u64 {
    let mut x = task.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    for _ in 0..steps {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x = black_box(x);
    }
    x
}

/// Steps that take about `time` on one undisturbed thread: the fastest of several tries.
fn steps_for(time: Duration) -> u64 {
    const TRIAL: u64 = 2_000_000;
    let try_once = |n| {
        let start = Instant::now();
        black_box(spin(n, TRIAL));
        start.elapsed()
    };
    let fastest = (0..10).map(try_once).min().unwrap_or(time);
    let steps = u128::from(TRIAL) * time.as_nanos() / fastest.as_nanos().max(1);
    u64::try_from(steps).unwrap_or(TRIAL).max(1)
}

/// The job: its output is a number, so that both ways can be compared.
#[derive(Debug)]
struct Spin {
    steps: u64,
}

impl Job for Spin {
    type Task = u64;
    type Partial = u64;
    type Total = u64;

    fn name(&self) -> &str {
        "spin"
    }

    fn fingerprint(&self) -> Value {
        json!({ "steps": self.steps })
    }

    fn run(&self, task: u64, cx: &Context<'_>) -> std::result::Result<u64, TaskError> {
        cx.yield_point()?;
        Ok(spin(task, self.steps))
    }

    fn fold(&self, total: &mut u64, partial: u64, _out: &mut Vec<u8>) {
        *total ^= partial;
    }

    /// The low bits of the total become the exit code, by which `main` checks the result.
    fn verdict(&self, total: &u64) -> u8 {
        low_byte(*total)
    }
}

fn low_byte(total: u64) -> u8 {
    total.to_le_bytes()[0]
}

/// Lists the numbers from 0 to `tasks`.
#[derive(Debug)]
struct Numbers {
    tasks: u64,
}

#[derive(Debug)]
struct Left(Range<u64>);

impl Source for Numbers {
    type Task = u64;
    type Listing = Left;

    fn begin(&self) -> Result<Left> {
        Ok(Left(0..self.tasks))
    }

    fn resume(&self, _described: &Value, frontier: u64) -> Result<Left> {
        Ok(Left(frontier..self.tasks))
    }
}

impl Listing for Left {
    type Task = u64;

    fn described(&self) -> Result<Value> {
        Ok(json!({ "tasks": self.0.end }))
    }

    fn next(&mut self, _cx: &ListContext<'_>) -> Result<Option<Listed<u64>>> {
        Ok(self.0.next().map(|task| Listed { task, bytes: 0, mark: None }))
    }
}

/// What a way takes: time that passes, and processor time.
#[derive(Clone, Copy, Debug)]
struct Taken {
    wall: Duration,
    processor: Duration,
}

fn processor_time() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("the kernel counts");
    let of = |time: nix::sys::time::TimeVal| {
        Duration::new(time.tv_sec().unsigned_abs(), time.tv_usec().unsigned_abs() as u32 * 1000)
    };
    of(usage.user_time()) + of(usage.system_time())
}

fn taken<T>(way: impl FnOnce() -> T) -> (Taken, T) {
    let (start, before) = (Instant::now(), processor_time());
    let result = way();
    (Taken { wall: start.elapsed(), processor: processor_time().saturating_sub(before) }, result)
}

/// Runs the tasks as a job of the lower floor, with a state on disk.
fn as_job(tasks: u64, steps: u64, workers: usize, wanted: u64) -> Taken {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory for the state");
    let run = Run::new(Spin { steps }, Numbers { tasks })
        .jobs(workers)
        .state(Location::Directory(dir.path().join("state")));
    let (taken, ending) = taken(|| run.run());
    match ending {
        Ending::Finished { code, .. } => assert_eq!(code, low_byte(wanted), "another result than rayon's"),
        other @ (Ending::Stopped { .. } | Ending::Failed { .. }) => panic!("not finished: {other:?}"),
    }
    taken
}

/// Runs the closure as a loop of the front door, with a state on disk.
fn as_loop(tasks: u64, steps: u64, workers: usize) -> Taken {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory for the state");
    let masked = Masked::block(Policy::empty()).expect("nothing is blocked");
    let spins = resumable(0..tasks)
        .map(move |task, cx| {
            cx.yield_point()?;
            black_box(spin(task, steps));
            Ok(())
        })
        .jobs(workers)
        .state(dir.path().join("state"));
    let (taken, outcome) = taken(|| spins.run(&masked));
    outcome.and_then(bivouac::Outcome::finished).expect("it finishes");
    taken
}

/// Runs the same closure on rayon alone, for its result and for nothing.
fn on_rayon(tasks: u64, steps: u64, pool: &rayon::ThreadPool) -> (Taken, u64, Taken) {
    let numbers = || (0..tasks).into_par_iter();
    let (reduced, total) =
        taken(|| pool.install(|| numbers().map(|n| spin(n, steps)).reduce(|| 0, |a, b| a ^ b)));
    let spin_only = |n| {
        black_box(spin(n, steps));
    };
    let (each, ()) = taken(|| pool.install(|| numbers().for_each(spin_only)));
    (reduced, total, each)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    // cargo adds `--bench` to the arguments.
    let rounds = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(7).max(1);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(workers).build().expect("a pool");
    let mut out = std::io::stdout();
    let mut say = |line: String| writeln!(out, "{line}").expect("standard output takes the figures");
    say(format!("{workers} workers, {rounds} rounds, medians; a run takes about {RUN:?}"));
    let all = [("1ms", 1000), ("100us", 100), ("10us", 10), ("1us", 1)];
    let wanted = std::env::args().find(|word| all.iter().any(|(name, _)| name == word));
    for (name, time) in all.into_iter().filter(|(name, _)| wanted.as_deref().is_none_or(|only| only == *name))
    {
        let time = Duration::from_micros(time);
        let steps = steps_for(time);
        let tasks = u64::try_from(RUN.as_nanos() / time.as_nanos()).expect("a small number") * workers as u64;
        let (mut job, mut front) = (Row::default(), Row::default());
        // The first round warms up and is not counted.
        for round in 0..=rounds {
            let (reduced, total, each) = on_rayon(tasks, steps, &pool);
            let as_job = as_job(tasks, steps, workers, total);
            let as_loop = as_loop(tasks, steps, workers);
            if round > 0 {
                job.add(as_job, reduced);
                front.add(as_loop, each);
            }
        }
        say(format!("engine {name}: {tasks} tasks, {}", job.told(tasks)));
        say(format!("loop   {name}: {tasks} items, {}", front.told(tasks)));
    }
}

/// What the rounds of one way have given, against rayon.
#[derive(Default)]
struct Row {
    wall: Vec<f64>,
    processor: Vec<f64>,
    /// Processor time beyond that of rayon, in nanoseconds.
    beyond: Vec<f64>,
}

impl Row {
    fn add(&mut self, ours: Taken, plain: Taken) {
        self.wall.push(ours.wall.as_secs_f64() / plain.wall.as_secs_f64());
        self.processor.push(ours.processor.as_secs_f64() / plain.processor.as_secs_f64());
        self.beyond.push((ours.processor.as_secs_f64() - plain.processor.as_secs_f64()) * 1e9);
    }

    fn told(self, tasks: u64) -> String {
        let (wall, processor) = (median(self.wall), median(self.processor));
        let beyond = median(self.beyond) / tasks as f64;
        format!("ratio {wall:.4}, of processor time {processor:.4}, {beyond:.0} ns more for each")
    }
}
