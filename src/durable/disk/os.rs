//! The disk of the operating system.
//!
//! The standard library opens files by path, and every call looks the path up again: between "is it a regular file?" and
//! "open it" another process may put a symlink there. So everything below the top goes through the `*at()` calls, relative
//! to a directory that stays open, and with `O_NOFOLLOW`. An open file has no such gap, and the standard library repeats
//! interrupted calls and short writes.

use super::{Dir, Disk, DiskFile, Facts, Open, if_there};
use nix::dir::Dir as Entries;
use nix::errno::Errno;
use nix::fcntl::{self, AtFlags, OFlag};
use nix::sys::stat::{self, FileStat, Mode, SFlag};
use nix::unistd::{UnlinkatFlags, unlinkat};
use rustix::buffer::spare_capacity;
use rustix::fs::fstatfs;
use rustix::io::{pread, retry_on_intr};
use std::ffi::{OsStr, OsString};
use std::fs::{File, Permissions, TryLockError};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The real disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsDisk;

#[derive(Debug)]
struct OsDir(OwnedFd);

#[derive(Debug)]
struct OsFile(File);

/// The types that `statfs(2)` reports for NFS, SMB, CIFS, FUSE, Lustre, GPFS, CephFS and BeeGFS.
const REMOTE: [u32; 8] =
    [0x6969, 0xFE53_4D42, 0xFF53_4D42, 0x6573_5546, 0x0BD0_0BD0, 0x4750_4653, 0x00C3_6400, 0x1983_0326];

/// A file without a name, in the system's place for such files.
pub(crate) fn nameless() -> io::Result<Box<dyn DiskFile>> {
    Ok(Box::new(OsFile(tempfile::tempfile()?)))
}

/// No child gets a descriptor of ours, none becomes a terminal, and `open` does not hang on a FIFO.
const ALWAYS: OFlag = OFlag::O_CLOEXEC.union(OFlag::O_NOCTTY).union(OFlag::O_NONBLOCK);

const DIRECTORY: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);

/// Signals interrupt slow calls even with `SA_RESTART` on some file systems.
fn uninterrupted<T>(mut call: impl FnMut() -> nix::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            done => return done.map_err(io::Error::from),
        }
    }
}

impl Disk for OsDisk {
    fn open_dir(&self, path: &Path) -> io::Result<Arc<dyn Dir>> {
        let dir = uninterrupted(|| fcntl::open(path, DIRECTORY, Mode::empty()))?;
        Ok(Arc::new(OsDir(dir)))
    }
}

impl Dir for OsDir {
    fn open(&self, name: &OsStr, how: Open) -> io::Result<Box<dyn DiskFile>> {
        let (flags, mode) = match how {
            Open::Read => (OFlag::O_RDONLY, 0),
            Open::Write => (OFlag::O_RDWR, 0),
            Open::Create => (OFlag::O_RDWR | OFlag::O_CREAT, 0o600),
            Open::CreateNew(mode) => (OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL, mode),
        };
        let flags = flags | OFlag::O_NOFOLLOW | ALWAYS;
        let file = uninterrupted(|| fcntl::openat(&self.0, name, flags, Mode::from_bits_truncate(mode)))?;
        Ok(Box::new(OsFile(File::from(file))))
    }

    fn open_dir(&self, name: &OsStr) -> io::Result<Arc<dyn Dir>> {
        let flags = DIRECTORY | OFlag::O_NOFOLLOW;
        let dir = uninterrupted(|| fcntl::openat(&self.0, name, flags, Mode::empty()))?;
        Ok(Arc::new(OsDir(dir)))
    }

    fn make_dir(&self, name: &OsStr) -> io::Result<()> {
        uninterrupted(|| stat::mkdirat(&self.0, name, Mode::S_IRWXU))
    }

    fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        uninterrupted(|| fcntl::renameat(&self.0, from, &self.0, to))
    }

    fn remove(&self, name: &OsStr) -> io::Result<()> {
        uninterrupted(|| unlinkat(&self.0, name, UnlinkatFlags::NoRemoveDir))
    }

    fn remove_dir(&self, name: &OsStr) -> io::Result<()> {
        uninterrupted(|| unlinkat(&self.0, name, UnlinkatFlags::RemoveDir))
    }

    fn facts(&self, name: &OsStr) -> io::Result<Option<Facts>> {
        let found = uninterrupted(|| stat::fstatat(&self.0, name, AtFlags::AT_SYMLINK_NOFOLLOW));
        Ok(if_there(found)?.map(|stat| facts(&stat)))
    }

    fn read_link(&self, name: &OsStr) -> io::Result<PathBuf> {
        uninterrupted(|| fcntl::readlinkat(&self.0, name)).map(PathBuf::from)
    }

    fn own_facts(&self) -> io::Result<Facts> {
        uninterrupted(|| stat::fstat(&self.0)).map(|stat| facts(&stat))
    }

    fn list(&self) -> io::Result<Vec<OsString>> {
        // A description of its own, with its own position: two listings of one would disturb each other.
        let mut entries = uninterrupted(|| Entries::openat(&self.0, ".", DIRECTORY, Mode::empty()))?;
        let mut names = Vec::new();
        for entry in entries.iter() {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." {
                names.push(name.to_os_string());
            }
        }
        names.sort();
        Ok(names)
    }

    fn sync(&self) -> io::Result<()> {
        uninterrupted(|| nix::unistd::fsync(&self.0))
    }
}

impl DiskFile for OsFile {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        loop {
            match self.0.read_at(buf, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }

    /// Into memory that is not filled with zeros before.
    fn read_exact(&self, bytes: usize, offset: u64) -> io::Result<Option<Vec<u8>>> {
        let mut all = Vec::with_capacity(bytes);
        while all.len() < bytes {
            let at = offset + all.len() as u64;
            if retry_on_intr(|| pread(&self.0, spare_capacity(&mut all), at))? == 0 {
                return Ok(None);
            }
        }
        all.truncate(bytes);
        Ok(Some(all))
    }

    #[allow(clippy::unnecessary_cast, reason = "the field has another width elsewhere")]
    fn is_remote(&self) -> bool {
        fstatfs(&self.0).is_ok_and(|system| REMOTE.contains(&(system.f_type as u32)))
    }

    fn facts(&self) -> io::Result<Facts> {
        uninterrupted(|| stat::fstat(&self.0)).map(|stat| facts(&stat))
    }

    fn set_mode(&self, mode: u32) -> io::Result<()> {
        self.0.set_permissions(Permissions::from_mode(mode))
    }

    delegate::delegate! {
        to self.0 {
            #[call(write_all_at)]
            fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
            #[call(set_len)]
            fn truncate(&self, bytes: u64) -> io::Result<()>;
            fn sync_data(&self) -> io::Result<()>;
            fn sync_all(&self) -> io::Result<()>;
        }
    }

    /// This is `flock`: it ends with the open file, also after SIGKILL, and needs no rule for stale locks.
    fn try_lock(&self) -> io::Result<bool> {
        match self.0.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

/// The widths of these fields differ between architectures, hence the casts.
#[allow(clippy::unnecessary_cast, reason = "the fields have other widths elsewhere")]
fn facts(stat: &FileStat) -> Facts {
    let kind = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT;
    Facts {
        is_file: kind == SFlag::S_IFREG,
        is_dir: kind == SFlag::S_IFDIR,
        links: stat.st_nlink as u64,
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        bytes: stat.st_size as u64,
        id: (stat.st_dev as u64, stat.st_ino as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn setup() -> (tempfile::TempDir, Arc<dyn Dir>) {
        let temp = tempfile::tempdir().unwrap();
        let dir = OsDisk.open_dir(temp.path()).unwrap();
        (temp, dir)
    }

    #[test]
    fn what_is_written_at_an_offset_is_read_back_and_cut() {
        let (_temp, dir) = setup();
        let file = dir.open("f".as_ref(), Open::CreateNew(0o600)).unwrap();
        file.write_at(b"world", 6).unwrap();
        file.write_at(b"hello ", 0).unwrap();
        file.sync_data().unwrap();
        file.truncate(8).unwrap();
        file.sync_all().unwrap();
        dir.sync().unwrap();
        assert_eq!(super::super::read_up_to(&*file, Path::new("f"), 8).unwrap(), b"hello wo");
        assert_eq!(file.read_exact(4, 4).unwrap().as_deref(), Some(&b"o wo"[..]));
        assert_eq!(file.read_exact(4, 5).unwrap(), None);
        assert_eq!(file.facts().unwrap(), dir.facts("f".as_ref()).unwrap().unwrap());
        assert_eq!(file.facts().unwrap().bytes, 8);
    }

    #[test]
    fn no_symlink_below_the_top_is_followed() {
        let (temp, dir) = setup();
        std::fs::write(temp.path().join("target"), "kept").unwrap();
        std::fs::create_dir(temp.path().join("dir")).unwrap();
        symlink("target", temp.path().join("file-link")).unwrap();
        symlink("dir", temp.path().join("dir-link")).unwrap();
        for how in [Open::Read, Open::Write, Open::Create] {
            let error = dir.open("file-link".as_ref(), how).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::ELOOP), "{how:?}");
        }
        assert!(dir.open_dir("dir-link".as_ref()).is_err());
        let facts = dir.facts("file-link".as_ref()).unwrap().unwrap();
        assert!(!facts.is_file && !facts.is_dir);
        assert_eq!(dir.read_link("file-link".as_ref()).unwrap(), Path::new("target"));
        assert_eq!(dir.read_link("target".as_ref()).unwrap_err().raw_os_error(), Some(libc::EINVAL));
    }

    #[test]
    fn a_fifo_in_place_of_a_file_does_not_hang_the_open() {
        let (temp, dir) = setup();
        nix::unistd::mkfifo(&temp.path().join("fifo"), Mode::S_IRWXU).unwrap();
        assert!(!dir.open("fifo".as_ref(), Open::Read).unwrap().facts().unwrap().is_file);
    }

    #[test]
    fn names_are_listed_renamed_and_removed() {
        let (_temp, dir) = setup();
        dir.make_dir("d".as_ref()).unwrap();
        dir.open("b".as_ref(), Open::Create).unwrap();
        dir.open("a".as_ref(), Open::Create).unwrap();
        assert_eq!(dir.list().unwrap(), ["a", "b", "d"]);
        assert_eq!(dir.list().unwrap(), ["a", "b", "d"], "a second listing starts at the beginning");
        dir.rename("b".as_ref(), "a".as_ref()).unwrap();
        dir.remove_dir("d".as_ref()).unwrap();
        assert_eq!(dir.list().unwrap(), ["a"]);
        dir.remove("a".as_ref()).unwrap();
        assert_eq!(dir.facts("a".as_ref()).unwrap(), None);
        assert!(dir.open("a".as_ref(), Open::Write).is_err());
    }

    #[test]
    fn modes_are_as_asked_and_an_existing_name_is_not_made_again() {
        let (_temp, dir) = setup();
        let file = dir.open("f".as_ref(), Open::CreateNew(0o600)).unwrap();
        assert_eq!(file.facts().unwrap().mode, 0o600);
        file.set_mode(0o640).unwrap();
        assert_eq!(file.facts().unwrap().mode, 0o640);
        let again = dir.open("f".as_ref(), Open::CreateNew(0o600)).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        dir.make_dir("d".as_ref()).unwrap();
        assert_eq!(dir.facts("d".as_ref()).unwrap().unwrap().mode, 0o700);
    }

    #[test]
    fn the_lock_excludes_another_description_until_it_is_closed() {
        let (_temp, dir) = setup();
        let first = dir.open("lock".as_ref(), Open::Create).unwrap();
        let second = dir.open("lock".as_ref(), Open::Create).unwrap();
        assert!(first.try_lock().unwrap());
        assert!(!second.try_lock().unwrap());
        drop(first);
        assert!(second.try_lock().unwrap());
    }
}
