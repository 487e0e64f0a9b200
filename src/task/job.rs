//! The [`Job`]: what a task does, and how the results of tasks become one output.

use crate::task::{Context, TaskError};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// A parallel job, described by four functions.
///
/// # What must hold
///
/// [`run`](Job::run) must be a function of its task: the same task gives the same pieces and the
/// same [`Partial`](Job::Partial), on any thread, at any time. A task may run again after a crash
/// or an interruption. `render`, `fold` and `finish` must be functions of their arguments.
///
/// ```
/// use bivouac::{Context, Error, Job, Over, Run, Span, TaskError, sink::FileSink};
/// use serde_json::{Value, json};
/// use std::ops::Range;
///
/// /// Squares, each with the sum of those before it.
/// struct Squares;
///
/// impl Job for Squares {
///     type Task = Span<Range<u64>>;
///     type Partial = u64;
///     type Total = u64;
///
///     fn name(&self) -> &str {
///         "squares"
///     }
///
///     fn fingerprint(&self) -> Value {
///         json!({ "power": 2 })
///     }
///
///     fn describe(&self, fingerprint: &Value) -> Option<String> {
///         Some(format!("to the power of {}", fingerprint["power"]))
///     }
///
///     fn run(&self, span: Span<Range<u64>>, cx: &Context<'_>) -> Result<u64, TaskError> {
///         let square = span.iter().map(|(_, n)| n * n).sum();
///         if square == 9 {
///             return Err("is not liked".into());
///         }
///         writeln!(cx, "{square}")?;
///         Ok(square)
///     }
///
///     // From here on in the order of the tasks.
///     fn accept(&self, before: &u64, square: &u64) -> bivouac::Result<()> {
///         before.checked_add(*square).map(drop).ok_or_else(|| Error::broken("the sum", "is too large"))
///     }
///
///     fn render(&self, before: &u64, piece: Vec<u8>) -> Vec<u8> {
///         [format!("{before} + ").into_bytes(), piece].concat()
///     }
///
///     fn fold(&self, sum: &mut u64, square: u64, _out: &mut Vec<u8>) {
///         *sum += square;
///     }
///
///     fn left_out(&self, _sum: &mut u64, out: &mut Vec<u8>) {
///         out.extend(b"left out\n");
///     }
///
///     fn finish(&self, sum: &mut u64, out: &mut Vec<u8>) {
///         out.extend(format!("= {sum}\n").into_bytes());
///     }
///
///     fn is_final(&self, _sum: &u64) -> bool {
///         true // a job that met a failing device would say `false`
///     }
///
///     fn verdict(&self, sum: &u64) -> u8 {
///         u8::from(*sum == 0)
///     }
/// }
/// # let place = tempfile::tempdir()?; std::env::set_current_dir(&place)?;
///
/// let run = Run::new(Squares, Over::new(0..5).together(1)).sink(FileSink::new("out")?).keep_going(true);
/// let (ending, sum) = run.run_to_total();
/// assert_eq!(sum, Some(21));
/// assert_eq!(std::fs::read_to_string("out")?, "0 + 0\n0 + 1\n1 + 4\nleft out\n5 + 16\n= 21\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Job: Send + Sync + 'static {
    /// One unit of work, as the source lists it.
    type Task: Send + 'static;
    /// The report of a task besides the bytes that it emits: counts, a checksum. It should be small.
    type Partial: Serialize + DeserializeOwned + Send + 'static;
    /// The sum over all tasks, in task order. It is part of every checkpoint, so it should not grow with the number of
    /// tasks.
    type Total: Serialize + DeserializeOwned + Default + Send + 'static;

    /// A short name, as in `count`. Part of the fingerprint.
    fn name(&self) -> &str;

    /// The options that affect the output, in a canonical form. A resumed run must have the same;
    /// options that change only speed or looks do not belong here.
    fn fingerprint(&self) -> Value;

    /// Describes what [`fingerprint`](Job::fingerprint) gave, for a person: a refusal prints this for both
    /// jobs. Without it, the refusal names the places in which the two differ.
    fn describe(&self, _fingerprint: &Value) -> Option<String> {
        None
    }

    /// Does one task. Runs on a worker; may use rayon inside (it runs in the job's own pool).
    ///
    /// Long tasks must call [`Context::yield_point`] every few milliseconds: there a pause holds them, and
    /// they learn of a cancellation. [`Context::emit`] hands over output.
    ///
    /// # Errors
    ///
    /// See [`TaskError`]. A panic is caught and counts as [`TaskError::Failed`].
    fn run(&self, task: Self::Task, cx: &Context<'_>) -> std::result::Result<Self::Partial, TaskError>;

    /// The result of a task whose verdict [was held](TaskError::Held), or its error, as of [`run`](Job::run). Asked when
    /// its time is over, or when a stop begins ([`Context::is_stopping`]). Runs on a thread of its own, and must take no
    /// time.
    fn settle(&self, _cx: &Context<'_>) -> std::result::Result<Self::Partial, TaskError> {
        Err(TaskError::Cancelled)
    }

    /// Another attempt at a task that [asked for one](TaskError::Again). Runs on a worker, as [`run`](Job::run) does.
    ///
    /// ```
    /// use bivouac::{Context, Exit, Job, Over, Presumed, Run, Span, TaskError, serde_json::Value};
    /// use std::{ops::Range, time::Duration};
    ///
    /// /// Its first attempt fails. Its second one counts only if no stop comes within a moment.
    /// struct Second;
    ///
    /// impl Job for Second {
    /// #     type Task = Span<Range<u64>>;
    /// #     type Partial = ();
    /// #     type Total = ();
    /// #     fn name(&self) -> &str { "second" }
    /// #     fn fingerprint(&self) -> Value { Value::Null }
    ///     fn run(&self, _: Span<Range<u64>>, _: &Context<'_>) -> Result<(), TaskError> {
    ///         Err(TaskError::Again(Duration::from_millis(1)))
    ///     }
    ///
    ///     fn again(&self, _: &Context<'_>) -> Result<(), TaskError> {
    ///         Err(TaskError::Held { time: Duration::from_millis(1), presumed: Presumed::Done })
    ///     }
    ///
    ///     fn settle(&self, _: &Context<'_>) -> Result<(), TaskError> {
    ///         Ok(())
    ///     }
    /// }
    /// assert_eq!(Run::new(Second, Over::new(0..3)).run().exit(), Exit::Code(0));
    /// ```
    fn again(&self, _cx: &Context<'_>) -> std::result::Result<Self::Partial, TaskError> {
        Err(TaskError::Cancelled)
    }

    /// Checks that the report of a task agrees with the total of all tasks *before* it; an error ends the job. Runs on
    /// the commit thread, in task order, before the output of the task counts.
    fn accept(&self, _before: &Self::Total, _partial: &Self::Partial) -> crate::Result<()> {
        Ok(())
    }

    /// Gives a piece its final form, on the commit thread and in task order, with the total of all tasks
    /// *before* this one: a relative line number becomes an absolute one. By default it stays as it is.
    fn render(&self, _before: &Self::Total, piece: Vec<u8>) -> Vec<u8> {
        piece
    }

    /// Adds what a task reported to the total, in task order. Bytes in `out` follow the task's own pieces.
    ///
    /// A job whose tasks report nothing (`()`) need not say how. Without it, a job with another
    /// [`Partial`](Job::Partial) does not compile, since reports would be thrown away:
    ///
    /// ```compile_fail
    /// # use bivouac::{Context, Ending, Job, Run, TaskError, serde_json::Value};
    /// struct Forgetful;
    /// impl Job for Forgetful {
    ///     type Task = u64;
    ///     type Partial = u64; // and no `fold`
    ///     type Total = u64;
    ///     fn name(&self) -> &str { "forgetful" }
    ///     fn fingerprint(&self) -> Value { Value::Null }
    ///     fn run(&self, task: u64, _: &Context<'_>) -> Result<u64, TaskError> { Ok(task) }
    /// }
    /// bivouac::Job::fold(&Forgetful, &mut 0, 1, &mut Vec::new());
    /// ```
    fn fold(&self, _total: &mut Self::Total, _partial: Self::Partial, _out: &mut Vec<u8>) {
        const { assert!(size_of::<Self::Partial>() == 0, "a job whose tasks report something must fold it") }
    }

    /// In place of [`fold`](Job::fold), for a task that failed and is left out
    /// ([`Run::keep_going`](crate::Run::keep_going)). By default nothing happens.
    fn left_out(&self, _total: &mut Self::Total, _out: &mut Vec<u8>) {}

    /// The number by which a person and the tasks themselves know a task. The engine counts the tasks that it
    /// runs; if these are a part of another job ([`Shard`](crate::Shard)), they have other numbers in that job.
    #[doc(hidden)]
    fn number_of(&self, task: u64) -> u64 {
        task
    }

    /// Told the total on record before the source is opened for a job that is continued
    /// ([`Source::resume`](crate::Source::resume)), for a job whose list of tasks depends on what was done.
    #[doc(hidden)]
    fn recalls(&self, _total: &Self::Total) {}

    /// After the last task: appends what belongs at the end of the output.
    fn finish(&self, _total: &mut Self::Total, _out: &mut Vec<u8>) {}

    /// Whether the result depends on the time of the run. Such a job is never "already finished".
    #[doc(hidden)]
    fn is_about_now(&self) -> bool {
        false
    }

    /// Whether the result of a finished job stands. It does not if an input could not be read because of a
    /// transient error; then the job is never "already finished" either.
    fn is_final(&self, _total: &Self::Total) -> bool {
        true
    }

    /// The exit code of a finished job, from its total. 0 unless the job says otherwise.
    fn verdict(&self, _total: &Self::Total) -> u8 {
        crate::ending::FINISHED
    }
}
