//! The source thread: lists tasks ahead of the workers, as far as the channel to the supervisor has room.
//!
//! It is a thread of its own because listing can wait, for a directory on a slow disk or for standard
//! input, and the supervisor must not. Tasks that an earlier run has finished beyond the frontier are
//! listed and passed over, and what a source says of its listing ([`Mark`]) is compared with the
//! record.

use crate::error::{Error, Result};
use crate::job::{Listed, Listing, Mark, Source};
use crate::pool::Assignment;
use crate::wake::Wake;
use crossbeam_channel::Sender;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the source thread sends.
#[derive(Debug)]
pub(crate) enum FromSource<T> {
    Task(Assignment<T>),
    /// The end, and how many tasks the job has.
    Ended(u64),
    Failed(Error),
}

/// What the source thread owns.
pub(crate) struct Lister<S> {
    pub(crate) source: S,
    /// Number of the next task.
    pub(crate) next: u64,
    /// The mark of the one before it, by the record.
    pub(crate) mark: Option<Mark>,
    /// Tasks that an earlier run finished beyond the frontier; they are listed and skipped.
    pub(crate) beyond: BTreeMap<u64, Option<Mark>>,
    pub(crate) wake: Arc<Wake>,
    /// Dropped at the end: that tells the run that this thread is gone.
    pub(crate) ended: Sender<()>,
}

impl<S: Source> Lister<S> {
    /// The body of the thread.
    pub(crate) fn list(mut self, to: &Sender<FromSource<S::Task>>) {
        let last = match self.list_all(to) {
            Ok(Some(tasks)) => FromSource::Ended(tasks),
            Ok(None) => return,
            Err(error) => FromSource::Failed(error),
        };
        // A closed channel: the run is over.
        to.send(last).ok();
        drop(self.ended);
    }

    /// The number of tasks in the job, or `None` when nobody wants to know any more.
    fn list_all(&mut self, to: &Sender<FromSource<S::Task>>) -> Result<Option<u64>> {
        let wake = Arc::clone(&self.wake);
        let listing = Listing::real(&wake);
        let mark = self.source.mark_before(&Listing::rehearsal(&wake))?;
        if self.mark.is_some() && mark != self.mark && !listing.is_stopped() {
            return Err(changed("before the point where the last run stopped"));
        }
        while let Some(Listed { task, bytes, mark }) = self.source.next(&listing)? {
            let number = self.next;
            self.next += 1;
            match self.beyond.remove(&number) {
                Some(kept) if kept.is_some() && kept != mark => {
                    return Err(changed("where the last run had finished tasks"));
                }
                Some(_) => continue,
                None => {}
            }
            if to.send(FromSource::Task(Assignment { number, task, bytes, mark })).is_err() {
                return Ok(None);
            }
        }
        Ok((!listing.is_stopped()).then_some(self.next))
    }
}

fn changed(place: &str) -> Error {
    Error::refused("inputs", format_args!("the list of inputs is no longer what it was {place}"))
        .advise("put the inputs back as they were, or start anew with --fresh")
}
