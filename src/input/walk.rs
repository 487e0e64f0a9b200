//! From path to path, and below each of them directory by directory, by name.
//!
//! The well-known way is the crate `walkdir`. It was used here, and asked for the size of every file by its
//! whole path, since its entries do not keep their directory open: for a tree of 57,000 small files that
//! was a tenth of all that `digest` has to do, and it is done by one thread. The standard library's
//! entries do keep it, as long as they live; so everything is asked of a directory at once, while it is
//! being read, and what is remembered of a file is no more than what identifies it.

use super::file::InputFile;
use super::identity::Identity;
use super::stream::Stream;
use super::tree::Entry;
use std::collections::VecDeque;
use std::fs::{self, DirEntry};
use std::io;
use std::iter::Peekable;
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
        Self { levels: vec![found], own, root, settled_root }
    }

    /// What stands in a directory and is wanted, the last name first.
    fn list(&self, directory: &Path) -> io::Result<Vec<Found>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            if !self.own.has(&entry, &self.root, &self.settled_root) {
                found.extend(below(&entry));
            }
        }
        // All of them have the same path before their names.
        found.sort_unstable_by(|a, b| b.path_bytes().cmp(a.path_bytes()));
        Ok(found)
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
    match fs::metadata(path) {
        Ok(facts) if facts.is_dir() => Some(Found::Directory(path.to_path_buf())),
        Ok(facts) => facts.is_file().then(|| file(Identity::of(path.to_path_buf(), &facts))),
        Err(error) => Some(Found::Other(unreadable(path.to_path_buf(), &error))),
    }
}

/// Regular files and directories are wanted, and nothing else: no symlink, no pipe, no device.
fn below(entry: &DirEntry) -> Option<Found> {
    let path = entry.path();
    match entry.file_type() {
        Ok(kind) if kind.is_dir() => Some(Found::Directory(path)),
        Ok(kind) if !kind.is_file() => None,
        Ok(_) => Some(match entry.metadata() {
            Ok(facts) => file(Identity::of(path, &facts)),
            Err(error) => Found::Other(unreadable(path, &error)),
        }),
        Err(error) => Some(Found::Other(unreadable(path, &error))),
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
    fn has(&self, entry: &DirEntry, root: &Path, settled_root: &Path) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let name = entry.file_name();
        // Most names are nobody's; only for the others the path is put together.
        self.0.iter().any(|own| {
            own.file_name() == Some(&name)
                && entry.path().strip_prefix(root).is_ok_and(|rest| settled_root.join(rest) == *own)
        })
    }
}

/// `path` with the symlinks of its directory resolved; it need not exist itself.
fn settled(path: &Path) -> Option<PathBuf> {
    let (above, name) = crate::disk::split(path)?;
    Some(above.canonicalize().ok()?.join(name))
}
