//! A job without its types.
//!
//! The obvious engine is generic: `Supervisor<J>`, `Committer<J>`. Then the compiler makes all of it again for each job, and
//! the tool has 21: seven, each alone, as a shard, and as the merge of its shards. That was a third of the program, and a
//! reader met `<J: Job>` in every file. But the engine does not look into tasks, partials and totals. It only carries them.
//! So it carries boxes, and is compiled once. The price is two allocations for a task, and none for a line.
//!
//! | with types | without | used by |
//! |---|---|---|
//! | [`Source`], [`Listing`] | [`AnySource`], [`AnyListing`] | the source thread |
//! | [`Job::run`], and what names a job | [`AnyJob`] | all workers at the same time |
//! | [`Job::fold`], and all that has a "before" | [`AnyTotal`], which owns the total | the commit thread |
//!
//! [`Run`](crate::Run) calls [`erase`]. The total comes back to it with its type, through a place that only [`Total`] knows.
//! Tasks and partials come back by a downcast. It cannot fail: [`erase`] demands that source and job have the same task, and
//! an engine carries the boxes of one job only. The compiler does not see that, so there is an error for it, which ends the run.

use crate::error::{Error, Result};
use crate::sync::lock;
use crate::task::{Context, Extent, Job, LastLook, ListContext, Listed, Listing, Mark, Source, TaskError};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::any::Any;
use std::sync::{Arc, Mutex};

/// A [`Job::Task`].
pub(crate) type AnyTask = Box<dyn Any + Send>;

/// A [`Source::Listing`].
pub(crate) type AnyListing = dyn Listing<Task = AnyTask>;

/// What a worker returns.
type Done = std::result::Result<Box<dyn AnyPartial>, TaskError>;

/// Reads back what [`AnyPartial::encode`] wrote.
pub(crate) type Decode = fn(&[u8]) -> serde_json::Result<Box<dyn AnyPartial>>;

/// A job and its tasks, for the engine.
pub(crate) struct Erased {
    pub(crate) job: Arc<dyn AnyJob>,
    pub(crate) source: Box<dyn AnySource>,
    /// Before the first task.
    pub(crate) total: Box<dyn AnyTotal>,
}

/// Takes the types away. The total of a job that has finished will be in the second part.
pub(crate) fn erase<J: Job, S: Source<Task = J::Task>>(
    job: J,
    source: S,
) -> (Erased, Arc<Mutex<Option<J::Total>>>) {
    let (job, result) = (Arc::new(job), Arc::default());
    let total =
        Box::new(Total { job: Arc::clone(&job), total: J::Total::default(), result: Arc::clone(&result) });
    (Erased { job, source: Box::new(source), total }, result)
}

fn mixed_up() -> Error {
    Error::broken("job", "was given a value of another job")
}

/// A [`Source`].
pub(crate) trait AnySource: Send {
    fn begin(&self) -> Result<Box<AnyListing>>;
    fn resume(&self, described: &Value, frontier: u64) -> Result<Box<AnyListing>>;
}

impl<S: Source> AnySource for S {
    fn begin(&self) -> Result<Box<AnyListing>> {
        Ok(Box::new(Boxing(Source::begin(self)?)))
    }

    fn resume(&self, described: &Value, frontier: u64) -> Result<Box<AnyListing>> {
        Ok(Box::new(Boxing(Source::resume(self, described, frontier)?)))
    }
}

/// A listing whose tasks are boxes.
struct Boxing<L>(L);

impl<L: Listing> Listing for Boxing<L> {
    type Task = AnyTask;

    delegate::delegate! {
        to self.0 {
            fn described(&self) -> Result<Value>;
            fn sentences(&self) -> Vec<String>;
            fn go_to(&mut self, mark: Mark);
            fn mark_before(&mut self, cx: &ListContext<'_>) -> Result<Option<Mark>>;
            fn what_changed(&self) -> String;
            fn has_item_marks(&self) -> bool;
            fn is_stream(&self) -> bool;
            fn has_more(&self) -> bool;
            fn last_look(&self) -> Option<LastLook>;
            fn extent(&self) -> Extent;
        }
    }

    fn next(&mut self, cx: &ListContext<'_>) -> Result<Option<Listed<AnyTask>>> {
        let listed = self.0.next(cx)?;
        Ok(listed.map(|Listed { task, bytes, mark }| Listed { task: Box::new(task) as AnyTask, bytes, mark }))
    }

    fn note(&self, task: &AnyTask) -> Option<String> {
        task.downcast_ref().and_then(|task| self.0.note(task))
    }

    fn holds(&self, task: &AnyTask) -> u64 {
        task.downcast_ref().map_or(0, |task| self.0.holds(task))
    }

    fn beginnings(&self, task: &AnyTask) -> Vec<[u8; 8]> {
        task.downcast_ref().map_or_else(Vec::new, |task| self.0.beginnings(task))
    }
}

/// A [`Job`], as far as it has no "before".
pub(crate) trait AnyJob: Send + Sync {
    fn name(&self) -> &str;
    fn fingerprint(&self) -> Value;
    fn describe(&self, fingerprint: &Value) -> Option<String>;
    fn number_of(&self, task: u64) -> u64;
    fn is_about_now(&self) -> bool;
    fn run(&self, task: AnyTask, cx: &Context<'_>) -> Done;
    fn settle(&self, cx: &Context<'_>) -> Done;
    fn again(&self, cx: &Context<'_>) -> Done;
}

fn boxed<P: AnyPartial>(partial: P) -> Box<dyn AnyPartial> {
    Box::new(partial)
}

impl<J: Job> AnyJob for J {
    delegate::delegate! {
        #[through(Job)]
        to self {
            fn name(&self) -> &str;
            fn fingerprint(&self) -> Value;
            fn describe(&self, fingerprint: &Value) -> Option<String>;
            fn number_of(&self, task: u64) -> u64;
            fn is_about_now(&self) -> bool;
            #[expr($.map(boxed))]
            fn settle(&self, cx: &Context<'_>) -> Done;
            #[expr($.map(boxed))]
            fn again(&self, cx: &Context<'_>) -> Done;
        }
    }

    fn run(&self, task: AnyTask, cx: &Context<'_>) -> Done {
        let task = task.downcast().map_err(|_| mixed_up())?;
        Job::run(self, *task, cx).map(boxed)
    }
}

/// A [`Job::Partial`].
pub(crate) trait AnyPartial: Any + Send {
    fn encode(&self) -> serde_json::Result<Vec<u8>>;
}

impl<P: Serialize + Send + 'static> AnyPartial for P {
    fn encode(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(self)
    }
}

pub(crate) fn decode<P: Serialize + DeserializeOwned + Send + 'static>(
    bytes: &[u8],
) -> serde_json::Result<Box<dyn AnyPartial>> {
    serde_json::from_slice::<P>(bytes).map(boxed)
}

/// A [`Job::Total`], and what its job does with it.
pub(crate) trait AnyTotal: Send {
    /// That of no task.
    fn fresh(&self) -> Box<dyn AnyTotal>;
    /// Becomes the total on record, null in the first record of a job, and tells the job.
    fn recall(&mut self, on_record: &Value) -> serde_json::Result<()>;
    /// For the record.
    fn value(&self) -> serde_json::Result<Value>;
    fn decoder(&self) -> Decode;
    fn accept(&self, partial: &dyn AnyPartial) -> Result<()>;
    fn render(&self, piece: Vec<u8>) -> Vec<u8>;
    fn fold(&mut self, partial: Box<dyn AnyPartial>, out: &mut Vec<u8>) -> Result<()>;
    fn left_out(&mut self, out: &mut Vec<u8>);
    fn finish(&mut self, out: &mut Vec<u8>);
    fn is_final(&self) -> bool;
    fn verdict(&self) -> u8;
    /// The job has finished: gives the total to the caller of the run.
    fn hand_over(&mut self);
}

struct Total<J: Job> {
    job: Arc<J>,
    total: J::Total,
    result: Arc<Mutex<Option<J::Total>>>,
}

impl<J: Job> AnyTotal for Total<J> {
    delegate::delegate! {
        to self.job {
            fn render(&self, [&self.total], piece: Vec<u8>) -> Vec<u8>;
            fn left_out(&mut self, [&mut self.total], out: &mut Vec<u8>);
            fn finish(&mut self, [&mut self.total], out: &mut Vec<u8>);
            fn is_final(&self, [&self.total]) -> bool;
            fn verdict(&self, [&self.total]) -> u8;
        }
    }

    fn fresh(&self) -> Box<dyn AnyTotal> {
        let (job, result) = (Arc::clone(&self.job), Arc::clone(&self.result));
        Box::new(Self { job, total: J::Total::default(), result })
    }

    fn recall(&mut self, on_record: &Value) -> serde_json::Result<()> {
        if !on_record.is_null() {
            self.total = serde_json::from_value(on_record.clone())?;
        }
        self.job.recalls(&self.total);
        Ok(())
    }

    fn value(&self) -> serde_json::Result<Value> {
        serde_json::to_value(&self.total)
    }

    fn decoder(&self) -> Decode {
        decode::<J::Partial>
    }

    fn accept(&self, partial: &dyn AnyPartial) -> Result<()> {
        let partial: &dyn Any = partial;
        self.job.accept(&self.total, partial.downcast_ref().ok_or_else(mixed_up)?)
    }

    fn fold(&mut self, partial: Box<dyn AnyPartial>, out: &mut Vec<u8>) -> Result<()> {
        let partial: Box<dyn Any> = partial;
        self.job.fold(&mut self.total, *partial.downcast().map_err(|_| mixed_up())?, out);
        Ok(())
    }

    fn hand_over(&mut self) {
        *lock(&self.result) = Some(std::mem::take(&mut self.total));
    }
}
