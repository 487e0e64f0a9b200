//! The idea of this project in one file, without the library: what to write on a whiteboard.
//!
//! Try `mkdir run; seq 20 200 >in; cargo run --example pattern in run`. INT and TERM stop it, and a second
//! one stops it at once; USR1 saves now. TSTP and CONT keep their default actions: the kernel freezes every
//! thread and thaws it, and the shell sees that. The next run continues, to the same bytes in the end.
//!
//! Left out: a thread for the disk, so that no signal waits for a flush (`src/commit.rs`); work to do before
//! a pause (`src/decide.rs`); leaving ignored signals ignored (`src/signals.rs`); children, which inherit
//! the mask (`src/process.rs`); inputs that change or exceed memory (`src/input.rs`).

use crossbeam_channel::{Receiver, after, never, select, tick, unbounded};
use nix::sys::signal::{SigSet, Signal, Signal::SIGINT, Signal::SIGTERM, Signal::SIGUSR1};
use signal_hook::{iterator::Signals, low_level};
use std::sync::{Arc, atomic::AtomicBool, atomic::Ordering::Relaxed};
use std::time::{Duration, Instant};
use std::{collections::BTreeMap, env, fs, fs::File, io, io::Write, panic, path::PathBuf, process, thread};

const SAME_INTENTION: Duration = Duration::from_millis(150); // `timeout` may send its TERM twice
const GRACE: Duration = Duration::from_secs(2); // for the lines at work: after a TERM comes a KILL
const WINDOW: usize = 64; // lines that are started and not yet written: the bound of all memory here
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let handled: SigSet = [SIGINT, SIGTERM, SIGUSR1].into_iter().collect();
    handled.thread_block()?; // before there is any other thread: all of them inherit it, rayon's too
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

/// Starts the one thread that has the signals open. It only sends; but a second stop it obeys itself.
fn listen(handled: SigSet) -> io::Result<Receiver<Signal>> {
    let mut signals = Signals::new(handled.iter().map(|signal| signal as i32))?;
    let (tell, heard) = unbounded(); // `send` never waits, so a busy supervisor makes nobody deaf
    thread::spawn(move || {
        handled.thread_unblock().ok()?; // the handlers are there; what came before has waited for them
        let mut first_stop = None;
        for signal in signals.forever().filter_map(|number| Signal::try_from(number).ok()) {
            if signal != SIGUSR1 && first_stop.get_or_insert_with(Instant::now).elapsed() >= SAME_INTENTION {
                die_of(signal); // from here, for the supervisor may hang; the last checkpoint stands
            }
            tell.send(signal).ok()?;
        }
        None::<()> // the channel closes, which the supervisor takes as an error
    });
    Ok(heard)
}

/// Owns all state, and waits in one place for all events: signals, results, moments.
fn supervise(lines: Arc<Vec<String>>, store: &mut Store, heard: &Receiver<Signal>) -> Result<Option<Signal>> {
    let (pool, cancel) = (rayon::ThreadPoolBuilder::new().build()?, Arc::new(AtomicBool::new(false)));
    let (tell, results) = unbounded(); // never more in it than `most`, so no worker ever waits to send
    let most = 2 * pool.current_num_threads(); // given to rayon: it has no limit, and gives nothing back
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
                let signal = signal?;
                store.checkpoint()?; // what USR1 asks for; and a stop begins with it: SIGKILL may come early
                if signal != SIGUSR1 && stop.is_none() {
                    (stop, grace) = (Some(signal), after(GRACE));
                }
            }
            recv(results) -> result => {
                let (number, outcome) = result?; // a panic is one too, or we would wait for it for ever
                let text = outcome.map_err(|_| format!("line {} failed; mend it, run again", number + 1))?;
                early.extend(text.map(|text| (number, text))); // None: given up, the next run does it
                while let Some(text) = early.remove(&store.done) {
                    store.output.write_all(text.as_bytes())?; // in the order of the lines, not of the results
                    store.done += 1;
                }
                at_work -= 1;
            }
            recv(clock) -> _ => store.checkpoint()?, // for the SIGKILL that nobody can hear
            recv(grace) -> _ => cancel.store(true, Relaxed),
        }
    }
}

/// One line, in slices. No thread can be killed, for it would keep its locks; so it looks at a flag.
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
        output.try_lock()?; // a second run would write into the same file
        let record = directory.join("checkpoint");
        let record = if record.try_exists()? { fs::read_to_string(record)? } else { "0 0".into() };
        let (done, length) = record.split_once(' ').ok_or("the checkpoint is damaged")?;
        let (done, length) = (done.parse()?, length.parse()?);
        (output.metadata()?.len() >= length).then_some(()).ok_or("the output has lost bytes")?;
        output.set_len(length)?; // what no checkpoint counts is made again
        Ok(Self { directory, output, done })
    }

    /// Bytes first, then the record that counts them. No retry: a second flush may succeed without them.
    fn checkpoint(&self) -> io::Result<()> {
        self.output.sync_all()?;
        let new = self.directory.join("checkpoint.new");
        let mut file = File::create(&new)?;
        write!(file, "{} {}", self.done, self.output.metadata()?.len())?;
        file.sync_all()?; // before the rename, or a power cut may leave the name with nothing in it
        fs::rename(new, self.directory.join("checkpoint"))?; // the old record or the new one, never half
        File::open(&self.directory)?.sync_all()?; // only now is the name on the disk too
        writeln!(io::stderr(), "saved: {} lines", self.done).ok(); // that nobody reads it is no failure
        Ok(())
    }
}

/// Ends by the signal: after `exit(130)` a shell script would go on, after death by SIGINT it ends too.
fn die_of(signal: Signal) -> ! {
    if process::id() != 1 {
        low_level::emulate_default_handler(signal as i32).ok(); // default action, unblock, raise
    }
    low_level::exit(128 + signal as i32) // process 1 of a container has no default action
}
