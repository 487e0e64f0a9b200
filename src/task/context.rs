//! The [`Context`]: the world as a task sees it while it runs.

use crate::error::Error;
use crate::sync::lock;
use crate::task::command::{Call, Command, Err, Feed, Finished, How, Out};
use crate::task::{End, LOOK_UP, Line, Saying, Shared, TaskError};
use crossbeam_channel::SendTimeoutError;
use std::ffi::OsStr;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Messages of a running task to the engine, besides its results.
#[derive(Debug)]
pub(crate) enum Remark {
    /// It waits at the closed gate.
    Parked,
    /// Something is odd, and the observer is told.
    Warned(Error),
}

/// Runs the commands of tasks.
///
/// The obvious context knows the table of children. But the code that runs a command uses the gate, the clocks and the
/// rate limit of its task, so each would import the other. Here `process` implements this, and the engine joins the two.
pub(crate) trait Commands: fmt::Debug + Send + Sync {
    /// See [`Context::call`].
    fn run(
        &self,
        cx: &Context<'_>,
        call: &Call<'_>,
        out: &mut Out<'_>,
        err: &mut Err<'_>,
    ) -> Result<Finished, TaskError>;

    /// See [`Context::was_ended`].
    fn was_ended(&self, finished: &Finished);
}

/// A debt to the rate limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Debt {
    rate: u64,
    until: Instant,
    left: Duration,
}

impl Debt {
    pub(crate) fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

/// The world as a task sees it: the gate, the way out for its bytes, and nothing of signals.
///
/// ```
/// use std::time::Duration;
/// # let place = tempfile::tempdir()?; std::env::set_current_dir(&place)?;
///
/// bivouac::resumable(["ab", "c"])
///     .map(|text, cx| {
///         cx.say(format!("task {}", cx.task())); // to the observer
///         for byte in text.bytes() {
///             let pace = if cx.is_stopping() { 0 } else { 50 };
///             cx.sleep(Duration::from_micros(pace))?;
///             cx.advance(1)?; // in bytes of the input; a yield point too
///             cx.write(&[byte, b' '])?;
///         }
///         let letters = text.chars().take_while(|_| !cx.is_cancelled()).count(); // cannot return `Err`
///         cx.emit(format!("{letters}\n"))
///     })
///     .write_to("out")
///     .main();
/// assert_eq!(std::fs::read_to_string("out")?, "a b 2\nc 1\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Context<'a> {
    /// The number of the task in the whole job ([`Job::number_of`](crate::Job::number_of)).
    pub(crate) task: u64,
    /// The number by which the engine knows it.
    pub(crate) own: u64,
    /// See [`slot`](Context::slot).
    pub(crate) slot: Option<usize>,
    /// The digest of this task alone, for a list that may change between runs.
    pub(crate) of_task: [u8; 8],
    pub(crate) shared: &'a Shared,
    pub(crate) commands: &'a dyn Commands,
    pub(crate) emit: &'a (dyn Fn(Vec<u8>) -> bool + Sync),
    pub(crate) forget: &'a (dyn Fn() -> bool + Sync),
    pub(crate) journal: &'a (dyn Fn(Line) + Sync),
    pub(crate) remark: &'a (dyn Fn(Remark) + Sync),
    pub(crate) advanced: AtomicU64,
    pub(crate) parked: AtomicBool,
    /// Bytes that were written and not emitted yet.
    pub(crate) written: Mutex<Vec<u8>>,
}

/// How long a failed command is held before the failure counts.
const HELD: Duration = Duration::from_millis(500);

/// Small writes are gathered to this size: each piece costs the commit thread as much as a task.
const GATHERED: usize = 64 << 10;

shown_by! { Context<'a>, task }

impl Context<'_> {
    /// The number of this task, from 0.
    pub fn task(&self) -> u64 {
        self.task
    }

    /// Returns at once, or when the job is no longer paused; with [`TaskError::Cancelled`] when the task must give up.
    /// Hand it on with `?`.
    pub fn yield_point(&self) -> Result<(), TaskError> {
        let passed = self.shared.gate.pass(|| self.announce_parking());
        self.announce_moving();
        passed
    }

    /// The lowest number, from 1, that no other task had when this one began: its place among those that run at the same
    /// time. `None` if only the result of the task is asked for.
    ///
    /// ```
    /// use bivouac::Location;
    ///
    /// let one = bivouac::resumable(0..3_u64).map(|_, cx| Ok(assert_eq!(cx.slot(), Some(1))));
    /// one.state(Location::Nowhere).into_run()?.jobs(1).run();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn slot(&self) -> Option<usize> {
        self.slot
    }

    /// Whether a stop has begun: the task may go on to its end, within the grace.
    pub fn is_stopping(&self) -> bool {
        self.shared.gate.is_draining() && !self.shared.halting.load(Ordering::Relaxed)
    }

    /// Sleeps for `time`; time in which the job is paused comes on top of it. Fails as
    /// [`yield_point`](Context::yield_point) does, and at once.
    pub fn sleep(&self, time: Duration) -> Result<(), TaskError> {
        let mut left = time;
        loop {
            left = self.shared.gate.sleep(left);
            self.yield_point()?;
            if left.is_zero() {
                return Ok(());
            }
        }
    }

    /// Hands a line of a command to the observer. Waits if lines come too fast, so endless complaints fill no memory.
    pub fn say(&self, line: String) {
        self.send(Saying { task: self.task, line, is_the_jobs: false });
    }

    /// Hands a sentence of the job itself to the observer, in order with the lines of [`say`](Context::say).
    ///
    /// ```
    /// # use bivouac::{Exit, Location};
    /// let fetch = bivouac::resumable(["a", "b"]).map(|name, cx| {
    ///     cx.tell(format!("{name}: the server is busy; once more in 1 s"));
    ///     Ok(())
    /// });
    /// assert_eq!(fetch.state(Location::Nowhere).into_run()?.run().exit(), Exit::Code(0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn tell(&self, line: String) {
        self.send(Saying { task: self.task, line, is_the_jobs: true });
    }

    fn send(&self, mut saying: Saying) {
        while let Err(SendTimeoutError::Timeout(back)) = self.shared.sayings.send_timeout(saying, LOOK_UP) {
            if self.is_cancelled() {
                return;
            }
            saying = back;
        }
    }

    /// Tells the observer that something is odd.
    pub(crate) fn warn(&self, error: Error) {
        (self.remark)(Remark::Warned(error));
    }

    /// Runs a command until it has ended. `out` gets its standard output in pieces, `err` its standard error
    /// as it comes. The end of the command decides, even if a process that it started holds its output;
    /// output of the next 0.1 s still counts.
    ///
    /// While the job is paused, the command is stopped (SIGTSTP, then SIGSTOP) and this waits. After an end
    /// by us or by a signal, the whole group has `kill_after` to end.
    ///
    /// # Errors
    ///
    /// [`TaskError::Cancelled`] when the task must give up: the command and its group have been ended.
    /// [`TaskError::Fatal`] when it cannot be started ([`Kind::NoSuchCommand`](crate::error::Kind::NoSuchCommand),
    /// [`Kind::CannotStart`](crate::error::Kind::CannotStart)), or the system has no descriptor or process left. The
    /// errors of `out`.
    ///
    /// # Examples
    ///
    /// ```
    /// use bivouac::process::{Call, Command, Finished, How};
    /// use std::time::Duration;
    /// # let place = tempfile::tempdir()?; std::env::set_current_dir(&place)?;
    ///
    /// bivouac::resumable(["60", "0"])
    ///     .map(|seconds, cx| {
    ///         let sleep = Command::new(["sleep", seconds]).ok_or("no program")?;
    ///         let call = Call { timeout: Some(Duration::from_millis(300)), ..Call::of(&sleep) };
    ///         let Finished { how, .. } = cx.call(&call, &mut |_| Ok(()), &mut |_| ())?;
    ///         Ok(if how == How::TimedOut { "slow\n" } else { "quick\n" })
    ///     })
    ///     .write_to("how")
    ///     .main();
    /// assert_eq!(std::fs::read_to_string("how")?, "slow\nquick\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn call(
        &self,
        call: &Call<'_>,
        out: &mut dyn FnMut(Vec<u8>) -> Result<(), TaskError>,
        err: &mut dyn FnMut(&[u8]),
    ) -> Result<Finished, TaskError> {
        self.commands.run(self, call, out, err)
    }

    /// Runs a command (no shell) without input, and returns what it printed. What it says on standard error goes to
    /// the observer of the run, line by line. A pause stops the command; if the task must give up, it is ended.
    ///
    /// # Errors
    ///
    /// [`TaskError::Failed`] if it does not end with 0; otherwise as [`attempt`](Context::attempt), which tells the code.
    ///
    /// # Examples
    ///
    /// ```
    /// # let place = tempfile::tempdir().unwrap(); std::env::set_current_dir(&place).unwrap();
    /// bivouac::resumable(1..4_u32)
    ///     .map(|n, cx| cx.output(["expr", &n.to_string(), "*", "2"]))
    ///     .write_to("doubled.txt")
    ///     .main();
    /// assert_eq!(std::fs::read_to_string("doubled.txt")?, "2\n4\n6\n");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn output<W: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = W>) -> Result<Vec<u8>, TaskError> {
        self.filter(words, &[])
    }

    /// As [`output`](Context::output), with these bytes as its standard input.
    ///
    /// ```
    /// # let place = tempfile::tempdir()?; std::env::set_current_dir(&place)?;
    /// bivouac::resumable(["b\na\n"])
    ///     .map(|text, cx| cx.filter(["sort"], text.as_bytes()))
    ///     .write_to("sorted")
    ///     .main();
    /// assert_eq!(std::fs::read_to_string("sorted")?, "a\nb\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn filter<W: AsRef<OsStr>>(
        &self,
        words: impl IntoIterator<Item = W>,
        input: &[u8],
    ) -> Result<Vec<u8>, TaskError> {
        let (words, how, out, said) = self.attempted(words, input)?;
        let why = match how {
            How::Code(0) => return Ok(out),
            How::Code(code) => format!("ended with {code}"),
            How::Signal(number) => format!("was ended by signal {number}"),
            How::TimedOut | How::WantedTerminal => "wanted to use the terminal".to_string(),
        };
        let last = said.lines().last().map(|line| format!(": {line}")).unwrap_or_default();
        Err(TaskError::Failed(format!("{words} {why}{last}")))
    }

    /// As [`output`](Context::output), for a command whose exit code is a result: how it ended, and what it printed.
    ///
    /// # Errors
    ///
    /// A command that a scheduler has ended together with this run has no result: then the task is
    /// [cancelled](TaskError::Cancelled). To see that, this waits half a second before a failure counts that may come
    /// from a signal, and its worker waits with it. Otherwise as [`call`](Context::call).
    ///
    /// # Examples
    ///
    /// ```
    /// use bivouac::process::How;
    /// # let place = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&place)?;
    /// # std::fs::write("a", "rose")?;
    /// # std::fs::write("b", "tulip")?;
    ///
    /// bivouac::resumable(["a", "b"])
    ///     .map(|path, cx| match cx.attempt(["grep", "-q", "rose", path])? {
    ///         (How::Code(0), _) => Ok(format!("{path} has one\n")),
    ///         (How::Code(1), _) => Ok(String::new()), // that is no failure
    ///         (other, _) => Err(format!("grep: {other:?}").into()),
    ///     })
    ///     .write_to("found")
    ///     .main();
    /// assert_eq!(std::fs::read_to_string("found")?, "a has one\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn attempt<W: AsRef<OsStr>>(
        &self,
        words: impl IntoIterator<Item = W>,
    ) -> Result<(How, Vec<u8>), TaskError> {
        self.attempted(words, &[]).map(|(_, how, out, _)| (how, out))
    }

    /// The command line, how it ended, what it printed and what it said.
    fn attempted<W: AsRef<OsStr>>(
        &self,
        words: impl IntoIterator<Item = W>,
        input: &[u8],
    ) -> Result<(String, How, Vec<u8>, String), TaskError> {
        let command = Command::new(words).ok_or("a command needs a program, and has no zero bytes")?;
        let feed = if input.is_empty() { Feed::Nothing } else { Feed::Bytes(input) };
        let call = Call { feed, ..Call::of(&command) };
        let (mut out, mut said) = (Vec::new(), Vec::new());
        let mut take = |mut piece: Vec<u8>| {
            out.append(&mut piece);
            Ok(())
        };
        let finished = self.call(&call, &mut take, &mut |bytes| said.extend_from_slice(bytes))?;
        let said = String::from_utf8_lossy(&said).into_owned();
        said.lines().for_each(|line| self.say(line.to_string()));
        if finished.told_to_end {
            return Err(TaskError::Cancelled);
        }
        if finished.how != How::Code(0) {
            if finished.may_be_of_a_stop {
                self.sleep(HELD)?;
            }
            if self.may_be_stopping() {
                return Err(TaskError::Cancelled);
            }
        }
        Ok((command.to_string(), finished.how, out, said))
    }

    /// Reports that a scheduler ended this command, which seemed to end by itself. So processes that it left must end.
    #[doc(hidden)]
    pub fn was_ended(&self, finished: &Finished) {
        self.commands.was_ended(finished);
    }

    /// How often the job was paused so far.
    pub(crate) fn pauses(&self) -> u32 {
        self.shared.gate.closings()
    }

    /// Holds the end of a stream; see [`ListContext::end_counts`](crate::ListContext::end_counts).
    pub(crate) fn end_counts(&self, held: Duration) -> std::io::Result<bool> {
        self.shared.stop.end_counts(held)
    }

    /// Whether a stop has begun, or may be on its way from the kernel: a signal whose meaning is not known yet.
    pub(crate) fn may_be_stopping(&self) -> bool {
        self.shared.gate.is_draining() || self.is_cancelled() || self.shared.stop.may_be_stopping()
    }

    /// Whether the task must give up: for loops that cannot return in the middle.
    pub fn is_cancelled(&self) -> bool {
        self.shared.gate.is_cancelled()
    }

    /// Reports that `bytes` more of the input are done. Sleeps to keep to the rate limit, and is a
    /// [yield point](Context::yield_point).
    pub fn advance(&self, bytes: u64) -> Result<(), TaskError> {
        self.count(bytes);
        match self.take_from_the_rate(bytes) {
            Some(debt) => self.sleep_off(debt),
            None => self.yield_point(),
        }
    }

    /// The part of [`advance`](Context::advance) that feeds progress.
    pub(crate) fn count(&self, bytes: u64) {
        self.advanced.fetch_add(bytes, Ordering::Relaxed);
        self.shared.advanced.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Takes bytes from the rate limit. Returns the debt if there were not enough.
    pub(crate) fn take_from_the_rate(&self, bytes: u64) -> Option<Debt> {
        let rate = self.shared.throttle.rate();
        let left = self.shared.throttle.owed_after(bytes)?;
        Some(Debt { rate, until: Instant::now() + left, left })
    }

    /// Whether the debt must still be waited for. A new limit cancels debts to the old one.
    pub(crate) fn is_owed(&self, debt: &Debt) -> bool {
        self.shared.throttle.rate() == debt.rate && Instant::now() < debt.until
    }

    /// Waits; time in which the job is paused comes on top of it.
    pub(crate) fn sleep_off(&self, debt: Debt) -> Result<(), TaskError> {
        let mut left = debt.left;
        while !left.is_zero() && self.shared.throttle.rate() == debt.rate {
            let slice = left.min(LOOK_UP);
            self.sleep(slice)?;
            left -= slice;
        }
        Ok(())
    }

    /// Hands over a piece of this task's output, at once: bytes or text, owned or borrowed. The output has pieces as
    /// they were emitted, in the order of the tasks. This may wait for the disk. It returns [`TaskError::Cancelled`]
    /// when the run takes no more output.
    pub fn emit(&self, piece: impl Into<Vec<u8>>) -> Result<(), TaskError> {
        self.flush()?;
        self.hand_over(piece.into())
    }

    /// Adds bytes to this task's output. Small writes are gathered, and handed over when there are enough, before the
    /// next [`emit`](Context::emit), and at the end of the task. Fails as `emit` does.
    pub fn write(&self, bytes: &[u8]) -> Result<(), TaskError> {
        let full = {
            let mut written = lock(&self.written);
            written.extend_from_slice(bytes);
            (written.len() >= GATHERED).then(|| std::mem::take(&mut *written))
        };
        full.map_or(Ok(()), |full| self.hand_over(full))
    }

    /// Makes `write!(cx, …)` and `writeln!(cx, …)` work, as [`write`](Context::write).
    ///
    /// ```
    /// use bivouac::{Context, TaskError};
    ///
    /// fn square(n: u64, cx: &Context<'_>) -> Result<(), TaskError> {
    ///     writeln!(cx, "{n} {}", n * n)
    /// }
    /// ```
    pub fn write_fmt(&self, text: fmt::Arguments<'_>) -> Result<(), TaskError> {
        self.write(text.to_string().as_bytes())
    }

    pub(crate) fn flush(&self) -> Result<(), TaskError> {
        let written = std::mem::take(&mut *lock(&self.written));
        if written.is_empty() { Ok(()) } else { self.hand_over(written) }
    }

    fn hand_over(&self, piece: Vec<u8>) -> Result<(), TaskError> {
        if (self.emit)(piece) { Ok(()) } else { Err(TaskError::Cancelled) }
    }

    /// Writes into the journal of the state ([`crate::journal`]) that an attempt of this task begins or has
    /// ended. The line is durable with the next checkpoint. (The engine writes that a task is settled.)
    ///
    /// ```
    /// use bivouac::{Location, journal::Line};
    ///
    /// // `Line` has an example with an end.
    /// let begun = |task| Line::Began { task, attempt: 1, at_ms: 0, note: "the first".to_string(), of_task: [0; 8] };
    /// let work = bivouac::resumable(0..2_u64).map(move |_, cx| Ok(cx.journal(begun(cx.task()))));
    /// assert_eq!(work.state(Location::Nowhere).main(), bivouac::Exit::Code(0));
    /// ```
    pub fn journal(&self, mut line: Line) {
        // The journal is compared with the record, which has the numbers of the engine.
        match &mut line {
            Line::Began { task, .. } | Line::Ended(End { task, .. }) => *task = self.own,
            Line::Of { .. } | Line::Settled { .. } | Line::Listed { .. } | Line::Delivered { .. } => {}
        }
        if let Line::Began { note, of_task, .. } = &mut line {
            *of_task = self.of_task;
            if let Some(running) = lock(&self.shared.running).get_mut(&self.own) {
                running.note.clone_from(note);
            }
        }
        (self.journal)(line);
    }

    /// Takes back everything that this task has emitted, before another attempt. Fails as [`emit`](Context::emit) does.
    ///
    /// ```
    /// # let place = tempfile::tempdir()?; std::env::set_current_dir(&place)?;
    /// bivouac::resumable(0..1_u64)
    ///     .map(|_, cx| {
    ///         for attempt in 1..3 {
    ///             cx.forget_output()?;
    ///             writeln!(cx, "attempt {attempt}")?;
    ///         }
    ///         Ok(())
    ///     })
    ///     .write_to("out")
    ///     .main();
    /// assert_eq!(std::fs::read_to_string("out")?, "attempt 2\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn forget_output(&self) -> Result<(), TaskError> {
        lock(&self.written).clear();
        if (self.forget)() { Ok(()) } else { Err(TaskError::Cancelled) }
    }

    /// With rayon inside the task, several threads may park; the task counts once.
    fn announce_parking(&self) {
        if !self.parked.swap(true, Ordering::Relaxed) {
            self.shared.moving.fetch_sub(1, Ordering::Relaxed);
            (self.remark)(Remark::Parked);
        }
    }

    fn announce_moving(&self) {
        if self.parked.load(Ordering::Relaxed) && self.parked.swap(false, Ordering::Relaxed) {
            self.shared.moving.fetch_add(1, Ordering::Relaxed);
        }
    }
}
