//! `--results DIR`: the output of each command, in files of its own.
//!
//! ```text
//! DIR/17/stdout   DIR/17/stderr   DIR/17/code   DIR/17/item
//! ```
//!
//! GNU parallel names the directories after the items, which are then escaped and cut, and two may become the same. A
//! number is short, and never the same; the item stands in a file.
//!
//! While the command runs its directory is called `.17.part`, and gets its name when everything is in it. So an
//! interrupted command, by SIGKILL too, leaves nothing that looks finished. Its rest goes when the item runs again.

use crate::jobs::attempts::Keep;
use bivouac::disk::{OsDisk, refuse_trap_at};
use bivouac::journal::Outcome;
use bivouac::{Committed, Error, Result, Sink, StopFd};
use rustix::fs::{AtFlags, Mode, OFlags, mkdirat, openat, renameat, unlinkat};
use rustix::io::{Errno, retry_on_intr};
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const STDOUT: &str = "stdout";
const STDERR: &str = "stderr";
const CODE: &str = "code";
const ITEM: &str = "item";

/// The directory of all results. It stays open, and everything below it goes by names in open directories: a
/// link that another user puts there is never followed.
#[derive(Clone, Debug)]
pub(crate) struct Results {
    dir: Arc<File>,
    path: Arc<Path>,
}

#[derive(Debug)]
pub(crate) struct Kept {
    results: Results,
    part: String,
    name: String,
    /// Standard output and standard error, until they are closed.
    files: Option<(File, File)>,
}

impl Results {
    pub(crate) fn new(path: &Path) -> Result<Self> {
        refuse_trap_at(&OsDisk, path)?;
        fs::create_dir_all(path).map_err(|e| Error::named(path, "make the directory", &e))?;
        let dir = File::open(path).map_err(|e| Error::named(path, "open", &e))?;
        Ok(Self { dir: Arc::new(dir), path: path.into() })
    }

    /// The file with the output of command `number`.
    pub(crate) fn stdout_of(&self, number: u64) -> PathBuf {
        self.path.join(number.to_string()).join(STDOUT)
    }

    /// Opens the files for command `number`, from 1. What an earlier attempt has left is removed, and nothing else.
    pub(crate) fn begin(&self, number: u64, item: &[u8]) -> Result<Kept> {
        let (name, part) = (number.to_string(), format!(".{number}.part"));
        self.remove(&part).and_then(|()| self.remove(&name))?;
        let failed = |step: &str, e: Errno| Error::io(&self.path.join(&part), step, &e.into());
        mkdirat(&self.dir, &part, Mode::from_raw_mode(0o777)).map_err(|e| failed("make the directory", e))?;
        let dir = open_dir(&self.dir, &part).map_err(|e| failed("open", e))?;
        let create = |file: &str| self.create(&dir, &part, file);
        let (stdout, stderr) = (create(STDOUT)?, create(STDERR)?);
        let written = create(ITEM)?.write_all(item);
        written.map_err(|e| Error::io(&self.path.join(&part).join(ITEM), "write", &e))?;
        Ok(Kept { results: self.clone(), part, name, files: Some((stdout, stderr)) })
    }

    fn create(&self, dir: &OwnedFd, part: &str, file: &str) -> Result<File> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        retry_on_intr(|| openat(dir, file, flags, Mode::from_raw_mode(0o666)))
            .map(File::from)
            .map_err(|e| Error::io(&self.path.join(part).join(file), "create", &e.into()))
    }

    /// Removes our files and their directory, and nothing else.
    fn remove(&self, name: &str) -> Result<()> {
        let settle = |file: &str, removed: rustix::io::Result<()>| match removed {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(e) => Err(Error::io(&self.path.join(name).join(file), "remove", &e.into())
                .advise("this place is for the results of a command")),
        };
        let dir = match open_dir(&self.dir, name) {
            Ok(dir) => dir,
            Err(e) => return settle("", Err(e)),
        };
        for file in [CODE, ITEM, STDERR, STDOUT] {
            settle(file, unlinkat(&dir, file, AtFlags::empty()))?;
        }
        settle("", unlinkat(&self.dir, name, AtFlags::REMOVEDIR))
    }
}

fn open_dir(above: &File, name: &str) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    retry_on_intr(|| openat(above, name, flags, Mode::empty()))
}

impl Kept {
    pub(crate) fn out(&mut self, bytes: &[u8]) -> Result<()> {
        let Some((stdout, _)) = &mut self.files else { return Ok(()) };
        stdout.write_all(bytes).map_err(|e| Error::io(&self.place(STDOUT), "write", &e))
    }

    pub(crate) fn err(&mut self, bytes: &[u8]) -> Result<()> {
        let Some((_, stderr)) = &mut self.files else { return Ok(()) };
        stderr.write_all(bytes).map_err(|e| Error::io(&self.place(STDERR), "write", &e))
    }

    /// Nothing more comes. How the command ended may count only later, and many such commands must not hold
    /// descriptors until then.
    pub(crate) fn close(&mut self) {
        self.files = None;
    }

    fn place(&self, file: &str) -> PathBuf {
        self.results.path.join(&self.part).join(file)
    }
}

impl Keep for Kept {
    /// Gives the directory its name: all output is in it, and it is known how the command ended.
    fn end(self: Box<Self>, outcome: Outcome) -> Result<()> {
        let text = match outcome {
            Outcome::Done(code) | Outcome::Code(code) => format!("{code}\n"),
            Outcome::Signal(number) => match nix::sys::signal::Signal::try_from(number) {
                Ok(signal) => format!("{signal}\n"),
                Err(_) => format!("signal {number}\n"),
            },
            Outcome::TimedOut => "timeout\n".to_string(),
            Outcome::WantedTerminal => "wanted-terminal\n".to_string(),
            Outcome::Interrupted | Outcome::Open | Outcome::NotStarted => {
                return self.results.remove(&self.part);
            }
        };
        let Self { results, part, name, .. } = &*self;
        let dir = open_dir(&results.dir, part).map_err(|e| Error::io(&self.place(""), "open", &e.into()))?;
        let written = results.create(&dir, part, CODE)?.write_all(text.as_bytes());
        written.map_err(|e| Error::io(&self.place(CODE), "write", &e))?;
        renameat(&results.dir, part, &results.dir, name)
            .map_err(|e| Error::io(&results.path.join(name), "rename", &e.into()))
    }
}

/// Files of results beside another sink. A record that says that a command has ended must not be more durable than its
/// output; and flushing three files for every command would cost more than most commands. So the whole file system is
/// flushed, once for each checkpoint.
#[derive(Debug)]
pub(crate) struct Beside<S> {
    inner: S,
    results: Results,
}

impl<S> Beside<S> {
    pub(crate) fn new(inner: S, results: &Results) -> Self {
        Self { inner, results: results.clone() }
    }
}

impl<S: Sink> Sink for Beside<S> {
    delegate::delegate! {
        to self.inner {
            fn interrupt_by(&mut self, stop: &Arc<StopFd>);
            fn may_give_up(&self) -> bool;
            fn may_begin(&self) -> Result<()>;
            fn may_go_on(&mut self, committed: &Committed) -> Result<()>;
            fn begin(&mut self, committed: Option<&Committed>) -> Result<()>;
            fn write(&mut self, bytes: &[u8]) -> Result<()>;
            fn publish(&mut self) -> Result<()>;
            fn is_published(&mut self, committed: &Committed) -> Result<bool>;
        }
    }

    fn make_durable(&mut self) -> Result<Committed> {
        rustix::fs::syncfs(&self.results.dir)
            .map_err(|e| Error::io(&self.results.path, "flush the file system", &e.into()))?;
        self.inner.make_durable()
    }
}

/// The bytes of an item as one line, for the file that names it.
pub(crate) fn item_line(words: &[Vec<u8>]) -> Vec<u8> {
    let mut line = words.join(&b' ');
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let entries =
            fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = entries.collect();
        names.sort();
        names
    }

    #[test]
    fn a_result_appears_when_it_is_complete_and_an_interrupted_one_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let results = Results::new(&dir.path().join("r")).unwrap();
        let place = dir.path().join("r");
        let mut kept = results.begin(3, b"a b\n").unwrap();
        kept.out(b"out").unwrap();
        kept.err(b"err").unwrap();
        assert_eq!(names(&place), [".3.part"]);
        Box::new(kept).end(Outcome::Code(7)).unwrap();
        assert_eq!(names(&place), ["3"]);
        for (file, text) in [("stdout", "out"), ("stderr", "err"), ("code", "7\n"), ("item", "a b\n")] {
            assert_eq!(fs::read_to_string(place.join("3").join(file)).unwrap(), text);
        }
        let interrupted = results.begin(3, b"a b\n").unwrap();
        Box::new(interrupted).end(Outcome::Interrupted).unwrap();
        assert_eq!(names(&place), [] as [&str; 0]);
        drop(results.begin(4, b"x\n").unwrap()); // as SIGKILL leaves it
        Box::new(results.begin(4, b"x\n").unwrap()).end(Outcome::Signal(15)).unwrap();
        assert_eq!(names(&place), ["4"]);
        assert_eq!(fs::read_to_string(place.join("4/code")).unwrap(), "SIGTERM\n");
    }

    #[test]
    fn what_is_not_a_result_is_not_removed() {
        let dir = tempfile::tempdir().unwrap();
        let results = Results::new(dir.path()).unwrap();
        fs::create_dir(dir.path().join("1")).unwrap();
        fs::write(dir.path().join("1/precious"), "p").unwrap();
        let error = results.begin(1, b"x\n").unwrap_err().to_string();
        assert!(error.contains("/1"), "{error}");
        assert_eq!(fs::read_to_string(dir.path().join("1/precious")).unwrap(), "p");
    }

    #[test]
    fn nothing_is_removed_or_written_through_a_link() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("elsewhere")).unwrap();
        for file in [STDOUT, STDERR, CODE, ITEM] {
            fs::write(dir.path().join("elsewhere").join(file), "precious").unwrap();
        }
        let place = dir.path().join("r");
        let results = Results::new(&place).unwrap();
        for name in ["2", ".2.part"] {
            std::os::unix::fs::symlink("../elsewhere", place.join(name)).unwrap();
            let error = results.begin(2, b"x\n").unwrap_err().to_string();
            assert!(error.contains(&format!("/{name}")), "{error}");
            fs::remove_file(place.join(name)).unwrap();
        }
        assert_eq!(names(&dir.path().join("elsewhere")), [CODE, ITEM, STDERR, STDOUT]);
        assert_eq!(fs::read_to_string(dir.path().join("elsewhere/stdout")).unwrap(), "precious");
    }
}
