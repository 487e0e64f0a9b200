//! The builder of a loop: its items, the closure for each item, and the place of the results.

use super::indexed::{Indexed, Over};
use super::jobs::{Fold, Identity, Map, Results};
use super::outcome::{self, Outcome};
use super::over::{ByFile, ByItem, Feed};
use super::progress::sentence;
use crate::durable::store::Location;
use crate::ending::{Ending, Exit};
use crate::engine::options::Options;
use crate::engine::run::{Handle, Run};
use crate::error::{Error, Result};
use crate::input::{Chunks, Tree};
use crate::signals::Masked;
use crate::signals::policy::Request;
use crate::sink::{FileSink, StreamSink, without_a_place};
use crate::task::observer::{Notice, Observer, Silent};
use crate::task::{Context, Sink, Source, TaskError};
use crossbeam_channel::{Receiver, Sender, unbounded};
use serde::{Serialize, de::DeserializeOwned};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The items of a loop. The next call is [`map`](Resumable::map).
///
/// ```
/// use bivouac::Resumable;
/// # let place = tempfile::tempdir()?; std::env::set_current_dir(&place)?;
/// # std::fs::create_dir("tree")?;
/// # std::fs::write("tree/a", "one\ntwo\n")?;
/// # std::fs::write("tree/log", "")?;
///
/// let numbers: Resumable<_, _> = bivouac::resumable(0..100_u64).together(10); // of ten a task
/// numbers.map(|n, _| Ok(format!("{n} "))).write_to("numbers").main();
/// bivouac::lines("tree/a").block(4).map(|chunk, cx| Ok(chunk.text(cx)?.replace('\n', ";"))).write_to("cut").main();
/// assert_eq!(std::fs::read_to_string("cut")?, "one;two;");
/// let files = bivouac::files("tree").without(&["tree/log".into()]);
/// files.map(|file, _| Ok(file.path().display().to_string())).write_to("tree/log").main();
/// assert_eq!(std::fs::read_to_string("tree/log")?, "tree/a");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Resumable<S, D> {
    source: S,
    feed: PhantomData<fn(D)>,
}

impl<S: Source, D: Feed<S::Task>> Resumable<S, D> {
    pub(super) fn new(source: S) -> Self {
        Self { source, feed: PhantomData }
    }

    /// Calls `work` with each item, on any thread and in any order. `work` must be a function of the item: the same item
    /// gives the same result, since after an interruption a few items are done once more. The results are written, in the
    /// order of the items, or go into a [`fold`](Loop::fold).
    ///
    /// A closure that works longer than some milliseconds calls [`Context::yield_point`] now and then. `?` takes
    /// any error; one ends the loop, and the next run tries that item again. A panic counts as an error.
    pub fn map<F, R>(self, work: F) -> Loop<S, Map<D, S::Task, F, R>>
    where
        F: Fn(D::Item, &Context<'_>) -> std::result::Result<R, TaskError> + Send + Sync + 'static,
    {
        let job = Map { identity: Identity::default(), work, of: PhantomData };
        let (options, observer, requests) = (Options::default(), None, unbounded());
        let settings = Settings { to: Destination::Nowhere, state: None, options, observer, requests };
        Loop { source: self.source, job, settings }
    }
}

impl<I: Indexed> Resumable<Over<I>, ByItem> {
    /// Makes one task of this many items ([`Over::together`]): for items that take very different times.
    #[must_use]
    pub fn together(self, items: u64) -> Self {
        Self::new(self.source.together(items))
    }
}

impl Resumable<Chunks, ByFile> {
    /// Cuts chunks of about this many bytes ([`Chunks::block`]).
    #[must_use]
    pub fn block(self, bytes: u64) -> Self {
        Self::new(self.source.block(Some(bytes)))
    }
}

impl Resumable<Tree, ByFile> {
    /// Leaves out paths that the program itself writes, beside the output of the loop ([`Tree::without`]).
    #[must_use]
    pub fn without(self, own: &[PathBuf]) -> Self {
        Self::new(self.source.without(own))
    }
}

/// A loop: its items and its closure. The last call is [`main`](Loop::main) or [`run`](Loop::run).
///
/// ```
/// use bivouac::{Exit, Loop, Over, Results, Silent, Span};
/// use std::{ops::Range, time::Duration};
/// # let place = tempfile::tempdir()?; std::env::set_current_dir(&place)?;
///
/// /// The sum of some powers.
/// fn powers(exponent: u32) -> Loop<Over<Range<u64>>, impl Results<Task = Span<Range<u64>>, Result = u64>> {
///     bivouac::resumable(0..4_u64)
///         .map(move |n, _| Ok(n.pow(exponent)))
///         .fold(|| 0, |sum: &mut u64, n| *sum += n)
///         .at_end(|sum| format!("the sum is {sum}\n"))
///         .named("powers", exponent) // what the closure has captured: with another one the state is refused
/// }
///
/// let squares = powers(2)
///     .write_to("sum.txt")
///     .state("sum.state") // else `sum.txt.bivouac`
///     .jobs(2)
///     .grace(Duration::from_secs(3))
///     .checkpoint_every(Duration::from_millis(500))
///     .progress(Silent);
/// assert_eq!(squares.main(), Exit::Code(0));
/// assert_eq!(std::fs::read_to_string("sum.txt")?, "the sum is 14\n");
///
/// let exit = bivouac::main(|signals| -> bivouac::Result<()> {
///     let cubes = powers(3).write_to_stdout().state("sum.state").fresh(true).run(signals)?;
///     assert_eq!(cubes.finished()?, 36);
///     Ok(())
/// });
/// assert_eq!(exit, Exit::Code(0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Loop<S, J> {
    source: S,
    job: J,
    settings: Settings,
}

struct Settings {
    to: Destination,
    state: Option<Location>,
    options: Options,
    observer: Option<Box<dyn Observer>>,
    requests: (Sender<Request>, Receiver<Request>),
}

#[derive(Debug)]
enum Destination {
    Nowhere,
    File(PathBuf),
    StandardOutput,
}

shown_by! { Loop<S, J>, settings.to }

impl<S, D, T, F, R> Loop<S, Map<D, T, F, R>> {
    /// Takes what the closure returns into a total, in the order of the items. The total is part of every
    /// checkpoint, so it should not grow with the number of items; [`run`](Loop::run) hands it back.
    pub fn fold<A>(
        self,
        init: impl Fn() -> A + Send + Sync + 'static,
        merge: impl Fn(&mut A, R) + Send + Sync + 'static,
    ) -> Loop<S, Fold<D, T, F, R, A>>
    where
        R: Serialize + DeserializeOwned,
        A: Serialize + DeserializeOwned,
    {
        let Self { source, job: map, settings } = self;
        let job = Fold { map, init: Box::new(init), merge: Box::new(merge), at_end: None };
        Loop { source, job, settings }
    }
}

/// The options as JSON. A value that has no form in JSON stands there as its error.
fn options_of(options: impl Serialize) -> serde_json::Value {
    serde_json::to_value(options).unwrap_or_else(|e| serde_json::Value::String(e.to_string()))
}

impl<S, D, T, F, R, A> Loop<S, Fold<D, T, F, R, A>> {
    setters! {
        /// Writes this after everything else, when the loop has finished.
        pub fn at_end(text: impl Fn(&A) -> String + Send + Sync + 'static) => job.at_end = Some(Box::new(text));
    }
}

impl<S, J> Loop<S, J> {
    setters! {
        /// Writes the output here, in the order of the items. It grows in `PATH.part` and gets its name when it is
        /// complete. The state is in `PATH.bivouac`, unless [`state`](Loop::state) says otherwise. A file that is also an
        /// input is refused.
        ///
        /// ```
        /// # let place = tempfile::tempdir()?; std::env::set_current_dir(&place)?;
        /// std::fs::write("poem.txt", "a line\n")?;
        /// let loud = bivouac::lines("poem.txt").map(|chunk, cx| Ok(chunk.text(cx)?.to_uppercase()));
        /// let refused = loud.write_to("poem.txt").into_run().err().expect("it would replace its input");
        /// assert_eq!(refused.to_string(), "poem.txt: is an input, and the output poem.txt is the same file\n  name another output");
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        pub fn write_to(path: impl Into<PathBuf>) => settings.to = Destination::File(path.into());

        /// Writes the output to standard output, in the order of the items.
        pub fn write_to_stdout() => settings.to = Destination::StandardOutput;

        /// Keeps the state in this directory. Without it, and without [`write_to`](Loop::write_to), a loop is refused,
        /// because it could not be continued; [`Location::Nowhere`] says that this is meant.
        pub fn state(at: impl Into<Location>) => settings.state = Some(at.into());

        /// The observer of the loop: a bar, a log ([`crate::progress`]), or an [`Observer`] of your own.
        pub fn progress(observer: impl Observer + 'static) => settings.observer = Some(Box::new(observer));

        /// How many items are worked on at the same time. Default: one for each core that the process may use.
        pub fn jobs(jobs: usize) => settings.options.jobs = jobs.max(1);

        /// How often a checkpoint is taken. Default: 1 s.
        pub fn checkpoint_every(time: Duration) => settings.options.checkpoint_every = time;

        /// How long items at work may go on after a stop. Default: 5 s.
        pub fn grace(time: Duration) => settings.options.grace = Some(time);

        /// Whether to discard the state of an earlier run.
        pub fn fresh(fresh: bool) => settings.options.fresh = fresh;

        /// Ends the commands of the closure ([`Context::output`], [`Context::call`]) if this process is killed. A second
        /// process does that, which is this program once more. So nothing may come before [`main`](Loop::main), or before
        /// the [`main`](crate::main) around it.
        ///
        /// ```no_run
        /// use bivouac::prelude::*;
        ///
        /// fn main() -> Exit {
        ///     resumable(["1.wav", "2.wav"])
        ///         .map(|path, cx| cx.output(["soxi", "-D", path]))
        ///         .write_to("lengths.txt")
        ///         .watch_commands()
        ///         .main()
        /// }
        /// ```
        pub fn watch_commands() => settings.options.watch_children = true;
    }

    /// To ask the loop for something while it runs: a stop, a pause, a checkpoint.
    ///
    /// ```
    /// use bivouac::{Exit, Location};
    ///
    /// let nothing = bivouac::resumable(0..9_u64).map(|_, _| Ok(())).state(Location::Nowhere);
    /// nothing.handle().stop();
    /// assert_eq!(nothing.main(), Exit::Code(75));
    /// ```
    pub fn handle(&self) -> Handle {
        Handle::of(&self.settings.requests.0)
    }
}

impl<S: Source<Task = J::Task>, J: Results> Loop<S, J> {
    /// A name for the loop, and options that change its result: whatever the closure has captured. A state that
    /// was made with others is refused, and not continued.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>, options: impl Serialize) -> Self {
        self.job.identify(name.into(), options_of(options));
        self
    }

    /// The [`Run`] below: for settings that are not offered here, and endings in full. Fails if the output cannot be one, or
    /// if there is neither an output file nor a state. (With [`Run::keep_going`] an item that fails takes the others of
    /// its task with it: see [`together`](Resumable::together).)
    pub fn into_run(self) -> Result<Run<J, S>> {
        let location = self.location();
        let Self { job, mut source, settings } = self;
        let Settings { to, mut options, observer, requests, .. } = settings;
        let sink: Box<dyn Sink> = match &to {
            Destination::File(path) => {
                let sink = FileSink::new(path)?;
                source.files().iter().try_for_each(|input| sink.refuse_if_input(input))?;
                Box::new(sink)
            }
            Destination::StandardOutput => Box::new(StreamSink::stdout()?),
            Destination::Nowhere => Box::new(NoOutput),
        };
        let mut own = match &to {
            Destination::File(path) => vec![path.clone(), beside(path, ".part")],
            Destination::Nowhere | Destination::StandardOutput => Vec::new(),
        };
        options.location = location.ok_or_else(|| {
            Error::usage("the loop", "has no place for its state, and could not be continued")
                .advise("name one with `state`, or an output with `write_to`")
        })?;
        own.extend(options.location.path().map(Path::to_path_buf));
        source.leave_out(&own);
        let observer = observer.unwrap_or_else(|| Box::new(Silent));
        Ok(Run::with((job, source), sink, options, observer, requests))
    }

    /// Runs the loop under these signals, until it has finished or one of them has stopped it. Within
    /// [`main`](crate::main), or after [`Masked::block`] in the first line of the program.
    ///
    /// # Errors
    ///
    /// The loop could not go on: an item failed, an input changed, the disk is full. What was committed stands.
    pub fn run(self, signals: &Masked) -> Result<Outcome<J::Result>> {
        self.run_and_tell(signals, |_| ())
    }

    /// Runs the loop. If an earlier run has finished it, calls `tell` with a sentence and does nothing.
    fn run_and_tell(self, signals: &Masked, tell: impl Fn(&str)) -> Result<Outcome<J::Result>> {
        let state = self.location().and_then(|at| at.path().map(Path::to_path_buf));
        let run = self.into_run().inspect_err(|error| drop(signals.failed.replace(Some(error.clone()))))?;
        let (ending, total) = run.run_under(signals);
        if let (Ending::Finished { already: true, .. }, Some(state)) = (&ending, &state) {
            tell(&format!("had finished before; remove {} to do it again", state.display()));
        }
        Outcome::of(ending, J::result(total), state, signals)
    }

    /// The whole program: blocks the signals, runs the loop, reports errors, and gives the ending to return. Without a
    /// [`progress`](Loop::progress) of its own it says when it continues, or had finished before.
    pub fn main(mut self) -> Exit {
        self.settings.observer.get_or_insert_with(|| Box::new(Brief));
        outcome::main(|signals| self.run_and_tell(signals, outcome::say)?.finished().map(drop))
    }

    fn location(&self) -> Option<Location> {
        match (&self.settings.state, &self.settings.to) {
            (Some(state), _) => Some(state.clone()),
            (None, Destination::File(path)) => Some(Location::Directory(beside(path, ".bivouac"))),
            (None, Destination::Nowhere | Destination::StandardOutput) => None,
        }
    }
}

impl<P: Into<PathBuf>> From<P> for Location {
    fn from(path: P) -> Self {
        Location::Directory(path.into())
    }
}

fn beside(output: &Path, suffix: &str) -> PathBuf {
    let mut path = output.as_os_str().to_os_string();
    path.push(suffix);
    PathBuf::from(path)
}

/// Says that a loop continues, and warns.
struct Brief;

impl Observer for Brief {
    fn notice(&mut self, notice: &Notice) {
        if matches!(notice, Notice::Resumed { .. } | Notice::Warning(_) | Notice::TaskFailed { .. }) {
            outcome::say(&sentence(notice));
        }
    }
}

/// A sink for a loop without an output. The first byte is an error, which reports the mistake before the work is done.
#[derive(Debug)]
struct NoOutput;

impl Sink for NoOutput {
    without_a_place!();

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        bytes.is_empty().then_some(()).ok_or_else(|| {
            Error::usage("the loop", "has results, and no place for them")
                .advise("name an output with `write_to`, or take the results into a `fold`")
        })
    }
}
