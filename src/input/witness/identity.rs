//! The first strength of a witness: what `stat(2)` says.
//!
//! `make` compares the modification time. But `touch -r` sets that to anything, and a copy over the file
//! within one clock tick leaves it as it was. So four facts are compared: inode, size, modification time and
//! change time, both in nanoseconds. No program can set the change time. The price is a refusal after a
//! harmless `chmod`, which is the right side to err on.
//!
//! The device is not compared. The kernel numbers file systems without a device of their own (NFS,
//! btrfs, overlays) as they are mounted, so the same file has another number on another host, or after a
//! reboot. git leaves it out for the same reason.

use crate::input::path_text;
use rustix::fs::Stat;
use serde::{Deserialize, Serialize};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The facts that identify the contents of a file without reading them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[doc(hidden)]
pub struct Identity {
    /// The path as the user gave it, or as the walk found it.
    #[serde(with = "path_text")]
    pub path: PathBuf,
    /// Its number on its device.
    pub inode: u64,
    /// Length in bytes.
    pub size: u64,
    /// When the contents were last modified, in nanoseconds since 1970.
    pub modified_ns: i128,
    /// When contents or status were last changed, in nanoseconds since 1970.
    pub changed_ns: i128,
}

/// The result of [`Identity::compare`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[doc(hidden)]
pub enum Comparison {
    /// All four facts agree.
    Same,
    /// The same file, and longer than before: its old part may well be as it was, as in a log.
    Grew,
    /// Another file, or other contents; the text completes "FILE: …".
    Changed(String),
}

/// An [`Identity`] without its path: it is copied, and taken after every read.
#[derive(Clone, Copy, Debug)]
pub(in crate::input) struct FileStat {
    inode: u64,
    pub(in crate::input) size: u64,
    modified_ns: i128,
    pub(in crate::input) changed_ns: i128,
}

impl FileStat {
    pub(in crate::input) fn at(self, path: impl Into<PathBuf>) -> Identity {
        let Self { inode, size, modified_ns, changed_ns } = self;
        Identity { path: path.into(), inode, size, modified_ns, changed_ns }
    }

    pub(super) fn compare(self, now: Self) -> Comparison {
        let changed = |how: &str| Comparison::Changed(how.to_string());
        if self.inode != now.inode {
            return changed("is another file now (it was replaced)");
        }
        if now.size > self.size {
            return Comparison::Grew;
        }
        if now.size < self.size {
            return Comparison::Changed(format!("shrank from {} to {} bytes", self.size, now.size));
        }
        if self.modified_ns != now.modified_ns {
            return changed("was modified");
        }
        if self.changed_ns != now.changed_ns {
            return changed("was written to, or its mode or owner changed (its ctime differs)");
        }
        Comparison::Same
    }
}

impl From<&Metadata> for FileStat {
    fn from(stat: &Metadata) -> Self {
        Self {
            inode: stat.ino(),
            size: stat.size(),
            modified_ns: nanoseconds(stat.mtime().into(), stat.mtime_nsec().into()),
            changed_ns: nanoseconds(stat.ctime().into(), stat.ctime_nsec().into()),
        }
    }
}

impl From<&Stat> for FileStat {
    fn from(stat: &Stat) -> Self {
        Self {
            inode: stat.st_ino,
            size: stat.st_size.cast_unsigned(),
            modified_ns: nanoseconds(stat.st_mtime.into(), stat.st_mtime_nsec.into()),
            changed_ns: nanoseconds(stat.st_ctime.into(), stat.st_ctime_nsec.into()),
        }
    }
}

fn nanoseconds(seconds: i128, nanoseconds: i128) -> i128 {
    seconds * 1_000_000_000 + nanoseconds
}

impl Identity {
    /// Takes the facts from `stat(2)` or `fstat(2)`.
    pub fn of(path: &Path, stat: &Metadata) -> Self {
        FileStat::from(stat).at(path)
    }

    pub(in crate::input) fn stat(&self) -> FileStat {
        let &Self { inode, size, modified_ns, changed_ns, path: _ } = self;
        FileStat { inode, size, modified_ns, changed_ns }
    }

    /// Compares the stored facts with those of `now`. The paths are not compared.
    pub fn compare(&self, now: &Identity) -> Comparison {
        self.stat().compare(now.stat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::testing::file_with;
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;

    fn identity(path: &Path) -> Identity {
        Identity::of(path, &fs::metadata(path).unwrap())
    }

    #[test]
    fn an_appended_file_grew_and_any_other_write_changed_it() {
        let (dir, path) = file_with("abc");
        let before = identity(&path);
        assert_eq!(before.compare(&identity(&path)), Comparison::Same);

        fs::write(&path, "abcd").unwrap();
        assert_eq!(before.compare(&identity(&path)), Comparison::Grew);
        fs::write(&path, "ab").unwrap();
        assert!(
            matches!(before.compare(&identity(&path)), Comparison::Changed(why) if why.contains("shrank"))
        );

        let replacement = dir.path().join("g");
        fs::write(&replacement, "abc").unwrap();
        fs::rename(&replacement, &path).unwrap();
        assert!(
            matches!(before.compare(&identity(&path)), Comparison::Changed(why) if why.contains("another"))
        );
    }

    #[test]
    fn a_change_that_hides_behind_a_reset_modification_time_is_seen() {
        let (_dir, path) = file_with("abc");
        let before = identity(&path);
        let mut after = before.clone();
        after.changed_ns += 1;
        assert!(matches!(before.compare(&after), Comparison::Changed(_)));
    }

    #[test]
    fn any_path_survives_json() {
        let dir = tempfile::tempdir().unwrap();
        for name in [&b"plain"[..], b"with \"quotes\"\n", b"\xff\xfe not text"] {
            let path = dir.path().join(OsStr::from_bytes(name));
            fs::write(&path, "").unwrap();
            let stored = identity(&path);
            let text = serde_json::to_string(&stored).unwrap();
            assert_eq!(serde_json::from_str::<Identity>(&text).unwrap(), stored, "{text}");
        }
    }
}
