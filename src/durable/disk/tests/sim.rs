//! A disk for tests that fails, tears and forgets.
//!
//! The obvious test for durability is to kill the program. That tests little: the kernel lives
//! on, and with it everything that was never synced. Real power cuts test the file system at
//! hand, which keeps more than it promises (ext4 and xfs happen to keep the name of a new file
//! when only the file is synced). This disk keeps exactly what is promised, and every mutating
//! call is numbered, so that a test can fail, tear or cut the power at each of them in turn.
//!
//! What [`SimDisk::reboot`] may do to what was not synced, by the toss of a seeded coin:
//! - each 512-byte sector of a file is old or new; a file that was growing has its old or its new
//!   length, or ends in garbage (file systems may settle the length before the content);
//! - each change of a directory has happened or not, each for itself; a rename is one change.
//!
//! A failed sync does what Linux does: it reports the failure once, takes the pages for clean, and the next
//! sync reports success although the disk never got them.

mod file;
mod node;

use crate::durable::disk::{Dir, Disk, DiskFile, Facts, Open};
use crate::sync::lock;
use file::SimFile;
use node::{Change, Coin, DirNode, FileNode, Node};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

const SECTOR: usize = 512;
const ROOT: u64 = 1;

/// What goes wrong. Operations that change something are counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Operation `at` fails with this errno; with `sticky` all later ones do too. Of a write, the
    /// first half is done.
    Fail { at: u64, errno: i32, sticky: bool },
    /// The power goes during write `at`: half is done (nothing, with `first`), and the sector at
    /// which it broke off is garbage, what it held before included.
    Tear { at: u64, first: bool },
    /// The power goes before operation `at`.
    Crash { at: u64 },
}

/// An operation that is silently left out: to see that a test would notice if the code forgot it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Omit {
    SyncData,
    SyncDir,
    Truncate,
}

/// See the [module](self). Clones are the same disk.
#[derive(Clone, Debug)]
pub(crate) struct SimDisk(Arc<Mutex<Core>>);

#[derive(Debug, Default)]
struct Core {
    nodes: BTreeMap<u64, Node>,
    made: u64,
    ops: u64,
    fault: Option<Fault>,
    omit: Option<Omit>,
    /// The power is off: everything fails, reading too.
    dead: bool,
    /// The name of what the last operation was to change; empty if that was a directory.
    here: OsString,
    /// Which open file holds the lock of which inode.
    locks: BTreeMap<u64, u64>,
    /// Open files that held a lock when the server gave the locks away; `None` on a local disk.
    fenced: Option<BTreeSet<u64>>,
}

/// How an operation goes.
enum Verdict {
    Done,
    Broken(io::Error),
    Torn { first: bool },
    Omitted,
}

impl SimDisk {
    pub(crate) fn new() -> Self {
        let nodes = BTreeMap::from([(ROOT, Node::Dir(DirNode::default()))]);
        Self(Arc::new(Mutex::new(Core { nodes, made: ROOT, ..Core::default() })))
    }

    /// Puts a file there, durably, with the directories above it.
    pub(crate) fn put(&self, path: impl AsRef<Path>, bytes: &[u8]) {
        let path = path.as_ref();
        self.make_dirs(path.parent().unwrap());
        let mut core = lock(&self.0);
        let dir = core.find(path.parent().unwrap()).unwrap();
        let file = FileNode {
            now: bytes.into(),
            safe: bytes.into(),
            mode: 0o644,
            safe_mode: 0o644,
            ..FileNode::default()
        };
        let ino = core.add(Node::File(file));
        core.dir(dir).unwrap().set_durably(path.file_name().unwrap(), ino);
    }

    /// Makes directories, durably.
    pub(crate) fn make_dirs(&self, path: impl AsRef<Path>) {
        let mut core = lock(&self.0);
        let mut above = ROOT;
        for name in names(path.as_ref()) {
            above = match core.dir(above).unwrap().now.get(name) {
                Some(ino) => *ino,
                None => {
                    let ino = core.add(Node::Dir(DirNode::default()));
                    core.dir(above).unwrap().set_durably(name, ino);
                    ino
                }
            };
        }
    }

    /// What a reader sees at this moment.
    pub(crate) fn read(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        let mut core = lock(&self.0);
        let ino = core.find(path.as_ref()).ok()?;
        core.file(ino).ok().map(|file| file.now.clone())
    }

    /// Number of operations so far that change something.
    pub(crate) fn ops(&self) -> u64 {
        lock(&self.0).ops
    }

    /// Counts from 0 again, with this fault ahead.
    pub(crate) fn plan(&self, fault: Fault) {
        let mut core = lock(&self.0);
        core.fault = Some(fault);
        core.ops = 0;
    }

    /// The name of what the operation was to change before which the power went.
    pub(crate) fn crashed_on(&self) -> Option<OsString> {
        let core = lock(&self.0);
        core.dead.then(|| core.here.clone())
    }

    /// From now on this disk is that of a file server.
    pub(crate) fn share(&self) {
        lock(&self.0).fenced.get_or_insert_default();
    }

    /// The server gives all locks away, and refuses every write through a file that held one, as a server of NFS 4
    /// does to a client whose lease has run out. Writes through other files, and changes of names, go through.
    pub(crate) fn lose_locks(&self) {
        let mut core = lock(&self.0);
        let held = std::mem::take(&mut core.locks).into_values();
        core.fenced.get_or_insert_default().extend(held);
    }

    /// Leaves something out from now on.
    pub(crate) fn omit(&self, what: Omit) {
        lock(&self.0).omit = Some(what);
    }

    /// The same disk in the hands of a new process: nothing is lost, locks are free, nothing is
    /// planned.
    pub(crate) fn restart(&self) -> Self {
        let core = lock(&self.0);
        let nodes = core.nodes.clone();
        Self(Arc::new(Mutex::new(Core { nodes, made: core.made, omit: core.omit, ..Core::default() })))
    }

    /// The disk after a power cut. A seed of 0 loses all that was not synced, 1 loses nothing,
    /// others toss a coin for each piece.
    pub(crate) fn reboot(&self, seed: u64) -> Self {
        let disk = self.restart();
        let mut coin = Coin { seed, state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1 };
        for node in lock(&disk.0).nodes.values_mut() {
            match node {
                Node::File(file) => file.lose_power(&mut coin),
                Node::Dir(dir) => dir.lose_power(&mut coin),
            }
        }
        disk
    }
}

fn errno(number: i32) -> io::Error {
    io::Error::from_raw_os_error(number)
}

/// The plain names of a path; the working directory is the root.
fn names(path: &Path) -> impl Iterator<Item = &OsStr> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name),
        Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => None,
    })
}

impl Core {
    fn add(&mut self, node: Node) -> u64 {
        self.made += 1;
        self.nodes.insert(self.made, node);
        self.made
    }

    fn alive(&self) -> io::Result<()> {
        if self.dead { Err(errno(libc::EIO)) } else { Ok(()) }
    }

    /// Counts an operation that changes something and says how it goes.
    fn step(&mut self, omitted_as: Option<Omit>) -> io::Result<Verdict> {
        self.alive()?;
        self.ops += 1;
        let now = self.ops;
        match self.fault {
            Some(Fault::Crash { at }) if now >= at => {
                self.dead = true;
                Err(errno(libc::EIO))
            }
            Some(Fault::Tear { at, first }) if now >= at => {
                self.dead = true;
                Ok(Verdict::Torn { first })
            }
            Some(Fault::Fail { at, errno: number, sticky }) if now == at || (sticky && now > at) => {
                Ok(Verdict::Broken(errno(number)))
            }
            Some(_) | None if omitted_as.is_some() && omitted_as == self.omit => Ok(Verdict::Omitted),
            Some(_) | None => Ok(Verdict::Done),
        }
    }

    /// An operation on a name that is done or not, with nothing in between.
    fn whole_step(&mut self, name: &OsStr) -> io::Result<()> {
        self.here = name.into();
        match self.step(None)? {
            Verdict::Done | Verdict::Omitted => Ok(()),
            Verdict::Broken(error) => Err(error),
            Verdict::Torn { .. } => Err(errno(libc::EIO)),
        }
    }

    fn file(&mut self, ino: u64) -> io::Result<&mut FileNode> {
        match self.nodes.get_mut(&ino) {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Dir(_)) => Err(errno(libc::EISDIR)),
            None => Err(errno(libc::ENOENT)),
        }
    }

    fn dir(&mut self, ino: u64) -> io::Result<&mut DirNode> {
        match self.nodes.get_mut(&ino) {
            Some(Node::Dir(dir)) => Ok(dir),
            Some(Node::File(_)) => Err(errno(libc::ENOTDIR)),
            None => Err(errno(libc::ENOENT)),
        }
    }

    fn look_up(&mut self, dir: u64, name: &OsStr) -> io::Result<u64> {
        self.dir(dir)?.now.get(name).copied().ok_or_else(|| errno(libc::ENOENT))
    }

    fn find(&mut self, path: &Path) -> io::Result<u64> {
        names(path).try_fold(ROOT, |dir, name| self.look_up(dir, name))
    }

    fn name_of(&self, ino: u64) -> OsString {
        let names = self.nodes.values().flat_map(|node| match node {
            Node::Dir(dir) => dir.now.iter().collect(),
            Node::File(_) => Vec::new(),
        });
        names.into_iter().find(|(_, named)| **named == ino).map(|(name, _)| name.clone()).unwrap_or_default()
    }

    fn facts(&self, ino: u64) -> io::Result<Facts> {
        let named = |node: &Node| match node {
            Node::Dir(dir) => dir.now.values().filter(|named| **named == ino).count(),
            Node::File(_) => 0,
        };
        let links = self.nodes.values().map(named).sum::<usize>() as u64;
        let (is_file, mode, bytes) = match self.nodes.get(&ino).ok_or_else(|| errno(libc::ENOENT))? {
            Node::File(file) => (true, file.mode, file.now.len() as u64),
            Node::Dir(_) => (false, 0o700, 0),
        };
        let uid = nix::unistd::geteuid().as_raw();
        Ok(Facts { is_file, is_dir: !is_file, links, mode, uid, bytes, id: (1, ino) })
    }
}

impl Disk for SimDisk {
    fn open_dir(&self, path: &Path) -> io::Result<Arc<dyn Dir>> {
        let mut core = lock(&self.0);
        core.alive()?;
        let ino = core.find(path)?;
        core.dir(ino)?;
        Ok(Arc::new(SimDir { disk: self.clone(), ino }))
    }
}

#[derive(Debug)]
struct SimDir {
    disk: SimDisk,
    ino: u64,
}

impl SimDir {
    fn core(&self) -> io::Result<MutexGuard<'_, Core>> {
        let core = lock(&self.disk.0);
        core.alive()?;
        Ok(core)
    }

    fn file(&self, core: &mut Core, ino: u64) -> io::Result<Box<dyn DiskFile>> {
        core.file(ino)?;
        core.made += 1;
        Ok(Box::new(SimFile { disk: self.disk.clone(), ino, handle: core.made }))
    }
}

impl Dir for SimDir {
    fn open(&self, name: &OsStr, how: Open) -> io::Result<Box<dyn DiskFile>> {
        let mut core = self.core()?;
        let mode = match (core.look_up(self.ino, name), how) {
            (Ok(_), Open::CreateNew(_)) => return Err(errno(libc::EEXIST)),
            (Ok(ino), Open::Read | Open::Write | Open::Create) => return self.file(&mut core, ino),
            (Err(error), Open::Read | Open::Write) => return Err(error),
            (Err(_), Open::Create) => 0o600,
            (Err(_), Open::CreateNew(mode)) => mode & !0o022,
        };
        core.whole_step(name)?;
        let ino = core.add(Node::File(FileNode { mode, safe_mode: mode, ..FileNode::default() }));
        core.dir(self.ino)?.change(Change::Set(name.into(), ino));
        self.file(&mut core, ino)
    }

    fn open_dir(&self, name: &OsStr) -> io::Result<Arc<dyn Dir>> {
        let mut core = self.core()?;
        let ino = core.look_up(self.ino, name)?;
        core.dir(ino)?;
        Ok(Arc::new(SimDir { disk: self.disk.clone(), ino }))
    }

    fn make_dir(&self, name: &OsStr) -> io::Result<()> {
        let mut core = self.core()?;
        if core.look_up(self.ino, name).is_ok() {
            return Err(errno(libc::EEXIST));
        }
        core.whole_step(name)?;
        let ino = core.add(Node::Dir(DirNode::default()));
        core.dir(self.ino)?.change(Change::Set(name.into(), ino));
        Ok(())
    }

    fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        let mut core = self.core()?;
        let ino = core.look_up(self.ino, from)?;
        core.whole_step(to)?;
        core.dir(self.ino)?.change(Change::Rename(from.into(), to.into(), ino));
        Ok(())
    }

    fn remove(&self, name: &OsStr) -> io::Result<()> {
        let mut core = self.core()?;
        let ino = core.look_up(self.ino, name)?;
        core.file(ino)?;
        core.whole_step(name)?;
        core.dir(self.ino)?.change(Change::Unset(name.into()));
        Ok(())
    }

    fn remove_dir(&self, name: &OsStr) -> io::Result<()> {
        let mut core = self.core()?;
        let ino = core.look_up(self.ino, name)?;
        if !core.dir(ino)?.now.is_empty() {
            return Err(errno(libc::ENOTEMPTY));
        }
        core.whole_step(name)?;
        core.dir(self.ino)?.change(Change::Unset(name.into()));
        Ok(())
    }

    fn facts(&self, name: &OsStr) -> io::Result<Option<Facts>> {
        let mut core = self.core()?;
        let found = core.look_up(self.ino, name).ok();
        found.map(|ino| core.facts(ino)).transpose()
    }

    /// There are no symlinks on this disk.
    fn read_link(&self, name: &OsStr) -> io::Result<PathBuf> {
        self.core()?.look_up(self.ino, name)?;
        Err(errno(libc::EINVAL))
    }

    fn own_facts(&self) -> io::Result<Facts> {
        self.core()?.facts(self.ino)
    }

    fn list(&self) -> io::Result<Vec<OsString>> {
        Ok(self.core()?.dir(self.ino)?.now.keys().cloned().collect())
    }

    fn sync(&self) -> io::Result<()> {
        let mut core = self.core()?;
        core.here = OsString::new();
        match core.step(Some(Omit::SyncDir))? {
            Verdict::Done => core.dir(self.ino)?.sync(),
            Verdict::Omitted => {}
            Verdict::Broken(error) => return Err(error),
            Verdict::Torn { .. } => return Err(errno(libc::EIO)),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(disk: &SimDisk, how: Open) -> Box<dyn DiskFile> {
        disk.open_dir(Path::new("d")).unwrap().open("f".as_ref(), how).unwrap()
    }

    #[test]
    fn what_is_synced_survives_and_the_rest_is_lost() {
        let disk = SimDisk::new();
        disk.put("d/f", b"old");
        let open = file(&disk, Open::Write);
        open.write_at(b"new content", 0).unwrap();
        assert_eq!(disk.read("d/f").unwrap(), b"new content");
        assert_eq!(disk.restart().read("d/f").unwrap(), b"new content");
        assert_eq!(disk.reboot(0).read("d/f").unwrap(), b"old");
        assert_eq!(disk.reboot(1).read("d/f").unwrap(), b"new content");
        open.sync_data().unwrap();
        for seed in 0..20 {
            assert_eq!(disk.reboot(seed).read("d/f").unwrap(), b"new content");
        }
    }

    #[test]
    fn sectors_are_lost_one_by_one_and_growing_files_end_in_garbage() {
        let disk = SimDisk::new();
        disk.put("d/f", &[b'o'; 2048]);
        file(&disk, Open::Write).write_at(&[b'n'; 4096], 0).unwrap();
        let outcomes: Vec<_> = (2..200).map(|seed| disk.reboot(seed).read("d/f").unwrap()).collect();
        assert!(outcomes.iter().any(|bytes| bytes.contains(&b'o') && bytes.contains(&b'n')));
        assert!(outcomes.iter().any(|bytes| bytes.len() > 4096), "longer than it ever was");
        assert!(outcomes.iter().any(|bytes| bytes.len() == 2048));
    }

    #[test]
    fn a_synced_file_without_a_synced_name_can_be_lost() {
        let disk = SimDisk::new();
        disk.make_dirs("d");
        file(&disk, Open::Create).sync_all().unwrap();
        assert_eq!(disk.reboot(0).read("d/f"), None);
        disk.open_dir(Path::new("d")).unwrap().sync().unwrap();
        assert_eq!(disk.reboot(0).read("d/f").unwrap(), b"");
    }

    #[test]
    fn a_failed_sync_loses_the_pages_and_the_second_one_lies() {
        let disk = SimDisk::new();
        disk.put("d/f", b"old");
        let open = file(&disk, Open::Write);
        open.write_at(b"new", 0).unwrap();
        disk.plan(Fault::Fail { at: 1, errno: libc::EIO, sticky: false });
        assert!(open.sync_data().is_err());
        open.sync_data().unwrap();
        assert_eq!(disk.read("d/f").unwrap(), b"new", "the page cache shows it");
        assert_eq!(disk.reboot(1).read("d/f").unwrap(), b"old", "the disk never got it");
    }

    #[test]
    fn faults_hit_the_planned_operation() {
        let disk = SimDisk::new();
        disk.put("d/f", &[b'o'; 600]);
        let open = file(&disk, Open::Write);
        disk.plan(Fault::Fail { at: 2, errno: libc::ENOSPC, sticky: true });
        open.write_at(b"a", 0).unwrap();
        for _ in 0..2 {
            assert_eq!(open.write_at(b"b", 0).unwrap_err().raw_os_error(), Some(libc::ENOSPC));
        }
        let disk = disk.reboot(0);
        let open = file(&disk, Open::Write);
        disk.plan(Fault::Tear { at: 1, first: true });
        assert!(open.write_at(b"xyz", 599).is_err());
        assert!(open.read_at(&mut [0], 0).is_err(), "the power is off");
        let torn = disk.reboot(0).read("d/f").unwrap();
        assert_eq!((torn[511], torn[512], torn.len()), (b'o', 0xEE, 600));
    }

    #[test]
    fn locks_are_held_by_open_files() {
        let disk = SimDisk::new();
        disk.put("d/f", b"");
        let (first, second) = (file(&disk, Open::Write), file(&disk, Open::Write));
        assert!(first.try_lock().unwrap() && first.try_lock().unwrap());
        assert!(!second.try_lock().unwrap());
        drop(first);
        assert!(second.try_lock().unwrap());
    }
}
