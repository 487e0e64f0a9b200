//! Running a command until it has done its task: what counts as done, what is tried again, and what
//! was only interrupted.
//!
//! A scheduler that ends a job sends its signal to every process at once. The commands die of it a
//! few milliseconds before bivouac has decided to stop; if those deaths were recorded as failures, the
//! continued run would leave out exactly the tasks that were at work. So an ending that is not well is
//! held for half a second, and if a stop has come by then, it was an interruption: neither done nor
//! failed, and the task runs again.
//!
//! The same scheduler may meet a command that makes a 0 of its signal (`trap "exit 0" TERM`). It looks
//! like one that has done its work, but for two traces: input that it has left unread, which `head -1` leaves
//! too; and a handler for SIGTERM, which `sort` has as well, to remove its files. Whoever has left one of
//! them is held too, not as long, and counts as done if no stop comes.

use crate::cli::human::{short, visible};
use bivouac::error::Kind;
use bivouac::journal::{End, Line, Outcome};
use bivouac::process::{Call, Command, Feed, Finished, How};
use bivouac::{Context, TaskError};
use std::cell::RefCell;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long an ending that is not well is held before it counts.
const HELD: Duration = Duration::from_millis(500);

/// How long an ending is held that is well but doubtful. That is the usual way of some filters, and they
/// pay this for each chunk.
const HELD_BRIEFLY: Duration = Duration::from_millis(160);

/// How often somebody looks meanwhile.
const LOOK: Duration = Duration::from_millis(20);

/// The first wait before a command is tried again; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// No wait is longer.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What is demanded of a command.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// Exit codes that mean "done".
    pub(crate) ok_codes: Vec<i32>,
    /// How often a command that failed is tried again.
    pub(crate) retries: u32,
    pub(crate) timeout: Option<Duration>,
    pub(crate) kill_after: Duration,
    /// Whether a command that was told to end and ends well has done its task: it saves its own work.
    pub(crate) saves_its_work: bool,
    /// Whether waits before another attempt are of a random length, so that a thousand commands that
    /// failed together do not come back together.
    pub(crate) jitter: bool,
    /// Whether what commands print goes where ours goes, mixed as it comes.
    pub(crate) passes_through: bool,
    /// Whether what they print is wanted as it comes.
    pub(crate) at_once: bool,
}

/// What becomes of what a command prints and says.
pub(crate) trait Reception {
    /// An attempt begins; nothing of the one before counts any more.
    fn begin(&mut self) -> Result<(), TaskError> {
        Ok(())
    }

    /// It printed this.
    fn out(&mut self, piece: Vec<u8>) -> Result<(), TaskError>;

    /// It said this on its standard error.
    fn err(&mut self, bytes: &[u8]);

    /// The attempt has ended.
    fn end(&mut self, _outcome: Outcome) -> Result<(), TaskError> {
        Ok(())
    }

    /// What it said last, for the message of a failure.
    fn last_words(&self) -> String;
}

/// What came of one attempt.
enum Verdict {
    Done,
    Interrupted,
    Failed(String),
}

impl Terms {
    /// Runs `command` until it is done; `to` takes what it prints and says.
    ///
    /// # Errors
    ///
    /// [`TaskError::Failed`] after the last attempt, with how it ended and its last words; the others
    /// as [`Context::call`] has them.
    pub(crate) fn run<'f>(
        &self,
        cx: &Context<'_>,
        command: &Command,
        feed: &Feed<'f>,
        note: &str,
        to: &mut dyn Reception,
    ) -> Result<(), TaskError> {
        let mut wait = FIRST_WAIT;
        for attempt in 1.. {
            match self.attempt(cx, command, feed, (attempt, note), to)? {
                Verdict::Done => return Ok(()),
                Verdict::Interrupted => return Err(TaskError::Cancelled),
                Verdict::Failed(why) if attempt <= self.retries => {
                    cx.forget_output()?;
                    let left = self.retries + 1 - attempt;
                    let time = if self.jitter { some_of(wait) } else { wait };
                    let note = visible(&short(note)).into_owned();
                    cx.say(format!("{note}: {why}; tried again in {:.1} s, {left} left", time.as_secs_f32()));
                    cx.sleep(time)?;
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
                Verdict::Failed(why) => {
                    return Err(TaskError::Failed(format!("{why}{}", to.last_words())));
                }
            }
        }
        Err(TaskError::Cancelled)
    }

    /// Once, with its two lines in the journal.
    fn attempt<'f>(
        &self,
        cx: &Context<'_>,
        command: &Command,
        feed: &Feed<'f>,
        (attempt, note): (u32, &str),
        to: &mut dyn Reception,
    ) -> Result<Verdict, TaskError> {
        to.begin()?;
        cx.journal(Line::Began {
            task: cx.task(),
            attempt,
            at_ms: millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()),
            note: note.to_string(),
        });
        let began = Instant::now();
        let call = Call {
            command,
            feed: feed.clone(),
            timeout: self.timeout,
            kill_after: self.kill_after,
            passes_through: self.passes_through,
            at_once: self.at_once,
            output_counts: !self.saves_its_work,
        };
        // Both directions have one receiver, and are never called at the same time.
        let to = RefCell::new(to);
        let called = cx.call(&call, &mut |piece| to.borrow_mut().out(piece), &mut |bytes| {
            to.borrow_mut().err(bytes);
        });
        let to = to.into_inner();
        let verdict = match &called {
            Ok(finished) => self.judge(cx, finished),
            Err(error) => Err(error.clone()),
        };
        let outcome = match &called {
            Ok(finished) => outcome(finished, verdict.as_ref().ok()),
            Err(error) if is_about_the_start(error) => Outcome::NotStarted,
            Err(_) => Outcome::Interrupted,
        };
        let received = to.end(outcome);
        cx.journal(Line::Ended(End {
            task: cx.task(),
            attempt,
            took_us: micros(called.as_ref().map_or(began.elapsed(), |finished| finished.took)),
            outcome,
        }));
        let verdict = verdict?;
        received.map(|()| verdict)
    }

    fn judge(&self, cx: &Context<'_>, finished: &Finished) -> Result<Verdict, TaskError> {
        let why = match finished.how {
            How::Code(code) if self.ok_codes.contains(&code) => return self.judge_well_ended(cx, finished),
            How::Code(code) => format!("ended with code {code}"),
            How::Signal(number) => match nix::sys::signal::Signal::try_from(number) {
                Ok(signal) => format!("ended by {signal}"),
                Err(_) => format!("ended by signal {number}"),
            },
            How::TimedOut => return Ok(Verdict::Failed("took longer than --timeout".to_string())),
            How::WantedTerminal => {
                let why = "wanted to use the terminal, which a command in the background cannot";
                return Ok(Verdict::Failed(why.to_string()));
            }
        };
        if finished.told_to_end || stop_comes_within(cx, HELD)? {
            return Ok(Verdict::Interrupted);
        }
        Ok(Verdict::Failed(why))
    }

    fn judge_well_ended(&self, cx: &Context<'_>, finished: &Finished) -> Result<Verdict, TaskError> {
        let interrupted = match finished.told_to_end {
            true => finished.left_input || !self.saves_its_work,
            false if finished.left_input || finished.catches_sigterm => stop_comes_within(cx, HELD_BRIEFLY)?,
            false => false,
        };
        Ok(if interrupted { Verdict::Interrupted } else { Verdict::Done })
    }
}

/// What the journal says of an attempt.
fn outcome(finished: &Finished, verdict: Option<&Verdict>) -> Outcome {
    let Some(verdict) = verdict else { return Outcome::Interrupted };
    match (verdict, finished.how) {
        (Verdict::Interrupted, _) => Outcome::Interrupted,
        (Verdict::Done, How::Code(code)) => Outcome::Done(code),
        (_, How::Code(code)) => Outcome::Code(code),
        (_, How::Signal(signal)) => Outcome::Signal(signal),
        (_, How::TimedOut) => Outcome::TimedOut,
        (_, How::WantedTerminal) => Outcome::WantedTerminal,
    }
}

/// Whether a call came to nothing because there was nothing to run.
fn is_about_the_start(error: &TaskError) -> bool {
    match error {
        TaskError::Cancelled => false,
        TaskError::Failed(_) => true, // The call itself fails for one reason: too long to be started.
        TaskError::Fatal(error) => matches!(error.kind(), Kind::NoSuchCommand | Kind::CannotStart),
    }
}

/// Between a half and all of it. How the hasher of a map is seeded is random enough to part a crowd.
fn some_of(wait: Duration) -> Duration {
    let random = RandomState::new().hash_one(0);
    wait / 2 + wait.mul_f64((random >> 40) as f64 / f64::from(1 << 25))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Whether a stop has begun, or begins within the time that an ending is held.
fn stop_comes_within(cx: &Context<'_>, held: Duration) -> Result<bool, TaskError> {
    for _ in 0..held.as_millis() / LOOK.as_millis() {
        if cx.is_stopping() {
            return Ok(true);
        }
        cx.sleep(LOOK)?;
    }
    Ok(cx.is_stopping())
}
