//! One way to know a file again.
//!
//! The output of a job belongs to one input. A job reads for hours, is stopped and continues tomorrow;
//! meanwhile other programs may write to its files. So each regular file has a [`Witness`]. The obvious one
//! is a digest of the contents; but that means reading a terabyte to skip reading a terabyte. The obvious
//! cheap one, size and times, cannot tell a log that grew from a file that was rewritten. So there are three
//! strengths, and the weakest that can decide is asked:
//!
//! | strength | where | what it compares | what it misses |
//! |---|---|---|---|
//! | stat | `witness/identity.rs` | inode, size, two times | a write through `mmap` to a page that is already dirty |
//! | stat and samples | `witness/sample.rs` | up to 32 pieces of the old part of a file that grew | a change between the pieces, by a writer who also appends |
//! | digest | `witness/contents.rs` | every byte that a task has read | nothing; but everything is read twice |
//!
//! A comparison proves something about the reads before it, and nothing about those after it. So there are
//! three moments:
//!
//! | moment | what is compared |
//! |---|---|
//! | before: a job is continued ([`Witness::resumed`]) | each file: the stat, and the samples if it grew. With digests the source reads again what is done, and other times are only reported |
//! | after reading: a task is done with a file ([`Witness::after_reading`]) | the stat of the descriptor that was read: a write in between moved the change time of that inode |
//! | at the end: before the output gets its name (`witness/grown.rs`) | each file that grew under a task: its digest if there is one, otherwise its samples |

pub(super) mod contents;
pub(super) mod grown;
pub(super) mod identity;
pub(super) mod sample;

use self::identity::{Comparison, FileStat, Identity};
use self::sample::Sample;
use super::open::open_without_waiting;
use crate::error::{Advice, Error, Result};
use crate::task::ListContext;
use rustix::fs::{FileType, fstat};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The change of a file that has made room for something else.
const REPLACED: &str = "it is no regular file now";

/// Bytes between two looks whether the run is over.
const PIECE: usize = 1 << 18;

/// A regular file: what it was when the job began, and what it is now.
#[derive(Clone, Debug)]
pub(super) struct Witness {
    /// When the job began. The file is cut, and read, as far as it went then.
    pub(super) identity: Identity,
    /// When this run began, which may be later.
    found: FileStat,
    pub(super) sample: Option<Arc<Sample>>,
    by_contents: bool,
}

/// The report to a person about the files of a job that is continued.
#[derive(Debug, Default)]
pub(super) struct Remarks {
    pub(super) sentences: Vec<String>,
    /// Files that look different, and may have the same content.
    pub(super) doubtful: Vec<PathBuf>,
    /// Whether one of the files is longer than it was.
    pub(super) has_more: bool,
}

impl Witness {
    pub(super) fn new(identity: Identity) -> Self {
        Self { found: identity.stat(), identity, sample: None, by_contents: false }
    }

    /// Sets whether the job compares contents by digest. Then the job can be continued even if the file looks changed.
    pub(super) fn by_contents(self, by_contents: bool) -> Self {
        Self { by_contents, ..self }
    }

    /// Adds samples that were taken before.
    pub(super) fn with_sample(self, sample: Option<Sample>) -> Self {
        Self { sample: sample.map(Arc::new), ..self }
    }

    /// Takes samples of the file, which is one of `files`, and adds them.
    pub(super) fn sampled(self, files: usize) -> Result<Self> {
        let file = self.open()?;
        let sample = Sample::of(&file, self.identity.size, files).map_err(|e| self.unread(&file, &e))?;
        Ok(Self { sample: Some(Arc::new(sample)), ..self })
    }

    pub(super) fn path(&self) -> &Path {
        &self.identity.path
    }

    /// Opens the file. It is refused if it is gone, or if something else has taken its place.
    pub(super) fn open(&self) -> Result<File> {
        open_without_waiting(self.path()).map_err(|e| match e.raw_os_error() {
            Some(libc::ENOENT | libc::ENOTDIR) => self.changed("it is gone"),
            // A socket, a device without a driver, a symlink to itself: none of them was listed.
            Some(libc::ENXIO | libc::ENODEV | libc::ELOOP) => self.changed(REPLACED),
            Some(_) | None => Error::io(self.path(), "open", &e),
        })
    }

    /// Fills `buffer` from `offset` on. The file is refused if it ends before the buffer is full: it was shortened.
    pub(super) fn read_exact_at(&self, file: &File, buffer: &mut [u8], offset: u64) -> Result<()> {
        file.read_exact_at(buffer, offset).map_err(|e| self.unread(file, &e))
    }

    fn unread(&self, file: &File, error: &io::Error) -> Error {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return self.changed("it became shorter");
        }
        // A FIFO or a directory that has taken its place has no bytes at a position.
        self.after_reading(file).err().unwrap_or_else(|| Error::io(self.path(), "read", error))
    }

    /// The second moment: whether the file that was read has grown. Any other change is refused.
    pub(super) fn after_reading(&self, file: &File) -> Result<bool> {
        let stat = fstat(file).map_err(|e| Error::io(self.path(), "stat", &e.into()))?;
        // A directory may have been given the number of the file.
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(self.changed(REPLACED));
        }
        match self.found.compare(FileStat::from(&stat)) {
            Comparison::Same => Ok(false),
            Comparison::Grew => Ok(true),
            Comparison::Changed(how) => Err(self.changed(&format!("it {how}"))),
        }
    }

    pub(super) fn changed(&self, how: &str) -> Error {
        Error::refused(self.path().display(), format_args!("changed while it was read: {how}"))
            .advise("let the file rest")
            .then(if self.by_contents { Advice::RunAgain } else { Advice::StartAfresh })
    }

    /// The first moment: the file of the record, if the job can continue with this one, which was just looked
    /// at. The record has its identity and a sample.
    pub(super) fn resumed(
        self,
        stored: Identity,
        sample: Option<Sample>,
        by_contents: bool,
        remarks: &mut Remarks,
    ) -> Result<Self> {
        if self.path() != stored.path {
            return Err(another_path(&self.identity, &stored));
        }
        let found = self.found;
        let then = Self { identity: stored, found, sample: sample.map(Arc::new), by_contents };
        let size = then.identity.size;
        let (is_longer, is_shorter) = (found.size > size, found.size < size);
        let two_inputs = |how: &str| {
            Error::refused(then.path().display(), how)
                .advise("the output would mix two inputs")
                .then(Advice::StartAfresh)
        };
        let how = match then.identity.stat().compare(found) {
            Comparison::Same => return Ok(then),
            Comparison::Grew => format!("grew from {size} to {} bytes", found.size),
            // Bytes that have not been read yet are missing from a file that is shorter.
            Comparison::Changed(how) if is_shorter || !by_contents => {
                return Err(two_inputs(&format!("{how} since the job began")));
            }
            Comparison::Changed(how) => how,
        };
        if is_longer && then.sample_agrees(&then.open()?)? == Some(false) {
            return Err(two_inputs("has grown, and what was in it has changed"));
        }
        let then_what = if is_longer { "it is processed to its old size" } else { "it is compared" };
        remarks.sentences.push(format!("{}: {how}; {then_what}", then.path().display()));
        remarks.doubtful.push(then.path().to_path_buf());
        remarks.has_more |= is_longer;
        Ok(then)
    }

    /// Whether the samples are what they were; `None` if there are none.
    pub(super) fn sample_agrees(&self, file: &File) -> Result<Option<bool>> {
        let agrees = self.sample.as_ref().map(|sample| sample.is_still_in(file, self.identity.size));
        agrees.transpose().map_err(|e| self.unread(file, &e))
    }

    /// Takes a part of the file into a digest. `false` if the run is over and the part was not read to its end.
    pub(super) fn hash(
        &self,
        file: &File,
        mut range: Range<u64>,
        hasher: &mut blake3::Hasher,
        cx: &ListContext<'_>,
    ) -> Result<bool> {
        let mut buffer = vec![0; usize::try_from(range.end - range.start).unwrap_or(PIECE).min(PIECE)];
        while !range.is_empty() {
            if cx.is_stopped() {
                return Ok(false);
            }
            let length = (range.end - range.start).min(PIECE as u64);
            let piece = &mut buffer[..length as usize];
            self.read_exact_at(file, piece, range.start)?;
            hasher.update(piece);
            range.start += length;
        }
        Ok(true)
    }
}

fn another_path(now: &Identity, stored: &Identity) -> Error {
    let problem = Error::refused(now.path.display(), "is not the input that the state is about");
    let then = stored.path.display();
    match stored.compare(now) == Comparison::Same {
        // The output may contain the name, so the job cannot take one for the other.
        true => problem.advise(format_args!("it is the same file by another name: call it {then}")),
        false => problem.advise(format_args!("that one is {then}")).then(Advice::StartAfresh),
    }
}
