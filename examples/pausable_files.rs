//! Exercise: process files; pause on SIGTSTP, go on on SIGCONT.
//!
//! ```console
//! $ cargo run --example pausable_files -- src/*.rs
//! ```
//!
//! Press Ctrl-Z and type `fg`, or type `kill -TSTP PID` and `kill -CONT PID` in another terminal. The
//! obvious program catches SIGTSTP and sets "paused"; then the shell does not show its prompt again,
//! because it waits until the program is really *stopped*. So the program must take the default action
//! of SIGTSTP after all. `Run` does that: see `suspend` in `src/signals/default_action.rs`.

use bivouac::signals::Masked;
use bivouac::sink::StreamSink;
use bivouac::{Activity, Context, Ending, Error, Exit, Job, ListContext, Listed, Listing, Notice, Observer};
use bivouac::{Policy, Result, Run, Source, TaskError};
use serde_json::Value;
use std::fs::File;
use std::io::{Read, Write, stderr, stdout};
use std::path::PathBuf;

/// What is done with a file: its lines and bytes are counted.
struct CountLines;

impl Job for CountLines {
    type Task = PathBuf;
    type Partial = ();
    type Total = ();

    fn name(&self) -> &str {
        "count lines"
    }

    fn fingerprint(&self) -> Value {
        Value::Null
    }

    fn run(&self, path: PathBuf, cx: &Context<'_>) -> std::result::Result<(), TaskError> {
        let failed = |e: std::io::Error| format!("{}: {e}", path.display());
        let mut file = File::open(&path).map_err(failed)?;
        let mut buffer = [0; 4096];
        let (mut lines, mut bytes) = (0, 0);
        loop {
            let length = file.read(&mut buffer).map_err(failed)?;
            if length == 0 {
                break;
            }
            lines += buffer[..length].iter().filter(|byte| **byte == b'\n').count();
            bytes += length;
            // Says how far we are, keeps to the rate limit, and is where this worker is held while
            // the job is paused. A stop of the whole process needs no such place: the kernel freezes
            // every thread wherever it is.
            cx.advance(length as u64)?;
        }
        writeln!(cx, "{}: {lines} lines, {bytes} bytes", path.display())
    }
}

/// The files, in the order in which they were named.
struct Files(Vec<PathBuf>);

/// Those that are left.
struct Left(std::vec::IntoIter<PathBuf>);

impl Source for Files {
    type Task = PathBuf;
    type Listing = Left;

    fn begin(&self) -> Result<Left> {
        Ok(Left(self.0.clone().into_iter()))
    }

    fn resume(&self, _: &Value, _: u64) -> Result<Left> {
        Err(Error::refused("files", "no progress is saved here; `long_job` shows how"))
    }
}

impl Listing for Left {
    type Task = PathBuf;

    fn described(&self) -> Result<Value> {
        Ok(Value::Null)
    }

    fn next(&mut self, _: &ListContext<'_>) -> Result<Option<Listed<PathBuf>>> {
        Ok(self.0.next().map(|task| Listed { task, bytes: 0, mark: None }))
    }
}

/// Says when the processing stands still and when it moves.
struct Report;

impl Observer for Report {
    fn notice(&mut self, notice: &Notice) {
        let said = if let Notice::Phase(Activity::Paused) = notice {
            writeln!(stdout(), "paused; `fg` or `kill -CONT {}` goes on", std::process::id())
        } else if let Notice::Phase(Activity::Running) = notice {
            writeln!(stdout(), "going on")
        } else {
            Ok(())
        };
        said.ok(); // Without a reader of these lines the work goes on all the same.
    }
}

fn process(masked: Masked, files: Vec<PathBuf>) -> Result<Ending> {
    Ok(Run::new(CountLines, Files(files))
        .sink(StreamSink::stdout()?)
        .jobs(2)
        // So slow that there is time to press Ctrl-Z.
        .limit_rate(Some(128 << 10))
        .observer(Report)
        .signals(masked)
        .run())
}

fn main() -> Exit {
    let masked = Masked::block(Policy::default());
    let files: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();

    writeln!(stdout(), "pid {}: {} files", std::process::id(), files.len()).ok();
    let ended = masked.and_then(|masked| process(masked, files));
    if let Err(error) | Ok(Ending::Failed { error, .. }) = &ended {
        writeln!(stderr(), "pausable_files: {error}").ok();
    }
    ended.map_or_else(|error| error.exit(), |ending| ending.exit())
}
