//! Streams among the inputs, which all listings of a source share.
//!
//! Each listing opens a file for itself. It cannot open standard input or a FIFO again: a FIFO would wait for
//! another writer, and bytes that were read do not come again. So the first listing opens a stream, which
//! stays open for the others until one reads from it. Any other would begin in the middle, which is refused.

use super::stream::Stream;
use crate::error::{Error, Result};
use crate::sync::lock;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

/// The streams that a source has opened, by their place among its inputs.
#[derive(Clone, Debug, Default)]
pub(super) struct Streams(Arc<Mutex<BTreeMap<usize, Arc<Mutex<Once>>>>>);

#[derive(Debug)]
pub(super) struct Once {
    pub(super) stream: Stream,
    is_taken: bool,
}

/// A stream as one listing has it.
#[derive(Debug)]
pub(super) struct Share {
    once: Arc<Mutex<Once>>,
    /// This is the listing that reads it.
    reads: bool,
}

impl Streams {
    /// The stream in place `index` for one more listing, if it was opened before. Refused if one has read from it.
    pub(super) fn share(&self, index: usize) -> Result<Option<Share>> {
        let open = lock(&self.0);
        let Some(once) = open.get(&index) else { return Ok(None) };
        let is_open = lock(once);
        match is_open.is_taken {
            true => Err(read_already(is_open.stream.path())),
            false => Ok(Some(Share { once: Arc::clone(once), reads: false })),
        }
    }

    pub(super) fn keep(&self, index: usize, share: &Share) {
        lock(&self.0).insert(index, Arc::clone(&share.once));
    }

    /// Whether a listing has begun to read one of them.
    pub(super) fn has_taken(&self) -> bool {
        lock(&self.0).values().any(|once| lock(once).is_taken)
    }
}

impl Share {
    pub(super) fn new(stream: Stream) -> Self {
        Self { once: Arc::new(Mutex::new(Once { stream, is_taken: false })), reads: false }
    }

    /// The size, if this is a regular file after all.
    pub(super) fn regular_size(&self) -> Option<u64> {
        lock(&self.once).stream.regular_size()
    }

    /// The stream itself, for a reader of this listing.
    pub(super) fn shared(&self) -> Arc<Mutex<Once>> {
        Arc::clone(&self.once)
    }

    /// Takes the stream to read from it. Refused if another listing has.
    pub(super) fn take(&mut self) -> Result<MutexGuard<'_, Once>> {
        let mut once = lock(&self.once);
        if once.is_taken && !self.reads {
            return Err(read_already(once.stream.path()));
        }
        (once.is_taken, self.reads) = (true, true);
        Ok(once)
    }
}

/// The message that a stream would have to be read a second time.
pub(super) fn read_already(path: &Path) -> Error {
    let problem = "is a stream; it was read already, and cannot be read twice";
    Error::refused(path.display(), problem).advise("give the stream again in another run")
}

#[cfg(test)]
mod tests {
    use crate::error::Kind;
    use crate::input::testing::{fifo_in, file_with};
    use crate::input::{Boundary, Chunks, Column, Given, Items, Tree};
    use crate::task::{ListContext, Listing, Source};
    use std::path::PathBuf;

    fn count(mut listing: impl Listing, cx: &ListContext<'_>) -> u64 {
        let mut tasks = 0;
        while listing.next(cx).unwrap().is_some() {
            tasks += 1;
        }
        tasks
    }

    /// A finished job has no tasks left; the job that begins again has all of them.
    fn lists_all_as_often_as_it_is_asked(source: &impl Source) {
        let cx = ListContext::endless();
        let begun = source.begin().unwrap();
        let described = begun.described().unwrap();
        let tasks = count(begun, &cx);
        assert!(tasks > 1);
        for _ in 0..2 {
            let mut finished = source.resume(&described, tasks).unwrap();
            finished.mark_before(&cx).unwrap();
            assert_eq!(count(finished, &cx), 0);
            assert_eq!(count(source.begin().unwrap(), &cx), tasks);
        }
    }

    #[test]
    fn what_can_be_read_again_is_listed_as_often_as_it_is_asked_for() {
        let (_dir, path) = file_with("one\ntwo\nthree\n");
        let paths = || vec![path.clone()];
        let columns = vec![Column { given: Given::File(path.clone()), linked: false }];
        for boundary in [Boundary::anywhere(), Boundary::newline()] {
            lists_all_as_often_as_it_is_asked(&Chunks::new(paths(), boundary).block(Some(4)));
        }
        lists_all_as_often_as_it_is_asked(&Tree::new(paths(), Some(4)));
        lists_all_as_often_as_it_is_asked(&Items::new(columns));
    }

    /// Listings of one source, opened before anything was read: the first that reads has the stream.
    fn only_the_first_reads<S: Source>(source: &S) {
        let cx = ListContext::endless();
        let (mut first, mut second) = (source.begin().unwrap(), source.begin().unwrap());
        assert!(first.next(&cx).unwrap().is_some());
        for refused in [second.next(&cx).map(drop), source.begin().map(drop)] {
            assert_eq!(refused.unwrap_err().kind(), Kind::Refused);
        }
        assert_eq!(count(first, &cx), 1, "it is not disturbed by that");
    }

    #[test]
    fn of_a_stream_no_listing_begins_in_the_middle() {
        let dir = tempfile::tempdir().unwrap();
        let (fifo, file) = (fifo_in(dir.path()), dir.path().join("f"));
        std::fs::write(&file, "two\n").unwrap();
        let paths = || -> Vec<PathBuf> { vec![fifo.clone(), file.clone()] };
        let while_one_writes = |work: &dyn Fn()| {
            std::thread::scope(|scope| {
                scope.spawn(|| std::fs::write(&fifo, "one\n").unwrap());
                work();
            });
        };
        while_one_writes(&|| only_the_first_reads(&Chunks::new(paths(), Boundary::newline())));
        let items = || {
            let column = |given| Column { given, linked: false };
            Items::new(vec![
                column(Given::File(fifo.clone())),
                column(Given::Listed(vec!["a".into(), "b".into()])),
            ])
        };
        while_one_writes(&|| only_the_first_reads(&items()));
    }
}
