//! How a test talks to the program: a directory of its own, an environment of its own, and the
//! real binary with its real signals.
//!
//! ```text
//! let world = World::new();
//! world.text("big.txt");
//! world.bivouac("grep lock big.txt --output out --limit-rate 4MiB")
//!     .start()
//!     .until_checkpoint_at_least(2)
//!     .signal(SIGTERM)
//!     .wait()
//!     .expect_stopped_by(SIGTERM);
//! world.bivouac("grep lock big.txt --output out").run().expect_code(0);
//! ```
//!
//! **No test sleeps until the program is "surely ready".** With `--verbose` the program says on
//! standard error what it has just done, one line per event, and tests wait for that line, with a
//! deadline that is never reached unless something is broken.
//!
//! **Hermetic.** The environment is empty but for `PATH`, `HOME` and `LC_ALL`. The program is
//! started through `env --default-signal`, because a test run that was itself started in the
//! background (`cargo test &` in a script) has SIGINT and SIGQUIT ignored, hands that down, and
//! the program rightly leaves an ignored signal ignored.

use crate::data;
use crate::running::Running;
use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// The program under test.
pub(crate) const BIVOUAC: &str = env!("CARGO_BIN_EXE_bivouac");

/// Signals that must not arrive ignored (see the head of this file).
const DEFAULTS: &str = "--default-signal=HUP,INT,QUIT,USR1,USR2,TERM,CONT,TSTP,PIPE,XCPU,PWR,WINCH,URG,XFSZ";

/// What the program finds as `PATH`: itself, so that it can be called by name in a shell, and the
/// system's directories.
pub(crate) fn path_variable() -> String {
    let home = Path::new(BIVOUAC).parent().unwrap();
    format!("{}:/usr/local/bin:/usr/bin:/bin", home.display())
}

/// The interpreter itself, and not a script that looks for it, which needs more of its environment
/// than tests have.
pub(crate) fn python() -> String {
    let asked = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output();
    let answer = asked.unwrap_or_else(|e| panic!("python3: {e}; install the package python3"));
    assert!(answer.status.success(), "python3 does not work; install the package python3: {answer:?}");
    String::from_utf8(answer.stdout).unwrap().trim().to_string()
}

/// A directory that one test has to itself.
#[derive(Debug)]
pub(crate) struct World {
    dir: TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        // Not in /tmp: that may be memory, and then nothing here would be about a disk.
        let dir =
            tempfile::Builder::new().prefix("bivouac-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        Self { dir }
    }

    pub(crate) fn root(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.path(name).symlink_metadata().is_ok()
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub(crate) fn append(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::OpenOptions::new().append(true).open(self.path(name)).unwrap().write_all(bytes.as_ref()).unwrap();
    }

    /// Puts the large text of [`data::large_text`] there.
    pub(crate) fn text(&self, name: &str) {
        self.write(name, data::large_text());
    }

    /// Puts a tree of many small files there.
    pub(crate) fn tree(&self, name: &str) {
        for (path, bytes) in data::tree() {
            self.write(&format!("{name}/{path}"), bytes);
        }
    }

    /// Every file of the directory `name` with its bytes: what "nothing was changed" compares.
    pub(crate) fn contents(&self, name: &str) -> Vec<(PathBuf, Vec<u8>)> {
        let mut all = Vec::new();
        let mut open = vec![self.path(name)];
        while let Some(dir) = open.pop() {
            for entry in fs::read_dir(dir).unwrap() {
                let entry = entry.unwrap();
                match entry.file_type().unwrap().is_dir() {
                    true => open.push(entry.path()),
                    false => all.push((entry.path(), fs::read(entry.path()).unwrap())),
                }
            }
        }
        all.sort();
        all
    }

    /// The program with these arguments. They are split at blanks, so that a test reads as it
    /// would be typed; none of the test data needs a blank in an argument.
    pub(crate) fn bivouac(&self, arguments: &str) -> Bivouac<'_> {
        Bivouac {
            world: self,
            arguments: arguments.split_whitespace().map(str::to_string).collect(),
            wrapper: Vec::new(),
            instead: None,
            stdin: Input::Nothing,
            read_stdout: true,
        }
    }

    /// What a shell command prints: the GNU tools that the program is compared with.
    pub(crate) fn shell(&self, script: &str) -> Vec<u8> {
        let output = self.command("bash").arg("-c").arg(script).stdin(Stdio::null()).output().unwrap();
        assert!(
            output.stderr.is_empty(),
            "{script}\nwrote to standard error:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    }

    /// The test binary itself, running only the test of this name, with a variable set by which the
    /// test knows that it is to be the program.
    pub(crate) fn this_test_as_program(&self, test: &str, (variable, value): (&str, &str)) -> Bivouac<'_> {
        let binary = std::env::current_exe().unwrap().display().to_string();
        let words =
            [format!("{variable}={value}"), binary, "--exact".into(), test.into(), "--nocapture".into()];
        Bivouac { instead: Some(words.into()), ..self.bivouac(test) }
    }

    /// Another program in place of ours, in this directory and with the hermetic environment. What
    /// it prints is told line by line, standard output and standard error together.
    pub(crate) fn program(&self, words: &[&str]) -> Bivouac<'_> {
        let told: Vec<&str> = ["sh", "-c", "exec \"$@\" 1>&2", "sh"].iter().chain(words).copied().collect();
        self.program_apart(&told)
    }

    /// The same, with standard output kept apart, for the end.
    pub(crate) fn program_apart(&self, words: &[&str]) -> Bivouac<'_> {
        let instead = words.iter().map(|word| (*word).to_string()).collect();
        Bivouac { instead: Some(instead), ..self.bivouac(&words.join(" ")) }
    }

    /// A program in this directory with the hermetic environment.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("env");
        command
            .args(["-i", DEFAULTS])
            .arg(format!("PATH={}", path_variable()))
            .arg(format!("HOME={}", self.root().display()))
            .arg("LC_ALL=C")
            .arg(program)
            .current_dir(self.root());
        command
    }
}

/// Where the program's standard input comes from.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    Nothing,
    /// A pipe through which these bytes come, and then the end.
    Piped(Vec<u8>),
    /// A pipe through which these bytes come, and then nothing, not even the end.
    Dangling(Vec<u8>),
}

/// The program, about to be started.
#[derive(Clone, Debug)]
pub(crate) struct Bivouac<'w> {
    pub(crate) world: &'w World,
    arguments: Vec<String>,
    wrapper: Vec<String>,
    /// What to start instead of the program, with its arguments.
    instead: Option<Vec<String>>,
    stdin: Input,
    read_stdout: bool,
}

impl<'w> Bivouac<'w> {
    /// More arguments.
    pub(crate) fn with(mut self, arguments: &str) -> Self {
        self.arguments.extend(arguments.split_whitespace().map(str::to_string));
        self
    }

    /// More arguments, which may hold blanks: the command of `pipe`, say.
    pub(crate) fn words(mut self, words: &[&str]) -> Self {
        self.arguments.extend(words.iter().map(|word| (*word).to_string()));
        self
    }

    /// Starts the program through another one, which must `exec` it.
    pub(crate) fn under(mut self, wrapper: &str) -> Self {
        self.wrapper = wrapper.split_whitespace().map(str::to_string).collect();
        self
    }

    pub(crate) fn stdin(mut self, input: Input) -> Self {
        self.stdin = input;
        self
    }

    /// Nobody reads the program's standard output, though the pipe stays open.
    pub(crate) fn stdout_unread(mut self) -> Self {
        self.read_stdout = false;
        self
    }

    pub(crate) fn line(&self) -> String {
        format!("bivouac {}", self.arguments.join(" "))
    }

    /// Every verb that runs a job tells what happens, unless it must not; the others have nothing to tell.
    fn verbose(&self) -> Option<&'static str> {
        let jobs = ["count", "grep", "digest", "pipe", "each"];
        let is_quiet = |word: &String| word.starts_with("-q") || word == "--quiet" || word == "--silent";
        let is_job = self.arguments.first().is_some_and(|verb| jobs.contains(&verb.as_str()));
        (is_job && !self.arguments.iter().any(is_quiet)).then_some("--verbose")
    }

    /// Starts the program with `--verbose`.
    pub(crate) fn start(&self) -> Running<'w> {
        let program = self.wrapper.first().map_or(BIVOUAC, String::as_str);
        let mut command = self.world.command(self.instead.as_ref().map_or(program, |_| "env"));
        if let Some(rest) = self.wrapper.get(1..) {
            command.args(rest).arg(BIVOUAC);
        }
        match &self.instead {
            Some(words) => command.args(words),
            // Right behind the verb: what comes last may belong to a command that the verb starts.
            None => {
                command.args(self.arguments.first()).args(self.verbose()).args(self.arguments.iter().skip(1))
            }
        };
        command
            .stdin(if matches!(self.stdin, Input::Nothing) { Stdio::null() } else { Stdio::piped() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // `setsid` makes a group of its own, and the leader of one cannot: it would fork.
        let first = self.instead.as_ref().unwrap_or(&self.wrapper).first();
        if first.is_none_or(|first| first != "setsid") {
            // A group of its own, as a shell does it. Its parent, this test, is of the same
            // session and of another group: so the group is not an orphan and can be suspended.
            command.process_group(0);
        }
        let child = command.spawn().unwrap_or_else(|e| panic!("{}: {e}", self.line()));
        Running::new(self.clone(), child, self.stdin.clone(), self.read_stdout)
    }

    /// Starts the program and waits for its end.
    pub(crate) fn run(&self) -> crate::running::Ended<'w> {
        self.start().wait()
    }
}
