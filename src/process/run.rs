//! Running one command for a task: starting it, feeding and reading it, and seeing how it ended.
//!
//! The obvious loop writes all of the input and then reads all of the output. Both pipes fill up, the command waits for us
//! to read, and we wait for it to read, for ever. The usual remedy is a thread for each direction. Here the worker asks
//! `poll(2)` for the possible next steps, in any direction, and takes them; nothing can deadlock, and the worker sees a
//! pause, an abort or a timeout within a moment. Between two looks it leaves the command alone ([`super::polling`]).
//!
//! **When is a command done?** Not when it ends with 0: `trap "exit 0" TERM` ends with 0, and `tr` ends with 0 and half of
//! the output after an abort has closed its input. So the result also tells whether we had told it to end, and whether it
//! may have left some of its input unread.

use super::children::{Children, Reaped};
use super::limits::is_shortage;
use super::pipes::{PIECE, Pipes, no_descriptor};
use super::running::{GLANCE, Running};
use super::spawn::{cannot_start, too_long};
use super::traces::{may_come_from_a_signal, may_have_handled_sigterm};
use crate::error::Error;
use crate::sys::proc_stat::Stat;
use crate::task::command::{Call, Command, Err, Finished, How, Out, Usage};
use crate::task::{Commands, Context, TaskError};
use nix::errno::Errno;
use std::time::{Instant, SystemTime};

impl Commands for Children {
    fn run(
        &self,
        cx: &Context<'_>,
        call: &Call<'_>,
        out: &mut Out<'_>,
        err: &mut Err<'_>,
    ) -> Result<Finished, TaskError> {
        let mut running = self.start(cx, call)?;
        let mut result = running.attend(cx, out, err);
        let was_ended = result.is_err() || running.was_ended();
        if result.is_ok() && was_ended {
            result = running.wait_for_its_group(cx, out, err);
        }
        if result.is_ok() {
            result = running.hand_over_the_rest(out);
        }
        if result.is_err() {
            // Whatever the reason, the command does not outlive its task.
            running.wait_for_its_end(cx);
        }
        running.stop_the_clock(cx);
        // If this fails, reaping fails too, and its error is reported.
        let how = running.how().ok();
        // `/proc` shows it until the child is reaped. It is read only if the answer matters, because each look opens a file.
        let is_asked = call.output_counts || how != Some(How::Code(0));
        let stat = is_asked.then(|| Stat::of(running.pid)).flatten();
        let ended = self.reap(running.pid, how, was_ended || result.is_err());
        if !was_ended && result.is_ok() {
            running.close_its_pipes(cx);
        }
        result?;
        let Reaped { how, usage, told_to_end, tag } = ended.map_err(|errno| lost(call.command, errno))?;
        let left_input = running.stdin.was_left();
        Ok(Finished {
            how: running.early.unwrap_or(how),
            told_to_end,
            left_input,
            may_have_handled_sigterm: call.output_counts
                && stat.is_some_and(|stat| may_have_handled_sigterm(stat, self.given_as_ignored())),
            // A command whose output passes through may have lost its reader.
            may_be_of_a_stop: left_input
                || call.passes_through
                || may_come_from_a_signal(how, stat, self.given_as_ignored())
                || cx.may_be_stopping(),
            began: running.began,
            took: running.clock.worked,
            usage: Usage { bytes_in: running.fed, bytes_out: running.taken, ..usage },
            tag,
        })
    }

    fn was_ended(&self, finished: &Finished) {
        if let Some(tag) = finished.tag {
            self.call_back(tag);
        }
    }
}

impl Children {
    /// Starts a command, and waits for room if the system has none for it.
    fn start<'a>(&'a self, cx: &Context<'_>, call: &Call<'a>) -> Result<Running<'a>, TaskError> {
        // Before it starts, and before each further piece. If the wait came after the feeding, the command would
        // have all of its input by then and would end, and a stop during the wait would throw its work away.
        let credit = call.feed.left().min(PIECE as u64);
        if let Some(debt) = cx.take_from_the_rate(credit) {
            cx.sleep_off(debt)?;
        }
        let wanted = Instant::now();
        loop {
            self.room.wait(|| self.count(), cx)?;
            match self.try_to_start(cx, call, credit) {
                Ok(Some(running)) => return Ok(running),
                // A pause began after the gate was passed. The next `wait` passes the gate again, and waits there.
                Ok(None) => std::thread::yield_now(),
                Err((errno, _))
                    if is_shortage(errno) && self.room.is_worth_waiting(errno, wanted, self.count(), cx) => {}
                // Too long concerns this task alone: another task may have shorter arguments.
                Err((Errno::E2BIG, _)) => return Err(TaskError::Failed(too_long(call.command))),
                Err((_, error)) => return Err(TaskError::Fatal(error)),
            }
        }
    }

    /// `None`: children are held, or none may start any more. The error comes with the system's reason for it.
    fn try_to_start<'a>(
        &'a self,
        cx: &Context<'_>,
        call: &Call<'a>,
        credit: u64,
    ) -> Result<Option<Running<'a>>, (Errno, Error)> {
        let pipes = Pipes::open(&call.feed, call.passes_through).map_err(|errno| {
            let errno = Errno::from_raw(errno.raw_os_error());
            (errno, no_descriptor(errno))
        })?;
        let began = SystemTime::now();
        let spawned = self.spawn(call.command, pipes.theirs.streams());
        let Some(pid) = spawned.map_err(|errno| (errno, cannot_start(call.command, errno)))? else {
            return Ok(None);
        };
        let ours = (pipes.stdin, pipes.stdout, pipes.stderr);
        Ok(Some(Running::new(self, pid, ours, call, (began, credit, cx.pauses()))))
    }
}

impl Running<'_> {
    /// Feeds and reads it until it has ended and its output was read. An error means that the task gives it up.
    fn attend(&mut self, cx: &Context<'_>, out: &mut Out<'_>, err: &mut Err<'_>) -> Result<(), TaskError> {
        loop {
            self.look_at_the_gate(cx)?;
            self.look_at_the_clock();
            if self.is_heard_out() {
                return Ok(());
            }
            // Most commands end with their output, before there is a descriptor for their end.
            if self.is_silent() && self.looks_ended() {
                self.has_ended();
                continue;
            }
            // One that lasts may leave a process that goes on printing.
            if self.is_silent() || self.polling.rest().is_some() || self.clock.worked >= GLANCE {
                self.watch_its_end();
            }
            let may_feed = self.may_feed(cx);
            let ready = self.wait(may_feed, GLANCE);
            if ready.nothing() && self.leak.is_none() {
                self.watch_its_end();
                self.look_whether_it_wants_the_terminal();
            }
            let fed = if ready.stdin && may_feed { self.stdin.feed()? } else { 0 };
            self.pay(fed, cx);
            let taken = if ready.stdout { self.read_out(out)? } else { 0 };
            self.polling.learn(taken.max(fed as usize));
            if ready.stderr {
                self.read_err(err)?;
            }
            if ready.ended {
                self.has_ended();
            }
        }
    }
}

/// The message for a child that another part of the program has reaped, which must not happen.
fn lost(command: &Command, why: impl std::fmt::Display) -> TaskError {
    TaskError::Fatal(Error::broken(command, format_args!("how it ended cannot be told: {why}")))
}
