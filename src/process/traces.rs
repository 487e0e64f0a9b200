//! Whether a stop can be the reason for a failure: the traces that signals leave in a process.
//!
//! A scheduler that ends a job signals all of its processes, and the commands may die before bivouac hears of
//! the stop. So a failure counts only after some time (`src/jobs/attempts.rs`). Most failures cannot come from
//! a stop, and need not wait: `false`, `grep -q` and `test` fail by themselves.
//!
//! A command that ends *by* a signal got one. A command that ends with a code may have got one in these ways, and each
//! leaves a trace that the kernel shows until the process is reaped ([`Stat`]):
//!
//! - It has a handler for the signal, or blocks the signal and reads it (`sigwait`, `signalfd`). An ignored
//!   signal cannot be read. Handlers for faults of its own (SIGSEGV and the like) do not matter.
//! - It had a handler. Python and Perl take theirs back before they end: `sys.exit(1)` in a handler for SIGTERM
//!   leaves no handler. But language runtimes leave other traces: they ignore signals that they were not given
//!   as ignored (Python SIGPIPE and SIGXFSZ, Perl SIGFPE), or they are large ([`FEW_FAULTS`]).
//! - A child of it has heard the signal, and the code is about that, as in a shell. A command that has waited for
//!   a child has page faults of children; no program starts without one, also after `vfork`.
//! - It reports the end of a process elsewhere: `ssh`, `docker run`. Their codes for that are above 128.
//!
//! Two cases are left, both with a stop that signals one process after the other, bivouac last: a small program that takes
//! back its handler and ends with a code (the `lua` interpreter, at a SIGINT); and a program that learns by the end of a
//! pipe or socket that its peer has died, and ends before its own signal comes.

use crate::sys::proc_stat::{Signals, Stat};
use crate::task::command::How;

/// Signals by which the kernel reports a fault of the program itself.
const FAULTS: Signals =
    Signals::of(&[libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGSYS]);

/// A program with more page faults than this may be a language runtime. Measured with pages of 4 KiB: `false` 50,
/// `test` 75, `grep -q` 125 with 100 MB of input; Perl 210, Python 760 and more, Node 2,200.
const FEW_FAULTS: u64 = 160;

/// Codes that may be failures of the program itself. 0 is none, and by codes above 128 shells report a death by a signal.
const PLAIN_CODES: std::ops::RangeInclusive<i32> = 1..=128;

/// Whether a command that ended so may have done that because of a signal. `stat` is that of the ended process,
/// not reaped, if the kernel tells; `given` are the signals that it was given as ignored.
pub(super) fn may_come_from_a_signal(how: How, stat: Option<Stat>, given: Signals) -> bool {
    let (How::Code(code), Some(stat)) = (how, stat) else { return true };
    let could_hear = !stat.caught.without(FAULTS).is_empty() || !stat.blocked.is_empty();
    let may_be_a_runtime = !stat.ignored.without(given).is_empty() || stat.faults > FEW_FAULTS;
    let may_report_another = stat.faults_of_children > 0 || !PLAIN_CODES.contains(&code);
    could_hear || may_be_a_runtime || may_report_another
}

/// Whether a command may have made its 0 of a SIGTERM: it has a handler, or it is a language runtime, which may
/// have taken one back. Page faults do not count here: programs that are merely large would all wait.
pub(super) fn may_have_handled_sigterm(stat: Stat, given: Signals) -> bool {
    stat.caught.has(libc::SIGTERM) || !stat.ignored.without(given).is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
    use nix::unistd::Pid;
    use std::process::{Command, Stdio};

    /// A process as `false` is one at its end.
    const PLAIN: Stat = Stat {
        state: 'Z',
        parent: 1,
        group: 2,
        session: 1,
        faults: 50,
        faults_of_children: 0,
        ticks: 1,
        blocked: Signals::of(&[]),
        ignored: Signals::of(&[]),
        caught: Signals::of(&[]),
    };

    #[test]
    fn every_trace_counts_by_itself() {
        let set = |numbers: &[i32]| Signals::of(numbers);
        let (term, hup, pipe) = (set(&[libc::SIGTERM]), set(&[libc::SIGHUP]), set(&[libc::SIGPIPE]));
        for (stat, code, may) in [
            (PLAIN, 0, true),
            (PLAIN, 1, false),
            (PLAIN, 128, false),
            (PLAIN, 129, true),
            (PLAIN, 143, true),
            (Stat { caught: term, ..PLAIN }, 1, true),
            (Stat { caught: set(&[libc::SIGUSR2]), ..PLAIN }, 1, true),
            (Stat { caught: set(&[libc::SIGXCPU]), ..PLAIN }, 1, true),
            (Stat { caught: set(&[libc::SIGCHLD]), ..PLAIN }, 1, true),
            (Stat { caught: FAULTS, ..PLAIN }, 1, false),
            (Stat { blocked: term, ..PLAIN }, 1, true),
            (Stat { ignored: pipe, ..PLAIN }, 1, true),
            (Stat { ignored: hup, ..PLAIN }, 1, false),
            (Stat { faults: FEW_FAULTS, ..PLAIN }, 1, false),
            (Stat { faults: FEW_FAULTS + 1, ..PLAIN }, 1, true),
            (Stat { faults_of_children: 1, ..PLAIN }, 1, true),
        ] {
            let judged = may_come_from_a_signal(How::Code(code), Some(stat), hup);
            assert_eq!(judged, may, "{code} {stat:?}");
        }
        assert!(may_come_from_a_signal(How::Signal(libc::SIGSEGV), Some(PLAIN), hup));
        assert!(may_come_from_a_signal(How::Code(1), None, hup), "there is no /proc");
    }

    #[test]
    fn a_0_may_be_made_of_sigterm_by_a_handler_also_by_one_that_was_taken_back() {
        let python = "import os, signal, sys\nsignal.signal(15, lambda *_: sys.exit(0))\n\
                      os.kill(os.getpid(), 15)\nwhile True: signal.pause()";
        let perl = "$SIG{TERM} = sub { exit 0 }; kill TERM => $$; sleep 1 while 1";
        for (program, words, may) in [
            ("sh", ["-c", "trap 'exit 0' TERM; kill $$; while :; do :; done"], true),
            ("python3", ["-c", python], true),
            ("perl", ["-e", perl], true),
            ("sh", ["-c", "exit 0"], false),
            ("cat", ["Cargo.toml", "README.md"], false),
        ] {
            let (code, stat) = end_of(program, &words);
            assert_eq!(code, 0, "{program} {words:?}");
            let given = Stat::of(Pid::this()).unwrap().ignored;
            assert_eq!(may_have_handled_sigterm(stat, given), may, "{program} {words:?}");
        }
    }

    /// The code of a real command, and its end as the kernel shows it.
    fn end_of(program: &str, words: &[&str]) -> (i32, Stat) {
        let mut command = Command::new(program);
        command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let pid = Pid::from_raw(child.id() as i32);
        let ended = waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).unwrap();
        let WaitStatus::Exited(_, code) = ended else { panic!("{program} {words:?}: {ended:?}") };
        let stat = Stat::of(pid).unwrap();
        child.wait().unwrap();
        (code, stat)
    }

    fn judge(program: &str, words: &[&str]) -> bool {
        let (code, stat) = end_of(program, words);
        may_come_from_a_signal(How::Code(code), Some(stat), Stat::of(Pid::this()).unwrap().ignored)
    }

    #[test]
    fn programs_that_fail_by_themselves_leave_no_trace() {
        assert!(!judge("false", &[]));
        assert!(!judge("test", &["1", "=", "2"]));
        assert!(!judge("grep", &["-q", "no such text", "Cargo.toml"]));
        assert!(!judge("cmp", &["Cargo.toml", "README.md"]));
    }

    #[test]
    fn programs_that_may_have_heard_a_signal_leave_one() {
        assert!(judge("bash", &["-c", "trap 'exit 1' TERM; kill $$; while :; do :; done"]));
        assert!(judge("sh", &["-c", "trap 'exit 1' HUP; kill -HUP $$; while :; do :; done"]));
        // Both take their handlers back at the end.
        let python = "import os, signal, sys\nsignal.signal(15, lambda *_: sys.exit(1))\n\
                      os.kill(os.getpid(), 15)\nwhile True: signal.pause()";
        assert!(judge("python3", &["-c", python]));
        assert!(judge("perl", &["-e", "$SIG{TERM} = sub { exit 1 }; kill TERM => $$; sleep 1 while 1"]));
        let blocked = "import os, signal\nsignal.pthread_sigmask(0, [15])\nos.kill(os.getpid(), 15)\n\
                       signal.sigwait([15])\nos._exit(1)";
        assert!(judge("python3", &["-c", blocked]));
    }

    /// Whether by fork or by vfork, and also of a child that does nothing.
    #[test]
    fn a_program_that_has_waited_for_a_child_leaves_a_trace_of_that() {
        let python = |start: &str| {
            format!("import os\npid = {start}\nif pid == 0: os._exit(0)\nos.waitpid(pid, 0)\nos._exit(3)")
        };
        let spawned = python("os.posix_spawn('/bin/true', ['true'], {})");
        let forked = python("os.fork()");
        for (program, words) in [
            ("sh", ["-c", "/bin/true; exit 3"]),
            ("bash", ["-c", "(exit 1); exit 3"]),
            ("python3", ["-c", &spawned]),
            ("python3", ["-c", &forked]),
        ] {
            assert!(end_of(program, &words).1.faults_of_children > 0, "{program} {words:?}");
        }
        assert_eq!(end_of("bash", &["-c", "exit 3"]).1.faults_of_children, 0);
    }
}
