//! The only unsafe code of this crate: the disposition of a signal, the birth and the end of a child, a look before `main`,
//! and a search in 64 bytes at once.
//!
//! **The disposition of a signal.** nix wraps `sigaction(2)`, but its function is unsafe too, because a handler
//! may do anything, and it cannot ask without setting. This crate needs less, and that is safe: it remembers a
//! disposition, puts it back, and chooses the default action. Only signal-hook's function ever becomes a
//! handler, and it is written for that.
//!
//! **The birth of a child.** `posix_spawn` has a safe wrapper, and all other architectures use it
//! (`src/process/posix_spawn.rs`). glibc before 2.38 makes 120 system calls in it before exec: it asks for the
//! disposition of every signal and resets it, and it maps and unmaps a stack. [`start`] makes the same calls for the
//! signals that matter, on a stack that it uses again. Measured with glibc 2.36: 3,000 runs of `true`, two at a time,
//! take 2.37 to 2.41 s with [`start`] and 2.47 to 2.72 s with `posix_spawn`, about 7 % more. Never `fork`: with a
//! gibibyte resident, a process that copies its page tables starts 10 children a second, instead of thousands.
//!
//! **A look before `main`.** A shell may start a program with its standard input or output closed (`>&-`). The
//! program must not count what it prints there as printed. But when `main` begins, nothing is closed any more:
//! Rust opens `/dev/null` in that place, for reading and writing, so that no file gets the number. The obvious
//! sign is a `/dev/null` that is open for both, but Python's `DEVNULL` and many daemons give exactly that to the
//! programs they start, and they mean it. So a function looks at the descriptors before the runtime starts. The
//! loader calls it among the first; it calls `fcntl` three times and stores the result.
#![allow(unsafe_code, reason = "no safe wrapper, or a slower one; see the module text")]

pub(crate) mod machine;
pub(crate) mod proc_stat;

use libc::{c_char, c_int, c_void};
use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Resource, Rlimit, chdir, setpgid, setrlimit};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
use std::cell::RefCell;
use std::convert::Infallible;
use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicUsize, Ordering};

/// The disposition of a signal: its default action, ignored, or a handler. A caller keeps it and puts it back.
#[derive(Clone, Copy)]
pub(crate) struct Disposition(libc::sigaction);

impl Disposition {
    pub(crate) fn of(signal: Signal) -> io::Result<Self> {
        Self::of_number(signal as c_int)
    }

    /// The same by number: real-time signals have no name.
    fn of_number(signal: c_int) -> io::Result<Self> {
        let mut found = MaybeUninit::<libc::sigaction>::uninit();
        // SAFETY: the new action is null, so nothing changes, and `found` is valid for writing.
        Errno::result(unsafe { libc::sigaction(signal, ptr::null(), found.as_mut_ptr()) })?;
        // SAFETY: the kernel has reported success, that is, it has filled it.
        Ok(Self(unsafe { found.assume_init() }))
    }

    /// The default action, whatever the signal. (nix's `SigAction::new` would do without unsafe code here, but
    /// leaves a field uninitialised; a literal cannot be written on architectures with a private field.)
    pub(crate) fn default_action() -> Self {
        // SAFETY: `libc::sigaction` is plain data for which all zeros is a valid value: no flags,
        // an empty mask, and a handler that is `SIG_DFL`, which POSIX systems define as 0.
        let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
        action.sa_sigaction = libc::SIG_DFL;
        Self(action)
    }

    pub(crate) fn ignored() -> Self {
        let mut action = Self::default_action();
        action.0.sa_sigaction = libc::SIG_IGN;
        action
    }

    pub(crate) fn is_ignored(&self) -> bool {
        self.0.sa_sigaction == libc::SIG_IGN
    }

    /// Gives `signal` this disposition from now on, in the whole process.
    pub(crate) fn set(&self, signal: Signal) -> io::Result<()> {
        // SAFETY: the action is the default one, or to ignore, or the kernel has filled it in in `of`. So a
        // handler in it was installed before, by code that vouched for it. The old action is not asked for.
        let set = unsafe { libc::sigaction(signal as c_int, &self.0, ptr::null_mut()) };
        Ok(Errno::result(set).map(drop)?)
    }
}

/// The numbers of all signals for which this process has a handler.
pub(crate) fn handled_signals() -> Vec<c_int> {
    let is_handled = |found: Disposition| ![libc::SIG_IGN, libc::SIG_DFL].contains(&found.0.sa_sigaction);
    (1..=libc::SIGRTMAX()).filter(|signal| Disposition::of_number(*signal).is_ok_and(is_handled)).collect()
}

/// Reaps a child that has ended: its status, and what it used. (nix has no `wait4`, and the `waitid` of rustix asks
/// for nothing that was used.)
pub(crate) fn wait4(pid: Pid) -> nix::Result<(c_int, libc::rusage)> {
    let (mut status, mut used) = (0, MaybeUninit::<libc::rusage>::zeroed());
    loop {
        // SAFETY: both places are valid for writing.
        let reaped = unsafe { libc::wait4(pid.as_raw(), &raw mut status, 0, used.as_mut_ptr()) };
        match Errno::result(reaped) {
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
            // SAFETY: it is plain data for which zeros are valid, and the kernel has filled it.
            Ok(_) => return Ok((status, unsafe { used.assume_init() })),
        }
    }
}

/// Which of the descriptors 0, 1 and 2 were closed before `main`, one bit each.
static CLOSED: AtomicU8 = AtomicU8::new(0);

// SAFETY: the loader calls each entry of this section as a function without needed arguments, before `main`
// and on the only thread that there is. The entry here is such a function.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look_at_descriptors;

extern "C" fn look_at_descriptors() {
    for descriptor in [libc::STDIN_FILENO, libc::STDOUT_FILENO, libc::STDERR_FILENO] {
        // SAFETY: it asks for a flag of a descriptor, which may be closed, and changes nothing. It uses nothing of
        // Rust's runtime, which has not started yet.
        if unsafe { libc::fcntl(descriptor, libc::F_GETFD) } == -1 {
            CLOSED.fetch_or(1 << descriptor, Ordering::Relaxed);
        }
    }
}

/// Whether this descriptor, 0, 1 or 2, was closed when the program was started.
pub(crate) fn was_closed(descriptor: RawFd) -> bool {
    CLOSED.load(Ordering::Relaxed) & (1 << descriptor) != 0
}

/// Whether this standard stream was closed at the start, and has not been opened since.
pub(crate) fn is_closed(stream: &(impl AsFd + AsRawFd)) -> bool {
    let is_null = |facts: rustix::fs::Stat| facts.st_rdev == rustix::fs::makedev(1, 3);
    was_closed(stream.as_raw_fd()) && rustix::fs::fstat(stream).is_ok_and(is_null)
}

/// Whether [`start`] starts the children of this build: on the architectures for which every change is compiled and
/// tested. `RUSTFLAGS='--cfg bivouac_posix_spawn'` selects `posix_spawn` there too, for tests and measurements.
pub(crate) const BY_CLONE: bool =
    cfg!(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(bivouac_posix_spawn)));

/// Starts a child, and returns which of the programs it has become.
pub(crate) type Start = fn(Birth<'_>) -> nix::Result<(Pid, usize)>;

/// A description of a child that is to be started.
#[derive(Clone, Copy)]
pub(crate) struct Birth<'a> {
    /// Paths to try, in this order.
    pub(crate) programs: &'a [CString],
    /// Its arguments, its name first.
    pub(crate) words: &'a [CString],
    pub(crate) environment: &'a [CString],
    /// One more variable, of this child alone.
    pub(crate) own: &'a CString,
    /// The variables of its command.
    pub(crate) variables: &'a [CString],
    pub(crate) directory: Option<&'a CString>,
    /// Its standard input, output and error. Descriptor 0, 1 or 2 may stand only in its own place.
    pub(crate) streams: [BorrowedFd<'a>; 3],
    /// Descriptors that stay open, with their numbers.
    pub(crate) files: &'a [BorrowedFd<'a>],
    pub(crate) mask: &'a SigSet,
    /// Signals that get their default action: at least all for which this process has a handler.
    pub(crate) reset: &'a [c_int],
    /// Its limit of open files, if it differs from ours.
    pub(crate) open_files: Option<Rlimit>,
}

/// Starts a child in a process group of its own, and returns which of the programs it has become. An error is the
/// system's reason why there can be no child, or why it can run none of the programs; `ENOENT` without a program.
///
/// # Race condition
///
/// It returns after the child has called exec, or has failed to. This thread waits for that in the kernel, with all
/// signals blocked. A SIGSTOP for our process group can stop the child before it has a group of its own; then this
/// returns only after the child is continued. See [`Children`](crate::process::Children). (A SIGTSTP, as by Ctrl-Z,
/// is meant for us: we stop the child after its birth. So the child discards the SIGTSTP.)
pub(crate) fn start(birth: Birth<'_>) -> nix::Result<(Pid, usize)> {
    let words = pointers(birth.words.iter());
    let environment = pointers(birth.environment.iter().chain([birth.own]).chain(birth.variables));
    let (words, environment) = (words.as_ptr(), environment.as_ptr());
    let child = Child { birth, words, environment, tried: AtomicUsize::new(0), failed: AtomicI32::new(0) };
    let mask = SigSet::all().thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
    let born = STACK.with_borrow_mut(|stack| clone(&child, stack)).and_then(|pid| {
        match child.failed.load(Ordering::Relaxed) {
            0 => Ok((pid, child.tried.load(Ordering::Relaxed))),
            reason => {
                // All signals are still blocked, so this returns only after the child has ended.
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

/// A piece of a stack, aligned as processors require.
#[derive(Clone)]
#[repr(align(16))]
struct Aligned(#[allow(dead_code, reason = "only its address is used")] [u8; 1024]);

thread_local! {
    /// Each child of this thread runs on it until exec. 64 KiB suffice for some wrapped system calls.
    static STACK: RefCell<Vec<Aligned>> = RefCell::new(vec![Aligned([0; 1024]); 64]);
}

/// The data that the child needs, in memory that it shares with us.
struct Child<'a> {
    birth: Birth<'a>,
    words: *const *const c_char,
    environment: *const *const c_char,
    /// The program that it tries. After a successful exec this is the one that it has become.
    tried: AtomicUsize,
    /// The error number if it could not become any of them; 0 otherwise.
    failed: AtomicI32,
}

/// Until exec the child shares our memory: the kernel copies no page table, and a handler of ours that ran in the
/// child would take the child for us. So this must be called with all signals blocked. The child unblocks them
/// after it has reset the handlers.
fn clone(child: &Child<'_>, stack: &mut [Aligned]) -> nix::Result<Pid> {
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    let top = stack.as_mut_ptr_range().end.cast::<c_void>();
    let argument = ptr::from_ref(child).cast_mut().cast::<c_void>();
    // SAFETY: with CLONE_VFORK this thread stands still until the child has left this memory, by exec or by its end.
    // So only the child uses the stack meanwhile, which is exclusively borrowed and grows down from `top`, and
    // `child` outlives all use. The other threads go on. The child takes no lock and allocates nothing: it only makes
    // system calls (rustix makes them without the C library on these architectures), so it never waits for another
    // thread. `clone` calls `live` with `argument`, and `live` does not unwind.
    let pid = unsafe { libc::clone(live, top, flags, argument) };
    Errno::result(pid).map(Pid::from_raw)
}

/// Runs in the child until exec. The exit code that it returns is not used: the reason is in `failed`.
extern "C" fn live(child: *mut c_void) -> c_int {
    // SAFETY: the argument of `clone` above, a `Child` that is borrowed for as long as this runs.
    let child = unsafe { &*child.cast::<Child<'_>>() };
    let Err(reason) = child.become_it();
    // A filter of system calls may return any number, and 0 would mean success.
    child.failed.store(if reason == 0 { libc::ECHILD } else { reason }, Ordering::Relaxed);
    127
}

impl<'a> Child<'a> {
    fn become_it(&self) -> std::result::Result<Infallible, c_int> {
        self.prepare().map_err(rustix::io::Errno::raw_os_error)?;
        // It fails only for arguments that cannot occur here.
        self.birth.mask.thread_set_mask().ok();
        self.exec()
    }

    /// All but the mask, which comes last.
    fn prepare(&self) -> rustix::io::Result<()> {
        setpgid(None, None)?;
        let replace: [fn(BorrowedFd<'a>) -> _; 3] = [dup2_stdin, dup2_stdout, dup2_stderr];
        for ((stream, number), replace) in self.birth.streams.into_iter().zip(0..).zip(replace) {
            match stream.as_raw_fd() == number {
                true => fcntl_setfd(stream, FdFlags::empty())?, // Otherwise exec closes it.
                false => replace(stream)?,
            }
        }
        self.birth.files.iter().try_for_each(|file| fcntl_setfd(file, FdFlags::empty()))?;
        for signal in self.birth.reset {
            if *signal == libc::SIGTSTP {
                act(*signal, libc::SIG_IGN); // Which discards a pending one.
            }
            act(*signal, libc::SIG_DFL);
        }
        self.birth.directory.map_or(Ok(()), |directory| chdir(directory.as_c_str()))?;
        self.birth.open_files.map_or(Ok(()), |limit| setrlimit(Resource::Nofile, limit))
    }

    /// Looks for the program as `execvp(3)` does, with one exception: it gives no file without `#!` to a shell.
    fn exec(&self) -> std::result::Result<Infallible, c_int> {
        let mut reason = libc::ENOENT;
        for (number, program) in self.birth.programs.iter().enumerate() {
            self.tried.store(number, Ordering::Relaxed);
            // SAFETY: `execve` requires words that end with a NUL, and arrays of their addresses that end with a
            // null. These are (see `pointers`), and they are borrowed for as long as this runs.
            unsafe { libc::execve(program.as_ptr(), self.words, self.environment) };
            match Errno::last_raw() {
                only if self.birth.programs.len() == 1 => return Err(only),
                other => reason = reason_to_go_on(reason, other)?,
            }
        }
        Err(reason)
    }
}

/// The reason to report if no further program can be run: `stands` so far, `found` for the last one tried.
pub(crate) fn reason_to_go_on(stands: c_int, found: c_int) -> std::result::Result<c_int, c_int> {
    match found {
        // Another directory may have one that we may run.
        libc::EACCES => Ok(libc::EACCES),
        libc::ENOENT | libc::ENOTDIR | libc::ENAMETOOLONG => Ok(stands),
        // Directories on other machines that do not answer.
        libc::ESTALE | libc::ENODEV | libc::ETIMEDOUT => Ok(stands),
        other => Err(other),
    }
}

/// Ignores a signal, or gives it its default action, without the C library. Some C libraries take a lock for
/// that, and a child that died with the lock held would leave it locked in our memory.
fn act(signal: c_int, handler: libc::sighandler_t) {
    // On the architectures of `BY_CLONE` the kernel's structure begins with the handler. Empty flags and an empty
    // mask follow, and it is no larger than this array.
    const SET_BYTES: usize = 8;
    let mut action: [libc::sighandler_t; 16] = [0; 16];
    action[0] = handler;
    let (action, old) = (action.as_ptr(), ptr::null_mut::<c_void>());
    // SAFETY: the kernel reads the action, which is large enough, and writes nothing.
    unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, action, old, SET_BYTES) };
}

/// Which of 64 bytes are `byte`: bit *i* for the byte *i*. A loop over them finds 0.4 GiB/s, and this 2.6 GiB/s.
#[cfg(target_arch = "x86_64")]
pub(crate) fn equal_bytes(bytes: &[u8; 64], byte: u8) -> u64 {
    use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_movemask_epi8, _mm_set_epi64x, _mm_set1_epi8};
    #[target_feature(enable = "sse2")]
    fn with_sse2(bytes: &[u8; 64], byte: u8) -> u64 {
        let wanted = _mm_set1_epi8(byte.cast_signed());
        bytes.as_chunks::<16>().0.iter().rev().fold(0, |mask, lane| {
            let [low, high] = [u128::from_le_bytes(*lane) as i64, (u128::from_le_bytes(*lane) >> 64) as i64];
            let equal = _mm_cmpeq_epi8(_mm_set_epi64x(high, low), wanted);
            mask << 16 | u64::from(_mm_movemask_epi8(equal).cast_unsigned())
        })
    }
    // SAFETY: every x86-64 processor has SSE2.
    unsafe { with_sse2(bytes, byte) }
}

/// The same where the compiler must know how.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn equal_bytes(bytes: &[u8; 64], byte: u8) -> u64 {
    bytes.iter().rev().fold(0, |mask, found| mask << 1 | u64::from(*found == byte))
}
