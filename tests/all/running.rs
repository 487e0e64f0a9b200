//! A started program: what it says, how it changes state, and how it ends.
//!
//! Three threads watch it, so that a test never waits in a system call without an end: one
//! reads standard output, one reads standard error line by line, one waits for the process. The
//! test itself waits on channels only, with a [`DEADLINE`]. When that passes, the test fails with
//! everything that the program has said. Dropping a [`Running`] kills the process.

use crate::harness::{Bivouac, Input};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// How long a test waits for what must come. Far longer than anything takes on a busy machine;
/// reaching it means that the program hangs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Longer than the 150 ms within which a repeated signal counts as the same intention.
pub(crate) const BEYOND_DEBOUNCE: Duration = Duration::from_millis(250);

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Running<'w> {
    how: Bivouac<'w>,
    process: Arc<Process>,
    lines: Receiver<String>,
    states: Receiver<WaitStatus>,
    stdout: Receiver<Vec<u8>>,
    /// Held open and not read, if the test wants that.
    unread: Option<ChildStdout>,
    /// Held open and not written to, if the test wants that.
    dangling: Option<ChildStdin>,
    transcript: String,
    /// What the last line about a checkpoint said.
    checkpoint: Option<u64>,
}

/// The process, which may be signalled only as long as nobody has reaped it: afterwards its
/// number may belong to a stranger.
#[derive(Debug)]
struct Process {
    pid: Pid,
    reaped: Mutex<bool>,
}

impl Process {
    fn signal(&self, signal: Signal) -> bool {
        let reaped = self.reaped.lock().unwrap();
        !*reaped && kill(self.pid, signal).is_ok()
    }

    /// Tells every change of state until the process is gone.
    fn watch(&self, states: &Sender<WaitStatus>) {
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WSTOPPED | WaitPidFlag::WCONTINUED;
        loop {
            let Ok(seen) = waitid(Id::Pid(self.pid), look | WaitPidFlag::WNOWAIT) else { return };
            let mut reaped = self.reaped.lock().unwrap();
            if matches!(seen, WaitStatus::Exited(..) | WaitStatus::Signaled(..)) {
                *reaped = true;
                let last = waitpid(self.pid, None).unwrap();
                // Nobody listens any more when the test has ended; then nobody needs to know.
                states.send(last).unwrap_or_default();
                return;
            }
            // Take the change out, or the next look finds it again. What is taken may be a later
            // change than the one that was seen, or none if the process has died since.
            let take = (look - WaitPidFlag::WEXITED) | WaitPidFlag::WNOHANG;
            if let Ok(state @ (WaitStatus::Stopped(..) | WaitStatus::Continued(_))) =
                waitid(Id::Pid(self.pid), take)
            {
                states.send(state).unwrap_or_default();
            }
        }
    }
}

impl<'w> Running<'w> {
    pub(crate) fn new(how: Bivouac<'w>, mut child: Child, input: Input, read_stdout: bool) -> Self {
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
        let process = Arc::new(Process { pid, reaped: Mutex::new(false) });
        let (line_sender, lines) = unbounded();
        let stderr = child.stderr.take().unwrap();
        thread::spawn(move || {
            for line in BufReader::new(stderr).split(b'\n') {
                let Ok(line) = line else { return };
                drop(line_sender.send(String::from_utf8_lossy(&line).into_owned()));
            }
        });
        let (stdout_sender, stdout) = unbounded();
        let mut pipe = child.stdout.take();
        if let Some(mut pipe) = pipe.take_if(|_| read_stdout) {
            thread::spawn(move || {
                let mut bytes = Vec::new();
                drop(pipe.read_to_end(&mut bytes));
                drop(stdout_sender.send(bytes));
            });
        }
        let (state_sender, states) = unbounded();
        let watched = Arc::clone(&process);
        thread::spawn(move || watched.watch(&state_sender));
        let dangling = feed(child.stdin.take(), input);
        Self {
            how,
            process,
            lines,
            states,
            stdout,
            unread: pipe,
            dangling,
            transcript: String::new(),
            checkpoint: None,
        }
    }

    pub(crate) fn pid(&self) -> Pid {
        self.process.pid
    }

    /// All that it has said, as far as was listened.
    pub(crate) fn said(&self) -> &str {
        &self.transcript
    }

    /// Waits until the program says a line that contains `text`.
    pub(crate) fn until(self, text: &str) -> Self {
        self.until_line(text, |line| line.contains(text))
    }

    /// Waits until the program says that a checkpoint with at least `tasks` committed is durable.
    pub(crate) fn until_checkpoint_at_least(self, tasks: u64) -> Self {
        let what = format!("a checkpoint at {tasks} tasks or more");
        self.until_line(&what, |line| checkpoint_in(line).is_some_and(|n| n >= tasks))
    }

    /// Waits until tasks are in flight, by asking.
    pub(crate) fn until_at_work(self) -> Self {
        self.until("ready").asked_until(Signal::SIGUSR1, |status| !status.contains(" 0 in flight"))
    }

    /// Asks again and again, by a signal that means that, until the status is the wanted one.
    pub(crate) fn asked_until(self, signal: Signal, wanted: impl Fn(&str) -> bool) -> Self {
        let mut run = self;
        let end = Instant::now() + DEADLINE;
        loop {
            assert!(Instant::now() < end, "the status never changes\n{}", run.report());
            run = run.signal(signal).until("status:");
            if wanted(run.transcript.lines().last().unwrap_or_default()) {
                return run;
            }
        }
    }

    /// Waits for a checkpoint at least one task further than the last one that was seen.
    pub(crate) fn until_further_checkpoint(self) -> Self {
        let next = self.checkpoint.map_or(1, |n| n + 1);
        self.until_checkpoint_at_least(next)
    }

    /// The number of tasks in the last checkpoint that was waited for or passed by.
    pub(crate) fn last_checkpoint(&self) -> u64 {
        self.checkpoint.expect("no checkpoint was said yet")
    }

    pub(crate) fn signal(self, signal: Signal) -> Self {
        let sent = self.process.signal(signal);
        assert!(sent, "{signal}: the process is gone\n{}", self.report());
        self
    }

    /// Whether the signal could be sent: not, when the process has ended.
    pub(crate) fn try_signal(&self, signal: Signal) -> bool {
        self.process.signal(signal)
    }

    /// Takes the brake away from a run that was started with [`Case::braked`](crate::jobs::Case::braked).
    pub(crate) fn let_go(self) -> Self {
        self.how.world.write("brake.toml", "");
        self.signal(Signal::SIGPWR).until("reloaded: limit-rate 192.0 KiB/s -> none")
    }

    /// Lets time pass, listening. For the one thing that is defined by time: how far apart two
    /// equal signals must be to count as two.
    pub(crate) fn let_pass(mut self, time: Duration) -> Self {
        let end = Instant::now() + time;
        while let Ok(line) = self.lines.recv_deadline(end) {
            self.note(&line);
        }
        self
    }

    /// Listens for this long, in which no checkpoint may get further: the job stands still.
    pub(crate) fn without_checkpoint_for(self, time: Duration) -> Self {
        // What was in flight when the gate closed may still be told.
        let run = self.let_pass(Duration::from_millis(100));
        let before = run.checkpoint;
        let run = run.let_pass(time);
        assert_eq!(run.checkpoint, before, "it goes on\n{}", run.report());
        run
    }

    /// Waits until the process is suspended, as its parent sees it.
    pub(crate) fn until_suspended_by(self, signal: Signal) -> Self {
        let state = self.next_state();
        let suspended = matches!(state, WaitStatus::Stopped(_, by) if by == signal);
        assert!(suspended, "expected a suspension by {signal}, saw {state:?}\n{}", self.report());
        self
    }

    /// Waits until the process goes on after a suspension, as its parent sees it.
    pub(crate) fn until_continued(self) -> Self {
        let state = self.next_state();
        assert!(
            matches!(state, WaitStatus::Continued(_)),
            "expected it to go on, saw {state:?}\n{}",
            self.report()
        );
        self
    }

    /// Closes the standard output that nobody reads.
    pub(crate) fn close_stdout(mut self) -> Self {
        assert!(self.unread.take().is_some(), "somebody reads it: see `stdout_unread`");
        self
    }

    /// Waits until the pipe of the standard output that nobody reads takes nothing more.
    pub(crate) fn until_pipe_is_full(self) -> Self {
        let pipe = self.unread.as_ref().expect("somebody reads it: see `stdout_unread`");
        let end = Instant::now() + DEADLINE;
        while rustix::io::ioctl_fionread(pipe).unwrap() < 60_000 {
            assert!(Instant::now() < end, "nothing is printed\n{}", self.report());
            thread::park_timeout(Duration::from_millis(2));
        }
        self
    }

    /// Waits for the end of the process. As long as there are further checkpoints, it does not hang.
    pub(crate) fn wait(mut self) -> Ended<'w> {
        let mut patience = Instant::now() + DEADLINE;
        let end = loop {
            let before = self.checkpoint;
            match self.states.recv_timeout(Duration::from_millis(100)) {
                Ok(state @ (WaitStatus::Exited(..) | WaitStatus::Signaled(..))) => break state,
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => panic!("nobody watches it\n{}", self.report()),
            }
            while let Ok(line) = self.lines.try_recv() {
                self.note(&line);
            }
            if self.checkpoint != before {
                patience = Instant::now() + DEADLINE;
            }
            assert!(Instant::now() < patience, "it does not end\n{}", self.report());
        };
        // What the pipe has taken is there for whoever reads later.
        let mut late = Vec::new();
        if let Some(mut pipe) = self.unread.take() {
            pipe.read_to_end(&mut late).unwrap();
        }
        // The pipes end with the process; what is still in them comes first.
        while let Ok(line) = self.lines.recv_timeout(DEADLINE) {
            self.note(&line);
        }
        let stdout = self.stdout.recv_timeout(DEADLINE).unwrap_or(late);
        let stderr = std::mem::take(&mut self.transcript);
        assert!(!stderr.contains("`Run::"), "advice for a programmer, not in options:\n{stderr}");
        Ended { how: self.how.clone(), end, stdout, stderr, checkpoint: self.checkpoint }
    }

    fn until_line(mut self, what: &str, wanted: impl Fn(&str) -> bool) -> Self {
        let end = Instant::now() + DEADLINE;
        loop {
            match self.lines.recv_deadline(end) {
                Ok(line) => {
                    self.note(&line);
                    if wanted(&line) {
                        return self;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("waited in vain for: {what}\n{}", self.report()),
                Err(RecvTimeoutError::Disconnected) => panic!("ended without: {what}\n{}", self.report()),
            }
        }
    }

    fn next_state(&self) -> WaitStatus {
        self.states.recv_timeout(DEADLINE).unwrap_or_else(|_| panic!("nothing happened\n{}", self.report()))
    }

    fn note(&mut self, line: &str) {
        self.checkpoint = checkpoint_in(line).or(self.checkpoint);
        self.transcript.push_str(line);
        self.transcript.push('\n');
    }

    /// All that is known, for the message of a failed test.
    fn report(&self) -> String {
        let unheard: Vec<String> = self.lines.try_iter().collect();
        format!("  {}\n--- stderr\n{}{}\n---", self.how.line(), self.transcript, unheard.join("\n"))
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        drop(self.dangling.take());
        self.process.signal(Signal::SIGKILL);
        // A suspended process does not die of anything but KILL, and KILL needs no CONT.
        while let Ok(state) = self.states.recv_timeout(DEADLINE) {
            if matches!(state, WaitStatus::Exited(..) | WaitStatus::Signaled(..)) {
                break;
            }
        }
    }
}

/// Gives the program its standard input; returns the end that must stay open.
fn feed(pipe: Option<ChildStdin>, input: Input) -> Option<ChildStdin> {
    let mut pipe = pipe?;
    match input {
        Input::Nothing => None,
        Input::Piped(bytes) => {
            // From a thread: a pipe takes 64 KiB, then the writer waits for the reader.
            thread::spawn(move || drop(pipe.write_all(&bytes)));
            None
        }
        Input::Dangling(bytes) => {
            assert!(bytes.len() <= 65536, "more than the pipe takes without a reader");
            pipe.write_all(&bytes).unwrap();
            Some(pipe)
        }
    }
}

/// The 3 of `bivouac: checkpoint at 3 of 64 chunks, 1.2 KiB, 0.8 ms`.
fn checkpoint_in(line: &str) -> Option<u64> {
    let rest = line.strip_prefix("bivouac: checkpoint at ")?;
    rest.split(' ').next()?.parse().ok()
}

/// The 3 of `bivouac: resumed after 3 of 64 chunks`.
fn resumption_in(stderr: &str) -> Option<u64> {
    let rest = stderr.lines().find_map(|line| line.strip_prefix("bivouac: resumed after "))?;
    rest.split([' ', ',']).next()?.parse().ok()
}

/// A program that has ended.
#[derive(Debug)]
pub(crate) struct Ended<'w> {
    how: Bivouac<'w>,
    end: WaitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
    checkpoint: Option<u64>,
}

impl<'w> Ended<'w> {
    pub(crate) fn expect_code(self, code: i32) -> Self {
        assert!(
            matches!(self.end, WaitStatus::Exited(_, c) if c == code),
            "expected code {code}{}",
            self.report()
        );
        self
    }

    /// The exit code, if it ended with one.
    pub(crate) fn code(&self) -> Option<i32> {
        if let WaitStatus::Exited(_, code) = self.end { Some(code) } else { None }
    }

    /// Death by this signal, which is what shells, `make` and init systems look at.
    pub(crate) fn expect_killed_by(self, signal: Signal) -> Self {
        assert!(
            matches!(self.end, WaitStatus::Signaled(_, by, _) if by == signal),
            "expected death by {signal}{}",
            self.report()
        );
        self
    }

    /// Stopped in good order: death by this signal, and the command that continues on standard
    /// error.
    pub(crate) fn expect_stopped_by(self, signal: Signal) -> Self {
        let ended = self.expect_killed_by(signal);
        assert!(ended.advertised().is_some(), "no command that continues{}", ended.report());
        ended
    }

    pub(crate) fn expect_says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "did not say “{text}”{}", self.report());
        self
    }

    pub(crate) fn expect_says_not(self, text: &str) -> Self {
        assert!(!self.stderr.contains(text), "said “{text}”{}", self.report());
        self
    }

    /// The rule of all messages: no more than two lines, and none longer than 80 columns, apart from words of the
    /// command line and paths, of which no more than 80 characters are shown.
    pub(crate) fn long_messages(&self) -> Vec<String> {
        let line = self.how.line();
        let marks = [':', ';', ',', '`', '\'', '"', '(', ')', '[', ']'];
        let is_users = |word: &&str| word.contains(['/', '…']) || line.contains(word.trim_matches(marks));
        let width = |said: &str| {
            let ours = said.split(' ').filter(|word| !is_users(word)).map(|word| word.chars().count() + 1);
            let users = said.split(' ').filter(is_users).map(|word| word.chars().count()).max().unwrap_or(0);
            (ours.sum::<usize>(), users)
        };
        let (mut lines, mut long) = (1, Vec::new());
        for said in self.stderr.lines() {
            lines = if said.starts_with("bivouac: ") { 1 } else { lines + 1 };
            let (ours, users) = width(said);
            if lines > 2 || ours > 81 || users > 100 {
                long.push(format!("{line}: line {lines}, of {ours} columns: {said}"));
            }
        }
        long
    }

    /// A refusal that only says what is wrong. Those in the words of `wc` and `grep` may.
    pub(crate) fn lone_refusal(&self) -> Option<String> {
        let is_refusal = self.code() == Some(2) && self.stdout.is_empty();
        let last = self.stderr.lines().last().filter(|_| is_refusal)?;
        let theirs = [": No such file or directory", ": Is a directory"];
        let names = |end: &&str| last.strip_suffix(end).is_some_and(|start| start.matches(": ").count() == 1);
        let says_more = last.starts_with("  ") || theirs.iter().any(names);
        (!says_more).then(|| format!("{}: {last}", self.how.line()))
    }

    pub(crate) fn expect_short_messages(self) -> Self {
        let long = self.long_messages();
        assert!(long.is_empty(), "{}", long.join("\n"));
        self
    }

    pub(crate) fn expect_stdout_says(self, text: &str) -> Self {
        let stdout = String::from_utf8_lossy(&self.stdout);
        assert!(stdout.contains(text), "standard output lacks “{text}”{}", self.report());
        self
    }

    pub(crate) fn expect_stdout(self, wanted: &[u8]) -> Self {
        assert!(
            self.stdout == wanted,
            "standard output differs: {}{}",
            first_difference(&self.stdout, wanted),
            self.report()
        );
        self
    }

    /// The run went on where an earlier one had committed at least `tasks`: a checkpoint that
    /// was said to exist is never lost.
    pub(crate) fn expect_resumed_at_least(self, tasks: u64) -> Self {
        let at = resumption_in(&self.stderr);
        assert!(
            at.is_some_and(|n| n >= tasks),
            "expected to resume at {tasks} or later, saw {at:?}{}",
            self.report()
        );
        self
    }

    pub(crate) fn last_checkpoint(&self) -> u64 {
        self.checkpoint.unwrap_or_else(|| panic!("no checkpoint was said{}", self.report()))
    }

    /// The command that continues, as the stop paragraph prints it: a line of its own that a
    /// shell would split into `bivouac`, the verb and so on.
    pub(crate) fn advertised(&self) -> Option<String> {
        let verb = self.how.line().split(' ').nth(1)?.to_string();
        self.stderr.lines().map(str::trim).rev().find_map(|line| {
            let words = shlex::split(line)?;
            let program = words.first()?;
            let named = program == "bivouac" || program.ends_with("/bivouac");
            (named && words.get(1) == Some(&verb)).then(|| line.to_string())
        })
    }

    fn report(&self) -> String {
        let shown = &self.stdout[..self.stdout.len().min(2000)];
        format!(
            "\n  {}\n  {:?}\n--- stderr\n{}--- stdout ({} bytes)\n{}\n---",
            self.how.line(),
            self.end,
            self.stderr,
            self.stdout.len(),
            String::from_utf8_lossy(shown)
        )
    }
}

/// Where two outputs part, for a message that fits a screen.
pub(crate) fn first_difference(is: &[u8], wanted: &[u8]) -> String {
    let at = is.iter().zip(wanted).position(|(a, b)| a != b).unwrap_or(is.len().min(wanted.len()));
    let show = |bytes: &[u8]| {
        String::from_utf8_lossy(&bytes[at.saturating_sub(40)..bytes.len().min(at + 40)]).into_owned()
    };
    format!(
        "at byte {at}: {:?} instead of {:?} ({} bytes instead of {})",
        show(is),
        show(wanted),
        is.len(),
        wanted.len()
    )
}
