//! `--results DIR`: what each command printed, in files of its own.
//!
//! ```text
//! DIR/17/stdout   DIR/17/stderr   DIR/17/code   DIR/17/item
//! ```
//!
//! GNU parallel names the directories after the items, which are then escaped, cut, and two of them the
//! same. A number is short, and never the same; the item stands in a file.
//!
//! While the command runs its directory is called `.17.part`, and gets its name when everything is in
//! it. So what was interrupted, by SIGKILL too, leaves nothing that looks finished, and what is left of
//! it goes when the item runs again.

use bivouac::journal::Outcome;
use bivouac::{Committed, Error, Result, Sink, Wake};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const STDOUT: &str = "stdout";
const STDERR: &str = "stderr";
const CODE: &str = "code";
const ITEM: &str = "item";

/// The directory of all results.
#[derive(Clone, Debug)]
pub(crate) struct Results {
    dir: Arc<Path>,
}

/// The files of one command.
#[derive(Debug)]
pub(crate) struct Kept {
    part: PathBuf,
    name: PathBuf,
    /// Standard output and standard error, until they are closed.
    files: Option<(File, File)>,
}

impl Results {
    /// Makes the directory.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    pub(crate) fn new(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir)
            .map_err(|e| Error::io(dir, "make the directory", &e).with_kind(bivouac::error::Kind::Usage))?;
        Ok(Self { dir: dir.into() })
    }

    /// Opens the files for command `number`, from 1. What an earlier attempt has left goes.
    ///
    /// # Errors
    ///
    /// They cannot be made, or their place is taken by something that is not ours.
    pub(crate) fn begin(&self, number: u64, item: &[u8]) -> Result<Kept> {
        let name = self.dir.join(number.to_string());
        let part = self.dir.join(format!(".{number}.part"));
        remove(&part).and_then(|()| remove(&name))?;
        fs::create_dir(&part).map_err(|e| Error::io(&part, "make the directory", &e))?;
        let create = |file: &str| {
            let path = part.join(file);
            File::create(&path).map_err(|e| Error::io(&path, "create", &e))
        };
        let (stdout, stderr) = (create(STDOUT)?, create(STDERR)?);
        create(ITEM)?.write_all(item).map_err(|e| Error::io(&part.join(ITEM), "write", &e))?;
        Ok(Kept { part, name, files: Some((stdout, stderr)) })
    }
}

impl Kept {
    pub(crate) fn out(&mut self, bytes: &[u8]) -> Result<()> {
        let Some((stdout, _)) = &mut self.files else { return Ok(()) };
        stdout.write_all(bytes).map_err(|e| Error::io(&self.part.join(STDOUT), "write", &e))
    }

    pub(crate) fn err(&mut self, bytes: &[u8]) -> Result<()> {
        let Some((_, stderr)) = &mut self.files else { return Ok(()) };
        stderr.write_all(bytes).map_err(|e| Error::io(&self.part.join(STDERR), "write", &e))
    }

    /// Nothing more comes.
    pub(crate) fn close(&mut self) {
        self.files = None;
    }

    /// Everything is there; how the command ended, too.
    pub(crate) fn end(self, outcome: Outcome) -> Result<()> {
        let text = match outcome {
            Outcome::Done(code) | Outcome::Code(code) => format!("{code}\n"),
            Outcome::Signal(number) => match nix::sys::signal::Signal::try_from(number) {
                Ok(signal) => format!("{signal}\n"),
                Err(_) => format!("signal {number}\n"),
            },
            Outcome::TimedOut => "timeout\n".to_string(),
            Outcome::WantedTerminal => "wanted-terminal\n".to_string(),
            Outcome::Interrupted | Outcome::Open | Outcome::NotStarted => return remove(&self.part),
        };
        let code = self.part.join(CODE);
        fs::write(&code, text).map_err(|e| Error::io(&code, "write", &e))?;
        fs::rename(&self.part, &self.name).map_err(|e| Error::io(&self.name, "rename", &e))
    }
}

/// Removes our files and their directory, and nothing else.
fn remove(dir: &Path) -> Result<()> {
    let settle = |path: &Path, removed: io::Result<()>| match removed {
        Err(e) if !matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Err(Error::io(path, "remove", &e).advise("this place is for the results of a command"))
        }
        Ok(()) | Err(_) => Ok(()),
    };
    for file in [CODE, ITEM, STDERR, STDOUT] {
        let path = dir.join(file);
        settle(&path, fs::remove_file(&path))?;
    }
    settle(dir, fs::remove_dir(dir))
}

/// Files of results beside another sink. A record that says that a command has ended must not be more
/// durable than what the command printed; and flushing three files for every command would cost more
/// than most commands. So the whole file system is flushed, once for each checkpoint.
#[derive(Debug)]
pub(crate) struct Beside<S> {
    inner: S,
    dir: File,
    path: PathBuf,
}

impl<S> Beside<S> {
    /// # Errors
    ///
    /// The directory cannot be opened.
    pub(crate) fn new(inner: S, results: &Results) -> Result<Self> {
        let path = results.dir.to_path_buf();
        let dir = File::open(&path).map_err(|e| Error::io(&path, "open", &e))?;
        Ok(Self { inner, dir, path })
    }
}

impl<S: Sink> Sink for Beside<S> {
    fn interrupt_by(&mut self, wake: &Arc<Wake>) {
        self.inner.interrupt_by(wake);
    }

    fn may_give_up(&self) -> bool {
        self.inner.may_give_up()
    }

    fn may_begin(&self) -> Result<()> {
        self.inner.may_begin()
    }

    fn begin(&mut self, committed: Option<&Committed>) -> Result<()> {
        self.inner.begin(committed)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.inner.write(bytes)
    }

    fn make_durable(&mut self) -> Result<Committed> {
        rustix::fs::syncfs(&self.dir)
            .map_err(|e| Error::io(&self.path, "flush the file system", &e.into()))?;
        self.inner.make_durable()
    }

    fn publish(&mut self) -> Result<()> {
        self.inner.publish()
    }

    fn is_published(&mut self, committed: &Committed) -> Result<bool> {
        self.inner.is_published(committed)
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
        kept.end(Outcome::Code(7)).unwrap();
        assert_eq!(names(&place), ["3"]);
        for (file, text) in [("stdout", "out"), ("stderr", "err"), ("code", "7\n"), ("item", "a b\n")] {
            assert_eq!(fs::read_to_string(place.join("3").join(file)).unwrap(), text);
        }
        let interrupted = results.begin(3, b"a b\n").unwrap();
        interrupted.end(Outcome::Interrupted).unwrap();
        assert_eq!(names(&place), [] as [&str; 0]);
        drop(results.begin(4, b"x\n").unwrap()); // as SIGKILL leaves it
        results.begin(4, b"x\n").unwrap().end(Outcome::Signal(15)).unwrap();
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
}
