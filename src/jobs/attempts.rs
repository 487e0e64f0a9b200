//! Running a command until it has done its task: which commands are done, which are tried again, and which were only
//! interrupted.
//!
//! **A failure counts only after half a second.** A scheduler that ends a job sends its signal to every process at once.
//! The commands die of it a few milliseconds before bivouac has decided to stop. If those deaths counted as failures, the
//! continued run would leave out exactly the tasks that were at work. So the verdict is held, and if a stop has come by
//! then, the task was interrupted and runs again. Only the verdict is held, not the slot: the worker runs the next command
//! ([`TaskError::Held`]), and the task waits here ([`Waiting`]). So does a task that is tried again.
//!
//! **A failure that cannot come from a stop counts at once**, or the last `false` of a list would cost half a second. A
//! stop makes a command end with a code in these ways only, and each can be ruled out ([`Finished::may_be_of_a_stop`]):
//!
//! - The command gets the signal itself, and makes a code of it. The kernel tells, until the process is reaped, whether it
//!   could (`src/process/traces.rs` has the details, and the cases that are left).
//! - A child of the command gets the signal, and the command reports that. The kernel tells whether it had a child.
//! - The command loses its input or the reader of its output. We are both, except for output that passes through; and a
//!   command that has left input unread is held.
//! - The signal has reached bivouac too, and is not known yet (`src/signals/on_its_way.rs`).
//!
//! **A 0 can be doubtful.** A command may make a 0 of the signal (`trap "exit 0" TERM`). It looks done, except for two
//! traces: unread input, which `head -1` leaves too; and a handler for SIGTERM, which `sort` has as well, to remove its
//! files. Python and Perl take their handlers back at the end, and count as having one. A command with one of these traces
//! is held too, for a shorter time, and counts as done if no stop comes.

use crate::jobs::joblog::Joblog;
use crate::jobs::text::{short, visible};
use crate::jobs::wording::words;
use bivouac::error::{Advice, Kind};
use bivouac::journal::{End, Entry, Line, Measured, Outcome};
use bivouac::process::{Call, Command, Feed, Finished, How, Usage};
use bivouac::{Context, Presumed, TaskError};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long a failure that may come from a stop is held before it counts.
const HELD: Duration = Duration::from_millis(500);

/// How long a doubtful 0 is held. Some filters always end so, and pay this for each chunk.
const HELD_BRIEFLY: Duration = Duration::from_millis(160);

/// How many of the last lines of a failed command the journal keeps.
const SAID: usize = 3;

/// The first wait before a command is tried again; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// No wait is longer.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// When a command is done, and how it runs.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// Exit codes that mean "done".
    pub(crate) ok_codes: Vec<i32>,
    /// How often a command that failed is tried again.
    pub(crate) retries: u32,
    /// The wait before the first retry; each further one is twice as long. `None`: the usual one.
    pub(crate) retry_delay: Option<Duration>,
    /// The exit codes after which a command is tried again; `None`: all that mean a failure.
    pub(crate) retry_codes: Option<Vec<i32>>,
    /// Where a line is written for each command that has ended.
    pub(crate) joblog: Option<Joblog>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) kill_after: Duration,
    /// Whether a command that was told to end and ends well has done its task: it saves its own work.
    pub(crate) saves_its_work: bool,
    /// Whether waits have a random length, so that a thousand commands that failed together do not come back together.
    pub(crate) jitter: bool,
    /// Whether the output of commands goes where ours goes, mixed as it comes.
    pub(crate) passes_through: bool,
    /// Whether their output is handed over as it comes.
    pub(crate) at_once: bool,
    /// The advice if a command is too long to be started.
    pub(crate) if_too_long: Option<Advice>,
}

/// Takes the output and the messages of a command.
pub(crate) trait Reception {
    /// An attempt begins; nothing of the one before counts any more.
    fn begin(&mut self) -> Result<(), TaskError> {
        Ok(())
    }

    fn out(&mut self, piece: Vec<u8>) -> Result<(), TaskError>;

    fn err(&mut self, bytes: &[u8]);

    /// The command has ended, and nothing more comes.
    fn rest(&mut self) -> Result<Rest, TaskError>;
}

/// Files with the output of a command.
pub(crate) trait Keep: fmt::Debug + Send {
    /// Gives the files their names or removes them, now that it is known how the attempt ended.
    fn end(self: Box<Self>, outcome: Outcome) -> bivouac::Result<()>;
}

#[derive(Debug, Default)]
pub(crate) struct Rest {
    /// Files that get their names when its result is known.
    pub(crate) kept: Option<Box<dyn Keep>>,
    /// Its last messages, for the message of a failure.
    pub(crate) last_words: String,
}

#[derive(Debug)]
enum Verdict {
    Done,
    Interrupted,
    Failed(String),
}

/// A command that has ended, and its result if no stop comes.
#[derive(Debug)]
pub(crate) struct Suspect {
    attempt: u32,
    note: String,
    /// The command as the job log shows it.
    shown: String,
    /// When it began, in milliseconds since 1970.
    began_ms: u64,
    /// Its slot, from 1.
    slot: u32,
    /// How long it stood still, in milliseconds.
    stood_ms: u64,
    finished: Finished,
    verdict: Verdict,
    /// Whether it is not tried again if it has failed.
    is_last: bool,
    rest: Rest,
}

pub(crate) enum Then {
    Over(Result<(), TaskError>),
    Hold(Box<Suspect>, Duration),
    /// The attempt with this number follows, after this time.
    Retry(u32, Duration),
}

impl Suspect {
    pub(crate) fn note(&self) -> &str {
        &self.note
    }
}

impl Then {
    /// Whether the task does not need its input any more.
    pub(crate) fn is_last(&self) -> bool {
        match self {
            Then::Over(_) => true,
            Then::Hold(suspect, _) => suspect.is_last || matches!(suspect.verdict, Verdict::Done),
            Then::Retry(..) => false,
        }
    }

    pub(crate) fn may_be_done(&self) -> bool {
        match self {
            Then::Over(result) => result.is_ok(),
            Then::Hold(suspect, _) => matches!(suspect.verdict, Verdict::Done),
            Then::Retry(..) => false,
        }
    }
}

/// Tasks that wait, by number, with their input.
#[derive(Debug)]
pub(crate) struct Waiting<W>(Mutex<BTreeMap<u64, (W, Stage)>>);

#[derive(Debug)]
enum Stage {
    Suspect(Box<Suspect>),
    Retry(u32),
}

impl<W> Default for Waiting<W> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<W> Waiting<W> {
    /// Tells the engine the next step of a task, and keeps its input.
    pub(crate) fn keep(&self, cx: &Context<'_>, work: W, then: Then) -> Result<(), TaskError> {
        let (stage, answer) = match then {
            Then::Over(result) => return result,
            Then::Hold(suspect, time) => {
                let presumed = match &suspect.verdict {
                    Verdict::Failed(_) if suspect.is_last => Presumed::Failed,
                    Verdict::Failed(_) => Presumed::Again,
                    Verdict::Done | Verdict::Interrupted => Presumed::Done,
                };
                (Stage::Suspect(suspect), TaskError::Held { time, presumed })
            }
            Then::Retry(attempt, time) => (Stage::Retry(attempt), TaskError::Again(time)),
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(cx.task(), (work, stage));
        Err(answer)
    }

    pub(crate) fn suspect(&self, cx: &Context<'_>) -> Result<(W, Box<Suspect>), TaskError> {
        match self.take(cx)? {
            (work, Stage::Suspect(suspect)) => Ok((work, suspect)),
            (_, Stage::Retry(_)) => Err(TaskError::Cancelled),
        }
    }

    /// The task that is to be tried again, and which attempt it is.
    pub(crate) fn retry(&self, cx: &Context<'_>) -> Result<(W, u32), TaskError> {
        match self.take(cx)? {
            (work, Stage::Retry(attempt)) => Ok((work, attempt)),
            (_, Stage::Suspect(_)) => Err(TaskError::Cancelled),
        }
    }

    fn take(&self, cx: &Context<'_>) -> Result<(W, Stage), TaskError> {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&cx.task());
        taken.ok_or(TaskError::Cancelled)
    }
}

impl Terms {
    /// Runs `command` once, with its two lines in the journal; `to` takes its output and messages. A known result is
    /// [`TaskError::Failed`] after the last attempt, with its end and its last words; other errors are those of
    /// [`Context::call`].
    pub(crate) fn run<'f>(
        &self,
        cx: &Context<'_>,
        command: &Command,
        feed: &Feed<'f>,
        (attempt, note, shown): (u32, &str, String),
        to: &mut dyn Reception,
    ) -> Then {
        if let Err(error) = to.begin() {
            return Then::Over(Err(error));
        }
        let began_ms = millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
        let (task, note) = (cx.task(), note.to_string());
        cx.journal(Line::Began { task, attempt, at_ms: began_ms, note: note.clone(), of_task: [0; 8] });
        let slot = cx.slot().map_or(0, |slot| slot as u32);
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
        // One reception takes both streams, and the two closures are never called at the same time.
        let to = RefCell::new(to);
        let called = cx.call(&call, &mut |piece| to.borrow_mut().out(piece), &mut |bytes| {
            to.borrow_mut().err(bytes);
        });
        let rest = to.into_inner().rest();
        let (finished, rest) = match (called, rest) {
            (Ok(finished), Ok(rest)) => (finished, rest),
            (called, rest) => {
                let outcome = called.as_ref().map_or_else(not_finished, |_| Outcome::Interrupted);
                let took = called.as_ref().map_or(began.elapsed(), |finished| finished.took);
                let usage = called.as_ref().map_or_else(|_| Usage::default(), |finished| finished.usage);
                let measured = Measured { slot, usage, ..Measured::default() };
                let ended = End { task, attempt, took_us: micros(took), outcome, measured };
                let logged = self.note_end(cx, ended, (&shown, began_ms));
                let kept = rest.and_then(|rest| Ok(rest.kept.map_or(Ok(()), |kept| kept.end(outcome))?));
                return Then::Over(self.advised(called).and(kept).and(logged));
            }
        };
        let (verdict, held) = self.judge(&finished);
        let is_last = attempt > self.retries || !self.is_retried_after(&finished);
        let stood_ms = millis(began.elapsed().saturating_sub(finished.took));
        let suspect =
            Suspect { attempt, note, shown, began_ms, slot, stood_ms, finished, verdict, is_last, rest };
        match held {
            Some(time) if !(cx.is_stopping() || cx.is_cancelled()) => Then::Hold(Box::new(suspect), time),
            Some(_) | None => self.settle(cx, suspect),
        }
    }

    /// The call itself fails for one reason: the command is too long to be started.
    fn advised(&self, called: Result<Finished, TaskError>) -> Result<Finished, TaskError> {
        match (called, &self.if_too_long) {
            (Err(TaskError::Failed(why)), Some(advice)) => {
                Err(TaskError::Failed(format!("{why}; {}", words(advice))))
            }
            (called, _) => called,
        }
    }

    /// The result, now that it is known whether a stop has come.
    pub(crate) fn settle(&self, cx: &Context<'_>, suspect: Suspect) -> Then {
        let Suspect { attempt, note, shown, began_ms, slot, stood_ms, finished, .. } = suspect;
        let Suspect { mut verdict, is_last, mut rest, .. } = suspect;
        let was_held = self.judge(&finished).1.is_some();
        if was_held && (cx.is_stopping() || cx.is_cancelled()) {
            verdict = Verdict::Interrupted;
            cx.was_ended(&finished);
        }
        let outcome = outcome(&finished, &verdict);
        let kept = rest.kept.take().map_or(Ok(()), |kept| kept.end(outcome));
        let took_us = micros(finished.took);
        let usage = finished.usage;
        let said = match &verdict {
            Verdict::Failed(_) => said(&rest.last_words),
            Verdict::Done | Verdict::Interrupted => String::new(),
        };
        let measured = Measured { slot, stood_ms, usage, said };
        let ended = End { task: cx.task(), attempt, took_us, outcome, measured };
        let logged = self.note_end(cx, ended, (&shown, began_ms));
        if let Err(error) = logged.and(kept.map_err(TaskError::from)) {
            return Then::Over(Err(error));
        }
        Then::Over(match verdict {
            Verdict::Done => Ok(()),
            Verdict::Interrupted => Err(TaskError::Cancelled),
            Verdict::Failed(why) if !is_last => match cx.forget_output() {
                Ok(()) => return self.retry(cx, attempt, &note, &why),
                Err(error) => Err(error),
            },
            Verdict::Failed(why) => Err(TaskError::Failed(format!("{why}{}", rest.last_words))),
        })
    }

    /// Writes into the journal that an attempt has ended, and into the log that was asked for.
    fn note_end(&self, cx: &Context<'_>, end: End, (shown, began_ms): (&str, u64)) -> Result<(), TaskError> {
        let of_entry = self.joblog.as_ref().map(|joblog| (joblog, end.clone()));
        cx.journal(Line::Ended(end));
        let Some((joblog, End { task, attempt, took_us, outcome, measured })) = of_entry else {
            return Ok(());
        };
        let entry = Entry { task, attempt, began_ms, took_us, outcome, note: String::new(), measured };
        Ok(joblog.append(&entry, shown)?)
    }

    fn is_retried_after(&self, finished: &Finished) -> bool {
        let is_one = |codes: &Vec<i32>| matches!(finished.how, How::Code(code) if codes.contains(&code));
        self.retry_codes.as_ref().is_none_or(is_one)
    }

    fn retry(&self, cx: &Context<'_>, attempt: u32, note: &str, why: &str) -> Then {
        let (first, longest) =
            self.retry_delay.map_or((FIRST_WAIT, LONGEST_WAIT), |time| (time, time.max(LONGEST_WAIT)));
        let wait = first.saturating_mul(1 << (attempt - 1).min(16)).min(longest);
        let time = if self.jitter && self.retry_delay.is_none() { some_of(wait) } else { wait };
        let left = self.retries + 1 - attempt;
        let note = visible(&short(note)).into_owned();
        cx.tell(format!("{note}: {why}; again in {time:.1?}, {left} left"));
        Then::Retry(attempt + 1, time)
    }

    /// The result if no stop comes, and for how long a stop would matter.
    fn judge(&self, finished: &Finished) -> (Verdict, Option<Duration>) {
        let why = match finished.how {
            How::Code(code) if self.ok_codes.contains(&code) => return self.judge_well_ended(finished),
            How::Code(code) => format!("ended with code {code}"),
            How::Signal(number) => match nix::sys::signal::Signal::try_from(number) {
                Ok(signal) => format!("ended by {signal}"),
                Err(_) => format!("ended by signal {number}"),
            },
            How::TimedOut => return (Verdict::Failed("took longer than --timeout".to_string()), None),
            How::WantedTerminal => {
                let why = "wanted the terminal, which a command in the background cannot use";
                return (Verdict::Failed(why.to_string()), None);
            }
        };
        match finished.told_to_end {
            true => (Verdict::Interrupted, None),
            false => (Verdict::Failed(why), finished.may_be_of_a_stop.then_some(HELD)),
        }
    }

    fn judge_well_ended(&self, finished: &Finished) -> (Verdict, Option<Duration>) {
        match finished.told_to_end {
            true if finished.left_input || !self.saves_its_work => (Verdict::Interrupted, None),
            false if finished.left_input || finished.may_have_handled_sigterm => {
                (Verdict::Done, Some(HELD_BRIEFLY))
            }
            true | false => (Verdict::Done, None),
        }
    }
}

/// The last words of a failure as the journal keeps them: the end counts, and a long line is cut.
fn said(last_words: &str) -> String {
    let lines: Vec<_> = last_words.lines().filter_map(|line| line.strip_prefix("  | ")).map(short).collect();
    let from = lines.len().saturating_sub(SAID);
    lines[from..].join("\n")
}

fn outcome(finished: &Finished, verdict: &Verdict) -> Outcome {
    match (verdict, finished.how) {
        (Verdict::Interrupted, _) => Outcome::Interrupted,
        (Verdict::Done, How::Code(code)) => Outcome::Done(code),
        (_, How::Code(code)) => Outcome::Code(code),
        (_, How::Signal(signal)) => Outcome::Signal(signal),
        (_, How::TimedOut) => Outcome::TimedOut,
        (_, How::WantedTerminal) => Outcome::WantedTerminal,
    }
}

/// The outcome of a call that failed, perhaps because the command could not be started.
fn not_finished(error: &TaskError) -> Outcome {
    let is_about_the_start = match error {
        TaskError::Cancelled | TaskError::Held { .. } | TaskError::Again(_) => false,
        TaskError::Failed(_) => true, // The call itself fails for one reason: too long to be started.
        TaskError::Fatal(error) => matches!(error.kind(), Kind::NoSuchCommand | Kind::CannotStart),
    };
    if is_about_the_start { Outcome::NotStarted } else { Outcome::Interrupted }
}

/// Between a half and all of it. The seed of the hasher of a map is random enough for that.
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
