//! The job with some of its tasks.

use super::frame::{End, Kind, framed};
use crate::error::Result;
use crate::task::{Context, Extent, Job, LastLook, ListContext, Listed, Listing, Mark, Source, TaskError};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, PoisonError};

/// Which tasks: every `of`-th, beginning with number `first`, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) first: u64,
    pub(super) of: u64,
}

/// How the whole list ended, as the listing tells the job.
type Ended = Arc<Mutex<Option<(u64, Option<Mark>)>>>;

/// A shard of a job: the job with some of its tasks ([`Shards::shard`](super::Shards::shard)). Its output is what
/// the tasks emitted and reported, for the merge.
#[derive(Debug)]
pub struct Shard<J> {
    job: J,
    share: Share,
    plan: String,
    ended: Ended,
    prints: bool,
}

impl<J> Shard<J> {
    /// Makes the output of tasks a by-product ([`TaskOutput`](crate::TaskOutput)), which goes to the sink; nothing is merged.
    #[must_use]
    pub fn printing(self) -> Self {
        Self { prints: true, ..self }
    }
}

/// The tasks of a [`Shard`].
#[derive(Debug)]
pub struct ShardSource<S> {
    source: S,
    share: Share,
    /// The inputs as they are in the plan.
    inputs: Value,
    ended: Ended,
    /// Whether it has the list of the plan.
    list: Result<()>,
}

/// Lists the tasks of a [`Shard`].
#[derive(Debug)]
pub struct ShardListing<L> {
    listing: L,
    share: Share,
    /// The number of the next task of the whole job.
    next: u64,
    last: Option<Mark>,
    ended: Ended,
}

pub(super) fn shard<J, S>(
    (job, source): (J, S),
    share: Share,
    (plan, inputs): (&str, &Value),
    list: Result<()>,
) -> (Shard<J>, ShardSource<S>) {
    let ended = Ended::default();
    let source = ShardSource { source, share, inputs: inputs.clone(), ended: Arc::clone(&ended), list };
    (Shard { job, share, plan: plan.to_string(), ended, prints: false }, source)
}

impl<J: Job> Job for Shard<J> {
    type Task = J::Task;
    type Partial = J::Partial;
    type Total = ();

    delegate::delegate! {
        to self.job {
            fn name(&self) -> &str;
            fn run(&self, task: J::Task, cx: &Context<'_>) -> std::result::Result<J::Partial, TaskError>;
            fn settle(&self, cx: &Context<'_>) -> std::result::Result<J::Partial, TaskError>;
            fn again(&self, cx: &Context<'_>) -> std::result::Result<J::Partial, TaskError>;
        }
    }

    fn fingerprint(&self) -> Value {
        json!({ "plan": self.plan, "shard": self.share.first + 1, "of": self.share.of, "job": self.job.fingerprint() })
    }

    fn render(&self, (): &(), piece: Vec<u8>) -> Vec<u8> {
        if self.prints {
            return piece;
        }
        let mut frame = Vec::new();
        framed(Kind::Piece, &piece, &mut frame);
        frame
    }

    fn fold(&self, (): &mut (), partial: J::Partial, out: &mut Vec<u8>) {
        if self.prints {
            return;
        }
        // The engine keeps results ahead of the frontier as JSON too, and ends the run if that is impossible.
        framed(Kind::Done, &serde_json::to_vec(&partial).unwrap_or_default(), out);
    }

    fn left_out(&self, (): &mut (), out: &mut Vec<u8>) {
        if !self.prints {
            framed(Kind::Failed, b"", out);
        }
    }

    fn number_of(&self, task: u64) -> u64 {
        self.job.number_of(task * self.share.of + self.share.first)
    }

    fn finish(&self, (): &mut (), out: &mut Vec<u8>) {
        if self.prints {
            return;
        }
        // The last task is committed after the list has ended.
        let (listed, mark) = self.ended.lock().unwrap_or_else(PoisonError::into_inner).unwrap_or_default();
        let end = End { plan: self.plan.clone(), shard: self.share.first + 1, listed, mark };
        framed(Kind::End, json!(end).to_string().as_bytes(), out);
    }
}

impl<S: Source> ShardSource<S> {
    /// Opened before task `next` of the whole job.
    fn open(&self, described: &Value, next: u64) -> Result<ShardListing<S::Listing>> {
        self.list.clone()?;
        let listing = self.source.resume(described, next)?;
        Ok(ShardListing { listing, share: self.share, next, last: None, ended: Arc::clone(&self.ended) })
    }
}

impl<S: Source> Source for ShardSource<S> {
    type Task = S::Task;
    type Listing = ShardListing<S::Listing>;

    /// All shards cut the inputs as the plan says, and refuse other ones.
    fn begin(&self) -> Result<Self::Listing> {
        self.open(&self.inputs, 0)
    }

    fn resume(&self, described: &Value, frontier: u64) -> Result<Self::Listing> {
        // After the last one that is done: the whole job need not have more tasks.
        let next = frontier.checked_sub(1).map_or(0, |last| last * self.share.of + self.share.first + 1);
        self.open(described, next)
    }
}

impl<L: Listing> Listing for ShardListing<L> {
    type Task = L::Task;

    delegate::delegate! {
        to self.listing {
            fn described(&self) -> Result<Value>;
            fn sentences(&self) -> Vec<String>;
            fn go_to(&mut self, mark: Mark);
            fn what_changed(&self) -> String;
            fn note(&self, task: &L::Task) -> Option<String>;
            fn holds(&self, task: &L::Task) -> u64;
            fn is_stream(&self) -> bool;
            fn has_more(&self) -> bool;
            fn last_look(&self) -> Option<LastLook>;
        }
    }

    fn next(&mut self, cx: &ListContext<'_>) -> Result<Option<Listed<L::Task>>> {
        while let Some(listed) = self.listing.next(cx)? {
            let number = self.next;
            self.next += 1;
            self.last = listed.mark;
            if number % self.share.of == self.share.first {
                return Ok(Some(listed));
            }
        }
        if !cx.is_stopped() {
            *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = Some((self.next, self.last));
        }
        Ok(None)
    }

    fn mark_before(&mut self, cx: &ListContext<'_>) -> Result<Option<Mark>> {
        self.last = self.listing.mark_before(cx)?;
        Ok(self.last)
    }

    fn extent(&self) -> Extent {
        let Share { first, of } = self.share;
        let mine = |tasks: u64| (tasks + of - 1 - first) / of;
        Extent { tasks: self.listing.extent().tasks.map(mine), bytes: None, bytes_before: 0 }
    }
}
