//! The zygote: a process with one thread that forks the workers.
//!
//! The obvious way is to fork the workers from this process. But it has many threads during a run, and a child of
//! `fork` has only one of them, with the locks of all. So Python forks the zygote before the first thread exists,
//! with the function and the items in its memory, and it forks a worker whenever this side asks for one: at the
//! start, and after a worker has died.
//!
//! The zygote is the parent of all workers and reaps them. So it alone sends them signals, on request: a process id
//! that is not reaped cannot belong to a stranger. It ends when its socket does, and the kernel ends the workers
//! with it (`PR_SET_PDEATHSIG`): a SIGKILL of this process leaves nothing behind.

use crossbeam_channel::{Receiver, Sender, unbounded};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use pyo3::prelude::*;
use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};

/// How long a thread waits for a reply before it looks for a pause or a cancellation, in milliseconds.
const LOOK_UP: u8 = 20;

/// The answer of a worker: its first byte, and four with the length of the rest.
const HEADER: usize = 5;

/// The zygote as Python holds it: made before the fork, so that both sides have their end.
#[pyclass(module = "bivouac")]
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) workers: Arc<Workers>,
    theirs: Option<UnixStream>,
}

#[pymethods]
impl Handle {
    #[new]
    fn new() -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let (give, idle) = unbounded();
        let workers = Arc::new(Workers { control: Mutex::new(ours), give, idle });
        Ok(Self { workers, theirs: Some(theirs) })
    }

    /// For the zygote, after the fork: the descriptor of its end, and that of ours, to be closed.
    fn descriptors(&self) -> (Option<RawFd>, RawFd) {
        (self.theirs.as_ref().map(AsRawFd::as_raw_fd), lock(&self.workers.control).as_raw_fd())
    }

    /// For this process, after the fork: the zygote alone has its end, so that the end of one is seen by the other.
    fn forked(&mut self) {
        self.theirs = None;
    }

    /// After the run: the zygote ends its workers, and itself.
    fn close(&self) -> io::Result<()> {
        lock(&self.workers.control).shutdown(Shutdown::Both)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The workers, and the zygote that starts them.
#[derive(Debug)]
pub(crate) struct Workers {
    control: Mutex<UnixStream>,
    give: Sender<Worker>,
    idle: Receiver<Worker>,
}

/// A process that calls the function for one item after the other.
#[derive(Debug)]
pub(crate) struct Worker {
    pid: i32,
    socket: UnixStream,
}

/// What a worker made of an item.
#[derive(Debug)]
pub(crate) enum Reply {
    Result(Vec<u8>),
    Exception(String),
    /// It died.
    Gone,
}

impl Workers {
    /// A worker that is idle, or a new one. No more exist than threads ask for one at the same time.
    pub(crate) fn take(&self) -> io::Result<Worker> {
        if let Ok(idle) = self.idle.try_recv() {
            return Ok(idle);
        }
        let (socket, theirs) = UnixStream::pair()?;
        socket.set_nonblocking(true)?;
        let mut control = lock(&self.control);
        let descriptors = [theirs.as_raw_fd()];
        let rights = [ControlMessage::ScmRights(&descriptors)];
        sendmsg::<()>(
            control.as_raw_fd(),
            &[IoSlice::new(&request(b'W', 0))],
            &rights,
            MsgFlags::MSG_NOSIGNAL,
            None,
        )?;
        Ok(Worker { pid: reply(&mut control)?, socket })
    }

    pub(crate) fn give_back(&self, worker: Worker) {
        self.give.send(worker).ok(); // This object has the other end.
    }

    /// Kills the worker and its process group, unless it is dead already, and returns its wait status.
    pub(crate) fn end(&self, worker: &Worker) -> io::Result<i32> {
        self.ask(b'K', worker.pid)
    }

    /// All workers stand still.
    pub(crate) fn hold(&self) -> io::Result<i32> {
        self.ask(b'Z', 0)
    }

    /// They go on.
    pub(crate) fn go_on(&self) -> io::Result<i32> {
        self.ask(b'C', 0)
    }

    fn ask(&self, what: u8, pid: i32) -> io::Result<i32> {
        let mut control = lock(&self.control);
        control.write_all(&request(what, pid))?;
        reply(&mut control)
    }
}

fn request(what: u8, pid: i32) -> [u8; 5] {
    let [a, b, c, d] = pid.to_le_bytes();
    [what, a, b, c, d]
}

fn reply(control: &mut UnixStream) -> io::Result<i32> {
    let mut number = [0; 4];
    control.read_exact(&mut number)?;
    Ok(i32::from_le_bytes(number))
}

impl Worker {
    /// Has the function called for item `index`. `look_up` is asked several times a second whether to go on waiting.
    pub(crate) fn call<E>(
        &mut self,
        index: u64,
        mut look_up: impl FnMut() -> Result<(), E>,
    ) -> Result<Reply, E> {
        if self.socket.write_all(&index.to_le_bytes()).is_err() {
            return Ok(Reply::Gone); // Eight bytes always have room: the socket has no other end.
        }
        let mut bytes = Vec::new();
        let mut piece = vec![0; 64 << 10];
        loop {
            look_up()?;
            let mut ready = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
            if poll(&mut ready, PollTimeout::from(LOOK_UP)) == Ok(0) {
                continue;
            }
            match self.socket.read(&mut piece) {
                Ok(0) => return Ok(Reply::Gone),
                Ok(read) => bytes.extend_from_slice(&piece[..read]),
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(_) => return Ok(Reply::Gone),
            }
            if let Some((header, rest)) = bytes.split_first_chunk::<HEADER>()
                && rest.len() >= length(header)
            {
                let kind = header[0];
                bytes.drain(..HEADER);
                return Ok(match kind {
                    b'R' => Reply::Result(bytes),
                    _ => Reply::Exception(String::from_utf8_lossy(&bytes).into_owned()),
                });
            }
        }
    }
}

fn length(&[_, a, b, c, d]: &[u8; HEADER]) -> usize {
    u32::from_le_bytes([a, b, c, d]) as usize
}
