//! The idea of this project in one file, without the library: what to write on a whiteboard.
//!
//! Try `mkdir run; seq 20 200 >in; cargo run --example pattern in run`. INT and TERM stop the run; a second
//! one, 0.15 s later, kills it; USR1 saves now. All other signals keep their default actions: on TSTP the
//! kernel freezes every thread; HUP kills, and the last checkpoint stands. The next run continues. Left out:
//! a thread for the disk, so that no signal waits for a flush (`src/engine/commit.rs`); pauses
//! (`src/engine/decide.rs`); signals ignored at the start (`src/signals/handlers.rs`); children, which
//! inherit the mask (`src/process/spawn.rs`); inputs that exceed memory (`src/input.rs`).

use crossbeam_channel::{Receiver, after, never, select, tick, unbounded};
use nix::sys::signal::{SigSet, Signal, Signal::SIGINT, Signal::SIGTERM, Signal::SIGUSR1};
use signal_hook::{iterator::Signals, low_level};
use std::sync::{Arc, atomic::AtomicBool, atomic::Ordering::Relaxed};
use std::{collections::BTreeMap, fs::File, io::Write, path::PathBuf, time::Duration, time::Instant};
use std::{env, fs, io, iter, panic, process, thread};

const SAME_INTENTION: Duration = Duration::from_millis(150); // `timeout` may send its TERM twice
const GRACE: Duration = Duration::from_secs(2); // for the lines at work; a KILL usually comes later
const WINDOW: usize = 64; // lines that are started and not yet written: it bounds the results in memory
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let handled: SigSet = [SIGINT, SIGTERM, SIGUSR1].into_iter().collect();
    handled.thread_block()?; // before any other thread: all inherit it, and no handler interrupts their calls
    let heard = listen(handled)?;
    let [input, directory] = [1, 2].map(|n| PathBuf::from(env::args_os().nth(n).unwrap_or_default()));
    let lines: Vec<String> = fs::read_to_string(input)?.lines().map(String::from).collect();
    let mut store = Store::open(directory)?;
    writeln!(io::stderr(), "pid {}: {} of {} lines are done", process::id(), store.done, lines.len())?;
    let stopped_by = supervise(Arc::new(lines), &mut store, &heard)?;
    store.checkpoint()?;
    if let Some(signal) = stopped_by {
        die_of(signal);
    }
    Ok(())
}

/// Starts the one thread that has the signals open. It only sends; at a second stop it ends the process.
fn listen(handled: SigSet) -> io::Result<Receiver<Signal>> {
    let mut signals = Signals::new(handled.iter().map(|signal| signal as i32))?;
    let (tell, heard) = unbounded(); // `send` never waits, whatever the supervisor is doing
    thread::spawn(move || {
        handled.thread_unblock().ok()?; // now the handlers exist; earlier signals were pending until here
        let mut first_stop = None;
        for signal in signals.forever().filter_map(|number| Signal::try_from(number).ok()) {
            if signal != SIGUSR1 && first_stop.get_or_insert_with(Instant::now).elapsed() >= SAME_INTENTION {
                die_of(signal); // from this thread: the supervisor may hang. The last checkpoint stands
            }
            tell.send(signal).ok()?;
        }
        None::<()> // the channel closes, and the supervisor ends with an error
    });
    Ok(heard)
}

/// Owns all state, and waits in one place for all events: signals, results and timers.
fn supervise(lines: Arc<Vec<String>>, store: &mut Store, heard: &Receiver<Signal>) -> Result<Option<Signal>> {
    let (pool, cancel) = (rayon::ThreadPoolBuilder::new().build()?, Arc::new(AtomicBool::new(false)));
    let (tell, results) = unbounded(); // holds `most` results at most, and no worker ever waits to send
    let most = 2 * pool.current_num_threads(); // tasks given to rayon: its queue cannot be emptied
    let (clock, mut grace) = (tick(Duration::from_secs(1)), never());
    let (mut next, mut at_work, mut early, mut stop) = (store.done, 0, BTreeMap::new(), None);
    loop {
        // Back pressure: no line starts far ahead of the slowest one, and none after a stop.
        while stop.is_none() && at_work < most && next < lines.len().min(store.done + WINDOW) {
            let (lines, cancel, tell, number) = (lines.clone(), cancel.clone(), tell.clone(), next);
            pool.spawn(move || {
                tell.send((number, panic::catch_unwind(|| work(number, &lines[number], &cancel)))).ok();
            });
            (next, at_work) = (next + 1, at_work + 1);
        }
        if at_work == 0 {
            return Ok(stop);
        }
        select! {
            recv(heard) -> signal => {
                // Takes all waiting signals: a storm of USR1 is one request, and delays no stop.
                let asked = iter::once(signal?).chain(heard.try_iter()).find(|signal| *signal != SIGUSR1);
                store.checkpoint()?; // for USR1; and a stop begins with it, since a KILL may come early
                if stop.is_none() && asked.is_some() {
                    (stop, grace) = (asked, after(GRACE));
                }
            }
            recv(results) -> result => {
                let (number, outcome) = result?; // a panic is a result too, or the loop never ends
                let text = outcome.map_err(|_| format!("line {} failed; mend it, run again", number + 1))?;
                early.extend(text.map(|text| (number, text))); // `None` was given up: the next run does it
                while let Some(text) = early.remove(&store.done) {
                    store.output.write_all(text.as_bytes())?; // in the order of the lines
                    store.done += 1;
                }
                at_work -= 1;
            }
            recv(clock) -> _ => store.checkpoint()?, // no program can catch SIGKILL
            recv(grace) -> _ => cancel.store(true, Relaxed),
        }
    }
}

/// One line, in slices. A thread must not be killed, since it would keep its locks: it checks a flag.
fn work(number: usize, line: &str, cancel: &AtomicBool) -> Option<String> {
    let milliseconds: u64 = line.parse().expect("a line is a number of milliseconds");
    let slice = |hash: u64, _| {
        thread::sleep(Duration::from_millis(1)); // as if this were work
        (!cancel.load(Relaxed)).then_some(hash.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1))
    };
    Some(format!("{number}: {:016x}\n", (0..milliseconds).try_fold(number as u64, slice)?))
}

/// What survives: the output, and a record of how much of it counts.
struct Store {
    directory: PathBuf,
    output: File,
    done: usize,
}

impl Store {
    fn open(directory: PathBuf) -> Result<Self> {
        let output = File::options().create(true).append(true).open(directory.join("output"))?;
        output.try_lock()?; // a second run would write to the same file
        let record = directory.join("checkpoint");
        let record = if record.try_exists()? { fs::read_to_string(record)? } else { "0 0".into() };
        let (done, length) = record.split_once(' ').ok_or("the checkpoint is damaged")?;
        let (done, length) = (done.parse()?, length.parse()?);
        (output.metadata()?.len() >= length).then_some(()).ok_or("the output has lost bytes")?;
        output.set_len(length)?; // the bytes after the checkpoint are made again
        Ok(Self { directory, output, done })
    }

    /// First the bytes, then the record that counts them. No retry: a second flush may call lost bytes safe.
    fn checkpoint(&self) -> io::Result<()> {
        self.output.sync_all()?;
        let new = self.directory.join("checkpoint.new");
        let mut file = File::create(&new)?;
        write!(file, "{} {}", self.done, self.output.metadata()?.len())?;
        file.sync_all()?; // before the rename, or a power cut may leave the name of an empty file
        fs::rename(new, self.directory.join("checkpoint"))?; // the old record or the new one, never half
        File::open(&self.directory)?.sync_all()?; // only now the name is on the disk too
        writeln!(io::stderr(), "saved: {} lines", self.done).ok(); // a closed stderr is no failure
        Ok(())
    }
}

/// Dies of the signal: after `exit(130)` a shell script continues, after death by SIGINT it ends.
fn die_of(signal: Signal) -> ! {
    if process::id() != 1 {
        low_level::emulate_default_handler(signal as i32).ok(); // default action, unblock, raise
    }
    low_level::exit(128 + signal as i32) // for process 1 of a container the kernel skips default actions
}
