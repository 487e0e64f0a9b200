//! A regular file as a job reads it: opened late, read by position, compared after each task.
//!
//! A job over ten thousand files must not hold ten thousand descriptors. The source keeps a [`Witness`] of each;
//! the first worker that reads a file opens it, all its tasks share the descriptor, and the last task closes it.

use super::open::open_nonblocking;
use super::witness::Witness;
use super::witness::grown::GrownFiles;
use super::witness::identity::Identity;
use crate::error::{At, Error, Result};
use crate::task::{Context, ListContext, TaskError};
use std::fs::File;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// How much is read at a time: between two yield points.
const PIECE: usize = 1 << 20;

/// A regular input file, with what identified it when the job began.
///
/// ```
/// use bivouac::input::InputFile;
/// # let place = tempfile::tempdir()?; std::env::set_current_dir(&place)?;
/// # std::fs::create_dir("tree")?;
/// # std::fs::write("tree/a", "12345")?;
///
/// let file = InputFile::look_at("tree/a".as_ref())?;
/// let mut two = [0; 2];
/// file.read_exact_at(&mut two, 1)?;
/// assert_eq!(&two, b"23");
/// let _for_a_command = file.descriptor()?;
/// file.check_unchanged()?;
/// std::fs::write("tree/a", "1")?;
/// assert!(file.check_unchanged().is_err(), "{} is shorter now", file.path().display());
///
/// bivouac::files("tree")
///     .map(|file, cx| Ok(format!("{} {}", file.text(cx)?, file.read(cx)?.len())))
///     .write_to("out")
///     .main();
/// assert_eq!(std::fs::read_to_string("out")?, "1 1");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct InputFile {
    pub(super) witness: Witness,
    growth: Growth,
    grew: AtomicBool,
    handle: OnceLock<File>,
}

/// The meaning of a file that is longer after a read than before.
#[derive(Debug)]
enum Growth {
    Allowed,
    Refused,
    /// It is looked at once more at the end, as this one of the inputs.
    Noted(usize, GrownFiles),
}

impl InputFile {
    /// Looks at `path`: opens it, takes its identity and closes it again.
    ///
    /// # Errors
    ///
    /// Missing, a directory, not a regular file, or not readable: [`Kind::Usage`](crate::error::Kind::Usage),
    /// because nothing has been touched yet.
    pub fn look_at(path: &Path) -> Result<Self> {
        let file = open_nonblocking(path)?;
        let stat = file.metadata().at(path, "stat")?;
        if !stat.is_file() {
            return Err(Error::usage(path.display(), "is not a regular file"));
        }
        Ok(Self::new(Identity::of(path, &stat)))
    }

    /// A file whose identity is known already.
    #[doc(hidden)]
    pub fn new(identity: Identity) -> Self {
        Self::of(Witness::new(identity))
    }

    /// The file of this witness, which is read as far as it went when the job began.
    pub(super) fn of(witness: Witness) -> Self {
        Self { witness, growth: Growth::Allowed, grew: AtomicBool::new(false), handle: OnceLock::new() }
    }

    /// The same in a job that compares contents by digest, and needs them to stand still: growth is a change.
    pub(super) fn at_rest(self) -> Self {
        Self { witness: self.witness.by_contents(true), growth: Growth::Refused, ..self }
    }

    /// The same as number `index` of the inputs: growth is noted.
    pub(super) fn noting(self, index: usize, grown: &GrownFiles) -> Self {
        Self { growth: Growth::Noted(index, grown.clone()), ..self }
    }

    /// The identity that it had when the job began.
    #[doc(hidden)]
    pub fn identity(&self) -> &Identity {
        &self.witness.identity
    }

    /// The path as the user gave it.
    pub fn path(&self) -> &Path {
        self.witness.path()
    }

    /// Fills `buffer` from `offset` on, with one system call where the kernel allows.
    ///
    /// # Errors
    ///
    /// [`Kind::Refused`](crate::error::Kind::Refused) if the file ends before the buffer is full: it was
    /// shortened. [`Kind::Broken`](crate::error::Kind::Broken) if reading fails.
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.witness.read_exact_at(self.handle()?, buffer, offset)
    }

    /// Takes a part of it into a digest. `false` if the run is over and the part was not read to its end.
    pub(super) fn hash(
        &self,
        range: Range<u64>,
        to: &mut blake3::Hasher,
        cx: &ListContext<'_>,
    ) -> Result<bool> {
        self.witness.hash(self.handle()?, range, to, cx)
    }

    /// The open file itself, for `splice(2)` and its like; the first call opens it. Read it by position only:
    /// all tasks share it. It is the file that was listed, and not a FIFO in its place.
    ///
    /// # Errors
    ///
    /// As [`read_exact_at`](Self::read_exact_at), and as [`check_unchanged`](Self::check_unchanged).
    pub fn descriptor(&self) -> Result<BorrowedFd<'_>> {
        self.check_unchanged()?;
        self.handle().map(AsFd::as_fd)
    }

    /// The whole file as bytes, in memory.
    ///
    /// # Errors
    ///
    /// [`TaskError::Cancelled`]; [`TaskError::Fatal`] as [`read_exact_at`](Self::read_exact_at).
    pub fn read(&self, cx: &Context<'_>) -> std::result::Result<Vec<u8>, TaskError> {
        let mut all = vec![0; self.identity().size as usize];
        for (n, piece) in all.chunks_mut(PIECE).enumerate() {
            self.read_exact_at(piece, (n * PIECE) as u64)?;
            cx.advance(piece.len() as u64)?;
        }
        Ok(all)
    }

    /// The whole file as text.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read), and [`TaskError::Failed`] if it is not UTF-8.
    pub fn text(&self, cx: &Context<'_>) -> std::result::Result<String, TaskError> {
        Ok(String::from_utf8(self.read(cx)?)?)
    }

    /// Asked after a task has read its part: an error if the file is no longer the one that was listed. A
    /// comparison before the read would prove nothing about the read. As a rule growth is no change, since
    /// only the listed size is read; the end of the run checks the old part
    /// ([`Listing::last_look`](crate::task::Listing::last_look)).
    /// # Errors
    ///
    /// [`Kind::Refused`](crate::error::Kind::Refused), naming the file.
    pub fn check_unchanged(&self) -> Result<()> {
        let handle = self.handle()?;
        if !self.witness.after_reading(handle)? {
            return Ok(());
        }
        self.grew.store(true, Ordering::Relaxed);
        match &self.growth {
            Growth::Allowed => Ok(()),
            Growth::Refused => Err(self.witness.changed("it grew")),
            Growth::Noted(index, grown) => {
                grown.note(*index, &self.witness, handle);
                Ok(())
            }
        }
    }

    /// Whether [`check_unchanged`](Self::check_unchanged) has found it longer. A task that holds all of it
    /// can then read it again, and see whether it only grew.
    #[doc(hidden)]
    pub fn was_seen_growing(&self) -> bool {
        self.grew.load(Ordering::Relaxed)
    }

    fn handle(&self) -> Result<&File> {
        if let Some(file) = self.handle.get() {
            return Ok(file);
        }
        let file = self.witness.open()?;
        // Two workers may come here at once; the second descriptor is closed again.
        Ok(self.handle.get_or_init(|| file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::input::testing::file_with;
    use std::fs::{self, OpenOptions};

    #[test]
    fn what_cannot_be_read_is_wrong_usage_and_is_named() {
        let dir = tempfile::tempdir().unwrap();
        for path in [dir.path().to_path_buf(), dir.path().join("missing")] {
            let error = InputFile::look_at(&path).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage);
            assert!(error.to_string().starts_with(path.to_str().unwrap()), "{error}");
        }
    }

    #[test]
    fn a_file_that_is_shortened_rewritten_or_replaced_while_it_is_read_is_refused() {
        let (_dir, path) = file_with("abcdef");
        let file = InputFile::look_at(&path).unwrap();
        let mut buffer = [0; 3];
        file.read_exact_at(&mut buffer, 3).unwrap();
        assert_eq!(&buffer, b"def");
        file.check_unchanged().unwrap();

        OpenOptions::new().write(true).open(&path).unwrap().set_len(4).unwrap();
        for error in [file.read_exact_at(&mut buffer, 3).unwrap_err(), file.check_unchanged().unwrap_err()] {
            assert_eq!(error.kind(), Kind::Refused);
            assert!(error.to_string().contains("changed while it was read"), "{error}");
        }
        fs::write(&path, "ABCDEF").unwrap();
        assert_eq!(file.check_unchanged().unwrap_err().kind(), Kind::Refused);
    }

    #[test]
    fn a_file_that_grows_while_it_is_read_is_not_refused() {
        let (_dir, path) = file_with("abc");
        let file = InputFile::look_at(&path).unwrap();
        fs::write(&path, "abcdef").unwrap();
        file.check_unchanged().unwrap();
    }

    #[test]
    fn what_has_taken_the_place_of_a_file_is_not_waited_for() {
        let (_dir, path) = file_with("");
        let fifo = |path: &Path| nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let socket = |path: &Path| drop(std::os::unix::net::UnixListener::bind(path).unwrap());
        let itself = |path: &Path| std::os::unix::fs::symlink("f", path).unwrap();
        let device = |path: &Path| std::os::unix::fs::symlink("/dev/zero", path).unwrap();
        let directory = |path: &Path| fs::create_dir(path).unwrap();
        for replace in [&fifo as &dyn Fn(&Path), &socket, &itself, &device, &directory] {
            fs::write(&path, "abc").unwrap();
            let [read, checked, given] = [(); 3].map(|()| InputFile::look_at(&path).unwrap());
            fs::remove_file(&path).unwrap();
            replace(&path);
            let mut buffer = [0; 3];
            for ended in [
                read.read_exact_at(&mut buffer, 0).and_then(|()| read.check_unchanged()),
                checked.check_unchanged(),
                given.descriptor().map(drop),
            ] {
                let error = ended.unwrap_err();
                assert!(error.to_string().contains("changed while it was read"), "{error}");
                assert_eq!(error.kind(), Kind::Refused);
            }
            fs::remove_file(&path).or_else(|_| fs::remove_dir(&path)).unwrap();
        }
    }

    #[test]
    fn a_file_that_is_replaced_before_it_is_opened_is_refused() {
        let (_dir, path) = file_with("abc");
        let file = InputFile::look_at(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(file.check_unchanged().unwrap_err().kind(), Kind::Refused);
    }
}
