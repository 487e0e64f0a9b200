//! The only unsafe code of this crate: what a signal does, the birth of a child, and a look before `main`.
//!
//! **What a signal does.** nix has a wrapper for `sigaction(2)`, but it is unsafe too (a handler may do
//! anything), and it cannot ask without setting. What is needed here is less and therefore safe: to
//! remember what a signal does, to put that back, and to choose the default action. No function of ours
//! ever becomes a handler; signal-hook's does, and it is written for that.
//!
//! **The birth of a child.** `posix_spawn` has a safe wrapper, and is what every other architecture gets
//! (`src/process/posix_spawn.rs`). But it makes 120 system calls before exec, to ask of every signal what it does
//! and to reset it, and maps and unmaps a stack; of a command that does nothing that is a third of all the time.
//! [`start`] does what it does inside, for the signals that matter and on a stack that is used again. (glibc 2.38
//! leaves the resetting to the kernel, and most of the difference is gone there.) Never `fork`: with a gibibyte
//! resident, copying the page tables lets 10 children a second begin, instead of thousands.
//!
//! **A look before `main`.** A program may be started with its standard input or output closed (`>&-`), and
//! then must not count what it has printed as printed. But when `main` begins, nothing is closed any more:
//! Rust opens `/dev/null` in that place, for reading and writing, lest a file get the number. The obvious
//! sign, a `/dev/null` that is open for both, is also what Python's `DEVNULL` and every second daemon give
//! to the programs they start, and to those it must mean what it says. So the descriptors are looked at
//! before the runtime comes: by a function among those that the loader calls first. It calls `fcntl` three
//! times, and remembers.
#![allow(
    unsafe_code,
    reason = "no safe wrapper, or one that costs a third of the speed; see the module text"
)]

pub(crate) mod proc_stat;

use libc::{c_char, c_int, c_void};
use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use rustix::process::Rlimit;
use std::cell::RefCell;
use std::convert::Infallible;
use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicUsize, Ordering};

/// What a signal does: by default, nothing, or a handler. To be kept and put back.
#[derive(Clone, Copy)]
pub(crate) struct Disposition(libc::sigaction);

impl Disposition {
    /// What `signal` does at present.
    pub(crate) fn of(signal: Signal) -> io::Result<Self> {
        Self::of_number(signal as c_int)
    }

    /// What the signal with this number does: real-time signals have no name.
    fn of_number(signal: c_int) -> io::Result<Self> {
        let mut found = MaybeUninit::<libc::sigaction>::uninit();
        // SAFETY: the new action is null, so nothing changes; `found` is valid for writing, and is
        // read only when the kernel has reported success, that is, has filled it.
        unsafe {
            match libc::sigaction(signal, ptr::null(), found.as_mut_ptr()) {
                0 => Ok(Self(found.assume_init())),
                _ => Err(io::Error::last_os_error()),
            }
        }
    }

    /// The default action of every signal.
    pub(crate) fn default_action() -> Self {
        // SAFETY: `libc::sigaction` is plain data for which all zeros is a valid value: no flags,
        // an empty mask, and a handler that is `SIG_DFL`, which POSIX systems define as 0.
        let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
        action.sa_sigaction = libc::SIG_DFL;
        Self(action)
    }

    /// The signal does nothing.
    pub(crate) fn ignored() -> Self {
        let mut action = Self::default_action();
        action.0.sa_sigaction = libc::SIG_IGN;
        action
    }

    /// Whether the signal is ignored.
    pub(crate) fn is_ignored(&self) -> bool {
        self.0.sa_sigaction == libc::SIG_IGN
    }

    fn is_handled(&self) -> bool {
        self.0.sa_sigaction != libc::SIG_IGN && self.0.sa_sigaction != libc::SIG_DFL
    }

    /// Makes `signal` do this from now on, in the whole process.
    pub(crate) fn set(&self, signal: Signal) -> io::Result<()> {
        // SAFETY: the action is the default one, or to ignore, or was filled in by the kernel in `of`, so
        // a handler in it was installed before, by code that vouched for it. The old action is
        // not asked for.
        match unsafe { libc::sigaction(signal as libc::c_int, &self.0, ptr::null_mut()) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// The numbers of all signals for which this process has a handler.
pub(crate) fn handled_signals() -> Vec<c_int> {
    let handled = |signal: &c_int| Disposition::of_number(*signal).is_ok_and(|found| found.is_handled());
    (1..=libc::SIGRTMAX()).filter(handled).collect()
}

/// Which of the descriptors 0, 1 and 2 were closed before `main`, one bit each.
static CLOSED: AtomicU8 = AtomicU8::new(0);

// SAFETY: what stands in this section is called by the loader as a function without arguments, before
// `main` and on the only thread that there is; that is what stands here.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look_at_descriptors;

extern "C" fn look_at_descriptors() {
    for descriptor in [libc::STDIN_FILENO, libc::STDOUT_FILENO, libc::STDERR_FILENO] {
        // SAFETY: it asks for a flag of a descriptor, which may be closed, and changes nothing. Nothing of
        // Rust's runtime is used: that is not there yet.
        if unsafe { libc::fcntl(descriptor, libc::F_GETFD) } == -1 {
            CLOSED.fetch_or(1 << descriptor, Ordering::Relaxed);
        }
    }
}

/// Whether this descriptor, 0, 1 or 2, was closed when the program was started.
pub(crate) fn was_closed(descriptor: RawFd) -> bool {
    CLOSED.load(Ordering::Relaxed) & (1 << descriptor) != 0
}

/// Whether one of the standard streams was closed at the start, and nobody has opened it since.
pub(crate) fn is_closed(stream: &(impl AsFd + AsRawFd)) -> bool {
    let is_null = |facts: rustix::fs::Stat| facts.st_rdev == rustix::fs::makedev(1, 3);
    was_closed(stream.as_raw_fd()) && rustix::fs::fstat(stream).is_ok_and(is_null)
}

/// Whether [`start`] is for this machine: the architectures on which it is compiled and tested for every change.
/// A build with `RUSTFLAGS='--cfg bivouac_posix_spawn'` goes the other way on them too, for tests and to measure.
pub(crate) const BY_CLONE: bool =
    cfg!(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(bivouac_posix_spawn)));

/// Starts a child of this kind, and tells which of the programs it has become.
pub(crate) type Start = fn(Birth<'_>) -> nix::Result<(Pid, usize)>;

/// A child, before it is one.
#[derive(Clone, Copy)]
pub(crate) struct Birth<'a> {
    /// Paths to try, in this order.
    pub(crate) programs: &'a [CString],
    /// Its arguments, its name first.
    pub(crate) words: &'a [CString],
    pub(crate) environment: &'a [CString],
    /// One more variable, of this child alone.
    pub(crate) own: &'a CString,
    /// And those of its command.
    pub(crate) variables: &'a [CString],
    /// Its standard input, output and error. One of these three itself may be given only for its own place.
    pub(crate) streams: [BorrowedFd<'a>; 3],
    pub(crate) mask: &'a SigSet,
    /// Signals that get their default action: all for which this process has a handler, at least.
    pub(crate) reset: &'a [c_int],
    /// Its limit of open files, if that is not ours.
    pub(crate) open_files: Option<Rlimit>,
}

/// Starts a child in a process group of its own, and tells which of the programs it has become.
///
/// # Errors
///
/// The system's reason why there can be no child, or why none of the programs can be run; `ENOENT` when
/// there is none.
///
/// # Race condition
///
/// It returns when the child has called exec, or has failed to; this thread waits for that in the kernel
/// and hears no signal. A SIGSTOP for our process group can stop the child before it has its own; then this does
/// not return until the child is continued. See [`Children`](crate::process::Children). (A SIGTSTP, as by Ctrl-Z,
/// is for us: we will hold the child after its birth. It forgets that one.)
pub(crate) fn start(birth: Birth<'_>) -> nix::Result<(Pid, usize)> {
    let words = pointers(birth.words.iter());
    let environment = pointers(birth.environment.iter().chain([birth.own]).chain(birth.variables));
    let child = Child {
        birth,
        words: words.as_ptr(),
        environment: environment.as_ptr(),
        streams: birth.streams.map(|stream| stream.as_raw_fd()),
        open_files: birth.open_files.map(|limit| libc::rlimit {
            rlim_cur: limit.current.unwrap_or(libc::RLIM_INFINITY),
            rlim_max: limit.maximum.unwrap_or(libc::RLIM_INFINITY),
        }),
        tried: AtomicUsize::new(0),
        failed: AtomicI32::new(0),
    };
    let mask = SigSet::all().thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
    let born = STACK.with_borrow_mut(|stack| clone(&child, stack)).and_then(|pid| {
        match child.failed.load(Ordering::Relaxed) {
            0 => Ok((pid, child.tried.load(Ordering::Relaxed))),
            reason => {
                // No signal can interrupt this yet.
                waitpid(pid, None).ok();
                Err(Errno::from_raw(reason))
            }
        }
    });
    // It cannot fail: it was in force before.
    mask.thread_set_mask().ok();
    born
}

/// The arrays of `execve(2)`: the addresses of the words, and a null after them.
fn pointers<'a>(words: impl Iterator<Item = &'a CString>) -> Vec<*const c_char> {
    words.map(|word| word.as_ptr()).chain([ptr::null()]).collect()
}

/// A piece of a stack, aligned as every processor wants its stack to be.
#[derive(Clone)]
#[repr(align(16))]
struct Aligned(#[allow(dead_code, reason = "only its address is used")] [u8; 1024]);

thread_local! {
    /// The stack of the children of this thread until exec, one after the other. 64 KiB: only a few functions
    /// run there, and each wraps a system call.
    static STACK: RefCell<Vec<Aligned>> = RefCell::new(vec![Aligned([0; 1024]); 64]);
}

/// The needs of the child, in memory that it shares with us.
struct Child<'a> {
    birth: Birth<'a>,
    words: *const *const c_char,
    environment: *const *const c_char,
    streams: [RawFd; 3],
    open_files: Option<libc::rlimit>,
    /// The program that it tries: in the end, the one that it is, unless it was killed before.
    tried: AtomicUsize,
    /// The reason why it could not become one of them; 0 as long as nothing went wrong.
    failed: AtomicI32,
}

/// Until exec the child shares our memory: no page table is copied, and a handler of ours that ran in it
/// would take it for us. So all signals are blocked when this is called, and the child opens them when it
/// has no handler any more.
fn clone(child: &Child<'_>, stack: &mut [Aligned]) -> nix::Result<Pid> {
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    let top = stack.as_mut_ptr_range().end.cast::<c_void>();
    let argument = ptr::from_ref(child).cast_mut().cast::<c_void>();
    // SAFETY: with CLONE_VFORK this thread stands still until the child has left this memory, by exec or
    // by its end. So only the child uses the stack meanwhile, which is exclusively borrowed and grows
    // down from `top`, and `child` outlives all use. The other threads go on; the child takes no lock and
    // allocates nothing (it makes system calls, and no others), so it never waits for them. `live` is what
    // `clone` calls, with `argument`, and does not unwind.
    let pid = unsafe { libc::clone(live, top, flags, argument) };
    Errno::result(pid).map(Pid::from_raw)
}

/// The life of a child up to its exec. It returns its exit code, which is not used: the reason is in `failed`.
extern "C" fn live(child: *mut c_void) -> c_int {
    // SAFETY: the argument of `clone` above, a `Child` that is borrowed for as long as this runs.
    let child = unsafe { &*child.cast::<Child<'_>>() };
    let Err(reason) = child.become_it();
    // A filter of system calls may answer with anything, and 0 would mean that all went well.
    child.failed.store(if reason == 0 { libc::ECHILD } else { reason }, Ordering::Relaxed);
    127
}

/// The reason of the last failure as a number: it may be one that nix does not know.
fn checked(result: c_int) -> std::result::Result<(), c_int> {
    if result == -1 { Err(Errno::last_raw()) } else { Ok(()) }
}

impl Child<'_> {
    fn become_it(&self) -> std::result::Result<Infallible, c_int> {
        // SAFETY: takes numbers only.
        checked(unsafe { libc::setpgid(0, 0) })?;
        for (given, wanted) in self.streams.into_iter().zip(0..) {
            // SAFETY: both touch no memory. That `dup2` replaces what was open under this number is what it
            // is for, and this is a copy of the table of descriptors that only the child has.
            checked(unsafe {
                match given == wanted {
                    true => libc::fcntl(wanted, libc::F_SETFD, 0), // Not to be closed by exec.
                    false => libc::dup2(given, wanted),
                }
            })?;
        }
        for signal in self.birth.reset {
            if *signal == libc::SIGTSTP {
                act(*signal, libc::SIG_IGN); // Which forgets one that is pending.
            }
            act(*signal, libc::SIG_DFL);
        }
        if let Some(limit) = self.open_files {
            // SAFETY: the kernel reads the limit, writes nothing, and 0 is this child.
            checked(unsafe { libc::prlimit(0, libc::RLIMIT_NOFILE, &raw const limit, ptr::null_mut()) })?;
        }
        // It fails for arguments only that cannot occur here.
        self.birth.mask.thread_set_mask().ok();
        self.exec()
    }

    /// As `execvp(3)` looks for a program, but for one thing: a file without `#!` is not given to a shell.
    fn exec(&self) -> std::result::Result<Infallible, c_int> {
        let mut reason = libc::ENOENT;
        for (number, program) in self.birth.programs.iter().enumerate() {
            self.tried.store(number, Ordering::Relaxed);
            // SAFETY: all three are what `execve` wants, words that end with a NUL and arrays of them that
            // end with a null (see `pointers`), and are borrowed for as long as this runs.
            unsafe { libc::execve(program.as_ptr(), self.words, self.environment) };
            match Errno::last_raw() {
                only if self.birth.programs.len() == 1 => return Err(only),
                other => reason = reason_to_go_on(reason, other)?,
            }
        }
        Err(reason)
    }
}

/// The reason that stands, after one of several programs could not be run for reason `found`.
///
/// # Errors
///
/// `found`, if it is not about the place of that program: then the search is over.
pub(crate) fn reason_to_go_on(stands: c_int, found: c_int) -> std::result::Result<c_int, c_int> {
    match found {
        // Another directory may have one that we may run.
        libc::EACCES => Ok(libc::EACCES),
        libc::ENOENT | libc::ENOTDIR | libc::ENAMETOOLONG => Ok(stands),
        // Directories of other machines that do not answer.
        libc::ESTALE | libc::ENODEV | libc::ETIMEDOUT => Ok(stands),
        other => Err(other),
    }
}

/// Lets a signal be ignored, or have its default action, without the C library: some C libraries take a lock for
/// it, and a child that died with that lock would leave it locked in our memory.
fn act(signal: c_int, handler: libc::sighandler_t) {
    // On the architectures for which this is, the kernel's structure begins with the handler; empty flags and an
    // empty mask follow, and it is no larger than this.
    const SET_BYTES: usize = 8;
    let mut action: [libc::sighandler_t; 16] = [0; 16];
    action[0] = handler;
    let (action, old) = (action.as_ptr(), ptr::null_mut::<c_void>());
    // SAFETY: the kernel reads the action, which is as large as it can be, and writes nothing.
    unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, action, old, SET_BYTES) };
}
