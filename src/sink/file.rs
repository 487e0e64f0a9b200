//! The output file: written in task order, committed at checkpoints, seen only when complete.
//!
//! The obvious way is to append to `OUT` and to note the length. Then a reader of `OUT` cannot know whether it is complete;
//! an append after a crash follows the bytes that the crash left; and a run that fails has destroyed the last result. So
//! the output grows in `OUT.part` beside it, at explicit offsets, and a rename gives it its name at the very end.
//!
//! # Whose is `OUT.part`?
//!
//! A part file that our record does not know may be the only copy of another job's work. It is refused, never truncated.
//! But a crash between "the part file is made" and "the record knows it" would then block every later run. So the record
//! comes first:
//!
//! 1. [`FileSink::new`] checks `OUT` and touches nothing;
//! 2. the state is locked and found empty;
//! 3. [`may_begin`](Sink::may_begin) refuses if there is a part file;
//! 4. a record of a job of which nothing is done is made durable;
//! 5. [`begin(None)`](Sink::begin) makes the part file, and it must not exist.
//!
//! A crash after step 4 leaves a record without output, with or without a part file, and `begin` with a committed length
//! of 0 accepts both. So does a job that replaces an unfinished one, and empties the part file.
//!
//! # What a crash leaves
//!
//! 1. **While writing**: bytes after the committed length, whole, torn or missing. The next run truncates
//!    them, and writes the last partial block again from its copy in the record.
//! 2. **Between the record "finalizing" and the rename**: the part file is complete; the next run renames it.
//! 3. **Between the rename and the record "done"**: there is no part file, and `OUT` has the committed length
//!    and checksums. The next run recognizes it as published.

mod going_on;
mod ledger;
mod place;

use crate::durable::disk::{Dir, Disk, DiskFile, Facts, Open, OsDisk};
use crate::error::{Advice, At, Error, Kind, Result};
use crate::task::{Committed, Sink};
use ledger::{Compared, Ledger};
use place::{mode_to_take, not_a_file, resolve};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Small pieces are gathered to this size. A larger `pwrite` costs as much per byte; `grep` emits little.
const GATHERED: usize = 1 << 20;

/// A piece of this size is written as it is: to copy it would cost more than the call.
const LARGE: usize = 64 << 10;

/// A [`Sink`] that writes a file. The header of its file says in which order things are called.
///
/// ```
/// use bivouac::{Location, sink::FileSink};
/// # let place = tempfile::tempdir()?; std::env::set_current_dir(&place)?;
///
/// let sink = FileSink::new("digits.txt")?.verify(true); // of an output to be continued it reads everything
/// assert!(sink.path().ends_with("digits.txt"));
/// assert!(FileSink::new("/dev/null").is_err());
/// let digits = bivouac::resumable(0..3_u64).map(|n, _| Ok(n.to_string())).state("state");
/// let ending = digits.into_run()?.sink(sink).run();
/// assert_eq!(std::fs::read_to_string("digits.txt")?, "012");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct FileSink {
    dir: Arc<dyn Dir>,
    /// `OUT` after its symlinks are resolved.
    path: PathBuf,
    name: OsString,
    /// The name that the user gave, for messages.
    given: PathBuf,
    part_path: PathBuf,
    part_name: OsString,
    verify: bool,
    stage: Stage,
    /// The stage that [`may_go_on`](Sink::may_go_on) or [`is_published`](Sink::is_published) has found: a part that is open and
    /// locked, none, or the output.
    looked_at: Option<Stage>,
    ledger: Ledger,
    /// The books without the provisional bytes, while there are any.
    firm: Option<Ledger>,
    gathered: Vec<u8>,
    /// The first failure; after it nothing more is tried.
    broken: Option<Error>,
}

#[derive(Debug)]
enum Stage {
    Closed,
    Writing(Box<dyn DiskFile>),
    /// `OUT` is complete and has its name, now or since an earlier run.
    Published,
}

/// An output of up to so many bytes is verified whole before it is continued.
const SOON_READ: u64 = 16 << 20;

impl FileSink {
    /// Prepares to write `out`, and touches nothing yet.
    ///
    /// # Errors
    ///
    /// [`Kind::Usage`] when `out` is something else than a regular file, or its directory does not exist: a rename over
    /// `/dev/null` would replace the device.
    pub fn new(out: impl AsRef<Path>) -> Result<Self> {
        Self::on(&OsDisk, out.as_ref())
    }

    /// As [`new`](FileSink::new), on this disk.
    pub(crate) fn on(disk: &dyn Disk, out: &Path) -> Result<Self> {
        let (dir, path, name) = resolve(disk, out)?;
        let mut part_name = name.clone();
        part_name.push(".part");
        let part_path = path.with_file_name(&part_name);
        Ok(Self {
            dir,
            path,
            name,
            given: out.to_path_buf(),
            part_path,
            part_name,
            verify: false,
            stage: Stage::Closed,
            looked_at: None,
            ledger: Ledger::default(),
            firm: None,
            gathered: Vec::new(),
            broken: None,
        })
    }

    setters! {
        /// Whether [`begin`](Sink::begin) reads all of the committed output again, and not its last stretch only.
        pub fn verify(everything: bool) => verify = everything;
    }

    /// The output, its symlinks resolved.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Refuses an output that is also this input. The error names both.
    #[doc(hidden)]
    pub fn refuse_if_input(&self, input: &Path) -> Result<()> {
        let Ok(there) = std::fs::metadata(input) else { return Ok(()) };
        let id = (there.dev(), there.ino());
        for (name, ours) in [(&self.name, &self.path), (&self.part_name, &self.part_path)] {
            if self.facts(name, ours)?.is_some_and(|facts| facts.id == id) {
                let problem =
                    format_args!("is an input, and the output {} is the same file", self.given.display());
                return Err(Error::usage(input.display(), problem).advise("name another output"));
            }
        }
        Ok(())
    }

    fn facts(&self, name: &OsStr, path: &Path) -> Result<Option<Facts>> {
        self.dir.facts(name).at(path, "look at")
    }

    fn sync_dir(&self) -> Result<()> {
        self.dir.sync().at(&self.path, "sync the directory of")
    }

    fn unknown_part(&self) -> Error {
        // A run with another state may be at work on it. Then it must not be moved away.
        if let Err(error) = self.open_part()
            && error.kind() == Kind::Busy
        {
            return error;
        }
        Error::refused(self.part_path.display(), "exists, and no state knows what it is")
            .advise("name the state of its job (such as OUT.bivouac), or move it away")
    }

    /// Makes the part file. Others may read it only if they may read the file that it replaces.
    fn create_part(&self) -> Result<Box<dyn DiskFile>> {
        let replaced = self.facts(&self.name, &self.path)?;
        let mode = replaced.as_ref().and_then(mode_to_take).unwrap_or(0o666);
        let part = match self.dir.open(&self.part_name, Open::CreateNew(mode)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(self.unknown_part()),
            opened => opened.at(&self.part_path, "create")?,
        };
        self.lock_part(&*part)?;
        self.sync_dir()?;
        Ok(part)
    }

    /// Opens an existing part file, which must be a plain file that has no second name.
    fn open_part(&self) -> Result<Box<dyn DiskFile>> {
        let strange = || {
            Error::refused(self.part_path.display(), "is not a regular file of ours with a single name")
                .advise("nothing was changed; look at what it is")
        };
        let ours = nix::unistd::geteuid().as_raw();
        let plain = |facts: &Facts| facts.is_file && facts.links == 1 && facts.uid == ours;
        if !self.facts(&self.part_name, &self.part_path)?.is_some_and(|facts| plain(&facts)) {
            return Err(strange());
        }
        let part = self.dir.open(&self.part_name, Open::Write).at(&self.part_path, "open")?;
        if !plain(&part.facts().at(&self.part_path, "look at")?) {
            return Err(strange());
        }
        self.lock_part(&*part)?;
        Ok(part)
    }

    /// Two runs with two states may write one output. The lock of the state does not see that; this one does.
    fn lock_part(&self, part: &dyn DiskFile) -> Result<()> {
        match part.try_lock().at(&self.part_path, "lock")? {
            true => Ok(()),
            false => Err(Error::new(Kind::Busy, self.part_path.display(), "is being written by another run")),
        }
    }

    fn harmed(&self, how: &str) -> Error {
        Error::refused(self.part_path.display(), how)
            .advise("nothing was changed; bring the file back")
            .or(Advice::StartAfresh)
    }

    /// Whether `OUT` itself is what the books describe, to the last byte.
    fn holds_committed(&self) -> Result<bool> {
        let there = self.facts(&self.name, &self.path)?;
        if !there.is_some_and(|facts| facts.is_file && facts.bytes == self.ledger.bytes) {
            return Ok(false);
        }
        let file = self.dir.open(&self.name, Open::Read).at(&self.path, "open")?;
        let mut tail = vec![0; self.ledger.tail.len()];
        let from = self.ledger.bytes - tail.len() as u64;
        let tail_is_right = file.fill(&mut tail, from).at(&self.path, "read")? && tail == self.ledger.tail;
        Ok(tail_is_right && self.ledger.agrees_with(&*file, Compared::Everything).at(&self.path, "read")?)
    }

    fn part(&self) -> Result<&dyn DiskFile> {
        match &self.stage {
            Stage::Writing(part) => Ok(&**part),
            Stage::Closed => Err(Error::broken(self.part_path.display(), "is not open")),
            Stage::Published => Err(self.harmed("is missing, though the output is not complete")),
        }
    }

    fn write_out(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.part()?.write_at(bytes, offset).at(&self.part_path, "write")
    }

    fn write_gathered(&mut self) -> Result<()> {
        if !self.gathered.is_empty() {
            self.write_out(&self.gathered, self.ledger.bytes - self.gathered.len() as u64)?;
            self.gathered.clear();
        }
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let is_large = bytes.len() >= LARGE;
        if is_large || self.gathered.len() + bytes.len() > GATHERED {
            self.write_gathered()?;
        }
        if is_large {
            self.write_out(bytes, self.ledger.bytes)?;
        } else {
            self.part()?;
            self.gathered.extend_from_slice(bytes);
        }
        self.ledger.append(bytes);
        Ok(())
    }

    fn flush_and_commit(&mut self) -> Result<Committed> {
        if !matches!(self.stage, Stage::Published) {
            self.write_gathered()?;
            self.part()?.sync_data().at(&self.part_path, "sync")?;
        }
        Ok(self.firm.as_mut().unwrap_or(&mut self.ledger).commit())
    }

    fn take_back(&mut self) -> Result<()> {
        if let Some(firm) = self.firm.take() {
            self.gathered.clear();
            self.part()?.truncate(firm.bytes).at(&self.part_path, "truncate")?;
            self.ledger = firm;
        }
        Ok(())
    }

    fn give_name(&mut self) -> Result<()> {
        if !matches!(self.stage, Stage::Published) {
            let path = &self.part_path;
            let part = self.part()?;
            let length = part.facts().at(path, "look at")?.bytes;
            if length != self.ledger.bytes || !self.gathered.is_empty() {
                return Err(self.harmed(&format!("has {length} bytes instead of {}", self.ledger.bytes)));
            }
            // Another file may have taken its place; that one is not ours to publish.
            let ours = part.facts().at(path, "look at")?.id;
            let named = self.facts(&self.part_name, &self.part_path)?;
            if named.is_none_or(|named| named.id != ours) {
                return Err(self.harmed("is no longer the file that was written here"));
            }
            match self.facts(&self.name, &self.path)? {
                Some(replaced) if replaced.is_file => {
                    if let Some(mode) = mode_to_take(&replaced) {
                        part.set_mode(mode).at(path, "set the mode of")?;
                        part.sync_all().at(path, "sync")?;
                    }
                }
                Some(_) => return Err(not_a_file(&self.path).with_kind(Kind::Broken)),
                None => {}
            }
            self.dir.rename(&self.part_name, &self.name).at(path, "rename")?;
            self.stage = Stage::Published;
        }
        self.sync_dir()
    }

    /// Does the next step, unless one has failed before.
    fn unless_broken<T>(&mut self, step: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        let done = step(self);
        self.broken = done.as_ref().err().cloned();
        done
    }
}

impl Sink for FileSink {
    fn may_begin(&self) -> Result<()> {
        match self.facts(&self.part_name, &self.part_path)? {
            None => Ok(()),
            Some(_) => Err(self.unknown_part()),
        }
    }

    fn may_go_on(&mut self, committed: &Committed) -> Result<()> {
        self.looked_at = Some(self.look_at_part(committed)?);
        Ok(())
    }

    fn begin(&mut self, committed: Option<&Committed>) -> Result<()> {
        self.unless_broken(|sink| {
            sink.stage = match committed {
                None => Stage::Writing(sink.create_part()?),
                Some(committed) => sink.continue_part(committed)?,
            };
            Ok(())
        })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.unless_broken(|sink| sink.take(bytes))
    }

    fn make_durable(&mut self) -> Result<Committed> {
        self.unless_broken(Self::flush_and_commit)
    }

    fn begin_provisional(&mut self) -> Result<bool> {
        self.unless_broken(|sink| {
            sink.write_gathered()?;
            sink.firm = Some(sink.ledger.clone());
            Ok(true)
        })
    }

    fn end_provisional(&mut self, keep: bool) -> Result<()> {
        if keep {
            self.firm = None;
        }
        self.unless_broken(Self::take_back)
    }

    fn publish(&mut self) -> Result<()> {
        self.unless_broken(Self::give_name)
    }

    fn abandon(&mut self) {
        if let Stage::Writing(part) = &self.stage
            && let (Ok(ours), Ok(Some(named))) = (part.facts(), self.dir.facts(&self.part_name))
            && ours.id == named.id
        {
            self.dir.remove(&self.part_name).ok();
        }
    }

    fn is_published(&mut self, committed: &Committed) -> Result<bool> {
        let Some(ledger) = Ledger::reopen(committed) else { return Ok(false) };
        self.ledger = ledger;
        let there = self.holds_committed();
        self.ledger = Ledger::default();
        self.looked_at = there.as_ref().is_ok_and(|there| *there).then_some(Stage::Published);
        there
    }
}

#[cfg(test)]
mod tests;
