//! From path to path, and below each of them directory by directory, by name.
//!
//! The well-known way is the crate `walkdir`. Its entries do not keep their directory open, so that
//! whoever needs the size of a file asks by its whole path, and the kernel goes through all of that once
//! more for every file: in a tree of 57,000 small ones, a twelfth of all that `digest` has to do, by the
//! one thread on which the others wait. Here everything is asked of a directory while it is open, with the
//! smallest calls that tell it; and what is remembered of a file is no more than what identifies it.

use super::file::InputFile;
use super::identity::{Facts, Identity};
use super::stream::Stream;
use super::tree::Entry;
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, RawDir};
use rustix::io::retry_on_intr;
use std::collections::VecDeque;
use std::ffi::{CStr, OsStr};
use std::io;
use std::iter::Peekable;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Over all paths that were given.
#[derive(Debug)]
pub(super) struct Walk {
    roots: VecDeque<PathBuf>,
    own: Own,
    below: Option<Peekable<Below>>,
}

impl Walk {
    pub(super) fn over(roots: &[PathBuf], own: &Own) -> Self {
        Self { roots: roots.iter().cloned().collect(), own: own.clone(), below: None }
    }

    /// The size of the next entry, if it is a file.
    pub(super) fn peek_size(&mut self) -> Option<u64> {
        match self.peek()? {
            Entry::File(file) => Some(file.identity().size),
            Entry::Stream(_) | Entry::Unreadable { .. } => None,
        }
    }

    fn peek(&mut self) -> Option<&Entry> {
        while self.below.as_mut().is_none_or(|below| below.peek().is_none()) {
            self.below = Some(Below::new(self.roots.pop_front()?, self.own.clone()).peekable());
        }
        self.below.as_mut()?.peek()
    }

    pub(super) fn next(&mut self) -> Option<Entry> {
        self.peek()?;
        self.below.as_mut()?.next()
    }
}

/// What is below one path that was given.
#[derive(Debug)]
struct Below {
    /// What is left to do: of the directory at hand, and of those above it. The next one stands last.
    levels: Vec<Vec<Found>>,
    own: Own,
    root: PathBuf,
    settled_root: PathBuf,
    /// Room for what the system says of a directory at a time.
    names: Vec<u8>,
}

#[derive(Debug)]
enum Found {
    Directory(PathBuf),
    Other(Entry),
}

impl Found {
    fn path_bytes(&self) -> &[u8] {
        let path = match self {
            Found::Directory(path) | Found::Other(Entry::Unreadable { path, .. }) => path,
            Found::Other(Entry::File(file)) => file.path(),
            Found::Other(Entry::Stream(stream)) => stream.path(),
        };
        path.as_os_str().as_bytes()
    }
}

impl Below {
    fn new(root: PathBuf, own: Own) -> Self {
        let settled_root = root.canonicalize().unwrap_or_else(|_| root.clone());
        let found = given(&root).into_iter().collect();
        Self { levels: vec![found], own, root, settled_root, names: Vec::with_capacity(32 << 10) }
    }

    /// What stands in a directory and is wanted, the last name first. If it cannot be read to its end, that
    /// is told beside what was read.
    fn list(&mut self, directory: &Path) -> io::Result<Vec<Found>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = retry_on_intr(|| fs::open(directory, flags, Mode::empty()))?;
        let mut found = Vec::new();
        let mut entries = RawDir::new(&open, self.names.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    found.push(Found::Other(unreadable(directory.to_path_buf(), &error.into())));
                    break;
                }
            };
            let name = entry.file_name().to_bytes();
            let is_wanted =
                matches!(entry.file_type(), FileType::RegularFile | FileType::Directory | FileType::Unknown);
            if !is_wanted || matches!(name, b"." | b"..") {
                continue;
            }
            let path = directory.join(OsStr::from_bytes(name));
            if !self.own.has(&path, &self.root, &self.settled_root) {
                found.extend(look_at(&open, entry.file_name(), entry.file_type(), path));
            }
        }
        // All of them have the same path before their names.
        found.sort_unstable_by(|a, b| b.path_bytes().cmp(a.path_bytes()));
        Ok(found)
    }
}

/// Regular files and directories are wanted, and nothing else: no symlink, no pipe, no device. Some file
/// systems do not say what a name stands for until they are asked for the rest as well.
fn look_at(directory: &OwnedFd, name: &CStr, kind: FileType, path: PathBuf) -> Option<Found> {
    if kind == FileType::Directory {
        return Some(Found::Directory(path));
    }
    match fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(facts) => {
            let kind = FileType::from_raw_mode(facts.st_mode);
            if kind == FileType::Directory {
                return Some(Found::Directory(path));
            }
            (kind == FileType::RegularFile).then(|| file(Facts::from(&facts).at(path)))
        }
        Err(error) => Some(Found::Other(unreadable(path, &error.into()))),
    }
}

impl Iterator for Below {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        loop {
            match self.levels.last_mut()?.pop() {
                None => drop(self.levels.pop()),
                Some(Found::Other(entry)) => return Some(entry),
                Some(Found::Directory(path)) => match self.list(&path) {
                    Ok(found) => self.levels.push(found),
                    Err(error) => return Some(unreadable(path, &error)),
                },
            }
        }
    }
}

/// A path that was given: here symlinks are followed, and a pipe is an input.
fn given(path: &Path) -> Option<Found> {
    if Stream::is_stream(path) {
        return Some(Found::Other(match Stream::open(path) {
            Ok(stream) => Entry::Stream(stream),
            Err(error) => Entry::Unreadable { path: path.to_path_buf(), why: error.to_string() },
        }));
    }
    match std::fs::metadata(path) {
        Ok(facts) if facts.is_dir() => Some(Found::Directory(path.to_path_buf())),
        Ok(facts) => facts.is_file().then(|| file(Identity::of(path, &facts))),
        Err(error) => Some(Found::Other(unreadable(path.to_path_buf(), &error))),
    }
}

fn file(identity: Identity) -> Found {
    Found::Other(Entry::File(InputFile::new(identity)))
}

/// With the system's words without the number.
fn unreadable(path: PathBuf, error: &io::Error) -> Entry {
    let text = error.to_string();
    let why = text.split(" (os error").next().unwrap_or(&text).to_string();
    Entry::Unreadable { path, why }
}

/// Paths of things that a job makes, with all symlinks on the way to them resolved.
#[derive(Clone, Debug, Default)]
pub(super) struct Own(Arc<Vec<PathBuf>>);

impl Own {
    /// These paths, which need not exist.
    pub(super) fn new(paths: &[PathBuf]) -> Self {
        Self(Arc::new(paths.iter().filter_map(|path| settled(path)).collect()))
    }

    /// Whether this entry below `root` is one of them.
    fn has(&self, path: &Path, root: &Path, settled_root: &Path) -> bool {
        // Most names are nobody's; only for the others the path is taken apart.
        self.0.iter().any(|own| {
            own.file_name() == path.file_name()
                && path.strip_prefix(root).is_ok_and(|rest| settled_root.join(rest) == *own)
        })
    }
}

/// `path` with the symlinks of its directory resolved; it need not exist itself.
fn settled(path: &Path) -> Option<PathBuf> {
    let (above, name) = crate::disk::split(path)?;
    Some(above.canonicalize().ok()?.join(name))
}
