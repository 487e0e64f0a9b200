//! Whether a file is still the file that it was.
//!
//! The obvious way is to compare contents; but that means reading a terabyte in order to skip
//! reading a terabyte. What `make` does, comparing the modification time, is fooled by `touch -r`
//! and by a copy over the file within the same clock tick. So four facts are compared, of which
//! the last cannot be set by any program: inode, size, modification time and change time, both in
//! nanoseconds. The price is a refusal after a harmless `chmod`, which is the right side to err on.
//!
//! The device is written down and not compared. The kernel numbers file systems without a device of
//! their own (NFS, btrfs, overlays) as they are mounted, so the same file has another number on
//! another host, or after a reboot. git leaves it out for the same reason.

use rustix::fs::Stat;
use serde::{Deserialize, Serialize};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What identifies the contents of a file without reading them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The path as the user gave it, or as the walk found it.
    #[serde(with = "path_text")]
    pub path: PathBuf,
    /// The device it was on. Never compared: it differs from host to host.
    #[serde(default)]
    pub device: u64,
    /// Its number on that device.
    pub inode: u64,
    /// Length in bytes.
    pub size: u64,
    /// When the contents were last modified, in nanoseconds since 1970.
    pub modified_ns: i128,
    /// When contents or status were last changed, in nanoseconds since 1970.
    pub changed_ns: i128,
}

/// What [`Identity::compare`] finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// All four facts agree.
    Same,
    /// The same file, and longer than before: what was there may well be as it was, as with a log
    /// that is appended to.
    Grew,
    /// Another file, or other contents; the text completes "FILE: …".
    Changed(String),
}

/// The facts alone, whichever call they came from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    device: u64,
    inode: u64,
    pub(super) size: u64,
    modified_ns: i128,
    pub(super) changed_ns: i128,
}

impl Facts {
    /// With the path at which they were found.
    pub(super) fn at(self, path: impl Into<PathBuf>) -> Identity {
        let Self { device, inode, size, modified_ns, changed_ns } = self;
        Identity { path: path.into(), device, inode, size, modified_ns, changed_ns }
    }

    pub(super) fn compare(self, now: Facts) -> Comparison {
        if self.inode != now.inode {
            return Comparison::Changed("is another file now (it was replaced)".into());
        }
        if now.size > self.size {
            return Comparison::Grew;
        }
        if now.size < self.size {
            return Comparison::Changed(format!("shrank from {} to {} bytes", self.size, now.size));
        }
        if self.modified_ns != now.modified_ns {
            return Comparison::Changed("was modified".into());
        }
        if self.changed_ns != now.changed_ns {
            return Comparison::Changed(
                "was written to, or its mode, owner or links were changed (its change time differs)".into(),
            );
        }
        Comparison::Same
    }
}

impl From<&Metadata> for Facts {
    fn from(facts: &Metadata) -> Self {
        Self {
            device: facts.dev(),
            inode: facts.ino(),
            size: facts.size(),
            modified_ns: nanoseconds(facts.mtime().into(), facts.mtime_nsec().into()),
            changed_ns: nanoseconds(facts.ctime().into(), facts.ctime_nsec().into()),
        }
    }
}

impl From<&Stat> for Facts {
    fn from(facts: &Stat) -> Self {
        Self {
            device: facts.st_dev,
            inode: facts.st_ino,
            size: facts.st_size.cast_unsigned(),
            modified_ns: nanoseconds(facts.st_mtime.into(), facts.st_mtime_nsec.into()),
            changed_ns: nanoseconds(facts.st_ctime.into(), facts.st_ctime_nsec.into()),
        }
    }
}

fn nanoseconds(seconds: i128, nanoseconds: i128) -> i128 {
    seconds * 1_000_000_000 + nanoseconds
}

impl Identity {
    /// Takes the facts from `stat(2)` or `fstat(2)`.
    pub fn of(path: &Path, facts: &Metadata) -> Self {
        Facts::from(facts).at(path)
    }

    pub(super) fn facts(&self) -> Facts {
        let &Self { device, inode, size, modified_ns, changed_ns, path: _ } = self;
        Facts { device, inode, size, modified_ns, changed_ns }
    }

    /// Compares what was stored with what is there `now`. The paths are not compared.
    pub fn compare(&self, now: &Identity) -> Comparison {
        self.facts().compare(now.facts())
    }
}

/// Stores a path in JSON without loss: text where it is text, otherwise its bytes in base64. A
/// path on Unix is any bytes but NUL, and "�" cannot be opened. For
/// `#[serde(with = "path_text")]`.
pub mod path_text {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
    use std::ffi::OsString;
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    use std::path::{Path, PathBuf};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Text {
        Plain(String),
        Bytes { base64: String },
    }

    /// Writes a path.
    ///
    /// # Errors
    ///
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
        match path.to_str() {
            Some(text) => Text::Plain(text.to_string()),
            None => Text::Bytes { base64: STANDARD.encode(path.as_os_str().as_bytes()) },
        }
        .serialize(to)
    }

    /// Reads a path.
    ///
    /// # Errors
    ///
    /// It is neither a text nor base64.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
        Ok(match Text::deserialize(from)? {
            Text::Plain(text) => PathBuf::from(text),
            Text::Bytes { base64 } => {
                PathBuf::from(OsString::from_vec(STANDARD.decode(base64).map_err(D::Error::custom)?))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;

    fn identity(path: &Path) -> Identity {
        Identity::of(path, &fs::metadata(path).unwrap())
    }

    #[test]
    fn an_appended_file_grew_and_any_other_write_changed_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, "abc").unwrap();
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
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, "abc").unwrap();
        let before = identity(&path);
        let mut after = before.clone();
        after.changed_ns += 1;
        assert!(matches!(before.compare(&after), Comparison::Changed(_)));
    }

    #[test]
    fn another_number_of_the_device_is_no_change_and_may_be_missing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, "abc").unwrap();
        let mut stored = identity(&path);
        stored.device += 1;
        assert_eq!(stored.compare(&identity(&path)), Comparison::Same);
        let mut text = serde_json::to_value(&stored).unwrap();
        text.as_object_mut().unwrap().remove("device");
        let without: Identity = serde_json::from_value(text).unwrap();
        assert_eq!(without.compare(&identity(&path)), Comparison::Same);
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
