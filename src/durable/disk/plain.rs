//! Regular files of a bounded size, and nothing else.
//!
//! A name in a directory that others can reach may have become a link to `/dev/zero`, a FIFO without a writer, or a file
//! with a hole of twenty gigabytes. A program that opens such a file waits for ever or runs out of memory. So each file is
//! checked before and after it is opened, and read up to a bound.

use super::{Dir, DiskFile, Facts, Open, if_there};
use crate::error::{At, Error, Result};
use std::path::Path;

/// Opens the regular file `name` in `dir`, which is at `path`. `None`: it is not there, or with
/// [`Open::Create`] the directory itself is gone. Refused if it is anything else than a regular file.
pub(crate) fn open_plain(
    dir: &dyn Dir,
    path: &Path,
    name: &str,
    how: Open,
) -> Result<Option<Box<dyn DiskFile>>> {
    look_plain(dir, path, name)?;
    let path = path.join(name);
    let opened = if_there(dir.open(name.as_ref(), how)).at(&path, "open")?;
    if let Some(file) = &opened {
        refuse_unless_plain(&file.facts().at(&path, "open")?, &path)?;
    }
    Ok(opened)
}

/// The facts about the regular file `name` in `dir`; `None` if it is not there. Anything but a regular file is refused.
pub(crate) fn look_plain(dir: &dyn Dir, path: &Path, name: &str) -> Result<Option<Facts>> {
    let path = path.join(name);
    let there = dir.facts(name.as_ref()).at(&path, "look at")?;
    there.as_ref().map_or(Ok(()), |facts| refuse_unless_plain(facts, &path))?;
    Ok(there)
}

fn refuse_unless_plain(facts: &Facts, path: &Path) -> Result<()> {
    let what = match facts {
        Facts { is_file: true, .. } => return Ok(()),
        Facts { is_dir: true, .. } => "is a directory, and not a file",
        Facts { .. } => "is not a regular file but a link, a pipe, a socket or a device",
    };
    Err(Error::refused(path.display(), what).advise("nothing was changed; look at what it is"))
}

/// Reads all of the file `name` in `dir` ([`open_plain`], [`read_up_to`]).
pub(crate) fn read_plain(dir: &dyn Dir, path: &Path, name: &str, most: u64) -> Result<Option<Vec<u8>>> {
    let Some(file) = open_plain(dir, path, name, Open::Read)? else { return Ok(None) };
    read_up_to(&*file, &path.join(name), most).map(Some)
}

/// Reads all of a file. Refuses one of more than `most` bytes. Errors name it by `path`.
pub(crate) fn read_up_to(file: &dyn DiskFile, path: &Path, most: u64) -> Result<Vec<u8>> {
    let too_long = |bytes: u64| {
        let problem = format_args!("has {bytes} bytes; a file of a state has {most} at the most");
        Error::refused(path.display(), problem).advise("nothing was changed; look at what it is")
    };
    let length = file.facts().at(path, "read")?.bytes;
    if length > most {
        return Err(too_long(length));
    }
    let mut bytes = Vec::new();
    let mut piece = vec![0; 64 << 10];
    loop {
        match file.read_at(&mut piece, bytes.len() as u64).at(path, "read")? {
            0 => return Ok(bytes),
            got => bytes.extend_from_slice(&piece[..got]),
        }
        if bytes.len() as u64 > most {
            return Err(too_long(bytes.len() as u64));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::disk::{Disk, OsDisk};
    use crate::error::Kind;
    use nix::sys::stat::Mode;
    use std::fs::{self, File};
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    #[test]
    fn only_a_regular_file_of_a_bounded_size_is_read() {
        let temp = tempfile::tempdir().unwrap();
        let at = |name: &str| temp.path().join(name);
        fs::write(at("good"), "12345").unwrap();
        fs::create_dir(at("directory")).unwrap();
        symlink("good", at("link")).unwrap();
        symlink("/dev/zero", at("zero")).unwrap();
        nix::unistd::mkfifo(&at("fifo"), Mode::S_IRWXU).unwrap();
        let _socket = UnixListener::bind(at("socket")).unwrap();
        File::create(at("huge")).unwrap().set_len(20 << 30).unwrap();
        let dir = OsDisk.open_dir(temp.path()).unwrap();
        let read = |name: &str, most| read_plain(&*dir, temp.path(), name, most);
        assert_eq!(read("good", 5).unwrap().unwrap(), b"12345");
        assert_eq!(read("missing", 5).unwrap(), None);
        assert_eq!(read("good", 4).unwrap_err().kind(), Kind::Refused);
        for name in ["directory", "link", "zero", "fifo", "socket", "huge"] {
            let error = read(name, 1 << 20).unwrap_err();
            assert_eq!(error.kind(), Kind::Refused, "{name}");
            assert!(error.to_string().contains(name), "{error}");
            for how in [Open::Read, Open::Write, Open::Create] {
                let opened = open_plain(&*dir, temp.path(), name, how);
                assert_eq!(opened.is_err(), name != "huge", "{name}");
            }
        }
    }
}
