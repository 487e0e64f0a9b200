//! How a child is born: what it inherits, and what it must not.
//!
//! The obvious `std::process::Command` hands the signal mask of the calling thread to the child, and ours has TERM, INT
//! and HUP blocked: `sleep`, `bash -c` and `python3` started that way cannot be stopped at all. (dash clears its mask at
//! start, so a test through `sh` proves nothing.) The obvious remedy, `pre_exec`, makes the standard library fork, and a
//! fork copies the page tables: 10 spawns a second with 1 GiB resident, against 1,000. So the child starts in our memory,
//! as with `posix_spawn` ([`sys::start`], or [`posix_spawn`] itself), and gets:
//!
//! - the mask that bivouac itself was started with;
//! - the default action of SIGPIPE and SIGXFSZ, which bivouac ignores for itself, and of all signals for which this
//!   process has a handler. Signals that were found ignored stay ignored: `nohup bivouac …` means the commands, too;
//! - a process group of its own;
//! - the limit of open files that bivouac itself was started with;
//! - standard input, output and error as the caller gives them, the files that it names, and no other descriptor of ours
//!   (all of ours are close-on-exec). Descriptors that bivouac inherited pass: `make` hands its job server down that way;
//! - the environment, without the variables that are meant for this process ([`environment_of_commands`]), and with the mark
//!   of this process and the number of the command, by which the [watcher](super::watcher) finds it. A bivouac inside
//!   another one puts the mark of the outer one first, so that each finds its own commands.

use super::limits::open_files_of_commands;
use super::posix_spawn;
use crate::error::{Advice, Error, Kind};
use crate::sync::lock;
use crate::sys::proc_stat::{Signals, Stat};
use crate::sys::{self, Birth, Start, handled_signals};
use crate::task::command::{Command, Tag};
use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::Pid;
use std::env;
use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::Mutex;

/// The variable that marks every child as a command of this process.
pub(crate) const RUN: &str = "BIVOUAC_RUN";

/// The variables in which a service manager says where a service must report itself (`sd_notify(3)`).
const MANAGER: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];

/// The variables of this process that its commands get. `BIVOUAC_…` stays out, because a setting of this bivouac is not meant
/// for one that a command starts; only `BIVOUAC_RUN` passes. The socket of the service manager stays out, because a command
/// would report itself as the service.
#[doc(hidden)]
pub fn environment_of_commands() -> impl Iterator<Item = (OsString, OsString)> {
    let is_ours = |name: &OsStr| {
        (name.as_bytes().starts_with(b"BIVOUAC_") && name != RUN) || MANAGER.iter().any(|one| name == *one)
    };
    env::vars_os().filter(move |(name, _)| !is_ours(name))
}

#[derive(Debug)]
pub(crate) struct Inheritance {
    start: Start,
    mask: SigSet,
    /// Signals, by number, that do in a child what they do by default.
    reset: Vec<i32>,
    /// Signals that a child ignores from its start: those that this process was given as ignored.
    pub(super) ignored: Signals,
    environment: Vec<CString>,
    /// The beginning of the variable that marks a command; its number follows.
    mark: Vec<u8>,
    /// The directories of PATH, each with a slash at its end.
    path: Vec<Vec<u8>>,
    /// The last name and where it was found, as a shell remembers it: a search costs 5 % of a start.
    found: Mutex<Option<(CString, CString)>>,
    /// `/dev/null`, opened once and not by every child; or the reason why it cannot be opened.
    nothing: nix::Result<File>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Streams<'a> {
    /// `None` is `/dev/null`.
    pub(crate) stdin: Option<BorrowedFd<'a>>,
    pub(crate) stdout: BorrowedFd<'a>,
    pub(crate) stderr: BorrowedFd<'a>,
    /// Descriptors that stay open in the child, with their numbers.
    pub(crate) files: &'a [BorrowedFd<'a>],
}

impl Inheritance {
    /// `mask` is the one that bivouac was started with.
    ///
    /// # Race condition
    ///
    /// A program that uses this library and installs a handler of its own while the run is on: between the
    /// mask and the exec of a child, for some microseconds, that handler may run in the child.
    pub(crate) fn new(mask: SigSet, mark: &str) -> Self {
        let own = environment_of_commands().filter(|(name, _)| name != RUN);
        let variable = |name: &[u8], value: &[u8]| CString::new([name, b"=", value].concat()).ok();
        let environment =
            own.filter_map(|(name, value)| variable(name.as_bytes(), value.as_bytes())).collect();
        let outer = env::var_os(RUN).map(|outer| [outer.as_bytes(), b","].concat()).unwrap_or_default();
        let path = env::var_os("PATH").unwrap_or_else(|| USUAL_PATH.into());
        let directories = path.as_bytes().split(|byte| *byte == b':');
        let reset: Vec<i32> = handled_signals().into_iter().chain(OURS.map(|signal| signal as i32)).collect();
        let ignored = Stat::of(Pid::this()).map_or_else(Signals::default, |stat| stat.ignored);
        Self {
            start: if sys::BY_CLONE { sys::start } else { posix_spawn::start },
            mask,
            ignored: ignored.without(Signals::of(&OURS.map(|signal| signal as i32))),
            reset,
            environment,
            mark: [RUN.as_bytes(), b"=", &outer, mark.as_bytes(), b"/"].concat(),
            path: directories.map(|directory| [directory_of(directory), b"/"].concat()).collect(),
            found: Mutex::new(None),
            nothing: File::open("/dev/null")
                .map_err(|cause| Errno::from_raw(cause.raw_os_error().unwrap_or_default())),
        }
    }

    /// Starts a child. An error is the system's reason why the program cannot be run, `ENOENT` when there is none.
    ///
    /// # Race condition
    ///
    /// That of [`sys::start`]: a SIGSTOP for our group can stop the child before exec, and this thread with it.
    /// See [`Children`](super::Children).
    pub(crate) fn spawn(&self, command: &Command, streams: Streams<'_>, tag: Tag) -> nix::Result<Pid> {
        let nothing = || self.nothing.as_ref().map(AsFd::as_fd).map_err(|errno| *errno);
        let words = &command.words;
        let mut programs = self.candidates(&words[0]);
        let (pid, became) = (self.start)(Birth {
            programs: &programs,
            words,
            environment: &self.environment,
            // It has no NUL: a part of it is a variable of the environment, and the others are our own words.
            own: &CString::new([&self.mark, tag.to_string().as_bytes()].concat()).unwrap_or_default(),
            variables: &command.variables,
            directory: command.directory.as_ref(),
            streams: [streams.stdin.map_or_else(nothing, Ok)?, streams.stdout, streams.stderr],
            files: streams.files,
            mask: &self.mask,
            reset: &self.reset,
            open_files: open_files_of_commands(),
        })?;
        if became > 0 {
            *lock(&self.found) = Some((words[0].clone(), programs.swap_remove(became)));
        }
        Ok(pid)
    }

    /// The paths that a name may mean, the last one that was right first.
    fn candidates(&self, name: &CString) -> Vec<CString> {
        if name.as_bytes().contains(&b'/') {
            return vec![name.clone()];
        }
        if name.is_empty() {
            return Vec::new();
        }
        let found = lock(&self.found).as_ref().filter(|(of, _)| of == name).map(|(_, path)| path.clone());
        let below = |directory: &Vec<u8>| CString::new([directory, name.as_bytes()].concat()).ok();
        found.into_iter().chain(self.path.iter().filter_map(below)).collect()
    }
}

/// The directories of programs without a PATH, as in the C library.
const USUAL_PATH: &str = "/bin:/usr/bin";

/// An empty entry means the current directory.
fn directory_of(entry: &[u8]) -> &[u8] {
    if entry.is_empty() { b"." } else { entry }
}

/// Signals that this process ignores, and a child does not.
const OURS: [Signal; 2] = [Signal::SIGPIPE, Signal::SIGXFSZ];

/// Whether this reason means that there is no such program, rather than one that cannot be run.
pub(crate) fn is_missing(errno: Errno) -> bool {
    matches!(errno, Errno::ENOENT | Errno::ENOTDIR)
}

/// The error for a command that cannot start. It ends the run, because the command would fail for every other task as well.
pub(super) fn cannot_start(command: &Command, errno: Errno) -> Error {
    let name = command.program();
    if name.is_empty() {
        return Error::new(Kind::NoSuchCommand, "the command", "has an empty name")
            .advise("name a program; a variable of the shell may be empty");
    }
    if is_missing(errno) {
        Error::new(Kind::NoSuchCommand, name.display(), "no such command")
            .advise("check its name and PATH, and for a script its first line (#!)")
    } else if matches!(errno, Errno::EAGAIN | Errno::ENOMEM) {
        Error::broken(name.display(), format_args!("cannot be started: {}", errno.desc()))
            .advise("raise the limit of processes (ulimit -u)")
            .or(Advice::FewerTasks)
    } else if name.as_bytes().contains(&b'/') && std::path::Path::new(&name).is_dir() {
        Error::new(Kind::CannotStart, name.display(), "cannot be started: it is a directory")
            .advise("name the program in it")
    } else {
        let advice = match errno == Errno::EACCES {
            true => "make it executable (chmod +x), or name the program that reads it",
            false => "is it for this machine? A script needs a first line such as #!/bin/sh",
        };
        Error::new(Kind::CannotStart, name.display(), format_args!("cannot be started: {}", errno.desc()))
            .advise(advice)
    }
}

/// Says which limit the command exceeds: that of one word, or that of all words and the environment.
pub(super) fn too_long(command: &Command) -> String {
    const LONGEST_WORD: usize = 128 << 10;
    let lengths = || command.words.iter().map(|word| word.as_bytes_with_nul().len());
    match lengths().max().filter(|longest| *longest > LONGEST_WORD) {
        Some(longest) => format!("an argument has {} bytes, more than 128 KiB", longest - 1),
        None => format!(
            "its {} arguments have {} bytes, with the environment more than allowed",
            lengths().count() - 1,
            lengths().sum::<usize>()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::wait::{WaitStatus, waitpid};
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    /// Both are tested on every machine, whichever is in use.
    const STARTS: [Start; 2] = [sys::start, posix_spawn::start];

    fn program(path: &Path, text: &str, mode: u32) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn start(inheritance: &Inheritance, name: &str) -> nix::Result<Pid> {
        let null = File::options().read(true).write(true).open("/dev/null").unwrap();
        let streams = Streams { stdin: None, stdout: null.as_fd(), stderr: null.as_fd(), files: &[] };
        inheritance.spawn(&Command::new([name]).unwrap(), streams, Tag::default())
    }

    fn code(inheritance: &Inheritance, name: &str) -> i32 {
        let pid = start(inheritance, name).unwrap();
        let Ok(WaitStatus::Exited(_, code)) = waitpid(pid, None) else { panic!("{name} did not exit") };
        code
    }

    #[test]
    fn a_name_is_looked_for_in_one_place_after_the_other() {
        STARTS.into_iter().for_each(look_for_names);
    }

    fn look_for_names(start_by: Start) {
        let dir = tempfile::tempdir().unwrap();
        let place = |name: &str| dir.path().join(name);
        program(&place("one/locked"), "#!/bin/sh\nexit 1\n", 0o600);
        program(&place("two/locked"), "#!/bin/sh\nexit 2\n", 0o700);
        program(&place("one/both"), "#!/bin/sh\nexit 3\n", 0o700);
        program(&place("two/both"), "#!/bin/sh\nexit 4\n", 0o700);
        program(&place("one/forbidden"), "#!/bin/sh\n", 0o600);
        program(&place("two/plain"), "exit 0\n", 0o700);
        program(&place("one/shut"), "#!/bin/sh\n", 0o600);
        program(&place("two/shut"), "exit 0\n", 0o700);
        let mut inheritance = Inheritance::new(SigSet::empty(), "test");
        inheritance.start = start_by;
        let path = ["missing", "one/both", "one", "two"].map(|name| place(name).into_os_string());
        inheritance.path = path.map(|path| [path.as_bytes(), b"/"].concat()).to_vec();

        assert_eq!(code(&inheritance, "locked"), 2, "one that may not be run is passed over");
        assert_eq!(code(&inheritance, "both"), 3, "the first is taken");
        assert_eq!(start(&inheritance, "forbidden"), Err(Errno::EACCES));
        assert_eq!(start(&inheritance, "nowhere"), Err(Errno::ENOENT));
        assert_eq!(start(&inheritance, ""), Err(Errno::ENOENT));
        assert_eq!(start(&inheritance, "plain"), Err(Errno::ENOEXEC), "it is not made a shell script");
        assert_eq!(start(&inheritance, "shut"), Err(Errno::ENOEXEC), "a reason that is not about the place");
        assert_eq!(start(&inheritance, "./both"), Err(Errno::ENOENT), "a slash means a path");

        fs::remove_file(place("one/locked")).unwrap();
        program(&place("one/locked"), "#!/bin/sh\nexit 5\n", 0o700);
        assert_eq!(code(&inheritance, "locked"), 5, "it was not the last that was looked for");
        fs::remove_file(place("one/both")).unwrap();
        assert_eq!((code(&inheritance, "both"), code(&inheritance, "both")), (4, 4));
        program(&place("one/both"), "#!/bin/sh\nexit 6\n", 0o700);
        assert_eq!(code(&inheritance, "both"), 4, "where it was");
        fs::remove_file(place("two/both")).unwrap();
        assert_eq!(code(&inheritance, "both"), 6, "it is no longer there, and is looked for");
    }

    /// Not through a shell, which would clear its mask.
    #[test]
    fn both_ways_to_start_a_child_give_it_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let mut mask = SigSet::empty();
        mask.add(Signal::SIGUSR1);
        let outputs = STARTS.map(|start_by| {
            let mut inheritance = Inheritance::new(mask, "test");
            inheritance.start = start_by;
            let path = dir.path().join("output");
            let output = File::create(&path).unwrap();
            let streams = Streams { stdin: None, stdout: output.as_fd(), stderr: output.as_fd(), files: &[] };
            let files = ["-", "/proc/self/environ", "/proc/self/status", "/proc/self/limits"];
            let command = Command::new(["cat"].into_iter().chain(files)).unwrap();
            let pid = inheritance.spawn(&command, streams, Tag::default()).unwrap();
            waitpid(pid, None).unwrap();
            let output = fs::read(path).unwrap();
            let output = String::from_utf8_lossy(&output).replace('\0', "\n");
            let field = |name: &str| output.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            assert_eq!(field("NSpgid:"), Some(&*pid.to_string()), "it leads a group: {output}");
            // Above 31 are two signals of the C library, which `posix_spawn` has the child ignore.
            let signals = |name| u64::from_str_radix(field(name).unwrap(), 16).unwrap() & 0x7fff_ffff;
            let signals = ["SigBlk:", "SigIgn:", "SigCgt:"].map(signals);
            (signals, field("BIVOUAC_RUN=").map(String::from), field("Max open files").map(String::from))
        });
        assert_eq!(outputs[0], outputs[1]);
        let ([blocked, ignored, caught], mark, _) = &outputs[0];
        assert_eq!((*blocked, *caught), (1 << (libc::SIGUSR1 - 1), 0));
        assert_eq!(ignored & (1 << (libc::SIGPIPE - 1)), 0, "this process ignores SIGPIPE");
        assert!(mark.as_ref().is_some_and(|mark| mark.ends_with("test/0.0")), "{mark:?}");
    }

    #[test]
    fn nothing_between_colons_means_here() {
        assert_eq!(["", "/bin"].map(|entry| directory_of(entry.as_bytes())), [&b"."[..], b"/bin"]);
    }
}
