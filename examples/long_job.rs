//! Exercise: a long job (simulated) that saves its progress, and continues where it was.
//!
//! ```console
//! $ cargo run --example long_job -- result.txt
//! ```
//!
//! Stop it with Ctrl-C, `kill -TERM PID` or even `kill -KILL PID`, and start it again: it prints where
//! it continues, and `result.txt` becomes the same, byte for byte, as without the interruption. The
//! obvious program saves its progress in a signal handler; then a SIGKILL or a power cut takes
//! everything. Here progress is saved every half second, and a signal only makes it happen now.

use bivouac::signals::Masked;
use bivouac::sink::FileSink;
use bivouac::{Context, Ending, Exit, Extent, Job, ListContext, Listed, Listing, Notice, Observer, Policy};
use bivouac::{Error, Location, Result, Run, Source, TaskError};
use serde_json::{Value, json};
use std::io::{Write, stderr, stdout};
use std::ops::Range;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

/// The work on one block of data.
struct Crunch;

impl Job for Crunch {
    type Task = u64;
    type Partial = u64; // the sum of one block
    type Total = u64; // the sum of all blocks so far: saved with the progress

    fn name(&self) -> &str {
        "crunch"
    }

    fn fingerprint(&self) -> Value {
        Value::Null // no options that could change the result
    }

    /// On any worker, in any order. A tenth of a second of "work", in slices: at each yield point
    /// the block can be paused or, when the grace of a stop is over, given up.
    fn run(&self, block: u64, cx: &Context<'_>) -> std::result::Result<u64, TaskError> {
        let mut sum = block;
        for _ in 0..20 {
            cx.yield_point()?;
            sleep(Duration::from_millis(5));
            sum = sum.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        }
        writeln!(cx, "block {block}: {sum:016x}")?;
        Ok(sum)
    }

    /// On one thread, in the order of the blocks.
    fn fold(&self, total: &mut u64, sum: u64, _out: &mut Vec<u8>) {
        *total = total.wrapping_add(sum);
    }

    fn finish(&self, total: &mut u64, out: &mut Vec<u8>) {
        out.extend(format!("total: {total:016x}\n").into_bytes());
    }
}

/// A number of blocks. Their numbers are the tasks.
struct Blocks {
    count: u64,
}

/// Those that are left.
struct Left(Range<u64>);

impl Source for Blocks {
    type Task = u64;
    type Listing = Left;

    fn begin(&self) -> Result<Left> {
        Ok(Left(0..self.count))
    }

    /// Picks up the saved progress: blocks before `frontier` are not even listed.
    fn resume(&self, described: &Value, frontier: u64) -> Result<Left> {
        if described["blocks"] != self.count {
            return Err(Error::refused("blocks", "were another number when this was begun"));
        }
        Ok(Left(frontier..self.count))
    }
}

impl Listing for Left {
    type Task = u64;

    /// Saved with the progress, for `resume` to compare.
    fn described(&self) -> Result<Value> {
        Ok(json!({ "blocks": self.0.end }))
    }

    fn next(&mut self, _: &ListContext<'_>) -> Result<Option<Listed<u64>>> {
        Ok(self.0.next().map(|task| Listed { task, bytes: 0, mark: None }))
    }

    fn extent(&self) -> Extent {
        Extent { tasks: Some(self.0.end), ..Extent::default() }
    }
}

/// Says what happens.
struct Report;

impl Observer for Report {
    fn notice(&mut self, notice: &Notice) {
        if let Notice::Resumed { frontier, .. } = notice {
            say(&format!("going on: {frontier} blocks were done before"));
        } else if let Notice::Checkpoint { frontier, .. } = notice {
            say(&format!("saved: {frontier} blocks"));
        }
    }
}

fn process(masked: Masked, out: PathBuf, count: u64, fresh: bool) -> Result<Ending> {
    Ok(Run::new(Crunch, Blocks { count })
        .sink(FileSink::new(&out)?)
        .state(Location::Directory(out.with_added_extension("bivouac")))
        .fresh(fresh)
        .checkpoint_every(Duration::from_millis(500))
        .jobs(2)
        .observer(Report)
        .signals(masked)
        .run())
}

fn main() -> Exit {
    // The mask comes first, before the arguments: a SIGTERM may come that early.
    let masked = Masked::block(Policy::default());
    let (fresh, words): (Vec<_>, Vec<_>) = std::env::args_os().skip(1).partition(|word| word == "--fresh");
    let mut arguments = words.into_iter();
    let out = PathBuf::from(arguments.next().unwrap_or_else(|| "long_job.txt".into()));
    let count = arguments.next().and_then(|word| word.to_str()?.parse().ok()).unwrap_or(200);

    say(&format!("pid {}: {count} blocks into {}", std::process::id(), out.display()));
    match masked.and_then(|masked| process(masked, out, count, !fresh.is_empty())) {
        Ok(ending) => {
            match &ending {
                Ending::Finished { already: true, .. } => say("was finished before"),
                Ending::Finished { .. } => say("finished"),
                Ending::Stopped { summary, .. } => {
                    let done = summary.frontier + summary.ahead;
                    say(&format!("stopped, {done} blocks are safe; the same command goes on"));
                }
                Ending::Failed { error, .. } => complain(error),
            }
            ending.exit() // the parent sees what stopped us
        }
        Err(error) => {
            complain(&error);
            error.exit()
        }
    }
}

/// Without a reader of these lines the work goes on all the same.
fn say(line: &str) {
    writeln!(stdout(), "{line}").ok();
}

fn complain(error: &Error) {
    writeln!(stderr(), "long_job: {error}").ok();
}
