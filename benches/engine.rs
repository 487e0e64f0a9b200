//! What the supervision costs: the same work on bivouac, with checkpoints, and on plain rayon.
//!
//! A task spins a fixed number of steps, calibrated once. **Not a fixed time**: a task that looks
//! at the clock until a millisecond is over hides every slowdown of the machine around it, and
//! takes the overhead of the engine out of its own work. Steps are work that must be done.
//!
//! The two are run in turn, and each ratio is taken inside one round, so that a machine that gets
//! warmer or busier harms both alike. The figures are medians over the rounds:
//!
//! ```text
//! cargo bench --bench engine [-- ROUNDS] [1ms|100us|10us]
//! ```

use bivouac::error::Result;
use bivouac::{Context, Ending, Job, ListContext, Listed, Listing, Location, Run, Source, TaskError};
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

/// Runs the tasks on bivouac, with a state on disk, and says how long it took.
fn on_bivouac(tasks: u64, steps: u64, workers: usize, wanted: u64) -> Duration {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory for the state");
    let start = Instant::now();
    let ending = Run::new(Spin { steps }, Numbers { tasks })
        .jobs(workers)
        .state(Location::Directory(dir.path().join("state")))
        .run();
    let time = start.elapsed();
    match ending {
        Ending::Finished { code, .. } => assert_eq!(code, low_byte(wanted), "another result than rayon's"),
        other @ (Ending::Stopped { .. } | Ending::Failed { .. }) => panic!("not finished: {other:?}"),
    }
    time
}

/// Runs the same closure on rayon alone.
fn on_rayon(tasks: u64, steps: u64, pool: &rayon::ThreadPool) -> (Duration, u64) {
    let start = Instant::now();
    let total =
        pool.install(|| (0..tasks).into_par_iter().map(|task| spin(task, steps)).reduce(|| 0, |a, b| a ^ b));
    (start.elapsed(), total)
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
    let all = [("1ms", 1000), ("100us", 100), ("10us", 10)];
    let wanted = std::env::args().find(|word| all.iter().any(|(name, _)| name == word));
    for (name, time) in all.into_iter().filter(|(name, _)| wanted.as_deref().is_none_or(|only| only == *name))
    {
        let time = Duration::from_micros(time);
        let steps = steps_for(time);
        let tasks = u64::try_from(RUN.as_nanos() / time.as_nanos()).expect("a small number") * workers as u64;
        let (mut ratios, mut overheads) = (Vec::new(), Vec::new());
        // The first round warms up and is not counted.
        for round in 0..=rounds {
            let (plain, total) = on_rayon(tasks, steps, &pool);
            let ours = on_bivouac(tasks, steps, workers, total);
            if round > 0 {
                ratios.push(ours.as_secs_f64() / plain.as_secs_f64());
                // Thread time per task: the wall time is shared by all workers.
                let extra = ours.as_secs_f64() - plain.as_secs_f64();
                overheads.push(extra * 1e9 * workers as f64 / tasks as f64);
            }
        }
        let (ratio, overhead) = (median(ratios), median(overheads));
        say(format!("engine {name}: {tasks} tasks, ratio {ratio:.4}, overhead {overhead:.0} ns per task"));
    }
}
