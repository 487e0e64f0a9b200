//! A regular file as a job reads it: opened late, read by position, compared at the end.
//!
//! **Why late.** A job over ten thousand files must not hold ten thousand descriptors. The source
//! keeps the [`Identity`] of each; the first worker that reads a file opens it, all its tasks share
//! the descriptor, and the last one closes it.
//!
//! **Why compared at the end.** A comparison before the read proves nothing about the read. One
//! behind it does, as far as the kernel's clock goes: whatever was written in between moved the
//! change time of the very inode that was read.

use super::growing::Growing;
use super::identity::{Comparison, Facts, Identity};
use super::sample::Sample;
use crate::error::{Error, Result};
use rustix::fs::{FileType, fstat};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// What has happened to a file in whose place there is none.
const REPLACED: &str = "it is no regular file now (it was replaced)";

/// A regular input file, with what identified it when the job began.
#[derive(Debug)]
pub struct InputFile {
    identity: Identity,
    /// What it is compared with: what it was when this run began, which is not when the job began.
    seen: Facts,
    growth: Growth,
    /// What is done of it is compared when the job goes on.
    compared: bool,
    /// It was longer behind a read.
    grew: AtomicBool,
    handle: OnceLock<File>,
}

/// What it means that the file is longer behind a read than it was.
#[derive(Debug)]
enum Growth {
    /// Nothing.
    Allowed,
    /// It has changed.
    Refused,
    /// That it is looked at once more in the end: it is this one of the inputs, and has this sample.
    Noted(usize, Growing, Option<Sample>),
}

impl InputFile {
    /// Looks at `path`: opens it, takes its identity and closes it again.
    ///
    /// # Errors
    ///
    /// Missing, a directory, or not a regular file: [`Kind::Usage`](crate::error::Kind::Usage);
    /// so is one that may not be read, because nothing has been touched yet.
    pub fn look_at(path: &Path) -> Result<Self> {
        let file = open_nonblocking(path)?;
        let facts = file.metadata().map_err(|e| Error::io(path, "stat", &e))?;
        if !facts.is_file() {
            return Err(Error::usage(path.display(), "is not a regular file"));
        }
        Ok(Self::new(Identity::of(path, &facts)))
    }

    /// A file whose identity is known already.
    pub fn new(identity: Identity) -> Self {
        let seen = identity.facts();
        Self::seen_as(identity, seen)
    }

    /// One that goes by its `identity`, of which the size above all; of which other facts are true by now.
    pub(super) fn seen_as(identity: Identity, seen: Facts) -> Self {
        let (growth, grew) = (Growth::Allowed, AtomicBool::new(false));
        Self { identity, seen, growth, compared: false, grew, handle: OnceLock::new() }
    }

    /// One that has been opened.
    pub(super) fn opened(identity: Identity, handle: Option<File>) -> Self {
        Self { handle: handle.map(OnceLock::from).unwrap_or_default(), ..Self::new(identity) }
    }

    /// The same, and growth is a change like any other.
    pub(super) fn at_rest(self) -> Self {
        Self { growth: Growth::Refused, ..self }
    }

    /// The same, of a job that compares contents: one that changes can be gone on with, if what was read of it
    /// is what it was.
    pub(super) fn compared(self, compared: bool) -> Self {
        Self { compared, ..self }
    }

    /// The same, number `index` of the inputs, and growth is noted.
    pub(super) fn noting(self, index: usize, growing: &Growing, sample: Option<Sample>) -> Self {
        Self { growth: Growth::Noted(index, growing.clone(), sample), ..self }
    }

    /// What identified it when the job began.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The path as the user gave it.
    pub fn path(&self) -> &Path {
        &self.identity.path
    }

    /// Fills `buffer` from `offset` on, with one system call where the kernel allows.
    ///
    /// # Errors
    ///
    /// [`Kind::Refused`](crate::error::Kind::Refused) if the file ends before the buffer is full:
    /// somebody shortened it. [`Kind::Broken`](crate::error::Kind::Broken) if reading fails.
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.handle()?.read_exact_at(buffer, offset).map_err(|e| {
            if e.kind() == io::ErrorKind::UnexpectedEof {
                return self.changed("it became shorter");
            }
            // A FIFO or a directory that has taken its place has no bytes at a position.
            self.check_unchanged().err().unwrap_or_else(|| Error::io(self.path(), "read", &e))
        })
    }

    /// The open file itself, for `splice(2)` and its like. It is opened by the first who asks. Read it
    /// by position only: all tasks share it. It is the file that was listed, and not a FIFO in its place.
    ///
    /// # Errors
    ///
    /// As [`read_exact_at`](Self::read_exact_at), and as [`check_unchanged`](Self::check_unchanged).
    pub fn descriptor(&self) -> Result<BorrowedFd<'_>> {
        self.check_unchanged()?;
        self.handle().map(AsFd::as_fd)
    }

    /// To be called after a task has read its part: an error if the file is no longer the one
    /// that was listed. Growth is no change as a rule, since only the listed size is read; whether what
    /// was there is what it was is then asked at the end of the run (see [`Listing::last_look`]).
    ///
    /// [`Listing::last_look`]: crate::task::Listing::last_look
    ///
    /// # Errors
    ///
    /// [`Kind::Refused`](crate::error::Kind::Refused), naming the file.
    pub fn check_unchanged(&self) -> Result<()> {
        let handle = self.handle()?;
        let stat = fstat(handle).map_err(|e| Error::io(self.path(), "stat", &e.into()))?;
        // A directory may have been given the number of the file.
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(self.changed(REPLACED));
        }
        match self.seen.compare(Facts::from(&stat)) {
            Comparison::Same => return Ok(()),
            Comparison::Grew => self.grew.store(true, Ordering::Relaxed),
            Comparison::Changed(how) => return Err(self.changed(&format!("it {how}"))),
        }
        match &self.growth {
            Growth::Allowed => Ok(()),
            Growth::Refused => Err(self.changed("it grew")),
            Growth::Noted(index, growing, sample) => {
                growing.saw(*index, (&self.identity, handle), sample.as_ref());
                Ok(())
            }
        }
    }

    /// Whether [`check_unchanged`](Self::check_unchanged) has found it longer. Who has all of it in his hands
    /// then can read it once more, and see whether it only grew.
    pub fn was_seen_growing(&self) -> bool {
        self.grew.load(Ordering::Relaxed)
    }

    fn changed(&self, how: &str) -> Error {
        let advice = match self.compared {
            true => "let the file rest; the same command then goes on, if what was read is as it was",
            false => "let the file rest and start over with --fresh",
        };
        Error::refused(self.path().display(), format_args!("changed while it was read: {how}")).advise(advice)
    }

    fn handle(&self) -> Result<&File> {
        if let Some(file) = self.handle.get() {
            return Ok(file);
        }
        let file = open_without_waiting(self.path()).map_err(|e| match e.raw_os_error() {
            Some(libc::ENOENT | libc::ENOTDIR) => self.changed("it is gone"),
            // A socket, a device without a driver, a symlink to itself: none of them was listed.
            Some(libc::ENXIO | libc::ENODEV | libc::ELOOP) => self.changed(REPLACED),
            Some(_) | None => Error::io(self.path(), "open", &e),
        })?;
        // Two workers may come here at once; the loser's descriptor is closed again.
        Ok(self.handle.get_or_init(|| file))
    }
}

/// Opens an input. `O_NONBLOCK`, because a plain open of a FIFO waits for a writer, and nothing
/// could end that wait; for regular files the flag means nothing. No terminal becomes ours by it.
pub(super) fn open_without_waiting(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
}

/// The same of a path that was given; a directory is refused.
pub(super) fn open_nonblocking(path: &Path) -> Result<File> {
    let file = open_without_waiting(path).map_err(|e| Error::named(path, "open", &e))?;
    let facts = file.metadata().map_err(|e| Error::io(path, "stat", &e))?;
    if facts.is_dir() {
        return Err(Error::usage(path.display(), "is a directory").advise("name the files in it"));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use std::fs;

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
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, "abcdef").unwrap();
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
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, "abc").unwrap();
        let file = InputFile::look_at(&path).unwrap();
        fs::write(&path, "abcdef").unwrap();
        file.check_unchanged().unwrap();
    }

    #[test]
    fn what_has_taken_the_place_of_a_file_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
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
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, "abc").unwrap();
        let file = InputFile::look_at(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(file.check_unchanged().unwrap_err().kind(), Kind::Refused);
    }
}
