//! How a closure becomes a [`Job`].
//!
//! There are two: [`Map`] writes what the closure returns, and [`Fold`] takes it into a total. The name and the
//! options of a loop are part of the record, because a loop with others must not be continued.

use super::over::Feed;
use crate::task::{Context, Job, TaskError};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::borrow::Cow;
use std::marker::PhantomData;

/// What a closure can return to be written: text, bytes, or nothing.
///
/// ```
/// use bivouac::Written;
///
/// struct Row(String);
///
/// impl Written for Row {
///     fn bytes(&self) -> &[u8] {
///         self.0.as_bytes()
///     }
/// }
/// # let place = tempfile::tempdir()?; std::env::set_current_dir(&place)?;
/// bivouac::resumable(0..2_u64).map(|n, _| Ok(Row(format!("{n}\n")))).write_to("rows").main();
/// assert_eq!(std::fs::read_to_string("rows")?, "0\n1\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "a loop cannot write `{Self}`",
    label = "the closure returns this",
    note = "return text, bytes or `()`, as `format!(\"{{n}}\\n\")` does, or take the results into a `fold`"
)]
pub trait Written {
    /// The bytes.
    fn bytes(&self) -> &[u8];
}

impl Written for () {
    fn bytes(&self) -> &[u8] {
        &[]
    }
}

macro_rules! written {
    ($($text:ty: $bytes:path),*) => { $(
        impl Written for $text {
            fn bytes(&self) -> &[u8] {
                $bytes(self)
            }
        }
    )* };
}

written! { String: str::as_bytes, &str: str::as_bytes, Cow<'_, str>: str::as_bytes, Vec<u8>: Vec::as_slice }

impl<W: Written> Written for Option<W> {
    fn bytes(&self) -> &[u8] {
        self.as_ref().map_or(&[], Written::bytes)
    }
}

/// A job whose total is handed back as a result.
///
/// ```
/// use bivouac::{Loop, Location, Results, Source};
///
/// /// The result of a loop that runs without signals.
/// fn result<S: Source<Task = J::Task>, J: Results>(one: Loop<S, J>) -> bivouac::Result<Option<J::Result>> {
///     Ok(J::result(one.into_run()?.run_to_total().1))
/// }
///
/// let sum = bivouac::resumable(0..4_u64).map(|n, _| Ok(n)).fold(|| 0, |sum: &mut u64, n| *sum += n);
/// assert_eq!(result(sum.state(Location::Nowhere))?, Some(6));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Results: Job {
    /// The result of a finished loop.
    type Result;

    /// The result, if there is a total.
    fn result(total: Option<Self::Total>) -> Option<Self::Result>;

    /// Sets its [name](Job::name) and its [fingerprint](Job::fingerprint).
    #[doc(hidden)]
    fn identify(&mut self, name: String, options: Value);
}

/// The name and the options by which a state is known to belong to a loop.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) name: String,
    pub(super) options: Value,
}

impl Default for Identity {
    fn default() -> Self {
        Self { name: "loop".to_string(), options: Value::Null }
    }
}

/// A closure whose results are written.
///
/// ```
/// use bivouac::{ByItem, Context, Fold, Loop, Map, Over, Span, TaskError};
/// use std::ops::Range;
///
/// // The type of a loop can be written down if its closure is a function.
/// type Numbers = Range<u64>;
/// type Work = fn(u64, &Context<'_>) -> Result<u64, TaskError>;
/// type Squares = Loop<Over<Numbers>, Map<ByItem, Span<Numbers>, Work, u64>>;
/// type Sum = Loop<Over<Numbers>, Fold<ByItem, Span<Numbers>, Work, u64, u64>>;
///
/// fn square(n: u64, _: &Context<'_>) -> Result<u64, TaskError> {
///     Ok(n * n)
/// }
/// let squares: Squares = bivouac::resumable(0..4).map(square as Work);
/// let sum: Sum = squares.fold(|| 0, |sum, n| *sum += n);
/// assert_eq!(sum.state(bivouac::Location::Nowhere).main(), bivouac::Exit::Code(0));
/// ```
pub struct Map<D, T, F, R> {
    pub(super) identity: Identity,
    pub(super) work: F,
    pub(super) of: PhantomData<fn(D, T) -> R>,
}

shown_by! { Map<D, T, F, R>, identity }

impl<D, T, F, R> Job for Map<D, T, F, R>
where
    D: Feed<T>,
    T: Send + 'static,
    F: Fn(D::Item, &Context<'_>) -> Result<R, TaskError> + Send + Sync + 'static,
    R: Written + 'static,
{
    type Task = T;
    type Partial = ();
    type Total = ();

    fn name(&self) -> &str {
        &self.identity.name
    }

    fn fingerprint(&self) -> Value {
        self.identity.options.clone()
    }

    fn run(&self, task: T, cx: &Context<'_>) -> Result<(), TaskError> {
        D::feed(task, cx, |item| cx.write((self.work)(item, cx)?.bytes()))
    }
}

impl<D, T, F, R> Results for Map<D, T, F, R>
where
    Self: Job<Total = ()>,
{
    type Result = ();

    fn result(_: Option<()>) -> Option<()> {
        Some(())
    }

    fn identify(&mut self, name: String, options: Value) {
        self.identity = Identity { name, options };
    }
}

/// A closure whose results go into a total.
pub struct Fold<D, T, F, R, A> {
    pub(super) map: Map<D, T, F, R>,
    pub(super) init: Box<dyn Fn() -> A + Send + Sync>,
    pub(super) merge: Merge<A, R>,
    pub(super) at_end: Option<AtEnd<A>>,
}

pub(super) type Merge<A, R> = Box<dyn Fn(&mut A, R) + Send + Sync>;

pub(super) type AtEnd<A> = Box<dyn Fn(&A) -> String + Send + Sync>;

shown_by! { Fold<D, T, F, R, A>, map.identity }

impl<D, T, F, R, A> Job for Fold<D, T, F, R, A>
where
    D: Feed<T>,
    T: Send + 'static,
    F: Fn(D::Item, &Context<'_>) -> Result<R, TaskError> + Send + Sync + 'static,
    R: Serialize + DeserializeOwned + Send + 'static,
    A: Serialize + DeserializeOwned + Send + 'static,
{
    type Task = T;
    type Partial = Vec<R>;
    type Total = Option<A>;

    fn name(&self) -> &str {
        &self.map.identity.name
    }

    fn fingerprint(&self) -> Value {
        self.map.identity.options.clone()
    }

    fn run(&self, task: T, cx: &Context<'_>) -> Result<Vec<R>, TaskError> {
        let mut partial = Vec::new();
        D::feed(task, cx, |item| {
            partial.push((self.map.work)(item, cx)?);
            Ok(())
        })?;
        Ok(partial)
    }

    fn fold(&self, total: &mut Option<A>, partial: Vec<R>, _out: &mut Vec<u8>) {
        let total = total.get_or_insert_with(&self.init);
        partial.into_iter().for_each(|one| (self.merge)(total, one));
    }

    fn finish(&self, total: &mut Option<A>, out: &mut Vec<u8>) {
        let total = total.get_or_insert_with(&self.init);
        if let Some(at_end) = &self.at_end {
            out.extend(at_end(total).into_bytes());
        }
    }
}

impl<D, T, F, R, A> Results for Fold<D, T, F, R, A>
where
    Self: Job<Total = Option<A>>,
{
    type Result = A;

    fn result(total: Option<Option<A>>) -> Option<A> {
        total.flatten()
    }

    fn identify(&mut self, name: String, options: Value) {
        self.map.identity = Identity { name, options };
    }
}
