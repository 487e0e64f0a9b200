//! The start of a command: its pipes, and what to do when there is no room for it.

use super::{Call, LITTLE, Running};
use crate::error::Error;
use crate::process::Command;
use crate::process::feed::{Feed, Feeding, Input, PIECE, no_descriptor, output_pipe, pipe_from_us};
use crate::process::limits::{is_one_of_the_last, is_shortage};
use crate::process::pace::Pace;
use crate::process::spawn::{Streams, cannot_start};
use crate::task::clock::WorkClock;
use crate::task::{Context, TaskError};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Instant, SystemTime};

impl<'a> Running<'a> {
    pub(super) fn start(cx: &Context<'_>, call: &Call<'a>) -> Result<Self, TaskError> {
        // Before it starts, and before each further piece. Behind its feeding it would have had all of its
        // input by then, would end, and a stop during the wait would throw away what is done.
        let credit = call.feed.left().min(PIECE as u64);
        if let Some(debt) = cx.take_from_the_rate(credit) {
            cx.sleep_off(debt)?;
        }
        let wanted = Instant::now();
        loop {
            cx.children().wait_for_room(cx)?;
            match Self::try_to_start(cx, call, credit) {
                Ok(Some(running)) => return Ok(running),
                // A pause came between the gate and here; the gate will tell.
                Ok(None) => std::thread::yield_now(),
                Err((errno, _))
                    if is_shortage(errno) && cx.children().is_worth_waiting(errno, wanted, cx) => {}
                // About this task, and not about the command: another one has shorter words.
                Err((nix::errno::Errno::E2BIG, _)) => {
                    return Err(TaskError::Failed(too_long(call.command)));
                }
                Err((_, error)) => return Err(TaskError::Fatal(error)),
            }
        }
    }

    /// `None`: not now. With the error comes the system's reason for it.
    fn try_to_start(
        cx: &Context<'_>,
        call: &Call<'a>,
        credit: u64,
    ) -> Result<Option<Self>, (nix::errno::Errno, Error)> {
        let no_pipe = |errno: Errno| {
            let errno = nix::errno::Errno::from_raw(errno.raw_os_error());
            (errno, no_descriptor(errno))
        };
        let (stdout, child_stdout) = output_pipe(call.passes_through).map_err(no_pipe)?;
        let (stderr, child_stderr) = output_pipe(call.passes_through).map_err(no_pipe)?;
        let (child_stdin, stdin) = match call.feed {
            Feed::Nothing => (None, Input::Nothing),
            Feed::Bytes(_) | Feed::File { .. } => {
                let (theirs, ours) = pipe_from_us().map_err(no_pipe)?;
                (Some(theirs), Input::Open(Feeding::new(ours, call.feed.clone())))
            }
        };
        if [&child_stdin, &child_stderr].into_iter().flatten().any(|end| is_one_of_the_last(end.as_raw_fd()))
        {
            return Err(no_pipe(Errno::MFILE));
        }
        let (our_stdout, our_stderr) = (io::stdout(), io::stderr());
        let streams = Streams {
            stdin: child_stdin.as_ref().map(AsFd::as_fd),
            stdout: child_stdout.as_ref().map_or(our_stdout.as_fd(), AsFd::as_fd),
            stderr: child_stderr.as_ref().map_or(our_stderr.as_fd(), AsFd::as_fd),
        };
        let began = SystemTime::now();
        let spawned = cx.children().spawn(call.command, streams);
        let Some(pid) = spawned.map_err(|errno| (errno, cannot_start(call.command, errno)))? else {
            return Ok(None);
        };
        Ok(Some(Self {
            pid,
            ended: None,
            stdin,
            stdout,
            stderr,
            piece: Vec::with_capacity(LITTLE),
            at_once: call.at_once,
            pace: Pace::default(),
            credit,
            debt: None,
            is_unwatched: false,
            leak: None,
            status: None,
            early: None,
            began,
            clock: WorkClock::start(Instant::now()),
            pauses: cx.pauses(),
            timeout: call.timeout,
            kill_after: call.kill_after,
            kill_at: None,
            is_killed: false,
        }))
    }
}

/// Which of the two limits it is: that of one word, or that of all words and the environment.
fn too_long(command: &Command) -> String {
    const LONGEST_WORD: usize = 128 << 10;
    let lengths = || command.words().iter().map(|word| word.as_bytes_with_nul().len());
    match lengths().max().filter(|longest| *longest > LONGEST_WORD) {
        Some(longest) => format!(
            "one of its arguments has {} bytes, and the system allows {LONGEST_WORD} (128 KiB) for one",
            longest - 1
        ),
        None => format!(
            "its {} arguments have {} bytes together, and with the environment that is more than the system allows for all; take fewer at a time (-n, or -m for as many as fit)",
            lengths().count() - 1,
            lengths().sum::<usize>()
        ),
    }
}
