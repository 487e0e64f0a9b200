//! Every regular file below some paths, as tasks.
//!
//! A tree has no positions: the ten-thousandth file is found only by listing those before it. So a job that
//! is continued lists again the files that are done (names, sizes and times only; nothing is read). In return
//! it learns whether this is still the same tree: a running digest over all that was listed, the [`Mark`],
//! stands in the record, and a run that lists another file before the frontier is refused.
//!
//! The order is that of the paths given, and below them by name, byte by byte, directory by directory. It
//! does not depend on the locale or on the order in which a file system keeps its names.
//!
//! A task for every small file would cost more than the file, so small ones go together. A task for a huge
//! file would leave all workers but one idle, so it is cut into parts, if the job can join them again.

use super::file::InputFile;
use super::kept::{KeptEntries, line};
use super::left_out::why_unreadable;
use super::resolved::{READS_AGAIN, contents_as_begun, other_contents, unless_left_out};
use super::stream::Stream;
use super::walk::{Entry, Own, Walk};
use super::witness::grown::GrownFiles;
use super::witness::identity::Identity;
use crate::error::{Advice, Error, Kind, Result};
use crate::task::{LastLook, ListContext, Listed, Listing, Mark, Source};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Files that go into one task, at the most.
const TOGETHER: usize = 128;

/// Bytes above which no further file goes into the same task, by default.
const TOGETHER_BYTES: u64 = 4 << 20;

/// The part of a tree that one task covers.
#[derive(Debug)]
pub enum Portion {
    /// Some whole files.
    Files(Vec<Entry>),
    /// A part of a large one. The parts of a file come in order, from 0 to its size.
    Part {
        /// The file.
        file: Arc<InputFile>,
        /// Where in it.
        range: Range<u64>,
    },
}

/// The regular files below some paths, to be listed as [`Portion`]s.
///
/// ```
/// use bivouac::input::{Entry, Portion, Tree, TreeListing};
/// use bivouac::{Listing, Source};
/// # let place = tempfile::tempdir()?; std::env::set_current_dir(&place)?;
/// # std::fs::create_dir("tree")?;
/// # std::fs::write("tree/a", "1")?;
/// # std::fs::write("tree/b", "12345")?;
/// # std::fs::write("tree/log", "")?;
///
/// let tree = Tree::new(vec!["tree".into()], Some(4)).together(1).by_contents(true).without(&["tree/log".into()]);
/// let mut found = Vec::new();
/// bivouac::list(&tree, &mut |_, portion| {
///     match portion {
///         Portion::Files(entries) => {
///             for entry in entries {
///                 match entry {
///                     Entry::File(file) => found.push(format!("{}", file.path().display())),
///                     Entry::Stream(_) | Entry::Unreadable { .. } => {}
///                 }
///             }
///         }
///         Portion::Part { file, range } => found.push(format!("{} {range:?}", file.path().display())),
///     }
///     Ok(())
/// })?;
/// assert_eq!(found, ["tree/a", "tree/b 0..4", "tree/b 4..5"]);
/// let _listing: TreeListing = tree.begin()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Tree {
    roots: Vec<PathBuf>,
    /// The files of the job itself, which are not listed.
    own: Own,
    /// Size of the parts of large files; `None`: they are not cut.
    part: Option<u64>,
    /// Bytes above which no further file goes into the same task.
    together: u64,
    wants_contents: bool,
    /// A task reports the paths that cannot be read.
    leaves_out: bool,
    /// It does so even if the machine is the cause.
    keeps_going: bool,
    /// What one walk has found, for all shards of a job.
    kept: Option<PathBuf>,
}

/// The entries in their order: those of a walk, or what one has found.
#[derive(Debug)]
enum Entries {
    Walk(Walk),
    Kept(KeptEntries),
}

/// Lists the regular files below some paths.
#[derive(Debug)]
pub struct TreeListing {
    /// With `part` and `together` as the job was begun.
    tree: Tree,
    /// The mark is over the contents of the files, and not over their inodes and times.
    by_contents: bool,
    entries: Entries,
    /// The parts of the file at hand that are not listed yet.
    parts: Option<(Arc<InputFile>, u64)>,
    grown: GrownFiles,
    files: usize,
    listed: blake3::Hasher,
    /// Tasks to be listed again before the first one that is handed out.
    again: u64,
}

/// The tree in the record. Sizes and times are in the mark.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Described {
    roots: Vec<Root>,
    part: Option<u64>,
    together: u64,
    contents: bool,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Root {
    #[serde(with = "super::path_text")]
    path: PathBuf,
}

impl Tree {
    /// The files below `paths` (`-` is standard input), larger ones cut into parts of `part` bytes.
    pub fn new(paths: Vec<PathBuf>, part: Option<u64>) -> Self {
        Self {
            roots: paths,
            own: Own::default(),
            part,
            together: TOGETHER_BYTES,
            wants_contents: false,
            leaves_out: false,
            keeps_going: false,
            kept: None,
        }
    }

    setters! {
        /// Bytes of small files that make one task: fewer where reading is slow on purpose.
        pub fn together(bytes: u64) => together = bytes;

        /// Compares the contents of the files by digest, as [`Chunks::by_contents`](super::Chunks::by_contents).
        pub fn by_contents(yes: bool) => wants_contents = yes;

        /// Hands out a path that cannot be read as an [`Entry::Unreadable`]. Otherwise such a path is an error
        /// before anything is done if it was given, and ends the run if it was found: the next run continues
        /// there. A file that has gone meanwhile is always handed out.
        #[doc(hidden)]
        pub fn leaving_out(yes: bool) => leaves_out = yes;

        /// The same even if the machine is in trouble, and the next run may read what this one could not.
        #[doc(hidden)]
        pub fn keeping_going(yes: bool) => keeps_going = yes;

        /// Names files and directories that the job itself makes: its output, its state. They are not listed
        /// wherever they stand; otherwise a job whose output lies in the tree would find another tree each time
        /// it is continued. (A path that was *given* is always listed.)
        pub fn without(own: &[PathBuf]) => own = Own::new(own);
    }

    /// Whether everything can be read again: no path that was given is a pipe.
    #[doc(hidden)]
    pub fn is_resumable(&self) -> bool {
        !self.roots.iter().any(|root| Stream::is_stream(root))
    }

    /// Why one of the roots cannot be read, where that is no reason to leave it out.
    fn unreadable_root(&self) -> Option<Error> {
        let why = |root: &PathBuf| Some(Error::named(root, "open", &why_unreadable(root)?));
        self.roots.iter().find_map(why).filter(|_| !self.leaves_out)
    }

    fn roots(&self) -> Vec<Root> {
        self.roots.iter().map(|path| Root { path: path.clone() }).collect()
    }
}

impl TreeListing {
    fn new(tree: Tree, by_contents: bool) -> Result<Self> {
        let entries = match &tree.kept {
            Some(path) => Entries::Kept(KeptEntries::open(path)?),
            None => Entries::Walk(Walk::over(&tree.roots, &tree.own)),
        };
        Ok(Self {
            by_contents,
            entries,
            parts: None,
            grown: GrownFiles::default(),
            files: 0,
            listed: blake3::Hasher::new(),
            again: 0,
            tree,
        })
    }

    /// The next task, whether or not it is one to be handed out.
    fn list(&mut self, cx: &ListContext<'_>) -> Result<Option<Listed<Portion>>> {
        if self.parts.is_some() {
            return self.next_part(cx);
        }
        let (mut files, mut bytes) = (Vec::new(), 0);
        while files.len() < TOGETHER && bytes < self.tree.together && !cx.is_stopped() {
            // A large file ends what has been gathered before it, and is cut up in the next round.
            let is_large =
                self.entries.peek_size().is_some_and(|size| self.tree.part.is_some_and(|part| size > part));
            if is_large && !files.is_empty() {
                break;
            }
            let Some(entry) = self.entries.next()? else { break };
            if let Entry::Unreadable { path, why } = &entry
                && !self.may_be_left_out(path, why)
            {
                return Err(why.clone().or_left_out());
            }
            let size = self.note(&entry);
            match entry {
                Entry::File(file) if is_large => {
                    let file = with_samples(file);
                    self.parts = Some((Arc::new(self.for_tasks(file)), 0));
                    return self.next_part(cx);
                }
                Entry::File(file) => {
                    if !self.note_contents(&file, 0..size, cx)? {
                        return Ok(None);
                    }
                    files.push(Entry::File(self.for_tasks(file)));
                }
                Entry::Stream(_) | Entry::Unreadable { .. } => files.push(entry),
            }
            bytes += size;
        }
        let mark = Some(self.mark());
        Ok((!files.is_empty()).then_some(Listed { task: Portion::Files(files), bytes, mark }))
    }

    /// `None` if the run is over.
    fn next_part(&mut self, cx: &ListContext<'_>) -> Result<Option<Listed<Portion>>> {
        let (Some((file, start)), Some(part)) = (self.parts.take(), self.tree.part) else { return Ok(None) };
        let size = file.identity().size;
        let end = size.min(start.saturating_add(part));
        if !self.note_contents(&file, start..end, cx)? {
            return Ok(None);
        }
        if end < size {
            self.parts = Some((Arc::clone(&file), end));
        }
        let mark = Some(self.mark());
        Ok(Some(Listed { task: Portion::Part { file, range: start..end }, bytes: end - start, mark }))
    }

    /// Contents that are compared must stand still while they are read.
    fn for_tasks(&mut self, file: InputFile) -> InputFile {
        self.files += 1;
        if self.by_contents { file.at_rest() } else { file.noting(self.files, &self.grown) }
    }

    /// Takes the contents of a part of a file into the mark, if contents are compared. `false` if the run is over.
    fn note_contents(&mut self, file: &InputFile, range: Range<u64>, cx: &ListContext<'_>) -> Result<bool> {
        if !self.by_contents {
            return Ok(true);
        }
        // With a descriptor of its own: that of the task would stay open as long as the task waits.
        let (witness, mut digest) = (&file.witness, blake3::Hasher::new());
        match witness.open().and_then(|own| witness.hash(&own, range, &mut digest, cx)) {
            Ok(true) => self.listed.update(digest.finalize().as_bytes()),
            Ok(false) => return Ok(false),
            // The file may not be read. The task reports that.
            Err(error) if error.kind() == Kind::Broken && self.may_be_left_out(file.path(), &error) => {
                self.listed.update(b"unreadable")
            }
            Err(error) => return Err(error),
        };
        Ok(true)
    }

    /// Whether a task may report that a file cannot be read: not if the next run may read it.
    fn may_be_left_out(&self, path: &Path, why: &Error) -> bool {
        let tree = &self.tree;
        let has_gone = || why.is_missing() && !tree.roots.iter().any(|root| root == path);
        tree.keeps_going || (!why.may_pass() && (tree.leaves_out || has_gone()))
    }

    /// Takes an entry into the mark; returns its size.
    fn note(&mut self, entry: &Entry) -> u64 {
        let (path, facts) = match entry {
            Entry::File(file) if self.by_contents => {
                (file.path(), [-3, -3, i128::from(file.identity().size), -3, -3])
            }
            Entry::File(file) => {
                let Identity { path, inode, size, modified_ns, changed_ns } = file.identity();
                (path.as_path(), [-3, i128::from(*inode), i128::from(*size), *modified_ns, *changed_ns])
            }
            // Neither size nor times: a stream has none, and the others cannot be read.
            Entry::Stream(stream) => (stream.path(), [-1; 5]),
            Entry::Unreadable { path, .. } => (path.as_path(), [-2; 5]),
        };
        let name = path.as_os_str().as_bytes();
        self.listed.update(&(name.len() as u64).to_le_bytes());
        self.listed.update(name);
        for fact in facts {
            self.listed.update(&fact.to_le_bytes());
        }
        u64::try_from(facts[2]).unwrap_or(0)
    }

    fn mark(&self) -> Mark {
        Mark(*self.listed.finalize().as_bytes())
    }
}

/// No task can read all of a large file once more if it grows.
fn with_samples(file: InputFile) -> InputFile {
    match file.witness.sample {
        Some(_) => file,
        None => file.witness.clone().sampled(1).map_or(file, InputFile::of),
    }
}

impl Entries {
    /// The size of the next entry, if it is a file.
    fn peek_size(&mut self) -> Option<u64> {
        let next = match self {
            Self::Walk(walk) => walk.peek(),
            Self::Kept(kept) => kept.peek(),
        };
        match next? {
            Entry::File(file) => Some(file.identity().size),
            Entry::Stream(_) | Entry::Unreadable { .. } => None,
        }
    }

    fn next(&mut self) -> Result<Option<Entry>> {
        match self {
            Self::Walk(walk) => Ok(walk.next()),
            Self::Kept(kept) => {
                kept.next().map_or_else(|| kept.failed().map_or(Ok(None), Err), |entry| Ok(Some(entry)))
            }
        }
    }
}

impl Source for Tree {
    type Task = Portion;
    type Listing = TreeListing;

    fn files(&self) -> Vec<PathBuf> {
        self.roots.clone()
    }

    fn leave_out(&mut self, own: &[PathBuf]) {
        self.own = self.own.and(own);
    }

    fn begin(&self) -> Result<TreeListing> {
        if let Some(error) = self.unreadable_root() {
            let others = self.roots.iter().any(|root| why_unreadable(root).is_none());
            return Err(if others { unless_left_out(error) } else { error });
        }
        TreeListing::new(self.clone(), self.wants_contents && self.is_resumable())
    }

    fn resume(&self, described: &Value, frontier: u64) -> Result<TreeListing> {
        let then: Described = serde_json::from_value(described.clone()).map_err(|e| {
            Error::refused("checkpoint", format_args!("its inputs are not those of a tree: {e}"))
        })?;
        if then.roots != self.roots() {
            return Err(Error::refused("inputs", "are other paths than those of the last run")
                .advise("name the same paths")
                .or(Advice::StartAfresh));
        }
        if let Some(error) = self.unreadable_root() {
            return Err(error);
        }
        let by_contents = contents_as_begun(self.wants_contents, then.contents)?;
        let tree = Self { part: then.part, together: then.together, ..self.clone() };
        let mut listing = TreeListing::new(tree, by_contents)?;
        listing.again = frontier;
        if let Entries::Walk(walk) = &mut listing.entries {
            walk.watch_for_changes();
        }
        Ok(listing)
    }

    fn keep(&self, own: &[PathBuf], to: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<Option<Value>> {
        if !self.is_resumable() {
            return Ok(None);
        }
        let mut listing = TreeListing::new(Self { own: self.own.and(own), ..self.clone() }, false)?;
        while let Some(entry) = listing.entries.next()? {
            let entry = match entry {
                Entry::Unreadable { path, why } if !listing.may_be_left_out(&path, &why) => {
                    return Err(why.or_left_out());
                }
                Entry::File(file) if self.part.is_some_and(|part| file.identity().size > part) => {
                    Entry::File(with_samples(file))
                }
                Entry::File(_) | Entry::Stream(_) | Entry::Unreadable { .. } => entry,
            };
            line(&entry)?.map_or(Ok(()), |line| to(&line))?;
        }
        Ok(Some(Value::Null))
    }

    fn find_in(&mut self, path: &Path, _parts: &Value) -> Result<()> {
        self.kept = Some(path.to_path_buf());
        Ok(())
    }
}

impl Listing for TreeListing {
    type Task = Portion;

    fn described(&self) -> Result<Value> {
        let described = Described {
            roots: self.tree.roots(),
            part: self.tree.part,
            together: self.tree.together,
            contents: self.by_contents,
        };
        serde_json::to_value(described).map_err(|e| Error::broken("inputs", e))
    }

    fn sentences(&self) -> Vec<String> {
        if self.by_contents && self.again > 0 { vec![READS_AGAIN.to_string()] } else { Vec::new() }
    }

    /// Lists again the files that are done: one `stat` for each, and nothing is read unless contents are compared.
    fn mark_before(&mut self, cx: &ListContext<'_>) -> Result<Option<Mark>> {
        let mut mark = None;
        for _ in 0..std::mem::take(&mut self.again) {
            match self.list(cx)? {
                Some(listed) => mark = listed.mark,
                // There are fewer tasks than before: the mark equals no other.
                None => return Ok(Some(self.mark())),
            }
        }
        Ok(mark)
    }

    fn last_look(&self) -> Option<LastLook> {
        Some(self.grown.last_look(None))
    }

    fn what_changed(&self) -> String {
        match self.by_contents {
            true => other_contents(&self.tree.roots, &[]),
            false => {
                let roots: Vec<String> =
                    self.tree.roots.iter().map(|root| root.display().to_string()).collect();
                let last = match &self.entries {
                    Entries::Walk(walk) => walk.changed_last(),
                    Entries::Kept(_) => None,
                };
                let last = last.map(|path| format!("; {} was changed last", path.display()));
                format!(
                    "the files of {} are not what they were{}: they differ",
                    roots.join(", "),
                    last.unwrap_or_default()
                )
            }
        }
    }

    fn next(&mut self, cx: &ListContext<'_>) -> Result<Option<Listed<Portion>>> {
        self.list(cx)
    }
}

#[cfg(test)]
mod tests;
